"""The exceptions that are fcfast's own, where a warning points, and what the command says when it is interrupted."""

import inspect
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

INTERRUPTED = "fcfast: interrupted; files that were not finished were not written"


class DivergenceError(ArithmeticError):
    """Training diverged: an output or a weight is no longer finite. The message names the step."""


class ChangedFileError(RuntimeError):
    """A file that changed, or was removed, while it was still needed. The message names the file."""


class ModelFileError(ValueError):
    """A model file that is damaged, foreign, or does not belong to the data. The message names the file and what is wrong."""


def frames_within() -> int:
    """Count the frames of the library above this one, up to its caller's, so that a warning points there."""
    package, frame, count = f"{__name__.split('.')[0]}.", inspect.currentframe(), 0
    while frame is not None and frame.f_globals.get("__name__", "").startswith(package):
        frame, count = frame.f_back, count + 1
    return count - 1


def refuse_diverged(diverged_at: int | None) -> None:
    """Raise DivergenceError where training stopped at an output that was not finite."""
    if diverged_at is not None:
        raise DivergenceError(f"training diverged at iteration {diverged_at}, there is no network to expand; use a smaller eta")


def refuse_not_finite(weights: Iterable[NDArray[np.float64]], n_iter: int) -> None:
    """Raise DivergenceError where the last update overflowed, which no output has shown yet."""
    if not all(np.isfinite(matrix).all() for matrix in weights):
        raise DivergenceError(
            f"update {n_iter} left weights that are not finite, there is no network to expand; use a smaller eta"
        )
