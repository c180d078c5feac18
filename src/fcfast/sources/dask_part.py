"""Parts of dask arrays, whose chunks are made in the process that reads them."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fcfast.sources.dask_graph import made_of
from fcfast.sources.protocol import Rows, Source

Array = NDArray[Any]


class DaskPart(Source):
    """Neighbouring features of a dask array, whose chunks are made one after another in the process that reads them.

    Parameters
    ----------
    graph : dict or None
        Tasks that make the chunks; None if the chunks are there.
    chunks : list of list
        For each column of chunks its chunks from the first row to the last, or their keys in the graph.
    borders : list of int
        Where each column of chunks begins, and where the last one ends, counted from the first feature of the part.
    shape : tuple of (int, int)
    dtype : dtype
    offset : int
        Number of the first feature in messages.
    """

    def __init__(
        self,
        graph: dict[Any, Any] | None,
        chunks: Sequence[list[Any]],
        borders: list[int],
        shape: tuple[int, int],
        dtype: np.dtype[Any],
        offset: int,
    ) -> None:
        self.graph, self.chunks, self.borders = graph, chunks, borders
        self.shape, self.dtype, self.offset = shape, dtype, offset
        self._held: tuple[int, Array | None] = -1, None

    def read(self, features: slice, rows: Rows = None) -> Array:
        """Read some of these features of some rows; they are best read from the first to the last."""
        pieces = list(self._pieces(features.start, features.stop))
        block = pieces[0] if len(pieces) == 1 else np.concatenate(pieces or [np.empty((self.shape[0], 0), self.dtype)], axis=1)
        return block if rows is None else block[rows]

    def _pieces(self, start: int, stop: int) -> Iterator[Array]:
        """Give what each column of chunks has of some features; a column that ends after them is kept for the next ones."""
        first = int(np.searchsorted(self.borders, start, "right")) - 1
        last = int(np.searchsorted(self.borders, stop, "left"))  # columns before it are needed
        if start == stop:
            return
        if self.borders[first] < start:
            column = self._column(first, stop)
            piece = column[:, start - self.borders[first] : stop - self.borders[first]]
            # a view would keep the rest of the column in memory while the next ones are made
            yield piece if self.borders[first + 1] >= stop else piece.copy()
            del column, piece
            first += 1
        is_cut = first < last and self.borders[last] > stop
        yield from self._made(range(first, last - is_cut))
        if is_cut:
            yield self._column(last - 1, stop)[:, : stop - self.borders[last - 1]]

    def _column(self, number: int, stop: int) -> Array:
        """Give a column of chunks, which is kept if features after `stop` are in it."""
        held, column = self._held
        self._held = -1, None  # before another one is made
        if held != number or column is None:
            (column,) = self._made(range(number, number + 1))
        if self.borders[number + 1] > stop:
            self._held = number, column
        return column

    def _made(self, numbers: range) -> Iterator[Array]:
        """Make columns of chunks, many at once if they are narrow."""
        chunks: Sequence[Any] = [self.chunks[number] for number in numbers]
        if self.graph is not None and chunks:
            chunks = made_of(self.graph, chunks)
        for number, parts in zip(numbers, chunks, strict=True):
            stacked = [checked(part) for part in parts]
            column = stacked[0] if len(stacked) == 1 else np.concatenate(stacked)
            wanted = self.shape[0], self.borders[number + 1] - self.borders[number]
            if column.shape != wanted:
                raise ValueError(
                    f"X is a dask array with a chunk of shape {column.shape} where its chunks say {wanted}; make it with the "
                    "sizes that the chunks have"
                )
            yield column

    @property
    def waits(self) -> bool:
        """Whether dask makes the chunks in tasks of their own."""
        return self.graph is None

    def fingerprint(self) -> bytes:
        """Refuse: the array is digested instead."""
        raise NotImplementedError("a part of a dask array has no fingerprint")

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what is kept."""
        return self.__dict__ | {"_held": (-1, None)}


def refuse_kind(meta: Any) -> None:
    """Raise a TypeError if chunks are not NumPy arrays, as a sample of them, or any chunk, says."""
    if isinstance(meta, np.ma.MaskedArray):
        raise TypeError(
            "X is a dask array of masked arrays; fill them with NaN, X.map_blocks(lambda block: block.filled(np.nan), "
            "dtype=float), and use missing='mean'"
        )
    if meta is not None and not isinstance(meta, np.ndarray):
        kind = f"{type(meta).__module__}.{type(meta).__name__}"
        how = "block.toarray()" if hasattr(meta, "toarray") else "numpy.asarray(block)"
        raise TypeError(
            f"X is a dask array whose chunks are {kind}; it must have chunks of NumPy arrays, as in "
            f"X.map_blocks(lambda block: {how}, dtype=X.dtype)"
        )


def checked(chunk: Any) -> Array:
    """Check a chunk, which may not be what the array says."""
    refuse_kind(chunk)
    held: Array = np.asarray(chunk)
    if held.ndim != 2 or held.dtype.kind not in "biuf":
        raise TypeError(
            f"X is a dask array with a chunk of shape {held.shape} and dtype {held.dtype}; it must hold real numbers"
        )
    return held
