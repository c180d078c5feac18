"""What "auto" stands for in the estimators: values chosen from facts about the data, with reasons.

Rates follow the spectral condition of Yang, Simon and Bernstein (arXiv 2310.17813): a step of a layer is proportional to
n_out / n_in, where the front layer's n_in is the mean squared length of the samples, and n_out of the last layer is constant.
The initial weights belong to it. One number, `Constants.step`, then suits every number of features, of units and of layers.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from scipy import sparse
from sklearn.utils.validation import _num_samples

from fcfast.estimators.targets import ROBUST
from fcfast.gram.object import Gram, fan_in_of, n_features_of
from fcfast.gram.occurring import is_stored_sparse
from fcfast.losses import Loss
from fcfast.modelfile.values import decoded, encoded
from fcfast.optimizers import Optimizer
from fcfast.rules import Rule
from fcfast.sources import source_in
from fcfast.sources.running import RUNNING
from fcfast.sources.standardized import CAPPED
from fcfast.validation import is_auto

Rates = tuple[tuple[float, float], ...]

GIVEN = "as given"  # reason for a value that the caller chose
FULL_BATCH = 1000  # largest number of samples that form one batch
CALM_BATCH = 32  # samples in a batch from which on noise does not limit the step
NOISY_STEP = 2.0  # over the hidden layers: least step of which rules with noise on the weights take their share
BATCH = 100  # samples in a batch, if there are more
WIDE_UNITS, TALL_UNITS = 64, 256  # units of the hidden layer, for one batch and for many
FEWEST_EPOCHS = 20
TEXT_EPOCHS, TEXT_STEPS = 5, 200  # the same for an optimiser with a rate for each feature, on sparse samples
MANY_CLASSES = 8  # from which on the rates of such an optimiser are whole
SPAN_SAMPLES = 2000  # a start in the span takes time with the third power of the number of samples
STREAM_SAMPLES = 100  # of the first `partial_fit`, from which on they say how features are scaled


class Choice(NamedTuple):
    """A value, and the reason for it in words."""

    value: Any
    reason: str


@dataclass(frozen=True)
class Constants:
    """Numbers that depend on the loss.

    Attributes
    ----------
    step, batch_step : float
        Step of SGD with all samples and with batches of them, which each layer's shape turns into its learning rate.
    decay, tall_decay : float
        Weight decay times the number of samples, for fewer samples than features and for more: all weights shrink by
        step * decay / N in each step.
    epochs : int
        Largest number of epochs.
    few : int
        Number of features added to those that there are, since few directions need smaller steps of the front layer.
    steps : int
        Number of steps that drawn batches should make.
    grows : bool
        Whether the decay is that of 100 samples, and grows with the root of their number.
    directions : float
        Number of directions that samples spread over, below which the decay is in proportion to it; 0 where it is not asked.
    """

    step: float
    batch_step: float
    decay: float
    tall_decay: float
    epochs: int
    few: int
    steps: int = 2000
    grows: bool = False
    directions: float = 0.0

    def decay_of(self, n_samples: int, is_tall: bool, noise: float, directions: float) -> float:
        """Give the decay for noise of this size, as `Loss.noise` measures it, and samples that spread over so many directions.

        What noise alone teaches is a sum over the samples of gradients that point anywhere, which grows with the root of their
        number. In few directions it is drowned by what the samples have in common.
        """
        decay = noise * (self.tall_decay if is_tall else self.decay)
        if directions < self.directions:
            decay *= directions / self.directions
        return decay * (n_samples / 100) ** 0.5 if self.grows else decay

    def because(self, noise: float, directions: float) -> str:
        """Say what the decay follows besides the number of samples, for its reason in `settings_`."""
        if not self.grows and noise == 1:
            return ""
        few = f" in {directions:.2g} directions" if directions < self.directions else ""
        return f", for noise of size {noise:.2g}{few}"


# The decays of LABELS and NOISY cost least, beside the best decay of each set, over 39 sets with counts, 30 with labels and 30
# with numbers, for quantiles and with outliers: 48 to 800 training samples, generated and real (docs/targets.md). Over the real
# sets the labels of more samples were less noisy, so that their decay need not grow.
CLASSES = Constants(step=4.0, batch_step=8.0, decay=0.03, tall_decay=0.03, epochs=200, few=16)
LABELS = Constants(step=4.0, batch_step=8.0, decay=0.25, tall_decay=0.25, epochs=200, few=16)
NUMBERS = Constants(step=0.5, batch_step=0.5, decay=0.02, tall_decay=0.05, epochs=1000, few=0)
HAZARDS = Constants(step=0.1, batch_step=0.1, decay=1.0, tall_decay=1.0, epochs=200, few=16)
NOISY = Constants(step=0.5, batch_step=0.5, decay=0.65, tall_decay=0.65, epochs=1000, few=0, grows=True, directions=8.0)


def constants(loss: Loss) -> Constants:
    """Give the constants of a regression with this loss."""
    if not loss.expects_noise:
        return NUMBERS
    return LABELS if loss.link == "logit" else NOISY


class Settings(Mapping[str, Any]):
    """The settings that a network was trained with, and why: those that were given, and those that "auto" chose.

    It is a mapping of parameter names to values; ``str(settings)`` is a table with the reasons.

    Parameters
    ----------
    choices : mapping of str to Choice
        Values with reasons.

    Examples
    --------
    >>> from fcfast.estimators.automatic import Choice, Settings
    >>> settings = Settings({"batch_size": Choice(60, "all 60 samples")})
    >>> settings["batch_size"], str(settings)
    (60, 'batch_size  60  all 60 samples')
    """

    def __init__(self, choices: Mapping[str, Choice] | None = None) -> None:
        self._choices = dict(choices or {})

    def __getitem__(self, name: str) -> Any:
        return self._choices[name].value

    def __iter__(self) -> Iterator[str]:
        return iter(self._choices)

    def __len__(self) -> int:
        return len(self._choices)

    def with_choice(self, name: str, choice: Choice) -> "Settings":
        """Give the same settings with one more, or with another value of it."""
        return Settings(self._choices | {name: choice})

    @classmethod
    def restored(cls, params: Mapping[str, Any], chosen: Mapping[str, Sequence[Any]]) -> "Settings":
        """Give the settings in a file, from the parameters that were given and from [value, reason] of those that were not.

        They have the order of `params`, in which they are chosen.
        """
        choices = {name: Choice(decoded(value), reason) for name, (value, reason) in chosen.items()}
        given = {name: Choice(value, GIVEN) for name, value in params.items() if not is_auto(value)}
        held = given | choices
        return cls({name: held[name] for name in (*params, *held) if name in held})

    def chosen(self, params: Mapping[str, Any]) -> dict[str, list[Any]]:
        """Give [value, reason] of the settings that were not given, for a file; `params` may have been set since."""
        choices = {name: choice for name, choice in self._choices.items() if choice.reason != GIVEN and is_auto(params[name])}
        return {name: [encoded(choice.value, name), choice.reason] for name, choice in choices.items()}

    @property
    def reasons(self) -> dict[str, str]:
        """Reason for each value."""
        return {name: choice.reason for name, choice in self._choices.items()}

    def __str__(self) -> str:
        rows = [(name, text_of(choice.value), choice.reason) for name, choice in self._choices.items()]
        widths = [max((len(row[k]) for row in rows), default=0) for k in range(2)]
        return "\n".join(f"{name:<{widths[0]}}  {value:<{widths[1]}}  {reason}" for name, value, reason in rows)

    def __repr__(self) -> str:
        return f"Settings({self._choices!r})"


def text_of(value: Any) -> str:
    """Write a value, numbers with three digits."""
    if isinstance(value, float):
        return f"{value:.3g}"
    if isinstance(value, (tuple, list)):
        return "(" + ", ".join(map(text_of, value)) + ("," if len(value) == 1 else "") + ")"
    return str(value)


def standardize(
    X: Any, *, has_coefs: bool = False, compares_samples: bool = False, streams: bool = False, follows: bool = False
) -> Choice:
    """Choose to scale dense features, unless initial weights or products of samples refer to raw ones.

    Scales follow a stream if the form `follows`, that is, can change the weights of each feature.
    """
    if isinstance(X, Gram):
        return Choice(False, "X is a Gram matrix")
    if compares_samples:
        return Choice(False, "the kernel compares samples")
    if has_coefs:
        return Choice(False, "coefs_init are weights for raw features")
    if is_sparse(X):
        return Choice(False, "X is sparse")
    if follows:
        return Choice(RUNNING, "X is dense, and scales follow the stream")
    if streams and _num_samples(X) < STREAM_SAMPLES:
        return Choice(False, f"the first samples of a stream, fewer than {STREAM_SAMPLES}")
    return Choice(CAPPED, "X is dense")


def standardize_targets(loss: Loss, has_coefs: bool, streams: bool) -> Choice:
    """Choose to scale targets, unless initial weights or the loss refer to raw ones."""
    if has_coefs:
        return Choice(False, "coefs_init are weights for raw targets")
    if loss.kernel is None:
        return Choice(False, "the loss is your own")
    if not loss.may_scale_targets:
        return Choice(False, f"the {loss.name} loss needs targets as they are")
    if streams:
        return Choice(RUNNING, "the rates suit errors of about 1, and the scale follows the stream")
    if loss.is_robust:
        return Choice(ROBUST, "targets that are far off hardly count")
    return Choice(True, "the rates suit errors of about 1")


def is_sparse(X: Any) -> bool:
    """Whether samples, which may not have been checked yet, are stored sparsely."""
    source = source_in(X)
    return bool(sparse.issparse(X) if source is None else is_stored_sparse(source))


def is_text(stored_sparse: bool, n_samples: int, n_features: int) -> bool:
    """Whether samples are like many texts: sparse, more than a start in the span allows, and fewer than the features."""
    return stored_sparse and SPAN_SAMPLES < n_samples < n_features


def optimizer(text: bool, loss: Loss, is_free: bool) -> Choice:
    """Choose the optimiser: Adagrad gives rare features longer steps, but other parameters may not leave the choice free."""
    if not text:
        return Choice("sgd", f"the default; Adagrad is for more than {SPAN_SAMPLES:,} sparse samples with still more features")
    if not loss.has_classes:
        return Choice("sgd", "targets are numbers")
    if not is_free:
        return Choice("sgd", "another parameter belongs to it, or allows no other")
    return Choice("adagrad", "X is sparse, with many samples and still more features")


def hidden_layer_sizes(n_samples: int, streams: bool, before: tuple[int, ...] | None, text: bool = False) -> Choice:
    """Choose the units: on few samples, and on text, more of them change nothing except the time."""
    if before is not None:
        return Choice(before, "as before")
    if text:
        return Choice((WIDE_UNITS,), "X is sparse, with still more features than samples")
    if n_samples <= FULL_BATCH and not streams:
        return Choice((WIDE_UNITS,), f"at most {FULL_BATCH:,} samples")
    return Choice((TALL_UNITS,), "a stream" if streams else f"more than {FULL_BATCH:,} samples")


def batch_size(n_samples: int, n_rows: int, streams: bool) -> Choice:
    """Choose the whole data, if there are few samples; rows of weight 0, which do not count, are among them."""
    if streams:
        return Choice(BATCH, "a stream")
    if n_samples <= FULL_BATCH:
        return Choice(n_rows, f"all samples, because they are at most {FULL_BATCH:,}")
    return Choice(BATCH, f"more than {FULL_BATCH:,} samples")


def max_epochs(n_samples: int, batch: int, constants: Constants, rests: bool = False) -> Choice:
    """Choose the number of epochs, of which many samples need fewer, and sparse ones with resting weights fewest."""
    n_steps = -(-n_samples // batch)
    if n_steps == 1:
        return Choice(constants.epochs, "one step per epoch")
    if rests:
        return Choice(max(TEXT_EPOCHS, -(-TEXT_STEPS // n_steps)), "sparse samples are soon fitted")
    epochs = min(max(-(-constants.steps // n_steps), FEWEST_EPOCHS), constants.epochs)
    return Choice(epochs, f"{n_steps:,} steps per epoch")


def n_iter_no_change(epochs: int, early_stopping: bool) -> Choice:
    """Choose to train all epochs, unless the score of held-out samples says when to end."""
    if early_stopping:
        return Choice(max(10, epochs // 5), "held-out samples are scored")
    return Choice(epochs, "all epochs are trained")


def front_inputs(X: Any, length: float, is_tall: bool, constants: Constants) -> float:
    """Give the front layer's number of inputs for its rate: the mean squared length, and more for few features."""
    return length * (1 + constants.few / fan_in_of(X)) if is_tall else length


def step(batch: int, is_whole: bool, n_hidden: int, rule: Rule, constants: Constants) -> float:
    """Give the step of SGD: smaller for small batches, whose gradients are noisy, and for rules that add noise."""
    share = min(1.0, rule.rate_factor)
    if not rule.stays_in_span:  # noise on the weights limits the step, and not the curvature of the loss
        return share * max(constants.step, NOISY_STEP / n_hidden) * (1.0 if is_whole else calmness(batch))
    if is_whole:
        return share * constants.step
    largest = constants.batch_step if rule.is_baseline else constants.step
    return share * largest * calmness(batch)


def calmness(batch: int) -> float:
    """Give the share of the step that the noise of a batch allows."""
    return min(1.0, batch / CALM_BATCH)


def share_of_classes(n_classes: int) -> float:
    """Give the share of the rates on sparse samples with resting weights: the fewer classes, the more units step alike."""
    return min(1.0, n_classes / MANY_CLASSES)


def schedule(n_samples: int, batch: int) -> Choice:
    """Choose a falling rate where batches are drawn, so that their noise dies out."""
    return Choice("constant", "one step per epoch") if batch >= n_samples else Choice("cosine", "batches are drawn")


def suits_span(n_samples: int, n_features: int) -> bool:
    """Whether samples are few and span little of the space."""
    return n_samples < n_features and n_samples <= SPAN_SAMPLES


def has_more_samples(X: Any, n_samples: int) -> bool:
    """Whether samples are more than features; the feature space of a kernel has no end."""
    return (not isinstance(X, Gram) or X.is_linear) and n_samples > fan_in_of(X)


def init(X: Any, n_samples: int, has_coefs: bool, streams: bool) -> Choice:
    """Choose a start in the span of the samples, where they are few and span little of the space."""
    n_features = n_features_of(X)
    if has_coefs:
        return Choice("glorot", "the weights are given, and only biases are drawn if they are not")
    if isinstance(X, Gram):
        return Choice("span", "X is known by its products")
    if not streams and suits_span(n_samples, n_features):
        return Choice("span", f"{n_samples:,} samples and {n_features:,} features")
    if is_sparse(X):  # rare features are hardly trained, so that large weights of theirs would stay noise
        return Choice("small", "X is sparse")
    if streams:
        return Choice("scaled", "a stream")
    return Choice("scaled", f"{n_samples:,} samples and {n_features:,} features")


def learning_rate(
    shapes: Sequence[tuple[float, int]], optimizer: Optimizer, step: float, measured: str, share: float = 1.0
) -> Choice:
    """Choose the rate of each layer's weights and biases, a share of what suits them; `shapes` are (n_in, n_out)."""
    rates = tuple((share * weights, share * biases) for weights, biases in optimizer.layer_rates(shapes, step))
    return Choice(rates, f"by the shape of each layer, and {measured}")


def weight_decay(
    rates: Rates,
    given: bool,
    optimizer: Optimizer,
    step: float,
    decay: float,
    n_samples: int,
    streams: bool,
    own: float | None,
    because: str = "",
) -> Choice:
    """Choose the decay of each layer's weights, so that all of them shrink alike; biases do not.

    It belongs to the rates that are chosen, even if others are `given`. `because` says what `decay` follows.
    """
    if own is not None:
        return Choice(own, "as the optimiser has it")
    if streams:
        return Choice(0.0, "a stream, whose length is not known")
    if not optimizer.step_shrinks:
        return Choice(0.0, f"{optimizer.name} has steps of one size")
    if not decay:
        return Choice(0.0, "none is needed")
    shrink = step * decay / n_samples
    reason = f"all weights shrink by {shrink:.2g} in a step{because}"
    if given:
        reason = f'for the rates that "auto" means, at which {reason}, although learning_rate is given'
    return Choice(tuple((shrink / weights, 0.0) for weights, _ in rates), reason)
