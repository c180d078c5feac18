"""Checks of arguments. Every message names the argument, the value it got and what to do."""

import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from dataclasses import fields
from numbers import Integral, Real
from typing import Any, SupportsFloat, TypeGuard, TypeVar

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray
from scipy import sparse

Floats = NDArray[np.float64]
MINIMUM, MAXIMUM = np.minimum.reduce, np.maximum.reduce
Item = TypeVar("Item")

LONGEST_ERROR = 100  # characters of a quoted error
MAX_SIZE = 10**12  # of any size, so that products of sizes fit in 64 bits


def unmasked(value: Any, name: str) -> Any:
    """Give the data of a masked array in which nothing is masked, and anything else as it is.

    Raises
    ------
    ValueError
        If values are masked, which NumPy would take for numbers once the mask is lost.
    """
    if not isinstance(value, np.ma.MaskedArray):
        return value
    mask = np.ma.getmask(value)
    if mask is not np.ma.nomask and np.ascontiguousarray(mask).view(bool).any():
        raise ValueError(f"{name} has masked values; fill them in ({name}.filled(...)), or leave the samples out")
    return np.ma.getdata(value)


def real_array(value: ArrayLike, name: str) -> NDArray[Any]:
    """Convert to an array of real numbers, of any shape."""
    value = unmasked(value, name)
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise ValueError(f"{name} is not a regular array of numbers: {error}") from error
    if array.dtype == object or array.dtype.kind not in "biuf":
        raise TypeError(f"{name} must hold real numbers, got an array of dtype {array.dtype}")
    return array


def finite_array(value: ArrayLike, name: str, ndim: int | tuple[int, ...]) -> Floats:
    """Convert to a C-contiguous float64 array of `ndim` dimensions without NaN or infinity."""
    return _finite(real_array(value, name), name, ndim, np.float64)


def finite_floats(value: ArrayLike, name: str, ndim: int) -> NDArray[Any]:
    """Do the same as `finite_array`, but keep single precision."""
    array = real_array(value, name)
    return _finite(array, name, ndim, np.float32 if array.dtype == np.float32 else np.float64)


def _finite(array: NDArray[Any], name: str, ndim: int | tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
    ndims = (ndim,) if isinstance(ndim, int) else ndim
    if array.ndim not in ndims:
        wanted = " or ".join(str(n) for n in ndims)
        raise ValueError(f"{name} must have {wanted} dimension(s), got shape {array.shape}")
    array = np.ascontiguousarray(array, dtype=dtype).reshape(array.shape)
    if not all_finite(array):
        bad = int(array.size - np.isfinite(array).sum())
        raise ValueError(f"{name} holds {bad} value(s) that are NaN or infinite; remove or impute them")
    return array


def all_finite(*arrays: NDArray[Any]) -> bool:
    """Tell whether arrays hold neither NaN nor infinity, without a mask of the same size."""
    with np.errstate(invalid="ignore"):  # the check below looks for these
        # the reductions themselves: every epoch asks, and `array.min()` takes twice as long to get there
        extremes = (reduce(array, axis=None) for array in arrays if array.size for reduce in (MINIMUM, MAXIMUM))
        return all(map(math.isfinite, extremes))


@contextmanager
def clearer_errors(X: Any, y: Any = None, fills_in: bool = True) -> Iterator[None]:
    """Make errors about text and dates in place of numbers name the argument and, for a table, the columns.

    An error about NaN offers to fill it in, if that can be done (`fills_in`).
    """
    refuse_dates(X)
    refuse_malformed(X)
    try:
        yield
    except ValueError as error:
        if str(error).startswith("Input X contains NaN"):
            raise ValueError(
                "Input X contains NaN; fill in what is missing, or use missing='mean', which puts the mean of the training "
                "samples in its place"
                if fills_in
                else "Input X contains NaN, and missing='mean' is not for a kernel that is given as a matrix or a function; "
                "fill in what is missing before it is computed"
            ) from error
        if "could not convert string" not in str(error):
            raise
        if y is not None and _has_text(y):
            raise ValueError(
                f"y holds text ({shortened(error)}); a regression needs numbers, so use a classifier for classes"
            ) from error
        raise ValueError(
            f"X holds text{_without_numbers(X)} ({shortened(error)}); encode it as numbers, or leave it out; for texts use a "
            "vectoriser, or model.text_.transform(texts) of a network that keeps one"
        ) from error
    except TypeError as error:
        if not str(error).startswith("float() argument"):
            raise
        raise TypeError(f"X holds objects{_without_numbers(X)} ({error}); turn them into numbers, or leave them out") from error


def refuse_malformed(X: Any, name: str = "X") -> None:
    """Raise a ValueError for a sparse matrix whose places contradict its shape; compiled code trusts them.

    SciPy takes the arrays of a matrix as they are, and its own `check_format` may cut them. Anything else is passed over.
    """
    if not sparse.issparse(X) or X.ndim != 2:
        return
    fault = ""
    if X.format == "coo":
        fault = _outside(X.row, X.shape[0]) or _outside(X.col, X.shape[1])
    elif X.format in ("csr", "csc", "bsr"):
        minor = X.format == "csc"
        sides = [side // block for side, block in zip(X.shape, getattr(X, "blocksize", (1, 1)), strict=True)]
        fault = _misplaced(X.indptr, sides[minor], len(X.indices), len(X.data)) or _outside(X.indices, sides[not minor])
    if fault:
        raise ValueError(
            f"{name} is a malformed sparse matrix of shape {X.shape}: {fault}; make it anew, for example from "
            "(data, (rows, columns)), and leave its arrays as they are"
        )


def _misplaced(indptr: NDArray[Any], n_slices: int, n_indices: int, n_data: int) -> str:
    """Say what is wrong with the ends of rows or columns; the text is empty if nothing is."""
    if n_indices != n_data:
        return f"there are {n_indices} indices, but {n_data} data"
    if len(indptr) != n_slices + 1:
        return f"indptr has {len(indptr)} numbers, not {n_slices + 1}"
    if indptr[0] != 0 or indptr[-1] > n_indices:
        return f"indptr goes from {indptr[0]} to {indptr[-1]}, not from 0 to at most {n_indices}, the number of entries"
    if (indptr[1:] < indptr[:-1]).any():
        return "the numbers in indptr do not rise"
    return ""


def _outside(indices: NDArray[Any], side: int) -> str:
    """Say which index is outside the shape; the text is empty if none is."""
    if not len(indices):
        return ""
    low, high = indices.min(), indices.max()
    return "" if low >= 0 and high < side else f"it has indices from {low} to {high}, but only 0 to {side - 1} are inside"


def shortened(error: Exception) -> str:
    """Give the message of an error, of which a long value that it quotes at its end is cut: it may be a whole document."""
    message = str(error)
    return message if len(message) <= LONGEST_ERROR else f"{message[:LONGEST_ERROR]} ..."


def refuse_dates(X: Any) -> None:
    """Raise a TypeError for dates and times, which NumPy would take for numbers, in a unit that nobody has chosen."""
    dated = [name for name, dtype in zip(getattr(X, "columns", ()), getattr(X, "dtypes", ()), strict=False) if _is_date(dtype)]
    if dated or _is_date(getattr(X, "dtype", None)):
        raise TypeError(
            f"X holds dates or times{_in_columns(dated)}; turn them into numbers, such as days since a date, or leave them out"
        )


def _is_date(dtype: Any) -> bool:
    return getattr(dtype, "kind", None) in ("m", "M")


def _without_numbers(X: Any) -> str:
    return _in_columns([name for name in getattr(X, "columns", ()) if _has_text(X[name])])


def _in_columns(names: Sequence[Any]) -> str:
    """Name columns in a message, if there are any."""
    return f" in the columns {', '.join(map(repr, names[:5]))}" + (" ..." if len(names) > 5 else "") if names else ""


def _has_text(values: Any) -> bool:
    try:
        np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        return True
    return False


def no_missing_labels(y: NDArray[Any]) -> None:
    """Check that no class label is None, because None cannot be sorted. scikit-learn checks for NaN."""
    n_missing = sum(label is None for label in y.ravel()) if y.dtype == object else 0
    if n_missing:
        raise ValueError(f"y lacks the labels of {n_missing} sample(s), which are None; leave those samples out")


def to_float(value: SupportsFloat) -> float:
    """Convert to float; an integer beyond float64 becomes infinite."""
    try:
        return float(value)
    except OverflowError:
        return math.inf


def positive(value: object, name: str) -> float:
    """Check for a finite real number > 0."""
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{name} must be a number, got {value!r}")
    number = to_float(value)
    if not (math.isfinite(number) and number > 0):
        raise ValueError(f"{name} must be finite and > 0, got {value!r}")
    return number


def in_range(value: object, name: str, low: float, high: float) -> float:
    """Check for a real number in [low, high)."""
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{name} must be a number, got {value!r}")
    number = to_float(value)
    if not low <= number < high:
        raise ValueError(f"{name} must be in [{low:g}, {high:g}), got {value!r}")
    return number


def plain_numbers(settings: Any) -> None:
    """Convert the numbers of a frozen dataclass to Python's own: fractions and NumPy scalars have a different arithmetic."""
    for field in fields(settings):
        value = getattr(settings, field.name)
        if isinstance(value, (bool, np.bool_)):
            value = bool(value)
        elif isinstance(value, Real):
            value = int(value) if isinstance(value, Integral) else float(value)
        object.__setattr__(settings, field.name, value)


def integer(value: object, name: str, minimum: int) -> int:
    """Check for an integer >= minimum."""
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise TypeError(f"{name} must be an integer, got {value!r}")
    if value < minimum:
        raise ValueError(f"{name} must be >= {minimum}, got {value}")
    return int(value)


def size(value: object, name: str, minimum: int = 1, maximum: int = MAX_SIZE) -> int:
    """Check for an integer from minimum to maximum, by default a plausible number of samples, features or units."""
    number = integer(value, name, minimum)
    if number > maximum:
        raise ValueError(f"{name} must be at most {maximum:.0e}, got {to_float(number):.3g}")
    return number


def is_auto(value: object) -> TypeGuard[str]:
    """Tell whether a value is the string "auto" (== would compare an array element by element)."""
    return isinstance(value, str) and value == "auto"


def boolean(value: object, name: str) -> bool:
    """Check for True or False, because any non-empty string, such as "no", is true in Python."""
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name} must be True or False, got {value!r}")
    return bool(value)


def switch(value: object, name: str, words: Collection[str]) -> None:
    """Check for True, False or one of some words."""
    if isinstance(value, str) and value not in words:
        *others, last = ("True", "False", *map(repr, words))
        raise ValueError(f"{name}={value!r} is unknown; use {', '.join(others)} or {last}")
    if not isinstance(value, (str, bool, np.bool_)):
        raise TypeError(f"{name} must be one of {[True, False, *words]}, got {value!r}")


def has_items(value: object) -> TypeGuard[Iterable[Any]]:
    """Tell whether a value is iterable; an array of dimension 0 is not, although it has ``__iter__``."""
    return isinstance(value, Iterable) and getattr(value, "ndim", 1) > 0


def sequence(value: Iterable[Item], name: str) -> list[Item]:
    """Check for an iterable, and return its items as a list."""
    if not has_items(value) or isinstance(value, str):
        raise TypeError(f"{name} must be a list or another sequence, got {value!r}")
    return list(value)


def by_layer(value: object, name: str, n_layers: int) -> Floats:
    """Check for a number >= 0, or a sequence of one per layer, each a number or a pair (for weights, for biases).

    Returns
    -------
    ndarray of shape (n_layers, 2)
        Numbers for the weights and the biases of each layer.
    """
    if not has_items(value) or isinstance(value, str):
        return np.full((n_layers, 2), in_range(value, name, 0, math.inf))
    if isinstance(value, (Mapping, Set, Iterator)):
        raise TypeError(f"{name} must be a number, or a list or another sequence of one per layer, got {value!r}")
    listed = list(value)
    if len(listed) != n_layers:
        raise ValueError(
            f"{name} has {len(listed)} value(s), but the network has {n_layers} layers, the front layer first; give one "
            "number, or one per layer, each a number or a pair (for weights, for biases)"
        )
    pairs = [list(item) if has_items(item) and not isinstance(item, str) else [item, item] for item in listed]
    if any(len(pair) != 2 for pair in pairs):
        raise ValueError(f"{name} has entries that are neither a number nor a pair (for weights, for biases): {value!r}")
    return np.array([[in_range(number, name, 0, math.inf) for number in pair] for pair in pairs])


def functions(value: Iterable[Item], name: str) -> list[Item]:
    """Check for a sequence of functions or other callables, and return a list."""
    listed = sequence(value, name)
    if not all(map(callable, listed)):
        raise TypeError(f"{name} must hold functions or other callables, got {listed!r}")
    return listed


def choice(value: str, name: str, choices: Collection[str]) -> str:
    """Check for one of the strings in `choices`."""
    if not isinstance(value, str) or value not in choices:
        raise ValueError(f"{name}={value!r} is unknown; use one of {', '.join(map(repr, choices))}")
    return value


def samples(X: ArrayLike, y: ArrayLike) -> tuple[Floats, Floats]:
    """Check inputs (N, d) or one input (d,) against targets: scalar, (N,) or (N, c). Returns X (N, d) and y (N, c)."""
    inputs = finite_array(X, "X", (1, 2))
    if inputs.ndim == 1:
        inputs = inputs[None, :]
    if 0 in inputs.shape:
        raise ValueError(f"X is empty, shape {np.shape(X)}; at least one sample and one feature are needed")
    targets = finite_array(y, "y", (0, 1, 2))
    if targets.ndim < 2:
        targets = targets.reshape(-1, 1)
    if len(targets) != len(inputs):
        raise ValueError(f"X has {len(inputs)} sample(s) but y has {len(targets)}; give one target (row) per sample")
    if targets.shape[1] == 0:
        raise ValueError("y has no outputs, shape " + str(np.shape(y)))
    return inputs, targets


def squarable(X: Floats, name: str) -> None:
    """Check that no squared norm of a sample overflows, or underflows to 0 for a nonzero sample."""
    with np.errstate(over="ignore", under="ignore"):  # the check below looks for these
        norms = (X * X).sum(axis=1)
    if not np.isfinite(norms).all() or ((norms == 0) & X.any(axis=1)).any():
        raise ValueError(
            f"{name} has values as large as {np.abs(X).max():.1e} or so small that their squares underflow; rescale it"
        )


def sample_weights(values: Floats, name: str) -> None:
    """Check that sample weights are finite and not negative, and that their sum is positive and finite."""
    total = values.sum()
    if not (values >= 0).all() or not 0 < total < np.inf:
        raise ValueError(
            f"{name} gives weights from {values.min():g} to {values.max():g} with the sum {total:g}; "
            "use finite weights >= 0, not all 0, whose sum is finite"
        )


def chain(weights: Sequence[ArrayLike]) -> list[Floats]:
    """Check a sequence of weight matrices (n_out, n_in) whose shapes fit together."""
    if not has_items(weights):
        raise TypeError(f"weights must be a sequence of matrices (n_out, n_in), got {weights!r}")
    matrices = [finite_array(weight, f"weights[{l}]", 2) for l, weight in enumerate(weights)]
    if not matrices:
        raise ValueError("weights is empty; give at least one matrix (n_out, n_in)")
    for l, matrix in enumerate(matrices):
        if 0 in matrix.shape:
            raise ValueError(f"weights[{l}] is empty, shape {matrix.shape}")
        if l > 0 and matrix.shape[1] != len(matrices[l - 1]):
            raise ValueError(
                f"weights[{l}] has shape {matrix.shape}, but the layer below has {len(matrices[l - 1])} unit(s); "
                "use (n_out, n_in)"
            )
    return matrices


def fit_chain(weights: Sequence[ArrayLike], n_features: int, n_outputs: int) -> list[Floats]:
    """Check a chain of weight matrices against the shapes of the training data."""
    matrices = chain(weights)
    if matrices[0].shape[1] != n_features:
        raise ValueError(f"weights[0] has shape {matrices[0].shape}, but X has {n_features} feature(s)")
    if len(matrices[-1]) != n_outputs:
        raise ValueError(f"the last of weights has shape {matrices[-1].shape}, but y has {n_outputs} output(s)")
    return matrices


def writable_like(array: NDArray[Any], name: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    """Check an array that a kernel will fill."""
    if not isinstance(array, np.ndarray) or array.shape != shape or array.dtype != dtype or not array.flags.c_contiguous:
        got = f"{array.shape}, {array.dtype}" if isinstance(array, np.ndarray) else repr(type(array).__name__)
        raise ValueError(f"{name} must be a C-contiguous array of shape {shape} and dtype {dtype}, got {got}")


def layer_biases(biases: Sequence[ArrayLike], widths: Sequence[int] | NDArray[np.intp], name: str = "biases") -> list[Floats]:
    """Check that there is one bias vector per layer, with one number per unit."""
    vectors = [finite_array(bias, f"{name}[{l}]", 1) for l, bias in enumerate(sequence(biases, name))]
    if [len(vector) for vector in vectors] != list(widths):
        raise ValueError(f"{name} have lengths {[len(v) for v in vectors]}, but the layers have {list(map(int, widths))} units")
    return vectors


def labels(y: ArrayLike, n_samples: int, n_classes: int) -> NDArray[np.intp]:
    """Check class labels 0..n_classes-1, one per sample."""
    array = np.asarray(y)
    if array.shape != (n_samples,) or array.dtype.kind not in "iu":
        raise ValueError(f"y must be {n_samples} integer label(s), got shape {array.shape} and dtype {array.dtype}")
    if len(array) and (array.min() < 0 or array.max() >= n_classes):
        raise ValueError(f"y has labels from {array.min()} to {array.max()}; use 0 to {n_classes - 1}")
    return np.ascontiguousarray(array, dtype=np.intp)


def two_layers(W1: ArrayLike, w2: ArrayLike, n_features: int, n_outputs: int) -> tuple[Floats, Floats]:
    """Check the paper's two layers: W1 (h, d) and w2 (h,) or (c, h). Returns W1 (h, d) and w2 (c, h)."""
    first = finite_array(W1, "W1", 2)
    if first.shape[0] == 0:
        raise ValueError(f"W1 has no hidden units, shape {first.shape}")
    if first.shape[1] != n_features:
        raise ValueError(f"W1 has shape {first.shape}, but X has {n_features} feature(s); use (n_hidden, {n_features})")
    second = finite_array(w2, "w2", (1, 2))
    if second.ndim == 1:
        second = second[None, :]
    if second.shape != (n_outputs, len(first)):
        raise ValueError(
            f"w2 has shape {np.shape(w2)}, but W1 has {len(first)} hidden unit(s) and y {n_outputs} output(s); "
            f"use ({n_outputs}, {len(first)})" + (f" or ({len(first)},)" if n_outputs == 1 else "")
        )
    return first, second
