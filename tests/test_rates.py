"""The comparison of losses over learning rates: what curves say, and a small run from training to the page."""

import json

import numpy as np
import pytest

from bench import rates
from fcfast import FrontClassifier

pytest.importorskip("matplotlib", reason="the figure needs fcfast[plots]")


def curve(losses, at=rates.FACTORS, way="automatic", chance=1.0):
    return {"data": "small", "varied": "units", "value": "8", "way": way, "at": at, "losses": losses, "chance": chance}


def test_what_a_curve_says():
    """Crossings lie between the rates, on logarithmic scales; a divergence has no loss."""
    falling = curve([4.0, 2.0, 1.0, 1 / 4, 1 / 8, 1 / 16, 1 / 8, 1 / 32, 2.0, None, None])
    assert rates.best(falling) == 2.0
    assert rates.halfway(falling) == pytest.approx(2**-3.5)  # 1/2 is halfway from 1 to 1/4
    assert rates.at_one(falling) == 4.0
    assert rates.fails_from(falling) == 4.0
    assert rates.halfway(curve([0.4] * 11)) is None
    assert rates.fails_from(curve([0.4] * 11)) is None
    assert rates.spread([0.5, 4.0, 2.0]) == "8"
    assert rates.spread([0.5, None]) == "-"


@pytest.fixture
def small(monkeypatch):
    """A problem of 30 samples that takes no time."""
    problem = rates.Problem("small", None, (5, 40), 3, 1, lowest_rate=-4)
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(30, 40)).astype(np.float32), np.arange(30) % 2
    varied = {
        "units": {"4": {"hidden_layer_sizes": (4,)}, "8": {"hidden_layer_sizes": (8,)}},
        "features": {},
        "momentum": {"0": {"momentum": 0.0}},
    }
    monkeypatch.setattr(rates, "PROBLEMS", {"small": problem})
    monkeypatch.setattr(rates, "VARIED", varied)
    monkeypatch.setattr(rates, "arrays", lambda name: (X, y))
    return problem, X, y


def test_factor_one_is_a_fit_without_arguments(small):
    """The rates and the weight decay that are given are those that would be chosen."""
    problem, X, y = small
    (found,) = [
        rates.trained(curve, problem, X, y)
        for curve in rates.curves_of("small", problem)
        if (curve["value"], curve["way"]) == ("8", "automatic")
    ]
    chosen = FrontClassifier((8,), max_epochs=3, random_state=0).fit(X, y)
    losses = dict(zip(found["at"], found["losses"], strict=True))
    assert losses[1.0] == pytest.approx(chosen.loss_curve_[-1], rel=1e-5)  # features are in another order
    assert abs(losses[1.0] - losses[2.0]) > 1e-3


def test_a_small_run(small, tmp_path):
    """Every curve is trained once, in order, and the page, the results and the figure are written."""
    problem, _, _ = small
    curves = rates.run(["small"], 1)
    assert [{key: curve[key] for key in ("data", "varied", "value", "way", "settings")} for curve in curves] == (
        rates.curves_of("small", problem)
    )
    assert [curve["value"] for curve in curves if curve["varied"] == "features"] == ["5", "40"] * 2
    content = {"command": "python -m bench.rates", "date": "2030-01-01", "machine": {"cores": 1}, "curves": curves}
    out = tmp_path / "performance" / "rates.json"
    rates.write(content, out)
    assert json.loads(out.read_text()) == json.loads(json.dumps(content))
    page = out.with_suffix(".md").read_text()
    assert page.count("| small | units |") == 1 + 4
    assert (tmp_path / "images" / "rates.png").stat().st_size > 10_000


def test_absent_data(tmp_path, monkeypatch, capsys):
    """The command says which file it lacks, and how to give it."""
    monkeypatch.setattr(rates.real_data, "DATA", tmp_path)
    with pytest.raises(SystemExit):
        rates.main(["--data", "riboflavin"])
    assert "riboflavin.npz; set FCFAST_DATA" in capsys.readouterr().err
