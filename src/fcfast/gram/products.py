"""Products of the inputs X (N, d): their Gram matrix, the pre-activations that they give, and the conventional weights.

Each function reads the inputs once, in blocks of features; very sparse inputs are read by the features that occur in them
(`fcfast.gram.occurring`). An array, a sparse matrix or a memory map is never converted or made dense as a whole, and W1(0) is
made block by block beside it. Besides its arguments, its results and their sums in double precision, a call holds about
`budget.BLOCK_BYTES`. Only a sparse matrix is copied once, still sparse, for access by columns.

Products are made in `dtype` and summed over many blocks in double precision. Every dense block is C-contiguous, blocks and
tiles depend on shapes alone, and each thread uses one BLAS thread. The bits of a result therefore do not depend on the number
of threads, on the memory order of the inputs, or on whether two arguments are the same array.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray
from scipy import sparse

from fcfast.gram import budget
from fcfast.gram.centring import bordered, bordered_contributions, centred_columns, centred_gram, centred_rows
from fcfast.gram.occurring import ChosenWeights, is_sparse, occurring, within
from fcfast.gram.passes import cross_sums, crossed_sums, expanded, gram_sums, initial_sums, new_weights, updated_sums
from fcfast.gram.reading import Inputs, affordable_rows, reader, refuse_not_finite, row_readers
from fcfast.gram.start import GivenWeights, InitialWeights
from fcfast.gram.work import Work
from fcfast.sharing import sharing
from fcfast.sources import ArraySource, SparseSource, as_source
from fcfast.sources.elsewhere import PerFeature, elsewhere, maker, spread_sums
from fcfast.sources.protocol import Source
from fcfast.sources.stacked import Stacked
from fcfast.sources.standardized import Standardized
from fcfast.threads import one_blas_thread, resolve_n_jobs
from fcfast.tiles import mirror, slices

Array = NDArray[Any]


def gram_and_preactivations(
    X: Inputs,
    initial: InitialWeights | None,
    dtype: DTypeLike,
    n_jobs: int | None = None,
    out: Array | None = None,
) -> tuple[Array, Array]:
    """Compute the Gram matrix and the initial pre-activations of the training inputs.

    Parameters
    ----------
    X : ndarray, memmap, sparse or Source of shape (N, d)
        Training inputs.
    initial : InitialWeights or None
        Initial weights W1(0) of the h hidden units; None computes the Gram matrix alone.
    dtype : {"float32", "float64"}
        Precision of the products and results.
    n_jobs : int or None
        Number of threads, each with one BLAS thread; None uses all that are available.
    out : ndarray or memmap of shape (N, N), or None
        Array of zeros in `dtype` that becomes G; None makes one.

    Returns
    -------
    G : ndarray of shape (N, N)
        X X', exactly symmetric.
    S0 : ndarray of shape (N, h)
        X W1(0)'; of shape (N, 0) without initial weights.

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
    if initial is not None:
        _check_features("X", X, "W1(0)", initial.n_features)
    if (sparser := bordered(X)) is not None:
        G, S0 = gram_and_preactivations(sparser, initial, dtype, n_jobs)
        return _into(centred_gram(G), out), centred_rows(S0)
    if (columns := occurring(X)) is not None:
        chosen = None if initial is None else ChosenWeights(initial, columns)
        return gram_and_preactivations(within(X, columns), chosen, dtype, n_jobs, out)
    if elsewhere(X) is not None:
        size = n_samples * (n_samples * dtype.itemsize + 8 * (0 if initial is None else initial.n_hidden))
        sums = spread_sums("gram-matrix", gram_sums, [X], (initial,), dtype, n_jobs or 1, n_features, size=size)
        ((_, (total, S0)),) = sums
        G = _into(total.finish(), out)
    else:
        total, S0 = gram_sums(X, initial, dtype, n_jobs, n_features, out)
        G = total.finish()
    mirror(G)
    return G, S0.astype(dtype, copy=False)


def initial_preactivations(X: Inputs, initial: InitialWeights, dtype: DTypeLike, n_jobs: int | None = None) -> Array:
    """Compute the initial pre-activations alone, with the bits that `gram_and_preactivations` gives them.

    Parameters
    ----------
    X, initial, dtype, n_jobs
        The same as for `gram_and_preactivations`.

    Returns
    -------
    ndarray of shape (N, h)
        X W1(0)'.

    Raises
    ------
    ValueError
        If the numbers of features differ.
    """
    dtype = np.dtype(dtype)
    _check_features("X", X, "W1(0)", initial.n_features)
    if (sparser := bordered(X)) is not None:
        return centred_rows(initial_preactivations(sparser, initial, dtype, n_jobs))
    if (columns := occurring(X)) is not None:
        return initial_preactivations(within(X, columns), ChosenWeights(initial, columns), dtype, n_jobs)
    S0 = np.empty((X.shape[0], initial.n_hidden), dtype)
    if elsewhere(X) is not None:
        _spread("pre-activations", initial_sums, X, (initial,), (dtype, n_jobs or 1), (S0,))
    else:
        (S0[:],) = initial_sums(X, initial, dtype, n_jobs)
    return S0


def cross_gram_and_preactivations(
    X_new: Inputs, X: Inputs, initial: InitialWeights, dtype: DTypeLike, n_jobs: int | None = None
) -> tuple[Array, Array]:
    """Compute the products of new inputs with the training inputs, and the pre-activations that W1(0) gives them.

    Parameters
    ----------
    X_new : ndarray, memmap, sparse or Source of shape (M, d)
        New inputs.
    X : ndarray, memmap, sparse or Source of shape (N, d)
        Training inputs.
    initial, dtype, n_jobs
        The same as for `gram_and_preactivations`.

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
    if (sparser := bordered(X)) is not None:
        G_new, S0_new = cross_gram_and_preactivations(X_new, sparser, initial, dtype, n_jobs)
        return centred_columns(G_new), S0_new
    if (sparser := bordered(X_new)) is not None:
        G_new, S0_new = cross_gram_and_preactivations(sparser, X, initial, dtype, n_jobs)
        return centred_rows(G_new), centred_rows(S0_new)
    if is_sparse(X) and (columns := occurring(X_new)) is not None:
        chosen = ChosenWeights(initial, columns)
        return cross_gram_and_preactivations(within(X_new, columns), within(X, columns), chosen, dtype, n_jobs)
    return _crossed(X_new, X, initial, dtype, n_jobs)


def cross_gram(X_new: Inputs, X: Inputs, dtype: DTypeLike, n_jobs: int | None = None) -> Array:
    """Compute the products of new inputs with the training inputs.

    Parameters
    ----------
    X_new : ndarray, memmap, sparse or Source of shape (M, d)
        New inputs.
    X : ndarray, memmap, sparse or Source of shape (N, d)
        Training inputs.
    dtype : {"float32", "float64"}
        Precision of the products and the result.
    n_jobs : int or None
        Number of threads, each with one BLAS thread; None uses all that are available.

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
    if (sparser := bordered(X)) is not None:
        return centred_columns(cross_gram(X_new, sparser, dtype, n_jobs))
    if (sparser := bordered(X_new)) is not None:
        return centred_rows(cross_gram(sparser, X, dtype, n_jobs))
    if is_sparse(X) and (columns := occurring(X_new)) is not None:
        return cross_gram(within(X_new, columns), within(X, columns), dtype, n_jobs)
    return _crossed(X_new, X, None, dtype, n_jobs)[0]


def _crossed(
    X_new: Inputs, X: Inputs, initial: InitialWeights | None, dtype: np.dtype[Any], n_jobs: int | None
) -> tuple[Array, Array]:
    """Compute X_new X', and X_new W1(0)' unless there are no initial weights."""
    n_hidden = 0 if initial is None else initial.n_hidden
    G_new, S0_new = np.empty((X_new.shape[0], X.shape[0]), dtype), np.empty((X_new.shape[0], n_hidden), dtype)
    if elsewhere(X_new, X) is not None:
        _spread("products-with-samples", cross_sums, X_new, (X, initial), (dtype, n_jobs or 1), (G_new, S0_new))
        return G_new, S0_new
    inputs = reader(X, dtype)
    for rows, new_inputs in row_readers(X_new, X.shape[0] + n_hidden, dtype):
        G_new[rows], S0_new[rows] = cross_sums(new_inputs, inputs, initial, dtype, n_jobs)
    return G_new, S0_new


def _spread(
    what: str,
    function: Callable[..., tuple[Array, ...]],
    X_new: Inputs,
    others: tuple[Any, ...],
    arguments: tuple[Any, ...],
    outs: tuple[Array, ...],
) -> None:
    """Fill `outs` with sums for all rows of `X_new`, which are made where the features lie."""
    source, n_results = as_source(X_new), sum(out.shape[1] for out in outs)
    strips = source.strips(affordable_rows(n_results))
    rows_of = [source] if len(strips) == 1 else [source.strip(rows) for rows in strips]
    size = 8 * n_results * max((rows.stop - rows.start for rows in strips), default=0)
    for number, sums in spread_sums(what, function, rows_of, others, *arguments, size=size):
        for out, total in zip(outs, sums, strict=True):
            out[strips[number]] = total


def stacked(X: Inputs, X_new: Inputs) -> Inputs:
    """Append the samples `X_new` to `X`; the result is sparse if `X` is, and a source if one of them is."""
    if isinstance(X, Standardized) and isinstance(X_new, Standardized) and X.scales_like(X_new):
        return X.like(stacked(X.base, X_new.base))
    if isinstance(X, ArraySource) and isinstance(X_new, ArraySource):
        return ArraySource(np.concatenate([X.array, X_new.array]))
    if isinstance(X, SparseSource) and isinstance(X_new, SparseSource):
        return SparseSource(sparse.vstack([X.matrix, X_new.matrix], format="csr"))
    if isinstance(X, Source) or isinstance(X_new, Source):
        return Stacked(as_source(X), as_source(X_new))
    if sparse.issparse(X):
        return sparse.vstack([X, sparse.csr_array(X_new)], format="csr")
    return np.concatenate([X, X_new.toarray() if sparse.issparse(X_new) else X_new])


def preactivations_of(
    X_new: Inputs, X: Inputs, A: Array, c: float, initial: InitialWeights, dtype: DTypeLike, n_jobs: int | None = None
) -> Array:
    """Compute the pre-activations X_new W1' for W1 = c W1(0) + A' X, without ever holding W1.

    Parameters
    ----------
    X_new : ndarray, memmap, sparse or Source of shape (M, d)
        New inputs.
    X : ndarray, memmap, sparse or Source of shape (N, d)
        Training inputs.
    A : ndarray of shape (N, h)
        Contributions of the training samples.
    c : float
        Factor of the initial weights.
    initial, dtype, n_jobs
        The same as for `gram_and_preactivations`.

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
    if (sparser := bordered(X)) is not None:
        return preactivations_of(X_new, sparser, bordered_contributions(A), c, initial, dtype, n_jobs)
    if (sparser := bordered(X_new)) is not None:
        return centred_rows(preactivations_of(sparser, X, A, c, initial, dtype, n_jobs))
    if is_sparse(X) and (columns := occurring(X_new)) is not None:
        chosen = ChosenWeights(initial, columns)
        return preactivations_of(within(X_new, columns), within(X, columns), A, c, chosen, dtype, n_jobs)
    A, c = np.asarray(A, dtype), float(c)
    S_new = np.empty((X_new.shape[0], initial.n_hidden), dtype)
    by_products = Work(len(S_new), X.shape[0], X.shape[1], initial.n_hidden, initial.is_zero).is_less_by_products
    if elsewhere(X_new, X) is not None:
        function = crossed_sums if by_products else updated_sums
        _spread("predictions", function, X_new, (X, initial), (A, c, dtype, n_jobs or 1), (S_new,))
        return S_new
    if by_products:
        return _by_products(X_new, X, A, c, initial, dtype, n_jobs)
    inputs = reader(X, dtype)
    for rows, new_inputs in row_readers(X_new, initial.n_hidden, dtype):
        (S_new[rows],) = updated_sums(new_inputs, inputs, initial, A, c, dtype, n_jobs)
    return S_new


def _by_products(
    X_new: Inputs, X: Inputs, A: Array, c: float, initial: InitialWeights, dtype: np.dtype[Any], n_jobs: int | None
) -> Array:
    """Compute c X_new W1(0)' + (X_new X') A, for so many new samples at a time that their products are affordable."""
    S_new = np.empty((X_new.shape[0], initial.n_hidden), dtype)
    parts = slices(len(S_new), affordable_rows(len(A)))
    rows_of = X_new.tocsr() if sparse.issparse(X_new) and len(parts) > 1 else X_new
    for rows in parts:
        some = X_new if len(parts) == 1 else rows_of[rows]
        if initial.is_zero:
            G_new, S0_new = cross_gram(some, X, dtype, n_jobs), None
        else:
            G_new, S0_new = cross_gram_and_preactivations(some, X, initial, dtype, n_jobs)
        with one_blas_thread():
            S_new[rows] = G_new @ A if S0_new is None else c * S0_new + G_new @ A
    return S_new


def preactivations_by_weights(X_new: Inputs, W1: Array, n_jobs: int | None = None) -> Array:
    """Compute the pre-activations X_new W1' in the precision of the weights.

    Threads share the samples in blocks. Wide samples that do not fit into a block are read in blocks of features. For a sparse
    matrix, only the weights of the features with entries are read.

    Parameters
    ----------
    X_new : ndarray, memmap, sparse or Source of shape (M, d)
        New inputs.
    W1 : ndarray of shape (h, d)
        Conventional weights.
    n_jobs : int or None
        Number of threads, each with one BLAS thread; None uses all that are available.

    Returns
    -------
    ndarray of shape (M, h)

    Raises
    ------
    ValueError
        If the numbers of features differ.
    """
    _check_features("X_new", X_new, "W1", W1.shape[1])
    if (sparser := bordered(X_new)) is not None:
        return centred_rows(preactivations_by_weights(sparser, W1, n_jobs))
    if elsewhere(X_new) is not None:
        S_new = np.empty((X_new.shape[0], len(W1)), W1.dtype)
        _spread("predictions", initial_sums, X_new, (GivenWeights(W1),), (W1.dtype, n_jobs or 1), (S_new,))
        return S_new
    if is_sparse(X_new):
        rows = _sparse_rows(X_new).astype(W1.dtype, copy=False)
        features, places = np.unique(rows.indices, return_inverse=True)
        narrow = sparse.csr_array((rows.data, places, rows.indptr), shape=(rows.shape[0], len(features)))
        return np.asarray(narrow @ np.ascontiguousarray(W1[:, features].T))
    S_new = np.empty((X_new.shape[0], len(W1)), W1.dtype)
    affordable = max(budget.MIN_ROWS, budget.BLOCK_BYTES // (budget.PARTS_AT_ONCE * W1.shape[1] * W1.itemsize))
    height = min(affordable, max(budget.MIN_TILE, -(-len(S_new) // budget.TILES)))
    together = height * budget.PARTS_AT_ONCE  # rows that are read at a time
    if together < min(len(S_new), affordable_rows(len(W1))):
        return _by_features(X_new, W1, n_jobs)
    together = together if isinstance(X_new, Source) else len(S_new)
    n_parts = min(-(-len(S_new) // height), -(-together // height))
    with sharing(min(max(1, n_parts), resolve_n_jobs(n_jobs))) as run:
        for rows in slices(len(S_new), max(1, together)):
            read = _dense_rows(X_new, rows, W1.dtype) if isinstance(X_new, Source) else X_new
            out = S_new[rows]

            def multiply(part: slice, read: Array = read, out: Array = out) -> None:
                np.matmul(np.ascontiguousarray(read[part], dtype=W1.dtype), W1.T, out=out[part])

            list(run(multiply, slices(len(out), height)))
    return S_new


def _by_features(X_new: Inputs, W1: Array, n_jobs: int | None) -> Array:
    """Compute X_new W1' in blocks of features, which takes fewer passes over wide inputs than blocks of rows."""
    S_new = np.empty((X_new.shape[0], len(W1)), W1.dtype)
    for rows, inputs in row_readers(X_new, len(W1), W1.dtype):
        (S_new[rows],) = initial_sums(inputs, GivenWeights(W1), W1.dtype, n_jobs)
    return S_new


def _dense_rows(X: Source, rows: slice, dtype: np.dtype[Any]) -> Array:
    read = (X if rows.stop - rows.start == X.shape[0] else X[rows]).dense(dtype)
    refuse_not_finite(read, X, 0)
    return read


def _sparse_rows(X: Inputs) -> Any:
    """Give sparse inputs by rows; a source is read into memory, where it stays sparse."""
    if not isinstance(X, Source):
        return X.tocsr()
    return sparse.hstack([X.read(features) for features in slices(X.shape[1], budget.MAX_SIDE)], format="csr")


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
        The same as for `preactivations_of`.
    c : float or ndarray of shape (h,)
        Factor of the initial weights: one for all units, or one for each.
    out : ndarray or memmap of shape (h, d), or None
        Array that is filled and returned; it may be the array of the given initial weights itself. None makes a new
        C-contiguous array of `dtype`.

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
    if (sparser := bordered(X)) is not None:
        return expand(sparser, bordered_contributions(A), c, initial, dtype, out, n_jobs)
    A, c = np.asarray(A, dtype), np.asarray(c, dtype) if np.ndim(c) else float(c)
    W1 = np.empty((initial.n_hidden, initial.n_features), dtype) if out is None else out
    far = elsewhere(X)
    if far is None:
        return expanded(X, A, c, initial, dtype, n_jobs, W1)
    jobs = [[maker(new_weights, features, (X, initial, None), (A, c, dtype, n_jobs or 1))] for features in far.ranges]
    size = dtype.itemsize * initial.n_hidden * max(features.stop - features.start for features in far.ranges)
    for number, outcome in far.totals("weights", jobs, size):
        W1[:, far.ranges[number]] = outcome.summands[0].T
    return W1


def lazily_expanded(
    X: Inputs, A: Array, c: float, initial: InitialWeights, dtype: DTypeLike, n_jobs: int | None, scale: Array | None
) -> Any:
    """Give the conventional weights of features that lie elsewhere as an array (d, h) there, made when they are asked for.

    Parameters
    ----------
    X, A, c, initial, dtype, n_jobs
        The same as for `expand`.
    scale : ndarray of shape (d,), or None
        Scale of each feature, by which its weights are divided in double precision; None leaves them in `dtype`.
    """
    dtype, far = np.dtype(dtype), elsewhere(X)
    assert far is not None  # or the weights would be made here
    held = X, initial, None if scale is None else PerFeature(scale)
    arguments = np.asarray(A, dtype), float(c), dtype, n_jobs or 1
    shapes = [(features.stop - features.start, initial.n_hidden) for features in far.ranges]
    jobs = [maker(new_weights, features, held, arguments) for features in far.ranges]
    return far.array("weights", jobs, shapes, dtype if scale is None else np.dtype(np.float64))


def _into(G: Array, out: Array | None) -> Array:
    """Give G, in `out` if that is given."""
    if out is None:
        return G
    out[:] = G
    return out


def _check_features(name: str, X: Inputs, other_name: str, n_features: int) -> None:
    if X.shape[1] != n_features:
        raise ValueError(f"{name} has {X.shape[1]} feature(s), but {other_name} has {n_features}; they must agree")
