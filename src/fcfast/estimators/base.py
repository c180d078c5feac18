"""Base classes of all estimators, with checked parameters, validated data and the fit loop."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import wraps
from typing import TYPE_CHECKING, Any, ClassVar, Concatenate, ParamSpec, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse
from sklearn.base import BaseEstimator
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.multiclass import check_classification_targets, unique_labels
from sklearn.utils.validation import (
    _check_sample_weight,
    _check_y,
    check_consistent_length,
    check_is_fitted,
    column_or_1d,
    validate_data,
)

from fcfast import validation
from fcfast.activations import ACTIVATIONS
from fcfast.estimators.automatic import Settings, text_of
from fcfast.estimators.described import classes_entries, validation_entries
from fcfast.estimators.samples import Remedies, check_features, gathered, has_one_dtype, products_named
from fcfast.estimators.scoring import Known, scorer_of
from fcfast.estimators.validated import held_out_at_random
from fcfast.front import FORMS, ContributionsForm, FrontForm
from fcfast.gram.object import Gram
from fcfast.gram.occurring import all_occurring, is_sparse, within
from fcfast.gram.samples import any_samples, is_numeric
from fcfast.gram.scattered import ScatteredWeights
from fcfast.gram.start import GivenWeights, NoWeights, SpanStart
from fcfast.losses import Loss, make_loss
from fcfast.modelfile.cards import ModelCard, card_of
from fcfast.modelfile.headers import Header, Tensors, label_dtype
from fcfast.modelfile.text import text_entry, text_in
from fcfast.modelfile.values import encoded
from fcfast.optimizers import OPTIMIZERS, SCHEDULES, Optimizer, Schedule
from fcfast.optimizers.base import DEFAULT_SETTINGS
from fcfast.progress import passes_told
from fcfast.sources import Standardized, as_source, source_in
from fcfast.sources.inputs import tidy
from fcfast.sources.running import RUNNING
from fcfast.sources.scaling import Scaling
from fcfast.sources.standardized import CAPPED, MISSING, SCALE, Statistics
from fcfast.streams import Stream
from fcfast.threads import resolve_n_jobs
from fcfast.training import Callback, Epochs, EpochsInMemory, History, Training, Validate
from fcfast.training.progress import progress

if TYPE_CHECKING:
    from typing import Self  # Python 3.11

    from fcfast.text import TextFeatures

Array = NDArray[Any]
Rows = NDArray[np.intp]
Fitted = TypeVar("Fitted", bound="TrainedEstimator")
Arguments = ParamSpec("Arguments")


def all_or_nothing(fit: Callable[Concatenate[Fitted, Arguments], Fitted]) -> Callable[Concatenate[Fitted, Arguments], Fitted]:
    """Leave an estimator unchanged if the method fails, so that new classes never meet an old network.

    Its random numbers go on as if the method had not been called, so that who calls `partial_fit` again gets the same bits.
    """

    @wraps(fit)
    def fit_or_undo(self: Fitted, /, *args: Arguments.args, **kwargs: Arguments.kwargs) -> Fitted:
        before, numbers = self.__dict__.copy(), self._random_state
        drawn = None if numbers is None or self.random_state is None else numbers.get_state(legacy=False)
        try:
            with passes_told(self.verbose):
                return fit(self, *args, **kwargs)
        except BaseException:
            self.__dict__ = before
            if numbers is not None and drawn is not None:
                numbers.set_state(drawn)
            raise

    return fit_or_undo


def _is_set(value: Any, default: Any) -> bool:
    """Whether a parameter, which may not have been checked yet, differs from its default."""
    return isinstance(value, np.ndarray) or bool(value != default)


class TrainedEstimator(BaseEstimator):
    """An estimator with a network that `fcfast.training.Training` trains. Subclasses define the network and the targets."""

    network_: Any  # fcfast.training.Trainable
    random_state: Any
    form_: str
    classes_: Array
    _optimizer_settings: ClassVar[dict[str, Any]] = DEFAULT_SETTINGS
    _largest_batch = 200  # of batch_size="auto"
    _stops_by_loss = True  # after epochs without improvement of the training loss, where no validation score decides
    _score_name: ClassVar[str] = "r2"  # of `score`
    _has_validation_loss = True  # whether the training loss can be computed for other samples
    _known: Known | None = None  # samples whose outputs are known, in a copy that scorers get
    settings_: Settings
    _inits: ClassVar[tuple[str, ...]] = ("auto", "span", "glorot")
    _automatic: ClassVar[tuple[str, ...]] = ()  # parameters that may be "auto" and are chosen in `fit`
    text_: "TextFeatures | None" = None  # how texts became the features that the network takes
    card_: ModelCard | None = None  # what the network was trained on, how, and with which outcome
    _scaling: Scaling | None = None  # set if the network takes scaled samples or targets, and predicts on raw data
    _scaled_as: tuple[Any, ...] | None = None  # the parameters that said how samples are prepared when training began
    _random_state: np.random.RandomState | None = None  # None: a network that was loaded or folded is only to predict
    _header: ClassVar[type[Header]]  # of model files

    # ------------------------------------------------------------------------------------------------------------------
    # what subclasses say

    @property
    def _loss(self) -> Loss:
        raise NotImplementedError

    def _encode_targets(self, y: Array, warm: bool) -> Array:
        raise NotImplementedError

    def _class_weights(self, y: Array) -> Array | None:
        return None

    def _score_outputs(self, outputs: Array, targets: Array, sample_weight: Array | None) -> float:
        """Give what `score` gives for samples with these outputs and encoded targets."""
        raise NotImplementedError

    def _drawn_to_hold_out(self, y: Array, share: float, random_state: np.random.RandomState) -> tuple[Rows, Rows]:
        """Draw rows for early stopping; give the rows to train on, and these."""
        return held_out_at_random(y, share, random_state, self._loss.has_classes)

    def _encode_known_targets(self, y: Array) -> Array:
        """Give checked raw targets of further samples as the network takes them, once it is known what it predicts."""
        raise NotImplementedError

    def _as_given(self, y: Array) -> Array:
        """Give checked raw targets the shape that the user gave them."""
        return y

    def _card_targets(self) -> dict[str, Any]:
        """Describe the targets for the model card."""
        return {}

    def _card_network(self) -> dict[str, Any]:
        """Describe the network for the model card."""
        return {}

    def _card_scores(self) -> dict[str, Any]:
        """Give the score of validation samples for the model card, that of the network that was kept."""
        scores = self.validation_scores_ or []
        return validation_entries(scores if self.early_stopping else scores[-1:])

    # ------------------------------------------------------------------------------------------------------------------

    def _setting(self, name: str) -> Any:
        """Give the value of a parameter, or what "auto" stands for in this fit."""
        value = getattr(self, name)
        if not (name in self._automatic and validation.is_auto(value)):
            return value
        return getattr(self, "settings_", Settings()).get(name, value)  # parameters may be checked before any fit

    def _check_parameters(self) -> None:
        validation.choice(self.activation, "activation", ACTIVATIONS)
        validation.choice(self.form, "form", ("auto", *FORMS))
        validation.choice(self.dtype, "dtype", ("float32", "float64"))
        validation.choice(self.missing, "missing", MISSING)
        for name in ("early_stopping", "shuffle", "nesterov"):
            validation.boolean(getattr(self, name), name)
        words = (CAPPED, SCALE, RUNNING, "auto") if "standardize" in self._automatic else (CAPPED, SCALE)
        validation.switch(self.standardize, "standardize", words)
        if not isinstance(self.verbose, (bool, np.bool_)):
            validation.integer(self.verbose, "verbose", 0)
        self._check_rates()
        if not (validation.is_auto(self.init_scale) and "init_scale" in self._automatic):
            validation.positive(self.init_scale, "init_scale")
        validation.choice(self.init, "init", self._inits)
        for name in ("max_epochs", "n_iter_no_change"):
            if not (validation.is_auto(getattr(self, name)) and name in self._automatic):
                validation.integer(getattr(self, name), name, 1)
        validation.in_range(self.tol, "tol", 0, np.inf)
        validation.in_range(self.memory_limit, "memory_limit", 0, np.inf)
        for value, name in ((self.batch_size, "batch_size"), (self.window, "window")):
            if not validation.is_auto(value):
                validation.integer(value, name, 1)
        if isinstance(self.schedule, str):
            validation.choice(self.schedule, "schedule", (*SCHEDULES, *(["auto"] if "schedule" in self._automatic else [])))
        elif not callable(getattr(self.schedule, "factors", None)):
            raise TypeError(f"schedule must be one of {list(SCHEDULES)} or an object with factors(), got {self.schedule!r}")
        resolve_n_jobs(self.n_jobs)
        scorer_of(self)
        self._optimizer()

    def _check_rates(self) -> None:
        validation.positive(self.learning_rate, "learning_rate")

    def _settings(self) -> dict[str, Any]:
        """Give the parameters from which a named optimiser is made."""
        return {name: getattr(self, name) for name in self._optimizer_settings}

    def _optimizer(self) -> Optimizer:
        settings = self._settings()
        if isinstance(self.optimizer, str):
            known = (*OPTIMIZERS, *(["auto"] if "optimizer" in self._automatic else []))
            validation.choice(self.optimizer, "optimizer", known)
            return _named_optimizer(self._setting("optimizer")).from_parameters(settings, self._optimizer_settings)
        if not isinstance(self.optimizer, Optimizer):
            raise TypeError(
                f"optimizer must be one of {tuple(OPTIMIZERS)} or a fcfast.optimizers.Optimizer, got {self.optimizer!r}"
            )
        given = [f"{name}={value!r}" for name, value in settings.items() if _is_set(value, self._optimizer_settings[name])]
        if given:
            raise ValueError(f"optimizer={self.optimizer!r} has settings of its own; set {', '.join(given)} there")
        return self.optimizer

    @property
    def _schedule(self) -> Schedule:
        schedule: str | Schedule = self._setting("schedule")
        return SCHEDULES[schedule] if isinstance(schedule, str) else schedule

    @staticmethod
    def _refuse_weights(X: Any, given: str) -> None:
        """Raise a ValueError if initial weights were asked for and samples leave none."""
        if isinstance(X, Gram) and not X.has_weights:
            raise ValueError(f"{given} starts from weights, but the {X.kernel_name} kernel has none; use init='span'")

    def _start_of(self, form: type[FrontForm], initial: Any, X: Any) -> Any:
        """Give the initial weights as the form takes them: one that holds weights takes those that a start in the span has."""
        if not (isinstance(initial, SpanStart) and form.needs_features):
            return initial
        if is_sparse(X):  # features that do not occur are orthogonal to all samples
            columns = all_occurring(X)
            start = replace(initial, n_features=len(columns))
            expanded = ContributionsForm(within(X, columns), start, np.dtype(self.dtype), False, self.n_jobs).expand()
            return ScatteredWeights(columns, expanded.T, 1.0, NoWeights(initial.n_hidden, initial.n_features))
        return GivenWeights(ContributionsForm(X, initial, np.dtype(self.dtype), False, self.n_jobs).expand())

    def _batch_size(self, n_samples: int) -> int:
        batch = self._setting("batch_size")
        return min(self._largest_batch if validation.is_auto(batch) else int(batch), n_samples)

    @property
    def _front(self) -> Any:
        """The front layer of the fitted network, or its front layers."""
        return self.network_.front

    def _checked(self, X: Any, y: ArrayLike | None, reset: bool) -> tuple[Any, Array]:
        """Check training data, which stay raw."""
        _refuse_stream(self, X)
        y = gathered(y)
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

    # ------------------------------------------------------------------------------------------------------------------
    # scaling

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
        """Refuse to continue training with samples that would be scaled in another way."""
        asked = self._asked_scaling
        if self._scaled_as not in (None, asked):
            raise ValueError(
                f"{method} continues with (standardize, missing)={self._scaled_as}, but they are {asked} now; set them back, "
                "or use fit"
            )

    @property
    def _changes_features(self) -> bool:
        """Whether the network takes features that are scaled or filled in, by numbers that are known."""
        return self._scaling is not None and self._scaling.changes_features

    @property
    def _asked_scaling(self) -> tuple[Any, ...]:
        """The parameters that say how samples are prepared."""
        return self.standardize, self.missing

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
        weights: Array = _check_sample_weight(gathered(sample_weight), X, dtype=np.float64, ensure_non_negative=True)
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

    def _note(self, history: History) -> None:
        """Set the attributes that describe a training."""
        self.loss_curve_, self.outcome_ = history.losses, history.outcome
        self.validation_scores_ = history.scores
        self.validation_loss_curve_ = history.validation_losses if self._has_validation_loss else None
        self.n_epochs_ = self.n_iter_ = len(history.losses)

    @property
    def best_epoch_(self) -> int | None:
        """Number of the epoch with the best validation score, counted from 1; None without validation scores."""
        check_is_fitted(self, "network_")
        return int(np.argmax(self.validation_scores_)) + 1 if self.validation_scores_ else None

    def _train(
        self,
        rows: NDArray[np.intp],
        targets: Array,
        weights: Array | None,
        schedule: Schedule,
        max_epochs: int,
        tol: float,
        validate: Validate | None,
        callbacks: Sequence[Callback],
        chance: float = 0.0,
        lowest: float = 0.0,
        X: Any = None,
    ) -> History:
        """Train on some of the samples in memory."""

        def epochs_of(training: Training) -> EpochsInMemory:
            assert self._random_state is not None  # `_start` has set it
            return EpochsInMemory(training, self.network_, rows, targets, weights, self._random_state)

        return self._run(epochs_of, schedule, max_epochs, tol, validate, callbacks, chance, lowest, X)

    def _run(
        self,
        epochs_of: Callable[[Training], Epochs],
        schedule: Schedule,
        max_epochs: int,
        tol: float,
        validate: Validate | None,
        callbacks: Sequence[Callback],
        chance: float,
        lowest: float,
        X: Any = None,
    ) -> History:
        network = self.network_
        with network.blas_threads(), progress(self.verbose, max_epochs) as shown:
            max_epochs = int(max_epochs)  # a small integer of NumPy's would overflow
            by_score = validate is not None and self.early_stopping
            patience = self._setting("n_iter_no_change") if by_score or self._stops_by_loss else max_epochs
            training = Training(
                self._setting("learning_rate"), schedule, max_epochs, tol, patience, self.shuffle, validate, by_score,
                (*shown, *callbacks), chance, lowest, not self._stops_by_loss, Remedies(X, self._remedies()),
            )  # fmt: skip
            try:
                return training.run(epochs_of(training))
            finally:
                network.finish()

    def _remedies(self) -> list[str]:
        """Say what can be done about steps that are too long, with the settings that were used."""
        remedies = []
        if not self._setting("standardize") and self._takes_features:
            remedies.append("scale X, unless it is scaled (standardize=True)")
        scales_targets = "standardize_targets" in self._automatic and self._loss.may_scale_targets
        if scales_targets and not self._setting("standardize_targets"):
            remedies.append("scale y (standardize_targets=True)")
        rate = text_of(self._setting("learning_rate"))
        is_chosen = validation.is_auto(self.learning_rate)
        return [
            *remedies,
            f"give a learning_rate below {rate}, which was chosen" if is_chosen else f"lower learning_rate={rate}",
        ]

    def _validate_new(self, X: Any) -> Any:
        check_is_fitted(self, "network_")
        _refuse_stream(self, X)
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

    def _refuse_overflow(self, *results: Array) -> None:
        """Raise an error for samples whose pre-activations or outputs are not finite."""
        if not validation.all_finite(*results):
            dtype = self.network_.dtype
            other = ", or train with dtype='float64'" if dtype == np.float32 else ""
            raise ValueError(f"X has values so large that the network's {dtype} overflows; scale X as for training{other}")

    def _takes_sparse(self) -> bool:
        """Whether X may be sparse, according to parameters that may not have been checked yet."""
        form, optimizer = self.form, self.optimizer
        if isinstance(optimizer, str):
            optimizer = _named_optimizer(optimizer)()
        elif not isinstance(optimizer, Optimizer):
            optimizer = Optimizer()
        forms = [FORMS[form]] if isinstance(form, str) and form in FORMS else FORMS.values() if form == "auto" else []
        kinds = [kind.variant(True) for kind in forms]
        return any(kind.takes_sparse and (optimizer.is_lazy if kind.leaves_alone else optimizer.commutes) for kind in kinds)

    # ------------------------------------------------------------------------------------------------------------------
    # model files: what `fcfast.estimators.store` asks for

    def _to_file(self, weights: bool, inputs: bool) -> tuple[Header, Tensors]:
        """Give the header and the tensors of a file; the parameters are those of `save`."""
        raise NotImplementedError

    @classmethod
    def _from_file(cls, header: Any, tensors: Tensors, X: Any) -> "Self":
        """Restore the fitted estimator; subclasses add the network."""
        estimator = cls(**header.parameters(cls._get_param_names()))
        if cls._automatic:
            params = {name: getattr(estimator, name) for name in cls._automatic}
            estimator.settings_ = Settings.restored(params, header.settings)
        estimator._check_parameters()
        estimator.form_, estimator.n_features_in_ = header.form, header.n_features
        estimator._scaled_as = estimator._asked_scaling
        if header.feature_names is not None:
            estimator.feature_names_in_ = np.array(header.feature_names, dtype=object)
        if header.labels is not None:
            estimator.classes_ = header.classes()
        estimator.loss_curve_, estimator.validation_scores_ = header.loss_curve, header.validation_scores
        estimator.validation_loss_curve_ = None
        estimator.n_epochs_ = estimator.n_iter_ = header.n_epochs
        estimator.text_ = text_in(header.text, tensors)
        estimator.card_ = card_of(header.content())
        return estimator

    def _header_entries(self) -> dict[str, Any]:
        """Collect the entries that all headers have, except those that the network determines."""
        classes = getattr(self, "classes_", None)
        names = getattr(self, "feature_names_in_", None)
        return {
            "estimator": type(self).__name__,
            "params": {name: encoded(value, name) for name, value in self.get_params(deep=False).items()},
            "label_dtype": None if classes is None else label_dtype(classes),
            "labels": None if classes is None else [encoded(label, "classes_") for label in classes.tolist()],
            "feature_names": None if names is None else list(map(str, names)),
            "loss_curve": self.loss_curve_,
            "validation_scores": self.validation_scores_,
            "n_epochs": self.n_epochs_,
            "text": text_entry(self.text_, self.n_features_in_),
            "card": dict(self.card_ or {}),
        }

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = self._takes_sparse()
        tags.input_tags.allow_nan = self.missing == "mean"
        return tags


def _refuse_stream(estimator: TrainedEstimator, X: Any) -> None:
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


def _named_optimizer(name: str) -> type[Optimizer]:
    """Give the class of an optimiser, SGD for "auto" before samples are known, and the base class for an unknown name."""
    kind: type[Optimizer] = OPTIMIZERS.get("sgd" if validation.is_auto(name) else name, Optimizer)
    return kind


class ClassTargets(TrainedEstimator):
    """Methods for targets that are classes."""

    class_weight: Any
    _score_name = "accuracy"

    @property
    def _loss(self) -> Loss:
        return make_loss("cross_entropy")

    def _checked(self, X: Any, y: ArrayLike | None, reset: bool) -> tuple[Any, Array]:
        X, y = super()._checked(X, y, reset)
        return X, self._one_label_each(y)

    def _one_label_each(self, y: Array) -> Array:
        """Give the labels of samples as one column."""
        return column_or_1d(y, warn=True)

    def _encode_targets(self, y: Array, warm: bool) -> Array:
        validation.no_missing_labels(y)
        check_classification_targets(y)
        classes = unique_labels(y)
        if warm and not np.array_equal(classes, self.classes_):
            raise ValueError(f"y has classes {classes}, but warm_start continues with {self.classes_}; use warm_start=False")
        self.classes_ = classes
        return np.searchsorted(classes, y).astype(np.intp)

    def _card_targets(self) -> dict[str, Any]:
        return classes_entries(self.classes_)

    def _class_weights(self, y: Array) -> Array | None:
        return None if self.class_weight is None else compute_sample_weight(self.class_weight, y)

    def _encode_known_targets(self, y: Array) -> Array:
        validation.no_missing_labels(y)
        labels: Array = self.classes_
        if unseen := sorted(set(y.tolist()) - set(labels.tolist()), key=str):
            raise ValueError(f"y has labels {unseen} that are not among the classes {labels}")
        return np.searchsorted(labels, y).astype(np.intp)

    def _score_outputs(self, outputs: Array, targets: Array, sample_weight: Array | None) -> float:
        return float(np.average(outputs.argmax(axis=1) == targets, weights=sample_weight))
