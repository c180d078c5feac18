"""Raw samples as a network takes them: scaled and filled in by nodes of a graph, as `fcfast.sources.scaling` does it."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fcfast.onnx.graph import INPUT, Graph
from fcfast.sources.scaling import Scaling

Floats = NDArray[np.float64]


def prepared(graph: Graph, scaling: Scaling | None) -> str:
    """Scale the input and fill in what is missing; give the name of the samples in the precision of the network.

    The arithmetic has the wider precision of the input and the network. In single precision a mean is subtracted in two parts,
    because samples such as 1e6 +- 1 would lose their digits otherwise: the first difference is exact where it matters.

    Raises
    ------
    ValueError
        If a mean or a deviation does not fit the precision.
    """
    x, wide = INPUT, np.promote_types(graph.input_dtype, graph.dtype)
    if graph.input_dtype != wide:
        x = graph.cast(x, wide)
    if scaling is not None and scaling.changes_features:
        x = _scaled(graph, x, scaling.whole(graph.n_inputs), wide)
    return x if graph.dtype == wide else graph.cast(x, graph.dtype)


def _scaled(graph: Graph, x: str, scaling: Scaling, dtype: np.dtype[Any]) -> str:
    inputs, missing = scaling.inputs, scaling.missing
    is_centred = inputs is not None and bool(inputs.mean.any())
    if missing is not None and not is_centred:
        x = _filled(graph, x, graph.constant(missing, dtype))
    if inputs is not None:
        for part in _parts(inputs.mean if missing is None else missing, dtype) if is_centred else ():
            x = graph.node("Sub", x, graph.constant(part, dtype))
        scale = inputs.scale
        if (scale < np.finfo(dtype).tiny).any():
            column = int(np.argmax(scale < np.finfo(dtype).tiny))
            raise ValueError(
                f"the deviation of column {column} (counted from 0), {scale[column]:.3g}, is too small for {dtype}; use "
                "input_dtype='float64'"
            )
        x = graph.node("Div", x, graph.constant(scale, dtype))
    if missing is not None and is_centred:
        x = _filled(graph, x, graph.constant(np.zeros(1), dtype))
    return x


def _filled(graph: Graph, x: str, by: str) -> str:
    return graph.node("Where", graph.node("IsNaN", x), by, x)


def _parts(mean: Floats, dtype: np.dtype[Any]) -> list[Floats]:
    """Split means into their value in a precision and what that leaves out, if it leaves out anything."""
    with np.errstate(over="ignore"):  # `Graph.constant` looks for it
        first = mean.astype(dtype).astype(np.float64)
    with np.errstate(invalid="ignore"):
        rest = mean - first
    return [first, rest] if rest.any() else [first]
