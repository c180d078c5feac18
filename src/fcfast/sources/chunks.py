"""Arrays that are stored in chunks: each chunk is decoded once, however the columns are read."""

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fcfast.sources import protocol
from fcfast.sources.files import FileSource, check_content
from fcfast.sources.temporary import SHARE, TemporaryBytes

Array = NDArray[Any]
Part = Callable[[slice, slice], Array]  # reads some rows of some columns


class ChunkedSource(FileSource):
    """A dense array in a file, in chunks or not; `get()` of its handle gives what has a shape, a dtype and chunks.

    Parameters
    ----------
    handle : Hdf5Handle or ZarrHandle
    what : str
        What to call the array in messages.
    """

    def __init__(self, handle: Any, what: str) -> None:
        self.handle, self.state = handle, handle.state
        held = handle.get()
        check_content(what, held.shape, held.dtype)
        self.shape, self.dtype = tuple(held.shape), held.dtype
        self._chunks = None if held.chunks is None else tuple(held.chunks)
        self._by_columns: ChunkedColumns | Bands | None = None

    def read_columns(self, start: int, stop: int) -> Array:
        """Read the features start..stop-1 of all samples."""
        if self._by_columns is None:
            self._by_columns = self._way()
        return self._by_columns.read(start, stop)

    def _way(self) -> "ChunkedColumns | Bands":
        # What reads holds no reference to this object, so that both are deleted, and files closed, at once.
        handle, state = self.handle, self.state

        def part(rows: slice, columns: slice) -> Array:
            with state.decoding():
                return np.asarray(handle.get()[rows, columns])

        if self._chunks is None:
            return ChunkedColumns(self.shape, self.dtype, 1, part)
        if self.shape[0] * self._chunks[1] * self.dtype.itemsize <= protocol.READ_BYTES:
            return ChunkedColumns(self.shape, self.dtype, self._chunks[1], part)
        bands = Bands(self.shape, self.dtype, self._chunks, part)
        self.state.check()  # nothing is kept of a file that changed in the meantime
        return bands

    def __getstate__(self) -> dict[str, Any]:
        """Leave out columns that are kept."""
        return self.__dict__ | {"_by_columns": None}


class ChunkedColumns:
    """Reads ranges of columns, and keeps the last column of chunks if only a part of it was asked for.

    Ranges that follow each other then decode each chunk once, wherever their borders are.

    Parameters
    ----------
    shape : tuple of (int, int)
    dtype : dtype
    width : int
        Columns of a chunk; 1 if there are no chunks.
    part : callable
        ``part(rows, columns)`` reads from the file.
    """

    def __init__(self, shape: tuple[int, int], dtype: "np.dtype[Any]", width: int, part: Part) -> None:
        self.shape, self.dtype, self.width = shape, dtype, width
        self._part = part
        self._kept: tuple[int, Array] = 0, np.empty((shape[0], 0), dtype)  # its first column, and the columns

    def read(self, start: int, stop: int) -> Array:
        """Read the columns start..stop-1."""
        every = slice(None)
        first, kept = self._kept
        done = start
        if first <= start < first + kept.shape[1]:
            done = min(stop, first + kept.shape[1])
        border = max(done, stop - stop % self.width)  # where the last column of chunks begins, if a part of it is left over
        if (start, border) == (done, stop):
            return self._part(every, slice(start, stop))
        block = np.empty((self.shape[0], stop - start), self.dtype)
        block[:, : done - start] = kept[:, start - first : done - first]
        if done < border:
            block[:, done - start : border - start] = self._part(every, slice(done, border))
        if border < stop:
            last = self._part(every, slice(border, min(border - border % self.width + self.width, self.shape[1])))
            block[:, border - start :] = last[:, : stop - border]
            self._kept = border, last
        return block


class Bands:
    """An array whose chunks hold (almost) whole rows, in a temporary file by bands of neighbouring columns.

    A column of such chunks is nearly the whole array. Reading columns would decode every chunk again for each block, so that
    all chunks are decoded once, and each band is then read as a whole.

    Parameters
    ----------
    shape : tuple of (int, int)
    dtype : dtype
    chunks : tuple of (int, int)
        Rows and columns of a chunk.
    part : callable
        ``part(rows, columns)`` reads from the file.

    Raises
    ------
    OSError
        If the folder of temporary files has too little space.

    Examples
    --------
    >>> import numpy as np
    >>> from fcfast.sources.chunks import Bands
    >>> array = np.arange(12, dtype="int8").reshape(3, 4)
    >>> Bands(array.shape, array.dtype, (1, 4), lambda rows, columns: array[rows, columns]).read(1, 3)
    array([[ 1,  2],
           [ 5,  6],
           [ 9, 10]], dtype=int8)
    """

    def __init__(self, shape: tuple[int, int], dtype: "np.dtype[Any]", chunks: tuple[int, int], part: Part) -> None:
        self.shape, self.dtype = shape, dtype
        column_bytes = max(1, shape[0] * dtype.itemsize)
        self.width = max(1, protocol.READ_BYTES // (SHARE * column_bytes))
        self._kept: tuple[int, Array] = -1, np.empty((shape[0], 0), dtype)
        self._lock = threading.Lock()
        self.temporary = TemporaryBytes(shape[1] * column_bytes)
        height, length = chunks
        at_once = max(1, protocol.READ_BYTES // (SHARE * height * length * dtype.itemsize))  # chunks, along the columns first
        along = min(at_once, -(-shape[1] // length))
        height, length = height * max(1, at_once // along), length * along
        for row in range(0, shape[0], height):
            for column in range(0, shape[1], length):
                rows, columns = slice(row, min(row + height, shape[0])), slice(column, min(column + length, shape[1]))
                self._write(rows, columns, part(rows, columns))

    def _write(self, rows: slice, columns: slice, part: Array) -> None:
        """Write a part into the bands; a row of a band that has more columns than the part is written in pieces."""
        for start in range(columns.start - columns.start % self.width, columns.stop, self.width):
            first, last = max(start, columns.start), min(start + self.width, columns.stop)
            width = min(self.width, self.shape[1] - start)
            piece = np.ascontiguousarray(part[:, first - columns.start : last - columns.start])
            place = self.shape[0] * start + rows.start * width + first - start
            if last - first == width:
                self.temporary.write(place * self.dtype.itemsize, piece)
            else:
                for i, row in enumerate(piece):
                    self.temporary.write((place + i * width) * self.dtype.itemsize, row)

    def read(self, start: int, stop: int) -> Array:
        """Read the columns start..stop-1."""
        block = np.empty((self.shape[0], stop - start), self.dtype)
        with self._lock:
            for before in range(start - start % self.width, stop, self.width):
                first, last = max(before, start), min(before + self.width, stop)
                block[:, first - start : last - start] = self._band(before)[:, first - before : last - before]
        return block

    def _band(self, start: int) -> Array:
        if self._kept[0] != start:
            self._kept = -1, self._kept[1][:, :0]
            band = np.empty((self.shape[0], min(self.width, self.shape[1] - start)), self.dtype)
            self._kept = start, self.temporary.read(self.shape[0] * start * self.dtype.itemsize, band)
        return self._kept[1]
