"""Parquet files that are read in blocks of rows, as numbers or as text for a vectoriser."""

import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from fcfast import validation
from fcfast.datafiles.asked import Asked, check_target_type
from fcfast.datafiles.parquet import column_numbers, column_target, column_texts, index_columns, opened
from fcfast.datafiles.sources import Source, source_of
from fcfast.modelfile.text import text_entry
from fcfast.streams.base import BLOCK_ROWS, Block, Stream
from fcfast.text import TextFeatures


class ParquetStream(Stream):
    """The samples of a Parquet file in blocks of rows; the file may be larger than memory.

    X is a dense array of numeric columns or, with `text`, what a vectoriser makes of a column of text.

    Parameters
    ----------
    path : path-like
        File.
    target : str or None, default None
        Column with the targets; None for predictions.
    features : sequence of str or None, default None
        Columns with the features, in this order. None takes all columns except `target`, `sample_weight` and the index of a
        pandas table.
    text : str or None, default None
        Column of text, which the vectoriser turns into features in place of `features`. A missing text is empty.
    vectorizer : object or None, default None
        Object with a method ``transform(texts)`` that needs no `fit`, such as scikit-learn's HashingVectorizer, or one that has
        been fitted. None is a HashingVectorizer with its own defaults (2^20 features).
    sample_weight : str or None, default None
        Column with the weights of the samples.
    block_rows : int, default 100_000
        Rows of a block.
    target_type : {"auto", "labels", "numbers"}, default "auto"
        Whether targets are class names or numbers, as for `fcfast.datafiles.read_table`.

    Raises
    ------
    ImportError
        If pyarrow is not installed.
    TypeError
        If `features` or `text` is of another type, or `vectorizer` cannot transform.
    FileNotFoundError
        If there is no such file.
    ValueError
        If it has another format, lacks a column, or if a feature is the target or the weight, too; while it is read, if a
        column holds something else than numbers.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> import pandas as pd
    >>> from fcfast.streams import ParquetStream
    >>> table = pd.DataFrame({"text": ["good film", "bad film", "good"], "stars": [5, 1, 4]})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "reviews.parquet")
    ...     table.to_parquet(path)
    ...     blocks = list(ParquetStream(path, "stars", text="text", block_rows=2))
    >>> [(block.X.shape, block.X.nnz, block.y.tolist()) for block in blocks]
    [((2, 1048576), 4, [5, 1]), ((1, 1048576), 1, [4])]
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        target: str | None = None,
        features: Sequence[str] | None = None,
        *,
        text: str | None = None,
        vectorizer: Any = None,
        sample_weight: str | None = None,
        block_rows: int = BLOCK_ROWS,
        target_type: str = "auto",
    ) -> None:
        validation.integer(block_rows, "block_rows", 1)
        check_target_type(target_type)
        if text is not None and not isinstance(text, str):
            raise TypeError(f"text must be the name of one column, got {text!r}; join several columns of text in the file")
        if isinstance(features, str):
            raise TypeError(f"features must be a sequence of names of columns, got the text {features!r}; give [{features!r}]")
        if text is None and vectorizer is not None:
            raise ValueError("vectorizer turns a column of text into features; name the column with text=")
        if text is not None and features is not None:
            raise ValueError(f"text={text!r} takes the place of features={features!r}; give one of them")
        if vectorizer is not None and not callable(getattr(vectorizer, "transform", None)):
            raise TypeError(f"vectorizer must have a method transform(texts), got {vectorizer!r}")
        self.path, self.target, self.sample_weight = path, target, sample_weight
        self.text, self.vectorizer, self.block_rows, self.target_type = text, vectorizer, block_rows, target_type
        with source_of(path) as source:
            if source.ending != ".parquet":
                raise ValueError(f"{source} is no Parquet file, whose name ends in .parquet")
            if source.stream is not None:
                raise ValueError(f"{source} is a pipe, but a stream is read again in every epoch; give the path of a file")
            with opened(source) as file:
                names = list(file.schema_arrow.names)
                others = {target, sample_weight, *index_columns(file.schema_arrow)}
        if text is None:
            self.features = [name for name in names if name not in others] if features is None else list(features)
            if not self.features:
                raise ValueError(f"{path} has no features, only the columns {names}")
        else:
            self.features = [text]
        for role, name in (("target", target), ("sample_weight", sample_weight)):
            if name is not None and name in self.features:
                raise ValueError(f"{role}={name!r} is among the features, too; leave it out of them")
        for name in self._columns:
            if name not in names:
                raise ValueError(f"{path} has no column {name!r}; it has {names}")

    @property
    def text_features(self) -> TextFeatures | None:  # type: ignore[override]  # it depends on the instance here
        """The vectoriser with its column, if a model file can hold it."""
        if self.text is None:
            return None
        features = TextFeatures(self._vectorizer, [self.text])
        try:
            text_entry(features, features.n_features)
        except (AttributeError, TypeError, ValueError):  # a vectoriser of one's own
            return None
        return features

    @property
    def _vectorizer(self) -> Any:
        if self.vectorizer is not None:
            return self.vectorizer
        from sklearn.feature_extraction.text import HashingVectorizer

        return HashingVectorizer()

    @property
    def _columns(self) -> list[str]:
        return list(dict.fromkeys([*self.features, *(name for name in (self.target, self.sample_weight) if name is not None)]))

    def __iter__(self) -> Iterator[Block]:
        """Read the blocks from the start of the file."""
        from pyarrow import Table

        with source_of(self.path) as source, opened(source) as file:
            vectorize = None if self.text is None else self._vectorizer.transform
            row = 0
            for batch in file.iter_batches(self.block_rows, columns=self._columns):
                if len(batch):
                    yield self._block(source, Table.from_batches([batch]), vectorize, row)
                    row += len(batch)

    def _block(self, source: Source, table: Any, vectorize: Callable[[list[str]], Any] | None, first_row: int) -> Block:
        if vectorize is None:
            columns = [column_numbers(source, name, table.column(name), first_row) for name in self.features]
            X = np.stack(columns, axis=1)
        else:
            X = vectorize(column_texts(source, self.features[0], table.column(self.features[0])))
        y = weights = None
        if self.target is not None:
            asked = Asked(target_type=self.target_type)
            y = column_target(source, self.target, table.column(self.target), asked, first_row)
        if self.sample_weight is not None:
            weights = column_numbers(source, self.sample_weight, table.column(self.sample_weight), first_row)
        return Block(X, y, weights)
