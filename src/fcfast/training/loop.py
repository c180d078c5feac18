"""The fit loop: epochs, early stopping, divergence, callbacks.

It knows neither the form of the front layer nor whether an epoch reads samples in memory or a stream.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fcfast import validation
from fcfast.errors import frames_within
from fcfast.optimizers import Schedule
from fcfast.training.outcome import Callback, Epoch, History, Outcome, TrainingWarning, Validate
from fcfast.training.trainable import Epochs, Trainable

GROWTH = 1000  # growth of the loss from which on a training counts as diverged


@dataclass(frozen=True)
class Training:
    """Settings of a training, which are the parameters of an estimator with the same names.

    `validate` gives the score of validation samples after each epoch, and the training has diverged if it is not finite. If
    `by_score`, the score decides when training ends and which network is kept; otherwise, and without such samples, the
    training loss does. A callback that returns True ends the training after this epoch. `chance` is the loss of predictions
    that ignore the inputs, such as the class frequencies, or 0 without such predictions, and `lowest` that of the best ones. A
    loss that `is_random` goes up and down with the noise that is drawn, so that it may end higher than it began. `remedies` say
    what the user can do about steps that are too long.
    """

    learning_rate: Any
    schedule: Schedule
    max_epochs: int
    tol: float
    n_iter_no_change: int
    shuffle: bool
    validate: Validate | None = None
    by_score: bool = False
    callbacks: Sequence[Callback] = ()
    chance: float = 0.0
    lowest: float = 0.0
    is_random: bool = False
    remedies: Sequence[str] = ("lower the learning rate",)

    @property
    def keeps_best(self) -> bool:
        """Whether the network of the best validation score is kept."""
        return self.by_score and self.validate is not None

    def run(self, epochs: Epochs) -> History:
        """Train until there is no improvement, or for `max_epochs`.

        The network is then the best one if scores decide, and otherwise the last one. After a divergence it is the best
        one before, and after Ctrl-C that of the last whole epoch. Ctrl-C in the first epoch raises `KeyboardInterrupt`.
        """
        history, network = History.begun(self.validate is not None), epochs.network
        best, since_best = -np.inf, 0
        stuck = False  # it ended without improvement, not by a divergence, a callback or Ctrl-C
        try:
            for epoch in range(self.max_epochs):
                losses = epochs.train(epoch)
                loss = _mean_loss(network, losses, epochs.n_samples)
                reason = _divergence(epochs, losses, loss, history)
                validated = self.validate() if self.validate and not reason else None
                if validated is not None and not np.isfinite(validated.score):
                    reason = "outputs for the validation samples are not finite"
                if reason:
                    self._go_back(epochs, history, f"epoch {epoch + 1}: {reason}")
                    break
                history.add(loss, validated)
                quality = validated.score if validated is not None and self.keeps_best else -loss
                since_best = 0 if quality > best + self.tol else since_best + 1
                if quality > best:
                    best = quality
                    # A training loss belongs to the weights before the updates, a validation score to those after them.
                    if self.keeps_best:
                        epochs.keep()
                    else:
                        epochs.keep_before(epoch)
                if self._is_stopped(Epoch.of(epoch + 1, self.max_epochs, loss, validated)):
                    history.end(Outcome.STOPPED)
                    break
                if since_best >= self.n_iter_no_change:
                    history.end(Outcome.CONVERGED)
                    stuck = True
                    break
            else:
                stuck = since_best > 0 and self.max_epochs >= ENOUGH_EPOCHS
                if self.tol > 0 and self.n_iter_no_change < self.max_epochs:
                    message = f"max_epochs={self.max_epochs} reached before the loss stopped improving"
                    remedy = "raise max_epochs if the training loss still matters"
                    _warn(history, Outcome.MAX_EPOCHS, f"{message}; {remedy}")
        except KeyboardInterrupt:
            if not history.losses:  # nothing was fitted
                epochs.settle(0)
                raise
            message = f"interrupted after {len(history.losses)} epoch(s); what was fitted is kept"
            _warn(history, Outcome.INTERRUPTED, message)
        if self.keeps_best:
            epochs.go_back()
        else:
            epochs.settle(len(history.losses))
        if not network.has_finite_outputs():
            self._go_back(epochs, history, "the last epoch: outputs are not finite")
        elif history.outcome is Outcome.DIVERGED:
            pass  # the warning says what to do, and the network that is kept is not the one of the last losses
        elif not (self.keeps_best or self.is_random) and self._has_risen(history):
            message = f"the loss ended higher than it began; {_either(self.remedies)}"
            _warn(history, Outcome.LOSS_ROSE, message)
        elif stuck and self.lowest < self.chance and history.losses[-1] >= self._between(NO_BETTER):
            message = (
                f"the network learns only the class frequencies (loss {history.losses[-1]:.3f}, theirs {self.chance:.3f}); "
                f"{_either(self.remedies)}"
            )
            _warn(history, Outcome.NOTHING_LEARNED, message)
        return history

    def _has_risen(self, history: History) -> bool:
        """Whether the loss is higher than it began, and not by a share of `chance` that weight decay costs a good network."""
        return bool(history.losses) and history.losses[-1] > max(history.losses[0], self._between(DECAYED))

    def _between(self, share: float) -> float:
        """Give the loss at this share of the way from the lowest loss to that of chance."""
        return self.lowest + share * (self.chance - self.lowest)

    def _is_stopped(self, epoch: Epoch) -> bool:
        """Call every callback, and say whether one of them ends the training."""
        replies = [callback(epoch) for callback in self.callbacks]
        return any(_is_true(reply) for reply in replies)

    def rates(self, network: Trainable, epochs: range, n_samples: int) -> NDArray[np.float64]:
        """Give the learning rates of the steps of some epochs (n_epochs, n_steps)."""
        n_steps = -(-n_samples // network.batch_size)
        factors = np.empty((len(epochs), n_steps))
        for row, epoch in zip(factors, epochs, strict=True):
            steps = np.arange(epoch * n_steps, (epoch + 1) * n_steps)
            given = np.asarray(self.schedule.factors(steps, self.max_epochs * n_steps), dtype=np.float64)
            if given.shape != row.shape:
                self._refuse_factors(given, n_steps)
            row[:] = given
        if not (factors.min() >= 0 and factors.max() < np.inf):  # NaN is neither
            are_good = (np.isfinite(factors) & (factors >= 0)).all(axis=1)
            self._refuse_factors(factors[are_good.argmin()], n_steps)
        return self.base_rate * factors

    @property
    def base_rate(self) -> float:
        """Learning rate that schedules multiply; 1 if each layer of the network has a rate of its own."""
        return 1.0 if validation.has_items(self.learning_rate) else float(self.learning_rate)

    def _refuse_factors(self, factors: NDArray[np.float64], n_steps: int) -> None:
        raise ValueError(f"schedule must give {n_steps} finite factors >= 0 for {n_steps} steps, got {factors!r}")

    def _go_back(self, epochs: Epochs, history: History, reason: str) -> None:
        """Restore the best network so far, and warn."""
        epochs.go_back()
        message = (
            f"training diverged in {reason}. The best network before that is kept. To train on, "
            f"{_either([*self.remedies, 'set max_grad_norm'])}"
        )
        _warn(history, Outcome.DIVERGED, message)


def _either(remedies: Sequence[str]) -> str:
    """Join what can be done."""
    return ", or ".join([", ".join(remedies[:-1]), remedies[-1]] if len(remedies) > 1 else remedies)


def _warn(history: History, outcome: Outcome, message: str) -> None:
    """Note how the training ended, and warn the caller of `fit` or `partial_fit`."""
    history.end(outcome)
    warnings.warn(TrainingWarning(message, outcome), stacklevel=1 + frames_within())


def _is_true(reply: Any) -> bool:
    """Whether a reply is True itself; other values that a callback returns are ignored."""
    return isinstance(reply, (bool, np.bool_)) and bool(reply)


def _mean_loss(network: Trainable, losses: NDArray[np.float64], n_samples: int) -> float:
    """Give the mean over the samples, because the last batch may be shorter; NaN if a step is missing."""
    last = n_samples - network.batch_size * (len(losses) - 1)
    if not 0 < last <= network.batch_size:
        return np.nan
    before = network.batch_size * losses[:-1].sum() if len(losses) > 1 else 0.0
    return float((before + last * losses[-1]) / n_samples)


def _divergence(epochs: Epochs, losses: NDArray[np.float64], loss: float, history: History) -> str:
    """Explain why the training has diverged in this epoch; the text is empty if it has not."""
    if np.isnan(loss):
        return f"the loss of step {len(losses) + 1} is not finite"
    if history.losses and loss > GROWTH * max(history.losses[0], 1e-3):
        return f"the loss has grown more than {GROWTH} times"
    return "" if epochs.is_finite else "weights are not finite any more"


ENOUGH_EPOCHS = 10  # epochs after which a network has learned something if it ever does
DECAYED = 0.1  # share of the way to the class frequencies' loss up to which a loss may rise
NO_BETTER = 0.98  # share of the way to the class frequencies' loss from which on a loss is no better
