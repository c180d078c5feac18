"""Ranges of a size, and symmetric matrices that are made in tiles."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def slices(size: int, step: int, start: int = 0) -> list[slice]:
    """Split start..size-1 into slices of `step` numbers; the last one may be shorter."""
    return [slice(first, min(first + step, size)) for first in range(start, size, step)]


def mirror(G: NDArray[Any]) -> None:
    """Copy the entries below the diagonal to their places above it."""
    for rows in slices(len(G), 128):  # so narrow that a transposed copy stays in cache
        G[: rows.start, rows] = G[rows, : rows.start].T
        corner = np.tril(G[rows, rows])
        G[rows, rows] = corner + np.tril(corner, -1).T
