"""Activations of hidden layers, by name."""

ACTIVATIONS = {"identity": 0, "relu": 1, "leaky_relu": 2, "tanh": 3, "logistic": 4}
HOMOGENEOUS = ("identity", "relu", "leaky_relu")

# Factors of random weights, by which differences between samples keep their size (He et al. 2015, arXiv 1502.01852).
GAINS = {"identity": 1.0, "relu": 2**0.5, "leaky_relu": 2**0.5, "tanh": 1.0, "logistic": 4.0}
