"""Learning rules side by side: same split, initial weights and batches, and as many learning rates tried for each.

A rate is chosen on a validation part of the training samples; test samples are scored with the network that it then trains.
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
# Parameters of the estimators that are equal by plan, or that `compare` has a name of its own for.
OWN = {
    "rule": "rules", "max_epochs": "epochs", "random_state": "seed", "tol": None, "n_iter_no_change": None,
    "early_stopping": None, "validation_fraction": "validation_share", "warm_start": None, "verbose": None,
}  # fmt: skip


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
    """Train the same network with several learning rules, each at the best of as many learning rates.

    For each rule, learning rates on a logarithmic grid, of the same width for all, are tried with one seed on a part of the
    training samples, and scored on the rest of them. With the best one the rule trains on all training samples, with several
    seeds; then the test samples are scored. Rules start with the same weights and see the same batches.

    Parameters
    ----------
    X : ndarray or sparse matrix of shape (N, d)
        Scaled, as for any network.
    y : array-like of shape (N,), or (N, c) for regression
    rules : iterable of str, object of `fcfast.rules` or NoProp
        Names may have settings, as in "lg-fg-a:groups=16" (`parse_rule`), and a learning rate, as in "fg-w:rate=0.003": for
        that rule nothing is tried, and `learning_rate` does not count.
    test : (X, y) or None
        Test samples; None holds out some of the given ones.
    test_share : float
        Share of the samples that is then held out, each class in proportion.
    task : {"classification", "regression"}
    epochs : int
        Of every training.
    n_seeds : int
        Trainings at the chosen rate, with `seed`, ``seed + 1`` ...
    n_rates : int
        Learning rates tried for each rule, from a tenth of its `default_rate` to ten times it; 1 takes that one untried.
    tune_epochs : int or None
        Of the tried trainings; None makes them as long as the others.
    learning_rate : float or None
        A rate for all rules instead.
    validation_share : float
        Share of the training samples that the rates are chosen by.
    seed : int
        Of the splits and the tried trainings.
    only : bool
        False adds "backprop" and "frozen", the hidden layers left as they were drawn: a rule that is no better learns no
        features.
    memory : bool
        Measure the peak memory of a training, in a child process (Linux only).
    earlier : Comparison or None
        Results of the same data and settings; its rules are not trained again, and stay. They keep the `machine` that they
        were measured on.
    after_rule : callable or None
        Called with what there is after each rule.
    tell : callable or None
        Called with a few words and the number of epochs done, of ``n_epochs(...)``.
    **settings
        Parameters of `FrontClassifier` or `FrontRegressor`, for all rules: `hidden_layer_sizes`, `batch_size` ...

    Returns
    -------
    Comparison

    Raises
    ------
    ValueError, TypeError
        For bad data or settings, and rules that cannot train this network; before any is trained.
    KeyboardInterrupt
        On Ctrl-C; what was finished has gone to `after_rule`.

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
    template = kind(**settings, max_epochs=epochs, tol=0, n_iter_no_change=epochs)
    own = {
        "task": task, **data.facts(), "epochs": epochs, "n_seeds": n_seeds, "n_rates": n_rates,
        "tune_epochs": tune_epochs, "learning_rate": learning_rate, "validation_share": validation_share, "seed": seed,
        "memory": memory, "network": settings, "fcfast": config()["fcfast"], "backend": config()["backend"],
    }  # fmt: skip
    own = json.loads(json.dumps(own, default=repr))  # as it will be read again
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
