"""Reproducibility to the bit: the same call on the same arrays, with any n_jobs, across copies, pickles and model files."""

import pickle
from copy import deepcopy
from typing import Any

import numpy as np
import pytest
from classic import FrontClassifier, FrontRegressor
from scipy import sparse
from threadpoolctl import threadpool_limits

import fcfast
from fcfast import NoPropClassifier
from fcfast.front import contributed

pytestmark = pytest.mark.bits

FORMS = ("weights", "contributions", "windowed")
# below and above the sizes at which products are tiled, and BLAS has other routines
SHAPES = {"small": (30, 300, 16), "large": (150, 1100, 70)}


def front(estimator: type, **settings: Any) -> Any:
    return lambda form, dtype, h, n_jobs: estimator(
        (h, 8), form=form, dtype=dtype, batch_size=8, max_epochs=3, tol=0, random_state=0, n_jobs=n_jobs, **settings
    )


def noprop(variant: str) -> Any:
    steps = {} if variant == "dt" else {"n_steps": 3}
    return lambda form, dtype, h, n_jobs: NoPropClassifier(
        variant, n_blocks=3, hidden=(h, 8), form=form, dtype=dtype, batch_size=8, max_epochs=2, random_state=0, n_jobs=n_jobs,
        **steps,
    )  # fmt: skip


ESTIMATORS = {
    "classifier": front(FrontClassifier),
    "regressor": front(FrontRegressor),
    "neuron-adam": front(FrontClassifier, optimizer="neuron-adam", learning_rate=0.001),
    "noprop dt": noprop("dt"),
    "noprop ct": noprop("ct"),
    "noprop fm": noprop("fm"),
}


def inputs(size: str, dtype: str) -> tuple[np.ndarray, np.ndarray, int]:
    n_samples, n_features, n_hidden = SHAPES[size]
    X = np.random.default_rng(0).standard_normal((n_samples, n_features)).astype(dtype)
    return X, np.arange(n_samples) % 3, n_hidden


def predicted(estimator: Any, X: Any) -> np.ndarray:
    predict = estimator.predict if isinstance(estimator, fcfast.FrontRegressor) else estimator.predict_proba
    return predict(X)


@pytest.fixture(params=ESTIMATORS)
def make(request):
    """Give a function that makes an estimator."""
    return ESTIMATORS[request.param]


@pytest.mark.parametrize("size", SHAPES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("form", FORMS)
def test_predictions_keep_their_bits(make, form, dtype, size, tmp_path):
    """For the training array itself and copies in any memory order; from pickles, copies, files; after coefs_ are read."""
    X, y, n_hidden = inputs(size, dtype)
    fitted = make(form, dtype, n_hidden, None).fit(X, y)
    expected = predicted(fitted, X)
    few = predicted(fitted, X[:7])
    for same in (X.copy(), np.asfortranarray(X), np.repeat(X, 2, axis=1)[:, ::2]):
        np.testing.assert_array_equal(predicted(fitted, same), expected)
    path = tmp_path / "model.safetensors"
    fitted.save(path)
    others = [pickle.loads(pickle.dumps(fitted)), deepcopy(fitted), fcfast.load(path)]
    if form == "contributions" and not isinstance(fitted, NoPropClassifier):
        fitted.save(path, weights=False)
        others.append(fcfast.load(path, X))
    for other in others:
        np.testing.assert_array_equal(predicted(other, X), expected)
        np.testing.assert_array_equal(predicted(other, X[:7].copy()), few)
    if not isinstance(fitted, NoPropClassifier):
        _ = fitted.coefs_
    np.testing.assert_array_equal(predicted(fitted, X), expected)


@pytest.mark.parametrize("size", SHAPES)
@pytest.mark.parametrize("form", FORMS)
def test_training_keeps_its_bits(make, form, size):
    """With any n_jobs, and whatever the memory order of X."""
    X, y, n_hidden = inputs(size, "float32")
    expected = predicted(make(form, "float32", n_hidden, 1).fit(X, y), X)
    for n_jobs, same in ((2, X), (None, X), (1, np.asfortranarray(X)), (1, np.repeat(X, 2, axis=1)[:, ::2])):
        np.testing.assert_array_equal(predicted(make(form, "float32", n_hidden, n_jobs).fit(same, y), X), expected)


@pytest.mark.parametrize("size", SHAPES)
@pytest.mark.parametrize("make", [ESTIMATORS["classifier"], ESTIMATORS["noprop dt"]], ids=["classifier", "noprop dt"])
@pytest.mark.parametrize("container", [np.asarray, np.asfortranarray, sparse.csr_array])
@pytest.mark.parametrize("kept_bytes", [0, contributed.KEPT_BYTES])
def test_both_ways_of_predicting(kept_bytes, container, make, size, monkeypatch, tmp_path):
    """Contributions predict through weights or, where those are too large to keep, by products with the training samples."""
    monkeypatch.setattr(contributed, "KEPT_BYTES", kept_bytes)
    X, y, n_hidden = inputs(size, "float32")
    X = container(np.where(np.abs(X) > 1, X, 0))
    fitted = make("contributions", "float32", n_hidden, None).fit(X, y)
    expected = predicted(fitted, X)
    np.testing.assert_array_equal(predicted(fitted, X.copy()), expected)
    for other in (pickle.loads(pickle.dumps(fitted)), deepcopy(fitted)):
        np.testing.assert_array_equal(predicted(other, X), expected)
    if isinstance(fitted, fcfast.FrontClassifier):
        fitted.save(tmp_path / "model.safetensors", weights=False)
        np.testing.assert_array_equal(predicted(fcfast.load(tmp_path / "model.safetensors", X), X), expected)
        _ = fitted.coefs_
        np.testing.assert_array_equal(predicted(fitted, X), expected)


@pytest.mark.parametrize("optimizer", ["sgd", "muon"])
@pytest.mark.parametrize("form", FORMS)
def test_training_goes_on_from_a_copy_with_the_same_bits(form, optimizer):
    """partial_fit on a pickle or a deep copy is partial_fit on the original."""
    X, y, n_hidden = inputs("large", "float32")
    fitted = FrontClassifier((n_hidden,), form=form, optimizer=optimizer, batch_size=8, random_state=0)
    fitted.partial_fit(X[:100], y[:100], classes=[0, 1, 2])
    copies = [fitted, pickle.loads(pickle.dumps(fitted)), deepcopy(fitted)]
    for copy in copies:
        copy.partial_fit(X[100:], y[100:])
    for copy in copies[1:]:
        np.testing.assert_array_equal(predicted(copy, X), predicted(fitted, X))


@pytest.mark.parametrize("form", FORMS)
def test_threads_of_blas_change_no_prediction(make, form, monkeypatch):
    """Workers of joblib give BLAS one thread: a pickle predicts the same there, through weights and without."""
    X, y, n_hidden = np.random.default_rng(0).standard_normal((150, 2000)).astype("f4"), np.arange(150) % 3, 128
    with threadpool_limits(1, "blas"):
        fitted = make(form, "float32", n_hidden, 2).fit(X, y)
    for kept_bytes in (contributed.KEPT_BYTES, 0):
        monkeypatch.setattr(contributed, "KEPT_BYTES", kept_bytes)
        predictions = []
        for n_threads in (1, 2):
            with threadpool_limits(n_threads, "blas"):
                copy = pickle.loads(pickle.dumps(fitted))
                predictions += [predicted(copy, X), predicted(copy, X[:20])]
        np.testing.assert_array_equal(predictions[0], predictions[2])
        np.testing.assert_array_equal(predictions[1], predictions[3])


def test_training_on_a_gram_matrix_is_the_same_in_workers():
    """The Gram matrix, the initial pre-activations and ordinary steps use one BLAS thread each, wherever they are made."""
    X, y, n_hidden = np.random.default_rng(0).standard_normal((150, 5000)).astype("f4"), np.arange(150) % 3, 64
    fitted = []
    for n_threads in (1, 2):
        with threadpool_limits(n_threads, "blas"):
            fitted.append(ESTIMATORS["classifier"]("contributions", "float32", n_hidden, 2).fit(X, y))
    np.testing.assert_array_equal(*(classifier.contributions_ for classifier in fitted))


def test_kept_weights_are_not_pickled(make):
    """A pickle is as large after predictions as before: the weights are made again."""
    X, y, n_hidden = inputs("small", "float32")
    fitted = make("contributions", "float32", n_hidden, None).fit(X, y)
    size = len(pickle.dumps(fitted))
    predicted(fitted, X)
    assert len(pickle.dumps(fitted)) == size
