"""A loss of the user's own that is made of functions."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from fcfast.losses.base import Array
from fcfast.losses.separable import Separable
from fcfast.validation import all_finite


@dataclass(frozen=True)
class FunctionLoss(Separable):
    """A loss that two functions give, which trains in single steps and not by the kernels.

    Parameters
    ----------
    value : callable
        Function of outputs (B, c) and targets (B, c) that gives the loss of each sample (B,), or of each output (B, c). Losses
        of outputs are summed, and leave out targets that are NaN.
    gradient : callable
        Function of the same arguments that gives the derivatives (B, c) of each sample's loss with respect to its outputs.
    inverse_link : callable or None, default None
        Function of outputs (M, c) that gives predictions (M, c) on the scale of the targets, such as numpy.exp. With None
        outputs are the predictions.

    Raises
    ------
    TypeError
        If one of them is no function.

    Notes
    -----
    An estimator with it can be cloned, and pickled if its functions can. A model file cannot hold functions: for that, write a
    subclass of `Loss` or `Separable`, and register it (`fcfast.losses.register`).

    Examples
    --------
    >>> import numpy as np
    >>> from fcfast import FrontRegressor
    >>> from fcfast.losses import FunctionLoss
    >>> log_cosh = FunctionLoss(lambda z, t: np.log(np.cosh(z - t)), lambda z, t: np.tanh(z - t))
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(60, 500))
    >>> FrontRegressor(loss=log_cosh, random_state=0).fit(X, X[:, 0]).score(X, X[:, 0]) > 0.9
    True
    """

    value: Callable[[Array, Array], Array]
    gradient: Callable[[Array, Array], Array]
    inverse_link: Callable[[Array], Array] | None = None

    name: ClassVar[str] = "function"
    may_lack_targets: ClassVar[bool] = True
    not_stored: ClassVar[str] = (
        "a file holds no functions; write them as a subclass of fcfast.losses.Loss and register it, or pickle the estimator"
    )

    def __post_init__(self) -> None:
        for name in ("value", "gradient", "inverse_link"):
            given = getattr(self, name)
            if not callable(given) and (given is not None or name != "inverse_link"):
                raise TypeError(f"{name} must be a function, got {given!r}")

    @property
    def link(self) -> str:
        """Outputs are the predictions, or nothing is known of them."""
        return "identity" if self.inverse_link is None else ""

    @property
    def may_scale_targets(self) -> bool:
        """Whether outputs are predictions as they are, which a scale of targets can be given to."""
        return self.inverse_link is None

    def of_samples(self, outputs: Array, targets: Array) -> tuple[Array, Array]:
        """Give the loss of each sample, summed over its outputs if the function gives one for each, and its gradient."""
        losses, gradient = self._given(outputs, targets)
        return losses.sum(axis=1) if losses.ndim == 2 else losses, gradient

    def of_outputs(self, outputs: Array, targets: Array) -> tuple[Array, Array]:
        """Give the loss of each output and its derivative, where some targets are missing."""
        losses, gradient = self._given(outputs, targets)
        if losses.ndim == 1:
            raise ValueError(
                f"y lacks some targets, but value gave losses of samples, shape {losses.shape}; give one for each output, "
                f"shape {outputs.shape}, so that those without a target can be left out"
            )
        return losses, gradient

    def _given(self, outputs: Array, targets: Array) -> tuple[Array, Array]:
        """Give what the functions give, once it is known that these are numbers of the right shape."""
        losses, gradient = (np.asarray(function(outputs, targets)) for function in (self.value, self.gradient))
        for name, given, shapes in (
            ("value", losses, {outputs.shape, outputs.shape[:1]}),
            ("gradient", gradient, {outputs.shape}),
        ):
            if given.shape not in shapes:
                wanted = " or ".join(map(str, sorted(shapes, key=len)))
                raise ValueError(
                    f"{name} gave an array of shape {given.shape} for {outputs.shape[0]} samples; it must be {wanted}"
                )
            if given.dtype.kind not in "biuf":
                raise TypeError(f"{name} gave values of dtype {given.dtype}; it must give real numbers")
        if all_finite(outputs):
            is_known = ~np.isnan(targets)
            known = is_known if losses.ndim == 2 else is_known.all(axis=1)
            for name, given in (("value", losses[known]), ("gradient", gradient[known])):
                if np.isnan(given).any():
                    raise ValueError(f"{name} gave NaN for outputs that are finite; it must give a number for each")
        return losses, gradient

    def predictions(self, outputs: Array) -> Array:
        """Give predictions on the scale of the targets."""
        if self.inverse_link is None:
            return outputs
        predicted = np.asarray(self.inverse_link(outputs))
        if predicted.shape != outputs.shape:
            raise ValueError(f"inverse_link gave predictions of shape {predicted.shape}, but {outputs.shape} is needed")
        return predicted
