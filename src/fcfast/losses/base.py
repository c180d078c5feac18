"""The interface of losses.

Most losses are a mean over the samples of a batch, weighted if they have weights. A loss that the kernels know trains at full
speed. Any other loss is a class with one method: `of_outputs` for a sum over the outputs (`fcfast.losses.Separable`),
`of_samples` for any other mean over samples, or `of_batch` where samples are compared with each other.
"""

from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fcfast import backend
from fcfast.losses.scores import errors, r2, share
from fcfast.registry import Capable, Registry

Array = NDArray[Any]
Floats = NDArray[np.float64]
Rows = NDArray[np.intp]

OPERATORS = {"identity": None, "log": "Exp", "logit": "Sigmoid"}  # of ONNX, which undo a link

LOSSES = Registry("loss", make=lambda kind: kind())
register = LOSSES.register


class Loss(Capable):
    """A loss of the outputs. Two losses are equal if they have the same class and the same settings.

    Attributes
    ----------
    name : str
        Name under which users find the loss.
    kernel : int or None
        Code of the loss in the kernels, or None if they do not know it. A subclass that does not set it has None.
    parameters : tuple of float
        Settings for the kernels, which repeat over the outputs.
    has_classes : bool
        Whether targets are class numbers (N,); otherwise they are numbers (N, c), one for each output.
    per_target : int
        Number of outputs for each target, which are side by side.
    lists_predictions : bool
        Whether predictions have a last axis for the outputs of a target.
    link : {"identity", "log", "logit", "softmax", ""}
        Function of predictions that the outputs are; empty for any other one, as in a subclass with `predictions` of its own
        that does not say it.
    may_lack_targets : bool
        Whether targets may be NaN, which leaves them out of the loss.
    may_scale_targets : bool
        Whether targets may be standardised: the scale turns outputs for scaled targets into outputs for raw ones.
    expects_noise : bool
        Whether targets are mostly noise as a rule, as counts are, so that chosen settings shrink weights more.
    is_robust : bool
        Whether targets that are far off hardly count, so that they should not decide the scale of the others.
    starts_from_means : bool
        Whether `best_constant` depends on the means of the targets alone.
    named_in_files : bool
        Whether a model file names the loss apart from the parameters, because older versions of the library do not have it.
    share_name : str
        Name of what `score` gives, among the `measures`.
    """

    not_inherited: ClassVar[dict[str, Any]] = {"kernel": None}

    name: ClassVar[str] = "unnamed"
    kernel: ClassVar[int | None] = None
    has_classes: ClassVar[bool] = False
    link: Any = "identity"
    may_lack_targets: ClassVar[bool] = False
    may_scale_targets: Any = True
    expects_noise: ClassVar[bool] = False
    is_robust: ClassVar[bool] = False
    starts_from_means: ClassVar[bool] = False
    named_in_files: ClassVar[bool] = False
    share_name: ClassVar[str] = "r2"

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "predictions" in vars(cls) and "link" not in vars(cls):
            cls.link = ""

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and vars(self) == vars(other)

    def __hash__(self) -> int:
        return hash(type(self))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in vars(self).items())})"

    @property
    def parameters(self) -> tuple[float, ...]:
        """Settings for the kernels, which repeat over the outputs."""
        return (0.0,)

    @property
    def per_target(self) -> int:
        """Number of outputs for each target, which are side by side."""
        return 1

    @property
    def lists_predictions(self) -> bool:
        """Whether predictions have a last axis for the outputs of a target."""
        return False

    def check_targets(self, targets: Array) -> None:
        """Raise a ValueError if the loss is not defined for some targets (N, c); NaN is none of them."""

    def of_samples(self, outputs: Array, targets: Array) -> tuple[Array, Array]:
        """Give the loss of each sample and its gradient.

        Parameters
        ----------
        outputs : ndarray of shape (B, c)
            Outputs of the network.
        targets : ndarray of shape (B, c), or (B,) for classes
            Targets of the same samples.

        Returns
        -------
        losses : ndarray of shape (B,)
            Loss of each sample.
        gradient : ndarray of shape (B, c)
            Derivatives of each sample's loss with respect to its outputs.
        """
        raise NotImplementedError(f"the loss {type(self).__name__} must define of_outputs, of_samples or of_batch")

    def of_batch(self, outputs: Array, targets: Array, sample_weight: Floats) -> tuple[float, Array]:
        """Give the loss of a batch and its gradient: the weighted mean over the samples, unless a subclass says otherwise.

        Parameters
        ----------
        outputs : ndarray of shape (B, c)
            Outputs of the network.
        targets : ndarray of shape (B, c), or (B,) for classes
            Targets of the same samples.
        sample_weight : ndarray of shape (B,)
            Weights of the samples.

        Returns
        -------
        loss : float
            Loss of the batch.
        gradient : ndarray of shape (B, c)
            Derivatives of that loss with respect to the outputs.

        Raises
        ------
        ValueError
            If `of_samples` of a subclass gives arrays of other shapes.
        """
        losses, gradient = self.of_samples(outputs, targets)
        if np.shape(losses) != outputs.shape[:1] or np.shape(gradient) != outputs.shape:
            raise ValueError(
                f"loss {type(self).__name__} gave losses of shape {np.shape(losses)} and a gradient of shape "
                f"{np.shape(gradient)}, but {outputs.shape[:1]} and {outputs.shape} are needed"
            )
        total = float(sample_weight.sum())
        shares = sample_weight / total if total > 0 else sample_weight
        return float(shares @ np.asarray(losses, dtype=np.float64)), shares[:, None] * gradient

    def best_constant(self, targets: Array, sample_weight: Floats | None, n_outputs: int) -> Floats:
        """Give the outputs (c,) from which a training starts: the best ones that ignore the inputs, if the loss knows them.

        Parameters
        ----------
        targets : ndarray of shape (N, c), or (N,) for classes
            Targets.
        sample_weight : ndarray of shape (N,) or None
            Weights of the samples.
        n_outputs : int
            Number of outputs, c.
        """
        return np.zeros(n_outputs)

    def within(self, means: Floats, n_samples: Any) -> Floats:
        """Give means (c,) of targets that have a best constant; those at the end of what targets may be have none.

        Parameters
        ----------
        means : ndarray of shape (c,)
            Means of the targets.
        n_samples : int, or ndarray of int of shape (c,)
            Number of samples that they are means of.
        """
        return means

    def curvature(self, targets: Array, sample_weight: Floats | None) -> float:
        """Give the second derivative of the loss near good outputs, by which chosen rates are divided; about 1 by default.

        Parameters
        ----------
        targets : ndarray of shape (N, c), or (N,) for classes
            Targets.
        sample_weight : ndarray of shape (N,) or None
            Weights of the samples.
        """
        return 1.0

    def noise(self, means: Floats, variances: Floats) -> float:
        """Give the size of the noise in the gradient, by which a chosen weight decay is multiplied; 1 by default.

        Parameters
        ----------
        means, variances : ndarray of shape (c,)
            Weighted means and variances of the targets that there are, 0 for a column without any.
        """
        return 1.0

    def lowest(self, n_outputs: int) -> float:
        """Give the loss of the best outputs."""
        return 0.0

    def predictions(self, outputs: Array) -> Array:
        """Give predictions (M, c) on the scale of the targets, from outputs (M, c)."""
        return outputs

    def onnx_predictions(self, graph: Any, outputs: str) -> str:
        """Add the nodes of `predictions` to a `fcfast.onnx.graph.Graph`, and give the name of the last one.

        Raises
        ------
        ValueError
            If the loss has predictions of its own, and does not say how ONNX computes them.
        """
        if self.link not in OPERATORS:
            raise ValueError(
                f"loss {self.name!r} makes predictions in a way of its own, which ONNX does not know; write it as a subclass "
                "of fcfast.losses.Loss, and define onnx_predictions beside predictions"
            )
        operator = OPERATORS[self.link]
        return outputs if operator is None else str(graph.node(operator, outputs))

    def score(self, targets: Array, predictions: Array, sample_weight: Floats | None = None) -> float:
        """Score predictions, the more the better: R², unless a subclass says otherwise, as a mean over the targets.

        Parameters
        ----------
        targets : ndarray of shape (N,) or (N, L)
            Targets; those that are NaN are left out.
        predictions : ndarray of shape (N,) or (N, L)
            Predictions of the same samples.
        sample_weight : ndarray of shape (N,) or None
            Weights of the samples.
        """
        return r2(targets, predictions, sample_weight)

    def measures(self, targets: Array, predictions: Array) -> list[dict[str, float]]:
        """Give measures by name, for each of the predictions (n, `per_target`) of one target (n,), none of which is NaN."""
        predicted = predictions[:, 0]
        return [{"r2": share(r2, targets, predicted), **errors(targets, predicted)}]


class Targets:
    """Targets of all samples, with the loss that compares outputs with them.

    Parameters
    ----------
    loss : Loss
        Loss of the outputs.
    values : ndarray of shape (N, c), or (N,) for classes
        Targets; NaN where one is missing.
    sample_weight : ndarray of shape (N,) or None
        Weights of the samples; None weights all samples equally.
    """

    def __init__(self, loss: Loss, values: Array, sample_weight: Floats | None) -> None:
        self.loss, self.values, self.sample_weight = loss, values, sample_weight

    @cached_property
    def of_kernel(self) -> Any:
        """The same for the kernels, if they know the loss."""
        loss, values = self.loss, self.values
        numbers, labels = (None, values) if loss.has_classes else (values, None)
        assert loss.kernel is not None
        return backend.losses.Targets(numbers, labels, self.sample_weight, loss.kernel, np.array(loss.parameters, np.float64))

    def mean_loss(self, outputs: Array, rows: Rows, delta: Array) -> float:
        """Give the mean loss of a batch, and fill its gradient with respect to the outputs.

        Parameters
        ----------
        outputs : ndarray of shape (B, c)
            Outputs of the network.
        rows : ndarray of int of shape (B,)
            Row numbers of the batch's samples.
        delta : ndarray of shape (B, c)
            Array that the gradient is written to.
        """
        if self.loss.kernel is not None:
            return float(backend.losses.loss_of_rows(self.of_kernel, outputs, rows, delta))
        weights = np.ones(len(rows)) if self.sample_weight is None else self.sample_weight[rows]
        loss, delta[:] = self.loss.of_batch(outputs, self.values[rows], weights)
        return loss
