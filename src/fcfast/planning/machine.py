"""How fast this machine multiplies, moves memory and takes steps: measured once in about a third of a second, then kept.

`fcfast.plan` predicts with these figures. They are measured through the kernels in use, with the BLAS they use; each is the
best of several repetitions, so that what else runs at that moment matters little.
"""

import json
import os
import platform
import time
from bisect import bisect_right
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from math import exp, log
from pathlib import Path
from typing import Any

import numpy as np
import platformdirs
import scipy
from numpy.typing import NDArray
from scipy import optimize, sparse

from fcfast import backend
from fcfast._version import __version__
from fcfast.activations import ACTIVATIONS
from fcfast.files import write_text
from fcfast.gram.start import RandomWeights
from fcfast.threads import available_threads, blas, one_blas_thread

DTYPES = ("float32", "float64")
SIDES = (1, 2, 4, 8, 16, 32, 64, 128, 256)  # shortest sides of the products that are timed
FACTOR_SHAPE = 128, 1024  # of the weights they are timed with: these stay in a core's cache
WORKING_SETS = 1 << 18, 1 << 20, 1 << 22, 1 << 24, 1 << 26  # bytes
FORMAT = 2  # of the file; another is measured anew

Array = NDArray[Any]


@dataclass(frozen=True)
class Machine:
    """What predictions need to know; rates are operations or bytes in a second, of one thread where nothing else is said.

    Attributes
    ----------
    inner, outer : dict
        dtype -> floating-point operations per second of matrix products whose shortest side is each of `SIDES`. In `inner`
        products that side belongs to the result, in `outer` ones it is summed over.
    bandwidth : list of float
        Bytes read and written per second by an update of arrays that take each of `WORKING_SETS`.
    speedup : float
        Of a large product on all threads.
    n_threads : int
        Of BLAS.
    windows : bool
        Whether the kernels leave what the front layer holds alone within a window; those in pure Python do not.
    decay : dict
        dtype -> seconds to decay a weight and its velocity.
    step, row, element : float
        Seconds that a step, a sample of it, and an activation value of a hidden unit take apart from matrix products.
    draw, fill : float
        Seconds to make an initial weight, and to make it as part of a stored array.
    sparse_pair, sparse_product : float
        Seconds of a multiplication between sparse rows, and of one between sparse rows and dense weights.
    python_step : float
        Seconds of a step that Python drives, apart from arithmetic.
    """

    inner: dict[str, list[float]]
    outer: dict[str, list[float]]
    bandwidth: list[float]
    speedup: float
    n_threads: int
    windows: bool
    decay: dict[str, float]
    step: float
    row: float
    element: float
    draw: float
    fill: float
    sparse_pair: float
    sparse_product: float
    python_step: float

    def is_sound(self) -> bool:
        """Whether all figures are there and can be: a file may have been changed by hand."""
        tables = [table[dtype] for table in (self.inner, self.outer) for dtype in DTYPES]
        rates = *(rate for table in tables for rate in table), *self.bandwidth
        decays = (self.decay[dtype] for dtype in DTYPES)
        pairs = self.sparse_pair, self.sparse_product
        times = *decays, self.step, self.row, self.element, self.draw, self.fill, *pairs, self.python_step
        return (
            all(len(table) == len(SIDES) for table in tables)
            and len(self.bandwidth) == len(WORKING_SETS)
            and all(1e3 <= rate < 1e18 for rate in rates)
            and all(1 <= factor < 1e6 for factor in (self.speedup, self.n_threads))
            and all(0 <= seconds < 1 for seconds in times)
        )

    def product(self, m: float, n: float, k: float, dtype: str, n_threads: int = 1) -> float:
        """Seconds of a product (m, k) times (k, n), its operands wherever they fit: limited by arithmetic or by memory."""
        rates = self.outer if k < min(m, n) else self.inner
        arithmetic = 2.0 * m * n * k / _interpolate(min(m, n, k), SIDES, rates[dtype])
        n_bytes = (2 * m * n + m * k + n * k) * np.dtype(dtype).itemsize  # the result is added to what is there
        if n_threads > 1:
            arithmetic /= self.speedup
        return max(arithmetic, self.passes(n_bytes, n_bytes))

    def passes(self, n_bytes: float, working_set: float) -> float:
        """Seconds to read and write so many bytes of arrays that take `working_set` bytes together."""
        return n_bytes / _interpolate(working_set, WORKING_SETS, self.bandwidth)


def _interpolate(x: float, points: Sequence[float], values: Sequence[float]) -> float:
    """Straight lines between logarithms; constant outside."""
    x = min(max(x, points[0]), points[-1])
    right = min(bisect_right(points, x), len(points) - 1)
    low, high = points[right - 1], points[right]
    share = log(x / low) / log(high / low)
    return exp((1 - share) * log(values[right - 1]) + share * log(values[right]))


# ----------------------------------------------------------------------------------------------------------------------
# measuring


def measure() -> Machine:
    """Measure this machine, in about a third of a second.

    Returns
    -------
    Machine
    """
    n_threads = blas_threads()
    n_hidden, n_features = 512, 4096  # 8 MiB, which the system hands out and takes back as it does larger arrays
    weights = RandomWeights(n_hidden, n_features, 0, "relu")
    with one_blas_thread():
        inner, outer = ({dtype: [_product_rate(side, dtype, kind) for side in SIDES] for dtype in DTYPES} for kind in (0, 1))
        bandwidth = [_bandwidth(size) for size in WORKING_SETS]
        draw = _best(lambda: weights.block(0, n_features, np.float32), least=2) / (n_hidden * n_features)
        fill = _best(lambda: weights.dense(np.float32), least=2) / (n_hidden * n_features)
        pair, product = _sparse_seconds()
        figures = Machine(
            inner, outer, bandwidth, _speedup(n_threads), n_threads, backend.NAME == "compiled", {}, 0.0, 0.0, 0.0, draw, fill,
            pair, product, _python_step(),
        )  # fmt: skip
        step, row, element = _step_seconds(figures)
        figures = replace(figures, step=step, row=row, element=element)
        updates = {dtype: _update_seconds(figures, dtype) for dtype in DTYPES}
    n_weights = FACTOR_SHAPE[0] * FACTOR_SHAPE[1]
    single = {dtype: [2 * n_weights / add, *outer[dtype][1:]] for dtype, (add, _) in updates.items()}
    return replace(figures, outer=single, decay={dtype: seconds / n_weights for dtype, (_, seconds) in updates.items()})


def blas_threads() -> int:
    """Threads that BLAS may use now; those of OpenMP where it does not say."""
    numbers = [pool["num_threads"] for pool in blas().info()]
    return min(numbers, default=available_threads())


def _best(call: Callable[[], object], seconds: float = 2e-3, least: int = 3) -> float:
    """Shortest of several calls that last so long together, after one that warms up."""
    call()
    times: list[float] = []
    while len(times) < least or (sum(times) < seconds and len(times) < 50):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return min(times)


def _layer(side: int, dtype: str) -> tuple[Any, ...]:
    n_out, n_in = FACTOR_SHAPE
    params, X, values = (np.full(shape, 0.5, dtype) for shape in (n_out * n_in, (side, n_in), side * n_out))
    return params, np.array([n_in, n_out], dtype=np.intp), X, values


def _product_rate(side: int, dtype: str, outer: int) -> float:
    """Floating-point operations per second of a layer's forward pass (inner) or of its gradient (outer)."""
    params, widths, X, values = _layer(side, dtype)
    linear, grad = ACTIVATIONS["identity"], np.empty_like(params)

    def forward() -> None:
        backend.forward.forward(params, widths, False, linear, X, values, 1)

    def gradient() -> None:
        backend.backprop.backward(params, widths, False, linear, X, values, values, grad, None, 1)

    return 2.0 * side * len(params) / _best(gradient if outer else forward, 5e-4)


def _bandwidth(working_set: int) -> float:
    """Bytes read and written per second by SGD with momentum: three arrays read, two written."""
    size = working_set // 12
    params, grad, velocity = (np.full(size, 0.5, np.float32) for _ in range(3))
    repeats = max(1, (1 << 20) // working_set)

    def update() -> None:
        for _ in range(repeats):
            backend.backprop.sgd_step(params, grad, velocity, 1e-6, 0.9, 0.0, False, 0.0, False)

    return 20.0 * size * repeats / _best(update, 3e-3)


def _speedup(n_threads: int) -> float:
    """How many times as fast all threads make a large product; 1 where another process takes them."""
    if n_threads == 1:
        return 1.0
    a, b, out = (np.full((512, 512), 0.5, np.float32) for _ in range(3))
    seconds = []
    for threads in (1, n_threads):
        with blas().limit(limits=threads):
            seconds.append(_best(lambda: np.matmul(a, b, out=out), 1e-2, 5))
    return min(max(seconds[0] / seconds[1], 1.0), float(n_threads))


STEPS = ((1, 16), (1, 256), (8, 16), (8, 256), (64, 16), (64, 256))  # batch sizes and hidden units of the steps that are timed
N_OUT = 10


def _step_seconds(figures: Machine) -> tuple[float, ...]:
    """Seconds of a step, of a sample and of an activation value, apart from the products above the front layer."""
    parts = np.array([(1, batch_size, batch_size * n_hidden) for batch_size, n_hidden in STEPS], dtype=np.float64)
    seconds = np.array([_epoch_step(*shape) for shape in STEPS])
    products = np.array([3 * figures.product(batch_size, N_OUT, n_hidden, "float32") for batch_size, n_hidden in STEPS])
    solution, _ = optimize.nnls(parts / seconds[:, None], np.maximum(1 - products / seconds, 0.1))
    return tuple(float(value) for value in solution)


def _update_seconds(figures: Machine, dtype: str) -> tuple[float, float]:
    """Seconds to add the outer product of a single sample to weights, and to decay them with their velocity."""
    n_hidden, n_features = FACTOR_SHAPE
    plain, with_momentum = (_epoch_step(1, n_hidden, n_features, momentum, dtype, 8) for momentum in (0.0, 0.9))
    rest = figures.product(1, n_hidden, n_features, dtype) + figures.step + figures.row + n_hidden * figures.element
    add = max(plain - rest, plain / 10)
    return add, max(with_momentum - plain - add, plain / 10)


def _epoch_step(
    batch_size: int, n_hidden: int, n_features: int = 2, momentum: float = 0.0, dtype: str = "float32", n_steps: int = 64
) -> float:
    """Seconds of a step of an epoch in form "weights"."""
    n_rows, widths = batch_size * n_steps, np.array([n_hidden, N_OUT], dtype=np.intp)
    n_params = n_hidden + N_OUT * (n_hidden + 1)
    base, source = np.zeros((n_hidden, n_features), dtype), np.full((n_rows, n_features), 0.5, dtype)
    params = np.zeros(n_params, dtype)
    velocities = (np.zeros_like(base), np.zeros_like(params)) if momentum else (None, None)
    kernel, by_layer = backend.front, (2, 2)
    network = kernel.Network(base, velocities[0], source, None, None, params, velocities[1], widths, ACTIVATIONS["relu"])
    targets = kernel.Targets(None, np.zeros(n_rows, dtype=np.intp), None)
    sgd = kernel.Sgd(momentum, 0.0, False, 0.0, np.ones(by_layer), np.zeros(by_layer))
    workspace = kernel.Workspace(network, n_rows, batch_size, batch_size)
    rows, rates, losses = np.arange(n_rows, dtype=np.intp)[None], np.full((1, n_steps), 1e-6), np.empty((1, n_steps))

    def epoch() -> None:
        kernel.sgd_epochs(network, targets, sgd, workspace, rows, rates, losses, True, 1)

    return _best(epoch, 1e-3) / n_steps


def _sparse_seconds() -> tuple[float, float]:
    """Seconds of a multiplication between sparse rows, and between sparse rows and dense weights."""
    n_samples, n_features, n_entries, n_hidden = 400, 1000, 40_000, 64  # 40 entries a feature: multiplications, no overhead
    rng = np.random.default_rng(0)
    places = rng.integers(0, n_samples, n_entries), rng.integers(0, n_features, n_entries)
    X = sparse.csr_matrix((np.ones(n_entries, np.float32), places), shape=(n_samples, n_features))
    n_pairs = float(np.sum(np.square(np.bincount(X.indices, minlength=n_features), dtype=np.float64)))
    weights, columns = np.full((n_features, n_hidden), 0.5, np.float32), X.tocsc()
    return _best(lambda: X @ X.T) / n_pairs, _best(lambda: columns @ weights) / (X.nnz * n_hidden)


def _python_step() -> float:
    """Seconds of the small array operations of a step: a few dozen."""
    a = np.zeros(8, np.float32)

    def operations() -> None:
        for _ in range(40):
            np.add(a, a, out=a)

    return _best(operations, 1e-3)


# ----------------------------------------------------------------------------------------------------------------------
# keeping


def machine(remeasure: bool = False) -> Machine:
    """Give the figures of this machine: in memory, else from the file, else measured and kept.

    They are kept in the user's cache folder, or in that of the environment variable ``FCFAST_CACHE``, and measured anew when
    the versions of NumPy, SciPy or fcfast, the BLAS, the processor, the threads or the backend are others. Without a place to
    keep them, every process measures.

    Parameters
    ----------
    remeasure : bool
        Measure whether there are figures or not.

    Returns
    -------
    Machine

    Examples
    --------
    >>> import fcfast.planning.machine
    >>> fcfast.planning.machine.machine().n_threads >= 1
    True
    """
    folder = Path(os.environ.get("FCFAST_CACHE") or platformdirs.user_cache_dir("fcfast", appauthor=False))
    key = folder, blas_threads()
    if remeasure or key not in _known:
        facts = _facts()
        file = folder / f"machine-{sha256(json.dumps(facts).encode()).hexdigest()[:16]}.json"
        found = None if remeasure else _read(file)
        _known[key] = found or measure()
        if not found:
            _write(file, facts, _known[key])
    return _known[key]


_known: dict[tuple[Path, int], Machine] = {}  # by folder and threads: a process reads the file once


def _facts() -> dict[str, Any]:
    """What the figures depend on."""
    return {
        "format": FORMAT,
        "fcfast": __version__,
        "backend": backend.NAME,
        "numpy": np.__version__,
        "scipy": scipy.__version__,
        "blas": sorted(
            f"{pool.get('internal_api')} {pool.get('version')} {pool.get('architecture')}" for pool in blas().info()
        ),
        "processor": _processor(),
        "threads": blas_threads(),
    }


def _processor() -> str:
    """Name of the processor, which Linux tells elsewhere than other systems."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return f"{platform.machine()} {platform.processor()}"


def _read(file: Path) -> Machine | None:
    """Read figures; None where there are none, or not such as can be used."""
    try:
        found = Machine(**json.loads(file.read_text(encoding="utf-8"))["machine"])
        return found if found.is_sound() else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError):
        return None


def _write(file: Path, facts: dict[str, Any], figures: Machine) -> None:
    """Keep figures; they can be measured again where that fails."""
    with suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        write_text(file, json.dumps({"facts": facts, "machine": asdict(figures)}, indent=1))
