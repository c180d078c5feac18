"""Cox's negative log partial likelihood of survival times, with tied events after Efron.

Cox (J. R. Stat. Soc. B 34, 1972) compares each event with the samples that are at risk at its time, those with the same time or
a later one. Efron (J. Am. Stat. Assoc. 72, 1977) lets m events at the same time leave the risk set one after the other, in no
order: before event l = 0 ... m - 1, a share l / m of each of them has left. With outputs o and weights w the loss of a batch is

    -1 / W  sum over times t with events of  [ sum over events i at t of w_i o_i  -  v_t sum over l of log(R_t - l / m D_t) ]

where R_t and D_t are the sums of w_j exp(o_j) over the samples at risk and over the events at t, v_t is the mean weight of
these events, and W the weight of all events. Weights are those of R's ``coxph`` and of lifelines.
"""

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from fcfast.losses.base import Array, Floats, Loss

Places = NDArray[np.intp]

SURVIVAL = np.dtype([("event", np.bool_), ("time", np.float64)])  # targets: whether the event was observed, and its time


class Cox(Loss):
    """Mean negative log partial likelihood of Cox's proportional hazards, with tied events after Efron.

    The one output of a sample is the logarithm of its hazard, up to a constant that all samples share. Targets are structured
    arrays with the fields "event" (bool) and "time".

    The sum over events is divided by the weight of the events, not of all samples, so that neither the loss nor the size of its
    gradient depends on how many samples are censored. Weights are taken relative to their mean in the batch: a common factor
    changes nothing. A batch without events has loss 0 and gradient 0. Samples are compared within their batch alone. Only a
    batch of all samples gives the partial likelihood of the data; smaller ones give the mean of those of random parts of it.

    Examples
    --------
    >>> import numpy as np
    >>> from fcfast.losses import Cox
    >>> targets = np.array([(True, 1.0), (True, 2.0), (False, 3.0)], dtype=[("event", bool), ("time", float)])
    >>> loss, gradient = Cox().of_batch(np.zeros((3, 1)), targets, np.ones(3))
    >>> np.isclose(loss, (np.log(3) + np.log(2)) / 2), gradient.round(3).tolist()
    (np.True_, [[-0.333], [-0.083], [0.417]])
    """

    name: ClassVar[str] = "cox"

    def of_batch(self, outputs: Array, targets: Array, sample_weight: Floats) -> tuple[float, Array]:
        """Give the loss of a batch and its gradient, in double precision."""
        _refuse_other_targets(outputs, targets)
        gradient = np.zeros(outputs.shape)
        counted = np.flatnonzero(sample_weight > 0)
        known = targets[counted]
        if not known["event"].any():
            return 0.0, gradient
        risk_sets = RiskSets(known["event"], known["time"], sample_weight[counted])
        loss, gradient[counted, 0] = risk_sets.loss(outputs[counted, 0].astype(np.float64))
        return loss, gradient


def _refuse_other_targets(outputs: Array, targets: Array) -> None:
    if targets.dtype.names is None or outputs.shape[1] != 1:
        raise TypeError(
            f"loss 'cox' compares one output with an event and a time, got outputs of shape {outputs.shape} and targets of "
            f"dtype {targets.dtype}; use fcfast.FrontSurvival"
        )


class RiskSets:
    """Who is at risk at each time with an event. All work takes the time of sorting the samples.

    Sums of exponentials are logarithms throughout, so that outputs of any size neither overflow nor vanish.

    Parameters
    ----------
    event : ndarray of bool of shape (N,)
        Whether the event of each sample was observed; one at least.
    time : ndarray of shape (N,)
        When it was, or until when the sample was observed.
    sample_weight : ndarray of shape (N,)
        Weights above 0.

    Attributes
    ----------
    times : ndarray of shape (K,)
        The times with events, the last one first.
    """

    def __init__(self, event: NDArray[np.bool_], time: Floats, sample_weight: Floats) -> None:
        self._order = np.argsort(-time, kind="stable")  # those at risk at a time then come before all others
        sorted_times = time[self._order]
        is_new = np.concatenate([[True], sorted_times[1:] != sorted_times[:-1]])
        period = np.cumsum(is_new) - 1  # number of each sample's time
        last = np.append(np.flatnonzero(is_new)[1:], len(time)) - 1  # sample of each time
        weights = (sample_weight / sample_weight.mean())[self._order]
        self._log_weights = np.log(weights)

        self._events: Places = np.flatnonzero(event[self._order])
        periods = period[self._events]
        self._first: Places = np.flatnonzero(np.concatenate([[True], periods[1:] != periods[:-1]]))  # event of each time
        counts = np.diff(np.append(self._first, len(self._events)))
        self._time_of_event = np.repeat(np.arange(len(counts)), counts)
        with_events = periods[self._first]
        self.times: Floats = sorted_times[last[with_events]]
        self._at_risk = last[with_events]
        self._latest: Places = np.searchsorted(with_events, period)  # the last event that each sample is at risk at
        left = np.arange(len(self._events)) - np.repeat(self._first, counts)  # who left before, of those at the same time
        self._share = left / counts[self._time_of_event]

        self._event_weights = weights[self._events]
        self._weight_of_time: Floats = np.add.reduceat(self._event_weights, self._first)
        self._mean_weights = (self._weight_of_time / counts)[self._time_of_event]

    def _sums(self, outputs: Floats) -> tuple[Floats, Floats]:
        """Give the terms w exp(o) of the samples in the order of `_order`, and their sums over the risk sets, as logarithms."""
        terms = outputs[self._order] + self._log_weights
        return terms, np.logaddexp.accumulate(terms)[self._at_risk]

    def loss(self, outputs: Floats) -> tuple[float, Floats]:
        """Give Cox's loss and its gradient with respect to the outputs (N,)."""
        terms, at_risk = self._sums(outputs)
        at = self._time_of_event
        tied = np.logaddexp.reduceat(terms[self._events], self._first)
        remaining = at_risk[at] + np.log1p(-self._share * np.exp(tied - at_risk)[at])
        total = self._event_weights.sum()
        log_likelihood = self._event_weights @ outputs[self._order][self._events] - self._mean_weights @ remaining

        # What each sample at risk owes to an event, per unit of its exponential; of events at the same time a part has left.
        each = np.log(self._mean_weights) - remaining
        of_time = np.logaddexp.reduceat(each, self._first)
        of_tied = np.logaddexp.reduceat(each + np.log1p(-self._share), self._first)
        so_far = np.append(np.logaddexp.accumulate(of_time[::-1])[::-1], -np.inf)  # of this time and all before it
        owed = so_far[self._latest]
        owed[self._events] = np.logaddexp(so_far[1:], of_tied)[at]
        slopes = np.exp(terms + owed)
        slopes[self._events] -= self._event_weights
        gradient = np.empty_like(slopes)
        gradient[self._order] = slopes / total
        return float(-log_likelihood / total), gradient

    def log_hazards(self, outputs: Floats) -> Floats:
        """Give the logarithm of Breslow's baseline hazard at each of `times`: events over the sum of exp(o) at risk."""
        return np.asarray(np.log(self._weight_of_time) - self._sums(outputs)[1])
