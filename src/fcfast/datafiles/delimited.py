"""Delimited text: find its columns and make a table."""

from collections.abc import Generator
from contextlib import closing, nullcontext
from itertools import chain

import numpy as np

from fcfast.datafiles import header, several, texts, transposed
from fcfast.datafiles.asked import Asked
from fcfast.datafiles.cells import looks_numeric
from fcfast.datafiles.checks import FEATURES_REMEDY, refuse_gaps
from fcfast.datafiles.columns import Columns, choices, columns_of, index_of
from fcfast.datafiles.dialect import Line
from fcfast.datafiles.labels import from_text
from fcfast.datafiles.rows import Rows
from fcfast.datafiles.sources import Source, decoding, other_encoding
from fcfast.datafiles.table import Table
from fcfast.datafiles.top import Top, read_top

TRANSPOSE = "; if the rows are features and the columns samples, use --transpose (transpose=True)"


def read_delimited(source: Source, asked: Asked) -> Table:
    """Read delimited text."""
    with closing(_lines(source)) as lines, texts.long_cells() if asked.text else nullcontext():
        if asked.text:
            top = read_top(source, *texts.with_delimiter(source, lines, asked))
            return _read(source, top, asked)
        top = read_top(source, lines, asked)
        if asked.transpose or (asked.transpose is None and top.is_geo):
            return transposed.read(source, top, asked)
        return _read(source, top, asked)


def _lines(source: Source) -> Generator[Line]:
    """Yield the number and the text of each line that is not blank."""
    number = 0
    try:
        with decoding(source, "delimited text", "save it again as plain text in UTF-8"), source.text() as file:
            for number, line in enumerate(file, 1):
                if line and not line.isspace():
                    yield number, line
    except ValueError as error:
        if isinstance(cause := error.__cause__, UnicodeDecodeError) and cause.encoding.startswith("utf-8"):
            raise other_encoding(source, cause, number + 1) from error
        raise


def _read(source: Source, top: Top, asked: Asked) -> Table:
    layout, dialect, cells = top.layout, top.layout.dialect, asked.cells
    records = dialect.joined(top.lines)
    line, text = next(records)
    first = [cell.strip() for cell in Rows.split(source, dialect, line, text)]
    ids, hint = asked.ids, "" if asked.text else _hint(top)
    names: list[str] | None = None
    names_from = f"line {line}"
    if layout.short_header:
        names = ["", *first]
        ids = 0 if ids is None else ids
    elif asked.text:
        names = first if texts.is_header(source, line, asked) else None
    elif (
        top.commented_names is not None and asked.header is not False and not _has_header_below(source, top, line, first, asked)
    ):
        names_from, names = f"line {top.commented_names[0]}", top.commented_names[1]
    elif asked.header or (
        asked.header is None
        and header.has_header(source, line, first, top.layout.below, asked.target, ids, asked.features, cells, asked.marks)
    ):
        names = first
    data = records if names is first or layout.short_header else chain([(line, text)], records)
    _refuse_lines(source, top, names or [], *asked.targets, ids, asked.marks)
    if names is not None:
        _refuse_two_meanings(source, names, ids)
    for target in asked.targets:
        if hint and names is not None and isinstance(target, str) and target not in names:
            _refuse_absent(source, names, target)
    n_columns = layout.n_cells if names is None else len(names)
    columns = columns_of(source, names, n_columns, asked.target, ids, asked.features, asked.text, asked.more, asked.marks)
    if names is None:
        names_from = ""
    elif asked.features is None and not asked.text:
        _refuse_unnamed(source, line, names, hint, columns)
    rows = (texts.TextRows if asked.text else Rows)(source, dialect, columns, cells, asked.comment, hint)
    rows.read(data)
    features = columns.features
    if not rows.lines or not features:
        raise ValueError(
            f"{source} has {len(rows.lines)} line(s) of data and {len(features)} feature(s); at least one of each is needed"
        )
    if asked.header is None and names is None:
        header.refuse_hidden_header(source, line, rows.labels, cells)
    X = rows.matrix()
    may_be_names = not asked.text and asked.header is None and names is None and not np.isfinite(X[0]).all()
    remedy = FEATURES_REMEDY + (f"; if line {line} has names, use --header" if may_be_names else "")
    refuse_gaps(source, X, features, rows.lines, remedy, asked.allow_missing)
    y, of_targets = None, [columns.names[place] for place in columns.targets]
    if columns.more:
        y = several.from_texts(source, [rows.labels, *rows.more], of_targets, asked.target_type, cells, rows.lines)
    elif columns.target is not None:
        y = from_text(source, rows.labels, columns.names[columns.target], asked.target_type, cells, rows.lines)
    return Table(
        X,
        y,
        None if names is None else [str(name) for name in features],
        [str(name) for name in of_targets] if columns.more else None,
        ids=rows.ids if columns.ids is not None else None,
        skipped=columns.skipped,
        names_from=names_from,
        id_name="the rows' names" if layout.short_header and columns.ids == 0 else columns.told(columns.ids),
        target_name=columns.told_targets(),
        notes=top.notes + (texts.notes(X) if asked.text else []),
        marks=rows.marks if columns.marks is not None else None,
        marks_name=columns.told(columns.marks),
    )


def _has_header_below(source: Source, top: Top, line: int, first: list[str], asked: Asked) -> bool:
    """Tell whether a header follows a comment that might be names as well; target, ids and marks may be named in either."""
    names = top.commented_names[1] if top.commented_names else []
    # counted from the end, because an index from 0 might be a name in that line
    target, ids, marks = (
        names.index(str(column)) - len(names) if column in names else column
        for column in (asked.target, asked.ids, asked.marks)
    )
    try:
        return header.has_header(source, line, first, top.layout.below, target, ids, None, asked.cells, marks)
    except ValueError:
        if asked.header:
            return True
        raise


def _hint(top: Top) -> str:
    """Suggest --transpose if the table looks transposed: names in the first column, numbers in all others, few columns."""
    rows = [row for row in top.layout.below if len(row) == top.layout.n_cells > 2]
    names = [row[0].strip() for row in rows]
    if len(rows) < 2 or len(set(names)) < len(names) or any(map(looks_numeric, names)):
        return ""
    numeric = all(looks_numeric(cell) for row in rows[:5] for cell in row[1:1000] if cell.strip())
    return TRANSPOSE if numeric else ""


def _refuse_lines(source: Source, top: Top, names: list[str], *asked: object) -> None:
    """Raise an error if a column that was asked for is the name of a line."""
    lines = {row[0].strip() for row in top.layout.below if row}
    for name in asked:
        if isinstance(name, str) and name not in names and index_of(name) is None and name in lines:
            raise ValueError(f"{source} has no column {name!r}, but a line of that name{TRANSPOSE}")


def _refuse_absent(source: Source, names: list[str], target: str) -> None:
    """Raise an error if the target does not exist in a table that looks transposed."""
    if index_of(target) is None:
        raise ValueError(
            f"{source} has no column {target!r}; {choices(target, names)}{TRANSPOSE}; the target is then a line: if the labels "
            f"are in another file, add them to this one as a line that begins with {target}"
        )


def _refuse_unnamed(source: Source, line: int, names: list[str], hint: str, columns: Columns) -> None:
    """Raise an error if a feature has no name, because it may number the rows."""
    for j, name in enumerate(names):
        if not name and columns.is_feature[j]:
            raise ValueError(
                f"{source}: column {j} (counted from 0) has no name in line {line}; name it, or leave it out if it only "
                "numbers the rows (R: row.names=FALSE, pandas: index=False), or use "
                f"--id {_unambiguous(names, j)} if it names them{hint}"
            )


def _refuse_two_meanings(source: Source, names: list[str], ids: str | int | None) -> None:
    """Raise an error if an id is both the name of a column and the index of another column without a name."""
    index = index_of(ids)
    if isinstance(ids, str) and index is not None and ids in names and -len(names) <= index < len(names) and not names[index]:
        raise ValueError(
            f"{source}: --id {ids} is the name of a column and the index of another one, which has no name; use "
            f"--id {_unambiguous(names, index % len(names))} for the one without a name"
        )


def _unambiguous(names: list[str], place: int) -> str:
    """Write the index of a column without a name in a way that is not the name of another column."""
    if str(place) not in names:
        return str(place)
    return "''" if names.index("") == place else str(place - len(names))
