"""Losses of the outputs."""

from fcfast import validation
from fcfast.losses.base import LOSSES, Loss, Targets, register
from fcfast.losses.cox import Cox
from fcfast.losses.cross_entropy import CrossEntropy, log_softmax, softmax
from fcfast.losses.function import FunctionLoss
from fcfast.losses.huber import Huber
from fcfast.losses.logistic import Logistic, log_sigmoid, sigmoid
from fcfast.losses.poisson import Poisson
from fcfast.losses.quantile import Quantile
from fcfast.losses.separable import Separable
from fcfast.losses.squared_error import SquaredError

__all__ = [
    "LOSSES", "Cox", "CrossEntropy", "FunctionLoss", "Huber", "Logistic", "Loss", "Poisson", "Quantile", "Separable",
    "SquaredError", "Targets", "log_sigmoid", "log_softmax", "make_loss", "register", "sigmoid", "softmax",
]  # fmt: skip


def make_loss(loss: str | Loss) -> Loss:
    """Give the loss with this name; a `Loss` is returned as it is.

    Raises
    ------
    ValueError
        If the name is unknown.
    TypeError
        If `loss` is neither a name nor a `Loss`.

    Examples
    --------
    >>> from fcfast.losses import make_loss
    >>> make_loss("cross_entropy").has_classes
    True
    """
    if isinstance(loss, str):
        named: Loss = LOSSES[validation.choice(loss, "loss", LOSSES)]
        return named
    if not isinstance(loss, Loss):
        raise TypeError(f"loss must be one of {list(LOSSES)} or a fcfast.losses.Loss, got {loss!r}")
    return loss
