"""Kernels that somebody else computes. They answer the questions that a `Kernel` answers: its name, and what it takes."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from numpy.typing import DTypeLike, NDArray

from fcfast.kernels.base import Kernel
from fcfast.kernels.callables import evaluate, name_of
from fcfast.kernels.definite import refuse_indefinite

Array = NDArray[Any]
Function = Callable[[Any, Any], Any]


@dataclass(frozen=True)
class FunctionKernel:
    """A kernel that is a function of two blocks of samples.

    Parameters
    ----------
    function : callable
        Function of m and n samples that gives an array (m, n); see `evaluate`.
    """

    function: Function

    has_weights: ClassVar[bool] = False
    takes_features: ClassVar[bool] = False
    derivatives: ClassVar[None] = None

    @property
    def name(self) -> str:
        """Name of the function."""
        return name_of(self.function)

    def gram(self, X: Any, dtype: DTypeLike) -> Array:
        """Compute the kernel of samples with each other."""
        if not (X.shape[0] if hasattr(X, "shape") else len(X)):
            raise ValueError("X has 0 samples; give at least 1")
        matrix = self.cross(X, X, dtype)
        refuse_indefinite(matrix, "the kernel matrix of X")
        return matrix

    def cross(self, X: Any, Y: Any, dtype: DTypeLike) -> Array:
        """Compute the kernel of samples with others."""
        return evaluate(self.function, X, Y, dtype)


@dataclass(frozen=True)
class Precomputed:
    """The kernel of a matrix that is given."""

    name: ClassVar[str] = "precomputed"
    has_weights: ClassVar[bool] = False
    takes_features: ClassVar[bool] = False
    derivatives: ClassVar[None] = None


PRECOMPUTED = Precomputed.name
AnyKernel = Kernel | FunctionKernel | Precomputed
