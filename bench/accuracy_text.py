"""Accuracy on text: ours without arguments, linear models, fastText, and scikit-learn's MLP after each epoch.

A part of `bench.accuracy_many`. fastText is left out where it is not installed (pip install fasttext-wheel).
"""

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.linear_model import SGDClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.svm import LinearSVC

from bench import data as real_data
from bench.measure import markdown
from bench.settings import CLASSIC
from fcfast import FrontClassifier

try:
    import fasttext
except ModuleNotFoundError:
    fasttext = None

SEED = 0
SETS = ("news20", "news20_counts", 2000), ("news20", "news20_counts", None), ("IMDB", "imdb_counts", None)
MLP_EPOCHS, PATIENCE = 30, 3  # at most, and after its best one
FASTTEXT, MLP = "fastText", "MLP"
FASTTEXT_SETTINGS = {"lr": 0.5, "epoch": 25, "thread": 1, "verbose": 0}  # the rate and epochs of its tutorial
Result = dict[str, Any]


def text() -> Iterator[tuple[str, Result]]:
    """Test accuracy and CPU seconds on the published splits, and on 2,000 samples of news20."""
    for title, name, n in SETS:
        loaded = real_data.load(name)
        counts = sparse.csr_matrix((loaded["data"], loaded["indices"], loaded["indptr"]), shape=tuple(loaded["shape"]))
        y, n_train = loaded["y"], int(loaded["n_train"])
        rows = np.sort(np.random.default_rng(SEED).permutation(n_train)[:n])
        weights = TfidfTransformer(sublinear_tf=True).fit(counts[rows])
        X, X_test = (weights.transform(part).astype(np.float32) for part in (counts[rows], counts[n_train:]))
        train, test = (X, y[rows]), (X_test, y[n_train:])
        result = {model: _scored(estimator, train, test) for model, estimator in _models(title).items()}
        if fasttext is not None:
            result[FASTTEXT] = _fasttext((counts[rows], y[rows]), (counts[n_train:], y[n_train:]))
        yield f"{title}, {X.shape[0]:,} x {X.shape[1]:,}", result | {MLP: _course(train, test)}


def _models(title: str) -> dict[str, Any]:
    ours = {"random_state": SEED, "n_jobs": 1}
    made: dict[str, Any] = {"fcfast": FrontClassifier(**ours)}
    if title != "IMDB":  # where they take minutes
        made["earlier"] = FrontClassifier(**CLASSIC, hidden_layer_sizes=(256,), **ours)
    return made | {"LinearSVC": LinearSVC(random_state=SEED), "SGDClassifier": SGDClassifier(random_state=SEED, n_jobs=1)}


def _scored(estimator: Any, train: Any, test: Any) -> tuple[float, float]:
    """Fit; give the test accuracy and the CPU seconds."""
    started = time.process_time()
    fitted = estimator.fit(*train)
    seconds = time.process_time() - started
    return float(fitted.score(*test)), seconds


def _course(train: Any, test: Any) -> list[tuple[float, float]]:
    """Test accuracy and CPU seconds so far of scikit-learn's MLP after each epoch."""
    mlp, seconds, course = MLPClassifier(random_state=SEED), 0.0, [(0.0, 0.0)]
    while len(course) <= MLP_EPOCHS and len(course) - _best(course) <= PATIENCE:
        started = time.process_time()
        mlp.partial_fit(*train, classes=np.unique(train[1]))
        seconds += time.process_time() - started
        course.append((float(mlp.score(*test)), seconds))
    return course[1:]


def _best(course: list[tuple[float, float]]) -> int:
    """The first epoch of the highest accuracy."""
    return int(np.argmax([accuracy for accuracy, _ in course]))


def _fasttext(train: Any, test: Any) -> tuple[float, float]:
    """Test accuracy and CPU seconds of fastText, which reads files with words, and takes the texts in the order of the file."""
    order = np.random.default_rng(SEED).permutation(len(train[1]))
    train = tuple(part[order] for part in train)
    with tempfile.TemporaryDirectory() as folder:
        paths = [_words(Path(folder) / name, *part) for name, part in (("train", train), ("test", test))]
        started = time.process_time()
        model = fasttext.train_supervised(paths[0], **FASTTEXT_SETTINGS)
        seconds = time.process_time() - started
        return float(model.test(paths[1])[1]), seconds


def _words(path: Path, counts: Any, y: np.ndarray) -> str:
    """Write texts of made-up words, each as often as it is counted."""
    with path.open("w", encoding="utf-8") as file:
        for label, first, last in zip(y, counts.indptr[:-1], counts.indptr[1:], strict=True):
            words = np.repeat(counts.indices[first:last], counts.data[first:last])
            file.write(f"__label__{label} {' '.join(map('w{}'.format, words))}\n")
    return str(path)


def section(found: Result) -> str:
    """Write the part of the report."""
    names = [*dict.fromkeys(model for cell in found.values() for model in cell if model != MLP)]
    names += [FASTTEXT] if FASTTEXT not in names else []
    rows = [["data", *names, "MLP, best epoch", "its CPU s, fcfast's = 1"]]
    for data, cell in found.items():
        best = _best(cell[MLP])
        accuracy, seconds = cell[MLP][best]
        row = [data, *(f"{cell[m][0]:.3f}, {cell[m][1]:.1f} s" if m in cell else _absent(m) for m in names)]
        rows.append([*row, f"{accuracy:.3f}, epoch {best + 1}, {seconds:.1f} s", f"{seconds / cell['fcfast'][1]:.0f}"])
    return f"""## Text

Accuracy on the published test part, and CPU seconds of a fit on one thread. TF-IDF with sublinear counts; the seconds do not
include it. fcfast, `LinearSVC`, `SGDClassifier` and MLP have no argument. fastText sees the words themselves, and has the rate
({FASTTEXT_SETTINGS["lr"]}) and the epochs ({FASTTEXT_SETTINGS["epoch"]}) of its tutorial. MLP is scikit-learn's after the epoch
with the highest test accuracy, of {MLP_EPOCHS} at most, which favours it; the last column divides its CPU seconds until then by
those of fcfast.

{markdown(rows)}"""


def _absent(model: str) -> str:
    return "not installed" if model == FASTTEXT else "-"
