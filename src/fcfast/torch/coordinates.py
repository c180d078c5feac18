"""The weights of a layer as coordinates in the span of the samples, in which PyTorch's own operations are exact.

The samples are ``X = L Q`` with orthonormal rows Q, which are never formed. The parameter is ``[W1 Q' | c |W1(0)_perp|]``: the
coordinates of each unit's weights, and the length of the part that is orthogonal to all samples. That part keeps its direction,
as no gradient reaches it and weight decay shrinks it. The map is linear and keeps lengths, so whatever commutes with rotations
of the input does to the parameter what it does to the weights.
"""

from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from fcfast.torch.form import Form, gathered, refusing_to_learn
from fcfast.torch.initial import SEEDS, Start, span_deviation
from fcfast.torch.rows import Rows
from fcfast.torch.tensors import Constant

Array = NDArray[Any]
Floats = NDArray[np.float64]

SHORTEST = float(np.finfo(np.float64).eps) ** 0.5  # relative length of the orthogonal part, too short to count in any norm


class Coordinates(Form):
    """Weights as coordinates (h, r + 1)."""

    name: ClassVar[str] = "coordinates"
    unit_axis: ClassVar[int] = 0
    keeps_lengths: ClassVar[bool] = True

    def __init__(self, rows: Rows, start: Start) -> None:
        super().__init__(rows, start)
        self._table = rows.coordinates

    @property
    def shape(self) -> tuple[int, int]:
        """Shape of the parameter."""
        return self.n_hidden, self.rows.rank + 1

    @cached_property
    def base(self) -> Floats:
        """Coordinates (r, h) of the initial weights for features."""
        if self.start.weights.is_zero:
            return np.zeros((self.rows.rank, self.n_hidden))
        return self.rows.factor.coordinates(self.start_products)

    @cached_property
    def lengths(self) -> Floats:
        """Lengths (h,) of the initial weights' orthogonal part.

        It has a length even where it is 0 but for rounding, because the factor c is read off what becomes of it.
        """
        left = self.squared_lengths - np.square(self.base).sum(axis=0)
        return np.sqrt(np.maximum(left, SHORTEST**2 * self.squared_lengths))

    def initial(self) -> Array:
        """Give the parameter before training."""
        if self.start.init == "span":
            Z = np.random.RandomState(self.start.seed % SEEDS).standard_normal((self.rows.rank, self.n_hidden))
            return np.pad(Z.T * span_deviation(self.rows.gram.fan_in), ((0, 0), (0, 1)))
        return np.column_stack([self.base.T, self.lengths])

    def prepare(self, weight: torch.Tensor) -> None:
        """Make the tensor of the samples' coordinates."""
        self._table.like(weight)

    def of_rows(self, rows: torch.Tensor | None, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        """Give the pre-activations of training samples."""
        table = self._table.like(weight)
        return F.linear(table if rows is None else gathered(table, rows), weight, bias)

    def of_any_rows(self, rows: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        """Give those of training or evaluation samples."""
        weight = refusing_to_learn(weight, rows, len(self.rows))
        S = F.linear(gathered(self.rows.all_coordinates.like(weight), rows), weight, bias)
        if self.start.weights.is_zero:
            return S
        return S + weight[:, -1] * gathered(self._along.like(weight), rows)

    @cached_property
    def _along(self) -> Constant:
        """Products (N + M, h) of all samples with the direction of each unit's orthogonal part; 0 for training samples."""
        n_samples, coordinates = len(self.rows), self.rows.all_coordinates.array
        along = np.zeros((len(coordinates), self.n_hidden))
        left = self.rows.evaluation_preactivations_by(self.start.weights) - coordinates[n_samples:, :-1] @ self.base
        np.divide(left, self.lengths, out=along[n_samples:], where=self.lengths > 0)
        return Constant(along)

    def split(self, weight: Floats) -> tuple[Array, Floats]:
        """Give contributions and the factors of the initial weights."""
        none = np.zeros(self.n_hidden)
        if self.start.weights.is_zero:
            return self.rows.factor.contributions_at(weight[:, :-1].T), none
        c = np.divide(weight[:, -1], self.lengths, out=none, where=self.lengths > 0)
        return self.rows.factor.contributions_at(weight[:, :-1].T - c * self.base), c

    def squared_gradient_norms(self, gradient: torch.Tensor) -> torch.Tensor:
        """Sum the squares of the gradient of each unit's weights."""
        return gradient.square().sum(1)
