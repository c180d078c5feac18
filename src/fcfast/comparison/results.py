"""Results of a comparison as numbers, JSON and tables."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

import numpy as np

from fcfast.comparison.names import given_rate
from fcfast.units import bytes_text, duration

Sheet = tuple[list[str], list[list[str]]]  # headings, rows


@dataclass(frozen=True)
class Trial:
    """Result of trying one learning rate.

    Attributes
    ----------
    learning_rate : float
    error, loss : float or None
        Scores on the validation part: 1 - accuracy or 1 - R² (error), and cross-entropy or 1 - R² (loss). None if training
        diverged.
    """

    learning_rate: float
    error: float | None
    loss: float | None


@dataclass(frozen=True)
class Run:
    """Result of a training on all training samples.

    Attributes
    ----------
    seed : int
        Seed of the initial weights, the order of samples and the noise of the rule.
    diverged : bool
        Whether training diverged. The errors then belong to the best network before the divergence.
    n_warnings : int
        Number of convergence warnings; `problem` describes them.
    test_error, train_error : float
        1 - accuracy, or 1 - R².
    seconds_per_epoch : float or None
        Median over the epochs after the first one, which also allocates the memory for training.
    losses : list of float
        Mean training loss of each epoch.
    scored_epochs : list of int
        Epochs, counted from 1, after which the test samples were scored.
    test_errors : list of float
        Test error after each of these epochs.
    first_block_error : float or None
        For NoProp, the test error of the first block or step alone, which is an ordinary classifier; the difference from
        `test_error` is the effect of the chain.
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
    first_block_error: float | None = None

    @property
    def problem(self) -> str:
        """Describe the convergence warning of a training that did not diverge; the losses tell which of the two it was."""
        if self.diverged or not self.n_warnings:
            return ""
        if self.losses[-1] > self.losses[0]:
            return "loss ended higher than it began"
        return "learned only the class frequencies"


@dataclass(frozen=True)
class RuleResult:
    """Cost and scores of a rule.

    Attributes
    ----------
    rule : str
        Name and settings, as `parse_rule` and `given_rate` read them.
    transposes, backward_passes, matrix_products, kept_activations
        Costs of the rule for this depth (`fcfast.rules.Rule`).
    form : str or None
        Form of the front layer.
    learning_rate : float or None
        Rate with the lowest error on the validation part (the lowest loss breaks ties), or the given rate, or the default
        rate. None if training diverged at every rate.
    trials : list of Trial
    runs : list of Run
    peak_bytes : int or None
        Peak memory of a training beside the data; None if it was not measured.
    machine : dict or None
        Versions and machine of the measurement; None if they are those of the comparison.
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
        """Return mean and standard error (NaN for one run) of a figure over runs that did not diverge; None if all diverged."""
        values = [value for run in self.sound_runs if (value := getattr(run, name)) is not None]
        if not values:
            return None
        return float(np.mean(values)), float(np.std(values, ddof=1) / len(values) ** 0.5) if len(values) > 1 else np.nan

    @property
    def seconds_per_epoch(self) -> float | None:
        """Return the median over the runs."""
        seconds = [run.seconds_per_epoch for run in self.runs if run.seconds_per_epoch is not None]
        return median(seconds) if seconds else None

    @property
    def rate_is_given(self) -> bool:
        """Tell whether the text of the rule has a learning rate."""
        return given_rate(self.rule) is not None

    @property
    def remark(self) -> str:
        """Return a remark that readers of the figures need."""
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
        Everything beside the rule on which the results depend, as JSON values.
    machine : dict
        Versions and machine of the latest results, as `fcfast.show_config` returns them.
    results : list of RuleResult
    """

    settings: dict[str, Any]
    machine: dict[str, Any]
    results: list[RuleResult]

    def differences(self, result: RuleResult) -> dict[str, Any]:
        """Return the versions and facts of the machine that were different when a result was measured."""
        there = self.machine if result.machine is None else result.machine
        return {name: there.get(name) for name in {**self.machine, **there} if there.get(name) != self.machine.get(name)}

    def remark(self, result: RuleResult) -> str:
        """Return a remark that readers of the figures of a result need, also in comparison with the other results."""
        said = [result.remark] if result.remark else []
        if different := self.differences(result):
            said.append(f"measured on another machine or setup (other {', '.join(different)}): do not compare its times")
        return "; ".join(said)

    def sheets(self) -> list[Sheet]:
        """Return two tables as text, with headings and rows: the scores of each rule, and its costs."""
        percent = self.settings["task"] == "classification"
        unit = "error %" if percent else "1 - R²"
        memory = ["memory"] if self.settings["memory"] else []
        chained = any(run.first_block_error is not None for result in self.results for run in result.runs)
        first_block = [f"block 1 alone {unit}"] if chained else []
        figures = ["rule", "rate", f"test {unit}", *first_block, f"train {unit}", "an epoch", *memory, "remark"]
        rows = [
            [
                result.rule,
                "-" if result.learning_rate is None else f"{result.learning_rate:g}",
                _with_error(result.mean("test_error"), percent),
                *([_block_error(result, percent)] if chained else []),
                _with_error(result.mean("train_error"), percent),
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
        """Return the tables as Markdown."""
        return "\n\n".join(_markdown(headings, rows) for headings, rows in self.sheets())

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values, for `from_dict`."""
        return asdict(self)

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "Comparison":
        """Make a comparison from the result of `to_dict`.

        Other keys are ignored. Results without a machine get the machine of the comparison.

        Raises
        ------
        ValueError
            If `content` is not the result of `to_dict`.
        """
        try:
            machine = dict(content["machine"])
            return cls(dict(content["settings"]), machine, [_read_result(result, machine) for result in content["results"]])
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"this is not a comparison written by this version ({error})") from error

    def refuse_other(self, settings: Mapping[str, Any]) -> None:
        """Raise a ValueError that names the differences if the settings differ."""
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


def _block_error(result: RuleResult, percent: bool) -> str:
    figure = result.mean("first_block_error")
    return "-" if figure is None else _with_error(figure, percent)


def _markdown(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(headings, *rows, strict=True)]
    lines = [headings, ["-" * width for width in widths], *rows]
    return "\n".join(f"| {' | '.join(cell.ljust(w) for cell, w in zip(line, widths, strict=True))} |" for line in lines)
