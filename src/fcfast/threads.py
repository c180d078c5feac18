"""Number of threads of kernels and of BLAS."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import cache
from numbers import Integral
from typing import Any

import joblib
import scipy.linalg.cython_blas  # noqa: F401  # the BLAS that the kernels call, loaded so that `blas` finds it
import threadpoolctl

from fcfast import backend

SMALL_PRODUCT = 2e7  # floating-point operations, about 0.2 ms on one core

_forked = False


def _after_fork() -> None:
    # A forked child inherits the state of OpenMP but not its threads, and starting a team there can hang (libgomp).
    global _forked
    _forked = True


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def available_threads() -> int:
    """Return the number of threads this process may use, by affinity, container limits and OMP_NUM_THREADS; 1 after a fork."""
    if _forked:
        return 1
    return min(int(backend.openmp.max_threads()), int(joblib.cpu_count()))


@cache
def blas() -> threadpoolctl.ThreadpoolController:
    """Return the controller of the BLAS of NumPy and SciPy; it is cached, because finding it takes milliseconds."""
    return threadpoolctl.ThreadpoolController().select(user_api="blas")


def _take_control() -> None:
    """Let this thread limit BLAS: threadpoolctl 3.8 ignores all threads but the first one that did, until that is cleared."""
    clear = getattr(threadpoolctl.OpenBLASController, "clear_controlling_thread", None)
    if clear is not None:
        clear(force=True)


_limited = threading.Lock()
_limits: list[Any] = []  # one entry per active context; the first one has set the limit


def _limit() -> Any:
    _take_control()
    return blas().limit(limits=1)


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Limit BLAS to one thread.

    The limit applies to the whole process: the first of several Python threads sets it, and the last one restores it.
    """
    with _limited:
        _limits.append(_limits[0] if _limits else _limit())
    try:
        yield
    finally:
        with _limited:
            limit = _limits.pop()
            if not _limits:
                _take_control()
                limit.restore_original_limits()
                _take_control()  # it is anybody's again


@contextmanager
def blas_threads_for(flops: float) -> Iterator[None]:
    """Limit BLAS to one thread if its largest product is small; otherwise change nothing.

    A second thread gains little in a product of 0.1 ms, and costs many times the product if another process needs the processor
    (up to 30 times as measured on two shared cores).
    """
    with one_blas_thread() if flops < SMALL_PRODUCT else nullcontext():
        yield


def kernel_threads(n_threads: int, flops: float) -> int:
    """Return the number of threads for a kernel whose largest matrix product takes `flops` operations: `n_threads` or 1.

    It is 1 if this process has been forked since `n_threads` was resolved, or if BLAS itself uses several threads. The threads
    of BLAS and of OpenMP wait for work by keeping a processor busy, and take it from each other (as measured on two cores,
    steps take 7 to 9 times as long).
    """
    return 1 if _forked or flops >= SMALL_PRODUCT else n_threads


def resolve_n_jobs(n_jobs: int | None = None) -> int:
    """Convert ``n_jobs`` to a number of threads.

    Parameters
    ----------
    n_jobs : int or None
        None uses all available threads, a positive number that many threads (but no more than there are processors), -1 all
        available threads, -2 all but one, and so on.

    Returns
    -------
    int
        Number of threads, at least 1. It is 1 in a process made by ``fork`` and without OpenMP.

    Raises
    ------
    ValueError
        If `n_jobs` is 0.
    TypeError
        If `n_jobs` is not an integer.

    Examples
    --------
    >>> from fcfast.threads import resolve_n_jobs
    >>> resolve_n_jobs(1)
    1
    """
    if n_jobs is None:
        return available_threads()
    if isinstance(n_jobs, bool) or not issubclass(type(n_jobs), Integral):  # arrays and np.True_ have an __index__ too
        raise TypeError(f"n_jobs must be an integer or None, got {n_jobs!r}")
    n_jobs = int(n_jobs)
    if n_jobs == 0:
        raise ValueError("n_jobs=0 has no meaning; use None for all threads, or a positive number")
    if n_jobs < 0:
        return max(1, available_threads() + 1 + n_jobs)
    if _forked or not backend.openmp.enabled():
        return 1
    return min(n_jobs, max(os.cpu_count() or 1, available_threads()))
