"""Parameters that estimators have in common: their checks, and what their values stand for."""

from typing import Any, ClassVar

import numpy as np
from sklearn.base import BaseEstimator

from fcfast import validation
from fcfast.activations import ACTIVATIONS
from fcfast.estimators.automatic import Settings
from fcfast.estimators.scoring import scorer_of
from fcfast.front import FORMS
from fcfast.optimizers import OPTIMIZERS, SCHEDULES, Optimizer, Schedule
from fcfast.optimizers.base import DEFAULT_SETTINGS
from fcfast.sources.running import RUNNING
from fcfast.sources.standardized import CAPPED, MISSING, SCALE
from fcfast.threads import resolve_n_jobs


class CheckedParameters(BaseEstimator):
    """An estimator whose parameters say how a network is trained."""

    settings_: Settings
    _optimizer_settings: ClassVar[dict[str, Any]] = DEFAULT_SETTINGS
    _largest_batch = 200  # of batch_size="auto"
    _inits: ClassVar[tuple[str, ...]] = ("auto", "span", "glorot")
    _automatic: ClassVar[tuple[str, ...]] = ()  # parameters that may be "auto" and are chosen in `fit`

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

    def _batch_size(self, n_samples: int) -> int:
        batch = self._setting("batch_size")
        return min(self._largest_batch if validation.is_auto(batch) else int(batch), n_samples)

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

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = self._takes_sparse()
        tags.input_tags.allow_nan = self.missing == "mean"
        return tags


def _is_set(value: Any, default: Any) -> bool:
    """Whether a parameter, which may not have been checked yet, differs from its default."""
    return isinstance(value, np.ndarray) or bool(value != default)


def _named_optimizer(name: str) -> type[Optimizer]:
    """Give the class of an optimiser, SGD for "auto" before samples are known, and the base class for an unknown name."""
    kind: type[Optimizer] = OPTIMIZERS.get("sgd" if validation.is_auto(name) else name, Optimizer)
    return kind
