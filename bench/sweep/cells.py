"""The cells of the sweep: lines along which one size changes, and a map over samples and features."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass

import numpy as np
from scipy import sparse

from bench.peers import Start

CLASSES, N_EPOCHS = 10, 100  # a whole training is 100 epochs
LARGEST = 3e8  # numbers in X of a cell of the map


@dataclass(frozen=True)
class Cell:
    """A training problem.

    Attributes
    ----------
    n, d, batch, h : int
        Samples, features, batch size, hidden units.
    density : float or None
        Share of entries that are not zero; None for dense inputs.
    momentum : float
    mapped : bool
        Whether X is a memory map.
    """

    n: int
    d: int
    batch: int
    h: int = 256
    density: float | None = None
    momentum: float = 0.9
    mapped: bool = False

    @property
    def key(self) -> str:
        """Name in the results."""
        return " ".join(f"{name}={value}" for name, value in asdict(self).items() if value is not None and value is not False)

    @property
    def n_steps(self) -> int:
        """Steps of an epoch."""
        return -(-self.n // self.batch)

    @property
    def rate(self) -> float:
        """A learning rate at which networks of any width learn and none diverges: by the squared norm of a sample."""
        return min(0.05, max(0.8, self.batch) / 8 / (self.d * (self.density or 1)))

    def data(self, n: int | None = None) -> tuple[np.ndarray | sparse.csr_matrix, np.ndarray]:
        """Samples (n, d), the first ones of the cell's, and their classes; a memory map is not made here."""
        n = self.n if n is None else n
        rng = np.random.default_rng(0)
        y = np.arange(n) % CLASSES
        if self.density is None:
            return rng.standard_normal((n, self.d), dtype=np.float32), y
        per_row = max(1, round(self.density * self.d))
        columns = np.sort(rng.integers(0, self.d, (n, per_row)), axis=1)
        values = rng.random((n, per_row), dtype=np.float32) + np.float32(0.5)
        parts = values.ravel(), columns.ravel(), np.arange(0, n * per_row + 1, per_row)
        X = sparse.csr_matrix(parts, shape=(n, self.d))
        X.sum_duplicates()
        return X, y

    def start(self) -> Start:
        """Initial weights and biases, for comparisons of what is computed."""
        rng = np.random.default_rng(1)
        bound = np.float32((6 / (self.d + self.h)) ** 0.5)
        W1 = rng.random((self.h, self.d), np.float32)
        W1 *= 2 * bound
        W1 -= bound
        W2 = ((2 * rng.random((CLASSES, self.h)) - 1) * (6 / (CLASSES + self.h)) ** 0.5).astype(np.float32)
        return Start(W1, W2, np.zeros(self.h, np.float32), np.zeros(CLASSES, np.float32))


LINES = {
    "features": [*(Cell(100, d, 100) for d in (1000, 3000, 10_000, 30_000, 100_000, 300_000, 1_000_000)),
                 Cell(100, 10_000_000, 100, mapped=True)],
    "samples": [Cell(n, 20_000, min(32, n)) for n in (30, 100, 300, 1000, 3000, 10_000)],
    "batch size": [Cell(1000, 20_000, batch) for batch in (1, 4, 16, 64, 256, 1000)],
    "hidden units": [Cell(300, 20_000, 32, h) for h in (16, 64, 256, 1024, 2048)],
    "samples, one at a time": [Cell(n, 784, 1, momentum=0.0) for n in (100, 300, 1000, 3000, 10_000)],
}  # fmt: skip
SPARSE = {
    "sparse features": [Cell(1000, d, 32, density=100 / d, momentum=0.0) for d in (10_000, 100_000, 1_000_000)],
    "sparse samples": [Cell(n, 100_000, 32, density=1e-3, momentum=0.0) for n in (300, 1000, 3000, 10_000, 100_000)],
    "sparse samples, momentum": [Cell(n, 100_000, 32, density=1e-3) for n in (300, 1000, 3000, 10_000, 100_000)],
    "density": [Cell(1000, 100_000, 32, density=share, momentum=0.0) for share in (1e-4, 1e-3, 1e-2, 1e-1)],
}
MAP_SAMPLES, MAP_FEATURES = (30, 100, 300, 1000, 3000, 10_000), (100, 1000, 10_000, 100_000)
MAP_BATCHES = "1", "32", "N"


def map_cell(n: int, d: int, batch: str) -> Cell | None:
    """Give the cell at a place of the map; None where its data would be too large."""
    return Cell(n, d, min(n, int(batch.replace("N", str(n))))) if n * d <= LARGEST else None


def all_cells() -> Iterator[Cell]:
    """Return every cell once, lines first."""
    lines = [cell for line in (*LINES.values(), *SPARSE.values()) for cell in line]
    places = [map_cell(n, d, batch) for batch in MAP_BATCHES for n in MAP_SAMPLES for d in MAP_FEATURES]
    yield from dict.fromkeys([*lines, *filter(None, places)])


def on_a_line(cell: Cell) -> bool:
    """Whether all peers are measured there."""
    return any(cell in line for line in (*LINES.values(), *SPARSE.values()))
