"""Random initial weights within the span of the training samples, drawn from their Gram matrix without any feature.

The pre-activations X W' of weights W whose entries are independent and normal, with the deviation sigma, are normal with the
covariance sigma^2 G in each unit. So is ``S0 = sigma L Z`` for ``G = L L'`` and standard normal Z. The part of W that is
orthogonal to all training samples neither changes S0 nor is changed by training; here it is 0, and the weights are
combinations ``A0' X`` of the samples.

G is singular if samples repeat or data are centred, and any G is rounded. The Cholesky decomposition therefore takes the
samples one after the other, and leaves out those that nearly are combinations of the ones before. Samples that add much come
first, in their own order, then those that add less, and so on; this is as stable as choosing the largest pivot, and small
differences between two matrices, such as those between single and double precision, hardly ever change the order. Each sample
has its own row of Z. The same seed therefore gives nearly the same start for nearly the same matrix.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import lapack, solve_triangular

from fcfast import validation
from fcfast.threads import one_blas_thread
from fcfast.tiles import slices

Array = NDArray[Any]
Floats = NDArray[np.float64]
Places = NDArray[np.intp]

PANEL = 128  # samples that are taken together
ELIMINATION = 16  # errors of the elimination, relative to those of rounding the matrix in double precision
MUCH = 0.1  # share of a sample's squared norm, outside the span of those before it, that is much; a tenth of it comes next


def span_start(G: Array, Z: Array, sigma: float, tolerance: float | None = None) -> tuple[Array, Array]:
    """Make initial pre-activations and the contributions that give them.

    Parameters
    ----------
    G : ndarray of shape (N, N), float32 or float64
        Gram matrix, of any rank.
    Z : ndarray of shape (N, h)
        Standard normal numbers.
    sigma : float
        Standard deviation of the weights, >= 0.
    tolerance : float or None
        The same as for `span_factor`.

    Returns
    -------
    S0 : ndarray of shape (N, h)
        Pre-activations, whose columns are normal with the covariance sigma^2 G.
    A0 : ndarray of shape (N, h)
        Contributions with G A0 = S0. Samples that are combinations of others have 0.

    Raises
    ------
    ValueError
        If shapes do not fit, or if G has values that are not finite or a negative diagonal.
    TypeError
        If G is not an array of float32 or float64.

    Examples
    --------
    >>> import numpy as np
    >>> from fcfast.gram.span import span_start
    >>> X = np.array([[2.0, 0.0], [2.0, 0.0], [1.0, 1.0]])
    >>> S0, A0 = span_start(X @ X.T, np.array([[1.0], [-5.0], [3.0]]), sigma=0.5)
    >>> S0.round(12).tolist(), A0.round(12).tolist()
    ([[1.0], [1.0], [2.0]], [[-0.5], [0.0], [1.5]])
    """
    return span_factor(G, tolerance).start(Z, sigma)


@dataclass(frozen=True, eq=False)
class SpanFactor:
    """A Cholesky decomposition of a Gram matrix of any rank.

    Parameters
    ----------
    L : ndarray of shape (N, r)
        Lower trapezoidal factor of the Gram matrix of samples of length 1, in the order of `order`.
    order : ndarray of shape (N,)
        Samples: first the r that are independent, then those that are combinations of them.
    lengths : ndarray of shape (N,)
        Lengths of the samples, in the same order.
    dtype : dtype
        Type of the Gram matrix and of results.
    """

    L: Floats
    order: Places
    lengths: Floats
    dtype: np.dtype[Any]

    @property
    def rank(self) -> int:
        """Number of independent samples."""
        return self.L.shape[1]

    def start(self, Z: Array, sigma: float) -> tuple[Array, Array]:
        """Make initial pre-activations S0 and contributions A0; see `span_start`."""
        numbers = validation.finite_array(Z, "Z", 2)
        if len(numbers) != len(self.order):
            raise ValueError(f"Z has shape {numbers.shape}, but one row is needed for each of {len(self.order)} samples")
        sigma = validation.in_range(sigma, "sigma", 0, np.inf)
        chosen = sigma * numbers[self.order[: self.rank]]
        S0 = np.empty(numbers.shape, self.dtype)
        with one_blas_thread():
            S0[self.order] = self.lengths[:, None] * (self.L @ chosen)
            return S0, self._contributions(chosen)

    def contributions(self, S: Array) -> Array:
        """Compute the contributions A with G A = S.

        Parameters
        ----------
        S : ndarray of shape (N, h)
            Pre-activations X W', for any weights W.

        Returns
        -------
        ndarray of shape (N, h)
            Contributions A, for which A' X is the projection of W onto the span of the samples.

        Raises
        ------
        ValueError
            If the number of rows differs from N, or a value is not finite.

        Examples
        --------
        >>> import numpy as np
        >>> from fcfast.gram.span import span_factor
        >>> X, W = np.array([[1.0, 0.0, 1.0], [0.0, 2.0, 0.0]]), np.array([[3.0, 4.0, 5.0]])
        >>> (span_factor(X @ X.T).contributions(X @ W.T).T @ X).round(12)
        array([[4., 4., 4.]])
        """
        coordinates = self.coordinates(S)
        with one_blas_thread():
            return self._contributions(coordinates)

    @property
    def all_coordinates(self) -> Floats:
        """Coordinates (N, r) of the samples in an orthonormal basis of their span; their products are the Gram matrix."""
        placed = np.empty((len(self.order), self.rank))
        placed[self.order] = self.lengths[:, None] * self.L
        return placed

    def coordinates(self, S: Array) -> Floats:
        """Compute coordinates (r, h) of vectors, in the basis of `all_coordinates`, from their products with the samples.

        Parameters
        ----------
        S : ndarray of shape (N, h)
            Products of the samples with h vectors, such as X W' for weights W.

        Raises
        ------
        ValueError
            If the number of rows differs from N, or a value is not finite.

        Examples
        --------
        >>> import numpy as np
        >>> from fcfast.gram.span import span_factor
        >>> X, W = np.array([[2.0, 0.0, 0.0], [1.0, 1.0, 0.0]]), np.array([[3.0, 4.0, 5.0]])
        >>> span_factor(X @ X.T).coordinates(X @ W.T).round(12).tolist()
        [[3.0], [4.0]]
        """
        given = validation.finite_array(S, "S", 2)
        if len(given) != len(self.order):
            raise ValueError(f"S has shape {given.shape}, but one row is needed for each of {len(self.order)} samples")
        chosen: Floats = given[self.order[: self.rank]] / self.lengths[: self.rank, None]
        with one_blas_thread():
            for rows in slices(self.rank, PANEL):
                chosen[rows] -= self.L[rows, : rows.start] @ chosen[: rows.start]
                chosen[rows] = _solve(self.L[rows, rows], chosen[rows])
        return chosen

    def contributions_at(self, coordinates: Array) -> Array:
        """Compute contributions A (N, h) for which A' X are the vectors at these coordinates (r, h)."""
        with one_blas_thread():
            return self._contributions(np.array(coordinates, np.float64, order="C"))

    def _contributions(self, chosen: Floats) -> Array:
        """Solve with the transposed factor, from the last samples to the first; `chosen` is overwritten."""
        for rows in reversed(slices(self.rank, PANEL)):
            chosen[rows] -= self.L[rows.stop : self.rank, rows].T @ chosen[rows.stop :]
            chosen[rows] = _solve(self.L[rows, rows], chosen[rows], transposed=True)
        A = np.zeros((len(self.order), chosen.shape[1]), self.dtype)
        A[self.order[: self.rank]] = chosen / self.lengths[: self.rank, None]
        return A


def span_factor(G: Array, tolerance: float | None = None) -> SpanFactor:
    """Decompose a Gram matrix of any rank in double precision.

    Parameters
    ----------
    G : ndarray of shape (N, N), float32 or float64
        Gram matrix; it is not changed, and not copied as a whole.
    tolerance : float or None
        Samples whose squared distance from the span of others is at most this share of their squared norm are combinations of
        these. None allows for the rounding of G, N times the relative precision of its dtype, and for that of the elimination.

    Returns
    -------
    SpanFactor
        Besides it, a call holds a few arrays of 128 N numbers.

    Raises
    ------
    ValueError
        If G is not square, or has values that are not finite or a negative diagonal.
    TypeError
        If G is not an array of float32 or float64.

    Examples
    --------
    >>> import numpy as np
    >>> from fcfast.gram.span import span_factor
    >>> centred = np.array([[-1.0, 2.0, 0.5], [3.0, -1.0, 0.5], [-2.0, -1.0, -1.0]])
    >>> span_factor(centred @ centred.T).rank
    2
    """
    if not isinstance(G, np.ndarray) or G.dtype not in (np.float32, np.float64):
        raise TypeError(f"G must be an array of float32 or float64, got {getattr(G, 'dtype', type(G).__name__)}")
    if G.ndim != 2 or G.shape[0] != G.shape[1]:
        raise ValueError(f"G must be a square Gram matrix, got shape {G.shape}")
    norms = G.diagonal().astype(np.float64)
    if not validation.all_finite(norms) or (norms < 0).any():
        raise ValueError("G must be finite, with squared norms >= 0 on its diagonal")
    # The matrix is rounded in its own precision, and what is left of a sample in double precision, in each elimination.
    rounding = float(np.finfo(G.dtype).eps) + ELIMINATION * float(np.finfo(np.float64).eps)
    relative = len(G) * rounding if tolerance is None else tolerance
    elimination = _Elimination(G, np.sqrt(norms))
    with one_blas_thread():
        for limit in _limits(validation.in_range(relative, "tolerance", 0, 1)):
            elimination.take_above(limit)
    L, order = elimination.L[:, : elimination.rank], elimination.order
    if not validation.all_finite(L):
        raise ValueError("G holds NaN or infinite values")
    return SpanFactor(L, order, elimination.lengths[order], G.dtype)


def _limits(tolerance: float) -> list[float]:
    """Give the falling limits above which samples are taken; the last is the tolerance."""
    limits, limit = [], MUCH
    while limit > max(tolerance, np.finfo(np.float64).eps):
        limits.append(limit)
        limit /= 10
    return [*limits, tolerance]


class _Elimination:
    """A Cholesky decomposition of the Gram matrix of samples of length 1, while samples are being taken.

    Parameters
    ----------
    G : ndarray of shape (N, N)
        Gram matrix.
    lengths : ndarray of shape (N,)
        Lengths of the samples. Dividing by them first lets no large sample hide small ones.
    """

    def __init__(self, G: Array, lengths: Floats) -> None:
        self.G, self.lengths, self.rank = G, lengths, 0
        self.inverse = np.divide(1, lengths, out=np.zeros_like(lengths), where=lengths > 0)
        self.order = np.arange(len(G))
        self.L = np.zeros((len(G), len(G)), order="F")  # columns that are not reached take no memory
        self.left = (lengths > 0).astype(np.float64)  # squared distances from the span of the samples taken, in `order`

    def take_above(self, limit: float) -> None:
        """Take all samples, in order, that are further than this from the span of those taken before."""
        while len(places := np.flatnonzero(self.left[self.rank :] > limit)[:PANEL]):
            places += self.rank
            corner = self._residual(places, places)
            self.left[places] = corner.diagonal()  # more accurate; below the limit if no sample of the panel is kept
            kept, triangle = _cholesky(corner, limit)
            self._move_up(places[kept])
            self._append(triangle)

    def _residual(self, rows: Places | slice, columns: Places | slice) -> Floats:
        """Compute products of samples of length 1, less the part within the span of the samples taken."""
        of_rows, of_columns = self.order[rows], self.order[columns]
        products = self.G[of_columns][:, of_rows].astype(np.float64)
        products *= self.inverse[of_columns, None]
        products *= self.inverse[of_rows]
        products -= self.L[columns, : self.rank] @ self.L[rows, : self.rank].T
        return products.T

    def _move_up(self, kept: Places) -> None:
        """Move samples to the places behind those taken; the others keep their order."""
        if (kept == np.arange(self.rank, self.rank + len(kept))).all():
            return
        others = np.delete(np.arange(self.rank, len(self.order)), kept - self.rank)
        places = np.concatenate([kept, others])
        for columns in slices(self.rank, PANEL):
            self.L[self.rank :, columns] = self.L[places, columns]
        self.order[self.rank :], self.left[self.rank :] = self.order[places], self.left[places]

    def _append(self, triangle: Floats) -> None:
        """Append the columns of the next samples, whose own rows are given."""
        new, below = slice(self.rank, self.rank + len(triangle)), slice(self.rank + len(triangle), None)
        self.L[new, new] = triangle
        columns = _solve(triangle, self._residual(below, new).T)
        self.L[below, new] = columns.T
        self.left[below] -= np.square(columns).sum(axis=0)
        self.rank = new.stop


def _cholesky(matrix: Floats, limit: float) -> tuple[Places, Floats]:
    """Decompose a small matrix, and leave out the rows whose pivot is at most `limit`.

    Returns
    -------
    kept : ndarray of int
        Rows that are kept.
    triangle : ndarray
        Lower triangular factor of these rows.
    """
    if not len(matrix):
        return np.zeros(0, np.intp), matrix
    triangle, failed = lapack.dpotrf(matrix, lower=1, clean=1)
    sound = failed - 1 if failed else len(matrix)
    small = np.flatnonzero(triangle.diagonal()[:sound] ** 2 <= limit)
    head = slice(int(small[0]) if len(small) else sound)
    if head.stop == len(matrix):
        return np.arange(len(matrix)), triangle
    # The row behind those of the head adds little to them. Go on with the rows that add more.
    below = _solve(triangle[head, head], matrix[head, head.stop :])
    rest = np.flatnonzero(matrix.diagonal()[head.stop :] - np.square(below).sum(axis=0) > limit)
    below, rows = below[:, rest], head.stop + rest
    kept, corner = _cholesky(matrix[rows][:, rows] - below.T @ below, limit)
    whole = np.zeros((head.stop + len(kept),) * 2)
    whole[head, head], whole[head.stop :, head] = triangle[head, head], below[:, kept].T
    whole[head.stop :, head.stop :] = corner
    return np.concatenate([np.arange(head.stop), rows[kept]]), whole


def _solve(triangle: Floats, right: Floats, transposed: bool = False) -> Floats:
    """Solve with a lower triangular matrix, or with its transpose."""
    if not right.size:  # SciPy 1.11 takes no empty arrays
        return right
    solved: Floats = solve_triangular(triangle, right, trans=int(transposed), lower=True, check_finite=False)
    return solved
