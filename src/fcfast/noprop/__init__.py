"""NoProp (arXiv 2503.24322): blocks that learn to remove noise from labels, each by itself, without errors from others."""

from fcfast.noprop.schedule import Cosine, Linear, Steps

__all__ = ["Cosine", "Linear", "Steps"]
