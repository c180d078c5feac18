"""ONNX models: onnxruntime predicts from raw features what the estimators predict."""

import json
import os

import numpy as np
import pytest
from scipy import sparse
from sklearn.exceptions import NotFittedError

import fcfast
from fcfast import FrontClassifier, FrontRegressor, Gram, NoPropClassifier
from fcfast.activations import ACTIVATIONS
from fcfast.kernels import RBF, Kernel
from fcfast.losses import Loss
from fcfast.scaling import measure, of_raw_data

pytest.importorskip("onnx", reason="ONNX models need fcfast[onnx]")
pytest.importorskip("onnxruntime", reason="nothing else runs ONNX models")
import onnx
import onnxruntime

from fcfast.onnx import IR_VERSION, OPSET, files, graph, to_onnx

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")  # few epochs on purpose

TOLERANCE = {"float32": 1e-5, "float64": 1e-12}
BRIEF = {"max_epochs": 4, "random_state": 0}


def session(model):
    """Load a model, or a file, as users do."""
    content = model if isinstance(model, (str, os.PathLike)) else model.SerializeToString()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def run(model, X):
    """Give the outputs by name."""
    loaded = session(model)
    taken = {"tensor(float)": "float32", "tensor(double)": "float64"}[loaded.get_inputs()[0].type]
    outputs = [output.name for output in loaded.get_outputs()]
    return dict(zip(outputs, loaded.run(outputs, {"X": np.asarray(X, taken)}), strict=True))


def check(estimator, X, tolerance=None, **settings):
    """Compare the predictions of an estimator and of its model, for all samples at once and for the first alone."""
    model = estimator.to_onnx(**settings)
    onnx.checker.check_model(model, full_check=True)
    tolerance = tolerance or TOLERANCE[estimator.network_.dtype.name]
    taken = np.asarray(X, settings.get("input_dtype") or estimator.network_.dtype)
    for rows in (slice(None), slice(1)):
        got = run(model, taken[rows])
        if hasattr(estimator, "classes_"):
            wanted = estimator.predict_proba(taken[rows])
            np.testing.assert_allclose(got["probabilities"], wanted, rtol=0, atol=tolerance)
            gaps = np.sort(wanted, axis=1)
            clear = np.ones(len(wanted), bool) if wanted.shape[1] == 1 else gaps[:, -1] - gaps[:, -2] > 1e-4
            assert got["label"][clear].tolist() == estimator.predict(taken[rows])[clear].tolist()
        else:
            wanted = estimator.predict(taken[rows])
            assert got["variable"].shape == (len(wanted), 1 if wanted.ndim == 1 else wanted.shape[1])
            size = max(1.0, float(np.abs(wanted).max()))
            np.testing.assert_allclose(got["variable"], wanted.reshape(len(wanted), -1), rtol=0, atol=size * tolerance)
    return model


# ----------------------------------------------------------------------------------------------------------------------
# networks with weights


@pytest.mark.parametrize("seed", range(16))
def test_random_networks(seed):
    """Any shape, depth, activation, precision, scaling and form, both estimators."""
    rng = np.random.default_rng(seed)
    dtype = ("float32", "float64")[seed % 2]
    n_samples, n_features = int(rng.integers(12, 40)), int(rng.integers(1, 60))
    X = rng.normal(rng.normal(size=n_features), rng.uniform(0.5, 3, n_features), (n_samples, n_features))
    missing = ("error", "mean")[seed // 2 % 2]
    if missing == "mean":
        X[rng.random(X.shape) < 0.1] = np.nan
    hidden = tuple(map(int, rng.integers(1, 9, rng.integers(1, 4))))
    settings = {
        "hidden_layer_sizes": hidden, "activation": list(ACTIVATIONS)[seed % 5], "dtype": dtype, "missing": missing,
        "standardize": ("auto", True, False, "scale")[seed // 3 % 4],
        "form": ("contributions", "windowed", "weights")[seed % 3], **BRIEF,
    }  # fmt: skip
    y = rng.integers(0, int(rng.integers(2, 5)), n_samples)
    check(FrontClassifier(**settings).fit(X, y), X)
    targets = rng.normal(5, 3, size=(n_samples, 2) if seed % 4 else n_samples)
    check(FrontRegressor(standardize_targets=bool(seed % 2), **settings).fit(X, targets), X, None)


@pytest.mark.parametrize(
    ("labels", "kind"),
    [
        ([3, -7, 12], "tensor(int64)"),
        (np.array([200, 3, 7], "uint8"), "tensor(int64)"),
        (["née", "", "b c"], "tensor(string)"),
        (np.array(["x", "y", "z"], object), "tensor(string)"),
        ([True, False, True], "tensor(bool)"),
        ([0.0, 2.0, 1.0], "tensor(double)"),
    ],
    ids=str,
)
def test_labels_keep_their_type(labels, kind):
    """As class labels are, integers as int64."""
    X, y = np.random.default_rng(0).normal(size=(12, 5)), np.array(labels)[np.arange(12) % 3]
    model = check(FrontClassifier((4,), dtype="float64", **BRIEF).fit(X, y), X)
    assert session(model).get_outputs()[0].type == kind


def test_names_and_shapes():
    """Those of skl2onnx, with any number of samples, in an old opset."""
    X = np.random.default_rng(0).normal(size=(12, 5))
    classifier = session(FrontClassifier((4,), **BRIEF).fit(X, np.arange(12) % 3).to_onnx())
    inputs, outputs = classifier.get_inputs(), classifier.get_outputs()
    assert [(value.name, value.shape, value.type) for value in inputs] == [("X", ["N", 5], "tensor(float)")]
    assert [(value.name, value.shape) for value in outputs] == [("label", ["N"]), ("probabilities", ["N", 3])]
    regressor = FrontRegressor((4,), **BRIEF).fit(X, X[:, 0]).to_onnx()
    assert [(value.name, value.shape) for value in session(regressor).get_outputs()] == [("variable", ["N", 1])]
    assert (regressor.ir_version, [(entry.domain, entry.version) for entry in regressor.opset_import]) == (
        IR_VERSION,
        [("", OPSET)],
    )


@pytest.mark.parametrize(("dtype", "input_dtype"), [("float32", "float64"), ("float64", "float32")])
def test_input_of_another_precision(dtype, input_dtype):
    """What is taken, and what it is computed in."""
    X = np.random.default_rng(0).normal(1e3, 5, size=(20, 7))
    classifier = FrontClassifier((4,), "tanh", dtype=dtype, **BRIEF).fit(X, np.arange(20) % 2)
    check(classifier, X, TOLERANCE["float32"], input_dtype=input_dtype)
    with pytest.raises(ValueError, match="input_dtype"):
        classifier.to_onnx(input_dtype="float16")


@pytest.mark.parametrize("missing", ["error", "mean"])
def test_far_from_zero(missing):
    """Features such as 1e6 +- 1 keep their digits in single precision, and what is missing is their mean to the last digit."""
    rng = np.random.default_rng(0)
    X = (rng.normal(size=(40, 6)) + 1e6).astype("float32")
    X[:, 1] = rng.normal(-3e5, 1e-1, 40)
    y = X[:, 0] > np.float32(1e6)
    if missing == "mean":
        X[3, :2] = X[5, 1] = np.nan
    check(FrontClassifier((8,), missing=missing, max_epochs=30, random_state=0).fit(X, y), X)


def test_scales_that_do_not_fit_are_refused():
    """A deviation that single precision takes for 0, and targets over its range."""
    X = np.random.default_rng(0).normal(size=(20, 3)) * 1e-60
    classifier = FrontClassifier((4,), **BRIEF).fit(X, np.arange(20) % 2)
    with pytest.raises(ValueError, match=r"the deviation of column 0 .*too small for float32; use input_dtype='float64'"):
        classifier.to_onnx()
    check(classifier, X, input_dtype="float64")
    regressor = FrontRegressor((4,), **BRIEF).fit(X, np.arange(20.0))
    regressor._scaling.targets.scale[:] = 1e300
    with pytest.raises(ValueError, match="too large for float32"):
        regressor.to_onnx(input_dtype="float64")


def test_a_column_without_any_value():
    """It counts as its mean in training, 0, and so do new values that are missing."""
    X = np.random.default_rng(0).normal(size=(20, 4))
    X[:, 2] = np.nan
    check(FrontClassifier((4,), missing="mean", **BRIEF).fit(X, np.arange(20) % 2), X)


@pytest.mark.parametrize("init", ["glorot", "auto"])
@pytest.mark.parametrize("scaled", [False, "scale"])
def test_sparse_samples(init, scaled):
    """Features that never occurred have weights too, unless the start gives them none; in ONNX samples are dense."""
    X = sparse.random(40, 300, density=0.02, format="csr", random_state=0)
    settings = {"standardize": scaled, "init": init, "form": "weights", "missing": "mean" if scaled else "error"}
    classifier = FrontClassifier((4,), **settings, **BRIEF).fit(X, np.arange(40) % 3)
    X_new = sparse.random(30, 300, density=0.1, random_state=1).toarray()
    check(classifier, X_new)
    with pytest.raises(MemoryError, match="over memory_limit=1000 bytes"):
        classifier.set_params(memory_limit=1000).to_onnx()


def test_everything_that_becomes_an_estimator(tmp_path):
    """Loaded files, streams, further training, own losses, groups of units, a single class, and rules."""
    rng = np.random.default_rng(0)
    X, y = rng.normal(3, 2, size=(30, 12)), np.arange(30) % 3
    classifier = FrontClassifier((6, 4), groups=(1, 2), rule="dfa", standardize="auto", **BRIEF).fit(X, y)
    classifier.save(tmp_path / "model.safetensors")
    assert check(fcfast.load(tmp_path / "model.safetensors"), X) == check(classifier, X)
    stream = FrontRegressor((4,), missing="mean", random_state=0)
    for rows in (slice(0, 10), slice(10, 30)):
        stream.partial_fit(X[rows], X[rows, 0])
    check(stream, X)
    check(FrontClassifier((4,), **BRIEF).fit(X, np.zeros(30)), X)

    class Absolute(Loss):
        name = "absolute"

        def of_samples(self, outputs, targets):
            return np.abs(outputs - targets).sum(axis=1), np.sign(outputs - targets)

    check(FrontRegressor((4,), loss=Absolute(), **BRIEF).fit(X, X[:, 0]), X)
    scaled = measure(X, np.arange(30))
    fitted = FrontClassifier((4,), standardize=False, form="weights", **BRIEF).fit((X - scaled.mean) / scaled.scale, y)
    check(of_raw_data(fitted, scaled), X)


# ----------------------------------------------------------------------------------------------------------------------
# kernels


@pytest.mark.parametrize("kernel", ["rbf", "poly", "cosine", "tanimoto", "arc-cosine"])
@pytest.mark.parametrize("kind", [np.asarray, sparse.csr_array])
def test_kernels(kernel, kind, dtype):
    """New samples are compared with the training samples, which are part of the model; one of them may be empty."""
    rng = np.random.default_rng(0)
    X = rng.poisson(0.5, size=(24, 9)).astype(float)
    X[3] = 0
    classifier = FrontClassifier((4,), kernel=kernel, standardize=False, dtype=dtype.name, **BRIEF).fit(
        kind(X), np.arange(24) % 3
    )
    X_new = rng.poisson(0.7, size=(20, 9)).astype(float)
    X_new[2] = 0
    check(classifier, X_new, 1e-5 if dtype == np.float32 else 1e-10)


def test_grams():
    """Scaled samples of a Gram matrix, views, centring, linear products, and products that are given."""
    rng = np.random.default_rng(0)
    X, y = rng.normal(2, 3, size=(30, 9)), np.arange(30) % 3
    rbf = Gram(X, kernel="rbf", standardize=True, dtype="float64")
    for gram in (rbf, rbf[5:25], rbf[5:25].centred(), Gram(X, dtype="float64").centred()[::2]):
        rows = gram._chosen
        check(FrontClassifier((4,), dtype="float64", **BRIEF).fit(gram, y[rows]), X, 1e-10)
    G = X @ X.T
    given = Gram(G, kernel="precomputed", dtype="float64")
    for gram in (given, given[[7, 3, 4, 9, 12, 13]]):
        check(FrontClassifier((4,), dtype="float64", **BRIEF).fit(gram, y[gram._chosen]), G, 1e-10)


def test_kernels_that_onnx_cannot_compute():
    """A function, and a class that does not say how, even if its base class does."""
    X, y = np.random.default_rng(0).normal(size=(12, 5)), np.arange(12) % 2
    by_function = FrontClassifier((4,), kernel=lambda A, B: A @ B.T, standardize=False, **BRIEF).fit(X, y)
    with pytest.raises(ValueError, match="a Python function of samples"):
        by_function.to_onnx()

    class Halved(RBF):
        name = "halved"

        def values(self, *arguments):
            return super().values(*arguments) / 2

    classifier = FrontClassifier((4,), kernel=Halved(gamma=0.1), **BRIEF).fit(X, y)
    with pytest.raises(ValueError, match="'halved' does not say how ONNX computes it; define onnx_values in Halved"):
        classifier.to_onnx()
    assert Kernel.onnx_values is None


# ----------------------------------------------------------------------------------------------------------------------
# NoProp


@pytest.mark.parametrize(
    "settings",
    [
        {"variant": "dt", "n_blocks": 3},
        {"variant": "dt", "n_blocks": 2, "inference_noise": True, "n_runs": 3, "activation": "tanh"},
        {"variant": "dt", "n_blocks": 2, "embedding": "learned", "embedding_dim": 4, "batch_norm": True},
        {"variant": "ct", "n_steps": 4, "missing": "mean"},
        {"variant": "ct", "n_steps": 3, "update": "deterministic", "embedding": "prototype", "batch_norm": True},
        {"variant": "ct", "n_steps": 3, "inference_noise": True, "noise_schedule": "learned", "loss_weighting": "snr"},
        {"variant": "fm", "n_steps": 5, "embedding": "learned", "embedding_dim": 3},
        {"variant": "fm", "n_steps": 2, "inference_noise": True, "n_runs": 2},
        {"variant": "backprop", "n_blocks": 3, "activation": "leaky_relu"},
        {"variant": "backprop", "n_blocks": 1, "embedding": "prototype", "activation": "logistic"},
    ],
    ids=str,
)
def test_noprop(settings, dtype):
    """The blocks, step by step, with the noise that all samples share."""
    rng = np.random.default_rng(0)
    X, y = rng.normal(2, 3, size=(30, 8)), np.array(["a", "b", "c"])[np.arange(30) % 3]
    classifier = NoPropClassifier(hidden=(6, 5), dtype=dtype.name, **settings, **BRIEF).fit(X, y)
    check(classifier, X, 2e-5 if dtype == np.float32 else 1e-10)


def test_noprop_stores_a_block_once():
    """However many steps there are; and too many are refused, as is a kernel."""
    X, y = np.random.default_rng(0).normal(size=(20, 400)), np.arange(20) % 2
    classifier = NoPropClassifier("fm", hidden=(6, 5), **BRIEF).fit(X, y)
    few, many = (len(classifier.set_params(n_steps=n).to_onnx().SerializeToString()) for n in (2, 40))
    assert many < 3 * few + 100_000
    with pytest.raises(ValueError, match="a prediction has 5000 steps"):
        classifier.set_params(n_steps=5000).to_onnx()
    compared = NoPropClassifier(hidden=(6, 5), **BRIEF).fit(Gram(X, kernel="rbf"), y)
    with pytest.raises(ValueError, match="the blocks have a rbf kernel"):
        compared.to_onnx()


# ----------------------------------------------------------------------------------------------------------------------
# files, sizes and what a model says of itself


@pytest.fixture(scope="module")
def classifier():
    """A small one, with names of features."""
    pandas = pytest.importorskip("pandas")
    X = pandas.DataFrame(np.random.default_rng(0).normal(size=(20, 300)), columns=[f"gène {i}" for i in range(300)])
    return FrontClassifier((8,), **BRIEF).fit(X, np.arange(20) % 2)


def test_metadata(classifier):
    """The version, the names of the features, and the model card."""
    model = classifier.to_onnx()
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    assert metadata["fcfast_version"] == fcfast.__version__ == model.producer_version
    assert json.loads(metadata["feature_names"])[:2] == ["gène 0", "gène 1"]
    assert json.loads(metadata["card"]) == dict(classifier.card_)
    assert classifier.to_onnx().SerializeToString() == model.SerializeToString()


def test_file(classifier, tmp_path):
    """One file, written completely or not at all, the same bytes every time."""
    path = tmp_path / "model.onnx"
    assert classifier.to_onnx(path) is None
    content = path.read_bytes()
    assert onnx.load(path) == classifier.to_onnx()
    np.testing.assert_array_equal(run(path, np.zeros((2, 300)))["label"], classifier.predict(_named(classifier)))
    to_onnx(classifier, str(path))
    assert path.read_bytes() == content
    assert [file.name for file in tmp_path.iterdir()] == ["model.onnx"]
    with pytest.raises(OSError, match="does not exist"):
        classifier.to_onnx(tmp_path / "absent" / "model.onnx")


def _named(classifier):
    import pandas

    return pandas.DataFrame(np.zeros((2, 300)), columns=classifier.feature_names_in_)


def test_an_interrupted_file_leaves_the_old_one(classifier, tmp_path, monkeypatch):
    """Also Ctrl-C while the model is made."""
    path = tmp_path / "model.onnx"
    path.write_bytes(b"old")

    def interrupted(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(files.Graph, "model", interrupted)
    with pytest.raises(KeyboardInterrupt):
        classifier.to_onnx(path)
    assert path.read_bytes() == b"old"
    assert [file.name for file in tmp_path.iterdir()] == ["model.onnx"]


def test_too_large_for_a_message(classifier, tmp_path, monkeypatch):
    """Large weights go to a second file; without a path they are refused before they are made."""
    for module in (graph, files):
        monkeypatch.setattr(module, "MOST_BYTES", 5000)
    expanded = []
    front = type(classifier.network_.front)
    monkeypatch.setattr(front, "expand", lambda form, expand=front.expand: expanded.append(1) or expand(form))
    with pytest.raises(ValueError, match=r"holds 9.4 KiB, but an onnx.ModelProto less than 2 GiB; give a path"):
        classifier.to_onnx()
    assert not expanded
    path = tmp_path / "model.onnx"
    classifier.to_onnx(path)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["model.onnx", "model.onnx.data"]
    assert (tmp_path / "model.onnx.data").stat().st_size == 300 * 8 * 4 + 2 * 300 * 4 + 300 * 4
    X = np.random.default_rng(1).normal(size=(9, 300)).astype("float32")
    named = _named(classifier).iloc[:0].reindex(range(9))
    named[:] = X
    np.testing.assert_allclose(run(path, X)["probabilities"], classifier.predict_proba(named), atol=1e-5)


def test_what_cannot_be_converted():
    """Anything else, and what has not been fitted."""
    with pytest.raises(TypeError, match="estimator must be a fitted FrontClassifier"):
        to_onnx("model")
    with pytest.raises(TypeError, match="estimator must be a fitted FrontClassifier"):
        to_onnx(FrontClassifier)
    with pytest.raises(NotFittedError):
        FrontClassifier().to_onnx()
    X, y = np.eye(6), np.arange(6) % 2
    for labels in (np.array(["a", "b\ud800"]), np.array([0, 2**63], "uint64")):
        with pytest.raises(TypeError, match="class labels"):
            FrontClassifier((4,), **BRIEF).fit(X, labels[y]).to_onnx()


def test_samples_that_nothing_can_be_said_of():
    """None at all, and NaN, which a graph cannot refuse."""
    X, y = np.random.default_rng(0).normal(size=(12, 5)), np.arange(12) % 3
    model = FrontClassifier((4,), **BRIEF).fit(X, y).to_onnx()
    assert {name: value.shape for name, value in run(model, X[:0]).items()} == {"label": (0,), "probabilities": (0, 3)}
    assert np.isnan(run(model, np.full((1, 5), np.nan))["probabilities"]).all()
