"""What all sources in files have in common: they notice a change of the file, and selected rows are read in bounded memory."""

import hashlib
import os
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from fcfast.errors import ChangedFileError
from fcfast.sources import protocol
from fcfast.sources.protocol import Rows, Source

Array = NDArray[Any]
State = tuple[int, ...]  # size, time of change in nanoseconds, and whatever else changes with a file's content


class FileState:
    """The size and the time of change that a file had when it was opened.

    Parameters
    ----------
    path : str or path-like
        It is made absolute, so that processes that were started elsewhere find the file.

    Raises
    ------
    OSError
        If there is no such file.
    """

    def __init__(self, path: "str | os.PathLike[str]") -> None:
        self.path = os.path.abspath(os.fspath(path))
        self.seen = self.look()

    def look(self) -> State:
        """Give the present size and time of change."""
        status = os.stat(self.path)
        return status.st_size, status.st_mtime_ns

    def check(self, finished: bool = True) -> None:
        """Raise RuntimeError if the file has changed; a check that takes long may wait until a pass is `finished`."""
        try:
            now = self.look()
        except OSError as error:
            raise ChangedFileError(
                f"{self.path} can no longer be read ({error.strerror}), although it is still needed; put it back, or open the "
                "source again"
            ) from error
        if now != self.seen:
            raise ChangedFileError(
                f"{self.path} was changed while it was in use: {_described(self.seen)} when it was opened, {_described(now)} "
                "now. Open the source again and repeat what was computed from it"
            )

    @contextmanager
    def decoding(self) -> Iterator[None]:
        """Turn the errors that libraries raise for a damaged file, which are of many types, into an OSError that names it."""
        try:
            yield
        except (MemoryError, IndexError):
            raise
        except Exception as error:
            self.check()  # whatever went wrong, a changed file is the reason
            reason = " ".join(str(error).split()) or type(error).__name__
            raise OSError(f"{self.path} cannot be read ({reason}); it may be damaged or cut off") from error

    def digest(self, shape: tuple[int, int]) -> bytes:
        """Digest path, size, time of change and the shape of what is read."""
        return hashlib.blake2b(repr((self.path, self.seen, shape)).encode(), digest_size=16).digest()


def _described(state: State) -> str:
    try:
        moment = datetime.fromtimestamp(state[1] / 1e9).isoformat(" ", "microseconds")
    except (OverflowError, OSError, ValueError):  # a time that the platform has no date for
        moment = f"{state[1]} ns"
    return f"{state[0]} bytes of {moment}"


class FileSource(Source):
    """Samples by features in a file, of which a subclass reads whole columns.

    Parameters
    ----------
    state : FileState
    """

    state: FileState

    @property
    def path(self) -> str:
        """The file, as an absolute path."""
        return self.state.path

    @abstractmethod
    def read_columns(self, start: int, stop: int) -> Any:
        """Read the features start..stop-1 of all samples."""

    def parts(self, start: int, stop: int) -> Iterator[tuple[int, int]]:
        """Split a range of features, so that each part of all samples is about `READ_BYTES` at most."""
        width = max(1, protocol.READ_BYTES // max(1, self.shape[0] * self.dtype.itemsize))
        for first in range(start, stop, width):
            yield first, min(first + width, stop)

    def read(self, features: slice, rows: Rows = None) -> Any:
        """Read some features of some rows.

        Raises
        ------
        RuntimeError
            If the file was changed since it was opened.
        IndexError
            If a row does not exist.
        """
        start, stop, _ = features.indices(self.shape[1])
        try:
            block = self.read_columns(start, stop) if rows is None else self.read_rows(start, stop, rows)
        except Exception:
            self.state.check()  # whatever went wrong, a changed file is the reason
            raise
        self.state.check(finished=stop == self.shape[1])
        return block

    def read_rows(self, start: int, stop: int, rows: "slice | NDArray[np.intp]") -> Any:
        """Read the features start..stop-1 of some samples; memory for all samples is needed for a few features only."""
        if self.is_sparse:
            pieces = [sparse.csc_array(self.read_columns(*part)[rows]) for part in self.parts(start, stop)]
            return sparse.csc_array(sparse.hstack(pieces)) if pieces else self.read_columns(start, start)[rows]
        n_rows = len(range(*rows.indices(self.shape[0]))) if isinstance(rows, slice) else len(rows)
        block = np.empty((n_rows, stop - start), self.dtype)
        for first, last in self.parts(start, stop):
            block[:, first - start : last - start] = self.read_columns(first, last)[rows]
        return block

    def fingerprint(self) -> bytes:
        """Digest path, size, time of change and shape."""
        return self.state.digest(self.shape)


def check_content(what: str, shape: tuple[int, ...], dtype: Any) -> None:
    """Raise unless there are samples by features, all of them real numbers.

    Parameters
    ----------
    what : str
        What to call it in messages.
    shape : tuple of int
    dtype : dtype

    Raises
    ------
    ValueError
        If there are not two dimensions.
    TypeError
        If the values are no real numbers.
    """
    if len(shape) != 2:
        raise ValueError(f"{what} must have two dimensions, samples by features, got shape {tuple(shape)}")
    if np.dtype(dtype).kind not in "biuf":
        raise TypeError(f"{what} must hold real numbers, got dtype {dtype}")


def needs(what: str, library: str, extra: str) -> str:
    """Give the message of an ImportError: which library is missing, and the extra that installs it."""
    return f"{what} needs {library}; install it with: pip install 'fcfast[{extra}]'"
