"""Datasets in HDF5 files, by h5py."""

import os
from typing import Any

from fcfast.sources.chunks import ChunkedSource
from fcfast.sources.files import FileState, needs


class Hdf5Handle:
    """A dataset or group of an HDF5 file, which is pickled as a path and a name and opened again for reading.

    Parameters
    ----------
    path : str or path-like
    name : str
        Name within the file.
    opened : h5py.Dataset or h5py.Group, optional
        The object itself, as long as its file is open.

    Raises
    ------
    KeyError
        If the file has no such object.
    OSError
        If the file cannot be opened or is no HDF5 file.
    """

    def __init__(self, path: "str | os.PathLike[str]", name: str, opened: Any = None) -> None:
        self.state = FileState(path)
        self.name = name
        self._opened = opened
        self.get()

    @classmethod
    def of(cls, opened: Any) -> "Hdf5Handle":
        """Give the handle of a dataset or group that is open."""
        if not opened:
            raise ValueError("the HDF5 file of the dataset is closed; open it again, or give the path and the dataset's name")
        path = opened.file.filename
        if isinstance(path, bytes):  # h5py gives bytes where a name is not UTF-8
            path = os.fsdecode(path)
        if opened.name is None or not os.path.isfile(path):
            raise ValueError(f"{opened!r} lies in no file on disk that could be read again later; read it into an array: X[:]")
        if opened.file.mode != "r":
            opened.file.flush()  # what is written later is a change of the file
        return cls(path, opened.name, opened)

    def get(self) -> Any:
        """Give the dataset or group, opened again if its file was closed."""
        if not self._opened:
            h5py = _h5py(self.state.path)
            try:
                file = h5py.File(self.state.path, "r")
            except OSError as error:
                raise OSError(f"{self.state.path} cannot be opened as an HDF5 file: {error}") from error
            if self.name not in file:
                raise KeyError(f"{self.state.path} has no {self.name!r}; it has {names_in(file)}")
            self._opened = file[self.name]
        return self._opened

    def __getstate__(self) -> dict[str, Any]:
        """Leave out the open object, which h5py cannot pickle."""
        return self.__dict__ | {"_opened": None}


class Hdf5Source(ChunkedSource):
    """A dense dataset of shape (N, d) in an HDF5 file, which is read a few columns at a time.

    Chunks, compressed or not, are decoded once in a pass over all features; chunks of many rows and few columns suit best.
    If a column of chunks is larger than 64 MiB, because chunks hold whole rows, all are decoded once into a temporary file of
    the array's size when the source is first read. The source is pickled as the path and the name. A file that is open for
    writing counts as changed when h5py closes it; open it with mode "r".

    Parameters
    ----------
    dataset : h5py.Dataset, str or path-like
        A dataset, or the path of a file.
    name : str, optional
        Name of the dataset, if a path is given.

    Raises
    ------
    ImportError
        If a path is given and h5py is not installed.
    ValueError
        If the dataset is not two-dimensional, closed, or in no file on disk.
    TypeError
        If the dataset holds no real numbers.
    KeyError
        If the file has no such dataset.
    OSError
        If the file cannot be opened or is no HDF5 file.
    RuntimeError
        While reading, if the file was changed since the source was made.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import h5py
    >>> import numpy as np
    >>> from fcfast.sources import Hdf5Source
    >>> folder = tempfile.TemporaryDirectory()
    >>> path = Path(folder.name, "cells.h5")
    >>> with h5py.File(path, "w") as file:
    ...     _ = file.create_dataset("counts", data=np.arange(12, dtype="uint16").reshape(3, 4), chunks=(3, 2))
    >>> source = Hdf5Source(path, "counts")
    >>> source
    Hdf5Source(3 samples x 4 features, uint16)
    >>> source.read(slice(1, 3))
    array([[ 1,  2],
           [ 5,  6],
           [ 9, 10]], dtype=uint16)
    >>> del source
    >>> folder.cleanup()
    """

    def __init__(self, dataset: Any, name: str | None = None) -> None:
        if isinstance(dataset, (str, os.PathLike)):
            if name is None:
                raise ValueError(f"give the name of the dataset in {os.fspath(dataset)}, or use open_source, which lists them")
            handle = Hdf5Handle(dataset, name)
        else:
            handle = Hdf5Handle.of(dataset)
        path, held = handle.state.path, handle.get()
        if not is_dataset(held):
            raise ValueError(f"{handle.name!r} in {path} is a group; it has {names_in(held)}")
        super().__init__(handle, f"the dataset {handle.name!r} in {path}")


def is_dataset(held: Any) -> bool:
    """Tell a dataset from a group, in HDF5 and in zarr."""
    return hasattr(held, "dtype")


def names_in(group: Any) -> str:
    """List what a group holds, for messages."""
    return ", ".join(map(repr, sorted(group))) or "nothing"


def open_hdf5(path: "str | os.PathLike[str]", dataset: str | None = None) -> Hdf5Source:
    """Open a dataset of an HDF5 file: the one of that name, or the only one that is a matrix of numbers."""
    if dataset is None:
        held: dict[str, tuple[int, ...]] = {}

        def note(name: str, item: Any) -> None:
            if is_dataset(item) and len(item.shape) == 2 and item.dtype.kind in "biuf":
                held[name] = item.shape

        Hdf5Handle(path, "/").get().visititems(note)
        if len(held) != 1:
            listed = ", ".join(f"{name!r} of shape {shape}" for name, shape in held.items()) or "none"
            raise ValueError(
                f"{os.fspath(path)} has no single matrix of numbers; choose one with dataset= (--dataset). It has: {listed}"
            )
        (dataset,) = held
    return Hdf5Source(path, dataset)


def _h5py(path: str) -> Any:
    try:
        import h5py
    except ImportError as error:
        raise ImportError(needs(f"reading {path}", "h5py", "hdf5")) from error
    return h5py
