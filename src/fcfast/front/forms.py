"""The forms of the front layer: what is held, and what the kernel and the user need from it.

A form answers for the pre-activations without biases: training steps happen in the kernel on its ``base``; `states` gives
them for new data, `expand` the conventional weights.
"""

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from fcfast.front.gram import cross_gram, cross_gram_and_states, expand, gram_and_states, stacked, states_of
from fcfast.front.initial import InitialWeights

Array = NDArray[Any]

FORMS = ("weights", "contributions", "windowed")


class FrontForm(Protocol):
    """The front layer as the training kernel sees it: see ``_core/front.pyx`` for what each array means."""

    base: Array
    velocity: Array | None
    source: Array
    S0: Array | None
    scale: NDArray[np.float64] | None
    n_features: int

    def states(self, X: Any) -> Array:
        """Pre-activations (M, h) of new data, without biases."""

    def expand(self) -> Array:
        """Conventional weights (h, d)."""

    def join(self, X: Any) -> NDArray[np.intp]:
        """Take new samples to train on; give their rows."""


class WeightsForm:
    """W1 itself, touched once per window: forms "weights" (a window is one batch) and "windowed"."""

    S0: Array | None = None
    scale: NDArray[np.float64] | None = None

    def __init__(self, X: Array, initial: InitialWeights, dtype: np.dtype[Any], with_velocity: bool) -> None:
        self.source = converted(X, dtype)
        self.base = initial.dense(dtype)
        self.n_features = initial.n_features
        self.velocity: Array | None = np.zeros_like(self.base) if with_velocity else None

    def states(self, X: Any) -> Array:
        return np.asarray(X @ self.base.T)

    def expand(self) -> Array:
        return self.base

    def join(self, X: Array) -> NDArray[np.intp]:
        """Replace the samples: the weights know all they need of earlier ones."""
        self.source = converted(X, self.base.dtype)
        return np.arange(len(X))


def converted(X: Array, dtype: np.dtype[Any]) -> Array:
    """Give contiguous samples of that dtype, themselves if they are."""
    with np.errstate(over="ignore"):  # reported below
        samples = np.ascontiguousarray(X, dtype=dtype)
    if not np.isfinite(samples).all():
        raise ValueError(f"X has values too large for {dtype}; scale X, or use dtype='float64'")
    return samples


class ContributionsForm:
    """W1 = c W1(0) + A' X: contributions A of the training samples and their Gram matrix; W1 is never stored."""

    def __init__(self, X: Any, initial: InitialWeights, dtype: np.dtype[Any], with_velocity: bool) -> None:
        self.X, self.initial, self.dtype = X, initial, dtype
        self.n_features = initial.n_features
        with np.errstate(over="ignore", invalid="ignore"):  # reported below
            self.source, S0 = gram_and_states(X, initial, dtype)
        self._refuse_overflow(self.source, S0)
        self.S0: Array | None = S0
        self.base = np.zeros_like(S0)
        self.velocity: Array | None = np.zeros_like(S0) if with_velocity else None
        self.scale: NDArray[np.float64] | None = np.array([1.0, 0.0])

    def _refuse_overflow(self, *products: Array) -> None:
        if not all(np.isfinite(product).all() for product in products):
            raise ValueError(
                f"X has values so large that its Gram matrix overflows {self.dtype}; scale X, or use dtype='float64'"
            )

    def join(self, X: Any) -> NDArray[np.intp]:
        """Add samples, with no contributions yet. All are copied, so that add many at a time."""
        with np.errstate(over="ignore", invalid="ignore"):  # reported below
            gram, S0 = gram_and_states(X, self.initial, self.dtype)
            crossed = cross_gram(X, self.X, self.dtype)
        self._refuse_overflow(gram, S0, crossed)
        n_old, n_new = crossed.shape[::-1]
        none_yet = np.zeros_like(S0)
        velocity = None if self.velocity is None else np.concatenate([self.velocity, none_yet])
        # All or nothing, should the memory not suffice
        self.X, self.source, self.S0, self.base, self.velocity = (
            stacked(self.X, X),
            np.block([[self.source, crossed.T], [crossed, gram]]),
            np.concatenate([self.S0, S0]),
            np.concatenate([self.base, none_yet]),
            velocity,
        )
        return np.arange(n_old, n_old + n_new)

    @property
    def initial_share(self) -> float:
        """The factor c of W1(0), which weight decay takes down from 1."""
        return 1.0 if self.scale is None else float(self.scale[0])

    def states(self, X: Any) -> Array:
        return states_of(X, self.X, self.base, self.initial_share, self.initial, self.dtype)

    def expand(self) -> Array:
        return expand(self.X, self.base, self.initial_share, self.initial, self.dtype)

    def explain(self, X: Any) -> tuple[Array, Array]:
        """Split pre-activations of new data: the part of W1(0) (M, h), and the term of each training sample (M, N, h)."""
        gram, S0 = cross_gram_and_states(X, self.X, self.initial, self.dtype)
        return self.dtype.type(self.initial_share) * S0, gram[:, :, None] * self.base[None]
