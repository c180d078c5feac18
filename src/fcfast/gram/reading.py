"""Inputs in blocks of features, in the dtype of the products and in the memory order that BLAS takes without copying."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from fcfast.gram import budget
from fcfast.gram.occurring import entry_pairs
from fcfast.sources.mapped import is_mapped
from fcfast.tiles import slices

Array = NDArray[Any]
Inputs = Any  # ndarray, memmap, or a sparse matrix or array of any format
Block = Any  # ndarray, or CSC where that is faster


@dataclass(frozen=True)
class Reader:
    """Inputs in blocks: `read(features)` gives these columns in the wanted dtype, at most `width` of them at a time."""

    width: int
    read: Callable[[slice], Block]


def reader(X: Inputs, dtype: np.dtype[Any]) -> Reader:
    """Choose how to read the inputs: as they are if BLAS or a sparse product takes them so, else converted block by block."""
    n_samples = X.shape[0]
    affordable = min(budget.MAX_SIDE, max(budget.MIN_SIDE, budget.BLOCK_BYTES // (n_samples * dtype.itemsize)))
    if sparse.issparse(X):
        columns = X.astype(dtype, copy=False).tocsc()
        share = entry_pairs(columns) / (n_samples**2 * columns.shape[1])  # relative to a dense product
        if share < budget.SPARSE_SHARE:
            return Reader(budget.MAX_SIDE, lambda features: columns[:, features])
        return Reader(affordable, lambda features: columns[:, features].toarray())
    array = np.asarray(X)
    if _suits_blas(array, dtype):
        return Reader(affordable if is_mapped(array) else budget.MAX_SIDE, lambda features: array[:, features])
    return Reader(affordable, lambda features: _in_rows(array[:, features], dtype))


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
    for rows in slices(X.shape[0], affordable_rows(n_results)):
        yield rows, reader(rows_of[rows], dtype)


def affordable_rows(n_results: int) -> int:
    """Count the rows whose results, `n_results` each in double precision, fill a block."""
    return max(budget.MIN_SIDE, budget.BLOCK_BYTES // (8 * max(budget.MIN_SIDE, n_results)))
