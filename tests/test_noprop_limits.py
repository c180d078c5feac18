"""Invalid input of NoPropClassifier, trainings that diverge, and the smallest problems."""

import warnings
from itertools import product

import numpy as np
import pytest
from noprop_cases import VARIANTS, trained, wide_samples
from sklearn.exceptions import ConvergenceWarning

from fcfast.noprop import CosineNoise, LinearNoise
from fcfast.optimizers import SGD, AdamW

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")  # few epochs on purpose


@pytest.fixture(scope="module")
def wide():
    """Samples and classes."""
    return wide_samples()


BAD_PARAMETERS = [
    ({"variant": "sde"}, "variant='sde' is unknown; use one of 'dt', 'ct', 'fm', 'backprop'"),
    ({"n_blocks": 0}, "n_blocks must be >= 1"),
    ({"n_blocks": 2.0}, "n_blocks must be an integer"),
    ({"hidden": (8,)}, "hidden must be two widths"),
    ({"hidden": 8}, "hidden must be a list"),
    ({"hidden": (8, 0)}, "hidden must be >= 1"),
    ({"hidden": ("8", 8)}, "hidden must be an integer"),
    ({"embedding": "glove"}, "embedding='glove' is unknown; use one of 'one-hot', 'learned', 'prototype'"),
    ({"embedding_dim": 0}, "embedding_dim must be >= 1"),
    ({"activation": "swish"}, "activation='swish' is unknown"),
    ({"batch_norm": 1}, "batch_norm must be True or False"),
    ({"eta": 0}, "eta must be finite and > 0"),
    ({"eta": "1"}, "eta must be a number"),
    ({"loss_weighting": "vlb"}, "loss_weighting='vlb' is unknown; use one of 'snr', 'uniform', 'min-snr'"),
    ({"optimizer": "lion"}, "optimizer='lion' is unknown"),
    ({"optimizer": "adamw", "form": "contributions"}, "optimizer='adamw' scales every weight by itself.*form='contributions'"),
    ({"optimizer": SGD(), "weight_decay": 0.5}, "weight_decay=0.5"),
    ({"learning_rate": -1}, "learning_rate must be finite and > 0"),
    ({"schedule": "linear"}, "schedule='linear' is unknown"),
    ({"order": "reversed"}, "order='reversed' is unknown; use one of 'sequential', 'random'"),
    ({"order": "random", "variant": "backprop"}, "variant='backprop' trains all blocks in every step, got order='random'"),
    ({"batch_size": 0}, "batch_size must be >= 1"),
    ({"max_epochs": 0}, "max_epochs must be >= 1"),
    ({"form": "dual"}, "form='dual' is unknown"),
    ({"dtype": "float16"}, "dtype='float16' is unknown"),
    ({"noise_schedule": "sine"}, "noise_schedule='sine' is unknown"),
    ({"noise_schedule": "sine", "variant": "ct"}, "noise_schedule='sine' is unknown"),
    ({"noise_schedule": "cosine", "variant": "fm"}, "noise_schedule='cosine' with variant='fm', which has none"),
    ({"noise_schedule": [0.1, 0.9], "variant": "backprop"}, "noise_schedule=.* with variant='backprop', which has none"),
    ({"noise_schedule": [0.1, 0.9]}, "noise_schedule has 2 values of alpha_bar, but 3 blocks need 4"),
    ({"noise_schedule": [0.1, 0.5, 0.4, 0.9]}, "alpha_bar must rise"),
    ({"noise_schedule": [0.0, 0.5, 0.6, 0.9]}, r"alpha_bar must be in \(0, 1\)"),
    ({"noise_schedule": [0.1, 0.5, 0.6, 0.9], "variant": "ct"}, "variant='ct' needs a noise_schedule for all times"),
    ({"noise_schedule": "learned"}, "noise_schedule='learned' needs variant='ct' and loss_weighting='snr'"),
    ({"noise_schedule": "learned", "variant": "ct"}, "got variant='ct' and loss_weighting='uniform'"),
    ({"loss_weighting": "snr", "variant": "fm"}, "loss_weighting='snr' needs a noise schedule, but variant='fm' has none"),
]  # fmt: skip


@pytest.mark.parametrize(("settings", "message"), BAD_PARAMETERS, ids=str)
def test_bad_parameters(wide, settings, message):
    """Each is named, with what was got."""
    with pytest.raises((ValueError, TypeError), match=message):
        trained(*wide, **settings)


@pytest.mark.parametrize("schedule", [LinearNoise(3, -3), LinearNoise(30 - 1e-9, -29), CosineNoise(0.5), "cosine"], ids=str)
def test_schedules_of_ct(wide, schedule):
    """Objects over all times; a learned one moves."""
    assert trained(*wide, variant="ct", noise_schedule=schedule).score(*wide) > 0.4
    learned = trained(*wide, variant="ct", noise_schedule="learned", loss_weighting="snr", learning_rate=0.01)
    assert (np.abs(learned.network_.own - [7, -7]) > 1e-3).all()
    first, last = learned.network_.variant.ends
    np.testing.assert_allclose([first, last], 1 / (1 + np.exp(learned.network_.own)), rtol=1e-12)


def test_memory_limit(wide):
    """A limit that one block keeps and ten do not is named, with what they would hold."""
    X, y = wide
    settings = {"noise_schedule": "linear", "max_epochs": 1}
    for form, optimizer, bytes_of_fronts in (
        ("weights", "adamw", 10 * 8 * (200 * 8) * 5),
        ("windowed", "neuron-adam", 10 * 8 * (200 * 8) * 4),
        ("contributions", "sgd", 8 * (30 * 30 + 10 * (30 * 8) * 5)),
    ):
        settings |= {"form": form, "optimizer": optimizer}
        fitted = trained(X, y, n_blocks=10, **settings)
        bytes_of_ten, network = fitted.plan_.costs[form].n_bytes, fitted.network_
        n_above = 10 * network.shape.n_params + len(network.labels.params)
        assert bytes_of_ten > bytes_of_fronts + 5 * 8 * n_above  # parameters, gradient, velocity, two snapshots
        trained(X, y, n_blocks=10, memory_limit=bytes_of_ten, **settings)
        with pytest.raises(MemoryError, match=rf"form='{form}' .*holds .* for 10 blocks, over memory_limit.*or blocks"):
            trained(X, y, n_blocks=10, memory_limit=bytes_of_ten - 1, **settings)
        with pytest.raises(MemoryError, match="memory_limit=100 bytes"):
            trained(X, y, memory_limit=100, **settings)
        if form != "contributions":  # which multiply with samples as they are; others need a copy of these
            for other in (np.asfortranarray(X), X.astype(np.float32)):
                with pytest.raises(MemoryError, match="over memory_limit"):
                    trained(other, y, n_blocks=10, memory_limit=bytes_of_ten + 8 * X.size - 1, **settings)
                trained(other, y, n_blocks=10, memory_limit=bytes_of_ten + 8 * X.size, **settings)


def test_inputs_that_overflow(wide):
    """Too large for the precision, for the Gram matrix, or for the network when predicting."""
    X, y = wide
    with pytest.raises(ValueError, match=r"X has values too large for float32.*dtype='float64'"):
        trained(X * 1e300, y, dtype="float32", form="weights")
    with pytest.raises(ValueError, match="Gram matrix overflows float32"):
        trained(X * 1e30, y, dtype="float32", form="contributions", optimizer="sgd")
    with pytest.raises(ValueError, match="infinity"):
        trained(np.where(X[0, 0] == X, np.inf, X), y)
    classifier = trained(X, y, dtype="float32", activation="identity")
    for ask in (classifier.predict_proba, classifier.predict, classifier.trajectory, stages_of(classifier)):
        with pytest.raises(ValueError, match="X has values so large that the network's float32 overflows"):
            ask(X * 1e38)


def stages_of(classifier):
    return lambda X: list(classifier.staged_predict_proba(X))


@pytest.mark.parametrize("learning_rate", [1e15, 1e38])
@pytest.mark.parametrize("optimizer", ["sgd", "neuron-adam"])
@pytest.mark.parametrize("settings", [
    {}, {"order": "random"}, {"variant": "ct", "noise_schedule": "learned", "loss_weighting": "snr"},
    {"variant": "fm", "embedding": "prototype"}, {"variant": "backprop", "batch_norm": True}, {"embedding": "learned"},
], ids=str)  # fmt: skip
def test_divergence_leaves_a_network(wide, settings, optimizer, learning_rate):
    """Steps that are far too long: it is told, and what stays predicts finite probabilities."""
    X, y = wide
    for dtype in ("float32", "float64"):
        with pytest.warns(ConvergenceWarning, match=r"learning_rate"):
            classifier = trained(X, y, **settings, optimizer=optimizer, learning_rate=learning_rate, dtype=dtype)
        probabilities = classifier.predict_proba(X)
        np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)


@pytest.mark.parametrize("variant", VARIANTS)
def test_few_classes_and_samples(wide, variant):
    """One class, one sample of each class, one block, two blocks."""
    X, y = wide
    for embedding, batch_norm in product(("one-hot", "learned", "prototype"), (False, True)):
        settings = {"variant": variant, "embedding": embedding, "batch_norm": batch_norm}
        alone = trained(X[:9], np.zeros(9), **settings)
        np.testing.assert_allclose(alone.predict_proba(X), 1)
        rows = [np.flatnonzero(y == name)[0] for name in "abc"]
        assert set(trained(X[rows], y[rows], **settings).predict(X)) <= set("abc")
        for n_blocks in (1, 2):
            assert trained(X, y, n_blocks=n_blocks, **settings).network_.own.shape == (n_blocks * (variant == "backprop"),)


def test_nothing_is_said_of_a_good_training(wide):
    """Defaults on scaled data: no warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert trained(*wide, max_epochs=10, learning_rate=0.01, optimizer=AdamW()).score(*wide) > 0.9
