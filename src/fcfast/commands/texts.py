"""Columns of texts as features: the options of the commands, and the vectoriser that training texts make."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from fcfast.text import TextFeatures, are_numbers, joined, make_vectorizer

if TYPE_CHECKING:
    from fcfast.commands.data import Array, Rows, Samples
    from fcfast.datafiles import Table

TFIDF, HASHING, BITS = "tfidf", "hashing", 22
NGRAMS = re.compile(r"\s*(\d{1,3})(?:\s*-\s*(\d{1,3}))?\s*")


@dataclass(frozen=True)
class Texts:
    """What the user asks for.

    Attributes
    ----------
    columns : tuple of str
        Columns of texts.
    vectorizer : object
        Vectoriser that has not been fitted.
    holds_out : bool
        Whether the estimator holds out a part of the training samples, whose words must stay unknown.
    """

    columns: tuple[str, ...]
    vectorizer: Any
    holds_out: bool = False


def asked_texts(
    columns: Sequence[str] | None,
    vectorizer: str | None,
    ngrams: str | None,
    min_count: int | None,
    bits: int | None,
    holds_out: bool = False,
) -> Texts | None:
    """Read the options about texts; None if there are no columns of texts."""
    given = {"--vectorizer": vectorizer, "--ngrams": ngrams, "--min-count": min_count, "--bits": bits}
    asked = [option for option, value in given.items() if value is not None]
    if not columns:
        if asked:
            raise ValueError(f"{asked[0]} is for texts; name the column that holds them with --text, or leave it out")
        return None
    kind = vectorizer or TFIDF
    if bits is not None and kind != HASHING:
        raise ValueError(f"--bits {bits} is for hashed words; use --vectorizer hashing, or leave it out")
    if min_count is not None and kind == HASHING:
        raise ValueError(f"--min-count {min_count} needs a list of words, which --vectorizer hashing has not; leave it out")
    made = make_vectorizer(kind, lengths(ngrams or "1"), min_count or 1, bits or BITS)
    return Texts(tuple(columns), made, holds_out)


def lengths(ngrams: str) -> tuple[int, int]:
    """Read "2" or "1-2"."""
    match = NGRAMS.fullmatch(ngrams)
    fewest = int(match[1]) if match else 0
    most = int(match[2] or match[1]) if match else 0
    if not 1 <= fewest <= most:
        raise typer.BadParameter(
            f"{ngrams!r} is no number of words; write 1, or 1-2 for words and pairs", param_hint="--ngrams"
        )
    return fewest, most


def columns_of(table: "Table", asked: Sequence[str | int]) -> list[str | int]:
    """Give the columns of texts of a table: their names, or their positions if there are no names."""
    return list(map(int, asked)) if table.feature_names is None else list(table.feature_names)


def needed_columns(text: TextFeatures | None, asked: Sequence[str] | None, model: Path) -> list[str | int]:
    """Give the columns of texts that a model needs, which may have other names in another file; none if it needs no texts."""
    if text is None:
        if asked:
            raise ValueError(f"--text {asked[0]} was given, but {model} was not trained on texts; leave it out")
        return []
    columns = list(asked or text.columns)
    if not columns:
        raise ValueError(f"{model} takes texts, but does not say from which column; name it with --text")
    return columns


def texts_of(table: "Table", columns: Sequence[str | int]) -> "Array":
    """Give the texts of a table, in the order of these columns if they have names."""
    names = table.feature_names
    order = slice(None) if names is None or set(names) != set(columns) else [names.index(str(column)) for column in columns]
    texts: Array = table.X[:, order]
    return texts


def vectorized(
    asked: Texts,
    columns: Sequence[str | int],
    train: "Samples",
    others: "Sequence[Samples | None]",
    task: str,
    seed: int,
    path: Path,
) -> "tuple[Samples, list[Samples | None], TextFeatures]":
    """Learn words from training texts alone, and give training and other samples with features in place of texts."""
    import numpy as np

    y = train.targets()
    known = rows_trained_on(y, task == "classification", seed) if asked.holds_out else np.arange(len(y))
    text = learned(asked, columns, train.X[train.rows[known]], path)

    def features(part: "Samples") -> "Samples":
        return replace(part, X=text.transform(part.X[part.rows]), y=part.targets(), rows=np.arange(len(part.rows)))

    return features(train), [None if part is None else features(part) for part in others], text


def unknown_in(X: Any) -> list[str]:
    """Say how many texts, as features X, have no word that a model knows."""
    n_empty = int((X.indptr[1:] == X.indptr[:-1]).sum())
    if not n_empty:
        return []
    return [f"{n_empty:,} of {X.shape[0]:,} texts have no word that the model knows; they are predicted as empty ones"]


def rows_trained_on(y: "Array", is_classification: bool, seed: int) -> "Rows":
    """Give the training rows that early stopping does not hold out, as the estimator does."""
    import numpy as np

    from fcfast.estimators import FrontClassifier
    from fcfast.splitting import split_at_random

    n_held_out = round(FrontClassifier().validation_fraction * len(y))
    if not 0 < n_held_out < len(y):
        return np.arange(len(y))  # `fit` says that these are too few
    return split_at_random(y, n_held_out, np.random.RandomState(seed), stratify=is_classification and y.ndim == 1)[0]


def learned(asked: Texts, columns: Sequence[str | int], texts: "Array", path: Path) -> TextFeatures:
    """Fit the vectoriser to some texts."""
    for j, column in enumerate(columns):
        if are_numbers(texts[:, j]):
            raise ValueError(f"{path}: column {column!r} holds numbers, not texts; leave out --text {column} to train on them")
    try:
        vectorizer = asked.vectorizer.fit(joined(texts))
    except ValueError as error:
        n = getattr(asked.vectorizer, "min_df", 1)
        if n > 1:
            none = f"no word is in {n} of the {len(texts)} training texts; lower --min-count"
            raise ValueError(f"{path}: {none}") from error
        raise ValueError(f"{path}: there are no words in the {len(texts)} texts to learn from") from error
    return TextFeatures(vectorizer, list(columns))
