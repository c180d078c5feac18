"""Training on wide data against PyTorch: h = 256, 10 classes, momentum 0.9, float32, 2 threads

Reproduce: pytest bench/bench_front.py
The time is that of a step of SGD on the cross-entropy, from the same initial weights and batches; losses are compared first.
Both sides use one or two threads (of BLAS, of PyTorch), whichever is faster; a timed block is a whole number of epochs and
takes at least BLOCK seconds. "once" is the cost of contributions before the first step: Gram matrix and S0 from W1(0) in
memory. Targets: 120, 700, 100 and 20 times for the wide cases; one sample at a time, 25 times PyTorch and 3 times "weights".
A step at full batch: at most 2 (N = 100) and 3 (N = 30) times the time of its matrix products alone.
"""

import warnings
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_limits

from bench.measure import BLOCK, Run, duration, times, verdict
from fcfast import backend
from fcfast.front import FORMS
from fcfast.front.contributions import ContributionsForm
from fcfast.gram.start import GivenWeights
from fcfast.optimizers import SCHEDULES, SGD
from fcfast.training import EpochsInMemory, Training
from fcfast.training.network import FrontNetwork

peers = pytest.importorskip("bench.peers", reason="the peer is PyTorch")

HIDDEN, CLASSES, RATE = 256, 10, 0.01


@dataclass(frozen=True)
class Case:
    """Samples, features, batch size, momentum; how many times PyTorch's speed is the target."""

    n: int
    d: int
    batch: int
    momentum: float
    target: float

    @cached_property
    def data(self):
        rng = np.random.default_rng(0)
        return rng.normal(size=(self.n, self.d)).astype(np.float32), rng.integers(0, CLASSES, self.n).astype(np.intp)

    @cached_property
    def start(self):
        """Initial weights and biases of both layers."""
        rng = np.random.default_rng(1)
        W1 = (rng.uniform(-1, 1, (HIDDEN, self.d)) / self.d**0.5).astype(np.float32)
        W2 = (rng.uniform(-1, 1, (CLASSES, HIDDEN)) / HIDDEN**0.5).astype(np.float32)
        return peers.Start(W1, W2, np.zeros(HIDDEN, np.float32), np.zeros(CLASSES, np.float32))

    @property
    def n_steps(self):
        return -(-self.n // self.batch)


WIDE = (
    Case(100, 20_000, 100, 0.9, 120),
    Case(100, 100_000, 100, 0.9, 700),
    Case(187, 20_000, 16, 0.9, 100),
    Case(1000, 20_000, 32, 0.9, 20),
)
ONLINE = Case(2000, 784, 1, 0.0, 25)


def front_network(case, form):
    """Our network in one of the forms."""
    X, _ = case.data
    W1, W2, b1, b2 = case.start
    optimizer = SGD(momentum=case.momentum)
    front = FORMS[form](X, GivenWeights(W1), np.dtype(np.float32), bool(case.momentum))
    window = front.choose_window("auto", case.batch, case.n, bool(case.momentum))
    return FrontNetwork(front, [b1, b2], [W2], "relu", "cross_entropy", optimizer, case.batch, window, 2)


def front_epoch(case, network):
    rows, rates = np.arange(case.n), np.full(case.n_steps, RATE)
    return lambda: network.train_epoch(rows, rates, case.data[1], None)


def front_runs(case, name, epoch):
    """Blocks of epochs, with one and with two threads of BLAS."""
    n_epochs = max(1, round(BLOCK / (case.n_steps * 2e-4)))

    def train(_limits):
        for _ in range(n_epochs):
            epoch()

    return {
        f"{name}, {n} threads": Run(train, n_epochs * case.n_steps, lambda n=n: (threadpool_limits(n, user_api="blas"),))
        for n in (1, 2)
    }


def torch_network(case):
    return peers.TorchNetwork(*case.data, HIDDEN, CLASSES, case.batch, RATE, case.momentum, case.start)


def torch_runs(case, peer, n_steps):
    return {f"PyTorch, {n} threads": Run(lambda n=n: peer.train(n_steps, n), n_steps) for n in (1, 2)}


def best(seconds, name):
    return min(value for key, value in seconds.items() if key.startswith(name))


@pytest.mark.parametrize("case", WIDE, ids=lambda case: f"{case.n}x{case.d},B={case.batch}")
def bench_wide(case, compare, tell):
    """Contributions: a step that does not see the features."""
    network, peer = front_network(case, "contributions"), torch_network(case)
    epoch, n_steps = front_epoch(case, network), min(case.n_steps, 8)
    np.testing.assert_allclose(epoch()[:n_steps], peer.train(n_steps), rtol=1e-4)
    once = Run(lambda: ContributionsForm(case.data[0], GivenWeights(case.start[0]), np.dtype(np.float32), True))
    seconds = compare({**front_runs(case, "fcfast", epoch), **torch_runs(case, peer, n_steps), "once": once}, rounds=5)
    ours, theirs = best(seconds, "fcfast"), best(seconds, "PyTorch")
    ratio = theirs / ours
    tell(f"N = {case.n:,}, d = {case.d:,}, B = {case.batch}: {duration(ours)} a step, PyTorch "
         f"{duration(theirs)}: {times(ratio)} as fast (target {case.target}: "
         f"{verdict(ratio >= case.target)}); once {duration(seconds['once'])}")  # fmt: skip


def bench_online(compare, tell):
    """Windows: one sample at a time (784 features, as MNIST) at the speed of matrix products."""
    case, n_steps = ONLINE, 200
    epochs = {form: front_epoch(case, front_network(case, form)) for form in ("windowed", "weights")}
    peer = torch_network(case)
    expected = peer.train(n_steps)
    runs = {}
    for form, epoch in epochs.items():
        np.testing.assert_allclose(epoch()[:n_steps], expected, rtol=1e-3)
        runs |= front_runs(case, form, epoch)
    seconds = compare({**runs, **torch_runs(case, peer, n_steps)}, rounds=5)
    windowed, weights, theirs = (best(seconds, name) for name in ("windowed", "weights", "PyTorch"))
    ratio, own = theirs / windowed, weights / windowed
    tell(f"B = 1, d = {case.d}: {duration(windowed)} a sample, weights form {duration(weights)}, PyTorch "
         f"{duration(theirs)}: {times(ratio)} PyTorch's speed (target 25: {verdict(ratio >= 25)}), "
         f"{times(own)} the weights form's (target 3: {verdict(own >= 3)})")  # fmt: skip


def bench_features(compare, tell):
    """A step does not depend on the number of features."""
    runs = {}
    for d in (1000, 10_000, 100_000, 1_000_000):
        case = Case(100, d, 100, 0.9, 1)
        runs[d] = Run(front_epoch(case, front_network(case, "contributions")), case.n_steps)
    with threadpool_limits(1, user_api="blas"):
        seconds = compare(runs)
    spread = max(seconds.values()) / min(seconds.values()) - 1
    tell(f"N = 100 full batch, d = 1,000 to 1,000,000: {', '.join(duration(s) for s in seconds.values())} a step; "
         f"largest difference {spread:.0%} (target 15 %: {verdict(spread <= 0.15)})")  # fmt: skip


def products_alone(n):
    """The matrix products of a step at full batch: pre-activations, outputs, and the two of the backward pass."""
    rng = np.random.default_rng(0)
    shapes = {"G": (n, n), "A": (n, HIDDEN), "S": (n, HIDDEN), "H": (n, HIDDEN), "V": (CLASSES, HIDDEN), "O": (n, CLASSES)}
    of = {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    grad, delta, product = np.empty_like(of["V"]), np.empty_like(of["H"]), backend.forward.product

    def multiply():
        product(of["G"], False, of["A"], False, of["S"])
        product(of["H"], False, of["V"], True, of["O"])
        product(of["O"], True, of["H"], False, grad)
        product(of["O"], False, of["V"], False, delta)

    return multiply


@pytest.mark.parametrize(("n", "target"), [(100, 2), (30, 3)])
def bench_full_batch(n, target, compare, tell):
    """A step at full batch, as the fit loop takes it and from one call to the next, against its matrix products alone."""
    case, n_epochs = Case(n, 1000, n, 0.9, 1), 500
    network = front_network(case, "contributions")
    fit = Training(1e-4, SCHEDULES["constant"], n_epochs, 0.0, n_epochs, shuffle=True)

    def train():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # the same network is trained on and on
            fit.run(EpochsInMemory(fit, network, np.arange(n), case.data[1], None, np.random.RandomState(0)))

    products = Run(products_alone(n))
    runs = {
        "fit": Run(train, n_epochs),
        "call": Run(front_epoch(case, front_network(case, "contributions"))),
        "products": products,
    }
    with threadpool_limits(1, user_api="blas"):
        seconds = compare(runs, rounds=15)
    ratio = seconds["fit"] / seconds["products"]
    tell(f"N = {n} full batch: {duration(seconds['fit'])} a step of a fit, {duration(seconds['call'])} a call of one step, "
         f"{duration(seconds['products'])} its products alone: {times(ratio)} those (target {target}: "
         f"{verdict(ratio <= target)})")  # fmt: skip
