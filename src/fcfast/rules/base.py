"""What a learning rule is: it makes gradients, or stand-ins for them, from a batch's pre-activations of the front layer.

A rule never knows how the front layer is held, nor which optimiser applies what it makes.
"""

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from fcfast import backend
from fcfast.activations import ACTIVATIONS
from fcfast.layers import DenseLayer, Layer
from fcfast.rules.dense import Dense, packed

if TYPE_CHECKING:
    from fcfast.training.network import FrontNetwork

Array = NDArray[Any]
Rows = NDArray[np.intp]


class Rule(Protocol):
    """A learning rule's settings, and what it needs and costs.

    Attributes
    ----------
    stays_in_span : bool
        Whether updates of the front layer are combinations of the inputs, so that it can be held in any form.
    transposes : str
        Which layers' transposed weights carry errors backwards.
    backward_passes : str
        What gets an exact gradient by a backward pass.
    """

    name: ClassVar[str]

    @property
    def stays_in_span(self) -> bool:
        """Whether updates of the front layer stay in the span of the inputs."""

    @property
    def transposes(self) -> str:
        """Which layers' transposed weights carry errors backwards."""

    @property
    def backward_passes(self) -> str:
        """What gets an exact gradient by a backward pass."""

    def matrix_products(self, n_hidden: int) -> int:
        """Products of a batch with a square layer that a step takes, for so many hidden layers; heads are not counted."""

    def kept_activations(self, n_hidden: int) -> int:
        """How many layers' arrays (batch x width) a step holds at once, for so many hidden layers."""

    def start(self, network: "FrontNetwork", seed: int) -> "RuleState":
        """Make what the rule keeps from step to step."""

    def teacher(self, network: "FrontNetwork", answers: Array, sample_weight: NDArray[np.float64] | None) -> "Teacher":
        """Make what teaches a network for an epoch; the network holds the rule's state."""


@dataclass
class Head:
    """An auxiliary head of a hidden layer: dense layers of its own, with what an optimiser keeps of them."""

    params: Array
    widths: NDArray[np.intp]
    velocity: Array | None
    moments: list[Array]

    def randomise(self, generator: np.random.Generator, activation: str) -> None:
        """Draw the weights anew, Glorot uniform as the network's; biases are 0."""
        dense = self.dense(activation, 1)
        for weights, bias in zip(dense.weights, dense.biases, strict=True):
            bound = ((2 if activation == "logistic" else 6) / sum(weights.shape)) ** 0.5
            weights[:] = generator.uniform(-bound, bound, weights.shape)
            bias[:] = 0

    def dense(self, activation: str, n_threads: int) -> Dense:
        """Give its layers."""
        return Dense(self.params, self.widths, ACTIVATIONS[activation], n_threads)


def new_head(network: "FrontNetwork", n_in: int, hidden: Sequence[int], generator: np.random.Generator) -> Head:
    """Make a head of these hidden layers with the network's number of outputs."""
    widths = np.array([n_in, *hidden, network.widths[-1]], dtype=np.intp)
    shapes = list(zip(widths[1:], widths[:-1], strict=True))
    params = np.zeros(sum(o * (i + 1) for o, i in shapes), network.params.dtype)
    optimizer = network.optimizer
    wanted = [optimizer.moment_shape(o, i) for o, i in shapes]
    wanted += [optimizer.for_biases.moment_shape(o, 1) for o, _ in shapes]
    head = Head(
        params, widths, np.zeros_like(params) if optimizer.has_velocity else None,
        [np.zeros(shape, params.dtype) for shape in wanted],
    )  # fmt: skip
    head.randomise(generator, network.activation)
    return head


@dataclass
class RuleState:
    """What a rule keeps from step to step beside the network.

    Attributes
    ----------
    generator : numpy.random.Generator
        Of its noise.
    heads : list of Head
        Trained.
    guides : list of Head
        Random heads, never trained.
    feedback : ndarray
        Random weights that errors go back through, packed.
    """

    generator: np.random.Generator
    heads: list[Head] = field(default_factory=list)
    guides: list[Head] = field(default_factory=list)
    feedback: Array = field(default_factory=lambda: np.empty(0))

    def go_on_from(self, earlier: "RuleState") -> None:
        """Take over what an earlier training with this rule had, but for what the optimiser remembered."""
        self.generator = copy.deepcopy(earlier.generator)
        self.feedback[:] = earlier.feedback
        for ours, theirs in zip((*self.heads, *self.guides), (*earlier.heads, *earlier.guides), strict=True):
            ours.params[:] = theirs.params

    @property
    def remembered(self) -> list[Array]:
        """What an optimiser remembers of the heads."""
        velocities = [head.velocity for head in self.heads if head.velocity is not None]
        return [*velocities, *(moment for head in self.heads for moment in head.moments)]


class Front(Protocol):
    """The front layer in the middle of an epoch, in any form."""

    layer: Any

    def states(self, batch: Rows) -> Array:
        """Pre-activations of some rows, without biases."""

    def take(self, D: Array) -> None:
        """Take the gradient with respect to those pre-activations."""

    def batch_gram(self) -> Array:
        """Inner products of those rows (B, B)."""


class Targets:
    """What the outputs of a batch are compared with."""

    def __init__(self, network: "FrontNetwork", answers: Array, sample_weight: NDArray[np.float64] | None) -> None:
        classes = network.loss == "cross_entropy"
        self.targets, self.labels = None if classes else answers, answers if classes else None
        self.sample_weight = sample_weight

    def loss(self, outputs: Array, rows: Rows, delta: Array) -> float:
        """Mean loss of the rows; fill its gradient with respect to the outputs."""
        loss = backend.forward.loss_of_rows(outputs, rows, self.targets, self.labels, self.sample_weight, delta)
        return float(loss)


Update = tuple[list[Layer], list[Layer]]  # weights and biases whose gradients are ready


class Teacher:
    """A network while it is taught: all layers above the front layer, all biases, the heads, and where gradients go.

    Subclasses say in `step` what a batch's gradients are. Hidden layers are counted from 0, the front layer.

    Parameters
    ----------
    network : FrontNetwork
    answers, sample_weight
        Of all samples.
    streams : bool
        Whether updates come block by block: then one block's gradient is all the room there is, unless the optimiser has to see
        all gradients before it applies one.
    blocks : sequence of (first, last)
        Hidden layers that are taught together; the last one takes the output layer along.
    """

    loss: float

    def __init__(
        self,
        network: "FrontNetwork",
        answers: Array,
        sample_weight: NDArray[np.float64] | None,
        blocks: Sequence[tuple[int, int]],
        streams: bool = False,
    ) -> None:
        self.network, self.state = network, network.rule_state
        self.targets = Targets(network, answers, sample_weight)
        self.activation, self.n_threads = ACTIVATIONS[network.activation], network.kernel_threads
        h = int(network.widths[0])
        self.upper = Dense(network.params[h:], network.widths, self.activation, self.n_threads)
        self.n_hidden = len(network.widths) - 1
        self.blocks = list(blocks)
        self.weights_above: dict[int, DenseLayer] = {}
        self.biases: dict[int, DenseLayer] = {}
        self.grads: list[Array] = []
        self.head_grads: list[Array] = []
        self._make_room(streams and network.optimizer.max_grad_norm is None)

    # ------------------------------------------------------------------------------------------------------------------
    # gradients and what they update

    def _make_room(self, shared: bool) -> None:
        """Make views of each block's parameters, and room for their gradients."""
        network, dtype = self.network, self.network.params.dtype
        n_hidden = network.widths[0]
        sizes = [n_hidden, *(network.widths[1:] * (network.widths[:-1] + 1))]
        ends = np.cumsum(sizes)
        # the last block takes the output layer along
        ranges = [(first, last + (last == self.n_hidden - 1)) for first, last in self.blocks]
        spans = [(int(ends[first] - sizes[first]), int(ends[last])) for first, last in ranges]
        room = np.empty(max(end - start for start, end in spans) if shared else len(network.params), dtype)
        moments = network.moments[1:]
        for (first, last), (start, end) in zip(ranges, spans, strict=True):
            grad = room[: end - start] if shared else room[start:end]
            self.grads.append(grad)
            for i in range(first, last + 1):
                at, size = int(ends[i] - sizes[i]), int(network.widths[i])
                n_in = int(network.widths[i - 1]) if i else 0
                split = at + n_in * size
                if i:
                    self.weights_above[i] = self._layer(grad, start, at, split, (size, n_in), moments[i - 1])
                self.biases[i] = self._layer(grad, start, split, split + size, (size, 1), moments[self.n_hidden + i])
        heads = self.state.heads
        head_room = np.empty(
            max((len(head.params) for head in heads), default=0) if shared else sum(len(head.params) for head in heads), dtype
        )
        start = 0
        for head in heads:
            self.head_grads.append(head_room[start : start + len(head.params)])
            start += 0 if shared else len(head.params)

    def _layer(self, grad: Array, offset: int, start: int, end: int, shape: tuple[int, int], moment: Array) -> DenseLayer:
        network = self.network
        velocity = None if network.velocity is None else network.velocity[start:end].reshape(shape)
        return DenseLayer(
            network.params[start:end].reshape(shape), velocity, grad[start - offset : end - offset].reshape(shape), moment,
            self.n_threads,
        )  # fmt: skip

    def update(self, block: int, front: Front) -> Update:
        """Give the layers of a block and its trained head, whose gradients are ready."""
        first, last = self.blocks[block]
        last += last == self.n_hidden - 1
        weights: list[Layer] = [front.layer] if first == 0 else []
        for i in range(max(first, 1), last + 1):
            layer = self.weights_above[i]
            if (mask := self.network.masks[i]) is not None:
                layer.gradient *= mask
            weights.append(layer)
        biases: list[Layer] = [self.biases[i] for i in range(first, last + 1)]
        # a block has one head, but all hidden layers taught together have a head each
        n_heads = len(self.state.heads)
        for head in range(n_heads) if len(self.blocks) == 1 else range(block, min(block + 1, n_heads)):
            head_weights, head_biases = self._head_layers(head)
            weights, biases = weights + head_weights, biases + head_biases
        return weights, biases

    def _head_layers(self, index: int) -> Update:
        head = self.state.heads[index]
        dense = head.dense(self.network.activation, self.n_threads)
        n = len(dense.weights)
        weights: list[Layer] = []
        biases: list[Layer] = []
        start = 0
        for l, W in enumerate(dense.weights):
            for into, shape, moment in ((weights, W.shape, head.moments[l]), (biases, (len(W), 1), head.moments[n + l])):
                end = start + shape[0] * shape[1]
                velocity = None if head.velocity is None else head.velocity[start:end].reshape(shape)
                gradient = self.head_grads[index][start:end].reshape(shape)
                into.append(DenseLayer(head.params[start:end].reshape(shape), velocity, gradient, moment, self.n_threads))
                start = end
        return weights, biases

    # ------------------------------------------------------------------------------------------------------------------
    # passes

    def front_values(self, front: Front, batch: Rows) -> Array:
        """Activation values of the front layer."""
        S = front.states(batch)
        S += self.network.biases[0]
        S = np.ascontiguousarray(S)
        backend.forward.activate(S, self.activation)
        return S

    def take_front(self, front: Front, D: Array) -> None:
        """Hand the deltas of the front layer's pre-activations to it and its bias."""
        self.biases[0].gradient[:, 0] = D.sum(axis=0)
        front.take(D)

    def layers_of(self, block: int) -> Dense:
        """Hidden layers of a block above the front layer: none of a first block of one layer."""
        first, last = self.blocks[block]
        return self.upper.part(max(first, 1) - 1, last - 1)

    def layer_grads(self, block: int) -> Array:
        """Where the gradient of `layers_of` goes."""
        return self.grads[block][int(self.network.widths[0]) * (self.blocks[block][0] == 0) :]

    def fill_output_gradient(self, top: Array, error: Array) -> None:
        """Fill the gradient of the output layer alone, from the values below it and the outputs' error."""
        output = self.upper.part(self.n_hidden - 1, self.n_hidden - 1)
        output.outer_products(top, top[:0].ravel(), error.ravel(), self.grads[-1][-len(output.params) :])

    def head_pass(self, block: int, top: Array, batch: Rows) -> "HeadPass":
        """Go through the head of a block: of the last one, the output layer."""
        if block == len(self.blocks) - 1:
            head = self.upper.part(self.n_hidden - 1, self.n_hidden - 1)
            grad = self.grads[block][-len(head.params) :]
        else:
            head = self.state.heads[block].dense(self.network.activation, self.n_threads)
            grad = self.head_grads[block]
        return HeadPass(head, top, self.targets, batch, grad)

    def step(self, front: Front, batch: Rows) -> Iterator[Update]:
        """Set `loss`, and give the layers whose gradients are ready, all or block by block."""
        raise NotImplementedError


class HeadPass:
    """A pass through a head: its values, its loss, and the gradient of that with respect to its outputs."""

    def __init__(self, head: Dense, top: Array, targets: Targets, batch: Rows, grad: Array) -> None:
        self.head, self.top, self.grad = head, top, grad
        self.flat, self.values = head.forward(top)
        self.deltas, self.delta_blocks = packed(head.widths[1:], len(top), top.dtype)
        self.loss = targets.loss(self.values[-1], batch, self.delta_blocks[-1])

    @property
    def error(self) -> Array:
        """Gradient of the loss with respect to the outputs (B, c)."""
        return self.delta_blocks[-1]

    def input_gradient(self) -> Array:
        """Fill the head's gradient by a backward pass; give the gradient with respect to its inputs."""
        below = np.empty_like(self.top)
        self.head.backward(self.top, self.flat, self.deltas, self.grad, below)
        return below

    def fill_gradient(self) -> None:
        """Fill the head's gradient; that of a linear head needs no transpose."""
        self.head.backward(self.top, self.flat, self.deltas, self.grad)


def whole(network: "FrontNetwork") -> list[tuple[int, int]]:
    """Give all hidden layers as one block."""
    return [(0, len(network.widths) - 2)]


def blocks_of(n_hidden: int, size: int) -> list[tuple[int, int]]:
    """Split hidden layers into blocks of so many; the last one may be smaller."""
    return [(first, min(first + size, n_hidden) - 1) for first in range(0, n_hidden, size)]
