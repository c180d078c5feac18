"""Every form of the front layer trains exactly the network that PyTorch trains."""

import warnings
from itertools import pairwise

import numpy as np
import pytest
from classic import FrontClassifier, FrontRegressor
from effort import cases
from sklearn.exceptions import ConvergenceWarning

from fcfast import backend
from fcfast.front import ContributionsForm, WeightsForm
from fcfast.gram.start import GivenWeights
from fcfast.optimizers import SCHEDULES, SGD
from fcfast.training.network import FrontNetwork

torch = pytest.importorskip("torch", reason="the reference of these tests is PyTorch")

torch.set_num_threads(1)  # tiny products; more threads only wait for one another

N_CONFIGURATIONS = cases(300) if backend.NAME == "compiled" else 30
GROUPS = 10
MODULES = {
    "relu": torch.nn.ReLU, "leaky_relu": torch.nn.LeakyReLU, "tanh": torch.nn.Tanh, "logistic": torch.nn.Sigmoid,
    "identity": torch.nn.Identity,
}  # fmt: skip


def random_configuration(seed):
    """Draw a problem, a network and the settings of its training: (estimator class, parameters, X, y, coefs, biases)."""
    rng = np.random.default_rng(seed)
    n, d, n_outputs = int(rng.integers(2, 40)), int(rng.integers(1, 80)), int(rng.integers(1, 4))
    kind = FrontClassifier if rng.random() < 0.5 else FrontRegressor
    hidden = tuple(int(width) for width in rng.integers(1, 20, rng.integers(1, 5)))
    momentum = float(rng.choice([0, 0.5, 0.9]))
    nesterov = bool(momentum and rng.random() < 0.4)
    parameters = {
        "hidden_layer_sizes": hidden,
        "activation": str(rng.choice(list(MODULES))),
        "learning_rate": 0.03,
        "schedule": str(rng.choice(list(SCHEDULES))),
        "momentum": momentum,
        "nesterov": nesterov,
        "dampening": 0.0 if nesterov or not momentum else float(rng.choice([0, 0.3])),
        "weight_decay": float(rng.choice([0, 0.01, 0.1])),
        "max_grad_norm": [None, None, 0.1, 1.0][rng.integers(4)],
        "batch_size": int(rng.integers(1, n + 1)),
    }
    parameters["max_epochs"] = max(1, 30 // -(-n // parameters["batch_size"]))
    X = rng.normal(size=(n, d))
    if rng.random() < 0.3:
        X[rng.integers(n)] = 0  # a zero row
        X[rng.integers(n)] = X[rng.integers(n)]  # a repeated row
    if kind is FrontClassifier:
        y = np.concatenate([np.arange(n_outputs + 1), rng.integers(0, n_outputs + 1, n)])[:n]
        rng.shuffle(y)
        n_outputs = len(np.unique(y))
    else:
        y = rng.normal(size=(n, n_outputs))
    widths = (d, *hidden, n_outputs)
    coefs = [rng.uniform(-1, 1, (i, o)) / i**0.5 for i, o in pairwise(widths)]
    return kind, parameters, X, y, coefs, [rng.uniform(-0.2, 0.2, o) for o in widths[1:]]


def train_torch(parameters, X, y, coefs, biases, dtype=torch.float64, sample_weight=None, kind=None, loss_of=None):
    """The same training in PyTorch, by SGD or another optimiser, a function of the parameters; samples in order.

    The loss is that of classes or squares, or `loss_of` the outputs and a slice of the samples.

    Gives the loss of each epoch, all weights (n_in, n_out) and all biases.
    """
    linears = [torch.nn.Linear(*coef.shape, dtype=dtype) for coef in coefs]
    layers = []
    with torch.no_grad():
        for linear, coef, bias in zip(linears, coefs, biases, strict=True):
            linear.weight.copy_(torch.from_numpy(np.ascontiguousarray(coef.T)))
            linear.bias.copy_(torch.from_numpy(bias))
            layers += [linear, MODULES[parameters["activation"]]()]
    network = torch.nn.Sequential(*layers[:-1])
    names = ("momentum", "dampening", "nesterov", "weight_decay")
    optimizer = (
        torch.optim.SGD(network.parameters(), lr=1.0, **{name: parameters[name] for name in names})
        if kind is None
        else kind(network.parameters())
    )
    n, size = len(X), parameters["batch_size"]
    per_epoch = -(-n // size)
    total = parameters["max_epochs"] * per_epoch
    rates = parameters["learning_rate"] * SCHEDULES[parameters["schedule"]].factors(np.arange(total), total)
    inputs = torch.tensor(X, dtype=dtype)
    targets = torch.tensor(y) if y.ndim == 1 else torch.tensor(y, dtype=dtype)
    weights = torch.ones(n, dtype=dtype) if sample_weight is None else torch.tensor(sample_weight, dtype=dtype)
    losses = []
    for step in range(total):
        batch = slice(step % per_epoch * size, (step % per_epoch + 1) * size)
        outputs = network(inputs[batch])
        if loss_of is not None:
            loss = loss_of(outputs, batch)
        elif y.ndim == 1:
            smoothing = parameters.get("label_smoothing", 0.0)
            each = torch.nn.functional.cross_entropy(outputs, targets[batch], reduction="none", label_smoothing=smoothing)
            loss = (each * weights[batch]).sum() / weights[batch].sum()
        else:
            each = ((outputs - targets[batch]) ** 2).sum(1) / 2
            loss = (each * weights[batch]).sum() / weights[batch].sum()
        optimizer.zero_grad()
        loss.backward()
        if parameters["max_grad_norm"] is not None:
            torch.nn.utils.clip_grad_norm_(network.parameters(), parameters["max_grad_norm"])
        optimizer.param_groups[0]["lr"] = rates[step]
        optimizer.step()
        losses.append(loss.item())
    sizes = np.minimum(size, n - np.arange(per_epoch) * size)
    epoch_losses = np.average(np.reshape(losses, (-1, per_epoch)), axis=1, weights=sizes)
    return epoch_losses, [linear.weight.detach().numpy().T for linear in linears], [b.bias.detach().numpy() for b in linears]


def train_front(kind, parameters, X, y, coefs, biases, form, window="auto", dtype="float64", sample_weight=None):
    """Train by the estimator, samples in order."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # 30 steps are not meant to converge
        estimator = kind(**parameters, form=form, window=window, dtype=dtype, shuffle=False, tol=0, n_iter_no_change=10**6)
        return estimator.fit(X, y, sample_weight, coefs_init=coefs, intercepts_init=biases)


def distance(actual, expected):
    """Largest difference, relative to the largest value."""
    return max(
        np.abs(np.asarray(a) - np.asarray(b)).max(initial=0) / (np.abs(b).max(initial=0) + 1e-300)
        for a, b in zip(actual, expected, strict=True)
    )


@pytest.mark.parametrize("group", range(GROUPS))
def test_every_form_equals_pytorch(group):
    """Depth 1-4, all activations, losses, batches, momentum, dampening, Nesterov, decay, clipping, schedules: 1e-9."""
    for seed in range(group, N_CONFIGURATIONS, GROUPS):
        kind, parameters, X, y, coefs, biases = random_configuration(seed)
        losses, weights, offsets = train_torch(parameters, X, y, coefs, biases)
        for form, window in (("weights", "auto"), ("windowed", 1 + 13 * (seed % 4)), ("contributions", 1 + 17 * (seed % 3))):
            fitted = train_front(kind, parameters, X, y, coefs, biases, form, window)
            message = f"seed {seed}, {form}, {parameters}"
            assert fitted.form_ == form
            assert distance([fitted.loss_curve_], [losses]) < 1e-9, message
            assert distance(fitted.coefs_, weights) < 1e-9, message
            assert distance(fitted.intercepts_, offsets) < 1e-9, message


@pytest.mark.parametrize("form", ["weights", "windowed", "contributions"])
def test_label_smoothing_equals_pytorch(form, global_random_seed):
    """Random problems of two classes and more, with and without weights of samples."""
    rng = np.random.default_rng(global_random_seed)
    seeds = rng.choice(10**6, 40 if backend.NAME == "compiled" else 10, replace=False)
    for number, seed in enumerate(seeds.tolist()):
        kind, parameters, X, y, coefs, biases = random_configuration(seed)
        if kind is not FrontClassifier or len(np.unique(y)) < 2:
            continue
        parameters["label_smoothing"] = float(rng.uniform(0, 1))
        sample_weight = rng.uniform(0.1, 2, len(X)) if number % 2 else None
        losses, weights, offsets = train_torch(parameters, X, y, coefs, biases, sample_weight=sample_weight)
        fitted = train_front(kind, parameters, X, y, coefs, biases, form, sample_weight=sample_weight)
        message = f"seed {seed}, {parameters}"
        assert distance([fitted.loss_curve_], [losses]) < 1e-9, message
        assert distance(fitted.coefs_, weights) < 1e-9, message
        assert distance(fitted.intercepts_, offsets) < 1e-9, message


@pytest.mark.parametrize("form", ["weights", "windowed", "contributions"])
def test_sample_weights_equal_pytorch(form, global_random_seed):
    """The loss of a batch is the weighted mean."""
    for seed in range(global_random_seed, global_random_seed + 5):
        kind, parameters, X, y, coefs, biases = random_configuration(seed)
        weights = np.random.default_rng(seed).uniform(0.1, 3, len(X))
        losses, expected, _ = train_torch(parameters, X, y, coefs, biases, sample_weight=weights)
        fitted = train_front(kind, parameters, X, y, coefs, biases, form, sample_weight=weights)
        assert distance(fitted.coefs_, expected) < 1e-9
        assert distance([fitted.loss_curve_], [losses]) < 1e-9


@pytest.fixture(scope="module")
def drifts():
    """Exact weights of many configurations, and how far PyTorch's float32 is from them."""
    found = []
    for seed in range(1000, 1000 + N_CONFIGURATIONS // 10):
        configuration = random_configuration(seed)
        _, exact, _ = train_torch(*configuration[1:])
        _, single, _ = train_torch(*configuration[1:], torch.float32)
        found.append((configuration, exact, distance(single, exact)))
    return found


@pytest.mark.parametrize("form", ["weights", "windowed", "contributions"])
def test_float32_drifts_no_more_than_pytorch(form, drifts):
    """Against float64 of itself, over many configurations: at most twice PyTorch's own drift."""
    ours = [distance(train_front(*configuration, form, dtype="float32").coefs_, exact) for configuration, exact, _ in drifts]
    assert np.median(ours) <= 2 * np.median([theirs for *_, theirs in drifts])
    assert np.max(ours) <= 1e-3


def network_in(form, X, coefs, biases, activation, optimizer, batch_size, window):
    """A network of the core in one of the forms, for labels."""
    front = (ContributionsForm if form == "contributions" else WeightsForm)(
        X, GivenWeights(np.ascontiguousarray(coefs[0].T)), np.dtype(float), optimizer.has_velocity
    )
    above = [np.ascontiguousarray(coef.T) for coef in coefs[1:]]
    return FrontNetwork(front, biases, above, activation, "cross_entropy", optimizer, batch_size, window, 1)


@pytest.mark.parametrize("form", ["weights", "windowed", "contributions"])
def test_rates_and_decay_by_layer_equal_parameter_groups(form, global_random_seed):
    """Each layer's weights and biases are a parameter group of torch.optim.SGD, with a rate and a weight decay of its own."""
    for seed in range(global_random_seed, global_random_seed + 12):
        _, parameters, X, _, coefs, biases = random_configuration(seed)
        rng = np.random.default_rng(seed)
        y = rng.integers(0, coefs[-1].shape[1], len(X))
        n_epochs, size = 3, parameters["batch_size"]
        factors, decay = rng.uniform(0, 2, (len(coefs), 2)), rng.choice([0, 0.01, 0.3], (len(coefs), 2))
        linears, layers = [], []
        for coef, bias in zip(coefs, biases, strict=True):
            linear = torch.nn.Linear(*coef.shape, dtype=torch.float64)
            linear.load_state_dict({"weight": torch.tensor(np.ascontiguousarray(coef.T)), "bias": torch.tensor(bias)})
            linears.append(linear)
            layers += [linear, MODULES[parameters["activation"]]()]
        settings = {name: parameters[name] for name in ("momentum", "dampening", "nesterov")}
        groups = [
            {"params": [part], "lr": 0.05 * factors[layer, kind], "weight_decay": decay[layer, kind]}
            for layer, linear in enumerate(linears)
            for kind, part in enumerate((linear.weight, linear.bias))
        ]
        reference, descent = torch.nn.Sequential(*layers[:-1]), torch.optim.SGD(groups, lr=1.0, **settings)
        per_window = 1 if form == "weights" else 1 + seed % 3
        optimizer = SGD(**settings, max_grad_norm=parameters["max_grad_norm"])
        network = network_in(form, X, coefs, biases, parameters["activation"], optimizer, size, per_window * size)
        network.upper.set_groups(factors, decay)
        inputs, labels, losses, expected = torch.tensor(X), torch.tensor(y), [], []
        for _ in range(n_epochs):
            order = rng.permutation(len(X))
            losses.extend(network.train_epoch(order, np.full(-(-len(X) // size), 0.05), y, None))
            for batch in torch.tensor(order).split(size):
                descent.zero_grad()
                loss = torch.nn.functional.cross_entropy(reference(inputs[batch]), labels[batch])
                loss.backward()
                if optimizer.max_grad_norm is not None:
                    torch.nn.utils.clip_grad_norm_(reference.parameters(), optimizer.max_grad_norm)
                descent.step()
                expected.append(loss.item())
        message = f"seed {seed}, {parameters}"
        assert distance([losses], [expected]) < 1e-12, message
        weights = [network.front.expand(), *network.weights]
        assert distance(weights, [linear.weight.detach().numpy() for linear in linears]) < 1e-12, message
        assert distance(network.biases, [linear.bias.detach().numpy() for linear in linears]) < 1e-12, message
