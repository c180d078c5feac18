"""Scores of predictions, as numbers for JSON and as tables."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from rich.console import RenderableType
from sklearn.metrics import precision_recall_fscore_support

from fcfast.commands.shared import number, plain_table
from fcfast.commands.survival import scores_of_risk

if TYPE_CHECKING:
    from fcfast.losses import Loss

MAX_ROWS = 20  # in the table of classes or outputs
HEADINGS = {"r2": "R²", "d2": "D²", "rmse": "RMSE", "mae": "MAE"}

Array = NDArray[Any]


def scores(
    truth: Array, predicted: Array, classification: bool, loss: "Loss | None" = None, names: Sequence[str] | None = None
) -> dict[str, Any]:
    """Score predictions; undefined scores, such as the precision of a class that is never predicted, are None.

    A regression is scored by its loss, by default the squared error. `names` are those of several targets or labels. Missing
    values in several columns are left out.
    """
    if not classification:
        return _of_outputs(truth, predicted, loss, names)
    return _of_classes(truth, predicted) if truth.ndim == 1 else _of_labels(truth, predicted, names)


def scores_of(estimator: Any, truth: Array, predicted: Array) -> dict[str, Any]:
    """Score predictions of a fitted estimator, a regression by its loss."""
    if truth.dtype.names is not None:
        return scores_of_risk(truth, predicted)
    is_classifier = hasattr(estimator, "classes_")
    names = getattr(estimator, "target_names_", None)
    return scores(truth, predicted, is_classifier, None if is_classifier else estimator.network_.loss, names)


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


def _of_labels(truth: Array, predicted: Array, names: Sequence[str] | None) -> dict[str, Any]:
    known = ~np.isnan(truth.astype(np.float64))
    is_right = truth == predicted
    rows = []
    for j, name in enumerate(range(truth.shape[1]) if names is None else names):
        there = known[:, j]
        precision, recall, _, _ = precision_recall_fscore_support(
            truth[there, j].astype(int), predicted[there, j].astype(int), zero_division=np.nan, average="binary"
        ) if there.any() else (np.nan, np.nan, None, None)  # fmt: skip
        rows.append(
            {"label": name, "precision": _defined(precision), "recall": _defined(recall),
             "support": int(truth[there, j].sum()), "accuracy": _defined(is_right[there, j].mean() if there.any() else np.nan)}
        )  # fmt: skip
    has_any = known.any(axis=1)
    all_right = (is_right | ~known).all(axis=1)[has_any]
    return {
        "subset_accuracy": _defined(all_right.mean() if has_any.any() else np.nan),
        "label_accuracy": _defined(is_right[known].mean() if known.any() else np.nan),
        "labels": rows,
    }


def _of_outputs(truth: Array, predicted: Array, loss: "Loss | None", names: Sequence[str] | None) -> dict[str, Any]:
    from fcfast.losses import SquaredError

    loss = loss or SquaredError()
    truth = truth.reshape(len(truth), -1).astype(np.float64)
    predicted = predicted.reshape(*truth.shape, -1)
    rows: list[dict[str, Any]] = []
    for j, column in enumerate(truth.T):
        there = ~np.isnan(column)
        for row in loss.measures(column[there], predicted[there, j]):
            rows.append({"output": j if names is None else names[j], **{name: _defined(value) for name, value in row.items()}})
    share = loss.share_name
    defined = [row[share] for row in rows if row[share] is not None]
    return {share: float(np.mean(defined)) if defined else None, "outputs": rows}


def _defined(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def lines(result: dict[str, Any]) -> Iterator[RenderableType]:
    """Yield the overall scores, then a table of the classes or outputs (of the worst ones if there are many)."""
    if "classes" in result:
        yield f"accuracy {result['accuracy']:.3f}, balanced accuracy {result['balanced_accuracy']:.3f}"
        yield from _table(result["classes"], ("class", "precision", "recall", "support"), "recall")
        return
    if "concordance" in result:
        yield f"concordance {_three(result['concordance'])} ({result['events']} events of {result['samples']} samples)"
        return
    if "labels" in result:
        shares = (_three(result[name]) for name in ("label_accuracy", "subset_accuracy"))
        yield "accuracy of the labels {}, all labels of a sample right {}".format(*shares)
        yield from _table(result["labels"], ("label", "precision", "recall", "support", "accuracy"), "recall")
        return
    share = next(iter(result))
    if len(result["outputs"]) > 1:
        yield f"{HEADINGS[share]} {number(result[share])} (mean of the outputs)"
        yield from _table(result["outputs"], tuple(result["outputs"][0]), share)
        return
    output = {name: value for name, value in result["outputs"][0].items() if name != "output"}
    yield ", ".join(f"{HEADINGS.get(name, name)} {number(value)}" for name, value in output.items())


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
