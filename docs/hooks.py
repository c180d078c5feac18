"""What the site computes while it is built, so that it cannot go stale: the paper's claims, and the help of the commands."""

import re
from collections import Counter
from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fcfast.paper import Claim

CLAIMS = "<!-- claims -->"
HELP = re.compile(r"<!-- help: fcfast(.*?) -->")


def on_page_markdown(markdown: str, **_: object) -> str:
    """Fill the two kinds of places that pages leave."""
    if CLAIMS in markdown:
        from fcfast import paper

        markdown = markdown.replace(CLAIMS, claims_text(paper.claims(n_seeds=1000)))
    return HELP.sub(lambda place: help_text(place[1].split()), markdown)


def claims_text(claims: "Sequence[Claim]") -> str:
    """Give a count of the verdicts, where and when they were made, and a table with the evidence."""
    from fcfast import show_config

    counts = Counter(claim.verdict for claim in claims)
    counted = ", ".join(f"{verdict} {count}" for verdict, count in sorted(counts.items()))
    facts = show_config("dict")
    made = f"fcfast {facts['fcfast']} ({facts['backend']}), NumPy {facts['numpy']}, {facts['machine']}, {date.today()}"
    lines = [
        f"{len(claims)} claims: {counted}. Judged by {made}.",
        "",
        "| claim | verdict | what it says | correction | evidence |",
        "|---|---|---|---|---|",
    ]
    for claim in claims:
        cells = claim.id, f"**{claim.verdict}**", cell(claim.statement), cell(claim.correction), evidence(claim.evidence)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def evidence(numbers: dict[str, float]) -> str:
    """Give a line for each number."""
    return "<br>".join(f"{cell(name)}: {value:.3g}" for name, value in numbers.items())


def cell(text: str) -> str:
    """Write what would be markup as an HTML entity."""
    return re.sub(r"[|*_<>&`\[\]\\]", lambda match: f"&#{ord(match[0])};", text)


def help_text(command: list[str]) -> str:
    """Give what a command prints with --help."""
    from typer.testing import CliRunner

    from fcfast.commands import app

    result = CliRunner().invoke(app, [*command, "--help"], env={"COLUMNS": "100", "TERM": "dumb"}, prog_name="fcfast")
    if result.exit_code:
        raise RuntimeError(f"fcfast {' '.join(command)} --help: {result.output}")
    return f"```text\n{result.output.strip()}\n```"
