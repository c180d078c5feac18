"""Gradients with respect to pre-activations, pulled back to the features: products G W1, made for a few features at a time.

W1 is never made as a whole. A form says which matrices, with one column for each feature, such a product consists of
(`FrontForm.pulled_back`), and each of them gives the columns of any range of features.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from fcfast.gram import budget
from fcfast.gram.centring import bordered, bordered_contributions
from fcfast.gram.occurring import ChosenWeights, is_sparse, within
from fcfast.gram.reading import Block, Reader, reader
from fcfast.gram.start import InitialWeights
from fcfast.gram.sums import updated_weights
from fcfast.sources import SelectedFeatures, as_source

Array = NDArray[Any]
Columns = NDArray[np.intp]
Read = Callable[[slice], Block]


class Opened(NamedTuple):
    """Rows that are being read: at most `width` features at a time.

    `read` takes a range of features and gives a function that makes the rows of any part of it; threads may share it.
    """

    width: int
    read: Callable[[slice], Read]


def opened(inputs: Reader) -> Opened:
    """Begin to read samples."""

    def read(features: slice) -> Read:
        held, start = inputs.read(features), features.start
        return lambda part: held[:, part.start - start : part.stop - start]

    return Opened(inputs.width, read)


class FeatureRows(Protocol):
    """A matrix with one column for each feature."""

    def opened(self, columns: Columns | None) -> Opened:
        """Begin to read all features, or some of them in rising order; they are counted from 0 then."""


class Term(NamedTuple):
    """A product ``left @ rows``; `left` has the shape (..., r), and `rows` has r rows."""

    left: Array
    rows: FeatureRows


@dataclass(frozen=True, eq=False)
class WeightRows:
    """Weights (h, d) as a function of features.

    Attributes
    ----------
    weights : InitialWeights
    dtype : dtype
    """

    weights: InitialWeights
    dtype: np.dtype[Any]

    def opened(self, columns: Columns | None) -> Opened:
        """Begin to read."""
        weights = self.weights if columns is None else ChosenWeights(self.weights, columns)
        return Opened(budget.MAX_SIDE, lambda features: lambda part: weights.block(part.start, part.stop, self.dtype))


@dataclass(frozen=True, eq=False)
class SampleRows:
    """Samples (N, d).

    Attributes
    ----------
    X : ndarray, memmap, sparse or Source
    dtype : dtype
    """

    X: Any
    dtype: np.dtype[Any]

    def opened(self, columns: Columns | None) -> Opened:
        """Begin to read."""
        return opened(self._reader(columns))

    def _reader(self, columns: Columns | None) -> Reader:
        """Choose how to read all samples, or some of their features."""
        if columns is None:
            return reader(self.X, self.dtype)
        return reader(
            within(self.X, columns) if is_sparse(self.X) else SelectedFeatures(as_source(self.X), columns), self.dtype
        )


@dataclass(frozen=True, eq=False)
class CombinedRows:
    """Weights W1 = c W1(0) + A' X, which are made of the training samples X while these are read.

    Attributes
    ----------
    samples : SampleRows
    A : ndarray of shape (N, h)
        Contributions.
    c : float
        Factor of the initial weights.
    initial : InitialWeights
    """

    samples: SampleRows
    A: Array
    c: float
    initial: InitialWeights

    def opened(self, columns: Columns | None) -> Opened:
        """Begin to read."""
        width, read_samples = self.samples.opened(columns)
        width, read_initial = min(width, budget.MAX_SIDE), WeightRows(self.initial, self.samples.dtype).opened(columns).read

        def read(features: slice) -> Read:
            held, initial = read_samples(features), read_initial(features)
            return lambda part: updated_weights(initial(part), held(part), self.A, self.c)

        return Opened(width, read)


def by_samples(left: Array, X: Any, dtype: np.dtype[Any]) -> Term:
    """Give the product of `left` (..., N) with samples (N, d); those that are sparse and centred stay sparse."""
    sparser = bordered(X)
    if sparser is None:
        return Term(left, SampleRows(X, dtype))
    flat = left.reshape(-1, left.shape[-1])
    with_means = bordered_contributions(flat.T).T
    return Term(with_means.reshape(*left.shape[:-1], -1), SampleRows(sparser, dtype))


def by_contributions(
    G: Array, A: Array, c: float, initial: InitialWeights, X: Any, dtype: np.dtype[Any], entrywise: bool
) -> list[Term]:
    """Give the product of `G` (..., h) with W1 = c W1(0) + A' X, by whichever way takes fewer multiplications.

    Parameters
    ----------
    G : ndarray of shape (..., h)
    A : ndarray of shape (N, h)
        Contributions of the training samples.
    c : float
        Factor of the initial weights.
    initial : InitialWeights
    X : ndarray, memmap, sparse or Source of shape (N, d)
        Training samples.
    dtype : dtype
    entrywise : bool
        Whether few numbers of the product are wanted, so that it is best made of weights.
    """
    n_samples, n_hidden = A.shape
    n_rows = G.size // max(1, n_hidden)
    of_weights = (n_samples + n_rows) * n_hidden
    of_products = n_rows * (n_samples + (0 if initial.is_zero else n_hidden))
    if entrywise or of_weights <= of_products:
        sparser = bordered(X)
        samples, A = (X, A) if sparser is None else (sparser, bordered_contributions(A))
        return [Term(G, CombinedRows(SampleRows(samples, dtype), np.asarray(A, dtype), c, initial))]
    terms = [by_samples((G @ A.T).astype(dtype, copy=False), X, dtype)]
    return terms if initial.is_zero else [Term(G * dtype.type(c), WeightRows(initial, dtype)), *terms]
