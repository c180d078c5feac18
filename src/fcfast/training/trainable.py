"""What the fit loop asks of a network."""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Floats = NDArray[np.float64]
Rows = NDArray[np.intp]
Snapshot = tuple[Array, ...]
Checkpoint = tuple[int, Snapshot]  # steps that the optimiser has taken, and its velocities


class Trainable(Protocol):
    """A network as the fit loop sees it."""

    batch_size: int

    def train_epoch(self, rows: Rows, rates: Floats, targets: Array, sample_weight: Floats | None) -> Floats:
        """Train on some rows in that order; give the loss of each step, one fewer than `rates` or less where it diverged."""

    @property
    def by_blocks(self) -> "TrainableByBlocks | None":
        """Itself, if it can train several epochs in a call."""

    def snapshot(self, into: Snapshot | None = None) -> Snapshot:
        """Copy what is trained, to come back to it with `restore`; into an older snapshot that is not wanted any more."""

    def restore(self, kept: Snapshot) -> None:
        """Go back to a snapshot, from where the optimiser starts anew."""

    def is_finite(self) -> bool:
        """Whether all parameters are finite numbers."""

    def has_finite_outputs(self) -> bool:
        """Whether the outputs for some of the training rows are finite."""

    def finish(self) -> None:
        """Note that training has ended, and let go of samples that predictions do not need."""


class TrainableByBlocks(Protocol):
    """A network that trains several epochs in a call, and from the same weights and checkpoint to the same bits again."""

    def train_epochs(self, orders: Rows, rates: Floats, targets: Array, sample_weight: Floats | None) -> Floats:
        """Train on some rows in the order of each epoch; give the loss of each step, NaN where it had diverged."""

    def checkpoint(self, into: Checkpoint | None = None) -> Checkpoint:
        """Copy what the optimiser remembers; into an older checkpoint that is not wanted any more."""

    def resume(self, checkpoint: Checkpoint) -> None:
        """Let the optimiser go on from a checkpoint."""


def copied(held: Sequence[Array], into: Snapshot | None) -> Snapshot:
    """Copy arrays, into an older snapshot if there is one."""
    if into is None:
        return tuple(array.copy() for array in held)
    for copy, array in zip(into, held, strict=True):
        copy[:] = array
    return into
