"""Integrated gradients among hidden units: the mean gradient of outputs along the straight line from a baseline to a sample.

Along the line x0 + a (x - x0), the pre-activations of the front layer are s0 + a (s - s0). The integral over a therefore needs
no feature at all (docs/attribution.md). With one hidden layer it is known in closed form, because the mean slope of an
activation on a line is a quotient of differences. Deeper networks with piecewise linear activations have a constant gradient
between the places where a unit changes sides, which are computed. For all others the integral is a sum of Gauss and Legendre.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fcfast.attribution.upper import Floats, Places, Upper
from fcfast.tiles import slices

AT_A_TIME = 1 << 22  # numbers of the largest array that is held while paths are followed
FEWEST, MOST = 16, 1024  # steps that "auto" begins with, and ends with
RELATIVE = 1e-10  # error of the sum relative to the size of its terms, with which "auto" is content


class Integral(NamedTuple):
    """Mean gradients along the paths of M samples.

    Attributes
    ----------
    gradients : ndarray of shape (M, K, h)
        Mean gradients of the K chosen outputs with respect to the pre-activations.
    steps : ndarray of int of shape (M,)
        Number of gradients that were computed for each sample.
    """

    gradients: Floats
    steps: NDArray[np.intp]


def nodes(n_steps: int) -> tuple[Floats, Floats]:
    """Give the places in (0, 1) and the weights of the quadrature of Gauss and Legendre."""
    places, weights = np.polynomial.legendre.leggauss(n_steps)
    return (1 + places) / 2, weights / 2


def last_gradient(upper: Upper, S: Floats, chosen: Places) -> Integral:
    """Take the gradient at the sample itself in place of the mean."""
    return Integral(_in_chunks(upper, chosen, lambda rows: upper.gradients(S[rows], chosen[rows])), np.ones(len(S), np.intp))


def summed(upper: Upper, start: Floats, S: Floats, chosen: Places, n_steps: int) -> Integral:
    """Sum the gradients at the nodes of the quadrature."""

    def mean(rows: slice) -> Floats:
        total = np.zeros((len(S[rows]), chosen.shape[1], S.shape[1]))
        for a, weight in zip(*nodes(n_steps), strict=True):
            total += weight * upper.gradients(start + a * (S[rows] - start), chosen[rows])
        return total

    return Integral(_in_chunks(upper, chosen, mean), np.full(len(S), n_steps))


def exact(upper: Upper, start: Floats, S: Floats, chosen: Places) -> Integral:
    """Integrate without an error but that of rounding.

    Parameters
    ----------
    upper : Upper
    start : ndarray of shape (h,)
        Pre-activations of the baseline.
    S : ndarray of shape (M, h)
        Pre-activations of the samples.
    chosen : ndarray of int of shape (M, K)
        Numbers of the outputs.

    Returns
    -------
    Integral
        Smooth activations in several hidden layers take as many steps as the sum needs, at most `MOST`.
    """
    if len(upper.weights) == 1:
        gradients = upper.weights[0][chosen] * upper.secants(start, S)[:, None]
        return Integral(gradients, np.ones(len(S), np.intp))
    if not upper.has_kinks and upper.is_piecewise_linear:
        return last_gradient(upper, S, chosen)
    if upper.is_piecewise_linear:
        return _by_segments(upper, start, S, chosen)
    return _until_content(upper, start, S, chosen)


def _until_content(upper: Upper, start: Floats, S: Floats, chosen: Places) -> Integral:
    """Double the number of steps of those samples whose gradients do not sum to the difference of the outputs."""
    gradients, steps, n_steps = np.empty((*chosen.shape, S.shape[1])), np.zeros(len(S), np.intp), FEWEST
    rows = np.arange(len(S))
    while len(rows):
        tried = summed(upper, start, S[rows], chosen[rows], n_steps).gradients
        gradients[rows], steps[rows] = tried, n_steps
        terms = tried * (S[rows] - start)[:, None]
        errors = np.abs(terms.sum(axis=2) - differences(upper, start, S[rows], chosen[rows]))
        is_off = (errors > RELATIVE * np.abs(terms).sum(axis=2)).any(axis=1)
        rows, n_steps = rows[is_off], 2 * n_steps
        if n_steps > MOST:
            break
    return Integral(gradients, steps)


def differences(upper: Upper, start: Floats, S: Floats, chosen: Places) -> Floats:
    """Give the chosen outputs (M, K) of the samples, less those of the baseline."""
    return upper.chosen(S, chosen) - upper.outputs(start)[chosen]


# ----------------------------------------------------------------------------------------------------------------------
# segments between the kinks


def _by_segments(upper: Upper, start: Floats, S: Floats, chosen: Places) -> Integral:
    """Take the gradient in the middle of each segment of a path, times its length."""
    steps = np.empty(len(S), np.intp)
    gradients = np.empty((*chosen.shape, S.shape[1]))
    for rows in slices(len(S), max(1, AT_A_TIME // (sum(upper.widths) * max(upper.widths)))):
        ends = _knots(upper, start, S[rows])
        lengths = np.diff(ends, axis=1)
        samples, segments = np.nonzero(lengths > 0)
        middles = (ends[samples, segments] + ends[samples, segments + 1]) / 2
        firsts = np.flatnonzero(np.diff(samples, prepend=-1))  # every path has a segment
        steps[rows] = np.diff(firsts, append=len(samples))
        total = np.zeros_like(gradients[rows])
        for part in slices(len(samples), max(1, AT_A_TIME // (chosen.shape[1] * max(upper.widths)))):
            own, a = samples[part], middles[part, None]
            at = upper.gradients(start + a * (S[rows][own] - start), chosen[rows][own])
            firsts = np.flatnonzero(np.diff(own, prepend=-1))
            at *= lengths[own, segments[part]][:, None, None]
            total[own[firsts]] += np.add.reduceat(at, firsts, axis=0)
        gradients[rows] = total
    return Integral(gradients, steps)


def _knots(upper: Upper, start: Floats, S: Floats) -> Floats:
    """Give the places in [0, 1], in rising order, between which no unit changes sides; shorter rows are filled up with 1."""
    steps = S - start
    crosses = (start > 0) != (S > 0)
    rows, units = np.nonzero(crosses & (steps != 0))
    knots = with_knots(np.tile([0.0, 1.0], (len(S), 1)), rows, -start[units] / steps[rows, units])
    for layer in range(len(upper.weights) - 1):
        states = start + knots[..., None] * steps[:, None]
        for below in range(layer + 1):
            states = upper.above(states, below)
        left, right = states[:, :-1], states[:, 1:]
        rows, segments, units = np.nonzero(((left > 0) != (right > 0)) & (left != right))
        low, high = left[rows, segments, units], right[rows, segments, units]
        first, last = knots[rows, segments], knots[rows, segments + 1]
        knots = with_knots(knots, rows, first + (last - first) * (low / (low - high)))
    return knots


def with_knots(knots: Floats, rows: NDArray[np.intp], places: Floats) -> Floats:
    """Put further knots into the paths of some samples, whose numbers rise."""
    counts = np.bincount(rows, minlength=len(knots))
    added = np.ones((len(knots), int(counts.max(initial=0))))
    firsts = np.cumsum(counts) - counts
    added[rows, np.arange(len(rows)) - firsts[rows]] = np.clip(places, 0, 1)
    return np.sort(np.concatenate([knots, added], axis=1), axis=1)


def _in_chunks(upper: Upper, chosen: Places, gradients: Callable[[slice], Floats]) -> Floats:
    """Compute gradients (M, K, h) for so many samples at a time that their arrays are affordable."""
    n_samples, n_outputs = chosen.shape
    made = np.empty((n_samples, n_outputs, upper.widths[0]))
    for rows in slices(n_samples, max(1, AT_A_TIME // (n_outputs * max(upper.widths)))):
        made[rows] = gradients(rows)
    return made
