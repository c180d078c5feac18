"""Samples that `fit` validates on after each epoch: rows of X, whole groups of them, or samples beside X."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.model_selection import GroupShuffleSplit
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _num_samples, column_or_1d

from fcfast import validation
from fcfast.estimators.samples import gathered
from fcfast.estimators.scoring import Samples, Validated
from fcfast.gram.object import Gram
from fcfast.sources import as_source, source_in
from fcfast.splitting import split_at_random

if TYPE_CHECKING:
    from fcfast.estimators.base import TrainedEstimator

Array = NDArray[Any]
Floats = NDArray[np.float64]
Rows = NDArray[np.intp]

INDICES, GROUPS = "validation_indices", "groups"


class Asked(NamedTuple):
    """What `fit` was told about validation, by parameters of the same names."""

    X_val: Any = None
    y_val: ArrayLike | None = None
    sample_weight_val: ArrayLike | None = None
    validation_indices: ArrayLike | None = None
    groups: ArrayLike | None = None

    def check(self, early_stopping: bool) -> None:
        """Raise a ValueError for parameters that contradict each other."""
        has_samples, has_rows = self.X_val is not None, self.validation_indices is not None
        if has_samples and has_rows:
            raise ValueError(f"X_val and {INDICES} both say which samples to validate on; give one of them")
        if has_samples != (self.y_val is not None):
            given, lacking = ("X_val", "y_val") if has_samples else ("y_val", "X_val")
            raise ValueError(f"{given} was given without {lacking}; give both, or none")
        if self.sample_weight_val is not None and not has_samples:
            raise ValueError(
                "sample_weight_val was given without X_val; rows of X that are held out have their weights in sample_weight"
            )
        if self.groups is None:
            return
        if has_samples or has_rows:
            other = "X_val" if has_samples else INDICES
            raise ValueError(
                f"{GROUPS} says which rows of X are held out together, but {other} says which samples to validate on; give one "
                "of them"
            )
        if not early_stopping:
            raise ValueError(
                f"{GROUPS} says which rows of X are held out together, but early_stopping=False holds none out; use "
                f"early_stopping=True, or leave out {GROUPS}"
            )

    def check_stream(self, early_stopping: bool) -> None:
        """Raise a ValueError for what needs samples that a stream does not keep."""
        self.check(early_stopping)
        for name in (INDICES, GROUPS):
            if getattr(self, name) is not None:
                raise ValueError(f"{name} is about rows of X, which are not in memory with a stream; give X_val and y_val")
        if early_stopping and self.X_val is None:
            raise ValueError(
                "early_stopping holds samples out, which are not in memory with a stream; give other samples as X_val and "
                "y_val, or use early_stopping=False, with n_iter_no_change to stop by the training loss"
            )


class Parts(NamedTuple):
    """The samples to train on, and where they and those to validate on are in X."""

    X: Any
    y: Array
    weights: Floats | None
    rows: Rows | slice
    held_out: Rows | None


def parted(
    estimator: "TrainedEstimator",
    asked: Asked,
    X: Any,
    y: Array,
    weights: Floats | None,
    random_state: np.random.RandomState,
) -> Parts:
    """Part checked samples into those to train on and those to validate on; nothing dense is copied."""
    chosen = _held_out_rows(estimator, asked, y, random_state)
    if chosen is None:
        return Parts(X, y, weights, slice(None), None)
    rows, held_out = chosen
    return Parts(rows_of(X, rows), y[rows], None if weights is None else weights[rows], rows, held_out)


def _held_out_rows(
    estimator: "TrainedEstimator", asked: Asked, y: Array, random_state: np.random.RandomState
) -> tuple[Rows, Rows] | None:
    """Give the rows to train on and those that are held out; None if none are."""
    if asked.validation_indices is not None:
        held_out = _row_numbers(asked.validation_indices, len(y))
        return np.setdiff1d(np.arange(len(y)), held_out), held_out
    if asked.X_val is not None or not estimator.early_stopping:
        return None
    share = validation.in_range(estimator.validation_fraction, "validation_fraction", 0, 1)
    if asked.groups is not None:
        return _by_groups(asked.groups, len(y), share, random_state)
    return estimator._drawn_to_hold_out(y, share, random_state)


def _row_numbers(given: ArrayLike, n_samples: int) -> Rows:
    """Check row numbers, or a mask of rows."""
    try:
        array = np.asarray(validation.unmasked(given, INDICES))
    except ValueError as error:
        raise ValueError(f"{INDICES} must hold row numbers, or True or False for each row: {error}") from error
    if array.ndim != 1:
        raise ValueError(f"{INDICES} must have 1 dimension, got shape {array.shape}; give row numbers, or a mask of rows")
    if array.dtype.kind == "b":
        if len(array) != n_samples:
            raise ValueError(f"{INDICES} is a mask of {len(array)} rows, but X has {n_samples}; give True or False for each")
        rows = np.flatnonzero(array)
    elif array.dtype.kind in "iu" or not array.size:
        outside = array[(array < 0) | (array >= n_samples)]
        if len(outside):
            raise ValueError(f"{INDICES} has row {outside[0]}, but the rows of X are 0 to {n_samples - 1}")
        rows = array.astype(np.intp)
        numbers, counts = np.unique(rows, return_counts=True)
        if len(numbers) < len(rows):
            raise ValueError(f"{INDICES} has row {numbers[counts > 1][0]} more than once; give each row once")
    else:
        raise TypeError(f"{INDICES} must hold row numbers, or True or False for each row, got dtype {array.dtype}")
    if not len(rows):
        raise ValueError(f"{INDICES} has no rows; give some, or leave it out to validate on none")
    if len(rows) == n_samples:
        raise ValueError(f"{INDICES} has all {n_samples} rows of X, which leaves none to train on; leave some out")
    return rows


def _by_groups(groups: ArrayLike, n_samples: int, share: float, random_state: np.random.RandomState) -> tuple[Rows, Rows]:
    """Hold out whole groups, as scikit-learn's GroupShuffleSplit draws them."""
    labels = np.asarray(validation.unmasked(groups, GROUPS))
    if labels.shape != (n_samples,):
        raise ValueError(f"{GROUPS} has shape {labels.shape}, but X has {n_samples} rows; give the group of each row")
    if any(label is None or label != label for label in labels.tolist()):
        raise ValueError(f"{GROUPS} has missing values; give the group of each row")
    splitter = GroupShuffleSplit(1, test_size=share, random_state=random_state)
    try:
        rows, held_out = next(splitter.split(np.empty(n_samples), groups=labels))
    except ValueError as error:
        raise ValueError(
            f"{GROUPS} has {len(np.unique(labels))} group(s), of which early_stopping cannot hold out "
            f"validation_fraction={share}: {error}"
        ) from error
    return rows, held_out


def held_out_at_random(y: Array, share: float, random_state: np.random.RandomState, has_classes: bool) -> tuple[Rows, Rows]:
    """Draw at least two rows to hold out, of each class in proportion; give the rows to train on, and these."""
    if has_classes:
        validation.no_missing_labels(y)
        check_classification_targets(y)
    n_held_out, n_classes = round(share * len(y)), len(np.unique(y)) if has_classes else 1
    if n_held_out < max(2, n_classes) or len(y) - n_held_out < n_classes:
        few = "held out to score" if n_held_out < max(2, n_classes) else "left to train on"
        raise ValueError(
            f"early_stopping holds out validation_fraction={share} of {len(y)} samples, {n_held_out}: too few are {few}"
            f"{f' {n_classes} classes' if has_classes else ''}; use more samples, another fraction, or early_stopping=False"
        )
    return split_at_random(y, n_held_out, random_state, stratify=has_classes)


def rows_of(X: Any, rows: Rows) -> Any:
    """Give some rows of checked samples, of a dense array without a copy."""
    if isinstance(X, (list, tuple)):
        return [X[row] for row in rows.tolist()]
    if not isinstance(X, np.ndarray):
        return X[rows]
    return X[rows[0] : rows[-1] + 1] if (np.diff(rows) == 1).all() else as_source(X)[rows]


def parted_entries(parts: Parts | None, others: Samples | None) -> dict[str, Any]:
    """Say for the model card on how many samples training was validated: rows of X that were held out, or others."""
    if others is None:
        return {}
    is_beside = parts is None or parts.held_out is None
    return {"validation samples" if is_beside else "held out": len(others.y)}


def _shown_rows(given: Any, X: Any, rows: Rows) -> Any:
    """Give some rows of samples as the user gave them, for a function of the user; `X` is what can be indexed by rows."""
    if hasattr(given, "iloc"):
        return given.iloc[rows]
    return X[rows] if isinstance(X, np.ndarray) else rows_of(X, rows)


# ----------------------------------------------------------------------------------------------------------------------
# once targets and scales are known


def samples_to_validate(
    estimator: "TrainedEstimator",
    asked: Asked,
    given: Any,
    X: Any,
    y: Array,
    weights: Floats | None,
    targets: Array,
    parts: Parts,
) -> Samples | None:
    """Give the samples to validate on, with their targets as the network takes them; None if there are none.

    Parameters
    ----------
    estimator : TrainedEstimator
        Estimator that is being fitted, whose classes and scale of targets are known.
    asked : Asked
        What `fit` was told about validation.
    given, X : ndarray, DataFrame, sparse matrix, list, Source or Gram
        All samples of `fit`, as they were given and as they have been checked.
    y, weights, targets : ndarray
        Their raw targets, their weights, and their targets as the network takes them.
    parts : Parts
        How they are parted.
    """
    factors = _class_factors(estimator, parts.y, targets[parts.rows])
    rows = parts.held_out
    if asked.X_val is not None:
        return samples_beside(estimator, asked, factors, targets.shape[1:])
    if rows is None:
        return None
    held_out = targets[rows]
    if estimator._loss.has_classes and (asked.validation_indices is not None or asked.groups is not None):
        _refuse_untrained(estimator, INDICES if asked.groups is None else GROUPS, targets[parts.rows], held_out)
    own = None if weights is None else weights[rows]
    if own is not None:
        validation.sample_weights(own, "sample_weight of the samples that are held out")
    shown = partial(_shown_rows, given, X, rows)
    return Samples(
        rows_of(X, rows), shown, estimator._as_given(y[rows]), held_out, own, _times(own, factors, held_out), is_checked=True
    )


def samples_beside(
    estimator: "TrainedEstimator", asked: Asked, class_factors: Floats | None, shape: tuple[int, ...]
) -> Samples:
    """Check targets and weights of samples that are given beside X; the samples themselves are checked by the network.

    `shape` is that of the targets of a sample, as the network takes them.
    """
    X, given = validation.unmasked(asked.X_val, "X_val"), gathered(asked.y_val, "y_val")
    with named("X_val"):
        source_in(X)  # it refuses arrays of dask whose number of samples is unknown
        n_samples = _num_samples(X)
        _refuse_other_width(estimator, X)
    with named("y_val"):
        if _num_samples(given) != n_samples:
            raise ValueError(f"it has {_num_samples(given)} targets, but X_val has {n_samples} samples; give one for each")
        y = estimator._checked_targets(X, given, reset=False)
        y = column_or_1d(y, warn=True) if estimator._loss.has_classes else y
        targets = estimator._encode_known_targets(y)
        if targets.shape[1:] != shape:
            raise ValueError(f"it has {targets.shape[1:]} outputs, but y has {shape}; give the same")
    weights = None
    if asked.sample_weight_val is not None:
        weights = validation.finite_array(gathered(asked.sample_weight_val, "sample_weight_val"), "sample_weight_val", 1)
        if len(weights) != n_samples:
            raise ValueError(
                f"sample_weight_val has {len(weights)} weights, but X_val has {n_samples} samples; give one for each"
            )
        validation.sample_weights(weights, "sample_weight_val")
    return Samples(
        X, lambda: X, estimator._as_given(y), targets, weights, _times(weights, class_factors, targets), is_checked=False
    )


def watched(estimator: "TrainedEstimator", samples: Samples | None) -> Validated | None:
    """Give what scores the network after each epoch, once the network is there; None without samples."""
    if samples is None:
        return None
    network = estimator.network_
    if samples.is_checked:
        X = estimator._prepared_new(samples.X)
        return Validated(estimator, samples, network.watched(X, estimator.memory_limit))
    with named("X_val"):
        X = estimator._validate_new(samples.X)
        outputs = network.watched(X, estimator.memory_limit)
    return Validated(estimator, samples, outputs)


@contextmanager
def named(name: str) -> Iterator[None]:
    """Say which argument an error is about."""
    try:
        yield
    except (ValueError, TypeError) as error:
        kind = ValueError if isinstance(error, ValueError) else TypeError
        raise kind(f"{name}: {error}") from error


def _refuse_other_width(estimator: "TrainedEstimator", X: Any) -> None:
    """Refuse samples of another width before anything is computed; the network checks everything else."""
    shape: Any = getattr(X, "shape", ())
    n_features = estimator.n_features_in_
    if not isinstance(X, Gram) and len(shape) == 2 and shape[1] != n_features:
        raise ValueError(f"it has {shape[1]} features, but X has {n_features}; give the same features")


def _refuse_untrained(estimator: "TrainedEstimator", name: str, trained: Rows, held_out: Rows) -> None:
    lacking = np.setdiff1d(held_out, trained)
    if len(lacking):
        classes = estimator.classes_
        raise ValueError(
            f"{name} hold out all samples of the classes {classes[lacking].tolist()}; leave some of each class to train on"
        )


def _class_factors(estimator: "TrainedEstimator", y: Array, targets: Array) -> Floats | None:
    """Give the weight of each class, by those of the training samples; None if there are none."""
    factors = estimator._class_weights(y)
    if factors is None or targets.ndim != 1:
        return None
    by_class = np.ones(len(estimator.classes_))
    by_class[targets] = factors
    return by_class


def _times(weights: Floats | None, class_factors: Floats | None, targets: Array) -> Floats | None:
    if class_factors is None:
        return weights
    factors = class_factors[targets]
    return factors if weights is None else weights * factors
