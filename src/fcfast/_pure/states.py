"""Several inputs taken in turn: states instead of weights (twin of ``_core/states.pyx``)."""

import numpy as np
from numpy.typing import NDArray

from fcfast._pure.mathfn import quiet
from fcfast._pure.two_layer import Floats, learn, stop


@quiet
def states(
    S: Floats,
    w2: Floats,
    gram: Floats,
    targets: Floats,
    eta: float,
    sequential: bool,
    scratch: Floats,
    outputs: Floats,
    diverged_at: NDArray[np.intp],
    n_threads: int,
) -> None:
    """Technique "states": every step moves the pre-activations of all samples by a row of the Gram matrix (17-20)."""
    for i in range(len(S)):
        diverged_at[i] = _states_network(S[i], w2[i], gram, targets, eta, sequential, outputs[i])


def _states_network(S: Floats, w2: Floats, gram: Floats, targets: Floats, eta: float, sequential: bool, outputs: Floats) -> int:
    for t, y in enumerate(outputs):
        sample = t % len(S)
        step = learn(S[sample], w2, targets[sample], y, eta, sequential)
        if step is None:
            return stop(outputs, t)
        S += np.outer(gram[:, sample], step)
    return -1


@quiet
def contributions(
    A: Floats,
    w2: Floats,
    S0: Floats,
    gram: Floats,
    targets: Floats,
    eta: float,
    sequential: bool,
    scratch: Floats,
    outputs: Floats,
    diverged_at: NDArray[np.intp],
    n_threads: int,
) -> None:
    """Technique "contributions": one row of factors per distinct sample, however many steps; S = S0 + G A."""
    for i in range(len(A)):
        diverged_at[i] = _contributions_network(A[i], w2[i], S0[i], gram, targets, eta, sequential, outputs[i])


def _contributions_network(
    A: Floats, w2: Floats, S0: Floats, gram: Floats, targets: Floats, eta: float, sequential: bool, outputs: Floats
) -> int:
    for t, y in enumerate(outputs):
        sample = t % len(A)
        step = learn(S0[sample] + gram[sample] @ A, w2, targets[sample], y, eta, sequential)
        if step is None:
            return stop(outputs, t)
        A[sample] += step
    return -1


@quiet
def sum_difference(
    coordinates: Floats,
    w2: Floats,
    X: Floats,
    targets: Floats,
    eta: float,
    sequential: bool,
    literal: bool,
    scratch: Floats,
    outputs: Floats,
    diverged_at: NDArray[np.intp],
    n_threads: int,
) -> None:
    """Techniques "sum_difference" and "sum_difference_literal": equations 5 and 32."""
    network = _literal_network if literal else _canonical_network
    for i in range(len(coordinates)):
        diverged_at[i] = network(coordinates[i], w2[i], X, targets, eta, sequential, outputs[i])


def _from_coordinates(coordinates: Floats, x: Floats) -> tuple[Floats, Floats]:
    """The terms of both input coordinates, (s + S) / 2 x_1 and (s - S) / 2 x_2."""
    s, S = coordinates.T
    return (s + S) / 2 * x[0], (s - S) / 2 * x[1]


def _canonical_network(
    coordinates: Floats, w2: Floats, X: Floats, targets: Floats, eta: float, sequential: bool, outputs: Floats
) -> int:
    for t, y in enumerate(outputs):
        x, target = X[t % len(X)], targets[t % len(X)]
        step = learn(np.add(*_from_coordinates(coordinates, x)), w2, target, y, eta, sequential)
        if step is None:
            return stop(outputs, t)
        coordinates += np.outer(step, (x[0] + x[1], x[0] - x[1]))
    return -1


def _literal_network(
    coordinates: Floats, w2: Floats, X: Floats, targets: Floats, eta: float, sequential: bool, outputs: Floats
) -> int:
    for t, y in enumerate(outputs):
        x, target = X[t % len(X)], targets[t % len(X)]
        step = learn(coordinates[:, 0], w2, target, y, eta, sequential)
        if step is None:
            return stop(outputs, t)
        coordinates += np.outer(step, (x[0] ** 2 + x[1] ** 2, x[0] ** 2 - x[1] ** 2))
        # Equation 32 as printed: the sum and the difference taken on from one input to the next.
        first, second = _from_coordinates(coordinates, X[(t + 1) % len(X)])
        coordinates[:, 0], coordinates[:, 1] = first + second, first - second
    return -1
