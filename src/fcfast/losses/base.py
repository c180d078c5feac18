"""Losses, and the probabilities that a softmax makes of outputs."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
LOSSES = ("half_squared_error", "cross_entropy")


def softmax(scores: Array) -> Array:
    """Give probabilities (N, c)."""
    shares = np.exp(scores - scores.max(axis=1, keepdims=True))
    shares /= shares.sum(axis=1, keepdims=True)
    return shares


def log_softmax(scores: Array) -> Array:
    """Give the logarithms of probabilities (N, c), also of those too small to be told from 0."""
    below = scores - scores.max(axis=1, keepdims=True)
    return np.asarray(below - np.log(np.exp(below).sum(axis=1, keepdims=True)))
