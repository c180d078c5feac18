"""Public import path of `fcfast.estimators.noprop`."""

from fcfast.estimators.noprop import NoPropClassifier

__all__ = ["NoPropClassifier"]
