"""Smoke test of speed: compiled kernels against their pure twins, as ratios within one run

Reproduce: python -m bench.smoke
First both sides of a case must give the same results. Then they are timed in turns, with one thread each, by processor time,
which does not include other work on the machine. A case fails if the ratio stays below a third of the ratio measured when it
was written: then work is done several times or, in small cases, a kernel runs as Python. bench.compare finds smaller losses.
Exit codes: 0 all cases are as fast as they should be, 1 one is not.
"""

import argparse
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial

import numpy as np
from scipy import sparse
from threadpoolctl import threadpool_limits

import fcfast
from bench.bench_kernels import dense_arrays, dense_call
from bench.measure import Run, duration, interleaved_rounds, pure_kernels
from fcfast import backend
from fcfast.activations import ACTIVATIONS
from fcfast.front import FORMS
from fcfast.gram.products import gram_and_preactivations
from fcfast.gram.start import RandomWeights
from fcfast.optimizers import SGD, AdamW, Muon, NeuronAdam
from fcfast.paper.experiments import default_problem
from fcfast.paper.techniques import TECHNIQUES, Backprop
from fcfast.rules import RULES
from fcfast.training.network import FrontNetwork

ROUNDS, ATTEMPTS, SHARE = 4, 3, 1 / 3
TOLERANCE = {"float32": 1e-4, "float64": 1e-10}  # of the largest result
SMALL, WIDE = "2-2-1", "784-256-256-10, batch 128"
MOMENTUM = SGD(momentum=0.9)


@dataclass(frozen=True)
class Work:
    """A call, and the arrays it leaves its results in."""

    call: Callable[[], object]
    results: tuple[np.ndarray, ...]


# ----------------------------------------------------------------------------------------------------------------------
# work of the package "_core" or "_pure"; what goes through `fcfast.backend` is the same for both


def technique(name, package):
    """Train 40 networks of the paper."""
    problem = default_problem(name, "simultaneous", 0.1)
    rng = np.random.default_rng(0)
    W1, w2 = rng.uniform(-1, 1, (40, 2, 2)), rng.uniform(-1, 1, (40, 1, 2))
    networks = TECHNIQUES.get(name, Backprop).covering(problem)(problem, W1, w2)
    outputs, diverged_at = np.zeros((40, 50, 1)), np.zeros(40, dtype=np.intp)
    return Work(lambda: networks.run(outputs, diverged_at, 1), (outputs,))


def dense(kernel, size, n_calls, package):
    """Call a kernel of dense layers."""
    arrays = dense_arrays(size, "float32")
    call = dense_call(kernel, package, arrays)

    def calls():
        for _ in range(n_calls):
            call()

    return Work(calls, (arrays.values, arrays.deltas, arrays.grad, arrays.params, arrays.output_delta))


def front(form, n, d, batch, package, optimizer=MOMENTUM, rule=None, activation="relu", density=None):
    """Train an epoch in a form of the front layer."""
    h, n_classes = 64, 10
    rng = np.random.default_rng(0)
    X = rng.normal(0, d**-0.5, (n, d)).astype("f4")
    labels, rows, rates = rng.integers(0, n_classes, n), rng.permutation(n), np.full(-(-n // batch), 0.01)
    if density is not None:
        X = sparse.random(n, d, density, "csr", "f4", rng)
    layer = FORMS[form].variant(density is not None)(X, RandomWeights(h, d, 0, "relu"), np.dtype("f4"), optimizer.has_velocity)
    above, biases = rng.uniform(-0.1, 0.1, (n_classes, h)), [np.zeros(h), np.zeros(n_classes)]
    window = layer.choose_window("auto", batch, n, optimizer.has_velocity)
    network = FrontNetwork(layer, biases, [above], activation, "cross_entropy", optimizer, batch, window, 1, RULES.get(rule))
    return Work(lambda: network.train_epoch(rows, rates, labels, None), (layer.base, network.params))


def gram(package):
    """Make the Gram matrix and the first pre-activations; or let NumPy."""
    initial, G, S0 = RandomWeights(64, 10_000, 0, "relu"), np.empty((200, 200), "f4"), np.empty((200, 64), "f4")
    X = np.random.default_rng(0).normal(size=(200, 10_000)).astype("f4")

    def call():
        G[:], S0[:] = (
            gram_and_preactivations(X, initial, "f4", 1) if package == "_core" else (X @ X.T, X @ initial.dense("f4").T)
        )

    return Work(call, (G, S0))


def initial_weights(package):
    """Make the first weights, in pieces that stay in cache; or at once."""
    weights, W1 = RandomWeights(256, 10_000, 0, "relu"), np.empty((256, 10_000), "f4")

    def call():
        W1[:] = weights.dense("f4") if package == "_core" else weights.block(0, 10_000, "f4")

    return Work(call, (W1,))


def push(package):
    """Push tangents through a small layer."""
    rng = np.random.default_rng(0)
    values, weights = rng.random((8, 4), "f4"), rng.random((4, 4), "f4")
    tangents, out = rng.random((1, 8, 4), "f4"), np.empty((1, 8, 4), "f4")
    arguments = values, ACTIVATIONS["relu"], tangents, weights, None, None, None, None, out, 1

    def calls():
        for _ in range(200):
            backend.forward_gradient.push(*arguments)

    return Work(calls, (out,))


def noise(package):
    """Draw normally distributed numbers."""
    out = np.empty(20_000, "f4")
    return Work(lambda: backend.noise.normals(1, out, 1), (out,))


def svmlight(package):
    """Rows of text."""
    rng = np.random.default_rng(0)
    rows = (zip(np.sort(rng.choice(9999, 20, False)), rng.normal(size=20), strict=True) for _ in range(100))
    lines = (" ".join(f"{feature}:{value:.4f}" for feature, value in row) for row in rows)
    text, out = "".join(f"{n % 3} {line}\n" for n, line in enumerate(lines)).encode(), np.zeros(100 + 101 + 4000)

    def call():
        out[:] = np.concatenate(backend.svmlight.parse(text))

    return Work(call, (out,))


# The work; pure over compiled seconds, measured on AMD EPYC, two cores, 2026-11-21. The limit is a third of it.
CASES = {
    "technique backprop": (partial(technique, "backprop"), 1650),
    "technique compensation": (partial(technique, "compensation"), 1650),
    "technique closed_form": (partial(technique, "closed_form"), 340),
    "technique contributions": (partial(technique, "contributions"), 415),
    "technique sum_difference": (partial(technique, "sum_difference"), 570),
    "forward, 2-2-1": (partial(dense, "forward", SMALL, 100), 19),
    "forward, 784-256-256-10": (partial(dense, "forward", WIDE, 2), 1.4),
    "backward, 2-2-1": (partial(dense, "backward", SMALL, 100), 17.5),
    "backward, 784-256-256-10": (partial(dense, "backward", WIDE, 2), 1.06),
    "sgd_step, 2-2-1": (partial(dense, "sgd_step", SMALL, 200), 7.4),
    "sgd_step, 784-256-256-10": (partial(dense, "sgd_step", WIDE, 10), 2.7),
    "softmax_cross_entropy, 2-2-1": (partial(dense, "softmax_cross_entropy", SMALL, 200), 18),
    "softmax_cross_entropy": (partial(dense, "softmax_cross_entropy", WIDE, 100), 1.7),
    "push, 4 units": (push, 3.9),
    "epoch, contributions": (partial(front, "contributions", 100, 2000, 10), 30),
    # smooth: in a hundred steps rounding may switch a relu off in one of the twins only
    "epoch, windowed": (partial(front, "windowed", 100, 784, 1, activation="tanh"), 29),
    "epoch, weights": (partial(front, "weights", 100, 784, 10), 4.7),
    "epoch, sparse weights": (partial(front, "weights", 100, 2000, 10, density=0.02), 23),
    "NeuronAdam, contributions": (partial(front, "contributions", 100, 2000, 10, optimizer=NeuronAdam()), 3),
    "Muon, contributions": (partial(front, "contributions", 100, 2000, 20, optimizer=Muon()), 2),
    "AdamW, weights": (partial(front, "weights", 100, 2000, 20, optimizer=AdamW(eps=1e-3)), 2.6),
    "FG-A, weights": (partial(front, "weights", 100, 784, 10, optimizer=SGD(), rule="fg-a"), 2.9),
    "Gram matrix": (gram, 1),
    "initial weights": (initial_weights, 1.3),
    "noise": (noise, 5.9),
    "svmlight": (svmlight, 50),
}


def kernels(package):
    return pure_kernels() if package == "_pure" else nullcontext()


def checked(make):
    """Work of both packages, after a call that left the same results."""
    works = {package: make(package=package) for package in ("_core", "_pure")}
    for package, work in works.items():
        with kernels(package):
            work.call()
    for ours, expected in zip(works["_core"].results, works["_pure"].results, strict=True):
        np.testing.assert_allclose(ours, expected, rtol=0, atol=TOLERANCE[expected.dtype.name] * np.abs(expected).max())
    return works


def timed(works, rounds):
    """Processor seconds of a call in the fastest round, by package."""

    def call(package):
        with kernels(package):
            works[package].call()

    seconds = interleaved_rounds({package: Run(partial(call, package)) for package in works}, rounds, time.process_time)
    return {package: min(values) for package, values in seconds.items()}


def failures(cases):
    """Check and time cases; say how each went, and give the names of those that are too slow, tried again."""
    failed = []
    for name, (make, measured) in cases.items():
        works, limit = checked(make), SHARE * measured
        for _ in range(ATTEMPTS):
            seconds = timed(works, ROUNDS)
            ratio = seconds["_pure"] / seconds["_core"]
            if ratio >= limit:
                verdict = f"limit {limit:.3g}"
                break
        else:
            verdict = f"TOO SLOW, at least {limit:.3g}"
            failed.append(name)
        compiled, pure = (duration(value) for value in seconds.values())
        print(f"{name:28}{compiled:>9}, pure {pure:>9}: {ratio:7.3g} times as fast ({verdict})", flush=True)
    return failed


def main():
    """Try every case; give the exit code."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    if backend.NAME != "compiled":
        raise SystemExit("bench.smoke compares the compiled kernels with their pure twins; build them first")
    if sys.platform == "win32":
        raise SystemExit("bench.smoke needs a clock of processor time that is finer than the 16 ms of Windows")
    print(f"fcfast {fcfast.__version__}, {fcfast.__file__}")
    with threadpool_limits(1):
        failed = failures(CASES)
    print(f"{len(failed)} of {len(CASES)} cases too slow{': ' if failed else ''}{'; '.join(failed)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
