"""Accuracy on real wide data: FrontClassifier and FrontRegressor beside scikit-learn's networks and linear models.

Reproduce: python -m bench.accuracy [--out accuracy.json]
5-fold cross-validation (stratified for classes), features standardised on each training part, targets of a regression too. Ours
has one setting for all classifications and one for both regressions, found by hand on these data; nothing is tuned by fold.
MLP is the best of its solvers on each data set, which favours it. Logistic regression and ridge tune their penalty by an inner
cross-validation; they see the data in the coordinates of their principal components, all of them: for an L2 penalty the same
model, found much sooner. The standard error is over folds.
"""

import argparse
import json
import time
import warnings
from pathlib import Path

import numpy as np
from sklearn.compose import TransformedTargetRegressor
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.model_selection import GridSearchCV, KFold, StratifiedKFold, cross_val_score
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from bench import data as real_data
from fcfast import FrontClassifier, FrontRegressor

CLASSIFICATION = "nakayama_sarcoma", "singh_prostate", "golub_leukemia", "khan_srbct", "colon_alon"
REGRESSION = "riboflavin", "nir_gasoline"
SOLVERS = "adam", "sgd", "lbfgs"
HIDDEN = (256,)


def classifiers():
    """Name and model of each."""
    yield "FrontClassifier", FrontClassifier(HIDDEN, init_scale=0.1, learning_rate=0.003, random_state=0)
    for solver in SOLVERS:
        yield f"MLP {solver}", MLPClassifier(hidden_layer_sizes=HIDDEN, solver=solver, random_state=0)
    tuned = GridSearchCV(LogisticRegression(max_iter=5000), {"C": np.logspace(-5, 1, 7)}, cv=3, scoring="balanced_accuracy")
    yield "logistic regression", make_pipeline(PCA(), tuned)


def regressors():
    """Name and model of each."""
    settings = {"init_scale": 0.1, "learning_rate": 0.001, "max_epochs": 1000, "random_state": 0}
    yield "FrontRegressor", FrontRegressor(HIDDEN, "tanh", **settings)
    for solver in SOLVERS:
        yield f"MLP {solver}", MLPRegressor(hidden_layer_sizes=HIDDEN, solver=solver, max_iter=1000, random_state=0)
    yield "ridge", make_pipeline(PCA(), RidgeCV(np.logspace(-3, 5, 25)))


def scored(name, model, X, y, regression):
    """Mean, standard error and seconds of a model."""
    model = make_pipeline(StandardScaler(), model)
    if regression:
        model = TransformedTargetRegressor(model, transformer=StandardScaler())
    folds = (KFold if regression else StratifiedKFold)(5, shuffle=True, random_state=0)
    started = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of epochs that ran out, and of classes with fewer members than folds
        scores = cross_val_score(model, X, y, cv=folds, scoring="r2" if regression else "balanced_accuracy")
    seconds = (time.perf_counter() - started) / 5
    return {"model": name, "mean": scores.mean(), "error": scores.std(ddof=1) / 5**0.5, "seconds": seconds}


def compare(data_set):
    """All models on one data set, the solvers of MLP as one."""
    arrays = real_data.load(data_set)
    X, y = arrays["X"].astype(np.float32), arrays["y"]
    regression = data_set in REGRESSION
    rows = [scored(name, model, X, y, regression) for name, model in (regressors() if regression else classifiers())]
    networks = [row for row in rows if row["model"].startswith("MLP")]
    best = max(networks, key=lambda row: row["mean"])
    return [row for row in rows if row not in networks or row is best]


def main():
    """Print a line per data set, and write all of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path)
    parser.add_argument("--data", nargs="*", default=[*CLASSIFICATION, *REGRESSION])
    options = parser.parse_args()
    results = {}
    for data_set in options.data:
        results[data_set] = compare(data_set)
        cells = [f"{row['model']} {row['mean']:.3f} ± {row['error']:.3f} ({row['seconds']:.2f} s)" for row in results[data_set]]
        print(f"{data_set}: {' | '.join(cells)}", flush=True)
    if options.out:
        options.out.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
