"""Small checks of the contents of a model file, which raise a ValueError."""

from collections.abc import Iterable
from typing import Any


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


def chosen_settings(settings: Any, params: dict[str, Any]) -> None:
    """Check the values and reasons of the parameters that are "auto"."""
    require(isinstance(settings, dict), "settings is not an object")
    for name, entry in settings.items():
        good = isinstance(entry, list) and len(entry) == 2 and isinstance(entry[1], str)
        require(good, f"settings has no value and reason for {name!r}")
        require(params.get(name) == "auto", f"settings has {name!r}, which is not 'auto'")
