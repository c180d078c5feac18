"""Outputs of a graph: labels and probabilities of classes."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper

from fcfast.onnx.graph import Graph

Array = NDArray[Any]


def add_classes(graph: Graph, classes: Array, scores: str, probabilities: str) -> None:
    """Add the outputs of a classifier, whose label is the class with the highest score.

    Raises
    ------
    TypeError
        If ONNX has no type for the class labels.
    """
    labels, elem_type = _labels(classes)
    best = graph.node("ArgMax", scores, axis=1, keepdims=0)
    graph.output("label", graph.node("Gather", graph.constant(labels, labels.dtype), best, axis=0), elem_type)
    graph.output("probabilities", probabilities, graph.element_type, len(classes))


def add_labels(graph: Graph, outputs: str, probabilities: str, n_labels: int) -> None:
    """Add the outputs of a classifier of several labels, which are 1 if they are more probable than not."""
    labels = graph.cast(graph.node("Greater", outputs, 0.0), np.dtype(np.int64))
    graph.output("label", labels, TensorProto.INT64, n_labels)
    graph.output("probabilities", probabilities, graph.element_type, n_labels)


def _labels(classes: Array) -> tuple[Array, int]:
    """Give class labels in a type that ONNX has, and its code."""
    kind = classes.dtype.kind
    if kind == "U" or (kind == "O" and all(isinstance(label, str) for label in classes.tolist())):
        if any(not _is_utf8(label) for label in classes.tolist()):
            raise TypeError("ONNX stores class labels in UTF-8, which cannot hold those with lone surrogates; rename them")
        return classes.astype(object), TensorProto.STRING
    if kind in "iu" and classes.max(initial=0) <= np.iinfo(np.int64).max:
        return classes.astype(np.int64), TensorProto.INT64
    if kind == "f":
        wide = classes.astype(np.promote_types(classes.dtype, np.float32))
        if wide.dtype.itemsize <= 8:  # not a long double
            return wide, helper.np_dtype_to_tensor_dtype(wide.dtype)
    if kind == "b":
        return classes, TensorProto.BOOL
    raise TypeError(f"ONNX has no type for class labels such as {classes[0]!r}; use labels that are str, int, float or bool")


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
