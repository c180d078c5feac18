"""What training needs of an optimiser."""

import math
from typing import Any, ClassVar, Protocol

from fcfast import validation
from fcfast.layers import Layer


class Optimizer(Protocol):
    """What training needs of an optimiser."""

    name: ClassVar[str]
    commutes: ClassVar[bool]

    @property
    def has_velocity(self) -> bool:
        """Whether a velocity is kept beside the weights."""

    @property
    def weight_decay(self) -> float:
        """Of all parameters."""

    @property
    def max_grad_norm(self) -> float | None:
        """Largest global norm of a gradient; None for no clipping."""

    def moment_shape(self, n_out: int, n_in: int) -> tuple[int, ...]:
        """Shape of what is remembered of a layer's squared gradients."""

    def update(self, layer: Layer, rate: float, step: int) -> None:
        """Update a layer's weights from its gradient, in step number `step` (from 1)."""

    @property
    def for_biases(self) -> "Optimizer":
        """The optimiser of biases, each a layer of one feature."""


def check_common(optimizer: Any) -> None:
    validation.plain_numbers(optimizer)
    validation.boolean(getattr(optimizer, "nesterov", False), "nesterov")
    validation.in_range(optimizer.weight_decay, "weight_decay", 0, math.inf)
    if optimizer.max_grad_norm is not None:
        validation.positive(optimizer.max_grad_norm, "max_grad_norm")
