"""A network trained on scaled data predicts the same from raw data when the scale is stored with it."""

import copy
import pickle

import numpy as np
import pytest
from classic import FrontClassifier, FrontRegressor
from hypothesis import given
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.numpy import load_file
from scipy import sparse
from sklearn.base import clone
from sklearn.preprocessing import StandardScaler

from fcfast import load, scaling
from fcfast.losses import softmax
from fcfast.scaling import Scale, Scaling, by_blocks, measure, of_raw_data, scaled


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


def trained(kind=FrontClassifier, offset=None, dtype="float32", y=None, **settings):
    """Raw data, a network that was trained on them scaled, their scaled version, and how they were scaled."""
    X = table(1) if offset is None else offset + np.random.default_rng(0).normal(size=(30, 7))
    y = np.arange(30) % 3 if y is None else y
    rows = np.arange(30)
    inputs = measure(X, rows)
    X_scaled = scaled(X, rows, inputs, dtype)
    settings = {"hidden_layer_sizes": (5, 4), "form": "weights", "max_epochs": 20, "tol": 0, "random_state": 0} | settings
    return X, X_scaled, kind(dtype=dtype, **settings).fit(X_scaled, y), inputs


def outputs_by_hand(model, X):
    """The network of raw data that `coefs_` and `intercepts_` are, in double precision."""
    *hidden, last = zip(model.coefs_, model.intercepts_, strict=True)
    for coef, intercept in hidden:
        X = np.maximum(X @ coef + intercept, 0)
    return X @ last[0] + last[1]


@pytest.mark.parametrize("offset", [None, 1e3, 1e6, 1e9])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("form", ["contributions", "windowed", "weights"])
def test_predicts_as_on_scaled_data(form, dtype, offset):
    """To the last bit, however large the mean beside the scale: the same network in the same precision."""
    X, X_scaled, fitted, inputs = trained(offset=offset, dtype=dtype, form=form)
    expected = fitted.predict_proba(X_scaled)
    before = [coef.copy() for coef in fitted.coefs_]
    raw = of_raw_data(fitted, inputs)
    assert raw.network_.dtype == dtype
    if form == "contributions":  # its products are summed in another order
        np.testing.assert_allclose(raw.predict_proba(X), expected, rtol=1e-4 if dtype == "float32" else 1e-12)
    else:
        np.testing.assert_array_equal(raw.predict_proba(X), expected)
    assert (raw.form_, fitted.form_) == ("weights", form)
    for coef, kept in zip(fitted.coefs_, before, strict=True):  # the original is left as it is
        np.testing.assert_array_equal(coef, kept)


@pytest.mark.parametrize("outputs", [None, 1, 2])
def test_regressor_in_the_unit_of_its_targets(outputs):
    """Predictions on raw data are those on scaled data, in double precision."""
    y = 5000 + 100 * np.random.default_rng(3).normal(size=(30,) if outputs is None else (30, outputs))
    targets = measure(y.reshape(30, -1), np.arange(30))
    y_scaled = ((y.reshape(30, -1) - targets.mean) / targets.scale).reshape(y.shape)
    np.testing.assert_array_equal(Scaling(None, targets).scaled_targets(y), y_scaled)
    X, X_scaled, fitted, inputs = trained(FrontRegressor, y=y_scaled)
    raw = of_raw_data(fitted, inputs, targets)
    expected = (fitted.predict(X_scaled).reshape(30, -1) * targets.scale + targets.mean).reshape(y.shape)
    assert raw.predict(X).shape == y.shape
    np.testing.assert_array_equal(raw.predict(X), expected)
    np.testing.assert_allclose(outputs_by_hand(raw, X).reshape(y.shape), expected, rtol=1e-6)
    only_targets = of_raw_data(fitted, None, targets)
    np.testing.assert_array_equal(only_targets.predict(X_scaled), expected)


def test_coefs_are_those_of_raw_data():
    """In double precision, for whoever takes them elsewhere."""
    X, X_scaled, fitted, inputs = trained(dtype="float64")
    raw = of_raw_data(fitted, inputs)
    np.testing.assert_allclose(softmax(outputs_by_hand(raw, X)), fitted.predict_proba(X_scaled), rtol=1e-9)
    np.testing.assert_allclose(raw.to_sklearn().predict_proba(X), fitted.predict_proba(X_scaled), rtol=1e-9)
    single = of_raw_data(trained()[2], inputs)
    assert {array.dtype for array in (*single.coefs_, *single.intercepts_)} == {np.dtype(np.float64)}
    with pytest.raises(ValueError, match="read-only"):
        single.coefs_[0][0] = 0


def test_whole_numbers_keep_their_digits():
    """Integers are not made single before their mean is taken from them; single-precision input is what it is."""
    X = 2**30 + np.random.default_rng(0).integers(0, 100, size=(30, 7))
    rows = np.arange(30)
    inputs = measure(X, rows)
    X_scaled = scaled(X, rows, inputs, "float32")
    fitted = FrontClassifier((5,), form="weights", max_epochs=5, tol=0, random_state=0).fit(X_scaled, rows % 2)
    raw = of_raw_data(fitted, inputs)
    np.testing.assert_array_equal(raw.predict_proba(X), fitted.predict_proba(X_scaled))
    np.testing.assert_array_equal(raw.predict_proba(X.astype("f8")), raw.predict_proba(X))
    assert np.abs(raw.predict_proba(X.astype("f4")) - raw.predict_proba(X)).max() > 1e-4


def test_sparse():
    """Sparse data is scaled without being centred, and predicted on without becoming dense."""
    X = sparse.random(40, 200, density=0.1, random_state=np.random.default_rng(0), format="csr") * 50
    rows, y = np.arange(40), np.arange(40) % 2
    inputs = measure(X, rows)
    X_scaled = scaled(X, rows, inputs, "float64")
    fitted = FrontClassifier((8,), max_epochs=20, tol=0, dtype="float64", random_state=0).fit(X_scaled, y)
    raw = of_raw_data(fitted, inputs)
    np.testing.assert_allclose(raw.predict_proba(X), fitted.predict_proba(X_scaled), rtol=1e-9)
    np.testing.assert_allclose(raw.predict_proba(X.toarray()), fitted.predict_proba(X_scaled), rtol=1e-9)


def test_sparse_data_for_a_centred_network():
    """The mean is taken from zeros too."""
    X, _, fitted, inputs = trained()
    X = np.where(X > 0, X, 0)
    raw = of_raw_data(fitted, inputs)
    np.testing.assert_array_equal(raw.predict_proba(sparse.csr_array(X)), raw.predict_proba(X))


@pytest.mark.parametrize("form", ["weights", "contributions"])
@pytest.mark.parametrize("method", ["partial_fit", "warm start"])
def test_training_goes_on_with_scaled_data(method, form, tmp_path):
    """New samples are scaled in the same way; a fit from the start takes them as they are."""
    y = 5000 + 100 * np.random.default_rng(3).normal(size=30)
    targets = measure(y[:, None], np.arange(30))
    y_scaled = Scaling(None, targets).scaled_targets(y)
    X, X_scaled, fitted, inputs = trained(FrontRegressor, y=y_scaled, dtype="float64", form=form, max_epochs=3)
    raw = of_raw_data(fitted, inputs, targets)
    if method == "partial_fit":
        # A network that is only to predict goes on with a new optimiser, as one from a file
        expected = of_raw_data(fitted, None).partial_fit(X_scaled, y_scaled)
        raw.partial_fit(X, y)
    else:
        expected = of_raw_data(fitted, None).set_params(warm_start=True).fit(X_scaled, y_scaled)
        raw.set_params(warm_start=True).fit(X, y)
    assert raw.form_ == form
    np.testing.assert_allclose(raw.loss_curve_, expected.loss_curve_, rtol=1e-9)
    wanted = expected.predict(X_scaled) * targets.scale + targets.mean
    np.testing.assert_allclose(raw.predict(X), wanted, rtol=1e-9)
    np.testing.assert_allclose(outputs_by_hand(raw, X)[:, 0], wanted, rtol=1e-6)
    if form == "contributions":
        np.testing.assert_allclose(raw.explain(X).preactivations, expected.explain(X_scaled).preactivations, rtol=1e-9)
        raw.save(tmp_path / "m.safetensors", weights=False)
        np.testing.assert_array_equal(load(tmp_path / "m.safetensors", X[::-1]).predict(X), raw.predict(X))
    anew = clone(raw).set_params(warm_start=False).fit(X_scaled, y_scaled)
    np.testing.assert_array_equal(
        raw.set_params(warm_start=False).fit(X_scaled, y_scaled).predict(X_scaled), anew.predict(X_scaled)
    )


@pytest.mark.parametrize("form", ["weights", "windowed", "contributions"])
def test_training_the_original_further(form):
    """Changes that one only."""
    X, X_scaled, fitted, inputs = trained(form=form, max_epochs=3)
    raw = of_raw_data(fitted, inputs)
    expected = raw.predict_proba(X)
    before = fitted.predict_proba(X_scaled)
    fitted.partial_fit(X_scaled, np.arange(30) % 3)
    np.testing.assert_array_equal(raw.predict_proba(X), expected)
    assert np.abs(fitted.predict_proba(X_scaled) - before).max() > 1e-3

    """An estimator that takes raw data cannot be wrapped again."""
    """An estimator of raw data is not to be made one again."""
    _, _, fitted, inputs = trained()
    with pytest.raises(ValueError, match="already takes raw data"):
        of_raw_data(of_raw_data(fitted, inputs), inputs)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
def test_copies_scale_too(copied):
    """Pickles and copies predict the same."""
    X, _, fitted, inputs = trained()
    raw = of_raw_data(fitted, inputs)
    np.testing.assert_array_equal(copied(raw).predict_proba(X), raw.predict_proba(X))


def test_partial_fit_goes_on_from_a_folded_network():
    """With the optimiser of the parameters, and without a change to the network that was folded."""
    X, y = table(4), np.arange(30) % 2
    fitted = FrontClassifier((4,), max_epochs=3, optimizer="neuron-adam", dtype="float64", random_state=0).fit(X, y)
    before, losses = fitted.predict_proba(X), list(fitted.loss_curve_)
    expected = clone(fitted).set_params(max_epochs=1, form="windowed")
    expected.fit(X, y, coefs_init=fitted.coefs_, intercepts_init=fitted.intercepts_)
    raw = of_raw_data(fitted, None).partial_fit(X, y)
    np.testing.assert_allclose(raw.predict_proba(X), expected.predict_proba(X), rtol=1e-9)
    np.testing.assert_array_equal(fitted.predict_proba(X), before)
    assert fitted.loss_curve_ == losses
    assert raw.n_epochs_ == len(losses) + 1


@pytest.mark.bits
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_model_file(dtype, tmp_path):
    """It predicts the same bits, in the precision of the network, and says the same when it is saved again."""
    y = 5000 + 100 * np.random.default_rng(3).normal(size=(30, 2))
    targets = measure(y, np.arange(30))
    X, _, fitted, inputs = trained(FrontRegressor, y=Scaling(None, targets).scaled_targets(y), dtype=dtype)
    path = tmp_path / "m.safetensors"
    for scales in ((inputs, targets), (inputs, None), (None, targets)):
        raw = of_raw_data(fitted, *scales)
        raw.save(path)
        tensors = load_file(path)
        assert tensors["layers.0.weights"].dtype == dtype
        loaded = load(path)
        np.testing.assert_array_equal(loaded.predict(X), raw.predict(X))
        loaded.save(path)
        again = load_file(path)
        assert again.keys() == tensors.keys()
        for name, tensor in tensors.items():
            np.testing.assert_array_equal(again[name], tensor)


def test_a_file_has_the_lowest_version_that_will_do(tmp_path):
    """Without a scaling, and without a card, it is one that older versions of the library read."""
    _, _, fitted, inputs = trained()
    versions = []
    for model in (fitted, of_raw_data(fitted, None), of_raw_data(fitted, inputs)):
        model.card_ = None
        model.save(tmp_path / "m.safetensors")
        with safe_open(tmp_path / "m.safetensors", "numpy") as file:
            metadata = file.metadata()
        versions.append(metadata["version"])
        assert ("scaled" in metadata["model"]) == (metadata["version"] == "2")
    assert versions == ["1", "1", "2"]


def test_nothing_to_fold():
    """Without a scale it is the same network, in its own precision."""
    X, y = table(5) / 1e4, np.arange(30) % 2
    fitted = FrontClassifier((4,), max_epochs=3, tol=0, dtype="float64", random_state=0).fit(X, y)
    np.testing.assert_allclose(of_raw_data(fitted, None).predict_proba(X), fitted.predict_proba(X), rtol=1e-12)
    single = FrontClassifier((4,), max_epochs=3, tol=0, random_state=0).fit(X, y)
    assert of_raw_data(single, None).coefs_[0].dtype == np.float32


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


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("convert", [np.asarray, sparse.csr_array])
def test_what_is_not_finite_is_refused(convert, value):
    """Nobody has to look at the values before: scaling does."""
    X, rows = table(7), np.arange(30)
    by = measure(convert(X), rows)
    X[4, 2] = value
    X = convert(X)
    for scale in (by, None):
        with pytest.raises(ValueError, match=r"X .*infinity"):
            scaled(X, rows[::-1], scale, "float32")
    with pytest.raises(ValueError, match="infinity"):
        scaled(X, rows, measure(X, rows), "float32")


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
