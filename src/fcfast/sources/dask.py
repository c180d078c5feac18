"""Arrays of dask: samples by features in chunks, which are read where dask computes, on one machine or on a cluster."""

import hashlib
from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fcfast import validation
from fcfast.sources.dask_graph import chunks_in_memory, chunks_of, needs_sharing, refuse_lost
from fcfast.sources.dask_jobs import lazy_array, run_jobs
from fcfast.sources.dask_part import DaskPart, checked, refuse_kind
from fcfast.sources.elsewhere import MakeJob, Outcome
from fcfast.sources.files import check_content, needs
from fcfast.sources.protocol import Rows, Source
from fcfast.tiles import slices

Array = NDArray[Any]

GROUP_NUMBERS = 1 << 24  # numbers of a group of chunks, which one task reads: 64 MB in single precision
GROUP_FEATURES = 1 << 14  # fewest features of a group: the sums of a task are sent, and its products should take much longer
GROUPS = 256  # most groups, because a sum is sent for each of them
BAND_BYTES = 1 << 28  # size of a column of chunks up to which it is put together from any number of chunks
BAND_CHUNKS = 4  # chunks of which a larger one is put together; if there are more, dask rearranges the array first
READ_NUMBERS = 1 << 25  # numbers that are read into this process at once for the sake of whole chunks: 256 MB as doubles
STRIP_ROWS = 1 << 16  # most rows of a chunk that are taken together, even if fewer would do


class DaskSource(Source):
    """A dask array of shape (N, d), whose chunks are made and multiplied where dask computes; X is never gathered.

    `fit`, `Gram` and predictions make such a source of any dask array by themselves. A task takes a group of neighbouring
    features, makes their chunks one after another, and gives the sums of their products. The array is best in chunks of whole
    columns, that is, of all samples and some features. Other arrays are rearranged: a few chunks are put together within the
    task, and chunks of (almost) whole rows are rechunked by dask, which needs room for all of X on the cluster.

    Where several features share work that is not small, such as a sum over all features that each is divided by, or where
    chunks are in memory already (``X.persist()``), dask makes the chunks of a group in tasks of their own.

    Parameters
    ----------
    array : dask.array.Array
        Samples by features, in chunks of known sizes that are NumPy arrays.
    group : int or None, default None
        About how many features a task takes; whole columns of chunks are taken in any case. None takes 16 million numbers, but
        at least 16,384 features and a 256th of all. Sums have the same bits for any schedule and number of workers, but other
        groups give other rounding.

    Raises
    ------
    ValueError
        If the array is not two-dimensional, or sizes of chunks are unknown.
    TypeError
        If it is no dask array, holds no real numbers, or its chunks are not NumPy arrays.

    Examples
    --------
    >>> import dask.array as da
    >>> import numpy as np
    >>> from fcfast import Gram
    >>> from fcfast.dask import DaskSource
    >>> X = da.from_array(np.arange(12, dtype="int8").reshape(3, 4), chunks=(3, 2))
    >>> DaskSource(X)
    DaskSource(3 samples x 4 features, int8)
    >>> Gram(X, dtype="float64").matrix.tolist()
    [[14.0, 38.0, 62.0], [38.0, 126.0, 214.0], [62.0, 214.0, 366.0]]
    """

    def __init__(self, array: Any, group: int | None = None) -> None:
        refuse_other_objects(array)
        if any(np.isnan(size) for size in array.shape):
            raise ValueError(
                f"X is a dask array of shape {array.shape}, whose chunks have unknown sizes; call X.compute_chunk_sizes() "
                "before, or make it with dataframe.to_dask_array(lengths=True)"
            )
        check_content("X", array.shape, array.dtype)
        refuse_kind(getattr(array, "_meta", None))
        if group is not None:
            validation.integer(group, "group", 1)
        self.chunked, self.group = array, group
        self.shape, self.dtype = (int(array.shape[0]), int(array.shape[1])), array.dtype

    def read(self, features: slice, rows: Rows = None) -> Array:
        """Read some features of some rows into this process, by a computation of their own."""
        refuse_lost(self._in_memory)
        part = self.chunked[:, features]
        return checked((part if rows is None else part[rows]).compute())

    def read_ranges(self, width: int) -> list[slice]:
        """Split the features at borders of chunks, so that no chunk is made twice unless it is very wide."""
        edges = np.concatenate([[0], np.cumsum(self.chunked.chunks[1])]).astype(np.intp)
        widest = max(width, READ_NUMBERS // max(1, self.shape[0]))
        parts: list[slice] = []
        for group in _grouped(edges, max(1, width)):
            is_wide = group.stop - group.start > widest
            parts += slices(group.stop, max(1, width), group.start) if is_wide else [group]
        return parts

    def fingerprint(self) -> bytes:
        """Digest the name of the array and its shape. What its chunks are read from is not watched."""
        return hashlib.blake2b(repr((self.chunked.name, self.shape)).encode(), digest_size=16).digest()

    @property
    def elsewhere(self) -> "DaskWork":
        """What runs work on dask's scheduler."""
        return DaskWork(self)

    def part(self, features: slice) -> "DaskPart":
        """Give neighbouring features, none of which is read before a process asks for them."""
        refuse_lost(self._in_memory)
        return self._columns.part(features)

    def strips(self, n_rows: int) -> list[slice]:
        """Split the rows at borders of chunks, so that no chunk is made twice unless it is very high."""
        heights, widths = self.chunked.chunks
        most = max(min(n_rows, GROUP_NUMBERS // max(1, *widths)), min(max(heights), STRIP_ROWS), 1)
        borders, start = [0], 0
        for height in heights:
            if borders[-1] < start and start + height - borders[-1] > most:
                borders.append(start)
            start += height
        return [strip for first, last in pairwise([*borders, start]) for strip in slices(last, most, first)]

    def strip(self, rows: slice) -> "DaskSource":
        """Give a strip of the rows."""
        return self if rows == slice(0, self.shape[0]) else DaskSource(self.chunked[rows], self.group)

    @cached_property
    def _columns(self) -> "Columns":
        return Columns(self.chunked, self.group, bool(self._in_memory))

    @cached_property
    def _in_memory(self) -> list[Any]:
        return chunks_in_memory(self.chunked)

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what is made of the array when it is needed."""
        return {name: held for name, held in self.__dict__.items() if name not in ("_columns", "_in_memory")}

    def __deepcopy__(self, memo: dict[int, Any]) -> "DaskSource":
        """Give the source itself, because nothing can change it."""
        return self


class Columns:
    """Columns of chunks, that is, chunks of the same features.

    Parameters
    ----------
    array : dask.array.Array
    group : int or None
        About how many features a task takes.
    is_in_memory : bool
        Whether chunks are in the memory of a cluster.
    """

    def __init__(self, array: Any, group: int | None, is_in_memory: bool) -> None:
        n_samples, n_features = array.shape
        target = group or max(GROUP_NUMBERS // max(1, n_samples), GROUP_FEATURES, -(-n_features // GROUPS))
        heights, widths = array.chunks
        is_large = n_samples * max(widths, default=0) * array.dtype.itemsize > BAND_BYTES
        is_rearranged = is_large and len(heights) > BAND_CHUNKS
        self.array = array.rechunk({0: -1, 1: target}) if is_rearranged else array
        self.edges = np.concatenate([[0], np.cumsum(self.array.chunks[1])]).astype(np.intp)  # of columns of chunks
        self.ranges = _grouped(self.edges, target)
        is_shared = is_rearranged or is_in_memory
        self.is_shared = is_shared or needs_sharing(self.array, [self._places(features) for features in self.ranges])

    def _places(self, features: slice) -> slice:
        """Give the columns of chunks that hold some features."""
        first = int(np.searchsorted(self.edges, features.start, "right")) - 1
        return slice(max(0, first), int(np.searchsorted(self.edges, features.stop, "left")))

    def part(self, features: slice) -> "DaskPart":
        """Give some features."""
        places = self._places(features)
        if self.is_shared:
            graph, chunks = None, self._delayed[:, places].T.tolist()
        else:
            graph, chunks = chunks_of(self.array.blocks[:, places])
        edges = self.edges[places.start : places.stop + 1] - features.start
        filled = np.flatnonzero(np.diff(edges))
        borders = [*edges[filled].tolist(), int(edges[-1])]
        shape = self.array.shape[0], features.stop - features.start
        return DaskPart(graph, [chunks[j] for j in filled], borders, shape, self.array.dtype, features.start)

    @cached_property
    def _delayed(self) -> NDArray[Any]:
        return np.asarray(self.array.to_delayed())


def _grouped(edges: NDArray[np.intp], target: int) -> list[slice]:
    """Split features at borders of chunks into ranges of about `target` features."""
    n_features = int(edges[-1])
    n_groups = max(1, -(-n_features // target))
    wanted = np.arange(1, n_groups) * n_features // n_groups
    inner = edges[np.searchsorted(edges, wanted, "left")]
    borders = np.unique([0, *inner.tolist(), n_features]).tolist()
    return [slice(first, last) for first, last in pairwise(borders)]


class DaskWork:
    """Runs work on dask's scheduler, and on a cluster if a client is connected to one (`fcfast.sources.elsewhere`)."""

    def __init__(self, source: DaskSource) -> None:
        self.source = source

    @property
    def ranges(self) -> Sequence[slice]:
        """Ranges of features that one task takes."""
        return self.source._columns.ranges

    def totals(self, what: str, sums: Sequence[Sequence[MakeJob]], size: int) -> Iterator[tuple[int, Outcome]]:
        """Run the jobs of each sum, and give its number and total as soon as it is complete."""
        return run_jobs(what, sums, size)

    def array(self, what: str, jobs: Sequence[MakeJob], shapes: Sequence[tuple[int, int]], dtype: Any) -> Any:
        """Give a dask array whose rows are the results of jobs."""
        return lazy_array(what, jobs, shapes, dtype)


def source_of(X: Any) -> DaskSource:
    """Give the source of an object of dask.

    Raises
    ------
    TypeError
        If it is no array.
    """
    return DaskSource(X)


def refuse_other_objects(X: Any) -> None:
    """Raise a TypeError for what is no array of dask, and an ImportError for one of an old version."""
    module, kind = type(X).__module__, type(X).__name__
    if module.partition(".")[0] not in ("dask", "dask_expr"):
        raise TypeError(f"X must be a dask array, got {module}.{kind}; dask.array.from_array(X) makes one of an array")
    if hasattr(type(X), "to_dask_array"):
        raise TypeError(f"X is a dask {kind}; give X.to_dask_array(lengths=True)")
    if kind != "Array":
        raise TypeError(f"X is a dask {kind}; give a dask array, as dask.array.from_delayed makes it")
    if not hasattr(X, "blocks"):
        raise ImportError(needs("an array of dask", "a newer dask", "dask"))
