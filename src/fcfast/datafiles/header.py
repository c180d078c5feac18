"""Decide whether the first line of a table has the names of its columns.

Features are numbers, so text in their place is a name. Names can be numbers too: wavelengths, Entrez ids, the 0, 1, 2 that
pandas writes. In that case the lines below decide, or an error asks the user. A line of names is never trained on as a sample,
and no sample is dropped as a line of names.
"""

import math
import re
import reprlib
from collections.abc import Collection, Sequence
from itertools import pairwise

from fcfast.datafiles.cells import Cells, looks_numeric
from fcfast.datafiles.columns import Target, index_of

DIGIT = re.compile(r"\d")
WHOLE = re.compile(r"\s*\d+\s*")
SAMPLE, ASK, NAMES = 0, 1, 2  # kinds of a line of numbers
MANY = 20  # with so many columns one sign is enough to decide for names
SURELY_COUNTED = 6  # columns named 0, 1, 2, 3, 4, 5
UNLIKELY, IMPOSSIBLE = 0.05, 1e-6  # probabilities that a sample has only whole numbers
REMEDY = "use header=True (--header) or header=False (--no-header)"


def has_header(
    source: object,
    line: int,
    first: list[str],
    below: Sequence[list[str]],
    target: Target,
    ids: Target,
    wanted: Collection[str] | None,
    cells: Cells,
    marks: Target = None,
) -> bool:
    """Decide from the first lines of a table, or raise a ValueError that asks the user."""
    if wanted is not None and 2 * len({cell.strip() for cell in first}.intersection(wanted)) >= len(wanted):
        return True  # missing ones are reported later
    if any(column is not None and index_of(column) is None for column in (target, ids, marks)):
        return True
    used = _place(target, first), _place(ids, first), _place(marks, first)
    others = [j for j in range(len(first)) if j not in used]
    features = [first[j] for j in others]
    rows = [row for row in below if len(row) == len(first)]
    if rows and any(not first[j].strip() and all(row[j].strip() for row in rows) for j in (0, used[1] or 0)):
        return True  # pandas and R write an index without a name; in a sample the cell would be a missing value
    text = [cell for cell in features if cells.number(cell) is None and not looks_numeric(cell)]
    numbers = [cell for cell in features if math.isfinite(cells.number(cell) or 0) and cells.number(cell) is not None]
    if text and numbers:
        raise ValueError(
            f"{source}: line {line} has numbers ({reprlib.repr(numbers[0])}) and text ({reprlib.repr(text[0])}), so it "
            f"may be data or names; give the name of the target column, or {REMEDY}"
        )
    if (
        text
        or any(cells.number(cell) is None for cell in features)
        or len(numbers) < len([cell for cell in features if cell.strip()])
    ):
        return bool(text)
    values = [[row[j] for j in others] for row in rows]
    signs = max(_signs(features, values, cells), _counts(first, rows, cells))
    if used[1] is not None:  # its name counts as well
        with_id = [j for j in range(len(first)) if j != used[0]]
        signs = max(signs, _signs([first[j] for j in with_id], [[row[j] for j in with_id] for row in rows], cells))
    if signs == SAMPLE and used[0] is not None and len(set(features)) == len(features):
        signs = _odd_label(first[used[0]], [row[used[0]] for row in rows])
    if signs == SAMPLE and used[1] is not None and len(set(features)) == len(features):
        signs = _odd_name(first[used[1]], [row[used[1]] for row in rows])
    asked = next((column for column in (target, ids) if _could_name(column, first, cells)), None)
    if signs == SAMPLE and asked is not None:
        raise ValueError(
            f"{source}: line {line} ({_start_of(first)}) is all numbers, and {asked} may be the name of a column there or an "
            f"index; {REMEDY}"
        )
    if signs != ASK:
        return signs == NAMES
    raise ValueError(
        f"{source}: line {line} ({_start_of(first)}) differs from the lines below: it may be a sample, "
        f"or names that are numbers, such as wavelengths or ids of genes; {REMEDY}"
    )


def refuse_hidden_header(source: object, line: int, labels: Sequence[str], cells: Cells) -> None:
    """Raise an error if the target is text only in line 1, which may be a header of numbers or a sample of a rare class."""
    if len(labels) > 1 and not cells.is_value(labels[0]) and all(map(cells.is_value, labels[1:])):
        raise ValueError(
            f"{source}: the target is text in line {line} ({reprlib.repr(labels[0])}) and numbers below, so that line may be "
            f"data or names; give the name of the target column, or {REMEDY}"
        )


def _place(column: Target, first: Sequence[str]) -> int | None:
    index = index_of(column)
    return index % len(first) if column is not None and index is not None and -len(first) <= index < len(first) else None


def _could_name(column: Target, first: Sequence[str], cells: Cells) -> bool:
    """Tell whether an index also occurs as a number in the line, which could then be a line of names."""
    name = str(column)
    numbers = [cells.number(cell) for cell in first]
    return (
        name.isdigit()
        and name in first
        and len(set(first)) == len(first)
        and not any(value is None or math.isnan(value) for value in numbers)
    )


def _start_of(cells: Sequence[str]) -> str:
    return ", ".join(cells[:4]) + (" ..." if len(cells) > 4 else "")


def _value(cell: str, cells: Cells) -> float | None:
    """Convert to a number; None for text and for missing values."""
    value = cells.written_number(cell)
    return None if value is None or math.isnan(value) else value


def _signs(first: list[str], below: list[list[str]], cells: Cells) -> int:
    """Judge whether a line of numbers differs from the lines below as names do and samples do not."""
    first = [cell.strip() for cell in first]
    values, *rows = ([_value(cell, cells) for cell in row] for row in [first, *below])
    if not below or len(set(first)) < len(first) or None in values:
        return SAMPLE  # names do not repeat
    several, sign = len(rows) > 2, NAMES if len(first) >= MANY and len(rows) > 2 else ASK
    found = [_counts(first, below, cells) if len(first) > 2 else SAMPLE, _whole_numbers(first, below, cells)]
    enough = len(first) >= 4 or (len(first) == 3 and len(rows) >= 10)
    if enough and _is_sorted(values) and not any(map(_is_sorted, rows)):
        found.append(sign)  # wavelengths
    if len(first) >= 8 and several and all(len(set(row)) < 0.9 * len(row) for row in rows):
        found.append(sign)  # ids above counts, which repeat in every line
    if len(first) >= 4 and several and all(map(_is_far, values, zip(*rows, strict=True))):
        found.append(ASK)
    return max(found)


def _counts(first: Sequence[str], below: Sequence[Sequence[str]], cells: Cells) -> int:
    """Judge whether the line counts its columns, from 0 (as pandas does) or 1; a line that continues a count is a sample."""
    n, counted = len(first), [cell.strip() for cell in first]
    if not below or n < 2 or counted not in (list(map(str, range(n))), list(map(str, range(1, n + 1)))):
        return SAMPLE
    is_rising = any(_is_sorted([_value(cell, cells) for cell in row]) for row in below)
    goes_on = n >= 4 and [_value(cell, cells) for cell in below[0]] == list(range(n, 2 * n))
    if goes_on or (counted[0] == "1" and (is_rising or n < 4)):
        return SAMPLE
    return NAMES if n >= SURELY_COUNTED and len(below) > 2 and not is_rising else ASK


def _whole_numbers(first: Sequence[str], below: Sequence[Sequence[str]], cells: Cells) -> int:
    """Judge from the frequency of whole numbers in each column whether a line of only whole numbers is unlikely."""
    if not all(map(WHOLE.fullmatch, first)):
        return SAMPLE
    chance = 1.0
    for column in zip(*below, strict=True):
        n_whole = sum(WHOLE.fullmatch(cell) is not None or cells.written_number(cell) == 0 for cell in column)
        if n_whole < len(column):
            chance *= (n_whole + 1) / (len(column) + 2)
    if chance < IMPOSSIBLE and len(first) >= MANY:
        return NAMES  # with fewer columns it may be, for example, the start of a time series
    return ASK if chance < UNLIKELY else SAMPLE


def _odd_label(label: str, others: Sequence[str]) -> int:
    """Judge whether the class of the line occurs in no other line, while the other classes repeat."""
    return ASK if label not in others and len(others) > 2 and 2 * len(set(others)) <= len(others) else SAMPLE


def _odd_name(name: str, others: Sequence[str]) -> int:
    """Judge whether the sample name in the line has no digit, like "id", while all other names are numbered: s1, s2."""
    return ASK if others and not DIGIT.search(name) and all(map(DIGIT.search, others)) else SAMPLE


def _is_sorted(values: Sequence[float | None]) -> bool:
    pairs = [(a, b) for a, b in pairwise(values) if a is not None and b is not None]
    return len(pairs) == len(values) - 1 and (all(a < b for a, b in pairs) or all(a > b for a, b in pairs))


def _is_far(value: float | None, column: Sequence[float | None]) -> bool:
    """Tell whether a value is farther from all others than these are from one another."""
    known = [other for other in column if other is not None]
    if value is None or not known:
        return False
    low, high = min(known), max(known)
    return max(low - value, value - high) > high - low > 0
