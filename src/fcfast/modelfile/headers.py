"""The JSON header of a model file: the entries that every estimator has, and their checks."""

import json
from collections.abc import Collection, Mapping
from dataclasses import MISSING, dataclass, field, fields
from itertools import pairwise
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fcfast import validation
from fcfast.front.base import FORMS
from fcfast.modelfile.cards import check_card
from fcfast.modelfile.checks import list_of, numbers, require, same_names
from fcfast.modelfile.values import decoded

if TYPE_CHECKING:
    from typing import Self  # Python 3.11

INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
LABEL_DTYPES = ("bool", "str", "float32", "float64", *INTEGERS)

Array = NDArray[Any]
Tensors = dict[str, Array]
Expected = dict[str, tuple[str, tuple[int, ...]]]  # dtype and shape of every tensor


@dataclass(frozen=True)
class Header:
    """The entries that files of all estimators hold besides tensors.

    `labels` belong to a classifier. `text` describes the vectoriser of texts (`fcfast.modelfile.text`), if there is one. `card`
    is the model card (`fcfast.modelfile.cards`).
    """

    later: ClassVar[dict[str, str]] = {}  # entries that version 1 does not have, with the first version that has them

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
    text: dict[str, Any] = field(default_factory=dict, kw_only=True)
    card: dict[str, Any] = field(default_factory=dict, kw_only=True)

    @classmethod
    def read(cls, content: dict[str, Any]) -> "Self":
        """Take the entries of a file and check them."""
        content = cls._plain() | content
        same_names(content, [field.name for field in fields(cls)], "entries of the header")
        header = cls(**content)
        header.check()
        return header

    @classmethod
    def _plain(cls) -> dict[str, Any]:
        """Give the values of entries that are left out."""
        return {field.name: field.default_factory() for field in fields(cls) if field.default_factory is not MISSING}

    def content(self) -> dict[str, Any]:
        """Give the entries for a file."""
        entries = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in entries.items() if value or name not in self.later}

    @property
    def version(self) -> str:
        """First version of the format that has all entries of this header."""
        return max(("1", *(version for name, version in self.later.items() if getattr(self, name))))

    @property
    def n_features(self) -> int:
        """Number of input features."""
        raise NotImplementedError

    @property
    def n_outputs(self) -> int:
        """Number of outputs, which for a classifier is the number of classes."""
        raise NotImplementedError

    def check(self) -> None:
        """Raise a ValueError or a TypeError if an entry is invalid."""
        validation.choice(self.form, "form", FORMS)
        validation.choice(self.dtype, "dtype", ("float32", "float64"))
        require(isinstance(self.params, dict), "params is not an object")
        validation.integer(self.n_epochs, "n_epochs", 0)
        numbers(self.loss_curve, "loss_curve")
        if self.validation_scores is not None:
            numbers(self.validation_scores, "validation_scores")
        check_card(self.card)

    def check_feature_names(self) -> None:
        """Check the feature names, after the number of features has been checked."""
        if self.feature_names is not None:
            list_of(self.feature_names, (str,), "feature_names", self.n_features)

    def classes(self) -> Array:
        """Give the class labels as a sorted array without duplicates, in their own type."""
        labels = list_of(self.labels, (str, int, float, bool), "labels", self.n_outputs)
        dtype = np.dtype(validation.choice(str(self.label_dtype), "label_dtype", LABEL_DTYPES))
        if dtype.kind in "iu":  # NumPy 1.26 would wrap numbers that are too large
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

    def parameters(self, known: Collection[str]) -> dict[str, Any]:
        """Give the parameters of the estimator; all of them must be `known` to it."""
        params = {name: decoded(value) for name, value in self.params.items()}
        unknown = sorted(set(params) - set(known))
        require(not unknown, f"{', '.join(map(repr, unknown))}: no such parameter of {self.estimator}")
        return params


def parse(text: str, kinds: Mapping[str, type[Header]]) -> Header:
    """Read and check a header; `kinds` maps the name of each estimator to the class of its header."""
    try:
        content = json.loads(text)
    except ValueError as error:
        raise ValueError(f"its header is not JSON: {error}") from error
    require(isinstance(content, dict), "its header is not a JSON object")
    return kinds[validation.choice(content.get("estimator", ""), "estimator", kinds)].read(content)


def label_dtype(classes: Array) -> str:
    """Give the name of the type of class labels; raise a TypeError if no file can hold them."""
    name = "str" if classes.dtype.kind == "U" else classes.dtype.name
    if name not in LABEL_DTYPES:
        raise TypeError(f"classes_ of dtype {classes.dtype} cannot be stored; use labels that are str, int, float or bool")
    return name
