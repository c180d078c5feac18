"""The training of a command, with progress on a terminal, and what the report says of it."""

from typing import TYPE_CHECKING, Any

from fcfast.commands.shared import collected_warnings, ending_on_interrupt, number, progress_on_terminal

if TYPE_CHECKING:
    from fcfast.commands.data import Array
    from fcfast.estimators import FrontClassifier, FrontRegressor


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
