"""Attributions to features equal brute force, in every form, for every activation, depth and kind of samples."""

import warnings

import numpy as np
import pytest
from attribution_cases import autograd, exactly_integrated, integrated, torch_outputs
from classic import FrontClassifier, FrontRegressor, SpanClassifier
from scipy import sparse

import fcfast
from fcfast import Gram, load
from fcfast.attribution import AttributionWarning
from fcfast.attribution import path as paths
from fcfast.attribution import stream as streams
from fcfast.gram import budget
from fcfast.sources import ArraySource, as_source

torch = pytest.importorskip("torch", reason="brute force needs torch")


@pytest.fixture(autouse=True)
def one_thread():
    """Threads of PyTorch would wait for each other on such small networks."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


pytestmark = pytest.mark.filterwarnings("ignore::fcfast.attribution.AttributionWarning")  # few steps are enough to compare

ACTIVATIONS = ("relu", "leaky_relu", "tanh", "logistic", "identity")
SETTINGS = {"max_epochs": 6, "tol": 0, "dtype": "float64", "learning_rate": 0.02, "random_state": 0}


def data(seed=0, n=14, d=23, shift=2.0):
    rng = np.random.default_rng(seed)
    return rng.normal(shift, 1.5, (n, d)), rng.normal(shift, 1.5, (5, d)), rng.integers(0, 3, n), rng.normal(size=(n, 2))


CASES = [
    ("contributions", (7,), "relu", {}),
    ("contributions", (6, 5), "tanh", {"standardize": "capped"}),
    ("contributions", (6, 4, 4), "leaky_relu", {"groups": (1, 2, 2), "standardize": True, "weight_decay": 0.1}),
    ("contributions", (5,), "logistic", {"init": "span", "standardize": "scale"}),
    ("windowed", (6, 4), "relu", {"standardize": "capped"}),
    ("windowed", (5,), "identity", {}),
    ("weights", (6, 5), "logistic", {"optimizer": "adam"}),
    ("weights", (4,), "tanh", {"standardize": True}),
]


@pytest.mark.parametrize(("form", "hidden", "activation", "settings"), CASES, ids=lambda value: str(value)[:24])
def test_equals_autograd_on_expanded_weights(form, hidden, activation, settings):
    """The same steps, to 1e-10, for a class, for the outputs of a regression in raw units, and for the gradient at x."""
    X, new, y, Y = data()
    x0 = X.mean(axis=0) + 0.3
    classifier = FrontClassifier(hidden, activation, form=form, **(SETTINGS | settings)).fit(X, y)
    found = classifier.attribute(new, baseline=x0, steps=7, output=classifier.classes_[2])
    outputs = torch_outputs(classifier)
    np.testing.assert_allclose(found.to_array(), integrated(outputs, new, x0, [2] * 5, 7), rtol=1e-10, atol=1e-12)
    assert (found.steps_ == 7).all()
    local = classifier.attribute(new, "gradient_x_input", baseline="zero")
    places = np.searchsorted(classifier.classes_, classifier.predict(new))
    np.testing.assert_allclose(local.to_array(), new * autograd(outputs, new, places), rtol=1e-9, atol=1e-12)
    regressor = fcfast.FrontRegressor(hidden, activation, form=form, **(SETTINGS | settings)).fit(X, Y)
    every = regressor.attribute(new, baseline=x0, steps=5)
    assert every.shape == (5, 23, 2)
    for k in range(2):
        expected = integrated(torch_outputs(regressor), new, x0, [k] * 5, 5)
        np.testing.assert_allclose(every.to_array()[..., k], expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("hidden", [(6,), (6, 5), (5, 4, 3)], ids=str)
def test_auto_is_exact(activation, hidden):
    """Equal to an adaptive quadrature that halves the path wherever the gradient jumps; the sums are complete."""
    X, new, y, _ = data(1)
    classifier = FrontClassifier(
        hidden, activation, form="windowed", **(SETTINGS | {"init_scale": 3.0, "learning_rate": 0.002})
    ).fit(X, y)
    x0 = X.mean(axis=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = classifier.attribute(new, baseline=x0, output=1)
    assert np.abs(found.completeness_error_).max() < 1e-9
    outputs, made = torch_outputs(classifier), found.to_array()
    np.testing.assert_allclose(found.outputs_, outputs(torch.from_numpy(new)).numpy()[:, 1], rtol=1e-11)
    np.testing.assert_allclose(made.sum(axis=1), found.outputs_ - found.baseline_outputs_, rtol=1e-9, atol=1e-11)
    for i in range(2):
        np.testing.assert_allclose(made[i], exactly_integrated(classifier, new[i], x0, 1), rtol=1e-9, atol=1e-10)


def test_units_that_do_not_move():
    """A sample that is the baseline has attributions of 0, and units of a constant feature have the slope of their place."""
    X, _, y, _ = data()
    for hidden in ((6,), (6, 5)):
        for activation in ACTIVATIONS:
            classifier = FrontClassifier(hidden, activation, **SETTINGS).fit(X, y)
            x0 = X[0]
            near = np.stack([x0, x0 + 1e-9, x0 - 1e-12])
            found = classifier.attribute(near, baseline=x0)
            assert (found.to_array()[0] == 0).all()
            places = np.searchsorted(classifier.classes_, found.labels_)
            expected = (near - x0) * autograd(torch_outputs(classifier), near, places)
            np.testing.assert_allclose(found.to_array(), expected, rtol=1e-5, atol=1e-22)


# ----------------------------------------------------------------------------------------------------------------------
# kinds of samples and of weights


def sparse_data(seed=0, n=16, d=60):
    rng = np.random.default_rng(seed)
    X, new = (sparse.csr_array(rng.uniform(0.5, 3, (m, d)) * (rng.random((m, d)) < 0.1)) for m in (n, 6))
    return X, new, np.arange(n) % 3


@pytest.mark.parametrize("form", ["contributions", "windowed", "weights"])
@pytest.mark.parametrize("standardize", [False, "scale"])
def test_sparse_samples(form, standardize):
    """As the same dense samples, for 0 and for another baseline; features that never occurred have their initial weights."""
    X, new, y = sparse_data()
    classifier = FrontClassifier((7,), form=form, standardize=standardize, **SETTINGS).fit(X, y)
    outputs = torch_outputs(classifier)
    found = classifier.attribute(new)
    assert found.baseline == "zero"
    made = found.to_array()
    assert sparse.issparse(made)
    assert made.nnz == new.nnz
    places = np.searchsorted(classifier.classes_, classifier.predict(new))
    dense = new.toarray()
    expected = integrated(outputs, dense, np.zeros(60), places, 60)
    np.testing.assert_allclose(made.toarray(), expected, atol=2e-2 * np.abs(expected).max())
    np.testing.assert_allclose(made.toarray(), classifier.attribute(dense, baseline="zero").to_array(), rtol=1e-9, atol=1e-13)
    every = classifier.attribute(new, output="all", steps=3)
    for k, array in enumerate(every.to_array()):
        np.testing.assert_allclose(array.toarray(), integrated(outputs, dense, np.zeros(60), [k] * 6, 3), rtol=1e-9, atol=1e-12)
    x0 = np.zeros(60)
    x0[[3, 9]] = 2.0
    moved = classifier.attribute(new, baseline=x0, steps=4, output=1).to_array()
    np.testing.assert_allclose(moved, integrated(outputs, dense, x0, [1] * 6, 4), rtol=1e-9, atol=1e-12)
    for asked in ({}, {"output": "all"}, {"baseline": x0}):
        other = classifier.attribute(new, **asked)
        again = other.to_array()
        whole = np.stack([a.toarray() for a in again], -1) if isinstance(again, list) else again
        whole = whole.toarray() if sparse.issparse(whole) else whole
        np.testing.assert_allclose(other.importance_, np.abs(whole).mean(axis=0), rtol=1e-12, atol=1e-16)


@pytest.mark.parametrize("settings", [{"weight_decay": 0.1}, {"init": "span"}, {"standardize": True}], ids=str)
def test_weights_that_are_not_kept(monkeypatch, settings):
    """They are made of the training samples block by block, or products with these take their place: the same numbers."""
    for X, new, y in (data()[:3], (*(part.toarray() for part in rare()[:2]), rare()[2]), rare()):
        classifier = FrontClassifier((7,), form="contributions", **(SETTINGS | settings)).fit(X, y)
        asked = {"baseline": "zero", "output": 1}
        with monkeypatch.context() as patch:
            patch.setattr("fcfast.front.contributed.KEPT_BYTES", 0)
            some, one = (dense(classifier.attribute(part, **asked).to_array()) for part in (new, new[:1]))
            assert classifier.network_.front.contributed._weights is None
        kept = dense(classifier.attribute(new, **asked).to_array())
        np.testing.assert_allclose(some, kept, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(one, kept[:1], rtol=1e-9, atol=1e-12)


def dense(made):
    return made.toarray() if sparse.issparse(made) else made


def rare():
    """Samples with so few entries that most features do not occur, and that stay sparse when they are centred."""
    rng = np.random.default_rng(5)
    X, new = (sparse.csr_array(rng.uniform(0.5, 3, (m, 400)) * (rng.random((m, 400)) < 0.02)) for m in (16, 6))
    return X, new, np.arange(16) % 3


@pytest.mark.parametrize("form", ["contributions", "weights"])
def test_features_that_do_not_occur(form):
    """Those of the samples or of the baseline are touched, also if they never occurred in training."""
    X, new, y = rare()
    classifier = FrontClassifier((7,), form=form, **(SETTINGS | {"weight_decay": 0.1})).fit(X, y)
    x0 = np.where(np.arange(400) % 50 == 7, 2.0, 0.0)
    for baseline in (np.zeros(400), x0):
        found = classifier.attribute(new, baseline=baseline, steps=4, output=1)
        expected = integrated(torch_outputs(classifier), new.toarray(), baseline, [1] * 6, 4)
        np.testing.assert_allclose(dense(found.to_array()), expected, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(found.importance_, np.abs(expected).mean(axis=0), rtol=1e-9, atol=1e-12)


def test_sparse_samples_that_are_centred():
    """They are dense once centred, and the mean is their baseline."""
    X, new, y = sparse_data(2)
    classifier = FrontClassifier((7,), form="contributions", standardize=True, **SETTINGS).fit(X, y)
    x0 = X.toarray().mean(axis=0)
    found = classifier.attribute(new, steps=6, output=2)
    assert found.baseline == "mean"
    expected = integrated(torch_outputs(classifier), new.toarray(), x0, [2] * 6, 6)
    np.testing.assert_allclose(found.to_array(), expected, rtol=1e-9, atol=1e-12)


def test_missing_values():
    """They have the mean of their feature, also in a baseline, and then no attribution."""
    X, new, y, _ = data()
    X[0, 3] = new[1, 4] = np.nan
    means = np.nanmean(X, axis=0)
    for standardize in (False, "capped"):
        classifier = FrontClassifier((6,), missing="mean", form="windowed", standardize=standardize, **SETTINGS).fit(X, y)
        found = classifier.attribute(new, steps=5, output=0)
        assert found.baseline == "mean"
        filled = np.where(np.isnan(new), means, new)
        expected = integrated(torch_outputs(classifier), filled, means, [0] * 5, 5)
        np.testing.assert_allclose(found.to_array(), expected, rtol=1e-9, atol=1e-12)
        given = np.where(np.arange(23) == 2, np.nan, 1.0)
        moved = classifier.attribute(new, baseline=given, steps=5, output=0).to_array()
        x0 = np.where(np.isnan(given), means, given)
        np.testing.assert_allclose(moved, integrated(torch_outputs(classifier), filled, x0, [0] * 5, 5), rtol=1e-9, atol=1e-12)


def test_the_mean_of_the_training_samples():
    """It is known where features are centred, and where the samples are held; files of weights keep what centring knows."""
    X, new, y, _ = data()
    raw = FrontClassifier((6,), form="contributions", **SETTINGS).fit(X, y)
    at_mean = raw.attribute(new, baseline=X.mean(axis=0))
    np.testing.assert_allclose(raw.attribute(new).to_array(), at_mean.to_array(), rtol=1e-9)
    with pytest.raises(ValueError, match=r"keeps no means.*baseline=X_train.mean"):
        FrontClassifier((6,), form="windowed", **SETTINGS).fit(X, y).attribute(new)
    centred = FrontClassifier((6,), form="windowed", standardize="capped", **SETTINGS).fit(X, y)
    at_mean = centred.attribute(new, baseline=X.mean(axis=0))
    np.testing.assert_allclose(centred.attribute(new).to_array(), at_mean.to_array(), rtol=1e-9, atol=1e-14)


def test_model_files(tmp_path):
    """A loaded network has the same attributions, from weights and from contributions; its mean is what the file keeps."""
    X, new, y, _ = data()
    classifier = FrontClassifier((6,), form="contributions", standardize="capped", **SETTINGS).fit(X, y)
    expected = classifier.attribute(new).to_array()
    classifier.save(tmp_path / "weights.safetensors")
    np.testing.assert_allclose(load(tmp_path / "weights.safetensors").attribute(new).to_array(), expected, rtol=1e-9)
    classifier.save(tmp_path / "contributions.safetensors", weights=False, inputs=True)
    np.testing.assert_allclose(load(tmp_path / "contributions.safetensors").attribute(new).to_array(), expected, rtol=1e-9)
    raw = FrontClassifier((6,), form="contributions", **SETTINGS).fit(X, y)
    raw.save(tmp_path / "raw.safetensors")
    with pytest.raises(ValueError, match="keeps no means"):
        load(tmp_path / "raw.safetensors").attribute(new)
    loaded = load(tmp_path / "raw.safetensors").attribute(new, baseline="zero")
    np.testing.assert_allclose(loaded.to_array(), raw.attribute(new, baseline="zero").to_array(), rtol=1e-9)


def test_sources_and_gram_matrices():
    """Samples of a source have the attributions of the array; so have rows of a Gram matrix that the network was fitted on."""
    X, new, y, _ = data()
    classifier = FrontClassifier((6,), form="contributions", standardize="capped", **SETTINGS).fit(as_source(X), y)
    expected = classifier.attribute(new).to_array()
    np.testing.assert_array_equal(classifier.attribute(as_source(new)).to_array(), expected)
    gram = Gram(X, standardize="capped", dtype="float64")
    spanned = SpanClassifier((6,), **SETTINGS).fit(gram[:10], y[:10])
    outputs = spanned.attribute(new, output=1)
    np.testing.assert_allclose(outputs.to_array().sum(axis=1), outputs.outputs_ - outputs.baseline_outputs_, rtol=1e-9)
    np.testing.assert_allclose(spanned.attribute(gram[10:]).to_array(), spanned.attribute(X[10:]).to_array(), rtol=1e-9)
    centred = SpanClassifier((6,), **SETTINGS).fit(Gram(X, dtype="float64").centred(), y)
    for x0 in (X[0], np.zeros(23)):
        found = centred.attribute(new, output=1, baseline=x0)
        exact = torch_outputs(centred)(torch.from_numpy(np.stack([x0, *new]))).numpy()[:, 1]
        np.testing.assert_allclose(found.to_array().sum(axis=1), exact[1:] - exact[0], rtol=1e-8)
    curved = SpanClassifier((6,), **SETTINGS).fit(Gram(X, kernel="rbf", gamma=0.02, dtype="float64").centred(), y)
    found = curved.attribute(new, output="all")
    np.testing.assert_allclose(found.outputs_, curved._outputs(curved._validate_new(new)), rtol=1e-9)
    np.testing.assert_allclose(found.to_array().sum(axis=1), found.outputs_ - found.baseline_outputs_, atol=1e-6)


def test_networks_without_features(tmp_path):
    """They say what to do."""
    X, new, y, _ = data()
    gram = Gram(X, dtype="float64")
    gram.save(tmp_path / "gram.safetensors")
    fitted = SpanClassifier((6,), **SETTINGS).fit(Gram.load(tmp_path / "gram.safetensors"), y)
    with pytest.raises(ValueError, match=r"fit on features.*Gram.load"):
        fitted.attribute(gram.cross(new))
    compared = SpanClassifier((6,), kernel=lambda A, B: np.minimum(A[:, None], B).sum(axis=2), **SETTINGS).fit(abs(X), y)
    with pytest.raises(ValueError, match=r"derivatives.*compares samples"):
        compared.attribute(abs(new))


def test_names():
    """Those of training, of a source, or words; or none."""
    pandas = pytest.importorskip("pandas")
    X, new, y, _ = data()
    names = [f"gene{j}" for j in range(23)]
    classifier = FrontClassifier((6,), form="contributions", **SETTINGS).fit(pandas.DataFrame(X, columns=names), y)
    top = classifier.attribute(pandas.DataFrame(new, columns=names)).top(3)
    assert top["name"].tolist() == [names[j] for j in top["feature"]]
    assert list(top.to_frame().columns) == ["rank", "feature", "name", "importance", "mean", "share"]
    with pytest.raises(ValueError, match="feature names"):
        classifier.attribute(pandas.DataFrame(new, columns=names[::-1]))
    unnamed = FrontClassifier((6,), form="contributions", **SETTINGS).fit(X, y).attribute(new).top(2)
    assert unnamed["name"].tolist() == [f"x{j}" for j in unnamed["feature"]]


def test_words():
    """A text's words are the names of its features."""
    from fcfast.text import TextFeatures, make_vectorizer

    texts, labels = ["fine film", "poor film", "fine work", "poor work"] * 3, [1, 0, 1, 0] * 3
    text = TextFeatures(make_vectorizer("counts").fit(texts), ["review"])
    classifier = fcfast.FrontClassifier((8,), random_state=0).fit(text.transform(texts), labels)
    classifier.text_ = text
    top = classifier.attribute(text.transform(texts)).top(2)
    assert set(top["name"].tolist()) == {"fine", "poor"}


# ----------------------------------------------------------------------------------------------------------------------
# kernels


def torch_kernel(name, gamma):
    def norm(x):
        return (x * x).sum(-1)

    def arc(x, y):
        lengths = (norm(x)[:, None] * norm(y)).sqrt()
        t = torch.arccos(x @ y.T / lengths)
        return lengths * (torch.sin(t) + (np.pi - t) * torch.cos(t)) / np.pi

    return {
        "rbf": lambda x, y: torch.exp(-gamma * ((x[:, None] - y) ** 2).sum(-1)),
        "poly": lambda x, y: (gamma * x @ y.T + 1.0) ** 3,
        "cosine": lambda x, y: x @ y.T / (norm(x)[:, None] * norm(y)).sqrt(),
        "tanimoto": lambda x, y: x @ y.T / (norm(x)[:, None] + norm(y) - x @ y.T),
        "arc-cosine": arc,
    }[name]


@pytest.mark.parametrize("kernel", ["rbf", "poly", "cosine", "tanimoto", "arc-cosine"])
def test_kernels(kernel):
    """Equal to autograd through the kernel itself, with the same steps; and complete with as many as are needed."""
    X, new, y, _ = data(shift=4.0)
    X, new = abs(X), abs(new)
    settings = SETTINGS | {"learning_rate": 1e-3 if kernel in ("poly", "arc-cosine") else 0.1}
    classifier = SpanClassifier((5,), "tanh", kernel=kernel, gamma=0.02, **settings).fit(X, y)
    train, k = torch.from_numpy(X), torch_kernel(kernel, 0.02)
    A, biases = torch.from_numpy(classifier.contributions_.copy()), [torch.from_numpy(b) for b in classifier.network_.biases]
    V = torch.from_numpy(classifier.network_.weights[0].copy())

    def outputs(x):
        return torch.tanh(k(x, train) @ A + biases[0]) @ V.T + biases[1]

    np.testing.assert_allclose(classifier.attribute(new, output="all").outputs_, outputs(torch.from_numpy(new)), rtol=1e-9)
    x0 = X.mean(axis=0)
    found = classifier.attribute(new, steps=6, output=1)
    np.testing.assert_allclose(found.to_array(), integrated(outputs, new, x0, [1] * 5, 6), rtol=1e-9, atol=1e-12)
    local = classifier.attribute(new, "gradient_x_input", output=2, baseline=X[0]).to_array()
    np.testing.assert_allclose(local, (new - X[0]) * autograd(outputs, new, [2] * 5), rtol=1e-8, atol=1e-11)
    whole = classifier.attribute(new, output=1)
    difference = whole.outputs_ - whole.baseline_outputs_
    np.testing.assert_allclose(whole.to_array().sum(axis=1), difference, atol=1e-6 * np.abs(difference).max())


def test_kernels_on_sparse_samples():
    """As on dense ones."""
    X, new, y = sparse_data()
    classifier = SpanClassifier((5,), kernel="rbf", gamma=0.05, **SETTINGS).fit(X, y)
    dense = classifier.attribute(new.toarray(), baseline="zero", steps=9, output=1).to_array()
    np.testing.assert_allclose(classifier.attribute(new, steps=9, output=1).to_array().toarray(), dense, rtol=1e-9, atol=1e-13)


# ----------------------------------------------------------------------------------------------------------------------
# blocks, rows, threads


def test_any_blocks_give_the_same(monkeypatch):
    """Blocks of few features and few samples, products in place of weights, threads: the same numbers."""
    X, new, y, _ = data(3, n=12, d=301)
    classifier = FrontClassifier((6,), form="contributions", **SETTINGS).fit(X, y)
    many = np.concatenate([new] * 30)
    whole = classifier.attribute(many, output="all").to_array()
    top = classifier.attribute(many).top(9, sample=slice(None))
    groups = classifier.attribute(many).by_group(np.arange(301) % 7).values
    monkeypatch.setattr(streams, "PART", 13)
    monkeypatch.setattr("fcfast.attribution.parts.TILE", 100)
    monkeypatch.setattr(budget, "MIN_SIDE", 40)
    monkeypatch.setattr(budget, "BLOCK_BYTES", 40 * 8 * 150)
    for n_jobs in (1, 3):
        classifier.n_jobs = n_jobs
        found = classifier.attribute(many, output="all")
        np.testing.assert_allclose(found.to_array(), whole, rtol=1e-11, atol=1e-14)
        np.testing.assert_allclose(found.importance_, np.abs(whole).mean(axis=0), rtol=1e-11)
        np.testing.assert_allclose(found.mean_, whole.mean(axis=0), rtol=1e-9, atol=1e-13)
        other = classifier.attribute(many)
        np.testing.assert_array_equal(other.top(9, sample=slice(None))["feature"], top["feature"])
        np.testing.assert_allclose(other.by_group(np.arange(301) % 7).values, groups, rtol=1e-10, atol=1e-13)
        few = other.by_group({"few": [40, 200]})  # most blocks have no member
        np.testing.assert_allclose(few.values[:, 0], other.to_array()[:, [40, 200]].sum(axis=1), rtol=1e-10, atol=1e-13)
    classifier.n_jobs = None
    one = classifier.attribute(new[:1])  # few gradients are multiplied with the samples, not with weights
    np.testing.assert_allclose(one.to_array()[0], classifier.attribute(many).to_array()[0], rtol=1e-10, atol=1e-13)


def test_bits_do_not_depend_on_threads():
    """Nor on whether the samples lie in an array or in a source."""
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(30, 3000)).astype("f"), np.arange(30) % 2
    classifier = fcfast.FrontClassifier((8,), random_state=0, max_epochs=5).fit(X, y)
    first = classifier.attribute(X).importance_
    for n_jobs, samples in ((1, X), (3, X), (2, ArraySource(X))):
        classifier.n_jobs = n_jobs
        np.testing.assert_array_equal(classifier.attribute(samples).importance_, first)


def test_a_change_of_the_samples_is_noticed():
    """Attributions are made later, of what the samples are then."""
    X, new, y, _ = data()
    classifier = FrontClassifier((6,), form="windowed", **SETTINGS).fit(X, y)
    found = classifier.attribute(new, baseline="zero")
    found.top(3)
    new *= 2
    for ask in (found.to_array, lambda: found.by_group(np.arange(23)), lambda: found.top(3, sample=0)):
        with pytest.raises(RuntimeError, match="X was changed after attribute"):
            ask()


def test_too_few_steps_are_told_of():
    """A warning says by how much, and so does the attribute."""
    X, new, y, _ = data()
    classifier = FrontClassifier((6, 6), form="windowed", **(SETTINGS | {"init_scale": 4.0})).fit(X, y)
    with pytest.warns(AttributionWarning, match="with 1 steps"):
        found = classifier.attribute(new, baseline="zero", steps=1)
    error = found.to_array().sum(axis=1) - (found.outputs_ - found.baseline_outputs_)
    np.testing.assert_allclose(found.completeness_error_, error, rtol=1e-9, atol=1e-12)
    assert "completeness error" in repr(found)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        classifier.attribute(new, "gradient_x_input", baseline="zero")  # nobody expects it to be complete


@pytest.mark.parametrize("most", [16, 32])
def test_smooth_networks_that_need_many_steps(monkeypatch, most):
    """The search for the number of steps ends."""
    X, new, y, _ = data()
    classifier = FrontClassifier((6, 6), "tanh", form="windowed", **(SETTINGS | {"init_scale": 30.0})).fit(X, y)
    monkeypatch.setattr(paths, "MOST", most)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AttributionWarning)
        assert classifier.attribute(100 * new, baseline="zero").steps_.max() == most


# ----------------------------------------------------------------------------------------------------------------------
# arguments


def test_other_losses():
    """What `predict` makes of outputs is left out; a sample of several labels has all outputs."""
    X, new, _, _ = data()
    labels = np.random.default_rng(1).integers(0, 2, (14, 3))
    several = fcfast.FrontClassifier((6,), **SETTINGS).fit(X, labels).attribute(new, baseline="zero")
    assert several.shape == (5, 23, 3)
    counts = fcfast.FrontRegressor((6,), loss="poisson", **SETTINGS).fit(X, labels.sum(axis=1))
    found = counts.attribute(new)
    np.testing.assert_allclose(np.exp(found.outputs_), counts.predict(new), rtol=1e-9)
    times = np.array([(True, 1.0 + i) for i in range(14)], dtype=[("event", bool), ("time", float)])
    survival = fcfast.FrontSurvival((6,), **SETTINGS).fit(X, times)
    found = survival.attribute(new)
    np.testing.assert_allclose(found.outputs_, survival.predict(new), rtol=1e-9)
    np.testing.assert_allclose(found.to_array().sum(axis=1), found.outputs_ - found.baseline_outputs_, rtol=1e-8)


@pytest.mark.parametrize(
    ("asked", "error", "message"),
    [
        ({"method": "shap"}, ValueError, "method='shap'"),
        ({"steps": 0}, ValueError, "steps"),
        ({"steps": 2.5}, TypeError, "steps"),
        ({"steps": "many"}, ValueError, "steps must be"),
        ({"method": "gradient_x_input", "steps": 5}, ValueError, "leave out steps"),
        ({"baseline": "median"}, ValueError, "baseline='median'"),
        ({"baseline": np.zeros(22)}, ValueError, r"baseline has shape \(22,\).*23 features"),
        ({"baseline": np.zeros((5, 23))}, ValueError, "baseline has shape"),
        ({"baseline": 0.0}, ValueError, "baseline has shape"),
        ({"baseline": np.full(23, np.nan)}, ValueError, "baseline holds"),
        ({"output": "d"}, ValueError, "output='d' is unknown; use one of 'a', 'b', 'c'"),
        ({"output": 0}, ValueError, "output=0"),
        ({"output": ["a", "b"]}, ValueError, "output has shape"),
        ({"output": ["a", "b", "c", "d", "a"]}, ValueError, "output='d'"),
    ],
)
def test_bad_arguments(asked, error, message):
    """The message names the argument."""
    X, new, y, _ = data()
    classifier = FrontClassifier((4,), form="contributions", **SETTINGS).fit(X, np.array(["a", "b", "c"])[y])
    with pytest.raises(error, match=message):
        classifier.attribute(new, **asked)


def test_bad_samples():
    """As for predictions."""
    X, new, y, _ = data()
    classifier = FrontClassifier((4,), form="contributions", **SETTINGS)
    with pytest.raises(ValueError, match="not fitted"):
        classifier.attribute(new)
    classifier.fit(X, y)
    with pytest.raises(ValueError, match="22 features"):
        classifier.attribute(new[:, :22])
    with pytest.raises(ValueError, match="NaN"):
        classifier.attribute(np.where(new > 3, np.nan, new))
    with pytest.raises(ValueError, match="minimum of 1"):
        classifier.attribute(new[:0])
    with pytest.raises(ValueError, match="overflow"):
        classifier.attribute(np.full((1, 23), 1e308) * np.sign(classifier.coefs_[0][:, 0]))


def test_which_output():
    """A class, one for each sample, or all; of a regression the number of the output."""
    X, new, y, Y = data()
    classifier = FrontClassifier((4,), form="contributions", **SETTINGS).fit(X, np.array([5, 7, 9])[y])
    every = classifier.attribute(new, output="all")
    assert every.shape == (5, 23, 3)
    np.testing.assert_array_equal(every.labels_, [5, 7, 9])
    np.testing.assert_allclose(classifier.attribute(new, output=7).to_array(), every.to_array()[..., 1], rtol=1e-12)
    each = classifier.attribute(new, output=[9, 5, 9, 7, 5])
    np.testing.assert_allclose(each.to_array(), every.to_array()[np.arange(5), :, [2, 0, 2, 1, 0]], rtol=1e-12)
    np.testing.assert_array_equal(classifier.attribute(new).labels_, classifier.predict(new))
    regressor = FrontRegressor((4,), form="contributions", **SETTINGS).fit(X, Y)
    np.testing.assert_allclose(
        regressor.attribute(new, output=1).to_array(), regressor.attribute(new).to_array()[..., 1], rtol=1e-12
    )
    np.testing.assert_allclose(regressor.attribute(new).outputs_, regressor.predict(new), rtol=1e-12)
    one = FrontRegressor((4,), form="contributions", **SETTINGS).fit(X, Y[:, 0]).attribute(new)
    assert one.shape == (5, 23)
