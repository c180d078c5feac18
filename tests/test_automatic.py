"""What "auto" stands for in `FrontClassifier` and `FrontRegressor`, and what it makes the same for all data."""

import math

import numpy as np
import pytest
from automatic_cases import ANY_KIND, ANY_SHAPE, EXACT, FORMS, KINDS, assert_equal_networks, is_brief, outputs, samples
from scipy import sparse
from sklearn.base import clone
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks
from threadpoolctl import threadpool_limits

from fcfast import FrontClassifier, FrontRegressor, backend, load
from fcfast.training import TrainingWarning

AUTOMATIC = {
    "standardize", "hidden_layer_sizes", "optimizer", "init", "batch_size", "max_epochs", "n_iter_no_change", "schedule",
    "learning_rate", "weight_decay",
}  # fmt: skip
GIVEN = {
    "standardize": True, "hidden_layer_sizes": (5, 4), "optimizer": "adam", "init": "glorot", "batch_size": 9, "max_epochs": 3,
    "n_iter_no_change": 2, "schedule": "step", "learning_rate": [0.01, (0.02, 0.03), 0.04], "weight_decay": 0.001,
}  # fmt: skip


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
    if (shape, form) == ("many", "contributions"):
        pytest.skip("over a thousand contributions take seconds, and tell nothing that those of fewer samples do not")
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
            "standardize_targets='yes' is unknown; use True, False, 'robust', 'running' or 'auto'",
        ),
        ({"standardize": "yes"}, FrontRegressor, ValueError, "use True, False, 'capped', 'scale', 'running' or 'auto'"),
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
    [kind() for kind in KINDS],
    expected_failed_checks=lambda _: {
        f"check_sample_weight_equivalence_on_{kind}_data": UNWEIGHTED for kind in ("dense", "sparse")
    },
)
@pytest.mark.filterwarnings("ignore")  # the checks provoke warnings
def test_scikit_learn_checks(estimator, check):
    """All of scikit-learn's own checks, with all defaults."""
    check(estimator)
