"""The products of all samples with each other, and how they are made."""

import os
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import numpy as np
from numpy.typing import DTypeLike, NDArray
from scipy import sparse

from fcfast import validation
from fcfast.gram.description import Preparation, Prepared, content_of, keep, shapes_of
from fcfast.gram.measures import has_values, variance
from fcfast.gram.products import gram_and_preactivations
from fcfast.gram.samples import checked_samples
from fcfast.gram.storage import created, opened
from fcfast.kernels import Kernel, make_kernel, refuse_indefinite
from fcfast.kernels.given import PRECOMPUTED, AnyKernel, Function, FunctionKernel, Precomputed
from fcfast.kernels.stored import kernel_of_entry
from fcfast.sources import Standardized, as_source
from fcfast.sources.inputs import TrainingInputs
from fcfast.sources.protocol import Source
from fcfast.sources.scale import Scale
from fcfast.sources.standardized import Statistics
from fcfast.validation import all_finite

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Products:
    """The products of all samples with each other, which the views of a `Gram` share.

    Attributes
    ----------
    matrix : ndarray or memmap of shape (N, N)
        Products, never changed.
    inputs : TrainingInputs or None
        Features of the samples; None if the samples are known by their products alone.
    n_features : int
        Number of features, whether or not they are at hand; 0 if there are none.
    kernel : Kernel, FunctionKernel or Precomputed
        Kernel that the products are values of, whether or not features are at hand.
    norms : ndarray of shape (N,), or None
        Squared norms of the samples, which a kernel other than the linear one needs for new samples.
    feature_names : list of str or None
        Names of the features.
    n_jobs : int or None
        Number of threads for further products.
    absent : Preparation or None
        How the features were prepared, if they are not at hand.
    token : str
        Name that all copies share, also those in other processes: rows of one matrix are not taken for rows of another.
    earlier : frozenset of str
        Names of the matrices that other samples were appended to, which made this one.
    """

    matrix: Array
    inputs: TrainingInputs | None = None
    n_features: int = 0
    kernel: AnyKernel = field(default_factory=Precomputed)
    norms: NDArray[np.float64] | None = None
    feature_names: list[str] | None = None
    n_jobs: int | None = None
    absent: Preparation | None = None
    token: str = ""
    earlier: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        object.__setattr__(self, "token", self.token or uuid4().hex)

    @property
    def prepared(self) -> Prepared | None:
        """What is done to features while they are read; None if nothing is."""
        held = None if self.inputs is None else self.inputs.unread
        return held if isinstance(held, Standardized) else self.absent

    def __getstate__(self) -> dict[str, Any]:
        """Leave the check of the features to whoever uses them: a worker that trains on products alone does not read them."""
        return self.__dict__ | {"inputs": None if self.inputs is None else self.inputs.unchecked()}


def kernel_of(kernel: str | AnyKernel | Function, gamma: float | str, degree: int, coef0: float) -> AnyKernel:
    """Give the kernel that the parameters describe."""
    if isinstance(kernel, (FunctionKernel, Precomputed)):
        return kernel
    if isinstance(kernel, str):
        return Precomputed() if kernel == PRECOMPUTED else make_kernel(kernel, gamma, degree, coef0)
    if callable(kernel) and not isinstance(kernel, (Kernel, type)):
        return FunctionKernel(kernel)
    return make_kernel(kernel)  # type: ignore[arg-type]  # it refuses a class with a clear error


def products_of(
    X: Any,
    kernel: AnyKernel,
    dtype: DTypeLike,
    n_jobs: int | None,
    names: list[str] | None,
    path: str | os.PathLike[str] | None,
) -> Products:
    """Compute the products of validated samples."""
    if path is not None and not kernel.takes_features:
        raise ValueError("path is for products of features; use save for products that were computed elsewhere")
    if isinstance(kernel, Precomputed):
        if sparse.issparse(X):
            raise TypeError("X is a kernel matrix, which must be dense, got a sparse matrix; use X.toarray()")
        if isinstance(X, Source):
            raise TypeError(f"X is a kernel matrix, which must be an array in memory, got a {type(X).__name__}; read it first")
        refuse_indefinite(X, "the kernel matrix X")
        with np.errstate(over="ignore"):  # reported below
            matrix = np.ascontiguousarray(X, dtype)
        refuse_overflow(matrix)
        if not matrix.diagonal().any() and X.diagonal().any():
            raise ValueError(_too_small("the kernel matrix X", "it", matrix.dtype))
        return Products(matrix, n_jobs=n_jobs)
    if isinstance(kernel, FunctionKernel):
        n_features = X.shape[1] if getattr(X, "ndim", 1) == 2 else 0
        return Products(kernel.gram(X, dtype), TrainingInputs(X), n_features, kernel, n_jobs=n_jobs)
    kernel = kernel.resolved(X.shape[1], variance(X) if kernel.needs_variance else None)
    inputs, dtype = TrainingInputs(X), np.dtype(dtype)
    if path is None:
        matrix = np.zeros((X.shape[0], X.shape[0]), dtype)
        norms = _fill(matrix, inputs, kernel, n_jobs)
        return Products(matrix, inputs, X.shape[1], kernel, norms, names, n_jobs)
    prepared = X if isinstance(X, Standardized) else None
    shapes = shapes_of(prepared, kernel, dtype, *X.shape)
    with created(path, shapes, content_of(prepared, kernel, X.shape[1], names)) as arrays:
        norms = _fill(arrays["matrix"], inputs, kernel, n_jobs)
        keep(arrays, prepared, norms)
    return Products(opened(path, mapped=True)[1]["matrix"], inputs, X.shape[1], kernel, norms, names, n_jobs)


def _fill(matrix: Array, inputs: TrainingInputs, kernel: Kernel, n_jobs: int | None) -> NDArray[np.float64] | None:
    """Fill the matrix with values of the kernel; give the squared norms of the samples, if other samples will need them."""
    with np.errstate(over="ignore", invalid="ignore"):  # reported below
        gram_and_preactivations(inputs.X, None, matrix.dtype, n_jobs, matrix)
    refuse_overflow(matrix)
    refuse_underflow(matrix, inputs.unread)
    if kernel.has_weights:
        return None
    norms = matrix.diagonal().astype(np.float64)
    kernel.apply_symmetric(matrix, n_jobs)
    return norms


def loaded(content: dict[str, Any], arrays: dict[str, Array], X: Any, n_jobs: int | None) -> Products:
    """Restore the products from a file, with the features X if they are given."""
    matrix = arrays["matrix"]
    if matrix.ndim != 2 or len(matrix) != matrix.shape[1]:
        raise ValueError(f"its matrix has shape {matrix.shape}")
    if content["kernel"] is None:
        if X is not None:
            raise ValueError("it holds products that were computed elsewhere, to which no features X belong")
        return Products(matrix, n_jobs=n_jobs)
    kernel, n_features, absent = kernel_of_entry(content["kernel"]), validation.size(content["n_features"], "n_features"), None
    if "mean" in arrays:
        known = Statistics.known(Scale(arrays["mean"], arrays["scale"]), content["missing"])
        absent = Preparation(content["standardize"], content["missing"], known)
    names, norms = content["feature_names"], arrays.get("norms")
    if X is None:
        return Products(matrix, None, n_features, kernel, norms, names, n_jobs, absent)
    samples = checked_samples(X, content["missing"])
    if samples.shape != (len(matrix), n_features):
        raise ValueError(f"X has shape {samples.shape}, but it needs {(len(matrix), n_features)}")
    if absent is not None:
        samples = Standardized(as_source(samples), absent.standardize, absent.missing, matrix.dtype, absent.statistics)
    return Products(matrix, TrainingInputs(samples), n_features, kernel, norms, names, n_jobs)


def refuse_underflow(matrix: Array, X: Any) -> None:
    """Raise a ValueError if the products of features X have lost their digits, or themselves, because they are too small.

    Their rounding errors are then no longer relative, but up to the smallest number for each feature. A look at the longest
    sample is enough: errors of the others count beside it. X is read again only if all products are 0.
    """
    longest = float(matrix.diagonal().max(initial=0))
    if longest >= X.shape[1] * float(np.finfo(matrix.dtype).tiny) or (isinstance(X, Standardized) and X.is_centred):
        return
    if longest or has_values(X):
        raise ValueError(_too_small("X", "its Gram matrix", matrix.dtype))


def _too_small(name: str, what: str, dtype: np.dtype[Any]) -> str:
    other = ", or use dtype='float64'" if dtype == np.float32 else ""
    return f"{name} has values so small that {what} underflows {dtype}; multiply it by a number{other}"


def refuse_overflow(*arrays: Array) -> None:
    """Raise a ValueError unless all products are finite."""
    if not all_finite(*arrays):
        other = ", or use dtype='float64'" if arrays[0].dtype == np.float32 else ""
        raise ValueError(f"X has values so large that its Gram matrix overflows {arrays[0].dtype}; scale X{other}")
