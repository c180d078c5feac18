"""Estimators on sparse samples whose front layer holds the weights of the features that occur."""

import copy
import pickle
from dataclasses import dataclass

import numpy as np
import pytest
from classic import FrontClassifier, FrontRegressor
from scipy import sparse

import fcfast
from fcfast.errors import ModelFileError
from fcfast.front import SparseWeightsForm
from fcfast.front.slots import Slots, empty_table
from fcfast.gram.scattered import ScatteredWeights
from fcfast.gram.start import GivenWeights, NoWeights, RandomWeights
from fcfast.losses import Loss
from fcfast.sources import SparseSource
from fcfast.training import TrainingWarning

FORMS = ["weights", "windowed"]
N, D = 120, 900


@pytest.fixture(scope="module")
def text():
    """Counts of words, most of which are rare, and a class that shows in the common ones."""
    rng = np.random.default_rng(0)
    y = np.arange(N) % 3
    X = sparse.random(N, D, 0.01, "lil", random_state=0)
    X[np.arange(N), y] = 1.0
    X[rng.integers(N)] = 0
    return sparse.csr_array(X), y


@dataclass(frozen=True)
class Absolute(Loss):
    """The absolute error, smooth near 0."""

    name = "absolute"

    def of_samples(self, outputs, targets):
        error = outputs - targets
        root = np.sqrt(1e-3 + error**2)
        return root.sum(axis=1), error / root


def settings_of(form="weights", **more):
    return {
        "hidden_layer_sizes": (16,), "form": form, "dtype": "float64", "max_epochs": 4, "batch_size": 7, "random_state": 0,
        "learning_rate": 0.05, **more,
    }  # fmt: skip


# ----------------------------------------------------------------------------------------------------------------------
# the same network as on dense samples


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("init", ["span", "scaled", "small", "glorot"])
def test_as_on_dense_samples(text, form, init):
    """From every start, with features that never occur, two hidden layers and weight decay."""
    X, y = text
    more = {"init": init, "hidden_layer_sizes": (16, 8), "weight_decay": 0.01, "nesterov": True}
    dense = fcfast.FrontClassifier(**settings_of(form, standardize=False, **more)).fit(X.toarray(), y)
    for given in (X, sparse.csc_matrix(X), SparseSource(X), sparse.csr_matrix(X.astype("f4")).astype("f8")):
        own = fcfast.FrontClassifier(**settings_of(form, **more)).fit(given, y)
        assert isinstance(own.network_.front, SparseWeightsForm)
        np.testing.assert_allclose(own.loss_curve_, dense.loss_curve_, rtol=1e-6)
    own = fcfast.FrontClassifier(**settings_of(form, **more)).fit(X, y)
    np.testing.assert_allclose(own.loss_curve_, dense.loss_curve_, rtol=1e-10)
    for a, b in zip(own.coefs_, dense.coefs_, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)


def test_regression_with_two_targets(text):
    X, _ = text
    Y = np.stack([X[:, :5].sum(axis=1), X[:, 5:50].sum(axis=1)], axis=1)
    dense = FrontRegressor(**settings_of(standardize=False)).fit(X.toarray(), Y)
    np.testing.assert_allclose(FrontRegressor(**settings_of()).fit(X, Y).predict(X), dense.predict(X), rtol=1e-9, atol=1e-12)


def test_early_stopping_and_callbacks(text):
    X, y = text
    seen = []
    own, dense = (
        FrontClassifier(**settings_of(early_stopping=True, max_epochs=8, n_iter_no_change=3)).fit(
            given, y, callbacks=[seen.append]
        )
        for given in (X, X.toarray())
    )
    assert own.validation_scores_ == dense.validation_scores_
    np.testing.assert_allclose(own.predict_proba(X), dense.predict_proba(X.toarray()), rtol=1e-9)
    assert len(seen) == own.n_epochs_ + dense.n_epochs_


@pytest.mark.parametrize("form", FORMS)
def test_threads(text, form):
    """The number of threads changes no bit."""
    X, y = text
    one, two = (
        FrontClassifier(**settings_of(form, hidden_layer_sizes=(700,), batch_size=60, n_jobs=n_jobs)).fit(X, y)
        for n_jobs in (1, 2)
    )
    np.testing.assert_array_equal(one.coefs_[0], two.coefs_[0])


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")  # few epochs on purpose
@pytest.mark.parametrize("optimizer", ["adagrad", "rmsprop"])
@pytest.mark.parametrize("more", [{}, {"rule": "dfa"}, {"groups": 2}, {"early_stopping": True}])
def test_optimizers_under_which_weights_rest(text, optimizer, more):
    """Python drives their steps, so that they go with any rule in the span; 300 units are shared out among threads."""
    X, y = text
    settings = settings_of("auto", optimizer=optimizer, hidden_layer_sizes=(300, 8), learning_rate=0.003, batch_size=60, **more)
    dense = FrontClassifier(**settings).fit(X.toarray(), y)
    own = [FrontClassifier(**settings, n_jobs=n_jobs).fit(X, y) for n_jobs in (1, 2)]
    assert isinstance(own[0].network_.front, SparseWeightsForm)
    np.testing.assert_array_equal(own[0].coefs_[0], own[1].coefs_[0])
    np.testing.assert_allclose(own[0].coefs_[0], dense.coefs_[0], rtol=1e-8, atol=1e-11)
    for one in (dense, *own):
        one.set_params(early_stopping=False).partial_fit(X.toarray() if one is dense else X, y)
    np.testing.assert_allclose(own[0].coefs_[0], dense.coefs_[0], rtol=1e-8, atol=1e-11)


def test_losses_of_ones_own(text):
    """A loss that the kernels do not know trains in single steps."""
    X, _ = text
    target = np.asarray(X[:, :50].sum(axis=1)).ravel()
    for optimizer in ("sgd", "adagrad"):
        settings = settings_of("weights", optimizer=optimizer, loss=Absolute())
        own, dense = (FrontRegressor(**settings).fit(given, target) for given in (X, X.toarray()))
        np.testing.assert_allclose(own.coefs_[0], dense.coefs_[0], rtol=1e-9, atol=1e-12)


# ----------------------------------------------------------------------------------------------------------------------
# predictions


def test_new_features(text):
    """A feature that never occurred has what weight decay left of its initial weights, in sparse and in dense samples."""
    X, y = text
    own = FrontClassifier(**settings_of(weight_decay=0.1)).fit(X, y)
    new = np.random.default_rng(1).normal(size=(5, D))
    hidden = np.maximum(new @ own.coefs_[0] + own.intercepts_[0], 0)
    expected = hidden @ own.coefs_[1] + own.intercepts_[1]
    for given in (
        new,
        sparse.csr_array(new),
        sparse.csr_array(new).astype("f4").astype("f8"),
        SparseSource(sparse.csr_array(new)),
    ):
        np.testing.assert_allclose(own.network_.outputs(given), expected, rtol=1e-5)
    np.testing.assert_allclose(own.network_.outputs(new), expected, rtol=1e-10)
    one_by_one = np.concatenate([own.network_.outputs(sparse.csr_array(row[None])) for row in new])
    np.testing.assert_array_equal(own.network_.outputs(sparse.csr_array(new)), one_by_one)


def test_empty_samples():
    """Samples without a single entry train biases."""
    X, y = sparse.csr_array((20, 10**12)), np.arange(20) % 2
    own = FrontClassifier(**settings_of(max_epochs=1)).fit(X, y)
    np.testing.assert_allclose(own.predict_proba(X), 0.5, atol=0.2)


def test_columns_without_end():
    """Columns are numbers alone: nothing has the size of a row."""
    rng = np.random.default_rng(0)
    n_entries = 300
    places = np.sort(rng.integers(0, 50, n_entries)), rng.integers(0, 10**12, n_entries)
    X = sparse.csr_array((np.ones(n_entries), places), shape=(50, 10**12))
    y = np.arange(50) % 2
    own = FrontClassifier(**settings_of(max_epochs=30, tol=0.0)).fit(X, y)
    assert own.score(X, y) > 0.9
    assert len(own.network_.front.table) <= n_entries


# ----------------------------------------------------------------------------------------------------------------------
# further training


@pytest.mark.parametrize("form", ["auto", *FORMS])
def test_partial_fit(text, form):
    """Samples come in groups, with features that are new; some groups are dense."""
    X, y = text
    settings = settings_of(form, momentum=0.9, weight_decay=0.01, shuffle=False, init="scaled")
    own, dense = FrontClassifier(**settings), FrontClassifier(**settings | {"form": "weights"})
    for start, convert in ((0, sparse.csr_array), (10, sparse.csc_array), (50, sparse.csr_matrix), (80, np.asarray)):
        rows = slice(start, start + 40)
        group = X[rows].toarray()
        own.partial_fit(convert(group), y[rows], classes=np.unique(y))
        dense.partial_fit(group, y[rows], classes=np.unique(y))
    assert isinstance(own.network_.front, SparseWeightsForm)
    np.testing.assert_allclose(own.coefs_[0], dense.coefs_[0], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(own.predict_proba(X), dense.predict_proba(X.toarray()), rtol=1e-9)


def test_partial_fit_with_another_width(text):
    X, y = text
    own = FrontClassifier(**settings_of()).partial_fit(X, y, classes=np.unique(y))
    before = own.predict_proba(X)
    with pytest.raises(ValueError, match="900 features"):
        own.partial_fit(X[:, :800], y)
    np.testing.assert_array_equal(own.predict_proba(X), before)


def test_memory_limit(text):
    """`fit` says what is too large; a stream that brings too many features is refused before anything is trained."""
    X, y = text
    with pytest.raises(MemoryError, match=r"form='weights' needs weights for the \d+ features that occur"):
        FrontClassifier(**settings_of(memory_limit=50_000)).fit(X, y)
    few = sparse.csr_array(X.toarray() * (np.arange(D) < 20))
    own = FrontClassifier(**settings_of(memory_limit=100_000)).partial_fit(few, y, classes=np.unique(y))
    before = own.predict_proba(X)
    with pytest.raises(MemoryError, match=r"more features make a table of .* KiB, over memory_limit"):
        own.partial_fit(X, y)
    np.testing.assert_array_equal(own.predict_proba(X), before)


def test_warm_start(text):
    """`fit` goes on from the weights of all features, those of earlier samples included."""
    X, y = text
    X = X.toarray()
    own, dense = (FrontClassifier(**settings_of(form, warm_start=True, init="scaled")) for form in FORMS)
    for columns in (slice(0, 500), slice(300, None), slice(0, 700)):
        part = np.zeros_like(X)
        part[:, columns] = X[:, columns]
        own.fit(sparse.csr_array(part), y)
        dense.fit(part, y)
    np.testing.assert_allclose(own.coefs_[0], dense.coefs_[0], rtol=1e-9, atol=1e-12)
    assert isinstance(own.network_.front.scattered.initial, RandomWeights)


def test_given_weights(text):
    X, y = text
    rng = np.random.default_rng(0)
    coefs, biases = [rng.normal(size=shape) / 10 for shape in ((D, 16), (16, 3))], [np.zeros(16), np.zeros(3)]
    own, dense = (FrontClassifier(**settings_of()).fit(given, y, None, coefs, biases) for given in (X, X.toarray()))
    np.testing.assert_allclose(own.coefs_[0], dense.coefs_[0], rtol=1e-9, atol=1e-12)


# ----------------------------------------------------------------------------------------------------------------------
# copies and files


@pytest.mark.parametrize("init", ["span", "scaled", "given"])
@pytest.mark.parametrize("form", FORMS)
def test_copies_and_files(text, tmp_path, form, init):
    """Predictions have the same bits, training goes on, and a file holds the features that occurred alone."""
    X, y = text
    rows = X[:60]
    coefs = [np.full((D, 16), 0.01), np.full((16, 3), 0.1)] if init == "given" else None
    own = FrontClassifier(**settings_of(form, init="auto" if coefs else init)).fit(rows, y[:60], coefs_init=coefs)
    own.save(tmp_path / "model")
    loaded = fcfast.load(tmp_path / "model")
    copies = loaded, copy.deepcopy(own), pickle.loads(pickle.dumps(own))
    for one in copies:
        for given in (X, X.toarray()):
            np.testing.assert_array_equal(one.predict_proba(given), own.predict_proba(given))
        np.testing.assert_array_equal(one.coefs_[0], own.coefs_[0])
        assert one.network_.front.table.ctypes.data % 64 == 0
    if coefs is None:
        assert (tmp_path / "model").stat().st_size < 0.7 * 8 * D * 16
    loaded.partial_fit(X[60:], y[60:])
    loaded.save(tmp_path / "again")
    np.testing.assert_array_equal(fcfast.load(tmp_path / "again").predict_proba(X), loaded.predict_proba(X))
    for one in (own, *copies[1:]):
        one.partial_fit(X[60:], y[60:])
        np.testing.assert_array_equal(one.predict_proba(X), own.predict_proba(X))


def test_a_file_with_wrong_features(text, tmp_path):
    from safetensors import safe_open
    from safetensors.numpy import save_file

    from fcfast.modelfile.format import _checksum

    X, y = text
    FrontClassifier(**settings_of()).fit(X, y).save(tmp_path / "model")
    with safe_open(tmp_path / "model", framework="numpy") as file:
        metadata, tensors = file.metadata(), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    for wrong in (tensors["front.features"][::-1], tensors["front.features"] - 5, tensors["front.features"] + D):
        changed = tensors | {"front.features": np.ascontiguousarray(wrong)}
        save_file(changed, tmp_path / "wrong", metadata | {"checksum": _checksum(metadata["model"], changed)})
        with pytest.raises(ModelFileError, match="rising order"):
            fcfast.load(tmp_path / "wrong")


# ----------------------------------------------------------------------------------------------------------------------
# faults


@pytest.mark.parametrize("form", FORMS)
def test_interruption_and_divergence(text, form):
    """The last whole epoch is kept after Ctrl-C, the best network after a divergence."""
    X, y = text

    def interrupt(epoch):
        if epoch.epoch == 3:
            raise KeyboardInterrupt

    with pytest.warns(TrainingWarning, match="interrupted after 3"):
        own = FrontClassifier(**settings_of(form, max_epochs=9)).fit(X, y, callbacks=[interrupt])
    expected = FrontClassifier(**settings_of(form, max_epochs=3)).fit(X, y)
    np.testing.assert_array_equal(own.coefs_[0], expected.coefs_[0])
    with pytest.warns(TrainingWarning, match="diverged"):
        wild = FrontRegressor(activation="identity", **settings_of(form, learning_rate=1e3, dtype="float32")).fit(X, y)
    assert np.isfinite(wild.predict(X)).all()


def test_values_that_do_not_do(text):
    X, y = text
    for value, match in ((np.nan, "NaN"), (np.inf, "infinity"), (1e300, "too large")):
        wrong = X.copy()
        wrong.data[3] = value
        with pytest.raises(ValueError, match=match):
            FrontClassifier(**settings_of(dtype="float32")).fit(wrong, y)


@pytest.mark.parametrize(
    ("more", "match"),
    [
        ({"optimizer": "adam"}, "optimizer='adam'.*leaves features without entries alone.*toarray"),
        ({"optimizer": "adagrad", "weight_decay": 0.1}, "optimizer='adagrad'.*without weight decay.*toarray"),
        ({"optimizer": "rmsprop", "form": "windowed"}, "form='windowed' cannot hold that.*form='weights'"),
    ],
)
def test_what_sparse_weights_do_not_take(text, more, match):
    """The reason, and what to do."""
    with pytest.raises(ValueError, match=match):
        FrontClassifier(**settings_of(**more)).fit(*text)


# ----------------------------------------------------------------------------------------------------------------------
# parts


def test_slots():
    """Features that occur most come first, new ones last; both ways of counting agree."""
    indices, more = np.array([5, 3, 5, 9, 3, 5]), np.array([2, 9, 2, 7])
    for n_features in (10, 2**40):
        slots = Slots.of(indices, n_features)
        assert slots.features.tolist() == [5, 3, 9]
        assert slots.find(indices).tolist() == [0, 1, 0, 2, 1, 0]
        longer = slots.with_features_of(more)
        assert longer.features.tolist() == [5, 3, 9, 2, 7]
        assert longer.find(more).tolist() == [3, 2, 3, 4]
        assert longer.with_features_of(indices) is longer
        assert longer.of_features(np.array([1, 2, 9])).tolist() == [-1, 3, 2]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_table_of_whole_cache_lines(dtype):
    table = empty_table(3, 2, 17, np.dtype(dtype))
    assert table.shape == (3, 2, 32 if dtype == "float32" else 24)
    assert table.ctypes.data % 64 == 0
    assert table.flags.c_contiguous
    assert not table.any()


def test_scattered_weights():
    """Blocks and the whole agree, also where others are scattered themselves."""
    rng = np.random.default_rng(0)
    inner = ScatteredWeights(np.array([1, 4]), rng.normal(size=(2, 3)), 0.5, RandomWeights(3, 8, 0, "relu"))
    outer = ScatteredWeights(np.array([0, 4, 6]), rng.normal(size=(3, 3)), 0.25, inner)
    whole = outer.dense("float64")
    np.testing.assert_array_equal(np.hstack([outer.block(0, 3, "float64"), outer.block(3, 8, "float64")]), whole)
    np.testing.assert_array_equal(whole[:, 4], outer.rows[1])
    np.testing.assert_array_equal(whole[:, 1], inner.rows[0] / 4)
    np.testing.assert_array_equal(whole[:, 2], inner.initial.dense("float64")[:, 2] / 8)
    flat = outer.flattened()
    assert isinstance(flat.initial, RandomWeights)
    np.testing.assert_array_equal(flat.dense("float64"), whole)
    given = ScatteredWeights(outer.features, outer.rows, 0.5, GivenWeights(np.ones((3, 8)))).without_arrays()
    assert isinstance(given.initial, NoWeights)
    np.testing.assert_array_equal(given.dense("float64")[:, 1], 0.5)
