"""The baseline that samples are compared with, as the network takes it."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from fcfast import validation
from fcfast.gram.object import Gram
from fcfast.gram.occurring import is_sparse
from fcfast.gram.reading import reader
from fcfast.sources.entries import looked_up
from fcfast.sources.protocol import Source
from fcfast.sources.scaling import Scaling
from fcfast.tiles import slices

Array = NDArray[Any]
Floats = NDArray[np.float64]

AUTO, MEAN, ZERO, GIVEN = "auto", "mean", "zero", "given"
UNKNOWN = (
    "baseline='mean': this network keeps no means of its training samples, because their features were not centred "
    "(standardize) and it holds weights in place of the samples; give them (baseline=X_train.mean(axis=0)), or use "
    "baseline='zero'"
)


def baseline_of(
    asked: Any, X: Any, scaling: Scaling | None, gram: Gram | None, dtype: np.dtype[Any]
) -> tuple[Array | None, str]:
    """Give a baseline (d,) on the scale of prepared samples, None for 0, and its kind.

    Parameters
    ----------
    asked : {"auto", "mean", "zero"} or array-like of shape (d,)
        "auto" is "zero" for sparse samples, in which 0 is the absence of a feature, and "mean" for all others.
    X : ndarray, memmap, sparse or Source of shape (M, d)
        Prepared samples.
    scaling : Scaling or None
        How raw samples are prepared.
    gram : Gram or None
        Training samples, if the network holds contributions of them.
    dtype : dtype
        Precision of the network.

    Raises
    ------
    ValueError, TypeError
        If the baseline is unknown, or an array of another shape or with values that are not finite.
    """
    n_features = X.shape[1]
    if not isinstance(asked, str):
        return _or_none(_prepared(_given(asked, n_features, scaling), scaling, dtype)), GIVEN
    validation.choice(asked, "baseline", (AUTO, MEAN, ZERO))
    if asked == ZERO or (asked == AUTO and is_sparse(X)):
        is_shifted = scaling is not None and scaling.inputs is not None and scaling.inputs.mean.any()
        return (_prepared(np.zeros(n_features), scaling, dtype) if is_shifted else None), ZERO
    return _mean(n_features, scaling, gram, dtype), MEAN


def _mean(n_features: int, scaling: Scaling | None, gram: Gram | None, dtype: np.dtype[Any]) -> Array | None:
    """Give the mean of the training samples: centred features have the mean 0, and others may be at hand."""
    if scaling is not None and scaling.inputs is not None and scaling.inputs.mean.any():
        return None
    if scaling is not None and scaling.missing is not None:
        known = scaling.missing
        if scaling.features is not None:
            known = looked_up(np.arange(n_features), scaling.features, known, 0.0, n_features)
        return _or_none(_prepared(known, scaling, dtype))
    if gram is None:
        raise ValueError(UNKNOWN)
    return _or_none(mean_of(gram.X, dtype))


def mean_of(X: Any, dtype: np.dtype[Any]) -> Array:
    """Compute the mean (d,) of samples in one pass."""
    mean, inputs = np.empty(X.shape[1], dtype), reader(X, dtype)
    for features in slices(X.shape[1], inputs.width):
        block = inputs.read(features)
        mean[features] = np.asarray(block.sum(axis=0, dtype=np.float64)).ravel() / block.shape[0]
    return mean


def _given(asked: Any, n_features: int, scaling: Scaling | None) -> Floats:
    """Check a baseline that is given; missing values are filled in where they are in samples."""
    if sparse.issparse(asked):
        asked = asked.toarray()
    numbers = validation.real_array(asked, "baseline")
    if numbers.shape not in ((n_features,), (1, n_features)):
        raise ValueError(
            f"baseline has shape {numbers.shape}, but one number for each of {n_features} features is needed, as in "
            "X_train.mean(axis=0)"
        )
    row = numbers.reshape(-1).astype(np.float64)
    checked = row if scaling is None or scaling.missing is None else row[~np.isnan(row)]
    if not validation.all_finite(checked):
        raise ValueError("baseline holds values that are NaN or infinite; give numbers")
    return row


def _prepared(row: Floats, scaling: Scaling | None, dtype: np.dtype[Any]) -> Array:
    """Scale and fill in a raw baseline as samples are."""
    prepared = row[None] if scaling is None else scaling.prepared(row[None], dtype)
    return prepared.dense(dtype)[0] if isinstance(prepared, Source) else np.asarray(prepared, dtype)[0]


def _or_none(baseline: Array) -> Array | None:
    return baseline if baseline.any() else None
