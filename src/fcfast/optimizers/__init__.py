"""How gradients become updates: optimisers and learning-rate schedules.

An optimiser that commutes with rotations of the input gives the same network in every form of the front layer; one that treats
each feature by itself needs the weights as they are, form "weights" (docs/mathematics.md, 4, has the table).
"""

from fcfast.optimizers.adaptive import Adam, AdamW, NeuronAdam
from fcfast.optimizers.base import OPTIMIZERS, Optimizer, register
from fcfast.optimizers.muon import Muon
from fcfast.optimizers.names import make_optimizer
from fcfast.optimizers.schedules import SCHEDULES, Constant, Cosine, Schedule, StepDecay, WarmUp
from fcfast.optimizers.sgd import SGD

__all__ = [
    "OPTIMIZERS", "SCHEDULES", "SGD", "Adam", "AdamW", "Constant", "Cosine", "Muon", "NeuronAdam", "Optimizer", "Schedule",
    "StepDecay", "WarmUp", "make_optimizer", "register",
]  # fmt: skip
