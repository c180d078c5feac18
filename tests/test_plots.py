"""Pictures are written whole or not at all."""

import sys

import numpy as np
import pytest

pytest.importorskip("matplotlib", reason="pictures need fcfast[plots]")
from fcfast import backend, paper, plots
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
