"""Samples, targets and weights as the user gives them: checked, and prepared for the network."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse
from sklearn.utils.validation import (
    _check_sample_weight,
    _check_y,
    check_consistent_length,
    check_is_fitted,
    validate_data,
)

from fcfast import validation
from fcfast.estimators.parameters import CheckedParameters
from fcfast.estimators.samples import check_features, gathered, has_one_dtype, products_named
from fcfast.gram.object import Gram
from fcfast.gram.samples import any_samples, is_numeric
from fcfast.sources import Standardized, as_source, source_in
from fcfast.sources.inputs import tidy
from fcfast.sources.running import RUNNING
from fcfast.sources.scaling import Scaling
from fcfast.sources.standardized import CAPPED, SCALE, Statistics
from fcfast.streams import Stream

Array = NDArray[Any]


class CheckedSamples(CheckedParameters):
    """An estimator that checks samples to train on and to predict, and prepares them for its network."""

    network_: Any  # fcfast.training.Trainable
    form_: str
    _loss: Any
    _front: Any
    _scaling: Scaling | None = None  # set if the network takes scaled samples or targets, and predicts on raw data
    _scaled_as: dict[str, Any] | None = None  # the parameters that said how samples are prepared when training began

    def _checked(self, X: Any, y: ArrayLike | None, reset: bool) -> tuple[Any, Array]:
        """Check training data, which stay raw."""
        _refuse_stream(self, X)
        X, y = validation.unmasked(X, "X"), self._required(y)
        if isinstance(X, Gram):
            self._accept(X, reset)
            return X, self._checked_targets(X, y, reset)
        if not reset and self._front.takes_any_samples:
            raise ValueError("a function compares the samples; partial_fit takes rows of the Gram matrix of them, gram[rows]")
        source = source_in(X)
        if source is not None:
            check_features(self, source, reset)
            return source, self._checked_targets(source, y, reset)
        return self._validated(X, y, reset)

    def _validated(self, X: Any, y: ArrayLike | None, reset: bool) -> tuple[Any, Array]:
        """Check training data in memory as scikit-learn does."""
        y, close = self._opened_targets(y, reset)
        is_numeric = not self._loss.has_classes
        errors = validation.clearer_errors(X, y if is_numeric else None, self._takes_features)
        with errors, np.errstate(over="ignore", invalid="ignore"):
            X, targets = validate_data(self, X, y, **self._taken(X), multi_output=True, y_numeric=is_numeric, reset=reset)
        return X, close(targets)

    def _checked_targets(self, X: Any, y: ArrayLike | None, reset: bool) -> Array:
        """Check the targets of samples that scikit-learn does not check."""
        y, close = self._opened_targets(y, reset)
        targets: Any = _check_y(y, multi_output=True, y_numeric=not self._loss.has_classes, estimator=self)
        check_consistent_length(X, targets)
        return close(targets)

    def _truth(self, predictions: Array, y: Any) -> Array:
        """Check the targets of samples that are scored, of which there are predictions."""
        return self._as_given(self._checked_targets(predictions, self._required(y), reset=False))

    def _required(self, y: Any) -> Any:
        """Give targets, which there must be, in this process."""
        if y is None:
            raise ValueError(f"This {type(self).__name__} estimator requires y to be passed, but the target y is None.")
        return gathered(y)

    def _as_given(self, y: Array) -> Array:
        """Give checked raw targets the shape that the user gave them."""
        return y

    def _opened_targets(self, y: Any, reset: bool) -> tuple[Any, Callable[[Array], Array]]:
        """Give targets that scikit-learn can check, and a function that makes the network's targets of what it gives."""
        return y, lambda targets: targets

    def _accept(self, X: Gram, reset: bool) -> None:
        """Take a Gram matrix as training data or, if not `reset`, as new data of a fitted estimator."""
        if X.dtype != self.dtype:
            raise ValueError(
                f"X is a Gram matrix in {X.dtype}, but dtype={self.dtype!r}; make it with Gram(X, dtype={self.dtype!r})"
            )
        if self._setting("standardize") or self.missing != "error":
            raise ValueError(
                f"X is a Gram matrix, whose features were read before; give standardize={self._setting('standardize')!r} and "
                f"missing={self.missing!r} to Gram"
            )
        if not len(X):
            raise ValueError("X is a Gram matrix with 0 samples; give at least 1")
        if not reset and self._front.needs_features:
            raise ValueError(
                f"X is a Gram matrix, but this estimator holds weights for features (form {self.form_!r}); give the features"
            )
        if reset:
            self.n_features_in_ = X.n_features
            if X.feature_names is not None:
                self.feature_names_in_ = np.array(X.feature_names, dtype=object)
            elif hasattr(self, "feature_names_in_"):
                del self.feature_names_in_

    def _taken(self, X: Any) -> dict[str, Any]:
        """Give the conversion of training inputs; numbers of any type and sparse columns are not converted.

        A form that refers to X then refers to the caller's own array, as do all members of an ensemble. Forms convert the
        blocks that they multiply.
        """
        is_kept = is_numeric(X.dtype) if isinstance(X, np.ndarray) or sparse.issparse(X) else has_one_dtype(X)
        return {
            "accept_sparse": ("csr", "csc"),
            "dtype": None if is_kept else self._dtypes,
            "ensure_all_finite": "allow-nan" if self._fills_in else True,
        }

    @property
    def _fills_in(self) -> bool:
        """Whether missing values are filled in."""
        return self.missing == "mean" if self._scaling is None else self._scaling.missing is not None

    @property
    def _takes_features(self) -> bool:
        """Whether training samples are features, which can be standardised and filled in."""
        return True

    def _prepared(self, X: Any, sample_weight: Array | None) -> Any:
        """Give validated training samples as the network takes them; they are scaled and filled in while they are read.

        Scales are those of the samples with their weights; only True is the scaling of a plain StandardScaler, whatever the
        weights. Sparse matrices that are not centred are scaled as a whole, which takes no more than their entries do.
        """
        if isinstance(X, Gram):
            return X
        if self._scaling is not None and self._scaling.changes_features:
            return self._scaling.prepared(X, self.dtype)
        standardize = self._setting("standardize")
        if not standardize and self.missing == "error":
            return X
        if sparse.issparse(X) and standardize == SCALE:
            targets = None if self._scaling is None else self._scaling.targets
            self._scaling = Scaling.of_entries(tidy(X), targets, self.missing, sample_weight)
            return self._scaling.prepared(X, self.dtype)
        base = as_source(tidy(X) if sparse.issparse(X) else X)
        is_capped = standardize in (CAPPED, RUNNING)
        statistics = Statistics(base, self.missing, is_capped, sample_weight if is_capped or standardize == SCALE else None)
        return Standardized(base, standardize, self.missing, self.dtype, statistics)

    def _remember_scaling(self, X: Any) -> None:
        """Keep the means and deviations of training samples, all of which have been read."""
        read = X.standardized if isinstance(X, Gram) else X
        if isinstance(read, Standardized) and not self._changes_features:
            self._scaling = Scaling.of_source(read, None if self._scaling is None else self._scaling.targets)

    def _refuse_other_scaling(self, method: str) -> None:
        """Refuse to continue training with samples or targets that would be scaled in another way."""
        for name, had in (self._scaled_as or {}).items():
            if (asked := self._asked_scaling[name]) != had:
                raise ValueError(f"{method} continues with {name}={had!r}, but it is {asked!r} now; set it back, or fit anew")
        if self._scaling is not None and self._scaling.targets is not None and not self._loss.may_scale_targets:
            raise ValueError(
                f"{method} continues a network of scaled targets, but loss={self._loss.name!r} needs them as they are; set the "
                "loss back, or fit anew"
            )

    @property
    def _changes_features(self) -> bool:
        """Whether the network takes features that are scaled or filled in, by numbers that are known."""
        return self._scaling is not None and self._scaling.changes_features

    @property
    def _asked_scaling(self) -> dict[str, Any]:
        """The parameters that say how samples are prepared."""
        return {"standardize": self.standardize, "missing": self.missing}

    @property
    def _dtypes(self) -> tuple[str, ...]:
        """Dtypes that are not converted; all others are converted to the first one."""
        if self._changes_features or self._setting("standardize"):
            return "float64", "float32"  # means are subtracted in double precision
        return ("float32", "float64") if self.dtype == "float32" else ("float64", "float32")

    def _given_weights(self, sample_weight: ArrayLike | None, X: Any) -> Array | None:
        """Check the weights that the samples themselves have."""
        if sample_weight is None:
            return None
        given = gathered(sample_weight, "sample_weight")
        weights: Array = _check_sample_weight(given, X, dtype=np.float64, ensure_non_negative=True)
        with np.errstate(over="ignore", invalid="ignore"):  # reported
            validation.sample_weights(weights, "sample_weight")
        return weights

    def _sample_weights(self, sample_weight: ArrayLike | None, y: Array, X: Any) -> Array | None:
        factors = {"class_weight": self._class_weights(y), "sample_weight": self._given_weights(sample_weight, X)}
        weights: Array | None = None
        with np.errstate(over="ignore", invalid="ignore"):  # reported
            for name, factor in factors.items():
                if factor is not None:
                    weights = factor if weights is None else weights * factor
                    validation.sample_weights(weights, name)
        return weights

    def _validate_new(self, X: Any) -> Any:
        check_is_fitted(self, "network_")
        _refuse_stream(self, X)
        X = validation.unmasked(X, "X")
        if isinstance(X, Gram):
            self._accept(X, reset=False)
            return X
        gram: Gram | None = self._front.gram
        if self._front.takes_any_samples:
            return any_samples(X)
        source = source_in(X)
        if source is not None:
            check_features(self, source, reset=False)
            X = source
        else:
            how = {"accept_sparse": "csr", "dtype": self._dtypes} if not self._changes_features else self._taken(X)
            fills_in = gram is None or gram.takes_features
            errors = validation.clearer_errors(X, fills_in=fills_in)
            with products_named(gram), errors, np.errstate(over="ignore", invalid="ignore"):  # it looks for infinities itself
                X = validate_data(self, X, **how, reset=False)
        return self._prepared_new(X)

    def _prepared_new(self, X: Any) -> Any:
        """Give checked samples as the trained network takes them."""
        if self._scaling is None or isinstance(X, Gram):
            return X
        return self._scaling.prepared(X, self.network_.dtype)


def _refuse_stream(estimator: CheckedSamples, X: Any) -> None:
    """Refuse a stream where blocks are not read one by one; and generators, functions and lists, which are no streams yet."""
    if isinstance(X, Stream):
        each = "call it for each block (for block in stream: ...), or " if hasattr(estimator, "partial_fit") else ""
        raise TypeError(
            f"this method of {type(estimator).__name__} takes samples in memory, got a stream; {each}use fit of "
            "FrontClassifier or FrontRegressor, which reads a stream once an epoch"
        )
    first = X[0] if isinstance(X, (list, tuple)) and X else None
    is_block = isinstance(first, tuple) and bool(first) and getattr(first[0], "ndim", 0) == 2
    if is_block or (callable(X) and not hasattr(X, "shape")):
        kind = "list of blocks" if is_block else "function"
        raise TypeError(f"X is a {kind}; make a stream of it with fcfast.streams.Stream, and leave out y")
    if hasattr(X, "__next__"):
        raise TypeError(
            f"X is a {type(X).__name__}, which can be read only once; give fcfast.streams.Stream(read), where read() returns it"
        )
