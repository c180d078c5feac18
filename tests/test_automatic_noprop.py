"""The defaults of `NoPropClassifier`: what "auto" stands for, and rates and decays of the layers of its blocks."""

import numpy as np
import pytest
from noprop_cases import VARIANTS
from sklearn.base import clone
from sklearn.datasets import load_iris, load_wine
from sklearn.model_selection import cross_val_score
from sklearn.preprocessing import StandardScaler

import fcfast
from fcfast import Gram, NoPropClassifier
from fcfast.estimators.noprop_automatic import FIRST_SIZE

FORMS = ("weights", "windowed", "contributions")
AUTOMATIC = {
    "standardize", "n_blocks", "hidden", "init", "init_scale", "batch_size", "max_epochs", "n_iter_no_change", "schedule",
    "learning_rate", "weight_decay",
}  # fmt: skip
LAYERS = {"dt": 7, "ct": 6, "fm": 6, "backprop": 8}  # "backprop" has a classifier behind its blocks
GIVEN = {
    "standardize": True, "n_blocks": 2, "hidden": (5, 4), "init": "glorot", "init_scale": 0.3, "batch_size": 9, "max_epochs": 3,
    "n_iter_no_change": 2, "schedule": "step", "learning_rate": [0.01, (0.02, 0.03), 0.04, 0.05, 0.06, 0.07, 0.08],
    "weight_decay": [0.001, (0.1, 0), 0, 0, 0, 0, 0.2],
}  # fmt: skip
BRIEF = {"max_epochs": 4, "n_blocks": 2, "hidden": (8, 6), "random_state": 0}
SHAPES = {"wide": (40, 150), "tall": (60, 6), "many": (1050, 5)}
ANY_SHAPE = pytest.mark.parametrize("shape", SHAPES)
ANY_VARIANT = pytest.mark.parametrize("variant", VARIANTS)


def samples(shape):
    """Samples of order 1, and three classes that the first features tell."""
    n, d = SHAPES[shape]
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, d))
    classes = np.arange(n) % 3
    X[:, :5] += 1.5 * rng.normal(size=(3, 5))[classes]
    return X, np.array(["a", "b", "c"])[classes]


def parameters(model):
    return model.network_.snapshot()


# ----------------------------------------------------------------------------------------------------------------------
# settings_


@ANY_SHAPE
@ANY_VARIANT
def test_every_auto_is_chosen_and_shown(variant, shape):
    """With a reason; the parameters themselves stay "auto"."""
    X, y = samples(shape)
    brief = {} if shape == "wide" and variant == "dt" else {"max_epochs": 2}
    model = NoPropClassifier(variant, **brief, random_state=0)
    given = model.get_params()
    assert {name for name in given if isinstance(given[name], str) and given[name] == "auto"} >= AUTOMATIC - set(brief)
    settings = model.fit(X, y).settings_
    assert set(settings) == set(settings.reasons) == AUTOMATIC
    assert not any(isinstance(value, str) and value == "auto" for value in settings.values())
    assert all(settings.reasons.values())
    assert len(settings["learning_rate"]) == LAYERS[variant]
    assert settings["init"] == ("span" if shape == "wide" else "glorot")
    assert len(model.network_.blocks) == settings["n_blocks"] == (1 if variant in ("ct", "fm") else 5)
    assert model.n_epochs_ == settings["max_epochs"]
    assert model.network_.batch_size == settings["batch_size"]
    assert (model.network_.shape.n_hidden, model.network_.shape.n_fused) == settings["hidden"]
    assert model.get_params() == clone(model).get_params() == given


@pytest.mark.parametrize("name", GIVEN)
def test_what_is_given_is_taken(name):
    """One parameter is given, and all others are still chosen."""
    X, y = samples("tall")
    given = {"max_epochs": 3, name: GIVEN[name]}
    settings = NoPropClassifier(**given, random_state=0).fit(X, y).settings_
    assert {n: settings[n] for n in given} == given
    assert {n for n, reason in settings.reasons.items() if reason == "as given"} == set(given)


def test_a_given_course_of_noise_decides_the_number_of_blocks():
    X, y = samples("tall")
    model = NoPropClassifier(noise_schedule=[0.01, 0.2, 0.6, 0.9], max_epochs=1, random_state=0).fit(X, y)
    assert model.settings_["n_blocks"] == len(model.network_.blocks) == 3


@pytest.mark.bits
@ANY_VARIANT
@pytest.mark.parametrize("optimizer", ["sgd", "muon", "neuron-adam", "adamw"])
def test_a_training_with_the_same_settings_has_the_same_bits(variant, optimizer):
    """Settings that are copied from `settings_` are all there is to "auto"."""
    for shape, embedding in (("wide", "learned"), ("tall", "one-hot")):
        X, y = samples(shape)
        model = NoPropClassifier(variant, optimizer=optimizer, embedding=embedding, **BRIEF).fit(X, y)
        explicit = clone(model).set_params(**model.settings_).fit(X, y)
        assert set(explicit.settings_.reasons.values()) == {"as given"}
        assert explicit.loss_curve_ == model.loss_curve_
        for one, other in zip(parameters(model), parameters(explicit), strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(("verbose", "n_tables"), [(0, 0), (2, 1)])
def test_verbose_prints_the_settings(verbose, n_tables, capsys):
    X, y = samples("wide")
    model = NoPropClassifier(**BRIEF, verbose=verbose).fit(X, y)
    assert capsys.readouterr().out.count(str(model.settings_)) == n_tables


@ANY_VARIANT
def test_files_keep_the_settings(variant, tmp_path):
    X, y = samples("wide")
    model = NoPropClassifier(variant, max_epochs=2, random_state=0).fit(X, y)
    model.save(tmp_path / "model")
    loaded = fcfast.load(tmp_path / "model")
    assert dict(loaded.settings_) == dict(model.settings_)
    assert loaded.settings_.reasons == model.settings_.reasons
    assert loaded.get_params() == model.get_params()
    np.testing.assert_allclose(loaded.predict_proba(X), model.predict_proba(X), atol=1e-5)


@pytest.mark.parametrize("kind", [NoPropClassifier, fcfast.FrontClassifier])
def test_files_of_estimators_whose_parameters_were_set(kind, tmp_path):
    """A parameter that was set after the fit is in the file as it is, and what had been chosen for it is not."""
    X, y = samples("tall")
    model = kind(max_epochs=2, random_state=0).fit(X, y)
    expected = model.predict_proba(X)
    model.set_params(learning_rate=0.1).save(tmp_path / "model")
    loaded = fcfast.load(tmp_path / "model")
    assert loaded.learning_rate == loaded.settings_["learning_rate"] == 0.1
    np.testing.assert_allclose(loaded.predict_proba(X), expected, atol=1e-5)


# ----------------------------------------------------------------------------------------------------------------------
# one network, in whatever form and unit


@ANY_SHAPE
@ANY_VARIANT
def test_every_form_trains_the_same_network(variant, shape):
    X, y = samples(shape)
    one, *others = (NoPropClassifier(variant, form=form, dtype="float64", **BRIEF).fit(X, y) for form in FORMS)
    for other in others:
        assert other.form_ != one.form_
        assert dict(other.settings_) == dict(one.settings_)
        np.testing.assert_allclose(other.loss_curve_, one.loss_curve_, rtol=1e-9)
        np.testing.assert_allclose(other.predict_proba(X), one.predict_proba(X), rtol=1e-8, atol=1e-9)


@ANY_SHAPE
def test_units_of_features_do_not_matter(shape):
    """Raw features of any scale and offset are standardised ones."""
    X, y = samples(shape)
    rng = np.random.default_rng(1)
    scales = 10 ** rng.uniform(-6, 9, X.shape[1])
    raw = X * scales + rng.choice([-1.0, 0.0, 1.0], X.shape[1]) * np.minimum(1e6 * scales, 1e9)
    model = NoPropClassifier(dtype="float64", **BRIEF | {"max_epochs": 10})
    Z = StandardScaler().fit_transform(X)
    expected = clone(model).fit(Z, y).predict_proba(Z)
    np.testing.assert_allclose(clone(model).fit(raw, y).predict_proba(raw), expected, atol=1e-6)


@pytest.mark.parametrize("kernel", ["linear", "rbf"])
@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e4])
def test_a_gram_matrix_of_any_unit(kernel, scale):
    """The start and the rates follow the length of the samples, so that their unit does not matter."""
    X, y = samples("wide")
    settings = {"gamma": 1 / 150 / scale**2} if kernel == "rbf" else {}
    model = NoPropClassifier(dtype="float64", **BRIEF | {"max_epochs": 10}, optimizer="sgd")
    unscaled = Gram(X, kernel=kernel, dtype="float64", **({"gamma": 1 / 150} if settings else {}))
    expected = clone(model).fit(unscaled, y).predict_proba(unscaled)
    gram = Gram(scale * X, kernel=kernel, dtype="float64", **settings)
    np.testing.assert_allclose(clone(model).fit(gram, y).predict_proba(gram), expected, atol=2e-3)


@ANY_SHAPE
@pytest.mark.parametrize("standardize", [False, "auto"])
def test_size_of_the_first_preactivations(shape, standardize):
    """It does not depend on the number of features or their unit."""
    X, y = samples(shape)
    X = 1e3 * (X - X.mean(axis=0)) / X.std(axis=0)
    still = {"learning_rate": 1e-30, "max_epochs": 1, "hidden": (256, 8), "n_blocks": 3, "form": "weights"}
    model = NoPropClassifier(**still, standardize=standardize, random_state=0).fit(X, y)
    S = X / (1 if standardize is False else X.std(axis=0)) @ np.concatenate(model.network_.fronts.expand()).T
    np.testing.assert_allclose(S.std(), FIRST_SIZE, rtol=0.1)


# ----------------------------------------------------------------------------------------------------------------------
# rates and decays by layer


@ANY_VARIANT
@pytest.mark.parametrize("batch_norm", [False, True])
def test_each_layer_has_its_rate_and_decay(variant, batch_norm):
    """A step of SGD moves all parameters by their own rates times what the gradient and the decay ask for."""
    X, y = samples("tall")
    n_layers = LAYERS["backprop"] if variant == "backprop" else LAYERS[variant] + 1  # the last one is that of the labels
    rng = np.random.default_rng(0)
    rates, decays = rng.uniform(0.5, 2, (n_layers, 2)), rng.uniform(0.5, 2, (n_layers, 2))
    model = NoPropClassifier(
        variant, optimizer="sgd", momentum=0.0, batch_size=60, embedding="learned", embedding_dim=3, batch_norm=batch_norm,
        form="weights", dtype="float64", **BRIEF | {"max_epochs": 1, "n_blocks": 1}, weight_decay=0.0, schedule="constant",
    )  # fmt: skip

    def trained(**settings):
        return clone(model).set_params(**settings).fit(X, y).network_

    start = trained(learning_rate=1e-300)
    step, ours = trained(learning_rate=1.0), trained(learning_rate=rates.tolist(), weight_decay=decays.tolist())
    pairs = [(tuple(network.fronts.forms[0].base for network in (start, step, ours)), rates[0, 0], decays[0, 0])]
    for part, owner in (("blocks", 0), ("labels", n_layers - 1)):
        held = [network.blocks[0] if part == "blocks" else network.labels for network in (start, step, ours)]
        kinds = (held[0].layers.matrices, held[0].layers.vectors) if part == "blocks" else held[0].trained
        for kind, places in enumerate(kinds):
            for layer, place, _ in places:
                k = owner + layer
                pairs.append((tuple(one.params[place] for one in held), rates[k, kind], decays[k, kind]))
    if len(start.own):
        pairs.append(((start.own, step.own, ours.own), rates[-1, 1], decays[-1, 1]))
    assert len(pairs) > 2 * LAYERS[variant]
    for (before, after, got), rate, decay in pairs:
        np.testing.assert_allclose(got, before + rate * (after - before) - rate * decay * before, atol=1e-12)


@pytest.mark.parametrize("optimizer", ["sgd", "muon", "neuron-adam", "adamw"])
def test_equal_rates_of_layers_are_one_rate(optimizer):
    X, y = samples("tall")
    model = NoPropClassifier(optimizer=optimizer, dtype="float64", form="weights", **BRIEF)
    one = clone(model).set_params(learning_rate=0.01, weight_decay=0.1).fit(X, y)
    other = clone(model).set_params(learning_rate=[0.01] * 7, weight_decay=[0.1] * 7).fit(X, y)
    for a, b in zip(parameters(one), parameters(other), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-13)


# ----------------------------------------------------------------------------------------------------------------------
# what it is good for


@pytest.mark.parametrize(("load", "least"), [(load_iris, 0.93), (load_wine, 0.95)])
def test_raw_tables(load, least):
    X, y = load(return_X_y=True)
    assert cross_val_score(NoPropClassifier(random_state=0), X, y, cv=3).mean() >= least


def test_raw_wide_data():
    """Each column has its own unit."""
    rng = np.random.default_rng(0)
    y = np.arange(90) % 3
    X = rng.normal(size=(90, 3000))
    for label in range(3):
        X[y == label, 100 * label : 100 * (label + 1)] += 1
    X *= rng.lognormal(sigma=2, size=3000)
    assert NoPropClassifier(random_state=0).fit(X[:60], y[:60]).score(X[60:], y[60:]) > 0.9
