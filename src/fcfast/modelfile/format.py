"""The format of model files: safetensors for the arrays, a versioned JSON header for everything else, and no pickle.

The metadata of the safetensors file are ``format`` and ``version`` of this layout, ``model`` (the JSON of a
`fcfast.modelfile.headers.Header`) and ``checksum`` (SHA-256 of this text and of all tensors). `fcfast.modelfile` has a module
for each kind of network, which defines its tensors. Estimators define their header and the values that they store.

Files are not trusted. Anything that does not fit raises a `ModelFileError` before it reaches a kernel.
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
from fcfast.modelfile.cards import ModelCard, card_of
from fcfast.modelfile.checks import require, same_names
from fcfast.modelfile.headers import Header, Tensors, parse

FORMAT = "fcfast-model"
# 2: networks of scaled data; 3: a start in the span of the samples, and kernels; 4: what "auto" stands for;
# 5: weights of the features that occur alone, scales that follow a stream, vectorisers of texts; 6: cards, validation losses,
# survival, losses of labels, counts and quantiles, names of targets
VERSIONS = ("1", "2", "3", "4", "5", "6")
METADATA = ("checksum", "format", "model", "version")
MAX_HEADER_BYTES = 99_000_000  # safetensors reads no header over 100 MB
SAFETENSORS_DTYPES = {"float32": "F32", "float64": "F64", "uint8": "U8", "int64": "I64"}

Array = NDArray[Any]


def write(path: str | os.PathLike[str], header: Header, tensors: Tensors) -> None:
    """Write a file completely or not at all. An older file is kept until the new one is complete.

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
        _sort_metadata(temporary)


def _sort_metadata(path: str) -> None:
    """Sort the metadata of a file, whose order safetensors draws anew in every call; the same model then has the same bytes."""
    with open(path, "r+b") as file:
        size = int.from_bytes(file.read(8), "little")
        content = json.loads(file.read(size))
        content["__metadata__"] = dict(sorted(content["__metadata__"].items()))
        header = json.dumps(content, separators=(",", ":"), ensure_ascii=False).encode()
        file.seek(8)
        file.write(header.ljust(size))  # with spaces, as the format has it


@contextmanager
def reading(path: str | os.PathLike[str], kinds: Mapping[str, type[Header]]) -> Iterator[tuple[Header, Tensors]]:
    """Read a file and check it. If the caller cannot make an estimator from it, that raises a `ModelFileError` too.

    Parameters
    ----------
    path : path-like
        File to read.
    kinds : mapping
        Class of each estimator's header, by the name of the estimator.

    Raises
    ------
    ModelFileError
        If the file is damaged or not a model file.
    OSError
        If the file does not exist or cannot be opened.
    """
    with opened(path) as file:
        yield _read(file, kinds)


@contextmanager
def opened(path: str | os.PathLike[str]) -> Iterator[Any]:
    """Open a file, and name it in the error if it is damaged or does not fit; parameters and errors are those of `reading`."""
    from safetensors import SafetensorError, safe_open

    path = os.fspath(path)
    check_file(Path(path), "model file")
    with open(path, "rb"):
        pass  # for a file that cannot be opened, the system's error is better than that from safetensors
    try:
        with safe_open(path, framework="numpy") as file:
            yield file
    except SafetensorError as error:
        raise ModelFileError(
            f"{path} cannot be loaded: it is not a fcfast model file, or damaged ({error}); were model and data exchanged?"
        ) from error
    except (ValueError, TypeError, RecursionError, OverflowError) as error:
        raise ModelFileError(f"{path} cannot be loaded: {error}") from error


def header_text(file: Any) -> str:
    """Give the JSON of the header of an open file of this format."""
    metadata = file.metadata() or {}
    require(metadata.get("format") == FORMAT, "it is a safetensors file, but not a fcfast model")
    version = metadata.get("version")
    require(version in VERSIONS, f"it has version {version!r}, this fcfast reads up to {VERSIONS[-1]!r}; update fcfast")
    same_names(metadata, METADATA, "metadata")
    return str(metadata["model"])


def card(path: str | os.PathLike[str]) -> ModelCard:
    """Read the model card of a file, without the weights.

    Parameters
    ----------
    path : path-like
        Model file.

    Returns
    -------
    ModelCard
        For a file from before there were cards, what its header tells.

    Raises
    ------
    ModelFileError
        If the file is damaged or not a model file. The weights are not read, so that damage to them is not noticed.
    OSError
        If the file does not exist or cannot be opened.

    Examples
    --------
    >>> import os, tempfile
    >>> import numpy as np
    >>> import fcfast
    >>> from fcfast.modelfile import card
    >>> X, y = np.random.default_rng(0).normal(size=(20, 300)), np.arange(20) % 2
    >>> classifier = fcfast.FrontClassifier((8,), max_epochs=5, random_state=0).fit(X, y)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     classifier.save(os.path.join(folder, "model.safetensors"))
    ...     card(os.path.join(folder, "model.safetensors"))["training"]["outcome"]
    'max_epochs'
    """
    with opened(path) as file:
        content = json.loads(header_text(file))
        require(isinstance(content, dict), "its header is not a JSON object")
        try:
            return card_of(content)
        except (AttributeError, IndexError, KeyError) as error:
            raise ValueError(f"its header has no card ({error})") from error


def _read(file: Any, kinds: Mapping[str, type[Header]]) -> tuple[Header, Tensors]:
    """Read an open file. Sizes are checked before tensors are read, and tensors before they are returned."""
    text = header_text(file)
    header = parse(text, kinds)
    expected = header.tensors()
    same_names(file.keys(), expected, "tensors")
    for name, (dtype, shape) in expected.items():
        held = file.get_slice(name)
        got, wanted = (held.get_dtype(), tuple(held.get_shape())), (SAFETENSORS_DTYPES[dtype], shape)
        require(got == wanted, f"tensor {name!r} has dtype and shape {got}, but the header needs {wanted}")
    tensors = {name: file.get_tensor(name) for name in expected}
    require(_checksum(text, tensors) == file.metadata()["checksum"], "its checksum is wrong: it was damaged or changed")
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
