"""Optimisers that divide steps by the root of a second moment, one for each unit (NeuronAdam) or weight (Adam, AdamW)."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from fcfast import backend, validation
from fcfast.layers import DenseLayer, Layer
from fcfast.optimizers.base import Optimizer, check_common, register


@register
@dataclass(frozen=True)
class NeuronAdam(Optimizer):
    """AdamW with one second moment per unit instead of one per weight, so that it commutes with rotations of the input.

    Let g be the gradient of a unit's n_in weights. A step sets M <- beta1 M + (1 - beta1) g and
    v <- beta2 v + (1 - beta2) mean(g^2), corrects both for their start at 0, and sets
    W <- (1 - rate weight_decay) W - rate M / (sqrt(v) + eps). A bias has its own moment. In the feature space of a kernel,
    where weights cannot be counted, n_in is the mean square of the training samples, as in the start (`fcfast.Gram.fan_in`).

    Parameters
    ----------
    beta1, beta2 : float
        Decay rates of the velocity and of the second moment, in [0, 1).
    eps : float
        Number > 0 that is added to the root of the second moment. Set it near the gradient size that you regard as zero.
    weight_decay : float
        Decoupled weight decay of all parameters, >= 0.
    max_grad_norm : float or None
        Largest global norm of the gradients, as in `SGD`.

    Raises
    ------
    ValueError, TypeError
        If a value is out of range.

    Examples
    --------
    >>> from fcfast.optimizers import NeuronAdam
    >>> NeuronAdam(weight_decay=0.1).commutes
    True
    """

    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8
    weight_decay: float = 0.0
    max_grad_norm: float | None = None

    name: ClassVar[str] = "neuron-adam"
    passes: ClassVar[int] = 24
    parameters: ClassVar[dict[str, str]] = {"momentum": "beta1"}

    def __post_init__(self) -> None:
        check_common(self)
        _check_moments(self)

    def memory_shapes(self, n_out: int, n_in: int) -> dict[str, tuple[int, ...]]:
        """Give the shape of the second moment, which has one number for each unit."""
        return {"second_moment": (n_out,)}

    def update(self, layer: Layer, rate: float, step: int) -> None:
        """Update a layer in any representation."""
        moment = layer.memory["second_moment"]
        moment *= moment.dtype.type(self.beta2)
        moment += (1 - self.beta2) * layer.squared_gradient_norms() / layer.n_in
        layer.accumulate(self.beta1, 1 - self.beta1)
        if self.weight_decay:
            layer.shrink(1 - rate * self.weight_decay)
        root = np.sqrt(moment.astype(np.float64) / (1 - self.beta2**step))
        layer.descend(rate / (1 - self.beta1**step) / (root + self.eps))


@register
@dataclass(frozen=True)
class Adam(Optimizer):
    """Adam as torch.optim.Adam defines it (Kingma and Ba 2015). It scales every weight separately and needs form "weights".

    Parameters
    ----------
    beta1, beta2 : float
        Decay rates of the velocity and of the second moment, in [0, 1).
    eps : float
        Number > 0 that is added to the root of the second moment.
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
    >>> from fcfast.optimizers import Adam
    >>> Adam().commutes
    False
    """

    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8
    weight_decay: float = 0.0
    max_grad_norm: float | None = None

    name: ClassVar[str] = "adam"
    commutes: ClassVar[bool] = False
    elementwise: ClassVar[bool] = True
    passes: ClassVar[int] = 16
    parameters: ClassVar[dict[str, str]] = {"momentum": "beta1"}
    decoupled: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check_common(self)
        _check_moments(self)

    def memory_shapes(self, n_out: int, n_in: int) -> dict[str, tuple[int, ...]]:
        """Give the shape of the second moment, which has one number for each weight."""
        return {"second_moment": (n_out, n_in)}

    def update(self, layer: Layer, rate: float, step: int) -> None:
        """Update a layer that is held as an array."""
        assert isinstance(layer, DenseLayer)  # estimators refuse the other forms
        second_moment = layer.memory["second_moment"]
        backend.backprop.adam_step(
            layer.weights.reshape(-1), layer.gradient.reshape(-1), layer.velocity.reshape(-1), second_moment.reshape(-1),
            rate, self.beta1, self.beta2, self.eps, self.weight_decay, self.decoupled, step, layer.n_threads,
        )  # fmt: skip


@register
@dataclass(frozen=True)
class AdamW(Adam):
    """AdamW as torch.optim.AdamW defines it (Loshchilov and Hutter 2019), which is `Adam` with decoupled weight decay.

    Parameters
    ----------
    beta1, beta2, eps, weight_decay, max_grad_norm
        The same settings as in `Adam`, but weight decay multiplies the weights by 1 - rate weight_decay.

    Examples
    --------
    >>> from fcfast.optimizers import AdamW
    >>> AdamW(weight_decay=0.01).beta2
    0.999
    """

    name: ClassVar[str] = "adamw"
    elementwise: ClassVar[bool] = True
    decoupled: ClassVar[bool] = True


def _check_moments(optimizer: Any) -> None:
    validation.in_range(optimizer.beta1, "beta1", 0, 1)
    validation.in_range(optimizer.beta2, "beta2", 0, 1)
    validation.positive(optimizer.eps, "eps")
