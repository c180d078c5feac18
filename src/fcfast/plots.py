"""Figures. They need the extra ``fcfast[plots]`` (matplotlib), which is imported only when a figure is drawn."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fcfast import validation
from fcfast.activations import HOMOGENEOUS
from fcfast.files import replacing
from fcfast.rules import RULES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.ticker import Formatter

    from fcfast.comparison import Comparison, RuleResult
    from fcfast.estimators import FrontClassifier, FrontRegressor
    from fcfast.estimators.noprop import NoPropClassifier
    from fcfast.explain import OutputExplanation
    from fcfast.paper.timing import WidthCost

PANELS = (
    ("weights", "Top: w + p updated (one input)"),
    ("compensation", "Middle: only p updated (one input)"),
    ("states", "Bottom: states updated (XOR, four inputs in turn)"),
)
# A logarithmic axis cannot show an error of exactly 0; it is drawn on this line.
ZERO_ERROR = 1e-17
INK, ACCENT, PALE = "#1f2933", "#c2410c", "#9aa5b1"
# The colours of Okabe and Ito, which colour-blind readers can distinguish, without black and yellow.
COLORS = ("#d55e00", "#0072b2", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
MAX_TRAJECTORIES = 12
BASELINE_STYLES = (INK, "-"), (PALE, "--")


def new_figure(width: float, height: float) -> "Figure":
    """Make a figure without touching matplotlib's global state (no pyplot, no backend)."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError("pictures need matplotlib; install it with: pip install 'fcfast[plots]'") from error
    return Figure(figsize=(width, height), layout="constrained", dpi=150)


def save_figure(figure: "Figure", out: str | os.PathLike[str]) -> Path:
    """Write a PNG file completely or not at all; the folder must exist."""
    path = Path(out)
    if path.suffix.lower() != ".png":
        raise ValueError(f"out={os.fspath(out)!r} must end in .png, the only format written")
    if path.is_dir():
        raise IsADirectoryError(f"out={os.fspath(out)!r} is a folder; give the name of the PNG file")
    if not path.parent.is_dir():
        raise FileNotFoundError(
            f"out={os.fspath(out)!r}: the folder {os.fspath(path.parent)!r} does not exist; create it first"
        )
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png")
    return path


def figure3(out: str | os.PathLike[str], n_seeds: int = 500, seed: int = 0) -> Path:
    """Draw the paper's Figure 3: the difference between the outputs of backpropagation and of front contribution.

    Parameters
    ----------
    out : path
        PNG file to write; its folder must exist.
    n_seeds : int
        Number of random networks for the quantiles.
    seed : int
        Seed of the random networks.

    Returns
    -------
    pathlib.Path
        The file.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    OSError
        If the file cannot be written; an older file is then unchanged.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> from fcfast import paper
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     paper.figure3(pathlib.Path(folder, "figure3.png"), n_seeds=5).name
    'figure3.png'
    """
    from fcfast.paper.experiments import error_traces

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
    # A typical seed to show in detail: not one whose units are all dead, because its error is 0.
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
    tidy_axes(ax)


def width_figure(out: str | os.PathLike[str], cost: "WidthCost") -> Path:
    """Draw the time per iteration against the width, for the closed form, which is O(1), and for backpropagation.

    Parameters
    ----------
    out : path
        PNG file to write; its folder must exist.
    cost : "WidthCost"
        Times from `fcfast.paper.timing.width_cost`.

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
    tidy_axes(ax)
    return save_figure(figure, out)


def loss_curve(out: str | os.PathLike[str], estimator: "FrontClassifier | FrontRegressor | NoPropClassifier") -> Path:
    """Draw the training loss of each epoch and, with validation samples, their loss and their score.

    A training loss is the mean over the steps of an epoch, whose weights change, and a validation loss belongs to the weights
    after them.

    Parameters
    ----------
    out : path
        PNG file to write; its folder must exist.
    estimator : FrontClassifier or FrontRegressor
        Estimator that was fitted or loaded from a model file.

    Returns
    -------
    pathlib.Path

    Raises
    ------
    ValueError
        If training did not finish an epoch.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> import numpy as np
    >>> from fcfast import FrontClassifier, plots
    >>> X, y = np.random.default_rng(0).normal(size=(20, 300)), np.arange(20) % 2
    >>> classifier = FrontClassifier((8,), max_epochs=5, random_state=0).fit(X, y)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     plots.loss_curve(pathlib.Path(folder, "curve.png"), classifier).name
    'curve.png'
    """
    losses, scores, others = estimator.loss_curve_, estimator.validation_scores_, estimator.validation_loss_curve_ or []
    if not losses:
        raise ValueError("estimator has not finished an epoch, so there is no loss to draw; lower its learning_rate")
    figure = new_figure(6.5, 5.5 if scores else 3.8)
    axes = figure.subplots(2 if scores else 1, 1, sharex=True, squeeze=False)[:, 0]
    _draw_curve(axes[0], losses, INK, "training")
    if others:
        _draw_curve(axes[0], others, ACCENT, "validation")
        axes[0].legend(frameon=False, fontsize=9)
    lowest, highest = min([*losses, *others]), max([*losses, *others])
    if lowest > 0 and highest > 20 * lowest:
        axes[0].set_yscale("log")
    axes[0].set_ylabel("loss" if others else "training loss")
    axes[0].set_title(f"{type(estimator).__name__}, {len(losses)} epochs", loc="left", fontsize=11, color=INK)
    if scores:
        best, how = int(np.argmax(scores)), "kept" if estimator.early_stopping else "best"
        _draw_curve(axes[1], scores, ACCENT, "validation")
        axes[1].plot(best + 1, scores[best], "o", color=ACCENT)
        axes[1].set_ylabel(f"validation {_score_name(estimator)}")
        axes[1].set_title(f"{how}: epoch {best + 1}, {scores[best]:.3f}", loc="left", fontsize=9, color=ACCENT)
    axes[-1].set_xlabel("epoch")
    axes[-1].xaxis.get_major_locator().set_params(integer=True)
    for ax in axes:
        tidy_axes(ax)
    return save_figure(figure, out)


def _draw_curve(ax: "Axes", values: Sequence[float], color: str, label: str) -> None:
    marker = "o" if len(values) < 10 else ""  # a line through one point cannot be seen
    epochs = np.arange(1, len(values) + 1)
    ax.plot(epochs, values, color=color, marker=marker, markersize=3, linewidth=1.4, label=label)


def _score_name(estimator: Any) -> str:
    """Name the score of validation samples."""
    scoring = estimator.scoring
    if scoring is None:
        name = str(estimator._score_name)
        return {"r2": "R²"}.get(name, name)
    return scoring if isinstance(scoring, str) else getattr(scoring, "__name__", "score")


def comparison_figure(out: str | os.PathLike[str], comparison: "Comparison") -> Path:
    """Draw the training loss and the test error of each learning rule over the epochs, as means over the seeds.

    Seeds that diverged are left out; the legend marks rules for which all of them did.

    Parameters
    ----------
    out : path
        PNG file to write; its folder must exist.
    comparison : Comparison
        Result of `fcfast.comparison.compare`.

    Returns
    -------
    pathlib.Path

    Examples
    --------
    >>> import tempfile, pathlib
    >>> import numpy as np
    >>> from fcfast import plots
    >>> from fcfast.comparison import compare
    >>> X, y = np.random.default_rng(0).normal(size=(40, 6)), np.arange(40) % 2
    >>> comparison = compare(X, y, ["fg-a"], epochs=3, n_seeds=1, n_rates=1, hidden_layer_sizes=(8,))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     plots.comparison_figure(pathlib.Path(folder, "curves.png"), comparison).name
    'curves.png'
    """
    figure = new_figure(10, 4.2)
    axes = figure.subplots(1, 2)
    percent = comparison.settings["task"] == "classification"
    styles = _rule_styles([result.rule for result in comparison.results])
    for result in comparison.results:
        _draw_rule(axes, result, styles[result.rule], 100 if percent else 1)
    for ax, label in zip(axes, ("training loss", "test error, %" if percent else "test error, 1 − R²"), strict=True):
        ax.set_title(label, loc="left", fontsize=11, color=INK)
        ax.set_xlabel("epoch")
        ax.xaxis.get_major_locator().set_params(integer=True)
        tidy_axes(ax)
    axes[0].set_yscale("log")
    if min((min(line.get_ydata(), default=1) for line in axes[1].lines), default=1) > 0:
        axes[1].set_yscale("log")
    else:  # all errors are 0, which a logarithmic axis cannot show
        axes[1].set_ylim(bottom=0)
    for ax in axes:
        ax.yaxis.set_major_formatter("{x:g}")
        ax.tick_params(which="minor", labelsize=7)
        if ax.get_yscale() == "log":
            ax.yaxis.set_minor_formatter(_plain_log_formatter())
    n_seeds = comparison.settings["n_seeds"]
    title = _rates_title(comparison)
    figure.suptitle(f"{title}, mean of {n_seeds} seeds" if n_seeds > 1 else title, fontsize=11, color=INK, x=0.01, ha="left")
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right upper", fontsize=8, frameon=False)
    return save_figure(figure, out)


def _plain_log_formatter() -> "Formatter":
    """Make a formatter that labels the ticks between decades with enough digits to distinguish them."""
    from matplotlib.ticker import LogFormatter

    class PlainLogFormatter(LogFormatter):
        def __call__(self, x: float, pos: int | None = None) -> str:
            return f"{x:g}" if super().__call__(x, pos) else ""

    return PlainLogFormatter(minor_thresholds=(2, 0.4))


def _rates_title(comparison: "Comparison") -> str:
    """Describe how the learning rates were chosen."""
    settings = comparison.settings
    given = [result.rate_is_given for result in comparison.results]
    if all(given):
        return "each rule at the rate given"
    if settings["learning_rate"] is not None:
        title = f"all rules at learning rate {settings['learning_rate']:g}"
    else:
        title = f"each rule at its {'default' if settings['n_rates'] == 1 else 'best'} rate"
    return f"{title}, or at one given" if any(given) else title


def _rule_styles(rules: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Choose the colour and line style of each rule: baselines have fixed ones; line styles change when colours repeat."""
    baselines = dict(zip((name for name, rule in RULES.items() if rule.is_baseline), BASELINE_STYLES, strict=False))
    others = [rule for rule in rules if rule not in baselines]
    lines = ("-", "-.", ":")
    return baselines | {rule: (COLORS[i % len(COLORS)], lines[i // len(COLORS) % len(lines)]) for i, rule in enumerate(others)}


def _draw_rule(axes: Sequence["Axes"], result: "RuleResult", style: tuple[str, str], factor: float) -> None:
    color, line = style
    runs = result.sound_runs
    settings: dict[str, Any] = {"color": color, "linestyle": line, "linewidth": 1.5}
    if not runs:
        axes[0].plot([], [], label=f"{result.rule} (diverged)", **settings)
        return
    losses = np.mean([run.losses for run in runs], axis=0)
    marker = "o" if len(losses) < 10 else ""  # a line through one point cannot be seen
    epochs = np.arange(1, len(losses) + 1)
    axes[0].plot(epochs, losses, label=result.rule, marker=marker, markersize=3, **settings)
    errors = factor * np.mean([run.test_errors for run in runs], axis=0)
    axes[1].plot(runs[0].scored_epochs, errors, marker=marker, markersize=3, **settings)


def trajectory_figure(
    out: str | os.PathLike[str], classifier: "NoPropClassifier", X: Any, titles: Sequence[str] | None = None
) -> Path:
    """Draw how labels emerge from noise: for a few samples, the share of each class's embedding in z_t, step by step.

    The share is the inner product with the embedding divided by its squared length; for "one-hot" embeddings it is z_t itself.

    Parameters
    ----------
    out : path-like
        PNG file to write; its folder must exist.
    classifier : NoPropClassifier
        Fitted classifier.
    X : ndarray or sparse matrix of shape (M, d)
        Samples, at most 12.
    titles : sequence of str or None
        Titles of the samples; None shows the predicted class.

    Returns
    -------
    pathlib.Path
        The file.

    Raises
    ------
    ValueError
        If there are more samples, or if the number of titles differs.
    ImportError
        If matplotlib is not installed.

    Examples
    --------
    >>> import os, tempfile
    >>> from sklearn.datasets import load_iris
    >>> from fcfast import NoPropClassifier
    >>> from fcfast.plots import trajectory_figure
    >>> X, y = load_iris(return_X_y=True)
    >>> classifier = NoPropClassifier(hidden=(8, 8), max_epochs=2, random_state=0).fit(X, y)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     trajectory_figure(os.path.join(folder, "labels.png"), classifier, X[:2]).name
    'labels.png'
    """
    if not hasattr(classifier, "trajectory"):
        raise TypeError(f"classifier must be a NoPropClassifier, got a {type(classifier).__name__}")
    z = classifier.trajectory(X)
    n_steps, n_samples, _ = z.shape
    if not 1 <= n_samples <= MAX_TRAJECTORIES:
        raise ValueError(f"X has {n_samples} samples; the figure has room for 1 to {MAX_TRAJECTORIES}")
    names = (
        [f"predicted: {label}" for label in classifier.predict(X)] if titles is None else validation.sequence(titles, "titles")
    )
    if len(names) != n_samples:
        raise ValueError(f"titles has {len(names)} names for {n_samples} samples; give one for each")
    embedding = classifier.embedding_
    shares = z @ (embedding / np.square(embedding).sum(axis=1, keepdims=True)).T
    n_columns = min(n_samples, 4)
    n_rows = -(-n_samples // n_columns)
    figure = new_figure(2.6 * n_columns + 1, 2.2 * n_rows + 0.4)
    axes = figure.subplots(n_rows, n_columns, sharex=True, sharey=True, squeeze=False).ravel()
    limit, extent = float(np.abs(shares).max()), (0.5, n_steps + 0.5, len(embedding), 0)
    for i, name in enumerate(names):
        image = axes[i].imshow(
            shares[:, i].T, aspect="auto", cmap="RdBu_r", vmin=-limit, vmax=limit, extent=extent
        )  # fmt: skip
        axes[i].set_title(name, fontsize=9)
        axes[i].set_yticks(np.arange(len(embedding)) + 0.5, list(map(str, classifier.classes_)), fontsize=7)
    for ax in axes[n_samples:]:
        ax.set_visible(False)
    figure.supxlabel("block" if classifier.network_.variant.name in ("dt", "backprop") else "step", fontsize=9)
    figure.colorbar(image, ax=axes, label="share of the class in z")
    return save_figure(figure, out)


def contributors_figure(
    out: str | os.PathLike[str],
    estimator: "FrontClassifier | FrontRegressor",
    x: Any,
    labels: Sequence[str] | None = None,
    n_top: int = 12,
) -> Path:
    """Draw the training samples that contribute most to the prediction of one sample.

    The bars add up to the output (`fcfast.explain.explain_output`). For a classifier this is the output of the predicted class
    before the softmax, for a regressor the first output.

    Parameters
    ----------
    out : path
        PNG file to write; its folder must exist.
    estimator : FrontClassifier or FrontRegressor
        Estimator fitted in form "contributions".
    x : array-like of shape (d,) or (1, d), pandas Series included, or sparse matrix of shape (1, d)
        The sample.
    labels : sequence of str of length N, or None
        Names of the training samples; by default their numbers. With early stopping N is smaller than the number of samples
        passed to `fit`.
    n_top : int
        Number of bars for training samples; one more bar shows the sum of the others.

    Returns
    -------
    pathlib.Path

    Raises
    ------
    AttributeError
        If the estimator was fitted in another form.
    ValueError
        If x holds several samples, or if there is not one label per training sample.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> import numpy as np
    >>> from fcfast import FrontClassifier, plots
    >>> X, y = np.random.default_rng(0).normal(size=(20, 300)), np.arange(20) % 2
    >>> classifier = FrontClassifier((8,), max_epochs=5, random_state=0).fit(X, y)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     plots.contributors_figure(pathlib.Path(folder, "why.png"), classifier, X[0], n_top=5).name
    'why.png'
    """
    from fcfast.explain import explain_output  # imports scikit-learn, which the other figures do not need

    validation.integer(n_top, "n_top", 1)
    if hasattr(x, "to_frame") and hasattr(estimator, "feature_names_in_"):
        x = x.to_frame().T  # a row of a pandas table, with feature names
    elif np.ndim(x) == 1:
        x = np.asarray(x).reshape(1, -1)
    if x.shape[0] != 1:
        raise ValueError(f"x must be one sample, got shape {x.shape}; give one row")
    parts = explain_output(estimator, x)
    n_samples = parts.terms.shape[1]
    if labels is None:
        labels = [f"sample {i}" for i in range(n_samples)]
    names = [str(label) for label in validation.sequence(labels, "labels")]
    if len(names) != n_samples:
        raise ValueError(f"labels has {len(names)} name(s), but the network was trained on {n_samples} samples; give one each")
    bars = _contributor_bars(parts, names, n_top)
    figure = new_figure(7, 1.9 + 0.27 * len(bars))
    ax = figure.subplots()
    values = np.array([value for _, value, _ in bars])
    drawn = ax.barh([name for name, _, _ in bars], values, color=[color for _, _, color in bars], height=0.7)
    ax.bar_label(drawn, [f"{value:+.3g}" for value in values], padding=3, fontsize=8, color=INK)
    ax.axvline(0, color=INK, linewidth=0.8)
    ax.margins(x=0.15)
    ax.invert_yaxis()
    ax.set_xlabel(_contributors_caption(estimator.network_.activation), fontsize=9)
    ax.set_title(_explained(estimator, parts), loc="left", fontsize=11, color=INK)
    tidy_axes(ax)
    ax.grid(visible=False, axis="y")
    return save_figure(figure, out)


def _contributor_bars(parts: "OutputExplanation", names: Sequence[str], n_top: int) -> list[tuple[str, float, str]]:
    """Return name, value and colour of each bar: the largest terms, the sum of the others, initial weights and biases."""
    terms = parts.terms[0]
    order = np.argsort(-np.abs(terms), kind="stable")
    shown, others = order[:n_top], order[n_top:]
    # Equal names would share one bar.
    repeated = len(set(names)) < len(names)
    bars = [(f"{names[i]} ({i})" if repeated else names[i], float(terms[i]), ACCENT if terms[i] > 0 else INK) for i in shown]
    if len(others):
        bars.append((f"the other {len(others)} samples", float(terms[others].sum()), PALE))
    bars.append(("initial weights", float(parts.initial[0]), PALE))
    bars.append(("biases", float(parts.rest[0]), PALE))
    return bars


def _explained(estimator: "FrontClassifier | FrontRegressor", parts: "OutputExplanation") -> str:
    classes = getattr(estimator, "classes_", None)
    output = f"class {classes[parts.chosen[0]]}, before the softmax" if classes is not None else "the first output"
    return f"What adds up to {parts.outputs[0]:.4g}: {output}"


def _contributors_caption(activation: str) -> str:
    caption = "part of the output, by training sample; the bars add up to it"
    if activation in HOMOGENEOUS:
        return caption
    return f"{caption}\n({activation} taken as the straight line from 0 to each unit's state)"


def tidy_axes(ax: "Axes") -> None:
    """Leave out what a figure does not need."""
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(axis="y", color=PALE, alpha=0.3, linewidth=0.6)
    ax.tick_params(labelsize=8)
