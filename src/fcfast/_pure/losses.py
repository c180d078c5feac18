"""Losses of a batch, with their gradients with respect to the outputs (twin of ``_core/losses.pyx``)."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fcfast._pure.lossfn import CROSS_ENTROPY, loss_at
from fcfast._pure.mathfn import Array, quiet


@dataclass
class Targets:
    """What the outputs are compared with, and how: values (N, c), NaN where one is missing, or labels (N,).

    One of the two is None. ``kind`` is the code of the loss, and its ``parameters`` (1,) or more repeat over the outputs.
    """

    values: Array | None
    labels: NDArray[np.intp] | None
    sample_weight: NDArray[np.float64] | None
    kind: int
    parameters: NDArray[np.float64]


@quiet
def loss_of_rows(targets: Targets, outputs: Array, rows: NDArray[np.intp], delta: Array) -> float:
    """Loss of a batch; ``delta`` receives its gradient with respect to the outputs."""
    weights = np.ones(len(rows)) if targets.sample_weight is None else targets.sample_weight[rows]
    exact = outputs.astype(np.float64)
    if targets.kind == CROSS_ENTROPY and targets.labels is not None:
        losses, slopes = _cross_entropy(exact, targets.labels[rows], float(targets.parameters[0]))
        shares = weights / (weights.sum() or 1)
        delta[:] = shares[:, None] * slopes
        return float(shares @ losses)
    assert targets.values is not None
    values = targets.values[rows].astype(np.float64)
    total = 0.0
    for k in range(values.shape[1]):  # one output at a time, so that each has its own mean
        there = np.flatnonzero(~np.isnan(values[:, k]))
        shares = weights[there] / (weights[there].sum() or 1)
        parameter = targets.parameters[k % len(targets.parameters)]
        losses, slopes = loss_at(targets.kind, exact[there, k], values[there, k], parameter)
        delta[:, k] = 0
        delta[there, k] = shares * slopes
        total += float(shares @ losses)
    return total


def _cross_entropy(outputs: Array, labels: NDArray[np.intp], smoothing: float) -> tuple[Array, Array]:
    """Losses of samples, whose target probabilities are 1 - smoothing for the label and spread alike besides, and slopes."""
    rows, n_classes = np.arange(len(outputs)), outputs.shape[1]
    below = outputs - outputs.max(axis=1, keepdims=True)
    exponentials = np.exp(below)
    normaliser = exponentials.sum(axis=1, keepdims=True)
    slopes = exponentials / normaliser - smoothing / n_classes
    slopes[rows, labels] -= 1 - smoothing
    expected = below[rows, labels]
    if smoothing > 0:
        expected = expected + smoothing * (below.mean(axis=1) - expected)
    return np.log(normaliser[:, 0]) - expected, slopes
