"""scikit-learn estimators: networks trained exactly as backpropagation would, with the front layer in any form."""

from fcfast.estimators.classifier import FrontClassifier
from fcfast.estimators.noprop import NoPropClassifier
from fcfast.estimators.regressor import FrontRegressor

__all__ = ["FrontClassifier", "FrontRegressor", "NoPropClassifier"]
