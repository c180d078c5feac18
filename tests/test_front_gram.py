"""Reading the inputs once: Gram matrix and pre-activations of every container, in bounded memory."""

import sys
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.lib.stride_tricks import sliding_window_view
from scipy import sparse
from threadpoolctl import threadpool_limits

from fcfast.gram import budget, passes, products, reading
from fcfast.gram.products import cross_gram_and_preactivations, expand, gram_and_preactivations, preactivations_of
from fcfast.gram.start import GivenWeights, NoWeights, RandomWeights
from fcfast.gram.work import Work
from fcfast.sources import ArraySource

MIB = 1 << 20


@pytest.fixture(autouse=True, scope="module")
def one_blas_thread() -> Iterator[None]:
    """So that thousands of small products do not wait for BLAS's threads when the machine has other work."""
    with threadpool_limits(1, "blas"):
        yield


# ----------------------------------------------------------------------------------------------------------------------
# what may hold inputs


def unaligned(X: np.ndarray) -> np.ndarray:
    buffer = np.zeros(X.nbytes + 1, np.uint8)
    view = np.ndarray(X.shape, X.dtype, buffer, offset=1)
    view[...] = X
    return view


def reversed_rows(X: np.ndarray) -> np.ndarray:
    return X[::-1].copy()[::-1]


def every_other_column(X: np.ndarray) -> np.ndarray:
    return np.repeat(X, 2, axis=1)[:, ::2]


def columns_of_a_wider_array(X: np.ndarray) -> np.ndarray:
    return np.pad(X, ((0, 0), (2, 3)))[:, 2:-3]


def read_only(X: np.ndarray) -> np.ndarray:
    X = X.copy()
    X.flags.writeable = False
    return X


def overlapping_windows(X: np.ndarray) -> np.ndarray:
    return sliding_window_view(X.ravel()[: sum(X.shape) - 1], X.shape[1])


def one_row_repeated(X: np.ndarray) -> np.ndarray:
    return np.broadcast_to(X[0], X.shape)


def byte_swapped(X: np.ndarray) -> np.ndarray:
    return X.astype(X.dtype.newbyteorder())


AWKWARD = [reversed_rows, every_other_column, overlapping_windows, one_row_repeated, unaligned, byte_swapped]


def with_duplicates(X: np.ndarray) -> sparse.coo_array:
    """Every entry as the sum of two."""
    whole = sparse.coo_array(X)
    row, column = np.tile(whole.row, 2), np.tile(whole.col, 2)
    return sparse.coo_array((np.concatenate([whole.data * 0.25, whole.data * 0.75]), (row, column)), shape=X.shape)


def with_unsorted_columns(X: np.ndarray) -> sparse.csr_array:
    mirrored = sparse.csr_array(X[:, ::-1])
    return sparse.csr_array((mirrored.data, X.shape[1] - 1 - mirrored.indices, mirrored.indptr), shape=X.shape)


ARRAYS: dict[str, Callable[[np.ndarray], Any]] = {
    "C": np.ascontiguousarray,
    "F": np.asfortranarray,
    "columns of a wider array": columns_of_a_wider_array,
    **{layout.__name__: layout for layout in AWKWARD},
    "read-only": read_only,
    **{name: lambda X, name=name: X.astype(name) for name in ("float32", "float16", "int64", "int8", "uint8", "bool")},
}
SPARSE: dict[str, Callable[[np.ndarray], Any]] = {
    **{
        f"{kind}_{format}": getattr(sparse, f"{format}_{kind}")
        for kind in ("array", "matrix")
        for format in ("csr", "csc", "coo")
    },
    "lil": sparse.lil_array,
    "duplicates": with_duplicates,
    "unsorted": with_unsorted_columns,
    "int8": lambda X: sparse.csr_array(X.astype("int8")),
    "bool": lambda X: sparse.coo_array(X.astype(bool)),
}
# Sparse inputs are multiplied as they are up to some density, then in dense blocks: both, whatever their density.
CONTAINERS = [
    *(pytest.param((container, None), id=name) for name, container in ARRAYS.items()),
    *(pytest.param((container, 2), id=f"sparse {name}") for name, container in SPARSE.items()),
    *(pytest.param((container, 0), id=f"sparse {name}, dense blocks") for name, container in SPARSE.items()),
]


@pytest.fixture(params=CONTAINERS)
def container(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Callable[[np.ndarray], Any]:
    """What makes an array into each thing that may hold inputs."""
    make, share = request.param
    if share is not None:
        monkeypatch.setattr(budget, "SPARSE_SHARE", share)
    return make


def dense(X: Any) -> np.ndarray:
    return (X.toarray() if sparse.issparse(X) else np.asarray(X)).astype(np.float64)


def some_inputs(rng: np.random.Generator, n_rows: int, n_features: int) -> np.ndarray:
    """Integers that every container holds without loss; a repeated row, a zero row and a zero column if there is room."""
    X = rng.integers(0, 4, (n_rows, n_features)) * rng.integers(0, 2, (n_rows, n_features)) * 1.0
    X[n_rows // 2 + 1 :][:1] = X[:1]
    X[n_rows // 2 + 2 :][:1] = 0
    X[:, 3:4] = 0
    return X


def assert_close(actual: np.ndarray, desired: np.ndarray, rtol: float = 1e-12) -> None:
    """Close, relative to the largest entry."""
    np.testing.assert_allclose(actual, desired, rtol=0, atol=rtol * max(1.0, abs(desired).max()))


@pytest.fixture(params=["one block", "many blocks"])
def block_size(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks as they are, and so small that small inputs take many, with a remainder, in features and in samples."""
    if request.param == "many blocks":
        set_block_size(monkeypatch, n_bytes=256, min_side=3, max_side=7)


def set_block_size(monkeypatch: pytest.MonkeyPatch, n_bytes: int, min_side: int, max_side: int = budget.MAX_SIDE) -> None:
    monkeypatch.setattr(budget, "BLOCK_BYTES", n_bytes)
    monkeypatch.setattr(budget, "WEIGHT_BYTES", n_bytes)
    monkeypatch.setattr(budget, "MIN_SIDE", min_side)
    monkeypatch.setattr(budget, "MAX_SIDE", max_side)


def take_all_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let `n_jobs` be the number of threads, with or without OpenMP."""
    for module in (passes, products):
        monkeypatch.setattr(module, "resolve_n_jobs", lambda n_jobs: n_jobs)


@pytest.fixture(params=["sparse products", "dense blocks"])
def sparse_products(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ways to multiply sparse inputs, whatever their density."""
    monkeypatch.setattr(budget, "SPARSE_SHARE", 2 if request.param == "sparse products" else 0)


# ----------------------------------------------------------------------------------------------------------------------
# against dense NumPy


@pytest.mark.usefixtures("block_size")
def test_gram_and_preactivations_of_every_container(container, global_random_seed):
    """G = X X' and S0 = X W1(0)', whatever holds X and in however many blocks."""
    rng = np.random.default_rng(global_random_seed)
    X = container(some_inputs(rng, 11, 38))
    W1 = rng.standard_normal((5, 38))
    G, S0 = gram_and_preactivations(X, GivenWeights(W1), "float64")
    assert_close(G, dense(X) @ dense(X).T)
    assert_close(S0, dense(X) @ W1.T)


@pytest.mark.usefixtures("block_size")
def test_new_inputs_of_every_container(container, global_random_seed):
    """X_new X', X_new W1(0)' and X_new W1' for a container against an array, an array against it, and against itself."""
    rng = np.random.default_rng(global_random_seed)
    held, array = container(some_inputs(rng, 11, 38)), some_inputs(rng, 11, 38)
    W1, A, c = rng.standard_normal((5, 38)), rng.standard_normal((11, 5)), 0.7
    for X_new, X in [(held, array), (array, held), (held, held)]:
        G_new, S0_new = cross_gram_and_preactivations(X_new, X, GivenWeights(W1), "float64")
        assert_close(G_new, dense(X_new) @ dense(X).T)
        assert_close(S0_new, dense(X_new) @ W1.T)
        S_new = preactivations_of(X_new, X, A, c, GivenWeights(W1), "float64")
        assert_close(S_new, dense(X_new) @ (c * W1 + A.T @ dense(X)).T)


@pytest.mark.usefixtures("block_size")
def test_expand_every_container(container, global_random_seed):
    """W1 = c W1(0) + A' X."""
    rng = np.random.default_rng(global_random_seed)
    X = container(some_inputs(rng, 11, 38))
    W1, A, c = rng.standard_normal((5, 38)), rng.standard_normal((11, 5)), -1.3
    assert_close(expand(X, A, c, GivenWeights(W1), "float64"), c * W1 + A.T @ dense(X))


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (40, 1), (40, 3), (2, 2)])
@pytest.mark.parametrize("container", [np.ascontiguousarray, np.asfortranarray, sparse.csr_array])
@pytest.mark.usefixtures("block_size", "sparse_products")
def test_extreme_shapes(shape, container, global_random_seed):
    """One sample, one feature, more samples than features."""
    rng = np.random.default_rng(global_random_seed)
    X, W1 = rng.standard_normal(shape), rng.standard_normal((3, shape[1]))
    G, S0 = gram_and_preactivations(container(X), GivenWeights(W1), "float64")
    assert_close(G, X @ X.T)
    assert_close(S0, X @ W1.T)


@pytest.mark.usefixtures("sparse_products")
@pytest.mark.parametrize("container", [np.asarray, sparse.csr_array])
def test_zeros(container):
    """Nothing but zeros gives nothing but zeros."""
    G, S0 = gram_and_preactivations(container(np.zeros((4, 9))), RandomWeights(3, 9, 0, "relu"), "float64")
    assert not G.any()
    assert not S0.any()


@given(data=st.data())
def test_blocks_do_not_matter(data):
    """Any size of blocks, any container: the same results, and preactivations_of is X_new times what expand gives."""
    n_new, n_samples, n_features, n_hidden = (data.draw(st.integers(1, 15)) for _ in range(4))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    X_new, X = rng.standard_normal((n_new, n_features)), rng.standard_normal((n_samples, n_features))
    containers = st.sampled_from(
        [np.ascontiguousarray, np.asfortranarray, every_other_column, sparse.csr_array, sparse.coo_array]
    )
    held_new, held = data.draw(containers)(X_new), data.draw(containers)(X)
    initial = RandomWeights(n_hidden, n_features, data.draw(st.integers(0, 2**128 - 1)), "relu")
    A, c = rng.standard_normal((n_samples, n_hidden)), rng.standard_normal()
    with pytest.MonkeyPatch.context() as monkeypatch:
        set_block_size(monkeypatch, *(data.draw(st.integers(1, high)) for high in (500, 9, 9)))
        monkeypatch.setattr(budget, "SPARSE_SHARE", data.draw(st.sampled_from([0, 2])))
        G, S0 = gram_and_preactivations(held, initial, "float64")
        S_new = preactivations_of(held_new, held, A, c, initial, "float64")
        W1 = expand(held, A, c, initial, "float64")
    assert_close(G, X @ X.T)
    assert_close(S0, X @ initial.dense("float64").T)
    assert_close(W1, c * initial.dense("float64") + A.T @ X)
    assert_close(S_new, X_new @ W1.T)


def test_duplicates_are_summed_in_the_wanted_dtype():
    """100 + 100 is 200 also where the entries are 8-bit integers."""
    X = sparse.coo_array((np.array([100, 100], np.int8), ([0, 0], [1, 1])), shape=(1, 3))
    initial = GivenWeights(np.ones((1, 3)))
    assert gram_and_preactivations(X, initial, "float64") == (200**2, 200)
    assert cross_gram_and_preactivations(X, X, initial, "float64") == (200**2, 200)


@pytest.mark.parametrize("n_new", [1, 3, 4, 60])
@pytest.mark.usefixtures("block_size")
def test_preactivations_of_few_and_many(n_new, global_random_seed):
    """Few new samples go through the Gram matrix (here up to 3), many through the weights: the same pre-activations."""
    rng = np.random.default_rng(global_random_seed)
    X_new, X = rng.standard_normal((n_new, 50)), rng.standard_normal((6, 50))
    W1, A = rng.standard_normal((4, 50)), rng.standard_normal((6, 4))
    S_new = preactivations_of(X_new, X, A, 0.5, GivenWeights(W1), "float64")
    assert_close(S_new, X_new @ (0.5 * W1 + A.T @ X).T)


@pytest.mark.parametrize("n_samples", [2, 5])
@pytest.mark.parametrize("container", [np.asarray, sparse.csr_array, sparse.coo_array, ArraySource])
@pytest.mark.usefixtures("block_size")
def test_preactivations_in_the_span(container, n_samples, global_random_seed):
    """Without initial weights, 60 new samples go through 2 training samples, a few rows at a time, and through A' X with 5."""
    rng = np.random.default_rng(global_random_seed)
    X_new, X, A = rng.standard_normal((60, 50)), rng.standard_normal((n_samples, 50)), rng.standard_normal((n_samples, 4))
    assert Work(60, n_samples, 50, 4, is_zero=True).is_less_by_products == (n_samples == 2)
    S_new = preactivations_of(container(X_new), X, A, 1.0, NoWeights(4, 50), "float64")
    assert_close(S_new, X_new @ X.T @ A)


# ----------------------------------------------------------------------------------------------------------------------
# precision, symmetry, threads


@pytest.mark.parametrize("container", [np.asarray, np.asfortranarray, every_other_column, sparse.csr_array])
@pytest.mark.parametrize("source", ["float32", "float64", "int8"])
@pytest.mark.usefixtures("block_size", "sparse_products")
def test_results_have_the_dtype_asked_for(container, source, dtype, global_random_seed):
    """Every result is of `dtype` and as good as its rounding allows, whatever the dtype of X, of A and of W1(0)."""
    rng = np.random.default_rng(global_random_seed)
    X = (rng.standard_normal((9, 60)) * 10).astype(source)
    initial, A = RandomWeights(4, 60, 1, "relu"), rng.standard_normal((9, 4))
    exact, W0 = X.astype(np.float64), initial.dense("float64")
    W1 = 0.9 * W0 + A.T @ exact
    G_new, S0_new = cross_gram_and_preactivations(container(X[:2]), container(X), initial, dtype)
    G, S0 = gram_and_preactivations(container(X), initial, dtype)
    pairs = [
        (G, exact @ exact.T),
        (S0, exact @ W0.T),
        (G_new, exact[:2] @ exact.T),
        (S0_new, exact[:2] @ W0.T),
        (preactivations_of(container(X[:2]), container(X), A, np.float64(0.9), initial, dtype), exact[:2] @ W1.T),
        (preactivations_of(container(X), container(X), A, np.float64(0.9), initial, dtype), exact @ W1.T),
        (expand(container(X), A, np.float64(0.9), GivenWeights(W0), dtype), W1),
    ]
    for actual, desired in pairs:
        assert actual.dtype == dtype
        assert type(actual) is np.ndarray
        assert_close(actual, desired, rtol=20 * np.finfo(dtype).eps)


@pytest.mark.usefixtures("sparse_products")
@pytest.mark.parametrize("container", [np.asarray, every_other_column, sparse.csr_array])
def test_blocks_are_summed_in_double_precision(container, monkeypatch):
    """2**24 + 1 + ... + 1: a single-precision sum over blocks would stay at 2**24."""
    set_block_size(monkeypatch, n_bytes=4, min_side=1, max_side=1)
    X = container(np.array([[2**12] + [1] * 8], dtype=np.float32))
    initial = GivenWeights(X.toarray() if sparse.issparse(X) else X)
    for result in (*gram_and_preactivations(X, initial, "float32"), *cross_gram_and_preactivations(X, X, initial, "float32")):
        assert result == 2**24 + 8
    assert preactivations_of(X, X, np.zeros((1, 1)), 1.0, initial, "float32") == 2**24 + 8


@pytest.mark.bits
@pytest.mark.parametrize("layout", AWKWARD, ids=lambda layout: layout.__name__)
def test_awkward_layouts_take_the_same_blas_routines(layout, dtype, global_random_seed):
    """The same bits as from a plain array: NumPy's own loops, a hundred times slower, would round differently."""
    X = layout(np.random.default_rng(global_random_seed).standard_normal((64, 500)).astype(dtype))
    initial = RandomWeights(30, 500, 0, "relu")
    for actual, plain in zip(
        gram_and_preactivations(X, initial, dtype),
        gram_and_preactivations(np.array(X, dtype, order="C"), initial, dtype),
        strict=True,
    ):
        np.testing.assert_array_equal(actual, plain)


@pytest.mark.bits
@pytest.mark.parametrize("n_samples", [50, 150], ids=["in one piece", "in tiles"])
@pytest.mark.parametrize("container", [np.asarray, byte_swapped, sparse.csr_array])
@pytest.mark.usefixtures("sparse_products")
def test_gram_matrix_is_exactly_symmetric(container, n_samples, dtype, monkeypatch, global_random_seed):
    """G equals G' to the last bit, whichever way its products are made."""
    set_block_size(monkeypatch, n_bytes=4096, min_side=8)
    X = container(some_inputs(np.random.default_rng(global_random_seed), n_samples, 41).astype(dtype) * dtype.type(1.1))
    G, _ = gram_and_preactivations(X, RandomWeights(2, 41, 0, "relu"), dtype)
    np.testing.assert_array_equal(G, G.T)


@pytest.mark.bits
@pytest.mark.usefixtures("sparse_products")
@pytest.mark.parametrize("container", [np.asarray, sparse.csr_array])
def test_threads_change_no_bit(container, dtype, monkeypatch, global_random_seed):
    """The same bits for any n_jobs."""
    set_block_size(monkeypatch, n_bytes=4096, min_side=8)
    take_all_threads(monkeypatch)
    rng = np.random.default_rng(global_random_seed)
    X, A = rng.standard_normal((60, 300)), rng.standard_normal((60, 3))
    X[rng.random(X.shape) < 0.9] = 0
    X, initial = container(X), RandomWeights(3, 300, global_random_seed, "relu")

    def results(n_jobs: int) -> list[np.ndarray]:
        return [
            *gram_and_preactivations(X, initial, dtype, n_jobs),
            *cross_gram_and_preactivations(X, X, initial, dtype, n_jobs),
            preactivations_of(X, X, A, 0.9, initial, dtype, n_jobs),
            expand(X, A, 0.9, initial, dtype, n_jobs=n_jobs),
        ]

    expected = results(1)
    for n_jobs in (2, 3, 7):
        for one, several in zip(expected, results(n_jobs), strict=True):
            np.testing.assert_array_equal(one, several)


def test_weights_are_made_by_several_threads(monkeypatch):
    """With n_jobs=2 two blocks of W1(0) are being made at the same time: each waits for the other."""
    set_block_size(monkeypatch, n_bytes=4 * 4 * 8, min_side=1)
    monkeypatch.setattr(budget, "WEIGHT_BYTES", 8)
    take_all_threads(monkeypatch)
    meeting = threading.Barrier(2, timeout=10)

    class Meeting(RandomWeights):
        def block(self, *args: Any) -> np.ndarray:
            meeting.wait()
            return super().block(*args)

    X, weights = np.eye(4), RandomWeights(1, 4, 3, "relu")
    _, S0 = gram_and_preactivations(X, Meeting(1, 4, 3, "relu"), "float64", n_jobs=2)
    np.testing.assert_array_equal(S0, weights.dense("float64").T)


# ----------------------------------------------------------------------------------------------------------------------
# memory


class Recorded(RandomWeights):
    """Random weights that remember the widest block they were asked for."""

    widest = 0

    def block(self, start: int, stop: int, dtype: Any) -> np.ndarray:
        Recorded.widest = max(Recorded.widest, stop - start)
        return super().block(start, stop, dtype)


def test_overflow_is_as_loud_in_threads(monkeypatch):
    """Where the caller silences overflow, the threads that multiply are silent too; where not, they warn."""
    take_all_threads(monkeypatch)
    X, initial = np.full((70, 9), 1e30, np.float32), GivenWeights(np.full((70, 9), 1e30))
    with np.errstate(over="ignore", invalid="ignore"):
        for product in gram_and_preactivations(X, initial, "float32", n_jobs=2):
            assert np.isinf(product).all()
    with pytest.warns(RuntimeWarning, match="overflow"):
        gram_and_preactivations(X, initial, "float32", n_jobs=2)


def test_weights_are_never_held_whole(monkeypatch, global_random_seed):
    """No function asks for more of W1(0) than its budget; expand alone returns all weights."""
    set_block_size(monkeypatch, n_bytes=budget.PARTS_AT_ONCE * 8 * 3 * 20, min_side=1)
    monkeypatch.setattr(Recorded, "widest", 0)
    rng = np.random.default_rng(global_random_seed)
    X, A, initial = rng.standard_normal((5, 300)), rng.standard_normal((5, 3)), Recorded(3, 300, 1, "relu")
    gram_and_preactivations(X, initial, "float64")
    cross_gram_and_preactivations(X, X, initial, "float64")
    for n_new in (1, 5):
        preactivations_of(X[:n_new], X, A, 1.0, initial, "float64")
    expand(X, A, 1.0, initial, "float64")
    assert Recorded.widest == 20


def mapped(path: Path, X: np.ndarray, order: str = "C") -> np.memmap:
    written = np.memmap(path, X.dtype, "w+", shape=X.shape, order=order)
    written[...] = X
    written.flush()
    return np.memmap(path, X.dtype, "r", shape=X.shape, order=order)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("view", [lambda X: X, np.asarray, lambda X: X[:, 1:], lambda X: X[::2, ::-1]])
@pytest.mark.usefixtures("block_size")
def test_memory_maps(order, view, dtype, tmp_path, global_random_seed):
    """A memory map, and any view of it, is read like an array, and stays as it was."""
    rng = np.random.default_rng(global_random_seed)
    X = view(mapped(tmp_path / "X.bin", rng.integers(-9, 9, (10, 33)).astype(np.float32), order))
    exact = np.array(X, np.float64)
    initial = GivenWeights(mapped(tmp_path / "W1.bin", rng.integers(-9, 9, (4, exact.shape[1])).astype(np.float64)))
    G, S0 = gram_and_preactivations(X, initial, dtype)
    np.testing.assert_array_equal(G, exact @ exact.T)  # integers: exact in either precision
    np.testing.assert_array_equal(S0, exact @ initial.array.T)
    np.testing.assert_array_equal(X, exact)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("out_dtype", ["float32", "float64"])
def test_expand_fills_what_it_is_given(order, out_dtype, tmp_path, monkeypatch, global_random_seed):
    """`out` may be an array or a memory map of either precision; it is filled and returned."""
    set_block_size(monkeypatch, n_bytes=100, min_side=3)
    rng = np.random.default_rng(global_random_seed)
    X, A, W1 = rng.standard_normal((6, 29)), rng.standard_normal((6, 4)), rng.standard_normal((4, 29))
    file = np.memmap(tmp_path / "W1.bin", out_dtype, "w+", shape=(4, 29), order=order)
    for out in (file, np.full((4, 29), np.nan, out_dtype, order)):
        assert expand(X, A, 2.0, GivenWeights(W1), "float64", out=out) is out
        assert_close(out, 2.0 * W1 + A.T @ X, rtol=4 * np.finfo(out_dtype).eps)
    own = np.array(W1, order=order)
    expand(X, A, 2.0, GivenWeights(own), "float64", out=own)
    assert_close(own, 2.0 * W1 + A.T @ X)


def peak(function: Callable[[], Any]) -> int:
    """Bytes that NumPy and Python held at most during the call, beyond what they held before."""
    tracemalloc.start()
    try:
        function()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


HELD = {
    "as it is": lambda X: X,
    "F": np.asfortranarray,
    "columns": columns_of_a_wider_array,
    "float64": lambda X: X.astype(np.float64),
    "float64 F": lambda X: np.asfortranarray(X, np.float64),
    "float16": lambda X: X.astype(np.float16),
    "bool": lambda X: X.astype(bool),
    **{layout.__name__: layout for layout in AWKWARD},
}


@pytest.mark.parametrize("container", HELD.values(), ids=HELD.keys())
def test_memory_is_bounded(container, monkeypatch):
    """A call holds a few block budgets, not a copy of 11 MB of inputs or of 11 MB of weights."""
    set_block_size(monkeypatch, n_bytes=MIB, min_side=64)
    plain = np.ones((64, 45_000), np.float32)
    X = container(plain)
    initial, A = RandomWeights(64, 45_000, 0, "relu"), np.zeros((64, 64), np.float32)
    W1 = np.empty((64, 45_000), np.float32)
    assert peak(lambda: gram_and_preactivations(X, initial, "float32", n_jobs=2)) < 8 * MIB
    for X_new, X_old in [(X, X), (X, plain), (plain, X)]:
        assert peak(lambda held=(X_new, X_old): cross_gram_and_preactivations(*held, initial, "float32", n_jobs=2)) < 8 * MIB
    assert peak(lambda: preactivations_of(X, X, A, 1.0, initial, "float32", n_jobs=2)) < 8 * MIB
    assert peak(lambda: expand(X, A, 1.0, initial, "float32", W1, n_jobs=2)) < 8 * MIB


def test_many_rows_are_taken_a_few_at_a_time(monkeypatch, global_random_seed):
    """Double precision sums for new samples are held for a few of them, not for all 30,000."""
    set_block_size(monkeypatch, n_bytes=MIB // 4, min_side=32)
    rng = np.random.default_rng(global_random_seed)
    X_new, X = rng.standard_normal((30_000, 20)), rng.standard_normal((50, 20))
    A, W1 = rng.standard_normal((50, 4)), rng.standard_normal((4, 20))
    results = 30_000 * 8 * np.array([50 + 4, 4])
    assert peak(lambda: cross_gram_and_preactivations(X_new, X, GivenWeights(W1), "float64")) < results[0] + 3 * MIB
    assert peak(lambda: preactivations_of(X_new, X, A, 1.0, GivenWeights(W1), "float64")) < results[1] + 2 * MIB


@pytest.mark.parametrize("container", [sparse.csr_matrix, sparse.csc_array, sparse.coo_matrix])
@pytest.mark.usefixtures("sparse_products")
def test_sparse_inputs_are_never_made_dense(container, monkeypatch):
    """60 x 20,000 stay sparse: what is made dense is a Gram matrix or a block within the budget."""
    set_block_size(monkeypatch, n_bytes=8 * 60 * 100, min_side=1)
    X = sparse.random(60, 20_000, density=0.001, random_state=0)
    exact, held, sizes = X.toarray(), container(X), []
    for kind in {type(held), *(getattr(sparse, f"{f}_{k}") for f in ("csr", "csc", "coo") for k in ("array", "matrix"))}:

        def recorded(self, *args, original=kind.toarray, **kwargs):
            sizes.append(np.prod(self.shape))
            return original(self, *args, **kwargs)

        monkeypatch.setattr(kind, "toarray", recorded)
    initial, A = RandomWeights(2, 20_000, 0, "relu"), np.ones((60, 2))
    G, S0 = gram_and_preactivations(held, initial, "float64")
    assert_close(G, exact @ exact.T)
    assert_close(S0, exact @ initial.dense("float64").T)
    cross_gram_and_preactivations(held, held, initial, "float64")
    preactivations_of(held, held, A, 1.0, initial, "float64")
    assert_close(expand(held, A, 1.0, initial, "float64"), initial.dense("float64") + A.T @ exact)
    assert 0 < max(sizes) <= 60 * 100


@pytest.mark.parametrize("order", ["C", "F"])
def test_memory_maps_are_read_within_the_budget(order, tmp_path, monkeypatch):
    """So that a file larger than memory is read once: the part that all products of a block read stays cached."""
    set_block_size(monkeypatch, n_bytes=2 * 4 * 10 * 100, min_side=1)  # half for the block, half for what it is made from
    X = mapped(tmp_path / "X.bin", np.ones((10, 1000), np.float32), order)
    for view in (X, np.asarray(X), X[:, 1:]):
        assert reading.reader(view, np.dtype("float32")).width == 100


CHILD = """
import resource
import numpy as np
from fcfast.gram.products import expand, gram_and_preactivations
from fcfast.gram.start import RandomWeights

N, d, h = 64, 800_000, 32
columns = np.arange(0, d, 9973)
values = np.random.default_rng(0).integers(-9, 9, (N, len(columns)))
written = np.memmap(f"{folder}/X.bin", "float32", "w+", shape=(N, d), order=order)  # 205 MB, the rest of it holes
written[:, columns] = values
written.flush()
X = np.memmap(written.filename, "float32", "r", shape=(N, d), order=order)
W1 = np.memmap(f"{folder}/W1.bin", "float32", "w+", shape=(h, d))
initial = RandomWeights(h, d, 1, "relu")
A = np.random.default_rng(1).standard_normal((N, h))
gram_and_preactivations(values, RandomWeights(h, len(columns), 1, "relu"), dtype, n_jobs=2)  # BLAS takes its buffers

status = dict(line.split(":", 1) for line in open("/proc/self/status"))
limit = int(status["VmData"].split()[0]) * 1024 + 150 * 2**20
resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
try:
    np.array(X, dtype)
except MemoryError:
    print("a copy is over the limit")

G, S0 = gram_and_preactivations(X, initial, dtype, n_jobs=2)
expand(X, A, 0.5, initial, dtype, out=W1, n_jobs=2)

W0 = np.hstack([initial.block(column, column + 1, dtype) for column in columns])
np.testing.assert_array_equal(G, values @ values.T)
np.testing.assert_allclose(S0, values @ W0.T.astype(float), rtol=0, atol=1e-5)
np.testing.assert_allclose(W1[:, columns], 0.5 * W0 + A.T @ values, rtol=1e-5, atol=1e-4)
assert type(X) is np.memmap and X.filename
print("done")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the limit on private memory is Linux's")
@pytest.mark.parametrize(("order", "dtype"), [("C", "float32"), ("F", "float64")])
def test_a_large_memory_map_stays_one(order, dtype, tmp_path, run_python):
    """205 MB of inputs and 102 MB of weights, in files, within 150 MiB of private memory, which the kernel enforces."""
    settings = f"folder, order, dtype = {[str(tmp_path), order, dtype]!r}\n"
    result = run_python(settings + CHILD, OPENBLAS_NUM_THREADS="1")
    assert result.stdout.split("\n")[:2] == ["a copy is over the limit", "done"], result.stderr


# ----------------------------------------------------------------------------------------------------------------------
# errors


def test_feature_counts_must_agree():
    """A mismatch names both counts, before anything is read."""
    X, initial, A = np.ones((2, 5)), RandomWeights(3, 5, 0, "relu"), np.ones((2, 3))
    other = RandomWeights(3, 4, 0, "relu")
    weights = r"X has 5 feature\(s\), but W1\(0\) has 4"
    inputs = r"X_new has 6 feature\(s\), but X has 5"
    calls: list[tuple[str, Callable[[], Any]]] = [
        (weights, lambda: gram_and_preactivations(X, other, "float64")),
        (weights, lambda: cross_gram_and_preactivations(X, X, other, "float64")),
        (weights, lambda: preactivations_of(X, X, A, 1.0, other, "float64")),
        (weights, lambda: expand(X, A, 1.0, other, "float64")),
        (inputs, lambda: cross_gram_and_preactivations(np.ones((2, 6)), X, initial, "float64")),
        (inputs, lambda: preactivations_of(sparse.csr_array((2, 6)), X, A, 1.0, initial, "float64")),
    ]
    for message, call in calls:
        with pytest.raises(ValueError, match=message):
            call()
