"""Fixtures and settings of all tests: the report header, precisions, threads, seeds, real data.

Environment variables
---------------------
FCFAST_TEST_SEED   for ``global_random_seed``: a number (default 42), a range "a-b", "all" (0-99), "any" (one of them)
FCFAST_TEST_EFFORT "full": as many random cases as CI tries (tests/effort.py)
FCFAST_DATA        folder of the real data sets (default: ../shared/data, beside the repository)
"""

import atexit
import gc
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable

import effort  # noqa: F401  # before whatever loads OpenMP
import hypothesis
import numpy as np
import pytest
from sklearn.datasets import make_blobs

import fcfast
from bench import data as real_data
from fcfast import backend
from fcfast.front import FORMS
from fcfast.losses import LOSSES
from fcfast.optimizers import OPTIMIZERS
from fcfast.paper import timing
from fcfast.rules import RULES

pytest.register_assert_rewrite("twins", "rule_reference", "noprop_cases", "source_checks")

# The machine is measured once for all tests and whatever processes they start; the user's own cache is left alone.
os.environ["FCFAST_CACHE"] = tempfile.mkdtemp(prefix="fcfast-test-cache-")
atexit.register(shutil.rmtree, os.environ["FCFAST_CACHE"], ignore_errors=True)


def seeds(wanted: str) -> list[int]:
    """Read FCFAST_TEST_SEED, with the meaning scikit-learn gives SKLEARN_TESTS_GLOBAL_RANDOM_SEED."""
    if wanted == "all":
        return list(range(100))
    if wanted == "any":
        return [random.SystemRandom().randrange(100)]
    first, _, last = wanted.partition("-")
    chosen = list(range(int(first), int(last or first) + 1))
    if not chosen:
        raise pytest.UsageError(f"FCFAST_TEST_SEED={wanted!r} is an empty range; use a-b with a <= b")
    return chosen


# Few examples, the same ones every time: a failure is then a failure for everyone.
hypothesis.settings.register_profile("fcfast", max_examples=20, deadline=None, derandomize=True, database=None)
hypothesis.settings.load_profile("fcfast")

SEEDS = seeds(os.environ.get("FCFAST_TEST_SEED", "42"))

gc.disable()  # until everything is imported


def pytest_collection_finish() -> None:
    """Search later garbage without the objects of all modules and tests, which took a seventh of the suite's time."""
    gc.enable()
    gc.collect()
    gc.freeze()


def pytest_report_header() -> list[str]:
    """Say which fcfast is tested, and which of its twins."""
    return [
        f"fcfast {fcfast.__version__}: {fcfast.__file__}",
        f"backend: {backend.NAME}, OpenMP: {backend.openmp.enabled()}, seeds: {SEEDS}, data: {real_data.DATA}",
    ]


@pytest.fixture(params=SEEDS)
def global_random_seed(request: pytest.FixtureRequest) -> int:
    """A seed; FCFAST_TEST_SEED chooses which, so that a test can be tried on many."""
    return request.param


@pytest.fixture(params=["float32", "float64"])
def dtype(request: pytest.FixtureRequest) -> np.dtype:
    """Each precision the kernels have."""
    return np.dtype(request.param)


@pytest.fixture(params=[1, 2])
def n_threads(request: pytest.FixtureRequest) -> int:
    """One thread, and more than one."""
    return request.param


@pytest.fixture(scope="session")
def scaled() -> Callable[[int, int], int]:
    """``scaled(compiled, python)``: the size of a piece of work for the backend in use."""
    return lambda compiled, python: compiled if backend.NAME == "compiled" else python


@pytest.fixture(scope="session")
def load_data() -> Callable[[str], dict[str, np.ndarray]]:
    """``load_data("colon_alon")``: the arrays of a real data set; the test is skipped where it is absent."""

    def load(name: str) -> dict[str, np.ndarray]:
        try:
            return real_data.load(name)
        except FileNotFoundError as absent:
            pytest.skip(str(absent))

    return load


@pytest.fixture(scope="session")
def run_python() -> Callable[..., subprocess.CompletedProcess[str]]:
    """``run_python(code, FCFAST_BACKEND="python")``: run code in a new interpreter; None unsets a variable."""

    def run(code: str, *options: str, **environment: str | None) -> subprocess.CompletedProcess[str]:
        variables = {name: value for name, value in (os.environ | environment).items() if value is not None}
        command = [sys.executable, *options, "-c", code]
        return subprocess.run(command, env=variables, capture_output=True, text=True, timeout=60, check=False)

    return run


@pytest.fixture(scope="module")
def brief_timing():
    """The time of an iteration against the width is measured on small networks and few iterations: no test looks at it."""
    measure = timing._seconds_per_iteration

    def shorter(technique, hidden, short, long, seed):
        return measure(technique, min(hidden, 1000), short // 100 + 2, long // 100 + 4, seed)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(timing, "_seconds_per_iteration", shorter)
        yield


@pytest.fixture(scope="module")
def wide():
    """A wide, separable problem: 40 samples, 3000 features, 3 classes."""
    X, y = make_blobs(40, 3000, centers=3, cluster_std=8.0, random_state=0)
    return X, np.array(["a", "b", "c"])[y]


@pytest.fixture(autouse=True)
def same_registries():
    """Take out what a test has registered."""
    before = [dict(registry) for registry in (FORMS, OPTIMIZERS, RULES, LOSSES)]
    yield
    for registry, held in zip((FORMS, OPTIMIZERS, RULES, LOSSES), before, strict=True):
        registry.clear()
        registry.update(held)
