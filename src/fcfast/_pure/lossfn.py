"""Losses of one output and their derivatives, by the same codes as in the compiled kernels; targets are numbers."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, xlogy

Array = NDArray[Any]
Number = Array | float  # the same for all outputs, or one for each
Point = tuple[Array, Array]  # loss, and derivative with respect to the output

SQUARED_ERROR, CROSS_ENTROPY, LOGISTIC, POISSON, HUBER, QUANTILE = range(6)


def squared_error(output: Array, target: Array) -> Point:
    """Half the squared error."""
    return (output - target) ** 2 / 2, output - target


def logistic(output: Array, target: Array, smoothing: Number) -> Point:
    """Minus the log-likelihood of a label whose log-odds are the output; a share of the target is spread over 0 and 1."""
    target = (1 - smoothing) * target + smoothing / 2
    return np.logaddexp(0, output) - output * target, expit(output) - target


def poisson(output: Array, target: Array) -> Point:
    """Half the deviance of a count whose log-rate is the output."""
    rate = np.exp(output)
    of_counts = np.where(target > 0, target * output, 0)  # not infinity times 0
    return rate - target - of_counts + xlogy(target, target), rate - target


def huber(output: Array, target: Array, delta: Number) -> Point:
    """Half the squared error up to delta, and linear beyond."""
    error = output - target
    size = np.abs(error)
    near = size <= delta
    return np.where(near, error**2 / 2, delta * (size - delta / 2)), np.where(near, error, delta * np.sign(error))


def quantile(output: Array, target: Array, level: Number) -> Point:
    """The pinball loss; its slope is 0 where it has a kink, so that outputs that are right stay."""
    lack = target - output
    return np.where(lack > 0, level, level - 1) * lack, np.where(lack > 0, -level, np.where(lack < 0, 1 - level, lack))


def loss_at(kind: int, output: Array, target: Array, parameter: Number) -> Point:
    """Give the loss of that code."""
    if kind == LOGISTIC:
        return logistic(output, target, parameter)
    if kind == POISSON:
        return poisson(output, target)
    if kind == HUBER:
        return huber(output, target, parameter)
    if kind == QUANTILE:
        return quantile(output, target, parameter)
    return squared_error(output, target)
