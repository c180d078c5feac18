"""Attributions to features, as a method of fitted estimators."""

from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from fcfast.attribution.attribute import Asked, attributions_of, refuse_without_features
from fcfast.attribution.baseline import baseline_of
from fcfast.attribution.upper import Upper
from fcfast.estimators.fitted import FittedFront
from fcfast.gram.object import Gram

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fcfast.attribution import Attributions


class AttributedFront(FittedFront):
    """The method `attribute` of all estimators with a front layer."""

    def attribute(
        self,
        X: Any,
        method: str = "integrated_gradients",
        baseline: Any = "auto",
        steps: int | str = "auto",
        output: Any = None,
    ) -> "Attributions":
        """Trace an output of each sample to the features: how much each has moved it away from the output for a baseline.

        The attributions of a sample sum to the difference between its output and that of the baseline. They are made for a few
        features at a time when they are asked for, and never held together, so that they take about as long as `predict` and
        no memory that grows with the samples times the features.

        Parameters
        ----------
        X : as for `predict`, of shape (M, d)
            Samples.
        method : {"integrated_gradients", "gradient_x_input"}, default "integrated_gradients"
            "integrated_gradients" multiplies ``x - x0`` by the mean gradient on the straight line from the baseline x0 to x
            (Sundararajan, Taly and Yan 2017, arXiv 1703.01365). "gradient_x_input" takes the gradient at x instead; its sums
            differ from the difference of the outputs wherever the network is no straight line.
        baseline : {"auto", "mean", "zero"} or array-like of shape (d,), default "auto"
            Raw features x0 that samples are compared with. "mean" is the mean of the training samples. "zero" has the value 0
            in every feature. "auto" is "zero" for sparse samples, where 0 is the absence of a feature, and otherwise "mean".
            Networks know the mean if their features are centred or filled in, also in model files, and in form "contributions".
        steps : int or "auto", default "auto"
            Number of gradients on the line, at the nodes of Gauss and Legendre. "auto" computes the integral exactly: in closed
            form for one hidden layer, between the places where units change sides for more layers of "relu", "leaky_relu" or
            "identity", and in as many steps as the sum needs for "tanh", "logistic" and for kernels.
        output : class label, int, array-like of shape (M,), "all" or None, default None
            Output that is attributed, before a softmax or another function that `predict` applies: the class of a classifier,
            the number of the output of a regression, one of these for each sample, or all. None is what `predict` gives: the
            predicted class of each sample, or all outputs of a regression with several.

        Returns
        -------
        fcfast.attribution.Attributions
            It refers to X, which must not be changed meanwhile.

        Raises
        ------
        ValueError, TypeError
            If the data or an argument is invalid, if the mean of the training samples is not known, or if the network knows no
            features: its training samples are known by products alone, or its kernel has no derivatives.

        Warns
        -----
        fcfast.attribution.AttributionWarning
            If the sums of the attributions differ by more than 1 % from those of the outputs, because `steps` is too small.

        Examples
        --------
        >>> import numpy as np
        >>> from fcfast import FrontClassifier
        >>> rng = np.random.default_rng(0)
        >>> X, y = rng.normal(size=(60, 500)), np.arange(60) % 2
        >>> X[:, :3] += np.where(y, 1.5, -1.5)[:, None]
        >>> classifier = FrontClassifier(max_epochs=20, random_state=0).fit(X[:40], y[:40])
        >>> found = classifier.attribute(X[40:])
        >>> found.shape, sorted(found.top(3)["feature"].tolist())
        ((20, 500), [0, 1, 2])
        >>> bool(np.allclose(found.to_array().sum(axis=1), found.outputs_ - found.baseline_outputs_, atol=1e-4))
        True
        """
        check_is_fitted(self, "network_")
        asked = Asked.of(method, steps, output)
        front = self.network_.front
        refuse_without_features(front.gram)
        with np.errstate(over="ignore", invalid="ignore"):  # reported
            samples = self._features_of_new(X)
            found = baseline_of(baseline, samples, self._scaling, front.gram, self.network_.dtype)
            return attributions_of(
                front, self._upper_in_raw_units, self.network_.upper.front_biases, samples, found, asked,
                getattr(self, "classes_", None), self.network_.loss.has_classes, self._names_of_features(samples),
                self._refuse_overflow, self.n_jobs,
            )  # fmt: skip

    def _features_of_new(self, X: Any) -> Any:
        """Check samples, and give them as the network takes them; those of a Gram matrix have features."""
        samples = self._validate_new(X)
        if not isinstance(samples, Gram):
            return samples
        gram = self.network_.front.gram
        assert gram is not None  # or `_validate_new` would have refused it
        gram.refuse_others(samples)
        return samples.X

    @property
    def _upper_in_raw_units(self) -> Upper:
        """The layers above the front layer, with outputs in the units of raw targets."""
        network, targets = self.network_, None if self._scaling is None else self._scaling.targets
        weights, biases = [*network.weights], [*network.biases[1:]]
        if targets is not None:
            weights[-1] = weights[-1] * targets.scale[:, None]
            biases[-1] = biases[-1] * targets.scale + targets.mean
        return Upper(weights, biases, network.activation)

    def _names_of_features(self, X: Any) -> "Sequence[str] | None":
        """Give the names that the features had in training, or have in X, or the words of texts."""
        names = getattr(self, "feature_names_in_", None)
        if names is not None:
            return list(map(str, names))
        names = getattr(X, "feature_names", None)
        return names if names is not None or self.text_ is None else self.text_.feature_names
