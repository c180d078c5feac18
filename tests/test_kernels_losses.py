"""The compiled losses and their twins: the same numbers, those of PyTorch, and those of central differences."""

from typing import Any

import numpy as np
import pytest
from twins import Arguments, assert_twins_agree, locked, poison

from fcfast._pure.lossfn import CROSS_ENTROPY, HUBER, LOGISTIC, POISSON, QUANTILE, SQUARED_ERROR

# kinds of losses, with settings that repeat over the outputs
LOSSES = [
    (SQUARED_ERROR, (0.0,)), (CROSS_ENTROPY, (0.0,)), (CROSS_ENTROPY, (0.3,)), (LOGISTIC, (0.0,)), (LOGISTIC, (0.3,)),
    (POISSON, (0.0,)), (HUBER, (0.7,)), (QUANTILE, (0.5,)), (QUANTILE, (0.05, 0.5, 0.9)),
]  # fmt: skip
OF_NUMBERS = [loss for loss in LOSSES if loss[0] != CROSS_ENTROPY]


def loss_of_rows(modules: dict[str, Any], outputs: Any, rows: Any, delta: Any, **targets: Any) -> float:
    """Call the kernel of that name with an object made of arrays and numbers."""
    losses = modules["losses"]
    return losses.loss_of_rows(losses.Targets(**targets), outputs, rows, delta)


def targets_of(kind: int, rng: np.random.Generator, n_samples: int, n_out: int) -> np.ndarray:
    """Targets that a loss is defined for."""
    if kind == LOGISTIC:
        return rng.integers(0, 2, (n_samples, n_out)).astype(float)
    return rng.poisson(3.0, (n_samples, n_out)).astype(float) if kind == POISSON else rng.normal(size=(n_samples, n_out))


def case(
    kind: int, parameters: tuple[float, ...], rng: np.random.Generator, dtype: np.dtype, size: float = 1.0, n_out: int = 6
) -> Arguments:
    """Some rows of some samples."""
    n_samples, rows = 9, rng.permutation(9)[: rng.integers(1, 8)]
    has_classes = kind == CROSS_ENTROPY
    return {
        "outputs": locked(size * rng.normal(size=(len(rows), n_out)), dtype),
        "rows": locked(rows, np.intp),
        "delta": poison(len(rows), n_out, dtype=dtype),
        "values": None if has_classes else locked(targets_of(kind, rng, n_samples, n_out), dtype),
        "labels": locked(rng.integers(n_out, size=n_samples), np.intp) if has_classes else None,
        "sample_weight": None,
        "kind": kind,
        "parameters": locked(parameters),
    }


def with_gaps(arguments: Arguments, rng: np.random.Generator) -> Arguments:
    """Let targets be missing, some outputs have none, and one sample none of any output."""
    values = arguments["values"].copy()
    values[rng.random(values.shape) < 0.4] = np.nan
    values[:, 1] = np.nan
    values[arguments["rows"][0]] = np.nan
    return arguments | {"values": locked(values, values.dtype)}


def by_definition(arguments: Arguments) -> tuple[float, np.ndarray]:
    """Loss of a batch and its gradient, each output and sample by itself, in float64."""
    outputs, rows = arguments["outputs"].astype(float), arguments["rows"]
    weights = np.ones(9) if arguments["sample_weight"] is None else arguments["sample_weight"]
    weights, (first, *_) = weights[rows], arguments["parameters"]
    if arguments["kind"] == CROSS_ENTROPY:
        shares = weights / (weights.sum() or 1)
        n_out = outputs.shape[1]
        wanted = (1 - first) * np.eye(n_out)[arguments["labels"][rows]] + first / n_out
        logarithms = outputs - np.log(np.exp(outputs).sum(axis=1, keepdims=True))
        return -shares @ (wanted * logarithms).sum(axis=1), shares[:, None] * (np.exp(logarithms) - wanted)
    values, total, delta = arguments["values"][rows].astype(float), 0.0, np.zeros_like(outputs)
    for k in range(outputs.shape[1]):
        there = ~np.isnan(values[:, k])
        mass = weights[there].sum() or 1
        for i in np.flatnonzero(there):
            z, t, p = outputs[i, k], values[i, k], arguments["parameters"][k % len(arguments["parameters"])]
            loss, slope = {
                SQUARED_ERROR: lambda z, t, p: ((z - t) ** 2 / 2, z - t),
                LOGISTIC: lambda z, t, p: (
                    -((1 - p) * t + p / 2) * np.log(1 / (1 + np.exp(-z)))
                    - (1 - (1 - p) * t - p / 2) * np.log(1 - 1 / (1 + np.exp(-z))),
                    1 / (1 + np.exp(-z)) - (1 - p) * t - p / 2,
                ),
                POISSON: lambda z, t, p: (np.exp(z) - t * z + (t * np.log(t) if t else 0) - t, np.exp(z) - t),
                HUBER: lambda z, t, p: (
                    (z - t) ** 2 / 2 if abs(z - t) <= p else p * (abs(z - t) - p / 2),
                    min(max(z - t, -p), p),
                ),
                QUANTILE: lambda z, t, p: (max(p * (t - z), (p - 1) * (t - z)), (z > t) - p if z != t else 0.0),
            }[arguments["kind"]](z, t, p)
            total += weights[i] / mass * loss
            delta[i, k] = weights[i] / mass * slope
    return total, delta


@pytest.mark.parametrize(("kind", "parameters"), LOSSES)
def test_loss_of_rows(kind, parameters, dtype, global_random_seed):
    """The weighted mean over some rows, and its gradient; where all weights are 0, both are 0."""
    rng = np.random.default_rng(global_random_seed)
    for _ in range(10):
        arguments = case(kind, parameters, rng, dtype)
        partly = rng.uniform(0, 2, 9)
        partly[arguments["rows"][-1]] = 0
        for weights in (None, locked(partly), locked(np.zeros(9))):
            weighted = arguments | {"sample_weight": weights}
            for each in (weighted, *([] if kind == CROSS_ENTROPY else [with_gaps(weighted, rng)])):
                left = assert_twins_agree(loss_of_rows, each, rtol=1e-12, atol=np.finfo(dtype).eps)
                loss, delta = by_definition(each)
                np.testing.assert_allclose(left["return"], loss, rtol=1e-12, atol=1e-14)
                np.testing.assert_allclose(left["delta"], delta, atol=4 * np.finfo(dtype).eps, rtol=2 * np.finfo(dtype).eps)


@pytest.mark.parametrize(("kind", "parameters"), LOSSES)
def test_slopes_are_those_of_central_differences(kind, parameters, global_random_seed):
    """Away from the kinks of the pinball loss; many outputs, so that they are counted in several parts."""
    rng = np.random.default_rng(global_random_seed)
    arguments = case(kind, parameters, rng, np.dtype(float), n_out=150)
    for each in (arguments, *([] if kind == CROSS_ENTROPY else [with_gaps(arguments, rng)])):
        delta = assert_twins_agree(loss_of_rows, each, rtol=1e-12, atol=1e-15)["delta"]
        direction = rng.normal(size=delta.shape)
        losses = [
            assert_twins_agree(
                loss_of_rows, each | {"outputs": locked(each["outputs"] + step * direction)}, rtol=1e-12, atol=1e-15
            )["return"]
            for step in (-1e-6, 1e-6)
        ]
        np.testing.assert_allclose((losses[1] - losses[0]) / 2e-6, (delta * direction).sum(), rtol=1e-5)


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
@pytest.mark.parametrize("size", [1, 300, 30000])
def test_outputs_that_are_far_off(size, smoothing, dtype, global_random_seed):
    """Cross-entropy from one class to many, and logistic losses, where exponentials overflow."""
    rng = np.random.default_rng(global_random_seed)
    for n_out in (1, *rng.integers(2, 40, 10)):
        for kind in (CROSS_ENTROPY, LOGISTIC):
            arguments = case(kind, (smoothing,), rng, dtype, size, int(n_out))
            left = assert_twins_agree(loss_of_rows, arguments, rtol=1e-13, atol=np.finfo(dtype).eps)
            assert np.isfinite(left["return"])


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize(("kind", "parameters"), LOSSES)
def test_a_diverged_network(kind, parameters, value, dtype):
    """An output that is not finite gives a loss that is not, wherever it stands; other rows keep finite deltas."""
    rng = np.random.default_rng(0)
    for k in range(3):
        outputs, arguments = np.zeros((2, 3)), case(kind, parameters, rng, dtype, n_out=3)
        outputs[1, k] = value
        arguments |= {"outputs": locked(outputs, dtype), "rows": locked([0, 1], np.intp), "delta": poison(2, 3, dtype=dtype)}
        with np.errstate(invalid="ignore"):  # NumPy warns of inf - inf, the compiled twin has no warnings
            left = assert_twins_agree(loss_of_rows, arguments, rtol=1e-6, atol=0)
        assert not np.isfinite(left["return"])
        assert np.isfinite(left["delta"][0]).all()
        if kind == CROSS_ENTROPY:
            assert np.isnan(left["delta"][1]).all()


def test_a_quantile_that_is_right_stays(dtype):
    """The slope is 0 where the loss has its kink."""
    arguments = case(QUANTILE, (0.3,), np.random.default_rng(0), dtype, n_out=2)
    exact = arguments["values"][arguments["rows"]]
    left = assert_twins_agree(loss_of_rows, arguments | {"outputs": locked(exact, dtype)}, rtol=0, atol=0)
    assert left["return"] == 0
    assert not left["delta"].any()


@pytest.mark.parametrize(("kind", "parameters"), OF_NUMBERS)
def test_gradients_equal_pytorch(kind, parameters, global_random_seed):
    """Losses and gradients of PyTorch's own losses, masked and weighted, to 1e-9."""
    torch = pytest.importorskip("torch", reason="the reference is PyTorch")
    rng = np.random.default_rng(global_random_seed)
    functional = torch.nn.functional

    def each(z: Any, t: Any) -> Any:
        level = torch.tensor(np.resize(parameters, z.shape[1]))
        if kind == SQUARED_ERROR:
            return functional.mse_loss(z, t, reduction="none") / 2
        if kind == LOGISTIC:
            return functional.binary_cross_entropy_with_logits(z, (1 - level) * t + level / 2, reduction="none")
        if kind == POISSON:
            return functional.poisson_nll_loss(z, t, reduction="none") + torch.special.xlogy(t, t) - t
        if kind == HUBER:
            return functional.huber_loss(z, t, reduction="none", delta=parameters[0])
        return torch.maximum(level * (t - z), (level - 1) * (t - z))

    for number in range(20):
        arguments = case(kind, parameters, rng, np.dtype(float), 3.0)
        if number % 2:
            arguments["sample_weight"] = locked(rng.uniform(0.1, 2, 9))
        if number % 4 > 1:
            arguments = with_gaps(arguments, rng)
        rows = arguments["rows"].copy()
        values = torch.tensor(arguments["values"][rows])
        weights = torch.tensor(np.ones(9) if arguments["sample_weight"] is None else arguments["sample_weight"].copy())
        outputs = torch.tensor(arguments["outputs"].copy(), requires_grad=True)
        mask = ~values.isnan()
        weights = weights[rows][:, None] * mask
        total = torch.where(weights.sum(0) > 0, weights.sum(0), 1.0)
        loss = ((weights * each(outputs, values.nan_to_num(0.0))).sum(0) / total).sum()
        loss.backward()
        left = assert_twins_agree(loss_of_rows, arguments, rtol=1e-12, atol=1e-14)
        np.testing.assert_allclose(left["return"], loss.item(), rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(left["delta"], outputs.grad.numpy(), rtol=1e-9, atol=1e-12)


def test_targets_of_another_kind_are_refused():
    """Kernels read addresses: targets without values or labels, of another width, or in another precision."""
    from fcfast._core import losses

    values, rows, none = np.zeros((3, 2)), np.arange(3), np.zeros(1)
    for given in (
        (None, None, None, SQUARED_ERROR, none),
        (values, None, None, CROSS_ENTROPY, none),
        (None, rows, None, POISSON, none),
        (values, rows, None, POISSON, none),
        (values, None, None, POISSON, np.zeros(0)),
    ):
        with pytest.raises(ValueError, match="needs values or labels"):
            losses.Targets(*given)
    targets = losses.Targets(values, None, None, POISSON, none)
    for outputs in (np.zeros((3, 3)), np.zeros((3, 2), np.float32)):
        with pytest.raises(ValueError, match="targets of"):
            losses.loss_of_rows(targets, outputs, rows, np.zeros_like(outputs))
