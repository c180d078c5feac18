"""Training on scaled data and prediction on raw data, by a network that is stored with the mean and scale of its data.

A network for inputs ``(x - m) / s`` is also a network for x, with weights ``W / s`` and biases ``b - W (m / s)`` in its front
layer. Likewise an output trained on ``(y - m) / s`` predicts y if the last layer has ``s W`` and ``s b + m``. But if the mean
is many times the scale, the pre-activations are small differences of large numbers, and single precision would lose the digits
of features such as 1e6 +- 1. An estimator of raw data therefore keeps the network as it was trained, and scales its inputs.
"""

import copy
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import DTypeLike, NDArray
from scipy import sparse
from sklearn import config_context
from sklearn.utils.validation import check_is_fitted

from fcfast.front.base import FrontForm
from fcfast.front.sparse import SparseWeightsForm
from fcfast.front.weights import WeightsForm
from fcfast.gram.occurring import is_sparse
from fcfast.sources.protocol import Source
from fcfast.sources.scale import Scale
from fcfast.sources.scaling import Scaling
from fcfast.training.network import FrontNetwork
from fcfast.validation import all_finite, refuse_malformed

if TYPE_CHECKING:
    from fcfast.estimators.front import FrontEstimator

__all__ = ["Scale", "Scaling", "blocks", "by_blocks", "measure", "of_raw_data", "scaled", "take"]

BLOCK_BYTES = 16 << 20  # size of a block of inputs in double precision
ROWS_AT_ONCE = 1 << 16  # of a source, to predict for
SPARSE_BYTES = 256 << 20  # size of the sparse rows of a source that are held at a time
ENTRY_BYTES = 16  # of a sparse row, at most: a number and its place

Array = NDArray[Any]
Rows = NDArray[np.intp]
Estimator = TypeVar("Estimator", bound="FrontEstimator")


def measure(X: Any, rows: Rows, name: str = "X") -> Scale:
    """Measure the mean and standard deviation of each column over some rows, without copying all of them.

    Parameters
    ----------
    X : ndarray, memmap or CSR of shape (N, d)
        Data. Subtracting the mean from a sparse matrix would fill it, so its mean stays 0.
    rows : ndarray of int
        Indices of the rows to measure.
    name : str
        Name of X in an error message.

    Returns
    -------
    Scale
        Mean and scale. The scale of a constant column is 1.

    Raises
    ------
    ValueError
        If squares of the values of a column overflow double precision.

    Examples
    --------
    >>> import numpy as np
    >>> from fcfast.scaling import measure
    >>> measure(np.array([[1.0, 5], [3, 5], [99, 99]]), np.array([0, 1]))
    Scale(mean=array([2., 5.]), scale=array([1., 1.]))
    """
    from sklearn.preprocessing import StandardScaler  # not needed for prediction

    refuse_malformed(X, name)
    scaler = StandardScaler(with_mean=not sparse.issparse(X))
    with np.errstate(over="ignore", invalid="ignore"), config_context(assume_finite=True):  # reported below
        for block in blocks(rows, X.shape[1]):
            scaler.partial_fit(take(X, block).astype(np.float64))
    measurable = np.isfinite(scaler.var_)  # the scale would not do: it is 1 if the variance is infinite
    if not measurable.all():
        column = int(np.argmin(measurable))
        raise ValueError(
            f"{name}: column {column} (counted from 0) has values too large to be scaled, or infinity; use another unit there"
        )
    mean = scaler.mean_ if scaler.with_mean else np.zeros(X.shape[1])
    return Scale(mean, scaler.scale_)


def scaled(X: Any, rows: Rows, by: Scale | None, dtype: DTypeLike) -> Any:
    """Return some rows in the given dtype, scaled if `by` is not None, as one copy that is made block by block.

    Contiguous floating-point rows without scaling are not copied, so a memory map stays on the disk. Sparse rows become dense
    if a mean is subtracted from them.

    Parameters
    ----------
    X : ndarray, memmap or CSR of shape (N, d)
    rows : ndarray of int
    by : Scale or None
    dtype : dtype

    Returns
    -------
    ndarray or CSR of shape (len(rows), d)

    Raises
    ------
    ValueError
        If values are NaN or infinite, or overflow the dtype.
    """
    refuse_malformed(X)
    if by is None and X.dtype in (np.float32, np.float64) and _follow_one_another(rows):
        return take(X, rows)
    with np.errstate(over="ignore"):  # reported below
        if sparse.issparse(X) and (by is None or not by.mean.any()):
            matrix = take(X, rows).astype(dtype)
            if by is not None:
                matrix.data /= by.scale[matrix.indices]
            _refuse_overflow(matrix.data)
            return matrix
        copied = np.empty((len(rows), X.shape[1]), dtype)
        start = 0
        for block in blocks(rows, X.shape[1]):
            part = take(X, block).toarray() if sparse.issparse(X) else take(X, block)
            if by is not None:
                part = part - by.mean
                part /= by.scale
            copied[start : start + len(block)] = part
            _refuse_overflow(copied[start : start + len(block)])
            start += len(block)
    return copied


def _refuse_overflow(copied: Array) -> None:
    if not all_finite(copied):
        if np.isnan(copied).any():
            raise ValueError("X contains NaN or infinity; fill in what is missing (with the mean of the column, say)")
        raise ValueError(f"X has values too large for {copied.dtype}, or infinity; use another unit")


def of_raw_data(estimator: Estimator, inputs: Scale | None, targets: Scale | None = None) -> Estimator:
    """Make an estimator for raw data from one that was fitted to scaled data.

    Parameters
    ----------
    estimator : FrontClassifier or FrontRegressor
        Fitted estimator; it is not changed.
    inputs : Scale or None
        Scale of its inputs; None if they were not scaled, or the estimator scales them itself (``standardize=True``).
    targets : Scale or None
        Scale of the targets of a regression, one column per output.

    Returns
    -------
    FrontClassifier or FrontRegressor
        Estimator in form "weights" with the same network in the same precision. For raw inputs it predicts exactly what
        `estimator` predicts for scaled inputs, and so does its model file. `coefs_` and `intercepts_` refer to raw data and are
        in double precision. The losses refer to scaled targets. `partial_fit`, and `fit` with ``warm_start=True``, scale in the
        same way and continue the training.

    Raises
    ------
    ValueError
        If the estimator already scales what is to be scaled here.

    Examples
    --------
    >>> import numpy as np
    >>> from fcfast import FrontClassifier
    >>> from fcfast.scaling import measure, of_raw_data, scaled
    >>> X, y = np.random.default_rng(0).normal(1000, 5, size=(40, 300)), np.arange(40) % 2
    >>> rows = np.arange(40)
    >>> X_scaled = scaled(X, rows, measure(X, rows), "float32")
    >>> fitted = FrontClassifier(form="weights", standardize=False, random_state=0).fit(X_scaled, y)
    >>> raw = of_raw_data(fitted, measure(X, rows))
    >>> np.array_equal(raw.predict_proba(X), fitted.predict_proba(X_scaled))
    True
    """
    check_is_fitted(estimator, "network_")
    held = estimator._scaling or Scaling(None, None)
    if (targets is not None and held.targets is not None) or (inputs is not None and held.changes_features):
        raise ValueError("the estimator already takes raw data; it scales its inputs by itself")
    network = estimator.network_
    raw = copy.copy(estimator)
    front = _copied_weights(network.front, estimator.n_jobs)
    raw.network_ = FrontNetwork.for_prediction(
        front, network.biases, network.weights, network.activation, network.loss, network.n_threads
    )
    raw.form_, raw._random_state, raw._followed = WeightsForm.name, None, {}
    together = replace(
        held, inputs=held.inputs if inputs is None else inputs, targets=held.targets if targets is None else targets
    )
    is_empty = together.inputs is None and together.targets is None and together.missing is None
    raw._scaling = None if is_empty else together
    return raw


def _copied_weights(front: FrontForm, n_jobs: int | None) -> FrontForm:
    """Give the weights of a front layer in a form of their own, because further training may change them."""
    if front.scattered is not None:
        return SparseWeightsForm.of(front.scattered, n_jobs)  # it copies them
    weights = front.expand()
    return WeightsForm.of(weights.copy() if weights is front.base else weights, n_jobs)


def by_blocks(predict: Callable[[Any], Array], X: Any, rows: Rows) -> Array:
    """Predict for some rows, reading and converting one block of them at a time.

    The network itself reads few rows of a dense source at a time, but all rows of a sparse one.
    """
    parts = _parts(rows, _n_at_once(X)) if isinstance(X, Source) or sparse.issparse(X) else blocks(rows, X.shape[1])
    return np.concatenate([predict(take(X, block)) for block in parts])


def _n_at_once(X: Any) -> int:
    """Count the rows that are predicted for at a time; for those of a source the whole file may have to be read."""
    if not is_sparse(X):
        return ROWS_AT_ONCE
    n_entries = int(X.count_entries().sum()) if isinstance(X, Source) else X.nnz
    per_row = max(1, n_entries // max(1, X.shape[0]))
    return max(1, min(ROWS_AT_ONCE, SPARSE_BYTES // (ENTRY_BYTES * per_row)))


def take(X: Any, rows: Rows) -> Any:
    """Return some rows, as a view if they are contiguous and X is an array; X itself if these are all."""
    if len(rows) == X.shape[0] and _follow_one_another(rows):
        return X
    return X[rows[0] : rows[-1] + 1] if _follow_one_another(rows) else X[rows]


def _follow_one_another(rows: Rows) -> bool:
    return bool((np.diff(rows) == 1).all())


def blocks(rows: Rows, n_features: int) -> Iterator[Rows]:
    """Split the rows into blocks of `BLOCK_BYTES`."""
    return _parts(rows, max(1, BLOCK_BYTES // (8 * n_features)))


def _parts(rows: Rows, height: int) -> Iterator[Rows]:
    for start in range(0, len(rows), height):
        yield rows[start : start + height]
