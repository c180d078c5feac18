"""Checks of every table, whatever its file format."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from fcfast.datafiles.cells import column_text
from fcfast.datafiles.table import Table
from fcfast.sources.protocol import Source

FEATURES_REMEDY = "fill these in (--impute mean puts the mean of the training samples there) or leave the {unit}s out"
ROWS_REMEDY = "leave the {unit}s out"  # where nothing is filled in
TARGET_REMEDY = "leave out the {unit}s without a target"


def check_table(
    source: object, table: Table, allow_missing: bool = False, first_row: int = 0, remedy: str = FEATURES_REMEDY
) -> None:
    """Check the types of the arrays, and that their shapes fit together; row `first_row` of the file comes first."""
    X, y = table.X, table.y
    if X.ndim != 2 or 0 in X.shape or not (X.dtype.kind in "biuf" or table.has_texts):
        raise ValueError(
            f"{source}: X has dtype {X.dtype} and shape {X.shape}; real numbers (n_samples, n_features) are needed"
        )
    if table.feature_names is not None and len(table.feature_names) != X.shape[1]:
        raise ValueError(f"{source} has {len(table.feature_names)} feature_names for {X.shape[1]} features; give one for each")
    if table.n_train is not None and not 0 < table.n_train <= X.shape[0]:
        raise ValueError(f"{source}: n_train is {table.n_train}, but there are {X.shape[0]} samples; use 1 to {X.shape[0]}")
    if table.ids is not None and len(table.ids) != X.shape[0]:
        raise ValueError(f"{source} has {len(table.ids)} names of samples for {X.shape[0]} samples; give one for each")
    if table.marks is not None and len(table.marks) != X.shape[0]:
        raise ValueError(f"{source} has {len(table.marks)} marks for {X.shape[0]} samples; give one for each")
    if not isinstance(X, (np.memmap, Source)):  # training reads all of a large file anyway, and checks it then
        refuse_gaps(source, X, table.feature_names, None, remedy, allow_missing, first_row)
    if y is None:
        return
    if y.dtype.kind not in ("biufU" if y.ndim == 1 else "biuf") or y.ndim not in (1, 2) or len(y) != X.shape[0] or 0 in y.shape:
        raise ValueError(
            f"{source}: the target has dtype {y.dtype} and shape {y.shape}, but X has {X.shape[0]} samples; "
            "give a number or a name for each, or several numbers"
        )
    if table.target_names is not None:
        _check_target_names(source, y, table.target_names)
    columns = table.target_names if y.ndim == 2 else ["target"]
    known = y if table.known is None else y[table.known]
    may_lack = y.ndim == 2 and y.shape[1] > 1
    refuse_gaps(
        source, known.reshape(len(known), -1), columns, remedy=TARGET_REMEDY, allow_missing=may_lack, first_row=first_row
    )


def _check_target_names(source: object, y: NDArray[Any], names: list[str]) -> None:
    if y.ndim == 2 and y.shape[1] != len(names):
        raise ValueError(f"{source} has {len(names)} target_names for {y.shape[1]} outputs; give one for each")
    if y.ndim == 1 and y.dtype.kind in "iu" and not (y.min() >= 0 and y.max() < len(names)):
        raise ValueError(
            f"{source} has {len(names)} target_names, but labels {y.min()} to {y.max()}; use 0 to {len(names) - 1}"
        )


def refuse_gaps(
    source: object,
    values: Any,
    columns: Sequence[str | int] | None,
    lines: Sequence[int] | None = None,
    remedy: str = FEATURES_REMEDY,
    allow_missing: bool = False,
    first_row: int = 0,
) -> None:
    """Raise an error for infinity and, unless allowed, NaN (an empty cell) that names the first such column."""
    if values.dtype.kind != "f":
        return
    entries = values.tocoo() if sparse.issparse(values) else None
    numbers = values if entries is None else entries.data
    finite = ~np.isinf(numbers) if allow_missing else np.isfinite(numbers)
    if finite.all():
        return
    if entries is None:
        row_of, column_of = np.nonzero(~finite)
    else:
        row_of, column_of = entries.row[~finite], entries.col[~finite]
    j, row = int(column_of[0]), int(row_of[0])
    column = column_text(j if columns is None else columns[j])
    unit, position = ("row", first_row + row) if lines is None else ("line", lines[row])
    others = len(np.unique(column_of)) - 1
    raise ValueError(
        f"{source}: {column} is empty, NaN or infinite in {np.sum(column_of == j)} {unit}(s), the first is {unit} {position}"
        + (f", and so are {others} more column(s)" if others else "")
        + "; "
        + remedy.replace("{unit}", unit)
    )
