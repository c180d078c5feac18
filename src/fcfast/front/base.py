"""The interface of the front layer for training and predictions, which is the same in every form.

A form gives the pre-activations of training rows, takes the deltas of these rows, gives the pre-activations of new data, and
gives its weights. Pre-activations do not include biases. Weights are conventional weights (h, d), C-contiguous in every form.
"""

from collections.abc import Callable, Generator, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from fcfast import backend
from fcfast.front.costs import FormCosts
from fcfast.front.pullback import Term, WeightRows
from fcfast.front.rows import RowScale, TrainingRows, converted, converted_once, gathered, read_once
from fcfast.gram.occurring import is_stored_sparse
from fcfast.gram.scattered import ScatteredWeights
from fcfast.gram.start import GivenWeights, InitialWeights
from fcfast.layers.protocol import Layer
from fcfast.registry import Capable, Registry
from fcfast.sources.surveyed import Surveyed

if TYPE_CHECKING:
    from fcfast.gram.object import Gram
    from fcfast.optimizers import Optimizer
    from fcfast.training.upper import UpperLayers

Array = NDArray[Any]
Rows = NDArray[np.intp]
Memory = dict[str, Array]
Preactivations = Callable[[int], Array]  # gives the pre-activations of one of several front layers

FORMS = Registry("form")
register = FORMS.register


class OpenFront(Protocol):
    """The front layer during an epoch, as a learning rule sees it."""

    @property
    def layer(self) -> Layer:
        """The weights as an optimiser sees them."""

    def preactivations(self, batch: Rows) -> Array:
        """Give the pre-activations (B, h) of a batch as a new array; the next calls refer to this batch."""

    def take(self, D: Array) -> None:
        """Take the gradient with respect to these pre-activations (B, h)."""

    def batch_gram(self) -> Array:
        """Give the inner products (B, B) of the batch's inputs."""


class FrontForm(FormCosts, Capable):
    """A form of the front layer. A subclass defines its arrays, its capabilities and its costs (`fcfast.front.costs`).

    Attributes
    ----------
    name : str
        Name under which users find the form.
    updates_each_weight : bool
        Whether every step reads and writes the weight of each feature, so that optimisers and rules may treat features
        separately. Other forms only hold combinations of the inputs.
    is_automatic : bool
        Whether ``form="auto"`` may choose it; a subclass has to say so again, because the costs that it inherits may be wrong.
    compiled : bool
        Whether the kernel of whole epochs trains `base` from `source`, `S0` and `scale` as `windows` does; False in a subclass
        with `windows` of its own, unless it says so.
    takes_sparse : bool
        Whether X may be sparse.
    for_sparse : type or None
        Class of the same form that takes a sparse X in place of this one; a subclass has to name one of its own.
    scales_rows : bool
        Whether the form reads training samples by `rows` alone, so that they need no scaled copy; a subclass has to say so
        again, because it may read `source` itself.
    changes_units : bool
        Whether the weights of each feature can be multiplied by a factor; a subclass has to say so again, because it may hold
        them in another way.
    keeps_inputs : bool
        Whether the form refers to the training inputs after training, and appends new samples to them.
    restarts : bool
        Whether the form can make its initial weights again.
    goes_on : bool
        Whether the kernel can take the samples of an epoch in blocks, and bring the weights up to date after the last one.
    base, velocity : ndarray
        Arrays that steps change; the velocity is None for an optimiser without one.
    source : ndarray
        Rows that the base is multiplied by, one for each training sample.
    row_scale : RowScale or None
        What is done to rows of the source when they are gathered.
    S0 : ndarray of shape (N, h), or None
        Pre-activations of the initial weights, if the base is the change since then.
    scale : ndarray of shape (2,), or None
        Factor of the initial weights, which weight decay reduces from 1, and the velocity of this factor.
    n_features : int
        Number of input features.
    """

    not_inherited: ClassVar[dict[str, Any]] = {
        "is_automatic": False, "scales_rows": False, "changes_units": False, "for_sparse": None,
    }  # fmt: skip

    name: ClassVar[str]
    updates_each_weight: ClassVar[bool] = False
    is_automatic: ClassVar[bool] = False
    compiled: ClassVar[bool] = False
    takes_sparse: ClassVar[bool] = False
    for_sparse: ClassVar["type[FrontForm] | None"] = None
    scales_rows: ClassVar[bool] = False
    changes_units: ClassVar[bool] = False
    keeps_inputs: ClassVar[bool] = False
    restarts: ClassVar[bool] = False
    goes_on: ClassVar[bool] = False

    base: Array
    velocity: Array | None
    source: Array
    row_scale: RowScale | None = None
    S0: Array | None = None
    scale: NDArray[np.float64] | None = None
    n_features: int
    gram: "Gram | None" = None  # the training samples, in a form that holds contributions of them

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "windows" in vars(cls) and "compiled" not in vars(cls):
            cls.compiled = False

    def __init__(
        self, X: Any, initial: InitialWeights, dtype: np.dtype[Any], with_velocity: bool, n_jobs: int | None = None
    ) -> None:
        raise NotImplementedError

    @classmethod
    def of_stream(
        cls, X: Surveyed, initial: InitialWeights, dtype: np.dtype[Any], with_velocity: bool, n_jobs: int | None = None
    ) -> "FrontForm":
        """Make the form for samples that come in blocks later (`append`); a form that keeps them cannot do this."""
        return cls(np.empty((0, X.shape[1]), dtype), initial, dtype, with_velocity, n_jobs)

    def restart(self) -> None:
        """Go back to the initial weights, in a form that `restarts`."""
        raise NotImplementedError(f"form {self.name!r} cannot make its initial weights again")

    @classmethod
    def variant(cls, is_sparse: bool) -> "type[FrontForm]":
        """Give the class that holds the form for a dense or a sparse X."""
        return cls.for_sparse or cls if is_sparse else cls

    # ------------------------------------------------------------------------------------------------------------------
    # training

    @property
    def kernel(self) -> Any:
        """The kernel of whole epochs."""
        return backend.front

    def kernel_network(self, upper: "UpperLayers") -> Any:
        """Give the arrays of the network, whose other layers are given, as the kernel takes them."""
        by = self.row_scale
        return backend.front.Network(
            self.base, self.velocity, self.source, self.S0, self.scale, upper.params, upper.velocity, upper.widths,
            upper.activation, *((None, None, None) if by is None else (by.mean, by.scale, by.fill)),
        )  # fmt: skip

    def change_kernel_rows(self, network: Any) -> None:
        """Give the kernel's network the samples that the form has now, if the form `goes_on`."""
        raise NotImplementedError(f"form {self.name!r} brings its weights up to date after every block")

    @property
    def flushed(self) -> Array | None:
        """What steps in Python set subnormal numbers of to 0 from time to time."""
        return self.velocity

    @property
    def row_length(self) -> float:
        """Numbers of a row of the source that BLAS multiplies."""
        return float(self.source.shape[1])

    @classmethod
    def training_rows(cls, X: Any, dtype: np.dtype[Any]) -> TrainingRows:
        """Give validated samples as the form holds them, with a scaled copy only where it needs one."""
        if isinstance(X, TrainingRows):
            return X
        return gathered(X, dtype) if cls.scales_rows else TrainingRows(converted(X, dtype), None)

    def rows(self, which: Rows | slice) -> Array:
        """Give some rows of the training samples (n, d) as training sees them; the caller must not change them."""
        rows = self.source[which]
        return rows if self.row_scale is None else self.row_scale.scaled(rows)

    def check(self, n_samples: int, dtype: np.dtype[Any]) -> None:
        """Raise a ValueError if the arrays do not fit together: kernels trust them.

        Parameters
        ----------
        n_samples : int
            Number of training samples.
        dtype : dtype
            Precision that was asked for.
        """
        n_columns = len(self.base) if self.S0 is not None else self.base.shape[1]
        arrays = [array for array in (self.base, self.velocity, self.source, self.S0) if array is not None]
        problem = ""
        if self.source.shape != (n_samples, n_columns):
            problem = f"source has shape {self.source.shape}, but training needs ({n_samples}, {n_columns})"
        elif any(array.dtype != dtype for array in arrays):
            problem = f"arrays have dtypes {[array.dtype.name for array in arrays]}, but {dtype} is needed"
        elif not all(array.flags.c_contiguous for array in arrays):
            problem = "arrays are not C-contiguous"
        elif self.velocity is not None and self.velocity.shape != self.base.shape:
            problem = f"velocity has shape {self.velocity.shape}, but the base has {self.base.shape}"
        if problem:
            raise ValueError(f"form {self.name!r} cannot be trained: its {problem}")

    def begin(self) -> None:
        """Note that training continues."""

    def finish(self) -> None:
        """Note that training has ended, and drop the samples unless predictions need them."""

    def windows(
        self, batches: Sequence[Rows], per_window: int, optimizer: "Optimizer", memory: Memory, n_threads: int
    ) -> Generator[tuple[Sequence[Rows], OpenFront]]:
        """Give batches to train on together with the front layer; the form is up to date before the next ones are given.

        Parameters
        ----------
        batches : sequence of ndarray of int
            Row numbers of each batch.
        per_window : int
            Number of batches in a window.
        optimizer : Optimizer
            Optimiser of the layer.
        memory : dict of ndarray
            State of the optimiser for the layer.
        n_threads : int
            Number of threads of the kernels.
        """
        raise NotImplementedError

    def rows_multiplied(self, optimizer: "Optimizer", batch_size: int, window: int) -> int:
        """Give the number of rows of the largest product with the source in `windows`."""
        return window

    def append(self, X: Any) -> Rows:
        """Take new samples to train on, and give their row numbers."""
        raise NotImplementedError

    def check_room(self, X: Any, memory_limit: float) -> None:
        """Raise an error if the form cannot take these samples in addition to those that it has."""
        if is_stored_sparse(X) and not self.takes_sparse:
            raise TypeError(
                f"partial_fit continues in form {self.name!r}, which needs a dense X, got a sparse matrix; use X.toarray(), or "
                f"start again with form={_quoted(form.name for form in FORMS.values() if form.variant(True).takes_sparse)}"
            )

    def change_units(self, factors: NDArray[np.float64], shifts: NDArray[np.float64]) -> NDArray[np.float64]:
        """Multiply the weights of each feature by its factor, and give what they then add to the biases (h,) for the shifts."""
        raise NotImplementedError(f"form {self.name!r} cannot change the weights of single features")

    def multiply(self, factor: float) -> None:
        """Multiply all weights by a factor, those that a form does not hold included."""
        self.base *= self.base.dtype.type(factor)
        if self.scale is not None:
            self.scale[0] *= factor

    @property
    def held(self) -> list[Array]:
        """Arrays that training changes, except velocities."""
        return [self.base] if self.scale is None else [self.base, self.scale]

    def forget(self) -> None:
        """Set velocities to 0."""
        if self.velocity is not None:
            self.velocity[:] = 0
        if self.scale is not None:
            self.scale[1] = 0

    # ------------------------------------------------------------------------------------------------------------------
    # predictions

    def training_preactivations(self, n: int) -> Array:
        """Give the pre-activations of the first n training samples."""
        raise NotImplementedError

    def preactivations(self, X: Any) -> Array:
        """Give the pre-activations (M, h) of new data."""
        raise NotImplementedError

    def watched(self, X: Any, memory_limit: float) -> Callable[[], Array]:
        """Give what gives the pre-activations (M, h) of the same samples under the weights of the moment, again and again.

        Whatever does not depend on the weights is done once, if its result has at most `memory_limit` bytes.
        """
        X = read_once(X, self.base.dtype, memory_limit)
        return lambda: self.preactivations(X)

    def expand(self) -> Array:
        """Give the conventional weights (h, d)."""
        raise NotImplementedError

    def lazily_expanded(self, scale: Array | None) -> Any:
        """Give the conventional weights (d, h) as an array where the training samples lie, such as a dask array.

        With a `scale` (d,) they are those of raw features, in double precision. None for samples in this process.
        """
        return None

    @property
    def scattered(self) -> ScatteredWeights | None:
        """The conventional weights as a function of features; None for a form that does not hold them so, nor makes them so."""
        return None

    def pulled_back(self, G: Array, entrywise: bool = False) -> list[Term]:
        """Give the product of gradients G (..., h) with the conventional weights, which is made for a few features at a time.

        Parameters
        ----------
        G : ndarray of shape (..., h)
            Gradients with respect to the pre-activations.
        entrywise : bool
            Whether few numbers of the product are wanted, as for sparse samples.
        """
        weights = self.scattered or GivenWeights(self.expand())
        return [Term(G, WeightRows(weights, self.base.dtype))]

    @property
    def takes_any_samples(self) -> bool:
        """Whether new data may be anything that a function compares with the training samples, such as strings."""
        return False

    @property
    def offset(self) -> Array | None:
        """What the weights leave out of pre-activations (h,), as where training centred the samples; None if it is nothing."""
        return None

    @property
    def contributions(self) -> Array | None:
        """Contributions (N, h) of the training samples; None for a form that does not hold them."""
        return None

    # ------------------------------------------------------------------------------------------------------------------
    # several front layers that read the same inputs

    @classmethod
    def stack(
        cls,
        X: Any,
        initial: InitialWeights,
        n_blocks: int,
        dtype: np.dtype[Any],
        with_velocity: bool,
        n_jobs: int | None = None,
    ) -> "FrontStack":
        """Make several front layers with the same inputs; `initial` has the weights of all layers, one after the other."""
        # This is done once for all layers. Other forms expect an array.
        X = cls.training_rows(X, dtype) if cls.scales_rows else converted(X, dtype)
        parts = np.split(initial.dense(dtype), n_blocks)
        return FrontStack([cls(X, GivenWeights(part), dtype, with_velocity, n_jobs) for part in parts])


class FrontStack:
    """Front layers that read the same inputs, such as the front layers of NoProp's blocks.

    Parameters
    ----------
    forms : sequence of FrontForm
        Front layers.
    """

    gram: "Gram | None" = None  # the training samples, if the layers hold contributions of them
    n_products = 0  # products of a new sample with training samples
    takes_any_samples = False  # such as strings, which a function compares
    offset: list[Array] | None = None  # what the weights leave out of the pre-activations of each layer

    def __init__(self, forms: Sequence[FrontForm]) -> None:
        self.forms = list(forms)

    @property
    def needs_features(self) -> bool:
        """Whether the layers hold weights for features, which products of samples do not describe."""
        return self.forms[0].needs_features

    def preactivations(self, X: Any) -> Preactivations:
        """Give the pre-activations of new data as a function of the layer's number; arrays are converted once for all."""
        X = converted_once(X, self.forms[0].base.dtype)
        return lambda t: self.forms[t].preactivations(X)

    def watched(self, X: Any, memory_limit: float) -> Callable[[], Preactivations]:
        """Give what gives the pre-activations of the same samples under the weights of the moment, as `FrontForm` does."""
        X = read_once(X, self.forms[0].base.dtype, memory_limit)
        return lambda: self.preactivations(X)

    def training_preactivations(self, n: int) -> Preactivations:
        """Give the pre-activations of the first n training samples as a function of the layer's number."""
        return lambda t: self.forms[t].training_preactivations(n)

    @property
    def held(self) -> list[Array]:
        """Arrays that training changes, except velocities."""
        return [array for form in self.forms for array in form.held]

    def forget(self) -> None:
        """Set velocities to 0."""
        for form in self.forms:
            form.forget()

    @property
    def scattered(self) -> list[ScatteredWeights] | None:
        """The weights of each layer as a function of features; None for forms that do not hold them so."""
        scattered = [form.scattered for form in self.forms]
        return [weights for weights in scattered if weights is not None] or None

    def expand(self) -> list[Array]:
        """Give the weights (h, d) of each layer."""
        return [form.expand() for form in self.forms]

    def begin(self) -> None:
        """Note that training continues."""
        for form in self.forms:
            form.begin()

    def finish(self) -> None:
        """Note that training has ended."""
        for form in self.forms:
            form.finish()


def _quoted(names: Any) -> str:
    return " or ".join(map(repr, names))
