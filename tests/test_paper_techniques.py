"""The techniques train the network that backpropagation trains, except those that the paper prints wrongly."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from fcfast import paper

ONE_INPUT = ("weights", "compensation", "closed_form")
SEVERAL_INPUTS = ("states", "contributions", "sum_difference")
EXACT = ONE_INPUT + SEVERAL_INPUTS
ORDERS = ("simultaneous", "sequential")

OUTPUTS, WEIGHTS = 1e-12, 1e-10  # tolerances, relative to the largest value


def orders_of(technique: str) -> tuple[str, ...]:
    """The orders of updates a technique covers."""
    return ORDERS[:1] if technique == "closed_form" else ORDERS


def random_problem(seed: int | list[int], h: int, d: int, N: int, c: int) -> dict[str, Any]:
    """Random data and weights, and a learning rate for that size."""
    rng = np.random.default_rng(seed)
    X, y = rng.uniform(-1, 1, (N, d)), rng.uniform(-2, 2, (N, c))
    W1, w2 = rng.uniform(-1, 1, (h, d)), rng.uniform(-1, 1, (c, h))
    return {"X": X, "y": y, "W1": W1, "w2": w2, "eta": 0.1 / (h * max(1, d / 3)), "n_iter": 120}


def assert_close(actual: np.ndarray, expected: np.ndarray, tolerance: float) -> None:
    """Compare relative to the largest expected value; exactly where all of them are 0."""
    assert actual.shape == expected.shape
    assert np.abs(actual - expected).max() <= tolerance * np.abs(expected).max()


def assert_trains_the_same(technique: str, problem: dict[str, Any]) -> paper.Trace:
    """Compare a technique with backpropagation, every output and the final weights; returns the latter's trace."""
    reference = paper.train_backprop(**problem)
    trace = paper.train_front(**problem, technique=technique)
    assert reference.diverged_at is None
    assert trace.diverged_at is None
    assert_close(trace.outputs, reference.outputs, OUTPUTS)
    for actual, expected in zip(trace.expand(), reference.expand(), strict=True):
        assert_close(actual, expected, WEIGHTS)
    return reference


def deaths(problem: dict[str, Any], trace: paper.Trace) -> int:
    """Number of hidden units that answered some input at the start and none at the end."""
    before, after = ((problem["X"] @ W1.T > 0).any(axis=0) for W1 in (problem["W1"], trace.expand()[0]))
    return int((before & ~after).sum())


def far_targets(problem: dict[str, Any], distance: float) -> np.ndarray:
    """Targets (1, c) on the other side of 0 than the outputs are: many units must die to get there."""
    outputs = np.maximum(problem["X"] @ problem["W1"].T, 0) @ problem["w2"].T
    return -distance * np.sign(outputs.sum(axis=0, keepdims=True))


# ----------------------------------------------------------------------------------------------------------------------
# exact techniques


@st.composite
def problems(draw: st.DrawFn, technique: str) -> dict[str, Any]:
    """Random problems of every size a technique covers, degenerate ones among them."""
    N = 1 if technique in ONE_INPUT else draw(st.integers(1, 6))
    d = 2 if technique == "sum_difference" else draw(st.integers(1, 6))
    h, c = draw(st.integers(1, 40)), draw(st.integers(1, 3))
    problem = random_problem(draw(st.integers(0, 2**32 - 1)), h, d, N, c) | {
        "order": draw(st.sampled_from(orders_of(technique)))
    }
    kind = draw(st.sampled_from(["plain", "plain", "zero weights", "zero input", "repeated inputs", "parallel inputs"]))
    if kind == "zero weights":
        problem["W1"][::2] = 0
        problem["w2"][:, ::3] = 0
    elif kind == "zero input":
        problem["X"][0] = 0
    elif kind == "repeated inputs":
        problem["X"][N // 2 :] = problem["X"][0]
    elif kind == "parallel inputs":
        problem["X"] = np.outer(np.linspace(-1, 1, N) if N > 1 else [1], problem["X"][0])
    return problem


@pytest.mark.parametrize("technique", EXACT)
@given(data=st.data())
def test_exact_techniques_are_backpropagation(technique: str, data: st.DataObject) -> None:
    """Any size, any order, degenerate problems included: same outputs, same network."""
    problem = data.draw(problems(technique))
    assume(paper.train_backprop(**problem).diverged_at is None)
    assert_trains_the_same(technique, problem)


@pytest.mark.parametrize(("technique", "order"), [(t, o) for t in EXACT for o in orders_of(t)])
@pytest.mark.parametrize("c", [1, 3])
def test_units_that_die(technique: str, order: str, c: int, global_random_seed: int) -> None:
    """ReLUs that die during training stay dead, and keep the weights they died with."""
    died = 0
    for trial in range(5):
        problem = random_problem([global_random_seed, trial], 30, 2, 1 if technique in ONE_INPUT else 3, c)
        problem |= {"X": np.abs(problem["X"]), "order": order}
        problem["y"] = np.tile(far_targets(problem, 20), (len(problem["X"]), 1))
        died += deaths(problem, assert_trains_the_same(technique, problem))
    assert died > 5


@pytest.mark.parametrize("technique", EXACT)
@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("c", [1, 2])
def test_a_unit_that_reaches_exactly_zero_is_dead(technique: str, sign: int, c: int) -> None:
    """The derivative at s = 0 is 0: the first unit stops there, the second one dies a step later (by hand)."""
    # A second output of weights 0 and target 0 changes nothing.
    y, w2 = np.array([[sign * 0.5, 0.0]])[:, :c], np.array([[sign * 1.0, sign * 0.25], [0.0, 0.0]])[:c]
    trace = paper.train_front([[2.0, 0.0]], y, [[2.0, 0.0], [1.0, 0.0]], w2, eta=0.25, n_iter=4, technique=technique)
    # s = (4, 2), e = 4, so s' = (0, 1), w' = (-3, -1.75); then y = -1.75, e = -2.25, and s_2 falls to -2.9375.
    assert (sign * trace.outputs[:, 0]).tolist() == [4.5, -1.75, 0.0, 0.0]
    W1, w2 = trace.expand()
    np.testing.assert_allclose(W1, [[0.0, 0.0], [-1.46875, 0.0]], rtol=1e-15, atol=1e-15)
    np.testing.assert_allclose(sign * w2[0], [-3.0, -1.1875], rtol=1e-15)


@pytest.mark.parametrize(("technique", "order"), [(t, o) for t in EXACT for o in orders_of(t)])
@pytest.mark.parametrize("c", [1, 2])
def test_all_units_dead_from_the_start(technique: str, order: str, c: int) -> None:
    """Such a network answers 0 and learns nothing."""
    problem = random_problem(0, 7, 2, 1 if technique in ONE_INPUT else 4, c) | {"order": order}
    problem |= {"X": np.abs(problem["X"]), "W1": -np.abs(problem["W1"])}
    trace = paper.train_front(**problem, technique=technique)
    assert (trace.outputs == 0).all()
    for actual, initial in zip(trace.expand(), (problem["W1"], problem["w2"]), strict=True):
        np.testing.assert_allclose(actual, initial, rtol=1e-15)


@pytest.mark.parametrize("technique", EXACT)
@pytest.mark.parametrize("c", [1, 2])
def test_the_input_zero(technique: str, c: int) -> None:
    """An input of zeros reaches no unit: output 0, nothing learned, and no division by its norm."""
    problem = random_problem(0, 5, 2, 1, c) | {"X": np.zeros((1, 2))}
    trace = paper.train_front(**problem, technique=technique)
    assert (trace.outputs == 0).all()
    for actual, initial in zip(trace.expand(), (problem["W1"], problem["w2"]), strict=True):
        np.testing.assert_allclose(actual, initial, rtol=1e-15)


@pytest.mark.parametrize("technique", EXACT)
def test_the_final_weights_keep_their_shape(technique: str) -> None:
    """w2 (h,) comes back as (h,), w2 (1, h) as (1, h), with the same values."""
    problem = random_problem(1, 6, 2, 1, 1)
    flat, row = (
        paper.train_front(**problem | {"w2": w2}, technique=technique).expand()[1] for w2 in (problem["w2"][0], problem["w2"])
    )
    assert (flat.shape, row.shape) == ((6,), (1, 6))
    np.testing.assert_array_equal(flat, row[0])


def expected_state(problem: dict[str, Any], W1: np.ndarray, w2: np.ndarray) -> dict[str, dict[str, np.ndarray]]:
    """What each technique's state says about the weights that backpropagation ends with."""
    X = problem["X"]
    frozen, final = np.maximum(X[0] @ problem["W1"].T, 0), np.maximum(X[0] @ W1.T, 0)
    ratio = np.divide(final, frozen, out=np.ones_like(final), where=frozen > 0)
    return {
        "weights": {"s": W1 @ X[0], "w2": w2},
        "compensation": {"s": W1 @ X[0], "p": np.where(frozen > 0, w2 * ratio - problem["w2"], 0)},
        "states": {"S": X @ W1.T, "w2": w2},
        "contributions": {"w2": w2},
        "sum_difference": {"coordinates": np.stack([W1.sum(axis=1), W1[:, 0] - W1[:, 1]], axis=1), "w2": w2},
    }


@pytest.mark.parametrize(("technique", "order"), [(t, o) for t in EXACT if t != "closed_form" for o in ORDERS])
def test_state_holds_what_the_paper_calls_it(technique: str, order: str, global_random_seed: int) -> None:
    """The state itself, not only what it leads to, follows from the weights of backpropagation."""
    problem = random_problem(global_random_seed, 20, 2, 1 if technique in ONE_INPUT else 3, 2) | {"order": order}
    state = paper.train_front(**problem, technique=technique).state
    W1, w2 = paper.train_backprop(**problem).expand()
    for name, expected in expected_state(problem, W1, w2)[technique].items():
        assert_close(state[name], expected, 1e-12)
    if technique == "contributions":
        assert_close(problem["W1"] + state["A"].T @ problem["X"], W1, 1e-12)


# ----------------------------------------------------------------------------------------------------------------------
# the closed form


@pytest.mark.parametrize("c", [1, 4])
def test_closed_form_of_a_wide_network(c: int, scaled: Callable[[int, int], int], global_random_seed: int) -> None:
    """4096 units are two scalars (or a 5 x 5 matrix) as exactly as two units are, deaths included."""
    problem = random_problem(global_random_seed, 4096, 8, 1, c)
    problem |= {"y": far_targets(problem, 1000), "n_iter": scaled(300, 100), "eta": 1e-4}
    reference = assert_trains_the_same("closed_form", problem)
    assert deaths(problem, reference) > 100
    state = paper.train_front(**problem, technique="closed_form").state
    assert [array.shape for array in state.values()] == [(2,) if c == 1 else (5, 5)]


@pytest.mark.parametrize("sign", [1, -1])
def test_closed_form_when_most_units_die(sign: int, global_random_seed: int) -> None:
    """Most units push the output to one side and the target is on the other: they die from one end of the angles."""
    rng = np.random.default_rng(global_random_seed)
    problem = random_problem(global_random_seed, 30, 2, 1, 1) | {"X": np.ones((1, 2)), "y": np.array([[-20.0 * sign]])}
    problem |= {"W1": rng.uniform(0, 0.15, (30, 2)), "w2": sign * rng.uniform(-0.1, 1, (1, 30)), "eta": 0.005}
    reference = assert_trains_the_same("closed_form", problem)
    assert 16 < deaths(problem, reference) < 30


@pytest.mark.parametrize("c", [1, 3])
def test_closed_form_where_training_oscillates(c: int, global_random_seed: int) -> None:
    """Steps so large that the outputs swing around the targets, and units die on both sides."""
    died = 0
    for trial in range(100):
        problem = random_problem([global_random_seed, trial], 10, 2, 1, c)
        X, y = 0.75 + problem["X"] / 4, 2.5 * problem["y"]
        problem |= {"X": X, "y": y, "eta": 4 / (10 * (X**2).sum()), "n_iter": 10}
        reference, trace = paper.train_backprop(**problem), paper.train_front(**problem, technique="closed_form")
        assert_close(trace.outputs, reference.outputs, 1e-10)
        died += deaths(problem, reference)
    assert died > 100


def one_input_problem(seed: int, c: int) -> tuple[dict[str, Any], np.ndarray, float]:
    """A problem of one input whose outputs have some way to go; and x and k = |x|^2."""
    problem = random_problem(seed, 40, 3, 1, c)
    x = np.sign(problem["X"][0]) * (0.5 + np.abs(problem["X"][0]) / 2)
    y = 3 * np.sign(problem["y"]) + problem["y"]
    return problem | {"X": x[None], "y": y}, x, float(x @ x)


def test_two_scalars_are_the_network(global_random_seed: int) -> None:
    """U = s + |x| w of every living unit is multiplied by alpha, z = s - |x| w by beta, and s^2 - k w^2 by their product."""
    problem, x, k = one_input_problem(global_random_seed, c=1)
    alpha, beta = paper.train_front(**problem, technique="closed_form").state["collapsed"]
    W1, w2 = paper.train_backprop(**problem).expand()
    s, w, s_end, w_end = problem["W1"] @ x, problem["w2"][0], W1 @ x, w2[0]
    living = (s > 0) & (s_end > 0)
    assert living.sum() > 2
    assert abs(alpha - 1) > 1e-3
    for end, start in [
        (s_end + k**0.5 * w_end, alpha * (s + k**0.5 * w)),
        (s_end - k**0.5 * w_end, beta * (s - k**0.5 * w)),
        (s_end**2 - k * w_end**2, alpha * beta * (s**2 - k * w**2)),
    ]:
        assert_close(end[living], start[living], 1e-12)


def test_one_matrix_is_the_network(global_random_seed: int) -> None:
    """With c outputs, (s, w_1, ..., w_c) of every living unit is multiplied by the collapsed matrix."""
    problem, x, _ = one_input_problem(global_random_seed, c=3)
    phi = paper.train_front(**problem, technique="closed_form").state["collapsed"]
    W1, w2 = paper.train_backprop(**problem).expand()
    start, end = np.vstack([problem["W1"] @ x, problem["w2"]]), np.vstack([W1 @ x, w2])
    living = (start[0] > 0) & (end[0] > 0)
    assert living.sum() > 2
    assert np.abs(phi - np.eye(4)).max() > 1e-3
    assert_close(end[:, living], phi @ start[:, living], 1e-12)


def test_invariant_of_the_sequential_order(global_random_seed: int) -> None:
    """Each step keeps s^2 - k w^2 + eta e k w s of every living unit, with the e of that step."""
    problem, x, k = one_input_problem(global_random_seed, c=1)
    problem |= {"n_iter": 1, "order": "sequential", "eta": 0.01}
    moved = 0.0
    for _ in range(60):
        trace = paper.train_backprop(**problem)
        W1, w2 = trace.expand()
        a = 0.01 * (trace.outputs[0, 0] - problem["y"][0, 0])
        s, w, s_next, w_next = problem["W1"] @ x, problem["w2"][0], W1 @ x, w2[0]
        living = s > 0
        before, after = (p**2 - k * q**2 + a * k * q * p for p, q in ((s, w), (s_next, w_next)))
        np.testing.assert_allclose(after[living], before[living], rtol=0, atol=1e-14)
        moved += np.abs(s_next - s).sum()
        problem |= {"W1": W1, "w2": w2}
    assert moved > 0.01


def effective_weights(seed: int, eta: float, n_iter: int) -> tuple[np.ndarray, ...]:
    """Train 40 units that stay alive on x = (1, 1). Gives initial s, w_0 and w, r at the end."""
    rng = np.random.default_rng(seed)
    W1, w2 = rng.uniform(0.5, 1, (40, 2)), rng.uniform(0.05, 0.2, 40)
    state = paper.train_front([1.0, 1.0], 15.0, W1, w2, eta, n_iter, technique="weights").state
    w, effective = state["w2"][0], state["effective"][0]
    assert np.abs(w - w2).max() > 0.1
    return W1.sum(axis=1), w2, w, effective


def test_effective_weight_for_small_learning_rates(global_random_seed: int) -> None:
    """As eta falls, r tends to a function of w alone, (w / v^c) sqrt(Q + k w^2): the error is proportional to eta."""
    errors = []
    for eta in (1e-3, 1e-4, 1e-5):
        s, w0, w, effective = effective_weights(global_random_seed, eta, int(0.02 / eta))
        errors.append(np.abs(effective - w / s * np.sqrt(s**2 - 2 * w0**2 + 2 * w**2)).max())
    np.testing.assert_allclose(np.divide(errors[:-1], errors[1:]), 10, rtol=0.1)


def test_effective_weight_as_an_odd_series(global_random_seed: int) -> None:
    """The paper's conclusion (iv): r = k_0 w + k_1 w^3 + k_2 w^5 + ..., each term brings it nearer."""
    s, w0, w, effective = effective_weights(global_random_seed, 1e-6, 20000)
    Q = s**2 - 2 * w0**2
    terms = np.sqrt(Q) / s * np.stack([w, w**3 / Q, -(w**5) / (2 * Q**2)])
    errors = np.abs(effective - np.cumsum(terms, axis=0)).max(axis=1)
    assert errors[0] > 20 * errors[1]
    assert errors[1] > 8 * errors[2]


# ----------------------------------------------------------------------------------------------------------------------
# what does not hold


@pytest.mark.parametrize("technique", ["printed_form", "sum_difference_literal"])
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("eta", [0.1, 0.01])
def test_formulas_as_printed_fail(technique: str, order: str, eta: float, scaled: Callable[[int, int], int]) -> None:
    """Not by rounding and not by the learning rate: the typical network is off by a tenth of the target or more."""
    result = paper.study(scaled(300, 20), 1000 if eta < 0.1 else 200, technique, order, eta)
    assert result.quantile(0.5) > 0.1


def test_printed_form_by_hand() -> None:
    """r_5n and r_6n as printed: two iterations of one living unit, and the frozen first layer comes back as it was."""
    W1, w2, eta, gold = np.array([[0.5, 0.25]]), np.array([0.5]), 0.1, 1.0
    trace = paper.train_front([1.0, 1.0], gold, W1, w2, eta, n_iter=3, technique="printed_form")
    norm, frozen = 2.0, 0.75
    s, w, r, total, outputs = frozen, 0.5, 0.5, 0.0, []
    for _ in range(3):
        outputs.append(r * frozen)
        error = outputs[-1] - gold
        w -= eta * error * max(s, 0)
        total += error * w
        previous, s = s, frozen + total * norm  # A_n-1, A_n
        if previous > 0 and s > 0:
            r = w + w**3 * norm / (3 * (frozen + total * norm**2))
        elif previous > 0:
            r = w + w**2 / (2 * eta * error * (frozen + total * norm))
    np.testing.assert_allclose(trace.outputs, outputs, rtol=1e-14)
    first, final = trace.expand()
    np.testing.assert_array_equal(first, W1)
    np.testing.assert_allclose(final, [r], rtol=1e-14)


def test_literal_sum_difference_by_hand(global_random_seed: int) -> None:
    """Equation 32 as printed: s and S of one input, moved by its step, taken on to the next input."""
    problem = random_problem(global_random_seed, 5, 2, 3, 2)
    (X, y, W1, w2), eta = (problem[name] for name in ("X", "y", "W1", "w2")), problem["eta"]
    s, S, w2, outputs = W1 @ X[0], W1 @ (X[0] * [1, -1]), w2.copy(), []
    for t in range(12):
        (x1, x2), (next1, next2) = X[t % 3], X[(t + 1) % 3]
        v = np.maximum(s, 0)
        outputs.append(w2 @ v)
        error = outputs[-1] - y[t % 3]
        step = -eta * (error @ w2) * (s > 0)
        w2 -= eta * np.outer(error, v)
        s, S = s + step * (x1**2 + x2**2), S + step * (x1**2 - x2**2)
        s, S = (s + S) / 2 * next1 + (s - S) / 2 * next2, (s + S) / 2 * next1 - (s - S) / 2 * next2
    trace = paper.train_front(**problem | {"n_iter": 12}, technique="sum_difference_literal")
    assert_close(trace.outputs, np.array(outputs), 1e-12)


def test_literal_sum_difference_is_right_until_a_coordinate_is_zero() -> None:
    """At the input (1, 1) alone equation 32 is right; the input (0, 1) loses the other weight for good."""
    W1, w2 = [[0.5, 0.2], [0.1, 0.3]], [0.4, 0.9]
    same = paper.train_front([1.0, 1.0], 1.0, W1, w2, 0.1, 50, technique="sum_difference_literal")
    reference = paper.train_backprop([1.0, 1.0], 1.0, W1, w2, 0.1, 50)
    assert_close(same.outputs, reference.outputs, OUTPUTS)
    X, y = [[0.0, 1.0], [1.0, 1.0]], [0.2, 1.0]
    literal, reference = (
        train(X, y, W1, w2, 0.1, 2).outputs
        for train in (lambda *a: paper.train_front(*a, technique="sum_difference_literal"), paper.train_backprop)
    )
    assert literal[0] == pytest.approx(reference[0], rel=1e-14)
    assert abs(literal[1] - reference[1]) > 0.1
