"""Scores and losses of validation samples after each epoch, from outputs that are computed once."""

from collections.abc import Callable
from copy import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import check_scoring
from sklearn.metrics._scorer import _BaseScorer

from fcfast.losses import Targets
from fcfast.threads import one_blas_thread
from fcfast.training import Validation
from fcfast.validation import all_finite

if TYPE_CHECKING:
    from fcfast.estimators.base import TrainedEstimator

Array = NDArray[Any]
Floats = NDArray[np.float64]

LOSS = "loss"


@dataclass
class Known:
    """Samples as a scorer gets them, and the outputs of the network for them."""

    X: Any
    outputs: Array


@dataclass(frozen=True)
class Samples:
    """Samples to validate on.

    Attributes
    ----------
    X : ndarray, DataFrame, sparse matrix, list, Source or Gram
        Raw samples, from which predictions are made.
    shown : callable
        Gives the samples as a scorer of the user gets them.
    y : ndarray of shape (M,) or (M, c)
        Raw targets.
    targets : ndarray of shape (M,) or (M, c)
        Targets as the network takes them.
    weights : ndarray of shape (M,), or None
        Weights of the samples.
    loss_weights : ndarray of shape (M,), or None
        These weights times those of the classes, for the loss.
    is_checked : bool
        Whether the samples have been checked, because they are rows of X.
    """

    X: Any
    shown: Callable[[], Any]
    y: Array
    targets: Array
    weights: Floats | None
    loss_weights: Floats | None
    is_checked: bool


def scorer_of(estimator: "TrainedEstimator") -> Callable[..., Any] | None:
    """Give the scorer that `scoring` names; None for the estimator's own score and for its loss.

    Raises
    ------
    ValueError
        If scikit-learn has no scorer of this name, or `scoring` is a metric.
    TypeError
        If `scoring` is neither a name nor a function.
    """
    scoring = estimator.scoring
    if scoring is None:
        return None
    if isinstance(scoring, str) and scoring == LOSS:
        if not estimator._has_validation_loss:
            raise ValueError(
                f"scoring={LOSS!r} is not for {type(estimator).__name__}, whose loss depends on the noise that training draws; "
                "use 'neg_log_loss'"
            )
        return None
    if isinstance(scoring, type) or not (isinstance(scoring, str) or callable(scoring)):
        raise TypeError(
            f"scoring must be None, {LOSS!r}, the name of a scorer of scikit-learn or a function scorer(estimator, X, y), got "
            f"{scoring!r}"
        )
    try:
        scorer: Callable[..., Any] = check_scoring(estimator, scoring=scoring)
    except ValueError as error:
        raise ValueError(
            f"scoring={scoring!r} is unknown; use {LOSS!r}, a name that sklearn.metrics.get_scorer_names() lists, or what "
            "sklearn.metrics.make_scorer makes of a metric"
        ) from error
    return scorer


def scoring_name(estimator: "TrainedEstimator") -> str:
    """Give the name of what validation samples are scored by."""
    scoring = estimator.scoring
    if scoring is None:
        return estimator._score_name
    return scoring if isinstance(scoring, str) else str(getattr(scoring, "__name__", repr(scoring)))


class Validated:
    """Gives the score and the loss of validation samples under the weights of the moment, whenever it is called.

    Parameters
    ----------
    estimator : TrainedEstimator
        Estimator that is being fitted.
    samples : Samples
        Samples to validate on.
    outputs : callable
        Gives the outputs of the network for them.
    """

    def __init__(self, estimator: "TrainedEstimator", samples: Samples, outputs: Callable[[], Array]) -> None:
        self._estimator, self._samples, self._outputs = estimator, samples, outputs
        self._scorer, self._by_loss = scorer_of(estimator), estimator.scoring is not None
        estimator._check_scorable(samples.targets, samples.weights)
        self._loss: Targets | None = None
        if estimator._has_validation_loss:
            self._loss = Targets(estimator._loss, samples.targets, samples.loss_weights)
        # Scorers of scikit-learn only hand the samples back to the estimator, so that rows of X need not be copied for them.
        is_own = self._scorer is not None and not isinstance(self._scorer, _BaseScorer)
        self._known = Known(samples.shown() if is_own else samples.X, np.empty((0, 0)))
        self._seen = copy(estimator)  # predicts from these outputs
        self._seen._known = self._known
        if not is_own:
            self._seen._show_classes()

    def __call__(self) -> Validation:
        """Score the network as it is; give NaN if its outputs, or their squares, are not finite."""
        samples, loss = self._samples, None
        with np.errstate(over="ignore", invalid="ignore"):  # the checks look for these
            with one_blas_thread():  # BLAS may round differently with more threads
                outputs = self._outputs()
            if not all_finite(outputs):
                return Validation(np.nan, None)
            if self._loss is not None:
                loss = self._loss.mean_loss(outputs, np.arange(len(outputs)), np.empty_like(outputs))
                if not np.isfinite(loss):
                    return Validation(np.nan, None)
        if self._scorer is not None:
            return Validation(self._scored(self._scorer, outputs), loss)
        if loss is not None and self._by_loss:
            return Validation(-loss, loss)
        score = self._estimator._score_outputs(outputs, samples.targets, samples.weights)
        if np.isnan(score):
            self._refuse(score)
        return Validation(score, loss)

    def _scored(self, scorer: Callable[..., Any], outputs: Array) -> float:
        samples, known = self._samples, self._known
        known.outputs = outputs
        weights: dict[str, Any] = {} if samples.weights is None else {"sample_weight": samples.weights}
        try:
            score = float(scorer(self._seen, known.X, samples.y, **weights))
        except Exception as error:
            weighted = ", which have a sample_weight that it has to take" if weights else ""
            raise ValueError(
                f"scoring={self._name} failed on the {len(samples.y)} validation samples{weighted}{self._lacking}: "
                f"{type(error).__name__}: {error}"
            ) from error
        if not np.isfinite(score):
            self._refuse(score)
        return score

    def _refuse(self, score: float) -> None:
        raise ValueError(
            f"scoring={self._name} gave {score} for the {len(self._samples.y)} validation samples{self._lacking}, which no "
            "epoch can improve; "
            "validate on samples for which it is defined, such as some of each class for 'roc_auc' and at least 2 for R², or "
            "use another scoring"
        )

    @property
    def _lacking(self) -> str:
        """Say that targets are missing, which few scorers of scikit-learn take."""
        y = self._samples.y
        if y.ndim < 2 or y.dtype.kind != "f" or not np.isnan(y).any():
            return ""
        return f" (some targets of which are missing: scoring=None and scoring={LOSS!r} leave these out)"

    @property
    def _name(self) -> str:
        scoring = self._estimator.scoring
        return str(getattr(scoring, "__name__", repr(scoring)))
