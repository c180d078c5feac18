"""Sparse matrices that lie in files by columns (CSC) or by rows (CSR), as AnnData writes them in HDF5 and zarr."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from fcfast.sources import protocol
from fcfast.sources.buckets import Buckets
from fcfast.sources.files import FileSource, check_content

Array = NDArray[Any]


class CompressedSource(FileSource):
    """A sparse matrix in a group of an HDF5 file or zarr folder with `data`, `indices` and `indptr`, the layout of AnnData.

    Use `open_compressed`, which takes the class that the group's encoding asks for.

    Parameters
    ----------
    handle : Hdf5Handle or ZarrHandle
        Handle of the group.
    """

    is_sparse = True

    def __init__(self, handle: Any) -> None:
        self.handle = handle
        self.state = handle.state
        group = handle.get()
        n_samples, n_features = group.attrs["shape"]
        self.shape = int(n_samples), int(n_features)
        self.dtype = group["data"].dtype
        check_content(f"the sparse matrix in {self.path}", self.shape, self.dtype)
        n_lines = self.shape[self.axis] + 1
        self.indptr = np.asarray(group["indptr"][:], np.int64)
        stored = group["data"].shape[0], group["indices"].shape[0]
        if len(self.indptr) != n_lines or self.indptr[0] != 0 or np.any(np.diff(self.indptr) < 0):
            raise ValueError(
                f"the sparse matrix in {self.path} is damaged: its indptr does not rise from 0 to {n_lines} places"
            )
        if stored != (self.indptr[-1], self.indptr[-1]):
            raise ValueError(
                f"the sparse matrix in {self.path} is damaged: its indptr counts {self.indptr[-1]} entries, but there are "
                f"{stored[0]} values and {stored[1]} indices"
            )

    axis: int  # along which entries are stored

    def entries(self, start: int, stop: int) -> tuple[Array, Array]:
        """Read the indices and the values of the entries start..stop-1, in the order of the file."""
        indices = self.indices(start, stop)
        with self.state.decoding():
            values = np.asarray(self.handle.get()["data"][start:stop])
        return indices, values

    def indices(self, start: int, stop: int) -> Array:
        """Read the indices of the entries start..stop-1."""
        with self.state.decoding():
            indices = np.asarray(self.handle.get()["indices"][start:stop])
        size = self.shape[1 - self.axis]
        if len(indices) and (indices.min() < 0 or indices.max() >= size):
            raise ValueError(
                f"the sparse matrix in {self.path} is damaged: it has an index that is not within 0 and {size - 1}"
            )
        return indices

    def entry_bytes(self) -> int:
        """Count the bytes of an entry in the file."""
        return int(self.dtype.itemsize + self.handle.get()["indices"].dtype.itemsize)


class ColumnsSource(CompressedSource):
    """A sparse matrix by columns (CSC) in a file."""

    axis = 1

    def read_columns(self, start: int, stop: int) -> Any:
        """Read the features start..stop-1 of all samples."""
        first, last = self.indptr[start], self.indptr[stop]
        indices, values = self.entries(int(first), int(last))
        return sparse.csc_array((values, indices, self.indptr[start : stop + 1] - first), shape=(self.shape[0], stop - start))

    def parts(self, start: int, stop: int) -> Iterator[tuple[int, int]]:
        """Split a range of features by the size of their entries."""
        return split(self.indptr, start, stop, max(1, protocol.READ_BYTES // self.entry_bytes()))

    def count_entries(self) -> NDArray[np.intp]:
        """Count the entries of each feature."""
        return np.diff(self.indptr).astype(np.intp)


class RowsSource(CompressedSource):
    """A sparse matrix by rows (CSR) in a file.

    Its columns are scattered over the whole file. One of at most `READ_BYTES` is therefore held in memory by columns; a larger
    one is sorted into a temporary file by groups of columns when it is first read (`Buckets`), in bounded memory. Neither is
    pickled.
    """

    axis = 0

    def __init__(self, handle: Any) -> None:
        super().__init__(handle)
        self._by_columns: Callable[[int, int], Any] | None = None
        self._counts: NDArray[np.intp] | None = None

    def read_columns(self, start: int, stop: int) -> Any:
        """Read the features start..stop-1 of all samples."""
        if self._by_columns is None:
            self._by_columns = self._sorted()
        return self._by_columns(start, stop)

    def _sorted(self) -> Callable[[int, int], Any]:
        n_entries = int(self.indptr[-1])
        if n_entries * self.entry_bytes() <= protocol.READ_BYTES:
            indices, values = self.entries(0, n_entries)
            matrix = sparse.csr_array((values, indices, self.indptr), shape=self.shape).tocsc()
            return lambda start, stop: matrix[:, start:stop]
        buckets = Buckets(self.shape, self.dtype, self.count_entries())
        for start in range(0, n_entries, buckets.n_at_a_time):
            stop = min(start + buckets.n_at_a_time, n_entries)
            rows = np.searchsorted(self.indptr, np.arange(start, stop), side="right") - 1
            buckets.add(rows, *self.entries(start, stop))
        self.state.check()  # nothing is kept of a file that changed in the meantime
        return buckets.read

    def parts(self, start: int, stop: int) -> Iterator[tuple[int, int]]:
        """Split a range of features by the size of their entries."""
        borders = np.concatenate([[0], np.cumsum(self.count_entries())])
        return split(borders, start, stop, max(1, protocol.READ_BYTES // self.entry_bytes()))

    def count_entries(self) -> NDArray[np.intp]:
        """Count the entries of each feature, which reads the indices once."""
        if self._counts is None:
            counts = np.zeros(self.shape[1], np.intp)
            n_entries, step = int(self.indptr[-1]), max(1, protocol.READ_BYTES // 32)
            for start in range(0, n_entries, step):
                counts += np.bincount(self.indices(start, min(start + step, n_entries)), minlength=self.shape[1])
            self._counts = counts
        return self._counts

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what was sorted."""
        return self.__dict__ | {"_by_columns": None}


ENCODINGS: dict[str, type[CompressedSource]] = {"csc_matrix": ColumnsSource, "csr_matrix": RowsSource}


def open_compressed(handle: Any) -> CompressedSource:
    """Open the sparse matrix in a group that says its encoding.

    Raises
    ------
    ValueError
        If the group is no sparse matrix, or is damaged.
    """
    encoding = handle.get().attrs.get("encoding-type")
    if encoding not in ENCODINGS:
        raise ValueError(
            f"{handle.state.path} has no sparse matrix there: its encoding-type is {encoding!r}, not {[*ENCODINGS]}"
        )
    return ENCODINGS[encoding](handle)


def split(borders: Array, start: int, stop: int, n_entries: int) -> Iterator[tuple[int, int]]:
    """Split the lines start..stop-1, whose entries begin at `borders`, into runs of at most `n_entries`, or of one line."""
    while start < stop:
        end = int(np.searchsorted(borders[: stop + 1], borders[start] + n_entries, side="right")) - 1
        end = min(stop, max(end, start + 1))
        yield start, end
        start = end
