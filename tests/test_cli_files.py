"""``fcfast train`` and ``predict`` on files from practice; the model decides how the next file is read."""

import csv
import io
import json
import os
import subprocess
import sys
import warnings

import numpy as np
import pytest

pytest.importorskip("typer", reason="the command line needs fcfast[cli]")
from typer.testing import CliRunner

from fcfast import FrontClassifier, load
from fcfast.commands import app

QUICK = ("--hidden", 8, "--epochs", 5, "--jobs", 1)
RNG = np.random.default_rng(0)
CODES = np.arange(40) % 2
X = RNG.normal(size=(40, 6)).round(3)
X[:, :3] += 2 * CODES[:, None]
GENES = [f"g{j}" for j in range(6)]


def run(*arguments, content=None):
    """Run the command in this process."""
    return CliRunner().invoke(app, [str(argument) for argument in arguments], input=content)


def write(path, names, rows):
    """Write CSV."""
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([names, *rows])
    return path


def labelled(path, labels, names=GENES):
    """Write the samples, each with a class that goes through `labels`."""
    return write(path, [*names, "dx"], [[*row, labels[i % len(labels)]] for i, row in enumerate(X.tolist())])


def trained(folder, data, *arguments):
    """Train; give the model file and what was said."""
    model = folder / "m.safetensors"
    result = run("train", data, "--save", model, "--target", "dx", *QUICK, *arguments)
    assert result.exit_code == 0, result.output
    return model, result


def test_one_line_of_what_was_taken(tmp_path):
    """Every command that reads data says it, on stderr; --json changes nothing."""
    write(tmp_path / "a.csv", ["id", *GENES, "dx"], [[f"s{i}", *row, "ab"[i % 2]] for i, row in enumerate(X.tolist())])
    said = "a.csv: 40 samples; names in line 1; id 'id'; target 'dx' (text); features 'g0', 'g1', 'g2' ... (6)\n"
    model, result = trained(tmp_path, tmp_path / "a.csv", "--id", "id")
    assert said in result.stderr
    result = run("predict", model, tmp_path / "a.csv", "--id", "id", "--target", "dx", "--json")
    assert said in result.stderr
    json.loads(result.stdout)
    options = ("--rules", "frozen", "--only", "--target", "dx", "--id", "id", "--epochs", 1, "--seeds", 1, "--tune", 1)
    result = run("compare", tmp_path / "a.csv", *options, "--hidden", "4")
    assert result.exit_code == 0, result.output
    assert said in result.stderr
    result = run("predict", model, tmp_path / "a.csv")
    assert "a.csv: 40 samples; names in line 1; no id; no target; " in result.stderr
    assert "left out: 'id', 'dx' (2)" in result.stderr


def test_no_class_to_learn(tmp_path):
    """Two samples, one of them held out: refused; classes that only the test part has are named."""
    data = write(tmp_path / "a.csv", [*GENES, "dx"], [[*X[0], "u"], [*X[1], "v"]])
    result = run("train", data, "--save", tmp_path / "m.safetensors", "--target", "dx", *QUICK)
    assert result.exit_code == 2
    assert "the training part (1 of 2 samples) has a single class" in result.stderr
    assert run("train", data, "--save", tmp_path / "m.safetensors", "--target", "dx", *QUICK, "--test", 0).exit_code == 0
    np.savez(tmp_path / "a.npz", X=X, y=np.array(["u", "v"] * 19 + ["w", "v"]), n_train=38)
    result = run("train", tmp_path / "a.npz", "--save", tmp_path / "m.safetensors", *QUICK)
    assert result.exit_code == 0, result.output
    assert "warning: no training sample of 'w'; use more samples" in result.stderr


def test_files_that_are_not_there(tmp_path):
    """A model is missed as data is; no number of an error."""
    data = labelled(tmp_path / "a.csv", ["u", "v"])
    result = run("predict", tmp_path / "no.safetensors", data)
    assert result.exit_code == 2
    assert f"fcfast: model file {tmp_path / 'no.safetensors'} does not exist; check the path" in result.stderr
    model, _ = trained(tmp_path, data)
    with pytest.raises(FileNotFoundError, match=r"^model file .* is a folder; give the path of a file$"):
        load(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"^cannot write .*: the folder .*none does not exist; create it first$"):
        load(model).save(tmp_path / "none" / "m.safetensors")


@pytest.mark.parametrize("index", [False, True])
def test_numeric_names_for_a_model_without_names(tmp_path, index):
    """The 0, 1, 2 that pandas writes is never predicted as a sample."""
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(X)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of few epochs
        FrontClassifier((8,), max_epochs=5, random_state=0).fit(frame, CODES).save(tmp_path / "m.safetensors")
    frame.to_csv(tmp_path / "new.csv", index=index)
    result = run("predict", tmp_path / "m.safetensors", tmp_path / "new.csv", *(["--id", ""] if index else []))
    assert result.exit_code == 0, result.output
    assert len(result.stdout.splitlines()) == 41
    if index:
        assert (
            "--id '' for the one without" in run("predict", tmp_path / "m.safetensors", tmp_path / "new.csv", "--id", 0).stderr
        )
        assert "id column 0; no target; features '0', '1'" in result.stderr


def test_numeric_names_of_the_model(tmp_path):
    """Few ids of genes, which alone would be asked about, are names where the model has them."""
    names = ["7157", "672", "675", "1956", "3845", "5290"]
    model, _ = trained(tmp_path, labelled(tmp_path / "a.csv", ["u", "v"], names))
    write(tmp_path / "new.csv", names[::-1], X[:, ::-1].tolist())
    expected = run("predict", model, tmp_path / "a.csv").stdout
    assert run("predict", model, tmp_path / "new.csv").stdout == expected
    write(tmp_path / "less.csv", names[1:], X[:, 1:].tolist())
    result = run("predict", model, tmp_path / "less.csv")
    assert result.exit_code == 2
    assert "lacks 1 of the 6 features that are needed: '7157'" in result.stderr


@pytest.mark.parametrize("form", ["index", "comma", "columns"])
def test_columns_without_a_name_are_left_out(tmp_path, form):
    """As the help of predict says: the index of pandas, the empty column of Excel, others."""
    model, _ = trained(tmp_path, labelled(tmp_path / "a.csv", ["u", "v"]))
    expected = run("predict", model, tmp_path / "a.csv").stdout
    rows = X.tolist()
    if form == "index":
        write(tmp_path / "b.csv", ["", *GENES], [[i, *row] for i, row in enumerate(rows)])
    elif form == "comma":
        write(tmp_path / "b.csv", [*GENES, ""], [[*row, ""] for row in rows])
    else:
        write(tmp_path / "b.csv", ["", *GENES, "", ""], [["p q", *row, "", "x"] for row in rows])
    result = run("predict", model, tmp_path / "b.csv")
    assert (result.exit_code, result.stdout) == (0, expected), result.stderr


@pytest.mark.parametrize(
    ("classes", "n_shown", "other"),
    [
        (["1", "2", "3a"], 2, ["1", "2"]),
        (["01", "02", "x"], 2, ["01", "02"]),
        (["1", "2", "3"], 3, ["1.0", "2.0", "3.0"]),
        (["True", "False"], 2, ["TRUE", "FALSE"]),
        (["True", "False"], 2, ["true", "false"]),
    ],
)
def test_the_models_classes_decide(tmp_path, classes, n_shown, other):
    """A test file without the class that is text, or with another writing of the same classes, is comparable."""
    data = labelled(tmp_path / "a.csv", classes)
    rows = [[*row, classes[i % len(classes)]] for i, row in enumerate(X.tolist())]
    respelt = dict(zip(classes, other, strict=False))
    test = write(tmp_path / "b.csv", [*GENES, "dx"], [[*row[:-1], respelt[row[-1]]] for row in rows if row[-1] in respelt])
    model, result = trained(tmp_path, data, "--test-file", test, "--json")
    report = json.loads(result.stdout)["test"]
    assert sum(row["support"] > 0 for row in report["classes"]) == n_shown
    result = run("predict", model, test, "--target", "dx", "--json")
    assert result.exit_code == 0, result.output
    predicted = json.loads(result.stdout)
    assert sum(row["support"] > 0 for row in predicted["score"]["classes"]) == n_shown
    again = run("predict", model, data, "--json")
    assert set(map(str, json.loads(again.stdout)["predictions"]["prediction"])) <= set(classes)


def test_labels_of_arrays_for_classes_of_text(tmp_path):
    """Whole numbers in an archive are the classes of that name."""
    model, _ = trained(tmp_path, labelled(tmp_path / "a.csv", ["1", "2", "3a"]))
    np.savez(tmp_path / "b.npz", X=X, y=CODES + 1)
    result = run("predict", model, tmp_path / "b.npz")
    assert "accuracy" in result.stderr


def test_target_type(tmp_path):
    """Numbers that are names, and truth values that are numbers, as asked."""
    data = labelled(tmp_path / "a.csv", ["1", "2"])
    _, result = trained(tmp_path, data, "--target-type", "labels", "--json")
    assert [row["class"] for row in json.loads(result.stdout)["test"]["classes"]] == ["1", "2"]
    data = labelled(tmp_path / "b.csv", ["TRUE", "FALSE"])
    refused = run("train", data, "--save", tmp_path / "n.safetensors", "--target", "dx", "--task", "regression", *QUICK)
    assert "truth values are numbers with --target-type numbers" in refused.stderr
    _, result = trained(tmp_path, data, "--target-type", "numbers", "--task", "regression", "--json")
    assert json.loads(result.stdout)["task"] == "regression"


def test_classes_that_would_be_merged(tmp_path):
    """Three names stay three classes."""
    for names in (["1E2", "100", "3"], ["01", "1", "3"]):
        _, result = trained(tmp_path, labelled(tmp_path / "a.csv", names), "--json")
        assert {row["class"] for row in json.loads(result.stdout)["test"]["classes"]} == set(names)


def test_class_called_NA(tmp_path):
    """The option is named, and works at prediction too."""
    data = labelled(tmp_path / "a.csv", ["EU", "NA"])
    result = run("train", data, "--save", tmp_path / "m.safetensors", "--target", "dx", *QUICK)
    assert result.exit_code == 2
    assert "if 'NA' is a class and not a missing value, use --missing ''" in result.stderr
    model, _ = trained(tmp_path, data, "--missing", "")
    result = run("predict", model, data, "--target", "dx", "--missing", "", "--json")
    assert {row["class"] for row in json.loads(result.stdout)["score"]["classes"]} == {"EU", "NA"}


def test_transposed_and_from_standard_input(tmp_path):
    """Genes in lines, a line of classes, through a pipe."""
    stream = io.StringIO()
    rows = [["dx", *np.where(CODES, "u", "v")], *([gene, *column] for gene, column in zip(GENES, X.T.tolist(), strict=True))]
    csv.writer(stream).writerows([["gene", *(f"s{i}" for i in range(40))], *rows])
    text = stream.getvalue()
    model = tmp_path / "m.safetensors"
    result = run("train", "-", "--transpose", "--save", model, "--target", "dx", *QUICK, content=text)
    assert result.exit_code == 0, result.output
    assert "standard input" not in result.stdout
    result = run("predict", model, "-", "--transpose", content=text)
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert (len(lines), lines[1][:3]) == (41, "s0,")
    plain = labelled(tmp_path / "a.csv", np.where(CODES, "u", "v"))
    assert [line.split(",")[1] for line in lines] == [
        line.split(",")[1] for line in run("predict", model, plain).stdout.splitlines()
    ]


def test_decimal_commas(tmp_path):
    """What the message says to type works."""
    data = labelled(tmp_path / "a.csv", ["u", "v"])
    text = data.read_text().replace(",", ";").replace(".", ",")
    data.write_text(text)
    result = run("train", data, "--save", tmp_path / "m.safetensors", "--target", "dx", *QUICK)
    assert "use --decimal ," in result.stderr
    model, _ = trained(tmp_path, data, "--decimal", ",")
    assert run("predict", model, data, "--decimal", ",").exit_code == 0


@pytest.mark.parametrize("encoding", ["ascii", "gbk"])
def test_any_encoding_of_the_terminal(tmp_path, encoding):
    """Greek classes, R squared, names of files: replaced where they cannot be written, in a pipe as well."""
    data = labelled(tmp_path / "\u03b1.csv", ["wt", "TNF\u03b1+"])
    environment = dict(os.environ, PYTHONIOENCODING=encoding, PYTHONUTF8="0")
    quick = list(map(str, QUICK))
    commands = [
        ["train", str(data), "--target", "dx", "--save", "m.safetensors", *quick],
        ["train", str(data), "--target", "g0", "--id", "dx", "--save", "r.safetensors", *quick],
        ["predict", "m.safetensors", str(data), "--out", "p.csv"],
        ["predict", "m.safetensors", str(data)],
    ]
    code = f"""
import os, sys
import fcfast.cli
for arguments in {commands!a}:
    print("====", end="", flush=True)
    sys.argv[1:] = arguments
    try:
        fcfast.cli.run()
    except SystemExit as end:
        if end.code:
            os._exit(end.code)
    sys.stdout.flush()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, env=environment, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr
    _, _, report, _, predicted = done.stdout.split(b"====")
    assert "R2 " in report.decode(encoding)
    predicted = predicted.decode()  # data is UTF-8, and nothing in it is escaped
    assert {line.split(",")[1] for line in predicted.splitlines()[1:]} == {"wt", "TNF\u03b1+"}
    assert (tmp_path / "p.csv").read_text(encoding="utf-8") == predicted
