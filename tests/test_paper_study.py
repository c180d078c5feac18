"""The paper's experiment over many random networks: its figures, which no setting but the seed changes."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from fcfast import paper
from fcfast.paper import experiments, techniques

ORDERS = ("simultaneous", "sequential")
XOR = {"X": [[0, 0], [0, 1], [1, 0], [1, 1]], "y": [0, 1, 1, 0]}
DIVERGING = {"technique": "states", "order": "sequential", "eta": 0.5}  # XOR: about two networks in five


def assert_equal_results(actual: paper.StudyResult, expected: paper.StudyResult, n_seeds: int) -> None:
    """Compare the first networks bit by bit."""
    np.testing.assert_array_equal(actual.errors[:n_seeds], expected.errors[:n_seeds])
    np.testing.assert_array_equal(actual.diverged[:n_seeds], expected.diverged[:n_seeds])


# ----------------------------------------------------------------------------------------------------------------------
# the paper's figures: "the order of error is < 1e-15"

# technique, order, share below 1e-15 over many seeds and over few, largest median, largest error
FIGURES = [
    ("weights", "simultaneous", 0.99, 0.9, 1e-15, 1e-11),
    ("weights", "sequential", 0.99, 0.9, 1e-15, 1e-11),
    ("compensation", "simultaneous", 0.95, 0.9, 1e-15, 1e-11),
    ("compensation", "sequential", 0.95, 0.9, 1e-15, 1e-11),
    ("closed_form", "simultaneous", 0.95, 0.9, 1e-15, 1e-13),
    ("states", "simultaneous", 0.85, 0.7, 1e-15, 1e-11),
    ("sum_difference", "simultaneous", 0.85, 0.7, 1e-15, 1e-11),
    ("contributions", "simultaneous", 0.5, 0.4, 1e-15, 1e-11),
    ("states", "sequential", 0.85, 0.7, 1e-15, 1e-11),
    ("sum_difference", "sequential", 0.85, 0.7, 1e-15, 1e-11),
    ("contributions", "sequential", 0.5, 0.4, 1e-15, 1e-11),
]


@pytest.mark.parametrize(("technique", "order", "share", "share_of_few", "median", "largest"), FIGURES)
def test_error_is_rounding(
    technique: str,
    order: str,
    share: float,
    share_of_few: float,
    median: float,
    largest: float,
    scaled: Callable[[int, int], int],
) -> None:
    """With x = (1, 1), y = 1 for one input and XOR for several, eta = 0.1: what is left is rounding."""
    n_seeds = scaled(2000, 20)
    result = paper.study(n_seeds, scaled(1000, 400), technique, order, eta=0.1)
    assert result.share_below(1e-15) >= (share if n_seeds == 2000 else share_of_few)
    assert result.quantile(0.5) < median
    assert result.quantile(1) < largest


@pytest.mark.parametrize("technique", ["weights", "states"])
def test_default_order_is_simultaneous(technique: str) -> None:
    """Where the order matters, the default is backpropagation."""
    data = XOR if technique == "states" else {}
    default, simultaneous, sequential = (
        paper.study(50, 40, technique, eta=0.5, **data, **order) for order in ({}, {"order": ORDERS[0]}, {"order": ORDERS[1]})
    )
    assert_equal_results(default, simultaneous, 50)
    assert (default.errors != sequential.errors).any()


def test_a_diverging_learning_rate(scaled: Callable[[int, int], int]) -> None:
    """Sequential XOR diverges for many seeds: flagged, NaN, and counted apart from the errors of the others."""
    n_seeds = scaled(1000, 40)
    result = paper.study(n_seeds, 400, **DIVERGING)
    assert 0.2 < result.diverged_share < 0.7
    assert result.diverged_share == result.diverged.mean()
    np.testing.assert_array_equal(np.isnan(result.errors), result.diverged)
    assert len(result.finite_errors) == n_seeds - result.diverged.sum()
    assert result.share_below(1e-11) == 1
    assert result.quantile(1) == result.finite_errors.max() == np.nanmax(result.errors) < 1e-11
    assert paper.study(n_seeds, 400, **DIVERGING | {"order": "simultaneous"}).diverged_share == 0


def test_summary_of_known_errors() -> None:
    """Shares and quantiles are over the networks that did not diverge."""
    errors = np.array([1e-16, np.nan, 1e-15, 3e-15, np.nan])
    result = paper.StudyResult(errors, np.isnan(errors), "weights", "simultaneous", 10)
    assert result.diverged_share == 0.4
    assert result.finite_errors.tolist() == [1e-16, 1e-15, 3e-15]
    assert result.share_below() == pytest.approx(1 / 3)  # below, not at
    assert result.share_below(1e-14) == 1
    assert result.quantile(0.5) == 1e-15
    assert result.quantile(1) == 3e-15


def test_summary_when_all_diverged() -> None:
    """No errors, so no share and no quantile: NaN, without a warning."""
    result = paper.StudyResult(np.full(3, np.nan), np.ones(3, dtype=bool), "weights", "simultaneous", 10)
    assert result.diverged_share == 1
    assert len(result.finite_errors) == 0
    assert np.isnan([result.share_below(), result.quantile(0.5)]).all()


# ----------------------------------------------------------------------------------------------------------------------
# what is compared


def recorded(monkeypatch: pytest.MonkeyPatch, name: str) -> list[tuple[np.ndarray, np.ndarray]]:
    """Record the initial weights of every network that a study gives to a technique."""
    networks: list[tuple[np.ndarray, np.ndarray]] = []

    class Recording(techniques.TECHNIQUES[name]):  # type: ignore[misc]  # a class found by name
        def __init__(self, problem: Any, W1: np.ndarray, w2: np.ndarray) -> None:
            networks.extend(zip(W1.copy(), w2.copy(), strict=True))
            super().__init__(problem, W1, w2)

    monkeypatch.setitem(techniques.TECHNIQUES, name, Recording)
    return networks


@pytest.mark.parametrize("order", ORDERS)
def test_errors_are_those_of_single_runs(
    order: str, n_threads: int, monkeypatch: pytest.MonkeyPatch, global_random_seed: int
) -> None:
    """An error is max |y_BP - y_front| over iterations and outputs, of a technique that is far off so that it shows."""
    networks = recorded(monkeypatch, "sum_difference_literal")
    rng = np.random.default_rng(global_random_seed)
    data = {"X": rng.uniform(-1, 1, (3, 2)), "y": rng.uniform(-1, 1, (3, 2)), "eta": 0.05}
    settings = {"hidden": 3, "seed": global_random_seed, "n_jobs": n_threads}
    result = paper.study(12, 60, "sum_difference_literal", order, **data, **settings)
    assert len(networks) == 12
    for error, (W1, w2) in zip(result.errors, list(networks), strict=True):
        arguments = data | {"W1": W1, "w2": w2, "n_iter": 60, "order": order}
        front = paper.train_front(**arguments, technique="sum_difference_literal").outputs
        assert error == np.abs(front - paper.train_backprop(**arguments).outputs).max()
    assert (result.errors > 1e-6).sum() > 6


def test_weights_are_uniform_and_independent(monkeypatch: pytest.MonkeyPatch) -> None:
    """All weights of all networks come from U(-1, 1); another seed gives others."""
    networks = recorded(monkeypatch, "weights")
    for seed in (0, 1):
        paper.study(500, 1, "weights", hidden=4, seed=seed)
    assert {(W1.shape, w2.shape) for W1, w2 in networks} == {((4, 2), (1, 4))}
    weights = np.array([np.concatenate([W1.ravel(), w2.ravel()]) for W1, w2 in networks])
    assert len(np.unique(weights)) == weights.size
    assert -1 <= weights.min() < -0.99
    assert 0.99 < weights.max() <= 1
    # Means and second moments of each of the 12 weights, within five standard errors of 0 and 1/3.
    np.testing.assert_allclose(weights.mean(axis=0), 0, atol=5 * (1 / 3 / 1000) ** 0.5)
    np.testing.assert_allclose((weights**2).mean(axis=0), 1 / 3, atol=5 * (4 / 45 / 1000) ** 0.5)
    np.testing.assert_allclose(np.corrcoef(weights.T) - np.eye(12), 0, atol=5 / 1000**0.5)


@pytest.mark.parametrize("technique", ["weights", "states"])
def test_own_data(technique: str) -> None:
    """The default data are those of the paper; other data give other errors."""
    data = XOR if technique == "states" else {"X": [[1, 1]], "y": [1]}
    default, same, other = (
        paper.study(30, 60, technique, **given) for given in ({}, data, data | {"X": np.array(data["X"]) + 0.5})
    )
    assert_equal_results(same, default, 30)
    assert (other.errors != default.errors).any()


def test_no_iterations() -> None:
    """Nothing to compare, nothing wrong."""
    result = paper.study(3, n_iter=0)
    assert (result.errors.tolist(), result.diverged.tolist(), result.n_iter) == ([0, 0, 0], [False] * 3, 0)


def test_result_says_how_it_was_made() -> None:
    """The settings that matter are in the result."""
    result = paper.study(2, 7, "states", "sequential")
    assert (result.technique, result.order, result.n_iter) == ("states", "sequential", 7)
    assert (result.errors.shape, result.errors.dtype, result.diverged.dtype) == ((2,), np.float64, bool)


# ----------------------------------------------------------------------------------------------------------------------
# what must not matter


@pytest.mark.parametrize("technique", ["weights", "compensation", "closed_form", "printed_form", "states", "contributions"])
def test_threads_change_no_bit(technique: str) -> None:
    """Same bits for one and two threads, and for all there are."""
    one, two, every = (paper.study(40, 60, technique, eta=0.3, n_jobs=n_jobs) for n_jobs in (1, 2, None))
    assert_equal_results(two, one, 40)
    assert_equal_results(every, one, 40)


def test_threads_change_no_divergence() -> None:
    """Which networks diverged does not depend on the number of threads either."""
    one, two = (paper.study(40, 200, **DIVERGING, n_jobs=n_jobs) for n_jobs in (1, 2))
    assert one.diverged.any()
    assert_equal_results(two, one, 40)


def test_first_seeds_stay_the_same() -> None:
    """A larger study contains the smaller one."""
    small, large = (paper.study(n_seeds, 200, **DIVERGING) for n_seeds in (13, 40))
    assert_equal_results(large, small, 13)


@pytest.mark.parametrize("values", [1, 700, 2**30])
def test_chunks_change_no_bit(values: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """How many networks are trained at a time is no part of the result."""
    expected = paper.study(31, 200, **DIVERGING, n_jobs=2)
    monkeypatch.setattr(experiments, "CHUNK_VALUES", values)
    assert_equal_results(paper.study(31, 200, **DIVERGING, n_jobs=2), expected, 31)


@pytest.mark.parametrize(("values", "several"), [(200, True), (2**30, False)])
def test_progress_adds_up(values: int, several: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The callback is given numbers of finished networks, all of them together n_seeds."""
    monkeypatch.setattr(experiments, "CHUNK_VALUES", values)
    finished: list[int] = []
    paper.study(25, 20, n_jobs=1, progress=finished.append)
    assert sum(finished) == 25
    assert min(finished) > 0
    assert (len(finished) > 1) is several


def test_interruption(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C between two pieces of work stops there and then, and leaves the next study as it was."""
    expected = paper.study(25, 20)
    monkeypatch.setattr(experiments, "CHUNK_VALUES", 200)
    calls: list[int] = []

    def interrupt(finished: int) -> None:
        calls.append(finished)
        if len(calls) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        paper.study(25, 20, n_jobs=1, progress=interrupt)
    assert len(calls) == 2
    assert_equal_results(paper.study(25, 20), expected, 25)


# ----------------------------------------------------------------------------------------------------------------------
# errors

BAD_ARGUMENTS = [
    ({"n_seeds": 0}, ValueError, r"\bn_seeds\b.*got 0"),
    ({"n_seeds": 2.0}, TypeError, r"\bn_seeds\b.*2\.0"),
    ({"n_iter": -1}, ValueError, r"\bn_iter\b.*-1"),
    ({"n_iter": 1.5}, TypeError, r"\bn_iter\b.*1\.5"),
    ({"hidden": 0}, ValueError, r"\bhidden\b.*got 0"),
    ({"hidden": None}, TypeError, r"\bhidden\b"),
    ({"seed": -1}, ValueError, r"\bseed\b.*-1"),
    ({"seed": None}, TypeError, r"\bseed\b"),
    ({"eta": 0}, ValueError, r"\beta\b"),
    ({"n_jobs": 0}, ValueError, r"\bn_jobs\b"),
    ({"n_jobs": 1.5}, TypeError, r"\bn_jobs\b"),
    ({"technique": "exact"}, ValueError, r"\btechnique\b.*'exact'.*'weights'"),
    ({"technique": "backprop"}, ValueError, r"\btechnique\b.*'backprop'"),
    ({"order": "random"}, ValueError, r"\border\b.*'random'"),
    ({"technique": "closed_form", "order": "sequential"}, ValueError, r"'closed_form'.*order='sequential'"),
    ({"X": [[1.0, 1.0]]}, ValueError, r"both X and y.*got X alone"),
    ({"y": [1.0]}, ValueError, r"both X and y.*got y alone"),
    ({"X": [[np.nan, 1.0]], "y": [1.0]}, ValueError, r"\bX\b"),
    (XOR, ValueError, r"'weights' is for one input, X has 4"),
    ({"X": np.ones((2, 3)), "y": [1, 2], "technique": "sum_difference"}, ValueError, r"two features.*X has 3"),
]


@pytest.mark.parametrize(("change", "exception", "message"), BAD_ARGUMENTS, ids=lambda value: str(value)[:40])
def test_bad_arguments(change: dict[str, Any], exception: type[Exception], message: str) -> None:
    """Each wrong argument has its exception, and a message that names it."""
    with pytest.raises(exception, match=message):
        paper.study(**{"n_seeds": 3, "n_iter": 4} | change)
