"""Forward gradients: a direction is guessed, and a Jacobian-vector product gives the change of the loss along it.

The product of the two replaces the gradient. docs/learning_rules.md describes the family and the cost of each member.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fcfast import validation
from fcfast.losses import Targets
from fcfast.rules.base import Rule, RuleState, blocks_of, register, whole
from fcfast.rules.forward_pass import GlobalTarget, LocalTarget
from fcfast.rules.gradient import GradientRule
from fcfast.rules.heads import check_head_layers, heads_of, new_head

if TYPE_CHECKING:
    from fcfast.training.upper import UpperLayers

Array = NDArray[Any]
Floats = NDArray[np.float64]

TARGETS = ("global", "local")
RANDOM = ("gaussian", "rademacher")
GUESSES = (*RANDOM, "local", "ntk", "ntk-fixed", "global")
SPACES = ("activation", "weight", "avg-weight")
SCALARS = ("block", "joint")


@register
@dataclass(frozen=True)
class ForwardGradient(Rule):
    """Forward gradients (arXiv 2306.06968, 2210.03310, 2202.08587), by Jacobian-vector products in true forward mode.

    Parameters
    ----------
    target : {"global", "local"}
        Loss whose directional derivative is taken. "global" is the loss of the output. "local" is the loss of an auxiliary head
        at the end of each block; the head of the last block is the output layer.
    guess : {"gaussian", "rademacher", "local", "ntk", "ntk-fixed", "global"}
        Kind of direction. "gaussian" and "rademacher" are noise that is drawn for every batch. "local" is the gradient of a
        trained auxiliary head of the layer. "ntk" and "ntk-fixed" are the gradient of a head with random weights, which are
        drawn for every batch or once. "global" is the gradient of the loss by backpropagation, for comparison. All guesses
        except noise are exact in the last hidden layer, whose head is the output layer.
    space : {"activation", "weight", "avg-weight"}
        Quantity that moves. With "activation" the units of each sample move: noise moves their pre-activations (and is 0 where
        a ReLU is off), and other guesses move their values. With "weight" noise moves the weights and biases in the same way
        for all samples of a batch, and other guesses move the weights of each sample, which for a dense layer is the same as
        moving its pre-activations. With "avg-weight" the batch's mean guess moves the weights and, apart from them, the biases.
    normalize : bool or "auto"
        Whether to project onto the guess, by dividing the product by the guess's squared norm. False is unbiased for noise.
        "auto" is False for noise and True for all other guesses.
    scalar : {"block", "joint"} or "auto"
        Number of directional derivatives. "block" takes one for each block, and for guesses other than noise on weights one
        each for the weights and the biases. "joint" takes one for all. "auto" is "joint" for noise with the global target and
        "block" otherwise.
    n_tangents : int
        Number of draws over which noise is averaged.
    groups : int
        Number of groups of units in a block, each with a directional derivative of its own, for noise with the local target.
        Layers of a block above its first layer must connect each group only to itself (`groups` of the estimator).
    block_size : int
        Number of hidden layers in a block, for noise only.
    head_layer_sizes : tuple of int
        Number of units of each hidden layer of the auxiliary heads; an empty tuple makes them linear.

    Raises
    ------
    ValueError, TypeError
        If a name is unknown, or a combination is meaningless; the message explains why.

    Notes
    -----
    The output layer and trained auxiliary heads get their exact gradients. A step never makes a backward pass through hidden
    layers, except with ``guess="global"``.

    Examples
    --------
    >>> from fcfast.rules import ForwardGradient
    >>> rule = ForwardGradient(target="global", guess="local", space="activation")
    >>> rule.is_normalized, rule.transposes
    (True, 'of the heads')
    """

    target: str = "global"
    guess: str = "local"
    space: str = "activation"
    normalize: bool | str = "auto"
    scalar: str = "auto"
    n_tangents: int = 1
    groups: int = 1
    block_size: int = 1
    head_layer_sizes: tuple[int, ...] = ()

    name: ClassVar[str] = "forward-gradient"

    def __post_init__(self) -> None:
        validation.choice(self.target, "target", TARGETS)
        validation.choice(self.guess, "guess", GUESSES)
        validation.choice(self.space, "space", SPACES)
        validation.choice(self.scalar, "scalar", (*SCALARS, "auto"))
        if not isinstance(self.normalize, bool) and not validation.is_auto(self.normalize):
            raise ValueError(f"normalize must be True, False or 'auto', got {self.normalize!r}")
        for name in ("n_tangents", "groups", "block_size"):
            validation.integer(getattr(self, name), name, 1)
        check_head_layers(self.head_layer_sizes)
        if reason := self._nonsense():
            raise ValueError(reason)

    def _nonsense(self) -> str:
        """Explain why this combination is meaningless; the text is empty if it is not."""
        if self.is_random and self.space == "avg-weight":
            return (
                f"guess={self.guess!r} with space='avg-weight' has nothing to average, because noise on the weights is drawn "
                "once for a batch; use space='weight'"
            )
        if self.target == "local" and self.scalar == "joint":
            return "target='local' with scalar='joint' would mix the separate losses of the blocks; use scalar='block'"
        if not self.is_random and self.n_tangents > 1:
            return f"guess={self.guess!r} gives one guess, got n_tangents={self.n_tangents}; only noise is averaged, use 1"
        if not self.is_random and self.block_size > 1:
            return (
                f"guess={self.guess!r} with block_size={self.block_size} would need a backward pass to the lower layers of a "
                "block; use block_size=1"
            )
        if self.groups > 1 and (self.target != "local" or not self.is_random):
            return f"groups={self.groups} splits the noise among copies of a local loss; use target='local' and a noise guess"
        if self.groups > 1 and self.head_layer_sizes:
            return f"groups={self.groups} needs linear heads, whose outputs are sums over the groups; use head_layer_sizes=()"
        if self.head_layer_sizes and not self._has_heads:
            return (
                f"head_layer_sizes={self.head_layer_sizes}, but target='global' with guess={self.guess!r} has no heads; use ()"
            )
        return ""

    # ------------------------------------------------------------------------------------------------------------------
    # consequences of the settings

    @property
    def is_random(self) -> bool:
        """Whether the guess is noise."""
        return self.guess in RANDOM

    @property
    def is_normalized(self) -> bool:
        """Whether products are divided by the guess's squared norm."""
        return not self.is_random if self.normalize == "auto" else bool(self.normalize)

    @property
    def is_joint(self) -> bool:
        """Whether one directional derivative serves all blocks."""
        return self.target == "global" and self.is_random if self.scalar == "auto" else self.scalar == "joint"

    @property
    def stays_in_span(self) -> bool:
        """Whether updates are combinations of the inputs; noise on the weights has components outside their span."""
        return not (self.is_random and self.space == "weight")

    @property
    def _trains_heads(self) -> bool:
        return self.target == "local" or self.guess == "local"

    @property
    def _has_heads(self) -> bool:
        return self._trains_heads or self.guess.startswith("ntk")

    @property
    def transposes(self) -> str:
        """Description of the layers whose transposed weights carry errors backwards."""
        if self.guess == "global":
            return "of every layer above the front layer"
        if self.is_random:
            return "inside the heads" if self.head_layer_sizes else "none"
        return "of the heads"

    @property
    def backward_passes(self) -> str:
        """Description of the parts that get an exact gradient in a backward pass."""
        if self.guess == "global":
            return "one through the whole network, for the guess"
        return "through the heads" if self._has_heads and (not self.is_random or self.head_layer_sizes) else "none"

    @property
    def rate_factor(self) -> float:
        """Learning rate relative to backpropagation: smaller for noise (on weights most), larger for unnormalised guesses."""
        if self.is_normalized:
            return 1.0
        return (0.1 if self.space == "activation" else 0.01) if self.is_random else 3.0

    def matrix_products(self, n_hidden: int) -> int:
        """Count the forward pass, the weight gradients and the products of the tangents, without heads."""
        blocks = blocks_of(n_hidden, self.block_size)
        weighty = self.is_random and self.space == "weight"
        pushed = sum(last - first for first, last in blocks)  # inside blocks
        if self.is_joint:
            pushed = n_hidden - 1
        elif self.target == "global":
            pushed += sum(n_hidden - 1 - last for _, last in blocks)
        if self.space == "avg-weight" and not self.is_joint and self.target == "global":
            pushed *= 2  # weights and biases apart
        moved = n_hidden * (self.n_tangents if weighty else 1 if self.space == "avg-weight" else 0)
        gradients = 0 if weighty else n_hidden
        # before its own pass, a local target needs the guess, which takes a pass through all layers and back
        backward = (n_hidden - 1) * (1 + (self.target == "local")) if self.guess == "global" else 0
        return n_hidden + gradients + self.n_tangents * pushed + moved + backward

    def kept_activations(self, n_hidden: int) -> int:
        """Count the values, guesses, directions and deltas of every layer, or of one block if each has its own loss."""
        by_layer = 2 + (self.n_tangents if self.is_random else 2)
        if self.space == "avg-weight":
            by_layer += 1 if self.is_joint else 2  # pre-activations that the weights' and the biases' guesses move
        elif self.space == "weight" and not self.is_random and (self.is_joint or not self.is_normalized):
            by_layer += 1
        if self.target == "local" and self.guess != "global":
            return by_layer * min(self.block_size, n_hidden) + 1 + self.n_tangents
        return by_layer * n_hidden + self.n_tangents

    def drawn_numbers(self, n_weights: int, n_activities: int) -> int:
        """Count the random numbers that a step draws, given the numbers of parameters and of activations in a batch."""
        if not self.is_random:
            return 0
        return self.n_tangents * (n_weights if self.space == "weight" else n_activities)

    def start(self, upper: "UpperLayers", seed: int) -> RuleState:
        """Draw the trained heads and the random heads."""
        state = super().start(upper, seed)
        if self._trains_heads:
            state.heads = heads_of(upper, blocks_of(upper.n_hidden, self.block_size), self.head_layer_sizes, state.generator)
        if self.guess.startswith("ntk"):
            state.guides = [new_head(upper, int(width), self.head_layer_sizes, state.generator) for width in upper.widths[:-2]]
        self._check_groups(upper)
        return state

    def _check_groups(self, upper: "UpperLayers") -> None:
        if self.groups == 1:
            return
        for i, width in enumerate(upper.widths[:-1]):
            if width % self.groups:
                raise ValueError(f"groups={self.groups} does not divide the {width} units of hidden layer {i + 1}")
        inside = {i for first, last in blocks_of(upper.n_hidden, self.block_size) for i in range(first + 1, last + 1)}
        for i in sorted(inside):
            if upper.groups[i] % self.groups:
                raise ValueError(
                    f"groups={self.groups}, but hidden layer {i + 1} inside a block connects {upper.groups[i]} group(s) of "
                    f"units; a group's noise would reach the others. Set the estimator's groups={self.groups}, or block_size=1"
                )

    def gradients(self, upper: "UpperLayers", targets: Targets, state: RuleState, n_threads: int) -> GradientRule:
        """Compute updates from directional derivatives of the target."""
        if self.target == "local":
            blocks = blocks_of(upper.n_hidden, self.block_size)
            return LocalTarget(self, upper, targets, state, n_threads, blocks, streams=True)
        return GlobalTarget(self, upper, targets, state, n_threads, whole(upper.n_hidden))


PRESETS = {
    "fg-w": ForwardGradient("global", "gaussian", "weight"),
    "fg-a": ForwardGradient("global", "gaussian", "activation"),
    "lg-fg-w": ForwardGradient("local", "gaussian", "weight"),
    "lg-fg-a": ForwardGradient("local", "gaussian", "activation"),
    "local-fg-w": ForwardGradient("global", "local", "avg-weight", normalize=False, scalar="joint"),
    "local-fg-a": ForwardGradient("global", "local", "activation", normalize=False, scalar="joint"),
}
