"""Training rows that are scaled as they are gathered: they give the bits of a scaled copy, without the copy."""

import pickle
import tracemalloc

import numpy as np
import pytest
from classic import FrontClassifier, NoPropClassifier

from fcfast.front import rows as front_rows
from fcfast.front.base import FORMS
from fcfast.front.rows import is_converted, is_gathered
from fcfast.front.windowed import WindowedForm
from fcfast.gram.start import RandomWeights
from fcfast.optimizers import SGD
from fcfast.planning.problem import Problem, of_inputs
from fcfast.rules import Backprop
from fcfast.sources import ArraySource, Standardized

SETTINGS = [
    {},
    {"missing": "mean"},
    {"missing": "mean", "standardize": False},
    {"momentum": 0.9},
    {"max_grad_norm": 0.05},
    {"shuffle": False},
    {"shuffle": False, "batch_size": 60},
    {"rule": "dfa"},
    {"rule": "dfa", "window": 40},
    {"optimizer": "adam"},
    {"optimizer": "muon"},
]


def samples(dtype: np.dtype, with_gaps: bool = False) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    X = (3 + 2 * rng.normal(size=(60, 7))).astype(dtype)
    X[:, 2] = 5  # constant
    if with_gaps:
        X[rng.random(X.shape) < 0.2] = np.nan
    return X, np.arange(60) % 3


@pytest.fixture
def copied(monkeypatch):
    """Give a function that lets forms hold a scaled copy from now on."""
    return lambda: monkeypatch.setattr(front_rows, "is_gathered", lambda X, dtype: False)


def parameters(model) -> list[np.ndarray]:
    return [*model.coefs_, *model.intercepts_, np.array(model.loss_curve_)]


@pytest.mark.parametrize("form", ["weights", "windowed"])
@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_same_bits_as_a_copy(form, settings, dtype, copied):
    if form == "weights":
        settings = {name: value for name, value in settings.items() if name != "window"}
    if form == "windowed" and settings.get("optimizer") == "adam":
        settings = settings | {"optimizer": "neuron-adam"}
    X, y = samples(dtype, "missing" in settings)
    given = {"standardize": True, "batch_size": 10, "max_epochs": 4} | settings
    model = FrontClassifier(4, form=form, dtype=dtype.name, random_state=0, **given)

    def trained() -> list[np.ndarray]:
        model.fit(X, y)
        kept = parameters(model)
        model.partial_fit(X[20:] * 2, y[20:])
        return kept + parameters(model)

    before = X.copy()
    gathered = trained()
    np.testing.assert_array_equal(X, before)
    copied()
    for one, other in zip(gathered, trained(), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("form", ["weights", "windowed"])
def test_noprop_has_the_bits_of_a_copy(form, dtype, copied):
    X, y = samples(dtype, with_gaps=True)
    model = NoPropClassifier(
        form=form, dtype=dtype.name, standardize=True, missing="mean", max_epochs=2, batch_size=10, random_state=0
    )
    gathered = model.fit(X, y).predict_proba(X)
    copied()
    np.testing.assert_array_equal(gathered, model.fit(X, y).predict_proba(X))


@pytest.mark.parametrize("form", ["weights", "windowed"])
def test_rows_of_a_form(form, dtype):
    """A form refers to the caller's array, and so does a stack; rows, and pre-activations, are those of the scaled samples."""
    X, _ = samples(dtype, with_gaps=True)
    source = Standardized(ArraySource(X), missing="mean", dtype=dtype)
    expected = Standardized(ArraySource(X), missing="mean", dtype=dtype).dense(dtype)
    initial = RandomWeights(4, 7, 0, "relu")
    stack = FORMS[form].stack(source, initial, 2, dtype, False)
    for front in (FORMS[form](source, initial, dtype, False), *stack.forms):
        assert front.source is X
        for which in (slice(5), np.array([3, 1, 1])):
            np.testing.assert_array_equal(front.rows(which), expected[which])
        again = pickle.loads(pickle.dumps(front))
        np.testing.assert_array_equal(again.training_preactivations(9), expected[:9] @ front.base.T)
        front.finish()
        assert front.row_scale is None


def test_which_samples_are_copied(dtype):
    X, _ = samples(dtype)
    other = np.dtype("float32" if dtype == np.float64 else "float64")
    assert is_gathered(Standardized(ArraySource(X)), dtype)
    assert not is_converted(Standardized(ArraySource(X)), dtype)
    for source in (
        Standardized(ArraySource(X.astype(other))),
        Standardized(ArraySource(np.asfortranarray(X))),
        Standardized(ArraySource(X))[np.arange(9)],
        ArraySource(np.asfortranarray(X)),
    ):
        assert is_converted(source, dtype)


def test_a_form_that_does_not_say_so_gets_a_copy(dtype):
    class Own(WindowedForm):
        pass

    X, _ = samples(dtype)
    source = Standardized(ArraySource(X), dtype=dtype)
    initial = RandomWeights(4, 7, 0, "relu")
    for front in (Own(source, initial, dtype, False), *Own.stack(source, initial, 2, dtype, False).forms):
        assert front.row_scale is None
        np.testing.assert_array_equal(front.source, source.dense(dtype))


@pytest.mark.parametrize("form", ["weights", "windowed"])
def test_samples_that_are_not_finite_once_scaled(form, dtype):
    X, y = samples(dtype)
    model = FrontClassifier(4, form=form, dtype=dtype.name, standardize=True, max_epochs=1, batch_size=10).fit(X, y)
    huge = X.copy()
    huge[3, 2] = np.finfo(dtype).max
    X[:, 1] *= 1e-3
    model.fit(X, y)
    huge[3, 1] = np.finfo(dtype).max
    with np.errstate(over="ignore"), pytest.raises(ValueError, match=r"too large for .* in column 1"):
        model.partial_fit(huge, y)
    for value, match in ((np.nan, r"missing values .* column 4"), (np.inf, "infinity in column 4")):
        bad = X.copy()
        bad[7, 4] = value
        with pytest.raises(ValueError, match=match):
            model.fit(ArraySource(bad), y)
        model.fit(X, y)
        with pytest.raises(ValueError, match=match):
            model.partial_fit(ArraySource(bad), y)


@pytest.mark.parametrize("form", ["weights", "windowed"])
def test_memory(form):
    """Training needs less memory than half of X; what it needs most for are 64 columns that are measured together."""
    X = np.random.default_rng(0).normal(size=(2000, 800))
    y = np.arange(len(X)) % 2
    model = FrontClassifier(2, form=form, dtype="float64", standardize=True, max_epochs=2, batch_size=50, random_state=0)
    model.fit(X[:100].copy(), y[:100])  # what is made once
    tracemalloc.start()
    try:
        model.fit(X, y)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert model.plan_.costs[form].n_bytes < X.nbytes / 2
    assert peak < X.nbytes / 2


@pytest.mark.parametrize("mapped", [False, True])
def test_a_source_of_a_suitable_array_is_not_copied(mapped, dtype, tmp_path):
    """Neither scaled nor converted: the form trains from the array or the memory map itself, and the plan says so."""
    values, y = samples(dtype)
    X = np.memmap(tmp_path / "X", dtype, "w+", shape=values.shape) if mapped else np.empty_like(values)
    X[:] = values
    assert not is_converted(ArraySource(X), dtype)
    assert np.shares_memory(front_rows.converted(ArraySource(X), dtype), X)
    given = {"form": "windowed", "dtype": dtype.name, "random_state": 0, "max_epochs": 2, "batch_size": 10}
    models = [FrontClassifier(4, **given).fit(held, y) for held in (values, ArraySource(X))]
    for one, other in zip(*map(parameters, models), strict=True):
        np.testing.assert_array_equal(one, other)
    X[3, 2] = np.nan
    with pytest.raises(ValueError, match="column 2"):
        front_rows.converted(ArraySource(X), dtype)


def test_the_plan_counts_a_copy_for_forms_that_do_not_scale_rows(dtype):
    """Where X is scaled as rows are gathered, contributions still scale each block, and a form that cannot gather copies."""
    X, _ = samples(dtype)
    described = of_inputs(Standardized(ArraySource(X)), dtype.name)
    assert (described["copies_X"], described["scales_X"]) == (False, True)
    settings = {
        "hidden": (4,), "n_outputs": 3, "batch_size": 10, "n_epochs": 1, "dtype": dtype.name, "optimizer": SGD(),
        "rule": Backprop(), "compiled": True,
    }  # fmt: skip
    scaled = Problem(**described, **settings)
    plain = Problem(**described | {"scales_X": False}, **settings)

    class Copying(WindowedForm):
        name = "copying"

    assert WindowedForm.n_bytes(scaled, 10) == WindowedForm.n_bytes(plain, 10)
    assert Copying.n_bytes(scaled, 10) == Copying.n_bytes(plain, 10) + X.nbytes
