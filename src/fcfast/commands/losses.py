"""The options of a regression's loss, and the settings that depend on the task."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from fcfast.commands.options import AUTO, TARGETS, in_targets
from fcfast.commands.shared import choice
from fcfast.commands.survival import TASK as SURVIVAL
from fcfast.sources.standardized import SCALE

if TYPE_CHECKING:
    from fcfast.losses import Loss

NAMES = ("squared_error", "poisson", "huber", "quantile")  # those whose targets are numbers of any kind

LossName = Annotated[
    str | None,
    choice(
        NAMES,
        "Loss of a regression: poisson for counts, huber for targets with outliers, quantile for medians and other quantiles "
        "(--levels).",
        rich_help_panel=TARGETS,
        show_default="squared_error",
    ),
]
Levels = Annotated[
    str | None,
    in_targets(help="Levels of the quantiles that --loss quantile predicts, such as 0.1,0.5,0.9.", show_default="0.5"),
]
Delta = Annotated[
    float | None,
    in_targets(
        help="Error above which --loss huber is linear, in deviations of the target if it is scaled.", show_default="0.2"
    ),
]


def asked_loss(name: str | None, levels: str | None, delta: float | None, task: str) -> "str | Loss | None":
    """Give the loss that was asked for, by name if it has no parameters; it makes the task a regression."""
    if name is not None and task == "classification":
        raise ValueError(f"--loss {name} is for regression; leave out --task classification")
    for option, value, of in (("--levels", levels, "quantile"), ("--delta", delta, "huber")):
        if value is not None and name != of:
            raise ValueError(f"{option} {value} belongs to --loss {of}; give both, or leave it out")
    from fcfast.losses import Huber, Quantile

    try:
        if levels is not None:
            listed = _numbers(levels)
            return Quantile(listed if "," in levels else listed[0])
        return name if delta is None else Huber(delta)
    except ValueError as error:  # which begins with the name of the parameter
        raise ValueError(f"--{error}") from error


def settings_for(task: str, settings: dict[str, Any], loss: "str | Loss | None", label_smoothing: float) -> dict[str, Any]:
    """Complete the settings that all estimators have by those of the estimator for a task.

    Targets are scaled as features are, where the loss allows it.
    """
    from fcfast.losses import make_loss

    if task == SURVIVAL:
        return settings
    if task == "classification":
        return settings | {"label_smoothing": label_smoothing}
    if label_smoothing != 0:
        raise ValueError(f"--label-smoothing {label_smoothing:g} is for classes, but the task is regression")
    scales = True if settings["standardize"] == SCALE else settings["standardize"]
    if loss is None:
        return settings | {"standardize_targets": scales}
    return settings | {"loss": loss, "standardize_targets": scales if make_loss(loss).may_scale_targets else AUTO}


def _numbers(text: str) -> list[float]:
    """Read "0.1,0.5,0.9"."""
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise typer.BadParameter(
            f"{text!r} is not a list of levels; write 0.5, or 0.1,0.9 for several", param_hint="--levels"
        ) from None
