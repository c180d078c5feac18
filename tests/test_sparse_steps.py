"""Single steps on weights of sparse features train what steps on dense samples train: other rules, losses, optimisers."""

import copy
import warnings
from functools import partial
from itertools import pairwise

import numpy as np
import pytest
from classic import FrontClassifier
from effort import cases
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning
from test_front_exact import distance
from test_memory import peak
from test_sparse_exact import sparse_configuration, untidy
from test_sparse_forms import Absolute
from twins import CORE, PURE

import fcfast
from fcfast import backend
from fcfast.front import SparseWeightsForm
from fcfast.front.linear_step import LinearStep
from fcfast.front.slots import empty_table
from fcfast.losses import Targets
from fcfast.optimizers import OPTIMIZERS, SGD, Adagrad, NeuronAdam
from fcfast.rules import RULES, ForwardGradient, LocalLoss
from fcfast.training.upper import block_diagonal

FRONT_RULES = [
    *(name for name, rule in RULES.items() if rule.stays_in_span),
    ForwardGradient(space="weight", scalar="joint"),
    ForwardGradient(space="avg-weight"),
    ForwardGradient(target="local", guess="gaussian", n_tangents=2),
    LocalLoss(2, (5,)),
]
N_CONFIGURATIONS = cases(104) if backend.NAME == "compiled" else 24
GROUPS = 4


def step_configuration(seed):
    """Draw a training that Python drives: a rule, groups of units, a loss, rates and decays of layers."""
    kind, parameters, X, y, coefs, biases = sparse_configuration(seed)
    rng = np.random.default_rng(seed)
    hidden = parameters["hidden_layer_sizes"]
    parameters["rule"] = FRONT_RULES[seed % len(FRONT_RULES)]
    if rng.random() < 0.3:
        hidden = parameters["hidden_layer_sizes"] = tuple(2 * width for width in hidden)
        parameters["groups"] = 2
        widths = X.shape[1], *hidden, coefs[-1].shape[1]
        coefs = [rng.uniform(-1, 1, shape) / shape[0] ** 0.5 for shape in pairwise(widths)]
        coefs[1:-1] = [coef * block_diagonal(*coef.shape, 2).T for coef in coefs[1:-1]]
        biases = [rng.uniform(-0.2, 0.2, width) for width in widths[1:]]
    if y.ndim == 2 and rng.random() < 0.5:
        parameters["loss"] = Absolute()
    if rng.random() < 0.5:
        n_layers = len(hidden) + 1
        parameters["learning_rate"] = [tuple(pair) for pair in rng.uniform(0.003, 0.03, (n_layers, 2))]
        decays = rng.choice([0, 0.1], (n_layers, 2)) * parameters["weight_decay"]
        parameters["weight_decay"] = [tuple(pair) for pair in decays.tolist()]
    return kind, parameters, X, y, coefs, biases


def trained(kind, parameters, X, y, coefs, biases, form, window="auto", **more):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # 60 steps are not meant to converge
        estimator = kind(
            **parameters, form=form, window=window, shuffle=False, tol=0, n_iter_no_change=10**6, random_state=0,
            **{"dtype": "float64", **more},
        )  # fmt: skip
        return estimator.fit(X, y, coefs_init=coefs, intercepts_init=biases)


def assert_equal(configuration, seed, form):
    kind, parameters, X, *network = configuration
    dense = trained(kind, parameters, X, *network, "weights")
    own = trained(kind, parameters, untidy(X, seed), *network, form, 1 + 13 * (seed % 3))
    assert isinstance(own.network_.front, SparseWeightsForm)
    assert not own.network_.is_compiled or parameters["rule"] == "backprop"
    message = f"seed {seed}, {form}, {parameters}"
    assert distance([own.loss_curve_], [dense.loss_curve_]) < 1e-9, message
    assert distance(own.coefs_, dense.coefs_) < 1e-9, message
    assert distance(own.intercepts_, dense.intercepts_) < 1e-9, message


@pytest.mark.parametrize("group", range(GROUPS))
def test_sgd_step_by_step(group):
    """Every rule whose updates stay in the span, with momentum, Nesterov, dampening, decay, clipping and schedules."""
    for seed in range(group, N_CONFIGURATIONS, GROUPS):
        assert_equal(step_configuration(seed), seed, ("weights", "windowed")[seed % 2])


@pytest.mark.parametrize("group", range(GROUPS))
def test_neuron_adam(group):
    """A number for each unit says how far a feature's weights lag behind its velocity."""
    for seed in range(group, N_CONFIGURATIONS, GROUPS):
        kind, parameters, X, *network = step_configuration(seed)
        # at ten times these rates rounding grows a hundredfold
        rate = parameters["learning_rate"]
        parameters["learning_rate"] = rate / 10 if isinstance(rate, float) else [(a / 10, b / 10) for a, b in rate]
        for name in ("nesterov", "dampening"):
            del parameters[name]
        if seed % 2:
            del parameters["rule"]
        if isinstance(parameters["weight_decay"], list):
            parameters["optimizer"] = "neuron-adam"
        else:
            own = (parameters.pop(name) for name in ("momentum", "weight_decay", "max_grad_norm"))
            beta1, decay, clip = own
            parameters["optimizer"] = NeuronAdam(beta1, 0.9, 1e-6, decay, clip)
        parameters = {"rule": "backprop", **parameters}
        assert_equal((kind, parameters, X, *network), seed, ("weights", "windowed")[seed % 2])


# ----------------------------------------------------------------------------------------------------------------------
# the estimators


DRIVEN = {
    "dfa": {"rule": "dfa", "learning_rate": 0.002, "momentum": 0.9, "nesterov": True, "weight_decay": 0.01},
    "neuron-adam": {"optimizer": "neuron-adam", "learning_rate": 0.003, "weight_decay": 0.1},
}
OPTIONS = {"hidden_layer_sizes": (24, 8), "batch_size": 40, "learning_rate": 0.02, "max_epochs": 4, "random_state": 0}


@pytest.fixture(scope="module")
def text():
    """Counts of words, most of which are rare, and a class that shows in the common ones."""
    y = np.arange(120) % 3
    X = sparse.random(120, 900, 0.01, "lil", random_state=0)
    X[np.arange(120), y] = 1.0
    return sparse.csr_array(X), y


def fitted(given, y, name, **more):
    settings = OPTIONS | {"dtype": "float64", "form": "weights"} | DRIVEN[name] | more
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # few epochs on purpose
        return FrontClassifier(**settings).fit(given, y)


def assert_same(own, dense):
    for a, b in zip(own.coefs_, dense.coefs_, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-11)


@pytest.mark.parametrize("name", DRIVEN)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_threads_give_the_same_bits(text, name, dtype):
    more = {"dtype": dtype, "hidden_layer_sizes": (300, 8)}
    one, two, three = (fitted(*text, name, n_jobs=n_jobs, **more) for n_jobs in (1, 2, 3))
    assert isinstance(one.network_.front, SparseWeightsForm)
    for other in (two, three):
        for a, b in zip(one.coefs_, other.coefs_, strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("name", DRIVEN)
def test_single_precision(text, name):
    """Rounding does to sparse weights what it does to dense ones."""
    X, y = text
    exact = fitted(X.toarray(), y, name)
    ours, theirs = (distance(fitted(given, y, name, dtype="float32").coefs_, exact.coefs_) for given in (X, X.toarray()))
    assert ours < max(3 * theirs, 1e-5)


@pytest.mark.filterwarnings("ignore::fcfast.training.TrainingWarning")  # little is learned in few epochs
@pytest.mark.parametrize("name", DRIVEN)
def test_early_stopping_and_going_on(text, name):
    """Snapshots, warm starts and `partial_fit` with features that are new."""
    X, y = text
    early = {"early_stopping": True, "max_epochs": 12, "n_iter_no_change": 3, "warm_start": True, "init": "scaled"}
    own, dense = (fitted(given, y, name, **early) for given in (X, X.toarray()))
    assert own.validation_scores_ == dense.validation_scores_
    assert_same(own, dense)
    own.fit(X, y)
    dense.fit(X.toarray(), y)
    assert_same(own, dense)
    for one in (own, dense):
        one.set_params(early_stopping=False)
    for start in (0, 30, 60):
        group = np.where(np.arange(900) < 300 + 5 * start, X[start : start + 40].toarray(), 0)
        own.partial_fit(sparse.csr_array(group), y[start : start + 40])
        dense.partial_fit(group, y[start : start + 40])
    assert_same(own, dense)


@pytest.mark.parametrize("name", DRIVEN)
def test_copies_and_files(text, name, tmp_path):
    X, y = text
    own = fitted(X[:60], y[:60], name)
    own.save(tmp_path / "model")
    for one in (fcfast.load(tmp_path / "model"), copy.deepcopy(own)):
        np.testing.assert_array_equal(one.predict_proba(X), own.predict_proba(X))
    copied = copy.deepcopy(own)
    for one in (own, copied):
        one.partial_fit(X[60:], y[60:])
    np.testing.assert_array_equal(copied.predict_proba(X), own.predict_proba(X))


@pytest.mark.parametrize("name", DRIVEN)
def test_an_epoch_that_ends_early(text, name):
    """All features are up to date after an interruption within an epoch, and after a loss that is not finite."""
    X, y = text
    own, dense = (fitted(given, y, name, max_epochs=1, warm_start=True, init="scaled") for given in (X, X.toarray()))
    networks = own.network_, dense.network_
    for network, given in zip(networks, (X, X.toarray()), strict=True):
        network.append(given)
    rows, rates = np.arange(120), np.full(3, 0.01)

    for error in (KeyboardInterrupt, None):
        for network in networks:
            with pytest.MonkeyPatch.context() as patched:
                targets = y.astype(np.intp)
                calls = iter(range(10))

                def mean_loss(self, outputs, batch, delta, calls=calls, error=error, real=Targets.mean_loss):
                    if next(calls) < 2:
                        return real(self, outputs, batch, delta)
                    if error is None:
                        return np.nan
                    raise error

                patched.setattr(Targets, "mean_loss", mean_loss)
                if error is None:
                    assert len(network.train_epoch(rows, rates, targets, None)) == 2
                else:
                    with pytest.raises(error):
                        network.train_epoch(rows, rates, targets, None)
        ours, theirs = (network.front.expand() for network in networks)
        np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-12)


def test_frozen_units_and_unused_batches(text):
    """A rule that never updates the front layer leaves it as it is, to the last bit."""
    X, y = text
    before = fitted(X, y, "dfa", rule="frozen", max_epochs=1, learning_rate=0.0001)
    after = fitted(X, y, "dfa", rule="frozen", max_epochs=5, weight_decay=0.1)
    np.testing.assert_array_equal(before.coefs_[0], after.coefs_[0])


@pytest.mark.parametrize("form", ["auto", "weights"])
def test_rules_that_move_the_weights_of_all_features(text, form):
    match = r"random directions.*needs form='weights'.*dense X.*a rule that moves activations"
    with pytest.raises(ValueError, match=match):
        fitted(*text, "dfa", rule="fg-w", form=form)


def test_an_optimizer_that_mixes_units(text):
    more = {"optimizer": "muon", "nesterov": False}
    with pytest.raises(ValueError, match=r"optimizer='muon' does not allow.*'neuron-adam' do.*use form='contributions'"):
        fitted(*text, "dfa", **more)
    assert fitted(*text, "dfa", form="auto", **more).form_ == "contributions"


@pytest.mark.skipif(backend.NAME != "compiled", reason="the plan counts what the compiled kernels hold")
@pytest.mark.parametrize("name", DRIVEN)
def test_memory_is_what_the_plan_says(name):
    X, y = sparse.random(600, 20_000, 0.006, "csr", random_state=0, dtype=np.float32), np.arange(600) % 3
    settings = {"hidden_layer_sizes": (64,), "dtype": "float32", "max_epochs": 1, "learning_rate": 1e-5}
    fitted(X[:40], y[:40], name, **settings)
    held, own = peak(lambda: fitted(X, y, name, **settings))
    assert held == pytest.approx(own.plan_.costs["weights"].n_bytes, rel=0.1)


# ----------------------------------------------------------------------------------------------------------------------
# the kernel


def stepped(kernels, seed, dtype, n_threads, n_steps, differ, room=None, h=20, d=12):
    """Take linear steps on single rows; most features occur rarely. Gives the table and the factors of other features."""
    front, sparse_front = kernels["front"], kernels["sparse_front"]
    rng = np.random.default_rng(seed)
    has_velocity = seed % 4 != 3
    table = empty_table(d, 1 + has_velocity, h, np.dtype(dtype))
    table[:, 0, :h] = rng.normal(size=(d, h))
    X = sparse.csr_array(rng.normal(size=(40, d)) * (rng.random((40, d)) < np.linspace(0.5, 0.01, d)))
    nothing = np.empty(0, dtype)
    network = sparse_front.SparseNetwork(
        table, scale := np.array([1.0, 0.0]), X.indptr.astype(np.intp), X.indices.astype(np.int32), X.data.astype(dtype),
        nothing, None, np.array([h], np.intp), 0,
    )  # fmt: skip
    workspace = front.Workspace(network, 3, 3, 3)
    # the last features occur in the first step and in the last ones alone
    order = [np.array([0, 1, 39])] + [rng.integers(0, 30, rng.integers(1, 4)) for _ in range(n_steps - 2)] + [np.arange(37, 40)]
    for step, batch in enumerate(order):
        S = np.empty((len(batch), h), dtype)
        sparse_front.project_batch(network, workspace, batch, S, n_threads)
        linear, D = LinearStep(has_velocity), np.sin(S) / 4
        rate = 0.2 * (1 + np.cos(step / 50))
        if differ:
            linear.accumulate(0.9, 0.1)
            linear.shrink(1 - rate * 1e-3)
            linear.descend(rate * (0.2 + rng.random(h)))
        else:
            linear.descend_as_sgd(rate / 10, SGD(0.9 * has_velocity, weight_decay=0.01, nesterov=has_velocity), step == 0)
        p, by_unit, fresh = linear.numbers(h)
        sparse_front.take_step(network, D, p, by_unit, fresh, linear.m_fresh, room or n_steps, n_threads)
    sparse_front.settle(network, n_threads)
    return table[..., :h], scale


@pytest.mark.parametrize("differ", [False, True])
def test_kernel_and_twin(differ):
    """Histories of several chunks, also where there is room for few windows: as if every step changed every weight."""
    for seed in range(12):
        n_steps = (5, 63, 64, 65, 200, 1000)[seed % 6]
        room = (None, 64, 100)[seed % 3]
        ours, naive = (stepped(kernels, seed, "float64", 1, n_steps, differ, room) for kernels in (CORE, PURE))
        for a, b in zip(ours, naive, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-11, err_msg=f"seed {seed}")


@pytest.mark.parametrize("differ", [False, True])
def test_ten_thousand_steps(differ):
    """Features that are absent for 10,000 steps are caught up without a loss of digits."""
    ours, naive = (stepped(kernels, 0, "float64", 1, 10_000, differ) for kernels in (CORE, PURE))
    for a, b in zip(ours, naive, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-10)
    single, exact = stepped(CORE, 0, "float32", 1, 10_000, differ)[0], ours[0]
    twin = stepped(PURE, 0, "float32", 1, 10_000, differ)[0]
    assert distance([single], [exact]) < max(2 * distance([twin], [exact]), 1e-5)


# ----------------------------------------------------------------------------------------------------------------------
# what "auto" chooses


@pytest.mark.filterwarnings("ignore::fcfast.training.TrainingWarning", "ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("optimizer", [*OPTIMIZERS, SGD(0.9, weight_decay=0.1, max_grad_norm=1.0), Adagrad(weight_decay=0.1)])
@pytest.mark.parametrize("rule", ["backprop", "dfa", "lg-fg-a", "fg-w"])
def test_what_auto_chooses_can_be_trained(text, optimizer, rule):
    """The form, in `fit` and in a stream, trains; where there is none, the plan says so."""
    X, y = text
    own = OPTIMIZERS.get(optimizer)() if isinstance(optimizer, str) else optimizer
    settings = {"optimizer": optimizer, "rule": rule, "max_epochs": 1, "hidden_layer_sizes": (6, 4), "learning_rate": 1e-3}
    is_possible = rule != "fg-w" and (own.rests or own.commutes)
    for train in (fcfast.FrontClassifier.fit, partial(fcfast.FrontClassifier.partial_fit, classes=range(3))):
        one = FrontClassifier(**settings, batch_size=20)
        if not is_possible:
            with pytest.raises(ValueError, match="toarray"):
                train(one, X, y)
            continue
        train(one, X, y)
        assert np.isfinite(one.predict_proba(X)).all()
        assert own.is_lazy or one.form_ == "contributions"
