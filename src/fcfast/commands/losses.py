"""The options of a regression's loss."""

from typing import TYPE_CHECKING, Annotated

import typer

from fcfast.commands.options import in_training
from fcfast.commands.shared import choice

if TYPE_CHECKING:
    from fcfast.losses import Loss

NAMES = ("squared_error", "poisson", "huber", "quantile")  # those whose targets are numbers of any kind

LossName = Annotated[
    str | None,
    choice(
        NAMES,
        "Loss of a regression: poisson for counts, huber for targets with outliers, quantile for medians and other quantiles "
        "(--levels).",
        rich_help_panel="Training",
        show_default="squared_error",
    ),
]
Levels = Annotated[
    str | None,
    in_training(help="Levels of the quantiles that --loss quantile predicts, such as 0.1,0.5,0.9.", show_default="0.5"),
]
Delta = Annotated[
    float | None,
    in_training(
        help="Error above which --loss huber is linear, in deviations of the target if it is scaled.", show_default="1"
    ),
]


def asked_loss(name: str | None, levels: str | None, delta: float | None, task: str) -> "Loss | None":
    """Give the loss that was asked for, None for the usual one; it makes the task a regression."""
    if name is not None and task == "classification":
        raise ValueError(f"--loss {name} is for regression; leave out --task classification")
    for option, value, of in (("--levels", levels, "quantile"), ("--delta", delta, "huber")):
        if value is not None and name != of:
            raise ValueError(f"{option} {value} belongs to --loss {of}; give both, or leave it out")
    if name is None:
        return None
    from fcfast.losses import Huber, Quantile, make_loss

    try:
        if levels is not None:
            listed = _numbers(levels)
            return Quantile(listed if "," in levels else listed[0])
        return make_loss(name) if delta is None else Huber(delta)
    except ValueError as error:  # which begins with the name of the parameter
        raise ValueError(f"--{error}") from error


def _numbers(text: str) -> list[float]:
    """Read "0.1,0.5,0.9"."""
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise typer.BadParameter(
            f"{text!r} is not a list of levels; write 0.5, or 0.1,0.9 for several", param_hint="--levels"
        ) from None
