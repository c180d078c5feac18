"""The models of bench/accuracy.py, their configurations, and the evaluation of one fold.

fcfast and its NoProp have no settings at all and see raw features; its forward gradients are not tuned either, and have two
hidden layers of HIDDEN units, because with one they are backpropagation. Every other model has N_TRIES configurations, set by
hand before the comparison, after a look at one split of five of the data sets, and sees standardised features. MLP has HIDDEN
units, and at most 200 epochs. No model weights its classes, because MLPClassifier cannot. Linear models and support
vector machines see rows of about unit length, so that a penalty means the same on every data set, in the
coordinates of all their principal components: with an L2 penalty this is the same model, found much sooner.
"""

import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.compose import TransformedTargetRegressor
from sklearn.decomposition import PCA
from sklearn.ensemble import (
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.exceptions import ConvergenceWarning, FitFailedWarning
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import get_scorer, log_loss
from sklearn.model_selection import GridSearchCV, KFold, RepeatedKFold, RepeatedStratifiedKFold, StratifiedKFold
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, SVR

from bench import data as real_data
from fcfast import FrontClassifier, FrontRegressor, NoPropClassifier
from fcfast.rules import ForwardGradient

CLASSIFICATION = "nakayama_sarcoma", "singh_prostate", "golub_leukemia", "khan_srbct", "colon_alon", "subramanian_p53"
REGRESSION = "riboflavin", "nir_gasoline"
SEED = 0
INNER_FOLDS = 3
SCORING = "balanced_accuracy", "r2"  # for classes, for regression
N_BINS = 10  # of probabilities, for their calibration error
N_TRIES = 4
HIDDEN = 64

Grid = dict[str, list[Any]]


class Candidate(NamedTuple):
    """A model and its configurations: all combinations of the values of a grid, or of several grids.

    One without configurations is not tuned, and sees raw features.
    """

    model: BaseEstimator
    grid: Grid | list[Grid]


class UnitRows(TransformerMixin, BaseEstimator):
    """Give standardised rows about unit length, by the same factor for all."""

    def fit(self, X: np.ndarray, y: np.ndarray | None = None) -> "UnitRows":
        return self

    def transform(self, X: np.ndarray) -> np.ndarray:
        return X / X.shape[1] ** 0.5


def linear(model: BaseEstimator) -> Pipeline:
    """Let a linear model with an L2 penalty see all principal components."""
    return make_pipeline(UnitRows(), PCA(), model)


def classifiers() -> dict[str, Candidate]:
    """Make each model for classes."""
    seeded: dict[str, Any] = {"random_state": SEED}
    ours = {"n_jobs": 1, **seeded}
    return {
        "front": Candidate(FrontClassifier(**ours), {}),
        "mlp": Candidate(
            MLPClassifier((HIDDEN,), max_iter=200, **seeded),
            [
                {"solver": ["adam"], "learning_rate_init": [1e-4, 1e-3]},
                {"solver": ["lbfgs"], "alpha": [1e-4, 1.0]},
            ],
        ),
        "linear": Candidate(linear(LogisticRegression(max_iter=5000)), {"logisticregression__C": [1.0, 10.0, 100.0, 1000.0]}),
        "svm": Candidate(linear(SVC(kernel="linear")), {"svc__C": [1.0, 10.0, 100.0, 1000.0]}),
        "rbf": Candidate(linear(SVC()), {"svc__C": [1.0, 10.0], "svc__gamma": [0.1, 1.0]}),
        "forest": Candidate(RandomForestClassifier(200, **seeded), {"max_features": ["sqrt", 0.1], "min_samples_leaf": [1, 3]}),
        "boosting": Candidate(
            GradientBoostingClassifier(max_features="sqrt", **seeded), {"learning_rate": [0.05, 0.2], "max_depth": [1, 3]}
        ),
        "noprop": Candidate(NoPropClassifier(**ours), {}),
        "forward-gradients": Candidate(FrontClassifier((HIDDEN, HIDDEN), rule=ForwardGradient(), **ours), {}),
    }


def regressors() -> dict[str, Candidate]:
    """Make each model for regression; NoProp has none."""
    seeded: dict[str, Any] = {"random_state": SEED}
    ours = {"n_jobs": 1, **seeded}
    return {
        "front": Candidate(FrontRegressor(**ours), {}),
        "mlp": Candidate(
            MLPRegressor(hidden_layer_sizes=(HIDDEN,), activation="tanh", max_iter=500, **seeded),
            [
                {"solver": ["adam"], "learning_rate_init": [1e-4, 1e-3]},
                {"solver": ["lbfgs"], "alpha": [1e-4, 10.0]},
            ],
        ),
        "linear": Candidate(linear(Ridge()), {"ridge__alpha": [0.0003, 0.003, 0.03, 0.3]}),
        "svm": Candidate(linear(SVR(kernel="linear")), {"svr__C": [1.0, 10.0, 100.0, 1000.0]}),
        "rbf": Candidate(linear(SVR()), {"svr__C": [1.0, 10.0], "svr__gamma": [0.1, 1.0]}),
        "forest": Candidate(RandomForestRegressor(200, **seeded), {"max_features": ["sqrt", 0.1], "min_samples_leaf": [1, 3]}),
        "boosting": Candidate(
            GradientBoostingRegressor(max_features="sqrt", **seeded), {"learning_rate": [0.05, 0.2], "max_depth": [1, 3]}
        ),
        "forward-gradients": Candidate(FrontRegressor((HIDDEN, HIDDEN), rule=ForwardGradient(), **ours), {}),
    }


def candidates(data: str) -> dict[str, Candidate]:
    """Make each model that a data set can be given to."""
    return regressors() if data in REGRESSION else classifiers()


# ----------------------------------------------------------------------------------------------------------------------
# one fold


@cache
def arrays(data: str) -> tuple[np.ndarray, np.ndarray]:
    """Features as float32, targets."""
    loaded = real_data.load(data)
    return loaded["X"].astype(np.float32), loaded["y"]


def split(data: str, n_folds: int, fold: int) -> tuple[np.ndarray, np.ndarray]:
    """Training and test rows of a fold, counted through the repeats: the same for every model and any number of repeats."""
    repeated = RepeatedKFold if data in REGRESSION else RepeatedStratifiedKFold
    splits = repeated(n_splits=n_folds, n_repeats=fold // n_folds + 1, random_state=SEED).split(*arrays(data))
    return next(islice(splits, fold, None))


def search(data: str, name: str) -> GridSearchCV:
    """Choose by cross-validation on what it is fitted to, standardised there."""
    candidate, regression = candidates(data)[name], data in REGRESSION
    model, prefix = Pipeline([("scaler", StandardScaler()), ("model", candidate.model)]), "model__"
    if regression:
        model, prefix = TransformedTargetRegressor(model, transformer=StandardScaler()), "regressor__model__"
    grids = candidate.grid if isinstance(candidate.grid, list) else [candidate.grid]
    return GridSearchCV(
        model,
        [{prefix + setting: values for setting, values in grid.items()} for grid in grids],
        cv=(KFold if regression else StratifiedKFold)(INNER_FOLDS, shuffle=True, random_state=SEED),
        scoring=SCORING[regression],
        refit=False,
    )


@contextmanager
def expected_warnings_ignored() -> Iterator[None]:
    """Leave out what is counted elsewhere, or lies in the data."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # epochs are a part of the budget
        warnings.simplefilter("ignore", FitFailedWarning)  # a try that diverges is counted, and not chosen
        warnings.filterwarnings("ignore", "One or more of the test scores are non-finite")  # the same
        warnings.filterwarnings("ignore", "The least populated class")  # sarcoma has classes of three
        warnings.filterwarnings("ignore", "y_pred contains classes not in y_true")  # and test parts without them
        yield


def evaluate(data: str, name: str, n_folds: int, fold: int) -> dict[str, Any]:
    """Tune and train a model on a fold's training part: its score on the rest, what was chosen, CPU seconds; or the error."""
    try:
        with expected_warnings_ignored():
            return _evaluate(data, name, *split(data, n_folds, fold))
    except Exception as error:  # of any model: the others go on, and this fold is tried again the next time
        return {"error": f"{type(error).__name__}: {error}"}


def _evaluate(data: str, name: str, train: np.ndarray, test: np.ndarray) -> dict[str, Any]:
    X, y = arrays(data)
    model, chosen, n_failed = candidates(data)[name].model, {}, 0
    started = time.process_time()
    if candidates(data)[name].grid:
        tuning = search(data, name).fit(X[train], y[train])
        model, n_failed = (
            tuning.estimator.set_params(**tuning.best_params_),
            np.isnan(tuning.cv_results_["mean_test_score"]).sum(),
        )
        chosen = {setting.rsplit("__", 1)[-1]: value for setting, value in tuning.best_params_.items()}
    tuned = time.process_time()
    model = clone(model).fit(X[train], y[train])
    fitted = time.process_time()
    score = float(get_scorer(SCORING[data in REGRESSION])(model, X[test], y[test]))
    if not np.isfinite(score):
        raise ValueError(f"the score of {len(test)} sample(s) is {score}")
    return {
        "score": score,
        **(probabilities_scored(model, X[test], y[test]) if hasattr(model, "predict_proba") else {}),
        "chosen": chosen,
        "failed tries": int(n_failed),
        "tuning": tuned - started,
        "fit": fitted - tuned,
    }


def probabilities_scored(model: Any, X: np.ndarray, y: np.ndarray) -> dict[str, float]:
    """Score probabilities: log-loss, and calibration error of the predicted classes."""
    probabilities = model.predict_proba(X)
    largest, is_right = probabilities.max(axis=1), model.classes_[probabilities.argmax(axis=1)] == y
    bins = np.minimum((largest * N_BINS).astype(int), N_BINS - 1)
    gaps = [abs((is_right[bins == k] - largest[bins == k]).sum()) for k in range(N_BINS)]
    clipped = np.clip(probabilities, np.finfo(np.float32).tiny, 1)
    return {
        "log-loss": float(log_loss(y, clipped / clipped.sum(axis=1, keepdims=True), labels=model.classes_)),
        "calibration": float(sum(gaps) / len(y)),
    }
