"""The data sets of bench/targets.py, and whether their targets are real: measured or counted by somebody, or made up.

A set that was `seen` is one by which fcfast's own constants for these losses were settled; the others were held out until then.
Genes, words and pixels that are targets are no features. Sets of text have few documents, so that they are wide.
"""

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from scipy import sparse
from sklearn.datasets import load_digits, make_multilabel_classification

from bench import data as real_data

SEED = 0
N_DOCUMENTS, FEWEST_DOCUMENTS = 400, 4  # of a corpus, and those that have a word
LEAST_INTENSITY = 16.0  # of gene expression; less is noise of the scanner
REAL, CUT, MADE = "real", "real, cut in two", "made up"
Samples = tuple[np.ndarray, np.ndarray]


class DataSet(NamedTuple):
    """A data set: which task it belongs to, what it is, what its targets are, whether it was seen, and its samples."""

    task: str
    title: str
    targets: str
    seen: bool
    load: Callable[[], Samples]


# ----------------------------------------------------------------------------------------------------------------------
# made up


def sparse_signal(n_samples: int, n_features: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.random.Generator]:
    """Give independent features, 30 of which make a signal of variance 1.2."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n_samples, n_features))
    return X, X[:, :30].sum(axis=1) / 5, rng


def factors(
    n_samples: int, n_features: int, seed: int, n_targets: int = 1
) -> tuple[np.ndarray, np.ndarray, np.random.Generator]:
    """Give features that ten hidden factors make with noise, and signals of variance 1 that are linear in the factors."""
    rng = np.random.default_rng(seed)
    hidden = rng.normal(size=(n_samples, 10))
    X = hidden @ rng.normal(size=(10, n_features)) + 3 * rng.normal(size=(n_samples, n_features))
    return X, hidden @ rng.normal(size=(10, n_targets)) / np.sqrt(10), rng


def sparse_counts() -> Samples:
    X, signal, rng = sparse_signal(200, 3000, 0)
    return X, rng.poisson(np.exp(signal)).astype(float)


def factor_counts(rate: float, seed: int) -> Samples:
    X, signal, rng = factors(200, 3000, seed)
    return X, rng.poisson(rate * np.exp(signal[:, 0])).astype(float)


def sparse_labels() -> Samples:
    X, signal, rng = sparse_signal(200, 3000, 1)
    return X, (signal[:, None] + rng.normal(size=(200, 3)) > [-0.5, 0, 0.5]).astype(int)


def factor_labels() -> Samples:
    X, signals, rng = factors(150, 3000, 2, 10)
    return X, (signals + rng.normal(size=signals.shape) > 0).astype(int)


def bags_of_words(n_features: int, n_classes: int, n_labels: int, seed: int) -> Samples:
    """Use scikit-learn's generator: counts of words that depend on the labels."""
    X, y = make_multilabel_classification(
        200, n_features, n_classes=n_classes, n_labels=n_labels, length=200, random_state=seed
    )
    return X[:, X.std(axis=0) > 0], y[:, np.abs(y.mean(axis=0) - 0.5) < 0.45]


def uneven_noise(seed: int) -> Samples:
    """Let the noise grow with another signal."""
    X, signals, rng = factors(200, 3000, seed, 2)
    return X, signals[:, 0] + np.exp(signals[:, 1]) * rng.normal(size=len(X)) / 2


def factor_numbers(seed: int, n_targets: int = 1) -> Samples:
    X, signals, rng = factors(150, 3000, seed, n_targets)
    y = signals + rng.normal(size=signals.shape) / 2
    return X, y[:, 0] if n_targets == 1 else y


# ----------------------------------------------------------------------------------------------------------------------
# real


@cache
def documents(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Give the counts of words in some documents of a corpus, the most widespread words first, and the documents' classes."""
    loaded = real_data.load(name)
    counts = sparse.csr_matrix((loaded["data"], loaded["indices"], loaded["indptr"]), tuple(loaded["shape"]))
    rows = np.sort(np.random.default_rng(SEED).choice(counts.shape[0], N_DOCUMENTS, replace=False))
    counts = counts[rows]
    n_documents = counts.getnnz(axis=0)
    order = np.argsort(-n_documents, kind="stable")
    return counts[:, order[n_documents[order] >= FEWEST_DOCUMENTS]].toarray().astype(float), loaded["y"][rows]


def word_counts(name: str, word: int) -> Samples:
    """Predict how often the word of a rank stands in a document, from the counts of the others."""
    counts = documents(name)[0]
    return np.log1p(np.delete(counts, word, axis=1)), counts[:, word]


def words_there(name: str, first: int) -> Samples:
    """Predict which of ten words a document has, from the counts of the others."""
    counts = documents(name)[0]
    words = np.arange(first, first + 10)
    return np.log1p(np.delete(counts, words, axis=1)), (counts[:, words] > 0).astype(int)


def newsgroups() -> Samples:
    """Predict the parts of a newsgroup's name (comp, sys, hardware, politics ...) that several groups have."""
    counts, groups = documents("news20_counts")
    names = real_data.load("news20_counts")["target_names"].tolist()
    parts = [set(name.replace("-", ".").split(".")) for name in names]
    shared = [part for part in sorted(set().union(*parts)) if sum(part in each for each in parts) > 1]
    labels = np.array([[part in each for part in shared] for each in parts], dtype=int)
    return np.log1p(counts), labels[groups]


@cache
def genes(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Give logarithms of gene expression, and ten genes drawn from those that nine of ten samples have."""
    X = np.log2(np.maximum(real_data.load(name)["X"].astype(float), LEAST_INTENSITY))
    X = X[:, X.std(axis=0) > 0]
    found = np.flatnonzero((np.log2(LEAST_INTENSITY) < X).mean(axis=0) > 0.9)
    chosen = np.random.default_rng(SEED).choice(found, 10, replace=False)
    return np.delete(X, chosen, axis=1), X[:, chosen]


def gene(name: str, which: int) -> Samples:
    X, y = genes(name)
    return X, y[:, which]


def riboflavin() -> Samples:
    loaded = real_data.load("riboflavin")
    return loaded["X"].astype(float), loaded["y"].astype(float)


def gasoline() -> Samples:
    loaded = real_data.load("nir_gasoline")
    return loaded["X"].astype(float), loaded["y"].astype(float)


def tecator() -> Samples:
    """Give fat, water and protein of meat; spectra that repeat an earlier one are left out."""
    loaded = real_data.load("nir_tecator")
    first = np.sort(np.unique(loaded["X"], axis=0, return_index=True)[1])
    return loaded["X"][first].astype(float), loaded["y"][first].astype(float)


def fat() -> Samples:
    X, y = tecator()
    return X, y[:, 0]


def cut(samples: Callable[[], Samples]) -> Samples:
    """Make labels of numbers."""
    X, y = samples()
    return X, (y > np.median(y, axis=0)).astype(int)


def pixels() -> Samples:
    """Predict the dark dots, of 16, in a block of a digit's image from those in the other blocks."""
    X = load_digits().data
    rest = np.delete(X, 27, axis=1)
    return rest[:, rest.std(axis=0) > 0], X[:, 27]


def lit_pixels() -> Samples:
    """Predict which of ten blocks of a digit's image are dark."""
    X = load_digits().data
    chosen = np.argsort(-X.std(axis=0), kind="stable")[:10]
    rest = np.delete(X, chosen, axis=1)
    return rest[:, rest.std(axis=0) > 0], (X[:, chosen] > 8).astype(int)


DATA: dict[str, DataSet] = {
    "counts, sparse": DataSet("counts", "30 of 3,000 independent features", MADE, True, sparse_counts),
    "counts, factors": DataSet("counts", "ten factors, mean near 1", MADE, True, lambda: factor_counts(1.0, 1)),
    "counts, news": DataSet("counts", "a word in 400 posts", REAL, True, lambda: word_counts("news20_counts", 20)),
    "counts, high": DataSet("counts", "ten factors, mean near 10", MADE, False, lambda: factor_counts(10.0, 3)),
    "counts, reviews": DataSet("counts", "a word in 400 reviews", REAL, False, lambda: word_counts("imdb_counts", 20)),
    "counts, reviews 2": DataSet("counts", "a rarer word in 400 reviews", REAL, False, lambda: word_counts("imdb_counts", 60)),
    "counts, digits": DataSet("counts", "dark dots in a block of a digit", REAL, False, pixels),
    "labels, sparse": DataSet("labels", "30 of 3,000 independent features", MADE, True, sparse_labels),
    "labels, bags": DataSet(
        "labels", "make_multilabel_classification, 8 labels", MADE, True, lambda: bags_of_words(2000, 8, 3, 0)
    ),
    "labels, newsgroups": DataSet("labels", "parts of the newsgroup's name, 400 posts", REAL, True, newsgroups),
    "labels, prostate": DataSet(
        "labels", "ten genes, prostate", CUT, True, lambda: cut(lambda: genes("singh_prostate"))
    ),
    "labels, factors": DataSet("labels", "ten factors, 10 labels", MADE, False, factor_labels),
    "labels, bags 2": DataSet(
        "labels", "make_multilabel_classification, 20 labels", MADE, False, lambda: bags_of_words(5000, 20, 5, 1)
    ),
    "labels, reviews": DataSet("labels", "ten words, 400 reviews", REAL, False, lambda: words_there("imdb_counts", 40)),
    "labels, sarcoma": DataSet("labels", "ten genes, sarcoma", CUT, False, lambda: cut(lambda: genes("nakayama_sarcoma"))),
    "labels, digits": DataSet("labels", "ten blocks of a digit", CUT, False, lit_pixels),
    "quantiles, noise": DataSet("quantiles", "ten factors, uneven noise", MADE, True, lambda: uneven_noise(4)),
    "quantiles, riboflavin": DataSet("quantiles", "riboflavin production", REAL, True, riboflavin),
    "quantiles, prostate": DataSet("quantiles", "a gene, prostate", REAL, True, lambda: gene("singh_prostate", 0)),
    "quantiles, noise 2": DataSet("quantiles", "ten factors, uneven noise again", MADE, False, lambda: uneven_noise(5)),
    "quantiles, sarcoma": DataSet("quantiles", "a gene, sarcoma", REAL, False, lambda: gene("nakayama_sarcoma", 0)),
    "quantiles, gasoline": DataSet("quantiles", "octane of gasoline, spectra", REAL, True, gasoline),
    "quantiles, meat": DataSet("quantiles", "fat of meat, spectra", REAL, True, fat),
    "outliers, factors": DataSet("outliers", "ten factors", MADE, True, lambda: factor_numbers(6)),
    "outliers, riboflavin": DataSet("outliers", "riboflavin production", REAL, True, riboflavin),
    "outliers, factors 2": DataSet("outliers", "ten factors again", MADE, False, lambda: factor_numbers(7)),
    "outliers, sarcoma": DataSet("outliers", "a gene, sarcoma", REAL, False, lambda: gene("nakayama_sarcoma", 0)),
    "outliers, gasoline": DataSet("outliers", "octane of gasoline, spectra", REAL, True, gasoline),
    "outliers, meat": DataSet("outliers", "fat of meat, spectra", REAL, True, fat),
    "missing, factors": DataSet("missing", "ten factors, 5 targets", MADE, True, lambda: factor_numbers(8, 5)),
    "missing, prostate": DataSet("missing", "ten genes, prostate", REAL, True, lambda: genes("singh_prostate")),
    "missing, sarcoma": DataSet("missing", "ten genes, sarcoma", REAL, False, lambda: genes("nakayama_sarcoma")),
    "missing, leukaemia": DataSet("missing", "ten genes, leukaemia", REAL, False, lambda: genes("golub_leukemia")),
    "missing, meat": DataSet("missing", "fat, water, protein of meat, spectra", REAL, False, tecator),
}  # fmt: skip


@cache
def arrays(name: str) -> Samples:
    """Give the features as float32, and the targets."""
    X, y = DATA[name].load()
    return np.ascontiguousarray(X, dtype=np.float32), y


def summary(name: str) -> dict[str, Any]:
    """What the report says of a set, so that it needs no data."""
    X, y = arrays(name)
    return {"shape": X.shape, "targets": 1 if y.ndim == 1 else y.shape[1], "mean": float(np.mean(y))}
