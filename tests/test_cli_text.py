"""Columns of texts on the command line: train, predict, plan and compare, as a user sees them."""

import csv
import gzip
import io
import json

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("typer", reason="the command line needs fcfast[cli]")
pytest.importorskip("matplotlib", reason="pictures need fcfast[plots]")
from scipy import sparse
from sklearn.datasets import dump_svmlight_file
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer, TfidfVectorizer
from sklearn.pipeline import make_pipeline
from typer.testing import CliRunner

import fcfast
from fcfast import FrontClassifier, FrontRegressor
from fcfast.commands import app
from fcfast.datafiles import read_table
from fcfast.splitting import split_at_random, split_each_class

QUICK = ("--hidden", 8, "--epochs", 5, "--jobs", 1)
N = 60


def run(*arguments, stdin=None):
    """Run the command in this process."""
    return CliRunner().invoke(app, [str(argument) for argument in arguments], input=stdin)


def train(data, folder, *arguments):
    """Train with few units and epochs; give the report."""
    result = run("train", data, "--save", folder / "m.safetensors", "--json", *QUICK, *arguments)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def refused(*arguments):
    """Run a command that fails; give its message."""
    result = run(*arguments)
    assert result.exit_code == 2, result.output
    assert "Traceback" not in result.output
    return " ".join(result.stderr.split())


def predictions(*arguments, stdin=None):
    """Predict; give the columns as text."""
    result = run("predict", *arguments, stdin=stdin)
    assert result.exit_code == 0, result.output
    return pd.read_csv(io.StringIO(result.stdout), dtype=str, keep_default_na=False), result.stderr


@pytest.fixture(scope="module")
def reviews():
    """Made-up reviews with all that is difficult in CSV, and other columns of any kind."""
    rng = np.random.default_rng(0)
    words = np.array(
        [f"wörd{i}" for i in range(40)] + ["good,", 'very "nice"', "poor;\n", "電影", "😀", "a\tb", "it's", "#tag"]
    )
    labels = np.arange(N) % 2
    texts = [
        " ".join(rng.choice(words, 12)) + (" excellent" if label else " dreadful") + f" only{i}"
        for i, label in enumerate(labels)
    ]
    texts[7] = ""
    texts[8] = "NA"
    return pd.DataFrame(
        {
            "day": [f"2020-{i}" for i in range(N)],
            "review": texts,
            "stars": np.where(labels, 4.5, 1.5) + rng.random(N),
            "title": [f"title {i % 3}" for i in range(N)],
            "label": np.array(["bad", "good"])[labels],
        }
    )


@pytest.fixture
def data(reviews, tmp_path):
    """The reviews as CSV."""
    reviews.to_csv(tmp_path / "reviews.csv", index=False)
    return tmp_path / "reviews.csv"


def write(reviews, kind, folder):
    """Write the reviews in a format."""
    path = folder / f"reviews.{kind}"
    if kind == "parquet":
        pytest.importorskip("pyarrow", reason="Parquet needs fcfast[parquet]")
        reviews.to_parquet(path, index=False)
    else:
        reviews.to_csv(path, index=False, sep="," if "csv" in kind else "\t")
    return path


SETTINGS = {"hidden_layer_sizes": (8,), "max_epochs": 5, "random_state": 0, "n_jobs": 1}


@pytest.mark.parametrize("kind", ["csv", "tsv", "txt", "csv.gz", "parquet"])
def test_the_same_as_a_pipeline_of_scikit_learn(reviews, tmp_path, kind):
    """Training, scores and predictions are those of a vectoriser and a network in a pipeline, to the last digit printed."""
    data, y = write(reviews, kind, tmp_path), reviews["label"].to_numpy(dtype=str)
    report = train(data, tmp_path, "--target", "label", "--text", "review")
    rows, test = split_each_class(y, 12, 0)
    texts = reviews["review"].to_numpy(dtype=object)
    pipeline = make_pipeline(TfidfVectorizer(sublinear_tf=True), FrontClassifier(**SETTINGS)).fit(texts[rows], y[rows])
    network = pipeline[-1]
    assert report["test"]["accuracy"] == pipeline.score(texts[test], y[test])
    assert (report["n_features"], report["form"]) == (network.n_features_in_, network.form_)
    assert report["loss"] == network.loss_curve_[-1]
    model = fcfast.load(tmp_path / "m.safetensors")
    assert model.text_.feature_names == pipeline[0].get_feature_names_out().tolist()
    assert not {f"only{i}" for i in test}.intersection(model.text_.feature_names)  # words that only test samples have
    unseen = [*texts, "wholly unheard-of", "EXCELLENT Wörd3 excellent", "", "電影"]
    expected = pipeline.predict_proba(unseen)
    np.testing.assert_allclose(model.predict_proba(model.text_.transform(unseen)), expected, rtol=1e-6, atol=1e-7)
    np.testing.assert_array_equal(model.text_.transform(unseen).toarray(), pipeline[0].transform(unseen).toarray())
    frame, told = predictions(tmp_path / "m.safetensors", write(pd.DataFrame({"review": unseen}), kind, tmp_path), "--proba")
    shown = frame[["P(bad)", "P(good)"]].to_numpy(dtype=float)
    np.testing.assert_array_equal(shown, model.predict_proba(model.text_.transform(unseen)))
    assert frame["prediction"].tolist() == pipeline.predict(unseen).tolist()
    n_unknown = int((pipeline[0].transform(unseen).getnnz(axis=1) == 0).sum())
    assert n_unknown >= 3
    assert f"{n_unknown} of 64 texts have no word that the model knows" in told


@pytest.mark.parametrize(
    ("options", "vectorizer"),
    [
        (("--vectorizer", "counts"), CountVectorizer()),
        (("--vectorizer", "hashing", "--bits", 12), HashingVectorizer(n_features=4096)),
        (("--vectorizer", "hashing", "--ngrams", 2), HashingVectorizer(n_features=2**22, ngram_range=(2, 2))),
        (("--ngrams", "1-2", "--min-count", 3), TfidfVectorizer(sublinear_tf=True, ngram_range=(1, 2), min_df=3)),
    ],
)
def test_options_of_the_vectoriser(reviews, data, tmp_path, options, vectorizer):
    """They are the settings of scikit-learn's vectorisers."""
    y, texts = reviews["label"].to_numpy(dtype=str), reviews["review"].tolist()
    report = train(data, tmp_path, "--target", "label", "--text", "review", "--test", 0, *options)
    expected = make_pipeline(vectorizer, FrontClassifier(**SETTINGS)).fit(texts, y)
    assert report["loss"] == expected[-1].loss_curve_[-1]
    assert type(vectorizer).__name__ in report["text"]
    frame, _ = predictions(tmp_path / "m.safetensors", data)
    assert frame["prediction"].tolist() == expected.predict(texts).tolist()
    assert (tmp_path / "m.safetensors").stat().st_size < 1e6


def test_early_stopping_learns_no_words_from_what_it_holds_out(reviews, data, tmp_path):
    """Words that only the held-out tenth has are unknown, although it belongs to the training samples."""
    y = reviews["label"].to_numpy(dtype=str)
    train(data, tmp_path, "--target", "label", "--text", "review", "--early-stopping", "--seed", 3)
    rows, test = split_each_class(y, 12, 3)
    kept, held_out = split_at_random(y[rows], round(0.1 * len(rows)), np.random.RandomState(3), stratify=True)
    words = {f"only{i}" for i in rows[kept] if i not in (7, 8)}
    known = set(fcfast.load(tmp_path / "m.safetensors").text_.feature_names)
    assert {word for word in known if word.startswith("only")} == words
    assert len(held_out) == 5
    assert len(test) == 12


@pytest.mark.parametrize("kind", [FrontClassifier, FrontRegressor])
def test_the_held_out_rows_are_those_of_fit(reviews, kind):
    """The rows whose words stay unknown are the ones that `fit` holds out."""
    from fcfast.commands.texts import rows_trained_on

    y, seen = reviews["label"].to_numpy(dtype=str) if kind is FrontClassifier else np.arange(float(N)), []
    X = np.random.default_rng(0).normal(size=(N, 3))
    X[:, 0] = np.arange(N)
    settings = {"max_epochs": 1, "early_stopping": True, "random_state": 5}
    kind((2,), scoring=lambda estimator, X, y: seen.extend(X[:, 0]) or 0.0, **settings).fit(X, y)
    np.testing.assert_array_equal(np.sort(rows_trained_on(y, kind is FrontClassifier, 5)), np.setdiff1d(np.arange(N), seen))


def test_regression_and_several_columns(reviews, data, tmp_path):
    """Numbers are predicted from texts, too; texts of several columns are joined in one order, whatever that of the file."""
    train(data, tmp_path, "--target", "stars", "--text", "title", "--text", "review", "--test", 0)
    model = fcfast.load(tmp_path / "m.safetensors")
    assert model.text_.columns == ["review", "title"]
    joined = (reviews["review"] + "\n" + reviews["title"]).tolist()
    vectorizer = TfidfVectorizer(sublinear_tf=True).fit(joined)
    assert model.text_.feature_names == vectorizer.get_feature_names_out().tolist()
    expected = model.predict(vectorizer.transform(joined))
    reviews[["title", "stars", "review"]].to_csv(tmp_path / "other.csv", index=False)
    frame, _ = predictions(tmp_path / "m.safetensors", tmp_path / "other.csv")
    np.testing.assert_array_equal(frame["prediction"].to_numpy(dtype=float), expected)
    train(data, tmp_path, "--target", "label", "--text", "title", "--text", "review", "--ngrams", 2, "--test", 0)
    pairs = fcfast.load(tmp_path / "m.safetensors").text_
    (tmp_path / "one.csv").write_text("title,review\ntitle 1,excellent only1\n")
    first, _ = predictions(tmp_path / "m.safetensors", tmp_path / "one.csv", "--proba")
    (tmp_path / "one.csv").write_text("review,title\nexcellent only1,title 1\n")
    second, _ = predictions(tmp_path / "m.safetensors", tmp_path / "one.csv", "--proba")
    assert first.equals(second)
    assert "only1 title" in pairs.feature_names


def test_files_with_a_target_or_names_of_samples(reviews, data, tmp_path):
    """Predictions can be scored, and carry the names of samples; a test file needs the columns of texts alone."""
    reviews.iloc[:40].to_csv(tmp_path / "train.csv", index=False)
    reviews.iloc[40:][["label", "review"]].to_csv(tmp_path / "test.csv", index=False)
    report = train(
        tmp_path / "train.csv", tmp_path, "--target", "label", "--text", "review", "--test-file", tmp_path / "test.csv"
    )
    assert (report["n_train"], report["n_test"]) == (40, 20)
    result = run("predict", tmp_path / "m.safetensors", tmp_path / "test.csv", "--target", "label", "--json")
    assert json.loads(result.stdout)["score"]["accuracy"] == report["test"]["accuracy"]
    frame, told = predictions(tmp_path / "m.safetensors", data, "--id", "day")
    assert frame["sample"].tolist() == reviews["day"].tolist()
    assert "id 'day'; no target; texts 'review' (1); left out: 'stars', 'title', 'label' (3); 1 without text" in told
    renamed = reviews.rename(columns={"review": "Text"})
    renamed.to_csv(tmp_path / "renamed.csv", index=False)
    again, _ = predictions(tmp_path / "m.safetensors", tmp_path / "renamed.csv", "--id", "day", "--text", "Text")
    assert again.equals(frame)
    piped, _ = predictions(tmp_path / "m.safetensors", "-", "--id", "day", stdin=data.read_bytes())
    assert piped.equals(frame)


def test_what_is_printed(data, tmp_path):
    """The report says which features texts have become, and what was left out."""
    result = run("train", data, "--save", tmp_path / "m.safetensors", *QUICK, "--target", "label", "--text", "review")
    assert result.exit_code == 0
    assert "texts 'review' (1); left out: 'day', 'stars', 'title' (3); 1 without text" in result.stderr
    n_words = len(fcfast.load(tmp_path / "m.safetensors").text_.feature_names)
    assert f"features: {n_words} words of 'review' (TfidfVectorizer)" in result.stdout


def test_files_without_names(tmp_path):
    """Columns have positions then, and the user says that there are no names, because texts look like names."""
    (tmp_path / "a.csv").write_text("good film,pos\nbad film; really,neg\n" * 6)
    options = ("--target", -1, "--text", 0)
    message = refused("train", tmp_path / "a.csv", "--save", tmp_path / "m.safetensors", *options)
    assert "line 1 may be a sample, or the names of the columns; use header=True (--header)" in message
    train(tmp_path / "a.csv", tmp_path, *options, "--no-header", "--test", 0)
    assert fcfast.load(tmp_path / "m.safetensors").text_.columns == [0]
    frame, _ = predictions(tmp_path / "m.safetensors", tmp_path / "a.csv", "--no-header")
    assert len(frame) == 12


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--text", "reviews"), "has no column 'reviews'; did you mean 'review'?; name the column of texts with --text"),
        (("--text", "label"), "column 'label' holds texts and is the target"),
        (("--text", "review", "--id", "review"), "column 'review' holds texts and is the samples' names"),
        (("--text", "review", "--text", "review"), "column 'review' of texts is there twice"),
        (("--text", "stars"), "column 'stars' holds numbers, not texts; leave out --text stars to train on them"),
        (("--text", "review", "--transpose"), "transpose (--transpose) means nothing for texts"),
        (("--text", "review", "--n-features", 5), "n_features (--n-features) means nothing for texts"),
        (("--text", "review", "--impute", "mean"), "a missing text is an empty one"),
        (("--text", "review", "--layer", "X"), "layer='X' means nothing for"),
        (("--text", "review", "--bits", 9), "--bits 9 is for hashed words; use --vectorizer hashing"),
        (("--text", "review", "--vectorizer", "hashing", "--min-count", 2), "--min-count 2 needs a list of words"),
        (("--text", "review", "--min-count", 1000), "no word is in 1000 of the 48 training texts; lower --min-count"),
        (("--text", "review", "--ngrams", "2-1"), "'2-1' is no number of words"),
        (("--text", "review", "--vectorizer", "bert"), "'bert' is unknown"),
        (("--vectorizer", "counts"), "--vectorizer is for texts; name the column that holds them with --text"),
        (("--ngrams", "2"), "--ngrams is for texts"),
        ((), "take its words as features (--text review)"),
    ],
)
def test_mistakes(reviews, tmp_path, options, message):
    """Each has a message of one line that says what to do, and no file is written."""
    reviews.drop(columns="day").to_csv(tmp_path / "reviews.csv", index=False)
    said = refused("train", tmp_path / "reviews.csv", "--save", tmp_path / "m.safetensors", "--target", "label", *options)
    assert message in " ".join(said.replace("│", " ").split())
    assert not (tmp_path / "m.safetensors").exists()


def test_mistakes_in_predictions(reviews, data, tmp_path):
    """A file without the texts, or of another format, is refused with what it lacks."""
    model = tmp_path / "m.safetensors"
    train(data, tmp_path, "--target", "label", "--text", "review", "--test", 0)
    reviews.rename(columns={"review": "Text"}).to_csv(tmp_path / "other.csv", index=False)
    assert "other.csv has no column 'review'" in refused("predict", model, tmp_path / "other.csv")
    dump_svmlight_file(np.eye(3), [0, 1, 0], str(tmp_path / "a.svm"))
    message = "a.svm cannot hold texts, but column 'review' of texts is needed; give a file of .csv, .tsv, .txt, .parquet"
    assert message in refused("predict", model, tmp_path / "a.svm")
    (tmp_path / "empty.csv").write_text('review,label\n"",good\n,bad\n')
    assert "all 2 cells are empty" in refused("predict", model, tmp_path / "empty.csv")
    (tmp_path / "odd.csv").write_text('review,label\n"not closed,good\nx,bad\n')
    assert "odd.csv" in refused("predict", model, tmp_path / "odd.csv")
    np.savez(tmp_path / "n.npz", X=np.random.default_rng(0).normal(size=(20, 3)), y=np.arange(20) % 2)
    train(tmp_path / "n.npz", tmp_path)
    assert "was not trained on texts" in refused("predict", model, tmp_path / "n.npz", "--text", "review")
    model.write_bytes(model.read_bytes()[:-20])
    assert "cannot be loaded" in refused("predict", model, data)


def test_vectorisers_from_python(reviews, data, tmp_path):
    """A network that was trained and saved in Python predicts for files, too."""
    from fcfast.text import TextFeatures

    texts, y = reviews["review"].tolist(), reviews["label"].to_numpy(dtype=str)
    vectorizer = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 3)).fit(texts)
    network = FrontClassifier(**SETTINGS).fit(vectorizer.transform(texts), y)
    for columns, options in ((["review"], ()), ([], ("--text", "review"))):
        network.text_ = TextFeatures(vectorizer, columns)
        network.save(tmp_path / "m.safetensors")
        frame, _ = predictions(tmp_path / "m.safetensors", data, *options)
        assert frame["prediction"].tolist() == network.predict(vectorizer.transform(texts)).tolist()
    assert "does not say from which column; name it with --text" in refused("predict", tmp_path / "m.safetensors", data)


# ----------------------------------------------------------------------------------------------------------------------
# reading


def test_cells_of_texts(tmp_path):
    """Quotes, line breaks, delimiters, long texts and unusual characters are kept as they are."""
    texts = [
        'say "hi", he said',
        "two\nlines\r\nthree",
        "semi;colon\tand tab",
        "x" * 200_000 + ", y",
        "NA",
        "3.5",
        "é😀\u2028",
        "!wow",
        "#a",
    ]
    path = tmp_path / "a.csv"
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, quoting=csv.QUOTE_ALL)
        writer.writerows([["id", "text", "y"], *([i, text, i % 2] for i, text in enumerate(texts))])
    limit = csv.field_size_limit()
    table = read_table(path, "y", text="text", ids="id")
    assert csv.field_size_limit() == limit
    assert table.X[:, 0].tolist() == texts
    assert table.X.dtype == object
    assert (table.y.tolist(), table.ids) == ([i % 2 for i in range(9)], [str(i) for i in range(9)])
    assert read_table(path, "y", text=1, ids="id").X.tolist() == table.X.tolist()
    with gzip.open(tmp_path / "b.csv.gz", "wt", encoding="utf-16") as file:  # as Excel writes it
        file.write("sep=;\ntext;y\n a, b ;1\n;2\n")
    table = read_table(tmp_path / "b.csv.gz", "y", text="text")
    assert table.X.tolist() == [[" a, b "], [""]]
    assert table.notes[-1:] == ["1 without text"]
    (tmp_path / "r.txt").write_text('"text" "y"\n"1" "a fine film" "good"\n"2" "a poor one" "bad"\n')  # R's write.table
    table = read_table(tmp_path / "r.txt", "y", text="text", delimiter="space")
    assert (table.X.tolist(), table.ids) == ([["a fine film"], ["a poor one"]], ["1", "2"])
    (tmp_path / "t.csv").write_text("Reviews of May\n\ntext;y\na,b,c;1\nd;2\n")
    assert read_table(tmp_path / "t.csv", "y", text="text").X.tolist() == [["a,b,c"], ["d"]]


def test_types_in_parquet(tmp_path):
    """Strings of any kind are texts, null is an empty one, and numbers are none."""
    pa = pytest.importorskip("pyarrow", reason="Parquet needs fcfast[parquet]")
    from pyarrow import parquet

    texts = pa.array(["a", None, "b\nc"])
    columns = {"s": texts, "d": texts.dictionary_encode(), "b": texts.cast("binary"), "l": texts.cast("large_string")}
    parquet.write_table(pa.table(columns | {"n": [1, 2, 3], "y": [0, 1, 0]}), tmp_path / "a.parquet")
    for name in columns:
        assert read_table(tmp_path / "a.parquet", "y", text=name).X.tolist() == [["a"], [""], ["b\nc"]]
    with pytest.raises(ValueError, match="column 'n' has type int64, no texts; name a column of strings with --text"):
        read_table(tmp_path / "a.parquet", "y", text="n")


# ----------------------------------------------------------------------------------------------------------------------
# plan, compare


def planned(*arguments):
    """Plan; give the form and the costs."""
    result = run("plan", *arguments, "--json")
    assert result.exit_code == 0, result.output
    content = json.loads(result.stdout)
    return content["form"], content["costs"]


def as_planned(estimator):
    """Give the form and the costs that `fit` has planned."""
    return estimator.plan_.form, {name: vars(cost) for name, cost in estimator.plan_.costs.items()}


@pytest.mark.parametrize(("n_samples", "n_common"), [(150, 1), (700, 60), (2500, 100)])
def test_plans_are_those_of_fit(tmp_path, n_samples, n_common):
    """Features that many samples have count for what they cost, and not as if entries were spread evenly."""
    common = np.random.default_rng(0).random((n_samples, n_common)) + 0.1
    rare = sparse.random(n_samples, 8000, 4 / 8000, random_state=0)
    X, y = sparse.csr_array(sparse.hstack([rare, common])), np.arange(n_samples) % 2  # svmlight knows the last feature, too
    dump_svmlight_file(X, y, str(tmp_path / "a.svm"))
    sparse.save_npz(tmp_path / "a.npz", X)
    fitted = FrontClassifier((8,), max_epochs=2, random_state=0).fit(X, y)
    options = ("--hidden", 8, "--epochs", 2, "--test", 0)
    form, costs = planned(tmp_path / "a.svm", *options)
    assert (form, costs) == as_planned(fitted)
    assert planned(tmp_path / "a.npz", "--outputs", 2, *options) == (form, costs)
    density = ("--density", X.nnz / (n_samples * X.shape[1]), "--outputs", 2)
    _, evenly = planned(n_samples, X.shape[1], *density, *options[:-2])
    assert evenly["windowed"] != costs["windowed"]
    if n_common > 1:
        assert evenly["contributions"]["seconds_once"] < costs["contributions"]["seconds_once"]


def test_plan_of_texts(reviews, data):
    """It is the plan of `fit` on the features of all texts."""
    X = TfidfVectorizer(sublinear_tf=True).fit_transform(reviews["review"])
    fitted = FrontClassifier((8,), max_epochs=2, random_state=0).fit(X, reviews["label"].to_numpy(dtype=str))
    options = ("--hidden", 8, "--epochs", 2, "--text", "review", "--target", "label")
    assert planned(data, *options, "--test", 0) == as_planned(fitted)
    assert "--text is for a data file" in refused("plan", 10, 10, "--text", "review")


def test_plans_are_those_of_train(data, tmp_path):
    """Samples that `train` holds out do not count: neither for the form, nor for the settings, nor for the words."""
    dump_svmlight_file(sparse.random(2500, 4000, 0.001, random_state=0), np.arange(2500) % 2, str(tmp_path / "c.svm"))
    options = ("--hidden", 8, "--epochs", 1)
    for file, arguments, n_all, n_rest in (
        (tmp_path / "c.svm", (), 2500, 2000),
        (data, ("--target", "label", "--text", "review"), 60, 48),
    ):
        report = train(file, tmp_path, *options, *arguments)
        result = run("plan", file, "--json", *options, *arguments)
        assert f"planned for {n_rest:,} training samples; {n_all - n_rest} are held out for testing" in result.stderr
        assert json.loads(result.stdout)["form"] == report["form"]
        assert "text" not in report or report["text"] in " ".join(result.stderr.split())
    by_sgd = planned(tmp_path / "c.svm", "--optimizer", "sgd", "--hidden", 256)
    assert planned(tmp_path / "c.svm") == by_sgd  # Adagrad takes more than 2000 samples
    assert planned(tmp_path / "c.svm", "--test", 0)[0] == "weights"
    assert "planned for 2,500 training samples; 0 are held out" in run("plan", tmp_path / "c.svm", "--test", 0).stderr


def test_compare_texts(data):
    """Rules can be compared on texts."""
    options = ("--rules", "frozen", "--epochs", 2, "--seeds", 1, "--tune", 1, "--hidden", "4,4", "--json")
    result = run("compare", data, "--target", "label", "--text", "review", *options)
    assert result.exit_code == 0, result.output
    assert "words of 'review'" in json.loads(result.stdout)["about"]["text"]
