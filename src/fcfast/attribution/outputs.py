"""Which output of each sample is attributed."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Places = NDArray[np.intp]

ALL = "all"


class Chosen(NamedTuple):
    """Outputs of M samples.

    Attributes
    ----------
    places : ndarray of int of shape (M, K)
        Numbers of the outputs.
    labels : ndarray of shape (M,), or (c,) for all outputs
        Classes of a classifier, numbers of the outputs of a regression.
    has_axis : bool
        Whether all outputs were asked for.
    """

    places: Places
    labels: Array
    has_axis: bool


def chosen_outputs(asked: Any, outputs: Array, classes: Array | None, one_each: bool) -> Chosen:
    """Find the outputs that are asked for.

    Parameters
    ----------
    asked : None, "all", label, int or array-like of shape (M,)
        None is what `predict` gives: the predicted class, or all outputs where these are no classes of which a sample has one.
    outputs : ndarray of shape (M, c)
    classes : ndarray of shape (c,), or None
        Classes, one for each output.
    one_each : bool
        Whether each sample has one of the classes.

    Raises
    ------
    ValueError
        If there is no such output.
    """
    n_samples, n_outputs = outputs.shape
    labels = np.arange(n_outputs) if classes is None else classes
    if _is_all(asked, labels) or (asked is None and not one_each and n_outputs > 1):
        return Chosen(np.broadcast_to(np.arange(n_outputs), outputs.shape), labels, has_axis=True)
    if asked is None:
        places = outputs.argmax(axis=1)
    elif np.ndim(asked) == 0:
        places = np.full(n_samples, _place(asked, labels))
    else:
        each = np.asarray(asked)
        if each.shape != (n_samples,):
            raise ValueError(f"output has shape {each.shape}; give one output, or one for each of {n_samples} samples")
        known = {label: _place(label, labels) for label in set(each.tolist())}
        places = np.array([known[label] for label in each.tolist()], np.intp)
    return Chosen(places.astype(np.intp)[:, None], labels[places], has_axis=False)


def _is_all(asked: Any, labels: Array) -> bool:
    return isinstance(asked, str) and asked == ALL and ALL not in labels.tolist()


def _place(label: Any, labels: Array) -> int:
    """Find an output by its label: a class, or the number of an output where these are no classes."""
    held = labels.tolist()
    plain = label.item() if isinstance(label, (np.generic, np.ndarray)) else label
    if plain in held and isinstance(plain, bool) == isinstance(held[0], bool):
        return held.index(plain)
    known = ", ".join(map(repr, held[:10])) + (" ..." if len(held) > 10 else "")
    raise ValueError(f"output={plain!r} is unknown; use {'' if len(held) == 1 else 'one of '}{known}, or {ALL!r}")
