"""Losses as objects: their settings, best constants, predictions and scores, and losses of the user's own."""

import pickle

import numpy as np
import pytest
from scipy import optimize
from sklearn.base import clone
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.linear_model import PoissonRegressor
from sklearn.metrics import d2_pinball_score, d2_tweedie_score, r2_score

import fcfast
from fcfast import FrontRegressor
from fcfast.losses import (
    LOSSES,
    CrossEntropy,
    FunctionLoss,
    Huber,
    Logistic,
    Loss,
    Poisson,
    Quantile,
    Separable,
    SquaredError,
    Targets,
    make_loss,
    register,
)
from fcfast.streams import Stream

EXACT = {"dtype": "float64", "random_state": 0, "max_epochs": 5, "hidden_layer_sizes": (4,)}
OF_NUMBERS = [SquaredError(), Logistic(), Logistic(0.2), Poisson(), Huber(0.5), Quantile(0.2), Quantile((0.1, 0.5, 0.8))]


def targets_for(loss, rng, shape):
    """Targets that a loss is defined for."""
    if loss.link == "logit":
        return rng.integers(0, 2, shape).astype(float)
    return rng.poisson(2.0, shape).astype(float) if loss.link == "log" else rng.normal(size=shape) ** 3


@pytest.fixture
def problem():
    """Sixty samples of counts, whose rate follows a factor of 80 features."""
    rng = np.random.default_rng(0)
    factor = rng.normal(size=60)
    return factor[:, None] + rng.normal(size=(60, 80)), rng.poisson(np.exp(1 + factor)).astype(float)


@pytest.mark.parametrize("loss", OF_NUMBERS, ids=repr)
def test_losses_in_numpy_equal_the_kernels(loss, dtype, global_random_seed):
    """Losses and gradients, with weights and gaps, as a class without a kernel gives them."""
    rng = np.random.default_rng(global_random_seed)
    base = type(loss)
    own = type("Own", (base,), {"kernel": None})
    interpreted = own(*vars(loss).values())
    for gaps in (False, True):
        for weights in (None, rng.uniform(0, 2, 9), np.zeros(9)):
            outputs = rng.normal(size=(9, 6)).astype(dtype)
            values = np.repeat(targets_for(loss, rng, (9, 6 // loss.per_target)), loss.per_target, axis=1)
            if gaps:
                values[rng.random((9, 6)) < 0.5] = np.nan
                values[:, 0] = np.nan
            results = []
            for each in (loss, interpreted):
                delta = np.empty_like(outputs)
                value = Targets(each, values.astype(dtype), weights).mean_loss(outputs, np.arange(9), delta)
                results.append((value, delta))
            assert interpreted.kernel is None
            np.testing.assert_allclose(results[0][0], results[1][0], rtol=1e-12 if dtype == np.float64 else 2e-6, atol=1e-14)
            np.testing.assert_allclose(results[0][1], results[1][1], atol=4 * np.finfo(dtype).eps, rtol=8 * np.finfo(dtype).eps)


@pytest.mark.parametrize("gaps", [False, True])
@pytest.mark.parametrize("loss", OF_NUMBERS, ids=repr)
def test_best_constants_minimise_the_loss(loss, gaps, global_random_seed):
    """Of each column by itself, with weights and without."""
    rng = np.random.default_rng(global_random_seed)
    for weights in (None, rng.uniform(0, 2, 40)):
        values = np.repeat(targets_for(loss, rng, (40, 2)), loss.per_target, axis=1)
        if gaps:
            values[np.repeat(rng.random((40, 2)) < 0.4, loss.per_target, axis=1)] = np.nan
        n_outputs = values.shape[1]
        targets = Targets(loss, values, weights)

        def mean_loss(constant, targets=targets, n_outputs=n_outputs):
            outputs = np.tile(constant, (40, 1))
            return targets.mean_loss(outputs, np.arange(40), np.empty_like(outputs))

        best = loss.best_constant(values, weights, n_outputs)
        assert best.shape == (n_outputs,)
        at_best = mean_loss(best)
        for k in range(n_outputs):

            def along(z, k=k, best=best, mean_loss=mean_loss, n_outputs=n_outputs):
                return mean_loss(np.where(np.arange(n_outputs) == k, z, best))

            low, high = (-4, 4) if loss.link != "identity" else (np.nanmin(values), np.nanmax(values))
            found = optimize.minimize_scalar(along, bounds=(low, high), method="bounded", options={"xatol": 1e-9}).fun
            assert at_best <= found + 1e-9


@pytest.mark.parametrize("loss", OF_NUMBERS, ids=repr)
def test_constants_of_columns_at_an_end(loss):
    """No count, no label or all of them, and no target at all: finite outputs that a training can start from."""
    for value in (0.0, 1.0, np.nan):
        values = np.full((20, 2 * loss.per_target), value)
        for weights in (None, np.zeros(20), np.arange(20.0)):
            best = loss.best_constant(values, weights, values.shape[1])
            assert np.isfinite(best).all()
            if np.isnan(value):
                assert not best.any()
    np.testing.assert_allclose(Logistic().best_constant(np.zeros((20, 1)), None, 1), np.log(0.025 / 0.975))
    np.testing.assert_allclose(Poisson().best_constant(np.zeros((20, 1)), None, 1), np.log(0.025))


def test_quantiles_of_equal_weights_are_those_of_the_sorted_targets():
    """Weights of 0 do not count; a level between two targets gives their middle."""
    values = np.array([[4.0], [1.0], [3.0], [2.0], [9.0]])
    weights = np.array([1.0, 1, 1, 1, 0])
    found = [Quantile(level).best_constant(values, weights, 1)[0] for level in (0.1, 0.25, 0.5, 0.6, 0.75, 0.9)]
    assert found == [1, 1.5, 2.5, 3, 3.5, 4]


def test_the_lowest_loss_is_that_of_the_best_outputs():
    """Of smoothed labels it is an entropy, of other losses 0."""
    values = np.array([[0.0, 1.0, 1.0]])
    for loss, outputs in (
        (Logistic(0.3), np.log([[0.15 / 0.85, 0.85 / 0.15, 0.85 / 0.15]])),
        (Poisson(), np.log(values + 1e-300)),
    ):
        found = loss.of_samples(outputs, values)[0]
        np.testing.assert_allclose(found, loss.lowest(3), atol=1e-12)
    assert SquaredError().lowest(3) == Huber().lowest(3) == Quantile().lowest(3) == 0


def test_predictions_have_the_scale_of_targets():
    """Rates, probabilities, and quantiles in rising order; other losses give the outputs themselves."""
    outputs = np.array([[1.0, -2.0, 0.5, 0.0]])
    assert SquaredError().predictions(outputs) is outputs
    np.testing.assert_allclose(Poisson().predictions(outputs), np.exp(outputs))
    np.testing.assert_allclose(Logistic().predictions(outputs), 1 / (1 + np.exp(-outputs)))
    np.testing.assert_allclose(CrossEntropy().predictions(outputs).sum(), 1)
    np.testing.assert_array_equal(Quantile((0.1, 0.9)).predictions(outputs), [[-2, 1, 0, 0.5]])
    far = np.array([[-1e4, 1e4]])
    np.testing.assert_array_equal(Logistic().predictions(far), [[0, 1]])


def test_scores_equal_those_of_scikit_learn(global_random_seed):
    """R², D² of counts and of quantiles; with gaps, the mean over the columns of what is known."""
    rng = np.random.default_rng(global_random_seed)
    y, weights = rng.poisson(3.0, (30, 2)).astype(float), rng.uniform(0.1, 2, 30)
    predicted = rng.uniform(0.5, 6, (30, 2))
    known = np.where(rng.random((30, 2)) < 0.3, np.nan, y)
    there = [~np.isnan(column) for column in known.T]
    for w in (None, weights):
        of = [None if w is None else w[mask] for mask in there]
        assert SquaredError().score(y, predicted, w) == r2_score(y, predicted, sample_weight=w)
        expected = [r2_score(known[m, k], predicted[m, k], sample_weight=of[k]) for k, m in enumerate(there)]
        np.testing.assert_allclose(Huber().score(known, predicted, w), np.mean(expected))
        expected = [d2_tweedie_score(known[m, k], predicted[m, k], power=1, sample_weight=of[k]) for k, m in enumerate(there)]
        np.testing.assert_allclose(Poisson().score(known, predicted, w), np.mean(expected))
        levels = (0.2, 0.7)
        quantiles = rng.normal(3, 1, (30, 2, 2))
        expected = [
            d2_pinball_score(known[m, k], quantiles[m, k, q], alpha=level, sample_weight=of[k])
            for k, m in enumerate(there)
            for q, level in enumerate(levels)
        ]
        for shape in ((30, 2, 2), (30, 4)):
            np.testing.assert_allclose(Quantile(levels).score(known, quantiles.reshape(shape), w), np.mean(expected))
    assert Poisson().score(np.ones(5), np.ones(5)) == 1.0
    assert Poisson().score(np.zeros(5), np.ones(5)) == 0.0
    with pytest.warns(UndefinedMetricWarning, match="a score needs 2 samples"):
        assert np.isnan(SquaredError().score(np.array([[np.nan, 1.0], [np.nan, np.nan]]), np.zeros((2, 2))))


def test_losses_by_value():
    """Settings belong to a loss, which says what is wrong with them; equal ones are equal."""
    assert Huber(np.float32(0.5)) == Huber(0.5) != Huber()
    assert Quantile([0.1, np.float64(0.9)]) == Quantile((0.1, 0.9)) != Quantile(0.1)
    assert hash(Quantile([0.1, 0.9])) == hash(Quantile((0.1, 0.9)))
    assert SquaredError() == make_loss("squared_error") == make_loss("half_squared_error") != Poisson()
    assert {name: LOSSES[name] for name in ("poisson", "huber", "quantile", "log_loss")} == {
        "poisson": Poisson(), "huber": Huber(0.2), "quantile": Quantile(0.5), "log_loss": Logistic(0.0)
    }  # fmt: skip
    for wrong, message in (
        (0.0, "levels must be"),
        (1, "levels must be above 0 and below 1"),
        ((), "must rise"),
        ((0.5, 0.5), "must rise"),
    ):
        with pytest.raises(ValueError, match=message):
            Quantile(wrong)
    for wrong in ("0.5", True, ["0.5"]):
        with pytest.raises(TypeError, match="levels must be a number"):
            Quantile(wrong)
    for wrong in (0, -1, np.inf):
        with pytest.raises(ValueError, match="delta must be"):
            Huber(wrong)
    with pytest.raises(ValueError, match=r"label_smoothing must be in \[0, 1\)"):
        Logistic(1)
    with pytest.raises(TypeError, match="gradient must be a function"):
        FunctionLoss(np.add, None)


# ----------------------------------------------------------------------------------------------------------------------
# estimators


def test_counts(problem):
    """Rates for counts, and the score of scikit-learn's PoissonRegressor."""
    X, y = problem
    model = FrontRegressor(loss="poisson", random_state=0, dtype="float64").fit(X[:40], y[:40])
    rates = model.predict(X[40:])
    assert (rates > 0).all()
    assert model.settings_["standardize_targets"] is False
    assert "needs targets as they are" in model.settings_.reasons["standardize_targets"]
    np.testing.assert_allclose(model.score(X[40:], y[40:]), d2_tweedie_score(y[40:], rates, power=1))
    assert model.score(X[40:], y[40:]) > 0.3
    assert PoissonRegressor().fit(X[:40], y[:40]).score(X[40:], y[40:]) < 1
    with pytest.raises(ValueError, match="y has values down to -1, but loss 'poisson' is for counts and rates"):
        FrontRegressor(loss="poisson").fit(X, y - 1)
    with pytest.raises(TypeError, match="y must hold real numbers"):
        FrontRegressor(loss="poisson").fit(X, y.astype(str))
    for scales in (True, "running"):
        with pytest.raises(ValueError, match=r"loss='poisson' needs them as they are"):
            FrontRegressor(loss="poisson", standardize_targets=scales).fit(X, y)


def test_rates_of_pytorch(problem):
    """The converted network gives their logarithms."""
    torch = pytest.importorskip("torch")
    X, y = problem
    model = FrontRegressor(loss="poisson", random_state=0, dtype="float64").fit(X[:40], y[:40])
    outputs = model.to_torch()(torch.tensor(X[40:])).detach().numpy()
    np.testing.assert_allclose(np.log(model.predict(X[40:])), outputs[:, 0], rtol=1e-6)


def test_rates_that_overflow_are_refused(problem):
    """Infinity does not travel: the samples are too far from those of the training."""
    X, y = problem
    model = FrontRegressor(loss="poisson", random_state=0).fit(X, y)
    with pytest.raises(
        ValueError, match=r"X gives outputs from .* of which loss='poisson' makes predictions that are not finite"
    ):
        model.predict(1e5 * X)


@pytest.mark.parametrize("shape", [(60,), (60, 1), (60, 3)])
def test_shapes_of_quantiles(problem, shape):
    """A last axis for levels in a sequence; none for a single level."""
    X, y = problem
    y = np.resize(y, shape)
    for levels, axis in ((0.3, ()), ((0.3,), (1,)), ((0.2, 0.5, 0.9), (3,))):
        model = FrontRegressor(loss=Quantile(levels), **EXACT).fit(X, y)
        predicted = model.predict(X[:7])
        assert predicted.shape == (7, *shape[1:], *axis)
        assert (np.diff(predicted, axis=-1) >= 0).all() or axis in ((), (1,))
        assert np.isfinite(model.score(X, y))
        for copy in (pickle.loads(pickle.dumps(model)), clone(model).fit(X, y)):
            np.testing.assert_array_equal(copy.predict(X[:7]), predicted)


def test_quantiles_cover_their_share_of_the_targets():
    """Of many samples, about as many as the levels say are below."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(3000, 5))
    y = X[:, 0] + rng.standard_t(4, 3000) * (1 + 0.5 * np.abs(X[:, 1]))
    model = FrontRegressor(loss=Quantile((0.1, 0.5, 0.9)), random_state=0).fit(X[:2000], y[:2000])
    below = (y[2000:, None] <= model.predict(X[2000:])).mean(axis=0)
    np.testing.assert_allclose(below, [0.1, 0.5, 0.9], atol=0.05)
    assert model.score(X[2000:], y[2000:]) > 0.1


def test_huber_is_less_moved_by_outliers():
    """A few targets that are far off; the loss of squares follows them."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 30))
    clean = X[:, :5].sum(axis=1)
    y = clean + 0.1 * rng.normal(size=200)
    y[:10] += 100
    errors = [
        np.abs(FrontRegressor(loss=loss, random_state=0).fit(X, y).predict(X[10:]) - clean[10:]).mean()
        for loss in ("squared_error", Huber(0.2))
    ]
    assert errors[1] < errors[0] / 4


def test_robust_scales():
    """The median and the quartiles, of what is there, with weights; the deviation where quartiles are the same."""
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(40, 30)), rng.normal(size=(40, 4)) * [1, 10, 0, 1] + [0, 5, 7, 0]
    y[:4, 0] += 1e6
    y[3:, 3] = 0
    y[:3, 1] = np.nan
    model = FrontRegressor(loss="huber", **EXACT).fit(X, y)
    assert model.settings_["standardize_targets"] == "robust"
    scale = model._scaling.targets
    np.testing.assert_allclose(scale.mean, np.nanmedian(y, axis=0))
    low, high = (np.nanquantile(y[:, :2], level, axis=0, method="averaged_inverted_cdf") for level in (0.25, 0.75))
    np.testing.assert_allclose(scale.scale[:2], (high - low) / 1.3489795)
    np.testing.assert_allclose(scale.scale[2:], [1, y[:, 3].std()])
    y[:4, 0] -= 1e6
    doubled = FrontRegressor(standardize_targets="robust", **EXACT).fit(X, y, 1.0 + (np.arange(40) < 20))
    twice = FrontRegressor(standardize_targets="robust", **EXACT).fit(np.vstack([X, X[:20]]), np.vstack([y, y[:20]]))
    np.testing.assert_allclose(doubled._scaling.targets.scale, twice._scaling.targets.scale)
    settings = EXACT | {"init": "scaled", "form": "windowed", "shuffle": False, "standardize_targets": "robust"}
    for loss in ("huber", "squared_error"):
        whole = FrontRegressor(loss=loss, **settings).fit(X, y)
        streamed = FrontRegressor(loss=loss, **settings).fit(
            Stream(lambda: ((X[i : i + 15], y[i : i + 15]) for i in (0, 15, 30)))
        )
        np.testing.assert_allclose(streamed.predict(X), whole.predict(X), rtol=1e-7)
    assert FrontRegressor(loss="huber", **EXACT).partial_fit(X, y).settings_["standardize_targets"] == "running"


def test_the_loss_cannot_change_between_portions(problem):
    """It is that of the network; `fit` takes another one, and a file of a changed one is refused."""
    X, y = problem
    model = FrontRegressor(loss=Huber(2.0), **EXACT).partial_fit(X, y)
    model.set_params(loss=Huber(2.0)).partial_fit(X, y)
    pickle.loads(pickle.dumps(model)).partial_fit(X, y)
    with pytest.raises(ValueError, match=r"continues with loss=Huber\(delta=2.0\), but it is Poisson"):
        model.set_params(loss=Poisson()).partial_fit(X, y)
    with pytest.raises(ValueError, match=r"the loss is Poisson\(\) now, but was Huber\(delta=2.0\) in fit"):
        model.save("never")
    assert model.set_params(loss="poisson").fit(X, y).network_.loss == Poisson()
    plain = FrontRegressor(**EXACT).partial_fit(X, y)
    pickle.loads(pickle.dumps(plain)).partial_fit(X, y)


@pytest.mark.parametrize("loss", ["poisson", "huber", Huber(0.5), "quantile", Quantile((0.1, 0.9)), "log_loss"], ids=repr)
@pytest.mark.parametrize("weights", [True, False])
def test_model_files(problem, loss, weights, tmp_path):
    """Predictions, the score and further training are those of the estimator that was saved."""
    X, y = problem
    y = (y > 3).astype(float) if loss == "log_loss" else y
    model = FrontRegressor(loss=loss, form="contributions", **EXACT).fit(X, y)
    model.save(tmp_path / "m.safetensors", weights=weights, inputs=not weights)
    loaded = fcfast.load(tmp_path / "m.safetensors")
    assert loaded.network_.loss == make_loss(loss)
    np.testing.assert_array_equal(loaded.predict(X), model.predict(X))
    assert loaded.score(X, y) == model.score(X, y)
    again = [each.set_params(warm_start=True).fit(X, y).predict(X) for each in (loaded, model)]
    np.testing.assert_allclose(*again, rtol=1e-9)


# ----------------------------------------------------------------------------------------------------------------------
# losses of the user's own


def log_cosh(outputs, targets):
    return np.log(np.cosh(outputs - targets))


def of_log_cosh(outputs, targets):
    return np.tanh(outputs - targets)


def cosine(outputs, targets):
    return 1 - (outputs * targets).sum(axis=1) / np.linalg.norm(outputs, axis=1) / np.linalg.norm(targets, axis=1)


def of_cosine(outputs, targets):
    length, other = (np.linalg.norm(part, axis=1, keepdims=True) for part in (outputs, targets))
    product = (outputs * targets).sum(axis=1, keepdims=True)
    return -targets / length / other + product * outputs / length**3 / other


def test_two_functions(problem, tmp_path):
    """They train, clone and pickle; a model file says that it holds no functions, before anything is written."""
    X, y = problem
    loss = FunctionLoss(log_cosh, of_log_cosh)
    model = FrontRegressor(loss=loss, random_state=0).fit(X, y)
    assert model.score(X, y) > 0.9
    assert clone(model).loss is not None
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(model)).predict(X), model.predict(X))
    np.testing.assert_array_equal(clone(model).fit(X, y).predict(X), model.predict(X))
    with pytest.raises(TypeError, match="a file holds no functions; write them as a subclass"):
        model.save(tmp_path / "m.safetensors")
    assert not (tmp_path / "m.safetensors").exists()
    with pytest.raises((AttributeError, pickle.PicklingError)):
        pickle.dumps(FrontRegressor(loss=FunctionLoss(lambda z, t: z, of_log_cosh)))


def test_functions_of_samples_and_of_outputs(problem):
    """Losses of samples compare outputs with one another; only losses of outputs can leave out missing targets."""
    X, y = problem
    Y = np.stack([y + 1, X[:, 0], X[:, 1]], axis=1)
    direction = FrontRegressor(loss=FunctionLoss(cosine, of_cosine), random_state=0).fit(X, Y)
    assert cosine(direction.predict(X), Y).mean() < 0.1
    Y[::3, 1] = np.nan
    with pytest.raises(
        ValueError, match=r"value gave losses of samples, shape \(60,\); give one for each output, shape \(60, 3\)"
    ):
        FrontRegressor(loss=FunctionLoss(cosine, of_cosine), random_state=0).fit(X, Y)
    masked = FrontRegressor(loss=FunctionLoss(log_cosh, of_log_cosh), random_state=0).fit(X, Y)
    assert masked.score(X, Y) > 0.8


def test_a_link_of_the_users_own(problem):
    """Counts by two functions and numpy.exp are those of the library's loss."""
    X, y = problem
    own = FunctionLoss(lambda z, t: np.exp(z) - t * z, lambda z, t: np.exp(z) - t, np.exp)
    models = [
        FrontRegressor(loss=loss, init="glorot", learning_rate=1e-3, weight_decay=0.0, **EXACT).fit(X, y)
        for loss in (own, "poisson")
    ]
    np.testing.assert_allclose(models[0].predict(X), models[1].predict(X), rtol=1e-9)
    with pytest.raises(ValueError, match="needs them as they are"):
        FrontRegressor(loss=own, standardize_targets=True).fit(X, y)
    with pytest.raises(ValueError, match=r"inverse_link gave predictions of shape \(\)"):
        FrontRegressor(loss=FunctionLoss(log_cosh, of_log_cosh, np.sum), **EXACT).fit(X, y).predict(X)


class Halves(Separable):
    """Half of the absolute error."""

    name = "halves"

    def of_outputs(self, outputs, targets):
        return np.abs(outputs - targets) / 2, np.sign(outputs - targets) / 2


class Whole(SquaredError):
    """Says something of samples alone."""

    name = "whole"

    def of_samples(self, outputs, targets):
        return ((outputs - targets) ** 2).sum(axis=1), 2 * (outputs - targets)


class Narrow(Separable):
    """Its slopes have another shape than the outputs."""

    name = "narrow"

    def of_outputs(self, outputs, targets):
        return np.abs(outputs - targets), np.sign(outputs[:, :1] - targets[:, :1])


def test_subclasses(problem, tmp_path):
    """A sum over outputs leaves out missing targets, and is saved by its name; one of samples refuses gaps."""
    X, y = problem
    Y = np.stack([y, X[:, 0]], axis=1)
    gaps = np.where(np.random.default_rng(0).random(Y.shape) < 0.3, np.nan, Y)
    register(Halves)
    settings = EXACT | {"standardize_targets": False, "init": "glorot", "learning_rate": 1e-3, "weight_decay": 0.0}
    own, median = (FrontRegressor(loss=loss, **settings) for loss in ("halves", "quantile"))
    np.testing.assert_allclose(own.fit(X, gaps).predict(X), median.fit(X, gaps).predict(X), rtol=1e-9)
    own.save(tmp_path / "m.safetensors")
    np.testing.assert_array_equal(fcfast.load(tmp_path / "m.safetensors").predict(X), own.predict(X))
    assert Whole().may_lack_targets is False
    doubled = FrontRegressor(loss=Whole(), **settings).fit(X, Y)
    plain = FrontRegressor(**settings | {"learning_rate": 2e-3}).fit(X, Y)
    np.testing.assert_allclose(doubled.predict(X), plain.predict(X), rtol=1e-9)
    with pytest.raises(ValueError, match=r"y lacks \d+ values \(NaN\), which loss='whole' cannot leave out"):
        FrontRegressor(loss=Whole(), **EXACT).fit(X, gaps)
    with pytest.raises(ValueError, match=r"loss Narrow gave losses of shape \(60, 2\) and slopes of shape \(60, 1\)"):
        FrontRegressor(loss=Narrow(), **EXACT).fit(X, gaps)
    with pytest.raises(NotImplementedError):
        Loss().of_samples(Y, Y)
