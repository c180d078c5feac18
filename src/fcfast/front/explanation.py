"""Pre-activations of the front layer, split by training sample."""

from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray


@dataclass(frozen=True)
class Explanation:
    """Pre-activations of the front layer, split without remainder (docs/mathematics.md, 6).

    Attributes
    ----------
    initial : ndarray of shape (M, h)
        Part of the initial weights.
    bias : ndarray of shape (h,)
        Biases of the front layer.
    terms : ndarray of shape (M, N, h)
        Part of each training sample.
    """

    initial: NDArray[Any]
    bias: NDArray[Any]
    terms: NDArray[Any]

    @property
    def preactivations(self) -> NDArray[Any]:
        """Sum of all parts, of shape (M, h)."""
        return self.initial + self.terms.sum(axis=1) + self.bias
