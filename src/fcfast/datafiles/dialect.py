"""The layout of delimited text: the cell separator, the first line of the table below titles, the number of cells."""

import csv
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from fcfast.datafiles.cells import Cells, looks_numeric

Line = tuple[int, str]  # number and text of a line

WHITE = " "  # any white space
DELIMITERS = {".csv": ",;\t|" + WHITE, ".tsv": "\t,;|" + WHITE, ".txt": "\t,;|" + WHITE}  # the most likely one first
WORDS = {"tab": "\t", "\\t": "\t", "space": WHITE, "comma": ",", "semicolon": ";"}
WHITE_CELL = re.compile(r'"(?:[^"\\]|\\.|"")*"(?=\s|$)|[^\s"]\S*')
MAX_JOINED = 1000  # lines of one quoted cell
MAX_SCORED = 1000  # cells of a line used to judge a delimiter
OTHERS = {",": ";\t|" + WHITE, WHITE: ",;|"}  # characters that a cell should not hold, beside ",;\t|", with these delimiters


@dataclass(frozen=True)
class Dialect:
    """Cell separator of lines, and the number of superfluous empty cells at the end of every line."""

    delimiter: str
    trailing: int = 0

    def split(self, line: str) -> list[str]:
        """Split any line into its cells, like the module csv; a csv.Error describes wrong quotes."""
        line = line.rstrip("\r\n")
        if self.delimiter != WHITE:
            cells = next(csv.reader([line], delimiter=self.delimiter, strict=True, skipinitialspace=True), [])
        elif '"' not in line:
            return line.split()
        else:
            rest = WHITE_CELL.sub("", line)
            if rest.strip():
                raise csv.Error("a quote is not closed, or is inside a cell")
            cells = [
                re.sub(r'\\(.)|"(")', r"\1\2", cell[1:-1]) if cell.startswith('"') else cell
                for cell in WHITE_CELL.findall(line)
            ]
        cut = len(cells) - self.trailing
        return cells[:cut] if self.trailing and not any(map(str.strip, cells[cut:])) else cells

    def plain(self, line: str) -> str | None:
        """Remove unnecessary quotes and superfluous blanks, so that single delimiters separate the cells.

        Return None if the quotes protect something, or if the superfluous cells at the end are not empty.
        """
        line = line.rstrip("\r\n")
        delimiter = self.delimiter
        if '"' in line:
            pieces = line.split('"')
            quoted, between = pieces[1::2], pieces[2:-1:2]
            if (
                len(pieces) % 2 == 0
                or any(_is_protected(cell, delimiter) for cell in quoted)
                or any(_touches(piece, delimiter) for piece in between)
                or not (pieces[0].strip() == "" or _ends_with(pieces[0], delimiter))
                or not (pieces[-1].strip() == "" or _ends_with(pieces[-1][::-1], delimiter))
            ):
                return None
            line = "".join(pieces)
        if delimiter == WHITE:
            if "  " in line or "\t" in line or line != line.strip():
                line = " ".join(line.split())
            return line
        for _ in range(self.trailing):
            line = line.rstrip(" ")
            if not line.endswith(delimiter):
                return None
            line = line[:-1]
        return line

    def joined(self, lines: Iterator[Line]) -> Iterator[Line]:
        """Join lines that belong to one quoted cell."""
        for first, line in lines:
            parts = 1
            while '"' in line and self._is_open(line) and parts < MAX_JOINED and (following := next(lines, None)):
                line += following[1]
                parts += 1
            yield first, line

    def _is_open(self, line: str) -> bool:
        """Tell whether a cell continues in the next line."""
        if self.delimiter == WHITE or line.count('"') % 2 == 0:
            return False
        try:
            list(csv.reader(line.splitlines(keepends=True), delimiter=self.delimiter, strict=True, skipinitialspace=True))
        except csv.Error as error:
            return "unexpected end" in str(error)
        return False


def _is_protected(cell: str, delimiter: str) -> bool:
    """Tell whether quotes are necessary: without them there would be several cells or none."""
    return (cell.split() != [cell]) if delimiter == WHITE else (delimiter in cell or "\n" in cell or "\r" in cell)


def _touches(piece: str, delimiter: str) -> bool:
    """Tell whether the text between two quoted cells does not separate them properly, as with a quote inside a cell."""
    if delimiter == WHITE:
        return not piece[:1].isspace() or not piece[-1:].isspace()
    piece = piece.strip(" ")
    return not piece or piece[0] != delimiter or piece[-1] != delimiter


def _ends_with(piece: str, delimiter: str) -> bool:
    return piece[-1:].isspace() if delimiter == WHITE else piece.rstrip(" ").endswith(delimiter)


# ----------------------------------------------------------------------------------------------------------------------
# finding it


@dataclass(frozen=True)
class Layout:
    """Start and width of a table.

    Attributes
    ----------
    dialect : Dialect
        Cell separator.
    n_cells : int
        Number of cells in a line of data.
    start : int
        First line of the table, as an index of the examined lines; titles are above it.
    short_header : bool
        Whether line `start` names all columns but the first, which holds the row names, as R writes it.
    below : list of list of str
        Cells of the lines below `start` that have `n_cells` cells.
    """

    dialect: Dialect
    n_cells: int
    start: int
    short_header: bool
    below: list[list[str]]


def layout_of(lines: Sequence[str], delimiters: Sequence[str], has_header: bool | None, cells: Cells) -> Layout:
    """Find the layout of the first lines."""
    best = _best(lines, delimiters)
    places, texts = zip(*Dialect(best).joined(iter(enumerate(lines))), strict=True)
    rows = rows_of(texts, Dialect(best))
    n_cells = _usual_length(list(map(len, rows)))
    start = _start(rows, n_cells, has_header, cells)
    head, body = rows[start], [row for row in rows[start + 1 :] if len(row) == n_cells]
    short = has_header is not False and _has_short_header(texts[start:], rows[start:], n_cells, cells)
    trailing = 0
    if best != WHITE and not short:
        trailing = min((_n_empty_at_end(row) for row in body or [head]), default=0)
        if len(head) == n_cells:
            trailing = min(trailing, _n_empty_at_end(head))
        trailing = min(trailing, n_cells - 1)
    return Layout(
        Dialect(best, trailing), n_cells - trailing, places[start], short, [row[: n_cells - trailing] for row in body]
    )


def rows_of(lines: Sequence[str], dialect: Dialect) -> list[list[str]]:
    """Split lines into cells; a line with wrong quotes gets no cells."""
    rows = []
    for line in lines:
        try:
            rows.append(dialect.split(line))
        except csv.Error:  # possibly one of several lines of a quoted cell; if not, the reader will report it
            rows.append([])
    return rows


def inside_quotes(lines: Iterable[str]) -> Iterator[bool]:
    """Tell for each line whether it begins inside a cell in quotes; a quote inside a cell is doubled."""
    is_inside = False
    for line in lines:
        yield is_inside
        is_inside ^= line.count('"') % 2 == 1


def _n_cells(line: str, delimiter: str) -> int:
    """Count the cells of a line, by its delimiters alone if possible."""
    if delimiter != WHITE and '"' not in line:
        return line.count(delimiter) + 1
    return len(rows_of([line], Dialect(delimiter))[0])


def _usual_length(lengths: Sequence[int]) -> int:
    counts = Counter(lengths)
    return max(counts, key=lambda length: (counts[length] if length else 0, length))


@dataclass(frozen=True)
class _Trial:
    """The first lines, split by a candidate delimiter.

    Attributes
    ----------
    n_fitting : int
        Number of lines with the usual number of cells.
    is_clean : bool
        Whether no cell of text holds another possible delimiter: "a;16" is not clean, "16,26" is a number.
    score : float
        Share of fitting lines below the titles, times the share of numbers in some of them.
    """

    delimiter: str
    n_fitting: int
    is_clean: bool
    score: float


def _best(lines: Sequence[str], delimiters: Sequence[str]) -> str:
    """Find the delimiter that gives lines the same number of cells, leaves no other delimiter, and gives most numbers."""
    trials = [trial for delimiter in delimiters if (trial := _try(lines, delimiter)) is not None]
    most = max((trial.n_fitting for trial in trials), default=0)
    trials = [trial for trial in trials if 2 * trial.n_fitting > most]
    best = max(trials, key=lambda trial: (trial.is_clean, trial.score), default=None)  # the first one in case of ties
    return delimiters[0] if best is None else best.delimiter


def _try(lines: Sequence[str], delimiter: str) -> _Trial | None:
    """Split lines by a delimiter; return None if it does not split most of them."""
    if delimiter == WHITE:  # whose cells hold no line breaks
        counts = [0 if inside else _n_cells(line, delimiter) for line, inside in zip(lines, inside_quotes(lines), strict=True)]
    else:
        lines = [text for _, text in Dialect(delimiter).joined(iter(enumerate(lines)))]
        counts = [_n_cells(line, delimiter) for line in lines]
    n_cells = _usual_length(counts)
    if n_cells < 2:
        return None
    fitting = [line for line, count in zip(lines, counts, strict=True) if count == n_cells]
    rows = rows_of((fitting[1:] or fitting)[-3:], Dialect(delimiter))
    cells = [cell.strip() for row in rows for cell in row[:MAX_SCORED] if cell.strip()]
    text = [cell for cell in cells if not looks_numeric(cell)]
    others = OTHERS.get(delimiter, ",;\t|".replace(delimiter, ""))
    is_clean = not any(mark in cell for cell in text for mark in others)
    share = 1 - len(text) / max(1, len(cells))
    below_titles = len(lines) - counts.index(n_cells)
    return _Trial(delimiter, len(fitting), is_clean, len(fitting) / below_titles * (share + 0.01))


def _start(rows: Sequence[list[str]], n_cells: int, has_header: bool | None, cells: Cells) -> int:
    """Find the first line that is not a title.

    A title is a line with few cells of text above a wider line, or with any number of them above a line of names. Without a
    header, no line of full width counts as a title.
    """
    for i, row in enumerate(() if has_header is False else rows):
        if not row or (len(row) == n_cells and _are_names(row, cells)):
            return i
        half_full = 2 * _n_full(row) > n_cells > 1
        if len(row) > n_cells or _begins_with_value(row, cells) or (len(row) == n_cells and half_full):
            break
    for i, row in enumerate(rows):
        if (
            not row
            or len(row) == n_cells
            or _begins_with_value(row, cells)
            or _n_full(row) > max(1, (n_cells - 1) // 2)
            or (n_cells == 2 and not (i + 1 < len(rows) and _are_names(rows[i + 1], cells)))
        ):
            return i
    return 0


def _are_names(row: list[str], cells: Cells) -> bool:
    """Tell whether a line names columns: all cells, or all but one, are text."""
    row = row[:MAX_SCORED]
    full = [cell for cell in row if cell.strip()]
    return len(full) >= len(row) - 1 and len(full) > 1 and not any(map(cells.is_value, full))


def _begins_with_value(row: list[str], cells: Cells) -> bool:
    return next((cells.is_value(cell) for cell in row if cell.strip()), False)


def _n_full(row: list[str]) -> int:
    return sum(bool(cell.strip()) for cell in row)


def _has_short_header(lines: Sequence[str], rows: list[list[str]], n_cells: int, cells: Cells) -> bool:
    """Tell whether there is one name fewer than cells per line, so that the first cell of each line is the row name.

    Row names that are numbers must be in quotes or count the rows. Otherwise the first cell may be a part of a number with a
    separator of thousands.
    """
    head, body = rows[0], [(line, row) for line, row in zip(lines[1:], rows[1:], strict=True) if len(row) == n_cells]
    if len(head) != n_cells - 1 or not body or not all(map(str.strip, head)) or any(not row[-1].strip() for _, row in body):
        return False
    first = [row[0].strip() for _, row in body]
    counted = first == list(map(str, range(1, len(first) + 1)))
    quoted = all(line.lstrip().startswith('"') for line, _ in body)
    named = not any(map(cells.is_value, first))
    return (counted or quoted or named) and len(set(first)) == len(first)


def _n_empty_at_end(row: Sequence[str]) -> int:
    return next((j for j, cell in enumerate(reversed(row)) if cell.strip()), len(row))
