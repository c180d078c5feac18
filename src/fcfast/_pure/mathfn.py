"""Activation functions and their derivatives, by the same codes as in the compiled kernels."""

from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")

IDENTITY, RELU, LEAKY_RELU, TANH, LOGISTIC = range(5)


def quiet(kernel: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    """Let a kernel overflow in silence: callers look at the numbers of a diverging run, as with the compiled kernels.

    `np.errstate` is entered anew at each call: in NumPy 1.26 one that decorates kernels which call each other forgets what
    it found, and leaves the caller's warnings off.
    """

    @wraps(kernel)
    def silent(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            return kernel(*args, **kwargs)

    return silent


def relu(s: Array) -> Array:
    """Rectify; NaN passes through, a diverged unit must not look like a dead one."""
    return np.where(s <= 0, 0, s)


def activate(s: Array, activation: int) -> Array:
    """Apply the activation of that code."""
    if activation == RELU:
        return relu(s)
    if activation == LEAKY_RELU:
        return np.where(s > 0, s, s.dtype.type(0.01) * s)
    if activation == TANH:
        return np.tanh(s)
    if activation == LOGISTIC:
        # exp may overflow to inf for very negative s; 1 / inf = 0 is the right value
        with np.errstate(over="ignore"):
            return 1 / (1 + np.exp(-s))
    return s


def derivative(v: Array, activation: int) -> Array:
    """Give the derivative from the activation's *value* v. ReLU has 0 at 0."""
    if activation == RELU:
        return (v > 0).astype(v.dtype)
    if activation == LEAKY_RELU:
        return np.where(v > 0, v.dtype.type(1), v.dtype.type(0.01))
    if activation == TANH:
        return 1 - v * v
    if activation == LOGISTIC:
        return v * (1 - v)
    return np.ones_like(v)
