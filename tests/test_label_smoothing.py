"""Smoothed labels; test_front_exact.py and test_rules.py compare whole trainings with PyTorch."""

import pickle

import numpy as np
import pytest
from scipy import optimize, sparse
from sklearn.base import clone

import fcfast
from fcfast import FrontClassifier, FrontRegressor
from fcfast.losses import LOSSES, CrossEntropy, Targets
from fcfast.training.compiled import is_compiled

FORMS = ("weights", "windowed", "contributions")
EXACT = {"dtype": "float64", "random_state": 0, "max_epochs": 5}


def assert_equal_networks(one, other, tolerance=1e-12):
    np.testing.assert_allclose(one.loss_curve_, other.loss_curve_, rtol=tolerance)
    for a, b in zip(one.coefs_ + one.intercepts_, other.coefs_ + other.intercepts_, strict=True):
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


def test_loss_of_samples_equals_the_kernel(dtype, global_random_seed):
    """Losses, and gradients with weights, as a class without a kernel would give them."""
    rng = np.random.default_rng(global_random_seed)
    outputs, labels, weights = rng.normal(size=(6, 4)).astype(dtype), rng.integers(0, 4, 6), rng.uniform(0, 2, 6)
    for smoothing in (0.0, 0.1, 0.9):

        class Interpreted(CrossEntropy):
            """The same loss for networks that train step by step."""

        results = []
        for loss in (CrossEntropy(smoothing), Interpreted(smoothing)):
            delta = np.empty_like(outputs)
            value = Targets(loss, labels, weights).mean_loss(outputs, np.arange(6), delta)
            results.append((value, delta))
        assert Interpreted.kernel is None
        np.testing.assert_allclose(results[0][0], results[1][0], rtol=1e-12 if dtype == np.float64 else 1e-6)
        np.testing.assert_allclose(results[0][1], results[1][1], atol=4 * np.finfo(dtype).eps)


def test_it_trains_whole_epochs():
    """A smoothed loss is one that the kernels know."""
    loss = FrontClassifier(label_smoothing=0.1)._loss
    classifier = FrontClassifier((4,), label_smoothing=0.1, max_epochs=1).fit(np.eye(4), [0, 1, 0, 1])
    assert is_compiled(classifier.network_.rule, classifier.network_.optimizer, (1,), loss)
    assert classifier.network_.by_blocks is not None


def test_best_constant_has_the_smallest_loss(global_random_seed):
    """The outputs begin with the logarithms of the smoothed frequencies, weights included; without them they are worse."""
    rng = np.random.default_rng(global_random_seed)
    labels, weights = np.arange(30) % 3 * (rng.random(30) < 0.8), rng.uniform(0, 2, 30)
    for sample_weight in (None, weights):
        loss = CrossEntropy(0.2)
        targets = Targets(loss, labels, sample_weight)

        def mean_loss(constant, targets=targets):
            outputs = np.tile(constant, (30, 1))
            return targets.mean_loss(outputs, np.arange(30), np.empty_like(outputs))

        best = loss.best_constant(labels, sample_weight, 3)
        shares = np.bincount(labels, sample_weight) / (30 if sample_weight is None else weights.sum())
        np.testing.assert_allclose(np.exp(best), 0.8 * shares + 0.2 / 3, rtol=1e-12)
        np.testing.assert_allclose(mean_loss(best), optimize.minimize(mean_loss, np.zeros(3)).fun, rtol=1e-9)
        assert mean_loss(best) < mean_loss(CrossEntropy().best_constant(labels, sample_weight, 3)) - 1e-3


def test_training_begins_with_the_best_constant(wide):
    """A network whose front layer is almost 0 gives smoothed frequencies; a rate of almost 0 leaves them."""
    X, y = wide
    y = np.where(np.arange(40) < 30, "a", y)
    still = FrontClassifier(init="scaled", init_scale=1e-9, learning_rate=1e-300, label_smoothing=0.3, **EXACT).fit(X, y)
    frequencies = np.unique(y, return_counts=True)[1] / 40
    np.testing.assert_allclose(still.predict_proba(X[:3]), np.tile(0.7 * frequencies + 0.1, (3, 1)), rtol=1e-6)


def test_the_loss_of_chance_is_smoothed(wide):
    """The lowest loss of smoothed labels exceeds the entropy of rare classes, so that a good network would seem to fail."""
    X, y = wide
    y = np.where(np.arange(40) < 37, "a", "b")
    classifier = FrontClassifier(label_smoothing=0.5, random_state=0).fit(X, y)  # a warning would be an error
    assert classifier.score(X, y) == 1
    lowest, chance = (-(shares * np.log(shares)).sum() for shares in np.array([[0.75, 0.25], [0.7125, 0.2875]]))
    assert lowest < classifier.loss_curve_[-1] < chance
    np.testing.assert_allclose(classifier._chance((y == "b").astype(int), None), chance)
    assert FrontClassifier(random_state=0).fit(X, y)._chance((y == "b").astype(int), None) < lowest


@pytest.mark.parametrize("smoothing", [0.8, 0.9])
def test_learning_is_measured_from_the_lowest_loss(wide, smoothing):
    """With much smoothing the losses of good predictions and of the class frequencies are nearly the same."""
    X, y = wide
    classifier = FrontClassifier(label_smoothing=smoothing, random_state=0).fit(X, y)  # a warning would be an error
    assert classifier.score(X, y) == 1
    lowest, chance = CrossEntropy(smoothing).lowest(3), classifier._chance(np.arange(3), None)
    assert 0.95 * chance < lowest < classifier.loss_curve_[-1] < chance
    probabilities = np.array([1 - smoothing * 2 / 3, smoothing / 3, smoothing / 3])
    np.testing.assert_allclose(lowest, -(probabilities * np.log(probabilities)).sum())


@pytest.mark.parametrize("form", FORMS)
def test_weights_multiply_the_smoothed_loss(wide, form):
    """Weight 2 is the sample twice; classes are weighted by their samples."""
    X, y = wide
    settings = {"form": form, "label_smoothing": 0.2, "shuffle": False, "standardize": False, **EXACT}
    settings |= {"learning_rate": 1e-4, "weight_decay": 0.0, "hidden_layer_sizes": (8,)}
    coefs = [np.random.default_rng(0).normal(size=shape) / 60 for shape in ((3000, 8), (8, 3))]
    given = {"coefs_init": coefs, "intercepts_init": [np.zeros(8), np.zeros(3)]}
    twice = FrontClassifier(**settings).fit(np.concatenate([X, X[:5]]), np.concatenate([y, y[:5]]), **given)
    by_weight = FrontClassifier(**settings).fit(X, y, np.where(np.arange(40) < 5, 2.0, 1.0), **given)
    assert_equal_networks(twice, by_weight, 1e-9)
    by_class = FrontClassifier(class_weight={"a": 3, "b": 1, "c": 0.5}, **settings).fit(X, y, **given)
    by_sample = FrontClassifier(**settings).fit(X, y, np.select([y == "a", y == "b"], [3, 1], 0.5), **given)
    assert_equal_networks(by_class, by_sample)


@pytest.mark.parametrize("form", FORMS)
def test_partial_fit_smooths(wide, form):
    """One portion of all samples is an epoch of `fit`; a portion cannot have another smoothing."""
    X, y = wide
    settings = {"form": form, "label_smoothing": 0.3, "shuffle": False, "standardize": False, "init": "scaled", **EXACT}
    settings |= {"learning_rate": 1e-4, "batch_size": 10, "hidden_layer_sizes": (8,), "weight_decay": 0.0, "max_epochs": 1}
    whole = FrontClassifier(schedule="constant", **settings).fit(X, y)
    portion = FrontClassifier(**settings).partial_fit(X, y, classes=np.unique(y))
    assert_equal_networks(whole, portion)
    plain = FrontClassifier(**settings | {"label_smoothing": 0.0}).partial_fit(X, y, classes=np.unique(y))
    assert abs(plain.loss_curve_[0] - portion.loss_curve_[0]) > 1e-6
    with pytest.raises(ValueError, match=r"label_smoothing=0.3, but it is 0.1 now"):
        portion.set_params(label_smoothing=0.1).partial_fit(X, y)
    assert portion.set_params(label_smoothing=0.3).partial_fit(X, y).n_epochs_ == 2


def test_warm_start_takes_another_smoothing(wide):
    """A fit that continues has the loss that it was given: as though it had started from these weights."""
    X, y = wide
    first = FrontClassifier((8,), standardize=False, weight_decay=0.0, learning_rate=1e-4, **EXACT).fit(X, y)
    start = {"coefs_init": first.coefs_, "intercepts_init": first.intercepts_}
    anew = clone(first).set_params(label_smoothing=0.4).fit(X, y, **start)
    first.set_params(label_smoothing=0.4, warm_start=True).fit(X, y)
    assert_equal_networks(first, anew, 1e-9)


@pytest.mark.parametrize("weights", [True, False])
def test_files_and_pickles_keep_it(wide, tmp_path, weights):
    """The parameter and the loss; training goes on to the same network."""
    X, y = wide
    settings = {"form": "contributions", "standardize": False, "label_smoothing": 0.3}
    classifier = FrontClassifier((8,), **settings, **EXACT).fit(X, y)
    classifier.save(tmp_path / "m.safetensors", weights=weights)
    loaded = fcfast.load(tmp_path / "m.safetensors", **({} if weights else {"X": X}))
    copies = loaded, pickle.loads(pickle.dumps(classifier))
    classifier.set_params(warm_start=True).fit(X, y)
    for copy in copies:
        assert copy.network_.loss == CrossEntropy(0.3)
        assert_equal_networks(copy.set_params(warm_start=True).fit(X, y), classifier)


def test_forms_agree_on_sparse_data(wide):
    """Sparse samples in contributions, and the same samples as weights."""
    X, y = wide
    X = np.where(abs(X) > np.quantile(abs(X), 0.9), X, 0)
    settings = {"standardize": False, "label_smoothing": 0.2, "init": "glorot", **EXACT}
    by_rows = FrontClassifier(form="contributions", **settings).fit(sparse.csr_array(X), y)
    assert_equal_networks(by_rows, FrontClassifier(form="weights", **settings).fit(X, y), 1e-8)


def test_losses_by_value():
    """The setting belongs to the loss, which says what is wrong with it; the loss by name has none."""
    assert CrossEntropy(np.float32(0.5)) == CrossEntropy(0.5) != CrossEntropy()
    assert LOSSES["cross_entropy"] == CrossEntropy(0.0)
    with pytest.raises(ValueError, match=r"label_smoothing must be in \[0, 1\), got 1"):
        CrossEntropy(label_smoothing=1)
    with pytest.raises(TypeError, match="label_smoothing must be a number"):
        CrossEntropy("0.1")
    with pytest.raises(ValueError, match="compares outputs with classes"):
        FrontRegressor(loss=CrossEntropy(0.1)).fit(np.eye(3), np.arange(3.0))
