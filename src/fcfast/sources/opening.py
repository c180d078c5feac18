"""One way to a source for whatever holds features."""

from typing import Any

import numpy as np
from scipy import sparse

from fcfast.sources.arrays import ArraySource, SparseSource
from fcfast.sources.protocol import Source


def as_source(X: Any) -> Source:
    """Give the source that reads an object.

    Parameters
    ----------
    X : Source, ndarray or sparse matrix
        Samples by features.

    Returns
    -------
    Source

    Raises
    ------
    TypeError
        If X is nothing of this.

    Examples
    --------
    >>> import numpy as np
    >>> from fcfast.sources import as_source
    >>> as_source(np.ones((2, 3)))
    ArraySource(2 samples x 3 features, float64)
    """
    if isinstance(X, Source):
        return X
    if sparse.issparse(X):
        return SparseSource(X)
    if isinstance(X, np.ndarray):
        return ArraySource(X)
    raise TypeError(f"X must be a Source, an array or a SciPy sparse matrix, got {type(X).__module__}.{type(X).__name__}")
