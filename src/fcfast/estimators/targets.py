"""Targets of several columns: which of them are missing, and which are labels that a sample has or has not."""

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from fcfast import validation
from fcfast.errors import frames_within
from fcfast.losses import Loss
from fcfast.losses.averages import means, quantiles, variances
from fcfast.sources import ArraySource
from fcfast.sources.running import Moments
from fcfast.sources.scale import Scale

Array = NDArray[Any]
Floats = NDArray[np.float64]

ROBUST = "robust"  # targets are scaled by their median and quartiles
BETWEEN_QUARTILES = 1.3489795003921634  # deviations of a normal distribution


@dataclass(frozen=True)
class Columns:
    """Numbers in several columns, with 0 in the place of those that are missing, so that scikit-learn can check them.

    Attributes
    ----------
    filled : ndarray of shape (N, L)
        Numbers, 0 where one is missing.
    gaps : ndarray of bool of shape (N, L)
        Where a number is missing.
    """

    filled: Array
    gaps: NDArray[np.bool_]

    @property
    def has_gaps(self) -> bool:
        """Whether a number is missing."""
        return bool(self.gaps.any())

    @property
    def are_labels(self) -> bool:
        """Whether all numbers are 0 and 1."""
        return bool(np.isin(self.filled, (0, 1)).all())

    def with_gaps(self, checked: Array) -> Array:
        """Give checked numbers, NaN where one is missing."""
        return np.where(self.gaps, np.nan, checked) if self.has_gaps else checked


def columns_of(y: Any) -> Columns | None:
    """Take targets for numbers in two columns or more; None if they are none, or something else that others shall check."""
    if sparse.issparse(y):
        y = y.toarray()
    if isinstance(y, (str, bytes)) or y is None:
        return None
    try:
        values = y.to_numpy(dtype=np.float64, na_value=np.nan) if _has_columns(y) else np.asarray(y)
        if values.ndim != 2 or values.shape[1] < 2:
            return None
        if values.dtype == object:
            values = values.astype(np.float64)
    except (TypeError, ValueError):  # text, or rows of unequal length
        return None
    if values.dtype.kind not in "biuf":
        return None
    gaps = np.isnan(values) if values.dtype.kind == "f" else np.zeros(values.shape, bool)
    if gaps.any():
        values = values.copy()
        values[gaps] = 0
    return Columns(values, gaps)


def _has_columns(y: Any) -> bool:
    """Whether targets are a DataFrame whose columns pandas turns into numbers, NA into NaN."""
    return hasattr(y, "to_numpy") and hasattr(y, "columns")


def weights_of_columns(targets: Array, sample_weight: NDArray[np.float64] | None) -> NDArray[np.float64]:
    """Give the weight of all samples that have a target, for each column of targets (N, c); one for classes (N,)."""
    there = np.isfinite(targets.reshape(len(targets), -1)) if targets.dtype.kind == "f" else np.ones((len(targets), 1), bool)
    return there.sum(axis=0) * 1.0 if sample_weight is None else sample_weight @ there


def warn_of_empty(weights: NDArray[np.float64], per_target: int) -> None:
    """Warn of columns without any target that counts: there is nothing to learn. There is a weight for each output."""
    of_targets = weights[::per_target]
    empty = np.flatnonzero(of_targets == 0)
    if len(empty):
        listed = ", ".join(map(str, empty[:5])) + (" ..." if len(empty) > 5 else "")
        warnings.warn(
            f"y has no value in {len(empty)} of {len(of_targets)} columns ({listed}, counted from 0) of a sample with a weight "
            "above 0; what is predicted for them means nothing, so leave them out",
            stacklevel=1 + frames_within(),
        )


def refuse_other_names(y: Any, known: Array | None) -> None:
    """Refuse a DataFrame whose columns are not those that a network was trained on, in their order."""
    names = names_of(y)
    if names is None or known is None or np.array_equal(names, known):
        return
    listed, before = (
        ", ".join(repr(str(name)) for name in each[:5]) + (", ..." if len(each) > 5 else "") for each in (names, known)
    )
    raise ValueError(
        f"y has the columns {listed}, but the network was trained on {before}; give the same ones in the same order"
    )


def noise_of(loss: Loss, targets: Array, sample_weight: NDArray[np.float64] | None) -> float:
    """Measure the noise of targets (N, c), if the loss is one of noisy targets."""
    if not loss.expects_noise:
        return 1.0
    return checked_noise(loss, means(targets, sample_weight), variances(targets, sample_weight))


def checked_noise(loss: Loss, means: Floats, variances: Floats) -> float:
    """Give the noise of targets with these means and variances (c,); a loss of the user may give anything."""
    return validation.in_range(loss.noise(means, variances), f"noise of the loss {loss.name!r}", 0, np.inf)


def robust_scale(y: Array, sample_weight: NDArray[np.float64] | None) -> Scale:
    """Give the median of each column (N, c), and the distance of its quartiles, over that of a normal distribution.

    Where the quartiles are the same, the scale is the deviation, and 1 for a column that is constant.
    """
    low, middle, high = (quantiles(y, sample_weight, np.full(y.shape[1], level)) for level in (0.25, 0.5, 0.75))
    spread, moments = (high - low) / BETWEEN_QUARTILES, Moments.of(ArraySource(y), sample_weight, "y")
    deviation = moments.scale(capped=False)
    return Scale(middle, np.where(spread > 0, spread, np.where(deviation.is_known, deviation.scale, 1.0)))


def names_of(y: Any) -> Array | None:
    """Give the names of targets in two columns or more of a DataFrame, if they are strings, otherwise None."""
    names = list(getattr(y, "columns", ()))
    twice = [name for name in names if isinstance(name, str) and names.count(name) > 1]
    if twice:
        raise ValueError(f"y has several columns of the name {str(twice[0])!r}; give each target a name of its own")
    return np.array(names, dtype=object) if len(names) > 1 and all(isinstance(name, str) for name in names) else None
