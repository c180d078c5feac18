"""Predictions for a stream, block by block."""

from collections.abc import Callable, Iterator
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse
from sklearn.utils.validation import _num_samples, check_is_fitted

from fcfast import validation
from fcfast.streams import Block, Stream

if TYPE_CHECKING:
    from fcfast.estimators.base import TrainedEstimator

Array = NDArray[Any]
Floats = NDArray[np.float64]
Estimator = TypeVar("Estimator", bound="TrainedEstimator")

NO_SAMPLES = "the stream has no samples; a function has to return a new iterator whenever it is called"


def takes_streams(predict: Callable[[Estimator, Any], Array]) -> Callable[[Estimator, Any], Array]:
    """Let a method that predicts take a stream, too, block by block."""

    @wraps(predict)
    def predict_blocks(self: Estimator, X: Any) -> Array:
        if not isinstance(X, Stream):
            return predict(self, X)
        return np.concatenate([predict(self, block.X) for block in blocks_for(self, X)])

    return predict_blocks


def blocks_for(estimator: "TrainedEstimator", stream: Stream) -> Iterator[Block]:
    """Read blocks to predict, with the number of features of a fitted estimator where a file does not know it."""
    check_is_fitted(estimator, "network_")
    is_empty = True
    for block in stream:
        X = block.X
        if _num_samples(X) == 0:
            continue
        is_empty = False
        if stream.widens and sparse.issparse(X):
            X = of_width(X, int(estimator.n_features_in_))
        yield block._replace(X=X)
    if is_empty:
        raise ValueError(NO_SAMPLES)


def predictions_of(
    estimator: Any, stream: Stream, y: ArrayLike | None, sample_weight: ArrayLike | None
) -> tuple[Array, Array, Floats | None]:
    """Give the predictions for a stream, and the targets and weights of its blocks, for a score."""
    if y is not None or sample_weight is not None:
        raise ValueError(
            "y or sample_weight was given beside a stream, whose blocks hold them: (X, y) or (X, y, sample_weight)"
        )
    predicted, truth, weights, is_weighted = [], [], [], False
    for number, block in enumerate(blocks_for(estimator, stream), 1):
        if block.y is None:
            raise ValueError(without_targets(number, block))
        predicted.append(estimator.predict(block.X))
        truth.append(estimator._truth(predicted[-1], block.y))
        is_weighted |= block.sample_weight is not None
        n_samples = len(truth[-1])
        weights.append(np.ones(n_samples) if block.sample_weight is None else block_weights(block.sample_weight, n_samples))
    predictions = np.concatenate(predicted)
    joined = estimator._given_weights(np.concatenate(weights), predictions) if is_weighted else None
    return predictions, np.concatenate(truth), joined


def block_weights(sample_weight: ArrayLike, n_samples: int) -> Floats:
    """Check the weights of a block, all of which may be 0, which scikit-learn refuses."""
    weights = validation.finite_array(sample_weight, "sample_weight", 1)
    if len(weights) != n_samples or (weights < 0).any():
        raise ValueError(
            f"sample_weight has {len(weights)} values from {weights.min(initial=0):g} on; give one >= 0 for each of the "
            f"{n_samples} samples"
        )
    return weights


def scored(estimator: Any, X: Any, y: Any, sample_weight: Any) -> tuple[Array, Array, Floats | None]:
    """Give predictions for samples or a stream, and the targets and weights to score them with, checked as `fit` does."""
    if isinstance(X, Stream):
        return predictions_of(estimator, X, y, sample_weight)
    predictions = estimator.predict(X)
    return predictions, estimator._truth(predictions, y), estimator._given_weights(sample_weight, predictions)


def of_width(X: Any, n_features: int) -> Any:
    """Give sparse rows with so many columns; columns beyond them are left out, and those that lack are empty."""
    validation.refuse_malformed(X)
    if X.shape[1] > n_features:
        return X[:, :n_features]
    rows = X.tocsr()
    return sparse.csr_array((rows.data, rows.indices, rows.indptr), shape=(X.shape[0], n_features))


def without_targets(number: int, block: Block) -> str:
    """Say that a block has no targets."""
    hint = ", a tuple, where it is a list" if isinstance(block.X, list) else ""
    return f"block {number} of the stream has no targets; give (X, y){hint}"
