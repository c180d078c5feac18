"""The front layer as weights that every step changes."""

from collections.abc import Generator, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fcfast.front.base import FrontForm, Memory, OpenFront, Rows, register
from fcfast.gram.products import preactivations_by_weights
from fcfast.gram.start import InitialWeights
from fcfast.layers import DenseLayer, multiply

if TYPE_CHECKING:
    from fcfast.optimizers import Optimizer

Array = NDArray[Any]


@register
class WeightsForm(FrontForm):
    """The form that holds W1 itself."""

    name: ClassVar[str] = "weights"
    is_automatic: ClassVar[bool] = True
    updates_each_weight: ClassVar[bool] = True
    compiled: ClassVar[bool] = True
    scales_rows: ClassVar[bool] = True
    changes_units: ClassVar[bool] = True

    def __init__(
        self, X: Array, initial: InitialWeights, dtype: np.dtype[Any], with_velocity: bool, n_jobs: int | None = None
    ) -> None:
        (self.source, self.row_scale), self.n_jobs = self.training_rows(X, dtype), n_jobs
        self.base = initial.dense(dtype)
        self.n_features = initial.n_features
        self.velocity: Array | None = np.zeros_like(self.base) if with_velocity else None

    @classmethod
    def of(cls, weights: Array, n_jobs: int | None = None) -> "WeightsForm":
        """Make the form from weights (h, d) that are not trained further, without copying them."""
        form = cls.__new__(cls)
        form.n_jobs = n_jobs
        form.source, form.base, form.velocity = np.empty((0, weights.shape[1]), weights.dtype), weights, None
        form.n_features = weights.shape[1]
        return form

    def windows(
        self, batches: Sequence[Rows], per_window: int, optimizer: "Optimizer", memory: Memory, n_threads: int
    ) -> Generator[tuple[Sequence[Rows], OpenFront]]:
        """Give all batches at once, because the weights are up to date after each batch."""
        yield batches, OpenWeights(self, memory, n_threads)

    def append(self, X: Array) -> Rows:
        """Replace the samples, because the weights contain everything that is needed from earlier samples."""
        samples, row_scale = self.training_rows(X, self.base.dtype)
        if samples.shape[1] != self.base.shape[1]:
            raise ValueError(f"form {self.name!r} takes no more samples: it holds {self.base.shape[1]} columns; use fit")
        self.source, self.row_scale = samples, row_scale
        return np.arange(len(X))

    def change_units(self, factors: NDArray[np.float64], shifts: NDArray[np.float64]) -> NDArray[np.float64]:
        """Multiply the weights of each feature, and their velocity; give what they then add to the biases for the shifts."""
        by = factors.astype(self.base.dtype)
        self.base *= by
        if self.velocity is not None:
            self.velocity *= by
        return np.einsum("hd,d->h", self.base, shifts)  # not by BLAS, whose kernels round differently

    def finish(self) -> None:
        """Drop the samples."""
        self.source, self.row_scale = self.source[:0].copy(), None

    def training_preactivations(self, n: int) -> Array:
        """Give the pre-activations of the first n training samples."""
        return np.asarray(self.rows(slice(n)) @ self.base.T)

    def preactivations(self, X: Any) -> Array:
        """Give the pre-activations (M, h) of new data."""
        return preactivations_by_weights(X, self.base, self.n_jobs)

    def expand(self) -> Array:
        """Give the weights."""
        return self.base


class OpenWeights:
    """The front layer during an epoch, with weights that every step changes."""

    def __init__(self, form: FrontForm, memory: Memory, n_threads: int) -> None:
        self.form = form
        self.layer = DenseLayer(form.base, form.velocity, np.empty_like(form.base), memory, n_threads)
        self.layer.n_in = form.n_features  # a form may hold fewer columns

    def preactivations(self, batch: Rows) -> Array:
        """Give the pre-activations (B, h) of a batch."""
        self.inputs = self.form.rows(batch)
        return multiply(self.inputs, self.form.base.T)

    def take(self, D: Array) -> None:
        """Take the gradient with respect to these pre-activations."""
        self.layer.gradient = multiply(D.T, self.inputs)

    def batch_gram(self) -> Array:
        """Give the inner products (B, B) of the batch's inputs."""
        return multiply(self.inputs, self.inputs.T)
