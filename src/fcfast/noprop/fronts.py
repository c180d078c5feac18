"""The front layers of all blocks: they read the same inputs, so that in form "contributions" one Gram matrix serves all.

The initial weights of T blocks are those of one layer of T h units, made once; block t has units t h .. (t + 1) h - 1 of it.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fcfast.front.forms import FrontForm, WeightsForm, converted
from fcfast.front.gram import cross_gram_and_states, gram_and_states
from fcfast.front.initial import GivenWeights, InitialWeights

Array = NDArray[Any]
States = Callable[[int], Array]  # pre-activations of a block's front layer, without biases


class _Shared:
    """A block's front layer as contributions (`fcfast.front.forms.ContributionsForm`), with the Gram matrix of all."""

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

    Raises
    ------
    ValueError
        If products of the inputs overflow.
    """

    def __init__(self, X: Any, initial: InitialWeights, n_blocks: int, dtype: np.dtype[Any], with_velocity: bool) -> None:
        self.X, self.initial, self.dtype = X, initial, dtype
        with np.errstate(over="ignore", invalid="ignore"):  # reported below
            gram, S0 = gram_and_states(X, initial, dtype)
        if not (np.isfinite(gram).all() and np.isfinite(S0).all()):
            raise ValueError(f"X has values so large that its Gram matrix overflows {dtype}; scale X, or use dtype='float64'")
        parts = np.split(S0, n_blocks, axis=1)
        self.forms: list[Any] = [_Shared(gram, np.ascontiguousarray(part), initial.n_features, with_velocity) for part in parts]

    @property
    def n_products(self) -> int:
        """Products with other samples that a new one takes."""
        return int(self.X.shape[0])

    def states(self, X: Any) -> States:
        """Give the states of new data as a function of the block, reading the data once."""
        gram, S0 = cross_gram_and_states(X, self.X, self.initial, self.dtype)
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

    def release_samples(self) -> None:
        """Keep them: predictions need them."""


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
    """

    def __init__(self, weights: Sequence[Array], X: Array, dtype: np.dtype[Any], with_velocity: bool) -> None:
        source = converted(X, dtype)
        self.forms: list[FrontForm] = [WeightsForm(source[:0], GivenWeights(part), dtype, with_velocity) for part in weights]
        for form in self.forms:
            form.source = source

    n_products = 0

    def states(self, X: Any) -> States:
        """Give the states of new data as a function of the block."""
        return lambda t: np.asarray(X @ self.forms[t].base.T)

    def training_states(self, n: int) -> States:
        """Give the states of the first training samples."""
        return lambda t: np.asarray(self.forms[t].source[:n] @ self.forms[t].base.T)

    @property
    def held(self) -> list[Array]:
        """What training changes."""
        return [form.base for form in self.forms]

    def release_samples(self) -> None:
        """Let go of the training samples: the weights know all they need of them."""
        for form in self.forms:
            form.source = form.source[:0].copy()


Fronts = Contributions | Weights
