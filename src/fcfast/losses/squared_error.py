"""Half the squared error."""

from typing import ClassVar

from fcfast.losses.base import LOSSES, Array, Loss, register


@register
class SquaredError(Loss):
    """Half the squared distance between outputs and target."""

    name: ClassVar[str] = "squared_error"
    kernel: ClassVar[int | None] = 0

    def of_samples(self, outputs: Array, targets: Array) -> tuple[Array, Array]:
        """Give the loss of each sample and its gradient."""
        error = outputs - targets
        return (error * error).sum(axis=1) / 2, error


LOSSES["half_squared_error"] = LOSSES[SquaredError.name]  # its older name
