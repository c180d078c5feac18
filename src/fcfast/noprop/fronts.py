"""The front layers of all blocks: they read the same inputs, so that in form "contributions" one Gram matrix serves all.

The initial weights of T blocks are those of one layer of T h units, made once; block t has units t h .. (t + 1) h - 1 of it.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from fcfast.front.base import FrontForm, converted
from fcfast.front.contributions import is_kept
from fcfast.front.weights import WeightsForm
from fcfast.gram.products import cross_gram_and_states, expand, gram_and_states, states_by_weights
from fcfast.gram.start import GivenWeights, InitialWeights
from fcfast.sources.inputs import TrainingInputs
from fcfast.validation import all_finite

Array = NDArray[Any]
States = Callable[[int], Array]  # pre-activations of a block's front layer, without biases


class _Shared:
    """A block's front layer as contributions (`fcfast.front.contributions.ContributionsForm`), with the Gram matrix of all."""

    def __init__(self, gram: Array, S0: Array, n_features: int, with_velocity: bool) -> None:
        self.source, self.S0, self.n_features = gram, S0, n_features
        self.base = np.zeros_like(S0)
        self.velocity = np.zeros_like(S0) if with_velocity else None
        self.scale = np.array([1.0, 0.0])


class Contributions:
    """Front layers as contributions of the training samples.

    Parameters
    ----------
    X : ndarray, memmap or sparse of shape (N, d)
        Referred to, for predictions.
    initial : InitialWeights
        Of all blocks, one after the other.
    n_blocks : int
    dtype : dtype
    with_velocity : bool
    n_jobs : int or None

    Raises
    ------
    ValueError
        If products of the inputs overflow.
    """

    def __init__(
        self,
        X: Any,
        initial: InitialWeights,
        n_blocks: int,
        dtype: np.dtype[Any],
        with_velocity: bool,
        n_jobs: int | None = None,
    ) -> None:
        self.inputs, self.initial, self.dtype, self.n_jobs = TrainingInputs(X), initial, dtype, n_jobs
        self._is_finished = False
        self._weights: list[Array] | None = None
        with np.errstate(over="ignore", invalid="ignore"):  # reported below
            gram, S0 = gram_and_states(self.X, initial, dtype, n_jobs)
        if not all_finite(gram, S0):
            raise ValueError(f"X has values so large that its Gram matrix overflows {dtype}; scale X, or use dtype='float64'")
        parts = np.split(S0, n_blocks, axis=1)
        self.forms: list[Any] = [_Shared(gram, np.ascontiguousarray(part), initial.n_features, with_velocity) for part in parts]

    @property
    def X(self) -> Any:
        """The training inputs (N, d); a RuntimeError if they have been changed in place."""
        return self.inputs.X

    @property
    def n_products(self) -> int:
        """Products with other samples that a new one takes."""
        return len(self.forms[0].source)

    def states(self, X: Any) -> States:
        """Give the states of new data as a function of the block, reading the data once."""
        if self._is_finished and is_kept(self.initial, self.dtype):
            return _states_by_weights(X, self.expand(), self.n_jobs)
        gram, S0 = cross_gram_and_states(X, self.X, self.initial, self.dtype, self.n_jobs)
        parts = np.split(S0, len(self.forms), axis=1)
        return lambda t: self.dtype.type(self.forms[t].scale[0]) * parts[t] + gram @ self.forms[t].base

    def training_states(self, n: int) -> States:
        """Give the states of the first training samples."""

        def states(t: int) -> Array:
            form = self.forms[t]
            return np.asarray(self.dtype.type(form.scale[0]) * form.S0[:n] + form.source[:n] @ form.base)

        return states

    @property
    def held(self) -> list[Array]:
        """What training changes."""
        return [array for form in self.forms for array in (form.base, form.scale)]

    def expand(self) -> list[Array]:
        """Give the conventional weights (h, d) of each block."""
        if self._weights is not None:
            return self._weights
        contributions = np.concatenate([form.base for form in self.forms], axis=1)
        shares = np.repeat([form.scale[0] for form in self.forms], self.initial.n_hidden // len(self.forms))
        weights = expand(self.X, contributions, shares, self.initial, self.dtype, n_jobs=self.n_jobs)
        parts = np.split(weights, len(self.forms))
        if self._is_finished:
            self._weights = parts
        return parts

    def begin(self) -> None:
        """Note that training goes on."""
        self._is_finished, self._weights = False, None

    def finish(self) -> None:
        """Note that training has ended: new data go through the weights, as in `ContributionsForm`."""
        self._is_finished = True

    def __getstate__(self) -> dict[str, Any]:
        """Leave the weights out of copies and pickles: they are made again, with the same bits."""
        return self.__dict__ | {"_weights": None}


class Weights:
    """Front layers as weights, for forms "weights" and "windowed".

    Parameters
    ----------
    weights : sequence of ndarray of shape (h, d)
        Of each block; copied.
    X : ndarray of shape (N, d)
        Training samples; converted once, for all blocks.
    dtype : dtype
    with_velocity : bool
    n_jobs : int or None
    """

    def __init__(
        self, weights: Sequence[Array], X: Array, dtype: np.dtype[Any], with_velocity: bool, n_jobs: int | None = None
    ) -> None:
        source, self.n_jobs = converted(X, dtype), n_jobs
        self.forms: list[FrontForm] = [WeightsForm(source[:0], GivenWeights(part), dtype, with_velocity) for part in weights]
        for form in self.forms:
            form.source = source

    n_products = 0

    def states(self, X: Any) -> States:
        """Give the states of new data as a function of the block."""
        return _states_by_weights(X, self.expand(), self.n_jobs)

    def training_states(self, n: int) -> States:
        """Give the states of the first training samples."""
        return lambda t: np.asarray(self.forms[t].source[:n] @ self.forms[t].base.T)

    @property
    def held(self) -> list[Array]:
        """What training changes."""
        return [form.base for form in self.forms]

    def expand(self) -> list[Array]:
        """Give the weights (h, d) of each block."""
        return [form.base for form in self.forms]

    def begin(self) -> None:
        """Note that training goes on."""

    def finish(self) -> None:
        """Let go of the training samples: the weights know all they need of them."""
        for form in self.forms:
            form.finish()


def _states_by_weights(X: Any, weights: Sequence[Array], n_jobs: int | None) -> States:
    """Give the states of new data as a function of the block; arrays are converted once for all of them."""
    if not sparse.issparse(X):
        X = np.ascontiguousarray(X, dtype=weights[0].dtype)
    return lambda t: states_by_weights(X, weights[t], n_jobs)


Fronts = Contributions | Weights
