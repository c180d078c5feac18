"""Epochs on a stream, which is read once an epoch; one block of it is in memory at a time.

Rows that do not fill a batch at the end of a block wait for the next one. Without shuffling the batches are therefore those of
all samples together, whatever the blocks.
"""

from collections.abc import Callable, Iterable
from contextlib import ExitStack, closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from fcfast.training.copies import Copy
from fcfast.training.network import FrontNetwork

if TYPE_CHECKING:
    from fcfast.training.loop import Training

Array = NDArray[Any]
Floats = NDArray[np.float64]
Order = NDArray[np.intp]


@dataclass(frozen=True)
class Portion:
    """Samples of a block, their targets as the network takes them, and their weights, if any sample has one."""

    X: Any
    targets: Array
    weights: Floats | None

    def __len__(self) -> int:
        return len(self.targets)

    def part(self, rows: Order) -> "Portion | None":
        """Give some samples, or None for none."""
        if not len(rows):
            return None
        return Portion(self.X[rows], self.targets[rows], None if self.weights is None else self.weights[rows])

    def after(self, first: "Portion | None") -> "Portion":
        """Give these samples after others."""
        if first is None:
            return self
        both = first.X, self.X
        X = sparse.csr_array(sparse.vstack(both, format="csr")) if sparse.issparse(self.X) else np.concatenate(both)
        weights = None
        if self.weights is not None and first.weights is not None:
            weights = np.concatenate([first.weights, self.weights])
        return Portion(X, np.concatenate([first.targets, self.targets]), weights)


class StreamedEpochs:
    """The epochs of a training on a stream.

    Parameters
    ----------
    training : Training
    network : FrontNetwork
    portions : callable
        Reads the stream from the start.
    append : callable
        Gives the network samples to train on.
    n_samples : int
        Samples of the stream; each reading must give as many.
    random_state : RandomState
        Draws the order within blocks.

    Notes
    -----
    Copies of the network may lie in files, which `close` removes.
    """

    def __init__(
        self,
        training: "Training",
        network: FrontNetwork,
        portions: Callable[[], Iterable[Portion]],
        append: Callable[[Any], None],
        n_samples: int,
        random_state: np.random.RandomState,
    ) -> None:
        self.training, self.network, self.n_samples, self.random_state = training, network, n_samples, random_state
        self.is_finite = True
        self._portions, self._append = portions, append
        self._files = ExitStack()
        first: _State = _FirstState(network, self._files)
        self._start, self._kept = first, first  # of the last epoch, and of the best one
        self._spare: _State | None = None
        self._n_done = 0
        self._is_open = False  # the network is somewhere within an epoch

    def close(self) -> None:
        """Remove the copies of the network."""
        self._files.close()

    def train(self, epoch: int) -> Floats:
        """Give the losses of the steps of the next epoch, or of fewer steps after a divergence."""
        rates = self.training.rates(self.network, range(epoch, epoch + 1), self.n_samples)[0]
        if epoch:
            self._note_start()
        self._is_open = True
        losses = self._losses(rates)
        self.network.settle()
        self.is_finite = self.network.is_finite()
        self._n_done, self._is_open = epoch + 1, False
        return losses

    def keep_before(self, epoch: int) -> None:
        """Keep the network as it was before the epoch that was trained last."""
        if self._kept is not self._start:
            self._spare, self._kept = self._kept, self._start

    def keep(self) -> None:
        """Keep the network as it is."""
        state = self._spare or _State(self._files)
        state.write(self.network)  # beside the one that was kept, for who presses Ctrl-C now
        is_free = self._kept is not self._start and self._kept.is_rewritable
        self._spare, self._kept = self._kept if is_free else None, state

    def go_back(self) -> None:
        """Restore the network that was kept, and reset the optimiser."""
        self._kept.restore(self.network)
        self._n_done, self._is_open = 0, False

    def settle(self, n_epochs: int) -> None:
        """Restore the network after `n_epochs` epochs, which may leave out the last epoch that was given."""
        if self._is_open or n_epochs < self._n_done:
            self._start.restore(self.network)
            self._n_done, self._is_open = n_epochs, False

    # ------------------------------------------------------------------------------------------------------------------

    def _note_start(self) -> None:
        """Copy the network into the copy that is wanted no more."""
        is_free = self._start is not self._kept and self._start.is_rewritable
        free = self._start if is_free else self._spare
        free = free if free is not None and free.is_rewritable else _State(self._files)
        free.write(self.network)
        if free is self._spare:
            self._spare = None
        self._start = free

    def _losses(self, rates: Floats) -> Floats:
        losses: list[Floats] = [np.empty(0)]
        left: Portion | None = None
        size, n_read, n_steps = self.network.batch_size, 0, 0
        for portion in self._portions():
            n_read += len(portion)
            if n_read > self.n_samples:
                break
            samples = portion.after(left)
            order = np.arange(len(samples))
            if self.training.shuffle:
                self.random_state.shuffle(order)
            n_whole = len(order) // size * size
            left = samples.part(order[n_whole:])
            if n_whole:
                steps = rates[n_steps : n_steps + n_whole // size]
                losses.append(self._train(samples, order[:n_whole], steps))
                n_steps += len(steps)
                if len(losses[-1]) < len(steps):
                    return np.concatenate(losses)
        if n_read != self.n_samples:
            more = "at least " if n_read > self.n_samples else ""
            raise ValueError(
                f"the stream gave {more}{n_read:,} samples when it was read again, but {self.n_samples:,} at first; it has to "
                "give the same samples in every epoch, from a new iterator"
            )
        if left is not None:
            losses.append(self._train(left, np.arange(len(left)), rates[n_steps:]))
        return np.concatenate(losses)

    def _train(self, samples: Portion, rows: Order, rates: Floats) -> Floats:
        self._append(samples.X)
        return self.network.train_part(rows, rates, samples.targets, samples.weights)


class _State:
    """A state of the network that training can go back to; another state can take its place if it `is_rewritable`."""

    is_rewritable: ClassVar[bool] = True

    def __init__(self, files: ExitStack) -> None:
        self._copy = files.enter_context(closing(Copy()))

    def write(self, network: FrontNetwork) -> None:
        """Copy the parameters."""
        self._copy.write(network.held)

    def restore(self, network: FrontNetwork) -> None:
        """Give the network these parameters, and reset its optimiser."""
        self._copy.read(network.held)
        network.forget()


class _FirstState(_State):
    """The state before the first epoch; a form that can make its initial weights again needs no copy of them."""

    is_rewritable: ClassVar[bool] = False

    def __init__(self, network: FrontNetwork, files: ExitStack) -> None:
        super().__init__(files)
        self._restarts = network.front.restarts
        self._copy.write(self._copied(network))

    def _copied(self, network: FrontNetwork) -> tuple[Array, ...]:
        return network.held[len(network.front.held) :] if self._restarts else network.held

    def restore(self, network: FrontNetwork) -> None:
        """Give the network these parameters, and reset its optimiser."""
        if self._restarts:
            network.front.restart()
        self._copy.read(self._copied(network))
        network.forget()
