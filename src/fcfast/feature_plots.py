"""Figures of attributions to features. They need the extra ``fcfast[plots]`` (matplotlib)."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fcfast import validation
from fcfast.plots import ACCENT, COLORS, INK, PALE, new_figure, save_figure, tidy_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from fcfast.attribution import Attributions, Ranking

Array = NDArray[Any]

MOST_BARS = 60
LONGEST = 32  # characters of the name of a bar
FEWEST_FOR_NAMES = 4  # chromosomes with a smaller share of the axis than 1 / (this x their number) get no name
RARE = 0.5  # share of refits below which a bar is pale


def feature_bars(out: str | os.PathLike[str], ranking: "Ranking", title: str = "") -> Path:
    """Draw a bar for each row of a ranking, of features, of groups, or of the features of one sample.

    Bars are coloured by the sign of the mean attribution. Where the ranking has the share of refits with a feature at the top
    (`fcfast.attribution.stability`), it stands beside the bar, and features below one half are pale.

    Parameters
    ----------
    out : path
        PNG file to write; its folder must exist.
    ranking : Ranking
        Ranking with at most 60 rows.
    title : str
        Title.

    Returns
    -------
    pathlib.Path
        The file.

    Raises
    ------
    ValueError
        If the ranking is empty or has too many rows.
    ImportError
        If matplotlib is not installed.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> import numpy as np
    >>> from fcfast import FrontClassifier, feature_plots
    >>> X, y = np.random.default_rng(0).normal(size=(20, 300)), np.arange(20) % 2
    >>> classifier = FrontClassifier((8,), max_epochs=5, random_state=0).fit(X, y)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     feature_plots.feature_bars(pathlib.Path(folder, "top.png"), classifier.attribute(X).top(10)).name
    'top.png'
    """
    if not 1 <= ranking.n_rows <= MOST_BARS:
        raise ValueError(f"ranking has {ranking.n_rows} rows; the figure has room for 1 to {MOST_BARS}")
    values = ranking["attribution"] if "attribution" in ranking else ranking["importance"]
    signs = next((ranking[name] for name in ("attribution", "mean") if name in ranking), values)
    places = np.arange(len(values))
    figure = new_figure(7, 1.4 + 0.24 * len(values))
    ax = figure.subplots()
    colors = [ACCENT if sign > 0 else INK for sign in signs]
    labels = [f"{value:.3g}" for value in values]
    if "mean_rank" in ranking:
        colors = [ACCENT if share >= RARE else PALE for share in ranking["share"]]
        labels = [f"{share:.0%} of refits" for share in ranking["share"]]
    drawn = ax.barh(places, values, color=colors, height=0.75)
    ax.bar_label(drawn, labels, padding=3, fontsize=7, color=INK)
    ax.set_yticks(places, _names(ranking), fontsize=8)
    ax.axvline(0, color=INK, linewidth=0.8)
    ax.margins(x=0.15)
    ax.invert_yaxis()
    ax.set_xlabel("attribution" if "attribution" in ranking else "mean absolute attribution", fontsize=9)
    ax.set_title(title, loc="left", fontsize=11, color=INK)
    tidy_axes(ax)
    ax.grid(visible=False, axis="y")
    return save_figure(figure, out)


def _names(ranking: "Ranking") -> list[str]:
    """Give the names of rows, with what tells equal ones apart."""
    names = [str(name) for name in (ranking["name"] if "name" in ranking else ranking["group"])]
    for before in ("output", "sample"):
        if before in ranking:
            names = [f"{value}: {name}" for value, name in zip(ranking[before].tolist(), names, strict=True)]
    return [name if len(name) <= LONGEST else f"{name[: LONGEST - 3]}..." for name in names]


def manhattan(
    out: str | os.PathLike[str],
    importance: ArrayLike,
    positions: ArrayLike | None = None,
    chromosomes: ArrayLike | None = None,
    top: "Ranking | None" = None,
) -> Path:
    """Draw the importance of each feature along positions, chromosome beside chromosome.

    Parameters
    ----------
    out : path
        PNG file to write; its folder must exist.
    importance : array-like of shape (d,)
        Importance of each feature, such as `Attributions.importance_`.
    positions : array-like of shape (d,), or None
        Position of each feature in its chromosome; None takes features in their order.
    chromosomes : array-like of shape (d,), or None
        Chromosome of each feature, in any type. They stand in the order in which they first occur.
    top : Ranking or None
        Ranking whose features are named in the figure.

    Returns
    -------
    pathlib.Path
        The file.

    Raises
    ------
    ValueError
        If the arrays have different lengths, or values are not finite.
    ImportError
        If matplotlib is not installed.
    """
    heights = validation.finite_array(importance, "importance", 1)
    places = np.arange(len(heights), dtype=np.float64)
    if positions is not None:
        places = validation.finite_array(positions, "positions", 1)
    groups = np.zeros(len(heights), np.intp) if chromosomes is None else np.asarray(chromosomes)
    for name, array in (("positions", places), ("chromosomes", groups)):
        if array.shape != heights.shape:
            raise ValueError(f"{name} has shape {array.shape}, but importance has {len(heights)} features")
    if not len(heights):
        raise ValueError("importance is empty; give that of at least one feature")
    figure = new_figure(10, 3.6)
    ax = figure.subplots()
    along = _draw_chromosomes(ax, heights, places, groups, named=chromosomes is not None)
    if top is not None:
        for feature, name in zip(top["feature"].tolist(), top["name"].tolist(), strict=True):
            ax.annotate(str(name), (along[feature], heights[feature]), xytext=(3, 3), textcoords="offset points", fontsize=7)
    ax.set_ylim(bottom=0)
    ax.set_ylabel("mean absolute attribution", fontsize=9)
    ax.set_xlabel("feature" if positions is None and chromosomes is None else "position", fontsize=9)
    tidy_axes(ax)
    ax.grid(visible=False, axis="x")
    return save_figure(figure, out)


def _draw_chromosomes(ax: "Axes", heights: Array, places: Array, groups: Array, named: bool) -> Array:
    """Draw the points of each chromosome behind those of the one before; give their places on the axis."""
    names, firsts, numbers = np.unique(groups, return_index=True, return_inverse=True)
    along, start, ticks = np.empty(len(heights)), 0.0, []
    for order, group in enumerate(np.argsort(firsts, kind="stable").tolist()):
        own = np.flatnonzero(numbers.reshape(-1) == group)
        own_places = places[own] - places[own].min()
        width = max(float(own_places.max()), 1.0)
        along[own] = start + own_places
        ax.plot(along[own], heights[own], ".", markersize=3, color=(INK, PALE)[order % 2], rasterized=True)
        ticks.append((start + width / 2, str(names[group]), width))
        start += 1.02 * width
    if named:
        shown = [tick for tick in ticks if tick[2] * FEWEST_FOR_NAMES * len(ticks) >= start]
        ax.set_xticks([place for place, _, _ in shown], [name for _, name, _ in shown], fontsize=8)
    return along


def spectrum(
    out: str | os.PathLike[str],
    attributions: "Attributions",
    X: ArrayLike,
    wavelengths: ArrayLike | None = None,
    unit: str = "nm",
) -> Path:
    """Draw the mean spectrum of samples, and below it the mean attribution of each wavelength.

    Parameters
    ----------
    out : path
        PNG file to write; its folder must exist.
    attributions : Attributions
        Attributions of one output, or of all.
    X : array-like of shape (M, d)
        Spectra.
    wavelengths : array-like of shape (d,), or None
        Wavelengths; None takes the names of the features if these are numbers, and otherwise their order.
    unit : str
        Unit of the wavelengths.

    Returns
    -------
    pathlib.Path
        The file.

    Raises
    ------
    ValueError
        If shapes do not fit.
    ImportError
        If matplotlib is not installed.
    """
    spectra = validation.real_array(X, "X")
    n_features = attributions.shape[1]
    if spectra.ndim != 2 or spectra.shape[1] != n_features:
        raise ValueError(f"X has shape {spectra.shape}, but attributions has {n_features} features")
    known = numbers_in(attributions.feature_names) if wavelengths is None else wavelengths
    axis = np.arange(n_features) if known is None else validation.finite_array(known, "wavelengths", 1)
    if axis.shape != (n_features,):
        raise ValueError(f"wavelengths has shape {axis.shape}, but attributions has {n_features} features")
    figure = new_figure(8, 5)
    above, below = figure.subplots(2, 1, sharex=True)
    mean, deviation = np.nanmean(spectra, axis=0), np.nanstd(spectra, axis=0)
    above.fill_between(axis, mean - deviation, mean + deviation, color=PALE, alpha=0.4, linewidth=0)
    above.plot(axis, mean, color=INK, linewidth=1.3)
    above.set_ylabel("mean spectrum ± deviation", fontsize=9)
    means = attributions.mean_.reshape(n_features, -1)
    importance = attributions.importance_.reshape(n_features, -1)
    for output, color in zip(range(means.shape[1]), [ACCENT, *COLORS[1:]], strict=False):
        label = str(attributions.labels_[output]) if means.shape[1] > 1 else None
        below.fill_between(axis, -importance[:, output], importance[:, output], color=color, alpha=0.15, linewidth=0)
        below.plot(axis, means[:, output], color=color, linewidth=1.3, label=label)
    if means.shape[1] > 1:
        below.legend(fontsize=8, frameon=False)
    below.axhline(0, color=INK, linewidth=0.8)
    below.set_ylabel("mean attribution\n(band: mean absolute)", fontsize=9)
    below.set_xlabel("feature" if known is None else f"wavelength, {unit}", fontsize=9)
    for ax in (above, below):
        tidy_axes(ax)
    return save_figure(figure, out)


def numbers_in(names: Sequence[str] | None) -> Array | None:
    """Give names as numbers, if all of them are some, such as wavelengths."""
    try:
        numbers = None if names is None else np.array([float(name) for name in names])
    except ValueError:
        return None
    return numbers if numbers is not None and np.isfinite(numbers).all() else None
