"""Model files of survival analysis, from version 6 of the format on. Tensors beside those of the network, all in float64:

====================  ====  ==============================================================================
baseline.times        (K,)  distinct times of the training samples, in rising order
baseline.log_hazards  (J,)  logarithm of the cumulative hazard of output 0 at the last J of them, from the
                            first event on
====================  ====  ==============================================================================
"""

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from fcfast import validation
from fcfast.modelfile.checks import require
from fcfast.modelfile.front import FrontHeader
from fcfast.modelfile.headers import Expected, Tensors
from fcfast.modelfile.scaling import INPUTS
from fcfast.survival import Baseline


@dataclass(frozen=True)
class SurvivalHeader(FrontHeader):
    """The header of a file of a survival analysis, whose one output is a risk score.

    `n_times` is the number of distinct times of the training samples, and `n_hazards` that of the last of them, from the first
    event on.
    """

    later: ClassVar[dict[str, str]] = FrontHeader.later | {"n_times": "6", "n_hazards": "6"}
    may_be_scaled: ClassVar[tuple[list[str], ...]] = tuple(INPUTS)

    n_times: int = field(default_factory=int)
    n_hazards: int = field(default_factory=int)

    def _check_targets(self) -> None:
        require(self.label_dtype is None and self.labels is None, "a survival analysis has no labels")
        require(self.y_ndim is None, "a survival analysis has no y_ndim")
        require(self.n_outputs == 1, f"a survival analysis has one output, but there are {self.n_outputs}")
        validation.integer(self.n_times, "n_times", 1)
        validation.integer(self.n_hazards, "n_hazards", 1)
        require(self.n_hazards <= self.n_times, "it has more hazards than times")

    def tensors(self) -> Expected:
        """Give dtype and shape of every tensor that the file must hold."""
        baseline: Expected = {
            "baseline.times": ("float64", (self.n_times,)), "baseline.log_hazards": ("float64", (self.n_hazards,)),
        }  # fmt: skip
        return super().tensors() | baseline


def baseline_entries(baseline: Baseline) -> dict[str, Any]:
    """Describe a baseline hazard for the header."""
    return {"n_times": len(baseline.times), "n_hazards": len(baseline.log_hazards)}


def baseline_tensors(baseline: Baseline) -> Tensors:
    """Collect the tensors of a baseline hazard."""
    return {"baseline.times": baseline.times, "baseline.log_hazards": baseline.log_hazards}


def baseline_in(tensors: Tensors) -> Baseline:
    """Restore a baseline hazard."""
    times, log_hazards = tensors["baseline.times"], tensors["baseline.log_hazards"]
    require(times[0] >= 0 and bool((np.diff(times) > 0).all()), "the times are not distinct times in rising order")
    require(bool((np.diff(log_hazards) >= 0).all()), "the cumulative hazard falls")
    return Baseline(times, log_hazards)
