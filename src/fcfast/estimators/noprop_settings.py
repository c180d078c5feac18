"""The variant and the inference settings that the parameters of `NoPropClassifier` describe, and the checks of both."""

from typing import TYPE_CHECKING, Any

import numpy as np

from fcfast import validation
from fcfast.estimators import noprop_automatic
from fcfast.noprop.schedule import SCHEDULES, ContinuousSchedule, LinearNoise, check_continuous, is_continuous, steps_of
from fcfast.noprop.variants import VARIANTS, ContinuousTime, DiscreteTime, EndToEnd, FlowMatching, Inference

if TYPE_CHECKING:
    from fcfast.estimators.noprop import NoPropClassifier

UPDATES = ("posterior", "deterministic")
STEPS = {"ct": 50, "fm": 20}  # steps of a prediction; more did not predict better (docs/noprop.md)
MAX_STEPS = 1_000_000


def inference_of(model: "NoPropClassifier") -> Inference:
    """Give the settings of predictions, which may have changed since training."""
    validation.boolean(model.inference_noise, "inference_noise")
    validation.integer(model.n_runs, "n_runs", 1)
    validation.choice(model.update, "update", UPDATES)
    if model.n_steps is not None:
        validation.size(model.n_steps, "n_steps", maximum=MAX_STEPS)
        if model.variant not in STEPS:
            raise ValueError(
                f"n_steps={model.n_steps} with variant={model.variant!r}, which takes one step for each block; use None"
            )
    if model.n_runs > 1 and not model.inference_noise:
        raise ValueError(f"n_runs={model.n_runs} without noise gives the same result in all runs; use inference_noise=True")
    if model.update != "posterior" and model.variant != "ct":
        raise ValueError(f"update={model.update!r} needs variant='ct', got variant={model.variant!r}; use 'posterior'")
    if model.update != "posterior" and model.inference_noise:
        raise ValueError("update='deterministic' adds no noise in its steps; use inference_noise=False")
    if model.inference_noise and model.variant == "backprop":
        raise ValueError("variant='backprop' has no noise in its steps; use inference_noise=False")
    n_steps = STEPS.get(model.variant) if model.n_steps is None else int(model.n_steps)
    return Inference(model.inference_noise, n_steps, int(model.n_runs), model.update)


def variant_of(model: "NoPropClassifier", dtype: np.dtype[Any]) -> DiscreteTime | ContinuousTime | FlowMatching | EndToEnd:
    """Make the variant; refuse a schedule that it cannot have."""
    given, eta = model.noise_schedule, float(model.eta)
    n_blocks = model._setting("n_blocks")
    if validation.is_auto(n_blocks):  # the data has not been seen yet
        n_blocks = noprop_automatic.n_blocks(VARIANTS[model.variant].has_time, given).value
    is_auto = validation.is_auto(given)
    is_learned = isinstance(given, str) and given == "learned"
    if model.variant in ("fm", "backprop"):
        if not is_auto:
            raise ValueError(f"noise_schedule={given!r} with variant={model.variant!r}, which has none; use 'auto'")
        if model.loss_weighting != "uniform":
            raise ValueError(
                f"loss_weighting={model.loss_weighting!r} needs a noise schedule, but variant={model.variant!r} has none; "
                "use 'uniform'"
            )
        return FlowMatching(eta) if model.variant == "fm" else EndToEnd(int(n_blocks), dtype)
    if is_learned and (model.variant != "ct" or model.loss_weighting != "snr"):
        raise ValueError(
            "noise_schedule='learned' needs variant='ct' and loss_weighting='snr', because only the paper's bound measures "
            f"how good a schedule is; got variant={model.variant!r} and loss_weighting={model.loss_weighting!r}"
        )
    if model.variant == "dt":
        return DiscreteTime(steps_of("cosine" if is_auto else given, int(n_blocks)), eta, model.loss_weighting)
    if isinstance(given, str):
        name = "linear" if is_auto or is_learned else validation.choice(given, "noise_schedule", SCHEDULES)
        given = SCHEDULES[name]
    if not is_continuous(given):
        raise TypeError(f"variant='ct' needs a noise_schedule for all times ('cosine', 'linear' or an object), got {given!r}")
    continuous: ContinuousSchedule = given
    check_continuous(continuous)
    return ContinuousTime(continuous if not is_learned else LinearNoise(), eta, model.loss_weighting, is_learned)
