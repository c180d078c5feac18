"""One input, simultaneous order: the whole network as two scalars or one small matrix (twin of ``_core/closed_form.pyx``)."""

import numpy as np
from numpy.typing import NDArray

from fcfast._pure.mathfn import quiet
from fcfast._pure.two_layer import Floats, stop


@quiet
def closed_form(
    u: Floats,
    z: Floats,
    n_living: NDArray[np.intp],
    kappa: float,
    target: float,
    eta: float,
    sum_u: Floats,
    sum_z: Floats,
    s: Floats,
    w: Floats,
    scalars: Floats,
    outputs: Floats,
    diverged_at: NDArray[np.intp],
    n_threads: int,
) -> None:
    """Technique "closed_form", one output: a network of any width is two scalars, alpha and beta."""
    for i in range(len(u)):
        n = n_living[i]
        diverged_at[i], scalars[i] = _closed_form_network(
            u[i, :n], z[i, :n], kappa, target, eta, s[i, :n], w[i, :n], outputs[i]
        )


def _closed_form_network(
    u: Floats, z: Floats, kappa: float, target: float, eta: float, s: Floats, w: Floats, outputs: Floats
) -> tuple[int, tuple[float, float]]:
    alpha = beta = 1.0
    diverged_at = -1
    living = np.ones(len(u), dtype=bool)
    U, Z = np.sum(u * u), np.sum(z * z)
    for t in range(len(outputs)):
        if not living.any():  # nothing changes any more
            outputs[t:] = 0
            break
        y = (alpha**2 * U - beta**2 * Z) / (4 * kappa)
        if not np.isfinite(y):
            diverged_at = stop(outputs, t)
            break
        outputs[t] = y
        rate = eta * (y - target) * kappa
        alpha *= 1 - rate
        beta *= 1 + rate
        dying = living & (alpha * u + beta * z <= 0)
        if dying.any():
            s[dying], w[dying] = _expand(u[dying], z[dying], alpha, beta, kappa)
            living &= ~dying
            U, Z = np.sum(u[living] ** 2), np.sum(z[living] ** 2)
    s[living], w[living] = _expand(u[living], z[living], alpha, beta, kappa)
    return diverged_at, (alpha, beta)


def _expand(u: Floats, z: Floats, alpha: float, beta: float, kappa: float) -> tuple[Floats, Floats]:
    return (alpha * u + beta * z) / 2, (alpha * u - beta * z) / (2 * kappa)


@quiet
def closed_form_outputs(
    q: Floats,
    living: NDArray[np.uint8],
    norm: float,
    targets: Floats,
    eta: float,
    phi: Floats,
    scratch: Floats,
    q_end: Floats,
    outputs: Floats,
    diverged_at: NDArray[np.intp],
    n_threads: int,
) -> None:
    """Technique "closed_form", c outputs: a network of any width is one (1 + c) x (1 + c) matrix."""
    for i in range(len(q)):
        diverged_at[i] = _closed_form_outputs_network(q[i], living[i], norm, targets[0], eta, phi[i], q_end[i], outputs[i])


def _closed_form_outputs_network(
    q: Floats,
    living: NDArray[np.uint8],
    norm: float,
    target: Floats,
    eta: float,
    phi: Floats,
    q_end: Floats,
    outputs: Floats,
) -> int:
    m = len(phi)
    phi[:] = np.eye(m)
    for t, y in enumerate(outputs):
        dying = (living == 1) & (q @ phi[0] <= 0)
        q_end[dying] = q[dying] @ phi.T
        living[dying] = 0
        gamma = q[living == 1].T @ q[living == 1]
        y[:] = (phi @ gamma @ phi[0])[1:]
        if not np.isfinite(y).all():
            diverged_at = stop(outputs, t)
            break
        if not living.any():  # nothing changes any more
            outputs[t:] = 0
            diverged_at = -1
            break
        error = y - target
        step = np.zeros((m, m))
        step[0, 1:] = norm * error
        step[1:, 0] = error
        phi -= eta * step @ phi
    else:
        diverged_at = -1
    dying = (living == 1) & (q @ phi[0] <= 0)
    q_end[living == 1] = q[living == 1] @ phi.T
    living[dying] = 0
    return diverged_at
