"""FrontLinear trains as nn.Linear does on the features: losses, weights and outputs for new data, to 1e-9."""

from copy import deepcopy

import numpy as np
import pytest

pytest.importorskip("torch", reason="fcfast.torch needs PyTorch")
import torch
import torch_cases
from torch import nn
from torch_cases import DOUBLE, N_CONFIGURATIONS, Pair, group_by

from fcfast.torch import FrontLinear, NeuronAdam, Rows, clip_grad_norm_

SEEDS = range(N_CONFIGURATIONS)
EXACT = {"rtol": torch_cases.TOLERANCE, "atol": torch_cases.TOLERANCE}


@pytest.fixture(autouse=True)
def one_thread():
    """Tiny products; more threads only wait for one another."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def sgd_settings(rng, seed):
    """Any settings of SGD."""
    nesterov = seed % 3 == 0
    way = [{"foreach": True}, {"foreach": False}, {"fused": True}][seed % 3]
    return {
        "lr": float(rng.uniform(0.01, 0.2)),
        "momentum": float(rng.uniform(0.1, 0.95)) if nesterov or rng.integers(2) else 0.0,
        "dampening": 0.0 if nesterov else float(rng.uniform(0, 0.9)) * (seed % 2),
        "weight_decay": float(rng.uniform(0, 0.3)) * int(rng.integers(2)),
        "nesterov": nesterov,
        **way,
    }


def schedule(optimizer, seed):
    """A schedule of any kind, or none."""
    kinds = [
        lambda: torch.optim.lr_scheduler.StepLR(optimizer, 3, 0.5),
        lambda: torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 10),
        lambda: torch.optim.lr_scheduler.LinearLR(optimizer, 0.1, 1.0, 5),
    ]
    return [kinds[seed % 4]()] if seed % 4 < 3 else []


@pytest.mark.parametrize("form", ["coordinates", "contributions"])
@pytest.mark.parametrize("seed", SEEDS)
def test_sgd(seed, form):
    """Momentum, dampening, Nesterov, weight decay, implementations, groups, schedules, accumulation, repeated rows."""
    rng = np.random.default_rng(seed)
    pair = Pair(rng, seed, form, init="span" if seed % 7 == 6 else "auto")
    first, others = sgd_settings(rng, seed), sgd_settings(rng, seed)
    batches, accumulate = pair.batches(rng), 1 + seed % 3 // 2
    losses = []
    for network, inputs_of in pair.networks:
        groups = group_by(network, (first, others)) if seed % 2 else [{"params": network.parameters(), **first}]
        optimizer = torch.optim.SGD(groups)
        losses.append(
            pair.losses(batches, network, inputs_of, [optimizer], schedulers=schedule(optimizer, seed), accumulate=accumulate)
        )
    pair.check(losses)


@pytest.mark.parametrize("seed", SEEDS)
def test_clipping(seed):
    """PyTorch's own clip_grad_norm_ clips by the norm of the weights' gradient."""
    rng = np.random.default_rng(100 + seed)
    pair = Pair(rng, seed)
    batches, limit = pair.batches(rng), float(rng.uniform(0.01, 0.5))
    norms = []

    def clip(network):
        norms.append(nn.utils.clip_grad_norm_(network.parameters(), limit).item())

    losses = [
        pair.losses(batches, network, inputs_of, [torch.optim.SGD(network.parameters(), 0.2, 0.9)], clip)
        for network, inputs_of in pair.networks
    ]
    assert max(norms) > limit
    pair.check(losses)


@pytest.mark.parametrize("seed", SEEDS[::2])
def test_clipping_of_contributions(seed):
    """The library's function does it in form "contributions", too, which PyTorch's cannot."""
    rng = np.random.default_rng(200 + seed)
    pair = Pair(rng, seed, "contributions")
    batches, limit, norms = pair.batches(rng), float(rng.uniform(0.01, 0.5)), []
    ways = [clip_grad_norm_, nn.utils.clip_grad_norm_]
    losses = []
    for (network, inputs_of), way in zip(pair.networks, ways, strict=True):

        def clip(network, way=way):
            norms.append(way(network.parameters(), limit).item())

        losses.append(pair.losses(batches, network, inputs_of, [torch.optim.SGD(network.parameters(), 0.2, 0.9)], clip))
    np.testing.assert_allclose(norms[: len(norms) // 2], norms[len(norms) // 2 :], **EXACT)
    pair.check(losses)


@pytest.mark.parametrize("seed", SEEDS[::2])
def test_penalty_in_the_loss(seed):
    """The squared length of a unit's weights is that of its coordinates, those of the initial weights included."""
    rng = np.random.default_rng(300 + seed)
    pair = Pair(rng, seed)
    batches = pair.batches(rng)

    def penalty(network):
        by_unit = sum(layer.weight.square().sum(1).sqrt().sum() for layer in network.first)
        return 0.01 * by_unit + 0.01 * sum(layer.weight.square().sum() for layer in network.first)

    losses = [
        pair.losses(batches, network, inputs_of, [torch.optim.SGD(network.parameters(), 0.1, 0.9)], extra=penalty)
        for network, inputs_of in pair.networks
    ]
    pair.check(losses)


@pytest.mark.parametrize("seed", SEEDS[::2])
def test_asgd(seed):
    """Averaged SGD adds and scales whole tensors."""
    rng = np.random.default_rng(400 + seed)
    pair = Pair(rng, seed, ["coordinates", "contributions"][seed % 2])
    batches, settings = pair.batches(rng), {"lr": 0.1, "lambd": 0.1, "weight_decay": 0.1, "t0": 3.0}
    losses = [
        pair.losses(batches, network, inputs_of, [torch.optim.ASGD(network.parameters(), **settings)])
        for network, inputs_of in pair.networks
    ]
    pair.check(losses)


def in_full_precision(gradient, ns_coefficients, ns_steps, eps):
    """Newton and Schulz's iteration of torch.optim.Muon without its cast to bfloat16."""
    a, b, c = ns_coefficients
    U = gradient.T if gradient.size(0) > gradient.size(1) else gradient
    U = U / U.norm().clamp(min=eps)
    for _ in range(ns_steps):
        G = U @ U.T
        U = a * U + (b * G + c * G @ G) @ U
    return U.T if gradient.size(0) > gradient.size(1) else U


@pytest.mark.skipif(not hasattr(torch.optim, "Muon"), reason="this PyTorch has no Muon")
@pytest.mark.parametrize("seed", SEEDS)
def test_muon(seed, monkeypatch):
    """PyTorch's Muon with the layer's group, which makes up for the shape that it reads; both without the cast to bfloat16."""
    monkeypatch.setattr("torch.optim._muon._zeropower_via_newtonschulz", in_full_precision)
    rng = np.random.default_rng(500 + seed)
    pair = Pair(rng, seed)
    batches = pair.batches(rng)
    adjust = [None, "original", "match_rms_adamw"][seed % 3]
    settings = {"lr": float(rng.uniform(0.01, 0.1)), "weight_decay": float(rng.uniform(0, 1)), "adjust_lr_fn": adjust}
    common = {"momentum": 0.9, "nesterov": bool(seed % 2)}
    losses = []
    for network, inputs_of in pair.networks:
        if network is pair.ours:
            groups = [layer.muon_group(**settings) for layer in network.first]
        else:
            groups = [{"params": [layer.weight for layer in network.first], **settings}]
        weights = {id(parameter) for group in groups for parameter in group["params"]}
        rest = [parameter for parameter in network.parameters() if id(parameter) not in weights]
        optimizers = [torch.optim.Muon(groups, **common), torch.optim.Adam(rest, 0.01)]
        schedulers = [torch.optim.lr_scheduler.StepLR(optimizers[0], 3, 0.5)]
        losses.append(pair.losses(batches, network, inputs_of, optimizers, schedulers=schedulers))
    pair.check(losses)


@pytest.mark.parametrize("form", ["coordinates", "contributions"])
@pytest.mark.parametrize("seed", SEEDS)
def test_neuron_adam(seed, form):
    """One second moment for each unit, by the true number of features."""
    rng = np.random.default_rng(600 + seed)
    pair = Pair(rng, seed, form)
    settings = {"lr": 0.02, "betas": (0.8, 0.95), "weight_decay": float(rng.uniform(0, 1)), "maximize": False}
    batches = pair.batches(rng)
    losses = [
        pair.losses(batches, network, inputs_of, [NeuronAdam(network.parameters(), **settings)])
        for network, inputs_of in pair.networks
    ]
    pair.check(losses)


@pytest.mark.parametrize("seed", range(5))
def test_neuron_adam_is_the_one_of_the_library(seed):
    """The formulas of `fcfast.optimizers.NeuronAdam`, in NumPy."""
    rng = np.random.default_rng(seed)
    W, b = rng.normal(size=(3, 4)), rng.normal(size=3)
    parameters = [nn.Parameter(torch.tensor(W)), nn.Parameter(torch.tensor(b))]
    optimizer = NeuronAdam(parameters, lr=0.1, betas=(0.7, 0.9), eps=1e-3, weight_decay=0.2)
    M, v, m_b, v_b = np.zeros((3, 4)), np.zeros(3), np.zeros(3), np.zeros(3)
    for step in range(1, 6):
        g, g_b = rng.normal(size=(3, 4)), rng.normal(size=3)
        for parameter, gradient in zip(parameters, (g, g_b), strict=True):
            parameter.grad = torch.tensor(gradient)
        optimizer.step()
        M, v = 0.7 * M + 0.3 * g, 0.9 * v + 0.1 * (g**2).mean(axis=1)
        m_b, v_b = 0.7 * m_b + 0.3 * g_b, 0.9 * v_b + 0.1 * g_b**2
        rate = 0.1 / (1 - 0.7**step)
        W = (1 - 0.02) * W - rate * M / (np.sqrt(v / (1 - 0.9**step)) + 1e-3)[:, None]
        b = (1 - 0.02) * b - rate * m_b / (np.sqrt(v_b / (1 - 0.9**step)) + 1e-3)
        np.testing.assert_allclose(parameters[0].detach(), W, rtol=1e-12)
        np.testing.assert_allclose(parameters[1].detach(), b, rtol=1e-12)


# ----------------------------------------------------------------------------------------------------------------------
# architectures in which the first layer is not the whole of the input


class Recurrent(nn.Module):
    """A GRU whose product with the inputs is a layer of its own, so that it may be a front layer."""

    def __init__(self, inputs, n_hidden, hidden):
        super().__init__()
        self.inputs, self.hidden, self.n_hidden = inputs, hidden, n_hidden

    def forward(self, sequences):
        """Give the last state (B, H) for sequences (B, T) of rows, or (B, T, d) of features."""
        given = self.inputs(sequences)
        h = given.new_zeros(len(given), self.n_hidden)
        for x in given.unbind(1):
            (x_r, x_z, x_n), (h_r, h_z, h_n) = x.chunk(3, -1), self.hidden(h).chunk(3, -1)
            z = torch.sigmoid(x_z + h_z)
            h = (1 - z) * torch.tanh(x_n + torch.sigmoid(x_r + h_r) * h_n) + z * h
        return h


@pytest.mark.parametrize("seed", SEEDS)
def test_gru(seed):
    """A recurrent network on voxels: the peer is nn.GRU, which has fewer volumes than voxels here."""
    rng = np.random.default_rng(700 + seed)
    torch.manual_seed(seed)
    n_volumes, d, H = int(rng.integers(6, 12)), int(rng.integers(20, 60)), int(rng.integers(1, 6))
    X = torch.tensor(rng.normal(size=(n_volumes, d)) / d**0.5)
    theirs = nn.GRU(d, H, batch_first=True, **DOUBLE)
    linear, hidden = nn.Linear(d, 3 * H, **DOUBLE), nn.Linear(H, 3 * H, **DOUBLE)
    with torch.no_grad():
        for layer, part in ((linear, "ih"), (hidden, "hh")):
            layer.weight.copy_(getattr(theirs, f"weight_{part}_l0"))
            layer.bias.copy_(getattr(theirs, f"bias_{part}_l0"))
    ours = Recurrent(FrontLinear.from_linear(linear, Rows(X)), H, hidden)
    settings = {"lr": 0.3, "momentum": 0.9, "weight_decay": 0.01}
    optimizers = [torch.optim.SGD(network.parameters(), **settings) for network in (ours, theirs)]
    for _ in range(torch_cases.N_STEPS):
        sequences = torch.tensor(rng.integers(0, n_volumes, (4, 5)))
        outputs = ours(sequences), theirs(X[sequences])[1][0]
        np.testing.assert_allclose(*(output.detach() for output in outputs), **EXACT)
        for output, optimizer in zip(outputs, optimizers, strict=True):
            optimizer.zero_grad()
            (output - 0.3).square().mean().backward()
            optimizer.step()
    np.testing.assert_allclose(ours.inputs.expand().weight.detach(), theirs.weight_ih_l0.detach(), **EXACT)


@pytest.mark.parametrize("seed", SEEDS)
def test_convolution_without_overlap(seed):
    """A first Conv3d whose kernel is its stride multiplies patches, each of which is a sample of the front layer."""
    rng = np.random.default_rng(800 + seed)
    torch.manual_seed(seed)
    k, n_channels = int(rng.integers(2, 5)), int(rng.integers(1, 5))
    volumes = torch.tensor(rng.normal(size=(3, 2, 2 * k, k, k)) / k**1.5)
    conv = nn.Conv3d(2, n_channels, k, stride=k, **DOUBLE)
    patches = volumes.unfold(2, k, k).unfold(3, k, k).unfold(4, k, k)  # (n, channels, 2, 1, 1, k, k, k)
    patches = patches.movedim(1, 4).reshape(3 * 2, 2 * k**3)
    linear = nn.utils.skip_init(nn.Linear, 2 * k**3, n_channels, **DOUBLE)
    with torch.no_grad():
        linear.weight.copy_(conv.weight.flatten(1))
        linear.bias.copy_(conv.bias)
    front = FrontLinear.from_linear(linear, Rows(patches))
    numbers = torch.arange(6).reshape(3, 2)
    head = nn.Linear(2 * n_channels, 2, **DOUBLE)
    ours, theirs = nn.ModuleList([front, head]), nn.ModuleList([conv, deepcopy(head)])
    optimizers = [torch.optim.SGD(network.parameters(), 0.2, 0.9) for network in (ours, theirs)]
    for _ in range(torch_cases.N_STEPS):
        rows = torch.tensor(rng.integers(0, 3, 2))
        maps = front(numbers[rows]), conv(volumes[rows]).flatten(2).transpose(1, 2)
        np.testing.assert_allclose(*(m.detach() for m in maps), **EXACT)
        for values, network, optimizer in zip(maps, (ours, theirs), optimizers, strict=True):
            optimizer.zero_grad()
            (network[1](torch.tanh(values).flatten(1)) - 1).square().mean().backward()
            optimizer.step()
    np.testing.assert_allclose(front.expand().weight.detach(), conv.weight.detach().flatten(1), **EXACT)
