"""The check of samples that a Gram matrix is made of, before anything is computed."""

from typing import Any

import numpy as np
from scipy import sparse

from fcfast import validation
from fcfast.sources import Source, source_in


def is_numeric(dtype: np.dtype[Any]) -> bool:
    """Whether numbers of a type need no conversion before they are multiplied by blocks."""
    return dtype.kind in "biuf" and dtype.itemsize <= 8


def is_matrix(X: Any) -> bool:
    """Whether samples are a matrix of numbers."""
    is_array = isinstance(X, np.ndarray) and X.ndim == 2 and X.dtype.kind in "biuf"
    return is_array or sparse.issparse(X) or isinstance(X, Source)


def checked_samples(X: Any, missing: str = "error", fills_in: bool = True) -> Any:
    """Check features (N, d), or a kernel matrix, which is not to be filled in. Sources and numeric arrays are not converted.

    Raises
    ------
    ValueError, TypeError
        If they are not a matrix of finite real numbers.
    """
    if (source := source_in(X)) is not None:
        return source
    X = validation.unmasked(X, "X")
    is_kept = (isinstance(X, np.ndarray) or sparse.issparse(X)) and is_numeric(X.dtype)
    from sklearn.utils import check_array  # the command line imports this module to show its help

    # check_array looks for infinities itself
    with validation.clearer_errors(X, fills_in=fills_in), np.errstate(over="ignore", invalid="ignore"):
        return check_array(
            X,
            accept_sparse=("csr", "csc"),
            dtype=None if is_kept else ("float64", "float32"),
            ensure_all_finite=True if missing == "error" else "allow-nan",
            input_name="X",
        )


def any_samples(X: Any) -> Any:
    """Give samples that a function compares: a matrix of numbers as it is, a copy of the list for anything else.

    Raises
    ------
    TypeError
        If X is no sequence of samples.
    """
    X = validation.unmasked(X, "X")
    if is_matrix(X) or source_in(X) is not None:
        validation.refuse_malformed(X)
        return X
    if hasattr(X, "iloc") and getattr(X, "ndim", 1) == 2:
        return checked_samples(X, fills_in=False)
    if isinstance(X, (str, bytes)) or not (hasattr(X, "__len__") and hasattr(X, "__getitem__")):
        raise TypeError(
            f"X must be a sequence of samples that the kernel compares, such as a list, got {type(X).__name__}; give a single "
            "sample as [sample]"
        )
    return list(X)


def feature_names_of(X: Any) -> list[str] | None:
    """Give the names of the features, if X has any."""
    from sklearn.utils.validation import _get_feature_names

    source = source_in(X)
    names = _get_feature_names(X) if source is None else source.feature_names
    return None if names is None else list(map(str, names))
