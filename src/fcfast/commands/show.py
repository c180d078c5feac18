"""``fcfast show``: the model card of a model file."""

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from fcfast.commands.shared import clear_errors, json_text, print_data, screen
from fcfast.modelfile.cards import ModelCard, printable
from fcfast.modelfile.format import card


def show(
    model: Annotated[Path, typer.Argument(help="Model file, from fcfast train or an estimator's save().")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, with nothing else on stdout.")] = False,
) -> None:
    """Print what the network in a model file was trained on, how, and how well it did; its weights are not read."""
    with clear_errors():
        held = card(model)
    if as_json:
        print_data(json_text({"file": model.name, **held}) + "\n")
    elif screen.is_terminal:
        for table in tables(held, model.name):
            screen.print(table)
    else:
        print_data(f"{printable(model.name)}: {held}\n")


def tables(held: ModelCard, name: str) -> list[Table]:
    """Give a table for each section, the first one with what belongs to none."""
    by_section: dict[str, Table] = {}
    for section, entry, value in held.lines():
        if section not in by_section:
            title = section or f"{printable(name)}: {printable(held.get('estimator', ''))}"
            by_section[section] = Table(title=title, title_justify="left", show_header=False, box=None, padding=(0, 2, 0, 0))
        if section or entry != "estimator":
            by_section[section].add_row(entry, value)
    return list(by_section.values())
