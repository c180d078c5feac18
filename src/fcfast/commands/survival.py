"""Survival analysis on the command line: the columns of times and events, scores, and the columns of predictions."""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fcfast.commands.options import in_targets

if TYPE_CHECKING:
    from fcfast.commands.data import Array
    from fcfast.datafiles import Table

TASK = "survival"

Time = Annotated[
    str | None,
    in_targets("--time", metavar="COLUMN", help="Column of times of a survival analysis, in place of --target; needs --event."),
]
Event = Annotated[
    str | None,
    in_targets(
        "--event",
        metavar="COLUMN",
        help="Column that says what --time is: 1 or true, when an event came; 0 or false, until when none had come.",
    ),
]
AskedTimes = Annotated[
    str | None,
    typer.Option(
        "--times",
        metavar="NUMBERS",
        help="Times such as 365,730: add the probability that no event comes up to each of them, for a survival analysis.",
        show_default=False,
    ),
]


def asked_columns(time: str | None, event: str | None, target: object) -> list[str] | None:
    """Give the columns of times and of events; None if survival analysis was not asked for."""
    if time is None and event is None:
        return None
    if time is None or event is None:
        given, lacking = ("--time", "--event") if event is None else ("--event", "--time")
        raise ValueError(f"{given} was given without {lacking}; a survival analysis needs both")
    if target:
        raise ValueError(f"--time {time} and --event {event} are the target of a survival analysis; leave out --target")
    return [time, event]


def refuse_other_options(task: str, label_smoothing: float, loss: str | None, text: object, blocks: bool, data: Path) -> None:
    """Refuse options that a survival analysis has no use for."""
    if task != "auto":
        raise ValueError(f"--time and --event ask for a survival analysis; leave out --task {task}")
    if label_smoothing != 0:
        raise ValueError(f"--label-smoothing {label_smoothing:g} is for classes, and no survival analysis has any")
    if loss is not None:
        raise ValueError(f"--loss {loss} is for numbers; a survival analysis has Cox's partial likelihood")
    if text:
        raise ValueError("--text makes features of texts, which a survival analysis on the command line does not take")
    if blocks:
        raise ValueError(f"{data} is read in blocks, but events are compared with all samples; leave out --block-rows")


def survival_of(table: "Table", path: Path) -> "Array":
    """Give the structured targets of a table whose targets are times and events.

    Raises
    ------
    ValueError
        If times or events are missing, if an event is neither 0 nor 1, or if a time is negative.
    """
    import numpy as np

    from fcfast.losses.cox import SURVIVAL
    from fcfast.survival import survival_targets

    if table.y is None or table.y.ndim != 2 or table.y.shape[1] != 2:
        raise ValueError(f"{path} has no times and events; name their columns with --time and --event")
    time, event = table.y.astype(np.float64).T
    n_missing = int((np.isnan(time) | np.isnan(event)).sum())
    if n_missing:
        raise ValueError(f"{path}: {n_missing} sample(s) have no time or no event; leave those rows out")
    other = event[(event != 0) & (event != 1)]
    if len(other):
        raise ValueError(
            f"{path}: the column of --event holds {other[0]:g}; write 1 or true for an event, and 0 or false for none"
        )
    y = np.empty(len(time), SURVIVAL)
    y["time"], y["event"] = time, event == 1
    return survival_targets(y, f"{path}, its column of --time,")


def strata_of(y: "Array") -> "Array":
    """Give what a split keeps in proportion: the events of a survival analysis, or the targets themselves."""
    return y if y.dtype.names is None else y["event"]


def scores_of_risk(truth: "Array", risk: "Array") -> dict[str, Any]:
    """Score risks; the concordance of samples without comparable pairs is None."""
    from fcfast.survival import comparable_weight, concordance_index

    concordance = concordance_index(truth, risk) if comparable_weight(truth) else None
    return {"concordance": concordance, "events": int(truth["event"].sum()), "samples": len(truth)}


def columns_at(estimator: Any, risk: "Array", times: str | None, model: Path) -> dict[str, list[Any]]:
    """Give a column for each of the times that were asked for: the probability that no event has come up to then."""
    if times is None:
        return {}
    if not hasattr(estimator, "predict_survival_function"):
        raise ValueError(f"--times {times} needs a survival analysis, but {model} holds a {type(estimator).__name__}")
    functions = estimator._baseline.survival_functions(risk)
    asked = _numbers(times)
    last = min((function.domain[1] for function in functions), default=math.inf)
    wrong = [time for time in asked if not 0 <= time <= last]
    if wrong:
        raise ValueError(f"--times {times}: {wrong[0]:g} is not within 0 and {last:g}, the times of the training samples")
    return {f"S({time:g})": [float(function(time)) for function in functions] for time in asked}


def _numbers(times: str) -> list[float]:
    """Read "365,730"."""
    try:
        return [float(part) for part in times.split(",")]
    except ValueError:
        message = f"{times!r} is not a list of times; write 365, or 365,730 for several"
        raise typer.BadParameter(message, param_hint="--times") from None
