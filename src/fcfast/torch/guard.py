"""The guard against optimisers that would train a front layer otherwise than its weights."""

from typing import Any, TypeVar
from weakref import WeakSet

import torch
from torch.optim.optimizer import Optimizer, register_optimizer_step_pre_hook

# A front layer has to be known by its parameter, whatever the parameter went through: a subclass of Parameter would get lost in
# pickles, and an attribute in copies. So layers are known, each of which registers itself whenever it comes into being.
_layers: "WeakSet[Any]" = WeakSet()
_exact: set[type[Optimizer]] = {torch.optim.SGD, torch.optim.ASGD}

Kind = TypeVar("Kind", bound=type[Optimizer])


class InexactOptimizerError(TypeError):
    """An optimiser that scales every coordinate by itself holds a front layer. The message names what to use in its place."""


def watch(layer: Any) -> None:
    """Guard the parameter of a layer from now on."""
    _layers.add(layer)


def layers_by_parameter() -> dict[int, Any]:
    """Give all front layers that there are by the identity of the parameter that stands for their weights."""
    return {id(parameter): layer for layer in list(_layers) for parameter in layer.standing_for_weights()}


def allow_optimizer(kind: Kind) -> Kind:
    """Let optimisers of a class train front layers; a decorator.

    Parameters
    ----------
    kind : type
        Class of optimisers, whose subclasses are not meant. Their steps must commute with rotations of the input: they may
        add, scale and measure whole tensors or rows of weights, but do nothing to single weights.

    Returns
    -------
    type
        The class.

    Raises
    ------
    TypeError
        If it is no class of optimisers.

    Examples
    --------
    >>> import torch
    >>> from fcfast.torch import allow_optimizer
    >>> @allow_optimizer
    ... class Printing(torch.optim.SGD):
    ...     def step(self, closure=None):
    ...         print("a step")
    ...         return super().step(closure)
    """
    if not (isinstance(kind, type) and issubclass(kind, Optimizer)):
        raise TypeError(f"kind must be a class of optimisers, got {kind!r}; give the class itself, not an optimiser")
    _exact.add(kind)
    return kind


def _check(optimizer: Optimizer, args: Any, kwargs: Any) -> None:
    """Raise an InexactOptimizerError if a step would not be the step of nn.Linear; known optimisers are looked up alone."""
    kind = type(optimizer)
    if kind in _exact:
        return
    layers = layers_by_parameter()
    if not layers:
        return
    for group in optimizer.param_groups:  # at each step, because a parameter may be exchanged or thawed
        for parameter in group["params"]:
            layer = layers.get(id(parameter))
            if layer is not None and parameter.requires_grad:
                _refuse(kind, layer, group)


def _refuse(kind: type[Optimizer], layer: Any, group: dict[str, Any]) -> None:
    if kind is getattr(torch.optim, "Muon", None):
        if not layer.form.keeps_lengths:
            raise InexactOptimizerError(
                f"Muon needs the coordinates of {layer}, which it has in form='coordinates' only; use that form, or SGD"
            )
        if "adjusted_for" in group and group["adjusted_for"] == layer.muon_adjustment(group.get("adjust_lr_fn")):
            return
        raise InexactOptimizerError(
            f"Muon would take its rate from the shape of the coordinates of {layer}, not from that of its weights; give it "
            "layer.muon_group(lr, weight_decay) in place of the parameter"
        )
    raise InexactOptimizerError(
        f"{kind.__name__} would not train {layer} as it trains nn.Linear, because it scales every weight by itself, and "
        "the layer holds other numbers than its weights. Give layer.weight to fcfast.torch.NeuronAdam, torch.optim.SGD or Muon "
        "with layer.muon_group(...), and the other parameters to any optimiser; or train layer.expand(). An optimiser that "
        "commutes with rotations of the input is let through by fcfast.torch.allow_optimizer"
    )


register_optimizer_step_pre_hook(_check)
