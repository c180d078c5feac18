"""Methods of measurement: medians of interleaved runs in one process, peak memory in a child process."""

import json
import math
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from statistics import median

from fcfast import backend

UNITS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}
BLOCK = 1e-2  # seconds that one timed block of calls lasts at least: far above the clock's resolution and a loop's cost
Clock = Callable[[], float]
STATUS, RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


@dataclass(frozen=True)
class Run:
    """What to time: ``call``, its ``units`` of work, and what makes its arguments before each call, untimed."""

    call: Callable[..., object]
    units: float = 1
    prepare: Callable[[], tuple[object, ...]] | None = None


def seconds_per_unit(run: Run, n_calls: int, clock: Clock = time.perf_counter) -> float:
    """Time a block of calls."""
    arguments = run.prepare() if run.prepare else ()
    start = clock()
    for _ in range(n_calls):
        run.call(*arguments)
    return (clock() - start) / (n_calls * run.units)


def calls_per_block(run: Run) -> int:
    """Calls that last BLOCK, after a call that warms up; 1 where every call needs fresh arguments."""
    if run.prepare or seconds_per_unit(run, 1) * run.units > BLOCK:
        return 1
    return math.ceil(BLOCK / (seconds_per_unit(run, 1) * run.units))


def interleaved_rounds(runs: Mapping[str, Run], rounds: int, clock: Clock = time.perf_counter) -> dict[str, list[float]]:
    """Seconds per unit of each, by round. Every round times every run once, so that load on the machine hits all alike."""
    n_calls = {name: calls_per_block(run) for name, run in runs.items()}
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            seconds[name].append(seconds_per_unit(run, n_calls[name], clock))
    return seconds


def interleaved(runs: Mapping[str, Run], rounds: int) -> dict[str, float]:
    """Median seconds per unit of each."""
    return {name: median(values) for name, values in interleaved_rounds(runs, rounds).items()}


@contextmanager
def pure_kernels() -> Iterator[None]:
    """Let fcfast use its pure-Python twins for a while."""
    compiled = {name: getattr(backend, name) for name in backend.KERNELS}
    try:
        for name in backend.KERNELS:
            setattr(backend, name, import_module(f"fcfast._pure.{name}"))
        yield
    finally:
        for name, kernel in compiled.items():
            setattr(backend, name, kernel)


def duration(seconds: float) -> str:
    """Three significant digits and a unit that fits."""
    unit, size = next(((unit, size) for unit, size in UNITS.items() if seconds >= size), ("ns", UNITS["ns"]))
    return f"{seconds / size:.3g} {unit}" if seconds < 1000 * size else f"{seconds / size:,.0f} {unit}"


def times(ratio: float) -> str:
    """Say a ratio of speeds: three digits, or all of them above 1000."""
    return f"{ratio:,.0f} times" if ratio >= 1000 else f"{ratio:.3g} times"


def markdown(rows: Sequence[Sequence[str]]) -> str:
    """Write a table; the first row is its head."""
    head, *lines = (f"| {' | '.join(row)} |" for row in rows)
    return "\n".join([head, "|---" * len(rows[0]) + "|", *lines])


def verdict(met: bool) -> str:
    """Say whether a target was met."""
    return "met" if met else "MISSED"


# ----------------------------------------------------------------------------------------------------------------------
# peak memory: VmHWM of a child process minus its resident memory after imports and a small warm-up run.
# Not getrusage's ru_maxrss: Linux starts it at the size of the process that made the child, and it cannot be reset.
# Anonymous memory, which leaves out the pages of mapped files, has no such mark; it is looked at again and again, and compared
# with what is held after imports alone.


def memory_is_measurable() -> bool:
    """Whether this system has /proc with a peak that can be reset (Linux)."""
    return STATUS.exists() and RESET.exists()


def peak_memory(function: str, work: tuple[object, ...], warm_up: tuple[object, ...], anonymous: bool = False) -> int:
    """Bytes that ``function`` ("module:name") adds at its peak when called with ``work``."""
    child = subprocess.run(
        [sys.executable, "-m", "bench.measure", function, json.dumps(work), json.dumps(warm_up),
         *(["anonymous"] if anonymous else [])],
        capture_output=True, text=True, timeout=600, check=False, cwd=Path(__file__).parents[1],
    )  # fmt: skip
    if child.returncode != 0:
        raise RuntimeError(f"measuring the memory of {function}{work} failed:\n{child.stderr}")
    return int(child.stdout)


def _status_bytes(field: str) -> int:
    return next(int(line.split()[1]) * 1024 for line in STATUS.read_text().splitlines() if line.startswith(field))


def _measure_here(function: str, work: str, warm_up: str, kind: str = "resident") -> int:
    module, name = function.split(":")
    call = getattr(import_module(module), name)
    if kind == "anonymous":
        return _highest(lambda: call(*json.loads(work)), "RssAnon")
    call(*json.loads(warm_up))
    RESET.write_text("5")  # the peak starts again at what is resident now
    before = _status_bytes("VmRSS")
    call(*json.loads(work))
    return max(0, _status_bytes("VmHWM") - before)


def _highest(call: Callable[[], object], field: str) -> int:
    """Bytes that a field of the status rises by at most during a call, looked at every millisecond."""
    seen, done = [_status_bytes(field)], threading.Event()

    def look() -> None:
        while not done.wait(1e-3):
            seen.append(_status_bytes(field))

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        call()
    finally:
        done.set()
        watcher.join()
    return max(seen) - seen[0]


if __name__ == "__main__":
    print(_measure_here(*sys.argv[1:]))
