"""Independent integrated gradients: autograd through the expanded network, and adaptive quadrature of exact gradients."""

import numpy as np
from scipy.integrate import quad_vec
from scipy.special import roots_legendre

SLOPE = 0.01  # of leaky ReLU


def torch_outputs(estimator):
    """Give the outputs of a network for raw features as a function of torch tensors, from its conventional weights."""
    import torch

    activation = {
        "relu": torch.relu, "leaky_relu": lambda s: torch.nn.functional.leaky_relu(s, SLOPE), "tanh": torch.tanh,
        "logistic": torch.sigmoid, "identity": lambda s: s,
    }[estimator.network_.activation]  # fmt: skip
    coefs = [torch.from_numpy(np.array(coef, np.float64)) for coef in estimator.coefs_]
    biases = [torch.from_numpy(np.array(bias, np.float64)) for bias in estimator.intercepts_]

    def outputs(x):
        for coef, bias in zip(coefs[:-1], biases[:-1], strict=True):
            x = activation(x @ coef + bias)
        return x @ coefs[-1] + biases[-1]

    return outputs


def autograd(outputs, X, places):
    """Give the gradients (M, d) of one output of each row."""
    import torch

    x = torch.from_numpy(np.ascontiguousarray(X, np.float64)).requires_grad_()
    picked = outputs(x)[torch.arange(len(X)), torch.from_numpy(np.asarray(places, np.int64))]
    return torch.autograd.grad(picked.sum(), x)[0].numpy()


def integrated(outputs, X, x0, places, n_steps):
    """Give the attributions (M, d) of n steps at the nodes of Gauss and Legendre."""
    nodes, weights = roots_legendre(n_steps)
    total = sum(w / 2 * autograd(outputs, x0 + (1 + a) / 2 * (X - x0), places) for a, w in zip(nodes, weights, strict=True))
    return (X - x0) * total


def exactly_integrated(estimator, x, x0, place):
    """Give the attributions (d,) of a sample: by halving the path until no unit changes sides, or by adaptive quadrature."""
    outputs = torch_outputs(estimator)

    def gradient(a):
        return autograd(outputs, (x0 + a * (x - x0))[None], [place])[0]

    if estimator.network_.activation in ("relu", "leaky_relu"):
        mean = sum((last - first) * gradient((first + last) / 2) for first, last in halved(estimator, x, x0, 0.0, 1.0))
    else:
        mean, _ = quad_vec(gradient, 0, 1, epsabs=1e-11, epsrel=0, norm="max", limit=1000)
    return (x - x0) * mean


def halved(estimator, x, x0, first, last):
    """Give the parts of a path on which all hidden units stay on one side."""
    if last - first < 1e-13 or (sides(estimator, x0 + first * (x - x0)) == sides(estimator, x0 + last * (x - x0))).all():
        return [(first, last)]
    middle = (first + last) / 2
    return halved(estimator, x, x0, first, middle) + halved(estimator, x, x0, middle, last)


def sides(estimator, x):
    """Say which hidden units are above 0."""
    slope, found = SLOPE if estimator.network_.activation == "leaky_relu" else 0.0, []
    for coef, bias in zip(estimator.coefs_[:-1], estimator.intercepts_[:-1], strict=True):
        s = x @ coef + bias
        found.append(s > 0)
        x = np.where(s > 0, s, slope * s)
    return np.concatenate(found)
