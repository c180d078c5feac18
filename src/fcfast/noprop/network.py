"""A network of NoProp blocks: its parameters, its predictions, and an epoch of its training."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import _num_samples

from fcfast.front.base import FrontStack, Preactivations
from fcfast.layers import DenseLayer
from fcfast.noprop import epoch
from fcfast.noprop.blocks import Block, Place, Shape
from fcfast.noprop.labels import LabelSpace
from fcfast.noprop.schedule import embedded
from fcfast.noprop.variants import Inference
from fcfast.optimizers import Optimizer
from fcfast.optimizers.memory import Memory
from fcfast.rules.gradient import Update
from fcfast.threads import blas_threads_for, kernel_threads, one_blas_thread
from fcfast.training.trainable import Snapshot, copied
from fcfast.training.upper import Group, groups_by_layer
from fcfast.validation import all_finite

Array = NDArray[Any]
Groups = Sequence[tuple[Group, Group]]  # of the weights and the biases of each layer

PREDICTED_BYTES = 64 << 20  # size of one layer of all blocks for the samples that are predicted at a time


class Parameters:
    """Packed parameters as an optimiser sees them, with the optimiser's state.

    An optimiser that treats every parameter separately gets all of them as one layer, unless their rates or decays differ.
    Others get each matrix and each vector.

    Parameters
    ----------
    params : ndarray
        Packed parameters.
    matrices, vectors : sequence of Place
        Places of weights and of biases in the packed parameters.
    optimizer : Optimizer
        Optimiser of the parameters.
    groups : sequence of (Group, Group)
        Optimiser and factor of the learning rate, for the weights and for the biases of each layer.
    """

    def __init__(
        self, params: Array, matrices: Sequence[Place], vectors: Sequence[Place], optimizer: Optimizer, groups: Groups
    ) -> None:
        self.optimizer, self.groups, self.memory = optimizer, groups, Memory(optimizer, params.dtype)
        places = *matrices, *vectors
        n_trained = sum(place.stop - place.start for _, place, _ in places)
        are_alike = len({group for pair in groups for group in pair}) <= 1
        if optimizer.elementwise and are_alike and 0 < n_trained == len(params):
            matrices, vectors = [Place(0, slice(0, len(params)), (1, len(params)))], []
        self.velocity = np.zeros_like(params) if optimizer.has_velocity else None
        self.matrices, self.vectors = list(matrices), list(vectors)

    def update(self, params: Array, grad: Array) -> Update:
        """Give matrices and vectors as layers together with their groups."""
        ready: Update = []
        for places, are_biases in ((self.matrices, False), (self.vectors, True)):
            for layer_index, place, shape in places:
                key = place.start, place.stop
                memory = self.memory.of_bias(key, shape[0]) if are_biases else self.memory.of(key, *shape)
                velocity = None if self.velocity is None else self.velocity[place].reshape(shape)
                layer = DenseLayer(params[place].reshape(shape), velocity, grad[place].reshape(shape), memory, 1)
                ready.append((layer, self.groups[layer_index][are_biases]))
        return ready

    @property
    def remembered(self) -> list[Array]:
        """Arrays of the optimiser's state."""
        return [*([] if self.velocity is None else [self.velocity]), *self.memory]

    def forget(self) -> None:
        """Reset the optimiser's state."""
        self.memory.forget()
        if self.velocity is not None:
            self.velocity[:] = 0


class NoPropNetwork:
    """Blocks with front layers in one form, and the space of labels between the blocks.

    Parameters
    ----------
    variant : Variant
        Variant of NoProp.
    shape : Shape
        Sizes that all blocks have in common.
    fronts : FrontStack
        Front layers, one for each block.
    blocks : list of Block
        Blocks, one for each front layer.
    labels : LabelSpace
        Embeddings of the labels, and the classifier if there is one.
    optimizer : Optimizer
        Optimiser, which keeps a separate state for each block.
    batch_size, window : int
        Numbers of samples in a batch and in a window.
    n_threads : int
        Number of threads.
    order : {"sequential", "random"}
        Order of the blocks in an epoch.
    seed : int
        Seed of noise and times.
    rate_factors, weight_decay : ndarray of shape (n_layers, 2), or None
        Factors of the learning rate, and weight decay, of the weights and the biases of each layer of a block, and after them
        of the labels' parameters and the variant's own, if these are trained; None is 1, and the optimiser's decay.
    """

    def __init__(
        self,
        variant: Any,
        shape: Shape,
        fronts: FrontStack,
        blocks: list[Block],
        labels: LabelSpace,
        optimizer: Optimizer,
        batch_size: int,
        window: int,
        n_threads: int,
        order: str,
        seed: int,
        rate_factors: Array | None = None,
        weight_decay: Array | None = None,
    ) -> None:
        self.variant, self.shape, self.fronts, self.blocks, self.labels = variant, shape, fronts, blocks, labels
        self.optimizer, self.batch_size, self.window, self.order = optimizer, batch_size, window, order
        self.n_threads, self.seed = n_threads, seed
        self.inference = Inference()
        seeds = np.random.SeedSequence(seed).spawn(len(blocks) + 1)
        self.generators = [np.random.default_rng(one) for one in seeds]  # one for each block, the last for the blocks' order
        n_layers = len(shape.layers) + 1
        by_layer = n_layers + labels.has_head, 2
        own_decay = optimizer.weight_decay, optimizer.for_biases.weight_decay
        groups = groups_by_layer(
            optimizer,
            np.broadcast_to(1.0 if rate_factors is None else rate_factors, by_layer),
            np.broadcast_to(own_decay if weight_decay is None else weight_decay, by_layer),
        )
        of_block, of_labels = groups[:n_layers], groups[n_layers:]  # the second is empty if labels are not trained
        self.block_parameters = [
            Parameters(block.params, block.layers.matrices, block.layers.vectors, optimizer, of_block) for block in blocks
        ]
        self.label_parameters = Parameters(labels.params, *labels.trained, optimizer, of_labels)
        # parameters of the variant: gates of the blocks, or the ends of a schedule
        self.own = epoch.own_parameters(variant)
        self.own_grad = np.zeros_like(self.own)
        places = [Place(0, slice(0, len(self.own)), (len(self.own), 1))] if len(self.own) else []
        self.own_parameters = Parameters(self.own, [], places, optimizer, of_labels)

    # ------------------------------------------------------------------------------------------------------------------
    # training

    def front_memory(self, t: int) -> dict[str, Array]:
        """Give the optimiser's state for a block's front layer."""
        return self.block_parameters[t].memory.of("front", self.shape.n_hidden, self.fronts.forms[t].n_features)

    @property
    def is_parallel(self) -> bool:
        """Whether blocks share no trained parameters, so that each can be trained separately."""
        return self.variant.name == "dt" and not self.labels.has_head

    @property
    def per_window(self) -> int:
        """Number of batches in a window of the front layers; in a block drawn at random, the first batch may be short."""
        return self.window // self.batch_size

    @property
    def dtype(self) -> np.dtype[Any]:
        """Dtype of the parameters."""
        return self.labels.params.dtype

    @property
    def by_blocks(self) -> None:
        """None, because the blocks are driven from Python."""

    def train_epoch(
        self, rows: NDArray[np.intp], rates: NDArray[np.float64], targets: Array, sample_weight: NDArray[np.float64] | None
    ) -> NDArray[np.float64]:
        """Train on some rows; give the mean loss over the blocks for each batch of a pass, or for fewer after a divergence."""
        self.fronts.begin()
        return epoch.train_epoch(self, rows, rates, targets, sample_weight)

    @property
    def largest_product(self) -> float:
        """Floating-point operations of the largest matrix product of a step."""
        form = self.fronts.forms[0]
        rows = form.rows_multiplied(self.optimizer, self.batch_size, self.window)
        front = 2.0 * rows * form.row_length * self.shape.n_hidden
        return max(front, *(2.0 * self.batch_size * n_out * n_in for n_out, n_in in self.shape.layers.values()))

    def blas_threads(self) -> AbstractContextManager[Any]:
        """Let BLAS use one thread if each thread trains a block, and otherwise as many as suit its products."""
        if self.is_parallel:
            return one_blas_thread()
        return blas_threads_for(self.largest_product)

    @property
    def kernel_threads(self) -> int:
        """Number of threads of a step's kernels."""
        return 1 if self.is_parallel else kernel_threads(self.n_threads, self.largest_product)

    # ------------------------------------------------------------------------------------------------------------------
    # snapshots

    @property
    def held(self) -> list[Array]:
        """Arrays that training changes, except the state of optimisers."""
        of_blocks = [array for block in self.blocks for array in (block.params, *block.running.values())]
        return [*self.fronts.held, *of_blocks, self.labels.params, self.own]

    def snapshot(self, into: Snapshot | None = None) -> Snapshot:
        """Copy the trained arrays for `restore`, into an older snapshot if one is given."""
        return copied(self.held, into)

    def restore(self, kept: Snapshot) -> None:
        """Go back to a snapshot and reset the optimisers."""
        for array, copy in zip(self.held, kept, strict=True):
            array[:] = copy
        self.fronts.forget()
        for parameters in (*self.block_parameters, self.label_parameters, self.own_parameters):
            parameters.forget()

    def is_finite(self) -> bool:
        """Whether all parameters are finite numbers."""
        return all_finite(*self.held)

    def has_finite_outputs(self) -> bool:
        """Whether the outputs for some of the training rows are finite."""
        n = min(64, len(self.fronts.forms[0].source))
        with np.errstate(over="ignore", invalid="ignore"):  # these are checked here
            how = replace(self.inference, noise=False, n_runs=1)
            return all(all_finite(p) for p in self._stages(self.fronts.training_preactivations(n), n, 0, how))

    def finish(self) -> None:
        """Note that training has ended, and drop samples that predictions do not need."""
        self.fronts.finish()

    # ------------------------------------------------------------------------------------------------------------------
    # predictions

    def outputs(self, X: Any) -> Array:
        """Give the probabilities (M, m) of the classes for new data, averaged over the runs."""
        return np.concatenate([self._last(_num_samples(part), self.fronts.preactivations(part)) for part in self._parts(X)])

    def watched(self, X: Any, memory_limit: float) -> Callable[[], Array]:
        """Give what gives the probabilities for the same data under the weights of the moment, whenever it is called.

        Whatever does not depend on the weights is done once, if its result has at most `memory_limit` bytes.
        """
        n_samples, parts = _num_samples(X), list(self._parts(X))
        sizes = [_num_samples(part) for part in parts]
        given = [self.fronts.watched(part, memory_limit * n / n_samples) for part, n in zip(parts, sizes, strict=True)]
        return lambda: np.concatenate([self._last(n, preactivations()) for n, preactivations in zip(sizes, given, strict=True)])

    def stages(self, X: Any) -> Iterator[Array]:
        """Give the probabilities after each block, or step, averaged over the runs."""
        by_part = [  # one part after the other
            list(self._averaged(_num_samples(part), self.fronts.preactivations(part))) for part in self._parts(X)
        ]
        for stage in zip(*by_part, strict=True):
            yield np.concatenate(stage)

    def _parts(self, X: Any) -> Iterator[Any]:
        """Split new data so that the pre-activations of all blocks and the products with training samples stay small."""
        per_row = (len(self.blocks) * self.shape.n_hidden + self.fronts.n_products) * self.dtype.itemsize
        size = max(2, PREDICTED_BYTES // per_row)
        for start in range(0, _num_samples(X), size):
            yield X[start : start + size]

    def _last(self, n: int, preactivations: Preactivations) -> Array:
        """Give the probabilities of n samples after the last block, or step."""
        return deque(self._averaged(n, preactivations), maxlen=1).pop()

    def _averaged(self, n: int, preactivations: Preactivations) -> Iterator[Array]:
        how = self.inference
        runs = [self._stages(preactivations, n, run, how) for run in range(how.n_runs)]
        for stage in zip(*runs, strict=True):
            yield np.mean(stage, axis=0, dtype=self.dtype)

    def _stages(self, preactivations: Any, n: int, run: int, how: Inference) -> Iterator[Array]:
        for _, probabilities in self.trajectory(preactivations, n, run, how):
            yield probabilities

    def noise(self, run: int) -> Callable[[], Array]:
        """Give what draws the noise (d,) of a run, first that of z_0 and then that of each step."""
        # this stream differs from the streams of the blocks (`spawn`) and of the initial weights (the seed alone)
        generator = np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=(len(self.generators), run)))
        return lambda: generator.normal(size=self.shape.n_embedding).astype(self.dtype)

    def trajectory(self, preactivations: Any, n: int, run: int, how: Inference) -> Iterator[tuple[Array, Array]]:
        """Give z_t (n, d) and probabilities (n, m) after each block, or step. Without noise z_0 is its mean, 0.

        All samples share the noise of a run, so that the other samples of a prediction change at most the rounding.
        """
        noise = self.noise(run)
        # a lone sample is duplicated, so that rounding does not depend on the number
        z = np.zeros((max(n, 2), self.shape.n_embedding), self.dtype)
        if how.noise:
            z += noise()
        seen: dict[int, Array] = {}  # inputs of a block that is used again

        def scores(t: int, z: Array, time: float | None) -> Array:
            if t not in seen:
                S = preactivations(t)
                if not self.shape.has_time:
                    seen.clear()
                seen[t] = self.blocks[t].inputs(np.repeat(S, 2, axis=0) if n == 1 else S)
            return self.blocks[t].scores(seen[t], z, None if time is None else embedded(np.full(len(z), time), self.dtype))

        for state, probabilities in self.variant.path(z, scores, self.labels, how, noise):
            yield state[:n], probabilities[:n]
