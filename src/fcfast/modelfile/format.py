"""Fitted estimators in files: safetensors for the arrays, a versioned JSON header for the rest. Never pickle.

Metadata of the safetensors file: ``format`` and ``version`` of this layout, ``model`` (the JSON of a
`fcfast.modelfile.headers.Header`) and ``checksum`` (SHA-256 of that text and of all tensors). `fcfast.modelfile` has a module
for each kind of network, which says what its tensors are.

A file is trusted in nothing: whatever does not fit is a `ModelFileError`, before it reaches a kernel.
"""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from fcfast.errors import ModelFileError
from fcfast.estimators import FrontClassifier, FrontRegressor
from fcfast.estimators.noprop import NoPropClassifier
from fcfast.files import check_file, replacing
from fcfast.modelfile import front, noprop
from fcfast.modelfile.headers import Header, parse, require, same_names

FORMAT, VERSIONS = "fcfast-model", ("1", "2")  # 2: networks of scaled data
METADATA = ("checksum", "format", "model", "version")
MAX_HEADER_BYTES = 99_000_000  # safetensors reads no header over 100 MB
SAFETENSORS_DTYPES = {"float32": "F32", "float64": "F64", "uint8": "U8"}

Array = NDArray[Any]
Estimator = FrontClassifier | FrontRegressor | NoPropClassifier
KINDS: dict[str, Any] = {name: module for module in (front, noprop) for name in module.HEADER.estimators}


def save(estimator: Estimator, path: str | os.PathLike[str], weights: bool = True) -> None:
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
    from safetensors import SafetensorError
    from safetensors.numpy import save_file

    name = type(estimator).__name__
    if name not in KINDS or KINDS[name].HEADER.estimators[name] is not type(estimator):
        raise TypeError(f"a model file holds a {' or a '.join(KINDS)}, got a {name}")
    check_is_fitted(estimator, "network_")
    estimator._check_parameters()
    header = KINDS[name].describe(estimator, weights)
    tensors = KINDS[name].tensors_of(estimator, header)
    _refuse_not_finite(tensors)
    model = json.dumps(header.content())
    metadata = {"format": FORMAT, "version": header.version, "model": model, "checksum": _checksum(model, tensors)}
    if len(json.dumps(metadata)) > MAX_HEADER_BYTES:
        raise ValueError(f"the header would exceed {MAX_HEADER_BYTES} bytes; fit on an array, without feature names")
    with replacing(path) as temporary:
        try:
            save_file(tensors, temporary, metadata)
        except SafetensorError as error:
            raise OSError(f"{os.fspath(path)} could not be written: {error}") from error


def load(path: str | os.PathLike[str], X: Any = None) -> Estimator:
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
    from safetensors import SafetensorError

    path = os.fspath(path)
    check_file(Path(path), "model file")
    with open(path, "rb"):
        pass  # none that may be read: the system says so better than safetensors
    try:
        header, tensors = _read(path)
        estimator: Estimator = header.unfitted()
        header.restore(estimator, tensors, X)
    except SafetensorError as error:
        raise ModelFileError(
            f"{path} cannot be loaded: it is not a fcfast model file, or damaged ({error}); were model and data exchanged?"
        ) from error
    except (ValueError, TypeError, RecursionError, OverflowError) as error:
        raise ModelFileError(f"{path} cannot be loaded: {error}") from error
    return estimator


def _read(path: str) -> tuple[Header, dict[str, Array]]:
    """Read a file, checking sizes before reading tensors, and tensors before giving them."""
    from safetensors import safe_open

    with safe_open(path, framework="numpy") as file:
        metadata = file.metadata() or {}
        require(metadata.get("format") == FORMAT, "it is a safetensors file, but no fcfast model")
        version = metadata.get("version")
        require(version in VERSIONS, f"it has version {version!r}, this fcfast reads up to {VERSIONS[-1]!r}; update fcfast")
        same_names(metadata, METADATA, "metadata")
        header = parse(metadata["model"], {name: kind.HEADER for name, kind in KINDS.items()})
        expected = header.tensors()
        same_names(file.keys(), expected, "tensors")
        for name, (dtype, shape) in expected.items():
            held = file.get_slice(name)
            got, wanted = (held.get_dtype(), tuple(held.get_shape())), (SAFETENSORS_DTYPES[dtype], shape)
            require(got == wanted, f"tensor {name!r} has dtype and shape {got}, but the header needs {wanted}")
        tensors = {name: file.get_tensor(name) for name in expected}
    require(_checksum(metadata["model"], tensors) == metadata["checksum"], "its checksum is wrong: it was damaged or changed")
    _refuse_not_finite(tensors)
    return header, tensors


def _checksum(model: str, tensors: dict[str, Array]) -> str:
    digest = hashlib.sha256(model.encode())
    for name in sorted(tensors):
        digest.update(f"{name} {tensors[name].dtype.name} {tensors[name].shape}".encode())
        digest.update(tensors[name].ravel().view(np.uint8).data)
    return digest.hexdigest()


def _refuse_not_finite(tensors: dict[str, Array]) -> None:
    for name, tensor in tensors.items():
        require(bool(np.isfinite(tensor).all()), f"tensor {name!r} holds NaN or infinity")
