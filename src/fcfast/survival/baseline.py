"""Breslow's estimate of the baseline hazard, and the functions of time that follow from it and from a sample's output."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fcfast.losses.cox import RiskSets
from fcfast.survival.functions import StepFunction

Floats = NDArray[np.float64]
Functions = NDArray[np.object_]


@dataclass(frozen=True, eq=False)
class Baseline:
    """The cumulative hazard of a sample whose output is 0, at the times of the training samples.

    That of a sample with the output o is exp(o) times as large.

    Attributes
    ----------
    times : ndarray of shape (K,)
        All distinct times of training samples in rising order, those of censored ones included.
    log_hazards : ndarray of shape (J,)
        Logarithm of the cumulative hazard at the last J of these times, from the first event on. Before it the hazard is 0.
    """

    times: Floats
    log_hazards: Floats

    @classmethod
    def estimate(
        cls, event: NDArray[np.bool_], time: Floats, outputs: Floats, sample_weight: Floats | None = None
    ) -> "Baseline":
        """Estimate it as Breslow (J. R. Stat. Soc. B 34, 1972) does: at each time, events over the sum of exp(o) at risk.

        Parameters
        ----------
        event : ndarray of bool of shape (N,)
            Whether the event of each sample was observed; one with a weight at least.
        time : ndarray of shape (N,)
        outputs : ndarray of shape (N,)
            Outputs of the network.
        sample_weight : ndarray of shape (N,) or None
            Weights; samples of weight 0 do not count.
        """
        weights = np.ones(len(time)) if sample_weight is None else sample_weight
        counted = weights > 0
        risk_sets = RiskSets(event[counted], time[counted], weights[counted])
        cumulative = np.logaddexp.accumulate(risk_sets.log_hazards(outputs[counted])[::-1])
        with_events, times = risk_sets.times[::-1], np.unique(time[counted])
        later = times[times >= with_events[0]]
        return cls(times, cumulative[np.searchsorted(with_events, later, side="right") - 1])

    def cumulative_hazards(self, outputs: Floats) -> Floats:
        """Give the cumulative hazards (M, K) at `times` for outputs (M,)."""
        hazards = np.zeros((len(outputs), len(self.times)))
        with np.errstate(over="ignore"):  # an infinite hazard is a survival of 0
            np.exp(outputs[:, None] + self.log_hazards, out=hazards[:, len(self.times) - len(self.log_hazards) :])
        return hazards

    def survival(self, outputs: Floats) -> Floats:
        """Give the probabilities (M, K) of no event up to each of `times` for outputs (M,)."""
        return np.exp(-self.cumulative_hazards(outputs))

    def hazard_functions(self, outputs: Floats) -> Functions:
        """Give the cumulative hazard of each output as a function of time."""
        return self._functions(self.cumulative_hazards(outputs), 0.0)

    def survival_functions(self, outputs: Floats) -> Functions:
        """Give the survival of each output as a function of time."""
        return self._functions(self.survival(outputs), 1.0)

    def _functions(self, values: Floats, before: float) -> Functions:
        functions = np.empty(len(values), dtype=object)
        functions[:] = [StepFunction(self.times, row, before) for row in values]
        return functions
