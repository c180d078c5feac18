"""`FrontClassifier` and `FrontRegressor` with the settings of scikit-learn's MLP and of PyTorch.

Samples and targets are raw, all layers have one constant learning rate, and the initial weights are Glorot's. Tests of what a
training computes state their settings in this way; `test_automatic` is about the library's own defaults.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any

import fcfast

SETTINGS: dict[str, Any] = {
    "init": "glorot", "standardize": False, "learning_rate": 0.01, "schedule": "constant", "weight_decay": 0.0,
    "batch_size": 200, "max_epochs": 200, "tol": 1e-4, "n_iter_no_change": 10,
}  # fmt: skip


def classic(kind: Callable[..., Any], **more: Any) -> Callable[..., Any]:
    """Give a function that makes an estimator of the library's class; parameters that are given replace the settings."""

    @wraps(kind, updated=())
    def estimator(hidden_layer_sizes: Any = (256,), activation: Any = "relu", **given: Any) -> Any:
        return kind(hidden_layer_sizes, activation, **(SETTINGS | more | given))

    return estimator


FrontClassifier = classic(fcfast.FrontClassifier)
FrontRegressor = classic(fcfast.FrontRegressor, standardize_targets=False)

# On a Gram matrix and with a kernel there may be no weights to draw: "auto" is the span there.
SpanClassifier = classic(fcfast.FrontClassifier, init="auto")
SpanRegressor = classic(fcfast.FrontRegressor, init="auto", standardize_targets=False)
