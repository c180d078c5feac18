"""The training rows of the forms that multiply samples by weights, scaled when they are gathered or once and for all."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from fcfast.gram.occurring import is_stored_sparse
from fcfast.gram.reading import refuse_not_finite
from fcfast.sources.arrays import ArraySource
from fcfast.sources.elsewhere import elsewhere
from fcfast.sources.protocol import Source
from fcfast.sources.standardized import Standardized
from fcfast.validation import all_finite

Array = NDArray[Any]
Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class RowScale:
    """What is done to rows whenever they are gathered: NaN becomes ``fill``, then ``(row - mean) / scale`` is taken.

    Attributes
    ----------
    mean, scale, fill : ndarray of shape (d,)
        Numbers of each column, in double precision. The result is rounded to the precision of the rows at the end, so that
        it has the same bits as a copy that `fcfast.sources.Standardized` reads.
    """

    mean: Floats
    scale: Floats
    fill: Floats

    @classmethod
    def of(cls, X: Standardized) -> "RowScale":
        """Give what `X` does to each row; columns that have not been measured are measured now."""
        known = X.statistics.complete()
        mean, scale = np.ascontiguousarray(known.mean), np.ascontiguousarray(known.scale)
        subtracted = mean if X.is_centred else np.zeros_like(mean)
        return cls(subtracted, scale if X.standardize else np.ones_like(scale), mean)

    def scaled(self, rows: Array) -> Array:
        """Give scaled rows (n, d) as a new array."""
        filled = np.where(np.isnan(rows), self.fill, rows)  # in double precision
        filled -= self.mean
        filled /= self.scale
        return filled.astype(rows.dtype, copy=False)


class TrainingRows(NamedTuple):
    """Samples as a form holds them: a contiguous array, and what is done to its rows when they are gathered, if anything."""

    source: Array
    scale: RowScale | None


def is_gathered(X: Any, dtype: np.dtype[Any]) -> bool:
    """Whether rows of a source can be scaled as they are gathered, because all of it is an array that the kernels can read."""
    return isinstance(X, Standardized) and _suits(X.base.array, dtype)


def _suits(array: Array | None, dtype: np.dtype[Any]) -> bool:
    """Whether kernels can read an array or a memory map as it is."""
    return array is not None and array.dtype == dtype and bool(array.flags.c_contiguous)


def gathered(X: Any, dtype: np.dtype[Any]) -> TrainingRows:
    """Give validated samples without a copy if their rows can be scaled as they are gathered, and `converted` otherwise."""
    if not is_gathered(X, dtype):
        return TrainingRows(converted(X, dtype), None)
    scale = RowScale.of(X)
    _refuse_extremes(X, dtype)
    return TrainingRows(X.base.array, scale)


def _refuse_extremes(X: Standardized, dtype: np.dtype[Any]) -> None:
    """Refuse samples that are not finite once scaled. Scaling keeps the order, so two numbers of each column tell."""
    array = X.base.array
    assert array is not None  # `is_gathered` has seen it
    low, high = (np.fmin, np.fmax) if X.missing == "mean" else (np.minimum, np.maximum)  # these keep NaN
    with np.errstate(invalid="ignore"):  # NaN is refused or filled in below
        extremes = np.stack([low.reduce(array, axis=0), high.reduce(array, axis=0)])
    converted(X.like(ArraySource(extremes)), dtype)


def is_converted(X: Any, dtype: np.dtype[Any]) -> bool:
    """Whether the forms that multiply by weights copy these samples."""
    if isinstance(X, Source):
        return not (is_gathered(X, dtype) or _suits(X.array, dtype))
    return not sparse.issparse(X) and (X.dtype != dtype or not X.flags.c_contiguous)


def converted_once(X: Any, dtype: np.dtype[Any]) -> Any:
    """Give new data that several front layers read: dense ones in their precision, others as they are."""
    if sparse.issparse(X) or elsewhere(X) is not None:
        return X
    return converted(X, dtype) if isinstance(X, Source) else np.ascontiguousarray(X, dtype=dtype)


def read_once(X: Any, dtype: np.dtype[Any], memory_limit: float) -> Any:
    """Give samples that are used again and again: those of a dense source are read into memory if they fit, others stay."""
    is_dense = isinstance(X, Source) and not is_stored_sparse(X) and elsewhere(X) is None
    return converted(X, dtype) if is_dense and X.shape[0] * X.shape[1] * dtype.itemsize <= memory_limit else X


def converted(X: Any, dtype: np.dtype[Any]) -> Array:
    """Give validated samples as a contiguous array with this dtype, not a copy if they lie in one; other sources are read."""
    if elsewhere(X) is not None:
        raise TypeError(
            "X is a dask array, all of which this needs in the memory of one process; if it has room, give X.compute()"
        )
    if isinstance(X, Source):
        with np.errstate(over="ignore"):  # reported below
            read = X.array if X.array is not None and _suits(X.array, dtype) else X.dense(dtype)
        refuse_not_finite(read, X, 0)
        return read
    with np.errstate(over="ignore"):  # reported below
        samples = np.ascontiguousarray(X, dtype=dtype)
    if not (np.can_cast(X.dtype, dtype) or all_finite(samples)):  # a lossless conversion cannot overflow
        raise ValueError(f"X has values too large for {dtype}; scale X, or use dtype='float64'")
    return samples
