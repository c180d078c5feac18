"""The variants of NoProp: the noisy labels that blocks see, the targets of the blocks, and the way to a prediction.

All blocks see z = signal u + noise eps, for the embedding u of the label and normal eps. The variants differ in the shares of
signal and noise, and in the time: a block has a fixed time (DT) or takes it as an input (CT, FM). Equation numbers follow arXiv
2503.24322.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from fcfast.noprop.labels import Prediction
from fcfast.noprop.schedule import ContinuousSchedule, LinearNoise, Steps, sampled

Array = NDArray[Any]
Floats = NDArray[np.float64]
Generator = np.random.Generator
Scores = Callable[[int, Array, float | None], Array]  # scores of a block, for points and a time
Path = Iterator[tuple[Array, Array]]  # noisy labels, and probabilities

WEIGHTINGS = ("snr", "uniform", "min-snr")
MAX_SNR = 5.0  # limit in the weighting "min-snr", the value of Hang et al. 2023


@dataclass(frozen=True)
class Draw:
    """Random draws for a batch.

    Attributes
    ----------
    signal, noise : ndarray of shape (B, 1)
        Factors of the embedding of the label and of the noise in the noisy label.
    weight : ndarray of shape (B,)
        Weight of the squared error of each sample.
    times : ndarray of shape (B,) or None
        Times, if blocks take a time.
    """

    signal: Array
    noise: Array
    weight: Array
    times: Floats | None


@dataclass(frozen=True)
class Inference:
    """Settings of prediction: the parameters of `NoPropClassifier` with the same names."""

    noise: bool = False
    n_steps: int | None = None
    n_runs: int = 1
    update: str = "posterior"


class Points(Protocol):
    """What the way of a prediction asks of a label space: `LabelSpace` computes arrays, and an ONNX model adds nodes."""

    def predicted(self, scores: Array) -> Prediction:
        """Give the point that scores predict."""

    def moved(self, z: Array, point: Array, a: float, b: float, c: float, noise: Array | None) -> Array:
        """Take a step of the chain, eq. 3."""

    def closeness(self, z: Array) -> Array:
        """Give probabilities that points belong to each embedding."""

    def classified(self, z: Array) -> Array:
        """Give the probabilities of the classifier."""


class Variant(Protocol):
    """Interface of a variant."""

    name: str
    has_time: bool
    is_flow: bool

    def draw(self, block: int, n: int, generator: Generator) -> Draw:
        """Draw the noise levels of the labels of a batch."""

    @property
    def ends(self) -> tuple[float, float] | None:
        """Return abar of the first and the last state, which have terms in the bound; None if the bound has no such terms."""

    def path(self, z: Array, scores: Scores, labels: Points, how: Inference, noise: Callable[[], Array]) -> Path:
        """Go from z_0 to z_T: yield z and class probabilities (M, m) after each block or step."""


def _weight(weighting: str, eta: float, snr: Floats, change: Floats) -> Floats:
    """Return the weights of squared errors: those of the bound ("snr"), uniform ones, or limited ones ("min-snr")."""
    if weighting == "snr":
        return eta * change
    return eta * (np.minimum(snr, MAX_SNR) if weighting == "min-snr" else np.ones_like(snr))


class DiscreteTime:
    """NoProp-DT: block t sees z_{t-1} and predicts u (eq. 8).

    Parameters
    ----------
    steps : Steps
        Chain with one step per block.
    eta : float
        Factor of the squared error in the loss.
    weighting : {"snr", "uniform", "min-snr"}
        Weights of the squared errors.
    """

    name = "dt"
    has_time = False
    is_flow = False

    def __init__(self, steps: Steps, eta: float, weighting: str) -> None:
        self.steps = steps
        change = len(steps) / 2 * np.diff(steps.snr)
        self.weights = _weight(weighting, eta, steps.snr[:-1], change)

    def draw(self, block: int, n: int, generator: Generator) -> Draw:
        abar = self.steps.alpha_bar[block]
        return Draw(np.full((n, 1), abar**0.5), np.full((n, 1), (1 - abar) ** 0.5), np.full(n, self.weights[block]), None)

    @property
    def ends(self) -> tuple[float, float] | None:
        return float(self.steps.alpha_bar[0]), float(self.steps.alpha_bar[-1])

    def path(self, z: Array, scores: Scores, labels: Points, how: Inference, noise: Callable[[], Array]) -> Path:
        for t, (a, b, c) in enumerate(zip(self.steps.a, self.steps.b, self.steps.c, strict=True)):
            made = labels.predicted(scores(t, z, None))
            z = labels.moved(z, made.point, a, b, c, noise() if how.noise else None)
            yield z, made.factors


class ContinuousTime:
    """NoProp-CT: one block for all times (eq. 10).

    Parameters
    ----------
    schedule : ContinuousSchedule
        Noise schedule.
    eta : float
        Factor of the squared error in the loss.
    weighting : {"snr", "uniform", "min-snr"}
        Weights of the squared errors.
    learns_ends : bool
        Whether the two ends of a `LinearNoise` schedule are trained.
    """

    name = "ct"
    has_time = True
    is_flow = False

    def __init__(self, schedule: ContinuousSchedule, eta: float, weighting: str, learns_ends: bool = False) -> None:
        self.eta, self.weighting, self.learns_ends = eta, weighting, learns_ends
        self._schedule = schedule
        self.gammas = np.array([schedule.start, schedule.end]) if isinstance(schedule, LinearNoise) else np.zeros(2)

    @property
    def schedule(self) -> ContinuousSchedule:
        """Return the current schedule."""
        return LinearNoise(*map(float, self.gammas)) if self.learns_ends else self._schedule

    def draw(self, block: int, n: int, generator: Generator) -> Draw:
        t = generator.random(n)
        abar = self.schedule.alpha_bar(t)
        weight = _weight(self.weighting, self.eta, abar / (1 - abar), self.schedule.snr_derivative(t) / 2)
        return Draw(np.sqrt(abar)[:, None], np.sqrt(1 - abar)[:, None], weight, t)

    @property
    def ends(self) -> tuple[float, float] | None:
        first, last = self.schedule.alpha_bar([0.0, 1.0])
        return float(first), float(last)

    def path(self, z: Array, scores: Scores, labels: Points, how: Inference, noise: Callable[[], Array]) -> Path:
        n = how.n_steps or 1
        steps = sampled(self.schedule, n, may_stay=True)
        for k, (a, b, c) in enumerate(zip(steps.a, steps.b, steps.c, strict=True)):
            made = labels.predicted(scores(0, z, k / n))
            if how.update == "deterministic":  # keep the same noise and only scale it
                now, then = steps.alpha_bar[k : k + 2]
                b = ((1 - then) / (1 - now)) ** 0.5
                a, c = then**0.5 - b * now**0.5, 0.0
            z = labels.moved(z, made.point, a, b, c, noise() if how.noise else None)
            yield z, made.factors


class FlowMatching:
    """NoProp-FM: one block predicts the velocity of a flow from noise to the embedding of the label (eq. 12)."""

    name = "fm"
    has_time = True
    is_flow = True
    ends: tuple[float, float] | None = None

    def __init__(self, eta: float) -> None:
        self.eta = eta

    def draw(self, block: int, n: int, generator: Generator) -> Draw:
        t = generator.random(n)
        return Draw(t[:, None], 1 - t[:, None], np.full(n, self.eta), t)

    def path(self, z: Array, scores: Scores, labels: Points, how: Inference, noise: Callable[[], Array]) -> Path:
        n = how.n_steps or 1
        for k in range(n):
            z = labels.moved(z, labels.predicted(scores(0, z, k / n)).point, 1 / n, 1.0, 0.0, None)
            yield z, labels.closeness(z)


class EndToEnd:
    """The baseline of the paper: the blocks of DT as layers of one network, z_t = (1 - a_t) z_{t-1} + a_t u_t, a_t = tanh(w_t).

    Training uses backpropagation through all blocks, with a linear classifier of z_T.
    """

    name = "backprop"
    has_time = False
    is_flow = False
    ends: tuple[float, float] | None = None

    def __init__(self, n_blocks: int, dtype: np.dtype[Any]) -> None:
        self.gates = np.full(n_blocks, np.arctanh(0.5), dtype)

    def path(self, z: Array, scores: Scores, labels: Points, how: Inference, noise: Callable[[], Array]) -> Path:
        for t, gate in enumerate(np.tanh(self.gates)):
            made = labels.predicted(scores(t, z, None))
            z = labels.moved(z, made.point, float(gate), 1 - float(gate), 0.0, None)
            yield z, made.factors if t < len(self.gates) - 1 else labels.classified(z)


VARIANTS: dict[str, type[DiscreteTime | ContinuousTime | FlowMatching | EndToEnd]] = {
    "dt": DiscreteTime, "ct": ContinuousTime, "fm": FlowMatching, "backprop": EndToEnd,
}  # fmt: skip
