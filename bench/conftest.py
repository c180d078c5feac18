"""Benchmarks of fcfast: threads pinned, the machine recorded in the JSON, the ratios in plain words at the end.

Reproduce: pip install -e ".[bench]" && pytest bench --benchmark-json=bench.json
This runs a short version, which takes less than five minutes on two cores. pytest bench -m "" runs all benchmarks.
To check only that everything runs and agrees, once each: pytest bench -m "" --benchmark-disable
To compare two result files: python -m bench.compare BEFORE.json AFTER.json
"""

import os
import platform
import re

# Before NumPy loads its BLAS. More threads only where a benchmark asks for them.
os.environ["OPENBLAS_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = "1"
# OpenMP's own limit stays at the processors: below it, libgomp takes two threads for too many and lets them sleep.
os.environ["OMP_NUM_THREADS"] = str(os.cpu_count() or 1)

from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from importlib import metadata
from statistics import median
from typing import Any

import joblib
import pytest

import fcfast
from bench.measure import Run, calls_per_block, interleaved_rounds, seconds_per_unit
from fcfast import backend

ROUNDS = 7
RECORDED_ROUNDS = 3  # of pytest-benchmark's own table and statistics; every ratio comes from the interleaved runs
PACKAGES = ("numpy", "scipy", "scikit-learn", "torch", "pytest-benchmark")
SUMMARY = pytest.StashKey[dict[str, list[str]]]()
COMMANDS = pytest.StashKey[dict[str, str]]()
LOAD = pytest.StashKey[str]()


def load_average() -> str:
    """Return the load average of the machine, which includes other work."""
    return f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "unknown"


def version(package: str) -> str:
    """Give the installed version of a package."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"


def pytest_configure(config: pytest.Config) -> None:
    """Start the summary; refuse to benchmark a build without compiled kernels."""
    if backend.NAME != "compiled":
        raise pytest.UsageError("the benchmarks compare the compiled kernels with their pure twins; build them first")
    config.stash[SUMMARY], config.stash[COMMANDS] = {}, {}
    config.stash[LOAD] = load_average()


def pytest_benchmark_update_machine_info(config: pytest.Config, machine_info: dict[str, Any]) -> None:
    """Record the versions and the machine that the numbers depend on."""
    machine_info["cpu"].setdefault("brand_raw", platform.processor() or platform.machine())  # not known everywhere
    machine_info["cores"] = joblib.cpu_count()
    machine_info["threads_pinned_to"] = 1
    machine_info["fcfast"] = fcfast.show_config("dict")
    machine_info["versions"] = {package: version(package) for package in PACKAGES}
    machine_info["load_average_at_start"] = config.stash[LOAD]
    machine_info["date"] = datetime.now(timezone.utc).isoformat(timespec="seconds")


def pytest_benchmark_update_json(config: pytest.Config, output_json: dict[str, Any]) -> None:
    """Write the summary and the commands into the result file too, for reports."""
    output_json["summary"], output_json["reproduce"] = config.stash[SUMMARY], config.stash[COMMANDS]


@pytest.hookimpl(trylast=True)  # below pytest-benchmark's own table
def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Print the summary, which is empty if each benchmark ran only once."""
    if not config.stash[SUMMARY] or config.getoption("benchmark_disable"):
        return
    write = terminalreporter.write_line
    terminalreporter.section("measured: medians of interleaved runs, one thread unless said")
    write(f"{joblib.cpu_count()} cores; load average {config.stash[LOAD]} at the start, {load_average()} at the end")
    for heading, lines in config.stash[SUMMARY].items():
        write("")
        write(heading, bold=True)
        for line in lines:
            write(f"  {line}")


@pytest.fixture
def tell(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Add a line to the summary, under the first line of the benchmark file's docstring."""
    heading = request.module.__doc__.splitlines()[0]
    request.config.stash[COMMANDS][heading] = re.search(r"^Reproduce: (.+)$", request.module.__doc__, re.MULTILINE)[1]
    return request.config.stash[SUMMARY].setdefault(heading, []).append


@pytest.fixture
def compare(benchmark) -> Callable[..., dict[str, float]]:
    """Time runs against each other: median seconds per unit of each. The first is the one pytest-benchmark records."""

    def compare(runs: Mapping[str, Run], rounds: int = ROUNDS) -> dict[str, float]:
        if benchmark.disabled:
            return {name: seconds_per_unit(run, 1) for name, run in runs.items()}
        by_round = interleaved_rounds(runs, rounds)
        seconds = {name: median(values) for name, values in by_round.items()}
        first = next(iter(runs.values()))
        if first.prepare:
            benchmark.pedantic(first.call, setup=lambda: (first.prepare(), {}), rounds=RECORDED_ROUNDS)
        else:
            benchmark.pedantic(first.call, rounds=RECORDED_ROUNDS, iterations=calls_per_block(first))
        benchmark.extra_info["seconds_per_unit"] = seconds
        benchmark.extra_info["fastest_seconds_per_unit"] = {str(name): min(values) for name, values in by_round.items()}
        benchmark.extra_info["units_per_call"] = {str(name): run.units for name, run in runs.items()}
        return seconds

    return compare
