"""Samples that estimators take: what scikit-learn checks, and sources, which are never loaded to be checked."""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.utils.validation import _check_n_features

from fcfast import validation
from fcfast.gram.measures import directions, squared_norms
from fcfast.gram.object import Gram, fan_in_of, n_features_of
from fcfast.gram.products import gram_and_preactivations
from fcfast.gram.samples import is_numeric
from fcfast.sources import ArraySource, SparseSource, Standardized, as_source
from fcfast.sources.entries import occurring_part
from fcfast.sources.inputs import tidy
from fcfast.sources.lengths import LONGEST, rounded
from fcfast.sources.opening import DASK, library_of
from fcfast.sources.protocol import READ_BYTES, Source
from fcfast.tiles import slices

if TYPE_CHECKING:
    from fcfast.estimators.base import TrainedEstimator

SPREAD_SAMPLES, SPREAD_FEATURES = 64, 4096  # that are read for `SquaredLength.directions`, at most


def check_features(estimator: "TrainedEstimator", X: Source, reset: bool) -> None:
    """Set `n_features_in_` and `feature_names_in_`, or compare them with those of new samples, as scikit-learn does.

    Raises
    ------
    ValueError
        If the number or the names of the features are not those of `fit`, or there are no samples or features.
    """
    if 0 in X.shape:
        raise ValueError(
            f"Found array with {X.shape[0]} sample(s) and {X.shape[1]} feature(s) while a minimum of 1 is required"
        )
    names = None if X.feature_names is None else np.array(X.feature_names, dtype=object)
    kind = type(estimator).__name__
    if reset:
        if names is not None:
            estimator.feature_names_in_ = names
        elif hasattr(estimator, "feature_names_in_"):
            del estimator.feature_names_in_
    else:
        fitted: Any = getattr(estimator, "feature_names_in_", None)
        if names is None and fitted is not None:
            warnings.warn(f"X does not have valid feature names, but {kind} was fitted with feature names", stacklevel=4)
        elif names is not None and fitted is None:
            warnings.warn(f"X has feature names, but {kind} was fitted without feature names", stacklevel=4)
        elif names is not None and len(names) == len(fitted) and not np.array_equal(names, fitted):
            place = int(np.argmax(names != fitted))
            raise ValueError(
                "The feature names should match those that were passed during fit, in the same order; the first that differs "
                f"is {names[place]!r} in place of {fitted[place]!r}"
            )
    _check_n_features(estimator, X, reset=reset)


class Length(Protocol):
    """The mean squared length of samples, for settings and initial weights."""

    @property
    def value(self) -> float:
        """The length, which is never 0."""

    @property
    def text(self) -> str:
        """How it was found, in words."""

    @property
    def n_counted(self) -> int:
        """Number of samples with a weight above 0."""

    @property
    def counted(self) -> NDArray[np.bool_] | None:
        """Which samples count; None if all do, or if nobody knows them one by one."""

    @property
    def directions(self) -> float:
        """Over how many directions samples spread; infinite where that is not measured."""


class SquaredLength:
    """The mean squared length of validated samples, which takes a pass over them at most, when it is first asked for.

    It has three digits, so that a Gram matrix, whose products are rounded, gives the same number as its features. A length
    counts as at most `LONGEST` times the median, so that a single huge sample does not decide the rates for all others.

    Parameters
    ----------
    X : ndarray, sparse matrix, Source or Gram of shape (N, d)
        Samples.
    sample_weight : ndarray of shape (N,), or None
        Weights of the samples in the mean; None weights all samples equally.
    """

    def __init__(self, X: Any, sample_weight: NDArray[np.float64] | None = None) -> None:
        self._X, self._weights = X, sample_weight

    @property
    def value(self) -> float:
        """The length, which is never 0."""
        return self._measured[0]

    @property
    def text(self) -> str:
        """How it was found, in words."""
        return self._measured[1]

    @property
    def is_known(self) -> bool:
        """Whether the length need not be measured: it is that of standardised features, or of a kernel's feature space."""
        return _is_standardized(self._X) or (isinstance(self._X, Gram) and not self._X.is_linear)

    @property
    def counted(self) -> NDArray[np.bool_] | None:
        """Which samples count; None if all do."""
        return counted_rows(self._weights)

    @cached_property
    def rows(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The squared length of each sample with a weight above 0, and these weights."""
        X = self._X
        with np.errstate(over="ignore"):  # reported below
            lengths = X.squared_lengths if isinstance(X, Gram) else squared_norms(X)
        if self._weights is None:
            return lengths, np.ones(len(lengths))
        return lengths[self._weights > 0], self._weights[self._weights > 0]

    @property
    def n_counted(self) -> int:
        """Number of samples with a weight above 0."""
        return n_counted(self._X, self._weights)

    @cached_property
    def directions(self) -> float:
        """Over how many directions some of the samples spread; infinite for more features, which spread over many."""
        X, which = self._X, self.counted
        if n_features_of(X) > SPREAD_FEATURES:
            return np.inf
        rows = np.arange(X.shape[0]) if which is None else np.flatnonzero(which)
        some = X[rows[np.unique(np.linspace(0, len(rows) - 1, SPREAD_SAMPLES).astype(np.intp))]]
        with np.errstate(over="ignore", invalid="ignore"):  # lengths, which are measured before, report what is too large
            products = some.matrix if isinstance(some, Gram) else gram_and_preactivations(some, None, np.float64)[0]
            return rounded(directions(products))

    @cached_property
    def _measured(self) -> tuple[float, str]:
        X = self._X
        if _is_standardized(X):
            n_features = int(fan_in_of(X))
            return float(n_features), f"{n_features:,} standardised features"
        lengths, weights = self.rows
        with np.errstate(over="ignore"):  # reported below
            shares = weights / weights.mean()
            length = float((lengths * shares).mean())
        if not np.isfinite(length):
            raise ValueError("X has values so large that their squares overflow; use another unit, or standardize=True")
        longest = LONGEST * float(np.median(lengths[lengths > 0])) if length else 0.0
        text = ""
        if lengths.max() > longest:
            length = float((np.minimum(lengths, longest) * shares).mean())
            text = f", of which none counts as more than {longest:.3g}"
        return rounded(length) or 1.0, f"the mean squared length {length:.3g} of the samples{text}"


def counted_rows(sample_weight: NDArray[np.float64] | None) -> NDArray[np.bool_] | None:
    """Tell which samples have a weight above 0; None if all have."""
    if sample_weight is None or (sample_weight > 0).all():
        return None
    return sample_weight > 0


def n_counted(X: Any, sample_weight: NDArray[np.float64] | None) -> int:
    """Give the number of samples with a weight above 0."""
    return int(X.shape[0]) if sample_weight is None else int(np.count_nonzero(sample_weight))


def constant_columns(targets: NDArray[Any], sample_weight: NDArray[np.float64] | None) -> NDArray[np.bool_]:
    """Tell which targets (N, c) are the same for all samples that count and have one."""
    counted = targets if sample_weight is None else targets[sample_weight > 0]
    varies: NDArray[np.bool_] = np.fmax.reduce(counted, axis=0) > np.fmin.reduce(counted, axis=0)
    return ~varies


class Remedies(Sequence[str]):
    """What can be done about a training that fails, which is only found out when somebody asks.

    Parameters
    ----------
    X : ndarray, sparse matrix, Source or Gram of shape (N, d)
        Training samples, or None if they do not matter.
    remedies : sequence of str
        What to do unless all samples are equal.
    """

    def __init__(self, X: Any, remedies: Sequence[str]) -> None:
        self._X, self._remedies = X, remedies

    @cached_property
    def _suitable(self) -> Sequence[str]:
        if self._X is None or not _are_equal(self._X):
            return self._remedies
        return ["give X features that differ: all samples are equal, so that no setting helps"]

    def __getitem__(self, key: Any) -> Any:
        return self._suitable[key]

    def __len__(self) -> int:
        return len(self._suitable)


def _are_equal(X: Any) -> bool:
    """Whether all samples are the same; no more is read than the first features that differ."""
    if isinstance(X, Gram):
        return bool((X.matrix == X.matrix[0, 0]).all())
    if sparse.issparse(X):
        X = occurring_part(tidy(X))[1]
    source = as_source(X)
    for features in slices(source.shape[1], max(1, READ_BYTES // (8 * source.shape[0]))):
        block = source.read(features)
        block = block.toarray() if sparse.issparse(block) else block
        if not (block == block[0]).all():
            return False
    return True


def _is_standardized(X: Any) -> bool:
    """Whether the inputs of a unit are features of mean 0 and deviation 1, which need not be at hand."""
    if isinstance(X, Gram):
        return X.is_standardized and X.is_linear
    return isinstance(X, Standardized) and X.standardize is True


@contextmanager
def products_named(gram: Gram | None) -> Iterator[None]:
    """Say what the columns of X are, if their number is wrong and they are products with the samples of a Gram matrix."""
    try:
        yield
    except ValueError as error:
        if gram is None or gram.has_features or "is expecting" not in str(error):
            raise
        raise ValueError(
            f"{str(error).removesuffix('.')}: products of each new sample with all {gram.n_features} samples of the Gram "
            "matrix, in their order; compute them as theirs were"
        ) from error


def copied(X: Any) -> Any:
    """Copy samples in memory, because whoever streams samples may reuse an array; files are not copied."""
    if isinstance(X, Standardized):
        base = copied(X.base)
        return Standardized(base, X.standardize, X.missing, X.dtype, X.statistics.of_copy(base))
    if isinstance(X, ArraySource):
        return ArraySource(X.array.copy())
    if isinstance(X, SparseSource):
        return SparseSource(X.matrix.copy())
    return X if isinstance(X, Source) else X.copy()


def gathered(y: Any, name: str = "y") -> Any:
    """Give targets or weights of samples as they are, except that those of dask are computed: there are few of them.

    Raises
    ------
    ValueError
        If values are masked.
    """
    return validation.unmasked(y.compute() if library_of(y) == DASK and hasattr(y, "compute") else y, name)


def has_one_dtype(X: Any) -> bool:
    """Whether a table holds numbers of one NumPy type, so that it is an array as it stands."""
    dtypes = getattr(X, "dtypes", None)
    if not hasattr(X, "iloc") or dtypes is None or not hasattr(dtypes, "iloc") or not len(dtypes):
        return False
    first = dtypes.iloc[0]
    return isinstance(first, np.dtype) and is_numeric(first) and bool((dtypes == first).all())
