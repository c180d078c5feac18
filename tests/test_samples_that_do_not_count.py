"""Samples of weight 0 do not change a start in the span of the others, and equal samples get advice that is no rate."""

import warnings
from typing import Any

import numpy as np
import pytest
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning

from fcfast import FrontClassifier, FrontRegressor, Gram, NoPropClassifier
from fcfast.gram.start import SpanStart
from fcfast.sources import ArraySource

EXACT: dict[str, Any] = {"dtype": "float64", "random_state": 0}


def wide(n: int = 24, d: int = 60) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.normal(size=(n, d)), np.arange(n) % 2, np.where(np.arange(n) % 3 == 1, 0.0, 1.0 + np.arange(n))


@pytest.mark.parametrize("form", ["contributions", "windowed", "weights"])
@pytest.mark.parametrize("kind", [FrontClassifier, FrontRegressor])
def test_a_start_in_the_span_of_samples_that_count(kind, form):
    X, y, weights = wide()
    others = np.where(weights[:, None] > 0, X, 1e3 * X[::-1])
    models = [kind(form=form, max_epochs=3, **EXACT).fit(samples, y, weights) for samples in (X, others)]
    assert models[0].settings_["init"] == "span"
    for a, b in zip(models[0].coefs_, models[1].coefs_, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)


def test_the_start_is_that_without_them():
    """The steps differ, because they are means over a batch that holds these samples, too; a frozen layer shows the start."""
    X, y, weights = wide()
    frozen = {"learning_rate": (0.0, 0.01), "hidden_layer_sizes": (5,), "init": "span", "batch_size": 100, **EXACT}
    model = FrontClassifier(max_epochs=1, **frozen).fit(X, y, weights)
    alone = FrontClassifier(max_epochs=1, **frozen).fit(X[weights > 0], y[weights > 0], weights[weights > 0])
    np.testing.assert_allclose(model.coefs_[0], alone.coefs_[0], rtol=1e-9, atol=1e-12)


def test_noprop_starts_in_the_span_of_samples_that_count():
    X, y, weights = wide()
    others = np.where(weights[:, None] > 0, X, 3 * X[::-1])
    models = [
        NoPropClassifier(init="span", standardize=False, max_epochs=2, **EXACT).fit(samples, y, weights)
        for samples in (X, others)
    ]
    new = X[weights > 0]
    np.testing.assert_allclose(models[0].predict_proba(new), models[1].predict_proba(new), rtol=1e-7)


def test_products_of_a_start_of_some_samples():
    X = wide()[0]
    counted = np.arange(len(X)) % 3 > 0
    S0, A0 = SpanStart(4, 60, 0, 0.5, counted).draw(X @ X.T)
    expected = SpanStart(4, 60, 0, 0.5).draw(X[counted] @ X[counted].T)
    np.testing.assert_allclose(S0[counted], expected[0])
    assert not A0[~counted].any()
    np.testing.assert_allclose(X @ X.T @ A0, S0, atol=1e-9)


@pytest.mark.parametrize("make", [np.asarray, sparse.csr_array, ArraySource, Gram])
@pytest.mark.parametrize("kind", [FrontClassifier, NoPropClassifier])
def test_equal_samples_get_advice_that_is_no_rate(kind, make):
    X, y = np.tile(np.arange(8.0) + 1, (40, 1)).astype("float32"), np.arange(40) % 2
    X[:, 3] = 0
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ConvergenceWarning)
        kind(max_epochs=30, random_state=0).fit(make(X), y)
    messages = [str(warning.message) for warning in caught]
    assert kind is NoPropClassifier or messages
    for message in messages:
        assert "all samples are equal" in message
        assert "learning_rate" not in message
    X[5, 3] = 1.0
    with pytest.warns(ConvergenceWarning, match="learning_rate"):
        FrontClassifier(max_epochs=30, learning_rate=1e-30, standardize=False, random_state=0).fit(X, y)
