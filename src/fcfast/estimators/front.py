"""Base class of the estimators with a front layer: the training of such a network."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_random_state

from fcfast import validation
from fcfast.estimators import automatic
from fcfast.estimators.attributed import AttributedFront
from fcfast.estimators.automatic import GIVEN, Choice, Settings
from fcfast.estimators.base import all_or_nothing
from fcfast.estimators.described import described, samples_entries, with_earlier
from fcfast.estimators.following import FollowingFront
from fcfast.estimators.front_choices import ChosenFront
from fcfast.estimators.samples import Length, SquaredLength, constant_columns, copied
from fcfast.estimators.starts import GIVEN_START, STARTS
from fcfast.estimators.streamed import fit_stream
from fcfast.estimators.targets import names_of, noise_of, refuse_other_names, warn_of_empty, weights_of_columns
from fcfast.estimators.validated import Asked, parted, parted_entries, samples_to_validate, watched
from fcfast.front import FORMS
from fcfast.gram.held import kernel_of, products_of
from fcfast.gram.object import Gram, n_features_of
from fcfast.gram.occurring import is_stored_sparse
from fcfast.optimizers import SCHEDULES, Constant
from fcfast.rules import make_rule
from fcfast.sources.protocol import Source
from fcfast.sources.surveyed import Surveyed
from fcfast.streams import Stream
from fcfast.threads import resolve_n_jobs
from fcfast.training import Callback
from fcfast.training.network import FrontNetwork

if TYPE_CHECKING:
    from typing import Self  # Python 3.11

Array = NDArray[Any]


class FrontEstimator(ChosenFront, AttributedFront, FollowingFront):
    """Base class of the estimators with a front layer, which add their targets and the meaning of their outputs."""

    def _encode_more_targets(self, y: Array, classes: ArrayLike | None) -> Array:
        raise NotImplementedError

    def _checked(self, X: Any, y: ArrayLike | None, reset: bool) -> tuple[Any, Array]:
        checked = super()._checked(X, y, reset)
        self._learn_names(y)
        return checked

    def _learn_names(self, y: Any) -> None:
        """Remember the names of the targets, which are not known yet if earlier ones had none."""
        if self.target_names_ is None:
            self.target_names_ = names_of(y)

    def _opened_targets(self, y: Any, reset: bool) -> tuple[Any, Callable[[Array], Array]]:
        refuse_other_names(y, self.target_names_)
        return super()._opened_targets(y, reset)

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
        warn_of_empty(weights_of_columns(targets, weights), self._loss.per_target)
        if before is not None:
            self._refuse_kernel(X)
            self._refuse_other_widths(before, X, targets)
            coefs_init, intercepts_init = self._continued(), self._intercepts() if intercepts_init is None else intercepts_init
        length = SquaredLength(X, weights)
        curvature, noise = self._checked_curvature(targets, weights), noise_of(self._loss, targets, weights)
        self._choose_settings(X, length, before, coefs_init is not None, curvature, noise)
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

    def _refuse_kernel(self, X: Any) -> None:
        if isinstance(X, Gram) and not X.has_weights:
            instead = "partial_fit" if hasattr(self, "partial_fit") else "warm_start=False"
            raise ValueError(f"warm_start=True continues from weights, but the {X.kernel_name} kernel has none; use {instead}")

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
                self._choose_settings(X, length, None, False, self._checked_curvature(targets, weights), streams=True)
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

    def _set_groups(self) -> None:
        """Give each layer its learning rate and weight decay if they differ between layers."""
        rates, decays = self._groups_by_layer()
        self.network_.upper.set_groups(1.0 if rates is None else rates, decays)

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
