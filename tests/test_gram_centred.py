"""Networks on centred Gram matrices: as if the mean of the training samples had been subtracted from all features."""

import numpy as np
import pytest
from classic import SpanClassifier as FrontClassifier
from classic import SpanNoPropClassifier as NoPropClassifier
from classic import SpanRegressor as FrontRegressor

import fcfast
from fcfast import Gram

N, D = 30, 80
RNG = np.random.default_rng(0)
X = RNG.normal(3, 1, size=(N, D)) + RNG.normal(0, 2, size=D)
Y = np.arange(N) % 3
TRAIN, TEST = np.arange(0, N, 2), np.arange(1, N, 2)
SETTINGS = {"max_epochs": 6, "tol": 0, "random_state": 0, "dtype": "float64", "learning_rate": 0.005, "batch_size": 4}


def regressor(**settings):
    return FrontRegressor((6, 4), **SETTINGS, weight_decay=0.01, **settings)


@pytest.mark.parametrize("rows", [None, TRAIN], ids=["all samples", "a view"])
@pytest.mark.parametrize("optimizer", ["sgd", "muon", "neuron-adam"])
def test_it_is_training_on_centred_features(rows, optimizer):
    """The same start and the same steps, with the mean of the training samples alone."""
    rows = np.arange(N) if rows is None else rows
    gram = Gram(X, dtype="float64").centred()
    y = X[:, :2].sum(axis=1)
    settings = {"optimizer": optimizer} if optimizer != "neuron-adam" else {"optimizer": optimizer, "momentum": 0.9}
    centred = regressor(**settings).fit(gram[rows], y[rows])
    mean = X[rows].mean(axis=0)
    plain = regressor(init="span", **settings).fit(X[rows] - mean, y[rows])
    np.testing.assert_allclose(centred.loss_curve_, plain.loss_curve_, rtol=1e-7)  # a product of 0 is the root of its rounding
    expected = plain.predict(X[TEST] - mean)
    for new in (gram[TEST], X[TEST]):
        np.testing.assert_allclose(centred.predict(new), expected, atol=1e-8)
    np.testing.assert_allclose(centred.coefs_[0], plain.coefs_[0], atol=1e-7)
    np.testing.assert_allclose(centred.intercepts_[0], plain.intercepts_[0] - mean @ plain.coefs_[0], atol=1e-6)
    np.testing.assert_allclose(centred.predict(X[TEST]), expected, atol=1e-8)  # by weights that are kept


def test_the_rest_follows(tmp_path):
    """Explanations, files and other libraries' networks."""
    gram = Gram(X, dtype="float64").centred()
    fitted = FrontClassifier((6,), **SETTINGS).fit(gram[TRAIN], Y[TRAIN])
    parts = fitted.explain(X[TEST])
    S = X[TEST] @ fitted.coefs_[0] + fitted.intercepts_[0]
    np.testing.assert_allclose(parts.initial + parts.bias + parts.terms.sum(axis=1), S, atol=1e-9)
    expected = fitted.predict_proba(gram[TEST])
    np.testing.assert_allclose(fitted.to_sklearn().predict_proba(X[TEST]), expected, atol=1e-9)
    path = tmp_path / "model.safetensors"
    fitted.save(path)
    np.testing.assert_allclose(fcfast.load(path).predict_proba(X[TEST]), expected, atol=1e-9)
    fitted.save(path, weights=False)
    np.testing.assert_allclose(fcfast.load(path, X).predict_proba(X[TEST]), expected, atol=1e-9)


def test_kernels_and_combinations():
    """Centring is in the feature space, whatever that is; the double of a Gram is centred, too."""
    gram = Gram(X, kernel="rbf", dtype="float64").centred()
    K = gram.matrix
    np.testing.assert_allclose(K.mean(axis=0), 0, atol=1e-15)
    P = np.eye(N) - 1 / N
    np.testing.assert_allclose(K, P @ Gram(X, kernel="rbf", dtype="float64").matrix @ P, atol=1e-14)
    np.testing.assert_allclose((gram + gram).matrix, 2 * K, atol=1e-14)
    np.testing.assert_allclose((2 * gram).matrix, 2 * K, atol=1e-14)


def test_noprop(tmp_path):
    """All blocks."""
    gram = Gram(X, dtype="float64").centred()
    mean = X[TRAIN].mean(axis=0)
    settings = {"n_blocks": 2, "hidden": (6, 4), "max_epochs": 3, "random_state": 0, "dtype": "float64"}
    fitted = NoPropClassifier(**settings).fit(gram[TRAIN], Y[TRAIN])
    plain = NoPropClassifier(**settings, init="span").fit(X[TRAIN] - mean, Y[TRAIN])
    expected = plain.predict_proba(X[TEST] - mean)
    np.testing.assert_allclose(fitted.predict_proba(gram[TEST]), expected, atol=1e-8)
    np.testing.assert_allclose(fitted.predict_proba(X[TEST]), expected, atol=1e-8)
    fitted.save(tmp_path / "model.safetensors")
    np.testing.assert_allclose(fcfast.load(tmp_path / "model.safetensors").predict_proba(X[TEST]), expected, atol=1e-8)


def test_what_is_refused():
    """Further samples, and weights that are drawn for features."""
    gram = Gram(X, dtype="float64").centred()
    started = FrontClassifier((6,), **SETTINGS).partial_fit(gram[TRAIN], Y[TRAIN], classes=[0, 1, 2])
    with pytest.raises(ValueError, match="centred on those of one fit"):
        started.partial_fit(gram[TEST], Y[TEST])
    with pytest.raises(ValueError, match="init='span'"):
        FrontClassifier((6,), init="glorot", **SETTINGS).fit(gram, Y)
    with pytest.raises(ValueError, match="combined"):
        gram + Gram(X, dtype="float64")
