"""The code in the documentation runs page by page, as a reader would run it, and the names on the pages exist.

A block of Python sees the variables of earlier blocks of its page. Each page runs in its own folder. Every print must give the
text in the comment beside it ("e.g." at its start allows differences between machines). A comment before a block changes this:

<!-- skip: reason -->  the block is not run
<!-- data: name -->    the block needs a real data set (bench/data.py), and is skipped without it
<!-- run -->           commands in the block are run, too; others are only parsed
<!-- needs: name -->   the block needs a package, and is skipped without it
<!-- page needs: name -->  the page does, anywhere on it
"""

import html
import importlib.util
import re
import shlex
import warnings
from pathlib import Path
from typing import NamedTuple

import pytest

from bench import data as real_data
from fcfast import backend

pytest.importorskip("typer", reason="commands need fcfast[cli]")
pytest.importorskip("matplotlib", reason="pictures need fcfast[plots]")
import typer
from typer.testing import CliRunner

from fcfast.commands import app
from fcfast.paper import Claim

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
FENCE = re.compile(r"(?:<!-- (?P<marker>[^\n]*?) -->\n)?^```(?P<language>[^\n]*)\n(?P<code>.*?)^```$", re.DOTALL | re.MULTILINE)
LANGUAGES = {"python", "sh", ""}  # of blocks; nothing looks into the last ones


class Block(NamedTuple):
    """A fenced block of a page: the marker before it, its language, its text and where it begins."""

    marker: str
    language: str
    code: str
    line: int


def blocks(page):
    """Give the fenced blocks of a page."""
    text = page.read_text(encoding="utf-8")
    found = list(FENCE.finditer(text))
    fences = re.findall(r"^[ \t]*(?:`{3,}|~{3,})", text, re.MULTILINE)
    assert len(fences) == 2 * len(found), f"{page}: a block begins or ends in a way that nobody looks for"
    assert {block["language"] for block in found} <= LANGUAGES, f"{page}: a block in none of {LANGUAGES}"
    return [
        Block(block["marker"] or "", block["language"], block["code"], text.count("\n", 0, block.start("code")))
        for block in found
    ]


def commands(block):
    """Give the arguments of each fcfast command in a block of shell."""
    lines = block.code.replace("\\\n", " ").splitlines() if block.language == "sh" else []
    found = re.findall(r"(?:^|&& )fcfast (.*?)(?= && |$)", "\n".join(lines), re.MULTILINE)
    return [shlex.split(line, comments=True) for line in found]


def name_of(page):
    """Name a page in test ids."""
    return str(page.relative_to(ROOT))


@pytest.mark.skipif(backend.NAME == "python", reason="what pages teach takes minutes in pure-Python mode")
@pytest.mark.parametrize("page", [page for page in PAGES if "```python" in page.read_text(encoding="utf-8")], ids=name_of)
def test_page_runs(page, tmp_path, monkeypatch, capsys):
    """Every block runs after those before it, and prints what is promised."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FCFAST_DATA", str(real_data.DATA))
    for needed in re.findall(r"^<!-- page needs: (\w+) -->$", page.read_text(encoding="utf-8"), re.MULTILINE):
        pytest.importorskip(needed, reason=f"the page needs {needed}")
    names, absent = {"__name__": "__main__"}, []
    for block in blocks(page):
        kind, _, reason = block.marker.partition(": ")
        assert kind in ("", "skip", "data", "run", "needs"), f"{page}: {block.marker!r} before a block means nothing"
        if kind == "skip":
            assert reason, f"{page}: say why a block is skipped"
        elif is_absent(kind, reason):
            absent.append(reason)
        elif block.language == "python":
            with warnings.catch_warnings():
                if kind == "needs":  # a package that nothing but the page needs may warn of what it likes
                    warnings.simplefilter("ignore")
                exec(compile("\n" * block.line + block.code, str(page), "exec"), names)
            check_prints(block.code, capsys.readouterr().out)
        elif kind == "run":
            for arguments in commands(block):
                result = CliRunner().invoke(app, arguments)
                assert result.exit_code == 0, result.output
    if absent:
        pytest.skip(f"all other blocks ran; the rest needs {', '.join(absent)} (packages, or data in FCFAST_DATA)")


def is_absent(kind, name):
    """Tell whether a block needs data or a package that is not here."""
    if kind == "data":
        return not (real_data.DATA / f"{name}.npz").exists()
    return kind == "needs" and importlib.util.find_spec(name) is None


def check_prints(code, output):
    """Compare what was printed with the comment beside each print."""
    promised = [line.split("  # ", 1)[1] for line in code.splitlines() if line.lstrip().startswith("print(")]
    printed = output.splitlines()
    assert len(printed) == len(promised), output
    for line, promise in zip(printed, promised, strict=True):
        assert line, f"an empty line where {promise!r} is promised"
        kept = promise == line or promise.startswith(("e.g. ", *(line + end for end in (" ", ",", ":", ";"))))
        assert kept, f"promised {promise!r}, got {line!r}"


@pytest.mark.parametrize("page", [*PAGES, ROOT / "README.md"], ids=name_of)
def test_commands_parse(page):
    """Every fcfast command has arguments and options that exist, with values of the right kind."""
    group = typer.main.get_command(app)
    for arguments in [arguments for block in blocks(page) for arguments in commands(block)]:
        name, *rest = arguments
        if name != "--help":
            group.commands[name].make_context(name, rest).close()


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_names_exist(page):
    """Every `fcfast...` and `paper...` in code, imports included, is a module or an attribute of one."""
    text = page.read_text(encoding="utf-8")
    if importlib.util.find_spec("torch") is None:
        text = re.sub(r"\bfcfast\.torch\b", "", text)  # nothing there can be imported
    for name in re.findall(r"(?:`|^::: |\bfrom )(fcfast(?:\.\w+)+)", text, re.MULTILINE):
        resolve(name)
    for name in re.findall(r"`(paper\.\w+)", text):
        resolve(f"fcfast.{name}")


def resolve(name):
    """Import what a dotted name names; AttributeError where there is no such thing."""
    first, *rest = name.split(".")
    value = importlib.import_module(first)
    for i, part in enumerate(rest):
        try:
            value = getattr(value, part)
        except AttributeError:
            value = importlib.import_module(".".join([first, *rest[: i + 1]]))
    return value


def test_readme_links_exist():
    """Every file that the README links to is in the repository; links between pages are checked by `mkdocs build --strict`."""
    links = re.findall(r"\]\((?!http)([^)#]+)", (ROOT / "README.md").read_text(encoding="utf-8"))
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


@pytest.fixture(scope="module")
def hooks():
    """Load what computes parts of the site."""
    spec = importlib.util.spec_from_file_location("hooks", DOCS / "hooks.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_claims_table(hooks):
    """A row for each claim; what would be markup is written as it is meant."""
    claims = [
        Claim("eq. 1", "somewhere", "|x|^2 > a_1 * b_1", "holds", "", {"error": 1.234e-15, "ratio": 2.0}),
        Claim("eq. 2", "elsewhere", "y = [x]", "fails", "not so", {}),
    ]
    count, empty, _, _, first, second = hooks.claims_text(claims).splitlines()
    assert count.startswith("2 claims: fails 1, holds 1. Judged by fcfast ")
    assert empty == ""
    assert html.unescape(first).count("|x|") == 1
    assert [row.count("|") for row in (first, second)] == [6, 6]
    assert "error: 1.23e-15<br>ratio: 2 |" in first
    assert not set("*_[") & set(first.split(" | ")[2])


def test_commands_help(hooks):
    """The reference of the command line has the help of every command."""
    page = hooks.on_page_markdown((DOCS / "api" / "cli.md").read_text(encoding="utf-8"))
    assert "<!--" not in page
    assert page.count("Usage: fcfast ") == len(typer.main.get_command(app).commands)


def test_number_of_claims():
    """Pages that say how many claims there are say it right."""
    entries = importlib.import_module("fcfast.paper.claims").ENTRIES
    counts = [
        count for page in PAGES for count in re.findall(r"(\d+)\s+claims|claims\.md\) has all (\d+)", page.read_text("utf-8"))
    ]
    assert counts
    assert {int(a or b) for a, b in counts} == {len(entries)}
