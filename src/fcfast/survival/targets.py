"""Targets of survival analysis: structured arrays of an event and a time, as scikit-survival has them."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fcfast import validation
from fcfast.losses.cox import SURVIVAL
from fcfast.validation import all_finite

HOW_TO = "np.array(list(zip(event, time)), dtype=[('event', bool), ('time', float)])"


def survival_targets(y: Any, name: str = "y") -> NDArray[Any]:
    """Check targets, and give them the fields "event" and "time".

    Parameters
    ----------
    y : structured ndarray of shape (N,)
        One field of bool, whether the event was observed (False is censored), and one of numbers, the time of the event or the
        end of the observation. Names and order of the fields do not matter. `sksurv.util.Surv` makes such arrays, and so does
        ``table[["event", "time"]].to_records(index=False)`` of a pandas DataFrame.
    name : str
        Name of the argument in an error.

    Returns
    -------
    ndarray of shape (N,)
        The fields "event" (bool) and "time" (float64).

    Raises
    ------
    TypeError
        If `y` is no structured array with such fields.
    ValueError
        If it has another number of dimensions or masked values, or if a time is negative, NaN or infinite.

    Examples
    --------
    >>> import numpy as np
    >>> from fcfast.survival import survival_targets
    >>> y = np.array([(12, True), (30, False)], dtype=[("months", int), ("relapse", bool)])
    >>> survival_targets(y)["time"]
    array([12., 30.])
    """
    if y is None:
        raise ValueError(
            f"survival_targets requires y to be passed, but the target y is None; {name} has an event and a time of each sample"
        )
    event, time = _fields(np.asarray(validation.unmasked(y, name)), name)
    targets = np.empty(len(event), SURVIVAL)
    targets["event"] = event
    with np.errstate(over="ignore"):  # reported below
        targets["time"] = time
    _check_times(targets["time"], name)
    return targets


def _fields(y: NDArray[Any], name: str) -> tuple[NDArray[Any], NDArray[Any]]:
    """Find the event and the time."""
    fields = [] if y.dtype.names is None else [y[field] for field in y.dtype.names]
    events, times = ([field for field in fields if field.dtype.kind in kinds] for kinds in ("b", "iuf"))
    if len(fields) != 2 or len(events) != 1 or len(times) != 1:
        got = f"an array of shape {y.shape} and dtype {y.dtype}" if y.dtype.names is None else f"the fields {y.dtype}"
        raise TypeError(
            f"{name} must be a structured array of two fields, the event (bool) and the time (numbers), got {got}; make it "
            f"with {HOW_TO}, where event is bool"
        )
    if y.ndim != 1 or any(field.ndim != 1 for field in fields):
        shape = f"shape {y.shape}" if y.ndim != 1 else f"fields of shapes {[field.shape for field in fields]}"
        raise ValueError(f"{name} must have one event and one time for each sample, got {shape}")
    return events[0], times[0]


def _check_times(time: NDArray[np.float64], name: str) -> None:
    if not all_finite(time):
        n_bad = int(len(time) - np.isfinite(time).sum())
        raise ValueError(f"{name} has {n_bad} time(s) that are NaN or infinite; leave those samples out")
    if (time < 0).any():
        raise ValueError(
            f"{name} has {int((time < 0).sum())} negative time(s), the smallest is {time.min():g}; count times from a common "
            "start, such as the diagnosis of each patient"
        )
