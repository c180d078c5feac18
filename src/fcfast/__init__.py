"""fcfast: train networks without updating their early layers, by carrying their contributions forward."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from fcfast import backend as backend  # or a missing kernel would be told of later than at the import
from fcfast._version import __version__
from fcfast.errors import DivergenceError, ModelFileError

if TYPE_CHECKING:
    from fcfast import paper
    from fcfast.config import show_config
    from fcfast.estimators import FrontClassifier, FrontRegressor, FrontSurvival
    from fcfast.estimators.noprop import NoPropClassifier
    from fcfast.estimators.store import load
    from fcfast.gram.object import Gram
    from fcfast.planning.plan import plan

__all__ = [
    "DivergenceError",
    "FrontClassifier",
    "FrontRegressor",
    "FrontSurvival",
    "Gram",
    "ModelFileError",
    "NoPropClassifier",
    "__version__",
    "load",
    "paper",
    "plan",
    "show_config",
]

# Imported when first asked for: scikit-learn alone takes longer to import than the rest together.
_MODULES = (
    "attribution", "convert", "dask", "datafiles", "explain", "feature_plots", "kernels", "machine", "noprop", "onnx",
    "optimizers", "paper", "plots", "rules", "survival", "text", "torch",
)  # fmt: skip
_LAZY = {
    "FrontClassifier": "estimators", "FrontRegressor": "estimators", "FrontSurvival": "estimators",
    "NoPropClassifier": "estimators.noprop", "Gram": "gram.object", "load": "estimators.store", "plan": "planning.plan",
    "show_config": "config",
}  # fmt: skip


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(f"fcfast.{_LAZY[name]}"), name)
    if name in _MODULES:
        return import_module(f"fcfast.{name}")
    raise AttributeError(f"module 'fcfast' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY, *_MODULES})
