"""`FrontClassifier`: classification with the front layer in any form."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import ClassifierMixin
from sklearn.metrics import accuracy_score
from sklearn.utils.multiclass import check_classification_targets, unique_labels

from fcfast.estimators import automatic
from fcfast.estimators.front import FrontEstimator
from fcfast.estimators.multilabel import LabelTargets, subset_accuracy
from fcfast.estimators.store import stored
from fcfast.estimators.stream_predictions import scored, takes_streams
from fcfast.losses import CrossEntropy, log_sigmoid, log_softmax
from fcfast.losses.cross_entropy import entropy
from fcfast.modelfile.front import ClassifierHeader
from fcfast.optimizers import Optimizer, Schedule
from fcfast.planning.plan import DEFAULT_MEMORY_LIMIT
from fcfast.rules import Rule

if TYPE_CHECKING:
    from typing import Self  # Python 3.11

    from fcfast.onnx.graph import Graph

Array = NDArray[Any]


@stored
class FrontClassifier(ClassifierMixin, LabelTargets, FrontEstimator):
    """A dense network for classification, trained on the cross-entropy with its first layer in any form.

    Targets are classes in one column, or several labels that a sample has or has not, in a column of 0 and 1 for each. Labels
    are trained on the logistic loss, summed over the labels, and some of them may be missing (NaN).

    Training gives exactly the network that backpropagation with torch.optim.SGD's semantics gives. In form "contributions" the
    cost of a step does not depend on the number of features. `explain` splits a pre-activation by training sample.

    No argument is needed: parameters that are "auto" are chosen in `fit` from the shape and the kind of X, each by itself, and
    `settings_` says what was chosen and why.

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
        other hidden biases are 0, and the output biases are the logarithms of the class frequencies. "glorot" draws weights
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
        "adagrad" for more than 2,000 sparse samples with still more features, where rare features need longer steps, unless
        `learning_rate`, `weight_decay`, `max_grad_norm`, `dampening`, `nesterov`, `standardize` (other than "scale"), `rule`,
        `kernel` or another form is given, and otherwise "sgd".
    learning_rate : float, sequence or "auto", default "auto"
        Step size. A sequence has one entry for each layer, beginning with the front layer: a number, or a pair of numbers for
        the weights and the biases. A rate of 0 freezes them. "auto" gives each layer rates that suit its shape: with "sgd" and
        the step s = 4 (8 if batches are drawn), the weights of a layer with n_in inputs and n_out units get s n_out / (64
        n_in), and its biases get a tenth of s n_out / 64; the output layer counts as n_out = 64. For the front layer n_in is
        the mean squared length of the samples, which is the number of features if they are standardised. Other optimisers have
        rules of their own (`fcfast.optimizers.Optimizer.layer_rates`); with c < 8 classes, "adagrad" and "rmsprop" take
        c / 8 of these rates on sparse samples.
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
        With the rates of `learning_rate="auto"`, "auto" lets all weights shrink by s x 0.03 / N in a step, with the s above,
        and leaves biases as they are. It is 0 for optimisers other than "sgd" and in `partial_fit`; an optimiser that is an
        object keeps its own.
    max_grad_norm : float or None, default None
        Largest global norm of the gradients, which are scaled down if they exceed it. None never scales them.
    batch_size : int or "auto", default "auto"
        Number of samples in a batch. The last batch of an epoch may be shorter and is used too. "auto" takes up to 1,000
        samples as one batch, and otherwise, or in `partial_fit`, batches of 100.
    max_epochs : int or "auto", default "auto"
        Largest number of epochs. "auto" is 200 if one batch holds all samples, and otherwise as many epochs as make 2,000
        steps, but at least 20 and at most 200.
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
        Score of validation samples; the higher, the better. None is the accuracy, as `score` gives it, but of several labels
        the share of all labels that are right, because all labels of a sample are rarely right at once. "loss" is minus the
        validation loss. Any other name is that of a scorer of scikit-learn, such as "roc_auc", "neg_log_loss" or
        "balanced_accuracy"; a function ``scorer(estimator, X, y)`` may be what sklearn.metrics.make_scorer gives.
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
    class_weight : dict, "balanced" or None, default None
        Weights of the classes, by which the weights of their samples are multiplied. "balanced" makes them inversely
        proportional to the class frequencies. Where classes are unequal it raises the balanced accuracy, but the probabilities
        then suit equally frequent classes, which costs log-loss. It is refused for several labels.
    label_smoothing : float, default 0
        Share of the target probability in [0, 1) that is spread evenly over all classes, as in torch.nn.CrossEntropyLoss: a
        sample of class k has the target probabilities ``(1 - label_smoothing) * one_hot(k) + label_smoothing / c``. Weights of
        samples and of classes multiply the whole loss of a sample, whereas PyTorch's `weight` multiplies the terms of the
        smoothed loss each by the weight of its own class. With several labels a label y of 0 or 1 has the target
        ``(1 - label_smoothing) y + label_smoothing / 2``.

    Attributes
    ----------
    classes_ : ndarray of shape (c,)
        Class labels in sorted order, or for several labels the numbers of their columns, from 0.
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
        Mean loss of the validation samples after each epoch, with the weights of the classes; None without such samples.
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

    Targets with a single class are allowed. There is nothing to learn then, and this class is predicted for any X.

    Examples
    --------
    >>> import numpy as np
    >>> from fcfast import FrontClassifier
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(60, 5000))
    >>> y = np.where(np.arange(60) % 2, "up", "down")
    >>> X[:, :500] += np.where(y == "up", 0.7, -0.7)[:, None]
    >>> classifier = FrontClassifier(random_state=0).fit(X[:40], y[:40])
    >>> classifier.form_, classifier.score(X[40:], y[40:]) > 0.9
    ('contributions', True)
    >>> classifier.settings_["hidden_layer_sizes"], classifier.settings_.reasons["init"]
    ((64,), '40 samples and 5,000 features')
    """

    _header = ClassifierHeader

    @property
    def _constants(self) -> automatic.Constants:  # type: ignore[override]  # the targets decide here
        return automatic.LABELS if self._is_multilabel else automatic.CLASSES

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
        class_weight: Any = None,
        label_smoothing: float = 0.0,
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
        self.class_weight = class_weight
        self.label_smoothing = label_smoothing

    def _check_parameters(self) -> None:
        super()._check_parameters()
        CrossEntropy(self.label_smoothing)

    def _chance(self, targets: Array, weights: Array | None) -> float:
        """Give the loss of the smoothed frequencies of the classes, or of the labels."""
        if self._is_multilabel:
            return self._loss_of_frequencies(targets, weights)
        counts = np.bincount(targets, weights, minlength=len(self.classes_))
        return entropy(CrossEntropy(self.label_smoothing).smoothed(counts / counts.sum()))

    def _encode_more_targets(self, y: Array, classes: ArrayLike | None) -> Array:
        if self._is_multilabel:
            return self._more_labels(y, classes)
        check_classification_targets(y)
        given = None if classes is None else unique_labels(classes)
        known = getattr(self, "classes_", None)
        if known is None and given is None:
            raise ValueError("the first call of partial_fit needs classes, all labels that will ever occur")
        if known is not None and given is not None and not np.array_equal(given, known):
            raise ValueError(f"classes is {given}, but the first call of partial_fit, or fit, had {known}")
        labels: Array = known if known is not None else given  # type: ignore[assignment]  # one of them is given
        self.classes_ = labels
        return self._encode_known_targets(y)

    def partial_fit(
        self, X: Any, y: ArrayLike | None = None, classes: ArrayLike | None = None, sample_weight: ArrayLike | None = None
    ) -> "Self":
        """Train one epoch on new samples and continue from the last call, including its momentum.

        In form "contributions" the samples are appended to those that are held, and the cost grows with their number.
        ``form="auto"`` takes "windowed" here, which does not keep samples, and for sparse data "contributions" where the
        optimiser needs it. Sparse samples may bring features that have not occurred before.

        Parameters
        ----------
        X : ndarray or sparse matrix of shape (N, d)
            New samples.
        y : array-like of shape (N,) or (N, L)
            Class labels, or several labels of each sample as 0 and 1, some of which may be missing (NaN).
        classes : array-like of shape (c,), or None
            All class labels that will ever occur; the first call needs them. Several labels need none.
        sample_weight : array-like of shape (N,) or None
            Weights of the samples; None weights all samples equally.

        Returns
        -------
        self

        Raises
        ------
        ValueError, TypeError
            If the data or parameters are invalid, if a label is not among the classes, or with early stopping or a schedule,
            which need the length of the whole training.
        MemoryError
            If the Gram matrix of all samples would exceed `memory_limit`; the estimator is unchanged then.
        """
        return self._partial_fit(X, y, sample_weight, classes)

    @takes_streams
    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Give the probability (M, c) of each class in `classes_`, which is the softmax of the outputs, in float64.

        If samples have several labels, it is the probability (M, L) that a sample has each label.
        """
        outputs = self._outputs_of(X).astype(np.float64)
        return self.network_.loss.predictions(outputs)

    @takes_streams
    def predict_log_proba(self, X: Any) -> NDArray[np.float64]:
        """Give the logarithms (M, c) of the probabilities in float64; they are finite even if `predict_proba` gives 0 or 1."""
        outputs = self._outputs_of(X).astype(np.float64)
        return log_sigmoid(outputs) if self._is_multilabel else log_softmax(outputs)

    @takes_streams
    def predict(self, X: Any) -> Array:
        """Give the most probable class (M,), or which labels (M, L) are more probable than not, as 0 and 1."""
        outputs = self._outputs_of(X)
        if self._is_multilabel:
            return (outputs > 0).astype(np.int64)
        return self.classes_[outputs.argmax(axis=1)]

    def _add_results(self, graph: "Graph", outputs: str) -> None:
        from fcfast.onnx.results import add_classes, add_labels

        if self._is_multilabel:
            add_labels(graph, outputs, self.network_.loss.onnx_predictions(graph, outputs), len(self.classes_))
        else:
            add_classes(graph, self.classes_, outputs, graph.node("Softmax", outputs, axis=1))

    def score(self, X: Any, y: ArrayLike | None = None, sample_weight: ArrayLike | None = None) -> float:
        """Give the accuracy; the blocks of a stream hold `y` and `sample_weight`, which are left out then.

        If samples have several labels, it is the share of samples of which all labels are right; labels that are missing in `y`
        do not count, nor do samples without any.
        """
        predicted, truth, weights = scored(self, X, y, sample_weight)
        if self._is_multilabel:
            return subset_accuracy(truth, predicted, weights)
        return float(accuracy_score(truth, predicted, sample_weight=weights))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags
