"""The layers above the front layer in double precision: their outputs, and the gradients of chosen outputs."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fcfast._pure.mathfn import activate, derivative
from fcfast.activations import ACTIVATIONS, HOMOGENEOUS

Array = NDArray[Any]
Floats = NDArray[np.float64]
Places = NDArray[np.intp]


class Upper:
    """The network as a function of the front layer's pre-activations, biases included.

    Parameters
    ----------
    weights : sequence of ndarray of shape (n_out, n_in)
        Weights of the layers above the front layer, at least one.
    biases : sequence of ndarray
        Biases of these layers.
    activation : str
        Activation of the hidden layers.
    """

    def __init__(self, weights: Sequence[Array], biases: Sequence[Array], activation: str) -> None:
        self.weights: list[Floats] = [np.asarray(weight, np.float64) for weight in weights]
        self.biases: list[Floats] = [np.asarray(bias, np.float64) for bias in biases]
        self.activation, self._code = activation, ACTIVATIONS[activation]

    @property
    def widths(self) -> list[int]:
        """Number of units of each hidden layer."""
        return [weight.shape[1] for weight in self.weights]

    @property
    def is_piecewise_linear(self) -> bool:
        """Whether outputs are linear wherever no unit changes its side of 0."""
        return self.activation in HOMOGENEOUS

    @property
    def has_kinks(self) -> bool:
        """Whether the activation has another slope on the other side of 0."""
        return self.is_piecewise_linear and self.activation != "identity"

    def activated(self, S: Floats) -> Floats:
        """Apply the activation."""
        return np.asarray(activate(S, self._code))

    def above(self, S: Floats, layer: int) -> Floats:
        """Give the pre-activations (..., n) of the next layer from those of hidden layer `layer`, counted from 0."""
        return self.activated(S) @ self.weights[layer].T + self.biases[layer]

    def states(self, S: Floats) -> Floats:
        """Give the pre-activations (..., H) of all hidden units, the front layer's first."""
        found = [S]
        for layer in range(len(self.weights) - 1):
            found.append(self.above(found[-1], layer))
        return np.concatenate(found, axis=-1)

    def outputs(self, S: Floats) -> Floats:
        """Give the outputs (..., c) for pre-activations (..., h)."""
        for layer in range(len(self.weights)):
            S = self.above(S, layer)
        return S

    def chosen(self, S: Floats, places: Places) -> Floats:
        """Give the outputs (P, K) whose numbers (P, K) are given."""
        return np.take_along_axis(self.outputs(S), places, axis=1)

    def gradients(self, S: Floats, places: Places) -> Floats:
        """Give the gradients (P, K, h) of the chosen outputs (P, K) with respect to pre-activations (P, h)."""
        slopes = []
        for layer in range(len(self.weights)):
            values = self.activated(S)
            slopes.append(np.asarray(derivative(values, self._code)))
            S = values @ self.weights[layer].T + self.biases[layer]
        gradient: Floats = self.weights[-1][places]
        for layer in reversed(range(len(self.weights))):
            if layer < len(self.weights) - 1:
                gradient = gradient @ self.weights[layer]
            gradient = gradient * slopes[layer][:, None]
        return gradient

    def secants(self, start: Floats, S: Floats) -> Floats:
        """Give the mean slope of the activation between pre-activations `start` (h,) and S (M, h), without cancellation."""
        steps = S - start
        if self.is_piecewise_linear:
            slopes = np.asarray(derivative(self.activated(S), self._code), np.float64)
            crosses = (S > 0) != (start > 0)
            rise = self.activated(S) - self.activated(np.broadcast_to(start, S.shape))
            return np.divide(rise, steps, out=slopes, where=crosses & (steps != 0))
        # logistic(s) is 1/2 + tanh(s/2) / 2, and tanh(a) - tanh(b) is (1 - tanh(a) tanh(b)) tanh(a - b)
        width = {"tanh": 1, "logistic": 2}[self.activation]
        T = steps / width
        ratio = np.divide(np.tanh(T), T, out=np.ones_like(T), where=T != 0)
        return (1 - np.tanh(S / width) * np.tanh(start / width)) * ratio / width**2
