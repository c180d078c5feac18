"""Muon, an optimiser with momentum whose steps are semi-orthogonal."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from fcfast import validation
from fcfast.layers import Layer
from fcfast.optimizers.adaptive import NeuronAdam
from fcfast.optimizers.base import FIRST_CHANGE, REFERENCE_UNITS, Optimizer, check_common, register

FIRST_TURN = 0.05  # share of the pre-activations that the first step changes


@register
@dataclass(frozen=True)
class Muon(Optimizer):
    """Momentum whose steps are made semi-orthogonal (Jordan et al. 2024, https://kellerjordan.github.io/posts/muon/).

    It works as torch.optim.Muon with its "original" adjustment, but in the network's own precision. A step sets
    M <- momentum M + g and moves the weights by rate sqrt(max(1, n_out / n_in)) times the matrix that the Newton-Schulz
    iteration makes from M, or from g + momentum M with Nesterov momentum. It only multiplies by matrices over the units, so it
    commutes with rotations of the input. `NeuronAdam` updates the biases.

    Parameters
    ----------
    momentum : float
        Momentum in [0, 1).
    nesterov : bool
        Whether to use Nesterov momentum, which needs momentum > 0.
    weight_decay : float
        Decoupled weight decay of all parameters, >= 0.
    max_grad_norm : float or None
        Largest global norm of the gradients, as in `SGD`.
    n_iterations : int
        Number of Newton-Schulz iterations, >= 1.

    Raises
    ------
    ValueError, TypeError
        If a value is out of range.

    Examples
    --------
    >>> from fcfast.optimizers import Muon
    >>> Muon().n_iterations
    5
    """

    momentum: float = 0.95
    nesterov: bool = True
    weight_decay: float = 0.0
    max_grad_norm: float | None = None
    n_iterations: int = 5

    name: ClassVar[str] = "muon"
    mixes_units: ClassVar[bool] = True
    rate_to_try: ClassVar[float | None] = 0.01

    def __post_init__(self) -> None:
        check_common(self)
        validation.in_range(self.momentum, "momentum", 0, 1)
        validation.integer(self.n_iterations, "n_iterations", 1)
        if self.nesterov and self.momentum == 0:
            raise ValueError("nesterov=True needs momentum > 0, got 0")

    def layer_rates(self, shapes: Sequence[tuple[float, int]], step: float) -> tuple[tuple[float, float], ...]:
        """Give rates by which a step changes the pre-activations of a sample by a share of their size, whatever the widths."""
        biases = FIRST_CHANGE / REFERENCE_UNITS
        return tuple((FIRST_TURN * min(1.0, math.sqrt(n_out / n_in)), biases) for n_in, n_out in shapes)

    def update(self, layer: Layer, rate: float, step: int) -> None:
        """Update a layer in any representation."""
        layer.accumulate(self.momentum, 1.0)
        if self.weight_decay:
            layer.shrink(1 - rate * self.weight_decay)
        adjusted = rate * math.sqrt(max(1.0, layer.n_out / layer.n_in))
        layer.descend_orthogonally(adjusted, self.momentum if self.nesterov else 0.0, self.n_iterations)

    @property
    def for_biases(self) -> NeuronAdam:
        """The optimiser of biases; a vector has no semi-orthogonal direction, so it is not Muon."""
        return NeuronAdam(weight_decay=self.weight_decay)
