"""The paper's experiment over many random networks: Figure 3 and its seed study."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fcfast import backend, validation
from fcfast.paper.techniques import ONE_INPUT, TECHNIQUES, Backprop, Problem, Technique
from fcfast.paper.two_layer import make_problem
from fcfast.threads import resolve_n_jobs

Floats = NDArray[np.float64]

ONE_INPUT_DATA = (np.ones((1, 2)), np.ones(1))
XOR_DATA = (np.array([[0.0, 0], [0, 1], [1, 0], [1, 1]]), np.array([0.0, 1, 1, 0]))

# Number of outputs in memory, 8 MB for each of the two runs: parallel regions are long enough that threads do not wait for
# one another, and short enough that Ctrl-C acts quickly.
CHUNK_VALUES = 2**20


@dataclass(frozen=True)
class StudyResult:
    """Errors of a technique against backpropagation over many random networks.

    Attributes
    ----------
    errors : ndarray of shape (n_seeds,)
        max |y_BP - y_front| over iterations and outputs; NaN if either run diverged.
    diverged : ndarray of bool of shape (n_seeds,)
        Whether one of the two runs diverged.
    technique, order : str
    n_iter : int
    """

    errors: Floats
    diverged: NDArray[np.bool_]
    technique: str
    order: str
    n_iter: int

    @property
    def finite_errors(self) -> Floats:
        """Return the errors of the seeds that did not diverge."""
        return self.errors[~self.diverged]

    @property
    def diverged_share(self) -> float:
        """Return the share of all seeds that diverged."""
        return float(self.diverged.mean())

    def share_below(self, limit: float = 1e-15) -> float:
        """Return the share of errors below the limit, over the seeds that did not diverge; NaN if all diverged."""
        return float((self.finite_errors < limit).mean()) if len(self.finite_errors) else float("nan")

    def quantile(self, q: float) -> float:
        """Return a quantile of the error over the seeds that did not diverge; NaN if all diverged."""
        return float(np.quantile(self.finite_errors, q)) if len(self.finite_errors) else float("nan")


def study(
    n_seeds: int,
    n_iter: int = 1000,
    technique: str = "weights",
    order: str = "simultaneous",
    eta: float = 0.1,
    hidden: int = 2,
    seed: int = 0,
    n_jobs: int | None = None,
    X: ArrayLike | None = None,
    y: ArrayLike | None = None,
    progress: Callable[[int], object] | None = None,
) -> StudyResult:
    """Compare a technique with backpropagation on many networks with weights drawn from U(-1, 1).

    Parameters
    ----------
    n_seeds : int
        Number of networks, >= 1. The first k networks are the same for every `n_seeds` >= k.
    n_iter : int
        Number of iterations, >= 0.
    technique, order, eta
        As in `train_front`.
    hidden : int
        Number of hidden units, >= 1.
    seed : int
        Seed of the random weights, >= 0.
    n_jobs : int or None
        Number of threads; None for all available. The result has the same bits for any number.
    X, y : array-like or None
        Data; give both or neither. By default x = (1, 1), y = 1 for the one-input techniques and XOR for the others.
    progress : callable or None
        Called with the number of networks that were finished since the previous call.

    Returns
    -------
    StudyResult
        Errors and divergences.

    Raises
    ------
    ValueError, TypeError
        As in `train_front`.

    Examples
    --------
    >>> from fcfast import paper
    >>> result = paper.study(20, n_iter=50)
    >>> result.share_below(1e-12), result.diverged_share
    (1.0, 0.0)
    """
    chosen = TECHNIQUES[validation.choice(technique, "technique", TECHNIQUES)]
    problem = default_problem(technique, order, eta, X, y)
    chosen = chosen.covering(problem)
    n_threads = resolve_n_jobs(n_jobs)
    n_seeds = validation.size(n_seeds, "n_seeds")
    errors = np.zeros(n_seeds)
    diverged = np.zeros(n_seeds, dtype=bool)
    done = 0
    pairs = run_pairs(chosen, problem, n_seeds, n_iter, hidden, seed, n_threads)
    for reference, front, diverged_here in pairs:
        chunk = slice(done, done + len(reference))
        backend.two_layer.largest_difference(reference, front, errors[chunk], n_threads)
        diverged[chunk] = diverged_here
        done = chunk.stop
        if progress is not None:
            progress(len(reference))
    errors[diverged] = np.nan
    return StudyResult(errors, diverged, technique, order, n_iter)


def default_problem(technique: str, order: str, eta: float, X: ArrayLike | None = None, y: ArrayLike | None = None) -> Problem:
    """Return the problem with the data of the paper's experiment, or with the given data."""
    if (X is None) != (y is None):
        raise ValueError(f"give both X and y, or neither; got {'y' if X is None else 'X'} alone")
    if X is None or y is None:
        X, y = ONE_INPUT_DATA if technique in ONE_INPUT else XOR_DATA
    return make_problem(X, y, eta, order)


def run_pairs(
    technique: type[Technique], problem: Problem, n_seeds: int, n_iter: int, hidden: int, seed: int, n_threads: int
) -> Iterator[tuple[Floats, Floats, NDArray[np.bool_]]]:
    """Run backpropagation and the technique on the same random networks, a part of them at a time.

    Yield the outputs (n, n_iter, c) of both, in buffers that are reused, and a mask of the networks that diverged.
    """
    n_iter = validation.size(n_iter, "n_iter", 0)
    hidden = validation.size(hidden, "hidden")
    rng = np.random.default_rng(validation.integer(seed, "seed", 0))
    d, c = problem.X.shape[1], problem.n_outputs
    chunk = min(n_seeds, max(n_threads, CHUNK_VALUES // max(1, n_iter * c, hidden * (d + c))))
    buffers = np.empty((2, chunk, n_iter, c))
    for start in range(0, n_seeds, chunk):
        n = min(chunk, n_seeds - start)
        weights = rng.uniform(-1, 1, (n, hidden * (d + c)))
        W1 = np.ascontiguousarray(weights[:, : hidden * d]).reshape(n, hidden, d)
        w2 = np.ascontiguousarray(weights[:, hidden * d :]).reshape(n, c, hidden)
        diverged_at = np.full((2, n), -1, dtype=np.intp)
        Backprop(problem, W1, w2).run(buffers[0, :n], diverged_at[0], n_threads)
        technique(problem, W1, w2).run(buffers[1, :n], diverged_at[1], n_threads)
        yield buffers[0, :n], buffers[1, :n], np.any(diverged_at >= 0, axis=0)


def error_traces(
    technique: str,
    order: str = "simultaneous",
    n_seeds: int = 200,
    n_iter: int = 1000,
    eta: float = 0.1,
    seed: int = 0,
) -> Floats:
    """Return |y_BP - y_front| in every iteration, shape (n_seeds, n_iter), for the networks of `study` with one output."""
    problem = default_problem(technique, order, eta)
    pairs = run_pairs(TECHNIQUES[technique].covering(problem), problem, n_seeds, n_iter, 2, seed, resolve_n_jobs())
    return np.concatenate([np.abs(reference - front)[:, :, 0] for reference, front, _ in pairs])
