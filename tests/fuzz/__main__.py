"""``python -m tests.fuzz``: the long profile, in blocks that each have a process; finished ones are noted, and not run again.

A crash, a hang (60 s for one case) or a broken law ends its block and is reported with what to type to see it again.
"""

import argparse
import faulthandler
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import hypothesis
from hypothesis import strategies as st

SECONDS_PER_CASE = 60
BLOCK = 2000


def run_block(name: str, seed: int, n_cases: int) -> None:
    """Run some cases in this process."""
    from . import all_cases
    from .law import limited_memory

    case = all_cases()[name][0]
    ran = 0

    def counted(data: st.DataObject) -> None:
        nonlocal ran
        faulthandler.dump_traceback_later(SECONDS_PER_CASE, exit=True)
        try:
            case(data)
            ran += 1
        finally:
            faulthandler.cancel_dump_traceback_later()

    settings = hypothesis.settings(
        max_examples=n_cases, deadline=None, database=None, suppress_health_check=list(hypothesis.HealthCheck), print_blob=True,
        phases=[hypothesis.Phase.generate, hypothesis.Phase.shrink],
    )  # fmt: skip
    try:
        with limited_memory():
            hypothesis.seed(seed)(settings(hypothesis.given(st.data())(counted)))()
    finally:
        print(json.dumps({"ran": ran}))


def main() -> int:
    """Run blocks until there are as many cases as wanted; give the number of blocks that failed."""
    from . import all_cases

    cases = all_cases()
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--cases", type=int, default=1000, help="how many in all (default 1000)")
    parser.add_argument("--only", default="", help="only the cases whose name begins so")
    parser.add_argument("--first-seed", type=int, default=0, help="seed of the first block of each case")
    parser.add_argument("--minutes", type=float, default=1e9, help="stop after the block that is running then")
    parser.add_argument("--log", type=Path, help="file of finished blocks, which are not run again (default: none)")
    parser.add_argument("--block", nargs=3, metavar=("NAME", "SEED", "CASES"), help="run one block in this process")
    options = parser.parse_args()
    if options.block:
        run_block(options.block[0], int(options.block[1]), int(options.block[2]))
        return 0
    chosen = {name: share for name, (_, share) in cases.items() if name.startswith(options.only)}
    lines = options.log.read_text().splitlines() if options.log and options.log.exists() else []
    done = {(line["name"], line["seed"]): line for line in map(json.loads, lines)}
    start, failures, total = time.monotonic(), 0, 0
    for name, share in chosen.items():
        wanted = math.ceil(options.cases * share / sum(chosen.values()))
        for seed in range(options.first_seed, options.first_seed - (-wanted // BLOCK)):
            size = min(BLOCK, wanted - (seed - options.first_seed) * BLOCK)
            line = done.get((name, seed))
            if line is None or line["cases"] < size:
                if time.monotonic() - start > 60 * options.minutes:
                    print(f"{total} cases, {failures} block(s) failed; out of time, run it again to go on")
                    return failures
                line = {"name": name, "seed": seed, "cases": size, "failed": not block(name, seed, size)}
                if options.log:
                    with options.log.open("a") as log:
                        log.write(json.dumps(line) + "\n")
            total += line["cases"]
            failures += line["failed"]
    print(f"{total} cases, {failures} block(s) failed")
    return failures


def block(name: str, seed: int, size: int) -> bool:
    """Run a block in a process of its own, which may crash; say whether all went well."""
    command = [sys.executable, "-m", __package__, "--block", name, str(seed), str(size)]
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        ended = subprocess.run(
            command,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            cwd=os.getcwd(),
            env=os.environ | {"TMPDIR": folder},
        )
    print(f"{name} seed {seed}: {size} cases in {time.monotonic() - begun:.0f} s, exit code {ended.returncode}", flush=True)
    if ended.returncode:
        print(f"again: {' '.join(command[1:])}\n{ended.stdout[-3000:]}\n{ended.stderr[-6000:]}", flush=True)
    return ended.returncode == 0


if __name__ == "__main__":
    sys.exit(min(main(), 100))
