"""``fcfast train --validation`` and ``--scoring``: a file, a share, or a column that marks the samples."""

import json

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("typer", reason="the command line needs fcfast[cli]")
pytest.importorskip("matplotlib", reason="pictures need fcfast[plots]")
from sklearn.datasets import dump_svmlight_file
from typer.testing import CliRunner

from fcfast import FrontClassifier, FrontRegressor, load
from fcfast.commands import app

SETTINGS = {"hidden_layer_sizes": (6,), "max_epochs": 12, "learning_rate": 0.01, "n_jobs": 1, "random_state": 0}
QUICK = ("--hidden", 6, "--epochs", 12, "--learning-rate", 0.01, "--jobs", 1)


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def train(data, folder, *arguments):
    result = run("train", data, "--save", folder / "m.safetensors", "--json", "--test", 0, *QUICK, *arguments)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout), load(folder / "m.safetensors")


def refused(*arguments):
    result = run("train", *arguments)
    assert result.exit_code == 2, result.output
    assert "Traceback" not in result.output
    return " ".join(result.stderr.split())


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A table with a target, marks and numbers; parts of it in files of their own; and svmlight."""
    folder = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 8)).round(4)
    kind = np.where(X[:, 0] + rng.normal(size=60) > 0, "yes", "no")
    table = pd.DataFrame(X, columns=[f"gene {j}" for j in range(8)])
    table.insert(0, "kind", kind)
    table.insert(3, "split", np.where(np.arange(60) % 4 == 0, "Validation", "train"))
    table.insert(5, "flag", (np.arange(60) % 4 == 0).astype(int))
    table["all"] = np.array(["train", "val", "test", "train"])[np.arange(60) % 4]
    table.to_csv(folder / "all.csv", index=False)
    table.to_parquet(folder / "all.parquet")
    plain = table.drop(columns=["split", "flag", "all"])
    plain[np.arange(60) % 4 != 0].to_csv(folder / "train.csv", index=False)
    plain[np.arange(60) % 4 == 0].iloc[:, ::-1].to_csv(folder / "val.csv", index=False)  # columns in another order
    plain.assign(kind=X[:, 1]).to_csv(folder / "numbers.csv", index=False)
    for name, rows in (("train", np.arange(60) % 4 != 0), ("val", np.arange(60) % 4 == 0)):
        dump_svmlight_file(np.where(X > 0, X, 0)[rows], kind[rows] == "yes", str(folder / f"{name}.svm"), zero_based=False)
    plain.to_csv(folder / "plain.csv", index=False)
    return folder


def test_files_and_columns_are_the_same(folder, tmp_path):
    """In text and Parquet, by words and by numbers; the report says what the estimator does."""
    options = ("--target", "kind", "--early-stopping", "--scoring", "roc_auc")
    by_file, model = train(folder / "train.csv", tmp_path, *options, "--validation", folder / "val.csv")
    table = pd.read_csv(folder / "plain.csv")
    X, y, rows = table.drop(columns="kind").to_numpy(), table["kind"].to_numpy(str), np.arange(60) % 4 == 0
    own = FrontClassifier(early_stopping=True, scoring="roc_auc", **SETTINGS).fit(
        X[~rows], y[~rows], X_val=X[rows], y_val=y[rows]
    )
    np.testing.assert_allclose(model.validation_scores_, own.validation_scores_, rtol=1e-6)
    report = by_file["validation"]
    assert report["n_samples"] == 15
    assert report["set"] == str(folder / "val.csv")
    assert (report["scoring"], report["kept"], report["best_epoch"]) == ("roc_auc", True, own.best_epoch_)
    assert report["best_score"] == max(model.validation_scores_)
    for data, column, others in (("all.csv", "split", ["flag", "all"]), ("all.parquet", "flag", ["split", "all"])):
        left = pd.read_csv(folder / "all.csv").drop(columns=others)
        path = tmp_path / data
        left.to_parquet(path) if path.suffix == ".parquet" else left.to_csv(path, index=False)
        by_column, same = train(path, tmp_path, *options, "--validation", column)
        assert by_column["n_features"] == 8
        assert column not in same.feature_names_in_
        np.testing.assert_allclose(same.validation_scores_, own.validation_scores_, rtol=1e-6)
        assert (by_column["n_train"], by_column["validation"]["n_samples"]) == (45, 15)


def marked(folder, kind):
    """A file of this kind with names of samples, targets and marks; and how it is read."""
    table = pd.read_csv(folder / "all.csv").drop(columns=["flag", "all"])
    table.insert(2, "name", [f"s{i}" for i in range(60)])
    genes, path = [name for name in table if name.startswith("gene")], folder / f"marked.{kind}"
    if kind == "csv":
        table.to_csv(path, index=False)
    elif kind == "parquet":
        table.set_index("name").to_parquet(path)
        return path, ()
    elif kind == "transposed.csv":
        table.set_index("name").T.to_csv(path)
        return path, ("--transpose",)
    elif kind == "npz":
        arrays = {name: table[name].to_numpy(str) for name in ("kind", "split", "name")}
        np.savez(path, X=table[genes].to_numpy(), feature_names=np.array(genes), **arrays)
    else:
        anndata = pytest.importorskip("anndata", reason="reading .h5ad needs fcfast[anndata]")
        cells = table.set_index(table["name"].to_numpy())[["kind", "split"]]
        anndata.AnnData(table[genes].to_numpy(), obs=cells, var=pd.DataFrame(index=genes)).write_h5ad(path)
        return path, ()
    return path, ("--id", "name")


@pytest.mark.parametrize("kind", ["csv", "parquet", "npz", "h5ad", "transposed.csv"])
def test_marks_beside_names_of_samples(folder, tmp_path, kind):
    """A column of marks takes nothing from the column of names, nor from an index, and is no feature."""
    path, options = marked(folder, kind)
    by_column, model = train(path, tmp_path, "--target", "kind", *options, "--validation", "split")
    assert (by_column["n_features"], by_column["n_train"], by_column["validation"]["n_samples"]) == (8, 45, 15)
    _, same = train(folder / "train.csv", tmp_path, "--target", "kind", "--validation", folder / "val.csv")
    np.testing.assert_allclose(model.validation_loss_curve_, same.validation_loss_curve_, rtol=1e-4)
    said = " ".join(
        run(
            "train", path, "--save", tmp_path / "m.safetensors", "--target", "kind", *options, "--validation", "split"
        ).stderr.split()
    )
    assert "; marks 'split'; " in said
    assert "no id" not in said


def test_marks_in_hdf5_and_without_names(folder, tmp_path):
    """As another dataset, and as the number of a column; formats without columns refuse them."""
    h5py = pytest.importorskip("h5py", reason="reading .h5 needs fcfast[hdf5]")
    table = pd.read_csv(folder / "all.csv")
    X = table[[f"gene {j}" for j in range(8)]].to_numpy()
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["X"], file["y"], file["flag"] = X, table["kind"].to_numpy("S"), table["flag"].to_numpy() == 1
    options = ("--dataset", "X", "--target", "y")
    report, _ = train(tmp_path / "a.h5", tmp_path, *options, "--validation", "flag")
    assert (report["n_train"], report["validation"]["n_samples"]) == (45, 15)
    save = ("--save", tmp_path / "m.safetensors")
    assert "no dataset 'none' that could be the marks" in refused(tmp_path / "a.h5", *save, *options, "--validation", "none")
    plain = table[["kind", "flag", *(f"gene {j}" for j in range(8))]]
    plain.to_csv(tmp_path / "a.csv", index=False, header=False)
    report, _ = train(tmp_path / "a.csv", tmp_path, "--target", 0, "--validation", 1)
    assert (report["n_features"], report["n_train"], report["validation"]["n_samples"]) == (8, 45, 15)
    assert "cannot hold marks of samples" in refused(folder / "val.svm", *save, "--validation", "split")


def test_a_column_may_mark_the_test_too(folder, tmp_path):
    """Otherwise test samples are drawn from those to train on."""
    left = pd.read_csv(folder / "all.csv").drop(columns=["split", "flag"])
    left.to_csv(tmp_path / "data.csv", index=False)
    options = ("--save", tmp_path / "m.safetensors", "--json", "--target", "kind", *QUICK)
    report = json.loads(run("train", tmp_path / "data.csv", *options, "--validation", "all").stdout)
    assert (report["n_train"], report["n_test"], report["validation"]["n_samples"]) == (30, 15, 15)
    assert report["test_set"] == "marked by the column"
    assert "leave one out" in refused(tmp_path / "data.csv", *options, "--validation", "all", "--test", 0.1)
    assert "leave one out" in refused(tmp_path / "data.csv", *options, "--validation", "all", "--test-file", folder / "val.csv")
    left["all"] = np.where(left["all"] == "test", "train", left["all"])
    left.to_csv(tmp_path / "data.csv", index=False)
    report = json.loads(run("train", tmp_path / "data.csv", *options, "--validation", "all").stdout)
    assert (report["n_train"], report["n_test"], report["validation"]["n_samples"]) == (36, 9, 15)


def test_a_share_without_early_stopping(folder, tmp_path):
    """All epochs are trained, the curve is drawn, and the summary says which epoch was best."""
    report, model = train(
        folder / "plain.csv", tmp_path, "--target", "kind", "--validation", 0.25, "--plot", tmp_path / "c.png"
    )
    assert (report["n_train"], report["validation"]["n_samples"]) == (45, 15)
    assert (report["n_epochs"], report["validation"]["kept"], report["validation"]["scoring"]) == (12, False, "accuracy")
    assert len(model.validation_loss_curve_) == 12
    assert (tmp_path / "c.png").exists()
    options = ("--target", "kind", "--validation", 0.25, "--test", 0, *QUICK)
    said = run("train", folder / "plain.csv", "--save", tmp_path / "m.safetensors", *options)
    best = report["validation"]["best_epoch"]
    assert f"at epoch {best} of 12, the last one has" in " ".join(said.stdout.split())
    held_out, _ = train(folder / "plain.csv", tmp_path, "--target", "kind", "--early-stopping")
    assert held_out["validation"]["set"] == "a tenth of the training samples"
    assert train(folder / "plain.csv", tmp_path, "--target", "kind")[0]["validation"] is None


def test_numbers(folder, tmp_path):
    """With their own score or another one, on standardised targets."""
    options = ("--target", "kind", "--validation", folder / "numbers.csv", "--scoring", "loss", "--early-stopping")
    report, model = train(folder / "numbers.csv", tmp_path, *options)
    table = pd.read_csv(folder / "numbers.csv")
    X, y = table.drop(columns="kind").to_numpy(), table["kind"].to_numpy()
    own = FrontRegressor(early_stopping=True, scoring="loss", **SETTINGS).fit(X, y, X_val=X, y_val=y)
    np.testing.assert_allclose(model.validation_loss_curve_, own.validation_loss_curve_, rtol=1e-5)
    assert report["validation"]["best_score"] == -min(model.validation_loss_curve_)


def test_texts_learn_no_words_of_validation_samples(tmp_path):
    """As they learn none of the test."""
    table = pd.DataFrame({
        "label": ["good", "bad"] * 15,
        "text": [f"{['fine', 'poor'][i % 2]} film only{i}" for i in range(30)],
        "part": np.where(np.arange(30) < 8, "dev", "train"),
    })  # fmt: skip
    table.to_csv(tmp_path / "t.csv", index=False)
    report, model = train(
        tmp_path / "t.csv", tmp_path, "--target", "label", "--text", "text", "--validation", "part", "--early-stopping"
    )
    only = {word for word in model.text_.feature_names if word.startswith("only")}
    assert only == {f"only{i}" for i in range(8, 30)}
    assert report["validation"]["n_samples"] == 8


def test_a_file_that_is_read_in_blocks(folder, tmp_path):
    """Its validation file is in memory."""
    options = ("--validation", folder / "val.svm", "--early-stopping", "--scoring", "neg_log_loss")
    in_blocks, model = train(folder / "train.svm", tmp_path, "--block-rows", 10, *options)
    assert in_blocks["validation"]["n_samples"] == 15
    assert in_blocks["validation"]["best_epoch"] == model.best_epoch_
    assert len(model.validation_scores_) == model.n_epochs_
    save = ("--save", tmp_path / "m.safetensors", *QUICK)
    for validation in ("0.2", "split"):
        assert "--validation needs a file there" in refused(
            folder / "train.svm", *save, "--block-rows", 10, "--validation", validation
        )
    assert "name a file with --validation" in refused(folder / "train.svm", *save, "--block-rows", 10, "--early-stopping")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--scoring", "roc_auc"], "add --validation or --early-stopping"),
        (["--validation", 0.2, "--scoring", "nonsense"], "--scoring nonsense is unknown"),
        (["--validation", "missing.csv"], "--validation missing.csv: there is no such file"),
        (["--validation", 1.5], "must be a share of the training samples between 0 and 1"),
        (["--validation", 0.999], "leaves none to train on"),
        (["--validation", "gene 0"], "but --validation knows train: train, training, 0"),
        (["--validation", "no such column"], "no such column"),
        (["--validation", "gene 0", "--id", "gene 0"], "marks the samples and names the samples too"),
        (["--validation", "kind"], "column 'kind' marks the samples and is a target too"),
    ],
)
def test_bad_options(folder, tmp_path, arguments, message):
    save = ("--save", tmp_path / "m.safetensors", "--target", "kind", "--test", 0, *QUICK)
    assert message in refused(folder / "plain.csv", *save, *arguments)
    assert not (tmp_path / "m.safetensors").exists()
