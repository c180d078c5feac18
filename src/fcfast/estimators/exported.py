"""Estimators that can be converted to ONNX. `fcfast.onnx` asks a fitted estimator for the nodes of its predictions."""

import os
from typing import TYPE_CHECKING

from fcfast.estimators.base import TrainedEstimator

if TYPE_CHECKING:
    from onnx import ModelProto

    from fcfast.onnx.graph import Graph


class ExportedEstimator(TrainedEstimator):
    """An estimator with the method `to_onnx`. Subclasses add their nodes to a graph."""

    memory_limit: int

    def to_onnx(self, path: str | os.PathLike[str] | None = None, *, input_dtype: str | None = None) -> "ModelProto | None":
        """Convert to an ONNX model that predicts the same from raw features, up to rounding; see `fcfast.onnx.to_onnx`.

        Parameters
        ----------
        path : path-like or None
            File to write, completely or not at all. A model over 2 GiB has its weights in a second file beside it. None returns
            the model.
        input_dtype : {"float32", "float64"} or None
            Type of the input ``X``; None takes the precision of the network.

        Returns
        -------
        onnx.ModelProto or None
            The model, unless a file was written. Its outputs are ``label`` and ``probabilities`` for a classifier, and
            ``variable`` for numbers.

        Raises
        ------
        ImportError
            If the package onnx is not installed (extra ``onnx``).
        TypeError, ValueError, MemoryError
            If the network cannot be expressed in ONNX, or is too large; the message says why.
        OSError
            If the file cannot be written.
        """
        from fcfast.onnx import to_onnx

        return to_onnx(self, path, input_dtype=input_dtype)

    def _add_to_graph(self, graph: "Graph") -> None:
        """Add the nodes of predictions to an ONNX graph, with its outputs."""
        raise TypeError(f"a {type(self).__name__} cannot be converted to ONNX")
