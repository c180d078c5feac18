"""The choices for samples of other kinds, for streams and for weighted samples, and whether networks learn by them."""

import numpy as np
import pytest
from automatic_cases import ANY_KIND, ANY_SHAPE, EXACT, FORMS, assert_equal_networks, is_brief, outputs, samples
from scipy import sparse
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.preprocessing import StandardScaler

from fcfast import FrontClassifier, FrontRegressor, Gram

# ----------------------------------------------------------------------------------------------------------------------
# other inputs


def test_sparse_samples_are_not_scaled():
    """Their rates are those of their length; the network is that of the same numbers in an array."""
    X, y = samples("wide")
    X = np.where(abs(X) > 1, X, 0)
    model = FrontClassifier(**EXACT).fit(sparse.csr_array(X), y)
    assert model.settings_["standardize"] is False
    assert "sparse" in model.settings_.reasons["standardize"]
    dense = FrontClassifier(standardize=False, **EXACT).fit(X, y)
    assert model.settings_["learning_rate"] == dense.settings_["learning_rate"]
    assert_equal_networks(model, dense, X)
    assert model.score(X, y) == 1


def test_the_rate_follows_the_length_of_raw_samples():
    """Sparse samples in another unit lead to the same predictions, by weights in the other unit."""
    X, y = samples("wide")
    X = np.where(abs(X) > 1, X, 0)
    one, other = (FrontClassifier(**EXACT).fit(sparse.csr_array(X * unit), y) for unit in (1.0, 1e4))
    assert_equal_networks(one, other, X * 0, 1e-6)
    np.testing.assert_allclose(other.predict_proba(X * 1e4), one.predict_proba(X), atol=1e-6)


@ANY_KIND
@pytest.mark.parametrize("shape", ["wide", "tall"])
def test_a_gram_matrix_of_standardised_features(kind, shape):
    """It has the rates of the features, constant ones included."""
    X, y = samples(shape, kind)
    X[:, -1] = 0
    gram = Gram(3 * X + 1, standardize=True, dtype="float64")
    from_gram = kind(**EXACT).fit(gram, y)
    from_X = kind(standardize=True, init="span", **EXACT).fit(3 * X + 1, y)
    assert from_gram.settings_["init"] == "span"
    assert from_gram.settings_["learning_rate"] == from_X.settings_["learning_rate"]
    assert_equal_networks(from_gram, from_X, 3 * X + 1)


@pytest.mark.parametrize("settings", [{}, {"standardize": True}, {"kernel": "rbf", "standardize": True}], ids=str)
@pytest.mark.parametrize("shape", ["wide", "tall"])
def test_settings_do_not_depend_on_whether_features_are_at_hand(shape, settings, tmp_path):
    """A Gram matrix that is loaded without them trains the same network."""
    X, y = samples(shape, FrontRegressor)
    X[:, -1] = 0  # a constant column
    gram = Gram(X, **settings)
    gram.save(tmp_path / "gram")
    one, other = (FrontRegressor(max_epochs=20, random_state=0).fit(G, y) for G in (gram, Gram.load(tmp_path / "gram")))
    assert dict(other.settings_) == dict(one.settings_)
    assert other.loss_curve_ == one.loss_curve_


@ANY_KIND
def test_kernels(kind):
    """A kernel, the Gram matrix with this kernel, and its numbers are the same samples."""
    X, y = samples("tall", kind)
    by_name = kind(kernel="rbf", standardize=True, **EXACT).fit(X, y)
    gram = Gram(X, kernel="rbf", standardize=True, dtype="float64")
    from_gram, precomputed = kind(**EXACT).fit(gram, y), kind(kernel="precomputed", **EXACT).fit(gram.matrix, y)
    assert precomputed.settings_["standardize"] is False
    assert by_name.settings_["init"] == from_gram.settings_["init"] == precomputed.settings_["init"] == "span"
    assert_equal_networks(by_name, from_gram, X)
    np.testing.assert_allclose(precomputed.loss_curve_, by_name.loss_curve_, rtol=1e-9)
    np.testing.assert_allclose(outputs(precomputed, gram.matrix), outputs(by_name, X), atol=1e-9)
    assert by_name.score(X, y) > 0.8
    assert kind(kernel="rbf", **EXACT).fit(1e5 * X, y).score(1e5 * X, y) > 0.8  # features are scaled by default


OTHERS = [
    *({"optimizer": name} for name in ("muon", "neuron-adam", "adam", "adamw", "adagrad", "rmsprop")),
    *({"rule": name} for name in ("dfa", "fg-a", "local-loss")),
    {"activation": "tanh"}, {"activation": "logistic"}, {"early_stopping": True}, {"hidden_layer_sizes": (16, 16)},
]  # fmt: skip
# Some held-out samples do not say when to stop.
FOR_FEW = [settings for settings in OTHERS if settings != {"early_stopping": True}]
LEARNING = [("wide", s) for s in FOR_FEW] + [("tall", s) for s in FOR_FEW] + [("many", s) for s in OTHERS]


@pytest.mark.parametrize(("shape", "settings"), LEARNING, ids=str)
def test_it_learns_by_any_way(shape, settings):
    """Optimisers, rules, activations and early stopping, with the rates that are chosen for them, in other units."""
    X, y = samples(shape)
    X = 1e3 * X - 1e4
    epochs = {"max_epochs": 20} if shape == "many" else {}
    model = FrontClassifier(random_state=0, **epochs, **settings).fit(X, y)
    assert model.loss_curve_[-1] < 0.9 * model.loss_curve_[0]
    assert model.score(X, y) > 0.75


def test_early_stopping_waits_for_a_fifth_of_the_epochs():
    """The score decides; otherwise all epochs are trained."""
    X, y = samples("tall")
    X = np.vstack([X, X])
    y = np.concatenate([y, y])
    stopped = FrontClassifier(early_stopping=True, **EXACT).fit(X, y)
    assert stopped.settings_["n_iter_no_change"] == 40
    assert len(stopped.validation_scores_) == stopped.n_epochs_ < stopped.settings_["max_epochs"]
    whole = FrontClassifier(**EXACT).fit(X, y)
    assert whole.n_epochs_ == whole.settings_["n_iter_no_change"] == whole.settings_["max_epochs"]


@ANY_KIND
def test_warm_start_goes_on_where_training_ended(kind):
    """From the weights, with the units and the scale of the first fit."""
    X, y = samples("tall", kind)
    model = kind(warm_start=True, max_epochs=5, **EXACT).fit(X, y)
    before, standardize = model.loss_curve_, model.settings_["standardize"]
    model.fit(X, y)
    assert before[0] > 1.2 * before[-1] > model.loss_curve_[0]
    assert model.settings_["standardize"] == standardize
    assert "before" in model.settings_.reasons["hidden_layer_sizes"]


# ----------------------------------------------------------------------------------------------------------------------
# streams


@ANY_KIND
def test_a_stream_is_the_same_in_every_form(kind):
    """The first samples choose the settings; later ones are scaled as they were."""
    X, y = samples("many", kind)
    X = 100 * X - 7
    parts = [slice(0, 300), slice(300, 310), slice(310, 900)]
    models = [kind(form=form, standardize="capped", **EXACT) for form in FORMS]
    for model in models:
        for number, part in enumerate(parts):
            first = {"classes": ["a", "b", "c"]} if kind is FrontClassifier and not number else {}
            model.partial_fit(X[part], y[part], **first)
            if not number:
                settings = dict(model.settings_)
        assert dict(model.settings_) == settings
        assert settings["standardize"] == "capped"
        assert settings["init"] == "scaled"
        assert len(model.loss_curve_) == 3
        assert_equal_networks(models[0], model, X)


@ANY_KIND
def test_few_first_samples_of_a_stream_are_not_scaled(kind):
    """They do not say what the scale is, and contributions cannot change it."""
    X, y = samples("many", kind)
    first = {"classes": ["a", "b", "c"]} if kind is FrontClassifier else {}
    model = kind(form="contributions", **EXACT).partial_fit(X[:99], y[:99], **first)
    assert model.settings_["standardize"] is False
    assert model.settings_.get("standardize_targets", "running") == "running"
    for start in range(99, 1000, 99):
        model.partial_fit(X[start : start + 99], y[start : start + 99])
    assert np.isfinite(outputs(model, X)).all()
    assert model.loss_curve_[-1] < model.loss_curve_[0]


# ----------------------------------------------------------------------------------------------------------------------
# weights of samples


def with_ignored_rows(X, y, n=9):
    """Add rows of weight 0, far from all others, and give the weights."""
    far = np.full((n, X.shape[1]), 1e6) * np.arange(1, n + 1)[:, None]
    others = y[:n] if y.dtype.kind == "U" else y[:n] + 1e9
    return np.vstack([X, far]), np.concatenate([y, others]), np.concatenate([np.ones(len(X)), np.zeros(n)])


@ANY_KIND
@ANY_SHAPE
@pytest.mark.parametrize("make", [np.asarray, sparse.csr_array])
def test_rows_of_weight_zero_choose_nothing(kind, shape, make):
    """Scales, rates, epochs and decay are those without these rows; and where one batch has them all, so is the network."""
    X, y = samples(shape, kind)
    if shape == "many":
        X, y = X[:995], y[:995]
    model = kind(**is_brief(shape), init="glorot", shuffle=False, form="contributions", **EXACT)
    alone = clone(model).fit(make(X), y)
    more, targets, weights = with_ignored_rows(X, y)
    other = clone(model).fit(make(more), targets, sample_weight=weights)
    settings = {**other.settings_, "batch_size": alone.settings_["batch_size"]}
    assert settings == dict(alone.settings_)
    assert other.settings_["batch_size"] == len(more)
    np.testing.assert_allclose(outputs(other, X), outputs(alone, X), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("make", [np.asarray, sparse.csr_array])
def test_capped_scales_are_weighted_as_standard_scalers(make):
    X = np.random.default_rng(0).uniform(-1, 1, size=(60, 7))
    X[X < -0.8] = 0
    weights = np.random.default_rng(1).uniform(0, 3, size=60)
    model = FrontClassifier(standardize="capped", max_epochs=1, **EXACT).fit(make(X), np.arange(60) % 2, weights)
    scaler = StandardScaler().fit(X, sample_weight=weights)
    np.testing.assert_allclose(model._scaling.inputs.mean, scaler.mean_)
    np.testing.assert_allclose(model._scaling.inputs.scale, scaler.scale_)
    numbers = 5 * X[:, 0] + 3
    scale = FrontRegressor(max_epochs=1, **EXACT).fit(X, numbers, weights)._scaling.targets
    np.testing.assert_allclose(scale.mean, np.average(numbers, weights=weights))
    np.testing.assert_allclose(scale.scale, 5 * scaler.scale_[:1])


def test_the_length_of_sparse_samples_is_weighted():
    X, y = samples("wide")
    weights = np.linspace(0, 2, len(X))
    X *= np.linspace(1, 9, len(X))[:, None]
    lengths = np.square(X).sum(axis=1)
    settings = FrontClassifier(max_epochs=1).fit(sparse.csr_array(X), y, weights).settings_
    assert f"{np.average(lengths, weights=weights):.3g}" in settings.reasons["learning_rate"]
    assert f"{lengths.mean():.3g}" not in settings.reasons["learning_rate"]


def test_one_huge_sample_does_not_rule_the_rates():
    """It counts as ten times the median, and the others are learned from nearly as without it."""
    X, y = samples("wide")
    X = np.where(abs(X) > 1, X, 0)
    plain = FrontClassifier(**EXACT).fit(sparse.csr_array(X), y)
    X[7] *= 1e3
    model = FrontClassifier(**EXACT).fit(sparse.csr_array(X), y)
    lengths = np.square(X).sum(axis=1)
    assert model.settings_.reasons["learning_rate"].endswith(f"none counts as more than {10 * np.median(lengths):.3g}")
    rates = [np.array(m.settings_["learning_rate"])[0, 0] for m in (plain, model)]
    assert rates[0] / 1.3 < rates[1] < rates[0]
    assert np.delete(model.predict(X) == y, 7).mean() > 0.9


# ----------------------------------------------------------------------------------------------------------------------
# learning


@pytest.mark.parametrize(
    "settings",
    [
        *({"rule": rule, "hidden_layer_sizes": (64, 64)} for rule in ("fg-a", "lg-fg-a", "dfa", "local-loss")),
        {"batch_size": 1, "max_epochs": 2},
        {"batch_size": 8},
        {"activation": "logistic", "hidden_layer_sizes": (64, 64, 64)},
        {"optimizer": "muon"},
        {"optimizer": "adam"},
    ],
    ids=str,
)
def test_batches_of_any_size_and_noisy_rules_learn(settings):
    """Steps are smaller where gradients are noisy, so that nothing diverges."""
    X, y = load_digits(return_X_y=True)
    epochs = settings.pop("max_epochs", 20)
    classifier = FrontClassifier(max_epochs=epochs, n_jobs=1, random_state=0, **settings).fit(X[:1100], y[:1100])
    assert classifier.outcome_ == "max_epochs"
    assert classifier.score(X[1100:], y[1100:]) > 0.75


def test_noise_on_weights_learns_numbers():
    """The noise limits its steps, and not the curvature of the squared error."""
    X = np.random.default_rng(0).normal(size=(80, 200))
    y = X[:, :10].sum(axis=1) / 3
    regressor = FrontRegressor(rule="fg-w", n_jobs=1, random_state=0).fit(X, y)
    assert regressor.score(X, y) > 0.85


def test_portions_smaller_than_the_batches_of_fit():
    """Single samples after a fit to all samples take small steps, so that they do not destroy the network."""
    X, y = samples("tall")
    classifier = FrontClassifier(random_state=0).fit(X, y)
    before = classifier.score(X, y)
    for row in range(len(X)):
        classifier.partial_fit(X[row : row + 1], y[row : row + 1])
    assert classifier.score(X, y) > before - 0.05
    classifier.set_params(learning_rate=1e-9).partial_fit(X, y)
    assert (classifier.settings_["learning_rate"], classifier.settings_.reasons["learning_rate"]) == (1e-9, "as given")


def test_a_good_network_pays_its_decay_without_a_warning():
    """The loss of a warm start rises to where weight decay balances it."""
    X, y = samples("wide")
    classifier = FrontClassifier(warm_start=True, **EXACT).fit(X, y)
    classifier.fit(X[: len(X) // 2 * 2], y[: len(X) // 2 * 2])
    assert classifier.outcome_ == "max_epochs"
