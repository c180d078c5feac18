"""The benchmarks of FrontLinear: ways that compute the same, and what is written about them."""

from functools import partial

import pytest

pytest.importorskip("torch", reason="the peer is PyTorch")
pytest.importorskip("cpuinfo", reason="the page names the processor")
import torch

from bench import torch_gpu, torch_layer
from fcfast.torch import compiled_step


@pytest.fixture(autouse=True)
def without_a_compiler(monkeypatch):
    """Compiling takes longer than everything else, and is not what is tested here."""
    for module in (torch_layer, torch_gpu):
        monkeypatch.setattr(module, "compiled_step", partial(compiled_step, backend="eager"))
    yield
    torch._dynamo.reset()


@pytest.mark.parametrize("batch", torch_layer.BATCHES)
def test_all_ways_are_measured(batch, monkeypatch):
    """Their losses agree, or an AssertionError would have been raised."""
    monkeypatch.setattr(torch_layer, "STEPS", 2)
    seconds = torch_layer.measured(300, batch, 1)
    assert set(seconds) == set(torch_layer.WAYS)
    assert all(value > 0 for value in seconds.values())


def test_page():
    """Ratios and verdicts are those of the times."""
    seconds = {"nn.Linear": 0.1, "nn.Linear on N features": 0.001, "FrontLinear": 0.002, "compiled": 0.001, "once": 1.0}
    found = torch_layer.checks(seconds, 40)
    assert [(round(value, 6), met) for _, value, met in found] == [(2.0, False), (2.0, True), (50.0, True)]
    assert len(torch_layer.checks(seconds, None)) == 2
    text = torch_layer.page([torch_layer.HEAD, ["a case"] * len(torch_layer.HEAD)], ["- a line: 2 (met)"], "today.")
    assert text.count("a case") == len(torch_layer.HEAD)
    assert "- a line: 2 (met)" in text
    assert "Nothing was measured on a GPU" in text


def test_the_script_for_a_gpu(monkeypatch, capsys):
    """It runs on whatever there is."""
    monkeypatch.setattr(torch_gpu, "ROUNDS", 1)
    monkeypatch.setattr(torch_gpu, "STEPS", 2)
    torch_gpu.main([200])
    assert capsys.readouterr().out.splitlines()[-1].startswith("| 200 | ")
