"""Trainings of a comparison: split the data, choose the learning rate of a rule on one part, then train with each seed."""

import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from math import ceil
from statistics import median
from typing import Any

import joblib
import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn import config_context
from sklearn.base import clone
from sklearn.utils import assert_all_finite, check_array

from fcfast import validation
from fcfast.comparison.memory import training_memory
from fcfast.comparison.names import Method, default_rate, given_rate, rate_grid
from fcfast.comparison.noprop import NoProp
from fcfast.comparison.results import RuleResult, Run, Trial
from fcfast.estimators import FrontClassifier, FrontRegressor
from fcfast.estimators.noprop import NoPropClassifier
from fcfast.splitting import split_at_random
from fcfast.training import Callback, Epoch, Outcome, TrainingWarning

SCORED_EPOCHS = 25  # at most per training, because scoring wide data takes long
MEMORY_EPOCHS = 3  # later epochs allocate no further memory

Array = NDArray[Any]
Rows = NDArray[np.intp]
Estimator = FrontClassifier | FrontRegressor
Tell = Callable[[str, int], Any]


@dataclass(frozen=True)
class Data:
    """Training samples, their parts for choosing the rate, and test samples."""

    X: Any
    y: Array
    fit_rows: Rows
    validation_rows: Rows
    X_test: Any
    y_test: Array

    @classmethod
    def make(
        cls,
        X: Any,
        y: ArrayLike,
        test: tuple[Any, ArrayLike] | None,
        test_share: float,
        validation_share: float,
        stratify: bool,
        seed: int,
    ) -> "Data":
        X, targets = _checked(X, y, "")
        if test is None:
            train, held_out = _part(targets, test_share, "test_share", stratify, seed)
            X_test, y_test = X[held_out], targets[held_out]
            X, targets = X[train], targets[train]
        else:
            X_test, y_test = _checked(*test, "test ")
            if X_test.shape[1] != X.shape[1] or y_test.shape[1:] != targets.shape[1:]:
                raise ValueError(
                    f"test samples have shapes {X_test.shape} and {y_test.shape}, which do not go with those of the training "
                    f"samples, {X.shape} and {targets.shape}"
                )
        if not stratify and len(y_test) < 2:
            raise ValueError(f"{len(y_test)} test sample has no variance to explain; use at least 2")
        rows = _part(targets, validation_share, "validation_share", stratify, seed)
        return cls(X, targets, *rows, X_test, y_test)

    def facts(self) -> dict[str, Any]:
        """Return facts that distinguish these data from others."""
        digest = joblib.hash((self.X, self.y, self.X_test, self.y_test))
        return {"data": digest, "n_train": self.X.shape[0], "n_test": len(self.y_test), "n_features": self.X.shape[1]}


def _checked(X: Any, y: ArrayLike, which: str) -> tuple[Any, Array]:
    with np.errstate(over="ignore", invalid="ignore"):  # the check looks for infinities itself
        validation.refuse_malformed(X, f"{which}X")
        X = check_array(X, accept_sparse="csr", dtype=("float32", "float64"), input_name=f"{which}X")
    targets = np.asarray(y)
    if targets.ndim == 0 or len(targets) != X.shape[0]:
        raise ValueError(f"{which}X has {X.shape[0]} samples, but {which}y has shape {targets.shape}")
    assert_all_finite(targets, input_name=f"{which}y")
    return X, targets


def _part(y: Array, share: float, name: str, stratify: bool, seed: int) -> tuple[Rows, Rows]:
    """Split the samples, stratified by class if there are enough of each."""
    validation.in_range(share, name, 0, 1)
    n_held_out = ceil(share * len(y))
    if not 2 <= n_held_out <= len(y) - 2:
        raise ValueError(
            f"{name}={share:g} of {len(y)} samples holds out {n_held_out} of them; at least 2 must be on each side"
        )
    train, held_out = split_at_random(y, n_held_out, seed, stratify)
    return np.sort(train), np.sort(held_out)


def estimator_of(rule: Method, template: Estimator) -> Any:
    """Make an estimator with a rule; NoProp has one of its own.

    Raises
    ------
    ValueError
        For NoProp and a regression, or a network with groups.
    """
    if not isinstance(rule, NoProp):
        return clone(template).set_params(rule=rule)
    if not isinstance(template, FrontClassifier):
        raise ValueError("NoProp is for classification and has no regression; leave it out")
    return rule.estimator(template)


def try_out(name: str, rule: Method, template: Estimator, data: Data) -> None:
    """Check before long trainings that a rule can train this network, by a fit to two samples of two features."""
    try:
        _fit(estimator_of(rule, template).set_params(max_epochs=1), data.X[:2, :2], data.y[:2])
    except (ValueError, TypeError) as error:
        raise type(error)(f"rule {name!r}: {error}") from error


def n_epochs(
    n_rules: int, epochs: int, n_seeds: int, n_rates: int, tune_epochs: int | None = None, learning_rate: float | None = None
) -> int:
    """Return the epochs of all trainings as `tell` counts them, including those that a rule with its own rate skips."""
    tried = 0 if learning_rate or n_rates == 1 else n_rates
    return n_rules * (tried * (tune_epochs or epochs) + n_seeds * epochs)


class Work:
    """The trainings of one comparison."""

    def __init__(
        self,
        template: Estimator,
        data: Data,
        n_seeds: int,
        n_rates: int,
        tune_epochs: int,
        learning_rate: float | None,
        seed: int,
        memory: bool,
        tell: Tell | None,
    ) -> None:
        self.template, self.data, self.tune_epochs = template, data, tune_epochs
        self.n_seeds, self.n_rates, self.learning_rate, self.seed, self.memory = n_seeds, n_rates, learning_rate, seed, memory
        self.tell = tell or (lambda description, completed: None)
        self.epochs = int(template.max_epochs)
        self.tuning_epochs = n_epochs(1, self.epochs, 0, n_rates, tune_epochs)  # of each rule
        self.done = 0  # epochs

    def skip(self) -> None:
        """Skip a rule whose results are known."""
        self.done += self.tuning_epochs + self.n_seeds * self.epochs

    def result(self, name: str, rule: Method) -> RuleResult:
        """Tune and train a rule; return its result."""
        try:
            with config_context(assume_finite=True):  # `Data.make` has looked
                return self._result(name, rule)
        except ValueError as error:  # outputs of the network overflow although its training did not
            raise ValueError(f"rule {name!r}: {error}; lower its rates") from error

    def _result(self, name: str, rule: Method) -> RuleResult:
        rate, trials = self._tuned(name, rule)
        runs, form, peak_bytes = [], None, None
        if rate is None:
            self.done += self.n_seeds * self.epochs
        else:
            for k in range(self.n_seeds):
                run, form = self._run(name, rule, rate, self.seed + k, f"seed {k + 1} of {self.n_seeds}")
                runs.append(run)
            if self.memory:
                self.tell(f"{name}: memory", self.done)
                peak_bytes = training_memory(
                    name,
                    self._estimator(rule, rate, self.seed, max_epochs=min(MEMORY_EPOCHS, self.epochs)),
                    self.data.X,
                    self.data.y,
                )
        n_hidden = len(self.template._hidden())
        products, kept = rule.matrix_products(n_hidden), rule.kept_activations(n_hidden)
        return RuleResult(
            name, rule.transposes, rule.backward_passes, products, kept, form, rate, trials, runs, peak_bytes
        )  # fmt: skip

    def _estimator(self, rule: Method, rate: float, seed: int, **changed: Any) -> Any:
        return estimator_of(rule, self.template).set_params(learning_rate=rate, random_state=seed, **changed)

    def _tuned(self, name: str, rule: Method) -> tuple[float | None, list[Trial]]:
        """Choose a learning rate; return it and all trials."""
        if (rate := given_rate(name)) is not None:
            self.done += self.tuning_epochs
            return rate, []
        if self.learning_rate is not None:
            return self.learning_rate, []
        data, optimizer = self.data, self.template.optimizer
        momentum = getattr(optimizer, "momentum", self.template.momentum)
        X, y = data.X[data.fit_rows], data.y[data.fit_rows]
        rates = rate_grid(default_rate(rule, X, optimizer, momentum), self.n_rates)
        if self.n_rates == 1:
            return rates[0], []
        trials = [self._trial(name, rule, rate, f"{k} of {len(rates)}", X, y) for k, rate in enumerate(rates, 1)]
        finished = [(trial.error, trial.loss, trial.learning_rate) for trial in trials if trial.error is not None]
        return min(finished)[2] if finished else None, trials

    def _trial(self, name: str, rule: Method, rate: float, which: str, X: Any, y: Array) -> Trial:
        """Train with a rate on these samples, and score the validation part."""

        def after_epoch(epoch: Epoch) -> None:
            self.tell(f"{name}: rate {rate:g}, {which}", self.done + epoch.epoch)

        estimator = self._estimator(rule, rate, self.seed, max_epochs=self.tune_epochs, n_iter_no_change=self.tune_epochs)
        diverged, _ = _fit(estimator, X, y, after_epoch)
        self.done += self.tune_epochs
        if diverged:
            return Trial(rate, None, None)
        X, y = self.data.X[self.data.validation_rows], self.data.y[self.data.validation_rows]
        error = 1 - estimator.score(X, y)
        return Trial(rate, error, _cross_entropy(estimator, X, y) if hasattr(estimator, "predict_proba") else error)

    def _run(self, name: str, rule: Method, rate: float, seed: int, which: str) -> tuple[Run, str]:
        """Train on all training samples and score the test samples; return the form of the front layer too."""
        data = self.data
        estimator = self._estimator(rule, rate, seed)
        scored = set(np.linspace(1, self.epochs, min(self.epochs, SCORED_EPOCHS)).round().astype(int).tolist())
        seconds: list[float] = []
        curve: dict[int, float] = {}
        started = time.perf_counter()

        def after_epoch(epoch: Epoch) -> None:
            nonlocal started
            seconds.append(time.perf_counter() - started)
            self.tell(f"{name}: {which}, loss {epoch.loss:.3g}", self.done + epoch.epoch)
            if epoch.epoch in scored:
                curve[epoch.epoch] = 1 - estimator.score(data.X_test, data.y_test)
            started = time.perf_counter()  # scoring does not count as training

        diverged, n_warnings = _fit(estimator, data.X, data.y, after_epoch)
        self.done += self.epochs
        test_error = 1 - estimator.score(data.X_test, data.y_test)
        train_error = 1 - estimator.score(data.X, data.y)
        per_epoch = median(seconds[1:] or seconds) if seconds else None
        losses = estimator.loss_curve_
        run = Run(
            seed, diverged, n_warnings, test_error, train_error, per_epoch, losses, list(curve), list(curve.values()),
            _first_block_error(estimator, data) if isinstance(estimator, NoPropClassifier) else None,
        )  # fmt: skip
        return run, estimator.form_


def _first_block_error(classifier: NoPropClassifier, data: Data) -> float:
    probabilities = next(classifier.staged_predict_proba(data.X_test))
    return 1 - float(np.mean(classifier.classes_[probabilities.argmax(axis=1)] == data.y_test))


def _cross_entropy(classifier: Any, X: Any, y: Array) -> float:
    """Return the mean cross-entropy; a class without training samples has probability 0 or nearly 0."""
    of_true_class = (classifier.predict_proba(X) * (y[:, None] == classifier.classes_)).sum(axis=1)
    return float(-np.log(np.maximum(of_true_class, np.finfo(np.float64).tiny)).mean())


def _fit(estimator: Any, X: Any, y: Array, *callbacks: Callback) -> tuple[bool, int]:
    """Fit; return whether training diverged and the number of convergence warnings. Unlike in `fit`, Ctrl-C raises."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        estimator.fit(X, y, callbacks=callbacks)
    if estimator.outcome_ is Outcome.INTERRUPTED:
        raise KeyboardInterrupt
    diverged = estimator.outcome_ is Outcome.DIVERGED
    # overflowing numbers mean that training diverges
    expected = (TrainingWarning, RuntimeWarning) if diverged else TrainingWarning
    for warning in caught:
        if not issubclass(warning.category, expected):
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
    return diverged, sum(issubclass(warning.category, TrainingWarning) for warning in caught)
