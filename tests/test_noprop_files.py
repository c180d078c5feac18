"""Model files of NoProp: a loaded model predicts the same, and an inconsistent file is refused."""

import json

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import fcfast
from fcfast import ModelFileError, NoPropClassifier
from fcfast.modelfile import format as modelfile
from fcfast.noprop import CosineNoise, LinearNoise
from fcfast.optimizers import SGD

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")  # few epochs on purpose

N, D = 40, 30
VARIANTS = [
    {"variant": variant, "embedding": embedding, "batch_norm": embedding == "learned"}
    for variant in ("dt", "ct", "fm", "backprop")
    for embedding in ("one-hot", "learned", "prototype")
]
SETTINGS = [
    {"noise_schedule": [0.01, 0.2, 0.9], "order": "random", "optimizer": SGD(0.9, weight_decay=0.01)},
    {"noise_schedule": np.array([0.01, 0.2, 0.9])},
    {"variant": "ct", "noise_schedule": LinearNoise(3, -4)},
    {"variant": "ct", "noise_schedule": CosineNoise(0.1), "update": "deterministic"},
    {"variant": "ct", "noise_schedule": "learned", "loss_weighting": "snr"},
]


@pytest.fixture(scope="module")
def samples():
    """More features than samples in a class; the labels are strings."""
    rng = np.random.default_rng(0)
    y = np.array(["a", "b", "c", "d"])[np.arange(N) % 4]
    return rng.normal(size=(N, D)) + 2 * (np.arange(D) % 4 == (np.arange(N) % 4)[:, None]), y


def fitted(samples, **settings):
    """A small stack."""
    settings = {"n_blocks": 2, "hidden": (6, 5), "max_epochs": 2, "random_state": 0, "learning_rate": 0.01} | settings
    return NoPropClassifier(**settings).fit(*samples)


@pytest.mark.bits
@pytest.mark.parametrize("form", ["weights", "contributions", "windowed"])
@pytest.mark.parametrize("settings", [*VARIANTS, *SETTINGS], ids=str)
def test_predicts_the_same(samples, settings, form, tmp_path):
    """Also with noise, saved a second time, and as a start of nothing: a loaded estimator fits anew."""
    X, _ = samples
    classifier = fitted(samples, form=form, dtype="float64", **settings)
    classifier.save(tmp_path / "model")
    loaded = fcfast.load(tmp_path / "model")
    assert loaded.form_ == ("weights" if form == "contributions" else form)
    assert loaded.loss_curve_ == classifier.loss_curve_
    np.testing.assert_array_equal(loaded.embedding_, classifier.embedding_)
    proba = loaded.predict_proba(X)
    np.testing.assert_allclose(proba, classifier.predict_proba(X), rtol=1e-9, atol=1e-12)
    loaded.save(tmp_path / "again")
    np.testing.assert_array_equal(fcfast.load(tmp_path / "again").predict_proba(X), proba)
    if classifier.variant in ("dt", "ct", "fm") and classifier.update == "posterior":
        noisy = (one.set_params(inference_noise=True, n_runs=2).predict_proba(X) for one in (classifier, loaded))
        np.testing.assert_allclose(*noisy, rtol=1e-9, atol=1e-12)
    assert set(loaded.fit(*samples).predict(X)) <= set("abcd")


def test_contributions_are_stored_as_weights(samples, tmp_path):
    """There is no file of contributions, and the error says so."""
    classifier = fitted(samples)
    with pytest.raises(ValueError, match="weights=True"):
        fcfast.modelfile.save(classifier, tmp_path / "model", weights=False)
    assert list(tmp_path.iterdir()) == []


def test_schedules_of_the_users_own(samples, tmp_path):
    """A schedule that no file knows is refused, and leaves nothing behind."""

    class Own(LinearNoise):
        pass

    classifier = fitted(samples, variant="ct", noise_schedule=Own())
    with pytest.raises(TypeError, match="noise_schedule"):
        classifier.save(tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


def rewritten(path, header=None, tensors=None):
    """Change a file as someone would who knows the format: with a correct checksum."""
    raw = path.read_bytes()
    content = json.loads(raw[8 : 8 + int.from_bytes(raw[:8], "little")])["__metadata__"]
    held = {name: tensor for name, tensor in (load_file(path) | (tensors or {})).items() if tensor is not None}
    content["model"] = json.dumps(json.loads(content["model"]) | (header or {}))
    content["checksum"] = modelfile._checksum(content["model"], held)
    save_file(held, path, content)


HOSTILE = {
    "variant": ({"header": {"variant": "os.system"}}, "variant='os.system'"),
    "blocks": ({"header": {"n_blocks": 3}}, "tensors are missing: blocks.2"),
    "many blocks": ({"header": {"n_blocks": 10**9}}, "n_blocks must be at most"),
    "no blocks": ({"header": {"n_blocks": 0}}, "n_blocks must be >= 1"),
    "contributions": ({"header": {"form": "contributions"}}, "blocks are stored as weights"),
    "widths": ({"header": {"widths": [D, 6, 5]}}, "widths is not a list of 4"),
    "other widths": ({"header": {"widths": [D, 6, 7, 4]}}, "blocks.0.params"),
    "labels": ({"header": {"labels": []}}, "labels is not a list"),
    "label type": ({"header": {"labels": None}}, "labels is not a list"),
    "head": ({"header": {"has_head": True}}, "has_head is True, but False is needed"),
    "learned": ({"header": {"is_learned": True}}, "has_head is False, but True is needed"),
    "dimensions": ({"header": {"widths": [D, 6, 5, 7]}}, "have 7 dimensions for 4 classes"),
    "other variant": ({"header": {"variant": "fm", "n_blocks": 1}}, "params have variant 'dt', but the network has 'fm'"),
    "steps": ({"header": {"params": {"n_steps": 10**9}, "settings": {}}}, "n_steps must be at most"),
    "batch norm": ({"header": {"batch_norm": True}}, "tensors are missing: blocks.0.running"),
    "flag": ({"header": {"batch_norm": 1}}, "batch_norm must be True or False"),
    "schedule": ({"header": {"schedule": 3}}, "no schedule over all times"),
    "falling abar": ({"tensors": {"variant.alpha_bar": np.array([0.9, 0.5, 0.1])}}, "alpha_bar must rise"),
    "abar": ({"tensors": {"variant.alpha_bar": np.array([0.0, 0.5, 0.9])}}, "alpha_bar must be in"),
    "NaN": ({"tensors": {"labels.params": np.full(16, np.nan, "f4")}}, "holds NaN"),
    "parameter": ({"header": {"params": {"eta": -1}, "settings": {}}}, "eta"),
    "setting": ({"header": {"settings": {"eta": [1, "so"]}}}, "settings has 'eta', which is not 'auto'"),
    "estimator": ({"header": {"estimator": "FrontClassifier"}}, "entries of the header are"),
}


@pytest.mark.parametrize(("change", "message"), HOSTILE.values(), ids=HOSTILE)
def test_hostile_files(samples, change, message, tmp_path):
    """Whatever does not fit is refused before it reaches a kernel."""
    fitted(samples).save(tmp_path / "model")
    rewritten(tmp_path / "model", **change)
    with pytest.raises(ModelFileError, match=message):
        fcfast.load(tmp_path / "model")


def test_negative_variances(samples, tmp_path):
    """No batch has any."""
    fitted(samples, batch_norm=True).save(tmp_path / "model")
    rewritten(tmp_path / "model", tensors={"blocks.1.running.z1": np.full((2, 6), -1, "f4")})
    with pytest.raises(ModelFileError, match="negative variances"):
        fcfast.load(tmp_path / "model")
