"""Epochs on samples in memory, trained ahead of the fit loop, several in a call where nothing has to happen between them.

At full batch an epoch is one step, and what Python does between two epochs takes as long as the step. The fit loop looks at
the losses of the epochs one by one, as if each had just been trained; if it ends within a block, the block is trained again
from its start up to there. That gives the same bits, takes a few milliseconds and happens once in a training.
"""

from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fcfast.training.trainable import Checkpoint, Snapshot, Trainable

if TYPE_CHECKING:
    from fcfast.training.loop import Training

Array = NDArray[Any]
Floats = NDArray[np.float64]
Rows = NDArray[np.intp]

BLOCK = 0.01  # seconds: long beside what comes with a block, short for who presses Ctrl-C, or waits for one to be repeated
GROWTH = 4  # times as many epochs as in the block before, at most: its time may have been an accident


@dataclass
class _Block:
    """Epochs that were trained in a call, and the state that they started from."""

    first: int
    weights: Snapshot
    losses: list[Floats]
    orders: Rows | None = None
    rates: Floats | None = None
    checkpoint: Checkpoint | None = None  # where there are several epochs
    drawn: Any = None  # state of the random numbers before the orders were drawn, if there are several
    is_finite: bool = True
    is_open: bool = False  # being trained: the network may be anywhere in it


class EpochsInMemory:
    """The epochs of a training, one after the other for the fit loop, in blocks for the network.

    A training that has callbacks or validates after each epoch has blocks of one epoch.
    """

    def __init__(
        self,
        training: "Training",
        network: Trainable,
        rows: Rows,
        targets: Array,
        weights: Floats | None,
        random_state: np.random.RandomState,
    ) -> None:
        self.training, self.network, self.rows, self.random_state = training, network, rows, random_state
        self.n_samples, self._data = len(rows), (targets, weights)
        self._by_blocks = None if training.validate or training.callbacks else network.by_blocks
        self._block = _Block(0, network.snapshot(), [])
        self._kept = self._block, 0
        self._spare: _Block | None = None
        self._n_seen, self._n_next = 0, 1

    def train(self, epoch: int) -> Floats:
        """Give the losses of the steps of the next epoch, or of fewer steps after a divergence."""
        if epoch - self._block.first >= len(self._block.losses):
            self._next_block(epoch)
        self._n_seen = epoch + 1
        return self._block.losses[epoch - self._block.first]

    @property
    def is_finite(self) -> bool:
        """Whether all parameters are finite numbers; if they are not after an epoch, they are not after its block."""
        return self._block.is_finite

    def keep_before(self, epoch: int) -> None:
        """Keep the network as it was before the epoch that was trained last."""
        if self._kept[0] is not self._block:
            self._spare = self._kept[0]
        self._kept = self._block, epoch - self._block.first

    def keep(self) -> None:
        """Keep the network as it is."""
        self._kept = _Block(self._n_seen, self.network.snapshot(self._kept[0].weights), []), 0

    def go_back(self) -> None:
        """Restore the network that was kept, and reset the optimiser."""
        block, n_epochs = self._kept
        self._redraw()
        self._replay(block, n_epochs)
        if block.checkpoint is not None:
            self.network.restore(self.network.snapshot())  # forgets what a replay remembers
        self._block = _Block(self._n_seen, block.weights, [])

    def settle(self, n_epochs: int) -> None:
        """Restore the network after `n_epochs` epochs, which may leave out the last epoch that was given."""
        self._redraw()
        block = self._block
        if block.is_open or 0 <= n_epochs - block.first < len(block.losses):
            self._replay(block, n_epochs - block.first)

    # ------------------------------------------------------------------------------------------------------------------

    def _next_block(self, epoch: int) -> None:
        """Train as many epochs as the last block allows."""
        count = min(self._n_next, self.training.max_epochs - epoch) if self._by_blocks else 1
        draw, several = self.training.shuffle, count > 1
        try:
            rates = self.training.rates(self.network, range(epoch, epoch + count), len(self.rows))
        except Exception:
            if not several:
                raise
            # The training may end before the epoch that has no rates.
            self._one_by_one(epoch)
            return
        drawn = self.random_state.get_state(legacy=False) if draw and several else None
        orders = np.empty((count, len(self.rows)), self.rows.dtype)
        orders[:] = self.rows
        if draw:
            for order in orders:
                self.random_state.shuffle(order)
        block = self._started(epoch, several)
        block.orders, block.rates, block.drawn = orders, rates, drawn
        started = perf_counter()
        try:
            # From here on Ctrl-C finds the network within this block, also after the kernel and in the lines below.
            block.is_open = True
            self._block = block
            block.losses = self._losses(block)
            block.is_finite = self.network.is_finite()
        except BaseException:  # Ctrl-C, or a lack of memory
            self._replay(block, 0)
            raise
        if several and not (block.is_finite and np.isfinite(block.losses[-1]).all()):
            # After a loss that is not finite all others are NaN. Training one by one finds the epoch at which it diverges.
            self._replay(block, 0)
            if drawn is not None:
                self.random_state.set_state(drawn)
            self._one_by_one(epoch)
            return
        each = (perf_counter() - started) / count
        self._n_next = max(1, min(GROWTH * count, int(BLOCK / max(each, 1e-9))))
        block.is_open = False

    def _one_by_one(self, epoch: int) -> None:
        """Go on in blocks of one epoch."""
        self._by_blocks = None
        self._next_block(epoch)

    def _started(self, epoch: int, several: bool) -> _Block:
        """Copy what the network holds now, into the copy that is wanted no more."""
        kept = self._kept[0]
        if self.training.keeps_best:
            return _Block(epoch, kept.weights, [])
        old = self._spare if self._block is kept else self._block
        self._spare = None
        weights = self.network.snapshot(old.weights if old else None)
        checkpoint = self._by_blocks.checkpoint(old.checkpoint if old else None) if self._by_blocks and several else None
        return _Block(epoch, weights, [], checkpoint=checkpoint)

    def _losses(self, block: _Block) -> list[Floats]:
        assert block.orders is not None
        assert block.rates is not None
        if block.checkpoint is not None and self._by_blocks:
            return list(self._by_blocks.train_epochs(block.orders, block.rates, *self._data))
        return [self.network.train_epoch(block.orders[0], block.rates[0], *self._data)]

    def _replay(self, block: _Block, n_epochs: int) -> None:
        """Go back to the start of a block, and train some of its epochs again."""
        self.network.restore(block.weights)
        replaying = self.network.by_blocks
        if block.checkpoint is None or replaying is None:
            return
        replaying.resume(block.checkpoint)
        if n_epochs and block.orders is not None and block.rates is not None:
            replaying.train_epochs(block.orders[:n_epochs], block.rates[:n_epochs], *self._data)

    def _redraw(self) -> None:
        """Have the random numbers as if only the epochs that were given had been drawn."""
        block = self._block
        if block.drawn is not None:
            self.random_state.set_state(block.drawn)
            for _ in range(self._n_seen - block.first):
                self.random_state.shuffle(self.rows.copy())
            block.drawn = None
