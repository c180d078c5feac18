"""Learning rules on MNIST (networks of arXiv 2210.03310, table 3) and Fashion-MNIST (main finding of arXiv 2306.06968).

Reproduce: python bench/learning_rules.py {small,medium,fashion} [--seeds 3] [--out docs/learning_rules]
Pixels / 255, batches of 100, SGD without momentum, weight decay 1e-4, cosine schedule, no augmentation. Each rule has the same
number of learning rates tried on a fifth of the training images, with few epochs; test images are scored at the end. What is
finished is kept in the folder and not trained again.

small    S/1/1, 784-256-256-10: one block of two layers, so that local losses are the output's (LG-FG-* are FG-*)
medium   M/1/16, 784-512-512-10, the second layer in 16 groups of 32
fashion  784-256-256-256-10, the global loss along local guesses and along noise
"""

import argparse
import shlex
import sys
from pathlib import Path

import _data
import numpy as np

from fcfast import comparison
from fcfast.commands.compare import CURVES, REPORT, RESULTS, read_earlier, report
from fcfast.commands.shared import json_text, progress_bar, write_text
from fcfast.plots import comparison_figure

NOISE = "fg-w", "fg-a"
LOCAL = "lg-fg-w:block_size=2:groups=16", "lg-fg-a:block_size=2:groups=16"
GUESSES = [
    f"forward-gradient{setting}" for setting in ("", ":space=weight", ":space=avg-weight", ":guess=ntk", ":guess=ntk-fixed")
]
RUNS = {
    "small": ("mnist", {"hidden_layer_sizes": (256, 256)}, ["fa", "dfa", "local-loss", *NOISE], 40, 5),
    "medium": ("mnist", {"hidden_layer_sizes": (512, 512), "groups": (1, 16)},
               ["fa", "dfa", "local-loss:block_size=2", *NOISE, *LOCAL], 30, 4),
    "fashion": ("fashion_mnist", {"hidden_layer_sizes": (256, 256, 256)}, ["local-loss", *GUESSES, *NOISE], 20, 4),
}  # fmt: skip
SETTINGS = {"batch_size": 100, "momentum": 0.0, "weight_decay": 1e-4, "schedule": "cosine"}
N_TRAIN, N_RATES = 60_000, 9


def main():
    """Compare, and write what `fcfast compare --out` would."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", choices=RUNS)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "docs" / "learning_rules")
    options = parser.parse_args()
    name, network, rules, epochs, tune_epochs = RUNS[options.run]
    data = _data.load(name)
    X, y = data["X"].astype(np.float32) / 255, data["y"]
    folder = options.out / options.run
    folder.mkdir(parents=True, exist_ok=True)
    about = {
        "data": name, "command": shlex.join(["python", *sys.argv]), "task": "classification",
        "task_reason": "10 kinds of image", "n_train": N_TRAIN, "n_test": len(y) - N_TRAIN,
        "test_set": "the set's own", "n_features": X.shape[1],
    }  # fmt: skip

    def keep(finished):
        write_text(folder / RESULTS, json_text(finished.to_dict() | {"about": about}))

    n_epochs = comparison.n_epochs(len(rules) + 2, epochs, options.seeds, N_RATES, tune_epochs)
    with progress_bar(n_epochs) as tell:
        result = comparison.compare(
            X[:N_TRAIN], y[:N_TRAIN], rules, test=(X[N_TRAIN:], y[N_TRAIN:]), epochs=epochs, tune_epochs=tune_epochs,
            n_rates=N_RATES, n_seeds=options.seeds, earlier=read_earlier(folder / RESULTS), after_rule=keep, tell=tell,
            **network, **SETTINGS,
        )  # fmt: skip
    write_text(folder / REPORT, report(result, about))
    comparison_figure(folder / CURVES, result)
    print(result.table())


if __name__ == "__main__":
    main()
