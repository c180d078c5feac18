"""Settings of `FrontClassifier` and `FrontRegressor` with which they do what their peers do."""

from typing import Any

# Those of scikit-learn's MLP and of PyTorch: raw samples, one constant rate for all layers, no decay, Glorot's weights.
CLASSIC: dict[str, Any] = {
    "init": "glorot", "standardize": False, "learning_rate": 0.01, "schedule": "constant", "weight_decay": 0.0,
    "batch_size": 200, "max_epochs": 200, "tol": 1e-4, "n_iter_no_change": 10,
}  # fmt: skip
