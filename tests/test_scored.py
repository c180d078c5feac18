"""Samples that early stopping scores after every epoch meet the training samples once."""

import numpy as np
import pytest
from classic import FrontClassifier, FrontRegressor
from scipy import sparse

from fcfast import Gram
from fcfast.front.contributed import Contributed
from fcfast.front.scored import Scored
from fcfast.sources import ArraySource

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")  # few epochs on purpose
SETTINGS = {
    "hidden_layer_sizes": (8,), "dtype": "float64", "form": "contributions", "early_stopping": True, "validation_fraction": 0.3,
    "n_iter_no_change": 100, "tol": 0, "learning_rate": 0.01, "batch_size": 5, "weight_decay": 0.01, "random_state": 0,
}  # fmt: skip


def data():
    rng = np.random.default_rng(0)
    X = np.where(rng.random((40, 60)) < 0.5, 0, rng.normal(size=(40, 60)))
    return X, X[:, 0] - X[:, 1]


class Counted(ArraySource):
    """An array that counts how often it is read, also by its selections."""

    n_reads = 0

    def read(self, features, rows=None):
        Counted.n_reads += 1
        return super().read(features, rows)


@pytest.mark.parametrize("init", ["glorot", "span"])
def test_epochs_do_not_read_features(init):
    """Six epochs read as often as two."""
    X, y = data()
    n_reads = []
    for max_epochs in (2, 6):
        Counted.n_reads = 0
        model = FrontRegressor(**SETTINGS, init=init, max_epochs=max_epochs).fit(Counted(X), y)
        assert model.n_epochs_ == max_epochs
        n_reads.append(Counted.n_reads)
    assert n_reads[0] == n_reads[1]


@pytest.mark.parametrize("hold", [np.asarray, sparse.csr_array, ArraySource, Gram])
@pytest.mark.parametrize("init", ["glorot", "span"])
def test_scores_are_those_of_predictions_from_features(init, hold, monkeypatch):
    X, y = data()
    held = Gram(X, dtype="float64") if hold is Gram else hold(X)
    kept = FrontRegressor(**SETTINGS, init=init, max_epochs=6).fit(held, y)
    monkeypatch.setattr(Contributed, "scored", lambda self, X, memory_limit: None)
    monkeypatch.setattr(Scored, "suits", lambda X, n_samples: False)
    read = FrontRegressor(**SETTINGS, init=init, max_epochs=6).fit(held, y)
    np.testing.assert_allclose(kept.validation_scores_, read.validation_scores_, rtol=1e-12, atol=1e-12)
    np.testing.assert_array_equal(kept.contributions_, read.contributions_)


def test_nothing_is_kept_after_training():
    X, y = data()
    model = FrontClassifier(**SETTINGS, max_epochs=2).fit(X, y > 0)
    assert model.network_.front.contributed._scored is None


def test_samples_that_change_between_epochs_are_multiplied_again():
    """As in a loop of one's own around a network, which may fill one array again and again."""
    X, y = data()
    front = FrontRegressor(**SETTINGS | {"early_stopping": False}, max_epochs=2).fit(X, y).network_.front
    front.begin()
    new = X[:7] + 1
    before = front.preactivations(new)
    new *= 2
    np.testing.assert_allclose(front.preactivations(new), 2 * before)
    np.testing.assert_allclose(front.preactivations(X[:7] + 1), before)
