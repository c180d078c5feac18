"""A temporary file of known size, which is deleted together with the object that holds it."""

import shutil
import tempfile
import weakref
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

SHARE = 8  # pieces of a temporary file that fill `READ_BYTES`: one is held in two forms, beside the block that it becomes


class TemporaryBytes:
    """Arrays in a temporary file, at places that are known beforehand.

    The file is deleted when the object is, and by the operating system if the process is killed.

    Parameters
    ----------
    size : int
        Bytes that will be written.

    Raises
    ------
    OSError
        If the folder of temporary files has too little space.

    Examples
    --------
    >>> import numpy as np
    >>> from fcfast.sources.temporary import TemporaryBytes
    >>> held = TemporaryBytes(8)
    >>> held.write(4, np.array([7], "int32"))
    >>> held.read(4, np.empty(1, "int32"))
    array([7], dtype=int32)
    """

    def __init__(self, size: int) -> None:
        self._folder = tempfile.gettempdir()
        if (free := shutil.disk_usage(self._folder).free) < size:
            raise OSError(self._full(f"{size} bytes are needed, {free} are free"))
        self.file = tempfile.TemporaryFile(prefix="fcfast-", dir=self._folder, buffering=0)  # noqa: SIM115  # closed below
        weakref.finalize(self, self.file.close)

    def _full(self, reason: str) -> str:
        return (
            f"a matrix that is stored by rows cannot be sorted by columns in {self._folder}: {reason}. Set TMPDIR to a folder "
            "with more space, or store the matrix by columns: CSC, or chunks of many rows and few columns"
        )

    def write(self, place: int, array: Array) -> None:
        """Write a contiguous array; if that fails, the file is closed, because it cannot be used."""
        try:
            self.file.seek(place)
            left = _bytes_of(array)
            while left:
                left = left[self.file.write(left) :]
        except OSError as error:
            self.file.close()
            raise OSError(self._full(str(error))) from error

    def read(self, place: int, array: Array) -> Array:
        """Fill a contiguous array."""
        self.file.seek(place)
        left = _bytes_of(array)
        while left and (n_read := self.file.readinto(left)):
            left = left[n_read:]
        if left:
            raise OSError(f"the temporary file in {self._folder} lacks {len(left)} bytes of what was written to it")
        return array


def _bytes_of(array: Array) -> memoryview:
    return memoryview(array.reshape(-1).view(np.uint8).data)
