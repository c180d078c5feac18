"""NoProp against PyTorch: DT, T = 10, h = (256, 128), one-hot, float32, 2 threads

Reproduce: pytest bench/bench_noprop.py -m "" (real data: see bench/data.py)
An epoch is a pass over the samples for each of the ten blocks. The peer has the same blocks by autograd; its losses from the
same weights, batches and noise are compared first. In the timed part it draws its own noise, its batches are made beforehand
and not copied, it keeps no graph into z, its optimisers are fused, and it runs in its fastest setting: one thread, two, or a
block in each of two threads.
Wide data: SGD with momentum, ours in form "contributions". The memory of front layers is counted between steps: for ours the
Gram matrix, the initial pre-activations and the contributions; for the peer W1, its momentum and the gradient of one block.
Peaks are the memory that child processes add, from the initial weights to the second epoch, above the data and a small run
before; they include all layers and the computation of the Gram matrix.
Targets: wide data 50 times as fast, front layers in a fiftieth of the memory; MNIST 1.5 times as fast, and two threads
1.7 times as fast as one.
"""

import math
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from functools import cache, partial

import numpy as np
import pytest
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from bench import data as real_data
from bench.measure import Run, duration, memory_is_measurable, peak_memory, times, verdict
from bench.settings import CLASSIC_BLOCKS
from fcfast import NoPropClassifier, backend

torch = pytest.importorskip("torch", reason="the peer is PyTorch")

N_BLOCKS, HIDDEN, FUSED = 10, 256, 128
WIDE = pytest.param("nakayama_sarcoma", marks=pytest.mark.full), "singh_prostate"
N_MNIST, BATCH_MNIST = 6_400, 128
WIDE_RATE, RATE, DECAY = 0.01, 1e-3, 1e-3
SGD = {"optimizer": "sgd", "momentum": 0.9, "weight_decay": 0.0, "learning_rate": WIDE_RATE, "form": "contributions"}
ADAMW = {"optimizer": "adamw", "weight_decay": DECAY, "learning_rate": RATE, "form": "weights", "batch_size": BATCH_MNIST}
PEER_MODES = "1 thread", "2 threads", "a block in each of 2 threads"


@cache
def wide(name):
    """Standardised samples, and their classes 0, 1, .."""
    arrays = real_data.load(name)
    return StandardScaler().fit_transform(arrays["X"].astype(np.float32)), arrays["y"].astype(np.intp)


def mnist(n):
    """The first images."""
    arrays = real_data.load("mnist")
    return arrays["X"][:n].astype(np.float32) / 255, arrays["y"][:n].astype(np.intp)


def loaded(load, *arguments):
    """Data, or a skipped benchmark where they are absent."""
    try:
        return load(*arguments)
    except FileNotFoundError as absent:
        pytest.skip(str(absent))


# ----------------------------------------------------------------------------------------------------------------------
# ours


def started(X, y, n_jobs, **settings):
    """A classifier's network before training, made as `fit` makes it."""
    own = {"n_blocks": N_BLOCKS, "hidden": (HIDDEN, FUSED), "n_jobs": n_jobs, "random_state": 0, "learning_rate": RATE}
    classifier = NoPropClassifier(**CLASSIC_BLOCKS | own | settings)
    X, y = classifier._validate(X, y, reset=True)
    targets = classifier._encode_targets(y, False)
    classifier._start(X, targets, None, np.random.RandomState(0))
    return classifier.network_


def n_steps(network, n):
    return math.ceil(n / network.batch_size)


def epoch(network, y, rate):
    """Train with the samples in order; the first block's batches are those of the data."""
    return network.train_epoch(np.arange(len(y)), np.full(n_steps(network, len(y)), rate), y, None)


def coming_steps(network, n):
    """What the next epoch of our network will draw: block, step, batch and noise of each step."""
    generators = deepcopy(network.generators)
    orders = [np.arange(n), *(generators[-1].permutation(n) for _ in network.blocks[1:])]
    for t, order in enumerate(orders):
        for step, batch in enumerate(np.split(order, range(network.batch_size, n, network.batch_size))):
            noise = np.empty((len(batch), network.shape.n_embedding), network.dtype)
            backend.noise.normals(int(generators[t].integers(2**64, dtype=np.uint64)), noise.ravel(), 1)
            yield t, step, batch, noise


def start_of(network):
    """Weights and biases of each block of ours, the front layer's first."""
    fronts = network.fronts
    dense = np.split(fronts.initial.dense(network.dtype), N_BLOCKS) if hasattr(fronts, "initial") else None
    for t, block in enumerate(network.blocks):
        layers = {"x": (fronts.forms[t].base if dense is None else dense[t], block.layers.bias)}
        for name, weights in block.layers.weights.items():
            layers[name] = weights, block.layers.packed[name][0][weights.size :]
        yield {name: tuple(torch.from_numpy(array.copy()) for array in arrays) for name, arrays in layers.items()}


# ----------------------------------------------------------------------------------------------------------------------
# the peer


class TorchBlock:
    """A block, its optimiser and its step."""

    def __init__(self, layers, make_optimizer, abar):
        self.layers = {name: [array.requires_grad_() for array in arrays] for name, arrays in layers.items()}
        self.optimizer = make_optimizer([array for arrays in self.layers.values() for array in arrays])
        self.signal, self.noise = abar**0.5, (1 - abar) ** 0.5

    def scores(self, X, z):
        relu = torch.relu

        def linear(name, X):
            return torch.nn.functional.linear(X, *self.layers[name])

        h = relu(linear("z1", z))
        branches = relu(linear("x", X)), h + linear("z3", relu(linear("z2", h)))
        return linear("out", relu(linear("f2", relu(linear("f1", torch.cat(branches, 1))))))

    def step(self, X, u, noise=None):
        """Train on a batch; give the loss."""
        with torch.no_grad():
            z = self.signal * u + self.noise * (torch.randn_like(u) if noise is None else noise)
        loss = (torch.softmax(self.scores(X, z), 1) - u).square_().sum(1).mean()
        loss.backward()
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return loss.detach()


class TorchNoProp:
    """Ten blocks and their data."""

    def __init__(self, starts, alpha_bar, make_optimizer, X, y, batch_size):
        self.blocks = [TorchBlock(layers, make_optimizer, abar) for layers, abar in zip(starts, alpha_bar, strict=False)]
        self.X, self.u = torch.from_numpy(X), torch.eye(int(y.max()) + 1)[torch.from_numpy(y)]
        self.batches = list(zip(self.X.split(batch_size), self.u.split(batch_size), strict=True))

    def replay(self, steps, n):
        """Do some steps of ours; give the mean loss over the blocks of each step of a pass."""
        totals = np.zeros(n)
        for t, step, batch, noise in steps:
            rows = torch.from_numpy(batch)
            totals[step] += self.blocks[t].step(self.X[rows], self.u[rows], torch.from_numpy(noise)).item() / N_BLOCKS
        return totals

    def one_pass(self, block):
        for X, u in self.batches:
            block.step(X, u)

    def epoch(self, mode):
        """Train each block on all batches."""
        torch.set_num_threads(2 if mode == "2 threads" else 1)
        if mode in PEER_MODES[:2]:
            for block in self.blocks:
                self.one_pass(block)
            return
        with ThreadPoolExecutor(2, initializer=lambda: torch.set_num_threads(1)) as pool:
            list(pool.map(self.one_pass, self.blocks))


def peer_of(network, make_optimizer, X, y):
    return TorchNoProp(start_of(network), network.variant.steps.alpha_bar, make_optimizer, X, y, network.batch_size)


def fused_sgd(parameters):
    return torch.optim.SGD(parameters, lr=WIDE_RATE, momentum=0.9, fused=True)


def fused_adamw(parameters):
    return torch.optim.AdamW(parameters, lr=RATE, weight_decay=DECAY, fused=True)


def assert_same_losses(network, peer, y, rate, n_epochs):
    """Whole epochs of both, with the same batches and noise."""
    torch.set_num_threads(2)
    for _ in range(n_epochs):
        steps = list(coming_steps(network, len(y)))
        ours = epoch(network, y, rate)
        np.testing.assert_allclose(ours, peer.replay(steps, len(ours)), rtol=1e-4)


def ours_and_peer(networks, peer, y, rate):
    """An epoch of each: networks of ours by name, and the peer as it can be run."""
    runs = {name: Run(partial(epoch, network, y, rate)) for name, network in networks.items()}
    return runs | {f"PyTorch, {mode}": Run(partial(peer.epoch, mode)) for mode in PEER_MODES}


def fastest(seconds, name):
    """Name and time of the fastest."""
    return min(((key, value) for key, value in seconds.items() if key.startswith(name)), key=lambda item: item[1])


def as_usual(seconds, ours):
    """PyTorch one block after the other, with both threads for each product."""
    theirs = seconds["PyTorch, 2 threads"]
    return f"; PyTorch a block after the other with 2 threads {duration(theirs)}: {times(theirs / ours)} as fast"


# ----------------------------------------------------------------------------------------------------------------------
# wide data


@pytest.mark.parametrize("batch", [16, "full"])
@pytest.mark.parametrize("name", WIDE)
def bench_wide(name, batch, compare, tell):
    """An epoch that does not see the features."""
    X, y = loaded(wide, name)
    size = len(y) if batch == "full" else batch
    networks = {f"SGD, n_jobs={n}": started(X, y, n, batch_size=size, **SGD) for n in (1, 2)}
    neuron_adam = {"optimizer": "neuron-adam", "form": "contributions", "batch_size": size}
    networks |= {f"NeuronAdam, n_jobs={n}": started(X, y, n, **neuron_adam) for n in (1, 2)}
    peer = peer_of(networks["SGD, n_jobs=1"], fused_sgd, X, y)
    with threadpool_limits(1, user_api="blas"):
        assert_same_losses(networks["SGD, n_jobs=1"], peer, y, WIDE_RATE, 3)
        seconds = compare(ours_and_peer(networks, peer, y, WIDE_RATE), rounds=5)
    (_, ours), (mode, theirs) = fastest(seconds, "SGD"), fastest(seconds, "PyTorch")
    (_, adam), ratio = fastest(seconds, "NeuronAdam"), theirs / ours
    tell(f"{name}, {len(y)} x {X.shape[1]:,}, B = {size}: an epoch of SGD {duration(seconds['SGD, n_jobs=1'])} "
         f"with one thread, {duration(seconds['SGD, n_jobs=2'])} with two; NeuronAdam {duration(adam)}; {mode} "
         f"{duration(theirs)}: {times(ratio)} as fast (target 50: {verdict(ratio >= 50)})"
         f"{as_usual(seconds, ours)}")  # fmt: skip


def train_ours(name, d):
    """Two epochs on some features of a data set."""
    X, y = wide(name)
    network = started(np.ascontiguousarray(X[:, :d]), y, 1, batch_size=16, **SGD)
    for _ in range(2):
        epoch(network, y, WIDE_RATE)
    return network


def random_start(d, n_classes):
    """Weights of blocks, made one block after the other."""
    shapes = {"x": (HIDDEN, d), "z1": (HIDDEN, n_classes), "z2": (HIDDEN, HIDDEN), "z3": (HIDDEN, HIDDEN)}
    shapes |= {"f1": (HIDDEN, 2 * HIDDEN), "f2": (FUSED, HIDDEN), "out": (n_classes, FUSED)}
    for _ in range(N_BLOCKS):
        yield {
            name: (torch.empty(shape).uniform_(-1, 1).mul_(shape[1] ** -0.5), torch.zeros(shape[0]))
            for name, shape in shapes.items()
        }


def train_torch(name, d):
    """Two epochs on some features of a data set."""
    X, y = wide(name)
    starts, alpha_bar = random_start(d, int(y.max()) + 1), np.full(N_BLOCKS, 0.5)
    peer = TorchNoProp(starts, alpha_bar, fused_sgd, np.ascontiguousarray(X[:, :d]), y, 16)
    for _ in range(2):
        peer.epoch("1 thread")
    return peer


def front_bytes(network, peer):
    """What front layers hold, ours and theirs."""
    forms = network.fronts.forms
    ours = forms[0].source.nbytes + sum(array.nbytes for form in forms for array in (form.S0, form.base, form.velocity))
    weights = [block.layers["x"][0] for block in peer.blocks]
    momenta = [block.optimizer.state[W]["momentum_buffer"] for block, W in zip(peer.blocks, weights, strict=True)]
    return ours, sum(array.nbytes for array in (*weights, *momenta)) + weights[0].nbytes


@pytest.mark.parametrize("name", WIDE)
def bench_wide_memory(name, benchmark, tell):
    """What front layers hold between steps, and what training takes at its peak."""
    if not memory_is_measurable() or benchmark.disabled:
        pytest.skip("memory cannot be measured here, or is not asked for")
    d = loaded(wide, name)[0].shape[1]
    ours, theirs = front_bytes(train_ours(name, d), train_torch(name, d))

    def peaks():
        return [peak_memory(f"bench.bench_noprop:train_{side}", (name, d), (name, 500)) for side in ("ours", "torch")]

    peak, peak_theirs = benchmark.pedantic(peaks, rounds=1)
    tell(f"{name}: front layers hold {ours / 2**20:.2f} MiB, PyTorch's {theirs / 2**20:.0f} MiB, {times(theirs / ours)} as "
         f"much (target 50: {verdict(theirs >= 50 * ours)}); all of training {peak / 2**20:.0f} MiB at its peak, PyTorch's "
         f"{peak_theirs / 2**20:.0f} MiB")  # fmt: skip


# ----------------------------------------------------------------------------------------------------------------------
# MNIST


@pytest.mark.full
def bench_mnist(compare, tell):
    """An epoch in form "weights" with AdamW, on some of the training images."""
    X, y = loaded(mnist, N_MNIST)
    networks = {f"n_jobs={n}": started(X, y, n, **ADAMW) for n in (1, 2)}
    first = slice(10 * BATCH_MNIST)
    few = started(X[first], y[first], 1, **ADAMW)
    assert_same_losses(few, peer_of(few, fused_adamw, X[first], y[first]), y[first], RATE, 1)
    with threadpool_limits(1, user_api="blas"):
        seconds = compare(ours_and_peer(networks, peer_of(networks["n_jobs=1"], fused_adamw, X, y), y, RATE), rounds=5)
    one, two = (seconds[f"n_jobs={n}"] for n in (1, 2))
    mode, theirs = fastest(seconds, "PyTorch")
    ratio, scaling = theirs / min(one, two), one / two
    tell(f"MNIST, {N_MNIST:,} images, B = {BATCH_MNIST}, AdamW: an epoch {duration(one)} with one thread, {duration(two)} "
         f"with two: {times(scaling)} as fast (target 1.7: {verdict(scaling >= 1.7)}); {mode} {duration(theirs)}: "
         f"{times(ratio)} as fast (target 1.5: {verdict(ratio >= 1.5)}){as_usual(seconds, min(one, two))}")  # fmt: skip
