"""Targets of a classifier: classes in one column, or several labels that a sample has or has not, in a column for each."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.metrics import d2_log_loss_score, log_loss

from fcfast.estimators.classes import ClassTargets
from fcfast.estimators.described import targets_entry
from fcfast.estimators.scoring import scorer_of
from fcfast.estimators.targets import Columns, columns_of
from fcfast.losses import CrossEntropy, Logistic, Loss

Array = NDArray[Any]
Floats = NDArray[np.float64]


class LabelTargets(ClassTargets):
    """Methods for targets that are classes or several labels, as the targets of the first fit say."""

    label_smoothing: float
    target_names_: Array | None
    _is_multilabel = False  # whether samples have several labels

    @property
    def _loss(self) -> Loss:
        return Logistic(self.label_smoothing) if self._is_multilabel else CrossEntropy(self.label_smoothing)

    def _take_loss(self, name: str) -> None:
        self._is_multilabel = bool(name)

    def _held_loss(self) -> dict[str, tuple[Any, Any]]:
        return {"label_smoothing": (self.label_smoothing, self.network_.loss.parameters[0])}

    def _opened_targets(self, y: Any, reset: bool) -> tuple[Any, Callable[[Array], Array]]:
        found = columns_of(y)
        opened = super()._opened_targets(y, reset)
        if found is not None:
            self._check_labels(found)
        if reset:
            self._is_multilabel = found is not None
        elif self._is_multilabel != (found is not None):
            before = "several labels" if self._is_multilabel else "classes in one column"
            raise ValueError(f"y has shape {np.shape(y)}, but it had {before} before; give y of the same kind")
        return opened if found is None else (found.filled, found.with_gaps)

    def _check_labels(self, found: Columns) -> None:
        """Refuse columns that are no labels, and what is meant for classes."""
        n_columns = found.filled.shape[1]
        if not found.are_labels:
            raise ValueError(
                f"y has {n_columns} columns with other values than 0 and 1; give classes in one column, or, where samples "
                "have several labels, a column for each label, which is 1 for samples that have it"
            )
        if self.class_weight is not None:
            raise ValueError(
                f"class_weight={self.class_weight!r} weights classes in one column, but y has {n_columns} labels; leave it "
                "out, or give sample_weight"
            )

    def _one_label_each(self, y: Array) -> Array:
        return y if self._is_multilabel else super()._one_label_each(y)

    def _encode_targets(self, y: Array, warm: bool) -> Array:
        if warm and self.network_.loss.has_classes == self._is_multilabel:
            raise ValueError("y changes between classes in one column and several labels; use warm_start=False")
        if not self._is_multilabel:
            return super()._encode_targets(y, warm)
        self.classes_ = np.arange(y.shape[1])  # as MLPClassifier has it
        return np.ascontiguousarray(y, dtype=self.dtype)

    def _more_labels(self, y: Array, classes: ArrayLike | None) -> Array:
        """Encode several labels of a portion; `classes` is not needed, because all labels have a column."""
        n_labels = len(getattr(self, "classes_", y.T))
        if y.shape[1] != n_labels:
            raise ValueError(f"y has {y.shape[1]} labels, but the first call of partial_fit, or fit, had {n_labels}")
        if classes is not None and not np.array_equal(classes, np.arange(n_labels)):
            raise ValueError(f"classes is {classes!r}; leave it out, because y has a column for each of the {n_labels} labels")
        return self._encode_targets(y, False)

    def _numbers(self, y: Array) -> Array:
        return y  # of a stream, whose labels are measured as numbers

    def _loss_of_frequencies(self, targets: Array, weights: Floats | None) -> float:
        """Give the loss of the smoothed frequencies of several labels."""
        constant = self._loss.best_constant(targets, weights, targets.shape[1])
        every = np.ones(len(targets)) if weights is None else weights
        return self._loss.of_batch(np.tile(constant, (len(targets), 1)), targets.astype(np.float64), every)[0]

    def _encode_known_targets(self, y: Array) -> Array:
        return np.ascontiguousarray(y, dtype=self.dtype) if self._is_multilabel else super()._encode_known_targets(y)

    @property
    def _score_name(self) -> str:  # type: ignore[override]  # the targets decide here
        return "accuracy of labels" if self._is_multilabel else "accuracy"

    def _show_classes(self) -> None:
        if self._is_multilabel:  # scikit-learn would take the numbers of two labels for two classes
            own: Any = self
            own.classes_ = [np.arange(2)] * len(self.classes_)  # as its own estimators of several labels have it

    def _check_scorable(self, targets: Array, sample_weight: Floats | None) -> None:
        if self._is_multilabel and getattr(scorer_of(self), "_score_func", None) in (log_loss, d2_log_loss_score):
            raise ValueError(
                f"scoring={self.scoring!r} compares the probabilities of classes that exclude each other, but y has several "
                "labels; use scoring='loss', which is the sum over the labels"
            )
        counted = targets if sample_weight is None else targets[sample_weight > 0]
        if self._is_multilabel and np.isnan(counted).all():
            raise ValueError(
                f"no label of the {len(targets)} validation samples is known; validate on samples that have some, and weights "
                "above 0"
            )

    def _score_outputs(self, outputs: Array, targets: Array, sample_weight: Floats | None) -> float:
        """Give the accuracy; of several labels, few samples may have all right, so that it is that of single labels."""
        if not self._is_multilabel:
            return super()._score_outputs(outputs, targets, sample_weight)
        there = ~np.isnan(targets)
        weights = there if sample_weight is None else there * sample_weight[:, None]
        return float(np.average((outputs > 0) == targets, weights=weights))

    def _card_targets(self) -> dict[str, Any]:
        if not self._is_multilabel:
            return super()._card_targets()
        return {"labels": len(self.classes_)} | targets_entry(self.target_names_)


def subset_accuracy(truth: Array, predicted: Array, sample_weight: Floats | None) -> float:
    """Give the share of samples whose labels are all right, as far as they are known; NaN marks those that are not."""
    gaps = np.isnan(truth)
    there = ~gaps.all(axis=1)
    weights = there * 1.0 if sample_weight is None else there * sample_weight
    if not weights.any():
        raise ValueError("no label in y is known of a sample with a weight above 0, so that there is nothing to score")
    return float(np.average((gaps | (truth == predicted)).all(axis=1), weights=weights))
