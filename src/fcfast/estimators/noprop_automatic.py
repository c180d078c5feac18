"""What "auto" stands for in `NoPropClassifier`, beside what `fcfast.estimators.automatic` chooses for all estimators."""

from collections.abc import Sequence
from typing import Any

from fcfast.estimators import automatic
from fcfast.estimators.automatic import Choice, Constants, Rates
from fcfast.estimators.samples import SquaredLength
from fcfast.gram.object import fan_in_of
from fcfast.noprop.blocks import Shape
from fcfast.noprop.schedule import Steps
from fcfast.optimizers import Optimizer

BLOCKS = 5
WIDE, TALL = (64, 32), (128, 64)  # units of a block, for one batch and for many
FIRST_SIZE = 0.1  # deviation of the front layers' pre-activations before training
HE = 2.0**0.5  # this deviation with He's weights, on features of variance 1
CALM, QUICK = 0.3, 1.0  # shares of the rates of `Optimizer.layer_rates`, with all samples in a batch and with drawn ones
CONSTANTS = Constants(step=4.0, batch_step=8.0, decay=0.0, tall_decay=0.0, epochs=200, few=16, steps=1000)


def n_blocks(has_time: bool, noise_schedule: Any) -> Choice:
    """Choose the number of blocks, which a given course of the noise decides."""
    if has_time:
        return Choice(1, "one block is for all times")
    if isinstance(noise_schedule, Steps):
        return Choice(len(noise_schedule), "one for each step of noise_schedule")
    if hasattr(noise_schedule, "__len__") and not isinstance(noise_schedule, str):
        return Choice(max(1, len(noise_schedule) - 1), "one for each step of noise_schedule")
    return Choice(BLOCKS, "more were not better on real data")


def hidden(n_samples: int) -> Choice:
    """Choose the units of a block: on few samples more of them change nothing except the time."""
    if n_samples <= automatic.FULL_BATCH:
        return Choice(WIDE, f"at most {automatic.FULL_BATCH:,} samples")
    return Choice(TALL, f"more than {automatic.FULL_BATCH:,} samples")


def init(X: Any, n_samples: int) -> Choice:
    """Choose a start in the span of the samples where `FrontClassifier` does."""
    choice = automatic.init(X, n_samples, False, False)
    return choice if choice.value == "span" else Choice("glorot", choice.reason)


def init_scale(X: Any, length: SquaredLength) -> Choice:
    """Choose the factor of He's weights with which pre-activations have the same size whatever the features are."""
    factor = FIRST_SIZE / HE * (fan_in_of(X) / length.value) ** 0.5
    return Choice(float(factor), f"pre-activations of deviation {FIRST_SIZE}, by {length.text}")


def layer_shapes(shape: Shape, n_in: float) -> list[tuple[float, int]]:
    """Give inputs and outputs of each layer of a block for its rate, where the scores count as one output."""
    above = [(float(inputs), outputs) for outputs, inputs in shape.layers.values()]
    return [(n_in, shape.n_hidden), *above[:-1], (above[-1][0], 1)]


def learning_rate(
    shapes: Sequence[tuple[float, int]],
    n_embedding: int | None,
    optimizer: Optimizer,
    step: float,
    is_whole: bool,
    measured: str,
) -> Choice:
    """Choose rates of the layers of a block, and after them of what is trained of the labels.

    A batch of all samples is the same in every step, only its noise is new, so that fast steps fit the samples too closely.
    """
    rates: Rates = optimizer.layer_rates(shapes, step)
    if n_embedding is not None:
        rates += optimizer.layer_rates([(float(n_embedding), 1)], step)
    share = CALM if is_whole else QUICK
    chosen = tuple((share * weights, share * biases) for weights, biases in rates)
    return Choice(chosen, f"by the shape of each layer, and {measured}")
