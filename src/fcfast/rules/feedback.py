"""Feedback alignment, in which random weights carry errors backwards."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fcfast.front.base import OpenFront
from fcfast.layers import multiply
from fcfast.layers.chain import packed, times_derivative
from fcfast.layers.views import layer_views
from fcfast.losses import Targets
from fcfast.rules.base import Rule, RuleState, register, whole
from fcfast.rules.exact import Backprop
from fcfast.rules.gradient import GradientRule, Update

if TYPE_CHECKING:
    from fcfast.training.upper import UpperLayers

Array = NDArray[Any]
Rows = NDArray[np.intp]


@register
@dataclass(frozen=True)
class FeedbackAlignment(Backprop):
    """Feedback alignment (Lillicrap et al. 2016): fixed random weights carry errors backwards in place of the transposes.

    Examples
    --------
    >>> from fcfast.rules import FeedbackAlignment
    >>> FeedbackAlignment().transposes
    'none: fixed random weights in their place'
    """

    name: ClassVar[str] = "fa"
    transposes = "none: fixed random weights in their place"
    backward_passes = "one through the whole network, with those"

    def start(self, upper: "UpperLayers", seed: int) -> RuleState:
        """Draw the feedback weights in the same way as the network's own weights."""
        state = super().start(upper, seed)
        state.feedback = np.zeros_like(upper.above)
        for weights, groups, mask in zip(self.feedback(upper, state), (*upper.groups[1:], 1), upper.masks[1:], strict=True):
            _draw_uniform(weights, state.generator, groups)
            if mask is not None:
                weights *= mask
        return state

    def feedback(self, upper: "UpperLayers", state: RuleState) -> Sequence[Array]:
        """Give the feedback weights of each layer."""
        return layer_views(state.feedback, upper.widths, bias=True)[0]


@register
@dataclass(frozen=True)
class DirectFeedbackAlignment(Rule):
    """Direct feedback alignment (Nokland 2016): each hidden layer gets the error of the output through its own random weights.

    Examples
    --------
    >>> from fcfast.rules import DirectFeedbackAlignment
    >>> DirectFeedbackAlignment().matrix_products(4)
    8
    """

    name: ClassVar[str] = "dfa"
    transposes = "none: fixed random weights from the output to each layer"
    backward_passes = "none"

    def matrix_products(self, n_hidden: int) -> int:
        """Count the forward pass and the weight gradients."""
        return 2 * n_hidden

    def start(self, upper: "UpperLayers", seed: int) -> RuleState:
        """Draw the feedback weights (outputs x units), layer after layer."""
        state = super().start(upper, seed)
        n_outputs, n_units = int(upper.widths[-1]), int(upper.widths[:-1].sum())
        state.feedback = np.empty((n_outputs, n_units), upper.params.dtype)
        for columns in np.split(state.feedback, np.cumsum(upper.widths[:-1])[:-1], axis=1):
            _draw_uniform(columns, state.generator)
        return state

    def gradients(self, upper: "UpperLayers", targets: Targets, state: RuleState, n_threads: int) -> GradientRule:
        """Compute gradients from the error that each layer gets from the output."""
        return DirectGradient(upper, targets, state, n_threads, whole(upper.n_hidden))


def _draw_uniform(weights: Array, generator: np.random.Generator, groups: int = 1) -> None:
    bound = (6 * groups / sum(weights.shape)) ** 0.5
    weights[:] = generator.uniform(-bound, bound, weights.shape)


class DirectGradient(GradientRule):
    """Gradients from deltas that come directly from the error of the output."""

    def step(self, front: OpenFront, batch: Rows) -> Iterator[Update]:
        A = self.front_values(front, batch)
        flat, values = self.chain.forward(A)
        deltas, blocks = packed(self.chain.widths[1:], len(A), A.dtype)
        self.loss = self.targets.mean_loss(values[-1], batch, blocks[-1])
        feedback = np.split(self.state.feedback, np.cumsum(self.chain.widths[:-1])[:-1], axis=1)
        for into, value, F in zip(blocks[:-1], values[:-1], feedback[1:], strict=True):
            into[:] = times_derivative(multiply(blocks[-1], F), value, self.activation, self.n_threads)
        self.chain.outer_products(A, flat, deltas, self.grads[0][len(A.T) :])
        self.take_front(front, times_derivative(multiply(blocks[-1], feedback[0]), A, self.activation, self.n_threads))
        yield self.update(0, front)
