"""How long the suite takes: the number of random cases that tests try, and how threads wait. `conftest.py` imports it first.

Tests try a third of their random cases, so that the suite takes minutes; ``FCFAST_TEST_EFFORT=full`` tries all, as `.ci/run`
does. A case is drawn from its number alone, so that those of the short run are among those of the full one.

Threads sleep while they wait for work, unless ``OMP_WAIT_POLICY`` says otherwise. Those of several test processes share the
cores, and would take them from each other otherwise. OpenMP reads this when it is loaded.
"""

import os

FULL = os.environ.get("FCFAST_TEST_EFFORT") == "full"

os.environ.setdefault("OMP_WAIT_POLICY", "passive")


def cases(number: int) -> int:
    """Give how many of so many cases are tried."""
    return number if FULL else -(-number // 3)
