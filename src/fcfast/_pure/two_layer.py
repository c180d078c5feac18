"""The two-layer ReLU network of the paper (twin of ``_core/two_layer.pyx`` and ``two_layer.pxd``)."""

import numpy as np
from numpy.typing import NDArray

from fcfast._pure.mathfn import quiet, relu

Floats = NDArray[np.float64]


def learn(s: Floats, w2: Floats, target: Floats, y: Floats, eta: float, sequential: bool) -> Floats | None:
    """One sample above the hidden layer: fill y, update w2, return the factors a of the hidden step, None if diverged.

    Equations 11, 13 and 14 for c outputs; s are the hidden pre-activations.
    """
    v = relu(s)
    y[:] = w2 @ v
    if not np.isfinite(y).all():
        return None
    return learn_units(w2, v, y - target, eta, sequential)


def learn_units(w2: Floats, v: Floats, error: Floats, eta: float, sequential: bool) -> Floats:
    """Equations 13 and 14 for hidden units of values v: update w2, return the factors a of the hidden step."""
    before = error @ w2
    w2 -= np.outer(eta * error, v)
    back = error @ w2 if sequential else before
    return np.where(v > 0, -eta * back, 0.0)


def stop(outputs: Floats, t: int) -> int:
    """Mark the outputs from iteration t on as undefined."""
    outputs[t:] = np.nan
    return t


@quiet
def backprop(
    W1: Floats,
    w2: Floats,
    X: Floats,
    targets: Floats,
    eta: float,
    sequential: bool,
    scratch: Floats,
    outputs: Floats,
    diverged_at: NDArray[np.intp],
    n_threads: int,
) -> None:
    """Backpropagation, both weight layers updated (equations 9-16)."""
    for i in range(len(W1)):
        diverged_at[i] = _backprop_network(W1[i], w2[i], X, targets, eta, sequential, outputs[i])


def _backprop_network(W1: Floats, w2: Floats, X: Floats, targets: Floats, eta: float, sequential: bool, outputs: Floats) -> int:
    for t, y in enumerate(outputs):
        x, target = X[t % len(X)], targets[t % len(X)]
        step = learn(W1 @ x, w2, target, y, eta, sequential)
        if step is None:
            return stop(outputs, t)
        W1 += np.outer(step, x)
    return -1


def largest_difference(a: Floats, b: Floats, out: Floats, n_threads: int) -> None:
    """Per network max |a - b| over iterations and outputs; NaN where either run diverged."""
    if a[0].size:
        out[:] = np.abs(a - b).max(axis=(1, 2))
