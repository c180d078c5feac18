"""The estimators from the point of view of a scikit-learn user."""

import pickle
import warnings

import numpy as np
import pytest
from classic import FrontClassifier, FrontRegressor
from scipy import sparse
from sklearn import config_context
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, DataConversionWarning, NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from fcfast import backend
from fcfast.front.base import FORMS
from fcfast.optimizers import Constant

EPOCHS = 200 if backend.NAME == "compiled" else 20

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")  # few epochs on purpose


@pytest.mark.skipif(backend.NAME == "python", reason="the checks fit hundreds of networks; the compiled kernels do")
@parametrize_with_checks(
    [kind(dtype="float64") for kind in (FrontClassifier, FrontRegressor)]  # test_automatic checks float32
)
@pytest.mark.filterwarnings("ignore")  # the checks provoke warnings
def test_scikit_learn_checks(estimator, check):
    """All of scikit-learn's own checks."""
    check(estimator)


def test_forms_agree_from_the_same_seed(wide):
    """Random initial weights are the same function in every form."""
    X, y = wide
    settings = {"dtype": "float64", "batch_size": 7, "max_epochs": 5, "learning_rate": 1e-3, "random_state": 3}
    forms = "contributions", "windowed", "weights"
    fitted = [FrontClassifier((16, 8), form=form, **settings).fit(X, y) for form in forms]
    for other in fitted[1:]:
        np.testing.assert_allclose(other.loss_curve_, fitted[0].loss_curve_, rtol=1e-10)
        for a, b in zip(other.coefs_, fitted[0].coefs_, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-12)


def test_predictions_do_not_need_the_weights(wide):
    """Before and after the weights are expanded, predictions agree."""
    X, y = wide
    classifier = FrontClassifier((16,), dtype="float64", max_epochs=EPOCHS, random_state=0).fit(X, y)
    assert classifier.form_ == "contributions"
    before = classifier.predict_proba(X[:5])
    assert [coef.shape for coef in classifier.coefs_] == [(3000, 16), (16, 3)]
    np.testing.assert_allclose(classifier.predict_proba(X[:5]), before, rtol=1e-9)
    np.testing.assert_allclose(before.sum(axis=1), 1)
    assert classifier.score(X, y) == 1


def test_conventional_weights_give_the_same_outputs(wide):
    """coefs_ and intercepts_ are all there is: a plain forward pass repeats the prediction."""
    X, y = wide
    classifier = FrontClassifier((16, 8), "tanh", dtype="float64", max_epochs=10, random_state=0).fit(X, y)
    hidden = X
    for coef, intercept in zip(classifier.coefs_[:-1], classifier.intercepts_[:-1], strict=True):
        hidden = np.tanh(hidden @ coef + intercept)
    logits = hidden @ classifier.coefs_[-1] + classifier.intercepts_[-1]
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(classifier.predict_proba(X), expected, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("form", ["auto", "contributions", "windowed", "weights"])
def test_sparse_equals_dense(wide, form):
    """CSR input gives the same network; new sparse data the same predictions."""
    X, y = wide
    X = np.where(np.abs(X) > 8, X, 0)
    settings = {"hidden_layer_sizes": (8,), "dtype": "float64", "max_epochs": 10, "learning_rate": 1e-3, "random_state": 0}
    dense = FrontClassifier(form="contributions", **settings).fit(X, y)
    csr = FrontClassifier(form=form, **settings).fit(sparse.csr_array(X), y)
    np.testing.assert_allclose(csr.loss_curve_, dense.loss_curve_, rtol=1e-10)
    np.testing.assert_allclose(csr.predict_proba(sparse.csr_array(X)), dense.predict_proba(X), rtol=1e-9)
    np.testing.assert_allclose(csr.predict_proba(X), dense.predict_proba(X), rtol=1e-9)


@pytest.mark.parametrize("form", ["contributions", "windowed", "weights"])
def test_memory_map(wide, tmp_path, form):
    """A memory map trains the same network as an array, in every form; contributions refer to it, and all predict from it."""
    X, y = wide
    X = X.astype(np.float32)
    mapped = np.memmap(tmp_path / "X", np.float32, "w+", shape=X.shape)
    mapped[:] = X
    settings = {"hidden_layer_sizes": (8,), "form": form, "max_epochs": 10, "learning_rate": 1e-3, "random_state": 0}
    a, b = FrontClassifier(**settings).fit(mapped, y), FrontClassifier(**settings).fit(X, y)
    if form == "contributions":
        assert np.shares_memory(a.network_.front.X, mapped)
    np.testing.assert_array_equal(a.loss_curve_, b.loss_curve_)
    np.testing.assert_array_equal(a.predict_proba(mapped), b.predict_proba(X))


def test_explanation_adds_up(wide):
    """The terms of the training samples, the initial part and the bias are the pre-activation, without remainder."""
    X, y = wide
    classifier = FrontClassifier((6,), dtype="float64", max_epochs=20, weight_decay=0.01, random_state=0).fit(X, y)
    new = X[:4] + 1
    explanation = classifier.explain(new)
    assert explanation.terms.shape == (4, 40, 6)
    expected = new @ classifier.coefs_[0] + classifier.intercepts_[0]
    np.testing.assert_allclose(explanation.preactivations, expected, rtol=1e-9, atol=1e-9)
    with pytest.raises(AttributeError, match=r"holds weights \(form 'windowed'\).*weights=False"):
        FrontClassifier((6,), form="windowed", max_epochs=2).fit(X, y).explain(new)


@pytest.mark.bits
def test_pipeline_grid_search_pickle_clone(wide):
    """The places a scikit-learn estimator must work in."""
    X, y = wide
    pipeline = make_pipeline(StandardScaler(), FrontClassifier((8,), max_epochs=20, random_state=0))
    assert cross_val_score(pipeline, X, y, cv=3).mean() > 0.9
    search = GridSearchCV(pipeline, {"frontclassifier__learning_rate": [0.001, 0.01]}, cv=2).fit(X, y)
    copy = pickle.loads(pickle.dumps(search.best_estimator_))
    np.testing.assert_array_equal(copy.predict_proba(X), search.best_estimator_.predict_proba(X))
    assert not hasattr(clone(copy[-1]), "network_")


@pytest.mark.parametrize("form", ["contributions", "windowed", "weights"])
def test_early_stopping_keeps_the_best(wide, form):
    """The network of the best score is the one that stays, not the last one; a quarter of the data is held out."""
    X, y = wide
    scores, seen = iter([0.1, 0.6, 0.4, 0.5, 0.6, 0.3]), []

    def scripted(estimator, X, y):
        assert X.shape[0] == len(y) == 10
        seen.append(estimator.network_.snapshot())
        return next(scores)

    settings = {"early_stopping": True, "validation_fraction": 0.25, "n_iter_no_change": 4, "max_epochs": 20}
    settings["scoring"] = scripted
    classifier = FrontClassifier((8,), form=form, learning_rate=1e-3, random_state=0, **settings).fit(X, y)
    assert classifier.validation_scores_ == [0.1, 0.6, 0.4, 0.5, 0.6, 0.3]
    assert classifier.n_epochs_ == len(classifier.loss_curve_) == 6
    for held, best, last in zip(classifier.network_.snapshot(), seen[1], seen[-1], strict=True):
        np.testing.assert_array_equal(held, best)
        assert not np.array_equal(held, last) or held.shape == (2,)  # the share of W1(0), which stays 1 without weight decay


def test_early_stopping_by_accuracy(wide):
    """Unscripted: training ends when the accuracy of the held-out samples stays."""
    X, y = wide
    classifier = FrontClassifier(
        (8,), early_stopping=True, validation_fraction=0.25, n_iter_no_change=5, max_epochs=60, random_state=0
    ).fit(X, y)
    assert len(classifier.validation_scores_) == classifier.n_epochs_ == len(classifier.loss_curve_)
    assert classifier.n_epochs_ < 60
    assert classifier.contributions_.shape == (30, 8)


def test_warm_start_continues(wide):
    """Two fits of five epochs without momentum are one of ten."""
    X, y = wide
    settings = {"hidden_layer_sizes": (8,), "dtype": "float64", "momentum": 0, "shuffle": False}
    settings |= {"learning_rate": 1e-3, "tol": 0}
    once = FrontClassifier(max_epochs=10, random_state=0, **settings).fit(X, y)
    twice = FrontClassifier(max_epochs=5, random_state=0, warm_start=True, **settings).fit(X, y).fit(X, y)
    for a, b in zip(once.coefs_, twice.coefs_, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-13)


def test_warm_start_with_other_layers(wide):
    """What the last fit and this one need is told; given intercepts replace those of the last fit."""
    X, y = wide
    classifier = FrontClassifier((8,), max_epochs=2, warm_start=True, random_state=0).fit(X, y)
    with pytest.raises(ValueError, match=r"warm_start continues with layers of \(3000, 8, 3\).*need \(50, 8, 3\)"):
        classifier.fit(X[:, :50], y)
    with pytest.raises(ValueError, match=r"warm_start continues with layers of \(3000, 8, 3\).*need \(3000, 5, 3\)"):
        classifier.set_params(hidden_layer_sizes=5).fit(X, y)
    regressor = FrontRegressor((3,), max_epochs=1, learning_rate=1e-12, warm_start=True, random_state=0).fit(X, X[:, :3])
    with pytest.raises(ValueError, match=r"layers of \(3000, 3, 3\).*need \(3000, 3, 1\)"):
        regressor.fit(X, X[:, 0])
    regressor.fit(X, X[:, :3], intercepts_init=np.full((2, 3), 0.5))
    np.testing.assert_allclose(regressor.intercepts_, np.full((2, 3), 0.5), rtol=1e-6)


def test_class_weight_is_sample_weight(wide):
    """class_weight multiplies the sample weights."""
    X, y = wide
    settings = {"hidden_layer_sizes": (8,), "dtype": "float64", "max_epochs": 5, "random_state": 0}
    by_class = FrontClassifier(class_weight={"a": 3, "b": 1, "c": 0.5}, **settings).fit(X, y)
    by_sample = FrontClassifier(**settings).fit(X, y, sample_weight=np.select([y == "a", y == "b"], [3, 1], 0.5))
    np.testing.assert_allclose(by_class.loss_curve_, by_sample.loss_curve_, rtol=1e-12)


@pytest.mark.parametrize(
    ("settings", "sample_weight", "message"),
    [
        ({"class_weight": {"a": -1}}, None, "class_weight gives weights from -1"),
        ({"class_weight": {"a": np.nan}}, None, "class_weight gives weights from nan"),
        ({"class_weight": {"a": np.inf}}, np.ones(40), "class_weight gives weights from 1 to inf"),
        ({"class_weight": dict.fromkeys("abc", 0)}, None, "class_weight.*not all 0"),
        ({}, np.full(40, 1e307), "sample_weight.*with the sum inf"),
        ({"class_weight": {"a": 1e200}}, np.full(40, 1e200), "sample_weight.*to inf"),
        ({"class_weight": {"a": 0, "b": 0}}, "only a", "sample_weight.*not all 0"),
    ],
)
def test_bad_weights_of_samples(wide, settings, sample_weight, message):
    """Weights that have no mean are refused, by fit and partial_fit, and it is said where they come from."""
    X, y = wide
    if isinstance(sample_weight, str):
        sample_weight = (y == "a").astype(float)
    with pytest.raises(ValueError, match=message):
        FrontClassifier((4,), **settings).fit(X, y, sample_weight=sample_weight)
    with pytest.raises(ValueError, match=message):
        FrontClassifier((4,), **settings).partial_fit(X, y, classes=np.unique(y), sample_weight=sample_weight)


def test_multi_output_regression(global_random_seed):
    """Targets of shape (N, c) give predictions of shape (M, c), those of shape (N,) one of shape (M,)."""
    rng = np.random.default_rng(global_random_seed)
    X = rng.normal(size=(50, 400))
    Y = np.stack([X[:, 0], X[:, 1] - X[:, 2]], axis=1)
    regressor = FrontRegressor((16,), learning_rate=1e-3, max_epochs=EPOCHS, random_state=0).fit(X, Y)
    assert regressor.predict(X).shape == (50, 2)
    assert regressor.score(X, Y) > (0.9 if backend.NAME == "compiled" else -1)
    assert regressor.fit(X, Y[:, 0]).predict(X).shape == (50,)


def test_divergence_warns_and_keeps_the_network(wide):
    """A loss that is not finite ends the training; what was before it still predicts."""
    X, _ = wide
    with pytest.warns(ConvergenceWarning, match="diverged in") as caught:
        regressor = FrontRegressor((8,), "identity", learning_rate=50.0, max_epochs=50).fit(X, X[:, 0])
    assert regressor.n_epochs_ < 50
    assert {warning.filename for warning in caught} == {__file__}  # the caller's line is the one to look at


@pytest.mark.parametrize("form", ["contributions", "weights"])
@pytest.mark.parametrize("kind", [FrontClassifier, FrontRegressor])
def test_held_out_outputs_that_overflow_are_a_divergence(wide, kind, form):
    """Weights may be finite after a huge step and no output be: the network before it is kept, and it is told."""
    X, y = wide[0], np.arange(40) % 2
    model = kind((4,), form=form, early_stopping=True, learning_rate=1e30, batch_size=36, random_state=0)
    with pytest.warns(ConvergenceWarning, match="diverged in epoch 1: outputs for the validation samples"):
        model.fit(X, y)
    assert model.loss_curve_ == model.validation_scores_ == []
    assert np.isfinite(model.coefs_[0]).all()
    assert np.abs(model.coefs_[0]).max() < 1


def test_loss_above_its_start_is_told():
    """Bounded steps that are too long do not overflow; a training that made the network worse says so."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(40, 100))
    regressor = FrontRegressor((16,), optimizer="neuron-adam", learning_rate=0.1, max_epochs=2, random_state=0)
    with pytest.warns(ConvergenceWarning, match="higher than it began"):
        regressor.fit(X, X[:, 0])


def test_no_better_than_class_frequencies_is_told():
    """Features far from 0 make units useless: the fit ends at the entropy of the (weighted) classes, and says so."""
    rng = np.random.default_rng(0)
    y = np.arange(60) % 3 == 0
    X = rng.normal(size=(60, 2000)) + 0.5 * y[:, None]
    settings = {"hidden_layer_sizes": (16,), "init_scale": 0.1, "random_state": 0}
    message = "learns only the class frequencies"
    for weights, entropy in ((None, "0.637"), (np.where(y, 0.5, 1.0), "0.500")):
        with pytest.warns(ConvergenceWarning, match=rf"{message} \(loss 0\.\d+, theirs {entropy}\); scale X"):
            FrontClassifier(**settings).fit(10 + X, y, sample_weight=weights)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=f".*{message}")
        FrontClassifier(**settings).fit(StandardScaler().fit_transform(X), y)
        FrontClassifier(**settings, max_epochs=3).fit(10 + X, y)
        FrontClassifier(**settings).fit(10 + X, y, callbacks=[lambda epoch: epoch.epoch == 12])
        FrontClassifier(**settings).fit(10 + X, np.zeros(60))


@pytest.mark.parametrize("form", ["contributions", "weights"])
@pytest.mark.parametrize("learning_rate", [1e2, 1e15, 1e38])
def test_divergence_never_leaves_infinite_weights(form, learning_rate):
    """Whenever the bad update happens, the last one included, what stays gives finite predictions."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 20))
    for max_epochs in (1, 3):
        regressor = FrontRegressor((8,), learning_rate=learning_rate, form=form, max_epochs=max_epochs, random_state=0)
        assert np.isfinite(regressor.fit(X, X[:, 0]).predict(X)).all()


@pytest.mark.parametrize(
    ("factors", "error"),
    [
        (lambda steps, total: np.ones(max(0, len(steps) - 1)), ValueError),
        (lambda steps, total: -np.ones(len(steps)), ValueError),
        (lambda steps, total: np.full(len(steps), np.nan), ValueError),
        (None, TypeError),
    ],
    ids=["short", "negative", "nan", "none"],
)
def test_bad_schedules(wide, factors, error):
    """A schedule of the caller's own is checked before a kernel sees its numbers."""
    schedule = type("Schedule", (), {"factors": staticmethod(factors)} if factors else {})()
    with pytest.raises(error, match="schedule"):
        FrontClassifier((4,), schedule=schedule, batch_size=10).fit(*wide)
    assert FrontClassifier((4,), schedule=Constant(), max_epochs=1).fit(*wide).n_epochs_ == 1


def test_column_targets_score_alike(wide):
    """Targets of shape (N, 1) are those of shape (N,), validation scores included."""
    X, y = wide
    settings = {"early_stopping": True, "validation_fraction": 0.3, "max_epochs": 3, "random_state": 0}
    flat = FrontClassifier((8,), **settings).fit(X, y)
    with pytest.warns(DataConversionWarning):
        column = FrontClassifier((8,), **settings).fit(X, y[:, None])
    assert column.validation_scores_ == flat.validation_scores_


def test_early_stopping_needs_enough_samples(wide):
    """The message names the fraction."""
    X, y = wide
    with pytest.raises(ValueError, match="validation_fraction"):
        FrontClassifier(early_stopping=True, validation_fraction=0.01).fit(X, y)


def test_window_from_numpy(wide):
    """A window out of np.arange is a window."""
    X, y = wide
    fitted = FrontClassifier((8,), form="windowed", batch_size=4, window=np.int64(8), max_epochs=1).fit(X, y)
    assert fitted.network_.window == 8


def test_warm_start_with_other_classes(wide):
    """Refused, and what was fitted stays."""
    X, y = wide
    classifier = FrontClassifier((8,), warm_start=True, max_epochs=2).fit(X, y)
    with pytest.raises(ValueError, match="warm_start"):
        classifier.fit(X, np.where(y == "a", "u", "d"))
    assert classifier.predict_proba(X).shape == (40, 3)


@pytest.mark.parametrize("form", ["contributions", "weights"])
def test_overflow_names_the_data(wide, form):
    """Values that overflow float32 are the data's fault, not the learning rate's."""
    X, y = wide
    with pytest.raises(ValueError, match=r"^X has values"):
        FrontClassifier((8,), form=form).fit(X * (1e20 if form == "contributions" else 1e38), y)
    with pytest.raises(ValueError, match=r"^y has values"):
        FrontRegressor((8,), form=form).fit(X, X[:, 0] * 1e39)


@pytest.mark.parametrize("form", ["contributions", "windowed", "weights"])
@pytest.mark.parametrize(("dtype", "huge"), [("float32", 1e200), ("float32", 3e38), ("float64", 1e308)])
def test_overflow_in_prediction_names_the_data(wide, form, dtype, huge):
    """New samples too large for the network: told before there are NaNs, with the remedy where there is one."""
    X, y = wide
    classifier = FrontClassifier((4,), "identity", form=form, dtype=dtype, max_epochs=1, learning_rate=1e-9, tol=0)
    classifier.fit(X, y, coefs_init=[np.ones((3000, 4)), np.eye(4, 3)])
    new = X[:3].copy()
    new[1] = huge
    calls = [classifier.predict, classifier.predict_proba, *([classifier.explain] if form == "contributions" else [])]
    for new_X in (new, sparse.csr_array(new)):
        for call in calls:
            with pytest.raises(ValueError, match=rf"X has values.*{dtype} overflows") as caught:
                call(new_X)
            assert ("dtype='float64'" in str(caught.value)) == (dtype == "float32")
    _ = classifier.coefs_  # used for predictions from here on
    with pytest.raises(ValueError, match="X has values"):
        classifier.predict(new)
    assert np.isfinite(classifier.predict_proba(X)).all()


def test_given_arrays_may_change_later(wide):
    """Initial weights are copied, and the samples of a stream, whose array is used again; those of fit are referred to."""
    X, y = wide
    coefs = [np.full((3000, 4), 0.001), np.eye(4, 3)]
    settings = {"form": "contributions", "dtype": "float64", "random_state": 0, "max_epochs": 2}
    classifier = FrontClassifier((4,), **settings).fit(X, y, coefs_init=coefs)
    before = classifier.predict_proba(X)
    coefs[0][:] = 7
    np.testing.assert_array_equal(classifier.predict_proba(X), before)
    for convert in (np.array, sparse.csr_array):
        expected, stream = FrontClassifier((4,), **settings), FrontClassifier((4,), **settings)
        buffer = convert(X[:20])
        expected.partial_fit(convert(X[:20]), y[:20], classes=np.unique(y)).partial_fit(X[20:], y[20:])
        stream.partial_fit(buffer, y[:20], classes=np.unique(y))
        buffer[:] = X[20:] if isinstance(buffer, np.ndarray) else 0
        stream.partial_fit(X[20:], y[20:])
        np.testing.assert_array_equal(stream.predict_proba(X), expected.predict_proba(X))
    assert FrontClassifier((4,), **settings).fit(X, y).network_.front.X is X


def test_given_weights_in_single_precision(wide):
    """They are copied as they are, not through double precision, are not changed, and give the same bits as doubles."""
    X, y = wide
    rng = np.random.default_rng(0)
    coefs = [rng.normal(size=(3000, 4)).astype(np.float32) / 60, np.eye(4, 3, dtype=np.float32)]
    before = [coef.copy() for coef in coefs]
    settings = {"form": "contributions", "max_epochs": 3, "tol": 0, "random_state": 0, "learning_rate": 1e-3}
    wider = [coef.astype(np.float64) for coef in coefs]
    single, double, turned = (
        FrontClassifier((4,), **settings).fit(X, y, coefs_init=given)
        for given in (coefs, wider, [np.asfortranarray(coef) for coef in coefs])
    )
    held = single.network_.front.initial.array
    assert held.dtype == np.float32
    assert not np.shares_memory(held, coefs[0])
    for other in (double, turned):
        for a, b in zip(single.coefs_, other.coefs_, strict=True):
            np.testing.assert_array_equal(a, b)
    for a, b in zip(coefs, before, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("form", FORMS)
def test_fitted_weights_are_read_only(wide, form):
    """They are what the network is at that time: nobody writes to them, and training goes on elsewhere."""
    X, y = wide
    classifier = FrontClassifier((8,), form=form, random_state=0).partial_fit(X, y, classes=np.unique(y))
    held = classifier.coefs_ + classifier.intercepts_
    before = [array.copy() for array in held]
    for array in held:
        with pytest.raises(ValueError, match="read-only"):
            array[:] = 0
    classifier.partial_fit(X, y)
    for array, same, changed in zip(held, before, classifier.coefs_ + classifier.intercepts_, strict=True):
        np.testing.assert_array_equal(array, same)
        assert not np.array_equal(array, changed)


def test_weights_of_contributions_are_held_once(wide):
    """The network's own array and what the user holds are the same memory, and read-only like the contributions."""
    X, y = wide
    classifier = FrontClassifier((8,), form="contributions", max_epochs=2).fit(X, y)
    assert np.shares_memory(classifier.coefs_[0], classifier.coefs_[0])
    with pytest.raises(ValueError, match="read-only"):
        classifier.contributions_[:] = 0
    classifier.partial_fit(X, y)  # which writes to its own


def test_interrupt_keeps_what_was_fitted(wide, monkeypatch):
    """Ctrl-C ends the training with a warning; in the first epoch there is nothing to keep."""
    from fcfast.training.network import FrontNetwork

    X, y = wide
    train_epoch, calls = FrontNetwork.train_epoch, []

    def interrupted(self, *arguments):
        calls.append(1)
        if len(calls) in (1, 5):
            raise KeyboardInterrupt
        return train_epoch(self, *arguments)

    monkeypatch.setattr(FrontNetwork, "train_epoch", interrupted)
    classifier, one_by_one = FrontClassifier((8,), max_epochs=50, random_state=0), [lambda _epoch: None]
    with pytest.raises(KeyboardInterrupt):
        classifier.fit(X, y, callbacks=one_by_one)
    assert not hasattr(classifier, "network_")
    with pytest.warns(UserWarning, match="interrupted after 3 epoch"):
        classifier.fit(X, y, callbacks=one_by_one)
    assert classifier.n_epochs_ == 3
    assert classifier.predict(X).shape == (40,)


def test_memory_limit_is_checked_before_allocation(wide):
    """The error has the figures and the alternative."""
    X, y = wide
    with pytest.raises(MemoryError, match=r"40 x 40 samples.*memory_limit"):
        FrontClassifier(form="contributions", memory_limit=1000).fit(X, y)
    with pytest.raises(MemoryError, match="no form of the front layer"):
        FrontClassifier(memory_limit=1000).fit(X, y)
    X, y = np.random.default_rng(0).normal(size=(2000, 5)), np.arange(2000) % 2
    small = {"hidden_layer_sizes": (8,), "batch_size": 1, "max_epochs": 1, "memory_limit": 1 << 20}
    with pytest.raises(MemoryError, match=r"2000 x 2000 samples.*memory_limit.*form='(windowed|weights)'"):
        FrontClassifier(form="contributions", **small).fit(X, y)
    assert FrontClassifier(**small).fit(X, y).form_ != "contributions"


def test_plan_is_kept(wide):
    """It says what was chosen and why."""
    classifier = FrontClassifier((8,), max_epochs=1).fit(*wide)
    assert classifier.plan_.form == classifier.form_ == "contributions"
    assert "40 samples of 3,000 dense features" in str(classifier.plan_)


@pytest.mark.parametrize(
    ("parameters", "error"),
    [
        ({"activation": "gelu"}, ValueError),
        ({"form": "gram"}, ValueError),
        ({"dtype": "float16"}, ValueError),
        ({"learning_rate": 0}, ValueError),
        ({"learning_rate": "fast"}, TypeError),
        ({"momentum": 1.0}, ValueError),
        ({"nesterov": True, "momentum": 0}, ValueError),
        ({"batch_size": 0}, ValueError),
        ({"batch_size": 2.5}, TypeError),
        ({"window": -1}, ValueError),
        ({"max_epochs": 0}, ValueError),
        ({"schedule": "linear"}, ValueError),
        ({"hidden_layer_sizes": ()}, ValueError),
        ({"hidden_layer_sizes": (8, 0)}, ValueError),
        ({"n_jobs": 0}, ValueError),
        ({"max_grad_norm": -1}, ValueError),
        ({"label_smoothing": 1}, ValueError),
        ({"label_smoothing": -0.1}, ValueError),
        ({"label_smoothing": np.nan}, ValueError),
        ({"label_smoothing": "much"}, TypeError),
        ({"label_smoothing": True}, TypeError),
        ({"hidden_layer_sizes": 256.0}, TypeError),
        ({"hidden_layer_sizes": "256"}, TypeError),
        ({"tol": None}, TypeError),
        ({"memory_limit": -1}, ValueError),
        ({"early_stopping": "no"}, TypeError),
        ({"shuffle": 1}, TypeError),
        ({"warm_start": "no"}, TypeError),
        ({"nesterov": "no"}, TypeError),
        ({"verbose": "x"}, TypeError),
        ({"verbose": -1}, ValueError),
    ],
)
def test_bad_parameters(wide, parameters, error):
    """The message names the parameter."""
    with pytest.raises(error, match=next(iter(parameters))):
        FrontClassifier(**parameters).fit(*wide)


def test_bad_initial_weights(wide):
    """Shapes that do not fit are named with what is needed."""
    X, y = wide
    with pytest.raises(ValueError, match="coefs_init has shapes"):
        FrontClassifier((8,)).fit(X, y, coefs_init=[np.zeros((3000, 9)), np.zeros((9, 3))])
    with pytest.raises(ValueError, match="intercepts_init have lengths"):
        FrontClassifier((8,)).fit(X, y, intercepts_init=[np.zeros(8), np.zeros(2)])
    for name in ("coefs_init", "intercepts_init", "callbacks"):
        with pytest.raises(TypeError, match=f"{name} must be a list"):
            FrontClassifier((8,)).fit(X, y, **{name: 5})
    with pytest.raises(TypeError, match="callbacks must hold functions"):
        FrontClassifier((8,)).fit(X, y, callbacks=[print, 5])
    coefs, intercepts = [np.zeros((3000, 8)), np.full((8, 3), -1e300)], [np.zeros(8), np.full(3, 1e300)]
    with pytest.raises(ValueError, match=r"coefs_init\[1\] has values too large for dtype='float32'"):
        FrontClassifier((8,)).fit(X, y, coefs_init=coefs)
    with pytest.raises(ValueError, match=r"intercepts_init\[1\] has values too large for dtype='float32'"):
        FrontClassifier((8,)).fit(X, y, intercepts_init=intercepts)


def test_numpy_booleans_are_booleans(wide):
    """As a search over parameters hands them on."""
    settings = dict.fromkeys(("early_stopping", "warm_start", "nesterov", "verbose"), np.False_) | {"shuffle": np.True_}
    with_numpy, with_python = (
        FrontClassifier((4,), max_epochs=2, random_state=0, **{name: kind(value) for name, value in settings.items()})
        for kind in (np.bool_, bool)
    )
    assert with_numpy.fit(*wide).loss_curve_ == with_python.fit(*wide).loss_curve_


def test_failed_fit_leaves_the_estimator_as_it_was(wide):
    """Wherever it fails: neither new classes with the old network nor classes without one."""
    X, y = wide
    classifier = FrontClassifier((4,), form="contributions", max_epochs=2, random_state=0).fit(X, y)
    before, probabilities = vars(classifier).copy(), classifier.predict_proba(X)

    def fail(epoch):
        raise RuntimeError("no more of this")

    with pytest.raises(RuntimeError, match="no more"):
        classifier.fit(X[:, :50], np.arange(40) % 5, callbacks=[fail])
    assert vars(classifier) == before
    with pytest.raises(MemoryError):
        classifier.set_params(memory_limit=10).fit(X[:, :50], np.arange(40) % 5)
    assert vars(classifier) == before | {"memory_limit": 10}
    np.testing.assert_array_equal(classifier.predict_proba(X), probabilities)
    unfitted = FrontClassifier((4,), form="contributions", memory_limit=10)
    with pytest.raises(MemoryError):
        unfitted.partial_fit(X, y, classes=["a", "b", "c"])
    with pytest.raises(NotFittedError):
        unfitted.predict(X)
    unfitted.set_params(memory_limit=10**9).partial_fit(X, y, classes=["a", "b", "c", "d"])
    assert unfitted.predict_proba(X).shape == (40, 4)


def test_failed_partial_fit_leaves_the_estimator_as_it_was(wide, monkeypatch):
    """Too little memory while samples join, or in the middle of an epoch."""
    X, y = wide
    from fcfast.training.network import FrontNetwork

    train_epoch = FrontNetwork.train_epoch

    def out_of_memory(*arguments, **settings):
        raise MemoryError

    def half_an_epoch(self, rows, rates, answers, weights):
        train_epoch(self, rows[:10], rates[:1], answers, weights)
        raise MemoryError

    settings = {"form": "contributions", "dtype": "float64", "batch_size": 10, "random_state": 0}
    classifier = FrontClassifier((4,), **settings).partial_fit(X[:20], y[:20], classes=np.unique(y))
    front = classifier.network_.front
    probabilities, held = classifier.predict_proba(X), {name: id(value) for name, value in vars(front).items()}
    with monkeypatch.context() as patch:
        patch.setattr("fcfast.gram.object.stacked", out_of_memory)
        with pytest.raises(MemoryError):
            classifier.partial_fit(X[20:], y[20:])
    assert held == {name: id(value) for name, value in vars(front).items()}
    with monkeypatch.context() as patch:
        patch.setattr(FrontNetwork, "train_epoch", half_an_epoch)
        with pytest.raises(MemoryError):
            classifier.partial_fit(X[20:], y[20:])
    assert classifier.n_epochs_ == 1
    np.testing.assert_allclose(classifier.predict_proba(X), probabilities, rtol=1e-12)


def test_unfitted():
    """scikit-learn's own error."""
    with pytest.raises(NotFittedError):
        _ = FrontClassifier().coefs_


def test_real_wide_data(load_data):
    """Gene expression, 62 x 2000: better than chance by far, in five folds."""
    data = load_data("colon_alon")
    pipeline = make_pipeline(StandardScaler(), FrontClassifier((64,), learning_rate=1e-3, max_epochs=50, random_state=0))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # 50 epochs are enough here
        assert cross_val_score(pipeline, data["X"], data["y"], cv=5).mean() > 0.75


# ----------------------------------------------------------------------------------------------------------------------
# what is seen and heard of a fit


def test_callbacks(wide):
    """Called after each epoch; True ends the training."""
    X, y = wide
    seen = []

    def stop_after_four(epoch):
        seen.append(epoch)
        return epoch.epoch == 4

    classifier = FrontClassifier((8,), max_epochs=50, tol=0, random_state=0).fit(X, y, callbacks=[stop_after_four])
    assert classifier.n_epochs_ == 4
    assert [epoch.loss for epoch in seen] == classifier.loss_curve_
    assert {epoch.max_epochs for epoch in seen} == {50}
    assert seen[0].validation_score is None


@pytest.mark.parametrize(("reply", "n_epochs"), [(True, 1), (np.True_, 1), (np.False_, 3), (None, 3), (1, 3), ("yes", 3)])
def test_only_true_ends_the_training(wide, reply, n_epochs):
    """Python's and NumPy's; a callback that happens to return something else is no request."""
    classifier = FrontClassifier((4,), max_epochs=3, tol=0, random_state=0).fit(*wide, callbacks=[lambda epoch: reply])
    assert classifier.n_epochs_ == n_epochs


def test_plan_counts_products_of_sparse_data(wide):
    """Columns that are full beside empty ones cost more than as many entries spread evenly."""
    _, y = wide
    uneven, even = np.zeros((40, 1500), np.float32), np.zeros((40, 1500), np.float32)
    uneven[:, :5] = uneven[0, 5:205] = 1
    even[np.arange(400) % 40, np.arange(400)] = 1
    once = [
        FrontClassifier((4,), max_epochs=1).fit(sparse.csr_array(X), y).plan_.costs["contributions"].seconds_once
        for X in (uneven, even)
    ]
    assert once[0] > once[1]


def test_verbose_prints_lines(wide, capsys):
    """The settings, and a line for some epochs where there is no terminal, for all with 2; nothing by default."""
    X, y = wide
    FrontClassifier((4,), max_epochs=3, random_state=0).fit(X, y)
    assert capsys.readouterr().out == ""
    classifier = FrontClassifier((4,), max_epochs=3, early_stopping=True, random_state=0, verbose=1)
    settings = str(classifier.fit(X, y).settings_).splitlines()
    lines = capsys.readouterr().out.splitlines()
    assert lines[:-3] == settings
    lines = lines[-3:]
    assert all(line.startswith(f"epoch {i}: loss ") and "validation" in line for i, line in enumerate(lines, 1))
    for verbose, told in ((1, [f"epoch {i}" for i in range(3, 61, 3)]), (2, [f"epoch {i}" for i in range(1, 61)])):
        FrontClassifier((2,), max_epochs=60, n_iter_no_change=60, random_state=0, verbose=verbose).fit(X, y)
        lines = capsys.readouterr().out.splitlines()
        assert [line.partition(":")[0] for line in lines if line.startswith("epoch ")] == told


def test_interrupt_in_the_middle_of_an_epoch(wide, monkeypatch):
    """What a half-done epoch has changed is undone: the network is that of whole epochs."""
    from fcfast.training.network import FrontNetwork

    X, y = wide
    train_epoch, calls = FrontNetwork.train_epoch, []

    def interrupted(self, *arguments):
        calls.append(1)
        losses = train_epoch(self, *arguments)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return losses

    settings = {"max_epochs": 2, "tol": 0, "random_state": 0}
    expected = FrontClassifier((8,), **settings).fit(X, y)
    monkeypatch.setattr(FrontNetwork, "train_epoch", interrupted)
    with pytest.warns(UserWarning, match="interrupted after 2 epoch"):
        classifier = FrontClassifier((8,), **settings).set_params(max_epochs=50).fit(X, y, callbacks=[lambda _epoch: None])
    np.testing.assert_array_equal(classifier.predict_proba(X), expected.predict_proba(X))


def test_sample_weights_are_routed(wide):
    """Metadata routing hands sample weights through a search and a pipeline."""
    X, y = wide
    weights = np.where(y == "a", 3.0, 1.0)
    with config_context(enable_metadata_routing=True):
        classifier = FrontClassifier((4,), max_epochs=3, random_state=0).set_fit_request(sample_weight=True)
        pipeline = make_pipeline(StandardScaler().set_fit_request(sample_weight=False), classifier)
        pipeline.fit(X, y, sample_weight=weights)
    expected = FrontClassifier((4,), max_epochs=3, random_state=0).fit(StandardScaler().fit_transform(X), y, weights)
    np.testing.assert_array_equal(pipeline[-1].loss_curve_, expected.loss_curve_)


def test_data_frames():
    """Names of features are kept and compared."""
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(np.random.default_rng(0).normal(size=(20, 3)), columns=["x", "y", "z"])
    classifier = FrontClassifier((4,), max_epochs=3, random_state=0).fit(frame, pandas.Series(["no", "yes"] * 10))
    assert classifier.feature_names_in_.tolist() == ["x", "y", "z"]
    scaled = make_pipeline(StandardScaler(), classifier).set_output(transform="pandas").fit(frame, ["no", "yes"] * 10)
    assert scaled[-1].feature_names_in_.tolist() == ["x", "y", "z"]
    with pytest.raises(ValueError, match="feature names"):
        classifier.predict(frame.rename(columns={"z": "other"}))


def test_logarithms_of_probabilities(wide):
    """They are those of predict_proba, and finite where that is 0: a voting or a loss then stays finite."""
    X, y = wide
    classifier = FrontClassifier((8,), max_epochs=5, random_state=0, dtype="float64").fit(X, y)
    logarithms = classifier.predict_log_proba(X)
    assert (logarithms.dtype, logarithms.shape) == (np.float64, (len(X), 3))
    np.testing.assert_allclose(np.exp(logarithms), classifier.predict_proba(X), rtol=1e-12)
    far = 1e4 * X
    probabilities, logarithms = classifier.predict_proba(far), classifier.predict_log_proba(far)
    assert (probabilities == 0).any()
    assert np.isfinite(logarithms).all()
    assert (logarithms <= 0).all()
    np.testing.assert_array_equal(logarithms.argmax(axis=1), probabilities.argmax(axis=1))


@pytest.mark.parametrize(
    ("estimator", "change", "message"),
    [
        (FrontClassifier, lambda X, y: (X, np.where(np.arange(40) == 3, None, y)), "y lacks the labels of 1 sample"),
        (FrontRegressor, lambda X, y: (X, np.repeat(["low", "high"], 20)), "y must hold real numbers"),
        (FrontRegressor, lambda X, y: (X, np.repeat(["low", "high"], 20).astype(object)), "y holds text.* use a classifier"),
        (FrontClassifier, lambda X, y: (X.astype(str).astype(object) + "?", y), "X holds text .*encode it as numbers"),
    ],
)
def test_text_and_missing_labels_are_named(wide, estimator, change, message):
    """The message names the argument and says what to do."""
    X, y = change(*wide)
    with pytest.raises((ValueError, TypeError), match=message):
        estimator(max_epochs=1).fit(X, y)


def test_long_texts_are_cut_in_messages():
    """A whole document is no message; the remedy for texts is."""
    fitted = FrontClassifier((4,), max_epochs=1, tol=0).fit(np.eye(6), [0, 1] * 3)
    for texts in (["a long review " * 900], [["a long review " * 900] * 6]):
        with pytest.raises(ValueError, match=r"'a long review a.* \.\.\.\); .*model\.text_\.transform\(texts\)") as error:
            fitted.predict(texts)
        assert len(str(error.value)) < 400


def test_columns_of_text_are_named(wide):
    """Of a table, the message names the columns, at predict too."""
    pandas = pytest.importorskip("pandas")
    X, y = wide
    table = pandas.DataFrame(X[:, :3], columns=["a", "b", "c"])
    with pytest.raises(ValueError, match="X holds text in the columns 'sex'"):
        FrontClassifier(max_epochs=1).fit(table.assign(sex=["m", "f"] * 20), y)
    fitted = FrontClassifier((4,), max_epochs=1, tol=0).fit(table, y)
    with pytest.raises(ValueError, match="X holds text in the columns 'b'"):
        fitted.predict(table.assign(b="high"))
