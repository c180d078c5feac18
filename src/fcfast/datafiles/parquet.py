"""Parquet files, as pandas, pyarrow and polars write them."""

import json
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fcfast.datafiles import several, texts
from fcfast.datafiles.asked import Asked
from fcfast.datafiles.cells import not_a_number
from fcfast.datafiles.checks import TARGET_REMEDY, refuse_gaps
from fcfast.datafiles.columns import Target, columns_of, index_of
from fcfast.datafiles.labels import from_array, from_text, refuse_unlabelled
from fcfast.datafiles.sources import Source, decoding
from fcfast.datafiles.table import Table


def read_parquet(source: Source, asked: Asked) -> Table:
    """Read a table; the index of a pandas table names its samples."""
    with opened(source) as file, _decoding(source):
        content = file.read()
        content.validate(full=True)
        index = index_columns(content.schema)
    names: list[str] = content.column_names
    # The index comes last in the file but is not a column of the table, so it can be found only by its name.
    inner = [j for j, name in enumerate(names) if name not in index]
    by_name = [j for j, name in enumerate(names) if name in index and name in (*asked.targets, asked.ids, asked.marks)]
    ids = None if asked.ids == "" and index and "" not in names else asked.ids  # "" is the column without a name
    levels = [name for name in index if name not in (*asked.targets, asked.marks)] if ids is None else []
    if len(levels) == 1:
        ids = levels[0]
        by_name = sorted({*by_name, names.index(ids)})
    order = inner + by_name
    target, *more = [_within(target, names, len(inner)) for target in asked.targets] or [None]
    marks = _within(asked.marks, names, len(inner))
    columns = columns_of(source, [names[j] for j in order], len(order), target, ids, asked.features, asked.text, more, marks)
    chosen = [(names[order[j]], content.column(order[j])) for j in columns.places]
    if not chosen:
        raise ValueError(f"{source} has no features, only {len(names)} column(s); at least one is needed")
    X = _text_matrix(source, chosen) if asked.text else _matrix(source, chosen)
    y, of_targets = None, [str(columns.names[place]) for place in columns.targets]
    if columns.more:
        arrays = [_values(content.column(order[place])) for place in columns.targets]
        y = several.from_arrays(source, arrays, of_targets, asked.target_type, asked.cells)
    elif columns.target is not None:
        y = column_target(source, str(columns.names[columns.target]), content.column(order[columns.target]), asked)
    samples, id_name = None, columns.told(columns.ids)
    if columns.ids is not None:
        samples = _texts(content.column(order[columns.ids]))
        id_name = "the index" if columns.names[columns.ids] in index else id_name
    elif levels:
        samples = list(map("/".join, zip(*(_texts(content.column(names.index(name))) for name in levels), strict=True)))
        id_name = f"the index ({len(levels)} levels, joined by /)"
    return Table(
        X,
        y,
        list(map(str, columns.features)),
        of_targets if columns.more else None,
        ids=samples,
        skipped=columns.skipped,
        id_name=id_name,
        target_name=columns.told_targets(),
        notes=texts.notes(X) if asked.text else [],
        marks=None if columns.marks is None else _texts(content.column(order[columns.marks])),
        marks_name=columns.told(columns.marks),
    )


def _within(target: Target, names: Sequence[str], n_inner: int) -> Any:
    """Count a target that is an index among the columns that are no index of pandas."""
    place = index_of(target)
    return place % n_inner if place is not None and str(target) not in names and -n_inner <= place < n_inner else target


def _values(column: Any) -> NDArray[Any]:
    """Convert a column of one of several targets to an array: numbers with NaN for null, or text."""
    from pyarrow import types

    column = _decoded(column)
    if types.is_boolean(column.type):
        column = column.cast("uint8")
    return (
        column.to_numpy()
        if types.is_integer(column.type) or types.is_floating(column.type)
        else np.array(column.to_pylist(), object)
    )


def _matrix(source: object, columns: Sequence[tuple[str, Any]]) -> NDArray[Any]:
    """Convert numeric columns, which have names, to a matrix."""
    features = [column_numbers(source, name, column) for name, column in columns]
    X = np.empty((len(features[0]), len(features)), dtype=np.result_type(*{feature.dtype for feature in features}))
    for j, feature in enumerate(features):
        X[:, j] = feature
    return X


def _text_matrix(source: object, columns: Sequence[tuple[str, Any]]) -> NDArray[Any]:
    """Convert columns of texts, which have names, to a matrix."""
    with decoding(source, "Parquet", "write its texts in UTF-8"):
        decoded = [(name, _decoded(column)) for name, column in columns]
    return texts.matrix_of(source, [texts.in_parquet(source, name, column) for name, column in decoded])


@contextmanager
def opened(source: Source) -> Iterator[Any]:
    """Open a file as a pyarrow.parquet.ParquetFile."""
    try:
        from pyarrow import parquet
    except ImportError as error:
        raise ImportError(f"reading {source} needs pyarrow; install it with: pip install 'fcfast[parquet]'") from error
    with source.seekable() as stream:
        with _decoding(source):
            file = parquet.ParquetFile(stream)
        with file:
            yield file


def _decoding(source: Source) -> AbstractContextManager[None]:
    return decoding(source, "Parquet", "write it again")


def index_columns(schema: Any) -> list[str]:
    """Find the columns that form the index of a pandas table."""
    names = [name for name in schema.names if name.startswith("__index_level_")]
    metadata = (schema.metadata or {}).get(b"pandas")
    if metadata is not None:
        stored = json.loads(metadata).get("index_columns", [])
        names += [name for name in stored if isinstance(name, str) and name in schema.names and name not in names]
    return names


def column_texts(source: object, name: str, column: Any) -> list[str]:
    """Read a column of text; a missing text is empty."""
    with decoding(source, "Parquet", "write its texts in UTF-8"):
        column = _decoded(column)
    return [text or "" for text in texts.in_parquet(source, name, column)]


def _texts(column: Any) -> list[str]:
    return [value.decode() if isinstance(value, bytes) else str(value) for value in column.to_pylist()]


def _decoded(column: Any) -> Any:
    """Undo encodings that do not matter for the values: dictionaries, views, bytes for text."""
    from pyarrow import types

    if types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    kind = str(column.type)
    if kind in ("string", "large_string", "string_view", "binary", "large_binary", "binary_view"):
        column = column.cast("large_binary").cast("large_string") if "view" in kind or "binary" in kind else column
    return column


def column_numbers(source: object, name: str, column: Any, first_row: int = 0) -> NDArray[Any]:
    """Convert a numeric column to an array, with NaN for null; `first_row` is the row of the file that comes first."""
    from pyarrow import types

    if types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if types.is_boolean(column.type):
        column = column.cast("uint8")
    elif types.is_decimal(column.type) or types.is_null(column.type):
        column = column.cast("float64")
    elif not (types.is_integer(column.type) or types.is_floating(column.type)):
        row, value = next(((i, value.as_py()) for i, value in enumerate(column) if value.is_valid), (0, None))
        raise not_a_number(source, name, f"row {first_row + row}", value)
    numbers: NDArray[Any] = column.to_numpy()
    return numbers


def column_target(source: object, name: str, column: Any, asked: Asked, first_row: int = 0) -> NDArray[Any]:
    """Convert a column to targets; `first_row` is the row of the file that comes first."""
    from pyarrow import types

    with decoding(source, "Parquet", f"write the column {name!r} as text in UTF-8"):
        column = _decoded(column)
    if types.is_boolean(column.type) and not column.null_count:
        return from_array(source, column.to_numpy().astype(bool), asked.target_type)
    if not (types.is_string(column.type) or types.is_large_string(column.type)):
        numbers = column_numbers(source, name, column, first_row)
        refuse_gaps(source, numbers[:, None], [name], remedy=TARGET_REMEDY, first_row=first_row)
        return from_array(source, numbers, asked.target_type)
    labels = [(label or "").strip() for label in column.to_pylist()]
    if asked.target_type == "numbers":
        return from_text(source, labels, name, "numbers", asked.cells, range(first_row, first_row + len(labels)))
    refuse_unlabelled(source, labels, name, asked.cells.missing, first_row=first_row)
    return np.array(labels)
