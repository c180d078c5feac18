"""Which form the front layer should take: the time and memory of each, predicted from a few measured figures of the machine.

Forms know what they take (`fcfast.front.costs`); `fcfast.planning.machine` says what each operation takes here.
bench/bench_plan.py compares predictions with measurements.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fcfast import validation
from fcfast.front import FORMS, FrontForm
from fcfast.optimizers import OPTIMIZERS, Optimizer, make_optimizer
from fcfast.planning import text
from fcfast.planning.figures import Machine
from fcfast.planning.machine import machine
from fcfast.planning.problem import Problem
from fcfast.rules import Rule, make_rule
from fcfast.training.compiled import is_compiled

# What a form may hold beside the data unless the caller says otherwise.
DEFAULT_MEMORY_LIMIT = 4 << 30


@dataclass(frozen=True)
class FormCost:
    """The time and memory that training in a form of the front layer takes.

    Attributes
    ----------
    seconds_once : float
        Time before the first step: initial weights, Gram matrix, initial pre-activations, conversion of X.
    seconds_per_epoch, seconds : float
        Time of an epoch, and of the whole training.
    n_bytes : int
        Bytes that training holds beside the data.
    window : int
        Rows between two passes over what the form holds.
    reason : str
        Why the form is out of the question; empty if it is not.
    """

    seconds_once: float
    seconds_per_epoch: float
    seconds: float
    n_bytes: int
    window: int
    reason: str = ""


@dataclass(frozen=True)
class Plan:
    """The form that takes the least time of those that fit, and what each would take.

    Attributes
    ----------
    form : str
        The chosen form: "contributions", "windowed", "weights", or one that `fcfast.front.register` has entered.
    window : int
        Rows between two passes over what the chosen form holds.
    costs : mapping of str to FormCost
        The time and memory of every form.
    machine : fcfast.planning.figures.Machine
        The figures that times were predicted with.
    reason : str
        Why this form was chosen, in a few words.
    explanation : str
        The whole plan in a paragraph; ``str(plan)`` gives it too.
    """

    form: str
    window: int
    costs: Mapping[str, FormCost]
    machine: Machine = field(repr=False)
    reason: str
    explanation: str = field(repr=False)

    def __str__(self) -> str:
        return self.explanation


def plan(
    n_samples: int,
    n_features: int,
    hidden: int | Sequence[int] = 256,
    batch_size: int = 32,
    n_epochs: int = 100,
    dtype: str = "float32",
    density: float | None = None,
    memory_limit: int | None = None,
    *,
    n_outputs: int = 10,
    optimizer: str | Optimizer = "sgd",
    momentum: float = 0.9,
    weight_decay: float = 0.0,
    window: int | str = "auto",
    form: str = "auto",
    copies_X: bool = False,
    n_products: float | None = None,
    rule: str | Rule = "backprop",
    remeasure: bool = False,
) -> Plan:
    """Predict the time and memory of each form of the front layer, and choose one.

    The first call on a machine measures it, in about a third of a second; the figures are kept (`fcfast.planning.machine`).
    Predictions cover training alone, not the reading of data, scoring or the expansion of weights.

    Parameters
    ----------
    n_samples, n_features : int
        Shape of the training inputs X.
    hidden : int or sequence of int
        Widths of the hidden layers, the front layer first.
    batch_size : int
        Samples of a step; more than `n_samples` means all of them.
    n_epochs : int
    dtype : {"float32", "float64"}
        Precision of computation and parameters.
    density : float or None
        Share of entries of a sparse X that are not zero, > 0 and at most 1; None for dense inputs. Without `n_products` they
        are taken as spread evenly over the features. Text is not, and can take forty times as long before the first step.
    memory_limit : int or None
        Bytes that a form may hold beside the data itself; None for 4 GiB.
    n_outputs : int
        Number of classes or targets.
    optimizer : {"sgd", "muon", "neuron-adam", "adam", "adamw"} or object of `fcfast.optimizers`
        Predicted times are rough for all but "sgd".
    momentum, weight_decay : float
        Settings of an optimiser given by name, as in the estimators; an object has its own.
    window : int or "auto"
        As in the estimators.
    form : str
        "auto" chooses; "contributions", "windowed", "weights" or a form of your own is taken if it can be.
    copies_X : bool
        Whether the forms that multiply with weights need a copy of X: it has another dtype, or its rows are not contiguous.
    n_products : float or None
        Multiplications of the Gram matrix of a sparse X: the sum over its features of the squared number of entries.
    rule : str or object of `fcfast.rules`
        Predicted times are rough for all but "backprop".
    remeasure : bool
        Measure the machine anew.

    Returns
    -------
    Plan

    Raises
    ------
    MemoryError
        If no form fits, or not the one that is asked for, with the figures and the alternatives.
    TypeError
        If the form that is asked for cannot take sparse inputs, or an argument has another type.
    ValueError
        If the form that is asked for cannot be trained with the optimiser or the rule, or an argument is out of range.

    Examples
    --------
    >>> import fcfast
    >>> fcfast.plan(100, 1_000_000, batch_size=100).form
    'contributions'
    >>> fcfast.plan(60_000, 784, batch_size=1, n_epochs=1).costs["contributions"].n_bytes > 60_000**2 * 4
    True
    """
    if isinstance(optimizer, str):
        optimizer = make_optimizer(optimizer, momentum, 0.0, False, weight_decay, None)
    elif not isinstance(optimizer, Optimizer):
        raise TypeError(f"optimizer must be one of {list(OPTIMIZERS)} or an object of fcfast.optimizers, got {optimizer!r}")
    elif (momentum, weight_decay) != (0.9, 0.0):
        raise ValueError(f"optimizer={optimizer!r} has settings of its own; set momentum and weight_decay there")
    widths: Any = hidden if validation.has_items(hidden) else (hidden,)
    rule = make_rule(rule)
    problem = Problem(
        n_samples=n_samples, n_features=n_features, hidden=tuple(widths), n_outputs=n_outputs, batch_size=batch_size,
        n_epochs=n_epochs, dtype=dtype, optimizer=optimizer, rule=rule, compiled=is_compiled(rule, optimizer),
        density=density, n_products=n_products, copies_X=copies_X,
    )  # fmt: skip
    return plan_for(problem, form, window, memory_limit, remeasure)


def plan_for(
    problem: Problem, form: str = "auto", window: int | str = "auto", memory_limit: int | None = None, remeasure: bool = False
) -> Plan:
    """Predict what each form takes for a problem, and choose one; parameters, result and errors are those of `plan`."""
    validation.choice(form, "form", ("auto", *FORMS))
    given = DEFAULT_MEMORY_LIMIT if memory_limit is None else memory_limit
    limit = validation.in_range(given, "memory_limit", 0, math.inf)
    if not validation.is_auto(window):
        validation.integer(window, "window", 1)
    figures = machine(remeasure)
    # the first of several that take as long is chosen: one that leaves the weights alone
    forms = sorted(FORMS.values(), key=lambda kind: kind.updates_each_weight)
    costs = {kind.name: _cost(kind, problem, window, limit, figures) for kind in forms}
    possible = [name for name, cost in costs.items() if not cost.reason]
    offered = [name for name in possible if FORMS[name].is_automatic]
    fastest = min(offered, key=lambda name: costs[name].seconds, default=None)
    chosen = fastest if form == "auto" else form
    if chosen is None or costs[chosen].reason:
        raise text.refusal(problem, form, costs, fastest, limit)
    why = text.reason(chosen, form, costs)
    return Plan(chosen, costs[chosen].window, costs, figures, why, text.explanation(problem, chosen, why, costs, figures))


def _cost(form: type[FrontForm], problem: Problem, window: int | str, limit: float, figures: Machine) -> FormCost:
    rows = form.choose_window(window, problem.batch_size, problem.n_samples, problem.optimizer.has_velocity)
    once, epoch = form.seconds_once(problem, figures), form.seconds_per_epoch(problem, rows, figures)
    n_bytes = form.n_bytes(problem, rows)
    obstacle = form.obstacle(problem) or (text.over_limit(problem, n_bytes, limit) if n_bytes > limit else "")
    return FormCost(once, epoch, once + problem.n_epochs * epoch, n_bytes, rows, obstacle)
