"""The target: numbers or class names, with the same meaning in every file format.

A text target becomes numbers if every cell is a number and no information is lost. `01` and `1E2` are names (of a code, of a
well), and so are `1` and `1.0` if both occur. False and True are two classes in any spelling.
"""

import math
import re
import reprlib
import shlex
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fcfast.datafiles.cells import TRUTH, Cells, column_text, looks_numeric, marks, not_a_number
from fcfast.datafiles.checks import refuse_gaps

TARGET_TYPES = ("auto", "labels", "numbers")
MAX_GUESSED_CLASSES = 30  # integers with more distinct values than this are treated as a quantity
NAME_LIKE = re.compile(r"[-+]?0\d+|\d+[eE]\d+")  # a code, or a name such as that of a well; programs write numbers as 1e+02
LARGEST_WHOLE = 2**53

Array = NDArray[Any]


def from_text(source: object, texts: Sequence[str], name: str | int, kind: str, cells: Cells, lines: Sequence[int]) -> Array:
    """Make the target from a column of text.

    Raises
    ------
    ValueError
        If the target is missing in a line, or if it must be numbers and is not.
    """
    texts = [text.strip() for text in texts]
    distinct = dict.fromkeys(texts)
    value = {text: cells.written_number(text) for text in distinct}
    if kind == "numbers":
        value = {text: cells.number(text) for text in distinct}
        for line, text in zip(lines, texts, strict=True):
            if value[text] is None:
                raise not_a_number(source, name, f"line {line}", text, cells)
    if kind == "auto":
        _refuse_spoilt_numbers(source, texts, name, value, cells, lines)
    if kind == "labels" or not _all_numbers(value):
        refuse_unlabelled(source, texts, name, cells.missing, lines)
        return _one_truth(texts) if kind == "auto" else np.array(texts)
    numbers = np.array([value[text] for text in texts], dtype=np.float64)
    if kind == "auto" and _are_names(distinct, numbers, cells):
        refuse_unlabelled(source, texts, name, cells.missing, lines)
        return np.array(texts)
    missing = [text for text in distinct if text and cells.is_missing(text)]
    remedy = _remedy("line", missing)
    if infinite := [text for text in distinct if math.isinf(value[text] or 0)]:
        remedy = f"if {infinite[0]!r} is the name of a class, use --target-type labels; else {remedy}"
    refuse_gaps(source, numbers[:, None], [name], lines, remedy=remedy)
    return whole(numbers)


def from_array(source: object, y: Array, kind: str) -> Array:
    """Make the target from an array: truth values become class names unless `kind` is "numbers"; bytes are text."""
    if y.dtype.kind == "S":
        y = np.char.decode(y, "utf-8")
    if y.dtype.kind == "b":
        return y.astype(np.int64) if kind == "numbers" else np.where(y, "True", "False")
    if kind == "labels" and y.dtype.kind in "iuf" and y.ndim == 1 and np.isfinite(y).all():
        return whole(y).astype(str)
    if kind == "numbers" and y.dtype.kind == "U" and y.ndim == 1:
        try:
            return whole(y.astype(np.float64))
        except ValueError as error:
            raise ValueError(f"{source}: the target is text, but --target-type is numbers ({error})") from error
    return y


def whole(values: Array) -> Array:
    """Convert whole numbers to integers, so that class labels 0, 1, 2 are not predicted as 0.0, 1.0, 2.0."""
    if values.dtype.kind != "f" or not np.isfinite(values).all():
        return values
    exact = (values == np.floor(values)) & (np.abs(values) < LARGEST_WHOLE)
    return values.astype(np.int64) if exact.all() else values


def refuse_unlabelled(
    source: object,
    labels: Sequence[str],
    name: str | int,
    missing: Collection[str],
    lines: Sequence[int] | None = None,
    first_row: int = 0,
) -> None:
    """Raise an error if classes are missing, or have a name that may mean a missing value."""
    gaps = [i for i, label in enumerate(labels) if not label.strip() or label.strip().lower() in missing]
    if not gaps:
        return
    unit, position = ("row", first_row + gaps[0]) if lines is None else ("line", lines[gaps[0]])
    words = list(dict.fromkeys(labels[i] for i in gaps if labels[i].strip()))
    what = f"is {words[0]!r} or empty" if words else "is empty"
    raise ValueError(
        f"{source}: {column_text(name)} {what} in {len(gaps)} {unit}(s), the first is {unit} {position}; {_remedy(unit, words)}"
    )


def _remedy(unit: str, words: Sequence[str]) -> str:
    out = f"leave out the {unit}s without a target"
    return f"if {words[0]!r} is a class and not a missing value, use --missing '' (missing=()); else {out}" if words else out


def _refuse_spoilt_numbers(
    source: object, texts: Sequence[str], name: str | int, value: dict[str, float | None], cells: Cells, lines: Sequence[int]
) -> None:
    """Raise an error if numbers would become classes, because of another notation or a few cells of text."""
    known = {text: number for text, number in value.items() if not cells.is_missing(text)}
    odd = [text for text, number in known.items() if number is None]
    if not odd or {text.lower() for text in known} <= TRUTH.keys():
        return
    measured = [text for text, number in known.items() if number is not None and number % 1 != 0]
    n_numbers = len(known) - len(odd)
    if not (
        all(map(looks_numeric, known)) or 2 * len(measured) > len(known) or n_numbers > max(MAX_GUESSED_CLASSES, len(known) / 2)
    ):
        return
    line = lines[texts.index(odd[0])]
    remedy = marks(odd[0], cells) or f"if it stands for a missing value, use --missing={shlex.quote(odd[0])}"
    raise ValueError(
        f"{source}: {column_text(name)}, line {line}: {reprlib.repr(odd[0])} is not a number, as most of the target is: "
        f"{remedy}; if these are names of classes, use --target-type labels"
    )


def _all_numbers(value: dict[str, float | None]) -> bool:
    return all(number is not None for number in value.values()) and any(number == number for number in value.values())


def _one_truth(texts: list[str]) -> Array:
    """Spell truth values in one way: R writes TRUE, pandas True, others true."""
    if {text.lower() for text in texts} <= TRUTH.keys():
        return np.array([text.capitalize() for text in texts])
    return np.array(texts)


def _are_names(distinct: Collection[str], numbers: Array, cells: Cells) -> bool:
    """Tell whether text would lose information if it were read as numbers."""
    known = [text for text in distinct if not cells.is_missing(text)]
    if any(map(NAME_LIKE.fullmatch, known)):
        return True
    there = numbers[~np.isnan(numbers)]
    if (there != np.floor(there)).any():
        return False  # a quantity
    n_values = len(np.unique(there))
    return n_values < len(known) and n_values <= MAX_GUESSED_CLASSES
