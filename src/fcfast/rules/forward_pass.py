"""The computation of forward gradients: directions for every layer are pushed forward, and their derivatives give updates."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fcfast import backend
from fcfast.front.base import OpenFront
from fcfast.layers import multiply
from fcfast.layers.chain import packed, push, times_derivative
from fcfast.rules.base import blocks_of
from fcfast.rules.directions import (
    ActivityDirection,
    Direction,
    MeanDirection,
    SampleDirection,
    ValueDirection,
    WeightDirection,
)
from fcfast.rules.gradient import GradientRule, Rows, Update
from fcfast.rules.heads import HeadPass

if TYPE_CHECKING:
    from fcfast.rules.forward_gradient import ForwardGradient

Array = NDArray[Any]
Floats = NDArray[np.float64]


class ForwardPass(GradientRule):
    """Base class of forward gradients, with directions for a layer and coefficients from directional derivatives."""

    def __init__(self, rule: "ForwardGradient", *arguments: Any, **options: Any) -> None:
        self.rule = rule
        super().__init__(*arguments, **options)

    def noise(self, *shape: int) -> Array:
        """Draw noise of unit variance."""
        generator, size = self.state.generator, int(np.prod(shape))
        out = np.empty(size, self.upper.params.dtype)
        if self.rule.guess == "gaussian":
            backend.noise.normals(int(generator.integers(2**64, dtype=np.uint64)), out, self.n_threads)
        else:
            bits = np.frombuffer(generator.bytes(-(-size // 8)), np.uint8)
            np.subtract(2 * np.unpackbits(bits, count=size), 1, out=out, dtype=out.dtype)
        return out.reshape(shape)

    def random_direction(self, i: int, front: OpenFront, inputs: Array | None, values: Array) -> Direction:
        """Draw a direction for hidden layer i with these inputs and values."""
        M, n_out = self.rule.n_tangents, values.shape[1]
        if self.rule.space == "activation":
            return ActivityDirection(self.noise(M, *values.shape), self.rule.groups)
        if inputs is None:
            inputs = front.inputs  # type: ignore[attr-defined]  # these rules need form "weights"
        weights = self.noise(M, n_out, inputs.shape[1])
        if (mask := self.upper.masks[i]) is not None:
            weights *= mask
        return WeightDirection(weights, self.noise(M, n_out), inputs, self.rule.groups)

    def guided_direction(self, i: int, guess: Array, front: OpenFront, inputs: Array | None, values: Array) -> Direction:
        """Make a direction from a guess of a layer's gradient with respect to its values; the front layer's inputs are None."""
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
        elif (mask := self.upper.masks[i]) is not None:
            moved = multiply(inputs, (multiply(delta.T, inputs) * mask).T)
        else:
            moved = multiply(multiply(inputs, inputs.T), delta)
        return MeanDirection(delta, moved, apart=not rule.is_joint)

    def push(self, tangents: Array | None, i: int, direction: Direction, values: Array) -> Array:
        """Push tangents into hidden layer i, and add the direction of this layer."""
        if isinstance(direction, ValueDirection):
            if tangents is None:
                return direction.guess[None]
            pushed = push(values, self.activation, self.n_threads, tangents, self.chain.weights[i - 1])
            pushed += direction.guess
            return pushed
        weights = None if tangents is None else self.chain.weights[i - 1]
        return push(values, self.activation, self.n_threads, tangents, weights, **direction.moves)

    def coefficients(self, derivatives: Floats, directions: list[Direction]) -> Floats:
        """Compute coefficients (M, B, G) from directional derivatives of the same shape."""
        if directions[0].is_shared:
            derivatives = derivatives.sum(axis=1, keepdims=True)
        if self.rule.is_normalized:
            norms = np.sum([direction.squared_norm() for direction in directions], axis=0)
            # a guess of 0 has no direction
            derivatives = np.divide(derivatives, norms, out=np.zeros_like(derivatives), where=norms > 0)
        return np.ascontiguousarray(derivatives / self.rule.n_tangents)

    def guess(self, i: int, top: Array, batch: Rows) -> Array:
        """Give an auxiliary head's gradient with respect to the values of hidden layer i, which is not the last layer."""
        if self.rule.guess == "local":
            head, grad = self.state.heads[i], self.head_grads[i]
        else:
            head = self.state.guides[i]
            grad = np.empty_like(head.params)
            if self.rule.guess == "ntk":
                head.randomise(self.state.generator, self.activation)
        dense = head.chain(self.activation, self.n_threads)
        return HeadPass(dense, top, self.targets, batch, grad).input_gradient()

    def backpropagated(self, hidden: list[Array], error: Array) -> list[Array]:
        """Give the gradient of the loss with respect to the values of every hidden layer."""
        gradients = [multiply(error, self.chain.weights[-1])]
        for i in range(self.n_hidden - 1, 0, -1):
            delta = times_derivative(gradients[0], hidden[i], self.activation, self.n_threads)
            gradients.insert(0, multiply(delta, self.chain.weights[i - 1]))
        return gradients


def derivative(error: Array, tangents: Array) -> Floats:
    """Give the directional derivative of each sample's share in the loss (M, B, 1), from tangents (M, B, c) of the outputs."""
    return np.einsum("bc,mbc->mb", error, tangents, dtype=np.float64)[:, :, None]


class GlobalTarget(ForwardPass):
    """Directional derivatives of the loss at the output."""

    def step(self, front: OpenFront, batch: Rows) -> Iterator[Update]:
        A = self.front_values(front, batch)
        flat, values = self.chain.forward(A)
        deltas, delta_blocks = packed(self.chain.widths[1:], len(A), A.dtype)
        error = delta_blocks[-1]
        self.loss = self.targets.mean_loss(values[-1], batch, error)
        hidden = [A, *values[:-1]]
        directions = self._directions(front, batch, hidden, error)
        coefficients = self._coefficients(directions, hidden, values, error)
        D = np.empty_like(A)
        for direction, c, delta in zip(directions, coefficients, [D, *delta_blocks[:-1]], strict=True):
            direction.apply(c, delta)
        if isinstance(directions[0], WeightDirection):
            self.fill_output_gradient(hidden[-1], error)
        else:
            self.chain.outer_products(A, flat, deltas, self.grads[0][len(A.T) :])
            self.take_front(front, D)
        for i, (direction, c) in enumerate(zip(directions, coefficients, strict=True)):
            direction.correct(c, self.weights_above[i] if i else front.layer, self.biases[i])
        yield self.update(0, front)

    def _directions(self, front: OpenFront, batch: Rows, hidden: list[Array], error: Array) -> list[Direction]:
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
            guesses.append(multiply(error, self.chain.weights[-1]))
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
            outputs = self.chain.part(last, self.n_hidden - 1).push(tangents, values[last:])
            members = directions[first : last + 1]
            coefficients += [self.coefficients(derivative(error, outputs), members)] * len(members)
        return coefficients


class LocalTarget(ForwardPass):
    """Directional derivatives of each block's own loss, block by block."""

    def step(self, front: OpenFront, batch: Rows) -> Iterator[Update]:
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
        self, block: int, front: OpenFront, layers: Any, inputs: Array, flat: Array, hidden: list[Array],
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
        """Give the guess of the head that also has the target, or of a random head."""
        if self.rule.guess == "local" or i == self.n_hidden - 1:
            return head.input_gradient()
        return self.guess(i, head.top, batch)

    def _from_above(self, A: Array, batch: Rows) -> list[Array]:
        _, values = self.chain.forward(A)
        error = np.empty_like(values[-1])
        self.targets.mean_loss(values[-1], batch, error)
        return self.backpropagated([A, *values[:-1]], error)

    def _derivative(self, head: HeadPass, tangents: Array) -> Floats:
        """Give the directional derivative of each sample and group (M, B, G)."""
        G = self.rule.groups
        if G == 1:
            return derivative(head.error, head.head.push(tangents, head.values))
        M, B, n = tangents.shape
        by_group = tangents.reshape(M * B, G, n // G).transpose(1, 0, 2) @ head.head.weights[0].T.reshape(G, n // G, -1)
        return np.einsum("bc,gmbc->mbg", head.error, by_group.reshape(G, M, B, -1), dtype=np.float64)
