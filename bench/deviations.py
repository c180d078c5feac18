"""Accuracy with ``standardize="scale"`` on text, pixels and simulated genotypes: ``python -m bench.deviations``.

On text, a factor of the rates is chosen on a fifth of the training part. The other data are trained with the default rates.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.feature_extraction.text import TfidfTransformer

from bench.data import load
from fcfast import FrontClassifier

FACTORS = (0.3, 1.0, 3.0, 10.0, 30.0)
SEEDS, TEXT_SEEDS = 3, 2
Part = tuple[Any, Any]


def text(name: str) -> tuple[Part, Part]:
    """Give the counts and labels of the training part and of the test part."""
    held = load(name)
    X = sparse.csr_array((held["data"].astype("f4"), held["indices"], held["indptr"]), shape=tuple(held["shape"]))
    n = int(held["n_train"])
    return (X[:n], held["y"][:n]), (X[n:], held["y"][n:])


def weighted(train: Part, test: Part) -> tuple[Part, Part]:
    """Give TF-IDF in place of counts."""
    weights = TfidfTransformer(sublinear_tf=True).fit(train[0])
    return (weights.transform(train[0]), train[1]), (weights.transform(test[0]), test[1])


def pixels(in_units: bool) -> tuple[Part, Part]:
    """Give digits stored sparsely, as they are or each pixel in a unit of its own."""
    held = load("mnist")
    X, y = held["X"].reshape(len(held["y"]), -1).astype("f4"), held["y"]
    units = 10.0 ** np.random.default_rng(0).uniform(-2, 2, X.shape[1]) if in_units else np.ones(X.shape[1])
    X *= units.astype("f4")
    return (sparse.csr_array(X[:5000]), y[:5000]), (sparse.csr_array(X[-10000:]), y[-10000:])


def genotypes(lowest: float, highest: float, seed: int = 1) -> tuple[Part, Part]:
    """Simulate three populations with F_ST = 0.0015 by the model of Balding and Nichols (1995)."""
    rng, n, d, fst = np.random.default_rng(seed), 1500, 20000, 0.0015
    frequency = np.exp(rng.uniform(np.log(lowest), np.log(highest), d))
    of_each = rng.beta(frequency * (1 - fst) / fst, (1 - frequency) * (1 - fst) / fst, (3, d))
    population = np.arange(n) % 3
    X = sparse.csr_array(rng.binomial(2, of_each[population]).astype("f4"))
    return (X[:500], population[:500]), (X[500:], population[500:])


def score(train: Part, test: Part, scale: Any, seed: int = 0, factor: float = 1.0, **settings: Any) -> float:
    """Train with the chosen rates times a factor."""
    model = FrontClassifier(standardize=scale, random_state=seed, **settings).fit(*train)
    if factor != 1:
        rates = tuple(tuple(factor * rate for rate in layer) for layer in model.settings_["learning_rate"])
        optimizer = model.settings_["optimizer"]
        model = FrontClassifier(standardize=scale, random_state=seed, optimizer=optimizer, learning_rate=rates, **settings).fit(
            *train
        )
    return float(model.score(*test))


def best_factor(train: Part, scale: Any) -> float:
    """Choose a factor of the rates on a fifth of the training part."""
    X, y = train
    order = np.random.default_rng(0).permutation(len(y))
    held_out, rest = np.sort(order[: len(y) // 5]), np.sort(order[len(y) // 5 :])
    scores = [score((X[rest], y[rest]), (X[held_out], y[held_out]), scale, factor=factor) for factor in FACTORS]
    return FACTORS[int(np.argmax(scores))]


def results() -> Iterator[str]:
    """Give a line for each data set."""
    for name in ("news20_counts", "imdb_counts"):
        for kind, parts in (("counts", text(name)), ("TF-IDF", weighted(*text(name)))):
            for scale in (False, "scale"):
                factor = best_factor(parts[0], scale)
                plain, tuned = (np.mean([score(*parts, scale, seed, by) for seed in range(TEXT_SEEDS)]) for by in (1.0, factor))
                yield f"{name} {kind} standardize={scale}: {plain:.3f}, with rates times {factor:g} {tuned:.3f}"
    others = {
        "pixels": pixels(False), "pixels in units": pixels(True), "genotypes, 0.5 to 50 %": genotypes(0.005, 0.5),
        "genotypes, 0.5 to 5 %": genotypes(0.005, 0.05), "genotypes, 5 to 50 %": genotypes(0.05, 0.5),
    }  # fmt: skip
    for name, parts in others.items():
        epochs = {"max_epochs": 10} if name.startswith("pixels") else {}
        for scale in (False, "scale", True):
            yield f"{name} standardize={scale}: {np.mean([score(*parts, scale, seed, **epochs) for seed in range(SEEDS)]):.3f}"


if __name__ == "__main__":
    for line in results():
        print(line, flush=True)
