"""Whole fits, optimisers and memory against PyTorch: h = 256, float32, 2 threads

Reproduce: pytest bench/bench_fit.py -m ""
A whole fit is everything from the data to conventional weights: W1(0), Gram matrix, initial pre-activations, 100 epochs and the
expansion.
Memory is the peak of a child process minus its memory after imports and a small run; for a memory map only anonymous memory
counts. Targets: a whole fit 15 times as fast; 400 MB for a memory map of 200 x 2,000,000.
"""

import warnings

import numpy as np
import pytest
from scipy.linalg.blas import sgemm
from sklearn.feature_extraction.text import TfidfTransformer
from threadpoolctl import threadpool_limits

from bench import data as real_data
from bench.bench_front import Case, best, front_network, torch_network
from bench.measure import Run, duration, interleaved, memory_is_measurable, peak_memory, times, verdict
from bench.settings import CLASSIC
from fcfast import FrontClassifier
from fcfast.front.contributions import ContributionsForm
from fcfast.front.weights import WeightsForm
from fcfast.gram.start import GivenWeights
from fcfast.optimizers import AdamW, Muon, NeuronAdam
from fcfast.training.network import FrontNetwork

torch = pytest.importorskip("torch", reason="the peer is PyTorch")

HIDDEN, N_EPOCHS, RATE = 256, 100, 0.01
WIDE = Case(100, 20_000, 100, 0.9, 15)


def whole_fit(case):
    """Ours: an estimator, and its conventional weights."""
    X, y = case.data
    settings = {"batch_size": case.batch, "max_epochs": N_EPOCHS, "tol": 0, "n_iter_no_change": N_EPOCHS, "random_state": 0}
    settings |= {"learning_rate": RATE, "momentum": case.momentum}
    return FrontClassifier((HIDDEN,), shuffle=False, **CLASSIC | settings).fit(X, y).coefs_


def torch_fit(case, n_threads):
    """Theirs: initial weights, training."""
    torch.set_num_threads(n_threads)
    layers = torch.nn.Linear(case.d, HIDDEN), torch.nn.ReLU(), torch.nn.Linear(HIDDEN, 10)
    network = torch.nn.Sequential(*layers)
    optimizer = torch.optim.SGD(network.parameters(), lr=RATE, momentum=case.momentum)
    inputs, labels = map(torch.from_numpy, case.data)
    for _ in range(N_EPOCHS):
        loss = torch.nn.functional.cross_entropy(network(inputs), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return loss.item()


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")  # a fixed number of epochs
def bench_whole_fit(compare, tell):
    """From the data to conventional weights."""
    runs = {"fcfast": Run(lambda: whole_fit(WIDE))}
    runs |= {f"PyTorch, {n} threads": Run(lambda n=n: torch_fit(WIDE, n)) for n in (1, 2)}
    with threadpool_limits(2, user_api="blas"):
        seconds = compare(runs, rounds=3)
    ratio = best(seconds, "PyTorch") / seconds["fcfast"]
    tell(f"whole fit, {WIDE.n} x {WIDE.d:,}, {N_EPOCHS} epochs: {duration(seconds['fcfast'])}, PyTorch "
         f"{duration(best(seconds, 'PyTorch'))}: {times(ratio)} as fast (target 15: {verdict(ratio >= 15)})")  # fmt: skip


class TorchMuon:
    """Muon for matrices and AdamW for biases, as PyTorch's documentation has it."""

    def __init__(self, parameters):
        matrices, vectors = ([p for p in parameters if p.ndim == n] for n in (2, 1))
        self.parts = torch.optim.Muon(matrices, lr=RATE, weight_decay=0), torch.optim.AdamW(vectors, lr=RATE, weight_decay=0)

    def zero_grad(self):
        for part in self.parts:
            part.zero_grad()

    def step(self):
        for part in self.parts:
            part.step()


@pytest.mark.parametrize(
    ("form", "optimizer", "peer_kind"),
    [
        ("contributions", NeuronAdam(), lambda p: torch.optim.AdamW(p, lr=RATE, weight_decay=0)),
        ("weights", AdamW(), lambda p: torch.optim.AdamW(p, lr=RATE, weight_decay=0)),
        ("contributions", Muon(), TorchMuon),
    ],
    ids=["neuron-adam", "adamw", "muon"],
)
def bench_optimizers(form, optimizer, peer_kind, compare, tell):
    """A step of other optimisers. AdamW is the nearest that PyTorch has to NeuronAdam; its Muon works in bfloat16."""
    if not hasattr(torch.optim, "Muon"):
        pytest.skip("this PyTorch has no Muon")
    case = Case(100, 20_000, 100, 0.9, 1)
    peer = torch_network(case)
    X, labels = case.data
    W1, W2, b1, b2 = case.start
    kind = ContributionsForm if form == "contributions" else WeightsForm
    front = kind(X, GivenWeights(W1), np.dtype(np.float32), True)
    network = FrontNetwork(front, [b1, b2], [W2], "relu", "cross_entropy", optimizer, case.batch, case.batch, 2)
    peer.optimizer = peer_kind(list(peer.network.parameters()))
    rows, rates = np.arange(case.n), np.full(1, RATE)
    if isinstance(optimizer, AdamW):
        ours = np.concatenate([network.train_epoch(rows, rates, labels, None) for _ in range(3)])
        np.testing.assert_allclose(ours, [peer.train(1)[0] for _ in range(3)], rtol=1e-3, atol=1e-5)
    runs = {
        f"fcfast, {n} threads": Run(
            lambda _limits: network.train_epoch(rows, rates, labels, None),
            prepare=lambda n=n: (threadpool_limits(n, user_api="blas"),),
        )
        for n in (1, 2)
    }
    seconds = compare(runs | {f"PyTorch, {n} threads": Run(lambda n=n: peer.train(1, n)) for n in (1, 2)}, rounds=9)
    ours, theirs = best(seconds, "fcfast"), best(seconds, "PyTorch")
    peer_name = type(peer.optimizer).__name__.removeprefix("Torch")
    tell(f"{type(optimizer).__name__} in form {form!r}, {case.n} x {case.d:,}: {duration(ours)} a step, PyTorch's "
         f"{peer_name} {duration(theirs)}: {times(theirs / ours)} as fast")  # fmt: skip


@pytest.mark.parametrize(
    "case", [Case(1000, 20_000, 32, 0.9, 1), Case(1000, 20_000, 200, 0.9, 1)], ids=lambda c: f"B={c.batch}"
)
def bench_products(case, compare, tell):
    """How much of a step its matrix products are, timed alone at the same shapes and with the same BLAS."""
    network = front_network(case, "contributions")
    rows, rates = np.arange(case.n), np.full(case.n_steps, RATE)
    rng = np.random.default_rng(0)
    shapes = [(case.batch, HIDDEN, case.n), (case.batch, 10, HIDDEN), (10, HIDDEN, case.batch), (case.batch, HIDDEN, 10)]
    factors = [tuple(rng.normal(size=s).astype("f4", order="F") for s in ((n, k), (k, m))) for m, n, k in shapes]
    results = [np.zeros((n, m), "f4", order="F") for m, n, _ in shapes]

    def multiply():
        for (a, b), c in zip(factors, results, strict=True):
            sgemm(1.0, a, b, beta=1.0, c=c, overwrite_c=True)

    step = Run(lambda: network.train_epoch(rows, rates, case.data[1], None), case.n_steps)
    seconds = compare({"step": step, "products": Run(multiply)})
    share = seconds["products"] / seconds["step"]
    rate = sum(2 * m * n * k for m, n, k in shapes) / seconds["products"] / 1e9
    tell(f"N = {case.n:,}, B = {case.batch}, one thread: {duration(seconds['step'])} a step, its products alone "
         f"{duration(seconds['products'])} ({rate:.0f} GFLOP/s): {share:.0%} of it "
         f"(target 50 %: {verdict(share >= 0.5)})")  # fmt: skip


# ----------------------------------------------------------------------------------------------------------------------
# memory


def fit_mapped(path, n, d):
    """Train on a memory map."""
    X = np.memmap(path, np.float32, "r", shape=(n, d))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # ten epochs converge nowhere
        FrontClassifier((HIDDEN,), **CLASSIC | {"max_epochs": 10, "random_state": 0}).fit(X, np.arange(n) % 2)


def bench_memory_map(benchmark, tmp_path, tell):
    """200 samples of 2,000,000 features: a file of 1.6 GB."""
    if not memory_is_measurable() or benchmark.disabled:
        pytest.skip("memory cannot be measured here, or is not asked for")
    n, d = 200, 2_000_000
    rng = np.random.default_rng(0)
    with open(tmp_path / "X", "wb") as file:
        for _ in range(n):
            rng.random(d, np.float32).tofile(file)
    work = str(tmp_path / "X"), n, d
    peak = benchmark.pedantic(
        lambda: peak_memory("bench.bench_fit:fit_mapped", work, (work[0], 20, 1000), anonymous=True), rounds=1
    )
    tell(f"memory map of 200 x 2,000,000 (1.6 GB): {peak / 1e6:.0f} MB of anonymous memory at the peak (target 400: "
         f"{verdict(peak < 400e6)}); PyTorch's W1, its gradient and momentum alone: "
         f"{3 * 4 * HIDDEN * d / 1e9:.1f} GB")  # fmt: skip


def news(n_samples):
    """TF-IDF of the training part of 20 newsgroups, CSR in float32, and its labels."""
    from scipy import sparse

    arrays = real_data.load("news20_counts")
    counts = sparse.csr_array((arrays["data"], arrays["indices"], arrays["indptr"]), shape=tuple(arrays["shape"]))
    n_train = min(int(arrays["n_train"]), n_samples)
    tfidf = TfidfTransformer(sublinear_tf=True).fit_transform(counts[:n_train].astype(np.float32))
    return sparse.csr_array(tfidf), arrays["y"][:n_train].astype(np.intp)


def fit_text(n_samples, n_epochs):
    """Train on sparse rows as they are."""
    X, y = news(n_samples)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # few epochs
        settings = CLASSIC | {"learning_rate": 0.1, "max_epochs": n_epochs, "random_state": 0}
        FrontClassifier((HIDDEN,), **settings).fit(X, y)


def torch_text(n_samples, n_epochs):
    """Train with a dense first layer, each batch made dense."""
    X, y = news(n_samples)
    network = torch.nn.Sequential(torch.nn.Linear(X.shape[1], HIDDEN), torch.nn.ReLU(), torch.nn.Linear(HIDDEN, 20))
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9)
    rng = np.random.default_rng(0)
    for _ in range(n_epochs):
        for rows in np.split(rng.permutation(len(y)), range(200, len(y), 200)):
            outputs = network(torch.from_numpy(X[rows].toarray()))
            loss = torch.nn.functional.cross_entropy(outputs, torch.from_numpy(y[rows]))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


@pytest.mark.full
def bench_text(benchmark, tell):
    """11,314 texts of 130,107 words, sparse."""
    if not memory_is_measurable() or benchmark.disabled:
        pytest.skip("memory cannot be measured here, or is not asked for")
    try:
        news(10)
    except FileNotFoundError as absent:
        pytest.skip(str(absent))
    torch.set_num_threads(2)
    with threadpool_limits(2, user_api="blas"):
        one, several = (Run(lambda n=n: fit_text(10**6, n)) for n in (1, 6))
        ours = interleaved({"1": one, "6": several}, 1)
        theirs = benchmark.pedantic(lambda: interleaved({"1": Run(lambda: torch_text(10**6, 1))}, 1), rounds=1)["1"]
    epoch = (ours["6"] - ours["1"]) / 5
    peaks = [peak_memory(f"bench.bench_fit:{name}", (10**6, 1), (100, 1)) for name in ("fit_text", "torch_text")]
    tell(f"20 newsgroups, 11,314 x 130,107 sparse: {duration(epoch)} an epoch and {duration(ours['1'] - epoch)} once, PyTorch "
         f"(dense first layer) {duration(theirs)} an epoch; peak memory {peaks[0] / 1e6:.0f} MB, PyTorch "
         f"{peaks[1] / 1e6:.0f} MB")  # fmt: skip
