"""The front layer of sparse features during an epoch that Python drives, step by step."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fcfast import backend
from fcfast.front.base import Memory, Rows
from fcfast.layers.protocol import RootSettings

if TYPE_CHECKING:
    from fcfast.front.sparse import SparseWeightsForm

Array = NDArray[Any]


class OpenSparse:
    """The front layer as a rule sees it; itself the layer that an optimiser under which weights rest updates.

    The gradient of a batch is held as its deltas D: that of a feature is the sum of its entries times the deltas of their rows.
    """

    def __init__(self, form: "SparseWeightsForm", batch_size: int, memory: Memory, n_threads: int) -> None:
        self.form, self.memory, self.n_threads = form, memory, n_threads
        self.n_out, self.n_in = form.base.shape[1], form.n_features
        self._settings: RootSettings | None = None
        self._n_steps = 0
        self._network = form.kernel_network_alone()
        self._workspace = backend.front.Workspace(self._network, batch_size, batch_size, batch_size)

    @property
    def layer(self) -> Any:
        """The weights as an optimiser sees them."""
        return self

    # ------------------------------------------------------------------------------------------------------------------
    # what a rule asks for

    def preactivations(self, batch: Rows) -> Array:
        """Give the pre-activations (B, h) of a batch."""
        self.batch = np.ascontiguousarray(batch)
        S = np.empty((len(batch), self.n_out), self.form.table.dtype)
        backend.sparse_front.project_batch(self._network, self._workspace, self.batch, S, self.n_threads)
        return S

    def take(self, D: Array) -> None:
        """Take the gradient with respect to these pre-activations."""
        self.D = np.ascontiguousarray(D, self.form.table.dtype)

    def batch_gram(self) -> Array:
        """Give the inner products (B, B) of the batch's inputs."""
        rows = self.form.source.sparse()[self.batch]
        gram: Array = (rows @ rows.T).toarray()
        return gram

    # ------------------------------------------------------------------------------------------------------------------
    # what an optimiser asks for

    def squared_gradient_norms(self) -> NDArray[np.float64]:
        """Give the squared norm of the gradient of each unit, shape (h,)."""
        norms: NDArray[np.float64] = ((self.batch_gram() @ self.D) * self.D).sum(axis=0, dtype=np.float64)
        return norms

    def scale_gradient(self, factor: float) -> None:
        """Multiply the gradient."""
        self.D = self.D * self.D.dtype.type(factor)

    def descend_by_root(self, rate: float, settings: RootSettings) -> None:
        """Take a step of `fcfast.optimizers.roots.RootOptimizer`."""
        self._settings = settings
        backend.sparse_front.descend_by_root(
            self._network, self.D, rate, settings.keep, settings.fresh, settings.eps, self._n_steps, self.n_threads
        )
        self._n_steps += 1

    def close(self) -> None:
        """Bring the second moments of features that have not occurred lately up to date."""
        if self._settings is not None and self._settings.keep != 1:
            backend.sparse_front.catch_up_moments(self._network, self._settings.keep, self._n_steps)
