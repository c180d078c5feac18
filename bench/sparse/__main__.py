"""Speed on sparse rows against EmbeddingBag, PyTorch's dense ways, scikit-learn's MLP, and the memory bound.

Reproduce: python -m bench.sparse [--data news20 IMDB uniform Zipf] [--batches 32 1 256] [--rounds 3] [--out FILE.json]
It takes about seven minutes and 16 GB on an idle machine. Zipf is measured in batches of 32 only. The command writes FILE.json
and a page, FILE.md; cells that are not asked for stay as they are.
"""

import argparse
import gc
import json
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_limits

from bench.report import OUT, facts, made_with
from bench.sparse.contenders import Problem
from bench.sparse.measure import measured
from bench.sparse.page import page
from bench.sparse.samples import SETS
from fcfast.commands.shared import json_text
from fcfast.files import write_text

BATCHES = 32, 1, 256
LARGE = "Zipf"  # whose other batch sizes would take too long


def cells(names: list[str], batches: list[int], rounds: int) -> Any:
    """Measure problem after problem."""
    for name in names:
        X, y = SETS[name]()
        for batch in batches:
            if name != LARGE or batch == BATCHES[0]:
                gc.collect()
                yield name, batch, measured(Problem.of(X, y, batch), rounds)


def main() -> None:
    """Measure what is asked for, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--batches", nargs="+", type=int, choices=BATCHES, default=list(BATCHES))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=OUT / "sparse.json")
    options = parser.parse_args()
    found = json.loads(options.out.read_text(encoding="utf-8"))["data"] if options.out.exists() else {}
    options.out.parent.mkdir(parents=True, exist_ok=True)
    about = made_with(facts(), [datetime.now(timezone.utc).isoformat()])
    with threadpool_limits(1):
        for name, batch, result in cells(options.data, options.batches, options.rounds):
            found.setdefault(name, {})[str(batch)] = result
            write_text(options.out, json_text({"about": about, "data": found}))
            print(f"{name}, B = {batch}", flush=True)
    found = {name: found[name] for name in SETS if name in found}  # in this order, which the page tells
    write_text(options.out.with_suffix(".md"), page(found, about))


if __name__ == "__main__":
    main()
