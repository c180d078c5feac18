"""Which form the front layer should take: the time and memory of each, predicted from a few measured figures of the machine.

Counts follow what the kernels do (``_core/front.pyx``, `fcfast.gram.products`, `fcfast.layers`); `fcfast.planning.machine` says
what each operation takes here. bench/bench_plan.py compares predictions with measurements.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np

from fcfast import backend, validation
from fcfast.front.base import FORMS
from fcfast.gram.occurring import FEWER
from fcfast.optimizers import OPTIMIZERS
from fcfast.planning.machine import Machine, machine
from fcfast.rules import Backprop, ForwardGradient, Rule, make_rule
from fcfast.threads import SMALL_PRODUCT
from fcfast.units import bytes_text, duration

# What a form may hold beside the data unless the caller says otherwise.
DEFAULT_MEMORY_LIMIT = 4 << 30

# Rows of a window: enough to make matrix products of single samples, so few that the K x K work inside stays small.
WINDOWED_ROWS = 96
CONTRIBUTIONS_ROWS = 4  # times the root of the samples: each window reads N rows, each of its rows K others (measured)
LARGE_BATCH = 32  # and larger: where a window of several also has to multiply velocities, they are faster one by one

BY_FEATURE = ("adam", "adamw")
SNAPSHOTS = 2  # the best network and the last one, for a training that diverges
NEWTON_SCHULZ = 5 * 4  # products of Gram matrices in a step of Muon
DRIVEN_STEP = (
    7  # times `Machine.python_step`: what NumPy's calls of a step take that Python drives (`fcfast.training.stepwise`)
)
RULE_STEP = 5  # the same for each hidden layer of a rule that is not backpropagation
NOISE = 2.5e-9  # seconds of a random number (``_core/noise.pyx``)
DRIVEN_PASSES = {"sgd": 6, "muon": 20, "neuron-adam": 24, "adam": 16, "adamw": 16}  # such a step makes over what it changes
SPARSE_ENTRY = 30  # multiplications that take as long as finding the row that an entry of a sparse matrix is multiplied with
SPARSE_TRIANGLE = 0.6  # of a sparse Gram matrix is computed, the rest is its mirror image
SPARSE_SHARE = 1 / 250  # as in fcfast.gram.products: denser columns are multiplied as dense ones


@dataclass(frozen=True)
class FormCost:
    """What a form of the front layer takes.

    Attributes
    ----------
    seconds_once : float
        Before the first step: initial weights, Gram matrix, initial states, conversion of X.
    seconds_per_epoch, seconds : float
        Of an epoch, and altogether.
    n_bytes : int
        Held beside the data.
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
    form : {"contributions", "windowed", "weights"}
        The choice.
    window : int
        Its rows between two passes over what it holds.
    costs : mapping of str to FormCost
        For every form.
    machine : fcfast.planning.machine.Machine
        The figures that times were predicted with.
    reason : str
        Why this form, in a few words.
    explanation : str
        All this in a paragraph; ``str(plan)`` gives it too.
    """

    form: str
    window: int
    costs: Mapping[str, FormCost]
    machine: Machine = field(repr=False)
    reason: str
    explanation: str = field(repr=False)

    def __str__(self) -> str:
        return self.explanation


@dataclass(frozen=True)
class Problem:
    """The training that a plan is made for; the parameters are those of `plan`."""

    n_samples: int
    n_features: int
    hidden: tuple[int, ...]
    n_outputs: int
    batch_size: int
    n_epochs: int
    dtype: str
    density: float | None
    optimizer: str
    momentum: float
    weight_decay: float
    copies_X: bool
    n_products: float | None
    rule: Rule

    @property
    def gram_products(self) -> float:
        """Multiplications of the Gram matrix of sparse inputs."""
        if self.n_products is not None:
            return self.n_products
        return (self.density or 1.0) ** 2 * self.n_samples**2 * self.n_features

    @property
    def itemsize(self) -> int:
        """Bytes of a number."""
        return np.dtype(self.dtype).itemsize

    @property
    def widths(self) -> tuple[int, ...]:
        """Widths from the front layer's to the outputs'."""
        return *self.hidden, self.n_outputs

    @property
    def n_params(self) -> int:
        """Parameters above the front layer, and its biases."""
        return self.hidden[0] + sum(o * (i + 1) for i, o in pairwise(self.widths))

    @property
    def keeps_velocity(self) -> bool:
        """Whether there is an array beside what the front layer holds."""
        return self.optimizer != "sgd" or self.momentum > 0

    @property
    def is_compiled_whole(self) -> bool:
        """Whether a kernel trains whole epochs."""
        return type(self.rule) is Backprop and self.optimizer == "sgd"

    @property
    def drawn_numbers(self) -> int:
        """Noise that a step draws."""
        if not isinstance(self.rule, ForwardGradient):
            return 0
        return self.rule.drawn_numbers(self.n_features * self.hidden[0] + self.n_params, self.batch_size * sum(self.hidden))

    def columns(self, form: str) -> int:
        """Length of a row of what a form multiplies with: an input, or a row of the Gram matrix."""
        return self.n_samples if form == "contributions" else self.n_features


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
    optimizer: str = "sgd",
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
    Predictions are of training alone: reading data, scoring and expanding weights are not in them.

    Parameters
    ----------
    n_samples, n_features : int
        Shape of the training inputs X.
    hidden : int or sequence of int
        Widths of the hidden layers, the front layer first.
    batch_size : int
        More than `n_samples` means all of them.
    n_epochs : int
    dtype : {"float32", "float64"}
        Of computation and parameters.
    density : float or None
        Share of entries of a sparse X that are not zero, > 0 and at most 1; None for dense inputs. Without `n_products` they
        are taken as spread evenly over the features; text, which is not, can take forty times as long before the first step.
    memory_limit : int or None
        Bytes that a form may hold beside the data itself; None for 4 GiB.
    n_outputs : int
        Classes or targets.
    optimizer : {"sgd", "muon", "neuron-adam", "adam", "adamw"}
        Times are rough for those that are not "sgd".
    momentum, weight_decay : float
        As in `fcfast.optimizers.SGD`; other optimisers keep a velocity in any case.
    window : int or "auto"
        As in the estimators.
    form : {"auto", "contributions", "windowed", "weights"}
        "auto" chooses; another form is taken if it can be.
    copies_X : bool
        Whether the forms that multiply with weights need a copy of X: it has another dtype, or its rows are not contiguous.
    n_products : float or None
        Multiplications of the Gram matrix of a sparse X: the sum over its features of the squared number of entries.
    rule : str or object of `fcfast.rules`
        Times are rough for those that are not "backprop".
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
        If the form that is asked for cannot be trained with the optimiser, or an argument is out of range.

    Examples
    --------
    >>> import fcfast
    >>> fcfast.plan(100, 1_000_000, batch_size=100).form
    'contributions'
    >>> fcfast.plan(60_000, 784, batch_size=1, n_epochs=1).costs["contributions"].n_bytes > 60_000**2 * 4
    True
    """
    problem = _checked(
        n_samples,
        n_features,
        hidden,
        n_outputs,
        batch_size,
        n_epochs,
        dtype,
        density,
        optimizer,
        momentum,
        weight_decay,
        copies_X,
        n_products,
        rule,
    )
    validation.choice(form, "form", ("auto", *FORMS))
    given = DEFAULT_MEMORY_LIMIT if memory_limit is None else memory_limit
    limit = validation.in_range(given, "memory_limit", 0, math.inf)
    if not validation.is_auto(window):
        validation.integer(window, "window", 1)
    figures = machine(remeasure)
    windows = {name: choose_window(name, window, problem.batch_size, n_samples, problem.keeps_velocity) for name in FORMS}
    costs = {name: _cost(problem, name, windows[name], figures) for name in FORMS}
    costs = {name: replace(cost, reason=_obstacle(problem, name, cost, limit)) for name, cost in costs.items()}
    chosen = _choose(costs) if form == "auto" else form
    if chosen is None or costs[chosen].reason:
        _refuse(problem, form, costs, limit)
    assert chosen is not None
    reason = _reason(chosen, form, costs)
    return Plan(chosen, costs[chosen].window, costs, figures, reason, _explain(problem, chosen, reason, costs, figures))


def choose_window(form: str, window: int | str, batch_size: int, n_samples: int, has_velocity: bool) -> int:
    """Resolve ``window="auto"`` into rows, a multiple of the batch size."""
    if form == "weights":
        return batch_size
    if not isinstance(window, str):
        rows = min(int(window), n_samples)
    elif form == "windowed":
        rows = WINDOWED_ROWS
    elif has_velocity and batch_size >= LARGE_BATCH:
        rows = batch_size
    else:
        rows = round(CONTRIBUTIONS_ROWS * math.sqrt(n_samples))
    return max(batch_size, rows // batch_size * batch_size)


def _checked(
    n_samples: int,
    n_features: int,
    hidden: int | Sequence[int],
    n_outputs: int,
    batch_size: int,
    n_epochs: int,
    dtype: str,
    density: float | None,
    optimizer: str,
    momentum: float,
    weight_decay: float,
    copies_X: bool,
    n_products: float | None,
    rule: str | Rule,
) -> Problem:
    sizes = {"n_samples": n_samples, "n_features": n_features, "n_outputs": n_outputs, "batch_size": batch_size}
    n_samples, n_features, n_outputs, batch_size = (validation.size(value, name) for name, value in sizes.items())
    widths = tuple(hidden) if validation.has_items(hidden) else (hidden,)
    if not widths:
        raise ValueError("hidden is empty; give the width of at least one hidden layer, the front layer")
    if density is not None:
        density = validation.positive(density, "density")
        if density > 1:
            raise ValueError(f"density must be a share, at most 1, got {density!r}")
    if n_products is not None:
        validation.in_range(n_products, "n_products", 0, math.inf)
        if density is None:
            raise ValueError("n_products belongs to sparse inputs: give density too")
    validation.boolean(copies_X, "copies_X")
    return Problem(
        n_samples, n_features, tuple(validation.size(width, "hidden") for width in widths), n_outputs,
        min(batch_size, n_samples), validation.size(n_epochs, "n_epochs"),
        validation.choice(dtype, "dtype", ("float32", "float64")), density,
        validation.choice(optimizer, "optimizer", OPTIMIZERS), validation.in_range(momentum, "momentum", 0, 1),
        validation.in_range(weight_decay, "weight_decay", 0, math.inf), copies_X, n_products, make_rule(rule),
    )  # fmt: skip


# ----------------------------------------------------------------------------------------------------------------------
# what a form takes


def _cost(problem: Problem, form: str, window: int, figures: Machine) -> FormCost:
    once = _seconds_once(problem, form, figures)
    epoch = (
        _sgd_epoch(problem, form, window, figures)
        if problem.is_compiled_whole
        else _driven_epoch(problem, form, window, figures)
    )
    return FormCost(once, epoch, once + problem.n_epochs * epoch, _bytes(problem, form, window), window)


def _bytes(problem: Problem, form: str, window: int) -> int:
    """What a form holds beside the data: its arrays, the parameters above it, two snapshots of them, an epoch's scratch."""
    N, d, h = problem.n_samples, problem.n_features, problem.hidden[0]
    base = (N if form == "contributions" else d) * h
    copies = 2 if problem.keeps_velocity else 1
    held = (base + problem.n_params) * (copies + SNAPSHOTS)
    if form == "contributions":
        held += N * N + N * h
    elif problem.copies_X:
        held += N * d
    if problem.is_compiled_whole:
        widths = np.array(problem.widths, dtype=np.intp)
        held += backend.front.work_size(N, problem.batch_size, window, problem.columns(form), widths, problem.n_params)
    elif form == "weights":
        held += base * (2 if problem.optimizer in BY_FEATURE else 1)  # the gradient, and Adam's second moment
    elif form == "windowed":
        held += window * (problem.n_features + window + 4 * h)
    if not problem.is_compiled_whole:
        held += problem.n_params + problem.rule.kept_activations(len(problem.hidden)) * problem.batch_size * max(problem.hidden)
        held += problem.drawn_numbers
    return held * problem.itemsize


def _seconds_once(problem: Problem, form: str, figures: Machine) -> float:
    """Initial weights; Gram matrix and initial states; conversion of X."""
    N, d, h, size = problem.n_samples, problem.n_features, problem.hidden[0], problem.itemsize
    if form != "contributions":
        passes = 6 if problem.copies_X else 3  # three to look for what is not finite: that is slower than memory
        return figures.fill * d * h + figures.passes(passes * N * d * size, N * d * size)
    threads = figures.n_threads
    if problem.density is not None and FEWER * problem.density * N <= 1:
        d = math.ceil(problem.density * N * d)  # columns without entries are left out, and no more can have some
    made = figures.draw * d * h / figures.speedup
    if problem.density is not None and problem.gram_products < SPARSE_SHARE * N * N * d:
        n_entries = problem.density * N * problem.n_features
        products = SPARSE_TRIANGLE * problem.gram_products + SPARSE_ENTRY * n_entries
        return made + figures.sparse_pair * products / figures.speedup + figures.sparse_product * n_entries * h
    gram = figures.product(N, N, d, problem.dtype, threads) / 2  # symmetric
    converted = figures.passes(2 * N * d * size, N * d * size) if problem.copies_X or problem.density is not None else 0.0
    return made + gram + converted + figures.product(N, h, d, problem.dtype, threads)


def _sgd_epoch(problem: Problem, form: str, window: int, figures: Machine) -> float:
    """An epoch of the kernel: windows of as many rows, and a shorter one."""
    rows = min(window, problem.n_samples) if figures.windows else problem.batch_size
    threads = _threads(problem, problem.columns(form), rows, figures)
    n_windows, rest = divmod(problem.n_samples, rows)
    seconds = figures.python_step + n_windows * _window_seconds(problem, form, rows, threads, figures)
    return seconds + (_window_seconds(problem, form, rest, threads, figures) if rest else 0.0)


def _window_seconds(problem: Problem, form: str, K: int, threads: int, figures: Machine) -> float:
    """A window of K rows, some steps long (``_core/front.pyx``)."""
    N, h, size = problem.n_samples, problem.hidden[0], problem.itemsize
    columns, contributions, copies = problem.columns(form), form == "contributions", 2 if problem.momentum else 1
    B = min(problem.batch_size, K)
    n_steps = -(-K // B)
    base = columns * h * size

    def product(m: float, n: float, k: float) -> float:
        return figures.product(m, n, k, problem.dtype, threads)

    seconds = n_steps * _upper_step(problem, B, threads, figures)
    seconds += product(K, h, columns) * (copies if n_steps > 1 else 1)
    seconds += figures.passes(2 * K * columns * size, N * columns * size)  # rows gathered
    if problem.momentum:
        seconds += max(figures.decay[problem.dtype] * columns * h, figures.passes(4 * base, 2 * base))
    elif problem.weight_decay or not figures.windows:
        seconds += figures.passes(2 * base, base)
    if contributions:
        seconds += copies * figures.passes(3 * K * h * size, copies * base)
    else:
        seconds += copies * product(h, columns, K)
    if n_steps > 1:
        gram = 0.0 if contributions else product(K, K, columns)
        seconds += gram + (n_steps - 1) * product(B, h, K / 2)
    return seconds


def _upper_step(problem: Problem, B: int, threads: int, figures: Machine) -> float:
    """A step above the front layer: three products a layer, activations and deltas, the update of the parameters."""
    seconds = figures.step + B * figures.row + B * sum(problem.hidden) * figures.element
    for i, o in pairwise(problem.widths):
        seconds += 3 * figures.product(B, o, i, problem.dtype, threads)
    held = 3 * problem.n_params * problem.itemsize
    return seconds + figures.passes(held * 5 / 3, held)


def _threads(problem: Problem, columns: int, window: int, figures: Machine) -> int:
    """Threads of BLAS: one where the largest product is small (`fcfast.threads.blas_threads_for`)."""
    largest = max(
        2.0 * window * columns * problem.hidden[0], *(2.0 * problem.batch_size * i * o for i, o in pairwise(problem.widths))
    )
    return figures.n_threads if largest >= SMALL_PRODUCT else 1


def _driven_epoch(problem: Problem, form: str, window: int, figures: Machine) -> float:
    """An epoch that Python drives step by step: roughly, a few passes over what the form holds, and products."""
    N, h, B, size = problem.n_samples, problem.hidden[0], problem.batch_size, problem.itemsize
    d, columns = problem.n_features, problem.columns(form)
    K = {"weights": B, "windowed": min(window, N), "contributions": N}[form]  # inputs whose coordinates a step changes
    threads = _threads(problem, columns, K, figures)

    def product(m: float, n: float, k: float) -> float:
        return figures.product(m, n, k, problem.dtype, threads)

    muon = problem.optimizer == "muon"
    n_held = d if form == "weights" else K
    touched = n_held * h * size
    n_layers, rule = len(problem.hidden), problem.rule
    share = rule.matrix_products(n_layers) / Backprop().matrix_products(n_layers)
    step = share * _upper_step(problem, B, threads, figures) + NOISE * problem.drawn_numbers
    step += (DRIVEN_STEP + (0 if type(rule) is Backprop else RULE_STEP * n_layers)) * figures.python_step
    step += product(B, h, n_held) + figures.passes(DRIVEN_PASSES[problem.optimizer] * touched, 3 * touched)
    if form == "weights":
        step += product(h, d, B)
    if muon:
        side = h if form == "windowed" else min(h, n_held)
        step += DRIVEN_STEP * figures.python_step + product(side, side, max(h, n_held)) + product(h, n_held, side)
        step += NEWTON_SCHULZ * product(side, side, side) + (0.0 if form == "weights" else product(n_held, h, n_held))
    seconds = -(-N // B) * step
    if form == "windowed":
        products = 2 * product(K, h, d) + 2 * product(h, d, K) + product(K, K, d)
        mixed = product(h, d, h) * 2 if muon else figures.passes(8 * d * h * size, 2 * d * h * size)
        seconds += -(-N // K) * (products + mixed)
    return seconds


# ----------------------------------------------------------------------------------------------------------------------
# the choice


def _obstacle(problem: Problem, form: str, cost: FormCost, limit: float) -> str:
    """Say why a form is out of the question; nothing if it is not."""
    if form != "contributions" and problem.density is not None:
        return "needs a dense X"
    rarely = "touches the weights only once per window" if form == "windowed" else "does not hold the weights"
    if form != "weights" and problem.optimizer in BY_FEATURE:
        return f"{rarely}, and {problem.optimizer} scales every weight by itself"
    if form != "weights" and not problem.rule.stays_in_span:
        return f"{rarely}, which the rule moves in random directions"
    if cost.n_bytes > limit:
        return f"holds {bytes_text(cost.n_bytes)}, over memory_limit={bytes_text(limit)}"
    return ""


def _choose(costs: Mapping[str, FormCost]) -> str | None:
    """Choose the fastest form that can be; "weights" only where it is faster than windows of several batches."""
    possible = [name for name in ("contributions", "windowed", "weights") if not costs[name].reason]
    return min(possible, key=lambda name: costs[name].seconds, default=None)


def _refuse(problem: Problem, form: str, costs: Mapping[str, FormCost], limit: float) -> None:
    """Raise the error that says why no form can be, or not the one that is asked for."""
    alternative = _choose(costs)
    if problem.density is not None and problem.optimizer in BY_FEATURE:
        raise ValueError(
            f"optimizer={problem.optimizer!r} needs form='weights', which needs a dense X, got a sparse matrix; "
            "use optimizer='neuron-adam' or 'muon', or X.toarray()"
        )
    if not problem.rule.stays_in_span and (form not in ("auto", "weights") or problem.density is not None):
        why = "the rule moves the front layer's weights in random directions, out of the span of the inputs"
        if problem.density is not None:
            raise ValueError(
                f"{why}, which needs form='weights' and so a dense X, got a sparse matrix; use X.toarray(), or a rule that "
                "moves activations"
            )
        raise ValueError(f"{why}, which form={form!r} cannot hold; use form='weights', or a rule that moves activations")
    if form != "auto" and form != "contributions" and problem.density is not None:
        raise TypeError(f"form={form!r} needs a dense X, got a sparse matrix; use form='contributions', or X.toarray()")
    if form not in ("auto", "weights") and problem.optimizer in BY_FEATURE:
        raise ValueError(
            f"optimizer={problem.optimizer!r} scales every weight by itself, which does not commute with rotations of the "
            f"inputs: form={form!r} cannot hold that. Use optimizer='neuron-adam' or 'muon', or form='weights'"
        )
    N = problem.n_samples
    instead = f", or form={alternative!r}, which holds {bytes_text(costs[alternative].n_bytes)}" if alternative else ""
    if form == "contributions":
        raise MemoryError(
            f"form='contributions' needs a Gram matrix of {N} x {N} samples, {bytes_text(N * N * problem.itemsize)}, and "
            f"holds {bytes_text(costs[form].n_bytes)} in all, over memory_limit={bytes_text(limit)}; raise the limit, use "
            f"fewer samples{instead}"
        )
    if form != "auto":
        raise MemoryError(f"form={form!r} {costs[form].reason}; raise the limit, use fewer hidden units{instead}")
    reasons = "; ".join(f"{name!r} {cost.reason}" for name, cost in costs.items())
    raise MemoryError(
        f"no form of the front layer for {N} x {problem.n_features} inputs and {problem.hidden[0]} hidden units: {reasons}. "
        "Raise memory_limit, or use fewer samples or hidden units"
    )


def _reason(chosen: str, asked: str, costs: Mapping[str, FormCost]) -> str:
    """Say why this form was chosen."""
    if asked != "auto":
        return "as asked"
    possible = {name: cost.seconds for name, cost in costs.items() if name != chosen and not cost.reason}
    if not possible:
        return "the only one that can be: " + "; ".join(
            f"{name!r} {cost.reason}" for name, cost in costs.items() if cost.reason
        )
    second = min(possible, key=lambda name: possible[name])
    ratio = possible[second] / costs[chosen].seconds
    return f"{ratio:.3g} times as fast as {second!r}" if ratio > 1.005 else f"no slower than {second!r}"


def _explain(problem: Problem, chosen: str, reason: str, costs: Mapping[str, FormCost], figures: Machine) -> str:
    """Put the plan into a paragraph."""
    kind = "dense" if problem.density is None else f"sparse ({problem.density:.2g} of the entries)"
    layers = " and ".join(str(width) for width in problem.hidden)
    rate = figures.inner[problem.dtype][-1] * figures.speedup / 1e9
    sentences = [
        f"Training on {problem.n_samples:,} samples of {problem.n_features:,} {kind} features, {layers} hidden units, "
        f"batches of {problem.batch_size:,}, {problem.rule.name} with {problem.optimizer}, {problem.n_epochs:,} epochs in "
        f"{problem.dtype}."
    ]
    for name, cost in costs.items():
        if cost.reason:
            sentences.append(f"Form {name!r} is out of the question: it {cost.reason}.")
        else:
            sentences.append(
                f"Form {name!r} would take {duration(cost.seconds)}, {duration(cost.seconds_once)} of it before the first "
                f"step, and hold {bytes_text(cost.n_bytes)} beside the data."
            )
    if problem.density is not None and problem.n_products is None:
        sentences.append(
            "Entries are taken as spread evenly over the features; text can take forty times as long before the first step."
        )
    sentences.append(f"Chosen: {chosen!r}, {reason}.")
    sentences.append(
        f"Times are predictions for this machine ({rate:,.0f} billion operations a second in large products on "
        f"{figures.n_threads} thread(s))."
    )
    return " ".join(sentences)
