"""scikit-learn estimators: networks trained exactly as backpropagation would, with the front layer in any form."""

import os
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import r2_score
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.multiclass import check_classification_targets, unique_labels
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, column_or_1d, validate_data

from fcfast import validation
from fcfast.front.forms import FORMS, ContributionsForm, WeightsForm
from fcfast.front.initial import GivenWeights, InitialWeights, RandomWeights
from fcfast.front.network import FrontNetwork, Snapshot
from fcfast.front.plan import DEFAULT_MEMORY_LIMIT, choose_form, choose_window
from fcfast.network import ACTIVATIONS
from fcfast.optimizers import SCHEDULES, SGD, Schedule
from fcfast.threads import blas_threads_for, resolve_n_jobs

if TYPE_CHECKING:
    from typing import Self  # Python 3.11

    from sklearn.neural_network import MLPClassifier, MLPRegressor
    from torch.nn import Sequential

Array = NDArray[Any]


@dataclass(frozen=True)
class Explanation:
    """Pre-activations of the front layer, split without remainder (docs/mathematics.md, 6).

    Attributes
    ----------
    initial : ndarray of shape (M, h)
        What the initial weights give.
    bias : ndarray of shape (h,)
    terms : ndarray of shape (M, N, h)
        What each training sample contributes.
    """

    initial: Array
    bias: Array
    terms: Array

    @property
    def preactivations(self) -> Array:
        """The sum of all parts, shape (M, h)."""
        return self.initial + self.terms.sum(axis=1) + self.bias


class _FrontEstimator(BaseEstimator):
    """What classifier and regressor share: everything but targets and the meaning of outputs."""

    _loss: str

    def __init__(
        self,
        hidden_layer_sizes: int | Sequence[int] = (256,),
        activation: str = "relu",
        *,
        learning_rate: float = 0.01,
        schedule: str | Schedule = "constant",
        momentum: float = 0.9,
        dampening: float = 0.0,
        nesterov: bool = False,
        weight_decay: float = 0.0,
        max_grad_norm: float | None = None,
        batch_size: int | str = "auto",
        max_epochs: int = 200,
        tol: float = 1e-4,
        n_iter_no_change: int = 10,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        shuffle: bool = True,
        form: str = "auto",
        window: int | str = "auto",
        memory_limit: int = DEFAULT_MEMORY_LIMIT,
        dtype: str = "float32",
        n_jobs: int | None = None,
        random_state: Any = None,
        warm_start: bool = False,
        verbose: int = 0,
    ) -> None:
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.learning_rate = learning_rate
        self.schedule = schedule
        self.momentum = momentum
        self.dampening = dampening
        self.nesterov = nesterov
        self.weight_decay = weight_decay
        self.max_grad_norm = max_grad_norm
        self.batch_size = batch_size
        self.max_epochs = max_epochs
        self.tol = tol
        self.n_iter_no_change = n_iter_no_change
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.shuffle = shuffle
        self.form = form
        self.window = window
        self.memory_limit = memory_limit
        self.dtype = dtype
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.warm_start = warm_start
        self.verbose = verbose

    # ------------------------------------------------------------------------------------------------------------------
    # what subclasses say

    def _encode_targets(self, y: Array, warm: bool) -> Array:
        raise NotImplementedError

    def _class_weights(self, y: Array) -> Array | None:
        return None

    # ------------------------------------------------------------------------------------------------------------------

    def fit(
        self,
        X: Any,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        coefs_init: Sequence[ArrayLike] | None = None,
        intercepts_init: Sequence[ArrayLike] | None = None,
    ) -> "Self":
        """Train.

        Parameters
        ----------
        X : ndarray, sparse matrix or numpy.memmap of shape (N, d)
            In form "contributions" a reference to it is kept, for `predict` and `coefs_`.
        y : array-like of shape (N,), or (N, c) for regression
        sample_weight : array-like of shape (N,) or None
            Weights in the mean over a batch.
        coefs_init : sequence of array-like of shape (n_in, n_out), or None
            Initial weights of all layers; None draws them (Glorot uniform, as scikit-learn's MLP).
        intercepts_init : sequence of array-like of shape (n_out,), or None
            Initial biases of all layers.

        Returns
        -------
        self

        Raises
        ------
        ValueError, TypeError
            For bad data or parameters.
        MemoryError
            If the Gram matrix of form "contributions" would exceed `memory_limit`.
        """
        self._check_parameters()
        X, y = self._validate(X, y)
        before = getattr(self, "network_", None) if self.warm_start and coefs_init is None else None
        targets = self._encode_targets(y, before is not None)
        weights = self._sample_weights(sample_weight, y, X)
        random_state = check_random_state(self.random_state)
        if before is not None:
            coefs_init, intercepts_init = self.coefs_, intercepts_init or self.intercepts_
        held_out: tuple[Any, Array] | None = None
        if self.early_stopping:
            rows, others = self._hold_out(y, random_state)
            held_out = X[others], targets[others]
            X, targets, weights = X[rows], targets[rows], None if weights is None else weights[rows]
        self._start(X, targets, coefs_init, intercepts_init, random_state)
        with blas_threads_for(self.network_.largest_product):
            self._train(targets, weights, held_out, random_state)
        return self

    def _check_parameters(self) -> None:
        validation.choice(self.activation, "activation", ACTIVATIONS)
        validation.choice(self.form, "form", ("auto", *FORMS))
        validation.choice(self.dtype, "dtype", ("float32", "float64"))
        validation.positive(self.learning_rate, "learning_rate")
        validation.integer(self.max_epochs, "max_epochs", 1)
        validation.integer(self.n_iter_no_change, "n_iter_no_change", 1)
        validation.in_range(self.tol, "tol", 0, np.inf)
        validation.in_range(self.memory_limit, "memory_limit", 0, np.inf)
        for value, name in ((self.batch_size, "batch_size"), (self.window, "window")):
            if value != "auto":
                validation.integer(value, name, 1)
        if isinstance(self.schedule, str):
            validation.choice(self.schedule, "schedule", SCHEDULES)
        elif not callable(getattr(self.schedule, "factors", None)):
            raise TypeError(f"schedule must be one of {list(SCHEDULES)} or an object with factors(), got {self.schedule!r}")
        self._hidden()

    def _hidden(self) -> tuple[int, ...]:
        sizes = self.hidden_layer_sizes
        widths = tuple(sizes) if isinstance(sizes, Iterable) else (sizes,)
        if not widths:
            raise ValueError("hidden_layer_sizes is empty; give at least one hidden layer, the front layer")
        return tuple(validation.integer(width, "hidden_layer_sizes", 1) for width in widths)

    def _validate(self, X: Any, y: ArrayLike) -> tuple[Any, Array]:
        numeric = self._loss != "cross_entropy"
        return validate_data(
            self, X, y, accept_sparse="csr", dtype=(np.float64, np.float32), multi_output=True, y_numeric=numeric
        )

    def _sample_weights(self, sample_weight: ArrayLike | None, y: Array, X: Any) -> Array | None:
        by_class = self._class_weights(y)
        if sample_weight is None:
            return by_class
        weights = _check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)
        return weights if by_class is None else weights * by_class

    def _hold_out(self, y: Array, random_state: np.random.RandomState) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Split the rows into those to train on and at least two to stop by."""
        validation.in_range(self.validation_fraction, "validation_fraction", 0, 1)
        n_held_out = round(self.validation_fraction * len(y))
        n_classes = len(getattr(self, "classes_", [None]))
        if n_held_out < max(2, n_classes) or len(y) - n_held_out < n_classes:
            raise ValueError(
                f"early_stopping holds out validation_fraction={self.validation_fraction} of {len(y)} samples, {n_held_out}: "
                f"too few to score {n_classes} class(es) or a regression; use more samples, another fraction, or "
                "early_stopping=False"
            )
        stratify = y if self._loss == "cross_entropy" and np.unique(y, return_counts=True)[1].min() > 1 else None
        train, held_out = train_test_split(
            np.arange(len(y)), test_size=n_held_out, random_state=random_state, stratify=stratify
        )
        return train, held_out

    def _start(
        self,
        X: Any,
        targets: Array,
        coefs_init: Sequence[ArrayLike] | None,
        intercepts_init: Sequence[ArrayLike] | None,
        random_state: np.random.RandomState,
    ) -> None:
        """Make the network: initial weights, the form of the front layer, batch and window."""
        n_samples, n_features = X.shape
        n_outputs = targets.shape[1] if targets.ndim == 2 else len(getattr(self, "classes_", ()))
        widths = (n_features, *self._hidden(), n_outputs)
        optimizer = SGD(self.momentum, self.dampening, self.nesterov, self.weight_decay, self.max_grad_norm)
        dtype = np.dtype(self.dtype)
        initial, weights = self._initial_weights(widths, coefs_init, random_state)
        biases = self._initial_biases(widths, intercepts_init, random_state)
        batch_size = min(200 if self.batch_size == "auto" else int(self.batch_size), n_samples)
        with_momentum = bool(optimizer.momentum)
        self.form_ = choose_form(self.form, X, widths[1], self.max_epochs, with_momentum, dtype.itemsize, self.memory_limit)
        form = ContributionsForm if self.form_ == "contributions" else WeightsForm
        n_threads = resolve_n_jobs(self.n_jobs)
        self.network_ = FrontNetwork(
            form(X, initial, dtype, with_momentum), biases, weights, self.activation, self._loss, optimizer, batch_size,
            choose_window(self.form_, self.window, batch_size, n_samples), n_threads,
        )  # fmt: skip
        self._front_coef: Array | None = None

    def _bound(self, n_in: int, n_out: int) -> float:
        """Glorot's bound as scikit-learn's MLP uses it."""
        return float(((2 if self.activation == "logistic" else 6) / (n_in + n_out)) ** 0.5)

    def _initial_weights(
        self, widths: Sequence[int], coefs_init: Sequence[ArrayLike] | None, random_state: np.random.RandomState
    ) -> tuple[InitialWeights, list[Array]]:
        """W1(0) as a function, and the weights (n_out, n_in) above it."""
        seed = int(random_state.randint(2**31 - 1))
        pairs = list(pairwise(widths))
        if coefs_init is None:
            upper = [random_state.uniform(-self._bound(i, o), self._bound(i, o), (o, i)) for i, o in pairs[1:]]
            return RandomWeights(widths[1], widths[0], seed, self.activation), upper
        arrays = [validation.finite_array(coef, f"coefs_init[{l}]", 2) for l, coef in enumerate(coefs_init)]
        if [array.shape for array in arrays] != pairs:
            raise ValueError(f"coefs_init has shapes {[a.shape for a in arrays]}, but the layers need {pairs}, (n_in, n_out)")
        return GivenWeights(arrays[0].T), [array.T for array in arrays[1:]]

    def _initial_biases(
        self, widths: Sequence[int], intercepts_init: Sequence[ArrayLike] | None, random_state: np.random.RandomState
    ) -> list[Array]:
        if intercepts_init is not None:
            return list(validation.layer_biases(intercepts_init, widths[1:]))
        bounds = [self._bound(i, o) for i, o in pairwise(widths)]
        return [random_state.uniform(-bound, bound, o) for bound, o in zip(bounds, widths[1:], strict=True)]

    def _train(
        self,
        targets: Array,
        weights: Array | None,
        held_out: tuple[Any, Array] | None,
        random_state: np.random.RandomState,
    ) -> None:
        """Run the epochs until the loss (or the validation score) no longer improves, or max_epochs."""
        network, n_samples = self.network_, len(targets)
        self.loss_curve_: list[float] = []
        scores: list[float] = []
        self.validation_scores_ = scores if held_out else None
        best, since_best, kept = -np.inf, 0, network.snapshot()
        try:
            for epoch in range(self.max_epochs):
                rows = random_state.permutation(n_samples) if self.shuffle else np.arange(n_samples)
                before = network.snapshot()
                losses = network.train_epoch(rows.astype(np.intp), self._rates(epoch, n_samples), targets, weights)
                if reason := self._divergence(losses, n_samples):
                    self._go_back(kept, f"epoch {epoch + 1}: {reason}")
                    break
                loss = self._mean_loss(losses, n_samples)
                quality = self._score_held_out(*held_out) if held_out else -loss
                self.loss_curve_.append(loss)
                if held_out:
                    scores.append(quality)
                if self.verbose:
                    print(f"epoch {epoch + 1}: loss {loss:.6g}" + (f", validation {quality:.4f}" if held_out else ""))
                since_best = 0 if quality > best + self.tol else since_best + 1
                if quality > best:
                    # A training loss is that of the weights before the updates, a validation score that of those after.
                    best, kept = quality, network.snapshot() if held_out else before
                if since_best >= self.n_iter_no_change:
                    break
            else:
                if self.tol > 0 and self.n_iter_no_change < self.max_epochs:
                    message = f"max_epochs={self.max_epochs} reached before the loss stopped improving"
                    warnings.warn(message, ConvergenceWarning, stacklevel=3)
        except KeyboardInterrupt:
            warnings.warn(f"interrupted after {len(self.loss_curve_)} epoch(s); what was fitted is kept", stacklevel=3)
        if held_out:
            network.restore(kept)
        if not network.answers():
            self._go_back(kept, "the last epoch: outputs are not finite")
        self.n_epochs_ = self.n_iter_ = len(self.loss_curve_)

    def _rates(self, epoch: int, n_samples: int) -> NDArray[np.float64]:
        """Learning rates of the epoch's steps."""
        schedule = SCHEDULES[self.schedule] if isinstance(self.schedule, str) else self.schedule
        n_steps = -(-n_samples // self.network_.batch_size)
        steps = np.arange(epoch * n_steps, (epoch + 1) * n_steps)
        factors = np.ascontiguousarray(schedule.factors(steps, self.max_epochs * n_steps), dtype=np.float64)
        if factors.shape != (n_steps,) or not (np.isfinite(factors) & (factors >= 0)).all():
            raise ValueError(f"schedule must give {n_steps} finite factors >= 0 for {n_steps} steps, got {factors!r}")
        return self.learning_rate * factors

    def _mean_loss(self, losses: NDArray[np.float64], n_samples: int) -> float:
        """Mean over the samples: the last batch may be shorter."""
        sizes = np.full(len(losses), self.network_.batch_size)
        sizes[-1] = n_samples - sizes[:-1].sum()
        return float(np.average(losses, weights=sizes))

    def _divergence(self, losses: NDArray[np.float64], n_samples: int) -> str:
        """Say why this epoch is no training any more; nothing if it is."""
        if len(losses) < -(-n_samples // self.network_.batch_size):
            return f"the loss of step {len(losses) + 1} is not finite"
        if self.loss_curve_ and self._mean_loss(losses, n_samples) > 1000 * max(self.loss_curve_[0], 1e-3):
            return "the loss has grown more than 1000 times"
        return "" if self.network_.is_finite() else "weights are not finite any more"

    def _go_back(self, kept: Snapshot, reason: str) -> None:
        """Restore the best network so far, and warn."""
        self.network_.restore(kept)
        warnings.warn(
            f"training diverged in {reason}. The best network before that is kept. Lower learning_rate={self.learning_rate}, "
            "set max_grad_norm, or scale X and y (StandardScaler)",
            ConvergenceWarning,
            stacklevel=4,
        )

    def _score_held_out(self, X: Any, targets: Array) -> float:
        raise NotImplementedError

    # ------------------------------------------------------------------------------------------------------------------
    # what is fitted

    @property
    def coefs_(self) -> list[Array]:
        """Conventional weights (n_in, n_out) of all layers; the first is expanded when first asked for, and kept."""
        check_is_fitted(self, "network_")
        if self._front_coef is None:
            self._front_coef = self.network_.front.expand()
        return [self._front_coef.T.copy(), *(weights.T.copy() for weights in self.network_.weights)]

    @property
    def intercepts_(self) -> list[Array]:
        """Biases of all layers."""
        check_is_fitted(self, "network_")
        return [bias.copy() for bias in self.network_.biases]

    @property
    def contributions_(self) -> Array:
        """Contributions (N, h) of the training samples; form "contributions" only."""
        check_is_fitted(self, "network_")
        if self.form_ != "contributions":
            raise AttributeError(f"contributions_ exist in form 'contributions' only, this was fitted in form {self.form_!r}")
        return self.network_.front.base

    def explain(self, X: Any) -> Explanation:
        """Split the front layer's pre-activations into one term per training sample, without remainder.

        Parameters
        ----------
        X : ndarray or sparse matrix of shape (M, d)

        Returns
        -------
        Explanation

        Raises
        ------
        AttributeError
            If fitted in another form than "contributions".
        """
        _ = self.contributions_  # raises in the other forms
        front: Any = self.network_.front
        initial, terms = front.explain(self._validate_new(X))
        return Explanation(initial, self.network_.biases[0], terms)

    def save(self, path: str | os.PathLike[str], weights: bool = True) -> None:
        """Save to a safetensors file, for `fcfast.load`.

        The file is written whole or not at all: until it is complete, an older one stays.

        Parameters
        ----------
        path : path-like
        weights : bool
            True stores the conventional weights of the front layer (expanded, as `coefs_` does, if it was fitted in form
            "contributions"). False, for that form only, stores contributions instead: N h numbers, not d h, but the file can
            only be loaded beside the training inputs.

        Raises
        ------
        TypeError
            If a parameter cannot be stored as JSON, such as a schedule or random state that is an object.
        ValueError
            If a weight is not finite, a parameter is invalid, or ``weights=False`` in another form than "contributions".
        OSError
            If the file cannot be written.
        """
        from fcfast.modelfile import save  # it imports this module

        save(self, path, weights)

    def to_sklearn(self) -> "MLPClassifier | MLPRegressor":
        """Convert to scikit-learn's own network, fitted and with the same predictions up to rounding.

        Returns
        -------
        sklearn.neural_network.MLPClassifier or MLPRegressor

        Raises
        ------
        ValueError
            If scikit-learn has no such network: activation "leaky_relu", or a single class.
        """
        from fcfast.convert import to_sklearn

        return to_sklearn(self)

    def to_torch(self) -> "Sequential":
        """Convert to a PyTorch module with the same outputs up to rounding.

        Returns
        -------
        torch.nn.Sequential
            Linear layers and activations, in the estimator's dtype. A classifier's outputs are logits, one for each of
            `classes_`; a regressor's have shape (M, c).

        Raises
        ------
        ImportError
            If PyTorch is not installed.
        """
        from fcfast.convert import to_torch

        return to_torch(self)

    def _validate_new(self, X: Any) -> Any:
        check_is_fitted(self, "network_")
        return validate_data(self, X, accept_sparse="csr", dtype=(np.float64, np.float32), reset=False)

    def _outputs(self, X: Any) -> Array:
        if self._front_coef is not None:
            return self.network_.outputs_from_states(np.asarray(X @ self._front_coef.T))
        return self.network_.outputs(X)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags


class FrontClassifier(ClassifierMixin, _FrontEstimator):
    """A classifier: a dense network trained by SGD on the cross-entropy, its first layer in any form.

    Exactly the network that backpropagation trains (torch.optim.SGD semantics) at a cost per step that, in form
    "contributions", does not depend on the number of features. `explain` splits a pre-activation by training sample.

    Parameters
    ----------
    hidden_layer_sizes : int or sequence of int, default (256,)
        Widths of the hidden layers, the front layer first.
    activation : {"relu", "leaky_relu", "tanh", "logistic", "identity"}, default "relu"
        Of all hidden layers; the leaky slope is 0.01.
    learning_rate : float, default 0.01
        Step size; wide data that is not scaled, or very wide data, needs a smaller one.
    schedule : {"constant", "cosine", "step", "warm-up"} or object of `fcfast.optimizers`, default "constant"
        How the learning rate changes over `max_epochs`.
    momentum : float, default 0.9
    dampening : float, default 0
    nesterov : bool, default False
    weight_decay : float, default 0
    max_grad_norm : float or None, default None
        These five as in `fcfast.optimizers.SGD`, which has the semantics of torch.optim.SGD.
    batch_size : int or "auto", default "auto"
        "auto" is min(200, N). The last, shorter batch of an epoch is kept.
    max_epochs : int, default 200
    tol : float, default 1e-4
        A smaller improvement of the loss (or the validation score) is none.
    n_iter_no_change : int, default 10
        Epochs without improvement after which training stops.
    early_stopping : bool, default False
        Hold out part of the data, stop by its score (accuracy), and keep the best network.
    validation_fraction : float, default 0.1
        The part held out.
    shuffle : bool, default True
        False takes the samples in order.
    form : {"auto", "contributions", "windowed", "weights"}, default "auto"
        How the front layer is held; all train the same network up to rounding. "contributions": one row per training sample
        and their Gram matrix, for features that outnumber samples and for sparse data. "windowed": the weights, touched
        once per window of samples, for many samples. "weights": the weights, touched every step. "auto" counts the work.
    window : int or "auto", default "auto"
        Samples between two passes over what is held; a multiple of the batch size is used.
    memory_limit : int, default 4 GiB
        Bytes that the Gram matrix of form "contributions" may take.
    dtype : {"float32", "float64"}, default "float32"
        Of computation and parameters.
    n_jobs : int or None, default None
        Threads; None for all available. The bits of the result do not depend on it.
    random_state : int, RandomState or None, default None
        Seeds initial weights, the order of samples and what is held out.
    warm_start : bool, default False
        Continue from the last fit's weights.
    verbose : int, default 0
        Above 0: a line per epoch.
    class_weight : dict, "balanced" or None, default None
        Factors of the sample weights, by class.

    Attributes
    ----------
    classes_ : ndarray of shape (c,)
    form_ : {"contributions", "windowed", "weights"}
        The form that was used.
    coefs_, intercepts_ : list of ndarray
        Conventional weights (n_in, n_out) and biases of all layers; the first is expanded when first asked for, and then used
        for predictions too (the last digits may differ).
    contributions_ : ndarray of shape (N, h)
        Form "contributions" only.
    loss_curve_ : list of float
        Mean training loss of each epoch.
    validation_scores_ : list of float or None
    n_epochs_ : int

    Notes
    -----
    In form "contributions" a fitted estimator refers to the training inputs, and a pickle contains them: do not change X
    afterwards. `save` writes the conventional weights instead.

    Examples
    --------
    >>> import numpy as np
    >>> from fcfast import FrontClassifier
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(60, 5000))
    >>> y = np.where(np.arange(60) % 2, "up", "down")
    >>> X[:, :500] += np.where(y == "up", 0.7, -0.7)[:, None]
    >>> classifier = FrontClassifier((32,), random_state=0).fit(X[:40], y[:40])
    >>> classifier.form_, classifier.score(X[40:], y[40:]) > 0.9
    ('contributions', True)
    """

    classes_: Array
    _loss = "cross_entropy"

    def __init__(
        self,
        hidden_layer_sizes: int | Sequence[int] = (256,),
        activation: str = "relu",
        *,
        learning_rate: float = 0.01,
        schedule: str | Schedule = "constant",
        momentum: float = 0.9,
        dampening: float = 0.0,
        nesterov: bool = False,
        weight_decay: float = 0.0,
        max_grad_norm: float | None = None,
        batch_size: int | str = "auto",
        max_epochs: int = 200,
        tol: float = 1e-4,
        n_iter_no_change: int = 10,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        shuffle: bool = True,
        form: str = "auto",
        window: int | str = "auto",
        memory_limit: int = DEFAULT_MEMORY_LIMIT,
        dtype: str = "float32",
        n_jobs: int | None = None,
        random_state: Any = None,
        warm_start: bool = False,
        verbose: int = 0,
        class_weight: Any = None,
    ) -> None:
        super().__init__(
            hidden_layer_sizes, activation, learning_rate=learning_rate, schedule=schedule, momentum=momentum,
            dampening=dampening, nesterov=nesterov, weight_decay=weight_decay, max_grad_norm=max_grad_norm,
            batch_size=batch_size, max_epochs=max_epochs, tol=tol, n_iter_no_change=n_iter_no_change,
            early_stopping=early_stopping, validation_fraction=validation_fraction, shuffle=shuffle, form=form,
            window=window, memory_limit=memory_limit, dtype=dtype, n_jobs=n_jobs, random_state=random_state,
            warm_start=warm_start, verbose=verbose,
        )  # fmt: skip
        self.class_weight = class_weight

    def _encode_targets(self, y: Array, warm: bool) -> Array:
        check_classification_targets(y)
        classes = unique_labels(y)
        if warm and not np.array_equal(classes, self.classes_):
            raise ValueError(f"y has classes {classes}, but warm_start goes on with {self.classes_}; use warm_start=False")
        self.classes_ = classes
        return np.searchsorted(classes, y).astype(np.intp)

    def _class_weights(self, y: Array) -> Array | None:
        return None if self.class_weight is None else compute_sample_weight(self.class_weight, y)

    def _validate(self, X: Any, y: ArrayLike) -> tuple[Any, Array]:
        X, y = super()._validate(X, y)
        return X, column_or_1d(y, warn=True)

    def _score_held_out(self, X: Any, targets: Array) -> float:
        return float(np.mean(self.network_.outputs(X).argmax(axis=1) == targets))

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Give the probability (M, c) of each class in `classes_`: softmax of the outputs, in float64."""
        outputs = self._outputs(self._validate_new(X)).astype(np.float64)
        probabilities = np.exp(outputs - outputs.max(axis=1, keepdims=True))
        return probabilities / probabilities.sum(axis=1, keepdims=True)

    def predict(self, X: Any) -> Array:
        """Give the most probable class (M,)."""
        outputs = self._outputs(self._validate_new(X))
        return self.classes_[outputs.argmax(axis=1)]


class FrontRegressor(RegressorMixin, _FrontEstimator):
    """A regressor: a dense network trained by SGD on half the squared error, its first layer in any form.

    As `FrontClassifier`; `y` may have several outputs. Scale inputs and targets to order 1, as for any network.

    Parameters
    ----------
    hidden_layer_sizes : int or sequence of int, default (256,)
        Widths of the hidden layers, the front layer first.
    activation : {"relu", "leaky_relu", "tanh", "logistic", "identity"}, default "relu"
        Of all hidden layers; the leaky slope is 0.01.
    learning_rate : float, default 0.01
        Step size; wide data that is not scaled, or very wide data, needs a smaller one.
    schedule : {"constant", "cosine", "step", "warm-up"} or object of `fcfast.optimizers`, default "constant"
        How the learning rate changes over `max_epochs`.
    momentum : float, default 0.9
    dampening : float, default 0
    nesterov : bool, default False
    weight_decay : float, default 0
    max_grad_norm : float or None, default None
        These five as in `fcfast.optimizers.SGD`, which has the semantics of torch.optim.SGD.
    batch_size : int or "auto", default "auto"
        "auto" is min(200, N). The last, shorter batch of an epoch is kept.
    max_epochs : int, default 200
    tol : float, default 1e-4
        A smaller improvement of the loss (or the validation score) is none.
    n_iter_no_change : int, default 10
        Epochs without improvement after which training stops.
    early_stopping : bool, default False
        Hold out part of the data, stop by its score (R²), and keep the best network.
    validation_fraction : float, default 0.1
        The part held out.
    shuffle : bool, default True
        False takes the samples in order.
    form : {"auto", "contributions", "windowed", "weights"}, default "auto"
        How the front layer is held; all train the same network up to rounding. "contributions": one row per training sample
        and their Gram matrix, for features that outnumber samples and for sparse data. "windowed": the weights, touched
        once per window of samples, for many samples. "weights": the weights, touched every step. "auto" counts the work.
    window : int or "auto", default "auto"
        Samples between two passes over what is held; a multiple of the batch size is used.
    memory_limit : int, default 4 GiB
        Bytes that the Gram matrix of form "contributions" may take.
    dtype : {"float32", "float64"}, default "float32"
        Of computation and parameters.
    n_jobs : int or None, default None
        Threads; None for all available. The bits of the result do not depend on it.
    random_state : int, RandomState or None, default None
        Seeds initial weights, the order of samples and what is held out.
    warm_start : bool, default False
        Continue from the last fit's weights.
    verbose : int, default 0
        Above 0: a line per epoch.

    Attributes
    ----------
    form_ : {"contributions", "windowed", "weights"}
        The form that was used.
    coefs_, intercepts_ : list of ndarray
        Conventional weights (n_in, n_out) and biases of all layers; the first is expanded when first asked for, and then used
        for predictions too (the last digits may differ).
    contributions_ : ndarray of shape (N, h)
        Form "contributions" only.
    loss_curve_ : list of float
        Mean training loss of each epoch.
    validation_scores_ : list of float or None
    n_epochs_ : int

    Notes
    -----
    In form "contributions" a fitted estimator refers to the training inputs, and a pickle contains them: do not change X
    afterwards. `save` writes the conventional weights instead.

    Examples
    --------
    >>> import numpy as np
    >>> from fcfast import FrontRegressor
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(80, 2000))
    >>> y = X[:, :10].sum(axis=1) / 3
    >>> FrontRegressor((32,), learning_rate=0.001, random_state=0).fit(X, y).score(X, y) > 0.9
    True
    """

    _loss = "half_squared_error"

    def _encode_targets(self, y: Array, warm: bool) -> Array:
        self._y_ndim = y.ndim
        with np.errstate(over="ignore"):  # reported below
            targets = np.ascontiguousarray(y.reshape(len(y), -1), dtype=self.dtype)
        if not np.isfinite(targets).all():
            raise ValueError(f"y has values too large for dtype {self.dtype!r}; scale it, or use dtype='float64'")
        return targets

    def _score_held_out(self, X: Any, targets: Array) -> float:
        return float(r2_score(targets, self.network_.outputs(X)))

    def _shaped(self, outputs: Array) -> Array:
        return outputs[:, 0] if self._y_ndim == 1 else outputs

    def predict(self, X: Any) -> Array:
        """Give the outputs, shape (M,) or (M, c) as `y` had it."""
        return self._shaped(self._outputs(self._validate_new(X))).astype(np.float64)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
