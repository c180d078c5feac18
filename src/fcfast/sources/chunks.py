"""Columns of arrays that are stored in chunks, each of which is decoded once in a pass."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fcfast.sources import protocol

Array = NDArray[Any]
Fill = Callable[[Array, int, int], None]  # reads the columns start..stop-1 into an array of that width


class ChunkedColumns:
    """Reads ranges of columns, and keeps the last column of chunks if only a part of it was asked for.

    Ranges that follow each other then decode each chunk once, wherever their borders are. A column of chunks that is larger
    than `READ_BYTES` is not kept: such chunks hold (almost) whole rows, and are decoded again for every range.

    Parameters
    ----------
    shape : tuple of (int, int)
    dtype : dtype
    width : int
        Columns of a chunk; 1 if there are no chunks.
    """

    def __init__(self, shape: tuple[int, int], dtype: "np.dtype[Any]", width: int) -> None:
        self.shape, self.dtype = shape, dtype
        self.width = width if shape[0] * width * dtype.itemsize <= protocol.READ_BYTES else 1
        self._kept: tuple[int, Array] = 0, np.empty((shape[0], 0), dtype)  # its first column, and the columns

    def read(self, start: int, stop: int, fill: Fill) -> Array:
        """Read the columns start..stop-1.

        Parameters
        ----------
        start, stop : int
        fill : callable
            ``fill(array, start, stop)`` reads these columns from the file into `array`.

        Returns
        -------
        ndarray of shape (N, stop - start)
        """
        block = np.empty((self.shape[0], stop - start), self.dtype)
        first, kept = self._kept
        done = start
        if first <= start < first + kept.shape[1]:
            done = min(stop, first + kept.shape[1])
            block[:, : done - start] = kept[:, start - first : done - first]
        border = max(done, stop - stop % self.width)  # where the last column of chunks begins, if a part of it is left over
        if done < border:
            fill(block[:, done - start : border - start], done, border)
        if border < stop:
            end = min(border - border % self.width + self.width, self.shape[1])
            last = np.empty((self.shape[0], end - border), self.dtype)
            fill(last, border, end)
            block[:, border - start :] = last[:, : stop - border]
            self._kept = border, last
        return block

    def __getstate__(self) -> dict[str, Any]:
        """Leave out the columns that are kept."""
        return self.__dict__ | {"_kept": (0, np.empty((self.shape[0], 0), self.dtype))}
