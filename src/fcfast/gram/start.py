"""Initial weights W1(0) as a function instead of an array: any range of features can be made again without the rest.

In form "contributions" the front layer is ``c W1(0) + A' X``. Random initial weights then need no memory at all.
"""

import math
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Protocol, runtime_checkable

import numpy as np
from numpy.typing import DTypeLike, NDArray

from fcfast import backend
from fcfast.gram.span import span_start

Array = NDArray[Any]

_WEIGHTS_PER_WORD = 4  # each weight takes 16 of the 64 bits
_WEIGHTS_PER_COUNT = 4 * _WEIGHTS_PER_WORD  # Philox makes four words for each value of its counter
_WEIGHTS_AT_A_TIME = 65536


class InitialWeights(Protocol):
    """Weights (n_hidden, n_features) of the front layer before training, made or read in ranges of features."""

    @property
    def n_hidden(self) -> int:
        """Number of hidden units."""

    @property
    def n_features(self) -> int:
        """Number of input features."""

    @property
    def is_zero(self) -> bool:
        """Whether all weights are 0, so that nothing needs to be multiplied by them."""

    def block(self, start: int, stop: int, dtype: DTypeLike) -> Array:
        """Give the weights of features start..stop-1, shape (n_hidden, stop - start); callers must not write to them."""

    def dense(self, dtype: DTypeLike) -> Array:
        """Give all weights as a new C-contiguous array (n_hidden, n_features)."""

    def part(self, features: slice) -> "InitialWeights":
        """Give the weights of neighbouring features alone, to be sent to another process."""


@runtime_checkable
class DrawsFeatures(Protocol):
    """Initial weights that need nothing of the features in between to make those of some features."""

    def chosen(self, features: NDArray[np.int64], dtype: DTypeLike) -> Array:
        """Make the weights of some features, shape (n_hidden, len(features)), contiguous along the units."""


@dataclass(frozen=True)
class RandomWeights:
    """Glorot-uniform weights with scikit-learn's bound, a pure function of the seed and of (feature, unit).

    A weight takes 16 bits of the counter-based generator Philox. It is one of 65,536 equally likely values, evenly spaced and
    symmetric about 0, without 0 and the bound themselves. This is 2.6 times faster than NumPy's single-precision draws, and raw
    words are the only stream that NumPy promises never to change. The bound is a single-precision number, so that float32
    weights are exactly the float64 weights after rounding.

    Parameters
    ----------
    n_hidden, n_features : int
        Numbers of hidden units and of input features.
    seed : int
        Seed from 0 to 2**128 - 1.
    activation : str
        Activation of the hidden units. It sets the bound sqrt(factor / (n_features + n_hidden)), where the factor is 2 for
        "logistic" and 6 for the others.
    scale : float
        Factor of the bound.

    Examples
    --------
    >>> import numpy as np
    >>> from fcfast.gram.start import RandomWeights
    >>> weights = RandomWeights(n_hidden=3, n_features=10**9, seed=0, activation="relu")
    >>> bool(np.array_equal(weights.block(10**8, 10**8 + 5, "float32")[:, 2:], weights.block(10**8 + 2, 10**8 + 5, "float32")))
    True
    """

    n_hidden: int
    n_features: int
    seed: int
    activation: str
    scale: float = 1.0

    is_zero: ClassVar[bool] = False

    @property
    def bound(self) -> float:
        """Largest absolute value that a weight can have; infinite if it exceeds the range of single precision."""
        factor = 2 if self.activation == "logistic" else 6
        with np.errstate(over="ignore"):
            return float(np.float32(self.scale * math.sqrt(factor / (self.n_features + self.n_hidden))))

    def block(self, start: int, stop: int, dtype: DTypeLike) -> Array:
        """Make the weights of features start..stop-1, shape (n_hidden, stop - start), contiguous along the units."""
        count, surplus = divmod(start * self.n_hidden, _WEIGHTS_PER_COUNT)
        size = (stop - start) * self.n_hidden
        words = np.random.Philox(key=self.seed, counter=count).random_raw(-(-(surplus + size) // _WEIGHTS_PER_WORD))
        levels = words.astype("<u8", copy=False).view("<i2")[surplus : surplus + size]
        return self._weights(levels.reshape(stop - start, self.n_hidden), dtype)

    def chosen(self, features: NDArray[np.int64], dtype: DTypeLike) -> Array:
        """Make the weights of some features, shape (n_hidden, len(features)), contiguous along the units."""
        levels = np.empty((len(features), self.n_hidden), np.int16)
        key = np.array([self.seed % 2**64, self.seed >> 64], np.uint64)
        backend.noise.philox_rows(key, np.ascontiguousarray(features, np.int64), levels)
        return self._weights(levels, dtype)

    def part(self, features: slice) -> InitialWeights:
        """Give the weights of neighbouring features, which are made where they are needed."""
        return FeaturesOf(self, features.start, features.stop)

    def _weights(self, levels: NDArray[np.int16], dtype: DTypeLike) -> Array:
        """Turn random integers (features, n_hidden) into weights."""
        weights = levels.astype(dtype)
        weights += 0.5
        weights *= self.bound / 2**15  # this is the only rounding, and double precision has none
        return weights.T

    def dense(self, dtype: DTypeLike) -> Array:
        """Make all weights, as a new C-contiguous array (n_hidden, n_features)."""
        weights = np.empty((self.n_hidden, self.n_features), dtype)
        width = max(16, _WEIGHTS_AT_A_TIME // self.n_hidden)  # these are transposed while they are in cache
        for start in range(0, self.n_features, width):
            stop = min(start + width, self.n_features)
            weights[:, start:stop] = self.block(start, stop, dtype)
        return weights


@dataclass(frozen=True, eq=False)
class GivenWeights:
    """Initial weights that are given as an array, in memory or mapped from a file; it is never copied as a whole.

    Parameters
    ----------
    array : ndarray or memmap of shape (n_hidden, n_features)
        Weights.

    Examples
    --------
    >>> import numpy as np
    >>> from fcfast.gram.start import GivenWeights
    >>> GivenWeights(np.eye(2, 3)).block(1, 3, "float32")
    array([[0., 0.],
           [1., 0.]], dtype=float32)
    """

    array: Array

    is_zero: ClassVar[bool] = False

    @property
    def n_hidden(self) -> int:
        """Number of hidden units."""
        return self.array.shape[0]

    @property
    def n_features(self) -> int:
        """Number of input features."""
        return self.array.shape[1]

    def block(self, start: int, stop: int, dtype: DTypeLike) -> Array:
        """Give the weights of features start..stop-1, shape (n_hidden, stop - start): a view if the dtype allows."""
        return np.asarray(self.array[:, start:stop], dtype)

    def dense(self, dtype: DTypeLike) -> Array:
        """Copy all weights to a new C-contiguous array (n_hidden, n_features)."""
        return np.array(self.array, dtype, order="C")

    def part(self, features: slice) -> InitialWeights:
        """Give the weights of neighbouring features, a view."""
        return GivenWeights(self.array[:, features])


@dataclass(frozen=True)
class NoWeights:
    """Initial weights that are all 0, as beside a start in the span.

    Parameters
    ----------
    n_hidden, n_features : int
        Numbers of hidden units and of input features.
    """

    n_hidden: int
    n_features: int

    is_zero: ClassVar[bool] = True

    def block(self, start: int, stop: int, dtype: DTypeLike) -> Array:
        """Give zeros of shape (n_hidden, stop - start), without memory for them."""
        return np.broadcast_to(np.zeros((), dtype), (self.n_hidden, stop - start))

    def dense(self, dtype: DTypeLike) -> Array:
        """Give zeros of shape (n_hidden, n_features)."""
        return np.zeros((self.n_hidden, self.n_features), dtype)

    def part(self, features: slice) -> InitialWeights:
        """Give zeros for neighbouring features."""
        return NoWeights(self.n_hidden, features.stop - features.start)


@dataclass(frozen=True)
class FeaturesOf:
    """Initial weights W1(0) of neighbouring features.

    Parameters
    ----------
    initial : InitialWeights
        Initial weights of all features.
    first, last : int
        The features are those from `first` to `last` - 1.

    Examples
    --------
    >>> import numpy as np
    >>> from fcfast.gram.start import FeaturesOf, GivenWeights
    >>> FeaturesOf(GivenWeights(np.arange(8.0).reshape(2, 4)), 1, 3).block(1, 2, "float64")
    array([[2.],
           [6.]])
    """

    initial: InitialWeights
    first: int
    last: int

    @property
    def n_hidden(self) -> int:
        """Number of hidden units."""
        return self.initial.n_hidden

    @property
    def n_features(self) -> int:
        """Number of these features."""
        return self.last - self.first

    @property
    def is_zero(self) -> bool:
        """Whether all weights are 0; those of all features are meant."""
        return self.initial.is_zero

    def block(self, start: int, stop: int, dtype: DTypeLike) -> Array:
        """Give the weights of features start..stop-1 of these, shape (n_hidden, stop - start)."""
        return self.initial.block(self.first + start, self.first + stop, dtype)

    def dense(self, dtype: DTypeLike) -> Array:
        """Give the weights of these features as a new C-contiguous array (n_hidden, n_features)."""
        return np.array(self.block(0, self.n_features, dtype), order="C")

    def part(self, features: slice) -> InitialWeights:
        """Give the weights of some of these features."""
        return FeaturesOf(self.initial, self.first + features.start, self.first + features.stop)


@dataclass(frozen=True)
class SpanStart:
    """A start in the span of the training samples, W1(0) = A(0)' X, that has the pre-activations of Gaussian weights.

    The part of random weights that is orthogonal to every training sample is left out: training could never reach it, and it
    only adds noise to the pre-activations of new samples. No weight is drawn for any feature, but one number per sample and
    unit.

    Parameters
    ----------
    n_hidden : int
        Number of hidden units.
    n_features : int
        Number of input features.
    seed : int
        Seed from 0 to 2**32 - 1.
    deviation : float
        Standard deviation of the weights.
    counted : ndarray of bool of shape (N,), or None
        The training samples in whose span the start is; None takes all of them.
    """

    n_hidden: int
    n_features: int
    seed: int
    deviation: float
    counted: NDArray[np.bool_] | None = None

    def draw(self, G: Array) -> tuple[Array, Array]:
        """Draw pre-activations S0 (N, h) and the contributions A0 (N, h) that give them, S0 = G A0, in double precision."""
        if self.counted is not None:
            return self._draw_some(G, np.flatnonzero(self.counted))
        # NumPy promises that the stream of RandomState never changes.
        Z = np.random.RandomState(self.seed).standard_normal((len(G), self.n_hidden))
        return span_start(G, Z, self.deviation)

    def _draw_some(self, G: Array, rows: NDArray[np.intp]) -> tuple[Array, Array]:
        """Draw a start in the span of some samples; the others have no contributions."""
        among, contributions = replace(self, counted=None).draw(G[np.ix_(rows, rows)])
        A0 = np.zeros((len(G), self.n_hidden), contributions.dtype)
        A0[rows] = contributions
        S0 = (G[:, rows] @ contributions).astype(among.dtype, copy=False)
        S0[rows] = among
        return S0, A0
