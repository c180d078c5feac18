"""Read a table, features and perhaps a target, from a file. What is damaged or has gaps is refused, never filled in.

=============================  ======================================================================================
.csv .tsv .txt                 delimited text in UTF-8, with a header line or without
.svm .svmlight .libsvm         svmlight text, becomes CSR; needs scikit-learn
.parquet                       needs the extra ``fcfast[parquet]`` (pyarrow)
.npz                           arrays `X` (or `data`, `indices`, `indptr`, `shape`: CSR) and perhaps `y`, `target_names`,
                               `feature_names`, `n_train`
.npy                           one array, memory-mapped; its target is another .npy file
=============================  ======================================================================================

Text may be compressed (.csv.gz, .svm.gz ...).
"""

import csv
import difflib
import gzip
import math
import os
import re
import reprlib
import shlex
import zipfile
from array import array
from collections.abc import Collection, Generator, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from itertools import chain, compress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

Row = tuple[int, list[str]]  # the number of a line, and its cells
Target = str | int | os.PathLike[str] | None

# The delimiters looked for in line 1, the likeliest first, and what to do where there is none (None: split at white space).
DELIMITERS: dict[str, tuple[str, str | None]] = {".csv": (",;\t", ","), ".tsv": ("\t", "\t"), ".txt": ("\t,;", None)}
SVMLIGHT = (".svm", ".svmlight", ".libsvm")
TEXT = (*DELIMITERS, *SVMLIGHT)
ENDINGS = (*TEXT, ".parquet", ".npz", ".npy")
MISSING = {"", "na", "n/a", "nan", "null", "?"}
CSR_ARRAYS = ("data", "indices", "indptr", "shape")
DECIMAL_COMMA = re.compile(r"\s*[-+]?\d*,\d+([eE][-+]?\d+)?\s*")


@dataclass(frozen=True, eq=False)
class Table:
    """Samples by features, and what the file says about them.

    Attributes
    ----------
    X : array, csr_array or memmap of shape (n_samples, n_features)
    y : array of shape (n_samples,) or (n_samples, n_outputs), or None
        Numbers, or class names (a NumPy string array).
    feature_names : list of str, or None
    target_names : list of str, or None
        Names of the classes that an integer `y` counts, or of the outputs of a `y` with several columns.
    n_train : int or None
        The first `n_train` rows are the published training part.
    ids : list of str, or None
        Names of the samples.
    skipped : list of str
        Columns that are no features, as only some were asked for.
    """

    X: Any
    y: NDArray[Any] | None = None
    feature_names: list[str] | None = None
    target_names: list[str] | None = None
    n_train: int | None = None
    ids: list[str] | None = None
    skipped: list[str] = field(default_factory=list)


def read_table(
    path: str | os.PathLike[str],
    target: Target = None,
    *,
    header: bool | None = None,
    n_features: int | None = None,
    ids: str | int | None = None,
    features: Collection[str] | None = None,
) -> Table:
    """Read a table from a file; the ending of its name says how.

    Parameters
    ----------
    path : path
    target : str, int or path, optional
        Delimited text and .parquet: the name or index (from 0; -1 is the last) of the target column. An integer written as
        a string is an index unless a column has that name. .npz: the name of an array, by default "y" if there is one.
        .npy: another .npy file. svmlight has its target in every line. Without a target, `y` is None.
    header : bool, optional
        Whether delimited text begins with the names of its columns. By default it does if `target` is a name, or if line 1
        has text where numbers belong; names that are all numbers (wavelengths, say) have to be announced.
    n_features : int, optional
        The width of an svmlight table, whose lines only name the features they have.
    ids : str or int, optional
        Delimited text and .parquet: the column, .npz: the array, that names the samples and is no feature.
    features : collection of str, optional
        Delimited text and .parquet whose columns have names: the features that are needed, all of them. Other columns are
        skipped, whatever they hold.

    Returns
    -------
    Table

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is not what its ending says, is damaged, or has gaps, text for numbers, or no such target.
    ImportError
        If a library needed for this kind of file is not installed.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "iris.csv")
    ...     _ = path.write_text("length,width,kind\\n5.1,3.5,setosa\\n7,3.2,versicolor\\n")
    ...     table = read_table(path, target="kind")
    >>> table.X.tolist(), table.y.tolist(), table.feature_names
    ([[5.1, 3.5], [7.0, 3.2]], ['setosa', 'versicolor'], ['length', 'width'])
    """
    path = Path(path)
    _check_file(path, "data file")
    ending = _ending(path)
    if ending in DELIMITERS:
        table = _read_delimited(path, target, header, ids, features)
    elif ending in SVMLIGHT:
        _refuse_ids(path, ids)
        table = _read_svmlight(path, target, n_features)
    elif ending == ".parquet":
        table = _read_parquet(path, target, ids, features)
    elif ending == ".npz":
        table = _read_npz(path, target, ids)
    else:
        _refuse_ids(path, ids)
        table = _read_npy(path, target)
    _check(path, table)
    return table


def _check_file(path: Path, role: str) -> None:
    if path.is_dir():
        raise FileNotFoundError(f"{role} {path} is a folder; give the path of a file")
    if not path.exists():
        raise FileNotFoundError(f"{role} {path} does not exist; check the path")


def _ending(path: Path) -> str:
    """Return the ending that says what the file holds, in lower case and without .gz."""
    ending = path.suffix.lower()
    if ending == ".gz":
        ending = Path(path.stem).suffix.lower()
        if ending not in TEXT:
            raise ValueError(f"{path}: only text may be compressed ({', '.join(TEXT)}); unpack it with gunzip")
    if ending not in ENDINGS:
        raise ValueError(f"{path}: the ending {ending!r} is unknown; use one of {', '.join(ENDINGS)} (text also with .gz)")
    return ending


def _refuse_ids(path: Path, ids: str | int | None) -> None:
    if ids is not None:
        raise ValueError(f"{path} has no place for names of samples; leave out ids={ids!r}")


@contextmanager
def _decoding(path: Path, kind: str, remedy: str) -> Iterator[None]:
    """Turn whatever a decoder raises on damaged bytes into one line; they raise nearly anything."""
    try:
        yield
    except (MemoryError, PermissionError):
        raise
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(f"{path} cannot be read as {kind} ({reason}); {remedy}") from error


# ----------------------------------------------------------------------------------------------------------------------
# delimited text


@dataclass(frozen=True)
class _Columns:
    """What the columns of a table are: features, at most one target, at most one name of samples; the others are skipped."""

    names: Sequence[str | int]
    target: int | None
    ids: int | None
    is_feature: Sequence[bool]

    @property
    def features(self) -> list[str | int]:
        """Names of the features, or their places in the file."""
        return list(compress(self.names, self.is_feature))

    @property
    def skipped(self) -> list[str]:
        """Names of the columns that are of no use."""
        used = self.target, self.ids
        return [str(name) for j, name in enumerate(self.names) if not self.is_feature[j] and j not in used]


def _columns(
    path: Path,
    names: list[str] | None,
    n_columns: int,
    target: Target,
    ids: str | int | None,
    features: Collection[str] | None,
) -> _Columns:
    """Find out what each column is."""
    of_target, of_ids = (_column_of(path, column, names, n_columns) for column in (target, ids))
    if of_target is not None and of_target == of_ids:
        raise ValueError(f"{path}: {target!r} is the target and names the samples too; choose another column for one of them")
    used = of_target, of_ids
    if features is None or names is None:
        return _Columns(names or range(n_columns), of_target, of_ids, [j not in used for j in range(n_columns)])
    refuse_missing(path, features, [name for j, name in enumerate(names) if j not in used])
    wanted = set(features)
    return _Columns(names, of_target, of_ids, [j not in used and name in wanted for j, name in enumerate(names)])


def refuse_missing(path: Path, features: Collection[str], names: Collection[str]) -> None:
    """Raise a ValueError if features that are needed are not among the names of columns."""
    there = set(names)
    missing = [name for name in features if name not in there]
    if missing:
        shown = ", ".join(map(repr, missing[:5])) + (" ..." if len(missing) > 5 else "")
        raise ValueError(f"{path} lacks {len(missing)} of the {len(features)} features that are needed: {shown}")


def _read_delimited(
    path: Path, target: Target, header: bool | None, ids: str | int | None, wanted: Collection[str] | None
) -> Table:
    with closing(_cells(path)) as rows:
        first_line, first = next(rows, (0, []))
        if not first:
            raise ValueError(f"{path} is empty; a line of numbers for each sample is needed")
        named = _has_header(path, first, target, ids, wanted) if header is None else header
        names = _header(path, first, ids) if named else None
        columns = _columns(path, names, len(first), target, ids, wanted)
        features = columns.features
        data = rows if named else chain([(first_line, first)], rows)
        values, labels, samples, lines = _split(path, data, columns)
    if not lines or not features:
        raise ValueError(
            f"{path} has {len(lines)} line(s) of data and {len(features)} feature(s); at least one of each is needed"
        )
    if header is None and not named:
        _refuse_hidden_header(path, labels)
    X = np.frombuffer(values).reshape(len(lines), len(features))
    _refuse_gaps(path, X, features, lines)
    y = None if columns.target is None else _target_values(path, labels, columns.names[columns.target], lines)
    names = names and [str(name) for name in features]
    return Table(X, y, names, ids=samples if columns.ids is not None else None, skipped=columns.skipped)


def _cells(path: Path) -> Generator[Row]:
    """Yield the number and the cells of each line that is not blank."""
    likely, otherwise = DELIMITERS[_ending(path)]
    text: dict[str, Any] = {"mode": "rt", "encoding": "utf-8-sig", "newline": ""}
    with (
        _decoding(path, "delimited text", "save it anew as plain text in UTF-8"),
        gzip.open(path, **text) if path.suffix.lower() == ".gz" else open(path, **text) as file,
    ):
        start = next((line for line in file if line.strip()), "")
        file.seek(0)
        _refuse_decimal_commas(path, start)
        delimiter = next((mark for mark in likely if mark in start), otherwise)
        if delimiter is None:
            yield from ((number, line.split()) for number, line in enumerate(file, 1) if line.strip())
            return
        reader = csv.reader(file, delimiter=delimiter, strict=True)
        for cells in reader:
            if len(cells) > 1 or any(map(str.strip, cells)):
                yield reader.line_num, cells


def _refuse_decimal_commas(path: Path, line: str) -> None:
    """Refuse a line of numbers with commas for points, before the commas are taken for what parts the cells."""
    cells = re.split(r"[;\t]", line.strip())
    if len(cells) > 1 and "," in line and all(DECIMAL_COMMA.fullmatch(cell) or _number(cell) is not None for cell in cells):
        raise ValueError(f"{path}: line 1 has decimal commas ({reprlib.repr(line.strip())}); write points, as in 0.5")


def _split(path: Path, rows: Iterable[Row], columns: _Columns) -> tuple["array[float]", list[str], list[str], list[int]]:
    """Part the rows: numbers (one flat array, to hold a large table only once), labels, names of samples, line numbers."""
    values, labels, ids, lines = array("d"), [], [], []
    n_cells, features = len(columns.names), columns.features
    for line, cells in rows:
        if len(cells) != n_cells:
            raise ValueError(
                f"{path}: line {line} has {len(cells)} cell(s) instead of {n_cells}; "
                "give every line as many as the first, with one delimiter"
            )
        if columns.target is not None:
            labels.append(cells[columns.target])
        if columns.ids is not None:
            ids.append(cells[columns.ids].strip())
        values.extend(_numbers(path, line, list(compress(cells, columns.is_feature)), features))
        lines.append(line)
    return values, labels, ids, lines


def _number(cell: str) -> float | None:
    """Read a number; NaN for an empty cell, None for text."""
    if cell.strip().lower() in MISSING:
        return math.nan
    try:
        return None if "_" in cell else float(cell)  # Python reads 1_000 as a number; in a table it is a name
    except ValueError:
        return None


def _numbers(path: Path, line: int, cells: list[str], columns: list[str | int]) -> "array[float]":
    """Read the features of a line."""
    try:
        if "_" not in "".join(cells):
            return array("d", map(float, cells))
    except ValueError:
        pass  # an empty cell, or text: look at each
    numbers = array("d")
    for column, cell in zip(columns, cells, strict=True):
        number = _number(cell)
        if number is None:
            raise _not_a_number(path, column, f"line {line}", cell)
        numbers.append(number)
    return numbers


def _index(target: object) -> int | None:
    """Read a target that is an index, or an index written as a string."""
    try:
        return int(target)  # type: ignore[call-overload]  # the question is whether it works
    except (TypeError, ValueError):
        return None


def _has_header(path: Path, first: list[str], target: Target, ids: str | int | None, wanted: Collection[str] | None) -> bool:
    """Tell from line 1: features are numbers, so text in their place is a name."""
    if wanted is not None and set(wanted) <= {cell.strip() for cell in first}:
        return True
    features = list(first)
    for column in (target, ids):
        index = _index(column)
        if column is not None and index is None:
            return True
        if index is not None and -len(first) <= index < len(first):
            features[index] = "nan"  # says nothing
    read = {cell: _number(cell) for cell in features}
    text = [cell for cell, number in read.items() if number is None]
    numbers = [cell for cell, number in read.items() if number is not None and math.isfinite(number)]
    if text and numbers:
        raise ValueError(
            f"{path}: line 1 has numbers ({reprlib.repr(numbers[0])}) and text ({reprlib.repr(text[0])}), so it may be data or "
            "names; give the name of the target column, or say header=True or header=False"
        )
    return bool(text)


def _refuse_hidden_header(path: Path, labels: list[str]) -> None:
    """Refuse a target that is text in line 1 alone: a header whose other names are numbers, or a class of one sample?"""
    if len(labels) > 1 and _number(labels[0]) is None and None not in map(_number, labels[1:]):
        raise ValueError(
            f"{path}: the target is text in line 1 ({reprlib.repr(labels[0])}) and numbers below, so that line may be data or "
            "names; give the name of the target column, or say header=True or header=False"
        )


def _header(path: Path, first: list[str], ids: str | int | None) -> list[str]:
    names = [cell.strip() for cell in first]
    if "" in names and names.index("") != _index(ids):
        raise ValueError(
            f"{path}: column {names.index('')} (counted from 0) has no name in line 1; name it, or leave it out if it only "
            f"numbers the rows (R: row.names=FALSE, pandas: index=False), or say that it names them (--id {names.index('')})"
        )
    return names


def _column_of(path: Path, target: Target, names: list[str] | None, n_columns: int) -> int | None:
    """Find the column of the target, or of the samples' names: by name if one has it, else by index."""
    if target is None:
        return None
    if names is not None and target in names:
        if names.count(str(target)) > 1:
            raise ValueError(
                f"{path} has {names.count(str(target))} columns named {target!r}; give the index of the one that is meant"
            )
        return names.index(str(target))
    index = _index(target)
    if index is None and names is None:
        raise ValueError(f"{path} has no header line to look for {target!r} in; give the column's index, -1 for the last one")
    if index is None:
        raise ValueError(f"{path} has no column {target!r}; {_choices(str(target), names or [])}")
    if not -n_columns <= index < n_columns:
        raise ValueError(f"{path} has no column {index}; it has {n_columns}, use 0 to {n_columns - 1}, or -1 for the last")
    return index % n_columns


def _choices(wanted: str, names: Sequence[str]) -> str:
    """Say which names are close, or else which there are."""
    by_lower_case = {name.lower(): name for name in names}
    close = difflib.get_close_matches(wanted.lower(), by_lower_case, n=3)
    if close:
        return "did you mean " + " or ".join(repr(by_lower_case[name]) for name in close) + "?"
    shown = [reprlib.repr(name) for name in names]
    return "it has " + ", ".join(shown if len(shown) <= 6 else [*shown[:3], "...", *shown[-2:]])


def _target_values(path: Path, labels: list[str], name: str | int, lines: list[int]) -> NDArray[Any]:
    """Make numbers if all are, else class names."""
    numbers = [_number(label) for label in labels]
    values = np.array([0.0 if number is None else number for number in numbers])
    _refuse_gaps(path, values[:, None], [name], lines)
    return _whole(values) if None not in numbers else np.array([label.strip() for label in labels])


def _whole(values: NDArray[np.float64]) -> NDArray[Any]:
    """Make integers of numbers that are: class labels 0, 1, 2 should not come back as 0.0, 1.0, 2.0."""
    exact = (values == np.floor(values)) & (np.abs(values) < 2**53)
    return values.astype(np.int64) if exact.all() else values


# ----------------------------------------------------------------------------------------------------------------------
# svmlight, Parquet, NumPy


def _read_svmlight(path: Path, target: Target, n_features: int | None) -> Table:
    try:
        from sklearn.datasets import load_svmlight_file
    except ImportError as error:
        raise ImportError(f"reading {path} needs scikit-learn; install it with: pip install scikit-learn") from error
    if target is not None:
        raise ValueError(f"{path} has its target at the start of every line; leave out target={target!r}")
    with _decoding(path, "svmlight text", "write it anew with sklearn.datasets.dump_svmlight_file"):
        # Files count features from 0 or from 1. Guessing which, from the features that happen to be in a file, can shift
        # test data against training data; feature j in column j cannot (counting from 1 leaves an empty column 0).
        X, y = load_svmlight_file(os.fspath(path), n_features=n_features, zero_based=True)
    return Table(sparse.csr_array(X), _whole(y))


def _read_parquet(path: Path, target: Target, ids: str | int | None, wanted: Collection[str] | None) -> Table:
    try:
        from pyarrow import parquet
    except ImportError as error:
        raise ImportError(f"reading {path} needs pyarrow; install it with: pip install 'fcfast[parquet]'") from error
    with _decoding(path, "Parquet", "write it anew"), parquet.ParquetFile(path) as file:
        content = file.read()
        content.validate(full=True)
        # The index of a pandas table is the names of its rows, not a feature.
        content = content.drop_columns([name for name in content.column_names if name.startswith("__index_level_")])
    names: list[str] = content.column_names
    columns = _columns(path, names, len(names), target, ids, wanted)
    used = compress(range(len(names)), columns.is_feature)
    features = [_parquet_numbers(path, names[j], content.column(j)) for j in used]
    if not features:
        raise ValueError(f"{path} has no features, only {len(names)} column(s); at least one is needed")
    X = np.empty((len(content), len(features)), dtype=np.result_type(*{feature.dtype for feature in features}))
    for j, feature in enumerate(features):
        X[:, j] = feature
    y = None if columns.target is None else _parquet_target(path, names[columns.target], content.column(columns.target))
    samples = None if columns.ids is None else list(map(str, content.column(columns.ids).to_pylist()))
    return Table(X, y, list(map(str, columns.features)), ids=samples, skipped=columns.skipped)


def _parquet_numbers(path: Path, name: str, column: Any) -> NDArray[Any]:
    """Make an array of a numeric column; NaN where it is null."""
    from pyarrow import types

    if types.is_boolean(column.type):
        column = column.cast("uint8")
    elif types.is_decimal(column.type) or types.is_null(column.type):
        column = column.cast("float64")
    elif not (types.is_integer(column.type) or types.is_floating(column.type)):
        row, value = next(((i, value.as_py()) for i, value in enumerate(column) if value.is_valid), (0, None))
        raise _not_a_number(path, name, f"row {row}", value)
    numbers: NDArray[Any] = column.to_numpy()
    return numbers


def _parquet_target(path: Path, name: str, column: Any) -> NDArray[Any]:
    from pyarrow import types

    if types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if not (types.is_string(column.type) or types.is_large_string(column.type)):
        numbers = _parquet_numbers(path, name, column)
        _refuse_gaps(path, numbers[:, None], [name])
        return numbers
    labels = [(label or "").strip() for label in column.to_pylist()]
    _refuse_gaps(path, np.array([0 if label else math.nan for label in labels])[:, None], [name])
    return np.array(labels)


def _read_npz(path: Path, target: Target, ids: str | int | None) -> Table:
    wanted = "y" if target is None else target
    remedy = "write it anew with numpy.savez and plain arrays (pickled objects are refused)"
    with _decoding(path, "an .npz archive", remedy), open(path, "rb") as file:  # np.load leaves damaged files open
        if not zipfile.is_zipfile(file):
            raise ValueError("it is no zip archive, or cut off")
        file.seek(0)
        with np.load(file, allow_pickle=False) as archive:
            names = list(archive.files)
            known = {"X", wanted, ids, "feature_names", "target_names", "n_train", "format", *CSR_ARRAYS}
            arrays = {name: np.asarray(archive[name]) for name in names if name in known}
    for asked in (target, ids):
        if asked is not None and asked not in arrays:
            raise ValueError(f"{path} has no array {asked!r}; {_choices(str(asked), names)}")
    if "X" in arrays:
        X = arrays["X"]
    elif all(name in arrays for name in CSR_ARRAYS):
        X = _csr(path, arrays)
    else:
        raise ValueError(f"{path} has no array 'X', nor all of {', '.join(CSR_ARRAYS)}; it has {', '.join(map(repr, names))}")
    return Table(
        X,
        arrays.get(str(wanted)),
        _names(path, arrays, "feature_names"),
        _names(path, arrays, "target_names") if wanted == "y" and "y" in arrays else None,
        _count(path, arrays, "n_train"),
        None if ids is None else _ids(path, arrays[str(ids)]),
    )


def _ids(path: Path, names: NDArray[Any]) -> list[str]:
    if names.ndim != 1 or names.dtype.kind not in "Uiu":
        raise ValueError(f"{path}: names of samples have dtype {names.dtype} and shape {names.shape}; save a list of strings")
    return list(map(str, names.tolist()))


def _csr(path: Path, arrays: dict[str, NDArray[Any]]) -> Any:
    """Make a CSR matrix; its indices are checked, since loops over it will not."""
    stored = arrays.get("format", np.array("csr")).tolist()
    if stored not in ("csr", b"csr"):
        raise ValueError(f"{path} holds a sparse matrix in format {stored!r}; save matrix.tocsr()")
    with _decoding(path, "a CSR matrix", "save it anew with scipy.sparse.save_npz"):
        shape = tuple(int(n) for n in arrays["shape"])
        matrix = sparse.csr_array(tuple(arrays[name] for name in ("data", "indices", "indptr")), shape=shape)
        matrix.check_format(full_check=True)
        matrix.sum_duplicates()
    return matrix


def _names(path: Path, arrays: dict[str, NDArray[Any]], key: str) -> list[str] | None:
    if key not in arrays:
        return None
    if arrays[key].ndim != 1 or arrays[key].dtype.kind != "U":
        raise ValueError(f"{path}: {key} has dtype {arrays[key].dtype} and shape {arrays[key].shape}; save a list of strings")
    return [str(name) for name in arrays[key]]


def _count(path: Path, arrays: dict[str, NDArray[Any]], key: str) -> int | None:
    if key not in arrays:
        return None
    if arrays[key].shape != () or arrays[key].dtype.kind not in "iu":
        raise ValueError(f"{path}: {key} has dtype {arrays[key].dtype} and shape {arrays[key].shape}; save one integer")
    return int(arrays[key])


def _read_npy(path: Path, target: Target) -> Table:
    remedy = "write it anew with numpy.save and a plain array (pickled objects are refused)"
    with _decoding(path, "an .npy array", remedy):
        X = np.lib.format.open_memmap(path, mode="r")
    if target is None:
        return Table(X)
    if not isinstance(target, str | os.PathLike) or Path(target).suffix.lower() != ".npy":
        raise ValueError(f"{path} is one array, so target={target!r} is unknown; give the path of an .npy file with the target")
    _check_file(Path(target), "target file")
    with _decoding(Path(target), "an .npy array", remedy):
        return Table(X, np.array(np.lib.format.open_memmap(target, mode="r")))


# ----------------------------------------------------------------------------------------------------------------------
# checks


def _check(path: Path, table: Table) -> None:
    """Check that arrays are what they are said to be and fit one another."""
    X, y = table.X, table.y
    if X.ndim != 2 or 0 in X.shape or X.dtype.kind not in "biuf":
        raise ValueError(f"{path}: X has dtype {X.dtype} and shape {X.shape}; real numbers (n_samples, n_features) are needed")
    if table.feature_names is not None and len(table.feature_names) != X.shape[1]:
        raise ValueError(f"{path} has {len(table.feature_names)} feature_names for {X.shape[1]} features; give one for each")
    if table.n_train is not None and not 0 < table.n_train <= X.shape[0]:
        raise ValueError(f"{path}: n_train is {table.n_train}, but there are {X.shape[0]} samples; use 1 to {X.shape[0]}")
    if table.ids is not None and len(table.ids) != X.shape[0]:
        raise ValueError(f"{path} has {len(table.ids)} names of samples for {X.shape[0]} samples; give one for each")
    if not isinstance(X, np.memmap):  # to look at every page of a large file is left to training, which has to
        _refuse_gaps(path, X, table.feature_names)
    if y is None:
        return
    if y.dtype.kind not in ("biufU" if y.ndim == 1 else "biuf") or y.ndim not in (1, 2) or len(y) != X.shape[0] or 0 in y.shape:
        raise ValueError(
            f"{path}: the target has dtype {y.dtype} and shape {y.shape}, but X has {X.shape[0]} samples; "
            "give a number or a name for each, or several numbers"
        )
    if table.target_names is not None:
        _check_target_names(path, y, table.target_names)
    _refuse_gaps(path, y.reshape(len(y), -1), table.target_names if y.ndim == 2 else ["target"])


def _check_target_names(path: Path, y: NDArray[Any], names: list[str]) -> None:
    if y.ndim == 2 and y.shape[1] != len(names):
        raise ValueError(f"{path} has {len(names)} target_names for {y.shape[1]} outputs; give one for each")
    if y.ndim == 1 and y.dtype.kind in "iu" and not (y.min() >= 0 and y.max() < len(names)):
        raise ValueError(f"{path} has {len(names)} target_names, but labels {y.min()} to {y.max()}; use 0 to {len(names) - 1}")


def _refuse_gaps(path: Path, values: Any, columns: Sequence[str | int] | None, lines: Sequence[int] | None = None) -> None:
    """Refuse NaN (an empty cell) and infinity, naming the first column that has some."""
    if values.dtype.kind != "f":
        return
    entries = values.tocoo() if sparse.issparse(values) else None
    finite = np.isfinite(values if entries is None else entries.data)
    if finite.all():
        return
    if entries is None:
        row_of, column_of = np.nonzero(~finite)
    else:
        row_of, column_of = entries.row[~finite], entries.col[~finite]
    j, row = int(column_of[0]), int(row_of[0])
    column = _column(j if columns is None else columns[j])
    unit, position = ("row", row) if lines is None else ("line", lines[row])
    others = len(np.unique(column_of)) - 1
    raise ValueError(
        f"{path}: {column} is empty, NaN or infinite in {np.sum(column_of == j)} {unit}(s), the first is {unit} {position}"
        + (f", and so are {others} more column(s)" if others else "")
        + f"; fill these in (with the mean of the column, say) or leave the {unit}s out"
    )


def _column(name: str | int) -> str:
    return f"column {name!r}" if isinstance(name, str) else f"column {name} (counted from 0)"


def _not_a_number(path: Path, column: str | int, position: str, value: object) -> ValueError:
    what = f"{path}: {_column(column)}, {position}: {reprlib.repr(value)} is not a number"
    if isinstance(value, str) and DECIMAL_COMMA.fullmatch(value):
        return ValueError(f"{what}: decimal commas; write points, as in 0.5")
    option = shlex.quote(str(column))
    return ValueError(
        f"{what}; encode the column as numbers, leave it out, make it the target (--target {option}), or name it with "
        f"--id {option} if it names the samples"
    )
