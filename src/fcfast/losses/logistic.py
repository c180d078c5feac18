"""The logistic loss of several labels, each of which a sample has or has not."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from fcfast import validation
from fcfast._pure import lossfn
from fcfast.losses.averages import counted, means
from fcfast.losses.base import Array, Floats, register
from fcfast.losses.cross_entropy import entropy
from fcfast.losses.separable import Separable


@register
@dataclass(frozen=True)
class Logistic(Separable):
    """Minus the log-likelihood of labels that are 0 or 1, whose log-odds are the outputs, summed over the labels.

    It is what torch.nn.BCEWithLogitsLoss(reduction="none") gives, summed over the outputs, of which that loss takes the mean by
    default. Targets may also be probabilities.

    Parameters
    ----------
    label_smoothing : float, default 0
        Share of each target in [0, 1) that is spread evenly over 0 and 1: y becomes ``(1 - label_smoothing) y + label_smoothing
        / 2``.

    Raises
    ------
    ValueError, TypeError
        If `label_smoothing` is not a number in [0, 1).

    Examples
    --------
    >>> import numpy as np
    >>> from fcfast.losses import Logistic
    >>> losses, gradient = Logistic().of_samples(np.zeros((1, 3)), np.array([[0.0, 1.0, np.nan]]))
    >>> np.allclose(losses, 2 * np.log(2)), gradient
    (True, array([[ 0.5, -0.5,  0. ]]))
    """

    label_smoothing: float = 0.0

    name: ClassVar[str] = "log_loss"
    kernel: ClassVar[int | None] = lossfn.LOGISTIC
    named_in_files: ClassVar[bool] = True
    link = "logit"
    may_scale_targets = False
    expects_noise: ClassVar[bool] = True
    starts_from_means: ClassVar[bool] = True

    def __post_init__(self) -> None:
        validation.in_range(self.label_smoothing, "label_smoothing", 0, 1)
        validation.plain_numbers(self)

    @property
    def parameters(self) -> tuple[float, ...]:
        """The share of smoothing."""
        return (self.label_smoothing,)

    def check_targets(self, targets: Array) -> None:
        """Raise a ValueError for targets outside [0, 1]."""
        low, high = np.nanmin(targets, initial=0), np.nanmax(targets, initial=1)
        if low < 0 or high > 1:
            raise ValueError(f"y has values from {low:g} to {high:g}, but loss {self.name!r} is for labels 0 and 1")

    def of_outputs(self, outputs: Array, targets: Array) -> tuple[Array, Array]:
        """Give the loss of each output and its derivative."""
        return lossfn.logistic(outputs, targets, self.label_smoothing)

    def best_constant(self, targets: Array, sample_weight: Floats | None, n_outputs: int) -> Floats:
        """Give the log-odds of the smoothed frequencies, 0 for a label without any target."""
        found = self._smoothed(self.within(means(targets, sample_weight), counted(targets)))
        return np.where(np.isnan(targets).all(axis=0), 0.0, np.log(found / (1 - found)))

    def within(self, means: Floats, n_samples: Any) -> Floats:
        """Take half a sample from a label that all samples have, and give it to one that none has."""
        half = 0.5 / n_samples
        return np.where(means <= 0, half, np.where(means >= 1, 1 - half, means))

    def noise(self, means: Floats, variances: Floats) -> float:
        """Give the mean deviation of labels with these frequencies, over that of labels that half of the samples have."""
        frequencies = np.clip(means, 0, 1)  # which rounding may have left
        return float(2 * np.sqrt(frequencies * (1 - frequencies)).mean())

    def lowest(self, n_outputs: int) -> float:
        """Give the entropy of smoothed labels, which the best outputs have as their loss."""
        probability = float(self._smoothed(np.ones(1))[0])
        return n_outputs * entropy(np.array([probability, 1 - probability]))

    def _smoothed(self, probabilities: Floats) -> Floats:
        return np.asarray((1 - self.label_smoothing) * probabilities + self.label_smoothing / 2)

    def predictions(self, outputs: Array) -> Array:
        """Give the probability of each label."""
        return sigmoid(outputs)


def sigmoid(outputs: Array) -> Array:
    """Compute the probabilities that belong to log-odds."""
    tail = np.exp(-np.abs(outputs))  # it does not overflow
    return np.asarray(np.where(outputs >= 0, 1, tail) / (1 + tail))


def log_sigmoid(outputs: Array) -> Array:
    """Compute the logarithms of the probabilities that belong to log-odds, even if they are too small to differ from 0."""
    return np.asarray(-np.logaddexp(0, -outputs))
