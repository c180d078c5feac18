"""Networks whose first layer is in the feature space of a kernel: ordinary training there, and what has no weights."""

import copy
import importlib.util
import pickle

import numpy as np
import pytest
from classic import SpanClassifier as FrontClassifier
from classic import SpanRegressor as FrontRegressor
from scipy import sparse
from sklearn.base import clone
from sklearn.datasets import make_circles
from sklearn.model_selection import GridSearchCV, KFold, cross_val_predict, cross_val_score
from sklearn.utils.estimator_checks import parametrize_with_checks

from fcfast import Gram, NoPropClassifier, backend
from fcfast.explain import explain_output
from fcfast.kernels import RBF, Polynomial

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")  # few epochs on purpose

PLAIN = {
    "hidden_layer_sizes": (7,), "dtype": "float64", "shuffle": False, "max_epochs": 6, "tol": 0, "n_iter_no_change": 10**6,
    "learning_rate": 0.02, "batch_size": 5, "random_state": 3,
}  # fmt: skip
TRAININGS = {
    "plain": {"momentum": 0.0, "batch_size": 100},
    "momentum": {},
    "nesterov": {"nesterov": True, "weight_decay": 0.1, "schedule": "cosine"},
    "dampened decay": {"weight_decay": 0.2, "dampening": 0.3, "batch_size": 1},
    "deep": {"hidden_layer_sizes": (6, 5), "activation": "tanh", "weight_decay": 0.1},
    "clipped": {"hidden_layer_sizes": (6, 4), "groups": 2, "max_grad_norm": 0.3},
}


def laplace(A, B):
    """A kernel as a function."""
    return np.exp(-0.3 * abs(A[:, None] - B[None]).sum(axis=2))


KERNELS = {
    "poly": {"kernel": "poly", "gamma": 0.3, "degree": 2, "coef0": 0.7},
    "cubic": {"kernel": Polynomial(gamma=0.2, degree=3, coef0=1.0)},
    "rbf": {"kernel": "rbf"},
    "cosine": {"kernel": "cosine"},
    "tanimoto": {"kernel": "tanimoto"},
    "arc-cosine": {"kernel": "arc-cosine"},
    "function": {"kernel": laplace},
}
ANY_KERNEL = pytest.mark.parametrize("kernel", KERNELS)
X = abs(np.random.default_rng(0).normal(size=(26, 4)))
X[9] = X[3]  # a singular matrix
NEW, X = X[20:], X[:20]
Y = np.sin(np.arange(40)).reshape(20, 2) + X[:, :2]
CLASSES = np.array(["a", "b", "c"])[np.arange(20) % 3]


def fitted(samples, y=Y, kind=FrontRegressor, start=None, **settings):
    given = {} if start is None else {"coefs_init": start[0], "intercepts_init": start[1]}
    return kind(**PLAIN | settings).fit(samples, y, **given)


def start_of(samples, features, **settings):
    """Weights, on these features, and biases before the first step: the steps are too short to change any number."""
    none = {"learning_rate": 1e-300, "weight_decay": 0.0, "schedule": "constant", "max_epochs": 1}
    model = fitted(samples, **settings | none)
    return [features.T @ model.contributions_, *(w.T for w in model.network_.weights)], model.intercepts_


def quadratic_features(samples):
    """The features whose inner products are (0.3 <x, y> + 0.7)^2."""
    pairs = 0.3 * np.einsum("ni,nj->nij", samples, samples).reshape(len(samples), -1)
    return np.hstack([pairs, np.sqrt(2 * 0.3 * 0.7) * samples, np.full((len(samples), 1), 0.7)])


def any_features(kernel):
    """Features of the training samples and of new ones, from a decomposition of the kernel of all of them."""
    gram = Gram(X, **KERNELS[kernel], dtype="float64")
    new = Gram(NEW, **KERNELS[kernel] | {"kernel": gram.kernel, "gamma": "scale", "degree": 3, "coef0": 1.0}, dtype="float64")
    crossed = gram.cross(NEW)
    values, vectors = np.linalg.eigh(np.block([[gram.matrix, crossed.T], [crossed, new.matrix]]))
    features = vectors * np.sqrt(np.maximum(values, 0))
    return features[:20], features[20:]


# ----------------------------------------------------------------------------------------------------------------------
# the training is that of weights on the kernel's features


@pytest.mark.parametrize("training", TRAININGS)
def test_a_polynomial_kernel_is_training_on_products_of_features(training):
    """Ordinary SGD on the explicit features: losses, predictions for new samples, and the weights A' phi(X)."""
    settings, features = TRAININGS[training], quadratic_features(X)
    np.testing.assert_allclose(features @ features.T, Gram(X, **KERNELS["poly"], dtype="float64").matrix, rtol=1e-13)
    start = start_of(X, features, **KERNELS["poly"] | settings)
    kernelized = fitted(X, **KERNELS["poly"] | settings)
    explicit = fitted(features, form="weights", start=start, **settings)
    np.testing.assert_allclose(kernelized.loss_curve_, explicit.loss_curve_, rtol=1e-9)
    np.testing.assert_allclose(kernelized.predict(NEW), explicit.predict(quadratic_features(NEW)), atol=1e-9)
    np.testing.assert_allclose(features.T @ kernelized.contributions_, explicit.coefs_[0], atol=1e-9)
    assert abs(explicit.coefs_[0] - start[0][0]).max() > 1e-3


@ANY_KERNEL
@pytest.mark.parametrize("training", ["nesterov", "deep"])
def test_any_kernel_is_training_on_its_features(kernel, training):
    """The features come from a decomposition of the kernel of all samples."""
    settings, (features, new) = TRAININGS[training], any_features(kernel)
    start = start_of(X, features, **KERNELS[kernel] | settings)
    kernelized = fitted(X, **KERNELS[kernel] | settings)
    explicit = fitted(features, form="weights", start=start, **settings)
    np.testing.assert_allclose(kernelized.loss_curve_, explicit.loss_curve_, rtol=1e-9)
    np.testing.assert_allclose(kernelized.predict(NEW), explicit.predict(new), atol=1e-8)
    gram = Gram(X, **KERNELS[kernel], dtype="float64")
    from_gram = fitted(gram, **settings)
    assert from_gram.loss_curve_ == kernelized.loss_curve_
    np.testing.assert_array_equal(from_gram.predict(NEW), kernelized.predict(NEW))
    np.testing.assert_array_equal(from_gram.contributions_, kernelized.contributions_)


def test_random_fourier_features_approach_rbf():
    """Their error falls with the root of their number."""
    gamma = 0.5
    smooth = {"activation": "tanh"}  # no unit jumps
    kernelized = fitted(X, kernel="rbf", gamma=gamma, **smooth)
    expected, errors = kernelized.predict(NEW), {}
    for n_features in (200, 20_000):
        found = []
        for seed in range(6):
            rng = np.random.default_rng(seed)
            directions, phases = rng.normal(size=(4, n_features)) * np.sqrt(2 * gamma), rng.uniform(0, 2 * np.pi, n_features)
            features, new = (np.sqrt(2 / n_features) * np.cos(part @ directions + phases) for part in (X, NEW))
            start = start_of(X, features, kernel="rbf", gamma=gamma, **smooth)
            explicit = fitted(features, form="contributions", start=start, **smooth)
            found.append(np.sqrt(np.mean((explicit.predict(new) - expected) ** 2)))
        errors[n_features] = np.mean(found)
    assert 5 < errors[200] / errors[20_000] < 20  # the root of 100
    assert errors[20_000] < 0.05


def test_precomputed_products_are_any_kernel():
    """A matrix of an RBF kernel, and products of new samples with the training samples."""
    gram = Gram(X, kernel="rbf", dtype="float64")
    intercepts = [np.full(7, 0.1), np.zeros(2)]
    one = FrontRegressor(**PLAIN, kernel="precomputed").fit(gram.matrix, Y, intercepts_init=intercepts)
    other = FrontRegressor(**PLAIN, kernel="rbf").fit(X, Y, intercepts_init=intercepts)
    assert one.loss_curve_ == other.loss_curve_
    np.testing.assert_array_equal(one.predict(gram.cross(NEW)), other.predict(NEW))
    assert one.n_features_in_ == 20


@pytest.mark.parametrize("convert", [sparse.csr_array, sparse.csc_array, lambda X: X.astype(np.float32), np.asfortranarray])
def test_any_kind_of_features(convert):
    """Sparse ones, and single precision."""
    model, plain = fitted(convert(X), kernel="rbf", gamma=0.5), fitted(X, kernel="rbf", gamma=0.5)
    np.testing.assert_allclose(model.predict(convert(NEW)), plain.predict(NEW), atol=1e-5)


@pytest.mark.parametrize("kernel", ["rbf", "poly"])
def test_gamma_is_that_of_the_training_samples(kernel):
    """1 / (d var), also when parts of X are predicted."""
    model = fitted(X, kernel=kernel)
    given = fitted(X, kernel=kernel, gamma=1 / (4 * X.var()))
    np.testing.assert_allclose(model.predict(NEW), given.predict(NEW), rtol=1e-10)
    np.testing.assert_allclose(model.predict(NEW)[:2], model.predict(NEW[:2]), rtol=1e-10)


@pytest.mark.parametrize("kernel", ["rbf", "arc-cosine"])
def test_curved_classes_are_learned(kernel):
    """Exclusive or, and rings, by one hidden layer."""
    rng = np.random.default_rng(0)
    corners = rng.choice([-1, 1], (120, 2)) + rng.normal(scale=0.3, size=(120, 2))
    rings, inner = make_circles(120, noise=0.05, factor=0.5, random_state=0)
    settings = {"kernel": kernel, "max_epochs": 100 if backend.NAME == "compiled" else 40, "learning_rate": 0.05}
    for samples, y in ((corners, np.prod(corners, axis=1) > 0), (rings, inner)):
        model = FrontClassifier((32,), random_state=0, **settings).fit(samples[:80], y[:80])
        assert model.score(samples[80:], y[80:]) > 0.95


# ----------------------------------------------------------------------------------------------------------------------
# scikit-learn


NO_KERNEL = "the check takes a matrix for the kernel of samples that is not symmetric or has negative eigenvalues"


def expected_failures(estimator):
    """What the checks do that a kernel matrix, or a random number for each sample, does not permit."""
    if estimator.kernel == "precomputed":
        names = "positive_only_tag_during_fit", "estimators_dtypes", "classifiers_one_label_sample_weights"
        matrices = {f"check_{name}": NO_KERNEL for name in names}
        return matrices | {"check_fit_score_takes_y": "products with other samples are missing, so partial_fit cannot go on"}
    start = "each sample has its own random numbers in the start, also one that repeats another or has the weight 0"
    return {f"check_sample_weight_equivalence_on_{kind}_data": start for kind in ("dense", "sparse")}


@pytest.mark.skipif(backend.NAME == "python", reason="the checks fit hundreds of networks; the compiled kernels do")
@parametrize_with_checks(
    [  # classes or numbers enter after the kernel and the start, so that each of these is checked with one of them
        FrontClassifier((16,), dtype="float64", kernel="precomputed"),
        FrontRegressor((16,), dtype="float64", learning_rate=0.1, kernel="rbf"),
        FrontClassifier((16,), dtype="float64", init="span"),
    ],
    expected_failed_checks=expected_failures,
)
@pytest.mark.filterwarnings("ignore")  # the checks provoke warnings
def test_scikit_learn_checks(estimator, check):
    """All of scikit-learn's own checks that apply."""
    check(estimator)


def test_cross_validation_slices_rows_and_columns():
    """By the pairwise tag; equal to a Gram's views."""
    K = Gram(X, kernel="rbf", dtype="float64").matrix
    model = FrontClassifier(**PLAIN, kernel="precomputed")
    assert model.__sklearn_tags__().input_tags.pairwise
    assert not FrontClassifier(kernel="rbf").__sklearn_tags__().input_tags.pairwise
    folds = KFold(3, shuffle=True, random_state=0)
    predicted = cross_val_predict(model, K, CLASSES, cv=folds, method="predict_proba")
    for rows, held in folds.split(K):
        by_hand = clone(model).fit(K[np.ix_(rows, rows)], CLASSES[rows]).predict_proba(K[np.ix_(held, rows)])
        np.testing.assert_array_equal(predicted[held], by_hand)
    search = GridSearchCV(model, {"learning_rate": [0.001, 0.05]}, cv=folds).fit(K, CLASSES)
    assert search.predict(K[:4]).shape == (4,)


def test_kernels_in_a_search():
    """Names of kernels with values of gamma, on features."""
    grid = {"kernel": ["rbf", "poly", "linear"], "gamma": [0.1, 1.0]}
    search = GridSearchCV(FrontClassifier(**PLAIN), grid, cv=2).fit(X, CLASSES)
    assert len(set(search.cv_results_["mean_test_score"])) > 1
    assert cross_val_score(FrontClassifier(**PLAIN, kernel=RBF(gamma=0.5)), X, CLASSES, cv=2).shape == (2,)


@ANY_KERNEL
@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
def test_copies(kernel, duplicate):
    """Copies predict the same bits and can go on; clones are not fitted."""
    model = fitted(X, CLASSES, kind=FrontClassifier, **KERNELS[kernel])
    other = duplicate(model)
    np.testing.assert_array_equal(other.predict_proba(NEW), model.predict_proba(NEW))
    for one in (model, other):
        one.partial_fit(NEW, CLASSES[:6])
    np.testing.assert_array_equal(other.predict_proba(NEW), model.predict_proba(NEW))
    assert not hasattr(clone(model), "network_")


# ----------------------------------------------------------------------------------------------------------------------
# explanations, streams, samples without features


@ANY_KERNEL
def test_explanations_add_up(kernel):
    """Terms are A_ij k(x_i, x); with the biases they are the pre-activations, and the parts of outputs add up."""
    model = fitted(X, CLASSES, kind=FrontClassifier, **KERNELS[kernel], weight_decay=0.1)
    parts, crossed = model.explain(NEW), Gram(X, **KERNELS[kernel], dtype="float64").cross(NEW)
    np.testing.assert_allclose(parts.terms, crossed[:, :, None] * model.contributions_, atol=1e-12)
    np.testing.assert_array_equal(parts.initial, 0)
    hidden = np.maximum(parts.preactivations, 0)
    logits = hidden @ model.network_.weights[0].T + model.intercepts_[1]
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(model.predict_proba(NEW), shares, rtol=1e-9)
    split = explain_output(model, NEW)
    np.testing.assert_allclose(split.initial + split.terms.sum(axis=1) + split.rest, split.outputs, rtol=1e-9)
    np.testing.assert_allclose(split.outputs, logits.max(axis=1), rtol=1e-9)


@ANY_KERNEL
@pytest.mark.parametrize("settings", [{}, {"nesterov": True, "weight_decay": 0.1}])
def test_streams(kernel, settings):
    """Further samples begin with no contribution, and train as rows of one Gram of all of them do."""
    settings = settings | KERNELS[kernel]
    if settings["kernel"] == "rbf":
        settings["gamma"] = 0.4  # "scale" is that of the first samples, or of all
    gram = Gram(X, **{name: settings[name] for name in KERNELS[kernel] | {"gamma": 0} if name in settings}, dtype="float64")
    own = {name: value for name, value in settings.items() if name not in ("kernel", "gamma", "degree", "coef0")}
    by_X, by_rows = FrontRegressor(**PLAIN | settings), FrontRegressor(**PLAIN | own)
    for rows in (slice(0, 9), slice(9, 10), slice(10, 20)):
        by_X.partial_fit(X[rows], Y[rows])
        by_rows.partial_fit(gram[rows], Y[rows])
        assert len(by_X.contributions_) == rows.stop
    np.testing.assert_allclose(by_X.loss_curve_, by_rows.loss_curve_, rtol=1e-9)
    np.testing.assert_allclose(by_X.contributions_, by_rows.contributions_, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(by_X.predict(NEW), by_rows.predict(NEW), rtol=1e-9)


@ANY_KERNEL
def test_further_samples_change_no_prediction_by_themselves(kernel):
    """Until a step is made."""
    model = fitted(X, **KERNELS[kernel])
    before = model.predict(NEW)
    model.set_params(learning_rate=1e-300).partial_fit(NEW, Y[:6])
    np.testing.assert_allclose(model.predict(NEW), before, rtol=1e-9)


def common_letters(A, B):
    """A kernel of strings."""
    return np.array([[float(len(set(a) & set(b))) for b in B] for a in A])


@pytest.mark.parametrize("kind", [FrontClassifier, NoPropClassifier])
def test_strings(kind):
    """Samples without columns: training, prediction, folds, explanations and streams."""
    words = ["abc", "bcd", "acd", "abd", "xyz", "wxy", "wyz", "wxz"] * 3
    y = np.arange(24) % 8 > 3
    gram = Gram(words, kernel=common_letters)
    settings = {"random_state": 0, "max_epochs": 60}
    model = (kind((16,), **settings) if kind is FrontClassifier else kind(n_blocks=2, hidden=(16, 8), **settings)).fit(gram, y)
    assert list(model.predict(["ab", "wx", "d"])) == [False, True, False]
    assert cross_val_score(model, gram, y, cv=3).min() == 1
    if kind is FrontClassifier:
        assert model.explain(["ab"]).terms.shape == (1, 24, 16)
        with pytest.raises(ValueError, match="partial_fit takes rows of the Gram matrix"):
            model.partial_fit(["az", "by"], [False, False])
        assert model.partial_fit(gram[:2], y[:2]).contributions_.shape == (26, 16)


# ----------------------------------------------------------------------------------------------------------------------
# what is refused


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"form": "weights"}, ValueError, "form='weights' holds weights for features"),
        ({"form": "windowed"}, ValueError, "form='windowed' holds weights for features"),
        ({"optimizer": "adam"}, ValueError, "optimizer='adam' needs form='weights'.*'sgd', or X with kernel='linear'"),
        ({"optimizer": "adamw"}, ValueError, "optimizer='adamw' needs form='weights'"),
        ({"rule": "fg-w"}, ValueError, "needs form='weights'"),
        ({"init": "glorot"}, ValueError, "init='glorot' starts from weights, but the rbf kernel has none; use init='span'"),
        ({"kernel": "spam"}, ValueError, "kernel='spam' is unknown"),
        ({"kernel": None}, TypeError, "kernel must be one of"),
        ({"gamma": 0.0}, ValueError, "gamma must be"),
        ({"gamma": "wide"}, ValueError, "gamma='wide' is unknown"),
        ({"degree": 1.5, "kernel": "poly"}, TypeError, "degree must be"),
        ({"coef0": -1.0, "kernel": "poly"}, ValueError, "coef0 must be"),
        ({"kernel": lambda A, B: np.ones(3)}, ValueError, r"gave an array of shape \(3,\)"),
        ({"kernel": lambda A, B: np.triu(np.ones((len(A), len(B))))}, ValueError, "the kernel matrix of X is not symmetric"),
        (
            {"kernel": lambda A, B: -A @ B.T},
            ValueError,
            "the kernel matrix of X is not positive semi-definite.*eigenvalue is -",
        ),
        ({"memory_limit": 1000}, MemoryError, "memory_limit=1000 bytes"),
    ],
)
def test_bad_settings(settings, error, message):
    """The message names the argument, and the estimator is not half fitted."""
    model = FrontRegressor(**PLAIN | {"kernel": "rbf"} | settings)
    with pytest.raises(error, match=message):
        model.fit(X, Y)
    assert not hasattr(model, "network_")


K = X @ X.T


@pytest.mark.parametrize(
    ("matrix", "error", "message"),
    [
        (X, ValueError, r"must be a square matrix.*\(20, 4\)"),
        (np.triu(K), ValueError, "is not symmetric: row"),
        (K - 9 * np.eye(20), ValueError, "is not positive semi-definite: its smallest eigenvalue is -9"),
        (np.where(K.max() == K, np.nan, K), ValueError, "NaN"),
        (np.where(K.max() == K, np.inf, K), ValueError, "infinity"),
        (sparse.csr_array(K), (TypeError, ValueError), "[Ss]parse"),
    ],
)
def test_bad_matrices(matrix, error, message):
    """What is no kernel of samples with each other."""
    with pytest.raises(error, match=message):
        FrontRegressor(**PLAIN, kernel="precomputed").fit(matrix, Y)


@pytest.mark.parametrize(
    ("products", "error", "message"),
    [
        (NEW, ValueError, "X has 4 features, but FrontRegressor is expecting 20"),
        (K[:, :19], ValueError, "X has 19 features"),
        (K[0], ValueError, "Expected 2D array"),
        (np.full((2, 20), np.nan), ValueError, "NaN"),
        (sparse.csr_array(K), (TypeError, ValueError), "[Ss]parse|dense"),
        (np.zeros((0, 20)), ValueError, "0 sample"),
    ],
)
def test_bad_products(products, error, message):
    """Products of new samples with the training samples have the shape (M, N)."""
    model = FrontRegressor(**PLAIN, kernel="precomputed").fit(K, Y)
    with pytest.raises(error, match=message):
        model.predict(products)
    with pytest.raises(ValueError, match="known by their products alone cannot be followed by others"):
        model.partial_fit(K, Y)


@pytest.mark.parametrize("kernel", ["rbf", "function"])
@pytest.mark.parametrize(
    ("new", "message"),
    [
        (X[:, :3], "X has 3 features"),
        (np.full((2, 4), np.nan), "NaN"),
        (X[0], "Expected 2D array"),
        ([["a"] * 4], "X holds text"),
    ],
)
def test_bad_new_samples(kernel, new, message):
    """Features are checked, whatever compares them."""
    with pytest.raises(ValueError, match=message):
        fitted(X, **KERNELS[kernel]).predict(new)


def test_what_needs_weights(tmp_path):
    """There are none; the message says what is there instead."""
    model = fitted(X, CLASSES, kind=FrontClassifier, kernel="rbf")
    to_torch = [model.to_torch] if importlib.util.find_spec("torch") else []
    for use in (lambda: model.coefs_, model.to_sklearn, *to_torch):
        with pytest.raises(AttributeError, match=r"no weights for features.*the rbf kernel; use explain, or contributions_"):
            use()
    assert not hasattr(model, "coefs_")
    assert model.contributions_.shape == (20, 7)
    with pytest.raises(
        ValueError, match="warm_start=True continues from weights, but the rbf kernel has none; use partial_fit"
    ):
        model.set_params(warm_start=True).fit(X, CLASSES)
    assert model.predict(NEW).shape == (6,)


def test_initial_weights():
    """None can be given."""
    start = [np.ones((4, 7)), np.ones((7, 2))], [np.ones(7), np.ones(2)]
    with pytest.raises(ValueError, match="coefs_init starts from weights, but the rbf kernel has none"):
        fitted(X, kernel="rbf", start=start)


@pytest.mark.parametrize("kernel", ["rbf", "precomputed", laplace])
def test_a_kernel_beside_a_gram(kernel):
    """A Gram has its kernel already."""
    with pytest.raises(ValueError, match="X is a Gram matrix, which has a kernel of its own; leave out kernel="):
        fitted(Gram(X, dtype="float64"), kernel=kernel)


def test_a_change_of_features_is_noticed():
    """Predictions compare new samples with the training samples."""
    features = X.copy()
    model = fitted(features, kernel="rbf")
    features[2, 1] += 1
    with pytest.raises(RuntimeError, match="changed"):
        model.predict(NEW)


@pytest.mark.parametrize("kernel", ["poly", "rbf", "arc-cosine", "precomputed"])
def test_steps_of_neuron_adam_have_the_scale_of_the_kernel(kernel):
    """The first step of a unit has the length rate sqrt(m) for samples of mean square m, as rate sqrt(d) for d features."""
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(40, 7)), np.arange(40) % 2
    gram = Gram(X @ X.T if kernel == "precomputed" else X, kernel=kernel, dtype="float64")
    wide = np.hstack([X, np.zeros((40, 60))])
    wider = gram if kernel == "precomputed" else Gram(wide, kernel=gram.kernel, dtype="float64")
    settings = {"optimizer": "neuron-adam", "momentum": 0.9, "learning_rate": 0.01, "batch_size": 40, "max_epochs": 1}
    for samples in (gram, wider):
        network = FrontClassifier((5,), activation="logistic", dtype="float64", random_state=0, **settings).fit(samples, y)
        A = network.network_.front.base
        lengths = np.sqrt(np.einsum("ij,ik,kj->j", A, gram.matrix, A))
        np.testing.assert_allclose(lengths, 0.01 * gram.mean_square**0.5, rtol=1e-3)
