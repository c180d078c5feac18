"""`FrontSurvival` trains exactly: as PyTorch does in every form, and as linear models where it is one."""

import warnings

import numpy as np
import pytest
from effort import cases
from sklearn.exceptions import ConvergenceWarning
from survival_cases import random_targets, survival, wide_survival

from fcfast import FrontSurvival, backend

FORMS = "weights", "windowed", "contributions"
N_CONFIGURATIONS = cases(50) if backend.NAME == "compiled" else 8


@pytest.fixture(scope="module")
def data():
    return wide_survival()


def torch_loss(torch, outputs, y, weights):
    """Efron's partial likelihood from its definition, which PyTorch differentiates."""
    event, time = torch.tensor(y["event"].copy()) & (weights > 0), torch.tensor(y["time"].copy())
    weights = weights / weights[weights > 0].mean() if (weights > 0).any() else weights
    loss = 0 * outputs.sum()
    if not event.any():
        return loss
    for t in torch.unique(time[event]):
        tied = event & (time == t)
        at_risk, of_tied = ((weights * outputs.exp())[chosen].sum() for chosen in (time >= t, tied))
        count = int(tied.sum())
        loss = loss - (weights * outputs)[tied].sum()
        for left in range(count):
            loss = loss + weights[tied].mean() * torch.log(at_risk - left / count * of_tied)
    return loss / weights[event].sum()


def train_torch(torch, modules, parameters, X, y, coefs, biases, sample_weight, schedules):
    """The same training in PyTorch, samples in order: the loss of each epoch, weights and biases."""
    linears, layers = [], []
    for coef, bias in zip(coefs, biases, strict=True):
        linear = torch.nn.Linear(*coef.shape, dtype=torch.float64)
        linear.load_state_dict({"weight": torch.tensor(np.ascontiguousarray(coef.T)), "bias": torch.tensor(bias)})
        linears.append(linear)
        layers += [linear, modules[parameters["activation"]]()]
    network = torch.nn.Sequential(*layers[:-1])
    names = ("momentum", "dampening", "nesterov", "weight_decay")
    optimizer = torch.optim.SGD(network.parameters(), lr=1.0, **{name: parameters[name] for name in names})
    size = parameters["batch_size"]
    per_epoch = -(-len(X) // size)
    total = parameters["max_epochs"] * per_epoch
    rates = parameters["learning_rate"] * schedules[parameters["schedule"]].factors(np.arange(total), total)
    inputs, weights, losses = torch.tensor(X), torch.tensor(sample_weight), []
    for step in range(total):
        batch = slice(step % per_epoch * size, (step % per_epoch + 1) * size)
        loss = torch_loss(torch, network(inputs[batch])[:, 0], y[batch], weights[batch])
        optimizer.zero_grad()
        loss.backward()
        if parameters["max_grad_norm"] is not None:
            torch.nn.utils.clip_grad_norm_(network.parameters(), parameters["max_grad_norm"])
        optimizer.param_groups[0]["lr"] = rates[step]
        optimizer.step()
        losses.append(loss.item())
    sizes = np.minimum(size, len(X) - np.arange(per_epoch) * size)
    epochs = np.average(np.reshape(losses, (-1, per_epoch)), axis=1, weights=sizes)
    return epochs, [linear.weight.detach().numpy().T for linear in linears], [b.bias.detach().numpy() for b in linears]


@pytest.mark.parametrize("form", FORMS)
def test_every_form_equals_pytorch(form, global_random_seed):
    """50 random configurations: depth, activations, batches, ties, weights, momentum, decay, clipping, schedules."""
    torch = pytest.importorskip("torch", reason="the reference of this test is PyTorch")
    from test_front_exact import MODULES, SCHEDULES, distance, random_configuration

    for seed in range(1000 * global_random_seed, 1000 * global_random_seed + N_CONFIGURATIONS):
        _, parameters, X, _, coefs, biases = random_configuration(seed)
        rng = np.random.default_rng(seed)
        y = random_targets(rng, len(X), rng.choice([3, 10, 10**6]))
        coefs[-1], biases[-1] = coefs[-1][:, :1], biases[-1][:1]
        parameters["batch_size"] = max(2, parameters["batch_size"])
        parameters["max_epochs"] = max(1, 20 // -(-len(X) // parameters["batch_size"]))
        weights = rng.choice([0.0, 0.5, 1, 2.5], len(X)) if seed % 2 else np.ones(len(X))
        weights[y["event"].argmax()] = 1
        arguments = parameters, X, y, coefs, biases, weights
        losses, expected, offsets = train_torch(torch, MODULES, *arguments, SCHEDULES)
        settings = {"standardize": False, "shuffle": False, "dtype": "float64", "form": form, "window": 1 + 13 * (seed % 4)}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            model = FrontSurvival(**parameters, **settings).fit(
                X, y, weights if seed % 2 else None, coefs_init=coefs, intercepts_init=biases
            )
        message = f"seed {seed}, {parameters}"
        assert model.form_ == form
        assert np.abs(np.subtract(model.loss_curve_, losses)).max() < 1e-9 * (1 + np.abs(losses).max()), message
        assert distance(model.coefs_, expected) < 1e-9, message
        assert distance(model.intercepts_, offsets) < 1e-9, message


def test_a_linear_network_finds_the_coefficients_of_a_linear_model(global_random_seed):
    """Layers of identity units are Cox's linear model: few features, long training, no decay; beside Newton's method."""
    linear_model = pytest.importorskip("sksurv.linear_model", reason="scikit-survival is another implementation")
    rng = np.random.default_rng(global_random_seed)
    X = rng.normal(size=(150, 4))
    time = np.ceil(5 * rng.exponential(np.exp(-X @ [1, -0.5, 0.3, 0])))  # many ties
    y = survival(rng.random(150) < 0.8, time)
    expected = linear_model.CoxPHSurvivalAnalysis(ties="efron", tol=1e-12).fit(X, y)
    settings = {"standardize": False, "weight_decay": 0.0, "learning_rate": 0.05, "dtype": "float64", "random_state": 0}
    model = FrontSurvival((2,), "identity", max_epochs=3000, n_iter_no_change=3000, **settings).fit(X, y)
    np.testing.assert_allclose((model.coefs_[0] @ model.coefs_[1])[:, 0], expected.coef_, rtol=1e-6, atol=1e-7)
    times = model.unique_times_
    survivals = np.stack([f(times) for f in expected.predict_survival_function(X[:5])])
    np.testing.assert_allclose(model.predict_survival_function(X[:5], return_array=True), survivals, rtol=1e-5)


def test_a_linear_network_agrees_with_lifelines(global_random_seed):
    lifelines = pytest.importorskip("lifelines", reason="lifelines is another implementation")
    pandas = pytest.importorskip("pandas")
    rng = np.random.default_rng(global_random_seed)
    X, weights = rng.normal(size=(120, 2)), rng.integers(1, 4, 120).astype(float)
    y = survival(rng.random(120) < 0.7, np.ceil(6 * rng.exponential(np.exp(-X @ [0.8, -0.4]))))
    frame = pandas.DataFrame(X, columns=["a", "b"]).assign(time=y["time"], event=y["event"], w=weights)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of variances for weights
        expected = lifelines.CoxPHFitter().fit(frame, "time", "event", weights_col="w", robust=True)
    settings = {"standardize": False, "weight_decay": 0.0, "learning_rate": 0.05, "dtype": "float64", "random_state": 0}
    model = FrontSurvival((2,), "identity", max_epochs=2000, n_iter_no_change=2000, **settings).fit(X, y, weights)
    np.testing.assert_allclose((model.coefs_[0] @ model.coefs_[1])[:, 0], expected.params_, rtol=1e-4, atol=1e-5)
    new = expected.predict_survival_function(frame.iloc[:3], times=[2.0, 5.0]).to_numpy().T
    ours = np.stack([f([2.0, 5.0]) for f in model.predict_survival_function(X[:3])])
    np.testing.assert_allclose(ours, new, rtol=1e-3)


@pytest.mark.parametrize(
    "settings",
    [
        *({"rule": rule, "hidden_layer_sizes": (6, 4)} for rule in ("local-loss", "dfa", "frozen", "lg-fg-a")),
        {"optimizer": "adam", "form": "weights"},
        *({"optimizer": name} for name in ("muon", "neuron-adam")),
        {"groups": (1, 2), "hidden_layer_sizes": (6, 4)},
        {"batch_size": 16},
        {"schedule": "cosine"},
    ],
)
def test_rules_optimisers_and_batches(data, settings):
    """Whatever trains the other estimators trains this one."""
    X, y = data
    model = FrontSurvival(**({"max_epochs": 60, "random_state": 0} | settings)).fit(X, y)
    assert np.mean(model.loss_curve_[-5:]) < np.mean(model.loss_curve_[:5]) - 0.01
