"""Rates and initial weights of a stream whose first samples say little about the lengths of those to come."""

import pickle
from typing import Any

import numpy as np
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.datasets import load_digits

from fcfast import FrontClassifier, FrontRegressor, load
from fcfast.sources.lengths import LONGEST, Lengths
from fcfast.training.network import FrontNetwork

X, Y = load_digits(return_X_y=True)
CLASSES = np.arange(10)
FORMS = ["contributions", "windowed", "weights"]
UNSCALED = {"standardize": False, "random_state": 0, "n_jobs": 1}
FIRST = {"empty": 0 * X[:3], "tiny": 1e-4 * X[:3], "a pixel": (X[:3] * (np.arange(64) == 20)) / 16, "huge": 1e4 * X[:3]}


def streamed(model: Any, first: Any = None, size: int = 20, make: Any = sparse.csr_array, stop: int = 1300) -> Any:
    """Train on portions of digits, after some samples of which a part is missing or in another unit."""
    portions = [] if first is None else [(first, Y[: len(first)])]
    portions += [(X[start : start + size], Y[start : start + size]) for start in range(0, stop, size)]
    for samples, labels in portions:
        model.partial_fit(make(samples), labels, **({"classes": CLASSES} if hasattr(model, "predict_proba") else {}))
    return model


def rate(model: Any) -> float:
    return float(model.settings_["learning_rate"][0][0])


@pytest.mark.parametrize("make", [sparse.csr_array, np.asarray])
@pytest.mark.parametrize("first", FIRST)
def test_first_samples_do_not_spoil_a_stream(first, make):
    model = FrontClassifier((32,), **UNSCALED)
    usual = streamed(clone(model), make=make)
    unusual = streamed(clone(model), FIRST[first], make=make)
    assert usual.score(X[1300:], Y[1300:]) > 0.75
    assert unusual.score(X[1300:], Y[1300:]) > usual.score(X[1300:], Y[1300:]) - 0.06
    assert 0.8 < rate(unusual) / rate(usual) < 1.25


@pytest.mark.parametrize("first", ["empty", "tiny"])
@pytest.mark.parametrize("form", FORMS)
def test_forms_are_the_same_network(form, first):
    """The weights change their size in the same way in all of them, velocity and all."""
    settings = UNSCALED | {"dtype": "float64"}
    dense = streamed(FrontClassifier((8,), form="weights", **settings), FIRST[first], make=np.asarray, stop=160)
    for make in (sparse.csr_array, np.asarray):
        # "small" is the start of sparse samples
        start = "small" if make is sparse.csr_array else "scaled"
        model = streamed(FrontClassifier((8,), form=form, init=start, **settings), FIRST[first], make=make, stop=160)
        expected = streamed(clone(dense).set_params(init=start), FIRST[first], make=np.asarray, stop=160)
        assert model.settings_["learning_rate"] == expected.settings_["learning_rate"]
        np.testing.assert_allclose(model.predict_proba(X), expected.predict_proba(X), rtol=1e-7, atol=1e-9)


def test_an_empty_first_sample_leaves_the_start_of_the_others():
    """Nothing has been learned about features, so that the weights become those of a stream without it."""
    model = FrontClassifier((8,), momentum=0, dtype="float64", **UNSCALED)
    unusual = streamed(clone(model), 0 * X[:2], stop=0)
    start = unusual.coefs_[0]
    unusual.partial_fit(sparse.csr_array(X[:2]), Y[:2])
    usual = streamed(clone(model), X[:2], stop=0)
    sizes = [abs(weights).mean() for weights in (start, unusual.coefs_[0], usual.coefs_[0])]
    assert sizes[0] > 20 * sizes[2]
    assert 0.7 < sizes[1] / sizes[2] < 1.4


def test_targets_that_are_numbers():
    """The scale of the targets follows the stream anyway, so that both streams begin with the same three of them."""
    usual, unusual = (streamed(FrontRegressor((32,), **UNSCALED), first) for first in (X[:3], FIRST["empty"]))
    assert unusual.score(X[1300:], Y[1300:]) > usual.score(X[1300:], Y[1300:]) - 0.05


def test_given_rates_are_kept():
    model = streamed(FrontClassifier((8,), learning_rate=0.001, **UNSCALED), FIRST["tiny"], stop=100)
    assert model.settings_["learning_rate"] == 0.001
    assert model._lengths is None
    model = streamed(FrontClassifier((8,), random_state=0), stop=100, make=np.asarray)  # scaled features have a known length
    assert model._lengths is None


def test_reason_names_the_samples_so_far():
    model = streamed(FrontClassifier((8,), **UNSCALED), FIRST["empty"], stop=100)
    assert "of the samples so far" in model.settings_.reasons["learning_rate"]


def test_streams_go_on_from_files_and_pickles(tmp_path):
    model = streamed(FrontClassifier((8,), **UNSCALED), FIRST["empty"][:1], stop=20)
    model.save(tmp_path / "model.safetensors")
    loaded, unpickled = load(tmp_path / "model.safetensors"), pickle.loads(pickle.dumps(model))
    for again in (model, loaded, unpickled):
        for start in range(20, 200, 20):
            again.partial_fit(sparse.csr_array(X[start : start + 20]), Y[start : start + 20])
    assert loaded._lengths == unpickled._lengths == model._lengths
    assert rate(loaded) == rate(unpickled) == rate(model)
    np.testing.assert_array_equal(unpickled.predict_proba(X), model.predict_proba(X))


@pytest.mark.parametrize("form", FORMS)
def test_ctrl_c_leaves_the_stream_as_it_was(form, monkeypatch):
    model = streamed(FrontClassifier((8,), form=form, **UNSCALED), FIRST["tiny"], stop=0)
    expected = pickle.loads(pickle.dumps(model))
    before, lengths, rates = model.predict_proba(X), model._lengths, rate(model)

    def interrupted(*arguments: Any, **more: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as context:
        context.setattr(FrontNetwork, "train_epoch", interrupted)
        with pytest.raises(KeyboardInterrupt):
            model.partial_fit(sparse.csr_array(X[:20]), Y[:20])
    # the form "contributions" keeps the new samples, which contribute nothing, so that sums of floats are grouped anew
    np.testing.assert_allclose(model.predict_proba(X), before, rtol=0, atol=1e-4)
    assert (model._lengths, rate(model)) == (lengths, rates)
    for again in (model, expected):
        again.partial_fit(sparse.csr_array(X[:20]), Y[:20])
    np.testing.assert_allclose(model.predict_proba(X), expected.predict_proba(X), rtol=1e-5, atol=1e-6)


def test_a_single_huge_sample_hardly_matters():
    """Its steps are shorter, and it does not decide the rates of others."""
    usual = streamed(FrontClassifier((32,), **UNSCALED), stop=600)
    model = streamed(FrontClassifier((32,), **UNSCALED), stop=300)
    model.partial_fit(sparse.csr_array(1e3 * X[:1]), Y[:1])
    for start in range(300, 600, 20):
        model.partial_fit(sparse.csr_array(X[start : start + 20]), Y[start : start + 20])
    assert 0.8 < rate(model) / rate(usual) < 1.25
    assert model.score(X[1300:], Y[1300:]) > usual.score(X[1300:], Y[1300:]) - 0.05


def test_mean_of_samples_with_exceptions():
    rng = np.random.default_rng(0)
    lengths = rng.uniform(50, 150, 400)
    lengths[7] = 1e9
    record = Lengths()
    for portion in np.split(lengths, 100):
        record = record.with_portion(portion, np.ones(4))
    capped = np.minimum(lengths, LONGEST * np.median(lengths)).mean()
    assert record.chosen == pytest.approx(capped, rel=0.15)
    assert record.n_samples == 400
    assert record.with_portion(np.array([1e6]), np.ones(1)).share < 0.01
    weighted = Lengths().with_portion(np.array([100.0, 120.0]), np.array([3.0, 1.0]))
    assert weighted.chosen == 105
