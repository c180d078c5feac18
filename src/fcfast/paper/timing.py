"""Time of an iteration against the width of the network, a measurement of the paper's O(1)."""

from dataclasses import dataclass
from statistics import median
from time import perf_counter

import numpy as np

from fcfast.paper.experiments import ONE_INPUT_DATA
from fcfast.paper.techniques import Backprop, ClosedForm, Technique
from fcfast.paper.two_layer import make_problem


@dataclass(frozen=True)
class WidthCost:
    """Seconds per iteration of one network on one input, for each number of hidden units."""

    hidden: tuple[int, ...]
    closed_form: tuple[float, ...]
    backprop: tuple[float, ...]


def width_cost(hidden: tuple[int, ...] = (2, 32, 1024, 32768, 1_000_000), seed: int = 0) -> WidthCost:
    """Time an iteration of the closed form and of backpropagation, on one thread.

    The time is the difference of a long and a short run. All units that die do so in the short run, so the difference has no
    cost of deaths. The two runs are interleaved, and the median of several differences is taken. This needs the compiled
    kernels, because the pure-Python twin of the closed form checks every unit for death.
    """
    return WidthCost(
        hidden,
        tuple(_seconds_per_iteration(ClosedForm, h, 200_000, 1_000_000, seed) for h in hidden),
        tuple(_seconds_per_iteration(Backprop, h, 2, 2 + max(2, 200_000 // h), seed) for h in hidden),
    )


def _seconds_per_iteration(technique: type[Technique], hidden: int, short: int, long: int, seed: int) -> float:
    problem = make_problem(*ONE_INPUT_DATA, 0.01, "simultaneous")
    rng = np.random.default_rng(seed)
    W1 = rng.uniform(-1, 1, (1, hidden, 2)) / hidden**0.5
    w2 = rng.uniform(-1, 1, (1, 1, hidden)) / hidden**0.5
    # Units of both signs, so that the smallest network has a living unit too.
    W1[0, :2], w2[0, 0, :2] = [[0.5, 0.1], [0.2, 0.1]], [0.3, -0.2]
    outputs, diverged_at = np.zeros((1, long, 1)), np.empty(1, dtype=np.intp)

    def seconds(n_iter: int) -> float:
        network = technique(problem, W1, w2)
        start = perf_counter()
        network.run(outputs[:, :n_iter], diverged_at, 1)
        return perf_counter() - start

    return median(seconds(long) - seconds(short) for _ in range(7)) / (long - short)
