"""Ours and the peers on the same rows from the same start: h = 256 ReLUs, cross-entropy, float32, constant rates."""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from bench import peers
from fcfast.front import FORMS
from fcfast.gram.start import RandomWeights
from fcfast.optimizers import SGD, Adagrad, Optimizer
from fcfast.training.network import FrontNetwork

HIDDEN, MOMENTUM, THREADED = 256, 0.9, 2
RATE, ADAPTIVE_RATE = 0.5, 0.01
LONGEST = {1: 10_000}  # steps of an epoch at most, by batch size
LONGEST_OTHERS = 1500
OURS = {"SGD": SGD(), "momentum": SGD(momentum=MOMENTUM), "Adagrad": Adagrad()}
LIGHT = "EmbeddingBag, SGD", "EmbeddingBag, Adagrad", "EmbeddingBag, SparseAdam"
DENSE = "dense gradient", "dense batches", "sparse tensor"
SKLEARN = "scikit-learn MLP"
SPARED = LIGHT[2], *DENSE[1:]  # the slower of several peers of a kind, where weights are many
MANY = 1e8


@dataclass(frozen=True)
class Problem:
    """Samples (n, d), their classes, the batch size, the order in which samples are taken, and the initial weights."""

    X: Any
    y: NDArray[np.int64]
    batch: int
    order: NDArray[np.intp]
    start: RandomWeights
    above: NDArray[np.float64]

    @classmethod
    def of(cls, X: Any, y: NDArray[np.int64], batch: int) -> "Problem":
        """Shuffle the samples, of which an epoch is not to take long, and draw the weights."""
        order = np.random.default_rng(2).permutation(X.shape[0])[: LONGEST.get(batch, LONGEST_OTHERS) * batch]
        n_out = int(y.max()) + 1
        above = np.random.default_rng(1).normal(size=(n_out, HIDDEN)) / HIDDEN**0.5
        return cls(X, y, batch, order, RandomWeights(HIDDEN, X.shape[1], 0, "relu"), above)

    def has(self, peer: str) -> bool:
        """Whether a peer is measured."""
        return peer not in SPARED or self.X.shape[1] * HIDDEN < MANY

    @property
    def n_classes(self) -> int:
        """Number of classes."""
        return len(self.above)

    @property
    def n_steps(self) -> int:
        """Steps of an epoch."""
        return -(-len(self.order) // self.batch)

    def rows(self, n_steps: int) -> NDArray[np.intp]:
        """The samples of the first steps."""
        return self.order[: n_steps * self.batch]

    def samples(self, n_steps: int) -> tuple[Any, NDArray[np.int64]]:
        """The samples of the first steps in their order, and their classes."""
        rows = self.rows(n_steps)
        return self.X[rows], self.y[rows]

    @cached_property
    def weights(self) -> peers.Start:
        """The initial weights as arrays."""
        W1 = self.start.dense("f4")
        biases = np.zeros(HIDDEN, "f4"), np.zeros(self.n_classes, "f4")
        return peers.Start(W1, self.above.astype("f4"), *biases)


def rate(momentum: float) -> float:
    """The rate whose effect does not depend on the momentum."""
    return RATE * (1 - momentum)


class Contender(Protocol):
    """Who trains a problem."""

    def train(self, n_steps: int) -> NDArray[np.float64]:
        """Train on the first batches; give the losses of the steps, or their mean."""


class Ours:
    """The forms that `fit` takes: with single samples and no velocity, windows of several steps."""

    def __init__(self, problem: Problem, optimizer: Optimizer) -> None:
        form = FORMS["weights" if isinstance(optimizer, Adagrad) else "windowed"].variant(True)
        self.problem, self.optimizer = problem, optimizer
        self.front = form(problem.X, problem.start, np.dtype("f4"), optimizer.has_velocity, 1)
        self.window = form.choose_window("auto", problem.batch, problem.X.shape[0], optimizer.has_velocity)
        self.rate = rate(optimizer.momentum) if isinstance(optimizer, SGD) else ADAPTIVE_RATE
        self.network = self.network_of(1)

    def network_of(self, n_threads: int) -> FrontNetwork:
        """Make a network with the front layer."""
        biases, above = [np.zeros(HIDDEN), np.zeros(self.problem.n_classes)], [self.problem.above]
        settings = self.optimizer, self.problem.batch, self.window, n_threads
        return FrontNetwork(self.front, biases, above, "relu", "cross_entropy", *settings)

    def shared(self, n_threads: int) -> "Ours":
        """The same front layer, which threads train."""
        other = copy.copy(self)
        other.network = other.network_of(n_threads)
        return other

    def train(self, n_steps: int) -> NDArray[np.float64]:
        """Train on the first batches; give the losses of the steps."""
        rows = self.problem.rows(n_steps)
        return self.network.train_epoch(rows, np.full(-(-len(rows) // self.problem.batch), self.rate), self.problem.y, None)

    def slots_of(self, rows: NDArray[np.intp]) -> NDArray[np.int32]:
        """The slots of the entries of some samples, sample by sample."""
        source = self.front.source
        return np.concatenate([source.slots[source.indptr[row] : source.indptr[row + 1]] for row in rows])


class Torch:
    """A network of PyTorch's, whose batches are made beforehand."""

    def __init__(
        self, problem: Problem, n_steps: int, first: type, momentum: float, optimizer: Callable[[Any], Any] | None = None
    ) -> None:
        torch.sparse.check_sparse_tensor_invariants.disable()  # which is the default, but not to say so gives a warning
        X, y = problem.samples(n_steps)
        sizes = HIDDEN, problem.n_classes, problem.batch, rate(momentum), momentum
        self.network = peers.TorchNetwork(X, y, *sizes, start=problem.weights, first=first)
        if optimizer is not None:
            self.network.optimizer = optimizer(self.network.network)

    def train(self, n_steps: int) -> NDArray[np.float64]:
        """Train on the first batches; give the losses of the steps."""
        return np.asarray(self.network.train(n_steps, n_threads=1))


class Sklearn:
    """MLPClassifier, for a few steps."""

    def __init__(self, problem: Problem, n_steps: int) -> None:
        sizes = HIDDEN, problem.n_classes, problem.batch, rate(MOMENTUM), MOMENTUM
        self.network = peers.SklearnNetwork(*problem.samples(n_steps), *sizes, start=problem.weights)

    def train(self, n_steps: int) -> NDArray[np.float64]:
        """Train on all the steps that it was made with; give their mean loss."""
        return np.array([self.network.train_epoch()])


class SparseAdam:
    """`SparseAdam` for the embeddings, and Adam for what has dense gradients, which it does not take."""

    def __init__(self, network: Any) -> None:
        first, others = network[0].bag.weight, [network[0].bias, *network[2].parameters()]
        self.parts = torch.optim.SparseAdam([first], lr=1e-3), torch.optim.Adam(others, lr=1e-3, fused=True)

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for part in self.parts:
            part.zero_grad()

    def step(self) -> None:
        """Take a step."""
        for part in self.parts:
            part.step()


def adagrad(network: Any) -> torch.optim.Optimizer:
    """Adagrad, which takes sparse gradients."""
    return torch.optim.Adagrad(network.parameters(), lr=ADAPTIVE_RATE)


PEERS: dict[str, Callable[[Problem, int], Contender]] = {
    "EmbeddingBag, SGD": partial(Torch, first=peers.EmbeddingFirst, momentum=0.0),
    "EmbeddingBag, Adagrad": partial(Torch, first=peers.EmbeddingFirst, momentum=0.0, optimizer=adagrad),
    "EmbeddingBag, SparseAdam": partial(Torch, first=peers.EmbeddingFirst, momentum=0.0, optimizer=SparseAdam),
    "dense gradient": partial(Torch, first=peers.DenseEmbeddingFirst, momentum=MOMENTUM),
    "dense batches": partial(Torch, first=peers.DenseFirst, momentum=MOMENTUM),
    "sparse tensor": partial(Torch, first=peers.SparseFirst, momentum=MOMENTUM),
    SKLEARN: Sklearn,
}
# By which of our optimisers a peer trains; SparseAdam, whose moments rest between the occurrences of a feature, by none.
SAME = {"EmbeddingBag, SGD": "SGD", "EmbeddingBag, Adagrad": "Adagrad"} | dict.fromkeys((*DENSE, SKLEARN), "momentum")
