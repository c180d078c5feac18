"""The capped scale: that of StandardScaler, but no training sample is more than 5 deviations from the mean."""

import numpy as np
import pytest
from automatic_cases import ANY_KIND, EXACT, FORMS, outputs
from sklearn.base import clone
from sklearn.preprocessing import StandardScaler

from fcfast import FrontClassifier
from fcfast.sources import Standardized, as_source


def outlying(n=400, d=7):
    """Columns without outliers, and three with one: of 3, of 1e3 and of -1e9 deviations; the last one is constant."""
    X = 50 * np.random.default_rng(0).uniform(-1, 1, size=(n, d)) + 3e4
    X[0, :3] += 300, 1e5, -1e11
    X[:, -1] = 12.5
    return X


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_capped_columns_end_at_five(dtype):
    """Columns with an outlier are shrunk until it is 5; all others are scaled as by StandardScaler."""
    X = outlying()
    capped = Standardized(as_source(X), "capped", dtype=dtype).read(slice(0, X.shape[1]))
    plain = StandardScaler().fit_transform(X)
    assert abs(plain[:, :3]).max(axis=0).min() > 5 > abs(plain[:, 3:]).max()
    np.testing.assert_allclose(abs(capped[:, :3]).max(axis=0), 5, rtol=1e-6)
    np.testing.assert_allclose(capped[:, 3:], plain[:, 3:], atol=1e-5 if dtype == "float32" else 1e-12)
    shrunk = plain[:, :3] * 5 / abs(plain[:, :3]).max(axis=0)
    np.testing.assert_allclose(capped[:, :3], shrunk, atol=1e-5 if dtype == "float32" else 1e-9)


@ANY_KIND
def test_capped_is_the_training_on_capped_features(kind):
    """In every form: the first layer meets the capped numbers, and new samples are scaled by the same ones."""
    X, new = outlying(), outlying()[:30] + 10
    y = np.arange(400) % 3 if kind is FrontClassifier else np.sin(np.arange(400))
    scaled = Standardized(as_source(X), "capped", dtype="float64")
    Z, Z_new = (source.read(slice(0, 7)) for source in (scaled, scaled.like(as_source(new))))
    assert abs(Z_new).max() > 5  # new samples are not capped
    settings = {
        "hidden_layer_sizes": (8,),
        "max_epochs": 10,
        "init": "glorot",
        "learning_rate": 0.01,
        "weight_decay": 0.0,
        **EXACT,
    }
    expected = kind(standardize=False, **settings).fit(Z, y)
    for form in FORMS:
        model = kind(standardize="capped", form=form, **settings).fit(X, y)
        np.testing.assert_allclose(model.loss_curve_, expected.loss_curve_, rtol=1e-7)
        np.testing.assert_allclose(outputs(model, new), outputs(expected, Z_new), atol=1e-6)


@pytest.mark.bits
@pytest.mark.parametrize("form", FORMS)
def test_sources_on_disk_are_scaled_alike(form, tmp_path):
    """A file is never loaded, and gives the same bits as the array."""
    X = outlying().astype(np.float32)
    np.save(tmp_path / "X.npy", X)
    y = np.arange(400) % 3
    model = FrontClassifier(max_epochs=5, form=form, random_state=0)
    in_memory, on_disk = clone(model).fit(X, y), clone(model).fit(np.load(tmp_path / "X.npy", mmap_mode="r"), y)
    from_source = clone(model).fit(as_source(np.load(tmp_path / "X.npy", mmap_mode="r")), y)
    for other in (on_disk, from_source):
        assert other.loss_curve_ == in_memory.loss_curve_
        np.testing.assert_array_equal(other.predict_proba(X), in_memory.predict_proba(X))


def test_contributions_of_a_stream_keep_capped_scales():
    """The samples that form "contributions" copies are measured as the caller's are."""
    X, y = outlying(), np.arange(400) % 3
    scales = [
        FrontClassifier(form=form, standardize="capped", **EXACT).partial_fit(X, y, [0, 1, 2])._scaling.inputs.scale
        for form in FORMS
    ]
    for scale in scales[1:]:
        np.testing.assert_array_equal(scale, scales[0])
    assert scales[0][0] > 1.01 * X[:, 0].std()
