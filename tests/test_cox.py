"""Cox's loss against loops over events, finite differences and PyTorch, and what may not change it."""

import numpy as np
import pytest
from survival_cases import naive_loss, random_targets, survival

from fcfast import FrontRegressor
from fcfast.losses import Cox

CASES = [(n_times, weighted) for n_times in (None, 1, 3, 12) for weighted in (False, True)]


def problem(seed, n_times=None, weighted=False):
    """Draw outputs, targets and weights, some of which are 0."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 40))
    y = random_targets(rng, n, n_times)
    weights = np.where(rng.random(n) < 0.2, 0.0, rng.uniform(0.1, 3, n)) if weighted else np.ones(n)
    weights[y["event"].argmax()] = 1.0
    return rng.normal(scale=2, size=n), y, weights


@pytest.mark.parametrize(("n_times", "weighted"), CASES)
def test_equals_loops_over_events(n_times, weighted, global_random_seed):
    for seed in range(global_random_seed, global_random_seed + 15):
        outputs, y, weights = problem(seed, n_times, weighted)
        loss, gradient = Cox().of_batch(outputs[:, None], y, weights)
        expected_loss, expected = naive_loss(outputs, y, weights)
        assert loss == pytest.approx(expected_loss, rel=1e-11, abs=1e-11)
        np.testing.assert_allclose(gradient[:, 0], expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("n_times", "weighted"), CASES)
def test_gradient_equals_finite_differences(n_times, weighted, global_random_seed):
    for seed in range(global_random_seed, global_random_seed + 4):
        outputs, y, weights = problem(seed, n_times, weighted)
        h = 1e-3
        steps = h * np.eye(len(outputs))
        losses = {k: [Cox().of_batch((outputs + k * step)[:, None], y, weights)[0] for step in steps] for k in (-2, -1, 1, 2)}
        fourth = (np.array(losses[-2]) - 8 * np.array(losses[-1]) + 8 * np.array(losses[1]) - np.array(losses[2])) / (12 * h)
        np.testing.assert_allclose(Cox().of_batch(outputs[:, None], y, weights)[1][:, 0], fourth, rtol=1e-9, atol=1e-9)


def test_the_log_likelihood_is_lifelines(global_random_seed):
    """Of a model with one feature whose coefficient is given, with Efron's ties and weights."""
    lifelines = pytest.importorskip("lifelines")
    pandas = pytest.importorskip("pandas")
    rng = np.random.default_rng(global_random_seed)
    y, x, weights = random_targets(rng, 60, 15), rng.normal(size=60), rng.integers(1, 4, 60).astype(float)
    frame = pandas.DataFrame({"x": x, "time": y["time"] + 1, "event": y["event"], "w": weights})
    fitter = lifelines.CoxPHFitter().fit(frame, "time", "event", weights_col="w")
    outputs = (x - x.mean()) * fitter.params_["x"]
    loss, gradient = Cox().of_batch(outputs[:, None], y, weights)
    total = weights[y["event"]].sum()
    # lifelines does not take weights relative to their mean
    assert -fitter.log_likelihood_ == pytest.approx(total * (loss + np.log(weights.mean())), rel=1e-9)
    assert abs(gradient[:, 0] @ x) < 1e-6  # the coefficient is the best one


def test_outputs_of_any_size(global_random_seed):
    """Risk sets whose exponentials overflow, vanish beside others, or both, beside the same in high precision."""
    mpmath = pytest.importorskip("mpmath")
    rng = np.random.default_rng(global_random_seed)
    for scale in (50, 900, 1e5):
        y = random_targets(rng, 25, 9)
        outputs = rng.normal(scale=scale, size=25)
        loss, gradient = Cox().of_batch(outputs[:, None], y, np.ones(25))
        assert np.isfinite(gradient).all()
        with mpmath.workdps(50):
            hazards = [mpmath.exp(o) for o in outputs.tolist()]
            expected = mpmath.mpf(0)
            for t in sorted(set(y["time"][y["event"]].tolist())):
                tied = [i for i in range(25) if y["event"][i] and y["time"][i] == t]
                at_risk = mpmath.fsum(hazards[i] for i in range(25) if y["time"][i] >= t)
                of_tied = mpmath.fsum(hazards[i] for i in tied)
                for left, i in enumerate(tied):
                    expected += mpmath.log(at_risk - mpmath.mpf(left) / len(tied) * of_tied) - outputs[i]
            assert loss == pytest.approx(float(expected / int(y["event"].sum())), rel=1e-10)
        assert gradient.sum() == pytest.approx(0, abs=1e-9)


def test_what_changes_nothing(global_random_seed):
    """A constant in all outputs, a factor of all weights, the unit of time, the order, and samples of weight 0."""
    for seed in range(global_random_seed, global_random_seed + 10):
        outputs, y, weights = problem(seed, 8, True)
        loss, gradient = Cox().of_batch(outputs[:, None], y, weights)
        others = survival(y["event"], 1 + 7 * y["time"] ** 3)
        order, kept = np.random.default_rng(seed).permutation(len(y)), weights > 0
        for same, place in (
            (Cox().of_batch(outputs[:, None] + 40, y, weights), slice(None)),
            (Cox().of_batch(outputs[:, None], y, 1e6 * weights), slice(None)),
            (Cox().of_batch(outputs[:, None], others, weights), slice(None)),
            (Cox().of_batch(outputs[order, None], y[order], weights[order]), order),
            (Cox().of_batch(outputs[kept, None], y[kept], weights[kept]), kept),
        ):
            assert same[0] == pytest.approx(loss, rel=1e-9, abs=1e-11)
            np.testing.assert_allclose(same[1], gradient[place], rtol=1e-8, atol=1e-12)
        assert not gradient[~kept].any()
        assert gradient.sum() == pytest.approx(0, abs=1e-12)


def test_the_size_does_not_depend_on_censored_samples():
    """Samples that are censored before the first event are never at risk: neither loss nor gradient changes."""
    y, outputs = survival([1, 1, 0, 1], [2.0, 3.0, 4.0, 5.0]), np.array([0.3, -1.0, 2.0, 0.5])
    loss, gradient = Cox().of_batch(outputs[:, None], y, np.ones(4))
    more = np.concatenate([y, survival([0] * 96, [1.0] * 96)])
    same, with_more = Cox().of_batch(np.append(outputs, np.zeros(96))[:, None], more, np.ones(100))
    assert same == pytest.approx(loss, rel=1e-12)
    np.testing.assert_allclose(with_more[:4], gradient, rtol=1e-12)
    assert not with_more[4:].any()


@pytest.mark.parametrize(
    ("y", "weights"),
    [
        (survival([0, 0, 0], [1, 2, 3]), np.ones(3)),
        (survival([1, 0, 0], [1, 2, 3]), np.array([0.0, 1, 1])),
        (survival([1, 0, 1], [1, 2, 3]), np.zeros(3)),
        (survival([], []), np.ones(0)),
    ],
)
def test_a_batch_without_events(y, weights):
    """It has loss 0 and gradient 0, whatever the outputs."""
    loss, gradient = Cox().of_batch(np.arange(len(y), dtype=np.float32)[:, None], y, weights)
    assert loss == 0
    assert gradient.shape == (len(y), 1)
    assert not gradient.any()


def test_a_single_sample():
    """It is always the first one to have its event."""
    loss, gradient = Cox().of_batch(np.array([[3.0]]), survival([1], [5.0]), np.ones(1))
    assert loss == gradient[0, 0] == 0


def test_single_precision_outputs_are_computed_in_double(global_random_seed):
    outputs, y, weights = problem(global_random_seed, 5)
    single = outputs.astype(np.float32)
    loss, gradient = Cox().of_batch(single[:, None], y, weights)
    assert gradient.dtype == np.float64
    expected_loss, expected = Cox().of_batch(single.astype(float)[:, None], y, weights)
    assert loss == expected_loss
    np.testing.assert_array_equal(gradient, expected)


def test_other_targets_are_refused():
    X, y = np.random.default_rng(0).normal(size=(8, 3)), np.arange(8.0)
    with pytest.raises(TypeError, match=r"loss 'cox'.*dtype float32; use fcfast.FrontSurvival"):
        FrontRegressor((3,), loss=Cox(), max_epochs=1).fit(X, y)
    with pytest.raises(TypeError, match=r"outputs of shape \(2, 3\)"):
        Cox().of_batch(np.zeros((2, 3)), survival([1, 0], [1, 2]), np.ones(2))
