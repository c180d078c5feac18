"""Kernels that are functions of two blocks of samples."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray
from scipy import sparse

from fcfast import validation
from fcfast.kernels.base import KERNELS
from fcfast.sources import Source
from fcfast.tiles import slices

Array = NDArray[Any]

SIDE = 1024  # samples of each side that the function gets at a time


def evaluate(kernel: Callable[[Any, Any], Any], X: Any, Y: Any, dtype: DTypeLike = np.float64) -> Array:
    """Evaluate a function k(X_block, Y_block) for all pairs of samples, in blocks of at most 1024 by 1024 of them.

    Parameters
    ----------
    kernel : callable
        Function of two blocks of m and n samples that gives their kernel, an array of shape (m, n).
    X, Y : ndarray, sparse matrix, source, list or another sequence
        M and N samples. Only ``len`` or ``shape`` and slices of rows are used, so that samples may be strings or graphs. A
        source is read, and each of its blocks is passed as an array.
    dtype : {"float32", "float64"}
        Type of the result.

    Returns
    -------
    ndarray of shape (M, N)

    Raises
    ------
    ValueError
        If the function gives another shape, NaN or infinity; the message names the function.
    TypeError
        If `kernel` is not callable, or gives something other than real numbers.

    Notes
    -----
    The function is called for both halves of a square matrix, so that an asymmetric one is found by `refuse_indefinite`.

    Examples
    --------
    >>> from fcfast.kernels import evaluate
    >>> def common_letters(X, Y):
    ...     return [[len(set(x) & set(y)) for y in Y] for x in X]
    >>> evaluate(common_letters, ["gene", "protein"], ["gene", "exon", "intron"])
    array([[3., 2., 1.],
           [2., 3., 5.]])
    """
    if not callable(kernel) or isinstance(kernel, type):
        raise TypeError(f"kernel must be one of {list(KERNELS)}, a Kernel or a function of two blocks, got {kernel!r}")
    values = np.empty((_count(X), _count(Y)), dtype)
    for columns in slices(values.shape[1], SIDE):
        Y_block = _block(Y, columns)
        for rows in slices(len(values), SIDE):
            values[rows, columns] = _checked(kernel, _block(X, rows), Y_block, values[rows, columns].shape, values.dtype)
    return values


def _checked(kernel: Callable[[Any, Any], Any], X: Any, Y: Any, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    name = name_of(kernel)
    result = kernel(X, Y)
    if sparse.issparse(result):
        raise TypeError(f"kernel {name} gave a sparse matrix, but its values must be dense; let it return result.toarray()")
    block = validation.real_array(result, f"the result of kernel {name}")
    if block.shape != shape:
        raise ValueError(
            f"kernel {name} gave an array of shape {block.shape} for {shape[0]} and {shape[1]} samples; it must give {shape}, "
            "a number for each pair"
        )
    with np.errstate(over="ignore"):  # an overflow is refused below
        block = block.astype(dtype, copy=False)
    if not validation.all_finite(block):
        bad = block.size - int(np.isfinite(block).sum())
        raise ValueError(
            f"kernel {name} gave {bad} value(s) of {block.size} that are NaN or infinite in {dtype}; look for NaN in X"
        )
    return block


def name_of(kernel: Callable[[Any, Any], Any]) -> str:
    """Name a function in a message."""
    return str(getattr(kernel, "__qualname__", repr(kernel)))


def _count(X: Any) -> int:
    return int(X.shape[0]) if hasattr(X, "shape") else len(X)


def _block(X: Any, rows: slice) -> Any:
    if isinstance(X, Source):
        return X[rows].dense(X.dtype)
    return (X.iloc if hasattr(X, "iloc") else X)[rows]
