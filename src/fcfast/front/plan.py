"""Which form the front layer should take, from the work each would do."""

from dataclasses import dataclass
from typing import Any

from scipy import sparse

# The Gram matrix may take this much unless the caller says otherwise.
DEFAULT_MEMORY_LIMIT = 4 << 30

# Long enough to make matrix products of single samples, short enough that the K x K work inside a window stays small.
WINDOW_ROWS = {"windowed": 96, "contributions": 32}


@dataclass(frozen=True)
class Work:
    """Floating-point operations of the front layer over a whole training, for each form (docs/mathematics.md, 4)."""

    contributions: float
    windowed: float
    gram_bytes: int


def count_work(n_samples: int, n_features: int, hidden: int, n_epochs: int, with_momentum: bool, itemsize: int) -> Work:
    """Count what training costs in each form; windows multiply with the velocity too."""
    products = 2 if with_momentum else 1
    steps = float(n_epochs) * n_samples
    once = float(n_samples) ** 2 * n_features + 4.0 * n_samples * n_features * hidden
    return Work(
        contributions=once + steps * 2 * n_samples * hidden,
        windowed=steps * products * 4 * n_features * hidden,
        gram_bytes=n_samples**2 * itemsize,
    )


def choose_form(form: str, X: Any, hidden: int, n_epochs: int, with_momentum: bool, itemsize: int, memory_limit: int) -> str:
    """Resolve ``form="auto"``, and refuse a form that cannot be: sparse weights, a Gram matrix over the limit.

    Raises
    ------
    MemoryError
        With the figures, before anything is allocated.
    TypeError
        For sparse data in a form that multiplies with dense weights.
    """
    n_samples, n_features = X.shape
    work = count_work(n_samples, n_features, hidden, n_epochs, with_momentum, itemsize)
    if form == "auto":
        fits = work.gram_bytes <= memory_limit
        cheaper = work.contributions < work.windowed
        form = "contributions" if sparse.issparse(X) or (fits and cheaper) else "windowed"
    if form == "contributions" and work.gram_bytes > memory_limit:
        raise MemoryError(
            f"form='contributions' needs a Gram matrix of {X.shape[0]} x {X.shape[0]} samples, {work.gram_bytes / 2**30:.1f} "
            f"GiB, over memory_limit={memory_limit / 2**30:.1f} GiB; raise the limit, use fewer samples, or form='windowed'"
        )
    if form != "contributions" and sparse.issparse(X):
        raise TypeError(f"form={form!r} needs a dense X, got a sparse matrix; use form='contributions', or X.toarray()")
    return form


def choose_window(form: str, window: int | str, batch_size: int, n_samples: int) -> int:
    """Resolve ``window="auto"`` into rows, a multiple of the batch size."""
    if form == "weights":
        return batch_size
    rows = WINDOW_ROWS[form] if isinstance(window, str) else min(int(window), n_samples)
    return max(batch_size, rows // batch_size * batch_size)
