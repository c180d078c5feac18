"""Optimisers by name."""

from typing import Any

from fcfast import validation
from fcfast.optimizers.base import DEFAULT_SETTINGS, OPTIMIZERS, Optimizer


def make_optimizer(
    name: str, momentum: float, dampening: float, nesterov: bool, weight_decay: float, max_grad_norm: float | None
) -> Optimizer:
    """Make the optimiser of that name.

    Parameters
    ----------
    name : str
        "sgd", "muon", "neuron-adam", "adam", "adamw", or one that `fcfast.optimizers.register` has entered.
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
    kind: Any = OPTIMIZERS[validation.choice(name, "optimizer", OPTIMIZERS)]
    made: Optimizer = kind.from_parameters(
        {
            "momentum": momentum,
            "dampening": dampening,
            "nesterov": nesterov,
            "weight_decay": weight_decay,
            "max_grad_norm": max_grad_norm,
        },
        DEFAULT_SETTINGS,
    )
    return made
