"""Conversion of estimators' parameters to JSON values and back."""

from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np

from fcfast.kernels import KERNELS
from fcfast.losses import LOSSES
from fcfast.modelfile.checks import require
from fcfast.noprop.schedule import CosineNoise, LinearNoise
from fcfast.optimizers import OPTIMIZERS, Constant, Cosine, StepDecay, WarmUp
from fcfast.rules import RULES

OTHER_SETTINGS = (Constant, Cosine, StepDecay, WarmUp, CosineNoise, LinearNoise)


def settings_classes() -> dict[str, type[Any]]:
    """Give the classes of objects that are stored by the values of their fields.

    A file names the class. Only classes of the library and registered classes are ever made from a file.
    """
    named = (*OPTIMIZERS.values(), *RULES.values(), *LOSSES.values(), *KERNELS.values(), *OTHER_SETTINGS)
    kinds = [kind if isinstance(kind, type) else type(kind) for kind in named]
    return {kind.__name__: kind for kind in kinds}


def encoded(value: Any, name: str) -> Any:
    """Convert a parameter so that JSON can restore it, because JSON has no tuples and only strings as keys."""
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
    if settings_classes().get(type(value).__name__) is type(value):
        own = fields(value) if is_dataclass(value) else ()
        settings = {field.name: getattr(value, field.name) for field in own}
        return {"settings": [type(value).__name__, encoded(settings, name)]}
    if why := getattr(value, "not_stored", ""):
        raise TypeError(f"{name}={value!r} cannot be stored: {why}")
    raise TypeError(
        f"{name}={value!r} cannot be stored; use numbers, strings, None, lists and dicts of them, or an object of a class that "
        "is registered (as fcfast.optimizers.register does)"
    )


def decoded(value: Any) -> Any:
    if isinstance(value, list):
        return [decoded(item) for item in value]
    if not isinstance(value, dict):
        return value
    ((kind, items),) = value.items() if len(value) == 1 else (("?", None),)
    known = kind in ("tuple", "dict", "settings") and isinstance(items, list)
    require(known, "a parameter is an object, but not a tuple, a dict or settings of an optimiser, schedule or rule")
    content = decoded(items)
    if kind == "settings":
        return settings(content)
    return tuple(content) if kind == "tuple" else dict(content)


def settings(content: list[Any]) -> Any:
    """Restore the settings of an optimiser, a schedule or a rule; they check their values themselves."""
    known = settings_classes()
    require(len(content) == 2 and isinstance(content[1], dict), "a parameter has unknown settings")
    require(
        content[0] in known,
        f"a parameter has settings of an unknown class, {content[0]!r}; if it is your own, import the module that registers it",
    )
    name, fields = content
    try:
        return known[name](**fields)
    except (TypeError, ValueError) as error:
        raise ValueError(f"a parameter is {name} with bad settings: {error}") from error
