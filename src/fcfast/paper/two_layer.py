"""Training of one two-layer network of the paper, by backpropagation or without updating its first layer."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fcfast import validation
from fcfast.errors import refuse_diverged, refuse_not_finite
from fcfast.paper.techniques import TECHNIQUES, Backprop, Problem, Technique

ORDERS = ("simultaneous", "sequential")


@dataclass(frozen=True)
class Trace:
    """Result of training one network.

    Attributes
    ----------
    outputs : ndarray of shape (n_iter,), or (n_iter, c) if `y` has two dimensions
        The network's output before each update. NaN from `diverged_at` on.
    diverged_at : int or None
        The first iteration whose output was not finite; None if training did not diverge.
    technique, order : str
        Technique and order of updates.
    state : dict of str to ndarray
        Final state, named as in `fcfast.paper.techniques`.
    """

    outputs: NDArray[np.float64]
    diverged_at: int | None
    technique: str
    order: str
    state: dict[str, NDArray[Any]]
    _network: Technique = field(repr=False)
    _w2_shape: tuple[int, ...] = field(repr=False)

    def expand(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the conventional network (the paper's conclusion v).

        Returns
        -------
        W1 : ndarray of shape (h, d)
        w2 : ndarray of the same shape as the given `w2`

        Raises
        ------
        DivergenceError
            If training diverged.
        ValueError
            For technique "sum_difference_literal", whose state no longer determines the weights.

        Examples
        --------
        >>> import numpy as np
        >>> from fcfast import paper
        >>> data = [[1.0, 1.0]], [1.0], [[0.5, 0.2], [0.1, -0.3]], [0.4, 0.9], 0.1, 100
        >>> W1, w2 = paper.train_front(*data).expand()
        >>> reference = paper.train_backprop(*data)
        >>> bool(np.allclose(W1, reference.state["W1"], rtol=1e-12))
        True
        """
        refuse_diverged(self.diverged_at)
        with np.errstate(over="ignore", invalid="ignore"):  # reported below
            W1, w2 = self._network.expand()
        refuse_not_finite((W1, w2), len(self.outputs))
        return W1[0].copy(), w2[0].reshape(self._w2_shape).copy()


def train_backprop(
    X: ArrayLike, y: ArrayLike, W1: ArrayLike, w2: ArrayLike, eta: float, n_iter: int, order: str = "simultaneous"
) -> Trace:
    """Train a two-layer ReLU network without biases by backpropagation (equations 9-16).

    Samples are used in turn, one per iteration; the loss of a sample is half the squared distance to its target.

    Parameters
    ----------
    X : array-like of shape (N, d), or (d,) for one input
        Samples.
    y : array-like of shape (N,) or (N, c); a number for one input
        Targets.
    W1 : array-like of shape (h, d)
        Initial weights of the first layer.
    w2 : array-like of shape (h,) or (c, h)
        Initial weights of the final layer.
    eta : float
        Learning rate, > 0.
    n_iter : int
        Number of updates, >= 0.
    order : {"simultaneous", "sequential"}
        Whether both layers use the old values (backpropagation), or the first layer uses the already updated final weights,
        as equations 13 and 14 print it.

    Returns
    -------
    Trace
        Outputs and final state, in float64 for any input.

    Raises
    ------
    ValueError, TypeError
        If shapes do not fit, values are NaN or infinite, eta <= 0, n_iter < 0, or the order is unknown.

    Examples
    --------
    >>> from fcfast import paper
    >>> trace = paper.train_backprop([1.0, 1.0], 1.0, [[0.5, 0.2], [0.1, 0.3]], [0.4, 0.9], eta=0.1, n_iter=200)
    >>> round(float(trace.outputs[0]), 3), round(float(trace.outputs[-1]), 3)
    (0.64, 1.0)
    """
    return _train(Backprop, X, y, W1, w2, eta, n_iter, order)


def train_front(
    X: ArrayLike,
    y: ArrayLike,
    W1: ArrayLike,
    w2: ArrayLike,
    eta: float,
    n_iter: int,
    technique: str = "weights",
    order: str = "simultaneous",
) -> Trace:
    """Train the same network as `train_backprop` without updating its first layer.

    Parameters
    ----------
    X, y, W1, w2, eta, n_iter, order
        As in `train_backprop`.
    technique : str
        Technique. For one input: "weights" (final weights plus compensations; equations 4, 21-27), "compensation" (updates
        only the compensations), "closed_form" (two scalars for one output, a (1 + c) x (1 + c) matrix for c outputs, for any
        width; simultaneous order only), "printed_form" (r_5n, r_6n as printed, which fail; one output only).
        For any number of inputs: "states" (equations 17-20), "contributions" (one row per distinct sample),
        "sum_difference" (equations 5, 32; two features) and "sum_difference_literal" (the same as printed, which fails).

    Returns
    -------
    Trace
        Outputs and final state.

    Raises
    ------
    ValueError, TypeError
        As in `train_backprop`, and if the technique does not cover the data: several inputs for a one-input technique,
        several outputs, another number of features, or the sequential order, as listed above.

    Examples
    --------
    >>> from fcfast import paper
    >>> X, y = [[0, 0], [0, 1], [1, 0], [1, 1]], [0, 1, 1, 0]
    >>> network = [[0.5, 0.2], [0.1, -0.3]], [0.4, 0.9]
    >>> front = paper.train_front(X, y, *network, eta=0.1, n_iter=400, technique="contributions")
    >>> reference = paper.train_backprop(X, y, *network, eta=0.1, n_iter=400)
    >>> bool(abs(front.outputs - reference.outputs).max() < 1e-14)
    True
    """
    return _train(TECHNIQUES[validation.choice(technique, "technique", TECHNIQUES)], X, y, W1, w2, eta, n_iter, order)


def make_problem(X: ArrayLike, y: ArrayLike, eta: float, order: str) -> Problem:
    """Check the arguments and make the problem."""
    inputs, targets = validation.samples(X, y)
    validation.squarable(inputs, "X")
    return Problem(inputs, targets, validation.positive(eta, "eta"), validation.choice(order, "order", ORDERS) == "sequential")


def _train(
    technique: type[Technique],
    X: ArrayLike,
    y: ArrayLike,
    W1: ArrayLike,
    w2: ArrayLike,
    eta: float,
    n_iter: int,
    order: str,
) -> Trace:
    problem = make_problem(X, y, eta, order)
    n_iter = validation.size(n_iter, "n_iter", 0)
    first, second = validation.two_layers(W1, w2, problem.X.shape[1], problem.n_outputs)
    network = technique.covering(problem)(problem, first[None], second[None])
    outputs = np.empty((1, n_iter, problem.n_outputs))
    diverged_at = np.full(1, -1, dtype=np.intp)
    network.run(outputs, diverged_at, 1)
    return Trace(
        outputs=outputs[0] if np.ndim(y) == 2 else outputs[0, :, 0],
        diverged_at=int(diverged_at[0]) if diverged_at[0] >= 0 else None,
        technique=technique.name,
        order=order,
        state={name: array[0] for name, array in network.state.items()},
        _network=network,
        _w2_shape=np.shape(w2),
    )
