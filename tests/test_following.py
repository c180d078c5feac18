"""Scales that follow a stream of samples: `partial_fit` with small portions, and columns that are constant at first."""

import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.preprocessing import StandardScaler

import fcfast
from fcfast import FrontClassifier, FrontRegressor
from fcfast.sources import ArraySource
from fcfast.sources.running import Followed, Moments
from fcfast.training.network import FrontNetwork

EXACT = {"dtype": "float64", "random_state": 0}
FORMS = ("weights", "windowed")


def table(n=400, d=6):
    """Samples of order 1, classes and numbers."""
    X = np.random.default_rng(0).uniform(-1, 1, size=(n, d))
    return X, (X[:, 0] + X[:, 1] > 0).astype(int), np.sin(X[:, 0]) + X[:, 1]


def trained(model, X, y, size):
    """Train on portions of a size."""
    for start in range(0, len(X), size):
        first = {"classes": np.unique(y)} if isinstance(model, FrontClassifier) and not start else {}
        model.partial_fit(X[start : start + size], y[start : start + size], **first)
    return model


def outputs(model, X):
    return model.predict_proba(X) if hasattr(model, "predict_proba") else model.predict(X)


@pytest.mark.parametrize("size", [1, 7, 40])
@pytest.mark.parametrize("kind", [FrontClassifier, FrontRegressor])
def test_units_do_not_matter_in_a_stream(kind, size):
    """Scales from 1e-6 to 1e6 with offsets, in portions of a few rows and of one, and targets in another unit."""
    X, classes, numbers = table(120)
    y = classes if kind is FrontClassifier else numbers
    scales = np.array([1e-6, 1e6, 1.0, 1e3, 1e-3, 20.0])
    raw = X * scales + 100 * scales * np.array([0, 1, -1, 0, 1, 0])
    expected = outputs(trained(kind(**EXACT), X, y, size), X)
    unit, zero = (1.0, 0.0) if kind is FrontClassifier else (1e5, 1e7)
    model = trained(kind(**EXACT), raw, y if kind is FrontClassifier else unit * y + zero, size)
    np.testing.assert_allclose((outputs(model, raw) - zero) / unit, expected, atol=1e-6)
    assert model.settings_["standardize"] == "running"
    assert np.ptp(expected) > 0.1


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", [FrontClassifier, FrontRegressor])
def test_a_change_of_scales_leaves_the_network_the_same_function(kind, form):
    """Only learning changes it: with the smallest rates, predictions for raw data stay as they are while scales change."""
    X, classes, numbers = table()
    X[100:] = 1.2 * X[100:] + 0.2
    X = X * [1, 1e3, 1, 1e-3, 1, 1] + 5
    y = classes if kind is FrontClassifier else 1e3 * numbers
    model = trained(kind(form=form, **EXACT), X[:100], y[:100], 50)
    model.set_params(learning_rate=1e-300, momentum=0.9)
    before, scale = outputs(model, X), model._scaling.inputs
    if model.network_.front.velocity is not None:  # what momentum would still change
        model.network_.front.velocity[:] = model.network_.upper.velocity[:] = 0
    model.partial_fit(X[100:], y[100:])
    assert (abs(model._scaling.inputs.scale / scale.scale - 1) > 0.1).all()
    assert (abs(model._scaling.inputs.mean - scale.mean) > 0.01 * scale.scale).all()
    np.testing.assert_allclose(outputs(model, X), before, rtol=1e-10)


@pytest.mark.parametrize("kind", [FrontClassifier, FrontRegressor])
def test_forms_that_hold_weights_train_the_same_network(kind):
    X, classes, numbers = table()
    y = classes if kind is FrontClassifier else numbers
    one, other = (trained(kind(form=form, **EXACT), X, y, 30) for form in FORMS)
    np.testing.assert_allclose(outputs(one, X), outputs(other, X), rtol=1e-9)
    assert one.loss_curve_ == pytest.approx(other.loss_curve_, rel=1e-9)


def test_scales_are_those_of_the_samples_so_far():
    """They are StandardScaler's, measured anew whenever the number of samples has doubled."""
    X, y, _ = table(190)
    X = X * [1e-6, 1, 1e6, 1, 1, 1] + [0, 1e6, 0, 1, 2, 3]
    model = trained(FrontClassifier(**EXACT), X, y, 10)
    scaler = StandardScaler().fit(X[:160])
    np.testing.assert_allclose(model._scaling.inputs.mean, scaler.mean_, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(model._scaling.inputs.scale, scaler.scale_, rtol=1e-9)


@pytest.mark.parametrize("weighted", [False, True])
def test_moments_are_those_of_standard_scaler(weighted):
    """With missing values, weights, and means that are a million times the deviation."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(90, 4)) * [1, 1e3, 1e-3, 1] + [1e6, 0, 0, 1]
    X[rng.random(X.shape) < 0.1] = np.nan
    weights = rng.integers(0, 3, 90).astype(float) if weighted else np.ones(90)
    parts = [Moments.of(ArraySource(X[rows]), weights[rows]) for rows in np.split(np.arange(90), [1, 20])]
    together = parts[0].joined(parts[1]).joined(parts[2])
    scaler = StandardScaler().fit(X, sample_weight=weights if weighted else None)
    np.testing.assert_allclose(together.mean, scaler.mean_, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(together.scale(False).scale, scaler.scale_, rtol=1e-9)
    counted = X[weights > 0]
    np.testing.assert_array_equal(together.low, np.nanmin(counted, axis=0))
    np.testing.assert_array_equal(together.high, np.nanmax(counted, axis=0))


def test_scales_change_when_they_are_wrong():
    """A column that begins to vary, a value beyond ten deviations, or twice as many samples; else they stay."""
    X, _, _ = table(40, 3)
    X[:, 2] = 4.0
    first = Followed.start(Moments.of(ArraySource(X)), capped=True)
    assert first.scale.is_known.tolist() == [True, True, False]
    same = first.with_portion(Moments.of(ArraySource(X[:30])))
    assert same.scale is first.scale
    assert same.with_portion(Moments.of(ArraySource(X[:30]))).scale is not first.scale
    for column, value in ((2, 4.001), (0, 1e3)):
        other = X[:1].copy()
        other[0, column] = value
        changed = first.with_portion(Moments.of(ArraySource(other)))
        assert changed.scale.is_known[column]
        assert abs((value - changed.scale.mean[column]) / changed.scale.scale[column]) <= 5.0 + 1e-12


def test_columns_that_are_constant_so_far_do_not_count():
    """Their scale is not known; once they vary, they are learned from, whatever their unit."""
    X, y, _ = table(400, 4)
    X[:100, 0] = X[:100, 1] = 0.0
    at_first = trained(FrontClassifier(**EXACT), X[:100], y[:100], 50)
    moved = X[100:].copy()
    moved[:, :2] += 1e9
    np.testing.assert_array_equal(at_first.predict_proba(moved), at_first.predict_proba(X[100:] * [0, 0, 1, 1]))
    for unit in (1.0, 1e6):
        model = trained(FrontClassifier(**EXACT), X * [unit, 1, 1, 1], y, 50)
        assert model.score(X[100:] * [unit, 1, 1, 1], y[100:]) > 0.9


@pytest.mark.parametrize("size", [20, 100])
def test_images_in_small_portions(size):
    """Pixels at the border, most of them constant in the first portion, do not spoil what the others tell."""
    X, y = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(X))
    X, y = X[order], y[order]
    assert (np.ptp(X[:size], axis=0) == 0).sum() >= 3
    model = trained(FrontClassifier(n_jobs=1, random_state=0), X[:1400], y[:1400], size)
    unscaled = trained(FrontClassifier(standardize=False, n_jobs=1, random_state=0), X[:1400], y[:1400], size)
    assert model.score(X[1400:], y[1400:]) > max(0.85, unscaled.score(X[1400:], y[1400:]))


def test_rates_do_not_depend_on_the_size_of_the_first_portion():
    """A stream that begins with a single sample learns as fast from later, larger portions."""
    X, y, _ = table()
    models = [FrontClassifier(**EXACT).partial_fit(X[:n], y[:n], classes=[0, 1]) for n in (7, 300)]
    assert models[0].settings_["learning_rate"] == models[1].settings_["learning_rate"]


def test_a_portion_that_fails_changes_nothing(monkeypatch):
    """The network and its scales are those of before, together."""
    X, y, _ = table()
    model = trained(FrontClassifier(**EXACT), X[:50], y[:50], 50)
    before, scaling = model.predict_proba(X), model._scaling

    def interrupted(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(FrontClassifier, "_train", interrupted)
    with pytest.raises(KeyboardInterrupt):
        model.partial_fit(3 * X, y)
    assert model._scaling is scaling
    np.testing.assert_array_equal(model.predict_proba(X), before)


@pytest.mark.parametrize("place", ["change_units", "train_epoch"])
def test_who_was_interrupted_can_go_on(monkeypatch, place):
    """Ctrl-C in a change of units, or after the order of the samples was drawn: the same call then gives the same bits."""
    X, _, y = table()
    model = trained(FrontRegressor(**EXACT), X[:50], y[:50], 50)
    before, expected = model.predict(X), pickle.loads(pickle.dumps(model)).partial_fit(3 * X, 9 * y).predict(X)
    method = getattr(FrontNetwork, place)

    def interrupted(network, *args):
        method(network, *args)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(FrontNetwork, place, interrupted)
        with pytest.raises(KeyboardInterrupt):
            model.partial_fit(3 * X, 9 * y)
    np.testing.assert_array_equal(model.predict(X), before)
    np.testing.assert_array_equal(model.partial_fit(3 * X, 9 * y).predict(X), expected)


def test_rows_without_weight_are_not_measured():
    X, y, _ = table(60)
    weights = np.ones(60)
    weights[::3] = 0
    X[::3] *= 1e9
    scaling = FrontClassifier(**EXACT).partial_fit(X, y, [0, 1], weights)._scaling.inputs
    kept = StandardScaler().fit(X[weights > 0])
    np.testing.assert_allclose(scaling.scale, kept.scale_, rtol=1e-9)


def test_it_can_be_asked_for_and_refused():
    """By name; in `fit` it is "capped"; without weights for features there is nothing to change."""
    X, y, _ = table()
    running = FrontClassifier(standardize="running", max_epochs=5, **EXACT).fit(X, y)
    capped = clone(running).set_params(standardize="capped").fit(X, y)
    np.testing.assert_allclose(running.predict_proba(X), capped.predict_proba(X), rtol=1e-9)
    scale = running._scaling.inputs
    running.partial_fit(10 * X, y)
    assert (running._scaling.inputs.scale > 2 * scale.scale).all()
    for settings in ({"form": "contributions"}, {"kernel": "rbf"}, {"init": "span"}):
        with pytest.raises(ValueError, match="standardize='running' changes the weights of each feature"):
            FrontClassifier(standardize="running", **settings).partial_fit(X, y, [0, 1])
        auto = FrontClassifier(**settings).partial_fit(X, y, [0, 1])
        assert auto.settings_["standardize"] == "capped"
        fitted = FrontClassifier(standardize="running", max_epochs=2, **settings).fit(X, y)
        if fitted.form_ == "contributions":
            with pytest.raises(ValueError, match="does not hold"):
                fitted.partial_fit(X, y)


@pytest.mark.parametrize("kind", [FrontClassifier, FrontRegressor])
@pytest.mark.parametrize("n_first", [1, 100])
def test_files_and_copies(tmp_path, kind, n_first):
    """A copy and a network from a file follow the stream on, also if all columns have been constant so far."""
    X, classes, numbers = table()
    X[:100, 3] = 2.0  # constant at first
    X[:, 4] = np.nan  # never there
    y = classes if kind is FrontClassifier else 1e3 * numbers
    first = {"classes": [0, 1]} if kind is FrontClassifier else {}
    model = kind(missing="mean", momentum=0.0, shuffle=False, **EXACT).partial_fit(X[:n_first], y[:n_first], **first)
    model.save(tmp_path / "model")
    loaded, copied = fcfast.load(tmp_path / "model"), pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(loaded.predict(X), model.predict(X))
    for start in range(n_first, 400, 50):
        for other in (model, copied, loaded):
            other.partial_fit(X[start : start + 50], y[start : start + 50])
    np.testing.assert_array_equal(outputs(copied, X), outputs(model, X))
    np.testing.assert_allclose(outputs(loaded, X), outputs(model, X), rtol=1e-9)
    scale = loaded._scaling.inputs
    assert scale.is_known.tolist() == [True] * 4 + [False, True]
    np.testing.assert_array_equal(scale.scale, model._scaling.inputs.scale)


def test_only_what_can_follow_is_in_a_file(tmp_path):
    """`fit` may hold contributions, which do not change their units; a file as weights then has scales only."""
    X, y, _ = table(60)
    model = FrontClassifier(standardize="running", form="contributions", max_epochs=2, **EXACT).fit(X, y)
    model.save(tmp_path / "model")
    loaded = fcfast.load(tmp_path / "model")
    scale = loaded._scaling.inputs
    assert loaded.set_params(form="auto").partial_fit(9 * X, y)._scaling.inputs is scale


def test_bad_moments_in_a_file_are_refused(tmp_path):
    model = FrontClassifier(**EXACT).partial_fit(*table(20)[:2], [0, 1])
    for place, value in ((0, -1.0), (2, -1.0), (6, 0.0)):
        header, tensors = model._to_file(True, False)
        tensors["inputs.moments"][place, 0] = value
        with pytest.raises(ValueError, match="of a stream"):
            FrontClassifier._from_file(header, tensors, None)
    header.followed[:] = ["targets"]
    with pytest.raises(ValueError, match="followed is"):
        header.check()


@pytest.mark.parametrize("weight", [5e-324, 1e-310, 1e300])
def test_extreme_weights_of_samples(weight):
    """They give no stray warnings, and finite predictions."""
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(6, 3)), rng.normal(size=6)
    model = FrontRegressor(hidden_layer_sizes=(3,), standardize="running", random_state=0)
    assert np.isfinite(model.partial_fit(X, y, sample_weight=np.full(6, weight)).predict(X)).all()
