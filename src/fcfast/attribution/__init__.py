"""Attributions of a network's outputs to its features, their ranking, and how stable the ranking is."""

from fcfast.attribution.attribute import AttributionWarning
from fcfast.attribution.facts import Block
from fcfast.attribution.groups import GroupSums
from fcfast.attribution.ranking import Ranking
from fcfast.attribution.result import Attributions
from fcfast.attribution.stability import Stability, stability

__all__ = ["AttributionWarning", "Attributions", "Block", "GroupSums", "Ranking", "Stability", "stability"]
