"""The computation of a rule's gradients, from a batch's pre-activations of the front layer to the gradients of all layers."""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fcfast import backend
from fcfast.front.base import OpenFront
from fcfast.layers import DenseLayer, Layer
from fcfast.layers.chain import Chain
from fcfast.losses import Targets
from fcfast.rules.base import RuleState
from fcfast.rules.heads import HeadPass

if TYPE_CHECKING:
    from fcfast.training.upper import Group, UpperLayers

Array = NDArray[Any]
Rows = NDArray[np.intp]
Update = list[tuple[Layer, "Group"]]  # layers whose gradients are ready, with their groups of parameters


class GradientRule:
    """Arrays for the gradients of all layers, and the passes that rules have in common.

    Subclasses compute the gradients of a batch in `step`. Hidden layers are counted from 0, which is the front layer.

    Parameters
    ----------
    upper : UpperLayers
        Layers above the front layer, and the biases of the front layer.
    targets : Targets
        Targets of all samples, with the loss.
    state : RuleState
        State of the rule.
    n_threads : int
        Number of threads of the kernels.
    blocks : sequence of (first, last)
        Hidden layers that are trained together; the output layer belongs to the last block.
    streams : bool
        Whether updates come block by block. All blocks then share the memory of one block's gradient, unless the optimiser has
        to see all gradients before it applies the first.
    """

    loss: float

    def __init__(
        self,
        upper: "UpperLayers",
        targets: Targets,
        state: RuleState,
        n_threads: int,
        blocks: Sequence[tuple[int, int]],
        streams: bool = False,
    ) -> None:
        self.upper, self.targets, self.state, self.n_threads = upper, targets, state, n_threads
        self.activation, self.n_hidden, self.blocks = upper.activation, upper.n_hidden, list(blocks)
        self.chain = upper.chain(n_threads)
        self.weights_above: dict[int, DenseLayer] = {}
        self.biases: dict[int, DenseLayer] = {}
        self.grads: list[Array] = []
        self.head_grads: list[Array] = []
        self._make_room(streams and upper.optimizer.max_grad_norm is None)

    def step(self, front: OpenFront, batch: Rows) -> Iterator[Update]:
        """Set `loss`, and give the layers whose gradients are ready, all at once or block by block."""
        raise NotImplementedError

    # ------------------------------------------------------------------------------------------------------------------
    # gradients and what they update

    def _make_room(self, shared: bool) -> None:
        """Make views of each block's parameters, and arrays for their gradients."""
        upper, dtype = self.upper, self.upper.params.dtype
        sizes = [upper.widths[0], *(upper.widths[1:] * (upper.widths[:-1] + 1))]
        ends = np.cumsum(sizes)
        # the output layer belongs to the last block
        ranges = [(first, last + (last == self.n_hidden - 1)) for first, last in self.blocks]
        spans = [(int(ends[first] - sizes[first]), int(ends[last])) for first, last in ranges]
        room = np.empty(max(end - start for start, end in spans) if shared else len(upper.params), dtype)
        for (first, last), (start, end) in zip(ranges, spans, strict=True):
            grad = room[: end - start] if shared else room[start:end]
            self.grads.append(grad)
            for i in range(first, last + 1):
                at, size = int(ends[i] - sizes[i]), int(upper.widths[i])
                n_in = int(upper.widths[i - 1]) if i else 0
                split = at + n_in * size
                if i:
                    memory = upper.memory.of(("weights", i), size, n_in)
                    self.weights_above[i] = self._layer(grad, start, at, split, (size, n_in), memory)
                memory = upper.memory.of_bias(("biases", i), size)
                self.biases[i] = self._layer(grad, start, split, split + size, (size, 1), memory)
        heads = [len(head.params) for head in self.state.heads]
        head_room = np.empty(max(heads, default=0) if shared else sum(heads), dtype)
        starts = [0] * len(heads) if shared else [int(sum(heads[:i])) for i in range(len(heads))]
        self.head_grads = [head_room[start : start + size] for start, size in zip(starts, heads, strict=True)]

    def _layer(
        self, grad: Array, offset: int, start: int, end: int, shape: tuple[int, int], memory: dict[str, Array]
    ) -> DenseLayer:
        upper = self.upper
        velocity = None if upper.velocity is None else upper.velocity[start:end].reshape(shape)
        gradient = grad[start - offset : end - offset].reshape(shape)
        return DenseLayer(upper.params[start:end].reshape(shape), velocity, gradient, memory, self.n_threads)

    def update(self, block: int, front: OpenFront) -> Update:
        """Give the layers of a block and its trained head, whose gradients are ready."""
        first, last = self.blocks[block]
        last += last == self.n_hidden - 1
        weights: Update = [(front.layer, self.upper.group(0))] if first == 0 else []
        for i in range(max(first, 1), last + 1):
            layer = self.weights_above[i]
            if (mask := self.upper.masks[i]) is not None:
                layer.gradient *= mask
            weights.append((layer, self.upper.group(i)))
        biases: Update = [(self.biases[i], self.upper.group(i, of_biases=True)) for i in range(first, last + 1)]
        # a block has one head, but if all hidden layers are one block, each of them has a head
        n_heads = len(self.state.heads)
        for head in range(n_heads) if len(self.blocks) == 1 else range(block, min(block + 1, n_heads)):
            weights += self._head_layers(head, of_biases=False)
            biases += self._head_layers(head, of_biases=True)
        return weights + biases

    def _head_layers(self, index: int, of_biases: bool) -> Update:
        """Give the weights, or the biases, of a head; they have the settings of the output layer."""
        head, memory = self.state.heads[index], self.upper.memory
        ready: Update = []
        start = 0
        for l, (n_in, n_out) in enumerate(pairwise(map(int, head.widths))):
            split, end = start + n_in * n_out, start + (n_in + 1) * n_out
            place, shape = (slice(split, end), (n_out, 1)) if of_biases else (slice(start, split), (n_out, n_in))
            velocity = None if head.velocity is None else head.velocity[place].reshape(shape)
            gradient = self.head_grads[index][place].reshape(shape)
            key = "head", index, l, of_biases
            remembered = memory.of_bias(key, n_out) if of_biases else memory.of(key, n_out, n_in)
            layer = DenseLayer(head.params[place].reshape(shape), velocity, gradient, remembered, self.n_threads)
            ready.append((layer, self.upper.group(self.n_hidden, of_biases)))
            start = end
        return ready

    # ------------------------------------------------------------------------------------------------------------------
    # passes

    def front_values(self, front: OpenFront, batch: Rows) -> Array:
        """Give the activation values of the front layer."""
        S = front.preactivations(batch)
        S += self.upper.front_biases
        S = np.ascontiguousarray(S)
        backend.forward.activate(S, self.activation)
        return S

    def take_front(self, front: OpenFront, D: Array) -> None:
        """Give the deltas of the front layer's pre-activations to the front layer and its bias."""
        self.biases[0].gradient[:, 0] = D.sum(axis=0)
        front.take(D)

    def layers_of(self, block: int) -> Chain:
        """Give the hidden layers of a block above the front layer; a first block of one layer has none."""
        first, last = self.blocks[block]
        return self.chain.part(max(first, 1) - 1, last - 1)

    def layer_grads(self, block: int) -> Array:
        """Give the array for the gradient of `layers_of`."""
        return self.grads[block][int(self.upper.widths[0]) * (self.blocks[block][0] == 0) :]

    def fill_output_gradient(self, top: Array, error: Array) -> None:
        """Fill the gradient of the output layer alone, from the values below it and the outputs' error."""
        output = self.chain.part(self.n_hidden - 1, self.n_hidden - 1)
        output.outer_products(top, top[:0].ravel(), error.ravel(), self.grads[-1][-len(output.params) :])

    def head_pass(self, block: int, top: Array, batch: Rows) -> HeadPass:
        """Pass through the head of a block, which is the output layer for the last block."""
        if block == len(self.blocks) - 1:
            head = self.chain.part(self.n_hidden - 1, self.n_hidden - 1)
            grad = self.grads[block][-len(head.params) :]
        else:
            head = self.state.heads[block].chain(self.activation, self.n_threads)
            grad = self.head_grads[block]
        return HeadPass(head, top, self.targets, batch, grad)
