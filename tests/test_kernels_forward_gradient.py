"""The compiled kernels of forward mode and their pure-Python twins; tangents against PyTorch's forward mode."""

from itertools import product
from typing import Any

import numpy as np
import pytest
from scipy import stats
from twins import CORE, PURE, Arguments, assert_same_bits, assert_twins_agree, functions, locked, poison, run

from fcfast._pure.mathfn import activate

ACTIVATIONS = range(5)
RELU = 1
TOLERANCE = {"float32": {"rtol": 2e-5, "atol": 4e-6}, "float64": {"rtol": 1e-13, "atol": 1e-14}}
SHAPES = [(1, 1, 1, 1), (1, 7, 5, 6), (3, 1, 6, 4), (3, 7, 4, 9)]
MOVING = ("tangents", "weight_tangents", "bias_tangents", "noise")


def pushed(
    rng: np.random.Generator, dtype: np.dtype, activation: int, moving: tuple[str, ...], M: int, B: int, n_in: int, n_out: int
) -> Arguments:
    """Arguments of ``push`` for a random layer in which some things move; values are those of its own inputs."""
    weights, inputs = rng.normal(size=(n_out, n_in)), rng.normal(size=(B, n_in))
    moves = {
        "tangents": (M, B, n_in),
        "weight_tangents": (M, n_out, n_in),
        "bias_tangents": (M, n_out),
        "noise": (M, B, n_out),
    }
    given = {name: locked(rng.normal(size=shape), dtype) if name in moving else None for name, shape in moves.items()}
    if given["noise"] is not None:
        given["noise"] = given["noise"].copy()
    return given | {
        "values": locked(activate(inputs @ weights.T, activation), dtype),
        "activation": activation,
        "weights": locked(weights, dtype) if "tangents" in moving else None,
        "inputs": locked(inputs, dtype) if "weight_tangents" in moving else None,
        "out": poison(M, B, n_out, dtype=dtype),
    }


def subsets() -> list[tuple[str, ...]]:
    """All combinations of what moves in a layer."""
    return [tuple(name for name, wanted in zip(MOVING, chosen, strict=True) if wanted) for chosen in product((0, 1), repeat=4)]


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("moving", subsets(), ids=lambda moving: "+".join(moving) or "nothing")
def test_push(moving, activation, dtype, global_random_seed):
    """Whatever moves, one tangent or several, one sample or several: every number of the result is written."""
    for shape in SHAPES:
        rng = np.random.default_rng([global_random_seed, *shape])
        left = assert_twins_agree(
            "forward_gradient.push", pushed(rng, dtype, activation, moving, *shape), **TOLERANCE[dtype.name]
        )
        assert np.isfinite(left["out"]).all()
        if not moving:
            assert not left["out"].any()


def test_push_masks_the_noise_of_relu_only(dtype, global_random_seed):
    """Noise is 0 afterwards where a ReLU is off, at 0 too; other activations leave it alone."""
    for activation in ACTIVATIONS:
        arguments = pushed(np.random.default_rng(global_random_seed), dtype, activation, ("noise",), 3, 7, 4, 9)
        values = arguments["values"].copy()
        values[0, 0] = 0
        arguments["values"] = locked(values, dtype)
        for modules in (CORE, PURE):
            left = run(modules, "forward_gradient.push", arguments)["noise"]
            on = values > 0 if activation == RELU else np.full(values.shape, True)
            np.testing.assert_array_equal(left, np.where(on, arguments["noise"], 0))


@pytest.mark.bits
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_push_does_not_depend_on_threads(activation, dtype, global_random_seed):
    """Above the size where threads start, rows are shared out: the bits are the same, and the twin agrees."""
    for moving in (MOVING, ("tangents",), ("noise",)):
        rng = np.random.default_rng(global_random_seed)
        arguments = pushed(rng, dtype, activation, moving, 3, 101, 7, 131)
        assert arguments["out"].size > 32768  # THREADED_WORK
        left = assert_twins_agree("forward_gradient.push", arguments, **TOLERANCE[dtype.name])
        assert_same_bits(left, run(CORE, "forward_gradient.push", arguments, n_threads=2))


@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated:DeprecationWarning")  # by what PyTorch itself imports
@pytest.mark.parametrize("modules", [CORE, PURE], ids=["compiled", "python"])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_push_is_a_derivative(activation, modules, global_random_seed):
    """All moves of a layer at once are PyTorch's Jacobian-vector product of it, noise that of its pre-activations."""
    torch = pytest.importorskip("torch", reason="the reference is PyTorch's forward mode")
    nn = torch.nn.functional
    functions_of = (lambda z: z, nn.relu, lambda z: nn.leaky_relu(z, 0.01), torch.tanh, torch.sigmoid)

    def layer(inputs: Any, weights: Any, bias: Any, noise: Any) -> Any:
        return functions_of[activation](inputs @ weights.T + bias + noise)

    M, B, n_in, n_out = 3, 7, 4, 9
    rng = np.random.default_rng(global_random_seed)
    arguments = pushed(rng, np.dtype(float), activation, MOVING, M, B, n_in, n_out)
    at = [torch.tensor(arguments[name]) for name in ("inputs", "weights")]
    at += [torch.zeros(n_out, dtype=torch.float64), torch.zeros(B, n_out, dtype=torch.float64)]
    out = run(modules, "forward_gradient.push", arguments)["out"]
    for k in range(M):
        along = [torch.tensor(arguments[name][k]) for name in MOVING]
        _, expected = torch.func.jvp(layer, tuple(at), tuple(along))
        np.testing.assert_allclose(out[k], expected.numpy(), rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize(("M", "B"), [(1, 1), (1, 7), (3, 1), (3, 7)])
@pytest.mark.parametrize("G", [1, 3, 12])
def test_combine(M, B, G, dtype, global_random_seed):
    """A coefficient for each tangent, sample and group of units, against the sum written out."""
    rng = np.random.default_rng(global_random_seed)
    directions, coefficients = rng.normal(size=(M, B, 12)), rng.normal(size=(M, B, G))
    arguments = {
        "directions": locked(directions, dtype),
        "coefficients": locked(coefficients),
        "deltas": poison(B, 12, dtype=dtype),
    }
    left = assert_twins_agree("forward_gradient.combine", arguments, **TOLERANCE[dtype.name])
    expected = np.einsum("mbg,mbgj->bgj", coefficients, directions.reshape(M, B, G, 12 // G)).reshape(B, 12)
    np.testing.assert_allclose(left["deltas"], expected, **TOLERANCE[dtype.name])


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("widths", [[5, 4], [1, 1, 1], [6, 5, 7, 3]], ids=len)
@pytest.mark.parametrize("B", [1, 7])
def test_outer_products(B, widths, bias, dtype, global_random_seed):
    """Each layer's gradient comes of its own inputs and deltas; whether the values end with those of the last layer or not."""
    rng = np.random.default_rng(global_random_seed)
    units = sum(widths[1:])
    X, flat, deltas = rng.normal(size=(B, widths[0])), rng.normal(size=B * units), rng.normal(size=B * units)
    expected, below, start = [], X, 0
    for n_out in widths[1:]:
        delta = deltas[start : start + B * n_out].reshape(B, n_out)
        expected += [np.einsum("bo,bi->oi", delta, below).ravel(), *([delta.sum(axis=0)] if bias else [])]
        below, start = flat[start : start + B * n_out].reshape(B, n_out), start + B * n_out
    for values in (flat, flat[: B * sum(widths[1:-1])]):
        arguments = {
            "widths": locked(widths, np.intp),
            "bias": bias,
            "X": locked(X, dtype),
            "values": locked(values, dtype),
            "deltas": locked(deltas, dtype),
            "grad": poison(sum(map(len, expected)), dtype=dtype),
        }
        left = assert_twins_agree("forward_gradient.outer_products", arguments, **TOLERANCE[dtype.name])
        np.testing.assert_allclose(left["grad"], np.concatenate(expected), **TOLERANCE[dtype.name])


def test_every_kernel_is_compared():
    """A kernel added without a comparison would go unnoticed."""
    compared = {f"forward_gradient.{name}" for name in ("push", "combine", "outer_products")}
    assert compared == set(functions({"forward_gradient": CORE["forward_gradient"]}))


# ----------------------------------------------------------------------------------------------------------------------
# noise


@pytest.mark.parametrize("size", [0, 1, 2, 7, 511, 512, 513, 40_001])
@pytest.mark.parametrize("key", [0, 1, 2**64 - 1])
def test_noise(size, key, dtype):
    """Both twins make the same numbers, in single precision whatever the dtype, and the same bits with two threads."""
    arguments = {"key": key, "out": poison(size, dtype=dtype)}
    assert_twins_agree("noise.normals", arguments, rtol=1e-5, atol=2e-5)
    one, two = (run(CORE, "noise.normals", arguments, n_threads) for n_threads in (1, 2))
    assert_same_bits(one, two)


def test_noise_is_normal():
    """Moments, distribution and correlations within 4.5 standard errors, of streams of neighbouring keys too."""
    n = 1_000_000
    streams = np.stack([run(CORE, "noise.normals", {"key": key, "out": poison(n)})["out"] for key in (5, 6)])
    for stream in streams:
        assert abs(stream.mean()) < 4.5 / n**0.5
        assert abs(stream.var() - 1) < 4.5 * (2 / n) ** 0.5
        assert abs(stats.skew(stream)) < 4.5 * (6 / n) ** 0.5
        assert abs(stats.kurtosis(stream)) < 4.5 * (24 / n) ** 0.5
        assert stats.kstest(stream, "norm").pvalue > 1e-5
        assert abs(np.corrcoef(stream[:-1], stream[1:])[0, 1]) < 4.5 / n**0.5
        assert abs(np.corrcoef(stream[: n // 2], stream[n // 2 :])[0, 1]) < 4.5 / (n / 2) ** 0.5
    assert abs(np.corrcoef(*streams)[0, 1]) < 4.5 / n**0.5
    assert 4.4 < np.abs(streams).max() < 5.9
