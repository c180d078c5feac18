"""`FrontSurvival` among scikit-learn's tools: its checks, searches, early stopping and validation samples, warm starts."""

import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks
from survival_cases import QUICK, changed, survival, wide_survival

from fcfast import FrontSurvival, backend
from fcfast.losses import Cox


@pytest.fixture(scope="module")
def data():
    return wide_survival()


class OfNumbers(FrontSurvival):
    """Turns the numbers or classes that scikit-learn's checks give into times, every third of them censored."""

    def __init__(self, hidden_layer_sizes=(4,), *, max_epochs=3, random_state=None, dtype="float64", standardize="auto"):
        super().__init__(
            hidden_layer_sizes, max_epochs=max_epochs, random_state=random_state, dtype=dtype, standardize=standardize
        )

    def fit(self, X, y=None, sample_weight=None):
        if y is not None and (numbers := np.asarray(y)).dtype.names is None:
            values = np.unique(numbers.reshape(len(numbers), -1)[:, 0], return_inverse=True)[1].reshape(-1)
            y = survival(np.arange(len(values)) % 3 != 2, values + 1.0)
        return super().fit(X, y, sample_weight)

    def score(self, X, y=None):
        return super().score(X, survival(np.ones(len(y)), np.arange(len(y)) + 1.0))


EXPECTED = {
    # copies of an event are ties, which Efron's method treats in another way than one event of twice the weight
    "check_sample_weight_equivalence_on_dense_data": "tied events",
    "check_sample_weight_equivalence_on_sparse_data": "tied events",
}


@pytest.mark.skipif(backend.NAME == "python", reason="the checks fit dozens of networks; the compiled kernels do")
@parametrize_with_checks([OfNumbers()], expected_failed_checks=lambda _: EXPECTED)
@pytest.mark.filterwarnings("ignore")  # the checks provoke warnings
def test_scikit_learn_checks(estimator, check):
    """Scikit-learn's own checks, for whose targets there are times."""
    check(estimator)


def test_where_an_estimator_must_work(data):
    X, y = data
    pipeline = make_pipeline(StandardScaler(), FrontSurvival((8,), max_epochs=30, random_state=0))
    assert cross_val_score(pipeline, X, y, cv=3).mean() > 0.7
    search = GridSearchCV(pipeline, {"frontsurvival__init_scale": [0.5, 1.0]}, cv=2).fit(X, y)
    copy = pickle.loads(pickle.dumps(search.best_estimator_))
    np.testing.assert_array_equal(copy.predict(X), search.best_estimator_.predict(X))
    np.testing.assert_array_equal(copy[-1].unique_times_, np.unique(y["time"]))
    assert not hasattr(clone(copy[-1]), "network_")


# ----------------------------------------------------------------------------------------------------------------------
# validation, warm starts


def test_early_stopping_holds_out_events(data):
    """In proportion, and the best network is kept."""
    X, y = data
    few = y.copy()
    few["event"] = np.arange(60) % 6 == 0
    seen = []

    def note(epoch):
        seen.append(epoch.validation_score)

    settings = {"early_stopping": True, "validation_fraction": 0.3, "random_state": 0}
    model = FrontSurvival((8,), max_epochs=15, **settings).fit(X, few, callbacks=[note])
    assert seen == model.validation_scores_
    assert all(0 <= score <= 1 for score in seen)
    assert model.contributions_.shape[0] == 42
    assert len(model.unique_times_) == 42  # the baseline is of the samples that were trained on
    for events, message in (([0], "1 events in all"), ([0, 1], "too few for an event")):
        few["event"] = np.isin(np.arange(60), events)
        few["time"] = 1.0 + few["event"]  # nobody outlives them
        with pytest.raises(ValueError, match=message):
            model.fit(X, few)


def test_validation_on_other_samples(data):
    """Scores and losses are those of the samples beside X, of rows of it, or of groups; any scorer decides."""
    X, y = data
    weights = 1.0 + np.arange(60) % 3
    settings = QUICK | {"max_epochs": 4, "form": "weights"}
    beside = FrontSurvival(**settings).fit(X[:40], y[:40], X_val=X[40:], y_val=y[40:], sample_weight_val=weights[40:])
    rows = FrontSurvival(**settings).fit(X, y, weights, validation_indices=np.arange(40, 60))
    assert beside.validation_scores_[-1] == pytest.approx(beside.score(X[40:], y[40:], weights[40:]))
    loss = Cox().of_batch(beside.predict(X[40:])[:, None], y[40:], weights[40:])[0]
    assert beside.validation_loss_curve_[-1] == pytest.approx(loss)
    assert rows.validation_scores_[-1] == pytest.approx(rows.score(X[40:], y[40:], weights[40:]))
    assert len(rows.unique_times_) == 40
    by_loss = FrontSurvival(scoring="loss", early_stopping=True, validation_fraction=0.3, **settings)
    by_loss.fit(X, y, groups=np.arange(60) // 2)
    assert by_loss.validation_scores_ == [-value for value in by_loss.validation_loss_curve_]
    own = FrontSurvival(scoring=lambda model, X, y: -model.predict(X).std(), **settings)
    assert own.fit(X, y, validation_indices=[1, 5, 7]).best_epoch_ in (1, 2, 3, 4)
    with pytest.raises(ValueError, match="y_val: y has 1 negative time"):
        own.fit(X, y, X_val=X[:1], y_val=changed(y[:1], time=-1.0))
    with pytest.raises(ValueError, match=r"validation samples .* have no comparable pairs"):
        FrontSurvival(**settings).fit(X, y, X_val=X[:3], y_val=changed(y[:3], event=False))
    with pytest.raises(ValueError, match=r"none of the .* samples to train on"):
        own.fit(X, y, validation_indices=y["event"])


def test_warm_start_continues(data):
    X, y = data
    settings = {"momentum": 0.0, "shuffle": False, "learning_rate": 1e-2, "standardize": False} | QUICK
    once = FrontSurvival(**settings | {"max_epochs": 10}).fit(X, y)
    twice = FrontSurvival(warm_start=True, **settings).fit(X, y).fit(X, y)
    np.testing.assert_allclose(twice.predict(X), once.predict(X), rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(twice.baseline_survival_.y, once.baseline_survival_.y, rtol=1e-8)
