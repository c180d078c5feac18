"""The report of the benchmarks: equal results of the contenders, analysis of measurements, and the pages."""

import json
import math
from argparse import Namespace

import numpy as np
import pytest

pytest.importorskip("torch", reason="the peer is PyTorch")
pytest.importorskip("matplotlib", reason="pictures need fcfast[plots]")

from bench import report
from bench.sweep import contenders, findings, run, tables
from bench.sweep.cells import N_EPOCHS, Cell, all_cells
from fcfast import backend
from fcfast.planning.machine import machine

DENSE, SPARSE = Cell(20, 50, 10, h=8), Cell(20, 500, 10, h=8, density=0.02, momentum=0.0)
MOMENTUM = Cell(20, 500, 10, h=8, density=0.02)
ABOUT = {"cpu": "a processor", "threads": 2, "machine": "a system", "blas": ["one"]} | dict.fromkeys(
    ("python", "numpy", "scipy", "scikit-learn", "torch", "fcfast"), "1.0"
)


def result(cell, seconds, chosen="contributions", predicted=1.0):
    """Make a result: seconds (once, step) by contender, predictions that are so many times the measured time."""
    costs = {
        name.removeprefix("fcfast, "): {"once": predicted * once, "epoch": predicted * step * cell.n_steps}
        for name, (once, step) in seconds.items()
        if name.startswith("fcfast")
    }
    found = {
        "cell": vars(cell), "date": "2026-01-01T00:00:00", "chosen": chosen, "predicted": costs, "unmeasured": {},
        "seconds": {name: {"once": once, "step": step} for name, (once, step) in seconds.items()},
    }  # fmt: skip
    return findings.Result(cell, found)


@pytest.fixture
def quick(monkeypatch):
    """A block of measured work is as short as it can be."""
    monkeypatch.setattr(contenders, "LONGEST", 1e-4)
    monkeypatch.setattr(contenders, "ROUNDS", 1)
    monkeypatch.setattr(contenders, "CLOSE", 0)  # compiling takes seconds


@pytest.mark.skipif(backend.NAME != "compiled", reason="forms without windows are other contenders")
@pytest.mark.parametrize(
    ("cell", "n_contenders"), [(DENSE, 4), (SPARSE, 7), (MOMENTUM, 7)], ids=["dense", "sparse", "momentum"]
)
def test_a_cell(cell, n_contenders, quick, recwarn):
    """Everyone is measured and has computed the same; warnings of the peers are not ours to judge."""
    found = run.measured(cell)
    assert found["disagreement"] < 1e-5
    assert len(found["seconds"]) >= n_contenders
    assert not found["unmeasured"]
    assert all(times["step"] > 0 and times["once"] >= 0 for times in found["seconds"].values())
    assert json.loads(json.dumps(found)) == found


@pytest.mark.parametrize("cell", [DENSE, SPARSE], ids=["dense", "sparse"])
def test_contenders_that_disagree_are_noticed(cell, monkeypatch):
    """A peer with another learning rate is not the same training."""
    whole = contenders.epoch_losses

    def other(cell, name, X, y, start):
        losses = whole(cell, name, X, y, start)
        return [1.01 * losses[0], *losses[1:]] if name.startswith("PyTorch") else losses

    monkeypatch.setattr(contenders, "epoch_losses", other)
    peer = "PyTorch" if cell is DENSE else "PyTorch, EmbeddingBag"
    with pytest.raises(AssertionError, match="do not compute the same"):
        contenders.disagreement(cell, ["fcfast, contributions", peer])


def test_the_row_space_and_every_form_agree():
    """The rival that trains on coordinates has the same losses."""
    cell = Cell(20, 300, 7, h=8)
    names = ["fcfast, contributions", "fcfast, windowed", "fcfast, weights", "PyTorch in the row space", "scikit-learn MLP"]
    assert contenders.disagreement(cell, names) < 1e-5


def test_cells_are_told_apart():
    """Every cell of the sweep has a name of its own."""
    cells = list(all_cells())
    assert len({cell.key for cell in cells}) == len(set(cells)) == len(cells)


def test_the_fastest_and_the_choice():
    """Over a whole training what comes before it counts, over steps it does not."""
    cell = Cell(100, 1000, 10)
    seconds = {"fcfast, contributions": (10.0, 1e-3), "fcfast, weights": (0.0, 2e-3), "PyTorch": (0.0, 3e-3)}
    found = result(cell, seconds)
    assert found.training("fcfast, contributions") == pytest.approx(10 + N_EPOCHS * 10 * 1e-3)
    assert found.fastest == "weights"
    assert found.loss == pytest.approx(11 / 2 - 1)
    assert found.peer("step") == "PyTorch"
    assert findings.slower([found]) == [found]  # its steps are faster, its training is not
    assert findings.slower([result(cell, seconds | {"fcfast, contributions": (0.5, 1e-3)})]) == []


@pytest.mark.parametrize(("factor", "share"), [(1.9, 1.0), (2.1, 0.0), (0.55, 1.0), (0.45, 0.0)])
def test_predictions_within_a_factor_2(factor, share):
    """In both directions."""
    found = result(Cell(100, 1000, 10), {"fcfast, contributions": (1.0, 1e-3)}, predicted=factor)
    assert findings.share_within_factor_2([found]) == (share, 1)


def test_exponents():
    """A power law has its power."""
    sizes = [1.0, 10.0, 100.0]
    assert findings.exponent(sizes, [3 * size**0.75 for size in sizes]) == pytest.approx(0.75)
    assert findings.exponent(sizes[:2], [1.0, 2.0]) is None


def test_work_of_forms():
    """Counts by hand: N = 100, d = 1000, h = 10, a full batch with momentum."""
    cell = Cell(100, 1000, 100, h=10)
    above = 6 * 100 * 10 * 10
    operations, n_bytes, held = findings.work(cell, "contributions")
    assert operations == 2 * 100 * 100 * 10 + above
    assert n_bytes == 4 * (100 * 100 + 4 * 100 * 10)
    assert held == 4 * 2 * 100 * 10
    operations, n_bytes, held = findings.work(cell, "weights")
    assert operations == 4 * 100 * 1000 * 10 + above
    assert n_bytes == 4 * (2 * 100 * 1000 + 4 * 1000 * 10)


def test_pages(tmp_path, monkeypatch):
    """Pages, pictures and the README's table come of whatever was measured."""
    seconds = {"fcfast, contributions": (0.01, 1e-4), "fcfast, weights": (0.02, 1e-2), "PyTorch": (0.0, 3e-2)}
    cells = [*tables.HEADLINES[:2], Cell(1000, 1000, 32)]
    found = {cell.key: result(cell, seconds).found | {"bytes": {"fcfast, contributions": 10**6}} for cell in cells}
    (tmp_path / "docs" / "images").mkdir(parents=True)
    out = tmp_path / "docs" / "performance"
    out.mkdir()
    kept = {"machine": ABOUT, "limits": vars(machine()), "cells": found}
    (out / "sweep.json").write_text(json.dumps(kept))
    said = {"bench_x.py": {"date": "2026-01-02", "summary": {"Heading": ["a line"]}}}
    (out / "benchmarks.json").write_text(json.dumps({"machine": ABOUT, "cells": said}))
    readme = tmp_path / "README.md"
    readme.write_text("before\n\n{}\nold\n{}\n\nafter\n".format(*report.MARKS))
    monkeypatch.setattr(report, "ROOT", tmp_path)
    monkeypatch.setattr(report, "OUT", out)
    report.write_pages(out)
    text = readme.read_text()
    assert text.startswith("before")
    assert text.endswith("after\n")
    assert "100 x 10,000, full batch" in text
    assert "old" not in text
    assert "a processor" in text
    assert "| 300 |" in text  # times as fast, by steps
    page = (out / "sweep.md").read_text()
    assert "On none of the 3 cells is PyTorch faster" in page
    assert "- a line" in (out / "benchmarks.md").read_text()
    assert len(list((tmp_path / "docs" / "images").glob("*.png"))) == 3
    report.write_pages(out)
    assert readme.read_text() == text
    monkeypatch.setattr(report, "OUT", tmp_path / "another")
    readme.write_text("of its own")
    report.write_pages(out)
    assert readme.read_text() == "of its own"


def test_marks_that_are_not_there(tmp_path):
    """A README without a place for the table is left alone."""
    path = tmp_path / "README.md"
    path.write_text("nothing")
    with pytest.raises(ValueError, match="must have the lines"):
        report.put_between_marks(path, "table")
    assert path.read_text() == "nothing"


def test_results_are_kept_and_not_mixed(tmp_path):
    """Every result is on the disk at once; another machine's are refused, unless all is measured anew."""
    path = tmp_path / "sweep.json"
    run.Results(path, ABOUT).keep("a", {"x": 1})
    assert run.Results(path, ABOUT).cells == {"a": {"x": 1}}
    with pytest.raises(ValueError, match="another machine"):
        run.Results(path, ABOUT | {"cpu": "another"})
    assert run.Results(path, ABOUT | {"cpu": "another"}, anew=True).cells == {}


@pytest.mark.parametrize(("fresh", "only", "left"), [(False, "", "abc"), (True, "", ""), (True, "b", "ac")])
def test_fresh(tmp_path, fresh, only, left):
    """All is measured anew, or what is asked for; the rest stays."""
    path = tmp_path / "sweep.json"
    kept = run.Results(path, ABOUT)
    for name in "abc":
        kept.keep(name, {"x": 1})
    options = Namespace(fresh=fresh, only=only)
    assert set(report.kept_results(path, ABOUT, [only] if only else ["a", "b", "c"], options).cells) == set(left)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"machine": '])
def test_files_of_others_are_refused(tmp_path, text):
    """One line, and the file stays."""
    path = tmp_path / "sweep.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"sweep.json is no file of results"):
        run.Results(path, ABOUT)
    assert path.read_text() == text


def test_what_is_there_is_not_measured_again(tmp_path, monkeypatch):
    """A sweep that was interrupted goes on."""
    kept = run.Results(tmp_path / "sweep.json", ABOUT)
    cells = [Cell(20, 50, 10, h=8), Cell(30, 50, 10, h=8)]
    kept.keep(cells[0].key, {"seconds": {}})
    measured = []
    monkeypatch.setattr(run, "measured", lambda cell: measured.append(cell) or {"seconds": {}})
    run.sweep(kept, cells, lambda name, number: None)
    assert measured == [cells[1]]


@pytest.mark.parametrize(("ratio", "text"), [(1234.0, "1,234"), (12.34, "12"), (1.234, "1.2"), (0.87, "0.9")])
def test_ratios(ratio, text):
    """Two or three digits."""
    assert tables.rounded(ratio) == text
    assert math.isclose(float(text.replace(",", "")), ratio, rel_tol=0.05)


def test_sparse_cells_have_their_density():
    """Entries are spread over rows evenly."""
    X, y = Cell(50, 2000, 10, density=0.01, momentum=0.0).data()
    assert X.shape == (50, 2000)
    assert 0.008 < X.nnz / np.prod(X.shape) <= 0.01
    assert len(set(y)) == 10
