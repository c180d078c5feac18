"""The forms of the front layer: what training and predictions need of them.

A form answers for the pre-activations without biases: training steps happen in the kernel on its ``base``; `states` gives
them for new data, `expand` the conventional weights (h, d), which are C-contiguous in every form.
"""

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from fcfast.validation import all_finite

Array = NDArray[Any]

FORMS = ("weights", "contributions", "windowed")


class FrontForm(Protocol):
    """The front layer as the training kernel sees it: see ``_core/front.pyx`` for what each array means."""

    base: Array
    velocity: Array | None
    source: Array
    S0: Array | None
    scale: NDArray[np.float64] | None
    n_features: int

    def states(self, X: Any) -> Array:
        """Pre-activations (M, h) of new data, without biases."""

    def expand(self) -> Array:
        """Conventional weights (h, d)."""

    def join(self, X: Any) -> NDArray[np.intp]:
        """Take new samples to train on; give their rows."""

    def begin(self) -> None:
        """Note that training goes on."""

    def finish(self) -> None:
        """Note that training has ended, and let go of the samples unless predictions need them."""


def is_converted(X: Any, dtype: np.dtype[Any]) -> bool:
    """Tell whether the forms that multiply with weights copy these samples: `converted` does not give X itself."""
    return not sparse.issparse(X) and (X.dtype != dtype or not X.flags.c_contiguous)


def converted(X: Array, dtype: np.dtype[Any]) -> Array:
    """Give validated samples contiguous and of that dtype: themselves if they are."""
    with np.errstate(over="ignore"):  # reported below
        samples = np.ascontiguousarray(X, dtype=dtype)
    if not (np.can_cast(X.dtype, dtype) or all_finite(samples)):  # a conversion that loses nothing cannot overflow
        raise ValueError(f"X has values too large for {dtype}; scale X, or use dtype='float64'")
    return samples
