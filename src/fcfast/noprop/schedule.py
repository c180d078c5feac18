"""Noise schedules: the share of the label in a state, from almost 0 at time 0 to almost 1 at time 1.

A state is z_t = sqrt(abar_t) u_y + sqrt(1 - abar_t) noise, with signal-to-noise ratio SNR_t = abar_t / (1 - abar_t) and
gamma_t = -log SNR_t. Notation and equation numbers follow arXiv 2503.24322.
"""

import math
from collections.abc import Sequence
from dataclasses import InitVar, dataclass, field
from typing import Any, Protocol, TypeGuard

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fcfast import validation

Floats = NDArray[np.float64]

SMALLEST, LARGEST = 1e-4, 1 - 1e-3  # limits of abar in the cosine schedule
EMBEDDED_TIMES = 64  # features of an embedded time
TIME_SCALE, LOWEST_FREQUENCY = 1000.0, 1e-4
FREQUENCIES = np.geomspace(1, LOWEST_FREQUENCY, EMBEDDED_TIMES // 2)


class ContinuousSchedule(Protocol):
    """A schedule over all times from 0 to 1."""

    def alpha_bar(self, t: ArrayLike) -> Floats:
        """Return abar at the given times."""

    def snr_derivative(self, t: ArrayLike) -> Floats:
        """Return dSNR/dt at the given times."""


@dataclass(frozen=True)
class CosineNoise:
    """abar = cos^2(((1 - t) + s) / (1 + s) pi / 2), from 1e-4 to 1 - 1e-3.

    Parameters
    ----------
    s : float
        Offset that keeps abar below 1; >= 0.

    Examples
    --------
    >>> from fcfast.noprop import CosineNoise
    >>> CosineNoise().alpha_bar([0, 0.5, 1]).round(4)
    array([1.000e-04, 4.938e-01, 9.990e-01])
    """

    s: float = 0.008

    def __post_init__(self) -> None:
        validation.in_range(self.s, "s", 0, math.inf)
        validation.plain_numbers(self)

    def _angle(self, t: ArrayLike) -> Floats:
        return ((1 - np.asarray(t, dtype=np.float64)) + self.s) / (1 + self.s) * (np.pi / 2)

    def alpha_bar(self, t: ArrayLike) -> Floats:
        """Return abar at the given times."""
        return np.clip(np.cos(self._angle(t)) ** 2, SMALLEST, LARGEST)

    def snr_derivative(self, t: ArrayLike) -> Floats:
        """Return dSNR/dt at the given times, for SNR = cot^2(angle); it is 0 where abar is clipped."""
        angle = self._angle(t)
        inside = (np.cos(angle) ** 2 > SMALLEST) & (np.cos(angle) ** 2 < LARGEST)
        slope = np.pi / (1 + self.s) * np.cos(angle) / np.sin(np.where(inside, angle, 1)) ** 3
        return np.where(inside, slope, 0.0)


@dataclass(frozen=True)
class LinearNoise:
    """gamma = -log SNR falls linearly from `start` at time 0 to `end` at time 1.

    Parameters
    ----------
    start, end : float
        Values of gamma at times 0 and 1, with start > end, between -30 and 30.

    Raises
    ------
    ValueError
        If abar would not increase.

    Examples
    --------
    >>> from fcfast.noprop import LinearNoise
    >>> LinearNoise(2, -2).alpha_bar([0, 0.5, 1]).round(3)
    array([0.119, 0.5  , 0.881])
    """

    start: float = 7.0
    end: float = -7.0

    def __post_init__(self) -> None:
        for value, name in ((self.start, "start"), (self.end, "end")):
            validation.in_range(value, name, -30, 30)
        validation.plain_numbers(self)
        if self.start <= self.end:
            raise ValueError(f"start must be above end, so that abar rises with time, got {self.start} and {self.end}")

    def gamma(self, t: ArrayLike) -> Floats:
        """Return -log SNR at the given times."""
        return self.start + (self.end - self.start) * np.asarray(t, dtype=np.float64)

    def alpha_bar(self, t: ArrayLike) -> Floats:
        """Return abar at the given times."""
        return 1 / (1 + np.exp(self.gamma(t)))

    def snr_derivative(self, t: ArrayLike) -> Floats:
        """Return dSNR/dt at the given times."""
        return (self.start - self.end) * np.exp(-self.gamma(t))


SCHEDULES: dict[str, ContinuousSchedule] = {"cosine": CosineNoise(), "linear": LinearNoise()}


@dataclass(frozen=True, eq=False)
class Steps:
    """A chain of states z_0 .. z_T, with the update from each state to the next.

    z_t = a_t u + b_t z_{t-1} + sqrt(c_t) noise, for a prediction u of the embedding of the label (eq. 3). a, b and c have T
    entries, for t = 1 .. T.

    Parameters
    ----------
    alpha_bar : array-like of shape (T + 1,)
        Increasing values in (0, 1).
    may_stay : bool
        Whether neighbouring values may be equal, as in a clipped continuous schedule; such a step changes nothing.

    Raises
    ------
    ValueError, TypeError
        If `alpha_bar` is invalid.

    Examples
    --------
    >>> import numpy as np
    >>> from fcfast.noprop import Steps
    >>> steps = Steps([0.1, 0.5, 0.9])
    >>> bool(np.allclose(steps.a + steps.b * np.sqrt(steps.alpha_bar[:-1]), np.sqrt(steps.alpha_bar[1:])))
    True
    """

    alpha_bar: Floats
    may_stay: InitVar[bool] = False
    a: Floats = field(init=False, repr=False)
    b: Floats = field(init=False, repr=False)
    c: Floats = field(init=False, repr=False)

    def __post_init__(self, may_stay: bool) -> None:
        abar = validation.finite_array(self.alpha_bar, "alpha_bar", 1)
        if len(abar) < 2:
            raise ValueError(f"alpha_bar needs at least 2 values, of the noise and of the last state, got {len(abar)}")
        if abar.min() <= 0 or abar.max() >= 1:
            raise ValueError(f"alpha_bar must be in (0, 1), got values from {abar.min():g} to {abar.max():g}")
        falls = np.diff(abar) < 0 if may_stay and abar[0] < abar[-1] else np.diff(abar) <= 0
        if falls.any():
            t = int(np.argmax(falls))
            raise ValueError(
                f"alpha_bar must rise: every state has more of the label than the one before, but it goes from {abar[t]:g} to "
                f"{abar[t + 1]:g} at index {t + 1}"
            )
        alpha, noise = abar[:-1] / abar[1:], 1 - abar
        for name, value in (
            ("alpha_bar", abar),
            ("a", np.sqrt(abar[1:]) * (1 - alpha) / noise[:-1]),
            ("b", np.sqrt(alpha) * noise[1:] / noise[:-1]),
            ("c", noise[1:] * (1 - alpha) / noise[:-1]),
        ):
            object.__setattr__(self, name, value)

    def __len__(self) -> int:
        return len(self.a)

    @property
    def snr(self) -> Floats:
        """Return the signal-to-noise ratios (T + 1,)."""
        return self.alpha_bar / (1 - self.alpha_bar)


def sampled(schedule: ContinuousSchedule, n_steps: int, may_stay: bool = False) -> Steps:
    """Sample a schedule at the times 0, 1/T .. 1."""
    return Steps(schedule.alpha_bar(np.arange(n_steps + 1) / n_steps), may_stay)


def steps_of(schedule: str | ContinuousSchedule | ArrayLike, n_steps: int) -> Steps:
    """Convert a name, a schedule or values of alpha_bar to a chain of `n_steps` steps.

    Raises
    ------
    ValueError, TypeError
        If the name is unknown, the values do not increase in (0, 1), or there are not n_steps + 1 of them.
    """
    if isinstance(schedule, str):
        schedule = SCHEDULES[validation.choice(schedule, "noise_schedule", SCHEDULES)]
    if is_continuous(schedule):
        check_continuous(schedule)
        try:
            return sampled(schedule, n_steps)
        except ValueError as error:
            raise ValueError(
                f"noise_schedule={schedule!r} does not rise over {n_steps} blocks ({error}); use 'linear', or fewer blocks"
            ) from error
    try:
        steps = schedule if isinstance(schedule, Steps) else Steps(schedule)  # type: ignore[arg-type]  # checks what it is
    except (ValueError, TypeError) as error:
        raise type(error)(
            f"noise_schedule must be one of {', '.join(map(repr, SCHEDULES))}, an object of fcfast.noprop, or rising values of "
            f"alpha_bar: {error}"
        ) from error
    if len(steps) != n_steps:
        raise ValueError(
            f"noise_schedule has {len(steps) + 1} values of alpha_bar, but {n_steps} blocks need {n_steps + 1}: that of the "
            "noise, and one for the state after each block"
        )
    return steps


def check_continuous(schedule: ContinuousSchedule) -> None:
    """Check a continuous schedule at many times.

    Raises
    ------
    ValueError, TypeError
        If abar is not in (0, 1) or falls, or the derivative of the signal-to-noise ratio is not a finite number >= 0.
    """
    sampled(schedule, 100, may_stay=True)
    t = np.linspace(0, 1, 997)
    abar, slope = np.asarray(schedule.alpha_bar(t)), np.asarray(schedule.snr_derivative(t))
    if abar.shape != t.shape or not ((abar > 0) & (abar < 1)).all():
        raise ValueError(f"noise_schedule={schedule!r}: alpha_bar(t) must be in (0, 1) for all t in [0, 1]")
    if slope.shape != t.shape or not (np.isfinite(slope) & (slope >= 0)).all():
        raise ValueError(f"noise_schedule={schedule!r}: snr_derivative(t) must be finite and >= 0 for all t in [0, 1]")


def is_continuous(schedule: Any) -> TypeGuard[ContinuousSchedule]:
    """Tell whether an object is a continuous schedule."""
    if isinstance(schedule, type):
        return False
    return callable(getattr(schedule, "alpha_bar", None)) and callable(getattr(schedule, "snr_derivative", None))


def embedded(t: Sequence[float] | Floats, dtype: Any) -> NDArray[Any]:
    """Embed times (B,) as sines and cosines (B, 64) of 1000 t, with frequencies from 1 down to 1e-4."""
    angles = TIME_SCALE * np.asarray(t, dtype=np.float64)[:, None] * FREQUENCIES
    return np.concatenate([np.sin(angles), np.cos(angles)], axis=1).astype(dtype)
