"""An epoch of any rule and optimiser but backpropagation with SGD, whose epochs are compiled whole: one batch at a time."""

from collections.abc import Generator, Iterable, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fcfast.front.base import FrontForm
from fcfast.layers import DenseLayer, Layer, SpanLayer, multiply
from fcfast.optimizers import Muon, Optimizer
from fcfast.rules.base import Update

if TYPE_CHECKING:
    from fcfast.training.network import FrontNetwork

Array = NDArray[Any]
Rows = NDArray[np.intp]
STEPS_TO_FLUSH = 100
CLIP_EPS = 1e-6  # as torch.nn.utils.clip_grad_norm_ has it


def new_moments(network: "FrontNetwork") -> list[Array]:
    """Allocate what the optimiser remembers of squared gradients: front layer, the weights above it, then all biases."""
    optimizer = network.optimizer
    shapes = [(len(network.biases[0]), network.front.n_features), *(weights.shape for weights in network.weights)]
    wanted = [optimizer.moment_shape(*shape) for shape in shapes]
    wanted += [optimizer.for_biases.moment_shape(len(bias), 1) for bias in network.biases]
    return [np.zeros(shape, network.params.dtype) for shape in wanted]


def train_epoch(
    network: "FrontNetwork",
    rows: Rows,
    rates: NDArray[np.float64],
    answers: Array,
    sample_weight: NDArray[np.float64] | None,
) -> NDArray[np.float64]:
    """Train on some distinct rows in that order; give the loss of each step, fewer than `rates` where it diverged."""
    losses: list[float] = []
    teacher = network.rule.teacher(network, answers, sample_weight)
    optimizer = network.optimizer
    batches = np.split(rows, range(network.batch_size, len(rows), network.batch_size))
    per_window = network.window // network.batch_size
    opened = windows(network.front, network.moments[0], batches, per_window, optimizer, network.kernel_threads)
    # A diverging run overflows; its loss is looked at, as in the kernels, and NumPy need not warn.
    with np.errstate(over="ignore", invalid="ignore"), closing(opened):
        for window, front in opened:
            for batch in window:
                for weights, biases in _updates(optimizer, teacher.step(front, batch)):
                    if not np.isfinite(teacher.loss):
                        return np.array(losses)
                    descend(optimizer, weights, biases, rates[len(losses)], network.n_steps + 1)
                losses.append(teacher.loss)
                network.n_steps += 1
                if network.n_steps % STEPS_TO_FLUSH == 0:
                    flush(network.front.velocity, network.velocity, *network.moments, *network.rule_state.remembered)
    return np.array(losses)


def _updates(optimizer: Optimizer, ready: Iterable[Update]) -> Iterable[Update]:
    """Give a step's updates as they come; at once, with gradients clipped, where their norm has to be known."""
    if optimizer.max_grad_norm is None:
        return ready
    parts = list(ready)
    clip([layer for part in parts for kind in part for layer in kind], optimizer.max_grad_norm)
    return parts


def clip(layers: Sequence[Layer], limit: float) -> None:
    """Scale the gradients of layers so that the norm of all of them is at most this."""
    norm = sum(float(layer.squared_gradient_norms().sum()) for layer in layers) ** 0.5
    for layer in layers:
        layer.scale_gradient(min(1.0, limit / (norm + CLIP_EPS)))


def descend(optimizer: Optimizer, weights: Sequence[Layer], biases: Sequence[Layer], rate: float, step: int) -> None:
    """Update layers from their gradients."""
    for layer in weights:
        optimizer.update(layer, rate, step)
    for layer in biases:
        optimizer.for_biases.update(layer, rate, step)


def flush(*remembered: Array | None) -> None:
    """Set subnormal numbers to 0. What a dead unit remembers decays for ever, and arithmetic with subnormal numbers is slow."""
    for array in remembered:
        if array is not None:
            array[np.abs(array) < np.finfo(array.dtype).tiny] = 0


# ----------------------------------------------------------------------------------------------------------------------
# the front layer in its three forms


def windows(
    form: FrontForm, moment: Array, batches: Sequence[Rows], per_window: int, optimizer: Optimizer, n_threads: int
) -> Generator[tuple[Sequence[Rows], Any]]:
    """Give batches to train on, and the front layer over them; what it holds is up to date when the next ones are asked for."""
    if form.S0 is not None:
        contributions = _Contributions(form, moment)
        try:
            yield batches, contributions
        finally:
            contributions.close()
    elif per_window == 1:
        yield batches, _Weights(form, moment, n_threads)
    else:
        for start in range(0, len(batches), per_window):
            held = batches[start : start + per_window]
            opened = _Window(form, moment, np.concatenate(held), isinstance(optimizer, Muon))
            try:
                yield held, opened
            finally:
                opened.close()


def rows_multiplied(form: FrontForm, optimizer: Optimizer, batch_size: int, window: int) -> int:
    """Rows of the largest product with what the form holds: of a window, but contributions have none here."""
    if form.S0 is None:
        return window
    return form.source.shape[1] if isinstance(optimizer, Muon) else batch_size


class _Weights:
    """Weights that every step touches."""

    def __init__(self, form: Any, moment: Array, n_threads: int) -> None:
        self.form = form
        self.layer = DenseLayer(form.base, form.velocity, np.empty_like(form.base), moment, n_threads)

    def states(self, batch: Rows) -> Array:
        self.inputs = self.form.source[batch]
        return multiply(self.inputs, self.form.base.T)

    def take(self, D: Array) -> None:
        self.layer.gradient = multiply(D.T, self.inputs)

    def batch_gram(self) -> Array:
        return multiply(self.inputs, self.inputs.T)


class _Contributions:
    """Contributions of all training samples: the span's coordinates are what the form holds."""

    def __init__(self, form: Any, moment: Array) -> None:
        self.form = form
        self.layer = SpanLayer(
            form.n_features, form.source, form.S0, None, None, form.base, form.velocity, form.scale[0], form.scale[1], moment
        )

    def states(self, batch: Rows) -> Array:
        self.batch = batch
        return self.layer.states(batch)

    def take(self, D: Array) -> None:
        self.layer.take(D, self.batch)

    def batch_gram(self) -> Array:
        return np.asarray(self.form.source[self.batch][:, self.batch])

    def close(self) -> None:
        self.form.scale[:] = self.layer.c, self.layer.m


class _Window:
    """Weights that are touched once per window, and coordinates in the span of its rows meanwhile."""

    def __init__(self, form: Any, moment: Array, rows: Rows, mixes_units: bool) -> None:
        self.form, self.rows = form, rows
        X, W, M = form.source[rows], form.base, form.velocity
        self.X = X
        Y, Z = np.zeros((2, len(rows), len(W)), W.dtype)
        self.layer = SpanLayer(
            form.n_features,
            multiply(X, X.T),
            multiply(X, W.T),
            None if M is None else multiply(X, M.T),
            multiply(M, M.T) if mixes_units else None,
            Y,
            None if M is None else Z,
            1.0,
            0.0,
            moment,
        )
        self.done = 0

    def states(self, batch: Rows) -> Array:
        self.batch = slice(self.done, self.done + len(batch))
        self.done += len(batch)
        return self.layer.states(self.batch)

    def take(self, D: Array) -> None:
        self.layer.take(D, self.batch)

    def batch_gram(self) -> Array:
        return self.layer.gram[self.batch, self.batch]

    def close(self) -> None:
        layer, (W, M), real = self.layer, (self.form.base, self.form.velocity), self.X.dtype.type
        started = W.copy() if layer.m else None
        W *= real(layer.c)
        W += multiply(layer.Y.T, self.X)
        if M is None:
            return
        W += layer.mixed(M)
        M *= real(layer.mu)
        M += multiply(layer.Z.T, self.X)
        if started is not None:
            M += real(layer.m) * started
