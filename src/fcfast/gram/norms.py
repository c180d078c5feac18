"""Squared norms of samples, read by blocks of features."""

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from fcfast.gram.reading import refuse_not_finite
from fcfast.sources.protocol import Source

BLOCK_BYTES = 64 << 20  # size in double precision of the features that are read at a time


def squared_norms(X: Source) -> NDArray[np.float64]:
    """Give the sum of the squares of each sample's features (N,).

    Raises
    ------
    ValueError
        If values are NaN or infinite.

    Examples
    --------
    >>> import numpy as np
    >>> from fcfast.sources import ArraySource
    >>> from fcfast.gram.norms import squared_norms
    >>> squared_norms(ArraySource(np.array([[3, 4], [0, 2]], dtype="int8")))
    array([25.,  4.])
    """
    n_samples, n_features = X.shape
    norms = np.zeros(n_samples)
    width = max(1, BLOCK_BYTES // (8 * max(1, n_samples)))
    for start in range(0, n_features, width):
        block = X.read(slice(start, min(start + width, n_features)))
        refuse_not_finite(block, X, start)
        if sparse.issparse(block):
            norms += np.bincount(block.indices, np.square(block.data, dtype=np.float64), minlength=n_samples)
        else:
            norms += np.einsum("ij,ij->i", block, block, dtype=np.float64, casting="unsafe")
    return norms
