"""Findings from the measured cells: who is fastest, the cost of the choice of form, scaling exponents, shares of limits."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import log2
from typing import Any

import numpy as np

from bench.sweep.cells import CLASSES, LINES, N_EPOCHS, SPARSE, Cell
from bench.sweep.contenders import ROW_SPACE
from fcfast.front import FORMS
from fcfast.planning.machine import Machine

CHOICE_LIMIT = 0.2  # a chosen form may be so much slower than the fastest one


@dataclass(frozen=True)
class Result:
    """A measured cell."""

    cell: Cell
    found: Mapping[str, Any]

    @property
    def chosen(self) -> str:
        """The form that ``form="auto"`` takes."""
        return str(self.found["chosen"])

    @property
    def forms(self) -> dict[str, str]:
        """Names of the contenders that are forms of ours, by form."""
        return {form: f"fcfast, {form}" for form in FORMS if f"fcfast, {form}" in self.found["seconds"]}

    @property
    def ours(self) -> str:
        """Name of the form that is chosen."""
        return self.forms[self.chosen]

    def step(self, name: str) -> float:
        """Seconds of a step."""
        return float(self.found["seconds"][name]["step"])

    def training(self, name: str) -> float:
        """Seconds of a whole training, from the data to a network that predicts."""
        return float(self.found["seconds"][name]["once"] + N_EPOCHS * self.cell.n_steps * self.step(name))

    def predicted(self, form: str) -> float:
        """Seconds of a whole training, as `fcfast.plan` says."""
        cost = self.found["predicted"][form]
        return float(cost["once"] + N_EPOCHS * cost["epoch"])

    def peer(self, seconds: str = "step") -> str | None:
        """The fastest of PyTorch's ways with the data as they are, by steps or by whole trainings; None where none fits."""
        names = [name for name in self.found["seconds"] if name.startswith("PyTorch") and name != ROW_SPACE]
        return min(names, key=getattr(self, seconds), default=None)

    @property
    def loss(self) -> float:
        """How much slower the choice is than the fastest form, over a whole training."""
        return self.training(self.ours) / min(map(self.training, self.forms.values())) - 1

    @property
    def fastest(self) -> str:
        """The fastest form."""
        return min(self.forms, key=lambda form: self.training(self.forms[form]))


def results_of(cells: Mapping[str, Mapping[str, Any]]) -> dict[Cell, Result]:
    """Read what was kept."""
    read = (Result(Cell(**found["cell"]), found) for found in cells.values())
    return {result.cell: result for result in read}


def slower(results: Iterable[Result]) -> list[Result]:
    """Cells where a step or a whole training of the chosen form takes longer than PyTorch's."""
    return [
        result
        for result in results
        if any((peer := result.peer(kind)) and getattr(result, kind)(result.ours) > getattr(result, kind)(peer)
               for kind in ("step", "training"))
    ]  # fmt: skip


def share_within_factor_2(results: Iterable[Result]) -> tuple[float, int]:
    """Share of the predictions of whole trainings that are within a factor 2 of what was measured, and their number."""
    ratios = [r.predicted(form) / r.training(name) for r in results for form, name in r.forms.items()]
    return float(np.mean([abs(log2(ratio)) <= 1 for ratio in ratios])), len(ratios)


# ----------------------------------------------------------------------------------------------------------------------
# exponents

SIZES = {
    "features": "d", "samples": "n", "batch size": "batch", "hidden units": "h", "samples, one at a time": "n",
    "sparse features": "d", "sparse samples": "n", "sparse samples, momentum": "n", "density": "density",
}  # fmt: skip
ALL_LINES = LINES | SPARSE


def curve(line: str, name: str, results: Mapping[Cell, Result]) -> tuple[list[float], list[float]]:
    """Sizes along a line, and seconds of a step of a contender there ("auto": of the chosen form)."""
    sizes, seconds = [], []
    for cell in ALL_LINES[line]:
        result = results.get(cell)
        contender = result.ours if result and name == "auto" else name
        if result and contender in result.found["seconds"]:
            sizes.append(float(getattr(cell, SIZES[line])))
            seconds.append(result.step(contender))
    return sizes, seconds


def exponent(sizes: list[float], seconds: list[float]) -> float | None:
    """Return the scaling exponent of seconds, the slope of a line through logarithms; None with fewer than 3 points."""
    return float(np.polyfit(np.log(sizes), np.log(seconds), 1)[0]) if len(sizes) >= 3 else None


# ----------------------------------------------------------------------------------------------------------------------
# what the machine can do


def work(cell: Cell, form: str) -> tuple[float, float, float]:
    """Return the necessary operations and bytes of a step in a form, and the size of the arrays that it updates.

    The products are those for the pre-activations of the front layer (with momentum also for its velocity if a window has
    several steps), for the update, and for the layer above. The bytes are samples or rows of the Gram matrix, and the stored
    arrays once per window.
    """
    N, d, B, h = cell.n, cell.d, cell.batch, cell.h
    columns = N if form == "contributions" else d
    K = B if form == "weights" else min(N, FORMS[form].choose_window("auto", B, N, bool(cell.momentum)))
    copies = 2 if cell.momentum else 1
    steps = max(1, K // B)
    factors = copies if steps > 1 else 1
    operations = 2.0 * B * columns * h * factors + 6.0 * B * h * CLASSES
    held = columns * h * 4
    if form == "contributions":
        n_bytes = B * columns * 4 + (4 * held / steps if cell.momentum else 2 * B * h * 4)
    else:
        operations += 2.0 * B * columns * h * (copies if steps > 1 else 1)
        operations += 2.0 * K * columns * B if steps > 1 else 0
        n_bytes = 2 * B * columns * 4 + 2 * copies * held / steps
    return operations, n_bytes, copies * held


def share_of_machine(result: Result, form: str, machine: Machine) -> tuple[float, float]:
    """Share of the rate of a large product on all threads, and of the bandwidth of what is held, that a step reaches."""
    operations, n_bytes, held = work(result.cell, form)
    seconds = result.step(f"fcfast, {form}")
    rate = machine.inner["float32"][-1] * machine.speedup
    return operations / rate / seconds, machine.passes(n_bytes, held) / seconds
