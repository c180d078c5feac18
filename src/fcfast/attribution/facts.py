"""What an attribution is of, and what a pass over the features gives."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Floats = NDArray[np.float64]
Places = NDArray[np.intp]


class Block(NamedTuple):
    """Attributions of some samples to some features.

    Attributes
    ----------
    rows : slice
        The samples.
    features : ndarray of int of shape (w,)
        The features.
    values : ndarray of shape (n, w), or (n, w, c) for all outputs
        Attributions. For sparse samples and the baseline 0 a CSC array (n, w), or a list of them, one for each output.
    """

    rows: slice
    features: Places
    values: Any


@dataclass(frozen=True, eq=False)
class Facts:
    """What an attribution is of.

    Attributes
    ----------
    method, baseline : str
        As they were asked for; "given" is a baseline that was given.
    feature_names : sequence of str, or None
    labels : ndarray of shape (M,), or (c,) for all outputs
        What is attributed: the class, or the number of the output, of each sample.
    has_axis : bool
        Whether there is an axis for all outputs.
    outputs, baseline_outputs, sums : ndarray of shape (M, K)
        Outputs for the samples and for the baseline, and the sums of the attributions.
    steps : ndarray of int of shape (M,)
    """

    method: str
    baseline: str
    feature_names: Sequence[str] | None
    labels: Array
    has_axis: bool
    outputs: Floats
    baseline_outputs: Floats
    sums: Floats
    steps: NDArray[np.intp]
