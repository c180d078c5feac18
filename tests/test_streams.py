"""`fit`, `predict` and `score` on streams: the network is that of all samples in memory."""

import gzip
import pickle
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse
from sklearn.feature_extraction.text import HashingVectorizer, TfidfVectorizer

import fcfast
from fcfast import FrontClassifier, FrontRegressor, NoPropClassifier
from fcfast.datafiles import read_table
from fcfast.estimators.automatic import text_of
from fcfast.losses import Loss
from fcfast.streams import Block, ParquetStream, Stream, SvmlightStream
from fcfast.training import copies

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")  # few epochs on purpose

N, D = 230, 40


def dense_samples(seed=0):
    """Samples with unequal columns, classes and weights."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(N, D)) * rng.uniform(0.1, 10, D) + rng.normal(size=D)
    X[:, 3] = 7.0
    y = np.array(["c", "a", "b"])[(X[:, 0] > 0).astype(int) + (X[:, 1] > X[:, 2])]
    return X, y, rng.uniform(0.1, 2, N) * (rng.random(N) > 0.1)


def sparse_samples(seed=0, n=N, d=3000, density=0.005):
    """Rows with few of many columns; one is empty, and one is far longer than the others."""
    X = sparse.random(n, d, density, random_state=np.random.default_rng(seed), format="csr")
    X = X.tolil()
    X[5] = 0
    X[7, 1:3] = 50.0
    X = sparse.csr_array(X)
    return X, (np.asarray(X[:, ::2].sum(axis=1)).ravel() > np.asarray(X[:, 1::2].sum(axis=1)).ravel()).astype(int)


def in_blocks(sizes, *arrays):
    """Make a stream of blocks of these sizes, over and over."""

    def read():
        start, number = 0, 0
        while start < arrays[0].shape[0]:
            rows = slice(start, start + sizes[number % len(sizes)])
            yield tuple(array[rows] for array in arrays)
            start, number = rows.stop, number + 1

    return Stream(read)


def assert_same(streamed, whole, *, settings=True):
    """Compare weights, losses and what was chosen."""
    for a, b in zip(streamed.coefs_ + streamed.intercepts_, whole.coefs_ + whole.intercepts_, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(streamed.loss_curve_, whole.loss_curve_, rtol=1e-9)
    if settings:
        assert chosen(streamed) == chosen(whole)


def chosen(estimator):
    """Give the settings as texts, whose numbers have three digits."""
    return {name: text_of(value) for name, value in estimator.settings_.items()}


PLAIN = {"dtype": "float64", "shuffle": False, "random_state": 0, "max_epochs": 3}
OPTIMIZERS = [
    {"batch_size": 7},
    {"batch_size": 1, "momentum": 0.0},
    {"batch_size": 32, "nesterov": True, "weight_decay": 0.01, "schedule": "cosine"},
    {"batch_size": 13, "max_grad_norm": 0.5, "dampening": 0.1},
    {"batch_size": 10, "optimizer": "adagrad"},
    {"batch_size": 60, "hidden_layer_sizes": (8, 4), "schedule": "warm-up"},
    {"batch_size": 1000},
]
block_sizes = st.lists(st.integers(1, 120), min_size=1, max_size=4)


@given(sizes=block_sizes, settings=st.sampled_from(OPTIMIZERS), is_sparse=st.booleans())
def test_blocks_do_not_matter(sizes, settings, is_sparse):
    """Without shuffling the network is that of all samples in memory, whatever the blocks."""
    X, y = sparse_samples() if is_sparse else dense_samples()[:2]
    settings = PLAIN | {"hidden_layer_sizes": (6,), "init": "glorot", "learning_rate": 0.01} | settings
    whole = FrontClassifier(form="weights", **settings).fit(X, y)
    assert_same(FrontClassifier(**settings).fit(in_blocks(sizes, X, y)), whole, settings=False)


@pytest.mark.parametrize(
    "settings",
    [
        {}, {"batch_size": 20}, {"class_weight": "balanced"}, {"class_weight": {"a": 3.0, "b": 0.0}}, {"standardize": True},
        {"standardize": False}, {"standardize": "running"}, {"label_smoothing": 0.1}, {"init": "glorot"}, {"optimizer": "muon"},
        {"optimizer": "adam"}, {"rule": "dfa"}, {"hidden_layer_sizes": (8, 6), "groups": (1, 2)},
    ],
    ids=str,
)  # fmt: skip
@pytest.mark.parametrize("weighted", [False, True])
def test_settings_of_dense_streams(settings, weighted):
    """All that is chosen is what `fit` chooses for all samples: scales, rates, batches, epochs, the biases of the outputs."""
    X, y, weights = dense_samples()
    settings = {"form": "weights", "hidden_layer_sizes": (9,)} | PLAIN | settings
    parts, given_weights = ((X, y, weights), weights) if weighted else ((X, y), None)
    whole = FrontClassifier(**settings).fit(X, y, given_weights)
    streamed = FrontClassifier(**settings).fit(in_blocks([31, 50], *parts))
    assert_same(streamed, whole)
    np.testing.assert_array_equal(streamed.classes_, whole.classes_)
    np.testing.assert_allclose(streamed.predict_proba(X), whole.predict_proba(X), rtol=1e-8)


def test_nothing_is_given():
    """No argument but the seed is needed, and epochs are as many as for all samples."""
    X, y, _ = dense_samples()
    whole = FrontClassifier(dtype="float64", random_state=0, form="windowed").fit(X, y)  # one batch: order does not matter
    streamed = FrontClassifier(dtype="float64", random_state=0, shuffle=False).fit(in_blocks([100], X, y))
    np.testing.assert_allclose(streamed.predict_proba(X), whole.predict_proba(X), rtol=1e-6)
    assert chosen(streamed) == chosen(whole)


def test_settings_of_sparse_streams():
    """Text is recognised, and a huge row does not rule the rates."""
    X, y = sparse_samples(n=2100, d=4000, density=0.001)
    settings = PLAIN | {"hidden_layer_sizes": (4,)}
    for more in ({}, {"optimizer": "sgd", "class_weight": "balanced"}):
        whole = FrontClassifier(**settings | more).fit(X, y)
        assert_same(FrontClassifier(**settings | more).fit(in_blocks([300, 41], X, y)), whole)
    assert "none counts as more" in whole.settings_.reasons["learning_rate"]


@pytest.mark.parametrize("form", ["auto", "windowed"])
def test_reason_of_the_form(form):
    """It is not "as asked" unless someone asked."""
    X, y, _ = dense_samples()
    classifier = FrontClassifier(**PLAIN, form=form).fit(in_blocks([50], X, y))
    assert classifier.form_ == "windowed"
    assert classifier.plan_.reason == ("because samples are read in blocks" if form == "auto" else "as asked")
    classifier = FrontClassifier(**PLAIN, form=form).partial_fit(X, y, classes=np.unique(y))
    assert classifier.plan_.reason == ("because samples come in portions" if form == "auto" else "as asked")
    assert FrontClassifier(**PLAIN).fit(X, y).settings_.reasons["optimizer"].startswith("the default; Adagrad is for more than")


@pytest.mark.parametrize("standardize", [False, "auto"])
def test_missing_values(standardize):
    """The mean of all samples is put in their place, in every block."""
    X, y, weights = dense_samples()
    X[np.random.default_rng(1).random(X.shape) < 0.1] = np.nan
    settings = PLAIN | {"missing": "mean", "standardize": standardize, "form": "weights", "hidden_layer_sizes": (5,)}
    for parts in ((X, y), (X, y, weights)):
        assert_same(FrontClassifier(**settings).fit(in_blocks([50], *parts)), FrontClassifier(**settings).fit(*parts))


class Quartic(Loss):
    """A loss of one's own that starts from the median."""

    name = "quartic"

    def of_samples(self, outputs, targets):
        """Give losses and gradients."""
        error = outputs - targets
        return (error**4).sum(axis=1) / 4, error**3

    def best_constant(self, targets, sample_weight, n_outputs):
        """Give the median."""
        return np.median(targets, axis=0)


@pytest.mark.parametrize(
    "settings", [{}, {"standardize_targets": False}, {"standardize_targets": "running"}, {"loss": Quartic()}]
)
@pytest.mark.parametrize("several", [False, True])
def test_regression(settings, several):
    """Targets are scaled by all samples; one that is constant is reproduced."""
    X, _, weights = dense_samples()
    y = np.column_stack([X[:, 0] * 3 + 100, np.full(N, 4.0)]) if several else X[:, 0] * 3 + 100
    settings = PLAIN | {"hidden_layer_sizes": (5,), "form": "weights", "batch_size": 30} | settings
    whole = FrontRegressor(**settings).fit(X, y, weights)
    streamed = FrontRegressor(**settings).fit(in_blocks([64], X, y, weights))
    assert_same(streamed, whole)
    assert streamed.predict(X).shape == y.shape
    if several:
        np.testing.assert_array_equal(streamed.predict(X)[:, 1], 4.0)


def test_shuffling():
    """One block is shuffled as all samples are; several are shuffled each by itself, alike with the same seed."""
    X, y, _ = dense_samples()
    settings = PLAIN | {"shuffle": True, "batch_size": 16, "hidden_layer_sizes": (5,), "form": "weights"}
    whole = FrontClassifier(**settings).fit(X, y)
    assert_same(FrontClassifier(**settings).fit(in_blocks([N], X, y)), whole)
    first, second, ordered = (
        FrontClassifier(**settings | more).fit(in_blocks([50], X, y)) for more in ({}, {}, {"shuffle": False})
    )
    np.testing.assert_array_equal(first.coefs_[0], second.coefs_[0])
    assert abs(first.coefs_[0] - ordered.coefs_[0]).max() > 1e-6


def test_threads_do_not_matter():
    """Weights lag behind from block to block, with the same bits for any number of threads."""
    X, y = sparse_samples(density=0.05)
    settings = {"hidden_layer_sizes": (80,), "batch_size": 50, "max_epochs": 3, "random_state": 0, "optimizer": "sgd"}
    one, two = (FrontClassifier(n_jobs=n, **settings).fit(in_blocks([90], X, y)) for n in (1, 2))
    np.testing.assert_array_equal(one.coefs_[0], two.coefs_[0])


def test_predictions():
    """They are those for all samples; a pickle and a file hold the network."""
    X, y, _ = dense_samples()
    classifier = FrontClassifier(max_epochs=5, random_state=0).fit(in_blocks([50], X, y))
    stream = in_blocks([7, 100], X, y)
    for method in ("predict", "predict_proba", "predict_log_proba"):
        of_blocks, of_all = getattr(classifier, method)(stream), getattr(classifier, method)(X)
        if method == "predict":
            np.testing.assert_array_equal(of_blocks, of_all)
        else:
            np.testing.assert_allclose(of_blocks, of_all, rtol=1e-4)
    assert classifier.score(stream) == classifier.score(X, y)
    weights = np.arange(N) % 3
    assert classifier.score(in_blocks([50], X, y, weights)) == pytest.approx(classifier.score(X, y, weights))
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(classifier)).predict(in_blocks([9], X)), classifier.predict(X))
    regressor = FrontRegressor(max_epochs=5, random_state=0).fit(in_blocks([50], X, X[:, 0]))
    assert regressor.score(in_blocks([50], X, X[:, 0])) == pytest.approx(regressor.score(X, X[:, 0]))
    blocks = Stream([X[:100], X[100:]])
    np.testing.assert_allclose(regressor.predict(blocks), regressor.predict(X), rtol=1e-4, atol=1e-6)


def test_warm_start_and_partial_fit_go_on():
    """A second fit begins with the weights of the first one; `partial_fit` brings features that are new."""
    X, y = sparse_samples()
    settings = PLAIN | {"hidden_layer_sizes": (5,), "batch_size": 16, "warm_start": True, "optimizer": "sgd", "form": "weights"}
    settings |= {"init": "small"}
    whole = FrontClassifier(**settings).fit(X, y).fit(X, y)
    streamed = FrontClassifier(**settings).fit(in_blocks([50], X, y)).fit(in_blocks([33], X, y))
    assert_same(streamed, whole)
    n_known = len(streamed.network_.front.slots)
    more, labels = sparse_samples(1)
    for estimator in (streamed, whole):
        estimator.set_params(schedule="constant").partial_fit(more, labels)
    assert len(streamed.network_.front.slots) > n_known
    np.testing.assert_allclose(streamed.coefs_[0], whole.coefs_[0], rtol=1e-9, atol=1e-11)


def test_initial_weights_may_be_given():
    """They are those of all layers, as for samples in memory."""
    X, y, _ = dense_samples()
    rng = np.random.default_rng(0)
    coefs = [rng.normal(size=(D, 5)) / 10, rng.normal(size=(5, 3))]
    settings = PLAIN | {"hidden_layer_sizes": (5,), "form": "weights"}
    whole = FrontClassifier(**settings).fit(X, y, coefs_init=coefs)
    assert_same(FrontClassifier(**settings).fit(in_blocks([70], X, y), coefs_init=coefs), whole)


# ----------------------------------------------------------------------------------------------------------------------
# how a training ends


def test_callbacks_stop_and_patience_ends():
    """As in any training."""
    X, y, _ = dense_samples()
    seen = []
    settings = {"random_state": 0, "max_epochs": 20, "batch_size": 50}
    stream = in_blocks([60], X, y)
    classifier = FrontClassifier(**settings).fit(stream, callbacks=[lambda epoch: seen.append(epoch) or epoch.epoch == 3])
    assert classifier.outcome_ == "stopped"
    assert classifier.n_epochs_ == 3 == len(seen)
    assert FrontClassifier(n_iter_no_change=2, tol=10.0, **settings).fit(stream).outcome_ == "converged"


@pytest.mark.parametrize("limit", [0, 1 << 20])
@pytest.mark.parametrize("is_sparse", [False, True])
@pytest.mark.parametrize("n_epochs", [1, 3])
def test_interruption_keeps_the_last_whole_epoch(monkeypatch, limit, is_sparse, n_epochs):
    """Ctrl-C between two blocks leaves nothing of their epoch, whether the copy lies in a file or in memory."""
    monkeypatch.setattr(copies, "IN_MEMORY", limit)
    X, y = sparse_samples() if is_sparse else dense_samples()[:2]
    settings = PLAIN | {"schedule": "constant", "hidden_layer_sizes": (5,), "batch_size": 16, "optimizer": "sgd"}
    expected = FrontClassifier(**settings | {"max_epochs": n_epochs, "learning_rate": 0.01}).fit(in_blocks([50], X, y))
    n_read = 0

    def read():
        nonlocal n_read
        n_read += 1
        yield X[:100], y[:100]
        if n_read == n_epochs + 2:
            raise KeyboardInterrupt
        yield X[100:], y[100:]

    with pytest.warns(match=rf"interrupted after {n_epochs} epoch"):
        classifier = FrontClassifier(**settings | {"max_epochs": 9, "learning_rate": 0.01}).fit(Stream(read))
    assert classifier.outcome_ == "interrupted"
    np.testing.assert_allclose(classifier.coefs_[0], expected.coefs_[0], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(classifier.intercepts_[1], expected.intercepts_[1], rtol=1e-9)


def test_interruption_of_the_first_epoch_leaves_the_estimator_alone():
    """An estimator that was fitted before is as it was."""
    X, y, _ = dense_samples()
    classifier = FrontClassifier(max_epochs=2, random_state=0).fit(X, y)
    before = classifier.predict_proba(X)

    def read():
        yield X[:100], y[:100]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        classifier.fit(Stream(read))
    np.testing.assert_array_equal(classifier.predict_proba(X), before)


@pytest.mark.parametrize("is_sparse", [False, True])
def test_divergence_keeps_the_best_network(is_sparse):
    """In the first epoch that is the start, which sparse weights make again."""
    X, y = sparse_samples() if is_sparse else dense_samples()[:2]
    settings = PLAIN | {
        "hidden_layer_sizes": (5,),
        "batch_size": 16,
        "learning_rate": 1e200,
        "optimizer": "sgd",
        "init": "small",
    }
    with pytest.warns(match="diverged in epoch 1"):
        streamed = FrontClassifier(**settings).fit(in_blocks([50], X, y))
    with pytest.warns(match="diverged in epoch 1"):
        whole = FrontClassifier(form="weights", **settings).fit(X, y)
    assert streamed.outcome_ == "diverged"
    np.testing.assert_allclose(streamed.predict_proba(X), whole.predict_proba(X), rtol=1e-9)


def test_no_room_for_a_copy(monkeypatch):
    """The error says what the file is for, and the estimator stays unfitted."""
    X, y, _ = dense_samples()

    class Full:
        def seek(self, place):
            """Go anywhere."""

        def write(self, data):
            """Fail."""
            raise OSError(28, "No space left on device")

        def close(self):
            """Have nothing to do."""

    monkeypatch.setattr(copies.tempfile, "SpooledTemporaryFile", lambda max_size: Full())
    classifier = FrontClassifier(max_epochs=2, form="weights")
    with pytest.raises(OSError, match=r"no copy of the network \(.*No space left.*set TMPDIR"):
        classifier.fit(in_blocks([50], X, y))
    assert not hasattr(classifier, "network_")


# ----------------------------------------------------------------------------------------------------------------------
# what is refused


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"early_stopping": True}, "early_stopping holds samples out.*n_iter_no_change"),
        ({"init": "span"}, "init='span' is made from all samples"),
        ({"kernel": "rbf"}, "kernel='rbf' holds products with all samples"),
        ({"form": "contributions"}, "form='contributions' keeps all samples.*windowed"),
    ],
)
def test_what_holds_all_samples_is_refused(settings, message):
    """The message says what to do instead."""
    X, y, _ = dense_samples()
    with pytest.raises(ValueError, match=message):
        FrontClassifier(**settings).fit(in_blocks([50], X, y))


def test_sparse_streams_refuse():
    """Scaling, and optimisers that need all samples."""
    X, y = sparse_samples()
    with pytest.raises(ValueError, match="sparse samples of a stream are neither scaled nor filled in"):
        FrontClassifier(standardize=True).fit(in_blocks([50], X, y))
    with pytest.raises(ValueError, match="standardize='scale' is not for streams"):
        FrontClassifier(standardize="scale").fit(in_blocks([50], X, y))
    with pytest.raises(ValueError, match="block 2 of the stream: X is dense, but sparse in"):
        FrontClassifier().fit(Stream([(X[:9], y[:9]), (X[9:].toarray(), y[9:])]))
    with pytest.raises(ValueError, match="only in a form that keeps all of them"):
        FrontClassifier(optimizer="muon").fit(in_blocks([50], X, y))


def test_streams_that_cannot_be_read_again():
    """Generators, and functions that return the same one."""
    X, y, _ = dense_samples()
    generator = ((X[i : i + 9], y[i : i + 9]) for i in range(0, N, 9))
    with pytest.raises(TypeError, match=r"generator can be read only once.*Stream\(read\)"):
        Stream(generator)
    with pytest.raises(TypeError, match=r"X is a generator, which can be read only once; give fcfast.streams.Stream"):
        FrontClassifier().fit(generator, y)
    with pytest.raises(ValueError, match=r"gave 0 samples when it was read again, but 230 at first"):
        FrontClassifier().fit(Stream(lambda: generator))
    with pytest.raises(TypeError, match="made from a function"):
        Stream(X)
    with pytest.raises(TypeError, match="made from a function"):
        Stream(3)
    with pytest.raises(TypeError, match="function of the stream returned NoneType; it has to return an iterator"):
        FrontClassifier().fit(Stream(lambda: None))
    for kind, blocks in (("function", lambda: [(X, y)]), ("list of blocks", [(X, y), (X, y)])):
        with pytest.raises(TypeError, match=f"X is a {kind}; make a stream of it with fcfast.streams.Stream"):
            FrontClassifier().fit(blocks)


def changing(first, *, second):
    """Make a stream that gives other blocks when it is read again."""
    readings = iter([first])
    return Stream(lambda: next(readings, second))


def test_streams_that_change():
    """More samples, other features, other labels."""
    X, y, _ = dense_samples()
    S, t = sparse_samples()
    settings = {"batch_size": 10, "hidden_layer_sizes": (3,)}
    for stream, message in (
        (changing([(X, y)], second=[(X, y), (X, y)]), "gave at least 460 samples"),
        (changing([(S, t)], second=[(S[:, ::-1], t)]), "other features than when it was first read"),
        (changing([(X, y)], second=[(X, np.where(y == "a", "d", y))]), "other labels than when it was first read"),
        (changing([(X, y)], second=[(X, y, np.full(N, 0.5))]), "has weights, but had none when it was first read"),
        (changing([(X, y, np.full(N, 0.5))], second=[(X, y)]), "has no weights, but had some when it was first read"),
        (changing([(X, y)], second=[(X[:, :5], y)]), "block 1 of the stream: X has 5 features"),
    ):
        with pytest.raises(ValueError, match=message):
            FrontClassifier(**settings).fit(stream)


@pytest.mark.parametrize(
    ("blocks", "message"),
    [
        ([], "the stream has no samples"),
        ([np.ones((3, 2))], "block 1 of the stream has no targets"),
        ([(np.ones((3, 2)), [0, 1, 0]), (np.ones((3, 3)), [0, 1, 0])], "block 2 of the stream: X has 3 features"),
        ([(np.ones((3, 2)), [0, 1, 0]), (np.ones((3, 2)), [0, 1])], "block 2 of the stream: .*inconsistent"),
        ([(np.ones((3, 2)), [0, 1, 0]), (np.full((3, 2), np.nan), [0, 1, 0])], "block 2 of the stream: Input X contains NaN"),
        ([(np.ones((3, 2)), [0, 1, 0]), (np.ones((3, 2)), ["a", "b", "a"])], "text in some blocks"),
        ([(np.ones((3, 2)), [0, 1, 0], [0, 0, 0])], "sample_weight gives weights"),
        ([(np.ones((3, 2)), [0, 1, 0], [1, -1, 1])], r"block 1 of the stream: sample_weight has 3 values from -1 on"),
        ([(np.ones((3, 2)), [0, 1, 0], None, 1)], "block 1 of the stream is a tuple of 4"),
        ([(np.ones((3, 2)), [0.5, 1.5, 0.1])], "continuous"),
    ],
)
def test_bad_blocks(blocks, message):
    """The message says which block it is."""
    with pytest.raises(ValueError, match=message):
        FrontClassifier().fit(Stream(blocks))


def test_other_refusals():
    """Arguments beside a stream, and methods that take samples in memory."""
    X, y, _ = dense_samples()
    stream = in_blocks([50], X, y)
    with pytest.raises(ValueError, match="y was given beside a stream"):
        FrontClassifier().fit(stream, y)
    with pytest.raises(TypeError, match=r"takes samples in memory, got a stream; call it for each block"):
        FrontClassifier().partial_fit(stream, classes=["a", "b", "c"])
    with pytest.raises(TypeError, match=r"takes samples in memory, got a stream; call it for each block"):
        FrontRegressor().partial_fit(stream)
    with pytest.raises(TypeError, match="NoPropClassifier takes samples in memory"):
        NoPropClassifier().fit(stream)
    for blocks, message in (([[X, y]], r"block 1 of the stream is a list of 2 arrays; give a tuple, \(X, y\)"),):
        with pytest.raises(TypeError, match=message):
            FrontClassifier().fit(Stream(blocks))
    with pytest.raises(ValueError, match=r"has no targets; give \(X, y\), a tuple, where it is a list"):
        FrontClassifier().fit(Stream([[[[1.0], [2.0]], [0, 1]]]))
    S, t = sparse_samples()
    with pytest.raises(ValueError, match=r"squares overflow; scale the blocks$"):
        FrontClassifier(dtype="float64").fit(in_blocks([50], S * 1e200, t))
    with pytest.raises(TypeError, match="a block holds an array, a DataFrame or a sparse matrix"):
        FrontClassifier().fit(Stream([(fcfast.Gram(X), y)]))
    with pytest.raises(MemoryError, match="memory_limit"):
        FrontClassifier(memory_limit=1000).fit(stream)
    classifier = FrontClassifier(max_epochs=1).fit(stream)
    with pytest.raises(ValueError, match="block 1 of the stream has no targets"):
        classifier.score(Stream([X]))
    with pytest.raises(ValueError, match="no samples"):
        classifier.predict(Stream([]))


def test_empty_blocks_are_skipped():
    """A filter may leave none of a block's rows."""
    X, y, _ = dense_samples()
    blocks = [(X[:0], y[:0]), (X[:100], y[:100]), (X[:0], y[:0]), (X[100:], y[100:])]
    settings = PLAIN | {"hidden_layer_sizes": (3,)}
    assert_same(FrontClassifier(**settings).fit(Stream(blocks)), FrontClassifier(**settings).fit(in_blocks([N], X, y)))


# ----------------------------------------------------------------------------------------------------------------------
# files


@pytest.fixture
def svmlight(tmp_path):
    """Write a file of sparse samples."""

    def write(X, y, name="samples.svm"):
        rows = (
            f"{label} " + " ".join(f"{j}:{value!r}" for j, value in zip(row.indices.tolist(), row.data.tolist(), strict=True))
            for label, row in zip(y.tolist(), (X[[i]] for i in range(X.shape[0])), strict=True)
        )
        text = ("# a comment\n" + "\n".join(rows) + "\n").encode()
        path = tmp_path / name
        path.write_bytes(gzip.compress(text) if name.endswith(".gz") else text)
        return path

    return write


@pytest.mark.parametrize("name", ["samples.svm", "samples.svm.gz"])
@pytest.mark.parametrize("n_features", [None, 3000])
def test_svmlight(svmlight, name, n_features):
    """Blocks of a file are the rows of the matrix, and the width is found while it is first read."""
    X, y = sparse_samples()
    width = int(X.indices.max()) + 1 if n_features is None else n_features
    X = X[:, :width]
    path = svmlight(X, y, name)
    stream = SvmlightStream(path, n_features, block_rows=57)
    assert [block.X.shape[0] for block in stream] == [56, 57, 57, 57, 3]  # the first one has a comment
    settings = PLAIN | {"hidden_layer_sizes": (4,), "batch_size": 16, "optimizer": "sgd", "form": "weights", "init": "small"}
    streamed = FrontClassifier(**settings).fit(stream)
    assert_same(streamed, FrontClassifier(**settings).fit(X, y))
    assert streamed.n_features_in_ == width
    assert streamed.score(stream) == streamed.score(X, y)
    wider = svmlight(sparse.csr_array(np.eye(3, width + 9, 7) + np.eye(3, width + 9, width)), np.zeros(3, int), "wider.svm")
    expected = streamed.predict_proba(sparse.csr_array(np.eye(3, width, 7)))
    np.testing.assert_allclose(streamed.predict_proba(SvmlightStream(wider)), expected)


def test_svmlight_refused(tmp_path, svmlight):
    """Other files, pipes, damaged lines."""
    with pytest.raises(FileNotFoundError, match="does not exist"):
        SvmlightStream(tmp_path / "no.svm")
    (tmp_path / "a.csv").write_text("1,2\n")
    with pytest.raises(ValueError, match="is no svmlight file"):
        SvmlightStream(tmp_path / "a.csv")
    (tmp_path / "bad.svm").write_text("1 0:1\n0 1:1\n1 0:x\n")
    with pytest.raises(ValueError, match=r"bad.svm, line 3 cannot be read as svmlight text"):
        FrontClassifier().fit(SvmlightStream(tmp_path / "bad.svm", block_rows=2))
    with pytest.raises(ValueError, match="block_rows must be >= 1"):
        SvmlightStream(tmp_path / "bad.svm", block_rows=0)
    (tmp_path / "untold.svm").write_text("0:1 1:1\n1:1\n")
    with pytest.raises(ValueError, match="block 1 of the stream has no targets"):
        FrontClassifier().fit(SvmlightStream(tmp_path / "untold.svm"))
    assert [block.X.shape for block in SvmlightStream(tmp_path / "untold.svm", 4)] == [(2, 4)]


@pytest.mark.parametrize("block_rows", [1, 2, 3, 4, 100])
def test_empty_lines_of_svmlight_without_targets(tmp_path, block_rows):
    """One may be a sample, so it is refused with its number in the file, wherever blocks end; at the end it is none."""
    path = tmp_path / "a.svm"
    for text, line in (("0:1 51:1\n1:1 52:1\n\n3:1 52:1\n", 3), ("0:1\n1:1\n1:1\n\n\n# end\n", 4), ("\n\n0:1\n", 1)):
        path.write_text(text)
        with pytest.raises(ValueError, match=f"line {line} is empty in a file without targets"):
            list(SvmlightStream(path, block_rows=block_rows))
        with pytest.raises(ValueError, match=f"line {line} is empty in a file without targets"):
            read_table(path)
    path.write_text("# three samples\n0:1\n1:1\n0:0\n\n\n\n")
    blocks = list(SvmlightStream(path, 2, block_rows=block_rows))
    np.testing.assert_array_equal(np.concatenate([block.X.toarray() for block in blocks]), [[1, 0], [0, 1], [0, 0]])


@pytest.mark.parametrize("block_rows", [1, 2, 3, 100])
def test_whether_svmlight_counts_from_1(tmp_path, block_rows):
    """The whole file tells; a block may lack the first feature."""
    path = tmp_path / "off.svm"
    path.write_text("1 1:1 3:1\n1 0:1 2:1\n0 1:1 2:1\n")
    blocks = list(SvmlightStream(path, 3, block_rows=block_rows))
    np.testing.assert_array_equal(np.concatenate([b.X.toarray() for b in blocks]), [[0, 1, 0], [1, 0, 1], [0, 1, 1]])
    path.write_text("1 1:1 3:1\n0 1:1 2:1\n1 1:1 3:1\n")
    with pytest.raises(ValueError, match=r"off.svm has 4 features, .* where 3 are known: it seems to count from 1"):
        list(SvmlightStream(path, 3, block_rows=block_rows))
    path.write_text("1 1:1 3:1\n0 1:1 5:1\n1 1:1 3:1\n")
    assert sum(block.X.nnz for block in SvmlightStream(path, 3, block_rows=block_rows)) == 3


@pytest.mark.parametrize("damage", ["1 3:x", "1 2:1 1:1", "one 1:1", "1 -1:2"])
@pytest.mark.parametrize("line", [1, 2, 500, 601, 1001])
def test_damaged_lines_are_named(tmp_path, damage, line):
    """By their number in the file, also if it is read as a whole; empty lines and comments count."""
    path = tmp_path / "bad.svm"
    lines = ["1 0:1 2:0.5", "0 1:1", "# a comment", "", "1 4:1 # another"] * 201
    lines[line - 1] = damage
    path.write_text("\n".join(lines) + "\n")
    message = rf"bad.svm, line {line:,} cannot be read as svmlight text \(.*; write it again"
    with pytest.raises(ValueError, match=message):
        list(SvmlightStream(path, block_rows=300))
    with pytest.raises(ValueError, match=message):
        read_table(path)


def test_rows_are_those_of_the_file(tmp_path):
    """A value that is missing in a later block; blocks are not filled in, so that nothing advises it."""
    path = tmp_path / "a.svm"
    path.write_text("1 1:1\n0 0:1\n1 1:nan\n1 0:1\n")
    with pytest.raises(ValueError, match=r"a.svm: column 1 .* the first is row 2; leave the rows out$"):
        list(SvmlightStream(path, block_rows=2))
    path.write_text("1 1:1\n0 0:1\n1 1:1\nnan 0:1\n")
    with pytest.raises(ValueError, match=r"a.svm: column 'target' .* the first is row 3"):
        list(SvmlightStream(path, block_rows=2))
    pd = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    for y in ([1.0, 0.0, None, 1.0], ["a", "b", None, "a"]):
        pd.DataFrame({"x": [1.0, 2, 3, 4], "y": y}).to_parquet(tmp_path / "a.parquet")
        with pytest.raises(ValueError, match=r"'y'.* the first is row 2"):
            list(ParquetStream(tmp_path / "a.parquet", "y", block_rows=2))


def test_damaged_gzip(tmp_path):
    """The message names the file, wherever it is cut or whatever it holds."""
    path = tmp_path / "a.svm.gz"
    content = gzip.compress(b"".join(b"%d %d:1\n" % (i % 2, i * 7919 % 10007) for i in range(20000)))
    for damaged in (content[:-5], content[: len(content) // 2], b"1 0:1\n", content[:-8] + bytes(8)):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"a.svm.gz cannot be unpacked as gzip \(.*; copy or compress it again"):
            list(SvmlightStream(path, block_rows=100))


def test_parquet_of_numbers(tmp_path):
    """Columns are features, and another one is the target."""
    pd = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    X, y, weights = dense_samples()
    table = pd.DataFrame(X, columns=[f"x{j}" for j in range(D)]).assign(kind=y, weight=weights)
    table.to_parquet(tmp_path / "a.parquet", row_group_size=40)
    settings = PLAIN | {"hidden_layer_sizes": (4,), "form": "weights", "batch_size": 16}
    stream = ParquetStream(tmp_path / "a.parquet", "kind", sample_weight="weight", block_rows=64)
    assert_same(FrontClassifier(**settings).fit(stream), FrontClassifier(**settings).fit(X, y, weights))
    chosen = ParquetStream(tmp_path / "a.parquet", "x1", ["x5", "x2"])
    np.testing.assert_array_equal(next(iter(chosen)).X, X[:, [5, 2]])
    np.testing.assert_array_equal(next(iter(chosen)).y, X[:, 1])
    with pytest.raises(ValueError, match="has no column 'z'"):
        ParquetStream(tmp_path / "a.parquet", "z")
    for features, message in ((["x1", "kind"], "target='kind' is among"), (["weight"], "sample_weight='weight' is among")):
        with pytest.raises(ValueError, match=message):
            ParquetStream(tmp_path / "a.parquet", "kind", features, sample_weight="weight")
    with pytest.raises(TypeError, match=r"features must be a sequence of names.*give \['ab'\]"):
        ParquetStream(tmp_path / "a.parquet", "kind", "ab")
    with pytest.raises(TypeError, match="text must be the name of one column"):
        ParquetStream(tmp_path / "a.parquet", "kind", text=["x1", "x2"])
    with pytest.raises(ValueError, match=r"'kind'.*is not a number"):
        next(iter(ParquetStream(tmp_path / "a.parquet", "x1")))


@pytest.mark.parametrize("vectorizer", [None, HashingVectorizer(n_features=2**12), "fitted"])
def test_parquet_of_text(tmp_path, vectorizer):
    """A vectoriser turns a column of text into features, block by block."""
    pd = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    texts = [f"word{i % 7} word{i % 11} word{i}" for i in range(60)]
    y = np.arange(60) % 7 > 3
    pd.DataFrame({"text": [*texts[:-1], None], "y": y}).to_parquet(tmp_path / "a.parquet")
    vectorizer = TfidfVectorizer().fit(texts) if vectorizer == "fitted" else vectorizer
    stream = ParquetStream(tmp_path / "a.parquet", "y", text="text", vectorizer=vectorizer, block_rows=25)
    X = (vectorizer or HashingVectorizer()).transform([*texts[:-1], ""])
    settings = PLAIN | {"hidden_layer_sizes": (4,), "form": "weights", "init": "small"}
    streamed = FrontClassifier(**settings).fit(stream)
    whole = FrontClassifier(**settings).fit(X, np.where(y, "True", "False"))
    np.testing.assert_allclose(streamed.predict_proba(stream), whole.predict_proba(X), rtol=1e-9)
    text = streamed.text_
    assert text.columns == ["text"]
    np.testing.assert_array_equal(text.transform(texts[:9]).toarray(), X[:9].toarray())
    streamed.save(tmp_path / "m.safetensors")
    loaded = fcfast.load(tmp_path / "m.safetensors").text_
    np.testing.assert_array_equal(loaded.transform(texts[:9]).toarray(), X[:9].toarray())
    for wrong, message in (({"vectorizer": HashingVectorizer()}, "name the column"), ({"text": "y"}, "no text")):
        with pytest.raises(ValueError, match=message):
            list(ParquetStream(tmp_path / "a.parquet", **wrong))
    with pytest.raises(TypeError, match="must have a method transform"):
        ParquetStream(tmp_path / "a.parquet", text="text", vectorizer=len)


def test_blocks():
    """A block is a tuple, and targets and weights may be left out."""
    assert [block.y for block in Stream([(1, 2), 3])] == [2, None]
    assert Block(1)._fields == ("X", "y", "sample_weight")


# ----------------------------------------------------------------------------------------------------------------------
# memory


def test_nothing_is_as_long_as_a_row(tmp_path):
    """2^26 features of which few occur: whatever is done takes memory for these alone."""
    d, rng = 1 << 26, np.random.default_rng(0)
    width = 2000

    def portion(seed):
        indices = np.sort(np.random.default_rng(seed).integers(0, d, (100, 3)), axis=1).ravel()
        return sparse.csr_array((np.ones(300), indices, np.arange(0, 301, 3)), shape=(100, d)), rng.integers(0, 2, 100)

    portions = [portion(seed) for seed in range(3)]
    settings = {"hidden_layer_sizes": (16,), "batch_size": 20, "random_state": 0}
    tracemalloc.start()
    try:
        streamed = FrontClassifier(max_epochs=2, **settings).fit(Stream(portions))
        continued = FrontClassifier(**settings)
        for X, y in portions:
            continued.partial_fit(X, y, classes=[0, 1])
        unseen = portion(9)[0]
        for number, classifier in enumerate((streamed, continued)):
            classifier.save(tmp_path / f"{number}.safetensors")
            loaded = fcfast.load(tmp_path / f"{number}.safetensors")
            np.testing.assert_allclose(loaded.predict_proba(unseen), classifier.predict_proba(unseen), rtol=1e-5)
            loaded.partial_fit(*portions[0])
            assert len(classifier.network_.front.slots) < width
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 32 << 20  # a byte for each feature would be twice that
