"""Samples that ``fcfast train`` validates on: those of another file, a share, or rows that a column of the data names."""

import os
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from fcfast.commands.options import in_tests
from fcfast.commands.shared import listed, number

if TYPE_CHECKING:
    from fcfast.commands.data import Array, Rows, Samples

TRAIN, VALIDATION, TEST = "train", "validation", "test"
HELD_OUT = "a tenth of the training samples"  # without --validation
WORDS = {  # what cells of a column say, in small letters
    TRAIN: ("train", "training", "0", "false", "no"),
    VALIDATION: ("validation", "valid", "val", "dev", "1", "true", "yes"),
    TEST: ("test", "testing"),
}
KNOWN = "; ".join(f"{part}: {', '.join(words)}" for part, words in WORDS.items())
PARTS = {word: part for part, words in WORDS.items() for word in words}

ValidationSet = Annotated[
    str | None,
    in_tests(
        "--validation",
        metavar="FILE|SHARE|COLUMN",
        help="Score these samples after each epoch: another file, a share of the training samples such as 0.2, or the rows "
        f"that a column marks. Its words, in letters of any size, are {KNOWN}.",
    ),
]
Scoring = Annotated[
    str | None,
    in_tests(
        metavar="NAME",
        help="Score of validation samples: a scorer of scikit-learn such as roc_auc, or loss.",
        show_default="accuracy, or R² for numbers",
    ),
]


@dataclass(frozen=True)
class Asked:
    """What --validation says; one of the three is given."""

    text: str
    file: Path | None = None
    share: float | None = None
    column: str | None = None


def asked_validation(text: str | None, scoring: str | None, early_stopping: bool) -> Asked | None:
    """Read --validation, and refuse what contradicts it; None without it."""
    if text is None:
        if scoring is not None and not early_stopping:
            raise ValueError(
                f"--scoring {scoring} is for samples that are scored after each epoch; add --validation or --early-stopping"
            )
        return None
    from fcfast.datafiles import ENDINGS

    share = _number(text)
    if share is not None and 0 < share < 1:
        return Asked(text, share=share)
    if share is not None and not share.is_integer():
        raise ValueError(f"--validation {text} must be a share of the training samples between 0 and 1, a file or a column")
    name = text.lower().removesuffix(".gz")
    if text == "-" or os.sep in text or "/" in text or name.endswith(tuple(ENDINGS)):
        path = Path(text)
        if text != "-" and not path.exists():
            raise FileNotFoundError(f"--validation {text}: there is no such file")
        return Asked(text, file=path)
    return Asked(text, column=text)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def refuse_in_blocks(data: Path, asked: Asked | None) -> None:
    """Refuse samples that would have to be found in a file that is read in blocks."""
    if asked is not None and asked.file is None:
        raise ValueError(f"{data} is read in blocks (--block-rows); --validation needs a file there, got {asked.text}")


def marked_parts(column: str, marks: "list[str] | None", path: Path) -> "Array":
    """Give the part, "train", "validation" or "test", of each sample by what a column says."""
    import numpy as np

    if marks is None:
        raise ValueError(f"{path} has no column {column!r} that marks the samples to validate on")
    parts = [PARTS.get(_word(mark)) for mark in marks]
    unknown = sorted({mark for mark, part in zip(marks, parts, strict=True) if part is None})
    if unknown:
        raise ValueError(f"{path}: the column {column!r} says {listed(unknown)}, but --validation knows {KNOWN}")
    if VALIDATION not in parts:
        raise ValueError(f"{path}: the column {column!r} marks no sample as {VALIDATION}; write {VALIDATION}, 1 or true there")
    return np.array(parts)


def _word(mark: str) -> str:
    value = _number(mark)
    return str(int(value)) if value in (0.0, 1.0) else mark.strip().lower()


def split_by_marks(
    parts: "Array", y: "Array", n_train: int | None, share: float | None, stratify: bool, seed: int
) -> "tuple[Rows, Rows, Rows, str]":
    """Give the rows to train on, to validate on and to test on by a column's marks, and how the last were found.

    Test rows are drawn from the others where the column marks none.
    """
    import numpy as np

    from fcfast.commands.data import split

    validation = np.flatnonzero(parts == VALIDATION)
    if (parts == TEST).any():
        if share is not None:
            raise ValueError(f"--test {share:g} was given, but the column of --validation marks test samples; leave one out")
        return np.flatnonzero(parts == TRAIN), validation, np.flatnonzero(parts == TEST), "marked by the column"
    others = np.flatnonzero(parts == TRAIN)
    if not len(others):
        raise ValueError("the column of --validation marks all samples, which leaves none to train on")
    known = None if n_train is None else int(np.sum(others < n_train))
    rows, test, how = split(y[others], known, share, stratify, seed)
    return others[rows], validation, others[test], how


def shared_off(y: "Array", rows: "Rows", share: float, stratify: bool, seed: int) -> "tuple[Rows, Rows]":
    """Draw a share of the training rows, each class in proportion; give the others, and these."""
    from fcfast.commands.data import split

    if ceil(share * len(rows)) >= len(rows):
        raise ValueError(f"--validation {share:g} of {len(rows)} training sample(s) leaves none to train on; use less")
    kept, drawn, _ = split(y[rows], None, share, stratify, seed)
    return rows[kept], rows[drawn]


def for_fit(samples: "Samples | None") -> dict[str, Any]:
    """Give the arguments of `fit` about samples to validate on."""
    from fcfast.commands.data import training_rows

    return {} if samples is None else {"X_val": training_rows(samples), "y_val": samples.targets()}


def validation_report(estimator: Any, n_samples: int | None, how: str) -> dict[str, Any] | None:
    """Give what the report says about validation; None if there was none."""
    scores = estimator.validation_scores_
    if not scores:
        return None
    return {
        "n_samples": n_samples,
        "set": how,
        "scoring": estimator._score_name if estimator.scoring is None else str(estimator.scoring),
        "best_epoch": estimator.best_epoch_,
        "best_score": max(scores),
        "last_score": scores[-1],
        "kept": bool(estimator.early_stopping),
    }


def validation_line(report: dict[str, Any], n_epochs: int) -> str:
    """Describe the validation in a line of the summary."""
    on = "" if report["n_samples"] is None else f" on {report['n_samples']} samples"
    kept = "whose network is kept" if report["kept"] else f"the last one has {number(report['last_score'])}"
    return (
        f"validation{on} ({report['set']}): best {report['scoring']} {number(report['best_score'])} at epoch "
        f"{report['best_epoch']} of {n_epochs}, {kept}"
    )
