"""Everything that reads the inputs X (N, d): their Gram matrix, the pre-activations they give, and the way back to weights.

One pass, in blocks of features (of very sparse inputs, those that occur: `fcfast.gram.occurring`): an array, a sparse matrix
or a memory map is never converted or made dense as a whole, and W1(0) is made block by block beside it. What a call holds
besides arguments, results and their sums in double precision stays near `BLOCK_BYTES`; only a sparse matrix is copied once,
still sparse, to have its columns at hand.

Products are made in `dtype` and summed over many blocks in double precision. Every dense block is C-contiguous, blocks and
tiles depend on shapes alone, and each of our threads gives BLAS one of its own: neither the number of threads, nor the memory
order of the inputs, nor whether two arguments are one array changes a single bit of the result.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray
from scipy import sparse

from fcfast.gram.occurring import ChosenWeights, entry_pairs, occurring, within
from fcfast.gram.start import InitialWeights
from fcfast.sources.mapped import is_mapped
from fcfast.threads import one_blas_thread, resolve_n_jobs

BLOCK_BYTES = 64 << 20  # of inputs read or converted, or of a product before it is added to the others
WEIGHT_BYTES = 4 << 20  # of weights that each thread makes before threads wait for each other,
PARTS_AT_ONCE = 4  # in so many parts, multiplied while they are still in cache
MIN_SIDE = 1024  # no block has a shorter side to save bytes: adding up its products would take longer than making them
MAX_SIDE = 65536  # no product sums more features than this in single precision
FEW_BLOCKS = 8
SPARSE_SHARE = 1 / 250  # of a dense product's multiplications; a sparse product that makes more of them is slower than BLAS
TILES = 8  # a side, of a Gram matrix that threads share: those on and below the diagonal are made
SMALL_PREACTIVATIONS = 65536  # numbers, of which every thread may hold a few times as many
MIN_TILE = 64  # samples or units of a product that a thread makes alone; BLAS is slower on less
STRIP = 64  # features that are transposed while they are in cache
MIN_ROWS = 8  # new samples that a thread multiplies by weights at a time, even where a block of so many is large

Array = NDArray[Any]
Inputs = Any  # ndarray, memmap, or a sparse matrix or array of any format
Block = Any  # ndarray, or CSC where that is faster


def gram_and_preactivations(
    X: Inputs, initial: InitialWeights, dtype: DTypeLike, n_jobs: int | None = None
) -> tuple[Array, Array]:
    """Compute the Gram matrix and the initial pre-activations of the training inputs.

    Parameters
    ----------
    X : ndarray, memmap or sparse of shape (N, d)
    initial : InitialWeights
        W1(0), for h hidden units.
    dtype : {"float32", "float64"}
        Of products and results.
    n_jobs : int or None
        Threads; each of them has one of BLAS's.

    Returns
    -------
    G : ndarray of shape (N, N)
        X X', exactly symmetric.
    S0 : ndarray of shape (N, h)
        X W1(0)'.

    Raises
    ------
    ValueError
        If the numbers of features differ.

    Examples
    --------
    >>> import numpy as np
    >>> from fcfast.gram.products import gram_and_preactivations
    >>> from fcfast.gram.start import GivenWeights
    >>> G, S0 = gram_and_preactivations(np.array([[1, 2], [0, 3]]), GivenWeights(np.ones((1, 2))), "float64")
    >>> G.tolist(), S0.tolist()
    ([[5.0, 6.0], [6.0, 9.0]], [[3.0], [3.0]])
    """
    dtype = np.dtype(dtype)
    n_samples, n_features = X.shape
    _check_features("X", X, "W1(0)", initial.n_features)
    if (columns := occurring(X)) is not None:
        return gram_and_preactivations(within(X, columns), ChosenWeights(initial, columns), dtype, n_jobs)
    n_threads = resolve_n_jobs(n_jobs)
    inputs = _reader(X, dtype)
    # A few single-precision products may be added up as they are; the sum of many would lose digits.
    G = np.zeros((n_samples, n_samples), dtype if n_features <= FEW_BLOCKS * inputs.width else np.float64)
    S0 = np.zeros((n_samples, initial.n_hidden))
    with _sharing(n_threads) as run:
        for features in _slices(n_features, inputs.width):
            block = inputs.read(features)
            _add_gram(G, block, run)
            parts = _parts(initial, features, dtype)
            _add_preactivations(S0, block, parts, lambda part: initial.block(part.start, part.stop, dtype), n_threads, run)
    _mirror(G)
    return G.astype(dtype, copy=False), S0.astype(dtype, copy=False)


def cross_gram_and_preactivations(
    X_new: Inputs, X: Inputs, initial: InitialWeights, dtype: DTypeLike, n_jobs: int | None = None
) -> tuple[Array, Array]:
    """Compute the products of new inputs with the training inputs, and the pre-activations that W1(0) gives them.

    Parameters
    ----------
    X_new : ndarray, memmap or sparse of shape (M, d)
    X : ndarray, memmap or sparse of shape (N, d)
    initial, dtype, n_jobs
        As for `gram_and_preactivations`.

    Returns
    -------
    G_new : ndarray of shape (M, N)
        X_new X'.
    S0_new : ndarray of shape (M, h)
        X_new W1(0)'.

    Raises
    ------
    ValueError
        If the numbers of features differ.
    """
    dtype = np.dtype(dtype)
    _check_features("X_new", X_new, "X", X.shape[1])
    _check_features("X", X, "W1(0)", initial.n_features)
    if sparse.issparse(X) and (columns := occurring(X_new)) is not None:
        chosen = ChosenWeights(initial, columns)
        return cross_gram_and_preactivations(within(X_new, columns), within(X, columns), chosen, dtype, n_jobs)
    n_threads = resolve_n_jobs(n_jobs)
    inputs = _reader(X, dtype)
    G_new = np.empty((X_new.shape[0], X.shape[0]), dtype)
    S0_new = np.empty((X_new.shape[0], initial.n_hidden), dtype)
    with _sharing(n_threads) as run:
        for rows, new_inputs in _row_readers(X_new, X.shape[0] + initial.n_hidden, dtype):
            products, preactivations = np.zeros(G_new[rows].shape), np.zeros(S0_new[rows].shape)
            for features in _slices(X.shape[1], min(inputs.width, new_inputs.width)):
                block = new_inputs.read(features)
                _add_cross(products, block, inputs.read(features), run)
                parts = _parts(initial, features, dtype)
                _add_preactivations(
                    preactivations, block, parts, lambda part: initial.block(part.start, part.stop, dtype), n_threads, run
                )
            G_new[rows], S0_new[rows] = products, preactivations
    return G_new, S0_new


def cross_gram(X_new: Inputs, X: Inputs, dtype: DTypeLike, n_jobs: int | None = None) -> Array:
    """Compute the products of new inputs with the training inputs.

    Parameters
    ----------
    X_new : ndarray, memmap or sparse of shape (M, d)
    X : ndarray, memmap or sparse of shape (N, d)
    dtype : {"float32", "float64"}
        Of products and result.
    n_jobs : int or None
        Threads; each of them has one of BLAS's.

    Returns
    -------
    ndarray of shape (M, N)
        X_new X'.

    Raises
    ------
    ValueError
        If the numbers of features differ.
    """
    dtype = np.dtype(dtype)
    _check_features("X_new", X_new, "X", X.shape[1])
    if sparse.issparse(X) and (columns := occurring(X_new)) is not None:
        return cross_gram(within(X_new, columns), within(X, columns), dtype, n_jobs)
    inputs = _reader(X, dtype)
    G_new = np.empty((X_new.shape[0], X.shape[0]), dtype)
    with _sharing(resolve_n_jobs(n_jobs)) as run:
        for rows, new_inputs in _row_readers(X_new, X.shape[0], dtype):
            products = np.zeros(G_new[rows].shape)
            for features in _slices(X.shape[1], min(inputs.width, new_inputs.width)):
                _add_cross(products, new_inputs.read(features), inputs.read(features), run)
            G_new[rows] = products
    return G_new


def stacked(X: Inputs, X_new: Inputs) -> Inputs:
    """Join samples to others, as sparse as the others are."""
    if sparse.issparse(X):
        return sparse.vstack([X, sparse.csr_array(X_new)], format="csr")
    return np.concatenate([X, X_new.toarray() if sparse.issparse(X_new) else X_new])


def preactivations_of(
    X_new: Inputs, X: Inputs, A: Array, c: float, initial: InitialWeights, dtype: DTypeLike, n_jobs: int | None = None
) -> Array:
    """Compute the pre-activations X_new W1' for W1 = c W1(0) + A' X, without ever holding W1.

    Parameters
    ----------
    X_new : ndarray, memmap or sparse of shape (M, d)
    X : ndarray, memmap or sparse of shape (N, d)
    A : ndarray of shape (N, h)
        Contributions of the training samples.
    c : float
    initial, dtype, n_jobs
        As for `gram_and_preactivations`.

    Returns
    -------
    ndarray of shape (M, h)

    Raises
    ------
    ValueError
        If the numbers of features differ.
    """
    dtype = np.dtype(dtype)
    _check_features("X_new", X_new, "X", X.shape[1])
    _check_features("X", X, "W1(0)", initial.n_features)
    if sparse.issparse(X) and (columns := occurring(X_new)) is not None:
        chosen = ChosenWeights(initial, columns)
        return preactivations_of(within(X_new, columns), within(X, columns), A, c, chosen, dtype, n_jobs)
    A, c = np.asarray(A, dtype), float(c)
    n_new, n_features = X_new.shape
    # (X_new X') A takes M N (d + h) products, X_new (A' X)' takes N h d beside the M h d that W1(0) takes either way
    if n_new * (n_features + initial.n_hidden) < initial.n_hidden * n_features:
        G_new, S0_new = cross_gram_and_preactivations(X_new, X, initial, dtype, n_jobs)
        with one_blas_thread():
            return c * S0_new + G_new @ A
    n_threads = resolve_n_jobs(n_jobs)
    inputs = _reader(X, dtype)
    S_new = np.empty((n_new, initial.n_hidden), dtype)
    with _sharing(n_threads) as run:
        for rows, new_inputs in _row_readers(X_new, initial.n_hidden, dtype):
            preactivations = np.zeros(S_new[rows].shape)
            for features in _slices(n_features, min(inputs.width, new_inputs.width)):
                held = inputs.read(features)

                def updated(part: slice, held: Block = held, start: int = features.start) -> Array:
                    weights = initial.block(part.start, part.stop, dtype)
                    return _updated(weights, held[:, part.start - start : part.stop - start], A, c)

                _add_preactivations(
                    preactivations, new_inputs.read(features), _parts(initial, features, dtype), updated, n_threads, run
                )
            S_new[rows] = preactivations
    return S_new


def preactivations_by_weights(X_new: Inputs, W1: Array, n_jobs: int | None = None) -> Array:
    """Compute the pre-activations X_new W1' in the precision of the weights, the samples in blocks that threads share.

    A sparse matrix reads the weights of the features that it has, no others.

    Parameters
    ----------
    X_new : ndarray, memmap or sparse of shape (M, d)
    W1 : ndarray of shape (h, d)
    n_jobs : int or None
        Threads; each of them has one of BLAS's.

    Returns
    -------
    ndarray of shape (M, h)

    Raises
    ------
    ValueError
        If the numbers of features differ.
    """
    _check_features("X_new", X_new, "W1", W1.shape[1])
    if sparse.issparse(X_new):
        rows = X_new.tocsr().astype(W1.dtype, copy=False)
        features, places = np.unique(rows.indices, return_inverse=True)
        narrow = sparse.csr_array((rows.data, places, rows.indptr), shape=(rows.shape[0], len(features)))
        return np.asarray(narrow @ np.ascontiguousarray(W1[:, features].T))
    S_new = np.empty((X_new.shape[0], len(W1)), W1.dtype)
    affordable = max(MIN_ROWS, BLOCK_BYTES // (PARTS_AT_ONCE * W1.shape[1] * W1.itemsize))
    parts = _slices(len(S_new), min(affordable, max(MIN_TILE, -(-len(S_new) // TILES))))

    def multiply(part: slice) -> None:
        np.matmul(np.ascontiguousarray(X_new[part], dtype=W1.dtype), W1.T, out=S_new[part])

    with _sharing(min(len(parts), resolve_n_jobs(n_jobs))) as run:
        list(run(multiply, parts))
    return S_new


def expand(
    X: Inputs,
    A: Array,
    c: float | Array,
    initial: InitialWeights,
    dtype: DTypeLike,
    out: Array | None = None,
    n_jobs: int | None = None,
) -> Array:
    """Compute the conventional weights W1 = c W1(0) + A' X.

    Parameters
    ----------
    X, A, initial, dtype, n_jobs
        As for `preactivations_of`.
    c : float or ndarray of shape (h,)
        A factor for all units, or one for each.
    out : ndarray or memmap of shape (h, d), or None
        Filled and returned, the array of given weights itself too; None makes a new C-contiguous array of `dtype`.

    Returns
    -------
    ndarray of shape (h, d)

    Raises
    ------
    ValueError
        If the numbers of features differ.
    """
    dtype = np.dtype(dtype)
    _check_features("X", X, "W1(0)", initial.n_features)
    A, c = np.asarray(A, dtype), np.asarray(c, dtype) if np.ndim(c) else float(c)
    n_threads = resolve_n_jobs(n_jobs)
    W1 = np.empty((initial.n_hidden, initial.n_features), dtype) if out is None else out
    inputs = _reader(X, dtype)
    with _sharing(n_threads) as run:
        for features in _slices(X.shape[1], inputs.width):
            block = inputs.read(features)

            def fill(part: slice, block: Block = block, start: int = features.start) -> None:
                weights, into = initial.block(part.start, part.stop, dtype), W1[:, part]
                inputs = block[:, part.start - start : part.stop - start]
                if into.dtype != dtype or sparse.issparse(inputs) or np.may_share_memory(into, weights):
                    into[:] = _updated(weights, inputs, A, c)
                else:
                    _updated(weights, inputs, A, c, into)

            list(run(fill, _parts(initial, features, dtype)))
    return W1


# ----------------------------------------------------------------------------------------------------------------------
# reading inputs


@dataclass(frozen=True)
class _Reader:
    """Inputs in blocks: `read(features)` gives those columns in the wanted dtype, at most `width` of them at a time."""

    width: int
    read: Callable[[slice], Block]


def _reader(X: Inputs, dtype: np.dtype[Any]) -> _Reader:
    n_samples = X.shape[0]
    affordable = min(MAX_SIDE, max(MIN_SIDE, BLOCK_BYTES // (n_samples * dtype.itemsize)))
    if sparse.issparse(X):
        columns = X.astype(dtype, copy=False).tocsc()
        share = entry_pairs(columns) / (n_samples**2 * columns.shape[1])  # of what the Gram matrix of dense columns takes
        if share < SPARSE_SHARE:
            return _Reader(MAX_SIDE, lambda features: columns[:, features])
        return _Reader(affordable, lambda features: columns[:, features].toarray())
    array = np.asarray(X)
    if _suits_blas(array, dtype):
        return _Reader(affordable if is_mapped(array) else MAX_SIDE, lambda features: array[:, features])
    return _Reader(affordable, lambda features: _in_rows(array[:, features], dtype))


def _in_rows(array: Array, dtype: np.dtype[Any]) -> Array:
    """Copy to a C-contiguous array, in strips of columns that stay in cache where these are contiguous."""
    rows = np.empty(array.shape, dtype)
    for strip in _slices(array.shape[1], STRIP if array.strides[0] < array.strides[1] else array.shape[1]):
        rows[:, strip] = array[:, strip]
    return rows


def _suits_blas(array: Array, dtype: np.dtype[Any]) -> bool:
    """Tell whether BLAS takes any block of columns of the array as it is, row after row: rows contiguous, none overlapping."""
    of_row, of_number = array.strides
    size = array.itemsize
    is_in_order = of_number == size and of_row % size == 0 and of_row >= array.shape[1] * size
    return array.dtype == dtype and array.flags.aligned and is_in_order


def _row_readers(X: Inputs, n_results: int, dtype: np.dtype[Any]) -> Iterator[tuple[slice, _Reader]]:
    """Readers of as many rows at a time as leave blocks and their `n_results` double precision results per row affordable."""
    rows_of = X.astype(dtype, copy=False).tocsr() if sparse.issparse(X) else X
    for rows in _slices(X.shape[0], _affordable_rows(n_results)):
        yield rows, _reader(rows_of[rows], dtype)


def _affordable_rows(n_results: int) -> int:
    return max(MIN_SIDE, BLOCK_BYTES // (8 * max(MIN_SIDE, n_results)))


def _slices(size: int, step: int, start: int = 0) -> list[slice]:
    return [slice(first, min(first + step, size)) for first in range(start, size, step)]


def _check_features(name: str, X: Inputs, other_name: str, n_features: int) -> None:
    if X.shape[1] != n_features:
        raise ValueError(f"{name} has {X.shape[1]} feature(s), but {other_name} has {n_features}; they must agree")


# ----------------------------------------------------------------------------------------------------------------------
# products


def _product(block: Block, other: Block) -> Array:
    product = block @ other.T
    return product.toarray() if sparse.issparse(product) else product


def _cross_product(block: Block, other: Block) -> Array:
    """Compute block other', with the same bits whether or not they are one array.

    For one array NumPy takes another routine, which rounds differently. It compares shapes, too, and a half never has that of
    the whole.
    """
    if sparse.issparse(block) or sparse.issparse(other) or block.shape != other.shape:
        return _product(block, other)
    half = len(block) // 2
    return np.concatenate([block[:half] @ other.T, block[half:] @ other.T])


def _add_gram(G: Array, block: Block, run: Callable[..., Any]) -> None:
    """Add block block' to G, on and below the diagonal, in square tiles: NumPy makes those on it symmetrically."""
    n_samples = len(G)
    if n_samples < 2 * MIN_TILE and not sparse.issparse(block):  # too few for tiles: threads share the features
        features = _slices(block.shape[1], -(-block.shape[1] // TILES))
        for product in run(lambda part: _product(block[:, part], block[:, part]), features):
            G += product
        return
    side = min(_affordable_rows(n_samples), -(-n_samples // min(TILES, max(1, n_samples // MIN_TILE))))
    if sparse.issparse(block):
        block = block.tocsr()

    def add(tile: tuple[slice, slice]) -> None:
        rows, columns = tile
        G[rows, columns] += _product(block[rows], block[columns])

    tiles = _slices(n_samples, side)
    list(run(add, [(rows, columns) for i, rows in enumerate(tiles) for columns in tiles[: i + 1]]))


def _add_cross(G: Array, block: Block, other: Block, run: Callable[..., Any]) -> None:
    """Add block other' to G: threads share the samples of the longer side."""
    whole = slice(None)
    if sparse.issparse(block) or sparse.issparse(other):
        tiles = [(whole, whole)]
    else:
        pieces = _slices(max(G.shape), max(MIN_TILE, -(-max(G.shape) // TILES)))
        tiles = [(piece, whole) if len(block) >= len(other) else (whole, piece) for piece in pieces]

    def add(tile: tuple[slice, slice]) -> None:
        G[tile] += _cross_product(block[tile[0]], other[tile[1]])

    list(run(add, tiles))


def _add_preactivations(
    S0: Array,
    block: Block,
    parts: list[slice],
    weights_of: Callable[[slice], Array],
    n_threads: int,
    run: Callable[..., Any],
) -> None:
    """Add block W' to S0, given W (h, width) of parts of the features that the block begins with.

    Threads share the features or, where S0 is large, the making of weights and then its units.
    """

    def inputs_of(part: slice) -> Block:
        return block[:, part.start - parts[0].start : part.stop - parts[0].start]

    for group in _groups(parts, PARTS_AT_ONCE * n_threads):
        if S0.size <= SMALL_PREACTIVATIONS:
            for product in run(lambda part: inputs_of(part) @ weights_of(part).T, group):
                S0 += product
            continue
        inputs, made = list(map(inputs_of, group)), list(run(weights_of, group))

        def add(
            tile: tuple[slice, slice], preactivations: Array = S0, inputs: list[Block] = inputs, made: list[Array] = made
        ) -> None:
            rows, units = tile
            for part, weights in zip(inputs, made, strict=True):
                preactivations[tile] += part[rows] @ weights[units].T

        list(run(add, _tiles(S0, sparse.issparse(block))))


def _tiles(S0: Array, whole: bool) -> list[tuple[slice, slice]]:
    """Split pre-activations (N, h) by units, or by rows where the units are few, or not at all."""
    n_samples, n_hidden = S0.shape
    if whole:
        return [(slice(None), slice(None))]
    if n_hidden >= 2 * MIN_TILE:
        return [(slice(None), units) for units in _slices(n_hidden, MIN_TILE)]
    return [(rows, slice(None)) for rows in _slices(n_samples, max(MIN_TILE, -(-n_samples // TILES)))]


def _mirror(G: Array) -> None:
    """Copy what is below the diagonal above it."""
    for rows in _slices(len(G), 128):  # narrow: a transposed copy stays in cache
        G[: rows.start, rows] = G[rows, : rows.start].T
        corner = np.tril(G[rows, rows])
        G[rows, rows] = corner + np.tril(corner, -1).T


def _parts(initial: InitialWeights, features: slice, dtype: np.dtype[Any]) -> list[slice]:
    """Part the features so that the weights of each stay in cache."""
    return _slices(
        features.stop, max(MIN_SIDE, WEIGHT_BYTES // (PARTS_AT_ONCE * initial.n_hidden * dtype.itemsize)), features.start
    )


def _groups(parts: list[slice], size: int) -> list[list[slice]]:
    return [parts[first : first + size] for first in range(0, len(parts), size)]


def _updated(weights: Array, inputs: Block, A: Array, c: float | Array, out: Array | None = None) -> Array:
    """Compute c W1(0) + A' X for the W1(0) (h, width) of these inputs (N, width), in `out` if they are dense."""
    updated = (inputs.T @ A).T if sparse.issparse(inputs) else np.matmul(A.T, inputs, out=out)
    factor = c[:, None] if isinstance(c, np.ndarray) else updated.dtype.type(c)
    for strip in _slices(updated.shape[1], STRIP):
        updated[:, strip] += factor * weights[:, strip]
    return updated


@contextmanager
def _sharing(n_threads: int) -> Iterator[Callable[..., Any]]:
    """Give ``map`` in so many threads, each with one of BLAS's: two layers of threads would wait for one another."""
    with one_blas_thread(), _mapping(n_threads) as run:
        yield run


@contextmanager
def _mapping(n_threads: int) -> Iterator[Callable[..., Any]]:
    """Give ``map``, or one that runs in so many threads."""
    if n_threads == 1:
        yield map
        return
    with ThreadPoolExecutor(n_threads, initializer=partial(np.seterr, **np.geterr())) as pool:  # as the caller has it
        yield pool.map
