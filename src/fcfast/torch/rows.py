"""The samples that front layers are trained on, with their products and coordinates."""

import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from fcfast import validation
from fcfast.gram.object import Gram
from fcfast.gram.products import initial_preactivations, preactivations_of
from fcfast.gram.samples import checked_samples
from fcfast.gram.span import SpanFactor, span_factor
from fcfast.gram.start import InitialWeights
from fcfast.sources import open_source
from fcfast.sources.inputs import TrainingInputs
from fcfast.tiles import slices
from fcfast.torch.tensors import SPARSE_TENSOR, Constant, as_array

Array = NDArray[Any]

SUMS = 8  # sums of samples that tell whether a state belongs to these rows
AS_MADE = 1e-5  # relative difference between products of the same samples on different machines, in single precision
FILLED_IN = "use missing='mean'", "use Rows(Gram(X, missing='mean', dtype='float64'))"  # a Gram's advice, and that for rows
READ_ROWS = 1024  # rows of products that are read at a time


class Rows:
    """Samples for `FrontLinear`: their features, products and coordinates, which all models on them share.

    Features are read once, when the object is made. It is no module: it is in no state dictionary, copies of a module share
    it, and tensors of it are made on whatever device a layer is.

    Parameters
    ----------
    X : ndarray, tensor, DataFrame, sparse matrix, memmap, path, `fcfast.sources.Source` or `fcfast.Gram` of shape (N, d)
        Features of the training samples, to which a reference is kept, or their products. A path is opened by
        `fcfast.sources.open_source`. Features are scaled or filled in by a Gram, ``Rows(Gram(X, standardize=True,
        dtype="float64"))``, which may also have a kernel.
    X_eval : as `X`, or None
        M evaluation samples, whose products are computed once. In evaluation mode, ``module.eval()``, they are the rows
        N .. N + M - 1. If the samples are known by their products alone: these products, of shape (M, N).
    n_jobs : int or None, default None
        Number of threads that make products; None uses all that are available.

    Attributes
    ----------
    gram : Gram
        Training samples.
    evaluation : Tensor of shape (M,)
        Numbers of the evaluation samples.
    rank : int
        Number of coordinates: of samples that are independent. Those within about 1e-6 of their length from a combination of
        others count as that combination.

    Raises
    ------
    ValueError, TypeError
        If the data are invalid.

    Examples
    --------
    >>> import numpy as np
    >>> from fcfast.torch import Rows
    >>> X = np.random.default_rng(0).normal(size=(20, 5000))
    >>> rows = Rows(X[:16], X[16:])
    >>> rows, rows.rank, rows.evaluation.tolist()
    (Rows(16 samples, 5000 features, 4 for evaluation), 16, [16, 17, 18, 19])
    """

    def __init__(self, X: Any, X_eval: Any = None, *, n_jobs: int | None = None) -> None:
        if isinstance(X, Gram) and n_jobs is not None:
            raise ValueError(f"n_jobs={n_jobs!r} is for features, and X is a Gram with its own threads; give n_jobs to Gram")
        self.gram = X if isinstance(X, Gram) else _gram_of(X, n_jobs)
        if not len(self.gram):
            raise ValueError("X has no samples; a layer needs at least one to be trained on")
        self._eval_inputs: TrainingInputs | None = None
        self._eval_products: Array | None = None
        if X_eval is not None:
            with _named("X_eval"):
                X_eval = _opened(X_eval)
                self._eval_products = self.products_with(X_eval)
                if self.gram.has_weights:
                    self._eval_inputs = TrainingInputs(X_eval.X if isinstance(X_eval, Gram) else self._checked(X_eval))

    # ------------------------------------------------------------------------------------------------------------------
    # what they are

    def __len__(self) -> int:
        """Give the number of training samples."""
        return len(self.gram)

    def __repr__(self) -> str:
        """Describe the object in a line."""
        evaluation = f", {self.n_evaluation} for evaluation" if self.n_evaluation else ""
        kernel = "" if self.gram.has_weights else f", {self.gram.kernel_name} kernel"
        return f"Rows({len(self)} samples, {self.n_features} features{kernel}{evaluation})"

    @property
    def n_features(self) -> int:
        """Number of features; of samples, if these are known by their products alone."""
        return self.gram.n_features

    @property
    def n_evaluation(self) -> int:
        """Number of evaluation samples."""
        return 0 if self._eval_products is None else len(self._eval_products)

    @property
    def evaluation(self) -> torch.Tensor:
        """Numbers (M,) of the evaluation samples, which follow those of the training samples."""
        return torch.arange(len(self), len(self) + self.n_evaluation)

    @property
    def rank(self) -> int:
        """Number of coordinates."""
        return self.factor.rank

    # ------------------------------------------------------------------------------------------------------------------
    # products and coordinates

    @cached_property
    def factor(self) -> SpanFactor:
        """Decomposition of the Gram matrix."""
        return span_factor(np.ascontiguousarray(self.gram.matrix))

    @cached_property
    def coordinates(self) -> Constant:
        """Coordinates (N, r + 1) of the training samples; the last one is 0, that of what no sample can reach."""
        return Constant(np.pad(self.factor.all_coordinates, ((0, 0), (0, 1))))

    @cached_property
    def all_coordinates(self) -> Constant:
        """The same with those of the evaluation samples below, (N + M, r + 1)."""
        assert self._eval_products is not None
        return Constant(np.concatenate([self.coordinates.array, self.coordinates_by(self._eval_products)]))

    @cached_property
    def products(self) -> Constant:
        """Products (N, N) of the training samples."""
        return Constant(self.gram.matrix)

    @cached_property
    def all_products(self) -> Constant:
        """The same with those of the evaluation samples below, (N + M, N)."""
        assert self._eval_products is not None
        return Constant(np.concatenate([self.gram.matrix, self._eval_products]))

    def coordinates_by(self, products: Array) -> Array:
        """Give coordinates (M, r + 1) of samples by their products (M, N) with the training samples."""
        return np.pad(self.factor.coordinates(np.ascontiguousarray(products.T)).T, ((0, 0), (0, 1)))

    def products_with(self, X: Any) -> Array:
        """Compute the products (M, N) of new samples, or check those that are given."""
        gram = self.gram
        if gram.has_features or isinstance(X, Gram):
            with _advised():
                return gram.cross(X)
        products = validation.finite_array(X, "X", 2)
        if products.shape[1] != gram.n_features:
            raise ValueError(
                f"X has shape {products.shape}, but the samples are known by their products alone: give the products of each "
                f"new sample with all {gram.n_features} samples, in their order"
            )
        return gram.less_means(gram.crossed(products))

    def preactivations_by(self, weights: InitialWeights) -> Array:
        """Compute X W' for the training samples."""
        return initial_preactivations(self.gram.X, weights, "float64", self.gram.n_jobs)

    def evaluation_preactivations_by(self, weights: InitialWeights) -> Array:
        """Compute X_eval W'."""
        assert self._eval_inputs is not None
        return initial_preactivations(self._eval_inputs.X, weights, "float64", self.gram.n_jobs)

    def new_preactivations(self, X: Any, A: Array, weights: InitialWeights) -> Array:
        """Compute the pre-activations (M, h) of new samples for the weights W1(0) + A' X, which are never held as a whole."""
        gram = self.gram
        if isinstance(X, Gram):
            gram.refuse_others(X)
        if weights.is_zero:
            return np.asarray(self.products_with(X) @ A)
        features = X.X if isinstance(X, Gram) else self._checked(X)
        return preactivations_of(features, gram.X, A, 1.0, weights, "float64", gram.n_jobs)

    def _checked(self, X: Any) -> Any:
        with _advised():
            checked = self.gram.prepared(checked_samples(X, self.gram.missing))
        if checked.shape[1] != self.n_features:
            raise ValueError(f"X has {checked.shape[1]} features, but the samples of the layer have {self.n_features}")
        return checked

    # ------------------------------------------------------------------------------------------------------------------
    # copies, and states that belong to these samples

    @cached_property
    def sketch(self) -> torch.Tensor:
        """Products of some sums of samples with fixed signs, by which the samples and their order are known again."""
        signs = np.random.RandomState(0).choice([-1.0, 1.0], (len(self), SUMS))
        products = self.products.array
        parts = [products[part] @ signs for part in slices(len(self), READ_ROWS)]
        return torch.from_numpy(signs.T @ np.concatenate(parts))

    def order(self) -> int:
        """Digest which samples the coordinates begin with, on which their meaning depends."""
        return zlib.crc32(self.factor.order[: self.rank].astype("<i8").tobytes())

    def has_sketch(self, sketch: torch.Tensor) -> bool:
        """Whether a sketch is that of these samples in this order, up to rounding."""
        own, given = self.sketch.numpy(), as_array(sketch)
        return own.shape == given.shape and bool((np.abs(own - given) <= AS_MADE * np.trace(own) / SUMS).all())

    def __deepcopy__(self, memo: dict[int, Any]) -> "Rows":
        """Give these rows: nothing about them ever changes, so that copies of a module share them."""
        return self


def _gram_of(X: Any, n_jobs: int | None) -> Gram:
    X = _opened(X)
    with _advised():
        return Gram(X, dtype="float64", n_jobs=n_jobs)


def _opened(X: Any) -> Any:
    """Give what a Gram takes, for a tensor or the path of a file."""
    if isinstance(X, torch.Tensor):
        if X.layout != torch.strided:
            raise TypeError(SPARSE_TENSOR.format("X", X.layout))
        return as_array(X)
    return open_source(X) if isinstance(X, (str, os.PathLike)) else X


@contextmanager
def _advised() -> Iterator[None]:
    """Give the advice that there is for rows, where that of a Gram is about arguments that rows do not have."""
    try:
        yield
    except ValueError as error:
        raise ValueError(str(error).replace(*FILLED_IN)) from error


@contextmanager
def _named(name: str) -> Iterator[None]:
    """Say which argument an error is about."""
    try:
        yield
    except (ValueError, TypeError) as error:
        kind = ValueError if isinstance(error, ValueError) else TypeError
        raise kind(f"{name}: {error}") from error
