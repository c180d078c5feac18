"""The front layer of sparse features during an epoch that Python drives, step by step."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fcfast import backend
from fcfast.front.base import Memory, Rows
from fcfast.front.linear_step import LinearStep
from fcfast.layers import multiply
from fcfast.layers.protocol import RootSettings, SgdSettings

if TYPE_CHECKING:
    from fcfast.front.sparse import SparseWeightsForm

Array = NDArray[Any]


class OpenSparse:
    """The front layer as a rule sees it; itself the layer that an optimiser updates.

    The gradient of a batch is held as its deltas D: that of a feature is the sum of its entries times the deltas of their rows.
    An optimiser's operations are noted (`LinearStep`), and done before the next batch on the features of this one. The other
    features are caught up when they occur again, or at the end. Optimisers under which weights rest have a step of their own.

    Parameters
    ----------
    form : SparseWeightsForm
    batch_size : int
        Largest number of rows in a batch.
    n_steps : int
        Number of steps before `close`.
    memory : dict of ndarray
        State of the optimiser.
    n_threads : int
        Number of threads.
    """

    def __init__(self, form: "SparseWeightsForm", batch_size: int, n_steps: int, memory: Memory, n_threads: int) -> None:
        self.form, self.n_steps, self.memory, self.n_threads = form, n_steps, memory, n_threads
        self.n_out, self.n_in = form.base.shape[1], form.n_features
        self._noted: LinearStep | None = None
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
        self._take_step()
        self.batch = np.ascontiguousarray(batch)
        S = np.empty((len(batch), self.n_out), self.form.table.dtype)
        backend.sparse_front.project_batch(self._network, self._workspace, self.batch, S, self.n_threads)
        return S

    def take(self, D: Array) -> None:
        """Take the gradient with respect to these pre-activations."""
        self.D = np.ascontiguousarray(D, self.form.table.dtype)

    def batch_gram(self) -> Array:
        """Give the inner products (B, B) of the batch's inputs."""
        gram = np.empty((len(self.batch), len(self.batch)), self.form.table.dtype)
        backend.sparse_front.batch_gram(self._network, gram)
        return gram

    # ------------------------------------------------------------------------------------------------------------------
    # what an optimiser asks for

    def squared_gradient_norms(self) -> NDArray[np.float64]:
        """Give the squared norm of the gradient of each unit, shape (h,)."""
        norms = (multiply(self.batch_gram(), self.D) * self.D).sum(axis=0, dtype=np.float64)
        # Rounding may give a negative number for a unit with equal and opposite deltas.
        return np.maximum(norms, 0.0)

    def scale_gradient(self, factor: float) -> None:
        """Multiply the gradient."""
        self.D = self.D * self.D.dtype.type(factor)

    @property
    def _step(self) -> LinearStep:
        """The step that is being noted."""
        if self._noted is None:
            self._noted = LinearStep(self.form.velocity is not None)
        return self._noted

    def accumulate(self, decay: float, fresh: float) -> None:
        """Update the velocity: M <- decay M + fresh * gradient."""
        self._step.accumulate(decay, fresh)

    def shrink(self, factor: float) -> None:
        """Multiply the weights."""
        self._step.shrink(factor)

    def descend(self, rates: Array | float) -> None:
        """Step along the velocity, or the gradient without one, with a rate for each unit (h,)."""
        self._step.descend(rates)

    def descend_as_sgd(self, rate: float, sgd: SgdSettings, first: bool) -> None:
        """Take a step of torch.optim.SGD."""
        self._step.descend_as_sgd(rate, sgd, first)

    def descend_by_root(self, rate: float, settings: RootSettings) -> None:
        """Take a step of `fcfast.optimizers.roots.RootOptimizer`."""
        self._settings = settings
        backend.sparse_front.descend_by_root(
            self._network, self.D, rate, settings.keep, settings.fresh, settings.eps, self._n_steps, self.n_threads
        )
        self._n_steps += 1

    def _take_step(self) -> None:
        """Do what was noted."""
        if self._noted is None:
            return
        p, by_unit, fresh = self._noted.numbers(self.n_out)
        m_fresh, self._noted = self._noted.m_fresh, None
        backend.sparse_front.take_step(self._network, self.D, p, by_unit, fresh, m_fresh, self.n_steps, self.n_threads)

    def close(self) -> None:
        """Bring features that have not occurred lately up to date."""
        self._take_step()
        backend.sparse_front.settle(self._network, self.n_threads)
        if self._settings is not None and self._settings.keep != 1:
            backend.sparse_front.catch_up_moments(self._network, self._settings.keep, self._n_steps)
