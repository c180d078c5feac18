"""Base class of `FrontClassifier` and `FrontRegressor`: their parameters, and the training of a network with a front layer."""

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_random_state

from fcfast import validation
from fcfast.estimators.base import all_or_nothing
from fcfast.estimators.fitted import FittedFront
from fcfast.estimators.samples import copied
from fcfast.front import FORMS
from fcfast.gram.held import kernel_of, products_of
from fcfast.gram.object import Gram, fan_in_of, n_features_of
from fcfast.gram.occurring import is_stored_sparse
from fcfast.gram.start import GivenWeights, InitialWeights, RandomWeights, SpanStart
from fcfast.kernels.given import PRECOMPUTED
from fcfast.optimizers import SCHEDULES, Optimizer, Schedule
from fcfast.planning.plan import DEFAULT_MEMORY_LIMIT, Plan, plan_for
from fcfast.planning.problem import Problem, of_inputs
from fcfast.rules import Rule, make_rule
from fcfast.sources import Standardized
from fcfast.sources.mapped import is_mapped
from fcfast.sources.protocol import Source
from fcfast.threads import resolve_n_jobs
from fcfast.training import Callback
from fcfast.training.compiled import is_compiled
from fcfast.training.network import FrontNetwork
from fcfast.training.upper import block_diagonal

if TYPE_CHECKING:
    from typing import Self  # Python 3.11

Array = NDArray[Any]


class FrontEstimator(FittedFront):
    """Base class of classifier and regressor, which add their targets and the meaning of their outputs."""

    def __init__(
        self,
        hidden_layer_sizes: int | Sequence[int] = (256,),
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
        standardize: bool = False,
        missing: str = "error",
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

    def _chance(self, targets: Array, weights: Array | None) -> float:
        """Give the loss of the best predictions that ignore the inputs; 0 if there is nothing to compare with."""
        return 0.0

    @all_or_nothing
    def fit(
        self,
        X: Any,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        coefs_init: Sequence[ArrayLike] | None = None,
        intercepts_init: Sequence[ArrayLike] | None = None,
        callbacks: Sequence[Callback] = (),
    ) -> "Self":
        """Train the network.

        Parameters
        ----------
        X : ndarray, DataFrame, sparse matrix, numpy.memmap or source (`fcfast.sources`) of shape (N, d)
            Training inputs. Form "contributions" keeps a reference to them for `predict` and `coefs_`, so do not change them in
            place. Methods that need them raise a RuntimeError if they were changed.
        y : array-like of shape (N,), or (N, c) for regression
            Class labels or targets.
        sample_weight : array-like of shape (N,) or None
            Weights of the samples in the mean over a batch; None weights all samples equally.
        coefs_init : sequence of array-like of shape (n_in, n_out), or None
            Initial weights of all layers; None draws them (Glorot uniform, as scikit-learn's MLP does).
        intercepts_init : sequence of array-like of shape (n_out,), or None
            Initial biases of all layers; None draws them.
        callbacks : sequence of callable
            Functions that are called after each epoch with a `fcfast.training.Epoch`. Training ends if one of them returns
            True.

        Returns
        -------
        self

        Raises
        ------
        ValueError, TypeError
            If the data or parameters are invalid.
        MemoryError
            If the Gram matrix of form "contributions" would exceed `memory_limit`.
        """
        self._check_parameters()
        callbacks = validation.functions(callbacks, "callbacks")
        before = getattr(self, "network_", None) if self.warm_start and coefs_init is None else None
        if coefs_init is not None and self.init == "span":
            raise ValueError("coefs_init gives initial weights, but init='span' draws them; use init='auto'")
        if before is None:
            self._scaling, self._scaled_as = None, (self.standardize, self.missing)
        else:
            self._refuse_other_scaling("warm_start")
        X, y = self._validate(X, y, reset=True)
        X = self._kernelized(X)
        if before is not None and isinstance(X, Gram) and not X.has_weights:
            raise ValueError(
                f"warm_start=True continues from weights, but the {X.kernel_name} kernel has none; use partial_fit"
            )
        targets = self._encode_targets(y, before is not None)
        weights = self._sample_weights(sample_weight, y, X)
        random_state = check_random_state(self.random_state)
        if before is not None:
            held, wanted = (before.front.n_features, *map(int, before.widths)), self._widths(X, targets)
            if wanted != held:
                raise ValueError(
                    f"warm_start continues with layers of {held} units, features first, but X, hidden_layer_sizes and y need "
                    f"{wanted}; use warm_start=False"
                )
            coefs_init, intercepts_init = self._coefs(), self._intercepts() if intercepts_init is None else intercepts_init
        X, targets, weights, score = self._split_off(X, y, targets, weights, random_state)
        self._start(X, targets, self.form, self.max_epochs, coefs_init, intercepts_init, random_state)
        self._remember_scaling(X)
        if before is not None and before.rule == self.network_.rule:
            self.network_.rule_state.go_on_from(before.rule_state)
        history = self._train(
            np.arange(X.shape[0]), targets, weights, self._schedule, self.max_epochs, self.tol, score, callbacks,
            self._chance(targets, weights),
        )  # fmt: skip
        self._note(history)
        return self

    @all_or_nothing
    def _partial_fit(self, X: Any, y: ArrayLike, sample_weight: ArrayLike | None, classes: ArrayLike | None) -> "Self":
        """Train one epoch on new samples."""
        self._check_parameters()
        if self.early_stopping or self._schedule != SCHEDULES["constant"]:
            raise ValueError(
                "partial_fit does not know the whole training; use early_stopping=False and schedule='constant', got "
                f"early_stopping={self.early_stopping!r} and schedule={self.schedule!r}"
            )
        first = not hasattr(self, "network_")
        if first:
            self._scaled_as = self.standardize, self.missing
        else:
            self._refuse_changes()
            self._refuse_other_scaling("partial_fit")
        X, y = self._validate(X, y, reset=first)
        targets = self._encode_more_targets(y, classes)
        weights = self._sample_weights(sample_weight, y, X)
        if self._random_state is None:
            coefs, intercepts = (None, None) if first else (self._coefs(), self._intercepts())
            X = self._kernelized(X)
            form = self._streaming_form(X)
            keeps = form == "auto" or FORMS[form].keeps_inputs
            if keeps and not isinstance(X, Gram):  # a stream may reuse the array for the next samples
                X = copied(X)
            self._start(X, targets, form, 1, coefs, intercepts, check_random_state(self.random_state))
            self._remember_scaling(X)
            if first:
                self.loss_curve_, self.validation_scores_ = [], None
            rows = np.arange(X.shape[0])
        else:
            self.network_.front.check_room(X, self.memory_limit)
            X = copied(X) if isinstance(X, Source) and self.network_.front.keeps_inputs else X
            rows = self.network_.append(X)  # if a later line fails, these samples contribute nothing
            self.network_.batch_size, self.network_.window = self._batch_and_window(X.shape[0])
            self._set_groups()
        earlier = rows[0]  # number of samples from earlier calls, whose targets are not used
        targets = np.concatenate([np.zeros((earlier, *targets.shape[1:]), targets.dtype), targets])
        weights = None if weights is None else np.concatenate([np.zeros(earlier), weights])
        history = self._train(rows, targets, weights, SCHEDULES["constant"], 1, 0, None, ())
        self.loss_curve_, self.outcome_ = self.loss_curve_ + history.losses, history.outcome
        self.n_epochs_ = self.n_iter_ = len(self.loss_curve_)
        return self

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
            held["form"] = self.form_ if self.form == "auto" else self.form, self.form_
        for name, (asked, had) in held.items():
            if asked != had:
                raise ValueError(f"partial_fit continues with {name}={had!r}, but it is {asked!r} now; set it back, or use fit")

    def _hidden(self) -> tuple[int, ...]:
        sizes: Any = self.hidden_layer_sizes
        if isinstance(sizes, str):
            raise TypeError(f"hidden_layer_sizes must be integers, got the string {sizes!r}; write (256,) or (256, 128)")
        widths = tuple(sizes) if validation.has_items(sizes) else (sizes,)
        if not widths:
            raise ValueError("hidden_layer_sizes is empty; give at least one hidden layer, the front layer")
        return tuple(validation.size(width, "hidden_layer_sizes") for width in widths)

    def _groups(self) -> tuple[int, ...]:
        """Give the number of groups of each hidden layer; the front layer has 1."""
        hidden = self._hidden()
        given = tuple(self.groups) if validation.has_items(self.groups) else (1, *[self.groups] * (len(hidden) - 1))
        groups = tuple(validation.integer(count, "groups", 1) for count in given)
        if len(groups) != len(hidden) or groups[0] != 1:
            raise ValueError(f"groups={self.groups!r} must have one number per hidden layer, {len(hidden)}, the first one 1")
        for n_in, n_out, count in zip(hidden, hidden[1:], groups[1:], strict=False):
            if n_in % count or n_out % count:
                raise ValueError(f"groups={self.groups!r}: {count} does not divide hidden layers of {n_in} and {n_out} units")
        return groups

    def _check_rates(self) -> None:
        rates, _ = self._rates_and_decays()
        if not rates.any():
            raise ValueError(f"learning_rate must be positive for some layer, got {self.learning_rate!r}")

    def _rates_and_decays(self) -> tuple[Array, Array]:
        """Give learning rates and weight decay (n_layers, 2) of the weights and the biases of each layer."""
        n_layers = len(self._hidden()) + 1
        if validation.has_items(self.learning_rate):
            rates = validation.by_layer(self.learning_rate, "learning_rate", n_layers)
        else:
            rates = np.full((n_layers, 2), validation.positive(self.learning_rate, "learning_rate"))
        return rates, validation.by_layer(self.weight_decay, "weight_decay", n_layers)

    def _settings(self) -> dict[str, Any]:
        """Give the optimiser the largest weight decay of all layers; each layer replaces it by its own."""
        settings = super()._settings()
        if validation.has_items(self.weight_decay):
            settings["weight_decay"] = float(self._rates_and_decays()[1].max())
        return settings

    def _set_groups(self) -> None:
        """Give each layer its learning rate and weight decay if they differ between layers."""
        rates, decays = self._rates_and_decays()
        own_rates, own_decays = validation.has_items(self.learning_rate), validation.has_items(self.weight_decay)
        self.network_.upper.set_groups(rates if own_rates else 1.0, decays if own_decays else None)

    def _start(
        self,
        X: Any,
        targets: Array,
        form: str,
        n_epochs: int,
        coefs_init: Sequence[ArrayLike] | None,
        intercepts_init: Sequence[ArrayLike] | None,
        random_state: np.random.RandomState,
    ) -> None:
        """Make the network: initial weights, the form of the front layer, batch and window."""
        n_samples, widths = X.shape[0], self._widths(X, targets)
        optimizer, dtype, groups = self._optimizer(), np.dtype(self.dtype), self._groups()
        in_span = coefs_init is None and self._in_span(X)
        if not in_span:
            self._refuse_weights(X, "init='glorot'" if coefs_init is None else "coefs_init")
        # This comes first, because it refuses layers that do not fit into memory.
        self.plan_ = self._plan(form, X, widths, n_epochs, optimizer, in_span)
        seed = int(random_state.randint(2**31 - 1))
        initial, weights = self._initial_weights(X, widths, groups, coefs_init, in_span, seed, random_state)
        biases = self._initial_biases(fan_in_of(X), widths, intercepts_init, random_state)
        self.form_ = self.plan_.form
        front = FORMS[self.form_](X, initial, dtype, optimizer.has_velocity, self.n_jobs)
        front.check(n_samples, dtype)
        self.network_ = FrontNetwork(
            front, biases, weights, self.activation, self._loss, optimizer, *self._batch_and_window(n_samples),
            resolve_n_jobs(self.n_jobs), make_rule(self.rule), groups, seed,
        )  # fmt: skip
        self._set_groups()
        self._random_state = random_state

    def _kernelized(self, X: Any) -> Any:
        """Give the Gram matrix of validated samples if the kernel leaves the front layer without weights, else X itself."""
        kernel = kernel_of(self.kernel, self.gamma, self.degree, self.coef0)
        if kernel.has_weights:
            return X
        if isinstance(X, Standardized) and not kernel.takes_features:
            raise ValueError(
                f"standardize={self.standardize} and missing={self.missing!r} prepare features, but kernel={self.kernel!r} "
                "compares samples; prepare them before"
            )
        if isinstance(X, Gram):
            raise ValueError(f"X is a Gram matrix, which has a kernel of its own; leave out kernel={self.kernel!r}")
        return Gram.view(products_of(X, kernel, np.dtype(self.dtype), self.n_jobs, None, None))

    def _widths(self, X: Any, targets: Array) -> tuple[int, ...]:
        """Give the numbers of features, of units in each hidden layer, and of outputs."""
        n_outputs = targets.shape[1] if targets.ndim == 2 else len(getattr(self, "classes_", ()))
        return n_features_of(X), *self._hidden(), n_outputs

    def _plan(self, form: str, X: Any, widths: Sequence[int], n_epochs: int, optimizer: Optimizer, in_span: bool) -> Plan:
        rule = make_rule(self.rule)
        problem = Problem(
            **of_inputs(X, self.dtype), hidden=tuple(widths[1:-1]), n_outputs=widths[-1],
            batch_size=self._batch_size(X.shape[0]), n_epochs=n_epochs, dtype=self.dtype, optimizer=optimizer, rule=rule,
            compiled=is_compiled(rule, optimizer, self._groups(), self._loss), in_span=in_span,
        )  # fmt: skip
        return plan_for(problem, form, self.window, self.memory_limit)

    def _streaming_form(self, X: Any) -> str:
        """Give the form for samples whose number is not known yet; a form that does not keep them is preferred."""
        if self.form != "auto":
            return self.form
        if isinstance(X, Gram) or self.init == "span":
            return "auto"  # the plan leaves no other form than one that keeps the samples
        any_form = self._optimizer().commutes and make_rule(self.rule).stays_in_span
        possible = [
            (kind.keeps_inputs, kind.updates_each_weight, name)
            for name, kind in FORMS.items()
            if kind.is_automatic and (any_form or kind.updates_each_weight) and (kind.takes_sparse or not is_stored_sparse(X))
        ]
        # The first of equals: the library's own forms come before those that users register.
        return min(possible, default=(False, True, "auto"), key=lambda form: form[:2])[-1]

    def _batch_and_window(self, n_samples: int) -> tuple[int, int]:
        batch_size = self._batch_size(n_samples)
        has_velocity = self._optimizer().has_velocity
        return batch_size, FORMS[self.form_].choose_window(self.window, batch_size, n_samples, has_velocity)

    @property
    def _glorot_factor(self) -> int:
        return 2 if self.activation == "logistic" else 6

    def _bound(self, n_in: float, n_out: int) -> float:
        """Give Glorot's bound as scikit-learn's MLP uses it, times `init_scale`."""
        bound = float(self.init_scale) * (self._glorot_factor / (n_in + n_out)) ** 0.5
        if bound > float(np.finfo(self.dtype).max):
            raise ValueError(f"init_scale={self.init_scale} makes initial weights too large; use a smaller one")
        return bound

    def _initial_weights(
        self,
        X: Any,
        widths: Sequence[int],
        groups: Sequence[int],
        coefs_init: Sequence[ArrayLike] | None,
        in_span: bool,
        seed: int,
        random_state: np.random.RandomState,
    ) -> tuple[InitialWeights | SpanStart, list[Array]]:
        """Give W1(0) as a function, and the weights (n_out, n_in) of the layers above it."""
        pairs = list(pairwise(widths))
        if coefs_init is None:
            upper = []
            for (n_in, n_out), count in zip(pairs[1:], (*groups[1:], 1), strict=True):
                bound = self._bound(n_in // count, n_out // count)
                upper.append(random_state.uniform(-bound, bound, (n_out, n_in)) * block_diagonal(n_in, n_out, count))
            if in_span:
                return self._span_start(X, widths[1], self._glorot_factor, widths[1], seed), upper
            initial = RandomWeights(widths[1], widths[0], seed, self.activation, float(self.init_scale))
            if not np.isfinite(initial.bound):
                raise ValueError(f"init_scale={self.init_scale} makes initial weights too large; use a smaller one")
            return initial, upper
        coefs = validation.sequence(coefs_init, "coefs_init")
        arrays = [validation.finite_floats(coef, f"coefs_init[{l}]", 2) for l, coef in enumerate(coefs)]
        if [array.shape for array in arrays] != pairs:
            raise ValueError(f"coefs_init has shapes {[a.shape for a in arrays]}, but the layers need {pairs}, (n_in, n_out)")
        for l, (array, count) in enumerate(zip(arrays[1:-1], groups[1:], strict=True), 1):
            if (array.T[~block_diagonal(array.shape[0], array.shape[1], count)] != 0).any():
                raise ValueError(f"coefs_init[{l}] connects units of different groups; groups={self.groups!r} needs 0 there")
        self._refuse_large(arrays, "coefs_init")
        # The caller may change the array later, so it is copied, unless it is mapped from a file and may exceed memory.
        shared = np.may_share_memory(arrays[0], coefs[0])
        first = arrays[0] if is_mapped(arrays[0]) else arrays[0].astype(self.dtype, copy=shared)
        return GivenWeights(first.T), [array.T for array in arrays[1:]]

    def _initial_biases(
        self,
        fan_in: float,
        widths: Sequence[int],
        intercepts_init: Sequence[ArrayLike] | None,
        random_state: np.random.RandomState,
    ) -> list[Array]:
        if intercepts_init is not None:
            biases = validation.layer_biases(intercepts_init, widths[1:], "intercepts_init")
            self._refuse_large(biases, "intercepts_init")
            return list(biases)
        bounds = [self._bound(fan_in, widths[1]), *(self._bound(i, o) for i, o in pairwise(widths[1:]))]
        return [random_state.uniform(-bound, bound, o) for bound, o in zip(bounds, widths[1:], strict=True)]

    def _refuse_large(self, arrays: Sequence[Array], name: str) -> None:
        """Refuse initial values that exceed the range of `dtype`."""
        for l, array in enumerate(arrays):
            if not np.can_cast(array.dtype, self.dtype) and max(array.max(), -array.min()) > np.finfo(self.dtype).max:
                raise ValueError(f"{name}[{l}] has values too large for dtype={self.dtype!r}")
