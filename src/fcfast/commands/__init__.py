"""The commands parse arguments, show progress and print; other modules do the work.

There is one module per command. Commands import slow packages (scikit-learn) only when they run, so that ``--help`` is fast.
"""

from typing import Annotated

import typer

from fcfast._version import __version__
from fcfast.commands import compare, explain, export, plan, predict, reproduce, show, train
from fcfast.commands.scaling import ScalingCommand
from fcfast.commands.shared import screen

app = typer.Typer(
    help="Train networks without updating their early layers (arXiv 2106.05569).",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def print_version(wanted: bool) -> None:
    """Print the version and exit."""
    if wanted:
        screen.print(__version__)
        raise typer.Exit


@app.callback()
def fcfast(
    version: Annotated[
        bool, typer.Option("--version", callback=print_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Train networks without updating their early layers (arXiv 2106.05569)."""


for command in (
    train.train, compare.compare, predict.predict, explain.explain, show.show, export.export, plan.plan, reproduce.reproduce,
):  # fmt: skip
    app.command(cls=ScalingCommand)(command)
