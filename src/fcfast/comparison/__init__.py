"""Comparison of learning rules with the same split, initial weights, batches and number of tried learning rates.

The learning rate is chosen on a validation part of the training samples. A network is then trained with it and scored on the
test samples.
"""

import json
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from numpy.typing import ArrayLike

from fcfast import validation
from fcfast.comparison.memory import memory_is_measurable, training_memory
from fcfast.comparison.names import (
    METHODS,
    Method,
    chosen_rules,
    default_rate,
    given_rate,
    in_order,
    parse_rule,
    rate_grid,
    rule_name,
)
from fcfast.comparison.results import Comparison, RuleResult, Run, Trial
from fcfast.comparison.trainings import Data, Tell, Work, n_epochs, try_out
from fcfast.config import config
from fcfast.estimators import FrontClassifier, FrontRegressor

__all__ = [
    "METHODS", "Comparison", "RuleResult", "Run", "Trial", "chosen_rules", "compare", "default_rate", "given_rate", "in_order",
    "memory_is_measurable", "n_epochs", "parse_rule", "rate_grid", "rule_name", "training_memory",
]  # fmt: skip

TASKS = ("classification", "regression")
# Parameters of the estimators that are equal for all rules, or that `compare` has its own name for.
OWN = {
    "rule": "rules", "max_epochs": "epochs", "random_state": "seed", "tol": None, "n_iter_no_change": None,
    "early_stopping": None, "validation_fraction": "validation_share", "scoring": None, "warm_start": None, "verbose": None,
}  # fmt: skip


# Rules are compared as their papers do it: with one rate for all layers, found for each rule, on samples as they are given.
PLAIN: dict[str, dict[str, Any]] = {
    "classification": {
        "hidden_layer_sizes": (256,), "standardize": False, "init": "glorot", "schedule": "constant", "weight_decay": 0.0,
        "batch_size": 200, "optimizer": "sgd",
    },
}  # fmt: skip
PLAIN["regression"] = PLAIN["classification"] | {"standardize_targets": False}


def compare(
    X: Any,
    y: ArrayLike,
    rules: Iterable[str | Method],
    *,
    test: tuple[Any, ArrayLike] | None = None,
    test_share: float = 0.2,
    task: str = "classification",
    epochs: int = 30,
    n_seeds: int = 3,
    n_rates: int = 5,
    tune_epochs: int | None = None,
    learning_rate: float | None = None,
    validation_share: float = 0.2,
    seed: int = 0,
    only: bool = False,
    memory: bool = False,
    earlier: Comparison | None = None,
    after_rule: Callable[[Comparison], Any] | None = None,
    tell: Tell | None = None,
    **settings: Any,
) -> Comparison:
    """Train the same network with several learning rules, each at the best of the same number of learning rates.

    For each rule, learning rates on a logarithmic grid are tried with one seed on a part of the training samples, and scored on
    the rest of them. The grid has the same width for all rules. With the best rate the rule trains on all training samples,
    with several seeds; then the test samples are scored. Rules start with the same weights and see the same batches.

    Parameters
    ----------
    X : ndarray or sparse matrix of shape (N, d)
        Samples, scaled as for any network.
    y : array-like of shape (N,), or (N, c) for regression
    rules : iterable of str, object of `fcfast.rules` or NoProp
        Rules to compare. Names may have settings, as in "lg-fg-a:groups=16" (`parse_rule`), and a learning rate, as in
        "fg-w:rate=0.003". Such a rule is not tuned, and ignores `learning_rate`.
    test : (X, y) or None
        Test samples; None holds out some of the given ones.
    test_share : float
        Share of the samples to hold out if `test` is None, stratified by class.
    task : {"classification", "regression"}
    epochs : int
        Number of epochs of every training.
    n_seeds : int
        Number of trainings at the chosen rate, with `seed`, ``seed + 1`` ...
    n_rates : int
        Number of learning rates to try for each rule, from a tenth of its `default_rate` to ten times it; 1 uses the default
        rate.
    tune_epochs : int or None
        Number of epochs of the trainings that try a rate; None uses `epochs`.
    learning_rate : float or None
        Learning rate for all rules, instead of tuning.
    validation_share : float
        Share of the training samples on which the rates are scored.
    seed : int
        Seed of the splits and of the trainings that try a rate.
    only : bool
        False adds the rules "backprop" and "frozen". The latter keeps the initial weights of the hidden layers: a rule that is
        not better than it learns no features.
    memory : bool
        Measure the peak memory of a training in a child process (Linux only).
    earlier : Comparison or None
        Results for the same data and settings. They are kept, with the `machine` of their measurement, and their rules are
        not trained again.
    after_rule : callable or None
        Called after each rule with the `Comparison` so far.
    tell : callable or None
        Called with a short text and the number of finished epochs, out of ``n_epochs(...)``.
    **settings
        Parameters of `FrontClassifier` or `FrontRegressor` for all rules: `hidden_layer_sizes`, `batch_size` ... Those that are
        "auto" otherwise are 256 units, batches of 200 samples, Glorot's initial weights, and nothing more.

    Returns
    -------
    Comparison
        Results of all rules.

    Raises
    ------
    ValueError, TypeError
        If data or settings are invalid, or a rule cannot train this network. This is checked before any training.
    KeyboardInterrupt
        On Ctrl-C; finished results have been passed to `after_rule`.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from fcfast.comparison import compare
    >>> X, y = load_iris(return_X_y=True)
    >>> comparison = compare((X - X.mean(0)) / X.std(0), y, ["fg-a"], epochs=5, n_seeds=2, n_rates=3, hidden_layer_sizes=(8, 8))
    >>> [result.rule for result in comparison.results]
    ['backprop', 'fg-a', 'frozen']
    >>> comparison.results[1].backward_passes, len(comparison.results[1].runs)
    ('none', 2)
    """
    chosen = chosen_rules(rules, only)
    tune_epochs = epochs if tune_epochs is None else tune_epochs
    _check(task, epochs, n_seeds, n_rates, tune_epochs, learning_rate, seed, settings, memory)
    data = Data.make(X, y, test, test_share, validation_share, task == "classification", seed)
    kind = FrontClassifier if task == "classification" else FrontRegressor
    template = kind(**PLAIN[task] | settings, max_epochs=epochs, tol=0, n_iter_no_change=epochs)
    own = {
        "task": task, **data.facts(), "epochs": epochs, "n_seeds": n_seeds, "n_rates": n_rates,
        "tune_epochs": tune_epochs, "learning_rate": learning_rate, "validation_share": validation_share, "seed": seed,
        "memory": memory, "network": settings, "fcfast": config()["fcfast"], "backend": config()["backend"],
    }  # fmt: skip
    own = json.loads(json.dumps(own, default=repr))  # in the form in which it will be read back
    if earlier is not None:
        earlier.refuse_other(own)
    for name, rule in chosen.items():
        try_out(name, rule, template, data)
    known = {} if earlier is None else {result.rule: result for result in earlier.results}
    order = in_order([*chosen, *(name for name in known if name not in chosen)])
    here = config()
    machine = earlier.machine if earlier is not None and known.keys() >= chosen.keys() else here
    work = Work(template, data, n_seeds, 1 if learning_rate else n_rates, tune_epochs, learning_rate, seed, memory, tell)
    for name, rule in chosen.items():
        if name in known:
            work.skip()
            continue
        known[name] = replace(work.result(name, rule), machine=here)
        if after_rule is not None:
            after_rule(Comparison(own, machine, [known[name] for name in order if name in known]))
    return Comparison(own, machine, [known[name] for name in order])


def _check(
    task: str,
    epochs: int,
    n_seeds: int,
    n_rates: int,
    tune_epochs: int,
    learning_rate: float | None,
    seed: int,
    settings: dict[str, Any],
    memory: bool,
) -> None:
    validation.choice(task, "task", TASKS)
    for value, name in ((epochs, "epochs"), (n_seeds, "n_seeds"), (n_rates, "n_rates"), (tune_epochs, "tune_epochs")):
        validation.integer(value, name, 1)
    validation.size(seed, "seed", 0, 2**32 - n_seeds)
    if learning_rate is not None:
        validation.positive(learning_rate, "learning_rate")
    for name, instead in OWN.items():
        if name in settings:
            raise TypeError(f"{name} is the same for all rules; {f'use {instead}' if instead else 'leave it out'}")
    if memory and not memory_is_measurable():
        raise ValueError("memory=True: peak memory is not available on this system (no /proc); leave it out")
