"""Counts, labels, quantiles, outliers, missing targets: ours without settings beside scikit-learn's models for each.

Reproduce: python -m bench.targets [--repeats 2] [--folds 5] [--jobs 2] [--tasks NAME ...] [--models NAME ...] [--out FILE.json]
Every model is scored by repeated cross-validation on the same splits (bench/targets_models.py). The sets are in
bench/targets_data.py, which says of each whether its targets are real, and whether fcfast's own constants were settled by it.
The command writes FILE.json and a report, FILE.md; finished results stay in the JSON, and Ctrl-C loses no finished fold.

Standard errors are corrected for training parts that overlap (Nadeau and Bengio, Machine Learning 52, 2003).
"""

import argparse
import json
import os
import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from joblib import Parallel, delayed, parallel_config

from bench.accuracy import column, corrected_error
from bench.measure import markdown
from bench.targets_data import DATA, summary
from bench.targets_models import (
    FITS,
    INNER_FOLDS,
    LEVELS,
    MOST_FOLDS,
    N_TREES,
    OUTLIER,
    SHARE_MISSING,
    SHARE_OUTLIERS,
    evaluate,
)
from fcfast.commands.shared import json_text, progress_on_terminal
from fcfast.config import config
from fcfast.files import write_text

OUT = Path(__file__).parents[1] / "docs" / "performance" / "targets.json"
Cells = dict[str, dict[str, Any]]


class Task(NamedTuple):
    """What the report says of a task: its title and text, the models' names, and the measures, +1 where more is better."""

    title: str
    text: str
    models: dict[str, str]
    measures: dict[str, tuple[str, int]]


TASKS = {
    "counts": Task(
        "Counts",
        'D² of the Poisson deviance: 0 is as good as the mean of the test targets. fcfast is `FrontRegressor(loss="poisson")`.',
        {"front": "fcfast", "linear": "PoissonRegressor, tuned", "trees": "HistGradientBoosting", "constant": "mean"},
        {"score": ("D²", 1)},
    ),
    "labels": Task(
        "Several labels",
        "`FrontClassifier()` on all labels at once; logistic regression has a model and a penalty for each label.",
        {
            "front": "fcfast", "linear": "logistic regression, tuned", "mlp": "MLPClassifier", "trees": "random forest",
            "constant": "frequencies",
        },
        {
            "score": ("log loss of a label, less is better", -1), "area": ("area under the ROC curve, mean over labels", 1),
            "right": ("share of single labels that are right", 1),
        },
    ),
    "quantiles": Task(
        "Quantiles",
        f"The quantiles {', '.join(map(str, LEVELS))}: `FrontRegressor(loss=Quantile({LEVELS}))`. The other models are fitted "
        "to each level by itself, and their predictions are sorted, as fcfast's are. D² of the pinball loss is a mean over the "
        f"levels; the interval between the outer levels should cover {LEVELS[-1] - LEVELS[0]:.0%} of new targets.",
        {
            "front": "fcfast", "free": "without decay", "linear": "QuantileRegressor (L1), tuned", "trees": "GradientBoosting",
            "constant": "quantiles",
        },
        {"score": ("D² of the pinball loss", 1), "covered": ("share of new targets in the interval", 0)},
    ),
    "outliers": Task(
        "Outliers",
        f"R² of new samples without outliers, where {SHARE_OUTLIERS:.0%} of the training targets are {OUTLIER:.0f} standard "
        "deviations too high.",
        {
            "front": "fcfast, huber", "free": "without decay", "squares": "fcfast, squared error",
            "linear": "HuberRegressor, tuned", "ridge": "ridge, tuned", "constant": "mean",
        },
        {"score": ("R²", 1)},
    ),
    "missing": Task(
        "Missing targets",
        f"R², a mean over the targets, where {SHARE_MISSING:.0%} of all training targets are missing at random. One network "
        "for all targets beside a model for each, which has the samples with that target.",
        {
            "front": "fcfast, one network", "separate": "fcfast, one for each", "linear": "ridge for each, tuned",
            "constant": "means",
        },
        {"score": ("R²", 1)},
    ),
}  # fmt: skip


# ----------------------------------------------------------------------------------------------------------------------
# running


def unfinished(cells: Cells, tasks: list[str], models: list[str] | None, n_scores: int) -> list[tuple[str, str, int]]:
    """List what has no result yet, one fold of all cells before the next, and make the cells."""
    for data in (name for name, each in DATA.items() if each.task in tasks):
        for model in FITS[DATA[data].task]:
            cells.setdefault(f"{data}; {model}", {"scores": {}})
    return [
        (data, model, fold)
        for fold in range(n_scores)
        for data, each in DATA.items()
        if each.task in tasks
        for model in FITS[each.task]
        if (models is None or model in models)
        and str(fold) not in cells[f"{data}; {model}"]["scores"]
        and fold < MOST_FOLDS.get((each.task, model), n_scores)
    ]


def numbered(task: tuple[str, str, int], n_folds: int) -> tuple[tuple[str, str, int], dict[str, Any]]:
    """Evaluate in a worker, and say what: results come in no order."""
    return task, evaluate(*task[:2], n_folds, task[2])


def run(cells: Cells, tasks: list[tuple[str, str, int]], n_folds: int, n_jobs: int, keep: Callable[[], None]) -> list[str]:
    """Do the tasks and note each result; the errors."""
    errors = []
    with parallel_config("loky", n_jobs=n_jobs, inner_max_num_threads=1), progress_on_terminal(len(tasks)) as tell:
        work = (delayed(numbered)(task, n_folds) for task in tasks)
        for done, ((data, model, fold), result) in enumerate(Parallel(return_as="generator_unordered")(work), 1):
            tell(f"{data}; {model}, fold {fold}", done)
            if "error" in result:
                errors.append(f"{data}; {model}, fold {fold}: {result['error']}")
                continue
            cells[f"{data}; {model}"]["scores"][str(fold)] = result
            keep()
    return errors


# ----------------------------------------------------------------------------------------------------------------------
# the report


def of(cells: Cells, data: str, model: str, key: str) -> np.ndarray:
    """Scores of the folds, none if there are fewer than two."""
    cell = cells.get(f"{data}; {model}", {"scores": {}})
    return column(cell, key) if len(cell["scores"]) > 1 else np.array([])


def sets_of(cells: Cells, task: str) -> list[str]:
    """Data sets of a task for which there are results of ours."""
    return [data for data, each in DATA.items() if each.task == task and len(of(cells, data, "front", "score"))]


def table(cells: Cells, sets: dict[str, Any], task: str, key: str, n_folds: int) -> str:
    """Means and errors, the best of a row in bold, and how often fcfast is ahead."""
    models, (_, sign) = TASKS[task].models, TASKS[task].measures[key]
    rows = [["data", "targets", "samples x features", "seen", *models.values()]]
    for data in sets_of(cells, task):
        found = [of(cells, data, model, key) for model in models]
        best = max((sign * values.mean() for values in found if len(values)), default=0.0)
        written = []
        for values in found:
            mean = f"{values.mean():.3f}" if len(values) else "-"
            bold = f"**{mean}**" if sign and len(values) and sign * values.mean() == best else mean
            written.append(f"{bold} ± {corrected_error(values, n_folds):.3f}" if len(values) else bold)
        n_samples, n_features = sets[data]["shape"]
        seen = "yes" if DATA[data].seen else ""
        rows.append([DATA[data].title, DATA[data].targets, f"{n_samples:,} x {n_features:,}", seen, *written])
    rows.append(["mean", "", "", "", *(mean_of(cells, task, model, key) for model in models)])
    if sign:
        rows.append(["fcfast is ahead of it", "", "", "", *(wins(cells, task, model, key, sign) for model in models)])
    return markdown(rows)


def mean_of(cells: Cells, task: str, model: str, key: str, how: str = ".3f", seen: bool | None = None) -> str:
    """Write the mean over the data sets, if a model has scores on all of them."""
    chosen = [data for data in sets_of(cells, task) if seen in (None, DATA[data].seen)]
    found = [of(cells, data, model, key) for data in chosen]
    return f"{np.mean([values.mean() for values in found]):{how}}" if found and all(map(len, found)) else "-"


def wins(cells: Cells, task: str, model: str, key: str, sign: int, seen: bool | None = None) -> str:
    """On how many of the sets that a model has scores on the mean of ours is better, over the folds that both have."""
    gaps = []
    for data in sets_of(cells, task):
        theirs = of(cells, data, model, key)
        if len(theirs) and seen in (None, DATA[data].seen):
            gaps.append(sign * (of(cells, data, "front", key)[: len(theirs)].mean() - theirs.mean()))
    return "" if model == "front" else f"{sum(gap > 0 for gap in gaps)} of {len(gaps)}"


def overview(cells: Cells) -> str:
    """The main measure of each task, for sets that were seen and for those that were not."""
    rows = [["", "sets", "fcfast", "linear, tuned", "trees", "constant", "ahead of linear", "of trees", "of the constant"]]
    for task, about in TASKS.items():
        title, sign = about.measures["score"]
        for seen in (True, False):
            n_sets = sum(DATA[data].seen == seen for data in sets_of(cells, task))
            if not n_sets:
                continue
            means = [mean_of(cells, task, model, "score", seen=seen) for model in ("front", "linear", "trees", "constant")]
            ahead = [
                wins(cells, task, m, "score", sign, seen) if m in about.models else "-" for m in ("linear", "trees", "constant")
            ]
            rows.append([f"{about.title}: {title}", f"{n_sets}{', seen' if seen else ''}", *means, *ahead])
    return markdown(rows)


def section(cells: Cells, sets: dict[str, Any], task: str, n_folds: int) -> str:
    """A task."""
    about = TASKS[task]
    tables = [
        f"{title[0].upper()}{title[1:]}:\n\n{table(cells, sets, task, key, n_folds)}"
        for key, (title, _) in about.measures.items()
    ]
    seconds = ", ".join(f"{name} {mean_of(cells, task, model, 'seconds', '.2g')}" for model, name in about.models.items())
    return "\n\n".join([f"## {about.title}", about.text, *tables, f"CPU seconds of a fit, its search included: {seconds}."])


def report(cells: Cells, sets: dict[str, Any], n_folds: int, versions: dict[str, Any]) -> str:
    """All of it."""
    counts = sorted({len(cell["scores"]) for cell in cells.values() if cell["scores"]})
    facts = "\n".join(f"- {key}: {value}" for key, value in versions.items())
    sections = "\n\n".join(section(cells, sets, task, n_folds) for task in TASKS if sets_of(cells, task))
    return f"""# Counts, labels, quantiles, missing targets

Scores of new samples: repeated {n_folds}-fold cross-validation, {" or ".join(map(str, counts))} scores for each model and data
set, the same splits for all. fcfast has no argument but the loss, and sees raw features; "without decay" is fcfast with
`weight_decay=0.0`. Linear models see standardised features, and their penalties are chosen on each training part by
{INNER_FOLDS}-fold cross-validation. Trees have scikit-learn's defaults, except for {N_TREES} trees in the forests, and for
gradient boosting of quantiles, which looks for a split among as many features as the root of their number. scikit-learn's MLP
has its defaults, and standardised features. The constant ignores the features. Mean ± standard error, corrected for training
parts that overlap; the best mean in bold. Differences below two standard errors say little.

Targets are real where somebody measured or counted them; words, genes and pixels that are targets are no features then. "Cut in
two" are measurements turned into labels: expression at its median, and blocks of digits with more than 8 of 16 dark dots.
fcfast's own constants were settled by the sets that are marked as seen, and by others that are generated in the same way or
come with scikit-learn. The other sets were held out, with one exception: a first run over all sets with outliers showed that
Huber's default bound was too large, and the new one was then settled by other sets.

<!-- --8<-- [start:overview] -->
{overview(cells)}
<!-- --8<-- [end:overview] -->

{sections}

## Made with

```
python -m bench.targets
```

{facts}
"""


def main() -> None:
    """Compute missing results, and write the report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS))
    parser.add_argument("--models", nargs="+", help="such as front, linear, trees; all by default")
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="processes, of one thread each")
    parser.add_argument("--again", action="store_true", help="forget earlier results of these tasks and models")
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args()
    found = json.loads(options.out.read_text(encoding="utf-8")) if options.out.exists() else {"cells": {}, "sets": {}}
    cells: Cells = found["cells"]
    for name in list(cells):
        data, model = name.split("; ")
        if options.again and DATA[data].task in options.tasks and (options.models is None or model in options.models):
            del cells[name]
    found["sets"] |= {data: summary(data) for data, each in DATA.items() if each.task in options.tasks}
    tasks = unfinished(cells, options.tasks, options.models, options.repeats * options.folds)
    errors = run(cells, tasks, options.folds, options.jobs, lambda: write_text(options.out, json_text(found)))
    text = report(cells, found["sets"], options.folds, config() | {"scikit-learn": metadata.version("scikit-learn")})
    write_text(options.out.with_suffix(".md"), text)
    print(text)
    if errors:
        sys.exit("\n".join(["failed, and tried again by the next run:", *errors]))


if __name__ == "__main__":
    main()
