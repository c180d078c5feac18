"""FrontLinear against nn.Linear: a training step in PyTorch's own loop, h = 256, momentum 0.9, float32, one thread

Reproduce: python -m bench.torch_layer [--quick], which writes docs/performance/torch.md and torch.json
The network is Linear-ReLU-Linear(10) with cross-entropy; every way starts with the same weights and gets the same batches.
Losses are compared first. Then all ways take turns, so that load on the machine hits all alike; medians of processor time.
Targets: at most 1.1 times nn.Linear on N features; 25 times as fast as nn.Linear on 20,000 features, 150 times on 100,000 (full
batch); the compiled step 1.6 times as fast as the eager one.
"""

import json
import sys
import time
from collections.abc import Callable
from copy import deepcopy
from datetime import date
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from torch import nn

from bench.measure import Run, duration, interleaved_rounds, markdown, verdict
from bench.report import facts, made_with
from fcfast.files import write_text
from fcfast.torch import FrontLinear, Rows, compiled_step

N, HIDDEN, CLASSES, RATE, MOMENTUM = 100, 256, 10, 0.01, 0.9
BATCHES = N, 32
FEATURES = {20_000: 25, 100_000: 150}  # with the target for full batches
PAGE = Path(__file__).parents[1] / "docs" / "performance" / "torch.md"
ROUNDS, STEPS, COMPARED = 15, 100, 8


def stepper(network: nn.Module, inputs: Callable[[Any], Any], y: Any, batches: list[Any]) -> Callable[[int], list[float]]:
    """Give a function that makes steps in PyTorch's own loop and gives their losses."""
    optimizer = torch.optim.SGD(network.parameters(), RATE, MOMENTUM)

    def steps(n_steps: int) -> list[float]:
        losses = []
        for i in range(n_steps):
            rows = batches[i % len(batches)]
            loss = nn.functional.cross_entropy(network(inputs(rows)), y[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss)
        return [loss.item() for loss in losses]

    return steps


def compiled_stepper(network: nn.Module, y: Any, batches: list[Any]) -> Callable[[int], list[float]]:
    """Give the same function for the compiled step."""
    optimizer = torch.optim.SGD(network.parameters(), RATE, MOMENTUM)
    step = compiled_step(network, nn.functional.cross_entropy, optimizer)

    def steps(n_steps: int) -> list[float]:
        losses = []
        for i in range(n_steps):
            rows = batches[i % len(batches)]
            losses.append(step(rows, y[rows]))
        return [loss.item() for loss in losses]

    return steps


def measured(d: int, batch: int, rounds: int) -> dict[str, float]:
    """Give the seconds of a step of each way, after comparing their losses."""
    rng = np.random.default_rng(0)
    X = torch.tensor(rng.normal(size=(N, d)).astype("f4")) / d**0.5
    y = torch.tensor(rng.integers(0, CLASSES, N))
    orders = [rng.permutation(N)[:batch] for _ in range(16)]
    batches = [torch.arange(N)] if batch == N else [torch.tensor(order) for order in orders]
    torch.manual_seed(0)
    start = time.process_time()
    front = FrontLinear(Rows(X, n_jobs=1), HIDDEN)
    once = time.process_time() - start
    above = [nn.ReLU(), nn.Linear(HIDDEN, CLASSES)]
    L, narrow = torch.tensor(rng.normal(size=(N, N)).astype("f4")), nn.Linear(N, HIDDEN)
    ways = {
        "nn.Linear": stepper(nn.Sequential(front.expand(), *deepcopy(above)), lambda rows: X[rows], y, batches),
        "compiled": compiled_stepper(nn.Sequential(deepcopy(front), *deepcopy(above)), y, batches),
        "FrontLinear": stepper(nn.Sequential(deepcopy(front), *deepcopy(above)), lambda rows: rows, y, batches),
    }
    losses = [steps(COMPARED) for steps in ways.values()]
    for others in losses[1:]:
        np.testing.assert_allclose(others, losses[0], rtol=1e-4)
    ways["nn.Linear on N features"] = stepper(nn.Sequential(narrow, *deepcopy(above)), lambda rows: L[rows], y, batches)
    n_steps = {name: 2 if name == "nn.Linear" else STEPS for name in ways}
    runs = {name: Run(partial(steps, n_steps[name]), n_steps[name]) for name, steps in ways.items()}
    seconds = interleaved_rounds(runs, rounds, time.process_time)
    return {name: median(values) for name, values in seconds.items()} | {"once": once}


WAYS = "nn.Linear", "nn.Linear on N features", "FrontLinear", "compiled", "once"
HEAD = ["case", *WAYS, "nn.Linear / FrontLinear", "FrontLinear / compiled"]


def checks(seconds: dict[str, float], target: int | None) -> list[tuple[str, float, bool]]:
    """Give what was aimed at, what was measured, and whether it was met."""
    front = seconds["FrontLinear"]
    over, gain, compiled = front / seconds["nn.Linear on N features"], seconds["nn.Linear"] / front, front / seconds["compiled"]
    found = [
        ("a step of FrontLinear takes at most 1.1 times one of nn.Linear on N features", over, over <= 1.1),
        ("the compiled step is 1.6 times as fast as the eager one", compiled, compiled >= 1.6),
    ]
    return found if target is None else [*found, (f"FrontLinear is {target} times as fast as nn.Linear", gain, gain >= target)]


def main(quick: bool) -> None:
    """Measure all cases and write the page."""
    torch.set_num_threads(1)
    rows, lines, cases = [HEAD], [], []
    for d, target in FEATURES.items():
        for batch in BATCHES:
            name = f"d = {d:,}, {'full batch' if batch == N else f'B = {batch}'}"
            seconds = measured(d, batch, 5 if quick else ROUNDS)
            cases.append({"features": d, "batch": batch, "seconds": seconds})
            front = seconds["FrontLinear"]
            ratios = f"{seconds['nn.Linear'] / front:.0f}", f"{front / seconds['compiled']:.2f}"
            rows.append([name, *(duration(seconds[way]) for way in WAYS), *ratios])
            for text, value, met in checks(seconds, target if batch == N else None):
                lines.append(f"- {name}: {text}: {value:.3g} ({verdict(met)})")
                print(lines[-1], flush=True)
    print(markdown(rows))
    if not quick:
        about = facts()
        found = {"about": about, "date": str(date.today()), "cases": cases}
        write_text(PAGE.with_suffix(".json"), json.dumps(found, indent=1) + "\n")
        write_text(PAGE, page(rows, lines, made_with(about, [found["date"]])))


def page(rows: list[list[str]], lines: list[str], made: str) -> str:
    """Write the page."""
    targets = "\n".join(lines)
    return f"""# FrontLinear against nn.Linear

A training step in PyTorch's own loop: Linear, ReLU, Linear(10), cross-entropy, {N} samples, {HIDDEN} units, SGD with momentum
{MOMENTUM}, float32, one thread. All ways start with the same weights and get the same batches, and their losses are compared
first. They then take turns; the table has medians of processor time. "nn.Linear on N features" is another, smaller network,
which shows what a step costs without wide inputs. The compiled step is `fcfast.torch.compiled_step`, with inductor.

{markdown(rows)}

Targets, which were set before:

{targets}

"Once" is what is done before the first step: the products of the samples, their coordinates, and the products with the initial
weights, which are drawn block by block. These weights take most of it; `init="span"` needs none.

## On a GPU

Nothing was measured on a GPU, because there was none. `python -m bench.torch_gpu` compares the two layers at 10^5 to 10^7
features on the device that it finds, and prints a table.

Measured {made} Reproduce: `python -m bench.torch_layer`
"""


if __name__ == "__main__":
    main("--quick" in sys.argv)
