"""Train on scaled data, predict on raw data: mean and scale of inputs and targets go into the weights, exactly.

A network of inputs ``(x - m) / s`` is one of x: its front layer has the weights ``W / s`` and the biases ``b - W (m / s)``.
Likewise an output trained on ``(y - m) / s`` is one of y with the last layer's ``s W`` and ``s b + m``. The network of raw data
is held in double precision: where the mean is many times the scale, its pre-activations are small differences of large numbers.
"""

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import DTypeLike, NDArray
from scipy import sparse
from sklearn.preprocessing import StandardScaler
from sklearn.utils.validation import check_is_fitted

from fcfast.estimators import FrontClassifier, FrontRegressor
from fcfast.front.forms import WeightsForm
from fcfast.front.initial import GivenWeights
from fcfast.front.network import FrontNetwork
from fcfast.optimizers import SGD

BLOCK_BYTES = 16 << 20  # of inputs in double precision, read at a time

Array = NDArray[Any]
Rows = NDArray[np.intp]
Estimator = TypeVar("Estimator", FrontClassifier, FrontRegressor)


@dataclass(frozen=True)
class Scale:
    """What is taken from each column, and what it is then divided by.

    Attributes
    ----------
    mean, scale : ndarray of shape (d,)
        In double precision; the scale is positive.
    """

    mean: NDArray[np.float64]
    scale: NDArray[np.float64]


def measure(X: Any, rows: Rows, name: str = "X") -> Scale:
    """Measure mean and standard deviation of each column, over some rows, without a copy of them all.

    Parameters
    ----------
    X : ndarray, memmap or CSR of shape (N, d)
        Taking the mean from a sparse matrix would fill it, so there the mean is left at 0.
    rows : ndarray of int
    name : str
        What an error calls X.

    Returns
    -------
    Scale
        The scale of a constant column is 1.

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
    scaler = StandardScaler(with_mean=not sparse.issparse(X))
    with np.errstate(over="ignore", invalid="ignore"):  # reported below
        for block in blocks(rows, X.shape[1]):
            scaler.partial_fit(take(X, block).astype(np.float64))
    measurable = np.isfinite(scaler.var_)  # not the scale: that of an infinite variance is 1
    if not measurable.all():
        column = int(np.argmin(measurable))
        raise ValueError(f"{name}: column {column} (counted from 0) has values too large to be scaled; use another unit there")
    mean = scaler.mean_ if scaler.with_mean else np.zeros(X.shape[1])
    return Scale(mean, scaler.scale_)


def scaled(X: Any, rows: Rows, by: Scale | None, dtype: DTypeLike) -> Any:
    """Give some rows scaled, or as they are, in that dtype: one copy, made block by block.

    Floating-point rows that follow one another are not copied if they are not to be scaled: a memory map stays on the disk.

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
        If values overflow the dtype.
    """
    if by is None and X.dtype in (np.float32, np.float64) and _follow_one_another(rows):
        return take(X, rows)
    with np.errstate(over="ignore"):  # reported
        if sparse.issparse(X):
            matrix = take(X, rows).astype(dtype)
            _refuse_overflow(matrix.data)
            if by is not None:
                matrix.data /= by.scale[matrix.indices]
            return matrix
        copied = np.empty((len(rows), X.shape[1]), dtype)
        start = 0
        for block in blocks(rows, X.shape[1]):
            part = take(X, block)
            copied[start : start + len(block)] = part if by is None else (part - by.mean) / by.scale
            _refuse_overflow(copied[start : start + len(block)])
            start += len(block)
    return copied


def _refuse_overflow(copied: Array) -> None:
    if not np.isfinite(copied).all():
        raise ValueError(f"X has values too large for {copied.dtype}; use another unit")


def fold(estimator: Estimator, inputs: Scale | None, targets: Scale | None = None) -> Estimator:
    """Make the estimator of raw data from one that was fitted to scaled data.

    Parameters
    ----------
    estimator : FrontClassifier or FrontRegressor
        Fitted; it is left as it is.
    inputs : Scale or None
        How its inputs were scaled.
    targets : Scale or None
        How a regression's targets were scaled, one column per output.

    Returns
    -------
    FrontClassifier or FrontRegressor
        In form "weights", and in double precision if there is anything to fold. Its losses stay those of the scaled targets.

    Examples
    --------
    >>> import numpy as np
    >>> from fcfast import FrontClassifier
    >>> from fcfast.scaling import fold, measure, scaled
    >>> X, y = np.random.default_rng(0).normal(1000, 5, size=(40, 300)), np.arange(40) % 2
    >>> rows = np.arange(40)
    >>> X_scaled = scaled(X, rows, measure(X, rows), "float64")
    >>> fitted = FrontClassifier((8,), max_epochs=5, tol=0, dtype="float64", random_state=0).fit(X_scaled, y)
    >>> raw = fold(fitted, measure(X, rows))
    >>> np.allclose(raw.predict_proba(X), fitted.predict_proba(X_scaled), rtol=1e-10)
    True
    """
    check_is_fitted(estimator, "network_")
    network: FrontNetwork = estimator.network_
    dtype = network.params.dtype if inputs is None and targets is None else np.dtype(np.float64)
    weights = [network.front.expand(), *network.weights]  # (n_out, n_in)
    biases = [bias.astype(dtype) for bias in network.biases]
    if inputs is not None:
        weights[0] = np.divide(weights[0], inputs.scale, dtype=np.float64)
        biases[0] -= weights[0] @ inputs.mean
    if targets is not None:
        weights[-1] = weights[-1] * targets.scale[:, None]
        biases[-1] = biases[-1] * targets.scale + targets.mean
    no_inputs = np.empty((0, weights[0].shape[1]))
    front = WeightsForm(no_inputs, GivenWeights(weights[0]), dtype, with_velocity=False)
    raw = copy.copy(estimator)
    # As in a model file, it is only to predict: it has no optimiser, batches or windows.
    raw.network_ = FrontNetwork(
        front, biases, weights[1:], network.activation, network.loss, SGD(), 1, 1, network.n_threads
    )  # fmt: skip
    raw.dtype, raw.form_, raw._random_state = dtype.name, "weights", None
    return raw


def by_blocks(predict: Callable[[Any], Array], X: Any, rows: Rows) -> Array:
    """Predict for some rows, reading and converting a block of them at a time."""
    return np.concatenate([predict(take(X, block)) for block in blocks(rows, X.shape[1])])


def take(X: Any, rows: Rows) -> Any:
    """Take some rows: a view, if they follow one another and X is an array."""
    return X[rows[0] : rows[-1] + 1] if _follow_one_another(rows) else X[rows]


def _follow_one_another(rows: Rows) -> bool:
    return bool((np.diff(rows) == 1).all())


def blocks(rows: Rows, n_features: int) -> Iterator[Rows]:
    """Part the rows into blocks of `BLOCK_BYTES`."""
    height = max(1, BLOCK_BYTES // (8 * n_features))
    for start in range(0, len(rows), height):
        yield rows[start : start + height]
