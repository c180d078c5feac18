"""Samples of many kinds and ranks, for the tests of the start in the span."""

import numpy as np


def wide(n_samples, n_features, seed=5):
    """Independent samples, if the features suffice."""
    return np.random.default_rng(seed).normal(size=(n_samples, n_features))


def centred(X):
    """One dimension less."""
    return X - X.mean(axis=0)


def repeated(X):
    """The second half repeats samples of the first."""
    half = -(-len(X) // 2)
    return np.vstack([X[:half], X[np.random.default_rng(1).integers(0, half, len(X) - half)]])


def with_zeros(X):
    """The first sample, the last and one between are 0."""
    X = X.copy()
    X[[0, len(X) // 3, -1]] = 0
    return X
