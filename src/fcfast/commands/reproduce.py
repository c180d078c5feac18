"""``fcfast reproduce``: the paper's figure, seed study and claims."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from fcfast.commands.shared import check_folder, clear_errors, json_text, number, percent, progress_on_terminal, screen
from fcfast.files import write_text

if TYPE_CHECKING:
    from fcfast.paper.report import Report

SEEDS_TO_JUDGE = 1000
VERDICT_STYLE = {"holds": "green", "holds with a correction": "yellow", "fails": "red", "not measured": "dim"}


def reproduce(
    seeds: Annotated[
        int, typer.Option(min=10, help="Random networks in each study; judging Figure 3 takes at least 1000.")
    ] = 10_000,
    out: Annotated[Path, typer.Option(help="Folder for the pictures and the JSON file, created if missing.")] = Path(
        "fcfast-reproduction"
    ),
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the random networks.")] = 0,
    jobs: Annotated[int | None, typer.Option(min=1, help="Threads; all available by default.")] = None,
) -> None:
    """Reproduce the paper: Figure 3, a study over many seeds, and a verdict on every claim with its evidence."""
    with clear_errors():
        from fcfast import plots
        from fcfast.paper import report

        with progress_on_terminal(report.STEPS + 2) as tell:
            check_folder(out, "--out")
            result = report.reproduce(seeds, seed, jobs, tell)
            out.mkdir(exist_ok=True)
            tell("drawing figure3.png")
            plots.figure3(out / "figure3.png", seed=seed)
            tell("drawing width.png")
            if result.width:
                plots.width_figure(out / "width.png", result.width)
            write_text(out / "reproduction.json", json_text(result.to_dict()))
    if as_json:
        print(json_text(result.to_dict()))
        return
    screen.print(study_table(result))
    screen.print(claims_table(result))
    for line in summary(result):
        screen.print(line, highlight=False)
    pictures = "figure3.png, width.png" if result.width else "figure3.png (width.png needs the compiled kernels)"
    screen.print(f"Written to {out}: {pictures}, reproduction.json", highlight=False)


def study_table(result: "Report") -> Table:
    """Make a table with one row per technique and order."""
    from fcfast.paper import report

    table = Table(
        title=f"Seed study: max |y_BP - y_front| over 1000 iterations, {result.n_seeds} seeds, eta 0.1",
        caption="sim.: both layers are updated at once; seq.: the first uses the new final weights. Shares and quantiles\n"
        "are over the seeds that did not diverge; 'equals BP': the largest error of these is below 1e-9",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        pad_edge=False,
    )
    for heading in ("technique", "order"):
        table.add_column(heading, no_wrap=True)
    for heading in ("<1e-15", *(f"{q:.0%}" if q < 1 else "max" for q in report.QUANTILES), "diverged"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("equals BP", no_wrap=True, min_width=9)
    for row in map(report.study_row, result.studies):
        table.add_row(
            row["technique"],
            row["order"][:3] + ".",
            percent(row["share_below_1e-15"]),
            *(number(row[f"quantile_{q:g}"]) for q in report.QUANTILES),
            percent(row["diverged_share"]),
            "[green]yes" if row["equal_to_backpropagation"] else "[red]fails",
        )
    return table


def claims_table(result: "Report") -> Table:
    """Make a table with one row per claim: verdict, statement, correction and evidence."""
    table = Table(
        title="The paper's claims, judged from the evidence of this run", box=box.HORIZONTALS, show_lines=True, pad_edge=False
    )
    table.add_column("claim", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    table.add_column("statement, correction and evidence", ratio=1)
    for claim in result.claims:
        verdict = Text(claim.verdict.replace(" with a ", "\nwith a "), style=VERDICT_STYLE[claim.verdict])
        parts = [Text.assemble((claim.statement, "bold"), ("  " + claim.where, "dim"))]
        if claim.correction:
            parts.append(Text.assemble(("correction: ", "yellow"), claim.correction))
        evidence = Table.grid(padding=(0, 1))
        evidence.add_column(justify="right", style="cyan", no_wrap=True, min_width=8)
        for name, value in claim.evidence.items():
            evidence.add_row(number(value), Text(name))
        table.add_row(claim.id, verdict, Group(*parts, evidence))
    return table


def summary(result: "Report") -> list[str]:
    """List the claims by verdict."""
    lines = [f"{len(result.claims)} claims:"]
    for verdict, style in VERDICT_STYLE.items():
        names = [claim.id for claim in result.claims if claim.verdict == verdict]
        if names:
            lines.append(f"[{style}]{len(names):3} {verdict}[/]: {', '.join(names)}")
    if result.n_seeds < SEEDS_TO_JUDGE:
        lines.append(f"{result.n_seeds} seeds are too few to judge Figure 3; use at least {SEEDS_TO_JUDGE}")
    return lines
