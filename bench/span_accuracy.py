"""init="span" against init="scaled" on real wide data: loss of held-out samples, paired by fold and seed.

The loss is the log-loss of classes, and 1 - R^2 of numbers.

Reproduce: python -m bench.span_accuracy
Features are standardised by the training samples. The starts have the same
distribution, settings, batches and seeds; 5 folds x 5 repeats.
The error of a mean difference is corrected for overlapping training parts (Nadeau and Bengio 2003).
"""

import warnings

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import log_loss, r2_score
from sklearn.model_selection import RepeatedKFold, RepeatedStratifiedKFold
from sklearn.preprocessing import StandardScaler

from bench import data as real_data
from bench.accuracy_models import CLASSIFICATION, REGRESSION
from bench.measure import markdown
from fcfast import FrontClassifier, FrontRegressor
from fcfast.training import TrainingWarning

N_FOLDS, N_REPEATS = 5, 5
SCALES = 0.1, 1.0
PLAIN = {
    "form": "contributions", "learning_rate": 0.003, "standardize": False, "batch_size": 200, "max_epochs": 200, "tol": 1e-4,
    "n_iter_no_change": 10, "weight_decay": 0.0, "schedule": "constant",
}  # fmt: skip


def losses(data: str, init_scale: float) -> np.ndarray:
    """Loss of each fold from either start, (folds, 2)."""
    loaded = real_data.load(data)
    X, y = loaded["X"].astype(np.float32), loaded["y"]
    folds = RepeatedStratifiedKFold if data in CLASSIFICATION else RepeatedKFold
    found = []
    for fold, (train, test) in enumerate(folds(n_splits=N_FOLDS, n_repeats=N_REPEATS, random_state=0).split(X, y)):
        scaler = StandardScaler().fit(X[train])
        given, new = scaler.transform(X[train]), scaler.transform(X[test])
        settings = PLAIN | {"init_scale": init_scale, "random_state": fold}
        found.append([
            (of_classes if data in CLASSIFICATION else of_numbers)(given, y[train], new, y[test], settings | {"init": init})
            for init in ("span", "scaled")
        ])  # fmt: skip
    return np.array(found)


def of_classes(X: np.ndarray, y: np.ndarray, X_new: np.ndarray, y_new: np.ndarray, settings: dict[str, object]) -> float:
    """Log-loss of a classifier."""
    model = FrontClassifier((64,), **settings).fit(X, y)
    return float(log_loss(y_new, model.predict_proba(X_new), labels=model.classes_))


def of_numbers(X: np.ndarray, y: np.ndarray, X_new: np.ndarray, y_new: np.ndarray, settings: dict[str, object]) -> float:
    """Share of the variance that a regressor does not explain."""
    scaler = StandardScaler().fit(y[:, None])
    model = FrontRegressor((64,), **settings | {"learning_rate": 0.001, "standardize_targets": False}).fit(
        X, scaler.transform(y[:, None])[:, 0]
    )
    return float(1 - r2_score(scaler.transform(y_new[:, None])[:, 0], model.predict(X_new)))


def main() -> None:
    """Print a table."""
    rows = [["samples x features", "init_scale", "span", "scaled", "span minus scaled"]]
    for data in (*CLASSIFICATION, *REGRESSION):
        n, d = real_data.load(data)["X"].shape
        for init_scale in SCALES:
            found = losses(data, init_scale)
            difference = found[:, 0] - found[:, 1]
            error = (difference.var(ddof=1) * (1 / len(found) + 1 / (N_FOLDS - 1))) ** 0.5
            span, whole = found.mean(axis=0)
            rows.append([f"{data}, {n} x {d:,}", f"{init_scale}", f"{span:.3f}", f"{whole:.3f}",
                         f"{difference.mean():+.3f} ± {error:.3f}"])  # fmt: skip
    print(markdown(rows))


if __name__ == "__main__":
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # epochs are a part of the settings
        warnings.simplefilter("ignore", TrainingWarning)  # the same
        warnings.filterwarnings("ignore", "The least populated class")  # sarcoma has classes of three
        main()
