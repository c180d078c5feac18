"""The commands: they parse, show progress and print; the work is done elsewhere."""

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich import box
from rich.console import Console, Group
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from fcfast import plots
from fcfast._version import __version__
from fcfast.cli import INTERRUPTED
from fcfast.paper import report

app = typer.Typer(
    help="Train networks without updating their early layers (arXiv 2106.05569).",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
messages = Console(stderr=True)
# A pipe has no width of its own; tables want more than the 80 columns that would be assumed.
screen = Console() if Console().is_terminal else Console(width=110)

SEEDS_TO_JUDGE = 1000
VERDICT_STYLE = {"holds": "green", "holds with a correction": "yellow", "fails": "red", "not measured": "dim"}


def print_version(wanted: bool) -> None:
    """Print the version and leave."""
    if wanted:
        screen.print(__version__)
        raise typer.Exit


@app.callback()
def fcfast(
    version: Annotated[bool, typer.Option("--version", callback=print_version, is_eager=True, help="Show it.")] = False,
) -> None:
    """Train networks without updating their early layers (arXiv 2106.05569)."""


@app.command()
def reproduce(
    seeds: Annotated[
        int, typer.Option(min=10, help="Random networks in each study; from 1000 on Figure 3 is judged.")
    ] = 10_000,
    out: Annotated[Path, typer.Option(help="Folder for the pictures and the JSON file; made if missing.")] = Path(
        "fcfast-reproduction"
    ),
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the random networks.")] = 0,
    jobs: Annotated[int | None, typer.Option(min=1, help="Threads; all available by default.")] = None,
) -> None:
    """Reproduce the paper: Figure 3, a study over many seeds, and a verdict on every claim with its evidence."""
    with clear_errors(), progress_bar(report.STEPS + 2) as tell:
        check_writable(out)
        result = report.reproduce(seeds, seed, jobs, tell)
        out.mkdir(exist_ok=True)
        tell("drawing figure3.png")
        plots.figure3(out / "figure3.png", seed=seed)
        tell("drawing width.png")
        if result.width:
            plots.width_figure(out / "width.png", result.width)
        write_json(out / "reproduction.json", result.to_dict())
    if as_json:
        print(json.dumps(result.to_dict(), indent=1, allow_nan=False))
        return
    screen.print(study_table(result))
    screen.print(claims_table(result))
    for line in summary(result):
        screen.print(line, highlight=False)
    pictures = "figure3.png, width.png" if result.width else "figure3.png (width.png needs the compiled kernels)"
    screen.print(f"Written to {out}: {pictures}, reproduction.json", highlight=False)


@contextmanager
def clear_errors() -> Iterator[None]:
    """Turn what the user can mend into one line and an exit code; leave programming errors their traceback."""
    try:
        yield
    except KeyboardInterrupt:  # before click makes it "Aborted!"
        messages.print(INTERRUPTED, markup=False)
        raise typer.Exit(130) from None
    except (ValueError, TypeError, OSError, ImportError) as error:
        messages.print(f"fcfast: {error}", markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(2) from None


@contextmanager
def progress_bar(n_steps: int) -> Iterator[Any]:
    """Show progress on a terminal, nothing in a pipe; yields a function to be called before each step."""
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    with Progress(*columns, console=messages, transient=True, disable=not messages.is_terminal) as bar:
        task = bar.add_task("starting", total=n_steps)

        def tell(description: str) -> None:
            bar.update(task, description=description, advance=1)

        yield tell


def check_writable(folder: Path) -> None:
    """Find out before the work, not after it, whether the folder can be written."""
    if folder.exists() and not folder.is_dir():
        raise NotADirectoryError(f"--out {folder}: there is a file of that name; choose another folder")
    target = folder if folder.exists() else folder.parent
    if not target.is_dir():
        raise FileNotFoundError(f"--out {folder}: the folder {target} does not exist; create it first")
    try:
        with tempfile.TemporaryFile(dir=target):
            pass
    except OSError as error:
        raise PermissionError(f"--out {folder}: cannot write in {target} ({error.strerror}); choose another folder") from error


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write a file whole or not at all."""
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text(json.dumps(content, indent=1, allow_nan=False), encoding="utf-8")
    os.replace(temporary, path)


def study_table(result: report.Report) -> Table:
    """One row per technique and order."""
    table = Table(
        title=f"Seed study: max |y_BP - y_front| over 1000 iterations, {result.n_seeds} seeds, eta 0.1",
        caption="sim. and seq.: both layers updated at once, or the first with the new final weights. Shares and\n"
        "quantiles are over the seeds that did not diverge; 'equals BP': the largest of them is below 1e-9",
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


def claims_table(result: report.Report) -> Table:
    """One row per claim: verdict, statement, correction and the numbers behind it."""
    table = Table(
        title="The paper's claims, judged from the evidence of this run", box=box.HORIZONTALS, show_lines=True, pad_edge=False
    )
    table.add_column("claim", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    table.add_column("what it says, what has to be corrected, and the evidence", ratio=1)
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


def summary(result: report.Report) -> list[str]:
    """Say which claims got which verdict."""
    lines = [f"{len(result.claims)} claims:"]
    for verdict, style in VERDICT_STYLE.items():
        names = [claim.id for claim in result.claims if claim.verdict == verdict]
        if names:
            lines.append(f"[{style}]{len(names):3} {verdict}[/]: {', '.join(names)}")
    if result.n_seeds < SEEDS_TO_JUDGE:
        lines.append(f"{result.n_seeds} seeds are too few to judge Figure 3; use at least {SEEDS_TO_JUDGE}")
    return lines


def number(value: float | None) -> str:
    """Short, and the same width for most."""
    if value is None:
        return "-"
    return f"{value:.3g}" if 1e-3 <= abs(value) < 1e4 or value == 0 else f"{value:.1e}"


def percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"
