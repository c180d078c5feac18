"""Public import path of `fcfast.comparison.noprop`."""

from fcfast.comparison.noprop import NoProp

__all__ = ["NoProp"]
