"""How gradients become updates: optimisers and learning-rate schedules.

An optimiser that commutes with rotations of the input gives the same network in every form of the front layer; one that treats
each feature by itself needs the weights as they are, form "weights" (docs/mathematics.md, 4, has the table).
"""

import math
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from fcfast import backend, validation
from fcfast.layers import DenseLayer, Layer


class Optimizer(Protocol):
    """What training needs of an optimiser."""

    name: ClassVar[str]
    commutes: ClassVar[bool]

    @property
    def has_velocity(self) -> bool:
        """Whether a velocity is kept beside the weights."""

    @property
    def weight_decay(self) -> float:
        """Of all parameters."""

    @property
    def max_grad_norm(self) -> float | None:
        """Largest global norm of a gradient; None for no clipping."""

    def moment_shape(self, n_out: int, n_in: int) -> tuple[int, ...]:
        """Shape of what is remembered of a layer's squared gradients."""

    def update(self, layer: Layer, rate: float, step: int) -> None:
        """Update a layer's weights from its gradient, in step number `step` (from 1)."""

    @property
    def for_biases(self) -> "Optimizer":
        """The optimiser of biases, each a layer of one feature."""


@dataclass(frozen=True)
class SGD:
    """Stochastic gradient descent as torch.optim.SGD defines it.

    Parameters
    ----------
    momentum, dampening : float
        In [0, 1); dampening multiplies the fresh gradient by 1 - dampening from the second step on.
    nesterov : bool
        Needs momentum > 0 and no dampening.
    weight_decay : float
        Of all parameters, biases included; >= 0.
    max_grad_norm : float or None
        Gradients are scaled so that their global norm is at most this; None for no clipping.

    Raises
    ------
    ValueError, TypeError
        For values out of range, and for combinations that PyTorch refuses too.

    Examples
    --------
    >>> from fcfast.optimizers import SGD
    >>> SGD(momentum=0.9, nesterov=True).momentum
    0.9
    """

    momentum: float = 0.0
    dampening: float = 0.0
    nesterov: bool = False
    weight_decay: float = 0.0
    max_grad_norm: float | None = None

    name: ClassVar[str] = "sgd"
    commutes: ClassVar[bool] = True

    @property
    def has_velocity(self) -> bool:
        """Whether a velocity is kept beside the weights."""
        return self.momentum > 0

    def __post_init__(self) -> None:
        _check_common(self)
        validation.in_range(self.momentum, "momentum", 0, 1)
        validation.in_range(self.dampening, "dampening", 0, 1)
        if self.nesterov and (self.momentum == 0 or self.dampening != 0):
            raise ValueError(
                f"nesterov=True needs momentum > 0 and dampening = 0, got {self.momentum} and {self.dampening}, as in PyTorch"
            )

    def moment_shape(self, n_out: int, n_in: int) -> tuple[int, ...]:
        """None is needed."""
        return (0,)

    def update(self, layer: Layer, rate: float, step: int) -> None:
        """Update a layer in any representation."""
        layer.descend_as_sgd(rate, self, step == 1)

    @property
    def for_biases(self) -> "SGD":
        """Itself."""
        return self


@dataclass(frozen=True)
class NeuronAdam:
    """AdamW with one second moment per unit instead of one per weight, so that it commutes with rotations of the input.

    With g the gradient of a unit's n_in weights: M <- beta1 M + (1 - beta1) g, v <- beta2 v + (1 - beta2) mean(g^2), both
    corrected for their start at 0, and W <- (1 - rate weight_decay) W - rate M / (sqrt(v) + eps). A bias has its own moment.

    Parameters
    ----------
    beta1, beta2 : float
        In [0, 1).
    eps : float
        > 0; set it near the gradient size that you regard as zero.
    weight_decay : float
        Decoupled, of all parameters; >= 0.
    max_grad_norm : float or None
        As in `SGD`.

    Raises
    ------
    ValueError, TypeError
        For values out of range.

    Examples
    --------
    >>> from fcfast.optimizers import NeuronAdam
    >>> NeuronAdam(weight_decay=0.1).commutes
    True
    """

    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8
    weight_decay: float = 0.0
    max_grad_norm: float | None = None

    name: ClassVar[str] = "neuron-adam"
    commutes: ClassVar[bool] = True
    has_velocity: ClassVar[bool] = True

    def __post_init__(self) -> None:
        _check_common(self)
        _check_moments(self)

    def moment_shape(self, n_out: int, n_in: int) -> tuple[int, ...]:
        """One moment per unit."""
        return (n_out,)

    def update(self, layer: Layer, rate: float, step: int) -> None:
        """Update a layer in any representation."""
        real = layer.moment.dtype.type
        layer.moment *= real(self.beta2)
        layer.moment += (1 - self.beta2) * layer.squared_gradient_norms() / layer.n_in
        layer.accumulate(self.beta1, 1 - self.beta1)
        if self.weight_decay:
            layer.shrink(1 - rate * self.weight_decay)
        root = np.sqrt(layer.moment.astype(np.float64) / (1 - self.beta2**step))
        layer.descend(rate / (1 - self.beta1**step) / (root + self.eps))

    @property
    def for_biases(self) -> "NeuronAdam":
        """Itself: of one feature its moment is Adam's."""
        return self


@dataclass(frozen=True)
class Muon:
    """Momentum whose steps are made semi-orthogonal (Jordan et al. 2024, https://kellerjordan.github.io/posts/muon/).

    As torch.optim.Muon with its "original" adjustment, in the network's own precision: M <- momentum M + g, the step is
    rate sqrt(max(1, n_out / n_in)) times the matrix that Newton-Schulz makes of M, or of g + momentum M with Nesterov. It only
    multiplies by matrices over the units, so it commutes with rotations of the input. Biases follow `NeuronAdam`.

    Parameters
    ----------
    momentum : float
        In [0, 1).
    nesterov : bool
        Needs momentum > 0.
    weight_decay : float
        Decoupled, of all parameters; >= 0.
    max_grad_norm : float or None
        As in `SGD`.
    n_iterations : int
        Of Newton-Schulz; >= 1.

    Raises
    ------
    ValueError, TypeError
        For values out of range.

    Examples
    --------
    >>> from fcfast.optimizers import Muon
    >>> Muon().n_iterations
    5
    """

    momentum: float = 0.95
    nesterov: bool = True
    weight_decay: float = 0.0
    max_grad_norm: float | None = None
    n_iterations: int = 5

    name: ClassVar[str] = "muon"
    commutes: ClassVar[bool] = True
    has_velocity: ClassVar[bool] = True

    def __post_init__(self) -> None:
        _check_common(self)
        validation.in_range(self.momentum, "momentum", 0, 1)
        validation.integer(self.n_iterations, "n_iterations", 1)
        if self.nesterov and self.momentum == 0:
            raise ValueError("nesterov=True needs momentum > 0, got 0")

    def moment_shape(self, n_out: int, n_in: int) -> tuple[int, ...]:
        """None is needed."""
        return (0,)

    def update(self, layer: Layer, rate: float, step: int) -> None:
        """Update a layer in any representation."""
        layer.accumulate(self.momentum, 1.0)
        if self.weight_decay:
            layer.shrink(1 - rate * self.weight_decay)
        adjusted = rate * math.sqrt(max(1.0, layer.n_out / layer.n_in))
        layer.descend_orthogonally(adjusted, self.momentum if self.nesterov else 0.0, self.n_iterations)

    @property
    def for_biases(self) -> NeuronAdam:
        """A vector has no orthogonal direction."""
        return NeuronAdam(weight_decay=self.weight_decay)


@dataclass(frozen=True)
class Adam:
    """Adam as torch.optim.Adam defines it (Kingma and Ba 2015). Form "weights" only: it scales every weight by itself.

    Parameters
    ----------
    beta1, beta2 : float
        In [0, 1).
    eps : float
        > 0.
    weight_decay : float
        Added to the gradient, of all parameters; >= 0.
    max_grad_norm : float or None
        As in `SGD`.

    Raises
    ------
    ValueError, TypeError
        For values out of range.

    Examples
    --------
    >>> from fcfast.optimizers import Adam
    >>> Adam().commutes
    False
    """

    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8
    weight_decay: float = 0.0
    max_grad_norm: float | None = None

    name: ClassVar[str] = "adam"
    commutes: ClassVar[bool] = False
    has_velocity: ClassVar[bool] = True
    decoupled: ClassVar[bool] = False

    def __post_init__(self) -> None:
        _check_common(self)
        _check_moments(self)

    def moment_shape(self, n_out: int, n_in: int) -> tuple[int, ...]:
        """One moment per weight."""
        return n_out, n_in

    def update(self, layer: Layer, rate: float, step: int) -> None:
        """Update a layer that is held as an array."""
        assert isinstance(layer, DenseLayer)  # estimators refuse the other forms
        backend.backprop.adam_step(
            layer.weights.reshape(-1), layer.gradient.reshape(-1), layer.velocity.reshape(-1), layer.moment.reshape(-1),
            rate, self.beta1, self.beta2, self.eps, self.weight_decay, self.decoupled, step, layer.n_threads,
        )  # fmt: skip

    @property
    def for_biases(self) -> "Adam":
        """Itself."""
        return self


@dataclass(frozen=True)
class AdamW(Adam):
    """AdamW as torch.optim.AdamW defines it (Loshchilov and Hutter 2019): `Adam` with decoupled weight decay.

    Parameters
    ----------
    beta1, beta2, eps, weight_decay, max_grad_norm
        As in `Adam`; weight decay multiplies the weights by 1 - rate weight_decay.

    Examples
    --------
    >>> from fcfast.optimizers import AdamW
    >>> AdamW(weight_decay=0.01).beta2
    0.999
    """

    name: ClassVar[str] = "adamw"
    decoupled: ClassVar[bool] = True


def _check_common(optimizer: Any) -> None:
    validation.plain_numbers(optimizer)
    validation.boolean(getattr(optimizer, "nesterov", False), "nesterov")
    validation.in_range(optimizer.weight_decay, "weight_decay", 0, math.inf)
    if optimizer.max_grad_norm is not None:
        validation.positive(optimizer.max_grad_norm, "max_grad_norm")


def _check_moments(optimizer: Any) -> None:
    validation.in_range(optimizer.beta1, "beta1", 0, 1)
    validation.in_range(optimizer.beta2, "beta2", 0, 1)
    validation.positive(optimizer.eps, "eps")


OPTIMIZERS = ("sgd", "muon", "neuron-adam", "adam", "adamw")
_ADAPTIVE: dict[str, type[NeuronAdam] | type[Adam]] = {"neuron-adam": NeuronAdam, "adam": Adam, "adamw": AdamW}


def make_optimizer(
    name: str, momentum: float, dampening: float, nesterov: bool, weight_decay: float, max_grad_norm: float | None
) -> Optimizer:
    """Make the optimiser of that name.

    Parameters
    ----------
    name : {"sgd", "muon", "neuron-adam", "adam", "adamw"}
    momentum : float
        Of the adaptive optimisers, beta1.
    dampening, nesterov, weight_decay, max_grad_norm
        As in `SGD`.

    Raises
    ------
    ValueError
        For an unknown name, values out of range, and settings that the optimiser has no use for.

    Examples
    --------
    >>> from fcfast.optimizers import make_optimizer
    >>> make_optimizer("adamw", 0.9, 0.0, False, 0.01, None)
    AdamW(beta1=0.9, beta2=0.999, eps=1e-08, weight_decay=0.01, max_grad_norm=None)
    """
    validation.choice(name, "optimizer", OPTIMIZERS)
    validation.in_range(dampening, "dampening", 0, 1)
    validation.boolean(nesterov, "nesterov")
    if name == "sgd":
        return SGD(momentum, dampening, nesterov, weight_decay, max_grad_norm)
    if dampening:
        raise ValueError(f"dampening={dampening} is a setting of optimizer='sgd'; {name!r} has none, use 0")
    if name == "muon":
        return Muon(momentum, nesterov, weight_decay, max_grad_norm)
    if nesterov:
        raise ValueError(f"nesterov=True is a setting of optimizer='sgd' and 'muon'; {name!r} has none, use False")
    validation.in_range(momentum, "momentum", 0, 1)
    return _ADAPTIVE[name](beta1=momentum, weight_decay=weight_decay, max_grad_norm=max_grad_norm)


class Schedule(Protocol):
    """A learning-rate schedule: the factor of the learning rate at each step."""

    def factors(self, steps: NDArray[np.intp], total: int) -> NDArray[np.float64]:
        """Give the factors at some steps (from 0) of a training that is to take `total` steps."""


@dataclass(frozen=True)
class Constant:
    """The same learning rate throughout."""

    def factors(self, steps: NDArray[np.intp], total: int) -> NDArray[np.float64]:
        """Give 1 for every step."""
        return np.ones(len(steps))


@dataclass(frozen=True)
class Cosine:
    """Half a cosine from 1 at the first step to `final` (finite, >= 0) after the last one."""

    final: float = 0.0

    def __post_init__(self) -> None:
        validation.in_range(self.final, "final", 0, np.inf)
        validation.plain_numbers(self)

    def factors(self, steps: NDArray[np.intp], total: int) -> NDArray[np.float64]:
        """Give the factors; a training that goes on longer than planned stays at `final`."""
        progress = np.minimum(steps / max(total, 1), 1)
        return self.final + (1 - self.final) * (1 + np.cos(np.pi * progress)) / 2


@dataclass(frozen=True)
class StepDecay:
    """Multiply by `factor` (> 0) after every `every`-th part of the training (a fraction of its length, > 0)."""

    factor: float = 0.1
    every: float = 1 / 3

    def __post_init__(self) -> None:
        validation.positive(self.factor, "factor")
        validation.positive(self.every, "every")
        validation.plain_numbers(self)

    def factors(self, steps: NDArray[np.intp], total: int) -> NDArray[np.float64]:
        """Give the factors; the steps are those of the planned length."""
        with np.errstate(over="ignore"):  # `fit` refuses factors that are not finite
            return self.factor ** np.floor(np.minimum(steps / max(total, 1), 1 - 1e-12) / self.every)


@dataclass(frozen=True)
class WarmUp:
    """Rise linearly over the first `fraction` (0 to 1) of the training, then follow another schedule."""

    fraction: float = 0.1
    then: Schedule = Constant()

    def __post_init__(self) -> None:
        validation.plain_numbers(self)
        if validation.in_range(self.fraction, "fraction", 0, np.inf) > 1:
            raise ValueError(f"fraction must be a share of the training, at most 1, got {self.fraction!r}")
        if not callable(getattr(self.then, "factors", None)):
            raise TypeError(f"then must be a schedule, an object with factors(), got {self.then!r}")

    def factors(self, steps: NDArray[np.intp], total: int) -> NDArray[np.float64]:
        """Give the factors; the first step has 1 / (number of warm-up steps), not 0."""
        length = max(1, round(self.fraction * total))
        return np.minimum((steps + 1) / length, 1) * self.then.factors(np.maximum(steps - length, 0), max(total - length, 1))


SCHEDULES: dict[str, Schedule] = {
    "constant": Constant(),
    "cosine": Cosine(),
    "step": StepDecay(),
    "warm-up": WarmUp(),
    "warm-up-cosine": WarmUp(then=Cosine()),
}
