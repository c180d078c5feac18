"""Forward pass of a dense network, and the losses (twin of ``_core/forward.pyx``)."""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from fcfast._pure import mathfn
from fcfast._pure.mathfn import IDENTITY, Array, quiet


def blocks(flat: Array, widths: NDArray[np.intp], n_rows: int) -> list[Array]:
    """Views (n_rows, n_out) of a packed workspace, one per layer."""
    ends = np.cumsum(widths[1:] * n_rows)
    return [flat[end - n_rows * width : end].reshape(n_rows, width) for end, width in zip(ends, widths[1:], strict=True)]


def layers(params: Array, widths: NDArray[np.intp], bias: bool) -> Iterator[tuple[Array, Array | None]]:
    """Views of each layer's weights (n_out, n_in) and biases (n_out,) in the packed parameters."""
    start = 0
    for n_in, n_out in pairwise(widths):
        weights = params[start : start + n_out * n_in].reshape(n_out, n_in)
        start += n_out * n_in
        yield weights, params[start : start + n_out] if bias else None
        start += n_out if bias else 0


@quiet
def product(A: Array, transpose_a: bool, B: Array, transpose_b: bool, out: Array) -> None:
    """Multiply two matrices; other threads may run meanwhile, which SciPy's own wrappers do not let them."""
    np.matmul(A.T if transpose_a else A, B.T if transpose_b else B, out=out)


@quiet
def activate(S: Array, activation: int) -> None:
    """Apply an activation in place."""
    S[:] = mathfn.activate(S, activation)


@quiet
def forward(
    params: Array,
    widths: NDArray[np.intp],
    bias: bool,
    activation: int,
    X: Array,
    values: Array,
    n_threads: int,
) -> None:
    """Fill ``values`` with every layer's activation values; the last block is the network's outputs."""
    n_layers = len(widths) - 1
    below = X
    for layer, (weights, offset) in enumerate(layers(params, widths, bias)):
        s = below @ weights.T
        if offset is not None:
            s += offset
        block = blocks(values, widths, len(X))[layer]
        block[:] = mathfn.activate(s, activation if layer < n_layers - 1 else IDENTITY)
        below = block


@quiet
def half_squared_error(outputs: Array, targets: Array, delta: Array) -> float:
    """Mean over rows of ||output - target||^2 / 2; ``delta`` receives its gradient with respect to the outputs."""
    error = outputs.astype(np.float64) - targets
    delta[:] = error / len(error)
    return float(np.sum(error * error) / (2 * len(error)))


@quiet
def softmax_cross_entropy(outputs: Array, labels: NDArray[np.intp], delta: Array, smoothing: float = 0.0) -> float:
    """Mean over rows of -log softmax(outputs)[label]; ``delta`` receives its gradient with respect to the outputs."""
    rows = np.arange(len(outputs))
    shifted = outputs.astype(np.float64) - outputs.max(axis=1, keepdims=True)
    exponentials = np.exp(shifted)
    normaliser = exponentials.sum(axis=1, keepdims=True)
    delta[:] = exponentials / (normaliser * len(outputs)) - smoothing / outputs.size
    delta[rows, labels] -= delta.dtype.type((1 - smoothing) / len(outputs))
    expected = shifted[rows, labels]
    if smoothing > 0:
        expected += smoothing * (shifted.mean(axis=1) - expected)
    return float(np.mean(np.log(normaliser[:, 0]) - expected))


@quiet
def loss_of_rows(
    outputs: Array,
    rows: NDArray[np.intp],
    targets: Array | None,
    labels: NDArray[np.intp] | None,
    sample_weight: NDArray[np.float64] | None,
    delta: Array,
    smoothing: float = 0.0,
) -> float:
    """Loss of a batch, cross-entropy if there are labels; ``delta`` receives its gradient with respect to the outputs."""
    answers: Array = labels[rows] if labels is not None else targets[rows]  # type: ignore[index]  # one of them is given
    weights = np.ones(len(rows)) if sample_weight is None else sample_weight[rows]
    shares = weights / (weights.sum() or 1)
    result = 0.0
    for i in range(len(rows)):  # one sample at a time, so that each gets its weight
        sample = outputs[i : i + 1], answers[i : i + 1], delta[i : i + 1]
        one_loss = half_squared_error(*sample) if labels is None else softmax_cross_entropy(*sample, smoothing)
        result += shares[i] * one_loss
        delta[i] *= delta.dtype.type(shares[i])
    return float(result)
