"""``fcfast predict``: predictions of a model file for the samples of a data file."""

from pathlib import Path
from typing import Annotated, Any

import typer

from fcfast.commands.newsamples import samples_for
from fcfast.commands.options import (
    TEXTS,
    BlockRows,
    Comment,
    DataFile,
    Dataset,
    Decimal,
    Delimiter,
    Header,
    Layer,
    Missing,
    Thousands,
    Transpose,
    in_targets,
    target_of,
)
from fcfast.commands.predicted import csv_text, delimiter_of, other_targets, prediction_columns
from fcfast.commands.shared import check_file, clear_errors, json_text, messages, print_data, screen, tell_user
from fcfast.commands.survival import AskedTimes, Event, Time, asked_columns, columns_at
from fcfast.files import write_text


def predict(
    model: Annotated[Path, typer.Argument(help="Model file, from fcfast train or an estimator's save().")],
    data: DataFile,
    out: Annotated[Path | None, typer.Option(help="CSV file to write, or TSV (.tsv).", show_default="printed")] = None,
    proba: Annotated[bool, typer.Option("--proba", help="Add the probability of each class.")] = False,
    target: Annotated[
        list[str] | None,
        in_targets(
            help="Target to score the predictions with, or several, as for train; required for tables, found in NPZ (y), "
            "svmlight and .fam files.",
            metavar="TEXT",
            show_default=False,
        ),
    ] = None,
    ids: Annotated[
        str | None,
        typer.Option(
            "--id",
            help="Column (array of an .npz, column of obs) that names the samples; it is copied into the predictions.",
            show_default="the names of samples that the file has",
        ),
    ] = None,
    text: Annotated[
        list[str] | None,
        typer.Option(
            help="Column of texts, for a model that was trained on texts.",
            show_default="the model's, by name",
            metavar="TEXT",
            rich_help_panel=TEXTS,
        ),
    ] = None,
    time: Time = None,
    event: Event = None,
    times: AskedTimes = None,
    header: Header = None,
    delimiter: Delimiter = None,
    comment: Comment = None,
    missing: Missing = None,
    decimal: Decimal = ".",
    thousands: Thousands = None,
    transpose: Transpose = None,
    layer: Layer = None,
    dataset: Dataset = None,
    block_rows: BlockRows = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, with nothing else on stdout.")] = False,
) -> None:
    """Predict with a model file: one line of CSV per sample, and a score if the target is known.

    Columns that the model does not know are left out, whatever they hold.

    Scores on samples that the model was trained on are not test scores.
    """
    with clear_errors():
        from fcfast.commands.blocks import predict_in_blocks, refuse_whole, rows_of_block

        check_file(out, "--out", inputs=(model, data))
        written = {
            "header": header, "delimiter": delimiter, "comment": comment, "missing": missing, "decimal": decimal,
            "thousands": thousands, "transpose": transpose, "layer": layer, "dataset": dataset,
        }  # fmt: skip
        rows, named = rows_of_block(data, block_rows), asked_columns(time, event, target) or target_of(target)
        if rows is not None:
            refuse_whole(data, named, ids, text=text)
            n_samples, columns, result, notes = predict_in_blocks(model, data, rows, proba, out, keeps=as_json)
        else:
            columns, result, notes = run(model, data, proba, named, ids, text, written, times)
            n_samples = len(columns["sample"])
            if out is not None:
                write_text(out, csv_text(columns, delimiter_of(out)))
            elif not as_json:
                print_data(csv_text(columns))
    for note in notes:
        tell_user(note)
    if as_json:
        content = {"n_samples": n_samples, "score": result, "out": None if out is None else str(out)}
        print(json_text(content | ({"predictions": columns} if out is None else {})))
        return
    if result is not None:
        from fcfast.commands.scores import lines

        for line in lines(result):
            (messages if out is None else screen).print(line, highlight=False, markup=False)
    if out is not None:
        screen.print(f"written: {out}", highlight=False, markup=False)


def run(
    model: Path,
    data: Path,
    proba: bool,
    target: str | list[str] | None,
    ids: str | None,
    text: list[str] | None,
    written: dict[str, Any],
    times: str | None = None,
) -> tuple[dict[str, list[Any]], dict[str, Any] | None, list[str]]:
    """Return the columns of the table of predictions, the scores if the targets are known, and notes for the user."""
    import numpy as np

    from fcfast.commands.data import known_targets, targets_like, type_of_targets
    from fcfast.commands.scores import scores_of
    from fcfast.estimators.store import load

    estimator = load(model)
    is_classifier = hasattr(estimator, "classes_")
    task = "classification" if is_classifier else "regression"
    if proba and not is_classifier:
        raise ValueError(f"--proba needs a classifier, but {model} holds a {type(estimator).__name__}; leave it out")
    known = known_targets(estimator)
    target_type = "auto" if target is None else type_of_targets(known)
    table, X, notes = samples_for(estimator, model, data, target, ids, text, written, target_type)
    columns, predicted = prediction_columns(estimator, X, np.arange(X.shape[0]), proba, table.ids)
    columns |= columns_at(estimator, predicted, times, model)
    result = None
    if table.y is not None:
        try:
            scored = predicted if table.known is None else predicted[table.known]
            truth = targets_like(known, table.labelled(), data, task, getattr(estimator, "target_names_", None))
            if is_classifier:
                scored = scored.astype(known.dtype)
            result = scores_of(estimator, truth, scored)
            notes += [] if target is None else other_targets(estimator, table)
        except ValueError as error:
            if target is not None:
                raise
            notes.append(f"not scored: {error}")
    return columns, result, notes
