"""The front layer as weights."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fcfast.front.base import converted
from fcfast.gram.products import (
    states_by_weights,
)
from fcfast.gram.start import InitialWeights

Array = NDArray[Any]


class WeightsForm:
    """W1 itself, touched once per window: forms "weights" (a window is one batch) and "windowed"."""

    S0: Array | None = None
    scale: NDArray[np.float64] | None = None

    def __init__(
        self, X: Array, initial: InitialWeights, dtype: np.dtype[Any], with_velocity: bool, n_jobs: int | None = None
    ) -> None:
        self.source, self.n_jobs = converted(X, dtype), n_jobs
        self.base = initial.dense(dtype)
        self.n_features = initial.n_features
        self.velocity: Array | None = np.zeros_like(self.base) if with_velocity else None

    @classmethod
    def of(cls, weights: Array, n_jobs: int | None = None) -> "WeightsForm":
        """Give the form of weights (h, d) that are trained no more, without a copy of them."""
        form = cls.__new__(cls)
        form.n_jobs = n_jobs
        form.source, form.base, form.velocity = np.empty((0, weights.shape[1]), weights.dtype), weights, None
        form.n_features = weights.shape[1]
        return form

    def states(self, X: Any) -> Array:
        return states_by_weights(X, self.base, self.n_jobs)

    def expand(self) -> Array:
        return self.base

    def begin(self) -> None:
        pass  # predictions read the weights that are trained

    def finish(self) -> None:
        self.source = self.source[:0].copy()

    def join(self, X: Array) -> NDArray[np.intp]:
        """Replace the samples: the weights know all they need of earlier ones."""
        self.source = converted(X, self.base.dtype)
        return np.arange(len(X))
