"""`FrontSurvival`: predictions, samples of all kinds, errors."""

import numpy as np
import pytest
from scipy import sparse
from survival_cases import QUICK, changed, survival, wide_survival

from fcfast import FrontSurvival, Gram
from fcfast.sources import ArraySource
from fcfast.streams import Stream
from fcfast.survival import Baseline, concordance_index

FORMS = "weights", "windowed", "contributions"


@pytest.fixture(scope="module")
def data():
    return wide_survival()


@pytest.fixture(scope="module")
def fitted(data):
    return FrontSurvival(form="contributions", **QUICK).fit(*data)


# ----------------------------------------------------------------------------------------------------------------------
# predictions


def test_predictions_follow_from_outputs(data, fitted):
    """Risk scores are the outputs, and the functions of time are those of the baseline."""
    X, y = data
    risk = fitted.predict(X)
    assert risk.dtype == np.float64
    baseline = Baseline.estimate(y["event"], y["time"], risk)
    np.testing.assert_array_equal(fitted.unique_times_, np.unique(y["time"]))
    hazards = fitted.predict_cumulative_hazard_function(X[:4], return_array=True)
    np.testing.assert_allclose(hazards, baseline.cumulative_hazards(risk[:4]), rtol=1e-9)
    survivals = fitted.predict_survival_function(X[:4], return_array=True)
    np.testing.assert_allclose(survivals, np.exp(-hazards), rtol=1e-12)
    assert (np.diff(survivals) <= 0).all()
    functions = fitted.predict_survival_function(X[:4])
    assert functions.shape == (4,)
    np.testing.assert_array_equal([f(fitted.unique_times_) for f in functions], survivals)
    of_zero = fitted.cumulative_baseline_hazard_
    np.testing.assert_allclose(hazards, np.exp(risk[:4])[:, None] * of_zero(fitted.unique_times_), rtol=1e-9)
    np.testing.assert_allclose(fitted.baseline_survival_(of_zero.x), np.exp(-of_zero.y), rtol=1e-12)
    assert fitted.score(X, y) == concordance_index(y, risk)
    weights = np.arange(60.0)
    assert fitted.score(X, y, weights) == concordance_index(y, risk, weights)
    with pytest.raises(ValueError, match="read-only"):
        fitted.unique_times_[0] = 1


def test_the_mean_number_of_events_is_right(data, fitted):
    """Summed over the training samples, the hazards up to the end of each observation are the events (Breslow)."""
    X, y = data
    expected = [f(t) for f, t in zip(fitted.predict_cumulative_hazard_function(X), y["time"], strict=True)]
    assert sum(expected) == pytest.approx(y["event"].sum(), rel=1e-9)


def test_defaults_learn_from_wide_data():
    X, y = wide_survival(160, 2000, seed=1)
    model = FrontSurvival(random_state=0).fit(X[:100], y[:100])
    assert model.score(X[:100], y[:100]) > 0.9
    assert model.score(X[100:], y[100:]) > 0.7
    assert model.settings_["batch_size"] == 100
    assert model.settings_.reasons["batch_size"] == "all samples, with which events are compared"


def test_all_samples_are_one_batch():
    """Also of more samples than the other estimators take into one."""
    X, y = wide_survival(1100, 10)
    model = FrontSurvival((2,), max_epochs=2, random_state=0).fit(X, y)
    assert model.settings_["batch_size"] == model.network_.batch_size == 1100


# ----------------------------------------------------------------------------------------------------------------------
# samples of all kinds


def test_samples_of_all_kinds_give_the_same_network(data):
    """Arrays, sparse matrices, sources, Gram matrices and precomputed products."""
    X, y = data
    X = np.where(np.abs(X) > 1, X, 0)
    settings = QUICK | {"standardize": False, "init": "span", "form": "contributions"}
    expected = FrontSurvival(**settings).fit(X, y)
    risk = expected.predict(X)
    for samples in (sparse.csr_array(X), ArraySource(X), Gram(X, dtype="float64")):
        model = FrontSurvival(**settings).fit(samples, y)
        np.testing.assert_allclose(model.predict(samples), risk, rtol=1e-8, atol=1e-10)
        np.testing.assert_allclose(model.baseline_survival_.y, expected.baseline_survival_.y, rtol=1e-8)
    products = FrontSurvival(kernel="precomputed", **QUICK).fit(X @ X.T, y)
    assert products.predict(X[:3] @ X.T).shape == (3,)
    assert FrontSurvival(kernel="rbf", **QUICK).fit(X, y).predict_survival_function(X[:2], return_array=True).shape == (2, 60)
    with_gaps = np.where(X == 0, np.nan, X)
    assert np.isfinite(FrontSurvival(missing="mean", **QUICK).fit(with_gaps, y).predict(with_gaps)).all()


@pytest.mark.parametrize("form", FORMS)
def test_samples_of_weight_0_do_not_count(data, form):
    X, y = data
    weights = np.where(np.arange(60) % 3 == 0, 0.0, 1.0 + np.arange(60) % 5)
    kept = weights > 0
    settings = QUICK | {"form": form, "standardize": False, "init": "span", "learning_rate": 1e-3, "weight_decay": 0.0}
    model = FrontSurvival(**settings).fit(X, y, weights)
    alone = FrontSurvival(**settings).fit(X[kept], y[kept], weights[kept])
    np.testing.assert_allclose(model.loss_curve_, alone.loss_curve_, rtol=1e-9)
    np.testing.assert_allclose(model.predict(X), alone.predict(X), rtol=1e-7, atol=1e-10)
    np.testing.assert_array_equal(model.unique_times_, alone.unique_times_)
    np.testing.assert_allclose(model.baseline_survival_.y, alone.baseline_survival_.y, rtol=1e-8)


@pytest.mark.bits
def test_the_number_of_threads_changes_no_bit(data):
    X, y = data
    models = [FrontSurvival(max_epochs=8, random_state=0, n_jobs=n_jobs).fit(X, y) for n_jobs in (1, 2)]
    np.testing.assert_array_equal(models[0].predict(X), models[1].predict(X))
    np.testing.assert_array_equal(models[0].baseline_survival_.y, models[1].baseline_survival_.y)


# ----------------------------------------------------------------------------------------------------------------------
# errors


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda X, y: (X, None), ValueError, "the target y is None"),
        (lambda X, y: (X, y["time"]), TypeError, "structured array of two fields"),
        (lambda X, y: (X, y[:-1]), ValueError, "inconsistent numbers of samples"),
        (lambda X, y: (X, changed(y, event=False)), ValueError, "y has no events, all 60 samples are censored"),
        (lambda X, y: (X, changed(y, time=-1.0)), ValueError, "60 negative time"),
        (lambda X, y: (X, changed(y, time=np.nan)), ValueError, "NaN or infinite"),
        (lambda X, y: (X, y, np.where(y["event"], 0.0, 1.0)), ValueError, "none of the 26 samples to train on .with a weight"),
        (lambda X, y: (np.where(X > 2, np.nan, X), y), ValueError, "missing='mean'"),
        (lambda X, y: (Stream(lambda: iter([(X, y)])), None), TypeError, "all samples at risk.*got a stream"),
        (lambda X, y: ([(X, y)], None), TypeError, "list of blocks"),
    ],
)
def test_errors(data, make, error, message):
    model = FrontSurvival(**QUICK)
    with pytest.raises(error, match=message):
        model.fit(*make(*data))
    assert not hasattr(model, "network_")


def test_errors_of_predictions(data, fitted):
    X, y = data
    with pytest.raises(ValueError, match="no comparable pairs"):
        fitted.score(X, changed(y, event=False))
    with pytest.raises(TypeError, match="return_array must be True or False"):
        fitted.predict_survival_function(X, return_array="yes")
    with pytest.raises(ValueError, match="x must be within"):
        fitted.predict_survival_function(X[:1])[0](1e9)
    assert not hasattr(fitted, "partial_fit")
    with pytest.raises(ValueError, match="batch_size=1 compares each sample with itself"):
        FrontSurvival(batch_size=1).fit(X, y)
    for name in ("unique_times_", "baseline_survival_", "cumulative_baseline_hazard_"):
        assert not hasattr(FrontSurvival(), name)


def test_single_and_few_samples():
    """There is nothing to compare a single sample with: it is trained to no effect, and predicted."""
    X, y = np.ones((1, 3)), survival([1], [2.0])
    model = FrontSurvival((2,), max_epochs=3, random_state=0).fit(X, y)
    assert model.loss_curve_ == [0.0, 0.0, 0.0]
    assert model.predict_survival_function(X, True) == pytest.approx(np.exp(-1))
    two = FrontSurvival((2,), max_epochs=3, random_state=0).fit(np.eye(2), survival([1, 0], [1.0, 1.0]))
    assert np.isfinite(two.predict(np.eye(2))).all()


def test_predictions_of_streams(data, fitted):
    """A fitted estimator predicts block by block."""
    X, y = data
    stream = Stream(lambda: iter([(X[:25], y[:25]), (X[25:], y[25:])]))
    np.testing.assert_allclose(fitted.predict(stream), fitted.predict(X), rtol=1e-12)
    assert fitted.score(stream) == pytest.approx(fitted.score(X, y))
