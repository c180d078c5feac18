"""`FrontSurvival`: survival analysis with the front layer in any form."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.validation import check_consistent_length, check_is_fitted, validate_data

from fcfast import validation
from fcfast.estimators import automatic
from fcfast.estimators.automatic import Choice
from fcfast.estimators.front import FrontEstimator
from fcfast.estimators.store import stored
from fcfast.estimators.stream_predictions import predictions_of, takes_streams
from fcfast.gram.object import n_features_of
from fcfast.losses import Cox
from fcfast.modelfile.front import FrontHeader
from fcfast.modelfile.headers import Tensors
from fcfast.modelfile.survival import SurvivalHeader, baseline_entries, baseline_in, baseline_tensors
from fcfast.splitting import split_at_random
from fcfast.streams import Stream
from fcfast.survival import Baseline, StepFunction, comparable_weight, concordance_index, survival_targets
from fcfast.training import Callback
from fcfast.training.network import FrontNetwork

if TYPE_CHECKING:
    from typing import Self  # Python 3.11

    from fcfast.onnx.graph import Graph

Array = NDArray[Any]
Floats = NDArray[np.float64]
Rows = NDArray[np.intp]


@stored
class FrontSurvival(FrontEstimator):
    """A dense network for survival analysis, trained on Cox's partial likelihood with its first layer in any form.

    It is Cox's model of proportional hazards with a network in place of the linear predictor (Faraggi and Simon, Stat. Med. 14,
    1995): the one output is the logarithm of a sample's hazard, up to a constant. Ties are Efron's (`fcfast.losses.Cox`).
    Targets and methods are those of scikit-survival. Otherwise it works in the same way as `FrontClassifier`: no argument is
    needed, because parameters that are "auto" are chosen in `fit` from the shape and the kind of X, each by itself, and
    `settings_` says what was chosen and why.

    Parameters
    ----------
    hidden_layer_sizes : int, sequence of int or "auto", default "auto"
        Number of units of each hidden layer, beginning with the front layer. "auto" is one layer, with 64 units for up to 1,000
        samples and 256 for more.
    activation : {"relu", "leaky_relu", "tanh", "logistic", "identity"}, default "relu"
        Activation of all hidden layers. The slope of "leaky_relu" is 0.01 below 0. With "identity" the network is a linear Cox
        model.
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
        other biases are 0. "glorot" draws weights and biases as scikit-learn's MLP does. "auto" is "span" for a `fcfast.Gram`
        and for up to 2,000 samples with more features than samples, otherwise "small" for sparse samples and "scaled" for dense
        ones.
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
        Whether to scale every feature to mean 0 and deviation 1 over the training samples, without a scaled copy of X in form
        "contributions". True scales exactly as scikit-learn's StandardScaler does. "capped" does so, too, except that it
        divides a feature of dense data by more than its deviation where some training sample would otherwise be more than 5
        away from 0, so that rare large values do not dominate, and that it takes account of `sample_weight`. "scale" divides by
        the deviation and subtracts nothing, as ``StandardScaler(with_mean=False)`` does with `sample_weight`, so that every
        form takes sparse data. "running" is the same as "capped" here. New samples are scaled in the same way, and `coefs_` and
        `intercepts_` belong to raw features. A fit that continues (`warm_start`) scales as before. Sparse data stays sparse.
        "auto" is "capped" for dense data. It is False for sparse data, for a `fcfast.Gram`, for kernels that compare samples
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
        the step s = 0.1, the weights of a layer with n_in inputs and n_out units get s n_out / (64 n_in), and its biases get a
        tenth of s n_out / 64; the output layer counts as n_out = 64. For the front layer n_in is the mean squared length of the
        samples, which is the number of features if they are standardised. Other optimisers have rules of their own
        (`fcfast.optimizers.Optimizer.layer_rates`).
    schedule : {"auto", "constant", "cosine", "step", "warm-up", "warm-up-cosine"} or object, default "auto"
        Course of the learning rate over `max_epochs`; an object comes from `fcfast.optimizers`. "auto" is "constant" if one
        batch holds all samples, and "cosine" otherwise.
    momentum : float, default 0.9
        Momentum in [0, 1), defined as in torch.optim.SGD. For "neuron-adam", "adam" and "adamw" it is beta1.
    dampening : float, default 0
        Dampening of the momentum in [0, 1), for "sgd" only.
    nesterov : bool, default False
        Whether to use Nesterov momentum, for "sgd" and "muon" only.
    weight_decay : float, sequence or "auto", default "auto"
        Weight decay. "sgd" and "adam" add it to the gradient; the other optimisers decouple it from the gradient. A number
        holds for all parameters, including biases. A sequence has one entry for each layer, in the same way as `learning_rate`.
        With the rates of `learning_rate="auto"`, "auto" lets all weights shrink by s / N in a step, with the s above, and
        leaves biases as they are. It is 0 for optimisers other than "sgd"; an optimiser that is an object keeps its own.
    max_grad_norm : float or None, default None
        Largest global norm of the gradients, which are scaled down if they exceed it. None never scales them.
    batch_size : int or "auto", default "auto"
        Number of samples in a batch. "auto" is all samples, because an event is compared with the samples at risk in its batch
        alone. Smaller batches take less memory and compare each event with fewer samples, so that the loss is another one
        (`fcfast.losses.Cox`); a batch without events changes nothing but what momentum and weight decay do.
    max_epochs : int or "auto", default "auto"
        Largest number of epochs. "auto" is 200 if one batch holds all samples, and otherwise as many epochs as make 2,000
        steps, but at least 20 and at most 200.
    tol : float, default 0
        Smallest improvement of the loss (or of the validation score) that counts as one.
    n_iter_no_change : int or "auto", default "auto"
        Number of epochs without improvement after which training stops. With `early_stopping` "auto" is a fifth of the epochs
        and at least 10; otherwise all epochs are trained.
    early_stopping : bool, default False
        Whether to stop when the score of validation samples no longer improves, and keep the best network. Part of the data is
        held out for this, with its share of the events, unless `fit` gets other samples, or their rows.
    validation_fraction : float, default 0.1
        Fraction of the data that `early_stopping` holds out, or of the groups if `fit` gets any.
    scoring : str, callable or None, default None
        Score of validation samples; the higher, the better. None is the concordance index, as `score` gives it, and "loss" is
        minus the validation loss. A function is called as ``scorer(estimator, X, y)``.
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
        Precision of the parameters and the computation. The loss is computed in double precision in both cases.
    n_jobs : int or None, default None
        Number of threads; None uses all that are available. The result has the same bits for any number.
    random_state : int, RandomState or None, default None
        Seed of the initial weights, the order of the samples and the choice of held-out samples.
    warm_start : bool, default False
        Whether `fit` continues from the weights of the last fit.
    verbose : int, default 0
        Amount of output. 0 prints nothing. 1 prints the settings and shows a progress bar on a terminal (if rich is installed),
        or at most 20 lines elsewhere. 2 prints a line per epoch.

    Attributes
    ----------
    unique_times_ : ndarray of shape (K,)
        All distinct times of the training samples in rising order, at which the functions below may change.
    cumulative_baseline_hazard_ : StepFunction
        Cumulative hazard of a sample with risk score 0, after Breslow, as a function of time. It is estimated from the risk
        scores of the training samples, with their weights, after the training.
    baseline_survival_ : StepFunction
        Probability that such a sample has had no event up to a time.
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
        Biases of all layers, read-only. That of the output is arbitrary: a constant in all risk scores changes no prediction.
    contributions_ : ndarray of shape (N, h)
        Contribution of each training sample to the weights of each of the h front units, read-only; only in form
        "contributions".
    loss_curve_ : list of float
        Training loss of each epoch.
    validation_scores_ : list of float or None
        Score of the validation samples after each epoch; None without such samples.
    validation_loss_curve_ : list of float or None
        Loss of the validation samples, compared with each other, after each epoch; None without such samples.
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
        How texts became the features that the network takes, if the model file says so, or you set it after `fit`.

    Notes
    -----
    There is no `partial_fit`, and `fit` takes no streams: an event is compared with all samples at risk, which have to be in
    memory. Sources of features (`fcfast.sources`) are read by blocks of features as in the other estimators.

    What `FrontClassifier` says of references to X in form "contributions", and of Ctrl-C, is true of this estimator as well.

    Examples
    --------
    >>> import numpy as np
    >>> from fcfast import FrontSurvival
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(90, 2000))
    >>> time = rng.exponential(np.exp(-X[:, :400].sum(axis=1) / 10))
    >>> censored = rng.exponential(2.0, size=90)
    >>> y = np.array(list(zip(time < censored, np.minimum(time, censored))), dtype=[("event", bool), ("time", float)])
    >>> model = FrontSurvival(random_state=0).fit(X[:60], y[:60])
    >>> model.score(X[60:], y[60:]) > 0.6
    True
    >>> model.predict_survival_function(X[60:], return_array=True).shape == (30, len(model.unique_times_))
    True
    """

    _header = SurvivalHeader
    _constants = automatic.HAZARDS
    _score_name = "concordance"
    _baseline: Baseline | None = None  # None until the training has ended
    _n_events: int

    @property
    def _loss(self) -> Cox:
        return Cox()

    # ------------------------------------------------------------------------------------------------------------------
    # training

    def _begin(self, coefs_init: Sequence[ArrayLike] | None) -> FrontNetwork | None:
        before = super()._begin(coefs_init)
        self._baseline = None
        return before

    def _check_parameters(self) -> None:
        super()._check_parameters()
        if not validation.is_auto(self.batch_size) and self.batch_size == 1:
            raise ValueError(
                "batch_size=1 compares each sample with itself alone; use 'auto', which takes all, or more samples"
            )

    def fit(
        self,
        X: Any,
        y: Any = None,
        sample_weight: ArrayLike | None = None,
        coefs_init: Sequence[ArrayLike] | None = None,
        intercepts_init: Sequence[ArrayLike] | None = None,
        callbacks: Sequence[Callback] = (),
        *,
        X_val: Any = None,
        y_val: Any = None,
        sample_weight_val: ArrayLike | None = None,
        validation_indices: ArrayLike | None = None,
        groups: ArrayLike | None = None,
    ) -> "Self":
        """Train the network, and estimate the baseline hazard.

        Parameters
        ----------
        X : ndarray, DataFrame, sparse matrix, numpy.memmap, dask array or source (`fcfast.sources`) of shape (N, d)
            Training inputs. Form "contributions" keeps a reference to them for `predict` and `coefs_`, so do not change them in
            place. Methods that need them raise a RuntimeError if they were changed.
        y : structured ndarray of shape (N,)
            One field of bool, whether the event was observed, and one of numbers, when it was or until when the sample was
            observed. Names and order of the fields do not matter; `fcfast.survival.survival_targets` says how to make them.
        sample_weight : array-like of shape (N,) or None
            Weights of the samples in the partial likelihood and in the baseline hazard; None weights all samples equally.
        coefs_init : sequence of array-like of shape (n_in, n_out), or None
            Initial weights of all layers; None draws them as `init` says.
        intercepts_init : sequence of array-like of shape (n_out,), or None
            Initial biases of all layers; None takes those that `init` says.
        callbacks : sequence of callable
            Functions that are called after each epoch with a `fcfast.training.Epoch`. Training ends if one of them returns
            True.
        X_val : ndarray, DataFrame, sparse matrix, source or Gram of shape (M, d), or None
            Samples to validate on: they are scored after each epoch (`validation_scores_`), and none of X is held out. With
            `early_stopping` their score decides when training ends and which network is kept; without it training goes on as
            if they were not there. Rows of the same `fcfast.Gram` if X is one.
        y_val : structured ndarray of shape (M,), or None
            Events and times of `X_val`.
        sample_weight_val : array-like of shape (M,), or None
            Weights of `X_val` in the score and in the validation loss.
        validation_indices : array-like of int or of bool, or None
            Rows of X to validate on, by their numbers or as a mask (N,), in place of `X_val`. Training is that on all other
            rows, with these rows as `X_val`.
        groups : array-like of shape (N,), or None
            Groups of rows that `early_stopping` holds out together: `validation_fraction` is then the share of the groups, as
            in scikit-learn's GroupShuffleSplit. (The parameter `groups` of the estimator is about units.)

        Returns
        -------
        self

        Raises
        ------
        ValueError, TypeError
            If the data or parameters are invalid, or no sample with a weight has an event.
        MemoryError
            If the Gram matrix of form "contributions" would exceed `memory_limit`.
        """
        if isinstance(X, Stream):
            raise TypeError(
                "FrontSurvival compares each event with all samples at risk, so that it takes samples in memory or a source "
                "(fcfast.sources), got a stream"
            )
        return super().fit(
            X, y, sample_weight, coefs_init, intercepts_init, callbacks, X_val=X_val, y_val=y_val,
            sample_weight_val=sample_weight_val, validation_indices=validation_indices, groups=groups,
        )  # fmt: skip

    def _validated(self, X: Any, y: Any, reset: bool) -> tuple[Any, Array]:
        with validation.clearer_errors(X, None, self._takes_features), np.errstate(over="ignore", invalid="ignore"):
            X = validate_data(self, X, **self._taken(X), reset=reset)
        return X, self._checked_targets(X, y, reset)

    def _checked_targets(self, X: Any, y: Any, reset: bool) -> Array:
        targets = survival_targets(y)
        check_consistent_length(X, targets)
        if reset and not targets["event"].any():
            raise ValueError(
                f"y has no events, all {len(targets)} samples are censored; there is nothing to learn from (the event of a "
                "sample is True where it was observed)"
            )
        return targets

    def _encode_targets(self, y: Array, warm: bool) -> Array:
        return y

    def _widths(self, X: Any, targets: Array) -> tuple[int, ...]:
        return n_features_of(X), *self._hidden(), 1

    def _batch_choice(self, n_samples: int, n_rows: int, streams: bool) -> Choice:
        return Choice(n_rows, "all samples, with which events are compared")

    def _encode_known_targets(self, y: Array) -> Array:
        return y

    def _sample_weights(self, sample_weight: ArrayLike | None, y: Array, X: Any) -> Array | None:
        weights = super()._sample_weights(sample_weight, y, X)
        trained = y["event"] if weights is None else y["event"][weights > 0]
        if not trained.any():
            raise ValueError(
                f"none of the {len(trained)} samples to train on (with a weight above 0, and not held out) has an event; there "
                "is nothing to learn from"
            )
        return weights

    def _drawn_to_hold_out(self, y: Array, share: float, random_state: np.random.RandomState) -> tuple[Rows, Rows]:
        """Draw rows, events in proportion, so that training rows have an event and held-out rows a comparable pair."""
        n_held_out = round(share * len(y))
        if 0 < n_held_out < len(y):
            rows, held_out = split_at_random(y["event"], n_held_out, random_state, stratify=True)
            if y["event"][rows].any() and comparable_weight(y[held_out]):
                return rows, held_out
        raise ValueError(
            f"early_stopping holds out validation_fraction={share} of {len(y)} samples, {n_held_out}, with "
            f"{int(y['event'].sum())} events in all: too few for an event among the others and a comparable pair here; use "
            "more samples, another fraction, or early_stopping=False"
        )

    def _check_scorable(self, targets: Array, sample_weight: Array | None) -> None:
        counted = targets if sample_weight is None else targets[sample_weight > 0]
        if self.scoring is not None or comparable_weight(counted):
            return
        raise ValueError(
            f"the {len(counted)} validation samples (with a weight above 0) have no comparable pairs: no sample with an event "
            "has another one that was observed for longer; validate on more samples"
        )

    def _score_outputs(self, outputs: Array, targets: Array, sample_weight: Array | None) -> float:
        return concordance_index(targets, outputs[:, 0], sample_weight)

    def _note_samples(self, X: Any, targets: Array, weights: Array | None) -> None:
        self._n_events = int(targets["event"].sum() if weights is None else targets["event"][weights > 0].sum())
        outputs = self._network_outputs(X)[:, 0].astype(np.float64)
        self._baseline = Baseline.estimate(targets["event"], targets["time"], outputs, weights)

    # ------------------------------------------------------------------------------------------------------------------
    # predictions

    @takes_streams
    def predict(self, X: Any) -> Floats:
        """Give the risk score (M,) of each sample, the logarithm of its hazard up to a constant: higher is riskier."""
        return self._outputs_of(X)[:, 0].astype(np.float64)

    def score(self, X: Any, y: Any = None, sample_weight: ArrayLike | None = None) -> float:
        """Give Harrell's concordance index of the risk scores (`fcfast.survival.concordance_index`).

        The blocks of a stream hold `y` and `sample_weight`, which are left out then.
        """
        if isinstance(X, Stream):
            predicted, y, sample_weight = predictions_of(self, X, y, sample_weight)
        else:
            predicted = self.predict(X)
        return concordance_index(y, predicted, sample_weight)

    def predict_cumulative_hazard_function(self, X: Any, return_array: bool = False) -> Array:
        """Give the cumulative hazard of each sample as a function of time, the baseline's times exp(risk score).

        Parameters
        ----------
        X : ndarray or sparse matrix of shape (M, d)
            Samples.
        return_array : bool, default False
            Whether to give the values at `unique_times_` in place of functions.

        Returns
        -------
        ndarray of shape (M,), or of shape (M, K) for `return_array`
            `fcfast.survival.StepFunction` objects, or numbers.
        """
        validation.boolean(return_array, "return_array")
        risk = self.predict(X)
        return self._hazard.cumulative_hazards(risk) if return_array else self._hazard.hazard_functions(risk)

    def predict_survival_function(self, X: Any, return_array: bool = False) -> Array:
        """Give the probability that a sample has had no event, as a function of time: exp(-cumulative hazard).

        Parameters
        ----------
        X : ndarray or sparse matrix of shape (M, d)
            Samples.
        return_array : bool, default False
            Whether to give the values at `unique_times_` in place of functions.

        Returns
        -------
        ndarray of shape (M,), or of shape (M, K) for `return_array`
            `fcfast.survival.StepFunction` objects, or numbers.
        """
        validation.boolean(return_array, "return_array")
        risk = self.predict(X)
        return self._hazard.survival(risk) if return_array else self._hazard.survival_functions(risk)

    @property
    def _hazard(self) -> Baseline:
        """The baseline of the fitted network; a scorer that is called during training has none."""
        if self._baseline is None:
            raise ValueError(
                "the baseline hazard is estimated when training ends, so that scoring= cannot ask for hazards or survival "
                "functions; score the risk scores that predict gives, or the fitted estimator"
            )
        return self._baseline

    @property
    def unique_times_(self) -> Floats:
        """All distinct times of the training samples in rising order, read-only."""
        check_is_fitted(self, "network_")
        times = self._hazard.times.view()
        times.flags.writeable = False
        return times

    @property
    def cumulative_baseline_hazard_(self) -> StepFunction:
        """Breslow's cumulative hazard of a sample with risk score 0."""
        check_is_fitted(self, "network_")
        return self._hazard.hazard_functions(np.zeros(1))[0]

    @property
    def baseline_survival_(self) -> StepFunction:
        """Probability that a sample with risk score 0 has had no event."""
        check_is_fitted(self, "network_")
        return self._hazard.survival_functions(np.zeros(1))[0]

    # ------------------------------------------------------------------------------------------------------------------
    # model files, cards, ONNX

    def _card_targets(self) -> dict[str, Any]:
        return {"events": self._n_events, "distinct times": len(self.unique_times_)}

    def _add_results(self, graph: "Graph", outputs: str) -> None:
        graph.output("variable", outputs, graph.element_type, 1)

    def _header_entries(self) -> dict[str, Any]:
        return super()._header_entries() | baseline_entries(self._hazard)

    def _to_file(self, weights: bool, inputs: bool) -> tuple[FrontHeader, Tensors]:
        header, tensors = super()._to_file(weights, inputs)
        return header, tensors | baseline_tensors(self._hazard)

    @classmethod
    def _from_file(cls, header: FrontHeader, tensors: Tensors, X: Any) -> "Self":
        estimator = super()._from_file(header, tensors, X)
        estimator._baseline = baseline_in(tensors)
        return estimator

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        return tags
