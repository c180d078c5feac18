"""The front layer as contributions of the training samples."""

import math
from collections.abc import Callable, Generator, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fcfast.front.base import FrontForm, FrontStack, Memory, OpenFront, Preactivations, Rows, register
from fcfast.front.contributed import Contributed
from fcfast.front.costs import blas_threads, driven_step, mixing
from fcfast.front.pullback import Term
from fcfast.front.rows import converted_once
from fcfast.gram import budget
from fcfast.gram.object import Gram
from fcfast.gram.products import preactivations_by_weights
from fcfast.gram.scattered import ScatteredWeights
from fcfast.gram.start import InitialWeights, SpanStart
from fcfast.layers import SpanLayer
from fcfast.sources.entries import FEWER
from fcfast.units import bytes_text

if TYPE_CHECKING:
    from fcfast.optimizers import Optimizer
    from fcfast.planning.figures import Machine
    from fcfast.planning.problem import Problem

Array = NDArray[Any]

WINDOW_ROWS = 4  # rows of a window relative to the root of the number of samples (measured)
LARGE_BATCH = 32  # smallest batch that is a window of its own if larger windows would also have to multiply velocities
SPARSE_ENTRY = 30  # multiplications that take as long as finding the row that a sparse entry is multiplied by
FACTORED = "float64"  # precision in which the Gram matrix is factored for a start in the span of the samples
SPARSE_TRIANGLE = 0.6  # share of a sparse Gram matrix that is computed; the rest is its mirror image


@register
class ContributionsForm(FrontForm):
    """The form that holds contributions A of the training samples, W1 = c W1(0) + A' X, and their Gram matrix.

    Training never stores W1. After training, new data are multiplied by W1 if it has at most `KEPT_BYTES`. It is made at the
    first prediction and kept, so that later predictions cost no more than in an ordinary network. A larger W1 is never held for
    a prediction, and none is made where products with the training samples cost less than W1 would (`fcfast.gram.work`).
    """

    name: ClassVar[str] = "contributions"
    is_automatic: ClassVar[bool] = True
    compiled: ClassVar[bool] = True
    takes_sparse: ClassVar[bool] = True
    keeps_inputs: ClassVar[bool] = True
    needs_features: ClassVar[bool] = False
    holds_gram: ClassVar[bool] = True
    saving: ClassVar[str] = "use fewer samples"

    def __init__(
        self,
        X: Any,
        initial: InitialWeights | SpanStart,
        dtype: np.dtype[Any],
        with_velocity: bool,
        n_jobs: int | None = None,
    ) -> None:
        self.contributed: Contributed | None
        self.contributed, gram, S0 = Contributed.starting(X, initial, dtype, n_jobs)
        self._start(gram, S0, initial.n_features, self.contributed.gram.fan_in, with_velocity)

    @classmethod
    def from_products(
        cls, gram: Array, S0: Array, n_features: int, with_velocity: bool, fan_in: float | None = None
    ) -> "ContributionsForm":
        """Make the form from existing products. It can be trained, and has no access to the samples.

        Parameters
        ----------
        gram : ndarray of shape (N, N)
            Inner products of the training samples, which are shared and never changed.
        S0 : ndarray of shape (N, h)
            Pre-activations of the training samples under the initial weights.
        n_features : int
            Number of input features.
        with_velocity : bool
            Whether the optimiser needs a velocity.
        fan_in : float or None
            Number of inputs of a unit as an optimiser takes it (`Gram.fan_in`); None takes `n_features`.
        """
        form = cls.__new__(cls)
        form.contributed = None
        form._start(gram, S0, n_features, n_features if fan_in is None else fan_in, with_velocity)
        return form

    @classmethod
    def in_span_of(cls, gram: Gram, contributions: Array, n_features: int) -> "ContributionsForm":
        """Make the form from all contributions (N, h) of a front layer that is in the span of the samples."""
        form = cls.__new__(cls)
        form.contributed, products, S0 = Contributed.given(gram, contributions, n_features)
        form._start(products, S0, n_features, gram.fan_in, with_velocity=False)
        return form

    def _start(self, gram: Array, S0: Array, n_features: int, fan_in: float, with_velocity: bool) -> None:
        self.source, self.S0, self.n_features = gram, S0, n_features
        self.fan_in = fan_in or 1.0  # samples that are all 0 have gradients of 0, which may be divided by any number
        self.base = np.zeros_like(S0)
        self.velocity: Array | None = np.zeros_like(S0) if with_velocity else None
        self.scale: NDArray[np.float64] | None = np.array([1.0, 0.0])

    @property
    def _contributed(self) -> Contributed:
        assert self.contributed is not None, "a form from products alone makes no predictions"
        return self.contributed

    @property
    def X(self) -> Any:
        """Training inputs (N, d); reading them raises a RuntimeError if they have been changed in place."""
        return self._contributed.gram.X

    @property
    def gram(self) -> Gram:  # type: ignore[override]  # the other forms have none
        """Training samples."""
        return self._contributed.gram

    @property
    def initial(self) -> InitialWeights:
        """Initial weights W1(0)."""
        return self._contributed.initial

    @property
    def contributions(self) -> Array:
        """Contributions (N, h) of the training samples, those of a start in their span included."""
        return self.base if self.contributed is None else self.contributed.total(self.base, self.initial_share)

    @property
    def takes_any_samples(self) -> bool:
        """Whether new data may be anything that a function compares with the training samples, such as strings."""
        return self._contributed.gram.takes_any_samples

    @property
    def in_span(self) -> bool:
        """Whether the front layer started in the span of the samples."""
        return self._contributed.start is not None

    @property
    def initial_share(self) -> float:
        """Factor c of the initial weights, which weight decay reduces from 1."""
        return 1.0 if self.scale is None else float(self.scale[0])

    # ------------------------------------------------------------------------------------------------------------------
    # training

    def begin(self) -> None:
        """Drop the weights that were kept for predictions."""
        if self.contributed is not None:
            self.contributed.begin()

    def finish(self) -> None:
        """Note that training has ended."""
        if self.contributed is not None:
            self.contributed.finish()

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
        contributed, S0 = self._contributed.append(X)
        n_old, none_yet = len(self.source), np.zeros_like(S0)
        velocity = None if self.velocity is None else np.concatenate([self.velocity, none_yet])
        # One assignment changes all or nothing, in case memory does not suffice.
        self.contributed, self.source, self.S0, self.base, self.velocity = (
            contributed,
            contributed.gram.matrix,
            np.concatenate([np.asarray(self.S0), S0]),
            np.concatenate([self.base, none_yet]),
            velocity,
        )
        return np.arange(n_old, n_old + len(S0))

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
        return self._contributed.preactivations(X, self.base, self.initial_share)

    def watched(self, X: Any, memory_limit: float) -> Callable[[], Array]:
        """Give what gives the pre-activations of the same samples again and again, from products with the training samples."""
        scored = self._contributed.scored(X, memory_limit)
        if scored is None:
            return lambda: self.preactivations(X)
        return lambda: self._contributed.preactivations_of(scored, self.base, self.initial_share)

    def expand(self) -> Array:
        """Give the conventional weights (h, d)."""
        return self._contributed.expand(self.base, self.initial_share)

    def lazily_expanded(self, scale: Array | None) -> Any:
        """Give the weights (d, h) as an array where the training samples lie; None if they lie here."""
        return None if self.contributed is None else self.contributed.lazily_expanded(self.base, self.initial_share, scale)

    @property
    def scattered(self) -> ScatteredWeights | None:
        """The conventional weights as a function of features, if sparse samples have few of them."""
        return None if self.contributed is None else self.contributed.scattered(self.base, self.initial_share)

    def pulled_back(self, G: Array, entrywise: bool = False) -> list[Term]:
        """Give the product of gradients G (..., h) with the conventional weights, by blocks of features."""
        return self._contributed.pulled_back(G, self.base, self.initial_share, entrywise)

    def explain(self, X: Any) -> tuple[Array, Array]:
        """Split pre-activations of new data into the part of W1(0) (M, h) and a term of each training sample (M, N, h)."""
        gram, S0 = self._contributed.products(X)
        initial = self.dtype.type(self.initial_share) * S0
        if self.offset is not None:
            initial += self.offset
        return initial, gram[:, :, None] * self.contributions[None]

    @property
    def offset(self) -> Array | None:
        """What centring adds (h,) to the pre-activations of new data; None without centring."""
        return None if self.contributed is None else self.contributed.offset(self.contributions)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Precision of products and contributions."""
        return self.base.dtype

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
        """Count the numbers in the Gram matrix and in the initial pre-activations of each block, or to factor the matrix."""
        N = problem.n_samples
        n_products = 0 if problem.has_products else N * N
        factor = 2 * N * N if problem.in_span else 0  # in double precision; it is dropped before anything is trained
        return max(n_products + problem.n_blocks * N * problem.n_hidden, factor)

    @classmethod
    def _n_driven(cls, problem: "Problem", window: int) -> int:
        return 0

    @classmethod
    def seconds_once(cls, problem: "Problem", machine: "Machine") -> float:
        """Predict the seconds for initial weights, Gram matrix and initial pre-activations; sparse inputs count by entries."""
        N, d, h, size = problem.n_samples, problem.n_features, problem.n_hidden * problem.n_blocks, problem.itemsize
        factor = machine.product(N, N, N / 6, FACTORED, machine.n_threads) if problem.in_span else 0.0
        if not problem.has_features:
            return factor
        n_weights = 0 if problem.in_span else h
        n_entries = N * d if problem.density is None else problem.density * N * d
        if problem.density is not None and FEWER * problem.density * N <= 1:
            d = math.ceil(n_entries)  # columns without entries are left out, and at most so many have entries
        made = machine.draw * d * n_weights / machine.speedup + factor
        if problem.density is not None and problem.gram_products < budget.SPARSE_SHARE * N * N * d:
            products = SPARSE_TRIANGLE * problem.gram_products + SPARSE_ENTRY * n_entries
            return made + machine.sparse_pair * products / machine.speedup + machine.sparse_product * n_entries * n_weights
        gram = machine.product(N, N, d, problem.dtype, machine.n_threads) / 2  # symmetric
        is_converted = problem.copies_X or problem.scales_X or problem.density is not None  # block by block
        converted = machine.passes(2 * N * d * size, N * d * size) if is_converted else 0.0
        start = machine.product(N, n_weights, d, problem.dtype, machine.n_threads) if n_weights else 0.0
        return made + gram + converted + start

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
            form.fan_in, form.source, form.S0, None, None, form.base, form.velocity, form.scale[0], form.scale[1], memory
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
        initial: InitialWeights | SpanStart,
        n_blocks: int,
        dtype: np.dtype[Any],
        with_velocity: bool,
        n_jobs: int | None = None,
    ) -> None:
        self.contributed, gram, S0 = Contributed.starting(X, initial, dtype, n_jobs)
        parts = [np.ascontiguousarray(part) for part in np.split(S0, n_blocks, axis=1)]
        self.gram = self.contributed.gram
        self.takes_any_samples = self.gram.takes_any_samples
        d, fan_in = initial.n_features, self.gram.fan_in
        super().__init__([ContributionsForm.from_products(gram, part, d, with_velocity, fan_in) for part in parts])

    @property
    def n_products(self) -> int:  # type: ignore[override]  # the other forms' constant depends on the samples here
        """Number of products of a new sample with training samples."""
        return len(self.forms[0].source)

    def preactivations(self, X: Any) -> Preactivations:
        """Give the pre-activations of new data as a function of the layer's number; the data is read once."""
        contributed = self.contributed
        if contributed.uses_weights_for(X):
            weights, offsets = self.expand(), self._offsets(self._total)
            X = converted_once(contributed.features_of(X), self.forms[0].base.dtype)
            return lambda t: preactivations_by_weights(X, weights[t], contributed.gram.n_jobs) + offsets[t]
        return self._by_products(*contributed.products(X))

    def watched(self, X: Any, memory_limit: float) -> Callable[[], Preactivations]:
        """Give what gives the pre-activations of the same samples again and again, from products with the training samples."""
        scored = self.contributed.scored(X, memory_limit)
        if scored is None:
            return lambda: self.preactivations(X)
        return lambda: self._by_products(scored.crossed, scored.S0)

    def _by_products(self, gram: Array, S0: Array) -> Preactivations:
        """Give the pre-activations of samples from their products with the training samples."""
        n_blocks, total, dtype = len(self.forms), self._total, self.forms[0].base.dtype
        parts, totals, offsets = np.split(S0, n_blocks, axis=1), np.split(total, n_blocks, axis=1), self._offsets(total)
        shares = [dtype.type(share) for share in self._shares]
        return lambda t: shares[t] * parts[t] + gram @ totals[t] + offsets[t]

    @property
    def _total(self) -> Array:
        """All contributions (N, n_blocks h), those of a start in the span included."""
        return self.contributed.total(self._contributions, self._repeated_shares)

    def _offsets(self, total: Array) -> list[Any]:
        """Give what centring adds to the pre-activations of each layer."""
        offset, n_blocks = self.contributed.offset(total), len(self.forms)
        return [self.forms[0].base.dtype.type(0)] * n_blocks if offset is None else np.split(offset, n_blocks)

    @property
    def _shares(self) -> list[float]:
        """Factor of the initial weights in each layer."""
        return [1.0 if form.scale is None else float(form.scale[0]) for form in self.forms]

    @property
    def _repeated_shares(self) -> Array:
        return np.repeat(self._shares, self.forms[0].base.shape[1])

    @property
    def _contributions(self) -> Array:
        """Contributions (N, n_blocks h) to all layers, one after the other."""
        return np.concatenate([form.base for form in self.forms], axis=1)

    def expand(self) -> list[Array]:
        """Give the conventional weights (h, d) of each layer."""
        return np.split(self.contributed.expand(self._contributions, self._repeated_shares), len(self.forms))

    @property
    def offset(self) -> list[Array] | None:  # type: ignore[override]  # the other forms' constant depends on training here
        """What the weights leave out of the pre-activations (h,) of each layer; None if it is nothing."""
        offset = self.contributed.offset(self._total)
        return None if offset is None else np.split(offset, len(self.forms))

    def begin(self) -> None:
        """Note that training continues."""
        self.contributed.begin()

    def finish(self) -> None:
        """Note that training has ended; predictions then use the weights, as in `ContributionsForm`."""
        self.contributed.finish()
