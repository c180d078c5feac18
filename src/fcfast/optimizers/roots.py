"""Optimisers that divide the gradient by the root of its second moment, weight by weight, and have no velocity."""

from dataclasses import dataclass
from typing import Any, ClassVar

from fcfast import validation
from fcfast.layers import Layer
from fcfast.optimizers.base import Optimizer, check_common, register


class RootOptimizer(Optimizer):
    """An optimiser with v <- keep v + fresh g^2 and W <- W - rate g / (sqrt(v) + eps) for the gradient g of each weight.

    A weight without a gradient rests, so that sparse samples change only the weights of their features. The second moment v is
    held in the place of a velocity.
    """

    commutes: ClassVar[bool] = False
    passes: ClassVar[int] = 14

    eps: float = 1e-8

    @property
    def keep(self) -> float:
        """Factor of the old second moment."""
        return 1.0

    @property
    def fresh(self) -> float:
        """Factor of a squared gradient."""
        return 1.0

    @property
    def rests(self) -> bool:
        """Whether a weight without a gradient stays as it is, which weight decay would change."""
        return self.weight_decay == 0

    def update(self, layer: Layer, rate: float, step: int) -> None:
        """Update a layer that holds each weight."""
        held: Any = layer  # estimators refuse the other forms
        held.descend_by_root(rate, self)


@register
@dataclass(frozen=True)
class Adagrad(RootOptimizer):
    """Adagrad as torch.optim.Adagrad defines it (Duchi, Hazan and Singer 2011): v is the sum of all squared gradients.

    Rare features keep large steps, which suits text and other sparse samples; these train at the cost of their entries.

    Parameters
    ----------
    eps : float
        Number > 0 that is added to the root of v.
    weight_decay : float
        Weight decay of all parameters, which is added to the gradient, >= 0.
    max_grad_norm : float or None
        Largest global norm of the gradients, as in `SGD`.

    Raises
    ------
    ValueError, TypeError
        If a value is out of range.

    Examples
    --------
    >>> from fcfast.optimizers import Adagrad
    >>> Adagrad().rests, Adagrad(weight_decay=0.1).rests
    (True, False)
    """

    eps: float = 1e-10
    weight_decay: float = 0.0
    max_grad_norm: float | None = None

    name: ClassVar[str] = "adagrad"
    elementwise: ClassVar[bool] = True
    rate_to_try: ClassVar[float | None] = 0.01

    def __post_init__(self) -> None:
        check_common(self)
        validation.positive(self.eps, "eps")


@register
@dataclass(frozen=True)
class RMSprop(RootOptimizer):
    """RMSprop as torch.optim.RMSprop defines it without momentum: v is a mean of squared gradients that forgets old ones.

    Parameters
    ----------
    alpha : float
        Decay rate of v, in [0, 1).
    eps, weight_decay, max_grad_norm
        The same settings as in `Adagrad`.

    Raises
    ------
    ValueError, TypeError
        If a value is out of range.

    Examples
    --------
    >>> from fcfast.optimizers import RMSprop
    >>> RMSprop(alpha=0.9).keep
    0.9
    """

    alpha: float = 0.99
    eps: float = 1e-8
    weight_decay: float = 0.0
    max_grad_norm: float | None = None

    name: ClassVar[str] = "rmsprop"
    elementwise: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_common(self)
        validation.in_range(self.alpha, "alpha", 0, 1)
        validation.positive(self.eps, "eps")

    @property
    def keep(self) -> float:
        """Factor of the old second moment."""
        return self.alpha

    @property
    def fresh(self) -> float:
        """Factor of a squared gradient."""
        return 1 - self.alpha
