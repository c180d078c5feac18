"""The page about steps on sparse rows."""

from collections.abc import Callable, Iterator, Mapping
from math import isnan, nan
from typing import Any

from bench.measure import duration, markdown, verdict
from bench.sparse.contenders import DENSE, LIGHT, SKLEARN, THREADED

Result = Mapping[str, Any]
Cells = Mapping[str, Result]
BOUND = 0.7  # the share of the memory bound that is to be reached
OURS = "fcfast, SGD", "fcfast, momentum", "fcfast, Adagrad"
TEXT = "news20", "IMDB"


def seconds(result: Result, name: str, clock: str = "processor") -> float:
    """Seconds of a step."""
    return float(result["seconds"][name][clock])


def ratio(result: Result, ours: str, *peers: str) -> float:
    """How many times as fast ours is as the fastest of some peers; NaN without them."""
    found = (seconds(result, peer) for peer in peers if peer in result["seconds"])
    return min(found, default=nan) / seconds(result, f"fcfast, {ours}")


def gain(result: Result, name: str) -> float:
    """How many times as fast two threads are as one."""
    return seconds(result, f"fcfast, {name}", "wall") / seconds(result, f"{THREADED} threads, {name}", "wall")


def share(result: Result, name: str, kind: str = "random") -> float:
    """The share of the memory bound that a step reaches."""
    found = result["memory"][name]
    return float(found["touched"] * found[kind] / seconds(result, f"fcfast, {name}"))


# ----------------------------------------------------------------------------------------------------------------------
# tables


def rounded(number: float) -> str:
    """Two digits, or all before the point."""
    if isnan(number):
        return "-"
    return f"{number:,.0f}" if number >= 10 else f"{number:.1f}"


def cells_of(found: Mapping[str, Cells]) -> Iterator[tuple[str, int, Result]]:
    """Give the data, the batch size and the result of each cell."""
    for data, cells in found.items():
        for batch, result in cells.items():
            yield data, int(batch), result


def table(found: Mapping[str, Cells], columns: Mapping[str, Callable[[Result], str]], which: Callable[[int], bool]) -> str:
    """A line for each cell whose batch size is wanted."""
    rows = [["data", "B", *columns]]
    rows += [[data, str(batch), *(column(result) for column in columns.values())] for data, batch, result in cells_of(found)
             if which(batch)]  # fmt: skip
    return markdown(rows)


def of_step(name: str) -> Callable[[Result], str]:
    """Tell the time of a step."""
    return lambda result: duration(seconds(result, name)) if name in result["seconds"] else "-"


def times_table(found: Mapping[str, Cells]) -> str:
    """Processor time of a step of everyone."""
    names = (*OURS, *LIGHT, *DENSE, SKLEARN)
    return table(found, {name: of_step(name) for name in names}, lambda batch: True)


def ratios_table(found: Mapping[str, Cells]) -> str:
    """Ratios to those who compute the same, or may be taken in our place."""
    columns = {
        "SGD: EmbeddingBag": lambda result: rounded(ratio(result, "SGD", LIGHT[0])),
        "momentum: EmbeddingBag, SGD without": lambda result: rounded(ratio(result, "momentum", LIGHT[0])),
        "Adagrad: EmbeddingBag, Adagrad": lambda result: rounded(ratio(result, "Adagrad", LIGHT[1])),
        "Adagrad: SparseAdam": lambda result: rounded(ratio(result, "Adagrad", LIGHT[2])),
        "momentum: dense PyTorch": lambda result: rounded(ratio(result, "momentum", *DENSE)),
        "momentum: scikit-learn": lambda result: rounded(ratio(result, "momentum", SKLEARN)),
    }
    return table(found, columns, lambda batch: True)


def threads_table(found: Mapping[str, Cells]) -> str:
    """Wall time with one and two threads."""
    columns = {}
    for name in ("SGD", "momentum"):
        columns |= {
            f"{name}: one": lambda result, name=name: duration(seconds(result, f"fcfast, {name}", "wall")),
            f"{name}: two": lambda result, name=name: duration(seconds(result, f"{THREADED} threads, {name}", "wall")),
            f"{name}: times as fast": lambda result, name=name: f"{gain(result, name):.2f}",
        }
    return table(found, columns, lambda batch: batch > 1)


def bound_table(found: Mapping[str, Cells]) -> str:
    """Times per touched feature, and shares of the bound."""
    rows = [["data", "B", "optimiser", "features a step", "table", "a feature", "random slots", "share", "same slots", "share"]]
    for data, batch, result in cells_of(found):
        for name, memory in result["memory"].items() if batch > 1 else ():
            rows.append([
                data, str(batch), name, f"{memory['touched']:,.0f}", f"{memory['slots'] * memory['bytes'] / 2**20:,.0f} MiB",
                duration(seconds(result, f"fcfast, {name}") / memory["touched"]), duration(memory["random"]),
                f"{share(result, name):.0%}", duration(memory["own"]), f"{share(result, name, 'own'):.0%}",
            ])  # fmt: skip
    return markdown(rows)


# ----------------------------------------------------------------------------------------------------------------------
# targets

Value = Callable[[Result], float]
TARGETS: tuple[tuple[str, float, tuple[str, ...], tuple[int, ...], Value], ...] = (
    ("SGD: times EmbeddingBag, text", 5, TEXT, (32,), lambda r: ratio(r, "SGD", LIGHT[0])),
    ("SGD: times EmbeddingBag, text", 15, TEXT, (1,), lambda r: ratio(r, "SGD", LIGHT[0])),
    ("SGD: times EmbeddingBag, uniform", 3, ("uniform",), (32, 1), lambda r: ratio(r, "SGD", LIGHT[0])),
    ("momentum: times EmbeddingBag without, text", 2, TEXT, (32,), lambda r: ratio(r, "momentum", LIGHT[0])),
    ("momentum: times EmbeddingBag without, text", 6, TEXT, (1,), lambda r: ratio(r, "momentum", LIGHT[0])),
    ("momentum: times EmbeddingBag without, uniform", 1.3, ("uniform",), (32, 1), lambda r: ratio(r, "momentum", LIGHT[0])),
    ("momentum: times dense PyTorch", 30, (), (32, 1, 256), lambda r: ratio(r, "momentum", *DENSE)),
    ("momentum: times scikit-learn's MLP", 150, (), (32, 1, 256), lambda r: ratio(r, "momentum", SKLEARN)),
    ("SGD: two threads, times one", 1.6, (), (32, 256), lambda r: gain(r, "SGD")),
    ("momentum: two threads, times one", 1.6, (), (32, 256), lambda r: gain(r, "momentum")),
    ("SGD: share of the bound, random slots", BOUND, (), (32, 256), lambda r: share(r, "SGD")),
    ("momentum: share of the bound, random slots", BOUND, (), (32, 256), lambda r: share(r, "momentum")),
)  # fmt: skip


def targets_table(found: Mapping[str, Cells]) -> str:
    """What was to be reached, and what was."""
    rows = [["target", "at least", "B", "reached", ""]]
    for text, least, names, batches, value in TARGETS:
        for batch in batches:
            reached = {
                data: value(cells[str(batch)])
                for data, cells in found.items()
                if (not names or data in names) and str(batch) in cells
            }
            if reached:
                told = ", ".join(f"{data} {_figure(number, least)}" for data, number in reached.items())
                rows.append([text, _figure(least, least), str(batch), told, verdict(min(reached.values()) >= least)])
    return markdown(rows)


def _figure(number: float, least: float) -> str:
    return f"{number:.0%}" if least < 1 else f"{number:.2f}" if least < 2 else rounded(number)


# ----------------------------------------------------------------------------------------------------------------------
# the page


def page(found: Mapping[str, Cells], about: str) -> str:
    """Put it all on a page."""
    sizes = (
        f"{data} {result['shape'][0]:,} x {result['shape'][1]:,} with {result['per_row']:.0f} entries a row"
        for data, cells in found.items()
        for result in list(cells.values())[:1]
    )
    worst = max(value for _, _, result in cells_of(found) for value in result["differences"].values())
    return f"""# Steps on sparse rows

This page compares the times of a training step on sparse rows: 256 hidden units, float32, one thread unless stated. The data
are {"; ".join(sizes)}.
The first two are TF-IDF of the training parts of 20 newsgroups and of IMDB reviews. In the uniform set all features are equally
frequent; in the Zipf set the k-th most frequent feature occurs in proportion to 1 / k.

Times are medians of interleaved rounds: processor time, and for two threads wall time. fcfast trains epochs in the forms that
`fit` takes, and the times include what an epoch costs besides its steps, such as the update of all features at its end. The
peers get batches that were made beforehand. Measured {about} `python -m bench.sparse`

Before times are taken, the losses of the first steps are compared wherever two sides compute the same. This excludes
SparseAdam and, on IMDB, scikit-learn, which has one output for two classes. They differ by at most {worst:.0e} in relation.

## Targets

The targets were set before the code was written. All data sets in a line were to reach "at least"; MISSED means that one of
them did not.

{targets_table(found)}

## A step

B is the batch size. `EmbeddingBag` has sparse gradients, for which PyTorch offers SGD without momentum, Adagrad, and
SparseAdam, whose moments rest between two occurrences of a feature. "Dense gradient" is `EmbeddingBag` with dense gradients,
"dense batches" a `Linear` layer, and "sparse tensor" `torch.sparse.mm`. These three have fused SGD with momentum, and change
all weights in every step. scikit-learn is `MLPClassifier(solver="sgd")` with momentum. On the Zipf set, which has many weights,
the slower ones of a kind were not measured.

{times_table(found)}

## Times as fast

Each column names the optimiser of fcfast and the peer. Dense PyTorch is the fastest of the three ways with momentum.

{ratios_table(found)}

## Two threads

{threads_table(found)}

## The memory bound

A step reads the weights of each feature of its batch, 1 KB and with momentum 2 KB, and later reads and writes them. The bound
is the time in which PyTorch's `EmbeddingBag` reads such slots in a table of the same size, and NumPy writes them, batch by
batch, while nothing else is computed. Random slots are mostly not in a cache. "Same slots" are those of the training in its
order. The frequent ones are in a cache, so that passing them takes little time, while the arithmetic on them takes as long as
on others. Times are per feature of a batch.

{bound_table(found)}
"""
