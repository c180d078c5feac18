"""MNIST and Fashion-MNIST, 784-256-256-10, ReLU, SGD with momentum and a cosine schedule, in the form that is fastest.

Reproduce: python -m bench.mnist [--epochs 20] [--seeds 3] [--data mnist fashion_mnist]
Pixels / 255, batches of 100; no augmentation, nothing held out and nothing tuned on the test set: settings are by hand.
"""

import argparse
import time

import numpy as np

from bench import data as real_data
from fcfast import FrontClassifier


def main():
    """Print the test error of each seed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--data", nargs="*", default=["mnist", "fashion_mnist"])
    options = parser.parse_args()
    for name in options.data:
        arrays = real_data.load(name)
        X, y = arrays["X"].astype(np.float32) / 255, arrays["y"]
        errors = []
        for seed in range(options.seeds):
            classifier = FrontClassifier(
                (256, 256), learning_rate=0.1, schedule="cosine", batch_size=100, max_epochs=options.epochs, tol=0,
                init="glorot", standardize=False, weight_decay=1e-4, n_iter_no_change=options.epochs, random_state=seed,
            )  # fmt: skip
            started = time.perf_counter()
            classifier.fit(X[:60_000], y[:60_000])
            seconds = time.perf_counter() - started
            errors.append(1 - classifier.score(X[60_000:], y[60_000:]))
            print(f"{name}, seed {seed}: test error {errors[-1]:.2%}, form {classifier.form_!r}, {seconds:.0f} s", flush=True)
        print(f"{name}: {np.mean(errors):.2%} ± {np.std(errors, ddof=1) / len(errors) ** 0.5:.2%}")


if __name__ == "__main__":
    main()
