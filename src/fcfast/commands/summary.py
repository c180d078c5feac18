"""What ``fcfast train`` prints: the data, the settings with their reasons, and the scores of the test."""

from typing import Any

from rich.console import RenderableType

from fcfast.commands.losses import NAMES
from fcfast.commands.shared import listed, number
from fcfast.commands.validation import validation_line
from fcfast.sources.standardized import SCALE

SCALED = {SCALE: "divided by their deviations"}  # what is done to features, unless they are standardised


def summary(report: dict[str, Any]) -> list[RenderableType]:
    """Describe the training and its results."""
    from fcfast.commands.scores import lines
    from fcfast.estimators.automatic import Choice, Settings

    settings = Settings({name: Choice(**choice) for name, choice in report["settings"].items()})
    said: list[RenderableType] = [
        f"{report['task']} ({report['task_reason']}): {report['n_train']} samples x {report['n_features']} features"
        + ("" if not report["standardized"] else f", {SCALED.get(settings['standardize'], 'standardised')}"),
        *([f"loss {report['loss_function']}"] if report["loss_function"] in NAMES[1:] else []),
        *([f"features: {report['text']}"] if "text" in report else []),
        f"form {report['form']} ({report['form_reason']})",
        f"{report['n_epochs']} epochs in {report['seconds']:.1f} s, last training loss {number(report['loss'])}",
        *([] if report["validation"] is None else [validation_line(report["validation"], report["n_epochs"])]),
        *(f"  {line}" for line in str(settings).splitlines()),
    ]
    if report["test"] is not None:
        said += [f"\ntest on {report['n_test']} samples ({report['test_set']}):", *lines(report["test"])]
        if untested := report["untested_classes"]:
            said.append(f"without a test sample: {listed(list(map(str, untested)))}")
    written = [report["model"], *([report["plot"]] if report["plot"] else [])]
    return [*said, f"\nwritten: {', '.join(written)}"]
