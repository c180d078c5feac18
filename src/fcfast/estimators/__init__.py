"""scikit-learn estimators: networks trained exactly as backpropagation would, with the front layer in any form."""

from fcfast.estimators.classifier import FrontClassifier
from fcfast.estimators.noprop import NoPropClassifier
from fcfast.estimators.regressor import FrontRegressor
from fcfast.estimators.survival import FrontSurvival

__all__ = ["FrontClassifier", "FrontRegressor", "FrontSurvival", "NoPropClassifier"]
