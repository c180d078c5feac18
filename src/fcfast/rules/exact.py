"""Rules with exact gradients: backpropagation, and local losses."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fcfast import validation
from fcfast.front.base import OpenFront
from fcfast.layers.chain import Chain, packed, times_derivative
from fcfast.losses import Targets
from fcfast.rules.base import Rule, RuleState, blocks_of, register, whole
from fcfast.rules.gradient import GradientRule, Update
from fcfast.rules.heads import check_head_layers, heads_of

if TYPE_CHECKING:
    from fcfast.training.upper import UpperLayers

Array = NDArray[Any]
Rows = NDArray[np.intp]


@register
@dataclass(frozen=True)
class Backprop(Rule):
    """Backpropagation, which computes the gradient of the loss.

    Examples
    --------
    >>> from fcfast.rules import Backprop
    >>> Backprop().transposes
    'of every layer above the front layer'
    """

    name: ClassVar[str] = "backprop"
    compiled: ClassVar[bool] = True
    is_baseline: ClassVar[bool] = True
    transposes = "of every layer above the front layer"
    backward_passes = "one through the whole network"

    def feedback(self, upper: "UpperLayers", state: RuleState) -> Sequence[Array] | None:
        """Give the weights (n_out, n_in) of each layer that carry errors backwards, or None for the layers' own weights."""
        return None

    def gradients(self, upper: "UpperLayers", targets: Targets, state: RuleState, n_threads: int) -> GradientRule:
        """Compute gradients in a forward and a backward pass."""
        return BackwardGradient(self, upper, targets, state, n_threads)


@register
@dataclass(frozen=True)
class LocalLoss(Rule):
    """Exact gradients of local losses: every block of hidden layers except the last has an auxiliary head with a loss.

    No error passes from block to block, and the head of the last block is the output layer. The heads are trained together with
    the network and then dropped.

    Parameters
    ----------
    block_size : int
        Number of hidden layers in a block, >= 1.
    head_layer_sizes : tuple of int
        Number of units of each hidden layer of the auxiliary heads; an empty tuple makes them linear.

    Raises
    ------
    ValueError, TypeError
        If a size is not an integer >= 1.

    Examples
    --------
    >>> from fcfast.rules import LocalLoss
    >>> LocalLoss(block_size=2).block_size
    2
    """

    block_size: int = 1
    head_layer_sizes: tuple[int, ...] = ()

    name: ClassVar[str] = "local-loss"
    backward_passes = "one through each block and its head"

    def __post_init__(self) -> None:
        validation.integer(self.block_size, "block_size", 1)
        check_head_layers(self.head_layer_sizes)

    @property
    def transposes(self) -> str:
        """Description of the layers whose transposed weights carry errors backwards."""
        return "of the heads" if self.block_size == 1 else "of the heads, and inside blocks"

    def matrix_products(self, n_hidden: int) -> int:
        """Count the forward pass, the weight gradients, and the deltas inside blocks."""
        return 2 * n_hidden + sum(last - first for first, last in blocks_of(n_hidden, self.block_size))

    def kept_activations(self, n_hidden: int) -> int:
        """Count the values and deltas of one block, its inputs, and the arrays between its head and its deltas."""
        return 2 * min(self.block_size, n_hidden) + 5

    def start(self, upper: "UpperLayers", seed: int) -> RuleState:
        """Make the heads."""
        state = super().start(upper, seed)
        state.heads = heads_of(upper, blocks_of(upper.n_hidden, self.block_size), self.head_layer_sizes, state.generator)
        return state

    def gradients(self, upper: "UpperLayers", targets: Targets, state: RuleState, n_threads: int) -> GradientRule:
        """Compute gradients in a forward and a backward pass through each block."""
        return LocalGradient(upper, targets, state, n_threads, blocks_of(upper.n_hidden, self.block_size), streams=True)


# ----------------------------------------------------------------------------------------------------------------------


class BackwardGradient(GradientRule):
    """A forward and a backward pass, in which the rule's feedback weights carry errors backwards."""

    def __init__(self, rule: Backprop, upper: "UpperLayers", targets: Targets, state: RuleState, n_threads: int) -> None:
        super().__init__(upper, targets, state, n_threads, whole(upper.n_hidden))
        self.rule = rule
        self._back = Chain(np.zeros_like(self.chain.params), self.chain.widths, self.activation, n_threads)

    def back(self) -> Chain:
        """Give the layers that carry errors backwards."""
        feedback = self.rule.feedback(self.upper, self.state)
        if feedback is None:
            return self.chain
        shapes, wanted = [np.shape(given) for given in feedback], [weights.shape for weights in self._back.weights]
        if shapes != wanted:
            raise ValueError(
                f"rule {self.rule.name!r} gave feedback weights of shapes {shapes}, but the layers above the front layer need "
                f"{wanted}"
            )
        for weights, given in zip(self._back.weights, feedback, strict=True):
            weights[:] = given
        return self._back

    def step(self, front: OpenFront, batch: Rows) -> Iterator[Update]:
        A = self.front_values(front, batch)
        flat, values = self.chain.forward(A)
        deltas, blocks = packed(self.chain.widths[1:], len(A), A.dtype)
        self.loss = self.targets.mean_loss(values[-1], batch, blocks[-1])
        D = np.empty_like(A)
        self.back().backward(A, flat, deltas, self.grads[0][len(A.T) :], D)
        self.take_front(front, times_derivative(D, A, self.activation, self.n_threads))
        yield self.update(0, front)


class LocalGradient(GradientRule):
    """A forward and a backward pass through each block and its head, one block after the other."""

    def step(self, front: OpenFront, batch: Rows) -> Iterator[Update]:
        inputs = self.front_values(front, batch)
        for block, (first, _) in enumerate(self.blocks):
            layers = self.layers_of(block)
            flat, values = layers.forward_activated(inputs)
            top = values[-1] if values else inputs
            head = self.head_pass(block, top, batch)
            self.loss = head.loss
            delta = times_derivative(head.input_gradient(), top, self.activation, self.n_threads)
            below = np.empty_like(inputs) if first == 0 and values else None
            if values:
                deltas, delta_blocks = packed(layers.widths[1:], len(inputs), inputs.dtype)
                delta_blocks[-1][:] = delta
                layers.backward(inputs, flat, deltas, self.layer_grads(block), below)
            if first == 0:
                D = delta if below is None else times_derivative(below, inputs, self.activation, self.n_threads)
                self.take_front(front, D)
            yield self.update(block, front)
            inputs = top
