"""An epoch of any optimiser but SGD, whose epochs are compiled whole: one batch at a time, the layers as in `fcfast.layers`."""

from collections.abc import Generator, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fcfast import backend
from fcfast.layers import DenseLayer, Layer, SpanLayer, multiply
from fcfast.network import ACTIVATIONS, LOSSES, layer_views
from fcfast.optimizers import Muon

if TYPE_CHECKING:
    from fcfast.front.network import FrontNetwork

Array = NDArray[Any]
Rows = NDArray[np.intp]
STEPS_TO_FLUSH = 100
CLIP_EPS = 1e-6  # as torch.nn.utils.clip_grad_norm_ has it


def new_moments(network: "FrontNetwork") -> list[Array]:
    """Allocate what the optimiser remembers of squared gradients: front layer, the weights above it, then all biases."""
    optimizer: Any = network.optimizer
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
    above = _Above(network, answers, sample_weight)
    # A diverging run overflows; its loss is looked at, as in the kernels, and NumPy need not warn.
    with np.errstate(over="ignore", invalid="ignore"), closing(_windows(network, rows)) as windows:
        for window, front in windows:
            for batch in np.split(window, range(network.batch_size, len(window), network.batch_size)):
                loss, D = above.gradient(front.states(batch), batch)
                if not np.isfinite(loss):
                    return np.array(losses)
                front.take(D)
                _update(network, [front.layer, *above.weights], above.biases, rates[len(losses)])
                losses.append(loss)
    return np.array(losses)


def _update(network: "FrontNetwork", weights: Sequence[Layer], biases: Sequence[Layer], rate: float) -> None:
    """One step of every layer from its gradient."""
    optimizer: Any = network.optimizer
    network.n_steps += 1
    if optimizer.max_grad_norm is not None:
        norm = sum(float(layer.squared_gradient_norms().sum()) for layer in (*weights, *biases)) ** 0.5
        for layer in (*weights, *biases):
            layer.scale_gradient(min(1.0, optimizer.max_grad_norm / (norm + CLIP_EPS)))
    for layer in weights:
        optimizer.update(layer, rate, network.n_steps)
    for layer in biases:
        optimizer.for_biases.update(layer, rate, network.n_steps)
    if network.n_steps % STEPS_TO_FLUSH == 0:
        _flush(network)


def _flush(network: "FrontNetwork") -> None:
    """Set subnormal numbers to 0. What a dead unit remembers decays for ever, and arithmetic with subnormal numbers is slow."""
    for remembered in (network.front.velocity, network.velocity, *network.moments):
        if remembered is not None:
            remembered[np.abs(remembered) < np.finfo(remembered.dtype).tiny] = 0


class _Above:
    """The layers above the front layer, and all biases, each a layer of one feature; loss and gradient of a batch."""

    def __init__(self, network: "FrontNetwork", answers: Array, sample_weight: NDArray[np.float64] | None) -> None:
        self.network, self.sample_weight = network, sample_weight
        classes = network.loss == "cross_entropy"
        self.targets, self.labels = None if classes else answers, answers if classes else None
        self.grad = np.empty_like(network.params)
        n_threads, n_hidden = network.kernel_threads, network.widths[0]
        packed: tuple[Any, ...] = network.params, network.velocity, self.grad
        views = [layer_views(vector[n_hidden:], network.widths, bias=True) for vector in packed]
        first_biases = (vector[:n_hidden] for vector in packed)
        moments = iter(network.moments[1:])
        self.weights = [
            DenseLayer(W, M, gradient, next(moments), n_threads)
            for W, M, gradient in zip(*(matrices for matrices, _ in views), strict=True)
        ]
        self.biases = [
            DenseLayer(b[:, None], M[:, None], gradient[:, None], next(moments), n_threads)
            for b, M, gradient in zip(
                *([first, *others] for first, (_, others) in zip(first_biases, views, strict=True)), strict=True
            )
        ]

    def gradient(self, S: Array, rows: Rows) -> tuple[float, Array]:
        """Loss of the rows from the pre-activations S of the front layer; fill the layers' gradients and give dLoss/dS."""
        network, D = self.network, np.empty_like(S)
        loss = backend.front.gradient(
            S, rows, network.params, network.widths, ACTIVATIONS[network.activation], LOSSES.index(network.loss),
            self.targets, self.labels, self.sample_weight, self.grad, D,
            np.empty(2 * len(rows) * int(network.widths[1:].sum()), S.dtype), network.kernel_threads,
        )  # fmt: skip
        return loss, D


# ----------------------------------------------------------------------------------------------------------------------
# the front layer in its three forms


def _windows(network: "FrontNetwork", rows: Rows) -> Generator[tuple[Rows, Any]]:
    """Give rows to train on, and the front layer over them; what it holds is up to date when the next ones are asked for."""
    form, moment = network.front, network.moments[0]
    if form.S0 is not None:
        contributions = _Contributions(form, moment)
        try:
            yield rows, contributions
        finally:
            contributions.close()
    elif network.window == network.batch_size:
        yield rows, _Weights(form, moment, network.kernel_threads)
    else:
        for start in range(0, len(rows), network.window):
            window = _Window(form, moment, rows[start : start + network.window], isinstance(network.optimizer, Muon))
            try:
                yield window.rows, window
            finally:
                window.close()


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


class _Contributions:
    """Contributions of all training samples: the span's coordinates are what the form holds."""

    def __init__(self, form: Any, moment: Array) -> None:
        self.form = form
        self.layer = SpanLayer(
            form.n_features, form.source, form.S0, None, None, form.base, form.velocity, form.scale[0], moment
        )

    def states(self, batch: Rows) -> Array:
        self.batch = batch
        return self.layer.states(batch)

    def take(self, D: Array) -> None:
        self.layer.take(D, self.batch)

    def close(self) -> None:
        self.form.scale[0] = self.layer.c


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
            multiply(X, M.T),
            multiply(M, M.T) if mixes_units else None,
            Y,
            Z,
            1.0,
            moment,
        )
        self.done = 0

    def states(self, batch: Rows) -> Array:
        self.batch = slice(self.done, self.done + len(batch))
        return self.layer.states(self.batch)

    def take(self, D: Array) -> None:
        self.layer.take(D, self.batch)
        self.done += len(D)

    def close(self) -> None:
        layer, (W, M), real = self.layer, (self.form.base, self.form.velocity), self.X.dtype.type
        W *= real(layer.c)
        W += layer.mixed(M)
        W += multiply(layer.Y.T, self.X)
        M *= real(layer.mu)
        M += multiply(layer.Z.T, self.X)
