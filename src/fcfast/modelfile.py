"""Fitted estimators in files: safetensors for the arrays, a versioned JSON header for the rest. Never pickle.

Metadata of the safetensors file: ``format`` and ``version`` of this layout, ``model`` (the JSON of `_Header`) and ``checksum``
(SHA-256 of that text and of all tensors). Tensors, where layer 0 is the front layer:

=========================  ===============  =============================================================================
layers.0.weights           (h, d)           unless the front layer is stored as contributions
front.contributions        (N, h)           only then
front.initial              (d, h), float64  W1(0)', only then, and only if it was given: random ones are made again from a seed
front.row_digests          (N, 16), uint8   only then: which rows the training inputs are
layers.1.weights ...       (n_out, n_in)
layers.0.biases ...        (n_out,)
=========================  ===============  =============================================================================

A file is trusted in nothing: whatever does not fit is a `ModelFileError`, before it reaches a kernel.
"""

import hashlib
import json
import os
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, fields
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.utils.validation import check_is_fitted, validate_data

from fcfast import validation
from fcfast.errors import ModelFileError
from fcfast.estimators import FrontClassifier, FrontRegressor
from fcfast.front.forms import FORMS, ContributionsForm, FrontForm, WeightsForm
from fcfast.front.initial import GivenWeights, RandomWeights
from fcfast.front.network import FrontNetwork
from fcfast.network import ACTIVATIONS
from fcfast.optimizers import SGD, Adam, AdamW, Constant, Cosine, Muon, NeuronAdam, StepDecay, WarmUp
from fcfast.rules import Backprop, DirectFeedbackAlignment, FeedbackAlignment, ForwardGradient, FrozenHidden, LocalLoss
from fcfast.threads import resolve_n_jobs

FORMAT, VERSION = "fcfast-model", "1"
METADATA = ("checksum", "format", "model", "version")
MAX_HEADER_BYTES = 99_000_000  # safetensors reads no header over 100 MB
DIGEST_BYTES = 16
BLOCK_BYTES = 64 << 20  # of inputs in double precision, digested at a time
INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
LABEL_DTYPES = ("bool", "str", "float32", "float64", *INTEGERS)
SAFETENSORS_DTYPES = {"float32": "F32", "float64": "F64", "uint8": "U8"}

Array = NDArray[Any]
Estimator = FrontClassifier | FrontRegressor
SETTINGS: dict[str, type[Any]] = {
    kind.__name__: kind
    for kind in (
        SGD, Muon, NeuronAdam, Adam, AdamW, Constant, Cosine, StepDecay, WarmUp, Backprop, LocalLoss, FeedbackAlignment,
        DirectFeedbackAlignment, FrozenHidden, ForwardGradient,
    )
}  # fmt: skip
ESTIMATORS: dict[str, type[Estimator]] = {"FrontClassifier": FrontClassifier, "FrontRegressor": FrontRegressor}


def save(estimator: Estimator, path: str | os.PathLike[str], weights: bool = True) -> None:
    """Save a fitted estimator. The file is written whole or not at all: until it is complete, an older one stays.

    Parameters
    ----------
    estimator : FrontClassifier or FrontRegressor
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

    if ESTIMATORS.get(type(estimator).__name__) is not type(estimator):
        raise TypeError(f"a model file holds a {' or a '.join(ESTIMATORS)}, got a {type(estimator).__name__}")
    check_is_fitted(estimator, "network_")
    estimator._check_parameters()
    header = _describe(estimator, weights)
    tensors = _tensors_of(estimator, header)
    _refuse_not_finite(tensors)
    model = json.dumps(asdict(header))
    metadata = {"format": FORMAT, "version": VERSION, "model": model, "checksum": _checksum(model, tensors)}
    if len(json.dumps(metadata)) > MAX_HEADER_BYTES:
        raise ValueError(f"the header would exceed {MAX_HEADER_BYTES} bytes; fit on an array, without feature names")
    with _replacing(path) as temporary:
        try:
            save_file(tensors, temporary, metadata)
        except SafetensorError as error:
            raise OSError(f"{os.fspath(path)} could not be written: {error}") from error


def load(path: str | os.PathLike[str], X: Any = None) -> Estimator:
    """Load an estimator that was saved with `save`. It predicts the same bits, and can be saved again and fitted anew.

    `partial_fit`, and `fit` with ``warm_start=True``, go on from its weights; the optimiser, which no file holds, starts anew.

    Parameters
    ----------
    path : path-like
    X : ndarray, sparse matrix or numpy.memmap, or None
        The training inputs, needed if the estimator was saved with ``weights=False`` and not used otherwise. They may have more
        rows than those trained on (as with early stopping), in any order. A reference to them is kept.

    Returns
    -------
    FrontClassifier or FrontRegressor
        Its `form_` says how the front layer is held now: "weights" if that of form "contributions" was saved as weights.

    Raises
    ------
    ModelFileError
        If the file is damaged, is no model file, or `X` is not what the estimator was trained on.
    OSError
        If the file cannot be opened.
    """
    from safetensors import SafetensorError

    path = os.fspath(path)
    with open(path, "rb"):
        pass  # no file, or none that may be read: the system says so better than safetensors
    try:
        header, tensors = _read(path)
        estimator = header.unfitted()
    except SafetensorError as error:
        raise ModelFileError(
            f"{path} cannot be loaded: it is not a fcfast model file, or damaged ({error}); were model and data exchanged?"
        ) from error
    except (ValueError, TypeError, RecursionError, OverflowError) as error:
        raise ModelFileError(f"{path} cannot be loaded: {error}") from error
    header.restore_attributes(estimator)
    if header.form == "contributions":
        try:
            X = _training_inputs(estimator, X, tensors["front.row_digests"], np.dtype(header.dtype))
        except ValueError as error:
            raise ModelFileError(f"{path} cannot be loaded: {error}") from error
    estimator.network_ = _network(header, tensors, X, resolve_n_jobs(estimator.n_jobs))
    estimator._front_coef = None
    return estimator


# ----------------------------------------------------------------------------------------------------------------------
# the header


@dataclass(frozen=True)
class _Header:
    """All that a file says beside its tensors.

    `form` is how the front layer is stored; `n_samples`, `scale` (the factor c of W1(0)), `initial_seed` and `initial_scale`
    (None: W1(0) is a tensor) belong to contributions and are None in other forms, `labels` to a classifier, `y_ndim` to a
    regressor.
    """

    estimator: str
    params: dict[str, Any]
    form: str
    dtype: str
    activation: str
    widths: list[int]
    n_samples: int | None
    scale: float | None
    initial_seed: int | None
    initial_scale: float | None
    label_dtype: str | None
    labels: list[Any] | None
    y_ndim: int | None
    feature_names: list[str] | None
    loss_curve: list[float]
    validation_scores: list[float] | None
    n_epochs: int

    @classmethod
    def parse(cls, text: str) -> "_Header":
        """Read and check what a file says."""
        try:
            content = json.loads(text)
        except ValueError as error:
            raise ValueError(f"its header is not JSON: {error}") from error
        _require(isinstance(content, dict), "its header is not a JSON object")
        _same_names(content, [field.name for field in fields(cls)], "entries of the header")
        header = cls(**content)
        header._check()
        return header

    def _check(self) -> None:
        validation.choice(self.estimator, "estimator", ESTIMATORS)
        validation.choice(self.form, "form", FORMS)
        validation.choice(self.dtype, "dtype", ("float32", "float64"))
        validation.choice(self.activation, "activation", ACTIVATIONS)
        _require(isinstance(self.params, dict), "params is not an object")
        _require(isinstance(self.widths, list) and len(self.widths) >= 3, "widths is not a list of at least 3")
        for width in self.widths:
            validation.integer(width, "widths", 1)
        validation.integer(self.n_epochs, "n_epochs", 0)
        _numbers(self.loss_curve, "loss_curve")
        if self.validation_scores is not None:
            _numbers(self.validation_scores, "validation_scores")
        if self.feature_names is not None:
            _list_of(self.feature_names, (str,), "feature_names", self.widths[0])
        self._check_contributions()
        self._check_targets()

    def _check_contributions(self) -> None:
        if self.form != "contributions":
            extra = {self.n_samples, self.scale, self.initial_seed, self.initial_scale}
            _require(extra == {None}, f"it has parts of contributions, in form {self.form!r}")
            return
        validation.integer(self.n_samples, "n_samples", 1)
        _numbers([self.scale], "scale")
        _require(bool(np.isfinite(float(self.scale or 0))), f"scale is {self.scale}")
        if self.initial_seed is not None:
            seed = validation.integer(self.initial_seed, "initial_seed", 0)
            _require(seed < 2**128, f"initial_seed is {seed}; it must be below 2**128")
            validation.positive(self.initial_scale, "initial_scale")
        else:
            _require(self.initial_scale is None, "it has a scale of random weights, but a tensor of initial ones")

    def _check_targets(self) -> None:
        if self.estimator == "FrontRegressor":
            _require(self.label_dtype is None and self.labels is None, "a regressor has no labels")
            _require(type(self.y_ndim) is int and self.y_ndim in (1, 2), f"y_ndim is {self.y_ndim!r}; it must be 1 or 2")
            _require(self.y_ndim == 2 or self.widths[-1] == 1, f"y_ndim is 1, but there are {self.widths[-1]} outputs")
            return
        _require(self.y_ndim is None, "a classifier has no y_ndim")
        self.classes()

    def classes(self) -> Array:
        """Give the class labels as an array: distinct and in order, with their own type."""
        labels = _list_of(self.labels, (str, int, float, bool), "labels", self.widths[-1])
        classes = np.array(labels, validation.choice(str(self.label_dtype), "label_dtype", LABEL_DTYPES))
        kept = [(type(a), a) for a in classes.tolist()] == [(type(a), a) for a in labels]
        _require(kept, f"labels are not of type {self.label_dtype}")
        _require(all(a < b for a, b in pairwise(labels)), "labels are not distinct and sorted")
        return classes

    def tensors(self) -> dict[str, tuple[str, tuple[int, ...]]]:
        """Give dtype and shape of every tensor that the file must hold."""
        n_features, n_hidden = self.widths[:2]
        expected: dict[str, tuple[str, tuple[int, ...]]] = {}
        if self.form != "contributions":
            expected["layers.0.weights"] = self.dtype, (n_hidden, n_features)
        elif self.n_samples is not None:
            expected["front.contributions"] = self.dtype, (self.n_samples, n_hidden)
            expected["front.row_digests"] = "uint8", (self.n_samples, DIGEST_BYTES)
            if self.initial_seed is None:
                expected["front.initial"] = "float64", (n_features, n_hidden)
        for l, (n_in, n_out) in enumerate(pairwise(self.widths)):
            if l > 0:
                expected[f"layers.{l}.weights"] = self.dtype, (n_out, n_in)
            expected[f"layers.{l}.biases"] = self.dtype, (n_out,)
        return expected

    def unfitted(self) -> Estimator:
        """Make the estimator, not yet fitted, with its parameters checked."""
        kind = ESTIMATORS[self.estimator]
        params = {name: _decoded(value) for name, value in self.params.items()}
        unknown = sorted(set(params) - set(kind._get_param_names()))
        _require(not unknown, f"{', '.join(map(repr, unknown))}: no such parameter of {self.estimator}")
        estimator = kind(**params)
        estimator._check_parameters()
        resolve_n_jobs(estimator.n_jobs)
        return estimator

    def restore_attributes(self, estimator: Estimator) -> None:
        """Set what fitting found out, but for the network."""
        estimator.form_ = self.form
        estimator.n_features_in_ = self.widths[0]
        if self.feature_names is not None:
            estimator.feature_names_in_ = np.array(self.feature_names, dtype=object)
        if isinstance(estimator, FrontClassifier):
            estimator.classes_ = self.classes()
        else:
            estimator._y_ndim = int(self.y_ndim or 1)
        estimator.loss_curve_, estimator.validation_scores_ = self.loss_curve, self.validation_scores
        estimator.n_epochs_ = estimator.n_iter_ = self.n_epochs


def _describe(estimator: Estimator, weights: bool) -> _Header:
    """Collect what there is to say about a fitted estimator."""
    network = estimator.network_
    front: Any = network.front
    contributed = estimator.form_ == "contributions"
    if not (weights or contributed):
        raise ValueError(f"weights=False needs form 'contributions', but this is {estimator.form_!r}; use weights=True")
    as_contributions = contributed and not weights
    classes = estimator.classes_ if isinstance(estimator, FrontClassifier) else None
    names = getattr(estimator, "feature_names_in_", None)
    return _Header(
        estimator=type(estimator).__name__,
        params={name: _encoded(value, name) for name, value in estimator.get_params(deep=False).items()},
        form=estimator.form_ if as_contributions or not contributed else "weights",
        dtype=network.params.dtype.name,
        activation=network.activation,
        widths=[int(estimator.n_features_in_), *map(int, network.widths)],
        n_samples=len(front.base) if as_contributions else None,
        scale=front.initial_share if as_contributions else None,
        initial_seed=getattr(front.initial, "seed", None) if as_contributions else None,
        initial_scale=getattr(front.initial, "scale", None) if as_contributions else None,
        label_dtype=None if classes is None else _label_dtype(classes),
        labels=None if classes is None else [_encoded(label, "classes_") for label in classes.tolist()],
        y_ndim=None if isinstance(estimator, FrontClassifier) else estimator._y_ndim,
        feature_names=None if names is None else list(map(str, names)),
        loss_curve=estimator.loss_curve_,
        validation_scores=estimator.validation_scores_,
        n_epochs=estimator.n_epochs_,
    )


def _label_dtype(classes: Array) -> str:
    name = "str" if classes.dtype.kind == "U" else classes.dtype.name
    if name not in LABEL_DTYPES:
        raise TypeError(f"classes_ of dtype {classes.dtype} cannot be stored; use labels that are str, int, float or bool")
    return name


def _encoded(value: Any, name: str) -> Any:
    """Write a parameter so that JSON gives it back: it knows no tuples, and no keys but strings."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or type(value) in (bool, int, float, str):
        return value
    if type(value) is list:
        return [_encoded(item, name) for item in value]
    if type(value) is tuple:
        return {"tuple": [_encoded(item, name) for item in value]}
    if type(value) is dict:
        return {"dict": [[_encoded(key, name), _encoded(item, name)] for key, item in value.items()]}
    if SETTINGS.get(type(value).__name__) is type(value):
        settings = {field.name: getattr(value, field.name) for field in fields(value)}
        return {"settings": [type(value).__name__, _encoded(settings, name)]}
    raise TypeError(f"{name}={value!r} cannot be stored; use numbers, strings, None, or lists and dicts of them")


def _decoded(value: Any) -> Any:
    if isinstance(value, list):
        return [_decoded(item) for item in value]
    if not isinstance(value, dict):
        return value
    ((kind, items),) = value.items() if len(value) == 1 else (("?", None),)
    known = kind in ("tuple", "dict", "settings") and isinstance(items, list)
    _require(known, "a parameter is an object that is no tuple, no dict and no settings of an optimiser, schedule or rule")
    decoded = _decoded(items)
    if kind == "settings":
        return _settings(decoded)
    return tuple(decoded) if kind == "tuple" else dict(decoded)


def _settings(decoded: list[Any]) -> Any:
    """Make the settings of an optimiser, a schedule or a rule again; they check their values themselves."""
    _require(len(decoded) == 2 and decoded[0] in SETTINGS and isinstance(decoded[1], dict), "a parameter has unknown settings")
    name, fields = decoded
    try:
        return SETTINGS[name](**fields)
    except (TypeError, ValueError) as error:
        raise ValueError(f"a parameter is {name} with bad settings: {error}") from error


# ----------------------------------------------------------------------------------------------------------------------
# tensors


def _tensors_of(estimator: Estimator, header: _Header) -> dict[str, Array]:
    network = estimator.network_
    tensors = {f"layers.{l}.biases": bias for l, bias in enumerate(network.biases)}
    tensors |= {f"layers.{l}.weights": weights for l, weights in enumerate(network.weights, start=1)}
    if header.form == "contributions":
        front: Any = network.front
        tensors["front.contributions"] = front.base
        tensors["front.row_digests"] = _row_digests(front.X, network.params.dtype)
        if header.initial_seed is None:
            tensors["front.initial"] = front.initial.array.T  # as coefs_init has it, so that products round alike
    else:
        tensors["layers.0.weights"] = estimator.coefs_[0].T
    return {name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}


def _network(header: _Header, tensors: dict[str, Array], X: Any, n_threads: int) -> FrontNetwork:
    """Make the network again. It is only to predict, later training makes its own: it has no optimiser, batches or windows."""
    n_features, n_hidden = header.widths[:2]
    n_layers, dtype = len(header.widths) - 1, np.dtype(header.dtype)
    front: FrontForm
    if header.form == "contributions":
        given, seed = tensors.get("front.initial"), header.initial_seed
        random = RandomWeights(n_hidden, n_features, int(seed or 0), header.activation, header.initial_scale or 1.0)
        initial = random if given is None else GivenWeights(given.T)
        front = ContributionsForm(X, initial, dtype, with_velocity=False)
        front.base[:] = tensors["front.contributions"]
        front.scale = np.array([header.scale, 0.0])
    else:
        no_inputs = np.empty((0, n_features))
        front = WeightsForm(no_inputs, GivenWeights(tensors["layers.0.weights"]), dtype, with_velocity=False)
    biases = [tensors[f"layers.{l}.biases"] for l in range(n_layers)]
    weights = [tensors[f"layers.{l}.weights"] for l in range(1, n_layers)]
    loss = ESTIMATORS[header.estimator]._loss
    return FrontNetwork(front, biases, weights, header.activation, loss, SGD(), 1, 1, n_threads)


def _read(path: str) -> tuple[_Header, dict[str, Array]]:
    """Read a file, checking sizes before reading tensors, and tensors before giving them."""
    from safetensors import safe_open

    with safe_open(path, framework="numpy") as file:
        metadata = file.metadata() or {}
        _require(metadata.get("format") == FORMAT, "it is a safetensors file, but no fcfast model")
        version = metadata.get("version")
        _require(version == VERSION, f"it has version {version!r}, this fcfast reads version {VERSION!r}; update fcfast")
        _same_names(metadata, METADATA, "metadata")
        header = _Header.parse(metadata["model"])
        expected = header.tensors()
        _same_names(file.keys(), expected, "tensors")
        for name, (dtype, shape) in expected.items():
            held = file.get_slice(name)
            got, wanted = (held.get_dtype(), tuple(held.get_shape())), (SAFETENSORS_DTYPES[dtype], shape)
            _require(got == wanted, f"tensor {name!r} has dtype and shape {got}, but the header needs {wanted}")
        tensors = {name: file.get_tensor(name) for name in expected}
    _require(_checksum(metadata["model"], tensors) == metadata["checksum"], "its checksum is wrong: it was damaged or changed")
    _refuse_not_finite(tensors)
    return header, tensors


def _checksum(model: str, tensors: dict[str, Array]) -> str:
    digest = hashlib.sha256(model.encode())
    for name in sorted(tensors):
        digest.update(f"{name} {tensors[name].dtype.name} {tensors[name].shape}".encode())
        digest.update(tensors[name].ravel().view(np.uint8).data)
    return digest.hexdigest()


# ----------------------------------------------------------------------------------------------------------------------
# training inputs


def _row_digests(X: Any, dtype: np.dtype[Any]) -> NDArray[np.uint8]:
    """Digest the non-zero values of each row, in the precision of training: dense and sparse inputs agree."""
    n_samples, n_features = X.shape
    digests = np.empty((n_samples, DIGEST_BYTES), np.uint8)
    height = max(1, BLOCK_BYTES // (8 * n_features))
    for start in range(0, n_samples, height):
        rows = sparse.csr_array(X[start : start + height], dtype=dtype, copy=True)
        rows.sum_duplicates()
        rows.eliminate_zeros()
        for row, (first, last) in enumerate(pairwise(rows.indptr), start):
            digest = hashlib.blake2b(rows.indices[first:last].astype("<i8"), digest_size=DIGEST_BYTES)
            digest.update(rows.data[first:last].astype(dtype.newbyteorder("<")))
            digests[row] = np.frombuffer(digest.digest(), np.uint8)
    return digests


def _training_inputs(estimator: Estimator, X: Any, digests: NDArray[np.uint8], dtype: np.dtype[Any]) -> Any:
    """Find the rows that the estimator was trained on, in that order."""
    if X is None:
        raise ValueError("it holds contributions, no weights: give the training inputs, load(path, X=...)")
    X = validate_data(estimator, X, accept_sparse="csr", dtype=(np.float64, np.float32), reset=False)
    given = _row_digests(X, dtype)
    if np.array_equal(given, digests):
        return X
    places = {digest.tobytes(): row for row, digest in enumerate(given)}
    rows = [places.get(digest.tobytes(), -1) for digest in digests]
    _require(-1 not in rows, f"X lacks {rows.count(-1)} of the {len(rows)} samples that it was trained on")
    return X[rows]


# ----------------------------------------------------------------------------------------------------------------------
# small checks, and writing


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ValueError(message)


def _same_names(got: Iterable[str], wanted: Iterable[str], what: str) -> None:
    missing, extra = sorted(set(wanted) - set(got)), sorted(set(got) - set(wanted))
    _require(not missing, f"{what} are missing: {', '.join(missing)}")
    _require(not extra, f"{what} are unknown: {', '.join(extra)}")


def _list_of(value: Any, types: tuple[type, ...], name: str, length: int) -> list[Any]:
    _require(isinstance(value, list) and all(type(item) in types for item in value), f"{name} is not a list of the right type")
    _require(len(value) == length, f"{name} has length {len(value)}, but the layers need {length}")
    return list(value)


def _numbers(value: Any, name: str) -> None:
    _require(isinstance(value, list) and all(type(item) in (int, float) for item in value), f"{name} does not hold numbers")


def _refuse_not_finite(tensors: dict[str, Array]) -> None:
    for name, tensor in tensors.items():
        _require(bool(np.isfinite(tensor).all()), f"tensor {name!r} holds NaN or infinity")


@contextmanager
def _replacing(path: str | os.PathLike[str]) -> Iterator[str]:
    """Give the name of a new file beside `path`; it takes that place once it is on the disk, or is removed on an error."""
    target = os.path.realpath(path)
    folder = os.path.dirname(target)
    temporary = os.path.join(folder, f".fcfast-{secrets.token_hex(8)}.tmp")
    os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    permissions = os.stat(temporary).st_mode
    try:
        yield temporary
        os.chmod(temporary, permissions)  # safetensors puts a private file in its place
        _sync(temporary, os.O_RDWR)
        os.replace(temporary, target)
    except BaseException:
        with suppress(FileNotFoundError):
            os.remove(temporary)
        raise
    if os.name != "nt":  # Windows cannot open folders
        _sync(folder, os.O_RDONLY)


def _sync(path: str, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
