"""Model files: a saved model loads unchanged, and any other file is refused."""

import json
import os
import subprocess
import sys
import textwrap

import numpy as np
import pytest
from classic import FrontClassifier, FrontRegressor
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file
from scipy import sparse
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

import fcfast
from fcfast import ModelFileError
from fcfast.modelfile import format as modelfile
from fcfast.modelfile.front import FrontHeader
from fcfast.optimizers import Cosine, Muon, WarmUp
from fcfast.rules import ForwardGradient

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")  # few epochs on purpose

N, D = 20, 60
SETTINGS = {"max_epochs": 3, "learning_rate": 0.05, "batch_size": 8, "random_state": 0, "weight_decay": 0.01}
LABELS = {
    "str": np.array(["no", "perhaps", "yes"]),
    "int64": np.array([-3, 0, 2**60]),
    "uint8": np.array([0, 7, 255], np.uint8),
    "float32": np.array([-1, 0, 1], np.float32),
    "bool": np.array([False, True]),
}


@pytest.fixture(scope="module")
def X():
    """Training inputs, wide enough for form "contributions"."""
    return np.random.default_rng(0).normal(size=(N, D))


@pytest.fixture(scope="module")
def X_new():
    """Inputs never seen in training."""
    return np.random.default_rng(1).normal(size=(7, D))


def classify(X, labels=LABELS["str"], **settings):
    """Fit a small classifier."""
    return FrontClassifier((5, 4), **SETTINGS | settings).fit(X, labels[np.arange(N) % len(labels)])


@pytest.fixture
def path(tmp_path):
    """Where a model file goes."""
    return tmp_path / "model.safetensors"


@pytest.fixture
def saved(X, path):
    """A valid file with weights."""
    classify(X).save(path)
    return path


# ----------------------------------------------------------------------------------------------------------------------
# what is saved comes back


@pytest.mark.bits
@pytest.mark.parametrize("form", ["contributions", "windowed", "weights"])
def test_weights_predict_the_same_bits(X, X_new, path, dtype, form):
    """A file with weights gives the saved estimator's predictions anywhere, and its weights."""
    classifier = classify(X, form=form, dtype=dtype.name)
    classifier.save(path)
    loaded = fcfast.load(path)
    assert type(loaded) is fcfast.FrontClassifier
    assert loaded.form_ == ("weights" if form == "contributions" else form)
    np.testing.assert_array_equal(loaded.predict_proba(X_new), classifier.predict_proba(X_new))
    for a, b in zip(loaded.coefs_ + loaded.intercepts_, classifier.coefs_ + classifier.intercepts_, strict=True):
        assert a.dtype == b.dtype == dtype
        np.testing.assert_array_equal(a, b)


@pytest.mark.bits
@pytest.mark.parametrize("given_weights", [False, True])
def test_contributions_predict_the_same_bits(X, X_new, path, dtype, given_weights):
    """A file with contributions, beside the training inputs, is the saved estimator before its weights were expanded."""
    start = classify(X)
    init = (start.coefs_, start.intercepts_) if given_weights else (None, None)
    y = np.arange(N) % 3
    classifier = FrontClassifier((5, 4), form="contributions", dtype=dtype.name, **SETTINGS)
    classifier.fit(X, y, coefs_init=init[0], intercepts_init=init[1]).save(path, weights=False)
    assert ("front.initial" in load_file(path)) == given_weights
    assert "layers.0.weights" not in load_file(path)
    loaded = fcfast.load(path, X=X)
    assert loaded.form_ == "contributions"
    np.testing.assert_array_equal(loaded.predict_proba(X_new), classifier.predict_proba(X_new))
    np.testing.assert_array_equal(loaded.contributions_, classifier.contributions_)
    np.testing.assert_array_equal(loaded.explain(X_new).preactivations, classifier.explain(X_new).preactivations)
    np.testing.assert_array_equal(loaded.coefs_[0], classifier.coefs_[0])


@pytest.mark.bits
@pytest.mark.parametrize("weights", [True, False])
def test_saved_again_it_is_the_same_file(X, path, weights):
    """Saving what was loaded gives the same tensors and header."""
    classify(X, form="contributions", early_stopping=True, validation_fraction=0.3).save(path, weights)
    metadata, tensors = metadata_of(path), load_file(path)
    fcfast.load(path, X).save(path, weights)
    assert metadata_of(path) == metadata
    assert load_file(path).keys() == tensors.keys()


def test_contributions_loaded_can_be_saved_as_weights(X, X_new, path):
    """Weights can be expanded after loading, as they could before."""
    classifier = classify(X, form="contributions")
    classifier.save(path, weights=False)
    fcfast.load(path, X).save(path)
    np.testing.assert_array_equal(fcfast.load(path).coefs_[0], classifier.coefs_[0])


@pytest.mark.bits
@pytest.mark.parametrize("labels", LABELS.values(), ids=LABELS)
def test_labels_come_back_with_their_type(X, path, labels):
    """Labels of all kinds are predicted again."""
    classifier = classify(X, labels)
    classifier.save(path)
    loaded = fcfast.load(path)
    assert loaded.classes_.dtype == classifier.classes_.dtype == labels.dtype
    assert loaded.classes_.tolist() == labels.tolist()
    assert loaded.predict(X).tolist() == classifier.predict(X).tolist()


@pytest.mark.parametrize("shape", [(N,), (N, 1), (N, 2)])
def test_regressors_come_back_with_their_shape(X, path, shape):
    """A target's number of dimensions is part of the file."""
    y = np.random.default_rng(2).normal(size=shape)
    regressor = FrontRegressor((5,), **SETTINGS).fit(X, y)
    regressor.save(path)
    loaded = fcfast.load(path)
    assert type(loaded) is fcfast.FrontRegressor
    np.testing.assert_array_equal(loaded.predict(X), regressor.predict(X))
    assert loaded.predict(X).shape == shape


def test_everything_fitted_and_every_parameter_comes_back(X, path):
    """Parameters with their types, and what fitting found out."""
    classifier = classify(
        X, LABELS["int64"], class_weight={-3: 2.0, 0: np.float64(1.5), 2**60: 1}, early_stopping=True, tol=0.0,
        validation_fraction=0.25, schedule="cosine", max_grad_norm=np.float32(1.5), n_jobs=1,
        label_smoothing=0.25,
    )  # fmt: skip
    classifier.feature_names_in_ = np.array([f"gene-{i} 'α' \ud800" for i in range(D)], dtype=object)
    classifier.save(path)
    loaded = fcfast.load(path)
    assert loaded.get_params() == classifier.get_params()
    assert loaded.hidden_layer_sizes == (5, 4)
    for name in ("loss_curve_", "validation_scores_", "n_epochs_", "n_iter_", "n_features_in_"):
        assert getattr(loaded, name) == getattr(classifier, name), name
    assert len(loaded.validation_scores_) == 3
    assert loaded.feature_names_in_.dtype == object
    np.testing.assert_array_equal(loaded.feature_names_in_, classifier.feature_names_in_)


def test_refitting_is_as_for_any_estimator(X, path):
    """Fit after load is fit; warm_start continues from the weights in the file."""
    y = LABELS["str"][np.arange(N) % 3]
    classifier = classify(X, dtype="float64")
    classifier.save(path)
    for warm in (False, True):
        fitted = [model.set_params(warm_start=warm).fit(X, y).coefs_[0] for model in (clone(classifier), fcfast.load(path))]
        assert np.array_equal(*fitted) != warm
    np.testing.assert_array_equal(fitted[1], classifier.set_params(warm_start=True).fit(X, y).coefs_[0])


@pytest.mark.parametrize("weights", [True, False])
def test_partial_fit_goes_on_from_a_file(X, path, weights):
    """From the weights in the file, with the optimiser of the parameters: an epoch of warm_start, by hand."""
    y = LABELS["str"][np.arange(N) % 3]
    classifier = classify(X, dtype="float64", form="contributions", optimizer="neuron-adam")
    classifier.save(path, weights=weights)
    expected = clone(classifier).set_params(max_epochs=1).fit(
        X[:9], y[:9], coefs_init=classifier.coefs_, intercepts_init=classifier.intercepts_
    )  # fmt: skip
    loaded = fcfast.load(path, X).partial_fit(X[:9], y[:9])
    np.testing.assert_allclose(loaded.predict_proba(X), expected.predict_proba(X), rtol=1e-9)
    assert loaded.loss_curve_ == pytest.approx([*classifier.loss_curve_, *expected.loss_curve_], rel=1e-9)
    assert loaded.plan_.form == loaded.form_
    loaded.partial_fit(X[9:], y[9:])
    assert loaded.n_epochs_ == 5


def test_a_network_keeps_its_activation(X, X_new, path):
    """Parameters set after fitting are saved, but the network is the fitted one."""
    classifier = classify(X, activation="tanh")
    classifier.set_params(activation="relu")
    classifier.save(path)
    loaded = fcfast.load(path)
    assert loaded.activation == "relu"
    np.testing.assert_array_equal(loaded.predict_proba(X_new), classifier.predict_proba(X_new))


# ----------------------------------------------------------------------------------------------------------------------
# contributions belong to their training inputs


def sparse_version(X):
    """The same inputs, sparse and untidy: every value in two halves, columns backwards, zeros explicit."""
    columns = np.tile(np.repeat(np.arange(D)[::-1], 2), N)
    values = np.repeat(X[:, ::-1] / 2, 2, axis=1).ravel()
    return sparse.csr_array((values, columns, np.arange(N + 1) * 2 * D), shape=X.shape)


@pytest.mark.bits
@pytest.mark.parametrize(
    "change",
    [np.asfortranarray, sparse_version, lambda X: X[::-1], lambda X: np.vstack([np.ones(D), X, X]), lambda X: X.astype("f4")],
    ids=["Fortran", "sparse", "reversed", "more rows", "float32"],
)
def test_the_same_inputs_are_known_again(X, X_new, path, change):
    """Layout, order of rows, rows never trained on and digits that training rounded away do not matter."""
    X = np.where(np.abs(X) < 0.5, -0.0, X)
    classifier = classify(X, form="contributions")
    classifier.save(path, weights=False)
    loaded = fcfast.load(path, change(X))
    np.testing.assert_allclose(loaded.predict_proba(X_new), classifier.predict_proba(X_new), rtol=1e-5)
    np.testing.assert_array_equal(loaded.contributions_, classifier.contributions_)


def test_early_stopping_finds_its_training_rows(X, X_new, path):
    """Rows held out are not needed, and the others are found among all."""
    classifier = classify(X, form="contributions", early_stopping=True, validation_fraction=0.3)
    assert len(classifier.contributions_) == 14
    classifier.save(path, weights=False)
    np.testing.assert_array_equal(fcfast.load(path, X).predict_proba(X_new), classifier.predict_proba(X_new))


def one_value_moved(X):
    """A row with two neighbours exchanged: the same norm."""
    other = X.copy()
    other[3, [7, 8]] = X[3, [8, 7]]
    return other


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda X: None, "give the training inputs"),
        (one_value_moved, "lacks 1 of the 20 samples"),
        (lambda X: np.nextafter(X, np.inf, dtype=np.float32), "lacks 20 of the 20"),
        (lambda X: X[:-2], "lacks 2 of the 20"),
        (lambda X: X[:, :-1], "59 features"),
        (lambda X: np.full_like(X, np.nan), "NaN"),
    ],
    ids=["none", "moved value", "one bit", "fewer rows", "fewer features", "NaN"],
)
def test_other_inputs_are_refused(X, path, change, message):
    """What the estimator was not trained on is no substitute."""
    classify(X, form="contributions").save(path, weights=False)
    with pytest.raises(ModelFileError, match=message) as refusal:
        fcfast.load(path, change(X.astype(np.float32)))
    assert str(path) in str(refusal.value)


@pytest.mark.parametrize(
    "settings",
    [
        {"schedule": WarmUp(0.2, Cosine(0.1))},
        {"optimizer": Muon(), "form": "contributions"},
        {"rule": ForwardGradient("local", "rademacher", n_tangents=3)},
        {"rule": ForwardGradient(guess="ntk", head_layer_sizes=(4,)), "groups": (1, 2)},
    ],
)
def test_settings_that_are_objects_come_back(X, path, settings):
    """Optimisers, schedules and rules are stored by their settings."""
    classifier = FrontClassifier((6, 4), max_epochs=3, tol=0, random_state=0).set_params(**settings)
    classifier.fit(X, np.arange(N) % 3).save(path)
    loaded = fcfast.load(path)
    assert {name: getattr(loaded, name) for name in settings} == settings
    assert np.array_equal(loaded.predict_proba(X), classifier.predict_proba(X))


# ----------------------------------------------------------------------------------------------------------------------
# what cannot be saved


class OwnSchedule:
    """A schedule that the library does not know."""

    def factors(self, steps, total):
        """Give 1 for every step."""
        return np.ones(len(steps))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"schedule": OwnSchedule()}, "schedule=<"),
        ({"random_state": np.random.RandomState(0)}, "random_state=RandomState"),
        ({"class_weight": {"no": 1, "perhaps": 1j}}, "class_weight=1j"),
    ],
)
def test_objects_are_refused_before_writing(X, path, settings, message):
    """A parameter that JSON cannot hold is named, and the old file is not touched."""
    path.write_text("old")
    classifier = classify(X).set_params(**settings)
    with pytest.raises(TypeError, match=message):
        classifier.save(path)
    assert path.read_text() == "old"
    assert os.listdir(path.parent) == [path.name]


def test_what_could_not_be_loaded_is_not_saved(X, path, monkeypatch):
    """Unfitted, of another class, invalid, not finite, without contributions, or with too large a header."""
    with pytest.raises(NotFittedError):
        FrontClassifier().save(path)
    with pytest.raises(TypeError, match="got a Own"):
        type("Own", (fcfast.FrontClassifier,), {})().save(path)
    with pytest.raises(ValueError, match="learning_rate"):
        classify(X).set_params(learning_rate=-1).save(path)
    with pytest.raises(ValueError, match="weights=False needs form 'contributions', but this is 'windowed'"):
        classify(X, form="windowed").save(path, weights=False)
    broken = classify(X)
    broken.network_.biases[1][0] = np.nan
    with pytest.raises(ValueError, match=r"layers\.1\.biases.*NaN"):
        broken.save(path)
    monkeypatch.setattr(modelfile, "MAX_HEADER_BYTES", 100)
    with pytest.raises(ValueError, match="the header would exceed 100 bytes"):
        classify(X).save(path)
    assert os.listdir(path.parent) == []


# ----------------------------------------------------------------------------------------------------------------------
# writing is atomic

KILLED = """
    import os, signal, sys
    import numpy as np, safetensors.numpy
    from fcfast import FrontClassifier

    model = FrontClassifier((3,), max_epochs=2, n_iter_no_change=2, random_state=1).fit(np.eye(4, 9), [0, 1, 0, 1])

    def half_a_file(tensors, filename, metadata):
        with open(filename, "wb") as file:
            file.write(safetensors.numpy.save(tensors, metadata)[:500])
            file.flush()
            os.kill(os.getpid(), signal.SIGKILL)

    for where in "write", "fsync", "replace":
        child = os.fork()
        if not child:
            if where == "write":
                safetensors.numpy.save_file = half_a_file
            else:
                setattr(os, where, lambda *args: os.kill(os.getpid(), signal.SIGKILL))
            model.save(os.path.join(sys.argv[1], where, "model"))
            os._exit(0)
        assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL, where
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows cannot be killed that way")
def test_killed_in_the_middle_the_old_file_stays(X, saved, tmp_path):
    """Whenever the process dies, the path holds a whole file: the old one. The next save removes what it left."""
    before = saved.read_bytes()
    folders = [tmp_path / where for where in ("write", "fsync", "replace")]
    for folder in folders:
        folder.mkdir()
        (folder / "model").write_bytes(before)
    command = [sys.executable, "-W", "ignore", "-c", textwrap.dedent(KILLED), tmp_path]
    process = subprocess.run(command, timeout=120, capture_output=True, check=False)
    assert process.returncode == 0, process.stderr.decode()
    for folder in folders:
        assert (folder / "model").read_bytes() == before
        assert len(os.listdir(folder)) == 2  # the temporary file is beside it
        classify(X).save(folder / "other")
        assert sorted(os.listdir(folder)) == ["model", "other"]


def test_a_failing_write_leaves_nothing_behind(X, saved, monkeypatch):
    """An error of the library is an OSError that names the file; the old file stays, alone."""
    from safetensors import SafetensorError

    def fail(tensors, filename, metadata):
        raise SafetensorError("no space left")

    before = saved.read_bytes()
    monkeypatch.setattr("safetensors.numpy.save_file", fail)
    with pytest.raises(OSError, match=rf"{saved.name} could not be written: no space left"):
        classify(X).save(saved)
    assert saved.read_bytes() == before
    assert os.listdir(saved.parent) == [saved.name]


def test_paths_behave_as_paths_do(X, saved, tmp_path):
    """Links are written through, permissions are the usual ones, and missing folders and files are named."""
    link = tmp_path / "link"
    link.symlink_to(saved)
    classify(X, activation="tanh").save(str(link))
    assert link.is_symlink()
    assert fcfast.load(saved).activation == "tanh"
    (tmp_path / "other").touch()
    assert saved.stat().st_mode == (tmp_path / "other").stat().st_mode
    with pytest.raises(FileNotFoundError, match=r"nowhere.model: the folder .* does not exist; create it first$"):
        classify(X).save(tmp_path / "nowhere" / "model")
    with pytest.raises(FileNotFoundError):
        fcfast.load(tmp_path / "nowhere")
    with pytest.raises(OSError, match="is a folder"):
        fcfast.load(tmp_path)


# ----------------------------------------------------------------------------------------------------------------------
# nothing else comes in


def metadata_of(path):
    """The metadata of a safetensors file."""
    raw = path.read_bytes()
    return json.loads(raw[8 : 8 + int.from_bytes(raw[:8], "little")])["__metadata__"]


def rewrite(path, header=None, tensors=None, metadata=None):
    """Change a file as someone would who knows the format: with a correct checksum."""
    held = load_file(path) | (tensors or {})
    held = {name: np.ascontiguousarray(tensor) for name, tensor in held.items() if tensor is not None}
    content = metadata_of(path)
    model = json.loads(content["model"]) | (header or {})
    content["model"] = json.dumps({name: value for name, value in model.items() if value is not ...})
    content["checksum"] = modelfile._checksum(content["model"], held)
    content |= metadata or {}
    save_file(held, path, {name: value for name, value in content.items() if value is not None})


def test_rewriting_alone_changes_nothing(saved, X):
    """The helper of these tests makes valid files."""
    before = fcfast.load(saved).predict_proba(X)
    rewrite(saved)
    np.testing.assert_array_equal(fcfast.load(saved).predict_proba(X), before)


W = "layers.0.weights"
HOSTILE = {
    "missing tensor": ({"tensors": {W: None}}, "tensors are missing: layers.0.weights"),
    "extra tensor": ({"tensors": {"more": np.ones(3)}}, "tensors are unknown: more"),
    "shape": ({"tensors": {W: np.ones((D, 5), "f4")}}, r"tensor 'layers.0.weights'.*\(60, 5\).*\(5, 60\)"),
    "dtype": ({"tensors": {W: np.ones((5, D))}}, "F64.*F32"),
    "NaN": ({"tensors": {W: np.full((5, D), np.nan, "f4")}}, "holds NaN"),
    "infinity": ({"tensors": {"layers.1.biases": np.full(4, np.inf, "f4")}}, "layers.1.biases.*infinity"),
    "other format": ({"metadata": {"format": "pt"}}, "not a fcfast model"),
    "no format": ({"metadata": {"format": None}}, "not a fcfast model"),
    "version": ({"metadata": {"version": "99"}}, "version '99'.*update"),
    "extra metadata": ({"metadata": {"more": "x"}}, "metadata are unknown: more"),
    "missing metadata": ({"metadata": {"checksum": None}}, "metadata are missing: checksum"),
    "checksum": ({"metadata": {"checksum": "0" * 64}}, "checksum"),
    "bad JSON": ({"metadata": {"model": "{"}}, "not JSON"),
    "deep JSON": ({"metadata": {"model": "[" * 200_000}}, "recursion"),
    "no object": ({"metadata": {"model": "[]"}}, "not a JSON object"),
    "huge number": ({"metadata": {"model": "9" * 10_000}}, "not JSON"),
    "missing entry": ({"header": {"widths": ...}}, "missing: widths"),
    "extra entry": ({"header": {"code": "import os"}}, "unknown: code"),
    "class": ({"header": {"estimator": "os.system"}}, "estimator='os.system'"),
    "class list": ({"header": {"estimator": []}}, "estimator="),
    "unknown parameter": ({"header": {"params": {"__class__": "x", "alpha": 1}}}, "'__class__', 'alpha': no such parameter"),
    "params": ({"header": {"params": []}}, "params"),
    "bad parameter": ({"header": {"params": {"learning_rate": -1}}}, "learning_rate"),
    "bad schedule": ({"header": {"params": {"schedule": [1]}}}, "schedule"),
    "unknown settings": (
        {"header": {"params": {"rule": {"settings": ["Popen", {"dict": []}]}}}},
        "settings of an unknown class",
    ),
    "bad settings": (
        {"header": {"params": {"rule": {"settings": ["LocalLoss", {"dict": [["block_size", 0]]}]}}}},
        "LocalLoss with bad settings",
    ),
    "settings of another kind": ({"header": {"params": {"rule": {"settings": 3}}}}, "settings"),
    "bad threads": ({"header": {"params": {"n_jobs": "all"}}}, "n_jobs"),
    "bad widths": ({"header": {"params": {"hidden_layer_sizes": 1.5}}}, "integer"),
    "object parameter": ({"header": {"params": {"tol": {"set": []}}}}, "not a tuple, a dict"),
    "bad dict": ({"header": {"params": {"class_weight": {"dict": [[[], 1]]}}}}, "unhashable"),
    "form": ({"header": {"form": "auto"}}, "form='auto'"),
    "parts of contributions": ({"header": {"scale": 1.0}}, "parts of contributions"),
    "dtype name": ({"header": {"dtype": "object"}}, "dtype='object'"),
    "activation": ({"header": {"activation": "gelu"}}, "activation='gelu'"),
    "no layers": ({"header": {"widths": [D, 3]}}, "widths"),
    "huge width": ({"header": {"widths": [10**30, 5, 4, 3]}}, "shape"),
    "zero width": ({"header": {"widths": [D, 0, 4, 3]}}, "widths must be >= 1"),
    "negative epochs": ({"header": {"n_epochs": -1}}, "n_epochs"),
    "losses": ({"header": {"loss_curve": ["low"]}}, "loss_curve"),
    "scores": ({"header": {"validation_scores": 3}}, "validation_scores"),
    "names": ({"header": {"feature_names": ["a"]}}, "feature_names has length 1"),
    "too few labels": ({"header": {"labels": ["a", "b"]}}, "labels has length 2"),
    "label order": ({"header": {"labels": ["b", "a", "c"]}}, "sorted"),
    "equal labels": ({"header": {"labels": ["a", "a", "c"]}}, "distinct"),
    "label types": ({"header": {"labels": [1, 2, 3]}}, "labels are not of type str"),
    "mixed labels": ({"header": {"labels": ["a", 1, 2.5]}}, "labels are not of type str"),
    "nested labels": ({"header": {"labels": [["a"], ["b"], ["c"]]}}, "labels is not a list of the right type"),
    "label dtype": ({"header": {"label_dtype": "U4000000000"}}, "label_dtype"),
    "too large labels": ({"header": {"labels": [1, 2, 300], "label_dtype": "uint8"}}, "300"),
    "dimensions": ({"header": {"y_ndim": 1}}, "y_ndim"),
    "scaled by nothing": ({"header": {"scaled": ["inputs"]}}, "tensors are missing: inputs.mean, inputs.scale"),
    "scaled classes": ({"header": {"scaled": ["targets"]}}, "scaled is"),
    "scaled otherwise": ({"header": {"scaled": {"inputs": 1}}}, "scaled is"),
    "scale of the wrong length": (
        {"header": {"scaled": ["inputs"]}, "tensors": {"inputs.mean": np.ones(D), "inputs.scale": np.ones(D - 1)}},
        "inputs.scale",
    ),
    "scale of zero": (
        {"header": {"scaled": ["inputs"]}, "tensors": {"inputs.mean": np.ones(D), "inputs.scale": np.zeros(D)}}, "not positive",
    ),
    "scale of NaN": (
        {"header": {"scaled": ["inputs"]}, "tensors": {"inputs.mean": np.ones(D), "inputs.scale": np.full(D, np.nan)}}, "NaN",
    ),
    "regressor with labels": ({"header": {"estimator": "FrontRegressor", "y_ndim": 2}}, "has no labels"),
    "regressor without dimensions": (
        {"header": {"estimator": "FrontRegressor", "labels": None, "label_dtype": None}}, "y_ndim is None",
    ),
    "regressor of one dimension": (
        {"header": {"estimator": "FrontRegressor", "labels": None, "label_dtype": None, "y_ndim": 1}}, "3 targets",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("change", "message"), HOSTILE.values(), ids=HOSTILE)
def test_hostile_files_are_refused(saved, change, message):
    """Whatever does not fit is refused with the file's name and the reason, even if the checksum is right."""
    rewrite(saved, **change)
    with pytest.raises(ModelFileError, match=message) as refusal:
        fcfast.load(saved)
    assert str(saved) in str(refusal.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_samples": None}, "n_samples"),
        ({"n_samples": 21}, "front.contributions"),
        ({"scale": None}, "scale"),
        ({"scale": float("nan")}, "scale is nan"),
        ({"scale": 10**400}, "too large"),
        ({"initial_seed": -1}, "initial_seed"),
        ({"initial_seed": 2**128}, "initial_seed"),
        ({"initial_seed": None}, "scale of random weights"),
        ({"initial_seed": None, "initial_scale": None}, "missing: front.initial"),
        ({"initial_scale": -1}, "initial_scale"),
        ({"initial_scale": None}, "initial_scale"),
    ],
)
def test_hostile_contributions_are_refused(X, path, change, message):
    """The parts of contributions are checked too."""
    classify(X, form="contributions").save(path, weights=False)
    rewrite(path, header=change)
    with pytest.raises(ModelFileError, match=message):
        fcfast.load(path, X)


@pytest.mark.parametrize(
    "content",
    [b"", b"\x00", b"PK\x03\x04 a zip file", (2**63).to_bytes(8, "little") + b"{}", b"\x80\x04\x95pickle.", bytes(100)],
)
def test_foreign_files_are_refused(path, content):
    """Other formats, nothing, and headers that claim to be huge."""
    path.write_bytes(content)
    with pytest.raises(ModelFileError, match=path.name):
        fcfast.load(path)


def test_every_truncation_is_refused(saved):
    """No beginning of a file is a file."""
    raw = saved.read_bytes()
    for size in {*range(0, len(raw), 37), len(raw) - 1}:
        saved.write_bytes(raw[:size])
        with pytest.raises(ModelFileError):
            fcfast.load(saved)
    saved.write_bytes(raw + b"\x00")
    with pytest.raises(ModelFileError):
        fcfast.load(saved)


@pytest.mark.parametrize("weights", [True, False])
def test_a_flipped_bit_is_refused_or_harmless(X, X_new, path, weights):
    """Anywhere in header or data: only blanks between the parts of safetensors' header may change."""
    classify(X, form="contributions").save(path, weights)
    raw, wanted = path.read_bytes(), fcfast.load(path, X).predict_proba(X_new)
    n_refused = 0
    rng = np.random.default_rng(5)
    places = rng.choice(len(raw), 300, replace=False)
    for place in places:
        damaged = bytearray(raw)
        damaged[place] ^= 1 << rng.integers(8)
        path.write_bytes(damaged)
        try:
            loaded = fcfast.load(path, X)
        except ModelFileError:
            n_refused += 1
        else:
            np.testing.assert_array_equal(loaded.predict_proba(X_new), wanted)
    assert n_refused >= 295


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["tuple", "dict", "x"]), inner, max_size=2),
    max_leaves=6,
)
ENTRIES = list(FrontHeader.__dataclass_fields__)


@pytest.fixture(scope="module")
def template(tmp_path_factory, X):
    """A valid file that is copied before it is changed."""
    path = tmp_path_factory.mktemp("model") / "template"
    classify(X).save(path)
    return path


@given(entry=st.sampled_from(ENTRIES), parameter=st.sampled_from(sorted(FrontClassifier().get_params())), value=JSON)
def test_any_json_in_any_place_is_refused_or_loads(template, entry, parameter, value):
    """A header of the right shape with anything inside raises nothing but ModelFileError."""
    copy = template.with_name("copy")
    for header in ({entry: value}, {"params": {parameter: value}}):
        copy.write_bytes(template.read_bytes())
        rewrite(copy, header=header)
        try:
            assert isinstance(fcfast.load(copy), fcfast.FrontClassifier)
        except ModelFileError as error:
            assert str(copy) in str(error)  # noqa: PT017 - either outcome is right


def test_importing_fcfast_does_not_import_safetensors():
    """The library for files is imported when a file is."""
    code = "import sys, fcfast; assert not {'safetensors', 'torch'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
