"""Estimators that standardise features and fill in missing values are pipelines with scikit-learn's own tools."""

import copy
import pickle
from typing import Any

import numpy as np
import pytest
from classic import FrontClassifier, FrontRegressor, NoPropClassifier
from scipy import sparse
from sklearn.base import clone
from sklearn.impute import SimpleImputer
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from fcfast import backend, load
from fcfast.sources import ArraySource, SparseSource

FORMS = ["contributions", "windowed", "weights"]
KINDS = [FrontClassifier, FrontRegressor, NoPropClassifier]


def settings_of(kind: type, form: str, **settings: Any) -> dict[str, Any]:
    widths = {"hidden": (6, 5), "n_blocks": 2} if kind is NoPropClassifier else {"hidden_layer_sizes": (6, 4)}
    common = {"form": form, "dtype": "float64", "max_epochs": 3, "tol": 0.0, "random_state": 1, "batch_size": 5}
    return widths | common | settings


def data(kind: type, n: int = 24, d: int = 70, seed: int = 0, gaps: bool = False) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d)) * 10.0 ** rng.integers(-3, 4, d) + rng.normal(0, 100, d)
    X[:, 2] = 7.0
    if gaps:
        X[rng.random((n, d)) < 0.1] = np.nan
        X[:, 4] = np.nan
    return X, rng.normal(size=n) if kind is FrontRegressor else np.arange(n) % 3


def pipeline(model: Any, missing: str, standardize: bool = True) -> Any:
    steps = [SimpleImputer(keep_empty_features=True)] if missing == "mean" else []
    return make_pipeline(*steps, *([StandardScaler()] if standardize else []), model)


def outputs(model: Any, X: Any) -> np.ndarray:
    return model.predict_proba(X) if hasattr(model, "predict_proba") else model.predict(X)


def assert_close(actual: Any, expected: Any, rtol: float = 1e-9) -> None:
    np.testing.assert_allclose(actual, expected, rtol=rtol, atol=rtol * np.abs(expected).max())


@pytest.mark.parametrize("missing", ["error", "mean"])
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", KINDS)
def test_equals_the_pipeline(kind, form, missing):
    X, y = data(kind, gaps=missing == "mean")
    X_new, _ = data(kind, 9, seed=1, gaps=missing == "mean")
    weights = np.random.default_rng(2).random(len(X))
    own = kind(**settings_of(kind, form), standardize=True, missing=missing).fit(X, y, sample_weight=weights)
    piped = pipeline(kind(**settings_of(kind, form)), missing)
    piped.fit(X, y, **{f"{kind.__name__.lower()}__sample_weight": weights})
    assert_close(own.loss_curve_, piped[-1].loss_curve_)
    assert_close(outputs(own, X_new), outputs(piped, X_new))
    assert_close(outputs(own, ArraySource(X_new)), outputs(piped, X_new))
    from_source = clone(own).fit(ArraySource(np.asfortranarray(X)), y, sample_weight=weights)
    np.testing.assert_array_equal(outputs(from_source, X_new), outputs(own, X_new))
    for model in (copy.deepcopy(own), pickle.loads(pickle.dumps(own))):
        np.testing.assert_array_equal(outputs(model, X_new), outputs(own, X_new))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    "settings",
    [
        {"rule": "dfa"}, {"rule": "frozen"}, {"rule": "forward-gradient"}, {"optimizer": "muon"}, {"optimizer": "neuron-adam"},
        {"weight_decay": 0.1, "nesterov": True}, {"max_grad_norm": 0.1}, {"optimizer": "adam", "form": "weights"},
    ],
)  # fmt: skip
def test_equals_the_pipeline_whatever_trains(settings, form):
    X, y = data(FrontClassifier, 40, 90)
    settings = settings_of(FrontClassifier, form) | settings
    own = FrontClassifier(**settings, standardize=True).fit(X, y)
    piped = pipeline(FrontClassifier(**settings), "error").fit(X, y)

    assert_close(own.loss_curve_, piped[-1].loss_curve_, 1e-8)
    assert_close(own.predict_proba(X), piped.predict_proba(X), 1e-8)


@pytest.mark.parametrize("seed", range(8))
def test_equals_the_pipeline_at_random_shapes(seed):
    rng = np.random.default_rng(seed)
    n, d, form = int(rng.integers(6, 50)), int(rng.integers(1, 200)), FORMS[seed % 3]
    X, y = rng.normal(size=(n, d)) * 5 + 3, np.arange(n) % 2
    settings = settings_of(FrontClassifier, form, batch_size=int(rng.integers(1, n + 1)), momentum=float(rng.choice([0, 0.9])))
    own = FrontClassifier(**settings, standardize=True).fit(X, y)
    assert_close(own.predict_proba(X), pipeline(FrontClassifier(**settings), "error").fit(X, y).predict_proba(X))


@pytest.mark.parametrize("standardize", [False, True])
@pytest.mark.parametrize("form", FORMS)
def test_missing_values(form, standardize):
    X, y = data(FrontClassifier, gaps=True)
    X = X / 100
    settings = settings_of(FrontClassifier, form)
    own = FrontClassifier(**settings, standardize=standardize, missing="mean").fit(X, y)
    piped = pipeline(FrontClassifier(**settings), "mean", standardize).fit(X, y)
    assert_close(own.predict_proba(X), piped.predict_proba(X))
    with pytest.raises(ValueError, match="NaN"):
        FrontClassifier(**settings, standardize=standardize).fit(X, y)
    with pytest.raises(ValueError, match=r"NaN\) in column"):
        FrontClassifier(**settings, standardize=standardize).fit(ArraySource(X), y)
    assert own.__sklearn_tags__().input_tags.allow_nan
    assert not FrontClassifier().__sklearn_tags__().input_tags.allow_nan


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", [FrontClassifier, FrontRegressor])
def test_weights_belong_to_raw_features(kind, form):
    X, y = data(kind)
    own = kind(**settings_of(kind, form, activation="tanh"), standardize=True).fit(X, y)
    S = X
    for l, (coef, bias) in enumerate(zip(own.coefs_, own.intercepts_, strict=True)):
        S = (np.tanh(S) if l else S) @ coef + bias
    assert_close(own._outputs(own._validate_new(X)), S, 1e-8)
    assert own.coefs_[0].dtype == np.float64
    assert_close(outputs(own.to_sklearn(), X), outputs(own, X), 1e-8)
    torch = pytest.importorskip("torch")
    with torch.no_grad():
        assert_close(own.to_torch()(torch.from_numpy(X)).numpy(), S, 1e-8)


@pytest.mark.parametrize("missing", ["error", "mean"])
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", KINDS)
def test_model_files(kind, form, missing, tmp_path):
    X, y = data(kind, gaps=missing == "mean")
    for standardize in (True, False):
        path = tmp_path / "model.safetensors"
        own = kind(**settings_of(kind, form, learning_rate=1e-5), standardize=standardize, missing=missing).fit(X / 100, y)
        own.save(path)
        loaded = load(path)
        np.testing.assert_array_equal(outputs(loaded, X / 100), outputs(own, X / 100))
        assert (loaded.standardize, loaded.missing) == (standardize, missing)
        if form == "contributions" and kind is not NoPropClassifier:
            own.save(path, weights=False)
            for again in (X[::-1] / 100, ArraySource(X[::-1] / 100)):
                loaded = load(path, again)
                np.testing.assert_array_equal(outputs(loaded, X / 100), outputs(own, X / 100))
                assert_close(loaded.explain(X / 100).preactivations, own.explain(X / 100).preactivations)


@pytest.mark.parametrize("form", FORMS)
def test_partial_fit_scales_as_the_first_call(form):
    X, y = data(FrontClassifier)
    settings = settings_of(FrontClassifier, form)
    own, plain = FrontClassifier(**settings, standardize=True), FrontClassifier(**settings)
    scaler = StandardScaler().fit(X[:8])
    stream = np.empty((8, X.shape[1]))  # the same array is used again
    for rows in (slice(0, 8), slice(8, 16), slice(16, 24)):
        stream[:] = X[rows]
        own.partial_fit(stream, y[rows], classes=[0, 1, 2])
        plain.partial_fit(scaler.transform(X[rows]), y[rows], classes=[0, 1, 2])
    assert_close(own.predict_proba(X), plain.predict_proba(scaler.transform(X)))
    with pytest.raises(ValueError, match="partial_fit continues with"):
        own.set_params(standardize=False).partial_fit(X, y)


@pytest.mark.parametrize("form", FORMS)
def test_warm_start_scales_as_before(form):
    X, y = data(FrontClassifier)
    settings = settings_of(FrontClassifier, form, warm_start=True)
    own, plain = FrontClassifier(**settings, standardize=True).fit(X, y), FrontClassifier(**settings)
    scaler = StandardScaler().fit(X)
    plain.fit(scaler.transform(X), y)
    own.fit(X[:15], y[:15]), plain.fit(scaler.transform(X[:15]), y[:15])
    assert_close(own.predict_proba(X), plain.predict_proba(scaler.transform(X)))
    with pytest.raises(ValueError, match="warm_start continues with"):
        own.set_params(missing="mean").fit(X, y)
    anew = own.set_params(missing="error", warm_start=False).fit(X[:15], y[:15])
    expected = pipeline(FrontClassifier(**settings), "error").fit(X[:15], y[:15])
    assert_close(anew.predict_proba(X), expected.predict_proba(X))


@pytest.mark.parametrize("missing", ["error", "mean"])
@pytest.mark.parametrize("density", [0.03, 0.3])
def test_sparse_samples(density, missing):
    X = sparse.random(30, 300, density, format="csr", random_state=0)
    if missing == "mean":
        X.data[::9] = np.nan
    y = np.arange(30) % 3
    settings = settings_of(FrontClassifier, "contributions")
    own = FrontClassifier(**settings, standardize=True, missing=missing).fit(X, y)
    piped = pipeline(FrontClassifier(**settings), missing).fit(X.toarray(), y)
    assert_close(own.predict_proba(X), piped.predict_proba(X.toarray()))
    assert_close(own.predict_proba(X.toarray()), piped.predict_proba(X.toarray()))
    assert_close(own.explain(X[:3]).terms, piped[-1].explain(piped[:-1].transform(X[:3].toarray())).terms, 1e-8)
    own.partial_fit(X[:5], y[:5])
    piped[-1].partial_fit(piped[:-1].transform(X[:5].toarray()), y[:5])
    assert_close(own.predict_proba(X), piped.predict_proba(X.toarray()))
    np.testing.assert_array_equal(clone(own).fit(SparseSource(X), y).predict_proba(X), clone(own).fit(X, y).predict_proba(X))
    with pytest.raises(TypeError, match="sparse"):
        clone(own).set_params(form="weights").fit(X, y)


def test_no_scaled_copy_is_made(monkeypatch):
    """Form "contributions" refers to the caller's own array."""
    X, y = data(FrontClassifier)
    own = FrontClassifier(**settings_of(FrontClassifier, "contributions"), standardize=True).fit(X, y)
    assert np.shares_memory(own.network_.front.X.base.array, X)
    X[0, 0] += 1
    with pytest.raises(RuntimeError, match="changed in place"):
        own.explain(X)


@pytest.mark.parametrize("stored", ["int8", "uint8", "bool"])
@pytest.mark.parametrize("form", FORMS)
def test_small_integers(form, stored):
    X = np.random.default_rng(0).integers(0, 2, size=(20, 60)).astype(stored)
    y = np.arange(20) % 2
    settings = settings_of(FrontClassifier, form)
    for standardize in (False, True):
        own = FrontClassifier(**settings, standardize=standardize).fit(X, y)
        expected = FrontClassifier(**settings, standardize=standardize).fit(X.astype("f8"), y)
        np.testing.assert_array_equal(own.predict_proba(X), expected.predict_proba(X.astype("f8")))


def test_tables_of_one_type_are_not_converted():
    pandas = pytest.importorskip("pandas")
    X = np.random.default_rng(0).integers(0, 3, size=(20, 60)).astype("int8")
    table = pandas.DataFrame(X, columns=[f"g{j}" for j in range(60)])
    own = FrontClassifier(**settings_of(FrontClassifier, "contributions")).fit(table, np.arange(20) % 2)
    assert own.network_.front.X.dtype == np.int8
    assert own.feature_names_in_.tolist() == list(table.columns)
    expected = FrontClassifier(**settings_of(FrontClassifier, "contributions")).fit(X, np.arange(20) % 2)
    np.testing.assert_array_equal(own.predict_proba(table), expected.predict_proba(X))


def test_features_of_sources_are_compared():
    X, y = data(FrontClassifier)
    source, other = ArraySource(X), ArraySource(X)
    source.feature_names = [f"g{j}" for j in range(70)]
    model = FrontClassifier(**settings_of(FrontClassifier, "auto")).fit(source, y)
    assert (model.n_features_in_, model.feature_names_in_[3]) == (70, "g3")
    other.feature_names = source.feature_names[::-1]
    with pytest.raises(ValueError, match="'g69' in place of 'g0'"):
        model.predict(other)
    with pytest.warns(UserWarning, match="does not have valid feature names"):
        model.predict(ArraySource(X))
    other = ArraySource(X[:, 1:])
    other.feature_names = source.feature_names[1:]
    with pytest.raises(ValueError, match="X has 69 features, but FrontClassifier is expecting 70"):
        model.predict(other)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        FrontClassifier().fit(source, y[1:])
    model.set_params(standardize=True)
    scores = cross_val_score(model, source, y, cv=3)
    np.testing.assert_array_equal(scores, cross_val_score(model, X, y, cv=3))


@pytest.mark.parametrize("kind", KINDS)
def test_parameters_are_checked(kind):
    X, y = data(kind)
    with pytest.raises(TypeError, match="standardize must be one of \\[True, False"):
        kind(standardize=1.5).fit(X, y)
    for text in ("yes", "True"):
        with pytest.raises(ValueError, match=f"standardize='{text}' is unknown; use True, False.*'capped'"):
            kind(standardize=text).fit(X, y)
    with pytest.raises(ValueError, match="missing='median' is unknown"):
        kind(missing="median").fit(X, y)


THICKNESSES = ("dense", "sparse")
NOPROP = {"n_blocks": 2, "hidden": (16, 8), "max_epochs": 60, "learning_rate": 0.01, "optimizer": "adamw"}
UNWEIGHTED = "scaling ignores the samples' weights, as a pipeline with StandardScaler does unless it is told otherwise"


@pytest.mark.skipif(backend.NAME == "python", reason="the checks fit hundreds of networks; the compiled kernels do")
@parametrize_with_checks(
    [kind(standardize=True, missing="mean", dtype="float64") for kind in (FrontClassifier, FrontRegressor)],
    expected_failed_checks=lambda _: {
        f"check_sample_weight_equivalence_on_{kind}_data": UNWEIGHTED for kind in ("dense", "sparse")
    },
)
@pytest.mark.filterwarnings("ignore")  # the checks provoke warnings
def test_scikit_learn_checks(estimator, check):
    check(estimator)
