"""`FrontRegressor`: regression with the front layer in any form."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import RegressorMixin

from fcfast import validation
from fcfast.estimators import automatic
from fcfast.estimators.described import targets_entry
from fcfast.estimators.front import FrontEstimator
from fcfast.estimators.store import stored
from fcfast.estimators.stream_predictions import scored, takes_streams
from fcfast.estimators.targets import ROBUST, columns_of
from fcfast.losses import Loss, make_loss
from fcfast.losses.scores import varies
from fcfast.modelfile.front import RegressorHeader
from fcfast.optimizers import Optimizer, Schedule
from fcfast.planning.plan import DEFAULT_MEMORY_LIMIT
from fcfast.rules import Rule
from fcfast.sources.running import RUNNING

if TYPE_CHECKING:
    from typing import Self  # Python 3.11

    from fcfast.onnx.graph import Graph

Array = NDArray[Any]


@stored
class FrontRegressor(RegressorMixin, FrontEstimator):
    """A dense network for regression, trained on half the squared error or another loss with its first layer in any form.

    It works in the same way as `FrontClassifier`, and `y` may have several columns, in which targets may be missing (NaN). The
    loss of a batch is then the sum over the columns of the mean over the samples that have a target there. No argument is
    needed: parameters that are "auto" are chosen in `fit` from the shape and the kind of X, each by itself, and `settings_`
    says what was chosen and why.

    Parameters
    ----------
    hidden_layer_sizes : int, sequence of int or "auto", default "auto"
        Number of units of each hidden layer, beginning with the front layer. "auto" is one layer, with 64 units for up to 1,000
        samples and 256 for more, or for the samples of `partial_fit`.
    activation : {"relu", "leaky_relu", "tanh", "logistic", "identity"}, default "relu"
        Activation of all hidden layers. The slope of "leaky_relu" is 0.01 below 0.
    rule : str or object of `fcfast.rules`, default "backprop"
        Learning rule that computes the updates. "backprop" is backpropagation. The alternatives are "local-loss", "fa" and
        "dfa" (feedback alignment and direct feedback alignment), "frozen" (only the output layer is trained), and the forward
        gradients "fg-w", "fg-a", "lg-fg-w", "lg-fg-a", "local-fg-w", "local-fg-a" and "forward-gradient"; see
        `fcfast.rules.ForwardGradient` for all their settings. "fg-w" and "lg-fg-w" put noise on weights and need form
        "weights".
    groups : int or sequence of int, default 1
        Number of groups of units in each hidden layer above the front layer. A group is connected only to the same group of the
        layer below. A sequence has one number for each hidden layer, and the first of them must be 1.
    init : {"auto", "span", "scaled", "small", "glorot"}, default "auto"
        Distribution of the initial weights and biases. "scaled" draws weights with which the pre-activations of the front layer
        have the deviation init_scale / 2, whatever the number of features, and biases of the same size. "span" gives them the
        same distribution by the smallest weights that produce them: the start is in the span of the training samples, so that
        predictions do not contain the noise of the other directions, which training never reaches. It takes time with the third
        power of the number of samples. "small" is "scaled" with a tenth of the size in the front layer. With all three the
        other hidden biases are 0, and the output biases are the means of the targets. "glorot" draws weights
        and biases as scikit-learn's MLP does. "auto" is "span" for a `fcfast.Gram` and for up to 2,000 samples with more
        features than samples, otherwise "small" for sparse samples and "scaled" for dense ones.
    init_scale : float, default 1
        Factor of the random initial weights, and with "glorot" of the biases.
    kernel : str, Kernel, callable, default "linear"
        Kernel of the front layer. With "linear" its units have weights for the features. With any other one they are functions
        in the kernel's feature space, ``sum_i A_ij k(x_i, x)``, and have no weights: "poly", "rbf", "cosine", "tanimoto",
        "arc-cosine", an object of `fcfast.kernels`, or a function of two blocks of samples (m, d) and (n, d) that gives an
        array (m, n). With "precomputed", X is the kernel matrix (N, N) of the training samples with each other in `fit`, and
        that of M new samples with them (M, N) in `predict`. Kernels need form "contributions" and an optimiser that commutes.
    gamma : float or {"scale", "auto"}, default "scale"
        Factor in "poly" and "rbf", as in scikit-learn's SVC: "scale" is 1 / (d X.var()), "auto" is 1 / d.
    degree : int, default 3
        Degree of "poly".
    coef0 : float, default 1
        Constant in "poly".
    standardize : bool, "capped", "scale", "running" or "auto", default "auto"
        Whether to scale every feature to mean 0 and deviation 1 over the samples of the first `fit` or `partial_fit`, without a
        scaled copy of X in form "contributions". True scales exactly as scikit-learn's StandardScaler does. "capped" does so,
        too, except that it divides a feature of dense data by more than its deviation where some training sample would
        otherwise be more than 5 away from 0, so that rare large values do not dominate, and that it takes account of
        `sample_weight`. "scale" divides by the deviation and subtracts nothing, as ``StandardScaler(with_mean=False)`` does
        with `sample_weight`, so that every form takes sparse data. "running" is the same as "capped" in `fit`; in `partial_fit`
        means and scales follow the stream, and the weights change their units with them, which needs a form that holds weights.
        New samples are scaled in the same way, and `coefs_` and `intercepts_` belong to raw features. Without "running", a fit
        that continues (`partial_fit`, or `warm_start`) scales as before. Sparse data stays sparse. "auto" is "capped" for dense
        data, and "running" in a stream that begins with `partial_fit`; in form "contributions" it is "capped" there, and False
        for fewer than 100 samples. It is False for sparse data, for a `fcfast.Gram`, for kernels that compare samples
        ("precomputed", functions) and with `coefs_init`.
    missing : {"error", "mean"}, default "error"
        What to do about missing values (NaN): raise a ValueError, or put the mean of the feature over the training samples in
        their place. A feature without any value counts as 0.
    optimizer : {"auto", "sgd", "muon", "neuron-adam", "adam", "adamw", "adagrad", "rmsprop"} or object, default "auto"
        Optimiser. A name takes its settings from the parameters below; an object has its own. "adam" and "adamw" scale the
        updates of each feature separately and need form "weights". The others train the same network in every form. "auto" is
        "sgd".
    learning_rate : float, sequence or "auto", default "auto"
        Step size. A sequence has one entry for each layer, beginning with the front layer: a number, or a pair of numbers for
        the weights and the biases. A rate of 0 freezes them. "auto" gives each layer rates that suit its shape: with "sgd" and
        the step s = 0.5, the weights of a layer with n_in inputs and n_out units get s n_out / (64 n_in), and its biases get a
        tenth of s n_out / 64; the output layer counts as n_out = 64. For the front layer n_in is the mean squared length of the
        samples, which is the number of features if they are standardised. Other optimisers have rules of their own
        (`fcfast.optimizers.Optimizer.layer_rates`).
    schedule : {"auto", "constant", "cosine", "step", "warm-up", "warm-up-cosine"} or object, default "auto"
        Course of the learning rate over `max_epochs`; an object comes from `fcfast.optimizers`. "auto" is "constant" if one
        batch holds all samples, and "cosine" otherwise. `partial_fit` always has a constant rate.
    momentum : float, default 0.9
        Momentum in [0, 1), defined as in torch.optim.SGD. For "neuron-adam", "adam" and "adamw" it is beta1.
    dampening : float, default 0
        Dampening of the momentum in [0, 1), for "sgd" only.
    nesterov : bool, default False
        Whether to use Nesterov momentum, for "sgd" and "muon" only.
    weight_decay : float, sequence or "auto", default "auto"
        Weight decay. "sgd" and "adam" add it to the gradient; the other optimisers decouple it from the gradient. A number
        holds for all parameters, including biases. A sequence has one entry for each layer, in the same way as `learning_rate`.
        With the rates of `learning_rate="auto"`, "auto" lets all weights shrink by s x 0.02 / N in a step (0.05 in place of
        0.02 if there are more samples than features), with the s above, and leaves biases as they are. It is 0 for optimisers
        other than "sgd" and in `partial_fit`; an optimiser that is an object keeps its own.
    max_grad_norm : float or None, default None
        Largest global norm of the gradients, which are scaled down if they exceed it. None never scales them.
    batch_size : int or "auto", default "auto"
        Number of samples in a batch. The last batch of an epoch may be shorter and is used too. "auto" takes up to 1,000
        samples as one batch, and otherwise, or in `partial_fit`, batches of 100.
    max_epochs : int or "auto", default "auto"
        Largest number of epochs. "auto" is 1,000 if one batch holds all samples, and otherwise as many epochs as make 2,000
        steps, but at least 20 and at most 1,000.
    tol : float, default 0
        Smallest improvement of the loss (or of the validation score) that counts as one.
    n_iter_no_change : int or "auto", default "auto"
        Number of epochs without improvement after which training stops. "auto" is 10 with `early_stopping`; otherwise all
        epochs are trained.
    early_stopping : bool, default False
        Whether to stop when the score of validation samples no longer improves, and keep the best network. Part of the data is
        held out for this, unless `fit` gets other samples, or their rows.
    validation_fraction : float, default 0.1
        Fraction of the data that `early_stopping` holds out, or of the groups if `fit` gets any.
    scoring : str, callable or None, default None
        Score of validation samples; the higher, the better. None is R² or D², as `score` gives it, and "loss" is minus the
        validation loss. Any other name is that of a scorer of scikit-learn, such as "neg_mean_absolute_error" or
        "neg_max_error"; a function ``scorer(estimator, X, y)`` may be what sklearn.metrics.make_scorer gives.
    shuffle : bool, default True
        Whether to draw a new order of the samples in each epoch. With False they are taken in order.
    form : {"auto", "contributions", "windowed", "weights"}, default "auto"
        Representation of the front layer. All forms train the same network up to rounding. "contributions" holds one row for
        each training sample and the Gram matrix of the samples; it suits data with more features than samples.
        "windowed" holds the weights and updates them once per window of samples; it suits many samples. "weights" holds the
        weights and updates them in every step. "auto" takes the form that `fcfast.plan` predicts to be the fastest on this
        machine within `memory_limit`. Name a form to get the same one on every machine.
    window : int or "auto", default "auto"
        Number of samples in a window, after which the held array is updated. It is rounded to a multiple of the batch size.
    memory_limit : int, default 4 GiB
        Largest number of bytes that training may hold in addition to the data.
    dtype : {"float32", "float64"}, default "float32"
        Precision of the parameters and the computation.
    n_jobs : int or None, default None
        Number of threads; None uses all that are available. The result has the same bits for any number.
    random_state : int, RandomState or None, default None
        Seed of the initial weights, the order of the samples and the choice of held-out samples.
    warm_start : bool, default False
        Whether `fit` continues from the weights of the last fit.
    verbose : int, default 0
        Amount of output. 0 prints nothing. 1 prints the settings and shows a progress bar on a terminal (if rich is installed),
        or at most 20 lines elsewhere. 2 prints a line per epoch.
    loss : str or Loss, default "squared_error"
        Loss function. "squared_error" is half the squared distance to the target. "poisson" is for counts and rates >= 0: the
        outputs are the logarithms of the rates that `predict` gives. "huber" grows linearly for errors above 0.2
        (`fcfast.losses.Huber` has other bounds), in the unit of the scaled targets, so that outliers count less. "quantile"
        predicts the median, and ``Quantile(levels)`` other quantiles, several at once if levels are a sequence. "log_loss" is
        for targets in [0, 1]. An object of `fcfast.losses` has its own settings; an instance of your own subclass of
        `fcfast.losses.Loss`, its registered name, or a `fcfast.losses.FunctionLoss` of two functions, trains the outputs by
        your own loss.
    standardize_targets : bool, "robust", "running" or "auto", default "auto"
        Whether to scale every target to mean 0 and deviation 1 over the samples of the first `fit` or `partial_fit`, with their
        weights. "robust" takes the median in place of the mean and, in place of the deviation, the distance of the quartiles
        over 1.349, which is the deviation of normal targets. "running" is the same as True and follows the stream in
        `partial_fit`. Predictions, `coefs_` and `intercepts_` have the unit of the raw targets; `loss_curve_` belongs to the
        scaled ones. "auto" is False for a loss of your own, with `coefs_init`, and for "poisson" and "log_loss", which need
        targets as they are; otherwise it is "running" in a stream that begins with `partial_fit`, "robust" for "huber" and
        "quantile", and True for "squared_error".

    Attributes
    ----------
    settings_ : mapping of str to value
        Values of all parameters that may be "auto", as they were used, given ones included. ``str(settings_)`` is a table with
        the reason for each, and ``settings_.reasons`` has the reasons by name. Model files keep it.
    form_ : {"contributions", "windowed", "weights"}
        Form that was used.
    plan_ : fcfast.planning.plan.Plan
        Predicted time and memory of each form; ``str(plan_)`` explains the choice.
    coefs_ : list of ndarray of shape (n_in, n_out)
        Conventional weights of all layers, read-only. In form "contributions" the front layer's are computed when they are
        first needed, and kept; they are a dask array if X was one (`fcfast.dask`).
    intercepts_ : list of ndarray of shape (n_out,)
        Biases of all layers, read-only.
    contributions_ : ndarray of shape (N, h)
        Contribution of each training sample to the weights of each of the h front units, read-only; only in form
        "contributions".
    loss_curve_ : list of float
        Mean training loss of each epoch.
    validation_scores_ : list of float or None
        Score of the validation samples after each epoch; None without such samples.
    validation_loss_curve_ : list of float or None
        Mean loss of the validation samples after each epoch; None without such samples.
    best_epoch_ : int or None
        Number of the epoch with the best validation score, counted from 1. With `early_stopping` its network is the one that
        was kept.
    n_epochs_ : int
        Number of epochs that were trained.
    outcome_ : fcfast.training.Outcome
        How the last training ended. Model files have it in `card_` alone.
    card_ : fcfast.modelfile.ModelCard
        What the network was trained on, with which settings, outcome and scores. Model files hold it, and ``fcfast show``
        prints it.
    text_ : fcfast.text.TextFeatures or None
        How texts became the features that the network takes, if the model file says so, a `ParquetStream` made them, or you set
        it after `fit`.

    Notes
    -----
    In form "contributions" a fitted estimator keeps a reference to the training inputs, and a pickle contains them. If X is
    changed in place afterwards, every method that still needs it raises a RuntimeError. These are `explain`, `partial_fit` and
    pickling, and, unless the conventional weights have been computed and kept already, predictions, `coefs_` and `save`. In
    this case fit again, fit on a copy, or use another form. Any change of a value is noticed, but an exchange of values within
    a row may not be. `save` writes the conventional weights instead of X.

    Ctrl-C ends this fit with a warning, keeps the network of the last whole epoch and returns. Within the first epoch it raises
    an ordinary `KeyboardInterrupt`. A search (`GridSearchCV`, `cross_val_score`) goes on with its next fit, so press Ctrl-C
    again to end that one.

    Examples
    --------
    >>> import numpy as np
    >>> from fcfast import FrontRegressor
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(80, 2000))
    >>> y = X[:, :10].sum(axis=1) / 3
    >>> FrontRegressor(random_state=0).fit(X, y).score(X, y) > 0.9
    True
    """

    def __init__(
        self,
        hidden_layer_sizes: int | str | Sequence[int] = "auto",
        activation: str = "relu",
        *,
        rule: str | Rule = "backprop",
        groups: int | Sequence[int] = 1,
        init: str = "auto",
        init_scale: float = 1.0,
        kernel: Any = "linear",
        gamma: float | str = "scale",
        degree: int = 3,
        coef0: float = 1.0,
        standardize: bool | str = "auto",
        missing: str = "error",
        optimizer: str | Optimizer = "auto",
        learning_rate: float | str | Sequence[Any] = "auto",
        schedule: str | Schedule = "auto",
        momentum: float = 0.9,
        dampening: float = 0.0,
        nesterov: bool = False,
        weight_decay: float | str | Sequence[Any] = "auto",
        max_grad_norm: float | None = None,
        batch_size: int | str = "auto",
        max_epochs: int | str = "auto",
        tol: float = 0.0,
        n_iter_no_change: int | str = "auto",
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        scoring: Any = None,
        shuffle: bool = True,
        form: str = "auto",
        window: int | str = "auto",
        memory_limit: int = DEFAULT_MEMORY_LIMIT,
        dtype: str = "float32",
        n_jobs: int | None = None,
        random_state: Any = None,
        warm_start: bool = False,
        verbose: int = 0,
        loss: str | Loss = "squared_error",
        standardize_targets: bool | str = "auto",
    ) -> None:
        super().__init__(
            hidden_layer_sizes, activation, rule=rule, groups=groups, init=init, init_scale=init_scale, kernel=kernel,
            gamma=gamma, degree=degree, coef0=coef0, standardize=standardize, missing=missing, optimizer=optimizer,
            learning_rate=learning_rate, schedule=schedule, momentum=momentum, dampening=dampening, nesterov=nesterov,
            weight_decay=weight_decay, max_grad_norm=max_grad_norm, batch_size=batch_size, max_epochs=max_epochs, tol=tol,
            n_iter_no_change=n_iter_no_change, early_stopping=early_stopping, validation_fraction=validation_fraction,
            scoring=scoring, shuffle=shuffle, form=form, window=window, memory_limit=memory_limit, dtype=dtype, n_jobs=n_jobs,
            random_state=random_state, warm_start=warm_start, verbose=verbose,
        )  # fmt: skip
        self.loss = loss
        self.standardize_targets = standardize_targets

    @property
    def _loss(self) -> Loss:
        return make_loss(self.loss)

    def _held_loss(self) -> dict[str, tuple[Any, Any]]:
        return {"loss": (self._loss, self.network_.loss)}

    def _check_parameters(self) -> None:
        super()._check_parameters()
        validation.switch(self.standardize_targets, "standardize_targets", (ROBUST, RUNNING, "auto"))
        if self._loss.has_classes:
            raise ValueError(f"loss={self._loss.name!r} compares outputs with classes; use FrontClassifier")
        if not (self._loss.may_scale_targets or self.standardize_targets in (False, "auto")):
            raise ValueError(
                f"standardize_targets={self.standardize_targets!r} scales targets, but loss={self._loss.name!r} needs them as "
                "they are; use False or 'auto'"
            )

    _header = RegressorHeader

    @property
    def _constants(self) -> automatic.Constants:  # type: ignore[override]  # the loss decides here
        return automatic.constants(self._loss)

    _automatic = ("standardize", "standardize_targets", *FrontEstimator._automatic[1:])

    @property
    def _asked_scaling(self) -> dict[str, Any]:
        return super()._asked_scaling | {"standardize_targets": self.standardize_targets}

    def _choose_scaling(self, X: Any, has_coefs: bool, streams: bool) -> None:
        super()._choose_scaling(X, has_coefs, streams)
        self._choose("standardize_targets", lambda: automatic.standardize_targets(self._loss, has_coefs, streams))

    def _opened_targets(self, y: Any, reset: bool) -> tuple[Any, Callable[[Array], Array]]:
        loss, found = self._loss, columns_of(y)
        y, _ = super()._opened_targets(y, reset)
        if found is None or not found.has_gaps:
            return y, lambda targets: self._for_outputs(targets, reset)
        if not loss.may_lack_targets:
            raise ValueError(
                f"y lacks {found.gaps.sum()} values (NaN), which loss={loss.name!r} cannot leave out; leave out those samples, "
                "or use a loss that is a sum over the outputs (fcfast.losses.Separable)"
            )
        return found.filled, lambda targets: self._for_outputs(found.with_gaps(targets), reset)

    def _for_outputs(self, targets: Array, reset: bool) -> Array:
        """Give a column of targets for each output, from checked ones."""
        loss = self._loss
        loss.check_targets(validation.real_array(targets, "y"))
        if reset:
            self._y_ndim = targets.ndim
        if loss.per_target == 1:
            return targets
        return np.repeat(targets.reshape(len(targets), -1), loss.per_target, axis=1)

    def _encode_targets(self, y: Array, warm: bool) -> Array:
        return self._in_precision(y)

    def _encode_known_targets(self, y: Array) -> Array:
        if self._loss.per_target == 1 and y.ndim != self._y_ndim:
            raise ValueError(f"it has {y.ndim} dimension(s), but y has {self._y_ndim}; give the same shape")
        numbers = validation.real_array(y, "y")
        return self._in_precision(numbers if self._scaling is None else self._scaling.scaled_targets(numbers))

    def _as_given(self, y: Array) -> Array:
        each = self._loss.per_target
        return y if each == 1 else y[:, ::each].reshape((len(y), -1)[: self._y_ndim])

    def _in_precision(self, y: Array) -> Array:
        with np.errstate(over="ignore"):  # reported below
            targets = np.ascontiguousarray(validation.real_array(y, "y").reshape(len(y), -1), dtype=self.dtype)
        if not validation.all_finite(targets) and np.isinf(targets).any():
            raise ValueError(f"y has values too large for dtype {self.dtype!r}; scale it, or use dtype='float64'")
        return targets

    def _numbers(self, y: Array) -> Array:
        return validation.real_array(y, "y").reshape(len(y), -1)

    def _checked(self, X: Any, y: ArrayLike | None, reset: bool) -> tuple[Any, Array]:
        X, targets = super()._checked(X, y, reset)
        if not reset:
            n_outputs, held = targets.shape[1] if targets.ndim == 2 else 1, int(self.network_.widths[-1])
            if n_outputs != held or (self._loss.per_target == 1 and targets.ndim != self._y_ndim):
                shape = np.asarray(y).shape
                raise ValueError(f"y has shape {shape}, but the first call of partial_fit, or fit, had {held} output(s)")
        return X, targets

    def _encode_more_targets(self, y: Array, classes: ArrayLike | None) -> Array:
        return self._encode_targets(y, False)

    def partial_fit(self, X: Any, y: ArrayLike | None = None, sample_weight: ArrayLike | None = None) -> "Self":
        """Train one epoch on new samples and continue from the last call, including its momentum.

        In form "contributions" the samples are appended to those that are held, and the cost grows with their number.
        ``form="auto"`` takes "windowed" here, which does not keep samples, and for sparse data "contributions" where the
        optimiser needs it. Sparse samples may bring features that have not occurred before.

        Parameters
        ----------
        X : ndarray or sparse matrix of shape (N, d)
            New samples.
        y : array-like of shape (N,) or (N, L)
            Targets; those in two columns or more may be missing (NaN).
        sample_weight : array-like of shape (N,) or None
            Weights of the samples; None weights all samples equally.

        Returns
        -------
        self

        Raises
        ------
        ValueError, TypeError
            If the data or parameters are invalid, if the number of outputs has changed, or with early stopping or a schedule,
            which need the length of the whole training.
        MemoryError
            If the Gram matrix of all samples would exceed `memory_limit`; the estimator is unchanged then.
        """
        return self._partial_fit(X, y, sample_weight, None)

    def _truth(self, predictions: Array, y: Any) -> Array:
        truth, each = super()._truth(predictions, y), int(self.network_.loss.per_target)
        n_targets = int(self.network_.widths[-1]) // each
        if truth.reshape(len(truth), -1).shape[1] != n_targets:
            raise ValueError(f"y has shape {truth.shape}, but {n_targets} number(s) are predicted for each sample")
        return truth

    def _check_scorable(self, targets: Array, sample_weight: Array | None) -> None:
        if self.early_stopping and self.scoring is None and not varies(targets, sample_weight):
            raise ValueError(
                f"all targets of the {len(targets)} validation samples are the same, of which no prediction explains more than "
                f"another ({self._score_name}); validate on more samples, or use scoring='loss'"
            )

    def _score_outputs(self, outputs: Array, targets: Array, sample_weight: Array | None) -> float:
        loss, each = self._loss, self._loss.per_target  # which have the same targets
        outputs, targets = outputs.astype(np.float64), targets.astype(np.float64)
        if self._scaling is not None:
            outputs, targets = self._scaling.raw_outputs(outputs), self._scaling.raw_outputs(targets)
        return loss.score(targets[:, ::each], loss.predictions(outputs), sample_weight)

    @property
    def _score_name(self) -> str:  # type: ignore[override]  # the loss decides here
        return self._loss.share_name

    def _shaped(self, predictions: Array) -> Array:
        """Give predictions (M, c) the shape that targets had, with a last axis if there are several for each."""
        loss = self.network_.loss
        shape = [len(predictions)] if self._y_ndim == 1 else [len(predictions), predictions.shape[1] // loss.per_target]
        return predictions.reshape(*shape, *([loss.per_target] if loss.lists_predictions else []))

    @takes_streams
    def predict(self, X: Any) -> Array:
        """Give predictions, of shape (M,) or (M, L) as `y` had in `fit`.

        Quantiles of several levels have a last axis, one for each level.
        """
        outputs = self._outputs_of(X).astype(np.float64)
        loss = self.network_.loss
        with np.errstate(over="ignore"):  # reported below
            predictions = loss.predictions(outputs)
        if not validation.all_finite(predictions):
            raise ValueError(
                f"X gives outputs from {outputs.min():.3g} to {outputs.max():.3g}, of which loss={loss.name!r} makes "
                "predictions that are not finite; look whether X has the scale of the training samples"
            )
        return self._shaped(predictions)

    def _card_targets(self) -> dict[str, Any]:
        return {"outputs": int(self.network_.widths[-1])} | targets_entry(self.target_names_)

    def _add_results(self, graph: "Graph", outputs: str) -> None:
        by = None if self._scaling is None else self._scaling.targets
        if by is not None:
            outputs = graph.node("Add", graph.node("Mul", outputs, by.scale[None]), by.mean[None])
        predictions = self.network_.loss.onnx_predictions(graph, outputs)
        graph.output("variable", predictions, graph.element_type, int(self.network_.widths[-1]))

    def score(self, X: Any, y: ArrayLike | None = None, sample_weight: ArrayLike | None = None) -> float:
        """Give R²; the blocks of a stream hold `y` and `sample_weight`, which are left out then.

        The score is the mean over the targets; those that are missing in `y` are left out. For "poisson" and "quantile" it is
        the share of the loss that predictions explain (D²), as in scikit-learn's PoissonRegressor and `d2_pinball_score`.
        """
        predicted, truth, weights = scored(self, X, y, sample_weight)
        return self.network_.loss.score(truth, predicted, weights)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
