"""The Gram matrix of some samples as an object: computed in one pass over the features, then enough to train on."""

from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import numpy as np
from numpy.typing import DTypeLike, NDArray

from fcfast.gram.products import cross_gram, gram_and_preactivations, stacked
from fcfast.gram.start import InitialWeights
from fcfast.sources.inputs import TrainingInputs
from fcfast.validation import all_finite

Array = NDArray[Any]
Rows = NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Products:
    """The products of all samples with each other, which the views of a `Gram` share.

    Attributes
    ----------
    matrix : ndarray or memmap of shape (N, N)
        Inner products, never changed.
    inputs : TrainingInputs or None
        Features of the samples; None if the samples are known by their products alone.
    n_features : int
        Number of features, or of samples if these are known by their products alone.
    n_jobs : int or None
        Number of threads for further products.
    token : str
        Name that all copies share, also those in other processes: rows of one matrix are not taken for rows of another.
    """

    matrix: Array
    inputs: TrainingInputs | None
    n_features: int
    n_jobs: int | None
    token: str

    def __getstate__(self) -> dict[str, Any]:
        """Leave the check of the features to whoever uses them: a worker that trains on products alone does not read them."""
        return self.__dict__ | {"inputs": None if self.inputs is None else self.inputs.unchecked()}


class Gram:
    """The inner products of N samples.

    Networks train on it without another pass over the features, whatever their widths, rates, rules, optimisers and seeds.
    ``gram[rows]`` is a view of some samples, so that every tool that only splits X by rows takes it.
    """

    ndim = 2

    def __init__(self, products: Products, rows: Rows | None = None) -> None:
        self._products, self._rows = products, rows

    # ------------------------------------------------------------------------------------------------------------------
    # what stands for X

    @property
    def shape(self) -> tuple[int, int]:
        """Number of samples in this view, and of all samples."""
        n_samples = len(self._products.matrix)
        return (n_samples if self._rows is None else len(self._rows)), n_samples

    @property
    def dtype(self) -> np.dtype[Any]:
        """Precision of the products."""
        return self._products.matrix.dtype

    @property
    def n_features(self) -> int:
        """Number of features, or of all samples if these are known by their products alone."""
        return self._products.n_features

    @property
    def n_jobs(self) -> int | None:
        """Number of threads for further products."""
        return self._products.n_jobs

    def __len__(self) -> int:
        """Give the number of samples in this view."""
        return self.shape[0]

    def __getitem__(self, key: Any) -> "Gram":
        """Give a view of some samples: a slice, row numbers or a mask, alone or followed by ``...`` or ``:``."""
        if isinstance(key, tuple):
            key, *others = key
            if any(other is not Ellipsis and other != slice(None) for other in others):
                raise IndexError(f"a Gram is indexed by samples alone, got {others} in addition")
        rows = (np.arange(len(self._products.matrix)) if self._rows is None else self._rows)[key]
        if rows.ndim != 1:
            raise IndexError(f"a Gram is indexed by several samples: a slice, row numbers or a mask, got {key!r}")
        return Gram(self._products, rows)

    # ------------------------------------------------------------------------------------------------------------------
    # what forms ask for

    @classmethod
    def of(cls, X: Any, initial: InitialWeights | None, dtype: DTypeLike, n_jobs: int | None = None) -> tuple["Gram", Array]:
        """Multiply validated features with each other and, in the same pass, with initial weights.

        Returns
        -------
        Gram
        S0 : ndarray of shape (N, h)
            Pre-activations X W1(0)'; without initial weights, of shape (N, 0).
        """
        inputs = TrainingInputs(X)
        with np.errstate(over="ignore", invalid="ignore"):  # reported below
            matrix, S0 = gram_and_preactivations(inputs.X, initial, dtype, n_jobs)
        refuse_overflow(matrix, S0)
        return cls(Products(matrix, inputs, X.shape[1], n_jobs, uuid4().hex)), S0

    @classmethod
    def precomputed(cls, matrix: Array, dtype: DTypeLike, n_jobs: int | None = None) -> "Gram":
        """Take products that somebody else has computed."""
        held = np.ascontiguousarray(matrix, dtype)
        return cls(Products(held, None, len(held), n_jobs, uuid4().hex))

    @property
    def matrix(self) -> Array:
        """Products (n, n) of the samples in this view with each other; of all samples without a copy."""
        return self._products.matrix if self._rows is None else self._products.matrix[np.ix_(self._rows, self._rows)]

    @property
    def has_features(self) -> bool:
        """Whether the features of the samples are at hand."""
        return self._products.inputs is not None

    @property
    def mean_square(self) -> float:
        """Mean of the squared lengths of the samples in this view."""
        squares = np.diagonal(self._products.matrix)
        return float(np.mean(squares if self._rows is None else squares[self._rows], dtype=np.float64))

    @property
    def X(self) -> Any:
        """Features (n, d) of the samples in this view; a RuntimeError tells of a change since the products were made."""
        if self._products.inputs is None:
            raise AttributeError("the samples are known by their products alone")
        X = self._products.inputs.X
        return X if self._rows is None else X[self._rows]

    def crossed(self, X: Any) -> Array:
        """Give the products (M, n) of other samples with these: of validated features, of rows of this Gram, or given ones."""
        if isinstance(X, Gram):
            self._refuse_others(X)
            rows = slice(None) if X._rows is None else X._rows
            crossed = self._products.matrix[rows]
            return crossed if self._rows is None else crossed[:, self._rows]
        if self.has_features:
            return cross_gram(X, self.X, self.dtype, self.n_jobs)
        crossed = np.asarray(X, self.dtype)
        return crossed if self._rows is None else crossed[:, self._rows]

    def append(self, X: Any) -> "Gram":
        """Give these samples followed by others: validated features, or rows of this Gram."""
        if isinstance(X, Gram):
            self._refuse_others(X)
            everything = np.arange(len(self._products.matrix))
            rows = [everything if gram._rows is None else gram._rows for gram in (self, X)]
            return Gram(self._products, np.concatenate(rows))
        added, _ = Gram.of(X, None, self.dtype, self.n_jobs)
        with np.errstate(over="ignore", invalid="ignore"):  # reported below
            crossed = cross_gram(X, self.X, self.dtype, self.n_jobs)
        refuse_overflow(crossed)
        matrix = np.block([[self.matrix, crossed.T], [crossed, added.matrix]])
        return Gram(Products(matrix, TrainingInputs(stacked(self.X, X)), self.n_features, self.n_jobs, uuid4().hex))

    def _refuse_others(self, X: "Gram") -> None:
        if X._products.token != self._products.token:
            raise ValueError(
                "X is a Gram matrix of other samples than the estimator was fitted on; give rows of the same Gram, or features"
            )


def n_features_of(X: Any) -> int:
    """Give the number of features of validated samples, or of those behind a `Gram`."""
    return X.n_features if isinstance(X, Gram) else X.shape[1]


def refuse_overflow(*arrays: Array) -> None:
    """Raise a ValueError unless all products are finite."""
    if not all_finite(*arrays):
        raise ValueError(
            f"X has values so large that its Gram matrix overflows {arrays[0].dtype}; scale X, or use dtype='float64'"
        )
