"""Forward pass of a dense network (twin of ``_core/forward.pyx``)."""

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
