"""The compiled step makes the steps of torch.optim.SGD."""

import copy

import numpy as np
import pytest

pytest.importorskip("torch", reason="fcfast.torch needs PyTorch")
import torch
from torch import nn
from torch_cases import DOUBLE, Pair

from fcfast.torch import FrontLinear, NeuronAdam, Rows, compiled_step

SETTINGS = [
    {"lr": 0.1},
    {"lr": 0.05, "momentum": 0.8, "dampening": 0.4, "weight_decay": 0.1},
    {"lr": 0.05, "momentum": 0.9, "nesterov": True, "weight_decay": 0.05},
    {"lr": 0.01, "momentum": 0.5, "maximize": True},
]


@pytest.fixture(autouse=True)
def fresh_compiler():
    """What one test compiled is nothing to the next."""
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


def squared(outputs, targets):
    return (outputs - targets).square().mean()


@pytest.mark.parametrize(("settings", "form"), [*((held, "coordinates") for held in SETTINGS), (SETTINGS[-1], "contributions")])
def test_step(settings, form):
    """Losses, parameters and velocities, with groups and a schedule."""
    rng = np.random.default_rng(0)
    pair = Pair(rng, 1, form, n_layers=1)
    net = nn.Sequential(pair.ours.first[0], pair.ours.above)
    peer = copy.deepcopy(net)
    optimizers, schedulers = [], []
    for module in (net, peer):
        optimizers.append(
            torch.optim.SGD([{"params": module[0].parameters(), "lr": 0.02}, {"params": module[1].parameters()}], **settings)
        )
        schedulers.append(torch.optim.lr_scheduler.StepLR(optimizers[-1], 2, 0.5))
    step = compiled_step(net, squared, optimizers[0], backend="aot_eager")
    for _ in range(6):
        rows = torch.tensor(rng.integers(0, pair.n_samples, 5))
        loss = step(rows, pair.targets[rows])
        optimizers[1].zero_grad()
        expected = squared(peer(rows), pair.targets[rows])
        expected.backward()
        optimizers[1].step()
        for scheduler in schedulers:
            scheduler.step()
        torch.testing.assert_close(loss, expected.detach(), rtol=1e-12, atol=1e-12)
    for ours, theirs in zip(net.parameters(), peer.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)
    for ours, theirs in zip(optimizers[0].state.values(), optimizers[1].state.values(), strict=True):
        torch.testing.assert_close(ours.get("momentum_buffer"), theirs.get("momentum_buffer"), rtol=1e-12, atol=1e-12)


def test_frozen_parameters_and_another_way_to_go_on():
    """A frozen layer rests, and training goes on with the optimiser's own step."""
    X = np.random.default_rng(0).normal(size=(8, 50))
    net = nn.Sequential(FrontLinear(Rows(X), 3, **DOUBLE), nn.Tanh(), nn.Linear(3, 1, **DOUBLE))
    net[0].requires_grad_(False)
    before = net[0].weight.clone()
    optimizer = torch.optim.SGD(net.parameters(), 0.1, 0.9)
    step = compiled_step(net, lambda outputs: outputs.square().mean(), optimizer, backend="eager")
    losses = [step(None).item() for _ in range(3)]
    net(None).square().mean().backward()
    optimizer.step()
    losses.append(net(None).square().mean().item())
    assert losses == sorted(losses, reverse=True)
    assert torch.equal(net[0].weight, before)


def test_refusals():
    """SGD alone, with parameters of the network."""
    X = np.random.default_rng(0).normal(size=(8, 50))
    net = FrontLinear(Rows(X), 3)
    with pytest.raises(TypeError, match=r"torch\.optim\.SGD, got a NeuronAdam"):
        compiled_step(net, squared, NeuronAdam(net.parameters()))
    with pytest.raises(ValueError, match="net does not have"):
        compiled_step(net, squared, torch.optim.SGD(nn.Linear(2, 2).parameters()))


@pytest.mark.parametrize("is_sequential", [True, False])
def test_rows_that_cannot_be_trained_on(is_sequential):
    """They are refused before the first compilation and after it, and draw nothing from PyTorch's generator."""
    X = np.random.default_rng(0).normal(size=(8, 50))
    front, above = FrontLinear(Rows(X[:6], X[6:]), 3), nn.Sequential(nn.Dropout(0.5), nn.Linear(3, 1))
    net = nn.Sequential(front, above) if is_sequential else Wrapped(front, above)
    optimizer = torch.optim.SGD(net.parameters(), 0.1)
    cases = [(torch.tensor([0, 6]), IndexError, "0 to 5, got 0 to 6"), (torch.tensor([-1]), IndexError, "0 to 5, got -1")]
    cases += [(torch.randn(2, 50), TypeError, "integers"), (X[:2], TypeError, "integers"), ([1, 2], TypeError, "integers")]
    for rows, error, message in cases:
        fresh = compiled_step(net, lambda outputs: outputs.square().mean(), optimizer, backend="eager")
        state = torch.get_rng_state()
        with pytest.raises(error, match=message):
            fresh(rows)
        assert torch.equal(torch.get_rng_state(), state)
    step = compiled_step(net, lambda outputs: outputs.square().mean(), optimizer, backend="eager")
    step(torch.tensor([0, 5, 5]))
    net.eval()  # evaluation samples teach nothing in either mode
    for rows, error, message in [*cases, (front.rows.evaluation, IndexError, "got 6 to 7")]:
        with pytest.raises(error, match=message):
            step(rows)


class Wrapped(nn.Module):
    """A network with a forward of its own."""

    def __init__(self, front, above):
        super().__init__()
        self.front, self.above = front, above

    def forward(self, rows):
        """Give the outputs for some rows."""
        return self.above(self.front(rows))
