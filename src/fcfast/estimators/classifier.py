"""`FrontClassifier`: classification with the front layer in any form."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets, unique_labels

from fcfast.estimators.base import ClassTargets
from fcfast.estimators.front import FrontEstimator
from fcfast.estimators.store import stored
from fcfast.losses import log_softmax, softmax
from fcfast.modelfile.front import ClassifierHeader
from fcfast.optimizers import Optimizer, Schedule
from fcfast.planning.plan import DEFAULT_MEMORY_LIMIT
from fcfast.rules import Rule

if TYPE_CHECKING:
    from typing import Self  # Python 3.11

Array = NDArray[Any]


@stored
class FrontClassifier(ClassifierMixin, ClassTargets, FrontEstimator):
    """A classifier: a dense network trained by SGD on the cross-entropy, its first layer in any form.

    Exactly the network that backpropagation trains (torch.optim.SGD semantics) at a cost per step that, in form
    "contributions", does not depend on the number of features. `explain` splits a pre-activation by training sample.

    Parameters
    ----------
    hidden_layer_sizes : int or sequence of int, default (256,)
        Widths of the hidden layers, the front layer first.
    activation : {"relu", "leaky_relu", "tanh", "logistic", "identity"}, default "relu"
        Of all hidden layers; the leaky slope is 0.01.
    rule : str or object of `fcfast.rules`, default "backprop"
        How deltas are made: "backprop", or one of its alternatives: "local-loss", "fa" and "dfa" (feedback alignment), "frozen"
        (output layer only), "fg-w", "fg-a", "lg-fg-w", "lg-fg-a", "local-fg-w", "local-fg-a", "forward-gradient"
        (see `fcfast.rules.ForwardGradient` for their whole grid). Noise on weights ("fg-w", "lg-fg-w") needs form "weights".
    groups : int or sequence of int, default 1
        Units of each hidden layer above the front layer are in so many groups, connected to the same group below only.
    init_scale : float, default 1
        Factor of the random initial weights and biases, which 1 draws as scikit-learn's MLP does. With far more features than
        samples much of a network's output is that of its random start; 0.1 often predicts better then.
    optimizer : {"sgd", "muon", "neuron-adam", "adam", "adamw"} or object of `fcfast.optimizers`, default "sgd"
        A name takes its settings from the parameters below; an object has its own. "adam" and "adamw" treat each feature by
        itself and need form "weights"; the others train the same network in every form.
    learning_rate : float or sequence, default 0.01
        Step size; wide data that is not scaled, or very wide data, needs a smaller one. A sequence has a rate for each layer,
        the front layer first: a number, or a pair for its weights and its biases; 0 freezes them.
    schedule : {"constant", "cosine", "step", "warm-up", "warm-up-cosine"} or object of `fcfast.optimizers`, default "constant"
        How the learning rate changes over `max_epochs`.
    momentum : float, default 0.9
        In [0, 1), with the meaning that torch.optim.SGD gives it; beta1 of "neuron-adam", "adam" and "adamw".
    dampening : float, default 0
        In [0, 1); of "sgd" only.
    nesterov : bool, default False
        Of "sgd" and "muon".
    weight_decay : float or sequence, default 0
        Weight decay of all parameters, biases included; "sgd" and "adam" add it to the gradient, in the others it is decoupled.
        A sequence has one entry for each layer, as `learning_rate`.
    max_grad_norm : float or None, default None
        Gradients are scaled so that their global norm is at most this.
    batch_size : int or "auto", default "auto"
        "auto" is min(200, N). The last, shorter batch of an epoch is kept.
    max_epochs : int, default 200
    tol : float, default 1e-4
        Improvements of the loss (or the validation score) below this do not count.
    n_iter_no_change : int, default 10
        Epochs without improvement after which training stops.
    early_stopping : bool, default False
        Hold out part of the data, stop by its score (accuracy), and keep the best network.
    validation_fraction : float, default 0.1
        The part held out.
    shuffle : bool, default True
        False takes the samples in order.
    form : {"auto", "contributions", "windowed", "weights"}, default "auto"
        How the front layer is held; all train the same network up to rounding. "contributions": one row per training sample
        and their Gram matrix, for features that outnumber samples and for sparse data. "windowed": the weights, touched
        once per window of samples, for many samples. "weights": the weights, touched every step. "auto" takes the fastest that
        fits, as `fcfast.plan` predicts it for this machine; name a form for the same one on every machine.
    window : int or "auto", default "auto"
        Samples between two passes over what is held; a multiple of the batch size is used.
    memory_limit : int, default 4 GiB
        Bytes that training may hold beside the data.
    dtype : {"float32", "float64"}, default "float32"
        Of computation and parameters.
    n_jobs : int or None, default None
        Threads; None for all available. The bits of the result do not depend on it.
    random_state : int, RandomState or None, default None
        Seeds initial weights, the order of samples and what is held out.
    warm_start : bool, default False
        Continue from the last fit's weights.
    verbose : int, default 0
        1: a progress bar on a terminal (with rich installed), elsewhere a line per epoch; 2: always lines.
    class_weight : dict, "balanced" or None, default None
        Factors of the sample weights, by class.

    Attributes
    ----------
    classes_ : ndarray of shape (c,)
    form_ : {"contributions", "windowed", "weights"}
        The form that was used.
    plan_ : fcfast.planning.plan.Plan
        What each form was predicted to take; ``str(plan_)`` says why this one.
    coefs_, intercepts_ : list of ndarray
        Conventional weights (n_in, n_out) and biases of all layers, read-only. Those of form "contributions" are computed when
        they are first needed, and kept.
    contributions_ : ndarray of shape (N, h)
        Read-only; form "contributions" only.
    loss_curve_ : list of float
        Mean training loss of each epoch.
    validation_scores_ : list of float or None
    n_epochs_ : int
    outcome_ : fcfast.training.Outcome
        How the last training ended. Model files do not hold it.

    Notes
    -----
    In form "contributions" a fitted estimator refers to the training inputs, and a pickle contains them. If X is changed in
    place afterwards, whatever still needs it (`explain`, `partial_fit`, a pickle; predictions, `coefs_` and `save` unless the
    conventional weights are kept already) raises a RuntimeError: fit again, fit on a copy, or use another form. Any
    change of a value is noticed; an exchange of values within a row may not be. `save` writes the conventional weights
    instead of X.

    Ctrl-C ends this fit with a warning, keeps the network of the last whole epoch and returns; within the first epoch it is
    an ordinary `KeyboardInterrupt`. A search (`GridSearchCV`, `cross_val_score`) goes on with its next fit: press it again.

    Targets of a single class are no error: there is nothing to learn, and that class is predicted for any X.

    Examples
    --------
    >>> import numpy as np
    >>> from fcfast import FrontClassifier
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(60, 5000))
    >>> y = np.where(np.arange(60) % 2, "up", "down")
    >>> X[:, :500] += np.where(y == "up", 0.7, -0.7)[:, None]
    >>> classifier = FrontClassifier((32,), random_state=0).fit(X[:40], y[:40])
    >>> classifier.form_, classifier.score(X[40:], y[40:]) > 0.9
    ('contributions', True)
    """

    _header = ClassifierHeader

    def __init__(
        self,
        hidden_layer_sizes: int | Sequence[int] = (256,),
        activation: str = "relu",
        *,
        rule: str | Rule = "backprop",
        groups: int | Sequence[int] = 1,
        init_scale: float = 1.0,
        optimizer: str | Optimizer = "sgd",
        learning_rate: float | Sequence[Any] = 0.01,
        schedule: str | Schedule = "constant",
        momentum: float = 0.9,
        dampening: float = 0.0,
        nesterov: bool = False,
        weight_decay: float | Sequence[Any] = 0.0,
        max_grad_norm: float | None = None,
        batch_size: int | str = "auto",
        max_epochs: int = 200,
        tol: float = 1e-4,
        n_iter_no_change: int = 10,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
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
    ) -> None:
        super().__init__(
            hidden_layer_sizes, activation, rule=rule, groups=groups, init_scale=init_scale, optimizer=optimizer,
            learning_rate=learning_rate, schedule=schedule, momentum=momentum, dampening=dampening, nesterov=nesterov,
            weight_decay=weight_decay, max_grad_norm=max_grad_norm, batch_size=batch_size, max_epochs=max_epochs, tol=tol,
            n_iter_no_change=n_iter_no_change, early_stopping=early_stopping, validation_fraction=validation_fraction,
            shuffle=shuffle, form=form, window=window, memory_limit=memory_limit, dtype=dtype, n_jobs=n_jobs,
            random_state=random_state, warm_start=warm_start, verbose=verbose,
        )  # fmt: skip
        self.class_weight = class_weight

    def _chance(self, targets: Array, weights: Array | None) -> float:
        """Give the entropy of the class frequencies."""
        counts = np.bincount(targets, weights)
        shares = counts[counts > 0] / counts.sum()
        return float(-(shares * np.log(shares)).sum())

    def _encode_more_targets(self, y: Array, classes: ArrayLike | None) -> Array:
        check_classification_targets(y)
        given = None if classes is None else unique_labels(classes)
        known = getattr(self, "classes_", None)
        if known is None and given is None:
            raise ValueError("classes must be given in the first call of partial_fit: all labels that will ever occur")
        if known is not None and given is not None and not np.array_equal(given, known):
            raise ValueError(f"classes is {given}, but the first call of partial_fit, or fit, had {known}")
        labels: Array = known if known is not None else given  # type: ignore[assignment]  # one of them is given
        if unseen := sorted(set(unique_labels(y).tolist()) - set(labels.tolist())):
            raise ValueError(f"y has labels {unseen} that are not among the classes {labels}")
        self.classes_ = labels
        return np.searchsorted(labels, y).astype(np.intp)

    def partial_fit(
        self, X: Any, y: ArrayLike, classes: ArrayLike | None = None, sample_weight: ArrayLike | None = None
    ) -> "Self":
        """Train one epoch on new samples, from where the last call left off, momentum included.

        In form "contributions" the samples join those that are held, at a cost that grows with their number; ``form="auto"``
        takes "windowed" here, which forgets them, and "contributions" for sparse data.

        Parameters
        ----------
        X : ndarray or sparse matrix of shape (N, d)
        y : array-like of shape (N,)
        classes : array-like of shape (c,), or None
            All labels that will ever occur; needed in the first call.
        sample_weight : array-like of shape (N,) or None

        Returns
        -------
        self

        Raises
        ------
        ValueError, TypeError
            For bad data or parameters, labels that are not among the classes, early stopping, or a schedule that needs the
            length of the training.
        MemoryError
            If the Gram matrix of all samples would exceed `memory_limit`; nothing is changed then.
        """
        return self._partial_fit(X, y, sample_weight, classes)

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Give the probability (M, c) of each class in `classes_`: softmax of the outputs, in float64."""
        return softmax(self._outputs(self._validate_new(X)).astype(np.float64))

    def predict_log_proba(self, X: Any) -> NDArray[np.float64]:
        """Give the logarithms (M, c) of the probabilities, in float64: finite also where `predict_proba` gives 0 or 1."""
        return log_softmax(self._outputs(self._validate_new(X)).astype(np.float64))

    def predict(self, X: Any) -> Array:
        """Give the most probable class (M,)."""
        outputs = self._outputs(self._validate_new(X))
        return self.classes_[outputs.argmax(axis=1)]
