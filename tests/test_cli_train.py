"""``fcfast train`` and ``fcfast predict`` from a user's point of view, on files of every format."""

import csv
import io
import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest
from scipy import sparse

pytest.importorskip("typer", reason="the command line needs fcfast[cli]")
pytest.importorskip("matplotlib", reason="pictures need fcfast[plots]")
from sklearn.datasets import dump_svmlight_file
from sklearn.metrics import balanced_accuracy_score, precision_score, r2_score
from typer.testing import CliRunner

from fcfast import FrontClassifier, load
from fcfast.commands import app

FEATURES = [f"gene {j}" for j in range(30)]
KINDS = np.array(["ape", "bee", "cat"])
QUICK = ("--hidden", 8, "--epochs", 25, "--jobs", 1)


def run(*arguments):
    """Run the command in this process."""
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def train(data, folder, *arguments):
    """Train with few units and epochs; give the report."""
    result = run("train", data, "--save", folder / "m.safetensors", "--json", *QUICK, *arguments)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def animals(n_samples=60, seed=0):
    """Three classes that can be told apart, on features of very different scale and mean."""
    rng = np.random.default_rng(seed)
    codes = np.arange(n_samples) % 3
    X = rng.normal(size=(n_samples, 30))
    X[:, :9] += 2 * (codes[:, None] == np.arange(9) % 3)
    return (X * np.logspace(-2, 3, 30) + 500).round(6), codes


def write_csv(path, X, y, target="kind", delimiter=","):
    """A table with a header line, the target first."""
    with open(path, "w", newline="") as file:
        writer = csv.writer(file, delimiter=delimiter)
        writer.writerow([target, *FEATURES[: X.shape[1]]])
        writer.writerows([label, *row] for label, row in zip(y.tolist(), X.tolist(), strict=True))
    return path


def write(kind, folder):
    """The same animals in a file of each kind, and how its target is named."""
    X, codes = animals()
    path = folder / f"animals.{kind}"
    if kind in ("csv", "tsv"):
        return write_csv(path, X, KINDS[codes], delimiter="," if kind == "csv" else "\t"), ("--target", "kind")
    if kind == "npz":
        np.savez(path, X=X, y=codes, target_names=KINDS)
        return path, ()
    if kind == "npy":
        np.save(path, X.astype(np.float32))
        np.save(folder / "y.npy", codes)
        return path, ("--target", folder / "y.npy")
    if kind == "parquet":
        pa = pytest.importorskip("pyarrow", reason="Parquet needs fcfast[parquet]")
        from pyarrow import parquet

        columns = dict(zip(FEATURES, X.T, strict=True)) | {"kind": KINDS[codes]}
        parquet.write_table(pa.table(columns), path)
        return path, ("--target", "kind")
    sparse_X = sparse.csr_array(np.where(X > 500, X - 500, 0) / np.logspace(-2, 3, 30))
    if kind == "svm":
        dump_svmlight_file(sparse_X, codes, str(path), zero_based=True)
        return path, ()
    path = folder / "sparse.npz"
    sparse.save_npz(path, sparse_X)
    with np.load(path) as arrays:
        np.savez(path, **arrays, y=codes, target_names=KINDS, n_train=np.int64(45))
    return path, ()


@pytest.mark.parametrize("kind", ["csv", "tsv", "npz", "npy", "parquet", "svm", "sparse npz"])
def test_every_kind_of_file(kind, tmp_path):
    """Trained, tested and saved; what predict then says of the raw file is what the model says."""
    data, target = write(kind, tmp_path)
    report = train(data, tmp_path, *target)
    assert report["task"] == "classification"
    assert report["test"]["accuracy"] > 0.7
    assert report["standardized"] == (kind not in ("svm", "sparse npz"))
    assert (report["n_train"], report["n_test"]) == ((45, 15) if kind == "sparse npz" else (48, 12))
    model = load(tmp_path / "m.safetensors")
    result = run("predict", tmp_path / "m.safetensors", data, *target, "--out", tmp_path / "p.csv", "--json")
    assert result.exit_code == 0, result.output
    rows = list(csv.DictReader((tmp_path / "p.csv").read_text().splitlines()))
    assert [row["sample"] for row in rows] == [str(i) for i in range(60)]
    assert {row["prediction"] for row in rows} <= set(map(str, model.classes_.tolist()))
    truth = KINDS[animals()[1]] if model.classes_.dtype.kind == "U" else animals()[1].astype(str)
    accuracy = np.mean([row["prediction"] == label for row, label in zip(rows, truth, strict=True)])
    assert json.loads(result.stdout)["score"]["accuracy"] == pytest.approx(accuracy)


def test_report_is_of_the_saved_model(tmp_path):
    """Scores on a test file, recomputed from the model file and raw features."""
    data = write_csv(tmp_path / "a.csv", animals()[0], KINDS[animals()[1]])
    X, codes = animals(21, seed=1)
    test = write_csv(tmp_path / "b.csv", X, KINDS[codes])
    report = train(data, tmp_path, "--target", "kind", "--test-file", test, "--epochs", 4)
    model = load(tmp_path / "m.safetensors")
    assert model.feature_names_in_.tolist() == FEATURES
    del model.feature_names_in_  # or scikit-learn warns that an array has none
    predicted = model.predict(X)
    scores = report["test"]
    assert scores["balanced_accuracy"] == pytest.approx(balanced_accuracy_score(KINDS[codes], predicted), rel=1e-12)
    precision = precision_score(KINDS[codes], predicted, labels=KINDS, average=None, zero_division=np.nan)
    for row, label, value in zip(scores["classes"], KINDS, precision, strict=True):
        assert (row["class"], row["support"]) == (label, 7)
        assert (row["precision"] is None) if np.isnan(value) else (row["precision"] == pytest.approx(value))
    assert (report["n_train"], report["n_test"]) == (60, 21)


@pytest.mark.parametrize("n_outputs", [1, 2])
def test_regression_in_the_unit_of_its_target(tmp_path, n_outputs):
    """A target of order 5000 is learnt exactly as one of order 1: same R², errors in its unit, predictions that give them."""
    X, _ = animals(90)
    z = ((X - X.mean(0)) / X.std(0))[:, :n_outputs] + 0.1
    z = z[:, 0] if n_outputs == 1 else z
    reports = []
    for y in (z, 5000 + 100 * z):
        np.savez(tmp_path / "r.npz", X=X, y=y)
        reports.append(train(tmp_path / "r.npz", tmp_path, "--epochs", 200)["test"])
    assert reports[0]["r2"] > 0.5
    assert reports[1]["r2"] == pytest.approx(reports[0]["r2"], rel=1e-4)
    for small, large in zip(reports[0]["outputs"], reports[1]["outputs"], strict=True):
        assert (large["rmse"], large["mae"]) == pytest.approx((100 * small["rmse"], 100 * small["mae"]), rel=1e-4)
    result = run("predict", tmp_path / "m.safetensors", tmp_path / "r.npz")
    assert result.exit_code == 0, result.output
    predicted = np.loadtxt(io.StringIO(result.stdout), delimiter=",", skiprows=1)[:, 1:]
    assert f"R² {r2_score(y, predicted):.3g}" in result.stderr
    assert result.stdout.startswith("sample,prediction\n" if n_outputs == 1 else "sample,prediction_0,prediction_1\n")


@pytest.mark.bits
def test_same_seed_same_model(tmp_path):
    """And another seed another one."""
    data, _ = write("npz", tmp_path)
    weights = []
    for seed in (3, 3, 4):
        train(data, tmp_path, "--seed", seed)
        weights.append(load(tmp_path / "m.safetensors").coefs_[0])
    np.testing.assert_array_equal(weights[0], weights[1])
    assert not np.allclose(weights[0], weights[2])


def test_printed_report_and_picture(tmp_path):
    """Task, form with its reason, scores, a row per class, what was written; no more than that in the folder."""
    data, target = write("csv", tmp_path)
    result = run("train", data, "--save", tmp_path / "m.safetensors", "--plot", tmp_path / "c.png", *target, *QUICK)
    assert result.exit_code == 0, result.output
    for words in ("the target is text", "form ", "balanced accuracy", "recall", "bee", "epochs in", "m.safetensors", "c.png"):
        assert words in result.stdout
    assert (tmp_path / "c.png").read_bytes().startswith(b"\x89PNG")
    assert {path.name for path in tmp_path.iterdir()} == {"animals.csv", "m.safetensors", "c.png"}
    assert "warning: max_epochs" in result.stderr or "warning" not in result.stderr


def test_many_classes_are_shown_in_part(tmp_path):
    """The worst 20 on the screen; all in JSON."""
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "a.npz", X=rng.normal(size=(100, 5)), y=np.arange(100) % 25)
    result = run("train", tmp_path / "a.npz", "--save", tmp_path / "m.safetensors", "--test", 0.5, *QUICK)
    assert "the 20 of 25 with the lowest recall" in result.stdout
    assert len(train(tmp_path / "a.npz", tmp_path, "--test", 0.5)["test"]["classes"]) == 25


@pytest.mark.parametrize(
    ("y", "task"),
    [
        (np.arange(40) % 2, "classification"),
        (np.arange(40.0) % 2, "classification"),
        (np.arange(40) % 2 == 0, "classification"),
        (np.arange(40), "regression"),
        (np.arange(40) / 8, "regression"),
        (np.ones((40, 2)), "regression"),
        ((np.arange(40) % 2)[:, None], "classification"),
    ],
)
def test_task_is_looked_for(tmp_path, y, task):
    """Few distinct whole numbers are classes; the report says what was taken, and why."""
    np.savez(tmp_path / "a.npz", X=animals(40)[0], y=y)
    report = train(tmp_path / "a.npz", tmp_path)
    assert report["task"] == task
    assert report["task_reason"].startswith("the target " + ("is text" if y.dtype == bool else "has"))


def test_asked_task_and_no_test(tmp_path):
    """--task and --test 0."""
    np.savez(tmp_path / "a.npz", X=animals()[0], y=animals()[1])
    report = train(tmp_path / "a.npz", tmp_path, "--task", "regression", "--test", 0)
    assert (report["task"], report["task_reason"], report["test"]) == ("regression", "as asked", None)
    assert report["n_train"] == 60


def test_options_reach_the_estimator(tmp_path):
    """The model file remembers them."""
    data, _ = write("npz", tmp_path)
    options = {
        "activation": "tanh", "learning_rate": 0.003, "batch_size": 7, "momentum": 0.5, "weight_decay": 0.01,
        "schedule": "cosine", "form": "windowed", "max_grad_norm": 2.0, "optimizer": "sgd",
        "label_smoothing": 0.1,
    }  # fmt: skip
    flags = [part for name, value in options.items() for part in (f"--{name.replace('_', '-')}", value)]
    report = train(data, tmp_path, *flags, "--hidden", "6,5", "--early-stopping", "--epochs", 5, "--seed", 9)
    params = load(tmp_path / "m.safetensors").get_params()
    assert {name: params[name] for name in options} == options
    assert (params["hidden_layer_sizes"], params["max_epochs"], params["random_state"]) == ((6, 5), 5, 9)
    assert params["early_stopping"]
    assert (report["form"], report["form_reason"], report["learning_rate"]) == ("windowed", "as asked", 0.003)


def test_label_smoothing_is_for_classes(tmp_path):
    """Numbers have none, and the command says so before it trains."""
    data, _ = write("npz", tmp_path)
    for options, sentence in (
        (
            ("--task", "regression", "--label-smoothing", 0.1),
            "--label-smoothing 0.1 is for classes, but the task is regression",
        ),
        (("--label-smoothing", 1), "label_smoothing must be in [0, 1), got 1.0"),
    ):
        result = run("train", data, "--save", tmp_path / "m.safetensors", *QUICK, *options)
        assert result.exit_code == 2
        assert sentence in " ".join(result.stderr.split())


@pytest.mark.parametrize("optimizer", ["muon", "neuron-adam", "adam", "adamw", "adagrad", "rmsprop"])
def test_optimizers(tmp_path, optimizer):
    """Each learns, at rates of its own; Adam says why it holds the weights."""
    data, _ = write("npz", tmp_path)
    report = train(data, tmp_path, "--optimizer", optimizer, "--epochs", 100)
    assert report["test"]["accuracy"] > 0.6
    assert len(report["learning_rate"]) == 2
    assert ("scales every weight" in report["form_reason"]) == (optimizer not in ("muon", "neuron-adam"))


def test_no_standardize(tmp_path):
    """Features as they are: the network is the estimator's own on raw data."""
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(40, 20)), np.arange(40) % 2
    np.savez(tmp_path / "a.npz", X=X, y=y)
    train(tmp_path / "a.npz", tmp_path, "--no-standardize", "--test", 0, "--learning-rate", 0.01)
    own = FrontClassifier((8,), max_epochs=25, standardize=False, learning_rate=0.01, n_jobs=1, random_state=0)
    own.fit(X.astype(np.float32), y)
    np.testing.assert_allclose(load(tmp_path / "m.safetensors").predict_proba(X), own.predict_proba(X), rtol=1e-4)


def test_probabilities(tmp_path):
    """A column per class, adding up to 1, in a file and in JSON."""
    data, _ = write("npz", tmp_path)
    train(data, tmp_path)
    content = json.loads(run("predict", tmp_path / "m.safetensors", data, "--proba", "--json").stdout)["predictions"]
    assert list(content) == ["sample", "prediction", "P(ape)", "P(bee)", "P(cat)"]
    np.testing.assert_allclose(np.sum([content[f"P({kind})"] for kind in KINDS], axis=0), 1, rtol=1e-12)
    model = load(tmp_path / "m.safetensors")
    np.testing.assert_array_equal(content["P(ape)"], model.predict_proba(animals()[0])[:, 0])


def test_columns_are_found_by_name(tmp_path):
    """In another order, with others between them: told, and left out; a missing one is named."""
    data, target = write("csv", tmp_path)
    train(data, tmp_path, *target)
    X, codes = animals()
    model = tmp_path / "m.safetensors"
    expected = run("predict", model, data, *target).stdout
    order = [f"{name}," for name in ("id", *FEATURES[::-1])]
    shuffled = tmp_path / "s.csv"
    lines = [",".join(map(str, [i, *row])) for i, row in enumerate(X[:, ::-1].tolist())]
    shuffled.write_text("".join(order)[:-1] + "\n" + "\n".join(lines))
    result = run("predict", model, shuffled)
    assert result.stdout == expected
    assert "left out: 'id'" in result.stderr
    shuffled.write_text(shuffled.read_text().replace("\n", "\npatient ").replace("id,", "name of sample,", 1))
    assert run("predict", model, shuffled).stdout == expected  # text that the model does not know is not read
    result = run("predict", model, data)
    assert result.stdout == expected
    assert "left out: 'kind'" in result.stderr
    missing = write_csv(tmp_path / "missing.csv", X[:, :28], KINDS[codes])
    result = run("predict", model, missing, *target)
    assert result.exit_code == 2
    assert "lacks 2 of the 30 features" in result.stderr
    assert "'gene 28', 'gene 29'" in result.stderr


def test_columns_of_the_same_name_are_refused(tmp_path):
    """Nobody knows which of them is meant; names that the model does not need may be repeated."""
    data, target = write("csv", tmp_path)
    train(data, tmp_path, *target)
    head, _, body = data.read_text().partition("\n")
    rows = body.splitlines()
    for name, code in (("gene 3", 2), ("note", 0)):
        twice = tmp_path / "twice.csv"
        twice.write_text("\n".join([f"{head},{name},{name}", *(f"{row},1,2" for row in rows)]))
        result = run("predict", tmp_path / "m.safetensors", twice, *target)
        assert result.exit_code == code
        assert code == 0 or "several columns of the same name: 'gene 3'" in result.stderr
        result = run("train", twice, "--save", tmp_path / "n.safetensors", *QUICK, *target)
        assert result.exit_code == 2
        assert f"several columns of the same name: {name!r}" in result.stderr
    assert not (tmp_path / "n.safetensors").exists()


def test_names_of_samples(tmp_path):
    """--id: no feature in training; in the predictions the name of each sample, tabs between the columns of a .tsv."""
    X, codes = animals()
    data = write_csv(tmp_path / "a.csv", X, KINDS[codes])
    lines = data.read_text().splitlines()
    data.write_text("\n".join([f"id,{lines[0]}", *(f"s{i},{line}" for i, line in enumerate(lines[1:]))]))
    result = run("train", data, "--save", tmp_path / "m.safetensors", "--target", "kind", *QUICK)
    assert result.exit_code == 2
    assert "name it with --id id" in result.stderr
    report = train(data, tmp_path, "--target", "kind", "--id", "id", "--test-file", data)
    assert (report["n_features"], report["n_test"]) == (30, 60)
    result = run("predict", tmp_path / "m.safetensors", data, "--id", "id", "--target", "kind", "--out", tmp_path / "p.tsv")
    assert result.exit_code == 0, result.output
    rows = list(csv.DictReader((tmp_path / "p.tsv").read_text().splitlines(), delimiter="\t"))
    assert [row["sample"] for row in rows] == [f"s{i}" for i in range(60)]
    assert set(rows[0]) == {"sample", "prediction"}


def test_every_class_is_tested(tmp_path):
    """A class of three has a test sample, one of a single sample none, which the report says."""
    rng = np.random.default_rng(0)
    y = np.repeat(["a", "b", "c", "d"], [40, 30, 3, 1])
    np.savez(tmp_path / "a.npz", X=rng.normal(size=(74, 20)), y=y)
    report = train(tmp_path / "a.npz", tmp_path)
    supports = {row["class"]: row["support"] for row in report["test"]["classes"] if row["support"]}
    assert supports == {"a": 8, "b": 6, "c": 1}
    assert (report["n_test"], report["untested_classes"]) == (15, ["d"])
    result = run("train", tmp_path / "a.npz", "--save", tmp_path / "m.safetensors", "--test", 0.02, *QUICK)
    assert "without a test sample: " in result.stdout


@pytest.mark.parametrize(
    ("counts", "n_test", "quotas"),
    [
        ([50, 50], 20, [10, 10]),
        ([97, 3], 20, [19, 1]),
        ([2, 2, 2], 3, [1, 1, 1]),
        ([1, 9], 2, [0, 2]),
        ([80, 2, 2, 2], 9, [6, 1, 1, 1]),
        ([10, 2, 2], 9, [7, 1, 1]),
        ([5, 5, 5], 2, None),
        ([2, 2], 3, None),
    ],
)
def test_quotas(counts, n_test, quotas):
    """In proportion, within what each class can give; None where that is impossible."""
    from fcfast.splitting import quotas_of_classes

    found = quotas_of_classes(np.array(counts), n_test)
    assert (None if found is None else found.tolist()) == quotas


def test_model_and_data_exchanged(tmp_path):
    """It is asked whether they were."""
    data, _ = write("csv", tmp_path)
    result = run("predict", data, tmp_path / "m.safetensors")
    assert result.exit_code == 2
    assert "is not a fcfast model file" in result.stderr
    assert "were model and data exchanged?" in result.stderr


def test_narrow_svmlight_is_widened(tmp_path):
    """Lines that lack the last features are as wide as the model; features that it does not know are left out, and named."""
    data, _ = write("svm", tmp_path)
    train(data, tmp_path)
    (tmp_path / "narrow.svm").write_text("0 1:2.5\n1 0:1 3:0.5\n")
    assert run("predict", tmp_path / "m.safetensors", tmp_path / "narrow.svm").exit_code == 0
    predicted = run("predict", tmp_path / "m.safetensors", tmp_path / "narrow.svm").stdout
    (tmp_path / "wide.svm").write_text("0 1:2.5 99:1\n1 0:1 3:0.5 98:2\n")
    result = run("predict", tmp_path / "m.safetensors", tmp_path / "wide.svm")
    assert result.stdout == predicted
    assert "left out: '98', '99' (2)" in result.stderr
    (tmp_path / "bare.svm").write_text("1:2.5\n0:1 3:0.5\n")
    assert run("predict", tmp_path / "m.safetensors", tmp_path / "bare.svm").stdout == predicted
    (tmp_path / "from_1.svm").write_text("0 2:2.5 30:1\n")
    result = run("predict", tmp_path / "m.safetensors", tmp_path / "from_1.svm")
    assert result.exit_code == 2
    assert "it seems to count from 1" in result.stderr


def test_target_that_the_model_does_not_predict(tmp_path):
    """A file's own target of another kind is passed over with a note; one that was asked for is an error."""
    data, _ = write("npz", tmp_path)
    train(data, tmp_path)
    np.savez(tmp_path / "n.npz", X=animals()[0], y=animals()[1])
    result = run("predict", tmp_path / "m.safetensors", tmp_path / "n.npz")
    assert result.exit_code == 0
    assert "not scored" in result.stderr
    result = run("predict", tmp_path / "m.safetensors", tmp_path / "n.npz", "--target", "y")
    assert result.exit_code == 2
    assert "is not of the kind that is predicted (text)" in result.stderr
    result = run("train", data, "--save", tmp_path / "m.safetensors", "--test-file", tmp_path / "n.npz")
    assert result.exit_code == 2
    assert "n.npz ('0', '1', '2') is not of the kind" in result.stderr


def test_headless_text(tmp_path):
    """The target by its index; the same columns without it are counted right."""
    X, codes = animals()
    np.savetxt(tmp_path / "a.csv", np.column_stack([X, codes]), delimiter=",")
    report = train(tmp_path / "a.csv", tmp_path, "--target", -1, "--no-header")
    assert report["n_features"] == 30
    result = run("predict", tmp_path / "m.safetensors", tmp_path / "a.csv", "--no-header")
    assert result.exit_code == 2
    assert "name it with --target" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--target", "knd"), "did you mean 'kind'"),
        ((), "'ape' is not a number; encode the column as numbers, leave it out, make it the target (--target kind)"),
        (("--target", "gene 0", "--task", "classification"), "'ape' is not a number"),
        (("--target", "kind", "--task", "regression"), "is text ('ape')"),
        (("--target", "kind", "--hidden", "8,x"), "not a list of widths"),
        (("--target", "kind", "--hidden", "0"), "--hidden"),
        (("--target", "kind", "--activation", "rely"), "--activation"),
        (("--target", "kind", "--optimizer", "sdg"), "--optimizer"),
        (("--target", "kind", "--schedule", "cos"), "--schedule"),
        (("--target", "kind", "--form", "front"), "--form"),
        (("--target", "kind", "--momentum", "1.5"), "momentum"),
        (("--target", "kind", "--learning-rate", "-1"), "learning_rate"),
        (("--target", "kind", "--learning-rate", "1e30", "--batch-size", 4), "lower --learning-rate"),
        (("--target", "kind", "--test", "0.99"), "none to train on"),
        (("--target", "kind", "--test", "0.2", "--test-file", "x.csv"), "--test and --test-file"),
        (("--target", "kind", "--test-target", "kind"), "without --test-file"),
        (("--target", "kind", "--test-file", "x.csv"), "does not exist"),
        (("--target", "kind", "--plot", "curve.jpg"), "must end in .png"),
        (("--target", "kind", "--plot", "missing/curve.png"), "create it first"),
        (("--target", "kind", "--form", "contributions", "--memory-limit", "1e-9"), "memory_limit"),
        (("--target", "kind", "--memory-limit", "inf"), "--memory-limit must be a finite number"),
    ],
)
def test_bad_arguments(tmp_path, monkeypatch, arguments, message):
    """One clear message, exit code 2, nothing written."""
    write("csv", tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    result = run("train", "animals.csv", "--save", "m.safetensors", *QUICK[2:], "--hidden", 8, *arguments)
    assert result.exit_code == 2, result.output
    assert message in result.stderr
    assert "Traceback" not in result.output
    assert result.stdout == ""
    assert [path.name for path in tmp_path.iterdir()] == ["animals.csv"]


@pytest.mark.parametrize(
    ("target", "share", "message"),
    [("gene 0", (), "X has values so large"), ("gene 1", ("--test", 0), "X has values so large")],
)
def test_values_too_large(tmp_path, target, share, message):
    """It is said which of features and target it is, whether they are to be scaled or not."""
    X, codes = animals()
    X[:, 0] *= 1e200
    data = write_csv(tmp_path / "huge.csv", X, codes)
    result = run("train", data, "--save", tmp_path / "m.safetensors", *QUICK, "--target", target)
    assert result.exit_code == 2
    expected = (
        "'gene 0' has values too large to be scaled"
        if target == "gene 0"
        else "X has values too large to be scaled in column 1"
    )
    assert expected in result.stderr
    result = run("train", data, "--save", tmp_path / "m.safetensors", *QUICK, "--target", "kind", "--no-standardize", *share)
    assert result.exit_code == 2
    assert message in result.stderr


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("options", [(), ("--no-standardize",)])
def test_arrays_that_are_not_read_before(tmp_path, dtype, value, options):
    """Training and predicting look at the values of a file that is mapped."""
    X, codes = animals()
    X = X.astype(dtype)
    np.save(tmp_path / "good.npy", X)
    X[7, 5] = value
    np.save(tmp_path / "bad.npy", X)
    np.save(tmp_path / "y.npy", codes)
    arguments = ("--target", tmp_path / "y.npy", "--save", tmp_path / "m.safetensors", *QUICK, "--epochs", 2, *options)
    result = run("train", tmp_path / "bad.npy", *arguments)
    assert result.exit_code == 2, result.output
    assert "infinity" in result.stderr or "NaN" in result.stderr
    assert run("train", tmp_path / "good.npy", *arguments).exit_code == 0
    result = run("predict", tmp_path / "m.safetensors", tmp_path / "bad.npy")
    assert result.exit_code == 2, result.output
    assert "infinity" in result.stderr or "NaN" in result.stderr


@pytest.mark.parametrize(("suffix", "looked_at"), [("npz", True), ("npy", False)])
def test_values_are_looked_at_once(tmp_path, monkeypatch, suffix, looked_at):
    """What was read is finite, and training need not look again; a file that is mapped has not been read yet."""
    from sklearn import get_config

    seen, fit = [], FrontClassifier.fit
    monkeypatch.setattr(FrontClassifier, "fit", lambda *a, **k: seen.append(get_config()["assume_finite"]) or fit(*a, **k))
    X, codes = animals()
    if suffix == "npz":
        np.savez(tmp_path / "x.npz", X=X.astype(np.float32), y=codes)
        target = ()
    else:
        np.save(tmp_path / "x.npy", X.astype(np.float32))
        np.save(tmp_path / "y.npy", codes)
        target = ("--target", tmp_path / "y.npy")
    train(tmp_path / f"x.{suffix}", tmp_path, *target, "--no-standardize", "--test", 0)
    assert seen == [looked_at]
    assert get_config()["assume_finite"] is False


def test_one_class(tmp_path):
    """Nothing to learn."""
    np.savez(tmp_path / "a.npz", X=animals()[0], y=np.ones(60, int))
    result = run("train", tmp_path / "a.npz", "--save", tmp_path / "m.safetensors")
    assert result.exit_code == 2
    assert "two classes" in result.stderr


def test_outputs_are_checked_before_training(tmp_path, monkeypatch):
    """A wrong name, a missing folder, a folder in the way, the data file itself: found out before anything is read."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder.safetensors").mkdir()
    for name, message in (
        ("m.pkl", "must end in .safetensors"),
        ("missing/m.safetensors", "create it first"),
        ("folder.safetensors", "there is a folder"),
    ):
        result = run("train", "no.csv", "--save", name)
        assert result.exit_code == 2
        assert message in result.stderr
    np.savez("a.npz", X=animals()[0], y=animals()[1])
    train(tmp_path / "a.npz", tmp_path)
    result = run("predict", "m.safetensors", "a.npz", "--out", "a.npz")
    assert "choose another name" in result.stderr
    assert run("predict", "m.safetensors", "a.npz", "--out", "missing/p.csv").exit_code == 2


def test_damaged_model_file(tmp_path):
    """A ModelFileError is one line."""
    (tmp_path / "m.safetensors").write_bytes(b"no model")
    np.save(tmp_path / "x.npy", np.ones((2, 3)))
    result = run("predict", tmp_path / "m.safetensors", tmp_path / "x.npy")
    assert result.exit_code == 2
    assert "cannot be loaded" in result.stderr
    assert "Traceback" not in result.output


def test_regressor_has_no_probabilities(tmp_path):
    """The message says so."""
    np.savez(tmp_path / "r.npz", X=animals()[0], y=np.linspace(0, 1, 60))
    train(tmp_path / "r.npz", tmp_path)
    result = run("predict", tmp_path / "m.safetensors", tmp_path / "r.npz", "--proba")
    assert result.exit_code == 2
    assert "--proba needs a classifier" in result.stderr


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
@pytest.mark.parametrize(("name", "returncode"), [("SIGINT", 130), ("SIGTERM", 143)])
def test_interrupt_writes_nothing(name, returncode, tmp_path):
    """Ctrl-C or kill in the middle of training; the estimator alone would survive Ctrl-C. One line, no file."""
    write("npz", tmp_path)
    code = (
        "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "import fcfast.cli, fcfast.commands.fitting as command\n"
        "number = command.number\n"
        "def first_epoch(loss):\n"  # the progress bar has just been told of an epoch
        "    print('training', flush=True); command.number = number; signal.pause()\n"
        "command.number = first_epoch\n"
        "sys.argv[1:] = ['train', 'animals.npz', '--save', 'm.safetensors', '--plot', 'c.png']; fcfast.cli.run()"
    )
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path, **pipes) as process:
        assert process.stdout.readline() == "training\n", process.stderr.read()
        process.send_signal(getattr(signal, name))
        output, errors = process.communicate(timeout=60)
    assert process.returncode == returncode, errors
    assert (output, "interrupted" in errors, "Traceback" in errors) == ("", True, False)
    assert [path.name for path in tmp_path.iterdir()] == ["animals.npz"]


def test_what_the_command_imports(tmp_path):
    """Neither the paper's part of the library nor packages that only other tasks need, from the start to the model file."""
    data = write_csv(tmp_path / "a.csv", animals()[0], KINDS[animals()[1]])
    command = ["train", data, "--target", "kind", "--save", tmp_path / "m.safetensors", *map(str, QUICK)]
    code = (
        "import sys, fcfast.cli\n"
        "try: fcfast.cli.run()\n"
        "finally: print(*sys.modules)"
    )  # fmt: skip
    result = subprocess.run([sys.executable, "-c", code, *command], capture_output=True, text=True, timeout=120, check=False)
    assert result.returncode == 0, result.stderr
    imported = set(result.stdout.splitlines()[-1].split())
    assert {"fcfast.estimators", "sklearn", "safetensors"} <= imported
    unneeded = {
        "pandas",
        "matplotlib",
        "torch",
        "pyarrow",
        "fcfast.paper",
        "fcfast.plots",
        "fcfast.comparison",
        "fcfast.convert",
    }
    # scikit-learn 1.7 imports pandas by itself where it is installed
    code = "import sys, sklearn.utils; print(*sys.modules)"
    alone = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not imported & unneeded - set(alone.stdout.split())
