"""Roles of the columns of a table: feature, target, names of the samples, or skipped."""

import difflib
import os
import reprlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import compress

Target = str | int | os.PathLike[str] | None


@dataclass(frozen=True)
class Columns:
    """Roles of columns: features, targets (the first, and `more` of them), names of samples, marks; others are skipped."""

    names: Sequence[str | int]
    target: int | None
    ids: int | None
    is_feature: Sequence[bool]
    more: Sequence[int] = ()
    marks: int | None = None

    @property
    def features(self) -> list[str | int]:
        """Return the names of the features, or their positions in the file."""
        return list(compress(self.names, self.is_feature))

    @property
    def places(self) -> list[int]:
        """Return the positions of the features in the file."""
        return list(compress(range(len(self.names)), self.is_feature))

    @property
    def skipped(self) -> list[str]:
        """Return the names of the skipped columns."""
        used = self.target, self.ids, self.marks, *self.more
        return [str(name) for j, name in enumerate(self.names) if not self.is_feature[j] and j not in used]

    @property
    def targets(self) -> list[int]:
        """Return the positions of all targets in the file."""
        return [] if self.target is None else [self.target, *self.more]

    def told_targets(self) -> str:
        """Name the targets in the line about the table."""
        return ", ".join(map(self.told, self.targets))

    def told(self, column: int | None) -> str:
        """Name a column in the line about the table."""
        if column is None:
            return ""
        name = self.names[column]
        return repr(name) if isinstance(name, str) and name else f"column {column}"


def columns_of(
    source: object,
    names: list[str] | None,
    n_columns: int,
    target: Target,
    ids: str | int | None,
    features: Collection[str] | None,
    text: Sequence[str | int] = (),
    more: Sequence[str | int] = (),
    marks: str | int | None = None,
) -> Columns:
    """Find the role of each column; if there are columns of text, they alone are features."""
    of_target, of_ids = (column_of(source, column, names, n_columns) for column in (target, ids))
    if of_target is not None and of_target == of_ids:
        raise ValueError(f"{source}: {target!r} is the target and names the samples too; choose another column for one of them")
    others = [column_of(source, column, names, n_columns) for column in more]
    for column, place in zip(more, others, strict=True):
        if place in (of_target, of_ids) or others.count(place) > 1:
            raise ValueError(f"{source}: column {column!r} is asked for twice; name each target once, and none of them as --id")
    of_marks = column_of(source, marks, names, n_columns)
    if of_marks is not None and of_marks in (of_target, of_ids, *others):
        what = "names the samples" if of_marks == of_ids else "is a target"
        raise ValueError(f"{source}: column {marks!r} marks the samples and {what} too; choose another column for one of them")
    used = of_target, of_ids, of_marks, *others
    further = [place for place in others if place is not None]

    def roles(names: Sequence[str | int], are_features: Sequence[bool]) -> Columns:
        return Columns(names, of_target, of_ids, are_features, further, of_marks)

    if text:
        places = [_place_of_text(source, column, names, n_columns) for column in text]
        for column, place in zip(text, places, strict=True):
            if place in used or places.count(place) > 1:
                roles_of = {of_target: "the target", of_ids: "the samples' names", of_marks: "that of the marks"}
                other = roles_of.get(place, "there twice")
                what = f"holds texts and is {other}" if place in used else f"of texts is {other}"
                raise ValueError(f"{source}: column {column!r} {what}; choose another column for one of them")
        return roles(names or range(n_columns), [j in places for j in range(n_columns)])
    if features is None or names is None:
        return roles(names or range(n_columns), [j not in used for j in range(n_columns)])
    refuse_missing(source, features, [name for j, name in enumerate(names) if j not in used])
    wanted = set(features)
    return roles(names, [j not in used and name in wanted for j, name in enumerate(names)])


def _place_of_text(source: object, column: str | int, names: list[str] | None, n_columns: int) -> int | None:
    try:
        return column_of(source, column, names, n_columns)
    except ValueError as error:
        raise ValueError(f"{error}; name the column of texts with --text") from error


def refuse_missing(source: object, features: Collection[str], names: Collection[str]) -> None:
    """Raise a ValueError if a required feature is not among the column names."""
    there = set(names)
    missing = [name for name in features if name not in there]
    if missing:
        shown = ", ".join(map(repr, missing[:5])) + (" ..." if len(missing) > 5 else "")
        raise ValueError(f"{source} lacks {len(missing)} of the {len(features)} features that are needed: {shown}")


def index_of(column: object) -> int | None:
    """Return the index of a column given by an index or by an index written as a string, else None."""
    try:
        return int(column)  # type: ignore[call-overload]  # the question is whether it works
    except (TypeError, ValueError):
        return None


def column_of(source: object, column: Target, names: list[str] | None, n_columns: int) -> int | None:
    """Find the column of the target or of the sample names, by name if a column has this name, else by index."""
    if column is None:
        return None
    if names is not None and column in names:
        if column == "":
            return names.index("")  # the first one, because row names come first
        if names.count(str(column)) > 1:
            raise ValueError(f"{source} has {names.count(str(column))} columns named {column!r}; give the index of one of them")
        return names.index(str(column))
    index = index_of(column)
    if index is None and names is None:
        raise ValueError(f"{source} has no header line to look for {column!r} in; give the column's index, -1 for the last one")
    if index is None:
        raise ValueError(f"{source} has no column {column!r}; {choices(str(column), names or [])}")
    if not -n_columns <= index < n_columns:
        raise ValueError(f"{source} has no column {index}; it has {n_columns}, use 0 to {n_columns - 1}, or -1 for the last")
    return index % n_columns


def choices(wanted: str, names: Sequence[str]) -> str:
    """Suggest the closest names, or list the names if none is close."""
    by_lower_case = {name.lower(): name for name in names}
    close = difflib.get_close_matches(wanted.lower(), by_lower_case, n=3)
    if close:
        return "did you mean " + " or ".join(repr(by_lower_case[name]) for name in close) + "?"
    shown = [reprlib.repr(name) for name in names]
    return "it has " + ", ".join(shown if len(shown) <= 6 else [*shown[:3], "...", *shown[-2:]])
