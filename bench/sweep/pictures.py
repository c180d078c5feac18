"""The sweep in pictures."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from bench.sweep.cells import MAP_BATCHES, MAP_FEATURES, MAP_SAMPLES, N_EPOCHS, Cell, map_cell
from bench.sweep.contenders import COMPILED, PURE, ROW_SPACE, SKLEARN
from bench.sweep.findings import ALL_LINES, CHOICE_LIMIT, SIZES, Result, curve, exponent
from bench.sweep.tables import shown
from fcfast.plots import COLORS, INK, PALE, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FORM_COLORS = {"contributions": COLORS[0], "windowed": COLORS[1], "weights": COLORS[2]}
STYLES = {
    "fcfast, contributions": (COLORS[0], "o-"), "fcfast, windowed": (COLORS[1], "o-"), "fcfast, weights": (COLORS[2], "o-"),
    "PyTorch": (INK, "s--"), COMPILED: (PALE, "s:"), ROW_SPACE: (COLORS[3], "s--"),
    "PyTorch, dense batches": (INK, "s--"), "PyTorch, sparse tensor": (PALE, "s:"), "PyTorch, EmbeddingBag": (COLORS[3], "s--"),
    SKLEARN: (COLORS[4], "^--"), PURE: (COLORS[5], "v:"),
}  # fmt: skip
SIZE_NAMES = {
    "d": "features",
    "n": "samples",
    "batch": "batch size",
    "h": "hidden units",
    "density": "share of entries not zero",
}
TITLES = {
    "features": "100 samples, full batch", "samples": "20,000 features, batches of 32", "batch size": "1,000 x 20,000",
    "hidden units": "300 x 20,000, batches of 32", "samples, one at a time": "784 features, one sample at a time",
    "sparse features": "sparse: 1,000 samples, 100 entries a row",
    "sparse samples": "sparse: 100,000 features, 100 entries a row",
    "sparse samples, momentum": "sparse, momentum: 100,000 features, 100 entries a row",
    "density": "sparse: 1,000 x 100,000",
}  # fmt: skip


def lines_figure(results: Mapping[Cell, Result]) -> "Figure":
    """Time of a step along each line; at the end of each curve the fitted exponent."""
    figure = new_figure(12, 9.4)
    axes = figure.subplots(3, 3).ravel()
    for panel, line in zip(axes, ALL_LINES, strict=True):
        for name, (color, style) in STYLES.items():
            sizes, seconds = curve(line, name, results)
            if sizes:
                milliseconds = np.multiply(seconds, 1e3)
                panel.loglog(sizes, milliseconds, style, color=color, markersize=3.5, linewidth=1.2, label=shown(name))
                power = exponent(sizes, seconds)
                if power is not None:
                    panel.annotate(f" {power:.2f}", (sizes[-1], milliseconds[-1]), color=color, fontsize=6.5, va="center")
        panel.margins(x=0.14)
        panel.set_title(TITLES[line], fontsize=9)
        panel.set_xlabel(SIZE_NAMES[SIZES[line]], fontsize=8)
        panel.tick_params(labelsize=7)
        panel.grid(alpha=0.2)
    for panel in axes[::3]:
        panel.set_ylabel("milliseconds a step", fontsize=8)
    _legend_below(figure, n_columns=6)
    figure.suptitle("A step of training; at the end of a curve, the power of the size that it grows with", fontsize=11)
    return figure


def _legend_below(figure: "Figure", n_columns: int) -> None:
    """Name each kind of curve once, whichever panel it is in."""
    handles = {name: curve for axes in figure.axes for curve, name in zip(*axes.get_legend_handles_labels(), strict=True)}
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=n_columns, fontsize=8, frameon=False)


def map_figure(results: Mapping[Cell, Result]) -> "Figure":
    """Which form wins over a whole training, by how much it beats PyTorch, and what `plan` says."""
    figure = new_figure(13, 4.6)
    for panel, batch in zip(figure.subplots(1, 3), MAP_BATCHES, strict=True):
        for i, d in enumerate(MAP_FEATURES):
            for j, n in enumerate(MAP_SAMPLES):
                cell = map_cell(n, d, batch)
                if cell in results:
                    _draw_place(panel, j, i, results[cell])
        panel.set(xlim=(-0.5, len(MAP_SAMPLES) - 0.5), ylim=(-0.5, len(MAP_FEATURES) - 0.5), xlabel="samples")
        panel.set_xticks(range(len(MAP_SAMPLES)), [f"{n:,}" for n in MAP_SAMPLES], fontsize=8)
        panel.set_yticks(range(len(MAP_FEATURES)), [f"{d:,}" for d in MAP_FEATURES], fontsize=8)
        panel.set_title("full batch" if batch == "N" else f"batches of {batch}", fontsize=10)
    figure.axes[0].set_ylabel("features")
    from matplotlib.patches import Patch

    handles = [Patch(color=color, alpha=0.45, label=form) for form, color in FORM_COLORS.items()]
    figure.legend(handles=handles, loc="outside lower center", ncols=3, fontsize=9, frameon=False)
    figure.suptitle(
        f"The fastest form over {N_EPOCHS} epochs (colour), how many times as fast as PyTorch the chosen one is (large), and "
        "its predicted over its measured time (small).\nA frame: plan chose the form of that colour instead, most often for a "
        f"loss below {CHOICE_LIMIT:.0%}; white: not measured, the data are too large", fontsize=10
    )  # fmt: skip
    return figure


def _draw_place(panel: "Axes", x: int, y: int, result: Result) -> None:
    from matplotlib.patches import Rectangle

    panel.add_patch(Rectangle((x - 0.5, y - 0.5), 1, 1, color=FORM_COLORS[result.fastest], alpha=0.45, linewidth=0))
    if result.chosen != result.fastest:
        frame = Rectangle((x - 0.44, y - 0.44), 0.88, 0.88, fill=False, edgecolor=FORM_COLORS[result.chosen], linewidth=2.5)
        panel.add_patch(frame)
    peer = result.peer("training")
    if peer:
        ratio = result.training(peer) / result.training(result.ours)
        panel.text(x, y + 0.08, f"{ratio:.0f}" if ratio >= 10 else f"{ratio:.1f}", ha="center", va="center", fontsize=11)
    told = result.predicted(result.chosen) / result.training(result.ours)
    panel.text(x, y - 0.3, f"{told:.2f}", ha="center", va="center", fontsize=7, color=INK)


def memory_figure(results: Mapping[Cell, Result]) -> "Figure":
    """Peak memory along the lines where it was measured."""
    measured = [
        line for line, cells in ALL_LINES.items() if any(cell in results and results[cell].found.get("bytes") for cell in cells)
    ]
    figure = new_figure(3.4 * len(measured), 3.4)
    for panel, line in zip(np.ravel(figure.subplots(1, len(measured))), measured, strict=True):
        known = [results[cell] for cell in ALL_LINES[line] if cell in results and results[cell].found.get("bytes")]
        for name, (color, style) in STYLES.items():
            with_it = [result for result in known if name in result.found["bytes"]]
            if with_it:
                sizes = [getattr(result.cell, SIZES[line]) for result in with_it]
                peaks = [result.found["bytes"][name] / 2**20 for result in with_it]
                panel.loglog(sizes, peaks, style, color=color, markersize=3.5, linewidth=1.2, label=shown(name))
        panel.set_title(TITLES[line], fontsize=8)
        panel.set_xlabel(SIZE_NAMES[SIZES[line]], fontsize=8)
        panel.tick_params(labelsize=7)
        panel.grid(alpha=0.2)
    _legend_below(figure, n_columns=3)
    figure.axes[0].set_ylabel("peak memory in MiB, data included", fontsize=8)
    return figure
