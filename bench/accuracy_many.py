"""Accuracy where samples are many: ours without arguments beside our earlier defaults and scikit-learn's defaults.

Reproduce: python -m bench.accuracy_many [--parts tables images text] [--repeats 5] [--out FILE.json]
Tables: scikit-learn's bundled and generated ones, 5 folds. "earlier" has the defaults before "auto", on raw and on standardised
features. MLP is scikit-learn's with all its defaults, on standardised features.
Images: MNIST and Fashion-MNIST, published split. scikit-learn's MLP has as many units, 256, and standardised pixels; its test
error is taken after each epoch, until it is at most ours or the epochs are over.
Text (bench/accuracy_text.py): 20 newsgroups and IMDB, sublinear TF-IDF, published splits, and 2,000 samples of the first.
Seconds are CPU times of one thread. The command writes FILE.json and a report, FILE.md; parts that are not asked for stay.
"""

import argparse
import json
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from sklearn import datasets
from sklearn.base import BaseEstimator, clone
from sklearn.compose import TransformedTargetRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import RepeatedKFold, RepeatedStratifiedKFold
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from bench import accuracy_text
from bench import data as real_data
from bench.accuracy import corrected_error
from bench.measure import markdown
from bench.settings import CLASSIC
from fcfast import FrontClassifier, FrontRegressor
from fcfast.commands.shared import json_text
from fcfast.files import write_text
from fcfast.training import TrainingWarning

OUT = Path(__file__).parents[1] / "docs" / "performance" / "accuracy_many.json"
N_FOLDS, SEED = 5, 0
N_TRAIN = {"mnist": 60_000, "fashion_mnist": 60_000}
MLP_EPOCHS = 30
TABLES: dict[str, tuple[bool, Callable[[], Any]]] = {  # whether targets are numbers, and the samples
    "iris": (False, lambda: datasets.load_iris(return_X_y=True)),
    "wine": (False, lambda: datasets.load_wine(return_X_y=True)),
    "breast cancer": (False, lambda: datasets.load_breast_cancer(return_X_y=True)),
    "digits": (False, lambda: datasets.load_digits(return_X_y=True)),
    "generated, 3 classes": (
        False, lambda: datasets.make_classification(5000, 20, n_informative=10, n_classes=3, random_state=0)
    ),
    "diabetes": (True, lambda: datasets.load_diabetes(return_X_y=True)),
    "Friedman's first": (True, lambda: datasets.make_friedman1(2000, noise=1, random_state=0)),
}  # fmt: skip
Result = dict[str, Any]


def models(is_regression: bool) -> dict[str, BaseEstimator]:
    """Make the models of the tables."""
    ours = FrontRegressor if is_regression else FrontClassifier
    classic = CLASSIC | {"hidden_layer_sizes": (256,), "random_state": SEED, "n_jobs": 1}
    if is_regression:
        scaled = TransformedTargetRegressor(
            make_pipeline(StandardScaler(), MLPRegressor(random_state=SEED)), transformer=StandardScaler()
        )
        classic["standardize_targets"] = False
        mlp = {"MLP": make_pipeline(StandardScaler(), MLPRegressor(random_state=SEED)), "MLP, targets scaled": scaled}
    else:
        mlp = {"MLP": make_pipeline(StandardScaler(), MLPClassifier(random_state=SEED))}
    earlier = {"earlier": ours(**classic), "earlier, scaled": ours(**classic | {"standardize": True})}
    return {"fcfast": ours(random_state=SEED, n_jobs=1), **earlier, **mlp}


def tables(n_repeats: int) -> Iterator[tuple[str, Result]]:
    """Score each model on each table by cross-validation: accuracy, or R^2."""
    for name, (is_regression, load) in TABLES.items():
        X, y = load()
        scores: dict[str, list[float]] = {model: [] for model in models(is_regression)}
        seconds = dict.fromkeys(scores, 0.0)
        folds = RepeatedKFold if is_regression else RepeatedStratifiedKFold
        splits = list(folds(n_splits=N_FOLDS, n_repeats=n_repeats, random_state=SEED).split(X, y))
        for train, test in splits:
            for model, made in models(is_regression).items():
                started = time.process_time()
                fitted = clone(made).fit(X[train], y[train])
                seconds[model] += (time.process_time() - started) / len(splits)
                scores[model].append(_score(fitted, X[test], y[test]))
        yield name, {"shape": X.shape, "regression": is_regression, "scores": scores, "seconds": seconds}


def _score(fitted: Any, X: np.ndarray, y: np.ndarray) -> float:
    """Score a model; one that diverged predicts no better than a constant."""
    try:
        return float(max(fitted.score(X, y), 0.0))
    except ValueError:  # NaN in its predictions
        return 0.0


def images() -> Iterator[tuple[str, Result]]:
    """Test errors on published splits, and scikit-learn's course towards ours."""
    for name, n_train in N_TRAIN.items():
        loaded = real_data.load(name)
        X, y = loaded["X"].reshape(len(loaded["y"]), -1).astype(np.float32), loaded["y"]
        started = time.process_time()
        ours = FrontClassifier(random_state=SEED, n_jobs=1).fit(X[:n_train], y[:n_train])
        seconds, error = time.process_time() - started, 1 - ours.score(X[n_train:], y[n_train:])
        yield name, {"fcfast": (error, seconds), "MLP": _course(X, y, n_train, error)}


def _course(X: np.ndarray, y: np.ndarray, n_train: int, wanted: float) -> list[tuple[float, float]]:
    """(test error, CPU seconds so far) of scikit-learn's MLP after each epoch."""
    scaler = StandardScaler().fit(X[:n_train])
    Z, mlp, seconds = scaler.transform(X), MLPClassifier((256,), random_state=SEED), 0.0
    course: list[tuple[float, float]] = []
    while len(course) < MLP_EPOCHS and min([1.0, *(error for error, _ in course)]) > wanted:
        started = time.process_time()
        mlp.partial_fit(Z[:n_train], y[:n_train], classes=np.unique(y))
        seconds += time.process_time() - started
        course.append((1 - mlp.score(Z[n_train:], y[n_train:]), seconds))
    return course


# ----------------------------------------------------------------------------------------------------------------------
# the report


def report(found: dict[str, Result]) -> str:
    """Write the parts that there are."""
    parts = {"tables": _tables, "images": _images, "text": accuracy_text.section}
    sections = [write(found[part]) for part, write in parts.items() if part in found]
    return "\n\n".join(["# Accuracy where samples are many", *sections]) + "\n"


def _tables(found: Result) -> str:
    names = dict.fromkeys(model for cell in found.values() for model in cell["scores"])
    rows = [["samples x features", *names]]
    for data, cell in found.items():
        ours = np.array(cell["scores"]["fcfast"])
        row = [f"{data}, {cell['shape'][0]:,} x {cell['shape'][1]}"]
        for model in names:
            if model not in cell["scores"]:
                row.append("-")
                continue
            scores = np.array(cell["scores"][model])
            paired = (
                "" if model == "fcfast" else f" ({(ours - scores).mean():+.3f} ± {corrected_error(ours - scores, N_FOLDS):.3f})"
            )
            row.append(f"{scores.mean():.3f}{paired}, {cell['seconds'][model]:.2g} s")
        rows.append(row)
    return f"""## Tables

Accuracy, and R^2 of diabetes and Friedman's function; {N_FOLDS} folds; CPU seconds of a fit, one thread. In parentheses fcfast
minus this model, paired by fold, ± standard error corrected for overlapping training parts (Nadeau and Bengio 2003). fcfast has
no argument and sees raw features. The earlier defaults and MLP have none either: MLP sees standardised features, the earlier
defaults see raw or standardised ones. A model that diverges, or predicts worse than the mean, scores 0.

{markdown(rows)}"""


def _images(found: Result) -> str:
    rows = [["data", "fcfast, error", "CPU s", "MLP, least error", "after epochs", "CPU s", "MLP reaches fcfast's error"]]
    for data, cell in found.items():
        error, seconds = cell["fcfast"]
        errors = [each[0] for each in cell["MLP"]]
        best = int(np.argmin(errors))
        reached = f"after {cell['MLP'][-1][1]:.0f} s" if errors[-1] <= error else f"not in {len(errors)} epochs"
        rows.append([data, f"{error:.2%}", f"{seconds:.0f}", f"{errors[best]:.2%}", f"{best + 1}",
                     f"{cell['MLP'][best][1]:.0f}", reached])  # fmt: skip
    return f"""## Images

Published splits, no augmentation, one thread. fcfast sees raw pixels and has no argument. scikit-learn's MLP has 256 units,
its other defaults, and standardised pixels; the column with its least error favours it, because the test set chose the epoch.

{markdown(rows)}"""


def main() -> None:
    """Compute the parts that are asked for, and write the report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--parts", nargs="+", choices=("tables", "images", "text"), default=["tables", "images", "text"])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args()
    work = {"tables": lambda: tables(options.repeats), "images": images, "text": accuracy_text.text}
    found = json.loads(options.out.read_text(encoding="utf-8")) if options.out.exists() else {}
    for part in options.parts:
        done: Result = {}
        with threadpool_limits(1):
            for name, result in work[part]():
                done[name] = result
                print(f"{part}: {name}", flush=True)
        found[part] = json.loads(json_text(done))
        options.out.parent.mkdir(parents=True, exist_ok=True)
        write_text(options.out, json_text(found))
        write_text(options.out.with_suffix(".md"), report(found))
    print(report(found))


if __name__ == "__main__":
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # epochs are a part of the settings
        warnings.simplefilter("ignore", TrainingWarning)  # raw features make the earlier defaults diverge
        main()
