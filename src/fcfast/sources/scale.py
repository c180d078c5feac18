"""Mean and scale of each column."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

EPSILON = float(np.finfo(np.float64).eps)
UNKNOWN = float(np.finfo(np.float64).max)  # scale of a column that has been constant so far, which therefore does not count


@dataclass(frozen=True)
class Scale:
    """Mean and scale of each column: the mean is subtracted, then the difference is divided by the scale.

    Attributes
    ----------
    mean, scale : ndarray of shape (d,)
        Mean and scale in double precision; the scale is positive.
    """

    mean: Floats
    scale: Floats

    @property
    def is_known(self) -> NDArray[np.bool_]:
        """Which columns (d,) have a scale; those that have been constant in a stream so far have none."""
        return self.scale < UNKNOWN


def is_constant(mean: Floats, variance: Floats, n_samples: float | Floats) -> NDArray[np.bool_]:
    """Tell which columns are constant up to rounding.

    scikit-learn's StandardScaler takes a column for constant by the same bound (docs: "Numerical details" of
    `sklearn.preprocessing.StandardScaler`), so that both scale alike. As there, the number of samples is the sum of their
    weights.
    """
    with np.errstate(over="ignore"):  # huge weights leave no column that is not constant up to rounding, as there
        bound = n_samples * EPSILON * variance + (n_samples * mean * EPSILON) ** 2
    constant: NDArray[np.bool_] = (variance <= bound) | (np.sqrt(variance) == 0)
    return constant


def scale_of(mean: Floats, variance: Floats, n_samples: float) -> Floats:
    """Give the scale (d,) of columns: their deviation, or 1 for columns that are constant up to rounding."""
    return np.where(is_constant(mean, variance, n_samples), 1.0, np.sqrt(variance))


def refuse_unmeasurable(mean: Floats, variance: Floats, text: Callable[[int], str], name: str = "X") -> None:
    """Raise a ValueError for the first column of X whose mean or variance is not finite; `text` says which column it is."""
    measurable = np.isfinite(mean) & np.isfinite(variance)
    if not measurable.all():
        column = text(int(np.argmin(measurable)))
        raise ValueError(f"{name} has values too large to be scaled in {column}; use another unit there")
