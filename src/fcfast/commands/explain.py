"""``fcfast explain``: the features behind the predictions of a model file."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fcfast.commands.explained import (
    BASELINES,
    METHODS,
    PLOTS,
    SPECTRUM,
    beside_refits,
    draw,
    explained,
    feature_groups,
    refits,
    with_names,
    with_outputs,
)
from fcfast.commands.newsamples import samples_for
from fcfast.commands.options import (
    SEED,
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
from fcfast.commands.predicted import csv_text, delimiter_of
from fcfast.commands.shared import (
    check_file,
    choice,
    clear_errors,
    collected_warnings,
    json_text,
    number,
    percent,
    plain_table,
    print_data,
    screen,
    tell_user,
)
from fcfast.commands.survival import Event, Time, asked_columns
from fcfast.files import write_text

if TYPE_CHECKING:
    from fcfast.attribution import Attributions, Ranking
    from fcfast.commands.explainedblocks import BlockedAttributions


def explain(
    model: Annotated[Path, typer.Argument(help="Model file, from fcfast train or an estimator's save().")],
    data: DataFile,
    top: Annotated[int, typer.Option(min=1, help="Number of features, or of groups.")] = 20,
    out: Annotated[Path | None, typer.Option(help="CSV file to write, or TSV (.tsv).", show_default="printed")] = None,
    plot: Annotated[Path | None, typer.Option(help="PNG file to draw.")] = None,
    plot_kind: Annotated[
        str,
        choice(
            PLOTS,
            "Figure: bars of the top, importance along the chromosomes of a .bed file (or the order of the features), or the "
            "mean spectrum with its attributions.",
        ),
    ] = PLOTS[0],
    output: Annotated[
        str | None,
        typer.Option(
            help="Output to explain: a class, the name of a target or of a label (with its level, such as weight_0.9, if there "
            "are several), or all.",
            show_default="the predicted class of each sample, all targets or all labels",
        ),
    ] = None,
    method: Annotated[str, choice(METHODS, "Method.")] = METHODS[0],
    baseline: Annotated[
        str,
        choice(
            BASELINES, "What samples are compared with: the mean of the training samples, or 0; auto is zero for sparse data."
        ),
    ] = BASELINES[0],
    steps: Annotated[
        int | None, typer.Option(min=1, help="Steps of the integral.", show_default="as many as make it exact")
    ] = None,
    each: Annotated[bool, typer.Option("--each", help="Rank the features of each sample by itself.")] = False,
    groups: Annotated[
        Path | None,
        typer.Option(
            help="Sum over groups of features: a GMT file, or a CSV or TSV file with a feature and its group in each line."
        ),
    ] = None,
    stability: Annotated[
        int | None,
        typer.Option(
            min=2,
            help="Refit so many times on draws of these samples, and say in which share of the refits each feature of the "
            "model's top is at the top again, and its mean rank.",
        ),
    ] = None,
    target: Annotated[
        list[str] | None,
        in_targets(help="Target in the data, or several, which --stability trains on.", metavar="TEXT", show_default=False),
    ] = None,
    time: Time = None,
    event: Event = None,
    ids: Annotated[
        str | None, typer.Option("--id", help="Column that names the samples.", show_default="the names that the file has")
    ] = None,
    text: Annotated[
        list[str] | None,
        typer.Option(help="Column of texts, for a model that was trained on texts.", metavar="TEXT", rich_help_panel=TEXTS),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of --stability.")] = SEED,
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
    """Trace the predictions of a model to features, and rank them by their mean absolute attributions.

    The attributions of a sample sum to the difference between its output and that of the baseline.

    Rankings of wide data are unstable; --stability says by how much.
    """
    with clear_errors():
        from fcfast.commands.blocks import refuse_whole, rows_of_block
        from fcfast.commands.explainedblocks import explained_in_blocks

        check_file(out, "--out", inputs=(model, data, groups))
        check_file(plot, "--plot", ".png", inputs=(model, data, groups))
        named = asked_columns(time, event, target) or target_of(target)
        _refuse_contradictions(each, groups, stability, named, plot, plot_kind)
        written = {
            "header": header, "delimiter": delimiter, "comment": comment, "missing": missing, "decimal": decimal,
            "thousands": thousands, "transpose": transpose, "layer": layer, "dataset": dataset,
        }  # fmt: skip
        estimator = _loaded(model)
        asked = {"method": method, "baseline": baseline, "steps": "auto" if steps is None else steps}
        rows, stable = rows_of_block(data, block_rows), None
        found: Attributions | BlockedAttributions
        with collected_warnings() as warned:
            if rows is None:
                table, X, notes = samples_for(estimator, model, data, named, ids, text, written)
                names, found = table.ids, (attributed := explained(estimator, X, output, asked))
                if stability is not None:
                    if len(attributed.shape) > 2:
                        raise ValueError("--stability ranks the features of one output; name it with --output")
                    stable = refits(estimator, attributed, X, table, data, top, stability, output, asked, seed)
            else:
                _refuse_in_blocks(data, stability, plot_kind)
                refuse_whole(data, named, ids, text=text)
                names, notes = None, []
                found = explained_in_blocks(estimator, model, data, rows, lambda X: explained(estimator, X, output, asked))
            ranking = with_outputs(_ranking(found, top, each, groups, names), estimator)
            if stable is not None:
                ranking = beside_refits(ranking, stable)
            if plot is not None:
                draw(plot, plot_kind, found, ranking if stable is None else stable.ranking, X, data)
        for note in (*notes, *warned):
            tell_user(note)
        if out is not None:
            write_text(out, csv_text(ranking.lists(), delimiter_of(out)))
    if as_json:
        print(json_text(_content(found, ranking, stable, out, plot)))
        return
    if out is None:
        _print(ranking)
    for line in _summary(found, stable, out, plot):
        screen.print(line, highlight=False, markup=False)


def _refuse_contradictions(
    each: bool,
    groups: Path | None,
    stability: int | None,
    named: str | list[str] | None,
    plot: Path | None,
    plot_kind: str,
) -> None:
    if each and (groups is not None or stability is not None):
        raise ValueError(f"--each ranks features of single samples; leave out {'--groups' if groups else '--stability'}")
    if groups is not None and stability is not None:
        raise ValueError("--stability ranks features; leave out --groups")
    if named and stability is None:
        raise ValueError(f"the target {named} is for --stability, which trains on it; leave it out, or add --stability 20")
    if plot is None and plot_kind != PLOTS[0]:
        raise ValueError(f"--plot-kind {plot_kind} needs the name of a file, --plot")


def _refuse_in_blocks(data: Path, stability: int | None, plot_kind: str) -> None:
    """Refuse what needs all samples in memory."""
    for option, is_given in (("--stability", stability is not None), (f"--plot-kind {SPECTRUM}", plot_kind == SPECTRUM)):
        if is_given:
            raise ValueError(f"{data} is read in blocks (--block-rows), but {option} needs all samples in memory; leave it out")


def _loaded(model: Path) -> Any:
    from fcfast.estimators.store import load

    estimator = load(model)
    if not hasattr(estimator, "attribute"):
        raise ValueError(f"{model} holds a {type(estimator).__name__}, whose outputs cannot be traced to features")
    return estimator


def _ranking(
    found: "Attributions | BlockedAttributions", top: int, each: bool, groups: Path | None, ids: list[str] | None
) -> "Ranking":
    if groups is not None:
        return found.by_group(feature_groups(groups), unknown="ignore").top(top)
    if not each:
        return found.top(top)
    return with_names(found.top(top, sample=slice(None)), ids)


def _content(
    found: "Attributions | BlockedAttributions", ranking: "Ranking", stable: Any, out: Path | None, plot: Path | None
) -> dict[str, Any]:
    """Give what is printed as JSON."""
    content: dict[str, Any] = {
        "n_samples": found.shape[0], "n_features": found.shape[1], "method": found.method, "baseline": found.baseline,
        "completeness_error": float(abs(found.completeness_error_).max()), "out": None if out is None else str(out),
        "plot": None if plot is None else str(plot), "ranking": ranking.lists(),
    }  # fmt: skip
    if stable is not None:
        content["stability"] = {
            "n_fits": stable.n_fits, "overlap": stable.overlap, "expected_overlap": stable.expected_overlap,
        }  # fmt: skip
    return content


def _print(ranking: "Ranking") -> None:
    """Print a table on a terminal, and CSV into a pipe."""
    if not screen.is_terminal:
        print_data(csv_text(ranking.lists()))
        return
    columns = ranking.lists()
    table = plain_table(None, *columns, n_text=0)
    for row in zip(*columns.values(), strict=True):
        table.add_row(*(number(value) if isinstance(value, float) else str(value) for value in row))
    screen.print(table)


def _summary(found: "Attributions | BlockedAttributions", stable: Any, out: Path | None, plot: Path | None) -> list[str]:
    from fcfast.commands.shared import messages

    lines = []
    if stable is not None:
        lines.append(
            f"two of {stable.n_fits} refits have {percent(stable.overlap)} of their top in common, "
            f"{percent(stable.expected_overlap)} by chance"
        )
    lines += [f"written: {path}" for path in (out, plot) if path is not None]
    if out is None and not screen.is_terminal:  # a pipe gets the table alone
        for line in lines:
            messages.print(line, highlight=False, markup=False)
        return []
    return lines
