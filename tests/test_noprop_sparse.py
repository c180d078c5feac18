"""NoProp on sparse samples: blocks hold weights of the features that occur, and are trained as on dense samples."""

import copy

import numpy as np
import pytest
from effort import cases
from noprop_cases import VARIANTS, trained
from safetensors import safe_open
from safetensors.numpy import save_file
from scipy import sparse
from test_front_exact import distance
from test_memory import peak
from test_sparse_exact import untidy

import fcfast
from fcfast import backend
from fcfast.errors import ModelFileError
from fcfast.front import SparseWeightsForm
from fcfast.front.sparse import SparseStack
from fcfast.gram.start import RandomWeights
from fcfast.gram.units import by_layer
from fcfast.modelfile.format import _checksum
from fcfast.optimizers import SGD, Adagrad, NeuronAdam, RMSprop
from fcfast.training import TrainingWarning

N_CONFIGURATIONS = cases(48) if backend.NAME == "compiled" else 8


def configuration(seed):
    """Draw a training of blocks on samples most of whose features are rare; some rows are empty."""
    rng = np.random.default_rng(seed)
    n, d, n_classes = int(rng.integers(12, 40)), int(rng.integers(5, 80)), int(rng.integers(2, 4))
    X = rng.normal(size=(n, d)) * (rng.random((n, d)) < rng.choice([0.02, 0.1, 0.4]))
    X[rng.integers(n)] = 0
    X[rng.integers(n)] = X[rng.integers(n)]
    variant = VARIANTS[seed % len(VARIANTS)]
    decay, clip = float(rng.choice([0, 0.01])), [None, 0.3][rng.integers(2)]
    momentum = float(rng.choice([0, 0.9]))
    optimizer = [
        SGD(momentum, weight_decay=decay, nesterov=momentum > 0, max_grad_norm=clip),
        NeuronAdam(0.9, 0.99, 1e-4, decay, clip),
        Adagrad(1e-4, 0.0, clip),
        RMSprop(0.9, 1e-4, 0.0, clip),
    ][seed // 4 % 4]
    settings = {
        "variant": variant,
        "optimizer": optimizer,
        "learning_rate": 0.01 if isinstance(optimizer, SGD) else 0.002,
        "embedding": str(rng.choice(["one-hot", "learned", "prototype"])),
        "order": "sequential" if variant == "backprop" else str(rng.choice(["sequential", "random"])),
        "batch_norm": bool(rng.random() < 0.3),
        "activation": str(rng.choice(["relu", "tanh"])),
        "init": str(rng.choice(["glorot", "span"])),
        "batch_size": int(rng.integers(3, 9)),
        "n_blocks": int(rng.integers(1, 5)),
    }
    settings["max_epochs"] = max(1, 60 // -(-n // settings["batch_size"]))
    return X, np.arange(n) % n_classes, settings


@pytest.mark.filterwarnings("ignore::fcfast.training.TrainingWarning", "ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("group", range(4))
def test_as_on_dense_samples(group):
    """Every variant, optimiser and order: losses and all weights to 1e-9 after 60 steps."""
    for seed in range(group, N_CONFIGURATIONS, 4):
        X, y, settings = configuration(seed)
        dense = trained(X, y, form="weights", standardize=False, **settings)
        form = "weights" if settings["optimizer"].rests else ("weights", "windowed")[seed % 2]
        own = trained(untidy(X, seed), y, form=form, window=1 + 13 * (seed % 3), **settings)
        assert all(isinstance(front, SparseWeightsForm) for front in own.network_.fronts.forms)
        message = f"seed {seed}, {settings}"
        assert distance([own.loss_curve_], [dense.loss_curve_]) < 1e-9, message
        ours, theirs = own.network_, dense.network_
        assert distance(ours.fronts.expand(), theirs.fronts.expand()) < 1e-9, message
        assert distance([b.params for b in ours.blocks], [b.params for b in theirs.blocks]) < 1e-9, message
        new = np.random.default_rng(seed).normal(size=(5, X.shape[1]))
        for given in (new, sparse.csr_array(new), sparse.csc_matrix(new)):
            np.testing.assert_allclose(own.predict_proba(given), dense.predict_proba(new), rtol=1e-7, atol=1e-9)


def text(n=60, d=2000):
    """Counts of words, most of which are rare, and a class that shows in the common ones."""
    y = np.arange(n) % 3
    X = sparse.random(n, d, 0.005, "lil", random_state=0)
    X[np.arange(n), y] = 1.0
    return sparse.csr_array(X), y


def test_blocks_share_samples_and_slots():
    X, y = text()
    one, *others = trained(X, y, form="weights", max_epochs=1).network_.fronts.forms
    assert all(other.slots is one.slots for other in others)
    stack = SparseWeightsForm.stack(X, RandomWeights(12, X.shape[1], 0, "relu"), 3, np.dtype("float64"), True)
    assert isinstance(stack, SparseStack)
    assert all(form.source is stack.forms[0].source for form in stack.forms)
    alone = SparseWeightsForm(X, by_layer(RandomWeights(12, X.shape[1], 0, "relu"), 3)[1], np.dtype("float64"), True)
    np.testing.assert_array_equal(stack.forms[1].table, alone.table)


@pytest.mark.parametrize("settings", [{}, {"order": "random"}, {"variant": "backprop"}, {"variant": "fm"}], ids=str)
def test_threads_give_the_same_bits(settings):
    X, y = text(200)
    settings = settings | {
        "hidden": (300, 8),
        "batch_size": 100,
        "form": "weights",
        "optimizer": "neuron-adam",
        "max_epochs": 1,
    }
    one, two = (trained(X, y, n_jobs=n_jobs, **settings) for n_jobs in (1, 2))
    for a, b in zip(one.network_.fronts.held, two.network_.fronts.held, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("init", ["span", "glorot"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_copies_and_files(variant, init, tmp_path):
    """Predictions have the same bits, and a file holds the features that occurred alone."""
    X, y = text()
    rows = sparse.csr_array(X.toarray() * (np.arange(2000) % 3 < 2))  # the others occur in new samples alone
    own = trained(rows, y, variant=variant, init=init, form="windowed", optimizer="sgd", weight_decay=0.1)
    own.save(tmp_path / "model")
    assert (tmp_path / "model").stat().st_size < 0.6 * 8 * 2000 * 8 * len(own.network_.blocks) + 20_000
    loaded = fcfast.load(tmp_path / "model")
    loaded.save(tmp_path / "again")
    for one in (loaded, fcfast.load(tmp_path / "again"), copy.deepcopy(own)):
        for given in (X, X.toarray()):
            np.testing.assert_array_equal(one.predict_proba(given), own.predict_proba(given))


def test_columns_without_end():
    """Columns are numbers alone: nothing has the size of a row."""
    rng = np.random.default_rng(0)
    X = sparse.csr_array((np.ones(300), (np.sort(rng.integers(0, 50, 300)), rng.integers(0, 10**12, 300))), shape=(50, 10**12))
    own = trained(X, np.arange(50) % 2, form="weights", max_epochs=2)
    assert sum(len(form.table) for form in own.network_.fronts.forms) <= 3 * 300
    assert own.predict_proba(X).shape == (50, 2)


def test_early_stopping_and_divergence():
    X, y = text(150)
    settings = {"early_stopping": True, "max_epochs": 8, "n_iter_no_change": 3, "form": "weights"}
    own, dense = (trained(given, y, standardize=False, **settings) for given in (X, X.toarray()))
    assert own.validation_scores_ == dense.validation_scores_
    np.testing.assert_allclose(own.predict_proba(X), dense.predict_proba(X.toarray()), rtol=1e-8)
    with pytest.warns(TrainingWarning, match="diverged"):
        wild = trained(X, y, form="weights", optimizer="sgd", learning_rate=1e6, activation="identity", dtype="float32")
    assert np.isfinite(wild.predict_proba(X)).all()


def test_memory_limit():
    """The tables of all blocks count."""
    X, y = text()
    with pytest.raises(MemoryError, match="for 3 blocks, over memory_limit"):
        trained(X, y, form="weights", memory_limit=300_000)
    trained(X, y, form="weights", n_blocks=1, memory_limit=300_000)


@pytest.mark.skipif(backend.NAME != "compiled", reason="the plan counts what the compiled kernels hold")
def test_memory_is_what_the_plan_says():
    X, y = sparse.random(1000, 20_000, 0.004, "csr", random_state=0, dtype=np.float32), np.arange(1000) % 3
    settings = {"form": "weights", "hidden": (32, 8), "batch_size": 20, "max_epochs": 1, "dtype": "float32", "n_jobs": 1}
    settings |= {"optimizer": "neuron-adam", "order": "random", "learning_rate": 1e-4}
    trained(X[:40], y[:40], **settings)
    held, own = peak(lambda: trained(X, y, **settings))
    assert held == pytest.approx(own.plan_.costs["weights"].n_bytes, rel=0.1)


def test_a_plan_for_many_samples():
    """Where a Gram matrix is too large, blocks hold weights."""
    X, y = text(600, 300)
    settings = {"hidden": (16, 8), "dtype": "float32", "max_epochs": 1, "batch_size": 50, "optimizer": "neuron-adam"}
    own = trained(X, y, memory_limit=1_500_000, **settings)
    assert own.form_ == "windowed"
    assert "over memory_limit" in own.plan_.costs["contributions"].reason


def test_a_file_with_wrong_features(tmp_path):
    X, y = text()
    trained(X, y, form="weights", max_epochs=1).save(tmp_path / "model")
    with safe_open(tmp_path / "model", framework="numpy") as file:
        metadata, tensors = file.metadata(), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    for wrong in (tensors["front.features"][::-1], tensors["front.features"] - 5, tensors["front.features"] + 2000):
        changed = tensors | {"front.features": np.ascontiguousarray(wrong)}
        save_file(changed, tmp_path / "wrong", metadata | {"checksum": _checksum(metadata["model"], changed)})
        with pytest.raises(ModelFileError, match="rising order"):
            fcfast.load(tmp_path / "wrong")
