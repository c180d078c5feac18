"""Accuracy on real wide data: ours without any setting beside scikit-learn's tuned networks, linear models and trees.

Reproduce: python -m bench.accuracy [--data NAME ...] [--models NAME ...] [--repeats 5] [--folds 5] [--jobs 2] [--out FILE.json]
Every model is scored by repeated cross-validation, stratified for classes, on the same splits. fcfast, its NoProp and its
forward gradients are fitted to the raw features of the training part. For every other model the training part is standardised,
four configurations are tried on it by 3-fold cross-validation (bench/accuracy_models.py), and the best one is fitted to all of
it. Scores are balanced accuracy and R^2; log-loss and calibration error (10 bins) where a model gives probabilities.
The command writes FILE.json and a report, FILE.md. Finished results stay in the JSON and are not computed again unless their
settings have changed; Ctrl-C loses no finished fold. Missing data sets are skipped.

Training parts overlap, so the scores of folds are not independent. Standard errors are corrected for this (Nadeau and Bengio,
Machine Learning 52, 2003): variance x (1 / scores + test / training samples). Seconds are CPU times of one thread.
"""

import argparse
import json
import os
import shlex
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from joblib import Parallel, delayed, parallel_config
from scipy import stats

from bench.accuracy_models import CLASSIFICATION, INNER_FOLDS, N_TRIES, REGRESSION, SEED, arrays, candidates, evaluate
from bench.data import path_of
from bench.measure import markdown
from fcfast.commands.shared import json_text, progress_on_terminal
from fcfast.config import config
from fcfast.files import write_text

OUT = Path(__file__).parents[1] / "docs" / "performance" / "accuracy.json"
DATA = {
    "nakayama_sarcoma": "sarcoma, 10 types", "singh_prostate": "prostate", "golub_leukemia": "leukemia",
    "khan_srbct": "SRBCT, 4 types", "colon_alon": "colon", "subramanian_p53": "p53", "riboflavin": "riboflavin",
    "nir_gasoline": "gasoline spectra",
}  # fmt: skip
MODELS = {
    "front": "fcfast", "mlp": "MLP", "linear": "logistic regression, ridge", "svm": "linear SVM", "rbf": "RBF SVM",
    "forest": "random forest", "boosting": "gradient boosting", "noprop": "NoProp", "forward-gradients": "forward gradients",
}  # fmt: skip
KINDS = {"classes": CLASSIFICATION, "regression": REGRESSION}
CONFIDENCE = 0.95

Cells = dict[str, dict[str, Any]]


# ----------------------------------------------------------------------------------------------------------------------
# running


def settings(data: str, model: str, n_folds: int) -> dict[str, Any]:
    """Return the settings that a result depends on, as JSON values."""
    candidate = candidates(data)[model]
    text = " ".join(repr(candidate.model).split())
    return {"model": text, "grid": candidate.grid, "folds": n_folds, "inner folds": INNER_FOLDS, "seed": SEED}


def planned(earlier: Cells, data: Iterable[str], models: Sequence[str], n_folds: int) -> Cells:
    """Keep cells whose settings are unchanged and start the others; cells that were not requested stay."""
    cells = dict(earlier)
    for data_set in data:
        for model in (model for model in models if model in candidates(data_set)):
            wanted = settings(data_set, model, n_folds)
            known = earlier.get(f"{data_set}, {model}")
            if known is None or known["settings"] != wanted:
                known = {"data": data_set, "model": model, "settings": wanted, "scores": {}, "made with": []}
            cells[f"{data_set}, {model}"] = known
    return cells


def unfinished(cells: Cells, data: Sequence[str], models: Sequence[str], n_repeats: int, n_folds: int) -> list[tuple[str, int]]:
    """Yield unfinished cells and folds, one repeat of all cells before the next, so that models can be compared at any time."""
    asked = [name for name, cell in cells.items() if cell["data"] in data and cell["model"] in models]
    return [
        (name, fold)
        for repeat in range(n_repeats)
        for name in asked
        for fold in range(repeat * n_folds, (repeat + 1) * n_folds)
        if str(fold) not in cells[name]["scores"]
    ]


def numbered(task: tuple[str, int], arguments: tuple[Any, ...]) -> tuple[tuple[str, int], dict[str, Any]]:
    """Evaluate in a worker, and say what: results come in no order."""
    return task, evaluate(*arguments)


def machine(n_jobs: int) -> dict[str, Any]:
    """Return the versions and the machine that the figures depend on, as seen by a worker."""
    more = {"scikit-learn": metadata.version("scikit-learn"), "cores": os.cpu_count(), "processes": n_jobs}
    return config() | more


def run(cells: Cells, tasks: list[tuple[str, int]], n_jobs: int, keep: Callable[[], None]) -> list[str]:
    """Do the tasks and note each result; the errors."""
    errors = []
    command = shlex.join(["python", "-m", "bench.accuracy", *sys.argv[1:]])
    with parallel_config("loky", n_jobs=n_jobs, inner_max_num_threads=1), progress_on_terminal(len(tasks)) as tell:
        (facts,) = Parallel()([delayed(machine)(n_jobs)])
        made_with = {"command": command, "machine": facts}
        work = (
            delayed(numbered)((name, fold), (cells[name]["data"], cells[name]["model"], cells[name]["settings"]["folds"], fold))
            for name, fold in tasks
        )
        for done, ((name, fold), result) in enumerate(Parallel(return_as="generator_unordered")(work), 1):
            tell(f"{name}, fold {fold}", done)
            if "error" in result:
                errors.append(f"{name}, fold {fold}: {result['error']}")
                continue
            cell = cells[name]
            cell["scores"][str(fold)] = result | {"date": datetime.now(timezone.utc).isoformat(timespec="seconds")}
            if made_with not in cell["made with"]:
                cell["made with"].append(made_with)
            keep()
    return errors


# ----------------------------------------------------------------------------------------------------------------------
# statistics


def corrected_error(values: Sequence[float], n_folds: int) -> float:
    """Standard error of a mean over repeated cross-validation, corrected for training parts that overlap."""
    return float(np.sqrt(np.var(values, ddof=1) * (1 / len(values) + 1 / (n_folds - 1))))


def comparable(cells: Cells) -> Cells:
    """Leave out folds that not all models of a data set have, where a run was stopped, and cells with too few to compare."""
    begun = {name: cell for name, cell in cells.items() if len(cell["scores"]) > 1}
    shared: dict[str, set[str]] = {}
    for cell in begun.values():
        shared[cell["data"]] = shared.get(cell["data"], set(cell["scores"])) & cell["scores"].keys()
    return {
        name: cell | {"scores": {fold: cell["scores"][fold] for fold in sorted(shared[cell["data"]], key=int)}}
        for name, cell in begun.items()
        if len(shared[cell["data"]]) > 1
    }


def column(cell: dict[str, Any], key: str) -> np.ndarray:
    """One figure of all folds."""
    return np.array([score[key] for score in cell["scores"].values()])


def difference(ours: dict[str, Any], other: dict[str, Any]) -> tuple[float, float, bool]:
    """Return our mean advantage, its standard error, and whether it is statistically significant."""
    gaps = column(ours, "score") - column(other, "score")
    error = corrected_error(gaps, ours["settings"]["folds"])
    limit = stats.t.ppf((1 + CONFIDENCE) / 2, len(gaps) - 1)
    return float(gaps.mean()), error, bool(abs(gaps.mean()) > limit * error)


def ranks(cells: Cells, data: Sequence[str]) -> dict[str, float]:
    """Mean rank, 1 is best, of the models that have scores on all of some data sets."""
    models = [model for model in MODELS if all(f"{d}, {model}" in cells for d in data)]
    means = [[-column(cells[f"{d}, {model}"], "score").mean() for model in models] for d in data]
    return dict(zip(models, stats.rankdata(means, axis=1).mean(axis=0), strict=True)) if models and data else {}


# ----------------------------------------------------------------------------------------------------------------------
# the report


def title(data: str) -> str:
    """Name a data set and say how large it is."""
    n_samples, n_features = arrays(data)[0].shape
    return f"{DATA[data]}, {n_samples} x {n_features:,}"


def table(cells: Cells, models: Sequence[str], write: Callable[[dict[str, Any]], str]) -> str:
    """Write something of each cell: a row for each data set, a column for each model."""
    rows = [["samples x features", *(MODELS[model] for model in models)]]
    for data in (data for data in DATA if any(cell["data"] == data for cell in cells.values())):
        found = (cells.get(f"{data}, {model}") for model in models)
        rows.append([title(data), *("-" if cell is None else write(cell) for cell in found)])
    return markdown(rows)


def scores_table(cells: Cells, models: Sequence[str]) -> str:
    """Means and errors, the best of a row in bold."""
    means: dict[str, list[float]] = {}
    for cell in cells.values():
        means.setdefault(cell["data"], []).append(column(cell, "score").mean())

    def write(cell: dict[str, Any]) -> str:
        scores = column(cell, "score")
        mean = f"{scores.mean():.3f}"
        mean = f"**{mean}**" if scores.mean() == max(means[cell["data"]]) else mean
        return f"{mean} ± {corrected_error(scores, cell['settings']['folds']):.3f}"

    return table(cells, models, write)


def differences_table(cells: Cells, models: Sequence[str]) -> str:
    """Make the table of our advantage over each other model, with significant differences in bold."""

    def write(cell: dict[str, Any]) -> str:
        gap, error, beyond_chance = difference(cells[f"{cell['data']}, front"], cell)
        text = f"{round(gap, 3) + 0.0:+.3f}"  # no -0.000
        return f"{f'**{text}**' if beyond_chance else text} ± {error:.3f}"

    ours = {cell["data"] for cell in cells.values() if cell["model"] == "front"}
    others = {name: cell for name, cell in cells.items() if cell["data"] in ours and cell["model"] != "front"}
    return table(others, [model for model in models if model != "front"], write)


def probabilities_table(cells: Cells, models: Sequence[str]) -> str:
    """Log-loss and calibration error of models whose cells all have them."""
    has_both = [
        model
        for model in models
        if all("log-loss" in score for cell in cells.values() if cell["model"] == model and cell["data"] in CLASSIFICATION
               for score in cell["scores"].values())
    ]  # fmt: skip
    classes = {name: cell for name, cell in cells.items() if cell["data"] in CLASSIFICATION}
    return table(
        classes, has_both, lambda cell: " / ".join(f"{column(cell, key).mean():.3f}" for key in ("log-loss", "calibration"))
    )


def times_table(cells: Cells, models: Sequence[str]) -> str:
    """Seconds of the last fit, and of the search before it."""
    return table(cells, models, lambda cell: " / ".join(f"{column(cell, key).mean():.2g}" for key in ("fit", "tuning")))


def chosen_table(cells: Cells, models: Sequence[str]) -> str:
    """How often each configuration was chosen, and what failed."""
    rows = [["data", "model", "chosen: in so many folds", "tries that diverged"]]
    for data in DATA:
        for model in (model for model in models if f"{data}, {model}" in cells):
            scores = cells[f"{data}, {model}"]["scores"].values()
            counts = Counter(", ".join(f"{k} {v}" for k, v in sorted(score["chosen"].items())) for score in scores)
            failed = sum(score["failed tries"] for score in scores)
            rows.append([
                DATA[data], MODELS[model], "; ".join(f"{chosen}: {n}" for chosen, n in counts.most_common()),
                f"{failed} of {N_TRIES * len(scores)}" if failed else "-",
            ])  # fmt: skip
    return markdown(rows)


def rank_lines(cells: Cells) -> str:
    """One line for each kind of data."""
    lines = []
    for kind, names in KINDS.items():
        there = [data for data in names if any(cell["data"] == data for cell in cells.values())]
        found = sorted(ranks(cells, there).items(), key=lambda item: item[1])
        if found:
            lines.append(f"Mean rank, {kind}: {', '.join(f'{MODELS[model]} {rank:.1f}' for model, rank in found)}.")
    return "\n\n".join(lines)


def tried_table(cells: Cells, models: Sequence[str]) -> str:
    """Each model's own settings, and what was tried."""
    rows = [["model", "as it was made", "tried"]]
    for kind, names in KINDS.items():
        for model in models:
            tried = [cell["settings"] for cell in cells.values() if cell["model"] == model and cell["data"] in names]
            for text, grid in dict.fromkeys((each["model"], in_words(each["grid"])) for each in tried):
                rows.append([f"{MODELS[model]}, {kind}", f"`{text}`", grid])
    return markdown(rows)


def in_words(grid: dict[str, list[Any]] | list[dict[str, list[Any]]]) -> str:
    """Write a grid, or several."""
    if isinstance(grid, list):
        return "; ".join(map(in_words, grid))
    return " x ".join(f"{name.rsplit('__', 1)[-1]} {', '.join(map(str, values))}" for name, values in grid.items())


def origin(cells: Cells) -> str:
    """Commands, machines, dates."""
    made = [made for cell in cells.values() for made in cell["made with"]]
    commands = "\n".join(dict.fromkeys(each["command"] for each in made))
    machines = dict.fromkeys("\n".join(f"- {k}: {v}" for k, v in each["machine"].items()) for each in made)
    dates = sorted(score["date"][:10] for cell in cells.values() for score in cell["scores"].values())
    return "\n\n".join([f"```\n{commands}\n```", *machines, f"Trained from {dates[0]} to {dates[-1]}."])


def report(cells: Cells) -> str:
    """All of it."""
    models = [model for model in MODELS if any(cell["model"] == model for cell in cells.values())]
    n_scores = listed({len(cell["scores"]) for cell in cells.values()})
    n_folds = listed({cell["settings"]["folds"] for cell in cells.values()})
    return f"""# Accuracy on real wide data

Balanced accuracy, and R^2 of riboflavin and gasoline spectra: repeated {n_folds}-fold cross-validation, {n_scores} scores for
each model and data set, the same splits for all. fcfast and its NoProp have no argument and see raw features; its forward
gradients have two hidden layers, and see them, too. For every other model {N_TRIES} configurations were tried on every training
part, standardised, by {INNER_FOLDS}-fold cross-validation inside it, and the best was fitted to all of it. The labels of p53
are close to noise.

Mean ± standard error, the best mean in bold. Training parts overlap, so that scores are not independent; the standard errors
are corrected for it (Nadeau and Bengio 2003): variance x (1 / scores + test / training samples).

{scores_table(cells, models)}

{rank_lines(cells)}

## fcfast minus each other model

Paired by fold, ± standard error as above; fcfast is better above 0. In bold: more than chance gives in {CONFIDENCE:.0%} of such
comparisons (t-test), each taken for itself, so that about one in 20 would be in bold by chance alone.

{differences_table(cells, models)}

## Probabilities

Log-loss / calibration error of the predicted classes (10 bins), for models that give probabilities.

{probabilities_table(cells, models)}

## Seconds

Of CPU, one thread, other processes beside it: a fit of the chosen configuration / the search before it.

{times_table(cells, models)}

## Chosen

{chosen_table(cells, models)}

## Tried

The configurations were set by hand before the comparison, after a look at one split of five of the data sets; nothing else was
set. Features are standardised on each training part, targets of a regression too, except for fcfast, which does it itself.
Linear models and support vector machines see rows divided by the root of the number of features (`UnitRows`), and all
principal components: the same model, found sooner. fcfast's own constants were chosen by looking at these and other data
sets, about 60 variants in all; differences between the better ones are within the errors.

{tried_table(cells, models)}

## Made with

{origin(cells)}
"""


def listed(numbers: Iterable[int]) -> str:
    """One number, or a range."""
    low, high = min(numbers), max(numbers)
    return str(low) if low == high else f"{low} to {high}"


def positive(text: str) -> int:
    """Read a count."""
    if (number := int(text)) < 1:
        raise argparse.ArgumentTypeError(f"{number} is not above 0")
    return number


def main() -> None:
    """Compute missing results, and write the report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", nargs="+", choices=DATA, default=list(DATA))
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--repeats", type=positive, default=5)
    parser.add_argument("--folds", type=positive, default=5)
    parser.add_argument("--jobs", type=positive, default=os.cpu_count(), help="processes, of one thread each")
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args()
    if options.out.suffix != ".json":
        parser.error(f"--out {options.out}: the name must end in .json; the report beside it ends in .md")
    if options.folds < 2:
        parser.error(f"--folds {options.folds}: at least 2 are needed")
    absent = [name for name in options.data if not path_of(name).exists()]
    data = [name for name in options.data if name not in absent]
    for name in absent:
        print(f"left out: {path_of(name)} is absent; set FCFAST_DATA to the folder that has it", file=sys.stderr)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    earlier = json.loads(options.out.read_text(encoding="utf-8"))["cells"] if options.out.exists() else {}
    others = {cell["settings"]["folds"] for cell in earlier.values()} - {options.folds}
    if others:
        parser.error(f"--folds {options.folds}: {options.out} has results of {listed(others)} folds; use another --out")
    cells = planned(earlier, data, options.models, options.folds)
    tasks = unfinished(cells, data, options.models, options.repeats, options.folds)
    errors = run(cells, tasks, options.jobs, lambda: write_text(options.out, json_text({"cells": cells}))) if tasks else []
    if finished := comparable(cells):
        write_text(options.out.with_suffix(".md"), report(finished))
        print(f"{scores_table(finished, options.models)}\n\n{options.out.with_suffix('.md')} has all of it")
    if errors:
        sys.exit("\n".join(["failed, and tried again by the next run:", *errors]))


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        print("interrupted; what is finished is kept, and the same command goes on", file=sys.stderr)
        sys.exit(130)
