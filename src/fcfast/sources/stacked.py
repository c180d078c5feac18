"""The samples of one source followed by those of another."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from fcfast.sources.protocol import Rows, Source

if TYPE_CHECKING:
    from fcfast.sources.elsewhere import Elsewhere


class Stacked(Source):
    """The samples of one source, followed by those of another with the same features; sparse if the first one is.

    Parameters
    ----------
    first, second : Source
        Sources with d features each.

    Examples
    --------
    >>> import numpy as np
    >>> from fcfast.sources import ArraySource
    >>> from fcfast.sources.stacked import Stacked
    >>> source = Stacked(ArraySource(np.zeros((2, 3))), ArraySource(np.ones((1, 3))))
    >>> source.read(slice(0, 2), np.array([2, 0]))
    array([[1., 1.],
           [0., 0.]])
    """

    def __init__(self, first: Source, second: Source) -> None:
        if first.shape[1] != second.shape[1]:
            raise ValueError(f"sources of {first.shape[1]} and {second.shape[1]} features cannot be stacked; they must agree")
        self.first, self.second = first, second
        self.shape = first.shape[0] + second.shape[0], first.shape[1]
        self.dtype = np.result_type(first.dtype, second.dtype)
        self.is_sparse, self.feature_names, self.offset = first.is_sparse, first.feature_names, first.offset

    def read(self, features: slice, rows: Rows = None) -> Any:
        """Read some features of some rows."""
        n_first = self.first.shape[0]
        if rows is None:
            return self._joined([self.first.read(features), self.second.read(features)])
        wanted = np.arange(self.shape[0])[rows] if isinstance(rows, slice) else np.asarray(rows)
        of_first = wanted < n_first
        if of_first.all():
            return self.first.read(features, rows if isinstance(rows, slice) else wanted)
        if not of_first.any():
            return self._joined([self.second.read(features, wanted - n_first)])
        parts = [self.first.read(features, wanted[of_first]), self.second.read(features, wanted[~of_first] - n_first)]
        order = np.empty(len(wanted), np.intp)
        order[np.concatenate([np.flatnonzero(of_first), np.flatnonzero(~of_first)])] = np.arange(len(wanted))
        return self._joined(parts)[order]

    def _joined(self, blocks: list[Any]) -> Any:
        if self.is_sparse:
            return sparse.csc_array(sparse.vstack([sparse.csc_array(block) for block in blocks], format="csc"))
        dense = [block.toarray() if sparse.issparse(block) else block for block in blocks]
        return dense[0] if len(dense) == 1 else np.concatenate(dense)

    def fingerprint(self) -> bytes:
        """Digest both sources."""
        return self.first.fingerprint() + self.second.fingerprint()

    @property
    def elsewhere(self) -> "Elsewhere | None":
        """What runs work where one of the sources lies."""
        return self.first.elsewhere or self.second.elsewhere

    def part(self, features: slice) -> Source:
        """Give neighbouring features of both sources."""
        return Stacked(self.first.part(features), self.second.part(features))

    @property
    def waits(self) -> bool:
        """Whether the part of one of the sources waits."""
        return self.first.waits or self.second.waits

    def count_entries(self) -> NDArray[np.intp]:
        """Count the entries of each feature in both sources."""
        counts = self.first.count_entries()
        if self.second.is_sparse:
            return counts + self.second.count_entries()
        return counts + self.second.shape[0]
