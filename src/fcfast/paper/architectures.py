"""Other architectures (the paper's conclusion vi): first layers whose inputs do not change during training.

The identity dL/dW1 = D' X needs only that the rows of X are fixed. They may be patches of images (a first convolution), time
steps of sequences (the input-to-hidden matrix of a recurrent network) or tokens (the projections of an attention layer on
fixed embeddings). Each architecture here is the part above the pre-activations S = X W1', with a hand-written gradient.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Top = Callable[[Floats, list[Floats], Floats], tuple[float, Floats, list[Floats]]]


@dataclass(frozen=True)
class Architecture:
    """The input rows X (R, d) of a first layer, and the network above this layer.

    Attributes
    ----------
    name : str
    X : ndarray of shape (R, d)
        Input rows of the first layer: patches, time steps or tokens of all samples.
    targets : ndarray of shape (N,)
    W1 : ndarray of shape (h, d)
        Initial weights of the first layer.
    upper : list of ndarray
        Initial weights of the layers above.
    top : callable
        top(S, upper, targets) gives the loss, dLoss/dS and the gradients of `upper`.
    """

    name: str
    X: Floats
    targets: Floats
    W1: Floats
    upper: list[Floats]
    top: Top


def _read_out(features: Floats, w: Floats, targets: Floats) -> tuple[float, Floats, Floats]:
    """Return the mean half squared error of a linear output, with gradients for the features (N, h) and the weights (h,)."""
    error = (features @ w - targets) / len(targets)
    return float(error @ error) * len(targets) / 2, np.outer(error, w), error @ features


def convolution_top(S: Floats, upper: list[Floats], targets: Floats) -> tuple[float, Floats, list[Floats]]:
    """Apply ReLU, the mean over the patches of an image, and a linear output."""
    n, h = len(targets), S.shape[1]
    v = np.maximum(S, 0).reshape(n, -1, h)
    loss, d_features, d_w = _read_out(v.mean(axis=1), upper[0], targets)
    d_v = np.repeat(d_features[:, None] / v.shape[1], v.shape[1], axis=1)
    return loss, d_v.reshape(S.shape) * (S > 0), [d_w]


def recurrent_top(S: Floats, upper: list[Floats], targets: Floats) -> tuple[float, Floats, list[Floats]]:
    """Compute the state tanh(S_t + state R') and a linear output of the last state; backpropagate through time."""
    recurrent, w = upper
    n, h = len(targets), S.shape[1]
    inputs = S.reshape(n, -1, h)
    states = [np.zeros((n, h))]
    for t in range(inputs.shape[1]):
        states.append(np.tanh(inputs[:, t] + states[-1] @ recurrent.T))
    loss, d_state, d_w = _read_out(states[-1], w, targets)
    d_inputs, d_recurrent = np.empty_like(inputs), np.zeros_like(recurrent)
    for t in reversed(range(inputs.shape[1])):
        d_inputs[:, t] = d_state * (1 - states[t + 1] ** 2)
        d_recurrent += d_inputs[:, t].T @ states[t]
        d_state = d_inputs[:, t] @ recurrent
    return loss, d_inputs.reshape(S.shape), [d_recurrent, d_w]


def attention_top(S: Floats, upper: list[Floats], targets: Floats) -> tuple[float, Floats, list[Floats]]:
    """Split S into queries, keys and values; apply softmax attention, the mean over tokens, and a linear output."""
    n, h = len(targets), S.shape[1] // 3
    q, k, v = np.split(S.reshape(n, -1, 3 * h), 3, axis=2)
    scores = q @ k.transpose(0, 2, 1) / h**0.5
    weights = np.exp(scores - scores.max(axis=2, keepdims=True))
    weights /= weights.sum(axis=2, keepdims=True)
    n_tokens = v.shape[1]
    loss, d_features, d_w = _read_out((weights @ v).mean(axis=1), upper[0], targets)
    d_mixed = np.repeat(d_features[:, None] / n_tokens, n_tokens, axis=1)
    d_weights = d_mixed @ v.transpose(0, 2, 1)
    d_scores = weights * (d_weights - (weights * d_weights).sum(axis=2, keepdims=True)) / h**0.5
    d_parts = d_scores @ k, d_scores.transpose(0, 2, 1) @ q, weights.transpose(0, 2, 1) @ d_mixed
    return loss, np.concatenate(d_parts, axis=2).reshape(S.shape), [d_w]


def architectures(seed: int = 0, n_samples: int = 6, hidden: int = 5) -> list[Architecture]:
    """Make a small random example of each architecture."""
    rng = np.random.default_rng(seed)
    targets = rng.normal(size=n_samples)
    images = rng.normal(size=(n_samples, 6, 6))
    patches = np.lib.stride_tricks.sliding_window_view(images, (3, 3), axis=(1, 2)).reshape(-1, 9)
    sequences = rng.normal(size=(n_samples * 7, 11))
    tokens = rng.normal(size=(n_samples * 4, 30))

    def uniform(*shape: int) -> Floats:
        return rng.uniform(-1, 1, shape) / shape[-1] ** 0.5

    return [
        Architecture("convolution", patches, targets, uniform(hidden, 9), [uniform(hidden)], convolution_top),
        Architecture(
            "recurrent", sequences, targets, uniform(hidden, 11), [uniform(hidden, hidden), uniform(hidden)], recurrent_top
        ),
        Architecture("attention", tokens, targets, uniform(3 * hidden, 30), [uniform(hidden)], attention_top),
    ]


def compare_forms(architecture: Architecture, eta: float = 0.1, n_iter: int = 100) -> tuple[float, float]:
    """Train with weights and with contributions; return the largest differences of the losses and of the final W1."""
    X, W1 = architecture.X, architecture.W1.copy()
    contributions = np.zeros((len(X), len(W1)))
    gram, S0 = X @ X.T, X @ W1.T
    uppers = [[weights.copy() for weights in architecture.upper] for _ in range(2)]
    worst = 0.0
    for _ in range(n_iter):
        losses = []
        for form, S in enumerate((X @ W1.T, S0 + gram @ contributions)):
            loss, delta, upper_grads = architecture.top(S, uppers[form], architecture.targets)
            losses.append(loss)
            for weights, grad in zip(uppers[form], upper_grads, strict=True):
                weights -= eta * grad
            if form == 0:
                W1 -= eta * delta.T @ X
            else:
                contributions -= eta * delta
        worst = max(worst, abs(losses[0] - losses[1]))
    return worst, float(np.abs(W1 - (architecture.W1 + contributions.T @ X)).max())
