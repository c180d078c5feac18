"""The course of a training, epoch by epoch, and its outcome."""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, NamedTuple

from sklearn.exceptions import ConvergenceWarning


class Outcome(str, Enum):
    """The way in which a training ended. A member equals its value, as in ``classifier.outcome_ == "converged"``.

    Attributes
    ----------
    CONVERGED
        There was no improvement for `n_iter_no_change` epochs.
    MAX_EPOCHS
        All `max_epochs` epochs were trained.
    STOPPED
        A callback ended it.
    INTERRUPTED
        Ctrl-C ended it. The network is that of the last whole epoch.
    DIVERGED
        Losses, weights or outputs were no longer finite, or the loss had grown more than a thousandfold. The network is the
        best one before that.
    LOSS_ROSE
        It ended in one of the first three ways, but the loss was higher than after the first epoch.
    NOTHING_LEARNED
        It ended by itself, but a classifier had learned only the class frequencies.

    Examples
    --------
    >>> import numpy as np
    >>> from fcfast import FrontClassifier
    >>> X, y = np.random.default_rng(0).normal(size=(20, 300)), np.arange(20) % 2
    >>> FrontClassifier((8,), max_epochs=5, random_state=0).fit(X, y).outcome_
    <Outcome.MAX_EPOCHS: 'max_epochs'>
    """

    CONVERGED = "converged"
    MAX_EPOCHS = "max_epochs"
    STOPPED = "stopped"
    INTERRUPTED = "interrupted"
    DIVERGED = "diverged"
    LOSS_ROSE = "loss_rose"
    NOTHING_LEARNED = "nothing_learned"

    def __str__(self) -> str:
        return self.value


class TrainingWarning(ConvergenceWarning):
    """A training ended in a way that the user should look at.

    Parameters
    ----------
    message : str
        Text of the warning.
    outcome : Outcome
        Outcome of the training, which is also an attribute.
    """

    def __init__(self, message: str, outcome: Outcome) -> None:
        super().__init__(message)
        self.outcome = outcome

    def __reduce__(self) -> tuple[Any, ...]:
        """Let processes send the warning to each other."""
        return type(self), (str(self), self.outcome)


class Validation(NamedTuple):
    """What validation samples say about a network.

    Attributes
    ----------
    score : float
        Score of the samples; the higher, the better. NaN if the network has diverged.
    loss : float or None
        Their mean loss; None if the loss is not that of outputs alone.
    """

    score: float
    loss: float | None


Validate = Callable[[], Validation]


@dataclass(frozen=True)
class Epoch:
    """The state of a training after an epoch, as callbacks get it.

    Attributes
    ----------
    epoch, max_epochs : int
        Number of finished epochs, and the largest number of epochs.
    loss : float
        Mean training loss over the epoch.
    validation_score : float or None
        Score of the validation samples under the weights after the epoch; None without such samples.
    validation_loss : float or None
        Their mean loss under these weights; None without such samples, and for `NoPropClassifier`.
    """

    epoch: int
    max_epochs: int
    loss: float
    validation_score: float | None
    validation_loss: float | None = None

    @classmethod
    def of(cls, epoch: int, max_epochs: int, loss: float, validated: Validation | None) -> "Epoch":
        """Take what was found out about validation samples, if there are any."""
        return cls(epoch, max_epochs, loss, *(validated or (None, None)))


Callback = Callable[[Epoch], Any]


@dataclass
class History:
    """Mean training loss of each epoch, scores and losses of validation samples, None without them, and the outcome."""

    losses: list[float] = field(default_factory=list)
    scores: list[float] | None = None
    validation_losses: list[float] | None = None
    outcome: Outcome = Outcome.MAX_EPOCHS

    @classmethod
    def begun(cls, validates: bool) -> "History":
        """Begin the history of a training that may have validation samples."""
        return cls(scores=[], validation_losses=[]) if validates else cls()

    def end(self, outcome: Outcome) -> None:
        """Note the outcome. Later outcomes do not replace an interruption or a divergence."""
        if self.outcome not in (Outcome.INTERRUPTED, Outcome.DIVERGED):
            self.outcome = outcome

    def add(self, loss: float, validated: Validation | None) -> None:
        """Note an epoch."""
        self.losses.append(loss)
        if validated is None or self.scores is None or self.validation_losses is None:
            return
        self.scores.append(validated.score)
        if validated.loss is not None:
            self.validation_losses.append(validated.loss)
