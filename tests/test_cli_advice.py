"""What the command line says to newcomers: messages name the option, the column and the file that they are about."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("typer", reason="the command line needs fcfast[cli]")
from typer.testing import CliRunner

from fcfast.commands import app
from fcfast.commands.validation import PARTS

QUICK = ("--hidden", 4, "--epochs", 2, "--jobs", 1, "--test", 0)


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def said(text):
    """Text without the frame that it stands in."""
    return " ".join(text.replace("│", " ").split())


def refused(*arguments):
    result = run(*arguments)
    assert result.exit_code == 2, result.output
    assert "Traceback" not in result.output
    return said(result.stderr)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A table of genes, with names of samples, numbers, counts, times and events, and marks."""
    folder = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)
    table = pd.DataFrame(rng.normal(size=(24, 6)).round(3), columns=[f"g{j}" for j in range(6)])
    table["name"] = [f"s{i}" for i in range(24)]
    table["other"] = table["name"]
    table["weight"], table["height"], table["age"] = table["g0"] + 0.5, table["g1"] - 0.5, table["g2"] * 2
    table.to_csv(folder / "all.csv", index=False)
    return folder


def test_a_command_without_arguments():
    """It says what is missing."""
    for command in ("train", "compare", "plan", "predict", "explain", "show"):
        assert "Missing argument" in refused(command), command


def test_an_option_that_takes_one_column_is_given_twice(folder):
    """Both are named, whichever way they are written; a value that looks like the option is none."""
    data = folder / "all.csv"
    for command, more in (("train", ("--save", "m.safetensors")), ("plan", ()), ("compare", ())):
        message = refused(command, data, *more, "--target", "weight", "--id", "name", "--id=other")
        for part in ("--id", "2 times", "'name'", "'other'"):
            assert part in message, (command, part)
    assert "--id" in refused("predict", "m.safetensors", data, "--id", "name", "--id", "other")


def test_targets_of_other_names(folder):
    """Scoring with another column than the model predicts warns of it; one of two targets, or a feature, is refused."""
    data = folder / "all.csv"
    genes = [f"g{j}" for j in range(6)]
    few = pd.read_csv(data)[[*genes, "height", "weight"]]
    few.to_csv(folder / "few.csv", index=False)
    for target in ("weight", "-1"):  # an index stands for the name
        model = folder / "one.safetensors"
        assert run("train", folder / "few.csv", "--save", model, *QUICK, "--target", target).exit_code == 0
        for scored in ("weight", "-1"):
            assert "warning" not in run("predict", model, folder / "few.csv", "--target", scored).stderr
        few.rename(columns={"weight": "kg"}).to_csv(folder / "renamed.csv", index=False)
        warned = said(run("predict", model, folder / "renamed.csv", "--target", "kg").stderr)
        assert "warning: the model was trained to predict 'weight', but its predictions are scored with 'kg'" in warned
    assert "'g0' is a feature of the model" in refused("predict", model, data, "--target", "g0")
    assert "'g1' is a feature of the model" in refused("explain", model, data, "--id", "g1")
    both = folder / "both.safetensors"
    assert run("train", folder / "few.csv", "--save", both, *QUICK, "--target", "weight", "--target", "height").exit_code == 0
    message = refused("predict", both, data, "--target", "weight")
    assert "name all of 'weight', 'height', each with --target" in message


def test_an_output_of_one_target_is_named_by_the_target(folder):
    """With its level where there are several; the level alone will do."""
    data, ids = folder / "all.csv", ("--id", "name")
    short = pd.read_csv(data).drop(columns=["other"])
    short.to_csv(folder / "short.csv", index=False)
    model = folder / "levels.safetensors"
    levels = ("--loss", "quantile", "--levels", "0.1,0.9")
    assert run("train", folder / "short.csv", "--save", model, *QUICK, *ids, "--target", "weight", *levels).exit_code == 0
    asked = ("explain", model, folder / "short.csv", *ids, "--json", "--output")
    one, other, low = (json.loads(run(*asked, output).stdout)["ranking"] for output in ("weight_0.9", "0.9", "0.1"))
    assert one == other != low
    assert "'0.1', '0.9'" in refused(*asked, "weight_0.5")
    assert run("train", folder / "short.csv", "--save", model, *QUICK, *ids, "--target", "weight").exit_code == 0
    assert run(*asked, "weight").stdout == run(*asked, "0").stdout
    assert "--output height is unknown; use 'weight', or all" in refused(*asked, "height")


def test_errors_name_options_and_columns(folder):
    """In the place of arguments of Python."""
    genes = pd.read_csv(folder / "all.csv")[[f"g{j}" for j in range(6)]]
    visits = np.where(np.arange(24) == 3, 9, np.arange(24) % 4)
    marks = np.where(np.arange(24) % 8 == 3, "val", "train")
    genes.assign(visits=visits, part=marks).to_csv(folder / "visits.csv", index=False)
    genes.assign(less=visits - 1).to_csv(folder / "less.csv", index=False)
    genes.assign(days=np.arange(24) + 1, died=0).to_csv(folder / "none.csv", index=False)
    genes.assign(days=np.arange(24) + 1, died=1).to_csv(folder / "dead.csv", index=False)
    model = folder / "errors.safetensors"

    def fails(name, *arguments):
        return refused("train", folder / f"{name}.csv", "--save", model, *QUICK, *arguments)

    message = fails("visits", "--target", "visits", "--validation", "part")
    for part in ("--validation part", "'visits'", "'9'", "--task regression", "--loss poisson"):
        assert part in message, part
    assert "--test 0" not in message
    assert "the target 'less' has values down to -1" in fails("less", "--target", "less", "--loss", "poisson")
    times = ("--time", "days", "--event", "died")
    assert "the target 'days', 'died' has no events" in fails("none", *times)
    same = ("--target", "visits", "--task", "regression", "--validation", folder / "same.csv", "--early-stopping")
    genes.head(3).assign(visits=1).to_csv(folder / "same.csv", index=False)
    genes.assign(visits=visits).to_csv(folder / "visits.csv", index=False)
    assert "use --scoring loss" in fails("visits", *same)
    assert run("train", folder / "dead.csv", "--save", model, *QUICK, *times).exit_code == 0
    message = refused("predict", model, folder / "dead.csv", "--times", "5,500")
    assert "--times 5,500: 500 is not within 0 and 24" in message
    assert "--output weight is unknown" in refused("explain", model, folder / "dead.csv", "--output", "weight")


def test_the_words_that_mark_rows_are_listed():
    """All of them, in the help and in the documentation."""
    told = said(run("train", "--help").stdout)
    page = Path(__file__).parents[1] / "docs" / "validation.md"
    for word in PARTS:
        assert word in told, word
        assert f"`{word}`" in page.read_text(encoding="utf-8"), word
