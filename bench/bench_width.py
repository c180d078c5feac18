"""The closed form against the width: x = (1, 1), y = 1, eta = 0.1, weights U(-1, 1) sqrt(2 / h)

Reproduce: pytest bench/bench_width.py
The weights shrink with the width h so that all widths train alike; h = 2 is the paper's network. The time per iteration of the
closed form is the difference of two runs that differ only in the number of iterations, after all deaths. The sorting and the
sums over the units are reported separately. The time of backpropagation is that of a run divided by its iterations.
Target: the closed form's iteration costs the same within 20 % from 2 to 1,000,000 units.
"""

from copy import deepcopy

import numpy as np

from bench.measure import Run, duration, interleaved, times, verdict
from fcfast.paper.experiments import default_problem
from fcfast.paper.techniques import Backprop, ClosedForm

WIDTHS = (2, 16, 256, 4096, 65_536, 1_000_000)
SHORT, LONG = 10_000, 5_010_000  # iterations; deaths end within the first few hundred
UPDATES = 5_000_000  # hidden units times iterations of a backpropagation run


def networks(h):
    """Give one network of h hidden units in both forms."""
    problem = default_problem("closed_form", "simultaneous", 0.1)
    rng = np.random.default_rng(1)
    scale = (2 / h) ** 0.5
    W1, w2 = rng.uniform(-scale, scale, (1, h, 2)), rng.uniform(-scale, scale, (1, 1, h))
    return Backprop(problem, W1, w2), ClosedForm(problem, W1, w2)


def backprop_iterations(h):
    return min(SHORT, max(10, UPDATES // h))


def training(network, n_iter, outputs):
    """Train a fresh copy each time; the copy is not timed."""
    diverged_at = np.empty(1, dtype=np.intp)
    return Run(lambda copy: copy.run(outputs[:, :n_iter], diverged_at, 1), 1, lambda: (deepcopy(network),))


def outputs_after(network, n_iter):
    outputs = np.empty((1, n_iter, 1))
    network.run(outputs, np.empty(1, dtype=np.intp), 1)
    return outputs


def bench_width(compare, benchmark, tell):
    """One iteration of a network of any width: two scalars, against a pass over all units."""
    outputs = np.zeros((1, LONG, 1))
    runs, one_off = {}, {}
    for h in WIDTHS:
        reference, collapsed = networks(h)
        n_iter = backprop_iterations(h)
        both = deepcopy(reference), deepcopy(collapsed)
        np.testing.assert_allclose(*(outputs_after(network, n_iter) for network in both), rtol=0, atol=1e-12)
        assert collapsed.n_living[0] > 0
        runs[h, "long"] = training(collapsed, LONG, outputs)
        runs[h, "short"] = training(collapsed, SHORT, outputs)
        runs[h, "backprop"] = training(reference, n_iter, outputs)
        runs[h, "start"] = training(collapsed, 1, outputs)
        one_off[h] = Run(lambda net=reference: ClosedForm(net.problem, net.initial_W1, net.w2))
    seconds = compare(runs)
    sorting = interleaved(one_off, rounds=3)
    closed = {h: (seconds[h, "long"] - seconds[h, "short"]) / (LONG - SHORT) for h in WIDTHS}
    backprop = {h: seconds[h, "backprop"] / backprop_iterations(h) for h in WIDTHS}
    benchmark.extra_info |= {
        "seconds_per_unit": {f"{h} units, {name}": value for (h, name), value in seconds.items()},
        "closed_form": closed, "backprop": backprop, "ratio": {h: backprop[h] / closed[h] for h in WIDTHS},
    }  # fmt: skip
    for h in WIDTHS:
        tell(f"{h:,} units: closed form {duration(closed[h])}, backpropagation {duration(backprop[h])} an iteration: "
             f"{times(backprop[h] / closed[h])} as fast; once, {duration(sorting[h] + seconds[h, 'start'])} "
             f"for sorting and sums")  # fmt: skip
    spread = max(closed.values()) / min(closed.values()) - 1
    tell(f"the closed form's slowest width is {spread:.0%} slower than its fastest (target 20 %: {verdict(spread <= 0.2)})")
