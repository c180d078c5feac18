"""The training of a command, with progress on a terminal, and what the report says of it."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter
from typing import TYPE_CHECKING, Any

from fcfast.commands.shared import collected_warnings, ending_on_interrupt, number, progress_on_terminal
from fcfast.commands.survival import TASK as SURVIVAL
from fcfast.commands.validation import HELD_OUT, for_fit, validation_report

if TYPE_CHECKING:
    from fcfast.commands.data import Array
    from fcfast.commands.trainingdata import Source
    from fcfast.estimators import FrontClassifier, FrontRegressor

Y_HAS = re.compile(r"(y_val: )?y has ")  # how such errors begin


def trained(source: "Source", settings: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Train and test with settings of an estimator; return the estimator of raw data and the report."""
    import numpy as np

    from fcfast.commands.data import already_looked_at, predictions, training_rows
    from fcfast.commands.scores import scores_of
    from fcfast.estimators import FrontClassifier, FrontRegressor, FrontSurvival
    from fcfast.scaling import of_raw_data

    started = perf_counter()
    kinds: dict[str, Any] = {"classification": FrontClassifier, "regression": FrontRegressor, SURVIVAL: FrontSurvival}
    estimator = kinds[source.task](**settings)
    read = [part.X for part in (source.train, source.validation) if part is not None]
    with already_looked_at(*read), naming_target(source.told_target):
        sentences = fit(estimator, training_rows(source.train), source.train.targets(), **for_fit(source.validation))
    raw = of_raw_data(estimator, None)
    raw.target_names_ = None if source.target_names is None else np.array(source.target_names, dtype=object)
    seconds = perf_counter() - started
    test = source.test
    result = None
    if test is not None:
        predicted = predictions(raw, test.X, test.rows)
        result = scores_of(raw, test.targets(), predicted)
    if source.feature_names is not None:
        raw.feature_names_in_ = np.array(source.feature_names, dtype=object)
    elif hasattr(raw, "feature_names_in_"):
        del raw.feature_names_in_  # names that occur more than once
    raw.text_ = source.text
    n_validated = None if source.validation is None else len(source.validation.rows)
    report = training_report(estimator, seconds, sentences, result)
    report["validation"] = validation_report(estimator, n_validated, source.about["validation_set"] or HELD_OUT)
    return raw, source.about | report


@contextmanager
def naming_target(told: str) -> Iterator[None]:
    """Name the column of the target in errors of the estimators, for which it is y."""
    try:
        yield
    except ValueError as error:
        found = Y_HAS.match(str(error))
        if found is None or not told:
            raise
        where = "in the samples to validate on, " if found[1] else ""
        raise ValueError(f"{where}the target {told} has {str(error)[found.end() :]}") from error


def fit(estimator: "FrontClassifier | FrontRegressor", X: Any, y: "Array | None", **more: Any) -> list[str]:
    """Fit with progress on a terminal; return the warnings."""
    with ending_on_interrupt(), collected_warnings() as sentences, progress_on_terminal(None) as tell:
        tell("reading the data", 0)

        def after_epoch(state: Any) -> None:
            score = "" if state.validation_score is None else f"  validation {state.validation_score:.3f}"
            tell(f"loss {number(state.loss)}{score}", state.epoch, state.max_epochs)

        estimator.fit(X, y, callbacks=[after_epoch], **more)
    if not estimator.loss_curve_:
        raise ValueError(f"training diverged in its first epoch; lower --learning-rate (it was {rate_text(estimator)})")
    return sentences


def rate_text(estimator: "FrontClassifier | FrontRegressor") -> str:
    """Write the learning rate, or that of the front layer."""
    rate = estimator.settings_["learning_rate"]
    return f"{rate:.3g}" if isinstance(rate, float) else f"{rate[0][0]:.3g} in the first layer"


def training_report(estimator: Any, seconds: float, sentences: list[str], result: dict[str, Any] | None) -> dict[str, Any]:
    """Give what the report says of a training, with the scores of a test."""
    reasons = estimator.settings_.reasons
    return {
        "standardized": bool(estimator.settings_["standardize"]),
        "hidden": list(estimator.settings_["hidden_layer_sizes"]),
        "learning_rate": estimator.settings_["learning_rate"],
        "settings": {name: {"value": value, "reason": reasons[name]} for name, value in estimator.settings_.items()},
        "form": estimator.form_,
        "form_reason": estimator.plan_.reason,
        "n_epochs": estimator.n_epochs_,
        "loss": estimator.loss_curve_[-1],
        "loss_function": estimator.network_.loss.name,
        "seconds": seconds,
        "test": result,
        "warnings": sentences,
    }
