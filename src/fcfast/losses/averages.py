"""Numbers that stand for each column of targets: weighted means, quantiles and Huber's location. NaN is left out."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Floats = NDArray[np.float64]

HALVINGS = 60  # of the interval that holds Huber's location: it is then as narrow as rounding allows


def shares_of(targets: Array, sample_weight: Floats | None) -> Floats:
    """Give the share (N, c) of each target in its column; 0 for NaN, and in a column where nothing has a weight."""
    there = ~np.isnan(targets)
    weights = there * 1.0 if sample_weight is None else there * sample_weight[:, None]
    totals = weights.sum(axis=0)
    return np.asarray(weights / np.where(totals > 0, totals, 1.0))


def means(targets: Array, sample_weight: Floats | None) -> Floats:
    """Give the mean of each column (c,); 0 for a column without targets."""
    weights = sample_weight if sample_weight is not None and sample_weight.sum() > 0 else None
    values = targets.astype(np.float64)
    if not np.isnan(values).any():
        return np.asarray(np.average(values, axis=0, weights=weights))
    return np.asarray((shares_of(values, sample_weight) * np.nan_to_num(values)).sum(axis=0))


def variances(targets: Array, sample_weight: Floats | None) -> Floats:
    """Give the variance of each column (c,); 0 for a column without targets."""
    return means(np.square(targets - means(targets, sample_weight)), sample_weight)


def quantiles(targets: Array, sample_weight: Floats | None, levels: Floats) -> Floats:
    """Give a quantile of each column, for the level of each (c,): the middle of those that minimise the pinball loss.

    A column without targets gets 0.
    """
    values, found = targets.astype(np.float64), np.zeros(targets.shape[1])
    shares = shares_of(values, sample_weight)
    for k, level in enumerate(levels):
        kept = shares[:, k] > 0
        if not kept.any():
            continue
        order = np.argsort(values[kept, k], kind="stable")
        ranked, reached = values[kept, k][order], np.cumsum(shares[kept, k][order])
        bound = len(ranked) * np.finfo(np.float64).eps  # sums of shares that are equal in exact arithmetic
        first, second = (np.searchsorted(reached, level + sign * bound) for sign in (-1, 1))
        found[k] = (ranked[min(first, len(ranked) - 1)] + ranked[min(second, len(ranked) - 1)]) / 2
    return found


def locations(targets: Array, sample_weight: Floats | None, delta: float) -> Floats:
    """Give the number for each column (c,) that minimises Huber's loss; 0 for a column without targets."""
    values, shares = targets.astype(np.float64), shares_of(targets, sample_weight)
    there = shares > 0
    low = np.where(there.any(axis=0), np.min(values, axis=0, where=there, initial=np.inf), 0.0)
    high = np.where(there.any(axis=0), np.max(values, axis=0, where=there, initial=-np.inf), 0.0)
    filled = np.where(there, values, 0.0)
    for _ in range(HALVINGS):
        middle = low + (high - low) / 2
        is_high = (shares * np.clip(middle - filled, -delta, delta)).sum(axis=0) > 0
        low, high = np.where(is_high, low, middle), np.where(is_high, middle, high)
    return low + (high - low) / 2


def counted(targets: Array) -> NDArray[np.intp]:
    """Count the targets in each column (c,), and 1 for a column without any."""
    return np.maximum(1, (~np.isnan(targets)).sum(axis=0))
