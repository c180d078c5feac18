"""The time and memory of the forms that hold weights of sparse features. Counts follow ``_core/sparse_front.pyx``."""

from typing import TYPE_CHECKING, ClassVar

import numpy as np

from fcfast import backend
from fcfast.front.costs import SNAPSHOTS, FormCosts, driven_step, upper_step
from fcfast.front.slots import padded
from fcfast.gram.occurring import WEIGHTS_AT_A_TIME

if TYPE_CHECKING:
    from fcfast.planning.figures import Machine
    from fcfast.planning.problem import Problem

SLOT_BYTES = 36  # of a feature beside its weights: its number, its order, its stamp, its place in a window
SORT_BYTES = 16  # of an entry while features are numbered
ENTRY_BYTES, FEATURE_BYTES = 2 * 12, 2 * 44  # of entries and features in the two windows that the kernel holds
SORTED = 2e-8  # seconds to give an entry its slot
ENTRY = 8e-9  # seconds to sort an entry into its window
FEATURE = 15e-9  # seconds to find out how far a feature lags behind, and to ask for its slot
SCATTERED = 3  # times as long as passes over arrays take those over slots that lie apart
SHARED = 65536  # multiplications of a pass that threads share


class SparseCosts(FormCosts):
    """The costs of a table of the features that occur."""

    takes_sparse: ClassVar[bool] = True
    scales_rows: ClassVar[bool] = False
    needs_kernel: ClassVar[bool] = True
    saving: ClassVar[str] = "use fewer hidden units or features"

    @classmethod
    def columns(cls, problem: "Problem") -> int:
        """Give the number of slots."""
        return problem.n_occurring

    @classmethod
    def obstacle(cls, problem: "Problem") -> str:
        """Name the obstacle to this form; the text is empty if it can be trained."""
        if problem.centres_entries:
            return "needs a dense X to centre it (standardize='scale' subtracts nothing, so that X stays sparse)"
        if problem.is_stack:
            return "needs a dense X"
        if problem.optimizer.rests:
            stays = problem.rule.stays_in_span
            return super().obstacle(problem) if stays else "leaves other features alone, and the rule moves the weights of all"
        if not problem.optimizer.compiled:
            return (
                f"leaves a feature alone until it occurs again, which optimizer={problem.optimizer.name!r} does not allow; "
                "'sgd' does, and 'adagrad' and 'rmsprop' without weight decay"
            )
        if not problem.compiled:
            return (
                "trains SGD on sparse samples by backpropagation alone, with a loss of the library and without groups of units"
            )
        return super().obstacle(problem)

    @classmethod
    def largest_part(cls, problem: "Problem") -> str:
        """Name the table."""
        return f"weights for the {problem.n_occurring:,} features that occur"

    @classmethod
    def n_bytes(cls, problem: "Problem", window: int) -> int:
        """Count the bytes that training holds besides the data."""
        slots, size, n_entries = problem.n_occurring, problem.itemsize, problem.row_length * problem.n_samples
        table = slots * padded(problem.n_hidden, size) * problem.copies * size
        n_held = slots * problem.n_hidden
        numbers = SNAPSHOTS * n_held + problem.n_params * (problem.copies + SNAPSHOTS)
        widths = np.array([*problem.hidden, problem.n_outputs], dtype=np.intp)
        numbers += backend.front.work_size(problem.n_samples, problem.batch_size, window, 0, widths, problem.n_params)
        n_rows = min(window, problem.n_samples)
        entries = n_entries * SORT_BYTES + n_rows * problem.row_length * ENTRY_BYTES + problem.n_met(n_rows) * FEATURE_BYTES
        return int(table + numbers * size + slots * SLOT_BYTES + entries) + cls._checkpoint_bytes(problem, n_held)

    @classmethod
    def seconds_once(cls, problem: "Problem", machine: "Machine") -> float:
        """Predict the seconds before the first step: slots, and initial weights, made together with their neighbours."""
        n_made = min(problem.n_features, problem.n_occurring * max(1, WEIGHTS_AT_A_TIME // problem.n_hidden))
        return SORTED * problem.row_length * problem.n_samples + machine.draw * n_made * problem.n_hidden

    @classmethod
    def _compiled_epoch(cls, problem: "Problem", window: int, machine: "Machine") -> float:
        if not machine.windows:  # the kernel in pure Python makes rows dense
            return super()._compiled_epoch(problem, window, machine)
        K = min(window, problem.n_samples)
        table = problem.n_occurring * problem.n_hidden * problem.copies * problem.itemsize
        seconds = problem.n_samples / K * cls._sparse_window(problem, K, table, machine)
        if problem.optimizer.has_velocity or problem.optimizer.weight_decay:
            seconds += machine.passes(2 * table, table) / machine.speedup  # all are caught up at the end
        return machine.python_step + seconds

    @classmethod
    def _driven_epoch(cls, problem: "Problem", window: int, machine: "Machine") -> float:
        """Predict the seconds of an epoch of steps that Python drives, in place of the kernel."""
        table = problem.n_occurring * problem.n_hidden * problem.copies * problem.itemsize
        rule = driven_step(problem, 0, 1, machine)
        return problem.n_steps * (rule + cls._sparse_window(problem, problem.batch_size, table, machine))

    @classmethod
    def _sparse_window(cls, problem: "Problem", K: int, table: int, machine: "Machine") -> float:
        """Predict the seconds of a window of K rows."""
        h, size, batch = problem.n_hidden, problem.itemsize, min(problem.batch_size, K)
        n_steps, n_met, n_entries = -(-K // batch), problem.n_met(K), K * problem.row_length
        passes = SCATTERED * machine.passes(3 * n_met * h * problem.copies * size, table)
        passes += machine.sparse_product * 2 * n_entries * h
        seconds = passes / (machine.speedup if n_entries * h >= SHARED else 1.0)
        seconds += ENTRY * n_entries + FEATURE * n_met + n_steps * upper_step(problem, batch, 1, machine)
        if n_steps > 1:
            pairs = K * K * problem.row_length**2 / problem.n_features
            seconds += machine.sparse_pair * pairs
            seconds += (n_steps - 1) * machine.product(batch, h, K / 2, problem.dtype, 1)
        return seconds
