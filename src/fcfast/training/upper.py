"""The layers above the front layer, with the front layer's biases."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fcfast.activations import ACTIVATIONS
from fcfast.layers.chain import Chain
from fcfast.layers.views import layer_views
from fcfast.optimizers import Optimizer
from fcfast.optimizers.memory import Memory

Array = NDArray[Any]


class Group(NamedTuple):
    """The optimiser of a group of parameters, and the factor of their learning rate."""

    optimizer: Optimizer
    rate: float


def decaying(optimizer: Optimizer, weight_decay: float) -> Optimizer:
    """Give an optimiser with this weight decay; an optimiser that already has it is returned as it is."""
    if optimizer.weight_decay == weight_decay:
        return optimizer
    changed: Optimizer = replace(optimizer, weight_decay=weight_decay)  # type: ignore[type-var]  # they are dataclasses
    return changed


def groups_by_layer(optimizer: Optimizer, rate_factors: Array, weight_decay: Array) -> list[tuple[Group, Group]]:
    """Give the groups of the weights and of the biases of each layer, from numbers (n_layers, 2)."""
    return [
        (Group(decaying(optimizer, decay), rate), Group(decaying(optimizer.for_biases, bias_decay), bias_rate))
        for (decay, bias_decay), (rate, bias_rate) in zip(weight_decay.tolist(), rate_factors.tolist(), strict=True)
    ]


class UpperLayers:
    """Weights and biases above the front layer, and the optimiser's state for them.

    Layers are counted from 0, which is the front layer. Only the biases of the front layer are here.

    Parameters
    ----------
    weights : sequence of ndarray of shape (n_out, n_in)
        Weights of the layers above the front layer, at least one.
    biases : sequence of ndarray
        Biases of every layer, beginning with the front layer.
    activation : str
        Activation of the hidden layers.
    optimizer : Optimizer
        Optimiser of all layers.
    dtype : dtype
        Precision of the parameters.
    groups : sequence of int or None
        Number of groups of units in each hidden layer, 1 for the front layer. A group is connected only to the same group
        below.

    Attributes
    ----------
    params, velocity : ndarray
        Packed arrays: the front layer's biases, then weights and biases of each layer. The velocity is None for an optimiser
        without one.
    widths : ndarray of int
        Numbers of units from the front layer to the output.
    masks : list of ndarray or None
        Mask (n_out, n_in) of the weights that exist in each layer; None if all exist.
    memory : Memory
        State of the optimiser, including that for the front layer.
    rate_factors, weight_decay : ndarray of shape (n_layers, 2)
        Factors of the learning rate, and weight decay, of each layer's weights and biases; `set_groups` changes them.
    """

    def __init__(
        self,
        weights: Sequence[Array],
        biases: Sequence[Array],
        activation: str,
        optimizer: Optimizer,
        dtype: np.dtype[Any],
        groups: Sequence[int] | None = None,
    ) -> None:
        self.activation, self.optimizer, self.memory = ACTIVATIONS[activation], optimizer, Memory(optimizer, dtype)
        self.widths = np.array([len(bias) for bias in biases], dtype=np.intp)
        parts = [biases[0], *(part for pair in zip(weights, biases[1:], strict=True) for part in pair)]
        self.params: Array = np.concatenate([np.ravel(part) for part in parts]).astype(dtype)
        self.velocity = np.zeros_like(self.params) if optimizer.has_velocity else None
        self.groups = tuple(groups or [1] * (len(self.widths) - 1))
        shapes = zip(self.widths, self.widths[1:-1], self.groups[1:], strict=False)
        hidden = [None if count == 1 else block_diagonal(n_in, n_out, count) for n_in, n_out, count in shapes]
        self.masks: list[NDArray[np.bool_] | None] = [None, *hidden, None]
        by_layer = len(self.widths), 2
        self.rate_factors, self.weight_decay = np.empty(by_layer), np.empty(by_layer)
        self.set_groups()

    def set_groups(self, rate_factors: Any = 1.0, weight_decay: Any = None) -> None:
        """Set the parameter groups, which are the weights and the biases of each layer.

        Parameters
        ----------
        rate_factors : array-like of shape (n_layers, 2), or float
            Factors of the learning rate.
        weight_decay : array-like of shape (n_layers, 2), float, or None
            Weight decay; None takes the optimiser's, and that of its `for_biases`.
        """
        optimizer = self.optimizer
        self.rate_factors[:] = rate_factors
        # Biases may have an optimiser with a weight decay of its own.
        own = optimizer.weight_decay, optimizer.for_biases.weight_decay
        self.weight_decay[:] = own if weight_decay is None else weight_decay
        self._groups = groups_by_layer(optimizer, self.rate_factors, self.weight_decay)

    @property
    def n_hidden(self) -> int:
        """Number of hidden layers, including the front layer."""
        return len(self.widths) - 1

    @property
    def front_biases(self) -> Array:
        """The biases of the front layer."""
        return self.params[: self.widths[0]]

    @property
    def above(self) -> Array:
        """The parameters without the front layer's biases."""
        return self.params[self.widths[0] :]

    @property
    def weights(self) -> list[Array]:
        """Views of the weights (n_out, n_in) of the layers above the front layer."""
        return layer_views(self.above, self.widths, bias=True)[0]

    @property
    def biases(self) -> list[Array]:
        """Views of the biases of all layers."""
        return [self.front_biases, *layer_views(self.above, self.widths, bias=True)[1]]

    def chain(self, n_threads: int) -> Chain:
        """Give the layers as a chain."""
        return Chain(self.above, self.widths, self.activation, n_threads)

    def group(self, layer: int, of_biases: bool = False) -> Group:
        """Give the group of the weights, or of the biases, of a layer."""
        return self._groups[layer][of_biases]


def block_diagonal(n_in: int, n_out: int, groups: int) -> NDArray[np.bool_]:
    """Give the mask (n_out, n_in) of a layer that connects each group of units only to the same group below."""
    blocks = np.eye(groups, dtype=bool)
    return np.repeat(np.repeat(blocks, n_out // groups, axis=0), n_in // groups, axis=1)
