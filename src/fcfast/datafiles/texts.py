"""Columns of texts, which take the place of features.

A missing text is an empty one, and words such as NA are texts as they are written.
"""

import csv
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import chain, islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fcfast.datafiles.asked import Asked
from fcfast.datafiles.columns import index_of
from fcfast.datafiles.dialect import DELIMITERS, WHITE, Dialect, Line, rows_of
from fcfast.datafiles.rows import Rows
from fcfast.datafiles.sources import DELIMITED, Source
from fcfast.datafiles.top import EXCEL, is_comment

WITH_TEXTS = (*DELIMITED, ".parquet")
LONGEST_CELL = 2**31 - 1  # characters; the module csv takes 131,072 at first
LOOKED_AT = 50  # lines in which names are looked for
HEADER_REMEDY = "use header=True (--header) or header=False (--no-header)"

Array = NDArray[Any]


def refuse_other_options(source: Source, asked: Asked, allow_missing: bool) -> None:
    """Raise a ValueError for a file without texts, and for options that mean nothing for texts."""
    names = ", ".join(map(repr, asked.text))
    if source.ending not in WITH_TEXTS:
        raise ValueError(
            f"{source} cannot hold texts, but column {names} of texts is needed; give a file of {', '.join(WITH_TEXTS)}"
        )
    others = {"n_features": asked.n_features, "features": asked.features, "transpose": asked.transpose or None}
    if allow_missing:
        raise ValueError("missing numbers can be filled in (--impute), but a missing text is an empty one; leave it out")
    for name, value in others.items():
        if value is not None:
            raise ValueError(f"{name} (--{name.replace('_', '-')}) means nothing for texts; leave it out")


def matrix_of(source: object, columns: Sequence[Sequence[str]]) -> Array:
    """Make a matrix of texts (n_samples, n_columns) of its columns.

    Raises
    ------
    ValueError
        If all texts are empty.
    """
    X = np.empty((len(columns[0]), len(columns)), dtype=object)
    for j, column in enumerate(columns):
        X[:, j] = column
    if n_without(X) == len(X):
        raise ValueError(f"{source} has no text in its column(s) of texts: all {len(X)} cells are empty; name another column")
    return X


def n_without(X: Array) -> int:
    """Count the samples without any text."""
    return sum(not any(map(str.strip, row)) for row in X.tolist())


def notes(X: Array) -> list[str]:
    """Say how many texts are empty."""
    n_empty = n_without(X)
    return [f"{n_empty:,} without text"] if n_empty else []


def wanted_names(asked: Asked) -> set[str]:
    """Give the names by which columns are asked for."""
    columns = *asked.targets, asked.ids, asked.marks, *asked.text
    return {str(column) for column in columns if column is not None and index_of(column) is None}


def is_header(source: object, line: int, asked: Asked) -> bool:
    """Tell whether the first line of delimited text has names; texts look like them, so that a user without names must say."""
    if asked.header is not None or wanted_names(asked):
        return asked.header is not False
    raise ValueError(f"{source}: line {line} may be a sample, or the names of the columns; {HEADER_REMEDY}")


# ----------------------------------------------------------------------------------------------------------------------
# delimited text


@contextmanager
def long_cells() -> Iterator[None]:
    """Let the module csv read long cells."""
    limit = csv.field_size_limit(LONGEST_CELL)
    try:
        yield
    finally:
        csv.field_size_limit(limit)


def with_delimiter(source: Source, lines: Iterator[Line], asked: Asked) -> tuple[Iterator[Line], Asked]:
    """Find the delimiter by the names that are asked for, because texts hold all possible delimiters.

    White space cannot separate texts, unless it is asked for.
    """
    if asked.delimiter is not None:
        return lines, asked
    held = list(islice(lines, LOOKED_AT))
    likely = DELIMITERS[source.ending if source.ending in DELIMITERS else ".csv"].replace(WHITE, "")
    if held and (excel := EXCEL.fullmatch(held[0][1])):
        likely, held = excel[1], held[1:]
    lines, wanted = chain(held, lines), wanted_names(asked)
    for text in [text for _, text in held if wanted and not is_comment(text, asked.comment)]:
        for mark in likely:
            if wanted <= set(map(str.strip, rows_of([text], Dialect(mark))[0])):
                return lines, replace(asked, delimiter=mark)
    return lines, replace(asked, delimiter=likely)


@dataclass
class TextRows(Rows):
    """The rows of a table of texts while they are read."""

    texts: list[list[str]] = field(default_factory=list)

    def _numbers(self, lines: Sequence[str]) -> None:
        return None

    def _each(self, line: int, cells: list[str]) -> Any:
        self.texts.append(cells)
        return ()

    def matrix(self) -> Array:
        """Return the texts as an array of shape (n_rows, n_columns)."""
        return matrix_of(self.source, list(zip(*self.texts, strict=True)))


# ----------------------------------------------------------------------------------------------------------------------
# Parquet


def in_parquet(source: object, name: str, column: Any) -> list[str]:
    """Read a column of texts, which is decoded; null is an empty text."""
    from pyarrow import types

    if not (types.is_string(column.type) or types.is_large_string(column.type) or types.is_null(column.type)):
        raise ValueError(f"{source}: column {name!r} has type {column.type}, no texts; name a column of strings with --text")
    return [text or "" for text in column.to_pylist()]
