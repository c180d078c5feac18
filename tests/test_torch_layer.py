"""What FrontLinear takes and gives: samples of all kinds, kernels, precisions, copies, pickles, states, compilers."""

import copy
import io
import math
import pickle
import tracemalloc
import warnings

import numpy as np
import pandas as pd
import pytest
from scipy import sparse, stats

pytest.importorskip("torch", reason="fcfast.torch needs PyTorch")
import torch
from torch import nn
from torch_cases import DOUBLE

from fcfast import Gram
from fcfast.sources import as_source
from fcfast.torch import FrontLinear, NeuronAdam, Rows

CLOSE = {"rtol": 1e-9, "atol": 1e-9}
FORMS = "coordinates", "contributions"


@pytest.fixture
def X():
    return np.random.default_rng(0).normal(size=(12, 300)) / 10


@pytest.fixture
def X_new():
    return np.random.default_rng(1).normal(size=(5, 300)) / 10


@pytest.fixture(params=FORMS)
def form(request):
    return request.param


def trained(layer, n_steps=5):
    """Move the weights, with weight decay, so that every part of them matters."""
    optimizer = torch.optim.SGD(layer.parameters(), 0.5, 0.9, weight_decay=0.1)
    for _ in range(n_steps):
        optimizer.zero_grad()
        (layer(None).tanh() - 0.5).square().sum().backward()
        optimizer.step()
    return layer


def array(tensor):
    return tensor.detach().numpy()


# ----------------------------------------------------------------------------------------------------------------------
# samples


def test_calls(X, X_new, form):
    """Row numbers of any shape and type, None, and features of any shape and kind give what the expanded layer gives."""
    layer = trained(FrontLinear(Rows(X, X_new), 4, form=form, **DOUBLE))
    expected, expected_new = (array(layer.expand()(torch.tensor(features))) for features in (X, X_new))
    with torch.no_grad():
        np.testing.assert_allclose(layer(None), expected, **CLOSE)
        for kind in (torch.int64, torch.int32):
            np.testing.assert_allclose(layer(torch.tensor([[3, 7], [3, 0]], dtype=kind)), expected[[[3, 7], [3, 0]]], **CLOSE)
        np.testing.assert_allclose(layer(np.array([1, 2])), expected[[1, 2]], **CLOSE)
        assert layer(torch.tensor(4)).shape == (4,)
        sources = [
            torch.tensor(X_new), X_new, sparse.csr_array(X_new), as_source(X_new), pd.DataFrame(X_new), X_new.tolist(),
        ]  # fmt: skip
        for features in sources:
            np.testing.assert_allclose(layer(features), expected_new, **CLOSE)
        np.testing.assert_allclose(layer(torch.tensor(X_new[0])), expected_new[0], **CLOSE)
        np.testing.assert_allclose(
            layer(torch.tensor(X_new[:4].reshape(2, 2, 300))), expected_new[:4].reshape(2, 2, 4), **CLOSE
        )
        layer.eval()
        np.testing.assert_allclose(layer(layer.rows.evaluation), expected_new, **CLOSE)
        np.testing.assert_allclose(layer(torch.tensor([13, 0])), [expected_new[1], expected[0]], **CLOSE)


@pytest.mark.parametrize("how", ["plain", "scaled", "centred"])
def test_gradient_of_features(X, X_new, form, how):
    """Saliency: outputs for new features, scaled as the samples are, can be differentiated by them and by the bias."""
    samples = {
        "plain": X,
        "scaled": Gram(X, standardize=True, dtype="float64"),
        "centred": Gram(X, dtype="float64").centred(),
    }[how]
    layer = trained(FrontLinear(Rows(samples), 4, form=form, **DOUBLE))
    linear = layer.expand()
    given, peer = (torch.tensor(X_new, requires_grad=True) for _ in range(2))
    scaled = (peer - torch.tensor(X.mean(axis=0))) / torch.tensor(X.std(axis=0)) if how == "scaled" else peer
    outputs = layer(given)
    np.testing.assert_allclose(array(outputs), array(layer(X_new)), **CLOSE)
    layer.zero_grad()
    outputs.sin().sum().backward(inputs=[given, layer.bias])
    linear(scaled).sin().sum().backward()
    np.testing.assert_allclose(given.grad, peer.grad, **CLOSE)
    np.testing.assert_allclose(layer.bias.grad, linear.bias.grad, **CLOSE)


SOURCES = "array", "float32", "fortran", "tensor", "csr", "csc", "source", "frame", "memmap", "path", "int8"


@pytest.mark.parametrize("kind", SOURCES)
def test_sources(X, X_new, kind, tmp_path):
    """Rows come from whatever an estimator takes, and from tensors and files."""
    X = X.astype("float32") if kind in ("float32", "memmap") else X
    X = (10 * X).round().astype("int8") if kind == "int8" else X
    if kind == "path":
        h5py = pytest.importorskip("h5py", reason="needs fcfast[hdf5]")
        with h5py.File(tmp_path / "study.h5", "w") as file:
            file.create_dataset("X", data=X, chunks=(12, 50))
    if kind == "memmap":
        np.save(tmp_path / "X.npy", X)
    make = {
        "fortran": lambda: np.asfortranarray(X), "tensor": lambda: torch.tensor(X), "csr": lambda: sparse.csr_array(X),
        "csc": lambda: sparse.csc_array(X), "source": lambda: as_source(X), "frame": lambda: pd.DataFrame(X),
        "memmap": lambda: np.load(tmp_path / "X.npy", mmap_mode="r"), "path": lambda: tmp_path / "study.h5",
    }  # fmt: skip
    rows = Rows(make.get(kind, lambda: X)())
    layer = trained(FrontLinear(rows, 3, **DOUBLE))
    linear = layer.expand()
    np.testing.assert_allclose(array(layer(None)), array(linear(torch.tensor(X.astype(float)))), **CLOSE)
    np.testing.assert_allclose(array(layer(X_new)), array(linear(torch.tensor(X_new))), **CLOSE)
    assert (rows.n_features, len(rows), layer.in_features) == (300, 12, 300)


def test_a_gram_and_its_views(X, form):
    """A view of a Gram is its samples; other rows of it are evaluation samples, or new ones."""
    gram = Gram(X, dtype="float64")
    rows = Rows(gram[[5, 0, 7, 2]], gram[8:])
    layer = trained(FrontLinear(rows, 3, form=form, **DOUBLE))
    linear = layer.expand()
    np.testing.assert_allclose(array(layer(None)), array(linear(torch.tensor(X[[5, 0, 7, 2]]))), **CLOSE)
    np.testing.assert_allclose(array(layer(gram[8:])), array(linear(torch.tensor(X[8:]))), **CLOSE)
    layer.eval()
    np.testing.assert_allclose(array(layer(rows.evaluation)), array(linear(torch.tensor(X[8:]))), **CLOSE)
    with pytest.raises(ValueError, match="other samples"):
        layer(Gram(X, dtype="float64"))


def test_standardized(X, X_new, form):
    """New samples are scaled as the training samples are; the expanded layer takes scaled features."""
    gram = Gram(X, standardize=True, dtype="float64")
    layer = trained(FrontLinear(Rows(gram, X_new), 3, form=form, **DOUBLE))
    scaled = torch.tensor((X_new - X.mean(axis=0)) / X.std(axis=0))
    expected = array(layer.expand()(scaled))
    np.testing.assert_allclose(array(layer(X_new)), expected, **CLOSE)
    np.testing.assert_allclose(array(layer.eval()(layer.rows.evaluation)), expected, **CLOSE)


@pytest.mark.parametrize("bias", [True, False])
def test_centred_by_a_gram(X, X_new, form, bias):
    """It is a layer on samples less their mean, which the bias of the expanded layer takes care of."""
    rows = Rows(Gram(X, dtype="float64").centred(), X_new)
    assert rows.rank == 11
    layer = trained(FrontLinear(rows, 3, bias, form=form, **DOUBLE))
    linear = layer.expand()
    np.testing.assert_allclose(array(layer(None)), array(linear(torch.tensor(X))), **CLOSE)
    np.testing.assert_allclose(array(layer(X_new)), array(linear(torch.tensor(X_new))), **CLOSE)
    np.testing.assert_allclose(array(layer.eval()(rows.evaluation)), array(layer(X_new)), **CLOSE)


@pytest.mark.parametrize("seed", range(8))
def test_kernel_is_a_layer_on_its_features(seed, form):
    """A polynomial kernel of degree 2 has features that can be written down; SGD on these is the peer."""
    rng = np.random.default_rng(seed)
    X, X_new = rng.normal(size=(15, 3)), rng.normal(size=(6, 3))

    def features(x):
        i, j = np.triu_indices(3)
        pairs = x[:, i] * x[:, j] * np.where(i == j, 1, 2**0.5) * 0.5
        return torch.tensor(np.column_stack([pairs, x, np.ones(len(x))]))  # of (x y / 2 + 1)^2

    rows = Rows(Gram(X, kernel="poly", degree=2, gamma=0.5, coef0=1.0, dtype="float64"), X_new)
    torch.manual_seed(seed)
    layer = FrontLinear(rows, 4, form=form, **DOUBLE)
    A = layer.form.split(array(layer.weight).copy())[0]
    peer = nn.Linear(10, 4, **DOUBLE)
    with torch.no_grad():
        peer.weight.copy_(torch.tensor(A).T @ features(X))
        peer.bias.copy_(layer.bias)
    settings = {"lr": 0.05, "momentum": 0.9, "weight_decay": 0.1}
    first, second = (torch.optim.SGD(module.parameters(), **settings) for module in (layer, peer))
    for _ in range(8):
        batch = torch.tensor(rng.integers(0, 15, 6))
        for module, optimizer, given in ((layer, first, batch), (peer, second, features(X)[batch])):
            optimizer.zero_grad()
            module(given).tanh().sum().backward()
            optimizer.step()
        np.testing.assert_allclose(array(layer(None)), array(peer(features(X))), **CLOSE)
    np.testing.assert_allclose(array(layer(X_new)), array(peer(features(X_new))), **CLOSE)
    np.testing.assert_allclose(array(layer.eval()(rows.evaluation)), array(peer(features(X_new))), **CLOSE)
    with pytest.raises(AttributeError, match="poly kernel"):
        layer.expand()
    with pytest.raises(ValueError, match="init='span'"):
        FrontLinear(rows, 4, init="uniform")


def test_products_alone(X, X_new, form):
    """A precomputed kernel matrix: new samples are their products with the samples of the layer."""
    linear = trained(
        FrontLinear(Rows(Gram(X @ X.T, kernel="precomputed", dtype="float64"), X_new @ X.T), 3, form=form, **DOUBLE)
    )
    crossed = X_new @ X.T
    np.testing.assert_allclose(array(linear(crossed)), array(linear.eval()(linear.rows.evaluation)), **CLOSE)
    np.testing.assert_allclose(array(linear(X @ X.T)), array(linear(None)), **CLOSE)
    with pytest.raises(ValueError, match="products of each new sample with all 12 samples"):
        linear(X_new)
    sums = 0.5 * Gram(X, dtype="float64") + Gram(np.abs(X), dtype="float64")
    assert trained(FrontLinear(Rows(sums), 3, **DOUBLE))(None).shape == (12, 3)


def test_products_in_a_file(X, X_new, form, tmp_path):
    """A Gram matrix that is mapped from a file, in single precision."""
    gram = Gram(X, path=tmp_path / "gram.safetensors")
    layer = trained(FrontLinear(Rows(gram, X_new), 3, form=form))
    expected = array(layer.expand()(torch.tensor(X_new, dtype=torch.float32)))
    np.testing.assert_allclose(array(layer(X_new)), expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(array(layer.eval()(layer.rows.evaluation)), expected, rtol=1e-4, atol=1e-5)


def test_form_by_the_number_of_samples(X, monkeypatch):
    """Many samples have contributions, for which no matrix is decomposed."""
    monkeypatch.setattr("fcfast.torch.linear.MOST_ROWS", 11)
    monkeypatch.setattr("fcfast.torch.rows.span_factor", None)
    layer = trained(FrontLinear(Rows(X), 3))
    assert layer.weight.shape == (13, 3)
    monkeypatch.setattr("fcfast.torch.linear.MOST_ROWS", 12)
    with pytest.raises(TypeError):
        FrontLinear(Rows(X), 3)


def test_repeated_and_opposite_rows(X, form):
    """Rows that depend on others, or are 0, are samples like any other."""
    X = np.concatenate([X, X[:3], -X[:2], np.zeros((1, 300)), 1e6 * X[3:4]])
    rows = Rows(X)
    assert rows.rank == 12
    layer = FrontLinear(rows, 3, form=form, **DOUBLE)
    np.testing.assert_allclose(array(layer(None)), array(layer.expand()(torch.tensor(X))), rtol=1e-9, atol=1e-6)


def test_a_huge_sample_hides_no_small_ones():
    """Samples of very different sizes keep their rank."""
    X = np.random.default_rng(0).normal(size=(6, 40)) * np.array([1e9, 1, 1, 1e-6, 1, 1])[:, None]
    assert Rows(X).rank == 6


def test_the_start_is_that_of_nn_linear(X):
    """Uniform weights and biases within the bounds of nn.Linear; the seed is PyTorch's."""
    torch.manual_seed(3)
    layer = FrontLinear(Rows(X), 200, **DOUBLE)
    weights, biases = array(layer.expand().weight), array(layer.bias)
    bound = 1 / math.sqrt(300)
    for values in (weights.ravel(), biases):
        assert abs(values).max() <= bound
        assert stats.kstest(values[:5000], stats.uniform(-bound, 2 * bound).cdf).pvalue > 0.01
    torch.manual_seed(3)
    np.testing.assert_array_equal(array(FrontLinear(Rows(X), 200, **DOUBLE).expand().weight), weights)
    assert not np.array_equal(array(FrontLinear(Rows(X), 200, **DOUBLE).expand().weight), weights)
    seeded = [FrontLinear(Rows(X), 2, generator=torch.Generator().manual_seed(5)) for _ in range(2)]
    assert torch.equal(seeded[0].weight, seeded[1].weight)
    assert torch.equal(seeded[0].bias, seeded[1].bias)


def test_start_in_the_span(X, form):
    """Pre-activations have the distribution that nn.Linear's would give, and the weights no part outside the span."""
    torch.manual_seed(0)
    layer = FrontLinear(Rows(X), 4000, False, init="span", form=form, **DOUBLE)
    S, weights = array(layer(None)), array(layer.expand().weight)
    np.testing.assert_allclose(S @ S.T / 4000, X @ X.T / 900, atol=0.15 * (X @ X.T).max() / 900)
    orthogonal = weights - weights @ np.linalg.pinv(X) @ X
    assert abs(orthogonal).max() < 1e-9
    before = array(layer.weight).copy()
    layer.reset_parameters()
    assert not np.array_equal(array(layer.weight), before)


def test_reset_parameters_draws_anew(X, form):
    """As nn.Linear's, and outputs are those of the new weights."""
    layer = trained(FrontLinear(Rows(X), 3, form=form, **DOUBLE))
    layer.reset_parameters(torch.Generator().manual_seed(1))
    np.testing.assert_allclose(array(layer(None)), array(layer.expand()(torch.tensor(X))), **CLOSE)
    assert abs(array(layer.expand().weight)).max() <= 1 / math.sqrt(300)


def test_from_linear(X, X_new, form):
    """The layer has a copy of the weights, and gives them back."""
    linear = nn.Linear(300, 4, **DOUBLE)
    layer = FrontLinear.from_linear(linear.eval(), Rows(X), form=form)
    weights = array(linear.weight).copy()
    with torch.no_grad():
        linear.weight.zero_()
    expanded = layer.expand()
    np.testing.assert_allclose(array(expanded.weight), weights, **CLOSE)
    assert not layer.training
    assert not expanded.training
    zeros = FrontLinear.from_linear(linear, Rows(X), form=form)
    np.testing.assert_allclose(array(trained(zeros)(X_new)), array(zeros.expand()(torch.tensor(X_new))), **CLOSE)
    with pytest.raises(ValueError, match="7 inputs, but the samples have 300"):
        FrontLinear.from_linear(nn.Linear(7, 2), Rows(X))
    with pytest.raises(TypeError, match=r"torch\.nn\.Linear"):
        FrontLinear.from_linear(nn.Identity(), Rows(X))
    with pytest.raises(ValueError, match="must have features"):
        FrontLinear.from_linear(nn.Linear(12, 2), Rows(Gram(X, kernel="rbf")))


def test_expand_needs_no_memory_beside_the_weights():
    """Blocks of features are written into the result."""
    X = np.random.default_rng(0).normal(size=(4, 300_000)).astype("float32")
    layer = FrontLinear(Rows(X), 64)
    tracemalloc.start()
    linear = layer.expand()
    peak = tracemalloc.get_traced_memory()[1]  # NumPy's, without the tensor itself
    tracemalloc.stop()
    assert peak < 0.7 * linear.weight.numel() * 4


def test_wrong_rows(X):
    """Numbers beyond the samples, masks, features of other widths, and what are no samples."""
    layer = FrontLinear(Rows(X, X[:2]), 3)
    for number in (12, -1):
        with pytest.raises(IndexError, match="from 0 to 11"):
            layer(torch.tensor([0, number]))
    with pytest.raises(IndexError, match="evaluation mode only"):
        layer(layer.rows.evaluation)
    with pytest.raises(TypeError, match="nonzero"):
        layer(torch.ones(12, dtype=torch.bool))
    for small in (torch.ones((2, 300), dtype=torch.int8), np.ones((2, 300), "uint8")):
        if isinstance(small, torch.Tensor):
            with pytest.raises(TypeError, match=r"x\.float\(\)"):
                layer(small)
        else:
            assert layer(small).shape == (2, 3)  # NumPy's small integers are features, as in Rows
    with pytest.raises(ValueError, match="NaN"):
        layer(torch.full((1, 300), torch.nan, requires_grad=True))
    with pytest.raises(ValueError, match="299 features"):
        layer(X[:, 1:])
    with pytest.raises(ValueError, match="NaN"):
        layer(np.full((1, 300), np.nan))
    with pytest.raises(TypeError, match="use Rows"):
        FrontLinear(X, 3)
    with pytest.raises(ValueError, match="form"):
        FrontLinear(Rows(X), 3, form="weights")
    with pytest.raises(ValueError, match="out_features"):
        FrontLinear(Rows(X), 0)


def test_integers(X):
    """Features in a matrix with their number of columns, row numbers in one dimension and in tensors of any shape."""
    G = (10 * X).round().astype(int)
    layer = FrontLinear(Rows(G), 3, **DOUBLE)
    expected = array(layer(None))
    for kind in ("int64", "int32", "int16", "int8"):
        np.testing.assert_allclose(array(layer(G[:3].astype(kind))), expected[:3], **CLOSE)
    for rows in ([1, 2], (1, 2), range(1, 3), np.array([1, 2], "int16"), pd.Series([1, 2]), np.array([1, 2], "uint8")):
        np.testing.assert_allclose(array(layer(rows)), expected[1:3], **CLOSE)
    for row in (3, np.int16(3), np.array(3)):
        np.testing.assert_allclose(array(layer(row)), expected[3], **CLOSE)
    assert layer(torch.zeros((2, 300), dtype=torch.int64)).shape == (2, 300, 3)
    with pytest.raises(ValueError, match=r"shape \(3, 7\), which are neither 300 features .* give a tensor of integers"):
        layer(G[:3, :7])
    for nothing in ([], np.array([]), torch.tensor([])):
        with pytest.raises(TypeError, match="give a tensor of integers"):
            layer(nothing)
    for mask in ([True] * 12, np.ones(12, bool)):
        with pytest.raises(TypeError, match="nonzero"):
            layer(mask)
    with pytest.raises(IndexError, match="from 0 to 11"):
        layer([12])


def test_features_that_need_a_gradient_are_features(X, form):
    """Their number is checked, and any precision is taken, as without a gradient."""
    layer = FrontLinear(Rows(X), 3, form=form)
    x = torch.tensor(X[:2], requires_grad=True)
    torch.testing.assert_close(layer(x), layer(X[:2]), rtol=1e-5, atol=1e-6)
    assert layer(x.detach().half().requires_grad_()).dtype == torch.float32
    with torch.autocast("cpu", torch.bfloat16):
        assert layer(x).dtype == torch.float32
    with pytest.raises(ValueError, match=r"x has shape \(2, 7\), but the samples of the layer have 300 features"):
        layer(x[:, :7])
    with pytest.raises(TypeError, match="sparse tensor"):
        layer(x.detach().to_sparse())


def test_what_is_refused_as_rows(X):
    """The advice is one that can be followed, and names what it is about."""
    gaps = X.copy()
    gaps[1, 2] = np.nan
    advice = r"use Rows\(Gram\(X, missing='mean', dtype='float64'\)\)"
    with pytest.raises(ValueError, match=advice):
        Rows(gaps)
    with pytest.raises(ValueError, match=f"^X_eval: .*{advice}"):
        Rows(X, gaps)
    with pytest.raises(ValueError, match=r"^X_eval: X_new has 7 feature"):
        Rows(X, X[:, :7])
    with pytest.raises(ValueError, match=r"^X_eval: X is a Gram matrix of other samples than those that were trained on"):
        Rows(X, Gram(X, dtype="float64"))
    with pytest.raises(TypeError, match="X is a sparse tensor"):
        Rows(torch.eye(4).to_sparse())
    with pytest.raises(ValueError, match="n_jobs=2 is for features"):
        Rows(Gram(X, dtype="float64"), n_jobs=2)
    with pytest.raises(ValueError, match=r"overflows float64; scale X$"):
        Rows(1e200 * X)
    linear = nn.Linear(300, 2)
    with torch.no_grad():
        linear.weight[0, 0] = torch.nan
    with pytest.raises(ValueError, match=r"linear\.weight holds values that are NaN"):
        FrontLinear.from_linear(linear, Rows(X))


def test_changed_samples_are_noticed(X, X_new):
    """Features that were changed in place would give wrong weights."""
    layer = FrontLinear(Rows(X), 3)
    X += 1
    with pytest.raises(RuntimeError, match="changed in place"):
        layer(X_new)


# ----------------------------------------------------------------------------------------------------------------------
# precisions, devices, modes


def test_precisions(X, X_new, form):
    """float32 and float64, from one to the other; half precision is refused and changes nothing."""
    layer = trained(FrontLinear(Rows(X), 3, form=form))
    assert (layer.weight.dtype, layer(None).dtype, layer(X_new).dtype) == (torch.float32,) * 3
    single = array(layer(X_new))
    layer.double()
    assert (layer.weight.dtype, layer(None).dtype, layer.expand().weight.dtype) == (torch.float64,) * 3
    np.testing.assert_allclose(array(layer(X_new)), single, rtol=1e-5, atol=1e-5)
    for change in (layer.half, layer.bfloat16, lambda: layer.to(torch.float16)):
        with pytest.raises(TypeError, match="autocast"):
            change()
    assert layer.weight.dtype == layer.bias.dtype == torch.float64
    with pytest.raises(TypeError, match="float32 or float64"):
        FrontLinear(Rows(X), 3, dtype=torch.bfloat16)


def test_devices(X):
    """The table of the samples follows the layer; the meta device stands for any other."""
    layer = FrontLinear(Rows(X), 3)
    layer.to("meta")
    assert layer(torch.zeros(5, dtype=torch.int64, device="meta")).device.type == "meta"
    assert FrontLinear(layer.rows, 3, device="meta").weight.device.type == "meta"
    assert FrontLinear(layer.rows, 3)(None).device.type == "cpu"
    if torch.cuda.is_available():
        assert FrontLinear(layer.rows, 3).to("cuda")(torch.tensor([1], device="cuda")).is_cuda


def test_autocast(X, form):
    """The layer keeps its own precision; what is above it does not."""
    net = nn.Sequential(FrontLinear(Rows(X), 3, form=form), nn.Linear(3, 2))
    expected = net[0](None)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(net[0](None), expected)
        outputs = net(torch.arange(4))
    assert outputs.dtype == torch.bfloat16
    outputs.float().sum().backward()
    assert net[0].weight.grad.dtype == torch.float32


def test_frozen_layers(X, form):
    """A layer that needs no gradient gets none, and the others do."""
    net = nn.Sequential(FrontLinear(Rows(X), 3, form=form), nn.Linear(3, 2))
    net[0].requires_grad_(False)
    net(None).sum().backward()
    net(X).sum().backward()  # nothing below is trained
    assert net[0].weight.grad is None
    assert net[1].weight.grad is not None
    assert not net[0].expand().weight.requires_grad


def test_inference_mode(X, X_new, form):
    """Tensors of the samples that are first needed in inference mode are good for training."""
    layer = FrontLinear(Rows(X, X_new), 3, form=form).eval()
    with torch.inference_mode():
        layer(layer.rows.evaluation)
        copy.deepcopy(layer).double()(None)
    layer(torch.arange(4)).sum().backward()
    layer.double()(None).sum().backward()
    assert layer.weight.grad is not None


def test_hooks_and_zero_grad(X, form):
    """Hooks of modules and tensors are called; gradients become None or 0."""
    layer, seen = FrontLinear(Rows(X), 3, form=form), []
    layer.register_forward_hook(lambda module, given, output: seen.append(tuple(output.shape)))
    layer.register_full_backward_hook(lambda module, given, output: seen.append("backward"))
    layer.weight.register_hook(lambda gradient: seen.append(tuple(gradient.shape)))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*no inputs require gradients")  # since PyTorch 2.7, as of nn.Embedding
        layer(torch.arange(4)).sum().backward()
    assert set(seen) == {(4, 3), "backward", tuple(layer.weight.shape)}
    layer.zero_grad(set_to_none=False)
    assert not layer.weight.grad.any()
    layer.zero_grad(set_to_none=True)
    assert layer.weight.grad is None


# ----------------------------------------------------------------------------------------------------------------------
# copies, pickles, states


def test_copies(X, X_new, form):
    """A copy has its own weights, shares the samples, and is guarded."""
    layer = trained(FrontLinear(Rows(X, X_new), 3, form=form, **DOUBLE))
    copied = copy.deepcopy(layer)
    assert copied.rows is layer.rows
    assert copied.form is layer.form
    assert copied.weight is not layer.weight
    np.testing.assert_array_equal(array(trained(copied)(X_new)), array(trained(layer)(X_new)))
    for held in (copied, pickle.loads(pickle.dumps(layer))):
        np.testing.assert_array_equal(array(held(X_new)), array(layer(X_new)))
        np.testing.assert_array_equal(array(held.eval()(held.rows.evaluation)), array(layer.eval()(layer.rows.evaluation)))
        held(None).sum().backward()
        with pytest.raises(TypeError, match="Adam would not train"):
            torch.optim.Adam(held.parameters()).step()


def test_layers_in_one_pickle_share_their_samples(X):
    """Two layers on the same Rows stay so."""
    rows = Rows(X)
    net = pickle.loads(pickle.dumps(nn.ModuleList([FrontLinear(rows, 2), FrontLinear(rows, 3)])))
    assert net[0].rows is net[1].rows


def saved(module, weights_only=True):
    """Save and load a state dictionary as PyTorch recommends."""
    file = io.BytesIO()
    torch.save(module.state_dict(), file)
    file.seek(0)
    return torch.load(file, weights_only=weights_only)


@pytest.mark.parametrize("start", ["uniform", "span", "given"])
def test_states(X, X_new, form, start):
    """A state has neither products nor coordinates of the samples; it makes a network with other seeds the same."""

    def make():
        if start == "given":
            return FrontLinear.from_linear(nn.Linear(300, 3, **DOUBLE), Rows(X, X_new), form=form)
        return FrontLinear(Rows(X, X_new), 3, init=start, form=form, **DOUBLE)

    layer, other = trained(make()), make()
    state = saved(layer)
    assert set(state) == {"weight", "bias", "_extra_state"}
    numbers = [value for value in state["_extra_state"].values() if isinstance(value, torch.Tensor)]
    assert sum(tensor.numel() for tensor in numbers) <= 64 + (900 if start == "given" else 0)
    other.load_state_dict(state)
    np.testing.assert_array_equal(array(other(X_new)), array(layer(X_new)))
    np.testing.assert_array_equal(array(other.eval()(other.rows.evaluation)), array(layer.eval()(layer.rows.evaluation)))
    np.testing.assert_array_equal(array(trained(other)(None)), array(trained(layer)(None)))


def test_states_of_other_samples_are_refused(X, form):
    """Coordinates mean something else for other samples, or for these in another order; nothing is loaded then."""
    state = FrontLinear(Rows(X), 3, form=form).state_dict()
    swapped = X[[0, 1, 3, 2, *range(4, 12)]]
    for others in (X[::-1].copy(), swapped, np.random.default_rng(9).normal(size=X.shape)):
        layer = FrontLinear(Rows(others), 3, form=form)
        before = layer.weight.clone()
        with pytest.raises(RuntimeError, match="other samples"):
            layer.load_state_dict(state)
        assert torch.equal(layer.weight, before)
    if form == "coordinates":  # they begin with other samples on another machine
        state["_extra_state"]["order"] += 1
        with pytest.raises(RuntimeError, match="in another order"):
            FrontLinear(Rows(X), 3).load_state_dict(state)
    with pytest.raises(RuntimeError, match="its form is"):
        FrontLinear(Rows(X), 3, form=FORMS[form == "coordinates"]).load_state_dict(state)


@pytest.mark.parametrize("strict", [True, False])
def test_states_that_are_incomplete(X, form, strict):
    """They are refused before anything changes, also below a parametrisation; what is not for the layer is left alone."""
    net = nn.Sequential(FrontLinear(Rows(X), 3, form=form), nn.Linear(3, 2))
    before, state = copy.deepcopy(net.state_dict()), nn.Sequential(*map(copy.deepcopy, net)).state_dict()
    extra = state["0._extra_state"]
    state = {name: held + 1 if isinstance(held, torch.Tensor) else held for name, held in state.items()}
    without = {name: held for name, held in state.items() if name != "0._extra_state"}
    cases = [(without, "the state lacks '0._extra_state'"), ({**without, "0._extra_state": None}, "damaged")]
    cases += [({name: held for name, held in state.items() if name != "0.weight"}, "the state lacks '0.weight'")]
    cases += [({**state, "0._extra_state": {**extra, "seed": "x"}}, "damaged")]
    cases += [({**state, "0._extra_state": {"form": form}}, "damaged"), ({**state, "0.weight": torch.ones(2, 2)}, "shape")]
    for given, message in cases:
        with pytest.raises(RuntimeError, match=message):
            net.load_state_dict(given, strict=strict)
        for name, held in net.state_dict().items():
            assert not isinstance(held, torch.Tensor) or torch.equal(held, before[name])
    head = {name: held for name, held in state.items() if name.startswith("1")}
    net.load_state_dict(head, strict=False)
    assert torch.equal(net[1].weight, head["1.weight"])
    net.load_state_dict(state, strict=strict)
    if form == "coordinates":
        layer, other = (nn.utils.parametrizations.weight_norm(FrontLinear(Rows(X), 3)) for _ in range(2))
        outputs, state = layer(X).detach(), other.state_dict()
        with pytest.raises(RuntimeError, match="lacks"):
            layer.load_state_dict({name: held for name, held in state.items() if "extra" not in name}, strict=strict)
        assert torch.equal(layer(X), outputs)
        layer.load_state_dict(state, strict=strict)
        torch.testing.assert_close(layer(X), other(X))


def test_the_state_of_an_optimizer(X, form):
    """Training goes on where it stopped."""
    layer = FrontLinear(Rows(X), 3, form=form, **DOUBLE)
    for make in (lambda parameters: torch.optim.SGD(parameters, 0.1, 0.9), lambda parameters: NeuronAdam(parameters, 0.1)):
        first, second = layer, copy.deepcopy(layer)
        optimizers = [make(first.parameters()), make(second.parameters())]

        def step(layer, optimizer):
            optimizer.zero_grad()
            layer(None).tanh().sum().backward()
            optimizer.step()

        for held, optimizer in zip((first, second), optimizers, strict=True):
            step(held, optimizer)
        resumed = make(second.parameters())
        resumed.load_state_dict(optimizers[1].state_dict())
        step(first, optimizers[0])
        step(second, resumed)
        assert torch.equal(first.weight, second.weight)


# ----------------------------------------------------------------------------------------------------------------------
# around the module


def test_distributed(X, tmp_path):
    """DistributedDataParallel broadcasts and reduces the parameters alone."""
    if not torch.distributed.is_available():
        pytest.skip("this PyTorch has no torch.distributed")
    store = torch.distributed.FileStore(str(tmp_path / "store"), 1)
    torch.distributed.init_process_group("gloo", store=store, rank=0, world_size=1)
    try:
        layer = FrontLinear(Rows(X), 3, **DOUBLE)
        alone, net = copy.deepcopy(layer), nn.parallel.DistributedDataParallel(layer)
        for module in (alone, net):
            optimizer = torch.optim.SGD(module.parameters(), 0.1, 0.9)
            for _ in range(3):
                optimizer.zero_grad()
                module(torch.arange(5)).tanh().sum().backward()
                optimizer.step()
        assert torch.equal(layer.weight, alone.weight)
        with pytest.raises(TypeError, match="Adam would not train"):
            torch.optim.Adam(net.parameters()).step()
    finally:
        torch.distributed.destroy_process_group()


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_compiled_networks(X, form, backend):
    """torch.compile gives the same losses and gradients, without a break in the graph."""
    net = nn.Sequential(FrontLinear(Rows(X), 3, form=form, **DOUBLE), nn.Tanh(), nn.Linear(3, 2, **DOUBLE))
    compiled = torch.compile(net, backend=backend, fullgraph=True)
    for rows in (torch.tensor([3, 1, 3]), None):
        gradients = []
        for module in (net, compiled):
            net.zero_grad()
            module(rows).square().sum().backward()
            gradients.append([parameter.grad.clone() for parameter in net.parameters()])
        for first, second in zip(*gradients, strict=True):
            torch.testing.assert_close(first, second, rtol=1e-12, atol=1e-12)
    torch._dynamo.reset()


def test_transforms(X, form):
    """torch.func.grad and functional_call see the same gradients as backward."""
    layer = FrontLinear(Rows(X), 3, form=form, **DOUBLE)
    rows = torch.tensor([0, 4, 4])
    layer(rows).sin().sum().backward()
    parameters = {name: parameter.detach() for name, parameter in layer.named_parameters()}
    gradients = torch.func.grad(lambda given: torch.func.functional_call(layer, given, (rows,)).sin().sum())(parameters)
    for name, parameter in layer.named_parameters():
        torch.testing.assert_close(gradients[name], parameter.grad)
    ensemble = {name: torch.stack([parameter, 2 * parameter]) for name, parameter in parameters.items()}
    outputs = torch.vmap(lambda given: torch.func.functional_call(layer, given, (rows,)))(ensemble)
    torch.testing.assert_close(outputs, torch.stack([layer(rows), 2 * layer(rows)]).detach(), rtol=1e-9, atol=1e-9)


def test_averaged_weights(X, X_new, form):
    """Averages of weights are averages of what stands for them."""
    layer = FrontLinear(Rows(X), 3, form=form, **DOUBLE)
    averaged = torch.optim.swa_utils.AveragedModel(layer)
    weights = []
    for _ in range(3):
        trained(layer)
        averaged.update_parameters(layer)
        weights.append(array(layer.expand().weight))
    assert averaged.module.rows is layer.rows
    np.testing.assert_allclose(array(averaged.module.expand().weight), np.mean(weights, axis=0), **CLOSE)
