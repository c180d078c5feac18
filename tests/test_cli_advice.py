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
