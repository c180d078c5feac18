"""The front layer as contributions of the training samples."""

import math
from collections.abc import Generator, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fcfast.front.base import FrontForm, FrontStack, Memory, OpenFront, Preactivations, Rows, converted_once, register
from fcfast.front.costs import blas_threads, driven_step, mixing
from fcfast.gram import budget
from fcfast.gram.occurring import FEWER
from fcfast.gram.products import (
    cross_gram,
    cross_gram_and_preactivations,
    expand,
    gram_and_preactivations,
    preactivations_by_weights,
    preactivations_of,
    stacked,
)
from fcfast.gram.start import InitialWeights
from fcfast.layers import SpanLayer
from fcfast.sources.inputs import TrainingInputs
from fcfast.units import bytes_text
from fcfast.validation import all_finite

if TYPE_CHECKING:
    from fcfast.optimizers import Optimizer
    from fcfast.planning.figures import Machine
    from fcfast.planning.problem import Problem

Array = NDArray[Any]

KEPT_BYTES = 128 << 20  # largest size of expanded weights that are kept for predictions
WINDOW_ROWS = 4  # rows of a window relative to the root of the number of samples (measured)
LARGE_BATCH = 32  # smallest batch that is a window of its own if larger windows would also have to multiply velocities
SPARSE_ENTRY = 30  # multiplications that take as long as finding the row that a sparse entry is multiplied by
SPARSE_TRIANGLE = 0.6  # share of a sparse Gram matrix that is computed; the rest is its mirror image


@register
class ContributionsForm(FrontForm):
    """The form that holds contributions A of the training samples, W1 = c W1(0) + A' X, and their Gram matrix.

    Training never stores W1. After training, new data are multiplied by W1 if it has at most `KEPT_BYTES`. It is made at the
    first prediction and kept, so that later predictions cost no more than in an ordinary network. A larger W1 is never held for
    a prediction.
    """

    name: ClassVar[str] = "contributions"
    is_automatic: ClassVar[bool] = True
    compiled: ClassVar[bool] = True
    takes_sparse: ClassVar[bool] = True
    keeps_inputs: ClassVar[bool] = True
    holds_gram: ClassVar[bool] = True
    saving: ClassVar[str] = "use fewer samples"

    def __init__(
        self, X: Any, initial: InitialWeights, dtype: np.dtype[Any], with_velocity: bool, n_jobs: int | None = None
    ) -> None:
        self.inputs, self.initial, self.dtype, self.n_jobs = TrainingInputs(X), initial, dtype, n_jobs
        self._is_finished = False
        self._weights: Array | None = None
        gram, S0 = products(self.X, initial, dtype, n_jobs)
        self._start(gram, S0, initial.n_features, with_velocity)

    @classmethod
    def from_products(cls, gram: Array, S0: Array, n_features: int, with_velocity: bool) -> "ContributionsForm":
        """Make the form from existing products. It can be trained, and has no access to the inputs.

        Parameters
        ----------
        gram : ndarray of shape (N, N)
            Inner products of the training inputs, which are shared and never changed.
        S0 : ndarray of shape (N, h)
            Pre-activations of the training inputs under the initial weights.
        n_features : int
            Number of input features.
        with_velocity : bool
            Whether the optimiser needs a velocity.
        """
        form = cls.__new__(cls)
        form._start(gram, S0, n_features, with_velocity)
        return form

    def _start(self, gram: Array, S0: Array, n_features: int, with_velocity: bool) -> None:
        self.source, self.S0, self.n_features = gram, S0, n_features
        self.base = np.zeros_like(S0)
        self.velocity: Array | None = np.zeros_like(S0) if with_velocity else None
        self.scale: NDArray[np.float64] | None = np.array([1.0, 0.0])

    @property
    def X(self) -> Any:
        """Training inputs (N, d); reading them raises a RuntimeError if they have been changed in place."""
        return self.inputs.X

    @property
    def contributions(self) -> Array:
        """Contributions (N, h) of the training samples."""
        return self.base

    @property
    def initial_share(self) -> float:
        """Factor c of W1(0), which weight decay reduces from 1."""
        return 1.0 if self.scale is None else float(self.scale[0])

    # ------------------------------------------------------------------------------------------------------------------
    # training

    def begin(self) -> None:
        """Drop the weights that were kept for predictions."""
        self._is_finished, self._weights = False, None

    def finish(self) -> None:
        """Note that training has ended."""
        self._is_finished = True

    def windows(
        self, batches: Sequence[Rows], per_window: int, optimizer: "Optimizer", memory: Memory, n_threads: int
    ) -> Generator[tuple[Sequence[Rows], OpenFront]]:
        """Give all batches at once, because the contributions are up to date after each batch."""
        opened = OpenContributions(self, memory)
        try:
            yield batches, opened
        finally:
            opened.close()

    def rows_multiplied(self, optimizer: "Optimizer", batch_size: int, window: int) -> int:
        """Give the number of rows of a batch, or of all samples if the optimiser mixes units."""
        return self.source.shape[1] if optimizer.mixes_units else batch_size

    def append(self, X: Any) -> Rows:
        """Append samples without contributions. All arrays are copied, so append many samples at a time."""
        gram, S0 = products(X, self.initial, self.dtype, self.n_jobs)
        with np.errstate(over="ignore", invalid="ignore"):  # reported below
            crossed = cross_gram(X, self.X, self.dtype, self.n_jobs)
        refuse_overflow(crossed)
        n_old, n_new = crossed.shape[::-1]
        none_yet = np.zeros_like(S0)
        velocity = None if self.velocity is None else np.concatenate([self.velocity, none_yet])
        # One assignment changes all or nothing, in case memory does not suffice.
        self.inputs, self.source, self.S0, self.base, self.velocity = (
            TrainingInputs(stacked(self.X, X)),
            np.block([[self.source, crossed.T], [crossed, gram]]),
            np.concatenate([np.asarray(self.S0), S0]),
            np.concatenate([self.base, none_yet]),
            velocity,
        )
        return np.arange(n_old, n_old + n_new)

    def check_room(self, X: Any, memory_limit: float) -> None:
        """Raise a MemoryError if the Gram matrix with these samples would exceed the limit."""
        super().check_room(X, memory_limit)
        n_new, n_samples = X.shape[0], len(self.source) + X.shape[0]
        n_bytes = n_samples**2 * self.source.itemsize
        if n_bytes > memory_limit:
            raise MemoryError(
                f"{n_new} more samples make a Gram matrix of {n_samples} x {n_samples}, {n_bytes / 2**30:.1f} GiB, over "
                f"memory_limit={bytes_text(memory_limit)}; raise the limit, or start again with form='windowed'"
            )

    # ------------------------------------------------------------------------------------------------------------------
    # predictions

    def training_preactivations(self, n: int) -> Array:
        """Give the pre-activations of the first n training samples."""
        assert self.S0 is not None
        return np.asarray(self.base.dtype.type(self.initial_share) * self.S0[:n] + self.source[:n] @ self.base)

    def preactivations(self, X: Any) -> Array:
        """Give the pre-activations (M, h) of new data."""
        if self._is_finished and is_kept(self.initial, self.dtype):
            return preactivations_by_weights(X, self.expand(), self.n_jobs)
        return preactivations_of(X, self.X, self.base, self.initial_share, self.initial, self.dtype, self.n_jobs)

    def expand(self) -> Array:
        """Give the conventional weights (h, d)."""
        if self._weights is not None:
            return self._weights
        weights = expand(self.X, self.base, self.initial_share, self.initial, self.dtype, n_jobs=self.n_jobs)
        if self._is_finished:
            self._weights = weights
        return weights

    def explain(self, X: Any) -> tuple[Array, Array]:
        """Split pre-activations of new data into the part of W1(0) (M, h) and a term of each training sample (M, N, h)."""
        gram, S0 = cross_gram_and_preactivations(X, self.X, self.initial, self.dtype, self.n_jobs)
        return self.dtype.type(self.initial_share) * S0, gram[:, :, None] * self.base[None]

    def __getstate__(self) -> dict[str, Any]:
        """Leave the weights out of copies and pickles, because they can be made again with the same bits."""
        return self.__dict__ | {"_weights": None}

    @classmethod
    def stack(
        cls,
        X: Any,
        initial: InitialWeights,
        n_blocks: int,
        dtype: np.dtype[Any],
        with_velocity: bool,
        n_jobs: int | None = None,
    ) -> "ContributionsStack":
        """Make several front layers with the same inputs, which share one Gram matrix."""
        return ContributionsStack(X, initial, n_blocks, dtype, with_velocity, n_jobs)

    # ------------------------------------------------------------------------------------------------------------------
    # costs

    @classmethod
    def largest_part(cls, problem: "Problem") -> str:
        """Name the Gram matrix."""
        N = problem.n_samples
        return f"a Gram matrix of {N} x {N} samples, {bytes_text(N * N * problem.itemsize)}"

    @classmethod
    def choose_window(cls, window: int | str, batch_size: int, n_samples: int, has_velocity: bool) -> int:
        """Turn `window`, a number of rows or "auto", into a number of rows that is a multiple of the batch size."""
        if not isinstance(window, str):
            rows = min(int(window), n_samples)
        elif has_velocity and batch_size >= LARGE_BATCH:
            rows = batch_size
        else:
            rows = round(WINDOW_ROWS * math.sqrt(n_samples))
        return max(batch_size, rows // batch_size * batch_size)

    @classmethod
    def _n_own(cls, problem: "Problem") -> int:
        """Count the numbers in the Gram matrix and in the initial pre-activations of each block."""
        N = problem.n_samples
        return N * N + problem.n_blocks * N * problem.n_hidden

    @classmethod
    def _n_driven(cls, problem: "Problem", window: int) -> int:
        return 0

    @classmethod
    def seconds_once(cls, problem: "Problem", machine: "Machine") -> float:
        """Predict the seconds for initial weights, Gram matrix and initial pre-activations; sparse inputs count by entries."""
        N, d, h, size = problem.n_samples, problem.n_features, problem.n_hidden * problem.n_blocks, problem.itemsize
        n_entries = N * d if problem.density is None else problem.density * N * d
        if problem.density is not None and FEWER * problem.density * N <= 1:
            d = math.ceil(n_entries)  # columns without entries are left out, and at most so many have entries
        made = machine.draw * d * h / machine.speedup
        if problem.density is not None and problem.gram_products < budget.SPARSE_SHARE * N * N * d:
            products = SPARSE_TRIANGLE * problem.gram_products + SPARSE_ENTRY * n_entries
            return made + machine.sparse_pair * products / machine.speedup + machine.sparse_product * n_entries * h
        gram = machine.product(N, N, d, problem.dtype, machine.n_threads) / 2  # symmetric
        is_converted = problem.copies_X or problem.density is not None
        converted = machine.passes(2 * N * d * size, N * d * size) if is_converted else 0.0
        return made + gram + converted + machine.product(N, h, d, problem.dtype, machine.n_threads)

    @classmethod
    def _driven_epoch(cls, problem: "Problem", window: int, machine: "Machine") -> float:
        """Predict the seconds of an epoch of a block, whose steps change the coordinates of all training inputs."""
        N, h = problem.n_samples, problem.n_hidden
        n_threads = blas_threads(problem, N, N, machine)
        step = driven_step(problem, N, n_threads, machine)
        if problem.optimizer.mixes_units:
            step += mixing(problem, min(h, N), N, n_threads, machine) + machine.product(N, h, N, problem.dtype, n_threads)
        return problem.n_steps * step


class OpenContributions:
    """The front layer during an epoch; the contributions are its coordinates in the span of all training inputs."""

    def __init__(self, form: Any, memory: Memory) -> None:
        self.form = form
        self.layer = SpanLayer(
            form.n_features, form.source, form.S0, None, None, form.base, form.velocity, form.scale[0], form.scale[1], memory
        )

    def preactivations(self, batch: Rows) -> Array:
        """Give the pre-activations (B, h) of a batch."""
        self.batch = batch
        return self.layer.preactivations(batch)

    def take(self, D: Array) -> None:
        """Take the gradient with respect to these pre-activations."""
        self.layer.take(D, self.batch)

    def batch_gram(self) -> Array:
        """Give the inner products (B, B) of the batch's inputs."""
        return np.asarray(self.form.source[self.batch][:, self.batch])

    def close(self) -> None:
        """Store the factor of the initial weights."""
        self.form.scale[:] = self.layer.c, self.layer.m


class ContributionsStack(FrontStack):
    """Front layers as contributions of the same training samples, with one Gram matrix and one pass over new data for all.

    Parameters
    ----------
    X : ndarray, memmap or sparse of shape (N, d)
        Training inputs; a reference to them is kept for predictions.
    initial : InitialWeights
        Initial weights of all layers, one after the other.
    n_blocks : int
        Number of layers.
    dtype : dtype
        Precision of products and contributions.
    with_velocity : bool
        Whether the optimiser needs a velocity.
    n_jobs : int or None
        Number of threads; None uses all that are available.

    Raises
    ------
    ValueError
        If products of the inputs overflow.
    """

    def __init__(
        self,
        X: Any,
        initial: InitialWeights,
        n_blocks: int,
        dtype: np.dtype[Any],
        with_velocity: bool,
        n_jobs: int | None = None,
    ) -> None:
        self.inputs, self.initial, self.dtype, self.n_jobs = TrainingInputs(X), initial, dtype, n_jobs
        self._is_finished = False
        self._weights: list[Array] | None = None
        gram, S0 = products(self.X, initial, dtype, n_jobs)
        parts = [np.ascontiguousarray(part) for part in np.split(S0, n_blocks, axis=1)]
        super().__init__([ContributionsForm.from_products(gram, part, initial.n_features, with_velocity) for part in parts])

    @property
    def X(self) -> Any:
        """Training inputs (N, d); reading them raises a RuntimeError if they have been changed in place."""
        return self.inputs.X

    @property
    def n_products(self) -> int:  # type: ignore[override]
        """Number of products of a new sample with training samples."""
        return len(self.forms[0].source)

    def preactivations(self, X: Any) -> Preactivations:
        """Give the pre-activations of new data as a function of the layer's number; the data is read once."""
        if self._is_finished and is_kept(self.initial, self.dtype):
            weights = self.expand()
            X = converted_once(X, self.dtype)
            return lambda t: preactivations_by_weights(X, weights[t], self.n_jobs)
        gram, S0 = cross_gram_and_preactivations(X, self.X, self.initial, self.dtype, self.n_jobs)
        parts = np.split(S0, len(self.forms), axis=1)
        shares = [self.dtype.type(form.initial_share) for form in self._contributions]
        return lambda t: shares[t] * parts[t] + gram @ self.forms[t].base

    @property
    def _contributions(self) -> list[ContributionsForm]:
        return self.forms  # type: ignore[return-value]

    def expand(self) -> list[Array]:
        """Give the conventional weights (h, d) of each layer."""
        if self._weights is not None:
            return self._weights
        contributions = np.concatenate([form.base for form in self.forms], axis=1)
        shares = np.repeat([form.initial_share for form in self._contributions], self.initial.n_hidden // len(self.forms))
        weights = expand(self.X, contributions, shares, self.initial, self.dtype, n_jobs=self.n_jobs)
        parts = np.split(weights, len(self.forms))
        if self._is_finished:
            self._weights = parts
        return parts

    def begin(self) -> None:
        """Note that training continues."""
        self._is_finished, self._weights = False, None

    def finish(self) -> None:
        """Note that training has ended; predictions then use the weights, as in `ContributionsForm`."""
        self._is_finished = True

    def __getstate__(self) -> dict[str, Any]:
        """Leave the weights out of copies and pickles, because they can be made again with the same bits."""
        return self.__dict__ | {"_weights": None}


def products(X: Any, initial: InitialWeights, dtype: np.dtype[Any], n_jobs: int | None) -> tuple[Array, Array]:
    """Compute the Gram matrix (N, N) and the initial pre-activations (N, h); raise a ValueError unless both are finite."""
    with np.errstate(over="ignore", invalid="ignore"):  # reported below
        gram, S0 = gram_and_preactivations(X, initial, dtype, n_jobs)
    refuse_overflow(gram, S0)
    return gram, S0


def refuse_overflow(*arrays: Array) -> None:
    """Raise a ValueError unless all products are finite."""
    if not all_finite(*arrays):
        raise ValueError(
            f"X has values so large that its Gram matrix overflows {arrays[0].dtype}; scale X, or use dtype='float64'"
        )


def is_kept(initial: InitialWeights, dtype: np.dtype[Any]) -> bool:
    """Whether the conventional weights are small enough to be kept for predictions."""
    return initial.n_hidden * initial.n_features * dtype.itemsize <= KEPT_BYTES
