"""Forward gradients: a direction is guessed, a Jacobian-vector product says how the loss changes along it, and the product of
the two stands in for the gradient. See docs/learning_rules.md for the family and what each member costs.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fcfast import backend, validation
from fcfast.layers import multiply
from fcfast.rules.base import Front, HeadPass, Rows, RuleState, Teacher, Update, blocks_of, new_head, whole
from fcfast.rules.dense import packed, push, times_derivative
from fcfast.rules.exact import check_head_layers, new_heads

if TYPE_CHECKING:
    from fcfast.front.network import FrontNetwork

Array = NDArray[Any]
Floats = NDArray[np.float64]

TARGETS = ("global", "local")
RANDOM = ("gaussian", "rademacher")
GUESSES = (*RANDOM, "local", "ntk", "ntk-fixed", "global")
SPACES = ("activation", "weight", "avg-weight")
SCALARS = ("block", "joint")


@dataclass(frozen=True)
class ForwardGradient:
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
        if not isinstance(self.normalize, bool) and self.normalize != "auto":
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

    def start(self, network: "FrontNetwork", seed: int) -> RuleState:
        """Draw the heads, trained and random."""
        state = RuleState(np.random.default_rng(seed))
        if self._trains_heads:
            state.heads = new_heads(network, self.block_size, self.head_layer_sizes, state.generator)
        if self.guess.startswith("ntk"):
            state.guides = [
                new_head(network, int(width), self.head_layer_sizes, state.generator) for width in network.widths[:-2]
            ]
        self._check_groups(network)
        return state

    def _check_groups(self, network: "FrontNetwork") -> None:
        if self.groups == 1:
            return
        for i, width in enumerate(network.widths[:-1]):
            if width % self.groups:
                raise ValueError(f"groups={self.groups} does not divide the {width} units of hidden layer {i + 1}")
        inside = {i for first, last in blocks_of(len(network.widths) - 1, self.block_size) for i in range(first + 1, last + 1)}
        for i in sorted(inside):
            if network.groups[i] % self.groups:
                raise ValueError(
                    f"groups={self.groups}, but hidden layer {i + 1} inside a block connects {network.groups[i]} group(s) of "
                    f"units; a group's noise would reach the others. Set the estimator's groups={self.groups}, or block_size=1"
                )

    def teacher(self, network: "FrontNetwork", answers: Array, sample_weight: Floats | None) -> Teacher:
        """Teach against the target."""
        if self.target == "local":
            blocks = blocks_of(len(network.widths) - 1, self.block_size)
            return LocalTarget(self, network, answers, sample_weight, blocks, streams=True)
        return GlobalTarget(self, network, answers, sample_weight, whole(network))


PRESETS = {
    "fg-w": ForwardGradient("global", "gaussian", "weight"),
    "fg-a": ForwardGradient("global", "gaussian", "activation"),
    "lg-fg-w": ForwardGradient("local", "gaussian", "weight"),
    "lg-fg-a": ForwardGradient("local", "gaussian", "activation"),
    "local-fg-w": ForwardGradient("global", "local", "avg-weight", normalize=False, scalar="joint"),
    "local-fg-a": ForwardGradient("global", "local", "activation", normalize=False, scalar="joint"),
}


# ----------------------------------------------------------------------------------------------------------------------
# directions: what moves in one layer


class Direction:
    """A guess for one layer: what moves with it, its squared norm, and the update that a directional derivative makes of it.

    Attributes
    ----------
    moves : dict
        Arguments of `push` that move at this layer.
    is_shared : bool
        Whether all samples of the batch move together, by one derivative of their mean loss.
    """

    moves: dict[str, Array]
    is_shared: ClassVar[bool] = False

    def squared_norm(self) -> Floats:
        """Give squared norms by tangent, sample (one if shared) and group (M, B or 1, G); noise is masked as it is pushed."""
        raise NotImplementedError

    def apply(self, coefficients: Floats, delta: Array) -> None:
        """Fill the deltas (B, n) of the layer's pre-activations from coefficients (M, B, G)."""
        raise NotImplementedError

    def correct(self, coefficients: Floats, layer: Any, bias: Any) -> None:
        """Correct gradients that are no outer product of the deltas and the inputs."""


class ActivityDirection(Direction):
    """Noise (M, B, n) on the pre-activations, or a guess of their deltas."""

    def __init__(self, noise: Array, groups: int) -> None:
        self.moves, self.groups = {"noise": noise}, groups

    def squared_norm(self) -> Floats:
        noise = self.moves["noise"]
        by_group = noise.reshape(*noise.shape[:2], self.groups, -1)
        return np.einsum("mbgj,mbgj->mbg", by_group, by_group, dtype=np.float64)

    def apply(self, coefficients: Floats, delta: Array) -> None:
        backend.forward_gradient.combine(self.moves["noise"], coefficients, delta)


class ValueDirection(Direction):
    """A guess (B, n) of the gradient with respect to the activation values, which move by it."""

    def __init__(self, guess: Array, values: Array, activation: int, n_threads: int) -> None:
        self.moves, self.guess = {}, guess
        self.delta = times_derivative(guess, values, activation, n_threads)

    def squared_norm(self) -> Floats:
        return np.einsum("bj,bj->b", self.guess, self.guess, dtype=np.float64)[None, :, None]

    def apply(self, coefficients: Floats, delta: Array) -> None:
        backend.forward_gradient.combine(self.delta[None], coefficients, delta)


class SampleDirection(Direction):
    """A guess (B, n) of each sample's deltas, which moves the weights by its outer product with the inputs, and the biases.

    Together they move pre-activations by the guess times the inputs' squared norm plus 1. Apart, the biases' derivative is that
    of the guess, and the weights' that times the squared norm.
    """

    def __init__(self, delta: Array, norms: Array, apart: bool) -> None:
        self.delta, self.norms, self.apart = delta, norms, apart
        self.moves = {"noise": (delta.copy() if apart else self._by_both)[None]}

    @property
    def _by_both(self) -> Array:
        return (self.norms + self.norms.dtype.type(1))[:, None] * self.delta

    def squared_norm(self) -> Floats:
        return np.einsum("bj,bj->b", self._by_both, self.delta, dtype=np.float64)[None, :, None]

    def apply(self, coefficients: Floats, delta: Array) -> None:
        if self.apart:
            coefficients = coefficients * self.norms[:, None]
        backend.forward_gradient.combine(self.delta[None], coefficients, delta)

    def correct(self, coefficients: Floats, layer: Any, bias: Any) -> None:
        if self.apart:
            bias.gradient[:] = multiply(self.delta.T, coefficients[0].astype(self.delta.dtype))


class WeightDirection(Direction):
    """Noise on weights (M, n_out, n_in) and biases (M, n_out), the same for all samples."""

    def __init__(self, weights: Array, biases: Array, inputs: Array, groups: int) -> None:
        self.moves, self.groups = {"weight_tangents": weights, "bias_tangents": biases, "inputs": inputs}, groups

    is_shared = True

    def squared_norm(self) -> Floats:
        U, b = self.moves["weight_tangents"], self.moves["bias_tangents"]
        norms = np.einsum("mij,mij->mi", U, U, dtype=np.float64) + b.astype(np.float64) ** 2
        return norms.reshape(len(U), 1, self.groups, -1).sum(axis=3)

    def apply(self, coefficients: Floats, delta: Array) -> None:
        pass  # there are no deltas

    def correct(self, coefficients: Floats, layer: Any, bias: Any) -> None:
        U, b = self.moves["weight_tangents"], self.moves["bias_tangents"]
        by_unit = np.repeat(coefficients[:, 0], U.shape[1] // self.groups, axis=1).astype(U.dtype)
        layer.gradient[:] = by_unit[0][:, None] * U[0]
        bias.gradient[:, 0] = (by_unit * b).sum(axis=0)
        for k in range(1, len(U)):
            layer.gradient += by_unit[k][:, None] * U[k]


class MeanDirection(Direction):
    """The batch's summed guess: delta' A moves the weights and the sum of the deltas the biases, together or one by one.

    Pre-activations then move by A A' delta, so that the weights' guess itself is never made.
    """

    is_shared = True

    def __init__(self, delta: Array, by_weights: Array, apart: bool) -> None:
        self.delta, total = delta, delta.sum(axis=0)
        self.norms = np.array([np.sum(by_weights * delta, dtype=np.float64), np.sum(total * total, dtype=np.float64)])
        self.apart = apart
        both = [by_weights, np.broadcast_to(total, delta.shape)]
        self.moves = {"noise": np.stack(both) if apart else np.add(*both)[None]}

    def squared_norm(self) -> Floats:
        norms = self.norms if self.apart else self.norms.sum(keepdims=True)
        return norms[:, None, None]

    def apply(self, coefficients: Floats, delta: Array) -> None:
        delta[:] = delta.dtype.type(coefficients[0, 0, 0]) * self.delta

    def correct(self, coefficients: Floats, layer: Any, bias: Any) -> None:
        bias.gradient[:, 0] = bias.gradient.dtype.type(coefficients[-1, 0, 0]) * self.delta.sum(axis=0)


# ----------------------------------------------------------------------------------------------------------------------
# teachers


class ForwardTeacher(Teacher):
    """What teachers by forward gradients share: directions for a layer, and coefficients from directional derivatives."""

    def __init__(self, rule: ForwardGradient, *arguments: Any, **options: Any) -> None:
        self.rule = rule
        super().__init__(*arguments, **options)

    def noise(self, *shape: int) -> Array:
        """Draw noise of unit variance."""
        generator, size = self.state.generator, int(np.prod(shape))
        out = np.empty(size, self.network.params.dtype)
        if self.rule.guess == "gaussian":
            backend.noise.normals(int(generator.integers(2**64, dtype=np.uint64)), out, self.n_threads)
        else:
            bits = np.frombuffer(generator.bytes(-(-size // 8)), np.uint8)
            np.subtract(2 * np.unpackbits(bits, count=size), 1, out=out, dtype=out.dtype)
        return out.reshape(shape)

    def random_direction(self, i: int, front: Front, inputs: Array | None, values: Array) -> Direction:
        """Draw a direction for hidden layer i with these inputs and values."""
        M, n_out = self.rule.n_tangents, values.shape[1]
        if self.rule.space == "activation":
            return ActivityDirection(self.noise(M, *values.shape), self.rule.groups)
        if inputs is None:
            inputs = front.inputs  # type: ignore[attr-defined]  # form "weights", the only one that these rules take
        weights = self.noise(M, n_out, inputs.shape[1])
        if (mask := self.network.masks[i]) is not None:
            weights *= mask
        return WeightDirection(weights, self.noise(M, n_out), inputs, self.rule.groups)

    def guided_direction(self, i: int, guess: Array, front: Front, inputs: Array | None, values: Array) -> Direction:
        """Make a direction of a guess of the gradient with respect to a layer's values; inputs are None for the front layer."""
        rule = self.rule
        if rule.space == "activation":
            return ValueDirection(guess, values, self.activation, self.n_threads)
        delta = times_derivative(guess, values, self.activation, self.n_threads)
        if rule.space == "weight":
            if rule.is_normalized and not rule.is_joint:
                return ActivityDirection(delta[None], 1)  # the inputs' norms would cancel
            norms = np.diag(front.batch_gram()) if inputs is None else np.einsum("bj,bj->b", inputs, inputs)
            return SampleDirection(delta, norms, apart=not rule.is_joint)
        if inputs is None:
            moved = multiply(front.batch_gram(), delta)
        elif (mask := self.network.masks[i]) is not None:
            moved = multiply(inputs, (multiply(delta.T, inputs) * mask).T)
        else:
            moved = multiply(multiply(inputs, inputs.T), delta)
        return MeanDirection(delta, moved, apart=not rule.is_joint)

    def push(self, tangents: Array | None, i: int, direction: Direction, values: Array) -> Array:
        """Push tangents into hidden layer i, where its direction joins them."""
        if isinstance(direction, ValueDirection):
            if tangents is None:
                return direction.guess[None]
            pushed = push(values, self.activation, self.n_threads, tangents, self.upper.weights[i - 1])
            pushed += direction.guess
            return pushed
        weights = None if tangents is None else self.upper.weights[i - 1]
        return push(values, self.activation, self.n_threads, tangents, weights, **direction.moves)

    def coefficients(self, derivatives: Floats, directions: list[Direction]) -> Floats:
        """Make coefficients (M, B, G) of directional derivatives of that shape."""
        if directions[0].is_shared:
            derivatives = derivatives.sum(axis=1, keepdims=True)
        if self.rule.is_normalized:
            norms = np.sum([direction.squared_norm() for direction in directions], axis=0)
            # a guess that is 0 says nothing
            derivatives = np.divide(derivatives, norms, out=np.zeros_like(derivatives), where=norms > 0)
        return np.ascontiguousarray(derivatives / self.rule.n_tangents)

    def guess(self, i: int, top: Array, batch: Rows) -> Array:
        """Give an auxiliary head's gradient with respect to the values of hidden layer i, not the last one."""
        if self.rule.guess == "local":
            head, grad = self.state.heads[i], self.head_grads[i]
        else:
            head = self.state.guides[i]
            grad = np.empty_like(head.params)
            if self.rule.guess == "ntk":
                head.randomise(self.state.generator, self.network.activation)
        dense = head.dense(self.network.activation, self.n_threads)
        return HeadPass(dense, top, self.targets, batch, grad).input_gradient()

    def backpropagated(self, hidden: list[Array], error: Array) -> list[Array]:
        """Give the gradient of the loss with respect to the values of every hidden layer."""
        gradients = [multiply(error, self.upper.weights[-1])]
        for i in range(self.n_hidden - 1, 0, -1):
            delta = times_derivative(gradients[0], hidden[i], self.activation, self.n_threads)
            gradients.insert(0, multiply(delta, self.upper.weights[i - 1]))
        return gradients


def derivative(error: Array, tangents: Array) -> Floats:
    """Give the directional derivative of each sample's share in the loss (M, B, 1), from tangents (M, B, c) of the outputs."""
    return np.einsum("bc,mbc->mb", error, tangents, dtype=np.float64)[:, :, None]


class GlobalTarget(ForwardTeacher):
    """Directional derivatives of the loss at the output."""

    def step(self, front: Front, batch: Rows) -> Iterator[Update]:
        A = self.front_values(front, batch)
        flat, values = self.upper.forward(A)
        deltas, delta_blocks = packed(self.upper.widths[1:], len(A), A.dtype)
        error = delta_blocks[-1]
        self.loss = self.targets.loss(values[-1], batch, error)
        hidden = [A, *values[:-1]]
        directions = self._directions(front, batch, hidden, error)
        coefficients = self._coefficients(directions, hidden, values, error)
        D = np.empty_like(A)
        for direction, c, delta in zip(directions, coefficients, [D, *delta_blocks[:-1]], strict=True):
            direction.apply(c, delta)
        if isinstance(directions[0], WeightDirection):
            self.fill_output_gradient(hidden[-1], error)
        else:
            self.upper.outer_products(A, flat, deltas, self.grads[0][len(A.T) :])
            self.take_front(front, D)
        for i, (direction, c) in enumerate(zip(directions, coefficients, strict=True)):
            direction.correct(c, self.weights_above[i] if i else front.layer, self.biases[i])
        yield self.update(0, front)

    def _directions(self, front: Front, batch: Rows, hidden: list[Array], error: Array) -> list[Direction]:
        inputs = [None, *hidden[:-1]]
        if self.rule.is_random:
            return [
                self.random_direction(i, front, below, value)
                for i, (below, value) in enumerate(zip(inputs, hidden, strict=True))
            ]
        if self.rule.guess == "global":
            guesses = self.backpropagated(hidden, error)
        else:
            guesses = [self.guess(i, value, batch) for i, value in enumerate(hidden[:-1])]
            guesses.append(multiply(error, self.upper.weights[-1]))
        return [
            self.guided_direction(i, guess, front, below, value)
            for i, (guess, below, value) in enumerate(zip(guesses, inputs, hidden, strict=True))
        ]

    def _coefficients(
        self, directions: list[Direction], hidden: list[Array], values: list[Array], error: Array
    ) -> list[Floats]:
        """Give each hidden layer's coefficients."""
        size = self.n_hidden if self.rule.is_joint else self.rule.block_size
        coefficients: list[Floats] = []
        for first, last in blocks_of(self.n_hidden, size):
            tangents = None
            for i in range(first, last + 1):
                tangents = self.push(tangents, i, directions[i], hidden[i])
            assert tangents is not None
            outputs = self.upper.part(last, self.n_hidden - 1).push(tangents, values[last:])
            members = directions[first : last + 1]
            coefficients += [self.coefficients(derivative(error, outputs), members)] * len(members)
        return coefficients


class LocalTarget(ForwardTeacher):
    """Directional derivatives of each block's own loss, block by block."""

    def step(self, front: Front, batch: Rows) -> Iterator[Update]:
        inputs = self.front_values(front, batch)
        from_above = self._from_above(inputs, batch) if self.rule.guess == "global" else []
        for block, (first, last) in enumerate(self.blocks):
            layers = self.layers_of(block)
            flat, values = layers.forward_activated(inputs)
            hidden = [inputs, *values] if first == 0 else values
            head = self.head_pass(block, hidden[-1], batch)
            self.loss = head.loss
            below = [None if first == 0 else inputs, *hidden[:-1]]
            directions = []
            tangents = None
            for i in range(first, last + 1):
                value = hidden[i - first]
                if self.rule.is_random:
                    direction = self.random_direction(i, front, below[i - first], value)
                else:
                    guess = from_above[i] if from_above else self._guess_beside(block, i, head, batch)
                    direction = self.guided_direction(i, guess, front, below[i - first], value)
                tangents = self.push(tangents, i, direction, value)
                directions.append(direction)
            assert tangents is not None
            c = self.coefficients(self._derivative(head, tangents), directions)
            self._fill(block, front, layers, inputs, flat, hidden, directions, c)
            head.fill_gradient()
            yield self.update(block, front)
            inputs = hidden[-1]

    def _fill(
        self, block: int, front: Front, layers: Any, inputs: Array, flat: Array, hidden: list[Array],
        directions: list[Direction], c: Floats,
    ) -> None:  # fmt: skip
        """Fill the gradients of a block's hidden layers."""
        first = self.blocks[block][0]
        deltas, blocks = packed(layers.widths[1:], len(inputs), inputs.dtype)
        D = [np.empty_like(inputs)] if first == 0 else []
        for direction, delta in zip(directions, [*D, *blocks], strict=True):
            direction.apply(c, delta)
        if not isinstance(directions[0], WeightDirection):
            if blocks:
                layers.outer_products(inputs, flat, deltas, self.layer_grads(block)[: len(layers.params)])
            if first == 0:
                self.take_front(front, D[0])
        for i, direction in enumerate(directions, first):
            direction.correct(c, self.weights_above[i] if i else front.layer, self.biases[i])

    def _guess_beside(self, block: int, i: int, head: HeadPass, batch: Rows) -> Array:
        """Give the guess of the head that the target has, too, or of a random one."""
        if self.rule.guess == "local" or i == self.n_hidden - 1:
            return head.input_gradient()
        return self.guess(i, head.top, batch)

    def _from_above(self, A: Array, batch: Rows) -> list[Array]:
        _, values = self.upper.forward(A)
        error = np.empty_like(values[-1])
        self.targets.loss(values[-1], batch, error)
        return self.backpropagated([A, *values[:-1]], error)

    def _derivative(self, head: HeadPass, tangents: Array) -> Floats:
        """Give the directional derivative of each sample and group (M, B, G)."""
        G = self.rule.groups
        if G == 1:
            return derivative(head.error, head.head.push(tangents, head.values))
        M, B, n = tangents.shape
        by_group = tangents.reshape(M * B, G, n // G).transpose(1, 0, 2) @ head.head.weights[0].T.reshape(G, n // G, -1)
        return np.einsum("bc,gmbc->mbg", head.error, by_group.reshape(G, M, B, -1), dtype=np.float64)
