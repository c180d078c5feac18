"""The network before training: initial weights and biases, drawn or given."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fcfast import validation
from fcfast.activations import GAINS
from fcfast.estimators.fitted import FittedFront
from fcfast.estimators.samples import Length
from fcfast.estimators.starts import Start
from fcfast.gram.object import fan_in_of
from fcfast.gram.scattered import ScatteredWeights
from fcfast.gram.start import GivenWeights, InitialWeights, RandomWeights, SpanStart
from fcfast.optimizers.base import REFERENCE_UNITS
from fcfast.sources.mapped import is_mapped
from fcfast.training.upper import block_diagonal

Array = NDArray[Any]


class InitialFront(FittedFront):
    """The start of a network with a front layer, which `FrontEstimator` trains."""

    @property
    def _glorot_factor(self) -> int:
        return 2 if self.activation == "logistic" else 6

    def _bound(self, n_in: float, n_out: int) -> float:
        """Give Glorot's bound as scikit-learn's MLP uses it, times `init_scale`."""
        bound = float(self.init_scale) * (self._glorot_factor / (n_in + n_out)) ** 0.5
        if bound > float(np.finfo(self.dtype).max):
            raise ValueError(f"init_scale={self.init_scale} makes initial weights too large; use a smaller one")
        return bound

    def _initial_weights(
        self,
        length: Length,
        widths: Sequence[int],
        groups: Sequence[int],
        coefs_init: Sequence[ArrayLike] | None,
        start: Start,
        seed: int,
        random_state: np.random.RandomState,
    ) -> tuple[InitialWeights | SpanStart, list[Array]]:
        """Give W1(0) as a function, and the weights (n_out, n_in) of the layers above it."""
        pairs = list(pairwise(widths))
        if coefs_init is None:
            counts = (*groups[1:], 1)
            upper = [
                self._drawn(n_in // count, n_out // count, start, layer == len(counts), (n_out, n_in), random_state)
                * block_diagonal(n_in, n_out, count)
                for layer, ((n_in, n_out), count) in enumerate(zip(pairs[1:], counts, strict=True), 1)
            ]
            return self._first_weights(length, widths, start, seed), upper
        coefs = validation.sequence(coefs_init, "coefs_init")
        first: Any = coefs[0] if coefs else None
        if isinstance(first, ScatteredWeights):  # of a network that is trained further
            others = [np.asarray(coef) for coef in coefs[1:]]
            self._refuse_joined([first, *others], groups)
            return first, others
        arrays = [validation.finite_floats(coef, f"coefs_init[{l}]", 2) for l, coef in enumerate(coefs)]
        if [array.shape for array in arrays] != pairs:
            raise ValueError(f"coefs_init has shapes {[a.shape for a in arrays]}, but the layers need {pairs}, (n_in, n_out)")
        self._refuse_joined([array.T for array in arrays], groups)
        self._refuse_large(arrays, "coefs_init")
        # The caller may change the array later, so it is copied, unless it is mapped from a file and may exceed memory.
        shared = np.may_share_memory(arrays[0], coefs[0])
        held = arrays[0] if is_mapped(arrays[0]) else arrays[0].astype(self.dtype, copy=shared)
        return GivenWeights(held.T), [array.T for array in arrays[1:]]

    def _first_weights(self, length: Length, widths: Sequence[int], start: Start, seed: int) -> InitialWeights | SpanStart:
        """Give the start of the front layer."""
        scale = float(self.init_scale)
        if start.size is not None:
            deviation = scale * start.size / length.value**0.5
            if not deviation <= float(np.finfo(self.dtype).max):
                raise ValueError(f"init_scale={self.init_scale} makes initial weights too large; use a smaller one")
            if start.in_span:
                return SpanStart(widths[1], widths[0], seed, deviation, length.counted)
            # uniform weights with this deviation
            scale = deviation * (3 * (widths[0] + widths[1]) / self._glorot_factor) ** 0.5
        initial = RandomWeights(widths[1], widths[0], seed, self.activation, scale)
        if not np.isfinite(initial.bound):
            raise ValueError(f"init_scale={self.init_scale} makes initial weights too large; use a smaller one")
        return initial

    def _drawn(
        self, n_in: int, n_out: int, start: Start, is_last: bool, shape: tuple[int, int], random_state: np.random.RandomState
    ) -> Array:
        """Draw the weights (n_out, n_in) of a layer above the front layer."""
        if start.size is None:
            bound = self._bound(n_in, n_out)
            return random_state.uniform(-bound, bound, shape)
        gain = REFERENCE_UNITS**0.5 / n_in**0.5 if is_last else GAINS[self.activation]
        return random_state.standard_normal(shape) * (float(self.init_scale) * gain / n_in**0.5)

    def _initial_biases(
        self,
        X: Any,
        targets: Array,
        sample_weight: Array | None,
        widths: Sequence[int],
        intercepts_init: Sequence[ArrayLike] | None,
        start: Start,
        random_state: np.random.RandomState,
    ) -> list[Array]:
        if intercepts_init is not None:
            biases = validation.layer_biases(intercepts_init, widths[1:], "intercepts_init")
            self._refuse_large(biases, "intercepts_init")
            return list(biases)
        if start.size is not None:
            hidden = [np.zeros(width) for width in widths[1:-1]]
            if start.has_biases:
                hidden[0] = random_state.standard_normal(widths[1]) * (float(self.init_scale) * start.size)
            constant = self._loss.best_constant(targets, sample_weight, widths[-1])
            if np.shape(constant) != (widths[-1],):
                raise ValueError(
                    f"best_constant of the loss {self._loss.name!r} gave shape {np.shape(constant)}, but there are "
                    f"{widths[-1]} output(s); give a number for each"
                )
            return [*hidden, constant]
        bounds = [self._bound(fan_in_of(X), widths[1]), *(self._bound(i, o) for i, o in pairwise(widths[1:]))]
        return [random_state.uniform(-bound, bound, o) for bound, o in zip(bounds, widths[1:], strict=True)]

    def _refuse_joined(self, weights: Sequence[Any], groups: Sequence[int]) -> None:
        """Refuse weights (n_out, n_in) between hidden layers that connect units of different groups."""
        for l, (array, count) in enumerate(zip(weights[1:-1], groups[1:], strict=True), 1):
            if (array[~block_diagonal(array.shape[1], array.shape[0], count)] != 0).any():
                raise ValueError(f"coefs_init[{l}] connects units of different groups; groups={self.groups!r} needs 0 there")

    def _refuse_large(self, arrays: Sequence[Array], name: str) -> None:
        """Refuse initial values that exceed the range of `dtype`."""
        for l, array in enumerate(arrays):
            if not np.can_cast(array.dtype, self.dtype) and max(array.max(), -array.min()) > np.finfo(self.dtype).max:
                raise ValueError(f"{name}[{l}] has values too large for dtype={self.dtype!r}")
