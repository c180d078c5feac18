"""The loss of quantiles, several of which may be predicted at once."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np

from fcfast import validation
from fcfast._pure import lossfn
from fcfast.losses.averages import quantiles
from fcfast.losses.base import Array, Floats, register
from fcfast.losses.scores import of_quantile, pinball_d2
from fcfast.losses.separable import Separable


def _level(level: object) -> float:
    if not 0 < validation.in_range(level, "levels", -np.inf, np.inf) < 1:
        raise ValueError(f"levels must be above 0 and below 1, got {level!r}")
    return float(level)  # type: ignore[arg-type]  # a number


@register
@dataclass(frozen=True)
class Quantile(Separable):
    """The pinball loss (Koenker and Bassett 1978), whose best outputs are quantiles of the target for the inputs.

    For an output z below the target t it is ``level (t - z)``, and above it ``(1 - level) (z - t)``.

    Parameters
    ----------
    levels : float or sequence of float, default 0.5
        Level of the quantile in (0, 1), 0.5 being the median, or rising levels of several quantiles. Each target then has one
        output for each level, side by side, and the loss is summed over them.

    Raises
    ------
    ValueError, TypeError
        If levels are not numbers in (0, 1), or do not rise.

    Notes
    -----
    Outputs of several levels are trained independently, and may cross for some inputs, so that a higher quantile is below a
    lower one. `predictions` sorts them, which makes no quantile worse (Chernozhukov, Fernández-Val and Galichon 2010,
    Econometrica 78:1093).

    Examples
    --------
    >>> import numpy as np
    >>> from fcfast.losses import Quantile
    >>> Quantile((0.1, 0.9)).of_samples(np.array([[0.0, 5.0]]), np.array([[1.0, 1.0]]))
    (array([0.5]), array([[-0.1,  0.1]]))
    """

    levels: float | Sequence[float] = 0.5

    name: ClassVar[str] = "quantile"
    kernel: ClassVar[int | None] = lossfn.QUANTILE
    link = "identity"
    expects_noise: ClassVar[bool] = True
    is_robust: ClassVar[bool] = True
    named_in_files: ClassVar[bool] = True
    share_name: ClassVar[str] = "d2"

    def __post_init__(self) -> None:
        if not validation.has_items(self.levels) or isinstance(self.levels, str):
            object.__setattr__(self, "levels", _level(self.levels))
            return
        listed = tuple(_level(level) for level in self.levels)
        if not listed or any(a >= b for a, b in pairwise(listed)):
            raise ValueError(f"levels must rise, one or more of them, got {self.levels!r}")
        object.__setattr__(self, "levels", listed)

    @property
    def parameters(self) -> tuple[float, ...]:
        """The levels."""
        return self.levels if isinstance(self.levels, tuple) else (float(self.levels),)  # type: ignore[arg-type]  # one

    @property
    def per_target(self) -> int:
        """Number of levels."""
        return len(self.parameters)

    @property
    def lists_predictions(self) -> bool:
        """Whether levels are a sequence, for which predictions have a last axis."""
        return isinstance(self.levels, tuple)

    def of_outputs(self, outputs: Array, targets: Array) -> tuple[Array, Array]:
        """Give the loss of each output and its derivative."""
        return lossfn.quantile(outputs, targets, self._levels(outputs.shape[1]))

    def noise(self, means: Floats, variances: Floats) -> float:
        """Give the largest deviation of the derivatives, over that of the median: few targets pull at an outer quantile."""
        levels = np.array(self.parameters)
        return float(2 * np.sqrt(levels * (1 - levels)).max())

    def best_constant(self, targets: Array, sample_weight: Floats | None, n_outputs: int) -> Floats:
        """Give the quantiles of the targets."""
        return quantiles(targets, sample_weight, self._levels(n_outputs))

    def _levels(self, n_outputs: int) -> Floats:
        """Give the level of each output."""
        return np.tile(self.parameters, n_outputs // self.per_target)

    def predictions(self, outputs: Array) -> Array:
        """Give the quantiles of each target in rising order."""
        if self.per_target == 1:
            return outputs
        return np.sort(outputs.reshape(len(outputs), -1, self.per_target), axis=2).reshape(outputs.shape)

    def onnx_predictions(self, graph: Any, outputs: str) -> str:
        """Add the nodes that sort the quantiles of each target."""
        if self.per_target == 1:
            return outputs
        each = graph.node("Reshape", outputs, graph.constant(np.array([0, -1, self.per_target])))
        return str(graph.node("Flatten", graph.sorted(each, self.per_target), axis=1))

    def score(self, targets: Array, predictions: Array, sample_weight: Floats | None = None) -> float:
        """Give the share of the pinball loss that quantiles explain, as sklearn.metrics.d2_pinball_score does.

        It is a mean over targets and levels.
        """
        return pinball_d2(np.array(self.parameters))(targets, predictions, sample_weight)

    def measures(self, targets: Array, predictions: Array) -> list[dict[str, float]]:
        """Give the share of the loss, the loss, and the share of the targets below, for each quantile of one target."""
        return [of_quantile(level, targets, column) for level, column in zip(self.parameters, predictions.T, strict=True)]
