"""Steps on sparse rows against torch.nn.EmbeddingBag: h = 256, float32, one thread, processor time

Reproduce: python -m bench.sparse [batch sizes]
The peer is EmbeddingBag(mode="sum", sparse=True), whose gradients touch only the features of a batch, with SGD without
momentum, which torch does not have for them. Its batches are cut from the CSR matrix as ours are. Losses are compared first.
Targets: 5 times as fast without momentum and 2 times with it at B = 32, 15 and 6 times at B = 1 (text); 3 and 1.3 (uniform).
"""

import sys
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.feature_extraction.text import TfidfTransformer
from threadpoolctl import threadpool_limits

from bench.data import load
from bench.measure import Run, duration, interleaved_rounds
from fcfast.front import SparseWeightsForm
from fcfast.gram.start import RandomWeights
from fcfast.optimizers import SGD
from fcfast.training.network import FrontNetwork

HIDDEN, RATE, ROUNDS = 256, 0.1, 5
MOST_STEPS = 3000  # of a round


def news20() -> tuple[Any, Any]:
    """TF-IDF of the training part of 20 newsgroups."""
    held = load("news20_counts")
    counts = sparse.csr_matrix((held["data"].astype("f4"), held["indices"], held["indptr"]), shape=tuple(held["shape"]))
    n_train = int(held["n_train"])
    return TfidfTransformer(sublinear_tf=True).fit_transform(counts[:n_train]), held["y"][:n_train]


def uniform() -> tuple[Any, Any]:
    """100 features of 100,000 in each of 10,000 rows."""
    rng = np.random.default_rng(0)
    columns = rng.integers(0, 100_000, 10**6)
    X = sparse.csr_matrix((np.full(10**6, 0.1, "f4"), columns, np.arange(0, 10**6 + 1, 100)))
    X.sum_duplicates()
    return X, rng.integers(0, 20, 10_000)


def ours(X: Any, y: Any, order: Any, batch: int, momentum: float) -> tuple[FrontNetwork, Callable[[], Any]]:
    """A network, and a function that trains it on these rows and gives the losses of the steps."""
    n_out = int(y.max()) + 1
    start = RandomWeights(HIDDEN, X.shape[1], 0, "relu")
    front = SparseWeightsForm(X, start, np.dtype("float32"), momentum > 0, 1)
    above = np.random.default_rng(1).normal(size=(n_out, HIDDEN)) / HIDDEN**0.5
    biases = [np.zeros(HIDDEN), np.zeros(n_out)]
    network = FrontNetwork(front, biases, [above], "relu", "cross_entropy", SGD(momentum=momentum), batch, batch, 1)
    rates = np.full(-(-len(order) // batch), RATE * (1 - momentum))
    return network, lambda: network.train_epoch(order, rates, y, None)


def theirs(X: Any, y: Any, order: Any, batch: int, network: FrontNetwork) -> Callable[[], Any]:
    """The same function for EmbeddingBag with the weights of a network."""
    import torch

    torch.set_num_threads(1)
    bag = torch.nn.EmbeddingBag(*X.shape[::-1][:1], HIDDEN, mode="sum", sparse=True)
    bias, above = torch.nn.Parameter(torch.zeros(HIDDEN)), torch.nn.Linear(HIDDEN, len(network.biases[1]))
    with torch.no_grad():
        bag.weight.copy_(torch.from_numpy(network.front.expand().T.copy()))
        above.weight.copy_(torch.from_numpy(network.weights[0].copy()))
        above.bias.zero_()
    optimizer = torch.optim.SGD([*bag.parameters(), bias, *above.parameters()], lr=RATE)
    labels = torch.from_numpy(y.astype(np.int64))

    def train() -> Any:
        losses = []
        for first in range(0, len(order), batch):
            rows = X[order[first : first + batch]]
            entries, starts = torch.from_numpy(rows.indices), torch.from_numpy(rows.indptr[:-1])
            hidden = torch.relu(bag(entries, starts, per_sample_weights=torch.from_numpy(rows.data)) + bias)
            loss = torch.nn.functional.cross_entropy(above(hidden), labels[order[first : first + batch]])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        return np.array(losses)

    return train


def main(batches: list[int]) -> None:
    """Compare losses, then print the median times of a step."""
    for name, data in (("news20", news20), ("uniform", uniform)):
        X, y = data()
        X = sparse.csr_matrix((X.data.astype("f4"), X.indices.astype("i4"), X.indptr.astype("i4")), shape=X.shape)
        for batch in batches:
            order = np.random.default_rng(2).permutation(X.shape[0])[: MOST_STEPS * batch]
            network, plain = ours(X, y, order, batch, 0.0)
            peer, (_, heavy) = theirs(X, y, order, batch, network), ours(X, y, order, batch, 0.9)
            np.testing.assert_allclose(plain(), peer(), rtol=1e-3)
            runs = {"EmbeddingBag": peer, "without momentum": plain, "with momentum": heavy}
            n_steps = -(-len(order) // batch)
            measured = interleaved_rounds({key: Run(run, n_steps) for key, run in runs.items()}, ROUNDS, time.process_time)
            bag, *own = (median(seconds) for seconds in measured.values())
            print(
                f"{name} {X.shape[0]:,} x {X.shape[1]:,}, B = {batch}: EmbeddingBag {duration(bag)} a step, fcfast without "
                f"momentum {duration(own[0])} ({bag / own[0]:.1f} times as fast), with momentum {duration(own[1])} "
                f"({bag / own[1]:.1f})"
            )


if __name__ == "__main__":
    with threadpool_limits(1):
        main([int(size) for size in sys.argv[1:]] or [32, 1, 256])
