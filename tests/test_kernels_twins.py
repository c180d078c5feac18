"""The compiled kernels and their pure-Python twins: the same functions, and the same two-layer networks of the paper."""

import inspect
from dataclasses import dataclass

import numpy as np
import pytest
from twins import CORE, PURE, Arguments, assert_same_bits, assert_twins_agree, functions, locked, poison, run, signature

# What the compiled twins have as inline C functions.
PURE_HELPERS = {"forward.blocks", "forward.layers", "two_layer.learn", "two_layer.learn_units", "two_layer.stop"}

# ----------------------------------------------------------------------------------------------------------------------
# names and signatures


def test_compiled_and_pure_have_the_same_functions():
    """A kernel missing on either side would only be noticed by whoever calls it."""
    assert set(functions(CORE)) == set(functions(PURE)) - PURE_HELPERS


@pytest.mark.parametrize("kernel", functions(CORE))
def test_same_parameters(kernel):
    """Callers pass arguments by position: names, order, kinds and defaults must be the same."""
    compiled, pure = (signature(functions(twin)[kernel]).parameters for twin in (CORE, PURE))
    described = [[(p.name, p.kind, p.default) for p in twin.values()] for twin in (compiled, pure)]
    assert described[0] == described[1]


@pytest.mark.parametrize("kernel", sorted(set(functions(CORE)) - {"front.work_size"}))
def test_same_docstring(kernel):
    """Both twins promise the same, but for the scratch space that only the compiled ones need."""
    compiled = functions(CORE)[kernel].__doc__.splitlines()  # the first line is the signature Cython embeds
    assert inspect.cleandoc("\n".join(compiled[1:])) == inspect.cleandoc(functions(PURE)[kernel].__doc__)


def test_openmp():
    """Both say whether there is OpenMP and how many threads it would use; pure Python has none."""
    assert PURE["openmp"].enabled() is False
    assert PURE["openmp"].max_threads() == 1
    assert type(CORE["openmp"].enabled()) is bool
    assert type(CORE["openmp"].max_threads()) is int
    assert CORE["openmp"].max_threads() >= 1


# ----------------------------------------------------------------------------------------------------------------------
# two-layer networks


@dataclass
class Problem:
    """n networks (W1, w2) of h hidden units; samples X (N, d), targets y (N, c)."""

    X: np.ndarray
    y: np.ndarray
    W1: np.ndarray
    w2: np.ndarray
    eta: float
    sequential: bool
    n_iter: int

    @property
    def networks(self) -> dict[str, np.ndarray]:
        (n, h, d), c = self.W1.shape, self.y.shape[1]
        return {
            "scratch": poison(n, h * (d + 2)),
            "outputs": poison(n, self.n_iter, c),
            "diverged_at": poison(n, dtype=np.intp),
        }

    @property
    def rule(self) -> Arguments:
        return {"eta": self.eta, "sequential": self.sequential}

    @property
    def s(self) -> np.ndarray:
        """Pre-activations of the first sample."""
        return np.ascontiguousarray(self.W1 @ self.X[0])

    @property
    def norm(self) -> float:
        return float(self.X[0] @ self.X[0])


KINDS = ("ordinary", "dying", "dead", "zero_input", "one_unit", "one_sample", "tiny", "diverging", "overflowing")


def make_problem(kind: str, *seed: int) -> Problem:
    """A random problem of that kind; half of the units of an ordinary one are dead for the first sample anyway."""
    rng = np.random.default_rng([*seed, KINDS.index(kind)])
    n, h, d, N, c = (int(size) for size in rng.integers([2, 2, 2, 2, 1], [6, 30, 5, 6, 4]))
    h = 1 if kind == "one_unit" else h
    N = 1 if kind == "one_sample" else N
    X, y = rng.uniform(-1, 1, (N, d)), rng.uniform(-1, 1, (N, c))
    W1, w2 = rng.uniform(-1, 1, (n, h, d)), rng.uniform(-1, 1, (n, c, h))
    if kind == "dying":
        y, w2 = -np.abs(y) - 2, np.abs(w2)
    if kind == "dead":
        X, W1 = np.abs(X), -np.abs(W1)
    if kind == "zero_input":
        X[0] = 0
    if kind == "tiny":
        W1, w2 = 1e-9 * W1, 1e-9 * w2
    eta = {"diverging": 20.0, "overflowing": 1e170}.get(kind, 0.02)
    n_iter = 12 if kind == "diverging" else 60  # what has not diverged by then may be chaotic: rounding grows without limit
    return Problem(X, y, W1, w2, eta, bool(rng.integers(2)), n_iter)


def backprop(p: Problem) -> Arguments:
    return {"W1": p.W1, "w2": p.w2, "X": locked(p.X), "targets": locked(p.y), **p.rule, **p.networks}


def weights(p: Problem) -> Arguments:
    return one_input(p) | {"w2": p.w2, "effective": poison(*p.w2.shape)}


def compensation(p: Problem) -> Arguments:
    return one_input(p) | {
        "w2": locked(p.w2),
        "p": np.zeros_like(p.w2),
        "effective": poison(*p.w2.shape),
        "recovered": p.w2,
    }


def one_input(p: Problem) -> Arguments:
    networks = {name: array for name, array in p.networks.items() if name != "scratch"}
    frozen = locked(np.maximum(p.s, 0))
    return {"s": p.s, "frozen": frozen, "norm": p.norm, "targets": locked(p.y[:1]), **p.rule, **networks}


def printed_form(p: Problem) -> Arguments:
    n, h = p.s.shape
    n_iter = min(8, p.n_iter)  # its divisions by sums near 0 make it chaotic
    return {
        "s": p.s,
        "w": np.ascontiguousarray(p.w2[:, 0]),
        "r": poison(n, h),
        "frozen": locked(np.maximum(p.s, 0)),
        "norm": p.norm,
        "target": float(p.y[0, 0]),
        "eta": p.eta,
        "sum_scale": -p.eta,
        "sums": poison(n, h),
        "outputs": poison(n, n_iter, 1),
        "diverged_at": poison(n, dtype=np.intp),
    }


def closed_form(p: Problem) -> Arguments:
    s, w, kappa = p.s, p.w2[:, 0], p.norm**0.5
    angle = np.where(s > 0, np.arctan2(kappa * w, s), np.inf)
    order = np.argsort(angle, axis=1)
    s, w = (np.take_along_axis(array, order, axis=1) for array in (s, w))
    return {
        "u": locked(s + kappa * w),
        "z": locked(s - kappa * w),
        "n_living": locked((s > 0).sum(axis=1), np.intp),
        "kappa": kappa,
        "target": float(p.y[0, 0]),
        "eta": p.eta,
        "sum_u": poison(*s.shape),
        "sum_z": poison(*s.shape),
        "s": s,
        "w": w,
        "scalars": poison(len(s), 2),
        "outputs": poison(len(s), p.n_iter, 1),
        "diverged_at": poison(len(s), dtype=np.intp),
    }


def closed_form_outputs(p: Problem) -> Arguments:
    q = np.concatenate([p.s[:, :, None], p.w2.transpose(0, 2, 1)], axis=2)
    n, _, m = q.shape
    return {
        "q": locked(q),
        "living": (p.s > 0).astype(np.uint8),
        "norm": p.norm,
        "targets": locked(p.y[:1]),
        "eta": p.eta,
        "phi": poison(n, m, m),
        "q_end": q,
        **p.networks,
        "scratch": poison(n, m * m + 3 * m),
    }


def states(p: Problem) -> Arguments:
    S = np.ascontiguousarray(p.X @ p.W1.transpose(0, 2, 1))
    return {"S": S, "w2": p.w2, "gram": gram(p), "targets": locked(p.y), **p.rule, **p.networks}


def contributions(p: Problem) -> Arguments:
    S0 = p.X @ p.W1.transpose(0, 2, 1)
    A = np.full(S0.shape, 0.1)
    return {"A": A, "w2": p.w2, "S0": locked(S0), "gram": gram(p), "targets": locked(p.y), **p.rule, **p.networks}


def gram(p: Problem) -> np.ndarray:
    """Not symmetric, as no Gram matrix is: a row taken for a column must show."""
    return locked(p.X @ p.X.T + 0.1 * np.triu(np.outer(p.X[:, 0], p.X[:, 1])))


def sum_difference(p: Problem) -> Arguments:
    first, second = p.W1[:, :, 0], p.W1[:, :, 1]
    coordinates = np.stack([first + second, first - second], axis=2)
    X = locked(p.X[:, :2])
    return {
        "coordinates": coordinates,
        "w2": p.w2,
        "X": X,
        "targets": locked(p.y),
        "literal": False,
        **p.rule,
        **p.networks,
    }


def sum_difference_literal(p: Problem) -> Arguments:
    return sum_difference(p) | {"literal": True}


# The kernel, its arguments, and the state in which a NaN must not pass for a dead unit.
NETWORK_CASES = {
    "backprop": ("two_layer.backprop", backprop, "W1"),
    "weights": ("compensation.weights", weights, "s"),
    "compensation": ("compensation.compensation", compensation, "s"),
    "printed_form": ("compensation.printed_form", printed_form, "w"),
    "closed_form": ("closed_form.closed_form", closed_form, "u"),
    "closed_form_outputs": ("closed_form.closed_form_outputs", closed_form_outputs, "q"),
    "states": ("states.states", states, "S"),
    "contributions": ("states.contributions", contributions, "A"),
    "sum_difference": ("states.sum_difference", sum_difference, "coordinates"),
    "sum_difference_literal": ("states.sum_difference", sum_difference_literal, "coordinates"),
}
each_network = pytest.mark.parametrize("case", NETWORK_CASES)


@each_network
@pytest.mark.parametrize("kind", KINDS)
def test_networks(case, kind, global_random_seed):
    """Outputs, iterations of divergence and final states agree, whatever becomes of the networks."""
    kernel, make_arguments, _ = NETWORK_CASES[case]
    # Rounding grows with the values of a diverging run, and in the printed form with its divisions by nearly 0.
    rtol = 1e-7 if case == "printed_form" else 1e-9 if kind == "diverging" else 5e-11
    for repetition in range(8):
        arguments = make_arguments(make_problem(kind, global_random_seed, repetition))
        left = assert_twins_agree(kernel, arguments, rtol=rtol, atol=1e-12)
        for outputs, diverged_at in zip(left["outputs"], left["diverged_at"], strict=True):
            finite = len(outputs) if diverged_at == -1 else diverged_at
            assert np.isfinite(outputs[:finite]).all()
            assert np.isnan(outputs[finite:]).all()


def test_the_kinds_of_problems(global_random_seed):
    """Units of "dying" problems die in training, "dead" and "zero_input" ones learn nothing, "overflowing" diverge."""

    def trained(kind: str) -> list[Arguments]:
        problems = (make_problem(kind, global_random_seed, repetition) for repetition in range(8))
        return [run(CORE, "compensation.weights", weights(problem)) for problem in problems]

    assert sum(((left["s"] <= 0) & (left["frozen"] > 0)).sum() for left in trained("dying")) >= 8
    assert all((left["outputs"] == 0).all() for left in trained("dead") + trained("zero_input"))
    assert sum((left["diverged_at"] > 0).sum() for left in trained("overflowing")) >= 8


@each_network
@pytest.mark.parametrize("kind", ["ordinary", "dying", "diverging"])
def test_networks_do_not_depend_on_threads(case, kind, global_random_seed):
    """Threads share out whole networks: the bits are the same."""
    kernel, make_arguments, _ = NETWORK_CASES[case]
    arguments = make_arguments(make_problem(kind, global_random_seed))
    assert_same_bits(run(CORE, kernel, arguments, n_threads=1), run(CORE, kernel, arguments, n_threads=2))


@each_network
def test_nan_is_not_a_dead_unit(case, global_random_seed):
    """One NaN in the state stops the network at once instead of switching the unit off; the others are not touched."""
    kernel, make_arguments, state = NETWORK_CASES[case]
    problem = make_problem("ordinary", global_random_seed)
    problem.W1 = np.abs(problem.W1)
    problem.X = np.abs(problem.X)
    arguments = make_arguments(problem)
    damaged = arguments[state].copy()
    damaged[1].flat[0] = np.nan
    if "frozen" in arguments and state == "s":
        arguments["frozen"] = locked(np.maximum(damaged, 0))
    healthy = run(CORE, kernel, arguments)
    arguments[state] = locked(damaged) if not arguments[state].flags.writeable else damaged
    left = assert_twins_agree(kernel, arguments, rtol=1e-7, atol=1e-12)
    assert left["diverged_at"][1] == 0
    assert np.isnan(left["outputs"][1]).all()
    assert left["outputs"][0].tobytes() == healthy["outputs"][0].tobytes()


@pytest.mark.parametrize("output", [0, 1])
@pytest.mark.parametrize("case", [case for case in NETWORK_CASES if case not in ("printed_form", "closed_form")])
def test_one_output_that_overflows_stops_the_network(case, output, global_random_seed):
    """Whichever of the outputs is infinite, the network has diverged, and the others' values are not reported."""
    rng = np.random.default_rng(global_random_seed)
    X, y, W1 = rng.uniform(1, 2, (3, 2)), rng.uniform(-1, 1, (3, 2)), rng.uniform(1, 2, (2, 4, 2))
    w2 = rng.uniform(-1, 1, (2, 2, 4))
    w2[1, output] = 1e308
    kernel, make_arguments, _ = NETWORK_CASES[case]
    arguments = make_arguments(Problem(X, y, W1, w2, eta=0.001, sequential=False, n_iter=5))
    left = assert_twins_agree(kernel, arguments, rtol=1e-11, atol=1e-13)
    assert left["diverged_at"].tolist() == [-1, 0]
    assert np.isnan(left["outputs"][1]).all()


@each_network
def test_no_iterations(case):
    """Zero iterations leave the networks as they were."""
    kernel, make_arguments, _ = NETWORK_CASES[case]
    problem = make_problem("ordinary", 0)
    problem.n_iter = 0
    assert_twins_agree(kernel, make_arguments(problem), rtol=0, atol=0)


def test_largest_difference(global_random_seed, n_threads):
    """The maximum over iterations and outputs of each pair of runs, NaN where one diverged, 0 for equal runs."""
    rng = np.random.default_rng(global_random_seed)
    a, b = rng.normal(size=(2, 5, 7, 3))
    a[1, 4:], b[2, 6, 2], b[3] = np.nan, np.nan, a[3]
    a[4, 0, 0] += 10
    arguments = {"a": locked(a), "b": locked(b), "out": poison(5)}
    left = assert_twins_agree("two_layer.largest_difference", arguments, rtol=0, atol=0)
    assert_same_bits(left, run(CORE, "two_layer.largest_difference", arguments, n_threads))
    np.testing.assert_array_equal(np.isnan(left["out"]), [False, True, True, False, False])
    assert left["out"][3] == 0
    assert left["out"][0] == np.abs(a[0] - b[0]).max()
    assert left["out"][4] == np.abs(a[4] - b[4]).max()


def test_every_kernel_is_compared():
    """A kernel added without a comparison would go unnoticed."""
    compared = {kernel for kernel, _, _ in NETWORK_CASES.values()} | {"two_layer.largest_difference"}
    modules = {name: CORE[name] for name in ("two_layer", "compensation", "closed_form", "states")}
    assert compared == set(functions(modules))
