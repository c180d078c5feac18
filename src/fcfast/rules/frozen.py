"""The baseline that trains only the output layer."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fcfast.front.base import OpenFront
from fcfast.losses import Targets
from fcfast.rules.base import Rule, RuleState, register, whole
from fcfast.rules.gradient import GradientRule, Update

if TYPE_CHECKING:
    from fcfast.training.upper import UpperLayers

Array = NDArray[Any]
Rows = NDArray[np.intp]


@register
@dataclass(frozen=True)
class FrozenHidden(Rule):
    """Train only the output layer, as a baseline that shows whether a rule learns features at all.

    Hidden layers keep their initial weights to the last bit; neither momentum nor weight decay changes them.

    Examples
    --------
    >>> from fcfast.rules import FrozenHidden
    >>> FrozenHidden().backward_passes
    'none: the output layer needs none'
    """

    name: ClassVar[str] = "frozen"
    is_baseline: ClassVar[bool] = True
    transposes = "none"
    rate_factor = 3.0
    backward_passes = "none: the output layer needs none"

    def matrix_products(self, n_hidden: int) -> int:
        """Count the forward pass."""
        return n_hidden

    def kept_activations(self, n_hidden: int) -> int:
        """Count the values of every layer."""
        return n_hidden

    def gradients(self, upper: "UpperLayers", targets: Targets, state: RuleState, n_threads: int) -> GradientRule:
        """Compute the gradient of the output layer."""
        return OutputGradient(upper, targets, state, n_threads, whole(upper.n_hidden))


class OutputGradient(GradientRule):
    """The gradient of the output layer alone."""

    def step(self, front: OpenFront, batch: Rows) -> Iterator[Update]:
        A = self.front_values(front, batch)
        values = [A, *self.chain.forward(A)[1]]
        error = np.empty_like(values[-1])
        self.loss = self.targets.mean_loss(values[-1], batch, error)
        self.fill_output_gradient(values[-2], error)
        output = self.n_hidden
        yield [
            (self.weights_above[output], self.upper.group(output)),
            (self.biases[output], self.upper.group(output, of_biases=True)),
        ]
