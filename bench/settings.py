"""Settings of the estimators with which they do what their peers do."""

from typing import Any

# Those of scikit-learn's MLP and of PyTorch: raw samples, one constant rate for all layers, no decay, Glorot's weights.
CLASSIC: dict[str, Any] = {
    "optimizer": "sgd", "init": "glorot", "standardize": False, "learning_rate": 0.01, "schedule": "constant",
    "weight_decay": 0.0, "batch_size": 200, "max_epochs": 200, "tol": 1e-4, "n_iter_no_change": 10,
}  # fmt: skip

# Those of the NoProp paper, as far as they do not depend on convolutions: raw samples, one constant rate, He's weights.
CLASSIC_BLOCKS: dict[str, Any] = {
    "n_blocks": 10, "hidden": (256, 128), "init": "glorot", "init_scale": 1.0, "standardize": False, "learning_rate": 0.001,
    "schedule": "constant", "weight_decay": 0.001, "batch_size": 128, "max_epochs": 50, "n_iter_no_change": 10,
}  # fmt: skip
