"""Sums over the features of samples: each function reads its inputs once, in blocks, and gives sums in double precision.

They are what `fcfast.gram.products` rounds to results. A sum over all features is the sum of those over parts of them, so that
each part can be read where it lies (`fcfast.sources.elsewhere`). Inputs are samples or a `Reader` of them.
"""

from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from fcfast.gram import budget
from fcfast.gram.accumulate import PlainSum, TriangleSum
from fcfast.gram.reading import Block, Inputs, Reader, reader
from fcfast.gram.start import InitialWeights
from fcfast.gram.sums import add_cross, add_gram, add_preactivations, parts_of, updated_weights
from fcfast.sharing import sharing
from fcfast.sources.elsewhere import PerFeature
from fcfast.threads import resolve_n_jobs
from fcfast.tiles import slices

Array = NDArray[Any]
DType = np.dtype[Any]


def gram_sums(
    X: Inputs, initial: InitialWeights | None, dtype: DType, n_jobs: int | None, n_all: int, G: Array | None = None
) -> tuple[PlainSum | TriangleSum, Array]:
    """Sum the products X X' on and below the diagonal, and the pre-activations X W1(0)', of shape (N, 0) without W1(0).

    Parameters
    ----------
    n_all : int
        Number of all features, of which X may be a part.
    G : ndarray of shape (N, N), or None
        Array of zeros in which the sum is made; None makes one.
    """
    inputs, n_threads = _reader(X, dtype), resolve_n_jobs(n_jobs)
    n_samples, n_features = inputs.shape
    G = np.zeros((n_samples, n_samples), dtype) if G is None else G
    # A few single-precision products can be added in single precision; a plain sum of many would lose digits.
    is_plain = dtype == np.float64 or n_all <= budget.FEW_BLOCKS * inputs.width
    total = PlainSum(G) if is_plain else TriangleSum(G)
    S0 = np.zeros((n_samples, _n_hidden(initial)))
    with sharing(n_threads) as run:
        for features in slices(n_features, inputs.width):
            block = inputs.read(features)
            add_gram(total.add, block, run)
            if initial is not None:
                _add_initial(S0, block, initial, features, dtype, n_threads, run)
    return total, S0


def initial_sums(X: Inputs, initial: InitialWeights, dtype: DType, n_jobs: int | None) -> tuple[Array]:
    """Sum the pre-activations X W1(0)' (M, h)."""
    inputs, n_threads = _reader(X, dtype), resolve_n_jobs(n_jobs)
    S0 = np.zeros((inputs.shape[0], initial.n_hidden))
    with sharing(n_threads) as run:
        for features in slices(inputs.shape[1], inputs.width):
            _add_initial(S0, inputs.read(features), initial, features, dtype, n_threads, run)
    return (S0,)


def cross_sums(
    X_new: Inputs, X: Inputs, initial: InitialWeights | None, dtype: DType, n_jobs: int | None
) -> tuple[Array, Array]:
    """Sum the products X_new X' (M, N), and the pre-activations X_new W1(0)', of shape (M, 0) without W1(0)."""
    new_inputs, inputs, n_threads = _reader(X_new, dtype), _reader(X, dtype), resolve_n_jobs(n_jobs)
    products = np.zeros((new_inputs.shape[0], inputs.shape[0]))
    preactivations = np.zeros((new_inputs.shape[0], _n_hidden(initial)))
    with sharing(n_threads) as run:
        for features in slices(inputs.shape[1], min(inputs.width, new_inputs.width)):
            block = new_inputs.read(features)
            add_cross(products, block, inputs.read(features), run)
            if initial is not None:
                _add_initial(preactivations, block, initial, features, dtype, n_threads, run)
    return products, preactivations


def updated_sums(
    X_new: Inputs, X: Inputs, initial: InitialWeights, A: Array, c: float, dtype: DType, n_jobs: int | None
) -> tuple[Array]:
    """Sum the pre-activations X_new W1' (M, h) for W1 = c W1(0) + A' X, whose parts are made one after another."""
    new_inputs, inputs, n_threads = _reader(X_new, dtype), _reader(X, dtype), resolve_n_jobs(n_jobs)
    preactivations = np.zeros((new_inputs.shape[0], initial.n_hidden))
    with sharing(n_threads) as run:
        for features in slices(inputs.shape[1], min(inputs.width, new_inputs.width)):
            held = inputs.read(features)

            def updated(part: slice, held: Block = held, start: int = features.start) -> Array:
                weights = initial.block(part.start, part.stop, dtype)
                return updated_weights(weights, held[:, part.start - start : part.stop - start], A, c)

            add_preactivations(
                preactivations, new_inputs.read(features), parts_of(initial, features, dtype), updated, n_threads, run
            )
    return (preactivations,)


def crossed_sums(
    X_new: Inputs, X: Inputs, initial: InitialWeights, A: Array, c: float, dtype: DType, n_jobs: int | None
) -> tuple[Array]:
    """Sum the same pre-activations (M, h) by way of products with the samples, c X_new W1(0)' + (X_new X') A."""
    products, preactivations = cross_sums(X_new, X, None if initial.is_zero else initial, dtype, n_jobs)
    with sharing(1):
        changes = products @ A
    return (changes if initial.is_zero else c * preactivations + changes,)


def expanded(
    X: Inputs, A: Array, c: float | Array, initial: InitialWeights, dtype: DType, n_jobs: int | None, out: Array
) -> Array:
    """Fill `out` (h, d) with the weights c W1(0) + A' X."""
    inputs = _reader(X, dtype)
    with sharing(resolve_n_jobs(n_jobs)) as run:
        for features in slices(inputs.shape[1], inputs.width):
            block = inputs.read(features)

            def fill(part: slice, block: Block = block, start: int = features.start) -> None:
                weights, into = initial.block(part.start, part.stop, dtype), out[:, part]
                inputs = block[:, part.start - start : part.stop - start]
                if into.dtype != dtype or sparse.issparse(inputs) or np.may_share_memory(into, weights):
                    into[:] = updated_weights(weights, inputs, A, c)
                else:
                    updated_weights(weights, inputs, A, c, into)

            list(run(fill, parts_of(initial, features, dtype)))
    return out


def new_weights(
    X: Inputs,
    initial: InitialWeights,
    scale: PerFeature | None,
    A: Array,
    c: float | Array,
    dtype: DType,
    n_jobs: int | None,
) -> tuple[Array]:
    """Give the same weights as a new array (d, h), or in double precision, those of each feature divided by its scale."""
    weights = expanded(X, A, c, initial, dtype, n_jobs, np.empty((initial.n_hidden, initial.n_features), dtype)).T
    return (weights if scale is None else weights.astype(np.float64) / scale.numbers[:, None],)


def squared_sums(X: Inputs, dtype: DType) -> tuple[Array]:
    """Sum the squares of the numbers of each sample (M,)."""
    inputs = _reader(X, dtype)
    norms = np.zeros(inputs.shape[0])
    for features in slices(inputs.shape[1], inputs.width):
        block = inputs.read(features)
        if sparse.issparse(block):
            norms += np.asarray(block.astype(np.float64).power(2).sum(axis=1)).ravel()
        else:
            norms += np.einsum("ij,ij->i", block, block, dtype=np.float64)
    return (norms,)


def _reader(X: Inputs, dtype: DType) -> Reader:
    return X if isinstance(X, Reader) else reader(X, dtype)


def _n_hidden(initial: InitialWeights | None) -> int:
    return 0 if initial is None else initial.n_hidden


def _add_initial(
    S: Array, block: Block, initial: InitialWeights, features: slice, dtype: DType, n_threads: int, run: Any
) -> None:
    make = partial(_weights, initial, dtype)
    add_preactivations(S, block, parts_of(initial, features, dtype), make, n_threads, run)


def _weights(initial: InitialWeights, dtype: DType, features: slice) -> Array:
    return initial.block(features.start, features.stop, dtype)
