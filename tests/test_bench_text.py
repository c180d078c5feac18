"""The accuracy benchmark on text: what it tells of each model, and the files that fastText reads."""

import numpy as np
import pytest
from scipy import sparse

from bench import accuracy_text


def test_words(tmp_path):
    """Each word is there as often as it is counted, after its label."""
    counts = sparse.csr_matrix(np.array([[2, 0, 1], [0, 0, 0], [0, 3, 0]], np.uint8))
    path = accuracy_text._words(tmp_path / "texts", counts, np.array([1, 0, 2]))
    with open(path, encoding="utf-8") as file:
        assert file.read().splitlines() == ["__label__1 w0 w0 w2", "__label__0 ", "__label__2 w1 w1 w1"]


def test_best_epoch(monkeypatch):
    """The course of the MLP ends some epochs after its best one, which is told with the seconds until then."""
    scores = iter([0.5, 0.7, 0.7, 0.6, 0.65, 0.9])

    class Peer:
        def __init__(self, **settings):
            pass

        def partial_fit(self, X, y, classes):
            pass

        def score(self, X, y):
            return next(scores)

    monkeypatch.setattr(accuracy_text, "MLPClassifier", Peer)
    data = np.zeros((2, 1)), np.array([0, 1])
    course = accuracy_text._course(data, data)
    assert [accuracy for accuracy, _ in course] == [0.5, 0.7, 0.7, 0.6, 0.65]
    timed = [(accuracy, float(epoch)) for epoch, (accuracy, _) in enumerate(course, 1)]
    text = accuracy_text.section(
        {"a": {"fcfast": (0.8, 0.1), "MLP": timed}, "b": {"fcfast": (0.8, 0.1), "SVM": (0.7, 1), "MLP": timed}}
    )
    lines = [[part.strip() for part in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")]
    assert lines[2] == ["a", "0.800, 0.1 s", "-", "not installed", "0.700, epoch 2, 2.0 s", "20"]
    assert lines[3][2] == "0.700, 1.0 s"


def test_fasttext():
    """Where fastText is installed, it learns words that tell the class."""
    pytest.importorskip("fasttext", reason="a peer")
    rng = np.random.default_rng(0)
    y = np.sort(rng.integers(0, 2, 200))
    counts = sparse.csr_matrix((rng.random((200, 20)) < np.where((np.arange(20) < 10) == y[:, None], 0.8, 0.1)).astype("u1"))
    accuracy, seconds = accuracy_text._fasttext((counts, y), (counts, y))
    assert accuracy > 0.9
    assert seconds > 0
