"""The products of samples that are scored after every epoch with the training samples, which do not change with the weights."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fcfast.gram.object import Gram
from fcfast.sources.elsewhere import elsewhere
from fcfast.sources.inputs import fingerprint
from fcfast.threads import one_blas_thread

Array = NDArray[Any]


class Scored:
    """Samples with their products, from which the pre-activations of any weights follow without a further look at features.

    Parameters
    ----------
    X : ndarray, sparse, Source or Gram of shape (M, d)
        Samples, such as those that early stopping holds out.
    products : tuple of ndarray
        Products (M, N) with the training samples, and pre-activations (M, h) of the initial weights.
    """

    def __init__(self, X: Any, products: tuple[Array, Array]) -> None:
        self.X, (self.crossed, self.S0) = X, products
        self._fingerprint = _digest(X)

    @staticmethod
    def suits(X: Any, n_samples: int) -> bool:
        """Whether products are no more than those of the training samples with each other, or features are far away."""
        return hasattr(X, "shape") and (X.shape[0] <= n_samples or elsewhere(X) is not None)

    def is_of(self, X: Any) -> bool:
        """Whether these are the same samples, unchanged."""
        return self.X is X and _digest(X) == self._fingerprint

    def preactivations(self, A: Array, c: float | Array) -> Array:
        """Give c X W1(0)' + (X X_train') A."""
        with one_blas_thread():
            return np.asarray(np.asarray(c, A.dtype) * self.S0 + self.crossed @ A)


def _digest(X: Any) -> bytes:
    return b"" if isinstance(X, Gram) else fingerprint(X)
