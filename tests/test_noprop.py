"""NoPropClassifier from the point of view of a scikit-learn user: all forms, threads and orders, and invalid input."""

import pickle
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from itertools import count, product
from time import sleep

import numpy as np
import pytest
from classic import NoPropClassifier
from noprop_cases import SMALL, VARIANTS, trained, wide_samples
from scipy import sparse
from sklearn.base import clone
from sklearn.datasets import load_digits, make_blobs
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from fcfast import backend
from fcfast.noprop import LinearNoise
from fcfast.noprop.labels import LabelSpace
from fcfast.noprop.network import NoPropNetwork
from fcfast.noprop.variants import Inference
from fcfast.optimizers import SGD, Muon, NeuronAdam
from fcfast.threads import resolve_n_jobs

COMPILED = backend.NAME == "compiled"
FORMS = ("weights", "windowed", "contributions")

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")  # few epochs on purpose


@pytest.fixture(scope="module")
def wide():
    """Samples and classes."""
    return wide_samples()


def assert_same_bits(one, other):
    """Two classifiers have the same parameters to the last bit."""
    for a, b in zip(one.network_.snapshot(), other.network_.snapshot(), strict=True):
        np.testing.assert_array_equal(a, b)


def front_weights(classifier):
    """Conventional weights (h, d) of each block's front layer: c W1(0) + A' X where they are contributions."""
    fronts = classifier.network_.fronts
    if classifier.form_ != "contributions":
        return [form.base for form in fronts.forms]
    initial = np.split(fronts.contributed.initial.dense("float64"), len(fronts.forms))
    return [
        form.scale[0] * W0 + form.base.T @ fronts.contributed.gram.X for form, W0 in zip(fronts.forms, initial, strict=True)
    ]


# ----------------------------------------------------------------------------------------------------------------------
# scikit-learn


def expected_failures(estimator):
    """Checks that repeat samples."""
    reason = "each sample has noise of its own, so that one twice is not one of twice the weight; true of the paper's loss"
    return {f"check_sample_weight_equivalence_on_{kind}_data": reason for kind in ("dense", "sparse")}


CHECKED = {"n_blocks": 2, "max_epochs": 20, "learning_rate": 0.01, "hidden": (32, 16)}


@pytest.mark.skipif(not COMPILED, reason="the checks fit hundreds of networks; the compiled kernels do")
@parametrize_with_checks(
    [
        # in float64: on some kernels float32 rounds by the place in the batch, by more than the checks allow
        NoPropClassifier(**CHECKED | {"optimizer": "adamw", "max_epochs": 10}, dtype="float64"),
        NoPropClassifier("ct", **CHECKED, dtype="float64", n_steps=5),
        NoPropClassifier("fm", **CHECKED, dtype="float64", n_steps=5, embedding="learned"),
        NoPropClassifier("backprop", **CHECKED, dtype="float64", batch_norm=True),
    ],
    expected_failed_checks=expected_failures,
)
@pytest.mark.filterwarnings("ignore")  # the checks provoke warnings
def test_scikit_learn_checks(estimator, check):
    """All of scikit-learn's own checks."""
    check(estimator)


@pytest.mark.bits
@pytest.mark.parametrize("variant", VARIANTS)
def test_pickle_and_clone(wide, variant):
    """A pickled network predicts the same and can be trained again; a clone is not fitted."""
    X, y = wide
    classifier = trained(X, y, variant=variant, embedding="learned", batch_norm=True)
    copy = pickle.loads(pickle.dumps(classifier))
    np.testing.assert_array_equal(copy.predict_proba(X), classifier.predict_proba(X))
    assert_same_bits(copy.fit(X, y), classifier)
    assert not hasattr(clone(copy), "network_")
    for unfitted in (lambda c: c.predict(X), lambda c: c.embedding_, lambda c: next(c.staged_predict_proba(X))):
        with pytest.raises(NotFittedError):
            unfitted(clone(copy))


@pytest.mark.bits
def test_a_pickled_network_goes_on_as_it_was(wide):
    """What is trained of a copy is what it predicts with: parts that share memory do so in the copy too."""
    X, y = wide
    for variant, embedding in product(VARIANTS, ("one-hot", "learned")):
        settings = {"variant": variant, "embedding": embedding, "form": "contributions", "optimizer": "neuron-adam"}
        network = trained(X, y, **settings).network_
        copy = pickle.loads(pickle.dumps(network))
        answers = np.arange(30) % 3
        losses = [one.train_epoch(np.arange(30), np.full(5, 0.1), answers, None) for one in (network, copy)]
        np.testing.assert_array_equal(*losses)
        np.testing.assert_array_equal(network.outputs(X), copy.outputs(X))


def test_pipeline_and_grid_search(wide):
    """The places a scikit-learn estimator must work in."""
    X, y = wide
    pipeline = make_pipeline(StandardScaler(), NoPropClassifier(**SMALL | {"max_epochs": 15, "learning_rate": 0.01}))
    search = GridSearchCV(pipeline, {"nopropclassifier__eta": [0.5, 1.0]}, cv=2).fit(X, y)
    assert search.best_estimator_.score(X, y) > 0.9


def test_digits(scaled):
    """Every variant reads handwritten digits."""
    X, y = load_digits(return_X_y=True)
    X_train, X_test, y_train, y_test = train_test_split(X / 16, y, test_size=0.3, random_state=0)
    settings = {"n_blocks": 3, "hidden": (64, 32), "batch_size": 32, "learning_rate": 6e-3, "random_state": 0}
    for variant, n_epochs, embedding in (
        ("dt", 6, "one-hot"),
        ("ct", 12, "one-hot"),
        ("fm", 12, "one-hot"),
        ("dt", 9, "learned"),
    ):
        classifier = NoPropClassifier(variant, **settings, embedding=embedding, max_epochs=n_epochs).fit(X_train, y_train)
        assert classifier.score(X_test, y_test) > 0.9, variant
    # end to end, gates and softmaxes let little through: it needs more
    baseline = NoPropClassifier("backprop", **settings, embedding="learned", max_epochs=scaled(30, 15)).fit(X_train, y_train)
    assert baseline.score(X_test, y_test) > scaled(90, 70) / 100


# ----------------------------------------------------------------------------------------------------------------------
# forms, threads, orders


@pytest.mark.parametrize("optimizer", [
    SGD(momentum=0.9, weight_decay=0.1), SGD(momentum=0.5, nesterov=True, max_grad_norm=0.1), Muon(weight_decay=0.1),
    NeuronAdam(weight_decay=0.1),
], ids=lambda optimizer: f"{optimizer.name}{optimizer.max_grad_norm or ''}")  # fmt: skip
@pytest.mark.parametrize("variant", VARIANTS)
def test_forms_agree(wide, variant, optimizer):
    """Contributions, windows of two batches and weights are one training: losses, predictions, weights of every block."""
    X, y = wide
    # adaptive steps make what they like of biases that batch normalisation subtracts, whose gradient is rounding alone
    for settings in ({}, {"embedding": "learned", "embedding_dim": 2, "batch_norm": optimizer.name == "sgd"}):
        settings |= {"variant": variant, "optimizer": optimizer, "learning_rate": 0.01, "batch_size": 8}
        fitted = [trained(X, y, form=form, window=16 if form == "windowed" else "auto", **settings) for form in FORMS]
        assert [classifier.form_ for classifier in fitted] == list(FORMS)
        expected = fitted[0]
        start = trained(X, y, form="weights", **settings | {"learning_rate": 1e-30})
        for other in fitted[1:]:
            np.testing.assert_allclose(other.loss_curve_, expected.loss_curve_, rtol=1e-9)
            for W, wanted, first in zip(*map(front_weights, (other, expected, start)), strict=True):
                np.testing.assert_allclose(W, wanted, rtol=0, atol=1e-10 * np.abs(wanted - first).max())
            for block, wanted in zip(other.network_.blocks, expected.network_.blocks, strict=True):
                np.testing.assert_allclose(block.params, wanted.params, rtol=0, atol=1e-10 * np.abs(wanted.params).max())
            np.testing.assert_allclose(other.embedding_, expected.embedding_, rtol=1e-10)
            np.testing.assert_allclose(other.predict_proba(X), expected.predict_proba(X), rtol=1e-8, atol=1e-11)


def test_forms_agree_in_random_order(wide):
    """A block that comes again before the others have a turn, in windows of its own batches."""
    X, y = wide
    for embedding in ("one-hot", "learned"):
        settings = {"order": "random", "optimizer": "neuron-adam", "embedding": embedding, "batch_size": 5}
        fitted = [trained(X, y, form=form, window=10 if form == "windowed" else "auto", **settings) for form in FORMS]
        for other in fitted[1:]:
            np.testing.assert_allclose(other.loss_curve_, fitted[0].loss_curve_, rtol=1e-9)
            np.testing.assert_allclose(other.predict_proba(X), fitted[0].predict_proba(X), rtol=1e-8)


@pytest.mark.bits
@pytest.mark.parametrize("order", ["sequential", "random"])
@pytest.mark.parametrize("form", ["weights", "contributions"])
@pytest.mark.parametrize("settings", [{}, {"embedding": "learned"}, {"variant": "ct"}], ids=str)
def test_bits_do_not_depend_on_threads(wide, settings, form, order):
    """Blocks side by side, or kernels with threads where blocks share something: the same bits."""
    X, y = wide
    if settings.get("variant") == "ct" and order == "random":
        pytest.skip("one block has one order")
    optimizer = {"weights": "adamw", "contributions": "neuron-adam"}[form]
    settings = settings | {"form": form, "order": order, "optimizer": optimizer, "hidden": (300, 20), "dtype": "float32"}
    one, two = (trained(X, y, n_jobs=n_jobs, max_epochs=2, **settings) for n_jobs in (1, 2))
    assert_same_bits(one, two)
    np.testing.assert_array_equal(one.loss_curve_, two.loss_curve_)


def test_orders(wide):
    """A pass per block, or a block drawn for each batch: other paths to networks that are as good."""
    X, y = wide
    settings = {"max_epochs": 15, "learning_rate": 0.01}
    fitted = [trained(X, y, order=order, **settings) for order in ("sequential", "random")]
    assert [classifier.score(X, y) for classifier in fitted] == [1, 1]
    assert not np.array_equal(*(classifier.network_.blocks[0].params for classifier in fitted))
    for classifier in fitted:
        assert classifier.loss_curve_[-1] < 0.5 * classifier.loss_curve_[0]


@pytest.mark.parametrize("form", ["weights", "contributions"])
def test_initial_weights(wide, form):
    """He uniform, however many blocks there are; a tenth of it where a block ends; no biases; every block has its own."""
    X, y = wide
    settings = {"hidden": (60, 40), "learning_rate": 1e-30, "max_epochs": 1, "optimizer": "sgd", "weight_decay": 0.0}
    for n_blocks, init_scale in ((1, 1.0), (5, 0.3)):
        classifier = trained(X, y, n_blocks=n_blocks, init_scale=init_scale, form=form, batch_norm=True, **settings)
        fronts, blocks = front_weights(classifier), classifier.network_.blocks
        layers = [weights for block in blocks for weights in block.layers.weights.values()]
        factors = [0.1 if name in ("z3", "out") else 1 for block in blocks for name in block.layers.weights]
        scales = [*(init_scale for _ in fronts), *factors]
        for weights, scale in zip([*fronts, *layers], scales, strict=True):
            bound = scale * (6 / weights.shape[1]) ** 0.5
            assert 0.95 * bound < np.abs(weights).max() <= bound * (1 + 1e-6)
            np.testing.assert_allclose(weights.std(), bound / 3**0.5, rtol=0.15)
        for block in blocks:  # they have been moved by 1e-30
            ones = np.concatenate([norm.scale for norm in block.layers.norms.values()])
            np.testing.assert_allclose(ones, 1, rtol=1e-12)
            vectors = np.concatenate([block.params[place] for _, place, _ in block.layers.vectors])
            assert (np.abs(vectors) < 1e-20).sum() == len(vectors) - len(ones)
        assert len({weights.tobytes() for weights in (*fronts, *layers)}) == len(fronts) + len(layers)


class Asked:
    """Labels that note which of them are asked for."""

    def __init__(self):
        self.batches = []

    def __getitem__(self, rows):
        self.batches.append(rows)
        return rows % 3


@pytest.mark.parametrize("order", ["sequential", "random"])
def test_batches_of_an_epoch(wide, order):
    """In turn, each block passes over all rows, in an order of its own; at random, there are as many batches in all."""
    # one thread: in several, blocks take their batches at the same time
    network, asked = trained(*wide, form="contributions", optimizer="sgd", order=order, n_jobs=1).network_, Asked()
    rows = np.arange(30)[::-1]
    network.train_epoch(rows, np.full(5, 1e-9), asked, None)
    assert sorted(map(len, asked.batches)) == [2] * 3 + [7] * 12
    taken = np.concatenate(asked.batches)
    if order == "random":
        np.testing.assert_array_equal(np.bincount(taken), 3)
        return
    passes = taken.reshape(3, 30)
    np.testing.assert_array_equal(passes[0], rows)
    np.testing.assert_array_equal(np.sort(passes), [np.arange(30)] * 3)
    assert len(np.unique(passes, axis=0)) == 3


@pytest.mark.bits
@pytest.mark.parametrize("optimizer", ["sgd", "neuron-adam", "adamw"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_restored_networks_start_anew(wide, variant, optimizer):
    """No trace of what came after a snapshot is left in an optimiser, of blocks, front layers, labels or the variant's own."""
    X, y = wide
    form = "weights" if optimizer == "adamw" else "contributions"
    rows, rates, answers = np.arange(30), np.full(5, 0.01), np.arange(30) % 3
    networks = []
    for n_more in (0, 2):
        network = trained(X, y, variant=variant, optimizer=optimizer, form=form, embedding="learned").network_
        if form == "weights":
            for part in network.fronts.forms:
                part.source = X  # it has let go of it
        kept, generators = network.snapshot(), deepcopy(network.generators)
        for _ in range(n_more):
            network.train_epoch(rows, rates, answers, None)
        network.restore(kept)
        network.generators = generators
        network.train_epoch(rows, rates, answers, None)
        networks.append(network)
    for a, b in zip(*(network.snapshot() for network in networks), strict=True):
        np.testing.assert_array_equal(a, b)


def test_sparse_equals_dense(wide):
    """CSR input gives the same network, prototypes included; new sparse data the same predictions."""
    X, y = wide
    X = np.where(np.abs(X) > 0.5, X, 0)
    for settings in ({}, {"embedding": "prototype", "variant": "fm"}):
        settings |= {"optimizer": "neuron-adam"}
        dense = trained(X, y, form="contributions", **settings)
        csr = trained(sparse.csr_array(X), y, **settings)
        assert csr.form_ == "contributions"
        np.testing.assert_allclose(csr.loss_curve_, dense.loss_curve_, rtol=1e-9)
        np.testing.assert_allclose(csr.predict_proba(sparse.csr_array(X)), dense.predict_proba(X), rtol=1e-8)
    with pytest.raises(ValueError, match="optimizer='adamw' needs form='weights', which on sparse samples leaves"):
        trained(sparse.csr_array(X), y, optimizer="adamw")


def test_weights_do_not_hold_the_samples(wide):
    """A pickle of a network in form "weights" does not grow with them; contributions need them."""
    X, y = wide
    sizes = [len(pickle.dumps(trained(X[:n], y[:n], form="weights", max_epochs=1))) for n in (15, 30)]
    assert sizes[1] - sizes[0] < X.nbytes / 20
    assert trained(X, y, form="contributions", optimizer="sgd").network_.fronts.contributed.gram.X is not None


def test_samples_are_converted_once():
    """Blocks in form "weights" share samples of another dtype than theirs: what a training holds does not grow with blocks."""
    X, y = np.zeros((2000, 200)), np.arange(2000) % 2
    peaks = []
    for n_blocks in (1, 8):
        tracemalloc.start()
        try:
            trained(X, y, form="weights", n_blocks=n_blocks, max_epochs=1, batch_size=500, dtype="float32")
            peaks.append(tracemalloc.get_traced_memory()[1])
        finally:
            tracemalloc.stop()
    assert peaks[1] - peaks[0] < X.nbytes / 2


def test_precisions_agree(wide):
    """float32 is float64 rounded: the first loss agrees, noise and initial weights included."""
    X, y = wide
    settings = {"max_epochs": 1, "batch_size": 30, "optimizer": "neuron-adam", "form": "contributions"}
    for variant in VARIANTS:
        first, second = (trained(X, y, variant=variant, **settings, dtype=dtype) for dtype in ("float32", "float64"))
        np.testing.assert_allclose(first.loss_curve_, second.loss_curve_, rtol=1e-4)
        assert first.predict_proba(X).dtype == np.float64
        assert first.network_.dtype == np.float32


# ----------------------------------------------------------------------------------------------------------------------
# weights of samples and classes; epochs


def test_class_weight_is_sample_weight(wide):
    """class_weight multiplies the sample weights, whose scale is of no account."""
    X, y = wide
    by_class = trained(X, y, class_weight={"a": 3, "b": 1, "c": 0.5})
    weights = np.select([y == "a", y == "b"], [3, 1], 0.5)
    for factor in (1, 8):
        by_sample = NoPropClassifier(**SMALL).fit(X, y, sample_weight=factor * weights)
        np.testing.assert_allclose(by_class.loss_curve_, by_sample.loss_curve_, rtol=1e-12)
    assert by_class.loss_curve_ != trained(X, y).loss_curve_
    with pytest.raises(ValueError, match=r"[Ss]ample.weight.* not all 0|Sample weights must contain at least one non-zero"):
        NoPropClassifier(**SMALL).fit(X, y, sample_weight=np.zeros(30))


def test_early_stopping_keeps_the_best(wide):
    """The network of the best score is the one that stays, batch statistics and all; a third of the data is held out."""
    X, y = wide
    scores, seen = iter([0.1, 0.6, 0.4, 0.5, 0.6, 0.3]), []

    def scripted(estimator, X, y):
        assert X.shape == (10, 200)
        seen.append(estimator.network_.snapshot())
        return next(scores)

    settings = {"early_stopping": True, "validation_fraction": 1 / 3, "n_iter_no_change": 4, "max_epochs": 20}
    settings["scoring"] = scripted
    classifier = trained(X, y, batch_norm=True, embedding="learned", **settings)
    assert classifier.validation_scores_ == [0.1, 0.6, 0.4, 0.5, 0.6, 0.3]
    assert classifier.n_epochs_ == classifier.n_iter_ == len(classifier.loss_curve_) == 6
    for held, best in zip(classifier.network_.snapshot(), seen[1], strict=True):
        np.testing.assert_array_equal(held, best)


def test_early_stopping_by_accuracy(wide):
    """Unscripted: the scores are accuracies of the held-out samples."""
    X, y = wide
    settings = {"early_stopping": True, "validation_fraction": 0.2, "n_iter_no_change": 3, "max_epochs": 40}
    classifier = trained(X, y, learning_rate=0.01, **settings)
    assert set(np.round(np.multiply(classifier.validation_scores_, 6), 9)) <= set(range(7))
    assert classifier.n_epochs_ < 40
    with pytest.raises(ValueError, match="validation_fraction"):
        trained(X, y, early_stopping=True, validation_fraction=0.01)


def test_callbacks(wide):
    """Called after each epoch; True ends the training."""
    seen = []

    def stop_after_two(epoch):
        seen.append(epoch)
        return epoch.epoch == 2

    classifier = NoPropClassifier(**SMALL).fit(*wide, callbacks=[stop_after_two])
    assert classifier.n_epochs_ == 2
    assert [epoch.loss for epoch in seen] == classifier.loss_curve_
    for bad, error in ((3, TypeError), ([3], TypeError)):
        with pytest.raises(error, match=r"callbacks must (be|hold)"):
            NoPropClassifier(**SMALL).fit(*wide, callbacks=bad)


def test_verbose_prints_lines(wide, capsys):
    """The settings, then a line per epoch where there is no terminal."""
    settings = str(trained(*wide, verbose=1).settings_).splitlines()
    lines = capsys.readouterr().out.splitlines()
    assert lines[: len(settings)] == settings
    assert [line[:8] for line in lines[len(settings) :]] == [f"epoch {i}:" for i in range(1, 5)]


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_interrupt(wide, monkeypatch, n_jobs):
    """Ctrl-C after an epoch, and in the middle of one: what stays is the network of whole epochs."""
    X, y = wide
    expected = trained(X, y, max_epochs=2)

    def press(epoch):
        if epoch.epoch == 2:
            raise KeyboardInterrupt

    with pytest.warns(UserWarning, match="interrupted after 2 epoch"):
        classifier = NoPropClassifier(**SMALL, n_jobs=n_jobs).fit(X, y, callbacks=[press])
    assert_same_bits(classifier, expected)
    predicted, calls = LabelSpace.predicted, count()

    def interrupted(self, scores):
        if next(calls) == 2 * 15 + 7:  # 15 steps in an epoch
            raise KeyboardInterrupt
        return predicted(self, scores)

    with monkeypatch.context() as patch:
        patch.setattr(LabelSpace, "predicted", interrupted)
        with pytest.warns(UserWarning, match="interrupted after 2 epoch"):
            classifier = NoPropClassifier(**SMALL, n_jobs=n_jobs).fit(X, y)
    assert_same_bits(classifier, expected)
    assert classifier.n_epochs_ == 2


@pytest.mark.skipif(resolve_n_jobs(2) == 1, reason="one thread makes no pool")
def test_interrupt_while_a_thread_starts(wide, monkeypatch):
    """A pool does not wait for a thread that it could not note; training does, before it takes the epoch back."""
    pools, predicted = count(1), LabelSpace.predicted

    class Pool(ThreadPoolExecutor):
        def submit(self, *arguments):
            future = super().submit(*arguments)
            if self.number == 3 and len(self._threads) == 2:
                sleep(0.05)  # both are at work
                self._threads.clear()
                raise KeyboardInterrupt
            return future

        def __enter__(self):
            self.number = next(pools)
            return super().__enter__()

    def slow(self, scores):
        sleep(0.02)
        return predicted(self, scores)

    expected = trained(*wide, max_epochs=2)
    monkeypatch.setattr("fcfast.noprop.epoch.ThreadPoolExecutor", Pool)
    monkeypatch.setattr(LabelSpace, "predicted", slow)
    with pytest.warns(UserWarning, match="interrupted after 2 epoch"):
        classifier = NoPropClassifier(**SMALL, n_jobs=2).fit(*wide)
    sleep(0.1)  # for a thread that is left behind
    assert_same_bits(classifier, expected)


def test_a_fit_that_fails_changes_nothing(wide, monkeypatch):
    """An estimator that runs out of memory keeps the network it had."""
    X, y = wide
    classifier = trained(X, y)
    before = classifier.predict_proba(X)

    def out_of_memory(*arguments):
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(NoPropNetwork, "train_epoch", out_of_memory)
        with pytest.raises(MemoryError):
            classifier.fit(X[:20], np.arange(20) % 5)
    np.testing.assert_array_equal(classifier.predict_proba(X), before)
    assert classifier.classes_.tolist() == ["a", "b", "c"]


def test_noise_is_independent_of_the_embeddings():
    """Noise of predictions is no stream that anything else was drawn from."""
    X, y = make_blobs(30, 5, random_state=0)
    for seed in range(5):
        settings = {"embedding": "learned", "embedding_dim": 5, "learning_rate": 1e-12, "max_epochs": 1, "random_state": seed}
        network = NoPropClassifier(n_blocks=2, hidden=(8, 5), **settings).fit(X, y).network_
        network.inference = Inference(noise=True)
        first = network.labels.embedding
        for run in range(3):
            z = next(network.trajectory(network.fronts.preactivations(X[:2].astype("f4")), 2, run, Inference(noise=True)))[0][0]
            assert (np.abs(first @ z) / np.linalg.norm(first, axis=1) / np.linalg.norm(z) < 0.999).all()


def test_parameters_that_would_change_another_network(wide):
    """After fit, another variant is refused, by predictions and by files."""
    X, y = wide
    classifier = trained(X, y).set_params(variant="ct")
    with pytest.raises(ValueError, match="variant='ct' was set after fit had trained 'dt'"):
        classifier.predict(X)
    with pytest.raises(ValueError, match="variant='ct' was set after fit"):
        classifier.save("never_written")


def test_batches_of_one_sample():
    """Batch normalisation has nothing to go by: refused, and a last batch of one changes no running variance."""
    X, y = make_blobs(33, 5, random_state=0)
    with pytest.raises(ValueError, match="batch_norm=True needs batches of at least 2 samples"):
        NoPropClassifier(batch_norm=True, batch_size=1).fit(X, y)
    settings = {"n_blocks": 2, "hidden": (8, 5), "batch_norm": True, "max_epochs": 30, "learning_rate": 0.01, "random_state": 0}
    assert NoPropClassifier(batch_size=8, **settings).fit(X, y).score(X, y) > 0.9


def test_prototypes_of_samples_that_count():
    """A sample of weight 0 is no prototype; a class without any other is named."""
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(30, 4)), np.arange(30) % 2
    X[:6] += 50
    weights = np.r_[np.zeros(6), np.ones(24)]
    settings = {"embedding": "prototype", "hidden": (4, 4), "n_blocks": 2, "max_epochs": 1, "learning_rate": 1e-9}
    assert np.abs(NoPropClassifier(**settings).fit(X, y, weights).embedding_).max() < 10
    with pytest.raises(ValueError, match=r"classes \[1\] have none"):
        NoPropClassifier(**settings).fit(X, y, np.where(y, 0.0, 1.0))


class Falling(LinearNoise):
    """A schedule whose signal-to-noise ratio is said to fall."""

    def snr_derivative(self, t):
        """Give nonsense."""
        return -super().snr_derivative(t)


@pytest.mark.parametrize(
    ("schedule", "settings", "message"),
    [
        (Falling(), {"variant": "ct"}, r"snr_derivative\(t\) must be finite and >= 0"),
        ([0.5, 0.1, 0.9], {"n_blocks": 2}, "noise_schedule must be one of.*alpha_bar must rise"),
        (LinearNoise, {"variant": "ct"}, "noise_schedule for all times"),
        ("cosine", {"n_blocks": 150}, "noise_schedule=.*does not rise over 150 blocks.*fewer blocks"),
    ],
    ids=str,
)
def test_schedules_that_make_no_sense(wide, schedule, settings, message):
    """The parameter is named."""
    with pytest.raises((ValueError, TypeError), match=message):
        trained(*wide, noise_schedule=schedule, **settings)
