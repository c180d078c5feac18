"""The Newton-Schulz iteration of Muon, on Gram matrices."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fcfast.layers.products import multiply

Array = NDArray[Any]


NEWTON_SCHULZ = 3.4445, -4.7750, 2.0315  # K. Jordan's quintic, as in torch.optim.Muon
SMALLEST_NORM = 1e-7


def orthogonalizer(gram: Array, n_iterations: int) -> Array:
    """Compute P from the Gram matrix U U' (n, n) such that P U is close to semi-orthogonal, by Muon's Newton-Schulz iteration.

    The iteration X <- a X + b (X X') X + c (X X')^2 X from X = U / |U| only multiplies by polynomials in X X', so the Gram
    matrix is sufficient. U' U gives the factor on the other side.
    """
    a, b, c = (gram.dtype.type(coefficient) for coefficient in NEWTON_SCHULZ)
    norm = max(float(np.trace(gram)), 0.0) ** 0.5
    norm = max(norm, SMALLEST_NORM)
    identity = np.eye(len(gram), dtype=gram.dtype)
    P, K = identity / gram.dtype.type(norm), gram / gram.dtype.type(norm * norm)
    for iteration in range(n_iterations):
        Q = a * identity + b * K + c * multiply(K, K)
        P = multiply(Q, P)
        if iteration < n_iterations - 1:
            K = multiply(multiply(Q, K), Q)
    return P
