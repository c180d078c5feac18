"""Fitted estimators in files."""

from fcfast.modelfile.format import load, save

__all__ = ["load", "save"]
