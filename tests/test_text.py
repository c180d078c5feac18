"""Vectorisers of texts: what is made, and that a model file gives back the features to the last bit."""

import json

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load_file
from sklearn.base import clone
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer, TfidfVectorizer
from test_modelfile import metadata_of, rewrite

import fcfast
from fcfast import FrontClassifier, FrontRegressor, ModelFileError, NoPropClassifier
from fcfast.text import TextFeatures, make_vectorizer

TEXTS = [
    "A fine film; fine actors, fine music.",
    "a poor film, and a long one",
    "Die Größe des Films: überwältigend!",
    "電影 很 好看 😀 film",
    "",
    "naïve café ﬁlm Straße İstanbul 𝐀𝐁",
    "film film film film",
    'long, long\nand "quoted" \'',
]
LABELS = np.array(["good", "bad"] * 4)
NEW = ["a fine and long film", "nothing known hereabouts", "", "GRÖSSE 電影 Straße 𝐀𝐁", "film " * 1000]
VECTORIZERS = {
    "default": make_vectorizer(),
    "pairs": make_vectorizer("tfidf", (1, 2), 2),
    "counts": make_vectorizer("counts", (2, 3)),
    "hashing": make_vectorizer("hashing", bits=12),
    "single precision": TfidfVectorizer(dtype=np.float32, norm="l1", smooth_idf=False, use_idf=True),
    "without idf": TfidfVectorizer(use_idf=False, binary=True, norm=None),
    "characters": CountVectorizer(analyzer="char_wb", ngram_range=(2, 4), lowercase=False, strip_accents="unicode"),
    "stop words": CountVectorizer(stop_words=["film", "und"], token_pattern=r"(?u)\w+", max_features=9),
    "given words": TfidfVectorizer(vocabulary=["film", "fine", "long", "film fine"], ngram_range=(1, 2)),
    "an empty word": CountVectorizer(token_pattern=r"(?u)\b(\w*)\b"),
    "nothing else": CountVectorizer(token_pattern=r"(?u)\b()\b"),
    "numbers of NumPy": TfidfVectorizer(lowercase=np.True_, ngram_range=(1, np.int64(2)), sublinear_tf=np.True_),
    "signs": HashingVectorizer(n_features=64, alternate_sign=False, norm="l1", stop_words="english", dtype=np.float32),
}


@pytest.fixture
def path(tmp_path):
    """Where a model file goes."""
    return tmp_path / "model.safetensors"


def trained(vectorizer, estimator=None, columns=("review",)):
    """Train a small network on the texts."""
    text = TextFeatures(clone(vectorizer).fit(TEXTS), list(columns))
    network = (estimator or FrontClassifier((4,), max_epochs=3, random_state=0)).fit(text.transform(TEXTS), LABELS)
    network.text_ = text
    return network


def same(one, other):
    """Compare two sparse matrices to the last bit."""
    assert one.shape == other.shape
    assert one.dtype == other.dtype
    for part in ("data", "indices", "indptr"):
        np.testing.assert_array_equal(getattr(one, part), getattr(other, part))


@pytest.mark.parametrize("name", VECTORIZERS)
def test_files_give_the_same_features(path, name):
    """Whatever the settings: words, features and predictions are those of before, and the file can be saved again."""
    network = trained(VECTORIZERS[name])
    network.save(path)
    first = metadata_of(path), load_file(path)
    loaded = fcfast.load(path)
    assert type(loaded.text_.vectorizer) is type(network.text_.vectorizer)
    assert loaded.text_.columns == ["review"]
    assert loaded.text_.feature_names == network.text_.feature_names
    assert str(loaded.text_) == str(network.text_)
    for texts in (TEXTS, NEW):
        same(loaded.text_.transform(texts), network.text_.transform(texts))
    X = network.text_.transform(NEW)  # contributions may be multiplied with products, and not with weights
    np.testing.assert_allclose(loaded.predict_proba(X), network.predict_proba(X), rtol=1e-6)
    loaded.save(path)
    assert fcfast.load(path).text_.feature_names == network.text_.feature_names
    again = metadata_of(path), load_file(path)
    assert again[0] == first[0]
    assert again[1].keys() == first[1].keys()


@pytest.mark.parametrize("weights", [True, False])
def test_contributions_and_others(path, weights):
    """A file of contributions holds the vectoriser, too, and so do those of a regression and of blocks."""
    network = trained(make_vectorizer(), FrontClassifier((4,), form="contributions", max_epochs=3, random_state=0))
    network.save(path, weights=weights)
    loaded = fcfast.load(path, *([] if weights else [network.text_.transform(TEXTS)]))
    same(loaded.text_.transform(NEW), network.text_.transform(NEW))


def test_regressors_and_blocks(path):
    """Every estimator keeps its vectoriser."""
    for estimator in (FrontRegressor((4,), max_epochs=2, random_state=0), NoPropClassifier(max_epochs=2, random_state=0)):
        text = TextFeatures(make_vectorizer("counts").fit(TEXTS), [0])
        y = np.arange(8.0) if isinstance(estimator, FrontRegressor) else LABELS
        estimator.fit(text.transform(TEXTS), y).text_ = text
        estimator.save(path)
        loaded = fcfast.load(path)
        assert loaded.text_.columns == [0]
        same(loaded.text_.transform(NEW), text.transform(NEW))
        assert estimator.fit(text.transform(TEXTS), y).text_ is None  # a new fit may have other features


def test_networks_without_texts(path):
    """They have no vectoriser, and their files nothing of one: without a card, older versions of the library read them."""
    network = FrontClassifier((3,), max_epochs=2, random_state=0).fit(np.random.default_rng(0).normal(size=(8, 5)), LABELS)
    network.card_ = None
    network.save(path)
    assert fcfast.load(path).text_ is None
    assert metadata_of(path)["version"] == "4"
    assert "text" not in json.loads(metadata_of(path)["model"])


def test_settings_of_make_vectorizer():
    """The vectorisers are scikit-learn's with the settings that are documented."""
    for kind, expected in [
        ("tfidf", TfidfVectorizer(sublinear_tf=True, ngram_range=(1, 2), min_df=3)),
        ("counts", CountVectorizer(ngram_range=(1, 2), min_df=3)),
        ("hashing", HashingVectorizer(n_features=2**10, ngram_range=(1, 2))),
    ]:
        made = make_vectorizer(kind, (1, 2), 3, 10)
        assert type(made) is type(expected)
        assert made.get_params() == expected.get_params()
    for wrong in ({"kind": "bert"}, {"ngrams": (2, 1)}, {"ngrams": (0, 1)}, {"min_count": 0}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            make_vectorizer(**wrong)
    for bits in (0, 31):
        with pytest.raises(ValueError, match="bits"):
            make_vectorizer("hashing", bits=bits)


def test_several_columns_and_single_texts():
    """Columns are joined; a single text in place of a list is an error, as in scikit-learn."""
    text = TextFeatures(make_vectorizer("counts").fit(["fine film", "long"]), ["title", "body"])
    assert text.transform(np.array([["fine", "film"], ["", "long long"]], dtype=object)).toarray().tolist() == [
        [1, 1, 0],
        [0, 0, 2],
    ]
    with pytest.raises(ValueError, match="give a list of texts"):
        text.transform("fine film")


def test_a_single_name_is_one_column():
    """A str is no list of letters."""
    text = TextFeatures(make_vectorizer("counts").fit(TEXTS), columns="review text")
    assert text.columns == ["review text"]
    assert "of 'review text'" in str(text)
    assert TextFeatures(text.vectorizer, 3).columns == [3]


def test_tables():
    """The columns of a DataFrame are found by their names; the names themselves are no texts."""
    vectorizer = make_vectorizer("counts").fit(TEXTS)
    frame = pd.DataFrame({"id": range(3), "title": ["a film", None, "long"], "body": ["fine", "fine film", np.nan]})
    expected = vectorizer.transform(["a film fine", "fine film", "long"])
    same(TextFeatures(vectorizer, ["title", "body"]).transform(frame), expected)
    same(TextFeatures(vectorizer, ["title", "body"]).transform(frame[["body", "title"]].astype("string")), expected)
    same(TextFeatures(vectorizer, [1, 2]).transform(frame), expected)
    same(TextFeatures(vectorizer, [1, 2]).transform(frame.set_axis([0, 1, 2], axis=1)), expected)
    same(TextFeatures(vectorizer, "title").transform(frame["title"]), vectorizer.transform(["a film", "", "long"]))
    for columns, table in [("review", frame), ("title", frame[["body"]]), ([], frame), ([7], frame), ("title", frame[[]])]:
        with pytest.raises(ValueError, match=r"not a column of texts; give the column, df\["):
            TextFeatures(vectorizer, columns).transform(table)


def test_missing_texts_are_empty():
    """None and NaN are read as an empty cell is."""
    for vectorizer in (make_vectorizer().fit(TEXTS), make_vectorizer("hashing", bits=8)):
        text = TextFeatures(vectorizer, "review")
        expected = vectorizer.transform(["", "", "", "film"])
        same(text.transform([None, float("nan"), pd.NA, "film"]), expected)
        same(text.transform(np.array([[None], [np.nan], [pd.NaT], ["film"]], dtype=object)), expected)


def test_vectorisers_that_are_not_fitted():
    """Every use says what to do."""
    for text in (TextFeatures(make_vectorizer(), "review"), TextFeatures(make_vectorizer("counts"), "review")):
        for use in (str, lambda text: text.n_features, lambda text: text.feature_names, lambda text: text.transform(TEXTS)):
            with pytest.raises(ValueError, match="Vectorizer has not been fitted; fit it first"):
                use(text)
    assert TextFeatures(make_vectorizer("hashing", bits=8), "review").n_features == 256


def tokens(text):
    """A tokeniser of the user's own."""
    return text.split()


@pytest.mark.filterwarnings("ignore:The parameter 'token_pattern' will not be used")
def test_what_no_file_can_hold_is_refused(path):
    """The network stays as it is, and no file is written."""
    network = trained(make_vectorizer())
    text = network.text_
    for wrong, kind, message in [
        (make_vectorizer().fit(TEXTS), TypeError, r"must be a fcfast.text.TextFeatures, .*; set text_ = TextFeatures\("),
        (TextFeatures(make_vectorizer()), ValueError, "has not been fitted"),
        (TextFeatures(TfidfVectorizer(vocabulary=["film"])), ValueError, "has not been fitted"),
        (TextFeatures(make_vectorizer().fit(TEXTS[:2])), ValueError, "makes 8 features, but the network takes"),
        (TextFeatures(CountVectorizer(tokenizer=tokens).fit(TEXTS)), TypeError, "tokenizer=.* cannot be stored"),
        (TextFeatures(CountVectorizer(analyzer=tokens).fit(TEXTS)), TypeError, "analyzer=.* cannot be stored"),
        (TextFeatures(TfidfVectorizer(strip_accents=str.upper).fit(TEXTS)), TypeError, "strip_accents=.* cannot be stored"),
        (TextFeatures(network), TypeError, "a FrontClassifier; use one of CountVectorizer, HashingVectorizer, TfidfVectorizer"),
    ]:
        network.text_ = wrong
        with pytest.raises(kind, match=message):
            network.save(path)
        assert not path.exists()
    network.text_ = text
    network.save(path)


def changed(path, **entries):
    """Change entries of the description of the vectoriser."""
    return {"header": {"text": json.loads(metadata_of(path)["model"])["text"] | entries}}


def test_damaged_files_are_refused(path):
    """Each with the reason, even if the checksum is right; nothing strange reaches scikit-learn unnoticed."""
    network = trained(make_vectorizer())
    network.save(path)
    good, settings = path.read_bytes(), json.loads(metadata_of(path)["model"])["text"]["settings"]
    ends = np.cumsum([len(word.encode()) for word in network.text_.feature_names])
    n_words = len(ends)
    cases = [
        (changed(path, vectorizer="FutureVectorizer"), "unknown vectoriser, 'FutureVectorizer'; update fcfast"),
        (changed(path, settings=settings | {"stemmer": "snowball"}), "unknown settings, stemmer; update fcfast"),
        (changed(path, settings={}), "settings of its TfidfVectorizer are missing"),
        (changed(path, settings=settings | {"token_pattern": "("}), "TfidfVectorizer does not work"),
        (changed(path, settings=settings | {"norm": "l7"}), "TfidfVectorizer does not work"),
        (changed(path, settings=settings | {"analyzer": "sentences"}), "TfidfVectorizer does not work"),
        (changed(path, settings=settings | {"ngram_range": 1}), "ngram_range"),
        (changed(path, settings=settings | {"dtype": "object"}), "dtype"),
        (changed(path, columns=[1.5]), "columns of its texts"),
        (changed(path, n_words=3), "makes 3 features, but its network takes"),
        (changed(path, n_words=-n_words), "n_words must be >= 0"),
        (changed(path, has_idf=False), "has_idf"),
        (changed(path, extra=1), "entries of its vectoriser are unknown: extra"),
        ({"header": {"text": [1]}}, "text is not an object"),
        ({"header": {"text": ...}}, "tensors are unknown: text"),
        ({"tensors": {"text.ends": ends[::-1].copy()}}, "do not fit together"),
        ({"tensors": {"text.ends": ends - 1}}, "do not fit together"),
        ({"tensors": {"text.words": np.full(ends[-1], 0xFF, np.uint8)}}, "utf-8"),
        ({"tensors": {"text.words": np.full(ends[-1], ord("a"), np.uint8)}}, "there twice"),
        ({"tensors": {"text.idf": np.full(n_words, np.nan)}}, "NaN"),
        ({"tensors": {"text.idf": None}}, "tensors are missing: text.idf"),
    ]
    for change, message in cases:
        path.write_bytes(good)
        rewrite(path, **change)
        with pytest.raises(ModelFileError, match=message) as error:
            fcfast.load(path)
        assert str(path) in str(error.value)
    path.write_bytes(good)
    fcfast.load(path)


def test_hashed_words_take_the_room_of_those_that_occur(path):
    """A network of 2^22 hashed words has a small file: in any form, it holds the weights of the words that occur."""
    vectorizer = make_vectorizer("hashing", bits=22)
    for form in ("contributions", "windowed"):
        network = trained(vectorizer, FrontClassifier((16,), form=form, max_epochs=3, random_state=0))
        X = network.text_.transform(NEW)
        network.save(path)
        assert path.stat().st_size < 100_000
        np.testing.assert_allclose(fcfast.load(path).predict_proba(X), network.predict_proba(X), rtol=1e-5)
    started = FrontClassifier((16,), init="glorot", form="contributions", max_epochs=3, random_state=0)
    network = trained(vectorizer, started)  # words that did not occur have their initial weights
    network.save(path)
    assert path.stat().st_size < 100_000
    loaded = fcfast.load(path)
    np.testing.assert_allclose(loaded.predict_proba(X), network.predict_proba(X), rtol=1e-5)
    unknown = network.text_.transform(["entirely other vocabulary"])
    front, expected = loaded.network_.front.preactivations(unknown), network.network_.front.preactivations(unknown)
    assert abs(expected).max() > 0
    np.testing.assert_allclose(front, expected, rtol=1e-4, atol=1e-7)
