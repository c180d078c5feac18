"""Optimisers other than SGD: against PyTorch or an independent reference, and the same in every form of the front layer."""

import numpy as np
import pytest
from classic import FrontClassifier, FrontRegressor
from effort import cases
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning
from test_front_exact import MODULES, distance, random_configuration

from fcfast import backend
from fcfast.layers import orthogonalizer
from fcfast.optimizers import SGD, Adagrad, Adam, AdamW, Muon, NeuronAdam, RMSprop

torch = pytest.importorskip("torch", reason="the reference of these tests is PyTorch")

N_CONFIGURATIONS = cases(40) if backend.NAME == "compiled" else 6
DETERMINED = {"shuffle": False, "tol": 0, "n_iter_no_change": 10**6}
FORMS = ("weights", "auto"), ("windowed", 16), ("contributions", "auto")

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")  # few epochs on purpose


def configuration(seed):
    """A problem of test_front_exact, its settings of SGD replaced by those that all optimisers have."""
    kind, parameters, X, y, coefs, biases = random_configuration(seed)
    for name in ("momentum", "nesterov", "dampening", "schedule"):
        del parameters[name]
    return kind, parameters | {"learning_rate": 0.01}, X, y, coefs, biases


def reference(seed, optimizer, update):
    """Train in PyTorch with ``update(parameters, step)``, gradients clipped. Gives the weights (n_in, n_out) and the losses."""
    kind, parameters, X, y, coefs, biases = configuration(seed)
    weights = [torch.from_numpy(np.ascontiguousarray(coef.T)).requires_grad_() for coef in coefs]
    offsets = [torch.from_numpy(bias).clone().requires_grad_() for bias in biases]
    activate = MODULES[parameters["activation"]]()
    answers = torch.from_numpy(np.unique(y, return_inverse=True)[1] if kind is FrontClassifier else y.reshape(len(y), -1))
    losses, step, size = [], 0, parameters["batch_size"]
    for _ in range(parameters["max_epochs"]):
        epoch = []
        for inputs, wanted in zip(torch.from_numpy(X).split(size), answers.split(size), strict=True):
            values = inputs
            for layer, (W, b) in enumerate(zip(weights, offsets, strict=True)):
                values = values @ W.T + b
                values = activate(values) if layer < len(weights) - 1 else values
            if kind is FrontClassifier:
                loss = torch.nn.functional.cross_entropy(values, wanted)
            else:
                loss = ((values - wanted) ** 2).sum() / (2 * len(wanted))
            for parameter in (*weights, *offsets):
                parameter.grad = None
            loss.backward()
            if optimizer.max_grad_norm is not None:
                torch.nn.utils.clip_grad_norm_([*weights, *offsets], optimizer.max_grad_norm)
            step += 1
            with torch.no_grad():
                update(weights, offsets, step)
            epoch.append(loss.item() * len(wanted))
        losses.append(sum(epoch) / len(X))
    return [W.detach().numpy().T for W in weights], [b.detach().numpy() for b in offsets], losses


def train(seed, optimizer, form, window):
    """The same training by fcfast, in a form."""
    kind, parameters, X, y, coefs, biases = configuration(seed)
    settings = {name: value for name, value in parameters.items() if name not in ("weight_decay", "max_grad_norm")}
    estimator = kind(optimizer=optimizer, form=form, window=window, dtype="float64", **DETERMINED, **settings)
    return estimator.fit(X, y, coefs_init=coefs, intercepts_init=biases)


def assert_equal_training(fitted, expected, message):
    weights, offsets, losses = expected
    assert distance(fitted.coefs_, weights) < 1e-9, message
    assert distance(fitted.intercepts_, offsets) < 1e-9, message
    assert distance([fitted.loss_curve_], [losses]) < 1e-9, message


def assert_every_form_trains_so(seed, optimizer, expected):
    for form, window in FORMS:
        assert_equal_training(train(seed, optimizer, form, window), expected, f"seed {seed}, {form}, {optimizer}")


def settings_of(seed):
    """Weight decay and clipping of that configuration."""
    _, parameters, *_ = configuration(seed)
    return {name: parameters[name] for name in ("weight_decay", "max_grad_norm")}


@pytest.mark.parametrize("kind", [Adam, AdamW])
def test_adam_equals_pytorch(kind):
    """In form "weights", with L2 and decoupled weight decay."""
    peer_kind = torch.optim.Adam if kind is Adam else torch.optim.AdamW
    for seed in range(N_CONFIGURATIONS):
        optimizer, peer = kind(beta2=0.99, eps=1e-6, **settings_of(seed)), None

        def update(weights, offsets, step, optimizer=optimizer):
            nonlocal peer
            peer = peer or peer_kind(
                [*weights, *offsets], lr=0.01, betas=(0.9, 0.99), eps=1e-6, weight_decay=optimizer.weight_decay
            )
            peer.step()

        expected = reference(seed, optimizer, update)
        assert_equal_training(train(seed, optimizer, "weights", "auto"), expected, f"seed {seed}, {optimizer}")


@pytest.mark.parametrize("kind", [Adagrad, RMSprop])
def test_roots_equal_pytorch(kind):
    """In form "weights", with weight decay and clipping."""
    for seed in range(N_CONFIGURATIONS):
        own = {"alpha": 0.9} if kind is RMSprop else {}
        optimizer, peer = kind(eps=1e-4, **own, **settings_of(seed)), None

        def update(weights, offsets, step, optimizer=optimizer, own=own):
            nonlocal peer
            peer = peer or getattr(torch.optim, kind.__name__)(
                [*weights, *offsets], lr=0.01, eps=1e-4, weight_decay=optimizer.weight_decay, **own
            )
            peer.step()

        expected = reference(seed, optimizer, update)
        assert_equal_training(train(seed, optimizer, "weights", "auto"), expected, f"seed {seed}, {optimizer}")


class AdamOfUnits:
    """AdamW with one second moment per row, written for PyTorch's tensors; per element for vectors."""

    def __init__(self, beta1, beta2, eps, weight_decay):
        self.beta1, self.beta2, self.eps, self.weight_decay, self.state = beta1, beta2, eps, weight_decay, {}

    def step(self, parameter, rate, step):
        squares = (parameter.grad**2).mean(dim=1, keepdim=True) if parameter.ndim == 2 else parameter.grad**2
        m, v = self.state.get(id(parameter), (torch.zeros_like(parameter), torch.zeros_like(squares)))
        m, v = self.beta1 * m + (1 - self.beta1) * parameter.grad, self.beta2 * v + (1 - self.beta2) * squares
        self.state[id(parameter)] = m, v
        parameter *= 1 - rate * self.weight_decay
        parameter -= rate * (m / (1 - self.beta1**step)) / ((v / (1 - self.beta2**step)).sqrt() + self.eps)


def test_neuron_adam_equals_its_definition():
    """In every form, against the formula on PyTorch's gradients."""
    for seed in range(N_CONFIGURATIONS):
        optimizer = NeuronAdam(beta2=0.95, eps=1e-6, **settings_of(seed))
        peer = AdamOfUnits(0.9, 0.95, 1e-6, optimizer.weight_decay)

        def update(weights, offsets, step, peer=peer):
            for parameter in (*weights, *offsets):
                peer.step(parameter, 0.01, step)

        assert_every_form_trains_so(seed, optimizer, reference(seed, optimizer, update))


def newton_schulz(U):
    """Muon's iteration as it is published, on the matrix itself."""
    a, b, c = 3.4445, -4.7750, 2.0315
    X = U.T if len(U) > len(U.T) else U
    X = X / max(X.norm().item(), 1e-7)
    for _ in range(5):
        A = X @ X.T
        X = a * X + (b * A + c * A @ A) @ X
    return X.T if len(U) > len(U.T) else X


def test_muon_equals_its_definition():
    """In every form, against Newton-Schulz on PyTorch's gradients."""
    for seed in range(N_CONFIGURATIONS):
        optimizer = Muon(momentum=0.9, nesterov=bool(seed % 2), **settings_of(seed))
        peer, velocities = AdamOfUnits(0.9, 0.999, 1e-8, optimizer.weight_decay), {}

        def update(weights, offsets, step, optimizer=optimizer, peer=peer, velocities=velocities):
            for W in weights:
                M = velocities[id(W)] = 0.9 * velocities.get(id(W), 0) + W.grad
                W *= 1 - 0.01 * optimizer.weight_decay
                U = W.grad + 0.9 * M if optimizer.nesterov else M
                W -= 0.01 * max(1, len(W) / len(W.T)) ** 0.5 * newton_schulz(U)
            for b in offsets:
                peer.step(b, 0.01, step)

        assert_every_form_trains_so(seed, optimizer, reference(seed, optimizer, update))


def test_orthogonalizer():
    """The factor makes a matrix nearly semi-orthogonal: Muon's coefficients leave singular values between 0.6 and 1.3."""
    U = np.random.default_rng(0).normal(size=(8, 30))
    values = np.linalg.svd(orthogonalizer(U @ U.T, 5) @ U, compute_uv=False)
    assert values.min() > 0.6
    assert values.max() < 1.3
    assert np.isfinite(orthogonalizer(np.zeros((3, 3)), 5)).all()


@pytest.mark.parametrize("optimizer", ["muon", "neuron-adam", "adamw"])
def test_float32_and_sample_weights(optimizer):
    """Single precision follows double precision; weights of samples count."""
    rng = np.random.default_rng(1)
    X, y, weights = rng.normal(size=(30, 200)), rng.integers(0, 3, 30), rng.uniform(0.1, 2, 30)
    settings = {"optimizer": optimizer, "learning_rate": 1e-3, "batch_size": 8, "max_epochs": 10, "random_state": 0}
    single, double = (FrontClassifier((16,), dtype=d, **settings).fit(X, y, weights) for d in ("float32", "float64"))
    np.testing.assert_allclose(single.loss_curve_, double.loss_curve_, rtol=1e-4)
    unweighted = FrontClassifier((16,), dtype="float64", **settings).fit(X, y)
    assert not np.allclose(unweighted.loss_curve_, double.loss_curve_, rtol=1e-3)


@pytest.mark.parametrize("optimizer", ["muon", "neuron-adam"])
def test_diverging_run_keeps_the_best_network(optimizer):
    """A loss that is not finite ends the training in any form, and the network still answers."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(40, 10))
    for form, window in FORMS:
        regressor = FrontRegressor((8,), "identity", optimizer=optimizer, learning_rate=1e30, form=form, window=window)
        with pytest.warns(ConvergenceWarning, match="diverged in"):
            regressor.set_params(max_epochs=20, batch_size=4).fit(X, X[:, 0])
        assert np.isfinite(regressor.predict(X)).all()


@pytest.mark.parametrize("form", ["contributions", "windowed"])
@pytest.mark.parametrize("optimizer", ["adam", AdamW()])
def test_adam_refuses_forms_without_weights(optimizer, form):
    """The error says why, and what to use instead."""
    X = np.random.default_rng(0).normal(size=(10, 50))
    with pytest.raises(ValueError, match=r"rotation.*neuron-adam.*form='weights'"):
        FrontClassifier(optimizer=optimizer, form=form).fit(X, np.arange(10) % 2)
    with pytest.raises(ValueError, match=r"sparse.*'neuron-adam' or 'muon'"):
        FrontClassifier(optimizer=optimizer).fit(sparse.csr_array(X), np.arange(10) % 2)
    assert FrontClassifier(optimizer=optimizer, max_epochs=1).fit(X, np.arange(10) % 2).form_ == "weights"


@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        ({"optimizer": "lion"}, ValueError, "optimizer='lion'"),
        ({"optimizer": 3}, TypeError, "optimizer"),
        ({"optimizer": "adam", "nesterov": True}, ValueError, "nesterov"),
        ({"optimizer": "neuron-adam", "dampening": 0.1}, ValueError, "dampening"),
        ({"optimizer": "muon", "dampening": 0.1}, ValueError, "dampening"),
        ({"optimizer": "adamw", "momentum": 1.0}, ValueError, "momentum"),
        ({"optimizer": "adagrad", "momentum": 0.5}, ValueError, "momentum=0.5 is a setting of"),
        ({"optimizer": "rmsprop", "nesterov": True}, ValueError, "nesterov"),
        ({"optimizer": Muon(), "weight_decay": 0.1}, ValueError, r"settings of its own.*weight_decay=0.1"),
    ],
)
def test_bad_optimizers(parameters, error, message):
    """No setting is accepted and ignored."""
    with pytest.raises(error, match=message):
        FrontClassifier(**parameters).fit(np.eye(4), [0, 1, 0, 1])


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        (SGD, {"momentum": -0.1}),
        (NeuronAdam, {"beta2": 1.0}),
        (Adam, {"eps": 0}),
        (AdamW, {"weight_decay": -1}),
        (Muon, {"n_iterations": 0}),
        (Muon, {"momentum": 0}),
        (Muon, {"max_grad_norm": 0}),
    ],
)
def test_bad_settings(kind, settings):
    """Values out of range are refused when the optimiser is made."""
    with pytest.raises(ValueError, match=next(iter(settings))):
        kind(**settings)


def test_an_optimiser_made_from_sgd_is_asked(global_random_seed):
    """What a subclass does at an update is done: no kernel for plain SGD takes its place."""

    class Half(SGD):
        def update(self, layer, rate, step):
            super().update(layer, rate / 2, step)

    rng = np.random.default_rng(global_random_seed)
    X, y = rng.normal(size=(20, 5)), np.arange(20) % 2
    settings = {"dtype": "float64", "max_epochs": 3, "tol": 0, "random_state": 0}
    one = FrontClassifier((4,), optimizer=Half(), learning_rate=0.2, **settings).fit(X, y)
    other = FrontClassifier((4,), optimizer=SGD(), learning_rate=0.1, **settings).fit(X, y)
    np.testing.assert_allclose(one.loss_curve_, other.loss_curve_, rtol=1e-12)
