"""Several targets: numbers, or False and True, in a column for each, and NaN where one is missing."""

import reprlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fcfast.datafiles.cells import TRUTH, Cells, column_text
from fcfast.datafiles.labels import whole

Array = NDArray[Any]


def from_texts(
    source: object, columns: Sequence[Sequence[str]], names: Sequence[str | int], kind: str, cells: Cells, lines: Sequence[int]
) -> Array:
    """Make targets (N, L) from columns of text.

    Raises
    ------
    ValueError
        If a cell is text, or names of classes were asked for.
    """
    _refuse_labels(source, names, kind)
    values = np.empty((len(lines), len(columns)))
    for j, (name, texts) in enumerate(zip(names, columns, strict=True)):
        for i, text in enumerate(texts):
            number = cells.number(text.strip())
            if number is None:
                raise _text(source, name, f"line {lines[i]}", text)
            values[i, j] = number
    return whole(values)


def from_arrays(source: object, columns: Sequence[Array], names: Sequence[str | int], kind: str, cells: Cells) -> Array:
    """Make targets (N, L) from arrays of numbers, truth values or text, one for each.

    Raises
    ------
    ValueError
        If one holds text or has another shape, or names of classes were asked for.
    """
    _refuse_labels(source, names, kind)
    for name, column in zip(names, columns, strict=True):
        if column.ndim != 1 or len(column) != len(columns[0]):
            raise ValueError(
                f"{source}: target {name!r} has shape {column.shape}, {names[0]!r} {columns[0].shape}; give a number for each "
                "sample in both"
            )
    return whole(np.stack([_numbers(source, name, column, cells) for name, column in zip(names, columns, strict=True)], axis=1))


def _numbers(source: object, name: str | int, column: Array, cells: Cells) -> Array:
    if column.dtype.kind in "biuf":
        return column.astype(np.float64)
    values = np.empty(len(column))
    for i, value in enumerate(column.tolist()):
        text = value.decode() if isinstance(value, bytes) else "" if value is None or value != value else str(value)
        number = cells.number(text.strip())
        if number is None:
            raise _text(source, name, f"row {i}", text)
        values[i] = number
    return values


def _refuse_labels(source: object, names: Sequence[str | int], kind: str) -> None:
    if kind == "labels":
        raise ValueError(f"{source}: target type 'labels' reads one target as names of classes, but {len(names)} are asked for")


def _text(source: object, name: str | int, position: str, text: str) -> ValueError:
    words = " and ".join(word.capitalize() for word in TRUTH)
    return ValueError(
        f"{source}: {column_text(name)}, {position}: {reprlib.repr(text)} is not a number; each of several targets must be "
        f"numbers, or {words}"
    )
