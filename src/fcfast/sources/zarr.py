"""Arrays of zarr, versions 2 and 3 of the library and of the format."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fcfast.sources.chunks import ChunkedSource
from fcfast.sources.files import FileState, State, needs
from fcfast.sources.hdf5 import is_dataset, names_in

METADATA = "zarr.json", ".zarray", ".zgroup"  # of formats 3 and 2


class FolderState(FileState):
    """The sizes and times of all files of a folder. All of them are compared once a pass, the folder's metadata always."""

    def __init__(self, path: "str | os.PathLike[str]") -> None:
        self._metadata = [Path(path, name).absolute() for name in METADATA if Path(path, name).is_file()]
        self._seen_metadata = self._look_at_metadata()
        super().__init__(path)

    def look(self) -> State:
        """Give the size of all files, the latest change, and a digest of all names, sizes and times."""
        size, latest, digest = 0, 0, hashlib.blake2b(digest_size=8)
        for name, status in _files(self.path):
            size, latest = size + status.st_size, max(latest, status.st_mtime_ns)
            digest.update(repr((name, status.st_size, status.st_mtime_ns)).encode())
        return size, latest, int.from_bytes(digest.digest(), "big")

    def check(self, finished: bool = True) -> None:
        """Raise RuntimeError if a file has changed: any file if a pass is `finished`, else the metadata."""
        if finished or self._look_at_metadata() != self._seen_metadata:
            super().check()

    def _look_at_metadata(self) -> list[tuple[int, int]]:
        try:
            found = [path.stat() for path in self._metadata]
        except OSError:
            return []
        return [(status.st_size, status.st_mtime_ns) for status in found]


class NoState(FileState):
    """For arrays that lie in no local file: nothing is noticed between passes."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.seen = ()

    def look(self) -> State:
        """Give nothing that could change."""
        return ()


def _files(folder: str) -> Iterator[tuple[str, os.stat_result]]:
    """Give the names and the states of the files in a folder and its folders, in one order everywhere."""
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        if entry.is_dir():
            yield from _files(entry.path)
        else:
            yield entry.path, entry.stat()


class ZarrHandle:
    """An array or group of zarr: pickled as a path if it lies in a folder, else as zarr pickles it.

    Parameters
    ----------
    held : zarr.Array, zarr.Group, str or path-like
        The object, or its folder.

    Raises
    ------
    ImportError
        If a folder is given and zarr is not installed.
    FileNotFoundError
        If there is no such folder, or it is no zarr folder.
    """

    state: FileState

    def __init__(self, held: Any) -> None:
        self._held = None if isinstance(held, (str, os.PathLike)) else held
        path = held if self._held is None else _path_of(held)
        if path is None:
            self.state = NoState(f"{held.store}/{held.path}")
        elif os.path.isdir(path):
            self.state = FolderState(path)
        else:
            self.state = FileState(path)  # a zip file holds the whole store
        self.get()

    def get(self) -> Any:
        """Give the array or group, opened again in another process."""
        if self._held is None:
            self._held = _open(self.state.path)
        return self._held

    def __getstate__(self) -> dict[str, Any]:
        """Leave out the open object of a folder."""
        return self.__dict__ | {"_held": None if isinstance(self.state, FolderState) else self._held}


class ZarrSource(ChunkedSource):
    """A dense zarr array of shape (N, d), which is read a few columns at a time.

    Chunks, compressed or not, are decoded once in a pass over all features; chunks of many rows and few columns suit best.
    If a column of chunks is larger than 64 MiB, because chunks hold whole rows, all are decoded once into a temporary file of
    the array's size when the source is first read.

    An array in a folder is pickled as its path. A changed chunk is noticed at the end of the pass, and a change of the array's
    metadata at once; other stores (in memory, on a network) are not watched.

    Parameters
    ----------
    array : zarr.Array, str or path-like
        An array, or the folder of one.

    Raises
    ------
    ImportError
        If a folder is given and zarr is not installed.
    ValueError
        If the array is not two-dimensional, or the folder holds a group.
    TypeError
        If the array holds no real numbers.
    FileNotFoundError
        If there is no such folder.
    RuntimeError
        While reading, if the folder was changed since the source was made.

    Examples
    --------
    >>> import numpy as np
    >>> import zarr
    >>> from fcfast.sources import ZarrSource
    >>> array = zarr.array(np.arange(12, dtype="int8").reshape(3, 4), chunks=(3, 2))
    >>> source = ZarrSource(array)
    >>> source
    ZarrSource(3 samples x 4 features, int8)
    >>> source[[2, 0]].read(slice(1, 3))
    array([[ 9, 10],
           [ 1,  2]], dtype=int8)
    """

    def __init__(self, array: Any) -> None:
        handle = ZarrHandle(array)
        path, held = handle.state.path, handle.get()
        if not is_dataset(held):
            raise ValueError(f"{path} is a zarr group, not an array; choose one of {names_in(held)} with dataset=")
        super().__init__(handle, f"the zarr array {path}")

    def fingerprint(self) -> bytes:
        """Digest path, sizes, times of change and shape; the content, if it is in no local file."""
        if not isinstance(self.state, NoState):
            return super().fingerprint()
        digest = hashlib.blake2b(repr((self.shape, self.dtype.str)).encode(), digest_size=16)
        for part in self.parts(0, self.shape[1]):
            digest.update(self.read_columns(*part).tobytes())
        return digest.digest()


def open_zarr(path: "str | os.PathLike[str]", dataset: str | None = None) -> ZarrSource:
    """Open an array in a zarr folder: the folder's own, the one of that name, or the only one that is a matrix of numbers."""
    held = ZarrHandle(path).get()
    if is_dataset(held):
        if dataset is not None:
            raise ValueError(f"{os.fspath(path)} is an array itself, dataset={dataset!r} would be within a group; leave it out")
        return ZarrSource(path)
    if dataset is None:
        found = {
            name: item.shape
            for name, item in _arrays(held)
            if len(item.shape) == 2 and getattr(item.dtype, "kind", "") in tuple("biuf")
        }
        if len(found) != 1:
            listed = ", ".join(f"{name!r} of shape {shape}" for name, shape in found.items()) or "none"
            raise ValueError(
                f"{os.fspath(path)} has no single matrix of numbers; choose one with dataset= (--dataset). It has: {listed}"
            )
        (dataset,) = found
    if dataset not in held:
        raise KeyError(f"{os.fspath(path)} has no {dataset!r}; it has {names_in(held)}")
    return ZarrSource(Path(path, dataset))


def _arrays(group: Any, within: str = "") -> Iterator[tuple[str, Any]]:
    for name in sorted(group):
        item = group[name]
        if is_dataset(item):
            yield within + name, item
        else:
            yield from _arrays(item, f"{within}{name}/")


def _path_of(held: Any) -> str | None:
    """Give where an array or group lies, or None: zarr 3 names a folder `root`, zarr 2 `path`, as both do a zip file."""
    store = held.store
    root = getattr(store, "root", None) or getattr(store, "path", None)
    if isinstance(root, (str, Path)):
        if os.path.isdir(root):
            return os.path.join(root, held.path)
        if os.path.isfile(root):
            return str(root)
    return None


def _open(path: str) -> Any:
    try:
        import zarr
    except ImportError as error:
        raise ImportError(needs(f"reading {path}", "zarr", "zarr")) from error
    try:
        return zarr.open(path, mode="r")
    except Exception as error:  # zarr 2 and 3 raise different errors of their own for what is no array
        raise FileNotFoundError(f"{path} is no zarr array or group: {error}") from error
