"""What the argument of a layer's call means: numbers of samples, or features."""

from numbers import Integral
from typing import Any

import numpy as np
import torch

from fcfast import validation
from fcfast.torch.tensors import INTEGERS

NO_NUMBERS = (
    "x is empty and holds floating point numbers; give a tensor of integers for no samples, torch.empty(0, dtype=torch.int64)"
)
MASK = "x is a mask of samples; give a tensor of integers, the numbers of those that are meant: mask.nonzero().squeeze(1)"


def row_numbers(x: Any, n_features: int, device: torch.device) -> torch.Tensor | None:
    """Give the row numbers that a call means; None if it means features.

    Parameters
    ----------
    x : object
        Argument of the call. Integers in a tensor are row numbers, in any shape. In an array they are features if it is a
        matrix with `n_features` columns, and row numbers if it has one dimension, as are those in a flat list.
    n_features : int
        Number of features of the samples.
    device : torch.device
        Where the numbers are needed.

    Raises
    ------
    TypeError, ValueError
        If the argument can mean neither.
    """
    if isinstance(x, torch.Tensor):
        if x.ndim == 1 and not len(x) and x.dtype.is_floating_point:
            raise TypeError(NO_NUMBERS)
        return x if x.dtype in INTEGERS else None
    array = _flat(x)
    if array is None or array.dtype.kind not in "biu":
        if array is not None and array.ndim == 1 and not array.size:
            raise TypeError(NO_NUMBERS)
        return None
    if array.ndim == 2 and array.shape[1] == n_features:
        return None
    if array.dtype.kind == "b":
        raise TypeError(MASK)
    if array.ndim > 1:
        raise ValueError(
            f"x is an array of integers of shape {array.shape}, which are neither {n_features} features in each row nor row "
            "numbers in one dimension; give a tensor of integers for row numbers in any shape"
        )
    return torch.from_numpy(array.astype(np.int64)).to(device)


def _flat(x: Any) -> Any:
    """Give an array for what is one, for integers alone and in a flat sequence, and for a column of a table."""
    if isinstance(x, (np.ndarray, np.generic)):
        return np.asarray(validation.unmasked(x, "x"))
    if isinstance(x, Integral):
        return np.asarray(x)
    if isinstance(x, (list, tuple, range)):
        return np.asarray(x) if all(isinstance(item, (Integral, np.bool_)) for item in x) else None
    return np.asarray(x) if hasattr(x, "iloc") and getattr(x, "ndim", 0) == 1 else None
