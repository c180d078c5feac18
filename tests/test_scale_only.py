"""``standardize="scale"`` divides features by their deviations and subtracts nothing, so that sparse data stay sparse."""

import copy
import pickle
import tracemalloc
from typing import Any

import numpy as np
import pytest
from classic import FrontClassifier, FrontRegressor, NoPropClassifier
from scipy import sparse
from sklearn.base import clone
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import fcfast
from fcfast import Gram, load
from fcfast.explain import explain_output
from fcfast.scaling import of_raw_data
from fcfast.sources import ArraySource, SparseSource, Standardized
from fcfast.sources.running import Moments
from fcfast.sources.standardized import Statistics

FORMS = ["contributions", "windowed", "weights"]
KINDS = [FrontClassifier, FrontRegressor, NoPropClassifier]
N_CLASSES = 3


def settings_of(kind: type, form: str, **settings: Any) -> dict[str, Any]:
    widths = {"hidden": (6, 5), "n_blocks": 2} if kind is NoPropClassifier else {"hidden_layer_sizes": (6, 4)}
    common = {"form": form, "dtype": "float64", "max_epochs": 3, "tol": 0.0, "random_state": 1, "batch_size": 5}
    return widths | common | {"learning_rate": 1e-3} | settings


def counts(n: int = 40, d: int = 90, seed: int = 0, missing: bool = False) -> sparse.csr_matrix:
    """Make sparse numbers in many units; one column is constant, and some have no entry."""
    rng = np.random.default_rng(seed)
    X = sparse.random(n, d, 0.15, format="lil", random_state=rng)
    X[:, 3] = 7.0
    X[:, [5, d - 1]] = 0.0
    X = sparse.csr_matrix(X @ sparse.diags(10.0 ** rng.integers(-3, 4, d)))
    X.eliminate_zeros()
    if missing:
        X.data[::9] = np.nan
    return X


def targets(kind: type, n: int = 40) -> np.ndarray:
    return np.random.default_rng(9).normal(size=n) if kind is FrontRegressor else np.arange(n) % N_CLASSES


def forms_of(kind: type, X: Any) -> list[str]:
    return ["contributions"] if kind is NoPropClassifier and sparse.issparse(X) else FORMS


def pipeline(model: Any, missing: str = "error") -> Any:
    steps = [SimpleImputer(keep_empty_features=True)] if missing == "mean" else []
    return make_pipeline(*steps, StandardScaler(with_mean=False), model)


def outputs(model: Any, X: Any) -> np.ndarray:
    return model.predict_proba(X) if hasattr(model, "predict_proba") else model.predict(X)


def assert_close(actual: Any, expected: Any, rtol: float = 1e-12) -> None:
    np.testing.assert_allclose(actual, expected, rtol=rtol, atol=rtol * np.abs(expected).max())


def each_case() -> list[Any]:
    cases = [(kind, make) for kind in KINDS for make in (sparse.csr_matrix, sparse.csc_array, sparse.csr_matrix.toarray)]
    return [(kind, make, form) for kind, make in cases for form in forms_of(kind, make(sparse.csr_matrix((1, 1))))]


@pytest.mark.parametrize("missing", ["error", "mean"])
@pytest.mark.parametrize(("kind", "make", "form"), each_case())
def test_equals_a_scaler_without_means(kind, make, form, missing):
    X, y, X_new = make(counts(missing=missing == "mean")), targets(kind), make(counts(9, seed=1, missing=missing == "mean"))
    weights = np.random.default_rng(2).integers(0, 3, len(y)).astype(float)
    own = kind(**settings_of(kind, form), standardize="scale", missing=missing).fit(X, y)
    piped = pipeline(kind(**settings_of(kind, form)), missing).fit(X, y)
    assert_close(own.loss_curve_, piped[-1].loss_curve_)
    assert_close(outputs(own, X_new), outputs(piped, X_new))
    if missing == "error":  # SimpleImputer takes no weights
        name = kind.__name__.lower()
        given = {f"{name}__sample_weight": weights, "standardscaler__sample_weight": weights}
        own, piped = clone(own).fit(X, y, sample_weight=weights), clone(piped).fit(X, y, **given)
        assert_close(outputs(own, X_new), outputs(piped, X_new))


@pytest.mark.parametrize("form", FORMS)
def test_automatic_settings_equal_those_of_scaled_samples(form):
    """Rates follow the length of the scaled rows, which centring would make the number of features."""
    X, y = counts(), targets(FrontClassifier)
    own = fcfast.FrontClassifier(form=form, standardize="scale", dtype="float64", random_state=0).fit(X, y)
    scaled = StandardScaler(with_mean=False).fit_transform(X)
    expected = fcfast.FrontClassifier(form=form, standardize=False, dtype="float64", random_state=0).fit(scaled, y)
    assert {**own.settings_, "standardize": 0} == {**expected.settings_, "standardize": 0}
    assert_close(outputs(own, X), outputs(expected, scaled))


def test_text_is_trained_with_adagrad_all_the_same():
    X = sparse.random(2001, 2500, 0.002, format="csr", random_state=0)
    own = fcfast.FrontClassifier((2,), standardize="scale", max_epochs=1, random_state=0).fit(X, np.arange(2001) % 2)
    assert own.settings_["optimizer"] == "adagrad"


@pytest.mark.parametrize(
    "settings", [
        {"optimizer": "adagrad"}, {"optimizer": "rmsprop"}, {"weight_decay": 0.1, "nesterov": True}, {"max_grad_norm": 0.1},
        {"init": "scaled"}, {"init": "span"},
    ], ids=str,
)  # fmt: skip
@pytest.mark.parametrize("make", [sparse.csr_matrix, sparse.csr_matrix.toarray, SparseSource])
def test_equals_a_scaler_whatever_trains(settings, make):
    X, y = counts(), targets(FrontClassifier)
    settings = settings_of(FrontClassifier, "weights") | settings
    own = FrontClassifier(**settings, standardize="scale").fit(make(X), y)
    piped = pipeline(FrontClassifier(**settings)).fit(X, y)

    assert_close(own.loss_curve_, piped[-1].loss_curve_, 1e-10)
    assert_close(outputs(own, make(X)), outputs(piped, X), 1e-10)


@pytest.mark.parametrize("missing", ["error", "mean"])
@pytest.mark.parametrize("form", FORMS)
def test_sources_give_the_same_network(form, missing):
    X, y, X_new = counts(missing=missing == "mean"), targets(FrontClassifier), counts(9, seed=1)
    own = FrontClassifier(**settings_of(FrontClassifier, form), standardize="scale", missing=missing).fit(X, y)
    from_source = clone(own).fit(SparseSource(X), y)
    for new in (X_new, SparseSource(X_new), X_new.toarray(), ArraySource(X_new.toarray())):
        np.testing.assert_array_equal(outputs(from_source, new), outputs(own, new))
        assert_close(outputs(own, new), outputs(own, X_new))
    for model in (copy.deepcopy(own), pickle.loads(pickle.dumps(own))):
        np.testing.assert_array_equal(outputs(model, X_new), outputs(own, X_new))


@pytest.mark.parametrize("form", FORMS)
def test_missing_values_alone(form):
    """Sparse samples that are only filled in stay sparse, too."""
    X, y = counts(missing=True), targets(FrontClassifier)
    own = FrontClassifier(**settings_of(FrontClassifier, form, learning_rate=1e-5), missing="mean").fit(X, y)
    piped = make_pipeline(SimpleImputer(), FrontClassifier(**settings_of(FrontClassifier, form, learning_rate=1e-5)))
    assert_close(outputs(own, X), outputs(piped.fit(X, y), X))
    with pytest.raises(ValueError, match="NaN"):
        clone(own).set_params(missing="error", standardize="scale").fit(X, y)
    scaled = clone(own).set_params(missing="error", standardize="scale").fit(counts(), y)
    for new in (X, SparseSource(X), X.toarray()):
        with pytest.raises(ValueError, match="NaN"):
            scaled.predict(new)


@pytest.mark.parametrize("make", [sparse.csr_matrix, sparse.csr_matrix.toarray, SparseSource])
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", [FrontClassifier, FrontRegressor])
def test_weights_belong_to_raw_features(kind, form, make):
    X, y = counts(), targets(kind)
    own = kind(**settings_of(kind, form, activation="tanh"), standardize="scale").fit(make(X), y)
    S = X
    for l, (coef, bias) in enumerate(zip(own.coefs_, own.intercepts_, strict=True)):
        S = (np.tanh(S) if l else S) @ coef + bias
    assert_close(own._outputs(own._validate_new(X)), S, 1e-9)
    assert_close(outputs(own.to_sklearn(), X.toarray()), outputs(own, X), 1e-9)
    raw = of_raw_data(own, None)
    assert_close(outputs(raw, X), outputs(own, X))


def test_explanations():
    X, y = counts(), targets(FrontClassifier)
    own = FrontClassifier(**settings_of(FrontClassifier, "contributions"), standardize="scale").fit(X, y)
    piped = pipeline(FrontClassifier(**settings_of(FrontClassifier, "contributions"))).fit(X, y)
    Z = piped[0].transform(X)
    assert_close(own.explain(X[:3]).terms, piped[-1].explain(Z[:3]).terms)
    assert_close(explain_output(own, X[:3]).terms, explain_output(piped[-1], Z[:3]).terms)


@pytest.mark.parametrize("missing", ["error", "mean"])
@pytest.mark.parametrize(("kind", "make", "form"), each_case())
def test_model_files(kind, make, form, missing, tmp_path):
    X, y, path = make(counts(missing=missing == "mean")), targets(kind), tmp_path / "model.safetensors"
    own = kind(**settings_of(kind, form), standardize="scale", missing=missing).fit(X, y)
    own.save(path)
    again = load(path)
    np.testing.assert_array_equal(outputs(again, X), outputs(own, X))
    assert (again.standardize, again.missing) == ("scale", missing)
    if kind is NoPropClassifier:
        return
    own.partial_fit(X[:7], y[:7])
    again.partial_fit(X[:7], y[:7])
    assert np.isfinite(outputs(again, X)).all()
    if form == "contributions":
        own.fit(X, y).save(path, weights=False)
        dense = X.toarray() if sparse.issparse(X) else X
        for given in (X[::-1], SparseSource(sparse.csr_array(dense)[::-1]), ArraySource(dense[::-1]), dense):
            again = load(path, given)
            assert_close(outputs(again, X), outputs(own, X))


def test_files_hold_the_scales_of_features_that_occur(tmp_path):
    X, y, path = counts(), targets(FrontClassifier), tmp_path / "model.safetensors"
    own = FrontClassifier(**settings_of(FrontClassifier, "weights"), standardize="scale").fit(X, y)
    own.save(path)
    safetensors = pytest.importorskip("safetensors.numpy")
    tensors = safetensors.load_file(path)
    occurring = np.unique(X.indices)
    np.testing.assert_array_equal(tensors["scaled.features"], occurring)
    assert_close(tensors["inputs.scale"], StandardScaler(with_mean=False).fit(X).scale_[occurring])


@pytest.mark.parametrize("make", [sparse.csr_matrix, sparse.csr_matrix.toarray, SparseSource])
@pytest.mark.parametrize("form", FORMS)
def test_streams_keep_the_scales_of_their_first_portion(form, make):
    X, y = counts(), targets(FrontClassifier)
    own, plain = (FrontClassifier(**settings_of(FrontClassifier, form)) for _ in range(2))
    own.set_params(standardize="scale")
    scaler = StandardScaler(with_mean=False).fit(X[:16])
    for rows in (slice(0, 16), slice(16, 24), slice(24, 40)):
        own.partial_fit(make(X[rows]), y[rows], classes=range(N_CLASSES))
        plain.partial_fit(scaler.transform(X[rows]), y[rows], classes=range(N_CLASSES))
    assert_close(outputs(own, make(X)), outputs(plain, scaler.transform(X)))
    with pytest.raises(ValueError, match="partial_fit continues with"):
        own.set_params(standardize=True).partial_fit(make(X), y)


@pytest.mark.parametrize("form", FORMS)
def test_warm_start_scales_as_before(form):
    X, y = counts(), targets(FrontClassifier)
    settings = settings_of(FrontClassifier, form, warm_start=True)
    own, plain = FrontClassifier(**settings, standardize="scale").fit(X, y), FrontClassifier(**settings)
    scaler = StandardScaler(with_mean=False).fit(X)
    plain.fit(scaler.transform(X), y)
    own.fit(X[:15], y[:15]), plain.fit(scaler.transform(X[:15]), y[:15])
    assert_close(outputs(own, X), outputs(plain, scaler.transform(X)))
    with pytest.raises(ValueError, match="warm_start continues with"):
        own.set_params(standardize=False).fit(X, y)


@pytest.mark.parametrize("make", [sparse.csr_matrix, sparse.csr_matrix.toarray])
@pytest.mark.parametrize("kernel", ["linear", "rbf"])
def test_gram_matrices(make, kernel, tmp_path):
    X, y = make(counts()), targets(FrontClassifier)
    scaler = StandardScaler(with_mean=False).fit(X)
    gram, expected = (
        Gram(samples, kernel=kernel, standardize=how, dtype="float64")
        for samples, how in ((X, "scale"), (scaler.transform(X), False))
    )
    assert_close(gram.matrix, expected.matrix)
    settings = {"dtype": "float64", "max_epochs": 3, "random_state": 0}
    own = fcfast.FrontClassifier(**settings).fit(gram, y)
    plain = fcfast.FrontClassifier(**settings).fit(expected, y)
    assert own.settings_ == plain.settings_
    assert_close(outputs(own, X), outputs(plain, scaler.transform(X)))
    gram.save(tmp_path / "gram.safetensors")
    again = fcfast.FrontClassifier(**settings).fit(Gram.load(tmp_path / "gram.safetensors", X), y)
    assert_close(outputs(again, X), outputs(own, X))


def test_source_subtracts_nothing():
    X = counts().toarray()
    expected = StandardScaler(with_mean=False).fit_transform(X)
    assert_close(Standardized(ArraySource(X), "scale").read(slice(0, 90)), expected)
    assert_close(Standardized(SparseSource(sparse.csr_array(X)), "scale").read(slice(0, 90)).toarray(), expected)


@pytest.mark.parametrize("form", FORMS)
def test_wide_samples_take_the_memory_of_their_entries(form, tmp_path):
    """A single array as long as a row would have 64 MiB in bytes, and 512 MiB in double precision."""
    rng = np.random.default_rng(0)
    places = np.sort(rng.integers(0, 2**26, (50, 100)), axis=1).reshape(-1)
    X = sparse.csr_array((rng.random(5000) * 100, places, np.arange(0, 5001, 100)), shape=(50, 2**26))
    y, path = np.arange(50) % 2, tmp_path / "model.safetensors"
    model = FrontClassifier(**settings_of(FrontClassifier, form, max_epochs=1), standardize="scale")
    tracemalloc.start()
    model.fit(X, y)
    predicted = outputs(model, X[:20])
    if form != "contributions":  # whose weights are an array
        model.save(path)
        np.testing.assert_array_equal(outputs(load(path), X[:20]), predicted)
        model.partial_fit(X[:5], y[:5])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 48 << 20
    assert path.stat().st_size < 1 << 20 if form != "contributions" else True


def test_bad_input():
    X, y = counts(), targets(FrontClassifier)
    with pytest.raises(TypeError, match="standardize='scale' subtracts nothing, so that X stays sparse"):
        FrontClassifier(form="weights", standardize=True).fit(X, y)
    X.data[0] = 1e200
    for kind in KINDS:
        with pytest.raises(ValueError, match=f"too large to be scaled in column {X.indices[0]}, counted from 0"):
            kind(**settings_of(kind, "contributions"), standardize="scale").fit(X, y)


def test_command_line(tmp_path):
    pytest.importorskip("typer", reason="the command line needs fcfast[cli]")
    from typer.testing import CliRunner

    from fcfast.commands import app

    X, y, data = counts(), targets(FrontClassifier), tmp_path / "data.npz"
    np.savez(data, data=X.data, indices=X.indices, indptr=X.indptr, shape=X.shape, y=y, format=b"csr")

    def run(*arguments: Any) -> Any:
        return CliRunner().invoke(app, [str(argument) for argument in arguments])

    def network(*scaling: Any) -> Any:
        path = tmp_path / "model.safetensors"
        result = run("train", *scaling, data, "--save", path, "--test", 0, "--hidden", 8, "--epochs", 3, "--jobs", 1)
        assert result.exit_code == 0, result.output
        return load(path), " ".join(result.output.split())

    for scaling, standardize in (
        (["--standardize", "scale"], "scale"), (["--standardize=scale"], "scale"), (["--standardize"], True),
        (["--standardize", "yes"], True), (["--standardize", "no"], False), (["--no-standardize"], False), ([], "auto"),
    ):  # fmt: skip
        own, said = network(*scaling)
        assert own.standardize == standardize
        assert ("divided by their deviations" in said) == (standardize == "scale")
        expected = fcfast.FrontClassifier((8,), max_epochs=3, standardize=standardize, random_state=0).fit(X, y)
        np.testing.assert_allclose(outputs(own, X), outputs(expected, X), rtol=1e-5, atol=1e-6)
    predicted = tmp_path / "predicted.csv"
    network("--standardize", "scale")
    result = run("predict", tmp_path / "model.safetensors", data, "--out", predicted)
    assert result.exit_code == 0, result.output
    result = run("train", data, "--save", tmp_path / "m.safetensors", "--standardize=deviation")
    assert result.exit_code == 2
    assert "'deviation' is unknown" in " ".join(result.output.split())
    compared = run(
        "compare", data, "--standardize", "scale", "--rules", "backprop", "--epochs", 1, "--seeds", 1, "--learning-rate", 0.01,
        "--hidden", 8,
    )  # fmt: skip
    assert compared.exit_code == 0, compared.output
    assert run("plan", data, "--standardize", "scale").exit_code == 0
    for arguments in (
        ["train", data, "--standardize", "capped"],
        ["train", "--standardize", "capped", data],
        ["plan", data, "--standardize", "capped"],
    ):
        result = run(*arguments)
        assert result.exit_code == 2
        assert "'capped' is unknown; use yes, no or scale" in " ".join(result.stderr.replace("│", " ").split())


WEIGHTS = {
    "none": lambda rng, n: None,
    "uniform": lambda rng, n: rng.random(n),
    "counts": lambda rng, n: np.append(rng.integers(0, 3, n - 1), 1.0),
    "of all sizes": lambda rng, n: 10.0 ** rng.integers(-8, 9, n),
}


def columns(rng: np.random.Generator, n: int) -> np.ndarray:
    """Make a constant column, one that nearly is, columns with few zeros, none, or many, and one without entries."""
    one = np.arange(n) == n // 2
    made = [
        np.full(n, 2.5), 2.5 + 1e-6 * rng.normal(size=n), rng.random(n), np.where(one, 0, 1.7), np.where(one, 1.7, 0),
        np.where(rng.random(n) < 0.5, 0.3, 0), np.where(rng.random(n) < 0.9, rng.normal(size=n), 0), np.zeros(n),
    ]  # fmt: skip
    return np.column_stack(made) * 10.0 ** rng.integers(-4, 5)


@pytest.mark.parametrize("missing", ["error", "mean"])
@pytest.mark.parametrize("weights", WEIGHTS)
def test_sparse_columns_are_measured_as_dense_ones(weights, missing):
    """Rounding of the weights makes no column out to have zeros: constant ones keep their unit."""
    for seed in range(25):
        rng = np.random.default_rng(seed)
        n = int(rng.integers(2, 200))
        X, w = sparse.csc_array(columns(rng, n)), WEIGHTS[weights](rng, n)
        if missing == "mean":
            X.data[(rng.random(X.nnz) < 0.1) & (X.data != X.data[0])] = np.nan
        dense, stored = (
            Statistics(kind(samples), missing, sample_weight=w).complete()
            for kind, samples in ((ArraySource, X.toarray()), (SparseSource, X))
        )
        assert stored.scale[0] == stored.scale[-1] == 1
        np.testing.assert_allclose(stored.scale, dense.scale, rtol=1e-12)
        np.testing.assert_allclose(stored.mean, dense.mean, rtol=0, atol=1e-14 * np.nanmax(abs(X.data)))
        running = [Moments.of(kind(X), w).scale(False).scale for kind in (SparseSource, lambda X: ArraySource(X.toarray()))]
        np.testing.assert_array_equal(*running)


@pytest.mark.parametrize("standardize", ["scale", "capped", True])
def test_fully_stored_constant_columns_keep_their_unit(standardize):
    """Estimators give the same scales to dense and to sparse samples with weights."""
    rng = np.random.default_rng(19)
    w, X, y = rng.random(40), np.c_[rng.random((40, 2)), np.full(40, 2.5)], np.arange(40) % 2
    settings = settings_of(FrontClassifier, "contributions", standardize=standardize)
    dense, stored = (FrontClassifier(**settings).fit(samples, y, sample_weight=w) for samples in (X, sparse.csr_array(X)))
    assert stored._scaling.inputs.scale[2] == 1
    np.testing.assert_allclose(stored._scaling.inputs.scale, dense._scaling.inputs.scale, rtol=1e-12)
