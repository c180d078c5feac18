"""Optimisers by name."""

from typing import Any

from fcfast import validation
from fcfast.optimizers.base import DEFAULT_SETTINGS, OPTIMIZERS, Optimizer


def make_optimizer(
    name: str, momentum: float, dampening: float, nesterov: bool, weight_decay: float, max_grad_norm: float | None
) -> Optimizer:
    """Make the optimiser with this name.

    Parameters
    ----------
    name : str
        Name of the optimiser: "sgd", "muon", "neuron-adam", "adam", "adamw", "adagrad", "rmsprop", or a name that
        `fcfast.optimizers.register` has entered.
    momentum : float
        Momentum; for the adaptive optimisers it is beta1.
    dampening, nesterov, weight_decay, max_grad_norm
        The same settings as in `SGD`.

    Raises
    ------
    ValueError
        If the name is unknown, a value is out of range, or a value was set that the optimiser has no setting for.

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
