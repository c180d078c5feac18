"""Cells of text: each is a number, a missing value, or text, for which an error suggests a remedy."""

import math
import re
import reprlib
import shlex
from collections.abc import Collection
from dataclasses import dataclass, field

EXCEL_ERRORS = ("#div/0!", "#n/a", "#name?", "#null!", "#num!", "#ref!", "#value!")
MISSING = ("", "na", "n/a", "nan", "null", "?", "#na", "<na>", "none", *EXCEL_ERRORS)
MINUS = re.compile("[\u2010-\u2015\u2212\ufe63\uff0d]")  # word processors replace a hyphen by these
LIMIT = re.compile(r"(<=?|>=?|≤|≥)\s*")
TRUTH = {"false": 0.0, "true": 1.0}
DECIMAL_COMMA = re.compile(r"[-+]?\d*,\d+([eE][-+]?\d+)?")
EUROPEAN = re.compile(r"[-+]?[1-9]\d{0,2}(\.\d{3})+,\d+")
GROUPS = re.compile(r"[-+]?[1-9]\d{0,2}(?P<mark>[,.' \u00a0\u2009\u202f\u2019])\d{3}((?P=mark)\d{3})*([.,]\d+)?")


@dataclass(frozen=True)
class Cells:
    """Notation of cells.

    Attributes
    ----------
    decimal : str
        Decimal mark, "." or ",".
    thousands : str or None
        Separator between groups of three digits.
    missing : collection of str, in lower case
        Words for a missing value; an empty cell is always missing.
    """

    decimal: str = "."
    thousands: str | None = None
    missing: Collection[str] = field(default=MISSING)

    @property
    def plain(self) -> bool:
        """Tell whether numbers have the notation of Python and C, possibly with a decimal comma."""
        return self.thousands is None

    @property
    def missing_numbers(self) -> list[float]:
        """Return the numbers that mean a missing value, such as -999."""
        return [float(mark) for mark in self.missing if number(mark) is not None]

    def is_missing(self, cell: str) -> bool:
        """Tell whether a cell is a missing value."""
        cell = cell.strip().lower()
        return not cell or cell in self.missing

    def number(self, cell: str) -> float | None:
        """Convert a cell to a number: NaN if it is missing, 0 and 1 for False and True, None for text."""
        if self.is_missing(cell):
            return math.nan
        value = self.written_number(cell)
        return TRUTH.get(cell.strip().lower()) if value is None else value

    def is_value(self, cell: str) -> bool:
        """Tell whether a cell is a value rather than a name: a number in any notation, a truth value, or a missing value."""
        return self.number(cell) is not None or looks_numeric(cell)

    def written_number(self, cell: str) -> float | None:
        """Convert a number written in digits, or NaN for a missing value."""
        if self.is_missing(cell):
            return math.nan
        if self.thousands is not None and self.thousands in cell:
            whole, mark, fraction = cell.strip().partition(self.decimal)
            groups = GROUPS.fullmatch(whole)
            if groups is None or groups["mark"] != self.thousands:
                return None
            cell = whole.replace(self.thousands, "") + mark + fraction
        if self.decimal != ".":
            if "." in cell:  # a decimal point of another notation, or an undeclared separator of thousands
                return None
            cell = cell.replace(self.decimal, ".")
        return number(cell)


def number(cell: str) -> float | None:
    """Convert a number in the notation of C; None for text."""
    try:
        return None if "_" in cell else float(cell)  # Python reads 1_000 as a number, but in a table it is a name
    except ValueError:
        return None


def looks_numeric(cell: str) -> bool:
    """Tell whether a cell is a number in any notation."""
    cell = cell.strip()
    return number(cell) is not None or bool(DECIMAL_COMMA.fullmatch(cell) or GROUPS.fullmatch(cell))


def column_text(name: str | int) -> str:
    """Name a column in a message."""
    return f"column {name!r}" if isinstance(name, str) else f"column {name} (counted from 0)"


def not_a_number(
    source: object, column: str | int, position: str, value: object, cells: Cells | None = None, hint: str = ""
) -> ValueError:
    """Make the error for a cell that should be a number, with a remedy."""
    what = f"{source}: {column_text(column)}, {position}: {reprlib.repr(value)} is not a number"
    if isinstance(value, str) and (remedy := marks(value.strip(), cells or Cells())):
        return ValueError(f"{what}: {remedy}")
    option = shlex.quote(str(column))
    words = f", take its words as features (--text {option})" if isinstance(value, str) and len(value.split()) > 1 else ""
    return ValueError(
        f"{what}; encode the column as numbers{words}, leave it out, make it the target (--target {option}), or name it with "
        f"--id {option} if it names the samples{hint}"
    )


def marks(text: str, cells: Cells) -> str:
    """Suggest a remedy for a number in another notation: with other marks or signs, or a limit."""
    if text.lower() in EXCEL_ERRORS:
        return "an error value of Excel; correct the formula, fill in a number, or leave the line or the column out"
    if MINUS.match(text) and looks_numeric(text[1:]):
        return f"its minus is the character U+{ord(text[0]):04X}; replace it by the hyphen, as in -{text[1:]}"
    if text.endswith("%") and looks_numeric(text[:-1]):
        return f"a percentage; leave out the sign in the whole column, as in {text[:-1].strip()}"
    if LIMIT.match(text) and looks_numeric(LIMIT.sub("", text)):
        return (
            "a value beyond a limit (of detection, for example); replace it by a number (such as half the limit) "
            "or leave the line out"
        )
    groups = GROUPS.fullmatch(text)
    if EUROPEAN.fullmatch(text) and cells.decimal == ".":
        return "points seem to separate thousands, and the comma the decimals; if so, use --decimal , --thousands ."
    if cells.decimal == "," and "." in text and number(text.replace(",", "")) is not None:
        return "a point where the decimal mark is a comma; if it separates thousands, use --thousands ."
    if groups is not None and groups["mark"] != "." and cells.thousands is None:
        mark = groups["mark"]
        as_thousands = f"use --thousands {shlex.quote(mark)}"
        if mark == "," and text.count(",") == 1 and "." not in text:
            return (
                f"the comma may separate thousands ({text.replace(',', '')}: {as_thousands}) or be a decimal comma "
                f"({text.replace(',', '.')}: use --decimal ,)"
            )
        return f"{mark!r} seems to separate thousands; if it does, {as_thousands}"
    if DECIMAL_COMMA.fullmatch(text) and cells.decimal == ".":
        return "decimal commas; write points, as in 0.5, or use --decimal ,"
    return ""
