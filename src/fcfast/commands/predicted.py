"""Predictions as the columns of a table, and as text."""

import csv
import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fcfast.commands.data import Array


def prediction_columns(
    estimator: Any, X: Any, numbers: "Array", proba: bool, ids: list[str] | None = None
) -> tuple[dict[str, list[Any]], "Array"]:
    """Predict, and give the columns of the table and the predictions; samples without names have numbers."""
    import numpy as np

    from fcfast.commands.data import predictions

    columns: dict[str, list[Any]] = {"sample": numbers.tolist() if ids is None else ids}
    predicted = predictions(estimator, X, np.arange(len(numbers)), "predict_proba" if proba else "predict")
    if proba:
        probabilities = predicted
        predicted = estimator.classes_[probabilities.argmax(axis=1)]
        columns["prediction"] = predicted.tolist()
        columns |= {f"P({label})": p for label, p in zip(estimator.classes_, probabilities.T.tolist(), strict=True)}
    else:
        names = ["prediction"] if predicted.ndim == 1 else [f"prediction_{j}" for j in range(predicted.shape[1])]
        columns |= dict(zip(names, predicted.reshape(len(numbers), -1).T.tolist(), strict=True))
    return columns, predicted


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
