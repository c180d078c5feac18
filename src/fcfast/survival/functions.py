"""Functions of time that are constant between steps."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fcfast import validation

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class StepFunction:
    """A function of time that takes the value ``y[i]`` from ``x[i]`` on, up to the next one.

    It has the attributes of scikit-survival's step functions, `x`, `y` and `domain`, and is called in the same way. Before the
    first of the times it has the value `before`.

    Parameters
    ----------
    x : ndarray of shape (K,)
        Times in rising order.
    y : ndarray of shape (K,)
        Values.
    before : float
        Value from 0 up to the first time.

    Examples
    --------
    >>> import numpy as np
    >>> from fcfast.survival import StepFunction
    >>> survival = StepFunction(np.array([2.0, 5.0]), np.array([0.9, 0.4]), before=1.0)
    >>> survival([0, 2, 3, 5]).tolist(), survival(4)
    ([1.0, 0.9, 0.9, 0.4], 0.9)
    """

    x: Floats
    y: Floats
    before: float

    @property
    def domain(self) -> tuple[float, float]:
        """First and last time that the function has a value at: nobody was observed for longer than the last one."""
        return 0.0, float(self.x[-1])

    def __call__(self, x: ArrayLike) -> Floats | float:
        """Give the value at a time, or an array of values at several ones.

        Raises
        ------
        ValueError
            If a time is not in `domain`.
        """
        times = validation.finite_array(x, "x", (0, 1))
        first, last = self.domain
        if ((times < first) | (times > last)).any():
            raise ValueError(f"x must be within [{first:g}, {last:g}], the times of the training samples, got {x!r}")
        values = np.append(self.before, self.y)[np.searchsorted(self.x, times, side="right")]
        return float(values) if np.ndim(x) == 0 else np.asarray(values)
