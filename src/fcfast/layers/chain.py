"""A chain of dense layers in one packed vector: forwards, backwards, and tangents pushed through."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fcfast import backend
from fcfast.layers.views import layer_views

Array = NDArray[Any]


def packed(widths: NDArray[np.intp], n_rows: int, dtype: np.dtype[Any]) -> tuple[Array, list[Array]]:
    """Allocate a packed workspace of (n_rows, width) blocks, and views of them."""
    flat = np.empty(n_rows * int(widths.sum()), dtype)
    ends = np.cumsum(widths) * n_rows
    return flat, [flat[end - n_rows * width : end].reshape(n_rows, width) for end, width in zip(ends, widths, strict=True)]


class Chain:
    """Layers one after the other; the hidden layers have the activation, and the last layer is linear.

    Parameters
    ----------
    params : ndarray
        Packed weights (n_out, n_in) and biases of each layer.
    widths : ndarray
        Numbers of units before, between and after the layers.
    activation : int
        Code of the activation in the kernels.
    n_threads : int
        Number of threads of the kernels.
    """

    def __init__(self, params: Array, widths: NDArray[np.intp], activation: int, n_threads: int) -> None:
        self.params, self.widths, self.activation, self.n_threads = params, widths, activation, n_threads
        self.weights, self.biases = layer_views(params, widths, bias=True)

    def part(self, first: int, last: int) -> "Chain":
        """Give layers first..last, sharing the parameters."""
        sizes = self.widths[1:] * (self.widths[:-1] + 1)
        start, end = int(sizes[:first].sum()), int(sizes[: last + 1].sum())
        return Chain(self.params[start:end], self.widths[first : last + 2], self.activation, self.n_threads)

    def forward(self, X: Array) -> tuple[Array, list[Array]]:
        """Compute each layer's values; return them packed, and views of them."""
        flat, values = packed(self.widths[1:], len(X), X.dtype)
        backend.forward.forward(self.params, self.widths, True, self.activation, X, flat, self.n_threads)
        return flat, values

    def forward_activated(self, X: Array) -> tuple[Array, list[Array]]:
        """Compute each layer's values if the last layer is hidden too; the results are empty without layers."""
        flat, values = self.forward(X) if self.weights else (X[:0].ravel(), [])
        if values:
            backend.forward.activate(values[-1], self.activation)
        return flat, values

    def backward(self, X: Array, values: Array, deltas: Array, grad: Array, input_delta: Array | None = None) -> None:
        """Fill the gradient, all deltas from the deltas of the last layer, and `input_delta` unless it is None."""
        backend.backprop.backward(
            self.params, self.widths, True, self.activation, X, values, deltas, grad, input_delta, self.n_threads
        )

    def outer_products(self, X: Array, values: Array, deltas: Array, grad: Array) -> None:
        """Fill the gradient from given deltas of every layer."""
        backend.forward_gradient.outer_products(self.widths, True, X, values, deltas, grad)

    def push(self, tangents: Array, values: list[Array]) -> Array:
        """Push tangents (M, B, n) of the inputs to the outputs, which is a Jacobian-vector product."""
        last = len(values) - 1
        for l, (weights, value) in enumerate(zip(self.weights, values, strict=True)):
            tangents = push(value, 0 if l == last else self.activation, self.n_threads, tangents, weights)
        return tangents


def push(
    values: Array,
    activation: int,
    n_threads: int,
    tangents: Array | None = None,
    weights: Array | None = None,
    inputs: Array | None = None,
    weight_tangents: Array | None = None,
    bias_tangents: Array | None = None,
    noise: Array | None = None,
) -> Array:
    """Push tangents through one layer with these values; the kernel's docstring gives the shapes."""
    moving = next(array for array in (tangents, weight_tangents, noise) if array is not None)
    out = np.empty((len(moving), *values.shape), values.dtype)
    backend.forward_gradient.push(
        values, activation, tangents, weights, inputs, weight_tangents, bias_tangents, noise, out, n_threads
    )
    return out


def times_derivative(delta: Array, values: Array, activation: int, n_threads: int) -> Array:
    """Multiply by the activation's derivative, computed from its values, into a new array (B, n)."""
    return push(values, activation, n_threads, noise=delta.copy()[None])[0]
