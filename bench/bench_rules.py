"""Learning rules: a step beside backpropagation's and beside PyTorch's forward mode, two hidden layers; memory by depth

Reproduce: pytest bench/bench_rules.py
Settings: form "weights", batches of 128, float32, SGD, after an assertion that the same noise gives the same update. Targets: a
step of FG-A costs at most 1.2 times that of backpropagation at 784-1024-1024-10 and is 3 times as fast as the same estimator by
torch.func.jvp; the memory that a step of LG-FG-A allocates does not grow with depth. At that size both sides spend their time
in the same matrix products.
"""

import tracemalloc
from copy import deepcopy
from itertools import pairwise

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from bench.measure import Run, duration, times, verdict
from fcfast import backend
from fcfast.front.weights import WeightsForm
from fcfast.gram.start import GivenWeights
from fcfast.optimizers import SGD
from fcfast.rules import RULES
from fcfast.training.network import FrontNetwork

D, BATCH, CLASSES, STEPS, RATE = 784, 128, 10, 8, 1e-3


rng = np.random.default_rng(1)
X, Y = rng.random((STEPS * BATCH, D), dtype="f4"), rng.integers(0, CLASSES, STEPS * BATCH)


def start(hidden):
    """Weights, of He's scale, and biases of all layers."""
    rng = np.random.default_rng(0)
    shapes = [(n_out, n_in) for n_in, n_out in pairwise((D, *hidden, CLASSES))]
    return [rng.normal(0, (2 / shape[1]) ** 0.5, shape).astype("f4") for shape in shapes], [
        np.zeros(n, "f4") for n, _ in shapes
    ]


def make_network(rule, hidden):
    """A network of ours in form "weights"."""
    weights, biases = start(hidden)
    front = WeightsForm(X, GivenWeights(weights[0]), np.dtype("f4"), with_velocity=False)
    return FrontNetwork(front, biases, weights[1:], "relu", "cross_entropy", SGD(), BATCH, BATCH, 2, rule)


def train(network):
    """Train on all batches once."""
    network.train_epoch(np.arange(STEPS * BATCH), np.full(STEPS, RATE), Y, None)


class TorchForwardGradient:
    """FG-A by torch.func.jvp: perturbed pre-activations, gradients as outer products, the output layer's exact."""

    def __init__(self, torch, hidden):
        self.torch = torch
        weights, biases = start(hidden)
        self.weights, self.biases = ([torch.from_numpy(array.copy()) for array in arrays] for arrays in (weights, biases))
        self.X, self.y = map(torch.from_numpy, (X, Y))
        self.still = [torch.zeros(BATCH, n) for n in hidden]

    def losses(self, noise, X, y):
        """Each sample's loss for some noise on the pre-activations, and what the update needs."""
        values = [X]
        for W, b, u in zip(self.weights, self.biases, noise, strict=False):
            values.append(self.torch.relu(self.torch.nn.functional.linear(values[-1], W, b) + u))
        outputs = self.torch.nn.functional.linear(values[-1], self.weights[-1], self.biases[-1])
        return self.torch.nn.functional.cross_entropy(outputs, y, reduction="none"), (values, outputs)

    def gradients(self, step, noise):
        """Mean loss, and the estimates for weights and biases, for given noise."""
        torch, rows = self.torch, slice(step * BATCH, (step + 1) * BATCH)
        X, y = self.X[rows], self.y[rows]
        loss, derivative, (values, outputs) = torch.func.jvp(
            lambda *u: self.losses(u, X, y), tuple(self.still), tuple(noise), has_aux=True
        )
        deltas = [(derivative[:, None] / BATCH) * u * (value > 0) for u, value in zip(noise, values[1:], strict=True)]
        error = torch.softmax(outputs, 1)
        error[torch.arange(BATCH), y] -= 1
        deltas.append(error / BATCH)
        return loss.mean(), [d.T @ v for d, v in zip(deltas, values, strict=True)], [d.sum(0) for d in deltas]

    def epoch(self, n_threads):
        """Train on all batches once."""
        self.torch.set_num_threads(n_threads)
        with self.torch.no_grad():
            for step in range(STEPS):
                _, by_weights, by_biases = self.gradients(step, [self.torch.randn(still.shape) for still in self.still])
                self.torch._foreach_sub_(self.weights, by_weights, alpha=RATE)
                self.torch._foreach_sub_(self.biases, by_biases, alpha=RATE)


def assert_same_estimate(peer, torch, hidden):
    """Given our noise, PyTorch makes the same update."""
    network = make_network(RULES["fg-a"], hidden)
    generator, noise = deepcopy(network.rule_state.generator), np.empty((2, BATCH * hidden[0]), "f4")
    for layer in noise:
        backend.noise.normals(int(generator.integers(2**64, dtype=np.uint64)), layer, 1)
    params, base = network.params.copy(), network.front.base.copy()
    network.train_epoch(np.arange(BATCH), np.full(1, 1.0), Y, None)
    _, by_weights, by_biases = peer.gradients(0, torch.from_numpy(noise.reshape(2, BATCH, -1)))
    upper = (part.ravel() for pair in zip(by_weights[1:], by_biases[1:], strict=True) for part in pair)
    for ours, theirs in (
        (params - network.params, torch.cat([by_biases[0], *upper])),
        (base - network.front.base, by_weights[0]),
    ):
        np.testing.assert_allclose(ours, theirs.numpy(), rtol=1e-3, atol=1e-4 * np.abs(ours).max())


@pytest.mark.parametrize("width", [1024, 256])
@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated:DeprecationWarning")  # PyTorch's own use of it
def bench_forward_gradient(width, compare, tell):
    """A step of FG-A beside a step of backpropagation, ours, and the same estimator in PyTorch."""
    torch = pytest.importorskip("torch", reason="the peer is PyTorch")
    hidden = (width, width)
    peer = TorchForwardGradient(torch, hidden)
    assert_same_estimate(peer, torch, hidden)
    names = ("backprop", "fg-a", "lg-fg-a", "local-loss", "fa", "dfa")
    networks = {name: make_network(RULES[name], hidden) for name in names}
    runs = {
        f"{name}, {n} threads": Run(
            lambda _limits, network=network: train(network), STEPS, lambda n=n: (threadpool_limits(n, user_api="blas"),)
        )
        for name, network in networks.items()
        for n in (1, 2)
    }
    runs |= {f"PyTorch, {n} threads": Run(lambda n=n: peer.epoch(n), STEPS) for n in (1, 2)}
    seconds = compare(runs, rounds=9)
    fastest = {name: min(seconds[f"{name}, {n} threads"] for n in (1, 2)) for name in (*names, "PyTorch")}
    for name in names[1:]:
        ratio = fastest[name] / fastest["backprop"]
        target = f" (target 1.2: {verdict(ratio <= 1.2)})" if (name, width) == ("fg-a", 1024) else ""
        tell(f"width {width}: {name}: {duration(fastest[name])} a step, {ratio:.2f} of backpropagation's "
             f"{duration(fastest['backprop'])}{target}")  # fmt: skip
    ratio = fastest["PyTorch"] / fastest["fg-a"]
    tell(f"width {width}: FG-A by torch.func.jvp: {duration(fastest['PyTorch'])} a step; ours {times(ratio)} as fast "
         f"(target 3: {verdict(ratio >= 3)})")  # fmt: skip


@pytest.mark.parametrize("rule", ["lg-fg-a", "local-loss", "fg-a", "local-fg-a"])
def bench_memory_by_depth(rule, tell):
    """What steps allocate at their peak, networks of 2 to 32 hidden layers."""
    peaks = {}
    for depth in (2, 8, 32):
        network = make_network(RULES[rule], (256,) * depth)
        train(network)
        tracemalloc.start()
        train(network)
        peaks[depth] = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    target = f" (target 1.1: {verdict(peaks[32] <= 1.1 * peaks[2])})" if rule == "lg-fg-a" else ""
    tell(f"{rule} allocates {', '.join(f'{peak / 2**20:.2f} MiB with {n} layers' for n, peak in peaks.items())}: "
         f"{peaks[32] / peaks[2]:.2f} times{target}")  # fmt: skip
