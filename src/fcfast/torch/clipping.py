"""Gradient clipping by the norm of the gradient of the weights."""

from collections.abc import Iterable

import torch

from fcfast import validation
from fcfast.torch.guard import layers_by_parameter


@torch.no_grad()
def clip_grad_norm_(parameters: torch.Tensor | Iterable[torch.Tensor], max_norm: float | torch.Tensor) -> torch.Tensor:
    """Clip gradients to a global norm, as torch.nn.utils.clip_grad_norm_ does, for front layers in any form.

    In form "coordinates" PyTorch's own function does the same. It does not in form "contributions", whose parameter has other
    lengths than the weights.

    Parameters
    ----------
    parameters : iterable of Tensor, or Tensor
        Parameters whose gradients are clipped in place.
    max_norm : float or Tensor
        Largest norm of all gradients together, >= 0; infinity changes nothing.

    Returns
    -------
    Tensor
        The norm before.

    Raises
    ------
    ValueError, TypeError
        If `max_norm` is negative, NaN or no number.

    Examples
    --------
    >>> import torch
    >>> from fcfast.torch import clip_grad_norm_
    >>> weight = torch.nn.Parameter(torch.zeros(2))
    >>> weight.grad = torch.tensor([3.0, 4.0])
    >>> norm = clip_grad_norm_([weight], 1.0)
    >>> round(norm.item(), 3), round(weight.grad.norm().item(), 3)
    (5.0, 1.0)
    """
    largest = float(max_norm) if isinstance(max_norm, torch.Tensor) else max_norm
    if largest != float("inf"):
        validation.in_range(largest, "max_norm", 0, float("inf"))
    given = [parameters] if isinstance(parameters, torch.Tensor) else list(parameters)
    with_gradient = [parameter for parameter in given if parameter.grad is not None]
    if not with_gradient:
        return torch.tensor(0.0)
    layers = layers_by_parameter()
    squares = []
    for parameter in with_gradient:
        gradient, layer = parameter.grad, layers.get(id(parameter))
        assert gradient is not None
        squares.append((gradient.square() if layer is None else layer.form.squared_gradient_norms(gradient)).sum())
    norm = torch.stack([square.to(squares[0]) for square in squares]).sum().sqrt()
    factor = (max_norm / (norm + 1e-6)).clamp(max=1.0)
    for parameter in with_gradient:
        assert parameter.grad is not None
        parameter.grad.mul_(factor.to(parameter.grad))
    return norm
