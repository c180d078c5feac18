"""Layers as optimisers see them: weights as an array, or as coordinates in the span of the inputs."""

from fcfast.layers.dense import DenseLayer
from fcfast.layers.orthogonalizer import orthogonalizer
from fcfast.layers.products import multiply
from fcfast.layers.protocol import Layer
from fcfast.layers.span import SpanLayer

__all__ = ["DenseLayer", "Layer", "SpanLayer", "multiply", "orthogonalizer"]
