"""Attributions for ``fcfast explain``: of a loaded model, over groups in a file, beside refits, and as figures."""

import csv
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fcfast.commands.predicted import delimiter_of, output_names, with_target
from fcfast.commands.shared import listed

if TYPE_CHECKING:
    from fcfast.attribution import Attributions, Ranking, Stability
    from fcfast.datafiles import Table

METHODS = ("integrated_gradients", "gradient_x_input")
BASELINES = ("auto", "mean", "zero")
PLOTS = BARS, MANHATTAN, SPECTRUM = "bars", "manhattan", "spectrum"
GMT = ".gmt"
ALL = "all"  # outputs


def explained(estimator: Any, X: Any, output: str | None, asked: dict[str, Any]) -> "Attributions":
    """Attribute the output that is named in text."""
    from fcfast.commands.data import already_looked_at

    with already_looked_at(X):
        found: Attributions = estimator.attribute(X, output=_output(estimator, output), **asked)
    return found


def _output(estimator: Any, output: str | None) -> Any:
    """Give the class, or the number of the output, that the text means."""
    names = output_names(estimator)
    if output is None or output == ALL:
        return output
    of_target = with_target(estimator, names)
    for spelt in (names, of_target):
        if output in spelt:
            return spelt.index(output)
    if (names or of_target) and not output.isdecimal():
        raise ValueError(
            f"--output {output} is unknown; use {'one of ' if names else ''}{listed(names or of_target)}, or {ALL}"
        )
    classes = getattr(estimator, "classes_", None)
    if classes is not None:
        return next((label for label in classes.tolist() if str(label) == output), output)
    return int(output) if output.isdecimal() else output


def feature_groups(path: Path) -> dict[str, list[str]]:
    """Read groups of features.

    Parameters
    ----------
    path : Path
        A GMT file, whose lines have the name of a group, a description and its features, or a CSV or TSV file whose lines
        have a feature and its group.

    Raises
    ------
    ValueError
        If a line has too few cells.
    """
    is_gmt = path.suffix.lower() == GMT
    with path.open(encoding="utf-8", newline="") as file:
        lines = list(csv.reader(file, delimiter="\t" if is_gmt else delimiter_of(path)))
    groups: dict[str, list[str]] = {}
    for number, cells in enumerate(lines, 1):
        if not any(cells):
            continue
        if len(cells) < (3 if is_gmt else 2):
            what = "a group, a description and features" if is_gmt else "a feature and its group"
            raise ValueError(f"{path}: line {number} has {len(cells)} cell(s), but {what} are needed")
        if is_gmt:
            groups.setdefault(cells[0], []).extend(cell for cell in cells[2:] if cell)
        else:
            groups.setdefault(cells[1], []).append(cells[0])
    return groups


def with_names(ranking: "Ranking", ids: list[str] | None) -> "Ranking":
    """Put the names of samples in the place of their numbers."""
    import numpy as np

    from fcfast.attribution import Ranking

    if ids is None:
        return ranking
    return Ranking({**ranking, "sample": np.array(ids)[ranking["sample"]]})


def with_outputs(ranking: "Ranking", estimator: Any) -> "Ranking":
    """Put the names of targets, labels and levels in the place of the numbers of outputs."""
    import numpy as np

    from fcfast.attribution import Ranking

    names = output_names(estimator)
    if "output" not in ranking or not names:
        return ranking
    return Ranking({**ranking, "output": np.array(names)[ranking["output"]]})


def beside_refits(ranking: "Ranking", stable: "Stability") -> "Ranking":
    """Add what refits say about the features of a ranking: the share of them that have it at the top, and its mean rank."""
    from fcfast.attribution import Ranking

    return Ranking({**ranking, "refits": stable.ranking["share"], "mean_rank": stable.ranking["mean_rank"]})


def refits(
    estimator: Any,
    found: "Attributions",
    X: Any,
    table: "Table",
    data: Path,
    k: int,
    n_fits: int,
    output: str | None,
    asked: dict[str, Any],
    seed: int,
) -> "Stability":
    """Train again on draws of the samples, with the settings of the model, whose own top is looked for in the refits."""
    from sklearn.base import is_classifier

    from fcfast.attribution import stability
    from fcfast.commands.data import known_targets, targets_like, with_targets

    if table.y is None:
        columns = "--time and --event" if hasattr(estimator, "predict_survival_function") else "--target"
        raise ValueError(f"{data}: --stability trains on the samples, which have no target; name it with {columns}")
    if table.known is not None:
        X, table = X[table.known.nonzero()[0]], with_targets(table, data)
    task, names = "classification" if is_classifier(estimator) else "regression", getattr(estimator, "target_names_", None)
    y = targets_like(known_targets(estimator), table, data, task, names)
    if is_classifier(estimator) and estimator.classes_.dtype.kind == "b":
        y = y == str(True)  # truth values are compared as text
    asked = asked | {"output": _output(estimator, output), "attributions": found, "random_state": seed}
    return stability(estimator, X, y, k, n_fits, **asked)


def draw(out: Path, kind: str, found: Any, ranking: "Ranking", X: Any, data: Path) -> None:
    """Draw the figure of a kind."""
    from fcfast import feature_plots

    if kind == BARS:
        feature_plots.feature_bars(out, ranking, f"{found.method}, baseline {found.baseline}")
        return
    if len(found.shape) == 3 and kind == MANHATTAN:
        raise ValueError("--plot-kind manhattan draws one output; name it with --output")
    if kind == SPECTRUM:
        feature_plots.spectrum(out, found, X.dense("float64") if hasattr(X, "dense") else X)
        return
    places: dict[str, Any] = {}
    if data.suffix.lower() == ".bed":
        from fcfast.sources import PlinkBed

        variants = PlinkBed(data)
        if variants.shape[1] == found.shape[1]:
            places = {"positions": variants.positions, "chromosomes": variants.chromosomes}
    top = ranking if "feature" in ranking and "sample" not in ranking else None
    feature_plots.manhattan(out, found.importance_, top=top, **places)
