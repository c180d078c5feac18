"""The compiled epochs of a network, with the arguments of their kernel kept from call to call."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fcfast import backend
from fcfast.front.base import FrontForm
from fcfast.losses import Targets
from fcfast.training.upper import UpperLayers

Array = NDArray[Any]


class EpochKernel:
    """The kernel of whole epochs of SGD, with the arrays it works on, its settings and its scratch.

    Parameters
    ----------
    front : FrontForm
    upper : UpperLayers
        With an optimiser and an activation that the kernel knows.
    targets : Targets
        With a loss that the kernel knows.
    batch_size, window : int
    n_rows : int
        Rows of an epoch; later epochs may have fewer.
    """

    def __init__(
        self, front: FrontForm, upper: UpperLayers, targets: Targets, batch_size: int, window: int, n_rows: int
    ) -> None:
        kernel = backend.front
        sgd: Any = upper.optimizer  # its settings are those of SGD
        self._sizes, self.front = (batch_size, window), front
        self._network, self._run = front.kernel_network(upper), front.kernel.sgd_epochs
        self._sgd = kernel.Sgd(
            sgd.momentum, sgd.dampening, sgd.nesterov, sgd.max_grad_norm or 0.0, upper.rate_factors, upper.weight_decay
        )
        self._take(targets, n_rows)

    def _take(self, targets: Targets, n_rows: int) -> None:
        self._held, self.n_rows = _arrays(self.front, targets), n_rows
        self._targets = targets.of_kernel
        self._workspace = backend.front.Workspace(self._network, n_rows, *self._sizes)

    def continues(self, front: FrontForm, batch_size: int, window: int) -> bool:
        """Whether the kernel can go on with the samples that the front layer has now, on the same weights."""
        same = front is self.front and front.base is self._held[0] and front.velocity is self._held[1]
        return same and front.goes_on and self._sizes == (batch_size, window)

    def take_rows(self, targets: Targets, n_rows: int) -> None:
        """Take the samples that the front layer has now; features may lag behind until `settle`."""
        self.front.change_kernel_rows(self._network)
        self._take(targets, max(n_rows, self.n_rows))

    def settle(self, n_threads: int) -> None:
        """Bring up to date what lags behind since `take_rows`."""
        if self.front.goes_on:
            self.front.kernel.settle(self._network, n_threads)

    def serves(self, front: FrontForm, targets: Targets, batch_size: int, window: int, n_rows: int) -> bool:
        """Whether the kernel works on these very arrays, and its scratch is large enough."""
        same = all(a is b for a, b in zip(self._held, _arrays(front, targets), strict=True))
        return same and n_rows <= self.n_rows and self._sizes == (batch_size, window)

    def epochs(
        self, rows: NDArray[np.intp], rates: NDArray[np.float64], losses: NDArray[np.float64], first: bool, n_threads: int
    ) -> int:
        """Train some epochs.

        Parameters
        ----------
        rows : ndarray of int of shape (E, N)
            The samples of each epoch in the order they are taken.
        rates, losses : ndarray of shape (E, steps)
            Learning rates of the steps; their losses are filled in.
        first : bool
            Whether the optimiser has taken no step yet.
        n_threads : int

        Returns
        -------
        int
            Steps done: all, or those before the first loss that is not finite.
        """
        done = self._run(self._network, self._targets, self._sgd, self._workspace, rows, rates, losses, first, n_threads)
        return int(done)


def _arrays(front: FrontForm, targets: Targets) -> tuple[Any, ...]:
    """Give the arrays, and the scale of rows, that may be replaced between calls."""
    arrays = front.base, front.velocity, front.source, front.S0, front.scale, targets.values, targets.sample_weight
    return *arrays, front.row_scale
