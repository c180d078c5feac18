"""The interfaces of a network and of its epochs for the fit loop."""

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
        """Train on some rows in this order; give the loss of each step, or of fewer steps than `rates` after a divergence."""

    @property
    def by_blocks(self) -> "TrainableByBlocks | None":
        """The network itself if it can train several epochs in a call, otherwise None."""

    def snapshot(self, into: Snapshot | None = None) -> Snapshot:
        """Copy the trained arrays for `restore`, into an older snapshot if one is given."""

    def restore(self, kept: Snapshot) -> None:
        """Go back to a snapshot and reset the optimiser."""

    def is_finite(self) -> bool:
        """Whether all parameters are finite numbers."""

    def has_finite_outputs(self) -> bool:
        """Whether the outputs for some of the training rows are finite."""

    def finish(self) -> None:
        """Note that training has ended, and drop samples that predictions do not need."""


class TrainableByBlocks(Protocol):
    """A network that trains several epochs in a call, and from the same weights and checkpoint to the same bits again."""

    def train_epochs(self, orders: Rows, rates: Floats, targets: Array, sample_weight: Floats | None) -> Floats:
        """Train on some rows in the order of each epoch; give the loss of each step, or NaN after a divergence."""

    def checkpoint(self, into: Checkpoint | None = None) -> Checkpoint:
        """Copy what the optimiser remembers; into an older checkpoint if one is given."""

    def resume(self, checkpoint: Checkpoint) -> None:
        """Let the optimiser go on from a checkpoint."""


class Epochs(Protocol):
    """The epochs of a training, one after the other, as the fit loop asks for them."""

    @property
    def network(self) -> Trainable:
        """The network that is trained."""

    @property
    def n_samples(self) -> int:
        """Number of samples of an epoch."""

    def train(self, epoch: int) -> Floats:
        """Give the losses of the steps of the next epoch, or of fewer steps after a divergence."""

    @property
    def is_finite(self) -> bool:
        """Whether all parameters are finite numbers."""

    def keep_before(self, epoch: int) -> None:
        """Keep the network as it was before the epoch that was trained last."""

    def keep(self) -> None:
        """Keep the network as it is."""

    def go_back(self) -> None:
        """Restore the network that was kept, and reset the optimiser."""

    def settle(self, n_epochs: int) -> None:
        """Restore the network after `n_epochs` epochs, which may leave out the last epoch that was given."""


def copied(held: Sequence[Array], into: Snapshot | None) -> Snapshot:
    """Copy arrays, into an older snapshot if one is given."""
    if into is None:
        return tuple(array.copy() for array in held)
    for copy, array in zip(into, held, strict=True):
        copy[:] = array
    return into
