"""A plan in words: why a form was chosen, what each would take, and why none can be."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from fcfast.front.base import FORMS, FrontForm
from fcfast.optimizers import OPTIMIZERS
from fcfast.planning.figures import Machine
from fcfast.planning.problem import Problem
from fcfast.units import bytes_text, duration

if TYPE_CHECKING:
    from fcfast.planning.plan import FormCost

_MOVES_RANDOMLY = "the rule moves the front layer's weights in random directions, out of the span of the inputs"


def over_limit(problem: Problem, n_bytes: int, limit: float) -> str:
    """Say that a form holds more than it may."""
    blocks = "" if problem.n_blocks == 1 else f" for {problem.n_blocks} blocks"
    return f"holds {bytes_text(n_bytes)}{blocks}, over memory_limit={bytes_text(limit)}"


def reason(chosen: str, asked: str, costs: "Mapping[str, FormCost]", why_asked: str) -> str:
    """Say why this form was chosen."""
    if asked != "auto":
        return why_asked
    possible = {name: cost.seconds for name, cost in costs.items() if name != chosen and not cost.reason}
    if not possible:
        return "the only one that can be: " + "; ".join(
            f"{name!r} {cost.reason}" for name, cost in costs.items() if cost.reason
        )
    second = min(possible, key=lambda name: possible[name])
    ratio = possible[second] / costs[chosen].seconds
    return f"{ratio:.3g} times as fast as {second!r}" if ratio > 1.005 else f"no slower than {second!r}"


def explanation(problem: Problem, chosen: str, why: str, costs: "Mapping[str, FormCost]", machine: Machine) -> str:
    """Put a plan into a paragraph."""
    kind = "dense" if problem.density is None else f"sparse ({problem.density:.2g} of the entries)"
    layers = " and ".join(str(width) for width in problem.hidden)
    blocks = "" if problem.n_blocks == 1 else f"{problem.n_blocks:,} blocks of "
    rate = machine.inner[problem.dtype][-1] * machine.speedup / 1e9
    sentences = [
        f"Training on {problem.n_samples:,} samples of {problem.n_features:,} {kind} features, {blocks}{layers} hidden units, "
        f"batches of {problem.batch_size:,}, {problem.rule.name} with {problem.optimizer.name}, {problem.n_epochs:,} epochs in "
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
    sentences.append(f"Chosen: {chosen!r}, {why}.")
    sentences.append(
        f"Times are predictions for this machine ({rate:,.0f} billion operations a second in large products on "
        f"{machine.n_threads} thread(s))."
    )
    return " ".join(sentences)


# ----------------------------------------------------------------------------------------------------------------------
# errors


def refusal(problem: Problem, asked: str, costs: "Mapping[str, FormCost]", alternative: str | None, limit: float) -> Exception:
    """Make the error that says why no form can be, or not the one that is asked for.

    Parameters
    ----------
    problem : Problem
    asked : str
        A form, or "auto".
    costs : mapping of str to FormCost
    alternative : str or None
        The form that would be chosen.
    limit : float
        Bytes that a form may hold.
    """
    able = [name for name in costs if not _form(name, problem).obstacle(problem)]
    if not able or (asked != "auto" and asked not in able):
        return _cannot_train(problem, asked, able)
    if asked != "auto":
        form, cost = _form(asked, problem), costs[asked]
        part = form.largest_part(problem)
        instead = f", or form={alternative!r}, which holds {bytes_text(costs[alternative].n_bytes)}" if alternative else ""
        return MemoryError(
            f"form={asked!r} {f'needs {part}, and ' if part else ''}{over_limit(problem, cost.n_bytes, limit)}; "
            f"raise the limit, {form.saving}{_fewer_blocks(problem)}{instead}"
        )
    reasons = "; ".join(f"{name!r} {cost.reason}" for name, cost in costs.items())
    return MemoryError(
        f"no form of the front layer for {problem.n_samples} x {problem.n_features} inputs and {problem.n_hidden} hidden "
        f"units: {reasons}. Raise memory_limit, or use fewer samples or hidden units{_fewer_blocks(problem)}"
    )


def _cannot_train(problem: Problem, asked: str, able: list[str]) -> Exception:
    """Say why a form cannot train this, or none can, whatever the memory."""
    wanted = "form=" + _either(name for name, form in FORMS.items() if form.updates_each_weight)
    is_sparse, stays = problem.density is not None, problem.rule.stays_in_span
    use_form = f"use form={_either(able)}, or " if able else "use "
    # where the updates themselves are the obstacle, a form that takes these inputs would not help
    if not able and (unfit := _unfit_for_weights(problem)):
        why, remedy = f"needs {wanted}, which {unfit[0]}; use", unfit[1]
        if not stays:
            return ValueError(f"{_MOVES_RANDOMLY}, which {why} {remedy}, or a rule that moves activations")
        if not problem.optimizer.commutes:
            return ValueError(f"optimizer={problem.optimizer.name!r} {why} {_other_optimizers()}, or {remedy}")
    form = None if asked == "auto" else _form(asked, problem)
    if form is not None and is_sparse and (not form.takes_sparse or problem.centres_entries):
        return TypeError(f"form={asked!r} {form.obstacle(problem)}, got a sparse matrix; {use_form}X.toarray()")
    if form is not None and not form.updates_each_weight and not stays:
        return ValueError(f"{_MOVES_RANDOMLY}, which form={asked!r} cannot hold; {use_form}a rule that moves activations")
    if form is not None and not form.updates_each_weight and not problem.optimizer.commutes:
        return ValueError(
            f"optimizer={problem.optimizer.name!r} scales every weight by itself, which does not commute with rotations of the "
            f"inputs: form={asked!r} cannot hold that. Use {_other_optimizers()}{f', or form={_either(able)}' if able else ''}"
        )
    reasons = "; ".join(f"form={name!r} {_form(name, problem).obstacle(problem)}" for name in FORMS if asked in ("auto", name))
    return ValueError(f"{reasons}; use form={_either(able)}" if able else f"no form of the front layer can be: {reasons}")


def _form(name: str, problem: Problem) -> type[FrontForm]:
    """Give the class that holds a form for these inputs."""
    form: type[FrontForm] = FORMS[name]
    return form.variant(problem.density is not None)


def _unfit_for_weights(problem: Problem) -> tuple[str, str] | None:
    """Say what keeps inputs from a form that updates each weight, and the remedy; None if nothing does."""
    if problem.density is not None and not problem.rule.stays_in_span:
        return "needs a dense X, got a sparse matrix", "X.toarray()"
    if problem.density is not None:
        takes = "that takes 'sgd' or 'neuron-adam', or 'adagrad' or 'rmsprop' without weight decay"
        return f"on sparse samples leaves features without entries alone ({takes})", "X.toarray()"
    if problem.is_elsewhere:
        return "needs all samples in this process, and a dask array stays on its cluster", "X.compute()"
    if not problem.has_features:
        return "holds weights for features, but a Gram matrix or a kernel stands for the samples", "X with kernel='linear'"
    return None


def _fewer_blocks(problem: Problem) -> str:
    return "" if problem.n_blocks == 1 else " or blocks"


def _other_optimizers() -> str:
    return "optimizer=" + _either(name for name, kind in OPTIMIZERS.items() if kind.commutes)


def _either(names: Iterable[str]) -> str:
    return " or ".join(map(repr, names))
