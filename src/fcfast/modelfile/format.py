"""The format of model files: safetensors for the arrays, a versioned JSON header for the rest. Never pickle.

Metadata of the safetensors file: ``format`` and ``version`` of this layout, ``model`` (the JSON of a
`fcfast.modelfile.headers.Header`) and ``checksum`` (SHA-256 of that text and of all tensors). `fcfast.modelfile` has a module
for each kind of network, which says what its tensors are. Estimators say which header is theirs, and what they store.

A file is trusted in nothing: whatever does not fit is a `ModelFileError`, before it reaches a kernel.
"""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fcfast.errors import ModelFileError
from fcfast.files import check_file, replacing
from fcfast.modelfile.checks import require, same_names
from fcfast.modelfile.headers import Header, Tensors, parse

FORMAT, VERSIONS = "fcfast-model", ("1", "2")  # 2: networks of scaled data
METADATA = ("checksum", "format", "model", "version")
MAX_HEADER_BYTES = 99_000_000  # safetensors reads no header over 100 MB
SAFETENSORS_DTYPES = {"float32": "F32", "float64": "F64", "uint8": "U8"}

Array = NDArray[Any]


def write(path: str | os.PathLike[str], header: Header, tensors: Tensors) -> None:
    """Write a file whole or not at all: until it is complete, an older one stays.

    Raises
    ------
    ValueError
        If a tensor holds NaN or infinity, or the header is too large.
    OSError
        If the file cannot be written.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import save_file

    _refuse_not_finite(tensors)
    model = json.dumps(header.content())
    metadata = {"format": FORMAT, "version": header.version, "model": model, "checksum": _checksum(model, tensors)}
    if len(json.dumps(metadata)) > MAX_HEADER_BYTES:
        raise ValueError(f"the header would exceed {MAX_HEADER_BYTES} bytes; fit on an array, without feature names")
    with replacing(path) as temporary:
        try:
            save_file(tensors, temporary, metadata)
        except SafetensorError as error:
            raise OSError(f"{os.fspath(path)} could not be written: {error}") from error


@contextmanager
def reading(path: str | os.PathLike[str], kinds: Mapping[str, type[Header]]) -> Iterator[tuple[Header, Tensors]]:
    """Read a file and check it. A file that the caller can make no estimator of raises a `ModelFileError`, too.

    Parameters
    ----------
    path : path-like
    kinds : mapping
        The class of each estimator's header, by the estimator's name.

    Raises
    ------
    ModelFileError
        If the file is damaged or is no model file.
    OSError
        If there is no such file, or it cannot be opened.
    """
    from safetensors import SafetensorError

    path = os.fspath(path)
    check_file(Path(path), "model file")
    with open(path, "rb"):
        pass  # none that may be read: the system says so better than safetensors
    try:
        yield _read(path, kinds)
    except SafetensorError as error:
        raise ModelFileError(
            f"{path} cannot be loaded: it is not a fcfast model file, or damaged ({error}); were model and data exchanged?"
        ) from error
    except (ValueError, TypeError, RecursionError, OverflowError) as error:
        raise ModelFileError(f"{path} cannot be loaded: {error}") from error


def _read(path: str, kinds: Mapping[str, type[Header]]) -> tuple[Header, Tensors]:
    """Read a file, checking sizes before reading tensors, and tensors before giving them."""
    from safetensors import safe_open

    with safe_open(path, framework="numpy") as file:
        metadata = file.metadata() or {}
        require(metadata.get("format") == FORMAT, "it is a safetensors file, but no fcfast model")
        version = metadata.get("version")
        require(version in VERSIONS, f"it has version {version!r}, this fcfast reads up to {VERSIONS[-1]!r}; update fcfast")
        same_names(metadata, METADATA, "metadata")
        header = parse(metadata["model"], kinds)
        expected = header.tensors()
        same_names(file.keys(), expected, "tensors")
        for name, (dtype, shape) in expected.items():
            held = file.get_slice(name)
            got, wanted = (held.get_dtype(), tuple(held.get_shape())), (SAFETENSORS_DTYPES[dtype], shape)
            require(got == wanted, f"tensor {name!r} has dtype and shape {got}, but the header needs {wanted}")
        tensors = {name: file.get_tensor(name) for name in expected}
    require(_checksum(metadata["model"], tensors) == metadata["checksum"], "its checksum is wrong: it was damaged or changed")
    _refuse_not_finite(tensors)
    return header, tensors


def _checksum(model: str, tensors: Tensors) -> str:
    digest = hashlib.sha256(model.encode())
    for name in sorted(tensors):
        digest.update(f"{name} {tensors[name].dtype.name} {tensors[name].shape}".encode())
        digest.update(tensors[name].ravel().view(np.uint8).data)
    return digest.hexdigest()


def _refuse_not_finite(tensors: Tensors) -> None:
    for name, tensor in tensors.items():
        require(bool(np.isfinite(tensor).all()), f"tensor {name!r} holds NaN or infinity")
