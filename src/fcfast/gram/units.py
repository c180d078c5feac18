"""Initial weights of several layers, drawn as those of one layer, split into the units of each."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from fcfast.gram.scattered import ScatteredWeights
from fcfast.gram.start import GivenWeights, InitialWeights, NoWeights

Array = NDArray[Any]


@dataclass(frozen=True)
class UnitsOf:
    """Initial weights W1(0) of some units only.

    Parameters
    ----------
    initial : InitialWeights
        Initial weights of all units.
    first, last : int
        The units are those from `first` to `last` - 1.

    Examples
    --------
    >>> import numpy as np
    >>> from fcfast.gram.start import GivenWeights
    >>> from fcfast.gram.units import UnitsOf
    >>> UnitsOf(GivenWeights(np.arange(8.0).reshape(4, 2)), 1, 3).block(0, 1, "float64")
    array([[2.],
           [4.]])
    """

    initial: InitialWeights
    first: int
    last: int

    @property
    def n_hidden(self) -> int:
        """Number of these units."""
        return self.last - self.first

    @property
    def n_features(self) -> int:
        """Number of input features."""
        return self.initial.n_features

    @property
    def is_zero(self) -> bool:
        """Whether all weights are 0; those of all units are meant."""
        return self.initial.is_zero

    def block(self, start: int, stop: int, dtype: DTypeLike) -> Array:
        """Give the weights of features start..stop-1, shape (n_hidden, stop - start)."""
        return self.initial.block(start, stop, dtype)[self.first : self.last]

    def dense(self, dtype: DTypeLike) -> Array:
        """Give the weights of all features as a new C-contiguous array (n_hidden, n_features)."""
        return np.array(self.block(0, self.n_features, dtype), order="C")

    def part(self, features: slice) -> InitialWeights:
        """Give the weights of neighbouring features."""
        return UnitsOf(self.initial.part(features), self.first, self.last)


def by_layer(initial: InitialWeights, n_layers: int) -> list[InitialWeights]:
    """Split initial weights of all layers, one after the other, without making any."""
    h = initial.n_hidden // n_layers
    parts = [slice(t * h, (t + 1) * h) for t in range(n_layers)]
    if isinstance(initial, ScatteredWeights):
        others = by_layer(initial.initial, n_layers)
        return [
            ScatteredWeights(initial.features, initial.rows[:, part], initial.share, other)
            for part, other in zip(parts, others, strict=True)
        ]
    if isinstance(initial, GivenWeights):
        return [GivenWeights(initial.array[part]) for part in parts]
    if isinstance(initial, NoWeights):
        return [NoWeights(h, initial.n_features) for _ in parts]
    return [UnitsOf(initial, part.start, part.stop) for part in parts]
