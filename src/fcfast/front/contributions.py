"""The front layer as contributions of the training samples."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fcfast.gram.products import (
    cross_gram,
    cross_gram_and_states,
    expand,
    gram_and_states,
    stacked,
    states_by_weights,
    states_of,
)
from fcfast.gram.start import InitialWeights
from fcfast.sources.inputs import TrainingInputs
from fcfast.validation import all_finite

Array = NDArray[Any]
KEPT_BYTES = 128 << 20  # of weights that contributions are expanded to for predictions


class ContributionsForm:
    """W1 = c W1(0) + A' X: contributions A of the training samples and their Gram matrix; training never stores W1.

    After training, new data are multiplied by W1 where it has at most `KEPT_BYTES`: it is made at the first prediction and
    kept, so that the next ones cost no more than those of an ordinary network. A larger W1 is never held for a prediction.
    """

    def __init__(
        self, X: Any, initial: InitialWeights, dtype: np.dtype[Any], with_velocity: bool, n_jobs: int | None = None
    ) -> None:
        self.inputs, self.initial, self.dtype, self.n_jobs = TrainingInputs(X), initial, dtype, n_jobs
        self.n_features = initial.n_features
        self._is_finished = False
        self._weights: Array | None = None
        with np.errstate(over="ignore", invalid="ignore"):  # reported below
            self.source, S0 = gram_and_states(self.X, initial, dtype, n_jobs)
        self._refuse_overflow(self.source, S0)
        self.S0: Array | None = S0
        self.base = np.zeros_like(S0)
        self.velocity: Array | None = np.zeros_like(S0) if with_velocity else None
        self.scale: NDArray[np.float64] | None = np.array([1.0, 0.0])

    def _refuse_overflow(self, *products: Array) -> None:
        if not all_finite(*products):
            raise ValueError(
                f"X has values so large that its Gram matrix overflows {self.dtype}; scale X, or use dtype='float64'"
            )

    def join(self, X: Any) -> NDArray[np.intp]:
        """Add samples, with no contributions yet. All are copied, so that add many at a time."""
        with np.errstate(over="ignore", invalid="ignore"):  # reported below
            gram, S0 = gram_and_states(X, self.initial, self.dtype, self.n_jobs)
            crossed = cross_gram(X, self.X, self.dtype, self.n_jobs)
        self._refuse_overflow(gram, S0, crossed)
        n_old, n_new = crossed.shape[::-1]
        none_yet = np.zeros_like(S0)
        velocity = None if self.velocity is None else np.concatenate([self.velocity, none_yet])
        # All or nothing, should the memory not suffice
        self.inputs, self.source, self.S0, self.base, self.velocity = (
            TrainingInputs(stacked(self.X, X)),
            np.block([[self.source, crossed.T], [crossed, gram]]),
            np.concatenate([self.S0, S0]),
            np.concatenate([self.base, none_yet]),
            velocity,
        )
        return np.arange(n_old, n_old + n_new)

    @property
    def X(self) -> Any:
        """The training inputs (N, d); a RuntimeError if they have been changed in place."""
        return self.inputs.X

    @property
    def initial_share(self) -> float:
        """The factor c of W1(0), which weight decay takes down from 1."""
        return 1.0 if self.scale is None else float(self.scale[0])

    def begin(self) -> None:
        self._is_finished, self._weights = False, None

    def finish(self) -> None:
        self._is_finished = True

    def states(self, X: Any) -> Array:
        if self._is_finished and is_kept(self.initial, self.dtype):
            return states_by_weights(X, self.expand(), self.n_jobs)
        return states_of(X, self.X, self.base, self.initial_share, self.initial, self.dtype, self.n_jobs)

    def expand(self) -> Array:
        if self._weights is not None:
            return self._weights
        weights = expand(self.X, self.base, self.initial_share, self.initial, self.dtype, n_jobs=self.n_jobs)
        if self._is_finished:
            self._weights = weights
        return weights

    def explain(self, X: Any) -> tuple[Array, Array]:
        """Split pre-activations of new data: the part of W1(0) (M, h), and the term of each training sample (M, N, h)."""
        gram, S0 = cross_gram_and_states(X, self.X, self.initial, self.dtype, self.n_jobs)
        return self.dtype.type(self.initial_share) * S0, gram[:, :, None] * self.base[None]

    def __getstate__(self) -> dict[str, Any]:
        """Leave the weights out of copies and pickles: they are made again, with the same bits."""
        return self.__dict__ | {"_weights": None}


def is_kept(initial: InitialWeights, dtype: np.dtype[Any]) -> bool:
    """Tell whether weights of so many units and features are few enough to be kept for predictions."""
    return initial.n_hidden * initial.n_features * dtype.itemsize <= KEPT_BYTES
