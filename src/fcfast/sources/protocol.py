"""What can be read by blocks of features: the one interface through which all features reach the products.

An array in memory, a file larger than memory and a standardised view of either are all samples by features, read a few columns
at a time. Whatever multiplies, measures or expands asks a `Source` for blocks and for nothing else.
"""

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from fcfast.tiles import slices

if TYPE_CHECKING:
    from fcfast.sources.elsewhere import Elsewhere

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
    offset : int
        Number of the first feature in messages, which is not 0 for a part of another source.
    """

    ndim = 2
    array: Array | None = None
    offset: int = 0
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

    # ------------------------------------------------------------------------------------------------------------------
    # features that lie elsewhere, as on the machines of a cluster (`fcfast.sources.elsewhere`)

    @property
    def elsewhere(self) -> "Elsewhere | None":
        """What runs work where the features lie; None for a source that is read in this process."""
        return None

    def part(self, features: slice) -> "Source":
        """Give neighbouring features as a source that can be sent to another process; here they are read at once."""
        return Part(self.read(features), features.start)

    @property
    def waits(self) -> bool:
        """Whether a part needs something that others make before it can be read."""
        return False

    @property
    def found(self) -> Any:
        """What reading a whole part has found out about its features, for `learn`; None if it is nothing."""
        return None

    def learn(self, features: slice, found: Any) -> None:
        """Take what was found out about a part of these features in another process, for a source that finds out something."""
        raise NotImplementedError(f"{type(self).__name__} finds out nothing")

    def strips(self, n_rows: int) -> list[slice]:
        """Split the rows into strips of at most `n_rows`, or of more where fewer could not be read alone."""
        return slices(self.shape[0], max(1, n_rows))

    def strip(self, rows: slice) -> "Source":
        """Give a strip of the rows."""
        return self[rows]

    # ------------------------------------------------------------------------------------------------------------------

    def read_ranges(self, width: int) -> list[slice]:
        """Split the features into ranges of about `width`, each of which is best read at once."""
        return slices(self.shape[1], max(1, width))

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


class Part(Source):
    """Neighbouring features of samples, as they were read.

    Parameters
    ----------
    block : ndarray or sparse matrix of shape (N, k)
    offset : int
        Number of the first of these features in messages.
    """

    def __init__(self, block: Any, offset: int) -> None:
        self.block = sparse.csc_array(block) if sparse.issparse(block) else block
        self.offset, self.is_sparse = offset, sparse.issparse(block)
        self.shape, self.dtype = self.block.shape, self.block.dtype

    def read(self, features: slice, rows: Rows = None) -> Any:
        """Read some of these features of some rows."""
        block = self.block[:, features]
        return block if rows is None else block[rows]

    def fingerprint(self) -> bytes:
        """Refuse: what a part belongs to is digested instead."""
        raise NotImplementedError("a part of a source has no fingerprint")

    def count_entries(self) -> NDArray[np.intp]:
        """Count the entries of each of these features."""
        return np.diff(self.block.indptr).astype(np.intp)


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
        self.offset = base.offset

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

    @property
    def elsewhere(self) -> "Elsewhere | None":
        """What runs work where the other source lies."""
        return self.base.elsewhere

    def read_ranges(self, width: int) -> list[slice]:
        """Split the features as the other source does."""
        return self.base.read_ranges(width)

    def part(self, features: slice) -> Source:
        """Give neighbouring features of these rows."""
        return SelectedRows(self.base.part(features), self.rows)

    @property
    def waits(self) -> bool:
        """Whether the part of the other source waits."""
        return self.base.waits

    def count_entries(self) -> NDArray[np.intp]:
        """Count the entries of each feature in these rows."""
        n_features = self.shape[1]
        counts = np.empty(n_features, np.intp)
        width = max(1, READ_BYTES // (8 * max(1, len(self.rows))))
        for start in range(0, n_features, width):
            features = slice(start, min(start + width, n_features))
            counts[features] = np.diff(self.read(features).indptr)
        return counts
