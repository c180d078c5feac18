"""Some features of another source."""

import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from fcfast.sources import protocol
from fcfast.sources.protocol import Rows, Source

GAP = 16  # features that nobody asked for and that are read all the same, because another read would take longer


class SelectedFeatures(Source):
    """Some features of another source, in any order.

    Features are read in the order in which the other source stores them, neighbours together. Few features far apart, or all
    of them in another order, take about as long to read as the whole source for each block.

    Parameters
    ----------
    base : Source
    features : array-like of int of shape (d,)
        The numbers of the features, counted from 0. A feature may occur more than once.

    Raises
    ------
    IndexError
        If there is no such feature.

    Examples
    --------
    >>> import numpy as np
    >>> from fcfast.sources import ArraySource, SelectedFeatures
    >>> source = SelectedFeatures(ArraySource(np.arange(12).reshape(3, 4)), [3, 0, 1])
    >>> source.read(slice(0, 2))
    array([[ 3,  0],
           [ 7,  4],
           [11,  8]])
    """

    def __init__(self, base: Source, features: Any) -> None:
        self.base = base
        self.features: NDArray[np.intp] = np.arange(base.shape[1])[np.asarray(features, np.intp)]
        self.shape, self.dtype, self.is_sparse = (base.shape[0], len(self.features)), base.dtype, base.is_sparse

    @property
    def feature_names(self) -> list[str] | None:  # type: ignore[override]  # sources may read names when first asked for them
        """Names of these features."""
        names = self.base.feature_names
        return None if names is None else [names[j] for j in self.features.tolist()]

    @property
    def sample_names(self) -> list[str] | None:  # type: ignore[override]  # as above
        """Names of the samples, as in the other source."""
        return self.base.sample_names

    def read(self, features: slice, rows: Rows = None) -> Any:
        """Read some features of some rows."""
        wanted = self.features[features]
        if len(wanted) and np.all(np.diff(wanted) == 1):
            return self.base.read(slice(int(wanted[0]), int(wanted[-1]) + 1), rows)
        if not len(wanted):
            return self.base.read(slice(0, 0), rows)
        order = np.argsort(wanted, kind="stable")
        runs = self._runs(wanted[order])
        blocks = [self._picked(run, rows) for run in runs]
        place = np.empty(len(wanted), np.intp)  # of each wanted feature in the blocks
        place[order] = np.arange(len(wanted))
        if self.is_sparse:
            return sparse.csc_array(sparse.csc_array(sparse.hstack(blocks, format="csc"))[:, place])
        gathered = np.empty((blocks[0].shape[0], len(wanted)), np.result_type(*{block.dtype for block in blocks}))
        start = 0
        for block in blocks:
            gathered[:, order[start : start + block.shape[1]]] = block
            start += block.shape[1]
        return gathered

    def _picked(self, run: NDArray[np.intp], rows: Rows) -> Any:
        """Read features of increasing number that lie near each other."""
        first = int(run[0])
        block = self.base.read(slice(first, int(run[-1]) + 1), rows)
        return block[:, run - first]

    def _runs(self, wanted: NDArray[np.intp]) -> list[NDArray[np.intp]]:
        """Split features of increasing number where more than `GAP` others lie between, and where a read would be too large."""
        widest = max(1, protocol.READ_BYTES // max(1, self.shape[0] * self.dtype.itemsize))
        spread = (wanted - wanted[0]) // widest
        return np.split(wanted, np.flatnonzero((np.diff(wanted) > GAP) | (np.diff(spread) > 0)) + 1)

    def fingerprint(self) -> bytes:
        """Digest the content of the other source, and which features these are."""
        return hashlib.blake2b(self.base.fingerprint() + self.features.tobytes(), digest_size=16).digest()

    def count_entries(self) -> NDArray[np.intp]:
        """Count the entries of each feature."""
        return self.base.count_entries()[self.features]
