"""Training and test samples from a table: the kind of task, the rows to hold out, the columns that a model needs."""

from collections import Counter
from collections.abc import Collection, Sequence
from contextlib import AbstractContextManager
from copy import copy
from dataclasses import dataclass, replace
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn import config_context

from fcfast.commands import survival
from fcfast.commands.shared import listed, tell_user
from fcfast.datafiles import Table, from_array, refuse_missing
from fcfast.losses.cox import SURVIVAL
from fcfast.scaling import Scale, Scaling, by_blocks, measure, take
from fcfast.sources import SelectedFeatures, Source, Standardized, as_source
from fcfast.sources.mapped import is_mapped
from fcfast.sources.standardized import SCALE
from fcfast.splitting import split_at_random, split_each_class

MAX_GUESSED_CLASSES = 30  # integers with more distinct values than this are treated as a quantity
DEFAULT_TEST_SHARE = 0.2

Array = NDArray[Any]
Rows = NDArray[np.intp]


@dataclass(frozen=True)
class Samples:
    """A subset of the rows of a table, without a copy."""

    X: Any
    y: Array
    rows: Rows

    def targets(self) -> Array:
        """Return the targets of these rows."""
        return self.y[self.rows]


def with_targets(table: Table, path: Path) -> Table:
    """Leave out samples without a target, where a file may have them, and tell the user."""
    if table.known is not None:
        n_unknown = int(np.sum(~table.known))
        tell_user(
            f"{path}: {n_unknown:,} of {len(table.known):,} samples have no value in {table.target_name}; they are left out"
        )
    return table.labelled()


def with_targets_in_order(table: Table, names: Sequence[str] | None) -> Table:
    """Put several targets into the order of these names, in which they were trained on, if the table has the same ones."""
    if names is None or table.y is None or table.y.ndim != 2 or sorted(table.target_names or ()) != sorted(names):
        return table
    given = list(table.target_names or ())
    return replace(table, y=table.y[:, [given.index(name) for name in names]], target_names=list(names))


def task_of(table: Table, path: Path, asked: str) -> tuple[Array, str, str]:
    """Return the targets, the task (classification, regression or survival), and the reason for this choice."""
    if asked == survival.TASK:
        return survival.survival_of(table, path), asked, "as asked"
    if table.y is None:
        raise ValueError(f"{path}: no target; name it with --target (.npy: the .npy file that holds it)")
    y = table.y[:, 0] if table.y.ndim == 2 and table.y.shape[1] == 1 else table.y
    if y.dtype.kind == "f" and (y == np.floor(y)).all() and (np.abs(y) < 2**53).all():
        y = y.astype(np.int64)  # predict class 1 as 1, not as 1.0
    task, reason = (asked, "as asked") if asked != "auto" else _guess(y, table.target_names is not None)
    if task == "regression":
        if y.dtype.kind == "U":
            raise ValueError(
                f"{path}: the target is text ({str(y[0])!r}), which a regression cannot predict; truth values are "
                "numbers with --target-type numbers"
            )
        return y.astype(np.float64), task, reason
    if y.ndim == 2:
        if not are_labels(y):
            raise ValueError(
                f"{path}: the target has {y.shape[1]} columns; --task classification needs one, or labels that are 0 and 1"
            )
        return y, task, reason
    if y.dtype.kind == "f":
        raise ValueError(f"{path}: the target has fractions ({y[y != np.floor(y)][0]:g}), no classes; use --task regression")
    if table.target_names is not None:
        y = np.array(table.target_names)[y]
    return y, task, reason


def are_labels(y: Array) -> bool:
    """Tell whether several columns hold labels that a sample has or has not, some of which may be missing."""
    return bool((np.isin(y, (0, 1)) | (y != y)).all())


def has_labels(estimator: Any) -> bool:
    """Tell whether a fitted estimator predicts several labels of a sample."""
    return bool(getattr(estimator, "_is_multilabel", False))


def known_targets(estimator: Any) -> Array:
    """Give targets of the kind that a fitted estimator predicts: all classes, or none of the right shape."""
    classes: Array | None = getattr(estimator, "classes_", None)
    if hasattr(estimator, "predict_survival_function"):
        return np.zeros(0, SURVIVAL)
    if classes is None:
        n_targets = int(estimator.network_.widths[-1]) // estimator.network_.loss.per_target
        return np.zeros((0,) if estimator._y_ndim == 1 else (0, n_targets))
    if has_labels(estimator):
        return np.zeros((0, len(classes)), np.int64)
    return classes.astype(str) if classes.dtype.kind == "b" else classes


def _guess(y: Array, has_names: bool) -> tuple[str, str]:
    if y.ndim == 2:
        if are_labels(y) and set(np.unique(y[y == y])) == {0, 1}:
            return "classification", f"the target has {y.shape[1]} columns of 0 and 1"
        return "regression", f"the target has {y.shape[1]} columns"
    if y.dtype.kind == "U":
        return "classification", "the target is text"
    if has_names:
        return "classification", "the file names the classes"
    if y.dtype.kind == "f":
        return "regression", "the target has fractions"
    n_values = len(np.unique(y))
    few = n_values <= min(MAX_GUESSED_CLASSES, max(2, len(y) // 2))
    return "classification" if few else "regression", f"the target has {n_values} distinct whole numbers"


def type_of_targets(known: Array) -> str:
    """Choose how `read_table` reads targets to compare with these: if classes are text, 1 and "1" are the same class."""
    return "numbers" if known.dtype.kind in "iufV" else "labels"  # V: times and events


def targets_like(known: Array, table: Table, path: Path, task: str, names: Sequence[str] | None = None) -> Array:
    """Return the targets of another table, which must be comparable: the same number of outputs, and text if `known` is text.

    `known` holds known targets, and all classes if they are text. `names` are those of several targets, for advice.
    """
    if known.dtype == SURVIVAL:
        return survival.survival_of(table, path)
    if table.y is not None and table.target_names is None:
        as_known = type_of_targets(known) if known.dtype.kind == "U" else "auto"
        table = replace(table, y=from_array(path, table.y, as_known))
    y, _, _ = task_of(table, path, task)
    if y.dtype.kind == known.dtype.kind == "U":
        y = _spelt_like(known, y)
        if not np.isin(y, known).any():
            raise ValueError(
                f"the target of {path} ({listed(list(map(str, np.unique(y))))}) is not of the kind that is predicted (text): "
                f"the classes are {listed(list(map(str, np.unique(known))))}; name another one"
            )
    if y.shape[1:] != known.shape[1:] or (y.dtype.kind == "U") != (known.dtype.kind == "U"):
        advice = "name another one" if names is None else f"name all of {listed(list(map(str, names)))}, each with --target"
        raise ValueError(f"the target of {path} ({_kind(y)}) is not of the kind that is predicted ({_kind(known)}); {advice}")
    return y


def _spelt_like(known: Array, y: Array) -> Array:
    """Spell truth values like the known targets: R writes TRUE, pandas True."""
    spelt = {label.lower(): label for label in map(str, np.unique(known))}
    if set(spelt) != {"false", "true"}:
        return y
    return np.array([spelt.get(label.lower(), label) for label in y.tolist()])


def _kind(y: Array) -> str:
    return ("text" if y.dtype.kind == "U" else "numbers") + (f", {y.shape[1]} columns" if y.ndim == 2 else "")


def split(y: Array, n_train: int | None, share: float | None, stratify: bool, seed: int) -> tuple[Rows, Rows, str]:
    """Split the rows into training and test rows, as the file says unless a share is given; return the method too."""
    rows = np.arange(len(y))
    if share is None and n_train is not None:
        return rows[:n_train], rows[n_train:], "in the file's own test part"
    share = DEFAULT_TEST_SHARE if share is None else share
    n_test = ceil(share * len(y))
    if n_test == 0:
        return rows, rows[:0], "no test set"
    if n_test >= len(y):
        raise ValueError(f"--test {share:g} of {len(y)} sample(s) leaves none to train on; use less, or --test 0")
    parts = split_each_class(y, n_test, seed) if stratify else None
    if parts is not None:
        return *parts, "drawn at random, each class in proportion"
    train, test = split_at_random(y, n_test, seed)
    return np.sort(train), np.sort(test), "drawn at random"


def is_standardized(train: Samples, standardize: bool | str | None) -> bool | str:
    """Say how features are scaled; by default dense ones are."""
    return not _is_sparse(train.X) if standardize is None else standardize


def _is_sparse(X: Any) -> bool:
    return bool(X.is_sparse) if isinstance(X, Source) else bool(sparse.issparse(X))


def measured_targets(train: Samples, task: str) -> Scale | None:
    """Measure mean and scale of the targets of a regression."""
    if task == "classification":
        return None
    y = train.targets()
    return measure(y.reshape(len(y), -1), np.arange(len(y)), "the target")


def measured(train: Samples, task: str, standardize: bool | str | None) -> Scaling:
    """Measure mean and scale of training samples, in a regression also of targets. By default dense samples are scaled."""
    if not is_standardized(train, standardize):
        return Scaling(None, None)
    inputs = measure(train.X, train.rows, "the features")
    if standardize == SCALE:
        inputs = Scale(np.zeros_like(inputs.mean), inputs.scale)
    return Scaling(inputs, measured_targets(train, task))


def training_rows(train: Samples) -> Any:
    """Give the features of the training rows. Dense rows are not copied; they are selected while they are read."""
    follow = bool((np.diff(train.rows) == 1).all())
    return take(train.X, train.rows) if follow or sparse.issparse(train.X) else as_source(train.X)[train.rows]


def seen_in_training(X: Any, standardized: bool | str, missing: str) -> Any:
    """Give features as the network sees them; they are scaled and filled in while they are read."""
    return Standardized(as_source(X), standardized, missing) if standardized or missing != "error" else X


def predictions(estimator: Any, X: Any, rows: Rows, method: str = "predict") -> Array:
    """Predict for some rows by blocks. Names of features were compared before, by `in_order`."""
    estimator = copy(estimator)
    names = X.feature_names if isinstance(X, Source) else None
    if names is not None:
        estimator.feature_names_in_ = np.array(names, dtype=object)
    elif hasattr(estimator, "feature_names_in_"):
        del estimator.feature_names_in_  # scikit-learn would warn that an array has no names
    with already_looked_at(X):
        return by_blocks(getattr(estimator, method), X, rows)


def already_looked_at(*samples: Any) -> AbstractContextManager[None]:
    """Spare scikit-learn its search for NaN and infinity: who read or scaled samples has looked, except in mapped files."""
    return config_context(assume_finite=not any(map(is_mapped, samples)))


def refuse_untrained(y: Array, rows: Rows, tested: Rows, path: Path, column: str) -> None:
    """Raise an error if the training part has a single class of several; warn of classes that only the test part has.

    `tested` are rows that are drawn for a test, which can be trained on.
    """
    trained = np.unique(y[rows])
    lacking = np.setdiff1d(y, trained)
    helps = bool(len(lacking)) and bool(np.isin(lacking, y[tested]).all())
    advice = f"use more samples{', or --test 0 to train on all' if helps else ''}{counts_advice(y, column)}"
    if len(trained) < 2:
        raise ValueError(
            f"{path}: the training part ({len(rows)} of {len(y)} samples) has a single class, {str(trained[0])!r}; "
            f"at least two are needed: {advice}"
        )
    if len(lacking):
        tell_user(f"warning: no training sample of {listed(list(map(str, lacking)))}; {advice}")


def refuse_unknown(known: Array, validated: Array, option: str, column: str) -> None:
    """Raise an error if samples to validate on have classes that no training sample has."""
    unknown = np.setdiff1d(validated, known)
    if len(unknown):
        raise ValueError(
            f"{option}: the target {column} is {listed(list(map(str, unknown)))} in samples to validate on, but in no training "
            f"sample; validate on others{counts_advice(known, column)}"
        )


def counts_advice(y: Array, column: str) -> str:
    """Give advice about a target that was taken for classes, if it may be a number."""
    if y.dtype.kind != "i" or len(np.unique(y)) < 3:
        return ""
    return f". If {column} is a number and no class, use --task regression, or --loss poisson for counts"


def refuse_repeated(names: Sequence[str], path: Path, wanted: Collection[str] | None = None) -> None:
    """Raise a ValueError if several columns have the same wanted name (by default any name)."""
    repeated = [name for name, count in Counter(names).items() if count > 1 and (wanted is None or name in wanted)]
    if repeated:
        raise ValueError(
            f"{path} has several columns of the same name: {listed(repeated)}; rename them, or leave out all but one"
        )


def in_order(table: Table, names: Sequence[str] | None, n_features: int, path: Path) -> tuple[Any, list[str]]:
    """Return the features in the model's order, by name if both have names, and the names of columns that are left out.

    Raises
    ------
    ValueError
        If features are missing, if a name occurs twice, or if the number of features differs from the model's.
    """
    if names is not None and table.feature_names is not None:
        refuse_repeated(table.feature_names, path, set(names))
        if list(names) == table.feature_names:
            return table.X, []
        refuse_missing(path, names, table.feature_names)
        place = {name: j for j, name in enumerate(table.feature_names)}
        wanted, places = set(names), [place[name] for name in names]
        X = SelectedFeatures(table.X, places) if isinstance(table.X, Source) else table.X[:, places]
        return X, [name for name in table.feature_names if name not in wanted]
    if table.X.shape[1] != n_features:
        hint = "; if one of its columns is the target, name it with --target" if table.X.shape[1] == n_features + 1 else ""
        raise ValueError(f"{path} has {table.X.shape[1]} features, but the model was trained on {n_features}{hint}")
    return table.X, []
