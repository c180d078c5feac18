"""Networks of any depth: the collapse of every layer by its history, and the balance law of homogeneous networks."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fcfast import validation
from fcfast.activations import HOMOGENEOUS
from fcfast.errors import DivergenceError, refuse_diverged, refuse_not_finite
from fcfast.network import DenseNetwork

Floats = NDArray[np.float64]


class UpdatedLayer:
    """A conventional layer, whose weights are updated."""

    def __init__(self, weights: Floats) -> None:
        self.current = weights.copy()

    def forward(self, v: Floats, sample: int) -> Floats:
        return self.current @ v

    def backward(self, delta: Floats) -> Floats:
        return delta @ self.current

    def learn(self, step: Floats, v: Floats, sample: int) -> None:
        self.current += np.outer(step, v)

    def expand(self) -> Floats:
        return self.current

    @property
    def words(self) -> int:
        return self.current.size


class ContributedLayer:
    """The frozen first layer. Its inputs never change, so one row of contributions per sample replaces its history."""

    def __init__(self, weights: Floats, X: Floats) -> None:
        self.frozen, self.X = weights, X
        self.gram = X @ X.T
        self.states = X @ weights.T
        self.contributions = np.zeros_like(self.states)

    def forward(self, v: Floats, sample: int) -> Floats:
        result: Floats = self.states[sample] + self.gram[sample] @ self.contributions
        return result

    def learn(self, step: Floats, v: Floats, sample: int) -> None:
        self.contributions[sample] += step

    def expand(self) -> Floats:
        return self.frozen + self.contributions.T @ self.X

    @property
    def words(self) -> int:
        return self.contributions.size + self.states.size + self.gram.size


class HistoryLayer:
    """A frozen later layer. Its inputs change, so it keeps a history of (step, input) pairs in place of updates."""

    def __init__(self, weights: Floats, n_iter: int) -> None:
        self.frozen = weights
        n_out, n_in = weights.shape
        self.steps, self.inputs = np.empty((n_iter, n_out)), np.empty((n_iter, n_in))
        self.length = 0

    def forward(self, v: Floats, sample: int) -> Floats:
        result: Floats = self.frozen @ v + (self.inputs[: self.length] @ v) @ self.steps[: self.length]
        return result

    def backward(self, delta: Floats) -> Floats:
        return delta @ self.frozen + (self.steps[: self.length] @ delta) @ self.inputs[: self.length]

    def learn(self, step: Floats, v: Floats, sample: int) -> None:
        self.steps[self.length], self.inputs[self.length] = step, v
        self.length += 1

    def expand(self) -> Floats:
        return self.frozen + self.steps[: self.length].T @ self.inputs[: self.length]

    @property
    def words(self) -> int:
        return self.steps.size + self.inputs.size


Layer = UpdatedLayer | ContributedLayer | HistoryLayer


@dataclass(frozen=True)
class Collapse:
    """A network trained with its front layers frozen.

    Attributes
    ----------
    outputs : ndarray of shape (n_iter,), or (n_iter, c) if `y` has two dimensions
        The network's output before each update. NaN from `diverged_at` on.
    diverged_at : int or None
        The first iteration whose output was not finite.
    depth : int
        Number of frozen layers.
    history_bytes : tuple of int
        Per layer, the size of the data that replace its updates: contributions and Gram matrix for the first, (step, input)
        pairs for the later ones, and the weights themselves if the layer was not frozen.
    weight_bytes : tuple of int
        Per layer, the size of the weights that backpropagation would update.
    """

    outputs: Floats
    diverged_at: int | None
    depth: int
    history_bytes: tuple[int, ...]
    weight_bytes: tuple[int, ...]
    _layers: tuple[Layer, ...] = field(repr=False)

    def expand(self) -> list[Floats]:
        """Return the conventional weights, one matrix (n_out, n_in) per layer.

        Raises
        ------
        DivergenceError
            If training diverged.
        """
        refuse_diverged(self.diverged_at)
        with np.errstate(over="ignore", invalid="ignore"):  # reported below
            weights = [layer.expand().copy() for layer in self._layers]
        refuse_not_finite(weights, len(self.outputs))
        return weights


def collapse(
    weights: Sequence[ArrayLike], X: ArrayLike, y: ArrayLike, eta: float, n_iter: int, depth: int | str = "all"
) -> Collapse:
    """Train a ReLU network without updating its first `depth` layers (the paper's induction over layers).

    The result equals backpropagation up to rounding. The first layer takes one row per sample. Every later layer takes the
    whole history, T (n_out + n_in) words for T iterations instead of n_out n_in weights, which saves memory only while T is
    smaller than about half the width.

    Parameters
    ----------
    weights : sequence of array-like of shape (n_out, n_in)
        Initial weights, first layer first. The network has no biases and a linear output; the loss is half the squared error.
    X : array-like of shape (N, d), or (d,) for one input
        Samples, used in turn, one per iteration.
    y : array-like of shape (N,) or (N, c); a number for one input
        Targets.
    eta : float
        Learning rate, > 0.
    n_iter : int
        Number of iterations, >= 0.
    depth : int or "all"
        Number of layers to freeze, from the first one; 0 is backpropagation.

    Returns
    -------
    Collapse
        The trained network.

    Raises
    ------
    ValueError, TypeError
        If shapes do not fit, values are NaN or infinite, eta <= 0, n_iter < 0, or depth exceeds the number of layers.

    Examples
    --------
    >>> import numpy as np
    >>> from fcfast import paper
    >>> rng = np.random.default_rng(0)
    >>> weights = [rng.uniform(-0.5, 0.5, shape) for shape in ((8, 20), (6, 8), (2, 6))]
    >>> X, y = rng.normal(size=(5, 20)), rng.normal(size=(5, 2))
    >>> frozen = paper.collapse(weights, X, y, eta=0.01, n_iter=100)
    >>> reference = paper.collapse(weights, X, y, eta=0.01, n_iter=100, depth=0)
    >>> bool(np.allclose(frozen.outputs, reference.outputs, rtol=1e-12, atol=1e-14))
    True
    """
    inputs, targets = validation.samples(X, y)
    matrices = validation.fit_chain(weights, inputs.shape[1], targets.shape[1])
    eta = validation.positive(eta, "eta")
    n_iter = validation.size(n_iter, "n_iter", 0)
    depth = _resolve_depth(depth, len(matrices))
    outputs = np.full((n_iter, targets.shape[1]), np.nan)
    with np.errstate(over="ignore", invalid="ignore"):  # a diverging run is reported as such
        layers = [_make_layer(l, matrix, inputs, n_iter, depth) for l, matrix in enumerate(matrices)]
        diverged_at = _train_in_turn(layers, inputs, targets, eta, outputs)
    return Collapse(
        outputs=outputs if np.ndim(y) == 2 else outputs[:, 0],
        diverged_at=diverged_at,
        depth=depth,
        history_bytes=tuple(8 * layer.words for layer in layers),
        weight_bytes=tuple(8 * matrix.size for matrix in matrices),
        _layers=tuple(layers),
    )


def _resolve_depth(depth: int | str, n_layers: int) -> int:
    if isinstance(depth, str):
        validation.choice(depth, "depth", ("all",))
        return n_layers
    depth = validation.integer(depth, "depth", 0)
    if depth > n_layers:
        raise ValueError(f"depth={depth}, but the network has {n_layers} layer(s); use 0 to {n_layers} or 'all'")
    return depth


def _make_layer(l: int, weights: Floats, X: Floats, n_iter: int, depth: int) -> Layer:
    if l >= depth:
        return UpdatedLayer(weights)
    return ContributedLayer(weights, X) if l == 0 else HistoryLayer(weights, n_iter)


def _train_in_turn(layers: Sequence[Layer], X: Floats, y: Floats, eta: float, outputs: Floats) -> int | None:
    for t in range(len(outputs)):
        sample = t % len(X)
        values = [X[sample]]
        for l, layer in enumerate(layers):
            s = layer.forward(values[-1], sample)
            values.append(np.maximum(s, 0) if l < len(layers) - 1 else s)
        if not np.isfinite(values[-1]).all():
            return t
        outputs[t] = values[-1]
        delta = values[-1] - y[sample]
        for l in range(len(layers) - 1, -1, -1):
            layer, step, v = layers[l], -eta * delta, values[l]
            if not isinstance(layer, ContributedLayer) and l > 0:
                delta = layer.backward(delta) * (v > 0)
            layer.learn(step, v, sample)
    return None


@dataclass(frozen=True)
class Balance:
    """Change of the balance ||w_in||^2 - ||w_out||^2 of every hidden unit during training.

    Attributes
    ----------
    measured, predicted : tuple of ndarray of shape (h_l,)
        One array per hidden layer: the change over all steps, and eta^2 (||g_in||^2 - ||g_out||^2) summed over them.
    """

    measured: tuple[Floats, ...]
    predicted: tuple[Floats, ...]

    @property
    def error(self) -> float:
        """Return the largest difference between measured and predicted change."""
        return max(float(np.abs(m - p).max()) for m, p in zip(self.measured, self.predicted, strict=True))


def balance(
    weights: Sequence[ArrayLike],
    X: ArrayLike,
    y: ArrayLike,
    eta: float,
    n_iter: int = 1,
    biases: Sequence[ArrayLike] | None = None,
    activation: str = "relu",
) -> Balance:
    """Measure the one conserved number per hidden unit, and predict its change by gradient steps.

    For positively homogeneous activations, w_in . g_in = w_out . g_out for every hidden unit (with its bias in w_in), so
    a simultaneous gradient step changes ||w_in||^2 - ||w_out||^2 by exactly eta^2 (||g_in||^2 - ||g_out||^2). Thus one number
    per unit of the first layer is redundant.

    Parameters
    ----------
    weights : sequence of array-like of shape (n_out, n_in)
        Initial weights of at least two layers.
    X : array-like of shape (N, d)
        Samples, all in one batch.
    y : array-like of shape (N,) or (N, c)
        Targets; the loss is the mean of half the squared distances.
    eta : float
        Learning rate, > 0.
    n_iter : int
        Number of steps, >= 0.
    biases : sequence of array-like of shape (n_out,), or None
        Initial biases; None for none.
    activation : {"relu", "leaky_relu", "identity"}
        Activation of the hidden layers.

    Returns
    -------
    Balance
        Measured and predicted changes.

    Raises
    ------
    ValueError, TypeError
        As in `collapse`, and if the activation is not positively homogeneous.
    DivergenceError
        If a weight is not finite after a step.

    Examples
    --------
    >>> import numpy as np
    >>> from fcfast import paper
    >>> rng = np.random.default_rng(0)
    >>> weights = [rng.normal(size=(4, 3)), rng.normal(size=(1, 4))]
    >>> paper.balance(weights, rng.normal(size=(6, 3)), rng.normal(size=6), eta=0.01).error < 1e-14
    True
    """
    inputs, targets = validation.samples(X, y)
    matrices = validation.fit_chain(weights, inputs.shape[1], targets.shape[1])
    if len(matrices) < 2:
        raise ValueError("weights has one layer, so there is no hidden unit; give at least two")
    if activation not in HOMOGENEOUS:
        raise ValueError(
            f"activation={activation!r} is not positively homogeneous, so the law does not hold for it; "
            f"use one of {', '.join(map(repr, HOMOGENEOUS))}"
        )
    network = DenseNetwork(matrices, biases, activation=activation)
    eta = validation.positive(eta, "eta")
    n_iter = validation.size(n_iter, "n_iter", 0)
    with np.errstate(over="ignore"):  # reported below
        before = _unit_balance(network.weights, network.biases)
    if not all(np.isfinite(part).all() for part in before):
        raise ValueError("weights, or biases, have values so large that their squares overflow; rescale them")
    predicted = [np.zeros_like(part) for part in before]
    with np.errstate(over="ignore", invalid="ignore"):  # a diverging run is reported as such
        for t in range(n_iter):
            network.loss_and_gradient(inputs, targets)
            for total, change in zip(predicted, _unit_balance(network.weight_grads, network.bias_grads), strict=True):
                total += eta * eta * change
            network.step(eta)
            if not (np.isfinite(network.params).all() and all(np.isfinite(total).all() for total in predicted)):
                raise DivergenceError(f"training diverged at iteration {t}; use a smaller eta")
    after = _unit_balance(network.weights, network.biases)
    measured = tuple(last - first for last, first in zip(after, before, strict=True))
    return Balance(measured, tuple(predicted))


def _unit_balance(weights: Sequence[Floats], biases: Sequence[Floats]) -> list[Floats]:
    """Return ||w_in||^2 - ||w_out||^2 of every hidden unit, one array per hidden layer."""
    result = []
    for l in range(len(weights) - 1):
        incoming = (weights[l] ** 2).sum(axis=1)
        if biases:
            incoming += biases[l] ** 2
        result.append(incoming - (weights[l + 1] ** 2).sum(axis=0))
    return result
