"""Products of sparse samples that are centred, without making them dense.

Centred samples are ``Z - 1 u'`` with sparse Z and the scaled means u. With u as one more sample, the products of [Z; u] hold
all that is needed: ``X X' = Z Z' - z 1' - 1 z' + u u'``, where z = Z u, and ``A' X = [A; -1'A]' [Z; u]``.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fcfast.sources.standardized import Bordered, Standardized

Array = NDArray[Any]


def bordered(X: Any) -> Bordered | None:
    """Give [Z; u] if X is centred and sparse; None for all other samples."""
    return X.bordered() if isinstance(X, Standardized) else None


def centred_gram(G: Array) -> Array:
    """Give X X' from the Gram matrix of [Z; u]."""
    z = G[-1, :-1]
    return G[:-1, :-1] - (z[:, None] + z) + G[-1, -1]


def centred_rows(products: Array) -> Array:
    """Give products with X from products with [Z; u], one row for each sample."""
    return products[:-1] - products[-1]


def centred_columns(products: Array) -> Array:
    """Give products with X from products with [Z; u], one column for each sample."""
    return products[:, :-1] - products[:, -1:]


def bordered_contributions(A: Array) -> Array:
    """Give contributions of [Z; u] that make the same weights as contributions A of X."""
    total = A.sum(axis=0, keepdims=True, dtype=np.float64)
    return np.concatenate([A, -total.astype(A.dtype)])
