"""The commands: they parse, show progress and print; the work is done elsewhere.

A module per command. What takes long to import (scikit-learn) they import when they run, so that ``--help`` does not.
"""

from typing import Annotated

import typer

from fcfast._version import __version__
from fcfast.commands import compare, plan, predict, reproduce, train
from fcfast.commands.shared import screen

app = typer.Typer(
    help="Train networks without updating their early layers (arXiv 2106.05569).",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def print_version(wanted: bool) -> None:
    """Print the version and leave."""
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


for command in (train.train, compare.compare, predict.predict, plan.plan, reproduce.reproduce):
    app.command()(command)
