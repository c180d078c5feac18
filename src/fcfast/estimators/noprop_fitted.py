"""What a fitted `NoPropClassifier` can do: predictions of all its blocks, files, and conversions."""

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import ClassifierMixin
from sklearn.metrics import accuracy_score
from sklearn.utils.validation import _num_samples, check_is_fitted

from fcfast import validation
from fcfast.estimators.chosen import AutomaticEstimator
from fcfast.estimators.classes import ClassTargets
from fcfast.estimators.exported import ExportedEstimator
from fcfast.estimators.noprop_settings import inference_of
from fcfast.estimators.store import save
from fcfast.estimators.stream_predictions import scored
from fcfast.front import FORMS, WeightsForm
from fcfast.front.base import FrontStack
from fcfast.modelfile.headers import Tensors
from fcfast.modelfile.noprop import NoPropHeader, network_entries, network_of, network_tensors
from fcfast.modelfile.scaling import n_scaled, scaled_parts, scaling_in, scaling_tensors
from fcfast.modelfile.text import text_tensors
from fcfast.noprop.network import NoPropNetwork
from fcfast.noprop.variants import VARIANTS
from fcfast.threads import one_blas_thread, resolve_n_jobs

if TYPE_CHECKING:
    from typing import Self  # Python 3.11

    from fcfast.onnx.graph import Graph

Array = NDArray[Any]


class FittedNoProp(ClassifierMixin, ClassTargets, AutomaticEstimator, ExportedEstimator):
    """Methods that need a trained stack of blocks."""

    network_: NoPropNetwork
    variant: str
    eta: float
    loss_weighting: str

    @property
    def _front(self) -> FrontStack:
        return self.network_.fronts

    @property
    def embedding_(self) -> Array:
        """Embeddings (c, d) of the classes."""
        check_is_fitted(self, "network_")
        return np.array(self.network_.labels.embedding)

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Give the probability (M, c) of each class in `classes_`, in float64; the notes of the class explain its meaning."""
        return self._probabilities(X).astype(np.float64)

    def predict_log_proba(self, X: Any) -> NDArray[np.float64]:
        """Give the logarithms (M, c) of the probabilities, in float64; they are minus infinity if `predict_proba` gives 0."""
        with np.errstate(divide="ignore"):  # the logarithm of 0 is minus infinity
            return np.log(self.predict_proba(X))

    def predict(self, X: Any) -> Array:
        """Give the most probable class (M,)."""
        probabilities = self._probabilities(X)
        return self.classes_[probabilities.argmax(axis=1)]

    def score(self, X: Any, y: ArrayLike | None = None, sample_weight: ArrayLike | None = None) -> float:
        """Give the accuracy; the blocks of a stream hold `y` and `sample_weight`, which are left out then."""
        predicted, truth, weights = scored(self, X, y, sample_weight)
        return float(accuracy_score(truth, predicted, sample_weight=weights))

    def staged_predict_proba(self, X: Any) -> Iterator[NDArray[np.float64]]:
        """Give the probabilities (M, c) after each block, or after each step of "ct" and "fm"."""
        X = self._ready(X)
        stages = self.network_.stages(X)
        while True:
            with one_blas_thread(), np.errstate(over="ignore", invalid="ignore"):  # reported below
                probabilities = next(stages, None)
            if probabilities is None:
                return
            self._refuse_overflow(probabilities)
            yield probabilities.astype(np.float64)

    def accuracy_by_block(self, X: Any, y: ArrayLike) -> NDArray[np.float64]:
        """Give the accuracy after each block, or after each step of "ct" and "fm".

        The first block of "dt" sees little more than noise in addition to the input, so that it is an ordinary classifier. The
        later accuracies show how much the chain adds.
        """
        return np.array([accuracy_score(y, self.classes_[p.argmax(axis=1)]) for p in self.staged_predict_proba(X)])

    def trajectory(self, X: Any) -> Array:
        """Give the noisy labels z_1 .. z_T (T, M, d) of the first run, which lead from noise to the embedding of a class."""
        X = self._ready(X)
        with one_blas_thread(), np.errstate(over="ignore", invalid="ignore"):  # reported below
            preactivations = self.network_.fronts.preactivations(X)
            path = self.network_.trajectory(preactivations, _num_samples(X), 0, self.network_.inference)
            z = np.stack([z.copy() for z, _ in path])
        self._refuse_overflow(z)
        return z

    def _ready(self, X: Any) -> Any:
        X = self._validate_new(X)
        self._refuse_other_variant()
        self.network_.inference = inference_of(self)
        return X

    def _refuse_other_variant(self) -> None:
        trained = self.network_.variant.name
        if validation.choice(self.variant, "variant", VARIANTS) != trained:
            raise ValueError(f"variant={self.variant!r} was set after fit had trained {trained!r}; fit again, or set it back")

    def _probabilities(self, X: Any) -> Array:
        if self._known is not None and X is self._known.X:
            return self._known.outputs
        X = self._ready(X)
        with one_blas_thread(), np.errstate(over="ignore", invalid="ignore"):  # reported below
            probabilities = self.network_.outputs(X)
        self._refuse_overflow(probabilities)
        return probabilities

    def _add_to_graph(self, graph: "Graph") -> None:
        from fcfast.onnx.noprop import stack_probabilities
        from fcfast.onnx.results import add_classes

        self._refuse_other_variant()
        probabilities = stack_probabilities(graph, self.network_, self._scaling, inference_of(self))
        add_classes(graph, self.classes_, probabilities, probabilities)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Save to a safetensors file, for `fcfast.load`; it is written completely or not at all.

        The file holds the conventional weights of all front layers.

        Raises
        ------
        TypeError
            If a parameter cannot be stored, such as your own random state, optimiser or schedule object.
        ValueError
            If a weight is not finite, or a parameter is invalid.
        OSError
            If the file cannot be written.
        """
        check_is_fitted(self, "network_")
        self._refuse_other_variant()
        save(self, path)

    def _card_network(self) -> dict[str, Any]:
        network = self.network_
        return {
            "variant": network.variant.name,
            "blocks": len(network.blocks),
            "units": [network.shape.n_hidden, network.shape.n_fused],
            "activation": self.activation,
            "precision": network.dtype.name,
            "form": self.form_,
        }

    def _to_file(self, weights: bool, inputs: bool) -> tuple[NoPropHeader, Tensors]:
        if inputs or not weights:
            raise ValueError("a file of NoProp blocks always holds their weights; use weights=True")
        form = WeightsForm.name if FORMS[self.form_].keeps_inputs else self.form_
        header = NoPropHeader(
            **self._header_entries(),
            **network_entries(self.network_),
            form=form,
            scaled=scaled_parts(self._scaling),
            n_scaled=n_scaled(self._scaling),
            settings=self.settings_.chosen(self.get_params(deep=False)),
        )
        return header, network_tensors(self.network_, header) | scaling_tensors(self._scaling) | text_tensors(self.text_)

    @classmethod
    def _from_file(cls, header: NoPropHeader, tensors: Tensors, X: Any) -> "Self":
        estimator = super()._from_file(header, tensors, X)
        estimator._scaling = scaling_in(header.scaled, tensors, header.n_features)
        n_threads = resolve_n_jobs(estimator.n_jobs)
        estimator.network_ = network_of(header, tensors, estimator.eta, estimator.loss_weighting, n_threads)
        return estimator
