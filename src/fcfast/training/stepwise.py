"""An epoch in single steps, for rules, optimisers and losses that the kernel of whole epochs does not have."""

from collections.abc import Iterable
from contextlib import closing
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fcfast.layers import Layer
from fcfast.losses import Targets

if TYPE_CHECKING:
    from fcfast.rules.gradient import Update
    from fcfast.training.network import FrontNetwork

Array = NDArray[Any]
Rows = NDArray[np.intp]
STEPS_TO_FLUSH = 100
CLIP_EPS = 1e-6  # as torch.nn.utils.clip_grad_norm_ has it


def train_epoch(network: "FrontNetwork", rows: Rows, rates: NDArray[np.float64], targets: Targets) -> NDArray[np.float64]:
    """Train on some distinct rows in this order; give the loss of each step, or of fewer steps after a divergence."""
    losses: list[float] = []
    upper, optimizer, memory = network.upper, network.optimizer, network.upper.memory
    gradients = network.rule.gradients(upper, targets, network.rule_state, network.kernel_threads)
    batches = np.split(rows, range(network.batch_size, len(rows), network.batch_size))
    of_front = memory.of("front", int(upper.widths[0]), network.front.n_features)
    per_window = network.window // network.batch_size
    opened = network.front.windows(batches, per_window, optimizer, of_front, network.kernel_threads)
    # A diverging run overflows. Its loss is checked, as in the kernels, so NumPy need not warn.
    with np.errstate(over="ignore", invalid="ignore"), closing(opened):
        for window, front in opened:
            for batch in window:
                for update in clipped(gradients.step(front, batch), optimizer.max_grad_norm):
                    if not np.isfinite(gradients.loss):
                        return np.array(losses)
                    descend(update, rates[len(losses)], memory.n_steps + 1)
                losses.append(gradients.loss)
                memory.n_steps += 1
                if memory.n_steps % STEPS_TO_FLUSH == 0:
                    flush(network.front.flushed, upper.velocity, *memory, *network.rule_state.velocities)
    return np.array(losses)


def clipped(ready: "Iterable[Update]", max_norm: float | None) -> "Iterable[Update]":
    """Give a step's updates as they come, or all at once with clipped gradients if their norm is limited."""
    if max_norm is None:
        return ready
    updates = list(ready)
    clip([layer for update in updates for layer, _ in update], max_norm)
    return updates


def clip(layers: Iterable[Layer], limit: float) -> None:
    """Scale the gradients of layers so that their global norm is at most `limit`."""
    layers = list(layers)
    norm = sum(float(layer.squared_gradient_norms().sum()) for layer in layers) ** 0.5
    for layer in layers:
        layer.scale_gradient(min(1.0, limit / (norm + CLIP_EPS)))


def descend(update: "Update", rate: float, step: int) -> None:
    """Update layers from their gradients."""
    for layer, group in update:
        group.optimizer.update(layer, rate * group.rate, step)


def flush(*remembered: Array | None) -> None:
    """Set subnormal numbers to 0. The state of a dead unit decays for ever, and arithmetic with subnormal numbers is slow."""
    for array in remembered:
        if array is not None:
            array[np.abs(array) < np.finfo(array.dtype).tiny] = 0
