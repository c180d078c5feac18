"""Cases of tools around the estimators: conversion from other libraries, comparisons of rules, figures."""

import io
import tempfile
import warnings
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import strategies as st
from sklearn.neural_network import MLPClassifier, MLPRegressor

import fcfast
from fcfast.comparison import compare
from fcfast.convert import from_sklearn, from_torch
from fcfast.plots import contributors_figure, loss_curve

from .law import REFUSED, BrokenLaw, obey
from .values import Draw, chance, matrix, targets, weird, wrapped


def sklearn_networks(data: Draw) -> None:
    """Networks of scikit-learn: fitted or not, with several labels, without hidden layers, or something else."""
    kind = data.draw(st.sampled_from((MLPClassifier, MLPRegressor)))
    hidden = data.draw(st.sampled_from(((3,), (3, 2), (), (1,))))
    mlp: Any = kind(hidden, max_iter=1, solver="sgd", activation=data.draw(st.sampled_from(("relu", "tanh"))))
    X, y = matrix(data, 6, 3), data.draw(st.sampled_from((np.arange(6) % 2, np.arange(6) % 3, np.eye(6)[:, :2].astype(int))))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            if not chance(data, 5):
                mlp.fit(X, y)
        except ValueError:  # NaN, or a divergence: scikit-learn's own matter
            return
    if chance(data, 4):
        mlp = weird(data)
    layers = obey(lambda: from_sklearn(mlp), {"mlp"})
    if layers is not REFUSED:
        made = fcfast.FrontClassifier(hidden, max_epochs=1, n_jobs=1)
        obey(lambda: made.fit(X, y, coefs_init=layers[0], intercepts_init=layers[1]))


def torch_modules(data: Draw) -> None:
    """Modules of PyTorch, of the right kinds in the right order, or not."""
    try:
        import torch
    except ImportError:
        return
    nn = torch.nn
    modules = [
        nn.Linear(3, 4),
        nn.ReLU(),
        nn.Linear(4, 2),
        nn.Tanh(),
        nn.Linear(3, 4, bias=False),
        nn.LeakyReLU(0.2),
        nn.Conv1d(1, 1, 1),
    ]
    chosen = data.draw(st.lists(st.sampled_from(modules), max_size=4)) if chance(data, 2) else modules[:3]
    module = nn.Sequential(*chosen) if not chance(data, 5) else weird(data)
    obey(lambda: from_torch(module), {"sequential", "module"})


def comparison(data: Draw) -> None:
    """A comparison of a rule or two."""
    X, y = wrapped(data, matrix(data, 12, 3)), targets(data, 12, False)
    keywords: dict[str, Any] = {"epochs": 1, "n_seeds": 1, "n_rates": 1, "hidden_layer_sizes": (2,), "n_jobs": 1}
    choices: dict[str, tuple[Any, ...]] = {
        "test_share": (0.2, 0.5, 0.99, 0.0), "task": ("classification", "regression"), "epochs": (1, 2, 0),
        "n_seeds": (1, 2), "n_rates": (1, 2),
        "tune_epochs": (None, 1), "learning_rate": (None, 0.1, 1e300), "validation_share": (0.2, 0.9), "seed": (0,
        2**31), "only": (True, False),
    }  # fmt: skip
    for name in data.draw(st.lists(st.sampled_from(sorted(choices)), max_size=3, unique=True)):
        keywords[name] = data.draw(st.sampled_from(choices[name])) if not chance(data, 4) else weird(data)
    if not isinstance(keywords["epochs"], int) or keywords["epochs"] > 9:
        keywords["epochs"] = 1
    rules = data.draw(
        st.sampled_from(
            (["fg-a"], ["fa", "noprop-dt"], ["backprop:rate=0.1"], ["fg-a:groups=0"], ["x"], "fa", [], [None], [1], None)
        )
    )
    names = {*keywords, *choices, "X", "y", "rules", "rule", "test", "scale", "class", "samples"}
    obey(lambda: compare(X, y, rules, **keywords) and None, names)


def pictures(data: Draw) -> None:
    """Pictures of a fitted estimator: a file, or what is wrong."""
    X = matrix(data, 6, 3)
    made = fcfast.FrontClassifier((2,), form="contributions", max_epochs=2, n_jobs=1, random_state=0)
    if obey(lambda: made.fit(X, np.arange(6) % 2)) is REFUSED:
        return
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, data.draw(st.sampled_from(("a.png", "a.svg", "a.xyz", "a", "none/a.png"))))
        names = {"out", "x", "X", "labels", "n_top", "estimator", "picture", "format"}
        draw = obey(lambda: loss_curve(out, made), names, files=True)
        x = wrapped(data, matrix(data, 1, 3))
        labels = data.draw(st.sampled_from((None, list("abcdef"), ["a"], 5, ["é$_^"] * 6, [1, 2, 3, 4, 5, 6])))
        n_top = weird(data) if chance(data, 3) else 3
        draw = obey(lambda: contributors_figure(out, made, x, labels, n_top), names, files=True)
        if draw is not REFUSED and not out.stat().st_size:
            raise BrokenLaw("an empty picture")


def configuration(data: Draw) -> None:
    """What `show_config` and the module's attributes say."""
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        obey(fcfast.show_config)
    name = data.draw(st.sampled_from(dir(fcfast)))
    obey(lambda: repr(getattr(fcfast, name)))


CASES = {
    "tools.sklearn_networks": (sklearn_networks, 2), "tools.torch_modules": (torch_modules, 1),
    "tools.comparison": (comparison, 1),
    "tools.pictures": (pictures, 0.2), "tools.configuration": (configuration, 0.1),
}  # fmt: skip
