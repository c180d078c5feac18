"""What an optimiser's step does to a weight and its velocity, as numbers that are the same for all inputs of a unit."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fcfast.layers.protocol import SgdSettings

Array = NDArray[Any]
Number = float | NDArray[np.float64]  # one for all units, or one for each


class LinearStep:
    """A step (w, m) <- p (w, m) + (w_fresh, m_fresh) g on the weights w, velocities m and gradients g of each input.

    The operations of an optimiser (`fcfast.layers.protocol`) are composed, so that a feature without a gradient can be left
    alone: the step multiplies its (w, m) by p. What m and g add to w may differ from unit to unit.

    Parameters
    ----------
    has_velocity : bool
        Whether there are velocities.

    Attributes
    ----------
    w_by_w, w_by_m, m_by_w, m_by_m : float or ndarray of shape (h,)
        The matrix p; only ``w_by_m`` may be an array.
    w_fresh, m_fresh : float or ndarray of shape (h,)
        Factors of a gradient; only ``w_fresh`` may be an array.

    Examples
    --------
    >>> from fcfast.front.linear_step import LinearStep
    >>> step = LinearStep(has_velocity=True)
    >>> step.accumulate(0.5, 1.0)
    >>> step.descend(0.25)
    >>> step.w_by_w, step.w_by_m, step.w_fresh, step.m_by_m
    (1.0, -0.125, -0.25, 0.5)
    """

    def __init__(self, has_velocity: bool) -> None:
        self.has_velocity = has_velocity
        self.w_by_w, self.m_by_w, self.m_by_m, self.m_fresh = 1.0, 0.0, 1.0, 0.0
        self.w_by_m: Number = 0.0
        self.w_fresh: Number = 0.0

    def accumulate(self, decay: float, fresh: float) -> None:
        """Update the velocity: m <- decay m + fresh g."""
        self.m_by_w *= decay
        self.m_by_m *= decay
        self.m_fresh = decay * self.m_fresh + fresh

    def shrink(self, factor: float) -> None:
        """Multiply the weights."""
        self.w_by_w *= factor
        self.w_by_m = self.w_by_m * factor
        self.w_fresh = self.w_fresh * factor

    def descend(self, rates: Array | float) -> None:
        """Step along the velocity, or the gradient without one."""
        by: Number = np.asarray(rates, np.float64) if np.ndim(rates) else float(rates)
        if not self.has_velocity:
            self.w_fresh = self.w_fresh - by
            return
        if self.m_by_w:
            raise ValueError("a velocity that weight decay has entered takes steps of sgd alone on sparse samples")
        self.w_by_m = self.w_by_m - by * self.m_by_m
        self.w_fresh = self.w_fresh - by * self.m_fresh

    def descend_as_sgd(self, rate: float, sgd: SgdSettings, first: bool) -> None:
        """Take a step of torch.optim.SGD, which is the only one of its step."""
        decay, keep, fresh = sgd.weight_decay, 0.0 if first else sgd.momentum, 1.0 if first else 1 - sgd.dampening
        if not self.has_velocity:
            self.w_by_w, self.w_fresh = 1 - rate * decay, -rate
            return
        self.m_by_w, self.m_by_m, self.m_fresh = fresh * decay, keep, fresh
        # along the velocity, or gradient + momentum velocity
        share, ahead = (1.0, sgd.momentum) if sgd.nesterov else (0.0, 1.0)
        self.w_by_w = 1 - rate * (share * decay + ahead * self.m_by_w)
        self.w_by_m = -rate * ahead * keep
        self.w_fresh = -rate * (share + ahead * fresh)

    def numbers(self, n_units: int) -> tuple[Array, Array, Array]:
        """Give p (4,), in which 0 stands for numbers by unit; these (n_units,) or none; and the factors of a gradient."""
        by_unit = bool(np.ndim(self.w_by_m) or np.ndim(self.w_fresh))
        moved = np.broadcast_to(np.asarray(self.w_by_m, np.float64), (n_units,)) if by_unit else np.empty(0)
        p = np.array([self.w_by_w, 0.0 if by_unit else self.w_by_m, self.m_by_w, self.m_by_m])
        fresh = np.broadcast_to(np.asarray(self.w_fresh, np.float64), (n_units if by_unit else 1,))
        return p, np.ascontiguousarray(moved), np.ascontiguousarray(fresh)
