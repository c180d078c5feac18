"""The training inputs that contributions refer to.

The inputs are the caller's own array. It may be very large, so it is not copied, and the caller may change it unnoticed by the
model. A fingerprint is therefore taken again whenever the inputs are used. It consists of sums of all values and of a sample of
values in their places. Taking it reads the inputs once, as do the products that the inputs are used for.
"""

import hashlib
from collections.abc import Iterator
from copy import deepcopy
from functools import lru_cache
from typing import Any
from weakref import WeakValueDictionary

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from fcfast.sources.mapped import is_mapped
from fcfast.sources.protocol import Source

Array = NDArray[Any]

SUMMED_BYTES = 1 << 18  # bytes that are summed at a time and stay in cache
RUN = 4  # neighbouring values that are sampled together, because they share a line of the cache
RUNS = 1024  # runs of values that are sampled; with more rows, one in each row
GOLDEN = (5**0.5 - 1) / 2  # any number of its multiples, modulo 1, is spread evenly between 0 and 1

# Inputs from pickles by their fingerprint: members of an ensemble that was fitted in several processes share one copy.
_unpickled: "WeakValueDictionary[bytes, Any]" = WeakValueDictionary()


class TrainingInputs:
    """A reference to training inputs, with the fingerprint that they had when the model was fitted.

    Parameters
    ----------
    X : ndarray, memmap, sparse or Source of shape (N, d)
        Training inputs. Sparse inputs with duplicate, unsorted or zero entries are copied and tidied, because SciPy sometimes
        tidies them in place, which must not count as a change.

    Examples
    --------
    >>> import numpy as np
    >>> from fcfast.sources.inputs import TrainingInputs
    >>> X = np.ones((3, 4))
    >>> inputs = TrainingInputs(X)
    >>> inputs.X is X
    True
    >>> X *= 2
    >>> inputs.X
    Traceback (most recent call last):
    RuntimeError: the training inputs X were changed in place after fit, but form 'contributions' needs them to predict; ...
    """

    def __init__(self, X: Any) -> None:
        self._X = tidy(X) if sparse.issparse(X) else X
        self._fingerprint = fingerprint(self._X)

    @property
    def unread(self) -> Any:
        """The inputs for whoever asks for their kind and shape alone, without a look at their values."""
        return self._X

    @property
    def X(self) -> Any:
        """The inputs, if they are unchanged. Only an exchange of values within a row may not be noticed.

        Raises
        ------
        RuntimeError
            If the inputs have been changed.
        """
        if fingerprint(self._X) != self._fingerprint:
            raise RuntimeError(
                "the training inputs X were changed in place after fit, but form 'contributions' needs them to predict; fit "
                "again. To reuse the array, fit on a copy, X.copy(), or with form='windowed', which keeps no inputs"
            )
        return self._X

    def unchecked(self) -> "TrainingInputs":
        """Give a copy that is pickled without a look at the inputs; whoever uses them takes the fingerprint again."""
        copied = object.__new__(_Unchecked)
        copied._X, copied._fingerprint = self._X, self._fingerprint
        return copied

    def __deepcopy__(self, memo: dict[int, Any]) -> "TrainingInputs":
        copied = object.__new__(TrainingInputs)
        copied._X, copied._fingerprint = deepcopy(self.X, memo), self._fingerprint
        return copied

    def __getstate__(self) -> dict[str, Any]:
        """Refuse to pickle inputs that have been changed, because nobody could use the pickle."""
        return {"_X": self.X, "_fingerprint": self._fingerprint}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__ |= state
        # A file that joblib.load(mmap_mode="r") maps needs no memory, and a source may lie in a file, too; samples without a
        # shape, such as strings, are small.
        if hasattr(self._X, "shape") and not is_mapped(self._X) and not isinstance(self._X, Source):
            held = _unpickled.setdefault(self._fingerprint, self._X)
            if _same(held, self._X):
                self._X = held


class _Unchecked(TrainingInputs):
    """Training inputs whose pickle holds them as they are, with the fingerprint that they should have."""

    def __reduce__(self) -> Any:
        return _restored, (self._X, self._fingerprint)


def _restored(X: Any, expected: bytes) -> TrainingInputs:
    inputs = object.__new__(TrainingInputs)
    inputs.__setstate__({"_X": X, "_fingerprint": expected})
    return inputs


def fingerprint(X: Any) -> bytes:
    """Digest the layout of inputs, the sums of their rows, and a sample of their values, spread over all rows and columns.

    A source knows how to digest itself. Nothing is known of samples such as strings and graphs.
    """
    if isinstance(X, Source):
        return X.fingerprint()
    if isinstance(X, (list, tuple)):
        return b""
    if sparse.issparse(X):
        matrix: Any = X
        arrays = matrix.data, matrix.indices, matrix.indptr
        parts = [*(_spread(array, X.shape[0]) for array in arrays), *(_row_sums(array[None]) for array in arrays)]
    else:
        parts = [_sampled(np.asarray(X)), _row_sums(np.asarray(X))]
    digest = hashlib.blake2b(repr([X.shape, *((part.shape, part.dtype.name) for part in parts)]).encode(), digest_size=16)
    for part in parts:
        digest.update((part + part.dtype.type(0)).tobytes())  # 0 and -0 are equal
    return digest.digest()


def _row_sums(X: Array) -> Array:
    """Sum the bits of each row's values as integers; the sums are exact, so that any single change of a value changes one."""
    word = np.dtype(f"u{X.dtype.itemsize}")
    sums = np.zeros(len(X), word)
    for tile in _tiles(X):
        words = (X[tile] + X.dtype.type(0)).view(word)  # 0 and -0 are equal
        sums[tile[0]] += words.sum(axis=1, dtype=word)
    return sums


def _tiles(X: Array) -> Iterator[tuple[slice, slice]]:
    """Split an array into tiles of `SUMMED_BYTES`, each as long as possible along the contiguous axis."""
    by_columns = X.strides[0] < X.strides[1]
    n_lines, length = X.shape[::-1] if by_columns else X.shape
    width = max(1, min(length, SUMMED_BYTES // X.dtype.itemsize))
    height = max(1, SUMMED_BYTES // (width * X.dtype.itemsize))
    for line in range(0, n_lines, height):
        for first in range(0, length, width):
            lines, along = slice(line, line + height), slice(first, first + width)
            yield (along, lines) if by_columns else (lines, along)


def _sampled(X: Array) -> Array:
    if X.size <= RUNS * RUN:
        return np.ascontiguousarray(X)
    return X[_places(*X.shape)]


@lru_cache(maxsize=4)
def _places(n_samples: int, n_features: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Give rows and columns of the values to sample: all rows in turn, at columns that are spread evenly."""
    run = min(RUN, n_features)
    turns = np.arange(max(RUNS, n_samples))
    first = (turns * GOLDEN % 1 * (n_features - run + 1)).astype(np.intp)
    return (turns % n_samples)[:, None], first[:, None] + np.arange(run)


def _spread(values: Array, n_samples: int) -> Array:
    """Give runs of values at even distances."""
    n_runs = max(RUNS, n_samples)
    if len(values) <= n_runs * RUN:
        return values
    first = np.arange(n_runs) * (len(values) - RUN) // (n_runs - 1)
    return values[first[:, None] + np.arange(RUN)]


def tidy(X: Any) -> Any:
    """Give sparse inputs in CSR or CSC, canonical and without stored zeros, so that only a new value changes their arrays."""
    held = X if X.format in ("csr", "csc") else X.tocsr()
    if held.has_canonical_format and held.data.all():
        return held
    copy = held.copy()
    copy.sum_duplicates()
    copy.eliminate_zeros()
    return copy


def _same(X: Any, other: Any) -> bool:
    """Whether inputs are equal in all values and in layout, on which the last digits of products may depend."""
    if type(X) is not type(other) or X.shape != other.shape:
        return False
    if sparse.issparse(X):
        return all(_same(getattr(X, part), getattr(other, part)) for part in ("data", "indices", "indptr"))
    return bool(X.dtype == other.dtype and X.strides == other.strides and np.array_equal(X, other))
