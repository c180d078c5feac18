"""Work that threads share, each of them with one BLAS thread."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np

from fcfast.threads import one_blas_thread


@contextmanager
def sharing(n_threads: int) -> Iterator[Callable[..., Any]]:
    """Give a ``map`` that runs in `n_threads` threads, each with one BLAS thread: nested threads would wait for each other."""
    with one_blas_thread(), _mapping(n_threads) as run:
        yield run


@contextmanager
def _mapping(n_threads: int) -> Iterator[Callable[..., Any]]:
    """Give ``map`` itself for one thread, and a ``map`` that runs in a pool for more."""
    if n_threads == 1:
        yield map
        return
    as_caller = partial(np.seterr, **np.geterr())  # a new thread would start with NumPy's default error handling
    with ThreadPoolExecutor(n_threads, initializer=as_caller) as pool:
        yield pool.map
