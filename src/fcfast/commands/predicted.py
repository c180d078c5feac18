"""Predictions as the columns of a table, and as text."""

import csv
import io
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fcfast.datafiles.columns import index_of

if TYPE_CHECKING:
    from fcfast.commands.data import Array
    from fcfast.datafiles import Table


def prediction_columns(
    estimator: Any, X: Any, numbers: "Array", proba: bool, ids: list[str] | None = None
) -> tuple[dict[str, list[Any]], "Array"]:
    """Predict, and give the columns of the table and the predictions; samples without names have numbers."""
    import numpy as np

    from fcfast.commands.data import has_labels, predictions

    columns: dict[str, list[Any]] = {"sample": numbers.tolist() if ids is None else ids}
    predicted = predictions(estimator, X, np.arange(len(numbers)), "predict_proba" if proba else "predict")
    if not proba:
        columns |= dict(zip(_names(estimator), predicted.reshape(len(numbers), -1).T.tolist(), strict=True))
        return columns, predicted
    probabilities = predicted
    if has_labels(estimator):
        predicted, names = (probabilities > 0.5).astype(np.int64), _of_targets(estimator, probabilities.shape[1])
    else:
        predicted, names = estimator.classes_[probabilities.argmax(axis=1)], estimator.classes_
    columns |= dict(zip(_names(estimator), predicted.reshape(len(numbers), -1).T.tolist(), strict=True))
    return columns | {f"P({name})": p for name, p in zip(names, probabilities.T.tolist(), strict=True)}, predicted


def _of_targets(estimator: Any, n_targets: int) -> list[Any]:
    """Give the names of several targets or labels, or their numbers."""
    return list(range(n_targets)) if estimator.target_names_ is None else list(estimator.target_names_)


def _names(estimator: Any) -> list[str]:
    """Give the names of the columns with predictions."""
    from fcfast.commands.data import known_targets

    if known_targets(estimator).dtype.names is not None:
        return ["risk"]
    return [f"prediction_{name}" for name in output_names(estimator)] or ["prediction"]


def output_names(estimator: Any) -> list[str]:
    """Give a name for each output, of its target or label, of its level where there are several, or of both.

    Classes, of which a sample has one, and a single number have none.
    """
    from fcfast.commands.data import known_targets

    known = known_targets(estimator)
    targets = list(map(str, _of_targets(estimator, known.shape[1]))) if known.ndim == 2 else []
    if hasattr(estimator, "classes_") or not estimator.network_.loss.lists_predictions:
        return targets
    levels = [f"{level:g}" for level in estimator.network_.loss.parameters]
    return list(map("_".join, product(targets, levels))) if targets else levels


def with_target(estimator: Any, names: list[str]) -> list[str]:
    """Give the names of the outputs of a single target with its name, which the model card has, before each level."""
    from fcfast.commands.data import known_targets

    known, targets = known_targets(estimator), model_targets(estimator)
    if hasattr(estimator, "classes_") or known.dtype.names is not None or known.ndim == 2 or not targets:
        return []
    return [f"{targets[0]}_{name}" for name in names] or targets


def model_targets(estimator: Any) -> list[str]:
    """Give the names of the columns that a model was trained to predict, as far as it knows them: indices are no names."""
    if getattr(estimator, "target_names_", None) is not None:
        return list(map(str, estimator.target_names_))
    about = (getattr(estimator, "card_", None) or {}).get("data")
    named = about.get("target") if isinstance(about, dict) else None  # a file may have any values there
    names = [named] if isinstance(named, str) else named if isinstance(named, list) else []
    return [] if any(index_of(name) is not None or str(name).endswith(".npy") for name in names) else list(map(str, names))


def other_targets(estimator: Any, table: "Table") -> list[str]:
    """Warn that predictions are scored with columns of other names than the model was trained to predict."""
    if table.y is not None and table.y.ndim == 2 and table.target_names is not None:
        scored = ", ".join(map(repr, sorted(table.target_names)))
    else:
        scored = table.target_name
    trained = ", ".join(map(repr, sorted(model_targets(estimator))))
    if not trained or scored == trained or not scored.startswith(("'", '"')):  # a file, or a column without a name
        return []
    return [f"warning: the model was trained to predict {trained}, but its predictions are scored with {scored}"]


def delimiter_of(out: Path) -> str:
    """Give the delimiter of a file to write, by its ending."""
    return "\t" if out.suffix.lower() == ".tsv" else ","


def csv_text(columns: dict[str, list[Any]], delimiter: str = ",", heads: bool = True) -> str:
    """Format a table as CSV, with or without its names of columns."""
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter, lineterminator="\n")
    if heads:
        writer.writerow(columns)
    writer.writerows(zip(*columns.values(), strict=True))
    return text.getvalue()
