"""Text with a feature in each line and a sample in each column, as in tables of gene expression."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain

import numpy as np

from fcfast.datafiles import header, several
from fcfast.datafiles.asked import Asked
from fcfast.datafiles.checks import refuse_gaps
from fcfast.datafiles.columns import Columns, choices, index_of, refuse_missing
from fcfast.datafiles.dialect import WHITE, Dialect, Line
from fcfast.datafiles.labels import from_text
from fcfast.datafiles.rows import Rows
from fcfast.datafiles.sources import Source
from fcfast.datafiles.table import Table
from fcfast.datafiles.top import Top, is_comment


def read(source: Source, top: Top, asked: Asked) -> Table:
    """Read a transposed table; the target is the name of a line, or an attribute in a series matrix of GEO."""
    for column in (*asked.targets, asked.ids, asked.marks):
        if column is not None and index_of(column) is not None:
            raise ValueError(f"{source}: in a transposed table the target is a line; give its name instead of {column!r}")
    if top.layout.n_cells < 2:
        raise ValueError(f"{source} has one cell in each line; a transposed table needs a name and a number for each sample")
    lines, line, samples = _names_of_samples(source, top, asked)
    n_samples = top.layout.n_cells - 1
    names = ["", *samples] if samples else range(n_samples + 1)
    columns = Columns(names, None, 0, [False] + [True] * n_samples)
    rows = Rows(source, top.layout.dialect, columns, asked.cells, asked.comment)
    apart = _Apart(source, top.layout.dialect, asked, n_samples)
    rows.read(apart.others(lines))
    if asked.features is not None:
        refuse_missing(source, asked.features, rows.ids)
    if not rows.lines:
        raise ValueError(f"{source} has no line of numbers; at least one feature is needed")
    X = rows.matrix()
    refuse_gaps(source, X, [str(name) for name in names[1:]], rows.lines, allow_missing=asked.allow_missing)
    y, ids = None, samples
    if asked.more:
        found = [_found(source, str(name), apart, top, rows) for name in asked.targets]
        named = list(map(str, asked.targets))
        y = several.from_texts(
            source, [cells for cells, _ in found], named, asked.target_type, asked.cells, [found[0][1]] * n_samples
        )
    elif asked.target is not None:
        texts, number = _found(source, str(asked.target), apart, top, rows)
        y = from_text(source, texts, str(asked.target), asked.target_type, asked.cells, [number] * n_samples)
    if asked.ids is not None:
        ids = _found(source, str(asked.ids), apart, top, rows)[0]
    marks = None if asked.marks is None else _found(source, str(asked.marks), apart, top, rows)[0]
    return Table(
        X.T,
        y,
        rows.ids,
        list(map(str, asked.targets)) if asked.more else None,
        ids=ids,
        skipped=apart.skipped,
        names_from="the first column",
        id_name=repr(asked.ids) if asked.ids is not None else f"line {line}" if samples else "",
        target_name=", ".join(map(repr, asked.targets)),
        notes=[*top.notes, "transposed: lines are features, columns samples"],
        marks=marks,
        marks_name="" if marks is None else repr(asked.marks),
    )


def _names_of_samples(source: Source, top: Top, asked: Asked) -> tuple[Iterator[Line], int, list[str] | None]:
    """Read the sample names from the first line, if it has them."""
    lines = top.layout.dialect.joined(top.lines)
    line, text = next(lines)
    first = [cell.strip() for cell in Rows.split(source, top.layout.dialect, line, text)]
    if top.layout.short_header:
        return lines, line, first
    named = asked.header
    if named is None:
        named = top.is_geo or header.has_header(source, line, first, top.layout.below, None, 0, None, asked.cells)
    return (lines, line, first[1:]) if named else (chain([(line, text)], lines), line, None)


@dataclass
class _Apart:
    """Lines that are not features: stored if they are asked for, else skipped."""

    source: Source
    dialect: Dialect
    asked: Asked
    n_samples: int
    kept: dict[str, tuple[list[str], int]] = field(default_factory=dict)
    skipped: list[str] = field(default_factory=list)

    def others(self, lines: Iterator[Line]) -> Iterator[Line]:
        """Yield the lines that are features."""
        asked = {str(name) for name in (*self.asked.targets, self.asked.ids, self.asked.marks) if name is not None}
        wanted = None if self.asked.features is None else set(self.asked.features)
        for number, line in lines:
            name = self._first_cell(number, line)
            if name in asked:
                if name in self.kept:
                    raise ValueError(f"{self.source} has several lines named {name!r}; rename all but one")
                cells = [cell.strip() for cell in Rows.split(self.source, self.dialect, number, line)[1:]]
                if len(cells) != self.n_samples:
                    raise ValueError(
                        f"{self.source}: line {number} has {len(cells) + 1} cell(s) instead of {self.n_samples + 1}"
                    )
                self.kept[name] = cells, number
            elif wanted is not None and name not in wanted and not is_comment(line, self.asked.comment):
                self.skipped.append(name)
            else:
                yield number, line

    def _first_cell(self, number: int, line: str) -> str:
        cell = line.split(None if self.dialect.delimiter == WHITE else self.dialect.delimiter, 1)[0].strip()
        if '"' not in cell:
            return cell
        if len(cell) > 1 and cell[0] == cell[-1] == '"' and cell.count('"') == 2:
            return cell[1:-1].strip()
        return Rows.split(self.source, self.dialect, number, line)[0].strip()


def _found(source: Source, name: str, apart: _Apart, top: Top, rows: Rows) -> tuple[list[str], int]:
    """Return a cell for each sample, from a line of the table or an attribute of GEO above it, and the line number."""
    if name in apart.kept:
        return apart.kept[name]
    attribute = top.attributes.get(name.removeprefix("!"))
    if attribute is None:
        known = [*top.attributes, *rows.ids]
        raise ValueError(f"{source} has no line {name!r}; {choices(name, known)}")
    if len(attribute) != apart.n_samples:
        raise ValueError(f"{source}: {name!r} has {len(attribute)} cells for {apart.n_samples} samples; it cannot be used")
    return attribute, int(np.int64(rows.lines[0])) - 1
