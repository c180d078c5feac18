"""Views of the layers in a packed vector of parameters."""

from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def layer_views(packed: Array, widths: NDArray[np.intp], bias: bool) -> tuple[list[Array], list[Array]]:
    """Give views of each layer's weights (n_out, n_in) and, if `bias`, biases (n_out,) in a packed vector."""
    weights, biases, start = [], [], 0
    for n_in, n_out in pairwise(widths):
        weights.append(packed[start : start + n_out * n_in].reshape(n_out, n_in))
        start += n_out * n_in
        if bias:
            biases.append(packed[start : start + n_out])
            start += n_out
    return weights, biases
