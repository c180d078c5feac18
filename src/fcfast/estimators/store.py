"""Fitted estimators in model files, and which estimators these can hold."""

import os
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from sklearn.utils.validation import check_is_fitted

from fcfast.modelfile.format import reading, write

if TYPE_CHECKING:
    from fcfast.estimators.base import TrainedEstimator
    from fcfast.estimators.classifier import FrontClassifier
    from fcfast.estimators.noprop import NoPropClassifier
    from fcfast.estimators.regressor import FrontRegressor

    Estimator: TypeAlias = FrontClassifier | FrontRegressor | NoPropClassifier

Kind = TypeVar("Kind", bound="type[TrainedEstimator]")

KINDS: dict[str, Any] = {}


def stored(kind: Kind) -> Kind:
    """Let model files hold estimators of this class, which are known there by its name; a class decorator.

    Subclasses are not included: a file could not say what they add.
    """
    KINDS[kind.__name__] = kind
    return kind


def save(estimator: "Estimator", path: str | os.PathLike[str], weights: bool = True) -> None:
    """Save a fitted estimator. The file is written whole or not at all: until it is complete, an older one stays.

    Parameters
    ----------
    estimator : FrontClassifier, FrontRegressor or NoPropClassifier
    path : path-like
    weights : bool
        True stores the conventional weights of the front layer (expanded, as `coefs_` does, if it was fitted in form
        "contributions"). False, for that form only, stores contributions instead: N h numbers, not d h, but the file can
        only be loaded beside the training inputs.

    Raises
    ------
    TypeError
        If a parameter cannot be stored: a random state, optimiser or schedule that is an object of the user's own.
    ValueError
        If a weight is not finite, a parameter is invalid, or ``weights=False`` in another form than "contributions".
    OSError
        If the file cannot be written.

    Examples
    --------
    >>> import os, tempfile
    >>> import numpy as np
    >>> import fcfast
    >>> X, y = np.random.default_rng(0).normal(size=(20, 300)), np.arange(20) % 2
    >>> classifier = fcfast.FrontClassifier((8,), max_epochs=5, tol=0, random_state=0).fit(X, y)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     classifier.save(os.path.join(folder, "model.safetensors"))
    ...     loaded = fcfast.load(os.path.join(folder, "model.safetensors"))
    >>> np.array_equal(loaded.predict_proba(X), classifier.predict_proba(X))
    True
    """
    name = type(estimator).__name__
    if KINDS.get(name) is not type(estimator):
        raise TypeError(f"a model file holds a {' or a '.join(sorted(KINDS))}, got a {name}")
    check_is_fitted(estimator, "network_")
    estimator._check_parameters()
    write(path, *estimator._to_file(weights))


def load(path: str | os.PathLike[str], X: Any = None) -> "Estimator":
    """Load an estimator that was saved with `save`. It can predict, be saved again and fitted anew.

    It predicts the same bits, but for the weights of contributions over 128 MiB (`fcfast.front.contributions.KEPT_BYTES`): the
    estimator that was saved never stores them to predict, and agrees with the file up to rounding.

    `partial_fit`, and `fit` with ``warm_start=True``, go on from its weights; the optimiser, which no file holds, starts anew.

    Parameters
    ----------
    path : path-like
    X : ndarray, sparse matrix or numpy.memmap, or None
        The training inputs, needed if the estimator was saved with ``weights=False`` and not used otherwise. They may have more
        rows than those trained on (as with early stopping), in any order. A reference to them is kept.

    Returns
    -------
    FrontClassifier, FrontRegressor or NoPropClassifier
        Its `form_` says how the front layer is held now: "weights" if that of form "contributions" was saved as weights.

    Raises
    ------
    ModelFileError
        If the file is damaged, is no model file, or `X` is not what the estimator was trained on.
    OSError
        If there is no such file, or it cannot be opened.
    """
    with reading(path, {name: KINDS[name]._header for name in sorted(KINDS)}) as (header, tensors):
        estimator: Estimator = KINDS[header.estimator]._from_file(header, tensors, X)
    return estimator
