"""The full report: every benchmark, the sweep over sizes, accuracy on real data; tables and pictures for the documentation.

Reproduce: python -m bench.report [--parts benchmarks sweep accuracy pages] [--only TEXT] [--fresh] [--out docs/performance]
It takes about two and a half hours on two cores, one of them for the accuracies. Finished results stay in <out>/*.json and are
not measured again without --fresh, so after Ctrl-C the same command continues. --only selects benchmark files or cells whose
names contain a text. "pages" writes <out>/*.md and <out>/../images/performance_*.png from the results so far and, for
docs/performance, the table between the marks in README.md. Benchmarks and sweep do not accept results from another machine or
other versions; accuracies state their versions and machine. `pytest bench` is the short version.
"""

import argparse
import json
import platform
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path
from typing import Any

import cpuinfo  # comes with pytest-benchmark

from bench.sweep import pictures, tables
from bench.sweep.cells import Cell, all_cells
from bench.sweep.findings import results_of
from bench.sweep.run import Results, read, sweep
from fcfast.commands.shared import progress_on_terminal
from fcfast.config import config
from fcfast.files import write_text
from fcfast.planning.machine import Machine, machine
from fcfast.plots import save_figure

ROOT = Path(__file__).parents[1]
OUT = ROOT / "docs" / "performance"
PARTS = "benchmarks", "sweep", "accuracy", "pages"
BENCHMARKS_HEAD = """# Benchmarks

This page has the output of all benchmark files. Benchmarks run networks and kernels without the estimators, and most peers are
eager PyTorch. [The sweep](sweep.md) calls `fit`, and its peers are compiled where that is faster, so its ratios differ. Each
"target" was set before the code was written; MISSED means that it was not reached. "Once" is the work before the first step."""
MARKS = "<!-- measured by python -m bench.report -->", "<!-- end -->"


def facts() -> dict[str, Any]:
    """Return the versions and the machine that the figures depend on."""
    versions = {package: metadata.version(package) for package in ("scikit-learn", "torch")}
    return {"cpu": cpuinfo.get_cpu_info().get("brand_raw", platform.processor()), **config(), **versions}


def made_with(about: dict[str, Any], dates: list[str]) -> str:
    """Format the facts as one line."""
    days = sorted({date[:10] for date in dates})
    when = days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}"
    names = "python", "numpy", "scipy", "scikit-learn", "torch", "fcfast"
    versions = ", ".join(f"{name} {about[name]}" for name in names)
    return (
        f"{when}; {about['cpu']}, {about['threads']} threads, {about['machine']}; {versions}; BLAS {', '.join(about['blas'])}."
    )


# ----------------------------------------------------------------------------------------------------------------------
# measuring


def benchmark_files(only: str) -> list[Path]:
    """Files of benchmarks with that text in their names."""
    return [path for path in sorted((ROOT / "bench").glob("bench_*.py")) if only in path.name]


def kept_results(path: Path, about: dict[str, Any], asked: Sequence[str], options: argparse.Namespace) -> Results:
    """What was measured before: with --fresh nothing, or with --only as well, all but what is asked for."""
    kept = Results(path, about, anew=options.fresh and not options.only)
    for name in asked if options.fresh else ():
        kept.cells.pop(name, None)
    return kept


def run_benchmarks(kept: Results, paths: Sequence[Path]) -> list[str]:
    """Run each file of benchmarks that has no results yet; give the names of those that failed."""
    failed = []
    with progress_on_terminal(len(paths)) as tell:
        for number, path in enumerate(paths):
            tell(path.name, number)
            if path.name in kept.cells:
                continue
            summary = summary_of(path)
            if summary is None:
                failed.append(path.name)
            else:
                kept.keep(path.name, {"date": _now(), "summary": summary})
    return failed


def summary_of(path: Path) -> dict[str, list[str]] | None:
    """Run a file of benchmarks, with those that the short version leaves out; give what it tells, None where it failed."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out.json"
        command = [sys.executable, "-m", "pytest", str(path), "-m", "", "-q", f"--benchmark-json={out}"]
        child = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        if child.returncode != 0:
            print(child.stdout[-3000:], file=sys.stderr)
            return None
        return dict(json.loads(out.read_text())["summary"])


def run_sweep(kept: Results, cells: Sequence[Cell]) -> None:
    """Measure the cells that have no results yet, and what this machine can do."""
    if "limits" not in kept.all:
        kept.all["limits"] = vars(machine(remeasure=True))
    with progress_on_terminal(len(cells)) as tell:
        sweep(kept, cells, tell)


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


# ----------------------------------------------------------------------------------------------------------------------
# pages


def sweep_page(found: dict[str, Any], images: Path) -> tuple[str, str]:
    """Draw the pictures; give the page, and the table of the README."""
    results = results_of(found["cells"])
    save_figure(pictures.lines_figure(results), images / "performance_lines.png")
    save_figure(pictures.map_figure(results), images / "performance_map.png")
    if any(result.found.get("bytes") for result in results.values()):
        save_figure(pictures.memory_figure(results), images / "performance_memory.png")
    about = made_with(found["machine"], [cell["date"] for cell in found["cells"].values()])
    page = tables.page(results, Machine(**found["limits"]), about)
    return page, f"{tables.headlines(results)}\n\nMeasured {about}"


def benchmarks_page(found: dict[str, Any]) -> str:
    """Make the page with the output of all benchmarks."""
    parts = [BENCHMARKS_HEAD]
    for name, result in sorted(found["cells"].items()):
        for heading, lines in result["summary"].items():
            listed = "\n".join(f"- {line}" for line in lines)
            parts.append(f'## {heading}\n\n`pytest bench/{name} -m ""`, {result["date"][:10]}\n\n{listed}')
    parts.append(f"Made with: {made_with(found['machine'], [r['date'] for r in found['cells'].values()])}")
    return "\n\n".join(parts) + "\n"


def put_between_marks(path: Path, text: str) -> None:
    """Replace what stands between the marks in a file."""
    before = path.read_text(encoding="utf-8")
    pattern = re.compile(f"({re.escape(MARKS[0])}\n).*?(\n{re.escape(MARKS[1])})", re.DOTALL)
    after, n_places = pattern.subn(lambda match: f"{match[1]}\n{text}\n{match[2]}", before)
    if n_places != 1:
        raise ValueError(f"{path} must have the lines {MARKS[0]!r} and {MARKS[1]!r} once, has {n_places}")
    if after != before:
        write_text(path, after)


def write_pages(out: Path) -> None:
    """Write the pages for which there are results."""
    if (out / "sweep.json").exists():
        images = out.parent / "images"
        images.mkdir(exist_ok=True)
        page, table = sweep_page(read(out / "sweep.json"), images)
        write_text(out / "sweep.md", page)
        if out.resolve() == OUT:  # the README shows no others
            put_between_marks(ROOT / "README.md", table)
    if (out / "benchmarks.json").exists():
        write_text(out / "benchmarks.md", benchmarks_page(read(out / "benchmarks.json")))


def main() -> None:
    """Measure what is missing, part by part, and write the pages."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--parts", nargs="+", default=PARTS, choices=PARTS)
    parser.add_argument("--only", default="", help="text in the names of files or cells")
    parser.add_argument("--fresh", action="store_true", help="measure anew what there are results for")
    options = parser.parse_args()
    files, cells = benchmark_files(options.only), [cell for cell in all_cells() if options.only in cell.key]
    if "accuracy" in options.parts and (options.only or options.fresh):
        parser.error("--only and --fresh are not for the accuracies; name other --parts")
    if not files and not cells:
        parser.error(f"--only {options.only!r}: no benchmark and no cell has that in its name")
    options.out.mkdir(parents=True, exist_ok=True)
    about, failed = facts(), []
    if "benchmarks" in options.parts:
        kept = kept_results(options.out / "benchmarks.json", about, [path.name for path in files], options)
        failed = run_benchmarks(kept, files)
    if "sweep" in options.parts:
        run_sweep(kept_results(options.out / "sweep.json", about, [cell.key for cell in cells], options), cells)
    if "accuracy" in options.parts:
        command = [sys.executable, "-m", "bench.accuracy", "--out", str(options.out / "accuracy.json")]
        if subprocess.run(command, cwd=ROOT, check=False).returncode:
            failed.append("accuracy")
    if "pages" in options.parts:
        write_pages(options.out)
    if failed:
        sys.exit(f"failed: {', '.join(failed)}; what they said is above, and the others' results are kept")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        print("interrupted; what is finished is kept, and the same command goes on", file=sys.stderr)
        sys.exit(130)
    except (ValueError, OSError) as error:
        sys.exit(f"bench.report: {error}")
