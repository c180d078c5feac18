"""The benchmark of sparse rows: contenders that compute the same, the memory bound, and the page."""

import json

import numpy as np
import pytest
from scipy import sparse

pytest.importorskip("torch", reason="the peer is PyTorch")

from bench.sparse import measure, page
from bench.sparse.bound import Memory
from bench.sparse.contenders import OURS, Ours, Problem
from bench.sparse.samples import as_csr, zipf
from fcfast import backend

compiled_only = pytest.mark.skipif(backend.NAME != "compiled", reason="the benchmarks measure the compiled kernels")


@pytest.fixture
def make(monkeypatch):
    """A small problem with a batch size, whose peers get a step a round."""
    monkeypatch.setattr(measure, "PEER_SECONDS", 0.0)
    rng = np.random.default_rng(0)
    X = as_csr(sparse.random(60, 200, 0.05, "csr", "f4", rng))
    y = np.arange(60) % 3
    return lambda batch: Problem.of(X, y, batch)


@compiled_only
@pytest.mark.parametrize("batch", [1, 20])
def test_everyone_computes_the_same(make, batch):
    """Losses agree, and there is a time of everyone by both clocks."""
    found = measure.measured(make(batch), 1)
    assert set(found["differences"]) == set(measure.SAME)
    assert max(found["differences"].values()) < measure.TOLERANCE
    assert len(found["seconds"]) == (12 if batch > 1 else 10)
    assert all(value > 0 for times in found["seconds"].values() for value in times.values())
    assert json.loads(json.dumps(found)) == found | {"shape": [60, 200]}


@compiled_only
def test_a_peer_that_trains_otherwise_is_noticed(make):
    """Losses of another optimiser are not taken for the same."""
    problem = make(20)
    expected = {name: Ours(problem, optimizer).train(measure.CHECKED) for name, optimizer in OURS.items()}
    peer = Ours(problem, OURS["momentum"])
    with pytest.raises(AssertionError, match="does not compute the same"):
        measure.compared("EmbeddingBag, SGD", peer, problem, expected)
    assert measure.compared("dense gradient", Ours(problem, OURS["momentum"]), problem, expected) == 0


@compiled_only
@pytest.mark.parametrize(("name", "batch", "window"), [("SGD", 20, 20), ("SGD", 1, 16), ("momentum", 1, 1)])
def test_slots_of_the_bound(make, name, batch, window):
    """Each window passes the slots of its own features once a pass, and as many random ones."""
    problem = make(batch)
    memory = Memory(Ours(problem, OURS[name]))
    expected = [len(set(problem.X[problem.order[i : i + window]].indices)) for i in range(0, len(problem.order), window)]
    assert [len(set(slots)) for slots in memory.own] == expected
    assert [len(set(slots)) for slots in memory.random] == expected
    assert memory.n_slots == sum(expected)
    assert memory.table.shape == (len(set(problem.X.indices)), 256 * (2 if name == "momentum" else 1))


def test_zipf():
    """The most frequent feature is in most rows, most features are rare."""
    X, _ = zipf(1000, 2**12, 40)
    counts = np.sort(np.bincount(X.indices, minlength=2**12))[::-1]
    assert counts[0] > 900
    assert np.median(counts) < 10
    assert X.has_canonical_format


def test_page():
    """The page says which targets were met, and by what."""
    names = (*page.OURS, *page.LIGHT, *page.DENSE, page.SKLEARN)
    seconds = {name: {"wall": 1.0, "processor": 1.0} for name in names}
    seconds |= {f"2 threads, {name}": {"wall": 0.5, "processor": 1.0} for name in ("SGD", "momentum")}
    seconds["EmbeddingBag, SGD"] = {"wall": 9.0, "processor": 5.5}
    bound = {"touched": 100.0, "bytes": 2048, "slots": 1000, "random": 0.008, "own": 0.004}
    result = {
        "shape": [10, 20], "per_row": 3.0, "seconds": seconds, "memory": {"SGD": bound, "momentum": bound},
        "differences": {"EmbeddingBag, SGD": 1e-7},
    }  # fmt: skip
    text = page.page({"news20": {"32": result}}, "today.")
    lines = [[part.strip() for part in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")]
    told = {tuple(line[:3]): line[3:] for line in lines if len(line) == 5}
    assert told["SGD: times EmbeddingBag, text", "5.0", "32"] == ["news20 5.5", "met"]
    assert told["momentum: times dense PyTorch", "30", "32"] == ["news20 1.0", "MISSED"]
    assert told["SGD: two threads, times one", "1.60", "32"] == ["news20 2.00", "met"]
    assert told["SGD: share of the bound, random slots", "70%", "32"] == ["news20 80%", "met"]
