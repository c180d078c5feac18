"""How the scales of a network follow a stream, in model files from version 5 on. Tensors, all in float64:

=================================  ======  ====================================================================
inputs.moments, targets.moments    (7, d)  weight, mean, variance, smallest and largest value of each column so
                                           far, and the mean and the scale that the network has
inputs.since, targets.since        (2,)    weight of the samples that this scale is from, and 1 if it is capped
=================================  ======  ====================================================================

A column without values has no smallest and no largest one; 0 stands for them. There are c columns of targets.

The entry "lengths" of the header has what is known of the squared lengths of samples: their number, the weight and the mean
that rates were chosen for, and the exponent, the weight and the weighted sum of each octave.
"""

from collections.abc import Mapping, Sequence
from dataclasses import astuple

import numpy as np
from numpy.typing import NDArray

from fcfast.modelfile.checks import numbers, require
from fcfast.modelfile.headers import Expected, Tensors
from fcfast.sources.lengths import Lengths
from fcfast.sources.running import Followed, Moments
from fcfast.sources.scale import Scale

FOLLOWED = ("inputs", "targets")
N_EACH = 3  # numbers in the entry for all samples, and for each octave


def expected_stream(parts: Sequence[str], n_features: int, n_outputs: int) -> Expected:
    """Give dtype and shape of every tensor of scales that follow a stream."""
    expected: Expected = {}
    for what in parts:
        expected[f"{what}.moments"] = "float64", (7, n_outputs if what == "targets" else n_features)
        expected[f"{what}.since"] = "float64", (2,)
    return expected


def stream_tensors(followed: Mapping[str, Followed]) -> Tensors:
    """Collect the tensors of scales that follow a stream."""
    tensors: Tensors = {}
    for what, held in followed.items():
        numbers = np.stack([*astuple(held.moments), held.scale.mean, held.scale.scale])
        numbers[:, held.moments.weight == 0] = np.where(np.isfinite(numbers), numbers, 0.0)[:, held.moments.weight == 0]
        tensors[f"{what}.moments"] = numbers
        tensors[f"{what}.since"] = np.array([held.weight, float(held.capped)])
    return tensors


def stream_in(parts: Sequence[str], tensors: Tensors) -> dict[str, Followed]:
    """Restore scales that follow a stream."""
    return {what: _followed(tensors[f"{what}.moments"], *map(float, tensors[f"{what}.since"])) for what in parts}


def _followed(numbers: NDArray[np.float64], since: float, capped: float) -> Followed:
    weight, mean, variance, low, high, scale_mean, scale = numbers.copy()
    require(bool((weight >= 0).all() and (variance >= 0).all() and (low <= high).all()), "moments of a stream are negative")
    require(bool((scale > 0).all() and since >= 0), "a scale of a stream holds numbers that are not positive")
    require(capped in (0.0, 1.0), f"a scale of a stream is capped by {capped}; it must be 0 or 1")
    low[weight == 0], high[weight == 0] = np.inf, -np.inf
    return Followed(Moments(weight, mean, variance, low, high), Scale(scale_mean, scale), since, bool(capped))


def lengths_entry(lengths: Lengths | None) -> list[float]:
    """Give the entry of a header; it is empty without lengths."""
    if lengths is None:
        return []
    octaves = [number for octave, held in lengths.octaves.items() for number in (octave, *held)]
    return [lengths.n_samples, lengths.since, lengths.chosen, *octaves]


def check_lengths(entry: list[float]) -> None:
    """Raise a ValueError for an entry that is no record of lengths."""
    numbers(entry, "lengths")
    sums = [number for place, number in enumerate(entry) if place < N_EACH or place % N_EACH]
    good = len(entry) % N_EACH == 0 and bool(np.isfinite(entry).all()) and all(number >= 0 for number in sums)
    require(good, f"lengths is {entry!r}, which is no record of the lengths of samples")


def lengths_in(entry: list[float]) -> Lengths | None:
    """Restore the lengths of a stream's samples; None if there are none."""
    if not entry:
        return None
    (n_samples, since, chosen), *octaves = (entry[start : start + N_EACH] for start in range(0, len(entry), N_EACH))
    return Lengths(int(n_samples), since, chosen, {int(octave): (weight, total) for octave, weight, total in octaves})
