"""The front layer as weights of the sparse features that occur, which steps touch only where their batch has entries."""

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from fcfast import backend
from fcfast.front.base import FrontForm, FrontStack, Memory, OpenFront, Preactivations, Rows
from fcfast.front.open_sparse import OpenSparse
from fcfast.front.slots import SlotLookup, SlotRows, Slots, Slotted, csr, empty_table
from fcfast.front.sparse_costs import SparseCosts
from fcfast.front.weights import WeightsForm
from fcfast.front.windowed import WindowedForm
from fcfast.gram.occurring import ChosenWeights, is_sparse
from fcfast.gram.scattered import ScatteredWeights
from fcfast.gram.start import InitialWeights
from fcfast.gram.units import by_layer
from fcfast.sources.protocol import Source
from fcfast.sources.surveyed import Surveyed
from fcfast.tiles import slices
from fcfast.units import bytes_text

if TYPE_CHECKING:
    from fcfast.optimizers import Optimizer
    from fcfast.training.upper import UpperLayers

Array = NDArray[Any]

AT_A_TIME = 1 << 22  # weights that are made, or gathered for a prediction, at a time
WINDOW_ROWS = 16  # of single samples; in longer windows, and in those with a velocity, features do not occur often enough
GROWTH = 1.25  # room in a table for features of later samples, relative to those that there are


class SparseWeightsForm(SparseCosts, FrontForm):
    """Form "weights" for sparse samples: a table of the features that occur, with W1 and its velocity side by side.

    Features that never occur are not stored: their weights are ``scale[0]`` times their initial weights, which are a function.
    The kernels (``_core/sparse_front.pyx``) train it by whole epochs or step by step, and give what dense samples give.

    Attributes
    ----------
    table : ndarray of shape (n_slots, 2 or 1, width)
        Slots with W and, with momentum, M; `base` and `velocity` are views of shape (n_slots, h).
    slots : Slots
        Which features these are.
    """

    name: ClassVar[str] = WeightsForm.name
    is_automatic: ClassVar[bool] = True
    updates_each_weight: ClassVar[bool] = True
    compiled: ClassVar[bool] = True
    restarts: ClassVar[bool] = True
    goes_on: ClassVar[bool] = True
    _lookup: SlotLookup | None = None  # while blocks of samples come one after the other

    def __init__(
        self, X: Any, initial: InitialWeights, dtype: np.dtype[Any], with_velocity: bool, n_jobs: int | None = None
    ) -> None:
        self._begin(Slotted.of(X, initial.n_features, dtype), initial, dtype, with_velocity, n_jobs)
        fill([self.table], initial, self.slots, 0, self.scale)

    @classmethod
    def of_stream(
        cls, X: Surveyed, initial: InitialWeights, dtype: np.dtype[Any], with_velocity: bool, n_jobs: int | None = None
    ) -> "SparseWeightsForm":
        """Make the form for the features that occur in a stream, without samples."""
        slots = Slots.of_counts(X.features, X.counts, initial.n_features)
        return cls(Slotted(slots, _no_rows(len(slots), dtype)), initial, dtype, with_velocity, n_jobs)

    def restart(self) -> None:
        """Go back to the initial weights, which are made again, without velocities."""
        self.scale[:] = 1.0, 0.0
        fill([self.table], self.initial, self.slots, 0, self.scale)

    def _begin(
        self, samples: Slotted, initial: InitialWeights, dtype: np.dtype[Any], with_velocity: bool, n_jobs: int | None
    ) -> None:
        """Make a table of zeros for the features of some samples."""
        self.initial, self.n_features, self.n_jobs = initial, initial.n_features, n_jobs
        self.scale: NDArray[np.float64] = np.array([1.0, 0.0])
        self._hold(empty_table(len(samples.slots), 2 if with_velocity else 1, initial.n_hidden, dtype), samples.slots)
        self.source: Any = samples.rows

    @classmethod
    def of(cls, weights: ScatteredWeights, n_jobs: int | None = None) -> "SparseWeightsForm":
        """Make the form from weights that are not trained further."""
        form = cls.__new__(cls)
        form.initial, form.n_features, form.n_jobs = weights.initial, weights.n_features, n_jobs
        form.scale = np.array([weights.share, 0.0])
        table = empty_table(len(weights.rows), 1, weights.n_hidden, weights.rows.dtype)
        form._hold(table, Slots(weights.features, weights.n_features))
        form.base[:] = weights.rows
        form.finish()
        return form

    def _hold(self, room: Array, slots: Slots) -> None:
        self._room, self.slots, h = room, slots, self.initial.n_hidden
        self.table = room[: len(slots)]
        self.base, self.velocity = self.table[:, 0, :h], self.table[:, 1, :h] if room.shape[1] == 2 else None

    @classmethod
    def stack(
        cls,
        X: Any,
        initial: InitialWeights,
        n_blocks: int,
        dtype: np.dtype[Any],
        with_velocity: bool,
        n_jobs: int | None = None,
    ) -> "SparseStack":
        """Make several front layers that share samples and slots; `initial` has the weights of all, one after the other."""
        samples, forms = Slotted.of(X, initial.n_features, dtype), []
        for part in by_layer(initial, n_blocks):
            form = cls.__new__(cls)
            form._begin(samples, part, dtype, with_velocity, n_jobs)
            forms.append(form)
        fill([form.table for form in forms], initial, samples.slots, 0, forms[0].scale)
        return SparseStack(forms)

    # ------------------------------------------------------------------------------------------------------------------
    # training

    def check(self, n_samples: int, dtype: np.dtype[Any]) -> None:
        """Raise a ValueError if the arrays do not fit together: kernels trust them."""
        source = self.source
        if len(source) != n_samples or source.shape[1] != len(self.table) or {source.values.dtype, self.table.dtype} != {dtype}:
            raise ValueError(
                f"form {self.name!r} cannot be trained: it has {source.shape} rows of {source.values.dtype} and a table "
                f"{self.table.shape} of {self.table.dtype} for {n_samples} samples of {dtype}"
            )

    @property
    def kernel(self) -> Any:
        """The kernel of whole epochs."""
        return backend.sparse_front

    def kernel_network(self, upper: "UpperLayers") -> Any:
        """Give the arrays of the network as the kernel takes them."""
        rows = self.source
        return backend.sparse_front.SparseNetwork(
            self.table, self.scale, rows.indptr, rows.slots, rows.values, upper.params, upper.velocity, upper.widths,
            upper.activation,
        )  # fmt: skip

    def change_kernel_rows(self, network: Any) -> None:
        """Give the kernel's network the samples that the form has now."""
        network.take_rows(self.source.indptr, self.source.slots, self.source.values)

    def kernel_network_alone(self) -> Any:
        """Give the front layer alone as the kernel takes it, for single steps."""
        rows, nothing = self.source, np.empty(0, self.table.dtype)
        return backend.sparse_front.SparseNetwork(
            self.table, self.scale, rows.indptr, rows.slots, rows.values, nothing, None,
            np.array([self.base.shape[1]], np.intp), 0,
        )  # fmt: skip

    def windows(
        self, batches: Sequence[Rows], per_window: int, optimizer: "Optimizer", memory: Memory, n_threads: int
    ) -> Generator[tuple[Sequence[Rows], OpenFront]]:
        """Give all batches at once, because the weights are up to date after each batch."""
        opened = OpenSparse(self, max(map(len, batches)), len(batches), memory, n_threads)
        try:
            yield batches, opened
        finally:
            opened.close()

    @property
    def flushed(self) -> Array | None:
        """Nothing: the kernels set subnormal numbers to 0, in the slots that they touch."""
        return None

    @property
    def row_length(self) -> float:
        """0, because kernels pass over the entries themselves."""
        return 0.0

    def append(self, X: Any) -> Rows:
        """Replace the samples, because the weights contain everything that is needed from earlier samples."""
        rows = csr(X, self.table.dtype)
        if rows.shape[1] != self.n_features:
            raise ValueError(f"form {self.name!r} takes no more samples: it has {self.n_features} features; use fit")
        found = self._located(rows.indices)
        if (found < 0).any():
            self._grow(self.slots.with_features_of(rows.indices[found < 0]))
            found = self._located(rows.indices)
        self.source = SlotRows(rows.indptr, found, rows.data, len(self.slots))
        return np.arange(len(self.source))

    def _located(self, indices: Array) -> NDArray[np.int32]:
        """Give the slots of the features of some entries, -1 for those without one."""
        if self._lookup is None or self._lookup.slots is not self.slots:
            self._lookup = SlotLookup(self.slots)
        return self._lookup.find(indices)

    def _grow(self, slots: Slots) -> None:
        """Add slots at the end of the table; there is room for more, so that a stream does not copy it again and again."""
        n_before, room = len(self.slots), self._room
        if len(slots) > len(room):
            n_slots = max(len(slots), int(GROWTH * n_before))
            room = empty_table(n_slots, self.table.shape[1], self.initial.n_hidden, self.table.dtype)
            room[:n_before] = self.table
        fill([room[: len(slots)]], self.initial, slots, n_before, self.scale)
        self._hold(room, slots)

    def check_room(self, X: Any, memory_limit: float) -> None:
        """Raise a MemoryError if the table with the features of these samples would exceed the limit."""
        super().check_room(X, memory_limit)
        rows = sparse.csr_array(X.read(slice(0, X.shape[1])) if isinstance(X, Source) else X)
        n_more = len(np.unique(rows.indices[self._located(rows.indices) < 0]))
        n_bytes = (len(self.slots) + n_more) * self.table[0].nbytes
        if n_bytes > memory_limit:
            raise MemoryError(
                f"{n_more:,} more features make a table of {bytes_text(n_bytes)}, over "
                f"memory_limit={bytes_text(memory_limit)}; raise the limit, use fewer hidden units, or hash to fewer features"
            )

    def finish(self) -> None:
        """Drop the samples."""
        self._lookup, self.source = None, _no_rows(len(self.slots), self.table.dtype)

    # ------------------------------------------------------------------------------------------------------------------
    # predictions

    @property
    def scattered(self) -> ScatteredWeights:
        """The weights as a function of features."""
        order = self.slots.order
        return ScatteredWeights(self.slots.features[order], self.base[order], float(self.scale[0]), self.initial).flattened()

    def training_preactivations(self, n: int) -> Array:
        """Give the pre-activations of the first n training samples."""
        rows = self.source.first(n)
        numbers, places = np.unique(rows.indices, return_inverse=True)
        return _product(rows, places, self.base[numbers])

    def preactivations(self, X: Any) -> Array:
        """Give the pre-activations (M, h) of new data, which may be dense."""
        return self.preactivations_of(self.read(X))

    def watched(self, X: Any, memory_limit: float) -> Callable[[], Array]:
        """Give what gives the pre-activations of the same samples again and again; their features are looked up once."""
        read = list(self.read(X))
        return lambda: self.preactivations_of(read)

    def read(self, X: Any) -> Iterator["Read"]:
        """Read new data, some rows after the other."""
        if isinstance(X, Source) and is_sparse(X):  # by columns, from which rows are not read a few at a time
            X = sparse.csr_array(X.read(slice(0, X.shape[1])))
        for part in self._parts(X):
            read = X.read(slice(0, X.shape[1]), part) if isinstance(X, Source) else X[part]
            rows = sparse.csr_array(read, dtype=self.table.dtype)
            features, places = np.unique(rows.indices, return_inverse=True)
            yield Read(rows, features.astype(np.int64), places)

    def preactivations_of(self, parts: Iterable["Read"]) -> Array:
        """Give the pre-activations (M, h) of data that have been read."""
        return np.concatenate([_product(rows, places, self._of(features)) for rows, features, places in parts])

    def _parts(self, X: Any) -> Any:
        """Split rows so that not too many weights are gathered for them."""
        n_rows, n_features = X.shape
        if sparse.issparse(X):
            n_features = max(1, X.nnz // max(1, n_rows))
        return slices(n_rows, max(1, AT_A_TIME // n_features))

    def _of(self, features: NDArray[np.int64]) -> Array:
        """Give the weights of some features in rising order, (len(features), h)."""
        slots = self.slots.of_features(features)
        weights, others = self.base[slots], np.flatnonzero(slots < 0)
        if len(others):
            chosen = ChosenWeights(self.initial, features[others])
            weights[others] = chosen.block(0, len(others), self.table.dtype).T * self.table.dtype.type(self.scale[0])
        return weights

    def expand(self) -> Array:
        """Give the weights (h, d) of all features, a new array."""
        return self.scattered.dense(self.table.dtype)

    def __getstate__(self) -> dict[str, Any]:
        """Leave views out of copies and pickles, because each would become an array of its own."""
        return {name: value for name, value in self.__dict__.items() if name not in ("base", "velocity", "_room", "_lookup")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__ |= state
        table = empty_table(len(self.table), self.table.shape[1], self.initial.n_hidden, self.table.dtype)
        table[:] = self.table
        self._hold(table, self.slots)


class Read(NamedTuple):
    """Some rows of new data: their features, in rising order, and the place of each entry's feature among these."""

    rows: Any
    features: NDArray[np.int64]
    places: Array


def fill(tables: Sequence[Array], initial: InitialWeights, slots: Slots, first: int, scale: NDArray[np.float64]) -> None:
    """Give the slots from `first` on what features have that have not occurred so far.

    Parameters
    ----------
    tables : sequence of ndarray
        Tables of layers with as many units each.
    initial : InitialWeights
        Initial weights of all layers, one after the other.
    slots : Slots
        Features of the slots.
    first : int
        The first slot.
    scale : ndarray of shape (2,)
        Factors of the initial weights, in the weights and in the velocities.
    """
    order, h = slots.order[slots.order >= first], initial.n_hidden // len(tables)
    chosen = ChosenWeights(initial, slots.features[order])
    for part in slices(len(order), max(1, AT_A_TIME // initial.n_hidden)):
        made = chosen.block(part.start, part.stop, tables[0].dtype).T
        for table, own in zip(tables, np.split(made, len(tables), axis=1), strict=True):
            for copy in range(table.shape[1]):
                table[order[part], copy, :h] = own * own.dtype.type(scale[copy])


def _no_rows(n_slots: int, dtype: np.dtype[Any]) -> SlotRows:
    """Give no samples."""
    return SlotRows(np.zeros(1, np.intp), np.empty(0, np.int32), np.empty(0, dtype), n_slots)


def _product(rows: Any, places: Array, weights: Array) -> Array:
    """Multiply sparse rows by the weights of the features that they have, whose places are given for each entry."""
    narrow = sparse.csr_array((rows.data, places.reshape(-1), rows.indptr), shape=(rows.shape[0], len(weights)))
    return np.asarray(narrow @ weights)


class SparseStack(FrontStack):
    """Front layers of sparse features, which read new data once for all."""

    forms: list[SparseWeightsForm]  # type: ignore[assignment]  # the other stacks have other forms

    def preactivations(self, X: Any) -> Preactivations:
        """Give the pre-activations of new data as a function of the layer's number."""
        return self.watched(X, 0.0)()

    def watched(self, X: Any, memory_limit: float) -> Callable[[], Preactivations]:
        """Give what gives the pre-activations of the same samples again and again; their features are looked up once."""
        read = list(self.forms[0].read(X))
        return lambda: lambda t: self.forms[t].preactivations_of(read)


WeightsForm.for_sparse = SparseWeightsForm


class SparseWindowedForm(SparseWeightsForm):
    """Form "windowed" for sparse samples: the same with windows of several batches, where they pay."""

    name: ClassVar[str] = WindowedForm.name
    is_automatic: ClassVar[bool] = True
    updates_each_weight: ClassVar[bool] = False
    _without_weights: ClassVar[str] = WindowedForm._without_weights

    @classmethod
    def choose_window(cls, window: int | str, batch_size: int, n_samples: int, has_velocity: bool) -> int:
        """Turn `window`, a number of rows or "auto", into a number of rows that is a multiple of the batch size."""
        if isinstance(window, str):
            return WINDOW_ROWS if batch_size == 1 and not has_velocity else batch_size
        return WindowedForm.choose_window(window, batch_size, n_samples, has_velocity)


WindowedForm.for_sparse = SparseWindowedForm
