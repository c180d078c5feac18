"""The contenders in a cell: each form of `FrontClassifier` through its public interface, and the peers."""

import gc
import tempfile
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch

from bench import peers
from bench.measure import BLOCK, pure_kernels
from bench.settings import CLASSIC
from bench.sweep.cells import CLASSES, N_EPOCHS, Cell, on_a_line
from fcfast import FrontClassifier, plan
from fcfast.front.base import FORMS
from fcfast.planning.plan import Plan

ROUNDS = 3
THREADS = 1, 2  # that PyTorch is tried with
COMPILED, PURE, ROW_SPACE, SKLEARN = "PyTorch, compiled", "fcfast, pure Python", "PyTorch in the row space", "scikit-learn MLP"
EMBEDDING = "PyTorch, EmbeddingBag"
SPARSE_LAYERS = {
    "PyTorch, dense batches": peers.DenseFirst,
    "PyTorch, sparse tensor": peers.SparseFirst,
    EMBEDDING: peers.EmbeddingFirst,
}
CLOSE = 4  # times our step: where PyTorch's is shorter, and on lines, it is compiled, too
LONGEST = 0.3  # seconds that a block of steps, or an epoch of the weights, is to last at most
ROOM = 12e9  # bytes that PyTorch's first layer, its gradient and its momentum may take
COMPILABLE = 3e7  # weights up to which torch.compile is tried: it makes no difference above


class Unmeasured(Exception):
    """Why a contender has no time in a cell."""


def planned(cell: Cell, X: Any) -> Plan:
    """Predict what the forms take."""
    n_products = None if cell.density is None else float(np.sum(np.bincount(X.indices).astype(np.float64) ** 2))
    sizes = cell.n, cell.d, cell.h, cell.batch, N_EPOCHS
    return plan(*sizes, density=cell.density, momentum=cell.momentum, n_outputs=CLASSES, n_products=n_products)


@contextmanager
def samples(cell: Cell) -> Iterator[tuple[Any, np.ndarray]]:
    """X and y of a cell; a memory map is a file that is removed afterwards."""
    if not cell.mapped:
        yield cell.data()
        return
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "X"
        with path.open("wb") as file:
            for _ in range(cell.n):
                rng.standard_normal(cell.d, dtype=np.float32).tofile(file)
        yield np.memmap(path, np.float32, "r", shape=(cell.n, cell.d)), np.arange(cell.n) % CLASSES


def first_layer(cell: Cell, name: str) -> type:
    """The kind of first layer that a peer of PyTorch's has; with momentum EmbeddingBag has dense gradients."""
    if name == EMBEDDING and cell.momentum:
        return peers.DenseEmbeddingFirst
    return SPARSE_LAYERS.get(name, peers.DenseFirst)


def estimator(cell: Cell, form: str, n_epochs: int) -> FrontClassifier:
    """Ours; without shuffling, since the peers are spared it too."""
    settings = CLASSIC | {
        "learning_rate": cell.rate, "momentum": cell.momentum, "batch_size": cell.batch, "max_epochs": n_epochs, "tol": 0,
        "n_iter_no_change": n_epochs, "shuffle": False, "random_state": 0,
    }  # fmt: skip
    return FrontClassifier((cell.h,), form=form, **settings)


class Fit:
    """A form of `FrontClassifier`: whole calls of `fit`, whose callbacks tell the time after each epoch.

    Weights and windows do not care how many samples there are: their epochs are of a part of them where all would take long.
    """

    def __init__(self, cell: Cell, X: Any, y: np.ndarray, form: str, prediction: Plan) -> None:
        cost = prediction.costs[form]
        if cost.reason:
            raise Unmeasured(cost.reason)
        n_rows = cell.n
        if form != "contributions":
            step = cost.window if form == "windowed" else cell.batch
            n_rows = min(cell.n, max(1, int(LONGEST / cost.seconds_per_epoch * cell.n / step)) * step)
        self.cell, self.form, self.X, self.y = cell, form, X[:n_rows], y[:n_rows]
        self.n_epochs = int(np.clip(LONGEST / (cost.seconds_per_epoch * n_rows / cell.n), 4, 40))
        self.onces: list[float] = []
        self.steps: list[float] = []

    def round(self) -> None:
        """Fit once."""
        stamps: list[float] = []
        started = time.perf_counter()
        estimator(self.cell, self.form, self.n_epochs).fit(
            self.X, self.y, callbacks=[lambda _epoch: stamps.append(time.perf_counter())]
        )
        epoch = median(np.diff(stamps))
        self.onces.append(max(0.0, stamps[0] - started - epoch))
        self.steps.append(epoch / -(-len(self.y) // self.cell.batch))

    @property
    def seconds(self) -> dict[str, float]:
        """Medians over the rounds."""
        return {"once": median(self.onces), "step": median(self.steps)}


class PureFit(Fit):
    """The same with the pure-Python kernels."""

    def round(self) -> None:
        """Fit once."""
        with pure_kernels():
            super().round()


def made_in(make: Callable[[], Any]) -> tuple[Any, float]:
    """Make something a few times, the first time unwatched; give the last one, and the median seconds."""
    made, seconds = make(), []
    for _ in range(ROUNDS):
        del made
        gc.collect()  # networks of PyTorch have cycles, and there may not be room for two
        started = time.perf_counter()
        made = make()
        seconds.append(time.perf_counter() - started)
    return made, median(seconds)


class Torch:
    """A network of PyTorch's, at the better of one and two threads."""

    def __init__(self, cell: Cell, X: Any, y: np.ndarray, **settings: Any) -> None:
        if 16 * cell.d * cell.h > ROOM:
            raise Unmeasured(f"its first layer, gradient, momentum and temporaries take {16e-9 * cell.d * cell.h:.0f} GB")
        torch.set_num_threads(max(THREADS))

        def ready() -> peers.TorchNetwork:
            network = peers.TorchNetwork(X, y, cell.h, CLASSES, cell.batch, cell.rate, cell.momentum, **settings)
            if settings.get("compiled"):
                torch._dynamo.reset()
                network.train(1)  # compiles it; what the compiler made the first time is on the disk then
            return network

        self.network, self.once = made_in(ready)
        # The last batch may be shorter, for which a compiled network would be compiled again.
        self.n_steps = max(1, cell.n // cell.batch)
        self.times: dict[int, list[float]] = {n: [] for n in THREADS}
        for n_threads in THREADS:
            self.network.train(1, n_threads)
        started = time.perf_counter()
        self.network.train(1)
        a_step = time.perf_counter() - started
        self.n_steps = max(1, min(self.n_steps, int(LONGEST / a_step)))
        self.n_calls = max(1, int(BLOCK / (a_step * self.n_steps)))

    def round(self) -> None:
        """Train a block with each number of threads."""
        for n_threads in THREADS:
            started = time.perf_counter()
            for _ in range(self.n_calls):
                self.network.train(self.n_steps, n_threads)
            self.times[n_threads].append((time.perf_counter() - started) / (self.n_calls * self.n_steps))

    @property
    def seconds(self) -> dict[str, float]:
        """Medians over the rounds, of the better number of threads."""
        return {"once": self.once, "step": min(median(times) for times in self.times.values())}


class RowSpace(Torch):
    """PyTorch on the coordinates of X in its row space, found by the faster of QR and Cholesky decomposition."""

    def __init__(self, cell: Cell, X: Any, y: np.ndarray) -> None:
        if cell.n > cell.d:
            raise Unmeasured("there are more samples than features")
        if 16 * cell.d * cell.h > ROOM:
            raise Unmeasured("its initial weights do not fit")
        torch.set_num_threads(max(THREADS))
        start, drawn = made_in(partial(peers.drawn, cell.d, cell.h, CLASSES))
        spaces = {name: made_in(partial(reduce, X, start.W1)) for name, reduce in peers.REDUCTIONS.items()}
        space, reduced = min(spaces.values(), key=lambda made: made[1])
        del spaces
        super().__init__(replace(cell, d=cell.n), space.coordinates, y, start=start._replace(W1=space.W1))
        self.once += drawn + reduced


def is_worth_compiling(cell: Cell, seconds: dict[str, dict[str, float]]) -> bool:
    """Whether PyTorch comes so near that its compiler, which takes seconds, may matter."""
    ours = min(times["step"] for name, times in seconds.items() if name.startswith("fcfast"))
    return on_a_line(cell) or seconds["PyTorch"]["step"] < CLOSE * ours


class Sklearn:
    """MLPClassifier, an epoch at a time; of a part of the samples where all would take long."""

    def __init__(self, cell: Cell, X: Any, y: np.ndarray, prediction: Plan) -> None:
        if 24 * cell.d * cell.h > ROOM:
            raise Unmeasured("its first layer, gradient and velocity do not fit")
        epoch = prediction.costs["weights"].seconds_per_epoch
        n_steps = max(1, min(cell.n_steps, int(LONGEST / epoch * cell.n_steps)))
        n_rows = min(cell.n, n_steps * cell.batch)
        started = time.perf_counter()
        self.network = peers.SklearnNetwork(X[:n_rows], y[:n_rows], cell.h, CLASSES, cell.batch, cell.rate, cell.momentum)
        self.once = time.perf_counter() - started
        self.n_steps, self.times = -(-n_rows // cell.batch), []

    def round(self) -> None:
        """Train an epoch."""
        started = time.perf_counter()
        self.network.train_epoch()
        self.times.append((time.perf_counter() - started) / self.n_steps)

    @property
    def seconds(self) -> dict[str, float]:
        """Medians over the rounds."""
        return {"once": self.once, "step": median(self.times)}


Made = Callable[[], Fit | Torch | Sklearn]


def contenders(cell: Cell, X: Any, y: np.ndarray, prediction: Plan, everyone: bool) -> dict[str, Made]:
    """What to measure in a cell, by name, the main ones or everyone; each is made when it is its turn."""
    made: dict[str, Made] = {f"fcfast, {form}": partial(Fit, cell, X, y, form, prediction) for form in FORMS}
    if cell.density:
        made |= {name: partial(Torch, cell, X, y, first=first_layer(cell, name)) for name in SPARSE_LAYERS}
        made[SKLEARN] = partial(Sklearn, cell, X, y, prediction)
        return made
    made["PyTorch"] = partial(Torch, cell, X, y)
    if cell.d * cell.h <= COMPILABLE:
        made[COMPILED] = partial(Torch, cell, X, y, compiled=True)
    if everyone:
        made[ROW_SPACE] = partial(RowSpace, cell, X, y)
        made[SKLEARN] = partial(Sklearn, cell, X, y, prediction)
        if cell.n * cell.d <= COMPILABLE:
            made[PURE] = partial(PureFit, cell, X, y, prediction.form, prediction)
    return made


def measure(cell: Cell, making: dict[str, Made], result: dict[str, Any]) -> None:
    """Make and measure contenders, round by round; add their seconds to the result, or why there are none."""
    compiled = {COMPILED: making.pop(COMPILED)} if COMPILED in making else {}
    result["seconds"] |= _interleaved(making, result["unmeasured"])
    if compiled and is_worth_compiling(cell, result["seconds"]):
        result["seconds"] |= _interleaved(compiled, result["unmeasured"])
    forget()


def _interleaved(making: dict[str, Made], unmeasured: dict[str, str]) -> dict[str, dict[str, float]]:
    made = {}
    for name, make in making.items():
        try:
            made[name] = make()
        except Unmeasured as reason:
            unmeasured[name] = str(reason)
    for number in range(ROUNDS):
        for name, contender in made.items():
            if number == 0 or name != PURE:
                contender.round()
    return {name: contender.seconds for name, contender in made.items()}


# ----------------------------------------------------------------------------------------------------------------------
# do they compute the same?

CHECKED_STEPS, CHECKED_EPOCHS, CHECKED_WEIGHTS = 8, 4, 3e8
TOLERANCE = 1e-3  # relative; losses change by at least ten times as much


def epoch_losses(cell: Cell, name: str, X: Any, y: np.ndarray, start: peers.Start) -> list[float]:
    """Mean losses of the first epochs from a given start."""
    sizes = cell.h, CLASSES, cell.batch, cell.rate, cell.momentum
    if name.startswith("fcfast"):
        given = {"coefs_init": [start.W1.T, start.W2.T], "intercepts_init": [start.b1, start.b2]}
        return list(estimator(cell, name.removeprefix("fcfast, "), CHECKED_EPOCHS).fit(X, y, **given).loss_curve_)
    if name == SKLEARN:
        network = peers.SklearnNetwork(X, y, *sizes, start=start)
        return [network.train_epoch() for _ in range(CHECKED_EPOCHS)]
    if name in peers.REDUCTIONS:
        space = peers.REDUCTIONS[name](X, start.W1)
        X, start = space.coordinates, start._replace(W1=space.W1)
    peer = peers.TorchNetwork(X, y, *sizes, start=start, first=first_layer(cell, name))
    shares = [len(batch[1]) for batch in peer.batches]
    return [float(np.average(peer.train(len(shares)), weights=shares)) for _ in range(CHECKED_EPOCHS)]


def disagreement(cell: Cell, names: Iterable[str]) -> float | None:
    """Largest relative difference between the losses of contenders and the first one's; None where weights do not fit.

    Without those that run others' code: compiled PyTorch, and the form that is chosen in pure Python.
    """
    if cell.mapped or cell.d * cell.h > CHECKED_WEIGHTS:
        return None
    n = min(cell.n, max(CHECKED_STEPS * cell.batch, 2 * CLASSES))
    X, y = cell.data(n)
    start = cell.start()
    checked = [name for name in names if name not in (COMPILED, PURE, ROW_SPACE)]
    checked += peers.REDUCTIONS if ROW_SPACE in names and n <= cell.d else []
    losses = {}
    for name in checked:
        with suppress(MemoryError):  # a form over its limit, which is not measured either
            losses[name] = epoch_losses(cell, name, X, y, start)
    expected = np.array(next(iter(losses.values())))
    if np.ptp(expected) < 10 * TOLERANCE * expected[0]:
        raise AssertionError(f"{cell.key}: losses {expected} hardly change, so that they compare nothing")
    worst = max(float(np.max(np.abs(np.array(other) / expected - 1))) for other in losses.values())
    if worst > TOLERANCE:
        raise AssertionError(f"{cell.key}: contenders do not compute the same: {losses}")
    return worst


def forget() -> None:
    """Give memory back between contenders, and what PyTorch has compiled."""
    torch._dynamo.reset()
    gc.collect()


def prepare() -> None:
    """Load what PyTorch loads with its first network; a few epochs converge nowhere, which is no news here."""
    X, y = Cell(20, 50, 10).data()
    peers.TorchNetwork(X, y, 8, CLASSES, 10, 0.01, 0.9).train(2)
    warnings.filterwarnings("ignore", message=".*(max_epochs|learns only the class frequencies|loss ended higher)")
