"""Backward pass of a dense network and the parameter update (twin of ``_core/backprop.pyx``)."""

import numpy as np
from numpy.typing import NDArray

from fcfast._pure.forward import blocks, layers
from fcfast._pure.mathfn import Array, derivative, quiet


@quiet
def backward(
    params: Array,
    widths: NDArray[np.intp],
    bias: bool,
    activation: int,
    X: Array,
    values: Array,
    deltas: Array,
    grad: Array,
    input_delta: Array | None,
    n_threads: int,
) -> None:
    """Fill ``grad`` and every block of ``deltas`` from the last one, dLoss/d outputs; optionally dLoss/dX."""
    inputs = [X, *blocks(values, widths, len(X))[:-1]]
    delta_blocks = blocks(deltas, widths, len(X))
    pairs = zip(layers(params, widths, bias), layers(grad, widths, bias), strict=True)
    for layer, ((weights, _), (weights_grad, bias_grad)) in reversed(list(enumerate(pairs))):
        delta = delta_blocks[layer]
        weights_grad[:] = delta.T @ inputs[layer]
        if bias_grad is not None:
            bias_grad[:] = delta.sum(axis=0)
        if layer > 0:
            delta_blocks[layer - 1][:] = (delta @ weights) * derivative(inputs[layer], activation)
        elif input_delta is not None:
            input_delta[:] = delta @ weights


@quiet
def through_activation(delta: Array, values: Array, activation: int) -> None:
    """Multiply by the activation's derivative, which is known from its values."""
    delta *= derivative(values, activation)


@quiet
def sgd_step(
    params: Array,
    grad: Array,
    velocity: Array | None,
    learning_rate: float,
    momentum: float,
    dampening: float,
    nesterov: bool,
    weight_decay: float,
    first: bool,
) -> None:
    """One step of SGD as torch.optim.SGD defines it; ``first`` starts the velocity with the gradient itself."""
    real = params.dtype.type
    step = grad + real(weight_decay) * params
    if velocity is not None and momentum != 0:
        velocity[:] = step if first else real(momentum) * velocity + real(1 - dampening) * step
        step = step + real(momentum) * velocity if nesterov else velocity
    params -= real(learning_rate) * step


@quiet
def adam_step(
    params: Array,
    grad: Array,
    first_moment: Array,
    second_moment: Array,
    learning_rate: float,
    beta1: float,
    beta2: float,
    eps: float,
    weight_decay: float,
    decoupled: bool,
    step: int,
    n_threads: int,
) -> None:
    """Step number ``step`` (from 1) of Adam, or with ``decoupled`` weight decay of AdamW, as torch.optim defines them."""
    real = params.dtype.type
    if decoupled:
        params *= real(1 - learning_rate * weight_decay)
    else:
        grad = grad + real(weight_decay) * params
    first_moment[:] = real(beta1) * first_moment + real(1 - beta1) * grad
    second_moment[:] = real(beta2) * second_moment + real(1 - beta2) * grad * grad
    root = np.sqrt(second_moment) * real(1 / np.sqrt(1 - beta2**step))
    params -= real(learning_rate / (1 - beta1**step)) * first_moment / (root + real(eps))


@quiet
def root_step(
    params: Array,
    grad: Array,
    second_moment: Array,
    learning_rate: float,
    keep: float,
    fresh: float,
    eps: float,
    weight_decay: float,
    n_threads: int,
) -> None:
    """A step along the gradient over the root of v <- keep v + fresh gradient^2, as torch's Adagrad and RMSprop take it."""
    real = params.dtype.type
    grad = grad + real(weight_decay) * params
    second_moment[:] = real(keep) * second_moment + real(fresh) * grad * grad
    params -= real(learning_rate) * grad / (np.sqrt(second_moment) + real(eps))
