"""What training needs of an optimiser."""

import math
from dataclasses import fields
from typing import TYPE_CHECKING, Any, ClassVar

from fcfast import validation
from fcfast.layers import Layer
from fcfast.registry import Registry

if TYPE_CHECKING:
    from typing import Self  # Python 3.11

OPTIMIZERS = Registry("optimizer")
register = OPTIMIZERS.register

# What an estimator's parameters of these names are when nobody sets them.
DEFAULT_SETTINGS: dict[str, Any] = {
    "momentum": 0.9, "dampening": 0.0, "nesterov": False, "weight_decay": 0.0, "max_grad_norm": None,
}  # fmt: skip


class Optimizer:
    """An optimiser: a frozen dataclass of settings, whose `update` moves a layer along its gradient.

    Subclasses say what they can do. What a subclass does not say itself is not inherited where it would be a risk: `compiled`
    and `elementwise` are False in a subclass of an optimiser that has them, unless it repeats them.

    Attributes
    ----------
    name : str
    commutes : bool
        Whether updates commute with rotations of the inputs, so that the front layer may be held in any form.
    mixes_units : bool
        Whether a unit's step depends on the gradients of others.
    elementwise : bool
        Whether each parameter is treated by itself, so that all may be updated as one vector.
    compiled : bool
        Whether the kernel of whole epochs has this update.
    has_velocity : bool
        Whether a velocity is kept beside the weights.
    passes : int
        Passes over what a step changes, for predictions of time (`fcfast.plan`).
    rate_to_try : float or None
        A learning rate to begin with, where steps do not grow with the inputs and gradients; None where they do.
    weight_decay : float
        Weight decay of all parameters.
    max_grad_norm : float or None
        Largest global norm of a gradient; None for no clipping.
    parameters : mapping of str to str
        For each parameter of an estimator that sets something here, the name of the setting.
    """

    name: ClassVar[str]
    commutes: ClassVar[bool] = True
    mixes_units: ClassVar[bool] = False
    elementwise: ClassVar[bool] = False
    compiled: ClassVar[bool] = False
    passes: ClassVar[int] = 20
    rate_to_try: ClassVar[float | None] = 0.001
    has_velocity: Any = True
    parameters: ClassVar[dict[str, str]] = {}

    weight_decay: float = 0.0
    max_grad_norm: float | None = None

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        for risky in ("elementwise", "compiled"):
            if risky not in vars(cls):
                setattr(cls, risky, False)

    def memory_shapes(self, n_out: int, n_in: int) -> dict[str, tuple[int, ...]]:
        """Name what is remembered of a layer beside its velocity, with its shapes; it starts as 0."""
        return {}

    def update(self, layer: Layer, rate: float, step: int) -> None:
        """Update a layer's weights from its gradient, in step number `step` (from 1)."""
        raise NotImplementedError

    @property
    def for_biases(self) -> "Optimizer":
        """The optimiser of biases, each a layer of one feature."""
        return self

    @classmethod
    def from_parameters(cls, values: dict[str, Any], defaults: dict[str, Any]) -> "Self":
        """Make the optimiser from an estimator's parameters.

        Parameters
        ----------
        values : dict
            Values of the parameters in `DEFAULT_SETTINGS`, by name.
        defaults : dict
            What they are when nobody sets them.

        Raises
        ------
        ValueError
            For a value that was set, but that this optimiser has no setting for.
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
        """Settings by parameter: those of the same name, and those that `parameters` names."""
        own = [field.name for field in fields(cls)]  # type: ignore[arg-type]  # subclasses are dataclasses
        return {name: name for name in DEFAULT_SETTINGS if name in own} | cls.parameters


def check_common(optimizer: Any) -> None:
    """Check the settings that all optimisers have."""
    validation.plain_numbers(optimizer)
    validation.boolean(getattr(optimizer, "nesterov", False), "nesterov")
    validation.in_range(optimizer.weight_decay, "weight_decay", 0, math.inf)
    if optimizer.max_grad_norm is not None:
        validation.positive(optimizer.max_grad_norm, "max_grad_norm")
