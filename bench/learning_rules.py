"""Learning rules on MNIST (networks of arXiv 2210.03310, table 3) and Fashion-MNIST (main finding of arXiv 2306.06968).

Reproduce: python -m bench.learning_rules {small,medium,fashion} [--seeds 3] [--out docs/learning_rules]
Pixels / 255, batches of 100, SGD without momentum, weight decay 1e-4, cosine schedule, no augmentation. Each rule has the same
number of learning rates tried on a fifth of the training images, with few epochs; test images are scored at the end. Finished
results stay in the folder and are not computed again.

small    S/1/1, 784-256-256-10: one block of two layers, so the local loss is the output's (LG-FG-* are FG-*, LG-BP is BP)
medium   M/1/16, 784-512-512-10, the second layer in 16 groups of 32. After four epochs noise still looks best at rates that are
         too high for thirty, so the rules that follow noise have a fixed rate: the better of two, by the error on 10,000
         training images after 12 epochs on the others (fg-w 0.004, 0.0056; fg-a 0.05, 0.1; lg-fg-w 0.004, 0.016;
         lg-fg-a 0.5, 1)
fashion  784-256-256-256-10, the loss at the output along local guesses and along noise; the rates of fg-w and frozen are
         fixed, because the best ones lie below and above the grid around the default rate
"""

import argparse
import shlex
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np

from bench import data as real_data
from fcfast import comparison
from fcfast.commands.compared import CURVES, REPORT, RESULTS, read_earlier, report
from fcfast.commands.shared import json_text, progress_on_terminal
from fcfast.files import write_text
from fcfast.plots import comparison_figure

GROUPS = ":block_size=2:groups=16"


class Run(NamedTuple):
    """A data set, a network, rules, and how long they train."""

    data: str
    network: dict[str, tuple[int, ...]]
    rules: list[str]
    epochs: int
    n_rates: int
    tune_epochs: int


RUNS = {
    "small": Run("mnist", {"hidden_layer_sizes": (256, 256)}, ["fa", "dfa", "local-loss", "fg-w", "fg-a"], 40, 9, 5),
    "medium": Run(
        "mnist", {"hidden_layer_sizes": (512, 512), "groups": (1, 16)},
        ["fa", "dfa", "local-loss:block_size=2", "fg-w:rate=0.0056", "fg-a:rate=0.1", f"lg-fg-w{GROUPS}:rate=0.016",
         f"lg-fg-a{GROUPS}:rate=0.5", "frozen:rate=30"], 30, 9, 4,
    ),
    "fashion": Run(
        "fashion_mnist", {"hidden_layer_sizes": (256, 256, 256)},
        ["forward-gradient:space=avg-weight", "forward-gradient", "fg-a", "local-loss", "fg-w:rate=0.0003", "frozen:rate=60"],
        60, 5, 8,
    ),
}  # fmt: skip
SETTINGS = {"batch_size": 100, "momentum": 0.0, "weight_decay": 1e-4, "schedule": "cosine"}
N_TRAIN = 60_000


def main():
    """Compare, and write what `fcfast compare --out` would."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", choices=RUNS)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "docs" / "learning_rules")
    options = parser.parse_args()
    run = RUNS[options.run]
    data = real_data.load(run.data)
    X, y = data["X"].astype(np.float32) / 255, data["y"]
    folder = options.out / options.run
    folder.mkdir(parents=True, exist_ok=True)
    about = {
        "data": run.data, "command": shlex.join(["python", "-m", "bench.learning_rules", *sys.argv[1:]]),
        "task": "classification", "task_reason": "10 kinds of image", "n_train": N_TRAIN, "n_test": len(y) - N_TRAIN,
        "test_set": "the set's own", "n_features": X.shape[1],
    }  # fmt: skip

    def keep(finished):
        write_text(folder / RESULTS, json_text(finished.to_dict() | {"about": about}))

    budget = {"epochs": run.epochs, "n_seeds": options.seeds, "n_rates": run.n_rates, "tune_epochs": run.tune_epochs}
    with progress_on_terminal(comparison.n_epochs(len(run.rules) + 2, **budget)) as tell:
        result = comparison.compare(
            X[:N_TRAIN], y[:N_TRAIN], run.rules, test=(X[N_TRAIN:], y[N_TRAIN:]), earlier=read_earlier(folder / RESULTS),
            after_rule=keep, tell=tell, **budget, **run.network, **SETTINGS,
        )  # fmt: skip
    write_text(folder / REPORT, report(result, about))
    comparison_figure(folder / CURVES, result)
    print(result.table())


if __name__ == "__main__":
    main()
