"""Columns of texts as sparse features: scikit-learn's vectorisers, with the columns that they read.

`fcfast train reviews.csv --text review` makes them, and the model file holds them, so that a loaded network can predict texts.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["VECTORIZERS", "TextFeatures", "make_vectorizer"]

VECTORIZERS = ("tfidf", "hashing", "counts")
MOST_BITS = 30  # scikit-learn hashes to 32 bits with a sign
SEPARATOR = "\n"  # between the texts of a sample
SHOWN = 3  # columns named in a description

Array = NDArray[Any]


def make_vectorizer(kind: str = "tfidf", ngrams: tuple[int, int] = (1, 1), min_count: int = 1, bits: int = 22) -> Any:
    """Make a vectoriser of scikit-learn for words, with settings that suit classification.

    Parameters
    ----------
    kind : {"tfidf", "hashing", "counts"}
        "tfidf" weights the logarithm of a word's count by its rarity (`TfidfVectorizer` with ``sublinear_tf=True``), "counts"
        counts words (`CountVectorizer`), and "hashing" counts them without a list of words, so that it learns nothing from the
        texts and has no names (`HashingVectorizer`). Rows have length 1, except those of "counts".
    ngrams : (int, int)
        Smallest and largest number of words that follow one another in a feature.
    min_count : int
        Words of fewer texts are left out; "hashing" leaves out none.
    bits : int
        "hashing" has 2 to the power of this number features.

    Returns
    -------
    TfidfVectorizer, HashingVectorizer or CountVectorizer
        Vectoriser that has not been fitted.

    Raises
    ------
    ValueError
        If an argument is out of range.

    Examples
    --------
    >>> from fcfast.text import make_vectorizer
    >>> vectorizer = make_vectorizer("counts", ngrams=(1, 2)).fit(["a fine film", "a poor film"])
    >>> vectorizer.get_feature_names_out().tolist()
    ['film', 'fine', 'fine film', 'poor', 'poor film']
    """
    from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer, TfidfVectorizer

    from fcfast import validation

    validation.choice(kind, "kind", VECTORIZERS)
    fewest, most = (validation.integer(n, "ngrams", 1) for n in ngrams)
    if fewest > most:
        raise ValueError(f"ngrams must rise, got {ngrams!r}")
    validation.integer(min_count, "min_count", 1)
    if kind == "hashing":
        if validation.integer(bits, "bits", 1) > MOST_BITS:
            raise ValueError(f"bits must be at most {MOST_BITS}, got {bits!r}")
        return HashingVectorizer(n_features=2**bits, ngram_range=(fewest, most))
    if kind == "counts":
        return CountVectorizer(ngram_range=(fewest, most), min_df=min_count)
    return TfidfVectorizer(ngram_range=(fewest, most), min_df=min_count, sublinear_tf=True)


@dataclass(frozen=True, eq=False)
class TextFeatures:
    """A fitted vectoriser, and the columns of a table that hold the texts.

    It is the attribute `text_` of a network that was trained on texts by ``fcfast train --text``, and of a network that was
    loaded from such a file. Set this attribute after `fit` to let `save` keep a vectoriser of your own; ``fcfast predict``
    then takes files with these columns.

    Parameters
    ----------
    vectorizer : TfidfVectorizer, CountVectorizer or HashingVectorizer
        Fitted vectoriser of scikit-learn. A model file holds it if it has no functions of your own.
    columns : sequence of str or int, or str
        Columns with the texts: their names, or positions from 0 in a file without names. A str is one name.

    Attributes
    ----------
    n_features : int
        Number of features.
    feature_names : list of str or None
        The word or words that each feature stands for; None if they are hashed.

    Examples
    --------
    >>> import os, tempfile
    >>> import fcfast
    >>> from fcfast.text import TextFeatures, make_vectorizer
    >>> texts, labels = ["a fine film", "a poor film", "fine work", "poor work"], ["good", "bad", "good", "bad"]
    >>> text = TextFeatures(make_vectorizer().fit(texts), ["review"])
    >>> network = fcfast.FrontClassifier((8,), random_state=0).fit(text.transform(texts), labels)
    >>> network.text_ = text
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     network.save(os.path.join(folder, "model.safetensors"))
    ...     loaded = fcfast.load(os.path.join(folder, "model.safetensors"))
    >>> loaded.predict(loaded.text_.transform(["a fine day"])).tolist()
    ['good']
    >>> str(loaded.text_)
    "4 words of 'review' (TfidfVectorizer)"
    """

    vectorizer: Any
    columns: Sequence[str | int] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Take a single name for a list of one."""
        if isinstance(self.columns, (str, int)):
            object.__setattr__(self, "columns", [self.columns])

    @property
    def n_features(self) -> int:
        """Number of features."""
        self._refuse_unfitted()
        vocabulary = getattr(self.vectorizer, "vocabulary_", None)
        return int(self.vectorizer.n_features) if vocabulary is None else len(vocabulary)

    @property
    def feature_names(self) -> list[str] | None:
        """The word or words that each feature stands for; None if they are hashed."""
        self._refuse_unfitted()
        if not hasattr(self.vectorizer, "vocabulary_"):
            return None
        return list(map(str, self.vectorizer.get_feature_names_out()))

    def _refuse_unfitted(self) -> None:
        if not (hasattr(self.vectorizer, "vocabulary_") or hasattr(self.vectorizer, "n_features")):
            raise unfitted(self.vectorizer)

    def transform(self, texts: Iterable[str | None] | Array) -> Any:
        """Make the features of texts.

        Parameters
        ----------
        texts : iterable of str, array of str of shape (n_samples, n_columns), or DataFrame
            Texts; those in several columns are joined. Of a DataFrame the columns named in `columns` are taken. A missing text
            (None or NaN) is an empty one.

        Returns
        -------
        csr matrix of shape (n_samples, n_features)
            Features as the network takes them.

        Raises
        ------
        ValueError
            If the vectoriser has not been fitted, or `texts` is a single text, or a DataFrame without these columns.
        """
        from sklearn.exceptions import NotFittedError

        if hasattr(texts, "columns"):
            texts = self._of_table(texts)
        try:
            return self.vectorizer.transform(joined(texts))
        except NotFittedError as error:
            raise unfitted(self.vectorizer) from error

    def _of_table(self, table: Any) -> Array:
        """Give the texts of a DataFrame of pandas or polars, whose iteration would give names of columns."""
        present = list(table.columns)
        by_place: dict[str | int, Any] = dict(enumerate(present))
        names = [name if name in present else by_place.get(name, name) for name in self.columns]
        if not names or not set(names) <= set(present):
            example = self.columns[0] if self.columns else present[0] if present else "text"
            raise ValueError(
                f"texts is a table with the columns {', '.join(map(repr, present[:SHOWN]))}"
                f"{' ...' if len(present) > SHOWN else ''}, and not a column of texts; give the column, df[{example!r}]"
            )
        texts: Array = np.asarray(table[names].to_numpy(), dtype=object)
        return texts

    def __str__(self) -> str:
        n_words = self.n_features
        columns = ", ".join(repr(name) if isinstance(name, str) else f"column {name}" for name in self.columns[:SHOWN])
        columns += " ..." if len(self.columns) > SHOWN else ""
        what = "words" if tuple(getattr(self.vectorizer, "ngram_range", (1, 1))) == (1, 1) else "sequences of words"
        hashed = "hashed " if self.feature_names is None else ""
        of = f" of {columns}" if columns else ""
        return f"{n_words:,} {hashed}{what}{of} ({type(self.vectorizer).__name__})"


def unfitted(vectorizer: Any) -> ValueError:
    """Make the error for a vectoriser that knows no words."""
    return ValueError(f"the {type(vectorizer).__name__} has not been fitted; fit it first, to the training texts")


def joined(texts: Iterable[str | None] | Array) -> Iterable[str]:
    """Join the texts of each sample that are in several columns; a missing text is an empty one."""
    if isinstance(texts, str):
        raise ValueError("texts is a single text; give a list of texts")
    if isinstance(texts, np.ndarray) and texts.ndim == 2:
        return [SEPARATOR.join(map(filled, row)) for row in texts.tolist()]
    return map(filled, texts)


def filled(text: Any) -> Any:
    """Give an empty text in place of None, NaN or pandas.NA."""
    return text if isinstance(text, str) or not is_missing(text) else ""


def is_missing(value: Any) -> bool:
    """Tell whether a value is None, NaN or pandas.NA, of which none equals itself."""
    if value is None:
        return True
    try:
        return bool(value != value)
    except TypeError:  # the truth of pandas.NA is unknown
        return True
    except ValueError:  # that of an array is its elements'
        return False


def are_numbers(texts: Iterable[str]) -> bool:
    """Whether texts are all numbers, apart from empty ones, which are not all."""
    number = re.compile(r"\s*[-+]?(\d+([.,]\d*)?|[.,]\d+)([eE][-+]?\d+)?\s*")
    full = [text for text in texts if text.strip()]
    return bool(full) and all(map(number.fullmatch, full))
