"""The README's code runs and shows what it says."""

import re
from pathlib import Path

README = Path(__file__).parent.parent / "README.md"


def test_python_examples_run(capsys):
    """Every Python block runs on its own; the first one's differences are rounding."""
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    assert blocks
    for block in blocks:
        exec(compile(block, "README.md", "exec"), {})
    printed = [float(line) for line in capsys.readouterr().out.split()]
    assert len(printed) == 2
    assert max(printed) < 1e-12


def test_pictures_exist():
    """Every picture that the README shows is in the repository."""
    pictures = re.findall(r"!\[.*?\]\((.*?)\)", README.read_text(encoding="utf-8"))
    assert pictures
    assert all((README.parent / picture).is_file() for picture in pictures)
