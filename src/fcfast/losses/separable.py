"""Losses that are sums over the outputs."""

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fcfast.losses.base import Floats, Loss

Array = NDArray[Any]


class Separable(Loss):
    """A loss that is a sum over the outputs, each compared with a target of its own. Targets that are NaN are left out.

    The loss of a batch is the sum over the outputs of the weighted mean over the samples that have a target for that output. An
    output for which a batch has no target, or only targets of samples of weight 0, adds nothing to it.

    Examples
    --------
    >>> import numpy as np
    >>> from fcfast.losses import Separable
    >>> class Absolute(Separable):
    ...     def of_outputs(self, outputs, targets):
    ...         return abs(outputs - targets), np.sign(outputs - targets)
    >>> targets = np.array([[1.0, np.nan], [3.0, 2.0]])
    >>> Absolute().of_batch(np.zeros((2, 2)), targets, np.ones(2))  # (1 + 3) / 2 + 2
    (4.0, array([[-0.5,  0. ],
           [-0.5, -1. ]]))
    """

    may_lack_targets: ClassVar[bool] = True

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "of_samples" in vars(cls) and "of_outputs" not in vars(cls):
            cls.may_lack_targets = False  # its losses of samples say nothing of single outputs

    def of_outputs(self, outputs: Array, targets: Array) -> tuple[Array, Array]:
        """Give the loss of each output and its derivative.

        Parameters
        ----------
        outputs, targets : ndarray of shape (B, c)
            Outputs of the network, and their targets; what is given for a target that is NaN does not matter.

        Returns
        -------
        losses, slopes : ndarray of shape (B, c)
            Loss of each output, and its derivative with respect to that output.
        """
        raise NotImplementedError

    def of_samples(self, outputs: Array, targets: Array) -> tuple[Array, Array]:
        """Give the loss of each sample, summed over the targets that it has, and its gradient."""
        losses, slopes = self._of_known(outputs, targets)
        return losses.sum(axis=1), slopes

    def of_batch(self, outputs: Array, targets: Array, sample_weight: Floats) -> tuple[float, Array]:
        """Give the sum over the outputs of the mean loss of the samples that have a target, and its gradient."""
        there = ~np.isnan(targets)
        if there.all():
            return super().of_batch(outputs, targets, sample_weight)
        losses, slopes = self._of_known(outputs, targets)
        weights = sample_weight[:, None] * there
        totals = weights.sum(axis=0)
        shares = weights / np.where(totals > 0, totals, 1.0)
        return float((shares * losses).sum()), shares * slopes

    def _of_known(self, outputs: Array, targets: Array) -> tuple[Array, Array]:
        """Give losses and derivatives, which are 0 where there is no target."""
        losses, slopes = self.of_outputs(outputs, targets)
        if np.shape(losses) != outputs.shape or np.shape(slopes) != outputs.shape:
            raise ValueError(
                f"loss {type(self).__name__} gave losses of shape {np.shape(losses)} and slopes of shape {np.shape(slopes)}, "
                f"but {outputs.shape} is needed for both"
            )
        is_missing = np.isnan(targets)
        return np.where(is_missing, 0.0, losses), np.where(is_missing, 0.0, slopes)
