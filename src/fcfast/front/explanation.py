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
        What the initial weights give.
    bias : ndarray of shape (h,)
    terms : ndarray of shape (M, N, h)
        What each training sample contributes.
    """

    initial: NDArray[Any]
    bias: NDArray[Any]
    terms: NDArray[Any]

    @property
    def preactivations(self) -> NDArray[Any]:
        """The sum of all parts, shape (M, h)."""
        return self.initial + self.terms.sum(axis=1) + self.bias
