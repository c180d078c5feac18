"""`partial_fit` on samples that arrive in groups."""

import pickle
import sys

import numpy as np
import pytest
from classic import FrontClassifier, FrontRegressor
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning

from fcfast import backend
from fcfast.optimizers import Constant
from fcfast.optimizers.base import DEFAULT_SETTINGS

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")  # few epochs on purpose


@pytest.mark.parametrize("form", ["contributions", "windowed", "weights"])
@pytest.mark.parametrize("settings", [{}, {"optimizer": "neuron-adam"}, {"weight_decay": 0.1, "nesterov": True}])
def test_partial_fit_is_training_on_each_group(wide, form, settings):
    """A pass over groups is an epoch over all of them in that order, momentum and all, in every form."""
    X, y = wide
    settings = {"dtype": "float64", "shuffle": False, "learning_rate": 1e-3, "batch_size": 10, "random_state": 0} | settings
    whole = FrontClassifier((8,), max_epochs=1, tol=0, form="weights", **settings).fit(X, y)
    groups = FrontClassifier((8,), form=form, **settings)
    for rows in np.split(np.arange(40), [10, 30]):
        groups.partial_fit(X[rows], y[rows], classes=["a", "b", "c"])
    for a, b in zip(groups.coefs_ + groups.intercepts_, whole.coefs_ + whole.intercepts_, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)
    assert groups.n_epochs_ == len(groups.loss_curve_) == 3
    np.testing.assert_allclose(groups.predict_proba(X), whole.predict_proba(X), rtol=1e-9)


def test_partial_fit_contributions_join(wide):
    """The samples of every call are explained, after fit and a pickle too."""
    X, y = wide
    classifier = FrontClassifier((6,), dtype="float64", max_epochs=3, random_state=0).fit(X[:20], y[:20])
    classifier = pickle.loads(pickle.dumps(classifier)).partial_fit(X[20:], y[20:])
    explanation = classifier.explain(X[:2])
    assert explanation.terms.shape == (2, 40, 6)
    expected = X[:2] @ classifier.coefs_[0] + classifier.intercepts_[0]
    np.testing.assert_allclose(explanation.preactivations, expected, rtol=1e-9, atol=1e-9)


def test_partial_fit_of_sparse_groups(wide):
    """Sparse groups join as sparse rows; dense ones may join them."""
    X, y = wide
    settings = {"dtype": "float64", "learning_rate": 1e-3, "random_state": 0, "shuffle": False}
    dense, csr = (FrontClassifier((4,), form=form, **settings) for form in ("contributions", "contributions"))
    for rows, convert in ((slice(0, 25), sparse.csr_array), (slice(25, 40), np.asarray)):
        dense.partial_fit(X[rows], y[rows], classes=np.unique(y))
        csr.partial_fit(convert(X[rows]), y[rows], classes=np.unique(y))
    assert sparse.issparse(csr.network_.front.X)
    np.testing.assert_allclose(csr.predict_proba(X), dense.predict_proba(X), rtol=1e-9)


def test_partial_fit_of_sparse_samples_needs_contributions(wide):
    """Weights are trained on dense samples; the error says what to do."""
    X, y = wide
    classifier = FrontClassifier((4,), form="windowed").partial_fit(X, y, classes=np.unique(y))
    with pytest.raises(TypeError, match=r"form 'windowed'.*needs a dense X.*toarray.*contributions"):
        classifier.partial_fit(sparse.csr_array(X), y)


@pytest.mark.parametrize("form", ["windowed", "weights"])
def test_weights_do_not_hold_the_samples(wide, form):
    """Neither after fit nor in a pickle; partial_fit brings its own."""
    X, y = wide
    X = X.astype(np.float32)
    settings = {"form": form, "max_epochs": 2, "random_state": 0, "batch_size": 10}
    n_references = sys.getrefcount(X)
    classifier = FrontClassifier((2,), **settings).fit(X, y)
    assert sys.getrefcount(X) == n_references
    assert len(pickle.dumps(classifier)) < X.nbytes / 2
    again = pickle.loads(pickle.dumps(classifier))
    np.testing.assert_array_equal(again.predict_proba(X), classifier.predict_proba(X))
    for model in (again, classifier):
        model.partial_fit(X[:30], y[:30])
    np.testing.assert_array_equal(again.predict_proba(X), classifier.predict_proba(X))
    assert sys.getrefcount(X) == n_references


def test_partial_fit_learns_a_stream(global_random_seed):
    """Many small groups, in the form that partial_fit takes by itself."""
    rng = np.random.default_rng(global_random_seed)
    direction = rng.normal(size=30)
    regressor = FrontRegressor((16,), learning_rate=3e-3, batch_size=1, random_state=0)
    for _ in range(60 if backend.NAME == "compiled" else 6):
        X = rng.normal(size=(50, 30))
        regressor.partial_fit(X, X @ direction / 30**0.5)
    assert regressor.form_ == "windowed"
    X = rng.normal(size=(200, 30))
    assert regressor.score(X, X @ direction / 30**0.5) > (0.9 if backend.NAME == "compiled" else -1)


@pytest.mark.parametrize("optimizer", ["sgd", "neuron-adam"])
def test_forms_agree_after_early_stopping_and_partial_fit(wide, optimizer):
    """The best network is restored without a trace of what came after it, in every form alike."""
    X, y = wide
    settings = {
        "dtype": "float64", "learning_rate": 1e-3, "weight_decay": 0.1, "random_state": 0, "early_stopping": True,
        "validation_fraction": 0.3, "max_epochs": 6, "batch_size": 7, "optimizer": optimizer,
    }  # fmt: skip
    fitted = [FrontClassifier((6,), form=form, **settings).fit(X, y) for form in ("weights", "windowed", "contributions")]
    for classifier in fitted:
        classifier.set_params(early_stopping=False).partial_fit(X[::-1], y[::-1])
    for other in fitted[1:]:
        np.testing.assert_allclose(other.predict_proba(X), fitted[0].predict_proba(X), rtol=1e-8)


@pytest.mark.parametrize("optimizer", ["sgd", "muon", "neuron-adam"])
@pytest.mark.parametrize("form", ["contributions", "windowed", "weights"])
def test_partial_fit_recovers_from_a_divergence(wide, form, optimizer):
    """A huge step leaves nothing behind in the optimiser: a small one trains as if there had been none."""
    X, y = wide
    settings = {"form": form, "optimizer": optimizer, "random_state": 0, "shuffle": False, "batch_size": 10}
    with_it, without = (FrontClassifier((6,), **settings, learning_rate=1e-4) for _ in range(2))
    for classifier in (with_it, without):
        classifier.partial_fit(X[::-1], y[::-1], classes=np.unique(y))
        classifier.network_.restore(classifier.network_.snapshot())
    with pytest.warns(ConvergenceWarning, match="diverged"):
        with_it.set_params(learning_rate=1e38).partial_fit(X, y)
    without.network_.append(X)
    for classifier in (with_it, without):
        classifier.set_params(learning_rate=1e-4).partial_fit(X, y)
    np.testing.assert_array_equal(with_it.predict_proba(X), without.predict_proba(X))


def test_partial_fit_refuses(wide):
    """Labels unseen, other classes, other outputs, other features, what needs a whole training, too many samples."""
    X, y = wide
    with pytest.raises(ValueError, match="partial_fit needs classes"):
        FrontClassifier((4,)).partial_fit(X, y)
    with pytest.raises(ValueError, match=r"labels \['c'\].*not among the classes"):
        FrontClassifier((4,)).partial_fit(X, y, classes=["a", "b"])
    classifier = FrontClassifier((4,), form="contributions", memory_limit=14_000).partial_fit(
        X[:20], y[:20], classes=np.unique(y)
    )
    before = classifier.predict_proba(X)
    with pytest.raises(ValueError, match="but the first call"):
        classifier.partial_fit(X, y, classes=["a", "b", "d"])
    with pytest.raises(ValueError, match="features"):
        classifier.partial_fit(X[:, :5], y)
    with pytest.raises(MemoryError, match=r"60 x 60.*memory_limit"):
        classifier.partial_fit(X, y)
    np.testing.assert_array_equal(classifier.predict_proba(X), before)
    with pytest.raises(ValueError, match="early_stopping"):
        FrontClassifier((4,), early_stopping=True).partial_fit(X, y, classes=np.unique(y))
    with pytest.raises(ValueError, match="schedule"):
        FrontClassifier((4,), schedule="cosine").partial_fit(X, y, classes=np.unique(y))
    FrontClassifier((4,), schedule=Constant()).partial_fit(X, y, classes=np.unique(y))
    regressor = FrontRegressor((4,), learning_rate=1e-4).partial_fit(X, X[:, 0])
    with pytest.raises(ValueError, match="1 output"):
        regressor.partial_fit(X, X[:, :2])


@pytest.mark.parametrize(
    "change",
    [
        {"momentum": 0.5},
        {"weight_decay": 0.1},
        {"optimizer": "muon"},
        {"nesterov": True},
        {"max_grad_norm": 1.0},
        {"dampening": 0.5},
        {"hidden_layer_sizes": (5,)},
        {"activation": "tanh"},
        {"form": "contributions"},
        {"dtype": "float64"},
    ],
)
def test_partial_fit_refuses_changed_parameters(wide, change):
    """What the network has been made with stays; a learning rate and a form that was never named may change."""
    X, y = wide
    classifier = FrontClassifier((4,), form="windowed").partial_fit(X, y, classes=np.unique(y))
    classifier.set_params(learning_rate=1e-4, form="auto").partial_fit(X, y)
    before = classifier.predict_proba(X)
    wanted = next(iter(change)) if next(iter(change)) not in DEFAULT_SETTINGS else "optimizer"
    with pytest.raises(ValueError, match=f"partial_fit continues with {wanted}="):
        classifier.set_params(**change).partial_fit(X, y)
    np.testing.assert_array_equal(classifier.predict_proba(X), before)


@pytest.mark.parametrize("form", ["contributions", "windowed", "weights"])
def test_ctrl_c_leaves_the_weights(wide, form, monkeypatch):
    """Also after the epoch is trained and before it is noted."""
    X, y = wide
    model = FrontClassifier((8,), form=form, random_state=0).partial_fit(X, y, classes=["a", "b", "c"])
    before = [coef.copy() for coef in model.coefs_]

    def interrupted(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr("fcfast.training.loop._mean_loss", interrupted)
    with pytest.raises(KeyboardInterrupt):
        model.partial_fit(X, y)
    for one, other in zip(model.coefs_, before, strict=True):
        np.testing.assert_array_equal(one, other)
    assert model.n_epochs_ == 1
