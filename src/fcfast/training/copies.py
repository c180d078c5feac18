"""Copies of a network that lie in a temporary file if they are large, so that training holds the network only once."""

import tempfile
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fcfast.tiles import slices
from fcfast.units import bytes_text

Array = NDArray[Any]

IN_MEMORY = 64 << 20  # bytes up to which a copy stays in memory
AT_A_TIME = 4 << 20  # bytes that are written or read together


class Copy:
    """A copy of some arrays, until `close`."""

    def __init__(self) -> None:
        self._file = tempfile.SpooledTemporaryFile(max_size=IN_MEMORY)  # noqa: SIM115  # `close` closes it

    def close(self) -> None:
        """Remove the copy."""
        self._file.close()

    def write(self, arrays: Sequence[Array]) -> None:
        """Copy arrays, in place of what was copied before.

        Raises
        ------
        OSError
            If there is no room for the file.
        """
        self._file.seek(0)
        try:
            for array in arrays:
                for part in _parts(array):
                    self._file.write(np.ascontiguousarray(array[part]).tobytes())
            self._file.flush()
        except OSError as error:
            size = bytes_text(sum(array.nbytes for array in arrays))
            raise OSError(
                f"no copy of the network ({size}) could be written to {tempfile.gettempdir()} ({error.strerror}); it is what "
                "training goes back to if it is interrupted. Make room there, or set TMPDIR to another folder"
            ) from error

    def read(self, arrays: Sequence[Array]) -> None:
        """Give arrays the values that were copied."""
        self._file.seek(0)
        for array in arrays:
            for part in _parts(array):
                into = array[part]
                into[...] = np.frombuffer(self._file.read(into.nbytes), into.dtype).reshape(into.shape)


def _parts(array: Array) -> list[slice]:
    each = max(1, array.nbytes // max(1, len(array)))
    return slices(len(array), max(1, AT_A_TIME // each))
