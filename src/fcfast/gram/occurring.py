"""Sparse inputs with far more columns than entries, reduced to the columns that occur.

Hashed text may have 2^26 columns and a few thousand entries. An array as long as a row would then be the largest object in
memory, and most of W1(0) would be made for nothing. Products of such inputs therefore use their occurring columns alone.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray
from scipy import sparse

from fcfast.gram import budget
from fcfast.gram.start import DrawsFeatures, InitialWeights
from fcfast.sources.entries import FEWER, places_of
from fcfast.sources.protocol import Source
from fcfast.sources.standardized import Standardized

Array = NDArray[Any]

APART = 4  # features for each one that is wanted, from which on weights are drawn one feature at a time, if they can be
WEIGHTS_AT_A_TIME = 65536  # weights that are made together if at least one is wanted; two calls take about as long


def is_sparse(X: Any) -> bool:
    """Whether X is a sparse matrix or a source of sparse blocks."""
    return X.is_sparse if isinstance(X, Source) else sparse.issparse(X)


def is_stored_sparse(X: Any) -> bool:
    """Whether X is sparse, or would be before it is centred."""
    return is_sparse(X.base) if isinstance(X, Standardized) else is_sparse(X)


def occurring(X: Any) -> NDArray[np.intp] | None:
    """Give the columns that have entries, at least one; None unless X is sparse and has far more columns than entries."""
    if not is_sparse(X):
        return None
    n_entries = int(X.count_entries().sum()) if isinstance(X, Source) else X.nnz
    return None if FEWER * max(n_entries, 1) > X.shape[1] else all_occurring(X)


def all_occurring(X: Any) -> NDArray[np.intp]:
    """Give the columns of a sparse X that have entries, in rising order; at least one."""
    columns = np.flatnonzero(X.count_entries()) if isinstance(X, Source) else np.unique(X.tocsr().indices).astype(np.intp)
    return columns if len(columns) else np.zeros(1, np.intp)


def within(X: Any, columns: NDArray[np.intp]) -> Any:
    """Select columns, in rising order, of a sparse X; the memory that this takes grows with the entries of X alone."""
    if isinstance(X, Source):
        return _read_within(X, columns)
    if X.format == "csc":
        return X[:, columns]
    rows = X.tocsr()  # SciPy 1.11 cannot select columns of COO
    if rows.nnz >= rows.shape[1]:
        return rows[:, columns]  # this makes an array as long as a row
    places = places_of(rows.indices, columns, rows.shape[1])
    found = places >= 0
    indptr = np.concatenate([[0], np.cumsum(found)])[rows.indptr]
    return sparse.csr_array((rows.data[found], places[found], indptr), shape=(X.shape[0], len(columns)))


def _read_within(X: Source, columns: NDArray[np.intp]) -> Any:
    stretch = columns // budget.MAX_SIDE
    read = []
    for number in np.unique(stretch).tolist():
        start = number * budget.MAX_SIDE
        block = sparse.csc_array(X.read(slice(start, min(start + budget.MAX_SIDE, X.shape[1]))))
        read.append(block[:, columns[stretch == number] - start])
    return sparse.csc_array(sparse.hstack(read, format="csc"))


@dataclass(frozen=True)
class Occurrences:
    """How many features of sparse samples have how many entries.

    Attributes
    ----------
    entries, features : tuple of int
        Numbers of entries that occur, each > 0, and how many features have that number.
    """

    entries: tuple[int, ...]
    features: tuple[int, ...]

    @classmethod
    def of_samples(cls, X: Any) -> "Occurrences":
        """Count the entries of sparse samples, which are a matrix in CSR or CSC or a source."""
        if isinstance(X, Source):
            counts = X.count_entries()
        elif X.format == "csc":
            counts = np.diff(X.indptr)
        elif X.nnz < X.shape[1]:
            counts = np.unique(X.indices, return_counts=True)[1]
        else:
            counts = np.bincount(X.indices)
        return cls.of_counts(counts)

    @classmethod
    def of_counts(cls, counts: NDArray[np.intp]) -> "Occurrences":
        """Take the numbers of entries of features, some of which may be 0."""
        entries, features = np.unique(counts[counts > 0], return_counts=True)
        return cls(tuple(entries.tolist()), tuple(features.tolist()))

    @property
    def n_entries(self) -> int:
        """Number of all entries."""
        return sum(entries * features for entries, features in zip(self.entries, self.features, strict=True))

    @property
    def n_pairs(self) -> float:
        """Multiplications of the samples' Gram matrix: the sum of the features' squared numbers of entries."""
        return float(sum(entries**2 * features for entries, features in zip(self.entries, self.features, strict=True)))

    def in_share(self, share: float) -> float:
        """Give the expected number of features that have entries in a share of the samples, drawn at random."""
        entries, features = np.array(self.entries, np.float64), np.array(self.features, np.float64)
        return float(features @ (1 - (1 - share) ** entries))


@dataclass(frozen=True, eq=False)
class ChosenWeights:
    """Initial weights W1(0) of some features only.

    Parameters
    ----------
    initial : InitialWeights
        Initial weights of all features.
    features : ndarray of shape (k,)
        Selected features, in rising order.

    Examples
    --------
    >>> import numpy as np
    >>> from fcfast.gram.start import GivenWeights
    >>> from fcfast.gram.occurring import ChosenWeights
    >>> ChosenWeights(GivenWeights(np.arange(10.0).reshape(2, 5)), np.array([0, 3, 4])).block(1, 3, "float64")
    array([[3., 4.],
           [8., 9.]])
    """

    initial: InitialWeights
    features: NDArray[np.intp]

    @property
    def is_zero(self) -> bool:
        """Whether all weights are 0."""
        return self.initial.is_zero

    @property
    def n_hidden(self) -> int:
        """Number of hidden units."""
        return self.initial.n_hidden

    @property
    def n_features(self) -> int:
        """Number of selected features."""
        return len(self.features)

    def block(self, start: int, stop: int, dtype: DTypeLike) -> Array:
        """Give the weights of selected features start..stop-1, shape (n_hidden, stop - start), contiguous along the units."""
        wanted = self.features[start:stop]
        if isinstance(self.initial, DrawsFeatures) and APART * len(wanted) < wanted[-1] - wanted[0]:
            return self.initial.chosen(wanted, dtype)
        weights = np.empty((len(wanted), self.n_hidden), dtype).T
        stretch = wanted // max(1, WEIGHTS_AT_A_TIME // self.n_hidden)
        borders = [0, *(np.flatnonzero(np.diff(stretch)) + 1), len(wanted)]
        for first, end in pairwise(borders):
            near = wanted[first:end]
            made = self.initial.block(int(near[0]), int(near[-1]) + 1, dtype)
            weights[:, first:end] = made[:, near - near[0]]
        return weights

    def dense(self, dtype: DTypeLike) -> Array:
        """Give all selected weights as a new C-contiguous array (n_hidden, k)."""
        return np.ascontiguousarray(self.block(0, self.n_features, dtype))

    def part(self, features: slice) -> InitialWeights:
        """Give the weights of some of the selected features."""
        return ChosenWeights(self.initial, self.features[features])
