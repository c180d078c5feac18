"""The models of bench/targets.py, and what they are scored by.

fcfast has no settings but the loss, and sees raw features; without weight decay it is there to show what the chosen one does.
Linear models see standardised features, in the coordinates of all their principal components where the penalty is L2 (the same
model, found sooner), and their penalty is chosen on the training part by 3-fold cross-validation. Trees and scikit-learn's MLP
have their defaults, except for 200 trees in a forest, and for gradient boosting, which looks for a split among as many features
as the root of their number; the MLP sees standardised features.
"""

import time
import warnings
from collections.abc import Callable
from itertools import islice
from typing import Any

import numpy as np
from sklearn.dummy import DummyRegressor
from sklearn.ensemble import GradientBoostingRegressor, HistGradientBoostingRegressor, RandomForestClassifier
from sklearn.linear_model import HuberRegressor, LogisticRegression, PoissonRegressor, QuantileRegressor, Ridge
from sklearn.metrics import d2_pinball_score, d2_tweedie_score, make_scorer, mean_pinball_loss, r2_score, roc_auc_score
from sklearn.model_selection import GridSearchCV, KFold, RepeatedKFold
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from bench.accuracy_models import linear
from bench.targets_data import DATA, SEED, arrays
from fcfast import FrontClassifier, FrontRegressor
from fcfast.losses import Quantile

INNER_FOLDS = 3
N_TREES = 200
LEVELS = (0.1, 0.5, 0.9)
SHARE_OUTLIERS, OUTLIER = 0.1, 10.0  # of the training targets, and how far off they are, in standard deviations
SHARE_MISSING = 0.5  # of the training targets
MOST_FOLDS = {("quantiles", "linear"): 5}  # of models that take minutes
SMALLEST = 1e-6  # probability, so that logarithms are finite
PENALTIES = [0.0001, 0.001, 0.01, 0.1, 1.0, 10.0]  # on rows of about unit length

SEEDED: dict[str, Any] = {"random_state": SEED}
OURS: dict[str, Any] = {"n_jobs": 1, **SEEDED}
Predict = Callable[[np.ndarray], np.ndarray]
Fit = Callable[[np.ndarray, np.ndarray], Predict]


def searched(model: Any, setting: str, values: list[float], X: np.ndarray, y: np.ndarray, scoring: Any = None) -> Any:
    """Choose a setting of the last step by cross-validation, and fit to all."""
    model = make_pipeline(StandardScaler(), *model)
    folds = KFold(INNER_FOLDS, shuffle=True, random_state=SEED)
    grid = {f"{model.steps[-1][0]}__{setting}": values}
    return GridSearchCV(model, grid, cv=folds, scoring=scoring).fit(X, y)


def by_column(fit: Fit) -> Fit:
    """Fit a model to each target by itself, and to the samples that have it."""

    def fit_all(X: np.ndarray, y: np.ndarray) -> Predict:
        predicts = [fit(X[~np.isnan(column)], column[~np.isnan(column)]) for column in y.T]
        return lambda X: np.column_stack([predict(X) for predict in predicts])

    return fit_all


def by_level(fit: Callable[[np.ndarray, np.ndarray, float], Predict]) -> Fit:
    """Fit a model for each quantile; sorted, as ours are."""

    def fit_all(X: np.ndarray, y: np.ndarray) -> Predict:
        predicts = [fit(X, y, level) for level in LEVELS]
        return lambda X: np.sort(np.column_stack([predict(X) for predict in predicts]), axis=1)

    return fit_all


# ----------------------------------------------------------------------------------------------------------------------
# fits


def front(X: np.ndarray, y: np.ndarray, **settings: Any) -> Predict:
    return FrontRegressor(**settings, **OURS).fit(X, y).predict


def poisson_linear(X: np.ndarray, y: np.ndarray) -> Predict:
    return searched(
        linear(PoissonRegressor(max_iter=1000)), "alpha", [0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0], X, y
    ).predict


def poisson_trees(X: np.ndarray, y: np.ndarray) -> Predict:
    return HistGradientBoostingRegressor(loss="poisson", **SEEDED).fit(X, y).predict


def mean(X: np.ndarray, y: np.ndarray) -> Predict:
    return DummyRegressor().fit(X, y).predict


def labels_front(X: np.ndarray, y: np.ndarray) -> Predict:
    return FrontClassifier(**OURS).fit(X, y).predict_proba


def logistic(X: np.ndarray, y: np.ndarray) -> Predict:
    model = linear(LogisticRegression(max_iter=5000))
    found = searched(model, "C", [0.1, 1.0, 10.0, 100.0, 1000.0], X, y, "neg_log_loss")
    return lambda X: found.predict_proba(X)[:, 1]


def labels_mlp(X: np.ndarray, y: np.ndarray) -> Predict:
    return make_pipeline(StandardScaler(), MLPClassifier(**SEEDED)).fit(X, y).predict_proba


def labels_trees(X: np.ndarray, y: np.ndarray) -> Predict:
    forest = RandomForestClassifier(N_TREES, **SEEDED).fit(X, y)
    return lambda X: np.column_stack([probabilities[:, 1] for probabilities in forest.predict_proba(X)])


def quantile_linear(X: np.ndarray, y: np.ndarray, level: float) -> Predict:
    scoring = make_scorer(mean_pinball_loss, alpha=level, greater_is_better=False)
    return searched([QuantileRegressor(quantile=level)], "alpha", [0.01, 0.03, 0.1, 0.3], X, y, scoring).predict


def quantile_trees(X: np.ndarray, y: np.ndarray, level: float) -> Predict:
    return GradientBoostingRegressor(loss="quantile", alpha=level, max_features="sqrt", **SEEDED).fit(X, y).predict


def quantile(X: np.ndarray, y: np.ndarray, level: float) -> Predict:
    return DummyRegressor(strategy="quantile", quantile=level).fit(X, y).predict


def huber_linear(X: np.ndarray, y: np.ndarray) -> Predict:
    model = linear(HuberRegressor(max_iter=1000))
    return searched(model, "alpha", PENALTIES, X, y, "neg_mean_absolute_error").predict


def ridge(X: np.ndarray, y: np.ndarray) -> Predict:
    return searched(linear(Ridge()), "alpha", PENALTIES, X, y, "neg_mean_absolute_error").predict


FITS: dict[str, dict[str, Fit]] = {
    "counts": {
        "front": lambda X, y: front(X, y, loss="poisson"),
        "linear": poisson_linear, "trees": poisson_trees, "constant": mean,
    },
    "labels": {
        "front": labels_front, "linear": by_column(logistic), "mlp": labels_mlp, "trees": labels_trees,
        "constant": by_column(mean),
    },
    "quantiles": {
        "front": lambda X, y: front(X, y, loss=Quantile(LEVELS)),
        "free": lambda X, y: front(X, y, loss=Quantile(LEVELS), weight_decay=0.0),
        "linear": by_level(quantile_linear), "trees": by_level(quantile_trees), "constant": by_level(quantile),
    },
    "outliers": {
        "front": lambda X, y: front(X, y, loss="huber"),
        "free": lambda X, y: front(X, y, loss="huber", weight_decay=0.0), "squares": front,
        "linear": huber_linear, "ridge": ridge, "constant": mean,
    },
    "missing": {
        "front": front, "separate": by_column(front), "linear": by_column(ridge), "constant": by_column(mean),
    },
}  # fmt: skip


# ----------------------------------------------------------------------------------------------------------------------
# scores of new samples


def counts_scores(y: np.ndarray, rates: np.ndarray) -> dict[str, float]:
    return {"score": d2_tweedie_score(y, rates, power=1)}


def labels_scores(y: np.ndarray, probabilities: np.ndarray) -> dict[str, float]:
    """Score labels; a label that all or no samples have, has no area."""
    p = np.clip(probabilities, SMALLEST, 1 - SMALLEST)
    varied = (y.min(axis=0) < y.max(axis=0)).nonzero()[0]
    return {
        "score": float(-np.where(y == 1, np.log(p), np.log(1 - p)).mean()),
        "area": float(np.mean([roc_auc_score(y[:, j], p[:, j]) for j in varied])),
        "right": float(((p > 0.5) == y).mean()),
    }


def quantiles_scores(y: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    shares = [d2_pinball_score(y, column, alpha=level) for column, level in zip(predicted.T, LEVELS, strict=True)]
    return {"score": float(np.mean(shares)), "covered": float(((predicted[:, 0] <= y) & (y <= predicted[:, -1])).mean())}


def numbers_scores(y: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    return {"score": r2_score(y, predicted)}


SCORES = {
    "counts": counts_scores, "labels": labels_scores, "quantiles": quantiles_scores,
    "outliers": numbers_scores, "missing": numbers_scores,
}  # fmt: skip


# ----------------------------------------------------------------------------------------------------------------------
# one fold


def split(name: str, n_folds: int, fold: int) -> tuple[np.ndarray, np.ndarray]:
    """Training and test rows of a fold, counted through the repeats: the same for every model and any number of repeats."""
    splits = RepeatedKFold(n_splits=n_folds, n_repeats=fold // n_folds + 1, random_state=SEED).split(arrays(name)[0])
    return next(islice(splits, fold, None))


def trained_on(task: str, y: np.ndarray, fold: int) -> np.ndarray:
    """Give training targets, with outliers to one side or with gaps if that is the task: the same ones for every model."""
    rng, y = np.random.default_rng(fold), y.astype(float)
    if task == "outliers":
        y[rng.permutation(len(y))[: round(SHARE_OUTLIERS * len(y))]] += OUTLIER * y.std()
    if task == "missing":
        y[rng.random(y.shape) < SHARE_MISSING] = np.nan
    return y


def evaluate(name: str, model: str, n_folds: int, fold: int) -> dict[str, Any]:
    """Fit a model to a fold's training part: its scores on the rest, and CPU seconds; or the error."""
    (X, y), task = arrays(name), DATA[name].task
    train, test = split(name, n_folds, fold)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of penalties that are too small, which the search does not choose, and of epochs
            started = time.process_time()
            predict = FITS[task][model](X[train], trained_on(task, y[train], fold))
            seconds = time.process_time() - started
            return SCORES[task](y[test], predict(X[test])) | {"seconds": seconds}
    except Exception as error:  # of any model: the others go on, and this fold is tried again the next time
        return {"error": f"{type(error).__name__}: {error}"}
