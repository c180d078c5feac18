"""Parting samples at random into those to train on and those that are held out."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import train_test_split

Array = NDArray[Any]
Rows = NDArray[np.intp]


def split_at_random(
    y: Array, n_held_out: int, random_state: int | np.random.RandomState, stratify: bool = False
) -> tuple[Rows, Rows]:
    """Draw samples to hold out.

    Parameters
    ----------
    y : ndarray of shape (N,) or (N, c)
    n_held_out : int
        At least 1, and fewer than N.
    random_state : int or RandomState
    stratify : bool
        Draw from each class of y in proportion, where both parts have room for all classes and each has two samples or more.

    Returns
    -------
    train, held_out : ndarray of int
        Rows, in the order in which they were drawn.
    """
    if stratify:
        counts = np.unique(y, return_counts=True)[1]
        stratify = counts.min() > 1 and min(n_held_out, len(y) - n_held_out) >= len(counts)
    train, held_out = train_test_split(
        np.arange(len(y)), test_size=n_held_out, random_state=random_state, stratify=y if stratify else None
    )
    return train, held_out


def split_each_class(y: Array, n_held_out: int, seed: int) -> tuple[Rows, Rows] | None:
    """Draw samples to hold out from each class in proportion, but one at least, unless it has a single one, and never all.

    Parameters
    ----------
    y : ndarray of shape (N,)
    n_held_out : int
    seed : int

    Returns
    -------
    (train, held_out) : tuple of ndarray of int, or None
        Sorted rows; None if there is no such split.
    """
    rows, (classes, counts) = np.arange(len(y)), np.unique(y, return_counts=True)
    quotas = quotas_of_classes(counts, n_held_out)
    if quotas is None:
        return None
    rng = np.random.default_rng(seed)
    drawn = [rng.permutation(rows[y == label])[:quota] for label, quota in zip(classes, quotas, strict=True)]
    held_out = np.sort(np.concatenate(drawn))
    return np.setdiff1d(rows, held_out), held_out


def quotas_of_classes(counts: NDArray[np.intp], n_held_out: int) -> NDArray[np.intp] | None:
    """Give the number to hold out of each class; None if they cannot add up."""
    least, most = np.minimum(counts - 1, 1), counts - 1
    if not least.sum() <= n_held_out <= most.sum():
        return None
    exact = counts * n_held_out / counts.sum()
    quotas = np.clip(np.floor(exact).astype(np.intp), least, most)
    while quotas.sum() < n_held_out:
        quotas[np.argmax(np.where(quotas < most, exact - quotas, -np.inf))] += 1
    while quotas.sum() > n_held_out:
        quotas[np.argmax(np.where(quotas > least, quotas - exact, -np.inf))] -= 1
    return quotas
