"""Weights, contributions, outputs and files of a fitted `FrontClassifier` or `FrontRegressor`."""

import os
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted, validate_data

from fcfast.estimators.exported import ExportedEstimator
from fcfast.estimators.samples import check_features
from fcfast.estimators.store import save
from fcfast.front import ContributionsForm, WeightsForm
from fcfast.front.explanation import Explanation
from fcfast.gram.object import Gram
from fcfast.modelfile.front import (
    FrontHeader,
    kernel_in,
    network_entries,
    network_of,
    network_tensors,
    stored_inputs,
    trained_rows,
)
from fcfast.modelfile.headers import Tensors
from fcfast.modelfile.scaling import n_scaled, scaled_parts, scaling_in, scaling_tensors
from fcfast.modelfile.stream import lengths_entry, lengths_in, stream_in, stream_tensors
from fcfast.modelfile.text import text_tensors
from fcfast.sources import source_in
from fcfast.sources.lengths import Lengths
from fcfast.sources.running import Followed
from fcfast.threads import one_blas_thread, resolve_n_jobs
from fcfast.training.network import FrontNetwork
from fcfast.validation import clearer_errors

if TYPE_CHECKING:
    from typing import Self  # Python 3.11

    from sklearn.neural_network import MLPClassifier, MLPRegressor
    from torch.nn import Sequential

    from fcfast.onnx.graph import Graph

Array = NDArray[Any]


def _read_only(*arrays: Array) -> list[Array]:
    """Mark arrays as read-only, because writing to them would not change the network."""
    for array in arrays:
        array.flags.writeable = False
    return list(arrays)


class FittedFront(ExportedEstimator):
    """Results of a fitted estimator, whose network was trained, loaded, or trained on scaled data and then unscaled."""

    network_: FrontNetwork
    target_names_: Array | None = None  # of several columns
    n_jobs: int | None
    _curvature = 1.0  # of the loss, by which chosen rates are divided
    _lengths: Lengths | None = None  # of a stream's samples, if rates or the start depend on them; replaced, never changed
    _begun_as: dict[str, Any] | None = None  # the parameters of the start and the kernel when training began
    _header: ClassVar[type[FrontHeader]]

    @property
    def _asked_start(self) -> dict[str, Any]:
        """The parameters that matter at the start alone."""
        return {name: getattr(self, name) for name in ("init", "init_scale", "kernel", "gamma", "degree", "coef0")}

    @property
    def coefs_(self) -> list[Array]:
        """Conventional weights (n_in, n_out) of all layers, read-only; expanded contributions are kept for later calls.

        Those of the front layer are a dask array if the training samples are: they are made when it is computed.
        """
        check_is_fitted(self, "network_")
        inputs = None if self._scaling is None else self._scaling.inputs
        first = self.network_.front.lazily_expanded(None if inputs is None else inputs.scale)
        if first is not None:
            above = _read_only(*(weights.T.copy() for weights in self.network_.weights))
            return [first, *(above if self._scaling is None else _read_only(*self._scaling.coefs_above(above)))]
        coefs = self._coefs()
        return coefs if self._scaling is None else _read_only(*self._scaling.coefs(coefs))

    @property
    def intercepts_(self) -> list[Array]:
        """Biases of all layers, read-only."""
        intercepts = self._intercepts()
        if self._scaling is None:
            return intercepts
        shift = self._scaling.shift
        moved = None if shift is None else self._times_weights(shift)
        return _read_only(*self._scaling.intercepts(moved, intercepts))

    def _times_weights(self, numbers: NDArray[np.float64]) -> Array:
        """Multiply numbers (d,) by the network's own front weights (d, h), which stay where the samples lie."""
        gram: Gram | None = self.network_.front.gram
        if gram is None or not gram.is_elsewhere:
            return np.asarray(numbers @ self._coefs()[0])
        return np.asarray(self.network_.front.preactivations(numbers[None].astype(gram.dtype))[0])

    def _coefs(self) -> list[Array]:
        """Give the weights of the network itself, which refer to scaled data if it was trained on scaled data."""
        check_is_fitted(self, "network_")
        front = self.network_.front
        first = front.expand()  # this is not copied, because it may be very large
        if first is front.base:
            first = first.copy()  # further training would change it
        return _read_only(first.T, *(weights.T.copy() for weights in self.network_.weights))

    def _continued(self) -> list[Any]:
        """Give the weights of the network for another training, those of sparse features as a function of them."""
        scattered = self.network_.front.scattered
        return self._coefs() if scattered is None else [scattered, *self.network_.weights]

    def _intercepts(self) -> list[Array]:
        check_is_fitted(self, "network_")
        return _read_only(*self.network_.all_biases())

    @property
    def contributions_(self) -> Array:
        """Contributions (N, h) of the training samples, read-only; form "contributions" only."""
        check_is_fitted(self, "network_")
        contributions = self.network_.front.contributions
        if contributions is None:
            raise AttributeError(
                "contributions_ and explanations exist in form 'contributions' only, but this estimator holds weights (form "
                f"{self.form_!r}). If it was loaded, save it with weights=False and use load(path, X=<training inputs>)"
            )
        return _read_only(contributions[:])[0]

    def explain(self, X: Any) -> Explanation:
        """Split the front layer's pre-activations into one term for each training sample, without remainder.

        Parameters
        ----------
        X : ndarray or sparse matrix of shape (M, d)
            Samples to explain.

        Returns
        -------
        Explanation
            Parts that come from the initial weights, the biases and each training sample.

        Raises
        ------
        AttributeError
            If the estimator was fitted in another form than "contributions".
        ValueError
            If the data is invalid, or values are so large that they overflow the network's precision.
        """
        _ = self.contributions_  # raises in the other forms
        front: Any = self.network_.front
        with np.errstate(over="ignore", invalid="ignore"):  # reported below
            initial, terms = front.explain(self._validate_new(X))
        self._refuse_overflow(initial, terms)
        return Explanation(initial, self.network_.upper.front_biases, terms)

    def save(self, path: str | os.PathLike[str], weights: bool = True, inputs: bool = False) -> None:
        """Save to a safetensors file, for `fcfast.load`.

        The file is written completely or not at all. An older file is kept until the new one is complete.

        Parameters
        ----------
        path : path-like
            File to write.
        weights : bool
            Whether to store the conventional weights of the front layer, expanded as in `coefs_`. False stores the
            contributions instead, which is possible in form "contributions" only. The file then has N h numbers instead of d h,
            but it can only be loaded together with the training inputs. A network with a kernel has no weights and needs False.
        inputs : bool
            Whether to store the training inputs beside contributions, in the precision of the network.

        Raises
        ------
        TypeError
            If a parameter cannot be stored, such as your own random state, optimiser or schedule object.
        ValueError
            If a weight is not finite, a parameter is invalid, or ``weights=False`` in another form than "contributions".
        OSError
            If the file cannot be written.
        """
        save(self, path, weights, inputs)

    def to_sklearn(self) -> "MLPClassifier | MLPRegressor":
        """Convert to scikit-learn's own network, fitted and with the same predictions up to rounding.

        Returns
        -------
        sklearn.neural_network.MLPClassifier or MLPRegressor

        Raises
        ------
        ValueError
            If scikit-learn has no such network, because the activation is "leaky_relu" or there is a single class.
        """
        from fcfast.convert import to_sklearn

        return to_sklearn(self)

    def to_torch(self) -> "Sequential":
        """Convert to a PyTorch module with the same outputs up to rounding.

        Returns
        -------
        torch.nn.Sequential
            Linear layers and activations, in the estimator's dtype. A classifier has one logit for each of `classes_`; the
            outputs of a regressor have shape (M, c).

        Raises
        ------
        ImportError
            If PyTorch is not installed.
        """
        from fcfast.convert import to_torch

        return to_torch(self)

    def _add_to_graph(self, graph: "Graph") -> None:
        from fcfast.onnx.front import front_outputs

        self._add_results(graph, front_outputs(graph, self.network_, self._scaling))

    def _add_results(self, graph: "Graph", outputs: str) -> None:
        """Add what predictions make of the network's outputs (M, c) to an ONNX graph."""
        raise TypeError(f"a {type(self).__name__} cannot be converted to ONNX")

    def _scaled(self, X: Any, y: Array, sample_weight: Array | None) -> tuple[Any, Array]:
        """Give checked training data as the network takes them."""
        return self._prepared(X, sample_weight), y if self._scaling is None else self._scaling.scaled_targets(y)

    def _outputs_of(self, X: Any) -> Array:
        """Give the outputs for raw samples, in the unit of raw targets."""
        if self._known is not None and X is self._known.X:
            return self._in_raw_units(self._known.outputs)
        return self._outputs(self._validate_new(X))

    def _outputs(self, X: Any) -> Array:
        return self._in_raw_units(self._network_outputs(X))

    def _in_raw_units(self, outputs: Array) -> Array:
        return outputs if self._scaling is None else self._scaling.raw_outputs(outputs)

    def _network_outputs(self, X: Any) -> Array:
        # BLAS may round differently with more threads. Workers of joblib give it one thread, so all predictions do.
        with one_blas_thread(), np.errstate(over="ignore", invalid="ignore"):  # reported below
            S = self.network_.front.preactivations(X)
            outputs = self.network_.outputs_from_preactivations(S)
        self._refuse_overflow(S, outputs)
        return outputs

    # ------------------------------------------------------------------------------------------------------------------
    # model files

    def _to_file(self, weights: bool, inputs: bool) -> tuple[FrontHeader, Tensors]:
        contributed = self.network_.front.contributions is not None
        if inputs and (weights or not contributed):
            raise ValueError("inputs=True is for contributions, which refer to the inputs; use weights=False in that form")
        if not (weights or contributed):
            raise ValueError(f"weights=False needs form 'contributions', but this is {self.form_!r}; use weights=True")
        as_contributions = contributed and not weights
        if self._loss != self.network_.loss:
            raise ValueError(
                f"the loss is {self._loss!r} now, but was {self.network_.loss!r} in fit; set it back, or fit again"
            )
        gram: Gram | None = self.network_.front.gram
        if weights and gram is not None and not gram.has_weights:
            raise ValueError(f"a {gram.kernel_name} kernel has no weights to store; use weights=False")
        if inputs and gram is not None and not gram.has_features:
            raise ValueError("inputs=True, but the samples are known by their products alone; use inputs=False")
        header = self._header(
            **self._header_entries(),
            **network_entries(self.network_, as_contributions, inputs),
            form=self.form_ if as_contributions or not contributed else WeightsForm.name,
            y_ndim=getattr(self, "_y_ndim", None),
            scaled=scaled_parts(self._scaling),
            n_scaled=n_scaled(self._scaling),
            settings=self.settings_.chosen(self.get_params(deep=False)),
            followed=list(followed := self._stored_stream()),
            lengths=lengths_entry(self._lengths),
            validation_losses=self.validation_loss_curve_ or [],
            curvature=self._curvature if self._curvature > 1 else 0.0,
            target_names=[] if self.target_names_ is None else self.target_names_.tolist(),
        )
        tensors = network_tensors(self.network_, header)
        return header, tensors | scaling_tensors(self._scaling) | stream_tensors(followed) | text_tensors(self.text_)

    def _card_network(self) -> dict[str, Any]:
        network = self.network_
        gram: Gram | None = network.front.gram
        kernel = {} if gram is None or gram.is_linear else {"kernel": gram.kernel_name}
        return {
            "layers": [int(network.front.n_features), *map(int, network.widths)],
            "activation": network.activation,
            "precision": network.dtype.name,
            "form": self.form_,
            **kernel,
        }

    def _stored_stream(self) -> dict[str, Followed]:
        """Give the scales that follow a stream, for a file."""
        raise NotImplementedError

    def _restore_stream(self, followed: dict[str, Followed]) -> None:
        """Take the scales that follow a stream from a file."""
        raise NotImplementedError

    @classmethod
    def _from_file(cls, header: FrontHeader, tensors: Tensors, X: Any) -> "Self":
        estimator = super()._from_file(header, tensors, X)
        if header.y_ndim is not None:
            estimator._y_ndim = int(header.y_ndim)
        estimator._take_loss(header.loss)
        estimator._curvature = header.curvature or 1.0
        estimator.target_names_ = np.array(header.target_names, dtype=object) if header.target_names else None
        estimator._begun_as = estimator._asked_start
        estimator._scaling = scaling_in(header.scaled, tensors, header.n_features)
        estimator._restore_stream(stream_in(header.followed, tensors))
        estimator._lengths = lengths_in(header.lengths)
        estimator.validation_loss_curve_ = header.validation_losses or None
        if header.form == ContributionsForm.name:
            X = estimator._trained_inputs(X, header, tensors)
        estimator.network_ = network_of(header, tensors, X, estimator._loss, resolve_n_jobs(estimator.n_jobs))
        return estimator

    def _take_loss(self, name: str) -> None:
        """Take from a file what its name of a loss says."""

    def _trained_inputs(self, X: Any, header: FrontHeader, tensors: Tensors) -> Any:
        """Find the training inputs in the file, or the rows of `X` that the estimator was trained on."""
        stored, dtype = stored_inputs(header, tensors), np.dtype(header.dtype)
        if stored is not None or kernel_in(header.kernel) is None:
            if X is not None:
                raise ValueError("X was given, but the file needs no training inputs; leave it out")
            return stored
        if X is None:
            raise ValueError("the file holds contributions, not weights; give the training inputs, load(path, X=...)")
        source = source_in(X)
        if source is not None:
            check_features(self, source, reset=False)
            X = source
        else:
            with clearer_errors(X), np.errstate(over="ignore", invalid="ignore"):  # it looks for infinities itself
                X = validate_data(self, X, **self._taken(X), reset=False)
        X = X if self._scaling is None else self._scaling.prepared(X, dtype)
        return trained_rows(X, tensors, dtype)
