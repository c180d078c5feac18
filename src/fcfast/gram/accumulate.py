"""Sums of the products of many blocks, in an array that is no larger than the result.

Single-precision sums of many products would lose digits, and a sum in double precision would take twice the memory of the Gram
matrix besides the matrix itself. But a Gram matrix is symmetric: the sums stand on and below its diagonal, and what rounding
leaves of them stands above it.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fcfast.tiles import slices

Array = NDArray[Any]

STRIP = 64  # rows that are added while they are in cache


class PlainSum:
    """A sum of symmetric matrices in their own precision.

    Parameters
    ----------
    G : ndarray or memmap of shape (N, N)
        Array of zeros, in which the sum is made.
    """

    def __init__(self, G: Array) -> None:
        self.G = G

    def add(self, rows: slice, columns: slice, product: Array) -> None:
        """Add a tile."""
        self.G[rows, columns] += product

    def plus(self, other: "PlainSum") -> "PlainSum":
        """Give the sum of two sums, neither of which is changed."""
        return PlainSum(self.G + other.G)

    def finish(self) -> Array:
        """Give the array."""
        return self.G


class TriangleSum:
    """A sum of symmetric matrices in single precision, as accurate as in double precision.

    Parameters
    ----------
    G : ndarray or memmap of shape (N, N)
        Array of zeros, in which the sum is made.

    Examples
    --------
    >>> import numpy as np
    >>> from fcfast.gram.accumulate import TriangleSum
    >>> total = TriangleSum(np.zeros((1, 1), "float32"))
    >>> for number in (1e8, 3.0, -1e8):
    ...     total.add(slice(0, 1), slice(0, 1), np.full((1, 1), number, "float32"))
    >>> total.finish()
    array([[3.]], dtype=float32)
    """

    def __init__(self, G: Array) -> None:
        self.G = G
        # what rounding leaves within a strip has no place above the diagonal
        self.corners = np.zeros((len(G), min(STRIP, len(G))), G.dtype)

    def add(self, rows: slice, columns: slice, product: Array) -> None:
        """Add a tile on or below the diagonal; entries above the diagonal do not count."""
        first = rows.start // STRIP * STRIP
        for strip in slices(rows.stop, STRIP, first):
            own = slice(max(strip.start, rows.start), strip.stop)
            added = product[own.start - rows.start : own.stop - rows.start]
            border = min(max(strip.start, columns.start), columns.stop)
            if columns.start < border:
                left = slice(columns.start, border)
                _add_exactly(self.G[own, left], self.G[left, own].T, added[:, : border - columns.start])
            end = min(strip.stop, columns.stop)
            if border < end:
                corner = slice(border - strip.start, end - strip.start)
                part = added[:, border - columns.start : end - columns.start]
                _add_exactly(self.G[own, border:end], self.corners[own, corner], part)

    def plus(self, other: "TriangleSum") -> "TriangleSum":
        """Give the sum of two sums, neither of which is changed."""
        total = TriangleSum(self.G.copy())
        total.corners = self.corners + other.corners
        for strip in slices(len(self.G), STRIP):
            total.add(strip, slice(0, strip.stop), other.G[strip, : strip.stop])
            total.G[: strip.start, strip] += other.G[: strip.start, strip]
        return total

    def finish(self) -> Array:
        """Give the array, with the sum on and below the diagonal."""
        for strip in slices(len(self.G), STRIP):
            self.G[strip, : strip.start] += self.G[: strip.start, strip].T
            self.G[strip, strip] += self.corners[strip, : strip.stop - strip.start]
        return self.G


def _add_exactly(total: Array, rest: Array, added: Array) -> None:
    """Add to `total`, and add to `rest` what rounding takes away (Knuth's two-sum)."""
    old = total.copy()
    total += added
    share = total - old
    added = added - share
    share -= total  # minus what is left of the old total
    share += old
    share += added
    rest += share
