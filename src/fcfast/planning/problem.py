"""The training that a plan is made for, whichever estimator does it."""

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from fcfast import validation
from fcfast.front.rows import is_converted, is_gathered
from fcfast.gram.object import Gram
from fcfast.gram.occurring import Occurrences, is_stored_sparse
from fcfast.optimizers import Optimizer
from fcfast.rules import Rule
from fcfast.sources.elsewhere import elsewhere
from fcfast.sources.standardized import Standardized
from fcfast.sources.surveyed import Surveyed


@dataclass(frozen=True, kw_only=True)
class Problem:
    """The training that a plan is made for.

    Attributes
    ----------
    n_samples, n_features : int
        Shape of the training inputs.
    hidden : tuple of int
        Widths of the hidden layers, the front layer first.
    n_outputs : int
    batch_size : int
        At most `n_samples`; a larger one is taken as that.
    n_epochs : int
    dtype : {"float32", "float64"}
    optimizer : Optimizer
    rule : Rule
    compiled : bool
        Whether a kernel trains whole epochs (`fcfast.training.compiled.is_compiled`).
    density : float or None
        Share of the entries of a sparse X that are not zero; None for dense inputs.
    n_products : float or None
        Multiplications of the Gram matrix of a sparse X; None takes its entries as spread evenly.
    copies_X : bool
        Whether the forms that multiply with weights need a copy of X.
    scales_X : bool
        Whether X is an array or a memory map that is scaled or filled in: when rows are gathered, if the form can do that,
        when blocks of features are read, or else by a copy.
    n_blocks : int
        Number of networks that read the same inputs, each with its own front layer, as in NoProp.
    layers : tuple of (int, int)
        Numbers of outputs and inputs of each layer above a front layer; by default `hidden` and `n_outputs` form a chain.
    n_params : int
        Number of parameters above all front layers, including the front layers' biases; 0 counts the chain's.
    has_features : bool
        Whether X holds features, and not the products of the samples alone.
    has_products : bool
        Whether X is a whole Gram matrix, which training shares.
    in_span : bool
        Whether the front layer starts in the span of the samples.
    occurrences : Occurrences or None
        How often the features of a sparse X occur; None takes its entries as spread evenly.
    centres_entries : bool
        Whether X is sparse and is centred while it is read.
    block_rows : int
        Largest number of samples that are held at a time, if they are read in blocks; 0 if all of them are.
    is_elsewhere : bool
        Whether features lie elsewhere, as on the machines of a cluster.
    """

    n_samples: int
    n_features: int
    hidden: tuple[int, ...]
    n_outputs: int
    batch_size: int
    n_epochs: int
    dtype: str
    optimizer: Optimizer
    rule: Rule
    compiled: bool
    density: float | None = None
    n_products: float | None = None
    copies_X: bool = False
    scales_X: bool = False
    n_blocks: int = 1
    layers: tuple[tuple[int, int], ...] = ()
    n_params: int = 0
    has_features: bool = True
    has_products: bool = False
    in_span: bool = False
    occurrences: Occurrences | None = None
    centres_entries: bool = False
    block_rows: int = 0
    is_elsewhere: bool = False

    def __post_init__(self) -> None:
        for name in ("n_samples", "n_features", "n_outputs", "batch_size", "n_epochs"):
            self._set(name, validation.size(getattr(self, name), name))
        if not self.hidden:
            raise ValueError("hidden is empty; give the width of at least one hidden layer, the front layer")
        self._set("hidden", tuple(validation.size(width, "hidden") for width in self.hidden))
        self._set("batch_size", min(self.batch_size, self.n_samples))
        validation.choice(self.dtype, "dtype", ("float32", "float64"))
        validation.boolean(self.copies_X, "copies_X")
        validation.boolean(self.scales_X, "scales_X")
        if self.density is not None and validation.positive(self.density, "density") > 1:
            raise ValueError(f"density must be a share, at most 1, got {self.density!r}")
        if self.n_products is not None:
            validation.in_range(self.n_products, "n_products", 0, math.inf)
            if self.density is None:
                raise ValueError("n_products belongs to sparse inputs: give density too")
        chain = tuple((n_out, n_in) for n_in, n_out in pairwise((*self.hidden, self.n_outputs)))
        self._set("layers", self.layers or chain)
        self._set("n_params", self.n_params or self.n_hidden + sum(n_out * (n_in + 1) for n_out, n_in in chain))

    def _set(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)

    @property
    def n_hidden(self) -> int:
        """Units of a front layer."""
        return self.hidden[0]

    @property
    def itemsize(self) -> int:
        """Bytes of a number."""
        return np.dtype(self.dtype).itemsize

    @property
    def copies(self) -> int:
        """Number of arrays that steps change: the parameters, and their velocity if there is one."""
        return 2 if self.optimizer.has_velocity else 1

    @property
    def n_remembered(self) -> int:
        """Count of the numbers in the optimiser's state for all layers, except velocities."""
        weights, biases = self.optimizer, self.optimizer.for_biases
        layers = ((self.n_hidden, self.n_features), *self.layers)
        arrays = [array for shape in layers for array in weights.memory_shapes(*shape).values()]
        arrays += [array for n_out, _ in layers for array in biases.memory_shapes(n_out, 1).values()]
        return self.n_blocks * sum(math.prod(array) for array in arrays)

    @property
    def n_held(self) -> int:
        """Samples that are held at a time."""
        return self.block_rows or self.n_samples

    @property
    def n_snapshots(self) -> int:
        """Copies of the network in memory: the best one, and the last one in case training diverges. Streams use files."""
        return 0 if self.block_rows else 2

    @property
    def n_steps(self) -> int:
        """Steps of an epoch of a block."""
        return -(-self.n_samples // self.batch_size)

    @property
    def gram_products(self) -> float:
        """Multiplications of the Gram matrix of sparse inputs."""
        if self.n_products is not None:
            return self.n_products
        return (self.density or 1.0) ** 2 * self.n_samples**2 * self.n_features

    @property
    def n_occurring(self) -> int:
        """Features of a sparse X that have entries."""
        return math.ceil(self.n_met(self.n_samples))

    def n_met(self, n_rows: int) -> float:
        """Give the expected number of features that have entries in some rows of a sparse X."""
        if self.occurrences is not None:
            return self.occurrences.in_share(min(n_rows / self.n_samples, 1.0))
        return -self.n_features * math.expm1(n_rows * math.log1p(-min(self.density or 1.0, 1 - 1e-12)))

    @property
    def row_length(self) -> float:
        """Mean number of entries of a row."""
        return self.n_features * (1.0 if self.density is None else self.density)

    @property
    def drawn_numbers(self) -> int:
        """How much noise a step draws."""
        n_weights = self.n_features * self.n_hidden + self.n_params
        return self.rule.drawn_numbers(n_weights, self.batch_size * sum(self.hidden))


def of_inputs(X: Any, dtype: str) -> dict[str, Any]:
    """Give what a problem has to know of validated training inputs."""
    if isinstance(X, Gram):
        return {"n_samples": len(X), "n_features": X.n_features, "has_features": False, "has_products": X.is_whole}
    n_samples, n_features = X.shape
    in_blocks = isinstance(X, Surveyed)
    counted = None
    if is_stored_sparse(X):
        counted = Occurrences.of_counts(X.counts) if in_blocks else Occurrences.of_samples(X)
    n_entries = 0 if counted is None else counted.n_entries
    return {
        "n_samples": n_samples,
        "n_features": n_features,
        "density": None if counted is None else min(max(n_entries, 1) / (n_samples * n_features), 1.0),
        "n_products": None if counted is None else counted.n_pairs,
        "copies_X": is_converted(X, np.dtype(dtype)),
        "scales_X": is_gathered(X, np.dtype(dtype)),
        "occurrences": counted,
        "centres_entries": counted is not None and isinstance(X, Standardized) and X.is_centred,
        "block_rows": X.largest_block if in_blocks else 0,
        "is_elsewhere": elsewhere(X) is not None,
    }
