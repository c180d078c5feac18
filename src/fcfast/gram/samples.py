"""The check of samples that a Gram matrix is made of, before anything is computed."""

from typing import Any

import numpy as np
from scipy import sparse
from sklearn.utils import check_array

from fcfast import validation
from fcfast.sources import Source


def checked_samples(X: Any) -> Any:
    """Check features (N, d), or a kernel matrix. Sources and numeric arrays of any type are not converted.

    Raises
    ------
    ValueError, TypeError
        If they are not a matrix of finite real numbers.
    """
    if isinstance(X, Source):
        return X
    is_numeric = (isinstance(X, np.ndarray) or sparse.issparse(X)) and X.dtype.kind in "biuf" and X.dtype.itemsize <= 8
    with validation.naming_text(X), np.errstate(over="ignore", invalid="ignore"):  # it looks for infinities itself
        return check_array(
            X, accept_sparse=("csr", "csc"), dtype=None if is_numeric else ("float64", "float32"), input_name="X"
        )
