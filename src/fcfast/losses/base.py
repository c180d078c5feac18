"""What training needs of a loss.

A loss is a mean over the samples of a batch, weighted if they have weights. One that the kernels know trains at full speed;
any other is a class with one method, `of_samples`.
"""

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fcfast import backend
from fcfast.registry import Registry

Array = NDArray[Any]
Floats = NDArray[np.float64]
Rows = NDArray[np.intp]

LOSSES = Registry("loss", make=lambda kind: kind())
register = LOSSES.register


class Loss:
    """A loss of the outputs.

    Attributes
    ----------
    name : str
    kernel : int or None
        Its code in the kernels; None if they do not know it, and for subclasses that do not say it again.
    has_classes : bool
        Whether targets are class numbers (N,); otherwise they are numbers (N, c), one for each output.
    """

    name: ClassVar[str]
    kernel: ClassVar[int | None] = None
    has_classes: ClassVar[bool] = False

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "kernel" not in vars(cls):
            cls.kernel = None

    def of_samples(self, outputs: Array, targets: Array) -> tuple[Array, Array]:
        """Give the loss of each sample and its gradient.

        Parameters
        ----------
        outputs : ndarray of shape (B, c)
        targets : ndarray of shape (B, c), or (B,) for classes

        Returns
        -------
        losses : ndarray of shape (B,)
        gradient : ndarray of shape (B, c)
            Derivatives of each sample's loss with respect to its outputs.
        """
        raise NotImplementedError

    def mean(self, outputs: Array, rows: Rows, targets: Array, sample_weight: Floats | None, delta: Array) -> float:
        """Give the mean loss of a batch, and fill its gradient with respect to the outputs.

        Parameters
        ----------
        outputs : ndarray of shape (B, c)
        rows : ndarray of int of shape (B,)
            Which samples these are.
        targets, sample_weight : ndarray
            Of all samples.
        delta : ndarray of shape (B, c)
            Filled.
        """
        if self.kernel is not None:
            values, labels = (None, targets) if self.has_classes else (targets, None)
            return float(backend.forward.loss_of_rows(outputs, rows, values, labels, sample_weight, delta))
        losses, gradient = self.of_samples(outputs, targets[rows])
        weights = np.ones(len(rows)) if sample_weight is None else sample_weight[rows]
        total = float(weights.sum())
        shares = weights / total if total > 0 else weights
        delta[:] = shares[:, None] * gradient
        return float(shares @ np.asarray(losses, dtype=np.float64))


class Targets:
    """What the outputs of all samples are compared with.

    Parameters
    ----------
    loss : Loss
    values : ndarray of shape (N, c), or (N,) for classes
    sample_weight : ndarray of shape (N,) or None
    """

    def __init__(self, loss: Loss, values: Array, sample_weight: Floats | None) -> None:
        self.of, self.values, self.sample_weight = loss, values, sample_weight

    def loss(self, outputs: Array, rows: Rows, delta: Array) -> float:
        """Give the mean loss of some rows; fill its gradient with respect to their outputs."""
        return self.of.mean(outputs, rows, self.values, self.sample_weight, delta)
