"""What a FrontLinear refuses, and what it cannot notice, which the documentation names."""

import copy
import gc

import numpy as np
import pytest

pytest.importorskip("torch", reason="fcfast.torch needs PyTorch")
import torch
from torch import nn
from torch_cases import DOUBLE

from fcfast.torch import FrontLinear, InexactOptimizerError, NeuronAdam, Rows, allow_optimizer, clip_grad_norm_, guard

INEXACT = [
    torch.optim.Adam, torch.optim.AdamW, torch.optim.RMSprop, torch.optim.Adagrad, torch.optim.LBFGS, torch.optim.Adadelta,
    torch.optim.Adamax, torch.optim.NAdam, torch.optim.RAdam, torch.optim.Rprop,
]  # fmt: skip


@pytest.fixture
def X():
    return np.random.default_rng(0).normal(size=(12, 300)) / 10


def network(X, form="coordinates"):
    """A network with a front layer, which has gradients."""
    net = nn.Sequential(FrontLinear(Rows(X), 4, form=form, **DOUBLE), nn.Tanh(), nn.Linear(4, 2, **DOUBLE))
    net(None).sum().backward()
    return net


@pytest.mark.parametrize("kind", INEXACT, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("form", ["coordinates", "contributions"])
def test_optimizers_that_are_not_exact(X, kind, form):
    """They are refused before they change anything, and the message names the remedy."""
    net = network(X, form)
    before = copy.deepcopy(net.state_dict())
    optimizer = kind(net.parameters())
    for _ in range(2):
        with pytest.raises(InexactOptimizerError, match=rf"{kind.__name__} would not train FrontLinear.*NeuronAdam.*expand"):
            optimizer.step(lambda: 0.0)
    assert all(torch.equal(net.state_dict()[name], before[name]) for name in ("0.weight", "0.bias", "2.weight"))


@pytest.mark.parametrize("kind", INEXACT, ids=lambda kind: kind.__name__)
def test_they_may_train_what_is_above(X, kind):
    """The guard looks at the layer's weight alone; its bias is an ordinary parameter."""
    net = network(X)
    optimizer = kind([net[0].bias, *net[2].parameters()])

    def closure():
        optimizer.zero_grad()
        loss = net(None).square().sum()
        loss.backward()
        return loss

    bias = net[0].bias.clone()
    optimizer.step(closure)
    assert not torch.equal(net[0].bias, bias)


def test_all_optimizers_of_pytorch_are_known():
    """Whatever is new in PyTorch is refused until somebody has looked at it."""
    assert {torch.optim.SGD, torch.optim.ASGD, NeuronAdam} <= guard._exact
    named = {
        value for value in vars(torch.optim).values() if isinstance(value, type) and issubclass(value, torch.optim.Optimizer)
    }
    exact = {kind for kind in guard._exact if kind.__module__.startswith("torch.optim")}
    assert exact & named == {torch.optim.SGD, torch.optim.ASGD}


def test_subclasses_are_other_optimizers(X):
    """A subclass may do anything, until it is let through."""

    class Scaled(torch.optim.SGD):
        pass

    net = network(X)
    optimizer = Scaled(net.parameters(), 0.1)
    with pytest.raises(InexactOptimizerError, match="Scaled"):
        optimizer.step()
    assert allow_optimizer(Scaled) is Scaled
    optimizer.step()
    for wrong in (optimizer, int):
        with pytest.raises(TypeError, match="class of optimisers"):
            allow_optimizer(wrong)


def test_parameters_that_come_later(X):
    """A group that is added, and a layer that is thawed, are looked at again."""
    net = network(X)
    optimizer = torch.optim.AdamW(net[2].parameters())
    optimizer.step()
    optimizer.add_param_group({"params": net[0].parameters()})
    with pytest.raises(InexactOptimizerError):
        optimizer.step()
    net[0].requires_grad_(False)
    optimizer.step()
    net[0].requires_grad_(True)
    with pytest.raises(InexactOptimizerError):
        optimizer.step()


def test_a_layer_whose_parameter_was_replaced(X):
    """The layer is known, not its parameter as it was."""
    net = network(X)
    net[0].weight = nn.Parameter(net[0].weight.detach().clone())
    net(None).sum().backward()
    with pytest.raises(InexactOptimizerError):
        torch.optim.Adam(net.parameters()).step()


def test_parameters_that_are_exchanged(X):
    """As many as before, one of which is now a front layer's."""
    net = network(X)
    optimizer = torch.optim.Adam(net[2].parameters())
    optimizer.step()
    optimizer.param_groups[0]["params"][0] = net[0].weight
    with pytest.raises(InexactOptimizerError):
        optimizer.step()


def test_other_networks_are_left_alone(X):
    """Optimisers without a front layer work as ever, and layers that are gone are forgotten."""
    net = network(X)
    linear = nn.Linear(3, 2)
    linear(torch.ones(1, 3)).sum().backward()
    optimizer = torch.optim.Adam(linear.parameters())
    optimizer.step()
    before = len(guard._layers)
    del net
    gc.collect()
    assert len(guard._layers) < before


@pytest.mark.filterwarnings("ignore:Profiler record function")  # PyTorch's, for any optimiser
def test_compiled_optimizers(X):
    """The guard stands before a step that is compiled, too."""
    net = network(X)
    optimizer = torch.optim.Adam(net.parameters())
    with pytest.raises(InexactOptimizerError):
        torch.compile(optimizer.step, backend="eager")()
    torch._dynamo.reset()


@pytest.mark.skipif(not hasattr(torch.optim, "Muon"), reason="this PyTorch has no Muon")
def test_muon_needs_its_group(X):
    """The parameter itself, a group for another adjustment, and contributions are refused."""
    net = network(X)
    with pytest.raises(InexactOptimizerError, match=r"layer\.muon_group"):
        torch.optim.Muon([net[0].weight]).step()
    torch.optim.Muon([net[0].muon_group(0.01)]).step()
    other = {**net[0].muon_group(0.01), "adjust_lr_fn": "match_rms_adamw"}
    with pytest.raises(InexactOptimizerError, match=r"layer\.muon_group"):
        torch.optim.Muon([other]).step()
    contributions = network(X, "contributions")
    with pytest.raises(ValueError, match="form='coordinates'"):
        contributions[0].muon_group(0.01)
    with pytest.raises(InexactOptimizerError, match="form='coordinates'"):
        torch.optim.Muon([contributions[0].weight]).step()


@pytest.mark.parametrize("form", ["coordinates", "contributions"])
def test_new_samples_teach_nothing(X, form):
    """A backward pass from features, or from evaluation rows, to the weights would be another network's."""
    rows = Rows(X[:8], X[8:])
    layer = FrontLinear(rows, 3, form=form, **DOUBLE)
    with pytest.raises(RuntimeError, match="features of new samples"):
        layer(X[8:]).sum().backward()
    with pytest.raises(RuntimeError, match="features of new samples"):
        layer(torch.tensor(X[8:], requires_grad=True)).sum().backward()
    layer.eval()
    with pytest.raises(RuntimeError, match="evaluation samples"):
        layer(torch.tensor([0, 9])).sum().backward()
    assert layer.weight.grad is None
    layer(torch.tensor([0, 7])).sum().backward()  # training samples in evaluation mode
    expected, layer.weight.grad = layer.weight.grad, None
    layer.train()(torch.tensor([0, 7])).sum().backward()
    torch.testing.assert_close(layer.weight.grad, expected)


def test_invalid_settings_of_neuron_adam():
    """Each is named."""
    parameter = [nn.Parameter(torch.zeros(2))]
    for settings in ({"lr": -1}, {"betas": (1.0, 0.9)}, {"betas": (0.9, -0.1)}, {"eps": 0.0}, {"weight_decay": -1}):
        with pytest.raises(ValueError, match=next(iter(settings))):
            NeuronAdam(parameter, **settings)
    for betas in (0.9, (0.9, 0.9, 0.9)):
        with pytest.raises(ValueError, match="betas must be two numbers"):
            NeuronAdam(parameter, betas=betas)
    for settings in ({"lr": -1}, {"eps": 0}, {"betas": (0.9, 1)}):
        with pytest.raises(ValueError, match=next(iter(settings))):
            NeuronAdam([{"params": parameter, **settings}])


def test_other_invalid_settings(X):
    """Each is named, and nothing is clipped or drawn."""
    layer = network(X)[0]
    for settings in ({"lr": -1}, {"lr": float("nan")}, {"weight_decay": -1}, {"adjust_lr_fn": "x"}):
        with pytest.raises(ValueError, match=next(iter(settings))):
            layer.muon_group(**settings)
    before = layer.weight.grad.clone()
    for max_norm, error in ((-1, ValueError), (float("nan"), ValueError), ("1", TypeError)):
        with pytest.raises(error, match="max_norm"):
            clip_grad_norm_(layer.parameters(), max_norm)
    clip_grad_norm_(layer.parameters(), float("inf"))
    torch.testing.assert_close(layer.weight.grad, before)
    for draw in (lambda: FrontLinear(layer.rows, 2, generator=5), lambda: layer.reset_parameters(5)):
        with pytest.raises(TypeError, match=r"generator must be a torch\.Generator or None, got 5"):
            draw()


# ----------------------------------------------------------------------------------------------------------------------
# what is exact although it may not look so, and what is not and cannot be noticed (docs/torch.md)


def beside_its_peer(X, change, between=None):
    """Train a layer and its peer, both changed in a way, and give the largest difference of their outputs."""
    torch.manual_seed(0)
    net = network(X)
    peer = nn.Sequential(net[0].expand(), nn.Tanh(), copy.deepcopy(net[2]))
    for module, given in ((net, None), (peer, torch.tensor(X))):
        change(module)
        optimizer = torch.optim.SGD(module.parameters(), 0.1, 0.9)
        for _ in range(5):
            optimizer.zero_grad()
            (module(given) - 1).square().mean().backward()
            if between is not None:
                between(module)
            optimizer.step()
    return (net(None) - peer(torch.tensor(X))).abs().max().item()


def test_weight_norm_is_exact(X):
    """The length of a unit's coordinates is that of its weights; its parameters are guarded, too."""

    def change(module):
        nn.utils.parametrizations.weight_norm(module[0])

    assert beside_its_peer(X, change) < 1e-9
    net = network(X)
    change(net)
    net(None).sum().backward()
    with pytest.raises(InexactOptimizerError):
        torch.optim.Adam(net.parameters()).step()


@pytest.mark.filterwarnings("ignore:.*weight_norm. is deprecated")
@pytest.mark.parametrize("change", [nn.utils.parametrizations.weight_norm, nn.utils.weight_norm])
def test_contributions_are_not_parametrised(X, change):
    """They have other lengths than the weights, and none at all before training."""
    layer = FrontLinear(Rows(X), 4, form="contributions")
    change(layer)
    for use in (lambda: layer(None), lambda: layer(torch.tensor([3])), lambda: layer(X), layer.expand):
        with pytest.raises(ValueError, match="cannot be parametrised"):
            use()
    net = network(X)
    change(net[0])
    net(None).sum().backward()
    with pytest.raises(InexactOptimizerError):
        torch.optim.Adam(net.parameters()).step()


def test_limits(X):
    """Clipping by value, a norm of all units together, and a start that is set by hand are of coordinates, not of weights."""
    assert beside_its_peer(X, lambda module: None) < 1e-12
    by_value = beside_its_peer(X, lambda module: None, lambda module: nn.utils.clip_grad_value_(module[0].parameters(), 1e-3))
    assert by_value > 1e-6
    assert beside_its_peer(X, lambda module: nn.utils.parametrizations.spectral_norm(module[0])) > 1e-6
    assert beside_its_peer(X, lambda module: nn.init.constant_(module[0].weight, 0.1)) > 1e-3


def test_clipping_by_norm_is_not_that_of_contributions(X):
    """For which there is fcfast.torch.clip_grad_norm_."""
    torch.manual_seed(0)
    net = network(X, "contributions")
    peer = nn.Sequential(net[0].expand(), nn.Tanh(), copy.deepcopy(net[2]))
    peer(torch.tensor(X)).sum().backward()
    norms = [nn.utils.clip_grad_norm_(module.parameters(), 1.0).item() for module in (net, peer)]
    assert abs(norms[0] - norms[1]) > 1e-3


def test_dropout_of_inputs(X):
    """Row numbers cannot be dropped out, and features that are changed on the fly teach nothing."""
    net = network(X)
    with pytest.raises((RuntimeError, TypeError)):
        nn.Sequential(nn.Dropout(0.5), net)(torch.arange(12))
    with pytest.raises(RuntimeError, match="features of new samples"):
        net(nn.functional.dropout(torch.tensor(X), 0.5)).sum().backward()
