"""NoProp (arXiv 2503.24322): blocks that learn to remove noise from labels, each by itself, without errors from others."""

from fcfast.noprop.schedule import CosineNoise, LinearNoise, Steps

__all__ = ["CosineNoise", "LinearNoise", "Steps"]
