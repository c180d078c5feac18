"""The table of a front layer of sparse features, and training rows that refer to it."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from fcfast.sources.entries import FEWER, counted, places_of
from fcfast.sources.protocol import Source
from fcfast.validation import all_finite

Array = NDArray[Any]
Features = NDArray[np.int64]

CACHE_LINE = 64  # bytes


def padded(n_hidden: int, itemsize: int) -> int:
    """Give the numbers in whole cache lines that hold so many hidden units."""
    in_line = CACHE_LINE // itemsize
    return -(-n_hidden // in_line) * in_line


def empty_table(n_slots: int, n_copies: int, n_hidden: int, dtype: np.dtype[Any]) -> Array:
    """Give zeros of shape (n_slots, n_copies, width) that begin at a cache line; the first `n_hidden` of a width count."""
    shape = n_slots, n_copies, padded(n_hidden, dtype.itemsize)
    in_line, size = CACHE_LINE // dtype.itemsize, int(np.prod(shape))
    room = np.zeros(size + in_line, dtype)
    start = -room.ctypes.data % CACHE_LINE // dtype.itemsize
    return room[start : start + size].reshape(shape)


def csr(X: Any, dtype: np.dtype[Any]) -> Any:
    """Give samples in CSR, without duplicates and zeros; it shares memory with X only if nothing has to be changed.

    Raises
    ------
    ValueError
        If a value is too large for `dtype`.
    """
    if isinstance(X, Source):
        X = X.read(slice(0, X.shape[1]))
    rows = sparse.csr_array(X)
    if not rows.has_canonical_format or not rows.data.all():
        rows = rows.copy()
        rows.sum_duplicates()
        rows.eliminate_zeros()
    with np.errstate(over="ignore"):  # reported below
        rows = rows.astype(dtype, copy=False)
    if not all_finite(rows.data):
        raise ValueError(f"X has values too large for {dtype}; scale X, or use dtype='float64'")
    return rows


class SlotRows:
    """Training rows in CSR whose columns are slots of a table; they look like a source to the network.

    Attributes
    ----------
    indptr : ndarray of intp of shape (N + 1,)
    slots : ndarray of int32 of shape (n_entries,)
    values : ndarray of shape (n_entries,)
    shape : tuple of int
        Numbers of rows and of slots.
    """

    def __init__(self, indptr: Array, slots: Array, values: Array, n_slots: int) -> None:
        self.indptr = np.ascontiguousarray(indptr, np.intp)
        self.slots, self.values = np.ascontiguousarray(slots, np.int32), np.ascontiguousarray(values)
        self.shape = len(indptr) - 1, n_slots

    def __len__(self) -> int:
        return self.shape[0]

    def sparse(self) -> Any:
        """Give all rows as a sparse array of slots, without copying them."""
        return sparse.csr_array((self.values, self.slots, self.indptr), shape=self.shape)

    def first(self, n: int) -> Any:
        """Give the first n rows as a sparse array of slots."""
        n = min(n, len(self))
        end = self.indptr[n]
        parts = self.values[:end], self.slots[:end], self.indptr[: n + 1]
        return sparse.csr_array(parts, shape=(n, self.shape[1]))


class Slotted(NamedTuple):
    """Training samples with slots in the place of features."""

    slots: "Slots"
    rows: SlotRows

    @classmethod
    def of(cls, X: Any, n_features: int, dtype: np.dtype[Any]) -> "Slotted":
        """Give slots to the features of samples that have none yet."""
        if isinstance(X, Slotted):
            return X
        rows = csr(X, dtype)
        slots = Slots.of(rows.indices, n_features)
        return cls(slots, SlotRows(rows.indptr, slots.find(rows.indices), rows.data, len(slots)))


class Slots:
    """Numbers of slots for features: those that occur most come first, and later ones are added at the end.

    Parameters
    ----------
    features : ndarray of int64
        Feature of each slot.
    n_features : int
        Number of all features.

    Attributes
    ----------
    order : ndarray of intp
        Slots in the order of their features.

    Examples
    --------
    >>> import numpy as np
    >>> from fcfast.front.slots import Slots
    >>> slots = Slots.of(np.array([7, 2, 7, 9]), n_features=10)
    >>> slots.features, slots.find(np.array([9, 7]))
    (array([7, 2, 9]), array([2, 0], dtype=int32))
    """

    def __init__(self, features: Features, n_features: int) -> None:
        self.features, self.n_features = features, n_features
        self.order = np.argsort(features)

    @classmethod
    def of(cls, indices: Array, n_features: int) -> "Slots":
        """Give slots to the features of some entries; at least one, even if there are none."""
        return cls.of_counts(*counted(indices, n_features), n_features)

    @classmethod
    def of_counts(cls, features: Array, counts: Array, n_features: int) -> "Slots":
        """Give slots to features with so many entries; at least one, even if there are none."""
        by_count = np.argsort(-counts, kind="stable")
        return cls(features[by_count].astype(np.int64) if len(features) else np.zeros(1, np.int64), n_features)

    def __len__(self) -> int:
        return len(self.features)

    @property
    def rising(self) -> Features:
        """The features in rising order."""
        return self.features[self.order]

    def with_features_of(self, indices: Array) -> "Slots":
        """Give the same slots with those of features at the end that only these entries have."""
        features = counted(indices, self.n_features)[0]
        new = features[self.of_features(features) < 0]
        return Slots(np.concatenate([self.features, new.astype(np.int64)]), self.n_features) if len(new) else self

    def of_features(self, features: Array) -> NDArray[np.intp]:
        """Give the slots of some features, -1 for those without one."""
        places = places_of(features, self.rising, self.n_features)
        return np.where(places >= 0, self.order[places], -1)

    def find(self, indices: Array) -> NDArray[np.int32]:
        """Give the slots of the features of some entries, all of which have one."""
        if self.n_features > FEWER * len(indices):
            return self.of_features(indices).astype(np.int32)
        slots = np.empty(self.n_features, np.int32)
        slots[self.features] = np.arange(len(self))
        return slots[indices]


class SlotLookup:
    """The slots of the features of many entries, one block of samples after the other.

    Parameters
    ----------
    slots : Slots
    """

    def __init__(self, slots: Slots) -> None:
        self.slots = slots
        self._rising = slots.rising
        self._numbers: NDArray[np.int32] | None = None
        if slots.n_features <= FEWER * len(slots):  # an array with a number for each feature is small beside the table
            self._numbers = np.full(slots.n_features, -1, np.int32)
            self._numbers[slots.features] = np.arange(len(slots))

    def find(self, indices: Array) -> NDArray[np.int32]:
        """Give the slots of the features of some entries, -1 for those without one."""
        if self._numbers is not None:
            return self._numbers[indices]
        features, entries = np.unique(indices, return_inverse=True)
        places = np.minimum(np.searchsorted(self._rising, features), len(self._rising) - 1)
        slots = np.where(self._rising[places] == features, self.slots.order[places], -1)
        return slots.astype(np.int32)[entries.reshape(-1)]
