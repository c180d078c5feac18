"""The compiled kernels of dense networks and of the front layer, and their pure-Python twins."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from twins import CORE, PURE, Arguments, assert_same_bits, assert_twins_agree, functions, locked, poison, run, signature

from fcfast._pure.forward import blocks
from fcfast._pure.lossfn import CROSS_ENTROPY, HUBER, LOGISTIC, POISSON, QUANTILE, SQUARED_ERROR

ACTIVATIONS = range(5)

TOLERANCE = {"float32": {"rtol": 2e-5, "atol": 2e-6}, "float64": {"rtol": 1e-13, "atol": 1e-14}}


def forward(rng: np.random.Generator, dtype: np.dtype, activation: int, widths: Any = None, n_rows: int = 0) -> Arguments:
    """A network of random depth and widths (or those given), with weights that neither saturate nor vanish."""
    widths = np.array(rng.integers(1, 13, size=rng.integers(2, 6)) if widths is None else widths, dtype=np.intp)
    n_rows = n_rows or int(rng.integers(1, 10))
    bias = bool(rng.integers(2))
    layers = pairwise(widths)
    params = [rng.uniform(-1, 1, n_out * (n_in + bias)) * (3 / n_in) ** 0.5 for n_in, n_out in layers]
    return {
        "params": locked(np.concatenate(params), dtype),
        "widths": locked(widths, np.intp),
        "bias": bias,
        "activation": activation,
        "X": locked(rng.normal(size=(n_rows, widths[0])), dtype),
        "values": poison(n_rows * widths[1:].sum(), dtype=dtype),
    }


def backward(rng: np.random.Generator, dtype: np.dtype, activation: int, **shape: Any) -> Arguments:
    """The same network after its forward pass, with random deltas of its outputs."""
    arguments = run(PURE, "forward.forward", forward(rng, dtype, activation, **shape))
    del arguments["return"]
    X, n_out = arguments["X"], arguments["widths"][-1]
    arguments["values"].flags.writeable = False
    deltas = poison(len(arguments["values"]), dtype=dtype)
    deltas[-len(X) * n_out :] = rng.normal(size=len(X) * n_out)
    grad, input_delta = poison(len(arguments["params"]), dtype=dtype), poison(*X.shape, dtype=dtype)
    return arguments | {"deltas": deltas, "grad": grad, "input_delta": input_delta if rng.integers(2) else None}


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize(("kernel", "make_arguments"), [("forward.forward", forward), ("backprop.backward", backward)])
def test_dense_passes(kernel, make_arguments, activation, dtype, global_random_seed):
    """Values, deltas and gradients agree for random networks, and none is left unwritten."""
    for repetition in range(10):
        arguments = make_arguments(np.random.default_rng([global_random_seed, repetition]), dtype, activation)
        left = assert_twins_agree(kernel, arguments, **TOLERANCE[dtype.name])
        for name in {"values", "deltas", "grad", "input_delta"} & set(left):
            assert left[name] is None or np.isfinite(left[name]).all()


@pytest.mark.bits
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize(("kernel", "make_arguments"), [("forward.forward", forward), ("backprop.backward", backward)])
def test_dense_passes_do_not_depend_on_threads(kernel, make_arguments, activation, dtype, global_random_seed):
    """Above the size where threads start, rows are shared out: the bits are the same, and the twin agrees."""
    shape = {"widths": [3, 131, 140, 2], "n_rows": 259}
    arguments = make_arguments(np.random.default_rng(global_random_seed), dtype, activation, **shape)
    left = assert_twins_agree(kernel, arguments, rtol=TOLERANCE[dtype.name]["rtol"], atol=100 * np.finfo(dtype).eps)
    assert_same_bits(left, run(CORE, kernel, arguments, n_threads=2))


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_nan_goes_through_the_forward_pass(activation, dtype):
    """A sample with NaN has NaN outputs whatever the activation; the other samples are not touched."""
    arguments = forward(np.random.default_rng(0), dtype, activation, widths=[2, 4, 3], n_rows=3)
    X = arguments["X"].copy()
    X[1, 0] = np.nan
    left = assert_twins_agree("forward.forward", arguments | {"X": locked(X, dtype)}, **TOLERANCE[dtype.name])
    for block in blocks(left["values"], arguments["widths"], 3):
        assert np.isnan(block[1]).all()
        assert np.isfinite(block[[0, 2]]).all()


@pytest.mark.parametrize(("activation", "at_zero"), [(1, 0.0), (2, 0.01)])
def test_derivative_at_zero(activation, at_zero, dtype):
    """ReLU has derivative 0 at 0, leaky ReLU its slope there, as in PyTorch."""
    arguments = {
        "params": locked([0, 2], dtype),
        "widths": locked([1, 1, 1], np.intp),
        "bias": False,
        "activation": activation,
        "X": locked([[3]], dtype),
        "values": locked([0, 0], dtype),
        "deltas": np.array([np.nan, 1], dtype=dtype),
        "grad": poison(2, dtype=dtype),
        "input_delta": None,
    }
    left = assert_twins_agree("backprop.backward", arguments, rtol=0, atol=0)
    np.testing.assert_allclose(left["grad"], [6 * at_zero, 0], rtol=np.finfo(dtype).eps)


@pytest.mark.parametrize(("transpose_a", "transpose_b"), [(False, False), (False, True), (True, False), (True, True)])
def test_product(transpose_a, transpose_b, dtype, global_random_seed):
    """Any shapes, also of one row, one column, and nothing to add up."""
    rng = np.random.default_rng(global_random_seed)
    for m, n, k in ((3, 4, 5), (1, 7, 2), (6, 1, 3), (2, 3, 1), (1, 1, 1), (2, 3, 0), (0, 3, 2), (130, 70, 40)):
        A, B = rng.normal(size=(k, m) if transpose_a else (m, k)), rng.normal(size=(n, k) if transpose_b else (k, n))
        arguments = {
            "A": locked(A, dtype), "transpose_a": transpose_a, "B": locked(B, dtype), "transpose_b": transpose_b,
            "out": poison(m, n, dtype=dtype),
        }  # fmt: skip
        assert_twins_agree("forward.product", arguments, rtol=1e-5 if dtype == np.float32 else 1e-12, atol=1e-5)


@pytest.mark.parametrize("nesterov", [False, True])
@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_sgd_step(momentum, nesterov, first, weight_decay, dtype, global_random_seed):
    """The same arithmetic in the same precision: equal to a bit or two; without momentum no velocity is needed."""
    rng = np.random.default_rng(global_random_seed)
    for velocity in [rng.normal(size=50).astype(dtype)] + [None] * (momentum == 0):
        arguments = {
            "params": rng.normal(size=50).astype(dtype),
            "grad": locked(rng.normal(size=50), dtype),
            "velocity": velocity,
            "learning_rate": 0.3,
            "momentum": momentum,
            "dampening": 0.25,
            "nesterov": nesterov,
            "weight_decay": weight_decay,
            "first": first,
        }
        assert_twins_agree("backprop.sgd_step", arguments, rtol=4 * np.finfo(dtype).eps, atol=np.finfo(dtype).eps)
        if momentum and first:
            assert_twins_agree("backprop.sgd_step", arguments | {"velocity": poison(50, dtype=dtype)}, rtol=1e-6, atol=0)


@pytest.mark.parametrize("decoupled", [False, True])
@pytest.mark.parametrize("step", [1, 7])
def test_adam_step(decoupled, step, dtype, global_random_seed):
    """The same arithmetic in the same precision, and the same bits for any number of threads."""
    rng = np.random.default_rng(global_random_seed)
    for size in (50, 100_000):
        arguments = {
            "params": rng.normal(size=size).astype(dtype),
            "grad": locked(rng.normal(size=size), dtype),
            "first_moment": rng.normal(size=size).astype(dtype),
            "second_moment": rng.uniform(0, 1, size).astype(dtype),
            "learning_rate": 0.3,
            "beta1": 0.8,
            "beta2": 0.95,
            "eps": 1e-3,
            "weight_decay": 0.1,
            "decoupled": decoupled,
            "step": step,
        }
        eps = np.finfo(dtype).eps
        assert_twins_agree("backprop.adam_step", arguments, rtol=8 * eps, atol=8 * eps)
        assert_same_bits(*(run(CORE, "backprop.adam_step", arguments, n_threads) for n_threads in (1, 2)))


@pytest.mark.parametrize("keep", [1.0, 0.9])
def test_root_step(keep, dtype, global_random_seed):
    """Adagrad and RMSprop: the same arithmetic, and the same bits for any number of threads."""
    rng = np.random.default_rng(global_random_seed)
    for size in (50, 100_000):
        arguments = {
            "params": rng.normal(size=size).astype(dtype),
            "grad": locked(rng.normal(size=size), dtype),
            "second_moment": rng.uniform(0, 1, size).astype(dtype),
            "learning_rate": 0.3,
            "keep": keep,
            "fresh": 0.4,
            "eps": 1e-3,
            "weight_decay": 0.1,
        }
        eps = np.finfo(dtype).eps
        assert_twins_agree("backprop.root_step", arguments, rtol=8 * eps, atol=8 * eps)
        assert_same_bits(*(run(CORE, "backprop.root_step", arguments, n_threads) for n_threads in (1, 2)))


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_activate(activation, dtype, global_random_seed):
    """In place, at 0, for large values of either sign, infinity and NaN."""
    special = [0.0, -0.0, 80.0, -80.0, np.inf, -np.inf, np.nan, 1e-30]
    S = np.stack([np.random.default_rng(global_random_seed).normal(size=8), special]).astype(dtype)
    left = assert_twins_agree("forward.activate", {"S": S, "activation": activation}, **TOLERANCE[dtype.name])
    assert np.isnan(left["S"]).sum() == 1


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_through_activation(activation, dtype, global_random_seed):
    """In place, from the values alone, those at which the activations have corners or are flat included."""
    rng = np.random.default_rng(global_random_seed)
    arguments = {"S": np.stack([rng.normal(size=8), [0.0, -0.0, 80.0, -80.0, 1e-30, -1e-30, 3.0, -3.0]]).astype(dtype)}
    values = run(PURE, "forward.activate", arguments | {"activation": activation})["S"]
    delta = rng.normal(size=values.shape).astype(dtype)
    arguments = {"delta": delta, "values": locked(values, dtype), "activation": activation}
    left = assert_twins_agree("backprop.through_activation", arguments, rtol=4 * np.finfo(dtype).eps, atol=0)
    derivatives = [np.ones_like(values), values > 0, np.where(values > 0, 1, 0.01), 1 - values**2, values * (1 - values)]
    np.testing.assert_allclose(left["delta"], delta * derivatives[activation], rtol=1e-5, atol=np.finfo(dtype).tiny)


# ----------------------------------------------------------------------------------------------------------------------
# the front layer

FORMS = ("weights", "windowed", "contributions")
EPOCH_TOLERANCE = {"float32": {"rtol": 1e-4, "atol": 1e-5}, "float64": {"rtol": 1e-10, "atol": 1e-12}}
BY_LAYER = np.array([[0.5, 1.5], [1.0, 0.25], [2.0, 0.0]])
HYPER = [
    {},
    {"weight_decay": 0.1},
    {"momentum": 0.9},
    {"momentum": 0.9, "first": True},
    {"momentum": 0.5, "dampening": 0.3, "weight_decay": 0.1},
    {"momentum": 0.5, "dampening": 0.3, "first": True},
    {"momentum": 0.5, "nesterov": True, "weight_decay": 0.1, "first": True},
    {"max_norm": 0.05},
    {"parameters": locked([0.3]), "momentum": 0.9},
    {"kind": LOGISTIC, "parameters": locked([0.1])},
    {"kind": POISSON, "momentum": 0.9},
    {"kind": HUBER, "parameters": locked([0.5]), "max_norm": 0.05},
    {"kind": QUANTILE, "parameters": locked([0.1, 0.5, 0.9]), "gaps": True, "momentum": 0.5},
    {"kind": SQUARED_ERROR, "gaps": True, "momentum": 0.9},
    {"scaled": True},
    {"scaled": True, "momentum": 0.9, "max_norm": 0.05},
    {"momentum": 0.5, "weight_decay": 0.1, "max_norm": 0.05},
    {"rate_factors": BY_LAYER, "weight_decay": BY_LAYER[::-1] / 10},
    {"rate_factors": BY_LAYER, "weight_decay": BY_LAYER[::-1] / 10, "momentum": 0.5, "nesterov": True, "first": True},
]


def sgd_epochs(modules: dict[str, Any], n_threads: int = 1, **given: Any) -> int:
    """Call the kernel of that name with objects made of arrays and numbers; scratch is poisoned."""
    front = modules["front"]
    kinds = front.Network, modules["losses"].Targets, front.Sgd
    network, targets, sgd = (kind(*(given[name] for name in signature(kind).parameters)) for kind in kinds)
    workspace = front.Workspace(network, given["rows"].shape[1], given["batch_size"], given["window"])
    if modules is CORE:
        workspace.scratch.fill(np.nan)
    order = given["rows"], given["rates"], given["losses"]
    return front.sgd_epochs(network, targets, sgd, workspace, *order, given["first"], n_threads)


def epochs(
    rng: np.random.Generator,
    dtype: np.dtype,
    form: str,
    classes: bool,
    weighted: bool,
    n_samples: int = 9,
    h: int = 5,
    scaled: bool = False,
    kind: int | None = None,
    gaps: bool = False,
    **given: Any,
) -> Arguments:
    """Two epochs over samples in random order, in the second one of them twice, with a smaller batch at their ends."""
    d, c = 4, 3
    widths = np.array([h, h + 1, c])
    batch_size = n_samples // 3
    rows = np.stack([rng.permutation([*range(n_samples), n_samples]), rng.permutation([*range(n_samples), 0])])
    n_samples += 1
    weights = rng.uniform(0, 2, n_samples)
    weights[rows[0, -1]] = 0  # a whole batch without weight
    X = rng.normal(size=(n_samples, d))
    contributions = form == "contributions"
    columns: Arguments = dict.fromkeys(("mean", "divisor", "fill"))
    if scaled and not contributions:
        X[::2, 1] = np.nan
        columns = {name: locked(rng.uniform(0.5, 2, d)) for name in columns}
    base = rng.normal(size=(n_samples, h) if contributions else (h, d)) / 3
    params = rng.normal(size=h + sum(n_out * (n_in + 1) for n_in, n_out in pairwise(widths))) / 3
    by_layer = {"rate_factors": np.ones((3, 2)), "weight_decay": np.full((3, 2), given.pop("weight_decay", 0.0))}
    hyper: Arguments = {
        "momentum": 0.0,
        "dampening": 0.0,
        "nesterov": False,
        "max_norm": 0.0,
        "parameters": locked([0.0]),
        "first": False,
    }
    hyper |= by_layer | given
    start = 0 if hyper["first"] else 0.1
    velocity, base_velocity = (start * rng.normal(size=array.shape).astype(dtype) for array in (params, base))
    n_steps = -(-rows.shape[1] // batch_size)
    values = rng.normal(size=(n_samples, c))
    if kind in (LOGISTIC, POISSON):
        values = rng.integers(0, 2 if kind == LOGISTIC else 5, (n_samples, c)).astype(float)
    if gaps:
        values[rng.random(values.shape) < 0.4] = np.nan
        values[rows[0, :batch_size], 1] = np.nan  # a batch without any target for an output
    return (hyper | columns) | {
        "base": base.astype(dtype),
        "base_velocity": base_velocity if hyper["momentum"] else None,
        "source": locked(X @ X.T if contributions else X, dtype),
        "S0": locked(X @ rng.normal(size=(d, h)), dtype) if contributions else None,
        "scale": np.array([0.9, start]) if contributions else None,
        "rows": locked(rows, np.intp),
        "batch_size": batch_size,
        "window": batch_size if form == "weights" else 3 * batch_size,
        "params": params.astype(dtype),
        "velocity": velocity if hyper["momentum"] else None,
        "widths": locked(widths, np.intp),
        "activation": 3,
        "values": None if classes else locked(values, dtype),
        "labels": locked(rng.integers(c, size=n_samples), np.intp) if classes else None,
        "kind": (CROSS_ENTROPY if classes else SQUARED_ERROR) if kind is None else kind,
        "sample_weight": locked(weights) if weighted else None,
        "rates": locked(rng.uniform(0.05, 0.2, (2, n_steps))),
        "losses": poison(2, n_steps),
    }


@pytest.mark.parametrize("hyper", HYPER, ids=lambda hyper: "+".join(hyper) or "plain")
@pytest.mark.parametrize("form", FORMS)
def test_sgd_epochs(form, hyper, dtype, global_random_seed):
    """Windows and contributions end where step-by-step training ends, for all losses, with sample weights and without."""
    rng = np.random.default_rng(global_random_seed)
    for classes in (False,) if "kind" in hyper else (False, True):
        for weighted in (False, True):
            arguments = epochs(rng, dtype, form, classes, weighted, **hyper)
            left = assert_twins_agree(sgd_epochs, arguments, **EPOCH_TOLERANCE[dtype.name])
            assert left["return"] == left["losses"].size == 8
            assert np.isfinite(left["losses"]).all()


@pytest.mark.bits
@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("form", FORMS)
def test_epochs_of_a_call_are_those_of_several(form, momentum, dtype, global_random_seed):
    """Two epochs in one call are one after the other, to the last bit: in order, shuffled, and with a sample twice."""
    arguments = epochs(np.random.default_rng(global_random_seed), dtype, form, True, False, momentum=momentum, first=True)
    rows = arguments["rows"].copy()
    rows[0].sort()
    arguments["rows"] = rows
    together = run(CORE, sgd_epochs, arguments)
    apart = arguments
    for epoch in range(2):
        of_epoch = {name: arguments[name][epoch : epoch + 1] for name in ("rows", "rates", "losses")}
        apart = run(CORE, sgd_epochs, apart | of_epoch | {"first": epoch == 0})
        np.testing.assert_array_equal(apart["losses"], together["losses"][epoch : epoch + 1])
        assert apart.pop("return") == 4
    for name in ("base", "base_velocity", "params", "velocity", "scale"):
        np.testing.assert_array_equal(apart[name], together[name], err_msg=name)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("step", range(10))
def test_sgd_epochs_stop(form, step, global_random_seed):
    """A loss that is not finite ends the training before its step: what was done before stays, inside a window too."""
    rng = np.random.default_rng(global_random_seed)
    arguments = epochs(rng, np.dtype(float), form, False, False, n_samples=18, momentum=0.9)
    values = arguments["values"].copy()
    arguments["rows"] = locked(np.arange(18).reshape(2, 9), np.intp)
    arguments["batch_size"], arguments["window"] = 2, 2 if form == "weights" else 6
    arguments["rates"], arguments["losses"] = locked(np.full((2, 5), 0.1)), poison(2, 5)
    values[step // 5 * 9 + 2 * (step % 5), 1] = np.inf
    left = assert_twins_agree(sgd_epochs, arguments | {"values": locked(values)}, **EPOCH_TOLERANCE["float64"])
    assert left["return"] == step
    assert all(np.isfinite(left[name]).all() for name in ("base", "params", "base_velocity", "velocity"))


@pytest.mark.bits
@pytest.mark.parametrize("form", FORMS)
def test_sgd_epochs_do_not_depend_on_threads(form, dtype, global_random_seed):
    """Batches, layers and products large enough for threads give the same bits, and end where the twin does, which is slow."""
    for n_samples, h, with_twin in ((400, 270, False), (100, 130, True)):
        rng = np.random.default_rng(global_random_seed)
        arguments = epochs(rng, dtype, form, True, False, n_samples=n_samples, h=h, momentum=0.9)
        one, two = (run(CORE, sgd_epochs, arguments, n_threads) for n_threads in (1, 2))
        assert_same_bits(one, two)
        if with_twin:
            rtol = 1e-3 if dtype == np.float32 else 1e-10
            np.testing.assert_allclose(one["base"], run(PURE, sgd_epochs, arguments)["base"], rtol, atol=rtol * 1e-2)


@pytest.mark.parametrize(
    ("kind", "damage"),
    [
        ("Network", {"source": lambda array: array.astype(np.float32)}),
        ("Network", {"base": lambda array: np.asfortranarray(array)}),
        ("Network", {"params": lambda array: locked(array)}),
        ("Targets", {"labels": lambda array: array.astype(np.int16)}),
    ],
)
def test_kernels_take_no_other_arrays(kind, damage):
    """They read addresses: an array of another type or order, or one that must be written and cannot be, is refused."""
    given = epochs(np.random.default_rng(0), np.dtype(float), "windowed", True, True, momentum=0.9)
    cls = getattr(CORE["losses" if kind == "Targets" else "front"], kind)
    names = list(signature(cls).parameters)
    cls(*(given[name] for name in names))
    (name, change), *_ = damage.items()
    with pytest.raises(ValueError, match="C-contiguous"):
        cls(*(change(given[key]) if key == name else given[key] for key in names))


def test_every_kernel_is_compared():
    """A kernel added without a comparison would go unnoticed; test_kernels_forward_gradient.py says so of its own."""
    compared = {"forward.forward", "forward.activate", "forward.product"}
    compared |= {"losses.loss_of_rows", "losses.Targets", "backprop.backward", "backprop.through_activation"}
    compared |= {"backprop.sgd_step", "backprop.adam_step", "backprop.root_step", "front.sgd_epochs", "front.work_size"}
    compared |= {"front.Network", "front.Sgd", "front.Workspace"}
    assert compared == set(functions({name: CORE[name] for name in ("forward", "backprop", "front", "losses")}))
