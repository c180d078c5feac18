"""fcfast: train networks without updating their early layers, by carrying their contributions forward."""

from fcfast import paper
from fcfast._version import __version__
from fcfast.config import show_config
from fcfast.errors import DivergenceError
from fcfast.estimators import FrontClassifier, FrontRegressor

__all__ = ["DivergenceError", "FrontClassifier", "FrontRegressor", "__version__", "paper", "show_config"]
