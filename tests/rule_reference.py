"""The reference of the tests of learning rules: small networks, and every rule written with PyTorch's gradients.

`Peer` never pushes a tangent: a directional derivative is there the inner product of the gradient with the guess, with
everything that moves written out (the weights of every sample, where those move).
"""

import copy
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pytest

from fcfast import backend
from fcfast.activations import ACTIVATIONS
from fcfast.front.contributions import ContributionsForm
from fcfast.front.weights import WeightsForm
from fcfast.gram.start import GivenWeights
from fcfast.losses import Targets, make_loss
from fcfast.optimizers import SGD, Adam
from fcfast.rules import (
    RULES,
    DirectFeedbackAlignment,
    FeedbackAlignment,
    ForwardGradient,
    FrozenHidden,
    LocalLoss,
    make_rule,
)  # fmt: skip
from fcfast.training.network import FrontNetwork
from fcfast.training.upper import block_diagonal

COMPILED = backend.NAME == "compiled"
FORMS = "weights", "windowed", "contributions"
N_FEATURES, N_OUTPUTS, BATCH = 9, 3, 4
TARGETS, SPACES = ("global", "local"), ("activation", "weight", "avg-weight")
NOISE, GUIDED = ("gaussian", "rademacher"), ("local", "ntk", "ntk-fixed", "global")
STAYS = [name for name, rule in RULES.items() if rule.stays_in_span]
DETERMINED = {"shuffle": False, "tol": 0, "n_iter_no_change": 10**6, "dtype": "float64", "random_state": 0}


# ----------------------------------------------------------------------------------------------------------------------
# networks, and how far they move


class Problem(NamedTuple):
    """A network, and what it is taught."""

    network: FrontNetwork
    X: np.ndarray
    answers: np.ndarray
    sample_weight: np.ndarray | None

    def train(self, n_epochs=1, rate=0.3, factors=None):
        """Train on the samples in order; give the losses of all steps."""
        rows, n_steps = np.arange(len(self.X)), -(-len(self.X) // self.network.batch_size)
        rates = rate * np.ones(n_epochs * n_steps) if factors is None else rate * factors
        weights = self.sample_weight
        return np.concatenate(
            [self.network.train_epoch(rows, rates_of, self.answers, weights) for rates_of in np.split(rates, n_epochs)]
        )

    def trained(self, *arguments, **options):
        """Train a copy; give its parameters."""
        problem = self._replace(network=copy.deepcopy(self.network))
        problem.train(*arguments, **options)
        return parameters(problem.network)


def problem(
    rule, form="weights", hidden=(6, 5, 4), activation="tanh", loss="cross_entropy", optimizer=None, groups=None, seed=0,
    n_samples=11, batch_size=BATCH, sample_weight=None, n_threads=1, dtype=float, n_features=N_FEATURES,
):  # fmt: skip
    """A random network of that rule; the last batch of an epoch is shorter unless the batch size divides the samples."""
    rng = np.random.default_rng(seed)
    optimizer = optimizer or SGD()
    pairs = list(pairwise((n_features, *hidden, N_OUTPUTS)))
    weights = [rng.normal(size=(n_out, n_in)) / n_in**0.5 for n_in, n_out in pairs]
    for i, count in enumerate(groups or ()):
        weights[i] *= block_diagonal(*pairs[i], count)
    biases = [rng.uniform(-0.5, 0.5, n_out) for _, n_out in pairs]
    X = rng.normal(size=(n_samples, n_features))
    classes = rng.integers(0, N_OUTPUTS, n_samples)
    answers = classes if make_loss(loss).has_classes else rng.normal(size=(n_samples, N_OUTPUTS)).astype(dtype)
    front = ContributionsForm if form == "contributions" else WeightsForm
    network = FrontNetwork(
        front(X, GivenWeights(weights[0]), np.dtype(dtype), optimizer.has_velocity), biases, weights[1:], activation, loss,
        optimizer, batch_size, 2 * batch_size if form == "windowed" else batch_size, n_threads, make_rule(rule), groups, seed,
    )  # fmt: skip
    return Problem(network, X, answers, sample_weight)


def parameters(network):
    """All parameters: weights (n_out, n_in) and biases of all layers, then each head's, as they are packed."""
    return [network.front.expand(), *network.weights, *network.biases, *(head.params for head in network.rule_state.heads)]


def moves(before, after):
    return [new - old for old, new in zip(before, after, strict=True)]


def assert_same_moves(start, actual, expected, tolerance, message=""):
    """Two trainings from the same start have moved each array alike, relative to how far the second one has."""
    for index, (got, wanted) in enumerate(zip(moves(start, actual), moves(start, expected), strict=True)):
        limit = tolerance * np.abs(wanted).max(initial=0) + 2e-15
        assert np.abs(got - wanted).max(initial=0) <= limit, f"array {index}: {message}"


def gradients_of(case, rows=None):
    """What a step descends along, and its loss, without taking it: by arrays of `parameters` of the network, not of heads."""
    network = copy.deepcopy(case.network)
    rows = np.arange(case.network.batch_size) if rows is None else rows
    before = [array.copy() for array in parameters(network)]
    network.batch_size = network.window = len(rows)
    network.train_epoch(rows, np.ones(1), case.answers, case.sample_weight)
    return [-move for move in moves(before, parameters(network))]


def hidden_part(gradients, n_hidden):
    """Of weights, then biases, those of the hidden layers: all that a rule estimates."""
    return gradients[:n_hidden] + gradients[n_hidden + 1 : 2 * n_hidden + 1]


def flat(arrays):
    return np.concatenate([np.ravel(array) for array in arrays])


# ----------------------------------------------------------------------------------------------------------------------
# the reference


class Part(NamedTuple):
    """Something that moves: its gradient, its guess, how many leading axes have a coefficient each, what takes the update."""

    gradient: object
    guess: object
    axes: int
    take: object


class Peer:
    """The same network in PyTorch, taught by the definition of its rule."""

    def __init__(self, case):
        self.torch = pytest.importorskip("torch", reason="the reference is PyTorch")
        self.torch.set_num_threads(1)  # tiny products; more threads only wait for one another
        own = copy.deepcopy(case.network)
        self.rule, self.state, self.loss_name, self.activation = own.rule, own.rule_state, own.loss.name, own.activation
        self.label_smoothing = own.loss.parameters[0]
        self.batch_size, self.optimizer = own.batch_size, own.optimizer
        self.layers = [
            (self.tensor(W), self.tensor(b)) for W, b in zip([own.front.expand(), *own.weights], own.biases, strict=True)
        ]
        self.heads = [self.unpacked(head) for head in self.state.heads]
        self.masks = [None if mask is None else self.torch.tensor(mask) for mask in own.upper.masks]
        self.X = self.torch.tensor(case.X)
        self.answers = self.torch.tensor(case.answers)
        n = len(case.X)
        weights = np.ones(n) if case.sample_weight is None else case.sample_weight
        self.sample_weight = self.torch.tensor(weights)
        # the noise itself is the library's: the same stream, drawn in the same order
        if isinstance(own.rule, ForwardGradient):
            targets = Targets(own.loss, case.answers, case.sample_weight)
            self.ours = own.rule.gradients(own.upper, targets, own.rule_state, 1)
        self.n_hidden = len(self.layers) - 1

    # pieces

    def tensor(self, array):
        return self.torch.tensor(np.array(array), requires_grad=True)

    def unpacked(self, head):
        dense = head.chain(0, 1)
        return [(self.tensor(W), self.tensor(b)) for W, b in zip(dense.weights, dense.biases, strict=True)]

    def activate(self, z):
        nn = self.torch.nn.functional
        functions = {"relu": nn.relu, "tanh": self.torch.tanh, "logistic": self.torch.sigmoid, "identity": lambda z: z * 1}
        functions["leaky_relu"] = lambda z: nn.leaky_relu(z, 0.01)
        return functions[self.activation](z)

    def derivative(self, z):
        z = z.detach().requires_grad_()
        return self.torch.autograd.grad(self.activate(z).sum(), z)[0]

    def loss(self, outputs, rows):
        weights = self.sample_weight[rows]
        if self.loss_name == "cross_entropy":
            each = self.torch.nn.functional.cross_entropy(
                outputs, self.answers[rows], reduction="none", label_smoothing=self.label_smoothing
            )
        else:
            each = ((outputs - self.answers[rows]) ** 2).sum(1) / 2
        return (each * weights).sum() / (weights.sum() if weights.sum() else 1)

    def head_outputs(self, head, value):
        for W, b in head[:-1]:
            value = self.activate(value @ W.T + b)
        return value @ head[-1][0].T + head[-1][1]

    def blocks(self):
        size = getattr(self.rule, "block_size", 1)
        return [range(i, min(i + size, self.n_hidden)) for i in range(0, self.n_hidden, size)]

    def forward(self, rows, stops=()):
        """Pre-activations, values and inputs of the hidden layers, gradients stopped before those of `stops`."""
        z, values, inputs = [], [], []
        below = self.X[rows]
        for i, (W, b) in enumerate(self.layers[:-1]):
            below = below.detach() if i in stops else below
            inputs.append(below.detach())
            z.append(below @ W.T + b)
            below = self.activate(z[-1])
            z[-1].retain_grad()
            below.retain_grad()
            values.append(below)
        return z, values, inputs

    # rules

    def gradients(self, rows):
        """Fill ``.grad`` of everything that is trained; give the loss."""
        for tensor in self.trained():
            tensor.grad = None
        rule = self.rule
        if isinstance(rule, ForwardGradient):
            loss = self.forward_gradient(rows)
        elif isinstance(rule, LocalLoss):
            loss = self.local_losses(rows, *self.forward(rows, [block[0] for block in self.blocks()]))
        elif isinstance(rule, (FeedbackAlignment, DirectFeedbackAlignment)):
            loss = self.feedback_alignment(rows)
        else:
            loss = self.loss(self.head_outputs(self.layers[-1:], self.forward(rows)[1][-1]), rows)
            loss.backward()
        for (W, _), mask in zip(self.layers, self.masks, strict=True):
            if mask is not None:
                W.grad *= mask
        return loss.item()

    def local_losses(self, rows, z, values, inputs):
        """Every block's own loss, the last one's that of the outputs."""
        tops = [values[block[-1]] for block in self.blocks()]
        for head, top in zip(self.heads, tops[:-1], strict=True):
            self.loss(self.head_outputs(head, top), rows).backward()
        loss = self.loss(self.head_outputs(self.layers[-1:], tops[-1]), rows)
        loss.backward()
        return loss

    def feedback_alignment(self, rows):
        z, values, inputs = self.forward(rows)
        top = values[-1].detach()
        outputs = self.head_outputs(self.layers[-1:], top).detach().requires_grad_()
        loss = self.loss(outputs, rows)
        (error,) = self.torch.autograd.grad(loss, outputs)
        widths = [len(b) for _, b in self.layers]
        deltas = [error]
        if isinstance(self.rule, DirectFeedbackAlignment):
            starts = np.cumsum([0, *widths[:-1]])
            columns = [self.state.feedback[:, start:end] for start, end in pairwise(starts)]
            deltas = [(error @ self.torch.tensor(F)) * self.derivative(s) for F, s in zip(columns, z, strict=True)] + deltas
        else:
            end = len(self.state.feedback)
            for i in range(self.n_hidden - 1, -1, -1):  # packed: each layer's weights, then its biases
                start = end - widths[i + 1] * (widths[i] + 1)
                F = self.state.feedback[start : start + widths[i + 1] * widths[i]].reshape(widths[i + 1], widths[i])
                deltas.insert(0, (deltas[0] @ self.torch.tensor(F)) * self.derivative(z[i]))
                end = start
        for (W, b), delta, below in zip(self.layers, deltas, [*inputs, top], strict=True):
            W.grad, b.grad = delta.T @ below, delta.sum(0)
        return loss

    def forward_gradient(self, rows):
        rule, blocks = self.rule, self.blocks()
        from_loss = self.value_gradients(rows) if rule.guess == "global" else None
        z, values, inputs = self.forward(rows, [block[0] for block in blocks] if rule.target == "local" else ())
        if rule.target == "local":
            loss = self.local_losses(rows, z, values, inputs)
        else:
            loss = self.loss(self.head_outputs(self.layers[-1:], values[-1]), rows)
            loss.backward()
            for head, value in zip(self.heads, values, strict=False):
                self.loss(self.head_outputs(head, value.detach()), rows).backward()
        parts = []
        for i in range(self.n_hidden):
            if rule.guess in ("gaussian", "rademacher"):
                parts.append(self.random_parts(i, z[i], inputs[i]))
            else:
                guess = from_loss[i] if from_loss else self.guess(i, values[i], rows)
                parts.append(self.guided_parts(i, guess, z[i], values[i], inputs[i]))
        if rule.is_joint:
            together = [[part for of_layer in parts for part in of_layer]]
        elif rule.guess in ("gaussian", "rademacher"):
            together = [[part for i in block for part in parts[i]] for block in blocks]
        else:  # every tensor apart
            together = [[part] for of_layer in parts for part in of_layer]
        for moved in together:
            self.project(moved)
        return loss

    def project(self, moved):
        """Replace gradients by their share along the guess, one coefficient for all that moves together."""
        products = sum((part.gradient * part.guess).flatten(part.axes).sum(-1) for part in moved)
        norms = sum((part.guess * part.guess).flatten(part.axes).sum(-1) for part in moved)
        if self.rule.is_normalized:
            products = self.torch.where(norms > 0, products / self.torch.where(norms > 0, norms, 1.0), 0.0)
        for part in moved:
            c = products.reshape(*products.shape, *[1] * (part.guess.ndim - part.axes))
            part.take((c * part.guess).sum(0) / self.rule.n_tangents)

    def value_gradients(self, rows):
        _, values, _ = self.forward(rows)
        return self.torch.autograd.grad(self.loss(self.head_outputs(self.layers[-1:], values[-1]), rows), values)

    def guess(self, i, value, rows):
        """Gradient of a head's loss with respect to a layer's values; in the last hidden layer the output layer is the head."""
        if i == self.n_hidden - 1:
            head = self.layers[-1:]
        elif self.rule.guess == "local":
            head = self.heads[i]
        else:
            if self.rule.guess == "ntk":
                self.state.guides[i].randomise(self.state.generator, ACTIVATIONS[self.activation])
            head = self.unpacked(self.state.guides[i])
        value = value.detach().requires_grad_()
        return self.torch.autograd.grad(self.loss(self.head_outputs(head, value), rows), value)[0]

    def random_parts(self, i, z, below):
        (W, b), M, G = self.layers[i], self.rule.n_tangents, self.rule.groups
        n_out, n_in = W.shape
        if self.rule.space == "activation":
            noise = self.torch.tensor(self.ours.noise(M, *z.shape))
            if self.activation == "relu":
                noise = noise * (z > 0)
            by_group = (-1, len(z), G, n_out // G)
            return [Part(z.grad.reshape(by_group), noise.reshape(by_group), 3, self.taker(i, below, 1))]
        noise = self.torch.tensor(self.ours.noise(M, n_out, n_in))
        if self.masks[i] is not None:
            noise = noise * self.masks[i]
        of_bias = self.torch.tensor(self.ours.noise(M, n_out))

        def take_weights(update):
            W.grad = update.reshape(W.shape)

        def take_bias(update):
            b.grad = update.reshape(b.shape)

        rows, units = (-1, G, n_out // G, n_in), (-1, G, n_out // G)
        return [
            Part(W.grad.reshape(rows), noise.reshape(rows), 2, take_weights),
            Part(b.grad.reshape(units), of_bias.reshape(units), 2, take_bias),
        ]

    def guided_parts(self, i, guess, z, value, below):
        W, b = self.layers[i]
        slope = self.derivative(z)
        if self.rule.space == "activation":
            return [Part(value.grad[None], guess[None], 2, self.taker(i, below, slope))]
        delta = guess * slope

        def take_weights(update):
            W.grad = update.sum(0)

        def take_bias(update):
            b.grad = update.sum(0)

        by_sample = delta[:, :, None] * below[:, None, :]
        if self.masks[i] is not None:
            by_sample = by_sample * self.masks[i]
        if self.rule.space == "weight":
            true = z.grad[:, :, None] * below[:, None, :]
            return [
                Part(true[None], by_sample[None], 2, take_weights),
                Part(z.grad[None], delta[None], 2, take_bias),
            ]
        total, of_bias = by_sample.sum(0), delta.sum(0)
        return [
            Part(W.grad[None, None], total[None, None], 1, take_weights),
            Part(b.grad[None, None], of_bias[None, None], 1, take_bias),
        ]

    def taker(self, i, below, slope):
        def take(update):
            W, b = self.layers[i]
            delta = update.reshape(len(below), -1) * slope
            W.grad, b.grad = delta.T @ below, delta.sum(0)

        return take

    # training

    def trained(self):
        layers = self.layers[-1:] if isinstance(self.rule, FrozenHidden) else self.layers
        return [tensor for group in (layers, *self.heads) for pair in group for tensor in pair]

    def make_optimizer(self):
        ours, optim = self.optimizer, self.torch.optim
        if isinstance(ours, Adam):
            betas = ours.beta1, ours.beta2
            return optim.Adam(self.trained(), lr=1.0, betas=betas, eps=ours.eps, weight_decay=ours.weight_decay)
        settings = {name: getattr(ours, name) for name in ("momentum", "dampening", "nesterov", "weight_decay")}
        return optim.SGD(self.trained(), lr=1.0, **settings)

    def train(self, n_epochs=1, rate=0.3):
        """Train on the samples in order; give the losses of all steps."""
        optimizer = self.make_optimizer()
        optimizer.param_groups[0]["lr"] = rate
        losses = []
        for _ in range(n_epochs):
            for rows in np.split(np.arange(len(self.X)), range(self.batch_size, len(self.X), self.batch_size)):
                losses.append(self.gradients(rows))
                if self.optimizer.max_grad_norm is not None:
                    self.torch.nn.utils.clip_grad_norm_(self.trained(), self.optimizer.max_grad_norm)
                optimizer.step()
        return np.array(losses)

    def parameters(self):
        arrays = [[tensor.detach().numpy() for tensor in tensors] for tensors in zip(*self.layers, strict=True)]
        heads = [flat([tensor.detach().numpy() for pair in head for tensor in pair]) for head in self.heads]
        return [*arrays[0], *arrays[1], *heads]


def assert_equals_peer(case, tolerance=1e-10, message="", **training):
    """A training ends where its definition ends, with the same losses."""
    start, peer = [array.copy() for array in parameters(case.network)], Peer(case)
    expected_losses = peer.train(**training)
    losses = case.train(**training)
    assert_same_moves(start, parameters(case.network), peer.parameters(), tolerance, message)
    np.testing.assert_allclose(losses, expected_losses, rtol=tolerance, err_msg=message)
