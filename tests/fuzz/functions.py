"""Cases of functions of numbers and small arrays: the paper, `plan`, settings, dense networks, scaling."""

from itertools import pairwise
from typing import Any

import numpy as np
from hypothesis import strategies as st

import fcfast
from fcfast import optimizers, paper, rules
from fcfast.comparison import parse_rule, rate_grid
from fcfast.noprop import CosineNoise, LinearNoise, Steps
from fcfast.paper.techniques import TECHNIQUES
from fcfast.scaling import measure, scaled
from fcfast.threads import resolve_n_jobs

from .law import REFUSED, BrokenLaw, obey
from .values import Draw, chance, matrix, weird, wrapped

SIZES = (1, 2, 7, 100, 10**6, 10**12, 10**12 + 1, 10**30, np.int32(5), np.uint64(2**63), 0, -1)
RATES = (0.1, 0.01, 1.0, 1e-300, 1e300, np.float32(0.5), 10**20)


def or_weird(data: Draw, choices: Any, share: int = 8) -> Any:
    return weird(data) if chance(data, share) else data.draw(st.sampled_from(choices))


def plan(data: Draw) -> None:
    """Sizes of all magnitudes, and options."""
    options: dict[str, list[Any]] = {
        "hidden": [256, (256, 128), [1], (), 10**12, (10**30,)],
        "batch_size": list(SIZES), "n_epochs": list(SIZES), "n_outputs": list(SIZES),
        "dtype": ["float32", "float64"], "density": [None, 0.5, 1.0, 1e-300, 1.5],
        "memory_limit": [None, 2**32, 0, 1, 1e18, 10**30], "optimizer": list(optimizers.OPTIMIZERS),
        "momentum": [0.0, 0.9], "weight_decay": [0.0, 0.1, 1e300], "window": ["auto", 1, 100, 10**12, 10**30],
        "form": ["auto", "contributions", "windowed", "weights"], "rule": list(rules.RULES), "copies_X": [True, False],
        "n_products": [None, 1.0, 1e300],
    }  # fmt: skip
    chosen = data.draw(st.lists(st.sampled_from(sorted(options)), max_size=5, unique=True))
    keywords = {name: or_weird(data, options[name]) for name in chosen}
    sizes = or_weird(data, SIZES), or_weird(data, SIZES)
    result = obey(lambda: fcfast.plan(*sizes, **keywords), {*options, "n_samples", "n_features", "form", "rule", "inputs"})
    if result is not REFUSED:
        obey(lambda: (str(result), [(cost.seconds, cost.n_bytes) for cost in result.costs.values()]))


def small_problem(data: Draw) -> tuple[Any, Any, Any, Any]:
    """Data and a network of two layers, of shapes that fit, or nearly."""
    n, d, h, c = (data.draw(st.integers(1, 4)) for _ in range(4))
    if chance(data, 12):
        n = 0
    X = wrapped(data, matrix(data, n, d)) if not chance(data, 3) else matrix(data, 1, d)[0]
    y = wrapped(data, matrix(data, n, c) if chance(data, 2) else matrix(data, n, 1)[:, 0])
    if isinstance(X, np.ndarray) and X.ndim == 1 and chance(data, 2):
        y = 1.0
    W1 = wrapped(data, matrix(data, h, d), good=not chance(data, 6))
    w2 = wrapped(data, matrix(data, c, h) if getattr(y, "ndim", 1) == 2 else matrix(data, 1, h)[0], good=not chance(data, 6))
    return X, y, W1, w2


PAPER = {"X", "y", "W1", "w2", "eta", "n_iter", "technique", "order", "weights", "biases", "depth"}


def two_layer(data: Draw) -> None:
    """`train_backprop` and each technique, and their expansions."""
    problem = small_problem(data)
    eta, n_iter = or_weird(data, RATES), or_weird(data, (0, 1, 5, 50, 10**15, 10**30, np.int8(5)), 12)
    order = or_weird(data, ("simultaneous", "sequential"), 12)
    if chance(data, 3):
        trace = obey(lambda: paper.train_backprop(*problem, eta, n_iter, order), PAPER)
    else:
        technique = or_weird(data, sorted(TECHNIQUES), 12)
        trace = obey(lambda: paper.train_front(*problem, eta, n_iter, technique, order), PAPER)
    if trace is REFUSED:
        return
    if trace.diverged_at is None:
        obey(lambda: trace.outputs)
    elif not np.isnan(trace.outputs[trace.diverged_at :]).all() or not np.isfinite(trace.outputs[: trace.diverged_at]).all():
        raise BrokenLaw(f"diverged at {trace.diverged_at}, but the outputs are {trace.outputs}")
    obey(trace.expand)


def study(data: Draw) -> None:
    keywords = {
        name: or_weird(data, choices)
        for name, choices in {
            "n_iter": (0, 1, 20, 10**30), "technique": sorted(TECHNIQUES), "order": ("simultaneous", "sequential"),
            "eta": RATES,
            "hidden": (1, 2, 5, 10**15), "seed": (0, 1, 2**32, 10**30), "n_jobs": (None, 1, 2, -1, 10**30),
        }.items()
        if chance(data, 2)
    }  # fmt: skip
    if chance(data, 3):
        keywords["X"], keywords["y"] = small_problem(data)[:2]
    seeds = or_weird(data, (1, 2, 9, 10**15))
    result = obey(lambda: paper.study(seeds, **({"n_iter": 20} | keywords)), PAPER | {"n_seeds", "hidden", "seed", "n_jobs"})
    if result is not REFUSED:
        obey(lambda: result.finite_errors)
        if not np.isnan(result.errors[result.diverged]).all():
            raise BrokenLaw("errors of networks that diverged are numbers")


def deep(data: Draw) -> None:
    """`collapse` and `balance` of chains of layers."""
    widths = data.draw(st.lists(st.integers(1, 4), min_size=2, max_size=4))
    weights: Any = [wrapped(data, matrix(data, b, a), good=not chance(data, 10)) for a, b in pairwise(widths)]
    n = data.draw(st.integers(1, 4))
    X, y = wrapped(data, matrix(data, n, widths[0])), wrapped(data, matrix(data, n, widths[-1]))
    if chance(data, 12):
        weights = weird(data)
    eta, n_iter = or_weird(data, RATES), or_weird(data, (0, 1, 5, 10**15), 12)
    if chance(data, 2):
        depth = or_weird(data, ("all", 1, 2, 0, -1, 10**30))
        result = obey(lambda: paper.collapse(weights, X, y, eta, n_iter, depth), PAPER)
        if result is not REFUSED:
            obey(result.expand)
            if result.diverged_at is None:
                obey(lambda: result.outputs)
    else:
        biases = or_weird(data, (None, [np.zeros(width) for width in widths[1:]], []))
        result = obey(
            lambda: paper.balance(weights, X, y, eta, 2 if isinstance(n_iter, int) and n_iter > 99 else n_iter, biases), PAPER
        )
        if result is not REFUSED:
            obey(lambda: (result.measured, result.predicted))


SETTINGS: dict[Any, dict[str, tuple[Any, ...]]] = {
    optimizers.SGD: {
        "momentum": (0.0, 0.9),
        "dampening": (0.0, 0.1),
        "nesterov": (False, True),
        "weight_decay": (0.0, 1e300),
        "max_grad_norm": (None, 1e-300),
    },
    optimizers.Muon: {
        "momentum": (0.0, 0.9),
        "nesterov": (False, True),
        "n_iterations": (1, 5, 10**30),
        "weight_decay": (0.1,),
    },
    optimizers.NeuronAdam: {"beta1": (0.0, 0.9), "beta2": (0.0, 0.999), "eps": (1e-8, 1e-320), "max_grad_norm": (1.0,)},
    optimizers.AdamW: {"beta1": (0.0, 0.9), "beta2": (0.0, 0.999), "eps": (1e-8, 0), "weight_decay": (0.1,)},
    optimizers.Cosine: {"final": (0.0, 0.5, 1.0)},
    optimizers.StepDecay: {"factor": (0.1, 2.0), "every": (0.1, 1.0, 1e-9, 1e-300)},
    optimizers.WarmUp: {"fraction": (0.1, 1.0, 1e-300), "then": (optimizers.Cosine(), optimizers.Constant())},
    CosineNoise: {"s": (0.0, 0.008, 1e300)},
    LinearNoise: {"start": (7.0, 0.0), "end": (-7.0, 5.0)},
    Steps: {"alpha_bar": ([0.1, 0.9], np.array([0.0, 0.5, 1.0]), [], [0.5], [1, 0])},
    rules.LocalLoss: {"block_size": (1, 2, 10**30), "head_layer_sizes": ((), (3,), [2])},
    rules.ForwardGradient: {
        "target": ("global", "local"),
        "guess": ("gaussian", "rademacher", "local", "ntk"),
        "space": ("activation", "weight", "avg-weight"),
        "normalize": ("auto", True, False),
        "scalar": ("auto",),
        "n_tangents": (1, 3),
        "groups": (1, 2),
        "block_size": (1, 2),
        "head_layer_sizes": ((), (2,)),
    },
}


def settings(data: Draw) -> None:
    """Optimisers, schedules, rules: right and wrong settings."""
    kind = data.draw(st.sampled_from(list(SETTINGS)))
    choices = SETTINGS[kind]
    given = {name: or_weird(data, values, 4) for name, values in choices.items() if kind is Steps or chance(data, 2)}
    made = obey(lambda: kind(**given), {*choices, "rule", kind.__name__})
    if made is REFUSED:
        return
    obey(lambda: repr(made))
    if hasattr(made, "factors") and getattr(made, "factor", 0) <= 1:
        steps = np.arange(data.draw(st.integers(0, 5)))
        obey(lambda: made.factors(steps, data.draw(st.sampled_from((1, 5, 10**6)))))
    if hasattr(made, "snr_derivative"):
        obey(lambda: (made.alpha_bar([0.0, 0.3, 1.0]), made.snr_derivative(0.5)))


def scales(data: Draw) -> None:
    """Mean and scale of columns, taken away."""
    X = matrix(data, data.draw(st.integers(1, 6)), data.draw(st.integers(1, 6)))
    rows = np.arange(len(X))
    by = obey(lambda: measure(X, rows), {"X"})
    if by is not REFUSED and np.isfinite(X).all():
        obey(lambda: (by.mean, by.scale, scaled(X, rows, by, np.float64)), {"X"})


def words(data: Draw) -> None:
    """Small functions that read words and numbers."""
    obey(lambda: resolve_n_jobs(or_weird(data, (None, 1, -1, 10**30, -(10**30)), 2)), {"n_jobs"})
    obey(lambda: rules.make_rule(or_weird(data, sorted(rules.RULES), 2)), {"rule"})
    text = data.draw(
        st.sampled_from(
            (
                "fg-a",
                "forward-gradient(n_tangents=2)",
                "noprop-dt",
                "x(",
                "fg-a(1)",
                "forward-gradient(n_tangents=__import__('os'))",
                "",
                "()",
            )
        )
    )
    obey(lambda: parse_rule(text), {"rule", "rules"} | set(text.replace("(", " ").split()))
    obey(lambda: rate_grid(or_weird(data, RATES), or_weird(data, (1, 3), 3)), {"centre", "n_rates", "learning_rate"})


CASES = {
    "functions.plan": (plan, 8), "functions.two_layer": (two_layer, 8), "functions.study": (study, 3),
    "functions.deep": (deep, 5),
    "functions.settings": (settings, 5), "functions.scales": (scales, 3), "functions.words": (words, 3),
}  # fmt: skip
