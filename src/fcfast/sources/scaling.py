"""How raw samples and targets become those that a network was trained on."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from fcfast.sources.opening import as_source
from fcfast.sources.scale import Scale
from fcfast.sources.standardized import Standardized, Statistics

Array = NDArray[Any]


@dataclass(frozen=True)
class Scaling:
    """Scaling of raw data to the data that a network was trained on.

    Attributes
    ----------
    inputs : Scale or None
        Scale of the features, one column per feature.
    targets : Scale or None
        Scale of the targets of a regression, one column per output.
    missing : ndarray of shape (d,) or None
        Means of the features that stand for missing values; None refuses missing values.
    """

    inputs: Scale | None
    targets: Scale | None
    missing: NDArray[np.float64] | None = None

    @property
    def changes_features(self) -> bool:
        """Whether features are scaled or filled in."""
        return self.inputs is not None or self.missing is not None

    def prepared(self, X: Any, dtype: DTypeLike) -> Any:
        """Give raw samples as the network takes them; they are scaled and filled in while they are read."""
        if not self.changes_features:
            return X
        base = as_source(X)
        known = self.inputs
        if known is None:
            assert self.missing is not None  # because features are changed
            known = Scale(self.missing, np.ones_like(self.missing))
        missing = "error" if self.missing is None else "mean"
        return Standardized(base, self.inputs is not None, missing, dtype, Statistics.known(known, missing))

    def scaled_targets(self, y: Array) -> Array:
        """Return targets (N,) or (N, c) scaled for the network."""
        by = self.targets
        return y if by is None else ((y.reshape(len(y), -1) - by.mean) / by.scale).reshape(y.shape)

    def raw_outputs(self, outputs: Array) -> Array:
        """Return outputs (M, c) of the network in the unit of raw targets."""
        return outputs if self.targets is None else outputs * self.targets.scale + self.targets.mean

    def coefs(self, coefs: Sequence[Array]) -> list[Array]:
        """Return the weights (n_in, n_out) of the network for raw data, in double precision."""
        folded = [coef.astype(np.float64) for coef in coefs]
        if self.inputs is not None:
            folded[0] /= self.inputs.scale[:, None]
        if self.targets is not None:
            folded[-1] *= self.targets.scale
        return folded

    def intercepts(self, coefs: Sequence[Array], intercepts: Sequence[Array]) -> list[Array]:
        """Return the biases of the network for raw data, in double precision; the arguments belong to scaled data."""
        folded = [intercept.astype(np.float64) for intercept in intercepts]
        if self.inputs is not None:
            folded[0] -= (self.inputs.mean / self.inputs.scale) @ coefs[0]
        if self.targets is not None:
            folded[-1] = folded[-1] * self.targets.scale + self.targets.mean
        return folded
