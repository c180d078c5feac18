"""Learning rules side by side: same split, initial weights and batches, and as many learning rates tried for each.

A rate is chosen on a validation part of the training samples; test samples are scored with the network that it then trains.
"""

import json
import subprocess
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from math import ceil
from pathlib import Path
from statistics import median
from typing import Any

import joblib
import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.utils import check_array
from sklearn.utils.extmath import row_norms

from fcfast import validation
from fcfast.config import config
from fcfast.estimators import FrontClassifier, FrontRegressor
from fcfast.front.plan import bytes_text, duration
from fcfast.rules import RULES, ForwardGradient, FrozenHidden, Rule, make_rule
from fcfast.training import Callback, Epoch

TASKS = ("classification", "regression")
BASELINES = ("backprop", "frozen")
RATE = "rate"  # a setting in a rule's text that is not the rule's own
DECADES = 1.0  # that a grid of learning rates reaches to either side of its centre
SCORED_EPOCHS = 25  # of a training, at most: scoring wide data takes long
MEMORY_EPOCHS = 3  # from then on nothing is held that was not before
STATUS, RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")
# Parameters of the estimators that are equal by plan, or that `compare` has a name of its own for.
OWN = {
    "rule": "rules", "max_epochs": "epochs", "random_state": "seed", "tol": None, "n_iter_no_change": None,
    "early_stopping": None, "validation_fraction": "validation_share", "warm_start": None, "verbose": None,
}  # fmt: skip

Array = NDArray[Any]
Rows = NDArray[np.intp]
Estimator = FrontClassifier | FrontRegressor
Sheet = tuple[list[str], list[list[str]]]  # headings, rows
Tell = Callable[[str, int], Any]


# ----------------------------------------------------------------------------------------------------------------------
# rules by name


def parse_rule(text: str) -> Rule:
    """Read a rule's name and, after colons, settings that differ from those it has.

    Parameters
    ----------
    text : str
        One of `fcfast.rules.RULES`, and perhaps settings, as in "lg-fg-a:groups=16:block_size=2". Sizes
        of several layers are joined by x: "local-loss:head_layer_sizes=64x32". Any rule also takes a learning rate, as in
        "fg-w:rate=0.003": it is checked here, is no part of the rule, and `compare` trains with it instead of trying rates.

    Raises
    ------
    ValueError
        For an unknown name or setting, for settings that make no sense, and for a rate that is not finite and above 0.

    Examples
    --------
    >>> from fcfast.comparison import parse_rule
    >>> parse_rule("lg-fg-a:groups=16").groups
    16
    """
    return _rule_and_rate(text)[0]


def given_rate(text: str) -> float | None:
    """Give the learning rate in a rule's text; None without.

    Examples
    --------
    >>> from fcfast.comparison import given_rate
    >>> given_rate("fg-w:rate=0.003")
    0.003
    """
    return _rule_and_rate(text)[1]


def _rule_and_rate(text: str) -> tuple[Rule, float | None]:
    name, *settings = text.strip().split(":")
    rule = RULES[validation.choice(name, "rule", RULES)]
    defaults = {field.name: field.default for field in fields(rule)}  # type: ignore[arg-type]  # every rule is a dataclass
    changed: dict[str, Any] = {}
    rate = None
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals or key not in (*defaults, RATE):
            has = f"write {name}:NAME=VALUE with one of {', '.join((*defaults, RATE))}"
            raise ValueError(f"rule {text!r}: {setting!r} is no setting; {has}")
        if key == RATE:
            rate = _rate(text, value)
        else:
            changed[key] = _setting(text, key, value, defaults[key])
    try:
        return replace(rule, **changed), rate  # type: ignore[type-var]
    except (ValueError, TypeError) as error:
        raise ValueError(f"rule {text!r}: {error}") from error


def _rate(text: str, value: str) -> float:
    try:
        rate = float(value)
    except ValueError:
        raise ValueError(f"rule {text!r}: {RATE}={value!r} is not a number") from None
    try:
        return validation.positive(rate, RATE)
    except ValueError as error:
        raise ValueError(f"rule {text!r}: {error}") from error


def _setting(text: str, key: str, value: str, default: Any) -> Any:
    """Read a value of the default's type."""
    try:
        if isinstance(default, int):
            return int(value)
        if isinstance(default, tuple):
            return tuple(int(size) for size in value.split("x"))
    except ValueError:
        wanted = "a whole number" if isinstance(default, int) else "sizes such as 64 or 64x32"
        raise ValueError(f"rule {text!r}: {key}={value!r} is not {wanted}") from None
    return {"true": True, "false": False}.get(value.lower(), value)


def rule_name(rule: Rule) -> str:
    """Give the name with the fewest settings that `parse_rule` reads as this rule.

    Examples
    --------
    >>> from fcfast.comparison import rule_name
    >>> from fcfast.rules import ForwardGradient
    >>> rule_name(ForwardGradient(target="local", guess="gaussian", n_tangents=4))
    'lg-fg-a:n_tangents=4'
    """
    names: list[list[str]] = []
    for name, base in RULES.items():
        if type(base) is type(rule):
            pairs = [(f.name, getattr(rule, f.name), getattr(base, f.name)) for f in fields(rule)]  # type: ignore[arg-type]
            names.append([name, *(f"{key}={_written(value)}" for key, value, own in pairs if value != own)])
    shortest = min(names, key=len)
    return ":".join(shortest)


def _written(value: Any) -> str:
    return "x".join(map(str, value)) if isinstance(value, tuple) else str(value).lower()


def chosen_rules(rules: Iterable[str | Rule], only: bool = False) -> dict[str, Rule]:
    """Give rules by name (with the rate, if there is one), each once, with the baselines that are missing; `in_order`."""
    given = [_rule_and_rate(rule) if isinstance(rule, str) else (make_rule(rule), None) for rule in rules]
    named = {rule_name(rule) + ("" if rate is None else f":{RATE}={rate:.15g}"): rule for rule, rate in given}
    if not named:
        raise ValueError(f"rules is empty; give at least one of {', '.join(RULES)}")
    if not only:
        present = {_base(name) for name in named}
        named |= {name: RULES[name] for name in BASELINES if name not in present}
    return {name: named[name] for name in in_order(named)}


def in_order(names: Iterable[str]) -> list[str]:
    """Put backpropagation first and frozen hidden layers last; the others stay as they are."""
    first, last = BASELINES
    return sorted(names, key=lambda name: (_base(name) == last) - (_base(name) == first))


def _base(name: str) -> str:
    return name.partition(":")[0]


# ----------------------------------------------------------------------------------------------------------------------
# learning rates


def default_rate(rule: Rule, X: Any, optimizer: str = "sgd", momentum: float = 0.9) -> float:
    """Give the learning rate around which a rule's rates are tried.

    With SGD and momentum 0.9 that is 0.1 for backpropagation, and less for inputs whose median squared norm is above 100, by
    which a step changes the front layer. Noise needs smaller rates, on weights even more than on activations; directions that
    are not normalised and the output layer alone bear larger ones. Steps of the other optimisers have a length of their own.

    Parameters
    ----------
    rule : Rule
    X : ndarray or sparse matrix of shape (N, d)
    optimizer : str
    momentum : float

    Examples
    --------
    >>> import numpy as np
    >>> from fcfast.comparison import default_rate, parse_rule
    >>> [round(default_rate(parse_rule(name), np.ones((5, 4))), 4) for name in ("backprop", "fg-a", "fg-w")]
    [0.1, 0.01, 0.001]
    """
    if optimizer != "sgd":
        return 0.01 if optimizer == "muon" else 0.001
    return _factor(rule) * (1 - momentum) * 100 / max(100.0, float(np.median(row_norms(X, squared=True))))


def _factor(rule: Rule) -> float:
    """Rate relative to backpropagation's, from a search on scikit-learn's digits."""
    if isinstance(rule, ForwardGradient) and not rule.is_normalized:
        return (0.1 if rule.space == "activation" else 0.01) if rule.is_random else 3
    return 3 if isinstance(rule, FrozenHidden) else 1


def rate_grid(centre: float, n_rates: int) -> list[float]:
    """Give so many rates, evenly spaced in their logarithm, from a tenth of the centre to ten times it."""
    exponents = np.linspace(-DECADES, DECADES, n_rates) if n_rates > 1 else np.zeros(1)
    return [float(f"{rate:.3g}") for rate in centre * 10**exponents]


# ----------------------------------------------------------------------------------------------------------------------
# results


@dataclass(frozen=True)
class Trial:
    """A learning rate that was tried.

    Attributes
    ----------
    learning_rate : float
    error, loss : float or None
        On the validation part: 1 - accuracy or 1 - R², and cross-entropy or 1 - R². None if training diverged.
    """

    learning_rate: float
    error: float | None
    loss: float | None


@dataclass(frozen=True)
class Run:
    """A training on all training samples.

    Attributes
    ----------
    seed : int
        Of the initial weights, the order of samples and the rule's noise.
    diverged : bool
        The errors then are those of the best network before that.
    n_warnings : int
        Of convergence; `problem` says what they were about.
    test_error, train_error : float
        1 - accuracy, or 1 - R².
    seconds_per_epoch : float or None
        Median over the epochs after the first, which also makes what training holds.
    losses : list of float
        Mean training loss of each epoch.
    scored_epochs : list of int
        Epochs, from 1, after which the test samples were scored.
    test_errors : list of float
        After those epochs.
    """

    seed: int
    diverged: bool
    n_warnings: int
    test_error: float
    train_error: float
    seconds_per_epoch: float | None
    losses: list[float]
    scored_epochs: list[int]
    test_errors: list[float]

    @property
    def problem(self) -> str:
        """What a training that came to its end was warned of: one of two things, and the losses tell which."""
        if self.diverged or not self.n_warnings:
            return ""
        if self.losses[-1] > self.losses[0]:
            return "loss ended higher than it began"
        return "no better than class frequencies"


@dataclass(frozen=True)
class RuleResult:
    """What a rule needs, and how well it trained.

    Attributes
    ----------
    rule : str
        Its name and settings, as `parse_rule` and `given_rate` read them.
    transposes, backward_passes, matrix_products, kept_activations
        What the rule says of itself, for this depth (`fcfast.rules.Rule`).
    form : str or None
        How the front layer was held.
    learning_rate : float or None
        The rate with the lowest error on the validation part, among equals the one with the lowest loss there; or the one
        given, or the default one; None if training diverged at every rate.
    trials : list of Trial
    runs : list of Run
    peak_bytes : int or None
        Memory that a training adds to the data at its peak; None if it was not measured.
    machine : dict or None
        Versions and machine it was measured on; None for those of the comparison.
    """

    rule: str
    transposes: str
    backward_passes: str
    matrix_products: int
    kept_activations: int
    form: str | None
    learning_rate: float | None
    trials: list[Trial]
    runs: list[Run]
    peak_bytes: int | None = None
    machine: dict[str, Any] | None = None

    @property
    def sound_runs(self) -> list[Run]:
        """Runs that did not diverge."""
        return [run for run in self.runs if not run.diverged]

    def mean(self, name: str) -> tuple[float, float] | None:
        """Give mean and standard error (NaN for a single run) of a figure over the runs that did not diverge; None without."""
        values = [getattr(run, name) for run in self.sound_runs]
        if not values:
            return None
        return float(np.mean(values)), float(np.std(values, ddof=1) / len(values) ** 0.5) if len(values) > 1 else np.nan

    @property
    def seconds_per_epoch(self) -> float | None:
        """Median over the runs."""
        seconds = [run.seconds_per_epoch for run in self.runs if run.seconds_per_epoch is not None]
        return median(seconds) if seconds else None

    @property
    def rate_is_given(self) -> bool:
        """Whether the rule's text has a learning rate."""
        return given_rate(self.rule) is not None

    @property
    def remark(self) -> str:
        """What a reader of the figures has to know."""
        if self.learning_rate is None:
            return f"diverged at every rate from {self.trials[0].learning_rate:g} to {self.trials[-1].learning_rate:g}"
        said = ["rate given"] if self.rate_is_given else []
        if self.trials and self.learning_rate in (self.trials[0].learning_rate, self.trials[-1].learning_rate):
            which = "lowest" if self.learning_rate == self.trials[0].learning_rate else "highest"
            said.append(f"rate at the edge of its grid, the {which} tried")
        if n_lost := sum(trial.error is None for trial in self.trials):
            said.append(f"{n_lost} of {len(self.trials)} rates diverged")
        if n_diverged := len(self.runs) - len(self.sound_runs):
            said.append(f"{n_diverged} of {len(self.runs)} seeds diverged")
        problems = Counter(run.problem for run in self.runs if run.problem)
        said += [f"{n} of {len(self.runs)} seeds: {problem}" for problem, n in problems.items()]
        return "; ".join(said)


@dataclass(frozen=True)
class Comparison:
    """Results of `compare`.

    Attributes
    ----------
    settings : dict
        All that the results depend on beside the rule; JSON values.
    machine : dict
        Versions and machine, as `fcfast.show_config` tells them; of the latest results, where some were taken over.
    results : list of RuleResult
    """

    settings: dict[str, Any]
    machine: dict[str, Any]
    results: list[RuleResult]

    def differences(self, result: RuleResult) -> dict[str, Any]:
        """Give what was different, of versions and machine, where a result was measured."""
        there = self.machine if result.machine is None else result.machine
        return {name: there.get(name) for name in {**self.machine, **there} if there.get(name) != self.machine.get(name)}

    def remark(self, result: RuleResult) -> str:
        """What a reader of a result's figures has to know, beside those of the others too."""
        said = [result.remark] if result.remark else []
        if different := self.differences(result):
            said.append(f"measured on another machine or setup (other {', '.join(different)}): do not compare its times")
        return "; ".join(said)

    def sheets(self) -> list[Sheet]:
        """Give two tables as text, headings and rows: how well each rule did, and what it uses."""
        percent = self.settings["task"] == "classification"
        unit = "error %" if percent else "1 - R²"
        memory = ["memory"] if self.settings["memory"] else []
        figures = ["rule", "rate", f"test {unit}", f"train {unit}", "an epoch", *memory, "remark"]
        rows = [
            [
                result.rule,
                "-" if result.learning_rate is None else f"{result.learning_rate:g}",
                *(_with_error(result.mean(name), percent) for name in ("test_error", "train_error")),
                "-" if result.seconds_per_epoch is None else duration(result.seconds_per_epoch),
                *(["-" if result.peak_bytes is None else bytes_text(result.peak_bytes)] if memory else []),
                self.remark(result),
            ]
            for result in self.results
        ]
        uses = ["rule", "products a step", "arrays held", "backward passes", "transposes"]
        costs = [
            [r.rule, str(r.matrix_products), str(r.kept_activations), r.backward_passes, r.transposes] for r in self.results
        ]
        return [(figures, rows), (uses, costs)]

    def table(self) -> str:
        """Give the tables as Markdown."""
        return "\n\n".join(_markdown(headings, rows) for headings, rows in self.sheets())

    def to_dict(self) -> dict[str, Any]:
        """Give JSON values, for `from_dict`."""
        return asdict(self)

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "Comparison":
        """Make a comparison of what `to_dict` gave; other keys are left out. Results without a machine have the comparison's.

        Raises
        ------
        ValueError
            If it is something else.
        """
        try:
            machine = dict(content["machine"])
            return cls(dict(content["settings"]), machine, [_read_result(result, machine) for result in content["results"]])
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"this is no comparison that this version has written ({error})") from error

    def refuse_other(self, settings: Mapping[str, Any]) -> None:
        """Raise a ValueError that names what differs, unless the settings are these."""
        different = [
            f"{name} {self.settings.get(name)!r} is now {settings.get(name)!r}"
            for name in {**self.settings, **settings}
            if self.settings.get(name) != settings.get(name)
        ]
        if different:
            raise ValueError(f"the earlier comparison had other settings: {'; '.join(different)}. Keep the two apart")


def _read_result(content: Mapping[str, Any], machine: dict[str, Any]) -> RuleResult:
    trials = [Trial(**trial) for trial in content["trials"]]
    runs = [Run(**run) for run in content["runs"]]
    return RuleResult(**{**content, "trials": trials, "runs": runs, "machine": content.get("machine") or machine})


def _with_error(figure: tuple[float, float] | None, percent: bool) -> str:
    if figure is None:
        return "diverged"
    mean, error = (f"{100 * value:.2f}" if percent else f"{value:.3g}" for value in figure)
    return mean if np.isnan(figure[1]) else f"{mean} ± {error}"


def _markdown(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(headings, *rows, strict=True)]
    lines = [headings, ["-" * width for width in widths], *rows]
    return "\n".join(f"| {' | '.join(cell.ljust(w) for cell, w in zip(line, widths, strict=True))} |" for line in lines)


# ----------------------------------------------------------------------------------------------------------------------


def compare(
    X: Any,
    y: ArrayLike,
    rules: Iterable[str | Rule],
    *,
    test: tuple[Any, ArrayLike] | None = None,
    test_share: float = 0.2,
    task: str = "classification",
    epochs: int = 30,
    n_seeds: int = 3,
    n_rates: int = 5,
    tune_epochs: int | None = None,
    learning_rate: float | None = None,
    validation_share: float = 0.2,
    seed: int = 0,
    only: bool = False,
    memory: bool = False,
    earlier: Comparison | None = None,
    after_rule: Callable[[Comparison], Any] | None = None,
    tell: Tell | None = None,
    **settings: Any,
) -> Comparison:
    """Train the same network with several learning rules, each at the best of as many learning rates.

    For each rule, learning rates on a logarithmic grid, of the same width for all, are tried with one seed on a part of the
    training samples, and scored on the rest of them. With the best one the rule trains on all training samples, with several
    seeds; then the test samples are scored. Rules start with the same weights and see the same batches.

    Parameters
    ----------
    X : ndarray or sparse matrix of shape (N, d)
        Scaled, as for any network.
    y : array-like of shape (N,), or (N, c) for regression
    rules : iterable of str or object of `fcfast.rules`
        Names may have settings, as in "lg-fg-a:groups=16" (`parse_rule`), and a learning rate, as in "fg-w:rate=0.003": for
        that rule nothing is tried, and `learning_rate` does not count.
    test : (X, y) or None
        Test samples; None holds out some of the given ones.
    test_share : float
        Share of the samples that is then held out, each class in proportion.
    task : {"classification", "regression"}
    epochs : int
        Of every training.
    n_seeds : int
        Trainings at the chosen rate, with `seed`, ``seed + 1`` ...
    n_rates : int
        Learning rates tried for each rule, from a tenth of its `default_rate` to ten times it; 1 takes that one untried.
    tune_epochs : int or None
        Of the tried trainings; None makes them as long as the others.
    learning_rate : float or None
        A rate for all rules instead.
    validation_share : float
        Share of the training samples that the rates are chosen by.
    seed : int
        Of the splits and the tried trainings.
    only : bool
        False adds "backprop" and "frozen", the hidden layers left as they were drawn: a rule that is no better learns no
        features.
    memory : bool
        Measure the peak memory of a training, in a child process (Linux only).
    earlier : Comparison or None
        Results of the same data and settings; its rules are not trained again, and stay. They keep the `machine` that they
        were measured on.
    after_rule : callable or None
        Called with what there is after each rule.
    tell : callable or None
        Called with a few words and the number of epochs done, of ``n_epochs(...)``.
    **settings
        Parameters of `FrontClassifier` or `FrontRegressor`, for all rules: `hidden_layer_sizes`, `batch_size` ...

    Returns
    -------
    Comparison

    Raises
    ------
    ValueError, TypeError
        For bad data or settings, and rules that cannot train this network; before any is trained.
    KeyboardInterrupt
        On Ctrl-C; what was finished has gone to `after_rule`.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from fcfast.comparison import compare
    >>> X, y = load_iris(return_X_y=True)
    >>> comparison = compare((X - X.mean(0)) / X.std(0), y, ["fg-a"], epochs=5, n_seeds=2, n_rates=3, hidden_layer_sizes=(8, 8))
    >>> [result.rule for result in comparison.results]
    ['backprop', 'fg-a', 'frozen']
    >>> comparison.results[1].backward_passes, len(comparison.results[1].runs)
    ('none', 2)
    """
    chosen = chosen_rules(rules, only)
    tune_epochs = epochs if tune_epochs is None else tune_epochs
    _check(task, epochs, n_seeds, n_rates, tune_epochs, learning_rate, settings, memory)
    data = _Data.make(X, y, test, test_share, validation_share, task == "classification", seed)
    kind = FrontClassifier if task == "classification" else FrontRegressor
    template = kind(**settings, max_epochs=epochs, tol=0, n_iter_no_change=epochs)
    own = {
        "task": task, **data.facts(), "epochs": epochs, "n_seeds": n_seeds, "n_rates": n_rates,
        "tune_epochs": tune_epochs, "learning_rate": learning_rate, "validation_share": validation_share, "seed": seed,
        "memory": memory, "network": settings, "fcfast": config()["fcfast"], "backend": config()["backend"],
    }  # fmt: skip
    own = json.loads(json.dumps(own, default=repr))  # as it will be read again
    if earlier is not None:
        earlier.refuse_other(own)
    for name, rule in chosen.items():
        _try(name, clone(template).set_params(rule=rule), data)
    known = {} if earlier is None else {result.rule: result for result in earlier.results}
    order = in_order([*chosen, *(name for name in known if name not in chosen)])
    here = config()
    machine = earlier.machine if earlier is not None and known.keys() >= chosen.keys() else here
    work = _Work(template, data, n_seeds, 1 if learning_rate else n_rates, tune_epochs, learning_rate, seed, memory, tell)
    for name, rule in chosen.items():
        if name in known:
            work.skip()
            continue
        known[name] = replace(work.result(name, rule), machine=here)
        if after_rule is not None:
            after_rule(Comparison(own, machine, [known[name] for name in order if name in known]))
    return Comparison(own, machine, [known[name] for name in order])


def n_epochs(
    n_rules: int, epochs: int, n_seeds: int, n_rates: int, tune_epochs: int | None = None, learning_rate: float | None = None
) -> int:
    """Give the epochs of all trainings of a comparison, as `tell` counts them: also those that a rate of a rule's own saves."""
    tried = 0 if learning_rate or n_rates == 1 else n_rates
    return n_rules * (tried * (tune_epochs or epochs) + n_seeds * epochs)


def _check(
    task: str,
    epochs: int,
    n_seeds: int,
    n_rates: int,
    tune_epochs: int,
    learning_rate: float | None,
    settings: dict[str, Any],
    memory: bool,
) -> None:
    validation.choice(task, "task", TASKS)
    for value, name in ((epochs, "epochs"), (n_seeds, "n_seeds"), (n_rates, "n_rates"), (tune_epochs, "tune_epochs")):
        validation.integer(value, name, 1)
    if learning_rate is not None:
        validation.positive(learning_rate, "learning_rate")
    for name, instead in OWN.items():
        if name in settings:
            raise TypeError(f"{name} is the same for all rules; {f'use {instead}' if instead else 'leave it out'}")
    if memory and not memory_is_measurable():
        raise ValueError("memory=True: peak memory is not available on this system (no /proc); leave it out")


@dataclass(frozen=True)
class _Data:
    """Training samples, which of them choose the rate, and test samples."""

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
    ) -> "_Data":
        X, answers = _checked(X, y, "")
        if test is None:
            train, held_out = _part(answers, test_share, "test_share", stratify, seed)
            X_test, y_test = X[held_out], answers[held_out]
            X, answers = X[train], answers[train]
        else:
            X_test, y_test = _checked(*test, "test ")
            if X_test.shape[1] != X.shape[1] or y_test.shape[1:] != answers.shape[1:]:
                raise ValueError(
                    f"test samples have shapes {X_test.shape} and {y_test.shape}, which do not go with those of the training "
                    f"samples, {X.shape} and {answers.shape}"
                )
        if not stratify and len(y_test) < 2:
            raise ValueError(f"{len(y_test)} test sample has no variance to explain; use at least 2")
        rows = _part(answers, validation_share, "validation_share", stratify, seed)
        return cls(X, answers, *rows, X_test, y_test)

    def facts(self) -> dict[str, Any]:
        """What tells these data from others."""
        digest = joblib.hash((self.X, self.y, self.X_test, self.y_test))
        return {"data": digest, "n_train": self.X.shape[0], "n_test": len(self.y_test), "n_features": self.X.shape[1]}


def _checked(X: Any, y: ArrayLike, which: str) -> tuple[Any, Array]:
    X = check_array(X, accept_sparse="csr", dtype=("float32", "float64"), input_name=f"{which}X")
    answers = np.asarray(y)
    if answers.ndim == 0 or len(answers) != X.shape[0]:
        raise ValueError(f"{which}X has {X.shape[0]} samples, but {which}y has shape {answers.shape}")
    return X, answers


def _part(y: Array, share: float, name: str, stratify: bool, seed: int) -> tuple[Rows, Rows]:
    """Part the samples, each class in proportion where there are enough."""
    validation.in_range(share, name, 0, 1)
    n_held_out = ceil(share * len(y))
    if not 2 <= n_held_out <= len(y) - 2:
        raise ValueError(
            f"{name}={share:g} of {len(y)} samples holds out {n_held_out} of them; at least 2 must be on each side"
        )
    if stratify:
        counts = np.unique(y, return_counts=True)[1]
        stratify = counts.min() > 1 and min(n_held_out, len(y) - n_held_out) >= len(counts)
    train, held_out = train_test_split(
        np.arange(len(y)), test_size=n_held_out, random_state=seed, stratify=y if stratify else None
    )
    return np.sort(train), np.sort(held_out)


def _try(name: str, estimator: Estimator, data: _Data) -> None:
    """Find out now, not after hours, whether a rule can train this network: two samples of two features will say."""
    try:
        _fit(estimator.set_params(max_epochs=1), data.X[:2, :2], data.y[:2])
    except (ValueError, TypeError) as error:
        raise type(error)(f"rule {name!r}: {error}") from error


class _Work:
    """Trainings of one comparison."""

    def __init__(
        self,
        template: Estimator,
        data: _Data,
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
        self.epochs = template.max_epochs
        self.tuning_epochs = n_epochs(1, self.epochs, 0, n_rates, tune_epochs)  # of each rule
        self.done = 0  # epochs

    def skip(self) -> None:
        """Pass over a rule whose results are known."""
        self.done += self.tuning_epochs + self.n_seeds * self.epochs

    def result(self, name: str, rule: Rule) -> RuleResult:
        """Tune and train a rule."""
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
                    self._estimator(rule, rate, self.seed, max_epochs=min(MEMORY_EPOCHS, self.epochs)), self.data.X, self.data.y
                )
        n_hidden = len(self.template._hidden())
        products, kept = rule.matrix_products(n_hidden), rule.kept_activations(n_hidden)
        return RuleResult(
            name, rule.transposes, rule.backward_passes, products, kept, form, rate, trials, runs, peak_bytes
        )  # fmt: skip

    def _estimator(self, rule: Rule, rate: float, seed: int, **changed: Any) -> Any:
        return clone(self.template).set_params(rule=rule, learning_rate=rate, random_state=seed, **changed)

    def _tuned(self, name: str, rule: Rule) -> tuple[float | None, list[Trial]]:
        """Choose a learning rate."""
        if (rate := given_rate(name)) is not None:
            self.done += self.tuning_epochs
            return rate, []
        if self.learning_rate is not None:
            return self.learning_rate, []
        data, optimizer = self.data, self.template.optimizer
        momentum = getattr(optimizer, "momentum", self.template.momentum)
        kind = optimizer if isinstance(optimizer, str) else optimizer.name
        X, y = data.X[data.fit_rows], data.y[data.fit_rows]
        rates = rate_grid(default_rate(rule, X, kind, momentum), self.n_rates)
        if self.n_rates == 1:
            return rates[0], []
        trials = [self._trial(name, rule, rate, f"{k} of {len(rates)}", X, y) for k, rate in enumerate(rates, 1)]
        finished = [(trial.error, trial.loss, trial.learning_rate) for trial in trials if trial.error is not None]
        return min(finished)[2] if finished else None, trials

    def _trial(self, name: str, rule: Rule, rate: float, which: str, X: Any, y: Array) -> Trial:
        """Train at a rate on these samples, and score the validation part."""

        def after_epoch(epoch: Epoch) -> None:
            self.tell(f"{name}: rate {rate:g}, {which}", self.done + epoch.epoch)

        estimator = self._estimator(rule, rate, self.seed, max_epochs=self.tune_epochs, n_iter_no_change=self.tune_epochs)
        diverged, _ = _fit(estimator, X, y, after_epoch)
        self.done += self.tune_epochs
        if diverged:
            return Trial(rate, None, None)
        X, y = self.data.X[self.data.validation_rows], self.data.y[self.data.validation_rows]
        error = 1 - estimator.score(X, y)
        return Trial(rate, error, _cross_entropy(estimator, X, y) if isinstance(estimator, FrontClassifier) else error)

    def _run(self, name: str, rule: Rule, rate: float, seed: int, which: str) -> tuple[Run, str]:
        """Train on all training samples and score the test samples; give the form of the front layer too."""
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
            started = time.perf_counter()  # scoring is no training

        diverged, n_warnings = _fit(estimator, data.X, data.y, after_epoch)
        self.done += self.epochs
        test_error = 1 - estimator.score(data.X_test, data.y_test)
        train_error = 1 - estimator.score(data.X, data.y)
        per_epoch = median(seconds[1:] or seconds) if seconds else None
        losses = estimator.loss_curve_
        run = Run(
            seed, diverged, n_warnings, test_error, train_error, per_epoch, losses, list(curve), list(curve.values())
        )  # fmt: skip
        return run, estimator.form_


def _cross_entropy(classifier: FrontClassifier, X: Any, y: Array) -> float:
    """Give the mean cross-entropy; a class that was not trained on has the probability 0, or nearly."""
    of_true_class = (classifier.predict_proba(X) * (y[:, None] == classifier.classes_)).sum(axis=1)
    return float(-np.log(np.maximum(of_true_class, np.finfo(np.float64).tiny)).mean())


def _fit(estimator: Any, X: Any, y: Array, *callbacks: Callback) -> tuple[bool, int]:
    """Fit; say whether training diverged, and how many warnings of convergence there were. Ctrl-C ends it, unlike `fit`."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        estimator.fit(X, y, callbacks=callbacks)
    if any(str(warning.message).startswith("interrupted after") for warning in caught):
        raise KeyboardInterrupt
    of_convergence = [str(warning.message) for warning in caught if issubclass(warning.category, ConvergenceWarning)]
    diverged = any(message.startswith("training diverged") for message in of_convergence)
    for warning in caught:
        # numbers that overflow are how a training diverges
        if not issubclass(warning.category, (ConvergenceWarning, RuntimeWarning) if diverged else ConvergenceWarning):
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
    return diverged, len(of_convergence)


# ----------------------------------------------------------------------------------------------------------------------
# memory: VmHWM of a child process, which holds the data and has trained before, minus its resident memory before the training.
# Not getrusage's ru_maxrss, which starts at the size of the process that made the child.


def memory_is_measurable() -> bool:
    """Whether this system has /proc with a peak that can be reset (Linux)."""
    return STATUS.exists() and RESET.exists()


def training_memory(estimator: Estimator, X: Any, y: Array) -> int:
    """Give the bytes that fitting adds to the data at its peak, measured in a child process.

    Parameters
    ----------
    estimator : FrontClassifier or FrontRegressor
    X : ndarray or sparse matrix of shape (N, d)
    y : ndarray

    Raises
    ------
    RuntimeError
        If the child fails; it names the rule and has the child's own message.
    """
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "training.joblib")
        joblib.dump((estimator, X, y), file)
        code = "import sys; from fcfast.comparison import _measure_here; print(_measure_here(sys.argv[1]))"
        child = subprocess.run([sys.executable, "-c", code, str(file)], capture_output=True, text=True, check=False)
    if child.returncode != 0:
        name = rule_name(make_rule(estimator.rule))
        raise RuntimeError(f"rule {name!r}: measuring the memory of a training failed:\n{child.stderr}")
    return int(child.stdout)


def _measure_here(file: str) -> int:
    estimator, X, y = joblib.load(file)
    _fit(clone(estimator), X[:2, :2], y[:2])  # libraries hold memory from their first use on
    RESET.write_text("5")  # the peak starts again at what is resident now
    before = _status_bytes("VmRSS")
    _fit(estimator, X, y)
    return max(0, _status_bytes("VmHWM") - before)


def _status_bytes(field: str) -> int:
    return next(int(line.split()[1]) * 1024 for line in STATUS.read_text().splitlines() if line.startswith(field))
