"""Kernels, compiled against their pure twins

Reproduce: pytest bench/bench_kernels.py
Results are asserted equal first. The techniques train 100 networks 2-2-1 for 100 iterations; their times are per iteration
of one network. `ratio` in the JSON is the pure twin's time over the compiled kernel's.
"""

from importlib import import_module
from itertools import pairwise
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

from bench.measure import Run, duration, pure_kernels, times
from fcfast import backend
from fcfast.activations import ACTIVATIONS
from fcfast.losses import LOSSES
from fcfast.paper.experiments import default_problem
from fcfast.paper.techniques import TECHNIQUES, Backprop, Technique

SIZES = {"2-2-1": ((2, 2, 1), 1), "784-256-256-10, batch 128": ((784, 256, 256, 10), 128)}
DENSE = ("forward", "backward", "sgd_step", "half_squared_error", "softmax_cross_entropy")
TOLERANCE = {"float32": 2e-5, "float64": 1e-12}
N_NETWORKS, N_ITER = 100, 100


def report(kernel, seconds, benchmark, tell, unit="a call"):
    benchmark.extra_info["ratio"] = ratio = seconds["pure"] / seconds["compiled"]
    tell(
        f"{kernel}: {times(ratio)} as fast as the pure twin "
        f"({duration(seconds['compiled'])} against {duration(seconds['pure'])} {unit})"
    )


def dense_arrays(size, dtype):
    """Give everything the kernels of a dense network read and write."""
    widths, n_rows = SIZES[size]
    rng = np.random.default_rng(0)
    n_params = sum(n_out * (n_in + 1) for n_in, n_out in pairwise(widths))
    n_values = n_rows * sum(widths[1:])
    arrays = SimpleNamespace(
        params=rng.uniform(-1, 1, n_params) / widths[0] ** 0.5, grad=rng.uniform(-1, 1, n_params),
        velocity=np.zeros(n_params), X=rng.uniform(-1, 1, (n_rows, widths[0])), values=rng.uniform(-1, 1, n_values),
        deltas=rng.uniform(-1, 1, n_values), outputs=rng.uniform(-1, 1, (n_rows, widths[-1])),
        targets=rng.uniform(-1, 1, (n_rows, widths[-1])), output_delta=np.zeros((n_rows, widths[-1])),
    )  # fmt: skip
    for name, array in vars(arrays).items():
        setattr(arrays, name, array.astype(dtype))
    arrays.widths = np.array(widths, dtype=np.intp)
    arrays.labels = rng.integers(widths[-1], size=n_rows).astype(np.intp)
    return arrays


def dense_call(kernel, package, a):
    """Bind a kernel of a dense network to its arrays."""
    forward: ModuleType = import_module(f"fcfast.{package}.forward")
    backprop: ModuleType = import_module(f"fcfast.{package}.backprop")
    losses: ModuleType = import_module(f"fcfast.{package}.losses")
    numbers, classes = ((LOSSES[name].kernel, np.array(LOSSES[name].parameters)) for name in ("squared_error", "cross_entropy"))
    of_numbers, of_classes = losses.Targets(a.targets, None, None, *numbers), losses.Targets(None, a.labels, None, *classes)
    rows = np.arange(len(a.outputs))
    relu = ACTIVATIONS["relu"]
    calls = {
        "forward": lambda: forward.forward(a.params, a.widths, True, relu, a.X, a.values, 1),
        "backward": lambda: backprop.backward(
            a.params, a.widths, True, relu, a.X, a.values, a.deltas, a.grad, None, 1
        ),
        "sgd_step": lambda: backprop.sgd_step(a.params, a.grad, a.velocity, 1e-3, 0.9, 0.0, False, 1e-4, False),
        "half_squared_error": lambda: losses.loss_of_rows(of_numbers, a.outputs, rows, a.output_delta),
        "softmax_cross_entropy": lambda: losses.loss_of_rows(of_classes, a.outputs, rows, a.output_delta),
    }  # fmt: skip
    return calls[kernel]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kernel", DENSE)
def bench_dense(kernel, size, dtype, compare, benchmark, tell):
    """A kernel of the dense layers, called alone."""
    compiled, pure = dense_arrays(size, dtype), dense_arrays(size, dtype)
    fast, slow = dense_call(kernel, "_core", compiled), dense_call(kernel, "_pure", pure)
    loss, expected = fast(), slow()
    assert loss == expected or loss == pytest.approx(expected, rel=TOLERANCE[dtype])  # None == None
    for name, array in vars(pure).items():
        np.testing.assert_allclose(
            getattr(compiled, name), array, rtol=0, atol=TOLERANCE[dtype] * np.abs(array).max(), err_msg=name
        )
    report(f"{kernel}, {size}, {dtype}", compare({"compiled": Run(fast), "pure": Run(slow)}), benchmark, tell)


@pytest.mark.parametrize("technique", ["backprop", *TECHNIQUES, "closed_form, 2 outputs"])
def bench_technique(technique, compare, benchmark, tell):
    """A technique of the paper on many small networks, one thread."""
    n_outputs = 2 if "outputs" in technique else 1
    problem = default_problem(technique, "simultaneous", 0.1, *(([[1.0, 1.0]], [[1.0, 0.5]]) if n_outputs == 2 else ()))
    chosen = TECHNIQUES.get(technique.split(",")[0], Backprop).covering(problem)
    rng = np.random.default_rng(0)
    W1, w2 = rng.uniform(-1, 1, (N_NETWORKS, 2, 2)), rng.uniform(-1, 1, (N_NETWORKS, n_outputs, 2))
    outputs = {name: np.empty((N_NETWORKS, N_ITER, n_outputs)) for name in ("compiled", "pure")}
    diverged_at = np.empty(N_NETWORKS, dtype=np.intp)

    def fast(network: Technique):
        network.run(outputs["compiled"], diverged_at, 1)

    def slow(network: Technique):
        with pure_kernels():
            network.run(outputs["pure"], diverged_at, 1)

    fast(chosen(problem, W1, w2))
    slow(chosen(problem, W1, w2))
    # The printed form does not converge, so it amplifies rounding.
    checked = slice(10 if technique == "printed_form" else None)
    np.testing.assert_allclose(outputs["compiled"][:, checked], outputs["pure"][:, checked], rtol=1e-9, atol=1e-12)
    runs = {
        name: Run(call, N_NETWORKS * N_ITER, lambda: (chosen(problem, W1, w2),))
        for name, call in {"compiled": fast, "pure": slow}.items()
    }
    report(f"technique {technique}", compare(runs, rounds=5), benchmark, tell, "an iteration")


def bench_largest_difference(compare, benchmark, tell):
    """The comparison of two runs, for 100 networks of 1000 iterations."""
    a, b = np.random.default_rng(0).uniform(-1, 1, (2, N_NETWORKS, 1000, 1))
    worst = {"compiled": np.empty(N_NETWORKS), "pure": np.empty(N_NETWORKS)}
    twins = {"compiled": backend.two_layer, "pure": import_module("fcfast._pure.two_layer")}
    runs = {
        name: Run(lambda twin=twin, out=worst[name]: twin.largest_difference(a, b, out, 1), a.size)
        for name, twin in twins.items()
    }
    for run in runs.values():
        run.call()
    np.testing.assert_array_equal(worst["compiled"], worst["pure"])
    report("largest_difference", compare(runs), benchmark, tell, "a value")
