"""W1(0) as a function: any part of the initial weights by itself, always the same."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fcfast.gram.start import GivenWeights, RandomWeights


def test_random_weights_never_change():
    """The first and some far weights of a seed, as they were when this was written: models depend on them."""
    weights = RandomWeights(n_hidden=3, n_features=10**12, seed=2**127 + 5, activation="relu")
    levels = weights.block(0, 4, "float64") / weights.bound * 2**15 - 0.5
    far = weights.block(10**11, 10**11 + 2, "float64") / weights.bound * 2**15 - 0.5
    np.testing.assert_array_equal(
        levels, [[-23259, -13464, 28042, -24714], [-5441, -22759, -27430, 24178], [-16899, 15151, 4410, -26355]]
    )
    np.testing.assert_array_equal(far, [[13988, 27163], [2348, 23925], [-2614, -11362]])


@given(st.integers(1, 40), st.integers(1, 200), st.integers(0, 2**128 - 1), st.data())
def test_any_range_of_features_by_itself(n_hidden, n_features, seed, data):
    """A block is that range of all weights, to the last bit; float32 weights are the float64 ones, rounded."""
    weights = RandomWeights(n_hidden, n_features, seed, "tanh")
    start = data.draw(st.integers(0, n_features - 1))
    stop = data.draw(st.integers(start + 1, n_features))
    block = weights.block(start, stop, "float64")
    np.testing.assert_array_equal(block, weights.dense("float64")[:, start:stop])
    single = weights.block(start, stop, "float32")
    assert single.dtype == np.float32
    np.testing.assert_array_equal(single, block.astype(np.float32))


def test_dense_random_weights(dtype, global_random_seed):
    """All weights at once are the blocks side by side, C-contiguous."""
    weights = RandomWeights(2, 10_000, global_random_seed, "relu")
    blocks = [weights.block(start, start + 1000, dtype) for start in range(0, 10_000, 1000)]
    dense_weights = weights.dense(dtype)
    np.testing.assert_array_equal(dense_weights, np.hstack(blocks))
    assert dense_weights.dtype == dtype
    assert dense_weights.flags.c_contiguous


@pytest.mark.parametrize(
    ("activation", "factor"), [("relu", 6), ("tanh", 6), ("identity", 6), ("leaky_relu", 6), ("logistic", 2)]
)
def test_bound_is_glorots(activation, factor):
    """sqrt(factor / (n_features + n_hidden)), rounded to single precision; no weight reaches it and some come near."""
    weights = RandomWeights(30, 2000, 0, activation)
    assert weights.bound == np.float32((factor / 2030) ** 0.5)
    largest = abs(weights.dense("float64")).max()
    assert weights.bound * 0.9999 < largest < weights.bound


def test_random_weights_are_uniform_and_independent(global_random_seed):
    """Mean, variance, kurtosis, a histogram and neighbours' correlations, each within six standard errors."""
    weights = RandomWeights(64, 20_000, global_random_seed, "relu")
    u = weights.dense("float64") / weights.bound
    assert abs(u.mean()) < 6 * (1 / 3 / u.size) ** 0.5
    assert abs((u**2).mean() - 1 / 3) < 6 * (4 / 45 / u.size) ** 0.5
    assert abs((u**4).mean() - 1 / 5) < 6 * (16 / 225 / u.size) ** 0.5
    counts = np.histogram(u, 50, (-1, 1))[0]
    assert abs(counts - u.size / 50).max() < 6 * (u.size / 50) ** 0.5
    for one, other in [(u[1:], u[:-1]), (u[:, 1:], u[:, :-1]), (u[:, ::2], u[::-1, 1::2])]:
        assert abs((one * other).mean()) < 6 / 3 / one.size**0.5
    assert len(np.unique(u, axis=1).T) == u.shape[1]


def test_seeds_differ():
    """Other seeds, also those beyond 64 bits, give other weights; the same seed gives the same."""
    seeds = [0, 1, 2**32, 2**64, 2**64 + 1, 2**128 - 1]
    blocks = [RandomWeights(3, 10, seed, "relu").dense("float64") for seed in seeds]
    for one, other in itertools.combinations(blocks, 2):
        assert not np.isin(one, other).any()
    np.testing.assert_array_equal(blocks[1], RandomWeights(3, 10, 1, "relu").dense("float64"))


@pytest.mark.parametrize("order", ["C", "F"])
def test_given_weights_are_not_copied(order, tmp_path):
    """A block is a view where the dtype allows, also of a memory map; `dense` is a copy."""
    array = np.asarray(np.arange(12.0).reshape(3, 4), order=order)
    mapped = np.memmap(tmp_path / "W1.bin", array.dtype, "w+", shape=array.shape, order=order)
    mapped[:] = array
    for held in (array, mapped):
        weights = GivenWeights(held)
        assert (weights.n_hidden, weights.n_features) == (3, 4)
        assert weights.array is held
        assert np.shares_memory(weights.block(1, 3, "float64"), held)
        np.testing.assert_array_equal(weights.block(1, 3, "float32"), array[:, 1:3].astype(np.float32), strict=True)
        copy = weights.dense("float64")
        assert not np.shares_memory(copy, held)
        assert copy.flags.c_contiguous
        assert copy.flags.writeable
        np.testing.assert_array_equal(copy, array)
