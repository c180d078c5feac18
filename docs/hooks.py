"""What the site computes while it is built, so that it cannot go stale: the paper's claims, and the help of the commands."""

import re
from collections import Counter
from datetime import date

CLAIMS = "<!-- claims -->"
HELP = re.compile(r"<!-- help: fcfast(.*?) -->")


def on_page_markdown(markdown: str, **_: object) -> str:
    """Fill the two kinds of places that pages leave."""
    if CLAIMS in markdown:
        markdown = markdown.replace(CLAIMS, claims_text())
    return HELP.sub(lambda place: help_text(place[1].split()), markdown)


def claims_text(n_seeds: int = 1000) -> str:
    """Judge every claim here and now; a count of the verdicts, and a table with the evidence."""
    from fcfast import paper, show_config

    claims = paper.claims(n_seeds)
    counts = Counter(claim.verdict for claim in claims)
    counted = ", ".join(f"{verdict} {count}" for verdict, count in sorted(counts.items()))
    facts = show_config("dict")
    made = f"fcfast {facts['fcfast']} ({facts['backend']}), NumPy {facts['numpy']}, {facts['machine']}, {date.today()}"
    lines = [
        f"{len(claims)} claims ({counted}), judged from {n_seeds} random networks a study; {made}.",
        "",
        "| claim | verdict | what it says | what has to be read differently | evidence |",
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

    result = CliRunner().invoke(app, [*command, "--help"], env={"COLUMNS": "110", "TERM": "dumb"}, prog_name="fcfast")
    if result.exit_code:
        raise RuntimeError(f"fcfast {' '.join(command)} --help: {result.output}")
    return f"```text\n{result.output.strip()}\n```"
