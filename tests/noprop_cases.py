"""A small problem and small networks for the tests of NoProp."""

import numpy as np
from classic import NoPropClassifier
from sklearn.datasets import make_blobs

VARIANTS = ("dt", "ct", "fm", "backprop")
SMALL = {"n_blocks": 3, "hidden": (8, 5), "max_epochs": 4, "dtype": "float64", "random_state": 0, "batch_size": 7}


def wide_samples():
    """Make a wide, separable problem: 30 samples, 200 features, 3 classes."""
    X, y = make_blobs(30, 200, centers=3, cluster_std=6.0, random_state=0)
    return X / 10, np.array(["a", "b", "c"])[y]


def trained(X, y, **settings):
    """Train a small network."""
    return NoPropClassifier(**SMALL | settings).fit(X, y)
