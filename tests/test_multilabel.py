"""Several labels of a sample, and targets of several columns of which some are missing."""

import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.metrics import accuracy_score, r2_score
from sklearn.model_selection import cross_val_score
from sklearn.neural_network import MLPClassifier

import fcfast
from fcfast import FrontClassifier, FrontRegressor, Gram, NoPropClassifier
from fcfast.losses import Huber, Logistic, Quantile
from fcfast.streams import Stream

EXACT = {"dtype": "float64", "random_state": 0, "max_epochs": 5, "hidden_layer_sizes": (4,)}
FORMS = ("weights", "windowed", "contributions")


@pytest.fixture(scope="module")
def labels():
    """Eighty samples of 300 features with three labels, of which some have none and some all."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(80, 300))
    Y = np.stack([X[:, :5].sum(axis=1) > 0, X[:, 5:10].sum(axis=1) > 1, X[:, :10].sum(axis=1) > 2], axis=1).astype(int)
    return X, Y


def with_gaps(Y, seed=0):
    return np.where(np.random.default_rng(seed).random(Y.shape) < 0.3, np.nan, Y)


def started(n_outputs):
    """Settings and a start that do not depend on the samples."""
    rng = np.random.default_rng(0)
    coefs = [rng.normal(size=(300, 4)) / 20, rng.normal(size=(4, n_outputs))]
    return {"coefs_init": coefs, "intercepts_init": [np.zeros(4), np.zeros(n_outputs)]}


PLAIN = EXACT | {"standardize": False, "weight_decay": 0.0, "learning_rate": 0.01}


def test_conventions_of_scikit_learn(labels):
    """Those of MLPClassifier: classes, shapes, dtype, probabilities, the share of samples that are all right."""
    X, Y = labels
    ours, theirs = FrontClassifier(random_state=0).fit(X, Y), MLPClassifier((4,), max_iter=5, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # five iterations
        theirs.fit(X, Y)
    np.testing.assert_array_equal(ours.classes_, theirs.classes_)
    for name in ("predict", "predict_proba"):
        a, b = (getattr(model, name)(X) for model in (ours, theirs))
        assert a.shape == b.shape == (80, 3)
        assert a.dtype == b.dtype
    probabilities = ours.predict_proba(X)
    np.testing.assert_array_equal(ours.predict(X), probabilities > 0.5)
    np.testing.assert_allclose(ours.predict_log_proba(X), np.log(probabilities), rtol=1e-9)
    assert ours.score(X, Y) == accuracy_score(Y, ours.predict(X)) == (ours.predict(X) == Y).all(axis=1).mean() > 0.8
    assert ours.__sklearn_tags__().classifier_tags.multi_label
    assert isinstance(ours.network_.loss, Logistic)
    assert cross_val_score(FrontClassifier(random_state=0), X, Y, cv=3).mean() > 0.3


def test_kinds_of_labels(labels):
    """Truth values, floats, lists, DataFrames and sparse matrices are the same labels."""
    X, Y = labels
    expected = FrontClassifier(**EXACT).fit(X, Y).predict_proba(X)
    table = pd.DataFrame(Y, columns=["a", "b", "c"])
    kinds = Y.astype(bool), Y.astype(float), Y.tolist(), table, table.astype(bool), table.astype("Int64"), sparse.csr_array(Y)
    for kind in kinds:
        model = FrontClassifier(**EXACT).fit(X, kind)
        np.testing.assert_array_equal(model.predict_proba(X), expected)
        assert model.score(X, kind) == (model.predict(X) == Y).all(axis=1).mean()
    assert FrontClassifier(**EXACT).fit(X, table).target_names_.tolist() == ["a", "b", "c"]
    assert FrontClassifier(**EXACT).fit(X, Y).target_names_ is None


def test_what_is_no_label_is_refused(labels):
    """Other numbers, text in several columns, weights of classes; and one column is classes as ever."""
    X, Y = labels
    with pytest.raises(ValueError, match="y has 3 columns with other values than 0 and 1"):
        FrontClassifier().fit(X, 2 * Y)
    with pytest.raises(ValueError, match="classes in one column, or, where samples have several labels, a column of 0 and 1"):
        FrontClassifier().fit(X, Y.astype(str))
    with pytest.raises(ValueError, match="class_weight='balanced' weights classes in one column, but y has 3 labels"):
        FrontClassifier(class_weight="balanced").fit(X, Y)
    with pytest.raises(ValueError, match="classes in one column, or, where samples have several labels, a column of 0 and 1"):
        NoPropClassifier().fit(X, Y)
    with pytest.warns(UserWarning, match="A column-vector y was passed"):
        model = FrontClassifier(**EXACT).fit(X, Y[:, :1])
    assert model.predict_proba(X).shape == (80, 2)
    with pytest.raises(ValueError, match="contains NaN"):
        FrontClassifier().fit(X, np.where(np.arange(80) < 3, np.nan, Y[:, 0]))


@pytest.mark.parametrize("form", FORMS)
def test_labels_by_themselves(labels, form):
    """With a frozen front layer each label is the network of that label alone: losses are summed, steps are the same."""
    X, Y = labels
    Y = with_gaps(Y)
    settings, coefs = PLAIN | {"form": form, "learning_rate": (0, 0.1)}, started(3)["coefs_init"]
    together = FrontClassifier(**settings).fit(X, Y, **started(3))
    total = 0
    for k in range(3):
        known = ~np.isnan(Y[:, k])
        start = {"coefs_init": [coefs[0], coefs[1][:, [k, k]]], "intercepts_init": [np.zeros(4), np.zeros(2)]}
        alone = FrontClassifier(**settings).fit(X[known], np.repeat(Y[known, k : k + 1], 2, axis=1), **start)
        np.testing.assert_allclose(together.coefs_[1][:, k], alone.coefs_[1][:, 0], rtol=1e-9)
        total = total + np.array(alone.loss_curve_) / 2
    np.testing.assert_allclose(together.loss_curve_, total, rtol=1e-9)


def test_missing_labels_are_left_out(labels):
    """Of the loss, the score and the start; a sample without any label changes nothing in a batch of all samples."""
    X, Y = labels
    gaps = with_gaps(Y)
    gaps[:5] = np.nan
    full, part = (FrontClassifier(**PLAIN).fit(X[rows:], gaps[rows:], **started(3)) for rows in (0, 5))
    np.testing.assert_allclose(full.predict_proba(X), part.predict_proba(X), rtol=1e-9)
    np.testing.assert_allclose(full.loss_curve_, part.loss_curve_, rtol=1e-9)
    model = FrontClassifier(random_state=0).fit(X, gaps)
    right = (model.predict(X) == gaps) | np.isnan(gaps)
    assert model.score(X, gaps) == right[5:].all(axis=1).mean() > 0.9
    weights = np.arange(80.0)
    np.testing.assert_allclose(model.score(X, gaps, weights), np.average(right[5:].all(axis=1), weights=weights[5:]))
    with pytest.warns(UserWarning, match=r"y has no value in 1 of 3 columns \(1, counted from 0\)"):
        empty = FrontClassifier(**EXACT).fit(X, np.where([False, True, False], np.nan, Y))
    np.testing.assert_array_equal(empty.predict_proba(X)[:, 1], 0.5)


def test_settings_that_labels_have(labels):
    """Smoothing keeps probabilities from 0 and 1; training begins with the frequencies; early stopping scores labels."""
    X, Y = labels
    smooth = FrontClassifier(label_smoothing=0.4, random_state=0).fit(X, Y)
    assert isinstance(smooth.network_.loss, Logistic)
    assert 0.1 < smooth.predict_proba(X).min() < smooth.predict_proba(X).max() < 0.9
    still = FrontClassifier(init="scaled", init_scale=1e-9, learning_rate=1e-300, label_smoothing=0.2, **EXACT).fit(X, Y)
    np.testing.assert_allclose(still.predict_proba(X[:2]), np.tile(0.8 * Y.mean(axis=0) + 0.1, (2, 1)), rtol=1e-6)
    stopped = FrontClassifier(early_stopping=True, random_state=0, max_epochs=30).fit(X, with_gaps(Y))
    assert 0.5 < max(stopped.validation_scores_) <= 1
    assert len(FrontClassifier(early_stopping=True, **EXACT).fit(X, np.repeat(Y, 20, axis=1)).classes_) == 60


def test_labels_on_products_and_sparse_samples(labels):
    """A Gram matrix, a kernel, sparse samples in single steps and in epochs."""
    X, Y = labels
    gaps = with_gaps(Y)
    plain = FrontClassifier(**EXACT, standardize=False, form="contributions").fit(X, gaps)
    by_gram = FrontClassifier(**EXACT, standardize=False).fit(Gram(X, dtype="float64"), gaps)
    np.testing.assert_allclose(by_gram.predict_proba(X), plain.predict_proba(X), rtol=1e-9)
    assert FrontClassifier(kernel="rbf", random_state=0).fit(X, gaps).score(X, gaps) > 0.5
    rows = sparse.csr_array(np.where(np.abs(X) > 1.5, X, 0))
    for more in ({"form": "windowed"}, {"form": "windowed", "rule": "fa"}, {"optimizer": "adagrad", "learning_rate": 0.01}):
        model = FrontClassifier(**EXACT | {"max_epochs": 2}, **more).fit(rows, gaps)
        assert np.isfinite(model.predict_proba(rows)).all()


@pytest.mark.parametrize("form", FORMS)
def test_portions_of_labels(labels, form):
    """One portion of all samples is an epoch of `fit`; `classes` is not needed, and labels cannot become classes."""
    X, Y = labels
    settings = EXACT | {"form": form, "learning_rate": 0.01, "batch_size": 100, "max_epochs": 1, "standardize": False}
    settings |= {"init": "scaled", "shuffle": False, "weight_decay": 0.0}
    whole = FrontClassifier(schedule="constant", **settings).fit(X, with_gaps(Y))
    portion = FrontClassifier(**settings).partial_fit(X, with_gaps(Y))
    np.testing.assert_allclose(portion.predict_proba(X), whole.predict_proba(X), rtol=1e-9)
    portion.partial_fit(X, Y, classes=[0, 1, 2])
    with pytest.raises(ValueError, match="y has 2 labels, but the first call of partial_fit, or fit, had 3"):
        portion.partial_fit(X, Y[:, :2])
    with pytest.raises(ValueError, match="leave it out, because y has a column for each of the 3 labels"):
        portion.partial_fit(X, Y, classes=["a", "b"])
    with pytest.raises(ValueError, match="but it had several labels before"):
        portion.partial_fit(X, Y[:, 0])
    classes = FrontClassifier(**settings).partial_fit(X, Y[:, 0], classes=[0, 1])
    with pytest.raises(ValueError, match="but it had classes in one column before"):
        classes.partial_fit(X, Y)


def test_warm_starts_of_labels(labels):
    """They continue with the same labels; classes of the same number are another task."""
    X, Y = labels
    model = FrontClassifier(warm_start=True, **EXACT).fit(X, Y)
    anew = clone(model).set_params(warm_start=False, standardize=False)
    assert model.fit(X, Y).loss_curve_[0] < anew.fit(X, Y).loss_curve_[0]
    with pytest.raises(ValueError, match="y changes between classes in one column and several labels"):
        model.fit(X, np.arange(80) % 3)
    np.testing.assert_array_equal(model.predict(X).shape, (80, 3))


def test_streams_of_labels(labels):
    """In blocks they train the network of all samples in memory, rare labels and gaps included."""
    X, Y = labels
    Y = np.hstack([Y, np.zeros((80, 1), int)])
    gaps = with_gaps(Y)
    settings = {"dtype": "float64", "random_state": 0, "form": "windowed", "batch_size": 10, "shuffle": False, "max_epochs": 3}

    def blocks():
        for first in range(0, 80, 23):
            yield X[first : first + 23], gaps[first : first + 23]

    streamed = FrontClassifier(init="scaled", **settings).fit(Stream(blocks))
    whole = FrontClassifier(init="scaled", **settings).fit(X, gaps)
    np.testing.assert_allclose(streamed.loss_curve_, whole.loss_curve_, rtol=1e-7)
    np.testing.assert_allclose(streamed.predict_proba(X), whole.predict_proba(X), rtol=1e-6)
    assert streamed.score(Stream(blocks)) == streamed.score(X, gaps)
    with pytest.raises(ValueError, match=r"block 2 .*but it had several labels before"):
        FrontClassifier(**settings).fit(Stream(lambda: iter([(X, Y), (X, Y[:, 0])])))


@pytest.mark.parametrize("weights", [True, False])
def test_files_and_pickles_of_labels(labels, tmp_path, weights):
    """They keep the labels and their names, and training goes on."""
    X, Y = labels
    table = pd.DataFrame(with_gaps(Y), columns=["sweet", "sour", "hot"])
    model = FrontClassifier(form="contributions", label_smoothing=0.1, **EXACT).fit(X, table)
    model.save(tmp_path / "m.safetensors", weights=weights, inputs=not weights)
    for copy in (fcfast.load(tmp_path / "m.safetensors"), pickle.loads(pickle.dumps(model))):
        np.testing.assert_array_equal(copy.predict_proba(X), model.predict_proba(X))
        assert copy.target_names_.tolist() == ["sweet", "sour", "hot"]
        assert copy.network_.loss == Logistic(0.1)
        copy.set_params(warm_start=True).fit(X, Y)
        with pytest.raises(ValueError, match="several labels"):
            copy.fit(X, Y[:, 0])


def test_conversions_of_labels(labels):
    """To scikit-learn and PyTorch, with the same probabilities."""
    X, Y = labels
    model = FrontClassifier(**EXACT).fit(X, Y)
    theirs = model.to_sklearn()
    np.testing.assert_allclose(theirs.predict_proba(X), model.predict_proba(X), rtol=1e-9)
    np.testing.assert_array_equal(theirs.predict(X), model.predict(X))
    torch = pytest.importorskip("torch")
    outputs = model.to_torch()(torch.tensor(X))
    np.testing.assert_allclose(outputs.sigmoid().detach().numpy(), model.predict_proba(X), rtol=1e-9)


# ----------------------------------------------------------------------------------------------------------------------
# missing numbers


@pytest.fixture(scope="module")
def measurements():
    """Eighty samples of 300 features with three measurements in units of their own, of which some are missing."""
    rng = np.random.default_rng(1)
    X = rng.normal(size=(80, 300))
    Y = X[:, :3] * [1, 100, 1e4] + X[:, 3:6] * [1, 50, 1e3] + [0, -5, 1e5]
    return X, with_gaps(Y, 1)


def test_missing_measurements(measurements):
    """Means and deviations are those of what is there; so is the score."""
    X, Y = measurements
    model = FrontRegressor(random_state=0).fit(X, Y)
    scale = model._scaling.targets
    np.testing.assert_allclose(scale.mean, np.nanmean(Y, axis=0))
    np.testing.assert_allclose(scale.scale, np.nanstd(Y, axis=0))
    predicted = model.predict(X)
    known = ~np.isnan(Y)
    each = [r2_score(Y[known[:, k], k], predicted[known[:, k], k]) for k in range(3)]
    np.testing.assert_allclose(model.score(X, Y), np.mean(each))
    assert model.score(X, Y) > 0.95
    still = FrontRegressor(init="scaled", init_scale=1e-9, learning_rate=1e-300, **EXACT).fit(X, Y)
    np.testing.assert_allclose(still.predict(X[:2]), np.tile(np.nanmean(Y, axis=0), (2, 1)), rtol=1e-6)
    for kind in (pd.DataFrame(Y, columns=list("abc")), pd.DataFrame(Y).astype("Float64"), Y.tolist()):
        np.testing.assert_array_equal(FrontRegressor(random_state=0).fit(X, kind).predict(X), predicted)


def test_one_column_has_to_be_complete(measurements):
    """There is nothing to learn from a sample without its only target."""
    X, Y = measurements
    for y in (Y[:, 0], Y[:, :1]):
        with pytest.raises(ValueError, match="Input y contains NaN"):
            FrontRegressor().fit(X, y)
    with pytest.raises(ValueError, match="infinity"):
        FrontRegressor().fit(X, np.where(np.isnan(Y), np.inf, Y))


@pytest.mark.parametrize("loss", ["squared_error", Huber(0.5), Quantile((0.2, 0.8)), "poisson"], ids=repr)
def test_samples_without_a_target_change_nothing(measurements, loss):
    """In a batch of all samples; in any form, as without them."""
    X, Y = measurements
    Y = np.abs(Y) / [1, 100, 1e5]
    Y[:6] = np.nan
    weights = np.random.default_rng(0).uniform(0.5, 2, 80)
    for form in FORMS:
        settings = PLAIN | {"form": form, "loss": loss}
        start = started(6 if isinstance(loss, Quantile) else 3)
        every, some = (FrontRegressor(**settings).fit(X[rows:], Y[rows:], weights[rows:], **start) for rows in (0, 6))
        np.testing.assert_allclose(every.predict(X), some.predict(X), rtol=1e-8)
        np.testing.assert_allclose(every.loss_curve_, some.loss_curve_, rtol=1e-9)


def test_missing_measurements_of_portions_and_streams(measurements, tmp_path):
    """Scales that follow the stream see what is there; a column may be empty in the first portion; files keep all of it."""
    X, Y = measurements
    model = FrontRegressor(random_state=0, dtype="float64")
    late = Y.copy()
    late[:40, 2] = np.nan
    for first in range(0, 80, 20):
        model.partial_fit(X[first : first + 20], late[first : first + 20])
    np.testing.assert_allclose(model._followed["standardize_targets"].moments.mean, np.nanmean(late, axis=0))
    model.save(tmp_path / "m.safetensors")
    np.testing.assert_array_equal(fcfast.load(tmp_path / "m.safetensors").predict(X), model.predict(X))
    early = FrontRegressor(random_state=0).partial_fit(X[:20], late[:20])
    early.save(tmp_path / "early.safetensors")
    np.testing.assert_array_equal(fcfast.load(tmp_path / "early.safetensors").predict(X), early.predict(X))
    settings = {"dtype": "float64", "random_state": 0, "form": "windowed", "batch_size": 10, "shuffle": False, "max_epochs": 3}
    for loss in ("squared_error", Quantile((0.3, 0.6)), Huber(0.5)):
        streamed = FrontRegressor(loss=loss, init="scaled", **settings).fit(
            Stream(lambda: ((X[first : first + 27], Y[first : first + 27]) for first in range(0, 80, 27)))
        )
        whole = FrontRegressor(loss=loss, init="scaled", **settings).fit(X, Y)
        np.testing.assert_allclose(streamed.predict(X), whole.predict(X), rtol=1e-6)


def test_early_stopping_on_gaps(measurements):
    """The score of the held-out samples leaves out what they lack."""
    X, Y = measurements
    model = FrontRegressor(early_stopping=True, validation_fraction=0.3, max_epochs=40, random_state=0).fit(X, Y)
    assert np.isfinite(model.validation_scores_).all()
    assert model.score(X, Y) > 0.3
