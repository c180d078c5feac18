"""The baseline that trains the output layer alone."""

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
    """Train the output layer alone: the baseline that shows whether a rule learns features at all.

    Hidden layers stay as they were drawn, to the last bit: no momentum and no weight decay moves them.

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
        """Forward."""
        return n_hidden

    def kept_activations(self, n_hidden: int) -> int:
        """Values of every layer."""
        return n_hidden

    def gradients(self, upper: "UpperLayers", targets: Targets, state: RuleState, n_threads: int) -> GradientRule:
        """Train the output layer."""
        return OutputGradient(upper, targets, state, n_threads, whole(upper.n_hidden))


class OutputGradient(GradientRule):
    """The output layer's gradient."""

    def step(self, front: OpenFront, batch: Rows) -> Iterator[Update]:
        A = self.front_values(front, batch)
        values = [A, *self.chain.forward(A)[1]]
        error = np.empty_like(values[-1])
        self.loss = self.targets.loss(values[-1], batch, error)
        self.fill_output_gradient(values[-2], error)
        output = self.n_hidden
        yield [
            (self.weights_above[output], self.upper.group(output)),
            (self.biases[output], self.upper.group(output, of_biases=True)),
        ]
