"""``fcfast train --time --event`` and what ``fcfast predict`` writes of a survival analysis."""

import csv
import io
import json

import numpy as np
import pytest

pytest.importorskip("typer", reason="the command line needs fcfast[cli]")
from sklearn.datasets import dump_svmlight_file
from survival_cases import wide_survival
from typer.testing import CliRunner

from fcfast import FrontRegressor, FrontSurvival, load
from fcfast.attribution import stability
from fcfast.commands import app
from fcfast.survival import concordance_index

GENES = [f"gene {j}" for j in range(30)]
QUICK = ("--hidden", 8, "--epochs", 60, "--jobs", 1)


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def train(data, folder, *arguments):
    """Train with few units; give the report and the model."""
    result = run("train", data, "--save", folder / "m.safetensors", "--json", *QUICK, *arguments)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout), load(folder / "m.safetensors")


def refused(*arguments):
    result = run(*arguments)
    assert result.exit_code == 2, result.output
    assert "Traceback" not in result.output
    return " ".join(result.stderr.split())


def write(path, X, y, events=("0", "1"), **more):
    """A table with names of samples, and times and events among the genes."""
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["patient", *GENES[:10], "days", *GENES[10:], "died", *more])
        for i, row in enumerate(X.tolist()):
            cells = [f"p{i}", *row[:10], y["time"][i], *row[10:], events[int(y["event"][i])], *(v[i] for v in more.values())]
            writer.writerow(cells)
    return path


@pytest.fixture(scope="module")
def data():
    X, y = wide_survival(80, 30)
    y["time"] = np.ceil(100 * y["time"])
    return X.round(4), y


@pytest.fixture(scope="module")
def table(data, tmp_path_factory):
    return write(tmp_path_factory.mktemp("survival") / "all.csv", *data)


COLUMNS = "--time", "days", "--event", "died"


@pytest.mark.parametrize("kind", ["csv", "words", "parquet", "npz"])
def test_trains_and_tests(data, tmp_path, kind):
    """Times and events in files of several kinds; the model is that of the estimator."""
    X, y = data
    columns = COLUMNS
    if kind == "npz":
        path, columns = tmp_path / "a.npz", ("--time", "t", "--event", "e")
        np.savez(path, X=X, t=y["time"], e=y["event"], feature_names=np.array(GENES))
    else:
        path = write(tmp_path / "a.csv", X, y, ("false", "TRUE") if kind == "words" else ("0", "1"))
        columns = (*columns, "--id", "patient")
    if kind == "parquet":
        pandas = pytest.importorskip("pandas")
        pytest.importorskip("pyarrow")
        frame = pandas.read_csv(path)
        path = tmp_path / "a.parquet"
        frame.assign(died=frame["died"] == 1).to_parquet(path)
    report, model = train(path, tmp_path, *columns)
    assert type(model) is FrontSurvival
    assert report["task"] == "survival"
    assert report["n_train"] == 64
    assert model.feature_names_in_.tolist() == GENES
    assert report["test_set"] == "drawn at random, each class in proportion"
    expected = FrontSurvival((8,), max_epochs=60, random_state=0, n_jobs=1)
    result = run("train", path, "--save", tmp_path / "all.safetensors", *QUICK, *columns, "--test", 0)
    assert result.exit_code == 0, result.output
    assert "survival (as asked): 80 samples x 30 features" in result.output
    whole = load(tmp_path / "all.safetensors")
    del whole.feature_names_in_  # X is an array
    np.testing.assert_allclose(whole.predict(X), expected.fit(X, y).predict(X), rtol=1e-3, atol=1e-4)
    assert 0.5 < report["test"]["concordance"] <= 1
    assert report["test"]["samples"] == 16
    assert model.card_["scores"]["test"]["concordance"] == report["test"]["concordance"]
    assert model.card_["data"]["target"] == [columns[1], columns[3]]


def test_predicts_risks_and_survival(data, table, tmp_path):
    X, y = data
    _, model = train(table, tmp_path, *COLUMNS, "--id", "patient", "--test", 0)
    result = run("predict", tmp_path / "m.safetensors", table, "--id", "patient", "--times", "50,200")
    assert result.exit_code == 0, result.output
    rows = list(csv.DictReader(io.StringIO(result.stdout)))
    assert list(rows[0]) == ["sample", "risk", "S(50)", "S(200)"]
    assert rows[3]["sample"] == "p3"
    del model.feature_names_in_
    risk = model.predict(X)
    np.testing.assert_allclose([float(row["risk"]) for row in rows], risk, rtol=1e-5, atol=1e-6)
    survivals = [float(f(200)) for f in model.predict_survival_function(X)]
    np.testing.assert_allclose([float(row["S(200)"]) for row in rows], survivals, rtol=1e-5)
    result = run("predict", tmp_path / "m.safetensors", table, "--id", "patient", *COLUMNS, "--out", tmp_path / "risk.tsv")
    assert f"concordance {concordance_index(y, risk):.3f} ({y['event'].sum()} events of 80 samples)" in result.output
    assert (tmp_path / "risk.tsv").read_text().splitlines()[0] == "sample\trisk"
    shown = run("show", tmp_path / "m.safetensors")
    assert "days, died" in shown.output


def test_validation_and_other_files(data, table, tmp_path):
    """A test file, a share, a file and a column to validate on, and a picture."""
    pytest.importorskip("matplotlib")
    X, y = data
    part = write(tmp_path / "part.csv", X[:20], y[:20])
    report, _ = train(
        table, tmp_path, *COLUMNS, "--id", "patient", "--test-file", part, "--validation", "0.2", "--early-stopping"
    )
    assert report["n_test"] == 20
    assert report["validation"]["scoring"] == "concordance"
    report, model = train(
        table, tmp_path, *COLUMNS, "--id", "patient", "--test", 0, "--validation", part, "--plot", tmp_path / "curve.png"
    )  # fmt: skip
    assert report["validation"]["n_samples"] == 20
    assert (tmp_path / "curve.png").exists()
    assert len(model.validation_scores_) == model.n_epochs_
    marked = tmp_path / "marked.csv"
    marks = np.where(np.arange(80) % 4 == 0, "val", "train")
    lines = table.read_text().splitlines()
    marked.write_text("\n".join(f"{line.split(',', 1)[1]},{mark}" for line, mark in zip(lines, ["set", *marks], strict=True)))
    report, _ = train(marked, tmp_path, *COLUMNS, "--validation", "set", "--scoring", "loss")
    assert report["validation"]["n_samples"] == 20


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--time", "days"), "--time was given without --event; a survival analysis needs both"),
        (("--event", "died"), "--event was given without --time"),
        ((*COLUMNS, "--target", "gene 1"), "leave out --target"),
        ((*COLUMNS, "--task", "regression"), "leave out --task regression"),
        ((*COLUMNS, "--label-smoothing", 0.1), "--label-smoothing 0.1 is for classes"),
        ((*COLUMNS, "--loss", "poisson"), "--loss poisson is for numbers"),
        ((*COLUMNS, "--text", "gene 1"), "--text makes features of texts"),
        (("--time", "days", "--event", "gene 1"), "the column of --event holds"),
        (("--time", "gene 1", "--event", "died"), "its column of --time, has"),
        (("--time", "days", "--event", "dyed"), "did you mean 'died'"),
        (("--time", "days", "--event", "days"), "twice"),
        (("--time", "days", "--event", "patient"), "asked for twice"),
    ],
)
def test_errors(table, tmp_path, arguments, message):
    assert message in refused("train", table, "--save", tmp_path / "m.safetensors", "--id", "patient", *arguments)


def test_errors_about_samples(data, tmp_path):
    X, y = data
    censored = y.copy()
    censored["event"] = False
    path = write(tmp_path / "censored.csv", X, censored)
    save = "--save", tmp_path / "m.safetensors", "--id", "patient"
    assert "the target 'days', 'died' has no events" in refused("train", path, *save, *COLUMNS)
    text = write(tmp_path / "gap.csv", X, y).read_text().replace(f"{y['time'][3]},", ",", 1)
    (tmp_path / "gap.csv").write_text(text)
    assert "1 sample(s) have no time or no event" in refused("train", tmp_path / "gap.csv", *save, *COLUMNS)
    svm = tmp_path / "a.svm"
    dump_svmlight_file(X, y["time"], str(svm), zero_based=False)
    assert "leave out --block-rows" in refused("train", svm, save[0], save[1], *COLUMNS, "--block-rows", 10)
    assert refused("train", svm, save[0], save[1], *COLUMNS)


def test_errors_of_predictions(data, table, tmp_path):
    X, y = data
    train(table, tmp_path, *COLUMNS, "--id", "patient", "--test", 0)
    model = tmp_path / "m.safetensors"
    assert "--times 1e9: 1e+09 is not within 0 and" in refused("predict", model, table, "--id", "patient", "--times", "1e9")
    assert "not a list of times" in refused("predict", model, table, "--id", "patient", "--times", "soon")
    assert "--proba needs a classifier" in refused("predict", model, table, "--id", "patient", "--proba")
    FrontRegressor((2,), max_epochs=2, random_state=0).fit(X, y["time"]).save(tmp_path / "r.safetensors")
    np.savez(tmp_path / "a.npz", X=X)
    other = refused("predict", tmp_path / "r.safetensors", tmp_path / "a.npz", "--times", 3)
    assert "needs a survival analysis, but" in other


def test_features_behind_risks_and_their_stability(data, table, tmp_path):
    """Refits on bootstrap samples of patients, with and without events each, on times and events that are named."""
    _, model = train(table, tmp_path, *COLUMNS, "--id", "patient", "--test", 0)
    asked = ("explain", tmp_path / "m.safetensors", table, "--id", "patient", "--top", 5)
    result = run(*asked, *COLUMNS, "--stability", 3, "--json")
    assert result.exit_code == 0, result.output
    content = json.loads(result.stdout)
    X, y = data
    estimator = FrontSurvival((8,), max_epochs=60, n_jobs=1)
    del model.feature_names_in_  # X is an array
    expected = stability(estimator, X, y, 5, 3, attributions=model.attribute(X), random_state=0)
    assert content["ranking"]["feature"] == expected.ranking["feature"].tolist()
    assert content["ranking"]["name"] == [GENES[j] for j in content["ranking"]["feature"]]
    np.testing.assert_allclose(content["ranking"]["refits"], expected.ranking["share"])
    assert content["stability"]["overlap"] == pytest.approx(expected.overlap)
    assert "name it with --time and --event" in refused(*asked, "--stability", 3)
    assert "--time was given without --event" in refused(*asked, "--stability", 3, "--time", "days")
    assert "is for --stability" in refused(*asked, *COLUMNS)
