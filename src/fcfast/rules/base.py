"""What a learning rule is: settings, what it needs and costs, and the gradients, or stand-ins for them, that it makes."""

import copy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fcfast.losses import Targets
from fcfast.registry import Registry
from fcfast.rules.heads import Head

if TYPE_CHECKING:
    from fcfast.rules.gradient import GradientRule
    from fcfast.training.upper import UpperLayers

Array = NDArray[Any]

RULES = Registry("rule", make=lambda kind: kind())
register = RULES.register


@dataclass
class RuleState:
    """What a rule keeps from step to step beside the network.

    Attributes
    ----------
    generator : numpy.random.Generator
        Source of its noise.
    heads : list of Head
        Auxiliary heads that are trained.
    guides : list of Head
        Random heads, never trained.
    feedback : ndarray
        Random weights that errors go back through, packed.
    """

    generator: np.random.Generator
    heads: list[Head] = field(default_factory=list)
    guides: list[Head] = field(default_factory=list)
    feedback: Array = field(default_factory=lambda: np.empty(0))

    def go_on_from(self, earlier: "RuleState") -> None:
        """Take over what an earlier training with this rule had, but for what the optimiser remembered."""
        self.generator = copy.deepcopy(earlier.generator)
        self.feedback[:] = earlier.feedback
        for ours, theirs in zip((*self.heads, *self.guides), (*earlier.heads, *earlier.guides), strict=True):
            ours.params[:] = theirs.params

    @property
    def velocities(self) -> list[Array]:
        """The velocities of the heads."""
        return [head.velocity for head in self.heads if head.velocity is not None]


class Rule:
    """A learning rule: a frozen dataclass of settings. It sees pre-activations and the layers above, and never the form.

    Attributes
    ----------
    name : str
    compiled : bool
        Whether the kernel of whole epochs makes these gradients; False in a subclass unless it says so again.
    is_baseline : bool
        Whether the others are compared with it; False in a subclass unless it says so again.
    stays_in_span : bool
        Whether updates of the front layer are combinations of the inputs, so that it can be held in any form.
    transposes : str
        Which layers' transposed weights carry errors backwards.
    backward_passes : str
        What gets an exact gradient by a backward pass.
    rate_factor : float
        Learning rate relative to that of backpropagation, where steps grow with the gradient.
    """

    name: ClassVar[str]
    compiled: ClassVar[bool] = False
    is_baseline: ClassVar[bool] = False
    stays_in_span: Any = True
    transposes: Any = ""
    backward_passes: Any = ""
    rate_factor: Any = 1.0

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        for own in ("compiled", "is_baseline"):
            if own not in vars(cls):
                setattr(cls, own, False)

    def matrix_products(self, n_hidden: int) -> int:
        """Products of a batch with a square layer that a step takes, for so many hidden layers; heads are not counted."""
        return 3 * n_hidden - 1

    def kept_activations(self, n_hidden: int) -> int:
        """How many layers' arrays (batch x width) a step holds at once, for so many hidden layers."""
        return 2 * n_hidden

    def drawn_numbers(self, n_weights: int, n_activities: int) -> int:
        """How much noise a step draws, for so many weights and biases and so many units of all samples of a batch."""
        return 0

    def start(self, upper: "UpperLayers", seed: int) -> RuleState:
        """Make what the rule keeps from step to step."""
        return RuleState(np.random.default_rng(seed))

    def gradients(self, upper: "UpperLayers", targets: Targets, state: RuleState, n_threads: int) -> "GradientRule":
        """Make what computes the gradients of an epoch's batches."""
        raise NotImplementedError


def blocks_of(n_hidden: int, size: int) -> list[tuple[int, int]]:
    """Split hidden layers into blocks of so many, (first, last); the last one may be smaller."""
    return [(first, min(first + size, n_hidden) - 1) for first in range(0, n_hidden, size)]


def whole(n_hidden: int) -> list[tuple[int, int]]:
    """Give all hidden layers as one block."""
    return [(0, n_hidden - 1)]
