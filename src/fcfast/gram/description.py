"""What a file of a Gram matrix says about its samples: their kernel, their features, and how these are prepared."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fcfast.kernels import Kernel
from fcfast.kernels.stored import kernel_entry
from fcfast.sources import Standardized

Array = NDArray[Any]


def shapes_of(X: Any, kernel: Any, dtype: np.dtype[Any], n_samples: int) -> dict[str, tuple[np.dtype[Any], tuple[int, ...]]]:
    """Give dtype and shape of every array in the file of `n_samples` samples with features X."""
    double = np.dtype(np.float64)
    shapes: dict[str, tuple[np.dtype[Any], tuple[int, ...]]] = {"matrix": (dtype, (n_samples, n_samples))}
    if isinstance(kernel, Kernel) and not kernel.has_weights:
        shapes["norms"] = double, (n_samples,)
    if isinstance(X, Standardized):
        shapes |= {"mean": (double, (X.shape[1],)), "scale": (double, (X.shape[1],))}
    return shapes


def content_of(X: Any, kernel: Any, names: list[str] | None) -> dict[str, Any]:
    """Give the description of samples with features X, None if there are none; a TypeError for a kernel without one."""
    prepared = X if isinstance(X, Standardized) else None
    return {
        "kernel": None if kernel is None else kernel_entry(kernel),
        "n_features": None if X is None else X.shape[1],
        "feature_names": names,
        "standardize": prepared is not None and prepared.standardize,
        "missing": "error" if prepared is None else prepared.missing,
    }


def keep(arrays: dict[str, Array], X: Any, norms: NDArray[np.float64] | None) -> None:
    """Fill the arrays that stand beside the matrix."""
    if norms is not None:
        arrays["norms"][:] = norms
    if isinstance(X, Standardized):
        scale = X.statistics.complete()
        arrays["mean"][:], arrays["scale"][:] = scale.mean, scale.scale
