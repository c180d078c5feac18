"""Targets of survival analysis, the concordance index, step functions and the baseline hazard."""

import numpy as np
import pytest
from survival_cases import naive_concordance, random_targets, survival

from fcfast.survival import Baseline, StepFunction, concordance_index, survival_targets

GOOD = survival([True, False, True], [3.0, 1.0, 2.0])


@pytest.mark.parametrize(
    "y",
    [
        GOOD,
        np.array([(3, True), (1, False), (2, True)], dtype=[("Survival_in_days", "<i4"), ("Status", "?")]),
        np.array([(3, True), (1, False), (2, True)], dtype=[("a", ">f4"), ("b", "?")]),
        np.rec.array(GOOD),
        GOOD[::-1][::-1],
    ],
)
def test_names_order_and_types_of_fields_do_not_matter(y):
    targets = survival_targets(y)
    assert targets.dtype == GOOD.dtype
    assert targets.tolist() == GOOD.tolist()


def test_a_table_is_one_line_away():
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame({"days": [3.0, 1, 2], "dead": [True, False, True]})
    assert survival_targets(table.to_records(index=False)).tolist() == GOOD.tolist()


@pytest.mark.parametrize(
    ("y", "error", "message"),
    [
        (None, ValueError, "the target y is None"),
        ([3.0, 1.0, 2.0], TypeError, r"structured array of two fields.*shape \(3,\) and dtype float64.*np.array\(list\(zip"),
        (np.array([[1, 3.0], [0, 1.0]]), TypeError, r"got an array of shape \(2, 2\)"),
        ([(True, 3.0), (False, 1.0)], TypeError, "got an array of shape"),
        (np.array([(1, 3.0)], dtype=[("event", int), ("time", float)]), TypeError, "event is bool"),
        (np.array([(True, True)], dtype=[("event", bool), ("time", bool)]), TypeError, "two fields"),
        (np.array([(True, "3")], dtype=[("event", bool), ("time", "U1")]), TypeError, "two fields"),
        (np.array([(True, 3.0, 1.0)], dtype=[("event", bool), ("time", float), ("x", float)]), TypeError, "two fields"),
        (GOOD[:, None], ValueError, r"shape \(3, 1\)"),
        (survival([1, 0], [np.nan, 1]), ValueError, "1 time.s. that are NaN"),
        (np.ma.array(GOOD, mask=[False, True, False]), ValueError, "y has masked values"),
        (survival([1, 0], [1, np.inf]), ValueError, "1 time.s. that are NaN or infinite"),
        (survival([1, 0, 0], [1, -2, -0.5]), ValueError, "2 negative time.s., the smallest is -2"),
    ],
)
def test_other_targets_get_a_clear_error(y, error, message):
    with pytest.raises(error, match=message):
        survival_targets(y)


@pytest.mark.parametrize("n_times", [None, 1, 5, 30])
@pytest.mark.parametrize("weighted", [False, True])
def test_concordance_equals_all_pairs(n_times, weighted, global_random_seed):
    """Ties of times and of risks, and weights."""
    for seed in range(global_random_seed, global_random_seed + 12):
        rng = np.random.default_rng(seed)
        y = random_targets(rng, int(rng.integers(2, 50)), n_times)
        risk = rng.integers(0, [2, 6, 10**6][seed % 3], len(y)).astype(float) - 3
        weights = rng.choice([0.0, 0.5, 1, 3], len(y)) + 1e-3 if weighted else None
        y[0], y[1] = (True, 0.0), (False, 31.0)  # one pair at least
        assert concordance_index(y, risk, weights) == pytest.approx(naive_concordance(y, risk, weights), rel=1e-12)


def test_concordance_equals_other_libraries(global_random_seed):
    rng = np.random.default_rng(global_random_seed)
    y, risk = random_targets(rng, 200, 40), rng.integers(0, 50, 200).astype(float)
    ours = concordance_index(y, risk)
    metrics = pytest.importorskip("sksurv.metrics", reason="scikit-survival is another implementation")
    assert metrics.concordance_index_censored(y["event"], y["time"], risk)[0] == pytest.approx(ours, rel=1e-14)


def test_concordance_equals_lifelines(global_random_seed):
    utils = pytest.importorskip("lifelines.utils", reason="lifelines is another implementation")
    rng = np.random.default_rng(global_random_seed)
    y, risk = random_targets(rng, 200), rng.integers(0, 50, 200).astype(float)
    assert utils.concordance_index(y["time"], -risk, y["event"]) == pytest.approx(concordance_index(y, risk), rel=1e-14)


def test_concordance_of_many_samples(global_random_seed):
    """A large problem whose answer is known: risks that fall with time, except for a share of random ones."""
    rng = np.random.default_rng(global_random_seed)
    y = survival(np.ones(20_000), rng.permutation(20_000))
    assert concordance_index(y, -y["time"]) == 1
    assert concordance_index(y, y["time"]) == 0
    assert concordance_index(y, np.zeros(20_000)) == 0.5
    assert concordance_index(y, rng.random(20_000)) == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((GOOD, [1.0, 2.0]), r"risk has 2 value\(s\), but y has 3"),
        ((GOOD, [1.0, 2.0, np.nan]), "risk holds 1 value"),
        ((GOOD, [1.0, 2.0, 3.0], [1.0, 1.0]), "sample_weight has 2"),
        ((GOOD, [1.0, 2.0, 3.0], [1.0, -1.0, 1.0]), "weights from -1"),
        ((GOOD[:1], [1.0]), "no comparable pairs"),
        ((survival([0, 0], [1, 2]), [1.0, 2.0]), "no comparable pairs"),
        ((survival([1, 1], [1, 1]), [1.0, 2.0]), "no comparable pairs"),
        ((GOOD, [1.0, 2.0, 3.0], [1.0, 1.0, 0.0]), "no comparable pairs"),
    ],
)
def test_errors_of_the_concordance(arguments, message):
    with pytest.raises(ValueError, match=message):
        concordance_index(*arguments)


def test_step_functions():
    step = StepFunction(np.array([1.0, 2.0, 4.0]), np.array([0.8, 0.5, 0.1]), 1.0)
    assert step.domain == (0, 4)
    assert [step(x) for x in (0, 0.99, 1, 1.5, 2, 3.99, 4)] == [1, 1, 0.8, 0.8, 0.5, 0.5, 0.1]
    assert step([0.5, 4]).tolist() == [1, 0.1]
    assert isinstance(step(2), float)
    for bad in (-0.1, 4.1, [1, 5]):
        with pytest.raises(ValueError, match=r"x must be within \[0, 4\]"):
            step(bad)
    with pytest.raises(ValueError, match="NaN"):
        step(np.nan)


@pytest.mark.parametrize("n_times", [None, 6])
@pytest.mark.parametrize("weighted", [False, True])
def test_baseline_equals_loops(n_times, weighted, global_random_seed):
    for seed in range(global_random_seed, global_random_seed + 8):
        rng = np.random.default_rng(seed)
        y, outputs = random_targets(rng, 20, n_times), rng.normal(scale=2, size=20)
        weights = rng.choice([0, 1, 2.5], 20) if weighted else np.ones(20)
        weights[y["event"].argmax()] = 1
        baseline = Baseline.estimate(y["event"], y["time"], outputs, weights if weighted else None)
        times = np.unique(y["time"][weights > 0])
        np.testing.assert_array_equal(baseline.times, times)
        hazard, expected = 0.0, []
        for t in times:
            events = weights[y["event"] & (y["time"] == t)].sum()
            hazard += events / (weights * np.exp(outputs))[y["time"] >= t].sum()
            expected.append(hazard)
        new = np.array([0.0, 1.3])
        np.testing.assert_allclose(baseline.cumulative_hazards(new), np.outer(np.exp(new), expected), rtol=1e-11)
        np.testing.assert_allclose(baseline.survival(new), np.exp(-np.outer(np.exp(new), expected)), rtol=1e-11)
        for of_one, values in zip(baseline.survival_functions(new), baseline.survival(new), strict=True):
            np.testing.assert_array_equal(of_one(times), values)
            assert of_one(0) == (1 if times[0] > 0 else values[0])
        for of_one, values in zip(baseline.hazard_functions(new), baseline.cumulative_hazards(new), strict=True):
            np.testing.assert_array_equal(of_one(times), values)


def test_baseline_equals_scikit_survival(global_random_seed):
    coxph = pytest.importorskip("sksurv.linear_model.coxph", reason="scikit-survival is another implementation")
    rng = np.random.default_rng(global_random_seed)
    y, outputs = random_targets(rng, 80, 30), rng.normal(size=80)
    theirs = coxph.BreslowEstimator().fit(outputs, y["event"], y["time"])
    ours = Baseline.estimate(y["event"], y["time"], outputs)
    np.testing.assert_array_equal(ours.times, theirs.unique_times_)
    new = rng.normal(size=5)
    times = np.concatenate([theirs.unique_times_, rng.uniform(y["time"].min(), y["time"].max(), 20)])
    for a, b in zip(ours.survival_functions(new), theirs.get_survival_function(new), strict=True):
        np.testing.assert_allclose(a(times), b(times), rtol=1e-10)
    for a, b in zip(ours.hazard_functions(new), theirs.get_cumulative_hazard_function(new), strict=True):
        np.testing.assert_allclose(a(times), b(times), rtol=1e-10)


def test_baseline_of_extreme_outputs():
    """Hazards that double precision cannot hold are infinite, and the survival 0; nothing is NaN."""
    y = survival([0, 1, 1, 0], [1.0, 2, 3, 4])
    baseline = Baseline.estimate(y["event"], y["time"], np.array([0.0, 2000, -2000, -3000]))
    assert np.isfinite(baseline.log_hazards).all()
    survivals = baseline.survival(np.array([-3000.0, 0, 3000]))
    assert not np.isnan(survivals).any()
    assert survivals[:, 0].tolist() == [1, 1, 1]  # before the first event
    assert survivals[2, 1:].tolist() == [0, 0, 0]
