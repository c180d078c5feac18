"""AdamW with one second moment for each unit, which is exact for front layers."""

from collections.abc import Callable
from typing import Any

import torch
from torch.optim.optimizer import Optimizer

from fcfast import validation
from fcfast.torch.guard import allow_optimizer, layers_by_parameter


@allow_optimizer
class NeuronAdam(Optimizer):
    """AdamW with one second moment for each unit in place of one for each weight, so that it commutes with rotations.

    Let g be the gradient of the n_in weights of a unit, a row of a parameter. A step sets M <- beta1 M + (1 - beta1) g and
    v <- beta2 v + (1 - beta2) mean(g^2), corrects both for their start at 0, and sets
    W <- (1 - lr weight_decay) W - lr M / (sqrt(v) + eps). Parameters of one dimension, such as biases, have a moment for each
    number, as in AdamW. A `FrontLinear` is trained as nn.Linear is. It is `fcfast.optimizers.NeuronAdam` for PyTorch.

    Parameters
    ----------
    params : iterable
        Parameters or parameter groups.
    lr : float or Tensor, default 1e-3
        Rate.
    betas : tuple of float, default (0.9, 0.999)
        Decay rates of the velocity and of the second moment, in [0, 1).
    eps : float, default 1e-8
        Number > 0 that is added to the root of the second moment.
    weight_decay : float, default 0
        Decoupled weight decay.
    maximize : bool, default False
        Whether to go up.

    Raises
    ------
    ValueError, TypeError
        If a value is out of range.

    Examples
    --------
    >>> import torch
    >>> from fcfast.torch import FrontLinear, NeuronAdam, Rows
    >>> net = torch.nn.Sequential(FrontLinear(Rows(torch.randn(20, 5000)), 8), torch.nn.ReLU(), torch.nn.Linear(8, 2))
    >>> optimizer = NeuronAdam(net.parameters(), lr=1e-2, weight_decay=1e-2)
    >>> net(None).square().mean().backward()
    >>> optimizer.step()
    """

    def __init__(
        self,
        params: Any,
        lr: float | torch.Tensor = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        *,
        maximize: bool = False,
    ) -> None:
        defaults = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "maximize": maximize}
        _check(defaults)
        super().__init__(params, defaults)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add parameters with settings of their own, which are checked.

        Parameters
        ----------
        param_group : dict
            Parameters as "params", and settings.
        """
        _check(self.defaults | param_group)
        super().add_param_group(param_group)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Make a step.

        Parameters
        ----------
        closure : callable or None
            Function that computes gradients and gives the loss.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        layers = layers_by_parameter()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._update(parameter, layers.get(id(parameter)), group)
        return loss

    def _update(self, parameter: torch.Tensor, layer: Any, group: dict[str, Any]) -> None:
        assert parameter.grad is not None
        gradient = -parameter.grad if group["maximize"] else parameter.grad
        if gradient.is_sparse or gradient.is_complex():
            raise RuntimeError("NeuronAdam takes dense real gradients, got others")
        squares, shape = _mean_squares(gradient, layer)
        state = self.state[parameter]
        if not state:
            state["step"] = 0
            state["exp_avg"], state["unit_avg_sq"] = torch.zeros_like(parameter), torch.zeros_like(squares)
        state["step"] += 1
        (beta1, beta2), lr = group["betas"], group["lr"]
        velocity, moment = state["exp_avg"], state["unit_avg_sq"]
        velocity.lerp_(gradient, 1 - beta1)
        moment.mul_(beta2).add_(squares, alpha=1 - beta2)
        root = (moment / (1 - beta2 ** state["step"])).sqrt_().add_(group["eps"])
        if group["weight_decay"]:
            parameter.mul_(1 - lr * group["weight_decay"])
        rate = lr / (1 - beta1 ** state["step"])
        parameter.sub_(velocity * (rate / root).reshape(shape))


def _check(settings: dict[str, Any]) -> None:
    """Raise a ValueError or TypeError for settings of a group that are out of range."""
    lr, betas = settings["lr"], settings["betas"]
    validation.in_range(float(lr) if isinstance(lr, torch.Tensor) else lr, "lr", 0, float("inf"))
    if not isinstance(betas, (tuple, list)) or len(betas) != 2:
        raise ValueError(f"betas must be two numbers, of the velocity and of the second moment, got {betas!r}")
    for place, beta in enumerate(betas):
        validation.in_range(beta, f"betas[{place}]", 0, 1)
    validation.positive(settings["eps"], "eps")
    validation.in_range(settings["weight_decay"], "weight_decay", 0, float("inf"))
    validation.boolean(settings["maximize"], "maximize")


def _mean_squares(gradient: torch.Tensor, layer: Any) -> tuple[torch.Tensor, tuple[int, ...]]:
    """Give the mean square of the gradient of each unit's weights, and the shape that spreads it over the parameter."""
    if layer is not None:
        squares = layer.form.squared_gradient_norms(gradient) / (layer.rows.gram.fan_in or 1.0)
        return squares, (-1, 1) if layer.form.unit_axis == 0 else (1, -1)
    if gradient.ndim < 2:
        return gradient.square(), tuple(gradient.shape)
    return gradient.square().flatten(1).mean(1), (-1, *(1,) * (gradient.ndim - 1))
