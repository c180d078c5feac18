"""Prediction by NoProp: the path of each variant from noise to a class, against its definition; embeddings of labels."""

import numpy as np
import pytest
from classic import NoPropClassifier
from scipy import sparse
from sklearn.datasets import make_blobs

from fcfast.losses import softmax
from fcfast.noprop import CosineNoise, network
from fcfast.noprop.labels import LabelSpace, orthogonal, prototypes

VARIANTS = ("dt", "ct", "fm", "backprop")
SMALL = {"n_blocks": 3, "hidden": (8, 5), "max_epochs": 5, "dtype": "float64", "random_state": 0, "learning_rate": 0.01}

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")  # few epochs on purpose


@pytest.fixture(scope="module")
def blobs():
    """40 samples, 12 features, 3 classes that overlap: probabilities are not 0 and 1."""
    X, y = make_blobs(40, 12, centers=3, cluster_std=9.0, random_state=0)
    return X / 10, np.array(["a", "b", "c"])[y]


def trained(X, y, **settings):
    """Train a small network."""
    return NoPropClassifier(**SMALL | settings).fit(X, y)


# ----------------------------------------------------------------------------------------------------------------------
# the ways by their definitions


def scores_of(net, t, X, z, time):
    """Scores of a block: its layers one after the other, normalised by what they have seen."""
    block = net.blocks[t]

    def normalised(name, S):
        norm = block.layers.norms.get(name)
        if norm is None:
            return S
        mean, variance = block.running[name]
        return norm.scale * (S - mean) / np.sqrt(variance + 1e-5) + norm.shift

    def linear(name, values):
        weights = block.layers.weights[name]
        return values @ weights.T + block.layers.packed[name][0][weights.size :]

    def hidden(name, values):
        return np.tanh(normalised(name, linear(name, values)))

    x = np.tanh(normalised("x", X @ net.fronts.forms[t].base.T + block.layers.bias))
    h = hidden("z1", z)
    if time is None:
        branches = [x, h + normalised("z3", linear("z3", hidden("z2", h)))]
    else:
        angles = 1000 * time * np.logspace(0, -4, 32)
        features = np.concatenate([np.sin(angles), np.cos(angles)])
        branches = [x, h, hidden("t", np.tile(features, (len(X), 1)))]
    return linear("out", hidden("f2", hidden("f1", np.concatenate(branches, axis=1))))


def shares(scores):
    return np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)


def posterior(before, after):
    """Factors of a step of the chain, from abar of the states before and after it."""
    alpha = before / after
    return (
        np.sqrt(after) * (1 - alpha) / (1 - before),
        np.sqrt(alpha) * (1 - after) / (1 - before),
        (1 - after) * (1 - alpha) / (1 - before),
    )


def way(classifier, X, run=0):
    """Points and probabilities after each step, by the paper's formulas."""
    net, W = classifier.network_, classifier.embedding_
    key = np.random.SeedSequence(net.seed, spawn_key=(len(net.generators), run))
    draw = np.random.default_rng(key)  # all samples share a run's noise
    noisy, variant = classifier.inference_noise, classifier.variant
    z = np.tile(draw.normal(size=W.shape[1]) if noisy else np.zeros(W.shape[1]), (len(X), 1))
    n = classifier.n_steps or {"dt": 3, "backprop": 3, "ct": 50, "fm": 20}[variant]
    abar = CosineNoise().alpha_bar(np.arange(n + 1) / n)
    if variant == "ct":
        start, end = net.own if len(net.own) else (7, -7)
        abar = 1 / (1 + np.exp(start + (end - start) * np.arange(n + 1) / n))
    for k in range(n):
        if variant == "fm":
            z = z + scores_of(net, 0, X, z, k / n) @ W / n
            squares = ((z[:, None] - W) ** 2).sum(axis=2)
            gaps = ((W[:, None] - W) ** 2).sum(axis=2)
            yield z, shares(-4 * squares / gaps[gaps > 0].min())
            continue
        p = shares(scores_of(net, k if variant != "ct" else 0, X, z, k / n if variant == "ct" else None))
        if variant == "backprop":
            gate = np.tanh(net.own[k])
            z = (1 - gate) * z + gate * p @ W
            head, bias = net.labels.head
            yield z, p if k < n - 1 else shares(z @ head.T + bias)
        elif classifier.update == "deterministic":
            now, then = abar[k : k + 2]
            z = np.sqrt(then) * p @ W + np.sqrt((1 - then) / (1 - now)) * (z - np.sqrt(now) * p @ W)
            yield z, p
        else:
            a, b, c = posterior(*abar[k : k + 2])
            z = a * p @ W + b * z + (np.sqrt(c) * draw.normal(size=W.shape[1]) if noisy else 0)
            yield z, p


@pytest.mark.parametrize("embedding", ["one-hot", "learned", "prototype"])
@pytest.mark.parametrize("settings", [
    {"variant": "dt"},
    {"variant": "dt", "inference_noise": True, "batch_norm": True},
    {"variant": "ct", "n_steps": 7},
    {"variant": "ct", "inference_noise": True},
    {"variant": "ct", "update": "deterministic", "n_steps": 9, "batch_norm": True},
    {"variant": "ct", "noise_schedule": "learned", "loss_weighting": "snr", "n_steps": 6},
    {"variant": "fm"},
    {"variant": "fm", "inference_noise": True, "n_steps": 4, "batch_norm": True},
    {"variant": "backprop", "batch_norm": True},
], ids=str)  # fmt: skip
def test_way_from_noise_to_label(blobs, settings, embedding):
    """Points and probabilities after every step are those of the formulas."""
    X, y = blobs
    classifier = trained(X, y, embedding=embedding, activation="tanh", **settings)
    points, probabilities = map(np.array, zip(*way(classifier, X), strict=True))
    np.testing.assert_allclose(classifier.trajectory(X), points, rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(list(classifier.staged_predict_proba(X)), probabilities, rtol=1e-8, atol=1e-11)
    np.testing.assert_allclose(classifier.predict_proba(X), probabilities[-1], rtol=1e-8, atol=1e-11)


@pytest.mark.parametrize("variant", ["dt", "ct", "fm"])
def test_runs_are_averaged(blobs, variant):
    """Probabilities over several runs, each with noise of its own, are the mean of each one's."""
    X, y = blobs
    classifier = trained(X, y, variant=variant, activation="tanh", inference_noise=True, n_runs=3)
    stages = [[p for _, p in way(classifier, X, run)] for run in range(3)]
    assert not np.allclose(stages[0][-1], stages[1][-1])
    np.testing.assert_allclose(list(classifier.staged_predict_proba(X)), np.mean(stages, axis=0), rtol=1e-8, atol=1e-11)
    np.testing.assert_array_equal(classifier.predict_proba(X), classifier.predict_proba(X))
    np.testing.assert_allclose(classifier.trajectory(X)[-1], list(way(classifier, X))[-1][0], rtol=1e-9, atol=1e-11)


# ----------------------------------------------------------------------------------------------------------------------
# what predictions are


@pytest.mark.parametrize("form", ["weights", "contributions"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_stages(blobs, variant, form):
    """Shapes, and how the methods hang together."""
    X, y = blobs
    optimizer = "adamw" if form == "weights" else "neuron-adam"
    classifier = trained(X, y, variant=variant, form=form, optimizer=optimizer, embedding="learned", embedding_dim=5)
    stages = np.array(list(classifier.staged_predict_proba(X)))
    n_steps = {"dt": 3, "ct": 50, "fm": 20, "backprop": 3}[variant]
    assert stages.shape == (n_steps, 40, 3)
    assert stages.dtype == classifier.predict_proba(X).dtype == np.float64
    assert classifier.trajectory(X).shape == (n_steps, 40, 5)
    assert (stages >= 0).all()
    np.testing.assert_allclose(stages.sum(axis=2), 1, rtol=1e-12)
    np.testing.assert_array_equal(stages[-1], classifier.predict_proba(X))
    np.testing.assert_array_equal(classifier.predict(X), classifier.classes_[stages[-1].argmax(axis=1)])
    accuracies = classifier.accuracy_by_block(X, y)
    np.testing.assert_array_equal(accuracies, [(classifier.classes_[p.argmax(axis=1)] == y).mean() for p in stages])
    np.testing.assert_array_equal(accuracies, classifier.accuracy_by_block(X, y.tolist()))
    assert accuracies[-1] == classifier.score(X, y)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        classifier.accuracy_by_block(X, y[:5])


@pytest.mark.parametrize("settings", [{}, {"inference_noise": True, "n_runs": 2}, {"batch_norm": True}], ids=str)
@pytest.mark.parametrize("form", ["weights", "contributions"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_predictions_do_not_depend_on_company(blobs, monkeypatch, variant, form, settings):
    """A sample alone, among others, in another order, or in another part of a large batch: the same probabilities."""
    X, y = blobs
    if variant == "backprop" and "inference_noise" in settings:
        pytest.skip("its steps have no noise")
    optimizer = "adamw" if form == "weights" else "neuron-adam"
    classifier = trained(X, y, variant=variant, form=form, optimizer=optimizer, embedding="learned", **settings)
    expected = classifier.predict_proba(X)
    order = np.random.default_rng(0).permutation(40)
    tolerance = {"rtol": 1e-10, "atol": 1e-13}
    np.testing.assert_allclose(classifier.predict_proba(X[order]), expected[order], **tolerance)
    for rows in (slice(7, 8), slice(3, 12)):
        np.testing.assert_allclose(classifier.predict_proba(X[rows]), expected[rows], **tolerance)
        np.testing.assert_allclose(classifier.trajectory(X[rows]), classifier.trajectory(X)[:, rows], rtol=1e-9, atol=1e-11)
    monkeypatch.setattr(network, "PREDICTED_BYTES", 13 * len(classifier.network_.blocks) * 8 * 8)  # parts of 13 samples
    np.testing.assert_allclose(classifier.predict_proba(X), expected, **tolerance)


def test_new_ways_need_no_new_training(blobs):
    """Parameters of inference count when it happens."""
    X, y = blobs
    classifier = trained(X, y, variant="ct", n_steps=3)
    assert len(list(classifier.staged_predict_proba(X))) == 3
    assert len(classifier.set_params(n_steps=11).trajectory(X)) == 11
    before = classifier.predict_proba(X)
    for change in ({"update": "deterministic"}, {"update": "posterior", "inference_noise": True}, {"n_runs": 5}):
        after = classifier.set_params(**change).predict_proba(X)
        assert not np.allclose(before, after)
        before = after
    with pytest.raises(ValueError, match="n_steps must be >= 1"):
        classifier.set_params(n_steps=0).predict(X)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"inference_noise": "no"}, "inference_noise must be True or False"),
        ({"n_runs": 0}, "n_runs must be >= 1"),
        ({"n_runs": 3}, "n_runs=3 without noise.*use inference_noise=True"),
        ({"n_steps": 5}, "n_steps=5 with variant='dt'.*use None"),
        ({"n_steps": 5, "variant": "backprop"}, "n_steps=5 with variant='backprop'"),
        ({"n_steps": 0, "variant": "ct"}, "n_steps must be >= 1"),
        ({"n_steps": 2.5, "variant": "fm"}, "n_steps must be an integer"),
        ({"update": "ode"}, "update='ode' is unknown; use one of 'posterior', 'deterministic'"),
        ({"update": "deterministic"}, "update='deterministic' needs variant='ct'"),
        ({"update": "deterministic", "variant": "ct", "inference_noise": True}, "update='deterministic' adds no noise"),
        ({"inference_noise": True, "variant": "backprop"}, "variant='backprop' has no noise in its steps"),
    ],
)
def test_bad_ways(blobs, settings, message):
    """Refused by fit, and where they are set afterwards."""
    with pytest.raises((ValueError, TypeError), match=message):
        trained(*blobs, **settings)
    classifier = trained(*blobs, variant=settings.get("variant", "dt"), max_epochs=1)
    for ask in (classifier.predict, classifier.trajectory, lambda X: next(classifier.staged_predict_proba(X))):
        with pytest.raises((ValueError, TypeError), match=message):
            classifier.set_params(**settings) and ask(blobs[0])


def test_first_block_is_a_classifier_of_the_input(blobs):
    """What it sees beside the input says next to nothing of the class: its probabilities hardly depend on z_0."""
    X, y = blobs
    classifier = trained(X, y, max_epochs=40)
    mean = next(classifier.staged_predict_proba(X))
    noisy = next(classifier.set_params(inference_noise=True).staged_predict_proba(X))
    assert np.abs(mean - noisy).max() < 0.3
    assert classifier.accuracy_by_block(X, y)[0] > 0.6


# ----------------------------------------------------------------------------------------------------------------------
# labels as points


def space(embedding, is_flow=False):
    return LabelSpace(embedding, False, False, is_flow, embedding.dtype, np.random.default_rng(0))


@pytest.mark.parametrize("kind", ["dense", "sparse", "float32"])
def test_prototypes(kind, global_random_seed):
    """The sample with the smallest median distance to the others of its class: brute force over small classes."""
    rng = np.random.default_rng(global_random_seed)
    labels = np.repeat(np.arange(6), [1, 2, 3, 4, 7, 12])[rng.permutation(29)]
    dense = np.where(rng.random((29, 5)) < 0.7, rng.normal(size=(29, 5)), 0).astype("float32" if kind == "float32" else float)
    found = prototypes(sparse.csr_array(dense) if kind == "sparse" else dense, labels, 6)
    assert found.shape == (6, 5)
    assert found.dtype == np.float64
    for k in range(6):
        members = dense[labels == k].astype(float)
        medians = [
            np.median([np.linalg.norm(one - other) for j, other in enumerate(members) if j != i]) if len(members) > 1 else 0
            for i, one in enumerate(members)
        ]
        first = np.flatnonzero(np.isclose(medians, min(medians), rtol=1e-7))[0]  # distances between two are equal both ways
        np.testing.assert_array_equal(found[k], members[first])


def test_embeddings_of_a_classifier(blobs):
    """Prototypes are samples of the classes in order; learned ones start orthogonal; one-hot ones stay."""
    X, y = blobs
    settings = {"learning_rate": 1e-30, "max_epochs": 1}
    chosen = trained(X, y, embedding="prototype", **settings).embedding_
    for name, point in zip("abc", chosen, strict=True):
        assert (X[y == name] == point).all(axis=1).any()
    learned = trained(X, y, embedding="learned", embedding_dim=7, **settings).embedding_
    np.testing.assert_allclose(learned @ learned.T, np.eye(3), atol=1e-12)
    classifier = trained(X, y)
    np.testing.assert_array_equal(classifier.embedding_, np.eye(3))
    classifier.embedding_[:] = 0
    np.testing.assert_array_equal(classifier.embedding_, np.eye(3))
    crowded = orthogonal(9, 4, np.random.default_rng(0))
    np.testing.assert_allclose(np.linalg.norm(crowded, axis=1), 1, rtol=1e-12)
    assert crowded.shape == (9, 4)


def test_closeness(dtype, global_random_seed):
    """Normal distributions of one variance around the embeddings, far from 0 too; twins share, and one class has all."""
    rng = np.random.default_rng(global_random_seed)
    for offset in (0, 1000):
        W = (offset + rng.normal(size=(4, 6))).astype(dtype)
        z = (W.mean(axis=0) + rng.normal(size=(9, 6))).astype(dtype)
        exact, points = W.astype(float), z.astype(float)
        gap = min(np.square(exact[i] - exact[j]).sum() for i in range(4) for j in range(i))
        expected = shares(-np.square(points[:, None] - exact).sum(axis=2) / (2 * gap / 8))
        # numbers near 1000 are rounded to 1e-13, or in float32 to 6e-5
        tolerance = {"float64": 1e-11, "float32": 5e-3 if offset else 1e-5}[dtype.name]
        np.testing.assert_allclose(space(W).closeness(z), expected, atol=tolerance)
    np.testing.assert_allclose(space(np.ones((2, 3), dtype)).closeness(np.zeros((2, 3), dtype)), 0.5, rtol=1e-6)
    np.testing.assert_array_equal(space(np.ones((1, 3), dtype)).closeness(np.zeros((2, 3), dtype)), 1)


def test_softmax_of_huge_scores(dtype):
    """Scores whose exponentials overflow or vanish give probabilities."""
    scores = np.array([[1e4, 0.0, -1e4], [0.0, 0.0, 0.0]], dtype)
    np.testing.assert_allclose(softmax(scores), [[1, 0, 0], [1 / 3] * 3], rtol=1e-6)


def test_classifier_of_points(dtype):
    """Its loss and gradients, at scores whose exponentials overflow or vanish too, by the definition."""
    space = LabelSpace(np.eye(3, 2), True, True, False, dtype, np.random.default_rng(0))
    weights, bias = space.head
    weights[:] = [[1, 2], [0, -1], [1, 1]]
    bias[:] = [1, 0, -1]
    z, labels, shares = np.array([[2e3, 1e3], [0.5, -0.2]], dtype), np.array([1, 2]), np.array([0.25, 0.75])
    loss, by_point = space.head_loss(z, labels, shares)
    scores = z.astype(float) @ weights.astype(float).T + bias
    p = np.exp(scores - scores.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    delta = shares[:, None] * (p - np.eye(3)[labels])
    gap = scores[0].max() - scores[0, 1]
    assert loss == pytest.approx(0.25 * gap - 0.75 * np.log(p[1, 2]), rel=1e-6)
    np.testing.assert_allclose(by_point, delta @ weights, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(space.grad[6:], [*(delta.T @ z).ravel(), *delta.sum(axis=0)], rtol=1e-5, atol=1e-6)
    assert not space.grad[:6].any()


@pytest.mark.parametrize("variant", VARIANTS)
def test_logarithms_of_probabilities(variant, blobs):
    """Those of predict_proba, without a warning where one is 0."""
    X, y = blobs
    classifier = trained(X, y, variant=variant)
    for given in (X, 1e6 * X):
        with np.errstate(divide="ignore"):
            expected = np.log(classifier.predict_proba(given))
        np.testing.assert_array_equal(classifier.predict_log_proba(given), expected)
