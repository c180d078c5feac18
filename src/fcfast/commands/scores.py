"""Scores of predictions, as numbers for JSON and as tables."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import RenderableType
from sklearn.metrics import precision_recall_fscore_support, r2_score

from fcfast.commands.shared import number, plain_table

MAX_ROWS = 20  # in the table of classes or outputs
HEADINGS = {"r2": "R²", "rmse": "RMSE", "mae": "MAE"}

Array = NDArray[Any]


def scores(truth: Array, predicted: Array, classification: bool) -> dict[str, Any]:
    """Score predictions; undefined scores, such as the precision of a class that is never predicted, are None."""
    return _of_classes(truth, predicted) if classification else _of_outputs(truth, predicted)


def _of_classes(truth: Array, predicted: Array) -> dict[str, Any]:
    classes = np.unique(np.concatenate([truth, predicted]))
    precision, recall, _, support = precision_recall_fscore_support(
        truth, predicted, labels=classes, zero_division=np.nan, average=None
    )
    rows = [
        {"class": label, "precision": _defined(p), "recall": _defined(r), "support": int(n)}
        for label, p, r, n in zip(classes.tolist(), precision, recall, support, strict=True)
    ]
    balanced = float(recall[support > 0].mean())
    return {"accuracy": float(np.mean(truth == predicted)), "balanced_accuracy": balanced, "classes": rows}


def _of_outputs(truth: Array, predicted: Array) -> dict[str, Any]:
    truth, errors = truth.reshape(len(truth), -1), (predicted - truth).reshape(len(truth), -1)
    enough = len(truth) > 1  # enough samples for a variance
    r2 = r2_score(truth, truth + errors, multioutput="raw_values") if enough else np.full(truth.shape[1], np.nan)
    rows = [
        {"output": j, "r2": _defined(r2[j]), "rmse": float(np.sqrt(np.mean(error**2))), "mae": float(np.mean(np.abs(error)))}
        for j, error in enumerate(errors.T)
    ]
    return {"r2": _defined(np.mean(r2)), "outputs": rows}


def _defined(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def lines(result: dict[str, Any]) -> Iterator[RenderableType]:
    """Yield the overall scores, then a table of the classes or outputs (of the worst ones if there are many)."""
    if "classes" in result:
        yield f"accuracy {result['accuracy']:.3f}, balanced accuracy {result['balanced_accuracy']:.3f}"
        yield from _table(result["classes"], ("class", "precision", "recall", "support"), "recall")
        return
    if len(result["outputs"]) > 1:
        yield f"R² {number(result['r2'])} (mean of the outputs)"
        yield from _table(result["outputs"], ("output", "r2", "rmse", "mae"), "r2")
        return
    output = result["outputs"][0]
    yield f"R² {number(output['r2'])}, RMSE {number(output['rmse'])}, MAE {number(output['mae'])}"


def _table(rows: list[dict[str, Any]], columns: tuple[str, ...], by: str) -> Iterator[RenderableType]:
    shown = rows
    if len(rows) > MAX_ROWS:
        shown = sorted(rows, key=lambda row: np.inf if row[by] is None else row[by])[:MAX_ROWS]
    table = plain_table(None, *(HEADINGS.get(name, name) for name in columns))
    for row in shown:
        numbers = (str(row[name]) if name == "support" else _three(row[name]) for name in columns[1:])
        table.add_row(str(row[columns[0]]), *numbers)
    yield table
    if len(rows) > MAX_ROWS:
        yield f"the {MAX_ROWS} of {len(rows)} with the lowest {by}; --json gives all"


def _three(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}" if abs(value) < 100 else number(value)
