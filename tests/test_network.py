"""The dense network, compared with PyTorch and numerical derivatives, and its invariants."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fcfast.activations import ACTIVATIONS
from fcfast.network import DenseNetwork

each_activation = pytest.mark.parametrize("activation", ACTIVATIONS)
LOSSES = ("half_squared_error", "cross_entropy")
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
    network = DenseNetwork(*make_weights(rng, widths, bias), activation=activation, loss=loss)
    X, y = make_batch(rng, 3, widths, loss)
    while not away_from_kinks(network, X):
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
    eps = float(np.finfo(np.float32).eps)
    losses = single.loss_and_gradient(X, y), double.loss_and_gradient(X, y)
    for network in (single, double):
        network.step(0.1, momentum=0.9, weight_decay=0.01)
    assert type(losses[0]) is float
    assert losses[0] == pytest.approx(losses[1], rel=20 * eps)
    for name in ("grad", "params"):
        actual, expected = getattr(single, name), getattr(double, name)
        assert actual.dtype == np.float32
        np.testing.assert_allclose(actual, expected, rtol=0, atol=20 * eps * np.abs(expected).max())
    assert single.outputs(X).dtype == np.float32
    np.testing.assert_allclose(single.outputs(X), double.outputs(X), rtol=0, atol=20 * eps)


@pytest.mark.bits
@each_activation
def test_bits_do_not_depend_on_threads(activation, dtype, global_random_seed):
    """Two steps at a size where threads start give the same parameters, to the last bit."""
    rng = np.random.default_rng(global_random_seed)
    widths = [5, 131, 140, 3]
    weights, biases = make_weights(rng, widths, bias=True)
    X, y = make_batch(rng, 259, widths, "cross_entropy")
    trained = []
    for n_jobs in (1, 2):
        network = DenseNetwork(weights, biases, activation, "cross_entropy", dtype.name, n_jobs=n_jobs)
        for _ in range(2):
            network.loss_and_gradient(X, y)
            network.step(0.1, momentum=0.9)
        trained.append(network.params.tobytes())
    assert trained[0] == trained[1]


def test_input_layouts(global_random_seed):
    """Read-only, strided, Fortran-ordered, integer and nested-list inputs are the same inputs, and stay as they are."""
    rng = np.random.default_rng(global_random_seed)
    network = DenseNetwork(*make_weights(rng, [4, 6, 2], bias=True))
    X, y = rng.integers(-5, 5, (7, 4)).astype(float), rng.integers(-5, 5, (7, 2)).astype(float)
    X.flags.writeable = y.flags.writeable = False
    loss = network.loss_and_gradient(X, y)
    gradient = network.grad.copy()
    wide = np.zeros((14, 8))
    wide[::2, ::2] = X
    for inputs in (wide[::2, ::2], np.asfortranarray(X), X.astype(np.int8), X.tolist()):
        before = np.array(inputs)
        assert network.loss_and_gradient(inputs, y) == loss
        np.testing.assert_array_equal(network.grad, gradient)
        np.testing.assert_array_equal(inputs, before)


@pytest.mark.parametrize("kind", [np.int8, np.uint8, np.int32, np.uint64])
def test_label_dtypes(kind):
    """Labels of any integer dtype are the same labels."""
    network = DenseNetwork(np.arange(6.0).reshape(1, 3, 2), loss="cross_entropy")
    X = [[1, 2], [3, -4]]
    assert network.loss_and_gradient(X, np.array([0, 2], dtype=kind)) == network.loss_and_gradient(X, [0, 2])


def test_parameters_are_views():
    """`weights` and `biases` are windows into `params`, the gradients into `grad`; the arguments are copied."""
    weights, biases = [np.ones((2, 3)), np.ones((1, 2))], [np.zeros(2), np.zeros(1)]
    network = DenseNetwork(weights, biases)
    for packed, parts in [
        (network.params, [*network.weights, *network.biases]),
        (network.grad, [*network.weight_grads, *network.bias_grads]),
    ]:
        assert sum(part.size for part in parts) == packed.size
        assert all(np.shares_memory(part, packed) for part in parts)
    network.weights[1][:] = 5
    assert network.outputs([[1, 1, 1]]).tolist() == [[30]]
    network.params[:] = 0
    assert all((array == 1).all() for array in weights)
    assert DenseNetwork(weights).biases == DenseNetwork(weights).bias_grads == []


def test_workspace_is_invisible(global_random_seed):
    """Batches of changing size do not disturb one another, and earlier outputs stay as they were."""
    rng = np.random.default_rng(global_random_seed)
    widths = [3, 7, 2]
    weights, biases = make_weights(rng, widths, bias=True)
    network = DenseNetwork(weights, biases)
    kept = []
    for n_rows in (5, 2, 9, 2, 5):
        X, y = make_batch(rng, n_rows, widths, network.loss)
        fresh = DenseNetwork(weights, biases)
        kept.append((network.outputs(X), fresh.outputs(X)))
        assert network.loss_and_gradient(X, y) == fresh.loss_and_gradient(X, y)
        np.testing.assert_array_equal(network.grad, fresh.grad)
    for outputs, expected in kept:
        np.testing.assert_array_equal(outputs, expected)


# ----------------------------------------------------------------------------------------------------------------------
# bad input


def two_layers(**settings: Any) -> DenseNetwork:
    return DenseNetwork([np.eye(2), np.ones((3, 2))], **settings)


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"weights": []}, ValueError, "weights is empty"),
        ({"weights": [np.eye(2), np.ones((1, 3))]}, ValueError, r"weights\[1\] has shape \(1, 3\).*2 unit"),
        ({"weights": [[1.0, 2.0]]}, ValueError, r"weights\[0\] must have 2 dimension"),
        ({"weights": [np.ones((0, 2))]}, ValueError, r"weights\[0\] is empty"),
        ({"weights": [[[np.nan]]]}, ValueError, r"weights\[0\] holds 1 value.*NaN"),
        ({"weights": [[["a"]]]}, TypeError, r"weights\[0\] must hold real numbers"),
        ({"biases": [[0.0]]}, ValueError, r"biases have lengths \[1\].*\[2\]"),
        ({"biases": []}, ValueError, r"biases have lengths \[\]"),
        ({"biases": [[0.0, np.inf]]}, ValueError, r"biases\[0\] holds 1 value"),
        ({"activation": "gelu"}, ValueError, "activation='gelu' is unknown.*'relu'"),
        ({"loss": "hinge"}, ValueError, "loss='hinge' is unknown.*'cross_entropy'"),
        ({"dtype": "float16"}, ValueError, "dtype='float16' is unknown.*'float32'"),
        ({"n_jobs": 0}, ValueError, "n_jobs=0"),
        ({"n_jobs": 1.5}, TypeError, "n_jobs must be an integer"),
    ],
)
def test_bad_networks(settings, error, message):
    """Each message names the argument, what was got and what to do."""
    with pytest.raises(error, match=message):
        DenseNetwork(**{"weights": [np.eye(2)]} | settings)


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (np.ones((4, 3)), r"X has shape \(4, 3\).*2 features"),
        (np.ones(2), r"X has shape \(2,\)"),
        (np.ones((1, 1, 2)), r"X has shape \(1, 1, 2\)"),
        (np.ones((0, 2)), r"X is empty, shape \(0, 2\)"),
    ],
)
def test_bad_inputs(X, message):
    """Inputs of another shape than (N, d) are refused by every method that takes them."""
    with pytest.raises(ValueError, match=message):
        two_layers().outputs(X)
    with pytest.raises(ValueError, match=message):
        two_layers().loss_and_gradient(X, np.ones((len(X), 3)))


@pytest.mark.parametrize(
    ("loss", "y", "message"),
    [
        ("half_squared_error", np.ones(2), r"y has shape \(2,\).*\(2, 3\)"),
        ("half_squared_error", np.ones((2, 1)), r"y has shape \(2, 1\).*\(2, 3\)"),
        ("cross_entropy", [0, 3], "y has labels from 0 to 3; use 0 to 2"),
        ("cross_entropy", [-1, 0], "y has labels from -1 to 0"),
        ("cross_entropy", [0], r"y must be 2 integer label.*shape \(1,\)"),
        ("cross_entropy", [0.0, 1.0], "y must be 2 integer label.*float64"),
        ("cross_entropy", [[0], [1]], r"y must be 2 integer label.*shape \(2, 1\)"),
    ],
)
def test_bad_targets(loss, y, message):
    """Targets of another shape than the outputs, and labels that are no class, are refused."""
    with pytest.raises(ValueError, match=message):
        two_layers(loss=loss).loss_and_gradient(np.ones((2, 2)), y)


@pytest.mark.parametrize("bad", [[["a", "b"]], [[1j, 2]], [[1, 2], [3]]], ids=["strings", "complex", "ragged"])
def test_inputs_that_are_no_numbers(bad):
    """The message for inputs that are no array of real numbers names X."""
    with pytest.raises((TypeError, ValueError), match=r"\bX\b"):
        two_layers().outputs(bad)


@pytest.mark.parametrize(
    "bad",
    [np.empty((3, 2)), np.empty((1, 4)), np.empty((2, 2), dtype="float32"), np.empty((2, 4))[:, ::2], [[0.0] * 2] * 2],
    ids=["rows", "columns", "dtype", "strides", "list"],
)
def test_bad_input_gradient(bad):
    """What is to be filled must be a C-contiguous array of X's shape and the network's dtype."""
    with pytest.raises((TypeError, ValueError), match="input_gradient"):
        two_layers().loss_and_gradient(np.ones((2, 2)), np.ones((2, 3)), bad)


@pytest.mark.parametrize(
    ("settings", "argument"),
    [
        ({"learning_rate": -0.1}, "learning_rate"),
        ({"learning_rate": float("nan")}, "learning_rate"),
        ({"learning_rate": 0.1, "momentum": -0.5}, "momentum"),
        ({"learning_rate": 0.1, "weight_decay": -0.5}, "weight_decay"),
        ({"learning_rate": 0.1, "nesterov": True}, "nesterov"),
        ({"learning_rate": 0.1, "momentum": 0.9, "dampening": 0.1, "nesterov": True}, "nesterov"),
    ],
)
def test_bad_steps(settings, argument):
    """Settings of the optimiser that have no meaning are refused, as PyTorch refuses them."""
    with pytest.raises(ValueError, match=argument):
        two_layers().step(**settings)


def test_overflow_is_no_warning():
    """A network whose outputs overflow returns an infinite loss in either backend, for the caller to notice."""
    network = DenseNetwork([[[1e200]], [[1e200]]])
    assert network.loss_and_gradient([[1.0]], [[0.0]]) == np.inf
