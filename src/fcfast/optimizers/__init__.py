"""Optimisers and learning-rate schedules.

An optimiser that commutes with rotations of the input trains the same network in every form of the front layer. An optimiser
that treats each feature separately needs form "weights". docs/mathematics.md, 4, has a table.
"""

from fcfast.optimizers.adaptive import Adam, AdamW, NeuronAdam
from fcfast.optimizers.base import OPTIMIZERS, Optimizer, register
from fcfast.optimizers.muon import Muon
from fcfast.optimizers.names import make_optimizer
from fcfast.optimizers.roots import Adagrad, RMSprop
from fcfast.optimizers.schedules import SCHEDULES, Constant, Cosine, Schedule, StepDecay, WarmUp
from fcfast.optimizers.sgd import SGD

__all__ = [
    "OPTIMIZERS", "SCHEDULES", "SGD", "Adagrad", "Adam", "AdamW", "Constant", "Cosine", "Muon", "NeuronAdam", "Optimizer",
    "RMSprop", "Schedule", "StepDecay", "WarmUp", "make_optimizer", "register",
]  # fmt: skip
