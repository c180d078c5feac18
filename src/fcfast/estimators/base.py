"""Base class of all estimators: the fit loop, and model files."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import wraps
from typing import TYPE_CHECKING, Any, ClassVar, Concatenate, ParamSpec, TypeVar

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from fcfast import validation
from fcfast.estimators.automatic import Settings, text_of
from fcfast.estimators.checked import CheckedSamples
from fcfast.estimators.described import validation_entries
from fcfast.estimators.samples import Remedies
from fcfast.estimators.scoring import Known, scoring_name
from fcfast.estimators.validated import held_out_at_random
from fcfast.front import ContributionsForm, FrontForm
from fcfast.gram.object import Gram
from fcfast.gram.occurring import all_occurring, is_sparse, within
from fcfast.gram.scattered import ScatteredWeights
from fcfast.gram.start import GivenWeights, NoWeights, SpanStart
from fcfast.losses import Loss
from fcfast.modelfile.cards import ModelCard, card_of
from fcfast.modelfile.headers import Header, Tensors, label_dtype
from fcfast.modelfile.text import text_entry, text_in
from fcfast.modelfile.values import encoded
from fcfast.optimizers import Schedule
from fcfast.progress import passes_told
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


class TrainedEstimator(CheckedSamples):
    """An estimator with a network that `fcfast.training.Training` trains. Subclasses define the network and the targets."""

    random_state: Any
    classes_: Array
    _stops_by_loss = True  # after epochs without improvement of the training loss, where no validation score decides
    _score_name: ClassVar[str] = "r2"  # of `score`
    _has_validation_loss = True  # whether the training loss can be computed for other samples
    _known: Known | None = None  # samples whose outputs are known, in a copy that scorers get
    text_: "TextFeatures | None" = None  # how texts became the features that the network takes
    card_: ModelCard | None = None  # what the network was trained on, how, and with which outcome
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

    def _check_scorable(self, targets: Array, sample_weight: Array | None) -> None:
        """Raise a ValueError if validation samples with these encoded targets have no score that could improve."""

    def _show_classes(self) -> None:
        """Let scorers of scikit-learn, to which a copy is given, see what kind of classes there are."""

    def _drawn_to_hold_out(self, y: Array, share: float, random_state: np.random.RandomState) -> tuple[Rows, Rows]:
        """Draw rows for early stopping; give the rows to train on, and these."""
        return held_out_at_random(y, share, random_state, self._loss.has_classes)

    def _encode_known_targets(self, y: Array) -> Array:
        """Give checked raw targets of further samples as the network takes them, once it is known what it predicts."""
        raise NotImplementedError

    def _card_targets(self) -> dict[str, Any]:
        """Describe the targets for the model card."""
        return {}

    def _card_network(self) -> dict[str, Any]:
        """Describe the network for the model card."""
        return {}

    def _card_scores(self) -> dict[str, Any]:
        """Give the score of validation samples for the model card, that of the network that was kept."""
        scores = self.validation_scores_ or []
        return validation_entries(scores if self.early_stopping else scores[-1:], scoring_name(self))

    # ------------------------------------------------------------------------------------------------------------------

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

    @property
    def _front(self) -> Any:
        """The front layer of the fitted network, or its front layers."""
        return self.network_.front

    # ------------------------------------------------------------------------------------------------------------------
    # training

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

    def _refuse_overflow(self, *results: Array) -> None:
        """Raise an error for samples whose pre-activations or outputs are not finite."""
        if not validation.all_finite(*results):
            dtype = self.network_.dtype
            other = ", or train with dtype='float64'" if dtype == np.float32 else ""
            raise ValueError(f"X has values so large that the network's {dtype} overflows; scale X as for training{other}")

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
