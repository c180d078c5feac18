"""Model files: their format, and their contents for each kind of network. `load` and `save` belong to the estimators."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fcfast.estimators.store import load, save

__all__ = ["load", "save"]


def __getattr__(name: str) -> Any:
    if name in __all__:  # imported late, because estimators import this package
        from fcfast.estimators import store

        return getattr(store, name)
    raise AttributeError(f"module 'fcfast.modelfile' has no attribute {name!r}")
