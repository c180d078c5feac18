"""Model files of networks in the span of their training samples, with and without weights."""

import numpy as np
import pytest
from classic import SpanClassifier as FrontClassifier
from classic import SpanRegressor as FrontRegressor
from scipy import sparse

import fcfast
from fcfast import Gram, ModelFileError
from fcfast.kernels import RBF, Kernel

N, D = 40, 120
RNG = np.random.default_rng(0)
X = RNG.normal(2, 1, size=(N, D)).astype("f4")
Y = np.arange(N) % 2
X[Y == 1, :20] += 1
NEW = X[:7] + RNG.normal(size=(7, D)).astype("f4") / 4


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.safetensors"


def fitted(X=X, **settings):
    return FrontClassifier((8,), max_epochs=4, tol=0, random_state=0, weight_decay=0.01, **settings).fit(X, Y)


@pytest.mark.parametrize("settings", [
    {"init": "span"}, {"kernel": "rbf"}, {"kernel": "poly", "degree": 2, "gamma": 0.1}, {"kernel": RBF(0.01)},
    {"kernel": "arc-cosine", "standardize": True}, {"kernel": "rbf", "dtype": "float64", "missing": "mean"},
    {"kernel": "cosine", "early_stopping": True},
], ids=str)  # fmt: skip
@pytest.mark.parametrize("inputs", [False, True])
def test_predictions_are_the_same(path, settings, inputs):
    """To the last bit, with training inputs that are given or stored."""
    model = fitted(**settings)
    model.save(path, weights=False, inputs=inputs)
    loaded = fcfast.load(path) if inputs else fcfast.load(path, X[::-1].copy())
    np.testing.assert_array_equal(loaded.predict_proba(NEW), model.predict_proba(NEW))
    np.testing.assert_array_equal(loaded.contributions_, model.contributions_)
    assert loaded.get_params()["init"] == model.init
    loaded.save(path, weights=False, inputs=True)
    np.testing.assert_array_equal(fcfast.load(path).predict_proba(NEW), model.predict_proba(NEW))


def test_weights_of_a_start_in_the_span(path):
    """They are ordinary weights."""
    model = fitted(init="span", form="contributions")
    model.save(path)
    np.testing.assert_array_equal(fcfast.load(path).predict_proba(NEW), model.predict_proba(NEW))


@pytest.mark.parametrize("kernel", ["linear", "rbf"])
@pytest.mark.parametrize("standardize", [False, True])
def test_networks_on_a_gram(path, kernel, standardize):
    """A view of a Gram has features, too."""
    gram, rows = Gram(X, kernel=kernel, standardize=standardize), np.arange(0, N, 2)
    model = FrontRegressor((8,), max_epochs=4, tol=0, random_state=0).fit(gram[rows], X[rows, 0])
    for inputs in (False, True):
        model.save(path, weights=False, inputs=inputs)
        loaded = fcfast.load(path) if inputs else fcfast.load(path, X)
        np.testing.assert_allclose(loaded.predict(NEW), model.predict(NEW), rtol=1e-6)


def test_sparse_inputs(path):
    """They stay sparse."""
    S = sparse.csr_array(np.where(X > 3, X, 0))
    model = fitted(S, kernel="rbf")
    model.save(path, weights=False, inputs=True)
    loaded = fcfast.load(path)
    assert sparse.issparse(loaded.network_.front.X)
    np.testing.assert_array_equal(loaded.predict_proba(S[:5]), model.predict_proba(S[:5]))


def test_precomputed(path):
    """The file holds contributions alone, and new samples come as products."""
    K = X @ X.T
    model = fitted(K, kernel="precomputed", init_scale=0.1)
    model.save(path, weights=False)
    loaded = fcfast.load(path)
    np.testing.assert_array_equal(loaded.predict_proba(NEW @ X.T), model.predict_proba(NEW @ X.T))
    with pytest.raises(ModelFileError, match="needs no training inputs"):
        fcfast.load(path, X)
    with pytest.raises(ValueError, match="products alone"):
        model.save(path, weights=False, inputs=True)


def test_what_cannot_be_stored(path):
    """Weights of a kernel, functions, unregistered kernels, inputs beside weights."""
    with pytest.raises(ValueError, match="rbf kernel has no weights to store"):
        fitted(kernel="rbf").save(path)
    with pytest.raises(ValueError, match="inputs=True is for contributions"):
        fitted(form="contributions").save(path, inputs=True)
    with pytest.raises(TypeError, match="cannot"):
        fitted(kernel=lambda A, B: A.astype(float) @ B.astype(float).T).save(path, weights=False)

    class Own(Kernel):
        name = "own"

        def values(self, products, norms_rows, norms_columns):
            return products

    with pytest.raises(TypeError, match="cannot"):
        fitted(kernel=Own()).save(path, weights=False)
    assert not path.exists()
