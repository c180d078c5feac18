"""Products of sources have the bits of the products of the arrays that they hold."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from scipy import sparse

from fcfast.gram import budget
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
from fcfast.planning.problem import of_inputs
from fcfast.sources import ArraySource, Source, SparseSource, as_source
from fcfast.sources.inputs import TrainingInputs
from fcfast.sources.stacked import Stacked

DTYPES = ["float32", "float64"]


class Recorded(ArraySource):
    """An array that remembers how many numbers were read at a time, as a file would be read."""

    def __init__(self, array: np.ndarray) -> None:
        super().__init__(array)
        self.sizes: list[int] = []

    def read(self, features: slice, rows: Any = None) -> np.ndarray:
        block = np.array(super().read(features, rows))
        self.sizes.append(block.size)
        return block


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(budget, "BLOCK_BYTES", 4000)
    monkeypatch.setattr(budget, "MIN_SIDE", 8)
    return


def results(X_new: Any, X: Any, dtype: str) -> list[np.ndarray]:
    d = X.shape[1]
    initial, A = RandomWeights(6, d, 3, "relu"), np.random.default_rng(1).normal(size=(X.shape[0], 6))
    W1 = initial.dense(dtype)
    return [
        *gram_and_preactivations(X, initial, dtype, 2),
        *cross_gram_and_preactivations(X_new, X, initial, dtype, 2),
        cross_gram(X_new, X, dtype),
        preactivations_of(X_new, X, A, 0.5, initial, dtype, 2),
        preactivations_of(X, X_new, A[: X_new.shape[0]], 0.5, initial, dtype, 2),
        expand(X, A, 0.5, initial, dtype),
        preactivations_by_weights(X_new, W1, 2),
        gram_and_preactivations(stacked(X, X_new), initial, dtype)[0],
    ]


def assert_same_bits(some: list[np.ndarray], others: list[np.ndarray]) -> None:
    for one, other in zip(some, others, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("stored", ["int8", "uint8", "bool", "float32", "float64"])
def test_every_source_gives_the_bits_of_a_float_array(stored, order, dtype, tmp_path):
    rng = np.random.default_rng(0)
    X, X_new = (rng.integers(0, 3, size=(n, 157)).astype(stored) for n in (40, 23))
    expected = results(X_new.astype(dtype), X.astype(dtype), dtype)
    held, held_new = np.array(X, order=order), np.array(X_new, order=order)
    assert_same_bits(results(held_new, held, dtype), expected)
    assert_same_bits(results(as_source(held_new), as_source(held), dtype), expected)
    assert_same_bits(results(as_source(held_new), held, dtype), expected)
    assert_same_bits(results(held_new, as_source(held), dtype), expected)
    wide = as_source(np.concatenate([X_new, X])[::-1])  # rows of a larger source
    rows = np.arange(63)[::-1]
    assert_same_bits(results(wide[rows[:23]], wide[rows[23:]], dtype), expected)
    mapped = np.memmap(tmp_path / "X", stored, "w+", shape=X.shape, order=order)
    mapped[:] = X
    assert_same_bits(results(held_new, mapped, dtype), expected)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("density", "d"), [(0.02, 157), (0.3, 157), (0.0004, 5000)])
@pytest.mark.parametrize("layout", ["csr", "csc"])
def test_sparse_sources_give_the_bits_of_sparse_matrices(density, d, layout, dtype):
    X, X_new = (sparse.random(n, d, density, format=layout, random_state=n, dtype=np.float64) for n in (40, 23))
    expected = results(X_new, X, dtype)
    assert_same_bits(results(SparseSource(X_new), SparseSource(X), dtype), expected)
    both = SparseSource(sparse.vstack([X, X_new], format=layout))
    assert_same_bits(results(both[40:], both[:40], dtype), expected)
    assert of_inputs(SparseSource(X), dtype) == of_inputs(X, dtype) | {"copies_X": True}


def test_a_source_is_read_within_the_budget():
    X = Recorded(np.ones((50, 300), "int8"))
    results(X[:40], X, "float32")
    assert 0 < max(X.sizes) <= 4 * budget.MIN_ROWS * 300  # rows of predictions; blocks of columns are smaller


@pytest.mark.parametrize("n_new", [20, 40, 61])
def test_weights_meet_wide_samples_in_one_pass(n_new):
    """No number of a file is read twice for a prediction, whether it is read by rows or by features."""
    X = Recorded(np.random.default_rng(0).integers(0, 3, (n_new, 300)).astype("int8"))
    W1 = np.random.default_rng(1).normal(size=(6, 300))
    np.testing.assert_allclose(preactivations_by_weights(X, W1, 2), X.array @ W1.T, atol=1e-12)
    assert sum(X.sizes) == n_new * 300
    assert (len(X.sizes) == 1) == (n_new <= 32)  # a file in columns is read through once for each block of rows


def test_columns_without_numbers_are_named():
    array = np.ones((5, 300), np.float32)
    array[3, 217] = np.nan
    source = ArraySource(array)
    source.feature_names = [f"g{j}" for j in range(300)]
    with pytest.raises(ValueError, match=r"NaN\) in column 217 \('g217'\).*missing='mean'"):
        gram_and_preactivations(source, RandomWeights(2, 300, 0, "relu"), "float32")
    array[3, 217] = np.inf
    with pytest.raises(ValueError, match=r"infinity.*column 217"):
        preactivations_by_weights(source, np.ones((2, 300), np.float32))


def test_stacked_rows_come_in_any_order():
    a, b = np.arange(12.0).reshape(4, 3), -np.arange(6.0).reshape(2, 3)
    both, source = np.concatenate([a, b]), Stacked(as_source(a), as_source(b))
    for rows in (np.array([5, 0, 4, 0]), slice(3, 5), slice(0, 2), np.array([4, 5]), np.array([1, 0])):
        np.testing.assert_array_equal(source.read(slice(1, 3), rows), both[rows, 1:3])
    thin = Stacked(as_source(sparse.csr_array(a)), as_source(b))
    np.testing.assert_array_equal(thin.read(slice(0, 3), np.array([5, 1])).toarray(), both[[5, 1]])
    assert thin.count_entries().tolist() == [5, 6, 6]
    with pytest.raises(ValueError, match="3 and 2 features"):
        Stacked(as_source(a), as_source(b[:, :2]))


def test_a_source_that_changes_is_noticed():
    array = np.ones((5, 6))
    source: Source = ArraySource(array)
    inputs = TrainingInputs(source[:3])
    assert inputs.X.shape == (3, 6)
    array[2, 2] = 7
    with pytest.raises(RuntimeError, match="changed in place"):
        _ = inputs.X
