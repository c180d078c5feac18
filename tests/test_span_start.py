"""Networks that start in the span of their samples: the training that ordinary weights have, from any samples."""

import pickle
from copy import deepcopy

import numpy as np
import pytest
import span_cases
from classic import FrontClassifier, FrontRegressor, NoPropClassifier
from span_cases import centred, repeated, with_zeros

from fcfast import Gram
from fcfast.sources import as_source

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")  # few epochs on purpose

PLAIN = {
    "hidden_layer_sizes": (7,), "dtype": "float64", "shuffle": False, "max_epochs": 6, "tol": 0, "n_iter_no_change": 10**6,
    "learning_rate": 0.003, "batch_size": 5, "random_state": 3,
}  # fmt: skip
TRAININGS = {
    "momentum": {},
    "plain": {"momentum": 0.0, "batch_size": 100},
    "nesterov": {"nesterov": True, "schedule": "cosine"},
    "decay": {"weight_decay": 0.1, "batch_size": 1, "learning_rate": 0.002},
    "dampened decay": {"weight_decay": 0.2, "dampening": 0.3, "momentum": 0.5},
    "nesterov decay": {"weight_decay": 0.1, "nesterov": True, "max_grad_norm": 0.5},
    "deep": {"hidden_layer_sizes": (6, 5), "activation": "tanh", "weight_decay": 0.1},
    "rates by layer": {"hidden_layer_sizes": (6, 5), "learning_rate": [0.01, 0.05, 0.02], "weight_decay": [0.2, 0.1, 0.0]},
    "groups": {"hidden_layer_sizes": (6, 4), "groups": 2},
}
COMMUTING = {
    "neuron-adam": {"optimizer": "neuron-adam", "momentum": 0.9, "learning_rate": 0.01, "weight_decay": 0.1},
    "muon": {"optimizer": "muon", "learning_rate": 0.01, "weight_decay": 0.1},
}


def wide(n_samples=17, n_features=60):
    return span_cases.wide(n_samples, n_features)


SAMPLES = {
    "wide": wide,
    "centred": lambda: centred(wide()),
    "repeated": lambda: repeated(wide()),
    "zero rows": lambda: with_zeros(wide()),
    "square": lambda: wide(17, 17),
    "tall": lambda: wide(17, 4),
    "one": lambda: wide(1),
    "two": lambda: wide(2),
    "three": lambda: wide(3),
    "nothing": lambda: np.zeros((6, 5)),
}


def targets(X):
    return np.sin(np.arange(3 * len(X))).reshape(len(X), 3)


def fitted(X, y=None, kind=FrontRegressor, start=None, **settings):
    """Train; from the weights and biases of `start`, if an estimator is given."""
    given = {} if start is None else {"coefs_init": start.coefs_, "intercepts_init": start.intercepts_}
    return kind(**PLAIN | settings).fit(X, targets(X) if y is None else y, **given)


def untrained(X, **settings):
    """The network before its first step: the steps are too short to change any number."""
    rates = {"learning_rate": 1e-300, "weight_decay": 0.0, "schedule": "constant", "max_epochs": 1}
    return fitted(X, **settings | rates)


def assert_equal_networks(one, other, tolerance=1e-9):
    """Two trainings had the same losses and led to the same weights."""
    np.testing.assert_allclose(one.loss_curve_, other.loss_curve_, rtol=tolerance)
    for a, b in zip(one.coefs_ + one.intercepts_, other.coefs_ + other.intercepts_, strict=True):
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


def projected(X, W):
    """The part (n_in, n_out) of weights within the span of the samples."""
    _, sizes, Vt = np.linalg.svd(X, full_matrices=False)
    rows = Vt[sizes > 1e-9 * max(sizes[0], 1)]
    return rows.T @ (rows @ W)


# ----------------------------------------------------------------------------------------------------------------------
# training


@pytest.mark.parametrize("form", ["weights", "windowed", "contributions"])
@pytest.mark.parametrize("training", TRAININGS | COMMUTING)
def test_it_is_the_training_of_its_own_weights(training, form):
    """A fit from the span is, in every form, the fit from the same weights given as `coefs_init`."""
    X, settings = wide(), (TRAININGS | COMMUTING)[training]
    start = untrained(X, init="span", **settings)
    in_span = fitted(X, init="span", form="contributions", **settings)
    assert_equal_networks(in_span, fitted(X, form=form, start=start, **settings))
    assert_equal_networks(in_span, fitted(X, form=form, init="span", **settings))
    assert abs(in_span.coefs_[0] - start.coefs_[0]).max() > 1e-3


@pytest.mark.parametrize("settings", [{"optimizer": "adam", "learning_rate": 0.01}, {"rule": "fg-w", "optimizer": "muon"}])
def test_trainings_that_leave_the_span_may_start_there(settings):
    """They hold weights, which begin as those of the span."""
    X = wide()
    start = untrained(X, init="span")
    in_span = fitted(X, init="span", **settings)
    assert in_span.form_ == "weights"
    assert_equal_networks(in_span, fitted(X, start=start, **settings))
    np.testing.assert_allclose(start.coefs_[0], projected(X, start.coefs_[0]), atol=1e-12)
    assert abs(in_span.coefs_[0] - projected(X, in_span.coefs_[0])).max() > 1e-3


@pytest.mark.parametrize("samples", SAMPLES)
@pytest.mark.parametrize("training", ["nesterov decay", "deep"])
def test_any_samples(samples, training):
    """Gram matrices of any size and rank."""
    X, settings = SAMPLES[samples](), TRAININGS[training]
    start = untrained(X, init="span", **settings)
    in_span = fitted(X, init="span", form="contributions", **settings)
    assert_equal_networks(in_span, fitted(X, form="weights", start=start, **settings))
    for form in ("weights", "windowed"):
        assert_equal_networks(in_span, fitted(X, init="span", form=form, **settings))
    np.testing.assert_allclose(in_span.contributions_.T @ X, in_span.coefs_[0].T, atol=1e-12)
    np.testing.assert_allclose(in_span.coefs_[0], projected(X, in_span.coefs_[0]), atol=1e-12)


@pytest.mark.parametrize("samples", ["wide", "centred", "repeated", "three"])
@pytest.mark.parametrize("training", TRAININGS)
def test_weights_outside_the_span_change_no_training(samples, training):
    """Glorot weights and their projection onto the span: equal losses and contributions; the difference only decays."""
    X, settings = SAMPLES[samples](), TRAININGS[training]
    start = untrained(X, init="glorot", form="contributions", **settings)
    within = projected(X, start.coefs_[0])
    assert abs(start.coefs_[0] - within).max() > 0.1
    y, contributions = targets(X), {"form": "contributions"}
    whole = fitted(X, start=start, **settings | contributions)
    coefs = [within, *start.coefs_[1:]]
    part = FrontRegressor(**PLAIN | settings | contributions).fit(X, y, coefs_init=coefs, intercepts_init=start.intercepts_)
    np.testing.assert_allclose(part.loss_curve_, whole.loss_curve_, rtol=1e-9)
    np.testing.assert_allclose(part.contributions_, whole.contributions_, rtol=1e-9, atol=1e-9)
    share = whole.network_.front.initial_share
    assert (share < 1) == ("weight_decay" in settings)
    outside = whole.coefs_[0] - part.coefs_[0]
    np.testing.assert_allclose(outside, share * (start.coefs_[0] - within), atol=1e-9)


@pytest.mark.parametrize("samples", ["wide", "centred", "repeated", "tall", "two"])
@pytest.mark.parametrize("training", ["nesterov", "decay", "dampened decay", "deep"])
def test_it_is_pytorchs_training(samples, training):
    """Plain SGD of PyTorch, in double precision, from the weights of the start."""
    X, settings = SAMPLES[samples](), PLAIN | TRAININGS[training]
    start = untrained(X, init="span", **TRAININGS[training])
    losses, coefs = by_pytorch(settings, [(X, targets(X))] * settings["max_epochs"], start)
    in_span = fitted(X, init="span", **TRAININGS[training])
    np.testing.assert_allclose(in_span.loss_curve_, losses, rtol=1e-9)
    for ours, theirs in zip(in_span.coefs_, coefs, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-9)


def by_pytorch(settings, epochs, start):
    """Train in PyTorch, an epoch on each pair (X, y); give the mean loss of each epoch, and the weights (n_in, n_out)."""
    torch = pytest.importorskip("torch", reason="the reference is PyTorch")
    layers = []
    for coef, bias in zip(start.coefs_, start.intercepts_, strict=True):
        linear = torch.nn.Linear(*coef.shape, dtype=torch.float64)
        linear.load_state_dict({"weight": torch.tensor(coef.T.copy()), "bias": torch.tensor(bias.copy())})
        layers += [linear, torch.nn.Tanh() if settings.get("activation") == "tanh" else torch.nn.ReLU()]
    network, size = torch.nn.Sequential(*layers[:-1]), settings["batch_size"]
    options = {"momentum": 0.9} | {
        name: settings[name] for name in ("momentum", "nesterov", "dampening", "weight_decay") if name in settings
    }
    descent = torch.optim.SGD(network.parameters(), lr=settings["learning_rate"], **options)
    n_steps = sum(-(-len(X) // size) for X, _ in epochs)
    cosine = settings.get("schedule") == "cosine"
    means, step = [], 0
    for X, y in epochs:
        losses = []
        for first in range(0, len(X), size):
            if cosine:
                descent.param_groups[0]["lr"] = settings["learning_rate"] * (1 + np.cos(np.pi * step / n_steps)) / 2
            batch = slice(first, first + size)
            loss = ((network(torch.tensor(X[batch])) - torch.tensor(y[batch])) ** 2).sum(dim=1).mean() / 2
            descent.zero_grad()
            loss.backward()
            descent.step()
            losses.append(loss.item() * len(X[batch]))
            step += 1
        means.append(sum(losses) / len(X))
    return means, [layer.weight.detach().numpy().T for layer in layers[::2]]


@pytest.mark.parametrize("settings", [{}, {"momentum": 0.0, "weight_decay": 0.1}, {"nesterov": True, "weight_decay": 0.1}])
def test_streams_equal_pytorch(settings):
    """Samples that come later begin without contributions; the start stays that of the first ones."""
    X, y = wide(30), targets(wide(30))
    parts = [(X[:12], y[:12]), (X[12:13], y[12:13]), (X[13:], y[13:])]
    regressor = FrontRegressor(**PLAIN | settings, init="span")
    start = FrontRegressor(**PLAIN | {"learning_rate": 1e-300}, init="span").partial_fit(*parts[0])
    losses, coefs = by_pytorch(PLAIN | settings, parts, start)
    for X_part, y_part in parts:
        regressor.partial_fit(X_part, y_part)
    np.testing.assert_allclose(regressor.loss_curve_, losses, rtol=1e-9)
    for ours, theirs in zip(regressor.coefs_, coefs, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-9)
    assert regressor.contributions_.shape == (30, 7)
    np.testing.assert_allclose(regressor.contributions_.T @ X, regressor.coefs_[0].T, atol=1e-11)


def test_decay_of_contributions_is_decay_of_weights():
    """With one class there is no gradient: contributions and weights shrink by the same factor, and nothing is left over."""
    X = wide()
    settings = {"momentum": 0.0, "max_epochs": 9, "kind": FrontClassifier, "y": np.zeros(17), "init": "span"}
    start = untrained(X, **settings)
    decayed = fitted(X, **settings, weight_decay=2.0)
    factor = (1 - 0.003 * 2.0) ** (9 * 4)
    np.testing.assert_allclose(decayed.contributions_, factor * start.contributions_, rtol=1e-12)
    np.testing.assert_allclose(decayed.coefs_[0], factor * start.coefs_[0], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(decayed.explain(X).initial, 0, atol=0)


# ----------------------------------------------------------------------------------------------------------------------
# the start itself, and predictions


@pytest.mark.parametrize("init", ["span", "scaled"])
@pytest.mark.parametrize("activation", ["relu", "tanh", "logistic"])
def test_the_size_of_preactivations(activation, init):
    """On many units their second moments are the Gram matrix, scaled to a mean square of (init_scale / 2)^2 of its samples."""
    X, n_units = 10 * wide(6, 40), 20_000
    start = untrained(X, init=init, hidden_layer_sizes=(n_units,), activation=activation, init_scale=1.5)
    S0 = X @ start.coefs_[0]
    G = X @ X.T
    variance = (1.5 / 2) ** 2 / np.diagonal(G).mean()
    lengths = np.sqrt(np.diagonal(G))
    errors = (S0 @ S0.T / n_units / variance - G) / lengths / lengths[:, None]
    assert abs(errors).max() < 5 * np.sqrt(2 / n_units)


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
@pytest.mark.parametrize("kind", [FrontRegressor, FrontClassifier])
def test_predictions_by_contributions_and_by_weights(kind, weight_decay, monkeypatch):
    """Whether new data meet the weights or the training samples; the parts of an explanation are the pre-activations."""
    X, new = wide(), wide(40)[17:]
    y = targets(X) if kind is FrontRegressor else np.arange(17) % 3
    model = fitted(X, y, kind=kind, init="span", weight_decay=weight_decay)
    predict = model.predict if kind is FrontRegressor else model.predict_proba
    by_weights = predict(new)
    monkeypatch.setattr("fcfast.front.contributed.KEPT_BYTES", 0)
    np.testing.assert_allclose(predict(new), by_weights, rtol=1e-9, atol=1e-12)
    parts = model.explain(new)
    np.testing.assert_allclose(parts.terms.sum(axis=1), new @ model.coefs_[0], atol=1e-11)
    np.testing.assert_allclose(parts.preactivations, new @ model.coefs_[0] + model.intercepts_[0], atol=1e-11)


FEW = {"hidden_layer_sizes": (256,), "init": "span", "max_epochs": 1}  # on 12 samples, the products of 40 cost the least


@pytest.mark.parametrize("standardize", [False, True])
def test_weights_that_cost_more_than_products_are_not_made(standardize):
    """Predictions for many rows meet 12 samples in place of 256 units; one row alone, or more samples, make the weights."""
    new = wide(40, 3000)
    few, many = (fitted(wide(n, 3000), **FEW, standardize=standardize) for n in (12, 250))
    expected = few.predict(new)
    assert few.network_.front.contributed._weights is None
    one = few.predict(new[:1])
    assert few.network_.front.contributed._weights is not None
    np.testing.assert_allclose(one, expected[:1], rtol=1e-9)
    np.testing.assert_allclose(few.predict(new), np.concatenate([few.predict(new[i : i + 1]) for i in range(40)]), rtol=1e-9)
    many.predict(new)
    assert many.network_.front.contributed._weights is not None


@pytest.mark.bits
def test_the_way_of_a_prediction_does_not_depend_on_earlier_ones():
    """The same call has the same bits at first, after weights were made, in copies, for other memory and in threads."""
    X, new = wide(12, 3000), wide(40, 3000)
    model = fitted(X, **FEW, n_jobs=1)
    expected = model.predict(new)
    model.predict(new[:1])
    _ = model.coefs_
    other = fitted(np.asfortranarray(X), **FEW, n_jobs=2)
    for same in (model, pickle.loads(pickle.dumps(model)), deepcopy(model), other):
        np.testing.assert_array_equal(same.predict(new), expected)
    np.testing.assert_array_equal(model.predict(as_source(new)), expected)


@pytest.mark.parametrize("variant", ["dt", "ct", "fm", "backprop"])
def test_blocks_of_noprop(variant, monkeypatch):
    """All blocks start in the span: their weights are combinations of the samples, and predictions agree with both."""
    X, y, new = wide(), np.arange(17) % 3, wide(40)[17:]
    settings = {"n_blocks": 2, "hidden": (6, 5), "max_epochs": 3, "batch_size": 7, "weight_decay": 0.05}
    model = NoPropClassifier(variant, **settings, optimizer="sgd", dtype="float64", init="span", random_state=0).fit(X, y)
    by_weights = model.predict_proba(new)
    weights = np.concatenate(model.network_.fronts.expand())
    np.testing.assert_allclose(weights.T, projected(X, weights.T), atol=1e-11)
    monkeypatch.setattr("fcfast.front.contributed.KEPT_BYTES", 0)
    np.testing.assert_allclose(model.predict_proba(new), by_weights, rtol=1e-9, atol=1e-12)


@pytest.mark.bits
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_seed_decides_every_bit(dtype):
    """Equal bits with the same seed, whatever the number of threads; other numbers with another seed."""
    X = wide(60, 300)
    one, same, other = (
        fitted(X, init="span", dtype=dtype, random_state=seed, n_jobs=n_jobs) for seed, n_jobs in ((0, 1), (0, 2), (1, 1))
    )
    np.testing.assert_array_equal(one.contributions_, same.contributions_)
    assert one.loss_curve_ == same.loss_curve_ != other.loss_curve_


def test_single_precision_is_near():
    """Products, start and steps are rounded; the decomposition is not."""
    single, double = (fitted(wide(), init="span", dtype=dtype) for dtype in ("float32", "float64"))
    np.testing.assert_allclose(single.loss_curve_, double.loss_curve_, rtol=1e-4)
    np.testing.assert_allclose(single.coefs_[0], double.coefs_[0], atol=1e-4)


def test_early_stopping_starts_in_the_span_of_the_training_rows():
    """Held-out samples have no contributions."""
    X, y = wide(40), np.arange(40) % 2
    model = fitted(X, y, kind=FrontClassifier, init="span", early_stopping=True, validation_fraction=0.25)
    assert model.contributions_.shape == (30, 7)
    assert len(model.validation_scores_) == 6
    trained_on = model.network_.front.X.dense("float64")
    np.testing.assert_allclose(model.coefs_[0], projected(trained_on, model.coefs_[0]), atol=1e-12)
    assert abs(model.coefs_[0] - projected(trained_on[:29], model.coefs_[0])).max() > 1e-3


def test_warm_start_goes_on():
    """Without momentum, two fits of three epochs are one of six; later rows may leave the span of the first ones."""
    X, settings = wide(), {"init": "auto", "momentum": 0.0}
    gram = Gram(X, dtype="float64")
    once = fitted(gram, targets(X), **settings)
    model = FrontRegressor(**PLAIN | settings | {"max_epochs": 3}, warm_start=True)
    twice = model.fit(gram, targets(X)).fit(gram, targets(X))
    for a, b in zip(once.coefs_, twice.coefs_, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-9)


# ----------------------------------------------------------------------------------------------------------------------
# what is not possible


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"optimizer": "adam", "form": "contributions"},
            "optimizer='adam' scales every weight by itself.*form='contributions'",
        ),
        ({"rule": "fg-w", "form": "windowed"}, "the rule moves .*form='windowed'.*form='weights'"),
        ({"init": "spam"}, "init='spam' is unknown; use one of"),
        ({"init": None}, "init=None is unknown"),
        ({"init_scale": 1e300, "dtype": "float32"}, "init_scale=1e\\+300 makes initial weights too large"),
        ({"memory_limit": 100}, "'contributions' holds .* over memory_limit=100 bytes"),
    ],
)
def test_impossible_settings(settings, message):
    """The message names what is in the way."""
    with pytest.raises((ValueError, TypeError, MemoryError), match=message):
        fitted(wide(), **{"init": "span"} | settings)


def test_weights_beside_the_span():
    """Initial weights are given or drawn in the span, not both."""
    start = untrained(wide(), init="span")
    with pytest.raises(ValueError, match="coefs_init gives initial weights, but init='span'"):
        fitted(wide(), start=start, init="span")


def test_it_learns(load_data):
    """A real, wide set: the span is no worse than Glorot's weights."""
    data = load_data("colon_alon")
    X, y = data["X"], data["y"]
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    train, test = np.arange(len(X)) % 3 > 0, np.arange(len(X)) % 3 == 0
    scores = {}
    for init in ("span", "glorot"):
        models = [FrontClassifier((32,), init=init, max_epochs=60, random_state=seed) for seed in range(5)]
        scores[init] = np.mean([model.fit(X[train], y[train]).score(X[test], y[test]) for model in models])
    assert scores["span"] > scores["glorot"] - 0.05
