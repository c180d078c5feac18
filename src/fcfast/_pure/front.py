"""SGD epochs of a network with a front layer, step by step (twin of ``_core/front.pyx``).

Deliberately naive: no windows, the base is updated in every step, so that the windows of the compiled kernel are checked
against something that has none.
"""

import numpy as np
from numpy.typing import NDArray

from fcfast._pure.backprop import backward, sgd_step
from fcfast._pure.forward import blocks, forward, loss_of_rows
from fcfast._pure.mathfn import Array, activate, derivative, quiet


@quiet
def sgd_epoch(
    base: Array,
    base_velocity: Array | None,
    source: Array,
    S0: Array | None,
    scale: NDArray[np.float64] | None,
    rows: NDArray[np.intp],
    batch_size: int,
    window: int,
    params: Array,
    velocity: Array | None,
    widths: NDArray[np.intp],
    activation: int,
    loss: int,
    targets: Array | None,
    labels: NDArray[np.intp] | None,
    sample_weight: NDArray[np.float64] | None,
    rates: NDArray[np.float64],
    momentum: float,
    dampening: float,
    nesterov: bool,
    weight_decay: float,
    max_norm: float,
    first: bool,
    losses: NDArray[np.float64],
    work: Array,
    factors: NDArray[np.float64],
    n_threads: int,
) -> int:
    """An epoch of SGD. Returns the number of steps done: all, or those before the first loss that is not finite."""
    hyper = momentum, dampening, nesterov, weight_decay
    for step, rate in enumerate(rates):
        batch = rows[step * batch_size : (step + 1) * batch_size]
        S = source[batch] @ base.T if S0 is None or scale is None else scale[0] * S0[batch] + source[batch] @ base
        grad, D = np.empty_like(params), np.empty_like(S)
        losses[step] = _gradient(S, batch, params, widths, activation, targets, labels, sample_weight, grad, D)
        if not np.isfinite(losses[step]):
            return step
        if S0 is None:
            front_grad = D.T @ source[batch]
            norm = np.sum(front_grad.astype(np.float64) ** 2)
        else:
            front_grad = np.zeros_like(base)
            np.add.at(front_grad, batch, D)
            norm = np.sum((source[np.ix_(batch, batch)] @ D) * D)
        if max_norm > 0:
            factor = min(1.0, max_norm / (np.sqrt(norm + np.sum(grad.astype(np.float64) ** 2)) + 1e-6))
            grad, front_grad = grad * params.dtype.type(factor), front_grad * params.dtype.type(factor)
        sgd_step(params, grad, velocity, rate, *hyper, first)
        sgd_step(base, front_grad, base_velocity, rate, *hyper, first)
        if scale is not None:
            # c has no gradient of its own, only weight decay.
            c, c_velocity = scale[:1], scale[1:]
            sgd_step(c, np.zeros(1), c_velocity if momentum else None, rate, *hyper, first)
        first = False
    return len(rates)


def work_size(n_rows: int, batch_size: int, window: int, n_columns: int, widths: NDArray[np.intp], n_params: int) -> int:
    """How many numbers of scratch an epoch needs."""
    return 0  # every step allocates its own


def _gradient(
    S: Array,
    rows: NDArray[np.intp],
    params: Array,
    widths: NDArray[np.intp],
    activation: int,
    targets: Array | None,
    labels: NDArray[np.intp] | None,
    sample_weight: NDArray[np.float64] | None,
    grad: Array,
    D: Array,
) -> float:
    """Loss of a batch from the front layer's pre-activations; fill its gradient."""
    h, n_rows = widths[0], len(rows)
    S[:] = activate(S + params[:h], activation)
    values, deltas = (np.empty(n_rows * widths[1:].sum(), dtype=params.dtype) for _ in range(2))
    forward(params[h:], widths, True, activation, S, values, 1)
    outputs, delta = blocks(values, widths, n_rows)[-1], blocks(deltas, widths, n_rows)[-1]
    loss = loss_of_rows(outputs, rows, targets, labels, sample_weight, delta)
    backward(params[h:], widths, True, activation, S, values, deltas, grad[h:], D, 1)
    D *= derivative(S, activation)
    grad[:h] = D.sum(axis=0)
    return loss
