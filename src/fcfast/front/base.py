"""What training and predictions need of the front layer, in whatever form it is held.

A form answers four questions: the pre-activations of some training rows; take these deltas on those rows; the pre-activations
of new data; your weights, please. Pre-activations are without biases; weights are conventional ones (h, d), C-contiguous in
every form.
"""

from collections.abc import Callable, Generator, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from fcfast.front.costs import FormCosts
from fcfast.gram.start import GivenWeights, InitialWeights
from fcfast.layers.protocol import Layer
from fcfast.registry import Registry
from fcfast.validation import all_finite

if TYPE_CHECKING:
    from fcfast.optimizers import Optimizer

Array = NDArray[Any]
Rows = NDArray[np.intp]
Memory = dict[str, Array]
Preactivations = Callable[[int], Array]  # of one of several front layers

FORMS = Registry("form")
register = FORMS.register


class OpenFront(Protocol):
    """The front layer in the middle of an epoch, as a learning rule sees it."""

    @property
    def layer(self) -> Layer:
        """The weights as an optimiser sees them."""

    def preactivations(self, batch: Rows) -> Array:
        """Give the pre-activations (B, h) of a batch as a new array; the next calls are about that batch."""

    def take(self, D: Array) -> None:
        """Take the gradient with respect to those pre-activations (B, h)."""

    def batch_gram(self) -> Array:
        """Give the inner products (B, B) of the batch's inputs."""


class FrontForm(FormCosts):
    """A form of the front layer: a subclass says how it is held, what it can do, and what it costs (`fcfast.front.costs`).

    Attributes
    ----------
    name : str
        What users call the form.
    updates_each_weight : bool
        Whether every step reads and writes the weight of each feature, so that optimisers and rules may treat features one by
        one. Other forms only know combinations of the inputs.
    takes_sparse : bool
        Whether X may be sparse.
    keeps_inputs : bool
        Whether the form refers to the training inputs after training, and new samples join those that it has.
    base, velocity : ndarray
        What steps change; the velocity is None for an optimiser without one.
    source : ndarray
        Rows that the base is multiplied with, one for each training sample.
    S0 : ndarray of shape (N, h), or None
        Pre-activations of the initial weights, where the base is a change since then.
    scale : ndarray of shape (2,), or None
        The factor of the initial weights, which weight decay takes down from 1, and its velocity.
    n_features : int
    """

    name: ClassVar[str]
    updates_each_weight: ClassVar[bool] = False
    takes_sparse: ClassVar[bool] = False
    keeps_inputs: ClassVar[bool] = False

    base: Array
    velocity: Array | None
    source: Array
    S0: Array | None = None
    scale: NDArray[np.float64] | None = None
    n_features: int

    def __init__(
        self, X: Any, initial: InitialWeights, dtype: np.dtype[Any], with_velocity: bool, n_jobs: int | None = None
    ) -> None:
        raise NotImplementedError

    # ------------------------------------------------------------------------------------------------------------------
    # training

    def begin(self) -> None:
        """Note that training goes on."""

    def finish(self) -> None:
        """Note that training has ended, and let go of the samples unless predictions need them."""

    def windows(
        self, batches: Sequence[Rows], per_window: int, optimizer: "Optimizer", memory: Memory, n_threads: int
    ) -> Generator[tuple[Sequence[Rows], OpenFront]]:
        """Give batches to train on, and the front layer over them; the form is up to date when the next ones are asked for.

        Parameters
        ----------
        batches : sequence of ndarray of int
        per_window : int
            How many batches a window has.
        optimizer : Optimizer
        memory : dict of ndarray
            What the optimiser remembers of the layer.
        n_threads : int
        """
        raise NotImplementedError

    def rows_multiplied(self, optimizer: "Optimizer", batch_size: int, window: int) -> int:
        """Give the rows of the largest product that `windows` makes with the source."""
        return window

    def append(self, X: Any) -> Rows:
        """Take new samples to train on; give their rows."""
        raise NotImplementedError

    def check_room(self, X: Any, memory_limit: float) -> None:
        """Raise an error if the form cannot take these samples with those that it has."""
        if sparse.issparse(X) and not self.takes_sparse:
            raise TypeError(
                f"partial_fit goes on in form {self.name!r}, which needs a dense X, got a sparse matrix; use X.toarray(), or "
                f"start again with form={_quoted(form.name for form in FORMS.values() if form.takes_sparse)}"
            )

    @property
    def held(self) -> list[Array]:
        """What training changes, but for velocities."""
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

    def expand(self) -> Array:
        """Give the conventional weights (h, d)."""
        raise NotImplementedError

    @property
    def contributions(self) -> Array | None:
        """What each training sample contributes (N, h), where the form knows it."""
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
        """Make several front layers of the same inputs; `initial` has the weights of all, one layer after the other."""
        X = converted(X, dtype)  # once for all
        parts = np.split(initial.dense(dtype), n_blocks)
        return FrontStack([cls(X, GivenWeights(part), dtype, with_velocity, n_jobs) for part in parts])


class FrontStack:
    """Front layers that read the same inputs, such as those of NoProp's blocks.

    Parameters
    ----------
    forms : sequence of FrontForm
    """

    n_products = 0  # with other samples, that a new one takes

    def __init__(self, forms: Sequence[FrontForm]) -> None:
        self.forms = list(forms)

    def preactivations(self, X: Any) -> Preactivations:
        """Give the pre-activations of new data as a function of the layer; arrays are converted once for all of them."""
        if not sparse.issparse(X):
            X = np.ascontiguousarray(X, dtype=self.forms[0].base.dtype)
        return lambda t: self.forms[t].preactivations(X)

    def training_preactivations(self, n: int) -> Preactivations:
        """Give those of the first training samples."""
        return lambda t: self.forms[t].training_preactivations(n)

    @property
    def held(self) -> list[Array]:
        """What training changes, but for velocities."""
        return [array for form in self.forms for array in form.held]

    def forget(self) -> None:
        """Set velocities to 0."""
        for form in self.forms:
            form.forget()

    def expand(self) -> list[Array]:
        """Give the weights (h, d) of each layer."""
        return [form.expand() for form in self.forms]

    def begin(self) -> None:
        """Note that training goes on."""
        for form in self.forms:
            form.begin()

    def finish(self) -> None:
        """Note that training has ended."""
        for form in self.forms:
            form.finish()


def is_converted(X: Any, dtype: np.dtype[Any]) -> bool:
    """Tell whether the forms that multiply with weights copy these samples: `converted` does not give X itself."""
    return not sparse.issparse(X) and (X.dtype != dtype or not X.flags.c_contiguous)


def converted(X: Array, dtype: np.dtype[Any]) -> Array:
    """Give validated samples contiguous and of that dtype: themselves if they are."""
    with np.errstate(over="ignore"):  # reported below
        samples = np.ascontiguousarray(X, dtype=dtype)
    if not (np.can_cast(X.dtype, dtype) or all_finite(samples)):  # a conversion that loses nothing cannot overflow
        raise ValueError(f"X has values too large for {dtype}; scale X, or use dtype='float64'")
    return samples


def _quoted(names: Any) -> str:
    return " or ".join(map(repr, names))
