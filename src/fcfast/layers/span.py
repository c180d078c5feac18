"""A layer's weights as coordinates in the span of the inputs."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fcfast.layers.orthogonalizer import orthogonalizer
from fcfast.layers.products import multiply
from fcfast.layers.protocol import SgdSettings

Array = NDArray[Any]


class SpanLayer:
    """Weights W = c W_start + L M_start + Y' X and velocity M = m W_start + mu M_start + Z' X, held as coordinates.

    X holds the inputs that can occur. In form "contributions" these are all training samples, and M_start is 0. In form
    "windowed" these are the samples of a window, and W_start and M_start are the weights and the velocity at its start. The
    gradient is D' X, where D is 0 outside the batch's rows. Only SGD's weight decay brings weights into the velocity; m is 0
    for all other optimisers.

    Parameters
    ----------
    n_in : float
        Number of inputs of a unit: of features, or the mean square of samples without weights (`fcfast.Gram.fan_in`).
    gram : ndarray of shape (K, K)
        Gram matrix X X'.
    start, start_velocity : ndarray of shape (K, n_out), or None for a velocity that starts at 0
        Products X W_start' and X M_start'.
    velocity_gram : ndarray of shape (n_out, n_out), or None
        Product M_start M_start', needed if steps mix the units.
    Y, Z : ndarray of shape (K, n_out)
        Coordinates, changed in place; Z may be None for an optimiser without a velocity.
    c, m : float
        Factors of W_start in the weights and in the velocity.
    memory : dict of ndarray
        State of the optimiser for the layer, except its velocity.
    """

    def __init__(
        self,
        n_in: float,
        gram: Array,
        start: Array,
        start_velocity: Array | None,
        velocity_gram: Array | None,
        Y: Array,
        Z: Array | None,
        c: float,
        m: float,
        memory: dict[str, Array],
    ) -> None:
        self.n_in, self.n_out = n_in, start.shape[1]
        self.gram, self.start, self.start_velocity, self.velocity_gram = gram, start, start_velocity, velocity_gram
        self.Y, self.c, self.m, self.memory = Y, c, m, memory
        self.Z: Array = Z  # type: ignore[assignment]  # as a DenseLayer's velocity
        self.has_velocity = Z is not None
        self.mu = 0.0 if start_velocity is None else 1.0
        # one factor for each unit, or a matrix if steps mix the units
        self.L = np.zeros(self.n_out if velocity_gram is None else velocity_gram.shape, gram.dtype)
        self.rows: slice | NDArray[np.intp] = slice(0)
        self.D = Y[:0]

    def preactivations(self, rows: slice | NDArray[np.intp]) -> Array:
        """Give the pre-activations of some of the inputs."""
        S = self.gram.dtype.type(self.c) * self.start[rows]
        if self.start_velocity is not None:
            S += self.mixed(self.start_velocity[rows].T).T
        S += multiply(self.gram[rows], self.Y)
        return S

    def mixed(self, M: Array) -> Array:
        """Give L M for a velocity or its products, (n_out, ...)."""
        return multiply(self.L, M) if self.L.ndim == 2 else self.L[:, None] * M

    def take(self, D: Array, rows: slice | NDArray[np.intp]) -> None:
        """Set the gradient to D' X[rows]; the rows are distinct."""
        self.D, self.rows = D, rows

    def squared_gradient_norms(self) -> NDArray[np.float64]:
        batch_gram = self.gram[self.rows][:, self.rows]
        # Rounding may give a negative number for a unit with equal and opposite deltas.
        return np.maximum((multiply(batch_gram, self.D) * self.D).sum(axis=0), 0).astype(np.float64)

    def scale_gradient(self, factor: float) -> None:
        self.D *= self.D.dtype.type(factor)

    def accumulate(self, decay: float, fresh: float) -> None:
        real = self.Z.dtype.type
        self.mu *= decay
        self.Z *= real(decay)
        self.Z[self.rows] += real(fresh) * self.D

    def shrink(self, factor: float) -> None:
        real = self.Y.dtype.type
        self.c *= factor
        self.L *= real(factor)
        self.Y *= real(factor)

    def descend(self, rates: Array | float) -> None:
        rates = np.asarray(rates, self.Y.dtype)
        if not self.has_velocity:
            self.Y[self.rows] -= rates * self.D
            return
        self.L -= self.Y.dtype.type(self.mu) * rates
        self.Y -= rates * self.Z

    def descend_orthogonally(self, rate: float, momentum: float, n_iterations: int) -> None:
        real = self.Y.dtype.type
        V, mu = self.Z, self.mu  # the direction is mu M_start + V' X
        if momentum:
            V, mu = real(momentum) * V, momentum * mu
            V[self.rows] += self.D
        if self.start_velocity is None and len(V) < self.n_out:
            # p(U U') U with U = V' X equals (p(V V' G) V)' X, which is the smaller product
            P = orthogonalizer(multiply(V, multiply(self.gram, V).T), n_iterations)
            self.Y -= real(rate) * multiply(P, V)
            return
        K = multiply(V.T, multiply(self.gram, V))
        if self.start_velocity is not None and self.velocity_gram is not None:
            crossed = multiply(self.start_velocity.T, V)
            K += real(mu * mu) * self.velocity_gram + real(mu) * (crossed + crossed.T)
        P = orthogonalizer(K, n_iterations)
        self.Y -= real(rate) * multiply(V, P.T)
        if self.start_velocity is not None:
            self.L -= real(rate * mu) * P

    def descend_as_sgd(self, rate: float, sgd: SgdSettings, first: bool) -> None:
        real, l = self.Y.dtype.type, float(self.L[0])  # all units take the same steps
        decay, fresh = sgd.weight_decay, 1.0 if first else 1 - sgd.dampening
        keep = 0.0 if first else sgd.momentum
        # gradient = decay W + D' X, in the coordinates of W
        by_start, by_velocity = decay * self.c, decay * l
        by_inputs = real(decay) * self.Y
        by_inputs[self.rows] += self.D
        if sgd.momentum:
            self.m, self.mu = keep * self.m + fresh * by_start, keep * self.mu + fresh * by_velocity
            self.Z *= real(keep)
            self.Z += real(fresh) * by_inputs
            # along the velocity, or gradient + momentum velocity
            share, ahead = (1.0, sgd.momentum) if sgd.nesterov else (0.0, 1.0)
            by_start, by_velocity = share * by_start + ahead * self.m, share * by_velocity + ahead * self.mu
            by_inputs = real(share) * by_inputs + real(ahead) * self.Z
        self.c -= rate * by_start
        self.L -= real(rate * by_velocity)
        self.Y -= real(rate) * by_inputs
