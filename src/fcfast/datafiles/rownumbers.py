"""Columns that number the rows: an index written as a column would leak the order of the samples into a model."""

import re
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from fcfast.datafiles.table import Table

INDEX = re.compile(r"|Unnamed: \d+(_level_\d+)?|index|level_\d+|__index_level_\d+__")  # pandas' names for an index
OTHERS = re.compile(r"\.\.\.\d+|row_?(n|nr|num|number|names?|id|index)", re.IGNORECASE)  # readr, dplyr, polars, R
FEWEST = 5  # rows; fewer can be 0, 1, 2 by chance


def refuse_row_numbers(source: object, table: Table) -> None:
    """Raise an error for features that number the rows by name and values; note features that do so by their values alone.

    Raises
    ------
    ValueError
        If a feature has the name of a pandas index and holds distinct whole numbers, or if it has a name that other programs
        give to row numbers and counts from 0 or 1.
    """
    X, names = table.X, table.feature_names
    if names is None or sparse.issparse(X) or isinstance(X, np.memmap):
        return
    counting: list[str] = []
    for j in sorted({*_counting(X), *(j for j, name in enumerate(names) if INDEX.fullmatch(name))}):
        name = names[j]
        counts = _counts(X[:, j])
        if (INDEX.fullmatch(name) and (counts or _are_distinct(X[:, j]))) or (counts and OTHERS.fullmatch(name)):
            option = f"'{name}'" if " " in name or not name else name
            raise ValueError(
                f"{source}: column {name!r} seems to number the rows, so a model would learn the order of the samples from it; "
                f"leave it out (pandas: to_csv(index=False), reset_index(drop=True); R: row.names=FALSE), use "
                f"--id {option} if it names the samples, or rename it if it is a measurement"
            )
        if counts and len(X) >= FEWEST:
            counting.append(name)
    for name in counting:
        table.notes.append(f"warning: column {name!r} counts the rows; if it is not a measurement, use --id {name!r}")


def _counting(X: NDArray[Any]) -> list[int]:
    """Find columns whose first and last values suggest a count from 0 or 1."""
    first, last = X[0], X[-1]
    found: list[int] = np.flatnonzero(((first == 0) | (first == 1)) & (last - first == len(X) - 1)).tolist()
    return found


def _counts(column: NDArray[Any]) -> bool:
    return column[0] in (0, 1) and bool(np.array_equal(column, np.arange(len(column)) + column[0]))


def _are_distinct(column: NDArray[Any]) -> bool:
    """Tell whether a column holds nonnegative whole numbers, each once."""
    return bool((column >= 0).all() and (column == np.floor(column)).all() and len(np.unique(column)) == len(column))
