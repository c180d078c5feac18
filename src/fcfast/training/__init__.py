"""Training of a network with a front layer in any form, and the fit loop around it."""

from fcfast.training.blocks import EpochsInMemory
from fcfast.training.loop import Training
from fcfast.training.outcome import Callback, Epoch, History, Outcome, TrainingWarning, Validate, Validation
from fcfast.training.trainable import Epochs, Trainable

__all__ = [
    "Callback", "Epoch", "Epochs", "EpochsInMemory", "History", "Outcome", "Trainable", "Training", "TrainingWarning",
    "Validate", "Validation",
]  # fmt: skip
