"""What a first reading of a stream shows: all that settings, initial weights and scales depend on, in bounded memory."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from fcfast.sources.arrays import ArraySource
from fcfast.sources.entries import counted
from fcfast.sources.lengths import LONGEST, rounded
from fcfast.sources.running import Moments
from fcfast.sources.scale import Scale, scale_of
from fcfast.sources.standardized import CAP

Array = NDArray[Any]
Floats = NDArray[np.float64]

MOST_LENGTHS = 1 << 18  # different lengths that are held; more of them are rounded to `LENGTH_BITS`
LENGTH_BITS = 14


class Survey:
    """The sum of the blocks of a stream.

    Parameters
    ----------
    has_classes : bool
        Whether targets are class labels; otherwise they are numbers (n, c).
    """

    def __init__(self, has_classes: bool) -> None:
        self.has_classes = has_classes
        self.n_rows = self.n_entries = self.largest_block = 0
        self._weight = 0.0
        self.is_sparse = self.is_weighted = self.has_gaps = False
        self.features = Counts()
        self.labels = Labels()
        self.lengths = LengthCounts()
        self.inputs: Moments | None = None
        self.targets: Moments | None = None
        self.n_targets: Any = 0  # in each column

    def take(self, X: Any, y: Array, sample_weight: Floats | None, measures: bool, is_capped: bool) -> None:
        """Take a validated block in.

        Dense samples are measured for scales if someone `measures` them, with their weights if scales are capped.
        """
        weights = np.ones(len(y)) if sample_weight is None else sample_weight
        self.is_weighted |= sample_weight is not None
        self.n_rows += len(y)
        self._weight += float(weights.sum())
        self.largest_block = max(self.largest_block, len(y))
        if self.has_classes:
            numbers = self.labels.take(y, weights)
        else:
            numbers = np.zeros(len(y), np.intp)
            self.targets = _joined(self.targets, Moments.of(ArraySource(y), sample_weight, "y"))
            self.n_targets = self.n_targets + (~np.isnan(y)).sum(axis=0)
        if sparse.issparse(X):
            self.is_sparse = True
            self.n_entries += X.nnz
            self.features.take(X.indices if X.data.all() else X.indices[X.data != 0], X.shape[1])
            with np.errstate(over="ignore"):  # reported in `measured`
                squares = np.square(X.data.astype(np.float64))
            rows = np.repeat(np.arange(len(y)), np.diff(X.indptr))
            lengths: Floats = np.bincount(rows, squares, minlength=len(y)).astype(np.float64)
        else:
            dense = np.asarray(X, np.float64)
            self.has_gaps |= bool(np.isnan(dense).any())
            lengths = np.einsum("ij,ij->i", *(2 * [np.nan_to_num(dense, nan=0.0)]))
            if measures:
                self.inputs = _joined(self.inputs, Moments.of(ArraySource(dense), sample_weight if is_capped else None))
        self.lengths.take(lengths, numbers, weights)

    @property
    def total(self) -> float:
        """Weight of all samples."""
        if self.has_classes:
            return float(np.sum(self.labels.weights))
        return self._weight

    def scale(self, is_capped: bool) -> Scale:
        """Give mean and scale of dense features, as `fcfast.sources.standardized.Statistics` measures samples in memory."""
        known = self.inputs
        assert known is not None  # dense samples are measured if anyone asks
        total = self.total if is_capped else float(self.n_rows)
        variance = known.variance * (known.weight / total)  # missing values count as the mean
        scale = scale_of(known.mean, variance, total)
        if is_capped:
            largest = np.maximum(known.high - known.mean, known.mean - known.low)
            scale = np.where(variance > 0, np.maximum(scale, largest / CAP), scale)
        return Scale(known.mean, scale)

    def filled_length(self) -> float:
        """Give what the means in the place of missing values add to the mean squared length of dense samples."""
        known = self.inputs
        return 0.0 if known is None else float(((1 - known.weight / self.n_rows) * np.square(known.mean)).sum())


class Counts:
    """How many entries each feature has, for the features that have any.

    Blocks are gathered until they are as large as what is known, so that each feature is sorted in only a few times.
    """

    def __init__(self) -> None:
        self._parts: list[tuple[Array, Array]] = []
        self._n_known = 0

    def take(self, indices: Array, n_features: int) -> None:
        """Count the features of some entries."""
        features, counts = counted(indices, n_features)
        self._parts.append((features.astype(np.int64), counts))
        if sum(len(part) for part, _ in self._parts[1:]) > self._n_known:
            self._join()

    def _join(self) -> None:
        if len(self._parts) > 1:
            features = np.concatenate([part for part, _ in self._parts])
            counts = np.concatenate([count for _, count in self._parts])
            order = np.argsort(features, kind="stable")  # which makes use of parts that are sorted
            features, counts = features[order], counts[order]
            first = np.flatnonzero(np.diff(features, prepend=-1))
            self._parts = [(features[first], np.add.reduceat(counts, first) if len(first) else counts)]
        self._n_known = len(self._parts[0][0]) if self._parts else 0

    @property
    def known(self) -> tuple[NDArray[np.int64], Array]:
        """The features that occur, in rising order, and their numbers of entries."""
        self._join()
        return self._parts[0] if self._parts else (np.zeros(0, np.int64), np.zeros(0, np.intp))


class Labels:
    """The class labels of a stream, numbered as they are met, with their numbers of samples and weights."""

    def __init__(self) -> None:
        self.numbers: dict[Any, int] = {}
        self.counts: list[int] = []
        self.weights: list[float] = []
        self._is_text: bool | None = None

    def take(self, y: Array, weights: Floats) -> NDArray[np.intp]:
        """Take the labels of a block in, and give their numbers."""
        is_text = y.dtype.kind in "OUS"
        if self._is_text not in (None, is_text):
            raise ValueError("y holds text in some blocks of the stream and numbers in others; use one kind of label")
        self._is_text = is_text
        found, places = np.unique(y, return_inverse=True)
        for label in found.tolist():
            if label not in self.numbers:
                self.numbers[label] = len(self.counts)
                self.counts.append(0)
                self.weights.append(0.0)
        numbers = np.array([self.numbers[label] for label in found.tolist()], np.intp)
        for number, count, weight in zip(numbers, np.bincount(places), np.bincount(places, weights), strict=True):
            self.counts[number] += int(count)
            self.weights[number] += float(weight)
        return numbers[places.reshape(-1)]

    def sorted(self) -> tuple[Array, NDArray[np.intp]]:
        """Give the labels in rising order, and the number that each has here."""
        labels = np.array(list(self.numbers))
        order = np.argsort(labels, kind="stable")
        return labels[order], order


class LengthCounts:
    """Squared lengths of samples of each class, with their weights.

    They are held one by one while there are few different ones, and then in narrow bins, whose sums stay exact.
    """

    def __init__(self) -> None:
        self._parts: list[tuple[Array, ...]] = []

    def take(self, lengths: Floats, classes: NDArray[np.intp], weights: Floats) -> None:
        """Take the samples with a weight above 0 in."""
        counts = weights > 0
        lengths, classes, weights = lengths[counts], classes[counts], weights[counts]
        self._parts.append((lengths, classes, np.ones(len(lengths), np.intp), weights, weights * lengths))
        if sum(len(part[0]) for part in self._parts) > MOST_LENGTHS:
            self._join()

    def _join(self) -> None:
        columns = [np.concatenate(column) for column in zip(*self._parts, strict=True)]
        if len(columns[0]) > MOST_LENGTHS:
            fraction, exponent = np.frexp(columns[0])
            columns[0] = np.ldexp(np.round(np.ldexp(fraction, LENGTH_BITS)), exponent - LENGTH_BITS)
            order = np.lexsort((columns[1], columns[0]))
            columns = [column[order] for column in columns]
            changes = (np.diff(columns[0]) != 0) | (np.diff(columns[1]) != 0)
            first = np.concatenate([[0], np.flatnonzero(changes) + 1])
            columns = [*(column[first] for column in columns[:2]), *(np.add.reduceat(column, first) for column in columns[2:])]
        self._parts = [tuple(columns)]

    def measured(self, class_weights: Floats | None, missing: float = 0.0, can_scale: bool = True) -> tuple[float, str]:
        """Give the mean squared length as `fcfast.estimators.samples.SquaredLength` measures it, and how it was found.

        Parameters
        ----------
        class_weights : ndarray of shape (c,), or None
            Factor of the weights of each class, in the order in which classes are numbered here.
        missing : float
            What values that are filled in add to it.
        can_scale : bool
            Whether `standardize` is a remedy for samples that are too long.
        """
        self._join()
        lengths, classes, counts, weights, products = self._parts[0]
        if class_weights is not None:
            factors = class_weights[classes]
            kept = factors > 0
            lengths, counts = lengths[kept], counts[kept]
            weights, products = (weights * factors)[kept], (products * factors)[kept]
        total = float(weights.sum())
        with np.errstate(over="ignore"):  # reported below
            length = float(products.sum()) / total + missing
        if not np.isfinite(length):
            remedy = "use another unit, or standardize=True" if can_scale else "scale the blocks"
            raise ValueError(f"X has values so large that their squares overflow; {remedy}")
        longest = LONGEST * _median(lengths, counts) if length else 0.0
        text = ""
        if lengths.max() > longest:
            length = float(np.where(lengths > longest, weights * longest, products).sum()) / total + missing
            text = f", of which none counts as more than {longest:.3g}"
        return rounded(length) or 1.0, f"the mean squared length {length:.3g} of the samples{text}"

    def n_counted(self, class_weights: Floats | None) -> int:
        """Count the samples with a weight above 0."""
        self._join()
        _, classes, counts, *_ = self._parts[0]
        return int(counts.sum() if class_weights is None else counts[class_weights[classes] > 0].sum())


def _median(lengths: Floats, counts: Array) -> float:
    """Give the median of the lengths that are not 0, each of which occurs so many times."""
    counts = counts[lengths > 0]
    lengths = lengths[lengths > 0]
    if not len(lengths):
        return 0.0
    order = np.argsort(lengths)
    ends = np.cumsum(counts[order])
    middle = (ends[-1] - 1) // 2, ends[-1] // 2
    return float(lengths[order][np.searchsorted(ends, middle, side="right")].mean())


def _joined(before: Moments | None, more: Moments) -> Moments:
    return more if before is None else before.joined(more)
