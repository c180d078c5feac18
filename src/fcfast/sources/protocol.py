"""What can be read by blocks of features: the one interface through which all features reach the products.

An array in memory, a file larger than memory and a standardised view of either are all samples by features, read a few columns
at a time. Whatever multiplies, measures or expands asks a `Source` for blocks and for nothing else.
"""

from abc import ABC, abstractmethod
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

Array = NDArray[Any]
Rows: TypeAlias = "slice | NDArray[np.intp] | None"

READ_BYTES = 64 << 20  # size of a block when a whole source is read into memory


class Source(ABC):
    """Samples by features that are read in blocks of features.

    A source can be indexed by rows, ``source[rows]``, which reads nothing: it is a source of these rows. Therefore every tool
    of scikit-learn that only splits X by rows takes it.

    Attributes
    ----------
    shape : tuple of (int, int)
        Numbers of samples and of features.
    dtype : dtype
        Type of the numbers as they are stored. If it has no NaN, blocks in which values are missing come as float32.
    is_sparse : bool
        Whether blocks are sparse.
    feature_names, sample_names : list of str, or None
        Names, if the source has any.
    array : ndarray of shape (N, d), or None
        The samples themselves, if they lie in one array as they are read.
    """

    ndim = 2
    array: Array | None = None
    shape: tuple[int, int]
    dtype: np.dtype[Any]
    is_sparse: bool = False
    feature_names: list[str] | None = None
    sample_names: list[str] | None = None

    @abstractmethod
    def read(self, features: slice, rows: Rows = None) -> Any:
        """Read some features of some rows.

        Parameters
        ----------
        features : slice
            Range of features with a start and a stop, and step 1.
        rows : slice, ndarray of int, or None
            Rows in any order, which may occur more than once; None reads all rows.

        Returns
        -------
        ndarray or csc_array of shape (n_rows, n_read)
            Numbers in any real dtype and memory order, which the caller must not change; a missing value is NaN. CSC if the
            source `is_sparse`.
        """

    @abstractmethod
    def fingerprint(self) -> bytes:
        """Digest the content, or for a file its size and time of change, so that a change after training is noticed."""

    def count_entries(self) -> NDArray[np.intp]:
        """Count the entries of each feature, if the source is sparse."""
        raise NotImplementedError(f"{type(self).__name__} is not sparse")

    def __len__(self) -> int:
        """Give the number of samples."""
        return self.shape[0]

    def __getitem__(self, key: Any) -> "Source":
        """Give a source of some rows: a slice, row numbers or a mask, alone or followed by ``...`` or ``:``."""
        if isinstance(key, tuple):
            key, *others = key
            if any(other is not Ellipsis and other != slice(None) for other in others):
                raise IndexError(f"a {type(self).__name__} is indexed by rows alone, got {others} in addition")
        rows = np.arange(self.shape[0])[key]
        if rows.ndim != 1:
            raise IndexError(f"a {type(self).__name__} is indexed by several rows: a slice, row numbers or a mask, got {key!r}")
        return SelectedRows(self, rows)

    def dense(self, dtype: Any) -> Array:
        """Read everything into a new C-contiguous array, block by block."""
        n_samples, n_features = self.shape
        array = np.empty(self.shape, dtype)
        width = max(1, READ_BYTES // max(1, n_samples * self.dtype.itemsize))
        for start in range(0, n_features, width):
            features = slice(start, min(start + width, n_features))
            block = self.read(features)
            array[:, features] = block.toarray() if sparse.issparse(block) else block
        return array

    def __repr__(self) -> str:
        """Describe the source in a line."""
        return f"{type(self).__name__}({self.shape[0]} samples x {self.shape[1]} features, {self.dtype})"


class SelectedRows(Source):
    """Some rows of another source, in any order.

    Parameters
    ----------
    base : Source
    rows : ndarray of int
    """

    def __init__(self, base: Source, rows: NDArray[np.intp]) -> None:
        nested = base if isinstance(base, SelectedRows) else None  # many selections in a row cost no more than one
        self.base: Source = base if nested is None else nested.base
        self.rows: NDArray[np.intp] = rows if nested is None else nested.rows[rows]
        self.shape, self.dtype, self.is_sparse = (len(rows), base.shape[1]), base.dtype, base.is_sparse

    @property
    def feature_names(self) -> list[str] | None:  # type: ignore[override]  # sources may read names when first asked for them
        """Names of the features, as in the other source."""
        return self.base.feature_names

    @property
    def sample_names(self) -> list[str] | None:  # type: ignore[override]  # as above
        """Names of these rows."""
        names = self.base.sample_names
        return None if names is None else [names[row] for row in self.rows.tolist()]

    def read(self, features: slice, rows: Rows = None) -> Any:
        """Read some features of some of the rows."""
        return self.base.read(features, self.rows if rows is None else self.rows[rows])

    def fingerprint(self) -> bytes:
        """Digest the content of the other source."""
        return self.base.fingerprint()

    def count_entries(self) -> NDArray[np.intp]:
        """Count the entries of each feature in these rows."""
        n_features = self.shape[1]
        counts = np.empty(n_features, np.intp)
        width = max(1, READ_BYTES // (8 * max(1, len(self.rows))))
        for start in range(0, n_features, width):
            features = slice(start, min(start + width, n_features))
            counts[features] = np.diff(self.read(features).indptr)
        return counts
