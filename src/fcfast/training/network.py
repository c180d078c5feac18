"""A network with its first layer in a form, the epochs of its training, and its outputs."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from itertools import pairwise
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fcfast import backend
from fcfast.front.base import FrontForm
from fcfast.losses import Loss, Targets, make_loss
from fcfast.optimizers import Optimizer
from fcfast.optimizers.none import NoOptimizer
from fcfast.rules import Backprop, Rule
from fcfast.sources.running import changed_outputs, changed_units
from fcfast.sources.scale import Scale
from fcfast.threads import blas_threads_for, kernel_threads
from fcfast.training import stepwise
from fcfast.training.compiled import is_compiled
from fcfast.training.kernel import EpochKernel
from fcfast.training.pace import Pace
from fcfast.training.trainable import Checkpoint, Snapshot, copied
from fcfast.training.upper import UpperLayers
from fcfast.validation import all_finite

Array = NDArray[Any]


class FrontNetwork:
    """The front layer in its form, its biases, and the dense layers above it.

    Parameters
    ----------
    front : FrontForm
        Front layer.
    biases : sequence of ndarray
        Biases of every layer, beginning with the front layer.
    weights : sequence of ndarray of shape (n_out, n_in)
        Weights of the layers above the front layer, at least one.
    activation : str
        Activation of the hidden layers.
    loss : str or Loss
        Loss of the outputs.
    window : int
        Number of rows in a window, a multiple of the batch size.
    rule : Rule or None
        Learning rule; None is backpropagation.
    groups : sequence of int or None
        Number of groups of units in each hidden layer, 1 for the front layer. A group is connected only to the same group
        below.
    seed : int
        Seed of the rule's random numbers.
    """

    def __init__(
        self,
        front: FrontForm,
        biases: Sequence[Array],
        weights: Sequence[Array],
        activation: str,
        loss: str | Loss,
        optimizer: Optimizer,
        batch_size: int,
        window: int,
        n_threads: int,
        rule: Rule | None = None,
        groups: Sequence[int] | None = None,
        seed: int = 0,
    ) -> None:
        dtype = front.base.dtype
        self.front, self.activation, self.loss, self.optimizer = front, activation, make_loss(loss), optimizer
        self.batch_size, self.window, self.n_threads = batch_size, window, n_threads
        self.upper = UpperLayers(weights, biases, activation, optimizer, dtype, groups)
        self.rule: Rule = rule or Backprop()
        self.rule_state = self.rule.start(self.upper, seed)
        self._pace = Pace(n_threads)
        self._kernel: EpochKernel | None = None

    @classmethod
    def for_prediction(
        cls,
        front: FrontForm,
        biases: Sequence[Array],
        weights: Sequence[Array],
        activation: str,
        loss: str | Loss,
        n_threads: int,
    ) -> "FrontNetwork":
        """Make a network that is not trained any more: it has no optimiser, batches or windows."""
        return cls(front, biases, weights, activation, loss, NoOptimizer(), 1, 1, n_threads)

    @property
    def widths(self) -> NDArray[np.intp]:
        """Number of units of each layer, beginning with the front layer."""
        return self.upper.widths

    @property
    def params(self) -> Array:
        """Packed parameters, except the front layer's weights."""
        return self.upper.params

    @property
    def weights(self) -> list[Array]:
        """Views of the weights (n_out, n_in) of the layers above the front layer."""
        return self.upper.weights

    @property
    def biases(self) -> list[Array]:
        """Views of the biases of all layers."""
        return self.upper.biases

    def all_biases(self) -> list[Array]:
        """Copy the biases of all layers, for conventional weights of the front layer: what these leave out is added."""
        first, *others = (bias.copy() for bias in self.biases)
        return [first if self.front.offset is None else first + self.front.offset, *others]

    @property
    def groups(self) -> tuple[int, ...]:
        """Number of groups of units in each hidden layer."""
        return self.upper.groups

    @property
    def dtype(self) -> np.dtype[Any]:
        """Dtype of the parameters."""
        return self.params.dtype

    def train_epoch(
        self, rows: NDArray[np.intp], rates: NDArray[np.float64], targets: Array, sample_weight: NDArray[np.float64] | None
    ) -> NDArray[np.float64]:
        """Train on some rows in this order; give the loss of each step, or of fewer steps than `rates` after a divergence."""
        n_steps = -(-len(rows) // self.batch_size)
        if len(rates) != n_steps:
            raise ValueError(f"rates has {len(rates)} value(s), but {len(rows)} rows make {n_steps} step(s)")
        self.front.begin()
        if self.is_compiled:
            losses, done = self._train_compiled(rows[None], rates[None], targets, sample_weight)
            return losses[0, :done]
        return stepwise.train_epoch(self, rows, rates, Targets(self.loss, targets, sample_weight))

    def train_part(
        self, rows: NDArray[np.intp], rates: NDArray[np.float64], targets: Array, sample_weight: NDArray[np.float64] | None
    ) -> NDArray[np.float64]:
        """Do the same as `train_epoch` on some of an epoch's samples; `settle` brings weights up to date after the last."""
        if not (self.is_compiled and self.front.goes_on):
            return self.train_epoch(rows, rates, targets, sample_weight)
        of_rows = Targets(self.loss, targets, sample_weight)
        if self._kernel is None or not self._kernel.continues(self.front, self.batch_size, self.window):
            self._kernel = EpochKernel(self.front, self.upper, of_rows, self.batch_size, self.window, len(rows))
        self._kernel.take_rows(of_rows, len(rows))
        return self.train_epoch(rows, rates, targets, sample_weight)

    def settle(self) -> None:
        """Bring the weights up to date after `train_part`."""
        if self._kernel is not None:
            self._kernel.settle(self.kernel_threads)

    @property
    def is_compiled(self) -> bool:
        """Whether there is a kernel for whole epochs."""
        return self.front.compiled and is_compiled(self.rule, self.optimizer, self.groups, self.loss)

    @property
    def by_blocks(self) -> "FrontNetwork | None":
        """The network itself if it can train several epochs in a call, otherwise None."""
        return self if self.is_compiled else None

    def train_epochs(
        self,
        orders: NDArray[np.intp],
        rates: NDArray[np.float64],
        targets: Array,
        sample_weight: NDArray[np.float64] | None,
    ) -> NDArray[np.float64]:
        """Train on some rows in the order of each epoch; give the loss of each step, or NaN after a divergence."""
        self.front.begin()
        return self._train_compiled(orders, rates, targets, sample_weight)[0]

    def _train_compiled(
        self,
        orders: NDArray[np.intp],
        rates: NDArray[np.float64],
        targets: Array,
        sample_weight: NDArray[np.float64] | None,
    ) -> tuple[NDArray[np.float64], int]:
        """Train by the kernel; give losses, and how many steps were done."""
        kernel = self._kernel_for(Targets(self.loss, targets, sample_weight), orders.shape[1])
        losses = np.empty(rates.shape)
        losses.fill(np.nan)
        epoch = done = 0
        while epoch < len(orders) and done == epoch * rates.shape[1]:
            n_threads, started = min(self._pace.threads(), self.kernel_threads), perf_counter()
            # Another number of threads is tried on one epoch: it may be the slower by far.
            end = epoch + 1 if epoch + 1 == len(orders) or n_threads != self._pace.fastest else len(orders)
            now = slice(epoch, end)
            steps = kernel.epochs(orders[now], rates[now], losses[now], self.upper.memory.n_steps == 0, n_threads)
            self._pace.note(n_threads, perf_counter() - started, steps)
            self.upper.memory.n_steps += steps
            epoch, done = end, done + steps
        return losses, done

    def _kernel_for(self, targets: Targets, n_rows: int) -> EpochKernel:
        """Give the kernel with its arguments, which is reused unless an array was replaced or there are more rows."""
        if self._kernel is None or not self._kernel.serves(self.front, targets, self.batch_size, self.window, n_rows):
            self._kernel = EpochKernel(self.front, self.upper, targets, self.batch_size, self.window, n_rows)
        return self._kernel

    def outputs(self, X: Any) -> Array:
        """Give the outputs (M, c) for new data; with cross-entropy these are the values before the softmax."""
        return self.outputs_from_preactivations(self.front.preactivations(X))

    def watched(self, X: Any, memory_limit: float) -> Callable[[], Array]:
        """Give what gives the outputs (M, c) for the same data under the weights of the moment, whenever it is called.

        Whatever does not depend on the weights is done once, if its result has at most `memory_limit` bytes.
        """
        preactivations = self.front.watched(X, memory_limit)
        return lambda: self.outputs_from_preactivations(preactivations())

    def outputs_from_preactivations(self, S: Array) -> Array:
        """Give the outputs for pre-activations of the front layer without its biases."""
        if len(S) == 1:
            # A lone row is duplicated, so that rounding does not depend on the batch size: alone it would take another routine.
            return self.outputs_from_preactivations(np.repeat(S, 2, axis=0))[:1]
        hidden = np.ascontiguousarray(S + self.upper.front_biases, dtype=self.params.dtype)
        backend.forward.activate(hidden, self.upper.activation)
        _, values = self.upper.chain(self.kernel_threads).forward(hidden)
        return values[-1]

    @property
    def largest_product(self) -> float:
        """Floating-point operations of the largest matrix product of a step."""
        rows = self.window
        if not self.is_compiled:
            rows = self.front.rows_multiplied(self.optimizer, self.batch_size, self.window)
        front = 2.0 * rows * self.front.row_length * self.widths[0]
        return max(front, *(2.0 * self.batch_size * i * o for i, o in pairwise(self.widths.tolist())))

    def blas_threads(self) -> AbstractContextManager[None]:
        """Let BLAS use as many threads as suit its products."""
        return blas_threads_for(self.largest_product)

    @property
    def kernel_threads(self) -> int:
        """Number of threads of a step's kernels."""
        return kernel_threads(self.n_threads, self.largest_product)

    def is_finite(self) -> bool:
        """Whether all parameters are finite numbers."""
        return all_finite(self.front.base, self.params)

    def has_finite_outputs(self) -> bool:
        """Whether the outputs for some of the training rows are finite."""
        with np.errstate(over="ignore", invalid="ignore"):  # the check looks for these
            return all_finite(self.outputs_from_preactivations(self.front.training_preactivations(64)))

    def __getstate__(self) -> dict[str, Any]:
        """Leave scratch arrays, and times by this process's clock, out of copies and pickles."""
        state = self.__dict__ | {"_kernel": None}
        del state["_pace"]
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__ |= state
        self._pace = Pace(self.n_threads)

    @property
    def held(self) -> Snapshot:
        """All parameters, as they are held."""
        return (*self.front.held, self.params, *(head.params for head in self.rule_state.heads))

    def snapshot(self, into: Snapshot | None = None) -> Snapshot:
        """Copy the parameters for `restore`, into an older snapshot if one is given."""
        return copied(self.held, into)

    def restore(self, kept: Snapshot) -> None:
        """Go back to the parameters of a snapshot and reset the optimiser."""
        for array, copy in zip(self.held, kept, strict=True):
            array[:] = copy
        self.forget()

    def forget(self) -> None:
        """Reset the optimiser."""
        self._kernel = None  # it may know of weights that lag behind
        self.front.forget()
        self.upper.memory.forget()
        for velocity in (self.upper.velocity, *self.rule_state.velocities):
            if velocity is not None:
                velocity[:] = 0

    def checkpoint(self, into: Checkpoint | None = None) -> Checkpoint:
        """Copy what the optimiser remembers; into an older checkpoint if one is given."""
        return self.upper.memory.n_steps, copied(self._velocities, None if into is None else into[1])

    def resume(self, checkpoint: Checkpoint) -> None:
        """Let the optimiser go on from a checkpoint."""
        self.upper.memory.n_steps, velocities = checkpoint
        for array, copy in zip(self._velocities, velocities, strict=True):
            array[:] = copy

    @property
    def _velocities(self) -> Snapshot:
        """Arrays of SGD's state; ``scale`` holds the velocity of c."""
        return tuple(array for array in (self.front.velocity, self.upper.velocity, self.front.scale) if array is not None)

    def finish(self) -> None:
        """Note that training has ended, and drop samples that predictions do not need."""
        self._kernel = None
        self.front.finish()

    def change_units(self, inputs: tuple[Scale, Scale] | None, targets: tuple[Scale, Scale] | None) -> None:
        """Change to other scales of the samples and of the targets, each from the first to the second one.

        The network stays the same function of raw data, as far as `changed_units` allows it.
        """
        if inputs is not None:
            self.biases[0] += self.front.change_units(*changed_units(*inputs))
        if targets is not None:
            factor, shift = changed_outputs(*targets)
            self.weights[-1][:] *= factor[:, None]
            self.biases[-1][:] *= factor
            self.biases[-1][:] += shift

    def append(self, X: Any) -> NDArray[np.intp]:
        """Take new samples to train on, and give their row numbers."""
        rows = self.front.append(X)
        self.front.check(len(self.front.source), self.dtype)
        return rows
