"""Compare two result files of the benchmarks: is anything of ours slower than it was?

Reproduce: python -m bench.compare BEFORE.json AFTER.json [--relative 0.15] [--absolute 20us]
`pytest bench --benchmark-json=FILE` writes the files. One of our times fails only if it grew by more than both limits, a
relative one and an absolute one for a whole timed call (below which a clock is not reliable), and if this is true of the median
and of the fastest round, because other work on the machine rarely hits every round. Times of peers never fail. They were
interleaved with ours, so their ratio (the median of a benchmark, or else of all) measures the machine: if it became slower, our
times may be slower by the same factor. If the machine became faster, no correction is made, because not all times gain equally.
Exit codes: 0 nothing is slower, 1 something is, 2 a file or an option cannot be used.
"""

import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from bench.measure import UNITS, duration
from fcfast.commands.shared import clear_errors, plain_table, screen

# What the names of others' times start with; "products" are BLAS alone.
PEERS = ("PyTorch", "NumPy", "scikit-learn", "pure", "autograd", "gradient by hand", "products")
STYLES = {"slower": "bold red", "faster": "green"}

Key = tuple[str, str]  # a benchmark's full name; the contender in it, empty where there is only one


@dataclass(frozen=True)
class Time:
    """Seconds per unit of work, median and fastest of the rounds, and the units of a timed call."""

    median: float
    fastest: float
    units: float = 1


@dataclass(frozen=True)
class Results:
    """What a file says: times, and what they depend on."""

    times: dict[Key, Time]
    machine: dict[str, object]
    versions: dict[str, object]


@dataclass(frozen=True)
class Limits:
    """By how much a time may grow: a share, and seconds of a call."""

    relative: float
    absolute: float

    def exceeded(self, before: Time, after: Time, mood: float = 1.0) -> bool:
        """Whether a time grew by more than both, on a machine that by itself takes ``mood`` times as long."""
        return all(
            now > then * mood * (1 + self.relative) and (now - then * mood) * after.units > self.absolute
            for then, now in ((before.median, after.median), (before.fastest, after.fastest))
        )


# ----------------------------------------------------------------------------------------------------------------------
# files


def read(path: Path) -> Results:
    """Read a result file of pytest-benchmark."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        times = {key: time for benchmark in content["benchmarks"] for key, time in times_of(benchmark)}
        info = content["machine_info"]
        machine = {"CPU": info["cpu"].get("brand_raw"), "cores": info.get("cores")}
        return Results(times, machine, {"Python": info["python_version"]} | info.get("versions", {}))
    except OSError as error:
        raise OSError(f"{path}: cannot be read ({error.strerror}); `pytest bench --benchmark-json={path}` writes it") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{path}: not a result file of pytest-benchmark ({type(error).__name__}: {error}); "
            "`pytest bench --benchmark-json=FILE` writes one"
        ) from None


def times_of(benchmark: dict[str, Any]) -> Iterator[tuple[Key, Time]]:
    """Each contender's time, or else pytest-benchmark's own, unless that is of a single round: it says nothing."""
    name, extra, stats = benchmark["fullname"], benchmark["extra_info"], benchmark["stats"]
    medians = extra.get("seconds_per_unit")
    if medians is not None:
        fastest, units = extra.get("fastest_seconds_per_unit", {}), extra.get("units_per_call", {})
        for contender, seconds in medians.items():
            yield (name, contender), checked(seconds, fastest.get(contender, seconds), units.get(contender, 1))
    elif stats["rounds"] > 1:
        yield (name, ""), checked(stats["median"], stats["min"], 1)


def checked(*numbers: float) -> Time:
    """Refuse what is no time."""
    if not all(0 < number < math.inf for number in numbers):
        raise ValueError(f"{numbers} are no times")
    return Time(*numbers)


# ----------------------------------------------------------------------------------------------------------------------
# comparison


def is_peer(key: Key) -> bool:
    """Whether a time is not ours."""
    return key[1].startswith(PEERS)


def peers_ratios(before: Results, after: Results) -> dict[str, float]:
    """How many times as long peers take, by benchmark and of all (""); nothing where there are none, or of other versions."""
    if different(before.versions, after.versions):
        return {}
    ratios: dict[str, list[float]] = {}
    for key in after.times:
        if is_peer(key) and key in before.times:
            then, now = before.times[key], after.times[key]
            # The smaller: rounds that only a peer lost to other work excuse nothing of ours.
            ratio = min(now.median / then.median, now.fastest / then.fastest)
            for name in (key[0], ""):
                ratios.setdefault(name, []).append(ratio)
    return {name: median(values) for name, values in ratios.items()}


def verdicts(before: Results, after: Results, limits: Limits) -> dict[Key, str]:
    """What became of each time of ours that both have: "slower", "faster" or ""."""
    peers = peers_ratios(before, after)
    said = {}
    for key, now in after.times.items():
        if key in before.times and not is_peer(key):
            then, mood = before.times[key], max(1.0, peers.get(key[0], peers.get("", 1.0)))
            slower, faster = limits.exceeded(then, now, mood), limits.exceeded(now, then)
            said[key] = "slower" if slower else "faster" if faster else ""
    return said


def different(before: dict[str, object], after: dict[str, object]) -> list[str]:
    """What both know and say otherwise."""
    return [f"{fact} {before[fact]} -> {after[fact]}" for fact in before if fact in after and before[fact] != after[fact]]


def only_in(one: Results, other: Results) -> list[str]:
    """Name benchmarks, or contenders of benchmarks that both have, that only one has."""
    shared = {name for name, _ in one.times} & {name for name, _ in other.times}
    return list(dict.fromkeys(label(key) if key[0] in shared else key[0] for key in one.times if key not in other.times))


# ----------------------------------------------------------------------------------------------------------------------
# in words


def label(key: Key) -> str:
    """Name a time in one line."""
    return ": ".join(part for part in key if part)


def told(before: Results, after: Results, said: dict[Key, str]) -> Table:
    """Every time of ours in a line, and the ratio of the peers beside it."""
    table, peers = plain_table(None, "benchmark", "before", "after", "ratio", "peers", ""), peers_ratios(before, after)
    for key, verdict in said.items():
        then, now = before.times[key].median, after.times[key].median
        of_peers = f"{peers[key[0]]:.2f}" if key[0] in peers else ""
        cells = duration(then), duration(now), f"{now / then:.2f}", of_peers, verdict
        table.add_row(Text(label(key)), *cells, style=STYLES.get(verdict))
    return table


def mood_in_words(ratio: float | None, relative: float) -> str:
    """What peers' times say about the machine."""
    if ratio is None:
        return "no peers to compare, or of other versions: nothing tells how the machine was"
    words = f"peers take {ratio:.2f} times as long as before"
    if ratio > 1 + relative:
        return f"{words}: that is the machine, not the code, and ours may be slower by as much; better measure again"
    if ratio * (1 + relative) < 1:
        return f"{words}: that is the machine, not the code, and may hide what became slower; better measure again"
    return words


def say(line: str) -> None:
    """Print a line as it is: names look like markup."""
    screen.print(line, markup=False, highlight=False, soft_wrap=True)


# ----------------------------------------------------------------------------------------------------------------------
# the command

app = typer.Typer(add_completion=False)


def seconds(text: str) -> float:
    """Read a duration."""
    match = re.fullmatch(r"(\d+(?:\.\d*)?|\.\d+) *(s|ms|us|ns)", text)
    if not match:
        raise typer.BadParameter(f"{text!r} is no duration; write a number and s, ms, us or ns, such as 20us")
    return float(match[1]) * UNITS[match[2]]


@app.command()
def compare(
    before: Annotated[Path, typer.Argument(help="The older result file.")],
    after: Annotated[Path, typer.Argument(help="The newer result file.")],
    relative: Annotated[float, typer.Option(help="A time may grow by this share.")] = 0.15,
    absolute: Annotated[Any, typer.Option(parser=seconds, metavar="DURATION", help="A call may grow by this.")] = "20us",
) -> None:
    """Compare two result files of the benchmarks; fail where a time of ours grew by more than both limits."""
    with clear_errors():
        if not 0 <= relative < math.inf:
            raise ValueError(f"--relative must be a finite number from 0, got {relative}; 0.15 is 15 %")
        old, new = read(before), read(after)
        if not old.times.keys() & new.times.keys():
            raise ValueError(f"{before} and {after} have no benchmark in common; there is nothing to compare")
    said = verdicts(old, new, Limits(relative, absolute))
    screen.print(told(old, new, said))
    for word, names in ("new", only_in(new, old)), ("gone", only_in(old, new)):
        for name in names:
            say(f"{word}: {name}")
    for difference in different(old.machine | old.versions, new.machine | new.versions):
        say(f"warning: not the same machine: {difference}")
    say(mood_in_words(peers_ratios(old, new).get(""), relative))
    slower = [key for key, verdict in said.items() if verdict == "slower"]
    for key in slower:
        say(f"slower: {label(key)}: {new.times[key].median / old.times[key].median:.2f} times as long")
    say(f"{len(slower)} of {len(said)} times of ours slower by more than {relative:.0%} and {duration(absolute)} a call")
    if slower:
        raise typer.Exit(1)


if __name__ == "__main__":
    app()
