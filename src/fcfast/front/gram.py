"""Everything that reads the inputs X (N, d): their Gram matrix and initial states, and the way back to weights.

One pass, in blocks of features: an array, a sparse matrix or a memory map is never copied, converted or made dense as a
whole, and W1(0) is made block by block beside it. What a call holds besides its arguments and results stays near `BLOCK_BYTES`.

Products are made in `dtype` by BLAS and summed over blocks in double precision. The blocks do not depend on the number of
threads, so neither does a single bit of the result.
"""

import mmap
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray
from scipy import sparse

from fcfast.front.initial import InitialWeights
from fcfast.threads import resolve_n_jobs

BLOCK_BYTES = 64 << 20  # of inputs that had to be copied, or of a product
WEIGHT_BYTES = 4 << 20  # of weights: made and multiplied while they are in cache
MIN_SIDE = 1024  # no block is narrower or shorter, whatever its bytes: a page of a memory map per row, a product worth its call
SPARSE_DENSITY = 0.03  # above it, dense blocks through BLAS overtake sparse products

Array = NDArray[Any]
Inputs = Any  # ndarray, memmap, or a sparse matrix or array of any format


def gram_and_states(
    X: Inputs, initial: InitialWeights, dtype: DTypeLike, n_jobs: int | None = None
) -> tuple[Array, Array]:
    """Compute the Gram matrix and the initial states of the training inputs.

    Parameters
    ----------
    X : ndarray, memmap or sparse of shape (N, d)
    initial : InitialWeights
        W1(0), of d features and h hidden units.
    dtype : {"float32", "float64"}
        Of products and results.
    n_jobs : int or None
        Threads that make initial weights and sparse products; dense products use BLAS's own.

    Returns
    -------
    G : ndarray of shape (N, N)
        X X', exactly symmetric.
    S0 : ndarray of shape (N, h)
        X W1(0)'.

    Raises
    ------
    ValueError
        If X and W1(0) have not the same number of features.

    Examples
    --------
    >>> import numpy as np
    >>> from fcfast.front.gram import gram_and_states
    >>> from fcfast.front.initial import GivenWeights
    >>> G, S0 = gram_and_states(np.array([[1, 2], [0, 3]]), GivenWeights(np.ones((1, 2))), "float64")
    >>> G.tolist(), S0.tolist()
    ([[5.0, 6.0], [6.0, 9.0]], [[3.0], [3.0]])
    """
