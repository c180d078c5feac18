"""The loss of counts."""

from typing import Any, ClassVar

import numpy as np

from fcfast._pure import lossfn
from fcfast.losses.averages import counted, means
from fcfast.losses.base import Array, Floats, register
from fcfast.losses.scores import errors, poisson_d2, share
from fcfast.losses.separable import Separable


@register
class Poisson(Separable):
    """Half the Poisson deviance of counts, whose log-rates are the outputs.

    For a count t and an output z it is ``exp(z) - t z + t log(t) - t``. This is torch.nn.PoissonNLLLoss, and a number that
    depends on the target alone, with which the loss of the best outputs is 0. Targets need not be whole numbers.

    Examples
    --------
    >>> import numpy as np
    >>> from fcfast.losses import Poisson
    >>> Poisson().of_samples(np.log([[2.0], [4.0]]), np.array([[2.0], [3.0]]))[1]  # rates minus counts
    array([[0.],
           [1.]])
    """

    name: ClassVar[str] = "poisson"
    kernel: ClassVar[int | None] = lossfn.POISSON
    named_in_files: ClassVar[bool] = True
    link = "log"
    may_scale_targets = False
    expects_noise: ClassVar[bool] = True
    starts_from_means: ClassVar[bool] = True
    share_name: ClassVar[str] = "d2"

    def check_targets(self, targets: Array) -> None:
        """Raise a ValueError for targets below 0."""
        low = np.nanmin(targets, initial=0)
        if low < 0:
            raise ValueError(f"y has values down to {low:g}, but loss {self.name!r} is for counts and rates, which are >= 0")

    def of_outputs(self, outputs: Array, targets: Array) -> tuple[Array, Array]:
        """Give the loss of each output and its derivative."""
        return lossfn.poisson(outputs, targets)

    def best_constant(self, targets: Array, sample_weight: Floats | None, n_outputs: int) -> Floats:
        """Give the logarithms of the means, 0 for a column without any target."""
        found = self.within(means(targets, sample_weight), counted(targets))
        return np.where(np.isnan(targets).all(axis=0), 0.0, np.log(found))

    def within(self, means: Floats, n_samples: Any) -> Floats:
        """Let half a count be in samples that have none."""
        return np.where(means <= 0, 0.5 / n_samples, means)

    def curvature(self, targets: Array, sample_weight: Floats | None) -> float:
        """Give the largest mean, or 1 if it is more."""
        return max(1.0, float(means(targets, sample_weight).max()))

    def noise(self, means: Floats, variances: Floats) -> float:
        """Give the geometric mean of the deviation of Poisson's counts with these means, and of that of the targets.

        The noise lies between them: counts vary more than Poisson's do, and features explain a part of the rest.
        """
        return float(((means * variances) ** 0.25).mean())

    def predictions(self, outputs: Array) -> Array:
        """Give the rates."""
        with np.errstate(over="ignore"):  # reported by whoever predicts
            return np.asarray(np.exp(outputs))

    def score(self, targets: Array, predictions: Array, sample_weight: Floats | None = None) -> float:
        """Give the share of the deviance that rates explain, as sklearn.linear_model.PoissonRegressor does."""
        return poisson_d2(targets, predictions, sample_weight)

    def measures(self, targets: Array, predictions: Array) -> list[dict[str, float]]:
        """Give the share of the deviance, and errors, of the rates of one target."""
        rates = predictions[:, 0]
        return [{"d2": share(poisson_d2, targets, rates), **errors(targets, rates)}]
