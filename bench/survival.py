"""Survival analysis on real data: ours without any setting beside penalised Cox models and a random survival forest.

Reproduce: pip install scikit-survival lifelines survset, then python -m bench.survival [--repeats 2] [--folds 5] [--jobs 2]
[--data NAME ...] [--models NAME ...] [--out FILE.json]
The data sets come with these packages: gene expression of tumours (survset, of which those with more features than samples are
taken), and scikit-survival's 76 genes of breast cancers. Every model is scored by Harrell's concordance index in repeated
cross-validation, stratified by the event, on the same splits. fcfast is fitted to the raw features of the training part. For
every other model the training part is standardised, and its penalty is chosen on it by 3-fold cross-validation. The ridge
penalty of scikit-survival sees all principal components of rows of unit length: the same model, found sooner. lifelines scales
what it sees, so that it needs the features themselves, and solves equations in all of them; it is left out for many features.
The command writes FILE.json and a report, FILE.md; finished results stay in the JSON, and Ctrl-C loses no finished fold.

fcfast's own constants (`fcfast.estimators.automatic.HAZARDS`) were chosen by looking at DBCD, NSBCD, vdv, AML_Bull and gse3143,
and at six sets with more samples than features (nki70, GBSG2, pbc, veteran, whas500, Melanoma).

Standard errors are corrected for training parts that overlap (Nadeau and Bengio, Machine Learning 52, 2003).
"""

import argparse
import json
import os
import sys
import time
import warnings
from collections.abc import Callable
from functools import cache
from importlib import metadata
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from joblib import Parallel, delayed, parallel_config
from sklearn.base import BaseEstimator
from sklearn.decomposition import PCA
from sklearn.model_selection import GridSearchCV, RepeatedStratifiedKFold, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from bench.accuracy import column, corrected_error
from bench.accuracy_models import UnitRows
from bench.measure import markdown
from fcfast import FrontSurvival
from fcfast.commands.shared import json_text, progress_on_terminal
from fcfast.config import config
from fcfast.files import write_text
from fcfast.survival import concordance_index

OUT = Path(__file__).parents[1] / "docs" / "performance" / "survival.json"
SEED = 0
INNER_FOLDS = 3
MOST_LIFELINES = 100  # features
PERCENTILES, N_TIMES = (10, 80), 30  # of the observed times, at which survival functions are scored
FOREST = {"n_estimators": 200, "max_features": "sqrt", "min_samples_leaf": 3, "random_state": SEED, "n_jobs": 1}
DATA = {
    "DBCD": "breast cancer (van de Vijver 2002)", "NSBCD": "breast cancer (Sorlie 2003)",
    "vdv": "breast cancer (van 't Veer 2002)",
    "AML_Bull": "leukaemia (Bullinger 2004)", "gse3143": "breast cancer (Bild 2006, GSE3143)",
    "chop": "lymphoma (Lenz 2008)", "DLBCL": "lymphoma (Rosenwald 2002)", "MCLcleaned": "lymphoma (Rosenwald 2003)",
    "gse1992": "breast cancer (Hu 2006, GSE1992)", "gse4335": "breast cancer (GSE4335)",
    "gse7390": "breast cancer, 76 genes (Desmedt 2007, GSE7390)",
}  # fmt: skip
MODELS = {
    "front": "fcfast", "net": "Coxnet, elastic net", "ridge": "Cox, ridge (scikit-survival)",
    "lifelines": "Cox, ridge (lifelines)", "forest": "random survival forest",
}  # fmt: skip
Cells = dict[str, dict[str, Any]]


# ----------------------------------------------------------------------------------------------------------------------
# data


@cache
def arrays(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Give the features as float32, without constant ones, and the targets."""
    table, event, time_ = bundled() if name == "gse7390" else of_survset(name)
    X = pd.get_dummies(table, dtype=float).to_numpy(np.float32)
    X = np.where(np.isnan(X), np.nanmean(X, axis=0), X)
    y = np.array(list(zip(event, time_, strict=True)), dtype=[("event", bool), ("time", float)])
    return np.ascontiguousarray(X[:, X.std(axis=0) > 0]), y


def bundled() -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    """Load scikit-survival's set."""
    from sksurv.datasets import load_breast_cancer

    X, y = load_breast_cancer()
    return X, y["e.tdm"], y["t.tdm"]


def of_survset(name: str) -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    """Load a set of SurvSet."""
    from SurvSet.data import SurvLoader

    table = SurvLoader().load_dataset(ds_name=name)["df"]
    kept = table[table["time"] > 0] if (table["time"] <= 0).any() else table
    features = [column for column in kept if column not in ("pid", "event", "time")]
    return kept[features], kept["event"].to_numpy() == 1, kept["time"].to_numpy(float)


def split(name: str, n_folds: int, fold: int) -> tuple[np.ndarray, np.ndarray]:
    """Training and test rows of a fold, counted through the repeats: the same for every model and any number of repeats."""
    X, y = arrays(name)
    repeated = RepeatedStratifiedKFold(n_splits=n_folds, n_repeats=fold // n_folds + 1, random_state=SEED)
    return next(islice(repeated.split(X, y["event"]), fold, None))


# ----------------------------------------------------------------------------------------------------------------------
# models


class Lifelines(BaseEstimator):
    """lifelines' Cox model with a ridge penalty, for arrays."""

    def __init__(self, penalizer: float = 0.1) -> None:
        self.penalizer = penalizer

    def fit(self, X: np.ndarray, y: np.ndarray) -> "Lifelines":
        from lifelines import CoxPHFitter

        frame = pd.DataFrame(X).rename(columns=str).assign(time_=y["time"], event_=y["event"])
        self.fitter_ = CoxPHFitter(penalizer=self.penalizer).fit(frame, "time_", "event_")
        return self

    def predict(self, X: np.ndarray) -> np.ndarray:
        return self.fitter_.predict_log_partial_hazard(pd.DataFrame(X).rename(columns=str)).to_numpy()

    def score(self, X: np.ndarray, y: np.ndarray) -> float:
        return concordance_index(y, self.predict(X))


def fitted_lifelines(X: np.ndarray, y: np.ndarray) -> Any:
    """Choose a penalty by cross-validation."""
    return searched(Lifelines(), {"penalizer": [0.1, 0.3, 1.0, 3.0, 10.0]}, X, y)


def fitted_ridge(X: np.ndarray, y: np.ndarray) -> Any:
    """Choose a penalty by cross-validation, on principal components of rows of about unit length."""
    from sksurv.linear_model import CoxPHSurvivalAnalysis

    model = make_pipeline(UnitRows(), PCA(), CoxPHSurvivalAnalysis(ties="efron"))
    return searched(model, {"coxphsurvivalanalysis__alpha": [0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0]}, X, y)


def fitted_net(X: np.ndarray, y: np.ndarray) -> Any:
    """Choose a penalty of the elastic net's path by cross-validation."""
    from sksurv.linear_model import CoxnetSurvivalAnalysis

    settings = {"l1_ratio": 0.5, "max_iter": 10_000}
    path = CoxnetSurvivalAnalysis(alpha_min_ratio=0.1, n_alphas=20, **settings).fit(X, y)
    scores = np.zeros(len(path.alphas_))
    for train, test in inner_folds(X, y):
        part = CoxnetSurvivalAnalysis(alphas=path.alphas_, **settings).fit(X[train], y[train])
        scores += [concordance_index(y[test], part.predict(X[test], alpha=alpha)) for alpha in path.alphas_]
    return AtPenalty(path, path.alphas_[scores.argmax()])


class AtPenalty:
    """A place of a path of penalties."""

    def __init__(self, path: Any, alpha: float) -> None:
        self.path, self.alpha = path, alpha

    def predict(self, X: np.ndarray) -> np.ndarray:
        return self.path.predict(X, alpha=self.alpha)


def fitted_forest(X: np.ndarray, y: np.ndarray) -> Any:
    """Fit a random survival forest."""
    from sksurv.ensemble import RandomSurvivalForest

    return RandomSurvivalForest(**FOREST).fit(X, y)


def searched(model: Any, grid: dict[str, list[Any]], X: np.ndarray, y: np.ndarray) -> Any:
    """Choose by cross-validation, and fit to all."""
    return GridSearchCV(model, grid, cv=inner_folds(X, y), error_score=0.0).fit(X, y)


def inner_folds(X: np.ndarray, y: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Give the folds of a training part."""
    return list(StratifiedKFold(INNER_FOLDS, shuffle=True, random_state=SEED).split(X, y["event"]))


FITS: dict[str, Callable[[np.ndarray, np.ndarray], Any]] = {
    "net": fitted_net, "ridge": fitted_ridge, "lifelines": fitted_lifelines, "forest": fitted_forest,
}  # fmt: skip


def is_feasible(name: str, model: str) -> bool:
    """Whether a model takes less than hours: lifelines solves equations in all features."""
    return model != "lifelines" or arrays(name)[0].shape[1] < MOST_LIFELINES


def evaluate(name: str, model: str, n_folds: int, fold: int) -> dict[str, Any]:
    """Fit a model to a fold's training part: its concordance on the rest, and CPU seconds; or the error."""
    X, y = arrays(name)
    train, test = split(name, n_folds, fold)
    started = time.process_time()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of penalties that are too small, which the search does not choose
            if model == "front":
                ours = FrontSurvival(random_state=SEED, n_jobs=1).fit(X[train], y[train])
                seconds = time.process_time() - started
                return {"score": ours.score(X[test], y[test]), "seconds": seconds} | calibration(ours, X, y, train, test)
            scaler = StandardScaler().fit(X[train].astype(float))
            predict = FITS[model](scaler.transform(X[train].astype(float)), y[train]).predict
            seconds = time.process_time() - started
            risk = predict(scaler.transform(X[test].astype(float)))
            return {"score": concordance_index(y[test], risk), "seconds": seconds}
    except Exception as error:  # of any model: the others go on, and this fold is tried again the next time
        return {"error": f"{type(error).__name__}: {error}"}


def calibration(model: FrontSurvival, X: np.ndarray, y: np.ndarray, train: np.ndarray, test: np.ndarray) -> dict[str, float]:
    """Say how good survival functions of new samples are, beside the same function for all of them (Kaplan and Meier)."""
    from sksurv.linear_model import CoxPHSurvivalAnalysis
    from sksurv.metrics import integrated_brier_score
    from sksurv.nonparametric import kaplan_meier_estimator

    test = test[y["time"][test] < y["time"][train].max()]
    times = np.linspace(*np.percentile(y["time"][test], PERCENTILES), N_TIMES)
    ours = np.stack([function(times) for function in model.predict_survival_function(X[test])])
    known, of_all = kaplan_meier_estimator(y["event"][train], y["time"][train])
    same = np.tile(np.append(1, of_all)[np.searchsorted(known, times, side="right")], (len(test), 1))
    hazards = [f(t) for f, t in zip(model.predict_cumulative_hazard_function(X[test]), y["time"][test], strict=True)]
    return {
        "brier": float(integrated_brier_score(y[train], y[test], ours, times)),
        "brier of all": float(integrated_brier_score(y[train], y[test], same, times)),
        "slope": float(CoxPHSurvivalAnalysis().fit(model.predict(X[test])[:, None], y[test]).coef_[0]),
        "expected": float(np.sum(hazards) / y["event"][test].sum()),
    }


# ----------------------------------------------------------------------------------------------------------------------
# running and reporting


def numbered(task: tuple[str, str, int], n_folds: int) -> tuple[tuple[str, str, int], dict[str, Any]]:
    """Evaluate in a worker, and say what: results come in no order."""
    return task, evaluate(*task[:2], n_folds, task[2])


def run(cells: Cells, tasks: list[tuple[str, str, int]], n_folds: int, n_jobs: int, keep: Callable[[], None]) -> list[str]:
    """Do the tasks and note each result; the errors."""
    errors = []
    with parallel_config("loky", n_jobs=n_jobs, inner_max_num_threads=1), progress_on_terminal(len(tasks)) as tell:
        work = (delayed(numbered)(task, n_folds) for task in tasks)
        for done, ((name, model, fold), result) in enumerate(Parallel(return_as="generator_unordered")(work), 1):
            tell(f"{name}, {model}, fold {fold}", done)
            if "error" in result:
                errors.append(f"{name}, {model}, fold {fold}: {result['error']}")
                continue
            cells[f"{name}, {model}"]["scores"][str(fold)] = result
            keep()
    return errors


def scores_table(cells: Cells, n_folds: int) -> str:
    """Means and errors, the best of a row in bold."""
    models = [model for model in MODELS if any(name.endswith(f", {model}") for name in cells)]
    rows = [["data", "samples x features", "events", *(MODELS[model] for model in models)]]
    for data in DATA:
        found = [cells.get(f"{data}, {model}", {"scores": {}}) for model in models]
        if not any(cell["scores"] for cell in found):
            continue
        X, y = arrays(data)
        scores = [column(cell, "score") if len(cell["scores"]) > 1 else np.array([np.nan]) for cell in found]
        best = np.nanmax([values.mean() for values in scores])
        written = []
        for values in scores:
            mean = f"{values.mean():.3f}" if values.mean() < best else f"**{values.mean():.3f}**"
            written.append(f"{mean} ± {corrected_error(values, n_folds):.3f}" if len(values) > 1 else "-")
        rows.append([DATA[data], f"{X.shape[0]} x {X.shape[1]:,}", f"{y['event'].mean():.0%}", *written])
    rows.append(["mean", "", "", *(mean_of(cells, model, "score", ".3f") for model in models)])
    rows.append(["CPU seconds of a fit, its search included", "", "", *(mean_of(cells, m, "seconds", ".2g") for m in models)])
    return markdown(rows)


def mean_of(cells: Cells, model: str, key: str, how: str) -> str:
    """Write the mean over the data sets, if a model has scores on all of them."""
    means = [column(cell, key).mean() for name, cell in cells.items() if name.endswith(f", {model}") and cell["scores"]]
    return f"{np.mean(means):{how}}" if len(means) == len(cells) / len(MODELS) else "-"


def calibration_table(cells: Cells) -> str:
    """Means over the folds of what `calibration` measures."""
    rows = [["data", "Brier score", "of Kaplan and Meier", "slope", "expected events / events"]]
    for data in DATA:
        cell = cells.get(f"{data}, front", {"scores": {}})
        if cell["scores"]:
            means = (column(cell, key).mean() for key in ("brier", "brier of all", "slope", "expected"))
            rows.append([DATA[data], *(f"{mean:.{digits}f}" for mean, digits in zip(means, (3, 3, 2, 2), strict=True))])
    return markdown(rows)


def report(cells: Cells, n_folds: int, versions: dict[str, Any]) -> str:
    """All of it."""
    counts = sorted({len(cell["scores"]) for cell in cells.values() if cell["scores"]})
    facts = "\n".join(f"- {key}: {value}" for key, value in versions.items())
    return f"""# Survival analysis on real data

Harrell's concordance index of new samples: repeated {n_folds}-fold cross-validation, {" or ".join(map(str, counts))} scores
for each model and data set, the same splits for all. fcfast has no argument and sees raw features. The others see
standardised ones; the penalties of the Cox models are chosen on each training part by {INNER_FOLDS}-fold cross-validation, and
the forest has {FOREST["n_estimators"]} trees with at least {FOREST["min_samples_leaf"]} samples in a leaf. Mean ± standard
error, corrected for training parts that overlap; the best mean in bold. Differences below two standard errors say little.
lifelines solves equations in all features, so that it has sets of fewer than {MOST_LIFELINES:,} features only.

fcfast's own constants were chosen by looking at the first five of these sets, and at six with more samples than features;
a few folds of the other sets had been seen, too, before the decay was settled.

<!-- --8<-- [start:scores] -->
{scores_table(cells, n_folds)}
<!-- --8<-- [end:scores] -->

## Survival functions

Of fcfast, for new samples. The Brier score, integrated over times between the {PERCENTILES[0]}th and the {PERCENTILES[1]}th
percentile, beside that of the Kaplan-Meier curve of the training samples, the same for all: less is better. The slope of a Cox
model of the new samples' times on their risk scores: 1 is calibrated, and below 1 the scores are too far apart. The events that
the hazards say, up to the end of each observation, as a multiple of those that came.

{calibration_table(cells)}

## Made with

```
python -m bench.survival
```

{facts}
"""


def main() -> None:
    """Compute missing results, and write the report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", nargs="+", choices=DATA, default=list(DATA))
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="processes, of one thread each")
    parser.add_argument("--again", action="store_true", help="forget earlier results of these models")
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args()
    cells: Cells = json.loads(options.out.read_text(encoding="utf-8"))["cells"] if options.out.exists() else {}
    for data in options.data:
        for model in options.models:
            known = cells.setdefault(f"{data}, {model}", {"scores": {}})
            if options.again:
                known["scores"] = {}
    tasks = [
        (data, model, fold)
        for fold in range(options.repeats * options.folds)
        for data in options.data
        for model in options.models
        if str(fold) not in cells[f"{data}, {model}"]["scores"] and is_feasible(data, model)
    ]
    errors = run(cells, tasks, options.folds, options.jobs, lambda: write_text(options.out, json_text({"cells": cells})))
    packages = {name: metadata.version(name) for name in ("scikit-survival", "lifelines", "survset", "scikit-learn")}
    text = report(cells, options.folds, config() | packages)
    write_text(options.out.with_suffix(".md"), text)
    print(text)
    if errors:
        sys.exit("\n".join(["failed, and tried again by the next run:", *errors]))


if __name__ == "__main__":
    main()
