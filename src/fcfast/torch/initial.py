"""The weights that a layer starts with: functions of a seed, an array, or coordinates in the span of the samples."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from fcfast.gram.start import GivenWeights, InitialWeights, NoWeights, RandomWeights
from fcfast.tiles import slices

Array = NDArray[Any]
Floats = NDArray[np.float64]

MADE = 1 << 22  # weights that are made at a time
SEEDS = 1 << 32


@dataclass(frozen=True)
class Start:
    """The start of a layer, from which everything else about it can be made again.

    Attributes
    ----------
    init : {"uniform", "span", "given"}
        Uniform weights, as nn.Linear draws them; Gaussian weights in the span of the samples; given weights.
    seed : int
        Seed of the weights.
    weights : InitialWeights
        Weights W1(0) for features; `NoWeights` for a start in the span.
    """

    init: str
    seed: int
    weights: InitialWeights

    @classmethod
    def uniform(cls, n_hidden: int, n_features: int, seed: int) -> "Start":
        """Draw weights from U(-1 / sqrt(d), 1 / sqrt(d)), which is the default of nn.Linear."""
        scale = math.sqrt((n_features + n_hidden) / (6 * n_features))  # of the bound of `RandomWeights`
        return cls("uniform", seed, RandomWeights(n_hidden, n_features, seed, "relu", scale))

    @classmethod
    def in_span(cls, n_hidden: int, n_features: int, seed: int) -> "Start":
        """Leave out the part of Gaussian weights that is orthogonal to all samples."""
        return cls("span", seed, NoWeights(n_hidden, n_features))

    @classmethod
    def drawn(cls, init: str, n_hidden: int, n_features: int, seed: int) -> "Start":
        """Draw weights in one of the two ways."""
        return (cls.in_span if init == "span" else cls.uniform)(n_hidden, n_features, seed)

    @classmethod
    def given(cls, weights: Array) -> "Start":
        """Take an array (h, d), which must not be changed."""
        return cls("given", 0, GivenWeights(weights))

    @property
    def n_hidden(self) -> int:
        """Number of units."""
        return self.weights.n_hidden

    def state(self) -> dict[str, Any]:
        """Describe the start for a state dictionary."""
        given = {"W1": self.weights.array} if isinstance(self.weights, GivenWeights) else {}
        return {"init": self.init, "seed": self.seed, **given}

    def is_same(self, state: dict[str, Any]) -> bool:
        """Whether a state describes this start."""
        own = self.state()
        return all(np.array_equal(np.asarray(own.get(name)), np.asarray(state.get(name))) for name in ("init", "seed", "W1"))

    @classmethod
    def of_state(cls, state: dict[str, Any], n_hidden: int, n_features: int) -> "Start":
        """Restore a start that `state` has described."""
        if state["init"] == "given":
            return cls.given(np.array(state["W1"]))
        return cls.drawn(state["init"], n_hidden, n_features, int(state["seed"]))


@dataclass(frozen=True, eq=False)
class ScaledWeights:
    """Initial weights times a factor for each unit, made in ranges of features like these.

    Parameters
    ----------
    weights : InitialWeights
        Weights.
    factors : ndarray of shape (h,)
        Factors.
    """

    weights: InitialWeights
    factors: Floats

    @property
    def n_hidden(self) -> int:
        """Number of hidden units."""
        return self.weights.n_hidden

    @property
    def n_features(self) -> int:
        """Number of input features."""
        return self.weights.n_features

    @property
    def is_zero(self) -> bool:
        """Whether all weights are 0."""
        return self.weights.is_zero or not self.factors.any()

    def block(self, start: int, stop: int, dtype: DTypeLike) -> Array:
        """Give the weights of features start..stop-1, shape (n_hidden, stop - start)."""
        return self.weights.block(start, stop, dtype) * self.factors[:, None].astype(dtype)

    def dense(self, dtype: DTypeLike) -> Array:
        """Give all weights as a new C-contiguous array (n_hidden, n_features)."""
        return np.ascontiguousarray(self.weights.dense(dtype) * self.factors[:, None].astype(dtype))

    def part(self, features: slice) -> InitialWeights:
        """Give the weights of neighbouring features."""
        return ScaledWeights(self.weights.part(features), self.factors)


def squared_norms(weights: InitialWeights) -> Floats:
    """Sum the squares of each unit's weights, shape (h,), block by block."""
    total = np.zeros(weights.n_hidden)
    if weights.is_zero:
        return total
    for features in slices(weights.n_features, max(1, MADE // weights.n_hidden)):
        total += np.square(weights.block(features.start, features.stop, np.float64)).sum(axis=1)
    return total


def span_deviation(fan_in: float) -> float:
    """Give the deviation of weights of nn.Linear with so many inputs."""
    return 1 / math.sqrt(3 * (fan_in or 1.0))
