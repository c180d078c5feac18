"""Gram matrices in files: saved, loaded, mapped, computed in the file; damaged files and strangers are refused."""

import os
import pickle
from functools import partial

import numpy as np
import pandas
import pytest
from classic import SpanClassifier as FrontClassifier
from scipy import sparse

from fcfast import Gram, ModelFileError, NoPropClassifier

N, D = 60, 400
RNG = np.random.default_rng(0)
X = RNG.normal(3, 2, size=(N, D)).astype("f4")
Y = np.arange(N) % 2
X[Y == 1, :40] += 1
SETTINGS = {
    "linear": {},
    "double": {"dtype": "float64"},
    "standardised": {"standardize": True},
    "kernel": {"kernel": "rbf", "standardize": True},
    "polynomial": {"kernel": "poly", "gamma": 0.01, "degree": 2},
    "filled in": {"missing": "mean"},
}


def network(gram, **settings):
    return FrontClassifier((8,), max_epochs=5, tol=0, random_state=0, dtype=str(gram.dtype), **settings)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "gram.safetensors"


@pytest.mark.parametrize("mapped", [False, True])
@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
@pytest.mark.parametrize("directly", [False, True], ids=["saved", "computed in the file"])
def test_a_loaded_matrix_is_the_same(path, settings, mapped, directly):
    """To the last bit, as are networks on it and their predictions for new samples."""
    gram = Gram(X, **settings)
    if directly:
        computed = Gram(X, path=path, **settings)
        assert isinstance(computed.matrix, np.memmap)
        np.testing.assert_array_equal(computed.matrix, gram.matrix)
    else:
        gram.save(path)
    loaded = Gram.load(path, X, mapped=mapped)
    np.testing.assert_array_equal(loaded.matrix, gram.matrix)
    assert repr(loaded) == repr(gram)
    assert loaded.n_features == D
    fitted, again = network(gram).fit(gram, Y), network(gram).fit(loaded, Y)
    new = X[:9] + 0.5
    np.testing.assert_array_equal(loaded.cross(new), gram.cross(new))
    np.testing.assert_array_equal(again.predict_proba(loaded), fitted.predict_proba(gram))
    np.testing.assert_array_equal(again.predict_proba(new), fitted.predict_proba(new))
    copy = pickle.loads(pickle.dumps(again))
    np.testing.assert_array_equal(copy.predict_proba(loaded), fitted.predict_proba(gram))


def test_a_view_is_saved_alone(path):
    """Rows in any order, with their norms."""
    gram, rows = Gram(X, kernel="rbf", gamma=0.001), np.array([5, 3, 40, 11])
    gram[rows].save(path)
    loaded = Gram.load(path, X[rows])
    np.testing.assert_array_equal(loaded.matrix, gram[rows].matrix)
    np.testing.assert_array_equal(loaded.cross(X), gram[rows].cross(X))


def test_without_features(path):
    """The samples are then known by their products, and so are new ones."""
    gram = Gram(X)
    gram.save(path)
    loaded = Gram.load(path)
    fitted = network(loaded, init_scale=0.1).fit(loaded, Y)
    np.testing.assert_array_equal(fitted.predict(gram.cross(X)), fitted.predict(loaded))
    with pytest.raises(AttributeError, match="no weights"):
        _ = fitted.coefs_
    with pytest.raises(ValueError, match="products alone"):
        loaded.cross(X)
    for model in (FrontClassifier(init="glorot"), NoPropClassifier(init="glorot")):
        with pytest.raises(ValueError, match="init='glorot' starts from weights, but the precomputed kernel has none"):
            model.fit(loaded, Y)


NETWORKS = {
    "front": network,
    "neuron-adam": partial(network, optimizer="neuron-adam"),
    "muon": partial(network, optimizer="muon"),
    "noprop": lambda gram: NoPropClassifier(hidden=(8, 4), n_blocks=2, max_epochs=3, random_state=0, dtype=str(gram.dtype)),
}


@pytest.mark.parametrize("make", NETWORKS.values(), ids=NETWORKS)
@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_networks_do_not_depend_on_whether_features_are_loaded(path, settings, make):
    """To the last bit: units on products of d features have d inputs, wherever the features are."""
    gram = Gram(X, **settings)
    gram.save(path)
    loaded = Gram.load(path)
    fitted, again = make(gram).fit(gram[:40], Y[:40]), make(loaded).fit(loaded[:40], Y[:40])
    assert again.loss_curve_ == fitted.loss_curve_
    np.testing.assert_array_equal(again.predict_proba(loaded), fitted.predict_proba(gram))
    assert again.n_features_in_ == N


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_nothing_is_lost_when_a_file_is_written_again_without_features(path, settings):
    """The kernel, the names and the scale of the features stay."""
    gram = Gram(pandas.DataFrame(X).add_prefix("x"), **settings)
    gram.save(path)
    Gram.load(path)[5:50].save(path)
    again = Gram.load(path, X[5:50])
    assert again.feature_names == gram.feature_names
    np.testing.assert_array_equal(again.cross(X[:9]), gram[5:50].cross(X[:9]))


def test_precomputed_and_sparse(path):
    """Products from elsewhere have no features; sparse ones have."""
    K = X @ X.T
    Gram(K, kernel="precomputed").save(path)
    np.testing.assert_array_equal(Gram.load(path).matrix, K.astype("f4"))
    with pytest.raises(ModelFileError, match="no features X belong"):
        Gram.load(path, X)
    S = sparse.csr_array(np.where(X > 5, X, 0))
    Gram(S, standardize=True).save(path)
    np.testing.assert_array_equal(Gram.load(path, S).cross(S[:3]), Gram(S, standardize=True).cross(S[:3]))


@pytest.mark.parametrize("other", [X[::-1], X[:-1], X[:, :-1], X * 2], ids=["order", "fewer", "narrower", "scaled"])
def test_strangers_are_refused(path, other):
    """Features that do not have the products in the file."""
    Gram(X).save(path)
    with pytest.raises(ModelFileError, match=r"X does not have the products|X has shape"):
        Gram.load(path, other)


def truncate(content):
    return content[:-7]


def no_header(content):
    return b"\xff" * 8 + content[8:]


def other_format(content):
    return content.replace(b"fcfast-gram", b"fcfast-gras")


def newer(content):
    return content.replace(b'"version": "1"', b'"version": "9"')


def other_dtype(content):
    return content.replace(b'"dtype": "F32"', b'"dtype": "I32"')


def not_square(content):
    return content.replace(b"[60, 60]", b"[30,120]")


def negative(content):
    return content.replace(b"[60, 60]", b"[-6,-6]")


def text(content):
    return b"samples,1,2\n"


@pytest.mark.parametrize("damage", [truncate, no_header, other_format, newer, other_dtype, not_square, negative, text])
@pytest.mark.parametrize("mapped", [False, True])
def test_damaged_files_are_refused(path, damage, mapped):
    """With the file's name."""
    Gram(X).save(path)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ModelFileError, match=r"gram\.safetensors cannot be loaded"):
        Gram.load(path, mapped=mapped)


def test_nothing_is_left_of_a_matrix_that_failed(path):
    """No half-written file, and an older one stays."""
    bad = X.copy()
    bad[7, 300] = np.float32(3e38)
    with pytest.raises(ValueError, match="overflow"):
        Gram(bad, path=path)
    assert os.listdir(path.parent) == []
    Gram(X).save(path)
    before = path.read_bytes()
    with pytest.raises(ValueError, match="overflow"):
        Gram(bad, path=path)
    assert path.read_bytes() == before


def test_what_no_file_can_describe(path):
    """Functions, and a path for products from elsewhere."""
    with pytest.raises(TypeError, match="cannot describe the kernel"):
        Gram(X, kernel=lambda A, B: A @ B.T, dtype="float64").save(path)
    with pytest.raises(ValueError, match="use save"):
        Gram(X @ X.T, kernel="precomputed", path=path)
    with pytest.raises(FileNotFoundError, match="Gram file"):
        Gram.load(path)
