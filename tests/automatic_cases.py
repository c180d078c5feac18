"""Samples and comparisons for the tests of the estimators' own choices."""

import numpy as np
import pytest

from fcfast import FrontClassifier, FrontRegressor

FORMS = ("weights", "windowed", "contributions")
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
