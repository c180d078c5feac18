"""Scores of predictions of numbers, as means over the targets; targets that are NaN are left out.

scikit-learn's scores are imported when they are needed: they bring pandas with them where it is installed.
"""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fcfast.errors import frames_within

Array = NDArray[Any]
Floats = NDArray[np.float64]
Score = Callable[[Array, Array, Floats | None], float]  # targets (n,), predictions (n,) or (n, Q), weights

FEWEST = 2  # samples with a target, without which a score is not defined


def r2(targets: Array, predictions: Array, sample_weight: Floats | None) -> float:
    """Give R², as scikit-learn does."""
    from sklearn.metrics import r2_score

    if not _has_gaps(targets) and (sample_weight is None or np.count_nonzero(sample_weight) >= FEWEST):
        return float(r2_score(targets, predictions, sample_weight=sample_weight))
    return over_targets(lambda y, p, w: float(r2_score(y, p, sample_weight=w)), targets, predictions, sample_weight)


def poisson_d2(targets: Array, rates: Array, sample_weight: Floats | None) -> float:
    """Give the share of the Poisson deviance that rates explain, as scikit-learn's PoissonRegressor does."""
    return over_targets(_poisson_d2, targets, rates, sample_weight)


def _poisson_d2(targets: Array, rates: Array, sample_weight: Floats | None) -> float:
    from sklearn.metrics import mean_poisson_deviance

    smallest = np.finfo(np.float64).tiny  # a rate of 0 has no deviance
    mean = max(float(np.average(targets, weights=sample_weight)), smallest)
    deviance, of_mean = (
        float(mean_poisson_deviance(targets, each, sample_weight=sample_weight))
        for each in (np.maximum(rates, smallest), np.full(len(targets), mean))
    )
    if (targets == targets[0]).all():  # there is nothing to explain: as R² has it
        return float(np.array_equal(rates, targets))
    return 1 - deviance / of_mean


def pinball_d2(levels: Floats) -> Score:
    """Give a score: the share of the pinball loss that quantiles (n, Q) explain, as a mean over the levels."""

    def score(targets: Array, quantiles: Array, sample_weight: Floats | None) -> float:
        from sklearn.metrics import d2_pinball_score

        columns = quantiles.reshape(len(targets), len(levels)).T
        each = [
            d2_pinball_score(targets, column, sample_weight=sample_weight, alpha=level)
            for column, level in zip(columns, levels, strict=True)
        ]
        return float(np.mean(each))

    return lambda targets, quantiles, sample_weight: over_targets(score, targets, quantiles, sample_weight)


def over_targets(score: Score, targets: Array, predictions: Array, sample_weight: Floats | None) -> float:
    """Give the mean of a score over the targets (N,) or (N, L) that two samples or more have; NaN if there is none.

    Samples of weight 0 do not count.
    """
    values = np.asarray(targets, dtype=np.float64).reshape(len(targets), -1)
    predicted = np.asarray(predictions).reshape(*values.shape, -1)
    counts = np.ones(len(values), bool) if sample_weight is None else np.asarray(sample_weight) > 0
    found = []
    for k, column in enumerate(values.T):
        there = ~np.isnan(column) & counts
        if there.sum() >= FEWEST or len(values) < FEWEST:
            weights = None if sample_weight is None else np.asarray(sample_weight)[there]
            of_target = predicted[there, k]
            found.append(score(column[there], of_target[:, 0] if of_target.shape[1] == 1 else of_target, weights))
    if not found:
        _warn_of_too_few()
    return float(np.mean(found)) if found else float("nan")


def _warn_of_too_few() -> None:
    from sklearn.exceptions import UndefinedMetricWarning

    text = f"a score needs {FEWEST} samples with a target and a weight above 0, so that it is NaN here"
    warnings.warn(text, UndefinedMetricWarning, stacklevel=1 + frames_within())


def varies(targets: Array, sample_weight: Floats | None) -> bool:
    """Whether a column of targets (N, c) has two different values, of samples with weights above 0."""
    counts = slice(None) if sample_weight is None else np.asarray(sample_weight) > 0
    columns = np.ma.masked_invalid(targets[counts])
    return bool((np.ma.filled(columns.max(axis=0), 0) > np.ma.filled(columns.min(axis=0), 0)).any()) if columns.size else False


def _has_gaps(targets: Array) -> bool:
    values = np.asarray(targets)
    return values.dtype.kind == "f" and bool(np.isnan(values).any())


def errors(targets: Array, predictions: Array) -> dict[str, float]:
    """Give the root of the mean squared error and the mean absolute error of predictions (n,); NaN for no targets."""
    if not len(targets):
        return {"rmse": float("nan"), "mae": float("nan")}
    difference = predictions - targets
    return {"rmse": float(np.sqrt(np.mean(difference**2))), "mae": float(np.mean(np.abs(difference)))}


def share(score: Score, targets: Array, predictions: Array) -> float:
    """Give a score of predictions (n,), NaN for fewer than two targets."""
    return score(targets, predictions, None) if len(targets) >= FEWEST else float("nan")


def of_quantile(level: float, targets: Array, quantiles: Array) -> dict[str, float]:
    """Give measures of a quantile (n,): its share, its mean loss, and how many targets are not above it."""
    lack = targets - quantiles
    is_empty = not len(targets)
    return {
        "level": level,
        "d2": share(pinball_d2(np.array([level])), targets, quantiles),
        "pinball": float("nan") if is_empty else float(np.mean(np.maximum(level * lack, (level - 1) * lack))),
        "coverage": float("nan") if is_empty else float(np.mean(lack <= 0)),
    }
