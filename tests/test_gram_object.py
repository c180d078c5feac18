"""`fcfast.Gram` in place of X: equal bits, views, scikit-learn's tools, and what is refused."""

import copy
import pickle

import numpy as np
import pandas as pd
import pytest
from classic import SpanClassifier as FrontClassifier
from classic import SpanNoPropClassifier as NoPropClassifier
from classic import SpanRegressor as FrontRegressor
from scipy import sparse
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import BaggingClassifier
from sklearn.model_selection import (
    GridSearchCV,
    KFold,
    StratifiedKFold,
    cross_val_predict,
    cross_val_score,
    learning_curve,
    permutation_test_score,
    train_test_split,
)

from fcfast import Gram
from fcfast.rules import RULES, make_rule

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")  # few epochs on purpose

PLAIN = {"dtype": "float64", "max_epochs": 5, "batch_size": 7, "random_state": 0, "learning_rate": 0.02}
NOPROP = PLAIN | {"n_blocks": 2, "hidden": (6, 5)}
X = np.random.default_rng(0).normal(size=(40, 90))
X[:, :20] += (np.arange(40) % 2)[:, None]
Y = np.array(["a", "b"])[np.arange(40) % 2]
Z = X[:, 0] - X[:, 1]
TRAIN, TEST = np.random.default_rng(1).permutation(40)[:27], np.arange(40) % 3 == 0
MODELS = {
    "classifier": (FrontClassifier((8,), **PLAIN), Y),
    "deep classifier": (FrontClassifier((8, 6), groups=2, weight_decay=0.1, nesterov=True, **PLAIN), Y),
    "regressor": (FrontRegressor((8,), activation="tanh", schedule="cosine", **PLAIN), Z),
    "targets": (FrontRegressor((8,), **PLAIN), np.column_stack([Z, -Z, X[:, 2]])),
    "neuron-adam": (FrontClassifier((8,), optimizer="neuron-adam", **PLAIN), Y),
    "muon": (FrontClassifier((8,), optimizer="muon", **PLAIN), Y),
    "noprop": (NoPropClassifier(**NOPROP), Y),
    "noprop flow": (NoPropClassifier("fm", embedding="learned", batch_norm=True, weight_decay=0.1, **NOPROP), Y),
}
ANY_MODEL = pytest.mark.parametrize("name", MODELS)


@pytest.fixture(scope="module")
def gram():
    """The Gram matrix of all samples."""
    return Gram(X, dtype="float64")


def fitted(name, samples, rows=slice(None), **settings):
    model, y = MODELS[name]
    return clone(model).set_params(**settings).fit(samples, y[rows])


def outputs(model, samples):
    return model.predict_proba(samples) if hasattr(model, "predict_proba") else model.predict(samples)


def assert_same_bits(one, other):
    """Two networks have the same parameters to the last bit, and the same history."""
    assert one.loss_curve_ == other.loss_curve_
    for a, b in zip(one.network_.snapshot(), other.network_.snapshot(), strict=True):
        np.testing.assert_array_equal(a, b)


# ----------------------------------------------------------------------------------------------------------------------
# a fit from the object is the fit from X


@pytest.mark.bits
@ANY_MODEL
@pytest.mark.parametrize("init", ["span", "glorot"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_same_bits_as_from_the_features(name, init, dtype):
    """Products, start, steps and predictions."""
    from_gram = fitted(name, Gram(X, dtype=dtype), init=init, dtype=dtype)
    from_X = fitted(name, X, init=init, dtype=dtype, form="contributions")
    assert from_gram.form_ == "contributions"
    assert from_gram.n_features_in_ == 90
    assert_same_bits(from_gram, from_X)
    np.testing.assert_array_equal(outputs(from_gram, X[:9]), outputs(from_X, X[:9]))
    if not name.startswith("noprop"):
        for a, b in zip(from_gram.coefs_, from_X.coefs_, strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.bits
@pytest.mark.parametrize("convert", [sparse.csr_array, sparse.csc_array, np.asfortranarray, lambda X: X.astype(np.float32)])
def test_any_kind_of_features(convert):
    """Sparse ones, columns in memory and single precision."""
    given = convert(np.where(abs(X) > 1, X, 0))
    from_X = fitted("classifier", given, init="span")
    from_gram = fitted("classifier", Gram(given, dtype="float64"))
    assert_same_bits(from_gram, from_X)
    np.testing.assert_array_equal(outputs(from_gram, given[:9]), outputs(from_X, given[:9]))


def test_frames():
    """Names of features are those of the frame, and predictions look at them."""
    frame = pd.DataFrame(X, columns=[f"gene{j}" for j in range(90)])
    gram = Gram(frame, dtype="float64")
    assert gram.feature_names == list(frame.columns)
    model = fitted("classifier", gram)
    np.testing.assert_array_equal(outputs(model, frame), outputs(fitted("classifier", frame, init="span"), frame))
    assert list(model.feature_names_in_) == list(frame.columns)
    with pytest.raises(ValueError, match="feature names"):
        model.predict(frame[frame.columns[::-1]])
    assert not hasattr(model.fit(Gram(X, dtype="float64"), Y), "feature_names_in_")


@pytest.mark.bits
def test_weights_that_are_given(gram):
    """`coefs_init` beside a Gram matrix."""
    start = fitted("deep classifier", X, init="glorot", groups=1)
    given = {"coefs_init": start.coefs_, "intercepts_init": start.intercepts_}
    model = clone(start).set_params(init="auto", form="contributions")
    assert_same_bits(clone(model).fit(gram, Y, **given), clone(model).fit(X, Y, **given))
    by_view, by_rows = (clone(model).fit(samples[TRAIN], Y[TRAIN], **given) for samples in (gram, X))
    np.testing.assert_allclose(by_view.contributions_, by_rows.contributions_, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(by_view.coefs_[0], by_rows.coefs_[0], rtol=1e-9, atol=1e-12)


def test_auto_is_the_span(gram):
    """And on features, if the samples are fewer; on more samples, weights are drawn for the features."""
    assert_same_bits(fitted("classifier", gram), fitted("classifier", gram, init="span"))
    assert fitted("classifier", gram).network_.front.in_span
    for features, in_span in ((X, True), (X[:, :30], False)):
        assert fitted("classifier", features, form="contributions").network_.front.in_span == in_span


@pytest.mark.bits
def test_further_settings(gram):
    """Early stopping, sample and class weights, intercepts, callbacks and warm starts get the same rows."""
    weights = np.linspace(0.1, 2, 40)
    for settings in (
        {"early_stopping": True, "validation_fraction": 0.25},
        {"class_weight": {"a": 3.0, "b": 0.5}},
        {"shuffle": False, "tol": 0.5, "n_iter_no_change": 2},
        {"max_grad_norm": 0.1, "dampening": 0.1},
    ):
        model = FrontClassifier((8,), **PLAIN | settings, init="span")
        one, other = (clone(model).fit(samples, Y, sample_weight=weights) for samples in (gram, X))
        assert one.loss_curve_ == pytest.approx(other.loss_curve_, rel=1e-12)
        assert one.validation_scores_ == other.validation_scores_
        assert one.n_epochs_ == other.n_epochs_
        np.testing.assert_allclose(outputs(one, X), outputs(other, X), rtol=1e-10)


@pytest.mark.bits
@pytest.mark.parametrize("rule", [name for name in RULES if make_rule(name).stays_in_span])
def test_every_rule_that_stays_in_the_span(gram, rule):
    """The same random numbers, too."""
    settings = {"rule": rule, "momentum": 0.5, "learning_rate": 1e-3, "max_epochs": 2, "hidden_layer_sizes": (8, 6)}
    assert_same_bits(fitted("classifier", gram, **settings), fitted("classifier", X, init="span", **settings))


# ----------------------------------------------------------------------------------------------------------------------
# views


def test_shapes(gram):
    """What is said of the whole and of views of views."""
    view = gram[TRAIN]
    assert gram.shape == (40, 40)
    assert view.shape == (27, 40)
    assert len(view[3:9]) == 6
    assert gram.ndim == 2
    assert gram.dtype == np.float64
    assert gram.matrix is gram.matrix
    np.testing.assert_array_equal(view[::2].matrix, gram.matrix[np.ix_(TRAIN[::2], TRAIN[::2])])
    np.testing.assert_array_equal(gram[TEST].matrix, gram.matrix[TEST][:, TEST])
    np.testing.assert_array_equal(gram[TEST, :].X, X[TEST])
    np.testing.assert_array_equal(gram[list(TRAIN), ...].X, X[TRAIN])
    np.testing.assert_array_equal(gram[-3:].X, X[-3:])
    assert repr(gram[:5]) == "Gram(5 of 40 samples, linear kernel, float64)"
    np.testing.assert_allclose(gram[TEST].cross(X[:4]), X[:4] @ X[TEST].T, atol=1e-12)
    assert view.mean_square == pytest.approx(np.mean((X[TRAIN] ** 2).sum(axis=1)))


@pytest.mark.bits
@pytest.mark.parametrize("name", [name for name in MODELS if name != "neuron-adam"])  # its steps grow with the features
def test_a_view_is_the_matrix_of_its_samples(gram, name):
    """A fit on rows of a Gram is the fit on a matrix of the same products, and predictions are equal to the last bit."""
    fan = 90 if name.startswith("noprop") else 98  # products count as if the mean square were this
    scaled = Gram(X * (fan / gram[TRAIN].mean_square) ** 0.5, dtype="float64")
    view, matrix, y = scaled[TRAIN], scaled.matrix, MODELS[name][1][TRAIN]
    model = fitted(name, view, TRAIN, **{"optimizer": "sgd"} if name.startswith("noprop") else {})
    precomputed = Gram(matrix[np.ix_(TRAIN, TRAIN)], kernel="precomputed", dtype="float64")
    assert precomputed.mean_square == pytest.approx(fan)
    if name.startswith("noprop"):
        by_products = clone(model).fit(precomputed, y)
    else:
        biases = [np.full(len(bias), 0.1) for bias in model.intercepts_]
        model, by_products = (clone(model).fit(samples, y, intercepts_init=biases) for samples in (view, precomputed))
    starts = [fit.network_.fronts if name.startswith("noprop") else fit.network_.front for fit in (model, by_products)]
    start, other = (part.contributed.start for part in starts)
    np.testing.assert_allclose(start, other, rtol=1e-14)
    np.testing.assert_allclose(model.loss_curve_, by_products.loss_curve_, rtol=1e-10)
    new = matrix[np.ix_(TEST, TRAIN)]
    np.testing.assert_allclose(outputs(model, scaled[TEST]), outputs(by_products, new), rtol=1e-9)
    for part in starts:
        part.contributed.start = start  # the rounding of the factors above
    for held, copied in zip(model.network_.snapshot(), by_products.network_.held, strict=True):
        copied[:] = held
    np.testing.assert_array_equal(outputs(model, scaled[TEST]), outputs(by_products, new))


@ANY_MODEL
@pytest.mark.parametrize("init", ["span", "glorot"])
def test_predictions_within_one_matrix(gram, name, init):
    """Rows of the Gram are their features; training rows are those that were trained on."""
    model = fitted(name, gram[TRAIN], TRAIN, init=init)
    np.testing.assert_allclose(outputs(model, gram[TEST]), outputs(model, X[TEST]), rtol=1e-9)
    np.testing.assert_allclose(outputs(model, gram), outputs(model, X), rtol=1e-9)
    from_X = fitted(name, X[TRAIN], TRAIN, init=init, form="contributions")
    np.testing.assert_allclose(model.loss_curve_, from_X.loss_curve_, rtol=1e-9)
    np.testing.assert_allclose(outputs(model, gram[TEST]), outputs(from_X, X[TEST]), rtol=1e-8)
    assert np.ptp(outputs(model, gram[TEST])) > 0.01


def test_explanations_of_views(gram):
    """Terms are those of the features."""
    model = fitted("classifier", gram[TRAIN], TRAIN, weight_decay=0.1)
    by_view, by_X = model.explain(gram[TEST]), model.explain(X[TEST])
    np.testing.assert_allclose(by_view.terms, by_X.terms, atol=1e-12)
    np.testing.assert_allclose(by_view.terms, (X[TEST] @ X[TRAIN].T)[:, :, None] * model.contributions_, atol=1e-12)
    np.testing.assert_allclose(model.contributions_.T @ X[TRAIN], model.coefs_[0].T, atol=1e-12)


@pytest.mark.parametrize("init", ["span", "glorot"])
@pytest.mark.parametrize("further", ["features", "rows"])
def test_streams_of_views(gram, init, further):
    """Rows of the same Gram, or features, may follow; the sizes and losses are those of streams of features."""
    model, other = (FrontClassifier((8,), **PLAIN, weight_decay=0.1, init=init, form="contributions") for _ in range(2))
    model.partial_fit(gram[:20], Y[:20], classes=["a", "b"])
    other.partial_fit(X[:20], Y[:20], classes=["a", "b"])
    for rows in (slice(20, 33), slice(33, 34), slice(34, 40)):
        model.partial_fit(gram[rows] if further == "rows" else X[rows], Y[rows])
        other.partial_fit(X[rows], Y[rows])
        assert model.contributions_.shape == (rows.stop, 8)
    np.testing.assert_allclose(model.loss_curve_, other.loss_curve_, rtol=1e-9)
    np.testing.assert_allclose(model.contributions_, other.contributions_, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(outputs(model, X), outputs(other, X), rtol=1e-9)
    if further == "rows":
        np.testing.assert_allclose(outputs(model, gram[TEST]), outputs(other, X[TEST]), rtol=1e-9)


# ----------------------------------------------------------------------------------------------------------------------
# scikit-learn's tools


@pytest.mark.bits
@ANY_MODEL
def test_cross_validation(gram, name):
    """Scores of folds are those of separate fits on views; workers in other processes give the same bits."""
    model, y = MODELS[name]
    folds = KFold(3, shuffle=True, random_state=0)
    scores = cross_val_score(model, gram, y, cv=folds)
    apart = [clone(model).fit(gram[rows], y[rows]).score(gram[held], y[held]) for rows, held in folds.split(X)]
    np.testing.assert_array_equal(scores, apart)
    if name in ("regressor", "noprop"):
        np.testing.assert_array_equal(cross_val_score(model, gram, y, cv=folds, n_jobs=2), scores)


def test_cross_validated_predictions(gram):
    """Each sample by the network that has not seen it."""
    model = MODELS["classifier"][0]
    folds = StratifiedKFold(4)
    predicted = cross_val_predict(model, gram, Y, cv=folds, method="predict_proba")
    for rows, held in folds.split(X, Y):
        expected = outputs(fitted("classifier", X[rows], rows, init="span"), X[held])
        np.testing.assert_allclose(predicted[held], expected, rtol=1e-8)


@pytest.mark.bits
@pytest.mark.parametrize("n_jobs", [1, 2])
def test_grid_search(gram, n_jobs):
    """The best network is trained again on all rows, and predicts from raw features."""
    grid = {"learning_rate": [0.001, 0.03], "hidden_layer_sizes": [(4,), (8,)]}
    search = GridSearchCV(FrontClassifier(**PLAIN), grid, cv=3, n_jobs=n_jobs).fit(gram, Y)
    again = FrontClassifier(**PLAIN | search.best_params_).fit(gram, Y)
    np.testing.assert_array_equal(search.predict_proba(X), again.predict_proba(X))
    np.testing.assert_allclose(search.predict_proba(gram), search.predict_proba(X), rtol=1e-9)
    assert search.n_features_in_ == 90
    assert len(set(search.cv_results_["mean_test_score"])) > 1
    scores = cross_val_score(FrontClassifier(**PLAIN | search.best_params_), gram, Y, cv=3)
    assert search.best_score_ == scores.mean()


def test_curves_permutations_bags_and_calibration(gram):
    """Whatever only chooses rows."""
    model = MODELS["classifier"][0]
    sizes, on_train, on_test = learning_curve(model, gram, Y, cv=3, train_sizes=[0.5, 1.0])
    assert on_train.shape == on_test.shape == (2, 3)
    assert list(sizes) == [13, 26]
    score, permuted, _ = permutation_test_score(model, gram, Y, cv=2, n_permutations=3, random_state=0)
    assert score == np.mean(cross_val_score(model, gram, Y, cv=2))
    assert len(set(permuted)) > 1
    calibrated = CalibratedClassifierCV(model, cv=3).fit(gram, Y)
    np.testing.assert_allclose(calibrated.predict_proba(gram), calibrated.predict_proba(X), rtol=1e-8)
    train, test, y_train, y_test = train_test_split(gram, Y, random_state=0)
    assert (len(train), len(test)) == (30, 10)
    assert clone(model).fit(train, y_train).score(test, y_test) in np.arange(11) / 10
    fixed = CalibratedClassifierCV(model, cv=StratifiedKFold(2), ensemble=False).fit(gram, Y)
    assert fixed.predict(X).shape == (40,)


def test_no_array(gram):
    """A Gram is never taken for an empty sequence; BaggingClassifier copies X to an array, which it cannot be."""
    for use in (np.asarray, list, lambda gram: BaggingClassifier(MODELS["classifier"][0], n_estimators=2).fit(gram, Y)):
        with pytest.raises(TypeError, match=r"a Gram is not an array|'Gram' object is not iterable"):
            use(gram)


# ----------------------------------------------------------------------------------------------------------------------
# copies and changes


@pytest.mark.bits
@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda part: pickle.loads(pickle.dumps(part))])
def test_copies(gram, duplicate):
    """Copies of a Gram and of what was fitted on it belong together."""
    model = fitted("classifier", gram[TRAIN], TRAIN)
    other, again = duplicate(model), duplicate(gram)
    np.testing.assert_array_equal(again.matrix, gram.matrix)
    np.testing.assert_array_equal(outputs(other, gram[TEST]), outputs(model, gram[TEST]))
    np.testing.assert_array_equal(outputs(model, again[TEST]), outputs(model, gram[TEST]))
    np.testing.assert_array_equal(outputs(other, X[TEST]), outputs(model, X[TEST]))
    assert_same_bits(fitted("classifier", again), fitted("classifier", gram))
    pair = duplicate((model, gram))
    np.testing.assert_array_equal(outputs(pair[0], pair[1][TEST]), outputs(model, gram[TEST]))


def test_clones(gram):
    """A clone is not fitted."""
    assert not hasattr(clone(fitted("classifier", gram)), "network_")


def test_changed_features_are_noticed_where_they_are_needed():
    """Training and predictions within the Gram go on; whatever reads the features says that they have changed."""
    features = X.copy()
    gram = Gram(features, dtype="float64")
    expected = cross_val_score(MODELS["classifier"][0], gram, Y, cv=3)
    model = fitted("classifier", gram[TRAIN], TRAIN)
    before = outputs(model, gram[TEST])
    features[TRAIN[0], 3] += 1
    np.testing.assert_array_equal(outputs(fitted("classifier", gram[TRAIN], TRAIN), gram[TEST]), before)
    np.testing.assert_array_equal(cross_val_score(MODELS["classifier"][0], gram, Y, cv=3), expected)
    copied = pickle.loads(pickle.dumps(model))
    for use in (
        lambda: gram.X,
        lambda: gram.cross(X[:2]),
        lambda: model.coefs_,
        lambda: outputs(model, X[:2]),
        lambda: outputs(copied, X[:2]),
        lambda: fitted("classifier", gram, init="glorot"),
        lambda: model.partial_fit(X[:2], Y[:2]),
    ):
        with pytest.raises(RuntimeError, match="changed"):
            use()
    np.testing.assert_array_equal(outputs(copied, gram[TEST]), before)


# ----------------------------------------------------------------------------------------------------------------------
# sums and products


def test_sums_and_products():
    """Several kinds of measurements, each with a weight; the sum is known by its products alone."""
    one, two = Gram(X, dtype="float64"), Gram(X[:, :30], kernel="rbf", dtype="float64")
    both = 0.5 * one + two * 2
    np.testing.assert_allclose(both.matrix, 0.5 * one.matrix + 2 * two.matrix, rtol=1e-14)
    np.testing.assert_allclose((one * two).matrix, one.matrix * two.matrix, rtol=1e-14)
    np.testing.assert_allclose((one[TRAIN] + two[TRAIN]).matrix, (one + two).matrix[np.ix_(TRAIN, TRAIN)], rtol=1e-14)
    model = fitted("classifier", both[TRAIN], TRAIN)
    assert model.score(both[TEST], Y[TEST]) > 0.5
    # Products that are given refer to all samples of the matrix, those outside the view included.
    np.testing.assert_array_equal(outputs(model, both.matrix[TEST]), outputs(model, both[TEST]))
    with pytest.raises(ValueError, match="X has 27 features, but FrontClassifier is expecting 40"):
        model.predict(both.matrix[np.ix_(TEST, TRAIN)])
    assert cross_val_score(model, both, Y, cv=3, n_jobs=1).shape == (3,)


@pytest.mark.parametrize(
    ("combine", "error", "message"),
    [
        (lambda gram: gram + Gram(X), ValueError, "same samples in the same precision"),
        (lambda gram: gram + gram[:5], ValueError, "same samples"),
        (lambda gram: gram + 1, TypeError, "unsupported operand"),
        (lambda gram: gram * "a", TypeError, "multiply|unsupported"),
        (lambda gram: gram * -1.0, ValueError, "the factor of a Gram must be"),
        (lambda gram: 0 * gram, ValueError, "the factor of a Gram must be"),
        (lambda gram: np.nan * gram, ValueError, "the factor of a Gram must be"),
        (lambda gram: gram * 1e308 * 1e10, ValueError, "overflows float64"),
    ],
)
def test_bad_combinations(gram, combine, error, message):
    """What cannot be a kernel of these samples."""
    with pytest.raises(error, match=message):
        combine(gram)


# ----------------------------------------------------------------------------------------------------------------------
# what is refused


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: Gram(X, dtype="float16"), ValueError, "dtype='float16' is unknown"),
        (lambda: Gram(X, kernel="spam"), ValueError, "kernel='spam' is unknown"),
        (lambda: Gram(X, kernel=3), TypeError, "kernel must be one of"),
        (lambda: Gram(X, kernel="poly", degree=0), ValueError, "degree must be"),
        (lambda: Gram(X, kernel="rbf", gamma=-1), ValueError, "gamma must be"),
        (lambda: Gram(X, kernel="poly", coef0=-1.0), ValueError, "coef0 must be"),
        (lambda: Gram(X[0]), ValueError, "Expected 2D array"),
        (lambda: Gram(X * 1e200), ValueError, "overflows float32"),
        (lambda: Gram(X.astype("f4") * np.float32(1e-22)), ValueError, "X has values so small that its Gram matrix underflows"),
        (lambda: Gram(X * 1e-22, kernel="cosine"), ValueError, "underflows float32; multiply it by a number, or use dtype="),
        (lambda: Gram(X * 1e-60, kernel="rbf"), ValueError, "underflows float32"),
        (lambda: Gram(X * 1e-160, dtype="float64"), ValueError, "underflows float64; multiply it by a number$"),
        (lambda: Gram(sparse.csr_array(X * 1e-20)), ValueError, "underflows float32"),
        (lambda: Gram(X @ X.T * 1e-60, kernel="precomputed"), ValueError, "the kernel matrix X has values so small"),
        (
            lambda: FrontClassifier(form="contributions", standardize=False).fit(X * 1e-22, Y),
            ValueError,
            "X has values so small that its Gram matrix underflows float32",
        ),
        (lambda: Gram(np.where(X > 2, np.nan, X)), ValueError, "X contains NaN"),
        (lambda: Gram([["a", "b"]]), ValueError, "X"),
        (lambda: Gram(X, kernel="precomputed"), ValueError, r"kernel matrix X must be a square matrix.*\(40, 90\)"),
        (lambda: Gram(np.triu(X[:, :40]), kernel="precomputed"), ValueError, "kernel matrix X is not symmetric"),
        (
            lambda: Gram(-np.eye(3), kernel="precomputed"),
            ValueError,
            "not positive semi-definite: its smallest eigenvalue is -1",
        ),
        (lambda: Gram(np.diag([1.0, np.inf]), kernel="precomputed"), ValueError, "X contains infinity|X holds NaN or inf"),
        (lambda: Gram(np.diag([1e300, 1.0]), kernel="precomputed"), ValueError, "overflows float32"),
        (
            lambda: Gram(sparse.csr_array(np.eye(3)), kernel="precomputed"),
            TypeError,
            "X is a kernel matrix, which must be dense, got a sparse",
        ),
        (lambda: Gram(["a", "b"], kernel=lambda A, B: np.ones((1, 1))), ValueError, "gave an array of shape"),
        (lambda: Gram(["a", "b"], kernel=lambda A, B: np.full((2, 2), np.nan)), ValueError, "NaN or infinite"),
        (lambda: Gram(["a", "b"], kernel=lambda A, B: -np.eye(2)), ValueError, "kernel matrix of X is not positive"),
        (lambda: Gram([], kernel=lambda A, B: np.ones((0, 0))), ValueError, "X has 0 samples"),
    ],
)
def test_bad_arguments(make, error, message):
    """The message names the argument."""
    with pytest.raises(error, match=message):
        make()


@pytest.mark.parametrize(
    "samples",
    [np.zeros((3, 9)), np.full((3, 9), 1e-17), sparse.csr_array((3, 9)), np.vstack([X[:2], 1e-22 * X[:2], 0 * X[:2]])],
    ids=["zeros", "small", "sparse zeros", "beside others"],
)
def test_small_samples_that_lose_nothing(samples):
    """They are multiplied as in double precision, up to rounding of the largest product."""
    exact = samples @ samples.T
    exact = exact.toarray() if sparse.issparse(exact) else exact
    np.testing.assert_allclose(Gram(samples).matrix, exact, rtol=1e-6, atol=1e-6 * exact.max())
    assert len(Gram(np.full((3, 2), 1e-30), standardize=True)) == 3  # constant features


@pytest.mark.parametrize("rows", [3, np.int64(2), (1, 2), (slice(None), 3), [[1, 2]], None])
def test_bad_indices(gram, rows):
    """A Gram is indexed by several samples."""
    with pytest.raises(IndexError, match="a Gram is indexed by"):
        gram[rows]


@pytest.mark.parametrize("rows", [[40], np.ones(3, bool), "a", [0.5]])
def test_bad_rows(gram, rows):
    """NumPy's own errors."""
    with pytest.raises(IndexError):
        gram[rows]


def test_an_empty_view_is_no_training_data(gram):
    """Nor are predictions made for it, as for features."""
    with pytest.raises(ValueError, match="0 sample"):
        fitted("classifier", gram[:0], slice(0))
    with pytest.raises(ValueError, match="0 sample"):
        fitted("classifier", gram).predict(gram[:0])


@ANY_MODEL
def test_other_samples(gram, name):
    """Rows of another matrix are not taken for rows of this one."""
    other = Gram(X.copy(), dtype="float64")
    for init in ("span", "glorot"):
        model = fitted(name, gram, init=init)
        for _ in range(2):
            with pytest.raises(ValueError, match="a Gram matrix of other samples"):
                model.predict(other)
            model.predict(X)  # with weights that are kept from here on
        with pytest.raises(ValueError, match="a Gram matrix of other samples"):
            fitted(name, X, init=init, form="contributions").predict(other)
        if not name.startswith("noprop"):
            with pytest.raises(ValueError, match="a Gram matrix of other samples"):
                model.explain(other)
            with pytest.raises(ValueError, match="a Gram matrix of other samples"):
                model.set_params(schedule="constant").partial_fit(other, MODELS[name][1])
    with pytest.raises(ValueError, match="90 features"):
        model.predict(X[:, :5])


@ANY_MODEL
@pytest.mark.parametrize("form", ["weights", "windowed"])
def test_forms_that_need_features(gram, name, form):
    """They are neither fitted on a Gram matrix nor predict from it."""
    with pytest.raises(ValueError, match=f"form='{form}' holds weights for features"):
        fitted(name, gram, form=form)
    model = fitted(name, X, form=form).set_params(schedule="constant")
    with pytest.raises(ValueError, match=f"this estimator holds weights for features .form '{form}'.; give the features"):
        model.predict(gram)
    if not name.startswith("noprop"):
        with pytest.raises(ValueError, match="this estimator holds weights for features"):
            model.partial_fit(gram, MODELS[name][1])


@ANY_MODEL
def test_another_precision(gram, name):
    """The estimator's dtype is that of the products."""
    message = r"X is a Gram matrix in float64, but dtype='float32'; make it with Gram\(X, dtype='float32'\)"
    with pytest.raises(ValueError, match=message):
        fitted(name, gram, dtype="float32")
    with pytest.raises(ValueError, match="X is a Gram matrix in float32"):
        fitted(name, gram).predict(Gram(X))


def test_inconsistent_targets(gram):
    """As for features."""
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        FrontClassifier(**PLAIN).fit(gram[:9], Y)
    with pytest.raises(ValueError, match="NaN"):
        FrontRegressor(**PLAIN).fit(gram, np.full(40, np.nan))


def test_memory_limit(gram):
    """The rows of a view count, not those of the whole."""
    with pytest.raises(MemoryError, match=r"memory_limit=9\.8 KiB"):
        FrontClassifier((2,), memory_limit=10_000, **PLAIN).fit(gram, Y)
    FrontClassifier((2,), memory_limit=10_000, **PLAIN).fit(gram[:8], Y[:8])
