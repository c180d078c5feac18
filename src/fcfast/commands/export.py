"""``fcfast export``: a model file as an ONNX model."""

from pathlib import Path
from typing import Annotated, Any

import typer

from fcfast.commands.shared import check_file, choice, clear_errors, json_text, limit_in_bytes, screen, tell_user


def export(
    model: Annotated[Path, typer.Argument(help="Model file, from fcfast train or an estimator's save().")],
    out: Annotated[Path, typer.Argument(help="ONNX file to write, .onnx.")],
    input_dtype: Annotated[
        str | None, choice(("float32", "float64"), "Type of the input.", show_default="the precision of the network")
    ] = None,
    memory_limit: Annotated[float, typer.Option(min=0, help="Memory in GiB that dense weights may take.")] = 4.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON, with nothing else on stdout.")] = False,
) -> None:
    """Write a model file as an ONNX model, which predicts without fcfast: in onnxruntime, other languages, a browser.

    Inputs are raw features, which the model scales and fills in as it was trained. Outputs are label and probabilities, or
    variable for numbers.
    """
    with clear_errors():
        check_file(out, "OUT", ".onnx", (model,))
        report, notes = run(model, out, input_dtype, limit_in_bytes(memory_limit))
    for note in notes:
        tell_user(note)
    if as_json:
        print(json_text(report))
        return
    for line in summary(report):
        screen.print(line, highlight=False, markup=False)


def run(model: Path, out: Path, input_dtype: str | None, memory_limit: int) -> tuple[dict[str, Any], list[str]]:
    """Convert the model; give the report and notes for the user."""
    from fcfast.estimators.store import load
    from fcfast.onnx import OPSET

    estimator = load(model)
    estimator.memory_limit = memory_limit
    estimator.to_onnx(out, input_dtype=input_dtype)
    classes = getattr(estimator, "classes_", None)
    report = {
        "model": str(model),
        "out": str(out),
        "estimator": type(estimator).__name__,
        "n_features": estimator.n_features_in_,
        "input_dtype": input_dtype or estimator.network_.dtype.name,
        "outputs": ["variable"] if classes is None else ["label", "probabilities"],
        "opset": OPSET,
    }
    notes = []
    if estimator.text_ is not None:
        notes.append(
            f"the ONNX model takes {estimator.n_features_in_:,} numbers, not texts: make them as text_.transform of the model "
            f"does, from {estimator.text_}"
        )
    return report, notes


def summary(report: dict[str, Any]) -> list[str]:
    """Describe what was written."""
    return [
        f"{report['estimator']}: X ({report['input_dtype']}, N x {report['n_features']}) to {' and '.join(report['outputs'])}, "
        f"opset {report['opset']}",
        f"written: {report['out']}",
    ]
