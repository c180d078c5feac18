"""The time and memory that a form takes, and the obstacles that rule it out. Counts follow the kernels (``_core/front.pyx``).

A form inherits the figures for weights that every step changes, and overrides those that differ.
"""

from typing import TYPE_CHECKING, ClassVar

import numpy as np

from fcfast import backend
from fcfast.threads import SMALL_PRODUCT

if TYPE_CHECKING:
    from fcfast.planning.figures import Machine
    from fcfast.planning.problem import Problem

CHECKPOINTS = 2  # copies of the velocity, for the block of epochs that is trained and for the one that is kept
CHECKPOINT_BYTES = 20 << 20  # no network with larger copies has epochs so short that several are trained in a call
DRIVEN_STEP = 7  # NumPy's calls in a step that Python drives (`fcfast.training.stepwise`), in units of `Machine.python_step`
RULE_STEP = 5  # the same for each hidden layer, if the kernels do not know the rule
NOISE = 2.5e-9  # seconds to draw a random number (``_core/noise.pyx``)
NEWTON_SCHULZ = 5 * 4  # products of Gram matrices in a step that mixes units


class FormCosts:
    """The costs of a form, for plans. They are class methods, because a plan is made before the network.

    Attributes
    ----------
    needs_features : bool
        Whether the form multiplies features. Others are content with the products of the samples, so that X may be a `Gram`.
    holds_gram : bool
        Whether the source is the Gram matrix of the training inputs, and the base has a row for each input.
    leaves_alone : bool
        Whether steps leave features without entries alone, which an optimiser has to allow (`Optimizer.is_lazy`).
    saving : str
        Advice for saving memory.
    """

    name: ClassVar[str]
    updates_each_weight: ClassVar[bool]
    compiled: ClassVar[bool]
    takes_sparse: ClassVar[bool]
    scales_rows: ClassVar[bool]
    needs_features: ClassVar[bool] = True
    holds_gram: ClassVar[bool] = False
    leaves_alone: ClassVar[bool] = False
    saving: ClassVar[str] = "use fewer hidden units"
    _without_weights: ClassVar[str] = "does not hold the weights"

    @classmethod
    def columns(cls, problem: "Problem") -> int:
        """Give the length of a row of the source, which the base is multiplied by."""
        return problem.n_samples if cls.holds_gram else problem.n_features

    @classmethod
    def obstacle(cls, problem: "Problem") -> str:
        """Name the obstacle to this form, as in "form 'windowed' needs a dense X"; the text is empty if it can be trained."""
        if problem.density is not None and not cls.takes_sparse:
            return "needs a dense X"
        if cls.needs_features and not problem.has_features:
            return "holds weights for features, and the samples are given by their products (a Gram matrix or a kernel)"
        if cls.needs_features and problem.is_elsewhere:
            return "needs all samples in this process, and a dask array stays on its cluster (use X.compute() or a stream)"
        if not cls.updates_each_weight and not problem.optimizer.commutes:
            return f"{cls._without_weights}, and {problem.optimizer.name} scales every weight by itself in every step"
        if not cls.updates_each_weight and not problem.rule.stays_in_span:
            return f"{cls._without_weights}, which the rule moves in random directions"
        return ""

    @classmethod
    def largest_part(cls, problem: "Problem") -> str:
        """Name the largest array for an error, as in "a Gram matrix of ..."; the text is empty if it is obvious."""
        return ""

    @classmethod
    def choose_window(cls, window: int | str, batch_size: int, n_samples: int, has_velocity: bool) -> int:
        """Turn `window`, a number of rows or "auto", into a number of rows that is a multiple of the batch size."""
        return batch_size

    # ------------------------------------------------------------------------------------------------------------------
    # memory

    @classmethod
    def n_bytes(cls, problem: "Problem", window: int) -> int:
        """Count the bytes that training holds besides the data: form, parameters above it, snapshots and scratch arrays."""
        n_held = problem.n_hidden * cls.columns(problem)
        numbers = (problem.n_blocks * n_held + problem.n_params) * (problem.copies + problem.n_snapshots) + cls._n_own(problem)
        if problem.compiled and cls.compiled:
            widths = np.array([*problem.hidden, problem.n_outputs], dtype=np.intp)
            numbers += backend.front.work_size(
                problem.n_held, problem.batch_size, window, cls.columns(problem), widths, problem.n_params
            )
        else:
            kept = problem.rule.kept_activations(len(problem.layers)) * problem.batch_size * max(problem.hidden)
            numbers += problem.n_params + kept + problem.drawn_numbers + problem.n_remembered + cls._n_driven(problem, window)
        return int(numbers * problem.itemsize) + cls._checkpoint_bytes(problem, n_held)

    @classmethod
    def _checkpoint_bytes(cls, problem: "Problem", n_held: int) -> int:
        """Count the copies of velocities that several epochs in a call need; long epochs are trained one by one, without."""
        if problem.block_rows or not (problem.compiled and cls.compiled and problem.optimizer.has_velocity):
            return 0
        return min(CHECKPOINTS * (n_held + problem.n_params) * problem.itemsize, CHECKPOINT_BYTES)

    @classmethod
    def _n_own(cls, problem: "Problem") -> int:
        """Count the numbers that the form holds besides its base, which are a copy of the samples here."""
        return problem.n_held * problem.n_features if cls._copies(problem) else 0

    @classmethod
    def _copies(cls, problem: "Problem") -> bool:
        """Whether the form holds a copy of the samples; those that are scaled need none where they are scaled as gathered."""
        return problem.copies_X or (problem.scales_X and not cls.scales_rows)

    @classmethod
    def _n_driven(cls, problem: "Problem", window: int) -> int:
        """Count the numbers that steps need if Python drives them, which are the gradient of a front layer here."""
        return problem.n_hidden * cls.columns(problem)

    # ------------------------------------------------------------------------------------------------------------------
    # time

    @classmethod
    def seconds_once(cls, problem: "Problem", machine: "Machine") -> float:
        """Predict the seconds before the first step: initial weights, conversion of X, and a check that X is finite."""
        X_bytes = problem.n_samples * problem.n_features * problem.itemsize
        passes = 6 if cls._copies(problem) else 3  # the check that X is finite takes three, because it is slower than memory
        N, d, h = problem.n_samples, problem.n_features, problem.n_hidden * problem.n_blocks
        weights = machine.fill * d * h
        if problem.in_span:  # they are made from the products of the samples
            weights += machine.product(N, N, d, problem.dtype, machine.n_threads) / 2
            weights += machine.product(N, h, d, problem.dtype, machine.n_threads)
        return weights + machine.passes(passes * X_bytes, X_bytes)

    @classmethod
    def seconds_per_epoch(cls, problem: "Problem", window: int, machine: "Machine") -> float:
        """Predict the seconds of an epoch, in a kernel or step by step."""
        if problem.compiled and cls.compiled:
            return cls._compiled_epoch(problem, window, machine)
        return problem.n_blocks * cls._driven_epoch(problem, window, machine)

    @classmethod
    def _compiled_epoch(cls, problem: "Problem", window: int, machine: "Machine") -> float:
        """Predict the seconds of an epoch in the kernel: windows of `window` rows, and a shorter last window."""
        rows = min(window, problem.n_samples) if machine.windows else problem.batch_size
        n_threads = blas_threads(problem, rows, cls.columns(problem), machine)
        n_windows, rest = divmod(problem.n_samples, rows)
        seconds = machine.python_step + n_windows * cls._window(problem, rows, n_threads, machine)
        return seconds + (cls._window(problem, rest, n_threads, machine) if rest else 0.0)

    @classmethod
    def _window(cls, problem: "Problem", K: int, n_threads: int, machine: "Machine") -> float:
        """Predict the seconds of a window of K rows in the kernel."""
        columns, h, size, copies = cls.columns(problem), problem.n_hidden, problem.itemsize, problem.copies
        batch = min(problem.batch_size, K)
        n_steps = -(-K // batch)
        base = columns * h * size

        def product(m: float, n: float, k: float) -> float:
            return machine.product(m, n, k, problem.dtype, n_threads)

        seconds = n_steps * upper_step(problem, batch, n_threads, machine)
        seconds += product(K, h, columns) * (copies if n_steps > 1 else 1)
        seconds += machine.passes(2 * K * columns * size, problem.n_samples * columns * size)  # gathering the rows
        if problem.optimizer.has_velocity:
            seconds += max(machine.decay[problem.dtype] * columns * h, machine.passes(4 * base, 2 * base))
        elif problem.optimizer.weight_decay or not machine.windows:
            seconds += machine.passes(2 * base, base)
        if cls.holds_gram:
            seconds += copies * machine.passes(3 * K * h * size, copies * base)
        else:
            seconds += copies * product(h, columns, K)
        if n_steps > 1:
            gram = 0.0 if cls.holds_gram else product(K, K, columns)
            seconds += gram + (n_steps - 1) * product(batch, h, K / 2)
        return seconds

    @classmethod
    def _driven_epoch(cls, problem: "Problem", window: int, machine: "Machine") -> float:
        """Predict the seconds of an epoch of a block that Python drives, with a gradient of all weights."""
        columns, h, batch = cls.columns(problem), problem.n_hidden, problem.batch_size
        n_threads = blas_threads(problem, batch, columns, machine)
        step = driven_step(problem, columns, n_threads, machine)
        step += machine.product(h, columns, batch, problem.dtype, n_threads)
        if problem.optimizer.mixes_units:
            step += mixing(problem, min(h, columns), columns, n_threads, machine)
        return problem.n_steps * step


# ----------------------------------------------------------------------------------------------------------------------
# arithmetic that forms share


def blas_threads(problem: "Problem", rows: int, columns: int, machine: "Machine") -> int:
    """Give the number of BLAS threads, which is one if the largest product is small (`fcfast.threads.blas_threads_for`)."""
    above = (2.0 * problem.batch_size * n_in * n_out for n_out, n_in in problem.layers)
    return machine.n_threads if max(2.0 * rows * columns * problem.n_hidden, *above) >= SMALL_PRODUCT else 1


def upper_step(problem: "Problem", batch: int, n_threads: int, machine: "Machine") -> float:
    """Predict the seconds of a step above a front layer: three products per layer, activations, deltas and the update."""
    seconds = machine.step + batch * machine.row + batch * sum(problem.hidden) * machine.element
    for n_out, n_in in problem.layers:
        seconds += 3 * machine.product(batch, n_out, n_in, problem.dtype, n_threads)
    held = 3 * problem.n_params / problem.n_blocks * problem.itemsize
    return seconds + machine.passes(held * 5 / 3, held)


def driven_step(problem: "Problem", n_coordinates: int, n_threads: int, machine: "Machine") -> float:
    """Predict the seconds of a step that Python drives: layers above, pre-activations, and passes over the coordinates."""
    rule, n_layers, h = problem.rule, len(problem.layers), problem.n_hidden
    share = rule.matrix_products(n_layers) / (3 * n_layers - 1)  # relative to backpropagation
    seconds = share * upper_step(problem, problem.batch_size, n_threads, machine) + NOISE * problem.drawn_numbers
    seconds += (DRIVEN_STEP + (0 if rule.compiled else RULE_STEP * n_layers)) * machine.python_step
    touched = n_coordinates * h * problem.itemsize
    seconds += machine.product(problem.batch_size, h, n_coordinates, problem.dtype, n_threads)
    return seconds + machine.passes(problem.optimizer.passes * touched, 3 * touched)


def mixing(problem: "Problem", side: int, n_coordinates: int, n_threads: int, machine: "Machine") -> float:
    """Predict the seconds of a step's products over mixed units: Newton-Schulz iterations on matrices with this side."""
    h = problem.n_hidden

    def product(m: float, n: float, k: float) -> float:
        return machine.product(m, n, k, problem.dtype, n_threads)

    seconds = DRIVEN_STEP * machine.python_step + product(side, side, max(h, n_coordinates)) + product(h, n_coordinates, side)
    return seconds + NEWTON_SCHULZ * product(side, side, side)
