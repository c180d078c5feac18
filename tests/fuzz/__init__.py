"""Fuzz of every public entry: random arguments, good, odd and wrong, against one law (`law.obey`).

A case is a function of Hypothesis's ``data``; `all_cases` gives them by name. ``tests/test_fuzz.py`` runs a few of each,
always the same; ``python -m tests.fuzz --cases 100000`` runs as many as wanted, in blocks that can be interrupted and taken
up again.
"""

from typing import Any


def all_cases() -> dict[str, Any]:
    """Give every case by name, with its share of a long run."""
    from . import commands, estimators, functions, models, tables, tools

    modules = (estimators, functions, models, tables, commands, tools)
    return {name: case for module in modules for name, case in module.CASES.items()}
