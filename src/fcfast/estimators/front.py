"""Base class of the estimators with a front layer: their parameters, and the training of such a network."""

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_random_state

from fcfast import validation
from fcfast.estimators import automatic
from fcfast.estimators.attributed import AttributedFront
from fcfast.estimators.automatic import GIVEN, Choice, Settings
from fcfast.estimators.base import all_or_nothing
from fcfast.estimators.chosen import AutomaticEstimator
from fcfast.estimators.described import described, samples_entries, with_earlier
from fcfast.estimators.following import FollowingFront
from fcfast.estimators.samples import Length, SquaredLength, constant_columns, copied
from fcfast.estimators.starts import GIVEN_START, STARTS
from fcfast.estimators.streamed import fit_stream
from fcfast.estimators.targets import names_of, warn_of_empty
from fcfast.estimators.validated import Asked, parted, parted_entries, samples_to_validate, watched
from fcfast.front import FORMS, FrontForm
from fcfast.gram.held import kernel_of, products_of
from fcfast.gram.object import Gram, n_features_of
from fcfast.gram.occurring import is_stored_sparse
from fcfast.kernels.given import PRECOMPUTED
from fcfast.optimizers import SCHEDULES, Constant, Optimizer, Schedule
from fcfast.planning.plan import DEFAULT_MEMORY_LIMIT, Plan, plan_for
from fcfast.planning.problem import Problem, of_inputs
from fcfast.rules import Rule, make_rule
from fcfast.sources import source_in
from fcfast.sources.elsewhere import elsewhere
from fcfast.sources.lengths import Lengths
from fcfast.sources.protocol import Source
from fcfast.sources.running import RUNNING
from fcfast.sources.standardized import SCALE
from fcfast.sources.surveyed import Surveyed
from fcfast.streams import Stream
from fcfast.threads import resolve_n_jobs
from fcfast.training import Callback
from fcfast.training.compiled import is_compiled
from fcfast.training.network import FrontNetwork

if TYPE_CHECKING:
    from typing import Self  # Python 3.11

Array = NDArray[Any]


class FrontEstimator(AttributedFront, FollowingFront, AutomaticEstimator):
    """Base class of the estimators with a front layer, which add their targets and the meaning of their outputs."""

    _inits = ("auto", *STARTS)
    _automatic: ClassVar[tuple[str, ...]] = (
        "standardize", "hidden_layer_sizes", "optimizer", "init", "batch_size", "max_epochs", "n_iter_no_change", "schedule",
        "learning_rate", "weight_decay",
    )  # fmt: skip
    settings_: Settings

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
    ) -> None:
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.rule = rule
        self.groups = groups
        self.init = init
        self.init_scale = init_scale
        self.kernel = kernel
        self.gamma = gamma
        self.degree = degree
        self.coef0 = coef0
        self.standardize = standardize
        self.missing = missing
        self.optimizer = optimizer
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
        self.scoring = scoring
        self.shuffle = shuffle
        self.form = form
        self.window = window
        self.memory_limit = memory_limit
        self.dtype = dtype
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.warm_start = warm_start
        self.verbose = verbose

    def _encode_more_targets(self, y: Array, classes: ArrayLike | None) -> Array:
        raise NotImplementedError

    def _checked(self, X: Any, y: ArrayLike | None, reset: bool) -> tuple[Any, Array]:
        if reset:
            self.target_names_ = names_of(y)
        return super()._checked(X, y, reset)

    def _held_loss(self) -> dict[str, tuple[Any, Any]]:
        """Give the parameters that determine the loss, as they are and as the network has them."""
        raise NotImplementedError

    def _chance(self, targets: Array, weights: Array | None) -> float:
        """Give the loss of the best predictions that ignore the inputs; 0 if there is nothing to compare with."""
        return 0.0

    @all_or_nothing
    def fit(
        self,
        X: Any,
        y: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
        coefs_init: Sequence[ArrayLike] | None = None,
        intercepts_init: Sequence[ArrayLike] | None = None,
        callbacks: Sequence[Callback] = (),
        *,
        X_val: Any = None,
        y_val: ArrayLike | None = None,
        sample_weight_val: ArrayLike | None = None,
        validation_indices: ArrayLike | None = None,
        groups: ArrayLike | None = None,
    ) -> "Self":
        """Train the network.

        Parameters
        ----------
        X : ndarray, DataFrame, sparse matrix, numpy.memmap, dask array or source (`fcfast.sources`) of shape (N, d)
            Training inputs. Form "contributions" keeps a reference to them for `predict` and `coefs_`, so do not change them in
            place. Methods that need them raise a RuntimeError if they were changed. A dask array is read and multiplied where
            dask computes (`fcfast.dask`). A stream (`fcfast.streams`) is read once before training, and once in every epoch.
        y : array-like of shape (N,) or (N, L)
            Class labels or targets. A classifier takes L >= 2 columns of 0 and 1 for labels that a sample has or has not. In
            two columns or more targets may be missing (NaN). They are left out for a stream, whose blocks hold them, and their
            weights.
        sample_weight : array-like of shape (N,) or None
            Weights of the samples in the mean over a batch; None weights all samples equally.
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
            if they were not there. Form "contributions" multiplies them with the training samples once. Rows of the same
            `fcfast.Gram` if X is one.
        y_val : array-like of shape (M,) or (M, c), or None
            Targets of `X_val`. Class labels must occur in `y`.
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
            If the data or parameters are invalid, or contradict each other.
        MemoryError
            If the Gram matrix of form "contributions" would exceed `memory_limit`.
        """
        callbacks = validation.functions(callbacks, "callbacks")
        asked = Asked(X_val, y_val, sample_weight_val, validation_indices, groups)
        if isinstance(X, Stream):
            return fit_stream(self, X, y, sample_weight, coefs_init, intercepts_init, callbacks, asked)
        before = self._begin(coefs_init)
        asked.check(self.early_stopping)
        if before is None:
            self._choose_scaling(X, coefs_init is not None, streams=False)
        given, (X, y) = X, self._checked(X, y, reset=True)
        samples = samples_entries(X)
        weights = self._given_weights(sample_weight, X)
        random_state = check_random_state(self.random_state)
        X = self._kernelized(X) if self._is_pairwise else X
        parts = parted(self, asked, X, y, weights, random_state)
        if before is None:
            self._measure(parts.X, parts.y, parts.weights, True)
        prepared, scaled = self._scaled(parts.X, y, parts.weights)
        targets = self._encode_targets(scaled, before is not None)
        others = samples_to_validate(self, asked, given, X, y, weights, targets, parts)
        X = prepared if self._is_pairwise else self._kernelized(prepared)
        targets, weights = targets[parts.rows], self._sample_weights(parts.weights, parts.y, X)
        warn_of_empty(targets, self._loss.per_target)
        if before is not None:
            self._refuse_kernel(X)
            self._refuse_other_widths(before, X, targets)
            coefs_init, intercepts_init = self._continued(), self._intercepts() if intercepts_init is None else intercepts_init
        length = SquaredLength(X, weights)
        curvature = self._loss.curvature(targets, weights)
        self._choose_settings(X, length, before, coefs_init is not None, curvature)
        max_epochs = self._setting("max_epochs")
        self._start(X, length, targets, weights, self.form, max_epochs, coefs_init, intercepts_init, random_state)
        self._remember_scaling(X)
        if before is not None and before.rule == self.network_.rule:
            self.network_.rule_state.go_on_from(before.rule_state)
        history = self._train(
            np.arange(X.shape[0]), targets, weights, self._schedule, max_epochs, self.tol, watched(self, others), callbacks,
            self._chance(targets, weights), self._loss.lowest(int(self.network_.widths[-1])), X,
        )  # fmt: skip
        self._note(history)
        self._note_samples(X, targets, weights)
        self.card_ = described(self, samples | parted_entries(parts, others))
        return self

    def _note_samples(self, X: Any, targets: Array, weights: Array | None) -> None:
        """Set what else a subclass tells of its training samples, after the training."""

    def _begin(self, coefs_init: Sequence[ArrayLike] | None) -> FrontNetwork | None:
        """Check the parameters before a fit, and give the network that it continues, if any."""
        before = getattr(self, "network_", None) if self.warm_start and coefs_init is None else None
        if before is None:
            self.settings_ = Settings()
        self._check_parameters()
        if coefs_init is not None and not validation.is_auto(self.init) and STARTS[self.init].size is not None:
            raise ValueError(f"coefs_init gives initial weights, but init={self.init!r} draws them; use init='auto'")
        self._begun_as = self._asked_start
        if before is None:
            self._scaling, self._scaled_as, self._followed, self._lengths = None, self._asked_scaling, {}, None
            self.text_ = self.target_names_ = None
        else:
            self._refuse_other_scaling("warm_start")
        return before

    @staticmethod
    def _refuse_kernel(X: Any) -> None:
        if isinstance(X, Gram) and not X.has_weights:
            raise ValueError(
                f"warm_start=True continues from weights, but the {X.kernel_name} kernel has none; use partial_fit"
            )

    def _refuse_other_widths(self, before: FrontNetwork, X: Any, targets: Array) -> None:
        held, wanted = (before.front.n_features, *map(int, before.widths)), self._widths(X, targets)
        if wanted != held:
            raise ValueError(
                f"warm_start continues with layers of {held} units, features first, but X, hidden_layer_sizes and y need "
                f"{wanted}; use warm_start=False"
            )

    @all_or_nothing
    def _partial_fit(self, X: Any, y: ArrayLike | None, sample_weight: ArrayLike | None, classes: ArrayLike | None) -> "Self":
        """Train one epoch on new samples."""
        first = not hasattr(self, "network_")
        if first:
            self.settings_ = Settings()
        self._check_parameters()
        if self.early_stopping or not (validation.is_auto(self.schedule) or self._schedule == SCHEDULES["constant"]):
            raise ValueError(
                "partial_fit does not know the whole training; use early_stopping=False and schedule='constant', got "
                f"early_stopping={self.early_stopping!r} and schedule={self.schedule!r}"
            )
        if first:
            self._scaled_as, self._begun_as = self._asked_scaling, self._asked_start
            self._choose_scaling(X, False, streams=True)
        else:
            self._refuse_changes()
            self._refuse_other_scaling("partial_fit")
            self._note_given()
        X, y = self._checked(X, y, reset=first)
        samples = with_earlier(samples_entries(X), None if first else self.card_)
        followed = self._followed
        given = self._given_weights(sample_weight, X)
        self._measure(X, y, given, first)
        X, y = self._scaled(X, y, given)
        targets = self._encode_more_targets(y, classes)
        weights = self._sample_weights(sample_weight, y, X)
        factor = 1.0 if first else self._follow_lengths(X, SquaredLength(X, weights))
        if self._random_state is None:
            coefs, intercepts = (None, None) if first else (self._continued(), self._intercepts())
            X = self._kernelized(X)
            length = SquaredLength(X, weights)
            if first:
                self._choose_settings(X, length, None, False, self._loss.curvature(targets, weights), streams=True)
                self._begin_lengths(length)
            form = self._streaming_form(X)
            keeps = form == "auto" or FORMS[form].keeps_inputs
            if keeps and not isinstance(X, Gram):  # a stream may reuse the array for the next samples
                X = copied(X)
            self._start(X, length, targets, weights, form, 1, coefs, intercepts, check_random_state(self.random_state))
            self._remember_scaling(X)
            if first:
                self.loss_curve_, self.validation_scores_, self.validation_loss_curve_ = [], None, None
            rows = np.arange(X.shape[0])
        else:
            self.network_.front.check_room(X, self.memory_limit)
            X = copied(X) if isinstance(X, Source) and self.network_.front.keeps_inputs else X
            rows = self.network_.append(X)  # if a later line fails, these samples contribute nothing
            self.network_.batch_size, self.network_.window = self._batch_and_window(len(rows), type(self.network_.front))
            self._set_groups()
        earlier = rows[0]  # number of samples from earlier calls, whose targets are not used
        targets = np.concatenate([np.zeros((earlier, *targets.shape[1:]), targets.dtype), targets])
        weights = None if weights is None else np.concatenate([np.zeros(earlier), weights])
        with self._in_new_units(followed, factor):
            history = self._train(rows, targets, weights, Constant(self._portion_share), 1, 0, None, ())
        self.loss_curve_, self.outcome_ = self.loss_curve_ + history.losses, history.outcome
        self.n_epochs_ = self.n_iter_ = len(self.loss_curve_)
        self.card_ = described(self, samples)
        return self

    @property
    def _portion_share(self) -> float:
        """Share of the chosen rates that suits batches of the size that the network has now, and much longer samples."""
        if not (validation.is_auto(self.learning_rate) and self._optimizer().step_shrinks):
            return 1.0
        chosen_for = int(self._setting("batch_size"))
        share = min(1.0, automatic.calmness(self.network_.batch_size) / automatic.calmness(chosen_for))
        return share if self._lengths is None else share * self._lengths.share

    def _note_given(self) -> None:
        """Note the parameters that were set since the last fit."""
        for name in self.settings_:
            if not validation.is_auto(value := getattr(self, name)):
                self.settings_ = self.settings_.with_choice(name, Choice(value, GIVEN))

    def _check_parameters(self) -> None:
        super()._check_parameters()
        validation.boolean(self.warm_start, "warm_start")
        optimizer = self._optimizer()
        if max(self._groups()) > 1 and optimizer.mixes_units:
            raise ValueError(
                f"optimizer={optimizer.name!r} mixes all units of a layer, which groups={self.groups} forbids; use another "
                "optimizer"
            )
        make_rule(self.rule)
        kernel_of(self.kernel, self.gamma, self.degree, self.coef0)

    @property
    def _is_pairwise(self) -> bool:
        """Whether X holds the products of samples with the training samples."""
        return isinstance(self.kernel, str) and self.kernel == PRECOMPUTED

    @property
    def _takes_features(self) -> bool:
        return kernel_of(self.kernel, self.gamma, self.degree, self.coef0).takes_features

    def _takes_sparse(self) -> bool:
        return super()._takes_sparse() and not self._is_pairwise

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.pairwise = self._is_pairwise
        return tags

    def _refuse_changes(self) -> None:
        """Refuse parameters that differ from those of the network that partial_fit continues to train."""
        network = self.network_
        held: dict[str, tuple[Any, Any]] = {
            "hidden_layer_sizes": (self._hidden(), tuple(map(int, network.widths[:-1]))),
            "activation": (self.activation, network.activation),
            "dtype": (self.dtype, network.params.dtype.name),
        }
        if self._random_state is not None:  # otherwise the optimiser and the form are made again
            held["optimizer"] = self._optimizer(), network.optimizer
            held["rule"] = make_rule(self.rule), network.rule
            held["groups"] = self._groups(), network.groups
            held |= self._held_loss()
            held["form"] = self.form_ if self.form == "auto" else self.form, self.form_
        held |= {name: (asked, (self._begun_as or {}).get(name, asked)) for name, asked in self._asked_start.items()}
        for name, (asked, had) in held.items():
            if asked is not had and asked != had:
                raise ValueError(f"partial_fit continues with {name}={had!r}, but it is {asked!r} now; set it back, or use fit")

    def _hidden(self) -> tuple[int, ...]:
        sizes: Any = self.hidden_layer_sizes
        if validation.is_auto(sizes):
            sizes = self.settings_.get("hidden_layer_sizes", automatic.WIDE_UNITS)
        if isinstance(sizes, str):
            raise TypeError(
                f"hidden_layer_sizes must be integers, got the string {sizes!r}; write (256,), (256, 128) or 'auto'"
            )
        widths = tuple(sizes) if validation.has_items(sizes) else (sizes,)
        if not widths:
            raise ValueError("hidden_layer_sizes is empty; give at least one hidden layer, the front layer")
        return tuple(validation.size(width, "hidden_layer_sizes") for width in widths)

    def _groups(self) -> tuple[int, ...]:
        """Give the number of groups of each hidden layer; the front layer has 1."""
        hidden = self._hidden()
        asked: Any = self.groups
        if isinstance(asked, str):
            raise TypeError(
                f"groups must be a number of groups of units, or a sequence of one for each hidden layer, got {asked!r}; "
                "1 connects all units"
            )
        if not validation.has_items(asked):
            validation.integer(asked, "groups", 1)
        given = tuple(asked) if validation.has_items(asked) else (1, *[asked] * (len(hidden) - 1))
        groups = tuple(validation.integer(count, "groups", 1) for count in given)
        if len(groups) != len(hidden) or groups[0] != 1:
            raise ValueError(f"groups={self.groups!r} must have one number per hidden layer, {len(hidden)}, the first one 1")
        for n_in, n_out, count in zip(hidden, hidden[1:], groups[1:], strict=False):
            if n_in % count or n_out % count:
                raise ValueError(f"groups={self.groups!r}: {count} does not divide hidden layers of {n_in} and {n_out} units")
        return groups

    @property
    def _n_layers(self) -> int:
        return len(self._hidden()) + 1

    def _set_groups(self) -> None:
        """Give each layer its learning rate and weight decay if they differ between layers."""
        rates, decays = self._groups_by_layer()
        self.network_.upper.set_groups(1.0 if rates is None else rates, decays)

    # ------------------------------------------------------------------------------------------------------------------
    # what "auto" stands for

    def _choose_scaling(self, X: Any, has_coefs: bool, streams: bool) -> None:
        """Choose whether samples are scaled, before they are read."""
        follows = streams and self._can_follow(X)
        if streams and not follows and self.standardize == RUNNING:
            raise ValueError(
                f"standardize={RUNNING!r} changes the weights of each feature in partial_fit; it needs a dense X, no kernel, "
                f"and form='windowed' or 'weights' (or 'auto'), got form={self.form!r}; use standardize='capped'"
            )
        self._choose(
            "standardize",
            lambda: automatic.standardize(
                X, has_coefs=has_coefs, compares_samples=self._compares_samples, streams=streams, follows=follows
            ),
        )

    def _can_follow(self, X: Any) -> bool:
        """Whether the form that a stream of these samples gets holds the weights of each feature."""
        kernel = kernel_of(self.kernel, self.gamma, self.degree, self.coef0)
        if isinstance(X, Gram) or not kernel.has_weights or automatic.is_sparse(X) or self.init == "span":
            return False
        form = self._streaming_form(X)
        return form in FORMS and FORMS[form].changes_units

    def _choose_settings(
        self,
        X: Any,
        length: Length,
        before: FrontNetwork | None,
        has_coefs: bool,
        curvature: float,
        streams: bool = False,
    ) -> None:
        """Choose everything that depends on the training samples; a network from before keeps its units.

        Samples of weight 0 do not count, except that a batch may hold them, too.
        """
        n_rows, n_samples = X.shape[0], length.n_counted
        widths = None if before is None else tuple(map(int, before.widths[:-1]))
        is_features = not (streams or isinstance(X, Gram))
        text = is_features and automatic.is_text(automatic.is_sparse(X), n_samples, n_features_of(X))
        self._choose("hidden_layer_sizes", lambda: automatic.hidden_layer_sizes(n_samples, streams, widths, text))
        self._choose("optimizer", lambda: automatic.optimizer(text, self._loss, self._leaves_optimizer_free))
        optimizer = self._optimizer()
        self._choose("init", lambda: automatic.init(X, n_samples, has_coefs, streams or isinstance(X, Surveyed)))
        rests = bool(optimizer.rests) and automatic.is_sparse(X)
        self._choose_course(n_samples, n_rows, streams, rests)
        # later portions of a stream may be larger than the first one
        batch = int(self._setting("batch_size")) if streams else self._batch_size(n_rows)
        hidden, rule = self._hidden(), make_rule(self.rule)
        self._curvature = curvature
        step = automatic.step(batch, batch >= n_rows and not streams, len(hidden), rule, self._constants) / curvature
        self._choose_rates(X, length, n_samples, partial(self._layer_rates, X, step), step, streams)
        if self.verbose:
            print(self.settings_)

    def _layer_rates(self, X: Any, step: float, n_in: float, measured: str) -> Choice:
        """Choose the rate of each layer, where the front layer has so many inputs."""
        hidden, optimizer = self._hidden(), self._optimizer()
        shapes = list(zip((n_in, *hidden), (*hidden, 1), strict=True))
        rests = bool(optimizer.rests) and automatic.is_sparse(X)
        share = automatic.share_of_classes(len(self.classes_)) if rests and self._loss.has_classes else 1.0
        measured += f", over the mean of y, {self._curvature:.3g}" if self._curvature > 1 else ""
        return automatic.learning_rate(shapes, optimizer, step, measured, share)

    def _choose_stream_rates(self, X: Any, lengths: Lengths) -> None:
        batch, is_tall = int(self._setting("batch_size")), automatic.has_more_samples(X, lengths.n_samples)
        step = automatic.step(batch, False, len(self._hidden()), make_rule(self.rule), self._constants) / self._curvature
        n_in = automatic.front_inputs(X, lengths.chosen, is_tall, self._constants)
        self._choose("learning_rate", lambda: self._layer_rates(X, step, n_in, lengths.text))

    @property
    def _leaves_optimizer_free(self) -> bool:
        """Whether no parameter speaks of SGD, or of what other optimisers cannot do on sparse samples."""
        of_sgd = self.nesterov or self.dampening or self.max_grad_norm is not None or not validation.is_auto(self.learning_rate)
        kernel = kernel_of(self.kernel, self.gamma, self.degree, self.coef0)
        return bool(
            not of_sgd
            and validation.is_auto(self.weight_decay)
            and kernel.has_weights
            and self._setting("standardize") in (False, SCALE)
            and make_rule(self.rule).is_baseline
            and (self.form == "auto" or FORMS[self.form].updates_each_weight)
        )

    @property
    def _compares_samples(self) -> bool:
        """Whether the kernel takes products or samples of any kind in place of features."""
        return not kernel_of(self.kernel, self.gamma, self.degree, self.coef0).takes_features

    def _start(
        self,
        X: Any,
        length: Length,
        targets: Array,
        sample_weight: Array | None,
        form: str,
        n_epochs: int,
        coefs_init: Sequence[ArrayLike] | None,
        intercepts_init: Sequence[ArrayLike] | None,
        random_state: np.random.RandomState,
    ) -> None:
        """Make the network: initial weights, the form of the front layer, batch and window."""
        n_samples, widths = X.shape[0], self._widths(X, targets)
        optimizer, dtype, groups = self._optimizer(), np.dtype(self.dtype), self._groups()
        start = STARTS[self._setting("init")] if coefs_init is None else GIVEN_START
        if not start.in_span:
            self._refuse_weights(X, f"init={self._setting('init')!r}" if coefs_init is None else "coefs_init")
        # This comes first, because it refuses layers that do not fit into memory.
        self.plan_ = self._plan(form, X, widths, n_epochs, optimizer, start.in_span)
        seed = int(random_state.randint(2**31 - 1))
        self.form_ = self.plan_.form
        initial, weights = self._initial_weights(length, widths, groups, coefs_init, start, seed, random_state)
        if start.size is not None and targets.ndim == 2:
            weights[-1][constant_columns(targets, sample_weight)] = 0  # such an output is its bias from the start on
        biases = self._initial_biases(X, targets, sample_weight, widths, intercepts_init, start, random_state)
        form_kind = FORMS[self.form_].variant(is_stored_sparse(X))
        make = form_kind.of_stream if isinstance(X, Surveyed) else form_kind
        front = make(X, self._start_of(form_kind, initial, X), dtype, optimizer.has_velocity, self.n_jobs)
        front.check(0 if isinstance(X, Surveyed) else n_samples, dtype)
        self.network_ = FrontNetwork(
            front, biases, weights, self.activation, self._loss, optimizer, *self._batch_and_window(n_samples, form_kind),
            resolve_n_jobs(self.n_jobs), make_rule(self.rule), groups, seed,
        )  # fmt: skip
        self._set_groups()
        self._random_state = random_state

    def _kernelized(self, X: Any) -> Any:
        """Give the Gram matrix of validated samples if the kernel leaves the front layer without weights, else X itself."""
        kernel = kernel_of(self.kernel, self.gamma, self.degree, self.coef0)
        if kernel.has_weights:
            return X
        if not kernel.takes_features and (self._setting("standardize") or self.missing != "error"):
            raise ValueError(
                f"standardize={self.standardize} and missing={self.missing!r} prepare features, but kernel={self.kernel!r} "
                "compares samples; prepare them before"
            )
        if isinstance(X, Gram):
            raise ValueError(f"X is a Gram matrix, which has a kernel of its own; leave out kernel={self.kernel!r}")
        return Gram.view(products_of(X, kernel, np.dtype(self.dtype), self.n_jobs, None, None))

    def _widths(self, X: Any, targets: Array) -> tuple[int, ...]:
        """Give the numbers of features, of units in each hidden layer, and of outputs."""
        n_outputs = targets.shape[1] if targets.ndim == 2 else len(self.classes_)
        return n_features_of(X), *self._hidden(), n_outputs

    def _plan(self, form: str, X: Any, widths: Sequence[int], n_epochs: int, optimizer: Optimizer, in_span: bool) -> Plan:
        rule = make_rule(self.rule)
        problem = Problem(
            **of_inputs(X, self.dtype), hidden=tuple(widths[1:-1]), n_outputs=widths[-1],
            batch_size=self._batch_size(X.shape[0]), n_epochs=n_epochs, dtype=self.dtype, optimizer=optimizer, rule=rule,
            compiled=is_compiled(rule, optimizer, self._groups(), self._loss), in_span=in_span,
        )  # fmt: skip
        why = "as asked"
        if form != self.form:  # the number of samples is not known to all who choose a form
            why = f"because samples {'are read in blocks' if isinstance(X, Surveyed) else 'come in portions'}"
        return plan_for(problem, form, self.window, self.memory_limit, why_asked=why)

    def _streaming_form(self, X: Any) -> str:
        """Give the form for samples whose number is not known yet; a form that does not keep them is preferred."""
        if self.form != "auto":
            return self.form
        init = self._setting("init")
        if isinstance(X, Gram) or (not validation.is_auto(init) and STARTS[init].in_span):
            return "auto"  # the plan leaves no other form than one that keeps the samples
        optimizer, rule = self._optimizer(), make_rule(self.rule)
        any_form = optimizer.commutes and rule.stays_in_span
        far = elsewhere(source_in(X)) is not None
        possible = [
            (kind.keeps_inputs, kind.updates_each_weight, name)
            for name, kind in ((name, kind.variant(is_stored_sparse(X))) for name, kind in FORMS.items())
            if kind.is_automatic
            and not (far and kind.needs_features)
            and (any_form or kind.updates_each_weight)
            and (kind.takes_sparse or not is_stored_sparse(X))
            and (not kind.leaves_alone or (optimizer.is_lazy and rule.stays_in_span))
        ]
        # The first of equals: the library's own forms come before those that users register.
        return min(possible, default=(False, True, "auto"), key=lambda form: form[:2])[-1]

    def _batch_and_window(self, n_samples: int, form: type[FrontForm]) -> tuple[int, int]:
        """Give the batch size and the number of rows in a window for so many samples in a form."""
        batch_size = self._batch_size(n_samples)
        has_velocity = self._optimizer().has_velocity
        return batch_size, form.choose_window(self.window, batch_size, n_samples, has_velocity)
