"""Inputs in blocks of features, in the dtype of the products and in the memory order that BLAS takes without copying."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from fcfast.gram import budget
from fcfast.gram.occurring import Occurrences
from fcfast.sources.protocol import Source
from fcfast.tiles import slices
from fcfast.validation import all_finite

Array = NDArray[Any]
Inputs = Any  # ndarray, memmap, a sparse matrix or array of any format, or a Source
Block = Any  # ndarray, or CSC where that is faster


ENTRY_BYTES = 16  # of an entry of a sparse block, at most: a number and its place


@dataclass(frozen=True)
class Reader:
    """Inputs in blocks: `read(features)` gives these columns in the wanted dtype, at most `width` of them at a time."""

    shape: tuple[int, int]
    width: int
    read: Callable[[slice], Block]


def reader(X: Inputs, dtype: np.dtype[Any]) -> Reader:
    """Choose how to read the inputs: as they are if BLAS or a sparse product takes them so, else converted block by block.

    The width depends on shape and dtype, and for sparse inputs on their entries, so that the same numbers give the same bits
    wherever they lie.
    """
    n_samples, n_features = X.shape
    # Half of the budget is for the block, and half for what it is converted from.
    affordable = _within_budget(2 * n_samples * dtype.itemsize)
    if isinstance(X, Source):
        return _source_reader(X, dtype, affordable)
    if sparse.issparse(X):
        columns = X.astype(dtype, copy=False).tocsc()
        if _is_sparser(Occurrences.of_samples(columns).n_pairs, n_samples, n_features):
            return Reader(X.shape, _sparse_width(columns.nnz, n_features), lambda features: columns[:, features])
        return Reader(X.shape, affordable, lambda features: columns[:, features].toarray())
    array = np.asarray(X)
    return Reader(X.shape, affordable, lambda features: _suited(array[:, features], dtype))


def _source_reader(X: Source, dtype: np.dtype[Any], affordable: int) -> Reader:
    def block_of(features: slice) -> Block:
        block = _suited(X.read(features), dtype)
        refuse_not_finite(block, X, features.start)
        return block

    def sparse_block_of(features: slice) -> Block:
        block = sparse.csc_array(X.read(features)).astype(dtype, copy=False)
        refuse_not_finite(block, X, features.start)
        return block

    if not X.is_sparse:
        return Reader(X.shape, affordable, block_of)
    counts = X.count_entries()
    if _is_sparser(float(np.sum(np.square(counts, dtype=np.float64))), *X.shape):
        return Reader(X.shape, _sparse_width(int(counts.sum()), X.shape[1]), sparse_block_of)
    return Reader(X.shape, affordable, lambda features: sparse_block_of(features).toarray())


def _within_budget(bytes_per_feature: float) -> int:
    """Count the features whose block is affordable."""
    return min(budget.MAX_SIDE, max(budget.MIN_SIDE, int(budget.BLOCK_BYTES // max(1, bytes_per_feature))))


def _sparse_width(n_entries: int, n_features: int) -> int:
    """Count the features of a sparse block, which is held by columns, by rows, and as it was read."""
    return _within_budget(3 * ENTRY_BYTES * n_entries / n_features)


def _is_sparser(n_pairs: float, n_samples: int, n_features: int) -> bool:
    """Whether a sparse Gram matrix is faster than a dense one."""
    return n_pairs / (n_samples**2 * n_features) < budget.SPARSE_SHARE


def refuse_not_finite(block: Block, X: Source, start: int) -> None:
    """Raise a ValueError that names the first column of a block, read from feature `start` on, with NaN or infinity."""
    values = block.data if sparse.issparse(block) else block
    if values.dtype.kind != "f" or all_finite(values):
        return
    dense = block.toarray() if sparse.issparse(block) else block
    column = start + int(np.argmin(np.isfinite(dense).all(axis=0)))
    if np.isnan(dense[:, column - start]).any():
        raise ValueError(
            f"X has missing values (NaN) in {column_text(X, column)}; fill them in, or use missing='mean', "
            "which puts the mean of the column in their place"
        )
    raise ValueError(
        f"X has infinity, or values too large for {dense.dtype}, in {column_text(X, column)}; use another unit there"
    )


def column_text(X: Source, column: int) -> str:
    """Name a column in a message."""
    name = "" if X.feature_names is None else f" ({X.feature_names[column]!r})"
    return f"column {X.offset + column}{name}, counted from 0"


def _suited(array: Array, dtype: np.dtype[Any]) -> Array:
    """Give a block as BLAS takes it; a single column is copied, because products of vectors are rounded by their strides."""
    return array if array.shape[1] > 1 and _suits_blas(array, dtype) else _in_rows(array, dtype)


def _in_rows(array: Array, dtype: np.dtype[Any]) -> Array:
    """Copy to a C-contiguous array, in strips that stay in cache if the columns are contiguous."""
    rows = np.empty(array.shape, dtype)
    for strip in slices(array.shape[1], budget.STRIP if array.strides[0] < array.strides[1] else array.shape[1]):
        rows[:, strip] = array[:, strip]
    return rows


def _suits_blas(array: Array, dtype: np.dtype[Any]) -> bool:
    """Whether BLAS takes any block of columns as it is: the rows are contiguous and do not overlap."""
    of_row, of_number = array.strides
    size = array.itemsize
    is_in_order = of_number == size and of_row % size == 0 and of_row >= array.shape[1] * size
    return array.dtype == dtype and array.flags.aligned and is_in_order


def row_readers(X: Inputs, n_results: int, dtype: np.dtype[Any]) -> Iterator[tuple[slice, Reader]]:
    """Give readers of a few rows at a time, so that blocks and `n_results` double-precision results per row are affordable."""
    rows_of = X.astype(dtype, copy=False).tocsr() if sparse.issparse(X) else X
    parts = slices(X.shape[0], affordable_rows(n_results))
    for rows in parts:
        yield rows, reader(X if len(parts) == 1 else rows_of[rows], dtype)


def affordable_rows(n_results: int) -> int:
    """Count the rows whose results, `n_results` each in double precision, fill a block."""
    return max(budget.MIN_SIDE, budget.BLOCK_BYTES // (8 * max(budget.MIN_SIDE, n_results)))
