"""What `FrontSurvival` becomes: model files, networks of PyTorch and scikit-learn, ONNX, cards and pictures."""

import numpy as np
import pytest
from survival_cases import QUICK, wide_survival

import fcfast
from fcfast import FrontSurvival, load
from fcfast.explain import explain_output
from fcfast.scaling import of_raw_data


@pytest.fixture(scope="module")
def data():
    return wide_survival()


@pytest.fixture(scope="module")
def fitted(data):
    return FrontSurvival(form="contributions", **QUICK).fit(*data)


@pytest.mark.parametrize(
    ("form", "weights"), [("weights", True), ("windowed", True), ("contributions", True), ("contributions", False)]
)
def test_model_files(data, tmp_path, form, weights):
    """Risk scores and functions of time have the same bits, and the file loads as the same class."""
    X, y = data
    y = y.copy()
    y["event"][y["time"].argmin()] = False  # the hazard is 0 at first
    model = FrontSurvival(**QUICK | {"form": form, "dtype": "float32"}).fit(X, y)
    path = tmp_path / "model.safetensors"
    model.save(path, weights=weights)
    loaded = load(path, X=None if weights else X)
    assert type(loaded) is FrontSurvival
    np.testing.assert_array_equal(loaded.predict(X), model.predict(X))
    np.testing.assert_array_equal(loaded.unique_times_, model.unique_times_)
    for return_array in (True, False):
        a, b = (m.predict_survival_function(X[:3], return_array=return_array) for m in (loaded, model))
        np.testing.assert_array_equal(*(a, b) if return_array else ([f.y for f in a], [f.y for f in b]))
    assert loaded.score(X, y) == model.score(X, y)
    assert str(loaded.settings_) == str(model.settings_)
    assert loaded.fit(X[:40], y[:40]).predict(X).shape == (60,)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_times": 61}, "baseline.times"),
        ({"n_hazards": 61}, "more hazards than times"),
        ({"n_times": 0}, "n_times must be >= 1"),
        ({"n_hazards": "7"}, "n_hazards must be an integer"),
        ({"labels": [0]}, "no labels"),
        ({"y_ndim": 1}, "no y_ndim"),
        ({"scaled": ["targets"]}, "scaled is"),
        ({"times": slice(None, None, -1)}, "rising order"),
        ({"log_hazards": slice(None, None, -1)}, "the cumulative hazard falls"),
    ],
)
def test_damaged_model_files(fitted, tmp_path, change, message):
    from dataclasses import replace

    from fcfast.modelfile.format import write

    header, tensors = fitted._to_file(True, False)
    places = {f"baseline.{name}": change[name] for name in ("times", "log_hazards") if name in change}
    tensors |= {name: np.ascontiguousarray(tensors[name][place]) for name, place in places.items()}
    header = replace(header, **{name: value for name, value in change.items() if f"baseline.{name}" not in places})
    path = tmp_path / "model.safetensors"
    write(path, header, tensors)
    with pytest.raises(fcfast.ModelFileError, match=message):
        load(path)


def test_conversions(data, fitted):
    """PyTorch's and scikit-learn's networks give the risk scores, and explanations add up to them."""
    X, _ = data
    risk = fitted.predict(X)
    np.testing.assert_allclose(fitted.to_sklearn().predict(X), risk, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(explain_output(fitted, X[:3]).outputs, risk[:3], rtol=1e-9)
    raw = of_raw_data(fitted, None)
    np.testing.assert_array_equal(raw.predict_survival_function(X, True), fitted.predict_survival_function(X, True))
    torch = pytest.importorskip("torch")
    outputs = fitted.to_torch()(torch.tensor(X)).detach().numpy()
    np.testing.assert_allclose(outputs[:, 0], risk, rtol=1e-9, atol=1e-12)


def test_onnx(data, fitted):
    onnx = pytest.importorskip("onnx", reason="ONNX models need it")
    runtime = pytest.importorskip("onnxruntime", reason="it runs ONNX models")
    model = fitted.to_onnx()
    onnx.checker.check_model(model)
    (risk,) = runtime.InferenceSession(model.SerializeToString()).run(None, {"X": data[0]})
    np.testing.assert_allclose(risk[:, 0], fitted.predict(data[0]), rtol=1e-9, atol=1e-12)


def test_the_card_tells_of_events(data, fitted):
    assert fitted.card_["data"]["events"] == data[1]["event"].sum()
    assert fitted.card_["data"]["distinct times"] == 60


def test_a_picture_names_the_score(data, tmp_path):
    pytest.importorskip("matplotlib")
    model = FrontSurvival(early_stopping=True, **QUICK).fit(*data)
    assert fcfast.plots.loss_curve(tmp_path / "curve.png", model).exists()
