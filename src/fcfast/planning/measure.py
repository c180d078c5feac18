"""Measure a machine through the kernels in use, with the BLAS they use.

Each figure is the best of several repetitions, so that what else runs at that moment matters little.
"""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from scipy import optimize, sparse

from fcfast import backend
from fcfast.activations import ACTIVATIONS
from fcfast.gram.start import RandomWeights
from fcfast.losses import CrossEntropy, Targets
from fcfast.planning.figures import DTYPES, SIDES, WORKING_SETS, Machine
from fcfast.threads import available_threads, blas, one_blas_thread

FACTOR_SHAPE = 128, 1024  # of the weights that products are timed with: these stay in a core's cache
STEPS = ((1, 16), (1, 256), (8, 16), (8, 256), (64, 16), (64, 256))  # batch sizes and hidden units of the steps that are timed
N_OUT = 10


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
    network = kernel.Network(
        base, velocities[0], source, None, None, params, velocities[1], widths, ACTIVATIONS["relu"], None, None, None
    )
    targets = Targets(CrossEntropy(), np.zeros(n_rows, dtype=np.intp), None).of_kernel
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
