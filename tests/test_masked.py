"""Masked arrays are refused wherever they come in: a mask that is lost would turn unknown values into numbers."""

import numpy as np
import pytest

from fcfast import FrontClassifier, FrontRegressor, FrontSurvival, Gram, NoPropClassifier
from fcfast.sources import as_source
from fcfast.streams import Stream
from fcfast.survival import survival_targets
from fcfast.validation import real_array, unmasked

RNG = np.random.default_rng(0)
X, SOME = RNG.normal(size=(40, 30)), np.arange(40) < 3
Y, LABELS = X[:, 0], np.arange(40) % 2
SURVIVAL = np.array(list(zip(LABELS == 1, np.abs(Y), strict=True)), dtype=[("event", bool), ("time", float)])
SETTINGS = {"max_epochs": 1, "random_state": 0}


def masked(values):
    """Mask some samples."""
    return np.ma.masked_array(values, np.broadcast_to(SOME[: len(values)].reshape(-1, *[1] * (values.ndim - 1)), values.shape))


def fitted(kind=FrontRegressor):
    return kind(**SETTINGS).fit(X, LABELS if kind is FrontClassifier else Y)


USES = {
    "X": [
        lambda: FrontRegressor(**SETTINGS).fit(masked(X), Y),
        lambda: FrontClassifier(**SETTINGS).partial_fit(masked(X), LABELS, classes=[0, 1]),
        lambda: NoPropClassifier(n_blocks=2, hidden=(4, 4), **SETTINGS).fit(masked(X), LABELS),
        lambda: fitted().predict(masked(X)),
        lambda: fitted(FrontClassifier).predict_proba(masked(X)),
        lambda: fitted().attribute(masked(X)),
        lambda: fitted().score(masked(X), Y),
        lambda: Gram(masked(X)),
        lambda: Gram(masked(X), kernel=lambda a, b: a @ b.T),
        lambda: Gram(X).cross(masked(X)),
        lambda: as_source(masked(X)),
        lambda: FrontClassifier(**SETTINGS).fit(Stream([(masked(X), LABELS)])),
    ],
    "y": [
        lambda: FrontRegressor(**SETTINGS).fit(X, masked(Y)),
        lambda: FrontRegressor(**SETTINGS).fit(X, masked(X[:, :2])),
        lambda: FrontClassifier(**SETTINGS).fit(X, masked(LABELS)),
        lambda: FrontClassifier(**SETTINGS).fit(Gram(X), masked(LABELS)),
        lambda: FrontClassifier(**SETTINGS).fit(X, masked(np.stack([LABELS, 1 - LABELS], axis=1))),
        lambda: NoPropClassifier(n_blocks=2, hidden=(4, 4), **SETTINGS).fit(X, masked(LABELS)),
        lambda: FrontSurvival(**SETTINGS).fit(X, np.ma.masked_array(SURVIVAL, np.where(SOME, True, False))),
        lambda: survival_targets(np.ma.masked_array(SURVIVAL, SOME)),
        lambda: fitted().score(X, masked(Y)),
        lambda: FrontRegressor(**SETTINGS).fit(Stream([(X, masked(Y))])),
    ],
    "sample_weight": [
        lambda: FrontRegressor(**SETTINGS).fit(X, Y, sample_weight=masked(np.ones(40))),
        lambda: fitted().score(X, Y, sample_weight=masked(np.ones(40))),
        lambda: FrontRegressor(**SETTINGS).fit(Stream([(X, Y, masked(np.ones(40)))])),
    ],
    "X_val": [lambda: FrontRegressor(**SETTINGS).fit(X, Y, X_val=masked(X), y_val=Y)],
    "y_val": [lambda: FrontRegressor(**SETTINGS).fit(X, Y, X_val=X, y_val=masked(Y))],
    "sample_weight_val": [
        lambda: FrontRegressor(**SETTINGS).fit(X, Y, X_val=X, y_val=Y, sample_weight_val=masked(np.ones(40)))
    ],
    "validation_indices": [lambda: FrontRegressor(**SETTINGS).fit(X, Y, validation_indices=masked(np.arange(5)))],
    "groups": [lambda: FrontRegressor(early_stopping=True, **SETTINGS).fit(X, Y, groups=masked(LABELS))],
    "numbers": [lambda: real_array(masked(Y), "numbers")],
}


@pytest.mark.parametrize("name", USES)
def test_masked_values_are_refused(name):
    """With one sentence that names the argument."""
    for use in USES[name]:
        with pytest.raises(
            ValueError, match=rf"\b{name} has masked values; fill them in \({name}\.filled\(\.\.\.\)\), or leave"
        ):
            use()


def test_nothing_masked():
    """An array whose mask hides nothing is its data."""
    expected = FrontRegressor(**SETTINGS).fit(X, Y, sample_weight=np.ones(40)).predict(X)
    for mask in (np.ma.nomask, False):
        held = FrontRegressor(**SETTINGS).fit(
            np.ma.masked_array(X, mask), np.ma.masked_array(Y, mask), sample_weight=np.ma.masked_array(np.ones(40), mask)
        )
        np.testing.assert_array_equal(held.predict(np.ma.masked_array(X, mask)), expected)
        assert not isinstance(held.predict(np.ma.masked_array(X, mask)), np.ma.MaskedArray)
        assert type(unmasked(np.ma.masked_array(X, mask), "X")) is np.ndarray


@pytest.mark.parametrize("kind", [FrontClassifier, FrontRegressor, FrontSurvival, NoPropClassifier])
def test_no_targets(kind):
    """The same sentence for whatever holds X."""
    for samples in (X, Gram(X), as_source(X)):
        with pytest.raises(
            ValueError, match=f"This {kind.__name__} estimator requires y to be passed, but the target y is None"
        ):
            kind().fit(samples, None)
