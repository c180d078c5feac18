"""The interface of learning rules: their settings, needs and costs, and the gradients that they compute or approximate."""

import copy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fcfast.losses import Targets
from fcfast.registry import Capable, Registry
from fcfast.rules.heads import Head

if TYPE_CHECKING:
    from fcfast.rules.gradient import GradientRule
    from fcfast.training.upper import UpperLayers

Array = NDArray[Any]

RULES = Registry("rule", make=lambda kind: kind())
register = RULES.register


@dataclass
class RuleState:
    """The state that a rule keeps from step to step in addition to the network.

    Attributes
    ----------
    generator : numpy.random.Generator
        Source of the rule's noise.
    heads : list of Head
        Auxiliary heads that are trained.
    guides : list of Head
        Random heads that are never trained.
    feedback : ndarray
        Packed random weights that carry errors backwards.
    """

    generator: np.random.Generator
    heads: list[Head] = field(default_factory=list)
    guides: list[Head] = field(default_factory=list)
    feedback: Array = field(default_factory=lambda: np.empty(0))

    def go_on_from(self, earlier: "RuleState") -> None:
        """Take over the state of an earlier training with this rule, except the optimiser's state."""
        self.generator = copy.deepcopy(earlier.generator)
        self.feedback[:] = earlier.feedback
        for ours, theirs in zip((*self.heads, *self.guides), (*earlier.heads, *earlier.guides), strict=True):
            ours.params[:] = theirs.params

    @property
    def velocities(self) -> list[Array]:
        """The velocities of the heads."""
        return [head.velocity for head in self.heads if head.velocity is not None]


class Rule(Capable):
    """A learning rule, which is a frozen dataclass of settings. It sees pre-activations and the layers above, never the form.

    Attributes
    ----------
    name : str
        Name under which users find the rule.
    compiled : bool
        Whether the kernel of whole epochs computes these gradients; False in every subclass that does not set it.
    is_baseline : bool
        Whether other rules are compared with this one; False in every subclass that does not set it.
    stays_in_span : bool
        Whether updates of the front layer are combinations of the inputs, so that it can be held in any form.
    transposes : str
        Description of the layers whose transposed weights carry errors backwards.
    backward_passes : str
        Description of the parts that get an exact gradient in a backward pass.
    rate_factor : float
        Learning rate relative to the rate of backpropagation, for optimisers whose steps grow with the gradient.
    """

    not_inherited: ClassVar[dict[str, Any]] = {"compiled": False, "is_baseline": False}

    name: ClassVar[str]
    compiled: ClassVar[bool] = False
    is_baseline: ClassVar[bool] = False
    stays_in_span: Any = True
    transposes: Any = ""
    backward_passes: Any = ""
    rate_factor: Any = 1.0

    def matrix_products(self, n_hidden: int) -> int:
        """Count a step's products of a batch with a square layer, without heads; by default as in backpropagation."""
        return 3 * n_hidden - 1

    def kept_activations(self, n_hidden: int) -> int:
        """Count the arrays (batch x width) that a step holds at once; by default values and deltas of each layer."""
        return 2 * n_hidden

    def drawn_numbers(self, n_weights: int, n_activities: int) -> int:
        """Count the random numbers that a step draws, given the numbers of parameters and of activations in a batch."""
        return 0

    def start(self, upper: "UpperLayers", seed: int) -> RuleState:
        """Make the state that the rule keeps from step to step."""
        return RuleState(np.random.default_rng(seed))

    def gradients(self, upper: "UpperLayers", targets: Targets, state: RuleState, n_threads: int) -> "GradientRule":
        """Make the object that computes the gradients of an epoch's batches."""
        raise NotImplementedError


def blocks_of(n_hidden: int, size: int) -> list[tuple[int, int]]:
    """Split hidden layers into blocks (first, last) of `size` layers; the last block may be smaller."""
    return [(first, min(first + size, n_hidden) - 1) for first in range(0, n_hidden, size)]


def whole(n_hidden: int) -> list[tuple[int, int]]:
    """Give all hidden layers as one block."""
    return [(0, n_hidden - 1)]
