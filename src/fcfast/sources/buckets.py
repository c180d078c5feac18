"""A temporary file that turns the rows of a large sparse matrix into columns, in bounded memory."""

import threading
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from fcfast.sources import protocol
from fcfast.sources.temporary import SHARE, TemporaryBytes

Array = NDArray[Any]


class Buckets:
    """Entries of a sparse matrix that come by rows, in a temporary file by groups of neighbouring columns.

    The number of entries of each column is known beforehand. So each group, a bucket, has its own place in the file, which is
    filled by sequential writes and read as a whole.

    Parameters
    ----------
    shape : tuple of (int, int)
    dtype : dtype
        Type of the values.
    counts : ndarray of shape (d,)
        Entries of each column.

    Raises
    ------
    OSError
        If the folder of temporary files has too little space.

    Examples
    --------
    >>> import numpy as np
    >>> from fcfast.sources.buckets import Buckets
    >>> buckets = Buckets((2, 3), np.dtype("int8"), np.array([1, 0, 2]))
    >>> buckets.add(np.array([0, 0, 1]), np.array([2, 0, 2]), np.array([5, 6, 7], "int8"))
    >>> buckets.read(1, 3).toarray()
    array([[0, 5],
           [0, 7]], dtype=int8)
    """

    def __init__(self, shape: tuple[int, int], dtype: "np.dtype[Any]", counts: NDArray[np.intp]) -> None:
        self.shape = shape
        index = np.int32 if max(shape) <= np.iinfo(np.int32).max else np.int64
        self.entry = np.dtype([("row", index), ("column", index), ("value", dtype)])
        self.n_at_a_time = max(1, protocol.READ_BYTES // (SHARE * (self.entry.itemsize + 8)))
        self.places = np.concatenate([[0], np.cumsum(counts)])  # the entries before each column
        full = self.places[:-1] // self.n_at_a_time  # a column begins a new bucket where the last one is full
        self.borders = np.unique(np.concatenate([[0], np.flatnonzero(np.diff(full)) + 1, [shape[1]]]))
        self._filled = self.places[self.borders[:-1]].copy()
        self._kept: tuple[int, Any] = -1, None  # the last bucket, which the next block may need, too
        self._lock = threading.Lock()
        self.temporary = TemporaryBytes(int(self.places[-1]) * self.entry.itemsize)

    def add(self, rows: Array, columns: Array, values: Array) -> None:
        """Write some entries, whose rows come after all rows that were added before."""
        bucket = np.searchsorted(self.borders, columns, side="right") - 1
        order = np.argsort(bucket, kind="stable")
        entries = np.empty(len(order), self.entry)
        entries["row"], entries["column"], entries["value"] = rows[order], columns[order], values[order]
        counts = np.bincount(bucket, minlength=len(self._filled))
        ends = np.cumsum(counts)
        for b in np.flatnonzero(counts):
            self.temporary.write(int(self._filled[b]) * self.entry.itemsize, entries[ends[b] - counts[b] : ends[b]])
        self._filled += counts

    def read(self, start: int, stop: int) -> Any:
        """Read the columns start..stop-1 as a csc_array; entries have the order that SciPy gives them."""
        first = int(np.searchsorted(self.borders, start, side="right")) - 1
        pieces = []
        with self._lock:
            for b in range(first, len(self._filled)):
                before = int(self.borders[b])
                if before >= stop:
                    break
                pieces.append(self._bucket(b)[:, max(start - before, 0) : stop - before])
        if not pieces or start >= stop:
            return sparse.csc_array((self.shape[0], 0), dtype=self.entry["value"])
        return pieces[0] if len(pieces) == 1 else sparse.csc_array(sparse.hstack(pieces, format="csc"))

    def _bucket(self, b: int) -> Any:
        if self._kept[0] != b:
            self._kept = -1, None
            first, last = (int(border) for border in self.borders[b : b + 2])
            entries = np.empty(self.places[last] - self.places[first], self.entry)
            self.temporary.read(int(self.places[first]) * self.entry.itemsize, entries)
            indptr = np.concatenate([[0], np.cumsum(np.bincount(entries["row"], minlength=self.shape[0]))])
            matrix = sparse.csr_array(
                (entries["value"].copy(), entries["column"] - first, indptr), shape=(self.shape[0], last - first)
            )
            self._kept = b, matrix.tocsc()
        return self._kept[1]
