"""Training on a stream, whose blocks are in memory one at a time."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse
from sklearn.utils import check_random_state
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.validation import _num_samples, column_or_1d

from fcfast import validation
from fcfast.estimators.described import described, samples_entries
from fcfast.estimators.scoring import Samples
from fcfast.estimators.stream_predictions import NO_SAMPLES, block_weights, of_width, without_targets
from fcfast.estimators.survey import Survey
from fcfast.estimators.targets import ROBUST, checked_noise, noise_of, warn_of_empty
from fcfast.estimators.validated import Asked, parted_entries, samples_beside, watched
from fcfast.front import FORMS
from fcfast.gram.held import kernel_of
from fcfast.gram.object import Gram
from fcfast.sources import source_in
from fcfast.sources.running import RUNNING
from fcfast.sources.scaling import Scaling
from fcfast.sources.standardized import CAPPED, SCALE
from fcfast.sources.surveyed import Surveyed
from fcfast.streams import Block, Stream
from fcfast.training import Callback, Training
from fcfast.training.streamed import Portion, StreamedEpochs

if TYPE_CHECKING:
    from fcfast.estimators.base import TrainedEstimator
    from fcfast.estimators.front import FrontEstimator

Array = NDArray[Any]
Floats = NDArray[np.float64]
Estimator = TypeVar("Estimator", bound="TrainedEstimator")
Front = TypeVar("Front", bound="FrontEstimator")


def fit_stream(
    estimator: Front,
    stream: Stream,
    y: ArrayLike | None,
    sample_weight: ArrayLike | None,
    coefs_init: Sequence[ArrayLike] | None,
    intercepts_init: Sequence[ArrayLike] | None,
    callbacks: Sequence[Callback],
    asked: Asked,
) -> Front:
    """Train a network on a stream; parameters, result and errors are those of `FrontEstimator.fit`."""
    for name, given in (("y", y), ("sample_weight", sample_weight)):
        if given is not None:
            raise ValueError(f"{name} was given beside a stream, whose blocks hold it: (X, y) or (X, y, sample_weight)")
    before = estimator._begin(coefs_init)
    asked.check_stream(estimator.early_stopping)
    _refuse_what_holds_all_samples(estimator)
    reader = Reader(estimator, stream)
    survey = reader.survey(before is None, coefs_init is not None)
    X = reader.surveyed(survey)
    targets, weights = reader.targets(survey, before is not None)
    if survey.targets is not None:
        warn_of_empty(survey.targets.weight, estimator._loss.per_target)
    others = _samples_beside(estimator, asked, reader, targets)
    if before is not None:
        estimator._refuse_other_widths(before, X, targets)
        coefs_init = estimator._continued()
        intercepts_init = estimator._intercepts() if intercepts_init is None else intercepts_init
    random_state = check_random_state(estimator.random_state)
    length = StreamLength(survey, reader.class_weights, X.shape[1] if estimator._setting("standardize") else 0)
    curvature, noise = estimator._checked_curvature(targets, weights), reader.noise(survey, targets, weights)
    estimator._choose_settings(X, length, before, coefs_init is not None, curvature, noise)
    form, max_epochs = _form_of(estimator, X), int(estimator._setting("max_epochs"))
    estimator._start(X, length, targets, weights, form, max_epochs, coefs_init, intercepts_init, random_state)
    network = estimator.network_
    if before is not None and before.rule == network.rule:
        network.rule_state.go_on_from(before.rule_state)

    with ExitStack() as files:

        def epochs_of(training: Training) -> StreamedEpochs:
            epochs = StreamedEpochs(training, network, reader.portions, reader.append, survey.n_rows, random_state)
            return files.enter_context(closing(epochs))

        chance, lowest = estimator._chance(targets, weights), estimator._loss.lowest(int(network.widths[-1]))
        validate, schedule = watched(estimator, others), estimator._schedule
        history = estimator._run(epochs_of, schedule, max_epochs, estimator.tol, validate, callbacks, chance, lowest)
    estimator._note(history)
    estimator.card_ = described(estimator, samples_entries(X) | parted_entries(None, others))
    if before is None:
        estimator.text_ = stream.text_features
    return estimator


def _refuse_what_holds_all_samples(estimator: "FrontEstimator") -> None:
    """Refuse parameters under which a stream would have to be in memory."""
    kernel = kernel_of(estimator.kernel, estimator.gamma, estimator.degree, estimator.coef0)
    if not kernel.has_weights:
        raise ValueError(f"kernel={estimator.kernel!r} holds products with all samples; a stream needs kernel='linear'")

    if estimator.init == "span":
        raise ValueError("init='span' is made from all samples; a stream needs init='auto', 'scaled', 'small' or 'glorot'")
    if estimator.form in FORMS and FORMS[estimator.form].keeps_inputs:
        raise ValueError(f"form={estimator.form!r} keeps all samples; a stream needs form='auto', 'windowed' or 'weights'")


def _samples_beside(estimator: "FrontEstimator", asked: Asked, reader: "Reader", targets: Array) -> Samples | None:
    """Give the samples to validate on, with as many features as the stream where it found out how many there are."""
    if asked.X_val is None:
        return None
    if isinstance(asked.X_val, Stream):
        raise TypeError("X_val is a stream, but samples to validate on stay in memory; give an array or a sparse matrix")
    if reader.stream.widens and sparse.issparse(asked.X_val):
        asked = asked._replace(X_val=of_width(asked.X_val, int(estimator.n_features_in_)))
    return samples_beside(estimator, asked, reader.by_class, targets.shape[1:])


def _form_of(estimator: "FrontEstimator", X: Surveyed) -> str:
    """Give a form that does not keep samples."""
    form = estimator._streaming_form(X)
    if form == "auto" or FORMS[form].keeps_inputs:
        kind = "sparse" if X.is_sparse else "dense"
        raise ValueError(
            f"optimizer={estimator.optimizer!r} with rule={estimator.rule!r} trains {kind} samples only in a form that keeps "
            "all of them; for a stream use optimizer='sgd' (or 'adagrad') and rule='backprop'"
        )
    return form


@dataclass(frozen=True)
class StreamLength:
    """The mean squared length of a stream's samples; that of `n_standardized` features is their number, if it is not 0."""

    survey: Survey
    class_weights: Floats | None
    n_standardized: int

    @property
    def value(self) -> float:
        """The length, which is never 0."""
        return float(self.n_standardized) if self.n_standardized else self._measured[0]

    @property
    def text(self) -> str:
        """How it was found, in words."""
        return f"{self.n_standardized:,} standardised features" if self.n_standardized else self._measured[1]

    @property
    def n_counted(self) -> int:
        """Number of samples with a weight above 0."""
        return self.survey.lengths.n_counted(self.class_weights)

    @property
    def counted(self) -> None:
        """Nobody knows the samples one by one."""
        return None

    @property
    def directions(self) -> float:
        """No samples are kept to be compared."""
        return np.inf

    @property
    def _measured(self) -> tuple[float, str]:
        survey = self.survey
        filled = survey.filled_length() if survey.has_gaps else 0.0
        return survey.lengths.measured(self.class_weights, filled, not survey.is_sparse)


class Reader:
    """The blocks of a stream as an estimator takes them: checked, and their targets as the network takes them.

    Parameters
    ----------
    estimator : FrontEstimator
    stream : Stream

    Attributes
    ----------
    class_weights : ndarray of shape (c,), or None
        Weights of the classes, in the order in which the survey met them.
    by_class : ndarray of shape (c,), or None
        Weights of the classes, in their own order.
    """

    def __init__(self, estimator: "FrontEstimator", stream: Stream) -> None:
        self.estimator, self.stream = estimator, stream
        self.class_weights: Floats | None = None
        self.by_class: Floats | None = None
        self._is_weighted = False
        self._kept: list[tuple[Array, Floats | None]] | None = None

    # ------------------------------------------------------------------------------------------------------------------
    # the first reading

    def survey(self, chooses_scaling: bool, has_coefs: bool) -> Survey:
        """Read the stream for the first time."""
        estimator, survey = self.estimator, None
        for X, y, weights in self._checked(surveys=True, chooses_scaling=chooses_scaling, has_coefs=has_coefs):
            loss = estimator._loss  # the first block says what kind of targets there are
            if survey is None:
                survey = Survey(loss.has_classes)
                if not (loss.has_classes or loss.starts_from_means) or self._scales_by_quartiles:
                    self._kept = []
            standardize = estimator._setting("standardize")
            measures = chooses_scaling and bool(standardize or estimator.missing == "mean")
            numbers = y if loss.has_classes else estimator._numbers(y)
            survey.take(X, numbers, weights, measures, standardize in (CAPPED, RUNNING))
            if self._kept is not None:
                self._kept.append((y, weights))
        if survey is None:
            raise ValueError(NO_SAMPLES)
        self._is_weighted = survey.is_weighted
        if survey.is_weighted:
            validation.sample_weights(np.array([survey.total]), "sample_weight")
        if chooses_scaling:
            self._scale(survey)
        return survey

    def _scale(self, survey: Survey) -> None:
        """Scale samples and targets as `fit` does with those in memory."""
        estimator = self.estimator
        standardize = estimator._setting("standardize")
        if survey.inputs is not None and estimator._follows("standardize", True):
            estimator._take_inputs(survey.inputs, True)
        elif survey.inputs is not None:
            scale = survey.scale(standardize == CAPPED)
            missing = scale.mean if estimator.missing == "mean" else None
            estimator._scaling = Scaling(scale if standardize else None, None, missing)
        if "standardize_targets" in estimator._automatic and estimator._setting("standardize_targets"):
            assert survey.targets is not None  # of a regression
            if self._kept is not None and self._scales_by_quartiles:
                every = [np.ones(len(y)) if weights is None else weights for y, weights in self._kept]
                estimator._measure_targets(np.concatenate([y for y, _ in self._kept]), np.concatenate(every), True)
            else:
                estimator._take_targets(survey.targets, True)

    @property
    def _scales_by_quartiles(self) -> bool:
        """Whether the scale of targets is none of their moments."""
        estimator = self.estimator
        return "standardize_targets" in estimator._automatic and bool(estimator._setting("standardize_targets") == ROBUST)

    def surveyed(self, survey: Survey) -> Surveyed:
        """Give what settings, plans and forms ask about the samples."""
        shape = survey.n_rows, int(self.estimator.n_features_in_)
        return Surveyed(shape, np.dtype(self.estimator.dtype), survey.is_sparse, survey.largest_block, *survey.features.known)

    def targets(self, survey: Survey, warm: bool) -> tuple[Array, Floats]:
        """Give a few targets with weights that have the same frequencies, or the same mean, as those of all samples."""
        estimator = self.estimator
        if survey.has_classes:
            classes, numbers = survey.labels.sorted()
            estimator._encode_targets(np.repeat(classes, 3), warm)  # scikit-learn warns where each label occurs once
            counts, weights = np.array(survey.labels.counts)[numbers], np.array(survey.labels.weights)[numbers]
            asked = estimator.class_weight  # of a classifier
            if asked is not None:
                is_balanced = isinstance(asked, str) and asked == "balanced"
                by_class = survey.n_rows / (len(classes) * counts) if is_balanced else compute_sample_weight(asked, classes)
                weights = weights * by_class
                validation.sample_weights(weights, "class_weight")
                self.by_class, self.class_weights = by_class, np.empty(len(classes))
                self.class_weights[numbers] = by_class
            absent = weights == 0
            weights[absent] = weights.sum() / (2 * survey.n_rows)  # half a sample, as the loss counts classes that are absent
            return np.arange(len(classes)), weights
        if self._kept is not None:
            every = [np.ones(len(y)) if weights is None else weights for y, weights in self._kept]
            return np.concatenate([self._encoded(y) for y, _ in self._kept]), np.concatenate(every)
        assert survey.targets is not None  # there are samples
        moments = survey.targets
        mean = self.estimator._loss.within(moments.mean, np.maximum(1, survey.n_targets))
        few = np.stack([mean, *(np.where(moments.low < moments.high, end, mean) for end in (moments.low, moments.high))])
        few[:, moments.weight == 0] = np.nan
        # The extremes hardly count; they tell which targets are the same for all samples.
        return self._encoded(few[:, 0] if self._y_shape == () else few), np.array([1.0, 1e-300, 1e-300])

    def noise(self, survey: Survey, targets: Array, weights: Floats) -> float:
        """Measure the noise of the loss; the few targets have the means of all samples, but not their variances."""
        loss, moments = self.estimator._loss, survey.targets
        if self._kept is not None or moments is None or not loss.expects_noise:
            return noise_of(loss, targets, weights)
        return checked_noise(loss, moments.mean, moments.variance)

    # ------------------------------------------------------------------------------------------------------------------
    # epochs

    def portions(self) -> Iterator[Portion]:
        """Read the stream again."""
        is_weighted = False
        for X, y, weights in self._checked():
            is_weighted |= weights is not None
            if is_weighted and not self._is_weighted:
                raise ValueError("the stream has weights, but had none when it was first read; it has to give the same samples")
            targets = self._encoded(y)
            if self._is_weighted and weights is None:
                weights = np.ones(len(y))
            if self.by_class is not None:
                weights = self.by_class[targets] if weights is None else weights * self.by_class[targets]
            yield Portion(X, targets, weights)
        if self._is_weighted and not is_weighted:
            raise ValueError("the stream has no weights, but had some when it was first read; it has to give the same samples")

    def append(self, X: Any) -> None:
        """Give the network samples to train on."""
        network, scaling = self.estimator.network_, self.estimator._scaling
        n_known = len(network.front.base)
        network.append(X if scaling is None else scaling.prepared(X, network.dtype))
        if len(network.front.base) != n_known:
            raise ValueError("the stream has other features than when it was first read; it has to give the same samples")

    def _encoded(self, y: Array) -> Array:
        """Give targets as the network takes them."""
        estimator = self.estimator
        if not estimator._loss.has_classes:
            scaling = estimator._scaling
            return estimator._encode_targets(y if scaling is None else scaling.scaled_targets(y), False)
        classes: Array = estimator.classes_  # of a classifier
        codes = np.searchsorted(classes, y)
        if not (classes[np.minimum(codes, len(classes) - 1)] == y).all():
            raise ValueError("the stream has other labels than when it was first read; it has to give the same samples")
        return codes.astype(np.intp)

    # ------------------------------------------------------------------------------------------------------------------

    def _checked(
        self, surveys: bool = False, chooses_scaling: bool = False, has_coefs: bool = False
    ) -> Iterator[tuple[Any, Array, Floats | None]]:
        """Give samples, targets and weights of each block; the first block of the first reading says what they are like."""
        is_first = surveys
        for number, block in enumerate(self.stream, 1):
            if _num_samples(block.X) == 0:
                continue
            if block.y is None:
                raise ValueError(without_targets(number, block))
            try:
                if is_first and chooses_scaling:
                    self.estimator._choose_scaling(block.X, has_coefs, streams=False)
                checked = self._checked_block(block, is_first, surveys)
            except (ValueError, TypeError) as error:
                kind = ValueError if isinstance(error, ValueError) else TypeError
                raise kind(f"block {number} of the stream: {error}") from error
            yield checked
            is_first = False

    def _checked_block(self, block: Block, is_first: bool, surveys: bool) -> tuple[Any, Array, Floats | None]:
        estimator, X = self.estimator, block.X
        if isinstance(X, Gram) or source_in(X) is not None:
            raise TypeError(f"X is a {type(X).__name__}; a block holds an array, a DataFrame or a sparse matrix")
        is_wider = False
        if self.stream.widens and sparse.issparse(X) and not is_first:
            X = of_width(X, max(X.shape[1], int(estimator.n_features_in_)))
            is_wider = surveys and X.shape[1] > estimator.n_features_in_
        X, y = estimator._validated(X, block.y, is_first or is_wider)
        estimator._learn_names(block.y)
        if sparse.issparse(X):
            X = sparse.csr_array(X)
            if not X.has_canonical_format:
                X = X.copy()
                X.sum_duplicates()
        self._refuse_other_kind(X, y, is_first)
        if estimator._loss.has_classes:
            validation.no_missing_labels(y)
            y = column_or_1d(y, warn=is_first)
        if block.sample_weight is None:
            return X, y, None
        return X, y, block_weights(block.sample_weight, len(y))

    def _refuse_other_kind(self, X: Any, y: Array, is_first: bool) -> None:
        """Refuse blocks that are sparse where others are dense, or that have another number of targets."""
        is_sparse = sparse.issparse(X)
        if is_first:
            if self.estimator._setting("standardize") == SCALE:
                raise ValueError(
                    f"standardize={SCALE!r} is not for streams; use standardize=True or 'capped' for dense samples, and scale "
                    "sparse ones block by block, for example with sklearn.preprocessing.normalize"
                )
            if is_sparse and (self.estimator._setting("standardize") or self.estimator.missing == "mean"):
                raise ValueError(
                    "sparse samples of a stream are neither scaled nor filled in; use standardize=False (or 'auto') and "
                    "missing='error', and scale the blocks, for example with sklearn.preprocessing.normalize"
                )
            self._is_sparse, self._y_shape = is_sparse, y.shape[1:]
        kinds = {True: "sparse", False: "dense"}
        if is_sparse != self._is_sparse:
            raise ValueError(f"X is {kinds[is_sparse]}, but {kinds[self._is_sparse]} in the first block; give one kind")
        if y.shape[1:] != self._y_shape:
            raise ValueError(f"y has shape {y.shape}, but {('n', *self._y_shape)} in the first block; give one shape")
