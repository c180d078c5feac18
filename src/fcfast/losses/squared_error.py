"""Half the squared error."""

from typing import ClassVar

import numpy as np

from fcfast.losses.base import LOSSES, Array, Floats, Loss, register


@register
class SquaredError(Loss):
    """Half the squared distance between outputs and target."""

    name: ClassVar[str] = "squared_error"
    kernel: ClassVar[int | None] = 0

    def of_samples(self, outputs: Array, targets: Array) -> tuple[Array, Array]:
        """Give the loss of each sample and its gradient."""
        error = outputs - targets
        return (error * error).sum(axis=1) / 2, error

    def best_constant(self, targets: Array, sample_weight: Floats | None, n_outputs: int) -> Floats:
        """Give the means of the targets."""
        weights = sample_weight if sample_weight is not None and sample_weight.sum() > 0 else None
        return np.average(targets.astype(np.float64), axis=0, weights=weights)


LOSSES["half_squared_error"] = LOSSES[SquaredError.name]  # its older name
