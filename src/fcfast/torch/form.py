"""What a layer's weight stands for: the interface of its two forms."""

from abc import ABC, abstractmethod
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from fcfast.torch.initial import Start, squared_norms
from fcfast.torch.rows import Rows

Array = NDArray[Any]
Floats = NDArray[np.float64]


class Form(ABC):
    """A way to hold a layer's weights W1 = c W1(0) + A' X without holding them.

    Attributes
    ----------
    name : str
        Name, as in ``FrontLinear(form=...)``.
    unit_axis : int
        Axis of the parameter along which the units lie.
    keeps_lengths : bool
        Whether the parameter has the lengths and angles of the weights, so that whatever measures its norm measures theirs.
    """

    name: ClassVar[str]
    unit_axis: ClassVar[int]
    keeps_lengths: ClassVar[bool]

    def __init__(self, rows: Rows, start: Start) -> None:
        self.rows, self.start = rows, start

    @property
    def n_hidden(self) -> int:
        """Number of units."""
        return self.start.n_hidden

    @property
    @abstractmethod
    def shape(self) -> tuple[int, int]:
        """Shape of the parameter."""

    @abstractmethod
    def initial(self) -> Array:
        """Give the parameter before training."""

    @abstractmethod
    def prepare(self, weight: torch.Tensor) -> None:
        """Make the tensors that are needed where the parameter is, so that a compiled network finds them."""

    @abstractmethod
    def of_rows(self, rows: torch.Tensor | None, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        """Give the pre-activations (..., h) of training samples; None gives all of them."""

    @abstractmethod
    def of_any_rows(self, rows: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        """Give those of training or evaluation samples; nothing may be learned from the latter."""

    @abstractmethod
    def split(self, weight: Floats) -> tuple[Array, Floats]:
        """Give contributions A (N, h) and the factors c (h,) of the initial weights."""

    @abstractmethod
    def squared_gradient_norms(self, gradient: torch.Tensor) -> torch.Tensor:
        """Sum the squares (h,) of the gradient of each unit's weights, from the gradient of the parameter."""

    def __deepcopy__(self, memo: dict[int, Any]) -> "Form":
        """Give this form, which never changes: a layer that gets another start gets another form."""
        return self

    @cached_property
    def squared_lengths(self) -> Floats:
        """Squared lengths (h,) of the initial weights."""
        return squared_norms(self.start.weights)

    @cached_property
    def start_products(self) -> Floats:
        """Pre-activations (N, h) of the training samples under the initial weights for features."""
        return np.asarray(self.rows.preactivations_by(self.start.weights), np.float64)


def gathered(table: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    """Give rows of a table, for row numbers of any shape."""
    try:
        return F.embedding(rows, table)
    except IndexError:
        raise IndexError(
            f"rows must be numbers of samples from 0 to {len(table) - 1}, got {int(rows.min())} to {int(rows.max())}; those of "
            "evaluation samples count in evaluation mode only, module.eval()"
        ) from None


def refusing_to_learn(weight: torch.Tensor, rows: torch.Tensor, n_samples: int) -> torch.Tensor:
    """Give a weight through which a backward pass fails if there are evaluation samples among the rows."""
    if not (torch.is_grad_enabled() and weight.requires_grad):
        return weight
    alias = weight.view_as(weight)

    def refuse(gradient: torch.Tensor) -> None:
        if bool((rows >= n_samples).any()):
            raise RuntimeError(NOT_TRAINED.format("evaluation samples"))

    alias.register_hook(refuse)
    return alias


NOT_TRAINED = (
    "a FrontLinear cannot be trained on {}, because its weights move within the span of its training samples; use "
    "torch.no_grad() to evaluate, requires_grad_(False) to train what is above the layer, or layer.expand()"
)
