"""Activations of hidden layers, by name."""

ACTIVATIONS = {"identity": 0, "relu": 1, "leaky_relu": 2, "tanh": 3, "logistic": 4}
HOMOGENEOUS = ("identity", "relu", "leaky_relu")
