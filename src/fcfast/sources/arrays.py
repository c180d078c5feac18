"""Sources that lie in memory: arrays, memory maps and sparse matrices."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from fcfast.sources.inputs import fingerprint
from fcfast.sources.protocol import Rows, Source


class ArraySource(Source):
    """A dense array or memory map of shape (N, d), which is never copied as a whole.

    Examples
    --------
    >>> import numpy as np
    >>> from fcfast.sources import ArraySource
    >>> source = ArraySource(np.arange(12, dtype="int8").reshape(3, 4))
    >>> source[[2, 0]].read(slice(1, 3))
    array([[ 9, 10],
           [ 1,  2]], dtype=int8)
    """

    array: NDArray[Any]

    def __init__(self, array: NDArray[Any]) -> None:
        self.array = array
        self.shape, self.dtype = array.shape, array.dtype

    def read(self, features: slice, rows: Rows = None) -> NDArray[Any]:
        """Read some features of some rows; a view unless rows are numbers."""
        return self.array[:, features] if rows is None else self.array[rows, features]

    def fingerprint(self) -> bytes:
        """Digest the array."""
        return fingerprint(self.array)


class SparseSource(Source):
    """A sparse matrix of shape (N, d) in any format; it is held in CSC, a copy unless it already is."""

    is_sparse = True

    def __init__(self, matrix: Any) -> None:
        self.matrix = matrix
        self.columns = sparse.csc_array(matrix)
        self.shape, self.dtype = matrix.shape, matrix.dtype

    def read(self, features: slice, rows: Rows = None) -> Any:
        """Read some features of some rows."""
        block = self.columns[:, features]
        return block if rows is None else sparse.csc_array(block[rows])

    def fingerprint(self) -> bytes:
        """Digest the matrix."""
        return fingerprint(self.matrix if self.matrix.format in ("csr", "csc") else self.columns)

    def count_entries(self) -> NDArray[np.intp]:
        """Count the entries of each feature."""
        return np.diff(self.columns.indptr).astype(np.intp)
