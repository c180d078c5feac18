"""Products of one block of features, added to the sums over all blocks, in tiles that threads share."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from fcfast.gram import budget
from fcfast.gram.reading import Block, affordable_rows
from fcfast.gram.start import InitialWeights
from fcfast.tiles import slices

Array = NDArray[Any]


def _product(block: Block, other: Block) -> Array:
    product = block @ other.T
    return product.toarray() if sparse.issparse(product) else product


def _cross_product(block: Block, other: Block) -> Array:
    """Compute block other', with the same bits whether or not they are one array.

    NumPy multiplies an array by its own transpose with a routine that rounds differently. Halves avoid this routine, because
    their shape differs from the shape of the whole.
    """
    if sparse.issparse(block) or sparse.issparse(other) or block.shape != other.shape:
        return _product(block, other)
    half = len(block) // 2
    return np.concatenate([block[:half] @ other.T, block[half:] @ other.T])


def add_gram(add: Callable[[slice, slice, Array], None], block: Block, run: Callable[..., Any]) -> None:
    """Add block block' on and below the diagonal, in square tiles; NumPy makes the tiles on the diagonal symmetric.

    `add` gets the rows, the columns and the product of each tile.
    """
    n_samples = block.shape[0]
    everything = slice(0, n_samples)
    if n_samples < 2 * budget.MIN_TILE and not sparse.issparse(block):  # too few for tiles, so threads share the features
        features = slices(block.shape[1], -(-block.shape[1] // budget.TILES))
        for product in run(lambda part: _product(block[:, part], block[:, part]), features):
            add(everything, everything, product)
        return
    side = min(affordable_rows(n_samples), -(-n_samples // min(budget.TILES, max(1, n_samples // budget.MIN_TILE))))
    if sparse.issparse(block):
        block = block.tocsr()

    def multiply(tile: tuple[slice, slice]) -> None:
        rows, columns = tile
        add(rows, columns, _product(block[rows], block[columns]))

    tiles = slices(n_samples, side)
    list(run(multiply, [(rows, columns) for i, rows in enumerate(tiles) for columns in tiles[: i + 1]]))


def add_cross(G: Array, block: Block, other: Block, run: Callable[..., Any]) -> None:
    """Add block other' to G; threads share the samples of the longer side."""
    whole = slice(None)
    if sparse.issparse(block) or sparse.issparse(other):
        tiles = [(whole, whole)]
    else:
        pieces = slices(max(G.shape), max(budget.MIN_TILE, -(-max(G.shape) // budget.TILES)))
        tiles = [(piece, whole) if len(block) >= len(other) else (whole, piece) for piece in pieces]

    def add(tile: tuple[slice, slice]) -> None:
        G[tile] += _cross_product(block[tile[0]], other[tile[1]])

    list(run(add, tiles))


def add_preactivations(
    S0: Array,
    block: Block,
    parts: list[slice],
    weights_of: Callable[[slice], Array],
    n_threads: int,
    run: Callable[..., Any],
) -> None:
    """Add block W' to S0, where `weights_of` makes the weights W (h, width) of each part of the block's features.

    Threads share the features. If S0 is large, they share the making of the weights and then the units of S0 instead.
    """

    def inputs_of(part: slice) -> Block:
        return block[:, part.start - parts[0].start : part.stop - parts[0].start]

    for group in _groups(parts, budget.PARTS_AT_ONCE * n_threads):
        if S0.size <= budget.SMALL_PREACTIVATIONS:
            for product in run(lambda part: inputs_of(part) @ weights_of(part).T, group):
                S0 += product
            continue
        inputs, made = list(map(inputs_of, group)), list(run(weights_of, group))

        def add(tile: tuple[slice, slice], S: Array = S0, inputs: list[Block] = inputs, made: list[Array] = made) -> None:
            rows, units = tile
            for part, weights in zip(inputs, made, strict=True):
                S[tile] += part[rows] @ weights[units].T

        list(run(add, _tiles(S0, sparse.issparse(block))))


def _tiles(S0: Array, whole: bool) -> list[tuple[slice, slice]]:
    """Split pre-activations (N, h) by units, or by rows if there are few units, or not at all."""
    n_samples, n_hidden = S0.shape
    if whole:
        return [(slice(None), slice(None))]
    if n_hidden >= 2 * budget.MIN_TILE:
        return [(slice(None), units) for units in slices(n_hidden, budget.MIN_TILE)]
    return [(rows, slice(None)) for rows in slices(n_samples, max(budget.MIN_TILE, -(-n_samples // budget.TILES)))]


def parts_of(initial: InitialWeights, features: slice, dtype: np.dtype[Any]) -> list[slice]:
    """Split the features into parts whose weights stay in cache."""
    width = budget.WEIGHT_BYTES // (budget.PARTS_AT_ONCE * initial.n_hidden * dtype.itemsize)
    return slices(features.stop, max(budget.MIN_SIDE, width), features.start)


def _groups(parts: list[slice], size: int) -> list[list[slice]]:
    return [parts[first : first + size] for first in range(0, len(parts), size)]


def updated_weights(weights: Array, inputs: Block, A: Array, c: float | Array, out: Array | None = None) -> Array:
    """Compute c W1(0) + A' X for some features: `weights` (h, width) and `inputs` (N, width); in `out` if they are dense."""
    updated = (inputs.T @ A).T if sparse.issparse(inputs) else np.matmul(A.T, inputs, out=out)
    factor = c[:, None] if isinstance(c, np.ndarray) else updated.dtype.type(c)
    for strip in slices(updated.shape[1], budget.STRIP):
        updated[:, strip] += factor * weights[:, strip]
    return updated
