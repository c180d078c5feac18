"""How a training ended."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Epoch:
    """What a callback is told after each epoch.

    Attributes
    ----------
    epoch, max_epochs : int
        Epochs done, from 1, and the most that will be.
    loss : float
        Mean training loss over the epoch.
    validation_score : float or None
        Score of the held-out samples, with early stopping.
    """

    epoch: int
    max_epochs: int
    loss: float
    validation_score: float | None


Callback = Callable[[Epoch], Any]


@dataclass(frozen=True)
class History:
    """Mean training loss of each epoch, and the validation scores where there are any."""

    losses: list[float] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)

    def add(self, loss: float, score: float | None) -> None:
        """Note an epoch."""
        self.losses.append(loss)
        if score is not None:
            self.scores.append(score)
