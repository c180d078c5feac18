"""The source of a table: a file, a pipe or standard input, and its format."""

import codecs
import gzip
import io
import os
import re
import stat
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from fcfast.files import check_file

DELIMITED = (".csv", ".tsv", ".txt")
SVMLIGHT = (".svm", ".svmlight", ".libsvm")
TEXT = (*DELIMITED, *SVMLIGHT)
BLOCKS = (".bed", ".h5ad", ".h5", ".hdf5", ".zarr", ".mtx")  # read by blocks of features
FOLDERS = (".zarr",)
ENDINGS = (*TEXT, ".parquet", ".npz", ".npy", *BLOCKS)
PACKED = (*TEXT, ".mtx")  # may be compressed by gzip
SPREADSHEETS = (".xlsx", ".xls", ".xlsm", ".xlsb", ".ods", ".numbers")
STANDARD_INPUT = "-"
MAGIC = {
    b"PAR1": ".parquet",
    b"PK": ".npz",
    b"\x93NUMPY": ".npy",
    b"\x89HDF": ".h5",
    b"l\x1b": ".bed",
    b"%%MatrixMarket": ".mtx",
}
GZIP = b"\x1f\x8b"
SVMLIGHT_LINE = re.compile(rb"\s*(#.*\s+)*(\S+[ \t]+)?(qid:\d+[ \t]+)?\d+:\S+[ \t\r\n]")


@dataclass(frozen=True)
class Source:
    """A file, a pipe or standard input. ``str(source)`` is its name in messages.

    Attributes
    ----------
    path : Path
    ending : str
        One of `ENDINGS`, which gives the format; if the name has none, as for a pipe, the first bytes decide.
    compressed : bool
        Whether it is text compressed by gzip.
    stream : binary stream or None
        Stream to read from if the source cannot be opened a second time.
    """

    path: Path
    ending: str
    compressed: bool = False
    stream: IO[bytes] | None = None

    def __str__(self) -> str:
        """Return the path as it was given."""
        return "standard input" if str(self.path) == STANDARD_INPUT else str(self.path)

    @contextmanager
    def binary(self) -> Iterator[IO[bytes]]:
        """Open the source for one reading from the start; a pipe stays open."""
        if self.stream is not None:
            yield self.stream
        else:
            with open(self.path, "rb") as stream:
                yield stream

    @contextmanager
    def seekable(self) -> Iterator[IO[bytes]]:
        """Open the source for readers that seek; the content of a pipe is kept in memory for them."""
        with self.binary() as stream:
            yield stream if self.stream is None else io.BytesIO(stream.read())

    @contextmanager
    def unpacked(self) -> Iterator[IO[bytes]]:
        """Open the source and decompress it while reading."""
        with self.binary() as stream:
            if self.compressed:
                try:
                    with gzip.open(stream) as content:
                        yield content  # type: ignore[misc]  # a GzipFile is read like any other
                except (EOFError, gzip.BadGzipFile, zlib.error) as error:
                    raise ValueError(f"{self} cannot be unpacked as gzip ({error}); copy or compress it again") from error
            else:
                yield stream

    @contextmanager
    def text(self) -> Iterator[io.TextIOWrapper]:
        """Open the source as text in UTF-8, or in UTF-16 like Excel's "Unicode text"; line endings are kept."""
        with self.unpacked() as stream:
            start = stream.peek(2)[:2]  # type: ignore[attr-defined]  # files, pipes and gzip have it
            encoding = "utf-16" if start in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else "utf-8-sig"
            text = io.TextIOWrapper(stream, encoding=encoding, newline="")
            try:
                yield text
            finally:
                text.detach()  # closing the wrapper would close standard input


@contextmanager
def source_of(path: str | os.PathLike[str]) -> Iterator[Source]:
    """Open the source of a path, and close it afterwards."""
    path = Path(path)
    if str(path) == STANDARD_INPUT:
        # A test or a notebook may have replaced sys.stdin.
        yield _piped(path, getattr(sys.stdin, "buffer", None) or io.BytesIO(sys.stdin.read().encode()))
        return
    if path.is_dir() and path.suffix.lower() in FOLDERS:
        yield Source(path, path.suffix.lower())
        return
    check_file(path, "data file")
    if stat.S_ISREG(path.stat().st_mode):
        yield Source(path, *_ending(path))
        return
    with open(path, "rb") as stream:
        yield _piped(path, stream)


def _ending(path: Path) -> tuple[str, bool]:
    """Return the extension that gives the format, in lower case without .gz, and whether the name ended in .gz."""
    ending = path.suffix.lower()
    compressed = ending == ".gz"
    if compressed:
        ending = Path(path.stem).suffix.lower()
        if ending not in PACKED:
            raise ValueError(f"{path}: only text may be compressed ({', '.join(PACKED)}); unpack it with gunzip")
    if ending in SPREADSHEETS:
        raise ValueError(f"{path} is a spreadsheet; open it and save the sheet as 'CSV UTF-8', then give that file")
    if ending not in ENDINGS:
        raise ValueError(f"{path}: the ending {ending!r} is unknown; use one of {', '.join(ENDINGS)} (text also with .gz)")
    return ending, compressed


def _piped(path: Path, stream: Any) -> Source:
    """Find the format of a pipe from its first bytes, without consuming them."""
    if not hasattr(stream, "peek"):
        stream = io.BufferedReader(stream)
    start = stream.peek(1 << 16)
    if start.startswith(GZIP):
        stream = io.BufferedReader(gzip.open(stream))  # noqa: SIM115  # open as long as what it unpacks
        start = stream.peek(1 << 16)
    named = Path(path.stem if path.suffix.lower() == ".gz" else path).suffix.lower()
    found = next((ending for magic, ending in MAGIC.items() if start.startswith(magic)), None)
    if found is None:
        found = ".svm" if SVMLIGHT_LINE.match(start) else ".csv"
    return Source(path, named if named in ENDINGS else found, stream=stream)


def other_encoding(source: object, error: UnicodeDecodeError, line: int) -> ValueError:
    """Make the error for a byte that is not valid UTF-8, in the text that starts at `line`."""
    line += len(re.findall(rb"\r\n|\r|\n", error.object[: error.start]))
    return ValueError(
        f"{source} is not UTF-8 (byte {error.object[error.start]:#04x} in line {line}), perhaps Windows-1252; in Excel save "
        "it as 'CSV UTF-8', elsewhere as plain text in UTF-8"
    )


@contextmanager
def decoding(source: object, kind: str, remedy: str) -> Iterator[None]:
    """Turn any exception of a decoder into a ValueError of one line; decoders raise many types on damaged bytes."""
    try:
        yield
    except (MemoryError, PermissionError):
        raise
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(f"{source} cannot be read as {kind} ({reason}); {remedy}") from error
