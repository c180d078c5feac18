"""Gram matrices, initial pre-activations and expanded weights, computed in one pass over the inputs."""
