"""Text and tables of the sweep."""

from collections.abc import Mapping, Sequence

from bench.measure import duration, markdown
from bench.sweep.cells import LINES, N_EPOCHS, SPARSE, Cell
from bench.sweep.contenders import COMPILED, ROW_SPACE
from bench.sweep.findings import (
    ALL_LINES,
    CHOICE_LIMIT,
    SIZES,
    Result,
    curve,
    exponent,
    share_of_machine,
    share_within_factor_2,
    slower,
)
from fcfast.planning.machine import Machine
from fcfast.units import bytes_text

HEADLINES = (
    Cell(100, 10_000, 100), Cell(100, 100_000, 100), Cell(100, 1_000_000, 100), Cell(1000, 20_000, 32),
    Cell(10_000, 20_000, 32),
    Cell(10_000, 784, 1, momentum=0.0), Cell(10_000, 100_000, 32, density=1e-3, momentum=0.0),
)  # fmt: skip
GROWTH = ("auto", "fcfast, contributions", "fcfast, windowed", "fcfast, weights", "PyTorch", COMPILED, ROW_SPACE)
SPARSE_GROWTH = (
    "auto",
    "fcfast, contributions",
    "fcfast, windowed",
    "PyTorch, dense batches",
    "PyTorch, sparse tensor",
    "PyTorch, EmbeddingBag",
)


def rounded(ratio: float) -> str:
    """A ratio of speeds in two or three digits."""
    return f"{ratio:,.0f}" if ratio >= 100 else f"{ratio:.2g}" if ratio >= 10 else f"{ratio:.1f}"


def named(cell: Cell) -> str:
    """A cell in words."""
    kind = "" if cell.density is None else f", {cell.density:.2%} not zero".replace(".00%", "%")
    batch = "full batch" if cell.batch == cell.n else "one at a time" if cell.batch == 1 else f"batches of {cell.batch}"
    units = "" if cell.h == 256 else f", {cell.h} units"
    kind += ", momentum" if cell.density and cell.momentum else ""
    return f"{cell.n:,} x {cell.d:,}{kind}, {batch}{units}"


def shown(name: str) -> str:
    """A contender as tables and pictures name it; "PyTorch" alone would be the faster of eager and compiled."""
    return "PyTorch, eager" if name == "PyTorch" else name.removeprefix("fcfast, ")


def against(result: Result, name: str | None, kind: str) -> str:
    """How many times as fast as a contender the chosen form is, in its steps or a whole training."""
    if name is None or name not in result.found["seconds"]:
        return "-"
    measure = result.step if kind == "step" else result.training
    return rounded(measure(name) / measure(result.ours))


def comparison(results: Sequence[Result]) -> str:
    """Times of the chosen form and PyTorch's, and ratios."""
    rows = [["samples x features", "form", "a step", "PyTorch", "times as fast", f"{N_EPOCHS} epochs in all", "PyTorch",
             "times as fast", "times PyTorch in the row space: steps", "in all"]]  # fmt: skip
    for result in results:
        by_step, in_all = result.peer("step"), result.peer("training")
        rows.append([
            named(result.cell), f"`{result.chosen}`", duration(result.step(result.ours)),
            duration(result.step(by_step)) if by_step else "does not fit", against(result, by_step, "step"),
            duration(result.training(result.ours)), duration(result.training(in_all)) if in_all else "does not fit",
            against(result, in_all, "training"), against(result, ROW_SPACE, "step"), against(result, ROW_SPACE, "training"),
        ])  # fmt: skip
    return markdown(rows)


def headlines(results: Mapping[Cell, Result]) -> str:
    """The few lines for the README."""
    rows = [["samples x features", "form", "a step", "PyTorch", "times as fast: steps", "in all",
             "times PyTorch in the row space: steps", "in all"]]  # fmt: skip
    for result in (results[cell] for cell in HEADLINES if cell in results):
        by_step, in_all = result.peer("step"), result.peer("training")
        rows.append([
            named(result.cell), f"`{result.chosen}`", duration(result.step(result.ours)),
            duration(result.step(by_step)) if by_step else "does not fit", against(result, by_step, "step"),
            against(result, in_all, "training"), against(result, ROW_SPACE, "step"), against(result, ROW_SPACE, "training"),
        ])  # fmt: skip
    return markdown(rows)


def lines(results: Mapping[Cell, Result]) -> str:
    """All cells on lines."""
    parts = []
    for line, cells in ALL_LINES.items():
        measured = [results[cell] for cell in cells if cell in results]
        if measured:
            parts.append(f"### {line.capitalize()}\n\n{comparison(measured)}")
    return "\n\n".join(parts)


def losses(results: Sequence[Result]) -> str:
    """Cells where PyTorch is faster."""
    behind = slower(results)
    if not behind:
        return f"On none of the {len(results)} cells is PyTorch faster, by its steps or over a whole training."
    text = f"On {len(behind)} of {len(results)} cells PyTorch is faster, by its steps or over a whole training:"
    by_reason: dict[str, list[str]] = {}
    for result in behind:
        by_reason.setdefault(why_slower(result), []).append(named(result.cell))
    reasons = "\n".join(f"- {'; '.join(cells)}: {reason}" for reason, cells in by_reason.items())
    return f"{text}\n\n{comparison(behind)}\n\n{reasons}"


def why_slower(result: Result) -> str:
    """Say what keeps a cell's chosen form behind PyTorch."""
    cell = result.cell
    if cell.density is not None and result.chosen == "contributions":
        return "a step reads rows of the Gram matrix, a number for every sample; EmbeddingBag reads the entries of its batch"
    if cell.density is not None:
        return "the same entries are read on both sides; what an epoch costs besides its steps is a part of it"
    if result.chosen == "contributions" and cell.n > cell.d:
        return "more samples than features: the Gram matrix is larger than the data, and `plan` expects too much of it"
    if result.chosen == "contributions":
        return "few steps: what comes before the first one, and the checks of every epoch, are a part of it"
    if cell.batch == cell.n:
        return "the same few large products on both sides; what PyTorch has between them is compiled, or shared by threads"
    return "the same products on both sides"


def choices(results: Sequence[Result]) -> str:
    """How good the choice of form and the predictions are."""
    with_choice = [result for result in results if len(result.forms) > 1]
    good = [result for result in with_choice if result.loss <= CHOICE_LIMIT]
    share, n_predictions = share_within_factor_2(results)
    text = [
        f'`form="auto"` takes the fastest form, or one that is at most {CHOICE_LIMIT:.0%} slower, on {len(good)} of '
        f"{len(with_choice)} cells where there is a choice; {share:.0%} of {n_predictions} predictions of a whole training are "
        "within a factor 2 of what was measured."
    ]
    wrong = sorted((r for r in with_choice if r.loss > CHOICE_LIMIT), key=lambda result: -result.loss)
    if wrong:
        rows = [["samples x features", "chosen", "fastest", "slower by"]]
        rows += [[named(r.cell), f"`{r.chosen}`", f"`{r.fastest}`", f"{r.loss:.0%}"] for r in wrong]
        text.append(markdown(rows))
    return "\n\n".join(text)


def growth(results: Mapping[Cell, Result]) -> str:
    """Exponents of the time of a step along each line."""

    def table(names: Sequence[str], chosen: Sequence[str]) -> str:
        rows = [["a step grows with ...", *map(shown, names)]]
        for line in chosen:
            fitted = (exponent(*curve(line, name, results)) for name in names)
            rows.append([f"{line} ({SIZES[line]})", *("-" if power is None else f"{power:.2f}" for power in fitted)])
        return markdown(rows)

    return f"{table(GROWTH, list(LINES))}\n\n{table(SPARSE_GROWTH, list(SPARSE))}"


def shares(results: Sequence[Result], machine: Machine) -> str:
    """Shares of the machine's limits that steps reach."""
    rows = [["samples x features", "form", "a step", "of the rate of products", "of the bandwidth"]]
    for result in results:
        if result.cell.density is None:
            by_product, by_pass = share_of_machine(result, result.chosen, machine)
            step = duration(result.step(result.ours))
            rows.append([named(result.cell), f"`{result.chosen}`", step, f"{by_product:.0%}", f"{by_pass:.0%}"])
    rate = machine.inner["float32"][-1] * machine.speedup / 1e9
    text = (
        f"The rate is that of a large product on all threads, {rate:,.0f} GFLOP/s; the bandwidth that of updating arrays of "
        f"the size that the form holds, {machine.bandwidth[-1] / 1e9:.0f} GB/s for the largest, on one thread."
    )
    return f"{markdown(rows)}\n\n{text}"


def memory(results: Sequence[Result]) -> list[str]:
    """Peaks of child processes, where there are any."""
    weighed = [result for result in results if result.found.get("bytes")]
    if not weighed:
        return []
    names = list(dict.fromkeys(name for result in weighed for name in result.found["bytes"]))
    rows = [["samples x features", *map(shown, names)]]
    for result in weighed:
        found = result.found["bytes"]
        rows.append([named(result.cell), *(bytes_text(found[name]) if name in found else "-" for name in names)])
    told = (
        "Peak of a child process beyond its imports, X included (of the memory map: anonymous memory): forms for two epochs, "
        "peers for some steps or an epoch."
    )
    return ["## Memory", told, "![peak memory](../images/performance_memory.png)", markdown(rows)]


def page(results: Mapping[Cell, Result], limits: Machine, about: str) -> str:
    """Put it all on a page."""
    everything = list(results.values())
    on_lines = list(dict.fromkeys(cell for cells in ALL_LINES.values() for cell in cells if cell in results))
    peers = (
        'Times are medians of interleaved runs. Ours is `FrontClassifier.fit` with the form that `form="auto"` takes. PyTorch '
        "is the fastest of eager and compiled, with one and two threads and fused SGD; for sparse inputs it is the fastest of "
        "dense batches, sparse tensors and EmbeddingBag (whose sparse gradients have no fused SGD and no momentum: with "
        'momentum its gradients are dense). [Steps on sparse rows](sparse.md) has real texts. "In all" is the time of '
        f"{N_EPOCHS} epochs, from the data to a network that predicts; for compiled PyTorch it includes the second run of the "
        "compiler. Steps and whole trainings may have different winners. Settings: SGD with momentum 0.9 (0 for sparse inputs "
        "unless stated, and for single samples on the line), 256 hidden units unless stated, float32. Losses of a few epochs "
        "are compared before times are taken, except for compiled PyTorch and our pure mode, which run the same code as other "
        "contenders, and for weights of more than 3 x 10^8 numbers."
    )
    parts = [
        "# The sweep", peers, f"Measured {about} `python -m bench.report --parts sweep pages`",
        "![time of a step along each line](../images/performance_lines.png)",
        "![which form wins where](../images/performance_map.png)",
        "## Where PyTorch is faster", losses(everything), "## The choice of form", choices(everything),
        "## Scaling", "Scaling exponents of the time of a step along each line.", growth(results),
        "## Shares of the machine's limits", shares([results[cell] for cell in on_lines], limits),
        "## Lines", lines(results), *memory(everything),
        "## Map", comparison([result for cell, result in results.items() if cell not in on_lines]),
    ]  # fmt: skip
    return "\n\n".join(parts) + "\n"
