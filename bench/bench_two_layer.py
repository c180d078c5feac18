"""The paper's training loop: 2-2-1 networks, x = (1, 1), y = 1, eta = 0.1, float64

Reproduce: pytest bench/bench_two_layer.py -m ""
An assertion checks first that all contenders compute the same outputs. Each keeps the output of every iteration. Times are per
iteration of one network. PyTorch eager trains one network; the vectorised rivals train all 10,000 at once.
Peak memory is measured as in `measure.py`. Targets: 60 ns, 300x the pure twin, 3000x PyTorch eager, 1.8x from a second thread.
"""

from functools import cache, partial

import joblib
import numpy as np
import pytest

from bench.measure import Run, duration, memory_is_measurable, peak_memory, pure_kernels, times, verdict
from fcfast import paper
from fcfast.paper.experiments import default_problem
from fcfast.paper.techniques import TECHNIQUES, Backprop

try:
    import torch
except ImportError:
    torch = None
else:
    torch.set_num_threads(1)

needs_torch = pytest.mark.skipif(torch is None, reason='PyTorch is not installed: pip install -e ".[bench]"')
needs_two_cores = pytest.mark.skipif(joblib.cpu_count() < 2, reason="only one core")

X, TARGET, ETA = np.ones(2), 1.0, 0.1
N_SEEDS, N_ITER = 10_000, 1000
EXACT = [name for name in ("backprop", *TECHNIQUES) if name not in ("printed_form", "sum_difference_literal")]
SHORT = "backprop", "closed_form"  # techniques that are measured even if not everything is


def draw(n_networks):
    """Give initial weights W1 (n, h, d) and w2 (n, h) from U(-1, 1)."""
    rng = np.random.default_rng(0)
    return rng.uniform(-1, 1, (n_networks, 2, 2)), rng.uniform(-1, 1, (n_networks, 2))


# ----------------------------------------------------------------------------------------------------------------------
# the trainers: (W1, w2, n_iter) -> outputs (n, n_iter)


def train_fcfast(W1, w2, n_iter, technique="backprop", n_threads=1):
    problem = default_problem("weights", "simultaneous", ETA)
    network = TECHNIQUES.get(technique, Backprop)(problem, W1, w2[:, None])
    outputs = np.empty((len(W1), n_iter, 1))
    network.run(outputs, np.empty(len(W1), dtype=np.intp), n_threads)
    return outputs[:, :, 0]


def train_pure(W1, w2, n_iter, technique="backprop"):
    with pure_kernels():
        return train_fcfast(W1, w2, n_iter, technique)


def train_numpy(W1, w2, n_iter):
    """All networks at once; the networks are the fast axis and no step allocates: the fastest NumPy found."""
    W1, w2 = np.ascontiguousarray(W1.transpose(2, 1, 0)), np.ascontiguousarray(w2.T)
    outputs = np.empty((n_iter, w2.shape[1]))
    s, v, a, part = np.empty((4, *w2.shape))
    alive, rate = np.empty(w2.shape, dtype=bool), np.empty(w2.shape[1])
    for y in outputs:
        np.multiply(W1[0], X[0], out=s)
        s += np.multiply(W1[1], X[1], out=part)
        np.maximum(s, 0, out=v)
        np.add(*np.multiply(w2, v, out=part), out=y)
        np.subtract(TARGET, y, out=rate)
        rate *= ETA
        np.multiply(w2, rate, out=a)
        a *= np.greater(s, 0, out=alive)
        v *= rate
        w2 += v
        for f in range(2):
            W1[f] += np.multiply(a, X[f], out=part)
    return outputs.T


def train_torch_vectorised(W1, w2, n_iter):
    """All networks at once, gradient written by hand: the fastest PyTorch found."""
    with torch.inference_mode():
        W1, w2 = torch.tensor(W1.transpose(2, 1, 0).copy()), torch.tensor(w2.T.copy())
        outputs = torch.empty(n_iter, w2.shape[1], dtype=torch.float64)
        s, v, a, alive = (torch.empty_like(w2, dtype=dtype) for dtype in (*[torch.float64] * 3, torch.bool))
        for y in outputs:
            torch.mul(W1[0], X[0], out=s).add_(W1[1], alpha=X[1])
            torch.clamp_min(s, 0, out=v)
            torch.mul(w2[0], v[0], out=y).addcmul_(w2[1], v[1])
            rate = (TARGET - y).mul_(ETA)
            torch.mul(w2, rate, out=a).mul_(torch.gt(s, 0, out=alive))
            w2.addcmul_(v, rate)
            for f in range(2):
                W1[f].add_(a, alpha=X[f])
        return outputs.T.numpy()


def train_torch_vectorised_autograd(W1, w2, n_iter):
    """All networks at once, autograd of the summed loss."""
    W1, w2 = (torch.tensor(np.ascontiguousarray(w.T)).requires_grad_() for w in (W1, w2))
    weights, x = (W1.detach(), w2.detach()), torch.from_numpy(X).reshape(2, 1, 1)
    outputs = torch.empty(n_iter, w2.shape[1], dtype=torch.float64)
    for t in range(n_iter):
        y = (w2 * (W1 * x).sum(0).relu()).sum(0)
        outputs[t] = y.detach()
        for w, gradient in zip(weights, torch.autograd.grad((y - TARGET).square().sum(), (W1, w2)), strict=True):
            w.sub_(gradient, alpha=ETA / 2)
    return outputs.T.numpy()


def eager_weights(W1, w2):
    W1, w2 = torch.tensor(W1[0]).requires_grad_(), torch.tensor(w2[0]).requires_grad_()
    return W1, w2, torch.from_numpy(X)


def train_eager_sgd(W1, w2, n_iter):
    """One network, autograd and torch.optim.SGD (its defaults: foreach and fused were slower)."""
    W1, w2, x = eager_weights(W1, w2)
    optimizer = torch.optim.SGD([W1, w2], lr=ETA)
    outputs = []
    for _ in range(n_iter):
        y = w2.dot(W1.mv(x).relu())
        outputs.append(y.item())
        optimizer.zero_grad()
        ((y - TARGET).square() / 2).backward()
        optimizer.step()
    return np.array([outputs])


def train_eager_in_place(W1, w2, n_iter):
    """One network, autograd of the loss (without its 1/2: half the rate), weights updated in place."""
    W1, w2, x = eager_weights(W1, w2)
    outputs = []
    for _ in range(n_iter):
        y = w2.dot(W1.mv(x).relu())
        outputs.append(y.item())
        (y - TARGET).square().backward()
        with torch.no_grad():
            W1.sub_(W1.grad, alpha=ETA / 2)
            w2.sub_(w2.grad, alpha=ETA / 2)
        W1.grad = w2.grad = None
    return np.array([outputs])


def train_eager_output(W1, w2, n_iter):
    """One network, autograd of the output only, times the error as a Python number; updates through detached views."""
    W1, w2, x = eager_weights(W1, w2)
    plain_W1, plain_w2 = W1.detach(), w2.detach()
    outputs = []
    for _ in range(n_iter):
        y = w2.dot(W1.mv(x).relu())
        outputs.append(y.item())
        y.backward()
        rate = ETA * (outputs[-1] - TARGET)
        plain_W1.sub_(W1.grad, alpha=rate)
        plain_w2.sub_(w2.grad, alpha=rate)
        W1.grad = w2.grad = None
    return np.array([outputs])


def train_eager_by_hand(W1, w2, n_iter):
    """One network, gradient written by hand, no autograd."""
    outputs = []
    with torch.inference_mode():
        W1, w2, x = torch.tensor(W1[0]), torch.tensor(w2[0]), torch.from_numpy(X)
        for _ in range(n_iter):
            s = W1.mv(x)
            v = s.relu()
            outputs.append(w2.dot(v).item())
            rate = ETA * (TARGET - outputs[-1])
            back = w2 * s.gt_(0)
            w2.add_(v, alpha=rate)
            W1.addr_(back, x, alpha=rate)
    return np.array([outputs])


EAGER = {
    "autograd and torch.optim.SGD": train_eager_sgd,
    "autograd, update in place": train_eager_in_place,
    "autograd of the output alone, error by hand": train_eager_output,
    "gradient by hand, no autograd": train_eager_by_hand,
}
VECTORISED = {
    "NumPy": train_numpy,
    "PyTorch, gradient by hand": train_torch_vectorised,
    "PyTorch, autograd": train_torch_vectorised_autograd,
}


# ----------------------------------------------------------------------------------------------------------------------
# the benchmarks


def trained(trainer, n_networks, n_iter):
    """Train by name: what a child process is asked for when memory is measured. `study` keeps no outputs."""
    if trainer == "study":
        return paper.study(n_networks, n_iter, "closed_form", n_jobs=1)
    return globals()[trainer](*draw(n_networks), n_iter)


@cache
def expected_outputs(n_networks, n_iter):
    return train_fcfast(*draw(n_networks), n_iter)


def assert_same_outputs(trainers, n_networks, n_iter=N_ITER, atol=1e-12):
    expected = expected_outputs(n_networks, n_iter)
    for name, trainer in trainers.items():
        np.testing.assert_allclose(trainer(*draw(n_networks), n_iter), expected, rtol=0, atol=atol, err_msg=name)


def training(trainer, n_networks, n_iter=N_ITER, **options):
    weights = draw(n_networks)
    return Run(lambda: trainer(*weights, n_iter, **options), n_networks * n_iter)


def tell_memory(trainers, n_networks, benchmark, tell):
    """Report the peak memory of each trainer; nothing where it cannot be measured."""
    if not memory_is_measurable() or benchmark.disabled:
        return
    peaks = {
        name: peak_memory("bench.bench_two_layer:trained", (trainer, n_networks, N_ITER), (trainer, min(10, n_networks), 10))
        for name, trainer in trainers.items()
    }
    benchmark.extra_info["peak_bytes"] = peaks
    networks = "one network" if n_networks == 1 else f"{n_networks:,} networks"
    tell(f"peak memory, {networks}: " + ", ".join(f"{name} {peak / 1e6:.1f} MB" for name, peak in peaks.items()))


def marked(techniques):
    """All but two are left to the full version."""
    return [name if name in SHORT else pytest.param(name, marks=pytest.mark.full) for name in techniques]


@pytest.mark.parametrize("technique", marked(EXACT))
def bench_training(technique, compare, benchmark, tell):
    """One technique alone on 10,000 networks, and its pure twin on 50."""
    fast, slow = partial(train_fcfast, technique=technique), partial(train_pure, technique=technique)
    # A unit that comes close to dying amplifies the rounding of the techniques that divide by its value.
    assert_same_outputs({"compiled": fast}, N_SEEDS, atol=1e-11)
    assert_same_outputs({"pure": slow}, 50, n_iter=100)
    runs = {
        "one thread": training(fast, N_SEEDS),
        "two threads": training(fast, N_SEEDS, n_threads=2),
        "pure": training(slow, 50, n_iter=100),
    }
    one, two, pure = compare(runs, rounds=5).values()
    benchmark.extra_info |= {"ratio": pure / one, "speedup_of_two_threads": one / two}
    tell(f"{technique}: {duration(one)} (target 60 ns: {verdict(one <= 60e-9)}), "
         f"{times(pure / one)} as fast as the pure twin (target 300: {verdict(pure / one >= 300)}); "
         f"two threads {duration(two)}, {times(one / two)} as fast")  # fmt: skip


@needs_two_cores
@pytest.mark.parametrize("technique", marked(name for name in EXACT if name != "backprop"))
def bench_study(technique, compare, benchmark, tell):
    """The whole seed study: weights drawn, backpropagation, the technique, their comparison."""
    result = paper.study(N_SEEDS, N_ITER, technique, X=[X], y=[TARGET])
    assert not result.diverged.any()
    assert result.quantile(1) < 1e-11
    runs = {
        f"{n_jobs} threads": Run(
            lambda n_jobs=n_jobs: paper.study(N_SEEDS, N_ITER, technique, n_jobs=n_jobs, X=[X], y=[TARGET]),
            N_SEEDS * N_ITER,
        )
        for n_jobs in (1, 2)
    }
    one, two = compare(runs, rounds=5).values()
    benchmark.extra_info["ratio"] = one / two
    tell(f"study of {technique} beside backpropagation: {duration(one)}, two threads {duration(two)}, "
         f"{times(one / two)} as fast (target 1.8: {verdict(one / two >= 1.8)})")  # fmt: skip


@needs_torch
def bench_against_eager(compare, benchmark, tell):
    """PyTorch eager at its best, one network."""
    assert_same_outputs(EAGER, 1)
    runs = {
        "one network": training(train_fcfast, 1),
        "10,000 networks": training(train_fcfast, N_SEEDS),
        **{name: training(trainer, 1) for name, trainer in EAGER.items()},
    }
    seconds = compare(runs)
    one, many = seconds["one network"], seconds["10,000 networks"]
    tell(f"fcfast: {duration(many)} among 10,000 networks, {duration(one)} for one network, Python's overhead included")
    for name in EAGER:
        tell(f"PyTorch eager, {name}: {duration(seconds[name])}; fcfast is {times(seconds[name] / many)} as fast "
             f"among 10,000 networks, {times(seconds[name] / one)} for one")  # fmt: skip
    best = min(seconds[name] for name in EAGER if name.startswith("autograd"))
    benchmark.extra_info["ratio"] = best / many
    tell(f"against the best autograd one: {times(best / many)} as fast (target 3000: {verdict(best / many >= 3000)})")
    tell_memory({"fcfast": "train_fcfast", "PyTorch eager": "train_eager_in_place"}, 1, benchmark, tell)


def bench_against_vectorised(compare, benchmark, tell):
    """NumPy and PyTorch that train all 10,000 networks at once."""
    rivals = {name: trainer for name, trainer in VECTORISED.items() if torch or not name.startswith("PyTorch")}
    assert_same_outputs(rivals, N_SEEDS)
    runs = {
        "fcfast": training(train_fcfast, N_SEEDS),
        "fcfast, 2 threads": training(train_fcfast, N_SEEDS, n_threads=2),
        "fcfast, closed form": training(train_fcfast, N_SEEDS, technique="closed_form"),
        **{name: training(trainer, N_SEEDS) for name, trainer in rivals.items()},
    }
    seconds = compare(runs, rounds=5)
    benchmark.extra_info["ratio"] = min(seconds[name] for name in rivals) / seconds["fcfast"]
    own, two, closed = (seconds[name] for name in runs if name.startswith("fcfast"))
    for name in rivals:
        tell(f"{name}, vectorised over 10,000 networks: {duration(seconds[name])}; fcfast is {times(seconds[name] / own)} "
             f"as fast with backpropagation, {times(seconds[name] / two)} with two threads, "
             f"{times(seconds[name] / closed)} with the closed form")  # fmt: skip
    trainers = {"fcfast": "train_fcfast", "fcfast's study (keeps no outputs)": "study", "NumPy": "train_numpy"}
    if torch:
        trainers |= {"PyTorch": "train_torch_vectorised", "PyTorch with autograd": "train_torch_vectorised_autograd"}
    tell_memory(trainers, N_SEEDS, benchmark, tell)
