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
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from torch import nn

from bench.measure import Run, duration, interleaved_rounds, markdown, verdict
from bench.report import facts, made_with
from fcfast.torch import FrontLinear, Rows, compiled_step

N, HIDDEN, CLASSES, RATE, MOMENTUM = 100, 256, 10, 0.01, 0.9
BATCHES = N, 32
FEATURES = {20_000: 25, 100_000: 150}  # with the target for full batches
PAGE = Path(__file__).parents[1] / "docs" / "performance" / "torch.md"
ROUNDS, COMPARED = 15, 8


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
    front = FrontLinear(Rows(X), HIDDEN)
    above = [nn.ReLU(), nn.Linear(HIDDEN, CLASSES)]
    L, narrow = torch.tensor(rng.normal(size=(N, N)).astype("f4")), nn.Linear(N, HIDDEN)
    ways = {
        "nn.Linear": stepper(nn.Sequential(front.expand(), *deepcopy(above)), lambda rows: X[rows], y, batches),
        "FrontLinear": stepper(nn.Sequential(deepcopy(front), *deepcopy(above)), lambda rows: rows, y, batches),
        "compiled": compiled_stepper(nn.Sequential(deepcopy(front), *deepcopy(above)), y, batches),
    }
    losses = [steps(COMPARED) for steps in ways.values()]
    for others in losses[1:]:
        np.testing.assert_allclose(others, losses[0], rtol=1e-4)
    ways["nn.Linear on N features"] = stepper(nn.Sequential(narrow, *deepcopy(above)), lambda rows: L[rows], y, batches)
    runs = {name: Run(lambda steps=steps, n=n: steps(n), n) for name, steps in ways.items() for n in [2 if name == "nn.Linear" else 20]}
    seconds = interleaved_rounds(runs, rounds, time.process_time)
    return {name: median(values) for name, values in seconds.items()}


def main(quick: bool) -> None:
    """Measure all cases and write the page."""
    torch.set_num_threads(1)
    rows = [["N = 100", "nn.Linear", "nn.Linear on 100 features", "FrontLinear", "compiled step", "FrontLinear is faster", "compiled over eager"]]
    cases, lines = [], []
    for d, target in FEATURES.items():
        for batch in BATCHES:
            seconds = measured(d, batch, 5 if quick else ROUNDS)
            full, narrow, front, compiled = (
                seconds[name] for name in ("nn.Linear", "nn.Linear on N features", "FrontLinear", "compiled")
            )
            cases.append({"features": d, "batch": batch, "seconds": seconds})
            name = f"d = {d:,}, {'full batch' if batch == N else f'B = {batch}'}"
            numbers = *(duration(value) for value in (full, narrow, front, compiled)), f"{full / front:.0f} times", f"{front / compiled:.2f} times"
            rows.append([name, *numbers])
            checks = [("at most 1.1 times nn.Linear on N features", front / narrow, front / narrow <= 1.1)]
            if batch == N:
                checks.append((f"{target} times as fast as nn.Linear", full / front, full / front >= target))
            checks.append(("compiled step 1.6 times as fast", front / compiled, front / compiled >= 1.6))
            for text, value, met in checks:
                line = f"{name}: {text}: {value:.2f} ({verdict(met)})"
                lines.append(line)
                print(line, flush=True)
    print(markdown(rows))
    if quick:
        return
    PAGE.with_suffix(".json").write_text(json.dumps({"machine": facts(), "date": str(date.today()), "cases": cases}, indent=1) + "\n")
    PAGE.write_text(page(rows, lines), encoding="utf-8")


def page(rows: list[list[str]], lines: list[str]) -> str:
    """Write the page."""
    return ""


if __name__ == "__main__":
    main("--quick" in sys.argv)
