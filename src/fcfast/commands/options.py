"""Options that several commands have, by the panels of their help."""

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from fcfast.activations import ACTIVATIONS
from fcfast.commands.shared import choice
from fcfast.optimizers import OPTIMIZERS, SCHEDULES

FORMS = ("auto", "contributions", "windowed", "weights")
TASKS = ("auto", "classification", "regression")
PANELS = DATA, NETWORK, TRAINING, OUTPUT = "Data", "Network", "Training", "Output"

in_data, in_network, in_training, in_output = (partial(typer.Option, rich_help_panel=panel) for panel in PANELS)

DataFile = Annotated[Path, typer.Argument(help="CSV, TSV, Parquet, NPZ, NPY or svmlight file; - is standard input.")]
Jobs = Annotated[int | None, typer.Option(min=1, help="Threads; all available by default.")]

Target = Annotated[
    str | None,
    in_data(
        help="Column to predict: its name, or index from 0 (-1 is the last). For .npz the name of an array (default y), for "
        ".npy another .npy file."
    ),
]
Task = Annotated[str, choice(TASKS, "What the target is; auto looks at it and says what it took.", rich_help_panel=DATA)]
Ids = Annotated[
    str | None,
    in_data("--id", help="Column (array of an .npz) that names the samples, and is no feature; '': the one without a name."),
]
TestFile = Annotated[Path | None, in_data(help="Test on this file instead.")]
TestTarget = Annotated[str | None, in_data(help="Target of the test file, if not --target.")]
Header = Annotated[bool | None, in_data(help="Whether text begins with the names of its columns.", show_default="looked for")]
Delimiter = Annotated[
    str | None, in_data(help="Cell separator of text: a character, tab, or space (any white space).", show_default="looked for")
]
Comment = Annotated[
    str | None,
    in_data(help="Lines of text that begin with it are left out; '': none.", show_default="# and ! where they cannot be rows"),
]
Missing = Annotated[
    str | None,
    in_data(
        help="Words for a missing value, separated by commas; '': only an empty cell, so that NA can be a class.",
        show_default="NA, N/A, NaN, null, ?, Excel's errors",
    ),
]
Decimal = Annotated[str, in_data(help="Decimal mark of text, a point or a comma.")]
Thousands = Annotated[str | None, in_data(help="What stands between groups of three digits in text.", show_default="nothing")]
Transpose = Annotated[
    bool | None,
    in_data(help="Lines are features, columns samples; the target is a line.", show_default="only GEO series matrices"),
]
TargetType = Annotated[
    str,
    choice(
        ("auto", "labels", "numbers"),
        "Whether the target is names of classes, as written, or numbers; auto takes numbers if nothing is lost by it (01 is a "
        "name).",
        rich_help_panel=DATA,
    ),
]
FileWidth = Annotated[
    int | None,
    in_data(min=1, help="Width of an svmlight file; features beyond it are left out.", show_default="the largest seen"),
]

Hidden = Annotated[str, in_network(help="Widths of the hidden layers, such as 256,128.")]
Activation = Annotated[str, choice(ACTIVATIONS, "Of all hidden layers.", rich_help_panel=NETWORK)]
InitScale = Annotated[
    float | None,
    in_network(help="Factor of the random initial weights.", show_default="0.1 for more features than samples, else 1"),
]
MemoryLimit = Annotated[float, in_network(min=0, help="GiB that training may hold beside the data.")]

OptimizerName = Annotated[str, choice(tuple(OPTIMIZERS), "The update rule.", rich_help_panel=TRAINING)]
ScheduleName = Annotated[
    str, choice(tuple(SCHEDULES), "How the learning rate changes over the epochs.", rich_help_panel=TRAINING)
]
Momentum = Annotated[float, in_training(min=0, help="Below 1.")]
WeightDecay = Annotated[float, in_training(min=0, help="L2 penalty on all weights.")]
MaxGradNorm = Annotated[float | None, in_training(help="Clip longer gradients to this.")]


def widths(text: str) -> tuple[int, ...]:
    """Read "256,128"."""
    try:
        sizes = tuple(int(part) for part in text.split(","))
    except ValueError:
        sizes = (0,)
    if min(sizes) < 1:
        raise typer.BadParameter(
            f"{text!r} is no list of widths; write 256, or 256,128 for two hidden layers", param_hint="--hidden"
        )
    return sizes
