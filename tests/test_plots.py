"""Figures are written completely or not at all."""

import sys

import numpy as np
import pytest

pytest.importorskip("matplotlib", reason="pictures need fcfast[plots]")
from classic import FrontClassifier, FrontRegressor

from fcfast import NoPropClassifier, backend, load, paper, plots
from fcfast.explain import explain_output
from fcfast.paper.experiments import error_traces, study
from fcfast.paper.timing import WidthCost


def test_figure3_is_written(tmp_path):
    """The path comes back; a PNG is there."""
    path = paper.figure3(tmp_path / "f.png", n_seeds=5)
    assert path == tmp_path / "f.png"
    assert path.read_bytes().startswith(b"\x89PNG")
    assert list(tmp_path.iterdir()) == [path]


def test_width_figure_is_written(tmp_path):
    """From given numbers."""
    cost = WidthCost((2, 1000), (1e-8, 1e-8), (2e-8, 1e-5))
    assert plots.width_figure(tmp_path / "w.png", cost).stat().st_size > 1000


def test_traces_are_what_the_study_measures():
    """The largest error of each trace is the study's error."""
    n_iter = 200 if backend.NAME == "compiled" else 50
    traces = error_traces("states", n_seeds=8, n_iter=n_iter, seed=5)
    np.testing.assert_array_equal(traces.max(axis=1), study(8, n_iter, "states", seed=5).errors)


def test_missing_folder(tmp_path):
    """The message names the folder."""
    with pytest.raises(FileNotFoundError, match="does not exist"):
        paper.figure3(tmp_path / "missing" / "f.png", n_seeds=2)
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(IsADirectoryError, match="is a folder"):
        paper.figure3(tmp_path / "folder.png", n_seeds=2)
    with pytest.raises(ValueError, match="must end in"):
        paper.figure3(tmp_path / "f.jpg", n_seeds=2)


def test_failure_leaves_the_old_file(tmp_path, monkeypatch):
    """When drawing fails, the old file stays and no temporary one is left."""
    from matplotlib.figure import Figure

    target = tmp_path / "f.png"
    target.write_bytes(b"old")
    monkeypatch.setattr(Figure, "savefig", lambda *_, **__: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        plots.save_figure(plots.new_figure(1, 1), target)
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]


def test_missing_matplotlib_says_what_to_install(tmp_path, monkeypatch):
    """The message names the extra."""
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r"fcfast\[plots\]"):
        paper.figure3(tmp_path / "f.png", n_seeds=2)


def fitted(n_classes=2, **settings):
    """A small classifier of wide data."""
    settings = {"max_epochs": 12, "tol": 0, "random_state": 0} | settings
    X = np.random.default_rng(0).normal(size=(40, 120))
    return FrontClassifier((8,), **settings).fit(X, np.arange(40) % n_classes), X


def axes_of(monkeypatch):
    """Catch the figure before it is written, to look at what is drawn."""
    figures = []
    monkeypatch.setattr(plots, "save_figure", lambda figure, out: figures.append(figure))
    return figures


def test_loss_curve_is_written(tmp_path):
    """From a fitted estimator, and from its model file."""
    classifier, _ = fitted()
    assert plots.loss_curve(tmp_path / "c.png", classifier).read_bytes().startswith(b"\x89PNG")
    classifier.save(tmp_path / "m.safetensors")
    assert plots.loss_curve(tmp_path / "d.png", load(tmp_path / "m.safetensors")).exists()


def test_loss_curve_draws_what_was_measured(tmp_path, monkeypatch):
    """Losses above; with early stopping the scores below, the best one marked."""
    figures = axes_of(monkeypatch)
    classifier, _ = fitted(early_stopping=True, validation_fraction=0.2)
    plots.loss_curve(tmp_path / "c.png", classifier)
    above, below = figures[0].axes
    np.testing.assert_array_equal(above.lines[0].get_ydata(), classifier.loss_curve_)
    np.testing.assert_array_equal(below.lines[0].get_ydata(), classifier.validation_scores_)
    assert below.lines[1].get_ydata()[0] == max(classifier.validation_scores_)
    plots.loss_curve(tmp_path / "c.png", fitted()[0])
    assert len(figures[1].axes) == 1


def test_no_loss_to_draw(tmp_path):
    """Training that diverged at once has none."""
    classifier, _ = fitted()
    classifier.loss_curve_ = []
    with pytest.raises(ValueError, match="not finished an epoch"):
        plots.loss_curve(tmp_path / "c.png", classifier)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_contributors_add_up_to_the_output(tmp_path, monkeypatch, activation):
    """The bars of the largest training samples, the others, initial weights and biases; a curved activation is owned to."""
    figures = axes_of(monkeypatch)
    classifier, X = fitted(activation=activation, dtype="float64")
    plots.contributors_figure(tmp_path / "w.png", classifier, X[3], [f"patient {i}" for i in range(40)], n_top=5)
    (ax,) = figures[0].axes
    names = [label.get_text() for label in ax.get_yticklabels()]
    values = [bar.get_width() for bar in ax.patches]
    parts = explain_output(classifier, X[3:4])
    assert sum(values) == pytest.approx(parts.outputs[0], rel=1e-9)
    top = np.argsort(-np.abs(parts.terms[0]))[:5]
    assert names == [*(f"patient {i}" for i in top), "the other 35 samples", "initial weights", "biases"]
    np.testing.assert_array_equal(values[:5], parts.terms[0, top])
    assert (activation in ax.get_xlabel()) == (activation == "tanh")


def test_contributors_figure_is_written(tmp_path):
    """Also with fewer samples than bars, equal labels and a regression."""
    X = np.random.default_rng(0).normal(size=(6, 50))
    regressor = FrontRegressor((4,), max_epochs=3, tol=0, random_state=0).fit(X, X[:, 0])
    path = plots.contributors_figure(tmp_path / "w.png", regressor, X[:1], ["same"] * 6)
    assert path.read_bytes().startswith(b"\x89PNG")


def test_equal_labels_have_bars_of_their_own(tmp_path, monkeypatch):
    """Their numbers are added."""
    figures = axes_of(monkeypatch)
    classifier, X = fitted()
    plots.contributors_figure(tmp_path / "w.png", classifier, X[0], ["same"] * 40, n_top=4)
    assert len(figures[0].axes[0].patches) == 4 + 3


def test_contributors_of_a_row_of_a_data_frame(tmp_path):
    """A pandas Series, with the names of the features where there were any; a list too."""
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(np.random.default_rng(0).normal(size=(12, 3)), columns=["a", "b", "c"])
    for X in (frame, frame.to_numpy()):
        classifier = FrontClassifier((4,), form="contributions", max_epochs=2, tol=0, random_state=0).fit(X, [0, 1] * 6)
        plots.contributors_figure(tmp_path / "w.png", classifier, frame.iloc[0])
    plots.contributors_figure(tmp_path / "w.png", classifier, [1.0, 2.0, 3.0])


def test_contributors_arguments(tmp_path):
    """One sample, one label per training sample, a form that has contributions."""
    classifier, X = fitted()
    with pytest.raises(ValueError, match="x must be one sample"):
        plots.contributors_figure(tmp_path / "w.png", classifier, X[:2])
    with pytest.raises(ValueError, match="labels has 3"):
        plots.contributors_figure(tmp_path / "w.png", classifier, X[0], ["a", "b", "c"])
    with pytest.raises(ValueError, match="n_top"):
        plots.contributors_figure(tmp_path / "w.png", classifier, X[0], n_top=0)
    with pytest.raises(AttributeError, match="contributions"):
        plots.contributors_figure(tmp_path / "w.png", fitted(form="windowed")[0], X[0])
    assert list(tmp_path.iterdir()) == []


def test_trajectories(tmp_path):
    """One panel for each sample; too many samples, or titles that do not go with them, are refused."""
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(30, 6)), np.arange(30) % 3
    classifier = NoPropClassifier(n_blocks=3, hidden=(8, 4), max_epochs=1, random_state=0).fit(X, y)
    assert plots.trajectory_figure(tmp_path / "z.png", classifier, X[:5]).stat().st_size > 1000
    assert plots.trajectory_figure(tmp_path / "z.png", classifier, X[:1], ["a sample"]).stat().st_size > 1000
    with pytest.raises(ValueError, match="X has 13 samples"):
        plots.trajectory_figure(tmp_path / "z.png", classifier, X[:13])
    with pytest.raises(ValueError, match="titles has 1"):
        plots.trajectory_figure(tmp_path / "z.png", classifier, X[:2], ["a"])
