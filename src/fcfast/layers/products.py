"""Matrix products on the BLAS that the kernels use."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fcfast import backend

Array = NDArray[Any]


def multiply(A: Array, B: Array) -> Array:
    """Compute A B with SciPy's BLAS, which the kernels use too, as a new C-contiguous array.

    NumPy has a BLAS of its own. If both are used in turn, the waiting threads of each keep the processors busy and delay the
    other (measured on two cores: steps 3 times as long). SciPy's own wrappers of its BLAS do not let other threads run
    meanwhile.
    """
    out = np.empty((A.shape[0], B.shape[1]), A.dtype)
    # BLAS reads a transposed view from the matrix behind it, without a copy
    (left, transposed_left), (right, transposed_right) = (
        (X.T, True) if X.T.flags.c_contiguous and not X.flags.c_contiguous else (np.ascontiguousarray(X), False) for X in (A, B)
    )
    backend.forward.product(left, transposed_left, right, transposed_right, out)
    return out
