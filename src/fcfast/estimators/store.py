"""Saving fitted estimators in model files, and loading them."""

import os
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from sklearn.utils.validation import check_is_fitted

from fcfast.modelfile.format import reading, write

if TYPE_CHECKING:
    from fcfast.estimators.base import TrainedEstimator
    from fcfast.estimators.classifier import FrontClassifier
    from fcfast.estimators.noprop import NoPropClassifier
    from fcfast.estimators.regressor import FrontRegressor
    from fcfast.estimators.survival import FrontSurvival

    Estimator: TypeAlias = FrontClassifier | FrontRegressor | FrontSurvival | NoPropClassifier

Kind = TypeVar("Kind", bound="type[TrainedEstimator]")

KINDS: dict[str, Any] = {}


def stored(kind: Kind) -> Kind:
    """Let model files hold estimators of this class under its name; a class decorator.

    Subclasses are not included, because a file could not describe what they add.
    """
    KINDS[kind.__name__] = kind
    return kind


def save(estimator: "Estimator", path: str | os.PathLike[str], weights: bool = True, inputs: bool = False) -> None:
    """Save a fitted estimator.

    The file is written completely or not at all. An older file is kept until the new one is complete.

    Parameters
    ----------
    estimator : FrontClassifier, FrontRegressor, FrontSurvival or NoPropClassifier
        Fitted estimator.
    path : path-like
        File to write.
    weights : bool
        Whether to store the conventional weights of the front layer, expanded as in `coefs_`. False stores the
        contributions instead, which is possible in form "contributions" only. The file then has N h numbers instead of d h,
        but it can only be loaded together with the training inputs. A network with a kernel has no weights and needs False.
    inputs : bool
        Whether to store the training inputs beside contributions, in the precision of the network.

    Raises
    ------
    TypeError
        If a parameter cannot be stored, such as your own random state, optimiser or schedule object.
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
    >>> classifier = fcfast.FrontClassifier((8,), max_epochs=5, random_state=0).fit(X, y)
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
    write(path, *estimator._to_file(weights, inputs))


def load(path: str | os.PathLike[str], X: Any = None) -> "Estimator":
    """Load an estimator that was saved with `save`. It can predict, be saved again and be fitted again.

    Predictions have the same bits as before, with one exception. An estimator in form "contributions" may predict without
    weights, because they take more than 128 MiB (`fcfast.front.contributed.KEPT_BYTES`) or because products with few training
    samples take less time. It then agrees with a file of its weights up to rounding, as it does for dense samples if it was
    trained on sparse ones in which most features do not occur: a file holds the weights of those that do.

    `partial_fit`, and `fit` with ``warm_start=True``, continue from the weights. The state of the optimiser is not in the file,
    so the optimiser starts again.

    Parameters
    ----------
    path : path-like
        File to read.
    X : ndarray, sparse matrix or numpy.memmap, or None
        Training inputs, which are needed only if the estimator was saved with ``weights=False`` and ``inputs=False``. They
        may contain more rows than the estimator was trained on (as with early stopping), in any order. A reference to
        them is kept.

    Returns
    -------
    FrontClassifier, FrontRegressor, FrontSurvival or NoPropClassifier
        Fitted estimator. Its `form_` is the form of the file: "weights" if form "contributions" was saved as weights.

    Raises
    ------
    ModelFileError
        If the file is damaged or not a model file, or if `X` does not contain the rows that the estimator was trained on.
    OSError
        If the file does not exist or cannot be opened.
    """
    with reading(path, {name: KINDS[name]._header for name in sorted(KINDS)}) as (header, tensors):
        estimator: Estimator = KINDS[header.estimator]._from_file(header, tensors, X)
    return estimator
