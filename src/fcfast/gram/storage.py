"""Files of Gram matrices: arrays in the layout of safetensors, which can be mapped, with a description in JSON.

A file is written completely or not at all. The matrix may be computed in the file itself, so that it needs no memory.
"""

import json
import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fcfast.errors import ModelFileError
from fcfast.files import check_file, replacing

Array = NDArray[Any]
Shapes = Mapping[str, tuple[np.dtype[Any], tuple[int, ...]]]

FORMAT, VERSION = "fcfast-gram", "1"
DTYPES: dict[str, np.dtype[Any]] = {"F32": np.dtype("<f4"), "F64": np.dtype("<f8")}
LENGTH = 8  # bytes that hold the length of the header
MAX_HEADER = 100_000_000  # safetensors reads no longer one
ZEROS = 1 << 24  # bytes that are written at a time


@contextmanager
def created(path: str | os.PathLike[str], shapes: Shapes, content: Mapping[str, Any]) -> Iterator[dict[str, Array]]:
    """Give arrays of zeros that are mapped from a new file; it takes its name when they have been filled without an error.

    Raises
    ------
    OSError
        If the file cannot be written, or the disk is full.
    """
    names = {dtype: name for name, dtype in DTYPES.items()}
    entries: dict[str, Any] = {"__metadata__": {"format": FORMAT, "version": VERSION, "content": json.dumps(content)}}
    end = 0
    for name, (dtype, shape) in shapes.items():
        start, end = end, end + math.prod(shape) * dtype.itemsize
        entries[name] = {"dtype": names[dtype.newbyteorder("<")], "shape": list(shape), "data_offsets": [start, end]}
    header = json.dumps(entries).encode()
    header += b" " * (-len(header) % LENGTH)
    with replacing(path) as temporary:
        with open(temporary, "wb") as file:
            file.write(len(header).to_bytes(LENGTH, "little") + header)
            for start in range(0, end, ZEROS):  # a mapped file without room on the disk would end the process
                file.write(bytes(min(ZEROS, end - start)))
        arrays = {
            name: _mapped(temporary, shapes[name], entries[name]["data_offsets"][0] + LENGTH + len(header), "r+")
            for name in shapes
        }
        yield arrays
        for array in arrays.values():
            if isinstance(array, np.memmap):
                array.flush()
        arrays.clear()  # Windows does not rename a file that is mapped


def _mapped(path: str, kind: tuple[np.dtype[Any], tuple[int, ...]], offset: int, mode: Any) -> Array:
    dtype, shape = kind
    if not math.prod(shape):
        return np.zeros(shape, dtype)  # nothing can be mapped
    return np.memmap(path, dtype, mode, offset, shape)


def opened(path: str | os.PathLike[str], mapped: bool) -> tuple[dict[str, Any], dict[str, Array]]:
    """Give the description and the arrays of a file, mapped or in memory.

    Raises
    ------
    ModelFileError
        If it is damaged, or no file of a Gram matrix.
    OSError
        If it does not exist or cannot be opened.
    """
    path = os.fspath(path)
    check_file(Path(path), "Gram file")
    try:
        entries, start = _header(path)
        content = _content(entries.pop("__metadata__", None))
        return content, {name: _array(path, name, entry, start, mapped) for name, entry in entries.items()}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ModelFileError(f"{path} cannot be loaded: it is no file of a Gram matrix, or damaged ({error})") from error


def _header(path: str) -> tuple[dict[str, Any], int]:
    with open(path, "rb") as file:
        length = int.from_bytes(file.read(LENGTH), "little")
        if not 2 <= length <= min(MAX_HEADER, os.path.getsize(path) - LENGTH):
            raise ValueError("its header has no valid length")
        entries = json.loads(file.read(length))
    if not isinstance(entries, dict):
        raise ValueError("its header is not an object")
    return entries, LENGTH + length


def _content(metadata: Any) -> dict[str, Any]:
    if metadata is None or metadata.get("format") != FORMAT:
        raise ValueError("it says that it holds something else")
    if metadata["version"] != VERSION:
        raise ValueError(f"it has version {metadata['version']!r}, this fcfast reads {VERSION!r}; update fcfast")
    content = json.loads(metadata["content"])
    if not isinstance(content, dict):
        raise ValueError("its description is not an object")
    return content


def _array(path: str, name: str, entry: Any, start: int, mapped: bool) -> Array:
    dtype, shape = DTYPES[entry["dtype"]], tuple(entry["shape"])
    first, end = entry["data_offsets"]
    if not all(type(size) is int and size >= 0 for size in (*shape, first, end)):
        raise ValueError(f"sizes of {name!r} are no numbers")
    if end - first != math.prod(shape) * dtype.itemsize or start + end > os.path.getsize(path):
        raise ValueError(f"{name!r} is not as long as it should be")
    array = _mapped(path, (dtype, shape), start + first, "r")
    return array if mapped else np.array(array)
