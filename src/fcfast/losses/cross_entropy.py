"""The cross-entropy of a softmax, and the probabilities that the softmax gives."""

from typing import ClassVar

import numpy as np

from fcfast.losses.base import Array, Floats, Loss, register


@register
class CrossEntropy(Loss):
    """Minus the logarithm of the probability that the softmax of the outputs gives to the sample's class."""

    name: ClassVar[str] = "cross_entropy"
    kernel: ClassVar[int | None] = 1
    has_classes: ClassVar[bool] = True

    def of_samples(self, outputs: Array, targets: Array) -> tuple[Array, Array]:
        """Give the loss of each sample and its gradient."""
        samples = np.arange(len(outputs))
        gradient = softmax(outputs)
        gradient[samples, targets] -= 1
        return -log_softmax(outputs)[samples, targets], gradient

    def best_constant(self, targets: Array, sample_weight: Floats | None, n_outputs: int) -> Floats:
        """Give the logarithms of the class frequencies; a class that is absent counts as half a sample."""
        counts = np.bincount(targets, sample_weight, minlength=n_outputs).astype(np.float64)
        total = counts.sum() or 1.0
        counts[counts == 0] = total / (2 * max(1, len(targets)))
        return np.asarray(np.log(counts / counts.sum()))


def softmax(scores: Array) -> Array:
    """Compute probabilities (N, c)."""
    shares = np.exp(scores - scores.max(axis=1, keepdims=True))
    shares /= shares.sum(axis=1, keepdims=True)
    return shares


def log_softmax(scores: Array) -> Array:
    """Compute the logarithms of probabilities (N, c), even if the probabilities are too small to differ from 0."""
    below = scores - scores.max(axis=1, keepdims=True)
    return np.asarray(below - np.log(np.exp(below).sum(axis=1, keepdims=True)))
