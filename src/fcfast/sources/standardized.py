"""Sources whose columns are standardised, and filled in where values are missing, while they are read.

A block of columns holds all rows. Means and deviations are therefore measured in the very read that needs them first, and
nothing scaled is ever stored. Differences from the mean are taken in double precision, so that columns such as 1e9 +- 1 keep
their digits.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import DTypeLike, NDArray
from scipy import sparse

from fcfast.sources.protocol import Rows, SelectedRows, Source
from fcfast.sources.scale import Scale, refuse_unmeasurable, scale_of
from fcfast.validation import all_finite

if TYPE_CHECKING:
    from fcfast.sources.elsewhere import Elsewhere

Array = NDArray[Any]
Floats = NDArray[np.float64]

MISSING = ("error", "mean")
CAPPED = "capped"
SCALE = "scale"
CAP = 5.0  # deviations of a capped column's largest value; that of thousands of normal numbers is 4
QUANTUM = 2.0**-50  # multiples of it up to 4 are summed without rounding
STRIP = 64  # fewest columns that are measured and scaled together
STRIP_NUMBERS = 1 << 15  # numbers that are measured and scaled while they are in cache
MEASURED_BYTES = 64 << 20  # size in double precision of the blocks that are read only to measure them
SPARSE_DENSITY = 1 / 16  # share of entries above which centred columns are made dense; its square is budget.SPARSE_SHARE


class Statistics:
    """Means and deviations of columns over all rows of a source, measured when they are first needed.

    Parameters
    ----------
    source : Source
        All training samples.
    missing : {"error", "mean"}
        Whether missing values (NaN) are refused, or count as the mean of the column.
    is_capped : bool
        Whether the scale of a column is such that no scaled value of a dense sample exceeds `CAP`.
    sample_weight : ndarray of shape (N,), or None
        Weights of the samples, as scikit-learn's StandardScaler takes them; None weights all samples equally.
    columns : ndarray of int of shape (d,), range, or None
        Numbers by which messages name the columns, if the source holds only some columns of X.
    """

    columns: NDArray[np.int64] | range | None = None

    def __init__(
        self,
        source: Source,
        missing: str,
        is_capped: bool = False,
        sample_weight: Floats | None = None,
        columns: NDArray[np.int64] | range | None = None,
    ) -> None:
        self.source: Source | None = source
        self.missing, self.is_capped, self.sample_weight, self.columns = missing, is_capped, sample_weight, columns
        self._begin(source.shape[1])

    def _begin(self, n_features: int) -> None:
        self.mean, self.scale = np.zeros(n_features), np.ones(n_features)
        self._is_measured = np.zeros(n_features, bool)

    def __getstate__(self) -> dict[str, Any]:
        """Leave out arrays in which nothing stands yet."""
        if self.source is None or self._is_measured.any():
            return self.__dict__
        return {name: held for name, held in self.__dict__.items() if name not in ("mean", "scale", "_is_measured")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__ |= state
        if "mean" not in state:
            assert self.source is not None  # or the means would be known
            self._begin(self.source.shape[1])

    @classmethod
    def known(cls, scale: Scale, missing: str) -> "Statistics":
        """Take statistics that were measured before."""
        statistics = object.__new__(cls)
        statistics.source, statistics.missing, statistics.is_capped, statistics.sample_weight = None, missing, False, None
        statistics.mean, statistics.scale = scale.mean, scale.scale
        return statistics

    def of_copy(self, source: Source) -> "Statistics":
        """Measure a copy of the samples in the same way, unless they have been measured."""
        if self.source is None:
            return self
        return Statistics(source, self.missing, self.is_capped, self.sample_weight)

    def part(self, features: slice, source: Source | None) -> "Statistics":
        """Give those of some features; in another process, those that lack are measured over all rows of a part `source`."""
        columns = range(features.start, features.stop) if self.columns is None else self.columns[features]
        if source is None:
            known = Statistics.known(Scale(self.mean[features], self.scale[features]), self.missing)
            known.columns = columns
            return known
        return Statistics(source, self.missing, self.is_capped, self.sample_weight, columns)

    @property
    def measured(self) -> Scale | None:
        """Means and scales that were all measured here; None if some are missing, or if they came from elsewhere."""
        return Scale(self.mean, self.scale) if self.source is not None and self._is_measured.all() else None

    def take(self, features: slice, measured: Scale) -> None:
        """Take means and scales that were measured in another process."""
        if self.lacks(features):
            self.mean[features], self.scale[features], self._is_measured[features] = measured.mean, measured.scale, True

    def lacks(self, features: slice) -> bool:
        """Whether some of these features have not been measured."""
        return self.source is not None and not self._is_measured[features].all()

    def measure(self, features: slice, block: Any) -> None:
        """Measure features in a block with all rows."""
        if sparse.issparse(block):
            self._measure_sparse(features, block)
        else:
            strips = _strips(block)
            scratch = _scratch(block, strips), _scratch(block, strips)
            for strip in strips:
                of = slice(features.start + strip.start, features.start + strip.stop)
                self._measure_dense(of, _columns(block, strip, scratch[0]), scratch[1])
        self._is_measured[features] = True

    def _measure_dense(self, features: slice, columns: Floats, scratch: Floats) -> None:
        """Measure some columns (w, N), which are contiguous, so that sums are rounded alike in every source; overwrite both."""
        weights = self.sample_weight
        if weights is not None:
            columns, weights = columns[:, weights > 0], weights[weights > 0]
        with np.errstate(over="ignore", invalid="ignore"):  # reported below
            mean = _average(columns, weights)
            if not np.isfinite(mean).all():
                columns = self._without_gaps(features, columns, weights)
                mean = _average(columns, weights)
            fits = columns.shape[1] == scratch.shape[1]
            differences = np.subtract(columns, mean[:, None], out=scratch[: len(columns)] if fits else None)
            correction = _average(differences, weights)
            mean += correction  # the first mean of large numbers is not exact
            variance = _average(np.square(differences, out=columns), weights) - correction**2
        self._keep(features, mean, np.maximum(variance, 0.0), columns.shape[1] if weights is None else float(weights.sum()))
        if self.is_capped:
            largest = np.maximum(differences.max(axis=1), -differences.min(axis=1))
            self.scale[features] = np.where(variance > 0, np.maximum(self.scale[features], largest / CAP), self.scale[features])

    def _without_gaps(self, features: slice, columns: Floats, weights: Floats | None) -> Floats:
        """Put the mean of what is there in the place of missing values; columns without any value become 0."""
        is_missing = np.isnan(columns)
        self.refuse(features, is_missing.any(axis=1), np.isinf(columns).any(axis=1))
        by: Any = 1.0 if weights is None else weights
        filled = np.where(is_missing, 0.0, columns)
        present = _or_one((by * ~is_missing).sum(axis=1))
        mean = (by * filled).sum(axis=1) / present
        filled = np.where(is_missing, mean[:, None], columns)
        mean += np.where(is_missing, 0.0, by * (filled - mean[:, None])).sum(axis=1) / present
        return np.where(is_missing, mean[:, None], columns)

    def _measure_sparse(self, features: slice, block: Any) -> None:
        """Measure some columns in CSC, all of whose rows count with their weights, as `_measure_dense` does."""
        n_samples, width = block.shape
        place = np.repeat(np.arange(width), np.diff(block.indptr))
        values, rows, weights = block.data.astype(np.float64), block.indices, self.sample_weight
        if weights is not None and not weights.all():
            counts = weights[rows] > 0
            place, values, rows, n_samples = place[counts], values[counts], rows[counts], np.count_nonzero(weights)

        def sums(numbers: Any = None) -> Floats:
            return np.asarray(np.bincount(place, numbers, minlength=width), np.float64)

        is_missing = np.isnan(values)
        self.refuse(features, sums(is_missing) > 0, sums(np.isinf(values)) > 0)
        if weights is None:
            by, total, zeros = np.ones(len(values)), 1.0 * n_samples, n_samples - sums()
        else:
            shares = weights / weights.sum()
            by, total = shares[rows], 1.0
            zeros = np.where(sums() < n_samples, _unstored(shares, by, sums), 0.0)
        by[is_missing] = 0.0
        present = _or_one(sums(by) + zeros)
        with np.errstate(over="ignore", invalid="ignore"):  # reported below
            mean = sums(by * np.where(is_missing, 0.0, values)) / present
            differences = np.where(is_missing, 0.0, values - mean[place])
            correction = (sums(by * differences) - zeros * mean) / present
            variance = (sums(by * np.square(differences)) + zeros * np.square(mean) - present * correction**2) / total
            mean += correction  # the first mean of large numbers is not exact
        self._keep(features, mean, np.maximum(variance, 0.0), n_samples if weights is None else float(weights.sum()))

    def _keep(self, features: slice, mean: Floats, variance: Floats, n_samples: float) -> None:
        refuse_unmeasurable(mean, variance, lambda column: self._text(features.start + column))
        self.mean[features], self.scale[features] = mean, scale_of(mean, variance, n_samples)

    def refuse(self, features: slice, is_missing: Any, is_infinite: Any) -> None:
        """Raise a ValueError for the first feature with infinity, or with missing values that nobody allowed."""
        if is_infinite.any():
            raise ValueError(f"X has infinity in {self._text(features.start + int(np.argmax(is_infinite)))}; use numbers there")
        if self.missing == "error" and is_missing.any():
            column = self._text(features.start + int(np.argmax(is_missing)))
            raise ValueError(
                f"X has missing values (NaN) in {column}; fill them in, or use missing='mean', which puts the mean of the "
                "training samples in their place"
            )

    def _text(self, column: int) -> str:
        names = None if self.source is None else self.source.feature_names
        column = column if self.columns is None else int(self.columns[column])
        return f"column {column}" + ("" if names is None else f" ({names[column]!r})") + ", counted from 0"

    def complete(self) -> Scale:
        """Measure what has not been measured, drop the reference to the samples, and give the means and scales."""
        if self.source is not None:
            width = max(1, int(MEASURED_BYTES // (8 * _numbers_in_column(self.source))))
            for start in range(0, self.source.shape[1], width):
                features = slice(start, min(start + width, self.source.shape[1]))
                if self.lacks(features):
                    self.measure(features, tidy_block(self.source.read(features)))
            self.source = None
        return Scale(self.mean, self.scale)


class Standardized(Source):
    """A source whose columns are standardised, missing values filled in, or both; nothing is read or stored before.

    Parameters
    ----------
    base : Source
        Samples.
    standardize : bool, "capped" or "scale", default True
        Whether to subtract the mean of each column and divide by its (population) deviation, as scikit-learn's
        StandardScaler does. A constant column is only centred. "capped" divides a dense column by more, if its largest
        difference from the mean is more than 5 deviations: this difference becomes 5. "scale" divides by the deviation and
        subtracts nothing; a constant column stays as it is.
    missing : {"error", "mean"}, default "error"
        What to do about missing values (NaN): raise a ValueError, or put the mean of the column in their place, which is 0
        once standardised. A column without any value counts as 0.
    dtype : {"float64", "float32"}, default "float64"
        Precision of the blocks.
    statistics : Statistics or None, default None
        Means and deviations; None measures them over all rows of `base`, each when it is first read.

    Notes
    -----
    ``standardized[rows]`` still has the means and deviations of all rows, and ``standardized.like(other)`` those of the
    training samples. A sparse base that is centred gives dense blocks. Products of a base with few entries stay sparse
    all the same (`fcfast.gram.centring`).

    Examples
    --------
    >>> import numpy as np
    >>> from fcfast.sources import ArraySource, Standardized
    >>> train = Standardized(ArraySource(np.array([[1.0, 5.0], [3.0, 5.0], [np.nan, 5.0]])), missing="mean")
    >>> train[1:].read(slice(0, 2)).round(2)
    array([[1.22, 0.  ],
           [0.  , 0.  ]])
    >>> train.like(ArraySource(np.array([[2.0, 6.0]]))).read(slice(0, 2))
    array([[0., 1.]])
    """

    def __init__(
        self,
        base: Source,
        standardize: bool | str = True,
        missing: str = "error",
        dtype: DTypeLike = "float64",
        statistics: Statistics | None = None,
    ) -> None:
        self.base, self.missing, self.dtype = base, missing, np.dtype(dtype)
        self.standardize: bool | str = SCALE if standardize == SCALE else bool(standardize)
        self.statistics = Statistics(base, missing, standardize == CAPPED) if statistics is None else statistics
        # Older networks scale sparse samples without centring them: their means are 0.
        is_known = self.statistics.source is None
        self.is_centred = self.standardize is True and not (is_known and not self.statistics.mean.any())
        self.shape, self.is_sparse, self.offset = base.shape, base.is_sparse and not self.is_centred, base.offset
        if base.shape[1] != len(self.statistics.mean):
            raise ValueError(f"X has {base.shape[1]} feature(s), but the training samples had {len(self.statistics.mean)}")

    @property
    def feature_names(self) -> list[str] | None:  # type: ignore[override]  # a source may read names when asked for them
        """Names of the features, as in the base."""
        return self.base.feature_names

    @property
    def sample_names(self) -> list[str] | None:  # type: ignore[override]  # as above
        """Names of the samples, as in the base."""
        return self.base.sample_names

    def like(self, other: Source, dtype: DTypeLike | None = None) -> "Standardized":
        """Give other samples with the means and deviations of the training samples."""
        return Standardized(other, self.standardize, self.missing, self.dtype if dtype is None else dtype, self.statistics)

    def scales_like(self, other: "Standardized") -> bool:
        """Whether other samples are scaled and filled in by the same numbers."""
        if (self.standardize, self.missing) != (other.standardize, other.missing):
            return False
        mine, others = self.statistics, other.statistics
        return mine is others or (
            mine.source is others.source is None
            and np.array_equal(mine.mean, others.mean)
            and np.array_equal(mine.scale, others.scale)
        )

    def __getitem__(self, key: Any) -> "Standardized":
        """Give some rows: a slice, row numbers or a mask; means and deviations stay those of all rows."""
        return self.like(self.base[key])

    def fingerprint(self) -> bytes:
        """Digest the base."""
        return self.base.fingerprint()

    @property
    def elsewhere(self) -> "Elsewhere | None":
        """What runs work where the base lies."""
        return self.base.elsewhere

    def part(self, features: slice) -> "Standardized":
        """Give neighbouring features, which are measured in the process that reads them unless they have been measured."""
        base, everything, source = self.base, self.statistics.source, None
        if everything is None or not self.statistics.lacks(features):
            part = base.part(features)
        elif base is everything:
            part = source = base.part(features)
        elif isinstance(base, SelectedRows) and base.base is everything:
            source = everything.part(features)
            part = SelectedRows(source, base.rows)  # what is measured is what is read
        else:
            part, source = base.part(features), everything.part(features)
        return Standardized(part, self.standardize, self.missing, self.dtype, self.statistics.part(features, source))

    @property
    def waits(self) -> bool:
        """Whether the part of the base waits, or that of all samples, which are measured."""
        everything = self.statistics.source
        return self.base.waits or (everything is not None and everything.waits)

    @property
    def found(self) -> Scale | None:
        """Means and deviations that were measured here."""
        return self.statistics.measured

    def learn(self, features: slice, found: Scale) -> None:
        """Take the means and deviations that another process has measured."""
        self.statistics.take(features, found)

    def read_ranges(self, width: int) -> list[slice]:
        """Split the features as the base does."""
        return self.base.read_ranges(width)

    def strips(self, n_rows: int) -> list[slice]:
        """Split the rows as the base does; into one strip if it has to be measured, which each strip would do by itself."""
        if self.statistics.lacks(slice(None)):
            return [slice(0, self.shape[0])]
        return self.base.strips(n_rows)

    def strip(self, rows: slice) -> "Standardized":
        """Give a strip of the rows; means and deviations stay those of all rows."""
        return self.like(self.base.strip(rows))

    def count_entries(self) -> NDArray[np.intp]:
        """Count the entries of each feature."""
        return self.base.count_entries()

    def read(self, features: slice, rows: Rows = None) -> Any:
        """Read some features of some rows."""
        block = self._measured(features, rows)
        if not sparse.issparse(block):
            return self._scaled(block, features)
        if self.is_sparse:
            return self.uncentred_block(features, block)
        return self._scaled(block.toarray(), features)

    def _measured(self, features: slice, rows: Rows) -> Any:
        """Read from the base; measure first if that is needed, in the same read if the base holds some or all rows."""
        statistics, base = self.statistics, self.base
        if not statistics.lacks(features):
            return tidy_block(base.read(features, rows))
        everything = statistics.source
        assert everything is not None  # or nothing would be lacking
        whole = tidy_block(everything.read(features))
        statistics.measure(features, whole)
        if base is everything:
            return whole if rows is None else whole[rows]
        if isinstance(base, SelectedRows) and base.base is everything:
            return whole[base.rows if rows is None else base.rows[rows]]
        return tidy_block(base.read(features, rows))

    def _scaled(self, block: Array, features: slice) -> Array:
        """Scale a dense block, a strip of columns at a time, and round the result to the precision of the source."""
        mean, scale = self.statistics.mean[features], self.statistics.scale[features]
        out = np.empty(block.shape, self.dtype)
        strips = _strips(block)
        scratch = _scratch(block, strips)
        for strip in strips:
            columns = _columns(block, strip, scratch)
            if block.dtype.kind == "f" and not all_finite(columns):
                is_missing = np.isnan(columns)
                of = slice(features.start + strip.start, features.start + strip.stop)
                self.statistics.refuse(of, is_missing.any(axis=1), np.isinf(columns).any(axis=1))
                columns = np.where(is_missing, mean[strip, None], columns)
            if self.is_centred:
                columns -= mean[strip, None]
            if self.standardize:
                columns /= scale[strip, None]
            with np.errstate(over="ignore"):  # whoever reads looks for infinity
                out[:, strip] = columns.T
        return out

    def uncentred_block(self, features: slice, block: Any) -> Any:
        """Scale the entries of a sparse block, and fill in those that are missing, without centring."""
        place = np.repeat(np.arange(block.shape[1]), np.diff(block.indptr))
        values = block.data.astype(np.float64)
        is_missing, is_infinite = np.isnan(values), np.isinf(values)
        if is_missing.any() or is_infinite.any():
            found = [np.bincount(place, which, minlength=block.shape[1]) > 0 for which in (is_missing, is_infinite)]
            self.statistics.refuse(features, *found)
            values = np.where(is_missing, self.statistics.mean[features][place], values)
        if self.standardize:
            values /= self.statistics.scale[features][place]
        with np.errstate(over="ignore"):  # whoever reads looks for infinity
            values = values.astype(self.dtype, copy=False)
        return sparse.csc_array((values, block.indices, block.indptr), shape=block.shape)

    # ------------------------------------------------------------------------------------------------------------------
    # sparse samples that are centred

    def bordered(self) -> "Bordered | None":
        """Give the samples before centring, still sparse, with the scaled means below; None for samples better made dense."""
        if not (self.is_centred and self.base.is_sparse):
            return None
        n_entries = int(self.base.count_entries().sum())
        return Bordered(self) if n_entries < SPARSE_DENSITY * self.shape[0] * self.shape[1] else None


class Bordered(Source):
    """The rows of sparse samples, scaled but not centred, and below them one more row, the means that centring subtracts.

    Parameters
    ----------
    centred : Standardized
        Samples with a sparse base.
    """

    is_sparse = True

    def __init__(self, centred: Standardized) -> None:
        self.centred = centred
        self.shape, self.dtype = (centred.shape[0] + 1, centred.shape[1]), centred.dtype

    @property
    def feature_names(self) -> list[str] | None:  # type: ignore[override]  # a source may read names when asked for them
        """Names of the features."""
        return self.centred.feature_names

    def read(self, features: slice, rows: Rows = None) -> Any:
        """Read some features of some rows; the last row holds the means."""
        statistics = self.centred.statistics
        block = self.centred.uncentred_block(features, self.centred._measured(features, None))
        means = (statistics.mean[features] / statistics.scale[features]).astype(self.dtype)
        both = sparse.csc_array(sparse.vstack([block, sparse.csr_array(means[None])], format="csc"))
        return both if rows is None else sparse.csc_array(both[rows])

    def fingerprint(self) -> bytes:
        """Digest the samples."""
        return self.centred.fingerprint()

    def count_entries(self) -> NDArray[np.intp]:
        """Count the entries of each feature; a mean counts wherever there may be one."""
        statistics, source = self.centred.statistics, self.centred.statistics.source
        has_mean = statistics.mean != 0 if source is None else source.count_entries() > 0
        return self.centred.count_entries() + has_mean


def _numbers_in_column(source: Source) -> float:
    """Count the numbers that a column holds on average, for a sparse source those that are stored, with their places."""
    n_samples, n_features = source.shape
    n_numbers = 2 * float(source.count_entries().sum()) / n_features if source.is_sparse else n_samples
    return max(1.0, n_numbers)


def _average(columns: Floats, weights: Floats | None) -> Floats:
    """Give the mean of each column (w, N) without BLAS, whose kernels round differently."""
    if weights is None:
        return np.asarray(columns.mean(axis=1))
    return np.asarray((columns * (weights / weights.sum())).sum(axis=1))


def _unstored(shares: Floats, stored: Floats, sums: Callable[[Floats], Floats]) -> Floats:
    """Give the weight of the samples without an entry, in each column, from all `shares` and those of the entries.

    The weight of the others may be most of the sum, 1. Multiples of a power of 2 are therefore subtracted, without rounding,
    before what is left of each number.
    """
    whole, stored_whole = (np.rint(numbers / QUANTUM) * QUANTUM for numbers in (shares, stored))
    rest = (shares - whole).sum() - sums(stored - stored_whole)
    return np.maximum(whole.sum() - sums(stored_whole) + rest, 0.0)


def _or_one(total: Floats) -> Floats:
    """Give a divisor for what sums to 0 where the total does."""
    return np.where(total > 0, total, 1.0)


def tidy_block(block: Any) -> Any:
    """Give a sparse block in CSC with one entry in a place, and a dense block as it is."""
    if not sparse.issparse(block):
        return block
    held: Any = sparse.csc_array(block)
    if not held.has_canonical_format:
        held = held.copy()
        held.sum_duplicates()
    return held


def _strips(block: Array) -> list[slice]:
    n_samples, n_columns = block.shape
    width = max(STRIP, STRIP_NUMBERS // max(1, n_samples))
    return [slice(start, min(start + width, n_columns)) for start in range(0, n_columns, width)]


def _scratch(block: Array, strips: list[slice]) -> Floats:
    """Give room for the columns of any strip: an array for each of them costs much time in processes that return memory."""
    return np.empty((max((strip.stop - strip.start for strip in strips), default=0), len(block)))


def _columns(block: Array, strip: slice, scratch: Floats) -> Floats:
    """Copy some columns of a block to a C-contiguous array (w, N) in double precision, at the beginning of `scratch`."""
    columns = scratch[: strip.stop - strip.start]
    columns[:] = block[:, strip].T
    return columns
