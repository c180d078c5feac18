"""SGD epochs on sparse rows, step by step on dense ones (twin of ``_core/sparse_front.pyx``).

Deliberately naive: the table becomes an array of weights, every batch a dense array, and every step changes every weight. What
the compiled kernel does to leave features alone is therefore checked against something that does nothing of the kind.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fcfast._pure.front import Network, Sgd, Workspace
from fcfast._pure.front import sgd_epochs as dense_epochs
from fcfast._pure.losses import Targets
from fcfast._pure.mathfn import Array, quiet


@dataclass
class _DenseRows:
    """Rows in CSR that are dense when they are asked for."""

    indptr: NDArray[np.intp]
    indices: NDArray[np.int32]
    values: Array
    n_columns: int

    def __getitem__(self, which: Any) -> Array:
        rows = np.zeros((len(which), self.n_columns), self.values.dtype)
        for out, row in zip(rows, which, strict=True):
            entries = slice(self.indptr[row], self.indptr[row + 1])
            out[self.indices[entries]] = self.values[entries]
        return rows


class SparseNetwork(Network):
    """The arrays of a network whose front layer holds a table of slots, and its samples in CSR.

    ``table`` (slots, 2 or 1, width) has W and, with momentum, M of each feature; the first h numbers of a width count.
    ``scale`` has c and its velocity, by which features without a slot follow from their initial weights. ``indptr`` (N + 1,),
    ``indices`` (entries,), which are slots and differ within a row, and ``values`` (entries,) are the samples.
    """

    batch: Array  # rows of the last `project_batch`

    def __init__(
        self,
        table: Array,
        scale: NDArray[np.float64],
        indptr: NDArray[np.intp],
        indices: NDArray[np.int32],
        values: Array,
        params: Array,
        velocity: Array | None,
        widths: NDArray[np.intp],
        activation: int,
    ) -> None:
        # the transposed slots are views, so that steps change the table itself
        W, M = (table[:, copy, : widths[0]].T if copy < table.shape[1] else None for copy in (0, 1))
        source: Any = _DenseRows(indptr, indices, values, len(table))
        assert W is not None
        super().__init__(W, M, source, None, scale, params, velocity, widths, activation, None, None, None)

    def take_rows(self, indptr: NDArray[np.intp], indices: NDArray[np.int32], values: Array) -> None:
        """Take other samples; nothing lags behind here."""
        source: Any = _DenseRows(indptr, indices, values, self.base.shape[1])
        self.source = source


def sgd_epochs(
    network: SparseNetwork,
    targets: Targets,
    sgd: Sgd,
    workspace: Workspace,
    rows: NDArray[np.intp],
    rates: NDArray[np.float64],
    losses: NDArray[np.float64],
    first: bool,
    n_threads: int,
) -> int:
    """Epochs of SGD. Returns the number of steps done: all, or those before the first loss that is not finite."""
    return dense_epochs(network, targets, sgd, workspace, rows, rates, losses, first, n_threads)


def project_batch(network: SparseNetwork, workspace: Workspace, rows: NDArray[np.intp], out: Array, n_threads: int) -> None:
    """Pre-activations of a batch, whose entries are kept for the functions below."""
    network.batch = network.source[rows]
    out[:] = network.batch @ network.base.T


def batch_gram(network: SparseNetwork, out: Array) -> None:
    """Products of the rows of the last batch with each other."""
    out[:] = network.batch @ network.batch.T


@quiet
def take_step(
    network: SparseNetwork,
    D: Array,
    r: NDArray[np.float64],
    r_units: NDArray[np.float64],
    a: NDArray[np.float64],
    m: float,
    n_steps: int,
    n_threads: int,
) -> None:
    """A linear step on the weights of the last batch's features; the others are caught up when they occur, or by `settle`."""
    W, M, scale, grad, real = network.base, network.base_velocity, network.scale, D.T @ network.batch, D.dtype.type
    by_m = (r_units if len(r_units) else r[1:2]).astype(D.dtype)[:, None]
    before = W.copy()
    W *= real(r[0])
    W += a.astype(D.dtype)[:, None] * grad
    if M is not None:
        W += by_m * M
        M *= real(r[3])
        M += real(r[2]) * before + real(m) * grad
    assert scale is not None
    scale[:] = r.reshape(2, 2) @ scale


def settle(network: SparseNetwork, n_threads: int) -> None:
    """Bring the weights of all features up to date after single steps, or after the last block of an epoch."""
    # every step has done so


@quiet
def descend_by_root(
    network: SparseNetwork, D: Array, rate: float, keep: float, fresh: float, eps: float, step: int, n_threads: int
) -> None:
    """A step of `root_step` on the weights of the last batch's features, whose v has decayed since they occurred last."""
    assert network.base_velocity is not None
    W, v, real = network.base, network.base_velocity, D.dtype.type
    grad = D.T @ network.batch
    v[:] = real(keep) * v + real(fresh) * grad * grad
    W -= real(rate) * grad / (np.sqrt(v) + real(eps))


def catch_up_moments(network: SparseNetwork, keep: float, step: int) -> None:
    """Bring v of all features up to date after so many steps."""
    # every step has done so
