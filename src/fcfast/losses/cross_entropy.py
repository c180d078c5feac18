"""The cross-entropy of a softmax, and the probabilities that the softmax gives."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from fcfast import validation
from fcfast._pure import lossfn
from fcfast.losses.base import Array, Floats, Loss, register


@register
@dataclass(frozen=True)
class CrossEntropy(Loss):
    """Cross-entropy between target probabilities and the softmax of the outputs.

    The target probabilities are ``(1 - label_smoothing) * one_hot + label_smoothing / c`` for c classes, as in
    torch.nn.CrossEntropyLoss. Without smoothing the loss is minus the logarithm of the probability of the sample's class.

    Parameters
    ----------
    label_smoothing : float, default 0
        Share of the target probability in [0, 1) that is spread evenly over all classes.

    Raises
    ------
    ValueError, TypeError
        If `label_smoothing` is not a number in [0, 1).

    Examples
    --------
    >>> import numpy as np
    >>> from fcfast.losses import CrossEntropy
    >>> outputs, labels = np.zeros((1, 2)), np.array([0])
    >>> CrossEntropy(label_smoothing=0.5).of_samples(outputs, labels)[1]  # 1/2 minus the target probabilities, 3/4 and 1/4
    array([[-0.25,  0.25]])
    """

    label_smoothing: float = 0.0

    name: ClassVar[str] = "cross_entropy"
    kernel: ClassVar[int | None] = lossfn.CROSS_ENTROPY
    has_classes: ClassVar[bool] = True
    link = "softmax"
    may_scale_targets = False

    def __post_init__(self) -> None:
        validation.in_range(self.label_smoothing, "label_smoothing", 0, 1)
        validation.plain_numbers(self)

    @property
    def parameters(self) -> tuple[float, ...]:
        """The share of smoothing."""
        return (self.label_smoothing,)

    def smoothed(self, probabilities: Floats) -> Floats:
        """Mix probabilities of the classes, in the last axis, with equal ones."""
        share = self.label_smoothing
        return np.asarray((1 - share) * probabilities + share / probabilities.shape[-1])

    def of_samples(self, outputs: Array, targets: Array) -> tuple[Array, Array]:
        """Give the loss of each sample and its gradient."""
        wanted = self.smoothed(np.eye(outputs.shape[1])[targets])
        return -(wanted * log_softmax(outputs)).sum(axis=1), softmax(outputs) - wanted

    def best_constant(self, targets: Array, sample_weight: Floats | None, n_outputs: int) -> Floats:
        """Give the logarithms of the smoothed class frequencies; a class that is absent counts as half a sample."""
        counts = np.bincount(targets, sample_weight, minlength=n_outputs).astype(np.float64)
        total = counts.sum() or 1.0
        counts[counts == 0] = total / (2 * max(1, len(targets)))
        return np.asarray(np.log(self.smoothed(counts / counts.sum())))

    def lowest(self, n_outputs: int) -> float:
        """Give the entropy of the target probabilities, which the best outputs have as their loss."""
        return entropy(self.smoothed(np.eye(n_outputs)[0]))

    def predictions(self, outputs: Array) -> Array:
        """Give the probability of each class."""
        return softmax(outputs)


def entropy(probabilities: Floats) -> float:
    """Compute the entropy of probabilities (c,)."""
    occurring = probabilities[probabilities > 0]
    return float(-(occurring * np.log(occurring)).sum())


def softmax(scores: Array) -> Array:
    """Compute probabilities (N, c)."""
    shares = np.exp(scores - scores.max(axis=1, keepdims=True))
    shares /= shares.sum(axis=1, keepdims=True)
    return shares


def log_softmax(scores: Array) -> Array:
    """Compute the logarithms of probabilities (N, c), even if the probabilities are too small to differ from 0."""
    below = scores - scores.max(axis=1, keepdims=True)
    return np.asarray(below - np.log(np.exp(below).sum(axis=1, keepdims=True)))
