"""Learning-rate schedules."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from fcfast import validation


class Schedule(Protocol):
    """A learning-rate schedule, which gives the factor of the learning rate at each step."""

    def factors(self, steps: NDArray[np.intp], total: int) -> NDArray[np.float64]:
        """Give the factors at some steps (counted from 0) of a training with `total` steps."""


@dataclass(frozen=True)
class Constant:
    """The same learning rate throughout, times `factor` (> 0)."""

    factor: float = 1.0

    def __post_init__(self) -> None:
        validation.positive(self.factor, "factor")
        validation.plain_numbers(self)

    def factors(self, steps: NDArray[np.intp], total: int) -> NDArray[np.float64]:
        """Give the factor for every step."""
        return np.full(len(steps), float(self.factor))


@dataclass(frozen=True)
class Cosine:
    """Half a cosine from 1 at the first step to `final` (finite, >= 0) after the last one."""

    final: float = 0.0

    def __post_init__(self) -> None:
        validation.in_range(self.final, "final", 0, np.inf)
        validation.plain_numbers(self)

    def factors(self, steps: NDArray[np.intp], total: int) -> NDArray[np.float64]:
        """Give the factors; a training that takes longer than planned stays at `final`."""
        progress = np.minimum(steps / max(total, 1), 1)
        return self.final + (1 - self.final) * (1 + np.cos(np.pi * progress)) / 2


@dataclass(frozen=True)
class StepDecay:
    """Multiply by `factor` (> 0) after every `every`-th part of the training (a fraction of its length, > 0)."""

    factor: float = 0.1
    every: float = 1 / 3

    def __post_init__(self) -> None:
        validation.positive(self.factor, "factor")
        validation.positive(self.every, "every")
        validation.plain_numbers(self)

    def factors(self, steps: NDArray[np.intp], total: int) -> NDArray[np.float64]:
        """Give the factors; after the planned length they no longer change."""
        with np.errstate(over="ignore"):  # `fit` refuses factors that are not finite
            return self.factor ** np.floor(np.minimum(steps / max(total, 1), 1 - 1e-12) / self.every)


@dataclass(frozen=True)
class WarmUp:
    """Rise linearly over the first `fraction` (0 to 1) of the training, then follow another schedule."""

    fraction: float = 0.1
    then: Schedule = Constant()

    def __post_init__(self) -> None:
        validation.plain_numbers(self)
        if validation.in_range(self.fraction, "fraction", 0, np.inf) > 1:
            raise ValueError(f"fraction must be a share of the training, at most 1, got {self.fraction!r}")
        if not callable(getattr(self.then, "factors", None)):
            raise TypeError(f"then must be a schedule, an object with factors(), got {self.then!r}")

    def factors(self, steps: NDArray[np.intp], total: int) -> NDArray[np.float64]:
        """Give the factors; the first step has 1 / (number of warm-up steps), not 0."""
        length = max(1, round(self.fraction * total))
        return np.minimum((steps + 1) / length, 1) * self.then.factors(np.maximum(steps - length, 0), max(total - length, 1))


SCHEDULES: dict[str, Schedule] = {
    "constant": Constant(),
    "cosine": Cosine(),
    "step": StepDecay(),
    "warm-up": WarmUp(),
    "warm-up-cosine": WarmUp(then=Cosine()),
}
