"""What a file of a Gram matrix says about its samples: their kernel, their features, and how these are prepared."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fcfast.kernels.given import AnyKernel, Precomputed
from fcfast.kernels.stored import kernel_entry
from fcfast.sources import Standardized
from fcfast.sources.standardized import Statistics

Array = NDArray[Any]


class Preparation(NamedTuple):
    """How features were prepared that are not at hand: what a `Standardized` source says of itself."""

    standardize: bool | str
    missing: str
    statistics: Statistics


Prepared = Standardized | Preparation


def shapes_of(
    prepared: Prepared | None, kernel: AnyKernel, dtype: np.dtype[Any], n_samples: int, n_features: int
) -> dict[str, tuple[np.dtype[Any], tuple[int, ...]]]:
    """Give dtype and shape of every array in the file of `n_samples` samples."""
    double = np.dtype(np.float64)
    shapes: dict[str, tuple[np.dtype[Any], tuple[int, ...]]] = {"matrix": (dtype, (n_samples, n_samples))}
    if kernel.takes_features and not kernel.has_weights:
        shapes["norms"] = double, (n_samples,)
    if prepared is not None:
        shapes |= {"mean": (double, (n_features,)), "scale": (double, (n_features,))}
    return shapes


def content_of(prepared: Prepared | None, kernel: AnyKernel, n_features: int, names: list[str] | None) -> dict[str, Any]:
    """Give the description of samples with `n_features` features, 0 if there are none; a TypeError for a kernel without one."""
    return {
        "kernel": None if isinstance(kernel, Precomputed) else kernel_entry(kernel),
        "n_features": n_features or None,
        "feature_names": names,
        "standardize": prepared is not None and prepared.standardize,
        "missing": "error" if prepared is None else prepared.missing,
    }


def keep(arrays: dict[str, Array], prepared: Prepared | None, norms: NDArray[np.float64] | None) -> None:
    """Fill the arrays that stand beside the matrix."""
    if norms is not None:
        arrays["norms"][:] = norms
    if prepared is not None:
        scale = prepared.statistics.complete()
        arrays["mean"][:], arrays["scale"][:] = scale.mean, scale.scale
