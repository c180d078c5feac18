"""The operations of an optimiser on a layer, which are the same for every representation of its weights.

Optimisers that commute with rotations of the inputs only scale W, move a velocity M towards the gradient, read the norm of the
gradient of each unit, and take steps along M that are scaled or mixed over the units. Both representations support all of these
operations, so an optimiser does not know which of them it updates (docs/mathematics.md, 4).

Units are rows: W, M and the gradient are (n_out, n_in).
"""

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


class SgdSettings(Protocol):
    """The settings of `fcfast.optimizers.SGD` that a layer needs."""

    @property
    def momentum(self) -> float:
        """Factor of the old velocity."""

    @property
    def dampening(self) -> float:
        """Difference between 1 and the factor of a fresh gradient."""

    @property
    def nesterov(self) -> bool:
        """Whether a step uses Nesterov momentum."""

    @property
    def weight_decay(self) -> float:
        """Factor of the weights in the gradient."""


class RootSettings(Protocol):
    """The settings of `fcfast.optimizers.roots.RootOptimizer` that a layer needs."""

    @property
    def keep(self) -> float:
        """Factor of the old second moment."""

    @property
    def fresh(self) -> float:
        """Factor of a squared gradient."""

    @property
    def eps(self) -> float:
        """Number that is added to the root."""

    @property
    def weight_decay(self) -> float:
        """Factor of the weights in the gradient."""


class Layer(Protocol):
    """Weights with a velocity and a fresh gradient."""

    n_out: int
    memory: dict[str, Array]  # state of the optimiser for the layer, except its velocity (`fcfast.optimizers.memory`)

    @property
    def n_in(self) -> float:
        """Number of inputs of a unit; the mean square of the inputs where units have no weights."""

    def squared_gradient_norms(self) -> NDArray[np.float64]:
        """Give the squared norm of the gradient of each unit, shape (n_out,)."""

    def scale_gradient(self, factor: float) -> None:
        """Multiply the gradient."""

    def accumulate(self, decay: float, fresh: float) -> None:
        """Update the velocity: M <- decay M + fresh * gradient."""

    def shrink(self, factor: float) -> None:
        """Multiply the weights."""

    def descend(self, rates: Array | float) -> None:
        """Step along the velocity, or the gradient without one: W <- W - diag(rates) M, with a rate for each unit (n_out,)."""

    def descend_orthogonally(self, rate: float, momentum: float, n_iterations: int) -> None:
        """Step along the nearest semi-orthogonal matrix to M, or for momentum > 0 (Nesterov) to gradient + momentum M."""

    def descend_as_sgd(self, rate: float, sgd: SgdSettings, first: bool) -> None:
        """Take a step of torch.optim.SGD, whose weight decay enters the velocity; the first step starts the velocity."""
