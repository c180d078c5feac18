"""Weight decay of losses whose targets are noisy: it follows the noise, and the number of samples."""

import numpy as np
import pytest
from scipy import sparse

from fcfast import FrontClassifier, FrontRegressor, Gram
from fcfast.estimators.automatic import LABELS, NOISY
from fcfast.estimators.targets import noise_of
from fcfast.gram.measures import directions
from fcfast.losses import Huber, Logistic, Poisson, Quantile, SquaredError
from fcfast.sources import ArraySource
from fcfast.streams import Stream

SETTINGS = {"random_state": 0, "n_jobs": 1}


def test_noise_of_targets():
    """Counts: between Poisson's deviation and theirs; labels: by frequency; a bound of derivatives; weights and gaps."""
    rng = np.random.default_rng(0)
    counts, weights = rng.poisson(3, (30, 2)) * rng.integers(0, 5, (30, 2)).astype(float), rng.integers(0, 3, 30)
    repeated = np.repeat(counts, weights, axis=0)
    wanted = np.mean([(column.mean() * column.var()) ** 0.25 for column in repeated.T])
    assert noise_of(Poisson(), counts, weights.astype(float)) == pytest.approx(wanted)
    assert noise_of(Poisson(), repeated, None) == pytest.approx(wanted)
    gaps = np.vstack([repeated, np.full((4, 2), np.nan)])
    assert noise_of(Poisson(), gaps, None) == pytest.approx(wanted)
    labels = np.array([[1.0, 0.0], [0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    assert noise_of(Logistic(), labels, None) == pytest.approx((1 + 2 * np.sqrt(3 / 16)) / 2)
    others = {
        Huber(): 0.2,
        Huber(delta=0.5): 0.5,
        Huber(delta=3.0): 1,
        Quantile((0.1, 0.9)): 0.6,
        Quantile(0.5): 1,
        SquaredError(): 1,
    }
    for loss, size in others.items():
        assert noise_of(loss, counts, None) == pytest.approx(size)

    class Odd(Huber):
        def noise(self, means, variances):
            return -1.0

    with pytest.raises(ValueError, match=r"noise of the loss 'huber' must be in \[0, inf\), got -1"):
        noise_of(Odd(), counts, None)


def test_a_label_that_all_samples_have():
    """Rounding leaves its frequency a little above 1, with gaps or weights."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, (60, 3)).astype(float)
    labels[:, 0] = 1
    labels[3:9, 1] = np.nan
    for seed in range(20):
        weights = np.random.default_rng(seed).random(60)
        assert 0 < noise_of(Logistic(), labels, weights) < 1
    model = FrontClassifier(max_epochs=2, **SETTINGS).fit(rng.normal(size=(60, 300)), labels)
    assert "for noise of size" in model.settings_.reasons["weight_decay"]


def test_outer_quantiles_are_learned():
    """Few targets pull hard at them, so that the decay of the median would leave a constant."""
    rng = np.random.default_rng(0)
    factors = rng.normal(size=(400, 5))
    X = factors @ rng.normal(size=(5, 1000)) + rng.normal(size=(400, 1000))
    y = factors[:, 0] + factors[:, 1] + 0.5 * rng.normal(size=400)
    model = FrontRegressor(loss=Quantile((0.025, 0.975)), **SETTINGS).fit(X[:200], y[:200])
    assert model.score(X[200:], y[200:]) > 0.3
    assert "noise of size 0.31" in model.settings_.reasons["weight_decay"]


@pytest.mark.parametrize("n_samples", [40, 160])
@pytest.mark.parametrize("loss", ["poisson", "quantile", "log_loss"])
def test_decay_follows_the_noise(n_samples, loss):
    """A step shrinks weights by the step times lambda / N, also if the samples are a stream."""
    rng = np.random.default_rng(1)
    X = rng.normal(size=(n_samples, 200))
    y = rng.poisson(0.4, n_samples).clip(0, 1).astype(float) if loss == "log_loss" else 4.0 * rng.poisson(2, n_samples)
    model = FrontRegressor(loss=loss, max_epochs=1, **SETTINGS).fit(X, y)
    streamed = FrontRegressor(loss=loss, max_epochs=1, batch_size=n_samples, form="windowed", init="scaled", **SETTINGS)
    streamed.fit(Stream(lambda: ((X[i : i + 15], y[i : i + 15]) for i in range(0, n_samples, 15))))
    noise = {"poisson": (y.mean() * y.var()) ** 0.25, "quantile": 1, "log_loss": 2 * y.std()}[loss]
    constants = LABELS if loss == "log_loss" else NOISY
    wanted = constants.step * constants.decay * noise * (1 if loss == "log_loss" else np.sqrt(n_samples / 100)) / n_samples
    for fitted in (model, streamed):
        decays, rates = (np.array(fitted.settings_[name])[:, 0] for name in ("weight_decay", "learning_rate"))
        factor = max(1.0, y.mean()) if loss == "poisson" else 1  # the rates are divided by it, and the decay is not
        np.testing.assert_allclose(decays * rates * factor, wanted, rtol=1e-6)


def spectra(n_samples, rng):
    """A large shape and a small one, of which the target is the size."""
    sizes, channels = rng.normal(size=(n_samples, 2)), np.linspace(0, 1, 60)
    return 3 + sizes @ [np.ones(60), 0.1 * np.sin(4 * channels)], sizes[:, 1]


def lambda_of(model, n_samples):
    """Give the number that the decays of all layers follow."""
    (decay, _), (rate, _) = (model.settings_[name][0] for name in ("weight_decay", "learning_rate"))
    return decay * rate * n_samples / NOISY.step


def test_directions_of_samples():
    """Their number where they are independent and alike; by the definition from all features; never of two or three samples."""
    rng = np.random.default_rng(4)
    X = rng.normal(size=(2000, 30)) @ rng.normal(size=(30, 40)) + 5
    moments = np.cov(X.T)
    wanted = np.trace(moments) ** 2 / np.square(moments).sum()
    assert directions(X @ X.T) == pytest.approx(wanted, rel=0.01)
    assert directions(np.eye(3)) == directions(np.zeros((9, 9))) == directions(np.full((9, 9), 0.3)) == np.inf
    assert directions(((X + 1e4) @ (X + 1e4).T).astype(np.float32)) == np.inf  # rounding is all that is left


def test_few_directions_need_less_decay():
    """In whatever way samples are held; samples of weight 0 do not count, and many features are not looked at."""
    rng = np.random.default_rng(3)
    X, y = spectra(40, rng)
    settings = {**SETTINGS, "loss": "quantile", "max_epochs": 1}
    plain = FrontRegressor(**settings).fit(X, y)
    Z = (X - X.mean(axis=0)) / X.std(axis=0)
    whole = NOISY.decay_of(40, False, 1.0, np.inf)
    assert lambda_of(plain, 40) == pytest.approx(whole * directions(Z @ Z.T) / NOISY.directions, rel=0.01)
    assert lambda_of(plain, 40) < 0.15 * whole
    for held in (ArraySource(X), sparse.csr_array(X), Gram(X, standardize=True)):
        as_is = {"standardize": False} if isinstance(held, Gram) else {"standardize": True}
        assert lambda_of(FrontRegressor(**settings, **as_is).fit(held, y), 40) == pytest.approx(lambda_of(plain, 40), rel=1e-9)
    others = np.concatenate([X, rng.normal(size=(40, 60))])
    weighted = FrontRegressor(**settings).fit(others, np.concatenate([y, y]), np.repeat([1.0, 0.0], 40))
    assert lambda_of(weighted, 40) < 0.15 * whole
    wide = FrontRegressor(**settings).fit(np.repeat(X, 100, axis=1), y)
    assert lambda_of(wide, 40) == pytest.approx(whole)


def test_little_noise_in_few_directions_is_no_hindrance():
    """What is asked for lies in directions in which the samples hardly vary."""
    X, y = spectra(200, np.random.default_rng(5))
    for loss, least in (("huber", 0.98), ("quantile", 0.8)):
        assert FrontRegressor(loss=loss, **SETTINGS).fit(X[:140], y[:140]).score(X[140:], y[140:]) > least, loss


def test_noise_is_not_learned():
    """Where features say nothing, predictions of new samples are hardly worse than a constant."""
    rng = np.random.default_rng(2)
    X = rng.normal(size=(250, 1500)).astype(np.float32)
    counts, numbers = rng.poisson(rng.gamma(1, 2, 250)), rng.standard_t(3, 250)
    labels = (rng.random((250, 3)) < [0.5, 0.3, 0.1]).astype(int)
    for loss, y in (("poisson", counts), ("huber", numbers), ("quantile", numbers)):
        model = FrontRegressor(loss=loss, **SETTINGS).fit(X[:120], y[:120])
        same = np.quantile(y[:120], 0.5) if loss == "quantile" else y[:120].mean()
        of_constant = model._loss.score(y[120:].astype(float), np.full(130, same))
        assert model.score(X[120:], y[120:]) > of_constant - 0.15, loss
    probabilities = FrontClassifier(**SETTINGS).fit(X[:120], labels[:120]).predict_proba(X[120:])
    losses = [-np.where(labels[120:] == 1, np.log(p), np.log(1 - p)).mean() for p in (probabilities, labels[:120].mean(axis=0))]
    assert losses[0] < losses[1] + 0.05
