"""Networks of any depth: every layer collapsed by its history is backpropagation; the balance law of homogeneous networks."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fcfast import DivergenceError, paper

Floats = np.ndarray
Weights = list[Floats]

# Widths from the features to the outputs, N samples, steps.
CHAINS = [
    ((3, 2), 3, 40),  # no hidden layer
    ((2, 2, 1), 4, 100),
    ((6, 5, 3), 1, 60),
    ((8, 7, 5, 1), 5, 100),
    ((5, 9, 3, 4, 2), 3, 80),  # a bottleneck
    ((4, 6, 6, 6, 6, 3), 7, 100),
    ((50, 16, 12, 8, 2), 10, 200),
]


def random_weights(rng: np.random.Generator, widths: Sequence[int]) -> Weights:
    """Weights that keep every layer alive: a unit of positive weights in each answers what is positive below."""
    weights = [rng.normal(size=(n_out, n_in)) * (2 / n_in) ** 0.5 for n_in, n_out in pairwise(widths)]
    for matrix in weights:
        matrix[0] = np.abs(matrix[0])
    return weights


def random_problem(seed: int, widths: Sequence[int], N: int, n_iter: int) -> dict[str, Any]:
    """A network, and data it can learn."""
    rng = np.random.default_rng([seed, *widths, N])
    X, y = np.abs(rng.normal(size=(N, widths[0]))), rng.normal(size=(N, widths[-1]))
    eta = 0.05 / (len(widths) * (X**2).sum(axis=1).max())
    return {"weights": random_weights(rng, widths), "X": X, "y": y, "eta": eta, "n_iter": n_iter}


def assert_close(actual: Floats, expected: Floats, tolerance: float) -> None:
    """Compare relative to the largest expected value."""
    assert actual.shape == expected.shape
    assert np.abs(actual - expected).max() <= tolerance * np.abs(expected).max()


def by_numpy(weights: Weights, X: Floats, y: Floats, eta: float, n_iter: int) -> tuple[Floats, Weights]:
    """Online backpropagation: ReLU hidden layers, linear outputs, half the squared distance."""
    weights, outputs = [matrix.copy() for matrix in weights], []
    for t in range(n_iter):
        values = [X[t % len(X)]]
        for matrix in weights[:-1]:
            values.append(np.maximum(matrix @ values[-1], 0))
        outputs.append(weights[-1] @ values[-1])
        delta, gradients = outputs[-1] - y[t % len(X)], []
        for matrix, value in zip(weights[::-1], values[::-1], strict=True):
            gradients.insert(0, np.outer(delta, value))
            delta = (matrix.T @ delta) * (value > 0)
        weights = [matrix - eta * gradient for matrix, gradient in zip(weights, gradients, strict=True)]
    return np.array(outputs), weights


def by_torch(weights: Weights, X: Floats, y: Floats, eta: float, n_iter: int) -> tuple[Floats, Weights]:
    """PyTorch's layers, autograd and SGD."""
    torch = pytest.importorskip("torch")
    layers: list[Any] = []
    for matrix in weights:
        linear = torch.nn.Linear(*matrix.shape[::-1], bias=False, dtype=torch.float64)
        linear.weight.data.copy_(torch.from_numpy(matrix))
        layers += [linear, torch.nn.ReLU()]
    network = torch.nn.Sequential(*layers[:-1])
    optimizer = torch.optim.SGD(network.parameters(), lr=eta)
    inputs, targets, outputs = torch.from_numpy(X), torch.from_numpy(y), []
    for t in range(n_iter):
        output = network(inputs[t % len(X)])
        outputs.append(output.detach().numpy())
        optimizer.zero_grad()
        (((output - targets[t % len(X)]) ** 2).sum() / 2).backward()
        optimizer.step()
    return np.array(outputs), [parameter.detach().numpy() for parameter in network.parameters()]


# ----------------------------------------------------------------------------------------------------------------------
# collapse


@pytest.mark.parametrize("reference", [by_numpy, by_torch])
@pytest.mark.parametrize(("widths", "N", "n_iter"), CHAINS, ids=[str(chain[0]) for chain in CHAINS])
def test_every_depth_is_backpropagation(
    widths: tuple[int, ...],
    N: int,
    n_iter: int,
    reference: Callable[..., tuple[Floats, Weights]],
    global_random_seed: int,
) -> None:
    """However many layers are frozen: same outputs, and the same weights when expanded."""
    problem = random_problem(global_random_seed, widths, N, n_iter)
    outputs, weights = reference(**problem)
    assert all(np.abs(last - first).max() > 1e-6 for last, first in zip(weights, problem["weights"], strict=True))
    n_layers = len(weights)
    for depth in (*range(n_layers + 1), "all"):
        result = paper.collapse(**problem, depth=depth)
        assert result.diverged_at is None
        assert result.depth == (n_layers if depth == "all" else depth)
        assert_close(result.outputs, outputs, 1e-12)
        for actual, expected in zip(result.expand(), weights, strict=True):
            assert_close(actual, expected, 1e-12)


@given(
    widths=st.lists(st.integers(1, 7), min_size=2, max_size=6), N=st.integers(1, 5), seed=st.integers(0, 2**32 - 1),
    repeated=st.booleans(),
)  # fmt: skip
def test_depths_agree(widths: list[int], N: int, seed: int, repeated: bool) -> None:
    """Any shape, one sample or repeated ones too: freezing all layers and freezing none is the same."""
    problem = random_problem(seed, widths, N, 50)
    if repeated:
        problem["X"][1:] = problem["X"][0]
    none, every = (paper.collapse(**problem, depth=depth) for depth in (0, "all"))
    np.testing.assert_allclose(every.outputs, none.outputs, rtol=1e-11, atol=1e-13)
    for actual, expected in zip(every.expand(), none.expand(), strict=True):
        np.testing.assert_allclose(actual, expected, rtol=1e-11, atol=1e-13)


def test_two_layers_are_the_paper(global_random_seed: int) -> None:
    """With two layers it is `train_backprop`, and with the first one frozen its technique "contributions"."""
    problem = random_problem(global_random_seed, (3, 8, 2), 4, 60)
    (W1, w2), rest = problem["weights"], {key: problem[key] for key in ("X", "y", "eta", "n_iter")}
    trace = paper.train_front(W1=W1, w2=w2, **rest, technique="contributions")
    for depth in (0, 1, 2):
        assert_close(paper.collapse(**problem, depth=depth).outputs, trace.outputs, 1e-13)


def test_default_is_every_layer() -> None:
    """The default depth is "all"."""
    assert paper.collapse(**random_problem(0, (3, 4, 2), 2, 5)).depth == 2


def test_output_shapes() -> None:
    """One column per output if y has two dimensions, else none; one input may come without its axis."""
    weights = [np.ones((3, 2)), np.ones((1, 3))]
    for X, y, shape in [([1.0, 2.0], 1.0, (6,)), ([[1.0, 2.0]], [1.0], (6,)), ([[1.0, 2.0]], [[1.0]], (6, 1))]:
        assert paper.collapse(weights, X, y, eta=0.01, n_iter=6).outputs.shape == shape


def test_no_iterations_leave_the_network_as_it_was() -> None:
    """n_iter=0 gives no outputs, and the initial weights."""
    problem = random_problem(0, (3, 4, 2), 2, 0)
    result = paper.collapse(**problem)
    assert result.outputs.shape == (0, 2)
    for actual, initial in zip(result.expand(), problem["weights"], strict=True):
        np.testing.assert_array_equal(actual, initial)


@pytest.mark.parametrize("depth", [0, 1, 3])
def test_arrays_are_neither_modified_nor_shared(depth: int) -> None:
    """Arguments keep their values, and what expand() returns may be changed."""
    problem = random_problem(0, (3, 4, 4, 2), 2, 20)
    given_arrays = [*problem["weights"], problem["X"], problem["y"]]
    kept = [array.copy() for array in given_arrays]
    result = paper.collapse(**problem, depth=depth)
    first = [weights.copy() for weights in result.expand()]
    for weights in result.expand():
        weights[:] = np.nan
    for array, before in zip([*given_arrays, *result.expand()], [*kept, *first], strict=True):
        np.testing.assert_array_equal(array, before)


def test_bytes_by_hand() -> None:
    """3-4-2-1 network, 5 samples, 7 steps: what replaces the updates of each layer, against its weights."""
    problem = random_problem(0, (3, 4, 2, 1), 5, 7)
    weights = (8 * 4 * 3, 8 * 2 * 4, 8 * 1 * 2)
    # First layer: contributions and pre-activations 5 x 4, Gram matrix 5 x 5. Later ones: 7 pairs (step, input).
    history = (8 * (5 * 4 + 5 * 4 + 5 * 5), 8 * 7 * (2 + 4), 8 * 7 * (1 + 2))
    for depth in range(4):
        result = paper.collapse(**problem, depth=depth)
        assert result.weight_bytes == weights
        assert result.history_bytes == history[:depth] + weights[depth:]


def test_history_of_the_first_layer_does_not_grow() -> None:
    """One row per sample, however many steps; the later layers' history grows with every step."""
    short, long = (paper.collapse(**random_problem(0, (3, 4, 2), 5, n_iter)).history_bytes for n_iter in (10, 30))
    assert short[0] == long[0]
    assert 3 * short[1] == long[1]


def diverging_problem(eta: float) -> dict[str, Any]:
    """Found by trying: the outputs grow until they overflow, before all units are dead."""
    rng = np.random.default_rng([23, 4, 6, 5, 2, 3])
    X, y = rng.normal(size=(3, 4)), rng.normal(size=(3, 2))
    weights = [rng.normal(size=shape) * (2 / shape[1]) ** 0.5 for shape in ((6, 4), (5, 6), (2, 5))]
    return {"weights": weights, "X": X, "y": y, "eta": eta, "n_iter": 30}


@pytest.mark.parametrize("depth", [0, 1, 2, "all"])
@pytest.mark.parametrize("eta", [5.0, 1e150])
def test_divergence_is_reported(depth: int | str, eta: float) -> None:
    """The iteration is the one where backpropagation overflows, later outputs are NaN, and there is nothing to expand."""
    problem = diverging_problem(eta)
    with np.errstate(over="ignore", invalid="ignore"):
        finite = np.isfinite(by_numpy(**problem)[0]).all(axis=1)
    first = int(np.argmin(finite))
    assert 0 < first < 30
    result = paper.collapse(**problem, depth=depth)
    assert result.diverged_at == first
    assert np.isfinite(result.outputs[:first]).all()
    assert np.isnan(result.outputs[first:]).all()
    with pytest.raises(DivergenceError, match=rf"iteration {first}\b"):
        result.expand()


@pytest.mark.parametrize("depth", [0, 1, "all"])
def test_divergence_in_the_last_step(depth: int | str) -> None:
    """All outputs are finite but the weights are not any more: that is never handed out as a network."""
    problem = random_problem(0, (3, 4, 2), 2, 1)
    result = paper.collapse(**problem | {"y": 1e10 * problem["y"], "eta": 1e300}, depth=depth)
    assert np.isfinite(result.outputs).all()
    with pytest.raises(DivergenceError):
        result.expand()


COLLAPSE = {"weights": [[[0.5, 0.2]], [[0.4]]], "X": [[1.0, 0.5]], "y": [1.0], "eta": 0.1, "n_iter": 3}
BAD_COLLAPSE = [
    ({"depth": 3}, ValueError, r"\bdepth\b=3.*2 layer"),
    ({"depth": -1}, ValueError, r"\bdepth\b.*-1"),
    ({"depth": 1.0}, TypeError, r"\bdepth\b.*1\.0"),
    ({"depth": True}, TypeError, r"\bdepth\b"),
    ({"depth": None}, TypeError, r"\bdepth\b"),
    ({"depth": "first"}, ValueError, r"\bdepth\b='first'.*'all'"),
    ({"eta": -1}, ValueError, r"\beta\b"),
    ({"n_iter": -1}, ValueError, r"\bn_iter\b"),
    ({"n_iter": 3.0}, TypeError, r"\bn_iter\b"),
    ({"X": [[np.nan, 1.0]]}, ValueError, r"\bX\b"),
    ({"X": np.ones((0, 2)), "y": []}, ValueError, r"\bX\b is empty"),
    ({"y": [1.0, 2.0]}, ValueError, r"\by\b has 2"),
    ({"y": [[1.0, 2.0]]}, ValueError, r"weights.*\(1, 1\).*\by\b has 2"),
    ({"weights": []}, ValueError, r"\bweights\b is empty"),
    ({"weights": None}, TypeError, r"\bweights\b"),
    ({"weights": [[[0.5, 0.2]], [[0.4, 0.1]]]}, ValueError, r"weights\[1\].*\(1, 2\).*1 unit"),
    ({"weights": [[[0.5, 0.2, 0.1]], [[0.4]]]}, ValueError, r"weights\[0\].*\(1, 3\).*2 feature"),
    ({"weights": [[0.5, 0.2], [[0.4]]]}, ValueError, r"weights\[0\].*shape \(2,\)"),
    ({"weights": [[[0.5, np.inf]], [[0.4]]]}, ValueError, r"weights\[0\] holds 1"),
    ({"weights": [[[0.5, 0.2]], [["a"]]]}, TypeError, r"weights\[1\]"),
    ({"weights": [np.ones((0, 2)), np.ones((1, 0))]}, ValueError, r"weights\[0\] is empty"),
]


@pytest.mark.parametrize(("change", "exception", "message"), BAD_COLLAPSE, ids=lambda value: str(value)[:40])
def test_bad_arguments_of_collapse(change: dict[str, Any], exception: type[Exception], message: str) -> None:
    """Each wrong argument has its exception, and a message that names it."""
    with pytest.raises(exception, match=message):
        paper.collapse(**COLLAPSE | change)


# ----------------------------------------------------------------------------------------------------------------------
# balance

ACTIVATIONS = ("relu", "leaky_relu", "identity")


def random_batch(seed: int, widths: Sequence[int], bias: bool) -> dict[str, Any]:
    """A network with or without biases, and one batch of data."""
    problem = random_problem(seed, widths, 9, 1)
    rng = np.random.default_rng(seed)
    biases = [rng.normal(size=n_out) for n_out in widths[1:]] if bias else None
    return {"weights": problem["weights"], "X": problem["X"], "y": problem["y"], "biases": biases}


@given(
    widths=st.lists(st.integers(1, 8), min_size=3, max_size=6), activation=st.sampled_from(ACTIVATIONS),
    bias=st.booleans(), n_iter=st.integers(1, 20), seed=st.integers(0, 2**32 - 1),
)  # fmt: skip
def test_balance_law(widths: list[int], activation: str, bias: bool, n_iter: int, seed: int) -> None:
    """Any depth, any homogeneous activation, with biases or without: measured is as predicted, up to rounding."""
    batch = random_batch(seed, widths, bias)
    result = paper.balance(**batch, eta=0.01, n_iter=n_iter, activation=activation)
    assert [len(part) for part in result.measured] == [len(part) for part in result.predicted] == widths[1:-1]
    scale = max(1.0, *((weights**2).sum() for weights in batch["weights"]))
    assert result.error < 1e-13 * scale


def unit_balance(weights: Weights, biases: Weights | None) -> Weights:
    """||w_in||^2 - ||w_out||^2 of every hidden unit, biases counted into w_in."""
    offsets = biases if biases is not None else [np.zeros(len(matrix)) for matrix in weights]
    return [
        (lower**2).sum(axis=1) + offset**2 - (upper**2).sum(axis=0)
        for (lower, upper), offset in zip(pairwise(weights), offsets[:-1], strict=True)
    ]


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("bias", [False, True])
def test_balance_is_that_of_torch(activation: str, bias: bool, global_random_seed: int) -> None:
    """What is measured and what is predicted, each from PyTorch's own steps on the mean of half the squared distances."""
    torch = pytest.importorskip("torch")
    batch = random_batch(global_random_seed, (6, 5, 4, 3), bias)
    weights, X, y, biases = batch.values()
    parameters = [torch.from_numpy(array.copy()).requires_grad_() for array in (*weights, *(biases or []))]
    functions = {"relu": torch.relu, "leaky_relu": torch.nn.functional.leaky_relu, "identity": lambda s: s}
    optimizer = torch.optim.SGD(parameters, lr=0.002)

    def balance_of(arrays: Weights) -> Floats:
        return np.concatenate(unit_balance(arrays[:3], arrays[3:] or None))

    predicted = 0.0
    for _ in range(5):
        v = torch.from_numpy(X)
        for l, matrix in enumerate(parameters[:3]):
            s = v @ matrix.T + (parameters[3 + l] if bias else 0)
            v = functions[activation](s) if l < 2 else s
        optimizer.zero_grad()
        (((v - torch.from_numpy(y)) ** 2).sum() / 2 / len(X)).backward()
        predicted += 0.002**2 * balance_of([parameter.grad.numpy() for parameter in parameters])
        optimizer.step()
    measured = balance_of([parameter.detach().numpy() for parameter in parameters])
    measured -= balance_of([*weights, *(biases or [])])
    result = paper.balance(**batch, eta=0.002, n_iter=5, activation=activation)
    assert_close(np.concatenate(result.predicted), predicted, 1e-12)
    np.testing.assert_allclose(np.concatenate(result.measured), measured, rtol=0, atol=1e-13)


@pytest.mark.parametrize("bias", [False, True])
def test_balance_moves_with_the_square_of_the_learning_rate(bias: bool, global_random_seed: int) -> None:
    """One step moves it by eta^2; so over a fixed time eta x steps it moves by eta, and is constant in the limit."""
    batch = random_batch(global_random_seed, (5, 7, 6, 2), bias)

    def moved(eta: float, n_iter: int) -> float:
        return max(np.abs(part).max() for part in paper.balance(**batch, eta=eta, n_iter=n_iter).measured)

    assert moved(1e-2, 1) / moved(1e-3, 1) == pytest.approx(100, rel=1e-6)
    assert moved(1e-3, 20) / moved(1e-4, 200) == pytest.approx(10, rel=0.2)
    assert moved(1e-3, 20) > 1e-7


def test_balance_needs_simultaneous_updates(global_random_seed: int) -> None:
    """By hand: the law predicts a simultaneous step, not one that uses the already updated final weights."""
    eta, batch = 0.05, random_batch(global_random_seed, (4, 6, 1), bias=False)
    (W1, w2), X, y, _ = batch.values()
    predicted = paper.balance(**batch, eta=eta).predicted[0]
    V = np.maximum(X @ W1.T, 0)
    D = (V @ w2.T - y) / len(X)
    w2_next = w2 - eta * D.T @ V

    def measured(above: Floats) -> Floats:
        W1_next = W1 - eta * ((D @ above) * (V > 0)).T @ X
        return unit_balance([W1_next, w2_next], None)[0] - unit_balance([W1, w2], None)[0]

    scale = np.abs(predicted).max()
    assert np.abs(measured(w2) - predicted).max() < 1e-10 * scale
    assert np.abs(measured(w2_next) - predicted).max() > 0.1 * scale


def test_no_steps_move_nothing() -> None:
    """n_iter=0: nothing is measured and nothing predicted."""
    result = paper.balance(**random_batch(0, (3, 4, 1), bias=True), eta=0.1, n_iter=0)
    assert (np.concatenate(result.measured + result.predicted) == 0).all()
    assert result.error == 0


def test_error_is_the_largest_difference() -> None:
    """Over all layers and units."""
    result = paper.Balance((np.array([1.0, 2.0]), np.array([0.5])), (np.array([1.0, 2.25]), np.array([1.25])))
    assert result.error == 0.75


def test_balance_modifies_no_argument() -> None:
    """The network is trained on copies."""
    batch = random_batch(0, (3, 4, 1), bias=True)
    arrays = [*batch["weights"], *batch["biases"], batch["X"], batch["y"]]
    kept = [array.copy() for array in arrays]
    paper.balance(**batch, eta=0.1, n_iter=3)
    for array, before in zip(arrays, kept, strict=True):
        np.testing.assert_array_equal(array, before)


def test_balance_of_a_diverging_run() -> None:
    """An error, not a NaN nor a warning."""
    with pytest.raises(DivergenceError, match=r"iteration \d+"):
        paper.balance(**random_batch(0, (3, 4, 4, 1), bias=False), eta=10.0, n_iter=50, activation="identity")


BALANCE = {"weights": [[[0.5, 0.2]], [[0.4]]], "X": [[1.0, 0.5]], "y": [1.0], "eta": 0.1}
BAD_BALANCE = [
    ({"activation": "tanh"}, ValueError, r"\bactivation\b='tanh' is not positively homogeneous.*'relu'"),
    ({"activation": "logistic"}, ValueError, r"\bactivation\b='logistic' is not positively homogeneous"),
    ({"activation": None}, ValueError, r"\bactivation\b"),
    ({"weights": [[[0.5, 0.2]]]}, ValueError, r"\bweights\b has one layer"),
    ({"weights": [[[0.5, 0.2]], [[0.4, 0.1]]]}, ValueError, r"weights\[1\]"),
    ({"biases": [[0.1]]}, ValueError, r"\bbiases\b.*\[1\].*\[1, 1\]"),
    ({"biases": [[0.1], [0.1, 0.2]]}, ValueError, r"\bbiases\b.*\[1, 2\].*\[1, 1\]"),
    ({"biases": [[np.nan], [0.1]]}, ValueError, r"biases\[0\]"),
    ({"y": [[1.0, 2.0]]}, ValueError, r"\by\b has 2 output"),
    ({"eta": 0.0}, ValueError, r"\beta\b"),
    ({"eta": float("nan")}, ValueError, r"\beta\b"),
    ({"n_iter": -1}, ValueError, r"\bn_iter\b"),
    ({"n_iter": 1.0}, TypeError, r"\bn_iter\b"),
]


@pytest.mark.parametrize(("change", "exception", "message"), BAD_BALANCE, ids=lambda value: str(value)[:40])
def test_bad_arguments_of_balance(change: dict[str, Any], exception: type[Exception], message: str) -> None:
    """Each wrong argument has its exception, and a message that names it and says why."""
    with pytest.raises(exception, match=message):
        paper.balance(**BALANCE | change)
