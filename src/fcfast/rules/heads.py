"""Auxiliary heads, which are dense layers from a hidden layer to outputs of its own."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fcfast import validation
from fcfast.activations import ACTIVATIONS
from fcfast.layers.chain import Chain, packed
from fcfast.losses import Targets

if TYPE_CHECKING:
    from fcfast.training.upper import UpperLayers

Array = NDArray[Any]
Rows = NDArray[np.intp]


@dataclass
class Head:
    """An auxiliary head of a hidden layer: packed parameters and their velocity."""

    params: Array
    widths: NDArray[np.intp]
    velocity: Array | None

    def randomise(self, generator: np.random.Generator, activation: int) -> None:
        """Draw new weights, Glorot uniform as in the network, and set biases to 0."""
        chain = self.chain(activation, 1)
        for weights, bias in zip(chain.weights, chain.biases, strict=True):
            bound = ((2 if activation == ACTIVATIONS["logistic"] else 6) / sum(weights.shape)) ** 0.5
            weights[:] = generator.uniform(-bound, bound, weights.shape)
            bias[:] = 0

    def chain(self, activation: int, n_threads: int) -> Chain:
        """Give the layers of the head."""
        return Chain(self.params, self.widths, activation, n_threads)


class HeadPass:
    """A pass through a head, with its values, its loss, and the gradient of the loss with respect to its outputs."""

    def __init__(self, head: Chain, top: Array, targets: Targets, batch: Rows, grad: Array) -> None:
        self.head, self.top, self.grad = head, top, grad
        self.flat, self.values = head.forward(top)
        self.deltas, self.delta_blocks = packed(head.widths[1:], len(top), top.dtype)
        self.loss = targets.mean_loss(self.values[-1], batch, self.delta_blocks[-1])

    @property
    def error(self) -> Array:
        """Gradient of the loss with respect to the outputs (B, c)."""
        return self.delta_blocks[-1]

    def input_gradient(self) -> Array:
        """Fill the head's gradient in a backward pass, and give the gradient with respect to its inputs."""
        below = np.empty_like(self.top)
        self.head.backward(self.top, self.flat, self.deltas, self.grad, below)
        return below

    def fill_gradient(self) -> None:
        """Fill the head's gradient, which needs no transpose if the head is linear."""
        self.head.backward(self.top, self.flat, self.deltas, self.grad)


def new_head(upper: "UpperLayers", n_in: int, hidden: Sequence[int], generator: np.random.Generator) -> Head:
    """Make a head of these hidden layers with the network's number of outputs."""
    widths = np.array([n_in, *hidden, upper.widths[-1]], dtype=np.intp)
    params = np.zeros(int((widths[1:] * (widths[:-1] + 1)).sum()), upper.params.dtype)
    head = Head(params, widths, np.zeros_like(params) if upper.optimizer.has_velocity else None)
    head.randomise(generator, upper.activation)
    return head


def heads_of(
    upper: "UpperLayers", blocks: Sequence[tuple[int, int]], sizes: Sequence[int], generator: np.random.Generator
) -> list[Head]:
    """Make a head for every block but the last, whose head is the output layer."""
    return [new_head(upper, int(upper.widths[last]), sizes, generator) for _, last in blocks[:-1]]


def check_head_layers(sizes: tuple[int, ...]) -> None:
    """Raise an error unless `sizes` is a tuple of widths."""
    if not isinstance(sizes, tuple):
        raise TypeError(f"head_layer_sizes must be a tuple of integers, got {sizes!r}")
    for size in sizes:
        validation.integer(size, "head_layer_sizes", 1)
