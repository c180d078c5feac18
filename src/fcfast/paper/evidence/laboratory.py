"""Sources of evidence, computed once and shared: single steps of random networks, and studies of whole trainings."""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from fcfast.paper.experiments import StudyResult, default_problem, run_pairs, study
from fcfast.paper.techniques import Backprop, Problem, RepairedPrintedForm

Floats = NDArray[np.float64]


# One step is cheap, so there are enough networks for every case to occur, including deaths.
STEP_NETWORKS = 2000
# Whole trajectories are in memory: 300 networks with 10,000 iterations take 120 MB.
TRAJECTORY_SEEDS = 300


def relu(s: Floats) -> Floats:
    """Apply equation 10."""
    return np.maximum(s, 0)


@dataclass(frozen=True)
class Step:
    """One update of n two-layer networks on one input, as equations 9-16 print it, with w5' in the update of W1.

    Arrays with the axis j have one column per hidden unit (2): s, v, w (w5, w6) before the update, and with `_new` after it.
    """

    x: Floats
    W1: Floats
    w: Floats
    gold: Floats
    eta: float

    @cached_property
    def s(self) -> Floats:
        return np.einsum("njf,nf->nj", self.W1, self.x)

    @cached_property
    def v(self) -> Floats:
        return relu(self.s)

    @cached_property
    def living(self) -> NDArray[np.bool_]:
        return self.s > 0

    @cached_property
    def y(self) -> Floats:
        return (self.w * self.v).sum(axis=1)

    @cached_property
    def dE_dY(self) -> Floats:
        """Return dE/dY as a column (n, 1)."""
        return (self.y - self.gold)[:, None]

    @cached_property
    def norm(self) -> Floats:
        """Return x1^2 + x2^2 as a column (n, 1)."""
        return (self.x**2).sum(axis=1, keepdims=True)

    @cached_property
    def w_new(self) -> Floats:
        return self.w - self.eta * self.dE_dY * self.v

    @cached_property
    def W1_new(self) -> Floats:
        return self.W1 - self.eta * (self.dE_dY * self.w_new * self.living)[:, :, None] * self.x[:, None, :]

    @cached_property
    def s_new(self) -> Floats:
        return np.einsum("njf,nf->nj", self.W1_new, self.x)

    @cached_property
    def dv(self) -> Floats:
        return relu(self.s_new) - self.v

    def at(self, x: Floats) -> Floats:
        """Return the pre-activations (n, 2) of other inputs before the update."""
        return np.einsum("njf,nf->nj", self.W1, x)

    def follow(self, x: Floats, gold: Floats) -> "Step":
        """Return the next update, on another input."""
        return Step(x, self.W1_new, self.w_new, gold, self.eta)


@dataclass(frozen=True)
class Laboratory:
    """Random networks and shared studies; `n_seeds` networks in each study."""

    n_seeds: int
    seed: int
    n_threads: int
    _studies: dict[tuple[str, str, float], StudyResult] = field(default_factory=dict)
    _trajectories: dict[tuple[float, int], "Trajectories"] = field(default_factory=dict)

    def inputs(self, count: int) -> Floats:
        """Draw random inputs (count, networks, 2) of order 1, none of them zero."""
        return np.random.default_rng([self.seed, 1]).uniform(0.2, 1, (count, STEP_NETWORKS, 2))

    def step(self, eta: float = 0.5) -> Step:
        """Return one update of random networks on random inputs. The large eta makes wrong terms and deaths visible."""
        rng = np.random.default_rng([self.seed, 2])
        n = STEP_NETWORKS
        return Step(self.inputs(1)[0], rng.uniform(-1, 1, (n, 2, 2)), rng.uniform(-1, 1, (n, 2)), rng.uniform(-2, 2, n), eta)

    def study(self, technique: str, order: str = "simultaneous", eta: float = 0.1) -> StudyResult:
        """Compare a technique with backpropagation over 1000 iterations, as in Figure 3."""
        key = technique, order, eta
        if key not in self._studies:
            self._studies[key] = study(
                self.n_seeds, technique=technique, order=order, eta=eta, seed=self.seed, n_jobs=self.n_threads
            )
        return self._studies[key]

    def repaired_printed_form(self, eta: float) -> float:
        """Return the median error of the printed formulas with the factor -eta restored in their sums."""
        problem = default_problem("printed_form", "simultaneous", eta)
        pairs = run_pairs(RepairedPrintedForm, problem, self.n_seeds, 1000, 2, self.seed, self.n_threads)
        return float(np.nanmedian(np.concatenate([np.abs(a - b).max(axis=(1, 2)) for a, b, _ in pairs])))

    def trajectories(self, eta: float, n_iter: int) -> "Trajectories":
        """Run backpropagation on x = (1, 1), y = 1 from random networks; keep s and w before each update, and at the end."""
        if (eta, n_iter) not in self._trajectories:
            problem = default_problem("weights", "simultaneous", eta)
            rng = np.random.default_rng([self.seed, 3])
            n = min(self.n_seeds, TRAJECTORY_SEEDS)
            W1, w = rng.uniform(-1, 1, (n, 2, 2)), rng.uniform(-1, 1, (n, 1, 2))
            self._trajectories[eta, n_iter] = Trajectories(problem, W1, w, n_iter)
        return self._trajectories[eta, n_iter]


class Trajectories:
    """States s and final weights w, shape (n_iter + 1, n, 2), along backpropagation on one input."""

    def __init__(self, problem: Problem, W1: Floats, w2: Floats, n_iter: int) -> None:
        network = Backprop(problem, W1, w2)
        n = len(W1)
        self.norm = float(problem.X[0] @ problem.X[0])
        self.eta = problem.eta
        self.s, self.w = np.empty((n_iter + 1, n, 2)), np.empty((n_iter + 1, n, 2))
        self.error = np.empty((n_iter, n, 1))
        outputs, diverged_at = np.empty((n, 1, 1)), np.empty(n, dtype=np.intp)
        for t in range(n_iter + 1):
            self.s[t], self.w[t] = network.W1 @ problem.X[0], network.w2[:, 0]
            if t < n_iter:
                network.run(outputs, diverged_at, 1)
                self.error[t] = outputs[:, 0] - problem.y[0]

    @property
    def always_living(self) -> NDArray[np.bool_]:
        """Return a mask of the units (n, 2) that live throughout."""
        return np.all(self.s > 0, axis=0)
