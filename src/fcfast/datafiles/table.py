"""What has been read: samples by features, and what the file says about them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

SHOWN = 3  # names, of the features and columns left out


@dataclass(frozen=True, eq=False)
class Table:
    """Samples by features, and what the file says about them.

    ``str(table)`` is one line that tells what was taken for what.

    Attributes
    ----------
    X : array, csr_array or memmap of shape (n_samples, n_features)
    y : array of shape (n_samples,) or (n_samples, n_outputs), or None
        Numbers, or class names (a NumPy string array).
    feature_names : list of str, or None
    target_names : list of str, or None
        Names of the classes that an integer `y` counts, or of the outputs of a `y` with several columns.
    n_train : int or None
        The first `n_train` rows are the published training part.
    ids : list of str, or None
        Names of the samples.
    skipped : list of str
        Columns that are no features, as only some were asked for, or the model is narrower.
    names_from : str
        Where the names of the features were found ("line 3", say); empty if there are none.
    id_name, target_name : str
        Which column or array was taken for the names of the samples and for the target; empty if there is none.
    notes : list of str
        What else was decided while reading, for the user to hear.
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

    def __str__(self) -> str:
        """Tell in one line what was taken for names, id, target and features."""
        n_samples, n_features = self.X.shape
        names = f"names in {self.names_from}" if self.names_from else "no names" if self.feature_names is None else "with names"
        told = [
            f"{n_samples:,} samples",
            names,
            f"id {self.id_name}" if self.id_name else "no id",
            f"target {self.target_name} ({self._about_target()})" if self.y is not None else "no target",
            f"features {some(self.feature_names)} ({n_features:,})" if self.feature_names else f"{n_features:,} features",
        ]
        if self.skipped:
            told.append(f"left out: {some(self.skipped)} ({len(self.skipped):,})")
        return "; ".join(told + self.notes)

    def _about_target(self) -> str:
        assert self.y is not None
        if self.y.ndim == 2 and self.y.shape[1] > 1:
            return f"{self.y.shape[1]} columns"
        return "text" if self.y.dtype.kind == "U" or self.target_names is not None else "numbers"


def some(names: Sequence[str], n_shown: int = SHOWN) -> str:
    """Write the first few names."""
    return ", ".join(map(repr, names[:n_shown])) + (" ..." if len(names) > n_shown else "")
