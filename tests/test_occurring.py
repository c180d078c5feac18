"""Sparse inputs far wider than they have entries: the same products and models, in memory that grows with the entries."""

import tracemalloc

import numpy as np
import pytest
from classic import FrontClassifier, FrontRegressor
from scipy import sparse

from fcfast import NoPropClassifier
from fcfast._pure import noise
from fcfast.gram.occurring import ChosenWeights, Occurrences, occurring, within
from fcfast.gram.products import cross_gram, cross_gram_and_preactivations, gram_and_preactivations, preactivations_of
from fcfast.gram.start import GivenWeights, RandomWeights

MIB = 2**20
WIDE = 2**26


def entries(n_samples, n_entries, width, seed):
    """Make a CSR array of so many entries a sample, without ever making anything of its width."""
    rng = np.random.default_rng(seed)
    rows = np.repeat(np.arange(n_samples), n_entries)
    values = rng.standard_normal(len(rows)).astype(np.float32)
    return sparse.csr_array((values, (rows, rng.integers(0, width, len(rows)))), shape=(n_samples, width))


@pytest.mark.parametrize("form", ["csr", "csc", "coo"])
@pytest.mark.parametrize("n_other", [3, 200])
def test_products_are_those_of_dense_inputs(form, n_other, global_random_seed):
    """Of X with itself, and of new samples with fewer and with more entries than there are columns."""
    X = entries(20, 4, 1000, global_random_seed)
    X_new, other = entries(6, 3, 1000, global_random_seed + 1), entries(n_other, 20, 1000, global_random_seed + 2)
    rng = np.random.default_rng(global_random_seed)
    for initial in (RandomWeights(7, 1000, 5, "relu"), GivenWeights(rng.standard_normal((7, 1000)))):
        W = initial.dense("float64")
        dense, new, held = (part.toarray().astype(np.float64) for part in (X, X_new, other))
        assert occurring(X.asformat(form)) is not None
        G, S0 = gram_and_preactivations(X.asformat(form), initial, "float64")
        np.testing.assert_allclose(G, dense @ dense.T, atol=1e-12)
        np.testing.assert_allclose(S0, dense @ W.T, atol=1e-12)
        A = rng.standard_normal((n_other, 7))
        G_new, S_new = cross_gram_and_preactivations(X_new.asformat(form), other.asformat(form), initial, "float64")
        np.testing.assert_allclose(G_new, new @ held.T, atol=1e-12)
        np.testing.assert_allclose(S_new, new @ W.T, atol=1e-12)
        np.testing.assert_array_equal(cross_gram(X_new.asformat(form), other.asformat(form), "float64"), G_new)
        preactivations = preactivations_of(X_new.asformat(form), other.asformat(form), A, 0.5, initial, "float64")
        np.testing.assert_allclose(preactivations, new @ (0.5 * W + A.T @ held).T, atol=1e-12)


def test_samples_without_entries():
    """A column without entries stands for all of them."""
    nothing = sparse.csr_array((3, 100))
    initial = RandomWeights(2, 100, 0, "relu")
    for result in (
        *gram_and_preactivations(nothing, initial, "float32"),
        preactivations_of(nothing, nothing, np.ones((3, 2)), 1.0, initial, "f4"),
    ):
        assert not result.any()


def test_chosen_weights_are_those_of_all_features(global_random_seed):
    """Wherever they are: beside each other, or far from each other."""
    initial = RandomWeights(300, 50_000, global_random_seed, "relu")
    features = np.unique(np.random.default_rng(global_random_seed).integers(0, 50_000, 60))
    features = np.unique(np.concatenate([features, [0, 1, 2, 217, 218, 219, 49_999]]))  # 218: 65,536 weights / 300
    chosen = ChosenWeights(initial, features)
    np.testing.assert_array_equal(chosen.dense("float32"), initial.dense("float32")[:, features])
    np.testing.assert_array_equal(chosen.block(3, 11, "float64"), initial.dense("float64")[:, features[3:11]])


@pytest.mark.parametrize("n_hidden", [1, 7, 16, 33])
@pytest.mark.parametrize("seed", [0, 5, 2**127 + 12345])
def test_single_features_are_drawn_as_in_long_runs(n_hidden, seed):
    """By the kernel and by its twin, which is NumPy's generator."""
    initial = RandomWeights(n_hidden, 2**40, seed, "relu")
    features = np.array([0, 1, 15, 16, 1000, 2**33 + 7, 2**40 - 1])
    expected = np.concatenate([initial.block(feature, feature + 1, "float64") for feature in features.tolist()], axis=1)
    np.testing.assert_array_equal(initial.chosen(features, "float64"), expected)
    np.testing.assert_array_equal(ChosenWeights(initial, features).dense("float64"), expected)
    key, twin = np.array([seed % 2**64, seed >> 64], np.uint64), np.empty((len(features), n_hidden), np.int16)
    noise.philox_rows(key, features, twin)
    np.testing.assert_array_equal((twin.T + 0.5) * initial.bound / 2**15, expected)


@pytest.mark.parametrize("form", ["csr", "csc", "coo", "csr with duplicates"])
def test_columns_within(form):
    """As SciPy takes them: it would take an array of the width for it."""
    X = entries(9, 5, 300, 0)
    if form == "csr with duplicates":
        X = sparse.csr_array((np.repeat(X.data, 2), np.repeat(X.indices, 2), 2 * X.indptr), shape=X.shape)
    columns = np.array([0, 5, *np.unique(X.indices)[2:40:3], 299])
    columns = np.unique(columns)
    held = X.asformat(form.split()[0])
    np.testing.assert_array_equal(within(held, columns).toarray(), X.toarray()[:, columns])


def test_pairs_of_entries():
    """What the Gram matrix of sparse inputs takes, however they are counted."""
    for width in (20, 3000):
        X = entries(30, 5, width, 1)
        expected = float((np.bincount(X.indices).astype(float) ** 2).sum())
        assert Occurrences.of_samples(X).n_pairs == Occurrences.of_samples(X.tocsc()).n_pairs == expected


@pytest.mark.parametrize("estimator", [FrontClassifier, FrontRegressor, NoPropClassifier])
def test_memory_grows_with_the_entries(estimator):
    """2,500 entries in 2^26 columns: an array of the width would be 64 MiB even as bytes."""
    X, y = entries(50, 50, WIDE, 0), np.arange(50) % 2
    settings = {"n_blocks": 2, "hidden": (8, 4)} if estimator is NoPropClassifier else {"hidden_layer_sizes": (16,)}
    model = estimator(**settings, max_epochs=1, learning_rate=1e-6, random_state=0)
    model.fit(X[:, :100].copy(), y)  # what is made once, machine figures included
    calls = [lambda: model.fit(X, y), lambda: model.predict(X), lambda: model.predict(X[:1])]
    if estimator is not NoPropClassifier:
        calls += [lambda: model.partial_fit(X[:5], y[:5]), lambda: model.explain(X[:5])]
    for call in calls:
        tracemalloc.start()
        try:
            call()
            assert tracemalloc.get_traced_memory()[1] < 32 * MIB
        finally:
            tracemalloc.stop()
    assert np.isfinite(model.predict(X)).all()


def test_the_plan_counts_what_is_made():
    """W1(0) of columns without entries is not made, and takes no time."""
    X, y = entries(50, 10, WIDE, 0), np.arange(50) % 2
    narrow = FrontClassifier((16,), max_epochs=1, learning_rate=1e-6, random_state=0).fit(entries(50, 10, 4000, 0), y)
    wide = FrontClassifier((16,), max_epochs=1, learning_rate=1e-6, random_state=0).fit(X, y)
    once = [model.plan_.costs["contributions"].seconds_once for model in (narrow, wide)]
    assert once[1] < 2 * once[0]
