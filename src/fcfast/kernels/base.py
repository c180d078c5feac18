"""Kernels of a first layer without weights, all of them functions of linear products and squared norms.

With a kernel, a unit of the first layer is a function ``sum_i A_ij k(x_i, x)`` instead of a product with a weight vector. The
inputs are still read once, for their linear products; a kernel then replaces the products by its values, in place and in tiles
that stay in cache. Values are computed in double precision whatever the precision of the products, and each depends on its own
product and norms alone: neither the tiles nor the number of threads change a bit.
"""

from collections.abc import Iterable
from dataclasses import fields
from typing import Any, ClassVar, cast

import numpy as np
from numpy.typing import NDArray

from fcfast import validation
from fcfast.registry import Capable, Registry
from fcfast.sharing import sharing
from fcfast.threads import resolve_n_jobs
from fcfast.tiles import mirror, slices

Array = NDArray[Any]
Floats = NDArray[np.float64]
Tile = tuple[slice, slice]

KERNELS = Registry("kernel")
register = KERNELS.register

TILE = 256  # side of the tiles; a few of them in double precision stay in a core's cache


class Kernel(Capable):
    """A positive semi-definite kernel k(x, y) that is a function of <x, y>, |x|^2 and |y|^2; a frozen dataclass of settings.

    A kernel of your own needs a `name` and `values`. After ``fcfast.kernels.register(YourKernel)`` its name is known
    wherever a kernel is chosen, and a model with that kernel can be saved.

    Attributes
    ----------
    name : str
        Name under which users find the kernel.
    has_weights : bool
        Whether the first layer has weights for the features, as it has with linear products; False in every subclass that
        does not set it.
    takes_features : bool
        Whether samples are features, which can be standardised, filled in and read by blocks; True in every subclass.
    derivatives : method or None
        ``derivatives(products, norms_rows, norms_columns)`` takes what `values` does, changes none of it, and gives the
        derivatives of the values with respect to the products <x, y> and to the norms |x|^2 of the rows, two arrays of the
        shape of the products. None, as in every subclass that does not define it, refuses attributions to features.
    jumps_at_zero : bool
        Whether the values jump where a sample becomes 0, so that no path may begin there.
    needs_variance : bool
        Whether `resolved` uses the variance of the inputs.
    onnx_values : method or None
        ``onnx_values(graph, products, norms_rows, norms_columns)`` adds the nodes of `values` to a `fcfast.onnx.graph.Graph`
        and gives the name of the result. `products` (M, N) and `norms_rows` (M, 1) are names of nodes, and `norms_columns`
        (1, N) is an array. None, as in every subclass that does not define it, refuses the conversion to ONNX.

    Examples
    --------
    >>> from dataclasses import dataclass
    >>> import numpy as np
    >>> from fcfast.kernels import Kernel, squared_distances
    >>> @dataclass(frozen=True)
    ... class Cauchy(Kernel):
    ...     width: float = 1.0
    ...     name = "cauchy"
    ...     def values(self, products, norms_rows, norms_columns):
    ...         return 1 / (1 + squared_distances(products, norms_rows, norms_columns) / self.width**2)
    >>> X = np.array([[0.0, 1.0], [0.0, 3.0]])
    >>> Cauchy(width=2.0).apply_symmetric(X @ X.T)
    array([[1. , 0.5],
           [0.5, 1. ]])
    """

    not_inherited: ClassVar[dict[str, Any]] = {"has_weights": False, "derivatives": None, "onnx_values": None}

    name: ClassVar[str]
    has_weights: ClassVar[bool] = False
    takes_features: ClassVar[bool] = True
    derivatives: ClassVar[Any] = None
    jumps_at_zero: ClassVar[bool] = False
    needs_variance: Any = False
    onnx_values: ClassVar[Any] = None

    def values(self, products: Floats, norms_rows: Floats, norms_columns: Floats) -> Floats:
        """Compute the kernel's values from arrays that broadcast against each other.

        Parameters
        ----------
        products : ndarray of float64
            Linear products <x, y>; the array may be changed and returned.
        norms_rows, norms_columns : ndarray of float64
            Squared norms |x|^2 and |y|^2, which must not be changed.

        Returns
        -------
        ndarray of float64
            Values of the shape of `products`. Swapping x and y must not change them.
        """
        raise NotImplementedError(f"kernel {self.name!r} does not define values()")

    @property
    def settings(self) -> dict[str, Any]:
        """Settings by name, which describe the kernel in a file."""
        return {field.name: getattr(self, field.name) for field in fields(cast(Any, self))}

    def diagonal(self, norms: Floats) -> Floats:
        """Compute k(x, x) from squared norms |x|^2, shape (N,)."""
        return self.values(norms.copy(), norms, norms)

    def resolved(self, n_features: int, variance: float | None = None) -> "Kernel":
        """Give the kernel with numbers for the settings that depend on the training data.

        Parameters
        ----------
        n_features : int
            Number of features d.
        variance : float or None
            Variance of all numbers in X, ``X.var()``; it may be None unless the kernel `needs_variance`.
        """
        return self

    def check(self, products: Array, norms_rows: Floats, norms_columns: Floats) -> None:
        """Raise ValueError, before anything is changed, if the kernel is not meant for such products."""

    def apply(self, products: Array, norms_rows: Array, norms_columns: Array, n_jobs: int | None = None) -> Array:
        """Replace linear products by the kernel's values, in place.

        Parameters
        ----------
        products : ndarray or memmap of shape (M, N), float32 or float64
            Linear products of M samples with N samples.
        norms_rows : ndarray of shape (M,)
            Squared norms of the M samples.
        norms_columns : ndarray of shape (N,)
            Squared norms of the N samples.
        n_jobs : int or None
            Number of threads; None uses all that are available.

        Returns
        -------
        ndarray or memmap of shape (M, N)
            The array `products` itself.

        Raises
        ------
        ValueError
            If shapes do not fit, if a norm is negative or not finite, if the kernel overflows the dtype of `products`, or if
            the kernel refuses the products. Nothing has been changed then. The exception is a value that is not finite although
            its norms are, which comes from products that are not finite or from a kernel of the user's own.
        TypeError
            If `products` is not an array of float32 or float64.
        """
        self._check_array(products)
        rows = self._norms(norms_rows, "norms_rows", len(products), products.dtype)
        columns = self._norms(norms_columns, "norms_columns", products.shape[1], products.dtype)
        self.check(products, rows, columns)
        tiles = [(i, j) for i in slices(len(products), TILE) for j in slices(products.shape[1], TILE)]
        self._fill(products, tiles, rows, columns, n_jobs)
        return products

    def apply_symmetric(self, products: Array, n_jobs: int | None = None) -> Array:
        """Replace a Gram matrix of linear products by the kernel's values, in place.

        Values are computed on and below the diagonal only; the result is symmetric to the last bit. The diagonal is k(x, x).

        Parameters
        ----------
        products : ndarray or memmap of shape (N, N), float32 or float64
            Linear products of N samples with each other; the diagonal holds their squared norms.
        n_jobs : int or None
            Number of threads; None uses all that are available.

        Returns
        -------
        ndarray or memmap of shape (N, N)
            The array `products` itself.

        Raises
        ------
        ValueError, TypeError
            As in `apply`.
        """
        self._check_array(products)
        if products.shape[0] != products.shape[1]:
            raise ValueError(f"products must be a square Gram matrix, got shape {products.shape}; use apply() for others")
        norms = self._norms(products.diagonal(), "the diagonal of products", len(products), products.dtype)
        self.check(products, norms, norms)
        sides = slices(len(products), TILE)
        tiles = [(rows, columns) for i, rows in enumerate(sides) for columns in sides[: i + 1]]
        self._fill(products, tiles, norms, norms, n_jobs)
        np.fill_diagonal(products, self.diagonal(norms))
        mirror(products)
        return products

    def _fill(self, products: Array, tiles: Iterable[Tile], rows: Floats, columns: Floats, n_jobs: int | None) -> None:
        def fill(tile: Tile) -> None:
            i, j = tile
            scratch = products[tile].astype(np.float64)
            with np.errstate(all="ignore"):  # values that are not finite are refused below
                values = np.asarray(self.values(scratch, rows[i, None], columns[None, j]))
                if values.shape != scratch.shape:
                    raise ValueError(f"kernel {self.name!r} gave values of shape {values.shape} for {scratch.shape} products")
                values = values.astype(products.dtype, copy=False)
            if not validation.all_finite(values):
                raise ValueError(f"kernel {self.name!r} gave NaN or infinite values; check X for such values and for huge ones")
            products[tile] = values

        tiles = list(tiles)
        with sharing(min(resolve_n_jobs(n_jobs), max(1, len(tiles)))) as run:
            list(run(fill, tiles))

    def _check_array(self, products: Array) -> None:
        if not isinstance(products, np.ndarray) or products.dtype not in (np.float32, np.float64):
            got = f"dtype {products.dtype}" if isinstance(products, np.ndarray) else repr(type(products).__name__)
            raise TypeError(f"products must be an array of float32 or float64, got {got}")
        if products.ndim != 2:
            raise ValueError(f"products must have 2 dimensions, got shape {products.shape}")
        if not products.flags.writeable:
            raise ValueError("products is read-only, but the kernel's values take its place; pass a copy")

    def _norms(self, norms: Array, name: str, size: int, dtype: np.dtype[Any]) -> Floats:
        """Check norms, and that the values fit: |k(x, y)|^2 is at most k(x, x) k(y, y)."""
        checked = np.array(norms, np.float64)
        if checked.shape != (size,):
            raise ValueError(f"{name} must have shape ({size},), got {checked.shape}")
        if not validation.all_finite(checked) or (checked < 0).any():
            raise ValueError(f"{name} must be finite and >= 0: squared norms of the samples; rescale X if they overflow")
        with np.errstate(all="ignore"):  # values that are not finite are refused below
            fits = validation.all_finite(np.asarray(self.diagonal(checked)).astype(dtype))
        if not fits:
            raise ValueError(
                f"kernel {self.name!r} overflows {dtype} for samples with squared norms up to {checked.max():.3g}; rescale X, "
                "or use a smaller gamma or degree"
            )
        return checked


def squared_distances(products: Floats, norms_rows: Floats, norms_columns: Floats) -> Floats:
    """Compute |x - y|^2 = |x|^2 + |y|^2 - 2 <x, y> in the array `products`; what rounding makes negative becomes 0."""
    products *= -2
    products += norms_rows + norms_columns
    return np.maximum(products, 0, out=products)


def cosines(products: Floats, lengths: Floats) -> Floats:
    """Compute <x, y> / (|x| |y|) within [-1, 1], from products of the lengths |x| |y|; it is 0 where these are 0."""
    ratios = np.divide(products, lengths, out=np.zeros_like(products), where=lengths > 0)
    return np.clip(ratios, -1, 1, out=ratios)


def check_settings(gamma: float | str = 1.0, degree: int = 1, coef0: float = 0.0) -> None:
    """Check settings that several kernels share.

    Raises
    ------
    ValueError, TypeError
        If one is out of range or has the wrong type. The message names it.
    """
    if isinstance(gamma, str):
        validation.choice(gamma, "gamma", ("scale", "auto"))
    else:
        validation.positive(gamma, "gamma")
    validation.integer(degree, "degree", 1)
    # With a negative constant the polynomial kernel is indefinite.
    validation.in_range(coef0, "coef0", 0, np.inf)
