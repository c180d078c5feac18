"""Means and scales of a stream, which follow the samples that have been seen so far."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from fcfast.sources.protocol import Source
from fcfast.sources.scale import UNKNOWN, Scale, is_constant, refuse_unmeasurable
from fcfast.sources.standardized import CAP, MEASURED_BYTES

Array = NDArray[Any]
Floats = NDArray[np.float64]

RUNNING = "running"
GROWTH = 2.0  # of a scale or of the number of samples, from which on scales are changed; and of a weight in one change


@dataclass(frozen=True)
class Moments:
    """Weight, mean, variance and range of each column of the samples that have been seen.

    Missing values do not count, as in scikit-learn's StandardScaler.

    Attributes
    ----------
    weight : ndarray of shape (d,)
        Sum of the weights of the samples that have a value.
    mean, variance, low, high : ndarray of shape (d,)
        Mean and population variance, both weighted, and the smallest and the largest value.

    Examples
    --------
    >>> import numpy as np
    >>> from fcfast.sources import ArraySource
    >>> from fcfast.sources.running import Moments
    >>> portions = [Moments.of(ArraySource(np.array(rows))) for rows in ([[1.0, 5.0], [3.0, 5.0]], [[5.0, 5.0]])]
    >>> portions[0].joined(portions[1]).scale(capped=False)
    Scale(mean=array([3., 5.]), scale=array([1.63299316e+000, 1.79769313e+308]))
    """

    weight: Floats
    mean: Floats
    variance: Floats
    low: Floats
    high: Floats

    @classmethod
    def of(cls, X: Source, sample_weight: Floats | None = None, name: str = "X") -> "Moments":
        """Measure all rows of a portion, except those of weight 0.

        Raises
        ------
        ValueError
            If values are infinite, or too large to be squared.
        """
        n_samples, n_features = X.shape
        weights = np.ones(n_samples) if sample_weight is None else sample_weight
        parts = []
        width = max(1, MEASURED_BYTES // (8 * max(1, n_samples)))
        for start in range(0, n_features, width):
            block = X.read(slice(start, min(start + width, n_features)))
            columns = np.asarray(block.toarray() if sparse.issparse(block) else block, np.float64)
            parts.append(_moments(columns[weights > 0], weights[weights > 0], start, name))
        return cls(*map(np.concatenate, zip(*parts, strict=True)))

    def joined(self, more: "Moments") -> "Moments":
        """Give the moments of both together, as Chan, Golub and LeVeque do (1979), so that a large mean costs no digits."""
        weight = self.weight + more.weight
        share = np.divide(more.weight, weight, out=np.zeros_like(weight), where=weight > 0)
        distance = more.mean - self.mean
        variance = self.variance + share * (more.variance - self.variance) + share * (1 - share) * np.square(distance)
        return Moments(
            weight, self.mean + share * distance, variance, np.fmin(self.low, more.low), np.fmax(self.high, more.high)
        )

    def scale(self, capped: bool) -> Scale:
        """Give the mean and the deviation of each column, or with `capped` more where values exceed `CAP` deviations.

        The scale of a column that has been constant is `UNKNOWN`.
        """
        constant = is_constant(self.mean, self.variance, self.weight) | ~(self.high > self.low)
        scale = np.sqrt(self.variance)
        if capped:
            scale = np.maximum(scale, np.maximum(self.high - self.mean, self.mean - self.low) / CAP)
        return Scale(self.mean, np.where(constant, UNKNOWN, scale))


def _moments(columns: Floats, weights: Floats, start: int, name: str) -> tuple[Floats, ...]:
    """Measure some columns (n, w), the first of which has the number `start`."""
    present = ~np.isnan(columns)
    shares = weights[:, None] * present
    total = shares.sum(axis=0)
    filled = np.where(present, columns, 0.0)
    with np.errstate(over="ignore", invalid="ignore"):  # reported below; weights may be subnormal, too
        shares /= np.where(total > 0, total, 1.0)
        mean = (shares * filled).sum(axis=0)
        differences = filled - mean
        correction = (shares * differences).sum(axis=0)
        mean += correction  # the first mean of large numbers is not exact
        variance = np.maximum((shares * np.square(differences)).sum(axis=0) - correction**2, 0.0)
    refuse_unmeasurable(mean, variance, lambda column: f"column {start + column}, counted from 0", name)
    low, high = (reduce(columns, axis=0, where=present, initial=end) for reduce, end in ((np.min, np.inf), (np.max, -np.inf)))
    return total, mean, variance, low, high


@dataclass(frozen=True)
class Followed:
    """What a stream has shown of its columns, and the scale that the network has.

    Attributes
    ----------
    moments : Moments
        Moments of all samples so far.
    scale : Scale
        Scale of the network's samples.
    weight : float
        Weight of the samples that this scale is from.
    capped : bool
        Whether `scale` is such that no sample is more than 5 deviations from the mean.
    """

    moments: Moments
    scale: Scale
    weight: float
    capped: bool

    @classmethod
    def start(cls, moments: Moments, capped: bool) -> "Followed":
        """Begin with the first portion."""
        return cls(moments, moments.scale(capped), float(moments.weight.max()), capped)

    def with_portion(self, more: Moments) -> "Followed":
        """Take a portion in; the scale changes only if it has become another one.

        That is, a column is no longer constant, a scale has doubled, or the number of samples has.
        """
        moments = self.moments.joined(more)
        scale, weight = moments.scale(self.capped), float(moments.weight.max())
        has_grown = scale.is_known & (scale.scale / GROWTH > self.scale.scale)
        if weight < GROWTH * self.weight and not (has_grown | (scale.is_known & ~self.scale.is_known)).any():
            scale, weight = self.scale, self.weight
        return Followed(moments, scale, weight, self.capped)


def changed_units(before: Scale, after: Scale) -> tuple[Floats, Floats]:
    """Give the factor of the weights of each feature, and the shift by which the weights then change the biases.

    The network is the same function of raw samples as before, with two exceptions. A feature that has been constant keeps its
    weights, so that they suit its unit. And weights at most double, because the scale of few samples may be much too small.
    """
    factor = np.where(before.is_known, np.minimum(after.scale / before.scale, GROWTH), 1.0)
    return factor, (after.mean - before.mean) / after.scale


def changed_outputs(before: Scale, after: Scale) -> tuple[Floats, Floats]:
    """Give the factor of each output, and what is then added to it, so that it stays the same prediction of raw targets.

    The outputs for targets that have been constant stay as they are, in the unit that is known now.
    """
    factor = np.divide(before.scale, after.scale, out=np.ones_like(before.scale), where=before.is_known)
    return factor, np.where(before.is_known, (before.mean - after.mean) / after.scale, 0.0)
