"""Samples to validate on: rows of X, whole groups, or samples beside X; the best epoch is the one that a search would find."""

import pickle

import numpy as np
import pandas as pd
import pytest
from classic import FrontClassifier, FrontRegressor, NoPropClassifier, SpanClassifier, SpanNoPropClassifier, SpanRegressor
from scipy import sparse
from sklearn.base import clone
from sklearn.datasets import make_classification
from sklearn.metrics import get_scorer
from sklearn.model_selection import GridSearchCV, GroupShuffleSplit
from sklearn.preprocessing import StandardScaler

import fcfast
from fcfast import Gram
from fcfast.sources import ArraySource
from fcfast.streams import Stream
from fcfast.training import TrainingWarning

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")  # few epochs on purpose
FORMS = ["contributions", "windowed", "weights"]
TRAIN, VAL = np.arange(40)[np.arange(40) % 4 != 1], np.arange(40)[np.arange(40) % 4 == 1]
SETTINGS = {"dtype": "float64", "learning_rate": 0.05, "max_epochs": 6, "tol": 0.0, "batch_size": 7, "random_state": 0}
CURVES = ("loss_curve_", "validation_scores_", "validation_loss_curve_", "best_epoch_", "n_epochs_")


def data(is_numeric=False, seed=0):
    """Samples whose features have units of their own, so that scales matter."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(40, 60)) * 10.0 ** rng.integers(-2, 1, 60)
    signal = X[:, 0] / X[:, 0].std() - X[:, 1] / X[:, 1].std()
    return X, signal if is_numeric else np.where(signal > 0.3, "high", np.where(signal < -0.3, "low", "none"))


def noisy(kind):
    """Few features, with which networks are best after some epochs."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(40, 12))
    signal = X[:, :2].sum(axis=1) + 0.5 * rng.normal(size=40)
    return X, signal if kind is FrontRegressor else np.where(signal > 0, "high", "low")


def make(kind, form="auto", **settings):
    widths = (
        {"n_blocks": 2, "hidden": (5, 4)} if kind in (NoPropClassifier, SpanNoPropClassifier) else {"hidden_layer_sizes": (5,)}
    )
    rate = {"learning_rate": 0.01} if kind in (FrontRegressor, SpanRegressor) else {}
    return kind(**widths | SETTINGS | rate | {"form": form} | settings)


def outputs(model, X):
    return model.predict_proba(X) if hasattr(model, "predict_proba") else model.predict(X)


def assert_same(one, other, X, rtol=0.0):
    for name in CURVES:
        np.testing.assert_allclose(getattr(one, name) or 0, getattr(other, name) or 0, rtol=rtol, atol=rtol, err_msg=name)
    np.testing.assert_allclose(outputs(one, X), outputs(other, X), rtol=rtol, atol=rtol)


# ----------------------------------------------------------------------------------------------------------------------
# which samples


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", [FrontClassifier, FrontRegressor, NoPropClassifier])
def test_rows_of_X_are_samples_beside_the_others(kind, form):
    """Whatever is scaled, weighted or stopped; and whatever says which rows these are."""
    X, y = data(kind is FrontRegressor)
    weights, mask = np.random.default_rng(1).random(40), np.isin(np.arange(40), VAL)
    for number, settings in enumerate(
        [
            {},
            {"early_stopping": True, "n_iter_no_change": 2},
            {"standardize": True, "early_stopping": True},
            {"standardize": "capped"},
        ]
    ):
        settings = settings | ({"class_weight": "balanced"} if number % 2 and kind is not FrontRegressor else {})
        settings = settings | ({"standardize_targets": True} if number > 1 and kind is FrontRegressor else {})
        weighted, weighted_val = (
            ({}, {}) if number < 2 else ({"sample_weight": weights[TRAIN]}, {"sample_weight_val": weights[VAL]})
        )
        beside = make(kind, form, **settings).fit(X[TRAIN], y[TRAIN], X_val=X[VAL], y_val=y[VAL], **weighted, **weighted_val)
        whole = {"sample_weight": weights} if weighted else {}
        for rows in (VAL, mask, VAL.tolist()):
            assert_same(make(kind, form, **settings).fit(X, y, validation_indices=rows, **whole), beside, X)
    assert len(beside.validation_scores_) == beside.n_epochs_ == 6


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    "hold", [np.asfortranarray, ArraySource, pd.DataFrame, sparse.csr_array, sparse.csc_matrix, lambda X: X.astype("float32")]
)
def test_any_kind_of_samples(hold, form):
    """Sources, tables and sparse samples are parted like arrays."""
    X, y = data()
    X = np.where(X > 0.5, X, 0.0)
    held, settings = hold(X), {"early_stopping": True, "n_iter_no_change": 3, "random_state": 3}
    rows = held.iloc if hasattr(held, "iloc") else held
    part = make(FrontClassifier, form, **settings).fit(held, y, validation_indices=VAL)
    beside = make(FrontClassifier, form, **settings).fit(rows[TRAIN], y[TRAIN], X_val=rows[VAL], y_val=y[VAL])
    assert_same(part, beside, held, 1e-12)
    of_array = make(FrontClassifier, form, **settings).fit(X, y, validation_indices=VAL)
    np.testing.assert_allclose(part.validation_loss_curve_, of_array.validation_loss_curve_, rtol=1e-5)


@pytest.mark.parametrize("kind", [FrontClassifier, FrontRegressor, NoPropClassifier])
def test_what_is_held_out_is_not_seen(kind):
    """Neither a share nor groups change the scales: these are those of the samples to train on."""
    X, y = data(kind is FrontRegressor)
    for given in ({}, {"groups": np.arange(40) // 3}):
        seen = []
        settings = {"early_stopping": True, "validation_fraction": 0.25}
        scoring = {"scoring": lambda estimator, X, y, seen=seen: seen.append(X) or estimator.score(X, y)}
        own = make(kind, "contributions", standardize=True, **settings, **scoring).fit(X, y, **given)
        rows = np.flatnonzero((X[:, None] == seen[0]).all(axis=2).any(axis=1))
        scaled = StandardScaler().fit(np.delete(X, rows, axis=0)).transform(X)
        other = make(kind, "contributions", **settings).fit(scaled, y, **given)
        np.testing.assert_allclose(own.loss_curve_, other.loss_curve_, rtol=1e-9)
        np.testing.assert_allclose(own.validation_scores_, other.validation_scores_, rtol=1e-9)


def test_groups_are_never_split():
    """They are those that scikit-learn's splitter draws with the same random numbers."""
    X, y = data()
    X[:, 0] = np.arange(40)
    for seed in range(20):
        groups, share = np.random.default_rng(seed).permutation(np.arange(40) % 7), 0.1 + 0.03 * seed
        if seed % 2:
            groups = groups.astype(str)
        seen = []
        model = make(
            FrontClassifier, early_stopping=True, validation_fraction=share, random_state=seed, max_epochs=1,
            scoring=lambda estimator, X, y, seen=seen: seen.extend(X[:, 0].astype(int)) or 0.0,
        ).fit(X, np.arange(40) % 2, groups=groups)  # fmt: skip
        splitter = GroupShuffleSplit(1, test_size=share, random_state=seed)
        assert sorted(seen) == sorted(next(splitter.split(X, y, groups))[1])
        assert not set(groups[seen]) & set(np.delete(groups, seen))
        assert len(model.contributions_ if model.form_ == "contributions" else seen) == (
            40 - len(seen) if model.form_ == "contributions" else len(seen)
        )


@pytest.mark.parametrize("kind", [SpanClassifier, SpanRegressor, SpanNoPropClassifier])
def test_gram_matrices_and_kernels(kind):
    """Rows of the matrix, rows beside it, and features are the same samples."""
    X, y = data(kind is SpanRegressor)
    X /= 10
    settings = {"early_stopping": True, "n_iter_no_change": 3}
    for gram in (Gram(X, dtype="float64"), Gram(X, dtype="float64").centred(), Gram(X, kernel="rbf", dtype="float64")):
        part = make(kind, **settings).fit(gram, y, validation_indices=VAL)
        assert np.isclose(max(part.validation_scores_), part.score(gram[VAL], y[VAL]), rtol=1e-9)
        for samples in (gram[VAL], X[VAL]):
            assert_same(part, make(kind, **settings).fit(gram[TRAIN], y[TRAIN], X_val=samples, y_val=y[VAL]), gram, 1e-10)
    if kind is SpanNoPropClassifier:
        return
    K = X @ X.T
    part = make(kind, kernel="precomputed", **settings).fit(K, y, validation_indices=VAL)
    beside = make(kind, kernel="precomputed", **settings).fit(
        K[np.ix_(TRAIN, TRAIN)], y[TRAIN], X_val=K[np.ix_(VAL, TRAIN)], y_val=y[VAL]
    )
    for name in CURVES:
        np.testing.assert_allclose(getattr(part, name), getattr(beside, name), rtol=1e-10)
    for kernel in ("rbf", lambda X, Y: X @ Y.T):
        part = make(kind, kernel=kernel, **settings).fit(X, y, validation_indices=VAL)
        beside = make(kind, kernel=kernel, **settings).fit(X[TRAIN], y[TRAIN], X_val=X[VAL], y_val=y[VAL])
        assert_same(part, beside, X, 1e-12)


def test_strings_beside_strings():
    """A Gram matrix of strings is validated on strings."""
    words = [a + b for a in ("gene", "exon", "helix", "codon") for b in ("s", "al", "ic", "ome")]
    y = np.arange(16) % 2

    def common(X, Y):
        return [[len(set(x) & set(y)) / 10 for y in Y] for x in X]

    gram = Gram(words, kernel=common, dtype="float64")
    rows = make(SpanClassifier).fit(gram, y, validation_indices=[0, 3, 5])
    others = np.delete(np.arange(16), [0, 3, 5])
    beside = make(SpanClassifier).fit(gram[others], y[others], X_val=[words[0], words[3], words[5]], y_val=y[[0, 3, 5]])
    np.testing.assert_allclose(rows.validation_loss_curve_, beside.validation_loss_curve_, rtol=1e-12)


# ----------------------------------------------------------------------------------------------------------------------
# which epoch


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", [FrontClassifier, FrontRegressor, NoPropClassifier])
def test_the_best_epoch_is_the_one_that_a_search_finds(kind, form):
    """A callback that looks at every epoch of the whole training sees the same scores, and the network that is kept."""
    X, y = noisy(kind)
    settings = {"max_epochs": 15, "batch_size": 8, "schedule": "cosine", "learning_rate": 0.1}
    settings["scoring"] = "neg_mean_absolute_error" if kind is FrontRegressor else "neg_log_loss"
    whole, scorer = make(kind, form, **settings), get_scorer(settings["scoring"])
    scores, networks = [], []

    def look(epoch):
        scores.append(scorer(whole, X[VAL], y[VAL]))
        networks.append(whole.network_.snapshot())

    whole.fit(X[TRAIN], y[TRAIN], callbacks=[look])
    best = int(np.argmax(scores))
    stopped = make(kind, form, early_stopping=True, n_iter_no_change=20, **settings)
    stopped.fit(X[TRAIN], y[TRAIN], X_val=X[VAL], y_val=y[VAL])
    np.testing.assert_allclose(stopped.validation_scores_, scores, rtol=1e-9)
    assert stopped.best_epoch_ == best + 1
    assert 0 < best < 14, "a case that tells something"
    for held, kept in zip(stopped.network_.snapshot(), networks[best], strict=True):
        np.testing.assert_array_equal(held, kept)
    ended = make(kind, form, **settings).fit(X[TRAIN], y[TRAIN], callbacks=[lambda epoch: epoch.epoch == best + 1])
    np.testing.assert_array_equal(outputs(stopped, X), outputs(ended, X))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", [FrontClassifier, FrontRegressor, NoPropClassifier])
def test_without_early_stopping_the_curve_is_all(kind, form):
    """Training is, to the last bit, that without validation samples; callbacks see both curves."""
    X, y = data(kind is FrontRegressor)
    seen = []
    watched = make(kind, form).fit(X[TRAIN], y[TRAIN], X_val=X[VAL], y_val=y[VAL], callbacks=[seen.append])
    plain = make(kind, form).fit(X[TRAIN], y[TRAIN])
    np.testing.assert_array_equal(outputs(watched, X), outputs(plain, X))
    assert watched.loss_curve_ == plain.loss_curve_
    assert watched.outcome_ is plain.outcome_
    ends = {"n_iter_no_change": 2, "tol": 0.1, "max_epochs": 30, "scoring": lambda estimator, X, y: float(len(seen))}
    alone = make(kind, form, **ends).fit(X[TRAIN], y[TRAIN])
    assert make(kind, form, **ends).fit(X[TRAIN], y[TRAIN], X_val=X, y_val=y).n_epochs_ == alone.n_epochs_
    assert kind is NoPropClassifier or alone.n_epochs_ < 30  # the training loss ends it
    assert (plain.validation_scores_, plain.validation_loss_curve_, plain.best_epoch_) == (None, None, None)
    assert watched.validation_scores_ == [epoch.validation_score for epoch in seen]
    np.testing.assert_allclose(watched.validation_scores_[-1], watched.score(X[VAL], y[VAL]), rtol=1e-9)
    if kind is NoPropClassifier:
        assert watched.validation_loss_curve_ is None
    else:
        assert watched.validation_loss_curve_ == [epoch.validation_loss for epoch in seen]


def test_ctrl_c_in_a_scorer():
    """What was scored is kept: the best network with early stopping, and otherwise the last one that was scored."""
    X, y = data()

    def scorer(estimator, X, y):
        if not scores:
            raise KeyboardInterrupt
        return scores.pop(0)

    for early_stopping, epoch in ((True, 2), (False, 3)):
        scores = [0.1, 0.5, 0.2]
        model = make(FrontClassifier, early_stopping=early_stopping, scoring=scorer)
        with pytest.warns(TrainingWarning, match=r"interrupted after 3 epoch\(s\)"):
            model.fit(X, y, validation_indices=VAL)
        assert (model.validation_scores_, model.best_epoch_) == ([0.1, 0.5, 0.2], 2)
        ended = make(FrontClassifier).fit(X[TRAIN], y[TRAIN], callbacks=[lambda state, epoch=epoch: state.epoch == epoch])
        np.testing.assert_array_equal(model.predict_proba(X), ended.predict_proba(X))


def test_no_epoch_reads_features():
    """The products are made once, however many samples there are; other forms read a source once."""
    X, _ = data()
    reads = []

    class Counted(ArraySource):
        def read(self, features, rows=None):
            reads.append(features)
            return super().read(features, rows)

    for kind, form in [(kind, form) for kind in (FrontClassifier, NoPropClassifier) for form in FORMS]:
        n_reads = []
        for max_epochs in (2, 5):
            reads.clear()
            make(kind, form, max_epochs=max_epochs, scoring="neg_log_loss", early_stopping=True).fit(
                Counted(X[:8]), np.arange(8) % 2, X_val=Counted(X[8:]), y_val=np.arange(32) % 2
            )
            n_reads.append(len(reads))
        assert n_reads[0] == n_reads[1]
    kept = make(FrontClassifier, "contributions", early_stopping=True)
    read = clone(kept).set_params(memory_limit=8_000)  # not enough for the products of 128 samples with 8
    for model in (kept, read):
        model.fit(X[:8], np.arange(8) % 2, X_val=np.tile(X[8:], (4, 1)), y_val=np.arange(128) % 2)
    np.testing.assert_allclose(kept.validation_loss_curve_, read.validation_loss_curve_, rtol=1e-11)


def test_no_copy_of_dense_samples():
    """Contributions refer to the caller's own array, whatever rows are held out."""
    X, y = data()
    for rows in (VAL, np.arange(30, 40)):
        model = make(FrontClassifier, "contributions").fit(X, y, validation_indices=rows)
        held = model.network_.front.X
        assert np.shares_memory(held if isinstance(held, np.ndarray) else held.base.array, X)
        assert model.contributions_.shape == (40 - len(rows), 5)
    copied = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(copied.predict_proba(X), model.predict_proba(X))


# ----------------------------------------------------------------------------------------------------------------------
# with everything else


@pytest.mark.parametrize("hold", [np.asarray, sparse.csr_array])
def test_streams_take_samples_in_memory(hold):
    """Their score ends the training, and the best network is kept."""
    X, y = noisy(FrontClassifier)
    X = np.where(X > 0.5, X, 0.0)
    held = hold(X[TRAIN])
    stream = Stream(lambda: ((held[i : i + 9], y[TRAIN][i : i + 9]) for i in range(0, 30, 9)))
    settings = {"form": "windowed", "shuffle": False, "max_epochs": 12, "learning_rate": 0.1, "n_iter_no_change": 12}
    streamed = make(FrontClassifier, **settings, early_stopping=True).fit(stream, X_val=hold(X[VAL]), y_val=y[VAL])
    memory = make(FrontClassifier, **settings, early_stopping=True).fit(held, y[TRAIN], X_val=hold(X[VAL]), y_val=y[VAL])
    np.testing.assert_allclose(streamed.validation_loss_curve_, memory.validation_loss_curve_, rtol=1e-9)
    assert streamed.best_epoch_ == memory.best_epoch_ < 12
    np.testing.assert_allclose(streamed.predict_proba(X), memory.predict_proba(X), rtol=1e-8)
    watched = make(FrontClassifier, **settings).fit(stream, X_val=hold(X[VAL]), y_val=y[VAL])
    np.testing.assert_allclose(watched.validation_scores_, streamed.validation_scores_, rtol=1e-9)
    np.testing.assert_allclose(watched.score(X[VAL], y[VAL]), watched.validation_scores_[-1])
    with pytest.raises(ValueError, match=r"early_stopping holds samples out.*X_val"):
        make(FrontClassifier, **settings, early_stopping=True).fit(stream)
    with pytest.raises(ValueError, match="validation_indices is about rows of X"):
        make(FrontClassifier, **settings).fit(stream, validation_indices=[1])
    with pytest.raises(TypeError, match="X_val is a stream"):
        make(FrontClassifier, **settings).fit(stream, X_val=stream, y_val=y)


def test_going_on():
    """A warm start has curves of its own; `partial_fit` has no validation."""
    X, y = data()
    model = make(FrontClassifier, "windowed", warm_start=True, momentum=0.0, shuffle=False)
    both = make(FrontClassifier, "windowed", momentum=0.0, shuffle=False, max_epochs=12)
    both.fit(X, y, validation_indices=VAL)
    model.fit(X, y, validation_indices=VAL)
    first = model.validation_loss_curve_
    model.fit(X, y, validation_indices=VAL)
    np.testing.assert_allclose(first + model.validation_loss_curve_, both.validation_loss_curve_, rtol=1e-9)
    assert len(model.partial_fit(X, y).validation_scores_) == 6  # those of fit
    with pytest.raises(ValueError, match="early_stopping"):
        model.set_params(early_stopping=True).partial_fit(X, y)


def test_files_keep_the_curves(tmp_path):
    X, y = data()
    model = make(FrontClassifier, scoring="neg_log_loss", early_stopping=True).fit(X, y, validation_indices=VAL)
    model.save(tmp_path / "m.safetensors")
    loaded = fcfast.load(tmp_path / "m.safetensors")
    for name in CURVES:
        assert getattr(loaded, name) == getattr(model, name)
    assert loaded.scoring == "neg_log_loss"
    model.set_params(scoring=lambda estimator, X, y: 0.0)
    with pytest.raises(TypeError, match=r"scoring=.*cannot be stored"):
        model.save(tmp_path / "n.safetensors")


def test_cards_tell_the_score_of_the_network_that_is_kept():
    """The best one with early stopping, and otherwise the last one; and on how many samples."""
    X, y = noisy(FrontClassifier)
    settings = {"scoring": "neg_log_loss", "learning_rate": 0.1, "max_epochs": 12}
    best = make(FrontClassifier, early_stopping=True, **settings).fit(X, y, validation_indices=VAL)
    last = make(FrontClassifier, **settings).fit(X[TRAIN], y[TRAIN], X_val=X[VAL], y_val=y[VAL])
    assert best.card_["scores"]["validation"]["neg_log_loss"] == max(best.validation_scores_)
    assert last.card_["scores"]["validation"]["neg_log_loss"] == last.validation_scores_[-1] < max(last.validation_scores_)
    assert (best.card_["data"]["samples"], best.card_["data"]["held out"]) == (40, 10)
    assert (last.card_["data"]["samples"], last.card_["data"]["validation samples"]) == (30, 10)
    assert best.card_["parameters"]["scoring"] == "neg_log_loss"


def test_dask_arrays_are_validated_where_they_lie():
    """Their products come back once; targets and weights of dask are computed."""
    array = pytest.importorskip("dask.array", reason="dask arrays need fcfast[dask]")
    X, y = data()
    held, settings = array.from_array(X, chunks=(17, 25)), {"early_stopping": True, "scoring": "neg_log_loss"}
    y = np.where(y == "none", "low", y)
    for kind in (FrontClassifier, NoPropClassifier):
        expected = make(kind, "contributions", **settings).fit(X[TRAIN], y[TRAIN], X_val=X[VAL], y_val=y[VAL])
        part = make(kind, "contributions", **settings).fit(held, y, validation_indices=VAL)
        targets = array.from_array(y[VAL])
        beside = make(kind, "contributions", **settings).fit(held[TRAIN], y[TRAIN], X_val=held[VAL], y_val=targets)
        for model in (part, beside):
            np.testing.assert_allclose(model.validation_scores_, expected.validation_scores_, rtol=1e-9)


def test_a_search_splits_a_mask():
    """As it splits y."""
    X, y = data()
    mask = np.isin(np.arange(40), VAL)
    search = GridSearchCV(make(FrontClassifier, max_epochs=2), {"learning_rate": [0.01, 0.1]}, cv=2, error_score="raise")
    search.fit(X, y, validation_indices=mask)
    expected = make(FrontClassifier, max_epochs=2, **search.best_params_).fit(X, y, validation_indices=mask)
    assert search.best_estimator_.validation_scores_ == expected.validation_scores_


def test_temperature_by_scikit_learn():
    """Calibration on validation samples improves the probabilities of a network that is too sure."""
    from sklearn import __version__
    from sklearn.calibration import CalibratedClassifierCV
    from sklearn.frozen import FrozenEstimator
    from sklearn.metrics import log_loss

    if tuple(map(int, __version__.split(".")[:2])) < (1, 8):
        pytest.skip("scikit-learn scales temperatures from version 1.8 on")
    X, y = make_classification(300, 100, n_informative=8, flip_y=0.2, random_state=0)
    model = fcfast.FrontClassifier(random_state=0).fit(X[:100], y[:100])
    calibrated = CalibratedClassifierCV(FrozenEstimator(model), method="temperature").fit(X[100:200], y[100:200])
    raw, scaled = model.predict_proba(X[200:]), calibrated.predict_proba(X[200:])
    assert log_loss(y[200:], scaled) < log_loss(y[200:], raw)
    np.testing.assert_array_equal(calibrated.predict(X[200:]), model.predict(X[200:]))  # a temperature changes no order


# ----------------------------------------------------------------------------------------------------------------------
# errors

BAD = [
    ({"X_val": 0, "y_val": 0, "validation_indices": VAL}, {}, ValueError, "X_val and validation_indices both"),
    ({"X_val": 0}, {}, ValueError, "X_val was given without y_val"),
    ({"y_val": 0}, {}, ValueError, "y_val was given without X_val"),
    ({"sample_weight_val": np.ones(10)}, {}, ValueError, "sample_weight_val was given without X_val"),
    ({"groups": np.arange(40)}, {}, ValueError, "groups says .* early_stopping=False holds none out"),
    ({"groups": np.arange(40), "X_val": 0, "y_val": 0}, {"early_stopping": True}, ValueError, "groups .* but X_val"),
    (
        {"groups": np.arange(40), "validation_indices": VAL},
        {"early_stopping": True},
        ValueError,
        "groups .* validation_indices",
    ),
    ({"groups": np.arange(39)}, {"early_stopping": True}, ValueError, r"groups has shape \(39,\), but X has 40 rows"),
    ({"groups": np.where(np.arange(40) > 3, 1.0, np.nan)}, {"early_stopping": True}, ValueError, "groups has missing values"),
    (
        {"groups": np.zeros(40)},
        {"early_stopping": True},
        ValueError,
        r"groups has 1 group\(s\), of which early_stopping cannot",
    ),
    ({"validation_indices": [3, 40]}, {}, ValueError, "validation_indices has row 40, but the rows of X are 0 to 39"),
    ({"validation_indices": [-1]}, {}, ValueError, "validation_indices has row -1"),
    ({"validation_indices": [3, 4, 3]}, {}, ValueError, "validation_indices has row 3 more than once"),
    ({"validation_indices": []}, {}, ValueError, "validation_indices has no rows"),
    ({"validation_indices": np.zeros(40, bool)}, {}, ValueError, "validation_indices has no rows"),
    ({"validation_indices": np.ones(40, bool)}, {}, ValueError, "validation_indices has all 40 rows"),
    ({"validation_indices": range(40)}, {}, ValueError, "validation_indices has all 40 rows"),
    ({"validation_indices": np.ones(39, bool)}, {}, ValueError, "validation_indices is a mask of 39 rows, but X has 40"),
    ({"validation_indices": [[1]]}, {}, ValueError, r"validation_indices must have 1 dimension, got shape \(1, 1\)"),
    ({"validation_indices": [0.5]}, {}, TypeError, "validation_indices must hold row numbers"),
    ({"validation_indices": "none"}, {}, ValueError, "validation_indices must have 1 dimension"),
    ({"X_val": 1, "y_val": 0}, {}, ValueError, "X_val: it has 61 features, but X has 60"),
    ({"X_val": 2, "y_val": 0}, {}, ValueError, "X_val: .*NaN"),
    ({"X_val": 0, "y_val": 1}, {}, ValueError, "y_val: it has 9 targets, but X_val has 10 samples"),
    ({"X_val": 0, "y_val": 0, "sample_weight_val": np.ones(9)}, {}, ValueError, "sample_weight_val has 9 weights"),
    ({"X_val": 0, "y_val": 0, "sample_weight_val": np.zeros(10)}, {}, ValueError, "sample_weight_val gives weights"),
    ({"X_val": 0, "y_val": 0, "sample_weight_val": -np.ones(10)}, {}, ValueError, "sample_weight_val gives weights"),
]
X_VAL = {0: data()[0][VAL], 1: np.ones((10, 61)), 2: np.where(data()[0][VAL] > 1, np.nan, 0.0)}


@pytest.mark.parametrize("kind", [FrontClassifier, FrontRegressor, NoPropClassifier])
@pytest.mark.parametrize(
    ("given", "settings", "error", "message"), BAD, ids=lambda value: value if isinstance(value, str) else ""
)
def test_bad_input_is_refused(kind, given, settings, error, message):
    X, y = data(kind is FrontRegressor)
    known = {"X_val": X_VAL, "y_val": {0: y[VAL], 1: y[VAL][:9]}}
    given = {name: known[name][value] if name in known else value for name, value in given.items()}
    with pytest.raises(error, match=message):
        make(kind, **settings).fit(X, y, **given)


def test_targets_that_do_not_fit():
    """Labels must be known, targets must have the same number of outputs, and classes must be trained."""
    X, y = data()
    for kind in (FrontClassifier, NoPropClassifier):
        with pytest.raises(ValueError, match=r"y_val: y has labels \['other'\] that are not among"):
            make(kind).fit(X, y, X_val=X[:2], y_val=["low", "other"])
        with pytest.raises(ValueError, match=r"validation_indices hold out all samples of the classes \['none'\]"):
            make(kind).fit(X, y, validation_indices=y == "none")
        with pytest.raises(ValueError, match=r"groups hold out all samples of the classes"):
            make(kind, early_stopping=True).fit(X, y, groups=y)
    numbers = data(True)[1]
    with pytest.raises(ValueError, match=r"y_val: it has 2 dimension\(s\), but y has 1"):
        make(FrontRegressor).fit(X, numbers, X_val=X[:2], y_val=[[1.0], [2.0]])
    with pytest.raises(ValueError, match=r"y_val: it has \(3,\) outputs, but y has \(2,\)"):
        make(FrontRegressor).fit(X, np.stack([numbers, numbers], axis=1), X_val=X[:2], y_val=np.ones((2, 3)))
    both = make(FrontRegressor).fit(X, np.stack([numbers, -numbers], axis=1), validation_indices=VAL)
    assert both.predict(X).shape == (40, 2)
    with pytest.raises(ValueError, match="X_val: X is a Gram matrix of other samples"):
        make(SpanClassifier).fit(Gram(X, dtype="float64"), y, X_val=Gram(X, dtype="float64")[:4], y_val=y[:4])
    with pytest.raises(ValueError, match=r"X_val: .*overflow"), np.errstate(all="ignore"):
        make(FrontClassifier, "contributions", dtype="float32").fit(X * 1e10, y, X_val=X[:4] * 1e35, y_val=y[:4])
