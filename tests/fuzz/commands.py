"""Cases of the command line, called from Python."""

import tempfile
from pathlib import Path

from hypothesis import strategies as st

from .law import BrokenLaw, obey
from .models import models
from .tables import any_table, tables
from .values import Draw, chance, mutated


def command(data: Draw) -> None:
    """Commands on files of all kinds: they end with exit code 0, or 2 and one line."""
    from typer.testing import CliRunner

    from fcfast.commands import app

    with tempfile.TemporaryDirectory() as folder:
        ending = data.draw(st.sampled_from(sorted(tables())))
        content = data.draw(st.sampled_from(tables()[ending]))
        if chance(data, 2):
            ending, content = any_table(data)
        path, model, out = Path(folder, f"table{ending}"), Path(folder, "model.safetensors"), Path(folder, "out.csv")
        path.write_bytes(content)
        stored = data.draw(st.sampled_from(models()))[0]
        model.write_bytes(stored if chance(data, 2) else mutated(data, stored))
        which = data.draw(st.sampled_from(("predict", "predict", "plan", "train")))
        if which == "predict":
            arguments = ["predict", str(model), str(path)]
            options = [
                ["--proba"],
                ["--target", "y"],
                ["--id", "id"],
                ["--json"],
                ["--out", str(out)],
                ["--no-header"],
                ["--header"],
            ]
        elif which == "plan":
            arguments = [
                "plan",
                *(str(data.draw(st.sampled_from(("1", "0", "-3", "100", "1e9", "10" * 20, "x")))) for _ in range(2)),
            ]
            options = [
                ["--hidden", data.draw(st.sampled_from(("1", "256,128", "", "x", "0")))],
                ["--json"],
                ["--momentum", "2"],
                ["--memory-limit", "nan"],
                ["--epochs", "0"],
            ]
        else:
            arguments = [
                "train",
                str(path),
                "--save",
                str(Path(folder, "new.safetensors")),
                "--epochs",
                "2",
                "--hidden",
                "3",
                "--jobs",
                "1",
            ]
            options = [
                ["--target", data.draw(st.sampled_from(("y", "a", "0", "-1", "nothing")))],
                ["--test", "0.5"],
                ["--task", "regression"],
                ["--id", "id"],
                ["--json"],
                ["--early-stopping"],
                ["--learning-rate", "1e300"],
                ["--batch-size", "1"],
                ["--hidden", "x"],
                ["--nothing"],
            ]
        for option in data.draw(st.lists(st.sampled_from(options), max_size=3)):
            arguments += option
        result = obey(lambda: CliRunner().invoke(app, arguments))
    ended = isinstance(result.exception, SystemExit) or result.exception is None
    if not ended or result.exit_code not in (0, 1, 2):
        raise BrokenLaw(f"fcfast {' '.join(arguments)}: {result.exception!r}") from result.exception
    if result.exit_code and not result.output.strip():
        raise BrokenLaw(f"fcfast {' '.join(arguments)}: exit code {result.exit_code} without a word")


CASES = {"commands.run": (command, 2)}
