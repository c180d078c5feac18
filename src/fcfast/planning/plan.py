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

# Bytes that a form may hold in addition to the data, unless the caller sets a limit.
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
        Bytes that training holds in addition to the data.
    window : int
        Number of rows between two passes over the form's arrays.
    reason : str
        Reason why the form cannot be used; empty if it can.
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
    in_span: bool = False,
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
        Number of units of each hidden layer, beginning with the front layer.
    batch_size : int
        Number of samples in a step; more than `n_samples` means all samples.
    n_epochs : int
        Number of epochs.
    dtype : {"float32", "float64"}
        Precision of the parameters and the computation.
    density : float or None
        Share of the entries of a sparse X that are not zero, > 0 and at most 1; None for dense inputs. Without `n_products` the
        entries are assumed to be spread evenly over the features. In text they are not, and it can take forty times as long
        before the first step.
    memory_limit : int or None
        Largest number of bytes that a form may hold in addition to the data; None is 4 GiB.
    n_outputs : int
        Number of classes or targets.
    optimizer : {"sgd", "muon", "neuron-adam", "adam", "adamw", "adagrad", "rmsprop"} or object of `fcfast.optimizers`
        Optimiser. Predicted times are rough for all optimisers except "sgd".
    momentum, weight_decay : float
        Settings of an optimiser given by name, as in the estimators; an object has its own.
    window : int or "auto"
        Number of samples in a window, as in the estimators.
    form : str
        Form of the front layer. "auto" takes the fastest; "contributions", "windowed", "weights" or your own form is taken if
        it is possible.
    copies_X : bool
        Whether the forms that multiply by weights need a copy of X, because X has another dtype or its rows are not contiguous.
    n_products : float or None
        Number of multiplications in the Gram matrix of a sparse X, which is the sum over its features of the squared number of
        entries.
    rule : str or object of `fcfast.rules`
        Learning rule. Predicted times are rough for all rules except "backprop".
    in_span : bool
        Whether the front layer starts in the span of the samples, as the estimators' ``init="span"`` does.
    remeasure : bool
        Whether to measure the machine again.

    Returns
    -------
    Plan
        Predicted costs of all forms, and the form that was chosen.

    Raises
    ------
    MemoryError
        If no form fits into memory, or the requested form does not. The message has the figures and the alternatives.
    TypeError
        If the requested form cannot take sparse inputs, or an argument has another type.
    ValueError
        If the requested form cannot be trained with the optimiser or the rule, or an argument is out of range.

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
        density=density, n_products=n_products, copies_X=copies_X, in_span=in_span,
    )  # fmt: skip
    return plan_for(problem, form, window, memory_limit, remeasure)


def plan_for(
    problem: Problem,
    form: str = "auto",
    window: int | str = "auto",
    memory_limit: int | None = None,
    remeasure: bool = False,
    why_asked: str = "as asked",
) -> Plan:
    """Predict what each form takes for a problem, and choose one; parameters, result and errors are those of `plan`.

    `why_asked` is the reason for a form that is given.
    """
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
    why = text.reason(chosen, form, costs, why_asked)
    return Plan(chosen, costs[chosen].window, costs, figures, why, text.explanation(problem, chosen, why, costs, figures))


def _cost(form: type[FrontForm], problem: Problem, window: int | str, limit: float, figures: Machine) -> FormCost:
    form = form.variant(problem.density is not None)
    rows = form.choose_window(window, problem.batch_size, problem.n_samples, problem.optimizer.has_velocity)
    once, epoch = form.seconds_once(problem, figures), form.seconds_per_epoch(problem, rows, figures)
    n_bytes = form.n_bytes(problem, rows)
    obstacle = form.obstacle(problem) or (text.over_limit(problem, n_bytes, limit) if n_bytes > limit else "")
    return FormCost(once, epoch, once + problem.n_epochs * epoch, n_bytes, rows, obstacle)
