"""How raw samples and targets become those that a network was trained on."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray
from scipy import sparse

from fcfast.sources.arrays import SparseSource
from fcfast.sources.entries import Features, looked_up, occurring_part, scaled_entries
from fcfast.sources.inputs import tidy
from fcfast.sources.opening import as_source
from fcfast.sources.scale import Scale
from fcfast.sources.standardized import SCALE, Standardized, Statistics

Array = NDArray[Any]


@dataclass(frozen=True)
class Scaling:
    """Scaling of raw data to the data that a network was trained on.

    Attributes
    ----------
    inputs : Scale or None
        Scale of the features, one column per feature. Where all means are 0, nothing is subtracted.
    targets : Scale or None
        Scale of the targets of a regression, one column per output.
    missing : ndarray of shape (d,) or None
        Means of the features that stand for missing values; None refuses missing values.
    features : ndarray of int of shape (k,), or None
        The features that `inputs` and `missing` have columns for, in rising order: those that occurred in sparse samples. All
        others have scale 1 and mean 0. None has a column for each feature.
    """

    inputs: Scale | None
    targets: Scale | None
    missing: NDArray[np.float64] | None = None
    features: Features | None = None

    @classmethod
    def of_source(cls, X: Standardized, targets: Scale | None) -> "Scaling":
        """Scale new samples as those of a source, all of which are measured."""
        measured, fills_in = X.statistics.complete(), X.missing == "mean"
        mean, scale = measured.mean, measured.scale
        if X.standardize != SCALE:
            return cls(measured if X.standardize else None, targets, mean if fills_in else None)
        features = None
        if X.base.is_sparse:
            features = np.flatnonzero((mean != 0) | (scale != 1)) if (scale != 1).any() else np.zeros(1, np.intp)
            mean, scale = mean[features], scale[features]
        return cls(Scale(np.zeros_like(mean), scale), targets, mean if fills_in else None, features)

    @classmethod
    def of_entries(cls, X: Any, targets: Scale | None, missing: str, sample_weight: NDArray[np.float64] | None) -> "Scaling":
        """Measure the features that occur in a sparse matrix in CSR or CSC, and divide them by their deviations."""
        features, part = occurring_part(X)
        measured = Statistics(SparseSource(part), missing, sample_weight=sample_weight, columns=features).complete()
        inputs = Scale(np.zeros_like(measured.mean), measured.scale)
        return cls(inputs, targets, measured.mean if missing == "mean" else None, features)

    @property
    def changes_features(self) -> bool:
        """Whether features are scaled or filled in."""
        return self.inputs is not None or self.missing is not None

    def prepared(self, X: Any, dtype: DTypeLike) -> Any:
        """Give raw samples as the network takes them; they are scaled and filled in while they are read."""
        if not self.changes_features:
            return X
        if self.features is not None:
            if sparse.issparse(X):
                scale = None if self.inputs is None else self.inputs.scale
                return scaled_entries(tidy(X), self.features, scale, self.missing, dtype)
            return self.whole(X.shape[1]).prepared(X, dtype)
        fill = self.missing if self.missing is not None else self.inputs.mean if self.inputs is not None else None
        assert fill is not None  # because features are changed
        known = Scale(fill, np.ones_like(fill) if self.inputs is None else self.inputs.scale)
        missing = "error" if self.missing is None else "mean"
        standardize: bool | str = self.inputs is not None
        if self.inputs is not None and not self.inputs.mean.any():
            standardize = SCALE
        return Standardized(as_source(X), standardize, missing, dtype, Statistics.known(known, missing))

    def whole(self, n_features: int) -> "Scaling":
        """Give the same scaling with a column for each feature, for samples that have a number for each of them anyway."""
        if self.features is None:
            return self
        known, everything = self.features, np.arange(n_features)
        inputs, missing = self.inputs, self.missing
        if inputs is not None:
            inputs = Scale(np.zeros(n_features), looked_up(everything, known, inputs.scale, 1.0, n_features))
        if missing is not None:
            missing = looked_up(everything, known, missing, 0.0, n_features)
        return replace(self, inputs=inputs, missing=missing, features=None)

    def scaled_targets(self, y: Array) -> Array:
        """Return targets (N,) or (N, c) scaled for the network."""
        by = self.targets
        if by is not None and y.size // max(1, len(y)) != len(by.mean):
            raise ValueError(
                f"y needs {y.size // max(1, len(y))} output(s), but the network has {len(by.mean)}; give the same targets"
            )
        return y if by is None else ((y.reshape(len(y), -1) - by.mean) / by.scale).reshape(y.shape)

    def raw_outputs(self, outputs: Array) -> Array:
        """Return outputs (M, c) of the network in the unit of raw targets."""
        return outputs if self.targets is None else outputs * self.targets.scale + self.targets.mean

    def coefs(self, coefs: Sequence[Array]) -> list[Array]:
        """Return the weights (n_in, n_out) of the network for raw data, in double precision."""
        first, *above = coefs
        folded = first.astype(np.float64)
        if self.inputs is not None:
            folded[slice(None) if self.features is None else self.features] /= self.inputs.scale[:, None]
        return [folded, *self.coefs_above(above)]

    def coefs_above(self, coefs: Sequence[Array]) -> list[Array]:
        """Return the weights (n_in, n_out) of the layers above the front layer, at least one, for raw data."""
        folded = [coef.astype(np.float64) for coef in coefs]
        if self.targets is not None:
            folded[-1] *= self.targets.scale
        return folded

    @property
    def shift(self) -> NDArray[np.float64] | None:
        """Mean of each feature in units of its scale, whose product with the network's weights biases lack; None for 0."""
        return self.inputs.mean / self.inputs.scale if self.inputs is not None and self.inputs.mean.any() else None

    def intercepts(self, moved: Array | None, intercepts: Sequence[Array]) -> list[Array]:
        """Return the biases of the network for raw data, in double precision.

        Parameters
        ----------
        moved : ndarray of shape (h,), or None
            Product of `shift` with the network's own front weights.
        intercepts : sequence of ndarray
            The network's own biases.
        """
        folded = [intercept.astype(np.float64) for intercept in intercepts]
        if moved is not None:
            folded[0] -= moved
        if self.targets is not None:
            folded[-1] = folded[-1] * self.targets.scale + self.targets.mean
        return folded
