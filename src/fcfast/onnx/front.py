"""Networks with a front layer as nodes of a graph."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from fcfast.gram.object import Gram
from fcfast.gram.occurring import is_stored_sparse
from fcfast.modelfile.front import sparse_rows
from fcfast.onnx.graph import Graph
from fcfast.onnx.inputs import prepared
from fcfast.sources.protocol import Source
from fcfast.sources.scaling import Scaling
from fcfast.training.network import FrontNetwork

Array = NDArray[Any]


def front_outputs(graph: Graph, network: FrontNetwork, scaling: Scaling | None) -> str:
    """Add a network; give the name of its outputs (N, c), those of a regression in the unit of scaled targets.

    Raises
    ------
    ValueError
        If the network has a kernel that ONNX cannot compute.
    """
    x = prepared(graph, scaling)
    value = _preactivations(graph, x, network)
    for weights, biases in zip(network.weights, network.biases[1:], strict=True):
        value = graph.dense(graph.activated(value, network.activation), weights, biases)
    return value


def _preactivations(graph: Graph, x: str, network: FrontNetwork) -> str:
    """Add the front layer: weights of features, or contributions of training samples that a kernel compares with new ones."""
    front: Any = network.front
    biases, gram, n_hidden = network.all_biases()[0], front.gram, int(network.widths[0])
    if gram is None or gram.has_weights:
        graph.reserve(n_hidden * graph.n_inputs * graph.dtype.itemsize)
        return graph.dense(x, front.expand(), biases)
    if not gram.has_features:
        return graph.dense(x, gram.spread(front.contributions).T, biases)
    return graph.dense(_compared(graph, x, gram), front.contributions.T, biases)


def _compared(graph: Graph, x: str, gram: Gram) -> str:
    """Give the values (N, n) of a kernel for samples and the training samples."""
    kernel: Any = gram.kernel
    if not kernel.takes_features:
        raise ValueError(f"kernel {kernel.name} is a Python function of samples, which ONNX cannot compute")
    if kernel.onnx_values is None:
        raise ValueError(
            f"kernel {kernel.name!r} does not say how ONNX computes it; define onnx_values in {type(kernel).__name__}, beside "
            "values"
        )
    graph.reserve(len(gram) * graph.n_inputs * graph.dtype.itemsize)
    X = _dense(gram.X, graph.dtype)
    norms = np.einsum("ij,ij->i", X, X, dtype=np.float64)[None]
    return str(kernel.onnx_values(graph, graph.dense(x, X), graph.node("ReduceSumSquare", x, axes=[1], keepdims=1), norms))


def _dense(X: Any, dtype: np.dtype[Any]) -> Array:
    """Give training samples as the network takes them."""
    if is_stored_sparse(X):
        X = sparse_rows(X)
    if isinstance(X, Source):
        return X.dense(dtype)
    return np.asarray(X.toarray() if sparse.issparse(X) else X, dtype)
