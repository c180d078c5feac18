"""What the command line says to newcomers: messages name the option, the column and the file that they are about."""

import json

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("typer", reason="the command line needs fcfast[cli]")
from typer.testing import CliRunner

from fcfast.commands import app

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
        assert "--id" in message and "2 times" in message and "'name'" in message and "'other'" in message, command
    assert "--id" in refused("predict", "m.safetensors", data, "--id", "name", "--id", "other")


def trained(folder, name, *arguments):
    model = folder / f"{name}.safetensors"
    result = run("train", folder / "all.csv", "--save", model, *QUICK, *arguments)
    assert result.exit_code == 0, result.output
    return model


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
    assert "--output" in refused(*asked, "height")
