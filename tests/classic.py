"""`FrontClassifier` and `FrontRegressor` with the settings of scikit-learn's MLP and of PyTorch, and NoProp with its paper's.

Samples and targets are raw, all layers have one constant learning rate, and the initial weights are Glorot's. Tests of what a
training computes state their settings in this way; `test_automatic` is about the library's own defaults.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any

import fcfast
from bench.settings import CLASSIC, CLASSIC_BLOCKS


def classic(kind: Callable[..., Any], **more: Any) -> Callable[..., Any]:
    """Give a function that makes an estimator of the library's class; parameters that are given replace the settings."""

    @wraps(kind, updated=())
    def estimator(hidden_layer_sizes: Any = (256,), activation: Any = "relu", **given: Any) -> Any:
        return kind(hidden_layer_sizes, activation, **(CLASSIC | more | given))

    return estimator


FrontClassifier = classic(fcfast.FrontClassifier)
FrontRegressor = classic(fcfast.FrontRegressor, standardize_targets=False)

# On a Gram matrix and with a kernel there may be no weights to draw: "auto" is the span there.
SpanClassifier = classic(fcfast.FrontClassifier, init="auto")
SpanRegressor = classic(fcfast.FrontRegressor, init="auto", standardize_targets=False)


@wraps(fcfast.NoPropClassifier, updated=())
def NoPropClassifier(variant: str = "dt", **given: Any) -> Any:
    own_decay = {} if isinstance(given.get("optimizer", ""), str) else {"weight_decay": "auto"}  # an object has its own
    return fcfast.NoPropClassifier(variant, **(CLASSIC_BLOCKS | own_decay | given))


@wraps(fcfast.NoPropClassifier, updated=())
def SpanNoPropClassifier(variant: str = "dt", **given: Any) -> Any:
    return NoPropClassifier(variant, **({"init": "auto"} | given))
