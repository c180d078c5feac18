"""Measures of the inputs that kernels need: the squared norm of each sample, and the variance of all numbers."""

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray
from scipy import sparse

from fcfast.gram.occurring import occurring, within
from fcfast.gram.reading import Inputs, reader, row_readers
from fcfast.tiles import slices


def squared_norms(X: Inputs, dtype: DTypeLike = np.float64) -> NDArray[np.float64]:
    """Compute the squared norm (N,) of each sample, summed in double precision from numbers in `dtype`.

    Raises
    ------
    ValueError
        If X is a source with values that are NaN or infinite.

    Examples
    --------
    >>> import numpy as np
    >>> from fcfast.gram.measures import squared_norms
    >>> squared_norms(np.array([[3, 4], [0, 2]], dtype="int8"))
    array([25.,  4.])
    """
    columns = occurring(X)
    X = X if columns is None else within(X, columns)
    norms = np.zeros(X.shape[0])
    for rows, inputs in row_readers(X, 1, np.dtype(dtype)):
        for features in slices(X.shape[1], inputs.width):
            block = inputs.read(features)
            if sparse.issparse(block):
                norms[rows] += np.asarray(block.astype(np.float64).power(2).sum(axis=1)).ravel()
            else:
                norms[rows] += np.einsum("ij,ij->i", block, block, dtype=np.float64)
    return norms


def has_values(X: Inputs) -> bool:
    """Whether a number in X is not 0; it reads no further than the block with the first one."""
    inputs = reader(X, np.dtype(np.float64))
    blocks: Any = (inputs.read(features) for features in slices(X.shape[1], inputs.width))
    return any((block.data if sparse.issparse(block) else block).any() for block in blocks)


def variance(X: Inputs) -> float:
    """Compute the variance of all numbers in X, as ``X.var()``; a sparse X counts with its zeros."""
    n, mean, squares = 0, 0.0, 0.0  # number, mean and sum of squared differences so far
    inputs = reader(X, np.dtype(np.float64))
    for features in slices(X.shape[1], inputs.width):
        block = inputs.read(features)
        numbers: Any = block.data if sparse.issparse(block) else block
        size = block.shape[0] * block.shape[1]
        own_mean = float(numbers.sum()) / size
        own = float(np.square(numbers - own_mean).sum()) + (size - numbers.size) * own_mean**2
        # two parts are put together as Chan, Golub and LeVeque do (1979), so that a large mean costs no digits
        distance = own_mean - mean
        squares += own + distance**2 * n * size / (n + size)
        mean += distance * size / (n + size)
        n += size
    return squares / n
