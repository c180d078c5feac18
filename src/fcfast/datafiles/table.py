"""The result of reading a file: samples by features, with names and a target."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

SHOWN = 3  # names shown, of features and of columns left out


@dataclass(frozen=True, eq=False)
class Table:
    """Samples by features, with names and an optional target.

    ``str(table)`` is one line that describes how the columns were interpreted.

    Attributes
    ----------
    X : array, csr_array, memmap or `fcfast.sources.Source` of shape (n_samples, n_features)
        Features; a source is read by blocks of features, and never loaded as a whole. An array of objects holds texts (str).
    y : array of shape (n_samples,) or (n_samples, n_outputs), or None
        Target: numbers, or class names (a NumPy string array).
    feature_names : list of str, or None
        Names of the features.
    target_names : list of str, or None
        Names of the classes if `y` holds their indices, or of the outputs if `y` has several columns.
    n_train : int or None
        Number of rows in the published training set, which come first.
    ids : list of str, or None
        Names of the samples.
    skipped : list of str
        Columns left out, because they are not among the required features or beyond `n_features`.
    names_from : str
        Place of the feature names (such as "line 3"); empty if there are none.
    id_name, target_name : str
        Column or array used for the names of the samples and for the target; empty if there is none.
    notes : list of str
        Further decisions of the reader, for the user.
    known : array of bool of shape (n_samples,), or None
        Which samples have a target, if some have none: `y` is NaN or an empty name there. None if all have one.
    marks : list of str, or None
        What the column of marks says of each sample.
    marks_name : str
        This column; empty if there is none.
    """

    X: Any
    y: NDArray[Any] | None = None
    feature_names: list[str] | None = None
    target_names: list[str] | None = None
    n_train: int | None = None
    ids: list[str] | None = None
    skipped: list[str] = field(default_factory=list)
    names_from: str = ""
    id_name: str = ""
    target_name: str = ""
    notes: list[str] = field(default_factory=list)
    known: NDArray[np.bool_] | None = None
    marks: list[str] | None = None
    marks_name: str = ""

    @property
    def has_texts(self) -> bool:
        """Whether X holds texts in place of numbers."""
        return isinstance(self.X, np.ndarray) and self.X.dtype.kind == "O"

    def labelled(self) -> "Table":
        """Give the samples that have a target."""
        if self.known is None or self.y is None:
            return self
        rows = np.flatnonzero(self.known)
        ids, marks = (None if each is None else [each[row] for row in rows.tolist()] for each in (self.ids, self.marks))
        return replace(self, X=self.X[rows], y=self.y[rows], ids=ids, marks=marks, known=None)

    def __str__(self) -> str:
        """Describe in one line the columns used as names, id, target and features."""
        n_samples = self.X.shape[0]
        names = f"names in {self.names_from}" if self.names_from else "no names" if self.feature_names is None else "with names"
        told = [
            f"{n_samples:,} samples",
            names,
            f"id {self.id_name}" if self.id_name else "no id",
            f"target {self.target_name} ({self._about_target()})" if self.y is not None else "no target",
            *([f"marks {self.marks_name}"] if self.marks_name else []),
            self._about_features(),
        ]
        if self.skipped:
            told.append(f"left out: {some(self.skipped)} ({len(self.skipped):,})")
        return "; ".join(told + self.notes)

    def _about_features(self) -> str:
        n_features = self.X.shape[1]
        if self.feature_names:
            return f"{'texts' if self.has_texts else 'features'} {some(self.feature_names)} ({n_features:,})"
        return f"texts in {n_features:,} column(s)" if self.has_texts else f"{n_features:,} features"

    def _about_target(self) -> str:
        assert self.y is not None
        if self.y.ndim == 2 and self.y.shape[1] > 1:
            return f"{self.y.shape[1]} columns"
        kind = "text" if self.y.dtype.kind == "U" or self.target_names is not None else "numbers"
        return kind if self.known is None else f"{kind}, missing in {np.sum(~self.known):,} samples"


def some(names: Sequence[str], n_shown: int = SHOWN) -> str:
    """List the first few names."""
    return ", ".join(map(repr, names[:n_shown])) + (" ..." if len(names) > n_shown else "")
