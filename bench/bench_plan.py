"""What `fcfast.plan` predicts against what training takes: every form, one thread of BLAS, float32

Reproduce: pytest bench/bench_plan.py
Cells are drawn from a grid over samples, features, batch size, hidden units and momentum; FCFAST_BENCH_CELLS is their number.
The benchmark times an epoch of each form, on a part of the rows if all would take long, and the work before the first step.
Targets: predictions within a factor 2; over 100 epochs, on 95 % of cells, a choice that is the fastest form or within 20 %.
"""

import os
from dataclasses import dataclass
from itertools import product
from math import log2

import numpy as np

from bench.measure import Run, duration, interleaved, verdict
from fcfast.front import FORMS
from fcfast.gram.start import RandomWeights
from fcfast.optimizers import SGD
from fcfast.planning.machine import machine
from fcfast.planning.plan import plan
from fcfast.threads import blas_threads_for
from fcfast.training.network import FrontNetwork

GRID = tuple(
    (n, d, min(batch, n), h, momentum)
    for n, d, batch, h, momentum in product(
        (30, 300, 3000), (1000, 10_000, 100_000), (1, 8, 64, 3000), (16, 256, 1024), (0.0, 0.9)
    )
    if n * d <= 3e7 and d * h <= 3e7
)
N_CELLS = int(os.environ.get("FCFAST_BENCH_CELLS", "16"))
CLASSES, N_EPOCHS, ROUNDS = 10, 100, 3
LONGEST = 0.08  # seconds that a timed part of an epoch is to last at most


@dataclass(frozen=True)
class Comparison:
    """Predicted over measured seconds, and how much slower than the fastest form the chosen one is."""

    cell: tuple
    ratios: dict[str, float]
    loss: float


def network(X, form, batch, h, momentum, window):
    """A new network in that form."""
    d = X.shape[1]
    initial = RandomWeights(h, d, 0, "relu")
    front = FORMS[form](X, initial, np.dtype(np.float32), bool(momentum))
    rng = np.random.default_rng(1)
    above = rng.uniform(-0.1, 0.1, (CLASSES, h))
    biases = [np.zeros(h), np.zeros(CLASSES)]
    return FrontNetwork(front, biases, [above], "relu", "cross_entropy", SGD(momentum=momentum), batch, window, 1)


def seconds_of(run):
    """Time a run; the fastest of some rounds, as it would be on a machine of its own."""
    return min(interleaved({"": run}, 1)[""] for _ in range(ROUNDS))


def compare_cell(cell):
    """Measure every form of a cell."""
    n, d, batch, h, momentum = cell
    predicted = plan(n, d, h, batch, N_EPOCHS, momentum=momentum, n_outputs=CLASSES)
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, d)).astype(np.float32) / np.float32(d) ** 0.5
    labels, ratios, totals = rng.integers(0, CLASSES, n).astype(np.intp), {}, {}
    for form in FORMS:
        cost = predicted.costs[form]
        trained = network(X, form, batch, h, momentum, cost.window)
        window = min(cost.window, n)
        n_rows = min(n, max(1, int(LONGEST / cost.seconds_per_epoch * n / window)) * window)
        rows = rng.permutation(n)[:n_rows].astype(np.intp)
        rates = np.full(-(-n_rows // batch), 1e-4)
        with blas_threads_for(trained.largest_product):
            measured = seconds_of(Run(lambda net=trained, r=rows, s=rates: net.train_epoch(r, s, labels, None))) * n / n_rows
        once = seconds_of(Run(lambda f=form, w=cost.window: network(X, f, batch, h, momentum, w)))
        ratios[form], ratios[f"{form}, once"] = cost.seconds_per_epoch / measured, cost.seconds_once / once
        totals[form] = once + N_EPOCHS * measured
    return Comparison(cell, ratios, totals[predicted.form] / min(totals.values()) - 1)


def cells(n_cells):
    """So many cells of the grid, always the same."""
    chosen = np.random.default_rng(0).permutation(len(GRID))[:n_cells]
    return [GRID[i] for i in sorted(chosen)]


def bench_plan(benchmark, tell):
    """Predictions on the grid, and how long a plan takes."""
    machine(remeasure=True)  # as this machine is now
    compared = [compare_cell(cell) for cell in cells(1 if benchmark.disabled else N_CELLS)]
    benchmark(plan, 1000, 20_000)
    ratios = {(c.cell, name): ratio for c in compared for name, ratio in c.ratios.items()}
    benchmark.extra_info["predicted_over_measured"] = {f"{key}": ratio for key, ratio in ratios.items()}
    epochs = {key: ratio for key, ratio in ratios.items() if "once" not in key[1]}
    for kind, of_kind in (
        ("an epoch", epochs),
        ("before the first step", {k: r for k, r in ratios.items() if k not in epochs}),
    ):
        share = np.mean([abs(log2(ratio)) <= 1 for ratio in of_kind.values()])
        (cell, name), worst = max(of_kind.items(), key=lambda item: abs(log2(item[1])))
        tell(f"{kind}: {share:.1%} of {len(of_kind)} predictions within a factor 2; worst {worst:.2f} times the measured time, "
             f"{name} of N, d, B, h, momentum = {cell}")  # fmt: skip
    good = np.mean([c.loss <= 0.2 for c in compared])
    worst_choice = max(compared, key=lambda c: c.loss)
    tell(f"choice: {good:.1%} of {len(compared)} cells the fastest form or within 20 % of it (target 95 %: "
         f"{verdict(good >= 0.95)}); worst {worst_choice.loss:.0%} slower, {worst_choice.cell}")  # fmt: skip
    if not benchmark.disabled:
        tell(f"a plan takes {duration(benchmark.stats['median'])}")
