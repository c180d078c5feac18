"""Stacks of NoProp blocks as nodes of a graph.

The way of a prediction is that of the variant (`fcfast.noprop.variants`), which asks a label space and blocks. Those here add
nodes where the network's own compute arrays. Noise becomes constants, because all samples share it.
"""

from collections import deque
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fcfast.activations import ACTIVATIONS
from fcfast.noprop.blocks import NORM_EPS, Block
from fcfast.noprop.labels import LabelSpace, Prediction
from fcfast.noprop.network import NoPropNetwork
from fcfast.noprop.schedule import embedded
from fcfast.noprop.variants import Inference
from fcfast.onnx.graph import Graph
from fcfast.onnx.inputs import prepared
from fcfast.sources.scaling import Scaling

Array = NDArray[Any]

MOST_STEPS = 1000  # of all runs; each is a dozen nodes


def stack_probabilities(graph: Graph, network: NoPropNetwork, scaling: Scaling | None, how: Inference) -> str:
    """Add a stack of blocks; give the name of the probabilities (N, m).

    Raises
    ------
    ValueError
        If the samples are known by a kernel, or a prediction has too many steps.
    """
    gram, n_steps = network.fronts.gram, (how.n_steps or len(network.blocks)) * how.n_runs
    if gram is not None and not gram.has_weights:
        raise ValueError(f"the blocks have a {gram.kernel_name} kernel in place of weights, which cannot be converted to ONNX")
    if n_steps > MOST_STEPS:
        raise ValueError(
            f"a prediction has {n_steps} steps (n_steps times n_runs), and a graph at most {MOST_STEPS}; use fewer"
        )
    shape = network.shape
    graph.reserve(len(network.blocks) * shape.n_hidden * graph.n_inputs * graph.dtype.itemsize)
    x, labels = prepared(graph, scaling), GraphLabels(graph, network.labels)
    offsets: list[Any] = network.fronts.offset or [0.0] * len(network.blocks)
    fronts = zip(network.blocks, network.fronts.expand(), offsets, strict=True)
    blocks = [GraphBlock(graph, block, graph.dense(x, front, block.layers.bias + add)) for block, front, add in fronts]
    probabilities = []
    for run in range(how.n_runs):
        noise = network.noise(run)
        z = graph.constant(noise()[None] if how.noise else np.zeros((1, shape.n_embedding)))
        path = network.variant.path(z, lambda t, z, time: blocks[t].scores(z, time), labels, how, noise)
        probabilities.append(deque(path, maxlen=1).pop()[1])
    return probabilities[0] if how.n_runs == 1 else graph.node("Div", graph.node("Sum", *probabilities), float(how.n_runs))


class GraphLabels:
    """A label space whose points and scores are nodes of a graph; see `LabelSpace` for the methods."""

    def __init__(self, graph: Graph, labels: LabelSpace) -> None:
        self.graph, self.labels = graph, labels
        self._embedding = graph.constant(labels.embedding)
        self._head = [graph.constant(part) for part in labels.head] if labels.has_head else []

    def predicted(self, scores: Any) -> Prediction:
        """Add the point that scores predict."""
        factors: Any = scores if self.labels.is_flow else self._softmax(scores)
        point: Any = factors if self.labels.is_one_hot else self.graph.node("MatMul", factors, self._embedding)
        return Prediction(point, factors)

    def moved(self, z: Any, point: Any, a: float, b: float, c: float, noise: Array | None) -> Any:
        """Add a step of the chain."""
        node = self.graph.node
        z = node("Add", node("Mul", z, b), node("Mul", point, a))
        return z if noise is None or c == 0 else node("Add", z, c**0.5 * noise[None])

    def classified(self, z: Any) -> Any:
        """Add the probabilities that the classifier gives points."""
        return self._softmax(self.graph.node("Gemm", z, *self._head, transB=1))

    def closeness(self, z: Any) -> Any:
        """Add the probabilities that points belong to each embedding."""
        node, around = self.graph.node, self.labels.surroundings
        products = node("MatMul", node("Sub", z, around.centre[None]), around.points.T)
        squared = node("Sub", around.lengths[None], node("Mul", products, 2.0))
        return self._softmax(node("Mul", squared, around.factor))

    def _softmax(self, scores: Any) -> Any:
        return self.graph.node("Softmax", scores, axis=1)


class GraphBlock:
    """A block as nodes of a graph, in prediction; see `Block` for its layers.

    The first layer behind the branches is a sum of one product for each branch, so that those of the input, and of a time, are
    computed once for all steps and all samples.

    Parameters
    ----------
    graph : Graph
    block : Block
    preactivations : str
        Pre-activations (N, h) of the front layer, biases included.
    """

    def __init__(self, graph: Graph, block: Block, preactivations: str) -> None:
        self.graph, self.block = graph, block
        self._activation = next(name for name, code in ACTIVATIONS.items() if code == block.shape.activation)
        self._layers = {}
        for name, (params, _, (n_in, n_out)) in block.layers.packed.items():
            weights, biases = params[: n_in * n_out].reshape(n_out, n_in), params[n_in * n_out :]
            self._layers[name] = weights, graph.constant(weights), graph.constant(biases)
        h, weights = block.shape.n_hidden, self._layers["f1"][0]
        self._branches = [graph.constant(weights[:, start : start + h]) for start in range(0, weights.shape[1], h)]
        self._from_x = self._branch(0, self._activated("x", preactivations))

    def scores(self, z: Any, time: float | None) -> Any:
        """Add the scores (N, m) for noisy labels (N, d) and a time."""
        node, h = self.graph.node, self._activated("z1", self._linear("z1", z))
        if time is None:
            skipped = self._normalised("z3", self._linear("z3", self._activated("z2", self._linear("z2", h))))
            branches = [self._branch(1, node("Add", h, skipped))]
        else:
            t = self.graph.constant(embedded([time], self.block.params.dtype))
            branches = [self._branch(1, h), self._branch(2, self._activated("t", self._linear("t", t)))]
        value = node("Sum", self._from_x, *branches, self._layers["f1"][2])
        value = self._activated("f2", self._linear("f2", self._activated("f1", value)))
        return self._linear("out", value)

    def _branch(self, number: int, value: Any) -> Any:
        return self.graph.node("Gemm", value, self._branches[number], transB=1)

    def _linear(self, name: str, value: Any) -> Any:
        _, weights, biases = self._layers[name]
        return self.graph.node("Gemm", value, weights, biases, transB=1)

    def _normalised(self, name: str, value: Any) -> Any:
        norm = self.block.layers.norms.get(name)
        if norm is None:
            return value
        mean, variance = self.block.running[name].astype(np.float64)
        factor = norm.scale / np.sqrt(variance + NORM_EPS)
        return self.graph.node("Add", self.graph.node("Mul", value, factor[None]), (norm.shift - mean * factor)[None])

    def _activated(self, name: str, value: Any) -> Any:
        return self.graph.activated(self._normalised(name, value), self._activation)
