"""Checks of a kernel matrix that was computed elsewhere."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import eigh, lapack

from fcfast import validation
from fcfast.threads import one_blas_thread
from fcfast.tiles import slices

Array = NDArray[Any]

SIDE = 256  # side of the tiles in which a matrix is compared with its transpose
ROUNDING = float(np.finfo(np.float32).eps)  # single precision, in which such matrices are usually stored
ASYMMETRY = 100  # roundings by which two halves may differ that were summed in another order


def refuse_indefinite(matrix: ArrayLike, name: str = "K", tolerance: float | None = None) -> None:
    """Check that a kernel matrix is finite, symmetric and positive semi-definite, apart from rounding.

    Parameters
    ----------
    matrix : array-like of shape (N, N)
        Kernel of N samples with each other; it is not changed.
    name : str
        Name of the argument in messages.
    tolerance : float or None
        How far below 0 an eigenvalue may be, relative to the largest entry of the diagonal. None allows for rounding in single
        precision, N times 1.2e-7, whatever the dtype, because matrices from files were often rounded before.

    Raises
    ------
    ValueError
        If the matrix is not square, has NaN or infinite values, differs from its transpose by more than 1.2e-5 of its largest
        entry (the largest difference and its place are named), or has an eigenvalue below the tolerance (it is named).
    TypeError
        If the matrix does not hold real numbers.

    Notes
    -----
    A Cholesky decomposition of the matrix plus the tolerance decides, in a copy in double precision. The smallest eigenvalue is
    computed only for the message.

    Examples
    --------
    >>> import numpy as np
    >>> from fcfast.kernels import refuse_indefinite
    >>> refuse_indefinite(np.ones((3, 3)))
    >>> refuse_indefinite(np.array([[1.0, 2.0], [2.0, 1.0]]))
    Traceback (most recent call last):
    ValueError: K is not positive semi-definite: its smallest eigenvalue is -1, but rounding explains -2.38e-07 at most; ...
    """
    K = validation.real_array(matrix, name)
    if K.ndim != 2 or K.shape[0] != K.shape[1]:
        raise ValueError(f"{name} must be a square matrix, the kernel of the samples with each other, got shape {K.shape}")
    _refuse_asymmetric(K, name)
    relative = len(K) * ROUNDING if tolerance is None else validation.in_range(tolerance, "tolerance", 0, np.inf)
    allowed = relative * float(np.abs(K.diagonal()).max(initial=0))
    if _is_definite(K, allowed):
        return
    with one_blas_thread():
        smallest = float(eigh(_double(K), eigvals_only=True, subset_by_index=[0, 0], overwrite_a=True, check_finite=False)[0])
    if smallest >= -allowed:  # as where the matrix is 0, which Cholesky does not take without a shift
        return
    raise ValueError(
        f"{name} is not positive semi-definite: its smallest eigenvalue is {smallest:.3g}, but rounding explains "
        f"{-allowed:.3g} at most; use a kernel that is, or add a multiple of the identity to it"
    )


def _refuse_asymmetric(K: Array, name: str) -> None:
    """Compare with the transpose, tile by tile, after looking for values that are not finite."""
    if not validation.all_finite(K):
        row, column = next(zip(*np.nonzero(~np.isfinite(K)), strict=True))
        raise ValueError(f"{name} holds NaN or infinite values, the first at row {row}, column {column}; remove or impute them")
    worst, place, largest = 0.0, (0, 0), 0.0
    sides = slices(len(K), SIDE)
    for i, rows in enumerate(sides):
        for columns in sides[: i + 1]:
            tile, mirrored = K[rows, columns].astype(np.float64), K[columns, rows].T
            largest = max(largest, float(np.abs(tile).max()), float(np.abs(mirrored).max()))
            differences = np.abs(tile - mirrored)
            at = int(differences.argmax())
            if differences.flat[at] > worst:
                row, column = np.unravel_index(at, differences.shape)
                worst, place = float(differences.flat[at]), (rows.start + int(row), columns.start + int(column))
    if worst > ASYMMETRY * ROUNDING * largest:
        row, column = place
        raise ValueError(
            f"{name} is not symmetric: row {row}, column {column} has {K[row, column]:.6g}, but row {column}, column {row} has "
            f"{K[column, row]:.6g}; a kernel of samples with each other must be, and the mean of it and its transpose is"
        )


def _is_definite(K: Array, shift: float) -> bool:
    """Whether K plus `shift` on the diagonal has a Cholesky decomposition."""
    shifted = _double(K)
    shifted.flat[:: len(K) + 1] += shift
    with one_blas_thread():
        return bool(lapack.dpotrf(shifted, lower=1, clean=0, overwrite_a=1)[1] == 0)


def _double(K: Array) -> NDArray[np.float64]:
    """Copy to double precision in the memory order of LAPACK; the matrix is symmetric."""
    return np.array(K.T if K.flags.c_contiguous else K, np.float64, order="F")
