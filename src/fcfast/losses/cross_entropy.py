"""The cross-entropy of a softmax, and the probabilities that the softmax gives."""

from typing import ClassVar

import numpy as np

from fcfast.losses.base import Array, Loss, register


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


def softmax(scores: Array) -> Array:
    """Compute probabilities (N, c)."""
    shares = np.exp(scores - scores.max(axis=1, keepdims=True))
    shares /= shares.sum(axis=1, keepdims=True)
    return shares


def log_softmax(scores: Array) -> Array:
    """Compute the logarithms of probabilities (N, c), even if the probabilities are too small to differ from 0."""
    below = scores - scores.max(axis=1, keepdims=True)
    return np.asarray(below - np.log(np.exp(below).sum(axis=1, keepdims=True)))
