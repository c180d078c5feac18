"""What the command line adds to model cards: the names of files, the target, and the scores on held-out samples."""

from pathlib import Path
from typing import Any

from fcfast.modelfile.cards import ModelCard

OVERALL = ("accuracy", "balanced_accuracy", "label_accuracy", "subset_accuracy", "r2", "d2", "concordance")
OF_ONE_OUTPUT = ("rmse", "mae")


def with_report(
    card: ModelCard, report: dict[str, Any], data: Path, target: str | list[str] | None, test_file: Path | None
) -> ModelCard:
    """Complete the card of a training by its report; of a path, the card has the name of the file alone.

    Parameters
    ----------
    card : ModelCard
    report : dict
        Report of `fcfast train`.
    data, test_file : Path or None
        Files of the samples.
    target : str, list of str or None
        What was predicted: names of columns, or a file.
    """
    named = {
        "file": "standard input" if str(data) == "-" else data,
        "target": Path(target) if isinstance(target, str) and Path(target).is_file() else report.get("target", target),
        "text": report.get("text"),
    }
    entries = {name: value for name, value in named.items() if value is not None}
    if report["test"] is None:
        return card.including(data=entries)
    on = f"samples {report['test_set']}" if test_file is None else test_file.name
    return card.including(data=entries, scores={"test": _overall(report["test"]) | {"samples": report["n_test"], "on": on}})


def _overall(result: dict[str, Any]) -> dict[str, Any]:
    """Give the scores that hold for all classes, or all outputs."""
    of_outputs = result.get("outputs", [])
    only = of_outputs[0] if len(of_outputs) == 1 else {}
    return {name: result[name] for name in OVERALL if name in result} | {name: only[name] for name in OF_ONE_OUTPUT if only}
