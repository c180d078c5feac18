"""Backpropagation of the paper's network against two references, and the arguments and Trace of all techniques."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from fcfast import DivergenceError, paper

ONE_INPUT = ("weights", "compensation", "closed_form", "printed_form")
SEVERAL_INPUTS = ("states", "contributions", "sum_difference", "sum_difference_literal")
EXPANDABLE = ("weights", "compensation", "closed_form", "printed_form", "states", "contributions", "sum_difference")
ORDERS = ("simultaneous", "sequential")

# One input of two features and one output: covered by every technique.
SMALL = {"X": [[1.0, 0.5]], "y": [1.0], "W1": [[0.5, 0.2], [0.1, 0.3], [-0.4, 0.1]], "w2": [0.4, -0.9, 0.3]}
SMALL |= {"eta": 0.1, "n_iter": 8}

SIZES = [(1, 1, 1, 1), (2, 2, 1, 1), (2, 2, 4, 1), (5, 3, 4, 1), (40, 6, 6, 1), (7, 4, 3, 3), (16, 50, 5, 2)]
Network = tuple[np.ndarray, np.ndarray, np.ndarray]


def random_problem(seed: int, h: int, d: int, N: int, c: int) -> dict[str, Any]:
    """A problem whose learning rate is safely below what makes its size diverge."""
    rng = np.random.default_rng([seed, h, d, N, c])
    X, y = rng.uniform(-1, 1, (N, d)), rng.uniform(-2, 2, (N, c))
    W1, w2 = rng.uniform(-1, 1, (h, d)), rng.uniform(-1, 1, (c, h))
    return {"X": X, "y": y, "W1": W1, "w2": w2, "eta": rng.uniform(0.05, 0.2) / (h * max(1, d / 3)), "n_iter": 150}


def train(technique: str, **arguments: Any) -> paper.Trace:
    """Train by a technique, or by backpropagation."""
    if technique == "backprop":
        return paper.train_backprop(**arguments)
    return paper.train_front(**arguments, technique=technique)


def assert_close(actual: np.ndarray, expected: np.ndarray, tolerance: float) -> None:
    """Compare relative to the largest expected value."""
    assert actual.shape == expected.shape
    assert np.abs(actual - expected).max() <= tolerance * np.abs(expected).max()


def by_equations(X, y, W1, w2, eta: float, n_iter: int, order: str) -> Network:  # type: ignore[no-untyped-def]
    """Equations 9-16, unit by unit."""
    W1, w2, outputs = W1.copy(), w2.copy(), []
    for t in range(n_iter):
        x, gold = X[t % len(X)], y[t % len(X)]
        s = [W1[j] @ x for j in range(len(W1))]  # 9
        v = [0.0 if s_j <= 0 else s_j for s_j in s]  # 10; NaN stays NaN
        outputs.append([sum(w[j] * v[j] for j in range(len(v))) for w in w2])  # 11
        dE_dy = np.array(outputs[-1]) - gold  # 12, 16
        updated = w2 - eta * np.outer(dE_dy, v)  # 13
        for j in range(len(W1)):  # 14
            if s[j] > 0:
                W1[j] -= eta * (dE_dy @ (updated if order == "sequential" else w2)[:, j]) * x
        w2 = updated
    return np.array(outputs), W1, w2


def by_torch(X, y, W1, w2, eta: float, n_iter: int, order: str) -> Network:  # type: ignore[no-untyped-def]
    """PyTorch's autograd and SGD, one sample per iteration: simultaneous by nature."""
    torch = pytest.importorskip("torch")
    assert order == "simultaneous"
    X, y, *parameters = (torch.tensor(array, dtype=torch.float64) for array in (X, y, W1, w2))
    optimizer = torch.optim.SGD([parameter.requires_grad_() for parameter in parameters], lr=eta)
    outputs = []
    for t in range(n_iter):
        output = parameters[1] @ torch.relu(parameters[0] @ X[t % len(X)])
        outputs.append(output.detach().numpy())
        optimizer.zero_grad()
        (((output - y[t % len(X)]) ** 2).sum() / 2).backward()
        optimizer.step()
    return np.array(outputs), *(parameter.detach().numpy() for parameter in parameters)


REFERENCES = [(by_equations, "simultaneous"), (by_equations, "sequential"), (by_torch, "simultaneous")]


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize(("reference", "order"), REFERENCES, ids=[f"{f.__name__}-{order}" for f, order in REFERENCES])
def test_backprop_is_the_reference(
    reference: Callable[..., Network], order: str, size: tuple[int, int, int, int], global_random_seed: int
) -> None:
    """Outputs of every iteration and the final weights are those of an independent implementation."""
    problem = random_problem(global_random_seed, *size) | {"order": order}
    trace = paper.train_backprop(**problem)
    for actual, expected in zip((trace.outputs, *trace.expand()), reference(**problem), strict=True):
        assert_close(actual, expected, 1e-12)
    assert trace.diverged_at is None


def test_relu_has_derivative_zero_at_zero() -> None:
    """A unit with s = 0 does not learn; the paper's condition is s > 0."""
    W1, w2 = paper.train_backprop([1.0, 1.0], 1.0, [[1.0, -1.0], [1.0, 1.0]], [0.5, 0.25], 0.1, 20).expand()
    assert W1[0].tolist() == [1.0, -1.0]
    assert w2[0] == 0.5
    assert w2[1] != 0.25


def test_default_order_is_simultaneous() -> None:
    """Backpropagation is the default, and the order of the paper's equations is something else."""
    problem = random_problem(0, 4, 3, 2, 1)
    default, simultaneous, sequential = (
        paper.train_backprop(**problem, **order).outputs for order in ({}, {"order": ORDERS[0]}, {"order": ORDERS[1]})
    )
    np.testing.assert_array_equal(default, simultaneous)
    assert np.abs(default - sequential).max() > 1e-4


@pytest.mark.parametrize("technique", ["backprop", *ONE_INPUT, *SEVERAL_INPUTS])
@pytest.mark.parametrize("order", ORDERS)
def test_first_output_is_the_untrained_network(technique: str, order: str) -> None:
    """An output is recorded before its update, whatever the technique; the trace says how it was made."""
    if technique == "closed_form" and order == "sequential":
        pytest.skip("closed_form has no sequential order")
    # At the input (1, 1) even the coordinates of equation 32 as printed are right to begin with.
    trace = train(technique, **SMALL | {"X": [1.0, 1.0], "order": order})
    assert trace.outputs[0] == pytest.approx(0.4 * 0.7 - 0.9 * 0.4, rel=1e-14)
    assert (trace.technique, trace.order, trace.diverged_at) == (technique, order, None)


@pytest.mark.parametrize("technique", ["backprop", *ONE_INPUT, *SEVERAL_INPUTS])
@pytest.mark.parametrize("n_iter", [0, 1, 5])
def test_output_shapes(technique: str, n_iter: int) -> None:
    """One column per output if y has two dimensions, else none; w2 comes back in the shape it had."""
    for X, y, w2, shape in [
        ([1.0, 0.5], 1.0, [0.4, -0.9, 0.3], (n_iter,)),
        ([[1.0, 0.5]], [1.0], [[0.4, -0.9, 0.3]], (n_iter,)),
        ([[1.0, 0.5]], [[1.0]], [0.4, -0.9, 0.3], (n_iter, 1)),
        ([1.0, 0.5], [[1.0, 2.0]], [[0.4, -0.9, 0.3], [1.0, 0.1, 0.5]], (n_iter, 2)),
    ]:
        if technique == "printed_form" and np.shape(y)[1:] == (2,):
            continue
        trace = train(technique, **SMALL | {"X": X, "y": y, "w2": w2, "n_iter": n_iter})
        assert (trace.outputs.shape, trace.outputs.dtype) == (shape, np.float64)
        if technique in ("backprop", *EXPANDABLE):
            assert [weights.shape for weights in trace.expand()] == [(3, 2), np.shape(w2)]


@pytest.mark.parametrize("technique", ["backprop", *EXPANDABLE])
def test_no_iterations_leave_the_network_as_it_was(technique: str) -> None:
    """n_iter=0 gives no outputs, and the initial weights."""
    trace = train(technique, **SMALL | {"n_iter": 0})
    assert trace.outputs.size == 0
    for actual, initial in zip(trace.expand(), (SMALL["W1"], SMALL["w2"]), strict=True):
        np.testing.assert_allclose(actual, initial, rtol=1e-15, atol=1e-16)


@pytest.mark.parametrize("technique", ["backprop", *EXPANDABLE])
def test_expand_gives_new_arrays(technique: str) -> None:
    """What expand() returns may be changed without changing the trace."""
    trace = train(technique, **SMALL)
    first = [weights.copy() for weights in trace.expand()]
    for weights in trace.expand():
        weights[:] = np.nan
    for again, before in zip(trace.expand(), first, strict=True):
        np.testing.assert_array_equal(again, before)


@pytest.mark.parametrize("technique", ["backprop", *ONE_INPUT, *SEVERAL_INPUTS])
def test_arguments_are_not_modified(technique: str) -> None:
    """Arrays that need no conversion are used, never written to."""
    given = {name: np.array(SMALL[name], dtype=float) for name in ("X", "y", "W1", "w2")}
    kept = {name: array.copy() for name, array in given.items()}
    train(technique, **SMALL | given)
    for name, array in given.items():
        np.testing.assert_array_equal(array, kept[name], err_msg=name)


def read_only(array: np.ndarray) -> np.ndarray:
    array = array.copy()
    array.flags.writeable = False
    return array


def every_other(array: np.ndarray) -> np.ndarray:
    return np.repeat(array, 2, axis=-1)[..., ::2]


INPUT_FORMS = {
    "lists": np.ndarray.tolist,
    "float32": np.float32,
    "int": np.int64,
    "Fortran order": np.asfortranarray,
    "read-only": read_only,
    "every other column": every_other,
    "reversed": lambda array: array[..., ::-1].copy()[..., ::-1],
    "big-endian": lambda array: array.astype(">f8"),
}


@pytest.mark.parametrize("technique", ["backprop", *ONE_INPUT, *SEVERAL_INPUTS])
@pytest.mark.parametrize("convert", INPUT_FORMS.values(), ids=INPUT_FORMS.keys())
def test_forms_of_input(technique: str, convert: Callable[[np.ndarray], Any]) -> None:
    """Same numbers, same bits, in whatever form they come."""
    X = [[1.0, 2.0]] if technique in ONE_INPUT else [[1.0, 2.0], [3.0, -1.0], [0.0, 1.0]]
    # Integers, so that every form can hold them.
    data = {"X": X, "y": [[3.0], [-2.0], [5.0]][: len(X)], "W1": [[1.0, 2.0], [3.0, -1.0], [1.0, -4.0]]}
    data = {name: np.array(array) for name, array in (data | {"w2": [[1.0, -1.0, 2.0]]}).items()}
    rest = {"eta": 0.01, "n_iter": 30}
    expected = train(technique, **data, **rest).outputs
    actual = train(technique, **{name: convert(array) for name, array in data.items()}, **rest).outputs
    assert actual.dtype == np.float64
    np.testing.assert_array_equal(actual, expected)


def test_numpy_scalars_are_numbers() -> None:
    """NumPy's scalars are accepted for eta and n_iter."""
    expected = paper.train_backprop(**SMALL).outputs
    actual = paper.train_backprop(**SMALL | {"eta": np.float64(0.1), "n_iter": np.int32(8)}).outputs
    np.testing.assert_array_equal(actual, expected)


# ----------------------------------------------------------------------------------------------------------------------
# divergence

# Found by trying: y grows until it overflows.
DIVERGING = {
    "one output": ([[1.0, 0.5]], [[1.0]], SMALL["W1"], [SMALL["w2"]], 1e300, "simultaneous"),
    "two outputs": ([[1.0, 0.5]], [[1.0, 2.0]], SMALL["W1"], [SMALL["w2"], [0.5, 0.1, 0.2]], 1e300, "simultaneous"),
    "sequential": ([[1.0, 1.0]], [[1.0]], [[1.0, 0.0], [0.0, 1.0]], [[2.0, -2.0]], 0.5, "sequential"),
    "two inputs": ([[1.0, 0.5], [0.5, 1.0]], [[1.0], [-1.0]], [[0.5, 0.5], [0.5, -0.5]], [[1, 1]], 0.5, "sequential"),
}
EXACT = ("weights", "compensation", "closed_form", "states", "contributions", "sum_difference")


@pytest.mark.parametrize("name", DIVERGING)
@pytest.mark.parametrize("technique", ["backprop", *EXACT])
def test_divergence_is_reported(technique: str, name: str) -> None:
    """The iteration is the one where equations 9-16 overflow, later outputs are NaN, and there is nothing to expand."""
    *arrays, eta, order = DIVERGING[name]
    X, y, W1, w2 = (np.array(array, dtype=float) for array in arrays)
    if (technique in ONE_INPUT and len(X) > 1) or (technique == "closed_form" and order == "sequential"):
        pytest.skip("not covered by this technique")
    with np.errstate(over="ignore", invalid="ignore"):
        reference = by_equations(X, y, W1, w2, eta, 30, order)[0]
    first = int(np.argmin(np.isfinite(reference).all(axis=1)))
    assert first > 0
    trace = train(technique, X=X, y=y, W1=W1, w2=w2, eta=eta, n_iter=30, order=order)
    assert trace.diverged_at == first
    assert np.isfinite(trace.outputs[:first]).all()
    assert np.isnan(trace.outputs[first:]).all()
    with pytest.raises(DivergenceError, match=rf"iteration {first}\b"):
        trace.expand()


@pytest.mark.parametrize("technique", ["backprop", *EXACT])
@pytest.mark.parametrize("y", [[1.0], [[1.0, -1.0]]], ids=["one output", "two outputs"])
def test_divergence_at_once(technique: str, y: list[Any]) -> None:
    """Weights so large that the first output already overflows."""
    w2 = np.full((np.size(y), 2), 1e200)
    trace = train(technique, X=[[1.0, 1.0]], y=y, W1=np.full((2, 2), 1e200), w2=w2, eta=0.1, n_iter=3)
    assert trace.diverged_at == 0
    assert np.isnan(trace.outputs).all()


@pytest.mark.parametrize("technique", ["backprop", *EXACT])
def test_divergence_in_the_last_update(technique: str) -> None:
    """All outputs are finite but the weights are not any more: that is never handed out as a network."""
    trace = train(technique, **SMALL | {"y": [1e10], "eta": 1e300, "n_iter": 1})
    assert np.isfinite(trace.outputs).all()
    with pytest.raises(DivergenceError):
        trace.expand()


# ----------------------------------------------------------------------------------------------------------------------
# errors

TWO_SAMPLES = {"X": [[1.0, 0.5], [0.5, 1.0]], "y": [1.0, 0.0]}
BAD_ARGUMENTS = [
    ("X is a number", {"X": 1.0}, ValueError, r"\bX\b.*shape \(\)"),
    ("X has three dimensions", {"X": np.ones((1, 1, 2))}, ValueError, r"\bX\b.*shape \(1, 1, 2\)"),
    ("X has no samples", {"X": np.ones((0, 2)), "y": []}, ValueError, r"\bX\b is empty.*\(0, 2\)"),
    ("X has no features", {"X": np.ones((1, 0)), "W1": np.ones((3, 0))}, ValueError, r"\bX\b is empty.*\(1, 0\)"),
    ("X has NaN", {"X": [[1.0, np.nan]]}, ValueError, r"\bX\b holds 1 value"),
    ("X has infinity", {"X": [[np.inf, -np.inf]]}, ValueError, r"\bX\b holds 2 value"),
    ("X is None", {"X": None}, TypeError, r"\bX\b"),
    ("X holds text", {"X": [["a", "b"]]}, TypeError, r"\bX\b"),
    ("X is complex", {"X": [[1j, 1.0]]}, TypeError, r"\bX\b.*complex"),
    ("X is ragged", {"X": [[1.0, 2.0], [3.0]], "y": [1.0, 2.0]}, (TypeError, ValueError), r"\bX\b"),
    ("y is too short", {"X": TWO_SAMPLES["X"]}, ValueError, r"\bX\b has 2.*\by\b has 1"),
    ("y is too long", {"y": [1.0, 2.0]}, ValueError, r"\bX\b has 1.*\by\b has 2"),
    ("y has three dimensions", {"y": np.ones((1, 1, 1))}, ValueError, r"\by\b.*shape \(1, 1, 1\)"),
    ("y has no outputs", {"y": np.ones((1, 0))}, ValueError, r"\by\b.*\(1, 0\)"),
    ("y has NaN", {"y": [np.nan]}, ValueError, r"\by\b holds 1"),
    ("y holds text", {"y": ["a"]}, TypeError, r"\by\b"),
    ("W1 is a vector", {"W1": [0.5, 0.2]}, ValueError, r"\bW1\b.*shape \(2,\)"),
    ("W1 has another number of features", {"W1": np.ones((3, 3))}, ValueError, r"\bW1\b.*\(3, 3\).*2 feature"),
    ("W1 is empty", {"W1": np.ones((0, 2)), "w2": []}, ValueError, r"\bW1\b.*\(0, 2\)"),
    ("W1 has NaN", {"W1": np.full((3, 2), np.nan)}, ValueError, r"\bW1\b holds 6"),
    ("w2 has another number of units", {"w2": [0.4, 0.9]}, ValueError, r"\bw2\b.*\(2,\).*3 hidden unit"),
    ("w2 is transposed", {"w2": [[0.4], [0.9], [0.1]]}, ValueError, r"\bw2\b.*\(3, 1\).*\(1, 3\)"),
    ("w2 has another number of outputs", {"w2": np.ones((2, 3))}, ValueError, r"\bw2\b.*\(2, 3\).*1 output"),
    ("w2 has too few outputs", {"y": [[1.0, 2.0]]}, ValueError, r"\bw2\b.*\(3,\).*2 output.*\(2, 3\)"),
    ("w2 has infinity", {"w2": [np.inf, 0.0, 0.0]}, ValueError, r"\bw2\b holds 1"),
    ("eta is 0", {"eta": 0.0}, ValueError, r"\beta\b.*> 0"),
    ("eta is negative", {"eta": -0.1}, ValueError, r"\beta\b.*-0\.1"),
    ("eta is NaN", {"eta": float("nan")}, ValueError, r"\beta\b.*nan"),
    ("eta is infinite", {"eta": float("inf")}, ValueError, r"\beta\b.*inf"),
    ("eta is text", {"eta": "0.1"}, TypeError, r"\beta\b"),
    ("eta is a bool", {"eta": True}, TypeError, r"\beta\b"),
    ("n_iter is negative", {"n_iter": -1}, ValueError, r"\bn_iter\b.*-1"),
    ("n_iter is a float", {"n_iter": 8.0}, TypeError, r"\bn_iter\b.*8\.0"),
    ("n_iter is a bool", {"n_iter": True}, TypeError, r"\bn_iter\b"),
    ("order is unknown", {"order": "random"}, ValueError, r"\border\b.*'random'.*'simultaneous', 'sequential'"),
    ("order is None", {"order": None}, ValueError, r"\border\b"),
]


@pytest.mark.parametrize("technique", ["backprop", "weights", "contributions"])
@pytest.mark.parametrize(
    ("change", "exception", "message"), [case[1:] for case in BAD_ARGUMENTS], ids=[case[0] for case in BAD_ARGUMENTS]
)
def test_bad_arguments(technique: str, change: dict[str, Any], exception: type[Exception], message: str) -> None:
    """Each wrong argument has its exception, and a message that names it."""
    if technique == "weights" and change.get("X") is TWO_SAMPLES["X"]:
        pytest.skip("several inputs are an error of their own for this technique")
    with pytest.raises(exception, match=message):
        train(technique, **SMALL | change)


@pytest.mark.parametrize("technique", ["backprop", "exact", "Weights", "", None, 3])
def test_unknown_technique(technique: Any) -> None:
    """The message lists the techniques there are."""
    with pytest.raises(ValueError, match=r"\btechnique\b.*'weights'.*'sum_difference_literal'"):
        paper.train_front(**SMALL, technique=technique)


@pytest.mark.parametrize("technique", ONE_INPUT)
def test_one_input_techniques_refuse_several(technique: str) -> None:
    """The message says how many inputs X has and what to use instead."""
    with pytest.raises(ValueError, match=rf"'{technique}' is for one input, X has 2.*'contributions'"):
        paper.train_front(**SMALL | TWO_SAMPLES, technique=technique)


@pytest.mark.parametrize("y", [[1.0], [[1.0, 2.0]]], ids=["one output", "two outputs"])
def test_closed_form_refuses_the_sequential_order(y: list[Any]) -> None:
    """Its two scalars, or its matrix, exist for simultaneous updates only, and the message says so."""
    arguments = SMALL | {"y": y, "w2": np.ones((np.size(y), 3)), "order": "sequential"}
    with pytest.raises(ValueError, match=r"'closed_form'.*order='sequential'.*'weights'"):
        paper.train_front(**arguments, technique="closed_form")


def test_printed_form_refuses_several_outputs() -> None:
    """The paper prints it for one output."""
    with pytest.raises(ValueError, match=r"'printed_form' is for one output.*\by\b has 2"):
        paper.train_front(**SMALL | {"y": [[1.0, 2.0]], "w2": np.ones((2, 3))}, technique="printed_form")


@pytest.mark.parametrize("technique", ["sum_difference", "sum_difference_literal"])
@pytest.mark.parametrize("d", [1, 3])
def test_sum_difference_needs_two_features(technique: str, d: int) -> None:
    """A sum and a difference are coordinates of two features."""
    with pytest.raises(ValueError, match=rf"'{technique}'.*two features.*\bX\b has {d}"):
        paper.train_front(**SMALL | {"X": np.ones((1, d)), "W1": np.ones((3, d))}, technique=technique)


def test_literal_sum_difference_cannot_be_expanded() -> None:
    """Its coordinates no longer determine the weights, and the message says so."""
    trace = paper.train_front(**SMALL, technique="sum_difference_literal")
    with pytest.raises(ValueError, match=r"'sum_difference_literal' cannot be expanded"):
        trace.expand()
