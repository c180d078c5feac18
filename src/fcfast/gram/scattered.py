"""Weights that are known for some features, and for all others are a multiple of initial weights."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from fcfast.gram.occurring import ChosenWeights
from fcfast.gram.start import FeaturesOf, GivenWeights, InitialWeights, NoWeights

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class ScatteredWeights:
    """Weights W1 of a front layer that was trained on sparse samples, as a function of features (`InitialWeights`).

    Parameters
    ----------
    features : ndarray of int of shape (k,)
        Features whose weights are known, in rising order.
    rows : ndarray of shape (k, h)
        Their weights, one row for each feature.
    share : float
        Factor of the others' initial weights.
    initial : InitialWeights
        Initial weights of the others.

    Examples
    --------
    >>> import numpy as np
    >>> from fcfast.gram.start import GivenWeights
    >>> from fcfast.gram.scattered import ScatteredWeights
    >>> weights = ScatteredWeights(np.array([1]), np.array([[7.0, 8.0]]), 0.5, GivenWeights(np.ones((2, 3))))
    >>> weights.dense("float64")
    array([[0.5, 7. , 0.5],
           [0.5, 8. , 0.5]])
    """

    features: NDArray[np.int64]
    rows: Array
    share: float
    initial: InitialWeights

    @property
    def n_hidden(self) -> int:
        """Number of hidden units."""
        return self.initial.n_hidden

    @property
    def n_features(self) -> int:
        """Number of input features."""
        return self.initial.n_features

    @property
    def is_zero(self) -> bool:
        """Whether all weights are 0; those that are known are taken not to be."""
        return False

    def block(self, start: int, stop: int, dtype: DTypeLike) -> Array:
        """Give the weights of features start..stop-1, shape (n_hidden, stop - start)."""
        weights = np.array(self.initial.block(start, stop, dtype))
        self._put(weights, start, stop)
        return weights

    def chosen(self, features: NDArray[np.int64], dtype: DTypeLike) -> Array:
        """Give the weights of some features in rising order, shape (n_hidden, len(features)), contiguous along the units."""
        weights = np.empty((len(features), self.n_hidden), dtype)
        places = np.minimum(np.searchsorted(self.features, features), len(self.features) - 1)
        is_known = self.features[places] == features
        weights[is_known], others = self.rows[places[is_known]], features[~is_known]
        if len(others):
            made = ChosenWeights(self.initial, others).block(0, len(others), dtype).T
            weights[~is_known] = weights.dtype.type(self.share) * made
        return weights.T

    def dense(self, dtype: DTypeLike) -> Array:
        """Give all weights as a new C-contiguous array (n_hidden, n_features)."""
        weights = self.initial.dense(dtype)
        self._put(weights, 0, self.n_features)
        return weights

    def part(self, features: slice) -> InitialWeights:
        """Give the weights of neighbouring features."""
        return FeaturesOf(self, features.start, features.stop)

    def _put(self, weights: Array, start: int, stop: int) -> None:
        """Make initial weights of features start..stop-1 those that they are now."""
        if self.share != 1:
            weights *= weights.dtype.type(self.share)
        first, last = np.searchsorted(self.features, (start, stop))
        weights[:, self.features[first:last] - start] = self.rows[first:last].T

    def flattened(self) -> "ScatteredWeights":
        """Give the same weights with initial weights that are not scattered themselves, as after several trainings."""
        inner = self.initial
        if not isinstance(inner, ScatteredWeights):
            return self
        inner = inner.flattened()
        features = np.union1d(self.features, inner.features)
        rows = np.empty((len(features), self.n_hidden), self.rows.dtype)
        rows[np.searchsorted(features, inner.features)] = inner.rows * self.share
        rows[np.searchsorted(features, self.features)] = self.rows
        return ScatteredWeights(features, rows, self.share * inner.share, inner.initial)

    def without_arrays(self) -> "ScatteredWeights":
        """Give the same weights with a start that needs no memory, with all features if the others' weights are an array."""
        weights = self.flattened()
        if not isinstance(weights.initial, GivenWeights):
            return weights
        h, d = self.n_hidden, self.n_features
        return ScatteredWeights(np.arange(d), weights.dense(self.rows.dtype).T, 0.0, NoWeights(h, d))
