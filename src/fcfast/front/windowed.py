"""The front layer as weights that are updated once per window of samples."""

from collections.abc import Generator, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fcfast.front.base import Memory, OpenFront, Rows, register
from fcfast.front.costs import blas_threads, driven_step, mixing
from fcfast.front.weights import WeightsForm
from fcfast.layers import SpanLayer, multiply

if TYPE_CHECKING:
    from fcfast.optimizers import Optimizer
    from fcfast.planning.figures import Machine
    from fcfast.planning.problem import Problem

Array = NDArray[Any]

WINDOW_ROWS = 96  # enough rows for matrix products even if batches are single samples, with little K x K work inside


@register
class WindowedForm(WeightsForm):
    """The form that reads and writes W1 once per window; steps change its coordinates in the span of the window's inputs."""

    name: ClassVar[str] = "windowed"
    is_automatic: ClassVar[bool] = True
    updates_each_weight: ClassVar[bool] = False
    compiled: ClassVar[bool] = True
    scales_rows: ClassVar[bool] = True
    changes_units: ClassVar[bool] = True
    _without_weights: ClassVar[str] = "updates the weights only once per window"

    def windows(
        self, batches: Sequence[Rows], per_window: int, optimizer: "Optimizer", memory: Memory, n_threads: int
    ) -> Generator[tuple[Sequence[Rows], OpenFront]]:
        """Give the batches of each window, one window after the other."""
        if per_window == 1:
            yield from super().windows(batches, per_window, optimizer, memory, n_threads)
            return
        for start in range(0, len(batches), per_window):
            in_window = batches[start : start + per_window]
            opened = OpenWindow(self, memory, np.concatenate(in_window), optimizer.mixes_units)
            try:
                yield in_window, opened
            finally:
                opened.close()

    # ------------------------------------------------------------------------------------------------------------------
    # costs

    @classmethod
    def choose_window(cls, window: int | str, batch_size: int, n_samples: int, has_velocity: bool) -> int:
        """Turn `window`, a number of rows or "auto", into a number of rows that is a multiple of the batch size."""
        rows = WINDOW_ROWS if isinstance(window, str) else min(int(window), n_samples)
        return max(batch_size, rows // batch_size * batch_size)

    @classmethod
    def _n_driven(cls, problem: "Problem", window: int) -> int:
        """Count the numbers in a window that Python drives: inputs, Gram matrix, coordinates and pre-activations."""
        return window * (cls.columns(problem) + window + 4 * problem.n_hidden)

    @classmethod
    def _driven_epoch(cls, problem: "Problem", window: int, machine: "Machine") -> float:
        """Predict an epoch of a block, with steps in coordinates and products with the weights at both ends of a window."""
        columns, h, K = cls.columns(problem), problem.n_hidden, min(window, problem.n_samples)
        n_threads = blas_threads(problem, K, columns, machine)

        def product(m: float, n: float, k: float) -> float:
            return machine.product(m, n, k, problem.dtype, n_threads)

        step = driven_step(problem, K, n_threads, machine)
        ends = 2 * product(K, h, columns) + 2 * product(h, columns, K) + product(K, K, columns)
        if problem.optimizer.mixes_units:
            step += mixing(problem, h, K, n_threads, machine) + product(K, h, K)
            ends += product(h, columns, h) * 2
        else:
            held = columns * h * problem.itemsize
            ends += machine.passes(8 * held, 2 * held)
        return problem.n_steps * step + -(-problem.n_samples // K) * ends


class OpenWindow:
    """The front layer during a window, held as coordinates in the span of its rows until it is closed."""

    def __init__(self, form: WindowedForm, memory: Memory, rows: Rows, mixes_units: bool) -> None:
        self.form, self.rows = form, rows
        X, W, M = form.rows(rows), form.base, form.velocity
        self.X = X
        Y, Z = np.zeros((2, len(rows), len(W)), W.dtype)
        self.layer = SpanLayer(
            form.n_features,
            multiply(X, X.T),
            multiply(X, W.T),
            None if M is None else multiply(X, M.T),
            multiply(M, M.T) if mixes_units and M is not None else None,
            Y,
            None if M is None else Z,
            1.0,
            0.0,
            memory,
        )
        self.done = 0

    def preactivations(self, batch: Rows) -> Array:
        """Give the pre-activations (B, h) of the next batch."""
        self.batch = slice(self.done, self.done + len(batch))
        self.done += len(batch)
        return self.layer.preactivations(self.batch)

    def take(self, D: Array) -> None:
        """Take the gradient with respect to these pre-activations."""
        self.layer.take(D, self.batch)

    def batch_gram(self) -> Array:
        """Give the inner products (B, B) of the batch's inputs."""
        return self.layer.gram[self.batch, self.batch]

    def close(self) -> None:
        """Bring the weights and their velocity up to date."""
        layer, (W, M), real = self.layer, (self.form.base, self.form.velocity), self.X.dtype.type
        started = W.copy() if layer.m else None
        W *= real(layer.c)
        W += multiply(layer.Y.T, self.X)
        if M is None:
            return
        W += layer.mixed(M)
        M *= real(layer.mu)
        M += multiply(layer.Z.T, self.X)
        if started is not None:
            M += real(layer.m) * started
