"""Networks to and from scikit-learn and PyTorch: the same outputs."""

import subprocess
import sys
from functools import partial

import numpy as np
import pytest
from classic import FrontClassifier, FrontRegressor
from sklearn.exceptions import NotFittedError
from sklearn.neural_network import MLPClassifier, MLPRegressor

import fcfast
from fcfast.convert import from_sklearn, from_torch, to_sklearn, to_torch

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")  # few epochs on purpose

N, D = 24, 40
SETTINGS = {"max_epochs": 4, "learning_rate": 0.1, "random_state": 0}
TOLERANCE = {"float32": 2e-5, "float64": 1e-12}
SHARED_ACTIVATIONS = ["relu", "tanh", "logistic", "identity"]


@pytest.fixture(scope="module")
def X():
    """Training inputs."""
    return np.random.default_rng(0).normal(size=(N, D))


@pytest.fixture(scope="module")
def X_new():
    """Inputs never seen in training."""
    return np.random.default_rng(1).normal(size=(50, D))


@pytest.fixture
def torch():
    """PyTorch, where it is installed."""
    return pytest.importorskip("torch")


def labels(n_classes):
    """Class names, as many as asked for, in turn."""
    return np.array(["a", "b", "c"])[np.arange(N) % n_classes]


def targets(*shape):
    """Targets of a regression."""
    return np.random.default_rng(2).normal(size=(N, *shape))


# ----------------------------------------------------------------------------------------------------------------------
# scikit-learn


@pytest.mark.parametrize("activation", SHARED_ACTIVATIONS)
@pytest.mark.parametrize("n_classes", [2, 3])
def test_sklearn_classifier_predicts_the_same(X, X_new, activation, n_classes, dtype):
    """Probabilities and labels agree; two outputs become one."""
    classifier = FrontClassifier((8, 5), activation, dtype=dtype.name, **SETTINGS).fit(X, labels(n_classes))
    mlp = classifier.to_sklearn()
    assert type(mlp) is MLPClassifier
    assert mlp.n_outputs_ == mlp.coefs_[-1].shape[1] == (1 if n_classes == 2 else 3)
    assert mlp.n_layers_ == 4
    np.testing.assert_allclose(mlp.predict_proba(X_new), classifier.predict_proba(X_new), rtol=TOLERANCE[dtype.name])
    np.testing.assert_array_equal(mlp.predict(X_new), classifier.predict(X_new))
    np.testing.assert_array_equal(mlp.classes_, classifier.classes_)


@pytest.mark.parametrize("shape", [(), (3,)])
def test_sklearn_regressor_predicts_the_same(X, X_new, shape, dtype):
    """One target or several."""
    regressor = FrontRegressor((8,), dtype=dtype.name, **SETTINGS).fit(X, targets(*shape))
    mlp = to_sklearn(regressor)
    assert type(mlp) is MLPRegressor
    tolerance = TOLERANCE[dtype.name]
    np.testing.assert_allclose(mlp.predict(X_new), regressor.predict(X_new), rtol=tolerance, atol=tolerance)


def test_difference_of_two_outputs_is_exact(X):
    """In float32 too, no digit of the difference is lost."""
    classifier = FrontClassifier((8,), **SETTINGS).fit(X, labels(2))
    coefs, intercepts = to_sklearn(classifier).coefs_, to_sklearn(classifier).intercepts_
    last, bias = classifier.coefs_[-1].astype(np.longdouble), classifier.intercepts_[-1].astype(np.longdouble)
    np.testing.assert_array_equal(coefs[-1][:, 0], last[:, 1] - last[:, 0])
    np.testing.assert_array_equal(intercepts[-1], [bias[1] - bias[0]])


def test_sklearn_network_is_whole_and_apart(X):
    """It can be shown, cloned, and trained on, which leaves the original alone."""
    classifier = FrontClassifier((8,), dtype="float64", batch_size="auto", **SETTINGS).fit(X, labels(2))
    before = [array.copy() for array in classifier.coefs_ + classifier.intercepts_]
    mlp = classifier.to_sklearn()
    assert mlp.loss_curve_ == classifier.loss_curve_
    assert mlp.n_iter_ == classifier.n_epochs_
    assert mlp.loss_ == classifier.loss_curve_[-1]
    assert mlp.get_params()["hidden_layer_sizes"] == (8,)
    first = mlp.coefs_[0].copy()
    mlp.partial_fit(X, labels(2))
    assert not np.array_equal(mlp.coefs_[0], first)
    for a, b in zip(classifier.coefs_ + classifier.intercepts_, before, strict=True):
        np.testing.assert_array_equal(a, b)


def test_feature_names_go_along(X):
    """What the columns are called is known to the other side."""
    classifier = FrontClassifier((8,), **SETTINGS).fit(X, labels(3))
    classifier.feature_names_in_ = np.array([f"x{i}" for i in range(D)], dtype=object)
    np.testing.assert_array_equal(to_sklearn(classifier).feature_names_in_, classifier.feature_names_in_)


def test_what_sklearn_has_not_is_refused(X):
    """Leaky ReLU, a single class, and what is not fitted."""
    with pytest.raises(ValueError, match="no activation 'leaky_relu'"):
        to_sklearn(FrontClassifier((8,), "leaky_relu", **SETTINGS).fit(X, labels(2)))
    with pytest.raises(ValueError, match=r"the only class is .*'a'"):
        to_sklearn(FrontClassifier((8,), **SETTINGS).fit(X, labels(1)))
    with pytest.raises(NotFittedError):
        to_sklearn(FrontClassifier())


def started_from(layers, kind, X, y, activation="relu"):
    """An estimator that has hardly left its initial weights."""
    estimator = kind((7,), activation, dtype="float64", max_epochs=1, n_iter_no_change=1, learning_rate=1e-300, tol=0)
    return estimator.fit(X, y, coefs_init=layers[0], intercepts_init=layers[1])


@pytest.mark.parametrize("n_classes", [2, 3])
def test_from_sklearn_classifier(X, X_new, n_classes):
    """Started from scikit-learn's weights, the predictions are scikit-learn's."""
    mlp = MLPClassifier(hidden_layer_sizes=(7,), max_iter=3, random_state=0).fit(X, labels(n_classes))
    classifier = started_from(from_sklearn(mlp), FrontClassifier, X, labels(n_classes))
    np.testing.assert_allclose(classifier.predict_proba(X_new), mlp.predict_proba(X_new), rtol=1e-12)
    back = to_sklearn(classifier)
    np.testing.assert_allclose(back.coefs_[-1], mlp.coefs_[-1], rtol=1e-15)
    np.testing.assert_allclose(back.intercepts_[-1], mlp.intercepts_[-1], rtol=1e-15)


def test_from_sklearn_regressor_gives_copies(X, X_new):
    """Started from scikit-learn's weights, which stay as they are."""
    mlp = MLPRegressor(hidden_layer_sizes=(7,), activation="tanh", max_iter=3, random_state=0).fit(X, targets(2))
    coefs, intercepts = from_sklearn(mlp)
    regressor = started_from((coefs, intercepts), FrontRegressor, X, targets(2), "tanh")
    np.testing.assert_allclose(regressor.predict(X_new), mlp.predict(X_new), rtol=1e-11, atol=1e-13)
    assert not any(np.shares_memory(a, b) for a, b in zip(coefs + intercepts, mlp.coefs_ + mlp.intercepts_, strict=True))


def test_from_sklearn_several_labels_and_rates(X, X_new):
    """Logistic outputs for several labels, and logarithms of rates (whose loss scikit-learn has from 1.7 on)."""
    mlp = MLPClassifier(hidden_layer_sizes=(7,), max_iter=3, random_state=0).fit(X, targets(3) > 0)
    classifier = started_from(from_sklearn(mlp), FrontClassifier, X, targets(3) > 0)
    np.testing.assert_allclose(classifier.predict_proba(X_new), mlp.predict_proba(X_new), rtol=1e-12)
    np.testing.assert_allclose(to_sklearn(classifier).predict_proba(X_new), mlp.predict_proba(X_new), rtol=1e-12)
    if "loss" not in MLPRegressor().get_params():
        return
    counts = np.abs(targets()).round()
    rates = MLPRegressor("poisson", hidden_layer_sizes=(7,), max_iter=3, random_state=0).fit(X, counts)
    regressor = started_from(from_sklearn(rates), partial(FrontRegressor, loss="poisson"), X, counts)
    np.testing.assert_allclose(regressor.predict(X_new), rates.predict(X_new), rtol=1e-12)
    np.testing.assert_allclose(to_sklearn(regressor).predict(X_new), rates.predict(X_new), rtol=1e-12)


def test_from_sklearn_refuses_other_networks(X):
    """No network, not fitted, no hidden layer."""
    with pytest.raises(TypeError, match="got a FrontClassifier"):
        from_sklearn(FrontClassifier())
    with pytest.raises(NotFittedError):
        from_sklearn(MLPClassifier())
    with pytest.raises(ValueError, match="no hidden layer"):
        from_sklearn(MLPRegressor(hidden_layer_sizes=(), max_iter=2).fit(X, targets()))


# ----------------------------------------------------------------------------------------------------------------------
# PyTorch


@pytest.mark.parametrize("activation", [*SHARED_ACTIVATIONS, "leaky_relu"])
def test_torch_gives_the_same_logits(torch, X, X_new, activation, dtype):
    """Softmax of the module's outputs is predict_proba."""
    classifier = FrontClassifier((8, 5), activation, dtype=dtype.name, **SETTINGS).fit(X, labels(2))
    module = classifier.to_torch()
    inputs = torch.from_numpy(X_new.astype(dtype))
    with torch.no_grad():
        probabilities = torch.softmax(module(inputs), dim=1).numpy()
    assert probabilities.dtype == dtype
    assert len(module) == 5
    np.testing.assert_allclose(probabilities, classifier.predict_proba(X_new), rtol=TOLERANCE[dtype.name])


def test_torch_regressor_has_two_dimensions(torch, X, X_new):
    """One target gives outputs (M, 1)."""
    regressor = FrontRegressor((8,), dtype="float64", **SETTINGS).fit(X, targets())
    outputs = to_torch(regressor)(torch.from_numpy(X_new)).detach().numpy()
    np.testing.assert_allclose(outputs, regressor.predict(X_new)[:, None], rtol=1e-11, atol=1e-13)


def test_torch_module_is_apart(torch, X):
    """It shares no memory with the estimator, is trainable, and draws no random numbers."""
    classifier = FrontClassifier((8,), **SETTINGS).fit(X, labels(3))
    before = [array.copy() for array in classifier.coefs_ + classifier.intercepts_]
    state = torch.random.get_rng_state()
    module = classifier.to_torch()
    assert torch.equal(torch.random.get_rng_state(), state)
    assert all(parameter.requires_grad for parameter in module.parameters())
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.zero_()
    for a, b in zip(classifier.coefs_ + classifier.intercepts_, before, strict=True):
        np.testing.assert_array_equal(a, b)


def test_torch_and_back_is_exact(torch, X, dtype):
    """No bit changes on the way there and back."""
    classifier = FrontClassifier((8, 5), "leaky_relu", dtype=dtype.name, **SETTINGS).fit(X, labels(3))
    coefs, intercepts = from_torch(classifier.to_torch())
    for a, b in zip(coefs + intercepts, classifier.coefs_ + classifier.intercepts_, strict=True):
        np.testing.assert_array_equal(a, b)


def test_from_torch_starts_training(torch, X, X_new):
    """Started from PyTorch's weights, the outputs are PyTorch's; a missing bias is 0."""
    module = torch.nn.Sequential(torch.nn.Linear(D, 7, bias=False), torch.nn.Tanh(), torch.nn.Linear(7, 2)).double()
    regressor = started_from(from_torch(module), FrontRegressor, X, targets(2), "tanh")
    outputs = module(torch.from_numpy(X_new)).detach().numpy()
    np.testing.assert_allclose(regressor.predict(X_new), outputs, rtol=1e-11, atol=1e-13)


BAD_MODULES = {
    "one layer": (lambda nn: [nn.Linear(3, 2)], "has 1 module"),
    "nothing": (lambda nn: [], "has 0 module"),
    "two Linear": (lambda nn: [nn.Linear(3, 2), nn.Linear(2, 2), nn.Linear(2, 1)], "module 1 is Linear"),
    "dropout": (lambda nn: [nn.Linear(3, 2), nn.Dropout(), nn.Linear(2, 1)], "module 1 is Dropout"),
    "convolution": (lambda nn: [nn.Conv1d(3, 2, 1), nn.ReLU(), nn.Linear(2, 1)], "module 0 must be a Linear"),
    "softmax": (lambda nn: [nn.Linear(3, 2), nn.ReLU(), nn.Linear(2, 2), nn.Softmax(1)], "module 3 is Softmax"),
    "activation last": (lambda nn: [nn.Linear(3, 2), nn.ReLU(), nn.Linear(2, 2), nn.ReLU()], "end with a Linear"),
    "slope": (lambda nn: [nn.Linear(3, 2), nn.LeakyReLU(0.2), nn.Linear(2, 2)], r"module 1 is LeakyReLU\(negative_slope=0.2\)"),
    "two activations": (
        lambda nn: [nn.Linear(3, 2), nn.ReLU(), nn.Linear(2, 2), nn.Tanh(), nn.Linear(2, 2)], "but module 1 is ReLU",
    ),
    "widths": (lambda nn: [nn.Linear(3, 2), nn.ReLU(), nn.Linear(4, 1)], "module 2 takes 4 inputs.*gives 2"),
}  # fmt: skip


@pytest.mark.parametrize(("modules", "message"), BAD_MODULES.values(), ids=BAD_MODULES)
def test_from_torch_refuses_other_architectures(torch, modules, message):
    """The message names the module that does not fit."""
    with pytest.raises(ValueError, match=message):
        from_torch(torch.nn.Sequential(*modules(torch.nn)))


def test_from_torch_takes_a_sequential(torch):
    """Other modules could compute anything."""
    with pytest.raises(TypeError, match="got a Linear"):
        from_torch(torch.nn.Linear(3, 2))


def test_without_torch_the_extra_is_named(X, monkeypatch):
    """A missing PyTorch is an ImportError that says how to get it."""
    monkeypatch.setitem(sys.modules, "torch", None)
    classifier = FrontClassifier((8,), **SETTINGS).fit(X, labels(2))
    for convert, argument in ((to_torch, classifier), (from_torch, None)):
        with pytest.raises(ImportError, match=r"pip install \"fcfast\[torch\]\""):
            convert(argument)


def test_conversion_to_sklearn_does_not_import_torch():
    """PyTorch is imported by what needs it only."""
    code = "import sys, fcfast.convert; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


def test_a_loaded_estimator_converts(X, X_new, tmp_path):
    """Conversion needs nothing that a model file lacks."""
    classifier = FrontClassifier((8,), **SETTINGS).fit(X, labels(2))
    classifier.save(tmp_path / "model")
    mlp = fcfast.load(tmp_path / "model").to_sklearn()
    np.testing.assert_array_equal(mlp.predict_proba(X_new), classifier.to_sklearn().predict_proba(X_new))
