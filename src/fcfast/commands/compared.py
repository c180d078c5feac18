"""Comparisons of learning rules that ``fcfast compare`` has made: stored results of earlier calls, tables and reports."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich import box
from rich.table import Table

if TYPE_CHECKING:
    from fcfast.comparison import Comparison

RESULTS, REPORT, CURVES = "comparison.json", "comparison.md", "curves.png"


def read_earlier(file: Path) -> "Comparison | None":
    """Read the finished results of an earlier call."""
    from fcfast.comparison import Comparison

    if not file.exists():
        return None
    try:
        return Comparison.from_dict(json.loads(file.read_text(encoding="utf-8")))
    except ValueError as error:  # includes JSON errors and bytes that are not text
        raise ValueError(f"{file} cannot be read: {error}; choose another folder, or delete it") from error


def earlier_commands(file: Path) -> list[str]:
    """Read the commands that made the results in a file."""
    return commands_in(json.loads(file.read_text(encoding="utf-8")).get("about", {})) if file.exists() else []


def commands_in(about: dict[str, Any]) -> list[str]:
    """Return all recorded commands; some records have a single one."""
    return list(about["commands"]) if "commands" in about else [about["command"]] if "command" in about else []


def facts(comparison: "Comparison", about: dict[str, Any]) -> str:
    """Describe the data and the settings of a comparison."""
    said = comparison.settings
    network = said["network"]
    rates = (
        f"learning rate {said['learning_rate']:g} for all rules"
        if said["learning_rate"] is not None
        else f"{said['n_rates']} learning rates tried for each rule on {said['validation_share']:.0%} of the training samples"
        if said["n_rates"] > 1
        else "each rule's default learning rate, not tuned"
    )
    if any(result.rate_is_given for result in comparison.results):
        rates += "; a rule with a rate in its name uses that rate"
    seeds = f"{said['n_seeds']} seeds (mean ± standard error)" if said["n_seeds"] > 1 else "1 seed"
    return (
        f"{about['task']} ({about['task_reason']}): {about['n_train']} training and {about['n_test']} test samples "
        f"({about['test_set']}) x {about['n_features']} features\n"
        f"hidden layers {', '.join(map(str, network['hidden_layer_sizes']))}; {network.get('optimizer', 'sgd')}, "
        f"{said['epochs']} epochs, {seeds}; {rates}"
    )


def table(headings: list[str], rows: list[list[str]]) -> Table:
    """Make a table of text and numbers; text wraps, numbers do not."""
    drawn = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    words = ("rule", "remark", "backward passes", "transposes")
    for heading in headings:
        drawn.add_column(heading, justify="left" if heading in words else "right", no_wrap=heading not in words[1:])
    for row in rows:
        drawn.add_row(*row)
    return drawn


def report(comparison: "Comparison", about: dict[str, Any]) -> str:
    """Format the comparison as Markdown, with the commands that made it and the machine they ran on."""
    commands = "\n".join(commands_in(about))
    machine = listed_values(comparison.machine)
    for result in comparison.results:
        if different := comparison.differences(result):
            machine += f"\n\n{result.rule} was measured with different ones:\n\n{listed_values(different)}"
    return (
        f"# Learning rules on {Path(about['data']).name}\n\n```\n{commands}\n```\n\n{facts(comparison, about)}\n\n"
        f"{comparison.table()}\n\n![training loss and test error]({CURVES})\n\n## Made with\n\n{machine}\n"
    )


def listed_values(values: dict[str, Any]) -> str:
    """Format a Markdown list."""
    return "\n".join(f"- {name}: {value}" for name, value in values.items())
