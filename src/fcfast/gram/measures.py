"""Measures of the inputs that kernels need: the squared norm of each sample, and the variance of all numbers."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray
from scipy import sparse

from fcfast.gram.occurring import occurring, within
from fcfast.gram.passes import squared_sums
from fcfast.gram.reading import Inputs, reader, row_readers
from fcfast.sources.elsewhere import elsewhere, spread_sums
from fcfast.tiles import slices

FEWEST_SPREAD = 4  # samples, whose differences say something about directions


def squared_norms(X: Inputs, dtype: DTypeLike = np.float64) -> NDArray[np.float64]:
    """Compute the squared norm (N,) of each sample, summed in double precision from numbers in `dtype`.

    Raises
    ------
    ValueError
        If X is a source with values that are NaN or infinite.

    Examples
    --------
    >>> import numpy as np
    >>> from fcfast.gram.measures import squared_norms
    >>> squared_norms(np.array([[3, 4], [0, 2]], dtype="int8"))
    array([25.,  4.])
    """
    columns = occurring(X)
    X = X if columns is None else within(X, columns)
    norms, dtype = np.zeros(X.shape[0]), np.dtype(dtype)
    if elsewhere(X) is not None:
        strips = X.strips(X.shape[0])
        rows_of = [X] if len(strips) == 1 else [X.strip(rows) for rows in strips]
        for number, sums in spread_sums("squared-lengths", squared_sums, rows_of, (), dtype, size=norms.nbytes):
            norms[strips[number]] = sums[0]
        return norms
    for rows, inputs in row_readers(X, 1, dtype):
        (norms[rows],) = squared_sums(inputs, dtype)
    return norms


def directions(products: NDArray[Any]) -> float:
    """Give the number of directions over which samples spread alike, from their products (n, n).

    It is ``trace(C)^2 / trace(C^2)`` for the second moments C of the centred samples: the number of features if these are
    independent and equally large, and about 1 if all features rise and fall together, as those of a spectrum do.

    Examples
    --------
    >>> import numpy as np
    >>> from fcfast.gram.measures import directions
    >>> X = np.random.default_rng(0).normal(size=(60, 1000))
    >>> round(directions(X[:, :5] @ X[:, :5].T)), round(directions(np.outer(X[:, 0], X[:, 0])))
    (5, 1)
    """
    n_samples = len(products)
    means = products.mean(axis=0, dtype=np.float64)
    centred = products - means - means[:, None] + means.mean()
    lengths = centred.diagonal()
    others = float(np.square(centred).sum() - np.square(lengths).sum())  # of pairs, which say nothing of the lengths
    rounding = 1000 * np.finfo(products.dtype).eps * float(products.diagonal().mean())
    if n_samples < FEWEST_SPREAD or not (others > 0 and lengths.mean() > rounding):
        return np.inf
    return max(1.0, float(lengths.mean() ** 2 * n_samples * (n_samples - 1) / others))


def has_values(X: Inputs) -> bool:
    """Whether a number in X is not 0; it reads no further than the block with the first one."""
    if elsewhere(X) is not None:
        ((_, (count,)),) = spread_sums("values", _count_of_value, [X], (), size=8)
        return bool(count)
    inputs = reader(X, np.dtype(np.float64))
    blocks: Any = (inputs.read(features) for features in slices(X.shape[1], inputs.width))
    return any((block.data if sparse.issparse(block) else block).any() for block in blocks)


def _count_of_value(X: Inputs) -> tuple[int]:
    return (int(has_values(X)),)


@dataclass(frozen=True)
class Spread:
    """Number, mean, and sum of squared differences from the mean of some numbers."""

    n: int = 0
    mean: float = 0.0
    squares: float = 0.0

    def plus(self, other: "Spread") -> "Spread":
        """Put two parts together as Chan, Golub and LeVeque do (1979), so that a large mean costs no digits."""
        n, distance = self.n + other.n, other.mean - self.mean
        squares = self.squares + (other.squares + distance**2 * self.n * other.n / n)
        return Spread(n, self.mean + distance * other.n / n, squares)


def variance(X: Inputs) -> float:
    """Compute the variance of all numbers in X, as ``X.var()``; a sparse X counts with its zeros."""
    if elsewhere(X) is not None:
        ((_, (spread,)),) = spread_sums("variance", _spread, [X], (), size=24)
    else:
        (spread,) = _spread(X)
    return float(spread.squares / spread.n)


def _spread(X: Inputs) -> tuple[Spread]:
    spread, inputs = Spread(), reader(X, np.dtype(np.float64))
    for features in slices(X.shape[1], inputs.width):
        block = inputs.read(features)
        numbers: Any = block.data if sparse.issparse(block) else block
        size = block.shape[0] * block.shape[1]
        mean = float(numbers.sum()) / size
        squares = float(np.square(numbers - mean).sum()) + (size - numbers.size) * mean**2
        spread = spread.plus(Spread(size, mean, squares))
    return (spread,)
