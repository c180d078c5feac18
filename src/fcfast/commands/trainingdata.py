"""The samples of ``fcfast train`` and ``fcfast compare``: read, and divided into those to train, to validate and to test on."""

from ast import literal_eval
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from fcfast.commands.shared import tell_user
from fcfast.commands.survival import TASK as SURVIVAL
from fcfast.commands.survival import strata_of
from fcfast.commands.texts import Texts, columns_of, texts_of, vectorized
from fcfast.commands.validation import TEST, Asked, marked_parts, shared_off, split_by_marks

if TYPE_CHECKING:
    from fcfast.commands.data import Array, Rows, Samples
    from fcfast.datafiles import Table
    from fcfast.text import TextFeatures

Target = str | list[str] | None


@dataclass(frozen=True)
class Wanted:
    """What the user asks for.

    Attributes
    ----------
    data : Path
        File of the samples.
    target : str, list of str or None
    task, target_type : str
        As the options name them; "survival" for times and events.
    n_features : int or None
        Number of features of an svmlight file.
    ids : str or None
        Column that names the samples.
    share : float or None
        Share of the samples to test on; None is as the file says.
    test_file : Path or None
    test_target : str, list of str or None
        Target in `test_file`, if it has another name.
    seed : int
        Seed of the split.
    written : dict
        Further options of `read_table`.
    texts : Texts or None
    validated : Asked or None
        Samples to validate on.
    """

    data: Path
    target: Target
    task: str
    target_type: str
    n_features: int | None
    ids: str | None
    share: float | None
    test_file: Path | None
    test_target: Target
    seed: int
    written: dict[str, Any] = field(default_factory=dict)
    texts: Texts | None = None
    validated: Asked | None = None

    def __post_init__(self) -> None:
        """Refuse what contradicts itself."""
        if self.test_file is not None and self.share is not None:
            raise ValueError("--test and --test-file were both given; use one of them")
        if self.test_target is not None and self.test_file is None:
            raise ValueError("--test-target was given without --test-file")

    @property
    def marks(self) -> str | None:
        """The column that marks samples to validate on, which is no feature."""
        return None if self.validated is None else self.validated.column


@dataclass(frozen=True)
class Source:
    """The training and test samples, and how they were chosen."""

    task: str
    train: "Samples"
    test: "Samples | None"
    feature_names: list[str] | None
    about: dict[str, Any]  # for the report
    text: "TextFeatures | None" = None  # how texts became features
    validation: "Samples | None" = None  # that --validation names
    target_names: list[str] | None = None  # of several columns
    told_target: str = ""  # as in the line about the table


class Divided(NamedTuple):
    """Rows of the data to train, to validate and to test on, and how the last were found."""

    train: "Rows"
    validation: "Rows"
    test: "Rows"
    how: str


def read_source(wanted: Wanted) -> Source:
    """Read the data, and hold out samples to validate on and to test on.

    Texts become features whose words come from the training samples alone.
    """
    import numpy as np

    from fcfast.commands.data import Samples, refuse_unknown, refuse_untrained, task_of

    data, texts, validated = wanted.data, wanted.texts, wanted.validated
    table = _table(wanted)
    y, task, reason = task_of(table, data, wanted.task)
    has_classes = task == "classification" and y.ndim == 1
    if has_classes and len(np.unique(y)) < 2:
        raise ValueError(f"{data}: the target is {str(y[0])!r} in every sample; at least two classes are needed")
    columns = None if texts is None else columns_of(table, texts.columns)
    rows = _divided(wanted, table, strata_of(y), has_classes or task == SURVIVAL)
    train = Samples(table.X, y, rows.train)
    validation, test = (Samples(table.X, y, part) if len(part) else None for part in (rows.validation, rows.test))
    how = rows.how
    if wanted.test_file is not None:
        test = _from_file(wanted, wanted.test_file, wanted.test_target or wanted.target, table, columns, y, task)
        how = str(wanted.test_file)
    if validated is not None and validated.file is not None:
        validation = _from_file(wanted, validated.file, wanted.target, table, columns, y, task)
    if has_classes:
        column = table.target_name
        if validation is not None and validated is not None:
            refuse_unknown(y[rows.train], validation.targets(), f"--validation {validated.text}", column)
        refuse_untrained(y, rows.train, rows.test, data, column)
    about = {
        "data": str(data), "task": task, "task_reason": reason, "n_features": table.X.shape[1], "n_train": len(rows.train),
        "n_test": 0 if test is None else len(test.rows), "test_set": how,
        "validation_set": None if validated is None else validated.text,
        "untested_classes": np.setdiff1d(y[rows.train], test.targets()).tolist() if has_classes and test is not None else [],
    }  # fmt: skip
    if isinstance(wanted.target, str) and table.target_name[:1] in ("'", '"'):  # the name, where its index was given
        about["target"] = literal_eval(table.target_name)
    names_of_targets = table.target_names if y.ndim == 2 else None
    if texts is None or columns is None:
        return Source(task, train, test, table.feature_names, about, None, validation, names_of_targets, table.target_name)
    train, (test, validation), text = vectorized(texts, columns, train, (test, validation), task, wanted.seed, data)
    about |= {"n_features": text.n_features, "text": str(text)}
    return Source(task, train, test, None, about, text, validation, names_of_targets, table.target_name)


def _table(wanted: Wanted) -> "Table":
    """Read the data, without samples that have no target."""
    from fcfast.commands.data import refuse_repeated, with_targets
    from fcfast.datafiles import read_table

    table = read_table(
        wanted.data, wanted.target, n_features=wanted.n_features, ids=wanted.ids, target_type=wanted.target_type,
        text=None if wanted.texts is None else wanted.texts.columns, marks=wanted.marks, **wanted.written,
    )  # fmt: skip
    tell_user(f"{wanted.data}: {table}")
    table = with_targets(table, wanted.data)
    if table.feature_names is not None:
        refuse_repeated(table.feature_names, wanted.data)  # or `fcfast predict` could not tell them apart
    return table


def _divided(wanted: Wanted, table: "Table", strata: "Array", has_strata: bool) -> Divided:
    """Divide the rows of the data."""
    from fcfast.commands.data import split

    share = 0.0 if wanted.test_file is not None else wanted.share
    if wanted.marks is None:
        rows, test, how = split(strata, table.n_train, share, has_strata, wanted.seed)
        validation = rows[:0]
    else:
        parts = marked_parts(wanted.marks, table.marks, wanted.data)
        if wanted.test_file is not None and (parts == TEST).any():
            raise ValueError(f"--test-file was given, but the column {wanted.marks!r} marks test samples; leave one out")
        rows, validation, test, how = split_by_marks(parts, strata, table.n_train, share, has_strata, wanted.seed)
    if wanted.validated is not None and wanted.validated.share is not None:
        rows, validation = shared_off(strata, rows, wanted.validated.share, has_strata, wanted.seed)
    return Divided(rows, validation, test, how)


def _from_file(
    wanted: Wanted, path: Path, target: Target, table: "Table", columns: list[str | int] | None, y: "Array", task: str
) -> "Samples":
    """Read samples like those of the data from another file."""
    import numpy as np

    from fcfast.commands.data import Samples, in_order, targets_like, type_of_targets, with_targets, with_targets_in_order
    from fcfast.datafiles import read_table

    # columns without names are identified by position, as in the training file
    names = None if columns else table.feature_names
    no_features: dict[str, Any] = {"ids": wanted.ids, "marks": wanted.marks} if names is None else {}
    other = read_table(
        path, target, n_features=None if columns else table.X.shape[1], features=names, target_type=type_of_targets(y),
        text=columns, **no_features, **wanted.written,
    )  # fmt: skip
    tell_user(f"{path}: {other}")
    other = with_targets_in_order(with_targets(other, path), table.target_names if y.ndim == 2 else None)
    X = texts_of(other, columns) if columns else in_order(other, names, table.X.shape[1], path)[0]
    other_y = targets_like(y, other, path, task)
    return Samples(X, other_y, np.arange(len(other_y)))
