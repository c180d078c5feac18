"""Numbers of threads, forked children, and several Python threads at once."""

import os
import pickle
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from classic import FrontClassifier

from fcfast import NoPropClassifier, backend, paper
from fcfast.gram import products as gram
from fcfast.network import DenseNetwork
from fcfast.threads import available_threads, blas, one_blas_thread, resolve_n_jobs
from fcfast.training.pace import Pace

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
needs_openmp = pytest.mark.skipif(not backend.openmp.enabled(), reason="without OpenMP there is only one thread")

# ----------------------------------------------------------------------------------------------------------------------
# how many


def test_none_is_all_available():
    """None and -1 mean every thread this process may use."""
    assert resolve_n_jobs() == resolve_n_jobs(None) == resolve_n_jobs(-1) == available_threads() >= 1


def test_negative_counts_from_all():
    """-2 is all but one, and never less than one."""
    assert resolve_n_jobs(-2) == max(1, available_threads() - 1)
    assert resolve_n_jobs(-1000) == 1


@pytest.mark.parametrize("n_jobs", [1, 2, np.int64(2)], ids=repr)
def test_positive_is_itself(n_jobs):
    """A positive number is that many with OpenMP, and one without."""
    assert resolve_n_jobs(n_jobs) == (n_jobs if backend.openmp.enabled() else 1)
    assert type(resolve_n_jobs(n_jobs)) is int


def test_zero():
    """0 means nothing."""
    with pytest.raises(ValueError, match="n_jobs=0 has no meaning; use None"):
        resolve_n_jobs(0)


@pytest.mark.parametrize("n_jobs", ["2", 1.5, 2.0, True, np.True_, [1]], ids=repr)
def test_no_integer(n_jobs):
    """What is no integer, booleans included, is a TypeError with what was got."""
    with pytest.raises(TypeError, match="n_jobs must be an integer or None, got "):
        resolve_n_jobs(n_jobs)


@needs_openmp
def test_omp_num_threads(run_python):
    """OMP_NUM_THREADS limits what "all" means."""
    code = (
        "from fcfast.threads import *; print(available_threads(), resolve_n_jobs(None), resolve_n_jobs(-1), resolve_n_jobs(2))"
    )
    assert run_python(code, OMP_NUM_THREADS="1").stdout.split()[:3] == ["1", "1", "1"]


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system cannot bind a process to processors")
def test_affinity(run_python):
    """A process bound to one processor uses one thread."""
    code = """
import os
os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])
from fcfast.threads import *
print(available_threads(), resolve_n_jobs(None))
"""
    assert run_python(code, OMP_NUM_THREADS=None).stdout.split() == ["1", "1"]


def test_python_mode_has_one_thread(run_python):
    """The pure twins know no threads, whatever is asked for."""
    code = "from fcfast.threads import *; print(available_threads(), resolve_n_jobs(4), resolve_n_jobs(-1))"
    assert run_python(code, FCFAST_BACKEND="python", OMP_NUM_THREADS="4").stdout.split() == ["1", "1", "1"]


# ----------------------------------------------------------------------------------------------------------------------
# forked children

# Large enough that a pass starts threads; `child` runs in a forked process, killed if it hangs.
FORK = """
import hashlib, os, time
import numpy as np
from fcfast.network import DenseNetwork
from fcfast.threads import available_threads, resolve_n_jobs

rng = np.random.default_rng(0)
X, y = rng.normal(size=(300, 4)), rng.normal(size=(300, 1))
weights = [rng.normal(size=(120, 4)), rng.normal(size=(1, 120))]

def make():
    return DenseNetwork(weights, activation="tanh", n_jobs=2)

def train(network):
    network.loss_and_gradient(X, y)
    network.step(0.01)
    return hashlib.sha256(network.params.tobytes()).hexdigest()

def fork(child):
    pid = os.fork()
    if pid == 0:
        os._exit(0 if child() else 1)
    for _ in range(500):
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    os.kill(pid, 9)
    os.waitpid(pid, 0)
    return "hung"
"""


def run_forking(run_python, code):
    result = run_python(FORK + code)
    assert result.returncode == 0, result.stderr
    return result.stdout.split()


@pytest.mark.bits
@needs_fork
def test_forked_child_trains(run_python):
    """A child made after its parent used threads asks for several too: it neither hangs nor computes anything else."""
    assert run_forking(run_python, "expected = train(make()); print(fork(lambda: train(make()) == expected))") == ["0"]


@needs_fork
def test_forked_child_trains_its_parents_network(run_python):
    """A network made before the fork is trained on in the child."""
    code = "network = make(); train(network); print(fork(lambda: bool(train(network))))"
    assert run_forking(run_python, code) == ["0"]


@needs_fork
def test_one_thread_after_fork(run_python):
    """In the child every request gives one thread; the parent keeps its own."""
    code = """
before = resolve_n_jobs(None), resolve_n_jobs(2)
requests = None, -1, -2, 1, 2
print(fork(lambda: {available_threads(), *map(resolve_n_jobs, requests)} == {1}))
print((resolve_n_jobs(None), resolve_n_jobs(2)) == before)
"""
    assert run_forking(run_python, code) == ["0", "True"]


# ----------------------------------------------------------------------------------------------------------------------
# several Python threads


@pytest.mark.bits
def test_python_threads_share_inputs(scaled, n_threads, global_random_seed):
    """Networks trained at once on the same arrays end where they end one after the other; the arrays stay as they were."""
    rng = np.random.default_rng(global_random_seed)
    n_rows, width = scaled(300, 20), scaled(120, 8)
    X, y = rng.normal(size=(n_rows, 5)), rng.normal(size=(n_rows, 2))
    weights = [rng.normal(size=(width, 5)), rng.normal(size=(2, width))]
    before = X.tobytes(), y.tobytes()

    def train(momentum: float) -> bytes:
        network = DenseNetwork(weights, activation="tanh", n_jobs=n_threads)
        for _ in range(5):
            network.loss_and_gradient(X, y)
            network.step(0.01, momentum=momentum)
        return network.params.tobytes()

    momenta = [0.0, 0.3, 0.6, 0.9] * 2
    expected = [train(momentum) for momentum in momenta]
    with ThreadPoolExecutor(len(momenta)) as pool:
        assert list(pool.map(train, momenta)) == expected
    assert (X.tobytes(), y.tobytes()) == before
    assert len(set(expected)) == 4


def test_python_threads_run_the_papers_techniques(scaled, global_random_seed):
    """The kernels of the paper keep no state between calls: threads at once give what each gives alone."""
    rng = np.random.default_rng(global_random_seed)
    X, y = rng.normal(size=(4, 2)), rng.normal(size=4)
    W1, w2 = rng.uniform(-1, 1, (6, 2)), rng.uniform(-1, 1, 6)

    def outputs(technique: str) -> bytes:
        return paper.train_front(X, y, W1, w2, 0.02, scaled(5000, 200), technique).outputs.tobytes()

    techniques = ["states", "contributions", "sum_difference", "sum_difference_literal"] * 2
    expected = [outputs(technique) for technique in techniques]
    with ThreadPoolExecutor(len(techniques)) as pool:
        assert list(pool.map(outputs, techniques)) == expected


# ----------------------------------------------------------------------------------------------------------------------
# BLAS's threads, and how many kernels take


def blas_threads():
    return [pool["num_threads"] for pool in blas().info()]


def test_one_blas_thread_of_several_users():
    """Whoever leaves last sets BLAS's threads back, in whatever order they came."""
    with blas().limit(limits=2):
        before = blas_threads()
        first, second = one_blas_thread(), one_blas_thread()
        first.__enter__()
        second.__enter__()
        first.__exit__(None, None, None)
        assert set(blas_threads()) == {1}
        second.__exit__(None, None, None)
        assert blas_threads() == before


def test_any_python_thread_limits_blas():
    """Another one than the first that did, and another one than the one that began; threadpoolctl 3.8 obeys the first alone."""
    before = blas_threads()
    with one_blas_thread():
        assert set(blas_threads()) == {1}  # this thread was the first
    seen, begun, ended = [], threading.Event(), threading.Event()

    def outlive():
        with one_blas_thread():
            begun.set()
            ended.wait(10)
            seen.append(blas_threads())
        seen.append(blas_threads())

    other = threading.Thread(target=outlive)
    other.start()
    begun.wait(10)
    assert set(blas_threads()) == {1}
    with one_blas_thread():
        pass
    ended.set()
    other.join()
    assert seen == [[1] * len(before), before]


def test_pace_takes_the_faster(monkeypatch):
    """One thread at first; then whatever was faster, and from time to time the other again: it costs a twentieth at most."""
    now = 0.0
    monkeypatch.setattr("fcfast.training.pace.perf_counter", lambda: now)
    pace = Pace(2)
    for slow, n_epochs in ((1, 1000), (2, 4000), (1, 1000)):  # which number takes ten times as long as the other
        chosen = []
        for _ in range(n_epochs):
            chosen.append(pace.threads())
            seconds = 0.01 if chosen[-1] == slow else 0.001
            now += seconds
            pace.note(chosen[-1], seconds, n_steps=5)
        assert chosen[0] == 1 or slow != 1
        later = chosen[n_epochs // 2 :]
        assert 0 < later.count(slow) <= len(later) / 100
    assert Pace(1).threads() == 1


def test_pace_starts_anew_in_copies(monkeypatch):
    """A pickle may be read where the clock says something else: several threads are tried there as soon as here."""
    now = 1e6
    monkeypatch.setattr("fcfast.training.pace.perf_counter", lambda: now)
    X, y = np.eye(6, 20), np.arange(6) % 2
    classifier = FrontClassifier((4,), max_epochs=2, tol=0, random_state=0).fit(X, y)
    classifier.network_.n_threads = 2
    pickled = pickle.dumps(classifier)
    now = 0.0
    pace = pickle.loads(pickled).network_._pace
    now = 1.0
    assert pace.threads() == 2


@pytest.mark.parametrize(("optimizer", "rows"), [("sgd", 16), ("neuron-adam", 2), ("muon", 20)])
def test_products_that_threads_are_chosen_by(optimizer, rows):
    """Of windows where there are any; else of batches, and of all samples where an optimiser multiplies all of them."""
    X, y = np.random.default_rng(0).normal(size=(20, 50)), np.arange(20) % 2
    settings = {"form": "contributions", "batch_size": 2, "window": 16, "max_epochs": 1}
    network = FrontClassifier((30,), optimizer=optimizer, **settings).fit(X, y).network_
    assert network.largest_product == 2 * rows * 20 * 30


@pytest.mark.parametrize("form", ["contributions", "windowed"])
@pytest.mark.parametrize("estimator", [FrontClassifier, NoPropClassifier])
def test_n_jobs_reaches_all_that_reads_the_inputs(estimator, form, monkeypatch):
    """The Gram matrix and the initial pre-activations, the weights they expand to, predictions and explanations."""
    asked = []

    def resolved(n_jobs):
        asked.append(n_jobs)
        return 1

    monkeypatch.setattr(gram, "resolve_n_jobs", resolved)
    X, y = np.random.default_rng(0).normal(size=(20, 50)), np.arange(20) % 2
    fitted = estimator(form=form, max_epochs=1, batch_size=10, n_jobs=3).fit(X, y)
    fitted.predict(X)
    if form == "contributions" and estimator is FrontClassifier:
        fitted.explain(X[:2])
        fitted.partial_fit(X, y)
    assert asked
    assert set(asked) == {3}
