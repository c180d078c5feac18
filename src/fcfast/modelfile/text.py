"""How texts become the features of a network, in model files from version 5 on: a vectoriser of scikit-learn. Tensors:

==============  ==============  ===================================================================================
text.words      (n,), uint8     the vocabulary in UTF-8, one word after the other in the order of the features
text.ends       (d,), int64     where each word ends
text.idf        (d,), float64   weights of the words, only if texts are weighted by the rarity of their words
==============  ==============  ===================================================================================

A vectoriser that hashes words has none of them.
"""

import re
import warnings
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np

from fcfast import validation
from fcfast.modelfile.checks import require, same_names
from fcfast.modelfile.headers import Expected, Tensors
from fcfast.text import TextFeatures

OF_ALL = (
    "analyzer", "binary", "decode_error", "dtype", "encoding", "lowercase", "ngram_range", "stop_words", "strip_accents",
    "token_pattern",
)  # fmt: skip
SETTINGS = {
    "CountVectorizer": OF_ALL,
    "HashingVectorizer": (*OF_ALL, "n_features", "norm", "alternate_sign"),
    "TfidfVectorizer": (*OF_ALL, "norm", "use_idf", "smooth_idf", "sublinear_tf"),
}
DTYPES = ("float32", "float64", "int32", "int64")
ENTRIES = ("vectorizer", "settings", "columns", "n_words", "n_bytes", "has_idf")


def text_entry(text: Any, n_features: int) -> dict[str, Any]:
    """Describe the vectoriser of a network for the header; nothing if it has none.

    Raises
    ------
    TypeError
        If it is not a `TextFeatures`, or has a vectoriser that no file can hold.
    ValueError
        If it has not been fitted, or makes another number of features than the network takes.
    """
    if text is None:
        return {}
    if not isinstance(text, TextFeatures):
        raise TypeError(
            f"text_ must be a fcfast.text.TextFeatures, got {text!r}; set text_ = TextFeatures(vectorizer, columns=[...])"
        )
    vectorizer, name = text.vectorizer, type(text.vectorizer).__name__
    if name not in SETTINGS or not type(vectorizer).__module__.startswith("sklearn."):
        raise TypeError(f"text_ has a vectoriser that cannot be stored, a {name}; use one of {', '.join(SETTINGS)}")
    settings = _settings(vectorizer)
    needed = {"vocabulary_": name != "HashingVectorizer", "idf_": getattr(vectorizer, "use_idf", False)}
    if not all(hasattr(vectorizer, attribute) for attribute, is_needed in needed.items() if is_needed):
        raise ValueError(f"text_ has a {name} that has not been fitted; fit it to the training texts")
    if text.n_features != n_features:
        raise ValueError(f"text_ makes {text.n_features} features, but the network takes {n_features}")
    words = _words(text)
    return {
        "vectorizer": name,
        "settings": settings,
        "columns": [column if isinstance(column, str) else int(column) for column in text.columns],
        "n_words": len(words),
        "n_bytes": sum(map(len, words)),
        "has_idf": bool(getattr(vectorizer, "use_idf", False)),
    }


def _settings(vectorizer: Any) -> dict[str, Any]:
    """Collect the settings that say how a fitted vectoriser transforms texts, as JSON can hold them."""
    params = vectorizer.get_params()
    own = [name for name in ("preprocessor", "tokenizer") if params[name] is not None]
    own += [name for name in SETTINGS[type(vectorizer).__name__] if name != "dtype" and callable(params[name])]
    if own or params["input"] != "content":
        name = own[0] if own else "input"
        raise TypeError(f"text_ has a vectoriser with {name}={params[name]!r}, which cannot be stored; use one without it")
    settings = {name: _plain(params[name]) for name in SETTINGS[type(vectorizer).__name__]}
    settings["dtype"] = validation.choice(np.dtype(settings["dtype"]).name, "dtype of the vectoriser", DTYPES)
    settings["ngram_range"] = list(map(int, settings["ngram_range"]))
    if not (settings["stop_words"] is None or isinstance(settings["stop_words"], str)):
        settings["stop_words"] = sorted(settings["stop_words"])
    if "n_features" in settings:
        settings["n_features"] = int(settings["n_features"])
    return settings


def _plain(value: Any) -> Any:
    """Give Python's number or truth value for NumPy's, which JSON does not know."""
    return value.item() if isinstance(value, np.generic) else value


def _words(text: TextFeatures) -> list[bytes]:
    return [word.encode("utf-8", "surrogatepass") for word in text.feature_names or []]


def check_text(entry: Any, n_features: int) -> None:
    """Raise a ValueError or a TypeError if an entry of a header does not describe a vectoriser for this many features."""
    require(isinstance(entry, dict), "text is not an object")
    if not entry:
        return
    same_names(entry, ENTRIES, "entries of its vectoriser")
    name, settings, columns = entry["vectorizer"], entry["settings"], entry["columns"]
    update = "update fcfast if the file is from a newer version"
    require(name in SETTINGS, f"its texts have an unknown vectoriser, {name!r}; {update}")
    require(isinstance(settings, dict), "the settings of its vectoriser are not an object")
    unknown = sorted(set(settings) - set(SETTINGS[name]))
    require(not unknown, f"its {name} has unknown settings, {', '.join(unknown)}; {update}")
    same_names(settings, SETTINGS[name], f"settings of its {name}")
    good = isinstance(columns, list) and all(type(column) in (str, int) for column in columns)
    require(good, "the columns of its texts are not names or positions")
    for count in ("n_words", "n_bytes"):
        validation.integer(entry[count], count, 0)
    validation.boolean(entry["has_idf"], "has_idf")
    n_made = settings.get("n_features", entry["n_words"])
    require(n_made == n_features, f"its vectoriser makes {n_made!r} features, but its network takes {n_features}")
    require(not ("n_features" in settings and entry["n_words"]), "its words are hashed, but it holds words")
    require(entry["has_idf"] == bool(settings.get("use_idf", False)), "has_idf is not what its vectoriser needs")


def expected_text(entry: Mapping[str, Any]) -> Expected:
    """Give dtype and shape of every tensor of a vectoriser."""
    if not entry or not entry["n_words"]:
        return {}
    expected: Expected = {"text.words": ("uint8", (entry["n_bytes"],)), "text.ends": ("int64", (entry["n_words"],))}
    return expected | ({"text.idf": ("float64", (entry["n_words"],))} if entry["has_idf"] else {})


def text_tensors(text: TextFeatures | None) -> Tensors:
    """Collect the tensors of a vectoriser."""
    words = [] if text is None else _words(text)
    if text is None or not words:
        return {}
    joined = np.frombuffer(b"".join(words), np.uint8)
    tensors: Tensors = {"text.words": joined, "text.ends": np.cumsum([len(word) for word in words], dtype=np.int64)}
    if getattr(text.vectorizer, "use_idf", False):
        tensors["text.idf"] = np.asarray(text.vectorizer.idf_, np.float64)
    return tensors


def text_in(entry: Mapping[str, Any], tensors: Tensors) -> TextFeatures | None:
    """Restore a vectoriser; None if the network was not trained on texts."""
    if not entry:
        return None
    from sklearn.feature_extraction import text as vectorizers

    settings = dict(entry["settings"])
    name, dtype = entry["vectorizer"], validation.choice(settings["dtype"], "dtype of the vectoriser", DTYPES)
    require(isinstance(settings["ngram_range"], list), "ngram_range of its vectoriser is not a list")
    settings |= {"dtype": np.dtype(dtype).type, "ngram_range": tuple(settings["ngram_range"])}
    vectorizer = getattr(vectorizers, name)(**settings)
    words = _vocabulary(tensors) if entry["n_words"] else None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # whoever fitted it has seen them
            # fitting with given words checks all settings, and learns nothing that stays
            vectorizer.set_params(**({} if words is None else {"vocabulary": words})).fit(["try"])
        if words is not None:
            vectorizer.set_params(vocabulary=None)  # if it is fitted again, it learns words, as it did
        if entry["has_idf"]:
            vectorizer.idf_ = tensors["text.idf"]
        vectorizer.transform(["try"])
    except (ValueError, TypeError, AttributeError, LookupError, re.error) as error:
        raise ValueError(f"its {name} does not work: {error}") from error
    return TextFeatures(vectorizer, list(entry["columns"]))


def _vocabulary(tensors: Tensors) -> list[str]:
    """Give the words in the order of the features."""
    content, ends = tensors["text.words"].tobytes(), tensors["text.ends"].tolist()
    borders = [0, *ends]  # an empty word is possible: some patterns find one
    require(
        all(a <= b for a, b in pairwise(borders)) and ends[-1] == len(content), "the words of its texts do not fit together"
    )
    words = [content[start:end].decode("utf-8", "surrogatepass") for start, end in pairwise(borders)]
    require(len(set(words)) == len(words), "a word of its texts is there twice")
    return words
