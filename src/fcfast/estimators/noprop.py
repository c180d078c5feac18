"""`NoPropClassifier`: the scikit-learn estimator of a stack of NoProp blocks."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_random_state

from fcfast import validation
from fcfast.activations import ACTIVATIONS
from fcfast.estimators import automatic, noprop_automatic
from fcfast.estimators.automatic import Choice, Settings
from fcfast.estimators.base import all_or_nothing
from fcfast.estimators.described import described, samples_entries
from fcfast.estimators.noprop_fitted import FittedNoProp
from fcfast.estimators.noprop_settings import inference_of, variant_of
from fcfast.estimators.samples import SquaredLength, counted_rows, n_counted
from fcfast.estimators.starts import STARTS
from fcfast.estimators.store import stored
from fcfast.estimators.validated import Asked, parted, parted_entries, samples_to_validate, watched
from fcfast.front import FORMS
from fcfast.front.rows import converted
from fcfast.gram.object import fan_in_of, n_features_of
from fcfast.gram.occurring import is_stored_sparse
from fcfast.gram.start import RandomWeights, SpanStart
from fcfast.modelfile.noprop import NoPropHeader
from fcfast.noprop import labels as label_space
from fcfast.noprop.blocks import MAX_BLOCKS, Block, Shape
from fcfast.noprop.labels import EMBEDDINGS, LabelSpace
from fcfast.noprop.network import NoPropNetwork
from fcfast.noprop.variants import VARIANTS, WEIGHTINGS
from fcfast.optimizers import Optimizer, Schedule
from fcfast.planning.plan import DEFAULT_MEMORY_LIMIT, Plan, plan_for
from fcfast.planning.problem import Problem, of_inputs
from fcfast.rules import Backprop
from fcfast.sources.protocol import Source
from fcfast.threads import resolve_n_jobs
from fcfast.training import Callback

if TYPE_CHECKING:
    from typing import Self  # Python 3.11


Array = NDArray[Any]

ORDERS = ("sequential", "random")
MAX_DIMENSIONS = 1_000_000


@stored
class NoPropClassifier(FittedNoProp):
    """A classifier of blocks that each learn by themselves to remove noise from a label (NoProp, arXiv 2503.24322).

    No block passes an error to another. A block sees the input and a noisy label. In training the noisy label is made from the
    true one, so that blocks need not wait for each other and can be trained in parallel threads. In prediction a label starts
    as noise and passes through all blocks. All blocks read the raw input. In form "contributions" one Gram matrix serves all
    blocks, and the cost of a step does not depend on the number of features.

    Regression is not supported; the paper has none either.

    Parameters that are "auto" are chosen in `fit` from the shape and the kind of X, each by itself, so that raw features need
    no arguments. `settings_` says what was chosen and why.

    Parameters
    ----------
    variant : {"dt", "ct", "fm", "backprop"}, default "dt"
        Variant of NoProp. "dt" has discrete times: each block stands for one time, and an epoch is a pass over the samples for
        every block. "ct" has continuous time: one block takes any time from 0 to 1 as an input. "fm" is flow matching: one
        block learns the velocity of a flow from noise to label. "backprop" is the paper's baseline: the blocks of "dt" and a
        linear classifier behind them are trained end to end by backpropagation.
    n_blocks : int or "auto", default "auto"
        Number of blocks, T. "ct" and "fm" have one block and do not use it. "auto" is 5, or the number of steps of a
        `noise_schedule` that is a sequence.
    hidden : (int, int) or "auto", default "auto"
        Numbers of hidden units. The first is the width of each branch of a block and of the first layer behind the branches;
        the second is the width of the second layer behind them. "auto" is (64, 32) for up to 1,000 samples, and (128, 64) for
        more.
    embedding : {"one-hot", "learned", "prototype"}, default "one-hot"
        Kind of points that represent the labels. "one-hot" embeddings are fixed. "learned" embeddings are trained from
        orthogonal starting points; the blocks share them and are therefore trained in turn. "prototype" embeddings are trained
        in the same way, but each starts as the training sample of its class with the smallest median distance to the class.
        They have as many dimensions as there are features.
    embedding_dim : int, default 20
        Number of dimensions of "learned" embeddings.
    activation : {"relu", "leaky_relu", "tanh", "logistic", "identity"}, default "relu"
        Activation of all hidden layers.
    batch_norm : bool, default False
        Whether batch normalisation follows every layer of a block except the last. Predictions use running means and variances.
    noise_schedule : {"auto", "cosine", "linear", "learned"}, object of `fcfast.noprop`, or array-like, default "auto"
        Course from noise to signal over time. "cosine" is a cosine in abar, and "linear" is linear in the logarithm of the
        signal-to-noise ratio. "auto" is "cosine" for "dt" and "linear" for "ct"; "fm" and "backprop" have no schedule. "dt"
        also takes n_blocks + 1 rising values of abar in (0, 1). "ct" with ``loss_weighting="snr"`` can learn the two ends of
        the linear schedule ("learned").
    eta : float, default 1
        Factor of the squared errors relative to the classifier's cross-entropy, which is part of the loss if embeddings are
        learned. Otherwise it scales the whole loss of a block, which has no effect on adaptive optimisers.
    loss_weighting : {"uniform", "snr", "min-snr"}, default "uniform"
        Weight of each squared error. "uniform" is 1. "snr" is the weight in the paper's bound, the change of the
        signal-to-noise ratio. "min-snr" is this ratio, but at most 5. With "snr" late times, when the noisy label shows the
        class already, weigh up to a million times as much as early times. "ct" then learns next to nothing from the input, and
        "dt" needs an adaptive optimiser.
    optimizer : {"neuron-adam", "adamw", "sgd", "muon", "adam", "adagrad", "rmsprop"} or object, default "neuron-adam"
        Optimiser; each block has one of its own. The paper uses "adamw", which needs form "weights". The default is as good on
        MNIST and trains the same network in every form.
    learning_rate : float, sequence or "auto", default "auto"
        Step size. A sequence has one entry for each layer of a block, which holds for all blocks: a number, or a pair of
        numbers for the weights and the biases. The front layer comes first, then the layers on the noisy label (three for "dt"
        and "backprop", one for the others), the layer on the time ("ct" and "fm"), and the three layers on top of them. One
        more entry is for embeddings, classifier, gates and the ends of a schedule where these are trained. "auto" gives each
        layer rates that suit its shape (`fcfast.optimizers.Optimizer.layer_rates`), times 0.3 if one batch holds all samples:
        with "neuron-adam" the weights of a layer with n_in inputs then get 0.075 / n_in, and otherwise 0.25 / n_in. For the
        front layer n_in is the mean squared length of the samples, which is the number of features if they are standardised,
        times 1 + 16 / d with more samples than features.
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
        "auto" is 0; an optimiser that is an object keeps its own.
    max_grad_norm : float or None, default None
        Largest norm of each block's gradient, which is scaled down if it exceeds it. None never scales it.
    order : {"sequential", "random"}, default "sequential"
        Order of the blocks in an epoch. "sequential" makes one pass over the samples for each block in turn; "random" draws a
        block for every batch.
    batch_size : int or "auto", default "auto"
        Number of samples in a batch. "auto" takes up to 1,000 samples as one batch, and otherwise batches of 100.
    max_epochs : int or "auto", default "auto"
        Largest number of epochs. "auto" is 200 if one batch holds all samples, and otherwise as many epochs as make 1,000
        steps of each block, but at least 20 and at most 200.
    tol : float, default 0
        Smallest improvement of the validation score that counts as one.
    n_iter_no_change : int or "auto", default "auto"
        Number of epochs without improvement after which early stopping ends training; "auto" is a fifth of all, but at least
        10. The training loss never ends it, because it goes up and down with the noise that is drawn.
    early_stopping : bool, default False
        Whether to stop when the score of validation samples no longer improves, and keep the best network, as in
        `FrontClassifier`.
    validation_fraction : float, default 0.1
        Fraction of the data that `early_stopping` holds out, or of the groups if `fit` gets any.
    scoring : str, callable or None, default None
        Score of validation samples, as in `FrontClassifier`, but not "loss": the loss of a block depends on the noise that is
        drawn for the labels.
    shuffle : bool, default True
        Whether to shuffle the samples for the first pass of each epoch. The other passes always have orders of their own.
    inference_noise : bool, default False
        Whether predictions use noise, at z_0 and in every step of "dt" and "ct", as in the paper. False uses the mean instead.
    n_steps : int or None, default None
        Number of steps of a prediction, for "ct" and "fm" only. None is 50 for "ct" and 20 for "fm".
    n_runs : int, default 1
        Number of runs with different noise over which probabilities are averaged; more than 1 needs ``inference_noise=True``.
    update : {"posterior", "deterministic"}, default "posterior"
        Step of a prediction with "ct". "posterior" is the step of the chain (eq. 3 of the paper); "deterministic" keeps the
        noise and only scales it.
    form : {"auto", "contributions", "windowed", "weights"}, default "auto"
        Representation of the front layers, as in `FrontClassifier`.
    window : int or "auto", default "auto"
        Number of samples in a window, as in `FrontClassifier`.
    init : {"auto", "span", "glorot"}, default "auto"
        Start of the front layers. "glorot" draws He uniform weights. "span" gives pre-activations the distribution of such
        weights by the smallest weights that produce them, as in `FrontClassifier`. "auto" is "span" for at most 2,000 samples
        with more features than samples, and for a `fcfast.Gram`; otherwise it is "glorot".
    init_scale : float or "auto", default "auto"
        Factor of the front layers' initial weights (He uniform). "auto" gives their pre-activations the deviation 0.1, by the
        mean squared length of the samples.
    standardize : bool, "capped", "scale" or "auto", default "auto"
        Whether to scale every feature to mean 0 and deviation 1, or less where it has rare large values ("capped"), or to
        divide it by its deviation alone ("scale"), as in `FrontClassifier`. "auto" is "capped" for dense data, and False for
        sparse data and for a `fcfast.Gram`.
    missing : {"error", "mean"}, default "error"
        What to do about missing values (NaN), as in `FrontClassifier`.
    memory_limit : int, default 4 GiB
        Largest number of bytes that training may hold in addition to the data.
    dtype : {"float32", "float64"}, default "float32"
        Precision of the parameters and the computation.
    n_jobs : int or None, default None
        Number of threads; None uses all that are available. Blocks that share nothing are trained in parallel, one in each
        thread. The result has the same bits for any number.
    random_state : int, RandomState or None, default None
        Seed of the initial weights, the order of the samples, the noise and the choice of held-out samples.
    verbose : int, default 0
        Amount of output, as in `FrontClassifier`.
    class_weight : dict, "balanced" or None, default None
        Weights of the classes, as in `FrontClassifier`.

    Attributes
    ----------
    classes_ : ndarray of shape (c,)
        Class labels in sorted order.
    settings_ : mapping of str to value
        Values of all parameters that may be "auto", as they were used, with the reasons, as in `FrontClassifier`.
    form_ : {"contributions", "windowed", "weights"}
        Form that was used.
    plan_ : fcfast.planning.plan.Plan
        Predicted time and memory of each form for all blocks.
    embedding_ : ndarray of shape (c, d)
        Embeddings of the classes.
    loss_curve_ : list of float
        Mean training loss of each epoch, averaged over the blocks. It includes the terms of the labels if embeddings or
        schedule are learned.
    validation_scores_ : list of float or None
        Score of the validation samples after each epoch; None without such samples.
    best_epoch_ : int or None
        Number of the epoch with the best validation score, as in `FrontClassifier`.
    n_epochs_ : int
        Number of epochs that were trained.
    outcome_ : fcfast.training.Outcome
        How the last training ended. Model files have it in `card_` alone.
    card_ : fcfast.modelfile.ModelCard
        What the network was trained on, with which settings, outcome and scores. Model files hold it, and ``fcfast show``
        prints it.
    text_ : fcfast.text.TextFeatures or None
        How texts became the features that the network takes, if the model file says so or you set it after `fit`.

    Notes
    -----
    The meaning of `predict_proba` depends on the variant. For "dt" and "ct" it is the distribution over the classes that the
    last block (or step) gives; the label moves towards its mean of embeddings. For "fm" it measures how close the end of the
    flow is to each embedding. For "backprop" it is the classifier's softmax. `predict` takes the class with the largest value.
    With ``inference_noise=True`` all samples share the noise of a run.

    If embeddings and schedule are fixed, the paper's classifier of z_T sees only noisy labels and never the input, so that it
    is left out. If embeddings or schedule are learned, it is trained, because it keeps them from collapsing.

    Examples
    --------
    >>> import numpy as np
    >>> from fcfast import NoPropClassifier
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(60, 5000))
    >>> y = np.where(np.arange(60) % 2, "up", "down")
    >>> X[:, :500] += np.where(y == "up", 0.7, -0.7)[:, None]
    >>> classifier = NoPropClassifier(max_epochs=50, random_state=0).fit(X[:40], y[:40])
    >>> classifier.form_, classifier.score(X[40:], y[40:]) > 0.9
    ('contributions', True)
    >>> classifier.settings_["hidden"], classifier.settings_.reasons["init"]
    ((64, 32), '40 samples and 5,000 features')
    """

    _header = NoPropHeader
    _stops_by_loss = False  # the loss goes up and down with the noise
    _has_validation_loss = False
    _automatic: ClassVar[tuple[str, ...]] = (
        "standardize", "n_blocks", "hidden", "init", "init_scale", "batch_size", "max_epochs", "n_iter_no_change", "schedule",
        "learning_rate", "weight_decay",
    )  # fmt: skip
    _constants = noprop_automatic.CONSTANTS

    def __init__(
        self,
        variant: str = "dt",
        *,
        n_blocks: int | str = "auto",
        hidden: Sequence[int] | str = "auto",
        embedding: str = "one-hot",
        embedding_dim: int = 20,
        activation: str = "relu",
        batch_norm: bool = False,
        noise_schedule: Any = "auto",
        eta: float = 1.0,
        loss_weighting: str = "uniform",
        optimizer: str | Optimizer = "neuron-adam",
        learning_rate: float | str | Sequence[Any] = "auto",
        schedule: str | Schedule = "auto",
        momentum: float = 0.9,
        dampening: float = 0.0,
        nesterov: bool = False,
        weight_decay: float | str | Sequence[Any] = "auto",
        max_grad_norm: float | None = None,
        order: str = "sequential",
        batch_size: int | str = "auto",
        max_epochs: int | str = "auto",
        tol: float = 0.0,
        n_iter_no_change: int | str = "auto",
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        scoring: Any = None,
        shuffle: bool = True,
        inference_noise: bool = False,
        n_steps: int | None = None,
        n_runs: int = 1,
        update: str = "posterior",
        form: str = "auto",
        window: int | str = "auto",
        init: str = "auto",
        init_scale: float | str = "auto",
        standardize: bool | str = "auto",
        missing: str = "error",
        memory_limit: int = DEFAULT_MEMORY_LIMIT,
        dtype: str = "float32",
        n_jobs: int | None = None,
        random_state: Any = None,
        verbose: int = 0,
        class_weight: Any = None,
    ) -> None:
        self.variant = variant
        self.n_blocks = n_blocks
        self.hidden = hidden
        self.embedding = embedding
        self.embedding_dim = embedding_dim
        self.activation = activation
        self.batch_norm = batch_norm
        self.noise_schedule = noise_schedule
        self.eta = eta
        self.loss_weighting = loss_weighting
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.schedule = schedule
        self.momentum = momentum
        self.dampening = dampening
        self.nesterov = nesterov
        self.weight_decay = weight_decay
        self.max_grad_norm = max_grad_norm
        self.order = order
        self.batch_size = batch_size
        self.max_epochs = max_epochs
        self.tol = tol
        self.n_iter_no_change = n_iter_no_change
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.scoring = scoring
        self.shuffle = shuffle
        self.inference_noise = inference_noise
        self.n_steps = n_steps
        self.n_runs = n_runs
        self.update = update
        self.form = form
        self.window = window
        self.init = init
        self.init_scale = init_scale
        self.standardize = standardize
        self.missing = missing
        self.memory_limit = memory_limit
        self.dtype = dtype
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.verbose = verbose
        self.class_weight = class_weight

    # ------------------------------------------------------------------------------------------------------------------
    # parameters

    def _check_parameters(self) -> None:
        super()._check_parameters()
        validation.choice(self.variant, "variant", VARIANTS)
        validation.choice(self.embedding, "embedding", EMBEDDINGS)
        validation.choice(self.loss_weighting, "loss_weighting", WEIGHTINGS)
        validation.choice(self.order, "order", ORDERS)
        if not validation.is_auto(self.n_blocks):
            validation.size(self.n_blocks, "n_blocks", maximum=MAX_BLOCKS)
        validation.size(self.embedding_dim, "embedding_dim", maximum=MAX_DIMENSIONS)
        validation.boolean(self.batch_norm, "batch_norm")
        validation.positive(self.eta, "eta")
        self._branch_and_trunk()
        variant_of(self, np.dtype(self.dtype))
        inference_of(self)
        if self.variant == "backprop" and self.order != "sequential":
            raise ValueError("variant='backprop' trains all blocks in every step, got order='random'; use 'sequential'")

    def _branch_and_trunk(self) -> tuple[int, int]:
        hidden = self._setting("hidden")
        sizes = validation.sequence(noprop_automatic.WIDE if validation.is_auto(hidden) else hidden, "hidden")
        if len(sizes) != 2:
            raise ValueError(f"hidden must be two widths, one of a block's branches and one behind them, got {self.hidden!r}")
        return validation.integer(sizes[0], "hidden", 1), validation.integer(sizes[1], "hidden", 1)

    @property
    def _has_time(self) -> bool:
        return self.variant in ("ct", "fm")

    @property
    def _trains_labels(self) -> bool:
        """Whether there are trained parameters beside those of the blocks."""
        is_learned = isinstance(self.noise_schedule, str) and self.noise_schedule == "learned"
        return self.embedding != "one-hot" or self.variant == "backprop" or is_learned

    @property
    def _n_layers(self) -> int:
        return len(self._shape(1, 1).layers) + 1 + self._trains_labels

    def _shape(self, n_embedding: int, n_classes: int) -> Shape:
        """Give the sizes of a block."""
        activation = ACTIVATIONS[self.activation]
        return Shape(*self._branch_and_trunk(), n_embedding, n_classes, activation, self._has_time, self.batch_norm)

    # ------------------------------------------------------------------------------------------------------------------
    # fitting

    @all_or_nothing
    def fit(
        self,
        X: Any,
        y: ArrayLike | None = None,  # so that a stream, which is refused, is refused for what it is
        sample_weight: ArrayLike | None = None,
        callbacks: Sequence[Callback] = (),
        *,
        X_val: Any = None,
        y_val: ArrayLike | None = None,
        sample_weight_val: ArrayLike | None = None,
        validation_indices: ArrayLike | None = None,
        groups: ArrayLike | None = None,
    ) -> "Self":
        """Train the blocks.

        Parameters
        ----------
        X : ndarray, DataFrame, sparse matrix, numpy.memmap or source (`fcfast.sources`) of shape (N, d)
            Training inputs. Form "contributions" keeps a reference to them for predictions, so do not change them in place.
            Methods that need them raise a RuntimeError if they were changed.
        y : array-like of shape (N,)
            Class labels.
        sample_weight : array-like of shape (N,) or None
            Weights of the samples in the mean over a batch; None weights all samples equally.
        callbacks : sequence of callable
            Functions that are called after each epoch with a `fcfast.training.Epoch`. Training ends if one returns True.
        X_val, y_val, sample_weight_val, validation_indices, groups
            Samples to validate on, or which rows of X these are, as in `FrontClassifier.fit`.

        Returns
        -------
        self

        Raises
        ------
        ValueError, TypeError
            If the data or parameters are invalid, or contradict each other.
        MemoryError
            If the arrays that the form holds would exceed `memory_limit`.
        """
        self.settings_ = Settings()
        self._check_parameters()
        callbacks = validation.functions(callbacks, "callbacks")
        asked = Asked(X_val, y_val, sample_weight_val, validation_indices, groups)
        asked.check(self.early_stopping)
        self._scaling, self._scaled_as, self.text_ = None, self._asked_scaling, None
        self._choose("standardize", lambda: automatic.standardize(X))
        given, (X, y) = X, self._checked(X, y, reset=True)
        weights = self._given_weights(sample_weight, X)
        random_state = check_random_state(self.random_state)
        parts = parted(self, asked, X, y, weights, random_state)
        targets = self._encode_targets(y, False)
        others = samples_to_validate(self, asked, given, X, y, weights, targets, parts)
        samples = samples_entries(X) | parted_entries(parts, others)
        X = self._prepared(parts.X, parts.weights)
        targets, weights = targets[parts.rows], self._sample_weights(parts.weights, parts.y, X)
        self._choose_settings(X, weights)
        self._start(X, targets, weights, random_state)
        self._remember_scaling(X)
        history = self._train(
            np.arange(X.shape[0]), targets, weights, self._schedule, self._setting("max_epochs"), self.tol,
            watched(self, others), callbacks, X=X,
        )  # fmt: skip
        self._note(history)
        self.card_ = described(self, samples)
        return self

    def _choose_settings(self, X: Any, weights: NDArray[np.float64] | None) -> None:
        """Choose everything that depends on the training samples."""
        n_rows, n_samples, length = X.shape[0], n_counted(X, weights), SquaredLength(X, weights)
        self._choose("n_blocks", lambda: noprop_automatic.n_blocks(VARIANTS[self.variant].has_time, self.noise_schedule))
        self._choose("hidden", lambda: noprop_automatic.hidden(n_samples))
        self._choose("init", lambda: noprop_automatic.init(X, n_samples))
        self._choose("init_scale", lambda: noprop_automatic.init_scale(X, length))
        self._choose_course(n_samples, n_rows)
        batch, n_embedding, optimizer = self._batch_size(n_rows), self._n_embedding(X), self._optimizer()
        is_whole = batch >= n_rows
        step = automatic.step(batch, is_whole, 1, Backprop(), self._constants)
        shape = self._shape(n_embedding, len(self.classes_))

        def rates_of(n_in: float, measured: str) -> Choice:
            shapes, of_labels = noprop_automatic.layer_shapes(shape, n_in), n_embedding if self._trains_labels else None
            return noprop_automatic.learning_rate(shapes, of_labels, optimizer, step, is_whole, measured)

        self._choose_rates(X, length, n_samples, rates_of, step)
        if self.verbose:
            print(self.settings_)

    def _n_embedding(self, X: Any) -> int:
        """Give the number of dimensions of the embeddings."""
        by_kind = {"one-hot": len(self.classes_), "learned": self.embedding_dim, "prototype": n_features_of(X)}
        return int(by_kind[self.embedding])

    def _start(
        self,
        X: Any,
        targets: NDArray[np.intp],
        weights: NDArray[np.float64] | None,
        random_state: np.random.RandomState,
    ) -> None:
        """Make the network."""
        optimizer, dtype = self._optimizer(), np.dtype(self.dtype)
        seed = int(random_state.randint(2**31 - 1))
        generator = np.random.default_rng(seed)
        variant, n_classes = variant_of(self, dtype), len(self.classes_)
        n_blocks = 1 if variant.has_time else int(self._setting("n_blocks"))
        embedding = self._first_embedding(X, targets, weights, n_classes, generator)
        learned = self.embedding != "one-hot"
        labels = LabelSpace(embedding, learned, self._trains_labels, variant.is_flow, dtype, generator)
        shape = self._shape(labels.shape[1], n_classes)
        h = shape.n_hidden
        batch_size = self._batch_size(X.shape[0])
        if self.batch_norm and batch_size == 1:
            raise ValueError(
                "batch_norm=True needs batches of at least 2 samples, got 1 sample; raise batch_size, or use batch_norm=False"
            )
        in_span = STARTS[self._setting("init")].in_span
        if not in_span:
            self._refuse_weights(X, "init='glorot'")
        self.plan_ = self._plan(X, n_blocks, optimizer, shape, len(labels.params), in_span)
        self.form_ = self.plan_.form
        n_threads = resolve_n_jobs(self.n_jobs)
        n_features = n_features_of(X)
        initial: Any
        if in_span:
            initial = replace(self._span_start(X, n_blocks * h, seed), counted=counted_rows(weights))
        else:
            # factor from Glorot's bound for all blocks as one layer to the bound of He's uniform weights
            scale = self._setting("init_scale") * ((n_features + n_blocks * h) / n_features) ** 0.5
            initial = RandomWeights(n_blocks * h, n_features, seed, "relu", scale)
            if not np.isfinite(initial.bound):
                raise ValueError(f"init_scale={self.init_scale} makes initial weights too large for {dtype}; use a smaller one")
        form = FORMS[self.form_].variant(is_stored_sparse(X))
        fronts = form.stack(X, self._start_of(form, initial, X), n_blocks, dtype, optimizer.has_velocity, self.n_jobs)
        for front in fronts.forms:
            front.check(X.shape[0], dtype)
        blocks = [Block(shape, shape.initial(generator).astype(dtype), 1) for _ in range(n_blocks)]
        self.network_ = NoPropNetwork(
            variant, shape, fronts, blocks, labels, optimizer, batch_size, self.plan_.window, n_threads, self.order, seed,
            *self._groups_by_layer(),
        )  # fmt: skip
        for block in blocks:
            block.n_threads = self.network_.kernel_threads
        self.network_.inference = inference_of(self)
        self._random_state = random_state

    def _span_start(self, X: Any, n_hidden: int, seed: int) -> SpanStart:
        """Start in the span with the variance of He's uniform weights, times `init_scale`."""
        fan, scale = fan_in_of(X), float(self._setting("init_scale"))
        deviation = scale * (2 / fan) ** 0.5 if fan else 0.0
        if not deviation <= float(np.finfo(self.dtype).max):
            raise ValueError(f"init_scale={scale} makes initial weights too large; use a smaller one")
        return SpanStart(n_hidden, n_features_of(X), seed, deviation)

    def _first_embedding(
        self,
        X: Any,
        targets: NDArray[np.intp],
        weights: NDArray[np.float64] | None,
        n_classes: int,
        generator: np.random.Generator,
    ) -> NDArray[np.float64]:
        if self.embedding == "one-hot":
            return np.eye(n_classes)
        if self.embedding == "learned":
            return label_space.orthogonal(n_classes, self.embedding_dim, generator)
        counted = np.arange(len(targets)) if weights is None else np.flatnonzero(weights)
        missing = np.setdiff1d(np.arange(n_classes), targets[counted])
        if len(missing):
            raise ValueError(
                f"embedding='prototype' needs a training sample of each class, but classes {self.classes_[missing]} have none "
                "(with a weight above 0, and not held out by early_stopping); use another embedding"
            )
        samples = X[counted]
        samples = converted(samples, np.dtype(self.dtype)) if isinstance(samples, Source) else samples
        return label_space.prototypes(samples, targets[counted], n_classes)

    def _plan(self, X: Any, n_blocks: int, optimizer: Optimizer, shape: Shape, n_label_params: int, in_span: bool) -> Plan:
        """Choose the form for all blocks; refuse forms that are not possible or too large."""
        problem = Problem(
            **of_inputs(X, self.dtype), hidden=self._branch_and_trunk(), n_outputs=len(self.classes_),
            batch_size=self._batch_size(X.shape[0]), n_epochs=self._setting("max_epochs"), dtype=self.dtype,
            optimizer=optimizer, rule=Backprop(), compiled=False, n_blocks=n_blocks, layers=tuple(shape.layers.values()),
            n_params=n_blocks * shape.n_params + n_label_params, in_span=in_span,
        )  # fmt: skip
        return plan_for(problem, self.form, self.window, self.memory_limit)
