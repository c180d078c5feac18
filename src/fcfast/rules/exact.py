"""Rules whose deltas come back from a loss by a backward pass, or by what replaces it in one: no noise, no tangents."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fcfast import validation
from fcfast.layers import multiply
from fcfast.rules.base import Front, Rows, RuleState, Teacher, Update, blocks_of, new_head, whole
from fcfast.rules.dense import Dense, packed, times_derivative

if TYPE_CHECKING:
    from fcfast.training.network import FrontNetwork

Array = NDArray[Any]
Weights = NDArray[np.float64] | None


@dataclass(frozen=True)
class Backprop:
    """Backpropagation: the gradient of the loss.

    Examples
    --------
    >>> from fcfast.rules import Backprop
    >>> Backprop().transposes
    'of every layer above the front layer'
    """

    name: ClassVar[str] = "backprop"
    stays_in_span: ClassVar[bool] = True
    transposes: ClassVar[str] = "of every layer above the front layer"
    backward_passes: ClassVar[str] = "one through the whole network"

    def matrix_products(self, n_hidden: int) -> int:
        """Forward, weight gradients, and deltas of all layers but the first."""
        return 3 * n_hidden - 1

    def kept_activations(self, n_hidden: int) -> int:
        """Values and deltas of every layer."""
        return 2 * n_hidden

    def start(self, network: "FrontNetwork", seed: int) -> RuleState:
        """Keep nothing."""
        return RuleState(np.random.default_rng(seed))

    def teacher(self, network: "FrontNetwork", answers: Array, sample_weight: Weights) -> Teacher:
        """Teach by the network's own weights."""
        return BackwardTeacher(network, answers, sample_weight, network.params[network.widths[0] :])


@dataclass(frozen=True)
class FeedbackAlignment(Backprop):
    """Feedback alignment (Lillicrap et al. 2016): errors go back through fixed random weights in place of the transposes.

    Examples
    --------
    >>> from fcfast.rules import FeedbackAlignment
    >>> FeedbackAlignment().transposes
    'none: fixed random weights in their place'
    """

    name: ClassVar[str] = "fa"
    transposes: ClassVar[str] = "none: fixed random weights in their place"
    backward_passes: ClassVar[str] = "one through the whole network, with those"

    def start(self, network: "FrontNetwork", seed: int) -> RuleState:
        """Draw the feedback weights as the network's own are drawn."""
        state = RuleState(np.random.default_rng(seed))
        state.feedback = np.zeros_like(network.params[network.widths[0] :])
        layers = Dense(state.feedback, network.widths, 0, 1).weights
        for weights, groups, mask in zip(layers, (*network.groups[1:], 1), network.masks[1:], strict=True):
            _draw_uniform(weights, state.generator, groups)
            if mask is not None:
                weights *= mask
        return state

    def teacher(self, network: "FrontNetwork", answers: Array, sample_weight: Weights) -> Teacher:
        """Teach by the feedback weights."""
        return BackwardTeacher(network, answers, sample_weight, network.rule_state.feedback)


@dataclass(frozen=True)
class DirectFeedbackAlignment:
    """Direct feedback alignment (Nokland 2016): each hidden layer gets the output's error through random weights of its own.

    Examples
    --------
    >>> from fcfast.rules import DirectFeedbackAlignment
    >>> DirectFeedbackAlignment().matrix_products(4)
    8
    """

    name: ClassVar[str] = "dfa"
    stays_in_span: ClassVar[bool] = True
    transposes: ClassVar[str] = "none: fixed random weights from the output to each layer"
    backward_passes: ClassVar[str] = "none"

    def matrix_products(self, n_hidden: int) -> int:
        """Forward and weight gradients."""
        return 2 * n_hidden

    def kept_activations(self, n_hidden: int) -> int:
        """Values and deltas of every layer."""
        return 2 * n_hidden

    def start(self, network: "FrontNetwork", seed: int) -> RuleState:
        """Draw the feedback weights (outputs x units), each layer's after the other."""
        state = RuleState(np.random.default_rng(seed))
        n_outputs, n_units = int(network.widths[-1]), int(network.widths[:-1].sum())
        state.feedback = np.empty((n_outputs, n_units), network.params.dtype)
        for columns in np.split(state.feedback, np.cumsum(network.widths[:-1])[:-1], axis=1):
            _draw_uniform(columns, state.generator)
        return state

    def teacher(self, network: "FrontNetwork", answers: Array, sample_weight: Weights) -> Teacher:
        """Teach by the feedback weights."""
        return DirectTeacher(network, answers, sample_weight, whole(network))


def _draw_uniform(weights: Array, generator: np.random.Generator, groups: int = 1) -> None:
    bound = (6 * groups / sum(weights.shape)) ** 0.5
    weights[:] = generator.uniform(-bound, bound, weights.shape)


@dataclass(frozen=True)
class FrozenHidden(Backprop):
    """Train the output layer alone: the baseline that shows whether a rule learns features at all.

    Hidden layers stay as they were drawn, to the last bit: no momentum and no weight decay moves them.

    Examples
    --------
    >>> from fcfast.rules import FrozenHidden
    >>> FrozenHidden().backward_passes
    'none: the output layer needs none'
    """

    name: ClassVar[str] = "frozen"
    transposes: ClassVar[str] = "none"
    backward_passes: ClassVar[str] = "none: the output layer needs none"

    def matrix_products(self, n_hidden: int) -> int:
        """Forward."""
        return n_hidden

    def kept_activations(self, n_hidden: int) -> int:
        """Values of every layer."""
        return n_hidden

    def teacher(self, network: "FrontNetwork", answers: Array, sample_weight: Weights) -> Teacher:
        """Teach the output layer."""
        return FrozenTeacher(network, answers, sample_weight, whole(network))


@dataclass(frozen=True)
class LocalLoss:
    """Exact gradients of local losses: every block of hidden layers but the last one has an auxiliary head with a loss.

    No error crosses from block to block; the last block's head is the output layer. Heads are trained along and then dropped.

    Parameters
    ----------
    block_size : int
        Hidden layers of a block; >= 1.
    head_layer_sizes : tuple of int
        Hidden layers of the auxiliary heads; none makes them linear.

    Raises
    ------
    ValueError, TypeError
        For sizes that are no integers >= 1.

    Examples
    --------
    >>> from fcfast.rules import LocalLoss
    >>> LocalLoss(block_size=2).block_size
    2
    """

    block_size: int = 1
    head_layer_sizes: tuple[int, ...] = ()

    name: ClassVar[str] = "local-loss"
    stays_in_span: ClassVar[bool] = True
    backward_passes: ClassVar[str] = "one through each block and its head"

    def __post_init__(self) -> None:
        validation.integer(self.block_size, "block_size", 1)
        check_head_layers(self.head_layer_sizes)

    @property
    def transposes(self) -> str:
        """Those of the heads, and those inside blocks of several layers."""
        return "of the heads" if self.block_size == 1 else "of the heads, and inside blocks"

    def matrix_products(self, n_hidden: int) -> int:
        """Forward, weight gradients, and deltas inside blocks."""
        return 2 * n_hidden + sum(last - first for first, last in blocks_of(n_hidden, self.block_size))

    def kept_activations(self, n_hidden: int) -> int:
        """Values and deltas of one block, its inputs, and what passes from its head to its deltas."""
        return 2 * min(self.block_size, n_hidden) + 5

    def start(self, network: "FrontNetwork", seed: int) -> RuleState:
        """Make the heads."""
        state = RuleState(np.random.default_rng(seed))
        state.heads = new_heads(network, self.block_size, self.head_layer_sizes, state.generator)
        return state

    def teacher(self, network: "FrontNetwork", answers: Array, sample_weight: Weights) -> Teacher:
        """Teach block by block."""
        return LocalTeacher(network, answers, sample_weight, blocks_of(len(network.widths) - 1, self.block_size), streams=True)


def check_head_layers(sizes: tuple[int, ...]) -> None:
    """Refuse what is no tuple of widths."""
    if not isinstance(sizes, tuple):
        raise TypeError(f"head_layer_sizes must be a tuple of integers, got {sizes!r}")
    for size in sizes:
        validation.integer(size, "head_layer_sizes", 1)


def new_heads(network: "FrontNetwork", block_size: int, sizes: Sequence[int], generator: np.random.Generator) -> list[Any]:
    """Make a head for every block but the last."""
    blocks = blocks_of(len(network.widths) - 1, block_size)
    return [new_head(network, int(network.widths[last]), sizes, generator) for _, last in blocks[:-1]]


# ----------------------------------------------------------------------------------------------------------------------


class BackwardTeacher(Teacher):
    """A forward and a backward pass; errors go back through given weights, packed as the network's above the front layer."""

    def __init__(self, network: "FrontNetwork", answers: Array, sample_weight: Weights, back: Array) -> None:
        super().__init__(network, answers, sample_weight, whole(network))
        self.back = Dense(back, network.widths, self.activation, self.n_threads)

    def step(self, front: Front, batch: Rows) -> Iterator[Update]:
        A = self.front_values(front, batch)
        flat, values = self.upper.forward(A)
        deltas, blocks = packed(self.upper.widths[1:], len(A), A.dtype)
        self.loss = self.targets.loss(values[-1], batch, blocks[-1])
        D = np.empty_like(A)
        self.back.backward(A, flat, deltas, self.grads[0][len(A.T) :], D)
        self.take_front(front, times_derivative(D, A, self.activation, self.n_threads))
        yield self.update(0, front)


class DirectTeacher(Teacher):
    """Deltas straight from the output's error."""

    def step(self, front: Front, batch: Rows) -> Iterator[Update]:
        A = self.front_values(front, batch)
        flat, values = self.upper.forward(A)
        deltas, blocks = packed(self.upper.widths[1:], len(A), A.dtype)
        self.loss = self.targets.loss(values[-1], batch, blocks[-1])
        feedback = np.split(self.state.feedback, np.cumsum(self.upper.widths[:-1])[:-1], axis=1)
        for into, value, F in zip(blocks[:-1], values[:-1], feedback[1:], strict=True):
            into[:] = times_derivative(multiply(blocks[-1], F), value, self.activation, self.n_threads)
        self.upper.outer_products(A, flat, deltas, self.grads[0][len(A.T) :])
        self.take_front(front, times_derivative(multiply(blocks[-1], feedback[0]), A, self.activation, self.n_threads))
        yield self.update(0, front)


class FrozenTeacher(Teacher):
    """The output layer's gradient."""

    def step(self, front: Front, batch: Rows) -> Iterator[Update]:
        A = self.front_values(front, batch)
        values = [A, *self.upper.forward(A)[1]]
        error = np.empty_like(values[-1])
        self.loss = self.targets.loss(values[-1], batch, error)
        self.fill_output_gradient(values[-2], error)
        yield [self.weights_above[self.n_hidden]], [self.biases[self.n_hidden]]


class LocalTeacher(Teacher):
    """A forward and a backward pass through each block and its head, one block after the other."""

    def step(self, front: Front, batch: Rows) -> Iterator[Update]:
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
