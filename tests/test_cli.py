"""The command line from a user's point of view."""

import io
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

pytest.importorskip("typer", reason="the command line needs fcfast[cli]")
pytest.importorskip("matplotlib", reason="pictures need fcfast[plots]")
from typer.testing import CliRunner

from fcfast import __version__, backend
from fcfast.commands import app
from fcfast.errors import INTERRUPTED


def run(*arguments):
    """Run the command in this process."""
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def reproduction(tmp_path_factory, brief_timing):
    """One run with few seeds."""
    folder = tmp_path_factory.mktemp("reproduction") / "out"
    return folder, run("reproduce", "--seeds", 10, "--out", folder)


def test_reproduce_writes_pictures_and_json(reproduction):
    """The folder holds the pictures and all numbers, nothing else."""
    folder, result = reproduction
    assert result.exit_code == 0, result.output
    expected = {"figure3.png", "reproduction.json"} | ({"width.png"} if backend.NAME == "compiled" else set())
    assert {path.name for path in folder.iterdir()} == expected
    assert (folder / "figure3.png").read_bytes().startswith(b"\x89PNG")
    content = json.loads((folder / "reproduction.json").read_text())
    assert len(content["seed_study"]) == 15
    assert {claim["id"] for claim in content["claims"]} >= {"eq. 4", "r5n", "conclusion vi"}


def test_reproduce_prints_tables(reproduction):
    """Every technique, every claim and the count of verdicts are on the screen."""
    _, result = reproduction
    for word in (
        "printed_form",
        "sum_difference_literal",
        "eq. 27",
        "conclusion iv",
        "36 claims:",
        "too few to judge",
        "diverged",
    ):
        assert word in result.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--seeds", 5), "--seeds"),
        (("--jobs", 0), "--jobs"),
        (("--seed", -1), "--seed"),
    ],
)
def test_bad_arguments(tmp_path, arguments, message):
    """One line that names the argument, exit code 2, no folder left behind."""
    result = run("reproduce", "--out", tmp_path / "out", *arguments)
    assert result.exit_code == 2
    assert message in result.output
    assert "Traceback" not in result.output
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((1000, 10**30), "n_features must be at most"),
        ((10**30, 10), "n_samples must be at most"),
        ((10, 10, "--memory-limit", "inf"), "--memory-limit must be a finite number"),
        ((10, 10, "--memory-limit", "1e308"), "--memory-limit must be a finite number"),
        ((10, 10, "--memory-limit", 0), "--memory-limit must be a finite number of GiB above 0"),
        ((10, 10, "--hidden", 10**30), "hidden must be at most"),
        ((10, 10, "--optimizer", "adam", "--density", 0.1), "leaves features without entries alone"),
    ],
)
def test_plan_of_what_cannot_be(arguments, message):
    """One line that names the argument, exit code 2."""
    result = run("plan", *arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert "Traceback" not in result.output
    assert run("plan", 10, 10).exit_code == 0


def test_plan_of_numbers_with_an_exponent():
    """1e5 is 100000; what is no whole number is refused with what to write."""
    assert (
        run("plan", "1e2", "1e5", "--json").stdout.split('"seconds')[0]
        == run("plan", 100, 10**5, "--json").stdout.split('"seconds')[0]
    )
    for text in ("1.5", "0", "nan", "inf", "x", "1e999999999"):
        result = run("plan", 10, text)
        assert result.exit_code == 2
        assert "not a whole number above 0" in " ".join(result.stderr.split())


def test_plan_has_the_defaults_of_train():
    """What is planned is what would be trained: batches, epochs, hidden units."""
    import inspect

    from fcfast.commands.plan import plan
    from fcfast.commands.train import train

    planned, trained = (inspect.signature(command).parameters for command in (plan, train))
    for name in ("hidden", "epochs", "batch_size", "memory_limit", "optimizer", "momentum"):
        assert planned[name].default == trained[name].default


def test_the_help_of_train_has_a_panel_for_each_question():
    """What is predicted, and what it is tested on, come before the formats of files and the settings of training."""
    lines = run("train", "--help").stdout.splitlines()
    panels = {line.strip("╭╮─ "): number for number, line in enumerate(lines) if line.startswith("╭")}
    names = ["Output", "Targets", "Test and validation", "Data", "File formats", "Texts", "Network", "Training"]
    assert [name for name in panels if name in names] == names

    def panel_of(option):
        place = next(number for number, line in enumerate(lines) if f" {option} " in line and line.startswith("│"))
        return max((start, name) for name, start in panels.items() if start < place)[1]

    for option in ("--target", "--time", "--event", "--loss", "--levels", "--delta"):
        assert panel_of(option) == "Targets"
    for option in ("--test", "--validation", "--early-stopping", "--scoring"):
        assert panel_of(option) == "Test and validation"
    assert panel_of("--delimiter") == "File formats"


def test_unwritable_folder(tmp_path):
    """Found out before the work begins."""
    (tmp_path / "file").write_text("")
    assert "choose another folder" in run("reproduce", "--out", tmp_path / "file").output
    assert "create it first" in run("reproduce", "--out", tmp_path / "missing" / "out").output


def test_version():
    """--version prints it."""
    assert __version__ in run("--version").output


def test_run_as_a_module():
    """Without the command on the path."""
    result = subprocess.run([sys.executable, "-m", "fcfast", "--version"], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout.strip()) == (0, __version__)


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
@pytest.mark.parametrize(("name", "returncode"), [("SIGINT", 130), ("SIGTERM", 143), ("SIGHUP", 129)])
def test_interrupt_leaves_nothing_half_written(name, returncode, tmp_path):
    """Ctrl-C, kill and a closed terminal: the exit code that shells give them, one line, no file."""
    handler = "default_int_handler" if name == "SIGINT" else "SIG_DFL"
    code = (
        f"import signal, sys; signal.signal(signal.{name}, signal.{handler}); import fcfast.cli; main = fcfast.cli.main"
        "; fcfast.cli.main = lambda: (print('ready', flush=True), main())"  # from now on signals are caught
        "; sys.argv[1:] = ['reproduce', '--seeds', '100000', '--out', 'out']; fcfast.cli.run()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], cwd=tmp_path, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "ready\n"
    time.sleep(0.5)
    process.send_signal(getattr(signal, name))
    _, errors = process.communicate(timeout=60)
    assert process.returncode == returncode, errors
    assert "interrupted" in errors
    assert "Traceback" not in errors
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("ending", "code"), [("cli.Ended(143)", 143), ("KeyboardInterrupt", 130)])
@pytest.mark.parametrize(
    "made", ["ImportError('initialization failed')", "RuntimeError('__set_name__') from error", "SystemExit(130) from error"]
)
def test_interrupt_during_an_import(ending, code, made):
    """Python makes an error of its own of whatever ends an import, which is an interruption all the same."""
    program = f"""
from fcfast import cli
def main():
    try:
        raise {ending}
    except BaseException as error:
        raise {made}
cli.main = main
cli.run()
"""
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (code, f"{INTERRUPTED}\n")


def test_missing_typer_says_what_to_install(tmp_path):
    """Without the extra the command is one clear line."""
    code = "import sys; sys.modules['typer'] = None; from fcfast.cli import main; main()"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert "pip install 'fcfast[cli]'" in result.stderr
    assert "Traceback" not in result.stderr


def test_tables_fit_eighty_columns():
    """The default terminal: no number of the seed study is cut short."""
    from rich.console import Console

    from fcfast.commands.reproduce import study_table
    from fcfast.paper.experiments import StudyResult
    from fcfast.paper.report import Report

    errors = np.array([4.4e-16, 5.8e-13, 249.0])
    studies = [StudyResult(errors, np.zeros(3, bool), "sum_difference_literal", "simultaneous", 1000)]
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(study_table(Report(10_000, 0, studies, [], None)))
    text = console.export_text()
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= 80
    assert all(word in text for word in ("sum_difference_literal", "5.8e-13", "equals BP"))
