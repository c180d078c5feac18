"""The optimiser of networks that are not trained."""

from dataclasses import dataclass, field
from typing import ClassVar

from fcfast.layers import Layer
from fcfast.optimizers.base import Optimizer


@dataclass(frozen=True)
class NoOptimizer(Optimizer):
    """What a network that only predicts has in place of an optimiser: it remembers nothing, and has no steps."""

    name: ClassVar[str] = "none"
    has_velocity: bool = field(default=False, init=False)

    def update(self, layer: Layer, rate: float, step: int) -> None:
        raise RuntimeError("this network is only for prediction; fit again to train one")
