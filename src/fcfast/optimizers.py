"""How deltas become updates: stochastic gradient descent and its learning-rate schedules.

SGD with momentum, dampening, Nesterov, weight decay and clipping by global norm commutes with rotations of the input, so it
is exact in every form of the front layer (docs/mathematics.md, 4).
"""

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from fcfast import validation


@dataclass(frozen=True)
class SGD:
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

    def __post_init__(self) -> None:
        validation.in_range(self.momentum, "momentum", 0, 1)
        validation.in_range(self.dampening, "dampening", 0, 1)
        validation.in_range(self.weight_decay, "weight_decay", 0, math.inf)
        if self.max_grad_norm is not None:
            validation.positive(self.max_grad_norm, "max_grad_norm")
        if self.nesterov and (self.momentum == 0 or self.dampening != 0):
            raise ValueError(
                f"nesterov=True needs momentum > 0 and dampening = 0, got {self.momentum} and {self.dampening}, as in PyTorch"
            )


class Schedule(Protocol):
    """A learning-rate schedule: the factor of the learning rate at each step."""

    def factors(self, steps: NDArray[np.intp], total: int) -> NDArray[np.float64]:
        """Give the factors at some steps (from 0) of a training that is to take `total` steps."""


@dataclass(frozen=True)
class Constant:
    """The same learning rate throughout."""

    def factors(self, steps: NDArray[np.intp], total: int) -> NDArray[np.float64]:
        """Give 1 for every step."""
        return np.ones(len(steps))


@dataclass(frozen=True)
class Cosine:
    """Half a cosine from 1 at the first step to `final` after the last one."""

    final: float = 0.0

    def factors(self, steps: NDArray[np.intp], total: int) -> NDArray[np.float64]:
        """Give the factors; a training that goes on longer than planned stays at `final`."""
        progress = np.minimum(steps / max(total, 1), 1)
        return self.final + (1 - self.final) * (1 + np.cos(np.pi * progress)) / 2


@dataclass(frozen=True)
class StepDecay:
    """Multiply by `factor` after every `every`-th part of the training (a fraction of its length)."""

    factor: float = 0.1
    every: float = 1 / 3

    def factors(self, steps: NDArray[np.intp], total: int) -> NDArray[np.float64]:
        """Give the factors; the steps are those of the planned length."""
        return self.factor ** np.floor(np.minimum(steps / max(total, 1), 1 - 1e-12) / self.every)


@dataclass(frozen=True)
class WarmUp:
    """Rise linearly over the first `fraction` of the training, then follow another schedule."""

    fraction: float = 0.1
    then: Schedule = Constant()

    def factors(self, steps: NDArray[np.intp], total: int) -> NDArray[np.float64]:
        """Give the factors; the first step has 1 / (number of warm-up steps), not 0."""
        length = max(1, round(self.fraction * total))
        return np.minimum((steps + 1) / length, 1) * self.then.factors(np.maximum(steps - length, 0), max(total - length, 1))


SCHEDULES: dict[str, Schedule] = {
    "constant": Constant(),
    "cosine": Cosine(),
    "step": StepDecay(),
    "warm-up": WarmUp(),
}
