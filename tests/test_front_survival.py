"""`FrontSurvival`: exact training in every form, what scikit-learn and scikit-survival ask of an estimator, files, errors."""

import pickle
import warnings

import numpy as np
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks
from survival_cases import random_targets, survival, wide_survival

import fcfast
from fcfast import FrontSurvival, Gram, backend, load
from fcfast.explain import explain_output
from fcfast.losses import Cox
from fcfast.scaling import of_raw_data
from fcfast.sources import ArraySource
from fcfast.streams import Stream
from fcfast.survival import Baseline, concordance_index

FORMS = "weights", "windowed", "contributions"
QUICK = {"hidden_layer_sizes": (8,), "max_epochs": 5, "random_state": 0, "dtype": "float64"}


@pytest.fixture(scope="module")
def data():
    return wide_survival()


@pytest.fixture(scope="module")
def fitted(data):
    return FrontSurvival(form="contributions", **QUICK).fit(*data)


# ----------------------------------------------------------------------------------------------------------------------
# exact training


def torch_loss(torch, outputs, y, weights):
    """Efron's partial likelihood from its definition, which PyTorch differentiates."""
    event, time = torch.tensor(y["event"].copy()) & (weights > 0), torch.tensor(y["time"].copy())
    weights = weights / weights[weights > 0].mean() if (weights > 0).any() else weights
    loss = 0 * outputs.sum()
    if not event.any():
        return loss
    for t in torch.unique(time[event]):
        tied = event & (time == t)
        at_risk, of_tied = ((weights * outputs.exp())[chosen].sum() for chosen in (time >= t, tied))
        count = int(tied.sum())
        loss = loss - (weights * outputs)[tied].sum()
        for left in range(count):
            loss = loss + weights[tied].mean() * torch.log(at_risk - left / count * of_tied)
    return loss / weights[event].sum()


def train_torch(torch, modules, parameters, X, y, coefs, biases, sample_weight, schedules):
    """The same training in PyTorch, samples in order: the loss of each epoch, weights and biases."""
    linears, layers = [], []
    for coef, bias in zip(coefs, biases, strict=True):
        linear = torch.nn.Linear(*coef.shape, dtype=torch.float64)
        linear.load_state_dict({"weight": torch.tensor(np.ascontiguousarray(coef.T)), "bias": torch.tensor(bias)})
        linears.append(linear)
        layers += [linear, modules[parameters["activation"]]()]
    network = torch.nn.Sequential(*layers[:-1])
    names = ("momentum", "dampening", "nesterov", "weight_decay")
    optimizer = torch.optim.SGD(network.parameters(), lr=1.0, **{name: parameters[name] for name in names})
    size = parameters["batch_size"]
    per_epoch = -(-len(X) // size)
    total = parameters["max_epochs"] * per_epoch
    rates = parameters["learning_rate"] * schedules[parameters["schedule"]].factors(np.arange(total), total)
    inputs, weights, losses = torch.tensor(X), torch.tensor(sample_weight), []
    for step in range(total):
        batch = slice(step % per_epoch * size, (step % per_epoch + 1) * size)
        loss = torch_loss(torch, network(inputs[batch])[:, 0], y[batch], weights[batch])
        optimizer.zero_grad()
        loss.backward()
        if parameters["max_grad_norm"] is not None:
            torch.nn.utils.clip_grad_norm_(network.parameters(), parameters["max_grad_norm"])
        optimizer.param_groups[0]["lr"] = rates[step]
        optimizer.step()
        losses.append(loss.item())
    sizes = np.minimum(size, len(X) - np.arange(per_epoch) * size)
    epochs = np.average(np.reshape(losses, (-1, per_epoch)), axis=1, weights=sizes)
    return epochs, [linear.weight.detach().numpy().T for linear in linears], [b.bias.detach().numpy() for b in linears]


@pytest.mark.parametrize("form", FORMS)
def test_every_form_equals_pytorch(form, global_random_seed):
    """50 random configurations: depth, activations, batches, ties, weights, momentum, decay, clipping, schedules."""
    torch = pytest.importorskip("torch", reason="the reference of this test is PyTorch")
    from test_front_exact import MODULES, SCHEDULES, distance, random_configuration

    for seed in range(1000 * global_random_seed, 1000 * global_random_seed + (50 if backend.NAME == "compiled" else 8)):
        _, parameters, X, _, coefs, biases = random_configuration(seed)
        rng = np.random.default_rng(seed)
        y = random_targets(rng, len(X), rng.choice([3, 10, 10**6]))
        coefs[-1], biases[-1] = coefs[-1][:, :1], biases[-1][:1]
        parameters["batch_size"] = max(2, parameters["batch_size"])
        parameters["max_epochs"] = max(1, 20 // -(-len(X) // parameters["batch_size"]))
        weights = rng.choice([0.0, 0.5, 1, 2.5], len(X)) if seed % 2 else np.ones(len(X))
        weights[y["event"].argmax()] = 1
        arguments = parameters, X, y, coefs, biases, weights
        losses, expected, offsets = train_torch(torch, MODULES, *arguments, SCHEDULES)
        settings = {"standardize": False, "shuffle": False, "dtype": "float64", "form": form, "window": 1 + 13 * (seed % 4)}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            model = FrontSurvival(**parameters, **settings).fit(
                X, y, weights if seed % 2 else None, coefs_init=coefs, intercepts_init=biases
            )
        message = f"seed {seed}, {parameters}"
        assert model.form_ == form
        assert np.abs(np.subtract(model.loss_curve_, losses)).max() < 1e-9 * (1 + np.abs(losses).max()), message
        assert distance(model.coefs_, expected) < 1e-9, message
        assert distance(model.intercepts_, offsets) < 1e-9, message


def test_a_linear_network_finds_the_coefficients_of_a_linear_model(global_random_seed):
    """Layers of identity units are Cox's linear model: few features, long training, no decay; beside Newton's method."""
    linear_model = pytest.importorskip("sksurv.linear_model", reason="scikit-survival is another implementation")
    rng = np.random.default_rng(global_random_seed)
    X = rng.normal(size=(150, 4))
    time = np.ceil(5 * rng.exponential(np.exp(-X @ [1, -0.5, 0.3, 0])))  # many ties
    y = survival(rng.random(150) < 0.8, time)
    expected = linear_model.CoxPHSurvivalAnalysis(ties="efron", tol=1e-12).fit(X, y)
    settings = {"standardize": False, "weight_decay": 0.0, "learning_rate": 0.05, "dtype": "float64", "random_state": 0}
    model = FrontSurvival((2,), "identity", max_epochs=3000, n_iter_no_change=3000, **settings).fit(X, y)
    np.testing.assert_allclose((model.coefs_[0] @ model.coefs_[1])[:, 0], expected.coef_, rtol=1e-6, atol=1e-7)
    times = model.unique_times_
    survivals = np.stack([f(times) for f in expected.predict_survival_function(X[:5])])
    np.testing.assert_allclose(model.predict_survival_function(X[:5], return_array=True), survivals, rtol=1e-5)


def test_a_linear_network_agrees_with_lifelines(global_random_seed):
    lifelines = pytest.importorskip("lifelines", reason="lifelines is another implementation")
    pandas = pytest.importorskip("pandas")
    rng = np.random.default_rng(global_random_seed)
    X, weights = rng.normal(size=(120, 2)), rng.integers(1, 4, 120).astype(float)
    y = survival(rng.random(120) < 0.7, np.ceil(6 * rng.exponential(np.exp(-X @ [0.8, -0.4]))))
    frame = pandas.DataFrame(X, columns=["a", "b"]).assign(time=y["time"], event=y["event"], w=weights)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of variances for weights
        expected = lifelines.CoxPHFitter().fit(frame, "time", "event", weights_col="w", robust=True)
    settings = {"standardize": False, "weight_decay": 0.0, "learning_rate": 0.05, "dtype": "float64", "random_state": 0}
    model = FrontSurvival((2,), "identity", max_epochs=2000, n_iter_no_change=2000, **settings).fit(X, y, weights)
    np.testing.assert_allclose((model.coefs_[0] @ model.coefs_[1])[:, 0], expected.params_, rtol=1e-4, atol=1e-5)
    new = expected.predict_survival_function(frame.iloc[:3], times=[2.0, 5.0]).to_numpy().T
    ours = np.stack([f([2.0, 5.0]) for f in model.predict_survival_function(X[:3])])
    np.testing.assert_allclose(ours, new, rtol=1e-3)


@pytest.mark.parametrize(
    "settings",
    [
        *({"rule": rule, "hidden_layer_sizes": (6, 4)} for rule in ("local-loss", "dfa", "frozen", "lg-fg-a")),
        {"optimizer": "adam", "form": "weights"},
        *({"optimizer": name} for name in ("muon", "neuron-adam")),
        {"groups": (1, 2), "hidden_layer_sizes": (6, 4)},
        {"batch_size": 16},
        {"schedule": "cosine"},
    ],
)
def test_rules_optimisers_and_batches(data, settings):
    """Whatever trains the other estimators trains this one."""
    X, y = data
    model = FrontSurvival(**({"max_epochs": 60, "random_state": 0} | settings)).fit(X, y)
    assert np.mean(model.loss_curve_[-5:]) < np.mean(model.loss_curve_[:5]) - 0.01


# ----------------------------------------------------------------------------------------------------------------------
# predictions


def test_predictions_follow_from_outputs(data, fitted):
    """Risk scores are the outputs, and the functions of time are those of the baseline."""
    X, y = data
    risk = fitted.predict(X)
    assert risk.dtype == np.float64
    baseline = Baseline.estimate(y["event"], y["time"], risk)
    np.testing.assert_array_equal(fitted.unique_times_, np.unique(y["time"]))
    hazards = fitted.predict_cumulative_hazard_function(X[:4], return_array=True)
    np.testing.assert_allclose(hazards, baseline.cumulative_hazards(risk[:4]), rtol=1e-9)
    survivals = fitted.predict_survival_function(X[:4], return_array=True)
    np.testing.assert_allclose(survivals, np.exp(-hazards), rtol=1e-12)
    assert (np.diff(survivals) <= 0).all()
    functions = fitted.predict_survival_function(X[:4])
    assert functions.shape == (4,)
    np.testing.assert_array_equal([f(fitted.unique_times_) for f in functions], survivals)
    of_zero = fitted.cumulative_baseline_hazard_
    np.testing.assert_allclose(hazards, np.exp(risk[:4])[:, None] * of_zero(fitted.unique_times_), rtol=1e-9)
    np.testing.assert_allclose(fitted.baseline_survival_(of_zero.x), np.exp(-of_zero.y), rtol=1e-12)
    assert fitted.score(X, y) == concordance_index(y, risk)
    weights = np.arange(60.0)
    assert fitted.score(X, y, weights) == concordance_index(y, risk, weights)
    with pytest.raises(ValueError, match="read-only"):
        fitted.unique_times_[0] = 1


def test_the_mean_number_of_events_is_right(data, fitted):
    """Summed over the training samples, the hazards up to the end of each observation are the events (Breslow)."""
    X, y = data
    expected = [f(t) for f, t in zip(fitted.predict_cumulative_hazard_function(X), y["time"], strict=True)]
    assert sum(expected) == pytest.approx(y["event"].sum(), rel=1e-9)


def test_defaults_learn_from_wide_data():
    X, y = wide_survival(160, 2000, seed=1)
    model = FrontSurvival(random_state=0).fit(X[:100], y[:100])
    assert model.score(X[:100], y[:100]) > 0.9
    assert model.score(X[100:], y[100:]) > 0.7
    assert model.settings_["batch_size"] == 100
    assert model.settings_.reasons["batch_size"] == "all samples, with which events are compared"


def test_all_samples_are_one_batch():
    """Also of more samples than the other estimators take into one."""
    X, y = wide_survival(1100, 10)
    model = FrontSurvival((2,), max_epochs=2, random_state=0).fit(X, y)
    assert model.settings_["batch_size"] == model.network_.batch_size == 1100


# ----------------------------------------------------------------------------------------------------------------------
# samples of all kinds


def test_samples_of_all_kinds_give_the_same_network(data):
    """Arrays, sparse matrices, sources, Gram matrices and precomputed products."""
    X, y = data
    X = np.where(np.abs(X) > 1, X, 0)
    settings = QUICK | {"standardize": False, "init": "span", "form": "contributions"}
    expected = FrontSurvival(**settings).fit(X, y)
    risk = expected.predict(X)
    for samples in (sparse.csr_array(X), ArraySource(X), Gram(X, dtype="float64")):
        model = FrontSurvival(**settings).fit(samples, y)
        np.testing.assert_allclose(model.predict(samples), risk, rtol=1e-8, atol=1e-10)
        np.testing.assert_allclose(model.baseline_survival_.y, expected.baseline_survival_.y, rtol=1e-8)
    products = FrontSurvival(kernel="precomputed", **QUICK).fit(X @ X.T, y)
    assert products.predict(X[:3] @ X.T).shape == (3,)
    assert FrontSurvival(kernel="rbf", **QUICK).fit(X, y).predict_survival_function(X[:2], return_array=True).shape == (2, 60)
    with_gaps = np.where(X == 0, np.nan, X)
    assert np.isfinite(FrontSurvival(missing="mean", **QUICK).fit(with_gaps, y).predict(with_gaps)).all()


@pytest.mark.parametrize("form", FORMS)
def test_samples_of_weight_0_do_not_count(data, form):
    X, y = data
    weights = np.where(np.arange(60) % 3 == 0, 0.0, 1.0 + np.arange(60) % 5)
    kept = weights > 0
    settings = QUICK | {"form": form, "standardize": False, "init": "span", "learning_rate": 1e-3, "weight_decay": 0.0}
    model = FrontSurvival(**settings).fit(X, y, weights)
    alone = FrontSurvival(**settings).fit(X[kept], y[kept], weights[kept])
    np.testing.assert_allclose(model.loss_curve_, alone.loss_curve_, rtol=1e-9)
    np.testing.assert_allclose(model.predict(X), alone.predict(X), rtol=1e-7, atol=1e-10)
    np.testing.assert_array_equal(model.unique_times_, alone.unique_times_)
    np.testing.assert_allclose(model.baseline_survival_.y, alone.baseline_survival_.y, rtol=1e-8)


@pytest.mark.bits
def test_the_number_of_threads_changes_no_bit(data):
    X, y = data
    models = [FrontSurvival(max_epochs=8, random_state=0, n_jobs=n_jobs).fit(X, y) for n_jobs in (1, 2)]
    np.testing.assert_array_equal(models[0].predict(X), models[1].predict(X))
    np.testing.assert_array_equal(models[0].baseline_survival_.y, models[1].baseline_survival_.y)


# ----------------------------------------------------------------------------------------------------------------------
# scikit-learn


class OfNumbers(FrontSurvival):
    """Turns the numbers or classes that scikit-learn's checks give into times, every third of them censored."""

    def __init__(self, hidden_layer_sizes=(4,), *, max_epochs=3, random_state=None, dtype="float64", standardize="auto"):
        super().__init__(
            hidden_layer_sizes, max_epochs=max_epochs, random_state=random_state, dtype=dtype, standardize=standardize
        )

    def fit(self, X, y=None, sample_weight=None):
        if y is not None and (numbers := np.asarray(y)).dtype.names is None:
            values = np.unique(numbers.reshape(len(numbers), -1)[:, 0], return_inverse=True)[1].reshape(-1)
            y = survival(np.arange(len(values)) % 3 != 2, values + 1.0)
        return super().fit(X, y, sample_weight)

    def score(self, X, y=None):
        return super().score(X, survival(np.ones(len(y)), np.arange(len(y)) + 1.0))


EXPECTED = {
    # copies of an event are ties, which Efron's method treats in another way than one event of twice the weight
    "check_sample_weight_equivalence_on_dense_data": "tied events",
    "check_sample_weight_equivalence_on_sparse_data": "tied events",
}


@pytest.mark.skipif(backend.NAME == "python", reason="the checks fit dozens of networks; the compiled kernels do")
@parametrize_with_checks([OfNumbers()], expected_failed_checks=lambda _: EXPECTED)
@pytest.mark.filterwarnings("ignore")  # the checks provoke warnings
def test_scikit_learn_checks(estimator, check):
    """Scikit-learn's own checks, for whose targets there are times."""
    check(estimator)


def test_where_an_estimator_must_work(data):
    X, y = data
    pipeline = make_pipeline(StandardScaler(), FrontSurvival((8,), max_epochs=30, random_state=0))
    assert cross_val_score(pipeline, X, y, cv=3).mean() > 0.7
    search = GridSearchCV(pipeline, {"frontsurvival__init_scale": [0.5, 1.0]}, cv=2).fit(X, y)
    copy = pickle.loads(pickle.dumps(search.best_estimator_))
    np.testing.assert_array_equal(copy.predict(X), search.best_estimator_.predict(X))
    np.testing.assert_array_equal(copy[-1].unique_times_, np.unique(y["time"]))
    assert not hasattr(clone(copy[-1]), "network_")


def test_early_stopping_holds_out_events(data):
    """In proportion, and the best network is kept."""
    X, y = data
    few = y.copy()
    few["event"] = np.arange(60) % 6 == 0
    seen = []

    def note(epoch):
        seen.append(epoch.validation_score)

    settings = {"early_stopping": True, "validation_fraction": 0.3, "random_state": 0}
    model = FrontSurvival((8,), max_epochs=15, **settings).fit(X, few, callbacks=[note])
    assert seen == model.validation_scores_
    assert all(0 <= score <= 1 for score in seen)
    assert model.contributions_.shape[0] == 42
    assert len(model.unique_times_) == 42  # the baseline is of the samples that were trained on
    for events, message in (([0], "1 events in all"), ([0, 1], "too few for an event")):
        few["event"] = np.isin(np.arange(60), events)
        few["time"] = 1.0 + few["event"]  # nobody outlives them
        with pytest.raises(ValueError, match=message):
            model.fit(X, few)


def test_validation_on_other_samples(data):
    """Scores and losses are those of the samples beside X, of rows of it, or of groups; any scorer decides."""
    X, y = data
    weights = 1.0 + np.arange(60) % 3
    settings = QUICK | {"max_epochs": 4, "form": "weights"}
    beside = FrontSurvival(**settings).fit(X[:40], y[:40], X_val=X[40:], y_val=y[40:], sample_weight_val=weights[40:])
    rows = FrontSurvival(**settings).fit(X, y, weights, validation_indices=np.arange(40, 60))
    assert beside.validation_scores_[-1] == pytest.approx(beside.score(X[40:], y[40:], weights[40:]))
    loss = Cox().of_batch(beside.predict(X[40:])[:, None], y[40:], weights[40:])[0]
    assert beside.validation_loss_curve_[-1] == pytest.approx(loss)
    assert rows.validation_scores_[-1] == pytest.approx(rows.score(X[40:], y[40:], weights[40:]))
    assert len(rows.unique_times_) == 40
    by_loss = FrontSurvival(scoring="loss", early_stopping=True, validation_fraction=0.3, **settings)
    by_loss.fit(X, y, groups=np.arange(60) // 2)
    assert by_loss.validation_scores_ == [-value for value in by_loss.validation_loss_curve_]
    own = FrontSurvival(scoring=lambda model, X, y: -model.predict(X).std(), **settings)
    assert own.fit(X, y, validation_indices=[1, 5, 7]).best_epoch_ in (1, 2, 3, 4)
    with pytest.raises(ValueError, match="y_val: y has 1 negative time"):
        own.fit(X, y, X_val=X[:1], y_val=changed(y[:1], time=-1.0))
    with pytest.raises(ValueError, match="y_val: y has no events"):
        own.fit(X, y, X_val=X[:3], y_val=changed(y[:3], event=False))
    with pytest.raises(ValueError, match=r"none of the .* samples to train on"):
        own.fit(X, y, validation_indices=y["event"])


def test_warm_start_continues(data):
    X, y = data
    settings = {"momentum": 0.0, "shuffle": False, "learning_rate": 1e-2, "standardize": False} | QUICK
    once = FrontSurvival(**settings | {"max_epochs": 10}).fit(X, y)
    twice = FrontSurvival(warm_start=True, **settings).fit(X, y).fit(X, y)
    np.testing.assert_allclose(twice.predict(X), once.predict(X), rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(twice.baseline_survival_.y, once.baseline_survival_.y, rtol=1e-8)


# ----------------------------------------------------------------------------------------------------------------------
# files and conversions


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


# ----------------------------------------------------------------------------------------------------------------------
# errors


def changed(y, **fields):
    y = y.copy()
    for name, values in fields.items():
        y[name] = values
    return y


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda X, y: (X, None), ValueError, "the target y is None"),
        (lambda X, y: (X, y["time"]), TypeError, "structured array of two fields"),
        (lambda X, y: (X, y[:-1]), ValueError, "inconsistent numbers of samples"),
        (lambda X, y: (X, changed(y, event=False)), ValueError, "y has no events, all 60 samples are censored"),
        (lambda X, y: (X, changed(y, time=-1.0)), ValueError, "60 negative time"),
        (lambda X, y: (X, changed(y, time=np.nan)), ValueError, "NaN or infinite"),
        (lambda X, y: (X, y, np.where(y["event"], 0.0, 1.0)), ValueError, "none of the 26 samples to train on .with a weight"),
        (lambda X, y: (np.where(X > 2, np.nan, X), y), ValueError, "missing='mean'"),
        (lambda X, y: (Stream(lambda: iter([(X, y)])), None), TypeError, "all samples at risk.*got a stream"),
        (lambda X, y: ([(X, y)], None), TypeError, "list of blocks"),
    ],
)
def test_errors(data, make, error, message):
    model = FrontSurvival(**QUICK)
    with pytest.raises(error, match=message):
        model.fit(*make(*data))
    assert not hasattr(model, "network_")


def test_errors_of_predictions(data, fitted):
    X, y = data
    with pytest.raises(ValueError, match="no comparable pairs"):
        fitted.score(X, changed(y, event=False))
    with pytest.raises(TypeError, match="return_array must be True or False"):
        fitted.predict_survival_function(X, return_array="yes")
    with pytest.raises(ValueError, match="x must be within"):
        fitted.predict_survival_function(X[:1])[0](1e9)
    assert not hasattr(fitted, "partial_fit")
    with pytest.raises(ValueError, match="batch_size=1 compares each sample with itself"):
        FrontSurvival(batch_size=1).fit(X, y)
    for name in ("unique_times_", "baseline_survival_", "cumulative_baseline_hazard_"):
        assert not hasattr(FrontSurvival(), name)


def test_single_and_few_samples():
    """There is nothing to compare a single sample with: it is trained to no effect, and predicted."""
    X, y = np.ones((1, 3)), survival([1], [2.0])
    model = FrontSurvival((2,), max_epochs=3, random_state=0).fit(X, y)
    assert model.loss_curve_ == [0.0, 0.0, 0.0]
    assert model.predict_survival_function(X, True) == pytest.approx(np.exp(-1))
    two = FrontSurvival((2,), max_epochs=3, random_state=0).fit(np.eye(2), survival([1, 0], [1.0, 1.0]))
    assert np.isfinite(two.predict(np.eye(2))).all()


def test_predictions_of_streams(data, fitted):
    """A fitted estimator predicts block by block."""
    X, y = data
    stream = Stream(lambda: iter([(X[:25], y[:25]), (X[25:], y[25:])]))
    np.testing.assert_allclose(fitted.predict(stream), fitted.predict(X), rtol=1e-12)
    assert fitted.score(stream) == pytest.approx(fitted.score(X, y))
