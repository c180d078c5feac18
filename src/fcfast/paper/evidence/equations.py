"""Verdicts on the numbered equations. Each is evaluated as printed on random networks and compared with actual training.

An error is the largest absolute deviation over all networks and units (numbers of order 1). "as printed" is the equation
in the paper, "corrected" is the equation with the correction of the verdict.
"""

import numpy as np
from numpy.typing import NDArray

from fcfast.paper.evidence.judgement import Judgement, Register, judge, judge_corrected
from fcfast.paper.evidence.laboratory import Laboratory, Step, relu
from fcfast.paper.experiments import XOR_DATA

Floats = NDArray[np.float64]
claim = Register()

ONE_STEP = "Supplementary 6, equation {}"


def worst(difference: Floats) -> float:
    """Return the largest absolute value; NaN counts as infinite."""
    return float(np.nan_to_num(np.abs(difference), nan=np.inf).max(initial=0))


def error_of(W1: Floats, w: Floats, step: Step) -> Floats:
    """Return E of equation 12 for given weights."""
    y = (w * relu(np.einsum("njf,nf->nj", W1, step.x))).sum(axis=1)
    return (y - step.gold) ** 2 / 2


def slope(step: Step, layer: str, index: tuple[int, ...], h: float = 1e-6) -> Floats:
    """Return the central difference of E with respect to one weight of every network."""
    values = []
    for sign in (1, -1):
        W1, w = step.W1.copy(), step.w.copy()
        weights = W1 if layer == "W1" else w
        weights[np.index_exp[:] + index] += sign * h
        values.append(error_of(W1, w, step))
    difference: Floats = (values[0] - values[1]) / (2 * h)
    return difference


@claim("eq. 4", "Section 3, equation 4", "Weights p, q exist that keep Y when W1 is not updated: y = sum (w + p) v^c")
def equation_4(lab: Laboratory) -> Judgement:
    result = lab.study("weights")
    evidence = {
        "median error over 1000 iterations": result.quantile(0.5),
        "largest error": result.quantile(1),
        "share of seeds under 1e-15": result.share_below(),
    }
    return judge(result.quantile(1), evidence, limit=1e-11)


@claim("eq. 5", "Section 3, equation 5 (as 32)", "Several inputs: sums and differences s, S carried from one input to the next")
def equation_5(lab: Laboratory) -> Judgement:
    return sums_and_differences(lab)


@claim("eq. 7", "Section 2, equations 2, 3, 7, 8", "The update of W1 does not depend on W1 itself, so W1 is no variable")
def equation_7(lab: Laboratory) -> Judgement:
    step = lab.step()
    other = Step(step.x, step.W1 * 0.9, step.w, step.gold, step.eta)
    update, other_update = step.W1_new - step.W1, other.W1_new - other.W1
    evidence = {"change of the update of W1 when W1 alone is scaled by 0.9": worst(update - other_update)}
    return judge(worst(update - other_update), evidence)


@claim("eq. 13", ONE_STEP.format(13), "w5' = w5 - eta dE/dY v1 is gradient descent on the final layer")
def equation_13(lab: Laboratory) -> Judgement:
    step = lab.step()
    error = max(worst(step.w_new[:, j] - (step.w[:, j] - step.eta * slope(step, "w", (j,)))) for j in range(2))
    return judge(error, {"error against a numerical gradient": error}, limit=1e-8)


@claim("eq. 14", ONE_STEP.format(14), "w1' = w1 - eta dE/dY w5' x1 (s1 > 0) is gradient descent on the first layer")
def equation_14(lab: Laboratory) -> Judgement:
    step = lab.step()
    # The numerical gradient needs s1 away from the kink.
    clear = np.abs(step.s) > 1e-4
    gradient = np.stack([[slope(step, "W1", (j, f)) for f in range(2)] for j in range(2)]).transpose(2, 0, 1)
    descent = -step.eta * gradient
    old_weights = -step.eta * (step.dE_dY * step.w * step.living)[:, :, None] * step.x[:, None, :]
    printed, corrected = worst((step.W1_new - step.W1 - descent)[clear]), worst((old_weights - descent)[clear])
    sequential, simultaneous = lab.study("states", "sequential"), lab.study("states")
    evidence = {
        "as printed (w5'), error against a numerical gradient": printed,
        "corrected (w5), error against a numerical gradient": corrected,
        "share of seeds that diverge on XOR as printed": sequential.diverged_share,
        "share of seeds that diverge on XOR corrected": simultaneous.diverged_share,
    }
    correction = "backpropagation has the old w5 in place of w5'; w5' gives another dynamical system, which can diverge"
    return judge_corrected(printed, corrected, correction, evidence, limit=1e-8)


@claim("eq. 15", ONE_STEP.format(15), "After the update y' = w5' v1' + w6' v2', v' = ReLU(W1' x)")
def equation_15(lab: Laboratory) -> Judgement:
    step = lab.step()
    literal = sum(step.w_new[:, j] * relu((step.W1_new[:, j] * step.x).sum(axis=1)) for j in range(2))
    error = worst(literal - step.follow(step.x, step.gold).y)
    return judge(error, {"error": error})


@claim("eq. 16", ONE_STEP.format(16), "dE/dY = y - y_g = (w5 v1 + w6 v2) - y_g")
def equation_16(lab: Laboratory) -> Judgement:
    step, h = lab.step(), 1e-6
    numerical = ((step.y + h - step.gold) ** 2 - (step.y - h - step.gold) ** 2) / (4 * h)
    error = worst(numerical - step.dE_dY[:, 0])
    return judge(error, {"error against a numerical derivative": error}, limit=1e-8)


DEAD_UNITS = "true only while s1 > 0: a dead unit does not change (equation 24 has this condition, this one does not)"


@claim("eq. 17", ONE_STEP.format(17), "s1' = s1 - eta dE/dY w5' (x1^2 + x2^2)")
def equation_17(lab: Laboratory) -> Judgement:
    step = lab.step()
    error = step.s - step.eta * step.dE_dY * step.w_new * step.norm - step.s_new
    return judge_for_living(step, error)


@claim("eq. 18", ONE_STEP.format(18), "On the next input: s1'@ = s1@ - eta dE/dY w5' (x1 x1@ + x2 x2@)")
def equation_18(lab: Laboratory) -> Judgement:
    step, other = lab.step(), lab.inputs(2)[1]
    overlap = (step.x * other).sum(axis=1, keepdims=True)
    after = step.follow(other, step.gold).s
    error = step.at(other) - step.eta * step.dE_dY * step.w_new * overlap - after
    return judge_for_living(step, error)


def judge_for_living(step: Step, error: Floats) -> Judgement:
    """Judge an equation without the condition s1 > 0."""
    evidence = {
        "as printed, error over all units": worst(error),
        "corrected, error over living units": worst(error[step.living]),
    }
    return judge_corrected(worst(error), worst(error[step.living]), DEAD_UNITS, evidence)


ZERO_INPUTS = "undefined for an input of zeros, such as (0, 0) in XOR; S = S0 + G A needs no division by |x|^2"


@claim("eq. 19", ONE_STEP.format(19), "s1'@ = s1@ + (s1' - s1) / (x1^2 + x2^2) (x1 x1@ + x2 x2@)")
def equation_19(lab: Laboratory) -> Judgement:
    step, other = lab.step(), lab.inputs(2)[1]
    return judge_with_zero_input(lab, worst(chain(step, [other]) - step.follow(other, step.gold).s), 1)


@claim("eq. 20", ONE_STEP.format(20), "The same chained over the next two inputs: s1'' and s1''' from all earlier increments")
def equation_20(lab: Laboratory) -> Judgement:
    inputs, step, error = lab.inputs(4), lab.step(), 0.0
    current = step
    for t in range(1, 4):
        current = current.follow(inputs[t], step.gold)
        truth = current.s
        error = max(error, worst((chain(step, list(inputs[1 : t + 1])) - truth) / (1 + np.abs(truth))))
    return judge_with_zero_input(lab, error, 3)


def chain(step: Step, inputs: list[Floats]) -> Floats:
    """Return the right-hand side of equations 19 and 20: the last pre-activation from the increments on all earlier inputs."""
    last = inputs[-1]
    total = step.at(last)
    for x in inputs:
        share = (step.s_new - step.s) / step.norm
        total = total + share * (step.x * last).sum(axis=1, keepdims=True)
        step = step.follow(x, step.gold)
    return total


def judge_with_zero_input(lab: Laboratory, error: float, n_steps: int) -> Judgement:
    """Judge an equation that divides by |x|^2, also after a first input (0, 0)."""
    step = lab.step()
    zero = Step(np.zeros_like(step.x), step.W1, step.w, step.gold, step.eta)
    with np.errstate(invalid="ignore"):  # 0 / 0 is the point of this evidence
        undefined = float(np.isnan(chain(zero, list(lab.inputs(4)[1 : n_steps + 1]))).mean())
    contributions = lab.study("contributions")
    evidence = {
        "error on inputs other than zero": error,
        "share undefined after an input (0, 0)": undefined,
        "corrected, largest error on XOR over 1000 iterations": contributions.quantile(1),
    }
    printed = np.inf if undefined > 0 else error
    return judge_corrected(printed, max(error, contributions.quantile(1) / 100), ZERO_INPUTS, evidence)


@claim("eq. 21", ONE_STEP.format(21), "As equation 4: v1 w5 + v2 w6 = v1^c (w5 + p) + v2^c (w6 + q)")
def equation_21(lab: Laboratory) -> Judgement:
    return equation_4(lab)


def compensation(step: Step) -> Floats:
    """Return p, q as defined by equation 22; 0 for a unit whose v^c is 0."""
    return np.divide(step.dv * step.w_new, step.v, out=np.zeros_like(step.v), where=step.living)


@claim("eq. 22", ONE_STEP.format(22), "(v1^c + dv1') w5' = v1^c (w5' + p), so dv1' w5' = v1^c p")
def equation_22(lab: Laboratory) -> Judgement:
    step = lab.step()
    p = compensation(step)
    error = max(worst(step.v * p - step.dv * step.w_new), worst(relu(step.s_new) * step.w_new - step.v * (step.w_new + p)))
    return judge(error, {"error": error})


@claim("eq. 23", ONE_STEP.format(23), "dv1' is 0, or dw1' x1 + dw2' x2, or -s1; the third case is a dead unit becoming active")
def equation_23(lab: Laboratory) -> Judgement:
    step = lab.step()
    moved = ((step.W1_new - step.W1) * step.x[:, None, :]).sum(axis=2)
    cases = np.where(~step.living, 0, np.where(step.s_new >= 0, moved, -step.s))
    error = worst(cases - step.dv)
    revived = float((~step.living & (step.s_new > 0)).mean())
    died = float((step.living & (step.s_new <= 0)).mean())
    evidence = {
        "error of the formulas": error,
        "share of units dead, then active (the prose)": revived,
        "share of units active, then dead (the formula)": died,
    }
    correction = "the third case is an active unit that dies, as its formula -s1 says; on one input a dead unit never revives"
    return judge_corrected(error if revived > 0 else np.inf, error, correction, evidence)


@claim("eq. 24", ONE_STEP.format(24), "s1' = s1 - eta dE/dY w5' (x1^2 + x2^2) (s1 >= 0)")
def equation_24(lab: Laboratory) -> Judgement:
    step = lab.step()
    error = worst(step.s - step.eta * step.dE_dY * step.w_new * step.norm * (step.s >= 0) - step.s_new)
    return judge(error, {"error": error})


@claim("eq. 25", ONE_STEP.format(25), "dv1' = -eta dE/dY w5' (x1^2 + x2^2) if s1 >= 0 and s1' >= 0; -s1 if s1 >= 0 and s1' < 0")
def equation_25(lab: Laboratory) -> Judgement:
    step = lab.step()
    full = -step.eta * step.dE_dY * step.w_new * step.norm
    printed = full * ((step.s >= 0) & (step.s + full >= 0)) - step.s * ((step.s >= 0) & (step.s + full < 0))
    error = worst(printed - step.dv)
    return judge(error, {"error": error})


@claim("eq. 26", ONE_STEP.format(26), "p = -eta dE/dY w5'^2 (x1^2 + x2^2) / v1^c while the unit stays active")
def equation_26(lab: Laboratory) -> Judgement:
    step = lab.step()
    stays = step.living & (step.s_new > 0)
    scale = -step.eta * step.dE_dY * step.norm * step.w_new
    first_line, last_line = scale[stays] * step.w_new[stays] / step.v[stays], scale[stays] / step.v[stays]
    truth = compensation(step)[stays]
    relative = np.abs(truth) + 1
    printed, corrected = worst((last_line - truth) / relative), worst((first_line - truth) / relative)
    evidence = {"last line as printed, error": printed, "first lines (with both factors w5'), error": corrected}
    return judge_corrected(printed, corrected, "the last line drops one of the two factors w5'", evidence)


@claim("eq. 27", ONE_STEP.format(27), "p = -w5' when the unit dies (printed with the condition s1' >= 0)")
def equation_27(lab: Laboratory) -> Judgement:
    step = lab.step()
    truth = compensation(step)
    stays, dies = step.living & (step.s_new >= 0), step.living & (step.s_new < 0)
    printed, corrected = worst((truth + step.w_new)[stays]), worst((truth + step.w_new)[dies])
    evidence = {
        "as printed (s1' >= 0), error": printed,
        "corrected (s1' < 0), error": corrected,
        "units that died": float(dies.sum()),
    }
    correction = "the second condition must be s1' < 0, as in equation 25"
    return judge_corrected(printed, corrected if dies.any() else np.inf, correction, evidence)


@claim("eq. 31", ONE_STEP.format(31), "For the next input p@ = p - eta dE/dy w5'^2 (x1 x1@ + x2 x2@) / v1@")
def equation_31(lab: Laboratory) -> Judgement:
    step, other = lab.step(), lab.inputs(2)[1]
    before, after = step.at(other), step.follow(other, step.gold).s
    # The derivation assumes that a unit is active on both inputs, before and after the update.
    active = step.living & (step.s_new > 0) & (before > 0) & (after > 0)
    overlap = (step.x * other).sum(axis=1, keepdims=True)
    p = compensation(step)[active]
    moved = (-step.eta * step.dE_dY * step.w_new**2 * overlap)[active] / before[active]
    truth = (after * step.w_new)[active] / before[active] - step.w_new[active] - p
    scale = np.abs(truth) + np.abs(p) + 1
    printed, corrected = worst((p + moved - truth) / scale), worst((-p + moved - truth) / scale)
    contributions = lab.study("contributions")
    evidence = {
        "as printed (+p), error": printed,
        "corrected (-p), error": corrected,
        "rows stored by contributions, whatever the number of iterations (XOR)": float(len(XOR_DATA[0])),
        "their largest error over 1000 iterations": contributions.quantile(1),
    }
    correction = (
        "the line before it gives p@ = -p - ..., so the sign of p is lost; and the whole input sequence need not be stored: "
        "one row of contributions per distinct input is enough"
    )
    return judge_corrected(printed, corrected, correction, evidence)


@claim(
    "eq. 32",
    ONE_STEP.format(32),
    "Several inputs: s1@' = (s1' + S1')/2 x1@ + (s1' - S1')/2 x2@, likewise S, from input to input",
)
def equation_32(lab: Laboratory) -> Judgement:
    return sums_and_differences(lab)


def sums_and_differences(lab: Laboratory) -> Judgement:
    """Judge equations 5 and 32 on XOR, as printed and with the coordinates taken at (1, 1)."""
    literal, canonical = lab.study("sum_difference_literal"), lab.study("sum_difference")
    evidence = {
        "as printed, median error on XOR": literal.quantile(0.5),
        "corrected, median error on XOR": canonical.quantile(0.5),
        "corrected, largest error": canonical.quantile(1),
        "corrected, share of seeds under 1e-15": canonical.share_below(),
    }
    correction = (
        "s and S must always be the coordinates at the input (1, 1), s = w1 + w2 and S = w1 - w2; if they are chained from "
        "input to input, a weight is lost wherever a coordinate is 0"
    )
    return judge_corrected(literal.quantile(0.5), canonical.quantile(1), correction, evidence, limit=1e-11)


ENTRIES = tuple(claim.entries)
