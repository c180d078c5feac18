"""Harrell's concordance index, counted in a time that grows with N log N.

Samples are sorted by time, the last one first, so that those that outlive an event come before it. How many of them have a
lower risk is then asked of a wavelet matrix, which sorts the ranks of the risks by one binary digit after the other
(Claude, Navarro and Ordóñez, Information Systems 47, 2015).
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fcfast import validation
from fcfast.survival.targets import survival_targets

Floats = NDArray[np.float64]
Places = NDArray[np.intp]


def concordance_index(y: Any, risk: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
    """Give the share of comparable pairs in which the sample with the earlier event has the higher risk.

    A pair is comparable if the event of one sample was observed while the other one was still under observation without it:
    the other has a later time, or the same time and is censored. Equal risks count as half (Harrell et al., Stat. Med. 15,
    1996). This is the first number of scikit-survival's `concordance_index_censored`, except that it also counts risks that
    differ by less than 1e-8 as equal.

    Parameters
    ----------
    y : structured ndarray of shape (N,)
        Events and times, as in `survival_targets`.
    risk : array-like of shape (N,)
        Scores that are higher for earlier events.
    sample_weight : array-like of shape (N,) or None
        Weights of the samples. A pair has the product of its weights; None weights all equally.

    Returns
    -------
    float
        From 0 to 1; 0.5 for scores that know nothing.

    Raises
    ------
    ValueError, TypeError
        If an argument is invalid, or if no pair is comparable.

    Examples
    --------
    >>> import numpy as np
    >>> from fcfast.survival import concordance_index
    >>> y = np.array([(True, 1.0), (False, 2.0), (True, 3.0), (False, 3.0)], dtype=[("event", bool), ("time", float)])
    >>> concordance_index(y, [3.0, 4.0, 1.0, 1.0])  # right for 2 pairs of 4, half for one
    0.625
    """
    targets = survival_targets(y)
    scores = validation.finite_array(risk, "risk", 1)
    weights = np.ones(len(targets)) if sample_weight is None else validation.finite_array(sample_weight, "sample_weight", 1)
    for values, name in ((scores, "risk"), (weights, "sample_weight")):
        if len(values) != len(targets):
            raise ValueError(f"{name} has {len(values)} value(s), but y has {len(targets)}; give one for each sample")
    if sample_weight is not None:
        validation.sample_weights(weights, "sample_weight")
    pairs = _Pairs.of(targets["event"], targets["time"], weights)
    total = pairs.total
    if not total:
        raise ValueError(
            "y has no comparable pairs: no sample with an event has another one that was observed for longer; a concordance "
            "needs one at least"
        )
    ranks = np.unique(scores, return_inverse=True)[1].reshape(-1)[pairs.order]
    lower, equal = _weights_below(ranks, pairs.weights, pairs.n_longer, ranks[pairs.events])
    return float(pairs.weights[pairs.events] @ (lower + equal / 2) / total)


def comparable_weight(targets: NDArray[Any]) -> float:
    """Count the comparable pairs of checked targets."""
    return _Pairs.of(targets["event"], targets["time"], np.ones(len(targets))).total


class _Pairs(NamedTuple):
    """Samples sorted by time, the last one first, and of those with the same time the censored ones first.

    The samples that can be compared with the i-th of `events` are the first `n_longer[i]`.
    """

    order: Places
    weights: Floats
    events: Places
    n_longer: Places

    @classmethod
    def of(cls, event: NDArray[np.bool_], time: Floats, weights: Floats) -> "_Pairs":
        order = np.lexsort((event, -time))
        event, time = event[order], time[order]
        events = np.flatnonzero(event)
        starts = np.flatnonzero(np.concatenate([[True], (time[1:] != time[:-1]) | (event[1:] != event[:-1])]))
        n_longer = starts[np.searchsorted(starts, events, side="right") - 1]
        return cls(order, weights[order], events, n_longer)

    @property
    def total(self) -> float:
        """Weight of all pairs."""
        return float(self.weights[self.events] @ _summed(self.weights)[self.n_longer])


def _weights_below(ranks: Places, weights: Floats, ends: Places, limits: Places) -> tuple[Floats, Floats]:
    """Sum the weights of the first `ends[i]` items whose rank is below `limits[i]`, and of those whose rank is equal."""
    starts, ends = np.zeros_like(ends), ends.copy()
    below = np.zeros(len(ends))
    for digit in reversed(range(int(ranks.max()).bit_length())):
        is_one = (ranks >> digit & 1).astype(bool)
        zeros = np.concatenate([[0], np.cumsum(~is_one)])
        weights_of_zeros = _summed(np.where(is_one, 0.0, weights))
        asks_for_one = (limits >> digit & 1).astype(bool)
        below += np.where(asks_for_one, weights_of_zeros[ends] - weights_of_zeros[starts], 0.0)
        starts, ends = (np.where(asks_for_one, zeros[-1] + places - zeros[places], zeros[places]) for places in (starts, ends))
        order = np.argsort(is_one, kind="stable")
        ranks, weights = ranks[order], weights[order]
    summed = _summed(weights)
    return below, summed[ends] - summed[starts]


def _summed(weights: Floats) -> Floats:
    """Give the sums of the first 0, 1, 2 ... weights."""
    return np.concatenate([[0.0], np.cumsum(weights)])
