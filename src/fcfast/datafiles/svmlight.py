"""Svmlight text: every line holds a target and the nonzero features."""

import io
from collections.abc import Iterator
from itertools import islice
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from fcfast import backend
from fcfast.datafiles.asked import Asked
from fcfast.datafiles.checks import check_table
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
    X, y = _parsed(source, text if has_target else _with_targets(source, text))
    del text
    X, skipped = _as_wide(source, X, asked.n_features)
    target = from_array(source, whole(y), asked.target_type) if has_target else None
    return Table(X, target, skipped=skipped, target_name="at the start of each line" if has_target else "")


def read_svmlight_blocks(source: Source, asked: Asked, block_rows: int) -> Iterator[Table]:
    """Read so many lines at a time. Without `asked.n_features` a block is as wide as its last feature needs."""
    with source.unpacked() as stream:
        has_target, first = not _starts_with_a_feature(stream), 1
        while lines := list(islice(stream, block_rows)):
            about = f"{source}, lines {first:,} to {first + len(lines) - 1:,}"
            text = b"".join(lines)
            X, y = _parsed(about, text if has_target else _with_targets(about, text))
            first += len(lines)
            if not X.shape[0]:  # comments alone
                continue
            X, skipped = _as_wide(about, X, asked.n_features)
            table = Table(X, from_array(about, whole(y), asked.target_type) if has_target else None, skipped=skipped)
            check_table(about, table)
            yield table


def _parsed(source: object, text: bytes) -> tuple[Any, NDArray[np.float64]]:
    """Read lines with targets, those of the usual kind by our own kernel."""
    parts = backend.svmlight.parse(text if text.endswith(b"\n") else text + b"\n")
    if parts is not None and len(parts[0]) and np.isfinite(parts[3]).all():
        y, indptr, indices, values = parts
        width = int(indices.max()) + 1 if len(indices) else 1
        return sparse.csr_array((values, indices, indptr), shape=(len(y), width)), y
    try:
        from sklearn.datasets import load_svmlight_file
    except ImportError as error:
        raise ImportError(f"reading {source} needs scikit-learn; install it with: pip install scikit-learn") from error
    with decoding(source, "svmlight text", REMEDY):
        # Files count features from 0 or from 1. Guessing which, from the features that happen to be in a file, can shift
        # test data against training data; feature j in column j cannot (counting from 1 leaves an empty column 0).
        X, y = load_svmlight_file(io.BytesIO(text), zero_based=True)
    return sparse.csr_array(X), y


def _starts_with_a_feature(stream: IO[bytes]) -> bool:
    """Tell whether the first line that is not a comment starts with a feature, without consuming it."""
    start = stream.peek(1 << 16)  # type: ignore[attr-defined]  # files, pipes and gzip have it
    first = next((line for line in start.splitlines() if line.strip() and not line.lstrip().startswith(b"#")), b"")
    return b":" in first and b":" in first.split(None, 1)[0]


def _with_targets(source: object, content: bytes) -> bytes:
    """Put a target before each line of a file without targets."""
    lines = content.rstrip().splitlines()
    blank = next((number for number, line in enumerate(lines, 1) if not line.strip()), None)
    if blank is not None:
        raise ValueError(
            f"{source}: line {blank} is empty in a file without targets; write 0:0 for a sample without features, or delete it"
        )
    return b"\n".join(b"0 " + line if not line.lstrip().startswith(b"#") else line for line in lines)


def _as_wide(source: object, X: Any, n_features: int | None) -> tuple[Any, list[str]]:
    """Change the width of the matrix to `n_features`; return the names of the features beyond it too."""
    n_read = X.shape[1]
    if n_features is None or n_read == n_features:
        return X, []
    if n_read < n_features:
        return sparse.csr_array((X.data, X.indices, X.indptr), shape=(X.shape[0], n_features)), []
    used = np.unique(X.indices[X.data != 0])
    if n_read == n_features + 1 and 0 not in used:
        raise ValueError(
            f"{source} has {n_read} features, the first of them always 0, where {n_features} are known: it seems to count from "
            "1 and the others from 0; write it again with zero_based=True (sklearn.datasets.dump_svmlight_file)"
        )
    return X[:, :n_features], [str(j) for j in used[used >= n_features]]
