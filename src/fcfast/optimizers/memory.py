"""The state that an optimiser keeps from step to step."""

from collections.abc import Hashable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from fcfast.optimizers.base import Optimizer

Array = NDArray[Any]


class Memory:
    """The state that an optimiser keeps for each layer in addition to its velocity, and the number of steps taken.

    Parameters
    ----------
    optimizer : Optimizer
        Optimiser whose `memory_shapes` name the state.
    dtype : dtype
        Precision of the state.

    Examples
    --------
    >>> import numpy as np
    >>> from fcfast.optimizers import NeuronAdam
    >>> from fcfast.optimizers.memory import Memory
    >>> memory = Memory(NeuronAdam(), np.dtype("float32"))
    >>> memory.of("front", n_out=3, n_in=1000)["second_moment"].shape
    (3,)
    """

    def __init__(self, optimizer: "Optimizer", dtype: np.dtype[Any]) -> None:
        self.optimizer, self.dtype, self.n_steps = optimizer, dtype, 0
        self._layers: dict[Hashable, dict[str, Array]] = {}

    def of(self, key: Hashable, n_out: int, n_in: int) -> dict[str, Array]:
        """Give the state for the weights of a layer, which starts as zeros."""
        return self._of(self.optimizer, key, n_out, n_in)

    def of_bias(self, key: Hashable, n_out: int) -> dict[str, Array]:
        """Give the state for the biases of a layer."""
        return self._of(self.optimizer.for_biases, key, n_out, 1)

    def _of(self, optimizer: "Optimizer", key: Hashable, n_out: int, n_in: int) -> dict[str, Array]:
        if key not in self._layers:
            shapes = optimizer.memory_shapes(n_out, n_in)
            self._layers[key] = {name: np.zeros(shape, self.dtype) for name, shape in shapes.items()}
        return self._layers[key]

    def __iter__(self) -> Iterator[Array]:
        return (array for remembered in self._layers.values() for array in remembered.values())

    def forget(self) -> None:
        """Set the state and the number of steps to 0."""
        for array in self:
            array[:] = 0
        self.n_steps = 0
