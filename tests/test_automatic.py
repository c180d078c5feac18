"""The defaults of `FrontClassifier` and `FrontRegressor`: what "auto" stands for, and what it makes the same for all data."""

import math

import numpy as np
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks
from threadpoolctl import threadpool_limits

from fcfast import FrontClassifier, FrontRegressor, Gram, backend, load
from fcfast.optimizers import Adagrad
from fcfast.sources import Standardized, as_source
from fcfast.training import TrainingWarning

FORMS = ("weights", "windowed", "contributions")
AUTOMATIC = {
    "standardize", "hidden_layer_sizes", "optimizer", "init", "batch_size", "max_epochs", "n_iter_no_change", "schedule",
    "learning_rate", "weight_decay",
}  # fmt: skip
GIVEN = {
    "standardize": True, "hidden_layer_sizes": (5, 4), "optimizer": "adam", "init": "glorot", "batch_size": 9, "max_epochs": 3,
    "n_iter_no_change": 2, "schedule": "step", "learning_rate": [0.01, (0.02, 0.03), 0.04], "weight_decay": 0.001,
}  # fmt: skip
EXACT = {"dtype": "float64", "random_state": 0}
SHAPES = {"wide": (40, 150), "tall": (60, 6), "many": (1050, 5)}
KINDS = (FrontClassifier, FrontRegressor)
ANY_KIND = pytest.mark.parametrize("kind", KINDS)
ANY_SHAPE = pytest.mark.parametrize("shape", SHAPES)


def samples(shape, kind=FrontClassifier):
    """Samples of order 1, and three classes or numbers that the first features tell."""
    n, d = SHAPES[shape]
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, d))
    classes = np.arange(n) % 3
    X[:, :5] += 1.5 * rng.normal(size=(3, 5))[classes]
    return X, np.array(["a", "b", "c"])[classes] if kind is FrontClassifier else np.sin(X[:, 0]) + X[:, 1] * X[:, 2] / 2


def is_brief(shape):
    """Few epochs where there are many samples."""
    return {"max_epochs": 4} if shape == "many" else {}


def outputs(model, X):
    return model.predict_proba(X) if hasattr(model, "predict_proba") else model.predict(X)


def assert_equal_networks(one, other, X, tolerance=1e-9):
    """Two trainings had the same losses and predict the same."""
    np.testing.assert_allclose(one.loss_curve_, other.loss_curve_, rtol=tolerance)
    np.testing.assert_allclose(outputs(one, X), outputs(other, X), rtol=tolerance, atol=tolerance)


# ----------------------------------------------------------------------------------------------------------------------
# settings_


@ANY_KIND
@ANY_SHAPE
def test_every_auto_is_chosen_and_shown(kind, shape):
    """With a reason; the parameters themselves stay "auto"."""
    X, y = samples(shape, kind)
    names = AUTOMATIC | ({"standardize_targets"} if kind is FrontRegressor else set())
    model = kind(**is_brief(shape), random_state=0)
    parameters = model.get_params()
    assert {name for name in names if parameters[name] == "auto"} == names - set(is_brief(shape))
    model.fit(X, y)
    settings = model.settings_
    assert set(settings) == set(settings.reasons) == names
    assert not any(isinstance(value, str) and value == "auto" for value in settings.values())
    assert all(settings.reasons.values())
    lines = str(settings).splitlines()
    assert [line.split()[0] for line in lines] == list(settings)
    assert all(line.endswith(reason) for line, reason in zip(lines, settings.reasons.values(), strict=True))
    assert model.get_params() == clone(model).get_params() == parameters
    assert not hasattr(clone(model), "settings_")


@ANY_KIND
@pytest.mark.parametrize("name", GIVEN)
def test_what_is_given_is_taken(kind, name):
    """One parameter is given, and all others are still chosen."""
    X, y = samples("tall", kind)
    is_layered = name in ("hidden_layer_sizes", "learning_rate")
    given = {"hidden_layer_sizes": (5, 4), name: GIVEN[name]} if is_layered else {name: GIVEN[name]}
    settings = kind(**given, random_state=0).fit(X, y).settings_
    assert {n: settings[n] for n in given} == given
    assert {n for n, reason in settings.reasons.items() if reason == "as given"} == set(given)


def test_what_was_given_is_what_trains():
    """Units, batches, epochs and scales are those of the settings."""
    X, y = samples("tall")
    model = FrontClassifier(hidden_layer_sizes=(5, 4), batch_size=7, max_epochs=3, standardize=False, random_state=0).fit(X, y)
    assert [coef.shape for coef in model.coefs_] == [(6, 5), (5, 4), (4, 3)]
    assert (model.n_epochs_, model.network_.batch_size) == (3, 7)
    chosen = FrontClassifier(random_state=0).fit(X, y)
    assert chosen.coefs_[0].shape == (6, *chosen.settings_["hidden_layer_sizes"])
    assert (chosen.n_epochs_, chosen.network_.batch_size) == (chosen.settings_["max_epochs"], chosen.settings_["batch_size"])


@pytest.mark.bits
@ANY_KIND
@ANY_SHAPE
@pytest.mark.parametrize("optimizer", ["sgd", "muon", "neuron-adam", "adam"])
def test_a_training_with_the_same_settings_has_the_same_bits(kind, shape, optimizer):
    """Settings that are copied from `settings_` are all there is to "auto"."""
    X, y = samples(shape, kind)
    model = kind(**is_brief(shape), optimizer=optimizer, random_state=0).fit(X, y)
    explicit = clone(model).set_params(**model.settings_).fit(X, y)
    assert set(explicit.settings_.reasons.values()) == {"as given"}
    assert explicit.loss_curve_ == model.loss_curve_
    for one, other in zip(explicit.coefs_ + explicit.intercepts_, model.coefs_ + model.intercepts_, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(("verbose", "n_tables"), [(0, 0), (2, 1)])
def test_verbose_prints_the_settings(verbose, n_tables, capsys):
    X, y = samples("wide")
    model = FrontClassifier(max_epochs=2, random_state=0, verbose=verbose).fit(X, y)
    assert capsys.readouterr().out.count(str(model.settings_)) == n_tables


# ----------------------------------------------------------------------------------------------------------------------
# one network, in whatever form and unit


@ANY_KIND
@ANY_SHAPE
def test_every_form_trains_the_same_network(kind, shape):
    X, y = samples(shape, kind)
    one, *others = (kind(form=form, **is_brief(shape), **EXACT).fit(X, y) for form in FORMS)
    assert one.settings_["init"] == ("span" if shape == "wide" else "scaled")
    for other in others:
        assert other.form_ != one.form_
        assert dict(other.settings_) == dict(one.settings_)
        assert_equal_networks(one, other, X)


@pytest.mark.parametrize("optimizer", ["muon", "neuron-adam"])
@pytest.mark.parametrize("shape", ["wide", "tall"])
def test_optimizers_that_commute_train_the_same_network_in_every_form(shape, optimizer):
    X, y = samples(shape)
    one, *others = (FrontClassifier(form=form, optimizer=optimizer, max_epochs=30, **EXACT).fit(X, y) for form in FORMS)
    for other in others:
        assert_equal_networks(one, other, X, 1e-8)


def in_other_units(X):
    """Scales from 1e-6 to 1e9 and offsets up to 1e9; an offset leaves at least ten digits."""
    rng = np.random.default_rng(1)
    scales = 10 ** rng.uniform(-6, 9, X.shape[1])
    scales[:4] = 1e-6, 1e9, 1e3, 1e-6
    offsets = rng.choice([-1.0, 0.0, 1.0], X.shape[1]) * np.minimum(1e6 * scales, 1e9)
    offsets[2:4] = 1e9, 1.0
    return X * scales + offsets


@ANY_KIND
@ANY_SHAPE
@pytest.mark.parametrize("form", ["weights", "contributions"])
def test_units_of_features_do_not_matter(kind, shape, form):
    """Raw features of any scale and offset, constant ones among them, are standardised ones."""
    X, y = samples(shape, kind)
    X[:, -1] = 0  # a constant column
    Z = StandardScaler().fit_transform(X)
    raw = in_other_units(X)
    raw[:, -1] = 7e8
    model = kind(form=form, **is_brief(shape), **EXACT)
    expected = outputs(clone(model).fit(Z, y), Z)
    np.testing.assert_allclose(outputs(clone(model).fit(raw, y), raw), expected, atol=1e-6)
    assert np.ptp(expected) > 0.5


@ANY_SHAPE
@pytest.mark.parametrize(("scale", "offset"), [(1e-6, 0.0), (1e9, -1e12), (3.0, 1e6), (1e-3, 1e3)])
def test_units_of_targets_do_not_matter(shape, scale, offset):
    """Predictions follow; two outputs, of which the second has another unit."""
    X, y = samples(shape, FrontRegressor)
    y = np.column_stack([y, X[:, 1]])
    model = FrontRegressor(**is_brief(shape), **EXACT)
    expected = clone(model).fit(X, y).predict(X)
    scales, offsets = np.array([scale, 2.0]), np.array([offset, 5.0])
    predicted = clone(model).fit(X, y * scales + offsets).predict(X)
    np.testing.assert_allclose((predicted - offsets) / scales, expected, atol=1e-6)


# ----------------------------------------------------------------------------------------------------------------------
# PyTorch


@ANY_KIND
@ANY_SHAPE
@pytest.mark.parametrize("hidden", ["auto", (7, 5)])
def test_it_is_pytorchs_training(kind, shape, hidden):
    """SGD of PyTorch with the rates and decays of `settings_` for each layer's weights and biases, from the same start."""
    X, y = samples(shape, kind)
    X = StandardScaler().fit_transform(X)  # so that weights for raw features are those that are trained
    if kind is FrontRegressor:
        y = StandardScaler().fit_transform(np.column_stack([y, X[:, 3]]))
    model = kind(hidden, **is_brief(shape) or {"max_epochs": 40}, shuffle=False, **EXACT)
    start = clone(model).set_params(learning_rate=1e-300, weight_decay=0.0, max_epochs=1).fit(X, y)
    model.fit(X, y)
    losses, coefs, intercepts = by_pytorch(model, X, y, start)
    np.testing.assert_allclose(model.loss_curve_, losses, rtol=1e-9)
    for ours, theirs in zip(model.coefs_ + model.intercepts_, coefs + intercepts, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-9)
    assert model.loss_curve_[-1] < 0.8 * model.loss_curve_[0]
    assert abs(model.coefs_[0] - start.coefs_[0]).max() > 1e-3


@threadpool_limits.wrap(limits=1)
def by_pytorch(model, X, y, start):
    """Train in PyTorch with a model's settings; give the loss of each epoch, the weights (n_in, n_out) and the biases."""
    torch = pytest.importorskip("torch", reason="the reference is PyTorch")
    settings, layers, groups = model.settings_, [], []
    rates, decays = settings["learning_rate"], settings["weight_decay"]
    for coef, bias, rate, decay in zip(start.coefs_, start.intercepts_, rates, decays, strict=True):
        layer = torch.nn.Linear(*coef.shape, dtype=torch.float64)
        layer.load_state_dict({"weight": torch.tensor(coef.T.copy()), "bias": torch.tensor(bias.copy())})
        groups += [
            {"params": [parameter], "lr": lr, "weight_decay": wd}
            for parameter, lr, wd in zip((layer.weight, layer.bias), rate, decay, strict=True)
        ]
        layers += [layer, torch.nn.ReLU()]
    network = torch.nn.Sequential(*layers[:-1])
    is_classifier = isinstance(model, FrontClassifier)
    inputs = torch.tensor(X)
    answers = torch.tensor(np.unique(y, return_inverse=True)[1] if is_classifier else y)
    descent = torch.optim.SGD(groups, lr=1.0, momentum=0.9)
    size, epochs = settings["batch_size"], settings["max_epochs"]
    n_steps = epochs * math.ceil(len(X) / size)
    courses = {"constant": lambda step: 1.0, "cosine": lambda step: (1 + math.cos(math.pi * step / n_steps)) / 2}
    schedule = torch.optim.lr_scheduler.LambdaLR(descent, courses[settings["schedule"]])
    means = []
    for _ in range(epochs):
        losses = []
        for first in range(0, len(X), size):
            given, wanted = network(inputs[first : first + size]), answers[first : first + size]
            if is_classifier:
                loss = torch.nn.functional.cross_entropy(given, wanted)
            else:
                loss = ((given - wanted) ** 2).sum(dim=1).mean() / 2
            descent.zero_grad()
            loss.backward()
            descent.step()
            schedule.step()
            losses.append(loss.item() * len(wanted))
        means.append(sum(losses) / len(X))
    trained = layers[::2]
    return means, [layer.weight.detach().numpy().T for layer in trained], [layer.bias.detach().numpy() for layer in trained]


# ----------------------------------------------------------------------------------------------------------------------
# the start


@ANY_KIND
@pytest.mark.parametrize("shape", ["wide", "tall"])
def test_training_starts_at_the_best_constant(kind, shape):
    """The outputs' biases are the class frequencies or the mean of the targets; hidden ones are 0 above "scaled" weights."""
    X, y = samples(shape, kind)
    X, y = X[:37], y[:37]
    weights = np.linspace(0, 2, 37)
    start = kind((9, 8), learning_rate=1e-300, weight_decay=0.0, max_epochs=1, **EXACT)
    start.set_params(standardize=False, **({"standardize_targets": False} if kind is FrontRegressor else {}))
    start.fit(X, y, sample_weight=weights)
    assert (0 < np.std(start.intercepts_[0]) < 1) == (start.settings_["init"] == "scaled")
    np.testing.assert_allclose(start.intercepts_[1], 0, atol=1e-290)
    if kind is FrontClassifier:
        shares = np.bincount(np.unique(y, return_inverse=True)[1], weights) / weights.sum()
        np.testing.assert_allclose(np.exp(start.intercepts_[-1]), shares)
    else:
        np.testing.assert_allclose(start.intercepts_[-1], np.average(y, weights=weights))


def test_weights_that_are_given_are_for_raw_features():
    """Nothing is scaled, and the settings can be given beside the same weights."""
    X, y = samples("wide")
    start = FrontClassifier(max_epochs=1, standardize=False, **EXACT).fit(X, y)
    weights = {"coefs_init": start.coefs_, "intercepts_init": start.intercepts_}
    model = FrontClassifier(max_epochs=5, **EXACT).fit(X, y, **weights)
    assert model.settings_["standardize"] is False
    again = clone(model).set_params(**model.settings_).fit(X, y, **weights)
    assert again.loss_curve_ == model.loss_curve_
    assert again.loss_curve_[0] < start.loss_curve_[0]


@ANY_SHAPE
@pytest.mark.parametrize("scaled", [{}, {"standardize_targets": False}], ids=str)
def test_constant_targets_are_reproduced(shape, scaled):
    """To the last digits of the precision, beside one that varies, for new samples too; later ones may vary."""
    X, y = samples(shape, FrontRegressor)
    constants = np.array([1e5 + 0.1, -0.3])
    both = np.column_stack([np.full(len(X), constants[0]), y, np.full(len(X), constants[1])])
    weights = np.ones(len(X))
    weights[0], both[0] = 0, 7.0
    model = FrontRegressor(**is_brief(shape), random_state=0, **scaled).fit(X, both, weights)
    predicted = model.predict(X * 1.5)
    np.testing.assert_allclose(predicted[:, [0, 2]], np.tile(constants, (len(X), 1)), rtol=2e-7)
    assert np.ptp(predicted[:, 1]) > 0.1
    lone = FrontRegressor(**is_brief(shape), random_state=0, **scaled).fit(X, np.full(len(X), 0.1))
    np.testing.assert_allclose(lone.predict(2 * X), 0.1, rtol=2e-7)
    before = ((lone.predict(X) - y) ** 2).mean()
    for _ in range(20):
        lone.partial_fit(X, y)
    assert ((lone.predict(X) - y) ** 2).mean() < before


@pytest.mark.parametrize("make", [sparse.csr_array, np.asarray])
def test_raw_samples_may_be_too_large(make):
    X, y = samples("wide")
    with pytest.raises(ValueError, match="X has values so large that their squares overflow"):
        FrontClassifier(standardize=False, dtype="float64").fit(make(X * 1e200), y)


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
# the capped scale


def outlying(n=400, d=7):
    """Columns without outliers, and three with one: of 3, of 1e3 and of -1e9 deviations; the last one is constant."""
    X = 50 * np.random.default_rng(0).uniform(-1, 1, size=(n, d)) + 3e4
    X[0, :3] += 300, 1e5, -1e11
    X[:, -1] = 12.5
    return X


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_capped_columns_end_at_five(dtype):
    """Columns with an outlier are shrunk until it is 5; all others are scaled as by StandardScaler."""
    X = outlying()
    capped = Standardized(as_source(X), "capped", dtype=dtype).read(slice(0, X.shape[1]))
    plain = StandardScaler().fit_transform(X)
    assert abs(plain[:, :3]).max(axis=0).min() > 5 > abs(plain[:, 3:]).max()
    np.testing.assert_allclose(abs(capped[:, :3]).max(axis=0), 5, rtol=1e-6)
    np.testing.assert_allclose(capped[:, 3:], plain[:, 3:], atol=1e-5 if dtype == "float32" else 1e-12)
    shrunk = plain[:, :3] * 5 / abs(plain[:, :3]).max(axis=0)
    np.testing.assert_allclose(capped[:, :3], shrunk, atol=1e-5 if dtype == "float32" else 1e-9)


@ANY_KIND
def test_capped_is_the_training_on_capped_features(kind):
    """In every form: the first layer meets the capped numbers, and new samples are scaled by the same ones."""
    X, new = outlying(), outlying()[:30] + 10
    y = np.arange(400) % 3 if kind is FrontClassifier else np.sin(np.arange(400))
    scaled = Standardized(as_source(X), "capped", dtype="float64")
    Z, Z_new = (source.read(slice(0, 7)) for source in (scaled, scaled.like(as_source(new))))
    assert abs(Z_new).max() > 5  # new samples are not capped
    settings = {
        "hidden_layer_sizes": (8,),
        "max_epochs": 10,
        "init": "glorot",
        "learning_rate": 0.01,
        "weight_decay": 0.0,
        **EXACT,
    }
    expected = kind(standardize=False, **settings).fit(Z, y)
    for form in FORMS:
        model = kind(standardize="capped", form=form, **settings).fit(X, y)
        np.testing.assert_allclose(model.loss_curve_, expected.loss_curve_, rtol=1e-7)
        np.testing.assert_allclose(outputs(model, new), outputs(expected, Z_new), atol=1e-6)


@pytest.mark.bits
@pytest.mark.parametrize("form", FORMS)
def test_sources_on_disk_are_scaled_alike(form, tmp_path):
    """A file is never loaded, and gives the same bits as the array."""
    X = outlying().astype(np.float32)
    np.save(tmp_path / "X.npy", X)
    y = np.arange(400) % 3
    model = FrontClassifier(max_epochs=5, form=form, random_state=0)
    in_memory, on_disk = clone(model).fit(X, y), clone(model).fit(np.load(tmp_path / "X.npy", mmap_mode="r"), y)
    from_source = clone(model).fit(as_source(np.load(tmp_path / "X.npy", mmap_mode="r")), y)
    for other in (on_disk, from_source):
        assert other.loss_curve_ == in_memory.loss_curve_
        np.testing.assert_array_equal(other.predict_proba(X), in_memory.predict_proba(X))


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


def test_contributions_of_a_stream_keep_capped_scales():
    """The samples that form "contributions" copies are measured as the caller's are."""
    X, y = outlying(), np.arange(400) % 3
    scales = [
        FrontClassifier(form=form, standardize="capped", **EXACT).partial_fit(X, y, [0, 1, 2])._scaling.inputs.scale
        for form in FORMS
    ]
    for scale in scales[1:]:
        np.testing.assert_array_equal(scale, scales[0])
    assert scales[0][0] > 1.01 * X[:, 0].std()


# ----------------------------------------------------------------------------------------------------------------------
# messages


def test_advice_after_a_divergence_suits_the_settings():
    """Rates that were chosen are named as such, and nobody is told to scale what is scaled."""
    X, y = samples("tall", FrontRegressor)
    start = FrontRegressor((4,), max_epochs=1, standardize=False, **EXACT).fit(X, y)
    far = {"intercepts_init": [1e200 * bias for bias in start.intercepts_]}
    given = {"activation": "identity", "max_epochs": 9, **EXACT}
    for settings, advised, wrong in (
        ({"learning_rate": 1e9}, ["lower learning_rate=1e+09, or set max_grad_norm"], ["scale X", "scale y", "chosen"]),
        (
            {"learning_rate": 1e9, "standardize": False, "standardize_targets": False},
            ["scale X, unless it is scaled (standardize=True), scale y (standardize_targets=True), lower learning_rate"],
            ["chosen"],
        ),
        ({}, ["give a learning_rate below ((", "which was chosen"], ["scale X", "lower learning_rate"]),
    ):
        with pytest.warns(TrainingWarning) as caught:
            FrontRegressor((4,), **given, **settings).fit(X, y, **({} if settings else far))
        assert [warning.message.outcome for warning in caught] == ["diverged"]
        message = str(caught[0].message)
        assert all(text in message for text in advised), message
        assert not any(text in message for text in wrong), message


@pytest.mark.parametrize("stored", [False, True])
@pytest.mark.parametrize("begin", ["fit", "partial_fit"])
@pytest.mark.parametrize(
    "change",
    [{"kernel": "rbf"}, {"gamma": 2.0}, {"degree": 5}, {"coef0": 3.0}, {"init": "glorot"}, {"init_scale": 2.0}],
    ids=str,
)
def test_what_matters_at_the_start_cannot_change_later(change, begin, stored, tmp_path):
    """partial_fit would ignore it."""
    X, y = samples("tall")
    model = FrontClassifier(max_epochs=2, **EXACT)
    model = model.fit(X, y) if begin == "fit" else model.partial_fit(X, y, classes=np.unique(y))
    if stored:
        model.save(tmp_path / "model")
        model = load(tmp_path / "model")
    ((name, value),) = change.items()
    model.set_params(**change)
    with pytest.raises(ValueError, match=rf"partial_fit continues with {name}=.*, but it is {value!r} now; set it back"):
        model.partial_fit(X, y)
    model.set_params(**FrontClassifier().get_params() | EXACT | {"max_epochs": 2}).partial_fit(X, y)


@ANY_KIND
@pytest.mark.parametrize("given", [{}, {"batch_size": 9, "max_epochs": 3, "schedule": "constant"}], ids=str)
@pytest.mark.parametrize("streams", [False, True])
def test_settings_are_printed_alike_from_a_file(kind, given, streams, tmp_path):
    """In the same order, too."""
    X, y = samples("tall", kind)
    model = kind(**({} if streams else {"max_epochs": 3}) | given, random_state=0)
    classes = {"classes": np.unique(y)} if kind is FrontClassifier else {}
    model = model.partial_fit(X, y, **classes) if streams else model.fit(X, y)
    model.save(tmp_path / "model")
    assert str(load(tmp_path / "model").settings_) == str(model.settings_)


def test_decay_that_is_chosen_beside_a_given_rate_says_so():
    X, y = samples("tall")
    reasons = [FrontClassifier(max_epochs=2, **rate).fit(X, y).settings_.reasons for rate in ({}, {"learning_rate": 0.01})]
    assert "although learning_rate is given" not in reasons[0]["weight_decay"]
    assert reasons[1]["weight_decay"].endswith("shrink by 0.002 in a step, although learning_rate is given")


@pytest.mark.parametrize(
    ("settings", "kind", "error", "message"),
    [
        ({"groups": "auto"}, FrontClassifier, TypeError, "groups must be a number of groups of units, .* got 'auto'"),
        ({"groups": 1.5}, FrontClassifier, TypeError, "groups must be an integer, got 1.5"),
        (
            {"standardize_targets": "yes"},
            FrontRegressor,
            ValueError,
            "standardize_targets='yes' is unknown; use True, False, 'running' or 'auto'",
        ),
        ({"standardize": "yes"}, FrontRegressor, ValueError, "use True, False, 'capped', 'running' or 'auto'"),
    ],
    ids=str,
)
def test_errors_name_the_argument_and_what_is_possible(settings, kind, error, message):
    X, y = samples("tall", kind)
    with pytest.raises(error, match=message):
        kind(**settings).fit(X, y)


# ----------------------------------------------------------------------------------------------------------------------
# scikit-learn

UNWEIGHTED = "choices by the number of samples count rows, and a repeated row is two of them"


@pytest.mark.skipif(backend.NAME == "python", reason="the checks fit hundreds of networks; the compiled kernels do")
@parametrize_with_checks(
    [kind(dtype=dtype) for kind in KINDS for dtype in ("float32", "float64")],
    expected_failed_checks=lambda _: {
        f"check_sample_weight_equivalence_on_{kind}_data": UNWEIGHTED for kind in ("dense", "sparse")
    },
)
@pytest.mark.filterwarnings("ignore")  # the checks provoke warnings
def test_scikit_learn_checks(estimator, check):
    """All of scikit-learn's own checks, with all defaults."""
    check(estimator)


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


# ----------------------------------------------------------------------------------------------------------------------
# text


@pytest.fixture(scope="module")
def many_texts():
    """More than 2,000 sparse samples of still more features, whose class shows in 20 rare words of its own."""
    rng = np.random.default_rng(0)
    n, d, n_words = 2100, 2500, 8
    y = np.arange(n) % 3
    columns = rng.integers(60, d, (n, n_words))
    columns[:, 0] = 20 * y + rng.integers(0, 20, n)
    X = sparse.csr_array((np.ones(n * n_words), columns.ravel(), np.arange(0, n * n_words + 1, n_words)), shape=(n, d))
    X.sum_duplicates()
    return X.astype(np.float32), y


def test_text_is_trained_with_adagrad(many_texts, tmp_path):
    X, y = many_texts
    model = FrontClassifier(random_state=0).fit(X[:, :], y)
    settings = model.settings_
    assert (settings["optimizer"], settings["hidden_layer_sizes"], settings["init"]) == ("adagrad", (64,), "small")
    assert (settings["max_epochs"], settings["weight_decay"], model.form_) == (10, 0.0, "weights")  # 200 steps of 22 an epoch
    assert model.network_.optimizer == Adagrad()
    assert model.score(X, y) > 0.95
    model.save(tmp_path / "model.safetensors")
    loaded = load(tmp_path / "model.safetensors")
    assert str(loaded.settings_) == str(settings)
    np.testing.assert_array_equal(loaded.predict_proba(X), model.predict_proba(X))
    loaded.partial_fit(X[:50], y[:50])
    assert loaded.network_.optimizer == Adagrad()
    given = FrontClassifier(random_state=0, optimizer="adagrad", hidden_layer_sizes=(64,), init="small", max_epochs=10).fit(
        X, y
    )
    np.testing.assert_array_equal(given.predict_proba(X), model.predict_proba(X))


@pytest.mark.parametrize(
    "given",
    [
        {"learning_rate": 0.1}, {"nesterov": True}, {"dampening": 0.1}, {"max_grad_norm": 1.0}, {"weight_decay": 0.01},
        {"form": "contributions"}, {"form": "windowed"}, {"standardize": True, "form": "contributions"}, {"rule": "dfa"},
        {"kernel": "cosine"},
    ],
    ids=str,
)  # fmt: skip
def test_parameters_that_speak_of_sgd_keep_it(many_texts, given):
    X, y = many_texts
    model = FrontClassifier(hidden_layer_sizes=(4,), max_epochs=1, random_state=0, **given).fit(X, y)
    assert model.settings_["optimizer"] == "sgd"


def test_other_samples_are_trained_with_sgd(many_texts):
    X, y = many_texts
    small = {"hidden_layer_sizes": (4,), "max_epochs": 1}
    assert FrontClassifier(**small).fit(X[:2000], y[:2000]).settings_["optimizer"] == "sgd"
    assert FrontClassifier(**small).fit(X[:, :2100], y).settings_["optimizer"] == "sgd"
    assert FrontClassifier(**small).fit(X.toarray(), y).settings_["optimizer"] == "sgd"
    assert FrontClassifier(hidden_layer_sizes=(4,)).partial_fit(X, y, [0, 1, 2]).settings_["optimizer"] == "sgd"
    assert FrontRegressor(**small).fit(X, y.astype(float)).settings_["optimizer"] == "sgd"
