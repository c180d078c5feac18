"""Forward mode: tangents pushed through dense layers, and weight gradients (twin of ``_core/forward_gradient.pyx``)."""

import numpy as np
from numpy.typing import NDArray

from fcfast._pure.forward import blocks, layers
from fcfast._pure.mathfn import RELU, Array, derivative, quiet


@quiet
def push(
    values: Array,
    activation: int,
    tangents: Array | None,
    weights: Array | None,
    inputs: Array | None,
    weight_tangents: Array | None,
    bias_tangents: Array | None,
    noise: Array | None,
    out: Array,
    n_threads: int,
) -> None:
    """Push tangents through one layer: its inputs, weights, biases and pre-activations may all move at once."""
    out[:] = 0
    if tangents is not None and weights is not None:
        out += tangents @ weights.T
    if weight_tangents is not None and inputs is not None:
        out += inputs @ weight_tangents.transpose(0, 2, 1)
    if bias_tangents is not None:
        out += bias_tangents[:, None]
    if noise is not None:
        if activation == RELU:
            noise *= values > 0
        out += noise
    out *= derivative(values, activation)


@quiet
def combine(directions: Array, coefficients: NDArray[np.float64], deltas: Array) -> None:
    """Add up directions, each group of units of each sample times its coefficient."""
    size = deltas.shape[1] // coefficients.shape[2]
    deltas[:] = (directions * np.repeat(coefficients, size, axis=2).astype(deltas.dtype)).sum(axis=0)


@quiet
def outer_products(widths: NDArray[np.intp], bias: bool, X: Array, values: Array, deltas: Array, grad: Array) -> None:
    """Fill the gradient of dense layers from the deltas of their pre-activations: no delta is made from another."""
    below = [X, *blocks(values, widths[:-1], len(X))]
    parts = zip(below, blocks(deltas, widths, len(X)), layers(grad, widths, bias), strict=True)
    for inputs, delta, (weights_grad, bias_grad) in parts:
        weights_grad[:] = delta.T @ inputs
        if bias_grad is not None:
            bias_grad[:] = delta.sum(axis=0)
