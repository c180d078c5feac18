"""The dense network: against PyTorch, against numerical derivatives, and its own laws."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fcfast import backend
from fcfast.network import ACTIVATIONS, LOSSES, DenseNetwork

each_activation = pytest.mark.parametrize("activation", ACTIVATIONS)
each_loss = pytest.mark.parametrize("loss", LOSSES)
with_and_without_bias = pytest.mark.parametrize("bias", [True, False], ids=["bias", "no_bias"])


def make_weights(rng: np.random.Generator, widths: Any, bias: bool) -> tuple[list[np.ndarray], list[np.ndarray] | None]:
    """Weights of a size that neither saturates nor vanishes, and biases or None."""
    weights = [rng.uniform(-1, 1, (n_out, n_in)) * (3 / n_in) ** 0.5 for n_in, n_out in pairwise(widths)]
    return weights, [rng.uniform(-0.5, 0.5, n_out) for n_out in widths[1:]] if bias else None


def make_batch(rng: np.random.Generator, n_rows: int, widths: Any, loss: str) -> tuple[np.ndarray, np.ndarray]:
    """Inputs, and targets or labels."""
    X = rng.uniform(-1, 1, (n_rows, widths[0]))
    y = rng.integers(widths[-1], size=n_rows) if loss == "cross_entropy" else rng.uniform(-1, 1, (n_rows, widths[-1]))
    return X, y


def random_widths(rng: np.random.Generator) -> list[int]:
    return rng.integers(1, 13, size=rng.integers(2, 6)).tolist()


# ----------------------------------------------------------------------------------------------------------------------
# against PyTorch


class TorchTwin:
    """The same network in PyTorch, float64."""

    def __init__(self, torch: Any, network: DenseNetwork) -> None:
        self.torch = torch
        self.weights = [self.leaf(weight) for weight in network.weights]
        self.biases = [self.leaf(bias) for bias in network.biases]
        hidden = {
            "identity": torch.nn.Identity(),
            "relu": torch.nn.ReLU(),
            "leaky_relu": torch.nn.LeakyReLU(),
            "tanh": torch.nn.Tanh(),
            "logistic": torch.nn.Sigmoid(),
        }
        self.hidden = hidden[network.activation]
        self.loss_name = network.loss

    def leaf(self, array: np.ndarray) -> Any:
        return self.torch.tensor(array, requires_grad=True)

    def outputs(self, X: Any) -> Any:
        for layer, weight in enumerate(self.weights):
            X = self.torch.nn.functional.linear(X, weight, self.biases[layer] if self.biases else None)
            X = self.hidden(X) if layer < len(self.weights) - 1 else X
        return X

    def loss(self, X: Any, y: np.ndarray) -> Any:
        outputs, targets = self.outputs(X), self.torch.tensor(y)
        if self.loss_name == "cross_entropy":
            return self.torch.nn.functional.cross_entropy(outputs, targets)
        return ((outputs - targets) ** 2).sum() / (2 * len(y))


def assert_close(actual: Any, desired: Any) -> None:
    np.testing.assert_allclose(actual, desired.detach().numpy(), rtol=1e-12, atol=1e-14)


@each_activation
@each_loss
@with_and_without_bias
def test_loss_and_gradients_are_pytorchs(activation, loss, bias, global_random_seed):
    """Outputs, loss and the gradients of weights, biases and inputs, for random depths and widths."""
    torch = pytest.importorskip("torch")
    for repetition in range(5):
        rng = np.random.default_rng([global_random_seed, repetition])
        widths = random_widths(rng)
        X, y = make_batch(rng, int(rng.integers(1, 9)), widths, loss)
        network = DenseNetwork(*make_weights(rng, widths, bias), activation=activation, loss=loss)
        twin = TorchTwin(torch, network)
        inputs = twin.leaf(X)
        torch_loss = twin.loss(inputs, y)
        torch_loss.backward()

        input_gradient = np.full(X.shape, np.nan)
        assert_close(network.outputs(X), twin.outputs(inputs))
        assert_close(network.loss_and_gradient(X, y, input_gradient), torch_loss)
        assert_close(input_gradient, inputs.grad)
        for actual, leaf in zip(network.weight_grads + network.bias_grads, twin.weights + twin.biases, strict=True):
            assert_close(actual, leaf.grad)


OPTIMISERS = [
    {},
    {"weight_decay": 0.1},
    {"momentum": 0.9},
    {"momentum": 0.9, "dampening": 0.3},
    {"momentum": 0.9, "nesterov": True},
    {"momentum": 0.9, "weight_decay": 0.1},
    {"momentum": 0.5, "dampening": 0.3, "weight_decay": 0.1},
    {"momentum": 0.5, "nesterov": True, "weight_decay": 0.1},
]


@pytest.mark.parametrize("settings", OPTIMISERS, ids=lambda settings: "+".join(settings) or "plain")
@each_loss
def test_sgd_steps_are_pytorchs(settings, loss, global_random_seed):
    """Several steps on changing batches leave the same parameters as torch.optim.SGD."""
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(global_random_seed)
    widths = [5, 8, 6, 3]
    network = DenseNetwork(*make_weights(rng, widths, bias=True), activation="tanh", loss=loss)
    twin = TorchTwin(torch, network)
    optimiser = torch.optim.SGD(twin.weights + twin.biases, lr=0.1, **settings)
    for n_rows in (4, 4, 1, 7, 4, 2):
        X, y = make_batch(rng, n_rows, widths, loss)
        optimiser.zero_grad()
        twin.loss(torch.tensor(X), y).backward()
        optimiser.step()
        network.loss_and_gradient(X, y)
        network.step(0.1, **settings)
    for actual, leaf in zip(network.weights + network.biases, twin.weights + twin.biases, strict=True):
        assert_close(actual, leaf)


def test_momentum_switched_on_and_off_is_pytorchs(global_random_seed):
    """The velocity starts with the first step that has momentum, and rests while there is none."""
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(global_random_seed)
    widths = [4, 5, 2]
    network = DenseNetwork(*make_weights(rng, widths, bias=True), activation="tanh")
    twin = TorchTwin(torch, network)
    optimiser = torch.optim.SGD(twin.weights + twin.biases, lr=0.1, dampening=0.3)
    X, y = make_batch(rng, 6, widths, network.loss)
    for momentum in (0.0, 0.9, 0.9, 0.0, 0.9):
        optimiser.param_groups[0]["momentum"] = momentum
        optimiser.zero_grad()
        twin.loss(torch.tensor(X), y).backward()
        optimiser.step()
        network.loss_and_gradient(X, y)
        network.step(0.1, momentum=momentum, dampening=0.3)
    for actual, leaf in zip(network.weights + network.biases, twin.weights + twin.biases, strict=True):
        assert_close(actual, leaf)


# ----------------------------------------------------------------------------------------------------------------------
# against numerical derivatives


def central_differences(function: Any, x: np.ndarray, h: float = 1e-3) -> np.ndarray:
    """Derivatives of 4th order of a number by each element of x, which is moved in place."""
    gradient = np.empty(x.shape)
    for index in np.ndindex(x.shape):
        start, values = x[index], []
        for shift in (-2, -1, 1, 2):
            x[index] = start + shift * h
            values.append(function())
        x[index] = start
        gradient[index] = (values[0] - 8 * values[1] + 8 * values[2] - values[3]) / (12 * h)
    return gradient


def away_from_kinks(network: DenseNetwork, X: np.ndarray) -> bool:
    """Whether no hidden unit is so near 0 that the differences would reach across it."""
    hidden, clear = X, True
    for layer, weight in enumerate(network.weights[:-1]):
        s = hidden @ weight.T + (network.biases[layer] if network.bias else 0)
        clear = clear and np.abs(s).min() > 0.02
        hidden = np.where(s > 0, s, {"relu": 0, "leaky_relu": 0.01}.get(network.activation, 1) * s)
    return clear or network.activation in ("identity", "tanh", "logistic")


@each_activation
@each_loss
@with_and_without_bias
def test_gradients_numerically(activation, loss, bias, global_random_seed):
    """The gradients of parameters and inputs are the derivatives of the loss."""
    rng = np.random.default_rng(global_random_seed)
    widths = [3, 4, 3, 2]
    X = None
    while X is None or not away_from_kinks(network, X):
        network = DenseNetwork(*make_weights(rng, widths, bias), activation=activation, loss=loss)
        X, y = make_batch(rng, 3, widths, loss)
    input_gradient = np.full(X.shape, np.nan)
    network.loss_and_gradient(X, y, input_gradient)
    gradient = network.grad.copy()
    numerical = central_differences(lambda: network.loss_and_gradient(X, y), network.params)
    np.testing.assert_allclose(gradient, numerical, rtol=1e-9, atol=1e-11)
    numerical = central_differences(lambda: network.loss_and_gradient(X, y), X)
    np.testing.assert_allclose(input_gradient, numerical, rtol=1e-9, atol=1e-11)


def test_a_network_by_hand():
    """One step of a 2-2-1 network with a dead unit, worked out on paper."""
    network = DenseNetwork([[[1, 2], [-1, -1]], [[3, 5]]], [[1, 0], [-2]])
    X, y = [[1.0, 1.0]], [[8.0]]
    assert network.outputs(X).tolist() == [[10.0]]  # 3 relu(1 + 2 + 1) + 5 relu(-2) - 2
    input_gradient = np.empty((1, 2))
    assert network.loss_and_gradient(X, y, input_gradient) == 2.0
    assert [grad.tolist() for grad in network.weight_grads] == [[[6, 6], [0, 0]], [[8, 0]]]
    assert [grad.tolist() for grad in network.bias_grads] == [[6, 0], [2]]
    assert input_gradient.tolist() == [[6, 12]]
    network.step(0.5)
    assert [weight.tolist() for weight in network.weights] == [[[-2, -1], [-1, -1]], [[-1, 5]]]
    assert [bias.tolist() for bias in network.biases] == [[-2, 0], [-3]]


def test_cross_entropy_by_hand():
    """Equal outputs: the logarithm of the number of classes, and a delta of the label's unit alone."""
    network = DenseNetwork([np.zeros((4, 1))], loss="cross_entropy")
    assert network.loss_and_gradient([[1.0]], [2]) == pytest.approx(np.log(4), rel=1e-15)
    assert network.weight_grads[0].ravel().tolist() == [0.25, 0.25, -0.75, 0.25]


# ----------------------------------------------------------------------------------------------------------------------
# laws


@given(
    seed=st.integers(0, 2**32 - 1),
    n_rows=st.integers(1, 6),
    activation=st.sampled_from(list(ACTIVATIONS)),
    loss=st.sampled_from(LOSSES),
    bias=st.booleans(),
)
def test_a_batch_is_the_mean_of_its_samples(seed, n_rows, activation, loss, bias):
    """Loss and gradient of a batch are the means over its samples."""
    rng = np.random.default_rng(seed)
    widths = random_widths(rng)
    network = DenseNetwork(*make_weights(rng, widths, bias), activation=activation, loss=loss)
    X, y = make_batch(rng, n_rows, widths, loss)
    single = [
        (network.loss_and_gradient(X[i : i + 1], y[i : i + 1]), network.grad.copy(), network.outputs(X[i : i + 1]))
        for i in range(n_rows)
    ]
    losses, gradients, outputs = zip(*single, strict=True)
    np.testing.assert_allclose(network.loss_and_gradient(X, y), np.mean(losses), rtol=1e-13)
    np.testing.assert_allclose(network.grad, np.mean(gradients, axis=0), rtol=1e-11, atol=1e-14)
    np.testing.assert_allclose(network.outputs(X), np.concatenate(outputs), rtol=1e-12, atol=1e-14)


@given(seed=st.integers(0, 2**32 - 1), bias=st.booleans())
def test_identity_activation_is_a_product_of_matrices(seed, bias):
    """Without a non-linearity the layers multiply out."""
    rng = np.random.default_rng(seed)
    weights, biases = make_weights(rng, random_widths(rng), bias)
    X = rng.normal(size=(4, weights[0].shape[1]))
    expected = X
    for layer, weight in enumerate(weights):
        expected = expected @ weight.T + (biases[layer] if biases else 0)
    actual = DenseNetwork(weights, biases, activation="identity").outputs(X)
    np.testing.assert_allclose(actual, expected, rtol=1e-12, atol=1e-13)


@given(seed=st.integers(0, 2**32 - 1))
def test_softmax_ignores_a_shift(seed):
    """The same number added to all biases of the output layer changes neither the loss nor the gradient."""
    rng = np.random.default_rng(seed)
    widths = random_widths(rng)
    network = DenseNetwork(*make_weights(rng, widths, bias=True), loss="cross_entropy")
    X, y = make_batch(rng, 5, widths, network.loss)
    loss, gradient = network.loss_and_gradient(X, y), network.grad.copy()
    network.biases[-1] += 1000
    np.testing.assert_allclose(network.loss_and_gradient(X, y), loss, rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose(network.grad, gradient, rtol=1e-9, atol=1e-12)


# ----------------------------------------------------------------------------------------------------------------------
# precision, threads, memory


@each_activation
@each_loss
def test_float32_is_float64_rounded(activation, loss, global_random_seed):
    """In single precision everything is float32, and differs from float64 by rounding only."""
    rng = np.random.default_rng(global_random_seed)
    widths = [20, 30, 25, 4]
    weights, biases = make_weights(rng, widths, bias=True)
    X, y = make_batch(rng, 16, widths, loss)
    single, double = (
        DenseNetwork(weights, biases, activation=activation, loss=loss, dtype=dtype) for dtype in ("float32", "float64")
    )
    eps = np.finfo(np.float32).eps
    for network in (single, double):
        network.final_loss = [network.loss_and_gradient(X, y)]
        network.step(0.1, momentum=0.9, weight_decay=0.01)
    for name in ("grad", "params"):
        actual, expected = getattr(single, name), getattr(double, name)
        assert actual.dtype == np.float32
        np.testing.assert_allclose(actual, expected, rtol=0, atol=20 * eps * np.abs(expected).max())
    outputs = single.outputs(X)
    assert outputs.dtype == np.float32
    np.testing.assert_allclose(outputs, double.outputs(X), rtol=0, atol=20 * eps)
    assert type(single.final_loss[0]) is float
    assert single.final_loss[0] == pytest.approx(double.final_loss[0], rel=20 * eps)
