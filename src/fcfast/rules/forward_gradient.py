"""Forward gradients: a direction is guessed, a Jacobian-vector product says how the loss changes along it, and the product of
the two stands in for the gradient. See docs/learning_rules.md for the family and what each member costs.
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
        Loss whose directional derivative is taken: of the output, or of an auxiliary head at the end of each block (the output
        layer, for the last one).
    guess : {"gaussian", "rademacher", "local", "ntk", "ntk-fixed", "global"}
        The direction: noise, drawn anew for every batch; the gradient of a trained auxiliary head at that layer; that of a head
        with random weights, drawn anew for every batch or once; the gradient of the loss by backpropagation, to compare with.
        All but noise are exact in the last hidden layer, whose head is the output layer.
    space : {"activation", "weight", "avg-weight"}
        What moves. "activation": the units of each sample; noise moves their pre-activations (and is 0 where a ReLU is off),
        other guesses their values. "weight": noise moves the weights and biases, for all samples of a batch alike; other
        guesses the weights of each sample, for a dense layer the same as its pre-activations. "avg-weight": the batch's mean
        guess moves the weights, and apart from them the biases.
    normalize : bool or "auto"
        True projects onto the guess (the product is divided by the guess's squared norm), False does not, which is unbiased for
        noise. "auto" is False for noise and True for all other guesses.
    scalar : {"block", "joint"} or "auto"
        A directional derivative for each block (of a guess other than noise on weights, for weights and biases apart), or one
        for all. "auto" is "joint" for noise and the global target, otherwise "block".
    n_tangents : int
        Noise is averaged over so many draws.
    groups : int
        Local target, noise: units of a block are in so many groups, each with a directional derivative of its own. Layers of a
        block above its first one must connect each group to itself only (`groups` of the estimator).
    block_size : int
        Hidden layers of a block; noise only.
    head_layer_sizes : tuple of int
        Hidden layers of the auxiliary heads; none makes them linear.

    Raises
    ------
    ValueError, TypeError
        For unknown names, and for combinations that make no sense, saying why.

    Notes
    -----
    The output layer and trained auxiliary heads get their exact gradients. A step never makes a backward pass through hidden
    layers, but for ``guess="global"``.

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
        """Say why this combination makes no sense; nothing if it does."""
        if self.is_random and self.space == "avg-weight":
            return (
                f"guess={self.guess!r} with space='avg-weight': noise on the weights is drawn once for a batch, there is "
                "nothing to average; use space='weight'"
            )
        if self.target == "local" and self.scalar == "joint":
            return "target='local' with scalar='joint': each block has a loss of its own; their sum would only mix them up"
        if not self.is_random and self.n_tangents > 1:
            return f"guess={self.guess!r} with n_tangents={self.n_tangents}: there is one such guess; only noise is averaged"
        if not self.is_random and self.block_size > 1:
            return (
                f"guess={self.guess!r} with block_size={self.block_size}: taking the guess to a block's lower layers would be "
                "a backward pass; use block_size=1"
            )
        if self.groups > 1 and (self.target != "local" or not self.is_random):
            return f"groups={self.groups} splits the noise among copies of a local loss; use target='local' and a noise guess"
        if self.groups > 1 and self.head_layer_sizes:
            return f"groups={self.groups} needs linear heads, whose outputs are sums over the groups; use head_layer_sizes=()"
        if self.head_layer_sizes and not self._has_heads:
            return f"head_layer_sizes={self.head_layer_sizes}: target='global' with guess={self.guess!r} has no heads"
        return ""

    # ------------------------------------------------------------------------------------------------------------------
    # what follows from the settings

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
        """False for noise on the weights: it has components that no input has."""
        return not (self.is_random and self.space == "weight")

    @property
    def _trains_heads(self) -> bool:
        return self.target == "local" or self.guess == "local"

    @property
    def _has_heads(self) -> bool:
        return self._trains_heads or self.guess.startswith("ntk")

    @property
    def transposes(self) -> str:
        """Which transposed weights carry errors backwards."""
        if self.guess == "global":
            return "of every layer above the front layer"
        if self.is_random:
            return "inside the heads" if self.head_layer_sizes else "none"
        return "of the heads"

    @property
    def backward_passes(self) -> str:
        """What gets an exact gradient by a backward pass."""
        if self.guess == "global":
            return "one through the whole network, for the guess"
        return "through the heads" if self._has_heads and (not self.is_random or self.head_layer_sizes) else "none"

    @property
    def rate_factor(self) -> float:
        """Noise needs smaller rates, on weights even more than on activations; guesses that are not normalised, larger ones."""
        if self.is_normalized:
            return 1.0
        return (0.1 if self.space == "activation" else 0.01) if self.is_random else 3.0

    def matrix_products(self, n_hidden: int) -> int:
        """Forward, weight gradients, and what the tangents take; heads are not counted."""
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
        # a local target needs the guess, and so a pass through all layers and back, before its own
        backward = (n_hidden - 1) * (1 + (self.target == "local")) if self.guess == "global" else 0
        return n_hidden + gradients + self.n_tangents * pushed + moved + backward

    def kept_activations(self, n_hidden: int) -> int:
        """Values, guesses, directions and deltas of every layer; of one block at a time, where each has its own loss."""
        by_layer = 2 + (self.n_tangents if self.is_random else 2)
        if self.space == "avg-weight":
            by_layer += 1 if self.is_joint else 2  # pre-activations moved by the weights' guess, and by that of the biases
        elif self.space == "weight" and not self.is_random and (self.is_joint or not self.is_normalized):
            by_layer += 1
        if self.target == "local" and self.guess != "global":
            return by_layer * min(self.block_size, n_hidden) + 1 + self.n_tangents
        return by_layer * n_hidden + self.n_tangents

    def drawn_numbers(self, n_weights: int, n_activities: int) -> int:
        """How much noise a step draws, for so many weights and biases and so many units of all samples of a batch."""
        if not self.is_random:
            return 0
        return self.n_tangents * (n_weights if self.space == "weight" else n_activities)

    def start(self, upper: "UpperLayers", seed: int) -> RuleState:
        """Draw the heads, trained and random."""
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
        """Take directional derivatives of the target."""
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
