"""The comparison for counts, labels, quantiles, outliers and missing targets: its data, its models, its report."""

import numpy as np
import pytest

from bench import targets, targets_data, targets_models


@pytest.fixture
def small(monkeypatch):
    """A set for each task, small and made up."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(40, 60)).astype(np.float32)
    signal = X[:, :20].sum(axis=1) / 4
    samples = {
        "counts": rng.poisson(2 * np.exp(signal)).astype(float), "labels": (signal[:, None] > [0, 0.5]).astype(int),
        "quantiles": signal, "outliers": signal, "missing": np.column_stack([signal, X.sum(axis=1)]),
    }  # fmt: skip
    sets = {
        f"{task}, {seen}": targets_data.DataSet(task, "small", targets_data.MADE, seen, lambda y=y: (X, y))
        for task, y in samples.items()
        for seen in (True, False)
    }
    for module in (targets, targets_data, targets_models):
        monkeypatch.setattr(module, "DATA", sets)
    targets_data.arrays.cache_clear()
    yield samples
    targets_data.arrays.cache_clear()


def test_every_task_has_models_and_measures():
    """The report names what is computed; each task has sets that were seen and sets that were not."""
    for task, about in targets.TASKS.items():
        assert list(about.models) == list(targets_models.FITS[task])
        assert {each.seen for each in targets_data.DATA.values() if each.task == task} == {True, False}
    assert targets.TASKS.keys() == targets_models.SCORES.keys()


def test_training_targets():
    """Outliers are as many as they should be, all to one side; gaps and outliers are the same for every model."""
    y = np.random.default_rng(1).normal(size=200)
    shifts = targets_models.trained_on("outliers", y, 3) - y
    assert np.count_nonzero(shifts) == 20
    np.testing.assert_allclose(shifts[shifts != 0], 10 * y.std())
    gaps = targets_models.trained_on("missing", np.column_stack([y, y]), 3)
    assert 0.4 < np.isnan(gaps).mean() < 0.6
    np.testing.assert_array_equal(gaps, targets_models.trained_on("missing", np.column_stack([y, y]), 3))
    np.testing.assert_array_equal(targets_models.trained_on("counts", y, 3), y)


def test_scores():
    """The measures of labels and quantiles, by hand."""
    y, p = np.array([[1, 0], [0, 0], [1, 0]]), np.array([[0.9, 0.2], [0.3, 0.1], [0.2, 0.6]])
    found = targets_models.labels_scores(y, p)
    assert found["score"] == pytest.approx(-np.log([0.9, 0.8, 0.7, 0.9, 0.2, 0.4]).mean())
    assert found["right"] == pytest.approx(4 / 6)
    assert found["area"] == 0.5  # of the first label alone; the second one is the same for all
    predicted = np.array([[0.0, 1.0, 2.0], [0.0, 1.0, 2.0], [0.0, 1.0, 2.0], [0.0, 1.0, 2.0]])
    assert targets_models.quantiles_scores(np.array([-1.0, 0.5, 1.5, 2.0]), predicted)["covered"] == 0.75


def test_generated_sets():
    """They are wide, and have the targets of their task."""
    for name in ("counts, factors", "labels, bags", "quantiles, noise", "outliers, factors", "missing, factors"):
        X, y = targets_data.DATA[name].load()
        assert len(X) == len(y) < X.shape[1]
    assert set(np.unique(targets_data.DATA["labels, sparse"].load()[1])) == {0, 1}


def test_a_run_and_its_report(small):
    """Models are fitted, nothing is computed twice, and the page is made from the results alone."""
    cells, models = {}, ["front", "constant"]
    todo = targets.unfinished(cells, list(small), models, 2)
    assert len(todo) == 2 * 2 * len(targets.DATA)
    assert targets.run(cells, todo, 4, 1, lambda: None) == []
    assert targets.unfinished(cells, list(small), models, 2) == []
    sets = {name: targets_data.summary(name) for name in targets.DATA}
    targets_data.arrays.cache_clear()
    text = targets.report(cells, sets, 4, {"fcfast": "0"})
    for about in targets.TASKS.values():
        assert f"## {about.title}" in text
    assert "| Counts: D² | 1, seen |" in text
    assert "40 x 60" in text
    assert "of 1" in text
    assert targets_models.evaluate("missing, True", "linear", 4, 0)["score"] > 0
    assert targets_models.evaluate("counts, True", "unknown", 4, 0)["error"].startswith("KeyError")
    ours, mean = (cells[f"counts, True; {model}"]["scores"]["0"]["score"] for model in ("front", "constant"))
    assert ours > mean
