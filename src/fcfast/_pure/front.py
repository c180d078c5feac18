"""SGD epochs of a network with a front layer, step by step (twin of ``_core/front.pyx``).

Deliberately naive: no windows, the base is updated in every step, so that the windows of the compiled kernel are checked
against something that has none.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from fcfast._pure.backprop import backward, sgd_step
from fcfast._pure.forward import blocks, forward
from fcfast._pure.losses import Targets, loss_of_rows
from fcfast._pure.mathfn import Array, activate, derivative, quiet


@dataclass
class Network:
    """The arrays of a network that is trained: the front layer in one of its forms, and the dense layers above.

    ``base`` and ``source`` are W (h, d) and X (N, d) in the forms that hold weights, A (N, h) and G = X X' (N, N) in the
    form that holds contributions, which has S0 = X W(0)' (N, h) and ``scale``, c and its velocity, too. Velocities are None
    without momentum. ``widths`` are h ... c. Where ``mean``, ``divisor`` and ``fill`` (d,) are given, which only the forms with
    weights take, a row x of the source stands for (x - mean) / divisor, in double precision before it is rounded, with
    ``fill`` in the place of NaN.
    """

    base: Array
    base_velocity: Array | None
    source: Array
    S0: Array | None
    scale: NDArray[np.float64] | None
    params: Array
    velocity: Array | None
    widths: NDArray[np.intp]
    activation: int
    mean: NDArray[np.float64] | None
    divisor: NDArray[np.float64] | None
    fill: NDArray[np.float64] | None

    def rows(self, which: NDArray[np.intp]) -> Array:
        """Some rows of the source, scaled."""
        rows = self.source[which]
        if self.mean is None or self.divisor is None or self.fill is None:
            return rows
        scaled = (np.where(np.isnan(rows), self.fill, rows) - self.mean) / self.divisor
        return np.asarray(scaled, dtype=rows.dtype)


@dataclass
class Sgd:
    """Settings of stochastic gradient descent, as torch.optim.SGD defines them; ``max_norm`` 0 means no clipping.

    For each layer, the front layer first, ``rate_factors`` (layers, 2) multiply the learning rate of a step, and
    ``weight_decay`` (layers, 2) is added to the gradient times the parameters: one for its weights, one for its biases.
    """

    momentum: float
    dampening: float
    nesterov: bool
    max_norm: float
    rate_factors: NDArray[np.float64]
    weight_decay: NDArray[np.float64]

    def step(
        self, params: Array, grad: Array, velocity: Array | None, rate: float, group: tuple[int, int], first: bool
    ) -> None:
        """Update the weights (0) or biases (1) of a layer."""
        rate, decay = rate * self.rate_factors[group], self.weight_decay[group]
        sgd_step(params, grad, velocity, rate, self.momentum, self.dampening, self.nesterov, decay, first)


@dataclass
class Workspace:
    """Scratch for epochs of at most so many rows of a network, in batches, with a window of whole batches."""

    network: Network
    n_rows: int
    batch_size: int
    window: int


@quiet
def sgd_epochs(
    network: Network,
    targets: Targets,
    sgd: Sgd,
    workspace: Workspace,
    rows: NDArray[np.intp],
    rates: NDArray[np.float64],
    losses: NDArray[np.float64],
    first: bool,
    n_threads: int,
) -> int:
    """Epochs of SGD. Returns the number of steps done: all, or those before the first loss that is not finite."""
    done, batch_size = 0, workspace.batch_size
    for order, epoch_rates, epoch_losses in zip(rows, rates, losses, strict=True):
        for step, rate in enumerate(epoch_rates):
            batch = order[step * batch_size : (step + 1) * batch_size]
            epoch_losses[step] = _step(network, targets, sgd, batch, float(rate), first and done == 0)
            if not np.isfinite(epoch_losses[step]):
                return done
            done += 1
    return done


def _step(network: Network, targets: Targets, sgd: Sgd, batch: NDArray[np.intp], rate: float, first: bool) -> float:
    """Train on a batch, unless its loss is not finite; give that."""
    base, source, S0, scale, params = network.base, network.source, network.S0, network.scale, network.params
    X = network.rows(batch)
    S = X @ base.T if S0 is None or scale is None else scale[0] * S0[batch] + X @ base
    grad, D = np.empty_like(params), np.empty_like(S)
    loss = _gradient(S, batch, network, targets, grad, D)
    if not np.isfinite(loss):
        return loss
    if S0 is None:
        front_grad = D.T @ X
        norm = np.sum(front_grad.astype(np.float64) ** 2)
    else:
        front_grad = np.zeros_like(base)
        np.add.at(front_grad, batch, D)
        norm = np.sum((source[np.ix_(batch, batch)] @ D) * D)
    if sgd.max_norm > 0:
        factor = min(1.0, sgd.max_norm / (np.sqrt(norm + np.sum(grad.astype(np.float64) ** 2)) + 1e-6))
        grad, front_grad = grad * params.dtype.type(factor), front_grad * params.dtype.type(factor)
    sgd.step(base, front_grad, network.base_velocity, rate, (0, 0), first)
    for group, part in _parts(network.widths):
        sgd.step(params[part], grad[part], None if network.velocity is None else network.velocity[part], rate, group, first)
    if scale is not None:
        # c has no gradient of its own, only weight decay.
        c, c_velocity = scale[:1], scale[1:]
        sgd.step(c, np.zeros(1), c_velocity if sgd.momentum else None, rate, (0, 0), first)
    return loss


def _parts(widths: NDArray[np.intp]) -> Iterator[tuple[tuple[int, int], slice]]:
    """Where in ``params`` the biases (1) of the front layer are, and weights (0) and biases of those above."""
    sizes = {(0, 1): widths[0]}
    for layer, (n_in, n_out) in enumerate(pairwise(widths), 1):
        sizes |= {(layer, 0): n_out * n_in, (layer, 1): n_out}
    start = 0
    for group, size in sizes.items():
        yield group, slice(start, start + size)
        start += size


def work_size(n_rows: int, batch_size: int, window: int, n_columns: int, widths: NDArray[np.intp], n_params: int) -> int:
    """How many numbers of scratch an epoch needs."""
    return 0  # every step allocates its own


def _gradient(S: Array, rows: NDArray[np.intp], network: Network, targets: Targets, grad: Array, D: Array) -> float:
    """Loss of a batch from the front layer's pre-activations; fill its gradient."""
    params, widths, activation = network.params, network.widths, network.activation
    h, n_rows = widths[0], len(rows)
    S[:] = activate(S + params[:h], activation)
    values, deltas = (np.empty(n_rows * widths[1:].sum(), dtype=params.dtype) for _ in range(2))
    forward(params[h:], widths, True, activation, S, values, 1)
    outputs, delta = blocks(values, widths, n_rows)[-1], blocks(deltas, widths, n_rows)[-1]
    loss = loss_of_rows(targets, outputs, rows, delta)
    backward(params[h:], widths, True, activation, S, values, deltas, grad[h:], D, 1)
    D *= derivative(S, activation)
    grad[:h] = D.sum(axis=0)
    return loss
