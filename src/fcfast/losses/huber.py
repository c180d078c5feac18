"""A loss that large errors do not dominate."""

from dataclasses import dataclass
from typing import ClassVar

from fcfast import validation
from fcfast._pure import lossfn
from fcfast.losses.averages import locations
from fcfast.losses.base import Array, Floats, register
from fcfast.losses.separable import Separable


@register
@dataclass(frozen=True)
class Huber(Separable):
    """Half the squared error up to a bound, and beyond it a line that goes on from there (Huber 1964), as torch.nn.HuberLoss.

    Parameters
    ----------
    delta : float, default 0.2
        Error up to which the loss is quadratic, in the unit of the targets that are trained on. `FrontRegressor` scales targets
        for this loss by their quartiles, so that 1 is about the deviation of those that are not far off; the default is made
        for this unit, and smaller than PyTorch's 1, because what features do not explain is less than the targets vary. With
        ``standardize_targets=False`` it is the unit of the targets themselves, as in PyTorch.

    Raises
    ------
    ValueError, TypeError
        If `delta` is not a positive number.

    Examples
    --------
    >>> import numpy as np
    >>> from fcfast.losses import Huber
    >>> Huber(delta=2.0).of_samples(np.array([[1.0], [5.0]]), np.zeros((2, 1)))  # 1 / 2, and 2 * (5 - 2 / 2)
    (array([0.5, 8. ]), array([[1.],
           [2.]]))
    """

    delta: float = 0.2

    name: ClassVar[str] = "huber"
    kernel: ClassVar[int | None] = lossfn.HUBER
    expects_noise: ClassVar[bool] = True
    is_robust: ClassVar[bool] = True
    named_in_files: ClassVar[bool] = True

    def __post_init__(self) -> None:
        validation.positive(self.delta, "delta")
        validation.plain_numbers(self)

    @property
    def parameters(self) -> tuple[float, ...]:
        """The bound between squares and lines."""
        return (self.delta,)

    def noise(self, means: Floats, variances: Floats) -> float:
        """Give the bound if it is below 1: no derivative is larger."""
        return min(1.0, self.delta)

    def of_outputs(self, outputs: Array, targets: Array) -> tuple[Array, Array]:
        """Give the loss of each output and its derivative."""
        return lossfn.huber(outputs, targets, self.delta)

    def best_constant(self, targets: Array, sample_weight: Floats | None, n_outputs: int) -> Floats:
        """Give the numbers that minimise the loss."""
        return locations(targets, sample_weight, self.delta)
