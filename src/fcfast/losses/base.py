"""The interface of losses.

Most losses are a mean over the samples of a batch, weighted if they have weights. A loss that the kernels know trains at full
speed. Any other loss is a class with one method: `of_samples` for a mean over samples, or `of_batch` where samples are compared
with each other.
"""

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fcfast import backend
from fcfast.registry import Capable, Registry

Array = NDArray[Any]
Floats = NDArray[np.float64]
Rows = NDArray[np.intp]

LOSSES = Registry("loss", make=lambda kind: kind())
register = LOSSES.register


class Loss(Capable):
    """A loss of the outputs.

    Attributes
    ----------
    name : str
        Name under which users find the loss.
    kernel : int or None
        Code of the loss in the kernels, or None if they do not know it. A subclass that does not set it has None.
    has_classes : bool
        Whether targets are class numbers (N,); otherwise they are numbers (N, c), one for each output.
    label_smoothing : float
        Share of the target probability that the kernels spread evenly over all classes. It is 0 for targets that are numbers.
    """

    not_inherited: ClassVar[dict[str, Any]] = {"kernel": None}

    name: ClassVar[str]
    kernel: ClassVar[int | None] = None
    has_classes: ClassVar[bool] = False
    label_smoothing: float = 0.0

    def of_samples(self, outputs: Array, targets: Array) -> tuple[Array, Array]:
        """Give the loss of each sample and its gradient.

        Parameters
        ----------
        outputs : ndarray of shape (B, c)
            Outputs of the network.
        targets : ndarray of shape (B, c), or (B,) for classes
            Targets of the same samples.

        Returns
        -------
        losses : ndarray of shape (B,)
            Loss of each sample.
        gradient : ndarray of shape (B, c)
            Derivatives of each sample's loss with respect to its outputs.
        """
        raise NotImplementedError

    def of_batch(self, outputs: Array, targets: Array, sample_weight: Floats) -> tuple[float, Array]:
        """Give the loss of a batch and its gradient: the weighted mean over the samples, unless a subclass says otherwise.

        Parameters
        ----------
        outputs : ndarray of shape (B, c)
            Outputs of the network.
        targets : ndarray of shape (B, c), or (B,) for classes
            Targets of the same samples.
        sample_weight : ndarray of shape (B,)
            Weights of the samples.

        Returns
        -------
        loss : float
            Loss of the batch.
        gradient : ndarray of shape (B, c)
            Derivatives of that loss with respect to the outputs.

        Raises
        ------
        ValueError
            If `of_samples` of a subclass gives arrays of other shapes.
        """
        losses, gradient = self.of_samples(outputs, targets)
        if np.shape(losses) != outputs.shape[:1] or np.shape(gradient) != outputs.shape:
            raise ValueError(
                f"loss {type(self).__name__} gave losses of shape {np.shape(losses)} and a gradient of shape "
                f"{np.shape(gradient)}, but {outputs.shape[:1]} and {outputs.shape} are needed"
            )
        total = float(sample_weight.sum())
        shares = sample_weight / total if total > 0 else sample_weight
        return float(shares @ np.asarray(losses, dtype=np.float64)), shares[:, None] * gradient

    def best_constant(self, targets: Array, sample_weight: Floats | None, n_outputs: int) -> Floats:
        """Give the outputs (c,) from which a training starts: the best ones that ignore the inputs, if the loss knows them.

        Parameters
        ----------
        targets : ndarray of shape (N, c), or (N,) for classes
            Targets.
        sample_weight : ndarray of shape (N,) or None
            Weights of the samples.
        n_outputs : int
            Number of outputs, c.
        """
        return np.zeros(n_outputs)

    def lowest(self, n_outputs: int) -> float:
        """Give the loss of the best outputs."""
        return 0.0


class Targets:
    """Targets of all samples, with the loss that compares outputs with them.

    Parameters
    ----------
    loss : Loss
        Loss of the outputs.
    values : ndarray of shape (N, c), or (N,) for classes
        Targets.
    sample_weight : ndarray of shape (N,) or None
        Weights of the samples; None weights all samples equally.
    """

    def __init__(self, loss: Loss, values: Array, sample_weight: Floats | None) -> None:
        self.loss, self.values, self.sample_weight = loss, values, sample_weight

    @property
    def numbers(self) -> Array | None:
        """The targets (N, c) if they are numbers, otherwise None."""
        return None if self.loss.has_classes else self.values

    @property
    def labels(self) -> Array | None:
        """The targets (N,) if they are class numbers, otherwise None."""
        return self.values if self.loss.has_classes else None

    def mean_loss(self, outputs: Array, rows: Rows, delta: Array) -> float:
        """Give the mean loss of a batch, and fill its gradient with respect to the outputs.

        Parameters
        ----------
        outputs : ndarray of shape (B, c)
            Outputs of the network.
        rows : ndarray of int of shape (B,)
            Row numbers of the batch's samples.
        delta : ndarray of shape (B, c)
            Array that the gradient is written to.
        """
        if self.loss.kernel is not None:
            return float(
                backend.forward.loss_of_rows(
                    outputs, rows, self.numbers, self.labels, self.sample_weight, delta, self.loss.label_smoothing
                )
            )
        weights = np.ones(len(rows)) if self.sample_weight is None else self.sample_weight[rows]
        loss, delta[:] = self.loss.of_batch(outputs, self.values[rows], weights)
        return loss
