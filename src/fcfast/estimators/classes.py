"""Targets that are classes."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.multiclass import check_classification_targets, unique_labels
from sklearn.utils.validation import column_or_1d

from fcfast import validation
from fcfast.estimators.base import TrainedEstimator
from fcfast.estimators.described import classes_entries
from fcfast.losses import Loss, make_loss

Array = NDArray[Any]


class ClassTargets(TrainedEstimator):
    """Methods for targets that are classes."""

    class_weight: Any
    _score_name = "accuracy"

    @property
    def _loss(self) -> Loss:
        return make_loss("cross_entropy")

    def _checked(self, X: Any, y: ArrayLike | None, reset: bool) -> tuple[Any, Array]:
        X, y = super()._checked(X, y, reset)
        return X, self._one_label_each(y)

    def _truth(self, predictions: Array, y: Any) -> Array:
        truth = self._one_label_each(super()._truth(predictions, y))
        if truth.shape != predictions.shape:
            raise ValueError(
                f"y has shape {truth.shape}, but predictions have shape {predictions.shape}; give the same targets"
            )
        return truth

    def _one_label_each(self, y: Array) -> Array:
        """Give the labels of samples as one column."""
        if np.ndim(y) == 2 and np.shape(y)[1] > 1:
            raise ValueError(
                f"y has shape {np.shape(y)} and dtype {np.asarray(y).dtype}; give classes in one column, or, where samples "
                "have several labels, a column of 0 and 1 for each label"
            )
        return column_or_1d(y, warn=True)

    def _encode_targets(self, y: Array, warm: bool) -> Array:
        validation.no_missing_labels(y)
        check_classification_targets(y)
        classes = unique_labels(y)
        if warm and not np.array_equal(classes, self.classes_):
            raise ValueError(f"y has classes {classes}, but warm_start continues with {self.classes_}; use warm_start=False")
        self.classes_ = classes
        return np.searchsorted(classes, y).astype(np.intp)

    def _card_targets(self) -> dict[str, Any]:
        return classes_entries(self.classes_)

    def _class_weights(self, y: Array) -> Array | None:
        return None if self.class_weight is None else compute_sample_weight(self.class_weight, y)

    def _encode_known_targets(self, y: Array) -> Array:
        validation.no_missing_labels(y)
        labels: Array = self.classes_
        if unseen := sorted(set(y.tolist()) - set(labels.tolist()), key=str):
            raise ValueError(f"y has labels {unseen} that are not among the classes {labels}")
        return np.searchsorted(labels, y).astype(np.intp)

    def _score_outputs(self, outputs: Array, targets: Array, sample_weight: Array | None) -> float:
        return float(np.average(outputs.argmax(axis=1) == targets, weights=sample_weight))
