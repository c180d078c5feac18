"""A layer's weights as an array."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fcfast import backend
from fcfast.layers.orthogonalizer import orthogonalizer
from fcfast.layers.products import multiply
from fcfast.layers.protocol import RootSettings, SgdSettings

Array = NDArray[Any]


class DenseLayer:
    """Weights, velocity and gradient as arrays, changed in place."""

    velocity: Array  # None for an optimiser without a velocity, which never reads it

    def __init__(
        self, weights: Array, velocity: Array | None, gradient: Array, memory: dict[str, Array], n_threads: int
    ) -> None:
        self.n_out, self.n_in = weights.shape
        self.weights, self.gradient, self.memory = weights, gradient, memory
        self.velocity = velocity  # type: ignore[assignment]
        self.n_threads = n_threads

    def squared_gradient_norms(self) -> NDArray[np.float64]:
        return np.square(self.gradient).sum(axis=1).astype(np.float64)

    def scale_gradient(self, factor: float) -> None:
        self.gradient *= self.gradient.dtype.type(factor)

    def accumulate(self, decay: float, fresh: float) -> None:
        real = self.velocity.dtype.type
        self.velocity *= real(decay)
        self.velocity += real(fresh) * self.gradient

    def shrink(self, factor: float) -> None:
        self.weights *= self.weights.dtype.type(factor)

    def descend(self, rates: Array | float) -> None:
        direction = self.gradient if self.velocity is None else self.velocity
        self.weights -= np.asarray(rates, self.weights.dtype).reshape(-1, 1) * direction

    def descend_orthogonally(self, rate: float, momentum: float, n_iterations: int) -> None:
        real = self.weights.dtype.type
        U = self.gradient + real(momentum) * self.velocity if momentum else self.velocity
        if self.n_out <= self.n_in:
            direction = multiply(orthogonalizer(multiply(U, U.T), n_iterations), U)
        else:
            direction = multiply(U, orthogonalizer(multiply(U.T, U), n_iterations))
        self.weights -= real(rate) * direction

    def descend_as_sgd(self, rate: float, sgd: SgdSettings, first: bool) -> None:
        velocity = None if self.velocity is None else self.velocity.reshape(-1)
        backend.backprop.sgd_step(
            self.weights.reshape(-1), self.gradient.reshape(-1), velocity, rate, sgd.momentum, sgd.dampening, sgd.nesterov,
            sgd.weight_decay, first,
        )  # fmt: skip

    def descend_by_root(self, rate: float, settings: RootSettings) -> None:
        """Take a step of `fcfast.optimizers.roots.RootOptimizer`, with the second moment in the place of the velocity."""
        backend.backprop.root_step(
            self.weights.reshape(-1), self.gradient.reshape(-1), self.velocity.reshape(-1), rate, settings.keep, settings.fresh,
            settings.eps, settings.weight_decay, self.n_threads,
        )  # fmt: skip
