"""Optimisers by name."""

from fcfast import validation
from fcfast.optimizers.adaptive import Adam, AdamW, NeuronAdam
from fcfast.optimizers.base import Optimizer
from fcfast.optimizers.muon import Muon
from fcfast.optimizers.sgd import SGD

OPTIMIZERS = ("sgd", "muon", "neuron-adam", "adam", "adamw")
_ADAPTIVE: dict[str, type[NeuronAdam] | type[Adam]] = {"neuron-adam": NeuronAdam, "adam": Adam, "adamw": AdamW}


def make_optimizer(
    name: str, momentum: float, dampening: float, nesterov: bool, weight_decay: float, max_grad_norm: float | None
) -> Optimizer:
    """Make the optimiser of that name.

    Parameters
    ----------
    name : {"sgd", "muon", "neuron-adam", "adam", "adamw"}
    momentum : float
        Of the adaptive optimisers, beta1.
    dampening, nesterov, weight_decay, max_grad_norm
        As in `SGD`.

    Raises
    ------
    ValueError
        For an unknown name, values out of range, and settings that the optimiser has no use for.

    Examples
    --------
    >>> from fcfast.optimizers import make_optimizer
    >>> make_optimizer("adamw", 0.9, 0.0, False, 0.01, None)
    AdamW(beta1=0.9, beta2=0.999, eps=1e-08, weight_decay=0.01, max_grad_norm=None)
    """
    validation.choice(name, "optimizer", OPTIMIZERS)
    validation.in_range(dampening, "dampening", 0, 1)
    validation.boolean(nesterov, "nesterov")
    if name == "sgd":
        return SGD(momentum, dampening, nesterov, weight_decay, max_grad_norm)
    if dampening:
        raise ValueError(f"dampening={dampening} is a setting of optimizer='sgd'; {name!r} has none, use 0")
    if name == "muon":
        return Muon(momentum, nesterov, weight_decay, max_grad_norm)
    if nesterov:
        raise ValueError(f"nesterov=True is a setting of optimizer='sgd' and 'muon'; {name!r} has none, use False")
    validation.in_range(momentum, "momentum", 0, 1)
    return _ADAPTIVE[name](beta1=momentum, weight_decay=weight_decay, max_grad_norm=max_grad_norm)
