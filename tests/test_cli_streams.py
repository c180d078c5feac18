"""``fcfast train``, ``predict`` and ``explain`` on svmlight files that are read in blocks."""

import csv
import io
import json

import numpy as np
import pytest
from scipy import sparse

pytest.importorskip("typer", reason="the command line needs fcfast[cli]")
from sklearn.datasets import dump_svmlight_file
from typer.testing import CliRunner

from fcfast import FrontClassifier, load
from fcfast.commands import app, blocks

N, D = 400, 60


def run(*arguments):
    """Run the command in this process."""
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def report_of(folder, *arguments):
    """Train with few units and epochs; give the report."""
    result = run("train", *arguments, "--save", folder / "m.safetensors", "--json", "--hidden", 8, "--epochs", 20, "--jobs", 1)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout), result.stderr


@pytest.fixture
def samples(tmp_path):
    """Write sparse samples of three classes, and the same with a number as the target."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, N)
    X = sparse.random(N, D, 0.1, random_state=rng, format="csr").tolil()
    for row, label in enumerate(y):
        X[row, label] = 2.0
    X = sparse.csr_array(X)
    dump_svmlight_file(X, y, str(tmp_path / "classes.svm"), zero_based=True)
    dump_svmlight_file(X, X[:, [0]].toarray().ravel() + 0.5, str(tmp_path / "numbers.svm"), zero_based=True)
    return tmp_path


def test_train_and_predict(samples):
    """The report says how many samples were held out; predictions are those of the model, block by block."""
    report, told = report_of(samples, samples / "classes.svm", "--block-rows", 64)
    assert "read in blocks of 64 rows\n" in told
    assert report["task"] == "classification"
    assert "among the first 64 samples" in report["task_reason"]
    assert report["n_train"] + report["n_test"] == N
    assert 0.1 < report["n_test"] / N < 0.3
    assert report["test"]["accuracy"] > 0.9
    assert sum(row["support"] for row in report["test"]["classes"]) == report["n_test"]
    assert report_of(samples, samples / "classes.svm", "--block-rows", 64)[0]["test"] == report["test"]
    model = samples / "m.safetensors"
    whole = run("predict", model, samples / "classes.svm", "--proba")
    streamed = run("predict", model, samples / "classes.svm", "--proba", "--block-rows", 33)
    rows, expected = (list(csv.reader(io.StringIO(result.stdout))) for result in (streamed, whole))
    assert rows[0] == expected[0] == ["sample", "prediction", "P(0)", "P(1)", "P(2)"]
    assert [row[:2] for row in rows] == [row[:2] for row in expected]
    np.testing.assert_allclose(np.array(rows[1:], float), np.array(expected[1:], float), rtol=1e-5)
    for out in ("p.csv", "p.tsv"):
        assert run("predict", model, samples / "classes.svm", "--out", samples / out, "--block-rows", 33).exit_code == 0
    assert (samples / "p.csv").read_text().replace(",", "\t") == (samples / "p.tsv").read_text()
    assert len((samples / "p.csv").read_text().splitlines()) == N + 1
    content = json.loads(run("predict", model, samples / "classes.svm", "--json", "--block-rows", 33).stdout)
    assert content["n_samples"] == N == len(content["predictions"]["prediction"])
    assert content["score"] == json.loads(run("predict", model, samples / "classes.svm", "--json").stdout)["score"]


def test_without_a_test_the_network_is_that_of_python(samples):
    """All samples are trained on, in the order of their blocks."""
    report, _ = report_of(samples, samples / "classes.svm", "--block-rows", 1000, "--test", 0)
    assert report["test"] is None
    assert (report["n_train"], report["n_test"]) == (N, 0)
    from fcfast.streams import SvmlightStream

    stream = SvmlightStream(samples / "classes.svm")
    expected = FrontClassifier((8,), max_epochs=20, n_jobs=1, random_state=0).fit(stream)
    np.testing.assert_allclose(load(samples / "m.safetensors").predict_proba(stream), expected.predict_proba(stream), rtol=1e-5)


def test_regression_and_a_test_file(samples):
    """Numbers with fractions are predicted as numbers, and another file tests."""
    report, _ = report_of(
        samples, samples / "numbers.svm", "--block-rows", 100, "--test-file", samples / "numbers.svm", "--learning-rate", 0.01
    )
    assert report["task"] == "regression"
    assert report["n_test"] == report["n_train"] == N
    assert report["test"]["outputs"][0]["r2"] > 0.5 if "outputs" in report["test"] else report["test"]["r2"] > 0.5
    result = run("predict", samples / "m.safetensors", samples / "numbers.svm", "--block-rows", 100)
    assert result.exit_code == 0
    assert run("predict", samples / "m.safetensors", samples / "classes.svm", "--proba", "--block-rows", 9).exit_code == 2


def test_large_files_are_read_in_blocks_unasked(samples, monkeypatch):
    """A file that memory may not hold is streamed, in one line of words."""
    monkeypatch.setattr(blocks, "_memory", lambda: 1000)
    _, told = report_of(samples, samples / "classes.svm")
    assert "read in blocks of 100,000 rows, because" in told
    assert "--block-rows" in told


def test_samples_without_targets(samples):
    """There are as many predictions as lines; an empty line is refused, wherever blocks end, and nothing is written."""
    report_of(samples, samples / "classes.svm", "--block-rows", 100)
    for text, line in (("0:1 51:1\n1:1 52:1\n\n3:1 52:1\n", 3), ("0:1 51:1\n1:1 52:1\n3:1\n5:1\n", None)):
        (samples / "q.svm").write_text(text)
        result = run("predict", samples / "m.safetensors", samples / "q.svm", "--block-rows", 3, "--out", samples / "p.csv")
        assert result.exit_code == (2 if line else 0)
        assert f"line {line} is empty" in " ".join(result.output.split()) or not line
        assert (samples / "p.csv").exists() == (not line)
    assert len((samples / "p.csv").read_text().splitlines()) == 5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["a.csv", "--block-rows", 5], "--block-rows is for svmlight files"),
        (["classes.svm", "--block-rows", 0], "block-rows"),
        (["classes.svm", "--block-rows", 5, "--target", "x"], "leave out --target"),
        (["classes.svm", "--block-rows", 5, "--id", "x"], "cannot hold names"),
        (["classes.svm", "--block-rows", 5, "--impute", "mean"], "not filled in"),
        (["classes.svm", "--block-rows", 5, "--early-stopping"], "held out; leave out --early-stopping"),
        (["classes.svm", "--block-rows", 5, "--standardize"], "leave out --standardize"),
        (["classes.svm", "--block-rows", 5, "--standardize", "scale"], "leave out --standardize"),
        (["untold.svm", "--block-rows", 5], "untold.svm has no targets"),
        (["classes.svm", "--block-rows", 5, "--test-file", "untold.svm"], "untold.svm has no targets"),
        (["classes.svm", "--block-rows", 5, "--test-file", "empty.svm"], "empty.svm has no samples"),
        (["classes.svm", "--block-rows", 100, "--test-file", "bad.svm"], "bad.svm, line 201 cannot be read"),
        (["classes.svm", "--block-rows", 100, "--test-file", "numbers.svm"], "has fractions"),
        (["classes.svm", "--block-rows", 5, "--form", "contributions"], "--form contributions keeps all samples"),
        (["classes.svm", "--block-rows", 5, "--test", 0.5, "--test-file", "classes.svm"], "use one of them"),
        (["empty.svm", "--block-rows", 5], "no samples"),
    ],
)
def test_refusals(samples, monkeypatch, arguments, message):
    """One line says what to do, and nothing is written."""
    monkeypatch.chdir(samples)
    (samples / "a.csv").write_text("x,y\n1,2\n")
    (samples / "untold.svm").write_text("0:1 51:1\n1:1 52:1\n")
    (samples / "bad.svm").write_text("1 0:1\n" * 200 + "1 0:x\n")
    (samples / "empty.svm").write_text("# nothing\n")
    monkeypatch.setattr(blocks, "fit", None)  # all is refused before the training
    result = run("train", *arguments, "--save", "m.safetensors")
    assert result.exit_code == 2
    assert message in " ".join(result.output.split())
    assert not (samples / "m.safetensors").exists()


@pytest.mark.parametrize("options", [(), ("--output", "all"), ("--each",), ("--each", "--output", "all"), ("--groups",)])
def test_explains_in_blocks(tmp_path, options):
    """The ranking is that of the whole file, with sums over blocks of rows; samples keep their numbers."""
    rng = np.random.default_rng(0)
    X = np.where(rng.random((90, 40)) < 0.2, rng.normal(size=(90, 40)), 0.0).round(3)
    y = np.digitize(X[:, :4].sum(axis=1), [-0.3, 0.3])
    data, model = tmp_path / "a.svm", tmp_path / "m.safetensors"
    dump_svmlight_file(X, y, str(data), zero_based=True)
    quick = ("--hidden", 6, "--epochs", 10, "--jobs", 1, "--test", 0)
    assert run("train", data, "--save", model, *quick).exit_code == 0
    if options == ("--groups",):
        (tmp_path / "g.csv").write_text("".join(f"x{j},{'even' if j % 2 == 0 else 'odd'}\n" for j in range(40)))
        named = load(model)
        named.feature_names_in_ = np.array([f"x{j}" for j in range(40)], dtype=object)
        named.save(model)
        options = (*options, tmp_path / "g.csv")
    asked = ("explain", model, data, "--top", 5, "--json", *options)
    whole, parts = (json.loads(run(*asked, *more).stdout) for more in ((), ("--block-rows", 20)))
    assert (parts["n_samples"], parts["n_features"], parts["baseline"]) == (90, 40, "zero")
    for name, column in whole["ranking"].items():
        if isinstance(column[0], float):
            assert parts["ranking"][name] == pytest.approx(column, rel=1e-5)
        else:
            assert parts["ranking"][name] == column
    assert parts["completeness_error"] == pytest.approx(whole["completeness_error"], abs=1e-6)


def test_what_explain_cannot_do_in_blocks(tmp_path):
    data, model = tmp_path / "a.svm", tmp_path / "m.safetensors"
    dump_svmlight_file(np.eye(20), np.arange(20) % 2, str(data), zero_based=True)
    assert run("train", data, "--save", model, "--hidden", 2, "--epochs", 1, "--test", 0).exit_code == 0
    asked = ("explain", model, data, "--block-rows", 5)
    for options, message in (
        (("--stability", 2), "--stability needs all samples in memory"),
        (("--plot", tmp_path / "a.png", "--plot-kind", "spectrum"), "--plot-kind spectrum needs all samples in memory"),
        (("--stability", 2, "--target", "0"), "--stability needs all samples"),
        (("--id", "name"), "cannot hold names of samples"),
        (("--text", "words"), "holds numbers, no texts"),
    ):
        result = run(*asked, *options)
        assert result.exit_code == 2
        assert message in " ".join(result.stderr.split())
    data.write_text("")
    assert "has no samples" in run(*asked).output
