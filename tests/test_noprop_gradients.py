"""NoProp's losses and gradients against the paper's definitions, written with PyTorch, in float64.

`Peer` is the reference: it knows nothing of how the library goes back through a block, only the formulas of arXiv 2503.24322.
Noise, times and batches are those that the network draws while it trains; `Drawn` listens.
"""

import copy
from typing import NamedTuple

import numpy as np
import pytest

from fcfast import backend
from fcfast.activations import ACTIVATIONS
from fcfast.front import WeightsForm
from fcfast.gram.start import GivenWeights
from fcfast.noprop import CosineNoise, LinearNoise, Steps
from fcfast.noprop.blocks import Block, Shape
from fcfast.noprop.labels import LabelSpace
from fcfast.noprop.network import NoPropNetwork
from fcfast.noprop.variants import ContinuousTime, DiscreteTime, EndToEnd, FlowMatching
from fcfast.optimizers import SGD, AdamW

torch = pytest.importorskip("torch", reason="the reference is PyTorch")
torch.set_num_threads(1)  # tiny products; more threads only wait for one another

DOUBLE = np.dtype(float)
N_SAMPLES, N_FEATURES, N_CLASSES, N_HIDDEN, N_FUSED, N_BLOCKS, ETA = 10, 6, 3, 5, 4, 3, 0.7
ALPHA_BAR = [0.05, 0.3, 0.6, 0.9]
ALPHA_BAR_OF_CT = {"linear": LinearNoise(2.5, -3.0), "cosine": CosineNoise(0.3)}
VARIANTS = ("dt", "ct", "fm", "backprop")
EMBEDDINGS = {"one-hot": 3, "narrow": 2, "wide": 5}  # dimensions; all but the first are learned


# ----------------------------------------------------------------------------------------------------------------------
# networks, and what they draw


class Case(NamedTuple):
    """A network, and what it is taught."""

    network: NoPropNetwork
    X: np.ndarray
    y: np.ndarray
    sample_weight: np.ndarray | None
    settings: dict

    def train(self, rate, n_epochs=1, answers=None):
        """Train on the samples in order; give the losses of all steps, means over the blocks."""
        rows, n_steps = np.arange(len(self.X)), -(-len(self.X) // self.network.batch_size)
        answers, weights = self.y if answers is None else answers, self.sample_weight
        return np.concatenate(
            [self.network.train_epoch(rows, np.full(n_steps, rate), answers, weights) for _ in range(n_epochs)]
        )


def case(
    variant, embedding="one-hot", batch_norm=False, activation="tanh", weighting="uniform", weighted=False, schedule="linear",
    learns_ends=False, optimizer=None, batch_size=10, seed=0,
):  # fmt: skip
    """A random network, with every bias, scale and shift away from where training would start it."""
    settings = dict(locals())
    rng = np.random.default_rng(seed)
    made = {
        "dt": lambda: DiscreteTime(Steps(ALPHA_BAR), ETA, weighting),
        "ct": lambda: ContinuousTime(ALPHA_BAR_OF_CT[schedule], ETA, weighting, learns_ends),
        "fm": lambda: FlowMatching(ETA),
        "backprop": lambda: EndToEnd(N_BLOCKS, DOUBLE),
    }[variant]()
    n_blocks, d, learned = 1 if made.has_time else N_BLOCKS, EMBEDDINGS[embedding], embedding != "one-hot"
    shape = Shape(N_HIDDEN, N_FUSED, d, N_CLASSES, ACTIVATIONS[activation], made.has_time, batch_norm)
    points = rng.normal(size=(N_CLASSES, d)) if learned else np.eye(N_CLASSES)
    labels = LabelSpace(points, learned, learned or learns_ends or variant == "backprop", made.is_flow, DOUBLE, rng)
    if labels.has_head:
        labels.head[1][:] = rng.normal(size=N_CLASSES)
    if variant == "backprop":
        made.gates[:] = rng.uniform(0.2, 0.9, N_BLOCKS)
    blocks = [Block(shape, shape.initial(rng) + 0.3 * rng.normal(size=shape.n_params), 1) for _ in range(n_blocks)]
    X = rng.normal(size=(N_SAMPLES, N_FEATURES))
    optimizer = optimizer or SGD()
    initial = rng.normal(size=(n_blocks * N_HIDDEN, N_FEATURES)) / N_FEATURES**0.5
    fronts = WeightsForm.stack(X, GivenWeights(np.array(initial)), n_blocks, DOUBLE, optimizer.has_velocity)
    network = NoPropNetwork(made, shape, fronts, blocks, labels, optimizer, batch_size, batch_size, 1, "sequential", seed)
    weights = rng.uniform(0, 2, len(X)) if weighted else None
    return Case(network, X, rng.integers(0, N_CLASSES, len(X)), weights, settings)


def parameters(network):
    """Copies of all that can be trained, by name."""
    held = {}
    for t, (block, form) in enumerate(zip(network.blocks, network.fronts.forms, strict=True)):
        held[t, "x", "weights"], held[t, "x", "bias"] = form.base, block.layers.bias
        for name, weights in block.layers.weights.items():
            held[t, name, "weights"], held[t, name, "bias"] = weights, block.layers.packed[name][0][weights.size :]
        for name, norm in block.layers.norms.items():
            held[t, name, "scale"], held[t, name, "shift"] = norm.scale, norm.shift
    held["embedding"] = network.labels.embedding
    if network.labels.has_head:
        held["head", "weights"], held["head", "bias"] = network.labels.head
    held["own"] = network.own
    return {name: array.copy() for name, array in held.items()}


class Drawn:
    """What a network draws while it trains, in order: batches, noise and times."""

    def __init__(self, monkeypatch, taught):
        self.y, self.batches, self.noise, self.times = taught.y, [], [], []
        normals, variant = backend.noise.normals, taught.network.variant

        def heard_normals(seed, out, n_threads):
            normals(seed, out, n_threads)
            self.noise.append(torch.tensor(out.reshape(-1, taught.network.shape.n_embedding)))

        monkeypatch.setattr(backend.noise, "normals", heard_normals)
        if variant.has_time:
            draw = variant.draw

            def heard_draw(*arguments):
                result = draw(*arguments)
                self.times.append(torch.tensor(result.times))
                return result

            variant.draw = heard_draw

    def __getitem__(self, batch):
        """The labels of a batch: this is what a network asks for them."""
        self.batches.append(batch)
        return self.y[batch]


# ----------------------------------------------------------------------------------------------------------------------
# the reference


class Peer:
    """The same network in PyTorch, taught by the definition of its variant."""

    def __init__(self, taught):
        network = taught.network
        self.variant, self.has_head, self.settings = network.variant.name, network.labels.has_head, taught.settings
        self.params = {name: torch.tensor(array, requires_grad=True) for name, array in parameters(network).items()}
        if not network.labels.learned:
            self.params["embedding"].requires_grad_(False)
        self.running = [
            {name: torch.tensor(seen) for name, seen in copy.deepcopy(block.running).items()} for block in network.blocks
        ]
        self.X, self.y, self.n_blocks = torch.tensor(taught.X), torch.tensor(taught.y), len(network.blocks)
        weights = np.ones(len(taught.X)) if taught.sample_weight is None else taught.sample_weight
        self.sample_weight = torch.tensor(weights)
        by_owner = {}
        for name, tensor in self.params.items():
            owner = name[0] if isinstance(name, tuple) and name[0] != "head" else "own" if name == "own" else "labels"
            by_owner.setdefault(owner, []).append(tensor)
        self.optimizers = {owner: self.optimizer(tensors) for owner, tensors in by_owner.items()}

    def optimizer(self, tensors):
        ours = self.settings["optimizer"]
        if isinstance(ours, AdamW):
            betas = ours.beta1, ours.beta2
            return torch.optim.AdamW(tensors, betas=betas, eps=ours.eps, weight_decay=ours.weight_decay)
        return torch.optim.SGD(tensors, lr=1)

    # a block

    def layer(self, t, name, inputs):
        scores = inputs @ self.params[t, name, "weights"].T + self.params[t, name, "bias"]
        if (t, name, "scale") not in self.params:
            return scores
        mean, variance = self.running[t][name]
        scale, shift = self.params[t, name, "scale"], self.params[t, name, "shift"]
        return torch.nn.functional.batch_norm(scores, mean, variance, scale, shift, training=True)

    def activate(self, values):
        nn = torch.nn.functional
        functions = {"relu": nn.relu, "tanh": torch.tanh, "logistic": torch.sigmoid, "identity": lambda z: z}
        functions["leaky_relu"] = lambda z: nn.leaky_relu(z, 0.01)
        return functions[self.settings["activation"]](values)

    def scores(self, t, x, z, times):
        values = [self.activate(self.layer(t, "x", x)), self.activate(self.layer(t, "z1", z))]
        if times is None:
            values[1] = values[1] + self.layer(t, "z3", self.activate(self.layer(t, "z2", values[1])))
        else:
            angles = 1000 * times[:, None] * torch.logspace(0, -4, 32, dtype=torch.float64)
            values.append(self.activate(self.layer(t, "t", torch.cat([angles.sin(), angles.cos()], dim=1))))
        trunk = self.activate(self.layer(t, "f1", torch.cat(values, dim=1)))
        return self.layer(t, "out", self.activate(self.layer(t, "f2", trunk)))

    # losses

    def classifier_loss(self, z, y):
        scores = z @ self.params["head", "weights"].T + self.params["head", "bias"]
        return torch.nn.functional.cross_entropy(scores, y, reduction="none")

    def alpha_bar(self, t):
        """Of CT at some times."""
        if self.settings["schedule"] == "cosine":
            return (((1 - t) + 0.3) / 1.3 * torch.pi / 2).cos().square().clamp(1e-4, 0.999)
        noisy, clean = self.params["own"] if len(self.params["own"]) else (2.5, -3.0)
        return torch.sigmoid(-(noisy + (clean - noisy) * t))

    def ends(self):
        """How much of the label the first state and the last have."""
        if self.variant == "dt":
            return torch.tensor(ALPHA_BAR[:1] + ALPHA_BAR[-1:], dtype=torch.float64)
        return self.alpha_bar(torch.tensor([0.0, 1.0], dtype=torch.float64))

    def label_and_weight(self, t, u, noise, times):
        """The noisy label, and the weight of the squared error."""
        if self.variant == "fm":
            return times[:, None] * u + (1 - times[:, None]) * noise, ETA
        if self.variant == "dt":
            abar, after = (torch.tensor(ALPHA_BAR[i], dtype=torch.float64) for i in (t, t + 1))
            snr = abar / (1 - abar)
            change = N_BLOCKS / 2 * (after / (1 - after) - snr)
            signal = abar
        else:
            times = times.clone().requires_grad_()
            abar = self.alpha_bar(times)
            snr = abar / (1 - abar)
            (slope,) = torch.autograd.grad(snr.sum(), times, create_graph=True)
            change, signal = slope / 2, abar[:, None]
        weight = {"snr": change, "uniform": torch.ones_like(snr), "min-snr": snr.clamp(max=5)}[self.settings["weighting"]]
        return signal.sqrt() * u + (1 - signal).sqrt() * noise, ETA * weight

    def loss_of_block(self, t, rows, noise, times, last_noise):
        W, y = self.params["embedding"], self.y[rows]
        u = W[y]
        z, weight = self.label_and_weight(t, u, noise, times)
        scores = self.scores(t, self.X[rows], z, times)
        if self.variant == "fm":
            velocity = scores @ W
            loss = weight * ((velocity - (u - noise)) ** 2).sum(dim=1)
            if self.has_head:
                loss = loss + self.classifier_loss(z + (1 - times[:, None]) * velocity, y)
            return self.mean(loss, rows)
        loss = weight * ((scores.softmax(dim=1) @ W - u) ** 2).sum(dim=1)
        if self.has_head:
            first, last = self.ends()
            loss = loss + self.classifier_loss(last.sqrt() * u + (1 - last).sqrt() * last_noise, y)
            normal = torch.distributions.Normal
            start = normal(first.sqrt() * u, (1 - first).sqrt().expand_as(u))
            standard = normal(torch.zeros_like(u), torch.ones_like(u))
            loss = loss + torch.distributions.kl_divergence(start, standard).sum(dim=1)
        return self.mean(loss, rows)

    def loss_end_to_end(self, rows, noise):
        z = noise
        for t, gate in enumerate(torch.tanh(self.params["own"])):
            prediction = self.scores(t, self.X[rows], z, None).softmax(dim=1) @ self.params["embedding"]
            z = (1 - gate) * z + gate * prediction
        return self.mean(self.classifier_loss(z, self.y[rows]), rows)

    def mean(self, losses, rows):
        weights = self.sample_weight[rows]
        return (weights * losses).sum() / weights.sum()

    # training

    def train(self, drawn, rate, n_epochs=1):
        """Take the same steps; give the losses of each pass of all blocks, (passes, blocks, steps)."""
        losses, noise, times = [], iter(drawn.noise), iter(drawn.times)
        n_steps = len(drawn.batches) // (1 if self.variant == "backprop" else self.n_blocks) // n_epochs
        for k, rows in enumerate(drawn.batches):
            t = k // n_steps % self.n_blocks
            if self.variant == "backprop":
                loss = self.loss_end_to_end(rows, next(noise))
                moved = [*range(self.n_blocks), "labels", "own"]
            else:
                z_noise, when = next(noise), next(times, None)
                last_noise = next(noise) if self.has_head and self.variant != "fm" else None
                loss = self.loss_of_block(t, rows, z_noise, when, last_noise)
                moved = [t, *(["labels", "own"] if self.has_head else [])]
            losses.append(self.step(loss, moved, rate))
        assert next(noise, None) is None
        assert next(times, None) is None
        return np.reshape(losses, (n_epochs, -1, n_steps)).mean(axis=1).ravel()

    def step(self, loss, moved, rate):
        for tensor in self.params.values():
            tensor.grad = None
        loss.backward()
        for owner in moved:
            self.optimizers[owner].param_groups[0]["lr"] = rate
            self.optimizers[owner].step()
        return loss.item()


def assert_peer_agrees(monkeypatch, taught, rate, tolerance, n_epochs=1):
    """Train both; compare losses, how far every array has moved relative to the longest way in it, and running statistics."""
    peer, drawn, start = Peer(taught), Drawn(monkeypatch, taught), parameters(taught.network)
    losses = taught.train(rate, n_epochs, answers=drawn)
    np.testing.assert_allclose(losses, peer.train(drawn, rate, n_epochs), rtol=tolerance)
    for name, after in parameters(taught.network).items():
        moved, expected = after - start[name], peer.params[name].detach().numpy() - start[name]
        limit = tolerance * np.abs(expected).max(initial=0) + 4e-15
        assert np.abs(moved - expected).max(initial=0) <= limit, name
    for block, running in zip(taught.network.blocks, peer.running, strict=True):
        for name, seen in block.running.items():
            np.testing.assert_allclose(seen, running[name], rtol=0, atol=tolerance * np.abs(seen).max())
    return start


# ----------------------------------------------------------------------------------------------------------------------
# one step of every kind


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize("embedding", EMBEDDINGS)
@pytest.mark.parametrize("variant", VARIANTS)
def test_gradients(monkeypatch, variant, embedding, batch_norm, weighted):
    """After one step of each block, plain descent at rate 1: every array has moved by its gradient."""
    taught = case(variant, embedding, batch_norm, weighted=weighted)
    start = assert_peer_agrees(monkeypatch, taught, 1.0, 1e-9)
    moved = {name for name, after in parameters(taught.network).items() if (after != start[name]).any()}
    if not batch_norm:  # it takes away what the layer below adds to all samples
        assert moved == {name for name in start if start[name].size} - ({"embedding"} if embedding == "one-hot" else set())


@pytest.mark.parametrize("activation", ["relu", "leaky_relu", "logistic", "identity"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_gradients_with_activations(monkeypatch, variant, activation):
    """The other activations, with learned embeddings: gradients reach the block's noisy input."""
    assert_peer_agrees(monkeypatch, case(variant, "wide", activation=activation, weighted=True, seed=1), 1.0, 1e-9)


@pytest.mark.parametrize("schedule", ["linear", "cosine"])
@pytest.mark.parametrize("embedding", ["one-hot", "narrow"])
@pytest.mark.parametrize("weighting", ["snr", "min-snr"])
@pytest.mark.parametrize("variant", ["dt", "ct"])
def test_gradients_with_weightings(monkeypatch, variant, weighting, embedding, schedule):
    """Weights of the squared errors, by step and by time."""
    assert_peer_agrees(monkeypatch, case(variant, embedding, weighting=weighting, schedule=schedule, seed=2), 0.1, 1e-9)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize("embedding", EMBEDDINGS)
def test_gradients_of_learned_ends(monkeypatch, embedding, batch_norm, weighted):
    """The ends of a schedule move by all their routes: weights, noisy labels, the last state and the first."""
    taught = case("ct", embedding, batch_norm, weighting="snr", learns_ends=True, weighted=weighted)
    start = assert_peer_agrees(monkeypatch, taught, 0.1, 1e-9)
    assert (taught.network.own != start["own"]).all()


@pytest.mark.parametrize("settings", [
    {"variant": "ct", "embedding": "wide", "weighting": "snr", "learns_ends": True, "batch_norm": True, "weighted": True},
    {"variant": "fm", "embedding": "narrow"},
    {"variant": "backprop", "embedding": "wide"},
], ids=lambda settings: settings["variant"])  # fmt: skip
def test_central_differences(settings):
    """The loss itself moves by the gradient: nothing but the library is asked."""
    taught = case(**settings)
    before = parameters(taught.network)
    stepped = copy.deepcopy(taught)
    stepped.train(0.01)
    gradients = {name: (before[name] - after) / 0.01 for name, after in parameters(stepped.network).items()}

    def loss(name, index, change):
        moved = copy.deepcopy(taught)
        place_of(moved.network, name).flat[index] += change
        return moved.train(0.01)[0]

    rng, eps = np.random.default_rng(0), 1e-5
    for name, gradient in gradients.items():
        for index in rng.permutation(gradient.size)[:2]:
            difference = (loss(name, index, eps) - loss(name, index, -eps)) / (2 * eps)
            np.testing.assert_allclose(gradient.flat[index], difference, rtol=1e-6, atol=1e-8, err_msg=name)


def place_of(network, name):
    """The array itself that `parameters` copies."""
    if name == "own":
        return network.own
    if name == "embedding":
        return network.labels.embedding
    if name[0] == "head":
        return network.labels.head[name[1] == "bias"]
    t, layer, kind = name
    layers = network.blocks[t].layers
    if layer == "x" and kind in ("weights", "bias"):
        return network.fronts.forms[t].base if kind == "weights" else layers.bias
    if kind in ("scale", "shift"):
        return getattr(layers.norms[layer], kind)
    weights = layers.weights[layer]
    return weights if kind == "weights" else layers.packed[layer][0][weights.size :]


# ----------------------------------------------------------------------------------------------------------------------
# trainings


@pytest.mark.parametrize("settings", [
    {"variant": "dt"},
    {"variant": "dt", "batch_norm": True, "weighted": True, "weighting": "snr"},
    {"variant": "dt", "embedding": "wide"},
    {"variant": "ct", "embedding": "narrow", "weighting": "snr", "learns_ends": True},
    {"variant": "fm", "embedding": "wide"},
    {"variant": "backprop", "embedding": "narrow"},
], ids=str)  # fmt: skip
def test_adamw(monkeypatch, settings):
    """Five epochs of mini-batches, the last one shorter; each block, the labels and the schedule have an optimiser each."""
    taught = case(**settings, optimizer=AdamW(beta1=0.8, eps=1e-6, weight_decay=0.1), batch_size=4)
    assert_peer_agrees(monkeypatch, taught, 0.01, 1e-8, n_epochs=5)


def test_a_batch_without_weight_teaches_nothing(monkeypatch):
    """Its mean is over nothing: no loss, no gradient, and no NaN."""
    for variant in VARIANTS:
        taught = case(variant, "wide")._replace(sample_weight=np.zeros(N_SAMPLES))
        before = parameters(taught.network)
        np.testing.assert_array_equal(taught.train(1.0), 0)
        for name, after in parameters(taught.network).items():
            np.testing.assert_array_equal(after, before[name])
