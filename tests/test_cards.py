"""Model cards: what a training notes, what files hold, and what `fcfast show` prints."""

import json
import re

import numpy as np
import pytest
from scipy import sparse

import fcfast
from fcfast import FrontClassifier, FrontRegressor, Gram, NoPropClassifier
from fcfast.errors import ModelFileError
from fcfast.modelfile import ModelCard, card
from fcfast.modelfile.cards import plain, written
from fcfast.modelfile.format import write
from fcfast.optimizers import SGD, WarmUp
from fcfast.streams import Stream

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")  # few epochs on purpose

BRIEF = {"max_epochs": 4, "random_state": 0}
X, Y = np.random.default_rng(0).normal(size=(30, 40)), np.arange(30) % 3


def test_a_card_says_what_was_trained():
    """Samples, classes, layers, the settings with reasons, parameters that were given, the outcome, a score."""
    classifier = FrontClassifier((6, 4), "tanh", early_stopping=True, **BRIEF).fit(X, Y)
    held = classifier.card_
    assert list(held) == ["estimator", "fcfast", "trained", "data", "network", "settings", "parameters", "training", "scores"]
    assert (held["estimator"], held["fcfast"]) == ("FrontClassifier", fcfast.__version__)
    assert held["data"] == {
        "kind": "array", "dtype": "float64", "samples": 30, "features": 40, "held out": 3, "classes": [0, 1, 2],
    }  # fmt: skip
    assert held["network"] == {
        "layers": [40, 6, 4, 3], "activation": "tanh", "precision": "float32", "form": classifier.form_,
    }  # fmt: skip
    assert {name: entry["value"] for name, entry in held["settings"].items()} == plain(dict(classifier.settings_))
    assert held["settings"]["init"]["reason"] == classifier.settings_.reasons["init"]
    assert held["parameters"] == {"activation": "tanh", "early_stopping": True, "random_state": 0}
    kept = classifier.best_epoch_
    assert held["training"] == {
        "epochs": classifier.n_epochs_, "kept epoch": kept, "loss": classifier.loss_curve_[kept - 1],
        "outcome": classifier.outcome_.value,
    }  # fmt: skip
    assert held["scores"] == {"validation": {"accuracy": max(classifier.validation_scores_)}}
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", held["trained"])


def test_kinds_of_samples():
    """Sparse ones, sources, a Gram matrix with its kernel, streams, and portions, whose samples add up."""

    def data(estimator):
        return {name: estimator.card_["data"][name] for name in ("kind", "samples", "features")}

    regressor = FrontRegressor((4,), **BRIEF)
    assert data(regressor.fit(sparse.csr_array(X), X[:, :2])) == {"kind": "sparse csr", "samples": 30, "features": 40}
    assert regressor.card_["data"]["outputs"] == 2
    classifier = FrontClassifier((4,), **BRIEF)
    assert data(classifier.fit(fcfast.sources.ArraySource(X), Y)) == {"kind": "array", "samples": 30, "features": 40}
    assert data(classifier.fit(Gram(X, kernel="rbf"), Y)) == {"kind": "Gram matrix", "samples": 30, "features": 40}
    assert classifier.card_["network"]["kernel"] == "rbf"
    stream = Stream(lambda: iter([(X[:10], Y[:10]), (X[10:], Y[10:])]))
    assert data(classifier.fit(stream)) == {"kind": "stream", "samples": 30, "features": 40}
    portions = FrontClassifier((4,), random_state=0)
    for rows in (slice(0, 12), slice(12, 30)):
        portions.partial_fit(X[rows], Y[rows], classes=[0, 1, 2])
    assert data(portions) == {"kind": "array", "samples": 30, "features": 40}
    assert portions.card_["training"]["epochs"] == 2
    many = classifier.fit(np.eye(50), np.arange(50) % 25).card_["data"]
    assert (many["classes"], many["number of classes"]) == (list(range(20)), 25)


@pytest.mark.parametrize("kind", [FrontClassifier, FrontRegressor, NoPropClassifier])
def test_files_hold_the_card(kind, tmp_path):
    """It is read without the weights, loaded with them, and saved again to the same bytes."""
    path, again = tmp_path / "model.safetensors", tmp_path / "again.safetensors"
    estimator = kind(**BRIEF).fit(X, Y)
    estimator.save(path)
    assert dict(card(path)) == dict(estimator.card_)
    loaded = fcfast.load(path)
    assert loaded.card_["trained"] == estimator.card_["trained"]
    loaded.save(again)
    assert again.read_bytes() == path.read_bytes()


def test_the_time_is_that_of_the_training(tmp_path, monkeypatch):
    """Saving adds none; SOURCE_DATE_EPOCH gives another one, with which a training makes the same file again."""
    paths = [tmp_path / name for name in ("a", "b", "c")]
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "86400")
    for path in paths[:2]:
        FrontClassifier((4,), **BRIEF).fit(X, Y).save(path)
    assert paths[0].read_bytes() == paths[1].read_bytes()
    assert card(paths[0])["trained"] == "1970-01-02T00:00:00Z"
    for useless in ("soon", "1e99", "9" * 40):
        monkeypatch.setenv("SOURCE_DATE_EPOCH", useless)
        assert FrontClassifier((4,), **BRIEF).fit(X, Y).card_["trained"] > "2020"


def test_a_failed_fit_leaves_the_card():
    """As it leaves everything else."""
    classifier = FrontClassifier((4,), **BRIEF).fit(X, Y)
    before = classifier.card_
    with pytest.raises(ValueError, match="NaN"):
        classifier.fit(np.full_like(X, np.nan), Y)
    assert classifier.card_ is before


def test_values_become_plain(tmp_path):
    """Objects by class and settings, paths by name, numbers that JSON lacks as text; nothing has an address in memory."""
    assert plain(WarmUp(0.5)) == {"class": "WarmUp", "fraction": 0.5, "then": {"class": "Constant", "factor": 1.0}}
    assert plain(lambda X: X) == {"class": "function"}
    assert plain({"a": (np.float32(0.5), np.int8(3)), 1: np.array([True])}) == {"a": [0.5, 3], "1": [True]}
    assert plain([tmp_path / "data.csv", float("nan"), -np.inf]) == ["data.csv", "nan", "-inf"]
    kernel = FrontClassifier((4,), kernel=lambda A, B: A @ B.T, standardize=False, **BRIEF).fit(X, Y)
    assert kernel.card_["parameters"]["kernel"] == {"class": "function"}
    optimizer = FrontClassifier((4,), optimizer=SGD(momentum=0.5), learning_rate=0.1, **BRIEF).fit(X, Y)
    assert optimizer.card_["settings"]["optimizer"]["value"]["momentum"] == 0.5
    json.dumps([dict(kernel.card_), dict(optimizer.card_)], allow_nan=False)


def test_the_text_of_a_card():
    """Sections with a line for each entry; what a terminal would obey is written out."""
    held = ModelCard({"estimator": "A", "fcfast": "1", "data": {"file": "a\x1b[2J\nb", "samples": 12345}})
    assert str(held).splitlines() == ["A", "  fcfast   1", "", "data", "  file     a\\x1b[2J\\nb", "  samples  12,345"]
    assert written([[0.123456, None], True, "b"]) == "(0.1235, none), yes, b"
    assert written({"value": "scaled", "reason": "few"}) == "scaled (few)"
    assert written(list(range(30))).endswith("18, 19 ...")
    more = held.including(data={"target": "y"}, scores={"test": {"accuracy": 0.5, "on": "b.csv"}})
    assert more["data"] == {"file": "a\x1b[2J\nb", "samples": 12345, "target": "y"}
    assert str(more).splitlines()[-1] == "  test     accuracy 0.5, on b.csv"
    assert "scores" not in held


def test_hostile_cards(tmp_path):
    """What is no card is refused with the file's name; depth and kind are limited."""
    classifier = FrontClassifier((4,), **BRIEF).fit(X, Y)
    nested = []
    for _ in range(50):
        nested = [nested]
    for bad, message in (({"a": nested}, "nested too deeply"), ([1], "not an object")):
        header, tensors = classifier._to_file(True, False)
        object.__setattr__(header, "card", bad)
        write(tmp_path / "bad", header, tensors)
        for read in (card, fcfast.load):
            with pytest.raises(ModelFileError, match=f"bad cannot be loaded.*{message}"):
                read(tmp_path / "bad")
    (tmp_path / "text").write_text("no model")
    with pytest.raises(ModelFileError, match="not a fcfast model file"):
        card(tmp_path / "text")
    with pytest.raises(FileNotFoundError, match="does not exist"):
        card(tmp_path / "absent")


# ----------------------------------------------------------------------------------------------------------------------
# the command line


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A table in a folder with a telling name, and a model that was trained and tested on it."""
    pytest.importorskip("typer", reason="the command line needs fcfast[cli]")
    folder = tmp_path_factory.mktemp("secret")
    rows = [",".join(map(str, [*row.round(3), label])) for row, label in zip(X, np.array(["u", "v", "w"])[Y], strict=True)]
    header = ",".join([*(f"x{i}" for i in range(40)), "kind"])
    (folder / "table.csv").write_text("\n".join([header, *rows, ""]))
    arguments = ["train", folder / "table.csv", "--target", "kind", "--save", folder / "m.safetensors", "--epochs", 3]
    result = command(*arguments)
    assert result.exit_code == 0, result.output
    return folder


def command(*arguments):
    """Run the command in this process."""
    from typer.testing import CliRunner

    from fcfast.commands import app

    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_train_completes_the_card(trained):
    """The file by its name alone, the target, the score on held-out samples; no path, no sample."""
    held = card(trained / "m.safetensors")
    assert held["data"]["file"] == "table.csv"
    assert (held["data"]["target"], held["data"]["classes"], held["data"]["samples"]) == ("kind", ["u", "v", "w"], 24)
    test = held["scores"]["test"]
    assert set(test) == {"accuracy", "balanced_accuracy", "samples", "on"}
    assert (test["samples"], test["on"]) == (6, "samples drawn at random, each class in proportion")
    text = json.dumps(dict(held))
    assert "secret" not in text
    assert "/" not in held["data"]["file"]
    assert not any(f"{number:.3f}" in text for number in X[:, 0])


def test_a_test_file_is_named_without_its_folder(trained):
    """Also in the report of the score, here of a regression."""
    table, model = trained / "numbers.csv", trained / "numbers.safetensors"
    np.savetxt(table, X[:, :5], delimiter=",", header="a,b,c,d,e", comments="")
    result = command("train", table, "--target", "e", "--test-file", table, "--save", model, "--epochs", 2)
    assert result.exit_code == 0, result.output
    scores = card(model)["scores"]["test"]
    assert set(scores) == {"r2", "rmse", "mae", "samples", "on"}
    assert scores["on"] == "numbers.csv"


def test_show(trained):
    """Plain text in a pipe, JSON, tables on a terminal."""
    path = trained / "m.safetensors"
    plain_text, as_json = command("show", path), command("show", path, "--json")
    assert plain_text.stdout == f"m.safetensors: {card(path)}\n"
    assert json.loads(as_json.stdout) == {"file": "m.safetensors", **card(path)}
    from fcfast.commands.show import tables

    assert [table.title for table in tables(card(path), path.name)][:2] == ["m.safetensors: FrontClassifier", "data"]


def test_show_does_not_read_weights(trained):
    """Nor import scikit-learn."""
    damaged = bytearray((trained / "m.safetensors").read_bytes())
    damaged[-100:] = bytes(100)
    (trained / "damaged").write_bytes(damaged)
    assert command("show", trained / "damaged").exit_code == 0


@pytest.mark.parametrize("model", ["table.csv", "absent.safetensors"])
def test_show_of_what_is_no_model(trained, model):
    """One line, exit code 2."""
    result = command("show", trained / model)
    assert result.exit_code == 2
    assert model in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_export(trained):
    """A model file becomes an ONNX model."""
    pytest.importorskip("onnx")
    out = trained / "m.onnx"
    result = command("export", trained / "m.safetensors", out, "--input-dtype", "float64")
    assert result.exit_code == 0, result.output
    assert "X (float64, N x 40) to label and probabilities, opset 15" in result.stdout
    assert out.stat().st_size > 40 * 64 * 4
    report = json.loads(command("export", trained / "m.safetensors", out, "--json").stdout)
    assert (report["outputs"], report["input_dtype"]) == (["label", "probabilities"], "float32")
    for arguments, message in [((trained / "m.bin",), "must end in .onnx"), ((out, "--memory-limit", "1e-6"), "memory_limit")]:
        refused = command("export", trained / "m.safetensors", *arguments)
        assert (refused.exit_code, message in refused.stderr) == (2, True), refused.output
