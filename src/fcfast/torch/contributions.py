"""The weights of a layer as contributions of the samples, for so many samples that coordinates would take long to find.

The parameter has the contributions A and below them the factors c of the initial weights, ``W1 = c W1(0) + A' X``. A step of
SGD adds the deltas of a batch to its rows of A. The gradient of A therefore is to be these deltas, and not the derivative of
the pre-activations, which would be G times as much. Pre-activations have a part with the right value, which is detached, and a
part that is 0 with the right gradient. (A function with a gradient of its own would be wrong in silence under
``torch.compile(torch.func.grad(...))``.)
"""

from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from fcfast.gram.start import SpanStart
from fcfast.torch.form import Form, gathered, refusing_to_learn
from fcfast.torch.initial import SEEDS, Start, span_deviation
from fcfast.torch.rows import Rows
from fcfast.torch.tensors import Constant

Array = NDArray[Any]
Floats = NDArray[np.float64]


class Contributions(Form):
    """Weights as contributions and factors (N + 1, h)."""

    name: ClassVar[str] = "contributions"
    unit_axis: ClassVar[int] = 1
    keeps_lengths: ClassVar[bool] = False

    def __init__(self, rows: Rows, start: Start) -> None:
        super().__init__(rows, start)
        self._products = rows.products

    @property
    def shape(self) -> tuple[int, int]:
        """Shape of the parameter."""
        return len(self.rows) + 1, self.n_hidden

    def initial(self) -> Array:
        """Give the parameter before training."""
        initial = np.zeros(self.shape)
        if self.start.init == "span":
            gram, weights = self.rows.gram, self.start.weights
            span = SpanStart(weights.n_hidden, weights.n_features, self.start.seed % SEEDS, span_deviation(gram.fan_in))
            initial[:-1] = span.draw(np.ascontiguousarray(self.rows.products.array))[1]
        else:
            initial[-1] = 1
        return initial

    @cached_property
    def _starts(self) -> Constant:
        """Initial pre-activations (N, h) of the training samples."""
        return Constant(self.start_products)

    @cached_property
    def _all_starts(self) -> Constant:
        """The same with those of the evaluation samples below."""
        return Constant(np.concatenate([self.start_products, self.rows.evaluation_preactivations_by(self.start.weights)]))

    def prepare(self, weight: torch.Tensor) -> None:
        """Make the tensors of products and initial pre-activations."""
        self._products.like(weight)
        if not self.start.weights.is_zero:
            self._starts.like(weight)

    def of_rows(self, rows: torch.Tensor | None, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        """Give the pre-activations of training samples."""
        starts = None if self.start.weights.is_zero else self._starts.like(weight)
        taking_part = weight[:-1] if rows is None else gathered(weight, rows)
        return _straight_through(self._products.like(weight), starts, rows, weight, bias, taking_part)

    def of_any_rows(self, rows: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        """Give those of training or evaluation samples."""
        n_samples = len(self.rows)
        starts = None if self.start.weights.is_zero else self._all_starts.like(weight)
        taking_part = gathered(refusing_to_learn(weight, rows, n_samples), rows.clamp(max=n_samples - 1))
        return _straight_through(self.rows.all_products.like(weight), starts, rows, weight, bias, taking_part)

    def split(self, weight: Floats) -> tuple[Array, Floats]:
        """Give contributions and the factors of the initial weights."""
        return weight[:-1], weight[-1]

    def squared_gradient_norms(self, gradient: torch.Tensor) -> torch.Tensor:
        """Sum the squares of the gradient of each unit's weights, D' X, from the deltas D."""
        deltas = gradient[:-1]
        rows = deltas.any(1).nonzero().squeeze(1)
        deltas = deltas[rows]
        products = self._products.like(gradient)[rows][:, rows]
        return ((products @ deltas) * deltas).sum(0).clamp(min=0)  # rounding may make less than 0 of opposite deltas


def _straight_through(
    products: torch.Tensor,
    starts: torch.Tensor | None,
    rows: torch.Tensor | None,
    weight: torch.Tensor,
    bias: torch.Tensor | None,
    taking_part: torch.Tensor,
) -> torch.Tensor:
    """Give c S0 + G A for some rows, with the gradient of the contributions that take part."""
    held = weight.detach()
    S = (products if rows is None else gathered(products, rows)) @ held[:-1]
    if starts is not None:
        S = S + held[-1] * (starts if rows is None else gathered(starts, rows))
    S = S + (taking_part - taking_part.detach())
    return S if bias is None else S + bias
