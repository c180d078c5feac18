"""The part above the rows of delimited text: comments, titles, a line for Excel, GEO's attributes of samples."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain

from fcfast.datafiles.asked import Asked
from fcfast.datafiles.cells import DECIMAL_COMMA, EUROPEAN, EXCEL_ERRORS, GROUPS, Cells, looks_numeric
from fcfast.datafiles.dialect import DELIMITERS, WHITE, Dialect, Layout, Line, layout_of, rows_of
from fcfast.datafiles.sources import Source

EXCEL = re.compile(r'"?sep=(.)"?\s*', re.IGNORECASE)
ERRORS = "|".join(re.escape(error[1:]) for error in EXCEL_ERRORS)  # a line may begin with one
QUOTED = re.compile(r'"([^"]*)"')
COMMENT = re.compile(rf"\s*(#(?!(?i:{ERRORS}))|![A-Za-z]|\^[A-Z])")
TABLE_BEGINS, TABLE_ENDS = re.compile(r"!\w+_table_begin\s*"), re.compile(r"!\w+_table_end\s*")
MIN_LINES, MAX_LINES, MAX_CHARACTERS = 6, 50, 1 << 20  # limits of the lines used to find the layout


@dataclass(frozen=True)
class Top:
    """Information from the first lines, and all lines of the table.

    Attributes
    ----------
    layout : Layout
    lines : iterator of (int, str)
        Lines of the table, including comments.
    commented_names : (int, list of str) or None
        Names of the columns in the last comment above the table, as `numpy.savetxt` writes them.
    attributes : dict
        For a series matrix of GEO, the attributes of the samples, by name.
    is_geo : bool
        Whether the table is a series matrix of GEO, whose columns are samples.
    notes : list of str
        Notes for the user.
    """

    layout: Layout
    lines: Iterator[Line]
    commented_names: tuple[int, list[str]] | None
    attributes: dict[str, list[str]] = field(default_factory=dict)
    is_geo: bool = False
    notes: list[str] = field(default_factory=list)


def read_top(source: Source, lines: Iterator[Line], asked: Asked) -> Top:
    """Read as many lines as are needed to find the layout."""
    comments: list[Line] = []
    held: list[Line] = []
    looked_at: list[Line] = []
    delimiters: str = DELIMITERS.get(source.ending, DELIMITERS[".csv"])
    is_geo, size, n_records, n_quotes = False, 0, 0, 0
    for line in lines:
        text = line[1]
        if not held and not comments and (excel := EXCEL.fullmatch(text)):
            delimiters = excel[1]
        elif is_comment(text, asked.comment):
            if held and is_geo and TABLE_ENDS.fullmatch(text):
                lines = iter(())
                break
            is_geo = is_geo or bool(not held and TABLE_BEGINS.fullmatch(text))
            (held if held else comments).append(line)
        else:
            held.append(line)
            looked_at.append(line)
            size += len(text)
            n_quotes += text.count('"')
            n_records += n_quotes % 2 == 0  # else a cell may continue in the next line
            if n_records >= MAX_LINES or (len(looked_at) >= MIN_LINES and size > MAX_CHARACTERS):
                break
    if not looked_at:
        hint = "; all its lines are comments (--comment '' if they are not)" if comments else ""
        raise ValueError(f"{source} is empty; a line of numbers for each sample is needed{hint}")
    texts = [text for _, text in looked_at]
    delimiters = _without_marks(source, texts, asked.delimiter or delimiters, asked.cells)
    layout = layout_of(texts, delimiters, asked.header, asked.cells)
    if asked.comment is None and not is_geo:
        _refuse_commented_rows(source, layout, comments)
    first_number = looked_at[layout.start][0]
    return Top(
        layout,
        chain((line for line in held if line[0] >= first_number), lines),
        _commented_names(layout, comments, looked_at[layout.start][1], asked.cells),
        _attributes(comments) if is_geo else {},
        is_geo,
        [f"{layout.start} line(s) above the table left out"] if layout.start else [],
    )


def _without_marks(source: Source, lines: Sequence[str], delimiters: str, cells: Cells) -> str:
    """Remove the marks inside numbers from the delimiters, unless such numbers are in quotes."""
    for mark, option in ((cells.decimal, "decimal"), (cells.thousands, "thousands")):
        if mark is None or mark not in delimiters:
            continue
        delimiters = delimiters.replace(mark, "")
        if _is_quoted(lines, mark):
            delimiters += mark  # the least likely delimiter
        elif not delimiters:
            raise ValueError(
                f"{source}: {mark!r} cannot separate the cells and also occur inside numbers without quotes; leave out "
                f"{option}={mark!r} (--{option}), or name another delimiter (--delimiter)"
            )
        elif (names := _named_apart(lines, mark, delimiters, cells)) is not None:
            raise ValueError(
                f"{source}: {mark!r} is a mark inside numbers ({option}={mark!r}), but seems to separate the cells, as in "
                f"{names!r}; leave out --{option}, or name the delimiter (--delimiter)"
            )
    return delimiters


def _is_quoted(lines: Sequence[str], mark: str) -> bool:
    """Tell whether a number in quotes has this mark."""
    quoted = (cell.strip() for line in lines if '"' in line for cell in QUOTED.findall(line) if mark in cell)
    return any(DECIMAL_COMMA.fullmatch(cell) or GROUPS.fullmatch(cell) or EUROPEAN.fullmatch(cell) for cell in quoted)


def _named_apart(lines: Sequence[str], mark: str, delimiters: str, cells: Cells) -> str | None:
    """Return the first line if the mark, and no other delimiter, separates names in it above as many numbers."""
    rows = rows_of(lines, Dialect(mark))
    if len({len(row) for row in rows}) > 1 or len(rows[0]) < 2 or any(map(cells.is_value, rows[0])):
        return None
    parted = any(other in line for line in lines for other in delimiters if other != WHITE)
    numbers = all(looks_numeric(cell) for row in rows[1:] for cell in row)
    return None if parted or not numbers or len(rows) < 2 else lines[0].strip()


def _refuse_commented_rows(source: Source, layout: Layout, comments: Sequence[Line]) -> None:
    """Raise an error for a line that begins like a comment but could be a row."""
    for (line, _), cells in zip(comments, rows_of([text for _, text in comments], layout.dialect), strict=True):
        if len(cells) == layout.n_cells > 1 and any(map(looks_numeric, cells[1:])):
            raise like_a_comment(source, line)


def like_a_comment(source: object, line: int) -> ValueError:
    """Make the error for a line that may be a row or a comment."""
    return ValueError(
        f"{source}: line {line} begins like a comment, but has as many cells as the table; use comment='' (--comment '') if it "
        "is a row, or give the mark of comments (--comment '#') to leave out such lines"
    )


def is_comment(line: str, mark: str | None) -> bool:
    """Tell whether a line is a comment, or (`mark` is None) looks like one."""
    if line[0] not in "#!^ \t" and mark is None:
        return False  # true for nearly all lines
    return bool(COMMENT.match(line)) if mark is None else bool(mark) and line.lstrip().startswith(mark)


def _commented_names(layout: Layout, comments: Sequence[Line], first: str, cells: Cells) -> tuple[int, list[str]] | None:
    """Use the last comment as names if it has one text for each column, and the line below is not a line of names.

    `numpy.savetxt` writes the names a and b as "# a,b"; "#a,b" has the names #a and b.
    """
    if not comments or not comments[-1][1].lstrip().startswith("#"):
        return None
    line, text = comments[-1]
    text = text.lstrip()
    bare = text.lstrip("#")
    names, below = rows_of([bare if bare[:1].isspace() else text, first], layout.dialect)
    names = [name.strip() for name in names]
    fits = len(names) == layout.n_cells > 1 and not any(map(cells.is_value, names))
    return (line, names) if fits and any(cells.is_value(cell) for cell in below if cell.strip()) else None


def _attributes(comments: Sequence[Line]) -> dict[str, list[str]]:
    """Read the attributes of samples in a series matrix; characteristics such as "tissue: lung" are named by their prefix."""
    attributes: dict[str, list[str]] = {}
    for _, text in comments:
        if not text.startswith("!Sample_"):
            continue
        name, *cells = (cell.strip() for cell in rows_of([text], Dialect("\t"))[0])
        name = name[1:]
        keys = {cell.partition(":")[0].strip() for cell in cells if cell}
        if "characteristics" in name and len(keys) == 1 and all(":" in cell for cell in cells if cell):
            name = keys.pop()
            cells = [cell.partition(":")[2].strip() for cell in cells]
        if name not in attributes:
            attributes[name] = cells
    return attributes
