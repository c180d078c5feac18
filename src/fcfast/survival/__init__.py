"""Survival times: targets as scikit-survival has them, the concordance index, and the functions that an estimator predicts."""

from fcfast.survival.baseline import Baseline
from fcfast.survival.concordance import comparable_weight, concordance_index
from fcfast.survival.functions import StepFunction
from fcfast.survival.targets import survival_targets

__all__ = ["Baseline", "StepFunction", "comparable_weight", "concordance_index", "survival_targets"]
