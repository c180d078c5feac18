"""The front layer: the only one whose inputs never change during training."""
