"""Stochastic gradient descent."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from fcfast import validation
from fcfast.layers import Layer
from fcfast.optimizers.base import REFERENCE_UNITS, Optimizer, check_common, register

BIAS_SHARE = 0.1  # rate of biases, as though they were a tenth of a layer's inputs


@register
@dataclass(frozen=True)
class SGD(Optimizer):
    """Stochastic gradient descent as torch.optim.SGD defines it.

    Parameters
    ----------
    momentum, dampening : float
        Momentum and its dampening in [0, 1). From the second step on, the fresh gradient is multiplied by 1 - dampening.
    nesterov : bool
        Whether to use Nesterov momentum, which needs momentum > 0 and no dampening.
    weight_decay : float
        Weight decay of all parameters, including biases, >= 0.
    max_grad_norm : float or None
        Largest global norm of the gradients, which are scaled down if they exceed it; None never scales them.

    Raises
    ------
    ValueError, TypeError
        If a value is out of range, or a combination is one that PyTorch refuses too.

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
    step_shrinks: ClassVar[bool] = True
    rate_to_try: ClassVar[float | None] = None

    @property
    def has_velocity(self) -> bool:
        """Whether the optimiser keeps a velocity."""
        return self.momentum > 0

    def __post_init__(self) -> None:
        check_common(self)
        validation.in_range(self.momentum, "momentum", 0, 1)
        validation.in_range(self.dampening, "dampening", 0, 1)
        if self.nesterov and (self.momentum == 0 or self.dampening != 0):
            raise ValueError(
                f"nesterov=True needs momentum > 0 and dampening = 0, got {self.momentum} and {self.dampening}, as in PyTorch"
            )

    def layer_rates(self, shapes: Sequence[tuple[float, int]], step: float) -> tuple[tuple[float, float], ...]:
        """Give rates in proportion to n_out / n_in, where the outputs of the network count as one.

        This is the spectral condition of Yang, Simon and Bernstein (arXiv 2310.17813): features change as much in a step
        whatever the widths.
        """
        widths = [n_out / REFERENCE_UNITS for _, n_out in shapes[:-1]] + [1.0]
        return tuple((step * width / n_in, BIAS_SHARE * step * width) for (n_in, _), width in zip(shapes, widths, strict=True))

    def update(self, layer: Layer, rate: float, step: int) -> None:
        """Update a layer in any representation."""
        layer.descend_as_sgd(rate, self, step == 1)
