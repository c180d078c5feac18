"""The time and memory of the forms that hold weights of sparse features. Counts follow ``_core/sparse_front.pyx``."""

from typing import TYPE_CHECKING, ClassVar

import numpy as np

from fcfast import backend
from fcfast.front.costs import FormCosts, driven_step, upper_step
from fcfast.front.slots import padded
from fcfast.gram.occurring import WEIGHTS_AT_A_TIME

if TYPE_CHECKING:
    from fcfast.planning.figures import Machine
    from fcfast.planning.problem import Problem

BLOCK_SLOT_BYTES = 12  # of a feature for each further block that reads the samples
SLOT_BYTES = 36  # of a feature beside its weights: its number, its order, its stamp, its place in a window
SORT_BYTES = 16  # of an entry while features are numbered
ENTRY_BYTES, FEATURE_BYTES = 2 * 12, 2 * 44  # of entries and features in the two windows that the kernel holds
SORTED = 2e-8  # seconds to give an entry its slot
ENTRY = 8e-9  # seconds to sort an entry into its window
FEATURE = 15e-9  # seconds to find out how far a feature lags behind, and to ask for its slot
SCATTERED = 3  # times as long as passes over arrays take those over slots that lie apart
SHARED = 65536  # multiplications of a pass that threads share
LAGGING = 2e-9  # seconds to find out how far the weights of a feature lag behind in a unit, if units differ
UNIT_NUMBERS = 1 << 22  # of a history for units that differ


class SparseCosts(FormCosts):
    """The costs of a table of the features that occur."""

    takes_sparse: ClassVar[bool] = True
    scales_rows: ClassVar[bool] = False
    leaves_alone: ClassVar[bool] = True
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
        if not problem.rule.stays_in_span:
            return "leaves features without entries alone, and the rule moves the weights of all in random directions"
        if not problem.optimizer.is_lazy:
            return (
                f"leaves a feature alone until it occurs again, which optimizer={problem.optimizer.name!r} does not allow; "
                "'sgd' and 'neuron-adam' do, and 'adagrad' and 'rmsprop' without weight decay"
            )
        return super().obstacle(problem)

    @classmethod
    def largest_part(cls, problem: "Problem") -> str:
        """Name the table."""
        return f"weights for the {problem.n_occurring:,} features that occur"

    @classmethod
    def n_bytes(cls, problem: "Problem", window: int) -> int:
        """Count the bytes that training holds besides the data."""
        slots, size, n_blocks = problem.n_occurring, problem.itemsize, problem.n_blocks
        n_rows = min(window, problem.n_samples)
        table = n_blocks * slots * padded(problem.n_hidden, size) * problem.copies * size
        n_held = n_blocks * slots * problem.n_hidden
        numbers = problem.n_snapshots * n_held + problem.n_params * (problem.copies + problem.n_snapshots)
        if problem.compiled:
            widths = np.array([*problem.hidden, problem.n_outputs], dtype=np.intp)
            numbers += backend.front.work_size(problem.n_held, problem.batch_size, window, 0, widths, problem.n_params)
        else:
            kept = problem.rule.kept_activations(len(problem.layers)) * problem.batch_size * max(problem.hidden)
            numbers += problem.n_params + kept + problem.drawn_numbers + problem.n_remembered + cls._n_driven(problem, window)
        entries = problem.row_length * (problem.n_held * SORT_BYTES + n_rows * ENTRY_BYTES)
        entries += problem.n_met(n_rows) * FEATURE_BYTES
        history = cls._differ(problem) * min(problem.n_steps * problem.n_hidden, UNIT_NUMBERS) * 8
        bytes_by_slot = SLOT_BYTES + (n_blocks - 1) * BLOCK_SLOT_BYTES
        return int(table + numbers * size + slots * bytes_by_slot + entries + history) + cls._checkpoint_bytes(problem, n_held)

    @classmethod
    def _n_driven(cls, problem: "Problem", window: int) -> int:
        """Count the numbers of a batch: its Gram matrix, pre-activations and deltas."""
        return problem.batch_size * (problem.batch_size + 6 * problem.n_hidden)

    @classmethod
    def _differ(cls, problem: "Problem") -> bool:
        """Whether the steps of units differ, so that what a feature lags behind is a number for each unit."""
        return not (problem.optimizer.compiled or problem.optimizer.rests)

    @classmethod
    def seconds_once(cls, problem: "Problem", machine: "Machine") -> float:
        """Predict the seconds before the first step: slots, and initial weights, made together with their neighbours."""
        n_units = problem.n_hidden * problem.n_blocks
        n_made = min(problem.n_features, problem.n_occurring * max(1, WEIGHTS_AT_A_TIME // n_units))
        return SORTED * problem.row_length * problem.n_samples + machine.draw * n_made * n_units

    @classmethod
    def _compiled_epoch(cls, problem: "Problem", window: int, machine: "Machine") -> float:
        if not machine.windows:  # the kernel in pure Python makes rows dense
            return super()._compiled_epoch(problem, window, machine)
        K = min(window, problem.n_samples)
        n_steps = -(-K // problem.batch_size)
        window_seconds = cls._sparse_window(problem, K, machine) + n_steps * upper_step(problem, problem.batch_size, 1, machine)
        return machine.python_step + problem.n_samples / K * window_seconds + cls._catching_up(problem, machine)

    @classmethod
    def _driven_epoch(cls, problem: "Problem", window: int, machine: "Machine") -> float:
        """Predict the seconds of an epoch of a block in steps that Python drives, in place of the kernel."""
        if not machine.windows:
            return super()._driven_epoch(problem, window, machine)
        step = driven_step(problem, 0, 1, machine) + cls._sparse_window(problem, problem.batch_size, machine)
        if problem.optimizer.max_grad_norm is not None or cls._differ(problem):  # norms of gradients
            step += machine.sparse_pair * cls._n_pairs(problem, problem.batch_size)
        if cls._differ(problem):
            step += LAGGING * problem.n_met(problem.batch_size) * problem.n_hidden
        return problem.n_steps * step + cls._catching_up(problem, machine)

    @classmethod
    def _catching_up(cls, problem: "Problem", machine: "Machine") -> float:
        """Predict the seconds that it takes at the end of an epoch to bring all features up to date."""
        if problem.optimizer.rests or not (problem.optimizer.has_velocity or problem.optimizer.weight_decay):
            return 0.0
        table = cls._table_bytes(problem)
        return machine.passes(2 * table, table) / machine.speedup

    @classmethod
    def _table_bytes(cls, problem: "Problem") -> int:
        return problem.n_occurring * problem.n_hidden * problem.copies * problem.itemsize

    @classmethod
    def _n_pairs(cls, problem: "Problem", K: int) -> float:
        """Give the number of products of entries of the same feature in K rows."""
        return K * K * problem.row_length**2 / problem.n_features

    @classmethod
    def _sparse_window(cls, problem: "Problem", K: int, machine: "Machine") -> float:
        """Predict the seconds of the front layer in a window of K rows."""
        h, size, batch = problem.n_hidden, problem.itemsize, min(problem.batch_size, K)
        n_steps, n_met, n_entries = -(-K // batch), problem.n_met(K), K * problem.row_length
        passes = SCATTERED * machine.passes(3 * n_met * h * problem.copies * size, cls._table_bytes(problem))
        passes += machine.sparse_product * 2 * n_entries * h
        seconds = passes / (machine.speedup if n_entries * h >= SHARED else 1.0) + ENTRY * n_entries + FEATURE * n_met
        if n_steps > 1:
            seconds += machine.sparse_pair * cls._n_pairs(problem, K)
            seconds += (n_steps - 1) * machine.product(batch, h, K / 2, problem.dtype, 1)
        return seconds
