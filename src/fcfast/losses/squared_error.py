"""Half the squared error."""

from typing import ClassVar

from fcfast._pure import lossfn
from fcfast.losses.averages import means
from fcfast.losses.base import LOSSES, Array, Floats, register
from fcfast.losses.separable import Separable


@register
class SquaredError(Separable):
    """Half the squared distance between outputs and target."""

    name: ClassVar[str] = "squared_error"
    kernel: ClassVar[int | None] = lossfn.SQUARED_ERROR
    starts_from_means: ClassVar[bool] = True

    def of_outputs(self, outputs: Array, targets: Array) -> tuple[Array, Array]:
        """Give the loss of each output and its derivative."""
        return lossfn.squared_error(outputs, targets)

    def best_constant(self, targets: Array, sample_weight: Floats | None, n_outputs: int) -> Floats:
        """Give the means of the targets."""
        return means(targets, sample_weight)


LOSSES["half_squared_error"] = LOSSES[SquaredError.name]  # its older name
