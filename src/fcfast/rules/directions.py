"""Directions in which one layer moves, and the updates that directional derivatives along them give."""

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fcfast import backend
from fcfast.layers import multiply
from fcfast.layers.chain import times_derivative

Array = NDArray[Any]
Floats = NDArray[np.float64]


class Direction:
    """A guessed direction for one layer, its squared norm, and the update that a directional derivative gives.

    Attributes
    ----------
    moves : dict
        Arguments of `push` that move this layer.
    is_shared : bool
        Whether all samples of the batch move together and share one derivative of their mean loss.
    """

    moves: dict[str, Array]
    is_shared: ClassVar[bool] = False

    def squared_norm(self) -> Floats:
        """Give squared norms by tangent, sample (one if shared) and group (M, B or 1, G), after `push` has masked the noise."""
        raise NotImplementedError

    def apply(self, coefficients: Floats, delta: Array) -> None:
        """Fill the deltas (B, n) of the layer's pre-activations from coefficients (M, B, G)."""
        raise NotImplementedError

    def correct(self, coefficients: Floats, layer: Any, bias: Any) -> None:
        """Correct gradients that are not an outer product of the deltas and the inputs."""


class ActivityDirection(Direction):
    """A direction of the pre-activations: noise (M, B, n), or a guess of their deltas."""

    def __init__(self, noise: Array, groups: int) -> None:
        self.moves, self.groups = {"noise": noise}, groups

    def squared_norm(self) -> Floats:
        noise = self.moves["noise"]
        by_group = noise.reshape(*noise.shape[:2], self.groups, -1)
        return np.einsum("mbgj,mbgj->mbg", by_group, by_group, dtype=np.float64)

    def apply(self, coefficients: Floats, delta: Array) -> None:
        backend.forward_gradient.combine(self.moves["noise"], coefficients, delta)


class ValueDirection(Direction):
    """A direction of the activation values: a guess (B, n) of the gradient with respect to them."""

    def __init__(self, guess: Array, values: Array, activation: int, n_threads: int) -> None:
        self.moves, self.guess = {}, guess
        self.delta = times_derivative(guess, values, activation, n_threads)

    def squared_norm(self) -> Floats:
        return np.einsum("bj,bj->b", self.guess, self.guess, dtype=np.float64)[None, :, None]

    def apply(self, coefficients: Floats, delta: Array) -> None:
        backend.forward_gradient.combine(self.delta[None], coefficients, delta)


class SampleDirection(Direction):
    """A guess (B, n) of each sample's deltas, which moves the weights by its outer product with the inputs, and the biases.

    If weights and biases move together, pre-activations move by the guess times the squared norm of the inputs plus 1. If they
    move apart, the derivative for the biases is the derivative along the guess, and the derivative for the weights is this
    times the squared norm.
    """

    def __init__(self, delta: Array, norms: Array, apart: bool) -> None:
        self.delta, self.norms, self.apart = delta, norms, apart
        self.moves = {"noise": (delta.copy() if apart else self._by_both)[None]}

    @property
    def _by_both(self) -> Array:
        return (self.norms + self.norms.dtype.type(1))[:, None] * self.delta

    def squared_norm(self) -> Floats:
        return np.einsum("bj,bj->b", self._by_both, self.delta, dtype=np.float64)[None, :, None]

    def apply(self, coefficients: Floats, delta: Array) -> None:
        if self.apart:
            coefficients = coefficients * self.norms[:, None]
        backend.forward_gradient.combine(self.delta[None], coefficients, delta)

    def correct(self, coefficients: Floats, layer: Any, bias: Any) -> None:
        if self.apart:
            bias.gradient[:] = multiply(self.delta.T, coefficients[0].astype(self.delta.dtype))


class WeightDirection(Direction):
    """Noise on weights (M, n_out, n_in) and biases (M, n_out), which is the same for all samples."""

    def __init__(self, weights: Array, biases: Array, inputs: Array, groups: int) -> None:
        self.moves, self.groups = {"weight_tangents": weights, "bias_tangents": biases, "inputs": inputs}, groups

    is_shared = True

    def squared_norm(self) -> Floats:
        U, b = self.moves["weight_tangents"], self.moves["bias_tangents"]
        norms = np.einsum("mij,mij->mi", U, U, dtype=np.float64) + b.astype(np.float64) ** 2
        return norms.reshape(len(U), 1, self.groups, -1).sum(axis=3)

    def apply(self, coefficients: Floats, delta: Array) -> None:
        pass  # noise on weights has no deltas

    def correct(self, coefficients: Floats, layer: Any, bias: Any) -> None:
        U, b = self.moves["weight_tangents"], self.moves["bias_tangents"]
        by_unit = np.repeat(coefficients[:, 0], U.shape[1] // self.groups, axis=1).astype(U.dtype)
        layer.gradient[:] = by_unit[0][:, None] * U[0]
        bias.gradient[:, 0] = (by_unit * b).sum(axis=0)
        for k in range(1, len(U)):
            layer.gradient += by_unit[k][:, None] * U[k]


class MeanDirection(Direction):
    """The summed guess of a batch: delta' A moves the weights, and the sum of the deltas moves the biases, together or apart.

    Pre-activations then move by A A' delta, so that the guess of the weights itself is never computed.
    """

    is_shared = True

    def __init__(self, delta: Array, by_weights: Array, apart: bool) -> None:
        self.delta, total = delta, delta.sum(axis=0)
        self.norms = np.array([np.sum(by_weights * delta, dtype=np.float64), np.sum(total * total, dtype=np.float64)])
        self.apart = apart
        both = [by_weights, np.broadcast_to(total, delta.shape)]
        self.moves = {"noise": np.stack(both) if apart else np.add(*both)[None]}

    def squared_norm(self) -> Floats:
        norms = self.norms if self.apart else self.norms.sum(keepdims=True)
        return norms[:, None, None]

    def apply(self, coefficients: Floats, delta: Array) -> None:
        delta[:] = delta.dtype.type(coefficients[0, 0, 0]) * self.delta

    def correct(self, coefficients: Floats, layer: Any, bias: Any) -> None:
        bias.gradient[:, 0] = bias.gradient.dtype.type(coefficients[-1, 0, 0]) * self.delta.sum(axis=0)
