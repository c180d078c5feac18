"""How fast a machine multiplies, moves memory and takes steps: the figures that predictions are made with."""

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
    """The speed of a machine; rates are operations or bytes a second, for one thread unless stated otherwise.

    Attributes
    ----------
    inner, outer : dict
        dtype -> floating-point operations per second of matrix products whose shortest side is each of `SIDES`. In `inner`
        products that side belongs to the result, in `outer` ones it is summed over.
    bandwidth : list of float
        Bytes read and written per second by an update of arrays that take each of `WORKING_SETS`.
    speedup : float
        How many times as fast all threads make a large product.
    n_threads : int
        Threads that BLAS uses.
    windows : bool
        Whether the kernels leave what the front layer holds alone within a window; those in pure Python do not.
    decay : dict
        dtype -> seconds to decay a weight and its velocity.
    step, row, element : float
        Seconds that a step, a sample of it, and an activation value of a hidden unit take apart from matrix products.
    draw, fill : float
        Seconds to make an initial weight, and to make it as part of a stored array.
    sparse_pair, sparse_product : float
        Seconds of a multiplication between sparse rows, and of one between sparse rows and dense weights.
    python_step : float
        Seconds of a step that Python drives, apart from arithmetic.
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
        """Whether all figures are there and can be: a file may have been changed by hand."""
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
        """Seconds of a product (m, k) times (k, n), its operands wherever they fit: limited by arithmetic or by memory."""
        rates = self.outer if k < min(m, n) else self.inner
        arithmetic = 2.0 * m * n * k / _interpolate(min(m, n, k), SIDES, rates[dtype])
        n_bytes = (2 * m * n + m * k + n * k) * np.dtype(dtype).itemsize  # the result is added to what is there
        if n_threads > 1:
            arithmetic /= self.speedup
        return max(arithmetic, self.passes(n_bytes, n_bytes))

    def passes(self, n_bytes: float, working_set: float) -> float:
        """Seconds to read and write so many bytes of arrays that take `working_set` bytes together."""
        return n_bytes / _interpolate(working_set, WORKING_SETS, self.bandwidth)


def _interpolate(x: float, points: Sequence[float], values: Sequence[float]) -> float:
    """Straight lines between logarithms; constant outside."""
    x = min(max(x, points[0]), points[-1])
    right = min(bisect_right(points, x), len(points) - 1)
    low, high = points[right - 1], points[right]
    share = log(x / low) / log(high / low)
    return exp((1 - share) * log(values[right - 1]) + share * log(values[right]))
