"""Model files: their format, their contents for each kind of network, and model cards.

`load` and `save` belong to the estimators.
"""

from typing import TYPE_CHECKING, Any

from fcfast.modelfile.cards import ModelCard

if TYPE_CHECKING:
    from fcfast.estimators.store import load, save
    from fcfast.modelfile.format import card

__all__ = ["ModelCard", "card", "load", "save"]


def __getattr__(name: str) -> Any:
    if name == "card":
        from fcfast.modelfile.format import card

        return card
    if name in ("load", "save"):  # imported late, because estimators import this package
        from fcfast.estimators import store

        return getattr(store, name)
    raise AttributeError(f"module 'fcfast.modelfile' has no attribute {name!r}")
