"""Outputs of a network, split by training sample.

`FrontClassifier.explain` splits the pre-activations s of the front layer by training sample, without remainder. To carry this
split through the layers above, every hidden unit is replaced by the straight line from its activation at 0 to its actual
activation, ``phi(s) = phi(0) + k s``. The output is then linear in s, ``o = m s + (part of the biases above)``. The part of a
training sample in s, weighted with m, is its part in the output. These parts add up to the output for any activation and depth.

For ReLU, leaky ReLU and identity the line is the activation itself, and m is the gradient. For tanh and logistic it is a
secant.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fcfast._pure.mathfn import activate, derivative
from fcfast.activations import ACTIVATIONS, HOMOGENEOUS
from fcfast.front.explanation import Explanation

if TYPE_CHECKING:
    from fcfast.estimators import FrontClassifier, FrontRegressor

__all__ = ["Explanation", "OutputExplanation", "explain_output"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class OutputExplanation:
    """One output of each of M samples, ``outputs = initial + terms.sum(axis=1) + rest``.

    Attributes
    ----------
    chosen : ndarray of int of shape (M,)
        Number of the output, which is the position of a class in `classes_` or the column of a regression.
    outputs : ndarray of shape (M,)
        Value of the output; for a classifier it is the value before the softmax.
    initial : ndarray of shape (M,)
        Part of the initial weights of the front layer.
    terms : ndarray of shape (M, N)
        Part of each training sample, in the order of `contributions_`.
    rest : ndarray of shape (M,)
        Part of the biases, and of phi(0) if it is not 0.
    """

    chosen: NDArray[np.intp]
    outputs: Array
    initial: Array
    terms: Array
    rest: Array


def explain_output(estimator: "FrontClassifier | FrontRegressor", X: Any, chosen: ArrayLike | None = None) -> OutputExplanation:
    """Split an output of each sample by training sample.

    The layers above the front layer keep their weights after training. The training samples shaped these weights too, but the
    split only covers how the output depends on the front layer.

    Parameters
    ----------
    estimator : FrontClassifier or FrontRegressor
        Estimator that was fitted in form "contributions".
    X : ndarray or sparse matrix of shape (M, d)
        Samples to explain.
    chosen : array-like of int of shape (M,), int, or None
        Number of the output; None takes the predicted class, or the first output of a regression.

    Returns
    -------
    OutputExplanation
        The output of each sample and its parts.

    Raises
    ------
    AttributeError
        If the estimator was fitted in another form.
    ValueError
        If the chosen output does not exist.

    Examples
    --------
    >>> import numpy as np
    >>> from fcfast import FrontClassifier
    >>> from fcfast.explain import explain_output
    >>> X, y = np.random.default_rng(0).normal(size=(20, 300)), np.arange(20) % 2
    >>> classifier = FrontClassifier((8,), max_epochs=5, dtype="float64", random_state=0).fit(X, y)
    >>> parts = explain_output(classifier, X[:3])
    >>> parts.terms.shape, np.allclose(parts.initial + parts.terms.sum(axis=1) + parts.rest, parts.outputs)
    ((3, 20), True)
    """
    split = estimator.explain(X)
    network = estimator.network_
    initial = split.initial.astype(np.float64)
    preactivations, outputs = _forward(network, initial + split.terms.sum(axis=1, dtype=np.float64) + split.bias)
    index = _chosen(chosen, outputs, hasattr(estimator, "classes_"))
    picked = np.take_along_axis(outputs, index[:, None], axis=1)[:, 0]
    weights = _weights_of_preactivations(network, preactivations, index)
    terms = np.einsum("mnh,mh->mn", split.terms, weights)
    from_initial = (initial * weights).sum(axis=1)
    return OutputExplanation(index, picked, from_initial, terms, picked - from_initial - terms.sum(axis=1))


def _chosen(chosen: ArrayLike | None, outputs: Array, classification: bool) -> NDArray[np.intp]:
    n_samples, n_outputs = outputs.shape
    if chosen is None:
        return outputs.argmax(axis=1) if classification else np.zeros(n_samples, dtype=np.intp)
    index = np.asarray(chosen)
    if index.dtype.kind not in "iu" or index.shape not in ((), (n_samples,)):
        raise ValueError(f"chosen must be one int or {n_samples} ints, got shape {index.shape} and dtype {index.dtype}")
    if index.size and not (index.min() >= 0 and index.max() < n_outputs):
        raise ValueError(f"chosen must be from 0 to {n_outputs - 1}, got {index.min()} to {index.max()}")
    return np.broadcast_to(index, n_samples).astype(np.intp)


def _forward(network: Any, S: Array) -> tuple[list[Array], Array]:
    """Give the pre-activations of the hidden layers, the front layer's first, and the outputs, in double precision."""
    preactivations = [S]
    for weights, bias in zip(network.weights, network.biases[1:], strict=True):
        preactivations.append(
            activate(preactivations[-1], ACTIVATIONS[network.activation]) @ weights.T.astype(np.float64) + bias
        )
    return preactivations[:-1], preactivations[-1]


def _weights_of_preactivations(network: Any, preactivations: list[Array], index: NDArray[np.intp]) -> Array:
    """Give the weights (M, h) with which the front layer's pre-activations enter the chosen output."""
    weights = network.weights[-1].astype(np.float64)[index] * _slope(preactivations[-1], network.activation)
    for S, above in zip(reversed(preactivations[:-1]), reversed(network.weights[:-1]), strict=True):
        weights = (weights @ above.astype(np.float64)) * _slope(S, network.activation)
    return weights


def _slope(S: Array, activation: str) -> Array:
    """Give the slope of the line from (0, phi(0)) to (s, phi(s))."""
    if activation in HOMOGENEOUS:
        code = ACTIVATIONS[activation]
        return derivative(activate(S, code), code)
    width = {"tanh": 1, "logistic": 2}[activation]  # logistic(s) - 1/2 is tanh(s/2) / 2
    T = S / width
    return np.divide(np.tanh(T), T, out=np.ones_like(T), where=T != 0) / width**2
