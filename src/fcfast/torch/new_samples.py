"""Pre-activations of new samples, which are computed where the features of the training samples are."""

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F

from fcfast.torch.form import NOT_TRAINED
from fcfast.torch.initial import ScaledWeights
from fcfast.torch.tensors import SPARSE_TENSOR, as_array, as_doubles

if TYPE_CHECKING:
    from fcfast.torch.linear import FrontLinear


@torch.compiler.disable
def preactivations_of_features(layer: "FrontLinear", x: Any) -> torch.Tensor:
    """Give the pre-activations (..., h) of features (..., d), through which the layer's weights cannot be trained."""
    if isinstance(x, torch.Tensor):
        if x.layout != torch.strided:
            raise TypeError(SPARSE_TENSOR.format("x", x.layout))
        if not x.dtype.is_floating_point:
            raise TypeError(
                f"x must hold numbers of training samples, int64 or int32, or features, floating point numbers, got {x.dtype}; "
                "use x.float() for features, and mask.nonzero().squeeze(1) for the numbers of a mask"
            )
        if x.requires_grad and torch.is_grad_enabled():
            return _with_gradient_of_features(layer, x) + _anchor(layer.weight)
        x = as_array(x)
    if isinstance(x, np.ndarray) and x.ndim not in (0, 2) and x.dtype.kind == "f":
        S = _preactivations(layer, x.reshape(-1, x.shape[-1])).reshape(*x.shape[:-1], layer.out_features)
    else:
        S = _preactivations(layer, x)
    S = S if layer.bias is None else S + layer.bias
    return S + _anchor(layer.weight)


def _preactivations(layer: "FrontLinear", x: Any) -> torch.Tensor:
    A, c = layer.form.split(as_doubles(layer.weight))
    S = layer.rows.new_preactivations(x, A, ScaledWeights(layer.form.start.weights, c))
    return torch.from_numpy(np.ascontiguousarray(S)).to(layer.weight.dtype).to(layer.weight.device)


def _with_gradient_of_features(layer: "FrontLinear", x: torch.Tensor) -> torch.Tensor:
    """Multiply features that need a gradient by the weights, which are made for it."""
    if x.ndim == 0 or x.shape[-1] != layer.in_features:
        raise ValueError(f"x has shape {tuple(x.shape)}, but the samples of the layer have {layer.in_features} features")
    if not bool(torch.isfinite(x.detach()).all()):
        raise ValueError("x holds values that are NaN or infinite, and needs a gradient; remove or impute them")
    gram = layer.rows.gram
    linear = layer.expand().requires_grad_(False)
    x = x.to(linear.weight)  # in any precision, on any device, as features without a gradient
    if gram.scale is not None:
        parts = (gram.scale.mean, gram.scale.scale)
        mean, scale = (torch.from_numpy(np.asarray(part)).to(x.dtype).to(x.device) for part in parts)
        x = (x - mean) / scale
    with torch.autocast(x.device.type, enabled=False):
        S = F.linear(x, linear.weight, linear.bias)
    return S if layer.bias is None else S + (layer.bias - layer.bias.detach())  # a 0 with the gradient of the bias


def _anchor(weight: torch.Tensor) -> torch.Tensor:
    """Give a 0 that fails when a gradient is to go through it to the weights."""
    nothing = weight.flatten()[:0].sum()
    if nothing.requires_grad:
        nothing.register_hook(_refuse)
    return nothing


def _refuse(gradient: torch.Tensor) -> None:
    raise RuntimeError(NOT_TRAINED.format("features of new samples"))
