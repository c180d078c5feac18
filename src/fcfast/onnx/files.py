"""ONNX models as files: one file, or for a model over 2 GiB a second one with its large constants."""

import os
from contextlib import ExitStack

import numpy as np
from onnx import TensorProto, helper

from fcfast.files import replacing
from fcfast.onnx.graph import MOST_BYTES, Graph

SMALLEST = 1 << 10  # bytes of a constant that goes to the second file
ENDING = ".data"


def write(path: str | os.PathLike[str], graph: Graph, metadata: dict[str, str]) -> None:
    """Write a model completely or not at all; an older file stays until the new one is complete.

    Raises
    ------
    OSError
        If a file cannot be written.
    """
    with ExitStack() as files:
        temporary = files.enter_context(replacing(path))  # entered first, it is replaced last: no model lacks its constants
        stored: dict[str, TensorProto] = {}
        if graph.n_bytes + sum(map(len, metadata.values())) > MOST_BYTES:
            data = os.fspath(path) + ENDING
            stored = _store(files.enter_context(replacing(data)), os.path.basename(data), graph)
        content = graph.model(metadata, stored).SerializeToString(deterministic=True)
        with open(temporary, "wb") as file:
            file.write(content)


def _store(temporary: str, location: str, graph: Graph) -> dict[str, TensorProto]:
    """Write the large constants to a file, and give what stands for them in the model."""
    stored = {}
    with open(temporary, "wb") as file:
        for name, array in graph.constants.items():
            if array.nbytes < SMALLEST or array.dtype.kind in "UO":
                continue
            start = file.tell()
            np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tofile(file)
            held = TensorProto(name=name, data_type=helper.np_dtype_to_tensor_dtype(array.dtype), dims=array.shape)
            held.data_location = TensorProto.EXTERNAL
            for key, value in (("location", location), ("offset", start), ("length", file.tell() - start)):
                held.external_data.add(key=key, value=str(value))
            stored[name] = held
    return stored
