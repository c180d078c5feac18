"""Stochastic gradient descent."""

from dataclasses import dataclass
from typing import ClassVar

from fcfast import validation
from fcfast.layers import Layer
from fcfast.optimizers.base import Optimizer, check_common, register


@register
@dataclass(frozen=True)
class SGD(Optimizer):
    """Stochastic gradient descent as torch.optim.SGD defines it.

    Parameters
    ----------
    momentum, dampening : float
        In [0, 1); dampening multiplies the fresh gradient by 1 - dampening from the second step on.
    nesterov : bool
        Needs momentum > 0 and no dampening.
    weight_decay : float
        Of all parameters, biases included; >= 0.
    max_grad_norm : float or None
        Gradients are scaled so that their global norm is at most this; None for no clipping.

    Raises
    ------
    ValueError, TypeError
        For values out of range, and for combinations that PyTorch refuses too.

    Examples
    --------
    >>> from fcfast.optimizers import SGD
    >>> SGD(momentum=0.9, nesterov=True).momentum
    0.9
    """

    momentum: float = 0.0
    dampening: float = 0.0
    nesterov: bool = False
    weight_decay: float = 0.0
    max_grad_norm: float | None = None

    name: ClassVar[str] = "sgd"
    elementwise: ClassVar[bool] = True
    compiled: ClassVar[bool] = True
    passes: ClassVar[int] = 6
    rate_to_try: ClassVar[float | None] = None

    @property
    def has_velocity(self) -> bool:
        """Whether a velocity is kept beside the weights."""
        return self.momentum > 0

    def __post_init__(self) -> None:
        check_common(self)
        validation.in_range(self.momentum, "momentum", 0, 1)
        validation.in_range(self.dampening, "dampening", 0, 1)
        if self.nesterov and (self.momentum == 0 or self.dampening != 0):
            raise ValueError(
                f"nesterov=True needs momentum > 0 and dampening = 0, got {self.momentum} and {self.dampening}, as in PyTorch"
            )

    def update(self, layer: Layer, rate: float, step: int) -> None:
        """Update a layer in any representation."""
        layer.descend_as_sgd(rate, self, step == 1)
