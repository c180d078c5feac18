"""Explanations of an output by training sample: the parts add up to the output, and each belongs to its training sample."""

import numpy as np
import pytest
from classic import FrontClassifier, FrontRegressor
from hypothesis import given
from hypothesis import strategies as st

from fcfast.explain import explain_output

ACTIVATIONS = ("relu", "leaky_relu", "identity", "tanh", "logistic")


def fitted(activation, hidden=(6,), kind=FrontClassifier, seed=0, n_outputs=3, **settings):
    """A network of 12 wide training samples, with new samples to explain."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(12, 40))
    y = np.arange(12) % n_outputs if kind is FrontClassifier else rng.normal(size=(12, n_outputs))
    settings = {"max_epochs": 15, "tol": 0, "form": "contributions", "dtype": "float64", "random_state": seed} | settings
    return kind(hidden, activation, **settings).fit(X, y), rng.normal(size=(4, 40))


def slope(S, activation):
    """The slope of the straight line from 0 to each unit's state."""
    if activation in ("relu", "leaky_relu"):
        return np.where(S > 0, 1, 0 if activation == "relu" else 0.01)
    return {"identity": np.ones_like(S), "tanh": np.tanh(S) / S, "logistic": (1 / (1 + np.exp(-S)) - 0.5) / S}[activation]


@given(
    activation=st.sampled_from(ACTIVATIONS),
    hidden=st.sampled_from([(6,), (5, 4), (5, 4, 3)]),
    weight_decay=st.sampled_from([0.0, 0.1]),
    seed=st.integers(0, 100),
)
def test_parts_add_up_to_the_output(activation, hidden, weight_decay, seed):
    """Without remainder, and the rest is the biases alone: recomputed layer by layer."""
    classifier, X = fitted(activation, hidden, seed=seed, weight_decay=weight_decay)
    parts = explain_output(classifier, X)
    coefs, biases = classifier.coefs_, classifier.intercepts_
    at_zero = 0.5 if activation == "logistic" else 0.0
    preactivations, offset = X @ coefs[0] + biases[0], np.tile(biases[0], (4, 1))
    linear = X @ coefs[0]  # what the front layer's weights give, carried through the lines
    for coef, bias in zip(coefs[1:], biases[1:], strict=True):
        k = slope(preactivations, activation)
        offset = (k * offset + at_zero) @ coef + bias
        linear = (k * linear) @ coef
        preactivations = linear + offset
    np.testing.assert_array_equal(parts.chosen, preactivations.argmax(axis=1))
    picked = np.arange(4), parts.chosen
    np.testing.assert_allclose(parts.outputs, preactivations[picked], rtol=1e-9)
    np.testing.assert_allclose(parts.rest, offset[picked], rtol=1e-7, atol=1e-10)
    np.testing.assert_allclose(parts.initial + parts.terms.sum(axis=1), linear[picked], rtol=1e-7, atol=1e-10)


def test_relu_terms_by_hand():
    """One hidden layer of ReLU: each term is <x_i, x> sum_j w_j active_j A_ij."""
    regressor, X = fitted("relu", kind=FrontRegressor)
    parts = explain_output(regressor, X, 2)
    coefs, biases = regressor.coefs_, regressor.intercepts_
    weights = (X @ coefs[0] + biases[0] > 0) * coefs[1][:, 2]
    gram = X @ np.random.default_rng(0).normal(size=(12, 40)).T
    np.testing.assert_allclose(parts.terms, gram * (weights @ regressor.contributions_.T), rtol=1e-9)
    np.testing.assert_allclose(parts.outputs, regressor.predict(X)[:, 2], rtol=1e-9)
    np.testing.assert_allclose(parts.rest, weights @ biases[0] + biases[1][2], rtol=1e-8)


def test_units_at_zero():
    """A unit whose state is exactly 0 has the slope of its activation there."""
    for activation, expected in (("tanh", 1.0), ("logistic", 0.25)):
        regressor, _ = fitted(activation, kind=FrontRegressor, n_outputs=1)
        regressor.network_.biases[0][:] = 0
        parts = explain_output(regressor, np.zeros((1, 40)))
        assert np.isfinite(parts.rest).all()
        tiny = np.full((1, 40), 1e-9)
        preactivations = tiny @ regressor.coefs_[0]
        from_front = explain_output(regressor, tiny)
        np.testing.assert_allclose(
            from_front.initial + from_front.terms.sum(axis=1), expected * preactivations @ regressor.coefs_[1][:, 0], rtol=1e-6
        )


def test_which_output():
    """One for all samples, or one for each; the default is the predicted class."""
    classifier, X = fitted("relu")
    each = explain_output(classifier, X, [0, 1, 2, 0])
    np.testing.assert_array_equal(each.outputs[1], explain_output(classifier, X, 1).outputs[1])
    assert each.terms.shape == (4, 12)
    np.testing.assert_array_equal(classifier.classes_[explain_output(classifier, X).chosen], classifier.predict(X))


@pytest.mark.parametrize("chosen", [3, -1, [0, 1], 0.5])
def test_no_such_output(chosen):
    """The message names the argument."""
    classifier, X = fitted("relu")
    with pytest.raises(ValueError, match="chosen must be"):
        explain_output(classifier, X, chosen)


def test_other_forms_have_no_terms():
    """As for `explain`."""
    classifier, X = fitted("relu", form="windowed")
    with pytest.raises(AttributeError, match="contributions"):
        explain_output(classifier, X)
