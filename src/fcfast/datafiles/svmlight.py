"""Svmlight text: every line holds a target and the nonzero features."""

import io
from collections.abc import Callable, Iterator
from itertools import islice
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from fcfast import backend
from fcfast.datafiles.asked import Asked
from fcfast.datafiles.checks import ROWS_REMEDY, check_table
from fcfast.datafiles.labels import from_array, whole
from fcfast.datafiles.sources import Source, decoding
from fcfast.datafiles.table import Table

REMEDY = "write it again with sklearn.datasets.dump_svmlight_file"


def read_svmlight(source: Source, asked: Asked) -> Table:
    """Read svmlight text as CSR; feature j is column j. Features beyond `asked.n_features` are left out."""
    if asked.target is not None:
        raise ValueError(f"{source} has its target at the start of every line; leave out target={asked.target!r} (--target)")
    with source.unpacked() as stream:
        has_target = not _starts_with_a_feature(stream)
        text = stream.read()
    X, y = _parsed(source, text if has_target else _with_targets(source, text)[0])
    del text
    width = _Width(source, asked.n_features)
    X, skipped = width.applied(X)
    width.refuse_shifted()
    target = from_array(source, whole(y), asked.target_type) if has_target else None
    return Table(X, target, skipped=skipped, target_name="at the start of each line" if has_target else "")


def read_svmlight_blocks(source: Source, asked: Asked, block_rows: int) -> Iterator[Table]:
    """Read so many lines at a time. Without `asked.n_features` a block is as wide as its last feature needs."""
    with source.unpacked() as stream:
        has_target, line, row = not _starts_with_a_feature(stream), 1, 0
        width, blank = _Width(source, asked.n_features), None
        while lines := list(islice(stream, block_rows)):
            text = b"".join(lines)
            if not has_target:
                text, blank = _with_targets(source, text, line, blank)
            X, y = _parsed(source, text, line)
            line += len(lines)
            if not X.shape[0]:  # comments alone
                continue
            X, skipped = width.applied(X)
            table = Table(X, from_array(source, whole(y), asked.target_type) if has_target else None, skipped=skipped)
            check_table(source, table, first_row=row, remedy=ROWS_REMEDY)
            row += X.shape[0]
            yield table
        width.refuse_shifted()


def _parsed(source: object, text: bytes, first: int = 1) -> tuple[Any, NDArray[np.float64]]:
    """Read lines with targets, those of the usual kind by our own kernel; `first` is the number of the first line."""
    parts = backend.svmlight.parse(text if text.endswith(b"\n") else text + b"\n")
    if parts is not None and len(parts[0]) and np.isfinite(parts[3]).all():
        y, indptr, indices, values = parts
        width = int(indices.max()) + 1 if len(indices) else 1
        return sparse.csr_array((values, indices, indptr), shape=(len(y), width)), y
    try:
        from sklearn.datasets import load_svmlight_file
    except ImportError as error:
        raise ImportError(f"reading {source} needs scikit-learn; install it with: pip install scikit-learn") from error

    def load(part: bytes) -> tuple[Any, Any]:
        # Files count features from 0 or from 1. Guessing which, from the features that happen to be in a file, can shift
        # test data against training data; feature j in column j cannot (counting from 1 leaves an empty column 0).
        X, y = load_svmlight_file(io.BytesIO(part), zero_based=True)
        return X, y

    try:
        X, y = load(text)
    except MemoryError:
        raise
    except Exception as error:  # decoders raise many types on damaged bytes
        number, line = _damaged(text, load)
        with decoding(f"{source}, line {first + number:,}", "svmlight text", REMEDY):
            load(line)
        with decoding(source, "svmlight text", REMEDY):  # the line by itself can be read
            raise error
    return sparse.csr_array(X), y


def _damaged(text: bytes, load: Callable[[bytes], object]) -> tuple[int, bytes]:
    """Find the first line that cannot be loaded, by halving the text; give its place, and the line."""
    lines, start = text.split(b"\n"), 0
    while len(lines) > 1:
        half = len(lines) // 2
        part = b"\n".join(lines[:half]) + b"\n"
        try:
            if backend.svmlight.parse(part) is None:
                load(part)
            lines, start = lines[half:], start + half
        except Exception:  # as above
            lines = lines[:half]
    return start, lines[0]


def _starts_with_a_feature(stream: IO[bytes]) -> bool:
    """Tell whether the first line that is not a comment starts with a feature, without consuming it."""
    start = stream.peek(1 << 16)  # type: ignore[attr-defined]  # files, pipes and gzip have it
    first = next((line for line in start.splitlines() if line.strip() and not line.lstrip().startswith(b"#")), b"")
    return b":" in first and b":" in first.split(None, 1)[0]


def _with_targets(source: object, content: bytes, first: int = 1, blank: int | None = None) -> tuple[bytes, int | None]:
    """Put a target before each line of a file without targets.

    `first` is the number of the first line, and `blank` that of an empty line that no other line has followed so far; that of
    this part of the file is returned, too.
    """
    lines = []
    for number, line in enumerate(content.splitlines(), first):
        if not line.strip():
            blank = blank or number
        elif blank is not None:
            raise ValueError(
                f"{source}: line {blank:,} is empty in a file without targets; write 0:0 for a sample without features, or "
                "delete it"
            )
        lines.append(b"0 " + line if line.strip() and not line.lstrip().startswith(b"#") else line)
    return b"\n".join(lines), blank


class _Width:
    """Changes the width of the blocks of a file to `n_features`, and notes whether the file seems to count from 1."""

    def __init__(self, source: object, n_features: int | None) -> None:
        self.source, self.n_features = source, n_features
        self._widest, self._has_first = 0, False

    def applied(self, X: Any) -> tuple[Any, list[str]]:
        """Give rows with `n_features` columns, and the names of the features beyond them."""
        n_read, n_features = X.shape[1], self.n_features
        if n_features is None:
            return X, []
        self._widest = max(self._widest, n_read)
        self._has_first = self._has_first or bool(X.data[X.indices == 0].any())
        if n_read <= n_features:
            return sparse.csr_array((X.data, X.indices, X.indptr), shape=(X.shape[0], n_features)), []
        used = np.unique(X.indices[X.data != 0])
        return X[:, :n_features], [str(j) for j in used[used >= n_features]]

    def refuse_shifted(self) -> None:
        """Refuse a file that needs one more feature, but never the first one; only the whole file tells."""
        if self.n_features is not None and self._widest == self.n_features + 1 and not self._has_first:
            raise ValueError(
                f"{self.source} has {self._widest} features, the first of them always 0, where {self.n_features} are known: it "
                "seems to count from 1 and the others from 0; write it again with zero_based=True "
                "(sklearn.datasets.dump_svmlight_file)"
            )
