"""init="span" against init="glorot" on real wide data: log-loss of held-out samples, paired by fold and seed.

Reproduce: python -m bench.span_accuracy
Features are standardised by the training samples. Both starts have the same settings, batches and seeds; 5 folds x 5 repeats.
The error of a mean difference is corrected for overlapping training parts (Nadeau and Bengio 2003).
"""

import warnings

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import log_loss
from sklearn.model_selection import RepeatedStratifiedKFold
from sklearn.preprocessing import StandardScaler

from bench import data as real_data
from bench.accuracy_models import CLASSIFICATION
from bench.measure import markdown
from fcfast import FrontClassifier
from fcfast.training import TrainingWarning

N_FOLDS, N_REPEATS = 5, 5
SCALES = 0.1, 1.0


def losses(data: str, init_scale: float) -> np.ndarray:
    """Log-loss of each fold from either start, (folds, 2)."""
    loaded = real_data.load(data)
    X, y = loaded["X"].astype(np.float32), loaded["y"]
    found = []
    for fold, (train, test) in enumerate(
        RepeatedStratifiedKFold(n_splits=N_FOLDS, n_repeats=N_REPEATS, random_state=0).split(X, y)
    ):
        scaler = StandardScaler().fit(X[train])
        given, new = scaler.transform(X[train]), scaler.transform(X[test])
        settings = {"form": "contributions", "init_scale": init_scale, "learning_rate": 0.003, "random_state": fold}
        models = [FrontClassifier((64,), init=init, **settings).fit(given, y[train]) for init in ("span", "glorot")]
        found.append([log_loss(y[test], model.predict_proba(new), labels=model.classes_) for model in models])
    return np.array(found)


def main() -> None:
    """Print a table."""
    rows = [["samples x features", "init_scale", "span", "Glorot", "span minus Glorot"]]
    for data in CLASSIFICATION:
        n, d = real_data.load(data)["X"].shape
        for init_scale in SCALES:
            found = losses(data, init_scale)
            difference = found[:, 0] - found[:, 1]
            error = (difference.var(ddof=1) * (1 / len(found) + 1 / (N_FOLDS - 1))) ** 0.5
            span, glorot = found.mean(axis=0)
            rows.append([f"{data}, {n} x {d:,}", f"{init_scale}", f"{span:.3f}", f"{glorot:.3f}",
                         f"{difference.mean():+.3f} ± {error:.3f}"])  # fmt: skip
    print(markdown(rows))


if __name__ == "__main__":
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # epochs are a part of the settings
        warnings.simplefilter("ignore", TrainingWarning)  # the same
        warnings.filterwarnings("ignore", "The least populated class")  # sarcoma has classes of three
        main()
