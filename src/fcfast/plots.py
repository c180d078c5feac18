"""Pictures. Needs the extra ``fcfast[plots]`` (matplotlib), imported only here and only when a picture is made."""

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fcfast import validation
from fcfast.paper.experiments import error_traces
from fcfast.paper.timing import WidthCost

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PANELS = (
    ("weights", "Top: w + p updated (one input)"),
    ("compensation", "Middle: only p updated (one input)"),
    ("states", "Bottom: states updated (XOR, four inputs in turn)"),
)
# An error of exactly 0 has no place on a logarithmic axis; it is drawn on this line.
ZERO_ERROR = 1e-17
INK, ACCENT, PALE = "#1f2933", "#c2410c", "#9aa5b1"


def new_figure(width: float, height: float) -> "Figure":
    """Make a figure without touching matplotlib's global state (no pyplot, no backend)."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError("pictures need matplotlib; install it with: pip install 'fcfast[plots]'") from error
    return Figure(figsize=(width, height), layout="constrained", dpi=150)


def save_figure(figure: "Figure", out: str | os.PathLike[str]) -> Path:
    """Write a PNG whole or not at all; the folder must exist."""
    path = Path(out)
    if path.suffix.lower() != ".png":
        raise ValueError(f"out={os.fspath(out)!r} must end in .png, the only format written")
    if path.is_dir():
        raise IsADirectoryError(f"out={os.fspath(out)!r} is a folder; give the name of the PNG file")
    if not path.parent.is_dir():
        raise FileNotFoundError(
            f"out={os.fspath(out)!r}: the folder {os.fspath(path.parent)!r} does not exist; create it first"
        )
    handle, temporary = tempfile.mkstemp(dir=path.parent, suffix=".png")
    try:
        with os.fdopen(handle, "wb") as file:
            figure.savefig(file, format="png")
        # mkstemp makes private files; give the picture the rights of any other new file.
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(temporary, 0o666 & ~umask)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
    return path


def figure3(out: str | os.PathLike[str], n_seeds: int = 500, seed: int = 0) -> Path:
    """Draw the paper's Figure 3: the error between backpropagation's output and the front contribution's.

    Parameters
    ----------
    out : path
        The PNG file to write; its folder must exist.
    n_seeds : int
        Random networks behind the quantiles.
    seed : int

    Returns
    -------
    pathlib.Path

    Raises
    ------
    ImportError
        Without matplotlib.
    OSError
        If the file cannot be written; nothing is left half-written.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> from fcfast import paper
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     paper.figure3(pathlib.Path(folder, "figure3.png"), n_seeds=5).name
    'figure3.png'
    """
    validation.integer(n_seeds, "n_seeds", 1)
    figure = new_figure(7.5, 8)
    axes = figure.subplots(3, 1, sharex=True, sharey=True)
    for ax, (technique, title) in zip(axes, PANELS, strict=True):
        _draw_errors(ax, np.maximum(error_traces(technique, n_seeds=n_seeds, seed=seed), ZERO_ERROR))
        ax.set_title(title, loc="left", fontsize=10, color=INK)
    axes[0].legend(loc="upper right", fontsize=8, ncols=3, frameon=False)
    axes[1].set_ylabel("|output of backpropagation − output of front contribution|")
    axes[2].set_xlabel("training iteration")
    figure.suptitle(
        f"Figure 3 of arXiv 2106.05569, {n_seeds} random 2-2-1 networks, η = 0.1, simultaneous updates", fontsize=11, color=INK
    )
    return save_figure(figure, out)


def _draw_errors(ax: "Axes", errors: np.ndarray) -> None:
    iterations = np.arange(errors.shape[1])
    so_far = np.maximum.accumulate(errors, axis=1)
    # A typical seed to look at closely: not one whose units are all dead, which has no error at all.
    typical = np.argsort(so_far[:, -1])[round(0.6 * (len(errors) - 1))]
    ax.plot(iterations, errors[typical], color=PALE, linewidth=0.7, label="one seed")
    for q, label, style in ((0.5, "median", "-"), (0.99, "99 %", "-."), (1.0, "all seeds", ":")):
        ax.plot(iterations, np.quantile(so_far, q, axis=0), style, color=INK, linewidth=1.2, label=f"{label}, largest so far")
    ax.axhline(1e-15, color=ACCENT, linestyle="--", linewidth=1, label="the paper's 1e-15")
    ax.set_yscale("log")
    ax.set_ylim(ZERO_ERROR * 0.6, 1e-12)
    ax.set_xlim(0, errors.shape[1])
    ax.set_yticks([1e-17, 1e-16, 1e-15, 1e-14, 1e-13, 1e-12], ["0", "1e-16", "1e-15", "1e-14", "1e-13", "1e-12"])
    ax.minorticks_off()
    _tidy(ax)


def width_figure(out: str | os.PathLike[str], cost: WidthCost) -> Path:
    """Draw time per iteration against width: the closed form's O(1) beside backpropagation.

    Parameters
    ----------
    out : path
        The PNG file to write; its folder must exist.
    cost : WidthCost
        The times, from `fcfast.paper.timing.width_cost`.

    Returns
    -------
    pathlib.Path
    """
    figure = new_figure(6.5, 4)
    ax = figure.subplots()
    for seconds, label, color in ((cost.backprop, "backpropagation", PALE), (cost.closed_form, "closed form", ACCENT)):
        ax.plot(cost.hidden, np.array(seconds) * 1e9, "o-", color=color, label=label)
        last = f"{seconds[-1] * 1e3:.1f} ms" if seconds[-1] > 1e-4 else f"{seconds[-1] * 1e9:.0f} ns"
        ax.annotate(last, (cost.hidden[-1], seconds[-1] * 1e9), xytext=(-6, 7),
                    textcoords="offset points", ha="right", fontsize=9, color=INK)  # fmt: skip
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.set_xlabel("hidden units")
    ax.set_ylabel("nanoseconds per iteration, one thread")
    ax.set_title("One input: an iteration costs the same for any width", loc="left", fontsize=11, color=INK)
    ax.legend(frameon=False)
    _tidy(ax)
    return save_figure(figure, out)


def _tidy(ax: "Axes") -> None:
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(axis="y", color=PALE, alpha=0.3, linewidth=0.6)
    ax.tick_params(labelsize=8)
