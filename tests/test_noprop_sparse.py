"""NoProp on sparse samples: blocks hold weights of the features that occur, and are trained as on dense samples."""

import copy

import numpy as np
import pytest
from noprop_cases import SMALL, VARIANTS, trained
from scipy import sparse
from test_front_exact import distance
from test_sparse_exact import untidy

import fcfast
from fcfast import backend
from fcfast.front import SparseWeightsForm
from fcfast.front.sparse import SparseStack
from fcfast.optimizers import SGD, Adagrad, NeuronAdam, RMSprop

N_CONFIGURATIONS = 48 if backend.NAME == "compiled" else 8


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
