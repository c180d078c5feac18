"""Integrated gradients of a front layer of a kernel, whose pre-activations are no straight lines along a path.

A unit is ``s_j(x) = sum_i A_ij k(x_i, x) + b_j``, and the kernel is a function of <x_i, x> and |x|^2. At a place a of the path,
the first is linear in a and the second quadratic, so that the whole path needs one product of the samples with the training
samples. The gradient of an output is ``sum_i q_i x_i + r x`` with ``q_i = (A g)_i dk/d<x_i, x>`` and
``r = 2 sum_i (A g)_i dk/d|x|^2``. The means of q, r and a r over the path, and then one product of the mean q with the training
samples, are all that it takes.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fcfast.attribution.path import AT_A_TIME, nodes, with_knots
from fcfast.attribution.upper import Floats, Places, Upper
from fcfast.gram.measures import squared_norms
from fcfast.gram.object import Gram
from fcfast.gram.products import cross_gram
from fcfast.kernels import Kernel
from fcfast.tiles import slices

Array = NDArray[Any]

FEWEST, MOST = 16, 256  # steps that "auto" begins with, and ends with, where activations are smooth
FEWEST_BETWEEN, MOST_BETWEEN = 2, 16  # the same for each segment between kinks
GRID = 32  # parts of a path in which units are looked for that change sides
REFINED = 8  # steps to the place where they do
RELATIVE = 1e-7  # error of the sum relative to the outputs' difference and its parts, with which "auto" is content


class CurvedIntegral(NamedTuple):
    """Mean gradients along the paths of M samples, ``sum_i by_samples_i x_i + by_baseline x0 + by_step (x - x0)``.

    Attributes
    ----------
    by_samples : ndarray of shape (M, K, N)
    by_baseline, by_step : ndarray of shape (M, K)
    sums : ndarray of shape (M, K)
        Products of the gradients with x - x0, which are the sums of the attributions.
    steps : ndarray of int of shape (M,)
        Number of gradients that were computed for each sample.
    """

    by_samples: Floats
    by_baseline: Floats
    by_step: Floats
    sums: Floats
    steps: NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class KernelPath:
    """The paths from a baseline to samples, as products and norms.

    Attributes
    ----------
    kernel : Kernel
    norms : ndarray of shape (N,)
        Squared norms of the training samples.
    A : ndarray of shape (N, h)
        Contributions of the training samples.
    bias : ndarray of shape (h,)
        What is added to the sum over the training samples.
    start, products : ndarray of shape (N,) and (M, N)
        Products of the baseline, and of the samples, with the training samples.
    start_norm, cross, squares : float, ndarray of shape (M,) and (M,)
        Squared norm of the baseline, its products with the samples, and their squared norms.
    """

    kernel: Kernel
    norms: Floats
    A: Floats
    bias: Floats
    start: Floats
    products: Floats
    start_norm: float
    cross: Floats
    squares: Floats

    @classmethod
    def of(cls, gram: Gram, A: Array, bias: Array, X: Any, baseline: Array | None, n_jobs: int | None) -> "KernelPath":
        """Multiply samples X (M, d) and a baseline (d,), or zeros, with the training samples of `gram`."""
        dtype, train = gram.dtype, gram.X
        x0 = np.zeros((1, X.shape[1]), dtype) if baseline is None else np.asarray(baseline, dtype)[None]
        assert isinstance(gram.kernel, Kernel)  # others have no derivatives
        numbers = (
            squared_norms(train, dtype), A, bias, cross_gram(x0, train, dtype, n_jobs)[0],
            cross_gram(X, train, dtype, n_jobs),
        )  # fmt: skip
        norms, contributions, biases, start, products = (np.asarray(array, np.float64) for array in numbers)
        cross = np.asarray(cross_gram(X, x0, dtype, n_jobs)[:, 0], np.float64)
        return cls(
            gram.kernel, norms, contributions, biases, start, products, float(squared_norms(x0, dtype)[0]), cross,
            squared_norms(X, dtype),
        )  # fmt: skip

    def at(self, a: Any, rows: Any) -> tuple[Floats, Floats]:
        """Give products (m, N) with the training samples, and squared norms (m, 1), of points of some paths.

        The points are at the same place a of all of these paths, or at a place (m,) of each.
        """
        a = np.reshape(a, (-1, 1))
        products = self.start + a * (self.products[rows] - self.start)
        ends = (1 - a) ** 2 * self.start_norm + a**2 * self.squares[rows][:, None]
        return products, np.maximum(ends + 2 * a * (1 - a) * self.cross[rows][:, None], 0)

    def preactivations(self, a: Any, rows: Any) -> Floats:
        """Give the pre-activations (m, h) there."""
        products, squares = self.at(a, rows)
        return self.kernel.values(products, squares, self.norms[None]) @ self.A + self.bias

    def integral(self, upper: Upper, chosen: Places, steps: int | None, at_end: bool) -> CurvedIntegral:
        """Integrate the gradients of the chosen outputs (M, K), in `steps` steps or as many as are needed.

        With `at_end` the gradient at the sample takes the place of the mean.
        """
        (n_samples, n_outputs), n_train = chosen.shape, len(self.norms)
        by_baseline, by_step, sums = np.empty((3, n_samples, n_outputs))
        by_samples, taken = np.empty((n_samples, n_outputs, n_train)), np.zeros(n_samples, np.intp)
        found = CurvedIntegral(by_samples, by_baseline, by_step, sums, taken)
        for part in slices(n_samples, max(1, AT_A_TIME // ((n_outputs + 4) * n_train))):
            rows = np.arange(part.start, part.stop)
            if at_end:
                self._sum(found, upper, chosen, rows, np.ones((len(rows), 1)), np.ones((len(rows), 1)))
            elif steps is not None:
                self._sum(found, upper, chosen, rows, *_within(np.tile([0.0, 1.0], (len(rows), 1)), steps))
            else:
                self._until_content(found, upper, chosen, rows)
        return found

    def _until_content(self, found: CurvedIntegral, upper: Upper, chosen: Places, rows: Places) -> None:
        """Take steps between the kinks of each path, twice as many as long as the sums are off."""
        knots = self._knots(upper, rows) if upper.has_kinks else np.tile([0.0, 1.0], (len(rows), 1))
        n_steps, most = (FEWEST_BETWEEN, MOST_BETWEEN) if upper.has_kinks else (FEWEST, MOST)
        wanted = self._differences(upper, chosen, rows)
        while len(rows) and n_steps <= most:
            self._sum(found, upper, chosen, rows, *_within(knots, n_steps))
            sizes = np.abs(wanted) + np.abs(found.by_samples[rows] * (self.products[rows] - self.start)[:, None]).sum(axis=2)
            is_off = (np.abs(found.sums[rows] - wanted) > RELATIVE * sizes).any(axis=1)
            rows, knots, wanted, n_steps = rows[is_off], knots[is_off], wanted[is_off], 2 * n_steps

    def _sum(self, found: CurvedIntegral, upper: Upper, chosen: Places, rows: Places, places: Floats, weights: Floats) -> None:
        """Sum the gradients of some samples at places (m, P) of their paths."""
        for total in (found.by_samples, found.by_baseline, found.by_step, found.sums):
            total[rows] = 0
        found.steps[rows] = (weights > 0).sum(axis=1)
        for column in range(places.shape[1]):
            counts = weights[:, column] > 0  # paths with fewer kinks have fewer places
            own, a, weight = rows[counts], places[counts, column], weights[counts, column]
            products, squares = self.at(a, own)
            by_products, by_norms = self.kernel.derivatives(products, squares, self.norms[None])
            S = self.kernel.values(products, squares, self.norms[None]) @ self.A + self.bias
            mixed = weight[:, None, None] * (upper.gradients(S, chosen[own]) @ self.A.T)
            found.by_samples[own] += mixed * by_products[:, None]
            radial = 2 * np.einsum("mkn,mn->mk", mixed, by_norms)
            found.by_baseline[own] += radial
            found.by_step[own] += a[:, None] * radial
        along = np.einsum("mkn,mn->mk", found.by_samples[rows], self.products[rows] - self.start)
        from_start = (self.cross[rows] - self.start_norm)[:, None]  # <x0, x - x0>
        squared = (self.squares[rows] - 2 * self.cross[rows] + self.start_norm)[:, None]  # |x - x0|^2
        found.sums[rows] = along + found.by_baseline[rows] * from_start + found.by_step[rows] * squared

    def _differences(self, upper: Upper, chosen: Places, rows: Places) -> Floats:
        """Give the chosen outputs of some samples, less those of the baseline."""
        start = upper.outputs(self.preactivations(0.0, rows[:1]))
        return upper.chosen(self.preactivations(1.0, rows), chosen[rows]) - start[0][chosen[rows]]

    def _knots(self, upper: Upper, rows: Places) -> Floats:
        """Give the places in [0, 1], in rising order, between which no unit changes sides; shorter rows end with some 1."""
        grid = np.linspace(0, 1, GRID + 1)
        states = np.stack([upper.states(self.preactivations(a, rows)) for a in grid.tolist()], axis=1)
        left, right = states[:, :-1], states[:, 1:]
        samples, cells, units = np.nonzero(((left > 0) != (right > 0)) & (left != right))
        low, high = left[samples, cells, units], right[samples, cells, units]
        places = np.empty(len(samples))
        for part in slices(len(samples), max(1, AT_A_TIME // len(self.norms))):

            def state(a: Floats, part: slice = part) -> Floats:
                found = upper.states(self.preactivations(a, rows[samples[part]]))
                return np.take_along_axis(found, units[part, None], axis=1)[:, 0]

            places[part] = _roots(state, grid[cells[part]], grid[cells[part] + 1], low[part], high[part])
        return with_knots(np.tile([0.0, 1.0], (len(rows), 1)), samples, places)

    def sizes(self, found: CurvedIntegral) -> tuple[Floats, Floats]:
        """Give the sizes (M, K) of the terms of the sums, and of the products that these are differences of."""
        weights, squares = np.abs(found.by_samples), self.squares[:, None] + self.start_norm
        radial = (np.abs(found.by_baseline) + np.abs(found.by_step)) * squares
        moves = np.einsum("mkn,mn->mk", weights, np.abs(self.products - self.start)) + radial
        return moves, np.einsum("mkn,mn->mk", weights, np.abs(self.products) + np.abs(self.start)) + radial


def _within(knots: Floats, n_steps: int) -> tuple[Floats, Floats]:
    """Give the places and weights (m, P) of a quadrature within each segment between knots (m, n)."""
    places, weights = nodes(n_steps)
    lengths = np.diff(knots, axis=1)[..., None]
    return (knots[:, :-1, None] + lengths * places).reshape(len(knots), -1), (lengths * weights).reshape(len(knots), -1)


def _roots(f: Callable[[Floats], Floats], first: Floats, last: Floats, low: Floats, high: Floats) -> Floats:
    """Find roots of smooth functions between `first` and `last`, where they have the values `low` and `high` of both signs.

    The method is the Illinois variant of regula falsi (Dowell and Jarratt 1971).
    """
    for _ in range(REFINED):
        root = _crossing(first, last, low, high)
        value = f(root)
        replaces_last = (value > 0) == (high > 0)
        first, low = np.where(replaces_last, first, last), np.where(replaces_last, low / 2, high)
        last, high = root, value
    return _crossing(first, last, low, high)


def _crossing(first: Floats, last: Floats, low: Floats, high: Floats) -> Floats:
    """Give the places where straight lines cross 0."""
    return first + (last - first) * np.divide(low, low - high, out=np.zeros_like(low), where=low != high)
