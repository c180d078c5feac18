"""Convert lines of text to numbers: NumPy's reader in C takes whole blocks of lines.

If it refuses a block, the lines are read cell by cell, so that an error can name the line and the column.
"""

import csv
import math
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import compress

import numpy as np

from fcfast.datafiles.cells import EXCEL_ERRORS, Cells, not_a_number
from fcfast.datafiles.columns import Columns
from fcfast.datafiles.dialect import Dialect, Line
from fcfast.datafiles.top import is_comment, like_a_comment

BLOCK = 1 << 22  # characters


@dataclass
class Rows:
    """The rows of a table while they are read.

    Attributes
    ----------
    values : array
        Features, row by row in one flat array, so that a large table is stored only once.
    labels, ids, marks : list of str
        Cells of the target, of the sample names and of the marks.
    more : list of list of str
        Cells of each further target.
    lines : array of int
        Line number of each row.
    """

    source: object
    dialect: Dialect
    columns: Columns
    cells: Cells
    comment: str | None = ""
    hint: str = ""
    values: "array[float]" = field(default_factory=lambda: array("d"))
    labels: list[str] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    marks: list[str] = field(default_factory=list)
    more: list[list[str]] = field(default_factory=list)
    lines: "array[int]" = field(default_factory=lambda: array("q"))

    def __post_init__(self) -> None:
        """Compute everything that does not depend on a line."""
        self._n_cells = len(self.columns.names)
        places = self.columns.places
        self._use = None if len(places) == self._n_cells else places
        self._features = self.columns.features
        self.more = [[] for _ in self.columns.more]
        columns = self.columns
        alone = (columns.target, self.labels), (columns.ids, self.ids), (columns.marks, self.marks)
        kept = *alone, *zip(columns.more, self.more, strict=True)
        self._kept = [(column, cells) for column, cells in kept if column is not None]
        self._block: list[str] = []
        self._block_lines: list[int] = []
        self._size = 0

    def read(self, lines: Iterable[Line]) -> None:
        """Read all lines; each has the cells of one row."""
        for number, line in lines:
            plain = self.dialect.plain(line)
            if plain is not None and plain[:1] == self.dialect.delimiter and not plain.strip(f" {plain[0]}"):
                continue  # a line with only empty cells, as Excel writes them below a table, is not a sample
            unusual = self.comment != "" and is_comment(line, self.comment)
            if plain is None or plain.count(self.dialect.delimiter) + 1 != self._n_cells or unusual:
                self._read_block()
                self._read_cells(number, self.split(self.source, self.dialect, number, line), unusual)
                continue
            self._keep_text(plain)
            self.lines.append(number)
            self._block.append(plain)
            self._block_lines.append(number)
            self._size += len(plain)
            if self._size > BLOCK:
                self._read_block()
        self._read_block()

    @staticmethod
    def split(source: object, dialect: Dialect, number: int, line: str) -> list[str]:
        """Split a line into cells, or raise a ValueError with its number."""
        try:
            return dialect.split(line)
        except csv.Error as error:
            raise ValueError(
                f"{source} cannot be read as delimited text (line {number}: {error}); save it again as plain text in UTF-8, "
                "and if a column holds texts with line breaks, name it with --text"
            ) from error

    def _keep_text(self, line: str) -> None:
        """Store the cells that are not features, searched from the nearer end of the line."""
        for column, kept in self._kept:
            if column < self._n_cells // 2:
                cell = line.split(self.dialect.delimiter, column + 1)[column]
            else:
                cell = line.rsplit(self.dialect.delimiter, self._n_cells - column)[-(self._n_cells - column)]
            kept.append(cell.strip())

    def _read_block(self) -> None:
        """Read the stored lines, all at once if they have only numbers."""
        if not self._block:
            return
        if self._features and (numbers := self._numbers(self._block)) is not None:
            self.values.frombytes(memoryview(numbers.data).cast("B"))
        else:
            for number, line in zip(self._block_lines, self._block, strict=True):
                cells = line.split(self.dialect.delimiter)
                self.values.extend(self._each(number, self._of_features(cells)))
        self._block, self._block_lines, self._size = [], [], 0

    def _numbers(self, lines: Sequence[str]) -> "np.ndarray[tuple[int, ...], np.dtype[np.float64]] | None":
        if not self.cells.plain or self.cells.decimal == self.dialect.delimiter:
            return None
        if any(not line or line.isspace() for line in lines):
            return None  # also an empty cell, which NumPy would skip
        if self.cells.decimal != ".":
            if any("." in line for line in lines):
                return None
            lines = [line.replace(self.cells.decimal, ".") for line in lines]
        try:
            return np.loadtxt(lines, np.float64, None, self.dialect.delimiter, usecols=self._use, ndmin=2)
        except ValueError:
            return None  # an empty cell or text: read cell by cell

    def _read_cells(self, number: int, cells: list[str], unusual: bool) -> None:
        """Read a line with necessary quotes, or with an unusual number of cells."""
        if unusual:
            if self.comment is None and self._could_be_row(cells):
                raise like_a_comment(self.source, number)
            return
        if self._n_cells > 1 and not any(map(str.strip, cells)):
            return
        if len(cells) != self._n_cells:
            raise ValueError(
                f"{self.source}: line {number} has {len(cells)} cell(s) instead of {self._n_cells}; "
                "give every line as many as the first, with one delimiter (set it with --delimiter)"
            )
        for column, kept in self._kept:
            kept.append(cells[column].strip())
        self.values.extend(self._each(number, self._of_features(cells)))
        self.lines.append(number)

    def _could_be_row(self, cells: list[str]) -> bool:
        """Tell whether a line that begins like a comment has the cells of a row, or a row name before them."""
        if len(cells) == self._n_cells + 1 > 2:
            return all(map(self.cells.is_value, cells[1:]))
        return len(cells) == self._n_cells

    def _of_features(self, cells: list[str]) -> list[str]:
        return cells if self._use is None else list(compress(cells, self.columns.is_feature))

    def _each(self, line: int, cells: list[str]) -> "array[float]":
        """Read the features of a line cell by cell."""
        try:
            if self.cells.plain and self.cells.decimal == "." and "_" not in "".join(cells):
                return array("d", map(float, cells))
        except ValueError:
            pass  # an empty cell or text: read cell by cell
        numbers = array("d")
        for column, cell in zip(self._features, cells, strict=True):
            number = self.cells.number(cell)
            if number is None or cell.strip().lower() in EXCEL_ERRORS:
                raise not_a_number(self.source, column, f"line {line}", cell, self.cells, self.hint)
            numbers.append(number)
        return numbers

    def matrix(self) -> "np.ndarray[tuple[int, int], np.dtype[np.float64]]":
        """Return the features as an array of shape (n_rows, n_features), with NaN for missing values."""
        X = np.frombuffer(self.values).reshape(len(self.lines), len(self._features))
        for mark in self.cells.missing_numbers:
            np.putmask(X, mark == X, math.nan)
        return X
