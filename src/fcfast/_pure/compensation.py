"""One input, compensation in the final layer (twin of ``_core/compensation.pyx``)."""

import numpy as np
from numpy.typing import NDArray

from fcfast._pure.mathfn import quiet, relu
from fcfast._pure.two_layer import Floats, learn_units, stop


@quiet
def weights(
    s: Floats,
    w2: Floats,
    effective: Floats,
    frozen: Floats,
    norm: float,
    targets: Floats,
    eta: float,
    sequential: bool,
    outputs: Floats,
    diverged_at: NDArray[np.intp],
    n_threads: int,
) -> None:
    """Technique "weights": the final weights move and a compensation p is added to them (equations 4, 22-27)."""
    for i in range(len(s)):
        diverged_at[i] = _weights_network(s[i], w2[i], effective[i], frozen[i], norm, targets[0], eta, sequential, outputs[i])


def _weights_network(
    s: Floats,
    w2: Floats,
    effective: Floats,
    frozen: Floats,
    norm: float,
    target: Floats,
    eta: float,
    sequential: bool,
    outputs: Floats,
) -> int:
    for t, y in enumerate(outputs):
        effective[:] = w2 + w2 * (_ratio(s, frozen) - 1)  # w2 + p
        y[:] = effective @ frozen
        if not np.isfinite(y).all():
            return stop(outputs, t)
        s += norm * learn_units(w2, relu(s), y - target, eta, sequential)
    effective[:] = w2 + w2 * (_ratio(s, frozen) - 1)
    return -1


def _ratio(s: Floats, frozen: Floats) -> Floats:
    """Ratio v / v^c; 1 where v^c = 0: that unit is dead and needs no compensation."""
    return np.divide(relu(s), frozen, out=np.ones_like(s), where=frozen > 0)


@quiet
def compensation(
    s: Floats,
    p: Floats,
    w2: Floats,
    effective: Floats,
    recovered: Floats,
    frozen: Floats,
    norm: float,
    targets: Floats,
    eta: float,
    sequential: bool,
    outputs: Floats,
    diverged_at: NDArray[np.intp],
    n_threads: int,
) -> None:
    """Technique "compensation": no weight is updated, only the compensations p of the final weights."""
    for i in range(len(s)):
        diverged_at[i] = _compensation_network(
            s[i], p[i], w2[i], effective[i], recovered[i], frozen[i], norm, targets[0], eta, sequential, outputs[i]
        )


def _compensation_network(
    s: Floats,
    p: Floats,
    w2: Floats,
    effective: Floats,
    recovered: Floats,
    frozen: Floats,
    norm: float,
    target: Floats,
    eta: float,
    sequential: bool,
    outputs: Floats,
) -> int:
    for t, y in enumerate(outputs):
        effective[:] = w2 + p
        y[:] = effective @ frozen
        if not np.isfinite(y).all():
            return stop(outputs, t)
        # Dead for good: p cancels w2, the conventional weight stays as recovered.
        living = ~(s <= 0)
        ratio = _ratio(s, frozen)[living]
        w = effective[:, living] / ratio
        s[living] += norm * learn_units(w, relu(s[living]), y - target, eta, sequential)
        recovered[:, living] = w
        p[:, living] = w * _ratio(s, frozen)[living] - w2[:, living]
    effective[:] = w2 + p
    return -1


@quiet
def printed_form(
    s: Floats,
    w: Floats,
    r: Floats,
    frozen: Floats,
    norm: float,
    target: float,
    eta: float,
    sum_scale: float,
    sums: Floats,
    outputs: Floats,
    diverged_at: NDArray[np.intp],
    n_threads: int,
) -> None:
    """Technique "printed_form": the formulas r_5n and r_6n as the paper prints them. They do not hold."""
    for i in range(len(s)):
        diverged_at[i] = _printed_form_network(s[i], w[i], r[i], frozen[i], norm, target, eta, sum_scale, sums[i], outputs[i])


def _printed_form_network(
    s: Floats,
    w: Floats,
    r: Floats,
    frozen: Floats,
    norm: float,
    target: float,
    eta: float,
    sum_scale: float,
    sums: Floats,
    outputs: Floats,
) -> int:
    sums[:] = 0
    r[:] = w
    used = frozen > 0
    for t, y in enumerate(outputs):
        y[0] = r @ frozen
        if not np.isfinite(y[0]):
            return stop(outputs, t)
        error = y[0] - target
        before = s.copy()
        w[used] -= eta * error * relu(before[used])
        sums[used] += sum_scale * error * w[used]
        s[used] = frozen[used] + sums[used] * norm  # A_n
        alive = used & (before > 0) & (s > 0)
        died = used & (before > 0) & ~(s > 0)
        r[alive] = (w + w**3 * norm / (3 * (frozen + sums * norm**2)))[alive]
        r[died] = (w + w**2 / (2 * eta * error * (frozen + sums * norm)))[died]
    return -1
