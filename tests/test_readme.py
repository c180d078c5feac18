"""The code in the README runs and prints the stated output."""

import re
from pathlib import Path

README = Path(__file__).parent.parent / "README.md"


def test_python_examples_run(capsys):
    """Every Python block runs on its own, and every print gives what the comment beside it says."""
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) == 2
    for block in blocks:
        exec(compile(block, "README.md", "exec"), {})
        printed = capsys.readouterr().out.splitlines()
        promised = [line.split("#", 1)[1].strip() for line in block.splitlines() if line.startswith("print(")]
        assert len(printed) == len(promised) > 1
        for line, promise in zip(printed, promised, strict=True):
            assert promise.startswith(line), promise


def test_nothing_is_left_to_fill_in():
    """No placeholder such as SOME_TABLE remains."""
    prose = re.sub(r"```.*?```|`[^`]*`", "", README.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert re.findall(r"\b[A-Z]+_[A-Z_]+\b", prose) == []


def test_pictures_exist():
    """Every picture that the README shows is in the repository."""
    pictures = re.findall(r"!\[.*?\]\((.*?)\)", README.read_text(encoding="utf-8"))
    assert pictures
    assert all((README.parent / picture).is_file() for picture in pictures)
