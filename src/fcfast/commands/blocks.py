"""Svmlight files that `train` and `predict` read in blocks of rows, because memory may not hold them."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from fcfast.commands.data import DEFAULT_TEST_SHARE, known_targets, targets_like, task_of
from fcfast.commands.fitting import fit, training_report
from fcfast.commands.predicted import csv_text, delimiter_of, prediction_columns
from fcfast.commands.scores import scores_of
from fcfast.commands.shared import print_data, tell_user
from fcfast.commands.validation import validation_report
from fcfast.datafiles import Table
from fcfast.datafiles.sources import SVMLIGHT
from fcfast.files import replacing
from fcfast.front import FORMS
from fcfast.streams import Block, Stream, SvmlightStream
from fcfast.streams.base import BLOCK_ROWS
from fcfast.units import bytes_text

Array = NDArray[Any]
Columns = dict[str, list[Any]]

HELD = 3  # bytes in memory for each byte of text, which loading takes
UNPACKED = 4  # bytes of text for each byte of a compressed file
SHARE = 0.5  # of the machine's memory, above which a file is read in blocks


def rows_of_block(data: Path, asked: int | None) -> int | None:
    """Give the rows of a block if a file is to be read in blocks, and tell the user; None reads it as a whole."""
    name = data.name.lower()
    if not name.removesuffix(".gz").endswith(SVMLIGHT) or not data.is_file():
        if asked is not None:
            raise ValueError(f"--block-rows is for svmlight files ({', '.join(SVMLIGHT)}); leave it out for {data}")
        return None
    memory, size = _memory(), data.stat().st_size * (UNPACKED if name.endswith(".gz") else 1)
    if asked is None and (memory is None or HELD * size < SHARE * memory):
        return None
    rows = asked or BLOCK_ROWS
    why = "" if asked else f", because {bytes_text(size)} of text may not fit into memory (--block-rows sets their size)"
    tell_user(f"{data}: read in blocks of {rows:,} rows{why}")
    return rows


def _memory() -> int | None:
    """Bytes of memory that the machine has, if it says so."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # Windows has no sysconf
        return None


def refuse_whole(
    data: Path,
    target: str | list[str] | None,
    ids: str | None,
    test_target: str | list[str] | None = None,
    impute: str = "none",
    text: list[str] | None = None,
) -> None:
    """Refuse options that mean nothing for an svmlight file."""
    if target is not None or test_target is not None:
        raise ValueError(f"{data} has its target at the start of every line; leave out --target and --test-target")
    if ids is not None:
        raise ValueError(f"{data} cannot hold names of samples; leave out --id {ids}")
    if impute != "none":
        raise ValueError(f"{data} is read in blocks, which are not filled in; leave out --impute {impute}")
    if text:
        raise ValueError(f"{data} holds numbers, no texts; leave out --text {text[0]}")


def refuse_settings(data: Path, settings: dict[str, Any], validation: Path | None) -> None:
    """Refuse options of `train` that need all samples in memory."""
    if settings["early_stopping"] and validation is None:
        raise ValueError(
            f"{data} is read in blocks (--block-rows), from which no samples are held out; leave out --early-stopping, or name "
            "a file with --validation"
        )
    if settings["standardize"] not in ("auto", False):
        raise ValueError(f"{data} is read in blocks (--block-rows), which are not scaled; leave out --standardize")
    if settings["form"] in FORMS and FORMS[settings["form"]].keeps_inputs:
        raise ValueError(
            f"--form {settings['form']} keeps all samples, but {data} is read in blocks (--block-rows); leave it out"
        )


def _blocks_with_targets(stream: SvmlightStream, path: Path) -> Iterator[Block]:
    """Give the blocks of a file, of which there must be one, and which must have targets."""
    is_empty = True
    for block in stream:
        if block.y is None:
            raise ValueError(f"{path} has no targets; write one at the start of every line")
        is_empty = False
        yield block
    if is_empty:
        raise ValueError(f"{path} has no samples")


def _whole(stream: SvmlightStream, path: Path, is_numeric: bool) -> tuple[Any, Array]:
    """Read all samples and targets of a file into memory."""
    from fcfast.estimators.stream_predictions import of_width

    blocks = list(_blocks_with_targets(stream, path))
    width = max(block.X.shape[1] for block in blocks)
    y = np.concatenate([block.y for block in blocks])
    X = sparse.csr_array(sparse.vstack([of_width(block.X, width) for block in blocks], format="csr"))
    return X, y.astype(np.float64) if is_numeric else y


class Part(Stream):
    """A share of a stream's samples, drawn at random, or all others; targets are what a task needs.

    Attributes
    ----------
    n_rows : int
        Samples of the last reading.
    """

    def __init__(self, stream: SvmlightStream, share: float, is_drawn: bool, seed: int, is_numeric: bool) -> None:
        self.stream, self.share, self.is_drawn, self.seed, self.is_numeric = stream, share, is_drawn, seed, is_numeric
        self.n_rows = 0

    @property
    def widens(self) -> bool:  # type: ignore[override]  # it depends on the instance here
        """As the stream does."""
        return self.stream.widens

    def __iter__(self) -> Iterator[Block]:
        """Read the blocks."""
        self.n_rows = 0
        for number, block in enumerate(self.stream):
            drawn = np.random.default_rng((self.seed, number)).random(len(block.y)) < self.share
            rows = np.flatnonzero(drawn == self.is_drawn)
            self.n_rows += len(rows)
            y = block.y.astype(np.float64) if self.is_numeric else block.y
            yield Block(block.X[rows], y[rows])


def train_in_blocks(
    data: Path,
    rows: int,
    n_features: int | None,
    target_type: str,
    asked_task: str,
    share: float | None,
    test_file: Path | None,
    settings: Callable[[str], dict[str, Any]],
    validation: Path | None = None,
) -> tuple[Any, dict[str, Any]]:
    """Train and test; give the estimator and the report. `settings` are those of an estimator for a task."""
    from fcfast.estimators import FrontClassifier, FrontRegressor
    from fcfast.estimators.stream_predictions import blocks_for

    if test_file is not None and share is not None:
        raise ValueError("--test and --test-file were both given; use one of them")
    stream = SvmlightStream(data, n_features, block_rows=rows, target_type=target_type)
    first = next(_blocks_with_targets(stream, data))
    y, task, reason = task_of(Table(first.X, first.y), data, asked_task)
    if asked_task == "auto":
        reason = f"{reason} among the first {len(y):,} samples"
    share = (DEFAULT_TEST_SHARE if share is None else share) if test_file is None else 0.0
    if test_file is not None:
        # What cannot be read, or has targets of another kind, is refused before the training.
        for block in _blocks_with_targets(SvmlightStream(test_file, block_rows=rows, target_type=target_type), test_file):
            task_of(Table(block.X, block.y), test_file, task)
    given = settings(task)
    refuse_settings(data, given, validation)
    seed, is_numeric = int(given["random_state"]), task == "regression"
    kind: type[FrontClassifier | FrontRegressor] = FrontRegressor if is_numeric else FrontClassifier
    estimator, training = kind(**given), Part(stream, share, False, seed, is_numeric)
    more: dict[str, Any] = {}
    if validation is not None:
        validated = SvmlightStream(validation, n_features, block_rows=rows, target_type=target_type)
        more["X_val"], more["y_val"] = _whole(validated, validation, is_numeric)
    started = time.perf_counter()
    sentences = fit(estimator, training, None, **more)
    seconds = time.perf_counter() - started
    about = {
        "data": str(data), "task": task, "task_reason": reason, "n_features": estimator.n_features_in_,
        "n_train": training.n_rows, "n_test": 0, "test_set": "no test set", "untested_classes": [],
    }  # fmt: skip
    result = None
    if test_file is not None or share > 0:
        if test_file is None:
            test, how = Part(stream, share, True, seed, is_numeric), "drawn at random"
        else:
            tested = SvmlightStream(test_file, estimator.n_features_in_, block_rows=rows, target_type=target_type)
            test, how = Part(tested, 0.0, False, seed, is_numeric), str(test_file)
        pairs = [(block.y, estimator.predict(block.X)) for block in blocks_for(estimator, test)]
        truth, predicted = (np.concatenate(parts) for parts in zip(*pairs, strict=True))
        result = scores_of(estimator, truth, predicted)
        untested = [] if is_numeric else np.setdiff1d(estimator.classes_, truth).tolist()
        about |= {"n_test": test.n_rows, "test_set": how, "untested_classes": untested}
    report = training_report(estimator, seconds, sentences, result)
    report["validation"] = validation_report(estimator, len(more.get("y_val", [])), str(validation))
    return estimator, about | report


def predict_in_blocks(
    model: Path, data: Path, rows: int, proba: bool, out: Path | None, keeps: bool
) -> tuple[int, Columns, dict[str, Any] | None, list[str]]:
    """Predict block by block and write the table of each, or print it unless it `keeps` all for JSON.

    Give the number of samples, the columns that are kept, scores if the targets are known, and notes for the user.
    """
    from fcfast.estimators.store import load

    estimator = load(model)
    classes = getattr(estimator, "classes_", None)
    if proba and classes is None:
        raise ValueError(f"--proba needs a classifier, but {model} holds a regressor; leave it out")
    if getattr(estimator, "text_", None) is not None:
        raise ValueError(f"{model} takes texts, but {data} holds numbers; give a table with a column of texts")
    task, scored = "regression" if classes is None else "classification", Scored(estimator)
    kept: Columns = {}
    stream = SvmlightStream(data, estimator.n_features_in_, block_rows=rows)
    n_samples = 0
    with nullcontext(print_data) if out is None else _replacing(out) as write:
        for block in stream:
            numbers = np.arange(n_samples, n_samples + block.X.shape[0])
            columns, predicted = prediction_columns(estimator, block.X, numbers, proba)
            if not (keeps and out is None):
                write(csv_text(columns, "," if out is None else delimiter_of(out), heads=not n_samples))
            else:
                for name, values in columns.items():
                    kept.setdefault(name, []).extend(values)
            n_samples += len(numbers)
            scored.take(block.y, predicted, data, task)
        if not n_samples:
            raise ValueError(f"{data} has no samples")
    return n_samples, kept, scored.result, scored.notes


class Scored:
    """Targets and predictions of blocks, as far as they can be compared."""

    def __init__(self, estimator: Any) -> None:
        self.estimator, self.known, self.notes = estimator, known_targets(estimator), list[str]()
        self._pairs: list[tuple[Array, Array]] = []

    def take(self, y: Array | None, predicted: Array, data: Path, task: str) -> None:
        """Take a block."""
        if y is None or self.notes:
            return
        try:
            truth = targets_like(self.known, Table(y[:, None], y), data, task)
        except ValueError as error:
            self.notes.append(f"not scored: {error}")
            return
        self._pairs.append((truth, predicted.astype(self.known.dtype)))

    @property
    def result(self) -> dict[str, Any] | None:
        """The scores, if all blocks have targets of the right kind."""
        if self.notes or not self._pairs:
            return None
        truth, predicted = (np.concatenate(parts) for parts in zip(*self._pairs, strict=True))
        return scores_of(self.estimator, truth, predicted)


@contextmanager
def _replacing(path: Path) -> Iterator[Callable[[str], object]]:
    """Give what writes text to a file, which is written completely or not at all."""
    with replacing(path) as temporary, open(temporary, "w", encoding="utf-8", newline="\n") as file:
        yield file.write
