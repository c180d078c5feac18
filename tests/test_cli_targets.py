"""``fcfast train`` with losses and with several targets, and what ``predict`` and ``explain`` make of such model files."""

import io
import json

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("typer", reason="the command line needs fcfast[cli]")
from typer.testing import CliRunner

from fcfast import FrontClassifier, FrontRegressor, load
from fcfast.commands import app
from fcfast.losses import Huber, Quantile

GENES = [f"g{j}" for j in range(10)]
SETTINGS = {"hidden_layer_sizes": (6,), "max_epochs": 30, "n_jobs": 1, "random_state": 0}
QUICK = ("--hidden", 6, "--epochs", 30, "--jobs", 1)


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def train(data, folder, *arguments):
    """Train on all samples; give the report and the model, without its names of features, because X is an array here."""
    result = run("train", data, "--save", folder / "m.safetensors", "--json", "--test", 0, *QUICK, *arguments)
    assert result.exit_code == 0, result.output
    report, model = json.loads(result.stdout), load(folder / "m.safetensors")
    assert not any("feature names" in sentence for sentence in report["warnings"])
    del model.feature_names_in_
    return report, model


def predicted(folder, data, *arguments):
    """The table of predictions, without the names of samples, and what is said beside it."""
    result = run("predict", folder / "m.safetensors", data, *arguments)
    assert result.exit_code == 0, result.output
    table = pd.read_csv(io.StringIO(result.stdout))
    return table.drop(columns="sample"), " ".join(result.stderr.split())


def refused(*arguments):
    result = run(*arguments)
    assert result.exit_code == 2, result.output
    assert "Traceback" not in result.output
    return " ".join(result.stderr.replace("│", " ").split())


@pytest.fixture(scope="module")
def table():
    """Genes; numbers, counts and labels that follow from them, and the same with gaps."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 10)).round(4)
    signal = X[:, :3].sum(axis=1)
    targets = {
        "u": signal.round(3),
        "v": (10 * X[:, 3] + rng.standard_t(2, 60)).round(3),
        "n": rng.poisson(np.exp(signal / 2)),
        "m": rng.poisson(3, 60),
        "a": (signal > 0).astype(int),
        "b": (X[:, 1] > 0).astype(int),
    }
    gaps = {f"{name}?": np.where(rng.random(60) < 0.3, np.nan, values) for name, values in targets.items()}
    return pd.DataFrame(targets | gaps).join(pd.DataFrame(X, columns=GENES))


@pytest.fixture(scope="module")
def files(table, tmp_path_factory):
    """``files(names)``: a CSV file with these targets between the genes."""
    folder = tmp_path_factory.mktemp("targets")

    def write(names, **columns):
        path = folder / f"{'-'.join(names).replace('?', 'x')}{''.join(columns)}.csv"
        table.assign(**columns)[[*GENES[:4], *names, *columns, *GENES[4:]]].to_csv(path, index=False)
        return path

    return write


def asked(names):
    return [part for name in names for part in ("--target", name)]


# ----------------------------------------------------------------------------------------------------------------------
# losses


@pytest.mark.parametrize("names", [("u",), ("u", "v"), ("u?", "v?")])
@pytest.mark.parametrize(
    ("options", "loss"),
    [
        ((), "squared_error"),
        (("squared_error",), "squared_error"),
        (("poisson",), "poisson"),
        (("huber",), "huber"),
        (("huber", "--delta", 0.3), Huber(0.3)),
        (("quantile",), "quantile"),
        (("quantile", "--levels", "0.8"), Quantile(0.8)),
        (("quantile", "--levels", "0.5,0.9"), Quantile((0.5, 0.9))),
    ],
)
def test_every_loss(table, files, tmp_path, options, loss, names):
    """The model is that of the estimator, and its file predicts and scores as it does."""
    if loss == "poisson":
        names = tuple(name.replace("u", "n").replace("v", "m") for name in names)
    data = files(names)
    report, model = train(data, tmp_path, *asked(names), *(("--loss", *options) if options else ()))
    X, y = table[GENES].to_numpy(), table[list(names)].to_numpy(float)
    y = y if len(names) > 1 else y[:, 0]
    own = FrontRegressor(loss=loss, **SETTINGS).fit(X, y)
    expected = own.predict(X)
    np.testing.assert_allclose(model.predict(X), expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())
    assert report["task"] == "regression"
    assert report["loss_function"] == own.network_.loss.name
    assert model.network_.loss == own.network_.loss
    assert model.settings_["standardize_targets"] == own.settings_["standardize_targets"]
    columns, said = predicted(tmp_path, data, *asked(names))
    levels = [f"_{level}" for level in loss.levels] if isinstance(loss, Quantile) and loss.lists_predictions else [""]
    targets = [f"_{name}" for name in names] if len(names) > 1 else [""]
    assert list(columns) == [f"prediction{target}{level}" for target in targets for level in levels]
    np.testing.assert_allclose(columns.to_numpy().reshape(expected.shape), model.predict(X), rtol=1e-5, atol=1e-6)
    share = "R²" if own.network_.loss.share_name == "r2" else "D²"
    assert f"{share} {model.score(X, y):.3g}" in said or f"{share} {model.score(X, y):.1e}" in said


def test_the_report_of_quantiles_has_their_coverage(table, files, tmp_path):
    data = files(["v"])
    result = run(
        "train",
        data,
        "--target",
        "v",
        "--loss",
        "quantile",
        "--levels",
        "0.1,0.9",
        "--save",
        tmp_path / "m.safetensors",
        *QUICK,
    )
    assert "loss quantile" in result.stdout
    outputs = json.loads(run("predict", tmp_path / "m.safetensors", data, "--target", "v", "--json").stdout)["score"]["outputs"]
    columns, _ = predicted(tmp_path, data)
    for row, level in zip(outputs, (0.1, 0.9), strict=True):
        assert row["level"] == level
        assert row["coverage"] == pytest.approx(np.mean(table["v"] <= columns[f"prediction_{level}"]))


@pytest.mark.parametrize(
    ("names", "options", "message"),
    [
        ("u", "--levels 0.1,0.9", "--levels 0.1,0.9 belongs to --loss quantile"),
        ("u", "--loss huber --levels 0.5", "--levels 0.5 belongs to --loss quantile"),
        ("u", "--delta 1", "--delta 1.0 belongs to --loss huber"),
        ("u", "--loss quantile --delta 1", "--delta 1.0 belongs to --loss huber"),
        ("u", "--loss huber --delta 0", "--delta must be finite and > 0, got 0.0"),
        ("u", "--loss quantile --levels 0.9,0.1", "--levels must rise"),
        ("u", "--loss quantile --levels 0,1", "--levels must be"),
        ("u", "--loss quantile --levels 0.1;0.9", "--levels: '0.1;0.9' is not a list of levels; write 0.5"),
        ("u", "--loss nonsense", "--loss': 'nonsense' is unknown; use one of squared_error, poisson, huber, quantile"),
        ("u", "--loss poisson", "loss 'poisson' is for counts and rates, which are >= 0"),
        ("a", "--loss huber --task classification", "--loss huber is for regression; leave out --task classification"),
        ("u", "--loss huber --label-smoothing 0.1", "--label-smoothing 0.1 is for classes, but the task is regression"),
        ("word", "--loss huber", "the target is text ('x'), which a regression cannot predict"),
        ("word u", "", "column 'word', line 2: 'x' is not a number; each of several targets must be numbers"),
        ("u u", "", "column 'u' is asked for twice"),
        ("u none", "", "has no column 'none'"),
        ("u v", "--task classification", "--task classification needs one, or labels that are 0 and 1"),
        ("a b", "--target-type labels", "reads one target as names of classes, but 2 are asked for"),
        ("u?", "", "column 'u?' is empty, NaN or infinite"),
        ("a? b?", "--validation 0.3 --scoring roc_auc", "some targets of which are missing: no --scoring and --scoring loss"),
        ("u? v?", "--validation 0.3 --scoring neg_mean_absolute_error", "some targets of which are missing"),
    ],
)
def test_options_that_do_not_fit_together(files, tmp_path, names, options, message):
    names = names.split()
    data = files([name for name in dict.fromkeys(names) if name not in ("word", "none")], word=["x", "y"] * 30)
    features = () if "word" in names else ("--id", "word")
    save = ("--save", tmp_path / "m.safetensors")
    assert message in refused("train", data, *save, *asked(names), *features, *options.split(), *QUICK)
    assert not list(tmp_path.iterdir())


# ----------------------------------------------------------------------------------------------------------------------
# several labels


@pytest.mark.parametrize("gaps", [False, True])
@pytest.mark.parametrize("kind", ["numbers", "words"])
def test_several_labels(table, files, tmp_path, kind, gaps):
    """0 and 1, or False and True, with empty cells; probabilities, labels and scores of each."""
    names = ["a?", "b?"] if gaps else ["a", "b"]
    if kind == "words":
        words = {name: table[name].map({0: "False", 1: "TRUE"}) for name in names}
        data = files([], **{f"is {name}": cells for name, cells in words.items()})
        names, truth = [f"is {name}" for name in names], table[names].to_numpy()
    else:
        data, truth = files(names), table[names].to_numpy()
    report, model = train(data, tmp_path, *asked(names))
    X = table[GENES].to_numpy()
    own = FrontClassifier(**SETTINGS).fit(X, truth)
    expected = own.predict_proba(X)
    np.testing.assert_allclose(model.predict_proba(X), expected, atol=1e-4)
    assert report["task_reason"] == "the target has 2 columns of 0 and 1"
    columns, said = predicted(tmp_path, data, *asked(names), "--proba")
    assert list(columns) == [f"prediction_{name}" for name in names] + [f"P({name})" for name in names]
    np.testing.assert_allclose(columns.to_numpy()[:, 2:], expected, atol=1e-4)
    labels = columns.to_numpy()[:, :2]
    np.testing.assert_array_equal(labels, columns.to_numpy()[:, 2:] > 0.5)
    known = ~np.isnan(truth.astype(float))
    right = (labels == truth)[known].mean()
    assert f"accuracy of the labels {right:.3f}" in said
    assert predicted(tmp_path, data)[0].equals(columns.iloc[:, :2])


def test_targets_are_found_by_their_names(table, files, tmp_path):
    """Not by their order, in `predict`, in a test file and among refits; other names are taken as they are given."""
    names = ["u", "v"]
    data = files(names)
    train(data, tmp_path, *asked(names))
    scores = [
        json.loads(run("predict", tmp_path / "m.safetensors", data, *asked(order), "--json").stdout)["score"]
        for order in (names, names[::-1], [4, 5], [5, 4])  # positions in the file
    ]
    assert all(score == scores[0] for score in scores)
    assert [row["output"] for row in scores[0]["outputs"]] == names
    renamed = files([], first=table["u"], second=table["v"])
    other = json.loads(run("predict", tmp_path / "m.safetensors", renamed, *asked(["first", "second"]), "--json").stdout)
    assert other["score"] == scores[0]
    assert "is not of the kind that is predicted" in refused("predict", tmp_path / "m.safetensors", data, "--target", "u")
    tests = [
        run(
            "train", data, "--save", tmp_path / "other.safetensors", *QUICK, *asked(names), "--test-file", data, "--json",
            *(part for name in order for part in ("--test-target", name)),
        ).stdout
        for order in (names, names[::-1])
    ]  # fmt: skip
    assert json.loads(tests[0])["test"] == json.loads(tests[1])["test"]
    stable = [
        run("explain", tmp_path / "m.safetensors", data, "--output", "v", "--stability", 2, *asked(order), "--json").stdout
        for order in (names, names[::-1])
    ]
    assert stable[0] == stable[1]


def test_outputs_are_explained_by_name(files, tmp_path):
    """Targets, labels and levels; the table says which is which."""
    model = tmp_path / "m.safetensors"
    cases = [(["u", "v"], (), ["u", "v"]), (["a", "b"], (), ["a", "b"])]
    quantiles = ("--loss", "quantile", "--levels", "0.1,0.9")
    cases += [(["u"], quantiles, ["0.1", "0.9"]), (["u", "v"], quantiles, ["u_0.1", "u_0.9", "v_0.1", "v_0.9"])]
    for names, options, outputs in cases:
        data = files(names)
        train(data, tmp_path, *asked(names), *options)
        every = json.loads(run("explain", model, data, "--top", 2, "--json").stdout)["ranking"]
        assert every["output"] == [output for output in outputs for _ in range(2)]
        for j, output in enumerate(outputs):
            one = json.loads(run("explain", model, data, "--top", 2, "--json", "--output", output).stdout)["ranking"]
            assert one["name"] == every["name"][2 * j : 2 * j + 2]
            assert one["importance"] == pytest.approx(every["importance"][2 * j : 2 * j + 2], rel=1e-6)
        assert f"use one of {outputs[0]!r}" in refused("explain", model, data, "--output", "none")
        several = ("--stability", 2, *asked(names))
        assert "name it with --output" in refused("explain", model, data, *several)


def test_samples_in_files_of_several_kinds(table, files, tmp_path):
    """Names of features are compared once, wherever they are: there is no warning that one of two files has none."""
    anndata = pytest.importorskip("anndata", reason="reading .h5ad needs fcfast[anndata]")
    names = ["a?", "b?"]
    data, cells = files(names), tmp_path / "cells.h5ad"
    table.index = table.index.map(str)
    anndata.AnnData(table[GENES].to_numpy(), obs=table[names], var=pd.DataFrame(index=GENES)).write_h5ad(cells)
    table.index = table.index.map(int)
    np.savez(tmp_path / "a.npz", X=table[GENES].to_numpy(), y=table[names].to_numpy(), feature_names=np.array(GENES))
    scores = []
    for one, other in ((data, cells), (cells, data)):
        for more in ((), ("--early-stopping",)):
            train(one, tmp_path, *asked(names), "--validation", other, *more)
            for path in (data, cells):
                _, said = predicted(tmp_path, path, *asked(names))
                assert "feature names" not in said
                scores.append(said.partition("accuracy")[2])
    assert scores[0] == scores[1]
    train(tmp_path / "a.npz", tmp_path, "--validation", tmp_path / "a.npz")
    assert list(predicted(tmp_path, data)[0]) == ["prediction_0", "prediction_1"]


def test_cards_name_loss_and_targets(files, tmp_path):
    train(files(["n", "m"]), tmp_path, *asked(["n", "m"]), "--loss", "poisson")
    shown = json.loads(run("show", tmp_path / "m.safetensors", "--json").stdout)
    assert shown["data"]["target"] == ["n", "m"]
    assert shown["parameters"]["loss"] == "poisson"
