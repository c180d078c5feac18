"""The parameters of estimators with a front layer."""

from collections.abc import Sequence
from typing import Any, ClassVar

from fcfast import validation
from fcfast.estimators import automatic
from fcfast.estimators.chosen import AutomaticEstimator
from fcfast.estimators.starts import STARTS
from fcfast.front import FORMS
from fcfast.gram.held import kernel_of
from fcfast.kernels.given import PRECOMPUTED
from fcfast.optimizers import Optimizer, Schedule
from fcfast.planning.plan import DEFAULT_MEMORY_LIMIT
from fcfast.rules import Rule, make_rule
from fcfast.sources.standardized import SCALE


class FrontParameters(AutomaticEstimator):
    """An estimator with the parameters of a network that has a front layer."""

    _inits = ("auto", *STARTS)
    _automatic: ClassVar[tuple[str, ...]] = (
        "standardize", "hidden_layer_sizes", "optimizer", "init", "batch_size", "max_epochs", "n_iter_no_change", "schedule",
        "learning_rate", "weight_decay",
    )  # fmt: skip

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

    @property
    def _compares_samples(self) -> bool:
        """Whether the kernel takes products or samples of any kind in place of features."""
        return not kernel_of(self.kernel, self.gamma, self.degree, self.coef0).takes_features

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

    def _takes_sparse(self) -> bool:
        return super()._takes_sparse() and not self._is_pairwise

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.pairwise = self._is_pairwise
        return tags

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
