"""Cases of the estimators: parameters, data, and any use of a fitted estimator."""

import copy
import pickle
import tempfile
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import strategies as st
from sklearn.base import clone

import fcfast
from fcfast import optimizers, rules
from fcfast.convert import from_sklearn, from_torch
from fcfast.explain import explain_output
from fcfast.noprop import CosineNoise, LinearNoise
from fcfast.training import Epoch

from .law import REFUSED, BrokenLaw, obey
from .values import Draw, chance, matrix, n_rows, sample_weights, targets, weird, wrapped

ROOM = 2**28  # bytes that trainings may hold

COMMON: dict[str, list[Any]] = {
    "activation": ["relu", "leaky_relu", "tanh", "logistic", "identity"],
    "init_scale": [1.0, 0.1, 1e-300, 1e300, np.float32(2), 10**20],
    "optimizer": [
        "sgd",
        "muon",
        "neuron-adam",
        "adam",
        "adamw",
        "adagrad",
        "rmsprop",
        optimizers.SGD(0.5),
        optimizers.Muon(),
        optimizers.Adam(max_grad_norm=1e-9),
    ],
    "learning_rate": [0.01, 1e-3, 1.0, 1e9, 1e-320, 1e308, np.float32(0.1), 10**300],
    "schedule": [
        "constant",
        "cosine",
        "step",
        "warm-up",
        "warm-up-cosine",
        optimizers.StepDecay(0.5, 0.1),
        optimizers.WarmUp(1.0),
    ],
    "momentum": [0.9, 0.0, 0.999, 0.5],
    "dampening": [0.0, 0.5],
    "nesterov": [False, True, np.True_],
    "weight_decay": [0.0, 0.01, 1e300, 1e-320],
    "max_grad_norm": [None, 1.0, 1e-300, 1e300],
    "batch_size": ["auto", 1, 2, 3, np.int64(4), 10**9, 10**30],
    "max_epochs": [1, 2, 3, np.int8(3)],
    "tol": [0.0, 1e-4, 1e300],
    "n_iter_no_change": [1, 2, 10, 10**30],
    "early_stopping": [False, True],
    "validation_fraction": [0.1, 0.3, 0.5, 0.99, 1e-9],
    "scoring": [None, "loss", "neg_log_loss", "r2", "balanced_accuracy"],
    "shuffle": [True, False],
    "form": ["auto", "contributions", "windowed", "weights"],
    "window": ["auto", 1, 2, 7, 10**12, 10**30],
    "memory_limit": [2**32, 10**5, 10**3, 0, 1e9, 10**30],
    "dtype": ["float32", "float64"],
    "n_jobs": [1, 2, None, -1, 10**12],
    "random_state": [0, 1, 2**32 - 1, np.random.RandomState(0), None],
    "verbose": [0],
}
FRONT = COMMON | {
    "hidden_layer_sizes": [(4,), 3, (4, 2), (1,), [4, 4, 4], np.array([4, 2]), (10**9,), (10**30,), (2**31,)],
    "rule": [
        *rules.RULES,
        rules.ForwardGradient(guess="gaussian", n_tangents=2),
        rules.LocalLoss(block_size=2, head_layer_sizes=(3,)),
    ],
    "groups": [1, 2, (1, 2), [1]],
    "warm_start": [False, True],
}
CLASS_WEIGHTS = {"class_weight": [None, "balanced", {0: 1.0, 1: 2.0}, {0: 0, 1: 0}, {"0": 1e308, "1": 1e308}]}
SMOOTHING = {"label_smoothing": [0.0, 0.1, 1e-320, 1 - 1e-16, 1.0]}
NOPROP = {**COMMON, **CLASS_WEIGHTS} | {
    "variant": ["dt", "ct", "fm", "backprop"],
    "n_blocks": [1, 2, 3, 10**9],
    "hidden": [(4, 3), (1, 1), [3, 2], (10**9, 2), (10**30, 1)],
    "embedding": ["one-hot", "learned", "prototype"],
    "embedding_dim": [1, 2, 20, 10**30],
    "batch_norm": [False, True],
    "noise_schedule": [
        "auto",
        "learned",
        "cosine",
        "linear",
        CosineNoise(1.0),
        LinearNoise(29.0, -30.0),
        [0.0, 0.5, 1.0],
        [0.9, 0.1],
    ],
    "eta": [1.0, 1e-300, 1e300],
    "loss_weighting": ["uniform", "snr"],
    "order": ["sequential", "random"],
    "inference_noise": [False, True],
    "n_steps": [None, 1, 3],
    "n_runs": [1, 2],
    "update": ["posterior", "deterministic"],
}
KINDS: dict[str, tuple[Any, dict[str, list[Any]]]] = {
    "classifier": (fcfast.FrontClassifier, FRONT | CLASS_WEIGHTS | SMOOTHING),
    "regressor": (fcfast.FrontRegressor, FRONT),
    "noprop": (fcfast.NoPropClassifier, NOPROP),
}
BASE = {
    "classifier": {"hidden_layer_sizes": (4,), "max_epochs": 2, "random_state": 0, "n_jobs": 1},
    "noprop": {"hidden": (4, 3), "n_blocks": 2, "max_epochs": 2, "random_state": 0, "n_jobs": 1},
}
BASE["regressor"] = BASE["classifier"]
ARGUMENTS = {
    "X",
    "y",
    "sample_weight",
    "classes",
    "coefs_init",
    "intercepts_init",
    "callbacks",
    "weights",
    "path",
    "chosen",
    "labels",
}
# Words of the documented errors that speak of what there is now, not of an argument.
STATE = {"network", "contributions_", "fit", "training", "estimator", "model"}


class Stop:
    """A callback that ends a training of any length soon."""

    def __call__(self, epoch: Epoch) -> bool:
        return epoch.epoch >= 3


def estimator(data: Draw, kind: str) -> Any:
    """An estimator with a few parameters that are not the usual ones, and now and then one that is no parameter at all."""
    made, choices = KINDS[kind]
    params = dict(BASE[kind])
    for name in data.draw(st.lists(st.sampled_from(sorted(choices)), max_size=4, unique=True)):
        params[name] = data.draw(st.sampled_from(choices[name]))
    if chance(data, 6):
        params[data.draw(st.sampled_from(sorted(choices)))] = weird(data)
    limit = params.setdefault("memory_limit", ROOM)
    if isinstance(limit, (int, float)) and limit > ROOM:
        params["memory_limit"] = ROOM  # absurd sizes are to be refused, not tried
    if "verbose" in params:
        params["verbose"] = 0 if params["verbose"] in (1, 2, 3, True) else params["verbose"]  # prints
    if not isinstance(params["max_epochs"], int) or params["max_epochs"] < 100:
        return made(**params)
    return made(**(params | {"max_epochs": 7}))  # a training of 10^30 epochs is what was asked for


def names(made: Any) -> set[str]:
    return ARGUMENTS | STATE | set(made.get_params(deep=False))


def fitting(data: Draw, kind: str) -> None:
    """Fit, or refuse; then whatever one may do with it, some of it with other data."""
    made = estimator(data, kind)
    n, d = data.draw(st.integers(0, 9)), data.draw(st.integers(1, 12))
    X = wrapped(data, matrix(data, n, d))
    y = targets(data, n, kind == "regressor")
    keywords: dict[str, Any] = {}
    if (weight := sample_weights(data, n)) is not None:
        keywords["sample_weight"] = weight
    if chance(data, 4):
        keywords["callbacks"] = data.draw(st.sampled_from(([Stop()], (Stop(),), [], None, Stop(), "x", [1])))
    if kind != "noprop" and chance(data, 6):
        keywords["coefs_init"], keywords["intercepts_init"] = initial(data, made, d, y)
    fitted = obey(lambda: made.fit(X, y, **keywords), names(made))
    if fitted is REFUSED:
        check_unfitted(made, matrix(data, 2, d))
        return
    for _ in range(data.draw(st.integers(1, 3))):
        use(data, made, d)


def initial(data: Draw, made: Any, d: int, y: Any) -> tuple[Any, Any]:
    """Initial weights that fit, or nearly."""
    hidden = made.hidden_layer_sizes
    widths = [d, *(hidden if isinstance(hidden, (tuple, list)) else [4]), data.draw(st.integers(1, 3))]
    widths = [width if isinstance(width, int) and 0 < width < 100 else 2 for width in widths]
    coefs = [wrapped(data, matrix(data, a, b), good=True) for a, b in pairwise(widths)]
    biases = [wrapped(data, matrix(data, 1, b)[0], good=True) for b in widths[1:]]
    return data.draw(st.sampled_from((coefs, coefs, None, coefs[1:], weird(data)))), data.draw(
        st.sampled_from((biases, None, weird(data)))
    )


def check_unfitted(made: Any, X: np.ndarray) -> None:
    """What was refused is not fitted, and says so."""
    if obey(lambda: made.predict(X), names(made)) is not REFUSED:
        raise BrokenLaw("predicts, although fit was refused")


def new_inputs(data: Draw, made: Any, d: int) -> Any:
    X = wrapped(data, matrix(data, d=d if not chance(data, 8) else None))
    return (
        made.network_.front.X[:1]
        if chance(data, 10) and getattr(made, "form_", "") == "contributions" and hasattr(made, "contributions_")
        else X
    )


def use(data: Draw, made: Any, d: int) -> None:
    """Do one thing with a fitted estimator."""
    uses = sorted(
        name
        for name in USES
        if not name.startswith(("front_", "noprop_")) or name.startswith("noprop_") == hasattr(made, "variant")
    )
    USES[data.draw(st.sampled_from(uses))](data, made, new_inputs(data, made, d))


def predict(data: Draw, made: Any, X: Any) -> None:
    result = obey(lambda: made.predict(X), names(made))
    if hasattr(made, "predict_proba"):
        proba = obey(lambda: made.predict_proba(X), names(made))
        if (proba is REFUSED) != (result is REFUSED):
            raise BrokenLaw("predict and predict_proba do not agree on whether there is an answer")
        if proba is not REFUSED and not np.allclose(proba.sum(axis=1), 1):
            raise BrokenLaw(f"probabilities do not add up to 1: {proba}")


def attributes(data: Draw, made: Any, X: Any) -> None:
    for name in ("coefs_", "intercepts_", "loss_curve_", "validation_scores_", "n_epochs_", "embedding_", "classes_"):
        if hasattr(type(made), name) or hasattr(made, name):
            obey(lambda name=name: getattr(made, name))
    if not hasattr(made, "variant"):
        obey(lambda: made.contributions_, also=(AttributeError,))
    obey(lambda: (repr(made), str(getattr(made, "plan_", "")), clone(made)), names(made))


def explain(data: Draw, made: Any, X: Any) -> None:
    parts = obey(lambda: made.explain(X), names(made), also=(AttributeError,))
    if parts is not REFUSED:
        obey(lambda: (parts.initial, parts.terms))
    chosen = data.draw(st.sampled_from((None, None, 0, 1, -1, [0], np.array([0, 1]), "x", 10**30, 0.5)))
    parts = obey(lambda: explain_output(made, X, chosen), names(made), also=(AttributeError,))
    if parts is not REFUSED:
        obey(lambda: (parts.initial, parts.terms, parts.outputs, parts.rest))


def partial_fit(data: Draw, made: Any, X: Any) -> None:
    n = n_rows(X)
    y = targets(data, n, not hasattr(made, "classes_"))
    if hasattr(made, "classes_") and chance(data, 2) and len(made.classes_):
        y = made.classes_[np.arange(n) % len(made.classes_)]
    obey(lambda: made.partial_fit(X, y, sample_weight=sample_weights(data, n)), names(made))
    obey(lambda: made.predict(X), names(made))


def again(data: Draw, made: Any, X: Any) -> None:
    """Fit anew, warm or not, on other data."""
    n = n_rows(X)
    if hasattr(made, "warm_start"):
        made.set_params(warm_start=chance(data, 2))
    obey(lambda: made.fit(X, targets(data, n, not hasattr(made, "classes_"))), names(made))
    obey(lambda: made.predict(X), names(made))


def copies(data: Draw, made: Any, X: Any) -> None:
    """A pickle and a copy predict the same bits."""
    wanted = obey(lambda: made.predict(X), names(made))
    for other in (pickle.loads(pickle.dumps(made)), copy.deepcopy(made)):
        got = obey(lambda other=other: other.predict(X), names(made))
        same(wanted, got)


def saved(data: Draw, made: Any, X: Any) -> None:
    """A saved and loaded model predicts the same bits as the conventional weights."""
    weights = {} if hasattr(made, "variant") else {"weights": data.draw(st.sampled_from((True, True, False)))}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.safetensors")
        if obey(lambda: made.save(path, **weights), names(made), files=True) is REFUSED:
            if any(Path(folder).iterdir()):
                raise BrokenLaw("save was refused, but left a file")
            return
        if not weights.get("weights", True):
            obey(lambda: fcfast.load(path, X), files=True)
            loaded = fcfast.load(path, made.network_.front.X)
        else:
            loaded = fcfast.load(path)  # any error is one
    got, wanted = obey(lambda: loaded.predict(X), names(made)), obey(lambda: made.predict(X), names(made))
    if weights.get("weights", True) and got is not REFUSED and wanted is not REFUSED and got.dtype.kind != "f":
        same(wanted, got)
    partial_fit(data, loaded, X) if hasattr(loaded, "partial_fit") else None


def converted(data: Draw, made: Any, X: Any) -> None:
    other = obey(made.to_sklearn, names(made) | {"class"})
    if other is not REFUSED:
        obey(lambda: from_sklearn(other))
    if chance(data, 3):
        module = obey(made.to_torch)
        obey(lambda: from_torch(module))


def stages(data: Draw, made: Any, X: Any) -> None:
    obey(lambda: list(made.staged_predict_proba(X)), names(made))
    obey(lambda: made.trajectory(X), names(made))
    n = n_rows(X)
    obey(lambda: made.accuracy_by_block(X, made.classes_[np.zeros(n, int)]), names(made))


def other_parameters(data: Draw, made: Any, X: Any) -> None:
    """Parameters set after fit: predictions and files hold, or say what is wrong."""
    choices = next(choices for kind, choices in KINDS.values() if isinstance(made, kind))
    name = data.draw(st.sampled_from(sorted(choices)))
    value = weird(data) if chance(data, 2) else data.draw(st.sampled_from(choices[name]))
    if name not in ("verbose", "max_epochs"):
        made.set_params(**{name: value})
    predict(data, made, X) if not hasattr(made, "variant") else obey(lambda: made.predict(X), names(made))
    saved(data, made, X)


def same(wanted: Any, got: Any) -> None:
    if (wanted is REFUSED) != (got is REFUSED):
        raise BrokenLaw("one copy answers, the other refuses")
    if wanted is not REFUSED and not np.array_equal(wanted, got):
        raise BrokenLaw(f"a copy predicts otherwise: {wanted} and {got}")


USES = {
    "predict": predict, "attributes": attributes, "front_explain": explain, "front_partial_fit": partial_fit, "again": again,
    "copies": copies, "saved": saved, "front_converted": converted, "noprop_stages": stages,
    "other_parameters": other_parameters,
}  # fmt: skip


def first_partial_fit(data: Draw, kind: str) -> None:
    """A stream: the first call of partial_fit, and some more."""
    made = estimator(data, kind)
    d = data.draw(st.integers(1, 12))
    for _ in range(data.draw(st.integers(1, 3))):
        n = data.draw(st.integers(0, 6))
        X, y = wrapped(data, matrix(data, n, d)), targets(data, n, kind == "regressor")
        keywords = (
            {}
            if kind == "regressor"
            else {"classes": data.draw(st.sampled_from(([0, 1, 2, 3], [0, 1], None, ["0", "1"], [], weird(data))))}
        )
        if obey(lambda X=X, y=y, keywords=keywords: made.partial_fit(X, y, **keywords), names(made)) is REFUSED:
            continue
        use(data, made, d)


CASES = {
    "estimators.classifier": (lambda data: fitting(data, "classifier"), 6),
    "estimators.regressor": (lambda data: fitting(data, "regressor"), 5),
    "estimators.noprop": (lambda data: fitting(data, "noprop"), 5),
    "estimators.stream_classifier": (lambda data: first_partial_fit(data, "classifier"), 3),
    "estimators.stream_regressor": (lambda data: first_partial_fit(data, "regressor"), 3),
}
