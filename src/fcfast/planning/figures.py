"""Measured speeds of a machine, from which times are predicted: its products, its memory and its steps."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, log

import numpy as np

DTYPES = ("float32", "float64")
SIDES = (1, 2, 4, 8, 16, 32, 64, 128, 256)  # shortest sides of the products that are timed
WORKING_SETS = 1 << 18, 1 << 20, 1 << 22, 1 << 24, 1 << 26  # bytes


@dataclass(frozen=True)
class Machine:
    """The speed of a machine. Rates are operations or bytes per second, for one thread unless stated otherwise.

    Attributes
    ----------
    inner, outer : dict
        Floating-point operations per second of matrix products by dtype, for each of `SIDES` as the shortest side. In `inner`
        products this side belongs to the result; in `outer` products it is summed over.
    bandwidth : list of float
        Bytes read and written per second in an update of arrays, for each of `WORKING_SETS` as their size.
    speedup : float
        Speed of a large product in all threads relative to one thread.
    n_threads : int
        Number of threads that BLAS uses.
    windows : bool
        Whether the kernels touch the front layer's arrays only once per window; those in pure Python do not.
    decay : dict
        Seconds to decay a weight and its velocity by dtype.
    step, row, element : float
        Seconds of a step, of one of its samples and of one activation value of a hidden unit, without matrix products.
    draw, fill : float
        Seconds to make an initial weight, and to make it as part of a stored array.
    sparse_pair, sparse_product : float
        Seconds of a multiplication between sparse rows, and of one between sparse rows and dense weights.
    python_step : float
        Seconds of a step that Python drives, without arithmetic.
    """

    inner: dict[str, list[float]]
    outer: dict[str, list[float]]
    bandwidth: list[float]
    speedup: float
    n_threads: int
    windows: bool
    decay: dict[str, float]
    step: float
    row: float
    element: float
    draw: float
    fill: float
    sparse_pair: float
    sparse_product: float
    python_step: float

    def is_sound(self) -> bool:
        """Whether all figures exist and are plausible; a file may have been edited by hand."""
        tables = [table[dtype] for table in (self.inner, self.outer) for dtype in DTYPES]
        rates = *(rate for table in tables for rate in table), *self.bandwidth
        decays = (self.decay[dtype] for dtype in DTYPES)
        pairs = self.sparse_pair, self.sparse_product
        times = *decays, self.step, self.row, self.element, self.draw, self.fill, *pairs, self.python_step
        return (
            all(len(table) == len(SIDES) for table in tables)
            and len(self.bandwidth) == len(WORKING_SETS)
            and all(1e3 <= rate < 1e18 for rate in rates)
            and all(1 <= factor < 1e6 for factor in (self.speedup, self.n_threads))
            and all(0 <= seconds < 1 for seconds in times)
        )

    def product(self, m: float, n: float, k: float, dtype: str, n_threads: int = 1) -> float:
        """Predict the seconds of a product (m, k) times (k, n), which arithmetic or memory limits."""
        rates = self.outer if k < min(m, n) else self.inner
        arithmetic = 2.0 * m * n * k / _interpolate(min(m, n, k), SIDES, rates[dtype])
        n_bytes = (2 * m * n + m * k + n * k) * np.dtype(dtype).itemsize  # the result is read and written
        if n_threads > 1:
            arithmetic /= self.speedup
        return max(arithmetic, self.passes(n_bytes, n_bytes))

    def passes(self, n_bytes: float, working_set: float) -> float:
        """Predict the seconds to read and write `n_bytes` of arrays that have `working_set` bytes in total."""
        return n_bytes / _interpolate(working_set, WORKING_SETS, self.bandwidth)


def _interpolate(x: float, points: Sequence[float], values: Sequence[float]) -> float:
    """Interpolate linearly between logarithms; the values are constant outside the points."""
    x = min(max(x, points[0]), points[-1])
    right = min(bisect_right(points, x), len(points) - 1)
    low, high = points[right - 1], points[right]
    share = log(x / low) / log(high / low)
    return exp((1 - share) * log(values[right - 1]) + share * log(values[right]))
