"""The data sets: text, uniform features, and features whose frequencies follow Zipf's law."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.feature_extraction.text import TfidfTransformer

from bench.data import load

Samples = tuple[sparse.csr_matrix, NDArray[np.int64]]
CLASSES = 20  # of the generated sets


def as_csr(X: Any) -> sparse.csr_matrix:
    """Give CSR in the types that all contenders take as they are."""
    X = sparse.csr_matrix(X)
    X.sum_duplicates()
    return sparse.csr_matrix((X.data.astype("f4"), X.indices.astype("i4"), X.indptr.astype("i4")), shape=X.shape)


def text(name: str) -> tuple[Any, NDArray[np.int64], int]:
    """Word counts of a text collection, its classes, and the number of samples of the published training part."""
    held = load(name)
    counts = sparse.csr_matrix((held["data"].astype("f4"), held["indices"], held["indptr"]), shape=tuple(held["shape"]))
    return counts, held["y"].astype(np.int64), int(held["n_train"])


def tf_idf(name: str) -> Samples:
    """TF-IDF of the training part of a text collection."""
    counts, y, n_train = text(name)
    return as_csr(TfidfTransformer(sublinear_tf=True).fit_transform(counts[:n_train])), y[:n_train]


def uniform() -> Samples:
    """100 features of 100,000 in each of 10,000 rows."""
    rng = np.random.default_rng(0)
    columns = rng.integers(0, 100_000, 10**6)
    X = sparse.csr_matrix((np.full(10**6, 0.1, "f4"), columns, np.arange(0, 10**6 + 1, 100)), shape=(10_000, 100_000))
    return as_csr(X), rng.integers(0, CLASSES, 10_000)


def zipf(n: int = 200_000, d: int = 2**20, per_row: int = 150) -> Samples:
    """Rows of features that occur as often as words do: the k-th most frequent one in proportion to 1 / k."""
    rng = np.random.default_rng(0)
    ranks = np.exp(rng.random(n * per_row, "f4") * np.float32(np.log(d))).astype("i4") - 1
    columns = np.sort(rng.permutation(d).astype("i4")[np.minimum(ranks, d - 1)].reshape(n, per_row), axis=1).ravel()
    ends = np.arange(0, n * per_row + 1, per_row, dtype="i4")
    X = sparse.csr_matrix((np.full(n * per_row, per_row**-0.5, "f4"), columns, ends), shape=(n, d))
    return as_csr(X), rng.integers(0, CLASSES, n)


SETS: dict[str, Callable[[], Samples]] = {
    "news20": lambda: tf_idf("news20_counts"),
    "IMDB": lambda: tf_idf("imdb_counts"),
    "uniform": uniform,
    "Zipf": zipf,
}
