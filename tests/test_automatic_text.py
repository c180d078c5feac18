"""The choices for many sparse samples with still more features, such as texts."""

import numpy as np
import pytest
from scipy import sparse

from fcfast import FrontClassifier, FrontRegressor, load
from fcfast.optimizers import Adagrad


@pytest.fixture(scope="module")
def many_texts():
    """More than 2,000 sparse samples of still more features, whose class shows in 20 rare words of its own."""
    rng = np.random.default_rng(0)
    n, d, n_words = 2100, 2500, 8
    y = np.arange(n) % 3
    columns = rng.integers(60, d, (n, n_words))
    columns[:, 0] = 20 * y + rng.integers(0, 20, n)
    X = sparse.csr_array((np.ones(n * n_words), columns.ravel(), np.arange(0, n * n_words + 1, n_words)), shape=(n, d))
    X.sum_duplicates()
    return X.astype(np.float32), y


def test_text_is_trained_with_adagrad(many_texts, tmp_path):
    X, y = many_texts
    model = FrontClassifier(random_state=0).fit(X[:, :], y)
    settings = model.settings_
    assert (settings["optimizer"], settings["hidden_layer_sizes"], settings["init"]) == ("adagrad", (64,), "small")
    assert (settings["max_epochs"], settings["weight_decay"], model.form_) == (10, 0.0, "weights")  # 200 steps of 22 an epoch
    assert model.network_.optimizer == Adagrad()
    assert model.score(X, y) > 0.95
    model.save(tmp_path / "model.safetensors")
    loaded = load(tmp_path / "model.safetensors")
    assert str(loaded.settings_) == str(settings)
    np.testing.assert_array_equal(loaded.predict_proba(X), model.predict_proba(X))
    loaded.partial_fit(X[:50], y[:50])
    assert loaded.network_.optimizer == Adagrad()
    given = FrontClassifier(random_state=0, optimizer="adagrad", hidden_layer_sizes=(64,), init="small", max_epochs=10).fit(
        X, y
    )
    np.testing.assert_array_equal(given.predict_proba(X), model.predict_proba(X))


@pytest.mark.parametrize(
    "given",
    [
        {"learning_rate": 0.1}, {"nesterov": True}, {"dampening": 0.1}, {"max_grad_norm": 1.0}, {"weight_decay": 0.01},
        {"form": "contributions"}, {"form": "windowed"}, {"standardize": True, "form": "contributions"}, {"rule": "dfa"},
        {"kernel": "cosine"},
    ],
    ids=str,
)  # fmt: skip
def test_parameters_that_speak_of_sgd_keep_it(many_texts, given):
    X, y = many_texts
    model = FrontClassifier(hidden_layer_sizes=(4,), max_epochs=1, random_state=0, **given).fit(X, y)
    assert model.settings_["optimizer"] == "sgd"


def test_other_samples_are_trained_with_sgd(many_texts):
    X, y = many_texts
    small = {"hidden_layer_sizes": (4,), "max_epochs": 1}
    assert FrontClassifier(**small).fit(X[:2000], y[:2000]).settings_["optimizer"] == "sgd"
    assert FrontClassifier(**small).fit(X[:, :2100], y).settings_["optimizer"] == "sgd"
    assert FrontClassifier(**small).fit(X.toarray(), y).settings_["optimizer"] == "sgd"
    assert FrontClassifier(hidden_layer_sizes=(4,)).partial_fit(X, y, [0, 1, 2]).settings_["optimizer"] == "sgd"
    assert FrontRegressor(**small).fit(X, y.astype(float)).settings_["optimizer"] == "sgd"


@pytest.mark.parametrize(("n_classes", "share"), [(2, 0.25), (3, 0.375), (12, 1.0)])
def test_few_classes_take_a_share_of_the_rates(many_texts, n_classes, share):
    X, _ = many_texts
    model = FrontClassifier(random_state=0, max_epochs=1).fit(X, np.arange(X.shape[0]) % n_classes)
    (_, biases), (above, _) = model.settings_["learning_rate"]
    assert biases == above == share * 0.25 / 64
