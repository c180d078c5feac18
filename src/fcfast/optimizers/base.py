"""The interface of optimisers."""

import math
from collections.abc import Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any, ClassVar

from fcfast import validation
from fcfast.layers import Layer
from fcfast.registry import Capable, Registry

if TYPE_CHECKING:
    from typing import Self  # Python 3.11

OPTIMIZERS = Registry("optimizer")
register = OPTIMIZERS.register

FIRST_CHANGE = 0.25  # of a pre-activation, on inputs of size 1, in the first step of an optimiser with steps of one size
REFERENCE_UNITS = 64  # units of a layer whose biases have the rates below

# Default values of an estimator's parameters with these names.
DEFAULT_SETTINGS: dict[str, Any] = {
    "momentum": 0.9, "dampening": 0.0, "nesterov": False, "weight_decay": 0.0, "max_grad_norm": None,
}  # fmt: skip


class Optimizer(Capable):
    """An optimiser, which is a frozen dataclass of settings whose `update` moves a layer along its gradient.

    Subclasses declare their capabilities. `compiled` and `elementwise` are not inherited, because the update of a subclass may
    differ; they are False in every subclass that does not set them.

    Attributes
    ----------
    name : str
        Name under which users find the optimiser.
    commutes : bool
        Whether updates commute with rotations of the inputs, so that the front layer may be held in any form.
    mixes_units : bool
        Whether a unit's step depends on the gradients of other units.
    elementwise : bool
        Whether each parameter is updated separately, so that all may be updated as one vector.
    compiled : bool
        Whether the kernel of whole epochs contains this update.
    has_velocity : bool
        Whether the optimiser keeps a velocity.
    passes : int
        Number of passes over the arrays that a step changes, for predictions of time (`fcfast.plan`).
    step_shrinks : bool
        Whether steps shrink with the gradients, so that weight decay can end a training.
    rests : bool
        Whether weights without a gradient stay as they are, so that steps on sparse samples leave other features alone.
    is_lazy : bool
        Whether many steps without a gradient can be made up for in one, so that steps on sparse samples can leave a feature
        alone until it occurs again: the optimiser commutes and does not mix units, or weights rest.
    rate_to_try : float or None
        Learning rate to begin with, or None if steps grow with the inputs and gradients, so that no rate fits all data.
    weight_decay : float
        Weight decay of all parameters.
    max_grad_norm : float or None
        Largest global norm of a gradient; None never scales gradients.
    parameters : mapping of str to str
        Name of the setting that each parameter of an estimator sets, where the two names differ.
    """

    not_inherited: ClassVar[dict[str, Any]] = {"elementwise": False, "compiled": False}

    name: ClassVar[str]
    commutes: ClassVar[bool] = True
    mixes_units: ClassVar[bool] = False
    elementwise: ClassVar[bool] = False
    compiled: ClassVar[bool] = False
    passes: ClassVar[int] = 20
    step_shrinks: ClassVar[bool] = False
    rests: Any = False
    rate_to_try: ClassVar[float | None] = 0.001
    has_velocity: Any = True
    parameters: ClassVar[dict[str, str]] = {}

    weight_decay: float = 0.0
    max_grad_norm: float | None = None

    @property
    def is_lazy(self) -> bool:
        """Whether many steps without a gradient can be made up for in one."""
        return bool(self.rests) or (self.commutes and not self.mixes_units)

    def memory_shapes(self, n_out: int, n_in: int) -> dict[str, tuple[int, ...]]:
        """Give names and shapes of the state that is kept for a layer in addition to its velocity; it starts as 0."""
        return {}

    def layer_rates(self, shapes: Sequence[tuple[float, int]], step: float) -> tuple[tuple[float, float], ...]:
        """Give learning rates of the weights and the biases of each layer that suit layers of any shape.

        Here the steps of all weights have about one size, whatever the gradients.

        Parameters
        ----------
        shapes : sequence of (float, int)
            Numbers of inputs and outputs of each layer, from the front layer on, whose first number is the mean squared length
            of the samples.
        step : float
            Size of a step, if gradients set it.
        """
        return tuple((FIRST_CHANGE / n_in, FIRST_CHANGE / REFERENCE_UNITS) for n_in, _ in shapes)

    def update(self, layer: Layer, rate: float, step: int) -> None:
        """Update a layer's weights from its gradient; `step` is the number of the step, beginning with 1."""
        raise NotImplementedError

    @property
    def for_biases(self) -> "Optimizer":
        """The optimiser of biases, each of which is a layer with one feature."""
        return self

    @classmethod
    def from_parameters(cls, values: dict[str, Any], defaults: dict[str, Any]) -> "Self":
        """Make the optimiser from an estimator's parameters.

        Parameters
        ----------
        values : dict
            Values of the parameters in `DEFAULT_SETTINGS`, by name.
        defaults : dict
            Default values of the same parameters.

        Raises
        ------
        ValueError
            If a parameter was set that this optimiser has no setting for.
        """
        validation.in_range(values["momentum"], "momentum", 0, 1)
        validation.in_range(values["dampening"], "dampening", 0, 1)
        validation.boolean(values["nesterov"], "nesterov")
        taken = cls._taken()
        for parameter, value in values.items():
            if parameter not in taken and value != defaults[parameter]:
                others = [name for name, kind in OPTIMIZERS.items() if parameter in kind._taken()]
                raise ValueError(
                    f"{parameter}={value} is a setting of optimizer={' and '.join(map(repr, others))}; {cls.name!r} has none, "
                    f"use {DEFAULT_SETTINGS[parameter]}"
                )
        return cls(**{setting: values[parameter] for parameter, setting in taken.items() if parameter in values})

    @classmethod
    def _taken(cls) -> dict[str, str]:
        """Map parameters to settings: those with the same name, and those that `parameters` maps."""
        own = [field.name for field in fields(cls)]  # type: ignore[arg-type]  # subclasses are dataclasses
        return {name: name for name in DEFAULT_SETTINGS if name in own} | cls.parameters


def check_common(optimizer: Any) -> None:
    """Check the settings that all optimisers have."""
    validation.plain_numbers(optimizer)
    validation.boolean(getattr(optimizer, "nesterov", False), "nesterov")
    validation.in_range(optimizer.weight_decay, "weight_decay", 0, math.inf)
    if optimizer.max_grad_norm is not None:
        validation.positive(optimizer.max_grad_norm, "max_grad_norm")
