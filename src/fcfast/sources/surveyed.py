"""The samples of a stream that has been read once, for whoever asks for their kind and their number."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fcfast.sources.protocol import Rows, Source


class Surveyed(Source):
    """The samples of a stream, which cannot be read here: settings, plans and forms ask what they are like.

    Attributes
    ----------
    features, counts : ndarray of shape (k,)
        Features that occur in sparse samples, in rising order, and their numbers of entries.
    largest_block : int
        Rows of the largest block.
    """

    def __init__(
        self,
        shape: tuple[int, int],
        dtype: np.dtype[Any],
        is_sparse: bool,
        largest_block: int,
        features: NDArray[np.int64],
        counts: NDArray[np.intp],
    ) -> None:
        self.shape, self.dtype, self.is_sparse, self.largest_block = shape, dtype, is_sparse, largest_block
        self.features, self.counts = features, counts

    def read(self, features: slice, rows: Rows = None) -> Any:
        """Refuse to read."""
        raise NotImplementedError("a stream is read in blocks of rows")

    def fingerprint(self) -> bytes:
        """Refuse to read."""
        raise NotImplementedError("a stream is read in blocks of rows")
