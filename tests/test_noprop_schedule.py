"""Noise schedules of NoProp: the identities of the chain, and invalid schedules."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fcfast.noprop import CosineNoise, LinearNoise, Steps
from fcfast.noprop.schedule import embedded, is_continuous, sampled, steps_of

# Rising values in (0, 1), far enough from each other and from the ends that rounding stays below the tolerance.
RISING = st.lists(st.integers(1, 999), min_size=2, max_size=12, unique=True).map(lambda values: np.sort(values) / 1000)


@given(RISING)
def test_identities(alpha_bar):
    """A step keeps the marginals of the states, and its noise is what weighs the squared error in the bound."""
    steps = Steps(alpha_bar)
    before, after = alpha_bar[:-1], alpha_bar[1:]
    np.testing.assert_allclose(steps.a + steps.b * np.sqrt(before), np.sqrt(after), rtol=1e-12)
    np.testing.assert_allclose(steps.b**2 * (1 - before) + steps.c, 1 - after, rtol=1e-12)
    np.testing.assert_allclose(steps.a**2 / (2 * steps.c), np.diff(steps.snr) / 2, rtol=1e-12)
    np.testing.assert_allclose(steps.snr, alpha_bar / (1 - alpha_bar), rtol=1e-15)
    assert len(steps) == len(alpha_bar) - 1 == len(steps.a) == len(steps.b) == len(steps.c)


@given(RISING)
def test_two_steps_are_one(alpha_bar):
    """The chain is Markov: its steps one after the other are the step from the first state to the last."""
    steps, whole = Steps(alpha_bar), Steps(alpha_bar[[0, -1]])
    from_label, from_start, variance = 0.0, 1.0, 0.0
    for a, b, c in zip(steps.a, steps.b, steps.c, strict=True):
        from_label, from_start, variance = a + b * from_label, b * from_start, b**2 * variance + c
    np.testing.assert_allclose([from_label, from_start, variance], [whole.a[0], whole.b[0], whole.c[0]], rtol=1e-10)


def test_cosine_table():
    """The numbers of ten steps, to the digits that were computed by hand."""
    steps = sampled(CosineNoise(), 10)
    table = {
        "alpha_bar": [0.0001, 0.0241, 0.0940, 0.2031, 0.3408, 0.4938, 0.6474, 0.7868, 0.8986, 0.9719, 0.9990],
        "a": [0.155, 0.234, 0.267, 0.296, 0.330, 0.377, 0.446, 0.553, 0.734, 0.965],
        "b": [0.063, 0.470, 0.599, 0.639, 0.638, 0.608, 0.548, 0.445, 0.266, 0.035],
        "c": [0.972, 0.691, 0.472, 0.334, 0.238, 0.165, 0.107, 0.059, 0.021, 0.001],
    }
    for name, expected in table.items():
        np.testing.assert_allclose(getattr(steps, name), expected, atol=5.1e-5 if name == "alpha_bar" else 5.1e-4, rtol=0)
    weights = 10 / 2 * 0.1 * np.diff(steps.snr)
    expected = [0.012, 0.040, 0.076, 0.131, 0.229, 0.430, 0.927, 2.58, 12.9, 482]
    np.testing.assert_allclose(weights, expected, rtol=0.005, atol=5.1e-4)


@pytest.mark.parametrize("schedule", [CosineNoise(), CosineNoise(0.2), LinearNoise(), LinearNoise(2, -1)], ids=repr)
def test_snr_derivative(schedule):
    """Central differences of abar / (1 - abar), where the cosine is not cut off."""
    t, eps = np.linspace(0.05, 0.95, 19), 1e-6

    def snr(times):
        abar = schedule.alpha_bar(times)
        return abar / (1 - abar)

    np.testing.assert_allclose(schedule.snr_derivative(t), (snr(t + eps) - snr(t - eps)) / (2 * eps), rtol=1e-7)


def test_cosine_is_cut_off():
    """Near both ends abar stays, and its slope is 0."""
    ends = np.array([0.0, 0.003, 0.996, 1.0])
    np.testing.assert_array_equal(CosineNoise().alpha_bar(ends), [1e-4, 1e-4, 0.999, 0.999])
    np.testing.assert_array_equal(CosineNoise().snr_derivative(ends), 0)
    assert (CosineNoise().snr_derivative([0.01, 0.97]) > 0).all()


@given(st.floats(-12, 12), st.floats(0.01, 12))
def test_linear(end, height):
    """The logarithm of the signal-to-noise ratio rises evenly, from -start to -end."""
    schedule, t = LinearNoise(end + height, end), np.linspace(0, 1, 7)
    abar = schedule.alpha_bar(t)
    np.testing.assert_allclose(np.log(abar) - np.log1p(-abar), -(end + height) + height * t, atol=1e-5)
    np.testing.assert_allclose(schedule.gamma(t), end + height * (1 - t), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("values", "error", "message"),
    [
        ([0.0, 0.5], ValueError, r"alpha_bar must be in \(0, 1\), got values from 0 to 0.5"),
        ([0.5, 1.0], ValueError, r"alpha_bar must be in \(0, 1\), got values from 0.5 to 1"),
        ([-0.1, 0.5], ValueError, r"alpha_bar must be in \(0, 1\)"),
        ([0.1, 0.5, 0.5], ValueError, "alpha_bar must rise.*from 0.5 to 0.5 at index 2"),
        ([0.9, 0.5, 0.1], ValueError, "alpha_bar must rise.*from 0.9 to 0.5 at index 1"),
        ([0.1, np.nan], ValueError, "alpha_bar.*NaN"),
        ([0.1, np.inf], ValueError, "alpha_bar.*infinite"),
        ([[0.1, 0.5]], ValueError, "alpha_bar must have 1 dimension"),
        ([0.5], ValueError, "alpha_bar needs at least 2 values.*got 1"),
        ([], ValueError, "alpha_bar needs at least 2 values.*got 0"),
        (["a", "b"], TypeError, "alpha_bar must hold real numbers"),
        (None, TypeError, "alpha_bar must hold real numbers"),
    ],
)
def test_refused_steps(values, error, message):
    """Values outside (0, 1), not rising, not numbers, too few."""
    with pytest.raises(error, match=message):
        Steps(values)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: CosineNoise(-0.1), ValueError, "s must be in"),
        (lambda: CosineNoise(np.nan), ValueError, "s must be in"),
        (lambda: CosineNoise("0.1"), TypeError, "s must be a number"),
        (lambda: LinearNoise(1, 1), ValueError, "start must be above end.*got 1 and 1"),
        (lambda: LinearNoise(-7, 7), ValueError, "start must be above end"),
        (lambda: LinearNoise(31, 0), ValueError, "start must be in"),
        (lambda: LinearNoise(0, -31), ValueError, "end must be in"),
        (lambda: LinearNoise(7, np.nan), ValueError, "end must be in"),
        (lambda: LinearNoise(7, None), TypeError, "end must be a number"),
        (lambda: steps_of("sine", 10), ValueError, "noise_schedule='sine' is unknown; use one of 'cosine', 'linear'"),
        (lambda: steps_of([0.1, 0.5, 0.9], 3), ValueError, "noise_schedule has 3 values.*3 blocks need 4"),
        (lambda: steps_of([0.1, 0.9, 0.5], 2), ValueError, "alpha_bar must rise"),
    ],
)
def test_refused_schedules(make, error, message):
    """Parameters out of range, unknown names, another number of values than blocks need."""
    with pytest.raises(error, match=message):
        make()


def test_what_a_user_may_give():
    """A name, an object over all times, or the values themselves give the same chain."""
    for schedule, name in ((CosineNoise(), "cosine"), (LinearNoise(), "linear")):
        values = schedule.alpha_bar([0, 0.25, 0.5, 0.75, 1])
        for given_ in (name, schedule, values, values.tolist()):
            np.testing.assert_array_equal(steps_of(given_, 4).alpha_bar, values)
    assert [is_continuous(what) for what in (CosineNoise(), LinearNoise(), Steps([0.1, 0.9]), "cosine")] == [
        True,
        True,
        False,
        False,
    ]


def test_embedded_times(dtype):
    """64 sines and cosines of 1000 t, at frequencies from 1 to 1e-4; close times have close embeddings."""
    times = np.array([0.0, 0.3, 1.0])
    features = embedded(times, dtype)
    assert features.shape == (3, 64)
    assert features.dtype == dtype
    tolerance = 4 * np.finfo(dtype).eps
    np.testing.assert_allclose(features[0], [0] * 32 + [1] * 32, atol=tolerance)
    angles = 1000 * times[:, None] * 10 ** (-4 * np.arange(32) / 31)
    np.testing.assert_allclose(features[:, :32], np.sin(angles), atol=max(tolerance, 1e-11))
    np.testing.assert_allclose(features[:, 32:], np.cos(angles), atol=max(tolerance, 1e-11))
