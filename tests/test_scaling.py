"""A network trained on scaled data, with the scale folded in, is the same network of raw data."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse
from sklearn.base import clone
from sklearn.preprocessing import StandardScaler

from fcfast import FrontClassifier, FrontRegressor, load, scaling
from fcfast.scaling import Scale, by_blocks, fold, measure, scaled


def table(seed, n_samples=30, n_features=7):
    """Columns of very different mean and scale, one of them constant."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n_samples, n_features)) * 10.0 ** rng.integers(-3, 4, n_features) + rng.normal(0, 100, n_features)
    X[:, 0] = 3
    return X


@given(seed=st.integers(0, 1000), blocks=st.booleans())
def test_measure_and_scaled_are_the_standard_scaler(seed, blocks):
    """Of some rows, in blocks or at once, dense and sparse: constant columns have scale 1, sparse ones keep their zeros."""
    X, rows = table(seed), np.arange(3, 30, 2)
    with pytest.MonkeyPatch.context() as patch:
        if blocks:
            patch.setattr(scaling, "BLOCK_BYTES", 7 * 8 * 4)
        expected = StandardScaler().fit(X[rows])
        measured = measure(X, rows)
        np.testing.assert_allclose(measured.mean, expected.mean_, rtol=1e-13)
        np.testing.assert_allclose(measured.scale, expected.scale_, rtol=1e-9)
        np.testing.assert_allclose(scaled(X, rows, measured, "float64"), expected.transform(X[rows]), rtol=1e-9, atol=1e-9)
        sparse_X = sparse.csr_array(np.where(X > 0, X, 0))
        expected = StandardScaler(with_mean=False).fit(sparse_X[rows])
        measured = measure(sparse_X, rows)
        np.testing.assert_allclose(measured.scale, expected.scale_, rtol=1e-9)
        assert not measured.mean.any()
        by_scale = scaled(sparse_X, rows, measured, "float64")
        np.testing.assert_allclose(by_scale.toarray(), expected.transform(sparse_X[rows]).toarray(), rtol=1e-9)


@pytest.mark.parametrize("hidden", [(5,), (6, 4, 3)])
@pytest.mark.parametrize("form", ["contributions", "windowed", "weights"])
def test_folded_classifier(hidden, form):
    """Probabilities on raw data are those on scaled data."""
    X = table(1)
    y = np.arange(30) % 3
    inputs = measure(X, np.arange(30))
    X_scaled = scaled(X, np.arange(30), inputs, "float64")
    fitted = FrontClassifier(hidden, form=form, max_epochs=20, tol=0, dtype="float64", random_state=0).fit(X_scaled, y)
    raw = fold(fitted, inputs)
    np.testing.assert_allclose(raw.predict_proba(X), fitted.predict_proba(X_scaled), rtol=1e-7)
    assert (raw.form_, fitted.form_) == ("weights", form)


@pytest.mark.parametrize("outputs", [None, 1, 2])
def test_folded_regressor(outputs):
    """Predictions on raw data are those on scaled data, in the unit of the targets."""
    X = table(2)
    shape = (30,) if outputs is None else (30, outputs)
    y = 5000 + 100 * np.random.default_rng(3).normal(size=shape)
    inputs, targets = measure(X, np.arange(30)), measure(y.reshape(30, -1), np.arange(30))
    X_scaled = scaled(X, np.arange(30), inputs, "float64")
    y_scaled = ((y.reshape(30, -1) - targets.mean) / targets.scale).reshape(shape)
    fitted = FrontRegressor((5,), max_epochs=20, tol=0, dtype="float64", random_state=0).fit(X_scaled, y_scaled)
    expected = (fitted.predict(X_scaled).reshape(30, -1) * targets.scale + targets.mean).reshape(shape)
    before = fitted.coefs_[0].copy()
    predicted = fold(fitted, inputs, targets).predict(X)
    assert predicted.shape == shape
    np.testing.assert_allclose(predicted, expected, rtol=1e-9)
    np.testing.assert_array_equal(fitted.coefs_[0], before)  # the original is left as it is


def test_large_offset_keeps_its_digits():
    """A mean a million times the scale: the raw network, in double precision, says the same as the float32 one."""
    X = 1e6 + np.random.default_rng(0).normal(size=(40, 50))
    rows, y = np.arange(40), np.arange(40) % 2
    X_scaled = scaled(X, rows, measure(X, rows), "float32")
    fitted = FrontClassifier((8,), max_epochs=20, tol=0, random_state=0).fit(X_scaled, y)
    raw = fold(fitted, measure(X, rows))
    np.testing.assert_allclose(raw.predict_proba(X), fitted.predict_proba(X_scaled), rtol=1e-4)


def test_folded_sparse():
    """Sparse data is scaled without being centred, and predicted on without becoming dense."""
    X = sparse.random(40, 200, density=0.1, random_state=np.random.default_rng(0), format="csr") * 50
    rows, y = np.arange(40), np.arange(40) % 2
    inputs = measure(X, rows)
    X_scaled = scaled(X, rows, inputs, "float64")
    fitted = FrontClassifier((8,), max_epochs=20, tol=0, dtype="float64", random_state=0).fit(X_scaled, y)
    np.testing.assert_allclose(fold(fitted, inputs).predict_proba(X), fitted.predict_proba(X_scaled), rtol=1e-9)


def test_partial_fit_goes_on_from_a_folded_network():
    """With the optimiser of the parameters, and without a change to the network that was folded."""
    X, y = table(4), np.arange(30) % 2
    fitted = FrontClassifier((4,), max_epochs=3, optimizer="neuron-adam", dtype="float64", random_state=0).fit(X, y)
    before, losses = fitted.predict_proba(X), list(fitted.loss_curve_)
    expected = clone(fitted).set_params(max_epochs=1, form="windowed")
    expected.fit(X, y, coefs_init=fitted.coefs_, intercepts_init=fitted.intercepts_)
    raw = fold(fitted, None).partial_fit(X, y)
    np.testing.assert_allclose(raw.predict_proba(X), expected.predict_proba(X), rtol=1e-9)
    np.testing.assert_array_equal(fitted.predict_proba(X), before)
    assert fitted.loss_curve_ == losses
    assert raw.n_epochs_ == len(losses) + 1


def test_folded_is_saved_whole(tmp_path):
    """A model file of it predicts the same bits."""
    X, y = table(4), np.arange(30) % 2
    inputs = measure(X, np.arange(30))
    raw = fold(
        FrontClassifier((4,), max_epochs=3, tol=0, random_state=0).fit(scaled(X, np.arange(30), inputs, "f4"), y), inputs
    )
    raw.save(tmp_path / "m.safetensors")
    loaded = load(tmp_path / "m.safetensors")
    np.testing.assert_array_equal(loaded.predict_proba(X), raw.predict_proba(X))
    assert loaded.coefs_[0].dtype == np.float64


def test_nothing_to_fold():
    """Without a scale it is the same network, in its own precision."""
    X, y = table(5) / 1e4, np.arange(30) % 2
    fitted = FrontClassifier((4,), max_epochs=3, tol=0, dtype="float64", random_state=0).fit(X, y)
    np.testing.assert_allclose(fold(fitted, None).predict_proba(X), fitted.predict_proba(X), rtol=1e-12)
    single = FrontClassifier((4,), max_epochs=3, tol=0, random_state=0).fit(X, y)
    assert fold(single, None).coefs_[0].dtype == np.float32


def test_nothing_to_scale():
    """Consecutive rows of numbers stay where they are; others, and integers, are copied in the wanted dtype."""
    X = table(6)
    assert np.shares_memory(scaled(X, np.arange(3, 20), None, "float32"), X)
    np.testing.assert_array_equal(scaled(X, np.array([4, 2]), None, "float64"), X[[4, 2]])
    counts = np.arange(20, dtype=np.uint8).reshape(4, 5)
    copied = scaled(counts, np.arange(1, 3), None, "float32")
    assert copied.dtype == np.float32
    np.testing.assert_array_equal(copied, counts[1:3])
    sparse_counts = scaled(sparse.csr_array(counts), np.arange(1, 3), None, "float32")
    np.testing.assert_array_equal(sparse_counts.toarray(), counts[1:3])
    assert sparse_counts.dtype == np.float32


@pytest.mark.parametrize("convert", [np.asarray, sparse.csr_array])
@pytest.mark.parametrize("huge", [1e160, 1e200, 1e307])
def test_too_large_to_scale(convert, huge):
    """The first column whose variance overflows is named; without scaling, overflow of the dtype is told."""
    X = table(7)
    X[:, 2] *= huge / np.abs(X[:, 2]).max()
    X, rows = convert(X), np.arange(30)
    with pytest.raises(ValueError, match=r"the features: column 2 .* too large to be scaled"):
        measure(X, rows, "the features")
    with pytest.raises(ValueError, match="X has values too large for float32"):
        scaled(X, rows[::-1], None, "float32")


def test_rows_in_blocks(monkeypatch):
    """Blocks come back in order; rows that follow one another are not copied."""
    X = np.arange(24.0).reshape(8, 3)
    monkeypatch.setattr(scaling, "BLOCK_BYTES", 2 * 3 * 8)
    rows = np.array([7, 1, 2, 5, 3])
    np.testing.assert_array_equal(by_blocks(lambda part: part[:, 0], X, rows), X[rows, 0])
    assert np.shares_memory(scaling.take(X, np.array([2, 3, 4])), X)
    assert Scale(np.zeros(1), np.ones(1)).scale == 1
