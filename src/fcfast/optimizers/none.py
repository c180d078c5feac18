"""The optimiser of networks that are not trained."""

from dataclasses import dataclass, field
from typing import ClassVar

from fcfast.layers import Layer
from fcfast.optimizers.base import Optimizer


@dataclass(frozen=True)
class NoOptimizer(Optimizer):
    """The optimiser of a network that only predicts, which has no state and takes no steps."""

    name: ClassVar[str] = "none"
    has_velocity: bool = field(default=False, init=False)

    def update(self, layer: Layer, rate: float, step: int) -> None:
        raise RuntimeError("this network is only for prediction; fit again to train one")
