"""The comparison of accuracies: splits, statistics, and continuation of an interrupted run."""

import math

import numpy as np
import pytest

from bench import accuracy, accuracy_models
from bench import data as real_data

COLON = pytest.mark.skipif(not (real_data.DATA / "colon_alon.npz").exists(), reason=f"no real data in {real_data.DATA}")


def cell(model, scores, data="colon_alon"):
    """Make a cell with these scores of folds."""
    found = {str(fold): {"score": score} for fold, score in scores.items()}
    return {"data": data, "model": model, "settings": {"folds": 5}, "scores": found, "made with": []}


def test_corrected_error():
    """Nadeau and Bengio: variance times 1 / n + test / training samples."""
    values = [0.5, 0.7, 0.6, 0.8]
    variance = sum((value - 0.65) ** 2 for value in values) / 3
    assert accuracy.corrected_error(values, n_folds=5) == pytest.approx(math.sqrt(variance * (1 / 4 + 1 / 4)))


def test_differences_are_paired():
    """A constant difference is beyond chance, however much folds differ; noise of its own size is not."""
    rng = np.random.default_rng(0)
    scores = rng.uniform(0.3, 0.9, 10)
    ours = cell("front", dict(enumerate(scores)))
    steady = cell("mlp", dict(enumerate(scores - 0.1 + 1e-3 * rng.normal(size=10))))
    gap, error, beyond = accuracy.difference(ours, steady)
    assert gap == pytest.approx(0.1, abs=1e-2)
    assert error < 1e-2
    assert beyond
    assert not accuracy.difference(ours, cell("mlp", dict(enumerate(rng.permutation(scores)))))[2]


def test_only_shared_folds_are_compared():
    """Where a run was stopped, folds that a model lacks are left out for all; a cell without scores is no cell."""
    cells = {
        "a": cell("front", {0: 0.5, 1: 0.6, 2: 0.7}),
        "b": cell("mlp", {0: 0.5, 2: 0.6}),
        "c": cell("svm", {}),
    }
    found = accuracy.comparable(cells)
    assert {name: list(kept["scores"]) for name, kept in found.items()} == {"a": ["0", "2"], "b": ["0", "2"]}


def test_what_is_done_is_not_done_again():
    """Whole repeats come one after the other, without the folds that have scores; other settings start anew."""
    wanted = accuracy.settings("colon_alon", "svm", 5)
    earlier = {"colon_alon, svm": cell("svm", {0: 0.5, 1: 0.6}) | {"settings": wanted}}
    cells = accuracy.planned(earlier, ["colon_alon"], ["svm", "linear"], 5)
    tasks = accuracy.unfinished(cells, ["colon_alon"], ["svm", "linear"], 2, 5)
    assert [fold for name, fold in tasks if name == "colon_alon, svm"] == list(range(2, 10))
    assert len(tasks) == 18
    assert max(fold for _, fold in tasks[:8]) == 4
    assert accuracy.planned(earlier, ["colon_alon"], ["svm"], 3)["colon_alon, svm"]["scores"] == {}


UNTUNED = ("front", "noprop", "forward-gradients")


@COLON
def test_every_model_has_the_same_splits_and_budget():
    """Folds part the samples; every model has as many configurations, except ours, which have their defaults."""
    X, _ = accuracy_models.arrays("colon_alon")
    tests = [accuracy_models.split("colon_alon", 5, fold)[1] for fold in range(10)]
    for repeat in (tests[:5], tests[5:]):
        np.testing.assert_array_equal(np.sort(np.concatenate(repeat)), np.arange(len(X)))
    assert not np.array_equal(tests[0], tests[5])
    for data in ("colon_alon", "nir_gasoline"):
        for name, candidate in accuracy_models.candidates(data).items():
            grids = candidate.grid if isinstance(candidate.grid, list) else [candidate.grid]
            expected = 1 if name in UNTUNED else accuracy_models.N_TRIES
            assert sum(math.prod(map(len, grid.values())) for grid in grids) == expected, name


@COLON
def test_a_fold(monkeypatch):
    """A model is tuned and scored, here on some of the features; an error is told."""
    X, y = accuracy_models.arrays("colon_alon")
    monkeypatch.setattr(accuracy_models, "arrays", lambda data: (X[:, ::10], y))
    found = accuracy_models.evaluate("colon_alon", "svm", 5, 0)
    assert 0.4 < found["score"] <= 1
    assert found["chosen"].keys() == {"C"}
    assert "error" in accuracy_models.evaluate("colon_alon", "no such model", 5, 0)
