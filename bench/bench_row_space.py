"""Against PyTorch in the row space of wide data, what an expert would do: h = 256, momentum 0.9, float32, d = 20,000

Reproduce: pytest bench/bench_row_space.py -m ""
Without weight decay, training on X = L Q' with orthonormal Q equals training on L (N x N) with W1(0) Q: the trajectory is the
same, and W1 = W1(0) + (change in coordinates) Q' at the end. PyTorch gets L by QR, or by Cholesky of the Gram matrix, which
needs no Q. Losses, or weights, are compared first. A whole run is everything from the data to conventional weights with 100
epochs; both sides get the same initial weights, or each draws its own.
Targets: a step 1.5 times as fast, a whole run 2 times, against QR or SVD, the known way; Cholesky is the stronger peer.
"""

from functools import partial

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from bench.bench_front import CLASSES, HIDDEN, RATE, Case, best, front_epoch, front_network, front_runs, torch_runs
from bench.measure import Run, duration, times, verdict
from bench.settings import CLASSIC
from fcfast import FrontClassifier

torch = pytest.importorskip("torch", reason="the peer is PyTorch")
peers = pytest.importorskip("bench.peers")

N_EPOCHS = 100
CASES = Case(100, 20_000, 100, 0.9, 1.5), Case(300, 20_000, 32, 0.9, 1.5), Case(1000, 20_000, 32, 0.9, 1.5)


def reduced(case, start, reduce):
    """The peer on the coordinates of the samples, and the row space they refer to."""
    space = reduce(case.data[0], start.W1)
    start = start._replace(W1=space.W1)
    peer = peers.TorchNetwork(space.coordinates, case.data[1], HIDDEN, CLASSES, case.batch, RATE, case.momentum, start)
    return peer, space


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.n}x{case.d},B={case.batch}")
def bench_step(case, compare, tell):
    """A step, with what is done once left out on both sides."""
    network, (peer, _) = front_network(case, "contributions"), reduced(case, case.start, peers.by_qr)
    epoch, n_steps = front_epoch(case, network), min(case.n_steps, 8)
    np.testing.assert_allclose(epoch()[:n_steps], peer.train(n_steps), rtol=1e-3)
    seconds = compare({**front_runs(case, "fcfast", epoch), **torch_runs(case, peer, n_steps)}, rounds=7)
    ours, theirs = best(seconds, "fcfast"), best(seconds, "PyTorch")
    tell(f"N = {case.n:,}, B = {case.batch}: {duration(ours)} a step, PyTorch on {case.n} coordinates {duration(theirs)}: "
         f"{times(theirs / ours)} as fast (target 1.5: {verdict(theirs / ours >= 1.5)})")  # fmt: skip


def our_run(case, given):
    """From the data to conventional weights (d, h), from given initial weights and biases or from drawn ones."""
    settings = {"batch_size": case.batch, "max_epochs": N_EPOCHS, "tol": 0, "n_iter_no_change": N_EPOCHS, "shuffle": False}
    settings |= {"learning_rate": RATE, "momentum": case.momentum}
    classifier = FrontClassifier((HIDDEN,), form="contributions", **CLASSIC | settings)
    return classifier.fit(*case.data, **given).coefs_[0]


def their_run(case, reduce, n_threads, drawn=False):
    """The same (h, d) in the row space; the reduction always has both threads."""
    torch.set_num_threads(2)
    start = peers.drawn(case.d, HIDDEN, CLASSES) if drawn else case.start
    peer, space = reduced(case, start, reduce)
    for _ in range(N_EPOCHS):
        peer.train(case.n_steps, n_threads)
    torch.set_num_threads(2)
    return space.expand(peer.network[0].weight.detach().numpy())


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")  # a fixed number of epochs
@pytest.mark.parametrize("drawn", [False, True], ids=["given", "drawn"])
@pytest.mark.parametrize(
    "case", [*CASES[:2], pytest.param(CASES[2], marks=pytest.mark.full)], ids=lambda case: f"{case.n}x{case.d},B={case.batch}"
)
def bench_whole_run(case, drawn, compare, tell):
    """Everything to conventional weights, from the same initial weights or with each side drawing its own."""
    W1, W2, *biases = case.start
    # each side is given them in its own layout
    given = {} if drawn else {"coefs_init": [np.ascontiguousarray(W.T) for W in (W1, W2)], "intercepts_init": biases}
    ours = our_run(case, given).T
    for reduce in peers.REDUCTIONS.values():
        theirs = their_run(case, reduce, 2, drawn)
        if drawn:
            assert ours.shape == theirs.shape
        else:
            np.testing.assert_allclose(ours, theirs, atol=1e-3 * np.abs(theirs).max())
    runs = {"fcfast": Run(partial(our_run, case, given))}
    runs |= {
        f"PyTorch, {name}, {n} threads": Run(partial(their_run, case, reduce, n, drawn))
        for name, reduce in peers.REDUCTIONS.items()
        for n in (1, 2)
    }
    with threadpool_limits(2, user_api="blas"):
        seconds = compare(runs, rounds=3 if case.n >= 1000 else 7)
    fastest = {how: best(seconds, f"PyTorch, {how}") for how in peers.REDUCTIONS}
    against = "; ".join(
        f"{how} {duration(theirs)}: {times(theirs / seconds['fcfast'])} as fast" for how, theirs in fastest.items()
    )
    met = verdict(fastest["QR"] >= 2 * seconds["fcfast"])
    tell(f"N = {case.n:,}, B = {case.batch}, whole run of {N_EPOCHS} epochs, initial weights {'drawn' if drawn else 'given'}: "
         f"{duration(seconds['fcfast'])}; PyTorch by {against} (target 2 against QR: {met})")  # fmt: skip
