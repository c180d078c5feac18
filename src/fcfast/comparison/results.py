"""What comes out of a comparison, as numbers, as JSON and as tables."""

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
    first_block_error : float or None
        Of NoProp, the test error of its first block or step alone, an ordinary classifier: what follows is what the chain adds.
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
        values = [value for run in self.sound_runs if (value := getattr(run, name)) is not None]
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


def _block_error(result: RuleResult, percent: bool) -> str:
    figure = result.mean("first_block_error")
    return "-" if figure is None else _with_error(figure, percent)


def _markdown(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(headings, *rows, strict=True)]
    lines = [headings, ["-" * width for width in widths], *rows]
    return "\n".join(f"| {' | '.join(cell.ljust(w) for cell, w in zip(line, widths, strict=True))} |" for line in lines)
