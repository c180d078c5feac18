"""Learning rules in an estimator: training, costs and invalid combinations."""

import pickle
import tracemalloc
from contextlib import closing
from itertools import pairwise

import numpy as np
import pytest
from classic import FrontClassifier, FrontRegressor
from rule_reference import DETERMINED, FORMS, GUIDED, N_OUTPUTS, SPACES, assert_same_moves, parameters, problem
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV

from fcfast import backend, rules
from fcfast.front import weights
from fcfast.front.contributions import ContributionsForm
from fcfast.losses import Targets
from fcfast.optimizers import NeuronAdam
from fcfast.rules import (
    RULES,
    Backprop,
    ForwardGradient,
    LocalLoss,
    make_rule,
)  # fmt: skip

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")  # few epochs on purpose


# ----------------------------------------------------------------------------------------------------------------------
# training by the estimators


def samples(n=30, d=12):
    rng = np.random.default_rng(3)
    X = rng.normal(size=(n, d))
    return X, (X[:, 0] > 0).astype(int) + (X[:, 1] > 0.5)


def fitted(rule, X, y, **options):
    settings = DETERMINED | {"hidden_layer_sizes": (6, 4), "batch_size": 8, "max_epochs": 3, "learning_rate": 0.05} | options
    return FrontClassifier(rule=rule, **settings).fit(X, y)


@pytest.mark.bits
@pytest.mark.parametrize("name", list(RULES))
def test_same_seed_same_bits(name):
    """Another seed draws other noise; a rule by its name is the rule as an object."""
    X, y = samples()
    first, second, other = (fitted(name, X, y, random_state=seed) for seed in (1, 1, 2))
    by_object = fitted(RULES[name], X, y, random_state=1)
    for a, b, c, d in zip(first.coefs_, second.coefs_, other.coefs_, by_object.coefs_, strict=True):
        assert a.tobytes() == b.tobytes() == d.tobytes()
        assert a.tobytes() != c.tobytes()


@pytest.mark.bits
@pytest.mark.parametrize("rule", [*RULES.values(), ForwardGradient("local", "rademacher", block_size=2)], ids=str)
def test_bits_do_not_depend_on_threads(rule, dtype):
    """A batch large enough for the kernels to share out."""
    size = {"hidden": (160, 130), "batch_size": 260, "n_samples": 390, "activation": "tanh", "dtype": dtype}
    one, two = (problem(rule, n_threads=n, **size) for n in (1, 2))
    assert two.network.kernel_threads == 2
    for a, b in zip(one.trained(rate=0.01), two.trained(rate=0.01), strict=True):
        assert a.tobytes() == b.tobytes()


KEPT = [*RULES.values(), ForwardGradient(guess="ntk"), LocalLoss(2, (3,))]


@pytest.mark.bits
@pytest.mark.parametrize(
    ("rule", "form"),
    [(rule, form) for rule in KEPT for form in ("auto", "weights", *["contributions"] * rule.stays_in_span)],
    ids=str,
)
def test_pickled_in_the_middle_of_training(rule, form):
    """What goes on after a round trip goes on as if nothing had happened: noise, heads and their momentum are kept."""
    X, y = samples()
    settings = DETERMINED | {"hidden_layer_sizes": (6, 5, 4), "batch_size": 8, "momentum": 0.9, "form": form}
    estimator = FrontClassifier(rule=rule, **settings)
    estimator.partial_fit(X[:17], y[:17], classes=[0, 1, 2])
    other = pickle.loads(pickle.dumps(estimator))
    for each in (estimator, other):
        each.partial_fit(X[17:], y[17:]).partial_fit(X[:9], y[:9])
    mine, others = (parameters(each.network_) for each in (estimator, other))
    for a, b in zip(mine, others, strict=True):
        assert a.tobytes() == b.tobytes()
    assert estimator.n_epochs_ == 3


@pytest.mark.parametrize("name", list(RULES))
def test_partial_fit_is_an_epoch(name):
    """Twice the same samples by partial_fit train as two epochs of fit."""
    X, y = samples()
    settings = DETERMINED | {"hidden_layer_sizes": (6, 5), "batch_size": 8, "form": "weights", "rule": name}
    streamed = FrontClassifier(**settings).partial_fit(X, y, classes=[0, 1, 2]).partial_fit(X, y)
    whole = FrontClassifier(max_epochs=2, **settings).fit(X, y)
    for a, b in zip(streamed.coefs_, whole.coefs_, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-13)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", ["local-fg-a", "lg-fg-a", "local-loss", "dfa", "frozen"])
def test_samples_without_weight_do_not_count(name, form):
    """Other inputs and answers there change nothing, though noise is drawn for them."""
    weights = np.random.default_rng(0).uniform(0.5, 2, 11)
    weights[[2, 5, 8, 9, 10]] = 0
    case = problem(name, form, sample_weight=weights, activation="relu")
    X, answers = case.X.copy(), case.answers.copy()
    X[weights == 0], answers[weights == 0] = 5.0, 0
    network = problem(name, form, activation="relu").network
    other = case._replace(X=X, answers=answers, network=network)
    if form == "contributions":
        network.front = ContributionsForm(X, network.front.initial, np.dtype(float), False)
    else:
        network.front.source = X
    start = parameters(case.network)
    assert_same_moves(start, other.trained(2), case.trained(2), 1e-12)


@pytest.mark.parametrize("name", [name for name in RULES if name != "backprop"])
def test_early_stopping_keeps_the_best_network(name):
    """Held-out samples are scored after each epoch; the network of the best score is restored, heads too."""
    X, y = samples(60)
    kept = {}
    classifier = FrontClassifier(
        (6, 4), rule=name, early_stopping=True, validation_fraction=0.3, batch_size=8, max_epochs=6, learning_rate=0.3,
        random_state=0, dtype="float64", tol=0, n_iter_no_change=10**6,
    )  # fmt: skip

    def keep(epoch):
        kept[epoch.epoch] = [array.copy() for array in parameters(classifier.network_)]

    classifier.fit(X, y, callbacks=[keep])
    best = kept[1 + int(np.argmax(classifier.validation_scores_))]
    for a, b in zip(parameters(classifier.network_), best, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-13)


def test_parameters_of_estimators():
    """Rules survive clone, get_params and set_params, as names and as objects, and can be searched."""
    rule = ForwardGradient("local", "gaussian", groups=2)
    estimator = FrontClassifier((4,), rule=rule, random_state=0)
    assert clone(estimator).get_params()["rule"] == rule
    assert FrontRegressor().set_params(rule="fg-a", groups=1).get_params()["rule"] == "fg-a"
    assert make_rule(rule) is rule
    assert make_rule("lg-fg-a") == ForwardGradient("local", "gaussian", "activation")
    X, y = samples(60)
    base = FrontClassifier((8,), max_epochs=15, learning_rate=0.1, batch_size=10, random_state=0, form="weights")
    search = GridSearchCV(base, {"rule": ["frozen", "lg-fg-a", "backprop", LocalLoss()]}, cv=2).fit(X, y)
    assert search.best_params_["rule"] in ("lg-fg-a", "backprop", LocalLoss())
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert "ForwardGradient(target='local'" in repr(estimator)


@pytest.mark.parametrize("name", list(RULES))
def test_rules_learn(name):
    """The loss falls for a classifier and for a regressor of two outputs, in single precision and default settings."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(120, 8))
    shared = {"hidden_layer_sizes": (16,), "rule": name, "max_epochs": 30, "batch_size": 20, "random_state": 0}
    rate = {"fg-w": 0.003, "lg-fg-w": 0.003}.get(name, 0.03)
    classifier = FrontClassifier(learning_rate=rate, **shared).fit(X, (X[:, 0] > 0).astype(int))
    regressor = FrontRegressor(learning_rate=rate / 10, **shared).fit(X, X[:, :2])
    for estimator in (classifier, regressor):
        assert estimator.loss_curve_[-1] < 0.9 * estimator.loss_curve_[0]


def test_diverging_rules_keep_the_best_network():
    """A loss that is not finite ends the training of rules that update block by block, too."""
    X, _ = samples()
    for name in ("lg-fg-a", "local-loss", "fg-w", "dfa"):
        regressor = FrontRegressor((8, 8), "identity", rule=name, learning_rate=1e30, max_epochs=20, batch_size=4)
        with pytest.warns(ConvergenceWarning, match="diverged in"):
            regressor.fit(X, X[:, 0])
        assert np.isfinite(regressor.predict(X)).all()


# ----------------------------------------------------------------------------------------------------------------------
# costs


@pytest.fixture
def count_products(monkeypatch):
    """``count_products(case)``: products of a batch with a square layer in a step; those with outputs do not count."""
    done = []

    def note(*shape):
        if N_OUTPUTS not in shape:
            done.append(np.prod(shape))

    def counted_kernel(module, name, shapes):
        kernel = getattr(module, name)

        def call(*arguments):
            for shape in shapes(*arguments):
                note(*shape)
            return kernel(*arguments)

        monkeypatch.setattr(module, name, call)

    def dense(widths, X):
        return [(len(X), n_in, n_out) for n_in, n_out in pairwise(widths)]

    def push(values, activation, tangents, weights, inputs, weight_tangents, *rest):
        moving = [each for each in (tangents, weight_tangents) if each is not None]
        return [(len(each) * len(values), each.shape[2], values.shape[1]) for each in moving]

    def backward(params, widths, bias, activation, X, values, deltas, grad, input_delta, n_threads):
        products = dense(widths, X)
        return products + products[input_delta is None :]

    counted_kernel(backend.forward, "forward", lambda params, widths, bias, activation, X, *rest: dense(widths, X))
    counted_kernel(backend.backprop, "backward", backward)
    counted_kernel(backend.forward_gradient, "push", push)
    counted_kernel(backend.forward_gradient, "outer_products", lambda widths, bias, X, *rest: dense(widths, X))
    multiply = weights.multiply

    def counted_multiply(A, B):
        note(len(A), len(B), len(B.T))
        return multiply(A, B)

    for module in (weights, rules.feedback, rules.directions, rules.forward_pass):
        monkeypatch.setattr(module, "multiply", counted_multiply)

    def count(case):
        network = case.network
        done.clear()
        network.train_epoch(np.arange(network.batch_size), np.ones(1), case.answers, None)
        width = int(network.widths[0])
        return sum(done) / (network.batch_size * width * width)

    return count


COSTLY = [
    *RULES.values(),
    LocalLoss(2),
    LocalLoss(3),
    *(ForwardGradient("global", guess, space) for guess in GUIDED for space in SPACES),
    *(ForwardGradient("local", guess, space) for guess in GUIDED for space in SPACES),
    *(ForwardGradient("global", "local", space, scalar="joint") for space in ("activation", "avg-weight")),
    *(ForwardGradient("global", "gaussian", space, n_tangents=5) for space in ("activation", "weight")),
    *(ForwardGradient("global", "gaussian", space, scalar="block", block_size=2) for space in ("activation", "weight")),
    *(ForwardGradient("local", "gaussian", space, block_size=2, n_tangents=5) for space in ("activation", "weight")),
]


@pytest.mark.parametrize("rule", COSTLY, ids=str)
def test_matrix_products_are_as_stated(rule, count_products):
    """Counted in a step of square networks of 2 to 5 hidden layers.

    The batch is half as large as a layer is wide: then two products with its Gram matrix, which "avg-weight" takes, are one.
    """
    counts = [
        count_products(problem(rule, hidden=(8,) * n, n_features=8, n_samples=4, optimizer=NeuronAdam())) for n in range(2, 6)
    ]
    assert counts == [rule.matrix_products(n) for n in range(2, 6)]


def test_matrix_products_of_the_specification():
    """The table: with L hidden layers 3 L - 1 for backpropagation and FG-A, 2 L for local ones, quadratic for a scalar each."""
    L = np.arange(1, 7)
    costs = {
        "backprop": 3 * L - 1, "fa": 3 * L - 1, "dfa": 2 * L, "frozen": L, "local-loss": 2 * L, "fg-a": 3 * L - 1,
        "fg-w": 3 * L - 1, "lg-fg-a": 2 * L, "lg-fg-w": 2 * L, "local-fg-w": 4 * L - 1, "local-fg-a": 3 * L - 1,
        ForwardGradient("global", "local"): 2 * L + L * (L - 1) // 2,
    }  # fmt: skip
    for rule, expected in costs.items():
        assert [make_rule(rule).matrix_products(int(n)) for n in L] == expected.tolist(), rule


@pytest.mark.parametrize(
    "rule",
    [
        "fa", "dfa", "fg-a", "local-fg-a", ForwardGradient(), ForwardGradient(space="weight"),
        ForwardGradient(space="avg-weight"), ForwardGradient("global", "gaussian", "activation", n_tangents=3),
    ],
    ids=str,
)  # fmt: skip
def test_kept_activations_grow_as_stated(rule):
    """What a step allocates grows by as many arrays of the batch for each further layer, beside the gradients."""
    width, n_samples, peaks = 40, 400, {}
    rule = make_rule(rule)
    for depth in (4, 8):
        case = problem(rule, hidden=(width,) * depth, n_samples=n_samples, batch_size=n_samples, n_features=width)
        case.train()
        tracemalloc.start()
        case.train()
        peaks[depth] = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    measured = (peaks[8] - peaks[4]) / 4 / (width * n_samples * 8)
    stated = (rule.kept_activations(8) - rule.kept_activations(4)) / 4
    assert measured == pytest.approx(stated, abs=0.6)


LOCAL = ["local-loss", "lg-fg-a", LocalLoss(2), ForwardGradient("local", "local"), ForwardGradient("local", "ntk")]


@pytest.mark.parametrize("rule", [*LOCAL, "backprop", "fg-a", "dfa"], ids=str)
def test_memory_of_a_step(rule):
    """What a step holds: a rule with local losses holds as much for 16 layers as for 8, others hold every layer."""
    stated, measured = [], []
    for n_hidden in (8, 16):
        size = {"hidden": (50,) * n_hidden, "batch_size": 400, "n_samples": 400, "n_features": 2, "optimizer": NeuronAdam()}
        case = problem(rule, **size)
        stated.append(make_rule(rule).kept_activations(n_hidden))
        measured.append(peak_of_a_step(case) / (400 * 50 * 8))
    local = rule in LOCAL
    assert stated[0] == stated[1] if local else stated[0] < stated[1]
    assert measured[1] < 1.05 * measured[0] if local else measured[1] > 1.7 * measured[0]


def peak_of_a_step(case):
    """Bytes that a step allocates at most beside what is there before."""
    network, rows = case.network, np.arange(len(case.X))
    upper, targets = network.upper, Targets(network.loss, case.answers, None)
    gradients = network.rule.gradients(upper, targets, network.rule_state, 1)
    memory = upper.memory.of("front", int(upper.widths[0]), network.front.n_features)
    with closing(network.front.windows([rows], 1, network.optimizer, memory, 1)) as opened:
        _, front = next(opened)
        tracemalloc.start()
        try:
            for _ in gradients.step(front, rows):
                pass
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()


def test_rules_say_what_they_use():
    """Transposes and backward passes: none for noise with linear heads, all for backpropagation, those of heads for a guess."""
    for name in ("fg-w", "fg-a", "lg-fg-w", "lg-fg-a"):
        assert (RULES[name].transposes, RULES[name].backward_passes) == ("none", "none")
    for rule in (Backprop(), ForwardGradient(guess="global")):
        assert "every layer" in rule.transposes
        assert "whole network" in rule.backward_passes
    assert "heads" in ForwardGradient().transposes
    assert "heads" in ForwardGradient("local", "gaussian", head_layer_sizes=(3,)).backward_passes
    assert RULES["dfa"].backward_passes == "none"
    assert "random weights" in RULES["fa"].transposes
