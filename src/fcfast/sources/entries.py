"""Entries of sparse matrices, and numbers of the features that they are in.

Hashed text may have 2^26 columns and a few thousand entries. Nothing here makes an array as long as a row of such a matrix.
"""

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray
from scipy import sparse

Array = NDArray[Any]
Floats = NDArray[np.float64]
Features = NDArray[np.int64]

FEWER = 4  # columns for each entry, from which on an array as long as a row is larger than the matrix itself


def columns_of(X: Any) -> Array:
    """Give the column of each entry of a matrix in CSR or CSC."""
    return X.indices if X.format == "csr" else np.repeat(np.arange(X.shape[1]), np.diff(X.indptr))


def counted(columns: Array, n_features: int) -> tuple[Array, Array]:
    """Give the features that entries in these columns have, in rising order, and how many entries each has."""
    if n_features > FEWER * len(columns):
        return np.unique(columns, return_counts=True)
    counts = np.bincount(columns)
    features = np.flatnonzero(counts)
    return features, counts[features]


def places_of(columns: Array, features: Array, n_features: int) -> NDArray[np.intp]:
    """Give the place of each column among features in rising order, -1 for a column that is not one of them."""
    if n_features <= FEWER * len(columns):
        table = np.full(n_features, -1, np.intp)
        table[features] = np.arange(len(features))
        return table[columns]
    places = np.minimum(np.searchsorted(features, columns), len(features) - 1)
    return np.where(features[places] == columns, places, -1)


def looked_up(columns: Array, features: Features, numbers: Floats, default: float, n_features: int) -> Floats:
    """Give the number of each column; features in rising order have numbers, and all other columns have the default.

    Examples
    --------
    >>> import numpy as np
    >>> from fcfast.sources.entries import looked_up
    >>> looked_up(np.array([7, 0, 7]), np.array([2, 7]), np.array([0.5, 4.0]), 1.0, n_features=9)
    array([4., 1., 4.])
    """
    places = places_of(columns, features, n_features)
    return np.where(places >= 0, numbers[places], default)


def occurring_part(X: Any) -> tuple[Features, Any]:
    """Give the features of a matrix in CSR or CSC that have entries, at least one in rising order, and X with these alone.

    Examples
    --------
    >>> import numpy as np
    >>> from scipy import sparse
    >>> from fcfast.sources.entries import occurring_part
    >>> features, part = occurring_part(sparse.csr_array(([5.0, 6.0], [7, 2], [0, 1, 2]), shape=(2, 2**26)))
    >>> features, part.toarray().tolist()
    (array([2, 7]), [[0.0, 5.0], [6.0, 0.0]])
    """
    n_samples, n_features = X.shape
    columns = columns_of(X)
    features = counted(columns, n_features)[0]
    features = features.astype(np.int64) if len(features) else np.zeros(1, np.int64)
    if X.format == "csr":
        places = places_of(columns, features, n_features)
        return features, sparse.csr_array((X.data, places, X.indptr), shape=(n_samples, len(features)))
    indptr = np.append(X.indptr[features], X.indptr[-1])  # no other column has entries
    return features, sparse.csc_array((X.data, X.indices, indptr), shape=(n_samples, len(features)))


def scaled_entries(X: Any, features: Features, scale: Floats | None, fill: Floats | None, dtype: DTypeLike) -> Any:
    """Divide the entries of a sparse matrix in CSR or CSC by the scales of their features, and fill in missing ones.

    Parameters
    ----------
    X : CSR or CSC of shape (N, d)
        It is not changed, and the result shares the places of its entries.
    features : ndarray of int of shape (k,)
        Features with numbers of their own, in rising order.
    scale : ndarray of shape (k,), or None
        Their scales; that of all other features is 1, and None changes none.
    fill : ndarray of shape (k,), or None
        What stands for missing values (NaN) of theirs, and 0 does for those of others; None refuses missing values.
    dtype : dtype
        Precision of the result. What is computed before is in double precision.

    Raises
    ------
    ValueError
        If values are infinite, or missing where that is refused.
    """
    columns, values = columns_of(X), X.data.astype(np.float64)
    is_missing = np.isnan(values)
    if np.isinf(values).any() or (fill is None and is_missing.any()):
        raise ValueError("X contains NaN or infinity; fill in what is missing, or use missing='mean'")
    if fill is not None and is_missing.any():
        values[is_missing] = looked_up(columns[is_missing], features, fill, 0.0, X.shape[1])
    if scale is not None:
        values /= looked_up(columns, features, scale, 1.0, X.shape[1])
    with np.errstate(over="ignore"):  # whoever multiplies looks for infinity
        return type(X)((values.astype(dtype, copy=False), X.indices, X.indptr), shape=X.shape)
