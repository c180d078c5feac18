"""The lengths of a stream's samples so far, which rates and the size of the initial weights follow."""

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from fcfast.sources.running import GROWTH

Floats = NDArray[np.float64]
Octaves = dict[int, tuple[float, float]]

LONGEST = 10.0  # squared length of a sample over the median, from which on it is an exception


@dataclass(frozen=True)
class Lengths:
    """The squared lengths of the samples of a stream. Samples without entries say nothing, and do not count.

    The mean counts a length as at most `LONGEST` times the median, so that a few samples in another unit, at the beginning
    or later, do not decide.

    Attributes
    ----------
    n_samples : int
        Number of samples so far.
    since : float
        Weight of the samples that `chosen` is from.
    chosen : float
        Mean squared length that rates are made for; 0 while there are no entries.
    octaves : dict
        Weight, and weight times squared length, of the samples whose length lies between two powers of two.
    latest : float
        Mean squared length of the last portion.

    Examples
    --------
    >>> import numpy as np
    >>> from fcfast.sources.lengths import Lengths
    >>> lengths = Lengths()
    >>> for portion in ([0.0], [9.0, 11.0], [0.0, 14.0], [10.0]):
    ...     lengths = lengths.with_portion(np.array(portion), np.ones(len(portion)))
    ...     print(lengths.n_samples, lengths.chosen)
    0 0.0
    2 10.0
    3 10.0
    4 11.0
    """

    n_samples: int = 0
    since: float = 0.0
    chosen: float = 0.0
    octaves: Octaves = field(default_factory=dict)  # replaced, never changed
    latest: float = 0.0

    @classmethod
    def start(cls, lengths: Floats, weights: Floats, chosen: float) -> "Lengths":
        """Begin with the first portion, for which rates have been chosen."""
        first = cls().with_portion(lengths, weights)
        return replace(first, chosen=chosen) if first.n_samples else first

    def with_portion(self, lengths: Floats, weights: Floats) -> "Lengths":
        """Take a portion in. What is chosen changes if it has doubled or halved, or the number of samples has doubled."""
        lengths, weights = lengths[lengths > 0], weights[lengths > 0]
        if not len(lengths):
            return replace(self, latest=0.0)
        portion = _octaves(lengths, weights)
        octaves = _joined(self.octaves, portion)
        weight, mean = sum(of for of, _ in octaves.values()), _mean(octaves)
        since, chosen = self.since, self.chosen
        if weight >= GROWTH * since or not chosen / GROWTH <= mean <= GROWTH * chosen:
            since, chosen = weight, rounded(mean)
        return Lengths(self.n_samples + len(lengths), since, chosen, octaves, _mean(portion))

    @property
    def text(self) -> str:
        """How `chosen` was found, in words."""
        return f"the mean squared length {self.chosen:.3g} of the samples so far"

    @property
    def share(self) -> float:
        """Share of the chosen rates that suits the last portion; those of much longer samples than before are shorter."""
        return min(1.0, GROWTH * self.chosen / self.latest) if self.latest and self.chosen else 1.0


def rounded(length: float) -> float:
    """Round a length to three digits, so that products, which are rounded, give the same rates as features."""
    return float(f"{length:.3g}")


def _octaves(lengths: Floats, weights: Floats) -> Octaves:
    """Sort samples by the octaves of their lengths."""
    exponents = np.frexp(lengths)[1]
    found, place = np.unique(exponents, return_inverse=True)
    sums = (np.bincount(place.reshape(-1), numbers) for numbers in (weights, weights * lengths))
    weight, total = (part.tolist() for part in sums)
    return dict(zip(found.tolist(), zip(weight, total, strict=True), strict=True))


def _joined(octaves: Octaves, more: Octaves) -> Octaves:
    """Add the sums of both, in the order of the octaves."""
    joined, nothing = {}, (0.0, 0.0)
    for octave in sorted(octaves.keys() | more.keys()):
        (weight, total), (more_weight, more_total) = octaves.get(octave, nothing), more.get(octave, nothing)
        joined[octave] = weight + more_weight, total + more_total
    return joined


def _mean(octaves: Octaves) -> float:
    """Give the mean squared length, where no length counts as more than `LONGEST` times the median."""
    weights, totals = np.array(list(octaves.values())).T
    means = totals / weights
    median = means[np.searchsorted(np.cumsum(weights), weights.sum() / 2)]
    return float((weights * np.minimum(means, LONGEST * median)).sum() / weights.sum())
