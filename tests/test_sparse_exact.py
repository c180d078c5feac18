"""Weights of sparse features train exactly the network that PyTorch trains on dense samples; kernel and twin agree."""

from functools import partial

import numpy as np
import pytest
from effort import cases
from scipy import sparse
from test_front_exact import GROUPS, N_CONFIGURATIONS, distance, random_configuration, torch, train_front, train_torch
from twins import CORE, PURE

from fcfast import backend
from fcfast.front import SparseWeightsForm
from fcfast.front.slots import empty_table
from fcfast.losses import CrossEntropy
from fcfast.optimizers import Adagrad, RMSprop

STEPS = 60


def sparse_configuration(seed):
    """Draw a training on sparse samples; most features are rare, some occur late or never, and some rows are empty."""
    kind, parameters, X, *network = random_configuration(seed)
    rng = np.random.default_rng(seed)
    parameters["max_epochs"] = max(1, STEPS // -(-len(X) // parameters["batch_size"]))
    X *= rng.random(X.shape) < rng.choice([0.02, 0.1, 0.4])
    X[rng.integers(len(X))] = 0
    return kind, parameters, X, *network


def untidy(X, seed):
    """Give a matrix in CSR with an entry twice, explicit zeros, columns in any order and long indices."""
    rng = np.random.default_rng(seed)
    rows, columns = np.nonzero(X)
    values = X[rows, columns]
    n_zeros = 1 + len(rows) // 5
    rows, columns = (
        np.concatenate([part, part, rng.integers(0, size, n_zeros)])
        for part, size in zip((rows, columns), X.shape, strict=True)
    )
    values = np.concatenate([values / 4, values * 0.75, np.zeros(n_zeros)])
    order = np.lexsort((rng.random(len(rows)), rows))
    indptr = np.searchsorted(rows[order], np.arange(len(X) + 1))
    return sparse.csr_array((values[order], columns[order].astype(np.int64), indptr.astype(np.int64)), shape=X.shape)


@pytest.mark.parametrize("group", range(GROUPS))
def test_sparse_forms_equal_pytorch(group):
    """Losses and all weights to 1e-9 after 60 steps, those of features that never occur included."""
    for seed in range(group, N_CONFIGURATIONS, GROUPS):
        kind, parameters, X, y, coefs, biases = sparse_configuration(seed)
        losses, weights, offsets = train_torch(parameters, X, y, coefs, biases)
        given = untidy(X, seed)
        assert np.abs(given.toarray() - X).max() < 1e-15
        n_entries = given.nnz
        for form, window in (("weights", "auto"), ("windowed", "auto"), ("windowed", 1 + 13 * (seed % 4))):
            fitted = train_front(kind, parameters, given, y, coefs, biases, form, window)
            message = f"seed {seed}, {form}, {parameters}"
            assert fitted.form_ == form
            assert distance([fitted.loss_curve_], [losses]) < 1e-9, message
            assert distance(fitted.coefs_, weights) < 1e-9, message
            assert distance(fitted.intercepts_, offsets) < 1e-9, message
        assert given.nnz == n_entries  # the caller's matrix is as it was


@pytest.mark.parametrize("form", ["weights", "windowed"])
def test_sparse_float32_drifts_no_more_than_pytorch(form):
    """Against float64, over many configurations: at most twice PyTorch's own drift."""
    ours, theirs = [], []
    for seed in range(1000, 1000 + N_CONFIGURATIONS // 10):
        kind, parameters, X, *network = sparse_configuration(seed)
        _, exact, _ = train_torch(parameters, X, *network)
        _, single, _ = train_torch(parameters, X, *network, torch.float32)
        theirs.append(distance(single, exact))
        ours.append(distance(train_front(kind, parameters, sparse.csr_array(X), *network, form, dtype="float32").coefs_, exact))
    assert np.median(ours) <= 2 * np.median(theirs)
    assert np.max(ours) <= 1e-3


def test_sparse_sample_weights_equal_pytorch():
    """The loss of a batch is the weighted mean."""
    for seed in range(5):
        kind, parameters, X, y, coefs, biases = sparse_configuration(seed)
        weights = np.random.default_rng(seed).uniform(0.1, 3, len(X))
        losses, expected, _ = train_torch(parameters, X, y, coefs, biases, sample_weight=weights)
        fitted = train_front(kind, parameters, sparse.csr_array(X), y, coefs, biases, "weights", sample_weight=weights)
        assert distance(fitted.coefs_, expected) < 1e-9
        assert distance([fitted.loss_curve_], [losses]) < 1e-9


@pytest.mark.parametrize("kind", [Adagrad, RMSprop])
@pytest.mark.parametrize("group", range(3))
def test_sparse_roots_equal_pytorch(kind, group):
    """Weights rest without a gradient, and second moments are caught up: losses and all weights to 1e-9 after 60 steps."""
    for seed in range(group, N_CONFIGURATIONS // 3, 3):
        estimator, parameters, X, y, coefs, biases = sparse_configuration(seed)
        own = {"alpha": 0.9} if kind is RMSprop else {}
        parameters["learning_rate"] = 0.003  # at ten times that RMSprop makes rounding grow a hundredfold
        for name in ("momentum", "nesterov", "dampening", "weight_decay"):
            del parameters[name]
        peer = partial(getattr(torch.optim, kind.__name__), lr=1.0, eps=1e-4, **own)
        losses, weights, offsets = train_torch(parameters, X, y, coefs, biases, kind=peer)
        optimizer = kind(eps=1e-4, max_grad_norm=parameters.pop("max_grad_norm"), **own)
        fitted = train_front(estimator, parameters | {"optimizer": optimizer}, untidy(X, seed), y, coefs, biases, "auto")
        message = f"seed {seed}, {optimizer}, {parameters}"
        assert isinstance(fitted.network_.front, SparseWeightsForm)
        assert distance([fitted.loss_curve_], [losses]) < 1e-9, message
        assert distance(fitted.coefs_, weights) < 1e-9, message
        assert distance(fitted.intercepts_, offsets) < 1e-9, message


# ----------------------------------------------------------------------------------------------------------------------
# the kernel


def trained(kernels, seed, dtype, n_threads, shape=None, fails=False):
    """Train by a kernel; give steps done, losses, table, parameters and the factors of features without a slot."""
    front, sparse_front = kernels["front"], kernels["sparse_front"]
    rng = np.random.default_rng(seed)
    n, d, h, c = shape or (
        int(rng.integers(1, 250)),
        int(rng.integers(1, 60)),
        int(rng.integers(1, 40)),
        int(rng.integers(1, 4)),
    )
    X = sparse.random(n, d, float(rng.choice([0.005, 0.05, 0.3])), "csr", random_state=seed)
    batch = min(n, int(rng.choice([1, 1, 3, 32])))
    momentum, clip, decay = (float(rng.choice(values)) for values in ((0, 0.5, 0.9), (0, 0, 0.1), (0, 0.01)))
    nesterov = momentum > 0 and rng.random() < 0.3
    dampening = 0.0 if nesterov or not momentum else float(rng.choice([0, 0.3]))
    table = empty_table(d, 2 if momentum else 1, h, np.dtype(dtype))
    table[:, 0, :h] = rng.normal(size=(d, h)) * 0.3
    widths = np.array([h, c], np.intp)
    params = (rng.normal(size=h + c * (h + 1)) * 0.3).astype(dtype)
    if fails:
        X.data[-1:] = np.nan
    network = sparse_front.SparseNetwork(
        table, scale := np.array([1.0, 0.0]), X.indptr.astype(np.intp), X.indices.astype(np.int32), X.data.astype(dtype),
        params, np.zeros_like(params) if momentum else None, widths, 1,
    )  # fmt: skip
    n_epochs, n_steps = 2, -(-n // batch)
    order = [rng.permutation(n) if rng.random() < 0.7 else rng.integers(0, n, n) for _ in range(n_epochs)]
    rates = 0.1 * (1 - momentum) * rng.random((n_epochs, n_steps))
    labels, smoothing = rng.integers(0, c, n).astype(np.intp), np.array([0.1 if seed % 3 == 0 else 0.0])
    targets = kernels["losses"].Targets(None, labels, None, CrossEntropy.kernel, smoothing)
    sgd = front.Sgd(momentum, dampening, bool(nesterov), clip, np.array([[0.5, 1], [1, 2.0]]), np.full((2, 2), decay))
    workspace = front.Workspace(network, n, batch, batch * int(rng.integers(1, 5)))
    losses = np.full(rates.shape, np.nan)
    done = sparse_front.sgd_epochs(network, targets, sgd, workspace, np.stack(order), rates, losses, True, n_threads)
    return done, losses, table, params, scale


@pytest.mark.parametrize("group", range(5))
def test_kernel_and_twin(group):
    """Histories of several chunks, windows of several steps, rows that occur twice in a window: as on dense samples."""
    for seed in range(group, cases(150), 5):
        ours, naive = (trained(kernels, seed, "float64", 1) for kernels in (CORE, PURE))
        for a, b in zip(ours, naive, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12, err_msg=f"seed {seed}")


def test_a_loss_that_is_not_finite():
    """The step is not taken, and all features are up to date."""
    for seed in range(cases(40)):
        ours, naive = (trained(kernels, seed, "float64", 1, fails=True) for kernels in (CORE, PURE))
        assert ours[0] == naive[0]
        for a, b in zip(ours[1:], naive[1:], strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12, err_msg=f"seed {seed}")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_threads_give_the_same_bits(dtype):
    """Units are shared out, and the entries of the next window sorted meanwhile."""
    for seed in range(6):
        shape = (120, 50, 300, 3)
        first, *others = (trained(CORE, seed, dtype, n_threads, shape) for n_threads in (1, 2, 3))
        assert first[0] > 0
        for other in others:
            for a, b in zip(first, other, strict=True):
                np.testing.assert_array_equal(a, b, err_msg=f"seed {seed}")


@pytest.mark.skipif(backend.NAME != "compiled", reason="the twin checks nothing")
def test_kernel_refuses_a_table_of_another_shape():
    widths, nothing = np.array([20, 1], np.intp), np.empty(0)
    parts = np.array([1.0, 0.0]), np.zeros(1, np.intp), np.empty(0, np.int32), nothing, np.zeros(41), None, widths, 1
    for table in (np.zeros((3, 1, 16)), np.zeros((3, 1, 23)), np.zeros((3, 24))):
        with pytest.raises(ValueError, match="whole cache lines"):
            CORE["sparse_front"].SparseNetwork(table, *parts)
