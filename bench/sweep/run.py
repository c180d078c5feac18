"""Measurement of cells, and storage of the results."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from bench.measure import memory_is_measurable, peak_memory
from bench.sweep import contenders as who
from bench.sweep.cells import LINES, SPARSE, Cell, on_a_line
from fcfast.commands.shared import json_text
from fcfast.files import write_text

WEIGHED = {*LINES["features"], *LINES["samples"], *SPARSE["sparse features"], *SPARSE["sparse samples"]}
SMALL = {"n": 20, "d": 500, "batch": 10, "h": 8}  # what a child process warms up with


def measured(cell: Cell) -> dict[str, Any]:
    """Give the result of a cell: predicted and measured seconds, and whether all computed the same."""
    who.prepare()
    result: dict[str, Any] = {
        "cell": asdict(cell), "date": datetime.now(timezone.utc).isoformat(timespec="seconds"), "seconds": {}, "unmeasured": {},
    }  # fmt: skip
    with who.samples(cell) as (X, y):
        prediction = who.planned(cell, X)
        contenders = who.contenders(cell, X, y, prediction, on_a_line(cell))
        result["disagreement"] = who.disagreement(cell, contenders)
        who.measure(cell, contenders, result)
    result["chosen"] = prediction.form
    result["predicted"] = {
        form: {"once": cost.seconds_once, "epoch": cost.seconds_per_epoch, "bytes": cost.n_bytes, "reason": cost.reason}
        for form, cost in prediction.costs.items()
    }
    return result


def weighed(cell: Cell, name: str) -> int:
    """Peak bytes of a contender's first steps, X included, but for a memory map."""
    small = SMALL | {"density": cell.density, "momentum": cell.momentum}
    arguments = [(asdict(cell), name), (small, name)]
    return peak_memory("bench.sweep.run:train_alone", *arguments, anonymous=cell.mapped)


def train_alone(settings: dict[str, Any], name: str) -> None:
    """Train a contender for a moment in a process of its own: forms for two epochs, peers for some steps or an epoch."""
    who.prepare()
    cell = Cell(**settings)
    with who.samples(cell) as (X, y):
        if name.startswith("fcfast"):
            who.estimator(cell, name.removeprefix("fcfast, "), 2).fit(X, y)
        else:
            who.contenders(cell, X, y, who.planned(cell, X), everyone=True)[name]().round()


class Results:
    """What was measured on this machine, kept in a file after every cell; ``anew``: without what the file has."""

    def __init__(self, path: Path, machine: dict[str, Any], anew: bool = False) -> None:
        self.path = path
        self.all: dict[str, Any] = {"machine": machine, "cells": {}}
        if path.exists() and not anew:
            self.all = read(path)
            if self.all["machine"] != machine:
                raise ValueError(
                    f"{path} has the results of another machine or other versions; measure all of them anew (--fresh), or keep "
                    "yours elsewhere (--out)"
                )

    @property
    def cells(self) -> dict[str, dict[str, Any]]:
        """Results by the names of what was measured."""
        return self.all["cells"]

    def keep(self, name: str, result: dict[str, Any]) -> None:
        """Write it all."""
        self.cells[name] = result
        write_text(self.path, json_text(self.all))


def read(path: Path) -> dict[str, Any]:
    """Read what was kept."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is no file of results ({error}); remove it") from None
    if not isinstance(found, dict) or not {"machine", "cells"} <= found.keys():
        raise ValueError(f"{path} is no file of results; remove it")
    return found


def sweep(results: Results, cells: Sequence[Cell], tell: Callable[[str, int], None]) -> None:
    """Measure what is missing; memory last."""
    for number, cell in enumerate(cells):
        tell(cell.key, number)
        if cell.key not in results.cells:
            results.keep(cell.key, measured(cell))
    for number, cell in enumerate(cells):
        result = results.cells[cell.key]
        if cell in WEIGHED and memory_is_measurable() and "bytes" not in result:
            tell(f"memory, {cell.key}", number)
            names = [name for name in result["seconds"] if "pure" not in name and "compiled" not in name]
            results.keep(cell.key, result | {"bytes": {name: weighed(cell, name) for name in names}})
