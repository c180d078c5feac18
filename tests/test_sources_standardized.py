"""Standardised sources against scikit-learn's scalers and dense computations."""

from typing import Any

import numpy as np
import pytest
from scipy import sparse
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fcfast.gram import centring
from fcfast.gram.products import (
    cross_gram,
    cross_gram_and_preactivations,
    expand,
    gram_and_preactivations,
    preactivations_by_weights,
    preactivations_of,
    stacked,
)
from fcfast.gram.start import RandomWeights
from fcfast.sources import ArraySource, SparseSource, Standardized, as_source
from fcfast.sources.scale import scale_of


def assert_close(actual: Any, expected: Any, rtol: float = 1e-9) -> None:
    np.testing.assert_allclose(actual, expected, rtol=rtol, atol=rtol * max(1e-300, np.abs(expected).max()))


def gappy(n: int = 23, d: int = 157, seed: int = 0) -> np.ndarray:
    """Columns of different sizes, one constant, one empty, one nearly constant, one with a large offset, and gaps."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d)) * 10.0 ** rng.integers(-5, 5, d) + rng.normal(size=d)
    X[rng.random((n, d)) < 0.1] = np.nan
    X[:, 3], X[:, 5], X[:, 7] = 2.5, np.nan, 1e9 + rng.integers(0, 2, n)
    X[:, 9] = 1e6 * (1 + 1e-16 * rng.integers(0, 2, n))
    return X


@pytest.mark.parametrize("order", ["C", "F"])
def test_as_scikit_learns_scaler(order):
    X = np.nan_to_num(gappy(), nan=0.5)
    source = Standardized(ArraySource(np.array(X, order=order)))
    assert_close(source.read(slice(0, 157)), StandardScaler().fit_transform(X))
    assert np.abs(source.read(slice(7, 8))).max() < 2  # 1e9 + 0 or 1
    assert not source.read(slice(3, 4)).any()
    scaler, scale = StandardScaler().fit(X), source.statistics.complete()
    assert_close(scale.mean, scaler.mean_)
    assert_close(scale.scale, scaler.scale_)


def test_a_large_offset_keeps_its_digits_in_single_precision():
    X = 1e9 + np.random.default_rng(0).normal(size=(50, 40))
    source = Standardized(ArraySource(X), dtype="float32")
    block = source.read(slice(0, 40))
    assert block.dtype == np.float32
    assert_close(block, StandardScaler().fit_transform(X), 1e-6)


def test_means_of_large_numbers_are_exact():
    small = np.random.default_rng(0).integers(0, 8, size=(3000, 20))
    scale = Standardized(ArraySource(2.0**48 + small)).statistics.complete()
    assert np.abs(scale.mean - 2.0**48 - small.mean(axis=0)).max() <= 2.0**-5  # half a unit in the last place


@pytest.mark.parametrize("standardize", [False, True])
def test_missing_values_are_the_training_mean(standardize):
    X, X_new = gappy(), gappy(11, seed=1)
    steps = [SimpleImputer(keep_empty_features=True), *([StandardScaler()] if standardize else [])]
    pipeline = make_pipeline(*steps).fit(X)
    source = Standardized(ArraySource(X), standardize, "mean")
    assert_close(source.read(slice(0, 157)), pipeline.transform(X))
    assert_close(source.like(ArraySource(X_new)).read(slice(0, 157)), pipeline.transform(X_new))
    assert_close(source[3:8].read(slice(20, 50), np.array([4, 0])), pipeline.transform(X)[[7, 3], 20:50])


def test_bits_depend_neither_on_blocks_nor_on_the_layout():
    X = gappy(200, 300)
    whole = Standardized(ArraySource(X), missing="mean").read(slice(0, 300))
    for order in "CF":
        source = Standardized(ArraySource(np.array(X, order=order)), missing="mean")
        blocks = [source.read(slice(start, min(start + 37, 300))) for start in range(0, 300, 37)]
        np.testing.assert_array_equal(np.concatenate(blocks, axis=1), whole)


def test_selected_rows_keep_the_statistics_of_all():
    X = np.random.default_rng(0).normal(size=(20, 30))
    Z = StandardScaler().fit_transform(X)
    source = Standardized(ArraySource(X))
    assert_close(source[5:9].read(slice(2, 7)), Z[5:9, 2:7])
    assert_close(source[[3, 1]][[1]].read(slice(0, 30), np.array([0, 0])), Z[[1, 1]])
    assert_close(source.read(slice(0, 30), np.array([7, 2])), Z[[7, 2]])
    assert len(source[5:9]) == 4


def test_each_feature_is_read_once_to_be_measured():
    class Counted(ArraySource):
        n_read = 0

        def read(self, features: slice, rows: Any = None) -> np.ndarray:
            self.n_read += features.stop - features.start
            return super().read(features, rows)

    base = Counted(np.random.default_rng(0).normal(size=(20, 300)))
    gram_and_preactivations(Standardized(base), RandomWeights(2, 300, 0, "relu"), "float64")
    assert base.n_read == 300


@pytest.mark.parametrize("thin", [False, True])
def test_bad_values_are_named(thin):
    X = np.eye(6)
    X[2, 4] = np.nan
    names = [f"g{j}" for j in range(6)]

    def source(X: np.ndarray, **settings: Any) -> Standardized:
        base = SparseSource(sparse.csr_array(X)) if thin else ArraySource(X)
        base.feature_names = names
        return Standardized(base, **settings)

    with pytest.raises(ValueError, match=r"NaN\) in column 4 \('g4'\), counted from 0.*missing='mean'"):
        source(X).read(slice(0, 6))
    trained = source(np.eye(6))
    trained.statistics.complete()
    with pytest.raises(ValueError, match=r"NaN\) in column 4"):
        trained.like(source(X).base).read(slice(3, 6))
    X[2, 4] = np.inf
    with pytest.raises(ValueError, match="infinity in column 4"):
        source(X, missing="mean").read(slice(0, 6))
    X[2, 4] = 1e200
    with pytest.raises(ValueError, match="too large to be scaled in column 4"):
        source(X).read(slice(0, 6))
    with pytest.raises(ValueError, match=r"X has 5 feature\(s\), but the training samples had 6"):
        trained.like(ArraySource(np.eye(5)))


def test_nearly_constant_columns_count_as_constant():
    mean, variance = np.array([1e8, 1e8, 0.0]), np.array([1e-18, 1.0, 0.0])
    assert scale_of(mean, variance, 100).tolist() == [1, 1, 1]
    assert scale_of(mean, np.array([4.0, 4.0, 4.0]), 100).tolist() == [2, 2, 2]


@pytest.mark.parametrize(("density", "d", "stays_sparse"), [(0.03, 157, True), (0.2, 157, False), (0.0016, 1200, True)])
@pytest.mark.parametrize("missing", ["error", "mean"])
@pytest.mark.parametrize("layout", ["csr", "csc"])
def test_sparse_products_are_centred(layout, missing, density, d, stays_sparse):
    rng = np.random.default_rng(0)
    X, X_new = (sparse.random(n, d, density, format=layout, random_state=n) for n in (40, 23))
    if missing == "mean":
        X.data[::9], X_new.data[::7] = np.nan, np.nan
    fit = make_pipeline(SimpleImputer(keep_empty_features=True), StandardScaler()).fit(X.toarray())
    Z, Z_new = fit.transform(X.toarray()), fit.transform(X_new.toarray())
    initial, A = RandomWeights(6, d, 3, "relu"), rng.normal(size=(40, 6))
    W0 = initial.dense("float64")
    train = Standardized(SparseSource(X), missing=missing)
    assert (centring.bordered(train) is not None) == stays_sparse
    G, S0 = gram_and_preactivations(train, initial, "float64")
    assert_close(G, Z @ Z.T)
    np.testing.assert_array_equal(G, G.T)
    assert_close(S0, Z @ W0.T)
    new = train.like(SparseSource(X_new))
    for other, dense in ((new, Z_new), (as_source(Z_new), Z_new), (train[5:30], Z[5:30])):
        K, S = cross_gram_and_preactivations(other, train, initial, "float64")
        assert_close(K, dense @ Z.T)
        assert_close(S, dense @ W0.T)
        assert_close(cross_gram(other, train, "float64"), dense @ Z.T)
        assert_close(cross_gram(train, other, "float64"), Z @ dense.T)
        W = 0.5 * W0 + A.T @ Z
        assert_close(preactivations_of(other, train, A, 0.5, initial, "float64"), dense @ W.T)
        assert_close(preactivations_by_weights(other, W), dense @ W.T)
    assert_close(expand(train, A, 0.5, initial, "float64"), W)
    both = stacked(train, new)
    assert (centring.bordered(both) is not None) == stays_sparse
    assert_close(gram_and_preactivations(both, initial, "float64")[0], np.vstack([Z, Z_new]) @ np.vstack([Z, Z_new]).T)


def test_missing_entries_of_sparse_samples_are_filled_in_without_centring():
    X = sparse.random(40, 157, 0.05, format="csr", random_state=0)
    X.data[::5] = np.nan
    filled = SimpleImputer(keep_empty_features=True).fit_transform(X.toarray())
    source = Standardized(SparseSource(X), standardize=False, missing="mean")
    assert source.is_sparse
    assert_close(source.read(slice(0, 157)).toarray(), filled)
    assert_close(gram_and_preactivations(source, RandomWeights(2, 157, 0, "relu"), "float64")[0], filled @ filled.T)
