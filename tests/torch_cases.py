"""Networks with a front layer beside the same networks on features, in double precision, trained side by side."""

from copy import deepcopy

import numpy as np
import pytest
from effort import cases

pytest.importorskip("torch", reason="fcfast.torch needs PyTorch")
import torch
from torch import nn

from fcfast.torch import FrontLinear, NeuronAdam, Rows

TOLERANCE = 1e-9
N_STEPS = 8
DOUBLE = {"dtype": torch.float64}
N_CONFIGURATIONS = cases(40)


def samples(rng, kind):
    """Give features (N + 5, d) of training and new samples; "deficient" data have a rank below N and d."""
    n_samples, n_features = int(rng.integers(4, 20)), int(rng.integers(3, 120))
    if kind == "tall":
        n_samples, n_features = int(rng.integers(15, 30)), int(rng.integers(2, 8))
    X = rng.normal(size=(n_samples + 5, n_features)) / n_features**0.5
    if kind == "repeated":
        X[n_samples // 2 : n_samples] = X[: n_samples - n_samples // 2]
    if kind == "centred":
        X -= X[:n_samples].mean(axis=0)
    return X[:n_samples], X[n_samples:]


KINDS = "wide", "tall", "repeated", "centred"


class Modalities(nn.Module):
    """One or two front layers, or ordinary ones, and what is above them."""

    def __init__(self, first, above):
        super().__init__()
        self.first, self.above = nn.ModuleList(first), above

    def forward(self, *inputs):
        """Sum what the first layers give."""
        given = [layer(x) for layer, x in zip(self.first, inputs, strict=True)]
        return self.above(torch.cat(given, -1))


class Pair:
    """A network with front layers and its peer on features, with the same start."""

    def __init__(self, rng, seed, form="coordinates", n_layers=None, init="auto"):
        torch.manual_seed(seed)
        kind = KINDS[seed % 4]
        n_layers = n_layers or 1 + seed % 2
        self.data = [samples(rng, kind)]
        for _ in range(n_layers - 1):
            n_samples = len(self.data[0][0])
            X = rng.normal(size=(n_samples + 5, int(rng.integers(3, 60))))
            self.data.append((X[:n_samples], X[n_samples:]))
        widths = [int(rng.integers(1, 9)) for _ in self.data]
        bias = bool(rng.integers(2))
        front = [
            FrontLinear(Rows(*data), width, bias, form=form, init=init, **DOUBLE)
            for data, width in zip(self.data, widths, strict=True)
        ]
        hidden = [nn.Tanh(), nn.Linear(sum(widths), 3, **DOUBLE)]
        self.ours = Modalities(front, nn.Sequential(*hidden))
        self.theirs = Modalities([layer.expand() for layer in front], deepcopy(self.ours.above))
        self.X = [torch.tensor(data[0]) for data in self.data]
        self.X_new = [torch.tensor(data[1]) for data in self.data]
        self.targets = torch.tensor(rng.normal(size=(len(self.X[0]), 3)))
        self.n_samples = len(self.X[0])

    @property
    def networks(self):
        """The two networks with what turns row numbers into their inputs."""
        return (self.ours, lambda rows: [rows for _ in self.X]), (self.theirs, lambda rows: [X[rows] for X in self.X])

    def losses(self, batches, network, inputs_of, optimizers, change=None, schedulers=(), accumulate=1, extra=None):
        """Train a network on batches, and give the losses."""
        losses = []
        for step, rows in enumerate(batches):
            loss = (network(*inputs_of(rows)) - self.targets[rows]).square().mean()
            if extra is not None:
                loss = loss + extra(network)
            (loss / accumulate).backward()
            losses.append(loss.item())
            if (step + 1) % accumulate == 0:
                if change is not None:
                    change(network)
                for optimizer in optimizers:
                    optimizer.step()
                    optimizer.zero_grad()
                for scheduler in schedulers:
                    scheduler.step()
        return losses

    def batches(self, rng, n_steps=N_STEPS):
        """Give batches of any size, with repeated rows."""
        return [torch.tensor(rng.integers(0, self.n_samples, int(rng.integers(1, 9)))) for _ in range(n_steps)]

    def check(self, losses):
        """Compare losses, expanded weights, biases, and outputs for new data and evaluation rows."""
        np.testing.assert_allclose(losses[0], losses[1], rtol=TOLERANCE, atol=TOLERANCE)
        for ours, theirs in zip(self.ours.first, self.theirs.first, strict=True):
            expanded = ours.expand()
            np.testing.assert_allclose(expanded.weight.detach(), theirs.weight.detach(), rtol=TOLERANCE, atol=TOLERANCE)
            if theirs.bias is not None:
                np.testing.assert_allclose(expanded.bias.detach(), theirs.bias.detach(), rtol=TOLERANCE, atol=TOLERANCE)
        with torch.no_grad():
            expected = self.theirs(*self.X_new)
            np.testing.assert_allclose(self.ours(*self.X_new), expected, rtol=TOLERANCE, atol=TOLERANCE)
            self.ours.eval()
            evaluated = self.ours(*[layer.rows.evaluation for layer in self.ours.first])
            self.ours.train()
            np.testing.assert_allclose(evaluated, expected, rtol=TOLERANCE, atol=TOLERANCE)


def group_by(network, settings):
    """Give parameter groups: the first layers with their settings, all other parameters with theirs."""
    first, others = settings
    weights = [layer.weight for layer in network.first]
    rest = [p for p in network.parameters() if all(p is not weight for weight in weights)]
    return [{"params": weights, **first}, {"params": rest, **others}]


def neuron_adam(network, **settings):
    """NeuronAdam for all parameters."""
    return NeuronAdam(network.parameters(), **settings)
