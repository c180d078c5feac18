"""Attributions to features: beside `predict`, beside Captum's integrated gradients, and in memory.

    python -m bench.attribution            # everything, some minutes
    python -m bench.attribution captum     # one part: captum, predict, memory, stability

Numbers are asserted to be equal before any time is taken. Times are CPU times of interleaved runs, so that what else runs on
the machine counts little, and the peer has the same number of threads.
"""

import argparse
import time
import tracemalloc
from statistics import median

import numpy as np
import threadpoolctl

from bench.data import load
from bench.measure import Run, duration, interleaved_rounds, markdown, times, verdict
from fcfast import FrontClassifier, FrontRegressor
from fcfast.attribution import stability
from fcfast.gram import budget

THREADS = 2
STEPS = 50  # Captum's default
CAPTUM_FEATURES, CAPTUM_SAMPLES = 100_000, 20
WIDE_FEATURES, WIDE_SAMPLES = 300_000, 2_000
LEAST_GAIN, MOST_PREDICTIONS = 20, 3
MOST_BLOCKS = 3  # of inputs: one that is read, one of training samples, and what threads make of them


def problem(n_features, n_samples, n_train=100, dtype="float32"):
    """Training and new samples that differ in a few features."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n_train, n_features), dtype=dtype)
    new = rng.standard_normal((n_samples, n_features), dtype=dtype)
    y = np.arange(n_train) % 2
    X[:, :50] += np.where(y, 1, -1)[:, None]
    new[:, :50] += np.where(np.arange(n_samples) % 2, 1, -1)[:, None]
    return X, y, new


# ----------------------------------------------------------------------------------------------------------------------
# Captum


def captum_of(classifier, n_steps=STEPS):
    """Captum's integrated gradients on the same network, in PyTorch."""
    import torch
    from captum.attr import IntegratedGradients

    torch.set_num_threads(THREADS)
    network = classifier.to_torch()
    method = IntegratedGradients(network)

    def attribute(new, targets):
        samples = torch.from_numpy(new)
        return method.attribute(
            samples, torch.zeros_like(samples), target=torch.from_numpy(targets), n_steps=n_steps, method="gausslegendre"
        ).detach().numpy()  # fmt: skip

    return attribute


def assert_equal(hidden, n_steps=STEPS):
    """Both give the same numbers in double precision, for the same steps."""
    X, y, new = problem(2_000, 8, dtype="float64")
    classifier = FrontClassifier(hidden, standardize=False, dtype="float64", max_epochs=20, random_state=0).fit(X, y)
    targets = classifier.predict(new)
    ours = classifier.attribute(new, baseline="zero", steps=n_steps).to_array()
    theirs = captum_of(classifier, n_steps)(new, targets)
    error = float(np.abs(ours - theirs).max() / np.abs(theirs).max())
    # Captum rounds the weights of the steps to single precision; tests/test_attribution.py compares to 1e-10 with autograd.
    assert error < 1e-8, error
    return error


def beside_captum(rounds=5):
    """Time both on one hidden layer and on two."""
    rows = [("network", "method", "CPU time", "Captum / it", "target")]
    for hidden in ((256,), (256, 64)):
        error = assert_equal(hidden)
        X, y, new = problem(CAPTUM_FEATURES, CAPTUM_SAMPLES)
        classifier = FrontClassifier(hidden, standardize=False, max_epochs=5, random_state=0, n_jobs=THREADS).fit(X, y)
        targets, peer = classifier.predict(new), captum_of(classifier)
        runs = {
            f"Captum, {STEPS} steps": Run(lambda peer=peer, new=new, targets=targets: peer(new, targets)),
            f"attribute, {STEPS} steps": Run(
                lambda c=classifier, new=new: c.attribute(new, baseline="zero", steps=STEPS).to_array()
            ),
            "attribute, exact": Run(lambda c=classifier, new=new: c.attribute(new, baseline="zero").to_array()),
            "attribute, exact, top 50 alone": Run(lambda c=classifier, new=new: c.attribute(new, baseline="zero").top(50)),
        }
        seconds = {name: median(held) for name, held in interleaved_rounds(runs, rounds, time.process_time).items()}
        first = next(iter(seconds.values()))
        for name, taken in seconds.items():
            gain = first / taken
            rows.append((
                f"{CAPTUM_FEATURES:,}-{'-'.join(map(str, hidden))}-2", name, duration(taken), times(gain),
                "" if taken == first else f"{LEAST_GAIN} times: {verdict(gain >= LEAST_GAIN)}",
            ))  # fmt: skip
        print(f"{hidden}: equal to Captum to {error:.1e} in double precision")
    return markdown(rows)


# ----------------------------------------------------------------------------------------------------------------------
# predict, and memory


def wide_classifiers():
    """Networks of wide samples in the forms, with and without scaling."""
    X, y, new = problem(WIDE_FEATURES, WIDE_SAMPLES, n_train=200)
    settings = {"max_epochs": 3, "random_state": 0, "n_jobs": THREADS}
    for form, standardize in (("contributions", False), ("contributions", "capped"), ("windowed", "capped")):
        yield (
            f"{form}, standardize={standardize!r}",
            FrontClassifier((64,), form=form, standardize=standardize, **settings).fit(X, y),
            new,
        )


def beside_predict(rounds=3):
    """Time a ranking of the features against a prediction of the same samples."""
    rows = [("network", "", "predict", "attribute and rank", "ratio", "target")]
    for name, classifier, new in wide_classifiers():
        calls = (lambda c=classifier, new=new: c.predict(new)), (lambda c=classifier, new=new: c.attribute(new).top(50))
        calls[0]()  # keeps weights, if they are kept at all
        taken = np.array([[seconds_of(call) for call in calls] for _ in range(rounds)])
        for kind, (predicted, attributed) in zip(("CPU", "elapsed"), np.median(taken, axis=0).T, strict=True):
            ratio = attributed / predicted
            rows.append((
                name, kind, duration(predicted), duration(attributed), f"{ratio:.2f}",
                f"{MOST_PREDICTIONS}: {verdict(ratio <= MOST_PREDICTIONS)}",
            ))  # fmt: skip
    return markdown(rows)


def seconds_of(call):
    """CPU time and elapsed time of a call."""
    starts = time.process_time(), time.perf_counter()
    call()
    return time.process_time() - starts[0], time.perf_counter() - starts[1]


def in_memory():
    """Measure what a ranking allocates at its peak, beside the samples and the network."""
    rows = [("network", "peak of predict", "peak of attribute and rank", "target")]
    for name, classifier, new in wide_classifiers():
        classifier.predict(new[:2])  # keeps weights, if they are kept at all
        peaks = []
        for call in (lambda c=classifier, new=new: c.predict(new), lambda c=classifier, new=new: c.attribute(new).top(50)):
            tracemalloc.start()
            call()
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
        limit = MOST_BLOCKS * budget.BLOCK_BYTES
        rows.append((
            name, f"{peaks[0] / 2**20:.0f} MiB", f"{peaks[1] / 2**20:.0f} MiB",
            f"{limit / 2**20:.0f} MiB: {verdict(peaks[1] <= limit)}",
        ))  # fmt: skip
    return markdown(rows)


# ----------------------------------------------------------------------------------------------------------------------
# stability on real data


def on_real_data(n_fits=20, k=50):
    """The share of the top 50 that refits agree on."""
    rows = [("data", "samples", "features", "overlap of two refits", "by chance", "in every refit", "in half of the refits")]
    for name in ("golub_leukemia", "singh_prostate", "colon_alon", "subramanian_p53", "riboflavin"):
        held = load(name)
        X, y = held["X"], held["y"]
        kind = FrontRegressor if y.dtype.kind == "f" else FrontClassifier
        found = stability(kind(), X, y, k, n_fits, random_state=0)
        share = found.ranking["share"]
        rows.append((
            name, str(len(X)), f"{X.shape[1]:,}", f"{found.overlap:.0%}", f"{found.expected_overlap:.1%}",
            f"{int((share == 1).sum())} of {k}", f"{int((share >= 0.5).sum())} of {k}",
        ))  # fmt: skip
    return markdown(rows)


PARTS = {"captum": beside_captum, "predict": beside_predict, "memory": in_memory, "stability": on_real_data}


def main():
    """Run the parts that are named, or all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", choices=[[], *PARTS], help="parts to run; all by default")
    with threadpoolctl.threadpool_limits(THREADS):
        for name in parser.parse_args().parts or PARTS:
            print(f"## {name}\n\n{PARTS[name]()}\n", flush=True)


if __name__ == "__main__":
    main()
