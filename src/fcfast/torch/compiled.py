"""A whole training step, from the loss to the parameters, as one compiled function."""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from fcfast.torch.linear import FrontLinear
from fcfast.torch.tensors import INTEGERS


def compiled_step(
    net: nn.Module, loss: Callable[..., torch.Tensor], optimizer: torch.optim.SGD, *, backend: Any = "inductor", **options: Any
) -> Callable[..., torch.Tensor]:
    """Compile a step of SGD as a whole, so that small networks do not wait for Python.

    Parameters
    ----------
    net : torch.nn.Module
        Network, whose parameters each step changes in place. It must be one that torch.func differentiates: without
        buffers that calls change (batch normalisation).
    loss : callable
        Function of the outputs and the further arguments of a step that gives a number.
    optimizer : torch.optim.SGD
        Optimiser of the network, with any settings and groups. Rates are read at each step, so that schedulers work; other
        settings are read now. Velocities are those of the optimiser.
    backend, **options
        Arguments of torch.compile; the default "inductor" needs a C++ compiler.

    Returns
    -------
    callable
        ``step(rows, *targets)`` makes a step and gives the loss before it, as a tensor without a gradient. Its first call runs
        the network once before it is compiled. It raises an IndexError or a TypeError if a front layer would be trained on
        numbers of other than its training samples, or on features.

    Raises
    ------
    TypeError
        If the optimiser is not SGD itself.
    ValueError
        If it has parameters that the network does not have.

    Examples
    --------
    >>> import torch
    >>> from fcfast.torch import FrontLinear, Rows, compiled_step
    >>> net = torch.nn.Sequential(FrontLinear(Rows(torch.randn(20, 5000)), 8), torch.nn.ReLU(), torch.nn.Linear(8, 2))
    >>> optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    >>> step = compiled_step(net, torch.nn.functional.cross_entropy, optimizer, backend="eager")
    >>> losses = [step(torch.arange(20), torch.arange(20) % 2).item() for _ in range(20)]
    >>> losses[-1] < losses[0]
    True
    """
    if type(optimizer) is not torch.optim.SGD:
        raise TypeError(f"optimizer must be a torch.optim.SGD, got a {type(optimizer).__name__}; call its own step for others")
    return _Step(net, loss, optimizer, {"backend": backend, **options})


class _Step:
    """A step of SGD; the compiled part has neither state nor side effects, except on the tensors that it is given."""

    def __init__(self, net: nn.Module, loss: Any, optimizer: torch.optim.SGD, options: dict[str, Any]) -> None:
        names = {id(parameter): name for name, parameter in net.named_parameters()}
        self.optimizer, self.groups = optimizer, []
        self.net = net
        self._receivers: list[FrontLinear] | None = None
        trained: dict[str, nn.Parameter] = {}
        for group in optimizer.param_groups:
            held = [parameter for parameter in group["params"] if parameter.requires_grad]
            if any(id(parameter) not in names for parameter in held):
                raise ValueError("optimizer has parameters that net does not have; make it with net.parameters()")
            if not held:
                continue
            trained |= {names[id(parameter)]: parameter for parameter in held}
            settings = {name: group[name] for name in ("momentum", "dampening", "weight_decay", "nesterov", "maximize")}
            self.groups.append((group, [names[id(parameter)] for parameter in held], settings))
        self.parameters = trained
        self.others = {
            name: tensor.detach() for name, tensor in (*net.named_parameters(), *net.named_buffers()) if name not in trained
        }
        self._numbers: dict[tuple[float, torch.device], torch.Tensor] = {}
        parts = [(members, settings) for _, members, settings in self.groups]
        self._compiled = torch.compile(_step_of(net, loss, parts, self.others), **options)

    def __call__(self, rows: Any, *targets: Any) -> torch.Tensor:
        """Make a step, and give the loss before it."""
        if self._receivers is None:
            self._receivers = _receivers(self.net, rows)
        for layer in self._receivers:
            _refuse_untrainable(rows, layer)
        velocities: dict[str, torch.Tensor] = {}
        rates, fresh = [], []
        for group, members, settings in self.groups:
            is_new = bool(settings["momentum"]) and self._take_velocities(members, velocities)
            device = self.parameters[members[0]].device
            rates.append(self._number(float(group["lr"]), device))
            fresh.append(self._number(1.0 if is_new else 1 - settings["dampening"], device))
        with torch.no_grad():
            loss: torch.Tensor = self._compiled(self.parameters, velocities, rates, fresh, rows, targets)
        self.optimizer._opt_called = True  # type: ignore[attr-defined]  # schedulers ask whether there was a step
        return loss

    def _take_velocities(self, members: list[str], velocities: dict[str, torch.Tensor]) -> bool:
        """Add the optimiser's velocities to others; tell whether they are new."""
        is_new = False
        for name in members:
            state = self.optimizer.state[self.parameters[name]]
            if state.get("momentum_buffer") is None:
                state["momentum_buffer"], is_new = torch.zeros_like(self.parameters[name]), True
            velocities[name] = state["momentum_buffer"]
        return is_new

    def _number(self, value: float, device: torch.device) -> torch.Tensor:
        """Give a number as a tensor: another number is then no other program."""
        key = value, device
        if key not in self._numbers:
            self._numbers = {} if len(self._numbers) > 100 else self._numbers  # a schedule has a rate for each step
            dtype = torch.float32 if device.type == "mps" else torch.float64
            self._numbers[key] = torch.tensor(value, dtype=dtype, device=device)
        return self._numbers[key]


@torch.no_grad()
def _receivers(net: nn.Module, rows: Any) -> list[FrontLinear]:
    """Run a network once, and give the front layers that get the rows as they are."""
    found: list[FrontLinear] = []
    handles = []
    for layer in net.modules():
        if isinstance(layer, FrontLinear):

            def note(module: nn.Module, given: tuple[Any, ...], layer: FrontLinear = layer) -> None:
                if given and given[0] is rows:
                    found.append(layer)
                    _refuse_untrainable(rows, layer)

            handles.append(layer.register_forward_pre_hook(note))
    devices = list({parameter.device for parameter in net.parameters() if parameter.device.type == "cuda"})
    try:
        with torch.random.fork_rng(devices=devices):  # dropout draws from it
            net(rows)
    finally:
        for handle in handles:
            handle.remove()
    return found


def _refuse_untrainable(rows: Any, layer: FrontLinear) -> None:
    """Refuse what a compiled program would read from other places, or could not learn from."""
    is_trained = any(parameter.requires_grad for parameter in layer.standing_for_weights())
    if rows is None or not is_trained:
        return
    if not isinstance(rows, torch.Tensor) or rows.dtype not in INTEGERS:
        kind = rows.dtype if isinstance(rows, torch.Tensor) else type(rows).__name__
        raise TypeError(f"rows must be a tensor of integers, numbers of training samples, or None, got {kind}")
    if rows.device.type == "cpu" and rows.numel():  # elsewhere a look would wait for the device
        (low, high), n_samples = map(int, torch.aminmax(rows)), len(layer.rows)
        if low < 0 or high >= n_samples:
            raise IndexError(
                f"rows must be numbers of training samples from 0 to {n_samples - 1}, got {low} to {high}; a layer cannot be "
                "trained on others, nor on evaluation samples"
            )


def _step_of(net: nn.Module, loss: Any, parts: list[Any], others: dict[str, torch.Tensor]) -> Callable[..., torch.Tensor]:
    def step(
        parameters: dict[str, torch.Tensor],
        velocities: dict[str, torch.Tensor],
        rates: list[torch.Tensor],
        fresh: list[torch.Tensor],
        rows: Any,
        targets: tuple[Any, ...],
    ) -> torch.Tensor:
        def of(given: dict[str, torch.Tensor]) -> torch.Tensor:
            return loss(torch.func.functional_call(net, {**given, **others}, (rows,)), *targets)

        gradients, value = torch.func.grad_and_value(of)(parameters)
        for (members, settings), rate, part in zip(parts, rates, fresh, strict=True):
            for name in members:
                parameter = parameters[name]
                direction = _direction(parameter, gradients[name], velocities.get(name), part, settings)
                parameter.sub_(direction * rate.to(parameter.dtype))
        return value

    return step


def _direction(
    parameter: torch.Tensor,
    gradient: torch.Tensor,
    velocity: torch.Tensor | None,
    fresh: torch.Tensor,
    settings: dict[str, Any],
) -> torch.Tensor:
    """Give the direction of SGD, as in torch.optim.SGD, and update the velocity."""
    gradient = -gradient if settings["maximize"] else gradient
    if settings["weight_decay"]:
        gradient = gradient + settings["weight_decay"] * parameter
    if velocity is None:
        return gradient
    velocity.copy_(settings["momentum"] * velocity + fresh.to(gradient.dtype) * gradient)
    return gradient + settings["momentum"] * velocity if settings["nesterov"] else velocity
