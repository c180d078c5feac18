"""Mean and scale of each column."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

EPSILON = float(np.finfo(np.float64).eps)


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


def scale_of(mean: Floats, variance: Floats, n_samples: int) -> Floats:
    """Give the scale (d,) of columns: their deviation, or 1 for columns that are constant up to rounding.

    scikit-learn's StandardScaler takes a column for constant by the same bound (docs: "Numerical details" of
    `sklearn.preprocessing.StandardScaler`), so that both scale alike.
    """
    bound = n_samples * EPSILON * variance + (n_samples * mean * EPSILON) ** 2
    scale = np.sqrt(variance)
    scale[(variance <= bound) | (scale == 0)] = 1.0
    return scale
