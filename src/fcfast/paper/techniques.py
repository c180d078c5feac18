"""The techniques of the paper: each class is the state of many two-layer networks trained side by side.

A technique starts from the initial weights of the networks and runs its kernel; ``expand`` returns the weights that
backpropagation would have (conclusion (v) of the paper). Axes: n networks, h hidden units, d features, N samples, c outputs.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fcfast import backend

Floats = NDArray[np.float64]
Layers = tuple[Floats, Floats]


@dataclass(frozen=True)
class Problem:
    """Samples X (N, d), which are used in turn, targets y (N, c), learning rate and order of updates."""

    X: Floats
    y: Floats
    eta: float
    sequential: bool

    @property
    def n_outputs(self) -> int:
        return int(self.y.shape[1])


class Technique:
    """State of n networks; ``run`` trains it in place, ``state`` returns it, ``expand`` converts it to weights."""

    name: ClassVar[str]
    state_names: ClassVar[tuple[str, ...]]

    def __init__(self, problem: Problem, W1: Floats, w2: Floats) -> None:
        self.problem = problem
        self.initial_W1 = W1
        self.w2 = w2.copy()

    @classmethod
    def covering(cls, problem: Problem) -> "type[Technique]":
        """Return the class for this problem; raise a ValueError if the mathematics of the technique does not cover it."""
        return cls

    def run(self, outputs: Floats, diverged_at: NDArray[np.intp], n_threads: int) -> None:
        """Train; fill outputs (n, n_iter, c) and diverged_at (n,), with -1 if training did not diverge."""
        raise NotImplementedError

    def expand(self) -> Layers:
        """Return the conventional weights W1 (n, h, d) and w2 (n, c, h)."""
        raise NotImplementedError

    @property
    def state(self) -> dict[str, NDArray[Any]]:
        return {name: getattr(self, name) for name in self.state_names}

    def _scratch(self) -> Floats:
        return np.empty(self.initial_W1.shape[:2])


class Backprop(Technique):
    """The reference, which updates the weights of both layers (equations 9-16)."""

    name = "backprop"
    state_names = ("W1", "w2")

    def __init__(self, problem: Problem, W1: Floats, w2: Floats) -> None:
        super().__init__(problem, W1, w2)
        self.W1 = W1.copy()

    def run(self, outputs: Floats, diverged_at: NDArray[np.intp], n_threads: int) -> None:
        p = self.problem
        n, h, d = self.W1.shape
        scratch = np.empty((n, h * (d + 2)))
        backend.two_layer.backprop(self.W1, self.w2, p.X, p.y, p.eta, p.sequential, scratch, outputs, diverged_at, n_threads)

    def expand(self) -> Layers:
        return self.W1, self.w2


# ----------------------------------------------------------------------------------------------------------------------
# one input


class OneInput(Technique):
    """Techniques for a single input x: the first layer matters only through s = W1 x, and changes only along x."""

    def __init__(self, problem: Problem, W1: Floats, w2: Floats) -> None:
        super().__init__(problem, W1, w2)
        self.x = problem.X[0]
        self.norm = float(self.x @ self.x)
        self.initial_s: Floats = W1 @ self.x
        self.s = self.initial_s.copy()
        self.frozen = np.maximum(self.s, 0)

    @classmethod
    def covering(cls, problem: Problem) -> type[Technique]:
        if len(problem.X) != 1:
            raise ValueError(
                f"technique {cls.name!r} is for one input, X has {len(problem.X)}; "
                "use 'states', 'contributions' or 'sum_difference' for several"
            )
        return cls

    def expand(self) -> Layers:
        along_x = (self.s - self.initial_s) / self.norm if self.norm > 0 else np.zeros_like(self.s)
        return self.initial_W1 + along_x[:, :, None] * self.x, self.w2


class Weights(OneInput):
    """Training updates the final weights and adds compensations to them (equations 4, 21-27; Figure 3, top)."""

    name = "weights"
    state_names = ("s", "w2", "effective")

    def __init__(self, problem: Problem, W1: Floats, w2: Floats) -> None:
        super().__init__(problem, W1, w2)
        self.effective = w2.copy()

    def run(self, outputs: Floats, diverged_at: NDArray[np.intp], n_threads: int) -> None:
        p = self.problem
        backend.compensation.weights(
            self.s, self.w2, self.effective, self.frozen, self.norm, p.y, p.eta, p.sequential,
            outputs, diverged_at, n_threads,
        )  # fmt: skip


class Compensation(OneInput):
    """Training updates no weights, only the compensations of the final ones (Figure 3, middle)."""

    name = "compensation"
    state_names = ("s", "p", "effective")

    def __init__(self, problem: Problem, W1: Floats, w2: Floats) -> None:
        super().__init__(problem, W1, w2)
        self.initial_w2 = w2
        self.p = np.zeros_like(w2)
        self.effective = w2.copy()

    def run(self, outputs: Floats, diverged_at: NDArray[np.intp], n_threads: int) -> None:
        p = self.problem
        backend.compensation.compensation(
            self.s, self.p, self.initial_w2, self.effective, self.w2, self.frozen, self.norm, p.y, p.eta, p.sequential,
            outputs, diverged_at, n_threads,
        )  # fmt: skip


class ClosedForm(OneInput):
    """The exact collapse for one output to two scalars, for any width (docs/mathematics.md, 2.3).

    The living units are sorted once by the angle of (s, w); an iteration then costs O(1).
    """

    name = "closed_form"
    state_names = ("collapsed",)

    def __init__(self, problem: Problem, W1: Floats, w2: Floats) -> None:
        super().__init__(problem, W1, w2)
        self.kappa = self.norm**0.5
        self.collapsed = np.ones((len(W1), 2))
        w, living = self.w2[:, 0], self.s > 0
        self.n_living = living.sum(axis=1)
        angle = np.where(living, np.arctan2(self.kappa * w, self.s), np.inf)
        self.order = np.argsort(angle, axis=1, kind="stable")
        self.sorted_s = np.take_along_axis(self.s, self.order, axis=1)
        self.sorted_w = np.take_along_axis(w, self.order, axis=1)

    @classmethod
    def covering(cls, problem: Problem) -> type[Technique]:
        super().covering(problem)
        if problem.sequential:
            raise ValueError(
                "technique 'closed_form' exists for order='simultaneous' only: with order='sequential' the maps of two "
                "steps do not commute, so their product is not a function of two scalars; use 'weights' or 'compensation'"
            )
        return cls if problem.n_outputs == 1 else ClosedFormOutputs

    def run(self, outputs: Floats, diverged_at: NDArray[np.intp], n_threads: int) -> None:
        s, w = self.sorted_s, self.sorted_w
        backend.closed_form.closed_form(
            s + self.kappa * w, s - self.kappa * w, self.n_living, self.kappa, float(self.problem.y[0, 0]),
            self.problem.eta, np.empty_like(s), np.empty_like(s), s, w, self.collapsed, outputs, diverged_at, n_threads,
        )  # fmt: skip

    def expand(self) -> Layers:
        np.put_along_axis(self.s, self.order, self.sorted_s, axis=1)
        np.put_along_axis(self.w2[:, 0], self.order, self.sorted_w, axis=1)
        return super().expand()


class ClosedFormOutputs(OneInput):
    """The exact collapse for c outputs to one (1 + c) x (1 + c) matrix, for any width."""

    name = ClosedForm.name
    state_names = ClosedForm.state_names

    def __init__(self, problem: Problem, W1: Floats, w2: Floats) -> None:
        super().__init__(problem, W1, w2)
        self.collapsed = np.tile(np.eye(1 + problem.n_outputs), (len(W1), 1, 1))
        self.q = np.ascontiguousarray(np.concatenate([self.s[:, :, None], self.w2.transpose(0, 2, 1)], axis=2))

    def run(self, outputs: Floats, diverged_at: NDArray[np.intp], n_threads: int) -> None:
        n, m, _ = self.collapsed.shape
        living = (self.s > 0).astype(np.uint8)
        start, self.q = self.q, self.q.copy()
        backend.closed_form.closed_form_outputs(
            start, living, self.norm, self.problem.y, self.problem.eta, self.collapsed,
            np.empty((n, m * m + 3 * m)), self.q, outputs, diverged_at, n_threads,
        )  # fmt: skip

    def expand(self) -> Layers:
        self.s, self.w2 = self.q[:, :, 0], self.q[:, :, 1:].transpose(0, 2, 1)
        return super().expand()


class PrintedForm(OneInput):
    """The formulas r_5n and r_6n as printed (equations 28-30). They do not reproduce backpropagation.

    Iteration 0 has no compensation. After update n the sums have one more term, the error of that update times the updated
    weight, and A_n selects the case. Once A_n <= 0, no printed case applies, and a unit keeps its last r. The formulas
    are the same for both orders of updates.
    """

    name = "printed_form"
    state_names = ("A", "w", "r")
    sum_scale = 1.0  # the printed sums have no factor -eta

    def __init__(self, problem: Problem, W1: Floats, w2: Floats) -> None:
        super().__init__(problem, W1, w2)
        self.A = self.s.copy()
        self.w = w2[:, 0].copy()
        self.r = self.w.copy()

    @classmethod
    def covering(cls, problem: Problem) -> type[Technique]:
        super().covering(problem)
        if problem.n_outputs != 1:
            raise ValueError(
                f"technique 'printed_form' is for one output, as the paper prints it, y has {problem.n_outputs}; "
                "use 'closed_form'"
            )
        return cls

    def run(self, outputs: Floats, diverged_at: NDArray[np.intp], n_threads: int) -> None:
        p = self.problem
        backend.compensation.printed_form(
            self.A, self.w, self.r, self.frozen, self.norm, float(p.y[0, 0]), p.eta, self.sum_scale,
            np.empty_like(self.w), outputs, diverged_at, n_threads,
        )  # fmt: skip

    def expand(self) -> Layers:
        """Return the network that gives its outputs: the frozen first layer and r. It differs from backpropagation's."""
        return self.initial_W1, self.r[:, None, :]


class RepairedPrintedForm(PrintedForm):
    """The printed formulas with the factor -eta that their sums lack, a charitable reading for the claims."""

    @property
    def sum_scale(self) -> float:  # type: ignore[override]  # the one constant that depends on the problem
        return -self.problem.eta


# ----------------------------------------------------------------------------------------------------------------------
# several inputs


class States(Technique):
    """The pre-activations of every sample, updated by rows of the Gram matrix (equations 17-20; Figure 3, bottom)."""

    name = "states"
    state_names = ("S", "w2")

    def __init__(self, problem: Problem, W1: Floats, w2: Floats) -> None:
        super().__init__(problem, W1, w2)
        self.gram = problem.X @ problem.X.T
        self.S = _states(problem.X, W1)

    def run(self, outputs: Floats, diverged_at: NDArray[np.intp], n_threads: int) -> None:
        p = self.problem
        backend.states.states(
            self.S, self.w2, self.gram, p.y, p.eta, p.sequential, self._scratch(), outputs, diverged_at, n_threads
        )

    def expand(self) -> Layers:
        # The change of W1 lies in the span of the samples, so it is the solution of least norm of X dW' = dS. It is poorly
        # determined if samples are nearly copies; contributions, which need no inverse, are better in that case.
        n, h, d = self.initial_W1.shape
        moved = self.S - _states(self.problem.X, self.initial_W1)
        moved = moved.transpose(1, 0, 2).reshape(len(self.problem.X), n * h)
        solution = np.linalg.lstsq(self.problem.X, moved, rcond=None)[0]
        return self.initial_W1 + solution.reshape(d, n, h).transpose(1, 2, 0), self.w2


class Contributions(Technique):
    """One row of contributions per distinct sample: S = S0 + G A, W1 = W1(0) + A' X (docs/mathematics.md, 3)."""

    name = "contributions"
    state_names = ("A", "w2")

    def __init__(self, problem: Problem, W1: Floats, w2: Floats) -> None:
        super().__init__(problem, W1, w2)
        self.gram = problem.X @ problem.X.T
        self.S0 = _states(problem.X, W1)
        self.A = np.zeros_like(self.S0)

    def run(self, outputs: Floats, diverged_at: NDArray[np.intp], n_threads: int) -> None:
        p = self.problem
        backend.states.contributions(
            self.A, self.w2, self.S0, self.gram, p.y, p.eta, p.sequential, self._scratch(),
            outputs, diverged_at, n_threads,
        )  # fmt: skip

    def expand(self) -> Layers:
        return self.initial_W1 + self.A.transpose(0, 2, 1) @ self.problem.X, self.w2


class SumDifference(Technique):
    """Sum and difference of the two input weights of a unit: equations 5 and 32, as coordinates at the input (1, 1)."""

    name = "sum_difference"
    state_names = ("coordinates", "w2")
    literal: ClassVar[bool] = False

    def __init__(self, problem: Problem, W1: Floats, w2: Floats) -> None:
        super().__init__(problem, W1, w2)
        first, second = np.moveaxis(W1 * self._reference(), 2, 0)
        self.coordinates = np.stack([first + second, first - second], axis=2)

    def _reference(self) -> Floats:
        return np.ones(2)

    @classmethod
    def covering(cls, problem: Problem) -> type[Technique]:
        d = problem.X.shape[1]
        if d != 2:
            raise ValueError(
                f"technique {cls.name!r} is for inputs of two features (a sum and a difference), X has {d}; "
                "use 'states' or 'contributions'"
            )
        return cls

    def run(self, outputs: Floats, diverged_at: NDArray[np.intp], n_threads: int) -> None:
        p = self.problem
        backend.states.sum_difference(
            self.coordinates, self.w2, p.X, p.y, p.eta, p.sequential, self.literal, self._scratch(),
            outputs, diverged_at, n_threads,
        )  # fmt: skip

    def expand(self) -> Layers:
        s, difference = np.moveaxis(self.coordinates, 2, 0)
        return np.stack([(s + difference) / 2, (s - difference) / 2], axis=2), self.w2


class SumDifferenceLiteral(SumDifference):
    """Equation 32 as printed: coordinates at the current input, chained to the next. A weight is lost if one is 0."""

    name = "sum_difference_literal"
    literal = True

    def _reference(self) -> Floats:
        return self.problem.X[0]

    def expand(self) -> Layers:
        raise ValueError(
            "technique 'sum_difference_literal' cannot be expanded: chained from input to input, the coordinates no longer "
            "determine the weights; use 'sum_difference'"
        )


def _states(X: Floats, W1: Floats) -> Floats:
    """Return the pre-activations (n, N, h) of every sample in every network."""
    return np.ascontiguousarray(X @ W1.transpose(0, 2, 1))


TECHNIQUES: dict[str, type[Technique]] = {
    technique.name: technique
    for technique in (
        Weights, Compensation, ClosedForm, PrintedForm, States, Contributions, SumDifference, SumDifferenceLiteral,
    )
}  # fmt: skip
ONE_INPUT = tuple(name for name, technique in TECHNIQUES.items() if issubclass(technique, OneInput))
