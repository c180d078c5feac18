"""The JSON header of a model file: what any estimator's says, how parameters are written in it, and the checks of all that."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, fields
from itertools import pairwise
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fcfast import validation
from fcfast.front.base import FORMS
from fcfast.noprop.schedule import CosineNoise, LinearNoise
from fcfast.optimizers import SGD, Adam, AdamW, Constant, Cosine, Muon, NeuronAdam, StepDecay, WarmUp
from fcfast.rules import Backprop, DirectFeedbackAlignment, FeedbackAlignment, ForwardGradient, FrozenHidden, LocalLoss

if TYPE_CHECKING:
    from typing import Self  # Python 3.11

INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
LABEL_DTYPES = ("bool", "str", "float32", "float64", *INTEGERS)

Array = NDArray[Any]
Expected = dict[str, tuple[str, tuple[int, ...]]]  # dtype and shape of every tensor
SETTINGS: dict[str, type[Any]] = {
    kind.__name__: kind
    for kind in (
        SGD, Muon, NeuronAdam, Adam, AdamW, Constant, Cosine, StepDecay, WarmUp, Backprop, LocalLoss, FeedbackAlignment,
        DirectFeedbackAlignment, FrozenHidden, ForwardGradient, CosineNoise, LinearNoise,
    )
}  # fmt: skip


@dataclass(frozen=True)
class Header:
    """What a file says beside its tensors, of any estimator. `labels` belong to a classifier."""

    estimators: ClassVar[dict[str, type[Any]]]
    later: ClassVar[tuple[str, ...]] = ()  # entries that version 1 has not, left out where they are empty

    estimator: str
    params: dict[str, Any]
    form: str
    dtype: str
    label_dtype: str | None
    labels: list[Any] | None
    feature_names: list[str] | None
    loss_curve: list[float]
    validation_scores: list[float] | None
    n_epochs: int

    @classmethod
    def read(cls, content: dict[str, Any]) -> "Self":
        """Take and check what a file says."""
        content = {name: [] for name in cls.later} | content
        same_names(content, [field.name for field in fields(cls)], "entries of the header")
        header = cls(**content)
        header.check()
        return header

    def content(self) -> dict[str, Any]:
        """Give what a file says."""
        entries = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in entries.items() if value or name not in self.later}

    @property
    def version(self) -> str:
        """The first version of the format that can say it."""
        return "2" if any(getattr(self, name) for name in self.later) else "1"

    @property
    def n_features(self) -> int:
        """Features of the inputs."""
        raise NotImplementedError

    @property
    def n_outputs(self) -> int:
        """Outputs: for a classifier, its classes."""
        raise NotImplementedError

    def check(self) -> None:
        """Raise a ValueError or a TypeError for what makes no sense."""
        validation.choice(self.estimator, "estimator", self.estimators)
        validation.choice(self.form, "form", FORMS)
        validation.choice(self.dtype, "dtype", ("float32", "float64"))
        require(isinstance(self.params, dict), "params is not an object")
        validation.integer(self.n_epochs, "n_epochs", 0)
        numbers(self.loss_curve, "loss_curve")
        if self.validation_scores is not None:
            numbers(self.validation_scores, "validation_scores")

    def check_feature_names(self) -> None:
        """Look at them once the number of features is known to make sense."""
        if self.feature_names is not None:
            list_of(self.feature_names, (str,), "feature_names", self.n_features)

    def classes(self) -> Array:
        """Give the class labels as an array: distinct and in order, with their own type."""
        labels = list_of(self.labels, (str, int, float, bool), "labels", self.n_outputs)
        dtype = np.dtype(validation.choice(str(self.label_dtype), "label_dtype", LABEL_DTYPES))
        if dtype.kind in "iu":  # NumPy 1.26 would wrap what is too large
            limits = np.iinfo(dtype)
            fits = all(type(label) is int and limits.min <= label <= limits.max for label in labels)
            require(fits, f"labels are not of type {self.label_dtype}: {labels}")
        classes = np.array(labels, dtype)
        kept = [(type(a), a) for a in classes.tolist()] == [(type(a), a) for a in labels]
        require(kept, f"labels are not of type {self.label_dtype}")
        require(all(a < b for a, b in pairwise(labels)), "labels are not distinct and sorted")
        return classes

    def tensors(self) -> Expected:
        """Give dtype and shape of every tensor that the file must hold."""
        raise NotImplementedError

    def unfitted(self) -> Any:
        """Make the estimator, not yet fitted, with its parameters checked."""
        kind = self.estimators[self.estimator]
        params = {name: decoded(value) for name, value in self.params.items()}
        unknown = sorted(set(params) - set(kind._get_param_names()))
        require(not unknown, f"{', '.join(map(repr, unknown))}: no such parameter of {self.estimator}")
        estimator = kind(**params)
        estimator._check_parameters()
        return estimator

    def restore(self, estimator: Any, tensors: dict[str, Array], X: Any) -> None:
        """Set what fitting found out; subclasses add the network."""
        estimator.form_ = self.form
        estimator.n_features_in_ = self.n_features
        if self.feature_names is not None:
            estimator.feature_names_in_ = np.array(self.feature_names, dtype=object)
        if self.labels is not None:
            estimator.classes_ = self.classes()
        estimator.loss_curve_, estimator.validation_scores_ = self.loss_curve, self.validation_scores
        estimator.n_epochs_ = estimator.n_iter_ = self.n_epochs


def common(estimator: Any) -> dict[str, Any]:
    """Collect the entries of `Header` from a fitted estimator, but for the form and the precision."""
    classes = getattr(estimator, "classes_", None)
    names = getattr(estimator, "feature_names_in_", None)
    return {
        "estimator": type(estimator).__name__,
        "params": {name: encoded(value, name) for name, value in estimator.get_params(deep=False).items()},
        "label_dtype": None if classes is None else label_dtype(classes),
        "labels": None if classes is None else [encoded(label, "classes_") for label in classes.tolist()],
        "feature_names": None if names is None else list(map(str, names)),
        "loss_curve": estimator.loss_curve_,
        "validation_scores": estimator.validation_scores_,
        "n_epochs": estimator.n_epochs_,
    }


def parse(text: str, kinds: dict[str, type[Header]]) -> Header:
    """Read and check a header."""
    try:
        content = json.loads(text)
    except ValueError as error:
        raise ValueError(f"its header is not JSON: {error}") from error
    require(isinstance(content, dict), "its header is not a JSON object")
    return kinds[validation.choice(content.get("estimator", ""), "estimator", kinds)].read(content)


# ----------------------------------------------------------------------------------------------------------------------
# values in JSON


def label_dtype(classes: Array) -> str:
    name = "str" if classes.dtype.kind == "U" else classes.dtype.name
    if name not in LABEL_DTYPES:
        raise TypeError(f"classes_ of dtype {classes.dtype} cannot be stored; use labels that are str, int, float or bool")
    return name


def encoded(value: Any, name: str) -> Any:
    """Write a parameter so that JSON gives it back: it knows no tuples, and no keys but strings."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or type(value) in (bool, int, float, str):
        return value
    if isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
        value = value.tolist()
    if type(value) is list:
        return [encoded(item, name) for item in value]
    if type(value) is tuple:
        return {"tuple": [encoded(item, name) for item in value]}
    if type(value) is dict:
        return {"dict": [[encoded(key, name), encoded(item, name)] for key, item in value.items()]}
    if SETTINGS.get(type(value).__name__) is type(value):
        settings = {field.name: getattr(value, field.name) for field in fields(value)}
        return {"settings": [type(value).__name__, encoded(settings, name)]}
    raise TypeError(f"{name}={value!r} cannot be stored; use numbers, strings, None, or lists and dicts of them")


def decoded(value: Any) -> Any:
    if isinstance(value, list):
        return [decoded(item) for item in value]
    if not isinstance(value, dict):
        return value
    ((kind, items),) = value.items() if len(value) == 1 else (("?", None),)
    known = kind in ("tuple", "dict", "settings") and isinstance(items, list)
    require(known, "a parameter is an object that is no tuple, no dict and no settings of an optimiser, schedule or rule")
    content = decoded(items)
    if kind == "settings":
        return settings(content)
    return tuple(content) if kind == "tuple" else dict(content)


def settings(content: list[Any]) -> Any:
    """Make the settings of an optimiser, a schedule or a rule again; they check their values themselves."""
    require(len(content) == 2 and content[0] in SETTINGS and isinstance(content[1], dict), "a parameter has unknown settings")
    name, fields = content
    try:
        return SETTINGS[name](**fields)
    except (TypeError, ValueError) as error:
        raise ValueError(f"a parameter is {name} with bad settings: {error}") from error


# ----------------------------------------------------------------------------------------------------------------------
# small checks


def require(condition: bool, message: str) -> None:
    if not condition:
        raise ValueError(message)


def same_names(got: Iterable[str], wanted: Iterable[str], what: str) -> None:
    missing, extra = sorted(set(wanted) - set(got)), sorted(set(got) - set(wanted))
    require(not missing, f"{what} are missing: {', '.join(missing)}")
    require(not extra, f"{what} are unknown: {', '.join(extra)}")


def list_of(value: Any, types: tuple[type, ...], name: str, length: int) -> list[Any]:
    require(isinstance(value, list) and all(type(item) in types for item in value), f"{name} is not a list of the right type")
    require(len(value) == length, f"{name} has length {len(value)}, but the layers need {length}")
    return list(value)


def numbers(value: Any, name: str) -> None:
    require(isinstance(value, list) and all(type(item) in (int, float) for item in value), f"{name} does not hold numbers")
