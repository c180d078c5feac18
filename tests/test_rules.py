"""Learning rules against their definitions, written with PyTorch's gradients; their laws, forms, costs and errors.

`Peer` is the reference. It never pushes a tangent: a directional derivative is there the inner product of the gradient with the
guess, with everything that moves written out (the weights of every sample, where those move).
"""

import copy
import pickle
import tracemalloc
from contextlib import closing
from itertools import pairwise, product
from typing import NamedTuple

import numpy as np
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV

from fcfast import FrontClassifier, FrontRegressor, backend, plan, rules
from fcfast.front import stepwise
from fcfast.front.forms import ContributionsForm, WeightsForm
from fcfast.front.initial import GivenWeights
from fcfast.front.network import FrontNetwork, block_diagonal
from fcfast.optimizers import SCHEDULES, SGD, Adam, Muon, NeuronAdam
from fcfast.rules import (
    RULES,
    Backprop,
    DirectFeedbackAlignment,
    FeedbackAlignment,
    ForwardGradient,
    FrozenHidden,
    LocalLoss,
    make_rule,
)  # fmt: skip

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")  # few epochs on purpose

COMPILED = backend.NAME == "compiled"
FORMS = "weights", "windowed", "contributions"
N_FEATURES, N_OUTPUTS, BATCH = 9, 3, 4
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
    answers = classes if loss == "cross_entropy" else rng.normal(size=(n_samples, N_OUTPUTS)).astype(dtype)
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
        self.rule, self.state, self.loss_name, self.activation = own.rule, own.rule_state, own.loss, own.activation
        self.batch_size, self.optimizer = own.batch_size, own.optimizer
        self.layers = [
            (self.tensor(W), self.tensor(b)) for W, b in zip([own.front.expand(), *own.weights], own.biases, strict=True)
        ]
        self.heads = [self.unpacked(head) for head in self.state.heads]
        self.masks = [None if mask is None else self.torch.tensor(mask) for mask in own.masks]
        self.X = self.torch.tensor(case.X)
        self.answers = self.torch.tensor(case.answers)
        n = len(case.X)
        weights = np.ones(n) if case.sample_weight is None else case.sample_weight
        self.sample_weight = self.torch.tensor(weights)
        # the noise itself is the library's: the same stream, drawn in the same order
        if isinstance(own.rule, ForwardGradient):
            self.teacher = own.rule.teacher(own, case.answers, case.sample_weight)
        self.n_hidden = len(self.layers) - 1

    # pieces

    def tensor(self, array):
        return self.torch.tensor(np.array(array), requires_grad=True)

    def unpacked(self, head):
        dense = head.dense("identity", 1)
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
            each = self.torch.nn.functional.cross_entropy(outputs, self.answers[rows], reduction="none")
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
                self.state.guides[i].randomise(self.state.generator, self.activation)
            head = self.unpacked(self.state.guides[i])
        value = value.detach().requires_grad_()
        return self.torch.autograd.grad(self.loss(self.head_outputs(head, value), rows), value)[0]

    def random_parts(self, i, z, below):
        (W, b), M, G = self.layers[i], self.rule.n_tangents, self.rule.groups
        n_out, n_in = W.shape
        if self.rule.space == "activation":
            noise = self.torch.tensor(self.teacher.noise(M, *z.shape))
            if self.activation == "relu":
                noise = noise * (z > 0)
            by_group = (-1, len(z), G, n_out // G)
            return [Part(z.grad.reshape(by_group), noise.reshape(by_group), 3, self.taker(i, below, 1))]
        noise = self.torch.tensor(self.teacher.noise(M, n_out, n_in))
        if self.masks[i] is not None:
            noise = noise * self.masks[i]
        of_bias = self.torch.tensor(self.teacher.noise(M, n_out))

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


# ----------------------------------------------------------------------------------------------------------------------
# every rule against its definition


TARGETS, SPACES = ("global", "local"), ("activation", "weight", "avg-weight")
NOISE, GUIDED = ("gaussian", "rademacher"), ("local", "ntk", "ntk-fixed", "global")


def grid():
    """Every target, guess, space, scalar and choice of normalisation that makes sense."""
    sensible = []
    for settings in product(TARGETS, (*NOISE, *GUIDED), SPACES, (True, False), ("block", "joint")):
        try:
            sensible.append(ForwardGradient(*settings))
        except ValueError:
            continue  # test_nonsense has these
    return sensible


def label(rule):
    if not isinstance(rule, ForwardGradient):
        return str(rule)
    return ",".join([f"{rule.target}<-{rule.guess}", rule.space, rule.scalar, "projected" if rule.is_normalized else "plain"])


@pytest.mark.parametrize("rule", grid(), ids=label)
def test_forward_gradients_equal_their_definition(rule):
    """Three steps, the last one of a shorter batch: the updates of all layers and heads, and the losses."""
    for seed, (activation, loss) in enumerate((("relu", "cross_entropy"), ("tanh", "half_squared_error"))):
        assert_equals_peer(problem(rule, activation=activation, loss=loss, seed=seed), message=activation)


FURTHER = [
    ForwardGradient("global", "gaussian", "activation", n_tangents=3),
    ForwardGradient("global", "gaussian", "weight", n_tangents=3),
    ForwardGradient("global", "rademacher", "activation", normalize=True, scalar="block", block_size=2, n_tangents=2),
    ForwardGradient("global", "gaussian", "weight", normalize=True, scalar="block", block_size=2),
    ForwardGradient("local", "gaussian", "activation", n_tangents=3, block_size=2),
    ForwardGradient("local", "rademacher", "weight", n_tangents=2, block_size=2, normalize=True),
    ForwardGradient("local", "gaussian", "activation", head_layer_sizes=(5, 4)),
    ForwardGradient("local", "gaussian", "activation", block_size=2, groups=2, n_tangents=2),
    ForwardGradient("local", "gaussian", "activation", block_size=3, groups=2, normalize=True),
    ForwardGradient("local", "gaussian", "weight", block_size=2, groups=2, n_tangents=2),
    ForwardGradient("local", "rademacher", "weight", groups=2, normalize=True),
    ForwardGradient("local", "local", "activation", head_layer_sizes=(5,)),
    ForwardGradient("local", "ntk", "activation", head_layer_sizes=(5,)),
    ForwardGradient("global", "local", "activation", head_layer_sizes=(5, 4)),
    ForwardGradient("global", "ntk", "avg-weight", head_layer_sizes=(3,)),
    LocalLoss(),
    LocalLoss(block_size=2, head_layer_sizes=(5,)),
    LocalLoss(block_size=7),
    *RULES.values(),
]


@pytest.mark.parametrize("activation", ["identity", "relu", "leaky_relu", "tanh", "logistic"])
@pytest.mark.parametrize("rule", FURTHER, ids=str)
def test_rules_equal_their_definition(rule, activation):
    """Several draws, blocks, groups, heads of several layers, all presets; samples have weights, those of a batch are all 0."""
    weights = np.random.default_rng(5).uniform(0, 2, 11)
    weights[[1, 4, 5, 6, 7]] = 0  # a whole batch without weight
    case = problem(rule, hidden=(6, 4, 8), activation=activation, sample_weight=weights, groups=(1, 2, 2), optimizer=SGD())
    assert_equals_peer(case)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", STAYS)
def test_every_form_equals_the_definition(name, form):
    """Weights, windows and contributions, over epochs with momentum and weight decay."""
    optimizer = SGD(momentum=0.8, weight_decay=0.05)
    assert_equals_peer(problem(name, form, activation="relu", optimizer=optimizer), n_epochs=3, rate=0.1, tolerance=1e-9)


@pytest.mark.parametrize(
    "optimizer",
    [SGD(momentum=0.9, weight_decay=0.1), SGD(0.5, 0.3, max_grad_norm=0.2), Adam(weight_decay=0.1, eps=1e-3)],
    ids=str,
)
@pytest.mark.parametrize(
    "rule", [*RULES.values(), LocalLoss(2, (5,)), ForwardGradient("global", "local", head_layer_sizes=(5,))], ids=str
)
def test_heads_are_trained_by_the_optimiser(rule, optimizer):
    """Heads have momentum, decay, moments and a share in the gradient's norm as all other layers have: PyTorch over 9 steps."""
    case = problem(rule, optimizer=optimizer)
    heads = [head.params.copy() for head in case.network.rule_state.heads]
    assert_equals_peer(case, n_epochs=3, rate=0.02, tolerance=1e-9)
    for head, start in zip(case.network.rule_state.heads, heads, strict=True):
        assert (head.params != start).mean() > 0.9


def test_random_heads_stay(global_random_seed):
    """A guide is never trained: "ntk-fixed" keeps its bits, "ntk" draws them anew."""
    for guess in ("ntk-fixed", "ntk"):
        case = problem(ForwardGradient(guess=guess), optimizer=SGD(0.9, weight_decay=0.1), seed=global_random_seed)
        guides = [guide.params.copy() for guide in case.network.rule_state.guides]
        case.train(2)
        same = [np.array_equal(a, b.params) for a, b in zip(guides, case.network.rule_state.guides, strict=True)]
        assert same == [guess == "ntk-fixed"] * 2
        assert case.network.rule_state.heads == []


# ----------------------------------------------------------------------------------------------------------------------
# laws


def autograd(case, rows):
    """PyTorch's gradients of a batch by layer: (weights, biases)."""
    peer = Peer(case)
    peer.gradients(rows)
    return [(W.grad.numpy(), b.grad.numpy()) for W, b in peer.layers]


def estimates(case, rows=None):
    """What the rule makes of a batch, by layer: (weights, biases)."""
    gradients, n = gradients_of(case, rows), len(case.network.widths)
    return list(zip(gradients[:n], gradients[n : 2 * n], strict=True))


@pytest.mark.parametrize("activation", ["relu", "tanh"])
@pytest.mark.parametrize("guess", NOISE)
@pytest.mark.parametrize("space", ["activation", "weight"])
def test_derivative_is_the_product_with_the_gradient(space, guess, activation, global_random_seed):
    """What multiplies the noise is its inner product with the gradient: of the output's loss, or of each layer's own."""
    one = np.arange(1)  # of one sample, the gradients of the biases are those of the pre-activations
    for target, exact in (("global", Backprop()), ("local", LocalLoss())):  # of the same seed: the same heads
        case, true = (
            problem(rule, activation=activation, seed=global_random_seed)
            for rule in (ForwardGradient(target, guess, space), exact)
        )
        estimated, gradients, draw = estimates(case, one)[:-1], autograd(true, one)[:-1], Peer(case).teacher.noise
        noise, products = [], []
        for G, g in gradients:
            U = draw(1, *G.shape)[0] if space == "weight" else np.zeros_like(G)
            u = draw(1, len(g))[0] if space == "weight" else draw(1, 1, len(g))[0, 0] * ((activation != "relu") | (g != 0))
            noise.append((U, u))
            products.append(np.sum(G * U) + g @ u)
        if target == "global":
            products = [sum(products)] * len(products)
        for (W, b), (U, u), derivative in zip(estimated, noise, products, strict=True):
            np.testing.assert_allclose(b, derivative * u, rtol=1e-12, atol=1e-14)
            if space == "weight":
                np.testing.assert_allclose(W, derivative * U, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("name", ["fg-w", "fg-a", "lg-fg-w", "lg-fg-a"])
def test_noise_is_unbiased(name, scaled, global_random_seed):
    """The mean over many draws is the gradient of the rule's loss: no number is further off than its standard error allows."""
    preset, n_means = RULES[name], scaled(150, 60)
    for guess in NOISE:
        rule = ForwardGradient(preset.target, guess, preset.space, n_tangents=100)
        case = problem(rule, hidden=(8, 6), activation="relu", n_features=3, seed=global_random_seed)
        exact = Backprop() if rule.target == "global" else LocalLoss()
        true = problem(exact, hidden=(8, 6), activation="relu", n_features=3, seed=global_random_seed)
        gradient = flat(hidden_part(gradients_of(true), 2))
        means = np.array([flat(hidden_part(gradients, 2)) for gradients in repeated(case, n_means)])
        errors = (means.mean(axis=0) - gradient) / (means.std(axis=0, ddof=1) / n_means**0.5 + 1e-13)
        assert np.abs(errors).max() < 5
        # and the standard error is small enough to tell
        assert np.linalg.norm(means.std(axis=0)) / n_means**0.5 < 0.15 * np.linalg.norm(gradient)


def repeated(case, n_times):
    """Estimates of the same batch's gradient, again and again from the same weights, with new noise."""
    network = copy.deepcopy(case.network)
    start = network.snapshot()
    before = [array.copy() for array in parameters(network)]
    for _ in range(n_times):
        network.train_epoch(np.arange(network.batch_size), np.ones(1), case.answers, None)
        yield [-move for move in moves(before, parameters(network))]
        network.restore(start)


@pytest.mark.parametrize("hidden", [(5,), (5, 4)])
@pytest.mark.parametrize("guess", NOISE)
def test_variance(guess, hidden, scaled, global_random_seed):
    """Noise of D numbers has D + 1 times the squared gradient as variance (D - 1 for signs), summed over all that moves.

    For one layer: (q + 1) S / N by sample with activations, (p q + 1) S with weights (and biases), as the literature has it;
    where all layers move, D counts them all.
    """
    n_draws, N = scaled(1500, 1000), BATCH
    for space in ("activation", "weight"):
        settings = {"hidden": hidden, "activation": "identity", "n_features": 6, "seed": global_random_seed}
        case = problem(ForwardGradient("global", guess, space), **settings)
        by_layer = np.array([flat(hidden_part(g, len(hidden))) for g in repeated(case, n_draws)])
        true = problem("backprop", **settings)
        gradient = flat(hidden_part(gradients_of(true), len(hidden)))
        sign = 1 if guess == "gaussian" else -1
        if space == "weight":
            expected = (len(gradient) + sign) * np.sum(gradient**2)
        else:
            # of sample n: |d_n|^2 + d_ni^2 of each unit i, times the squared norm of what the unit is fed, a bias too
            expected, fed, deltas = 0.0, *fed_and_deltas(true)
            total = sum(np.sum(delta**2, axis=1) for delta in deltas)
            for below, delta in zip(fed, deltas, strict=True):
                by_sample = delta.shape[1] * total + sign * np.sum(delta**2, axis=1)
                expected += np.sum((1 + np.sum(below**2, axis=1)) * by_sample)
            if hidden == (5,):
                S = np.mean([np.sum((1 + np.sum(x**2)) * (N * d) ** 2) for x, d in zip(fed[0], deltas[0], strict=True)])
                np.testing.assert_allclose(expected, (hidden[0] + sign) * S / N, rtol=1e-12)
        squares = np.sum((by_layer - gradient) ** 2, axis=1)
        assert abs(squares.mean() - expected) < 4 * squares.std() / n_draws**0.5
        assert squares.std() / n_draws**0.5 < 0.08 * expected


def fed_and_deltas(case):
    """Inputs of each hidden layer, and PyTorch's gradients with respect to its pre-activations, for the first batch."""
    peer, rows = Peer(case), np.arange(case.network.batch_size)
    z, values, inputs = peer.forward(rows)
    peer.loss(peer.head_outputs(peer.layers[-1:], values[-1]), rows).backward()
    return [below.numpy() for below in inputs], [s.grad.numpy() for s in z]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("scalar", ["block", "joint"])
def test_guess_of_the_gradient_itself_is_backpropagation(scalar, space, form):
    """A projection of the gradient onto itself: exact, over epochs with momentum, in every form, groups or not."""
    rule = ForwardGradient("global", "global", space, scalar=scalar)
    for groups in (None, (1, 2, 2)):
        settings = {"hidden": (6, 4, 8), "activation": "relu", "optimizer": SGD(momentum=0.9), "groups": groups}
        start = parameters(problem("backprop", form, **settings).network)
        ours, theirs = problem(rule, form, **settings).trained(2), problem("backprop", form, **settings).trained(2)
        assert_same_moves(start, ours, theirs, 1e-11)


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("head_layer_sizes", [(), (5,)])
def test_local_guess_of_a_local_target_is_the_local_gradient(head_layer_sizes, space):
    """Target and guess are the same head's: exact local learning, heads included (PyTorch's: FURTHER)."""
    rule = ForwardGradient("local", "local", space, head_layer_sizes=head_layer_sizes)
    exact = LocalLoss(head_layer_sizes=head_layer_sizes)
    settings = {"activation": "relu", "optimizer": SGD(momentum=0.9)}
    start = parameters(problem(exact, **settings).network)
    assert_same_moves(start, problem(rule, **settings).trained(2), problem(exact, **settings).trained(2), 1e-11)


@pytest.mark.parametrize("guess", ["local", "ntk-fixed"])
def test_weights_of_a_sample_project_as_its_pre_activations(guess, global_random_seed):
    """In space "weight", written out for the weights of each sample; without an activation it is space "activation"."""
    settings = {"activation": "identity", "seed": global_random_seed}
    by_weights, by_values = (
        estimates(problem(ForwardGradient("global", guess, s), **settings)) for s in ("weight", "activation")
    )
    for (W, b), (V, v) in zip(by_weights, by_values, strict=True):
        np.testing.assert_allclose(W, V, rtol=1e-12, atol=1e-14)
        np.testing.assert_allclose(b, v, rtol=1e-12, atol=1e-14)
    case = problem(ForwardGradient("global", guess, "weight"), activation="relu", seed=global_random_seed)
    peer = Peer(case)
    for sample in range(BATCH):
        rows = np.array([sample])
        fed, deltas = fed_and_deltas(case._replace(X=case.X[rows], answers=case.answers[rows], network=one_row(case.network)))
        _, values, _ = peer.forward(rows)
        for i, (W, b) in enumerate(estimates(case, rows)[:-1]):
            dh = peer.guess(i, values[i], rows).numpy()[0] * (values[i].detach().numpy()[0] > 0)
            G, V = np.outer(deltas[i][0], fed[i][0]), np.outer(dh, fed[i][0])
            if np.sum(V * V):
                np.testing.assert_allclose(W, np.sum(G * V) / np.sum(V * V) * V, rtol=1e-11, atol=1e-14)
                np.testing.assert_allclose(b, deltas[i][0] @ dh / (dh @ dh) * dh, rtol=1e-11, atol=1e-14)


def one_row(network):
    network = copy.deepcopy(network)
    network.batch_size = 1
    return network


@pytest.mark.parametrize("guess", ["gaussian", "rademacher", "local", "ntk", "ntk-fixed"])
@pytest.mark.parametrize("target", TARGETS)
def test_projections_are_short_and_downhill(target, guess):
    """A projection of the gradient is no longer than it, and never points against it, whatever the guess."""
    exact = Backprop() if target == "global" else LocalLoss()
    for seed in range(20):
        for space, rows in (("weight", [0]), ("activation", [0]), ("avg-weight", range(BATCH))):
            if guess in NOISE and space == "avg-weight":
                continue
            rule = ForwardGradient(target, guess, space, normalize=True, scalar="block")
            # without an activation, values and pre-activations are the same
            settings = {"activation": "identity" if space == "activation" else "relu", "seed": seed}
            ours = estimates(problem(rule, **settings), np.array(rows))
            true = estimates(problem(exact, **settings), np.array(rows))
            for (W, b), (G, g) in zip(ours[:-1], true[:-1], strict=True):
                mine, other = np.r_[W.ravel(), b], np.r_[G.ravel(), g]
                assert np.linalg.norm(mine) <= np.linalg.norm(other) * (1 + 1e-12) + 1e-15
                assert mine @ other >= -1e-15
                assert np.any(mine) or not np.any(other)


# ----------------------------------------------------------------------------------------------------------------------
# forms, optimisers, groups


OPTIMIZERS = [
    SGD(),
    SGD(0.9, weight_decay=0.1),
    SGD(0.9, nesterov=True, weight_decay=0.1, max_grad_norm=0.2),
    SGD(0.5, 0.3, weight_decay=0.1),
    NeuronAdam(eps=1e-3, weight_decay=0.1),
    NeuronAdam(eps=1e-3, max_grad_norm=0.2),
    Muon(weight_decay=0.1),
]


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=str)
@pytest.mark.parametrize("rule", [*STAYS, ForwardGradient(space="avg-weight"), ForwardGradient(space="weight")], ids=str)
def test_every_form_trains_the_same_network(rule, optimizer):
    """Weights, windows and contributions, whatever applies the updates."""
    settings = {"optimizer": optimizer, "activation": "leaky_relu"}
    start = parameters(problem(rule, **settings).network)
    expected = problem(rule, **settings).trained(3, rate=0.05)
    for form in ("windowed", "contributions"):
        assert_same_moves(start, problem(rule, form, **settings).trained(3, rate=0.05), expected, 1e-9, form)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("optimizer", [each for each in OPTIMIZERS if isinstance(each, SGD)], ids=str)
@pytest.mark.parametrize("schedule", ["constant", "cosine"])
def test_batch_by_batch_is_the_compiled_epoch(schedule, optimizer, form):
    """SGD as one kernel, and step by step by rules that amount to backpropagation: guess the gradient, align the feedback."""
    n_epochs, settings = 4, {"optimizer": optimizer, "activation": "relu"}
    factors = SCHEDULES[schedule].factors(np.arange(3 * n_epochs), 3 * n_epochs)
    case = problem("backprop", form, **settings)
    start = parameters(case.network)
    losses = case.train(n_epochs, factors=factors)
    aligned, guessed = problem("fa", form, **settings), problem(ForwardGradient("global", "global"), form, **settings)
    aligned.network.rule_state.feedback = aligned.network.params[aligned.network.widths[0] :]  # a view: it follows the weights
    for other in (aligned, guessed):
        np.testing.assert_allclose(other.train(n_epochs, factors=factors), losses, rtol=1e-9)
        assert_same_moves(start, parameters(other.network), parameters(case.network), 1e-9)


def test_memory_limit_counts_noise_on_weights():
    """As many numbers as there are weights for each tangent; what a plan states is refused where it is too much."""
    few, many = (plan(100, 50_000, 16, 100, rule=ForwardGradient("global", "gaussian", "weight", n_tangents=n)) for n in (1, 9))
    assert few.form == many.form == "weights"
    extra = many.costs["weights"].n_bytes - few.costs["weights"].n_bytes
    assert extra == pytest.approx(8 * 50_000 * 16 * 4, rel=0.01)
    X, y = np.random.default_rng(0).normal(size=(20, 50_000)).astype(np.float32), np.arange(20) % 2
    rule = ForwardGradient("global", "gaussian", "weight", n_tangents=9)
    with pytest.raises(MemoryError, match=r"'contributions' does not hold the weights, which the rule.*Raise memory_limit"):
        FrontClassifier((16,), rule=rule, memory_limit=2**25).fit(X, y)


def test_warm_start_in_another_precision():
    """Feedback is taken over as numbers of the new precision."""
    X, y = np.random.default_rng(0).normal(size=(20, 6)), np.arange(20) % 2
    for name in ("fa", "dfa", "local-loss"):
        model = FrontClassifier((4, 4), rule=name, warm_start=True, max_epochs=2).fit(X, y)
        feedback = model.network_.rule_state.feedback
        model.set_params(dtype="float64").fit(X, y)
        assert model.network_.rule_state.feedback.dtype == np.float64
        np.testing.assert_array_equal(model.network_.rule_state.feedback, feedback)


@pytest.mark.parametrize("form", ["contributions", "windowed"])
@pytest.mark.parametrize("name", [name for name in RULES if name not in STAYS])
def test_rules_that_leave_the_span_need_weights(name, form):
    """The error says why, and what to do; "auto" takes form "weights" by itself, for streams too."""
    X, y = np.random.default_rng(0).normal(size=(10, 50)), np.arange(10) % 2
    for train in (FrontRegressor.fit, FrontRegressor.partial_fit):
        with pytest.raises(ValueError, match=rf"the rule.*random directions.*span.*form='{form}'.*form='weights'"):
            train(FrontRegressor(rule=name, form=form), X, y)
    with pytest.raises(ValueError, match=r"random directions.*dense X.*toarray"):
        FrontClassifier(rule=name).fit(sparse.csr_array(X), y)
    assert FrontClassifier(rule=name, max_epochs=1).fit(X, y).form_ == "weights"
    assert FrontClassifier(rule=name).partial_fit(X, y, classes=[0, 1]).form_ == "weights"


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("optimizer", [SGD(0.9, weight_decay=0.1), NeuronAdam(eps=1e-3, weight_decay=0.1)], ids=str)
def test_frozen_layers_keep_their_bits(optimizer, form):
    """No momentum and no weight decay moves hidden layers; the output layer learns."""
    case = problem(FrozenHidden(), form, optimizer=optimizer)
    before = [array.copy() for array in parameters(case.network)]
    losses = case.train(20, rate=0.05)
    same = [np.array_equal(a, b) for a, b in zip(before, parameters(case.network), strict=True)]
    assert same == [True, True, True, False] * 2
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", ["backprop", "local-fg-w", "lg-fg-a", "local-loss", "dfa"])
def test_groups_stay_apart(name, form):
    """Units are connected within groups, as in PyTorch's network with masked weights, and stay so, weight decay or not."""
    groups, optimizer = (1, 2, 4), SGD(0.9, weight_decay=0.1, max_grad_norm=1.0)
    case = problem(name, form, hidden=(6, 4, 8), groups=groups, optimizer=optimizer)
    assert_equals_peer(case, n_epochs=3, rate=0.1, tolerance=1e-9)
    for W, count in zip(case.network.weights, groups[1:], strict=False):
        np.testing.assert_array_equal(W != 0, block_diagonal(*W.T.shape, count))


@pytest.mark.parametrize("name", ["fg-w", "lg-fg-w"])
def test_noise_on_weights_stays_in_groups(name):
    """No noise between groups, in the weights as in the estimate."""
    case = problem(name, hidden=(6, 4, 8), groups=(1, 2, 4), optimizer=NeuronAdam(eps=1e-3))
    case.train(3)
    for W, count in zip(case.network.weights, (2, 4), strict=False):
        np.testing.assert_array_equal(W != 0, block_diagonal(*W.T.shape, count))


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"groups": 3, "hidden_layer_sizes": (6, 4)}, r"3 does not divide hidden layers of 6 and 4 units"),
        ({"groups": (1, 2, 2), "hidden_layer_sizes": (4, 4)}, r"one number per hidden layer, 2, the first one 1"),
        ({"groups": (2, 2), "hidden_layer_sizes": (4, 4)}, r"the first one 1"),
        ({"groups": 0, "hidden_layer_sizes": (4, 4)}, "groups"),
        ({"groups": 2, "hidden_layer_sizes": (4, 4), "optimizer": "muon"}, "mix all units"),
        (
            {"rule": ForwardGradient("local", "gaussian", groups=4), "hidden_layer_sizes": (4, 6)},
            "4 does not divide the 6 units",
        ),
        (
            {"rule": ForwardGradient("local", "gaussian", groups=2, block_size=2), "hidden_layer_sizes": (4, 4)},
            r"hidden layer 2 inside a block.*reach the others.*groups=2, or block_size=1",
        ),
    ],
)
def test_wrong_groups(parameters, message):
    """Groups that do not divide the units, or that a rule's noise would leave."""
    with pytest.raises(ValueError, match=message):
        FrontClassifier(**parameters).fit(np.eye(8), np.arange(8) % 2)


def test_given_weights_must_respect_groups():
    """Initial weights between groups are refused, not dropped."""
    coefs = [np.ones((8, 4)), np.ones((4, 4)), np.ones((4, 2))]
    with pytest.raises(ValueError, match=r"coefs_init\[1\] connects units of different groups"):
        FrontClassifier((4, 4), groups=2).fit(np.eye(8), np.arange(8) % 2, coefs_init=coefs)


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"target": "above"}, ValueError, "target"),
        ({"guess": "sign"}, ValueError, "guess"),
        ({"space": "span"}, ValueError, "space"),
        ({"scalar": "layer"}, ValueError, "scalar"),
        ({"normalize": "yes"}, ValueError, "normalize must be True, False or 'auto', got 'yes'"),
        ({"normalize": 1}, ValueError, "normalize"),
        ({"n_tangents": 0}, ValueError, "n_tangents"),
        ({"groups": 1.5}, TypeError, "groups"),
        ({"head_layer_sizes": 5}, TypeError, "head_layer_sizes"),
        ({"head_layer_sizes": (0,)}, ValueError, "head_layer_sizes"),
        ({"guess": "gaussian", "space": "avg-weight"}, ValueError, r"once for a batch.*space='weight'"),
        ({"guess": "rademacher", "space": "avg-weight"}, ValueError, r"nothing to average"),
        ({"target": "local", "scalar": "joint"}, ValueError, r"a loss of its own"),
        ({"n_tangents": 2}, ValueError, r"guess='local'.*only noise is averaged"),
        ({"guess": "ntk", "block_size": 2}, ValueError, r"a backward pass; use block_size=1"),
        ({"guess": "gaussian", "groups": 2}, ValueError, r"copies of a local loss; use target='local'"),
        ({"target": "local", "groups": 2}, ValueError, r"a noise guess"),
        ({"target": "local", "guess": "gaussian", "groups": 2, "head_layer_sizes": (3,)}, ValueError, r"linear heads"),
        ({"guess": "gaussian", "head_layer_sizes": (3,)}, ValueError, r"has no heads"),
        ({"guess": "global", "head_layer_sizes": (3,)}, ValueError, r"has no heads"),
    ],
)
def test_nonsense(settings, error, message):
    """Combinations without a meaning are refused when the rule is made, and say why."""
    with pytest.raises(error, match=message):
        ForwardGradient(**settings)


def test_wrong_rules():
    """Unknown names list the known ones; classes and other objects are no rules."""
    with pytest.raises(ValueError, match=r"rule='fg'.*fg-w"):
        FrontClassifier(rule="fg").fit(np.eye(4), [0, 1, 0, 1])
    for rule in (ForwardGradient, 3, None):
        with pytest.raises(TypeError, match="rule must be one of"):
            FrontClassifier(rule=rule).fit(np.eye(4), [0, 1, 0, 1])
    with pytest.raises(ValueError, match="block_size"):
        LocalLoss(block_size=0)
    with pytest.raises(TypeError, match="head_layer_sizes"):
        LocalLoss(head_layer_sizes=("a",))


# ----------------------------------------------------------------------------------------------------------------------
# training by the estimators


def samples(n=30, d=12):
    rng = np.random.default_rng(3)
    X = rng.normal(size=(n, d))
    return X, (X[:, 0] > 0).astype(int) + (X[:, 1] > 0.5)


def fitted(rule, X, y, **options):
    settings = DETERMINED | {"hidden_layer_sizes": (6, 4), "batch_size": 8, "max_epochs": 3, "learning_rate": 0.05} | options
    return FrontClassifier(rule=rule, **settings).fit(X, y)


@pytest.mark.parametrize("name", list(RULES))
def test_same_seed_same_bits(name):
    """Another seed draws other noise; a rule by its name is the rule as an object."""
    X, y = samples()
    first, second, other = (fitted(name, X, y, random_state=seed) for seed in (1, 1, 2))
    by_object = fitted(RULES[name], X, y, random_state=1)
    for a, b, c, d in zip(first.coefs_, second.coefs_, other.coefs_, by_object.coefs_, strict=True):
        assert a.tobytes() == b.tobytes() == d.tobytes()
        assert a.tobytes() != c.tobytes()


@pytest.mark.parametrize("rule", [*RULES.values(), ForwardGradient("local", "rademacher", block_size=2)], ids=str)
def test_bits_do_not_depend_on_threads(rule, dtype):
    """A batch large enough for the kernels to share out."""
    size = {"hidden": (160, 130), "batch_size": 260, "n_samples": 520, "activation": "tanh", "dtype": dtype}
    one, two = (problem(rule, n_threads=n, **size) for n in (1, 2))
    assert two.network.kernel_threads == 2
    for a, b in zip(one.trained(rate=0.01), two.trained(rate=0.01), strict=True):
        assert a.tobytes() == b.tobytes()


KEPT = [*RULES.values(), ForwardGradient(guess="ntk"), LocalLoss(2, (3,))]


@pytest.mark.parametrize(
    ("rule", "form"),
    [(rule, form) for rule in KEPT for form in ("auto", "weights", *["contributions"] * rule.stays_in_span)],
    ids=str,
)
def test_pickled_in_the_middle_of_training(rule, form):
    """What goes on after a round trip goes on as if nothing had happened: noise, heads and their momentum are kept."""
    X, y = samples()
    settings = DETERMINED | {"hidden_layer_sizes": (6, 5, 4), "batch_size": 8, "momentum": 0.9, "form": form}
    estimator = FrontClassifier(rule=rule, **settings)
    estimator.partial_fit(X[:17], y[:17], classes=[0, 1, 2])
    other = pickle.loads(pickle.dumps(estimator))
    for each in (estimator, other):
        each.partial_fit(X[17:], y[17:]).partial_fit(X[:9], y[:9])
    mine, others = (parameters(each.network_) for each in (estimator, other))
    for a, b in zip(mine, others, strict=True):
        assert a.tobytes() == b.tobytes()
    assert estimator.n_epochs_ == 3


@pytest.mark.parametrize("name", list(RULES))
def test_partial_fit_is_an_epoch(name):
    """Twice the same samples by partial_fit train as two epochs of fit."""
    X, y = samples()
    settings = DETERMINED | {"hidden_layer_sizes": (6, 5), "batch_size": 8, "form": "weights", "rule": name}
    streamed = FrontClassifier(**settings).partial_fit(X, y, classes=[0, 1, 2]).partial_fit(X, y)
    whole = FrontClassifier(max_epochs=2, **settings).fit(X, y)
    for a, b in zip(streamed.coefs_, whole.coefs_, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-13)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", ["local-fg-a", "lg-fg-a", "local-loss", "dfa", "frozen"])
def test_samples_without_weight_do_not_count(name, form):
    """Other inputs and answers there change nothing, though noise is drawn for them."""
    weights = np.random.default_rng(0).uniform(0.5, 2, 11)
    weights[[2, 5, 8, 9, 10]] = 0
    case = problem(name, form, sample_weight=weights, activation="relu")
    X, answers = case.X.copy(), case.answers.copy()
    X[weights == 0], answers[weights == 0] = 5.0, 0
    network = problem(name, form, activation="relu").network
    other = case._replace(X=X, answers=answers, network=network)
    if form == "contributions":
        network.front = ContributionsForm(X, network.front.initial, np.dtype(float), False)
    else:
        network.front.source = X
    start = parameters(case.network)
    assert_same_moves(start, other.trained(2), case.trained(2), 1e-12)


@pytest.mark.parametrize("name", [name for name in RULES if name != "backprop"])
def test_early_stopping_keeps_the_best_network(name):
    """Held-out samples are scored after each epoch; the network of the best score is restored, heads too."""
    X, y = samples(60)
    kept = {}
    classifier = FrontClassifier(
        (6, 4), rule=name, early_stopping=True, validation_fraction=0.3, batch_size=8, max_epochs=6, learning_rate=0.3,
        random_state=0, dtype="float64", tol=0, n_iter_no_change=10**6,
    )  # fmt: skip

    def keep(epoch):
        kept[epoch.epoch] = [array.copy() for array in parameters(classifier.network_)]

    classifier.fit(X, y, callbacks=[keep])
    best = kept[1 + int(np.argmax(classifier.validation_scores_))]
    for a, b in zip(parameters(classifier.network_), best, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-13)


def test_parameters_of_estimators():
    """Rules survive clone, get_params and set_params, as names and as objects, and can be searched."""
    rule = ForwardGradient("local", "gaussian", groups=2)
    estimator = FrontClassifier((4,), rule=rule, random_state=0)
    assert clone(estimator).get_params()["rule"] == rule
    assert FrontRegressor().set_params(rule="fg-a", groups=1).get_params()["rule"] == "fg-a"
    assert make_rule(rule) is rule
    assert make_rule("lg-fg-a") == ForwardGradient("local", "gaussian", "activation")
    X, y = samples(60)
    base = FrontClassifier((8,), max_epochs=15, learning_rate=0.1, batch_size=10, random_state=0, form="weights")
    search = GridSearchCV(base, {"rule": ["frozen", "lg-fg-a", "backprop", LocalLoss()]}, cv=2).fit(X, y)
    assert search.best_params_["rule"] in ("lg-fg-a", "backprop", LocalLoss())
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert "ForwardGradient(target='local'" in repr(estimator)


@pytest.mark.parametrize("name", list(RULES))
def test_rules_learn(name):
    """The loss falls for a classifier and for a regressor of two outputs, in single precision and default settings."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(120, 8))
    shared = {"hidden_layer_sizes": (16,), "rule": name, "max_epochs": 30, "batch_size": 20, "random_state": 0}
    rate = {"fg-w": 0.003, "lg-fg-w": 0.003}.get(name, 0.03)
    classifier = FrontClassifier(learning_rate=rate, **shared).fit(X, (X[:, 0] > 0).astype(int))
    regressor = FrontRegressor(learning_rate=rate / 10, **shared).fit(X, X[:, :2])
    for estimator in (classifier, regressor):
        assert estimator.loss_curve_[-1] < 0.9 * estimator.loss_curve_[0]


def test_diverging_rules_keep_the_best_network():
    """A loss that is not finite ends the training of rules that update block by block, too."""
    X, _ = samples()
    for name in ("lg-fg-a", "local-loss", "fg-w", "dfa"):
        regressor = FrontRegressor((8, 8), "identity", rule=name, learning_rate=1e30, max_epochs=20, batch_size=4)
        with pytest.warns(ConvergenceWarning, match="diverged in"):
            regressor.fit(X, X[:, 0])
        assert np.isfinite(regressor.predict(X)).all()


# ----------------------------------------------------------------------------------------------------------------------
# costs


@pytest.fixture
def count_products(monkeypatch):
    """``count_products(case)``: products of a batch with a square layer in a step; those with outputs do not count."""
    done = []

    def note(*shape):
        if N_OUTPUTS not in shape:
            done.append(np.prod(shape))

    def counted_kernel(module, name, shapes):
        kernel = getattr(module, name)

        def call(*arguments):
            for shape in shapes(*arguments):
                note(*shape)
            return kernel(*arguments)

        monkeypatch.setattr(module, name, call)

    def dense(widths, X):
        return [(len(X), n_in, n_out) for n_in, n_out in pairwise(widths)]

    def push(values, activation, tangents, weights, inputs, weight_tangents, *rest):
        moving = [each for each in (tangents, weight_tangents) if each is not None]
        return [(len(each) * len(values), each.shape[2], values.shape[1]) for each in moving]

    def backward(params, widths, bias, activation, X, values, deltas, grad, input_delta, n_threads):
        products = dense(widths, X)
        return products + products[input_delta is None :]

    counted_kernel(backend.forward, "forward", lambda params, widths, bias, activation, X, *rest: dense(widths, X))
    counted_kernel(backend.backprop, "backward", backward)
    counted_kernel(backend.forward_gradient, "push", push)
    counted_kernel(backend.forward_gradient, "outer_products", lambda widths, bias, X, *rest: dense(widths, X))
    multiply = stepwise.multiply

    def counted_multiply(A, B):
        note(len(A), len(B), len(B.T))
        return multiply(A, B)

    for module in (stepwise, rules.exact, rules.forward_gradient):
        monkeypatch.setattr(module, "multiply", counted_multiply)

    def count(case):
        network = case.network
        done.clear()
        network.train_epoch(np.arange(network.batch_size), np.ones(1), case.answers, None)
        width = int(network.widths[0])
        return sum(done) / (network.batch_size * width * width)

    return count


COSTLY = [
    *RULES.values(),
    LocalLoss(2),
    LocalLoss(3),
    *(ForwardGradient("global", guess, space) for guess in GUIDED for space in SPACES),
    *(ForwardGradient("local", guess, space) for guess in GUIDED for space in SPACES),
    *(ForwardGradient("global", "local", space, scalar="joint") for space in ("activation", "avg-weight")),
    *(ForwardGradient("global", "gaussian", space, n_tangents=5) for space in ("activation", "weight")),
    *(ForwardGradient("global", "gaussian", space, scalar="block", block_size=2) for space in ("activation", "weight")),
    *(ForwardGradient("local", "gaussian", space, block_size=2, n_tangents=5) for space in ("activation", "weight")),
]


@pytest.mark.parametrize("rule", COSTLY, ids=str)
def test_matrix_products_are_as_stated(rule, count_products):
    """Counted in a step of square networks of 2 to 5 hidden layers.

    The batch is half as large as a layer is wide: then two products with its Gram matrix, which "avg-weight" takes, are one.
    """
    counts = [
        count_products(problem(rule, hidden=(8,) * n, n_features=8, n_samples=4, optimizer=NeuronAdam())) for n in range(2, 6)
    ]
    assert counts == [rule.matrix_products(n) for n in range(2, 6)]


def test_matrix_products_of_the_specification():
    """The table: with L hidden layers 3 L - 1 for backpropagation and FG-A, 2 L for local ones, quadratic for a scalar each."""
    L = np.arange(1, 7)
    costs = {
        "backprop": 3 * L - 1, "fa": 3 * L - 1, "dfa": 2 * L, "frozen": L, "local-loss": 2 * L, "fg-a": 3 * L - 1,
        "fg-w": 3 * L - 1, "lg-fg-a": 2 * L, "lg-fg-w": 2 * L, "local-fg-w": 4 * L - 1, "local-fg-a": 3 * L - 1,
        ForwardGradient("global", "local"): 2 * L + L * (L - 1) // 2,
    }  # fmt: skip
    for rule, expected in costs.items():
        assert [make_rule(rule).matrix_products(int(n)) for n in L] == expected.tolist(), rule


@pytest.mark.parametrize(
    "rule",
    [
        "fa", "dfa", "fg-a", "local-fg-a", ForwardGradient(), ForwardGradient(space="weight"),
        ForwardGradient(space="avg-weight"), ForwardGradient("global", "gaussian", "activation", n_tangents=3),
    ],
    ids=str,
)  # fmt: skip
def test_kept_activations_grow_as_stated(rule):
    """What a step allocates grows by as many arrays of the batch for each further layer, beside the gradients."""
    width, n_samples, peaks = 40, 400, {}
    rule = make_rule(rule)
    for depth in (4, 12):
        case = problem(rule, hidden=(width,) * depth, n_samples=n_samples, batch_size=n_samples, n_features=width)
        case.train()
        tracemalloc.start()
        case.train()
        peaks[depth] = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    measured = (peaks[12] - peaks[4]) / 8 / (width * n_samples * 8)
    stated = (rule.kept_activations(12) - rule.kept_activations(4)) / 8
    assert measured == pytest.approx(stated, abs=0.6)


LOCAL = ["local-loss", "lg-fg-a", LocalLoss(2), ForwardGradient("local", "local"), ForwardGradient("local", "ntk")]


@pytest.mark.parametrize("rule", [*LOCAL, "backprop", "fg-a", "dfa"], ids=str)
def test_memory_of_a_step(rule):
    """What a step holds: a rule with local losses holds as much for 16 layers as for 8, others hold every layer."""
    stated, measured = [], []
    for n_hidden in (8, 16):
        size = {"hidden": (50,) * n_hidden, "batch_size": 400, "n_samples": 400, "n_features": 2, "optimizer": NeuronAdam()}
        case = problem(rule, **size)
        stated.append(make_rule(rule).kept_activations(n_hidden))
        measured.append(peak_of_a_step(case) / (400 * 50 * 8))
    local = rule in LOCAL
    assert stated[0] == stated[1] if local else stated[0] < stated[1]
    assert measured[1] < 1.05 * measured[0] if local else measured[1] > 1.7 * measured[0]


def peak_of_a_step(case):
    """Bytes that a step allocates at most beside what is there before."""
    network, rows = case.network, np.arange(len(case.X))
    teacher = network.rule.teacher(network, case.answers, None)
    with closing(stepwise.windows(network.front, network.moments[0], [rows], 1, network.optimizer, 1)) as opened:
        _, front = next(opened)
        tracemalloc.start()
        try:
            for _ in teacher.step(front, rows):
                pass
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()


def test_rules_say_what_they_use():
    """Transposes and backward passes: none for noise with linear heads, all for backpropagation, those of heads for a guess."""
    for name in ("fg-w", "fg-a", "lg-fg-w", "lg-fg-a"):
        assert (RULES[name].transposes, RULES[name].backward_passes) == ("none", "none")
    for rule in (Backprop(), ForwardGradient(guess="global")):
        assert "every layer" in rule.transposes
        assert "whole network" in rule.backward_passes
    assert "heads" in ForwardGradient().transposes
    assert "heads" in ForwardGradient("local", "gaussian", head_layer_sizes=(3,)).backward_passes
    assert RULES["dfa"].backward_passes == "none"
    assert "random weights" in RULES["fa"].transposes
