"""Losses of the outputs."""

from fcfast.losses.base import LOSSES, log_softmax, softmax

__all__ = ["LOSSES", "log_softmax", "softmax"]
